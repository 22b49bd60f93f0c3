/* Finds the rate that a path carries: a closed loop over canaries.
 *
 * A canary is a probe of a port that has answered before. While canaries answer as they used to,
 * the rate rises, doubling at first; when fewer do, when their round trips swell, or when this
 * machine itself drops packets, it falls at once to nine tenths of what got through. A path that
 * loses packets at every rate is told from one that is too fast by what slowing down brings. Pure:
 * it sees nothing but epochs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A stretch of time in which the rate did not change, and what became of its canaries. */
struct epoch {
    double rate;           /* packets a second that left in it */
    uint32_t asked, heard; /* canaries */
    double delay; /* median of what the canaries' round trips were above their own least, seconds;
                     negative: unknown */
    uint64_t refused, missed; /* packets that this machine did not let out or in */
};

enum steer_limit {
    STEER_SEEKING,   /* nothing has limited the rate yet */
    STEER_BLIND,     /* nothing answers that could tell */
    STEER_LOSS,      /* canaries fell silent above it */
    STEER_DELAY,     /* round trips swelled above it */
    STEER_SENDING,   /* this machine's queues refused packets above it */
    STEER_RECEIVING, /* this machine lost answers above it */
    STEER_PROCESSOR, /* this machine cannot send faster */
    STEER_CEILING,   /* what the user allows */
};

struct steer {
    double rate;             /* packets a second, to be kept to */
    double minimum, maximum; /* of it; the maximum may be INFINITY */
    double ceiling;          /* what the path carried when it was overrun last; 0: it never was */
    enum steer_limit limit;  /* what holds the rate where it is */

    /* Private. */
    double share;        /* of canaries that answer when the path is not overrun */
    double share_weight; /* how many canaries this is known from */
    double asked, heard; /* of the latest epochs, together */
    unsigned epochs;     /* that these are */
    double delay;        /* the usual one, seconds; negative: unknown */
    double delay_before; /* of the epoch before */
    double fallen_from;  /* the rate before the last fall, 0 once it is known what that brought */
    double fallen_share; /* what was heard then */
    bool troubled;       /* the epoch before was not good */
    unsigned good;       /* epochs in a row without trouble */
};

#define STEER_START 20000.0 /* packets a second, until anything is known */
#define STEER_LEAST 200.0   /* no path that people use is slower */

/* `minimum` and `maximum` are packets a second, 0 where the user set none. */
void steer_init(struct steer *steer, double minimum, double maximum);

/* Learns from an epoch, which must have begun after the last change of `rate`. Returns whether
 * `rate` has changed. */
bool steer_judge(struct steer *steer, const struct epoch *epoch);

#define STEER_TEXT_SIZE 96

/* One phrase for "speed limited by …", or NULL when nothing limited the rate. It may stand in
 * `text`. */
const char *steer_limit_text(const struct steer *steer, char text[static STEER_TEXT_SIZE]);
