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

/* Whose words are said again. */
enum replay_side {
    REPLAY_DIALLED,
    REPLAY_ACCEPTED,
};

/* Takes one side of one conversation out of a file of records: of that with the number `number`, or
 * of the first that says anything where it is 0. Its "connection" record tells which side the
 * recorder was; where it does not, it was the one that is wanted. A side that only listened is one,
 * too. Returns 0, -ENOMEM, or -EINVAL with an error that says in which line, also when neither side
 * said anything. */
int replay_read(struct replay *replay, const char *lines, size_t length, uint64_t number,
                enum replay_side side, struct error *error);
void replay_release(struct replay *replay);

/* A channel that says it: each step once as many bytes were written to it as the side had heard
 * then, whatever they are. It ends when all is said and as much was heard as in the record. Once it
 * is shut it will hear no more, and says what is left without waiting. With
 * `messages` each record is one datagram. What is written is handed on to `inner`, which it takes,
 * or dropped where that is NULL; `inner` is never read. `replay` is borrowed. Returns 0 or -ENOMEM.
 */
int channel_replay_new(struct loop *loop, const struct replay *replay, bool messages,
                       struct channel *inner, struct channel **ret_channel);
