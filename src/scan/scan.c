/* The scan loop: pass after pass over what is still silent, until the recall is good enough. */
#include "scan/scan_inner.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPLIES 256 /* taken from it at a time */
#define SHARE_LEAST 1e-6
#define ROUNDS 16 /* of that in one turn, at most: a turn of a walk can bring more than one */
#define IN_FLIGHT 10000
#define WINDOW_START 512 /* attempts in flight at first; each reply makes room for one more */
#define WINDOW_LOSS                                                                                \
    0.02 /* share of answers that came a pass late above which the window is halved */
/* Time-outs are never shorter, unless the caller says so. A probe without state may be late without
 * harm: its answer counts whenever it comes. */
#define MINIMUM (100 * NANOSECONDS_PER_MILLISECOND)
#define MINIMUM_STATELESS (25 * NANOSECONDS_PER_MILLISECOND)
/* From the beginning of a pass to that of the next. */
#define SPACING (100 * NANOSECONDS_PER_MILLISECOND)
#define HOLD_MAXIMUM (180 * NANOSECONDS_PER_SECOND)
/* For so long a pass that is over goes on taking what comes: all that was there by then, but not
 * what somebody goes on sending. */
#define LEFTOVERS NANOSECONDS_PER_SECOND
#define REMAINING_MAXIMUM 1.8e19 /* nanoseconds that a number can hold */

const struct scan_options scan_options_default = {
    .tries = 8,
    .recall = 0.999,
    .in_flight = IN_FLIGHT,
    .timeouts =
        {
            .initial = NANOSECONDS_PER_SECOND,
            .minimum = 0,
            .maximum = 10 * NANOSECONDS_PER_SECOND,
        },
};

/* ---- making and freeing ---- */

static int init_stateless(struct scan *scan, uint64_t hosts)
{
    if (watch_init(&scan->watch, hosts) < 0)
        return -ENOMEM;
    steer_init(&scan->steer, (double)scan->options.min_rate, (double)scan->options.rate);
    canaries_init(&scan->canaries, scan->steer.rate, 0);
    return sent_log_init(&scan->log);
}

int scan_new(const struct plan *plan, const struct scan_options *options,
             const struct prober_class *class, const struct scan_events *events,
             struct scan **ret_scan, struct error *error)
{
    struct scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return error_set(error, ENOMEM, "no memory for the scan");
    uint64_t hosts = plan->targets->size;
    scan->options = *options;
    scan->host_slots = hosts < HOST_SLOTS ? hosts : HOST_SLOTS;
    scan->rtts = calloc(scan->host_slots, sizeof(*scan->rtts));
    scan->answered = calloc((hosts < ANSWERED_BITS ? hosts : ANSWERED_BITS) / 8 + 1, 1);
    if (!scan->rtts || !scan->answered || (class->stateless && init_stateless(scan, hosts) < 0) ||
        ledger_init(&scan->ledger, plan->count, options->memory, &class->words) < 0) {
        scan_free(scan);
        return error_set(error, ENOMEM, "no memory for the scan's ledger");
    }
    struct key key = key_from_seed(options->seed);
    order_init(&scan->order, plan->count, &key);
    scan->plan = plan;
    scan->class = class;
    scan->events = *events;
    if (!scan->options.timeouts.minimum)
        scan->options.timeouts.minimum = class->stateless ? MINIMUM_STATELESS : MINIMUM;
    scan->positions = plan->count;
    if (options->shards > 1)
        scan->positions = (plan->count - options->shard + options->shards - 1) / options->shards;
    scan->at.pass = 1;
    *ret_scan = scan;
    return 0;
}

void scan_free(struct scan *scan)
{
    if (!scan)
        return;
    if (scan->prober)
        scan->class->close(scan->prober);
    ledger_release(&scan->ledger);
    sent_log_release(&scan->log);
    lanes_release(&scan->lanes);
    watch_release(&scan->watch);
    number_set_release(&scan->failed_hosts);
    number_set_release(&scan->failed_ports);
    free(scan->rtts);
    free(scan->answered);
    free(scan);
}

const struct ledger *scan_ledger(const struct scan *scan)
{
    return &scan->ledger;
}

