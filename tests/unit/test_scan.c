/* The scan loop over a made-up world: a prober that knows the truth, and a clock that only it
 * moves, so that minutes pass in milliseconds and nothing depends on the machine. */
#include "scan/scan.h"

#include "base/clock.h"
#include "base/deadlines.h"
#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define SECOND NANOSECONDS_PER_SECOND

/* ---- the clock: this program brings its own, and the library's is not linked ---- */

static uint64_t now;

uint64_t clock_monotonic(void)
{
    return now;
}

uint64_t clock_wall(void)
{
    return UINT64_C(1795227243) * SECOND + now;
}

const char *clock_format(uint64_t wall, char text[static CLOCK_TEXT_SIZE])
{
    (void)wall;
    text[0] = '\0';
    return text;
}

/* ---- the world ---- */

enum nature { DEAD, LISTENING, REFUSING, REJECTED, UNASKABLE };

/* What is true of a port, whoever asks. */
struct truth {
    enum nature nature;
    unsigned from_pass; /* attempts before this pass are lost */
    uint64_t rtt;
    int code; /* of UNASKABLE */
};

typedef struct truth truth_fn(uint64_t index);

struct world {
    truth_fn *truth;
    unsigned take_at_most;   /* of a batch; 0: all of it */
    unsigned stingy_every;   /* every so many batches none is taken; 0: never */
    unsigned repeat;         /* every reply comes so many times more, with another state */
    uint64_t cancel_after;   /* probes after which `cancelled` becomes true; 0: never */
    uint64_t probe_duration; /* nanoseconds that handing over a probe takes */

    /* What the test and the prober share. */
    struct plan plan;
    struct scan *scan;
    atomic_bool cancelled;
    uint64_t submitted, batches, most_in_flight;
    uint64_t *times; /* when each probe left, as far as there is room */
    uint64_t times_count, times_capacity;
    unsigned *asked; /* how often, by index */
};

static struct world world;

struct fake {
    struct prober base;
    struct prober_options options;
    struct deadlines due;
    struct fake_attempt {
        struct probe probe;
        struct truth truth;
        uint64_t started;
        bool answers;
    } * attempts;
    uint32_t *free_slots;
    uint32_t free_count;
    uint64_t packets;
};

static int fake_open(const struct prober_class *class, const struct prober_options *options,
                     struct prober **ret_prober, struct error *error)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    (void)error;
    assert_non_null(fake);
    assert_int_equal(deadlines_init(&fake->due, options->in_flight), 0);
    fake->base.class = class;
    fake->options = *options;
    fake->attempts = calloc(options->in_flight, sizeof(*fake->attempts));
    fake->free_slots = calloc(options->in_flight, sizeof(*fake->free_slots));
    assert_true(fake->attempts && fake->free_slots);
    while (fake->free_count < options->in_flight) {
        fake->free_slots[fake->free_count] = fake->free_count;
        fake->free_count++;
    }
    *ret_prober = &fake->base;
    return 0;
}

static void fake_close(struct prober *base)
{
    struct fake *fake = (struct fake *)base;
    deadlines_release(&fake->due);
    free(fake->attempts);
    free(fake->free_slots);
    free(fake);
}

static void note_probe(const struct probe *probe)
{
    const struct endpoint expected = plan_endpoint(&world.plan, probe->index);
    assert_true(address_equal(&probe->to.address, &expected.address));
    assert_int_equal(probe->to.port.number, expected.port.number);
    if (world.times_count < world.times_capacity)
        world.times[world.times_count++] = now;
    if (world.asked)
        world.asked[probe->index]++;
    world.submitted++;
    if (world.submitted == world.cancel_after)
        atomic_store(&world.cancelled, true);
}

static void fake_start(struct fake *fake, const struct probe *probe)
{
    const uint32_t slot = fake->free_slots[--fake->free_count];
    struct fake_attempt *attempt = &fake->attempts[slot];
    const struct truth truth = world.truth(probe->index);
    const uint64_t timeout = fake->options.timeout(fake->options.user, probe->index);
    *attempt = (struct fake_attempt){.probe = *probe, .truth = truth, .started = now};
    attempt->answers = truth.nature != DEAD && truth.rtt <= timeout &&
                       scan_position(world.scan).pass >= truth.from_pass;
    fake->packets++;
    deadlines_add(&fake->due, slot, now + (attempt->answers ? truth.rtt : timeout));
}

static size_t fake_submit(struct prober *base, const struct probe *probes, size_t count)
{
    struct fake *fake = (struct fake *)base;
    size_t taken = 0;
    world.batches++;
    if (world.stingy_every && world.batches % world.stingy_every == 0)
        return 0;
    if (world.take_at_most && count > world.take_at_most)
        count = world.take_at_most;
    while (taken < count && fake->due.count < fake->options.in_flight) {
        now += world.probe_duration;
        note_probe(&probes[taken]);
        fake_start(fake, &probes[taken++]);
    }
    if (fake->due.count > world.most_in_flight)
        world.most_in_flight = fake->due.count;
    return taken;
}

