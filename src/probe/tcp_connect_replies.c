/* The connect prober's replies: what has been found out and not been collected yet. */
#include "probe/tcp_connect.h"

#include <errno.h>

static struct reply *ready_push(struct tcp_connect *self, const struct attempt *attempt)
{
    struct reply *reply = &self->ready[(self->ready_head + self->ready_count++) % READY];
    *reply =
        (struct reply){.index = attempt->index, .position = attempt->position, .tag = attempt->tag};
    return reply;
}

struct reply *reply_answer(struct tcp_connect *self, const struct attempt *attempt,
                           enum port_state state, enum reason reason, uint64_t rtt)
{
    struct reply *reply = ready_push(self, attempt);
    reply->kind = REPLY_ANSWER;
    reply->state = state;
    reply->reason = reason;
    reply->rtt = rtt;
    return reply;
}

void reply_failure(struct tcp_connect *self, const struct attempt *attempt, int code)
{
    struct reply *reply = ready_push(self, attempt);
    reply->kind = REPLY_FAILURE;
    reply->code = code;
}

/* An ICMP error is an answer, unless it comes from this machine about another: then our own
 * firewall rejected the SYN and the port was never asked. (Host unreachable from ourselves is an
 * answer too: nobody on the link gave a link address for the target.) */
void reply_icmp(struct tcp_connect *self, const struct attempt *attempt,
                const struct icmp_error *error, uint64_t rtt)
{
    uint64_t index;
    bool ourselves = !attempt->local && address_set_find(&self->self, &error->from, &index);
    if (ourselves && error->reason != REASON_HOST_UNREACH) {
        reply_failure(self, attempt, EPERM);
        return;
    }
    struct reply *reply = reply_answer(self, attempt, STATE_FILTERED, error->reason, rtt);
    if (ourselves)
        reply->rtt = 0; /* how long this machine looked for a neighbour is no round trip */
    if (error->from.value != attempt->to.address.value)
        reply->from = error->from;
}

void reply_silence(struct tcp_connect *self, const struct attempt *attempt)
{
    ready_push(self, attempt)->kind = REPLY_SILENCE;
}

/* Turns the refusal that an ICMP error caused into a filtered port. */
static void refusals_apply(struct tcp_connect *self, const struct icmp_error *error)
{
    for (uint32_t i = 0; i < self->refusal_count; i++) {
        struct reply *reply = &self->ready[self->refusals[i].ready];
        if (!same_endpoint(&self->refusals[i].to, &error->to))
            continue;
        reply->state = STATE_FILTERED;
        reply->reason = error->reason;
        if (error->from.value != error->to.address.value)
            reply->from = error->from;
    }
}

void refusals_check(struct tcp_connect *self)
{
    struct icmp_error error;
    while (self->refusal_count && error_queue_next(self->refused_fd, &error))
        refusals_apply(self, &error);
    self->refusal_count = 0;
}

bool icmp_find(struct tcp_connect *self, const struct attempt *attempt,
               struct icmp_error *ret_error)
{
    struct icmp_error error;
    bool shared = self->refused_fd == attempt->fd, found = false;
    while (error_queue_next(attempt->fd, &error)) {
        if (shared)
            refusals_apply(self, &error);
        if (!same_endpoint(&error.to, &attempt->to))
            continue;
        *ret_error = error;
        found = true;
    }
    if (shared)
        self->refusal_count = 0;
    return found;
}

void refusal_add(struct tcp_connect *self, const struct attempt *attempt, uint64_t rtt)
{
    if (self->refusal_count == REFUSALS || self->refused_fd != attempt->fd)
        refusals_check(self);
    self->refused_fd = attempt->fd;
    self->refusals[self->refusal_count++] = (struct refusal){
        .to = attempt->to,
        .ready = (self->ready_head + self->ready_count) % READY,
    };
    reply_answer(self, attempt, STATE_CLOSED, REASON_CONN_REFUSED, rtt);
}
