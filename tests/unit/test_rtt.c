/* Smoothed round trips and the time-outs made from them. */
#include "scan/rtt.h"

#include "base/clock.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND

static const struct rtt_limits limits = {
    .initial = 1000 * MS, .minimum = 100 * MS, .maximum = 10000 * MS};
static const struct rtt unknown = {0};

static struct rtt measured(uint64_t nanoseconds, unsigned times)
{
    struct rtt rtt = {0};
    while (times--)
        rtt_add(&rtt, nanoseconds, false);
    return rtt;
}

/* RFC 6298 §2.2 and §2.3, in microseconds. */
static void round_trips_are_smoothed_as_tcp_does(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    rtt_add(&rtt, 80 * MS, false);
    assert_int_equal(rtt.smoothed, 80000);
    assert_int_equal(rtt.variation, 40000);
    assert_int_equal(rtt.samples, 1);
    rtt_add(&rtt, 160 * MS, false);
    assert_int_equal(rtt.variation, (3 * 40000 + 80000) / 4);
    assert_int_equal(rtt.smoothed, (7 * 80000 + 160000) / 8);
    rtt_add(&rtt, 10 * MS, false);
    assert_int_equal(rtt.variation, (3 * 50000 + 80000) / 4);
    assert_int_equal(rtt.smoothed, (7 * 90000 + 10000) / 8);
    assert_int_equal(rtt.samples, 3);
}

/* After a second the kernel has sent the SYN twice (Karn and Partridge). */
static void ambiguous_round_trips_are_left_out(void **state)
{
    (void)state;
    struct rtt rtt = measured(20 * MS, 3);
    const struct rtt before = rtt;
    rtt_add(&rtt, NANOSECONDS_PER_SECOND, false);
    rtt_add(&rtt, UINT64_MAX, false);
    assert_memory_equal(&rtt, &before, sizeof(rtt));
    rtt_add(&rtt, NANOSECONDS_PER_SECOND - 1, false);
    assert_int_equal(rtt.samples, 4);
}

static void it_settles_on_a_steady_path(void **state)
{
    (void)state;
    const struct rtt rtt = measured(50 * MS, 100);
    assert_in_range(rtt.smoothed, 49990, 50000);
    assert_in_range(rtt.variation, 0, 10);
    const struct rtt loopback = measured(300, 5); /* below a microsecond: known all the same */
    assert_int_equal(loopback.smoothed, 0);
    assert_int_equal(loopback.samples, 5);
    struct rtt long_lived = {.smoothed = 5, .variation = 1, .samples = UINT32_MAX};
    rtt_add(&long_lived, 5000, false);
    assert_int_equal(long_lived.samples, UINT32_MAX);
}

static void an_unknown_host_gets_the_initial_time(void **state)
{
    (void)state;
    assert_int_equal(rtt_timeout(&unknown, &unknown, 1, &limits), 1000 * MS);
    assert_int_equal(rtt_timeout(&unknown, &unknown, 2, &limits), 2000 * MS);
    assert_int_equal(rtt_timeout(&unknown, &unknown, 50, &limits), 10000 * MS);
}

/* Other hosts' round trips shorten the first pass, but never below a quarter. */
static void other_hosts_shorten_the_first_pass(void **state)
{
    (void)state;
    const struct rtt near = measured(1 * MS, 100);
    assert_int_equal(rtt_timeout(&unknown, &near, 1, &limits), 250 * MS);
    assert_int_equal(rtt_timeout(&unknown, &near, 2, &limits), 2000 * MS);
    const struct rtt middle = {.smoothed = 150000, .variation = 12500, .samples = 9};
    assert_int_equal(rtt_timeout(&unknown, &middle, 1, &limits), 400 * MS);
    const struct rtt far = measured(900 * MS, 1);
    assert_int_equal(rtt_timeout(&unknown, &far, 1, &limits), 1000 * MS);
}

