/* What the files of the scan loop share. Private to them. */
#pragma once

#include "scan/canary.h"
#include "scan/lane.h"
#include "scan/pace.h"
#include "scan/scan.h"
#include "scan/sent_log.h"
#include "scan/walk.h"
#include "scan/watch.h"

#define BATCH 64            /* probes handed to the prober at a time */
#define HOST_SLOTS 1048576u /* above so many hosts, several share one round-trip estimate */
#define ANSWERED_BITS (UINT64_C(1) << 32) /* above so many, hosts share a bit */
#define WINDOW_MINIMUM 64
#define LANE_TAG PASS_TAGS /* of lanes, and of checks of hosts; others from CANARY_TAG on */
#define TICK (100 * NANOSECONDS_PER_MILLISECOND)

struct scan {
    const struct plan *plan;
    struct scan_options options;
    const struct prober_class *class;
    struct scan_events events;
    struct prober *prober;
    struct order order;
    struct ledger ledger;
    struct pace pace;

    struct rtt *rtts; /* by host, host_slots of them */
    uint64_t host_slots;
    struct rtt all;
    unsigned char *answered; /* a bit for each host */
    uint64_t hosts_answered;
    struct number_set failed_hosts; /* that this machine cannot reach */
    struct number_set failed_ports; /* other indexes that it could not ask about */

    struct scan_position at; /* `position`: the next one to look at in the order */
    uint64_t positions;      /* of a pass: all, or those of our shard */
    struct probe batch[BATCH];
    uint32_t batch_count, batch_done;
    bool walks;               /* the prober has the ledger, and walks when it can */
    bool walking;             /* it can now, and the batch is empty */
    struct walk_facts walked; /* as far as it is booked */
    double silent_share;      /* of the pass's positions, at its beginning */
    bool left_out;            /* there are hosts that it does not walk from the beginning, */
    uint64_t left;            /* and before this position of the pass they have been asked */
    bool batch_is_left;       /* the batch is of such hosts */
    uint64_t checked; /* hosts whose turn for a check it was in this pass, round and round */

    /* With a prober that keeps attempts: how many of them may be in flight. */
    uint32_t window, window_maximum;

    /* With a stateless one: */
    struct rtt_spread spread; /* of all round trips */
    struct sent_log log;
    struct canaries canaries;
    struct steer steer;
    struct lanes lanes;
    bool lanes_turn; /* it is theirs */
    bool lanes_only; /* the common passes are over */
    struct watch watch;
    uint64_t pass_began; /* monotonic */
    uint64_t not_before; /* monotonic: the pass asks nothing before */
    bool paused;    /* nothing leaves at the pace of `steer`, so that canaries tell nothing of it */
    uint64_t grace; /* nanoseconds that the slowest host, or one not heard yet, is given in the
                       end; 0 before */
    uint64_t hosts_graced; /* how many hosts had answered when that was given */
    uint64_t sent;         /* monotonic: when the last probe left */
    uint64_t patience;     /* nanoseconds for which answers are waited for; see ask_patience() */
    uint64_t slowest; /* nanoseconds that answers may take, without the least that is waited for */
    uint64_t patience_samples; /* that both were worked out from */
    const char *limit;         /* what holds the speed down, or NULL */
    char limit_text[STEER_TEXT_SIZE];
    uint64_t packets, refused, missed; /* facts of the prober that have been counted */

    uint64_t clock;          /* monotonic, read once a turn */
    uint64_t heard;          /* monotonic: what came before has been taken */
    uint64_t wall_offset;    /* wall clock minus monotonic */
    uint64_t began;          /* monotonic */
    uint64_t elapsed_before; /* of the runs that were resumed */
    uint64_t ticked;
    uint64_t tick_probes, tick_position;
    double probe_rate, position_rate; /* a second, smoothed */
};

/* ---- the order of a pass ---- */

/* Each pass has an order of its own, so that what was lost together is not asked together again:
 * the first that of the scan, each later one a permutation of its positions. */
static inline struct order pass_order(const struct scan *scan, unsigned pass)
{
    struct order order;
    const struct key key = key_from_seed(mix64(scan->options.seed) + pass);
    order_init(&order, scan->positions, &key);
    return order;
}

/* All of a pass, to be walked from its beginning. */
static inline struct walk pass_walk(const struct scan *scan, unsigned pass)
{
    return (struct walk){
        .scan = scan->order,
        .pass = pass > 1 ? pass_order(scan, pass) : (struct order){0},
        .shard = scan->options.shard,
        .shards = scan->options.shards,
        .end = scan->positions,
        .tag = (uint8_t)((pass - 1) % PASS_TAGS),
    };
}

static inline uint64_t pass_position(const struct scan *scan, unsigned pass, uint64_t index)
{
    uint64_t position = order_position(&scan->order, index);
    if (scan->options.shards > 1)
        position /= scan->options.shards;
    if (pass > 1) {
        const struct order order = pass_order(scan, pass);
        position = order_position(&order, position);
    }
    return position;
}

/* ---- scan_book.c: what came ---- */

struct rtt *book_rtt(struct scan *scan, uint64_t host);

/* Whether `index`, silent in the ledger, is one that this machine cannot ask about, and how many of
 * those that are asked about are silent otherwise. */
bool book_has_failed(const struct scan *scan, uint64_t index);
uint64_t book_count_failed(const struct scan *scan);
uint64_t book_count_silent(const struct scan *scan);
bool book_is_complete(const struct scan *scan); /* whether none is, which is cheaper to say */

/* How many hosts have ports in our shard: a walk over all of them where that is not arithmetic. */
uint64_t book_count_hosts(const struct scan *scan);

/* Return 0 or -errno, also of an event. */
int book_port(struct scan *scan, const struct port_record *record);
int book_error(struct scan *scan, const struct error_record *record);
int book_reply(struct scan *scan, const struct reply *reply);

/* Gives hosts that answer only so often lanes; at the end of a pass. */
int book_lanes(struct scan *scan);

/* How long, in nanoseconds, hosts with silent ports may take to answer: as they have done, or as
 * --timeout says of those that have not. */
uint64_t book_grace(struct scan *scan);

int book_silence(struct scan *scan); /* a state only now that every try was made */

/* ---- scan_ask.c: what leaves ---- */

/* Hands over what may go now. Returns how long to wait for replies. */
uint64_t ask_turn(struct scan *scan);

/* Whether every position of the pass was asked and has had its time. */
bool ask_is_over(struct scan *scan);

/* For how long the last answers may take. Of stateless probers. */
uint64_t ask_patience(struct scan *scan);

/* Everything before it has been asked in this pass, or needed no asking; or is settled as well. */
uint64_t ask_position(const struct scan *scan);
uint64_t ask_settled_position(const struct scan *scan);

/* What holds the speed down now, or NULL. */
const char *ask_limit(struct scan *scan);
