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
#define RATE_LEAST 2.0
#define WINDOW 6       /* checks, or that many more */
#define CHECK_PERIOD 8 /* ports between two checks, */
#define CHECK_PERIOD_SLOW 3
#define SLOW 50.0 /* below so many probes a second, where windows would take long */
#define ONE 1.5   /* port that may be missing, or less: asking on for it is not worth the time */
#define GONE_PROBES 64
#define GONE_TIME (3 * NANOSECONDS_PER_SECOND)
#define GONE_UNCHECKED 16 /* times as many, and as long, when silence may be all ports' own */
#define LATE 0.1    /* of a pass's answers, coming in the next one: the lane is too fast still */
#define OVERRUN 0.5 /* of the answers come when a host is asked too fast */
#define SURE_GOOD (-1.8) /* logarithms of how much likelier that is, at which it is decided */
#define SURE_BAD 5.0
#define WINDOW_MOST 30 /* checks, after which it is decided by */
#define EVEN 1.0
#define CARRIED_LEAST 0.4 /* by a host's path that loses more than others at any rate */
#define GAIN 0.1          /* of the share that is answered, for which to judge a fall */
#define RISE 1.25         /* once the rate was too high, after good answers for so long: */
#define RISE_TIME (2 * NANOSECONDS_PER_SECOND)
#define NEAR 1.3 /* times the good rate: between them nothing is to be gained */
#define FORGOTTEN (30 * NANOSECONDS_PER_SECOND)  /* that a rate was bad */
#define TIME_LEAST (60 * NANOSECONDS_PER_SECOND) /* that a lane has, and more for each port */
#define TIME_PORT (15 * NANOSECONDS_PER_MILLISECOND)
#define HOPELESS 3 /* windows at the least rate that were too fast */

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
    uint64_t first = first_index(plan, host);
    lanes->items[lanes->count] = (struct lane){
        .host = host,
        .next = first,
        .covered = first,
        .began = now,
        .rate = fmax(RATE_LEAST, fmin(RATE_MOST, SLOWER * rate)),
        .rate_since = now,
        .share = 1,
        .seeking = true,
        .pass = 1,
        .earlier = earlier,
        .check = check,
        .until_check = CHECK_PERIOD,
        .trying = check != LANE_NO_CHECK,
        .window.size = check == LANE_NO_CHECK ? 0 : WINDOW,
        .answered = now,
    };
    /* A bucket that counts by the second may be empty still, which without a check nobody knows. */
    uint64_t rest = check == LANE_NO_CHECK ? NANOSECONDS_PER_SECOND : 0;
    deadlines_add(&lanes->due, (uint32_t)lanes->count, now + rest);
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

static uint64_t count_silent_from(const struct lanes *lanes, const struct lane *lane,
                                  const struct plan *plan, const struct ledger *ledger,
                                  uint64_t index)
{
    uint64_t end = first_index(plan, lane->host + 1), count = 0;
    index = next_silent(lanes, lane, plan, ledger, index);
    for (; index < end; index = next_silent(lanes, lane, plan, ledger, index + 1))
        count++;
    return count;
}

static uint64_t count_silent(const struct lanes *lanes, const struct lane *lane,
                             const struct plan *plan, const struct ledger *ledger)
{
    return count_silent_from(lanes, lane, plan, ledger, first_index(plan, lane->host));
}

static double count_answers(const struct lane *lane)
{
    double answers = 0;
    for (unsigned pass = 0; pass < lane->pass; pass++)
        answers += (double)lane->answers[pass];
    return answers;
}

static struct recall recall_of(const struct lane *lane, uint64_t silent)
{
    return recall_estimate(lane->answers + lane->first, lane->pass - lane->first, silent);
}

