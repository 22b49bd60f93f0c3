/* struct listener: sockets that listen, and what a connection has to show before it is handed over.
 */
#include "talk/listener.h"

#include "base/clock.h"
#include "talk/listener_places.h"
#include "talk/listener_udp.h"
#include "talk/proxy_header.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST 64 /* connections taken before others have their turn */
#define PATIENCE (10 * NANOSECONDS_PER_SECOND)
#define REST (100 * NANOSECONDS_PER_MILLISECOND) /* after accept() failed for want of something */

struct ear {
    struct listener *listener;
    struct watch watch;
    bool watched, ready;
    struct udp_sessions *sessions;
    char *path; /* of a Unix socket that we made */
};

/* A connection that has not yet shown what it must. */
struct approach {
    struct approach *next, **link;
    struct listener *listener;
    struct watch watch; /* fd -1: the channel has it */
    struct timer limit;
    struct channel *channel; /* of TLS */
    struct peer remote, local;
    bool header_wanted; /* and the loop tells of the socket */
};

struct listener {
    struct loop *loop;
    struct listener_options options;
    struct listener_calls calls;
    struct ear ears[LISTENER_SOCKETS];
    size_t count;
    struct channel *everybody; /* UDP's one channel for all peers, which is the receiver's */
    uint64_t present;          /* arrivals and approaches that have not departed */
    struct approach *approaches;
    struct task again;
    struct timer rest;
    bool resting;
    int short_of; /* errno of the last accept(), which was told; 0: it succeeded */
};

const struct listener_options *listener_options_of(const struct listener *listener)
{
    return &listener->options;
}

void listener_tell(struct listener *listener, enum listener_event event, const struct peer *peer,
                   const struct channel *channel, const struct error *error)
{
    if (listener->calls.tell)
        listener->calls.tell(listener->calls.user, event, peer, channel, error);
}

static bool contains(const struct address_set *set, const struct address *address)
{
    return set && address_set_contains(set, address);
}

bool listener_admits(struct listener *listener, const struct peer *peer)
{
    const struct listener_options *options = &listener->options;
    if (peer->kind != PEER_INTERNET ||
        ((!options->allow || contains(options->allow, &peer->address)) &&
         !contains(options->deny, &peer->address)))
        return true;
    listener_tell(listener, LISTENER_DENIED, peer, NULL, NULL);
    return false;
}

/* ---- what a connection has to show ---- */

static void approach_free(struct approach *approach)
{
    struct listener *listener = approach->listener;
    loop_timer_clear(listener->loop, &approach->limit);
    if (approach->header_wanted)
        loop_unwatch(listener->loop, &approach->watch);
    if (approach->watch.fd >= 0)
        close(approach->watch.fd);
    channel_free(approach->channel, true);
    *approach->link = approach->next;
    if (approach->next)
        approach->next->link = approach->link;
    free(approach);
}

static void approach_failed(struct approach *approach, const struct error *error)
{
    struct listener *listener = approach->listener;
    const struct peer remote = approach->remote;
    approach_free(approach);
    listener_departed(listener);
    listener_tell(listener, LISTENER_FAILED, &remote, NULL, error);
}

static void limit_due(struct timer *timer)
{
    struct approach *approach = CONTAINER_OF(timer, struct approach, limit);
    struct error error;
    error_set(&error, ETIMEDOUT,
              approach->channel ? "the TLS handshake was not finished in time"
                                : "no PROXY header came in time");
    approach_failed(approach, &error);
}

/* Hands the connection over. */
static void approach_arrived(struct approach *approach, struct channel *channel, int fd)
{
    struct listener *listener = approach->listener;
    const struct arrival arrival = {
        .channel = channel, .remote = approach->remote, .local = approach->local, .fd = fd};
    approach->channel = NULL;
    approach_free(approach);
    channel->readable = channel->writable = true;
    listener->calls.arrived(listener->calls.user, &arrival);
}