static struct reply reply_of(const struct fake_attempt *attempt)
{
    struct reply reply = {
        .index = attempt->probe.index, .position = attempt->probe.position, .kind = REPLY_SILENCE};
    if (!attempt->answers)
        return reply;
    reply.kind = REPLY_ANSWER;
    reply.rtt = attempt->truth.rtt;
    switch (attempt->truth.nature) {
    case DEAD:
        break;
    case LISTENING:
        reply.state = STATE_OPEN;
        reply.reason = REASON_SYN_ACK;
        break;
    case REFUSING:
        reply.state = STATE_CLOSED;
        reply.reason = REASON_CONN_REFUSED;
        break;
    case REJECTED:
        reply.state = STATE_FILTERED;
        reply.reason = REASON_ADMIN_PROHIBITED;
        reply.from = (struct address){.family = ADDRESS_IPV4, .value = 0xc6336401};
        break;
    case UNASKABLE:
        reply.kind = REPLY_FAILURE;
        reply.code = attempt->truth.code;
        break;
    }
    return reply;
}

/* A late duplicate that says something else. */
static struct reply contradiction_of(struct reply reply)
{
    if (reply.kind == REPLY_ANSWER) {
        reply.state = reply.state == STATE_OPEN ? STATE_CLOSED : STATE_OPEN;
        reply.reason = reply.state == STATE_OPEN ? REASON_SYN_ACK : REASON_CONN_REFUSED;
    }
    return reply;
}

static size_t fake_collect(struct prober *base, uint64_t wait, struct reply *replies, size_t room)
{
    struct fake *fake = (struct fake *)base;
    uint32_t slot;
    uint64_t due;
    size_t given = 0;
    assert_true(room > world.repeat);
    if (deadlines_first(&fake->due, &slot, &due) && due <= now + wait)
        now = due > now ? due : now;
    else
        now += wait;
    now += 1000; /* nothing takes no time */
    while (given + world.repeat < room && deadlines_first(&fake->due, &slot, &due) && due <= now) {
        const struct reply reply = reply_of(&fake->attempts[slot]);
        deadlines_remove(&fake->due, slot);
        fake->free_slots[fake->free_count++] = slot;
        replies[given++] = reply;
        for (unsigned i = 0; i < world.repeat; i++)
            replies[given++] = contradiction_of(reply);
    }
    return given;
}

static uint64_t fake_oldest(const struct prober *base)
{
    const struct fake *fake = (const struct fake *)base;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < fake->due.count; i++) {
        const uint64_t position = fake->attempts[fake->due.heap[i].item].probe.position;
        oldest = position < oldest ? position : oldest;
    }
    return oldest;
}

static struct prober_facts fake_facts(const struct prober *base)
{
    const struct fake *fake = (const struct fake *)base;
    return (struct prober_facts){.capacity = fake->options.in_flight,
                                 .in_flight = fake->due.count,
                                 .packets = fake->packets};
}

static const struct prober_class fake_class = {
    .words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED},
    .name = "fake",
    .summary = "knows the truth",
    .protocol = PROTOCOL_TCP,
    .open = fake_open,
    .close = fake_close,
    .submit = fake_submit,
    .collect = fake_collect,
    .oldest = fake_oldest,
    .facts = fake_facts,
};

/* ---- what a scan reports ---- */

struct report {
    struct port_record *ports; /* in the order of the events */
    uint64_t port_count;
    struct error_record *errors;
    uint64_t error_count;
    uint64_t ticks;
    unsigned *times_told;  /* of each index */
    uint64_t return_after; /* ports after which the event returns -ENOSPC; 0: never */
    bool killed;           /* when the world says "cancelled" nothing more is kept */

    /* As a checkpoint has it that was written at the last tick. */
    struct scan_position kept;
    uint64_t kept_ports, kept_errors;
};

static struct address_set targets;
static struct port_set ports;

static int on_port(void *user, const struct port_record *record)
{
    struct report *report = user;
    const struct endpoint expected = plan_endpoint(&world.plan, record->index);
    assert_true(address_equal(&record->address, &expected.address));
    assert_int_equal(record->port.number, expected.port.number);
    assert_int_equal(reason_state(record->reason), record->state);
    assert_int_equal(report->times_told[record->index]++, 0);
    report->ports[report->port_count++] = *record;
    return report->port_count == report->return_after ? -ENOSPC : 0;
}

static int on_error(void *user, const struct error_record *record)
{
    struct report *report = user;
    report->errors[report->error_count++] = *record;
    return 0;
}

