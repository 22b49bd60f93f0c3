/* The lanes of hosts that answer only so often. */
#include "scan/lane.h"

#include "scan/chance.h"

#include "base/clock.h"
#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define SLOWER 0.9 /* than the host has answered up to now */
#define RATE_MOST 5000.0
#define WINDOW 6 /* checks */
#define RATE_LEAST 2.0
#define CHECK_PERIOD 8 /* ports between two checks */
#define GONE_PROBES 64
#define GONE_TIME (3 * NANOSECONDS_PER_SECOND)
#define LATE 0.1   /* of a pass's answers, coming in the next one: the lane is too fast still */
#define DEAF 0.005 /* so improbable is it that chance alone leaves so many checks unanswered */

void lanes_release(struct lanes *lanes)
{
    free(lanes->items);
    free(lanes->slots);
    deadlines_release(&lanes->due);
    *lanes = (struct lanes){0};
}

static uint64_t first_index(const struct plan *plan, uint64_t host)
{
    return host * plan->ports->size;
}

static uint64_t interval(const struct lane *lane)
{
    return (uint64_t)((double)NANOSECONDS_PER_SECOND / lane->rate);
}

static uint32_t *find_slot(const struct lanes *lanes, uint64_t host)
{
    size_t mask = 4 * lanes->capacity - 1;
    size_t at = mix64(host) & mask;
    while (lanes->slots[at] && lanes->items[lanes->slots[at] - 1].host != host)
        at = (at + 1) & mask;
    return &lanes->slots[at];
}

struct lane *lanes_find(const struct lanes *lanes, uint64_t host)
{
    uint32_t found = lanes->count ? *find_slot(lanes, host) : 0;
    return found ? &lanes->items[found - 1] : NULL;
}

/* Room for one more; the lanes that are due keep their times. */
static int grow(struct lanes *lanes)
{
    size_t capacity = lanes->capacity ? 2 * lanes->capacity : 16;
    struct deadlines due;
    struct lane *items = reallocarray(lanes->items, capacity, sizeof(*items));
    if (!items)
        return -ENOMEM;
    lanes->items = items;
    uint32_t *slots = calloc(4 * capacity, sizeof(*slots));
    if (!slots || deadlines_init(&due, (uint32_t)capacity) < 0) {
        free(slots);
        return -ENOMEM;
    }
    free(lanes->slots);
    lanes->slots = slots;
    for (uint32_t i = 0; i < lanes->due.count; i++)
        deadlines_add(&due, lanes->due.heap[i].item, lanes->due.heap[i].time);
    deadlines_release(&lanes->due);
    lanes->due = due;
    lanes->capacity = capacity;
    for (uint32_t i = 0; i < (uint32_t)lanes->count; i++)
        *find_slot(lanes, items[i].host) = i + 1;
    return 0;
}

int lanes_add(struct lanes *lanes, const struct plan *plan, uint64_t host, unsigned earlier,
              double rate, uint64_t check, uint64_t now)
{
    if (lanes_find(lanes, host) || lanes->count == LANES)
        return 0;
    if (lanes->count == lanes->capacity && grow(lanes) < 0)
        return -ENOMEM;
    *find_slot(lanes, host) = (uint32_t)lanes->count + 1;
    lanes->items[lanes->count] = (struct lane){
        .host = host,
        .next = first_index(plan, host),
        .rate = fmax(RATE_LEAST, SLOWER * rate),
        .pass = 1,
        .earlier = earlier,
        .check = check,
        .answered = now,
    };
    /* A bucket that counts by the second may be empty still. */
    deadlines_add(&lanes->due, (uint32_t)lanes->count, now + NANOSECONDS_PER_SECOND);
    lanes->count++;
    lanes->active++;
    return 0;
}

/* ---- asking ---- */

static void set_due(struct lanes *lanes, uint32_t number, uint64_t time)
{
    deadlines_remove(&lanes->due, number);
    deadlines_add(&lanes->due, number, time);
}