/* Returns 0, -EAGAIN, or -errno with an error. */
static int take_header(struct approach *approach, struct error *error)
{
    /* Such a header is a few dozen bytes; with additions it may be longer, but all of it must be
     * here before any of it is taken. */
    struct proxy_header header = {0};
    char *room = malloc(PROXY_HEADER_MAXIMUM);
    if (!room)
        return error_set(error, ENOMEM, "out of memory");
    ssize_t got = recv(approach->watch.fd, room, PROXY_HEADER_MAXIMUM, MSG_PEEK | MSG_DONTWAIT);
    int r = got < 0 ? -errno : 0;
    if (got == 0)
        r = error_set(error, ECONNRESET, "it ended without a PROXY header");
    else if (got < 0 && r != -EAGAIN)
        error_set(error, -r, "%s", strerror(-r));
    if (got > 0) {
        ssize_t length = proxy_header_read(room, (size_t)got, &header, error);
        if (length > 0)
            (void)!recv(approach->watch.fd, room, (size_t)length, MSG_DONTWAIT);
        r = length > 0 ? 0 : length == 0 ? -EAGAIN : (int)length;
    }
    free(room);
    if (!r && header.known) {
        approach->remote = header.source;
        approach->local = header.destination;
    }
    return r;
}

static void approach_channel_ready(struct channel *channel, void *user);

/* Returns 0 when the connection has arrived or failed, -EAGAIN when it is still waited for. */
static int approach_go_on(struct approach *approach)
{
    struct listener *listener = approach->listener;
    struct error error = {0};
    int r = approach->header_wanted ? take_header(approach, &error) : 0;
    if (r == -EAGAIN)
        return r;
    if (approach->header_wanted)
        loop_unwatch(listener->loop, &approach->watch);
    approach->header_wanted = false;
    int fd = approach->watch.fd;
    bool secure = listener->options.endpoint.kind == ENDPOINT_TLS;
    if (!r && !approach->channel) {
        approach->watch.fd = -1;
        r = secure ? channel_tls_new(listener->loop, listener->options.tls, fd, NULL, NULL,
                                     &approach->channel, &error)
                   : channel_socket_new(listener->loop, fd, &approach->channel);
        if (r && !secure)
            error_set(&error, -r, "%s", strerror(-r));
        if (!r) {
            approach->channel->ready = approach_channel_ready;
            approach->channel->user = approach;
        }
    }
    if (!r && secure) {
        r = channel_tls_handshake(approach->channel, &error);
        if (r == -EAGAIN)
            return r;
        if (!r)
            listener_tell(listener, LISTENER_SECURED, &approach->remote, approach->channel, NULL);
    }
    if (r)
        approach_failed(approach, &error);
    else
        approach_arrived(approach, approach->channel, secure ? -1 : fd);
    return 0;
}

static void approach_channel_ready(struct channel *channel, void *user)
{
    (void)channel;
    approach_go_on(user);
}

static void approach_ready(struct watch *watch, uint32_t events)
{
    struct approach *approach = CONTAINER_OF(watch, struct approach, watch);
    if (approach_go_on(approach) == -EAGAIN && approach->header_wanted &&
        events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        struct error error;
        error_set(&error, ECONNRESET, "it ended within its PROXY header");
        approach_failed(approach, &error);
    }
}

/* Takes a connection that was accepted. Returns 0 or -errno, with the descriptor closed. */
static int approach_new(struct listener *listener, int fd, const struct peer *remote,
                        const struct peer *local)
{
    struct approach *approach = calloc(1, sizeof(*approach));
    if (!approach) {
        close(fd);
        return -ENOMEM;
    }
    *approach = (struct approach){.listener = listener,
                                  .watch = {.fd = fd, .ready = approach_ready},
                                  .limit.due = limit_due,
                                  .remote = *remote,
                                  .local = *local,
                                  .header_wanted = listener->options.proxy_header,
                                  .next = listener->approaches,
                                  .link = &listener->approaches};
    uint64_t patience = listener->options.timeout ? listener->options.timeout : PATIENCE;
    int failed = approach->header_wanted
                     ? loop_watch(listener->loop, &approach->watch, EPOLLIN | EPOLLRDHUP)
                     : 0;
    if (failed) {
        free(approach);
        close(fd);
        return failed;
    }
    if (approach->next)
        approach->next->link = &approach->next;
    listener->approaches = approach;
    listener->present++;
    if (approach_go_on(approach) == -EAGAIN)
        return loop_timer_set(listener->loop, &approach->limit,
                              loop_now(listener->loop) + patience);
    return 0;
}

