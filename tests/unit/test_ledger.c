/* The ledger against an array of states. */
#include "scan/ledger.h"

#include "base/random.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct state_words words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED};

static void everything_is_silent_at_first(void **state)
{
    (void)state;
    struct ledger ledger;
    assert_int_equal(ledger_init(&ledger, 100, 0, &words), 0);
    assert_int_equal(ledger.count, 100);
    assert_int_equal(ledger.counts[STATE_SILENT], 100);
    for (uint64_t index = 0; index < 100; index++) {
        assert_int_equal(ledger_get(&ledger, index), STATE_SILENT);
        assert_int_equal(ledger_next_silent(&ledger, index), index);
    }
    assert_int_equal(ledger_next_silent(&ledger, 100), 100);
    ledger_release(&ledger);
    assert_int_equal(ledger.count, 0);
}

static void the_first_answer_counts(void **state)
{
    (void)state;
    struct ledger ledger;
    assert_int_equal(ledger_init(&ledger, 64, 0, &words), 0);
    assert_true(ledger_set(&ledger, 31, STATE_OPEN));
    assert_true(ledger_set(&ledger, 32, STATE_CLOSED));
    assert_true(ledger_set(&ledger, 33, STATE_FILTERED));
    /* Neither a duplicate nor a contradiction changes anything. */
    for (enum port_state later = STATE_OPEN; later <= STATE_FILTERED; later++)
        for (uint64_t index = 31; index <= 33; index++)
            assert_false(ledger_set(&ledger, index, later));
    assert_int_equal(ledger_get(&ledger, 31), STATE_OPEN);
    assert_int_equal(ledger_get(&ledger, 32), STATE_CLOSED);
    assert_int_equal(ledger_get(&ledger, 33), STATE_FILTERED);
    assert_int_equal(ledger_get(&ledger, 30), STATE_SILENT);
    assert_int_equal(ledger_get(&ledger, 34), STATE_SILENT);
    assert_int_equal(ledger.counts[STATE_SILENT], 61);
    assert_int_equal(ledger.counts[STATE_OPEN], 1);
    assert_int_equal(ledger.counts[STATE_CLOSED], 1);
    assert_int_equal(ledger.counts[STATE_FILTERED], 1);
    assert_int_equal(ledger_next_silent(&ledger, 31), 34);
    ledger_release(&ledger);
}

#define COUNT_MAXIMUM 200

static void assert_agrees(const struct ledger *ledger, const enum port_state *states)
{
    uint64_t counts[4] = {0}, next = ledger->count;
    for (uint64_t index = ledger->count; index-- > 0;) {
        counts[states[index]]++;
        if (states[index] == STATE_SILENT)
            next = index;
        assert_int_equal(ledger_get(ledger, index), states[index]);
        assert_int_equal(ledger_next_silent(ledger, index), next);
    }
    assert_memory_equal(ledger->counts, counts, sizeof(counts));
    assert_int_equal(ledger_next_silent(ledger, ledger->count), ledger->count);
}

/* Filled at random until nothing is silent, for sizes on both sides of the words' ends. */
static void it_agrees_with_an_array(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 31, 32, 33, 63, 64, 65, 96, 127, COUNT_MAXIMUM};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        enum port_state states[COUNT_MAXIMUM] = {STATE_SILENT};
        struct ledger ledger;
        assert_int_equal(ledger_init(&ledger, counts[i], 0, &words), 0);
        for (uint64_t step = 0; ledger.counts[STATE_SILENT]; step++) {
            const uint64_t index = mix64(step) % counts[i];
            const enum port_state next = (enum port_state)(1 + mix64(step + 1000000) % 3);
            assert_int_equal(ledger_set(&ledger, index, next), states[index] == STATE_SILENT);
            if (states[index] == STATE_SILENT)
                states[index] = next;
            assert_agrees(&ledger, states);
        }
        ledger_release(&ledger);
    }
}

