/* Lanes: what they ask, how fast, and for how long, with a clock of the test's own. */
#include "scan/lane.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define SECOND NANOSECONDS_PER_SECOND
#define BEGINNING (1000 * SECOND)
#define HOSTS 2000
#define PORTS 100

static struct address_set targets;
static struct port_set ports;
static struct plan plan;
static struct ledger ledger;
static struct lanes lanes;
static uint64_t now;
static const struct lane_options options = {
    .tries = 8, .recall = 0.999, .patience = 100 * MS, .share = 0.95};

static int open_lanes(void **state)
{
    static const struct state_words words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED};
    const struct address first = {.family = ADDRESS_IPV4, .value = 0xc6120000};
    (void)state;
    now = BEGINNING;
    assert_int_equal(address_set_add(&targets, &first, first.value + HOSTS - 1), 0);
    assert_int_equal(address_set_seal(&targets), 0);
    assert_int_equal(port_set_add(&ports, PROTOCOL_TCP, 1, PORTS), 0);
    assert_int_equal(plan_init(&plan, &targets, &ports, NULL), 0);
    return ledger_init(&ledger, plan.count, 0, &words);
}

static int close_lanes(void **state)
{
    (void)state;
    lanes_release(&lanes);
    ledger_release(&ledger);
    port_set_release(&ports);
    address_set_release(&targets);
    return 0;
}

static void add(uint64_t host, double rate)
{
    assert_int_equal(lanes_add(&lanes, &plan, host, 2, rate, LANE_NO_CHECK, now), 0);
}

static void answer(uint64_t index)
{
    struct lane *lane = lanes_find(&lanes, plan_host(&plan, index));
    assert_int_equal(ledger_set(&ledger, index, STATE_CLOSED), 1);
    lane->answers[lane->pass - 1]++;
}

/* The next that is asked, at the time when it is; false when all lanes have ended. */
static bool ask(uint64_t *ret_index)
{
    while (lanes.active) {
        if (lanes_next(&lanes, &plan, &ledger, &options, now, ret_index))
            return true;
        const uint64_t wait = lanes_wait(&lanes, now, 10 * SECOND);
        assert_true(wait > 0 || !lanes.active);
        now += wait;
    }
    return false;
}

static void hosts_have_one_lane_each(void **state)
{
    (void)state;
    assert_null(lanes_find(&lanes, 0));
    for (uint64_t host = 0; host < HOSTS; host += 2) {
        add(host, 10);
        lanes_find(&lanes, host)->answers[0] = host;
        add(host, 99);
    }
    assert_int_equal(lanes.count, HOSTS / 2);
    assert_int_equal(lanes.active, HOSTS / 2);
    for (uint64_t host = 0; host < HOSTS; host++) {
        const struct lane *lane = lanes_find(&lanes, host);
        assert_int_equal(lane != NULL, host % 2 == 0);
        if (!lane)
            continue;
        assert_int_equal(lane->host, host);
        assert_int_equal(lane->answers[0], host);
        assert_int_equal(lane->earlier, 2);
    }
}

/* A bucket that counts by the second may be empty at first; then the lane is a little slower than
 * what the host was seen to give. */
static void a_lane_keeps_its_pace(void **state)
{
    uint64_t index, last = 0, first = 0;
    (void)state;
    add(3, 50);
    for (unsigned i = 0; i < PORTS; i++) {
        assert_true(ask(&index));
        assert_int_equal(index, 3 * PORTS + i);
        first = i ? first : now;
        assert_true(now >= BEGINNING + SECOND);
        assert_true(!i || now - last >= SECOND / 50);
        last = now;
    }
    assert_in_range(last - first, 99 * SECOND / 50, 2 * 99 * SECOND / 50);
}

/* A loop that comes late does not make up for it at once. */
static void what_was_late_is_not_made_up_for(void **state)
{
    uint64_t index;
    unsigned asked = 0;
    (void)state;
    add(3, 50);
    now += 60 * SECOND;
    while (lanes_next(&lanes, &plan, &ledger, &options, now, &index))
        asked++;
    assert_in_range(asked, 1, 2);
}

/* However many have lanes, each keeps to its own. */
static void lanes_take_turns(void **state)
{
    static uint64_t last[HOSTS];
    static unsigned asked[HOSTS];
    uint64_t index;
    (void)state;
    for (uint64_t host = 0; host < 100; host++) {
        last[host] = asked[host] = 0;
        add(host, 5 + (double)host);
    }
    while (now < BEGINNING + 6 * SECOND && ask(&index)) {
        const uint64_t host = plan_host(&plan, index);
        assert_true(!last[host] || now - last[host] >= SECOND / (5 + host));
        last[host] = now;
        asked[host]++;
    }
    for (uint64_t host = 0; host < 100; host++)
        assert_true(asked[host] >= (5 + host) * 4 || asked[host] >= PORTS);
}

static void nothing_more_came_twice(void **state)
{
    unsigned asked[PORTS] = {0};
    uint64_t index;
    (void)state;
    add(0, 1000);
    while (ask(&index))
        asked[index]++;
    for (unsigned i = 0; i < PORTS; i++)
        assert_int_equal(asked[i], 2);
    assert_int_equal(lanes.active, 0);
    assert_int_equal(lanes.count, 1); /* it is remembered */
    assert_int_equal(lanes_wait(&lanes, now, 77), 77);
}

