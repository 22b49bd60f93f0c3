/* Lanes: what they ask, how fast, and for how long, with a clock of the test's own. */
#include "scan/lane.h"

#include "base/clock.h"
#include "base/random.h"

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

static void answer_before(uint64_t index)
{
    assert_int_equal(ledger_set(&ledger, index, STATE_CLOSED), 1);
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

/* ---- a host with a check ---- */

#define WAY (20 * MS)
#define CHECKED (7 * PORTS + PORTS - 1) /* the port that is asked again and again */

/* What the host is like that the lane asks. */
struct nature {
    double loss;          /* of round trips */
    double limit;         /* answers a second; 0: any number */
    bool by_the_second;   /* and counted in each */
    unsigned silent_each; /* of so many ports one never answers */
    unsigned dies_after;  /* answers; 0: never */
};

struct outcome {
    uint64_t duration;
    unsigned asked, heard, missing;
};

static bool gives(const struct nature *nature, struct bucket *bucket, unsigned heard,
                  uint64_t *dice)
{
    if ((double)(mix64((*dice)++) >> 11) * 0x1p-53 < nature->loss ||
        (nature->dies_after && heard >= nature->dies_after))
        return false;
    if (nature->limit <= 0)
        return true;
    if (!nature->by_the_second)
        return take(bucket);
    if (now / SECOND != bucket->time / SECOND)
        bucket->tokens = nature->limit;
    bucket->time = now;
    return bucket->tokens-- >= 1;
}

/* Runs the lane of host 7 until it ends. Answers take their time. */
static struct outcome run_host(const struct nature *nature, double rate, uint64_t check)
{
    struct {
        uint64_t index, time;
    } under_way[4096];
    size_t first = 0, last = 0;
    struct outcome outcome = {0};
    struct bucket bucket = {.rate = nature->limit, .time = now};
    uint64_t dice = (uint64_t)(nature->loss * 1e6), index = 0;
    if (check != LANE_NO_CHECK)
        answer_before(check);
    assert_int_equal(lanes_add(&lanes, &plan, 7, 2, rate, check, now), 0);
    struct lane *lane = lanes_find(&lanes, 7);
    const uint64_t began = now;
    while (lanes.active) {
        if (lanes_next(&lanes, &plan, &ledger, &options, now, &index)) {
            outcome.asked++;
            bool answers = index == check || index % nature->silent_each != 1;
            if (answers && gives(nature, &bucket, outcome.heard, &dice)) {
                under_way[last % 4096].index = index;
                under_way[last++ % 4096].time = now + WAY;
                outcome.heard++;
            }
            continue;
        }
        now += lanes_wait(&lanes, now, MS);
        for (; first < last && under_way[first % 4096].time <= now; first++) {
            index = under_way[first % 4096].index;
            if (index == check || ledger_set(&ledger, index, STATE_CLOSED) == 1)
                lane_hear(lane, index == check, now);
        }
    }
    outcome.duration = now - began;
    for (index = UINT64_C(7) * PORTS; index < 8 * PORTS; index++)
        outcome.missing +=
            index % nature->silent_each != 1 && ledger_get(&ledger, index) == STATE_SILENT;
    return outcome;
}

/* A lane that was no limited host's is over soon, whatever the path loses, and was none. */
static void a_mistake_is_cheap(void **state)
{
    static const double losses[] = {0, 0.01, 0.03, 0.05, 0.08, 0.1};
    uint64_t sum = 0;
    size_t slow = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        const struct nature nature = {.loss = losses[i], .silent_each = 3};
        sum += run_host(&nature, 300, CHECKED).duration;
        slow += lanes.slow;
        assert_int_equal(lanes.given_up, 0);
        close_lanes(NULL);
        assert_int_equal(open_lanes(NULL), 0);
    }
    assert_true(sum < 9 * SECOND);
    assert_in_range(slow, 0, 1);
}

