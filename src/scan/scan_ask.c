/* What leaves: the order's next silent ports, canaries, and how fast and how long. */
#include "scan/scan_inner.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#define WALK 65536       /* positions looked at between two looks at the clock */
#define EXTRAS 16        /* canaries handed over in one turn */
#define WALK_RATE 100000 /* a second; below, a walk costs more than the probes in it */
#define WALK_MOST 1e6    /* positions, which takes some 60 ms when nearly all of them are known */
#define WALK_BURST 1024  /* probes that are walked in one turn, at most */
#define AWAITED NANOSECONDS_PER_MILLISECOND
#define WALK_PLACES 2 /* among which there are canaries */
#define SHORTAGE                                                                                   \
    (10 * NANOSECONDS_PER_MILLISECOND) /* until a machine is asked again that is out of something  \
                                        */
#define SHORTAGE_STATELESS NANOSECONDS_PER_MILLISECOND

/* An epoch of canaries lasts at least so long, and longer where the rate is settled. */
#define EPOCH (2 * NANOSECONDS_PER_MILLISECOND)
#define EPOCH_SETTLED (50 * NANOSECONDS_PER_MILLISECOND)

/* Of the round trips, what a probe may take longer than most before it counts as unanswered. */
#define SLOWEST 0.999
#define PATIENCE_MARGIN (5 * NANOSECONDS_PER_MILLISECOND)

/* ---- the order ---- */

/* Adds the port that the host has refused before, when it is time to ask whether it still does. */
static void check_host(struct scan *scan, uint64_t host, uint64_t position)
{
    uint32_t port;
    double share = (double)position / (double)scan->positions;
    if (!watch_check(&scan->watch, host, share, &port))
        return;
    uint64_t index = host * scan->plan->ports->size + port;
    scan->batch[scan->batch_count++] = (struct probe){
        .to = plan_endpoint(scan->plan, index),
        .index = index,
        .position = position,
        .tag = LANE_TAG,
    };
}

/* Fills the empty batch with the silent indexes of the order that begin at *position, which moves
 * on, and end before `end`; of hosts that the prober leaves out of its walks, if `left` is true. */
static void batch_fill(struct scan *scan, uint64_t *position, uint64_t end, bool left)
{
    const struct walk walk = pass_walk(scan, scan->at.pass);
    if (end - *position > WALK)
        end = *position + WALK;
    scan->batch_count = scan->batch_done = 0;
    scan->batch_is_left = left;
    while (*position < end && scan->batch_count < BATCH - 1) {
        uint64_t at = (*position)++, index = walk_index(&walk, at, order_at);
        if ((left && !scan->class->avoids(scan->prober, plan_host(scan->plan, index))) ||
            ledger_get(&scan->ledger, index) != STATE_SILENT || book_has_failed(scan, index) ||
            (scan->lanes.count && lanes_find(&scan->lanes, plan_host(scan->plan, index))))
            continue;
        scan->batch[scan->batch_count++] = (struct probe){
            .to = plan_endpoint(scan->plan, index),
            .index = index,
            .position = at,
            .tag = walk.tag,
        };
        if (scan->at.pass >= 2)
            check_host(scan, plan_host(scan->plan, index), at);
    }
}

/* Hands over up to `allowed` probes of the batch. Returns whether all of them were taken. */
static bool batch_submit(struct scan *scan, uint32_t allowed)
{
    const struct probe *probes = &scan->batch[scan->batch_done];
    if (!allowed)
        return true;
    if (scan->class->stateless && !scan->batch_is_left) /* which left with their walk, about */
        sent_log_add(&scan->log, scan->at.pass, probes->position, clock_monotonic());
    size_t taken = scan->class->submit(scan->prober, probes, allowed);
    scan->batch_done += (uint32_t)taken;
    scan->at.probes += taken;
    scan->sent = scan->clock;
    pace_spend(&scan->pace, (uint32_t)taken);
    return taken == allowed;
}

/* Whether the hosts that walks leave out have still to be asked up to where the walk is. */
static bool is_left_behind(const struct scan *scan)
{
    return scan->walks && scan->left_out && scan->left < scan->at.position;
}

uint64_t ask_position(const struct scan *scan)
{
    uint64_t position = is_left_behind(scan) ? scan->left : scan->at.position;
    if (scan->batch_done < scan->batch_count && scan->batch[scan->batch_done].position < position)
        position = scan->batch[scan->batch_done].position;
    return position;
}

uint64_t ask_settled_position(const struct scan *scan)
{
    uint64_t position = ask_position(scan), oldest = UINT64_MAX;
    if (!scan->prober)
        return position;
    oldest = scan->class->oldest(scan->prober);
    if (scan->class->stateless && scan->clock > scan->patience) {
        uint64_t sent = sent_log_position(&scan->log, scan->at.pass, scan->clock - scan->patience);
        oldest = sent < oldest ? sent : oldest;
    }
    return oldest < position ? oldest : position;
}

