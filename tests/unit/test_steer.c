/* The closed loop against simulated paths: a bottleneck with a queue, loss that is always there,
 * machines that are slow. */
#include "scan/steer.h"

#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH 0.05 /* seconds */

struct path {
    double capacity; /* packets a second; INFINITY: no bottleneck */
    double queue;    /* packets */
    double loss;     /* share of round trips, at any rate */
    double jitter;   /* seconds */
    double machine;  /* packets a second that this machine can send; INFINITY */
    uint32_t canaries;
    double waiting; /* packets in the queue */
    uint64_t dice;
    double dropped, sent;
};

static double chance(struct path *path)
{
    path->dice += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(mix64(path->dice) >> 11) / 9007199254740992.0;
}

/* One epoch at the rate that the steer wants. */
static struct epoch pass_epoch(struct path *path, double rate)
{
    struct epoch epoch = {.rate = fmin(rate, path->machine), .asked = path->canaries};
    double packets = epoch.rate * EPOCH, dropped = 0;
    path->sent += packets;
    if (path->capacity < INFINITY) {
        path->waiting += packets - path->capacity * EPOCH;
        if (path->waiting < 0)
            path->waiting = 0;
        if (path->waiting > path->queue) {
            dropped = path->waiting - path->queue;
            path->waiting = path->queue;
        }
        epoch.delay = path->waiting / path->capacity;
    }
    epoch.delay += path->jitter * (0.8 + 0.4 * chance(path));
    path->dropped += dropped;
    double through = (1 - path->loss) * (1 - dropped / packets);
    for (uint32_t i = 0; i < epoch.asked; i++)
        epoch.heard += chance(path) < through;
    return epoch;
}

/* Runs the loop, whose verdicts come two epochs late, and returns the mean rate of the last half.
 */
static double settle(struct path *path, struct steer *steer, unsigned epochs)
{
    double sum = 0;
    unsigned skip = 0;
    for (unsigned i = 0; i < epochs; i++) {
        struct epoch epoch = pass_epoch(path, steer->rate);
        if (i >= epochs / 2)
            sum += epoch.rate;
        if (skip)
            skip--;
        else if (steer_judge(steer, &epoch))
            skip = 1;
    }
    return sum / (epochs - epochs / 2);
}

static void a_bottleneck_is_found(void **state)
{
    static const double capacities[] = {1000, 2000, 20000, 150000};
    static const double queues[] = {20, 100, 1000};
    static const double losses[] = {0, 0.02, 0.1};
    (void)state;
    for (unsigned c = 0; c < 4; c++)
        for (unsigned q = 0; q < 3 && queues[q] < capacities[c]; q++)
            for (unsigned l = 0; l < 3; l++)
                for (uint64_t seed = 1; seed <= 10; seed++) {
                    struct path path = {capacities[c], queues[q], losses[l], 0.001, INFINITY, 32, 0,
                                        seed * 77,     0,         0};
                    struct steer steer;
                    steer_init(&steer, 0, 0);
                    double rate = settle(&path, &steer, 1200);
                    if (rate < 0.8 * path.capacity || rate > 1.1 * path.capacity)
                        printf("# capacity %.0f queue %.0f loss %.2f seed %d: %.0f\n",
                               path.capacity, path.queue, path.loss, (int)seed, rate);
                    assert_true(rate > 0.8 * path.capacity);
                    assert_true(rate < 1.1 * path.capacity);
                }
}

static void loss_alone_does_not_slow_down(void **state)
{
    static const double losses[] = {0, 0.01, 0.1, 0.3};
    (void)state;
    for (unsigned l = 0; l < 4; l++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct path path = {INFINITY, 0, losses[l], 0.001, 400000, 32, 0, seed * 991, 0, 0};
            struct steer steer;
            steer_init(&steer, 0, 0);
            double rate = settle(&path, &steer, 600);
            if (rate < 0.7 * path.machine)
                printf("# loss %.2f seed %d: %.0f\n", path.loss, (int)seed, rate);
            assert_true(rate > 0.7 * path.machine);
        }
}

/* ---- paths that change ---- */

static struct path clear_path(double capacity)
{
    return (struct path){.capacity = capacity,
                         .queue = 100,
                         .jitter = 0.001,
                         .machine = INFINITY,
                         .canaries = 32,
                         .dice = 4711};
}

/* Falls quickly, rises patiently, and ends where the path is then. */
static void a_path_that_changes_is_followed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct path path = clear_path(50000);
        struct steer steer;
        path.dice = seed;
        steer_init(&steer, 0, 0);
        settle(&path, &steer, 400);
        path.capacity = 5000;
        for (unsigned i = 0; i < 40; i++) { /* two seconds */
            struct epoch epoch = pass_epoch(&path, steer.rate);
            steer_judge(&steer, &epoch);
        }
        assert_true(steer.rate < 7500);
        double rate = settle(&path, &steer, 600);
        assert_true(rate > 0.75 * 5000 && rate < 1.15 * 5000);
        path.capacity = 50000;
        rate = settle(&path, &steer, 1200);
        if (rate < 0.75 * 50000 || rate > 1.15 * 50000)
            fail_msg("seed %d: %.0f", (int)seed, rate);
    }
}

/* ---- bounds ---- */

