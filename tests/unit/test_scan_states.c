/* The scan loop's states: what refusals and silence mean to different ways of asking, and what is
 * told when the ledger has no room for all ports. */
#include "scan/scan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PORTS 1000
#define LEDGER_SIZE (PORTS / 4)

/* ---- A prober whose target answers by the number of the port ---- */

struct fake {
    struct prober prober;
    struct reply waiting[256];
    uint32_t count;
    uint64_t packets;
};

/* How many of the ports, from the first, are open; of the others every second one is refused. */
static uint32_t open_ports;

/* Whether somebody answers for the port beside each one that is asked. */
static bool forging;

static bool is_refused(uint64_t index)
{
    return index >= open_ports && index % 2 == 1;
}

static int fake_open(const struct prober_class *class, const struct prober_options *options,
                     struct prober **ret_prober, struct error *error)
{
    (void)options;
    (void)error;
    struct fake *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->prober.class = class;
    *ret_prober = &fake->prober;
    return 0;
}

static void fake_close(struct prober *prober)
{
    free(prober);
}

static size_t fake_submit(struct prober *prober, const struct probe *probes, size_t count)
{
    struct fake *fake = (struct fake *)prober;
    size_t taken = 0;
    for (; taken < count && fake->count < 255; taken++) {
        struct reply reply = {
            .index = probes[taken].index,
            .position = probes[taken].position,
            .kind = REPLY_SILENCE,
        };
        if (reply.index < open_ports || is_refused(reply.index)) {
            reply.kind = REPLY_ANSWER;
            reply.rtt = 1000;
            reply.state = reply.index < open_ports ? STATE_OPEN : prober->class->words.refused;
            reply.reason = reply.state == STATE_OPEN ? REASON_SYN_ACK : REASON_RESET;
        }
        fake->waiting[fake->count++] = reply;
        if (forging)
            fake->waiting[fake->count++] = (struct reply){
                .index = reply.index ^ 1,
                .kind = REPLY_ANSWER,
                .state = STATE_OPEN,
                .reason = REASON_SYN_ACK,
            };
        fake->packets++;
    }
    return taken;
}

static size_t fake_collect(struct prober *prober, uint64_t wait, struct reply *replies, size_t room)
{
    struct fake *fake = (struct fake *)prober;
    (void)wait;
    size_t count = fake->count < room ? fake->count : room;
    memcpy(replies, fake->waiting, count * sizeof(*replies));
    memmove(fake->waiting, fake->waiting + count, (fake->count - count) * sizeof(*replies));
    fake->count -= (uint32_t)count;
    return count;
}

static uint64_t fake_oldest(const struct prober *prober)
{
    const struct fake *fake = (const struct fake *)prober;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < fake->count; i++)
        if (fake->waiting[i].position < oldest)
            oldest = fake->waiting[i].position;
    return oldest;
}

static struct prober_facts fake_facts(const struct prober *prober)
{
    const struct fake *fake = (const struct fake *)prober;
    return (struct prober_facts){
        .capacity = 256,
        .in_flight = fake->count,
        .packets = fake->packets,
        .refused = 3,
        .missed = 2,
        .limit = "the weather",
    };
}

static struct prober_class fake_class(enum port_state refused, enum port_state silence)
{
    return (struct prober_class){
        .name = "fake",
        .protocol = PROTOCOL_TCP,
        .words = {.refused = refused, .silence = silence},
        .open = fake_open,
        .close = fake_close,
        .submit = fake_submit,
        .collect = fake_collect,
        .oldest = fake_oldest,
        .facts = fake_facts,
    };
}

/* ---- A scan of one host ---- */

struct tally {
    uint64_t states[STATE_COUNT]; /* records of each */
    uint64_t silent[STATE_COUNT]; /* of them, those that nothing came of */
};

static int tally_port(void *user, const struct port_record *record)
{
    struct tally *tally = user;
    assert_true(record->state < STATE_COUNT);
    tally->states[record->state]++;
    tally->silent[record->state] += record->reason == REASON_NO_RESPONSE;
    return 0;
}