/* ---- with a prober that keeps attempts ---- */

static uint64_t turn_with_window(struct scan *scan)
{
    struct prober_facts facts = scan->class->facts(scan->prober);
    uint32_t left = scan->batch_count - scan->batch_done;
    uint32_t room = scan->window > facts.in_flight ? scan->window - facts.in_flight : 0;
    uint32_t wanted = left < room ? left : room;
    if (left == 0)
        return scan->at.position < scan->positions ? 0 : facts.in_flight ? TICK : 1;
    if (wanted == 0)
        return TICK; /* until a reply makes room */
    uint32_t allowed = pace_allow(&scan->pace, wanted, scan->clock);
    if (!batch_submit(scan, allowed))
        return SHORTAGE;
    uint64_t wait = allowed < wanted ? pace_wait(&scan->pace) : 0;
    return wait < TICK ? wait : TICK;
}

/* ---- with a stateless one ---- */

/* What the round trips that were heard make of it. */
static uint64_t heard_patience(struct scan *scan)
{
    const struct rtt_limits *limits = &scan->options.timeouts;
    uint64_t samples = scan->spread.count;
    if (scan->patience && samples - scan->patience_samples <= scan->patience_samples / 8)
        return scan->patience;
    uint64_t slowest = limits->initial;
    if (samples)
        slowest = 2 * rtt_spread_high(&scan->spread, SLOWEST) + PATIENCE_MARGIN;
    scan->slowest = slowest < limits->maximum ? slowest : limits->maximum;
    scan->patience = scan->slowest > limits->minimum ? scan->slowest : limits->minimum;
    scan->patience_samples = samples;
    return scan->patience;
}

uint64_t ask_patience(struct scan *scan)
{
    uint64_t patience = heard_patience(scan);
    return patience > scan->grace ? patience : scan->grace;
}

static uint64_t epoch_length(struct scan *scan)
{
    uint64_t length = scan->slowest / (CANARY_EPOCHS - 3);
    const struct canaries *canaries = &scan->canaries;
    uint64_t asking = (uint64_t)(canaries_wanted(canaries) * canaries_stride(canaries) /
                                 scan->steer.rate * (double)NANOSECONDS_PER_SECOND);
    uint64_t least = EPOCH;
    if (scan->steer.ceiling > 0)
        least = scan->slowest < EPOCH_SETTLED ? scan->slowest : EPOCH_SETTLED;
    length = length > asking ? length : asking;
    return length > least ? length : least;
}

/* Lets the canaries of the past steer the pace. */
static void steer(struct scan *scan)
{
    struct prober_facts facts = scan->class->facts(scan->prober);
    struct epoch epoch;
    canaries_count(&scan->canaries, facts.packets - scan->packets, facts.refused - scan->refused,
                   facts.missed - scan->missed);
    scan->packets = facts.packets;
    scan->refused = facts.refused;
    scan->missed = facts.missed;
    ask_patience(scan);
    scan->canaries.sparing = scan->steer.limit == STEER_CEILING;
    canaries_turn(&scan->canaries, scan->clock, epoch_length(scan));
    /* By what has been read: an answer that waits for us while we are busy is not late. */
    while (canaries_judge(&scan->canaries, scan->heard, scan->slowest, &epoch)) {
        if (!steer_judge(&scan->steer, &epoch))
            continue;
        canaries_restart(&scan->canaries, scan->steer.rate, scan->clock);
        pace_set_rate(&scan->pace, (uint64_t)scan->steer.rate);
    }
}

/* Has the prober walk on, by so many positions that about as many probes leave. What it sends in
 * truth is known when it has. Returns whether it takes more to do. */
static bool walk_on(struct scan *scan, uint32_t allowed)
{
    struct walk walk = pass_walk(scan, scan->at.pass);
    double length = fmin(ceil(allowed / scan->silent_share), WALK_MOST);
    if (!allowed || scan->at.position == scan->positions)
        return true;
    walk.position = scan->at.position;
    if (length < (double)(walk.end - walk.position))
        walk.end = walk.position + (uint64_t)length;
    double packets = ceil((double)(walk.end - walk.position) * scan->silent_share);
    walk.packets = packets < allowed ? (uint32_t)packets : allowed;
    uint64_t now = clock_monotonic();
    if (!scan->class->walk(scan->prober, &walk))
        return false;
    sent_log_add(&scan->log, scan->at.pass, walk.position, now);
    scan->at.position = walk.end;
    scan->sent = scan->clock;
    pace_spend(&scan->pace, walk.packets);
    return true;
}

