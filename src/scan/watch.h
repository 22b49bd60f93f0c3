/* Which hosts answer only so often? Their silence says nothing, and they get lanes (lane.h).
 *
 * Two things show it at the end of a pass: that much was heard of a host which the passes before
 * had missed, more than of most hosts; and that a host leaves even the port unanswered that it has
 * answered before, asked again in the midst of its silent ones. */
#pragma once

#include "scan/state.h"

#include <stddef.h>

struct host_watch {
    uint32_t before; /* ports that it answered itself before this pass */
    uint32_t now;    /* and in this one */
    uint32_t
        refused;    /* one that it refused, as its number among the plan's ports, plus 1; 0: none */
    uint8_t checks; /* how often that was asked again in this pass */
    uint8_t answers; /* and answered */
};

struct watch {
    struct host_watch *hosts;
    uint64_t count;   /* 0: nothing is watched */
    double limit;     /* share of late answers above which a host is limited, in this pass */
    double late;      /* share of all answers that comes late from most hosts */
    double share;     /* of checks that the path lets through */
    uint64_t checked; /* hosts that were asked often enough in this pass to say something */
    uint64_t checks, answers; /* of earlier passes, of hosts that were not limited then */
};

#define WATCH_HOSTS 1048576u /* more than so many are not watched */
#define WATCH_CHECKS 6       /* of a host in a pass, at most */

int watch_init(struct watch *watch, uint64_t hosts); /* 0 or -ENOMEM */
void watch_release(struct watch *watch);

/* Books the first answer of a host's port, asked in this pass or before; `refused`: it is one that
 * says no more than that nobody listens. */
void watch_hear(struct watch *watch, uint64_t host, uint32_t port, bool late, bool refused);

/* A silent port of the host is asked at `share` (0 to 1) of the pass: whether the port that it has
 * refused is to be asked as well. */
bool watch_check(struct watch *watch, uint64_t host, double share, uint32_t *ret_port);

/* Books the answer to that. */
void watch_check_answer(struct watch *watch, uint64_t host);

/* What was booked up to now was heard before this pass: of a scan that is taken up again. */
void watch_restart(struct watch *watch);

/* At the end of a pass: first this, with the share of probes that the path is known to carry, then
 * for each host whether it is limited, which also begins its next pass. `ret_heard` is how many
 * ports it has answered in all, `ret_late` how many in this pass.
 */
void watch_measure(struct watch *watch, double share);
bool watch_is_limited(struct watch *watch, uint64_t host, uint32_t *ret_heard, uint32_t *ret_late);