/* What the passes since it was slowed down last are estimated to have missed; and at most. */
static void count_missing(const struct lane *lane, const struct recall *recall, double *ret_missing,
                          double *ret_most)
{
    double answers = 0;
    for (unsigned pass = lane->first; pass < lane->pass; pass++)
        answers += (double)lane->answers[pass];
    *ret_missing = answers / recall->estimate - answers;
    *ret_most = answers / recall->low - answers;
}

static bool is_satisfied(const struct lane *lane, const struct lane_options *options,
                         uint64_t silent)
{
    if (silent == 0 || lane->pass >= options->tries || lane->pass >= LANE_PASSES)
        return true;
    if (lane->doubtful)
        return false;
    struct recall recall = recall_of(lane, silent);
    if (!recall.known || recall.estimate <= 0 || recall.low <= 0)
        return lane->pass - lane->first >= 2; /* nothing more came, twice */
    double missing, most, allowed = count_answers(lane) * (1 / options->recall - 1);
    count_missing(lane, &recall, &missing, &most);
    return missing <= allowed && most <= fmax(allowed, ONE);
}

/* Whether more came in a pass than the path has lost of what was asked for in the one before. */
static bool came_late(double answers, double before, double share)
{
    double lost = fmax(LATE, 1 - share) * before;
    return answers > lost + 3 * sqrt(lost) + 1;
}

static void set_rate(struct lane *lane, double rate, uint64_t now)
{
    lane->rate = fmax(RATE_LEAST, fmin(RATE_MOST, rate));
    lane->rate_since = now;
    lane->rate_checks = lane->rate_answers = 0;
}

static double answered_share(const struct lane *lane)
{
    return lane->rate_checks ? (double)lane->rate_answers / lane->rate_checks : 0;
}

/* Goes back to the last good rate, or to `kept` of the present one. */
static void fall(struct lanes *lanes, struct lane *lane, double kept, uint64_t now)
{
    bool known = lane->good > 0 && lane->good < lane->rate;
    if (!lane->fallen)
        lanes->slow++;
    lane->seeking = false;
    if (lane->fallen_from <= 0) {
        lane->fallen_from = lane->rate;
        lane->fallen_share = answered_share(lane);
    }
    lane->fallen = now;
    lane->bad = lane->rate;
    if (!known)
        lane->good = 0;
    set_rate(lane, known ? lane->good : kept * lane->rate, now);
}

/* Where the rate is to blame, a host answers the larger a share the lower it is. If it does not, it
 * is the host's own path that loses so much at any rate, which is no reason to be slow. */
static bool fell_in_vain(struct lane *lane, double share)
{
    double now = answered_share(lane);
    if (lane->fallen_from <= 0 || lane->rate_checks < 2 * WINDOW || now < CARRIED_LEAST)
        return false;
    double before = lane->fallen_share;
    double expected = fmin(share, before * lane->fallen_from / lane->rate);
    if (expected - before < GAIN || now >= (before + expected) / 2)
        return false;
    lane->share = fmin(lane->share, now);
    lane->fallen_from = lane->bad = 0;
    lane->rate_checks = lane->rate_answers = 0;
    return true;
}

static void begin_window(struct lane *lane)
{
    lane->window.checks = lane->window.answers = 0;
    lane->window.size = lane->check == LANE_NO_CHECK ? 0 : WINDOW;
}

/* The pass is over and its answers have had their time. Returns whether there is another. */
static bool next_pass(struct lanes *lanes, struct lane *lane, const struct plan *plan,
                      const struct ledger *ledger, const struct lane_options *options, uint64_t now)
{
    if (is_satisfied(lane, options, count_silent(lanes, lane, plan, ledger)))
        return false;
    double answers = (double)lane->answers[lane->pass - 1];
    bool comparable = lane->pass - lane->first >= 2;
    double before = comparable ? (double)lane->answers[lane->pass - 2] : answers;
    if (lane->check == LANE_NO_CHECK && comparable && came_late(answers, before, options->share)) {
        fall(lanes, lane, 0.5, now);
        lane->doubtful = true;
    }
    if (lane->doubtful)
        lane->first = lane->pass; /* what it loses now is another thing */
    /* The fewer ports are left that answer, the faster they may be asked. */
    lane->seeking = true;
    lane->pass++;
    lane->next = lane->covered = first_index(plan, lane->host);
    lane->resting = lane->doubtful = false;
    lane->checks = lane->check_answers = 0;
    begin_window(lane);
    return true;
}

