/* Memory that is given back all at once. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_zero_and_apart(void **state)
{
    struct arena arena = {0};
    unsigned char *pieces[3000];
    (void)state;
    for (size_t i = 0; i < 3000; i++) {
        pieces[i] = arena_take(&arena, i % 200);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % sizeof(long double), 0);
        for (size_t j = 0; j < i % 200; j++)
            assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)(i % 251), i % 200);
    }
    for (size_t i = 0; i < 3000; i++)
        for (size_t j = 0; j < i % 200; j++)
            assert_int_equal(pieces[i][j], i % 251);
    arena_release(&arena);
    arena_release(&arena);
}

static void large_pieces_have_blocks_of_their_own(void **state)
{
    struct arena arena = {0};
    (void)state;
    unsigned char *large = arena_take(&arena, 1000000), *small = arena_take(&arena, 1);
    assert_true(large && small);
    memset(large, 1, 1000000);
    assert_int_equal(*small, 0);
    assert_null(arena_take(&arena, SIZE_MAX));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zero_and_apart),
        cmocka_unit_test(large_pieces_have_blocks_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
