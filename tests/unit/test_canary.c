/* The table of canaries and what their epochs tell. */
#include "scan/canary.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define BEGINNING (1000 * NANOSECONDS_PER_SECOND)
#define RATE 20000.0
#define LENGTH (10 * MS)
#define GRACE (30 * MS)

static struct canaries canaries;
static uint64_t now;

static int open_table(void **state)
{
    (void)state;
    now = BEGINNING;
    canaries_init(&canaries, RATE, now);
    return 0;
}

static void offer(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        canaries_offer(&canaries, i, i, 0);
}

struct asked {
    uint64_t index, time;
    uint8_t tag;
};

/* Asks all that may be asked in the epoch, with packets enough; returns how many. */
static uint32_t ask(struct asked asked[static CANARIES])
{
    uint32_t count = 0;
    canaries_count(&canaries, 1000, 0, 0);
    while (count < CANARIES &&
           canaries_next(&canaries, now, GRACE, &asked[count].index, &asked[count].tag))
        asked[count++].time = now;
    return count;
}

static void without_canaries_nothing_is_asked(void **state)
{
    struct asked asked[CANARIES];
    struct epoch epoch;
    (void)state;
    assert_int_equal(ask(asked), 0);
    assert_false(canaries_judge(&canaries, now + GRACE, GRACE, &epoch));
}

/* Each port once an epoch, and no more of them than an epoch takes. */
static void an_epoch_asks_each_once(void **state)
{
    static const uint64_t counts[] = {1, 5, 24, 100, 256};
    struct asked asked[CANARIES];
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        open_table(state);
        offer(counts[i]);
        const uint32_t count = ask(asked);
        const uint32_t wanted = canaries_wanted(&canaries);
        assert_int_equal(count, counts[i] < wanted ? counts[i] : wanted);
        for (uint32_t j = 0; j < count; j++) {
            assert_in_range(asked[j].tag, CANARY_TAG, PROBE_TAGS - 1);
            assert_int_equal(asked[j].tag, asked[0].tag);
            for (uint32_t k = 0; k < j; k++)
                assert_int_not_equal(asked[j].index, asked[k].index);
        }
    }
}

/* They are few among the other packets. */
static void canaries_are_a_share_of_the_packets(void **state)
{
    static const double rates[] = {300, 20000};
    uint64_t index, asked = 0;
    uint8_t tag;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        canaries_init(&canaries, rates[i], now);
        offer(256);
        asked = 0;
        for (uint64_t packets = 0; packets < 24; packets++) {
            while (canaries_next(&canaries, now, GRACE, &index, &tag))
                asked++;
            assert_int_equal(asked, packets / canaries_stride(&canaries) + 1);
            canaries_count(&canaries, 1, 0, 0);
        }
    }
}

static void all_that_are_heard_make_a_good_epoch(void **state)
{
    struct asked asked[CANARIES];
    struct epoch epoch;
    (void)state;
    offer(100);
    const uint32_t count = ask(asked);
    canaries_count(&canaries, 0, 3, 2);
    now += LENGTH;
    canaries_turn(&canaries, now, LENGTH);
    assert_false(canaries_judge(&canaries, now, GRACE, &epoch)); /* they may come yet */
    for (uint32_t i = 0; i < count; i++)
        canaries_hear(&canaries, asked[i].index, asked[i].tag, asked[i].time + 12 * MS);
    assert_true(canaries_judge(&canaries, now, GRACE, &epoch));
    assert_int_equal(epoch.asked, count);
    assert_int_equal(epoch.heard, count);
    assert_int_equal(epoch.refused, 3);
    assert_int_equal(epoch.missed, 2);
    assert_true(epoch.rate > 99999 && epoch.rate < 100001); /* 1000 in 10 ms */
    assert_true(epoch.delay >= 0 && epoch.delay < 1e-9);    /* no longer than ever */
    assert_false(canaries_judge(&canaries, now, GRACE, &epoch));
}

static void an_epoch_is_judged_when_its_time_is_over(void **state)
{
    struct asked asked[CANARIES];
    struct epoch epoch;
    (void)state;
    offer(100);
    const uint32_t count = ask(asked);
    now += LENGTH;
    canaries_turn(&canaries, now, LENGTH);
    canaries_hear(&canaries, asked[0].index, asked[0].tag, now);
    canaries_hear(&canaries, asked[0].index, asked[0].tag, now);                /* again */
    canaries_hear(&canaries, asked[1].index, (uint8_t)(asked[1].tag + 1), now); /* another's */
    canaries_hear(&canaries, 12345, asked[1].tag, now);                         /* unknown */
    assert_false(canaries_judge(&canaries, now + GRACE - 1, GRACE, &epoch));
    assert_true(canaries_judge(&canaries, now + GRACE, GRACE, &epoch));
    assert_int_equal(epoch.asked, count);
    assert_int_equal(epoch.heard, 1);
}