static void keep(struct report *report)
{
    report->kept = scan_position(world.scan);
    report->kept_ports = report->port_count;
    report->kept_errors = report->error_count;
}

static int on_tick(void *user)
{
    struct report *report = user;
    report->ticks++;
    if (!report->killed || !atomic_load(&world.cancelled))
        keep(report);
    return 0;
}

static void report_init(struct report *report)
{
    *report = (struct report){
        .ports = calloc(world.plan.count, sizeof(*report->ports)),
        .errors = calloc(world.plan.count, sizeof(*report->errors)),
        .times_told = calloc(world.plan.count, sizeof(*report->times_told)),
        .kept.pass = 1,
    };
}

static void report_release(struct report *report)
{
    free(report->ports);
    free(report->errors);
    free(report->times_told);
}

/* Makes a world of `hosts` × `port_count`, which the caller may change before it runs a scan. */
static void world_init(truth_fn *truth, unsigned hosts, uint16_t port_count)
{
    const struct address first = {.family = ADDRESS_IPV4, .value = 0x0a000001};
    world = (struct world){.truth = truth, .probe_duration = 1000};
    now = 1000 * SECOND;
    assert_int_equal(address_set_add(&targets, &first, first.value + hosts - 1), 0);
    assert_int_equal(address_set_seal(&targets), 0);
    assert_int_equal(port_set_add(&ports, PROTOCOL_TCP, 1, port_count), 0);
    assert_int_equal(plan_init(&world.plan, &targets, &ports, NULL), 0);
    world.asked = calloc(world.plan.count, sizeof(*world.asked));
}

static int world_release(void **state)
{
    (void)state;
    address_set_release(&targets);
    port_set_release(&ports);
    free(world.asked);
    free(world.times);
    world = (struct world){0};
    return 0;
}

static struct scan_options patient(void)
{
    struct scan_options options = scan_options_default;
    options.seed = 7;
    return options;
}

static void scan_open(const struct scan_options *options, struct report *report)
{
    const struct scan_events events = {.user = report,
                                       .port = on_port,
                                       .error = on_error,
                                       .tick = on_tick,
                                       .cancelled = &world.cancelled};
    struct error error = {0};
    assert_int_equal(scan_new(&world.plan, options, &fake_class, &events, &world.scan, &error), 0);
}

static void scan_close(void)
{
    scan_free(world.scan);
    world.scan = NULL;
}

static struct scan_summary run(const struct scan_options *options, struct report *report)
{
    struct scan_summary summary;
    scan_open(options, report);
    assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
    scan_close();
    return summary;
}

/* Every port was told once, with the state that it has in truth. */
static void assert_true_report(const struct report *report)
{
    uint64_t unaskable = 0;
    for (uint64_t i = 0; i < report->port_count; i++) {
        const struct port_record *record = &report->ports[i];
        static const enum reason reasons[] = {REASON_NO_RESPONSE, REASON_SYN_ACK,
                                              REASON_CONN_REFUSED, REASON_ADMIN_PROHIBITED};
        const struct truth truth = world.truth(record->index);
        assert_int_not_equal(truth.nature, UNASKABLE);
        assert_int_equal(record->reason, reasons[truth.nature]);
        assert_int_equal(record->from.family,
                         truth.nature == REJECTED ? ADDRESS_IPV4 : ADDRESS_NONE);
        assert_int_equal(record->rtt, truth.nature == DEAD ? 0 : truth.rtt);
        if (truth.nature != DEAD)
            assert_int_equal(record->tries, truth.from_pass > 1 ? truth.from_pass : 1);
    }
    for (uint64_t index = 0; index < world.plan.count; index++) {
        const bool askable = world.truth(index).nature != UNASKABLE;
        unaskable += !askable;
        assert_int_equal(report->times_told[index], askable);
    }
    assert_int_equal(report->port_count + unaskable, world.plan.count);
}

/* ---- truth ---- */

static struct truth mixed(uint64_t index)
{
    const uint64_t hash = mix64(index + 99);
    const enum nature natures[] = {LISTENING, REFUSING, REFUSING, REFUSING, REJECTED, DEAD};
    return (struct truth){.nature = natures[hash % 6], .rtt = 5 * MS + hash % (20 * MS)};
}

