/* A made-up network for the scan loop and a prober without state over it: it knows the truth, and
 * its clock, which is the loop's as well, moves only here, so that minutes pass in milliseconds and
 * nothing depends on the machine. The program must not link another clock. */
#pragma once

#include "scan/canary.h"
#include "scan/scan.h"

#include "base/clock.h"
#include "base/deadlines.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define SECOND NANOSECONDS_PER_SECOND
#define ON_THE_WAY 262144 /* packets at most */
#define PASS_TAGS 7
#define OTHER_TAG 7 /* of lanes, and of checks of hosts */

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

struct truth {
    enum nature nature;
    uint64_t rtt;
    int code;           /* of UNASKABLE */
    double limit;       /* answers a second that its host gives at most; 0: as many as it likes */
    uint64_t waits_for; /* its host's probes leave only so long after the scan's beginning */
};

struct asking {
    uint64_t index, time;
    uint8_t tag;
};

struct world {
    struct truth (*truth)(uint64_t index);
    double loss;             /* share of round trips */
    unsigned copies;         /* of each answer, which come a little later and contradict it */
    unsigned take_at_most;   /* of a batch; 0: all of it */
    unsigned stingy_every;   /* every so many batches none is taken; 0: never */
    uint64_t cancel_after;   /* probes after which `cancelled` becomes true; 0: never */
    uint64_t probe_duration; /* nanoseconds that handing over a probe takes */
    uint64_t dies_at;        /* probes after which nothing of the first host answers; 0: never */
    bool walks;              /* the prober walks passes by itself, */
    unsigned leaves_out;     /* but for every so many hosts; 0: none */
    double line, queue;      /* packets a second that the path carries, and wait for it; 0: any */

    /* What the test and the prober share. */
    struct address_set targets;
    struct port_set ports;
    struct plan plan;
    struct scan *scan;
    atomic_bool cancelled;
    uint64_t began, batches, dice, refused;
    uint64_t walked;        /* probes */
    uint64_t line_free;     /* when the line has carried all that waits */
    struct asking *askings; /* each probe that was taken, in order */
    uint64_t asking_count, asking_room;
    unsigned *pass; /* in which the first answer that was let out was asked for, by index, or 0 */
    struct bucket {
        double tokens;
        uint64_t time;
    } * buckets; /* by host */
};

static struct world world;

struct fake {
    struct prober base;
    struct deadlines due;
    struct event {
        struct reply reply;
        uint64_t position;
        bool counts; /* it has a probe that has not left: it is in flight */
        unsigned pass;
    } * events;
    uint32_t *free_slots;
    uint32_t free_count, in_flight;
    uint64_t packets;
    uint64_t *ledger; /* of one that walks */
    bool *avoided;
    struct walk_facts walked;
};

static inline int fake_open(const struct prober_class *class, const struct prober_options *options,
                            struct prober **ret_prober, struct error *error)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    (void)error;
    assert_non_null(fake);
    assert_int_equal(deadlines_init(&fake->due, ON_THE_WAY), 0);
    fake->base.class = class;
    fake->events = calloc(ON_THE_WAY, sizeof(*fake->events));
    fake->free_slots = calloc(ON_THE_WAY, sizeof(*fake->free_slots));
    assert_true(fake->events && fake->free_slots);
    while (fake->free_count < ON_THE_WAY) {
        fake->free_slots[fake->free_count] = fake->free_count;
        fake->free_count++;
    }
    if (world.walks) {
        const uint64_t hosts = world.targets.size;
        fake->ledger = calloc(world.plan.count / 32 + 1, sizeof(*fake->ledger));
        fake->avoided = calloc(hosts, sizeof(*fake->avoided));
        assert_true(options->walks && fake->ledger && fake->avoided);
        for (uint64_t host = 0; host < hosts; host++)
            fake->avoided[host] = world.leaves_out && host % world.leaves_out == 0;
    }
    world.began = now;
    *ret_prober = &fake->base;
    return 0;
}

static inline void fake_close(struct prober *base)
{
    struct fake *fake = (struct fake *)base;
    deadlines_release(&fake->due);
    free(fake->events);
    free(fake->free_slots);
    free(fake->ledger);
    free(fake->avoided);
    free(fake);
}

static inline double chance(void)
{
    return (double)(mix64(world.dice++) >> 11) * 0x1p-53;
}