/* ---- restoring ---- */

int scan_restore_port(struct scan *scan, const struct port_record *record)
{
    if (record->index >= scan->plan->count || !scan_asks(scan, record->index) ||
        ledger_get(&scan->ledger, record->index) != STATE_SILENT)
        return -EINVAL;
    struct endpoint to = plan_endpoint(scan->plan, record->index);
    struct port_record placed = *record;
    placed.address = to.address;
    placed.port = to.port;
    if (record->rtt && record->from.family == ADDRESS_NONE) {
        rtt_add(book_rtt(scan, plan_host(scan->plan, record->index)), record->rtt,
                scan->class->stateless);
        rtt_add(&scan->all, record->rtt, scan->class->stateless);
        rtt_spread_add(&scan->spread, record->rtt);
    }
    return book_port(scan, &placed);
}

int scan_restore_error(struct scan *scan, const struct error_record *record)
{
    if (record->index >= scan->plan->count || !scan_asks(scan, record->index))
        return -EINVAL;
    struct endpoint to = plan_endpoint(scan->plan, record->index);
    struct error_record placed = *record;
    placed.address = to.address;
    placed.port = to.port;
    return book_error(scan, &placed);
}

void scan_restore_position(struct scan *scan, const struct scan_position *position)
{
    scan->at.pass = position->pass;
    scan->at.position = position->position < scan->positions ? position->position : scan->positions;
    scan->at.probes = position->probes;
    scan->elapsed_before = position->elapsed;
    watch_restart(&scan->watch);
}

static uint64_t elapsed(const struct scan *scan)
{
    return scan->elapsed_before + (scan->began ? scan->clock - scan->began : 0);
}

struct scan_position scan_position(const struct scan *scan)
{
    struct scan_position at = scan->at;
    at.position = ask_settled_position(scan);
    if (scan->lanes.active) /* which a later run finds out about by another pass */
        at.position = 0;
    at.elapsed = elapsed(scan);
    return at;
}

struct scan_progress scan_progress(const struct scan *scan)
{
    struct prober_facts facts =
        scan->prober ? scan->class->facts(scan->prober) : (struct prober_facts){0};
    struct scan_progress progress = {
        .pass = scan->at.pass,
        .done = ask_position(scan),
        .count = scan->positions,
        .probes = scan->at.probes,
        .elapsed = elapsed(scan),
        .rate = scan->probe_rate,
        .remaining = UINT64_MAX,
        .open = scan->ledger.counts[STATE_OPEN],
        .closed = scan->ledger.counts[STATE_CLOSED],
        .filtered = scan->ledger.counts[STATE_FILTERED],
        .errors = scan->failed_hosts.count + scan->failed_ports.count,
        .in_flight = facts.in_flight,
        .limit = scan->limit,
        .link = facts.link,
        .link_reason = facts.link_reason,
    };
    double remaining = scan->position_rate > 0
                           ? (double)(progress.count - progress.done) / scan->position_rate *
                                 (double)NANOSECONDS_PER_SECOND
                           : INFINITY;
    if (remaining < REMAINING_MAXIMUM)
        progress.remaining = (uint64_t)remaining;
    return progress;
}

/* ---- a pass ---- */

static void tick_rates(struct scan *scan, uint64_t passed)
{
    double seconds = (double)passed / (double)NANOSECONDS_PER_SECOND;
    double weight = scan->probe_rate > 0 ? 0.2 : 1;
    double probes = (double)(scan->at.probes - scan->tick_probes) / seconds;
    uint64_t position = ask_position(scan);
    double positions = position >= scan->tick_position
                           ? (double)(position - scan->tick_position) / seconds
                           : scan->position_rate;
    scan->probe_rate += weight * (probes - scan->probe_rate);
    scan->position_rate += weight * (positions - scan->position_rate);
    scan->tick_probes = scan->at.probes;
    scan->tick_position = position;
}

static int tick(struct scan *scan, bool forced)
{
    if (!forced && scan->clock - scan->ticked < TICK)
        return 0;
    if (scan->clock > scan->ticked)
        tick_rates(scan, scan->clock - scan->ticked);
    scan->ticked = scan->clock;
    scan->limit = ask_limit(scan);
    return scan->events.tick ? scan->events.tick(scan->events.user) : 0;
}

