/* One side of a conversation: bytes or datagrams come out of it and go into it, and nobody waits.
 *
 * A channel is a socket, a TLS session over one, a telnet session over another channel, standard
 * input and output, a program: one file each, called channel_NAME.c. A `struct pair` joins two. */
#pragma once

#include "base/error.h"
#include "base/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct channel;

/* What read() returns when the other side has ended properly: a FIN, TLS's close_notify, the end of
 * a file. Anything else that ends a channel is an error. */
#define CHANNEL_END (-ENODATA)

struct channel_class {
    const char *name;

    /* Up to `size` bytes, or one datagram, of which what does not fit is lost. Returns how many
     * bytes (0 only for an empty datagram), CHANNEL_END, -EAGAIN, or another -errno. */
    ssize_t (*read)(struct channel *channel, void *bytes, size_t size);

    /* Takes some of the bytes, or one datagram whole. Returns how many, -EAGAIN, or another -errno.
     * After -EAGAIN the same bytes are offered again. */
    ssize_t (*write)(struct channel *channel, const void *bytes, size_t length);

    /* Nothing more will be written: tells the other side (a FIN, close_notify). Returns 0, -EAGAIN
     * (what was written is not out yet: call it again when the channel is writable), or -errno. A
     * channel that can only be closed as a whole does nothing. */
    int (*shut)(struct channel *channel);

    /* How many written bytes the other side has not acknowledged yet; NULL where that is not known.
     */
    size_t (*unsent)(const struct channel *channel);

    /* Closes. `abort`: as a failure that the other side notices (a RST), not as an end. */
    void (*free)(struct channel *channel, bool abort);
};

struct channel {
    const struct channel_class *class;

    /* An attempt may succeed. The pair clears them at -EAGAIN; the channel sets them when the loop
     * says so, and then calls ready(). True at first. */
    bool readable, writable;

    /* A read is one datagram, a write makes one: boundaries mean something. */
    bool messages;

    /* One connection in both directions: when writing fails, what came before is still read. */
    bool connected;

    /* Is a person there? Then what arrives is shown at once, and the other side's end is the end.
     */
    bool terminal;

    /* Descriptors through which the kernel can move the bytes by itself (splice(2), sendfile(2)),
     * or -1 where they must pass through here. */
    int splice_in, splice_out;

    /* Set by the owner, before the loop runs next. It may free the channel. */
    void (*ready)(struct channel *channel, void *user);
    void *user;

    /* After read, write or shut failed: what it was, where errno alone would not do ("the
     * certificate has expired"); `code` 0: nothing to add. */
    struct error error;
};

static inline ssize_t channel_read(struct channel *channel, void *bytes, size_t size)
{
    return channel->class->read(channel, bytes, size);
}

static inline ssize_t channel_write(struct channel *channel, const void *bytes, size_t length)
{
    return channel->class->write(channel, bytes, length);
}

static inline int channel_shut(struct channel *channel)
{
    return channel->class->shut(channel);
}

static inline void channel_free(struct channel *channel, bool abort)
{
    if (channel)
        channel->class->free(channel, abort);
}

/* ---- the kinds ---- */

/* A socket that is connected already, made non-blocking. TCP, Unix, or connected UDP (`messages`).
 * Takes the descriptor, which is closed on failure too. Returns 0 or -errno. */
int channel_socket_new(struct loop *loop, int fd, struct channel **ret_channel);

/* The same for one that is watched already, and no longer by `watched`. */
int channel_socket_take(struct loop *loop, struct watch *watched, struct channel **ret_channel);

/* Two descriptors of this process, standard input and output say, which stay open: pipes, files,
 * terminals, sockets, in any mixture. -1: that direction is at its end from the beginning. Their
 * flags, which other processes share, are left alone. Returns 0 or -errno. */
int channel_stdio_new(struct loop *loop, int in, int out, struct channel **ret_channel);
