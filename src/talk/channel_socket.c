/* A channel over a connected socket: TCP, Unix, UDP. */
#include "talk/channel.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct socket_channel {
    struct channel channel;
    struct watch watch;
    struct loop *loop;
};

static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t length = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

static ssize_t socket_read(struct channel *channel, void *bytes, size_t size)
{
    const struct socket_channel *self = (struct socket_channel *)channel;
    ssize_t got;
    do
        got = recv(self->watch.fd, bytes, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    if (got == 0 && channel->error.code) /* whoever connected it has seen the reset */
        return -channel->error.code;
    return got == 0 && !channel->messages ? CHANNEL_END : got;
}

static ssize_t socket_write(struct channel *channel, const void *bytes, size_t length)
{
    const struct socket_channel *self = (struct socket_channel *)channel;
    ssize_t put;
    do
        put = send(self->watch.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

static int socket_shut(struct channel *channel)
{
    const struct socket_channel *self = (struct socket_channel *)channel;
    if (channel->messages)
        return 0;
    /* A peer that is gone has no use for our end; what it did is seen where it is read. */
    return shutdown(self->watch.fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

static size_t socket_unsent(const struct channel *channel)
{
    const struct socket_channel *self = (const struct socket_channel *)channel;
    int bytes = 0;
    if (option_of(self->watch.fd, SO_DOMAIN) == AF_UNIX) /* what is written is there */
        return 0;
    return ioctl(self->watch.fd, SIOCOUTQ, &bytes) < 0 || bytes < 0 ? 0 : (size_t)bytes;
}

static void socket_free(struct channel *channel, bool abort)
{
    struct socket_channel *self = (struct socket_channel *)channel;
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    loop_unwatch(self->loop, &self->watch);
    if (abort) /* tcp(7): close() sends a RST then */
        setsockopt(self->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(self->watch.fd);
    free(self);
}

static const struct channel_class socket_class = {
    .name = "socket",
    .read = socket_read,
    .write = socket_write,
    .shut = socket_shut,
    .unsent = socket_unsent,
    .free = socket_free,
};

static void socket_ready(struct watch *watch, uint32_t events)
{
    struct channel *channel = &CONTAINER_OF(watch, struct socket_channel, watch)->channel;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        channel->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        channel->writable = true;
    channel->ready(channel, channel->user);
}

static int make_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -errno;
    return 0;
}

/* `watched`: by whom it is watched now; NULL: by nobody. */
static int socket_channel_new(struct loop *loop, int fd, struct watch *watched,
                              struct channel **ret_channel)
{
    const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    struct socket_channel *self = calloc(1, sizeof(*self));
    int failed = self ? make_non_blocking(fd) : -ENOMEM;
    if (!failed) {
        bool messages = option_of(fd, SO_TYPE) != SOCK_STREAM;
        self->loop = loop;
        self->watch = (struct watch){.fd = fd, .ready = socket_ready};
        self->channel = (struct channel){.class = &socket_class,
                                         .readable = true,
                                         .writable = true,
                                         .messages = messages,
                                         .connected = true,
                                         .splice_in = messages ? -1 : fd,
                                         .splice_out = messages ? -1 : fd};
        failed = watched ? loop_rewatch(loop, watched, &self->watch, events)
                         : loop_watch(loop, &self->watch, events);
    }
    if (failed) {
        if (watched)
            loop_unwatch(loop, watched);
        close(fd);
        free(self);
        return failed;
    }
    *ret_channel = &self->channel;
    return 0;
}

int channel_socket_new(struct loop *loop, int fd, struct channel **ret_channel)
{
    return socket_channel_new(loop, fd, NULL, ret_channel);
}

int channel_socket_take(struct loop *loop, struct watch *watched, struct channel **ret_channel)
{
    return socket_channel_new(loop, watched->fd, watched, ret_channel);
}
