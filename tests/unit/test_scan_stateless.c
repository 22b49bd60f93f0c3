/* The scan loop with a prober that keeps no attempts, over a made-up network: passes told apart by
 * tags, canaries, lanes, the pace, and what an interrupted scan may skip. */
#include "stateless.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- truth ---- */

static struct truth mixed(uint64_t index)
{
    const uint64_t hash = mix64(index + 99);
    const enum nature natures[] = {LISTENING, REFUSING, REFUSING, REFUSING, REJECTED, DEAD};
    return (struct truth){.nature = natures[hash % 6], .rtt = 5 * MS + hash % (3 * MS)};
}

static void every_port_gets_its_state(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 20, 300);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    assert_int_equal(report.port_count, world.plan.count);

    uint64_t counts[5] = {0};
    for (uint64_t index = 0; index < world.plan.count; index++)
        counts[mixed(index).nature]++;
    assert_int_equal(summary.end, SCAN_COMPLETE);
    assert_int_equal(summary.open, counts[LISTENING]);
    assert_int_equal(summary.closed, counts[REFUSING]);
    assert_int_equal(summary.filtered, counts[REJECTED] + counts[DEAD]);
    assert_int_equal(summary.hosts_answered, 20);
    assert_int_equal(summary.passes, 2);
    assert_true(summary.recall.known && summary.recall.estimate >= options.recall);
    assert_true(report.ticks >= 1);
    report_release(&report);
}

/* Who walks is the prober, but for the hosts that it leaves out: the rest is as ever, and nothing
 * is asked twice in a pass. */
static void a_prober_that_walks_finds_the_same(void **state)
{
    (void)state;
    for (unsigned leaves_out = 0; leaves_out <= 4; leaves_out += 2) {
        struct report report;
        struct scan_options options = patient();
        options.tries = 3;
        options.recall = 1;
        options.min_rate = 200000; /* at which walking is worth its while */
        world_init(mixed, 20, 300);
        world.walks = true;
        world.leaves_out = leaves_out;
        const struct scan_summary summary = run(&options, &report);
        assert_int_equal(assert_no_lies(&report), 0);
        assert_int_equal(report.port_count, world.plan.count);
        assert_int_equal(summary.end, SCAN_COMPLETE);
        for (uint64_t index = 0; index < world.plan.count; index++) {
            const bool dead = mixed(index).nature == DEAD;
            assert_int_equal(count_askings(index, 0, 0), 1);
            assert_int_equal(count_askings(index, 1, 1), dead);
            assert_int_equal(count_askings(index, 2, 2), dead);
        }
        assert_int_equal(summary.probes, count_askings(UINT64_MAX, 0, OTHER_TAG));
        assert_true(2 * world.walked > world.plan.count);
        report_release(&report);
        world_release(NULL);
    }
}

/* One answer is too little to be sure of anything. */
static struct truth lonely(uint64_t index)
{
    return (struct truth){.nature = index == 77 ? REFUSING : DEAD, .rtt = 5 * MS};
}

/* Each pass asks once what is silent, under its own tag, of which there are seven. What canaries
 * and checks ask comes on top, and is no attempt at a port. */
static void a_pass_asks_once(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.tries = 9;
    options.recall = 1;
    world_init(lonely, 2, 300);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.passes, 9);
    assert_int_equal(count_askings(77, 0, 0), 1);
    assert_int_equal(count_askings(77, 1, PASS_TAGS - 1), 0);
    for (uint64_t index = 0; index < world.plan.count; index++) {
        for (uint8_t tag = 0; tag < PASS_TAGS && index != 77; tag++)
            assert_int_equal(count_askings(index, tag, tag), tag < 2 ? 2 : 1);
        assert_true(index == 77 || !count_askings(index, OTHER_TAG, PROBE_TAGS - 1));
    }
    assert_true(count_askings(UINT64_MAX, CANARY_TAG, PROBE_TAGS - 1) > 0);
    report_release(&report);
}

static struct truth near(uint64_t index)
{
    return (struct truth){.nature = index % 2 ? LISTENING : REFUSING, .rtt = MS};
}

static void one_pass_is_enough_when_all_answer(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(near, 1, 1000);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.passes, 1);
    assert_int_equal(summary.probes, 1000);
    assert_true(summary.duration < SECOND / 2); /* nobody waits when nothing is silent */
    report_release(&report);
}