/* The lane's first silent index from `index` on, or the end of its host. */
static uint64_t next_silent(const struct lanes *lanes, const struct lane *lane,
                            const struct plan *plan, const struct ledger *ledger, uint64_t index)
{
    uint64_t end = first_index(plan, lane->host + 1);
    index = ledger_next_silent(ledger, index);
    while (index < end && lanes->includes && !lanes->includes(lanes->user, index))
        index = ledger_next_silent(ledger, index + 1);
    return index < end ? index : end;
}

static uint64_t count_silent(const struct lanes *lanes, const struct lane *lane,
                             const struct plan *plan, const struct ledger *ledger)
{
    uint64_t end = first_index(plan, lane->host + 1), count = 0;
    uint64_t index = next_silent(lanes, lane, plan, ledger, first_index(plan, lane->host));
    for (; index < end; index = next_silent(lanes, lane, plan, ledger, index + 1))
        count++;
    return count;
}

static bool is_satisfied(const struct lane *lane, const struct lane_options *options,
                         uint64_t silent)
{
    if (silent == 0 || lane->pass >= options->tries || lane->pass >= LANE_PASSES)
        return true;
    if (lane->doubtful)
        return false;
    unsigned passes = lane->pass - lane->first;
    const uint64_t *answers = lane->answers + lane->first;
    struct recall recall = recall_estimate(answers, passes, silent);
    if (recall.known)
        return recall_suffices(&recall, answers, passes, options->recall);
    return passes >= 2; /* nothing more came, twice */
}

static bool is_deaf(unsigned heard, unsigned asked, double share)
{
    return 2 * heard <= asked && chance_of_at_most(heard, asked, share) < DEAF;
}

/* Whether more came in a pass than the path has lost of what was asked for in the one before. */
static bool came_late(double answers, double before, double share)
{
    double lost = fmax(LATE, 1 - share) * before;
    return answers > lost + 3 * sqrt(lost) + 1;
}

/* The pass is over and its answers have had their time. Returns whether there is another. */
static bool next_pass(const struct lanes *lanes, struct lane *lane, const struct plan *plan,
                      const struct ledger *ledger, const struct lane_options *options)
{
    if (is_satisfied(lane, options, count_silent(lanes, lane, plan, ledger)))
        return false;
    double answers = (double)lane->answers[lane->pass - 1];
    bool comparable = lane->pass - lane->first >= 2;
    double before = comparable ? (double)lane->answers[lane->pass - 2] : answers;
    if (is_deaf(lane->check_answers, lane->checks, options->share) ||
        (comparable && came_late(answers, before, options->share))) {
        lane->rate = fmax(RATE_LEAST, lane->rate / 2);
        lane->settled = lane->doubtful = true;
    }
    if (lane->doubtful)
        lane->first = lane->pass; /* what it loses now is another thing */
    lane->pass++;
    lane->next = first_index(plan, lane->host);
    lane->resting = false;
    lane->checks = lane->check_answers = 0;
    lane->window = lane->window_answers = 0;
    lane->doubtful = false;
    return true;
}

/* A host that has not answered anything for so long, and so many, is not slow but gone. */
static bool is_gone(const struct lane *lane, uint64_t now)
{
    return lane->check != LANE_NO_CHECK && lane->unanswered >= GONE_PROBES &&
           now - lane->answered >= GONE_TIME;
}

/* What the host has answered up to now was little where nothing limits it: the rate rises as long
 * as the checks are answered, and goes back to the last good one when they are not. Returns how
 * long to leave the host in peace: one that counts by the second has nothing left for this one. */
static uint64_t adapt(struct lane *lane, double share)
{
    unsigned missing = lane->window - lane->window_answers;
    bool deaf = is_deaf(lane->window_answers, lane->window, share);
    lane->window = lane->window_answers = 0;
    if (!deaf) {
        lane->good = lane->rate;
        if (missing <= 1 && !lane->settled)
            lane->rate = fmin(RATE_MOST, lane->rate * 2);
        return 0;
    }
    bool known = lane->good > 0 && lane->good < lane->rate;
    lane->rate = fmax(RATE_LEAST, known ? lane->good : lane->rate / 2);
    lane->settled = lane->doubtful = true;
    return NANOSECONDS_PER_SECOND;
}