/* ---- accepting ---- */

bool listener_is_full(const struct listener *listener)
{
    return listener->options.maximum && listener->present >= listener->options.maximum;
}

/* Failures of one connection are no failures of accept(), accept(2). */
static bool is_of_connection(int code)
{
    static const int codes[] = {ECONNABORTED, EINTR,       EPERM,      ENETDOWN,
                                EPROTO,       ENOPROTOOPT, EHOSTDOWN,  ENONET,
                                EHOSTUNREACH, EOPNOTSUPP,  ENETUNREACH};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i] == code)
            return true;
    return false;
}

static void accept_failed(struct listener *listener, int code)
{
    struct error error;
    error_set(&error, code, "cannot take another connection: %s", strerror(code));
    listener->resting = true;
    loop_timer_set(listener->loop, &listener->rest, loop_now(listener->loop) + REST);
    if (!listener->short_of)
        listener_tell(listener, LISTENER_FAILED, NULL, NULL, &error);
    listener->short_of = code;
}

static void ear_accept(struct ear *ear)
{
    struct listener *listener = ear->listener;
    const int yes = 1;
    for (unsigned i = 0; i < BURST; i++) {
        struct sockaddr_storage sockaddr = {0};
        socklen_t length = sizeof(sockaddr);
        if (!ear->watched || listener->resting || listener_is_full(listener))
            return;
        int fd = accept4(ear->watch.fd, (struct sockaddr *)&sockaddr, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_of_connection(errno))
            continue;
        if (fd < 0) {
            ear->ready = errno != EAGAIN;
            if (ear->ready)
                accept_failed(listener, errno);
            return;
        }
        struct peer remote = peer_from_sockaddr(&sockaddr, length), local = peer_of_socket(fd);
        if (!listener_admits(listener, &remote)) {
            close(fd);
            continue;
        }
        if (remote.kind == PEER_INTERNET)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        int failed = approach_new(listener, fd, &remote, &local);
        if (!failed)
            listener->short_of = 0;
        else
            accept_failed(listener, -failed);
    }
    loop_defer(listener->loop, &listener->again);
}

static void ear_ready(struct watch *watch, uint32_t events)
{
    struct ear *ear = CONTAINER_OF(watch, struct ear, watch);
    (void)events;
    ear->ready = true;
    ear_accept(ear);
}

static void accept_again(struct task *task)
{
    struct listener *listener = CONTAINER_OF(task, struct listener, again);
    for (size_t i = 0; i < listener->count; i++)
        if (listener->ears[i].ready)
            ear_accept(&listener->ears[i]);
}

static void rest_due(struct timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, rest);
    listener->resting = false;
    accept_again(&listener->again);
}

void listener_departed(struct listener *listener)
{
    bool full = listener_is_full(listener);
    listener->present--;
    if (full)
        loop_defer(listener->loop, &listener->again);
}

/* ---- the sockets ---- */

static void ear_close(struct ear *ear)
{
    struct loop *loop = ear->listener->loop;
    if (ear->watched) {
        loop_unwatch(loop, &ear->watch);
        close(ear->watch.fd);
    }
    if (ear->sessions)
        udp_sessions_close(ear->sessions);
    if (ear->path)
        unlink(ear->path);
    free(ear->path);
    ear->path = NULL;
    ear->sessions = NULL;
    ear->watched = false;
}

static void session_arrived(struct listener *listener, struct channel *channel,
                            const struct peer *remote, const struct peer *local)
{
    const struct arrival arrival = {
        .channel = channel, .remote = *remote, .local = *local, .fd = -1};
    listener->present++;
    listener->calls.arrived(listener->calls.user, &arrival);
}

