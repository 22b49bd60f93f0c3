/* The prober that needs no rights: non-blocking connect() by the thousand, over one epoll.
 *
 * A socket serves one attempt after another. Refused and silent attempts leave it reusable; an open
 * port's connection is reset (SO_LINGER 0) by closing it, so that neither side keeps a TIME_WAIT.
 */
#include "probe/tcp_connect.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "net/resolve.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256       /* taken from epoll at a time */
#define SELF_CONNECTS 16 /* in a row before giving up on a port */

/* How often it is asked whether an attempt has waited long enough. */
#define RECHECK (100 * NANOSECONDS_PER_MILLISECOND)

/* After the machine ran out of something, and until that becomes a failure. */
#define RETRY_PAUSE (10 * NANOSECONDS_PER_MILLISECOND)
#define PATIENCE (5 * NANOSECONDS_PER_SECOND)

/* ---- verdicts ---- */

static bool is_local(const struct tcp_connect *self, const struct address *address)
{
    uint64_t index;
    return address_is_loopback(address) || address_set_find(&self->self, address, &index);
}

static bool socket_port(int fd, struct address *ret_address, uint16_t *ret_port)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);
    return getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
           address_from_sockaddr((const struct sockaddr *)&name, ret_address, ret_port);
}

/* On this very machine a SYN can meet another SYN of ours instead of a listener, because TCP knows
 * the simultaneous open (RFC 9293 §3.5): the socket's own, when the kernel chose the target port as
 * the source port, or that of another attempt. Such a connection says that nobody listens. */
static bool met_ourselves(struct tcp_connect *self, const struct attempt *attempt)
{
    struct endpoint own = {.port.protocol = PROTOCOL_TCP};
    if (attempt->ours)
        return true;
    /* Not only for `local` ones: a route of type local makes addresses this machine's own that no
     * interface has. */
    if (!socket_port(attempt->fd, &own.address, &own.port.number) ||
        own.address.value != attempt->to.address.value)
        return false;
    if (own.port.number == attempt->to.port.number)
        return true;
    for (uint32_t i = 0; i < self->deadlines.count; i++) {
        struct attempt *other = &self->attempts[self->deadlines.heap[i].item];
        struct endpoint source = {.port.protocol = PROTOCOL_TCP};
        if (same_endpoint(&other->to, &own) &&
            socket_port(other->fd, &source.address, &source.port.number) &&
            same_endpoint(&source, &attempt->to)) {
            other->ours = true; /* which it could not find out once this end is closed */
            return true;
        }
    }
    return false;
}

/* The kernel's own measurement of the handshake, which our scheduling does not blur. */
static uint64_t handshake_rtt(int fd, uint64_t measured)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) || info.tcpi_rtt == 0)
        return measured;
    return info.tcpi_rtt * NANOSECONDS_PER_MICROSECOND;
}

/* What an errno means that arrived without an entry in the error queue (it was full, say). */
static enum reason reason_from_errno(int code)
{
    switch (code) {
    case ENETUNREACH:
        return REASON_NET_UNREACH;
    case EHOSTUNREACH:
        return REASON_HOST_UNREACH;
    case ENOPROTOOPT:
        return REASON_PROTO_UNREACH;
    case EACCES:
        return REASON_ADMIN_PROHIBITED;
    default:
        return REASON_DEST_UNREACH;
    }
}

/* Whether connect() says that the target accepted, be it that it has reset the connection since
 * (tcp_reset() of the kernel: a RST in answer to the SYN would be ECONNREFUSED). */
static bool is_connected(int code)
{
    return code == 0 || code == EISCONN || code == ECONNRESET || code == EPIPE;
}

static void settle_open(struct tcp_connect *self, struct attempt *attempt, uint64_t rtt)
{
    reply_answer(self, attempt, STATE_OPEN, REASON_SYN_ACK, handshake_rtt(attempt->fd, rtt));
    attempt_close(self, attempt);
}

/* Ends an attempt of which connect(), asked again, said `code`. */
static void settle_error(struct tcp_connect *self, struct attempt *attempt, int code, uint64_t rtt)
{
    struct icmp_error error;
    if (icmp_find(self, attempt, &error))
        reply_icmp(self, attempt, &error, rtt);
    else if (code == ECONNREFUSED)
        reply_answer(self, attempt, STATE_CLOSED, REASON_CONN_REFUSED, rtt);
    else if (code == ETIMEDOUT)
        reply_silence(self, attempt);
    else
        reply_answer(self, attempt, STATE_FILTERED, reason_from_errno(code), rtt);
}

/* ---- attempts ---- */

