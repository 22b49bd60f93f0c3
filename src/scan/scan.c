/* The scan loop: pass after pass over what is still silent, until the recall is good enough. */
#include "scan/scan.h"

#include "base/clock.h"
#include "base/number_set.h"
#include "scan/pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64            /* probes handed to the prober at a time */
#define REPLIES 256         /* taken from it at a time */
#define WALK 65536          /* positions looked at between two looks at the clock */
#define HOST_SLOTS 1048576u /* above so many hosts, several share one round-trip estimate */
#define IN_FLIGHT 10000
#define WINDOW_START 512 /* attempts in flight at first; each reply makes room for one more */
#define WINDOW_MINIMUM 64
#define WINDOW_LOSS                                                                                \
    0.02 /* share of answers that came a pass late above which the window is halved */
#define TICK (100 * NANOSECONDS_PER_MILLISECOND)
#define HOLD_MAXIMUM (180 * NANOSECONDS_PER_SECOND)

const struct scan_options scan_options_default = {
    .tries = 8,
    .recall = 0.999,
    .in_flight = IN_FLIGHT,
    .timeouts =
        {
            .initial = NANOSECONDS_PER_SECOND,
            .minimum = 100 * NANOSECONDS_PER_MILLISECOND,
            .maximum = 10 * NANOSECONDS_PER_SECOND,
        },
};

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
    struct probe batch[BATCH];
    uint32_t batch_count, batch_done;
    uint32_t window, window_maximum;

    uint64_t clock;          /* monotonic, read once a turn */
    uint64_t wall_offset;    /* wall clock minus monotonic */
    uint64_t began;          /* monotonic */
    uint64_t elapsed_before; /* of the runs that were resumed */
    uint64_t ticked;
    uint64_t tick_probes, tick_position;
    double probe_rate, position_rate; /* a second, smoothed */
};

/* ---- making and freeing ---- */