static void a_known_host_gets_its_own_time(void **state)
{
    (void)state;
    const struct rtt host = {.smoothed = 200000, .variation = 25000, .samples = 4};
    const struct rtt near = measured(1 * MS, 100);
    assert_int_equal(rtt_timeout(&host, &near, 1, &limits), 300 * MS);
    assert_int_equal(rtt_timeout(&host, &near, 3, &limits), 900 * MS);
    /* A near host is waited for no less than the minimum, a slow one no more than the maximum. */
    assert_int_equal(rtt_timeout(&near, &unknown, 1, &limits), 100 * MS);
    assert_int_equal(rtt_timeout(&near, &unknown, 4, &limits), 400 * MS);
    const struct rtt slow = {.smoothed = 999999, .variation = UINT32_MAX / 2, .samples = 2};
    assert_int_equal(rtt_timeout(&slow, &unknown, 2, &limits), 10000 * MS);
}

/* Of the answers of a path whose round trips vary by a half, hardly any come too late. */
static void few_answers_come_too_late(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    unsigned late = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        const uint64_t sample = 200 * MS + mix64(i) % (200 * MS);
        late += i >= 10 && sample > rtt_timeout(&rtt, &unknown, 1, &limits);
        rtt_add(&rtt, sample, false);
    }
    assert_true(late < 100);
}

/* ---- how they are spread ---- */

#define SAMPLES 4000

static int compare(const void *one, const void *other)
{
    const uint64_t first = *(const uint64_t *)one, second = *(const uint64_t *)other;
    return first < second ? -1 : first > second;
}

/* Never below the truth, and above it by no more than an eighth and the two microseconds below
 * which nothing is told apart. */
static void assert_spread(uint64_t *samples, size_t count)
{
    static const double shares[] = {0.01, 0.5, 0.9, 0.999, 1};
    struct rtt_spread spread = {0};
    for (size_t i = 0; i < count; i++)
        rtt_spread_add(&spread, samples[i]);
    assert_int_equal(spread.count, count);
    qsort(samples, count, sizeof(*samples), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        const size_t above = (size_t)((1 - shares[i]) * (double)count);
        const uint64_t truth = samples[count - 1 - above];
        const uint64_t high = rtt_spread_high(&spread, shares[i]);
        assert_in_range(high, truth, truth + truth / 8 + 2000);
    }
}

static void the_spread_is_known_to_an_eighth(void **state)
{
    (void)state;
    static uint64_t samples[SAMPLES];
    for (unsigned bits = 8; bits <= 34; bits++) {
        for (uint64_t i = 0; i < SAMPLES; i++)
            samples[i] = mix64(i + bits) >> (64 - bits);
        assert_spread(samples, SAMPLES);
    }
    for (unsigned count = 1; count < 10; count++) {
        for (uint64_t i = 0; i < count; i++)
            samples[i] = (i + 1) * MS;
        assert_spread(samples, count);
    }
}

static void a_few_slow_ones_do_not_count(void **state)
{
    (void)state;
    struct rtt_spread spread = {0};
    for (unsigned i = 0; i < 100000; i++)
        rtt_spread_add(&spread, i % 2000 ? 10 * MS : 900 * MS);
    assert_in_range(rtt_spread_high(&spread, 0.999), 10 * MS, 12 * MS);
    assert_in_range(rtt_spread_high(&spread, 0.9999), 900 * MS, 1020 * MS);
}

static void the_ends_of_the_spread(void **state)
{
    (void)state;
    struct rtt_spread spread = {0};
    assert_int_equal(rtt_spread_high(&spread, 0.5), 0);
    rtt_spread_add(&spread, 0);
    assert_in_range(rtt_spread_high(&spread, 1), 1, 2000);
    rtt_spread_add(&spread, UINT64_MAX); /* beyond half a minute all are alike */
    assert_true(rtt_spread_high(&spread, 1) > 30 * NANOSECONDS_PER_SECOND);
    assert_in_range(rtt_spread_high(&spread, 0.5), 1, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_are_smoothed_as_tcp_does),
        cmocka_unit_test(ambiguous_round_trips_are_left_out),
        cmocka_unit_test(it_settles_on_a_steady_path),
        cmocka_unit_test(an_unknown_host_gets_the_initial_time),
        cmocka_unit_test(other_hosts_shorten_the_first_pass),
        cmocka_unit_test(a_known_host_gets_its_own_time),
        cmocka_unit_test(few_answers_come_too_late),
        cmocka_unit_test(the_spread_is_known_to_an_eighth),
        cmocka_unit_test(a_few_slow_ones_do_not_count),
        cmocka_unit_test(the_ends_of_the_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