/* What the lane asks next: a check now and then, otherwise the next silent port. */
static uint64_t take_index(struct lane *lane, uint64_t silent, uint64_t now)
{
    lane->unanswered++;
    if (lane->check != LANE_NO_CHECK && ++lane->since_check > CHECK_PERIOD) {
        lane->since_check = 0;
        lane->checks++;
        lane->window++;
        return lane->check;
    }
    lane->next = silent + 1;
    lane->recent[lane->recent_next].index = silent;
    lane->recent[lane->recent_next].time = now;
    lane->recent_next = (lane->recent_next + 1) % LANE_RECENT;
    return silent;
}

bool lanes_next(struct lanes *lanes, const struct plan *plan, const struct ledger *ledger,
                const struct lane_options *options, uint64_t now, uint64_t *ret_index)
{
    uint32_t number;
    uint64_t due;
    while (deadlines_first(&lanes->due, &number, &due) && due <= now) {
        struct lane *lane = &lanes->items[number];
        if (is_gone(lane, now) ||
            (lane->resting && !next_pass(lanes, lane, plan, ledger, options))) {
            deadlines_remove(&lanes->due, number);
            lanes->active--;
            continue;
        }
        uint64_t index = next_silent(lanes, lane, plan, ledger, lane->next);
        if (index >= first_index(plan, lane->host + 1)) {
            lane->resting = true;
            set_due(lanes, number, now + options->patience);
            continue;
        }
        uint64_t rest = lane->window >= WINDOW ? adapt(lane, options->share) : 0;
        if (rest) {
            set_due(lanes, number, now + rest);
            continue;
        }
        *ret_index = take_index(lane, index, now);
        /* What was late is not made up for: the host counts by the clock. */
        set_due(lanes, number, (due + interval(lane) > now ? due : now) + interval(lane));
        return true;
    }
    return false;
}

uint64_t lanes_wait(const struct lanes *lanes, uint64_t now, uint64_t wait)
{
    uint32_t number;
    uint64_t due;
    if (!lanes->active || !deadlines_first(&lanes->due, &number, &due))
        return wait;
    uint64_t left = due > now ? due - now : 0;
    return left < wait ? left : wait;
}

/* ---- hearing ---- */

void lane_hear(struct lane *lane, bool check, uint64_t now)
{
    lane->unanswered = 0;
    lane->answered = now;
    if (check && lane->check_answers < lane->checks) {
        lane->check_answers++;
        lane->window_answers += lane->window_answers < lane->window;
    } else if (!check)
        lane->answers[lane->pass - 1]++;
}

uint64_t lane_time(const struct lane *lane, uint64_t index)
{
    uint64_t time = 0;
    for (unsigned i = 0; i < LANE_RECENT; i++)
        if (lane->recent[i].index == index && lane->recent[i].time > time)
            time = lane->recent[i].time;
    return time;
}

void lanes_recall(const struct lanes *lanes, const struct plan *plan, const struct ledger *ledger,
                  double *heard, double *missing, double *missing_most, uint64_t *ret_silent)
{
    *ret_silent = 0;
    for (size_t i = 0; i < lanes->count; i++) {
        const struct lane *lane = &lanes->items[i];
        uint64_t silent = count_silent(lanes, lane, plan, ledger);
        double answers = 0;
        for (unsigned pass = 0; pass < lane->pass; pass++)
            answers += (double)lane->answers[pass];
        struct recall recall =
            recall_estimate(lane->answers + lane->first, lane->pass - lane->first, silent);
        *ret_silent += silent;
        *heard += answers;
        if (recall.known && recall.estimate > 0 && recall.low > 0) {
            *missing += answers / recall.estimate - answers;
            *missing_most += answers / recall.low - answers;
        } else { /* it may go on as it ended */
            *missing_most += (double)lane->answers[lane->pass - 1];
        }
    }
    *heard += (double)lanes->earlier_answers;
}