enum progress {
    WAITING,       /* nothing is known yet */
    SETTLED,       /* a reply was given */
    MET_OURSELVES, /* the connection is our own: ask again from another port */
};

/* Asks a connecting socket what became of it. */
static enum progress attempt_settle(struct tcp_connect *self, struct attempt *attempt, uint64_t now)
{
    struct icmp_error error;
    uint64_t rtt = now - attempt->started;
    int code = attempt_connect(attempt);
    if (is_connected(code)) {
        if (met_ourselves(self, attempt))
            return MET_OURSELVES;
        settle_open(self, attempt, rtt);
    } else if (code != EALREADY) {
        settle_error(self, attempt, code, rtt);
    } else if (icmp_find(self, attempt, &error)) { /* it came while the kernel still waits */
        reply_icmp(self, attempt, &error, rtt);
        attempt_disconnect(self, attempt);
    } else {
        return WAITING;
    }
    return SETTLED;
}

/* Has an attempt wait, unless an ICMP error is there already among those of the refusals before it.
 * Returns as attempt_start() does. */
static int attempt_wait(struct tcp_connect *self, struct attempt *attempt, bool *ret_waiting)
{
    struct icmp_error error;
    int code = attempt_watch(self, attempt);
    if (code)
        return code;
    *ret_waiting = self->refused_fd != attempt->fd || !icmp_find(self, attempt, &error);
    if (!*ret_waiting) {
        reply_icmp(self, attempt, &error, clock_monotonic() - attempt->started);
        attempt_disconnect(self, attempt);
    }
    return 0;
}

/* Books the verdict that the first call of connect() brought. Returns false for none: then `code`
 * is a failure of this machine. */
static bool settle_at_once(struct tcp_connect *self, struct attempt *attempt, int code)
{
    struct icmp_error error;
    uint64_t rtt = clock_monotonic() - attempt->started;
    if (is_connected(code))
        settle_open(self, attempt, rtt);
    else if (code == ECONNREFUSED)
        refusal_add(self, attempt, rtt);
    else if (icmp_find(self, attempt, &error)) /* it came during a call that waited */
        reply_icmp(self, attempt, &error, rtt);
    else
        return false;
    self->packets++;
    return true;
}

/* Begins to connect. Returns 0 with either a reply given or the attempt waiting (*ret_waiting), or
 * the errno of a failure of this machine. */
static int attempt_start(struct tcp_connect *self, struct attempt *attempt, bool *ret_waiting)
{
    *ret_waiting = false;
    for (int i = 0; i < SELF_CONNECTS; i++) {
        attempt->started = clock_monotonic();
        attempt->ours = false;
        int code = attempt_connect(attempt);
        if (code == EINPROGRESS || code == EINTR) {
            self->packets++;
            return attempt_wait(self, attempt, ret_waiting);
        }
        if (!is_connected(code) || !met_ourselves(self, attempt))
            return settle_at_once(self, attempt, code) ? 0 : code;
        self->packets++;
        code = attempt_reopen(self, attempt);
        if (code)
            return code;
    }
    return EADDRINUSE;
}

/* ---- the interface ---- */

static const char *exhaustion_name(int code)
{
    switch (code) {
    case EMFILE:
    case ENFILE:
        return "file descriptors";
    case EADDRNOTAVAIL:
    case EAGAIN:
        return "ephemeral ports";
    default:
        return "kernel memory";
    }
}

static bool is_exhaustion(int code)
{
    return code == EMFILE || code == ENFILE || code == EADDRNOTAVAIL || code == EAGAIN ||
           code == ENOBUFS || code == ENOMEM;
}

static void note_exhaustion(struct tcp_connect *self, int code, uint64_t now)
{
    if (!self->exhausted)
        self->exhausted_since = now;
    self->exhausted = code;
    self->retry_at = now + RETRY_PAUSE;
    self->limit = exhaustion_name(code);
    if ((code == EMFILE || code == ENFILE) && self->in_flight)
        self->capacity = self->in_flight;
}

/* Whether this machine has an address to speak to `to` from. Without one, connect() fails with the
 * same errno as when every source port towards an endpoint is taken; a datagram socket, which
 * sends nothing when it connects, tells the two apart. */
static bool has_source(const struct address *to)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = address_to_sockaddr(to, 1, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool has =
        connect(fd, (const struct sockaddr *)&sockaddr, length) == 0 || errno != EADDRNOTAVAIL;
    close(fd);
    return has;
}

