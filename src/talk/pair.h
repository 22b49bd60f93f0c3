/* Two channels joined: what comes out of each goes into the other, until both have ended.
 *
 * Bytes that nobody needs to see are moved by the kernel (splice(2)); the others pass through one
 * buffer. What cannot be written yet is not read: nothing is ever dropped, and memory does not
 * grow. */
#pragma once

#include "base/buffer.h"
#include "talk/channel.h"
#include "talk/pipes.h"

/* What is done when one side has ended and everything it said has been handed on. */
enum pair_eof {
    PAIR_SHUTDOWN, /* the other side is told (half-close), and goes on being read */
    PAIR_KEEP,     /* it is not told, and goes on being read */
    PAIR_CLOSE,    /* it is told, and `eof_patience` later both are closed */
};

/* Directions, as indexes: 0 is from the first channel to the second. */
enum pair_direction {
    PAIR_FORTH,
    PAIR_BACK,
    PAIR_DIRECTIONS,
};

enum pair_outcome {
    PAIR_ENDED,  /* both sides ended, or the one that was waited for */
    PAIR_CLOSED, /* we ended it: PAIR_CLOSE, or pair_close() */
    PAIR_IDLE,   /* nothing was said for `idle` */
    PAIR_FAILED, /* reading or writing failed: `error` */
};

struct pair_options {
    enum pair_eof on_eof[PAIR_DIRECTIONS]; /* when the side that this direction comes from ends */
    uint64_t eof_patience;                 /* nanoseconds, of PAIR_CLOSE */
    uint64_t idle;                         /* nanoseconds without a byte; 0: no limit */
    uint64_t delay;                        /* nanoseconds between two reads; 0: none */
    size_t message_size;                   /* of datagrams made of a stream; 0: as much as fits */

    /* Passes bytes on in another form: adds them to `converted`. NULL: as they are. */
    void (*convert[PAIR_DIRECTIONS])(void *user, const void *bytes, size_t length,
                                     struct buffer *converted);
    /* Sees what is said, in the order in which it was read, before it is converted. NULL: nobody.
     */
    void (*observe)(void *user, enum pair_direction direction, const void *bytes, size_t length);
    /* Called once, last, from the loop: the pair may be freed in it. */
    void (*ended)(void *user, enum pair_outcome outcome, const struct error *error);
    void *user;
};

struct pair; /* is made and freed by these two; takes the channels */

/* Returns 0 or -ENOMEM (the channels are still the caller's). Begins at the loop's next turn. */
int pair_new(struct loop *loop, struct pipes *pipes, struct channel *first, struct channel *second,
             const struct pair_options *options, struct pair **ret_pair);

/* Ends it as PAIR_CLOSED at the loop's next turn; what was read and not yet written is lost. */
void pair_close(struct pair *pair);

/* Frees the channels that it still has. `abort`: as failures (RST). Without ended(). */
void pair_free(struct pair *pair, bool abort);

/* Bytes handed on so far, as they were read. */
uint64_t pair_bytes(const struct pair *pair, enum pair_direction direction);

/* Which channel it was that failed, after PAIR_FAILED. */
enum pair_side {
    PAIR_FIRST,
    PAIR_SECOND,
};
enum pair_side pair_guilty(const struct pair *pair);
