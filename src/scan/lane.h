/* Hosts that answer only so often (a limit on RSTs, say) leave the common passes and get a lane:
 * passes of their own over their silent ports, at a pace of their own, beside everything else.
 *
 * A lane finds its host's rate itself. It begins with what the host has answered up to now, which
 * is little where nothing limits it, and doubles as long as the port that the host has refused
 * before is refused again. When that falls silent, more than chance explains, the lane goes back to
 * the last good rate, and from then on rises gently. A lane has a minute, and another one for every
 * 4,000 ports: one that would take longer at the rate found ends at once, and its host is given up.
 *
 * watch.h says which hosts get lanes. A mistake there costs about a second. */
#pragma once

#include "base/deadlines.h"
#include "scan/ledger.h"
#include "scan/plan.h"
#include "scan/recall.h"

#define LANES 16384 /* at most; further hosts stay in the common passes */
#define LANE_PASSES 32
#define LANE_RECENT 64
#define LANE_NO_CHECK UINT64_MAX

struct lane {
    uint64_t host;
    uint64_t next;    /* the index to be looked at next in this pass */
    uint64_t began;   /* monotonic */
    bool resting;     /* all of the pass was asked: its last answers are waited for */
    bool doubtful;    /* the rate was too high in this pass */
    bool given_up;    /* before all was asked that should have been */
    unsigned pass;    /* from 1 */
    unsigned earlier; /* common passes before that */
    unsigned first;   /* passes before it was slowed down last */

    /* The port that the host has refused before is asked again now and then: one that leaves it
     * unanswered has said nothing by leaving others. */
    uint64_t check;                 /* its index, or LANE_NO_CHECK */
    unsigned until_check;           /* ports to be asked before */
    unsigned checks, check_answers; /* in this pass */

    /* Some checks make a window, which is judged when its answers have had their time, or else
     * grows. Only then is anything known of the ports that were asked among them. */
    struct {
        unsigned size; /* checks that it is to have; 0: there is no check */
        unsigned checks, answers;
        uint64_t asked; /* monotonic: when its last check was */
        uint64_t next;  /* the lane's `next` at that time */
    } window;
    bool seeking;     /* the rate was not too high in this pass yet */
    bool trying;      /* checks alone are asked: is the host still exhausted? */
    uint64_t covered; /* indexes below were asked before the last check that was answered */

    double rate;                        /* probes a second */
    uint64_t rate_since;                /* monotonic */
    unsigned rate_checks, rate_answers; /* of the windows with that rate */
    double good;                        /* the highest rate at which all was answered, */
    double bad;                         /* and the last at which not; or 0 */
    uint64_t fallen;                    /* monotonic: when it was too high last; 0: never */
    double fallen_from, fallen_share; /* the rate before the falls, or 0, and the share answered */
    double share;      /* of what is asked that is answered at any rate, as far as known */
    unsigned hopeless; /* windows in a row at the least rate that were too fast */

    unsigned unanswered; /* asked since the host answered anything */
    uint64_t answered;   /* monotonic: when it did */

    uint64_t answers[LANE_PASSES]; /* first answers by pass */
    struct {
        uint64_t index, time;
    } recent[LANE_RECENT]; /* what was asked last, and when */
    unsigned recent_next;
};

struct lanes {
    struct lane *items;
    size_t count, capacity;
    size_t active;            /* that still ask */
    uint32_t *slots;          /* by host, open addressing: lane + 1, or 0; 4 × capacity of them */
    struct deadlines due;     /* of the active lanes, by number */
    uint64_t earlier_answers; /* of their hosts, before they had lanes */
    size_t slow;              /* lanes that had to slow down */
    size_t given_up;          /* lanes whose hosts fell silent, or would have taken too long */
    double given_up_rate;     /* answers a second that the latter give at most; 0: there are none */

    /* Whether an index of a host is the scan's to ask about; NULL: all are. */
    bool (*includes)(const void *user, uint64_t index);
    const void *user;
};

struct lane_options {
    unsigned tries;    /* passes of a lane at most */
    double recall;     /* that is enough */
    uint64_t patience; /* nanoseconds that answers may take */
    double share;      /* of probes that the path carries, above 0 and below 1 */
};

void lanes_release(struct lanes *lanes);

/* Gives `host` a lane, unless it has one. It has had `earlier` passes and answered `rate` times a
 * second in them, `check` among them. Returns 0 or -ENOMEM. */
int lanes_add(struct lanes *lanes, const struct plan *plan, uint64_t host, unsigned earlier,
              double rate, uint64_t check, uint64_t now);

/* Books an answer of the lane's host: the first one of a port, or one to a check. */
void lane_hear(struct lane *lane, bool check, uint64_t now);

/* The lane of a host, or NULL. */
struct lane *lanes_find(const struct lanes *lanes, uint64_t host);

/* The next index that may be asked now; ends passes and lanes on the way. */
bool lanes_next(struct lanes *lanes, const struct plan *plan, const struct ledger *ledger,
                const struct lane_options *options, uint64_t now, uint64_t *ret_index);

/* After how many nanoseconds to ask for the next one, at most `wait`. */
uint64_t lanes_wait(const struct lanes *lanes, uint64_t now, uint64_t wait);

/* When the lane asked `index` last (monotonic), or 0 when that is not known (any more). */
uint64_t lane_time(const struct lane *lane, uint64_t index);

/* Adds the ports that the lanes' hosts gave, and those that they are estimated to have kept back:
 * by the estimates and by their lower bounds. `ret_silent` are their indexes without an answer. */
void lanes_recall(const struct lanes *lanes, const struct plan *plan, const struct ledger *ledger,
                  double *heard, double *missing, double *missing_most, uint64_t *ret_silent);