/* Books what has been walked, instead of what was expected of it. */
static void book_walks(struct scan *scan)
{
    const struct walk_facts facts = scan->class->walked(scan->prober);
    uint64_t sent = facts.sent - scan->walked.sent;
    uint64_t granted = facts.granted - scan->walked.granted;
    scan->at.probes += sent;
    pace_correct(&scan->pace, (double)granted - (double)sent);
    scan->walked = facts;
}

/* The canaries that are due; returns how many. */
static uint32_t take_canaries(struct scan *scan, struct probe probes[static EXTRAS])
{
    uint32_t count = 0;
    while (count < EXTRAS && canaries_next(&scan->canaries, scan->clock, scan->slowest,
                                           &probes[count].index, &probes[count].tag)) {
        probes[count].to = plan_endpoint(scan->plan, probes[count].index);
        probes[count++].position = UINT64_MAX; /* of no pass */
    }
    return count;
}

/* Lets a burst that is being walked leave before a canary does: otherwise it would be the first of
 * every burst after all. Where nothing but the processor limits the rate, there are no bursts. */
static void await_walks(struct scan *scan, uint32_t allowed)
{
    const struct timespec moment = {.tv_nsec = AWAITED / 50};
    uint64_t began = clock_monotonic();
    while (allowed < WALK_BURST && scan->walked.active && clock_monotonic() - began < AWAITED) {
        nanosleep(&moment, NULL);
        book_walks(scan);
    }
}

/* Hands over `allowed` probes with canaries at random places among them: the first ones of a burst
 * find room in a queue which the rest of it overruns, and would know nothing of the loss. Each walk
 * costs a call to the kernel, so that there they share a few places. Returns whether all were
 * taken. */
static bool submit_with_canaries(struct scan *scan, uint32_t allowed)
{
    bool (*submit)(struct scan *, uint32_t) = scan->walking ? walk_on : batch_submit;
    struct probe canaries[EXTRAS];
    uint32_t count = allowed ? take_canaries(scan, canaries) : 0, done = 0, asked = 0;
    uint32_t places = scan->walking && count > WALK_PLACES ? WALK_PLACES : count;
    bool taken = true;
    for (uint32_t i = 0; i < places; i++) {
        uint32_t from = i * allowed / places, to = (i + 1) * allowed / places;
        uint32_t place = from + (uint32_t)(mix64(scan->clock + i) % (to - from + 1));
        uint32_t here = (i + 1) * count / places - asked;
        taken = taken && submit(scan, place - done);
        done = place;
        if (scan->walking) {
            book_walks(scan);
            await_walks(scan, allowed);
        }
        pace_spend(&scan->pace,
                   (uint32_t)scan->class->submit(scan->prober, &canaries[asked], here));
        asked += here;
    }
    return taken && submit(scan, allowed - done);
}

/* Asks what is due in the lanes, as far as the pace lets them. Returns how long to wait. */
static uint64_t ask_lanes(struct scan *scan)
{
    struct probe probes[EXTRAS];
    uint32_t count = 0, allowed = pace_allow(&scan->pace, EXTRAS, scan->clock);
    if (!allowed)
        return pace_wait(&scan->pace);
    const struct lane_options options = {
        .tries = scan->options.tries,
        .recall = scan->options.recall,
        .patience = ask_patience(scan),
        .share = scan->watch.share,
    };
    while (count < allowed && lanes_next(&scan->lanes, scan->plan, &scan->ledger, &options,
                                         scan->clock, &probes[count].index)) {
        probes[count].to = plan_endpoint(scan->plan, probes[count].index);
        probes[count].tag = LANE_TAG;
        probes[count++].position = UINT64_MAX; /* of no pass */
    }
    if (count) {
        /* One that is not taken is asked again in the lane's next pass. */
        uint32_t taken = (uint32_t)scan->class->submit(scan->prober, probes, count);
        scan->at.probes += taken;
        pace_spend(&scan->pace, taken);
    }
    return lanes_wait(&scan->lanes, scan->clock, TICK);
}

/* While the prober walks, nobody sees which silent ports it asks: the checks of their hosts are
 * spread over the pass by the share of it that is done. */
static void check_hosts(struct scan *scan)
{
    uint64_t hosts = scan->watch.count, ports = scan->plan->ports->size;
    if (scan->at.pass < 2 || ports < WATCH_CHECKS)
        return;
    double share = (double)scan->at.position / (double)scan->positions;
    uint64_t due = (uint64_t)(share * (double)hosts * WATCH_CHECKS);
    scan->batch_count = scan->batch_done = 0;
    while (scan->checked < due && scan->batch_count < BATCH) {
        uint64_t host = scan->checked++ % hosts;
        if (scan->watch.hosts[host].refused &&
            ledger_next_silent(&scan->ledger, host * ports) < (host + 1) * ports)
            check_host(scan, host, scan->at.position);
    }
    uint32_t count = scan->batch_count;
    scan->batch_count = 0;
    if (count) {
        uint32_t taken = (uint32_t)scan->class->submit(scan->prober, scan->batch, count);
        scan->at.probes += taken;
        pace_spend(&scan->pace, taken);
    }
}

