/* Canaries: ports that have answered, asked again now and then to hear whether they still do.
 *
 * They are asked in epochs, stretches of time with one rate. Each epoch has a probe tag of its own,
 * so that an answer says which one it belongs to, and asks a port once at most, because hosts
 * answer a second SYN on the same connection as they please (RFC 5961). */
#pragma once

#include "base/random.h"
#include "scan/prober.h"
#include "scan/steer.h"

#define CANARIES 256                 /* ports kept, */
#define CANARIES_HOST (CANARIES / 4) /* and of one host, where others answer, too */
#define CANARY_TAG 8                 /* the first of the tags that are theirs */
#define CANARY_MOST 24               /* asked in an epoch */
#define CANARY_EPOCHS (PROBE_TAGS - CANARY_TAG)

struct canary {
    uint64_t index, host;
    uint64_t asked; /* monotonic: when it was asked last */
    uint64_t least; /* nanoseconds: its shortest round trip; 0: none is known */
    uint8_t tag;    /* with which it was asked last; 0: never */
    bool heard;     /* the answer to that has come */
    uint8_t missed; /* epochs in a row without an answer while others answered */
};

struct canary_epoch {
    uint64_t began, ended; /* monotonic; `ended` 0: it is the current one */
    uint64_t packets;      /* that left in it, of all kinds */
    uint64_t refused, missed;
    uint32_t asked, heard;
    uint64_t delays[CANARY_MOST]; /* nanoseconds, of those heard */
    bool valid;                   /* it is to be judged */
};

struct canaries {
    struct canary items[CANARIES];
    uint32_t count;
    uint64_t seen;  /* ports that were offered */
    uint64_t crowd; /* with `crowded`: a host that may have more than CANARIES_HOST */
    bool crowded;
    struct key key;
    struct canary_epoch epochs[CANARY_EPOCHS]; /* by number modulo their count */
    uint64_t epoch;                            /* number of the current one */
    uint64_t judged;                           /* numbers below are done with */
    uint32_t cursor;                           /* the item to be asked next */
    bool sparing; /* fewer will do, because nothing but the user limits the rate */
    double rate;  /* packets a second that are meant to leave */
};

void canaries_init(struct canaries *canaries, double rate, uint64_t now);

/* Offers a port of a host that has just answered by itself, with its round trip in nanoseconds (0:
 * unknown). Which ones are kept is chance, but that no host, which may answer at all its ports and
 * from a place of its own, speaks for all. */
void canaries_offer(struct canaries *canaries, uint64_t index, uint64_t host, uint64_t rtt);

/* Forgets those with an index in [first, end). */
void canaries_forget(struct canaries *canaries, uint64_t first, uint64_t end);

/* Counts packets that have left, and what this machine has refused and missed, in the epoch. */
void canaries_count(struct canaries *canaries, uint64_t packets, uint64_t refused, uint64_t missed);

/* Whether a canary is to be asked now; then says which and with which tag, and books it as asked.
 * One whose answer may still come, for `grace` nanoseconds, is left in peace. */
bool canaries_next(struct canaries *canaries, uint64_t now, uint64_t grace, uint64_t *ret_index,
                   uint8_t *ret_tag);

/* How many packets of an epoch go to one canary, and how many canaries make an epoch: at low rates
 * a larger share and fewer, so that the loop does not take its time. */
uint32_t canaries_stride(const struct canaries *canaries);
uint32_t canaries_wanted(const struct canaries *canaries);

/* Takes the answer to a probe with a tag from CANARY_TAG on. */
void canaries_hear(struct canaries *canaries, uint64_t index, uint8_t tag, uint64_t time);

/* Ends the current epoch when it has lasted `length` and asked enough, and begins the next. */
void canaries_turn(struct canaries *canaries, uint64_t now, uint64_t length);

/* The next epoch of which everything is known: all has been heard, or `grace` has passed since its
 * end. */
bool canaries_judge(struct canaries *canaries, uint64_t now, uint64_t grace,
                    struct epoch *ret_epoch);

/* Nothing asked up to now is judged, because the rate has changed or sending has paused. */
void canaries_restart(struct canaries *canaries, double rate, uint64_t now);