/* What its round trip is above its own least, the first of which may be known already. */
static void delay_is_what_a_queue_adds(void **state)
{
    struct asked asked[CANARIES];
    struct epoch epoch;
    (void)state;
    canaries_offer(&canaries, 1, 1, 10 * MS);
    canaries_offer(&canaries, 2, 2, 0);
    assert_int_equal(ask(asked), 2);
    for (unsigned i = 0; i < 2; i++)
        canaries_hear(&canaries, asked[i].index, asked[i].tag, asked[i].time + 14 * MS);
    now += LENGTH;
    canaries_turn(&canaries, now, LENGTH);
    assert_true(canaries_judge(&canaries, now, GRACE, &epoch));
    assert_true(epoch.delay > 0.00399 && epoch.delay < 0.00401); /* the median of 4 ms and 0 */
}

/* Few canaries, whose answers take longer than an epoch: none is asked anew before its answer, and
 * every answer counts. */
static void answers_may_outlast_epochs(void **state)
{
    static struct asked on_the_way[4096];
    size_t head = 0, tail = 0;
    struct epoch epoch;
    uint32_t judged = 0, heard = 0;
    (void)state;
    offer(7);
    for (unsigned i = 0; i < 4000 && tail < 4000; i++) {
        now += MS;
        canaries_count(&canaries, 20, 0, 0);
        while (head < tail && on_the_way[head].time + 25 * MS <= now) {
            canaries_hear(&canaries, on_the_way[head].index, on_the_way[head].tag, now);
            head++;
        }
        while (
            canaries_next(&canaries, now, GRACE, &on_the_way[tail].index, &on_the_way[tail].tag)) {
            for (size_t j = head; j < tail; j++)
                assert_int_not_equal(on_the_way[j].index, on_the_way[tail].index);
            on_the_way[tail++].time = now;
        }
        canaries_turn(&canaries, now, LENGTH);
        while (canaries_judge(&canaries, now, GRACE, &epoch)) {
            assert_int_equal(epoch.heard, epoch.asked);
            judged++;
            heard += epoch.heard;
        }
    }
    assert_true(judged > 100 && heard > 500);
}

/* After a change of the rate nothing of before says anything. */
static void a_restart_forgets_the_epochs(void **state)
{
    struct asked asked[CANARIES];
    struct epoch epoch;
    (void)state;
    offer(100);
    ask(asked);
    const uint8_t before = asked[0].tag;
    canaries_restart(&canaries, RATE / 2, now);
    now += LENGTH;
    canaries_turn(&canaries, now, LENGTH);
    assert_false(canaries_judge(&canaries, now + 10 * GRACE, GRACE, &epoch));
    assert_int_equal(ask(asked), canaries_wanted(&canaries));
    assert_int_not_equal(asked[0].tag, before);
}

/* A port that alone falls silent is dropped, and one that does as all others do is not. */
static void a_silent_port_is_to_blame(void **state)
{
    struct epoch epoch;
    (void)state;
    offer(20);
    for (unsigned round = 0; round < 20; round++) {
        struct asked asked[CANARIES];
        const uint32_t count = ask(asked);
        for (uint32_t i = 0; i < count; i++)
            if (asked[i].index != 5)
                canaries_hear(&canaries, asked[i].index, asked[i].tag, now + MS);
        now += LENGTH;
        canaries_turn(&canaries, now, LENGTH);
        now += GRACE;
        while (canaries_judge(&canaries, now, GRACE, &epoch))
            ;
    }
    assert_int_equal(canaries.count, 19);
    for (uint32_t i = 0; i < canaries.count; i++)
        assert_int_not_equal(canaries.items[i].index, 5);
    for (unsigned round = 0; round < 20; round++) {
        struct asked asked[CANARIES];
        ask(asked);
        now += LENGTH;
        canaries_turn(&canaries, now, LENGTH);
        now += GRACE;
        while (canaries_judge(&canaries, now, GRACE, &epoch))
            ;
    }
    assert_int_equal(canaries.count, 19);
}

static void hosts_are_forgotten(void **state)
{
    (void)state;
    offer(200);
    canaries_forget(&canaries, 50, 150);
    assert_int_equal(canaries.count, 100);
    for (uint32_t i = 0; i < canaries.count; i++)
        assert_true(canaries.items[i].index < 50 || canaries.items[i].index >= 150);
    canaries_forget(&canaries, 0, UINT64_MAX);
    assert_int_equal(canaries.count, 0);
}