/* How many probes there are to be asked now. */
static uint32_t count_wanted(struct scan *scan)
{
    uint64_t left = scan->positions - scan->at.position;
    if (!scan->walking)
        return scan->batch_count - scan->batch_done;
    return left < WALK_BURST ? (uint32_t)left : WALK_BURST;
}

/* What the common pass asks now. Returns how long to wait. */
static uint64_t ask_pass(struct scan *scan)
{
    uint32_t wanted = count_wanted(scan);
    if (wanted && scan->clock < scan->not_before) {
        scan->paused = true;
        return scan->not_before - scan->clock;
    }
    if (wanted == 0 && (scan->at.position < scan->positions || is_left_behind(scan)))
        return 0;
    if (wanted == 0) {
        if (scan->class->facts(scan->prober).in_flight) /* some have still to leave */
            scan->sent = scan->clock;
        uint64_t end = scan->sent + ask_patience(scan);
        scan->paused = true;
        if (book_is_complete(scan))
            return 1;
        if (end <= scan->clock)
            return scan->lanes_only ? TICK : 1;
        return end - scan->clock < TICK ? end - scan->clock : TICK;
    }
    if (scan->paused) {
        canaries_restart(&scan->canaries, scan->steer.rate, scan->clock);
        scan->paused = false;
    }
    steer(scan);
    uint32_t allowed = pace_allow(&scan->pace, wanted, scan->clock);
    if (!submit_with_canaries(scan, allowed))
        return SHORTAGE_STATELESS;
    if (scan->walking)
        check_hosts(scan);
    uint64_t wait = allowed < wanted ? pace_wait(&scan->pace) : 0;
    return wait < TICK ? wait : TICK;
}

/* ---- both ---- */

static uint64_t turn_stateless(struct scan *scan)
{
    /* In turns with the pass, so that a low rate is not all theirs. */
    bool passes = count_wanted(scan) && scan->clock >= scan->not_before;
    scan->lanes_turn = !scan->lanes_turn || !passes;
    uint64_t lanes = scan->lanes.active && scan->lanes_turn ? ask_lanes(scan) : TICK;
    uint64_t pass = ask_pass(scan);
    uint64_t wait = lanes < pass ? lanes : pass;
    return wait < TICK ? wait : TICK;
}

uint64_t ask_turn(struct scan *scan)
{
    scan->walking = false;
    if (scan->walks)
        book_walks(scan);
    if (scan->batch_done == scan->batch_count && is_left_behind(scan))
        batch_fill(scan, &scan->left, scan->at.position, true);
    if (scan->batch_done == scan->batch_count) {
        bool fast = scan->pace.rate == 0 || scan->pace.rate >= WALK_RATE;
        scan->walking = scan->walks && fast && scan->class->facts(scan->prober).walks;
        if (!scan->walking && !is_left_behind(scan)) {
            batch_fill(scan, &scan->at.position, scan->positions, false);
            scan->left = scan->at.position;
        }
    }
    return scan->class->stateless ? turn_stateless(scan) : turn_with_window(scan);
}

bool ask_is_over(struct scan *scan)
{
    if (scan->at.position < scan->positions || scan->batch_done < scan->batch_count ||
        is_left_behind(scan) || scan->class->facts(scan->prober).in_flight)
        return false;
    if (scan->lanes_only)
        return scan->lanes.active == 0;
    return !scan->class->stateless || scan->clock >= scan->sent + ask_patience(scan) ||
           book_is_complete(scan);
}

const char *ask_limit(struct scan *scan)
{
    struct prober_facts facts = {0};
    if (scan->pace.held_since)
        return "connection tracking table";
    if (scan->prober)
        facts = scan->class->facts(scan->prober);
    if (!scan->class->stateless || facts.limit)
        return facts.limit;
    if (scan->lanes.slow) { /* other lanes were a mistake, and took no time worth telling */
        snprintf(scan->limit_text, sizeof(scan->limit_text), "%zu %s that answer%s only so often",
                 scan->lanes.slow, scan->lanes.slow == 1 ? "host" : "hosts",
                 scan->lanes.slow == 1 ? "s" : "");
        return scan->limit_text;
    }
    if (scan->steer.limit == STEER_BLIND && scan->packets < (uint64_t)STEER_START)
        return NULL; /* too few for it to have mattered */
    if (scan->steer.limit == STEER_PROCESSOR && scan->clock - scan->began < NANOSECONDS_PER_SECOND)
        return NULL;
    return steer_limit_text(&scan->steer, scan->limit_text);
}
