/* One side of a recorded conversation, said again: --replay. */
#pragma once

#include "talk/channel.h"
#include "talk/transcript.h"

/* What one side said, and how much it had heard by then. Zeroed at first. */
struct replay_step {
    uint64_t heard; /* bytes of the other side that come before it */
    size_t end;     /* of it, in `said` */
};

struct replay {
    struct buffer said;
    struct replay_step *steps;
    size_t count, capacity;
    uint64_t heard; /* in the whole record */
};

/* Takes the side `said` (PAIR_FORTH: what is recorded as sent) of one conversation out of a file of
 * records: that with the number `number`, or the first that says anything where it is 0. Returns 0,
 * -ENOMEM, or -EINVAL with an error that says in which line, also when nothing was said at all. */
int replay_read(struct replay *replay, const char *lines, size_t length, uint64_t number,
                enum pair_direction said, struct error *error);
void replay_release(struct replay *replay);

/* A channel that says it: each step once as many bytes were written to it as the side had heard
 * then, whatever they are. It ends when all is said and as much was heard as in the record. With
 * `messages` each record is one datagram. What is written is handed on to `inner`, which it takes,
 * or dropped where that is NULL; `inner` is never read. `replay` is borrowed. Returns 0 or -ENOMEM.
 */
int channel_replay_new(struct loop *loop, const struct replay *replay, bool messages,
                       struct channel *inner, struct channel **ret_channel);
