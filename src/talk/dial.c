/* struct dial: look up, connect, ask the proxy, greet, shake hands. */
#include "talk/dial.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/resolve_aside.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS_PATIENCE (3 * NANOSECONDS_PER_SECOND) /* for one address while others are left */
#define RETRY_STEP (10 * NANOSECONDS_PER_MILLISECOND)
#define PROXY_ROOM 32768 /* more than the longest answer of a proxy */

enum step {
    STEP_LOOK_UP,
    STEP_CONNECT,
    STEP_PROXY,
    STEP_GREET,
    STEP_SECURE,
};

struct dial {
    struct loop *loop;
    struct dial_options options;
    struct dial_calls calls;
    struct proxy_negotiation negotiation;

    struct resolve_aside *aside;
    struct peer peers[RESOLVE_ASIDE_MAXIMUM]; /* to be tried, in this order */
    size_t count, next;

    enum step step;
    struct watch watch; /* fd -1: no socket */
    bool watched;
    struct buffer send; /* to go out before the next step */
    size_t sent;
    struct channel *channel; /* of STEP_SECURE */
    struct peer local;
    bool reset; /* the connection was made and reset before we looked */

    struct timer limit, patience;
    struct task task; /* takes a next step from the loop, or done() */
    bool failed;
    struct error error;
};

static const char proxy_ended[] = "the proxy ended the connection before it was open";

static void dial_go_on(struct dial *dial);

/* ---- the end ---- */

static void close_socket(struct dial *dial)
{
    if (dial->watched)
        loop_unwatch(dial->loop, &dial->watch);
    if (dial->watch.fd >= 0)
        close(dial->watch.fd);
    dial->watched = false;
    dial->watch.fd = -1;
}

static void dial_free(struct dial *dial)
{
    resolve_aside_cancel(dial->aside);
    loop_timer_clear(dial->loop, &dial->limit);
    loop_timer_clear(dial->loop, &dial->patience);
    loop_cancel(dial->loop, &dial->task);
    close_socket(dial);
    channel_free(dial->channel, true);
    buffer_release(&dial->send);
    free(dial);
}

void dial_cancel(struct dial *dial)
{
    if (dial)
        dial_free(dial);
}

static void finish(struct dial *dial, struct channel *channel, const struct peer *local,
                   const struct peer *remote)
{
    const struct dial_calls calls = dial->calls;
    const struct error error = dial->error;
    dial_free(dial);
    calls.done(calls.user, channel, local, remote, channel ? NULL : &error);
}

static void tell(const struct dial *dial, enum dial_event event, const struct error *error)
{
    if (dial->calls.tell)
        dial->calls.tell(dial->calls.user, event, &dial->peers[dial->next], dial->channel, error);
}

/* Gives up; done() is called from the loop. */
static void fail(struct dial *dial)
{
    dial->failed = true;
    close_socket(dial);
    loop_timer_clear(dial->loop, &dial->limit);
    loop_timer_clear(dial->loop, &dial->patience);
    loop_defer(dial->loop, &dial->task);
}

/* ---- connecting ---- */