static void every_port_gets_its_state(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 20, 300);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);

    uint64_t counts[5] = {0};
    for (uint64_t index = 0; index < world.plan.count; index++)
        counts[mixed(index).nature]++;
    assert_int_equal(summary.end, SCAN_COMPLETE);
    assert_int_equal(summary.open, counts[LISTENING]);
    assert_int_equal(summary.closed, counts[REFUSING]);
    assert_int_equal(summary.filtered, counts[REJECTED] + counts[DEAD]);
    assert_int_equal(summary.undecided, 0);
    assert_int_equal(summary.errors, 0);
    assert_int_equal(summary.hosts, 20);
    assert_int_equal(summary.hosts_answered, 20);
    assert_int_equal(summary.probes, world.submitted);
    /* The second pass asks what is silent, and nobody is asked again who has answered. */
    assert_int_equal(summary.passes, 2);
    assert_int_equal(summary.probes, world.plan.count + counts[DEAD]);
    assert_true(summary.recall.known && summary.recall.estimate >= options.recall);
    assert_true(report.ticks >= 5);
    report_release(&report);
}

static struct truth all_answer(uint64_t index)
{
    return (struct truth){.nature = index % 2 ? LISTENING : REFUSING, .rtt = 10 * MS};
}

static void one_pass_is_enough_when_all_answer(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(all_answer, 1, 1000);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);
    assert_int_equal(summary.passes, 1);
    assert_int_equal(summary.probes, 1000);
    assert_true(summary.recall.known && summary.recall.low >= 1);
    assert_true(summary.duration < SECOND);
    report_release(&report);
}

/* Ports that answer at once do not wait for those that don't. */
static void answers_do_not_wait_for_silence(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.timeouts.minimum = options.timeouts.initial;
    world_init(mixed, 4, 500);
    report_init(&report);
    scan_open(&options, &report);
    struct scan_summary summary;
    assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
    scan_close();
    const uint64_t began = report.ports[0].time;
    for (uint64_t i = 0; i < report.port_count; i++)
        if (report.ports[i].reason != REASON_NO_RESPONSE)
            assert_true(report.ports[i].time - began < 200 * MS);
    report_release(&report);
}

/* ---- loss ---- */

static struct truth lossy(uint64_t index)
{
    const uint64_t hash = mix64(index + 5);
    struct truth truth = {
        .nature = hash % 5 == 0 ? DEAD : REFUSING, .from_pass = 1, .rtt = 20 * MS};
    /* Each attempt is lost with chance 0.2. */
    for (uint64_t draw = mix64(hash); draw % 5 == 0; draw = mix64(draw))
        truth.from_pass++;
    return truth;
}

static void what_was_lost_is_found_later(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.recall = 0.9999;
    options.tries = 20;
    world_init(lossy, 10, 1000);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    uint64_t answering = 0, heard = 0;
    for (uint64_t index = 0; index < world.plan.count; index++)
        answering += lossy(index).nature != DEAD;
    for (uint64_t i = 0; i < report.port_count; i++)
        heard += report.ports[i].state == STATE_CLOSED;
    assert_true(summary.passes > 3 && summary.passes < 20);
    assert_true((double)heard / (double)answering >= summary.recall.low);
    assert_true(summary.recall.estimate >= 0.9999);
    assert_in_range(answering - heard, 0, 5);
    for (uint64_t i = 0; i < report.port_count; i++)
        if (report.ports[i].state == STATE_CLOSED)
            assert_int_equal(report.ports[i].tries, lossy(report.ports[i].index).from_pass);
    report_release(&report);
}

/* A scan that is content with less stops sooner, and no sooner than it may. */
static void the_wanted_recall_decides_how_long(void **state)
{
    (void)state;
    unsigned last = 0;
    static const double wanted[] = {0.5, 0.9, 0.99, 0.999, 0.99999};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct report report;
        struct scan_options options = patient();
        options.recall = wanted[i];
        options.tries = SCAN_TRIES_MAXIMUM;
        world_init(lossy, 4, 1000);
        report_init(&report);
        const struct scan_summary summary = run(&options, &report);
        assert_true(summary.recall.estimate >= wanted[i]);
        assert_true(summary.passes >= last && summary.passes >= 2);
        /* One pass less would not have done: each makes the rest about five times smaller. */
        if (summary.passes > 2)
            assert_true(1 - summary.recall.estimate > (1 - wanted[i]) / 8);
        last = summary.passes;
        report_release(&report);
        world_release(NULL);
    }
}

static struct truth late(uint64_t index)
{
    return (struct truth){.nature = index % 2 ? DEAD : LISTENING,
                          .from_pass = index % 2 ? 0 : 1 + (unsigned)(index / 2 % 2),
                          .rtt = 10 * MS};
}

static void tries_bound_the_passes(void **state)
{
    (void)state;
    for (unsigned tries = 1; tries <= 6; tries++) {
        struct report report;
        struct scan_options options = patient();
        options.tries = tries;
        options.recall = 1;
        world_init(late, 2, 200);
        report_init(&report);
        const struct scan_summary summary = run(&options, &report);
        assert_int_equal(summary.end, SCAN_COMPLETE);
        assert_int_equal(summary.passes, tries);
        for (uint64_t index = 0; index < world.plan.count; index++) {
            const struct truth truth = late(index);
            const unsigned until =
                truth.nature == DEAD || truth.from_pass > tries ? tries : truth.from_pass;
            assert_int_equal(world.asked[index], until);
        }
        for (uint64_t i = 0; i < report.port_count; i++)
            if (report.ports[i].reason == REASON_NO_RESPONSE)
                assert_int_equal(report.ports[i].tries, tries);
        report_release(&report);
        world_release(NULL);
    }
}

