/* One channel for all peers of a UDP port: what any of them sends is read, what is written goes to
 * the one heard last, or to all. */
#include "talk/listener_udp.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAXIMUM                                                                              \
    1024 /* to whom --answer all answers; the one heard of longest ago makes room */
#define FAILURES_MAXIMUM 64 /* errors in a row, each of one peer, before it is the socket's own */

struct udp_channel;

/* One of the addresses of the port. */
struct udp_socket {
    struct udp_channel *owner;
    struct watch watch;
};

struct udp_peer {
    struct peer peer;
    size_t socket; /* where it was heard, and from where it is answered */
};

struct udp_channel {
    struct channel channel;
    struct loop *loop;
    struct listener *listener; /* NULL: closed */
    struct channel **place;    /* where the listener keeps it */
    bool answer_all;
    struct udp_socket sockets[LISTENER_SOCKETS];
    size_t socket_count, turn;            /* `turn`: which is read next */
    struct udp_peer peers[PEERS_MAXIMUM]; /* a ring, in the order in which they were first heard */
    size_t count, last, next;
};

static ssize_t udp_send(const struct udp_channel *self, const struct udp_peer *to,
                        const void *bytes, size_t length)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = peer_to_sockaddr(&to->peer, &sockaddr);
    ssize_t put;
    do
        put = sendto(self->sockets[to->socket].watch.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (struct sockaddr *)&sockaddr, size);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

/* What is said before anybody was heard waits. One of many peers that cannot be reached is no
 * failure of the conversation; a datagram that is too long for all is. */
static ssize_t udp_write(struct channel *channel, const void *bytes, size_t length)
{
    const struct udp_channel *self = (struct udp_channel *)channel;
    if (!self->count)
        return -EAGAIN;
    if (!self->answer_all)
        return udp_send(self, &self->peers[self->last], bytes, length);
    for (size_t i = 0; i < self->count; i++) {
        ssize_t put = udp_send(self, &self->peers[i], bytes, length);
        if (put == -EMSGSIZE || (put == -EAGAIN && i == 0))
            return put;
    }
    return (ssize_t)length;
}

static bool is_peer(const struct udp_peer *known, const struct peer *peer, size_t socket)
{
    return known->socket == socket && peer_equal(&known->peer, peer);
}

/* Notes who has spoken. Returns false when it may not. */
static bool heard(struct udp_channel *self, const struct peer *peer, size_t socket)
{
    if (self->count && is_peer(&self->peers[self->last], peer, socket))
        return true;
    for (size_t i = 0; i < self->count; i++) {
        if (is_peer(&self->peers[i], peer, socket)) {
            self->last = i;
            return true;
        }
    }
    if (!self->listener || !listener_admits(self->listener, peer))
        return false;
    self->last = self->next++ % PEERS_MAXIMUM;
    self->peers[self->last] = (struct udp_peer){.peer = *peer, .socket = socket};
    if (self->count < PEERS_MAXIMUM)
        self->count++;
    self->channel.writable = true;
    listener_tell(self->listener, LISTENER_HEARD, peer, NULL, NULL);
    return true;
}

static ssize_t read_socket(struct udp_channel *self, size_t socket, void *bytes, size_t size)
{
    unsigned failures = 0;
    for (;;) {
        struct sockaddr_storage sockaddr = {0};
        socklen_t length = sizeof(sockaddr);
        ssize_t got = recvfrom(self->sockets[socket].watch.fd, bytes, size, MSG_DONTWAIT,
                               (struct sockaddr *)&sockaddr, &length);
        /* An error is told once, an ICMP error of a peer that is gone, say: others still speak. */
        if (got < 0 && (errno == EAGAIN || ++failures == FAILURES_MAXIMUM))
            return -errno;
        if (got < 0)
            continue;
        struct peer peer = peer_from_sockaddr(&sockaddr, length);
        if (heard(self, &peer, socket))
            return got;
    }
}

/* The sockets in turn. */
static ssize_t udp_read(struct channel *channel, void *bytes, size_t size)
{
    struct udp_channel *self = (struct udp_channel *)channel;
    ssize_t got = -EAGAIN;
    for (size_t i = 0; i < self->socket_count && got == -EAGAIN; i++) {
        got = read_socket(self, self->turn, bytes, size);
        self->turn = (self->turn + 1) % self->socket_count;
    }
    return got;
}

static int udp_shut(struct channel *channel)
{
    (void)channel;
    return 0;
}

static void udp_free(struct channel *channel, bool abort)
{
    struct udp_channel *self = (struct udp_channel *)channel;
    (void)abort;
    for (size_t i = 0; i < self->socket_count; i++) {
        loop_unwatch(self->loop, &self->sockets[i].watch);
        close(self->sockets[i].watch.fd);
    }
    if (self->place)
        *self->place = NULL;
    free(self);
}

static const struct channel_class udp_class = {
    .name = "udp",
    .read = udp_read,
    .write = udp_write,
    .shut = udp_shut,
    .free = udp_free,
};

static void udp_ready(struct watch *watch, uint32_t events)
{
    struct udp_channel *self = CONTAINER_OF(watch, struct udp_socket, watch)->owner;
    if (events & (EPOLLIN | EPOLLERR))
        self->channel.readable = true;
    if (events & EPOLLOUT && self->count)
        self->channel.writable = true;
    self->channel.ready(&self->channel, self->channel.user);
}

void channel_udp_leave(struct channel *channel)
{
    struct udp_channel *self = (struct udp_channel *)channel;
    self->listener = NULL;
    self->place = NULL;
}

int channel_udp_add(struct channel *channel, int fd)
{
    struct udp_channel *self = (struct udp_channel *)channel;
    int failed = self->socket_count < LISTENER_SOCKETS ? 0 : -E2BIG;
    if (!failed) {
        struct udp_socket *socket = &self->sockets[self->socket_count];
        *socket = (struct udp_socket){.owner = self, .watch = {.fd = fd, .ready = udp_ready}};
        failed = loop_watch(self->loop, &socket->watch, EPOLLIN | EPOLLOUT);
    }
    if (failed)
        close(fd);
    else
        self->socket_count++;
    return failed;
}

int channel_udp_new(struct loop *loop, struct listener *listener, int fd, struct channel **place)
{
    struct udp_channel *self = calloc(1, sizeof(*self));
    if (!self) {
        close(fd);
        return -ENOMEM;
    }
    self->loop = loop;
    self->listener = listener;
    self->place = place;
    self->answer_all = listener_options_of(listener)->answer_all;
    self->channel = (struct channel){
        .class = &udp_class, .readable = true, .messages = true, .splice_in = -1, .splice_out = -1};
    int failed = channel_udp_add(&self->channel, fd);
    if (failed)
        free(self);
    else
        *place = &self->channel;
    return failed;
}
