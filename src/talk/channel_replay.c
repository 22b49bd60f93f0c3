/* A channel that plays one side of a recorded conversation. */
#include "talk/replay.h"

#include <stdlib.h>
#include <string.h>

struct replay_channel {
    struct channel channel;
    struct loop *loop;
    const struct replay *replay;
    struct channel *inner; /* NULL: what is heard is dropped */
    struct buffer rest;    /* of a datagram, which is taken whole, what `inner` has not taken yet */
    struct task wake;      /* something can be said now */
    size_t step, at;       /* what is said next: the step, and the place in `said` */
    uint64_t heard;
    bool deaf; /* it will hear no more */
};

/* Has enough been heard for what comes next, the end included? */
static bool may_go_on(const struct replay_channel *self)
{
    const struct replay *replay = self->replay;
    const bool over = self->step == replay->count;
    return self->deaf || self->heard >= (over ? replay->heard : replay->steps[self->step].heard);
}

/* As much of the present step as fits. A datagram of which a part does not fit is over all the
 * same. */
static size_t take_step(struct replay_channel *self, char *bytes, size_t size)
{
    const size_t left = self->replay->steps[self->step].end - self->at;
    const size_t count = left < size ? left : size;
    if (count)
        memcpy(bytes, self->replay->said.data + self->at, count);
    self->at += self->channel.messages ? left : count;
    self->step += self->at == self->replay->steps[self->step].end;
    return count;
}

static ssize_t replay_channel_read(struct channel *channel, void *bytes, size_t size)
{
    struct replay_channel *self = (struct replay_channel *)channel;
    size_t used = 0;
    while (self->step < self->replay->count && may_go_on(self)) {
        used += take_step(self, (char *)bytes + used, size - used);
        if (channel->messages || used == size)
            return (ssize_t)used;
    }
    if (used)
        return (ssize_t)used;
    return may_go_on(self) ? CHANNEL_END : -EAGAIN;
}

/* Returns 0 when `inner` has all that was taken, -EAGAIN, or -errno. */
static int flush_rest(struct replay_channel *self)
{
    while (self->rest.length) {
        const ssize_t put = channel_write(self->inner, self->rest.data, self->rest.length);
        if (put < 0)
            return (int)put;
        buffer_consume(&self->rest, (size_t)put);
    }
    return 0;
}

/* Returns how many bytes were taken, -EAGAIN, or -errno. */
static ssize_t hand_on(struct replay_channel *self, const char *bytes, size_t length)
{
    if (!self->inner)
        return (ssize_t)length;
    const int waiting = flush_rest(self);
    if (waiting < 0)
        return waiting;
    const ssize_t put = channel_write(self->inner, bytes, length);
    if (put < 0 || !self->channel.messages)
        return put;
    buffer_add(&self->rest, bytes + put, length - (size_t)put);
    return self->rest.failed ? -ENOMEM : (ssize_t)length;
}

/* That may be what it `waited` for. */
static void listen_up(struct replay_channel *self, bool waited)
{
    if (waited && may_go_on(self)) {
        self->channel.readable = true;
        loop_defer(self->loop, &self->wake);
    }
}

static ssize_t replay_channel_write(struct channel *channel, const void *bytes, size_t length)
{
    struct replay_channel *self = (struct replay_channel *)channel;
    const bool waited = !may_go_on(self);
    const ssize_t put = hand_on(self, bytes, length);
    if (put < 0) {
        channel->error = self->inner->error;
        return put;
    }
    self->heard += (size_t)put;
    listen_up(self, waited);
    return put;
}

static int replay_channel_shut(struct channel *channel)
{
    struct replay_channel *self = (struct replay_channel *)channel;
    const bool waited = !may_go_on(self);
    self->deaf = true;
    listen_up(self, waited);
    int result = self->inner ? flush_rest(self) : 0;
    if (result == 0 && self->inner)
        result = channel_shut(self->inner);
    if (result < 0)
        channel->error = self->inner->error;
    return result;
}

static size_t replay_channel_unsent(const struct channel *channel)
{
    const struct replay_channel *self = (const struct replay_channel *)channel;
    const struct channel *inner = self->inner;
    return self->rest.length + (inner && inner->class->unsent ? inner->class->unsent(inner) : 0);
}

static void replay_channel_free(struct channel *channel, bool abort)
{
    struct replay_channel *self = (struct replay_channel *)channel;
    loop_cancel(self->loop, &self->wake);
    channel_free(self->inner, abort);
    buffer_release(&self->rest);
    free(self);
}

static const struct channel_class replay_class = {
    .name = "replay",
    .read = replay_channel_read,
    .write = replay_channel_write,
    .shut = replay_channel_shut,
    .unsent = replay_channel_unsent,
    .free = replay_channel_free,
};

static void wake(struct task *task)
{
    struct replay_channel *self = CONTAINER_OF(task, struct replay_channel, wake);
    self->channel.ready(&self->channel, self->channel.user);
}

/* Of what the inner channel says only that it can be written is of interest. */
static void inner_ready(struct channel *inner, void *user)
{
    struct replay_channel *self = user;
    if (!inner->writable || flush_rest(self) == -EAGAIN)
        return; /* an error is told by the next write */
    self->channel.writable = true;
    self->channel.ready(&self->channel, self->channel.user);
}

int channel_replay_new(struct loop *loop, const struct replay *replay, bool messages,
                       struct channel *inner, struct channel **ret_channel)
{
    struct replay_channel *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    *self = (struct replay_channel){.loop = loop,
                                    .replay = replay,
                                    .inner = inner,
                                    .wake.run = wake,
                                    .channel = {.class = &replay_class,
                                                .readable = true,
                                                .writable = true,
                                                .messages = messages,
                                                .splice_in = -1,
                                                .splice_out = -1}};
    if (inner) {
        inner->ready = inner_ready;
        inner->user = self;
    }
    *ret_channel = &self->channel;
    return 0;
}
