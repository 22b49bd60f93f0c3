/* The set of numbers against a plain array. */
#include "base/number_set.h"

#include "base/random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void an_empty_set_costs_nothing(void **state)
{
    (void)state;
    struct number_set set = {0};
    assert_false(number_set_has(&set, 0));
    assert_false(number_set_has(&set, 7));
    assert_null(set.slots);
    number_set_release(&set);
}

static void numbers_are_found_once_added(void **state)
{
    (void)state;
    struct number_set set = {0};
    assert_int_equal(number_set_add(&set, 0), 0);
    assert_int_equal(number_set_add(&set, UINT64_MAX - 1), 0);
    assert_int_equal(number_set_add(&set, 0), 1);
    assert_int_equal(set.count, 2);
    assert_true(number_set_has(&set, 0));
    assert_true(number_set_has(&set, UINT64_MAX - 1));
    assert_false(number_set_has(&set, 1));
    number_set_release(&set);
    assert_int_equal(set.count, 0);
    assert_false(number_set_has(&set, 0));
}

#define UNIVERSE 4096

static void it_agrees_with_an_array(void **state)
{
    (void)state;
    struct number_set set = {0};
    bool member[UNIVERSE] = {false};
    size_t count = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        /* Multiples of a large power of two would collide in a table that does not mix. */
        const uint64_t place = mix64(i) % UNIVERSE;
        assert_int_equal(number_set_add(&set, place << 40), member[place]);
        count += !member[place];
        member[place] = true;
    }
    assert_int_equal(set.count, count);
    for (uint64_t place = 0; place < UNIVERSE; place++) {
        assert_int_equal(number_set_has(&set, place << 40), member[place]);
        assert_false(number_set_has(&set, (place << 40) + 1));
    }
    assert_true(2 * set.count <= set.capacity);
    number_set_release(&set);
}

/* The slots double, and while they move there are both. */
static void a_bounded_set_says_that_it_is_full(void **state)
{
    (void)state;
    struct number_set set = {.limit = 1000 * sizeof(uint64_t)};
    uint64_t number = 0;
    while (number_set_add(&set, number) == 0)
        number++;
    assert_int_equal(set.capacity, 512);
    assert_int_equal(set.count, 256);
    assert_int_equal(number_set_add(&set, number), -ENOMEM);
    assert_int_equal(number_set_add(&set, 7), 1); /* nothing more is needed for that */
    for (uint64_t i = 0; i < 300; i++)
        assert_int_equal(number_set_has(&set, i), i < number);
    number_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_set_costs_nothing),
        cmocka_unit_test(numbers_are_found_once_added),
        cmocka_unit_test(it_agrees_with_an_array),
        cmocka_unit_test(a_bounded_set_says_that_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