int scan_new(const struct plan *plan, const struct scan_options *options,
             const struct prober_class *class, const struct scan_events *events,
             struct scan **ret_scan, struct error *error)
{
    struct scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return error_set(error, ENOMEM, "no memory for the scan");
    uint64_t hosts = plan->targets->size;
    scan->host_slots = hosts < HOST_SLOTS ? hosts : HOST_SLOTS;
    scan->rtts = calloc(scan->host_slots, sizeof(*scan->rtts));
    scan->answered = calloc(hosts / 8 + 1, 1);
    if (!scan->rtts || !scan->answered ||
        ledger_init(&scan->ledger, plan->count, options->memory, &class->words) < 0) {
        scan_free(scan);
        return error_set(error, ENOMEM, "no memory for the scan's ledger");
    }
    struct key key = key_from_seed(options->seed);
    order_init(&scan->order, plan->count, &key);
    scan->plan = plan;
    scan->options = *options;
    scan->class = class;
    scan->events = *events;
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

/* ---- what is known ---- */

static struct rtt *host_rtt(struct scan *scan, uint64_t host)
{
    return &scan->rtts[host < scan->host_slots ? host : host % scan->host_slots];
}

static void note_answered(struct scan *scan, uint64_t host)
{
    unsigned char bit = (unsigned char)(1u << host % 8);
    if (scan->answered[host / 8] & bit)
        return;
    scan->answered[host / 8] |= bit;
    scan->hosts_answered++;
}

/* Whether `index`, silent in the ledger, is one that this machine cannot ask about. */
static bool has_failed(const struct scan *scan, uint64_t index)
{
    return (scan->failed_hosts.count &&
            number_set_has(&scan->failed_hosts, plan_host(scan->plan, index))) ||
           number_set_has(&scan->failed_ports, index);
}

/* How many silent indexes this machine could not ask about. */
static uint64_t count_failed(const struct scan *scan)
{
    uint64_t ports = scan->plan->ports->size, count = 0;
    for (size_t i = 0; i < scan->failed_hosts.capacity; i++) {
        uint64_t host = scan->failed_hosts.slots[i];
        if (host == UINT64_MAX)
            continue;
        uint64_t end = (host + 1) * ports;
        uint64_t index = ledger_next_silent(&scan->ledger, host * ports);
        for (; index < end; index = ledger_next_silent(&scan->ledger, index + 1))
            count++;
    }
    for (size_t i = 0; i < scan->failed_ports.capacity; i++) {
        uint64_t index = scan->failed_ports.slots[i];
        if (index != UINT64_MAX && ledger_get(&scan->ledger, index) == STATE_SILENT &&
            !number_set_has(&scan->failed_hosts, plan_host(scan->plan, index)))
            count++;
    }
    return count;
}

static struct port_record make_record(const struct scan *scan, uint64_t index)
{
    struct endpoint to = plan_endpoint(scan->plan, index);
    return (struct port_record){
        .index = index,
        .address = to.address,
        .port = to.port,
        .tries = scan->at.pass,
        .time = scan->clock + scan->wall_offset,
    };
}

static int book_port(struct scan *scan, const struct port_record *record)
{
    int decided = ledger_set(&scan->ledger, record->index, record->state);
    if (decided <= 0)
        return decided;
    /* What a router or this machine says of the target tells nothing of what the target's own
     * answers lose on their way. */
    if (port_record_is_from_target(record)) {
        if (record->tries >= 1 && record->tries <= SCAN_TRIES_MAXIMUM)
            scan->at.answers[record->tries - 1]++;
        note_answered(scan, plan_host(scan->plan, record->index));
    }
    return scan->events.port ? scan->events.port(scan->events.user, record) : 0;
}

/* A missing route concerns every port of a host; a firewall's refusal only this one, and so does
 * that every source port towards it is taken (EADDRNOTAVAIL). */
static bool concerns_host(int code)
{
    return code == ENETUNREACH || code == EHOSTUNREACH || code == EAFNOSUPPORT || code == EINVAL ||
           code == ENODEV || code == ENETDOWN;
}

static int book_error(struct scan *scan, const struct error_record *record)
{
    int added = record->whole_host
                    ? number_set_add(&scan->failed_hosts, plan_host(scan->plan, record->index))
                    : number_set_add(&scan->failed_ports, record->index);
    if (added != 0)
        return added < 0 ? added : 0;
    return scan->events.error ? scan->events.error(scan->events.user, record) : 0;
}

static int take_answer(struct scan *scan, const struct reply *reply)
{
    struct rtt *rtt = host_rtt(scan, plan_host(scan->plan, reply->index));
    struct port_record record = make_record(scan, reply->index);
    record.state = reply->state;
    record.reason = reply->reason;
    record.from = reply->from;
    record.rtt = reply->rtt;
    if (reply->from.family == ADDRESS_NONE) {
        rtt_add(rtt, reply->rtt);
        rtt_add(&scan->all, reply->rtt);
    }
    return book_port(scan, &record);
}

static int take_failure(struct scan *scan, const struct reply *reply)
{
    struct endpoint to = plan_endpoint(scan->plan, reply->index);
    const struct error_record record = {
        .index = reply->index,
        .address = to.address,
        .port = to.port,
        .whole_host = concerns_host(reply->code),
        .code = reply->code,
        .time = scan->clock + scan->wall_offset,
    };
    return book_error(scan, &record);
}

static int take_reply(struct scan *scan, const struct reply *reply)
{
    if (scan->window < scan->window_maximum)
        scan->window++;
    switch (reply->kind) {
    case REPLY_ANSWER:
        return take_answer(scan, reply);
    case REPLY_FAILURE:
        return take_failure(scan, reply);
    case REPLY_SILENCE:
        break;
    }
    return 0;
}

/* ---- restoring ---- */

int scan_restore_port(struct scan *scan, const struct port_record *record)
{
    if (record->index >= scan->plan->count ||
        ledger_get(&scan->ledger, record->index) != STATE_SILENT)
        return -EINVAL;
    struct endpoint to = plan_endpoint(scan->plan, record->index);
    struct port_record placed = *record;
    placed.address = to.address;
    placed.port = to.port;
    if (record->rtt && record->from.family == ADDRESS_NONE) {
        rtt_add(host_rtt(scan, plan_host(scan->plan, record->index)), record->rtt);
        rtt_add(&scan->all, record->rtt);
    }
    return book_port(scan, &placed);
}

int scan_restore_error(struct scan *scan, const struct error_record *record)
{
    if (record->index >= scan->plan->count)
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
    scan->at.position = position->position;
    scan->at.probes = position->probes;
    scan->elapsed_before = position->elapsed;
}

static uint64_t elapsed(const struct scan *scan)
{
    return scan->elapsed_before + (scan->began ? scan->clock - scan->began : 0);
}

/* Everything before it has been asked in this pass, or needed no asking. */
static uint64_t asked_position(const struct scan *scan)
{
    uint64_t position = scan->at.position;
    if (scan->batch_done < scan->batch_count && scan->batch[scan->batch_done].position < position)
        position = scan->batch[scan->batch_done].position;
    return position;
}

struct scan_position scan_position(const struct scan *scan)
{
    struct scan_position at = scan->at;
    uint64_t oldest = scan->prober ? scan->class->oldest(scan->prober) : UINT64_MAX;
    at.position = asked_position(scan);
    if (oldest < at.position)
        at.position = oldest;
    at.elapsed = elapsed(scan);
    return at;
}

struct scan_progress scan_progress(const struct scan *scan)
{
    struct prober_facts facts =
        scan->prober ? scan->class->facts(scan->prober) : (struct prober_facts){0};
    struct scan_progress progress = {
        .pass = scan->at.pass,
        .done = asked_position(scan),
        .count = scan->plan->count,
        .probes = scan->at.probes,
        .elapsed = elapsed(scan),
        .rate = scan->probe_rate,
        .remaining = UINT64_MAX,
        .open = scan->ledger.counts[STATE_OPEN],
        .closed = scan->ledger.counts[STATE_CLOSED],
        .filtered = scan->ledger.counts[STATE_FILTERED],
        .errors = scan->failed_hosts.count + scan->failed_ports.count,
        .in_flight = facts.in_flight,
        .limit = scan->pace.held_since ? "connection tracking table" : facts.limit,
    };
    if (scan->position_rate > 0)
        progress.remaining = (uint64_t)((double)(progress.count - progress.done) /
                                        scan->position_rate * (double)NANOSECONDS_PER_SECOND);
    return progress;
}

/* ---- a pass ---- */

static void tick_rates(struct scan *scan, uint64_t passed)
{
    double seconds = (double)passed / (double)NANOSECONDS_PER_SECOND;
    double weight = scan->probe_rate > 0 ? 0.2 : 1;
    double probes = (double)(scan->at.probes - scan->tick_probes) / seconds;
    uint64_t position = asked_position(scan);
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
    return scan->events.tick ? scan->events.tick(scan->events.user) : 0;
}

/* Fills the empty batch with the next silent indexes of the order. */
static void batch_fill(struct scan *scan)
{
    uint64_t end =
        scan->plan->count - scan->at.position > WALK ? scan->at.position + WALK : scan->plan->count;
    scan->batch_count = scan->batch_done = 0;
    while (scan->at.position < end && scan->batch_count < BATCH) {
        uint64_t position = scan->at.position++;
        uint64_t index = order_at(&scan->order, position);
        if (ledger_get(&scan->ledger, index) != STATE_SILENT || has_failed(scan, index))
            continue;
        scan->batch[scan->batch_count++] = (struct probe){
            .to = plan_endpoint(scan->plan, index),
            .index = index,
            .position = position,
        };
    }
}

/* Hands over what may go now. Returns how long to wait for replies. */
static uint64_t batch_submit(struct scan *scan, const struct prober_facts *facts)
{
    uint32_t left = scan->batch_count - scan->batch_done;
    uint32_t room = scan->window > facts->in_flight ? scan->window - facts->in_flight : 0;
    uint32_t wanted = left < room ? left : room;
    if (left == 0)
        return scan->at.position < scan->plan->count ? 0 : TICK;
    if (wanted == 0)
        return TICK; /* until a reply makes room */
    uint32_t allowed = pace_allow(&scan->pace, wanted, scan->clock);
    size_t taken = 0;
    if (allowed)
        taken = scan->class->submit(scan->prober, &scan->batch[scan->batch_done], allowed);
    scan->batch_done += (uint32_t)taken;
    scan->at.probes += taken;
    pace_spend(&scan->pace, (uint32_t)taken);
    if (taken < allowed)
        return 10 * NANOSECONDS_PER_MILLISECOND; /* the machine is out of something */
    uint64_t wait = allowed < wanted ? pace_wait(&scan->pace) : 0;
    return wait < TICK ? wait : TICK;
}

static bool pass_is_over(const struct scan *scan, const struct prober_facts *facts)
{
    return scan->at.position == scan->plan->count && scan->batch_done == scan->batch_count &&
           facts->in_flight == 0;
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
            failed = take_reply(scan, &replies[i]);
        if (failed && replies[i].position < scan->at.position)
            scan->at.position = replies[i].position;
    }
    return failed;
}

