/* A channel to a program: a socket pair, of which it has one end as its input and output. */
#include "talk/program.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct program_channel {
    struct channel channel;
    struct watch watch;
    struct loop *loop;
};

/* A program that ends with input unread resets a socket pair; what it had to say is said. */
static ssize_t program_read(struct channel *channel, void *bytes, size_t size)
{
    const struct program_channel *self = (struct program_channel *)channel;
    ssize_t got;
    do
        got = recv(self->watch.fd, bytes, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno != ECONNRESET)
        return -errno;
    return got <= 0 ? CHANNEL_END : got;
}

/* `head -1` is not interested in the rest, which is no failure of the connection. */
static ssize_t program_write(struct channel *channel, const void *bytes, size_t length)
{
    const struct program_channel *self = (struct program_channel *)channel;
    ssize_t put;
    do
        put = send(self->watch.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < 0)
        return errno == EPIPE || errno == ECONNRESET ? (ssize_t)length : -errno;
    return put;
}

static int program_shut(struct channel *channel)
{
    const struct program_channel *self = (struct program_channel *)channel;
    return shutdown(self->watch.fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

static void program_free(struct channel *channel, bool abort)
{
    struct program_channel *self = (struct program_channel *)channel;
    (void)abort;
    loop_unwatch(self->loop, &self->watch);
    close(self->watch.fd);
    free(self);
}

static const struct channel_class program_class = {
    .name = "program",
    .read = program_read,
    .write = program_write,
    .shut = program_shut,
    .free = program_free,
};

static void program_ready(struct watch *watch, uint32_t events)
{
    struct channel *channel = &CONTAINER_OF(watch, struct program_channel, watch)->channel;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        channel->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        channel->writable = true;
    channel->ready(channel, channel->user);
}

/* Takes `fd`. Returns 0 or -errno. */
static int channel_new(struct loop *loop, int fd, struct program_channel **ret_self)
{
    struct program_channel *self = calloc(1, sizeof(*self));
    if (!self) {
        close(fd);
        return -ENOMEM;
    }
    self->loop = loop;
    self->watch = (struct watch){.fd = fd, .ready = program_ready};
    self->channel = (struct channel){.class = &program_class,
                                     .readable = true,
                                     .writable = true,
                                     .connected = true,
                                     .splice_in = -1, /* what fails is to be judged here */
                                     .splice_out = -1};
    int failed = loop_watch(loop, &self->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    if (failed) {
        close(fd);
        free(self);
        return failed;
    }
    *ret_self = self;
    return 0;
}

int channel_program_new(struct loop *loop, struct program *program,
                        const struct program_options *options, struct channel **ret_channel,
                        struct error *error)
{
    struct program_channel *self;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set(error, errno, "cannot make a socket pair for a program");
    int failed = channel_new(loop, ends[0], &self);
    if (failed)
        error_set(error, -failed, "cannot watch a socket pair for a program");
    if (!failed) {
        failed = program_start(loop, program, options, ends[1], error);
        if (failed)
            program_free(&self->channel, false);
    }
    close(ends[1]);
    if (!failed)
        *ret_channel = &self->channel;
    return failed;
}
