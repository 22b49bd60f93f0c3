/* The token bucket with a made-up clock, and the watch over a made-up connection tracking table. */
#include "scan/pace.h"

#include "base/clock.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define SECOND NANOSECONDS_PER_SECOND
#define BEGINNING (12345 * SECOND)
#define NO_TRACKING "/nowhere"

/* ---- the bucket ---- */

static void without_a_rate_everything_may_leave(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 0, NO_TRACKING, BEGINNING);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(pace_allow(&pace, 1000000, BEGINNING), 1000000);
        pace_spend(&pace, 1000000);
    }
    assert_int_equal(pace_held(&pace, BEGINNING + SECOND), 0);
}

/* What is allowed but not sent is not lost. */
static void only_what_is_sent_is_spent(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 1000, NO_TRACKING, BEGINNING);
    assert_int_equal(pace_allow(&pace, 100, BEGINNING + SECOND), 10);
    assert_int_equal(pace_allow(&pace, 100, BEGINNING + SECOND), 10);
    assert_int_equal(pace_allow(&pace, 3, BEGINNING + SECOND), 3);
    pace_spend(&pace, 4);
    assert_int_equal(pace_allow(&pace, 100, BEGINNING + SECOND), 6);
    pace_spend(&pace, 6);
    assert_int_equal(pace_allow(&pace, 100, BEGINNING + SECOND), 0);
}

static void the_wait_is_as_long_as_the_next_one_takes(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 4, NO_TRACKING, BEGINNING);
    assert_int_equal(pace_allow(&pace, 9, BEGINNING), 1); /* the first may leave at once */
    pace_spend(&pace, 1);
    assert_int_equal(pace_allow(&pace, 9, BEGINNING), 0);
    assert_int_equal(pace_wait(&pace), 250 * MS);
    assert_int_equal(pace_allow(&pace, 9, BEGINNING + 125 * MS), 0);
    assert_int_equal(pace_wait(&pace), 125 * MS);
    assert_int_equal(pace_allow(&pace, 9, BEGINNING + 250 * MS), 1);
}

/* Sends as much as it may at irregular moments for a while. `sent[i]` is how much had left before
 * turn i, which was at `times[i]`. */
#define TURNS 4000

struct history {
    uint64_t times[TURNS + 1], sent[TURNS + 1];
};

static void send_for_a_while(uint64_t rate, uint64_t step, struct history *history)
{
    struct pace pace;
    uint64_t now = BEGINNING, sent = 0;
    pace_init(&pace, rate, NO_TRACKING, now);
    for (uint64_t i = 0; i < TURNS; i++) {
        history->times[i] = now;
        history->sent[i] = sent;
        const uint32_t allowed = pace_allow(&pace, (uint32_t)(mix64(i) % 5000), now);
        pace_spend(&pace, allowed);
        sent += allowed;
        now += mix64(i + TURNS) % (2 * step) + (mix64(i) % 500 == 0 ? 3 * SECOND : 0);
    }
    history->times[TURNS] = now;
    history->sent[TURNS] = sent;
}

/* Between any two moments no more leave than the rate gives and one burst, of two or of a
 * hundredth of a second, pauses and all. */
static void no_interval_exceeds_the_rate(void **state)
{
    (void)state;
    static struct history history;
    static const uint64_t rates[] = {1, 7, 100, 1000, 123456, 5000000};
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        const double burst = rates[r] < 200 ? 2 : (double)rates[r] / 100;
        send_for_a_while(rates[r], 5 * MS, &history);
        for (size_t from = 0; from < TURNS; from += 97)
            for (size_t to = from + 1; to <= TURNS; to++) {
                const double seconds =
                    (double)(history.times[to] - history.times[from]) / (double)SECOND;
                const double most = seconds * (double)rates[r] + burst + 1e-6;
                if ((double)(history.sent[to] - history.sent[from]) > most)
                    fail_msg("%llu more than %g in %g s at %llu a second",
                             (unsigned long long)(history.sent[to] - history.sent[from]), most,
                             seconds, (unsigned long long)rates[r]);
            }
    }
}

/* Asked often enough, it gives the whole rate. */
static void the_rate_is_used_up(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 100, 10000, 1000000};
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        struct pace pace;
        uint64_t sent = 0;
        pace_init(&pace, rates[r], NO_TRACKING, BEGINNING);
        for (uint64_t now = BEGINNING; now < BEGINNING + 10 * SECOND; now += MS) {
            const uint32_t allowed = pace_allow(&pace, 1000000, now);
            pace_spend(&pace, allowed);
            sent += allowed;
        }
        assert_in_range(sent, 99 * rates[r] / 10, 10 * rates[r] + 1);
    }
}