static inline void note_probe(const struct probe *probe)
{
    const struct endpoint expected = plan_endpoint(&world.plan, probe->index);
    assert_true(probe->index < world.plan.count && probe->tag < PROBE_TAGS);
    assert_true(address_equal(&probe->to.address, &expected.address));
    assert_int_equal(probe->to.port.number, expected.port.number);
    if (world.asking_count == world.asking_room) {
        world.asking_room = world.asking_room ? 2 * world.asking_room : 4096;
        world.askings = reallocarray(world.askings, world.asking_room, sizeof(*world.askings));
        assert_non_null(world.askings);
    }
    world.askings[world.asking_count++] =
        (struct asking){.index = probe->index, .time = now, .tag = probe->tag};
    if (world.asking_count == world.cancel_after)
        atomic_store(&world.cancelled, true);
}

/* Whether a host that answers so often at most answers now. */
static inline bool bucket_take(uint64_t host, double limit, uint64_t time)
{
    struct bucket *bucket = &world.buckets[host];
    double passed = bucket->time ? (double)(time - bucket->time) / (double)SECOND : 1;
    bucket->time = time;
    bucket->tokens += passed * limit;
    if (bucket->tokens > limit / 10 + 1)
        bucket->tokens = limit / 10 + 1;
    if (bucket->tokens < 1)
        return false;
    bucket->tokens--;
    return true;
}

/* When a packet that leaves at `time` has passed the line, or 0 if its queue was full. */
static inline uint64_t line_pass(uint64_t time)
{
    if (world.line <= 0)
        return time;
    const uint64_t free_at = world.line_free > time ? world.line_free : time;
    const double each = (double)SECOND / world.line;
    if ((double)(free_at - time) > world.queue * each)
        return 0;
    world.line_free = free_at + (uint64_t)each;
    return world.line_free;
}

static inline void fake_add(struct fake *fake, const struct event *event, uint64_t time)
{
    assert_true(fake->free_count > 0);
    const uint32_t slot = fake->free_slots[--fake->free_count];
    fake->events[slot] = *event;
    fake->in_flight += event->counts;
    deadlines_add(&fake->due, slot, time);
}

static inline void set_answer(struct reply *reply, enum nature nature)
{
    reply->kind = REPLY_ANSWER;
    switch (nature) {
    case LISTENING:
        reply->state = STATE_OPEN;
        reply->reason = REASON_SYN_ACK;
        return;
    case REFUSING:
        reply->state = STATE_CLOSED;
        reply->reason = REASON_RESET;
        return;
    default:
        reply->state = STATE_FILTERED;
        reply->reason = REASON_ADMIN_PROHIBITED;
        reply->from = (struct address){.family = ADDRESS_IPV4, .value = 0xc6336401};
    }
}

static inline void fake_start(struct fake *fake, const struct probe *probe)
{
    const struct truth truth = world.truth(probe->index);
    const uint64_t host = plan_host(&world.plan, probe->index);
    struct event event = {
        .reply = {.index = probe->index, .tag = probe->tag},
        .position = probe->position,
        .pass = scan_position(world.scan).pass,
    };
    fake->packets += truth.nature != UNASKABLE;
    if (truth.nature == UNASKABLE) {
        event.reply.kind = REPLY_FAILURE;
        event.reply.code = truth.code;
        event.counts = true;
        fake_add(fake, &event, now);
        return;
    }
    uint64_t leaves = now;
    if (world.began + truth.waits_for > now) {
        leaves = event.reply.waited = world.began + truth.waits_for;
        fake_add(
            fake,
            &(struct event){.reply = {.index = UINT64_MAX}, .counts = true, .pass = event.pass},
            leaves);
    }
    leaves = line_pass(leaves);
    if (!leaves || truth.nature == DEAD || chance() < world.loss ||
        (world.dies_at && host == 0 && world.asking_count > world.dies_at) ||
        (truth.limit > 0 && !bucket_take(host, truth.limit, leaves)))
        return;
    set_answer(&event.reply, truth.nature);
    fake_add(fake, &event, leaves + truth.rtt);
    set_answer(&event.reply, truth.nature == LISTENING ? REFUSING : LISTENING);
    event.reply.from = (struct address){0};
    for (unsigned i = 1; i <= world.copies; i++)
        fake_add(fake, &event, leaves + truth.rtt + i * MS);
}

static inline size_t fake_submit(struct prober *base, const struct probe *probes, size_t count)
{
    struct fake *fake = (struct fake *)base;
    size_t taken = 0;
    world.batches++;
    if (world.stingy_every && world.batches % world.stingy_every == 0)
        return 0;
    if (world.take_at_most && count > world.take_at_most)
        count = world.take_at_most;
    for (; taken < count; taken++) {
        now += world.probe_duration;
        note_probe(&probes[taken]);
        fake_start(fake, &probes[taken]);
    }
    return taken;
}