/* A ledger of four thousand million ports is used before its memory is touched. */
static void a_large_ledger_is_lazy(void **state)
{
    (void)state;
    struct ledger ledger;
    const uint64_t count = (UINT64_C(1) << 32) + 5;
    mallopt(M_PERTURB, 0); /* which would fill the gigabyte */
    assert_int_equal(ledger_init(&ledger, count, 0, &words), 0);
    assert_true(ledger_set(&ledger, count - 1, STATE_OPEN));
    assert_true(ledger_set(&ledger, 0, STATE_CLOSED));
    assert_int_equal(ledger_get(&ledger, count - 1), STATE_OPEN);
    assert_int_equal(ledger_get(&ledger, count - 2), STATE_SILENT);
    assert_int_equal(ledger_next_silent(&ledger, 0), 1);
    assert_int_equal(ledger_next_silent(&ledger, count - 1), count);
    assert_int_equal(ledger.counts[STATE_SILENT], count - 2);
    ledger_release(&ledger);
}

/* An ACK scan's refusal takes the bits of "closed". */
static void a_refusal_is_what_the_words_say(void **state)
{
    (void)state;
    static const struct state_words ack = {STATE_UNFILTERED, STATE_FILTERED};
    static const enum port_state foreign[] = {STATE_SILENT, STATE_CLOSED, STATE_OPEN_FILTERED,
                                              STATE_COUNT};
    struct ledger ledger;
    assert_int_equal(ledger_init(&ledger, 100, 0, &ack), 0);
    assert_int_equal(ledger_set(&ledger, 50, STATE_UNFILTERED), 1);
    assert_int_equal(ledger_set(&ledger, 51, STATE_FILTERED), 1);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_int_equal(ledger_set(&ledger, 52, foreign[i]), -EINVAL);
    assert_int_equal(ledger_get(&ledger, 50), STATE_UNFILTERED);
    assert_int_equal(ledger_get(&ledger, 51), STATE_FILTERED);
    assert_int_equal(ledger_get(&ledger, 52), STATE_SILENT);
    assert_int_equal(ledger_get(&ledger, 53), STATE_SILENT);
    assert_int_equal(ledger.counts[STATE_UNFILTERED], 1);
    assert_int_equal(ledger.counts[STATE_CLOSED], 0);
    assert_int_equal(ledger.counts[STATE_SILENT], 98);
    ledger_release(&ledger);
}