static struct truth dead(uint64_t index)
{
    (void)index;
    return (struct truth){.nature = DEAD};
}

/* Where nothing ever answers there is no recall to wait for. */
static void silence_alone_ends_after_three_tries(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.tries = SCAN_TRIES_MAXIMUM;
    world_init(dead, 3, 100);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);
    assert_int_equal(summary.passes, SCAN_TRIES_UNANSWERED);
    assert_int_equal(summary.filtered, 300);
    assert_int_equal(summary.hosts_answered, 0);
    assert_int_equal(summary.probes, 300 * SCAN_TRIES_UNANSWERED);
    assert_false(summary.recall.known);
    report_release(&report);
}

/* A router's ICMP error is not the host's own answer. */
static struct truth rejected(uint64_t index)
{
    return (struct truth){.nature = index < 50 ? REJECTED : REFUSING, .rtt = 10 * MS};
}

static void only_hosts_that_answer_themselves_are_counted(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(rejected, 3, 50);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);
    assert_int_equal(summary.hosts_answered, 2);
    report_release(&report);
}

/* ---- failures of this machine ---- */

/* Host 0 has no route, every seventh port of host 1 is forbidden by our own firewall, host 2 loses
 * its route half-way. */
static struct truth troubled(uint64_t index)
{
    const uint64_t host = index / 100, port = index % 100;
    struct truth truth = {.nature = port % 3 ? REFUSING : LISTENING, .rtt = 10 * MS};
    if (host == 0)
        truth = (struct truth){.nature = UNASKABLE, .code = ENETUNREACH, .rtt = MS};
    if (host == 1 && port % 7 == 0)
        truth = (struct truth){.nature = UNASKABLE, .code = EPERM, .rtt = MS};
    return truth;
}

static void failures_are_errors_and_never_states(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.recall = 1; /* as many passes as there are tries: the failed are not asked again */
    world_init(troubled, 3, 100);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);

    uint64_t whole = 0, single = 0;
    for (uint64_t i = 0; i < report.error_count; i++) {
        const struct error_record *error = &report.errors[i];
        const struct endpoint expected = plan_endpoint(&world.plan, error->index);
        assert_true(address_equal(&error->address, &expected.address));
        assert_int_equal(error->port.number, expected.port.number);
        whole += error->whole_host;
        single += !error->whole_host;
        assert_int_equal(error->code, error->whole_host ? ENETUNREACH : EPERM);
        assert_int_equal(plan_host(&world.plan, error->index), error->whole_host ? 0 : 1);
    }
    assert_int_equal(whole, 1);
    assert_int_equal(single, 15);
    assert_int_equal(summary.errors, 115);
    assert_int_equal(summary.open + summary.closed, 185);
    assert_int_equal(summary.filtered, 0);
    assert_int_equal(summary.passes, 1);
    assert_int_equal(summary.hosts_answered, 2);
    for (uint64_t index = 0; index < world.plan.count; index++)
        assert_true(world.asked[index] <= 1);
    report_release(&report);
}

/* The host's answers stand; what had not answered when the route went is what could not be asked.
 */
static struct truth losing_its_route(uint64_t index)
{
    if (mix64(index) % 2)
        return (struct truth){.nature = REFUSING, .rtt = 10 * MS};
    return (struct truth){
        .nature = UNASKABLE, .from_pass = 2, .code = EHOSTUNREACH, .rtt = 10 * MS};
}

static void what_was_heard_before_a_failure_stands(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.recall = 1;
    world_init(losing_its_route, 1, 1000);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);
    assert_int_equal(report.error_count, 1);
    assert_true(report.errors[0].whole_host);
    assert_int_equal(summary.closed, report.port_count);
    assert_int_equal(summary.errors, 1000 - report.port_count);
    assert_int_equal(summary.passes, 2);
    report_release(&report);
}

/* ---- an uneven prober ---- */

static void parts_of_batches_are_offered_again(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 5, 300);
    world.take_at_most = 3;
    world.stingy_every = 4;
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);
    uint64_t silent = 0;
    for (uint64_t index = 0; index < world.plan.count; index++)
        silent += mixed(index).nature == DEAD;
    assert_int_equal(summary.probes, world.plan.count + silent);
    report_release(&report);
}