/* Why a scan ends before its time, or SCAN_COMPLETE when it goes on. */
static enum scan_end must_end(const struct scan *scan)
{
    const atomic_bool *cancelled = scan->events.cancelled;
    if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
        return SCAN_INTERRUPTED;
    if (scan->options.max_time && scan->clock - scan->began >= scan->options.max_time)
        return SCAN_TIMED_OUT;
    return SCAN_COMPLETE;
}

static int check_held(const struct scan *scan, struct error *error)
{
    if (pace_held(&scan->pace, scan->clock) < HOLD_MAXIMUM)
        return 0;
    return error_set(error, ENOBUFS,
                     "this machine's connection tracking table stays full: see sysctl "
                     "net.netfilter.nf_conntrack_max and conntrack -L");
}

/* Returns 0 or -errno. Replies that could then not be booked leave their ports to be asked again by
 * a scan that goes on from here. */
static int take_replies(struct scan *scan, const struct reply *replies, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!failed)
            failed = book_reply(scan, &replies[i]);
        if (failed && replies[i].position < scan->at.position)
            scan->at.position = replies[i].position;
    }
    return failed;
}

/* Waits for replies and takes what there is. Returns 0 or -errno. */
static int collect(struct scan *scan, uint64_t wait, size_t *ret_count)
{
    struct reply replies[REPLIES];
    size_t count = REPLIES;
    int failed = 0;
    *ret_count = 0;
    for (unsigned round = 0; !failed && count == REPLIES && round < ROUNDS; round++) {
        uint64_t before = clock_monotonic();
        count = scan->class->collect(scan->prober, round ? 0 : wait, replies, REPLIES);
        scan->clock = clock_monotonic();
        scan->heard = count == 0 ? scan->clock : before;
        if (count == REPLIES && replies[count - 1].time)
            scan->heard = replies[count - 1].time; /* there may be more */
        failed = take_replies(scan, replies, count);
        *ret_count += count;
    }
    return failed;
}

/* Whether the pass is over and nothing is left to be taken; `count` replies were. */
static bool is_done(struct scan *scan, size_t count, uint64_t *over_since)
{
    if (!ask_is_over(scan)) {
        *over_since = 0;
        return false;
    }
    if (!*over_since)
        *over_since = scan->clock;
    return count == 0 || scan->clock - *over_since >= LEFTOVERS;
}

/* Asks every silent index of the plan once. Returns 0 or -errno; *ret_end says whether to go on. */
static int run_pass(struct scan *scan, enum scan_end *ret_end, struct error *error)
{
    uint64_t over_since = 0;
    for (;;) {
        size_t count;
        int failed = collect(scan, ask_turn(scan), &count);
        if (failed)
            return error_set(error, -failed, "cannot keep the results: %s",
                             scan->ledger.full ? "more ports are open than --memory has room for"
                                               : strerror(-failed));
        failed = tick(scan, false);
        if (failed)
            return error_set(error, -failed, "cannot write the results: %s", strerror(-failed));
        failed = check_held(scan, error);
        if (failed)
            return failed;
        *ret_end = must_end(scan);
        if (*ret_end != SCAN_COMPLETE || is_done(scan, count, &over_since))
            return 0;
    }
}

/* ---- the whole ---- */

static struct recall current_recall(const struct scan *scan, unsigned passes)
{
    double heard = 0, missing = 0, most = 0;
    uint64_t silent = 0;
    lanes_recall(&scan->lanes, scan->plan, &scan->ledger, &heard, &missing, &most, &silent);
    struct recall recall =
        recall_estimate(scan->at.answers, passes, book_count_silent(scan) - silent);
    if (!scan->lanes.count)
        return recall;
    double common = 0;
    for (unsigned pass = 0; pass < passes; pass++)
        common += (double)scan->at.answers[pass];
    if (recall.known && recall.estimate > 0 && recall.low > 0) {
        missing += common / recall.estimate - common;
        most += common / recall.low - common;
    }
    heard += common;
    /* Where all that answered have lanes nothing else is left to be known. */
    recall.known = (recall.known || common <= 0) && heard > 0;
    recall.estimate = heard / (heard + missing);
    recall.low = heard / (heard + most);
    return recall;
}