/* Asks one of so many parts twice. Returns what scan_run() does. */
static int run_part(const struct prober_class *class, uint64_t memory, uint64_t shards,
                    struct tally *ret_tally, struct scan_summary *ret_summary, struct error *error)
{
    const struct address address = {.family = ADDRESS_IPV4, .value = 0x7f000001};
    const struct scan_events events = {.user = ret_tally, .port = tally_port};
    struct scan_options options = scan_options_default;
    struct address_set targets = {0};
    struct port_set ports = {0};
    struct plan plan;
    struct scan *scan;
    options.tries = 2;
    options.recall = 1;
    options.memory = memory;
    options.shards = shards;
    *ret_tally = (struct tally){0};
    assert_int_equal(address_set_add(&targets, &address, address.value), 0);
    assert_int_equal(address_set_seal(&targets), 0);
    assert_int_equal(port_set_add(&ports, PROTOCOL_TCP, 1, PORTS), 0);
    assert_int_equal(plan_init(&plan, &targets, &ports, NULL), 0);
    assert_int_equal(scan_new(&plan, &options, class, &events, &scan, NULL), 0);
    int failed = scan_run(scan, ret_summary, error);
    scan_free(scan);
    address_set_release(&targets);
    port_set_release(&ports);
    return failed;
}

static int run(const struct prober_class *class, uint64_t memory, struct tally *ret_tally,
               struct scan_summary *ret_summary, struct error *error)
{
    return run_part(class, memory, 1, ret_tally, ret_summary, error);
}

/* Of four ways of asking: records and summary have the same states, which are theirs. */
static void answers_and_silence_mean_what_the_words_say(void **state)
{
    (void)state;
    static const enum port_state words[][2] = {
        {STATE_CLOSED, STATE_FILTERED},
        {STATE_UNFILTERED, STATE_FILTERED},
        {STATE_CLOSED, STATE_OPEN_FILTERED},
        {STATE_UNFILTERED, STATE_OPEN_FILTERED},
    };
    open_ports = 4;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const struct prober_class class = fake_class(words[i][0], words[i][1]);
        struct scan_summary summary;
        struct tally tally;
        assert_int_equal(run(&class, 0, &tally, &summary, NULL), 0);
        assert_int_equal(tally.states[STATE_OPEN], 4);
        assert_int_equal(tally.states[words[i][0]], 498);
        assert_int_equal(tally.states[words[i][1]], 498);
        assert_int_equal(tally.silent[words[i][0]], 0);
        assert_int_equal(tally.silent[words[i][1]], 498);
        assert_int_equal(summary.open, tally.states[STATE_OPEN]);
        assert_int_equal(summary.closed, tally.states[STATE_CLOSED]);
        assert_int_equal(summary.filtered, tally.states[STATE_FILTERED]);
        assert_int_equal(summary.unfiltered, tally.states[STATE_UNFILTERED]);
        assert_int_equal(summary.open_filtered, tally.states[STATE_OPEN_FILTERED]);
        assert_int_equal(summary.undecided, 0);
        assert_int_equal(summary.hosts_answered, 1);
        assert_false(summary.responders_only);
    }
}

static void a_summary_has_the_probers_facts(void **state)
{
    (void)state;
    const struct prober_class class = fake_class(STATE_CLOSED, STATE_FILTERED);
    struct scan_summary summary;
    struct tally tally;
    open_ports = 4;
    assert_int_equal(run(&class, 0, &tally, &summary, NULL), 0);
    assert_int_equal(summary.packets, summary.probes);
    assert_int_equal(summary.refused, 3);
    assert_int_equal(summary.missed, 2);
    assert_string_equal(summary.limit, "the weather");
    assert_true(summary.rate > 0);
}