/* Books an attempt that could not begin. Returns false when the probe should be offered again. */
static bool settle_failure(struct tcp_connect *self, const struct attempt *attempt, int code)
{
    if (is_exhaustion(code) && (code != EADDRNOTAVAIL || has_source(&attempt->to.address))) {
        uint64_t now = clock_monotonic();
        note_exhaustion(self, code, now);
        if (self->in_flight || now - self->exhausted_since < PATIENCE)
            return false;
    }
    reply_failure(self, attempt, code);
    return true;
}

/* When to look whether the attempt has waited long enough: at the latest after RECHECK. */
static void attempt_schedule(struct tcp_connect *self, struct attempt *attempt, uint64_t now)
{
    uint64_t due = attempt->started + self->options.timeout(self->options.user, attempt->index);
    if (due > now + RECHECK)
        due = now + RECHECK;
    deadlines_add(&self->deadlines, attempt_number(self, attempt), due);
}

/* Returns false when the probe was not taken. */
static bool submit_one(struct tcp_connect *self, const struct probe *probe)
{
    int code = 0;
    struct endpoint to = probe->to;
    if (to.address.value == 0) /* connect() asks the loopback address in place of 0.0.0.0 and :: */
        to.address.value = to.address.family == ADDRESS_IPV4 ? INADDR_LOOPBACK : 1;
    struct attempt *attempt = attempt_take(self, &to.address, is_local(self, &to.address), &code);
    if (!attempt) {
        const struct attempt failed = {
            .to = probe->to, .index = probe->index, .position = probe->position};
        return code && settle_failure(self, &failed, code);
    }
    attempt->to = to;
    attempt->index = probe->index;
    attempt->position = probe->position;
    attempt->tag = probe->tag;
    bool waiting = false;
    code = attempt_start(self, attempt, &waiting);
    if (waiting && !code) {
        self->in_flight++;
        attempt_schedule(self, attempt, attempt->started);
    } else {
        bool taken = !code || settle_failure(self, attempt, code);
        if (code && attempt->fd >= 0)
            attempt_close(self, attempt);
        attempt_give_back(self, attempt);
        if (!taken)
            return false;
    }
    if (!code)
        self->exhausted = 0;
    return true;
}

static size_t tcp_connect_submit(struct prober *base, const struct probe *probes, size_t count)
{
    struct tcp_connect *self = (struct tcp_connect *)base;
    size_t taken = 0;
    if (self->exhausted && clock_monotonic() < self->retry_at)
        return 0;
    while (taken < count && self->ready_count < READY / 2 && submit_one(self, &probes[taken]))
        taken++;
    refusals_check(self);
    return taken;
}

static void attempt_end(struct tcp_connect *self, struct attempt *attempt)
{
    deadlines_remove(&self->deadlines, attempt_number(self, attempt));
    self->in_flight--;
    attempt_give_back(self, attempt);
}

/* Starts an attempt in flight anew. The time that it may take is not extended. */
static void attempt_restart(struct tcp_connect *self, struct attempt *attempt)
{
    uint64_t started = attempt->started;
    bool waiting = false;
    int code = attempt_reopen(self, attempt);
    if (!code)
        code = attempt_start(self, attempt, &waiting);
    attempt->started = started;
    if (waiting && !code)
        return;
    if (code && is_exhaustion(code))
        reply_silence(self, attempt); /* which the next pass asks again */
    else if (code)
        reply_failure(self, attempt, code);
    attempt_end(self, attempt);
}

/* Returns whether nothing is known of the attempt yet. */
static bool attempt_check(struct tcp_connect *self, struct attempt *attempt, uint64_t now)
{
    enum progress progress = attempt_settle(self, attempt, now);
    if (progress == SETTLED)
        attempt_end(self, attempt);
    else if (progress == MET_OURSELVES)
        attempt_restart(self, attempt);
    return progress == WAITING;
}

/* Ends the attempts that are due. Each is asked a last time first, so that an answer which arrived
 * while this program was held up is not taken for silence. */
static void expire(struct tcp_connect *self, uint64_t now)
{
    uint32_t number;
    uint64_t due;
    while (self->ready_count < READY / 2 && deadlines_first(&self->deadlines, &number, &due) &&
           due <= now) {
        struct attempt *attempt = &self->attempts[number];
        if (now - attempt->started < self->options.timeout(self->options.user, attempt->index)) {
            deadlines_remove(&self->deadlines, number);
            attempt_schedule(self, attempt, now);
            continue;
        }
        if (!attempt_check(self, attempt, now))
            continue;
        reply_silence(self, attempt);
        attempt_disconnect(self, attempt);
        attempt_end(self, attempt);
    }
}

/* How many milliseconds epoll may wait, rounded up: not at all when replies are ready, and not past
 * the next time-out. */
