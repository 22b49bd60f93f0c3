/* A channel over the reader of requests and the maker of pages. */
#include "talk/channel_http.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAXIMUM ((size_t)1 << 20) /* unread, before further requests are not read */

struct http_channel {
    struct channel channel;
    struct peer remote, local;
    void (*told)(void *user, const struct http_reader *request);
    void *told_user;
    struct http_reader reader;
    struct buffer answers;
    size_t read; /* of `answers` */
    bool ended;  /* nothing is read any more: what still comes is passed over */
};

static ssize_t http_read(struct channel *channel, void *bytes, size_t size)
{
    struct http_channel *self = (struct http_channel *)channel;
    size_t left = self->answers.length - self->read;
    if (self->answers.failed)
        return -ENOMEM;
    if (!left)
        return self->ended ? CHANNEL_END : -EAGAIN;
    if (left < size)
        size = left;
    memcpy(bytes, self->answers.data + self->read, size);
    self->read += size;
    if (self->read == self->answers.length) {
        buffer_clear(&self->answers);
        self->read = 0;
        channel->writable = true;
    }
    return (ssize_t)size;
}

static void answer(struct http_channel *self)
{
    if (self->told)
        self->told(self->told_user, &self->reader);
    http_page_add(&self->answers, &self->reader, &self->remote, &self->local, clock_wall());
    self->ended = !self->reader.keep_alive;
    http_reader_next(&self->reader);
}

static ssize_t http_write(struct channel *channel, const void *bytes, size_t length)
{
    struct http_channel *self = (struct http_channel *)channel;
    size_t done = 0;
    while (!self->ended && done < length) {
        if (self->answers.length - self->read > ANSWERS_MAXIMUM)
            break;
        struct error error = {0};
        size_t taken = 0;
        bool wants_continue = false;
        int r = http_reader_add(&self->reader, (const char *)bytes + done, length - done, &taken,
                                &wants_continue, &error);
        done += taken;
        if (wants_continue)
            buffer_add_text(&self->answers, "HTTP/1.1 100 Continue\r\n\r\n");
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            http_fault_add(&self->answers, r, &error);
            self->ended = true;
        } else if (r == HTTP_COMPLETE) {
            answer(self);
        }
    }
    if (!done && length && !self->ended)
        return -EAGAIN;
    channel->readable = true;
    return (ssize_t)(self->ended ? length : done);
}

static int http_shut(struct channel *channel)
{
    struct http_channel *self = (struct http_channel *)channel;
    self->ended = true;
    channel->readable = true;
    return 0;
}

static void http_free(struct channel *channel, bool abort)
{
    struct http_channel *self = (struct http_channel *)channel;
    (void)abort;
    http_reader_release(&self->reader);
    buffer_release(&self->answers);
    free(self);
}

static const struct channel_class http_class = {
    .name = "http",
    .read = http_read,
    .write = http_write,
    .shut = http_shut,
    .free = http_free,
};

int channel_http_new(const struct peer *remote, const struct peer *local,
                     void (*told)(void *user, const struct http_reader *request), void *user,
                     struct channel **ret_channel)
{
    struct http_channel *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    *self = (struct http_channel){.channel = {.class = &http_class,
                                              .readable = true,
                                              .writable = true,
                                              .splice_in = -1,
                                              .splice_out = -1},
                                  .remote = *remote,
                                  .local = *local,
                                  .told = told,
                                  .told_user = user};
    *ret_channel = &self->channel;
    return 0;
}