/* Asks every silent index of the plan once. Returns 0 or -errno; *ret_end says whether to go on. */
static int run_pass(struct scan *scan, enum scan_end *ret_end, struct error *error)
{
    for (;;) {
        struct reply replies[REPLIES];
        struct prober_facts facts = scan->class->facts(scan->prober);
        if (scan->batch_done == scan->batch_count)
            batch_fill(scan);
        uint64_t wait = batch_submit(scan, &facts);
        if (pass_is_over(scan, &facts) && wait)
            wait = 1;
        size_t count = scan->class->collect(scan->prober, wait, replies, REPLIES);
        scan->clock = clock_monotonic();
        int failed = take_replies(scan, replies, count);
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
        facts = scan->class->facts(scan->prober);
        if (*ret_end != SCAN_COMPLETE || (count == 0 && pass_is_over(scan, &facts)))
            return 0;
    }
}

/* ---- the whole ---- */

static uint64_t silent_count(const struct scan *scan)
{
    return scan->ledger.counts[STATE_SILENT] - count_failed(scan);
}

static struct recall current_recall(const struct scan *scan, unsigned passes)
{
    return recall_estimate(scan->at.answers, passes, silent_count(scan));
}

static bool is_satisfied(const struct scan *scan)
{
    unsigned pass = scan->at.pass;
    if (silent_count(scan) == 0 || pass >= scan->options.tries)
        return true;
    struct recall recall = current_recall(scan, pass);
    if (recall.known)
        return recall.estimate >= scan->options.recall;
    return scan->options.recall <= 0 || pass >= SCAN_TRIES_UNANSWERED;
}