static void it_is_sparse_above_its_memory(void **state)
{
    (void)state;
    static const struct {
        uint64_t count, memory;
        bool sparse;
    } cases[] = {
        {400, 100, false}, {401, 100, true},     {400, 99, true},     {1, 1, false},
        {5, 1, true},      {INT64_MAX, 0, true}, {1000000, 0, false}, {1000, 1000, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ledger ledger;
        assert_int_equal(ledger_init(&ledger, cases[i].count, cases[i].memory, &words), 0);
        assert_int_equal(ledger.sparse, cases[i].sparse);
        assert_int_equal(ledger.counts[STATE_SILENT], cases[i].count);
        ledger_release(&ledger);
    }
    assert_int_equal(ledger_size(400), 100);
    assert_int_equal(ledger_size(401), 101);
}

/* Open indexes are told once; the others are counted as often as they answer. */
static void a_sparse_ledger_keeps_what_is_open(void **state)
{
    (void)state;
    struct ledger ledger;
    const uint64_t count = INT64_MAX;
    assert_int_equal(ledger_init(&ledger, count, 1 << 20, &words), 0);
    assert_int_equal(ledger_set(&ledger, 0, STATE_OPEN), 1);
    assert_int_equal(ledger_set(&ledger, 0, STATE_OPEN), 0);
    assert_int_equal(ledger_set(&ledger, count - 1, STATE_OPEN), 1);
    assert_int_equal(ledger_set(&ledger, 5, STATE_CLOSED), 0);
    assert_int_equal(ledger_set(&ledger, 5, STATE_CLOSED), 0);
    assert_int_equal(ledger_set(&ledger, 6, STATE_FILTERED), 0);
    assert_int_equal(ledger_set(&ledger, 0, STATE_FILTERED), 0); /* the first answer counts */
    assert_int_equal(ledger_set(&ledger, 7, STATE_UNFILTERED), -EINVAL);
    assert_int_equal(ledger_get(&ledger, 0), STATE_OPEN);
    assert_int_equal(ledger_get(&ledger, count - 1), STATE_OPEN);
    assert_int_equal(ledger_get(&ledger, 5), STATE_SILENT);
    assert_int_equal(ledger.counts[STATE_OPEN], 2);
    assert_int_equal(ledger.counts[STATE_CLOSED], 2);
    assert_int_equal(ledger.counts[STATE_FILTERED], 1);
    assert_int_equal(ledger.counts[STATE_SILENT], count - 2);
    assert_int_equal(ledger_next_silent(&ledger, 0), 1);
    assert_int_equal(ledger_next_silent(&ledger, 5), 5);
    assert_int_equal(ledger_next_silent(&ledger, count - 1), count);
    assert_int_equal(ledger_next_silent(&ledger, count), count);
    ledger_release(&ledger);
}

/* It says so, and what it has told before stays. */
static void a_sparse_ledger_can_be_full(void **state)
{
    (void)state;
    struct ledger ledger;
    uint64_t index = 0;
    assert_int_equal(ledger_init(&ledger, 1000000, 10000, &words), 0);
    while (ledger_set(&ledger, index, STATE_OPEN) == 1)
        index++;
    assert_true(ledger.full);
    assert_true(ledger.open.capacity * sizeof(uint64_t) <= 10000);
    assert_true(index > 100);
    assert_int_equal(ledger.counts[STATE_OPEN], index);
    assert_int_equal(ledger_set(&ledger, index, STATE_OPEN), -ENOMEM);
    assert_int_equal(ledger_set(&ledger, index - 1, STATE_OPEN), 0);
    assert_int_equal(ledger_set(&ledger, index, STATE_CLOSED), 0);
    assert_int_equal(ledger_get(&ledger, index - 1), STATE_OPEN);
    assert_int_equal(ledger_next_silent(&ledger, 0), index);
    ledger_release(&ledger);
}

/* What is known goes along, and what comes is written where everybody looks. */
static void its_states_can_be_kept_elsewhere(void **state)
{
    uint64_t lent[4] = {0};
    struct ledger ledger;
    (void)state;
    assert_int_equal(ledger_init(&ledger, 100, 0, &words), 0);
    assert_true(ledger_set(&ledger, 5, STATE_OPEN));
    ledger_lend(&ledger, lent);
    assert_int_equal(lent[0], (uint64_t)STATE_OPEN << 10);
    assert_int_equal(ledger_get(&ledger, 5), STATE_OPEN);
    assert_true(ledger_set(&ledger, 99, STATE_CLOSED));
    assert_int_equal(lent[3], (uint64_t)STATE_CLOSED << 6);
    assert_int_equal(ledger.counts[STATE_SILENT], 98);
    ledger_release(&ledger); /* not `lent` */
    assert_int_equal(lent[3], (uint64_t)STATE_CLOSED << 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_silent_at_first),
        cmocka_unit_test(the_first_answer_counts),
        cmocka_unit_test(it_agrees_with_an_array),
        cmocka_unit_test(a_large_ledger_is_lazy),
        cmocka_unit_test(its_states_can_be_kept_elsewhere),
        cmocka_unit_test(a_refusal_is_what_the_words_say),
        cmocka_unit_test(it_is_sparse_above_its_memory),
        cmocka_unit_test(a_sparse_ledger_keeps_what_is_open),
        cmocka_unit_test(a_sparse_ledger_can_be_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