/* Between the passes answers have their time. */
static void a_pass_waits_for_its_answers(void **state)
{
    uint64_t index, last = 0;
    (void)state;
    add(0, 1000);
    for (unsigned i = 0; i <= PORTS; i++) {
        assert_true(ask(&index));
        if (i == PORTS)
            assert_true(index == 0 && now - last >= options.patience);
        last = now;
    }
}

static void what_has_answered_is_not_asked_again(void **state)
{
    uint64_t index;
    unsigned asked = 0;
    (void)state;
    add(5, 100);
    for (uint64_t i = 0; i < PORTS; i += 2)
        answer(5 * PORTS + i);
    while (ask(&index)) {
        asked++;
        assert_int_equal(index % 2, 1);
        answer(index);
    }
    assert_int_equal(asked, PORTS / 2);
    assert_int_equal(lanes.active, 0);
}

static void tries_bound_the_passes(void **state)
{
    uint64_t index;
    unsigned asked = 0;
    (void)state;
    add(0, 1000);
    while (ask(&index)) {
        asked++;
        if (index % PORTS == asked / PORTS && asked % 7 == 0) /* now and then one more */
            answer(index);
    }
    assert_true(lanes_find(&lanes, 0)->pass <= options.tries);
    assert_true(asked <= options.tries * PORTS);
}

static bool is_even(const void *user, uint64_t index)
{
    return index % 2 == *(const uint64_t *)user;
}

static void others_ports_are_not_asked(void **state)
{
    const uint64_t rest = 0;
    uint64_t index, silent;
    double heard = 0, missing = 0, most = 0;
    unsigned asked = 0;
    (void)state;
    lanes.includes = is_even;
    lanes.user = &rest;
    add(0, 1000);
    while (ask(&index)) {
        assert_int_equal(index % 2, 0);
        asked++;
    }
    assert_int_equal(asked, PORTS);
    lanes_recall(&lanes, &plan, &ledger, &heard, &missing, &most, &silent);
    assert_int_equal(silent, PORTS / 2);
}

static void a_lane_remembers_when_it_asked(void **state)
{
    uint64_t index, times[PORTS];
    (void)state;
    add(1, 1000);
    const struct lane *lane = lanes_find(&lanes, 1);
    assert_int_equal(lane_time(lane, PORTS), 0);
    for (unsigned i = 0; i < PORTS; i++) {
        assert_true(ask(&index));
        times[i] = now;
        for (unsigned j = 0; j <= i; j++)
            assert_int_equal(lane_time(lane, PORTS + j), i - j < LANE_RECENT ? times[j] : 0);
    }
}

/* ---- a host with a limit ---- */

struct bucket {
    double rate, tokens;
    uint64_t time;
};

static bool take(struct bucket *bucket)
{
    bucket->tokens += (double)(now - bucket->time) / (double)SECOND * bucket->rate;
    bucket->time = now;
    if (bucket->tokens > bucket->rate / 5 + 1)
        bucket->tokens = bucket->rate / 5 + 1;
    if (bucket->tokens < 1)
        return false;
    bucket->tokens--;
    return true;
}

/* It gives all it has, if the lane was told right how fast it is, or twice as much. */
static void a_limited_host_gives_all(void **state)
{
    static const double told[] = {0.7, 1, 2};
    (void)state;
    for (uint64_t host = 0; host < 3; host++) {
        struct bucket bucket = {.rate = 20, .time = now};
        uint64_t index;
        unsigned heard = 0;
        add(host, 20 * told[host]);
        const uint64_t began = now;
        while (ask(&index))
            if (plan_host(&plan, index) == host && index % 4 && take(&bucket)) {
                answer(index);
                heard++;
            }
        assert_int_equal(heard, PORTS * 3 / 4);
        assert_true(now - began < 60 * SECOND);
    }
}

static void the_recall_adds_them_up(void **state)
{
    double heard = 0, missing = 0, most = 0;
    uint64_t silent;
    (void)state;
    lanes_recall(&lanes, &plan, &ledger, &heard, &missing, &most, &silent);
    assert_true(heard <= 0 && missing <= 0 && most <= 0 && silent == 0);
    for (uint64_t host = 0; host < 2; host++) {
        add(host, 100);
        struct lane *lane = lanes_find(&lanes, host);
        for (uint64_t i = 0; i < 60; i++) {
            lane->pass = i < 50 ? 1 : 2;
            answer(host * PORTS + i);
        }
    }
    lanes.earlier_answers = 7;
    lanes_recall(&lanes, &plan, &ledger, &heard, &missing, &most, &silent);
    assert_int_equal((uint64_t)heard, 127);
    assert_int_equal(silent, 80);
    assert_true(missing > 2 && missing < 10); /* a fifth of a fifth of sixty, twice */
    assert_true(most > missing && most <= 80);
}

int main(void)
{
#define OPENED(test) cmocka_unit_test_setup_teardown(test, open_lanes, close_lanes)
    const struct CMUnitTest tests[] = {
        OPENED(hosts_have_one_lane_each),
        OPENED(a_lane_keeps_its_pace),
        OPENED(what_was_late_is_not_made_up_for),
        OPENED(lanes_take_turns),
        OPENED(nothing_more_came_twice),
        OPENED(a_pass_waits_for_its_answers),
        OPENED(what_has_answered_is_not_asked_again),
        OPENED(tries_bound_the_passes),
        OPENED(others_ports_are_not_asked),
        OPENED(a_lane_remembers_when_it_asked),
        OPENED(a_limited_host_gives_all),
        OPENED(the_recall_adds_them_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