static void duplicates_change_nothing(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 5, 300);
    world.repeat = 2;
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_true_report(&report);
    assert_int_equal(summary.open + summary.closed + summary.filtered, world.plan.count);
    report_release(&report);
}

static void the_number_in_flight_is_bounded(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1, 10, 700};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        struct report report;
        struct scan_options options = patient();
        options.in_flight = bounds[i];
        world_init(mixed, 4, 300);
        report_init(&report);
        run(&options, &report);
        assert_true_report(&report);
        assert_in_range(world.most_in_flight, 1, bounds[i]);
        report_release(&report);
        world_release(NULL);
    }
}

/* ---- pace ---- */

static void the_rate_is_kept(void **state)
{
    (void)state;
    static const uint64_t rates[] = {20, 500, 20000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct report report;
        struct scan_options options = patient();
        options.rate = rates[i];
        world_init(all_answer, 1, 2000);
        world.times_capacity = 2000;
        world.times = calloc(world.times_capacity, sizeof(*world.times));
        report_init(&report);
        const struct scan_summary summary = run(&options, &report);
        assert_true_report(&report);
        const double burst = fmax(2, (double)rates[i] / 100);
        for (uint64_t from = 0; from < world.times_count; from += 7)
            for (uint64_t to = from + 1; to < world.times_count; to += 3) {
                const double seconds = (double)(world.times[to] - world.times[from]) / 1e9;
                assert_true((double)(to - from) <= seconds * (double)rates[i] + burst + 1);
            }
        /* Nor is it much slower. */
        assert_true((double)summary.duration / 1e9 <= 2000.0 / (double)rates[i] * 1.2 + 0.1);
        report_release(&report);
        world_release(NULL);
    }
}

/* ---- ending before the time ---- */

static void a_cancelled_scan_says_what_it_knows(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 20, 300);
    world.cancel_after = 3000;
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.end, SCAN_INTERRUPTED);
    assert_true(world.submitted < 3000 + 64);
    assert_int_equal(summary.open + summary.closed + summary.filtered, report.port_count);
    assert_int_equal(summary.undecided, world.plan.count - report.port_count);
    for (uint64_t i = 0; i < report.port_count; i++)
        assert_int_not_equal(report.ports[i].reason, REASON_NO_RESPONSE);
    assert_false(summary.recall.known);
    report_release(&report);
}

static void cancelling_takes_a_tenth_of_a_second(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(dead, 1, 500);
    world.cancel_after = 500; /* when nothing more is to be sent, and nothing comes */
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.end, SCAN_INTERRUPTED);
    assert_true(summary.duration <= 150 * MS);
    assert_int_equal(report.port_count, 0);
    report_release(&report);
}

static void a_scan_cancelled_before_it_begins_asks_little(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 20, 300);
    atomic_store(&world.cancelled, true);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.end, SCAN_INTERRUPTED);
    assert_true(world.submitted <= 64);
    report_release(&report);
}

static void the_time_is_bounded(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.max_time = 2 * SECOND;
    options.rate = 100;
    world_init(mixed, 20, 300);
    report_init(&report);
    const struct scan_summary summary = run(&options, &report);
    assert_int_equal(summary.end, SCAN_TIMED_OUT);
    assert_in_range(summary.duration, 2 * SECOND, 2 * SECOND + 150 * MS);
    assert_in_range(summary.probes, 195, 215);
    assert_int_equal(summary.undecided, world.plan.count - report.port_count);
    report_release(&report);
}

static void a_failing_event_ends_the_scan(void **state)
{
    (void)state;
    struct report report;
    struct scan_summary summary;
    struct error error = {0};
    const struct scan_options options = patient();
    world_init(mixed, 20, 300);
    report_init(&report);
    report.return_after = 700;
    scan_open(&options, &report);
    assert_int_equal(scan_run(world.scan, &summary, &error), -ENOSPC);
    assert_int_equal(error.code, ENOSPC);
    assert_non_null(strstr(error.message, "No space left on device"));
    assert_int_equal(summary.end, SCAN_FAILED);
    assert_int_equal(report.port_count, 700);
    assert_int_equal(summary.undecided, world.plan.count - 700);
    scan_close();
    report_release(&report);
}

/* ---- going on ---- */

/* Loss, silence, rejections and failures of both kinds. */
static struct truth everything(uint64_t index)
{
    const uint64_t hash = mix64(index + 31), host = index / 200;
    struct truth truth = mixed(index);
    if (host == 3)
        return (struct truth){.nature = UNASKABLE, .code = ENETUNREACH, .rtt = MS};
    if (hash % 41 == 0)
        return (struct truth){.nature = UNASKABLE, .code = EPERM, .rtt = MS};
    truth.from_pass = 1;
    for (uint64_t draw = mix64(hash); truth.nature != DEAD && draw % 6 == 0; draw = mix64(draw))
        truth.from_pass++;
    return truth;
}

