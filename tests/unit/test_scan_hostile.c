/* The scan loop and replies that nobody asked for: answers that never end, failures to ask again
 * what has been answered, answers a second time much later. */
#include "stateless.h"

#include <errno.h>

#define CALLS_MAXIMUM 3000000 /* of collect(), in which every scan here ends */

/* What comes again and again once the port has answered, besides what is true. */
static struct reply repeated;
static uint64_t repeated_after; /* of the scan's beginning */
static unsigned calls;

static size_t collect_more(struct prober *base, uint64_t wait, struct reply *replies, size_t room)
{
    size_t given = fake_collect(base, wait, replies, room - 1);
    if (++calls > CALLS_MAXIMUM)
        fail_msg("the scan does not end");
    if (world.asking_count < world.plan.count || now - world.began < repeated_after)
        return given;
    replies[given] = repeated;
    replies[given].time = now;
    return given + 1;
}

static struct scan_summary run_with_more(const struct scan_options *options, struct report *report)
{
    struct prober_class class = fake_class;
    const struct scan_events events = {
        .user = report, .port = on_port, .error = on_error, .cancelled = &world.cancelled};
    struct scan_summary summary;
    class.collect = collect_more;
    calls = 0;
    report_init(report);
    assert_int_equal(scan_new(&world.plan, options, &class, &events, &world.scan, NULL), 0);
    assert_int_equal(scan_run(world.scan, &summary, NULL), 0);
    scan_free(world.scan);
    world.scan = NULL;
    return summary;
}

/* One port listens, another one refuses, the others are silent. */
static struct truth nearly_dead(uint64_t index)
{
    return (struct truth){.nature = index == 0   ? LISTENING
                                    : index == 1 ? REFUSING
                                                 : DEAD,
                          .rtt = 5 * MS};
}

/* A target that sends its answer again and again does not keep the scan from ending. */
static void answers_without_end(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.tries = 3;
    world_init(nearly_dead, 1, 100);
    repeated = (struct reply){.kind = REPLY_ANSWER, .state = STATE_OPEN, .reason = REASON_SYN_ACK};
    repeated_after = 0;
    const struct scan_summary summary = run_with_more(&options, &report);
    assert_int_equal(summary.end, SCAN_COMPLETE);
    assert_int_equal(summary.open, 1);
    assert_int_equal(summary.closed, 1);
    assert_int_equal(summary.filtered, 98);
    report_release(&report);
}

/* Canaries and checks ask ports whose states are known: that this machine cannot ask them any more
 * takes nothing away. */
static void failures_of_ports_that_have_answered(void **state)
{
    (void)state;
    struct report report;
    struct scan_options options = patient();
    options.tries = 3;
    world_init(nearly_dead, 1, 100);
    repeated = (struct reply){.kind = REPLY_FAILURE, .code = EPERM, .tag = CANARY_TAG};
    repeated_after = 50 * MS;
    const struct scan_summary summary = run_with_more(&options, &report);
    assert_int_equal(report.error_count, 0);
    assert_int_equal(summary.errors, 0);
    assert_int_equal(summary.open, 1);
    assert_int_equal(summary.closed, 1);
    assert_int_equal(summary.filtered, 98);
    report_release(&report);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_teardown(test, world_release)
    const struct CMUnitTest tests[] = {
        WORLD(answers_without_end),
        WORLD(failures_of_ports_that_have_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