/* Eight open ports fit into the slots of 16; the ledger of all would take 250 bytes. */
static void open_ports_alone_are_told_where_memory_is_short(void **state)
{
    (void)state;
    const struct prober_class class = fake_class(STATE_CLOSED, STATE_FILTERED);
    struct scan_summary summary;
    struct tally tally;
    open_ports = 8;
    assert_int_equal(run(&class, LEDGER_SIZE - 1, &tally, &summary, NULL), 0);
    assert_int_equal(tally.states[STATE_OPEN], 8);
    for (enum port_state each = STATE_OPEN + 1; each < STATE_COUNT; each++)
        assert_int_equal(tally.states[each], 0);
    assert_true(summary.responders_only);
    assert_int_equal(summary.ledger_size, LEDGER_SIZE);
    assert_int_equal(summary.open, 8);
    assert_true(summary.closed >= 496); /* of answers, to either of two askings */
    assert_int_equal(summary.undecided, 0);
    assert_int_equal(summary.end, SCAN_COMPLETE);

    assert_int_equal(run(&class, LEDGER_SIZE, &tally, &summary, NULL), 0);
    assert_int_equal(tally.states[STATE_CLOSED], 496);
    assert_false(summary.responders_only);
}

/* Closed ports tell that the host is there, and nothing of how many open ones were missed. */
static void recall_is_about_open_ports_where_memory_is_short(void **state)
{
    (void)state;
    const struct prober_class class = fake_class(STATE_CLOSED, STATE_FILTERED);
    const uint64_t answers[] = {8, 0};
    struct scan_summary summary;
    struct tally tally;
    open_ports = 8;
    assert_int_equal(run(&class, LEDGER_SIZE - 1, &tally, &summary, NULL), 0);
    const struct recall expected = recall_estimate(answers, 2, PORTS - 8);
    assert_int_equal(summary.passes, 2);
    assert_true(summary.recall.known);
    assert_true(summary.recall.estimate == expected.estimate);
    assert_true(summary.recall.low == expected.low);
    open_ports = 0;
    assert_int_equal(run(&class, LEDGER_SIZE - 1, &tally, &summary, NULL), 0);
    assert_false(summary.recall.known);
    assert_int_equal(summary.hosts_answered, 1);
}

/* What is said of a port of another part is not to be believed: nobody asked it here. */
static void answers_for_other_parts_count_for_nothing(void **state)
{
    (void)state;
    const struct prober_class class = fake_class(STATE_CLOSED, STATE_FILTERED);
    struct scan_summary summary;
    struct tally tally;
    open_ports = 0;
    forging = true;
    assert_int_equal(run_part(&class, 0, 3, &tally, &summary, NULL), 0);
    forging = false;
    assert_int_equal(summary.ports, (PORTS + 2) / 3);
    assert_int_equal(summary.hosts, 1);
    assert_int_equal(summary.open + summary.closed + summary.filtered, summary.ports);
    assert_int_equal(tally.states[STATE_OPEN] + tally.states[STATE_CLOSED] +
                         tally.states[STATE_FILTERED],
                     summary.ports);
}

/* Rather than leaving out an open port, a scan ends. */
static void more_open_ports_than_fit_are_an_error(void **state)
{
    (void)state;
    const struct prober_class class = fake_class(STATE_CLOSED, STATE_FILTERED);
    struct scan_summary summary;
    struct error error = {0};
    struct tally tally;
    open_ports = 9;
    assert_int_equal(run(&class, LEDGER_SIZE - 1, &tally, &summary, &error), -ENOMEM);
    assert_non_null(strstr(error.message, "--memory"));
    assert_int_equal(summary.end, SCAN_FAILED);
    assert_int_equal(summary.open, 8);
    assert_int_equal(tally.states[STATE_OPEN], 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_silence_mean_what_the_words_say),
        cmocka_unit_test(a_summary_has_the_probers_facts),
        cmocka_unit_test(open_ports_alone_are_told_where_memory_is_short),
        cmocka_unit_test(recall_is_about_open_ports_where_memory_is_short),
        cmocka_unit_test(answers_for_other_parts_count_for_nothing),
        cmocka_unit_test(more_open_ports_than_fit_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