static struct truth dead(uint64_t index)
{
    (void)index;
    return (struct truth){.nature = DEAD};
}

static void silence_alone_ends_after_three_tries(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(dead, 3, 100);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.passes, SCAN_TRIES_UNANSWERED);
    assert_int_equal(summary.filtered, 300);
    assert_int_equal(summary.probes, 300 * SCAN_TRIES_UNANSWERED);
    assert_int_equal(summary.hosts_answered, 0);
    assert_false(summary.recall.known);
    /* The first answers may take as long as the time-outs say. */
    assert_true(summary.duration >= SCAN_TRIES_UNANSWERED * options.timeouts.initial);
    report_release(&report);
}

/* ---- loss, lateness, duplicates ---- */

/* The bound is certain in 19 of 20. */
static void what_was_lost_is_found_later(void **state)
{
    static const double losses[] = {0.01, 0.05, 0.15, 0.3};
    unsigned covered = 0;
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        struct report report;
        struct scan_options options = patient();
        options.tries = 20;
        world_init(mixed, 20, 500);
        world.loss = losses[i % 4];
        world.dice = i << 32;
        const struct scan_summary summary = run(&options, &report);
        const uint64_t missing = assert_no_lies(&report);
        const uint64_t told = summary.open + summary.closed;
        assert_true(summary.recall.known && summary.recall.estimate >= 0.999);
        covered += (double)told / (double)(told + missing) >= summary.recall.low;
        assert_in_range(missing, 0, 30);
        assert_true(summary.passes < 20);
        for (uint64_t j = 0; j < report.port_count; j++)
            if (report.ports[j].rtt && world.pass[report.ports[j].index])
                assert_int_equal(report.ports[j].tries, world.pass[report.ports[j].index]);
        report_release(&report);
        world_release(NULL);
    }
    assert_in_range(covered, 17, 20);
}

/* As mixed(), each host at its own distance. */
static struct truth spread(uint64_t index)
{
    struct truth truth = mixed(index);
    truth.rtt = 2 * MS + mix64(index / 500) % (38 * MS);
    return truth;
}

/* What a path loses by chance is nobody's limit. The rare host that is taken for a limited one all
 * the same is asked no slower for it. */
static void a_path_that_loses_is_no_limit(void **state)
{
    unsigned asked = 0;
    (void)state;
    for (uint64_t i = 0; i < 12; i++) {
        struct report report;
        const struct scan_options options = patient();
        world_init(spread, 64, 500);
        world.loss = 0.04 + 0.01 * (double)i;
        world.dice = i << 32;
        run(&options, &report);
        assert_in_range(assert_no_lies(&report), 0, 60);
        for (uint64_t j = 0; j < world.asking_count; j++)
            asked += world.askings[j].tag == OTHER_TAG &&
                     spread(world.askings[j].index).nature == DEAD; /* not by checks */
        report_release(&report);
        world_release(NULL);
    }
    assert_in_range(asked, 0, 1000); /* some five lanes */
}

/* Most are near; a few answer so late that the next pass has begun. */
static struct truth near_and_far(uint64_t index)
{
    const uint64_t hash = mix64(index);
    if (hash % 3 == 0)
        return (struct truth){.nature = DEAD};
    return (struct truth){.nature = REFUSING, .rtt = hash % 1200 == 4 ? 600 * MS : MS};
}

/* The tag says which pass a late answer is to, and so how long it took. */
static void late_answers_know_their_pass(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    unsigned far = 0;
    options.rate = 40000;
    world_init(near_and_far, 40, 1000);
    run(&options, &report);
    assert_no_lies(&report);
    for (uint64_t i = 0; i < report.port_count; i++) {
        const struct port_record *record = &report.ports[i];
        if (record->reason == REASON_NO_RESPONSE)
            continue;
        const uint64_t rtt = near_and_far(record->index).rtt;
        far += rtt > MS;
        assert_int_equal(record->tries, 1);
        /* The marks are a batch apart. */
        assert_in_range(record->rtt, rtt, rtt + 2 * MS);
    }
    assert_true(far > 10);
    assert_true(report.late > 5); /* of them came when the next pass was under way */
    report_release(&report);
}

static void the_first_answer_counts(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 10, 300);
    world.copies = 2;
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    assert_int_equal(summary.open + summary.closed + summary.filtered, world.plan.count);
    report_release(&report);
}