/* A pass that finds much that the one before it missed says that the path, or the target, was asked
 * too fast. */
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
    scan->at.pass++;
    scan->at.position = 0;
    scan->tick_position = 0;
}

/* Silence is a state only now that every try was made. */
static int book_silence(struct scan *scan)
{
    uint64_t index = ledger_next_silent(&scan->ledger, 0);
    if (!scan->events.port || scan->ledger.sparse)
        return 0;
    for (; index < scan->plan->count; index = ledger_next_silent(&scan->ledger, index + 1)) {
        if (has_failed(scan, index))
            continue;
        struct port_record record = make_record(scan, index);
        record.state = scan->ledger.words.silence;
        record.reason = REASON_NO_RESPONSE;
        int failed = scan->events.port(scan->events.user, &record);
        if (failed)
            return failed;
    }
    return 0;
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
    uint64_t silent = silent_count(scan);
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
        .hosts = scan->plan->targets->size,
        .hosts_answered = scan->hosts_answered,
        .open = counts[STATE_OPEN],
        .closed = counts[STATE_CLOSED],
        .filtered = counts[STATE_FILTERED],
        .unfiltered = counts[STATE_UNFILTERED],
        .undecided = complete ? 0 : silent,
        .errors = count_failed(scan),
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
        .limit = facts.limit,
    };
    if (complete && scan->ledger.words.silence == STATE_OPEN_FILTERED)
        summary->open_filtered = silent;
    else if (complete)
        summary->filtered += silent;
}

static uint64_t attempt_timeout(void *user, uint64_t index)
{
    struct scan *scan = user;
    return rtt_timeout(host_rtt(scan, plan_host(scan->plan, index)), &scan->all, scan->at.pass,
                       &scan->options.timeouts);
}

static int open_prober(struct scan *scan, struct error *error)
{
    const struct prober_options options = {
        .plan = scan->plan,
        .timeout = attempt_timeout,
        .user = scan,
        .in_flight = scan->options.in_flight ? scan->options.in_flight : IN_FLIGHT,
    };
    int failed = scan->class->open(scan->class, &options, &scan->prober, error);
    if (failed)
        return failed;
    scan->window_maximum = options.in_flight;
    scan->window = WINDOW_START < options.in_flight ? WINDOW_START : options.in_flight;
    scan->began = scan->clock = scan->ticked = clock_monotonic();
    scan->wall_offset = clock_wall() - scan->clock;
    scan->tick_probes = scan->at.probes;
    scan->tick_position = scan->at.position;
    pace_init(&scan->pace, scan->options.rate, PACE_TRACKING_DIRECTORY, scan->clock);
    return scan->events.opened ? scan->events.opened(scan->events.user, error) : 0;
}

int scan_run(struct scan *scan, struct scan_summary *ret_summary, struct error *error)
{
    enum scan_end end = SCAN_COMPLETE;
    int failed = open_prober(scan, error);
    while (!failed && end == SCAN_COMPLETE) {
        failed = run_pass(scan, &end, error);
        if (failed || end != SCAN_COMPLETE || is_satisfied(scan))
            break;
        next_pass(scan);
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
