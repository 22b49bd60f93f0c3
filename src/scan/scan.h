/* The scan loop: order → prober → replies → ledger → events, pass after pass. */
#pragma once

#include "scan/ledger.h"
#include "scan/order.h"
#include "scan/prober.h"
#include "scan/record.h"
#include "scan/rtt.h"

#include <stdatomic.h>

#define SCAN_TRIES_MAXIMUM 50

struct scan_options {
    uint64_t seed;      /* of the order; the same seed asks in the same order */
    unsigned tries;     /* attempts at a silent port at most, 1 to SCAN_TRIES_MAXIMUM */
    double recall;      /* stop trying when the estimate reaches this share, 0 to 1 */
    uint32_t in_flight; /* attempts at the same time at most; 0: the default */
    uint64_t rate;      /* probes a second at most; 0: no bound */
    uint64_t min_rate;  /* probes a second at least, whatever is lost; 0: no bound */
    uint64_t shard;     /* ask only the part of this number, from 0, */
    uint64_t shards;    /* of so many parts of the order; 0 or 1: all of it */
    uint64_t memory;    /* bytes that the ledger may take; 0: half of this machine's */
    uint32_t interface; /* index of the one that packets must leave by; 0: the kernel's choice */
    const struct link_class *link; /* the only one that packets may leave by; NULL: by the route */
    uint64_t max_time; /* nanoseconds after which this run asks nothing more; 0: no bound */
    struct rtt_limits timeouts;
};

/* Without evidence that anything answers there is no recall to estimate: so many passes are enough.
 */
#define SCAN_TRIES_UNANSWERED 3

extern const struct scan_options scan_options_default;

/* Where a scan stands, as far as a later run needs it to go on. */
struct scan_position {
    unsigned pass;     /* from 1 */
    uint64_t position; /* in the order: everything before it has been asked in this pass */
    uint64_t probes;
    uint64_t elapsed;                     /* nanoseconds */
    uint64_t answers[SCAN_TRIES_MAXIMUM]; /* first answers by pass; answers[0] is pass 1 */
};

struct scan_progress {
    unsigned pass;
    uint64_t done;  /* positions of this pass that are behind us */
    uint64_t count; /* positions of this pass */
    uint64_t probes;
    uint64_t elapsed; /* nanoseconds */
    double rate;      /* probes a second, lately */
    uint64_t
        remaining; /* nanoseconds until the end of this pass at this rate; UINT64_MAX: unknown */
    uint64_t open, closed, filtered, errors; /* heard so far */
    uint32_t in_flight;
    const char *limit;
    const char *link, *link_reason; /* of struct prober_facts; known from opened() on, or later */
};

/* All called from scan_run()'s thread; any member may be NULL. A non-zero return (-errno) ends the
 * scan.
 */
struct scan_events {
    void *user;

    /* The prober has opened whatever needs rights, and has asked nothing yet. Fills in the error of
     * its failure. */
    int (*opened)(void *user, struct error *error);

    int (*port)(void *user, const struct port_record *record); /* a port's state is known */
    int (*error)(void *user, const struct error_record *record);
    int (*tick)(void *user); /* some ten times a second, and before the scan ends */

    /* The scan ends within a tenth of a second after this has become true, which any thread or
     * signal handler may see to. */
    const atomic_bool *cancelled;
};

struct scan;

/* Everything passed is borrowed and outlives the scan. Returns 0, or -ENOMEM with an error.
 */
int scan_new(const struct plan *plan, const struct scan_options *options,
             const struct prober_class *class, const struct scan_events *events,
             struct scan **ret_scan, struct error *error);
void scan_free(struct scan *scan);

/* Runs to the end and fills in the summary, which also tells how it ended. A silent port becomes a
 * record (filtered, no-response) only when the scan completes. Returns 0, or -errno with an error
 * when the scan could not go on; the summary holds in both cases. */
int scan_run(struct scan *scan, struct scan_summary *ret_summary, struct error *error);

/* Puts a record of an earlier run back, as if it had just come; before scan_run(). Gives the same
 * events. Its index says which address and port it is about. Returns 0, what an event returned, or
 * -EINVAL for an index that is not silent. */
int scan_restore_port(struct scan *scan, const struct port_record *record);
int scan_restore_error(struct scan *scan, const struct error_record *record);
void scan_restore_position(struct scan *scan, const struct scan_position *position);

struct scan_position scan_position(const struct scan *scan);
struct scan_progress scan_progress(const struct scan *scan);
const struct ledger *scan_ledger(const struct scan *scan);

/* Whether an index belongs to our shard. */
bool scan_asks(const struct scan *scan, uint64_t index);