static void a_machine_that_takes_little_loses_nothing(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 5, 300);
    world.take_at_most = 3;
    world.stingy_every = 4;
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    assert_int_equal(summary.end, SCAN_COMPLETE);
    assert_int_equal(count_askings(UINT64_MAX, 0, 0), world.plan.count);
    report_release(&report);
}

/* ---- few answer, far away ---- */

static struct truth few_and_far(uint64_t index)
{
    return (struct truth){.nature = index % 500 == 7 ? LISTENING : DEAD, .rtt = 100 * MS};
}

/* A handful of canaries, each with an answer under way when its turn comes again, is no loss. */
static void few_canaries_far_away_do_not_slow_down(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(few_and_far, 100, 2000);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    assert_int_equal(summary.passes, 2);
    assert_true(summary.rate >= 20000);
    report_release(&report);
}

/* ---- hosts that answer only so often ---- */

static struct truth limited(uint64_t index)
{
    struct truth truth = {.nature = index % 5 ? REFUSING : LISTENING,
                          .rtt = MS + mix64(index) % MS};
    if (index / 1000 == 3)
        truth.limit = 100;
    return truth;
}

static void assert_lane(bool walks)
{
    struct report report;
    struct scan_options options = patient();
    options.min_rate = walks ? 200000 : 0;
    world_init(limited, 10, 1000);
    world.walks = walks;
    const struct scan_summary summary = run(&options, &report);
    const uint64_t missing = assert_no_lies(&report);
    const double told = (double)(summary.open + summary.closed);
    assert_true(told / (told + (double)missing) >= 0.99);
    assert_true(told / (told + (double)missing) >= summary.recall.low);
    uint64_t lane = 0;
    for (uint64_t i = 0; i < world.asking_count; i++)
        if (world.askings[i].tag == OTHER_TAG)
            lane += plan_host(&world.plan, world.askings[i].index) == 3;
    assert_true(lane >= 500);
    /* The host's silent ports are the lane's alone from then on: few passes ask for them. */
    assert_true(count_askings(UINT64_MAX, 2, PASS_TAGS - 1) < 100);
    report_release(&report);
    world_release(NULL);
}

static void a_host_with_a_limit_gets_a_lane(void **state)
{
    (void)state;
    assert_lane(false);
    assert_lane(true);
}

static void lanes_know_when_they_asked(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(limited, 10, 1000);
    run(&options, &report);
    for (uint64_t i = 0; i < report.port_count; i++)
        if (report.ports[i].rtt)
            assert_in_range(report.ports[i].rtt, MS, 5 * MS);
    report_release(&report);
}

static struct truth all_limited(uint64_t index)
{
    return (struct truth){.nature = REFUSING, .rtt = MS, .limit = index / 100 < 60 ? 0.5 : 0};
}

/* ---- the pace ---- */

/* Never more leave in any time than the rate gives it, with what may leave at once. */
static void assert_pace(uint64_t rate, double burst)
{
    for (uint64_t from = 0; from < world.asking_count; from += 1 + world.asking_count / 500)
        for (uint64_t to = from; to < world.asking_count; to++) {
            const double seconds =
                (double)(world.askings[to].time - world.askings[from].time) / (double)SECOND;
            if ((double)(to - from) > seconds * (double)rate + burst)
                fail_msg("%d in %g s at %d a second", (int)(to - from), seconds, (int)rate);
        }
}

#define EXTRA 34 /* canaries and lanes of a turn leave first and are made up for */

static void the_rate_is_never_exceeded(void **state)
{
    (void)state;
    static const uint64_t rates[] = {50, 1000, 30000};
    for (size_t i = 0; i < 3; i++) {
        struct report report;
        struct scan_options options = patient();
        options.rate = rates[i];
        world_init(mixed, 2, 500);
        const struct scan_summary summary = run(&options, &report);
        assert_int_equal(assert_no_lies(&report), 0);
        assert_pace(rates[i], 2 + (double)rates[i] / 100 + EXTRA);
        assert_true(summary.duration > world.plan.count * SECOND / rates[i] / 2);
        report_release(&report);
        world_release(NULL);
    }
}

static void lanes_keep_to_the_rate_as_well(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.rate = 100;
    options.max_time = 300 * SECOND;
    world_init(all_limited, 61, 100);
    run(&options, &report);
    assert_no_lies(&report);
    assert_true(count_askings(UINT64_MAX, OTHER_TAG, OTHER_TAG) > 1000);
    assert_pace(100, 3 + EXTRA);
    report_release(&report);
}

