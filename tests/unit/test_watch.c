/* Hosts that answer only so often are told from paths that lose packets. */
#include "scan/watch.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOSTS 40
#define PORTS 500

static struct watch watch;
static uint64_t dice;

static int open_watch(void **state)
{
    (void)state;
    dice = 1;
    return watch_init(&watch, HOSTS);
}

static int close_watch(void **state)
{
    (void)state;
    watch_release(&watch);
    return 0;
}

static bool lost(double loss)
{
    return (double)(mix64(dice++) >> 11) * 0x1p-53 < loss;
}

static void hear(uint64_t host, unsigned count, bool late)
{
    for (unsigned i = 0; i < count; i++)
        watch_hear(&watch, host, i, late, true);
}

/* Two passes over a host whose ports all answer, on a path that loses packets. */
static void pass_twice_over(double loss, uint64_t host, unsigned count)
{
    unsigned first = 0, second = 0;
    for (unsigned port = 0; port < count; port++) {
        const bool now = !lost(loss);
        first += now;
        second += !now && !lost(loss);
    }
    hear(host, first, true);
    hear(host, second, false);
}

static void pass_twice(double loss, uint64_t host)
{
    pass_twice_over(loss, host, PORTS);
}

static bool is_limited(uint64_t host)
{
    uint32_t heard, late;
    return watch_is_limited(&watch, host, &heard, &late);
}

static void a_lossy_path_is_no_limit(void **state)
{
    static const double losses[] = {0, 0.01, 0.05, 0.1, 0.15};
    (void)state;
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        for (uint64_t host = 0; host < HOSTS; host++)
            pass_twice(losses[i], host);
        watch_measure(&watch, 0.95);
        for (uint64_t host = 0; host < HOSTS; host++)
            assert_false(is_limited(host));
        watch_release(&watch);
        assert_int_equal(watch_init(&watch, HOSTS), 0);
    }
}

/* Of few ports many may come late by chance. */
static void few_ports_on_a_lossy_path(void **state)
{
    unsigned limited = 0;
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        for (uint64_t host = 0; host < HOSTS; host++)
            pass_twice_over(0.1, host, 40);
        watch_measure(&watch, 0.9);
        for (uint64_t host = 0; host < HOSTS; host++)
            limited += is_limited(host);
        watch_release(&watch);
        assert_int_equal(watch_init(&watch, HOSTS), 0);
    }
    assert_in_range(limited, 0, 4);
}

static void one_among_many_stands_out(void **state)
{
    uint32_t heard, late;
    (void)state;
    for (uint64_t host = 0; host < HOSTS; host++)
        if (host == 7) {
            hear(host, 100, true);
            hear(host, 80, false);
        } else {
            pass_twice(0.02, host);
        }
    watch_measure(&watch, 0.95);
    for (uint64_t host = 0; host < HOSTS; host++)
        if (host != 7)
            assert_false(is_limited(host));
    assert_true(watch_is_limited(&watch, 7, &heard, &late));
    assert_int_equal(heard, 180);
    assert_int_equal(late, 80);
    /* The next pass begins: nothing came late in it yet. */
    watch_measure(&watch, 0.95);
    assert_false(watch_is_limited(&watch, 7, &heard, &late));
    assert_int_equal(heard, 180);
    assert_int_equal(late, 0);
}

/* Of few answers a share says nothing. */
static void few_answers_prove_nothing(void **state)
{
    (void)state;
    hear(0, 1, true);
    hear(0, 7, false);
    watch_measure(&watch, 0.95);
    assert_false(is_limited(0));
    assert_false(is_limited(1)); /* that has said nothing at all */
}

/* ---- checks ---- */

static void checks_are_spread_over_the_pass(void **state)
{
    uint32_t port = 0;
    unsigned checks = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        assert_false(watch_check(&watch, 3, i / 1000.0, &port)); /* it has refused nothing */
    watch_hear(&watch, 3, 77, true, false);
    assert_false(watch_check(&watch, 3, 0, &port)); /* open is no refusal */
    watch_hear(&watch, 3, 0, true, true);
    for (unsigned i = 0; i < 1000; i++)
        if (watch_check(&watch, 3, i / 1000.0, &port)) {
            assert_int_equal(port, 0);
            assert_in_range(i, 1000 * checks / WATCH_CHECKS, 1000 * checks / WATCH_CHECKS + 2);
            checks++;
        }
    assert_int_equal(checks, WATCH_CHECKS);
}

/* One answer of several may be luck, and three of six what the path has lost, of so many hosts. On
 * a path that loses half of all, no silence of six is a proof. */
