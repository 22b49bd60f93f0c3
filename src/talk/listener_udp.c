/* Listening on UDP: one channel for each peer, told apart by their addresses, over one socket. */
#include "talk/listener_udp.h"

#include "base/random.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_ROOM 65536
#define QUEUE_MAXIMUM                                                                              \
    ((size_t)1 << 20) /* bytes that a session keeps; further datagrams are lost, as in             \
                         the kernel's own queue */
#define BURST 64      /* datagrams taken before others have their turn */

struct datagram {
    struct datagram *next;
    size_t length;
    char bytes[];
};

struct session {
    struct channel channel;
    struct udp_sessions *sessions;
    struct session *next; /* in its slot of the table */
    struct peer peer;
    struct datagram *queue, **queue_end;
    size_t queued;
    bool blocked;   /* could not send, and was not told that it can again */
    uint64_t round; /* of telling, in which it was blocked */
};

struct udp_sessions {
    struct loop *loop;
    struct listener *listener; /* NULL: closed */
    struct watch watch;
    struct task again;
    void (*arrived)(struct listener *listener, struct channel *channel, const struct peer *remote,
                    const struct peer *local);
    struct peer local;
    struct key key; /* peers choose their addresses: the table's order is not theirs to know */
    struct session **slots;
    size_t slot_count, count;
    size_t blocked; /* sessions */
    uint64_t round; /* how often the blocked were told */
    unsigned users; /* who is at work with all of this, which stays meanwhile */
    char room[DATAGRAM_ROOM];
};

/* The socket stays while it has sessions. */
static void sessions_release(struct udp_sessions *sessions)
{
    if (sessions->listener || sessions->count || sessions->users)
        return;
    loop_cancel(sessions->loop, &sessions->again);
    loop_unwatch(sessions->loop, &sessions->watch);
    close(sessions->watch.fd);
    free(sessions->slots);
    free(sessions);
}

/* ---- the table ---- */

static size_t slot_of(const struct udp_sessions *sessions, const struct peer *peer)
{
    struct {
        uint128_t value;
        uint64_t scope, port;
    } word = {peer->address.value, peer->address.scope, peer->port};
    return (size_t)siphash(&sessions->key, &word, sizeof(word)) & (sessions->slot_count - 1);
}

static struct session *session_find(const struct udp_sessions *sessions, const struct peer *peer)
{
    struct session *session =
        sessions->slot_count ? sessions->slots[slot_of(sessions, peer)] : NULL;
    while (session && !peer_equal(&session->peer, peer))
        session = session->next;
    return session;
}

static void table_add(struct udp_sessions *sessions, struct session *session)
{
    struct session **slot = &sessions->slots[slot_of(sessions, &session->peer)];
    session->next = *slot;
    *slot = session;
}

/* Returns 0 or -ENOMEM. */
static int table_grow(struct udp_sessions *sessions)
{
    struct session **old = sessions->slots;
    size_t old_count = sessions->slot_count;
    if (sessions->count < old_count)
        return 0;
    size_t count = old_count ? 2 * old_count : 64;
    struct session **slots = calloc(count, sizeof(struct session *));
    if (!slots)
        return -ENOMEM;
    sessions->slots = slots;
    sessions->slot_count = count;
    for (size_t i = 0; i < old_count; i++)
        for (struct session *session = old[i], *next; session; session = next) {
            next = session->next;
            table_add(sessions, session);
        }
    free(old);
    return 0;
}

static void table_remove(struct udp_sessions *sessions, struct session *session)
{
    struct session **link = &sessions->slots[slot_of(sessions, &session->peer)];
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    sessions->count--;
}

/* ---- a session as a channel ---- */

static ssize_t session_read(struct channel *channel, void *bytes, size_t size)
{
    struct session *session = (struct session *)channel;
    struct datagram *first = session->queue;
    if (!first)
        return -EAGAIN;
    size_t length = first->length < size ? first->length : size;
    memcpy(bytes, first->bytes, length);
    session->queue = first->next;
    if (!session->queue)
        session->queue_end = &session->queue;
    session->queued -= first->length;
    free(first);
    return (ssize_t)length;
}

static ssize_t send_to(int fd, const struct peer *peer, const void *bytes, size_t length)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = peer_to_sockaddr(peer, &sockaddr);
    ssize_t put;
    do
        put = sendto(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&sockaddr,
                     size);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

static void session_block(struct session *session, bool blocked)
{
    if (blocked && !session->blocked)
        session->sessions->blocked++;
    else if (!blocked && session->blocked)
        session->sessions->blocked--;
    session->blocked = blocked;
    session->round = session->sessions->round;
}

static ssize_t session_write(struct channel *channel, const void *bytes, size_t length)
{
    struct session *session = (struct session *)channel;
    ssize_t put = send_to(session->sessions->watch.fd, &session->peer, bytes, length);
    if (put == -EAGAIN)
        session_block(session, true);
    return put;
}

static int nothing_to_shut(struct channel *channel)
{
    (void)channel;
    return 0;
}

static void session_free(struct channel *channel, bool abort)
{
    struct session *session = (struct session *)channel;
    struct udp_sessions *sessions = session->sessions;
    (void)abort;
    session_block(session, false);
    table_remove(sessions, session);
    while (session->queue) {
        struct datagram *next = session->queue->next;
        free(session->queue);
        session->queue = next;
    }
    free(session);
    sessions_release(sessions);
}