/* However much is lost. */
static void the_least_rate_is_kept_to(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.min_rate = 15000;
    options.tries = 1;
    world_init(mixed, 100, 1000);
    world.loss = 0.8;
    const struct scan_summary summary = run(&options, &report);
    assert_no_lies(&report);
    /* In the end the last answers are waited for, a little longer than a second. */
    const uint64_t least = 14500 * (summary.duration - 1500 * MS) / SECOND;
    assert_true(world.asking_count >= least);
    report_release(&report);
}

static void a_path_that_carries_all_is_used(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 400, 1000);
    run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    /* A microsecond for each probe and two for each turn are what this machine takes. */
    const struct asking *askings = world.askings;
    assert_true(askings[300000].time - askings[200000].time < SECOND / 2);
    report_release(&report);
}

/* ---- failures of this machine ---- */

static struct truth troubled(uint64_t index)
{
    const uint64_t host = index / 100, port = index % 100;
    if (host == 0)
        return (struct truth){.nature = UNASKABLE, .code = ENETUNREACH};
    if (host == 1 && port % 7 == 0)
        return (struct truth){.nature = UNASKABLE, .code = EPERM};
    return (struct truth){.nature = port % 3 ? REFUSING : LISTENING, .rtt = 10 * MS};
}

static struct truth far(uint64_t index)
{
    return (struct truth){.nature = index % 64 ? REFUSING : LISTENING,
                          .rtt = 20 * MS + mix64(index) % (5 * MS)};
}

/* Nobody says how much the line carries. Its queue takes in the first probes of each burst even
 * when it is overrun, and canaries that were always among those would never hear of it. */
static void assert_line_is_filled(bool walks)
{
    const double lines[] = {3000, 20000, 100000};
    for (unsigned i = 0; i < 3; i++) {
        struct report report;
        const struct scan_options options = patient();
        world_init(far, 256, (uint16_t)(lines[i] / 20));
        world.walks = walks;
        world.line = lines[i];
        world.queue = lines[i] / 20;
        const struct scan_summary summary = run(&options, &report);
        /* As many as --recall allows may be missing; mostly none is. */
        assert_in_range(assert_no_lies(&report), 0, world.plan.count / 1000);
        assert_int_equal(report.port_count, world.plan.count);
        const double ideal = (double)world.plan.count / world.line * (double)SECOND;
        assert_true((double)summary.duration < 1.7 * ideal);
        assert_true((double)world.asking_count < 1.6 * (double)world.plan.count);
        report_release(&report);
        world_release(NULL);
    }
}

static void a_line_is_filled_and_not_overrun(void **state)
{
    (void)state;
    assert_line_is_filled(false);
    assert_line_is_filled(true);
}

static void failures_are_errors_and_never_states(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.recall = 1; /* as many passes as there are tries: the failed are not asked again */
    world_init(troubled, 3, 100);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    assert_int_equal(report.error_count, 16);
    assert_int_equal(summary.errors, 115);
    assert_int_equal(summary.open + summary.closed, 185);
    assert_int_equal(summary.filtered, 0);
    assert_int_equal(summary.passes, 1);
    report_release(&report);
}

/* ---- probes that wait in the prober ---- */

static struct truth slow_neighbours(uint64_t index)
{
    struct truth truth = {.nature = index % 2 ? REFUSING : LISTENING, .rtt = 20 * MS};
    if (index / 100 == 2)
        truth.waits_for = 700 * MS;
    return truth;
}

/* They leave late, and their answers have as much time as all others. */
static void a_pass_waits_for_what_left_late(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.tries = 1;
    world_init(slow_neighbours, 4, 100);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(assert_no_lies(&report), 0);
    assert_int_equal(summary.open, 200);
    assert_int_equal(summary.passes, 1);
    for (uint64_t i = 0; i < report.port_count; i++)
        assert_in_range(report.ports[i].rtt, 20 * MS, 23 * MS);
    report_release(&report);
}

/* ---- parts and small ledgers ---- */