/* Whether it counts by the second or fills a bucket, and however wrong the first guess is. */
static void a_host_gives_what_it_has(void **state)
{
    static const double rates[] = {5, 50, 500};
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        const struct nature nature = {.limit = 20, .by_the_second = i % 2, .silent_each = 3};
        const struct outcome outcome = run_host(&nature, rates[i / 2], CHECKED);
        assert_in_range(outcome.missing, 0, 1);
        assert_true(outcome.duration < 40 * SECOND);
        assert_int_equal(lanes.slow, 1);
        assert_int_equal(lanes.given_up, 0);
        close_lanes(NULL);
        assert_int_equal(open_lanes(NULL), 0);
    }
}

/* A host's own path may lose more than those of others, which no rate changes. */
static void a_bad_path_is_no_limit(void **state)
{
    (void)state;
    const struct nature nature = {.loss = 0.3, .silent_each = 3};
    const struct outcome outcome = run_host(&nature, 300, CHECKED);
    assert_in_range(outcome.missing, 0, 2);
    assert_true(outcome.duration < 20 * SECOND);
    assert_int_equal(lanes.given_up, 0);
}

/* What gives next to nothing is given up after a minute, and counted as missing. */
static void a_hopeless_host_is_given_up(void **state)
{
    double heard = 0, missing = 0, most = 0;
    uint64_t silent;
    (void)state;
    const struct nature nature = {.limit = 0.5, .silent_each = 3};
    const struct outcome outcome = run_host(&nature, 300, CHECKED);
    assert_true(outcome.missing > 10);
    assert_true(outcome.duration < 62 * SECOND);
    assert_int_equal(lanes.given_up, 1);
    assert_true(lanes.given_up_rate >= 1 && lanes.given_up_rate <= 3);
    lanes_recall(&lanes, &plan, &ledger, &heard, &missing, &most, &silent);
    assert_true(missing >= 20);
    assert_true(most >= outcome.missing);
}

/* No lane outlasts its time, not even one that nobody can tell to be too slow. */
static void a_lane_has_its_time(void **state)
{
    (void)state;
    const struct nature nature = {.limit = 0.05, .silent_each = 1000};
    const struct outcome outcome = run_host(&nature, 0.05, LANE_NO_CHECK);
    assert_true(outcome.duration <= 62 * SECOND);
    assert_int_equal(lanes.active, 0);
}

static void a_host_that_has_gone_is_left(void **state)
{
    (void)state;
    const struct nature nature = {.limit = 20, .silent_each = 3, .dies_after = 40};
    const struct outcome outcome = run_host(&nature, 20, CHECKED);
    assert_true(outcome.duration < 60 * SECOND);
    assert_int_equal(lanes.given_up, 1);
    assert_true(lanes.given_up_rate <= 0);
}

/* Whether the host is still exhausted, checks alone find out, and then it has its peace. */
static void checks_come_first(void **state)
{
    uint64_t index;
    (void)state;
    answer_before(CHECKED);
    assert_int_equal(lanes_add(&lanes, &plan, 7, 2, 100, CHECKED, now), 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_true(ask(&index));
        assert_int_equal(index, CHECKED);
    }
    const uint64_t last = now;
    for (unsigned i = 0; i < 8; i++) {
        assert_true(ask(&index));
        assert_int_equal(index, 7 * PORTS + i);
        assert_true(now - last >= SECOND + options.patience);
    }
    assert_int_equal(lanes.slow, 0); /* that was the common passes' haste */
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
        OPENED(a_mistake_is_cheap),
        OPENED(a_host_gives_what_it_has),
        OPENED(a_bad_path_is_no_limit),
        OPENED(a_hopeless_host_is_given_up),
        OPENED(a_lane_has_its_time),
        OPENED(a_host_that_has_gone_is_left),
        OPENED(checks_come_first),
        OPENED(the_recall_adds_them_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