static bool is_satisfied(const struct scan *scan)
{
    unsigned pass = scan->at.pass;
    uint64_t silent = book_count_silent(scan);
    if (silent == 0 || pass >= scan->options.tries)
        return true;
    double heard = 0, missing = 0, most = 0;
    uint64_t lanes_silent = 0;
    lanes_recall(&scan->lanes, scan->plan, &scan->ledger, &heard, &missing, &most, &lanes_silent);
    if (silent <= lanes_silent)
        return true;
    struct recall recall = recall_estimate(scan->at.answers, pass, silent - lanes_silent);
    if (recall.known)
        return recall_suffices(&recall, scan->at.answers, pass, scan->options.recall);
    return scan->options.recall <= 0 || pass >= SCAN_TRIES_UNANSWERED;
}

/* A pass that finds much that the one before it missed says that the path, or the target, was asked
 * too fast. */
/* Of the plan, which is that of the positions as well, because they are a permutation of it. */
static double silent_share(const struct scan *scan)
{
    double share = (double)book_count_silent(scan) / (double)scan->plan->count;
    return share > SHARE_LEAST ? share : SHARE_LEAST;
}

static void next_pass(struct scan *scan)
{
    unsigned pass = scan->at.pass;
    if (pass >= 2) {
        double before = (double)scan->at.answers[pass - 2];
        double late = (double)scan->at.answers[pass - 1];
        if (late > WINDOW_LOSS * before && scan->window_maximum / 2 >= WINDOW_MINIMUM)
            scan->window_maximum /= 2;
        if (scan->window > scan->window_maximum)
            scan->window = scan->window_maximum;
    }
    /* What keeps a path from carrying anything, be it for a moment, is to be over by then. */
    scan->not_before = scan->pass_began + SPACING;
    scan->pass_began = scan->clock;
    scan->at.pass++;
    scan->at.position = 0;
    scan->checked = scan->left = 0;
    scan->silent_share = silent_share(scan);
    scan->tick_position = 0;
}

static double rate_of(uint64_t probes, uint64_t duration)
{
    return duration ? (double)probes * (double)NANOSECONDS_PER_SECOND / (double)duration : 0;
}

static void summarise(const struct scan *scan, enum scan_end end, struct scan_summary *summary)
{
    struct prober_facts facts =
        scan->prober ? scan->class->facts(scan->prober) : (struct prober_facts){0};
    const uint64_t *counts = scan->ledger.counts;
    uint64_t silent = book_count_silent(scan);
    bool complete = end == SCAN_COMPLETE;
    /* A pass that was broken off says nothing about loss. */
    unsigned passes = complete ? scan->at.pass : scan->at.pass - 1;
    uint64_t now = clock_wall();
    if (scan->ledger.sparse) { /* where these stand among the silent ones */
        uint64_t heard = counts[STATE_CLOSED] + counts[STATE_FILTERED] + counts[STATE_UNFILTERED];
        silent -= heard < silent ? heard : silent;
    }
    *summary = (struct scan_summary){
        .started = now - elapsed(scan),
        .finished = now,
        .duration = elapsed(scan),
        .hosts = book_count_hosts(scan),
        .ports = scan->positions,
        .hosts_answered = scan->hosts_answered,
        .open = counts[STATE_OPEN],
        .closed = counts[STATE_CLOSED],
        .filtered = counts[STATE_FILTERED],
        .unfiltered = counts[STATE_UNFILTERED],
        .undecided = complete ? 0 : silent,
        .errors = book_count_failed(scan),
        .hosts_given_up = scan->lanes.given_up,
        .given_up_rate = scan->lanes.given_up_rate,
        .responders_only = scan->ledger.sparse,
        .ledger_size = ledger_size(scan->plan->count),
        .probes = scan->at.probes,
        .packets = facts.packets,
        .refused = facts.refused,
        .missed = facts.missed,
        .rate = rate_of(scan->at.probes, elapsed(scan)),
        .passes = scan->at.pass,
        .recall = current_recall(scan, passes),
        .end = end,
        .limit = scan->limit,
        .link = facts.link,
        .link_reason = facts.link_reason,
    };
    if (complete && scan->ledger.words.silence == STATE_OPEN_FILTERED)
        summary->open_filtered = silent;
    else if (complete)
        summary->filtered += silent;
}