/* "cannot connect to db:5432 (10.0.0.1): Connection refused" */
static void set_connect_error(struct dial *dial, int code, const char *what)
{
    char peer[PEER_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    const struct peer *at = &dial->peers[dial->next];
    const struct endpoint *endpoint = &dial->options.endpoint;
    bool named = at->kind == PEER_INTERNET &&
                 strcmp(address_format(&at->address, address), endpoint->host) != 0;
    peer_format(at, peer);
    if (dial->options.proxy)
        error_set(&dial->error, code, "cannot connect to the %s proxy at %s: %s",
                  proxy_kind_name(dial->options.proxy->kind), peer, what);
    else if (named)
        error_set(&dial->error, code, "cannot connect to %s:%u (%s): %s", endpoint->host,
                  endpoint->port, address, what);
    else
        error_set(&dial->error, code, "cannot connect to %s: %s", peer, what);
}

/* One address would not: the next one, or the end. */
static void connect_failed(struct dial *dial, int code, const char *what)
{
    set_connect_error(dial, code, what ? what : strerror(code));
    close_socket(dial);
    loop_timer_clear(dial->loop, &dial->patience);
    if (dial->next + 1 >= dial->count) {
        fail(dial);
        return;
    }
    tell(dial, DIAL_FAILED, &dial->error);
    dial->next++;
    loop_defer(dial->loop, &dial->task);
}

static void socket_ready(struct watch *watch, uint32_t events)
{
    struct dial *dial = CONTAINER_OF(watch, struct dial, watch);
    dial_go_on(dial);
    /* The end is behind what is looked at, but not yet taken: an answer that is cut short. */
    if (!dial->failed && dial->step == STEP_PROXY && events & (EPOLLRDHUP | EPOLLHUP)) {
        error_set(&dial->error, ECONNRESET, "%s", proxy_ended);
        fail(dial);
    }
}

/* The address and port to come from. Returns 0 or -errno. */
static int bind_source(const struct dial *dial, int fd, enum address_family family)
{
    struct address source = {.family = family};
    struct sockaddr_storage sockaddr;
    const int yes = 1;
    if (!dial->options.source && !dial->options.source_port)
        return 0;
    if (dial->options.source &&
        address_parse(dial->options.source, strlen(dial->options.source), &source, NULL) < 0)
        return -EINVAL;
    if (source.family != family)
        return -EAFNOSUPPORT;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    socklen_t length = address_to_sockaddr(&source, dial->options.source_port, &sockaddr);
    return bind(fd, (struct sockaddr *)&sockaddr, length) < 0 ? -errno : 0;
}

/* Makes the socket for the present peer and begins to connect it. Returns 0 or -errno. */
static int begin_connect(struct dial *dial)
{
    const struct peer *peer = &dial->peers[dial->next];
    bool datagrams = dial->options.endpoint.kind == ENDPOINT_UDP;
    struct sockaddr_storage sockaddr;
    socklen_t length = peer_to_sockaddr(peer, &sockaddr);
    const int yes = 1;
    int fd = socket(sockaddr.ss_family,
                    (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    dial->watch = (struct watch){.fd = fd, .ready = socket_ready};
    if (peer->kind == PEER_INTERNET) {
        int failed = bind_source(dial, fd, peer->address.family);
        if (failed)
            return failed;
        if (!datagrams)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    }
    if (connect(fd, (struct sockaddr *)&sockaddr, length) < 0 && errno != EINPROGRESS)
        return -errno;
    int failed = loop_watch(dial->loop, &dial->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    dial->watched = !failed;
    return failed;
}

static const char *source_words(const struct dial *dial, int code)
{
    if (!dial->options.source && !dial->options.source_port)
        return NULL;
    switch (code) {
    case EADDRNOTAVAIL:
        return "the source address is none of this machine's, or its ports are in use";
    case EADDRINUSE:
        return "the source port is in use";
    case EAFNOSUPPORT:
        return "the source address is of another family";
    case EACCES:
        return "source ports below 1024 need root or CAP_NET_BIND_SERVICE";
    default:
        return NULL;
    }
}

static void try_peer(struct dial *dial)
{
    int failed = begin_connect(dial);
    if (failed == -EAGAIN && dial->options.endpoint.kind == ENDPOINT_UNIX) {
        /* Its queue is full (unix(7)); the same peer is tried again. */
        close_socket(dial);
        loop_timer_set(dial->loop, &dial->patience, loop_now(dial->loop) + RETRY_STEP);
    } else if (failed) {
        connect_failed(dial, -failed, source_words(dial, -failed));
    } else if (dial->next + 1 < dial->count) {
        loop_timer_set(dial->loop, &dial->patience, loop_now(dial->loop) + ADDRESS_PATIENCE);
    }
}

static void try_next(struct dial *dial)
{
    tell(dial, DIAL_TRYING, NULL);
    dial->step = STEP_CONNECT;
    try_peer(dial);
}

static void patience_due(struct timer *timer)
{
    struct dial *dial = CONTAINER_OF(timer, struct dial, patience);
    if (dial->watch.fd < 0)
        try_peer(dial);
    else
        connect_failed(dial, ETIMEDOUT, NULL);
}

/* Has connect() come to an end? Returns 0 when it succeeded, -EAGAIN when not yet, or -errno. */
static int connect_result(struct dial *dial)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = sizeof(sockaddr);
    int code = 0;
    socklen_t length = sizeof(code);
    if (getsockopt(dial->watch.fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
        return -errno;
    /* A connection that is not made is refused, never reset: this one was made, and what the other
     * side said before the reset is there to be read. To ask has taken the error away. */
    if (code == ECONNRESET || code == EPIPE) {
        dial->reset = true;
        return 0;
    }
    if (code)
        return -code;
    return getpeername(dial->watch.fd, (struct sockaddr *)&sockaddr, &size) < 0 ? -EAGAIN : 0;
}

/* ---- what follows ---- */

/* Sends what is to be sent. Returns 0 when all of it is out, -EAGAIN, or -errno. */
static int flush(struct dial *dial)
{
    while (dial->sent < dial->send.length) {
        ssize_t put = send(dial->watch.fd, dial->send.data + dial->sent,
                           dial->send.length - dial->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && errno != EINTR)
            return -errno;
        dial->sent += put > 0 ? (size_t)put : 0;
    }
    buffer_clear(&dial->send);
    dial->sent = 0;
    return 0;
}

/* Reads the proxy's answers, and nothing that is behind them. Returns 0 when it has connected. */
static int ask_proxy(struct dial *dial)
{
    char *room = malloc(PROXY_ROOM);
    int r = room ? -EAGAIN : -ENOMEM;
    if (!room)
        error_set(&dial->error, ENOMEM, "out of memory");
    while (r == -EAGAIN) {
        size_t taken = 0;
        ssize_t got = recv(dial->watch.fd, room, PROXY_ROOM, MSG_PEEK | MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            break;
        if (got <= 0) {
            r = error_set(&dial->error, got < 0 ? errno : ECONNRESET, "%s", proxy_ended);
            break;
        }
        r = proxy_step(&dial->negotiation, room, (size_t)got, &taken, &dial->send, &dial->error);
        if (taken && recv(dial->watch.fd, room, taken, MSG_DONTWAIT) < 0)
            r = error_set(&dial->error, errno, "the proxy: %s", strerror(errno));
        if (r == PROXY_OPEN) {
            r = 0;
        } else if (r == PROXY_MORE) {
            r = -EAGAIN;
            int failed = flush(dial);
            if (failed && failed != -EAGAIN)
                r = error_set(&dial->error, -failed, "the proxy: %s", strerror(-failed));
            if (failed || !taken)
                break;
        }
    }
    free(room);
    return r;
}

static void channel_ready(struct channel *channel, void *user)
{
    (void)channel;
    dial_go_on(user);
}

/* TLS over the socket, which it takes. Returns 0 or -errno with `error` set. */
static int make_secure(struct dial *dial)
{
    int fd = dial->watch.fd;
    const char *name = dial->options.endpoint.host, *sni = dial->options.sni;
    if (sni && *sni) { /* whose certificate is asked for is whom it is checked for */
        name = sni;
        sni = NULL;
    }
    loop_unwatch(dial->loop, &dial->watch);
    return channel_tls_new(dial->loop, dial->options.tls, fd, name, sni, &dial->channel,
                           &dial->error);
}

/* The socket becomes a channel. Returns 0 or -errno with `error` set. */
static int make_channel(struct dial *dial)
{
    int failed;
    dial->local = peer_of_socket(dial->watch.fd);
    if (dial->options.endpoint.kind == ENDPOINT_TLS) {
        failed = make_secure(dial);
    } else {
        failed = channel_socket_take(dial->loop, &dial->watch, &dial->channel);
        if (!failed && dial->reset)
            error_set(&dial->channel->error, ECONNRESET, "reading: %s", strerror(ECONNRESET));
        if (failed)
            error_set(&dial->error, -failed, "cannot watch a socket: %s", strerror(-failed));
    }
    dial->watched = false;
    dial->watch.fd = -1;
    if (!failed) {
        dial->channel->ready = channel_ready;
        dial->channel->user = dial;
    }
    return failed;
}

/* Who the client is, for a target that wants to know. */
static void add_header(struct dial *dial)
{
    struct proxy_header header = dial->options.client;
    if (!header.known)
        header = (struct proxy_header){.known = true,
                                       .source = peer_of_socket(dial->watch.fd),
                                       .destination = dial->peers[dial->next]};
    if (dial->options.proxy_header)
        proxy_header_add(&dial->send, dial->options.proxy_header, &header);
}

/* Each step either ends (0: the next one), waits (-EAGAIN), or fails (with dial->error set). */
static int take_step(struct dial *dial)
{
    size_t taken = 0;
    int r;
    switch (dial->step) {
    case STEP_LOOK_UP:
        return -EAGAIN;
    case STEP_CONNECT:
        r = connect_result(dial);
        if (r == -EAGAIN)
            return r;
        if (r < 0) {
            connect_failed(dial, -r, NULL);
            return -EAGAIN; /* which has taken the next step itself */
        }
        loop_timer_clear(dial->loop, &dial->patience);
        tell(dial, DIAL_CONNECTED, NULL);
        if (!dial->options.proxy)
            return 0;
        r = proxy_step(&dial->negotiation, "", 0, &taken, &dial->send, &dial->error);
        return r < 0 ? r : 0;
    case STEP_PROXY:
        r = flush(dial);
        if (!r && dial->options.proxy)
            r = ask_proxy(dial);
        else if (r && r != -EAGAIN)
            error_set(&dial->error, -r, "the proxy: %s", strerror(-r));
        if (!r) {
            if (dial->options.proxy)
                tell(dial, DIAL_PROXIED, NULL);
            add_header(dial);
        }
        return r;
    case STEP_GREET:
        r = dial->send.failed ? -ENOMEM : flush(dial);
        if (r && r != -EAGAIN)
            error_set(&dial->error, -r, "sending the PROXY header: %s", strerror(-r));
        return r;
    case STEP_SECURE:
        break;
    }
    r = dial->channel ? 0 : make_channel(dial);
    if (!r && dial->options.endpoint.kind == ENDPOINT_TLS) {
        r = channel_tls_handshake(dial->channel, &dial->error);
        if (!r)
            tell(dial, DIAL_SECURED, NULL);
    }
    return r;
}

static void dial_go_on(struct dial *dial)
{
    while (!dial->failed) {
        enum step step = dial->step;
        int r = take_step(dial);
        if (r == -EAGAIN)
            return;
        if (r < 0) {
            fail(dial);
            return;
        }
        if (step == STEP_SECURE) {
            loop_defer(dial->loop, &dial->task);
            return;
        }
        dial->step = step + 1;
    }
}

/* The channel is handed over with what the loop has told so far. */
static void hand_over(struct dial *dial)
{
    struct channel *channel = dial->channel;
    struct peer remote = dial->peers[dial->next], local = dial->local;
    channel->readable = channel->writable = true;
    dial->channel = NULL;
    finish(dial, channel, &local, &remote);
}

static void run_task(struct task *task)
{
    struct dial *dial = CONTAINER_OF(task, struct dial, task);
    if (dial->failed)
        finish(dial, NULL, NULL, NULL);
    else if (dial->channel)
        hand_over(dial);
    else
        try_next(dial);
}

/* ---- the beginning ---- */

static void looked_up(void *user, const struct address *addresses, size_t count,
                      const struct error *error)
{
    struct dial *dial = user;
    uint16_t port = dial->options.proxy ? dial->options.proxy->port : dial->options.endpoint.port;
    dial->aside = NULL;
    if (!count) {
        dial->error = *error;
        fail(dial);
        return;
    }
    for (size_t i = 0; i < count; i++)
        dial->peers[i] =
            (struct peer){.kind = PEER_INTERNET, .address = addresses[i], .port = port};
    dial->count = count;
    loop_defer(dial->loop, &dial->task);
}

static void limit_due(struct timer *timer)
{
    struct dial *dial = CONTAINER_OF(timer, struct dial, limit);
    static const char *const doing[] = {
        [STEP_PROXY] = "the proxy did not answer",
        [STEP_GREET] = "the PROXY header could not be sent",
        [STEP_SECURE] = "the TLS handshake was not finished",
    };
    char time[TEXT_NUMBER_SIZE], what[96];
    text_duration(dial->options.timeout, time);
    if (dial->step == STEP_CONNECT) {
        snprintf(what, sizeof(what), "no answer within %s", time);
        set_connect_error(dial, ETIMEDOUT, what);
    } else if (dial->step == STEP_LOOK_UP) {
        error_set(&dial->error, ETIMEDOUT, "no name server answered within %s", time);
    } else {
        error_set(&dial->error, ETIMEDOUT, "%s within %s", doing[dial->step], time);
    }
    fail(dial);
}

/* Whom to connect to: addresses at once, names by asking. */
static int find_peers(struct dial *dial, struct error *error)
{
    const struct endpoint *endpoint = &dial->options.endpoint;
    const char *host = dial->options.proxy ? dial->options.proxy->host : endpoint->host;
    enum address_family family = dial->options.family;
    struct address address;
    if (endpoint->kind == ENDPOINT_UNIX) {
        dial->peers[0].kind = PEER_UNIX;
        strcpy(dial->peers[0].path, endpoint->path);
        dial->count = 1;
    } else if (address_parse(host, strlen(host), &address, NULL) == 0) {
        if (family && address.family != family)
            return error_set(error, EINVAL, "'%s' is not an IPv%d address", host, (int)family);
        looked_up(dial, &address, 1, NULL);
        return 0;
    } else if (dial->options.address_count) {
        looked_up(dial, dial->options.addresses,
                  dial->options.address_count < RESOLVE_ASIDE_MAXIMUM ? dial->options.address_count
                                                                      : RESOLVE_ASIDE_MAXIMUM,
                  NULL);
        return 0;
    } else if (dial->options.numeric) {
        return error_set(error, EINVAL, "'%s' is not an address, and names are not looked up",
                         host);
    } else {
        int failed = resolve_aside(dial->loop, host, family, looked_up, dial, &dial->aside);
        return failed ? error_set(error, -failed, "cannot look up %s: %s", host, strerror(-failed))
                      : 0;
    }
    loop_defer(dial->loop, &dial->task);
    return 0;
}

static int check(const struct dial_options *options, struct error *error)
{
    struct address source;
    enum endpoint_kind kind = options->endpoint.kind;
    if (options->proxy && (kind == ENDPOINT_UDP || kind == ENDPOINT_UNIX))
        return error_set(error, EINVAL, "a proxy carries TCP and TLS only");
    if (options->source && address_parse(options->source, strlen(options->source), &source, NULL))
        return error_set(error, EINVAL, "the source '%s' is not an address of this machine",
                         options->source);
    return 0;
}

int dial_start(struct loop *loop, const struct dial_options *options,
               const struct dial_calls *calls, struct dial **ret_dial, struct error *error)
{
    int failed = check(options, error);
    if (failed)
        return failed;
    struct dial *dial = calloc(1, sizeof(*dial));
    if (!dial)
        return error_set(error, ENOMEM, "out of memory");
    *dial = (struct dial){.loop = loop,
                          .options = *options,
                          .calls = *calls,
                          .watch.fd = -1,
                          .limit.due = limit_due,
                          .patience.due = patience_due,
                          .task.run = run_task};
    if (options->proxy) {
        dial->negotiation.request = (struct proxy_request){.kind = options->proxy->kind,
                                                           .host = dial->options.endpoint.host,
                                                           .port = options->endpoint.port,
                                                           .user = options->proxy->user,
                                                           .password = options->proxy->password};
        failed = proxy_check(&dial->negotiation.request, error);
    }
    if (!failed)
        failed = find_peers(dial, error);
    if (!failed && options->timeout &&
        loop_timer_set(loop, &dial->limit, loop_now(loop) + options->timeout))
        failed = error_set(error, ENOMEM, "out of memory");
    if (failed) {
        dial_free(dial);
        return failed;
    }
    *ret_dial = dial;
    return 0;
}
