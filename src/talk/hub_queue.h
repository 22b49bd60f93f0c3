/* What waits for a channel to take it. A message that waits for many is kept once. */
#pragma once

#include "talk/channel.h"

/* What is said now. `message` is made when the first one has to wait. */
struct hub_message;
struct hub_saying {
    const char *bytes;
    size_t length;
    struct hub_message *message;
};

struct hub_queue {
    struct hub_waiting *first, **end; /* `end` is NULL before the first use */
    size_t offset;                    /* of the first one's bytes: these are out */
    size_t cost;                      /* bytes that wait, and what it takes to keep them */
    uint64_t out;                     /* bytes that the channel has taken */
    uint64_t added;                   /* and that it was given altogether */
};

/* Gives the channel what it takes at once, and keeps the rest. Returns 0 or -errno; then the queue
 * is not to be used but for hub_queue_clear(). */
int hub_queue_say(struct hub_queue *queue, struct channel *channel, struct hub_saying *saying);

/* Goes on with what waits. Same results. */
int hub_queue_flush(struct hub_queue *queue, struct channel *channel);

void hub_queue_clear(struct hub_queue *queue);
void hub_saying_release(struct hub_saying *saying);