/* Begins to use a socket, which it takes. Returns 0 or -errno. */
static int ear_open(struct listener *listener, int fd, bool datagrams)
{
    struct ear *ear = &listener->ears[listener->count];
    struct arrival arrival = {.fd = -1, .local = peer_of_socket(fd)};
    int failed;
    *ear = (struct ear){.listener = listener, .watch = {.fd = fd, .ready = ear_ready}};
    if (datagrams && listener->options.sessions) {
        failed = udp_sessions_new(listener->loop, listener, fd, session_arrived, &ear->sessions);
    } else if (datagrams && listener->everybody) {
        failed = channel_udp_add(listener->everybody, fd);
    } else if (datagrams) {
        failed = channel_udp_new(listener->loop, listener, fd, &listener->everybody);
        arrival.channel = listener->everybody;
    } else {
        failed = loop_watch(listener->loop, &ear->watch, EPOLLIN);
        ear->watched = !failed;
        if (failed)
            close(fd);
    }
    if (failed)
        return failed;
    listener->count++;
    listener_tell(listener, LISTENER_READY, &arrival.local, NULL, NULL);
    if (arrival.channel) {
        listener->present++;
        listener->calls.arrived(listener->calls.user, &arrival);
    }
    return 0;
}

/* Returns 0, or -errno with an error. */
static int open_places(struct listener *listener, struct error *error)
{
    int fds[LISTENER_SOCKETS], failed;
    size_t count;
    failed = listener_places_open(&listener->options, fds, &count, error);
    if (failed)
        return failed;
    for (size_t i = 0; i < count; i++) {
        if (failed)
            close(fds[i]);
        else
            failed = ear_open(listener, fds[i], listener->options.endpoint.kind == ENDPOINT_UDP);
    }
    return failed ? error_set(error, -failed, "cannot listen: %s", strerror(-failed)) : 0;
}

/* What was handed over must be a socket that listens, or one of datagrams; who made it may have
 * left it blocking, and then accept() would wait. Returns 0 or -errno. */
static int open_one_inherited(struct listener *listener, int fd)
{
    int type = 0, listens = 0;
    socklen_t length = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0)
        return -errno;
    if (type != SOCK_DGRAM && !listens)
        return -ENOTCONN;
    if (listener->count == LISTENER_SOCKETS)
        return -E2BIG;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return ear_open(listener, fd, type == SOCK_DGRAM);
}

static int open_inherited(struct listener *listener, struct error *error)
{
    for (size_t i = 0; i < listener->options.inherited_count; i++) {
        int fd = listener->options.inherited[i];
        int failed = open_one_inherited(listener, fd);
        if (failed)
            return error_set(error, -failed, "cannot use the socket that was handed over as %d: %s",
                             fd, failed == -ENOTCONN ? "it does not listen" : strerror(-failed));
    }
    return 0;
}

int listener_new(struct loop *loop, const struct listener_options *options,
                 const struct listener_calls *calls, struct listener **ret_listener,
                 struct error *error)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return error_set(error, ENOMEM, "out of memory");
    *listener = (struct listener){.loop = loop,
                                  .options = *options,
                                  .calls = *calls,
                                  .again.run = accept_again,
                                  .rest.due = rest_due};
    int failed =
        options->inherited_count ? open_inherited(listener, error) : open_places(listener, error);
    if (!failed && !options->inherited_count && options->endpoint.kind == ENDPOINT_UNIX &&
        options->endpoint.path[0] != '@')
        listener->ears[0].path = strdup(options->endpoint.path);
    if (failed) {
        listener_free(listener);
        return failed;
    }
    *ret_listener = listener;
    return 0;
}

void listener_close(struct listener *listener)
{
    for (size_t i = 0; i < listener->count; i++)
        ear_close(&listener->ears[i]);
    listener->count = 0;
    if (listener->everybody)
        channel_udp_leave(listener->everybody);
    listener->everybody = NULL;
    while (listener->approaches)
        approach_free(listener->approaches);
    loop_cancel(listener->loop, &listener->again);
    loop_timer_clear(listener->loop, &listener->rest);
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    listener_close(listener);
    free(listener);
}