static uint64_t attempt_timeout(void *user, uint64_t index)
{
    struct scan *scan = user;
    return rtt_timeout(book_rtt(scan, plan_host(scan->plan, index)), &scan->all, scan->at.pass,
                       &scan->options.timeouts);
}

static int open_prober(struct scan *scan, struct error *error)
{
    const struct prober_options options = {
        .plan = scan->plan,
        .interface = scan->options.interface,
        .timeout = attempt_timeout,
        .user = scan,
        .in_flight = scan->options.in_flight ? scan->options.in_flight : IN_FLIGHT,
        .walks = !scan->ledger.sparse,
        .link = scan->options.link,
    };
    int failed = scan->class->open(scan->class, &options, &scan->prober, error);
    if (!failed && scan->events.opened)
        failed = scan->events.opened(scan->events.user, error);
    if (failed)
        return failed;
    uint64_t *bits =
        options.walks && scan->class->ledger ? scan->class->ledger(scan->prober) : NULL;
    scan->walks = bits != NULL;
    scan->left_out = scan->class->facts(scan->prober).left_out > 0;
    scan->left = scan->at.position;
    scan->silent_share = silent_share(scan);
    if (bits)
        ledger_lend(&scan->ledger, bits);
    scan->window_maximum = options.in_flight;
    scan->window = WINDOW_START < options.in_flight ? WINDOW_START : options.in_flight;
    scan->began = scan->pass_began = scan->clock = scan->ticked = clock_monotonic();
    scan->wall_offset = clock_wall() - scan->clock;
    scan->tick_probes = scan->at.probes;
    scan->tick_position = scan->at.position;
    pace_init(&scan->pace, scan->options.rate, PACE_TRACKING_DIRECTORY, scan->clock);
    if (scan->class->stateless) {
        canaries_restart(&scan->canaries, scan->steer.rate, scan->clock);
        pace_set_rate(&scan->pace, (uint64_t)scan->steer.rate);
    }
    return 0;
}

/* Whether the last answers are still to be waited for: patience is measured by the hosts that have
 * answered, and those that have not may be further away. What comes then may call for more passes.
 */
static bool wants_grace(struct scan *scan)
{
    bool given = scan->grace && scan->hosts_graced == scan->hosts_answered;
    scan->grace = 0;
    if (!scan->class->stateless || given || book_count_silent(scan) == 0)
        return false;
    scan->grace = book_grace(scan);
    scan->hosts_graced = scan->hosts_answered;
    return scan->clock < scan->sent + scan->grace;
}

int scan_run(struct scan *scan, struct scan_summary *ret_summary, struct error *error)
{
    enum scan_end end = SCAN_COMPLETE;
    int failed = open_prober(scan, error);
    while (!failed && end == SCAN_COMPLETE) {
        failed = run_pass(scan, &end, error);
        if (failed || end != SCAN_COMPLETE)
            break;
        failed = book_lanes(scan);
        if (failed)
            error_set(error, -failed, "no memory for the scan");
        else if (!is_satisfied(scan))
            next_pass(scan);
        else if (!wants_grace(scan))
            break;
    }
    if (!failed && end == SCAN_COMPLETE && scan->lanes.active) {
        scan->lanes_only = true;
        failed = run_pass(scan, &end, error);
    }
    if (!failed && end == SCAN_COMPLETE) {
        failed = book_silence(scan);
        if (failed)
            error_set(error, -failed, "cannot keep the results: %s", strerror(-failed));
    }
    if (!failed) {
        failed = tick(scan, true);
        if (failed)
            error_set(error, -failed, "cannot write the results: %s", strerror(-failed));
    }
    summarise(scan, failed ? SCAN_FAILED : end, ret_summary);
    return failed;
}