/* Waiting as long as told is enough, and never needed twice in a row. */
static void waiting_as_told_is_enough(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 1000, 999983};
    for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
        struct pace pace;
        uint64_t now = BEGINNING, turns = 0, sent = 0;
        pace_init(&pace, rates[r], NO_TRACKING, now);
        for (; sent < 3000; turns++) {
            const uint32_t allowed = pace_allow(&pace, 1, now);
            pace_spend(&pace, allowed);
            sent += allowed;
            if (!allowed)
                now += pace_wait(&pace) + 1;
        }
        assert_true(turns <= 2 * sent + 1);
        assert_true((double)(now - BEGINNING) >=
                    2999.0 / (double)rates[r] * (double)SECOND - (double)(SECOND / 100));
    }
}

/* ---- rates that change, and what could not wait ---- */

static void a_new_rate_holds_at_once(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 1000000, NO_TRACKING, BEGINNING);
    assert_int_equal(pace_allow(&pace, 100000, BEGINNING + SECOND), 10000);
    pace_set_rate(&pace, 1000); /* what has been saved up is worth no more than a burst of it */
    assert_int_equal(pace_allow(&pace, 100000, BEGINNING + SECOND), 10);
    pace_spend(&pace, 10);
    assert_int_equal(pace_allow(&pace, 100000, BEGINNING + SECOND + 5 * MS), 5);
    pace_spend(&pace, 5);
    pace_set_rate(&pace, 1000000);
    assert_int_equal(pace_allow(&pace, 100000, BEGINNING + SECOND + 6 * MS), 1000);
    pace_spend(&pace, 1000);
    pace_set_rate(&pace, 1);
    assert_int_equal(pace_allow(&pace, 100000, BEGINNING + SECOND + 500 * MS), 0);
    assert_int_equal(pace_allow(&pace, 100000, BEGINNING + 2 * SECOND + 7 * MS), 1);
}

/* As a steered scan changes it all the time: never more than the highest rate gives. */
static void changing_rates_add_up(void **state)
{
    (void)state;
    struct pace pace;
    double most = 2;
    uint64_t sent = 0, last = BEGINNING;
    pace_init(&pace, 1000, NO_TRACKING, BEGINNING);
    for (uint64_t i = 0; i < 20000; i++) {
        const uint64_t now = last + mix64(i) % (2 * MS), rate = 200 + mix64(i / 100) % 100000;
        pace_set_rate(&pace, rate);
        most += (double)(now - last) / (double)SECOND * (double)rate;
        last = now;
        const uint32_t allowed = pace_allow(&pace, 64, now);
        pace_spend(&pace, allowed);
        sent += allowed;
        assert_true((double)sent <= most + 1e-3);
    }
    assert_true(sent > 100000);
}

/* More may be spent than was allowed, and is paid back before anything else leaves. */
static void what_was_overdrawn_is_paid_back(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = BEGINNING + SECOND;
    pace_init(&pace, 1000, NO_TRACKING, BEGINNING);
    assert_int_equal(pace_allow(&pace, 5, now), 5);
    pace_spend(&pace, 60); /* of the ten that there were */
    assert_int_equal(pace_allow(&pace, 5, now), 0);
    assert_in_range(pace_wait(&pace), 51 * MS - 1, 51 * MS);
    assert_int_equal(pace_allow(&pace, 5, now + 50 * MS), 0);
    assert_int_equal(pace_allow(&pace, 5, now + 52 * MS), 2);
    assert_int_equal(pace_wait(&pace), 0);
}

/* At high rates it is not worth waking up for each. */
static void a_turn_is_worth_waking_up_for(void **state)
{
    (void)state;
    static const uint64_t rates[] = {100000, 1000000, 50000000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct pace pace;
        pace_init(&pace, rates[i], NO_TRACKING, BEGINNING);
        pace_spend(&pace, pace_allow(&pace, 1, BEGINNING));
        assert_in_range(pace_wait(&pace), MS - MS / 100, MS);
        assert_in_range(pace_allow(&pace, UINT32_MAX, BEGINNING + MS), rates[i] / 1000 - 1,
                        rates[i] / 1000 + 1);
    }
}

/* ---- connection tracking ---- */

static char directory[] = "/tmp/test_pace.XXXXXX";