static void shards_are_all_of_it_once(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    unsigned *told;
    uint64_t open = 0;
    options.shards = 3;
    world_init(mixed, 7, 101);
    told = calloc(world.plan.count, sizeof(*told));
    assert_non_null(told);
    for (options.shard = 0; options.shard < 3; options.shard++) {
        const struct scan_summary summary = run(&options, &report);
        for (uint64_t i = 0; i < report.port_count; i++)
            told[report.ports[i].index]++;
        open += summary.open;
        assert_int_equal(summary.open + summary.closed + summary.filtered, report.port_count);
        assert_int_equal(summary.undecided + summary.errors, 0);
        report_release(&report);
    }
    uint64_t truly_open = 0;
    for (uint64_t index = 0; index < world.plan.count; index++) {
        assert_int_equal(told[index], 1);
        truly_open += mixed(index).nature == LISTENING;
        /* No other part has asked for it, not even as a canary. */
        assert_true(mixed(index).nature == DEAD || count_askings(index, 0, 0) == 1);
    }
    assert_int_equal(open, truly_open);
    free(told);
    report_release(&(struct report){0});
}

/* Lanes, too, ask for our part of a host only. */
static void lanes_keep_to_their_shard(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.shards = 2;
    world_init(limited, 10, 1000);
    const struct scan_summary summary = run(&options, &report);
    struct order order;
    const struct key key = key_from_seed(options.seed);
    order_init(&order, world.plan.count, &key);
    assert_true(count_askings(UINT64_MAX, OTHER_TAG, OTHER_TAG) >= 200);
    for (uint64_t i = 0; i < world.asking_count; i++)
        assert_int_equal(order_position(&order, world.askings[i].index) % 2, 0);
    assert_int_equal(report.port_count, world.plan.count / 2);
    assert_int_equal(summary.open + summary.closed + summary.filtered, report.port_count);
    report_release(&report);
}

/* A ledger that keeps open ports only tells each of those once. */
static void a_small_ledger_tells_what_is_open(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.memory = 16384;
    options.tries = 3;
    world_init(few_and_far, 100, 1000);
    world.copies = 1;
    const struct scan_summary summary = run(&options, &report);
    assert_true(summary.responders_only);
    assert_int_equal(report.port_count, 200);
    assert_int_equal(summary.open, 200);
    for (uint64_t i = 0; i < report.port_count; i++)
        assert_int_equal(report.ports[i].state, STATE_OPEN);
    report_release(&report);
}

/* ---- interruption ---- */

static void a_scan_ends_soon_when_it_is_cancelled(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 20, 1000);
    world.cancel_after = 5000;
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.end, SCAN_INTERRUPTED);
    assert_true(world.asking_count < 5000 + 100);
    assert_true(summary.undecided > 0);
    assert_int_equal(summary.open + summary.closed + summary.filtered + summary.undecided,
                     world.plan.count);
    for (uint64_t i = 0; i < report.port_count; i++)
        assert_int_not_equal(report.ports[i].reason, REASON_NO_RESPONSE);
    report_release(&report);
}

static void a_scan_ends_when_its_time_is_over(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.max_time = SECOND;
    options.rate = 1000;
    world_init(mixed, 20, 1000);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.end, SCAN_TIMED_OUT);
    assert_in_range(summary.duration, SECOND, SECOND + 100 * MS);
    assert_true(summary.undecided > 18000);
    report_release(&report);
}

/* What was asked in this pass and may still answer must be asked again by whoever goes on from
 * here. */
static void look_for_skipped(const struct report *report)
{
    (void)report;
    const struct scan_position at = scan_position(world.scan);
    const uint8_t tag = (uint8_t)((at.pass - 1) % PASS_TAGS);
    struct order order, again;
    const struct key key = key_from_seed(7), pass_key = key_from_seed(mix64(7) + at.pass);
    order_init(&order, world.plan.count, &key);
    order_init(&again, world.plan.count, &pass_key); /* of the pass's own order */
    const struct ledger *ledger = scan_ledger(world.scan);
    for (uint64_t position = 0; position < at.position; position++) {
        const uint64_t index =
            order_at(&order, at.pass > 1 ? order_at(&again, position) : position);
        if (ledger_get(ledger, index) != STATE_SILENT)
            continue;
        bool asked = false;
        for (uint64_t i = world.asking_count; i-- > 0 && !asked;) {
            const struct asking *asking = &world.askings[i];
            if (asking->index != index || asking->tag != tag)
                continue;
            asked = true;
            const struct truth truth = world.truth(index);
            assert_true(truth.nature == DEAD || asking->time + truth.rtt < now);
        }
        assert_true(asked);
    }
}