static const struct channel_class session_class = {
    .name = "udp session",
    .read = session_read,
    .write = session_write,
    .shut = nothing_to_shut,
    .free = session_free,
};

static struct session *session_new(struct udp_sessions *sessions, const struct peer *peer)
{
    if (listener_is_full(sessions->listener) || table_grow(sessions) < 0)
        return NULL;
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->channel = (struct channel){.class = &session_class,
                                        .readable = true,
                                        .writable = true,
                                        .messages = true,
                                        .splice_in = -1,
                                        .splice_out = -1};
    session->sessions = sessions;
    session->peer = *peer;
    session->queue_end = &session->queue;
    table_add(sessions, session);
    sessions->count++;
    return session;
}

static void session_take(struct session *session, const char *bytes, size_t length)
{
    struct datagram *datagram =
        session->queued + length > QUEUE_MAXIMUM ? NULL : malloc(sizeof(*datagram) + length);
    if (!datagram)
        return;
    datagram->next = NULL;
    datagram->length = length;
    memcpy(datagram->bytes, bytes, length);
    *session->queue_end = datagram;
    session->queue_end = &datagram->next;
    session->queued += length;
    session->channel.readable = true;
}

/* ---- the socket ---- */

static void take_datagram(struct udp_sessions *sessions, const struct peer *peer, size_t length)
{
    struct session *session = session_find(sessions, peer);
    bool known = session;
    if (!known) {
        if (!sessions->listener || !listener_admits(sessions->listener, peer))
            return;
        session = session_new(sessions, peer);
        if (!session)
            return; /* there is no room: lost, as UDP may lose */
    }
    session_take(session, sessions->room, length);
    if (known)
        session->channel.ready(&session->channel, session->channel.user);
    else
        sessions->arrived(sessions->listener, &session->channel, peer, &sessions->local);
}

/* That one peer's datagrams can be sent again is told to all who wait for it: it is one socket. Any
 * of them may be freed when it is told, so the search begins anew each time. */
static struct session *next_blocked(const struct udp_sessions *sessions)
{
    for (size_t i = 0; sessions->blocked && i < sessions->slot_count; i++)
        for (struct session *session = sessions->slots[i]; session; session = session->next)
            if (session->blocked && session->round != sessions->round)
                return session;
    return NULL;
}

static void tell_blocked(struct udp_sessions *sessions)
{
    struct session *session;
    sessions->round++; /* those that are blocked again wait for the next event */
    while ((session = next_blocked(sessions))) {
        session_block(session, false);
        session->channel.writable = true;
        session->channel.ready(&session->channel, session->channel.user);
    }
}

static void take_datagrams(struct udp_sessions *sessions)
{
    for (unsigned i = 0; i < BURST; i++) {
        struct sockaddr_storage sockaddr = {0};
        socklen_t size = sizeof(sockaddr);
        ssize_t got = recvfrom(sessions->watch.fd, sessions->room, sizeof(sessions->room),
                               MSG_DONTWAIT, (struct sockaddr *)&sockaddr, &size);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0) /* an ICMP error of a peer that is gone */
            continue;
        struct peer peer = peer_from_sockaddr(&sockaddr, size);
        take_datagram(sessions, &peer, (size_t)got);
    }
    loop_defer(sessions->loop, &sessions->again);
}

static void sessions_ready(struct watch *watch, uint32_t events)
{
    struct udp_sessions *sessions = CONTAINER_OF(watch, struct udp_sessions, watch);
    sessions->users++;
    if (events & EPOLLOUT)
        tell_blocked(sessions);
    if (events & (EPOLLIN | EPOLLERR))
        take_datagrams(sessions);
    sessions->users--;
    sessions_release(sessions);
}

static void sessions_again(struct task *task)
{
    struct udp_sessions *sessions = CONTAINER_OF(task, struct udp_sessions, again);
    sessions->users++;
    take_datagrams(sessions);
    sessions->users--;
    sessions_release(sessions);
}

int udp_sessions_new(struct loop *loop, struct listener *listener, int fd,
                     void (*arrived)(struct listener *listener, struct channel *channel,
                                     const struct peer *remote, const struct peer *local),
                     struct udp_sessions **ret_sessions)
{
    struct udp_sessions *sessions = calloc(1, sizeof(*sessions));
    int failed = -ENOMEM;
    if (sessions) {
        *sessions = (struct udp_sessions){.loop = loop,
                                          .listener = listener,
                                          .watch = {.fd = fd, .ready = sessions_ready},
                                          .again.run = sessions_again,
                                          .arrived = arrived,
                                          .local = peer_of_socket(fd),
                                          .key = {{random_u64(), random_u64()}}};
        failed = loop_watch(loop, &sessions->watch, EPOLLIN | EPOLLOUT);
    }
    if (failed) {
        close(fd);
        free(sessions);
        return failed;
    }
    *ret_sessions = sessions;
    return 0;
}

void udp_sessions_close(struct udp_sessions *sessions)
{
    sessions->listener = NULL;
    sessions_release(sessions);
}