static void assert_found(double share)
{
    uint32_t port, heard, late;
    for (unsigned answers = 0; answers <= WATCH_CHECKS; answers++) {
        watch_hear(&watch, answers, 5, true, true);
        for (unsigned i = 0; i < WATCH_CHECKS; i++)
            assert_true(watch_check(&watch, answers, 1, &port));
        for (unsigned i = 0; i < answers; i++)
            watch_check_answer(&watch, answers);
    }
    watch_measure(&watch, share);
    for (unsigned answers = 0; answers <= WATCH_CHECKS; answers++)
        assert_int_equal(watch_is_limited(&watch, answers, &heard, &late),
                         share > 0.5 && answers <= 2);
    /* A new pass checks anew. */
    assert_true(watch_check(&watch, 0, 0, &port));
    assert_false(is_limited(0)); /* once is too little */
}

static void a_host_that_leaves_its_checks_unanswered(void **state)
{
    (void)state;
    assert_found(1);
    assert_found(0.5);
}

static void check(uint64_t host, double loss)
{
    uint32_t port;
    for (unsigned i = 0; i < WATCH_CHECKS; i++) {
        assert_true(watch_check(&watch, host, 1, &port));
        if (!lost(loss))
            watch_check_answer(&watch, host);
    }
}

/* The canaries are few and may have been lucky; all hosts' checks together know better. */
static void checks_tell_the_path_from_the_hosts(void **state)
{
    unsigned limited = 0;
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        for (uint64_t host = 0; host < HOSTS; host++) {
            watch_hear(&watch, host, 5, true, true);
            check(host, 0.1);
        }
        watch_measure(&watch, 0.97);
        for (uint64_t host = 0; host < HOSTS; host++)
            limited += is_limited(host);
    }
    assert_in_range(limited, 0, 4);
}

/* Where all hosts are limited, all together say nothing of the path, and the canaries do. */
static void all_hosts_may_be_limited(void **state)
{
    unsigned limited = 0;
    (void)state;
    for (uint64_t host = 0; host < HOSTS; host++) {
        watch_hear(&watch, host, 5, true, true);
        check(host, 0.9);
    }
    watch_measure(&watch, 0.97);
    for (uint64_t host = 0; host < HOSTS; host++)
        limited += is_limited(host);
    assert_in_range(limited, HOSTS * 8 / 10, HOSTS);
}

/* Duplicates make no more answers than there were questions. */
static void an_answer_counts_once(void **state)
{
    uint32_t port;
    (void)state;
    watch_hear(&watch, 0, 5, true, true);
    watch_check_answer(&watch, 0); /* nobody has asked */
    for (unsigned i = 0; i < 300; i++) {
        (void)watch_check(&watch, 0, 0, &port);
        watch_check_answer(&watch, 0);
    }
    assert_int_equal(watch.hosts[0].checks, 1);
    assert_int_equal(watch.hosts[0].answers, 1);
}

static void what_was_heard_before_a_resumption_is_not_late(void **state)
{
    uint32_t heard, late;
    (void)state;
    hear(0, 400, false);
    watch_restart(&watch);
    hear(0, 4, false);
    watch_measure(&watch, 0.95);
    assert_false(watch_is_limited(&watch, 0, &heard, &late));
    assert_int_equal(heard, 404);
    assert_int_equal(late, 4);
}

static void too_many_hosts_are_not_watched(void **state)
{
    struct watch many;
    uint32_t port;
    (void)state;
    assert_int_equal(watch_init(&many, (uint64_t)WATCH_HOSTS + 1), 0);
    assert_int_equal(many.count, 0);
    watch_hear(&many, WATCH_HOSTS, 3, true, true);
    assert_false(watch_check(&many, WATCH_HOSTS, 1, &port));
    watch_check_answer(&many, WATCH_HOSTS);
    watch_restart(&many);
    watch_measure(&many, 0.95);
    watch_release(&many);
}

int main(void)
{
#define OPENED(test) cmocka_unit_test_setup_teardown(test, open_watch, close_watch)
    const struct CMUnitTest tests[] = {
        OPENED(a_lossy_path_is_no_limit),
        OPENED(few_ports_on_a_lossy_path),
        OPENED(one_among_many_stands_out),
        OPENED(few_answers_prove_nothing),
        OPENED(checks_are_spread_over_the_pass),
        OPENED(a_host_that_leaves_its_checks_unanswered),
        OPENED(checks_tell_the_path_from_the_hosts),
        OPENED(all_hosts_may_be_limited),
        OPENED(an_answer_counts_once),
        OPENED(what_was_heard_before_a_resumption_is_not_late),
        OPENED(too_many_hosts_are_not_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