static int wait_limit(const struct tcp_connect *self, uint64_t wait)
{
    uint32_t number;
    uint64_t due;
    if (self->ready_count)
        wait = 0;
    if (wait && deadlines_first(&self->deadlines, &number, &due)) {
        uint64_t now = clock_monotonic();
        uint64_t left = due > now ? due - now : 0;
        wait = left < wait ? left : wait;
    }
    uint64_t milliseconds = wait / NANOSECONDS_PER_MILLISECOND;
    milliseconds += wait % NANOSECONDS_PER_MILLISECOND != 0;
    return milliseconds < INT_MAX ? (int)milliseconds : INT_MAX;
}

static size_t tcp_connect_collect(struct prober *base, uint64_t wait, struct reply *replies,
                                  size_t room)
{
    struct tcp_connect *self = (struct tcp_connect *)base;
    struct epoll_event events[EVENTS];
    int limit = wait_limit(self, wait);
    bool idle = self->in_flight == 0 && limit == 0;
    bool full = self->ready_count > READY - EVENTS; /* each event may give a reply */
    int count = idle || full ? 0 : epoll_wait(self->epoll, events, EVENTS, limit);
    uint64_t now = self->in_flight ? clock_monotonic() : 0;
    for (int i = 0; i < count; i++)
        if (deadlines_has(&self->deadlines, events[i].data.u32))
            attempt_check(self, &self->attempts[events[i].data.u32], now);
    if (count >= 0 && count < EVENTS)
        expire(self, now);
    refusals_check(self); /* of attempts that were started anew */
    size_t given = 0;
    for (; given < room && self->ready_count; given++, self->ready_count--)
        replies[given] = self->ready[self->ready_head++ % READY];
    return given;
}

static uint64_t tcp_connect_oldest(const struct prober *base)
{
    const struct tcp_connect *self = (const struct tcp_connect *)base;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < self->deadlines.count; i++) {
        uint64_t position = self->attempts[self->deadlines.heap[i].item].position;
        if (position < oldest)
            oldest = position;
    }
    for (uint32_t i = 0; i < self->ready_count; i++) {
        uint64_t position = self->ready[(self->ready_head + i) % READY].position;
        if (position < oldest)
            oldest = position;
    }
    return oldest;
}

static struct prober_facts tcp_connect_facts(const struct prober *base)
{
    const struct tcp_connect *self = (const struct tcp_connect *)base;
    return (struct prober_facts){
        .capacity = self->capacity,
        .in_flight = self->in_flight,
        .packets = self->packets,
        .limit = self->limit,
    };
}

static void tcp_connect_close(struct prober *base)
{
    struct tcp_connect *self = (struct tcp_connect *)base;
    if (!self)
        return;
    if (self->epoll >= 0)
        close(self->epoll);
    descriptors_restore();
    address_set_release(&self->self);
    attempts_release(self);
    free(self);
}

/* How many sockets fit beneath `limit`: the lowest free descriptor tells how many are in use, and
 * some are left for files to be opened later. */
static uint32_t sockets_beneath(const struct tcp_connect *self, uint64_t limit)
{
    uint64_t reserve = (uint64_t)self->epoll + (limit < 256 ? 8 : 64);
    uint64_t room = limit > reserve ? limit - reserve : 1;
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

static int tcp_connect_open(const struct prober_class *class, const struct prober_options *options,
                            struct prober **ret_prober, struct error *error)
{
    struct tcp_connect *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, ENOMEM, "no memory for the prober");
    self->base.class = class;
    self->options = *options;
    self->refused_fd = -1;
    uint64_t limit = descriptors_raise();
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0) {
        int code = errno;
        tcp_connect_close(&self->base);
        return error_set(error, code, "cannot make an epoll instance: %s", strerror(code));
    }
    uint32_t available = sockets_beneath(self, limit);
    if (available < options->in_flight)
        self->limit = exhaustion_name(EMFILE);
    int failed =
        attempts_init(self, available < options->in_flight ? available : options->in_flight);
    if (!failed)
        failed = resolve_self(ADDRESS_NONE, &self->self, error);
    if (!failed)
        failed = address_set_seal(&self->self);
    if (failed) {
        tcp_connect_close(&self->base);
        return error_set(error, -failed, "cannot prepare the sockets: %s", strerror(-failed));
    }
    *ret_prober = &self->base;
    return 0;
}

const struct prober_class prober_tcp_connect = {
    .name = "tcp-connect",
    .summary = "connect() through the kernel's sockets, which needs no rights",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED},
    .open = tcp_connect_open,
    .close = tcp_connect_close,
    .submit = tcp_connect_submit,
    .collect = tcp_connect_collect,
    .oldest = tcp_connect_oldest,
    .facts = tcp_connect_facts,
};
