/* Hosts that answer only so often (a limit on RSTs, say) leave the common passes and get a lane:
 * passes of their own over their silent ports, at a pace of their own, beside everything else.
 *
 * A host is recognised by how much of what it answers a pass finds that those before it missed. */
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
    double rate;      /* probes a second */
    bool resting;     /* all of the pass was asked: its last answers are waited for */
    unsigned pass;    /* from 1 */
    unsigned earlier; /* common passes before that */
    unsigned first;   /* passes before it was slowed down last */

    /* The port that the host has refused before is asked again now and then: one that leaves it
     * unanswered has said nothing by leaving others. */
    uint64_t check;                  /* its index, or LANE_NO_CHECK */
    unsigned since_check;            /* ports asked since */
    unsigned checks, check_answers;  /* in this pass */
    unsigned window, window_answers; /* checks since the rate was looked at last, and theirs */
    double good;         /* the highest rate at which all was answered; 0: none is known */
    bool settled;        /* the rate was too high once, and does not rise any more */
    bool doubtful;       /* it was in this pass */
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