/* A host that has not answered anything for so long, and so many, is not slow but gone. */
static bool is_gone(const struct lane *lane, uint64_t now)
{
    unsigned times = lane->check == LANE_NO_CHECK ? GONE_UNCHECKED : 1;
    return lane->unanswered >= times * GONE_PROBES && now - lane->answered >= times * GONE_TIME;
}

/* ---- the rate ---- */

static unsigned check_period(const struct lane *lane)
{
    return lane->rate < SLOW ? CHECK_PERIOD_SLOW : CHECK_PERIOD;
}

/* Whether all checks of the window were asked and have had their time. */
static bool is_heard(const struct lane *lane, uint64_t patience, uint64_t now)
{
    return lane->window.checks > 0 && lane->window.checks >= lane->window.size &&
           (lane->window.answers >= lane->window.checks || now - lane->window.asked >= patience);
}

/* Doubles the rate as long as it was not too high in this pass. After that raises it gently, after
 * a time in which nothing went wrong. Returns false when there is nothing to be gained. */
static bool rise(struct lane *lane, uint64_t now)
{
    if (lane->seeking) {
        lane->good = lane->rate;
        set_rate(lane, lane->rate * 2, now);
        return true;
    }
    if (now - lane->rate_since < RISE_TIME)
        return true;
    lane->good = lane->rate;
    lane->fallen_from = 0;
    if (now - lane->fallen >= FORGOTTEN)
        lane->bad = 0;
    if (lane->bad > 0 && lane->bad < NEAR * lane->rate)
        return false;
    double most = lane->bad > 0 ? (lane->rate + lane->bad) / 2 : RATE_MOST;
    set_rate(lane, fmin(RISE * lane->rate, most), now);
    return true;
}

static uint64_t time_most(const struct plan *plan)
{
    return TIME_LEAST + plan->ports->size * TIME_PORT;
}

/* Whether what is left of the pass takes more time than the lane has, at that rate. */
static bool takes_too_long(const struct lanes *lanes, const struct lane *lane,
                           const struct plan *plan, const struct ledger *ledger, double rate,
                           uint64_t now)
{
    uint64_t left = count_silent_from(lanes, lane, plan, ledger, lane->next);
    double seconds = (double)left * (1 + 1.0 / check_period(lane)) / rate;
    return seconds * (double)NANOSECONDS_PER_SECOND >
           (double)time_most(plan) - (double)(now - lane->began);
}

enum verdict { GO_ON, REST, GIVE_UP };

/* What there is to do when the host leaves checks unanswered. What was asked since those that it
 * has answered was asked in vain. One that counts by the second has nothing left for this one. */
static enum verdict slow_down(struct lanes *lanes, struct lane *lane, const struct plan *plan,
                              const struct ledger *ledger, double share, uint64_t now)
{
    bool tried = lane->trying;
    lane->trying = false;
    lane->next = lane->covered;
    if (tried || fell_in_vain(lane, share))
        return REST;
    lane->hopeless += lane->rate <= RATE_LEAST;
    fall(lanes, lane, 0.5, now);
    bool hopeless =
        lane->hopeless >= HOPELESS ||
        takes_too_long(lanes, lane, plan, ledger, lane->bad, now); /* and that was too fast */
    return hopeless ? GIVE_UP : REST;
}

/* Adapts the rate to what the window says: does the host answer as its path lets it, or is it asked
 * too fast? As long as that is open the window grows (Wald's sequential test). */
