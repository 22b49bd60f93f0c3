/* The order is a bijection, its inverse is one, and it spreads as a true shuffle does. */
#include "scan/order.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct order order_of(uint64_t count, uint64_t seed)
{
    struct order order;
    const struct key key = key_from_seed(seed);
    order_init(&order, count, &key);
    return order;
}

/* ---- bijection ---- */

#define EXHAUSTIVE 3000

static void assert_bijection(const struct order *order)
{
    static unsigned char seen[EXHAUSTIVE];
    memset(seen, 0, sizeof(seen));
    for (uint64_t position = 0; position < order->count; position++) {
        const uint64_t index = order_at(order, position);
        /* Plain comparisons: the macros would take longer than what they check. */
        if (index >= order->count || seen[index] || order_position(order, index) != position)
            fail_msg("count %llu, position %llu", (unsigned long long)order->count,
                     (unsigned long long)position);
        seen[index] = 1;
    }
}

static void every_small_count_is_a_bijection(void **state)
{
    (void)state;
    for (uint64_t count = 1; count <= EXHAUSTIVE; count++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            const struct order order = order_of(count, seed * 1000003 + count);
            assert_bijection(&order);
        }
}

/* Keys of all zeros and all ones are as good as any. */
static void every_key_is_a_bijection(void **state)
{
    (void)state;
    const struct key keys[] = {{{0, 0}}, {{UINT64_MAX, UINT64_MAX}}, {{0, UINT64_MAX}}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        for (uint64_t count = 1; count <= 300; count++) {
            struct order order;
            order_init(&order, count, &keys[i]);
            assert_bijection(&order);
        }
}

static void large_counts_go_there_and_back(void **state)
{
    (void)state;
    static const uint64_t counts[] = {
        UINT64_C(65536) * 254, (UINT64_C(1) << 32) - 1, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 7,
        UINT64_C(1) << 40,     (UINT64_C(1) << 62) + 1, INT64_MAX,
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const struct order order = order_of(counts[i], i);
        for (uint64_t sample = 0; sample < 20000; sample++) {
            uint64_t at = mix64(sample) % counts[i];
            if (sample < 1000)
                at = sample < 500 ? sample : counts[i] - 1 - (sample - 500); /* both ends */
            const uint64_t index = order_at(&order, at), position = order_position(&order, at);
            assert_true(index < counts[i] && position < counts[i]);
            assert_int_equal(order_position(&order, index), at);
            assert_int_equal(order_at(&order, position), at);
        }
    }
}

/* ---- keys ---- */

static void equal_seeds_give_equal_orders(void **state)
{
    (void)state;
    const struct order one = order_of(12345, 42), other = order_of(12345, 42);
    for (uint64_t position = 0; position < 12345; position++)
        assert_int_equal(order_at(&one, position), order_at(&other, position));
}

/* Two shuffles agree in one place on average, whatever their length. */
static void different_seeds_give_different_orders(void **state)
{
    (void)state;
    enum { COUNT = 1000, SEEDS = 60 };
    unsigned agreements = 0, pairs = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        for (uint64_t next = seed + 1; next < SEEDS; next += 7, pairs++) {
            const struct order one = order_of(COUNT, seed), other = order_of(COUNT, next);
            unsigned agree = 0;
            for (uint64_t position = 0; position < COUNT; position++)
                agree += order_at(&one, position) == order_at(&other, position);
            assert_true(agree < 12);
            agreements += agree;
        }
    const double mean = (double)agreements / pairs;
    assert_true(fabs(mean - 1) < 5 / sqrt(pairs));
}

/* Each index comes first equally often: chi-square over many keys, below its 99.99% quantile. */
static void no_index_is_favoured(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        double limit;
    } cases[] = {{5, 23.5}, {16, 44.3}, {37, 78.6}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint64_t count = cases[i].count, keys = count * 400;
        for (uint64_t position = 0; position < count; position += count / 4) {
            unsigned times[64] = {0};
            double chi_square = 0;
            for (uint64_t seed = 0; seed < keys; seed++) {
                const struct order order = order_of(count, seed);
                times[order_at(&order, position)]++;
            }
            for (uint64_t index = 0; index < count; index++)
                chi_square += (times[index] - 400.0) * (times[index] - 400.0) / 400.0;
            assert_true(chi_square < cases[i].limit);
        }
    }
}

/* ---- spread ---- */

#define NETWORKS 64 /* of 256 addresses each, as 64 networks of /24 are */
#define ADDRESSES (NETWORKS * 256)

static void walk(uint16_t *indexes, uint64_t seed)
{
    const struct order order = order_of(ADDRESSES, seed);
    for (uint64_t position = 0; position < ADDRESSES; position++)
        indexes[position] = (uint16_t)order_at(&order, position);
}

/* Fisher and Yates, with numbers that have nothing to do with the order's. */
static void shuffle(uint16_t *indexes, uint64_t seed)
{
    const struct key key = {{seed, 1}};
    for (uint64_t i = 0; i < ADDRESSES; i++)
        indexes[i] = (uint16_t)i;
    for (uint64_t left = ADDRESSES; left > 1; left--) {
        const uint64_t other = siphash(&key, &left, sizeof(left)) % left;
        const uint16_t kept = indexes[left - 1];
        indexes[left - 1] = indexes[other];
        indexes[other] = kept;
    }
}

/* How unevenly the /24s are asked: chi-square of how often each occurs in each window of `size`
 * positions, summed over the windows. */
static double chi_square_of_windows(const uint16_t *indexes, unsigned size)
{
    const double expected = (double)size / NETWORKS;
    double sum = 0;
    for (unsigned start = 0; start < ADDRESSES; start += size) {
        unsigned times[NETWORKS] = {0};
        for (unsigned i = 0; i < size; i++)
            times[indexes[start + i] / 256]++;
        for (unsigned network = 0; network < NETWORKS; network++)
            sum += (times[network] - expected) * (times[network] - expected) / expected;
    }
    return sum;
}