/* Of many, some of all times are kept. */
static void what_is_kept_is_chance(void **state)
{
    unsigned quarters[4] = {0};
    (void)state;
    offer(10000);
    assert_int_equal(canaries.count, CANARIES);
    for (uint32_t i = 0; i < CANARIES; i++)
        quarters[canaries.items[i].index / 2500]++;
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(quarters[i], 20, 120); /* 64 are to be expected */
}

/* One whose answer is on its way stays: without it the epoch would seem to have lost it. */
static void what_is_asked_is_not_replaced(void **state)
{
    struct asked asked[CANARIES];
    struct epoch epoch;
    (void)state;
    offer(256);
    const uint32_t count = ask(asked);
    for (uint64_t i = 0; i < 20000; i++)
        canaries_offer(&canaries, 1000 + i, 1000 + i, 0);
    for (uint32_t i = 0; i < count; i++)
        canaries_hear(&canaries, asked[i].index, asked[i].tag, now + MS);
    now += LENGTH;
    canaries_turn(&canaries, now, LENGTH);
    assert_true(canaries_judge(&canaries, now, GRACE, &epoch));
    assert_int_equal(epoch.heard, count);
}

/* ---- hosts ---- */

#define HOST_PORTS 100000

static void offer_host(uint64_t host, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        canaries_offer(&canaries, host * HOST_PORTS + i, host, 0);
}

static uint32_t kept_of(uint64_t host)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < canaries.count; i++) {
        assert_int_equal(canaries.items[i].index / HOST_PORTS, canaries.items[i].host);
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(canaries.items[i].index, canaries.items[j].index);
        count += canaries.items[i].host == host;
    }
    return count;
}

/* One alone may have all of them, until others come. */
static void a_host_does_not_speak_for_all(void **state)
{
    (void)state;
    offer_host(0, 0, 60000);
    assert_int_equal(kept_of(0), CANARIES);
    for (uint64_t host = 1; host <= 10; host++)
        offer_host(host, 0, 10);
    assert_int_equal(kept_of(0), CANARIES - 100);
    for (uint64_t host = 1; host <= 10; host++)
        assert_int_equal(kept_of(host), 10);
    offer_host(11, 0, 5000);
    assert_int_equal(kept_of(11), CANARIES_HOST);
    offer_host(12, 0, 5000);
    assert_in_range(kept_of(12), CANARIES_HOST / 3, CANARIES_HOST);
    assert_in_range(kept_of(0), CANARIES / 8, CANARIES_HOST);
    assert_int_equal(canaries.count, CANARIES);
}

/* Nor do two that were there first. */
static void two_hosts_do_not_speak_for_all(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        offer_host(0, i, 1);
        offer_host(1, i, 1);
    }
    for (uint64_t host = 2; host < 100; host++)
        offer_host(host, 0, 3);
    assert_in_range(kept_of(0), CANARIES / 8, CANARIES_HOST);
    assert_in_range(kept_of(1), CANARIES / 8, CANARIES_HOST);
}

/* Whoever comes later, and however much it answers, takes no more than its part from the others. */
static void a_host_does_not_push_others_out(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        for (uint64_t host = 1; host <= 20; host++)
            offer_host(host, i, 1);
    offer_host(0, 0, 90000);
    assert_int_equal(kept_of(0), CANARIES_HOST);
}

/* What has been asked and may still answer keeps its place. */
static void an_answer_under_way_is_not_given_up(void **state)
{
    struct asked asked[CANARIES];
    (void)state;
    offer_host(0, 0, 1000);
    const uint32_t count = ask(asked);
    assert_int_equal(count, CANARY_MOST);
    for (uint64_t host = 1; host <= 100; host++)
        offer_host(host, 0, 100);
    for (uint32_t i = 0; i < count; i++) {
        bool kept = false;
        for (uint32_t j = 0; j < canaries.count; j++)
            kept = kept || canaries.items[j].index == asked[i].index;
        assert_true(kept);
    }
}

int main(void)
{
#define OPENED(test) cmocka_unit_test_setup(test, open_table)
    const struct CMUnitTest tests[] = {
        OPENED(without_canaries_nothing_is_asked),
        OPENED(an_epoch_asks_each_once),
        OPENED(canaries_are_a_share_of_the_packets),
        OPENED(all_that_are_heard_make_a_good_epoch),
        OPENED(an_epoch_is_judged_when_its_time_is_over),
        OPENED(delay_is_what_a_queue_adds),
        OPENED(answers_may_outlast_epochs),
        OPENED(a_restart_forgets_the_epochs),
        OPENED(a_silent_port_is_to_blame),
        OPENED(hosts_are_forgotten),
        OPENED(what_is_kept_is_chance),
        OPENED(what_is_asked_is_not_replaced),
        OPENED(a_host_does_not_speak_for_all),
        OPENED(two_hosts_do_not_speak_for_all),
        OPENED(a_host_does_not_push_others_out),
        OPENED(an_answer_under_way_is_not_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
