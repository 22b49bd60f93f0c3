/* The heap of deadlines against a plain array of times. */
#include "base/deadlines.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_first_one_is_due_first(void **state)
{
    (void)state;
    struct deadlines deadlines;
    uint32_t item = 99;
    uint64_t time = 99;
    assert_int_equal(deadlines_init(&deadlines, 4), 0);
    assert_false(deadlines_first(&deadlines, &item, &time));
    assert_int_equal(item, 99);

    deadlines_add(&deadlines, 2, 30);
    deadlines_add(&deadlines, 0, 10);
    deadlines_add(&deadlines, 3, 20);
    assert_true(deadlines_has(&deadlines, 2));
    assert_false(deadlines_has(&deadlines, 1));
    assert_true(deadlines_first(&deadlines, &item, &time));
    assert_int_equal(item, 0);
    assert_int_equal(time, 10);

    deadlines_remove(&deadlines, 0);
    assert_false(deadlines_has(&deadlines, 0));
    assert_true(deadlines_first(&deadlines, &item, &time));
    assert_int_equal(item, 3);

    deadlines_add(&deadlines, 0, UINT64_MAX); /* an item may come back */
    deadlines_remove(&deadlines, 3);
    deadlines_remove(&deadlines, 2);
    assert_true(deadlines_first(&deadlines, &item, &time));
    assert_int_equal(item, 0);
    assert_int_equal(time, UINT64_MAX);
    deadlines_release(&deadlines);
}

#define ITEMS 257
#define NONE UINT64_MAX

static void assert_earliest(const struct deadlines *deadlines, const uint64_t *times)
{
    uint64_t earliest = NONE, time = NONE;
    uint32_t item = 0, count = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        assert_int_equal(deadlines_has(deadlines, i), times[i] != NONE);
        earliest = times[i] < earliest ? times[i] : earliest;
        count += times[i] != NONE;
    }
    assert_int_equal(deadlines->count, count);
    assert_int_equal(deadlines_first(deadlines, &item, &time), count > 0);
    if (count) {
        assert_int_equal(time, earliest);
        assert_int_equal(times[item], earliest);
    }
}

/* Ten thousand additions and removals from anywhere, with many equal times among them. */
static void it_agrees_with_an_array(void **state)
{
    (void)state;
    struct deadlines deadlines;
    uint64_t times[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++)
        times[i] = NONE;
    assert_int_equal(deadlines_init(&deadlines, ITEMS), 0);
    for (uint64_t i = 0; i < 10000; i++) {
        const uint32_t item = (uint32_t)(mix64(i) % ITEMS);
        if (times[item] == NONE) {
            times[item] = mix64(i + 1000000) % 100;
            deadlines_add(&deadlines, item, times[item]);
        } else {
            times[item] = NONE;
            deadlines_remove(&deadlines, item);
        }
        assert_earliest(&deadlines, times);
    }
    deadlines_release(&deadlines);
}

static void taken_in_turn_they_are_sorted(void **state)
{
    (void)state;
    struct deadlines deadlines;
    uint64_t last = 0, time;
    uint32_t item;
    assert_int_equal(deadlines_init(&deadlines, ITEMS), 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        deadlines_add(&deadlines, i, mix64(i));
    for (uint32_t i = 0; i < ITEMS; i++) {
        assert_true(deadlines_first(&deadlines, &item, &time));
        assert_int_equal(time, mix64(item));
        assert_true(time >= last);
        last = time;
        deadlines_remove(&deadlines, item);
    }
    assert_false(deadlines_first(&deadlines, &item, &time));
    deadlines_release(&deadlines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_one_is_due_first),
        cmocka_unit_test(it_agrees_with_an_array),
        cmocka_unit_test(taken_in_turn_they_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