static void the_rate_stays_within_its_bounds(void **state)
{
    (void)state;
    static const struct {
        double minimum, maximum, capacity;
    } rows[] = {
        {0, 0, 5000},       {30000, 0, 5000}, {0, 700, INFINITY},
        {0, 50, INFINITY},  {100, 1, 5000},   {5000, 5000, 1000},
        {0, 1e7, INFINITY}, {1, 0, 100},      {50000, 60000, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct path path = clear_path(rows[i].capacity);
        struct steer steer;
        path.machine = 1e6;
        steer_init(&steer, rows[i].minimum, rows[i].maximum);
        const double most = rows[i].maximum > 0 ? rows[i].maximum : INFINITY;
        const double least = fmin(fmax(rows[i].minimum, STEER_LEAST), most);
        for (unsigned epoch = 0; epoch < 300; epoch++) {
            struct epoch passed = pass_epoch(&path, steer.rate);
            assert_true(steer.rate >= least && steer.rate <= most);
            const double before = steer.rate;
            const bool changed = steer_judge(&steer, &passed);
            assert_int_equal(changed, steer.rate < before || steer.rate > before);
        }
    }
}

/* ---- what limits ---- */

static const struct epoch fine = {.rate = 20000, .asked = 24, .heard = 24, .delay = 0.0001};

/* As many epochs as given, each at the rate that is wanted, with the same to tell. */
static void judge(struct steer *steer, struct epoch epoch, unsigned times)
{
    while (times--) {
        epoch.rate = steer->rate;
        steer_judge(steer, &epoch);
    }
}

static void assert_limit(const struct steer *steer, enum steer_limit limit, const char *words)
{
    char memory[STEER_TEXT_SIZE];
    const char *text = steer_limit_text(steer, memory);
    assert_int_equal(steer->limit, limit);
    if (!words)
        assert_null(text);
    else if (!text || !strstr(text, words))
        fail_msg("'%s' does not say '%s'", text ? text : "", words);
}

/* Once may be a hiccup; twice in a row the rate falls, and below what was too fast. */
static void assert_falls(struct epoch trouble, enum steer_limit limit, const char *words)
{
    struct steer steer;
    steer_init(&steer, 0, 0);
    judge(&steer, fine, 5);
    const double before = steer.rate;
    judge(&steer, trouble, 1);
    assert_true(steer.rate >= before);
    judge(&steer, fine, 1);
    assert_true(steer.rate >= before);
    const double reached = steer.rate;
    judge(&steer, trouble, 2);
    assert_true(steer.rate < reached);
    assert_limit(&steer, limit, words);
    /* Nothing wrong any more: it rises again. */
    const double fallen = steer.rate;
    judge(&steer, fine, 20);
    assert_true(steer.rate > fallen);
}

static void trouble_slows_down_and_has_a_name(void **state)
{
    (void)state;
    struct epoch trouble = fine;
    trouble.refused = 1;
    assert_falls(trouble, STEER_SENDING, "send queue is full above ");
    trouble = fine;
    trouble.missed = 1;
    assert_falls(trouble, STEER_RECEIVING, "misses answers above ");
    trouble = fine;
    trouble.heard = 12;
    assert_falls(trouble, STEER_LOSS, "the path, which loses packets above ");
    trouble = fine;
    trouble.delay = 0.1;
    assert_falls(trouble, STEER_DELAY, "round trips swell above ");
}

static void the_longest_text_has_room(void **state)
{
    (void)state;
    char memory[STEER_TEXT_SIZE];
    struct steer steer;
    steer_init(&steer, 0, 0);
    steer.ceiling = 9.9e17;
    for (int limit = STEER_SEEKING; limit <= STEER_CEILING; limit++) {
        steer.limit = (enum steer_limit)limit;
        const char *text = steer_limit_text(&steer, memory);
        assert_true(!text || strlen(text) < STEER_TEXT_SIZE);
        if (text == memory)
            assert_non_null(strstr(text, "990,000,000,000,000,000 packets a second"));
    }
}

static void nothing_to_say_is_nothing(void **state)
{
    (void)state;
    struct steer steer;
    steer_init(&steer, 0, 0);
    judge(&steer, fine, 3);
    assert_limit(&steer, STEER_SEEKING, NULL);
}

/* Where no canary sings nothing is known, and the rate stays where it is. */
static void without_canaries_the_rate_stays(void **state)
{
    (void)state;
    struct epoch blind = {.delay = -1};
    struct steer steer;
    steer_init(&steer, 0, 0);
    const double before = steer.rate;
    judge(&steer, blind, 100);
    assert_true(steer.rate >= before && steer.rate <= before);
    assert_limit(&steer, STEER_BLIND, "nothing answers");
    blind.refused = 5; /* but this machine's own queues speak for themselves */
    judge(&steer, blind, 2);
    assert_true(steer.rate < before);
    assert_limit(&steer, STEER_SENDING, "send queue");
}

static void a_slow_machine_is_its_own_limit(void **state)
{
    (void)state;
    struct path path = clear_path(INFINITY);
    struct steer steer;
    path.machine = 70000;
    steer_init(&steer, 0, 0);
    settle(&path, &steer, 200);
    assert_limit(&steer, STEER_PROCESSOR, "this machine's processor");
    assert_true(steer.rate < 4 * path.machine); /* more would be empty words */
}

static void what_the_user_allows_is_a_limit(void **state)
{
    (void)state;
    struct path path = clear_path(INFINITY);
    struct steer steer;
    steer_init(&steer, 0, 3000);
    settle(&path, &steer, 50);
    assert_limit(&steer, STEER_CEILING, "--rate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bottleneck_is_found),
        cmocka_unit_test(loss_alone_does_not_slow_down),
        cmocka_unit_test(a_path_that_changes_is_followed),
        cmocka_unit_test(the_rate_stays_within_its_bounds),
        cmocka_unit_test(trouble_slows_down_and_has_a_name),
        cmocka_unit_test(the_longest_text_has_room),
        cmocka_unit_test(nothing_to_say_is_nothing),
        cmocka_unit_test(without_canaries_the_rate_stays),
        cmocka_unit_test(a_slow_machine_is_its_own_limit),
        cmocka_unit_test(what_the_user_allows_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