/* Only the first answer to a port that came from a common pass tells which of them it answers. */
static inline void note_reply(const struct event *event)
{
    const struct reply *reply = &event->reply;
    if (reply->kind == REPLY_ANSWER && reply->tag < PASS_TAGS && !world.pass[reply->index])
        world.pass[reply->index] = event->pass;
}

static inline size_t fake_collect(struct prober *base, uint64_t wait, struct reply *replies,
                                  size_t room)
{
    struct fake *fake = (struct fake *)base;
    uint32_t slot;
    uint64_t due;
    size_t given = 0;
    if (deadlines_first(&fake->due, &slot, &due) && due <= now + wait)
        now = due > now ? due : now;
    else
        now += wait;
    now += 2000; /* nothing takes no time */
    while (given < room && deadlines_first(&fake->due, &slot, &due) && due <= now) {
        struct event *event = &fake->events[slot];
        deadlines_remove(&fake->due, slot);
        fake->free_slots[fake->free_count++] = slot;
        fake->in_flight -= event->counts;
        if (event->reply.index == UINT64_MAX)
            continue;
        note_reply(event);
        event->reply.time = due;
        replies[given++] = event->reply;
    }
    return given;
}

static inline struct prober_facts fake_facts(const struct prober *base)
{
    const struct fake *fake = (const struct fake *)base;
    return (struct prober_facts){
        .capacity = UINT32_MAX,
        .in_flight = fake->in_flight,
        .packets = fake->packets,
        .refused = world.refused,
        .walks = world.walks,
        .left_out = world.walks && world.leaves_out ? 1 : 0,
    };
}

/* ---- walking ---- */

static inline uint64_t *fake_ledger(struct prober *base)
{
    return ((struct fake *)base)->ledger;
}

static inline void fake_avoid(struct prober *base, uint64_t host)
{
    ((struct fake *)base)->avoided[host] = true;
}

static inline bool fake_avoids(const struct prober *base, uint64_t host)
{
    return ((const struct fake *)base)->avoided[host];
}

/* All of it at once. */
static inline bool fake_walk(struct prober *base, const struct walk *walk)
{
    struct fake *fake = (struct fake *)base;
    assert_true(walk->end > walk->position && walk->packets > 0 && walk->tag < PASS_TAGS);
    for (uint64_t position = walk->position; position < walk->end; position++) {
        const uint64_t index = walk_index(walk, position, order_at);
        if (fake->ledger[index / 32] >> index % 32 * 2 & 3 ||
            fake->avoided[plan_host(&world.plan, index)])
            continue;
        const struct probe probe = {.to = plan_endpoint(&world.plan, index),
                                    .index = index,
                                    .position = position,
                                    .tag = walk->tag};
        now += world.probe_duration;
        note_probe(&probe);
        fake_start(fake, &probe);
        fake->walked.sent++;
        world.walked++;
    }
    fake->walked.granted += walk->packets;
    return true;
}

static inline struct walk_facts fake_walked(struct prober *base)
{
    return ((struct fake *)base)->walked;
}

/* Nothing waits in it. */
static inline uint64_t fake_oldest(const struct prober *base)
{
    (void)base;
    return UINT64_MAX;
}

static const struct prober_class fake_class = {
    .words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED},
    .name = "fake",
    .summary = "knows the truth",
    .protocol = PROTOCOL_TCP,
    .stateless = true,
    .open = fake_open,
    .close = fake_close,
    .submit = fake_submit,
    .collect = fake_collect,
    .oldest = fake_oldest,
    .facts = fake_facts,
    .ledger = fake_ledger,
    .avoid = fake_avoid,
    .avoids = fake_avoids,
    .walk = fake_walk,
    .walked = fake_walked,
};

/* Makes a world of `hosts` × `port_count`, which the caller may change before it runs a scan. */
static inline void world_init(struct truth (*truth)(uint64_t), unsigned hosts, uint16_t port_count)
{
    const struct address first = {.family = ADDRESS_IPV4, .value = 0x0a000001};
    world = (struct world){.truth = truth, .probe_duration = 1000, .dice = 1};
    now = 1000 * SECOND;
    assert_int_equal(address_set_add(&world.targets, &first, first.value + hosts - 1), 0);
    assert_int_equal(address_set_seal(&world.targets), 0);
    assert_int_equal(port_set_add(&world.ports, PROTOCOL_TCP, 1, port_count), 0);
    assert_int_equal(plan_init(&world.plan, &world.targets, &world.ports, NULL), 0);
    world.pass = calloc(world.plan.count, sizeof(*world.pass));
    world.buckets = calloc(hosts, sizeof(*world.buckets));
    assert_true(world.pass && world.buckets);
}