static void write_number(const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_number(const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    unlink(path);
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_pace.XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int drop_directory(void **state)
{
    (void)state;
    remove_number("nf_conntrack_count");
    remove_number("nf_conntrack_max");
    return rmdir(directory);
}

/* A second later, so that it looks again. */
static uint32_t allow_later(struct pace *pace, uint64_t *now)
{
    *now += SECOND;
    return pace_allow(pace, 50, *now);
}

static void a_full_table_holds_until_it_empties(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = BEGINNING;
    write_number("nf_conntrack_max", "1000\n");
    write_number("nf_conntrack_count", "900\n");
    pace_init(&pace, 0, directory, now);
    assert_int_equal(allow_later(&pace, &now), 50); /* nine tenths are not too much */

    write_number("nf_conntrack_count", "901\n");
    assert_int_equal(allow_later(&pace, &now), 0);
    const uint64_t held = now;
    assert_true(pace_wait(&pace) > 0 && pace_wait(&pace) <= SECOND);
    assert_int_equal(allow_later(&pace, &now), 0);
    assert_int_equal(pace_held(&pace, now), now - held);

    write_number("nf_conntrack_count", "800\n"); /* not empty enough yet */
    assert_int_equal(allow_later(&pace, &now), 0);
    write_number("nf_conntrack_count", "799\n");
    assert_int_equal(allow_later(&pace, &now), 50);
    assert_int_equal(pace_held(&pace, now), 0);
    write_number("nf_conntrack_count", "900\n");
    assert_int_equal(allow_later(&pace, &now), 50);
}

/* The table is looked at twenty times a second and not for every batch. */
static void the_table_is_looked_at_now_and_then(void **state)
{
    (void)state;
    struct pace pace;
    write_number("nf_conntrack_max", "1000");
    write_number("nf_conntrack_count", "10");
    pace_init(&pace, 0, directory, BEGINNING);
    assert_int_equal(pace_allow(&pace, 50, BEGINNING), 50);
    write_number("nf_conntrack_count", "1000");
    assert_int_equal(pace_allow(&pace, 50, BEGINNING + 49 * MS), 50);
    assert_int_equal(pace_allow(&pace, 50, BEGINNING + 51 * MS), 0);
}

/* A pause that the table forced is not made up for by a burst. */
static void holding_up_saves_nothing(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = BEGINNING;
    write_number("nf_conntrack_max", "1000");
    write_number("nf_conntrack_count", "1000");
    pace_init(&pace, 1000, directory, now);
    for (int i = 0; i < 10; i++)
        assert_int_equal(allow_later(&pace, &now), 0);
    write_number("nf_conntrack_count", "0");
    assert_int_equal(allow_later(&pace, &now), 10);
}

static void a_table_that_is_not_there_holds_nothing(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now = BEGINNING;
    static const char *const maxima[] = {"0", "", "nonsense", "-5"};
    write_number("nf_conntrack_count", "1000");
    pace_init(&pace, 0, directory, now);
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        write_number("nf_conntrack_max", maxima[i]);
        assert_int_equal(allow_later(&pace, &now), 50);
    }
    /* It goes away, with the module, while it holds the scan up. */
    write_number("nf_conntrack_max", "1000");
    assert_int_equal(allow_later(&pace, &now), 0);
    remove_number("nf_conntrack_max");
    assert_int_equal(allow_later(&pace, &now), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rate_everything_may_leave),
        cmocka_unit_test(only_what_is_sent_is_spent),
        cmocka_unit_test(the_wait_is_as_long_as_the_next_one_takes),
        cmocka_unit_test(no_interval_exceeds_the_rate),
        cmocka_unit_test(the_rate_is_used_up),
        cmocka_unit_test(waiting_as_told_is_enough),
        cmocka_unit_test(a_new_rate_holds_at_once),
        cmocka_unit_test(changing_rates_add_up),
        cmocka_unit_test(what_was_overdrawn_is_paid_back),
        cmocka_unit_test(a_turn_is_worth_waking_up_for),
        cmocka_unit_test_setup_teardown(a_full_table_holds_until_it_empties, make_directory,
                                        drop_directory),
        cmocka_unit_test_setup_teardown(the_table_is_looked_at_now_and_then, make_directory,
                                        drop_directory),
        cmocka_unit_test_setup_teardown(holding_up_saves_nothing, make_directory, drop_directory),
        cmocka_unit_test_setup_teardown(a_table_that_is_not_there_holds_nothing, make_directory,
                                        drop_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