static enum verdict judge_window(struct lanes *lanes, struct lane *lane, const struct plan *plan,
                                 const struct ledger *ledger, double share, uint64_t now)
{
    unsigned checks = lane->window.checks, answers = lane->window.answers;
    double worse =
        answers * log(OVERRUN) + (checks - answers) * log((1 - OVERRUN * share) / (1 - share));
    if (worse > SURE_GOOD && worse < SURE_BAD && checks < WINDOW_MOST) {
        lane->window.size = checks + WINDOW;
        return GO_ON;
    }
    uint64_t covered = lane->window.next;
    lane->rate_checks += checks;
    lane->rate_answers += answers;
    begin_window(lane);
    if (worse > EVEN)
        return slow_down(lanes, lane, plan, ledger, share, now);
    lane->trying = false;
    lane->covered = covered;
    lane->hopeless = 0;
    bool found = !rise(lane, now);
    return found && takes_too_long(lanes, lane, plan, ledger, lane->rate, now) ? GIVE_UP : GO_ON;
}

/* ---- what is asked ---- */

static uint64_t take_check(struct lane *lane, uint64_t now)
{
    /* At random: a host that counts in the lane's own rhythm might answer nothing but checks. */
    lane->until_check = (unsigned)(mix64(now + lane->host) % (2 * check_period(lane) + 1));
    lane->unanswered++;
    lane->checks++;
    lane->window.checks++;
    lane->window.asked = now;
    lane->window.next = lane->next;
    return lane->check;
}

static uint64_t take_port(struct lane *lane, uint64_t index, uint64_t now)
{
    lane->unanswered++;
    lane->until_check -= lane->until_check > 0;
    lane->next = index + 1;
    lane->recent[lane->recent_next].index = index;
    lane->recent[lane->recent_next].time = now;
    lane->recent_next = (lane->recent_next + 1) % LANE_RECENT;
    return index;
}

static void end(struct lanes *lanes, uint32_t number)
{
    deadlines_remove(&lanes->due, number);
    lanes->active--;
}

static void give_up(struct lanes *lanes, uint32_t number)
{
    lanes->items[number].given_up = true;
    lanes->given_up++;
    end(lanes, number);
}

/* What the lane asks now, if anything: a check now and then until the window has all of its own,
 * otherwise the next silent port; and checks alone as long as it tries, and when its ports are
 * through but not covered. */
static bool take_index(struct lane *lane, uint64_t silent, uint64_t end, uint64_t now,
                       uint64_t *ret_index)
{
    bool checks = lane->window.checks < lane->window.size;
    bool ports = !lane->trying && silent < end;
    if (checks && (!ports || lane->until_check == 0))
        *ret_index = take_check(lane, now);
    else if (ports)
        *ret_index = take_port(lane, silent, now);
    return checks || ports;
}

/* Whether the pass has asked everything, and is sure of what has not answered. */
static bool is_through(const struct lanes *lanes, const struct lane *lane, const struct plan *plan,
                       const struct ledger *ledger, uint64_t silent)
{
    uint64_t end = first_index(plan, lane->host + 1);
    return silent >= end && (lane->check == LANE_NO_CHECK ||
                             next_silent(lanes, lane, plan, ledger, lane->covered) >= end);
}

