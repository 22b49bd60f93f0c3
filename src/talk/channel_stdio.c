/* A channel over standard input and output, or any two descriptors that were given to us.
 *
 * Their O_NONBLOCK belongs to the open file, which the shell and other programs share: setting it
 * would break them. A pipe or a terminal is opened a second time instead, which gives a file of our
 * own; sockets have MSG_DONTWAIT; regular files never keep anybody waiting. */
#include "talk/channel.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_SIZE (1 << 20) /* of the pipes we were given, where the kernel grants it */

enum end_kind {
    END_NONE,
    END_FILE,   /* always ready */
    END_SOCKET, /* recv() and send() take a flag */
    END_OWN,    /* our own open file, which is non-blocking */
    END_SHARED, /* is not ours alone: asked by poll() each time */
};

struct end {
    enum end_kind kind;
    struct watch watch; /* fd: the one that is used */
    bool watched;       /* not: it is always ready, or the other end's watch tells of both */
    bool own;           /* is ours to close */
};

struct stdio_channel {
    struct channel channel;
    struct loop *loop;
    struct end in, out;
};

static bool may_go_on(const struct end *end, short events)
{
    struct pollfd now = {.fd = end->watch.fd, .events = events};
    return end->kind != END_SHARED || poll(&now, 1, 0) == 1;
}

static ssize_t stdio_read(struct channel *channel, void *bytes, size_t size)
{
    const struct end *in = &((struct stdio_channel *)channel)->in;
    ssize_t got;
    if (in->kind == END_NONE)
        return CHANNEL_END;
    if (!may_go_on(in, POLLIN))
        return -EAGAIN;
    do
        got = in->kind == END_SOCKET ? recv(in->watch.fd, bytes, size, MSG_DONTWAIT)
                                     : read(in->watch.fd, bytes, size);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EIO && channel->terminal ? CHANNEL_END : -errno; /* it hung up */
    return got == 0 ? CHANNEL_END : got;
}

static ssize_t stdio_write(struct channel *channel, const void *bytes, size_t length)
{
    const struct end *out = &((struct stdio_channel *)channel)->out;
    ssize_t put;
    if (out->kind == END_NONE)
        return (ssize_t)length; /* as /dev/null does */
    if (!may_go_on(out, POLLOUT))
        return -EAGAIN;
    /* A pipe that can be written at all takes this much at once, pipe(7). */
    if (out->kind == END_SHARED && length > PIPE_BUF)
        length = PIPE_BUF;
    do
        put = out->kind == END_SOCKET
                  ? send(out->watch.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                  : write(out->watch.fd, bytes, length);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

/* The descriptors stay open: the process says that it has ended by ending. A socket has an end of
 * its own. */
static int stdio_shut(struct channel *channel)
{
    const struct end *out = &((struct stdio_channel *)channel)->out;
    if (out->kind == END_SOCKET && shutdown(out->watch.fd, SHUT_WR) < 0 && errno != ENOTCONN)
        return -errno;
    return 0;
}

static void end_release(struct loop *loop, struct end *end)
{
    if (end->watched)
        loop_unwatch(loop, &end->watch);
    if (end->own)
        close(end->watch.fd);
}

static void stdio_free(struct channel *channel, bool abort)
{
    struct stdio_channel *self = (struct stdio_channel *)channel;
    (void)abort;
    end_release(self->loop, &self->in);
    end_release(self->loop, &self->out);
    free(self);
}

static const struct channel_class stdio_class = {
    .name = "stdio",
    .read = stdio_read,
    .write = stdio_write,
    .shut = stdio_shut,
    .free = stdio_free,
};

static void in_ready(struct watch *watch, uint32_t events)
{
    struct stdio_channel *self = CONTAINER_OF(watch, struct stdio_channel, in.watch);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        self->channel.readable = true;
    if (self->out.watch.fd == watch->fd && events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        self->channel.writable = true;
    self->channel.ready(&self->channel, self->channel.user);
}

static void out_ready(struct watch *watch, uint32_t events)
{
    struct stdio_channel *self = CONTAINER_OF(watch, struct stdio_channel, out.watch);
    (void)events;
    self->channel.writable = true;
    self->channel.ready(&self->channel, self->channel.user);
}

/* Another open file of the same pipe or terminal. */
static int open_again(int fd, int access)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Sets up one end. Returns 0 or -errno. */
static int end_init(struct end *end, int fd, int access)
{
    struct stat status;
    *end = (struct end){.watch.fd = -1};
    if (fd < 0)
        return 0;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &status) < 0)
        return -errno;
    if ((flags & O_ACCMODE) == (access == O_RDONLY ? O_WRONLY : O_RDONLY))
        return -EBADF; /* `program <&-` got a placeholder from main() */
    end->watch.fd = fd;
    if (S_ISSOCK(status.st_mode)) {
        end->kind = END_SOCKET;
    } else if (S_ISFIFO(status.st_mode) || isatty(fd)) {
        int own = open_again(fd, access);
        end->kind = own < 0 ? END_SHARED : END_OWN;
        end->own = own >= 0;
        end->watch.fd = own < 0 ? fd : own;
        if (S_ISFIFO(status.st_mode))
            (void)fcntl(end->watch.fd, F_SETPIPE_SZ, PIPE_SIZE);
    } else {
        end->kind = S_ISCHR(status.st_mode) ? END_SHARED : END_FILE;
    }
    return 0;
}

/* What the loop cannot watch is always ready, /dev/null for one. */
static int end_watch(struct loop *loop, struct end *end, uint32_t events)
{
    if (end->kind == END_NONE || end->kind == END_FILE)
        return 0;
    int failed = loop_watch(loop, &end->watch, events);
    end->watched = !failed;
    if (failed == -EPERM)
        end->kind = END_FILE;
    return failed == -EPERM ? 0 : failed;
}

/* Splicing leaves a shared pipe's flag alone (SPLICE_F_NONBLOCK), but it would wait for a socket
 * that lacks O_NONBLOCK, and for a device. Not every kind of file can be spliced: the pair finds
 * out. A terminal's bytes are few. */
static int spliced(const struct end *end)
{
    struct stat status;
    bool waits = end->kind == END_NONE || end->kind == END_SOCKET ||
                 fstat(end->watch.fd, &status) < 0 ||
                 (S_ISCHR(status.st_mode) && end->kind != END_FILE);
    return waits ? -1 : end->watch.fd;
}

int channel_stdio_new(struct loop *loop, int in, int out, struct channel **ret_channel)
{
    struct stdio_channel *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    self->loop = loop;
    int failed = end_init(&self->in, in, O_RDONLY);
    if (!failed)
        failed = end_init(&self->out, out, O_WRONLY);
    self->in.watch.ready = in_ready;
    self->out.watch.ready = out_ready;
    bool same = self->in.kind != END_NONE && self->in.watch.fd == self->out.watch.fd;
    if (!failed)
        failed = end_watch(loop, &self->in, EPOLLIN | EPOLLRDHUP | (same ? EPOLLOUT : 0u));
    if (!failed && !same)
        failed = end_watch(loop, &self->out, EPOLLOUT);
    if (failed) {
        stdio_free(&self->channel, false);
        return failed;
    }
    self->channel = (struct channel){.class = &stdio_class,
                                     .readable = true,
                                     .writable = true,
                                     .terminal = in >= 0 && isatty(in),
                                     .splice_in = spliced(&self->in),
                                     .splice_out = spliced(&self->out)};
    *ret_channel = &self->channel;
    return 0;
}