static void nothing_unsettled_is_skipped(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.rate = 1000;
    world_init(mixed, 1, 1000);
    report_init(&report);
    report.look = look_for_skipped;
    scan_open(&options, &report);
    assert_int_equal(scan_finish().end, SCAN_COMPLETE);
    assert_true(report.ticks > 10);
    report_release(&report);
}

/* Runs until a kill, then goes on from what was kept last, as from a checkpoint. */
static struct scan_summary run_killed(const struct scan_options *options, struct report *report,
                                      uint64_t after)
{
    struct report first;
    report_init(&first);
    first.killed = true;
    world.cancel_after = after;
    scan_open(options, &first);
    scan_finish();
    atomic_store(&world.cancelled, false);
    now += 100 * SECOND;
    report_init(report);
    scan_open(options, report);
    for (uint64_t i = 0; i < first.kept_ports; i++)
        assert_int_equal(scan_restore_port(world.scan, &first.ports[i]), 0);
    scan_restore_position(world.scan, &first.kept);
    report_release(&first);
    return scan_finish();
}

static void a_killed_scan_finds_the_same(void **state)
{
    (void)state;
    for (uint64_t after = 1; after < 16000; after += 1234) {
        struct report report;
        struct scan_options options = patient();
        options.rate = 5000;
        world_init(mixed, 10, 1000);
        const struct scan_summary summary = run_killed(&options, &report, after);
        assert_int_equal(assert_no_lies(&report), 0);
        assert_int_equal(report.port_count, world.plan.count);
        assert_int_equal(summary.end, SCAN_COMPLETE);
        assert_int_equal(summary.passes, 2);
        /* Hosts that held nothing back are none with a limit. */
        uint64_t others = 0;
        for (uint64_t i = 0; i < world.asking_count; i++)
            others += world.askings[i].tag == OTHER_TAG &&
                      world.truth(world.askings[i].index).nature == DEAD;
        assert_int_equal(others, 0);
        report_release(&report);
        world_release(NULL);
    }
}

/* Whether its lane is found again is left to a few checks, which may all be lucky, but not often.
 */
static void a_killed_scan_takes_its_lanes_up_again(void **state)
{
    unsigned scans = 0, whole = 0;
    (void)state;
    for (uint64_t after = 10300; after < 12000; after += 300, scans++) {
        struct report report;
        const struct scan_options options = patient();
        world_init(limited, 10, 1000);
        const struct scan_summary summary = run_killed(&options, &report, after);
        whole += assert_no_lies(&report) <= 20;
        assert_int_equal(summary.end, SCAN_COMPLETE);
        report_release(&report);
        world_release(NULL);
    }
    assert_in_range(whole, scans - 2, scans);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_teardown(test, world_release)
    const struct CMUnitTest tests[] = {
        WORLD(every_port_gets_its_state),
        WORLD(a_prober_that_walks_finds_the_same),
        WORLD(a_pass_asks_once),
        WORLD(one_pass_is_enough_when_all_answer),
        WORLD(silence_alone_ends_after_three_tries),
        WORLD(what_was_lost_is_found_later),
        WORLD(a_path_that_loses_is_no_limit),
        WORLD(late_answers_know_their_pass),
        WORLD(the_first_answer_counts),
        WORLD(a_machine_that_takes_little_loses_nothing),
        WORLD(few_canaries_far_away_do_not_slow_down),
        WORLD(a_host_with_a_limit_gets_a_lane),
        WORLD(lanes_know_when_they_asked),
        WORLD(the_rate_is_never_exceeded),
        WORLD(lanes_keep_to_the_rate_as_well),
        WORLD(the_least_rate_is_kept_to),
        WORLD(a_path_that_carries_all_is_used),
        WORLD(a_line_is_filled_and_not_overrun),
        WORLD(failures_are_errors_and_never_states),
        WORLD(a_pass_waits_for_what_left_late),
        WORLD(shards_are_all_of_it_once),
        WORLD(lanes_keep_to_their_shard),
        WORLD(a_small_ledger_tells_what_is_open),
        WORLD(a_scan_ends_soon_when_it_is_cancelled),
        WORLD(a_scan_ends_when_its_time_is_over),
        WORLD(nothing_unsettled_is_skipped),
        WORLD(a_killed_scan_finds_the_same),
        WORLD(a_killed_scan_takes_its_lanes_up_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
