/* struct pair: two flows, each from one channel to the other, and when they are over.
 *
 * A flow has read something that is not yet written (in `pending`, or in a pipe of the kernel's),
 * or nothing; it reads only when the other channel can be written. Small reads are copied; once one
 * fills its room the kernel moves the bytes by itself, where it can. */
#include "talk/pair.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SIZE ((size_t)64 << 10)  /* one read, while reads are small */
#define SPLICE_SIZE ((size_t)1 << 20) /* one splice(2) */
#define TURN_SIZE ((size_t)4 << 20)   /* after which others have their turn, */
#define TURN_STEPS 256                /* and after so many reads and writes, which may be small */
#define DATAGRAM_SIZE ((size_t)65507) /* the most that UDP over IPv4 carries */
#define STALLS 16                     /* times that the kernel may contradict itself */
#define ACKNOWLEDGED_PATIENCE (5 * NANOSECONDS_PER_SECOND) /* for the last bytes before a close */
#define ACKNOWLEDGED_STEP (5 * NANOSECONDS_PER_MILLISECOND)

enum way {
    WAY_COPY,
    WAY_DIRECT,   /* one of the two is a pipe: splice(2) from one to the other */
    WAY_SENDFILE, /* from a regular file */
    WAY_PIPE,     /* through a pipe of ours */
};

struct flow {
    struct channel *from, *to;
    enum way way;
    bool bulk;             /* the kernel may move them by itself, when they are many */
    struct buffer pending; /* read, not yet written */
    size_t written;        /* of `pending` */
    struct pipe_ends pipe; /* -1: none is lent */
    size_t piped;          /* bytes in it */
    uint64_t bytes;        /* handed on */
    bool ended;            /* `from` has ended, or has failed */
    bool done;             /* and `to` was told what it shall be told */
    bool broken;           /* it ended by a failure */
    unsigned stalls;       /* EAGAIN in a row although both were ready */
    bool waiting;          /* until `delay` is over */
    bool empty_message;    /* `pending` is a datagram without a byte */
};

struct pair {
    struct loop *loop;
    struct pipes *pipes;
    struct pair_options options;
    struct flow flows[PAIR_DIRECTIONS];
    struct task turn;
    struct timer idle, closing, delay;
    uint64_t active;              /* when bytes moved last */
    uint64_t close_limit;         /* when a close no longer waits for acknowledgements */
    size_t unsent;                /* for which it waits */
    struct buffer converted;      /* room for convert() */
    struct flow *doomed;          /* its end is the end of all: the other has failed */
    const struct channel *guilty; /* which failed first; NULL: none */
    bool failing; /* nothing is moved any more: only acknowledgements are waited for */
    bool over;
    enum pair_outcome outcome;
    struct error error;
};

/* ---- how bytes are moved ---- */

static mode_t type_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 ? 0 : status.st_mode & S_IFMT;
}

/* How many bytes are moved between these two. */
static enum way bulk_way(const struct flow *flow)
{
    mode_t from = type_of(flow->from->splice_in), to = type_of(flow->to->splice_out);
    if (from == S_IFIFO || to == S_IFIFO)
        return WAY_DIRECT;
    return from == S_IFREG ? WAY_SENDFILE : WAY_PIPE;
}

/* The kernel cannot move these bytes by itself after all. */
static void flow_copies(struct flow *flow)
{
    flow->way = WAY_COPY;
    flow->bulk = false;
}

static enum pair_direction flow_direction(const struct pair *pair, const struct flow *flow)
{
    return flow == &pair->flows[PAIR_FORTH] ? PAIR_FORTH : PAIR_BACK;
}

/* Remembers the first failure, in the words of the channel where it has some. */
static void note_failure(struct pair *pair, const struct channel *channel, int code,
                         const char *doing)
{
    if (pair->guilty)
        return;
    pair->guilty = channel;
    if (channel->error.code)
        pair->error = channel->error;
    else
        error_set(&pair->error, code, "%s: %s", doing, strerror(code));
}

