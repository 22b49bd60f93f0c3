/* When was a position sent: against a full history, and when the oldest marks have gone. */
#include "scan/sent_log.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct sent_log sent;

static int open_log(void **state)
{
    (void)state;
    return sent_log_init(&sent);
}

static int close_log(void **state)
{
    (void)state;
    sent_log_release(&sent);
    return 0;
}

static void an_empty_log_knows_nothing(void **state)
{
    (void)state;
    assert_int_equal(sent_log_time(&sent, 1, 0), 0);
    assert_int_equal(sent_log_position(&sent, 1, 0), UINT64_MAX);
}

static void the_mark_before_tells(void **state)
{
    (void)state;
    sent_log_add(&sent, 1, 10, 1000);
    sent_log_add(&sent, 1, 20, 2000);
    sent_log_add(&sent, 1, 20, 2500); /* none of them was taken at first */
    sent_log_add(&sent, 2, 0, 3000);
    assert_int_equal(sent_log_time(&sent, 1, 9), 0);
    assert_int_equal(sent_log_time(&sent, 1, 10), 1000);
    assert_int_equal(sent_log_time(&sent, 1, 19), 1000);
    assert_int_equal(sent_log_time(&sent, 1, 20), 2500);
    assert_int_equal(sent_log_time(&sent, 1, UINT64_MAX), 2500);
    assert_int_equal(sent_log_time(&sent, 2, 0), 3000);
    assert_int_equal(sent_log_time(&sent, 2, 20), 3000);
    assert_int_equal(sent_log_time(&sent, 3, 0), 0);
    assert_int_equal(sent_log_time(&sent, 0, 15), 0);
}

static void the_first_mark_not_before_tells(void **state)
{
    (void)state;
    sent_log_add(&sent, 1, 10, 1000);
    sent_log_add(&sent, 1, 20, 2000);
    sent_log_add(&sent, 2, 0, 3000);
    sent_log_add(&sent, 2, 30, 4000);
    assert_int_equal(sent_log_position(&sent, 1, 0), 10);
    assert_int_equal(sent_log_position(&sent, 1, 1000), 10);
    assert_int_equal(sent_log_position(&sent, 1, 1001), 20);
    assert_int_equal(sent_log_position(&sent, 1, 2001), UINT64_MAX); /* all of it is older */
    assert_int_equal(sent_log_position(&sent, 2, 500), 0);
    assert_int_equal(sent_log_position(&sent, 2, 3500), 30);
    assert_int_equal(sent_log_position(&sent, 2, 4001), UINT64_MAX);
    assert_int_equal(sent_log_position(&sent, 3, 0), UINT64_MAX);
}

#define SENDS 200000 /* more than there is room for */

/* What left i-th, in three passes. */
static struct sent_mark send_of(uint64_t i)
{
    return (struct sent_mark){
        .pass = 1 + (unsigned)(i / 80000),
        .position = i % 80000 * 7 + mix64(i) % 7,
        .time = 1000 + i * 50 + mix64(i) % 50,
    };
}

static void the_latest_are_known_exactly(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < SENDS; i++) {
        const struct sent_mark mark = send_of(i);
        sent_log_add(&sent, mark.pass, mark.position, mark.time);
    }
    for (uint64_t i = 0; i < SENDS - 1; i += 13) {
        const struct sent_mark mark = send_of(i), next = send_of(i + 1);
        const bool known = i >= SENDS - SENT_LOG_MARKS;
        assert_int_equal(sent_log_time(&sent, mark.pass, mark.position), known ? mark.time : 0);
        if (next.pass == mark.pass) {
            assert_int_equal(sent_log_time(&sent, mark.pass, next.position - 1),
                             known ? mark.time : 0);
            if (known)
                assert_int_equal(sent_log_position(&sent, mark.pass, mark.time + 1), next.position);
        }
    }
    /* Of what has gone, the first that is known is all that can be said. */
    const struct sent_mark oldest = send_of(SENDS - SENT_LOG_MARKS);
    assert_int_equal(sent_log_position(&sent, oldest.pass, 0), oldest.position);
    assert_int_equal(sent_log_position(&sent, oldest.pass - 1, 0), UINT64_MAX);
}

int main(void)
{
#define OPENED(test) cmocka_unit_test_setup_teardown(test, open_log, close_log)
    const struct CMUnitTest tests[] = {
        OPENED(an_empty_log_knows_nothing),
        OPENED(the_mark_before_tells),
        OPENED(the_first_mark_not_before_tells),
        OPENED(the_latest_are_known_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