static inline int world_release(void **state)
{
    (void)state;
    address_set_release(&world.targets);
    port_set_release(&world.ports);
    free(world.askings);
    free(world.pass);
    free(world.buckets);
    world = (struct world){0};
    return 0;
}

/* How many of the askings with tags from `first` to `last` were of `index`, or of any. */
static inline uint64_t count_askings(uint64_t index, uint8_t first, uint8_t last)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < world.asking_count; i++) {
        const struct asking *asking = &world.askings[i];
        count += asking->tag >= first && asking->tag <= last &&
                 (index == UINT64_MAX || asking->index == index);
    }
    return count;
}

/* ---- what a scan reports ---- */

struct report {
    struct port_record *ports; /* in the order of the events */
    uint64_t port_count, error_count, ticks, late;
    unsigned *times_told;                      /* of each index */
    void (*look)(const struct report *report); /* at each tick; may be NULL */
    struct scan_position kept; /* as a checkpoint has it that was written at the last tick */
    uint64_t kept_ports;
    bool killed; /* when the world says "cancelled" nothing more is kept */
};

static inline int on_port(void *user, const struct port_record *record)
{
    struct report *report = user;
    const struct endpoint expected = plan_endpoint(&world.plan, record->index);
    assert_true(address_equal(&record->address, &expected.address));
    assert_int_equal(record->port.number, expected.port.number);
    assert_int_equal(reason_state(record->reason), record->state);
    assert_int_equal(report->times_told[record->index]++, 0);
    report->ports[report->port_count++] = *record;
    report->late += record->tries < scan_position(world.scan).pass;
    return 0;
}

static inline int on_error(void *user, const struct error_record *record)
{
    struct report *report = user;
    assert_int_equal(world.truth(record->index).nature, UNASKABLE);
    report->error_count++;
    return 0;
}

static inline int on_tick(void *user)
{
    struct report *report = user;
    report->ticks++;
    if (report->look)
        report->look(report);
    if (!report->killed || !atomic_load(&world.cancelled)) {
        report->kept = scan_position(world.scan);
        report->kept_ports = report->port_count;
    }
    return 0;
}

static inline void report_init(struct report *report)
{
    *report = (struct report){
        .ports = calloc(world.plan.count, sizeof(*report->ports)),
        .times_told = calloc(world.plan.count, sizeof(*report->times_told)),
        .kept.pass = 1,
    };
    assert_true(report->ports && report->times_told);
}

static inline void report_release(struct report *report)
{
    free(report->ports);
    free(report->times_told);
}

static inline struct scan_options patient(void)
{
    struct scan_options options = scan_options_default;
    options.seed = 7;
    return options;
}

static inline void scan_open(const struct scan_options *options, struct report *report)
{
    const struct scan_events events = {.user = report,
                                       .port = on_port,
                                       .error = on_error,
                                       .tick = on_tick,
                                       .cancelled = &world.cancelled};
    assert_int_equal(scan_new(&world.plan, options, &fake_class, &events, &world.scan, NULL), 0);
}

static inline struct scan_summary scan_finish(void)
{
    struct scan_summary summary;
    assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
    scan_free(world.scan);
    world.scan = NULL;
    return summary;
}

static inline struct scan_summary run(const struct scan_options *options, struct report *report)
{
    report_init(report);
    scan_open(options, report);
    return scan_finish();
}

/* Whatever was told is true, and nothing but silence is missing; returns how many answers are
 * missing. */
static inline uint64_t assert_no_lies(const struct report *report)
{
    uint64_t answering = 0, told = 0;
    for (uint64_t i = 0; i < report->port_count; i++) {
        const struct port_record *record = &report->ports[i];
        const struct truth truth = world.truth(record->index);
        static const enum reason reasons[] = {REASON_NO_RESPONSE, REASON_SYN_ACK, REASON_RESET,
                                              REASON_ADMIN_PROHIBITED};
        assert_int_not_equal(truth.nature, UNASKABLE);
        assert_true(record->tries >= 1 && record->tries <= SCAN_TRIES_MAXIMUM);
        if (record->reason == REASON_NO_RESPONSE)
            continue;
        told++;
        assert_int_equal(record->reason, reasons[truth.nature]);
        assert_int_equal(record->from.family,
                         truth.nature == REJECTED ? ADDRESS_IPV4 : ADDRESS_NONE);
    }
    for (uint64_t index = 0; index < world.plan.count; index++) {
        const enum nature nature = world.truth(index).nature;
        answering += nature != DEAD && nature != UNASKABLE;
    }
    return answering - told;
}