/* Brings a lane that is due forward to its next probe. Returns whether it asks one now. */
static bool advance(struct lanes *lanes, uint32_t number, uint64_t due, const struct plan *plan,
                    const struct ledger *ledger, const struct lane_options *options, uint64_t now,
                    uint64_t *ret_index)
{
    struct lane *lane = &lanes->items[number];
    if (is_gone(lane, now)) {
        if (lane->check == LANE_NO_CHECK) /* it may just have no more ports that answer */
            end(lanes, number);
        else
            give_up(lanes, number);
        return false;
    }
    if (lane->resting && !next_pass(lanes, lane, plan, ledger, options, now)) {
        end(lanes, number);
        return false;
    }
    enum verdict verdict = GO_ON;
    if (is_heard(lane, options->patience, now))
        verdict = judge_window(lanes, lane, plan, ledger, fmin(options->share, lane->share), now);
    uint64_t silent = next_silent(lanes, lane, plan, ledger, lane->next);
    if (verdict == GIVE_UP || now - lane->began >= time_most(plan)) {
        lanes->given_up_rate = fmax(lanes->given_up_rate, fmax(lane->rate, lane->bad));
        give_up(lanes, number);
    } else if (verdict == REST) {
        set_due(lanes, number, now + NANOSECONDS_PER_SECOND);
    } else if (is_through(lanes, lane, plan, ledger, silent)) {
        lane->resting = true;
        set_due(lanes, number, now + options->patience);
    } else if (take_index(lane, silent, first_index(plan, lane->host + 1), now, ret_index)) {
        /* What was late is not made up for: the host counts by the clock. */
        set_due(lanes, number, (due + interval(lane) > now ? due : now) + interval(lane));
        return true;
    } else { /* the answers to its checks may all come before they must have come */
        set_due(lanes, number, now + options->patience / 8);
    }
    return false;
}

bool lanes_next(struct lanes *lanes, const struct plan *plan, const struct ledger *ledger,
                const struct lane_options *options, uint64_t now, uint64_t *ret_index)
{
    uint32_t number;
    uint64_t due;
    while (deadlines_first(&lanes->due, &number, &due) && due <= now)
        if (advance(lanes, number, due, plan, ledger, options, now, ret_index))
            return true;
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
    if (check) {
        lane->check_answers += lane->check_answers < lane->checks;
        lane->window.answers += lane->window.answers < lane->window.checks;
    } else {
        lane->answers[lane->pass - 1]++;
    }
}

uint64_t lane_time(const struct lane *lane, uint64_t index)
{
    uint64_t time = 0;
    for (unsigned i = 0; i < LANE_RECENT; i++)
        if (lane->recent[i].index == index && lane->recent[i].time > time)
            time = lane->recent[i].time;
    return time;
}

/* Adds what a host may have kept back of the ports that its lane had no time for: as many of them
 * answer as of those that were asked in this pass, in proportion to the checks that were answered;
 * or all of them, at most. */
static void add_given_up(const struct lanes *lanes, const struct lane *lane,
                         const struct plan *plan, const struct ledger *ledger, uint64_t silent,
                         double *missing, double *missing_most)
{
    uint64_t left = count_silent_from(lanes, lane, plan, ledger, lane->next);
    double answers = (double)lane->answers[lane->pass - 1];
    double ports = answers + (double)(silent - left);
    double carried = (lane->check_answers + 0.5) / (lane->checks + 1);
    double share = fmin(1, (answers + 0.5) / (ports + 1) / carried);
    *missing += share * (double)left;
    *missing_most += (double)left;
}

void lanes_recall(const struct lanes *lanes, const struct plan *plan, const struct ledger *ledger,
                  double *heard, double *missing, double *missing_most, uint64_t *ret_silent)
{
    *ret_silent = 0;
    for (size_t i = 0; i < lanes->count; i++) {
        const struct lane *lane = &lanes->items[i];
        uint64_t silent = count_silent(lanes, lane, plan, ledger);
        struct recall recall = recall_of(lane, silent);
        *ret_silent += silent;
        *heard += count_answers(lane);
        if (lane->given_up)
            add_given_up(lanes, lane, plan, ledger, silent, missing, missing_most);
        if (recall.known && recall.estimate > 0 && recall.low > 0) {
            double estimate, most;
            count_missing(lane, &recall, &estimate, &most);
            *missing += estimate;
            *missing_most += most;
        } else { /* it may go on as it ended */
            *missing_most += (double)lane->answers[lane->pass - 1];
        }
    }
    *heard += (double)lanes->earlier_answers;
}