/* `from` gives no more. What it gave before is still handed on. Returns 1. */
static int read_failed(struct pair *pair, struct flow *flow, ssize_t result)
{
    note_failure(pair, flow->from, (int)-result, "reading");
    flow->ended = true;
    flow->broken = true;
    return 1;
}

/* `to` takes no more. Returns -errno. */
static int write_failed(struct pair *pair, struct flow *flow, ssize_t result)
{
    note_failure(pair, flow->to, (int)-result, "writing");
    return (int)result;
}

static void flow_count(struct pair *pair, struct flow *flow, size_t bytes)
{
    flow->bytes += bytes;
    pair->active = loop_now(pair->loop);
}

/* The kernel cannot move these bytes by itself after all (a terminal, a file that is appended to):
 * what is in the pipe comes back, and from now on everything is copied. Returns 0 or -errno. */
static int flow_copy_instead(struct pair *pair, struct flow *flow)
{
    int failed = 0;
    flow_copies(flow);
    while (flow->piped && !failed) {
        ssize_t got = read(flow->pipe.out, pair->pipes->buffer, PIPES_BUFFER_SIZE);
        if (got <= 0) {
            failed = got < 0 ? -errno : -EIO;
            break;
        }
        buffer_add(&flow->pending, pair->pipes->buffer, (size_t)got);
        flow_count(pair, flow, (size_t)got);
        flow->piped -= (size_t)got;
    }
    pipes_give(pair->pipes, &flow->pipe, flow->piped == 0);
    flow->piped = 0;
    return flow->pending.failed ? -ENOMEM : failed;
}

/* Writes what was copied. Returns 1 when it went on, 0 when it cannot now, or -errno. */
static int flow_write_pending(struct pair *pair, struct flow *flow)
{
    size_t left = flow->pending.length - flow->written;
    const char *bytes = left ? flow->pending.data + flow->written : "";
    ssize_t put = channel_write(flow->to, bytes, left);
    if (put == -EAGAIN) {
        flow->to->writable = false;
        return 0;
    }
    if (put < 0)
        return write_failed(pair, flow, put);
    flow->written += (size_t)put;
    flow->empty_message = false;
    pair->active = loop_now(pair->loop);
    if (flow->written == flow->pending.length || flow->to->messages) {
        flow->written = 0;
        if (flow->pending.capacity > PIPES_BUFFER_SIZE)
            buffer_release(&flow->pending);
        else
            buffer_clear(&flow->pending);
    }
    return 1;
}