static void restore(const struct report *from, uint64_t port_count, uint64_t error_count,
                    const struct scan_position *position)
{
    for (uint64_t i = 0; i < port_count; i++)
        assert_int_equal(scan_restore_port(world.scan, &from->ports[i]), 0);
    for (uint64_t i = 0; i < error_count; i++)
        assert_int_equal(scan_restore_error(world.scan, &from->errors[i]), 0);
    scan_restore_position(world.scan, position);
}

static int compare_records(const void *one, const void *other)
{
    const uint64_t a = ((const struct port_record *)one)->index;
    const uint64_t b = ((const struct port_record *)other)->index;
    return a < b ? -1 : a > b;
}

/* The same ports with the same evidence; only when they were heard differs. */
static void assert_same_results(const struct report *one, const struct report *other)
{
    assert_int_equal(one->port_count, other->port_count);
    qsort(one->ports, one->port_count, sizeof(*one->ports), compare_records);
    qsort(other->ports, other->port_count, sizeof(*other->ports), compare_records);
    for (uint64_t i = 0; i < one->port_count; i++) {
        const struct port_record *a = &one->ports[i], *b = &other->ports[i];
        assert_int_equal(a->index, b->index);
        assert_int_equal(a->reason, b->reason);
        assert_int_equal(a->tries, b->tries);
        assert_int_equal(a->rtt, b->rtt);
        assert_true(address_equal(&a->from, &b->from));
    }
    uint64_t errors[2][2] = {{0}};
    for (uint64_t i = 0; i < one->error_count; i++)
        errors[0][one->errors[i].whole_host]++;
    for (uint64_t i = 0; i < other->error_count; i++)
        errors[1][other->errors[i].whole_host]++;
    assert_memory_equal(errors[0], errors[1], sizeof(errors[0]));
}

static void assert_same_summary(const struct scan_summary *one, const struct scan_summary *other)
{
    assert_int_equal(other->end, SCAN_COMPLETE);
    assert_int_equal(one->open, other->open);
    assert_int_equal(one->closed, other->closed);
    assert_int_equal(one->filtered, other->filtered);
    assert_int_equal(one->errors, other->errors);
    assert_int_equal(one->hosts_answered, other->hosts_answered);
    assert_int_equal(one->passes, other->passes);
    assert_true(fabs(one->recall.estimate - other->recall.estimate) < 1e-12);
    assert_true(fabs(one->recall.low - other->recall.low) < 1e-12);
}

/* Runs until `probes` have left; then it either ends in good order, and what is known is kept, or
 * is killed, and what was known at the last tick is. Goes on from there, again and again, until the
 * scan is complete. `report` is the last piece's. */
static struct scan_summary run_in_pieces(const struct scan_options *options, uint64_t probes,
                                         bool killed, struct report *report)
{
    struct report last = {.kept.pass = 1};
    struct scan_summary summary = {.end = SCAN_INTERRUPTED};
    for (uint64_t pieces = 0; summary.end != SCAN_COMPLETE; pieces++) {
        report_init(report);
        report->killed = killed;
        scan_open(options, report);
        restore(&last, last.kept_ports, last.kept_errors, &last.kept);
        keep(report);
        report_release(&last);
        /* Pieces become longer, so that it ends also when the work of the first ones is lost. */
        atomic_store(&world.cancelled, false);
        world.submitted = 0;
        world.cancel_after = probes + pieces * probes / 8;
        now += 1000 * SECOND; /* which no piece may count as its own */
        assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
        if (!killed)
            keep(report);
        scan_close();
        last = *report;
    }
    return summary;
}

static void test_going_on(bool killed)
{
    struct report whole, pieces;
    struct scan_options options = patient();
    options.in_flight = 30;
    options.tries = 6;
    world_init(everything, 6, 200);
    report_init(&whole);
    const struct scan_summary expected = run(&options, &whole);
    assert_true(expected.passes > 2 && expected.errors > 200);
    for (uint64_t probes = 1; probes < expected.probes; probes += 1 + mix64(probes) % 90) {
        const struct scan_summary summary = run_in_pieces(&options, probes, killed, &pieces);
        assert_same_results(&whole, &pieces);
        assert_same_summary(&expected, &summary);
        assert_true(summary.duration < 1000 * SECOND && summary.duration >= expected.duration / 2);
        assert_true(summary.probes >= expected.probes - 64);
        report_release(&pieces);
    }
    report_release(&whole);
}

static void an_interrupted_scan_is_completed(void **state)
{
    (void)state;
    test_going_on(false);
}

static void a_killed_scan_is_completed(void **state)
{
    (void)state;
    test_going_on(true);
}