static double windows_of_64(const uint16_t *indexes)
{
    return chi_square_of_windows(indexes, 64);
}

static double windows_of_512(const uint16_t *indexes)
{
    return chi_square_of_windows(indexes, 512);
}

static double windows_of_4096(const uint16_t *indexes)
{
    return chi_square_of_windows(indexes, 4096);
}

/* How often a position asks the same /24 as the one before it. */
static double same_network_twice(const uint16_t *indexes)
{
    unsigned times = 0;
    for (unsigned i = 1; i < ADDRESSES; i++)
        times += indexes[i] / 256 == indexes[i - 1] / 256;
    return times;
}

static double mean_step(const uint16_t *indexes)
{
    double sum = 0;
    for (unsigned i = 1; i < ADDRESSES; i++)
        sum += abs(indexes[i] - indexes[i - 1]);
    return sum / (ADDRESSES - 1);
}

/* Ascending and descending runs together. */
static double runs(const uint16_t *indexes)
{
    unsigned turns = 1;
    for (unsigned i = 2; i < ADDRESSES; i++)
        turns += (indexes[i] > indexes[i - 1]) != (indexes[i - 1] > indexes[i - 2]);
    return turns;
}

/* How often an index is followed, somewhere in the next eight, by its neighbour. */
static double neighbours_soon(const uint16_t *indexes)
{
    unsigned times = 0;
    for (unsigned i = 0; i + 8 < ADDRESSES; i++)
        for (unsigned ahead = 1; ahead <= 8; ahead++)
            times += abs(indexes[i + ahead] - indexes[i]) == 1;
    return times;
}

static const struct statistic {
    const char *name;
    double (*of)(const uint16_t *indexes);
} statistics[] = {
    {"windows of 64", windows_of_64},
    {"windows of 512", windows_of_512},
    {"windows of 4096", windows_of_4096},
    {"same network twice", same_network_twice},
    {"mean step", mean_step},
    {"runs", runs},
    {"neighbours soon", neighbours_soon},
};

#define STATISTICS (sizeof(statistics) / sizeof(statistics[0]))
#define WALKS 100

struct sample {
    double mean, deviation;
};

static void measure(void (*arrange)(uint16_t *, uint64_t), struct sample samples[STATISTICS])
{
    static uint16_t indexes[ADDRESSES];
    static double values[STATISTICS][WALKS];
    for (uint64_t seed = 0; seed < WALKS; seed++) {
        arrange(indexes, seed);
        for (size_t i = 0; i < STATISTICS; i++)
            values[i][seed] = statistics[i].of(indexes);
    }
    for (size_t i = 0; i < STATISTICS; i++) {
        double sum = 0, squares = 0;
        for (size_t seed = 0; seed < WALKS; seed++)
            sum += values[i][seed];
        for (size_t seed = 0; seed < WALKS; seed++)
            squares += (values[i][seed] - sum / WALKS) * (values[i][seed] - sum / WALKS);
        samples[i] = (struct sample){sum / WALKS, sqrt(squares / (WALKS - 1))};
    }
}

/* Over a hundred walks each, every statistic of the order has the mean and the spread that it has
 * for shuffles: within four standard errors. */
static void it_spreads_as_a_shuffle_does(void **state)
{
    (void)state;
    struct sample ours[STATISTICS], shuffled[STATISTICS];
    measure(walk, ours);
    measure(shuffle, shuffled);
    for (size_t i = 0; i < STATISTICS; i++) {
        const double error = sqrt(2.0 / WALKS) * shuffled[i].deviation;
        const double ratio = ours[i].deviation / shuffled[i].deviation;
        if (fabs(ours[i].mean - shuffled[i].mean) > 4 * error || ratio < 0.7 || ratio > 1.43)
            fail_msg("%s: %g ± %g, of shuffles %g ± %g", statistics[i].name, ours[i].mean,
                     ours[i].deviation, shuffled[i].mean, shuffled[i].deviation);
    }
}

/* The statistics would notice an order that is none: straight on, and a constant stride. */
static void straight(uint16_t *indexes, uint64_t seed)
{
    for (unsigned i = 0; i < ADDRESSES; i++)
        indexes[i] = (uint16_t)((i + seed) % ADDRESSES);
}

static void stride(uint16_t *indexes, uint64_t seed)
{
    for (unsigned i = 0; i < ADDRESSES; i++)
        indexes[i] = (uint16_t)((i * 10007u + seed) % ADDRESSES);
}

static void the_statistics_see_what_is_no_shuffle(void **state)
{
    (void)state;
    struct sample shuffled[STATISTICS], other[STATISTICS];
    void (*const arrangements[])(uint16_t *, uint64_t) = {straight, stride};
    measure(shuffle, shuffled);
    for (size_t which = 0; which < 2; which++) {
        unsigned noticed = 0;
        measure(arrangements[which], other);
        for (size_t i = 0; i < STATISTICS; i++)
            noticed += fabs(other[i].mean - shuffled[i].mean) > 4 * shuffled[i].deviation;
        assert_true(noticed >= 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_count_is_a_bijection),
        cmocka_unit_test(every_key_is_a_bijection),
        cmocka_unit_test(large_counts_go_there_and_back),
        cmocka_unit_test(equal_seeds_give_equal_orders),
        cmocka_unit_test(different_seeds_give_different_orders),
        cmocka_unit_test(no_index_is_favoured),
        cmocka_unit_test(it_spreads_as_a_shuffle_does),
        cmocka_unit_test(the_statistics_see_what_is_no_shuffle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