/* The same for what is in the pipe. */
static int flow_write_pipe(struct pair *pair, struct flow *flow)
{
    ssize_t put = splice(flow->pipe.out, NULL, flow->to->splice_out, NULL, flow->piped,
                         SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (put < 0 && errno == EINTR)
        return 1;
    if (put < 0 && errno == EAGAIN) {
        flow->to->writable = false;
        return 0;
    }
    if (put < 0 && errno == EINVAL) {
        int failed = flow_copy_instead(pair, flow);
        return failed ? write_failed(pair, flow, failed) : 1;
    }
    if (put <= 0)
        return write_failed(pair, flow, put < 0 ? -errno : -EIO);
    flow->piped -= (size_t)put;
    flow_count(pair, flow, (size_t)put);
    if (!flow->piped)
        pipes_give(pair->pipes, &flow->pipe, true);
    return 1;
}

/* Hands on what was read: in another form, and at once as far as possible, which spares most bytes
 * a stay in `pending`. Returns 1, 0 or -errno. */
static int flow_hand_on(struct pair *pair, struct flow *flow, const char *bytes, size_t length)
{
    enum pair_direction direction = flow_direction(pair, flow);
    if (pair->options.observe)
        pair->options.observe(pair->options.user, direction, bytes, length);
    flow_count(pair, flow, length);
    if (pair->options.convert[direction]) {
        buffer_clear(&pair->converted);
        pair->options.convert[direction](pair->options.user, bytes, length, &pair->converted);
        if (pair->converted.failed)
            return write_failed(pair, flow, -ENOMEM);
        length = pair->converted.length;
        bytes = length ? pair->converted.data : "";
    }
    ssize_t put = length || flow->to->messages ? channel_write(flow->to, bytes, length) : 0;
    if (put == -EAGAIN) {
        flow->to->writable = false;
        flow->empty_message = length == 0;
        put = 0;
    } else if (put >= 0 && flow->to->messages) {
        put = (ssize_t)length;
    }
    if (put < 0)
        return write_failed(pair, flow, put);
    buffer_add(&flow->pending, bytes + put, length - (size_t)put);
    return flow->pending.failed ? write_failed(pair, flow, -ENOMEM) : 1;
}

/* How much is read at once. What is converted may become twice as long (a line end of one byte is
 * then one of two), and must fit into its datagram all the same. */
static size_t flow_read_size(const struct pair *pair, const struct flow *flow)
{
    if (!flow->to->messages || flow->from->messages)
        return flow->bulk ? COPY_SIZE : PIPES_BUFFER_SIZE;
    if (pair->options.message_size)
        return pair->options.message_size < PIPES_BUFFER_SIZE ? pair->options.message_size
                                                              : PIPES_BUFFER_SIZE;
    return pair->options.convert[flow_direction(pair, flow)] ? DATAGRAM_SIZE / 2 : DATAGRAM_SIZE;
}

static int flow_copy(struct pair *pair, struct flow *flow)
{
    size_t size = flow_read_size(pair, flow);
    ssize_t got = channel_read(flow->from, pair->pipes->buffer, size);
    if (got == -EAGAIN) {
        flow->from->readable = false;
        return 0;
    }
    if (got == CHANNEL_END) {
        flow->ended = true;
        return 1;
    }
    if (got < 0)
        return read_failed(pair, flow, got);
    if ((size_t)got == size)
        flow->way = flow->bulk ? bulk_way(flow) : WAY_COPY;
    return flow_hand_on(pair, flow, pair->pipes->buffer, (size_t)got);
}

/* splice() or sendfile() said EAGAIN, but not for which of the two. Only what poll() says now is
 * believed: a readiness that comes later is told by the loop, one that was there is not told again.
 */
static int flow_who_waits(struct flow *flow)
{
    struct pollfd ends[] = {{.fd = flow->from->splice_in, .events = POLLIN | POLLRDHUP},
                            {.fd = flow->to->splice_out, .events = POLLOUT}};
    poll(ends, 2, 0);
    if (!ends[0].revents)
        flow->from->readable = false;
    else if (!ends[1].revents)
        flow->to->writable = false;
    else if (++flow->stalls < STALLS)
        return 1; /* both can go on by now */
    else
        flow_copies(flow);
    return flow->way == WAY_COPY;
}

/* What splice() or sendfile() moved from `from`. Returns 1 when it went on, 0 when it cannot now,
 * or -errno; *ret_moved is how much. */
static int flow_moved(struct pair *pair, struct flow *flow, ssize_t moved, size_t *ret_moved)
{
    int code = moved < 0 ? errno : 0;
    *ret_moved = moved > 0 ? (size_t)moved : 0;
    if (moved > 0)
        flow->stalls = 0;
    else if (moved == 0)
        flow->ended = true;
    else if (code == EAGAIN)
        return flow_who_waits(flow);
    else if (code == EINVAL || code == ENOSYS)
        flow_copies(flow);
    else if (code == EPIPE || !flow->from->connected)
        return write_failed(pair, flow, -code);
    else if (code != EINTR)
        return read_failed(pair, flow, -code);
    return 1;
}

static int flow_direct(struct pair *pair, struct flow *flow)
{
    size_t moved;
    int r =
        flow_moved(pair, flow,
                   flow->way == WAY_SENDFILE
                       ? sendfile(flow->to->splice_out, flow->from->splice_in, NULL, SPLICE_SIZE)
                       : splice(flow->from->splice_in, NULL, flow->to->splice_out, NULL,
                                SPLICE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK),
                   &moved);
    flow_count(pair, flow, moved);
    return r;
}

static int flow_fill_pipe(struct pair *pair, struct flow *flow)
{
    int r = 0;
    int failed = flow->pipe.out < 0 ? pipes_take(pair->pipes, &flow->pipe) : 0;
    if (failed) { /* no descriptors are left: bytes can be copied all the same */
        flow->way = WAY_COPY;
        return 1;
    }
    ssize_t got = splice(flow->from->splice_in, NULL, flow->pipe.in, NULL, SPLICE_SIZE,
                         SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got < 0 && errno == EAGAIN) /* the pipe is empty, so it is `from` that waits */
        flow->from->readable = false;
    else
        r = flow_moved(pair, flow, got, &flow->piped);
    if (!flow->piped)
        pipes_give(pair->pipes, &flow->pipe, true);
    return r;
}

/* ---- one flow ---- */

static bool flow_holds(const struct flow *flow)
{
    return flow->pending.length || flow->piped || flow->empty_message;
}

/* `from` has ended and all it said is handed on. */
static int flow_end(struct pair *pair, struct flow *flow)
{
    /* Who ended without saying so (TLS) may still listen. */
    if (flow->broken && pair->error.code != ECONNABORTED)
        return -pair->error.code;
    if (flow == pair->doomed) /* which is no end to be told */
        return -pair->error.code;
    enum pair_eof on_eof = pair->options.on_eof[flow_direction(pair, flow)];
    if (on_eof != PAIR_KEEP) {
        int failed = channel_shut(flow->to);
        if (failed == -EAGAIN) {
            flow->to->writable = false;
            return 0;
        }
        if (failed)
            return write_failed(pair, flow, failed);
    }
    flow->done = true;
    if (on_eof == PAIR_CLOSE) {
        uint64_t time = loop_now(pair->loop) + pair->options.eof_patience;
        pair->close_limit = time + ACKNOWLEDGED_PATIENCE;
        return loop_timer_set(pair->loop, &pair->closing, time) ? -ENOMEM : 1;
    }
    return 1;
}

/* Returns 1 when something happened, so that it is worth calling again; 0 when not, or -errno. */
static int flow_step(struct pair *pair, struct flow *flow)
{
    if (flow->done || !(flow->to->writable || (flow->ended && !flow_holds(flow))))
        return 0;
    if (flow->pending.length || flow->empty_message)
        return flow_write_pending(pair, flow);
    if (flow->piped)
        return flow_write_pipe(pair, flow);
    if (flow->ended)
        return flow_end(pair, flow);
    if (!flow->from->readable || flow->waiting)
        return 0;
    if (pair->options.delay) {
        flow->waiting = true;
        if (loop_timer_set(pair->loop, &pair->delay, loop_now(pair->loop) + pair->options.delay))
            return -ENOMEM;
    }
    switch (flow->way) {
    case WAY_COPY:
        return flow_copy(pair, flow);
    case WAY_PIPE:
        return flow_fill_pipe(pair, flow);
    case WAY_DIRECT:
    case WAY_SENDFILE:
        break;
    }
    return flow_direct(pair, flow);
}

/* ---- the pair ---- */

static void pair_over(struct pair *pair, enum pair_outcome outcome)
{
    if (pair->over)
        return;
    pair->over = true;
    pair->outcome = outcome;
    loop_defer(pair->loop, &pair->turn);
}

/* Bytes that the sides to be closed have not acknowledged. Those who failed will not. */
static size_t pair_unsent(const struct pair *pair)
{
    size_t unsent = 0;
    for (enum pair_direction i = 0; i < PAIR_DIRECTIONS; i++) {
        const struct channel *to = pair->flows[i].to;
        bool closes = pair->options.on_eof[i] == PAIR_CLOSE && pair->flows[i].done;
        if ((closes || pair->failing) && to != pair->guilty && to->class->unsent)
            unsent += to->class->unsent(to);
    }
    return unsent;
}

/* A failure of one connection is passed on to the other one as a reset, which takes with it what is
 * still under way there: that is waited for. */
static void pair_failed(struct pair *pair)
{
    uint64_t now = loop_now(pair->loop);
    if (pair->over || pair->failing)
        return;
    pair->failing = true;
    pair->unsent = pair_unsent(pair);
    pair->close_limit = now + ACKNOWLEDGED_PATIENCE;
    loop_timer_clear(pair->loop, &pair->idle);
    if (!pair->guilty->connected || !pair->unsent ||
        loop_timer_set(pair->loop, &pair->closing, now + ACKNOWLEDGED_STEP))
        pair_over(pair, PAIR_FAILED);
}

/* A direction is over before its time. When it was writing to a connection that failed, what had
 * come from there before, an answer and then the reset, say, is still handed on. */
static void flow_failed(struct pair *pair, struct flow *flow)
{
    struct flow *other = &pair->flows[flow == &pair->flows[PAIR_FORTH]];
    flow->done = true;
    if (flow->broken || !flow->to->connected || other->done) {
        pair_failed(pair);
    } else {
        pair->doomed = other;
        other->from->readable = true;
    }
}

/* The side where a person sits is not waited for when the other one has ended. */
static bool pair_is_done(const struct pair *pair)
{
    const struct flow *forth = &pair->flows[PAIR_FORTH], *back = &pair->flows[PAIR_BACK];
    return (forth->done && back->done) ||
           (back->done && forth->from->terminal && !flow_holds(forth)) ||
           (forth->done && back->from->terminal && !flow_holds(back));
}

static bool pair_is_drained(const struct pair *pair)
{
    return pair->doomed &&
           (pair->doomed->done || (!pair->doomed->from->readable && !flow_holds(pair->doomed)));
}

static void pair_step(struct pair *pair)
{
    uint64_t before = pair->flows[PAIR_FORTH].bytes + pair->flows[PAIR_BACK].bytes;
    bool went_on = true;
    for (unsigned steps = 0; went_on && !pair->over && !pair->failing; steps++) {
        went_on = false;
        for (enum pair_direction i = 0; i < PAIR_DIRECTIONS && !pair->over; i++) {
            int r = flow_step(pair, &pair->flows[i]);
            went_on = went_on || r > 0;
            if (r < 0)
                flow_failed(pair, &pair->flows[i]);
        }
        if (pair_is_drained(pair))
            pair_failed(pair);
        else if (pair_is_done(pair) && pair->guilty)
            pair_failed(pair);
        else if (pair_is_done(pair))
            pair_over(pair, PAIR_ENDED);
        if (steps == TURN_STEPS ||
            pair->flows[PAIR_FORTH].bytes + pair->flows[PAIR_BACK].bytes - before > TURN_SIZE) {
            loop_defer(pair->loop, &pair->turn);
            return;
        }
    }
}

static void pair_turn(struct task *task)
{
    struct pair *pair = CONTAINER_OF(task, struct pair, turn);
    if (!pair->over)
        pair_step(pair);
    if (pair->over && pair->options.ended) {
        void (*ended)(void *, enum pair_outcome, const struct error *) = pair->options.ended;
        pair->options.ended = NULL;
        loop_cancel(pair->loop, &pair->turn);
        ended(pair->options.user, pair->outcome,
              pair->outcome == PAIR_FAILED ? &pair->error : NULL);
    }
}

static void channel_became_ready(struct channel *channel, void *user)
{
    struct pair *pair = user;
    (void)channel;
    if (!pair->over)
        pair_step(pair);
}

static void idle_due(struct timer *timer)
{
    struct pair *pair = CONTAINER_OF(timer, struct pair, idle);
    uint64_t due = pair->active + pair->options.idle;
    if (due <= loop_now(pair->loop))
        pair_over(pair, PAIR_IDLE);
    else
        loop_timer_set(pair->loop, timer, due);
}

/* To close a socket that has unread bytes is to reset it, and the other side may lose what we said
 * last; so that has to be acknowledged first. */
static void closing_due(struct timer *timer)
{
    struct pair *pair = CONTAINER_OF(timer, struct pair, closing);
    uint64_t now = loop_now(pair->loop);
    size_t unsent = pair_unsent(pair);
    if (unsent < pair->unsent) /* it goes on */
        pair->close_limit = now + ACKNOWLEDGED_PATIENCE;
    pair->unsent = unsent;
    if (!unsent || now >= pair->close_limit ||
        loop_timer_set(pair->loop, timer, now + ACKNOWLEDGED_STEP))
        pair_over(pair, pair->failing ? PAIR_FAILED : PAIR_CLOSED);
}

static void delay_due(struct timer *timer)
{
    struct pair *pair = CONTAINER_OF(timer, struct pair, delay);
    pair->flows[PAIR_FORTH].waiting = pair->flows[PAIR_BACK].waiting = false;
    loop_defer(pair->loop, &pair->turn);
}

int pair_new(struct loop *loop, struct pipes *pipes, struct channel *first, struct channel *second,
             const struct pair_options *options, struct pair **ret_pair)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (!pair)
        return -ENOMEM;
    *pair = (struct pair){.loop = loop,
                          .pipes = pipes,
                          .options = *options,
                          .active = loop_now(loop),
                          .turn.run = pair_turn,
                          .idle.due = idle_due,
                          .closing.due = closing_due,
                          .delay.due = delay_due};
    if (options->idle && loop_timer_set(loop, &pair->idle, pair->active + options->idle)) {
        free(pair);
        return -ENOMEM;
    }
    for (enum pair_direction i = 0; i < PAIR_DIRECTIONS; i++) {
        struct flow *flow = &pair->flows[i];
        flow->from = i == PAIR_FORTH ? first : second;
        flow->to = i == PAIR_FORTH ? second : first;
        flow->pipe = (struct pipe_ends){.out = -1, .in = -1};
        flow->way = WAY_COPY;
        flow->bulk = !options->convert[i] && !options->observe && !options->delay &&
                     flow->from->splice_in >= 0 && flow->to->splice_out >= 0;
        flow->from->ready = channel_became_ready;
        flow->from->user = pair;
    }
    loop_defer(loop, &pair->turn);
    *ret_pair = pair;
    return 0;
}

void pair_close(struct pair *pair)
{
    pair_over(pair, PAIR_CLOSED);
}

void pair_free(struct pair *pair, bool abort)
{
    if (!pair)
        return;
    loop_cancel(pair->loop, &pair->turn);
    loop_timer_clear(pair->loop, &pair->idle);
    loop_timer_clear(pair->loop, &pair->closing);
    loop_timer_clear(pair->loop, &pair->delay);
    for (enum pair_direction i = 0; i < PAIR_DIRECTIONS; i++) {
        struct flow *flow = &pair->flows[i];
        if (flow->pipe.out >= 0)
            pipes_give(pair->pipes, &flow->pipe, flow->piped == 0);
        buffer_release(&flow->pending);
        channel_free(flow->from, abort);
    }
    buffer_release(&pair->converted);
    free(pair);
}

uint64_t pair_bytes(const struct pair *pair, enum pair_direction direction)
{
    return pair->flows[direction].bytes;
}

enum pair_side pair_guilty(const struct pair *pair)
{
    return pair->guilty == pair->flows[PAIR_BACK].from ? PAIR_SECOND : PAIR_FIRST;
}
