/* What the files of the connect prober share. Private to them. */
#pragma once

#include "base/deadlines.h"
#include "net/address_set.h"
#include "probe/error_queue.h"
#include "scan/prober.h"

#define READY 4096  /* replies that wait for collect(); a power of two */
#define REFUSALS 64 /* checked against the error queue at a time */
#define PROMPTS 8   /* own addresses with a prompt socket at the same time */

/* A blocking socket for targets on this very machine. The loopback device delivers SYN and answer
 * while connect() runs, so that one call brings the verdict; a send time-out of one tick bounds the
 * wait for those that do not answer. */
struct prompt {
    struct address address; /* of the target, to which the socket is bound as well */
    int fd;                 /* -1: none is open */
    uint32_t skip;          /* attempts that go the ordinary way before this one is tried again */
};

struct attempt {
    struct endpoint to;
    uint64_t index, position;
    uint64_t started; /* monotonic */
    uint8_t tag;
    int fd;
    bool watched;          /* by epoll */
    bool local;            /* the target is this machine */
    bool ours;             /* the other end turned out to be another attempt */
    bool single;           /* the socket is bound to something and asks nobody else */
    struct prompt *prompt; /* whose socket this is, as long as it blocks; else NULL */
};

/* Attempts on `refused_fd` that connect() itself reported as refused. Whether a RST or an ICMP
 * error refused them stands in the socket's error queue, which is read once for many. */
struct refusal {
    struct endpoint to;
    uint32_t ready; /* place of its reply */
};

/* Numbers of attempts. */
struct stack {
    uint32_t *items;
    uint32_t count;
};

struct tcp_connect {
    struct prober base;
    int epoll;
    struct prober_options options;
    struct address_set self; /* this machine's own addresses */

    struct attempt *attempts;
    struct stack idle4, idle6; /* with an open socket and nothing to do */
    struct stack unborn;       /* without a socket */
    struct prompt prompts[PROMPTS];
    uint32_t next_prompt; /* to be replaced */
    uint32_t capacity;    /* sockets at the same time: lowered when the machine gives no more */
    uint32_t in_flight;
    struct deadlines deadlines;

    struct reply ready[READY];
    uint32_t ready_head, ready_count;
    struct refusal refusals[REFUSALS];
    uint32_t refusal_count;
    int refused_fd;

    uint64_t packets;
    int exhausted;            /* errno of what the machine is out of, or 0 */
    uint64_t exhausted_since; /* monotonic; without a success in between */
    uint64_t retry_at;
    const char *limit;
};

static inline bool same_endpoint(const struct endpoint *one, const struct endpoint *other)
{
    return one->port.number == other->port.number && one->address.value == other->address.value &&
           one->address.family == other->address.family;
}

/* ---- tcp_connect_replies.c ---- */

struct reply *reply_answer(struct tcp_connect *self, const struct attempt *attempt,
                           enum port_state state, enum reason reason, uint64_t rtt);
void reply_failure(struct tcp_connect *self, const struct attempt *attempt, int code);
void reply_icmp(struct tcp_connect *self, const struct attempt *attempt,
                const struct icmp_error *error, uint64_t rtt);
void reply_silence(struct tcp_connect *self, const struct attempt *attempt);

/* A refusal that is a RST until refusals_check() finds an ICMP error that caused it. */
void refusal_add(struct tcp_connect *self, const struct attempt *attempt, uint64_t rtt);
void refusals_check(struct tcp_connect *self);

/* The error queue's entry about this attempt, if there is one. What else stands in the queue is
 * about refusals before it and is not lost to them. */
bool icmp_find(struct tcp_connect *self, const struct attempt *attempt,
               struct icmp_error *ret_error);

/* ---- tcp_connect_sockets.c ---- */

/* Allocates `count` attempts. Returns 0 or -ENOMEM. */
int attempts_init(struct tcp_connect *self, uint32_t count);
void attempts_release(struct tcp_connect *self);

/* An attempt with a socket that can ask `to`, or NULL: with an errno in *ret_code, or with 0 there
 * when all are in flight. */
struct attempt *attempt_take(struct tcp_connect *self, const struct address *to, bool local,
                             int *ret_code);

/* Puts an attempt that is over, and whose socket is unconnected or closed, where it can be used
 * again. */
void attempt_give_back(struct tcp_connect *self, struct attempt *attempt);

uint32_t attempt_number(const struct tcp_connect *self, const struct attempt *attempt);

/* Returns 0 or the errno of connect(). */
int attempt_connect(const struct attempt *attempt);

/* Dissolves the association; a SYN that nobody answered is forgotten without a packet. */
void attempt_disconnect(struct tcp_connect *self, struct attempt *attempt);

/* Has epoll tell when something happens to the attempt's socket: once for the socket's whole life.
 * Returns 0 or an errno. */
int attempt_watch(struct tcp_connect *self, struct attempt *attempt);

/* Closes the socket, which resets the connection if there is one, and opens an ordinary one in its
 * place. Returns 0 or an errno. */
int attempt_reopen(struct tcp_connect *self, struct attempt *attempt);
void attempt_close(struct tcp_connect *self, struct attempt *attempt);