/* Also one that an event ended in the middle of a handful of replies: those that were not looked at
 * any more are asked again. */
static void a_failed_scan_is_completed(void **state)
{
    (void)state;
    struct report whole, first, second;
    struct scan_options options = patient();
    struct scan_summary summary;
    options.tries = 1;
    world_init(all_answer, 2, 1000);
    report_init(&whole);
    run(&options, &whole);
    for (uint64_t fails = 1; fails < world.plan.count; fails += 13) {
        report_init(&first);
        first.return_after = fails;
        scan_open(&options, &first);
        assert_int_equal(scan_run(world.scan, &summary, NULL), -ENOSPC);
        keep(&first);
        scan_close();
        report_init(&second);
        scan_open(&options, &second);
        restore(&first, first.kept_ports, first.kept_errors, &first.kept);
        assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
        scan_close();
        assert_same_results(&whole, &second);
        report_release(&first);
        report_release(&second);
    }
    report_release(&whole);
}

static void records_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct report report;
    const struct scan_options options = patient();
    world_init(mixed, 2, 100);
    report_init(&report);
    scan_open(&options, &report);
    /* Address and port are not needed: on_port() finds those of the plan. */
    struct port_record record = {
        .index = 200, .state = STATE_OPEN, .reason = REASON_SYN_ACK, .tries = 1};
    struct error_record error = {.index = 200, .code = EPERM};
    assert_int_equal(scan_restore_port(world.scan, &record), -EINVAL);
    assert_int_equal(scan_restore_error(world.scan, &error), -EINVAL);
    record.index = 5;
    assert_int_equal(scan_restore_port(world.scan, &record), 0);
    assert_int_equal(scan_restore_port(world.scan, &record), -EINVAL);
    assert_int_equal(ledger_get(scan_ledger(world.scan), 5), STATE_OPEN);
    assert_int_equal(report.port_count, 1);
    scan_close();
    report_release(&report);
}

/* ---- progress ---- */

static uint64_t last_done;
static unsigned last_pass;

static int watch_progress(void *user)
{
    (void)user;
    const struct scan_progress progress = scan_progress(world.scan);
    assert_in_range(progress.pass, 1, scan_options_default.tries);
    assert_true(progress.done <= progress.count && progress.count == world.plan.count);
    assert_int_equal(progress.probes, world.submitted);
    assert_true(progress.pass > last_pass || progress.done >= last_done);
    if (progress.elapsed > SECOND && progress.pass == 1 && progress.done < progress.count) {
        assert_true(fabs(progress.rate - 500) < 25);
        const double left = (double)(progress.count - progress.done) / 500;
        assert_true(fabs((double)progress.remaining / 1e9 - left) < 0.1 * left + 0.2);
    }
    last_done = progress.done;
    last_pass = progress.pass;
    return 0;
}

static void progress_is_honest(void **state)
{
    (void)state;
    struct scan_options options = patient();
    struct scan_summary summary;
    const struct scan_events events = {.tick = watch_progress};
    options.rate = 500;
    last_done = last_pass = 0;
    world_init(mixed, 10, 300);
    assert_int_equal(scan_new(&world.plan, &options, &fake_class, &events, &world.scan, NULL), 0);
    assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
    assert_int_equal(last_done, world.plan.count);
    const struct scan_progress progress = scan_progress(world.scan);
    assert_int_equal(progress.in_flight, 0);
    assert_int_equal(progress.open, summary.open);
    assert_int_equal(progress.closed, summary.closed);
    scan_close();
}

#define TEST(function) cmocka_unit_test_teardown(function, world_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_port_gets_its_state),
        TEST(one_pass_is_enough_when_all_answer),
        TEST(answers_do_not_wait_for_silence),
        TEST(what_was_lost_is_found_later),
        TEST(the_wanted_recall_decides_how_long),
        TEST(tries_bound_the_passes),
        TEST(silence_alone_ends_after_three_tries),
        TEST(only_hosts_that_answer_themselves_are_counted),
        TEST(failures_are_errors_and_never_states),
        TEST(what_was_heard_before_a_failure_stands),
        TEST(parts_of_batches_are_offered_again),
        TEST(duplicates_change_nothing),
        TEST(the_number_in_flight_is_bounded),
        TEST(the_rate_is_kept),
        TEST(a_cancelled_scan_says_what_it_knows),
        TEST(cancelling_takes_a_tenth_of_a_second),
        TEST(a_scan_cancelled_before_it_begins_asks_little),
        TEST(the_time_is_bounded),
        TEST(a_failing_event_ends_the_scan),
        TEST(an_interrupted_scan_is_completed),
        TEST(a_killed_scan_is_completed),
        TEST(a_failed_scan_is_completed),
        TEST(records_that_do_not_fit_are_refused),
        TEST(progress_is_honest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
