/* struct hub_queue: a list of places in messages that are shared and counted. */
#include "talk/hub_queue.h"

#include <stdlib.h>
#include <string.h>

#define DATAGRAM_SIZE ((size_t)32 << 10) /* the most that is made of a stream */

struct hub_message {
    size_t references, length;
    char bytes[];
};

struct hub_waiting {
    struct hub_waiting *next;
    struct hub_message *message;
};

/* Many short messages take more memory than their bytes. */
#define OVERHEAD (sizeof(struct hub_waiting) + sizeof(struct hub_message) + 32)

static void message_drop(struct hub_message *message)
{
    if (--message->references == 0)
        free(message);
}

/* Writes as much as goes. Returns how many bytes, or -errno. */
static ssize_t write_some(struct channel *channel, const char *bytes, size_t length)
{
    size_t done = 0;
    while (done < length && channel->writable) {
        size_t part = length - done;
        if (channel->messages && part > DATAGRAM_SIZE)
            part = DATAGRAM_SIZE;
        ssize_t put = channel_write(channel, bytes + done, part);
        if (put < 0 && put != -EAGAIN)
            return put;
        if (put > 0)
            done += (size_t)put;
        else
            channel->writable = false;
    }
    return (ssize_t)done;
}

/* Keeps the saying's bytes from `offset` on, of which the queue is empty when it is not 0. */
static int keep(struct hub_queue *queue, struct hub_saying *saying, size_t offset)
{
    struct hub_waiting *waiting = malloc(sizeof(*waiting));
    if (waiting && !saying->message) {
        saying->message = malloc(sizeof(*saying->message) + saying->length);
        if (saying->message) {
            saying->message->references = 1; /* the saying's own */
            saying->message->length = saying->length;
            memcpy(saying->message->bytes, saying->bytes, saying->length);
        }
    }
    if (!waiting || !saying->message) {
        free(waiting);
        return -ENOMEM;
    }
    if (!queue->first) {
        queue->end = &queue->first;
        queue->offset = offset;
    }
    *waiting = (struct hub_waiting){.message = saying->message};
    saying->message->references++;
    *queue->end = waiting;
    queue->end = &waiting->next;
    queue->cost += saying->length - offset + OVERHEAD;
    return 0;
}

int hub_queue_say(struct hub_queue *queue, struct channel *channel, struct hub_saying *saying)
{
    ssize_t put = queue->first ? 0 : write_some(channel, saying->bytes, saying->length);
    if (put < 0)
        return (int)put;
    queue->added += saying->length;
    queue->out += (uint64_t)put;
    return (size_t)put < saying->length ? keep(queue, saying, (size_t)put) : 0;
}

static void drop_first(struct hub_queue *queue)
{
    struct hub_waiting *first = queue->first;
    queue->cost -= first->message->length - queue->offset + OVERHEAD;
    queue->offset = 0;
    queue->first = first->next;
    message_drop(first->message);
    free(first);
}

int hub_queue_flush(struct hub_queue *queue, struct channel *channel)
{
    while (queue->first && channel->writable) {
        const struct hub_message *message = queue->first->message;
        ssize_t put =
            write_some(channel, message->bytes + queue->offset, message->length - queue->offset);
        if (put < 0)
            return (int)put;
        queue->offset += (size_t)put;
        queue->cost -= (size_t)put;
        queue->out += (uint64_t)put;
        if (queue->offset == message->length)
            drop_first(queue);
    }
    return 0;
}

void hub_queue_clear(struct hub_queue *queue)
{
    while (queue->first)
        drop_first(queue);
}

void hub_saying_release(struct hub_saying *saying)
{
    if (saying->message)
        message_drop(saying->message);
    saying->message = NULL;
}
