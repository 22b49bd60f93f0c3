/* The closed loop that finds the rate. */
#include "scan/steer.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>

#define KEPT_LOSS                                                                                  \
    0.6 /* of what got through when packets were lost: the queue has to drain, too                 \
         */
#define KEPT 0.9
#define NEAR 0.95        /* of the ceiling, above which the rate rises slowly */
#define RISE_SEEKING 2.0 /* an epoch, before the path was ever overrun */
#define RISE_FAR 1.15
#define RISE_NEAR 0.02
#define PATIENCE 4    /* good epochs between two such rises */
#define FORGOTTEN 1.3 /* a ceiling that the rate has passed by so much is none */
#define DRAINED 0.05  /* seconds of queue, for which half of the rate is left free */
#define SWELL 0.005   /* seconds by which round trips may grow without being noticed */
#define POOLED 8      /* epochs that are looked at together */
#define MEMORY 4000.0 /* canaries from which the usual share is known */
#define PRIOR 24.0    /* canaries that a guess is worth */
#define BUSY 0.8      /* of the rate: a machine that sends less is at its end */
#define HOPELESS 0.4  /* a path that loses more than the rest at any rate is none to hurry on */
#define DEEP 0.25     /* of the rate before the falls: low enough to tell */
#define CERTAIN 48    /* canaries asked since the last fall */
#define GAIN 0.3      /* of what was lost, to be heard again */

void steer_init(struct steer *steer, double minimum, double maximum)
{
    *steer = (struct steer){
        .minimum = minimum > STEER_LEAST ? minimum : STEER_LEAST,
        .maximum = maximum > 0 ? maximum : INFINITY,
        .share = 1, /* until shown otherwise, by more than one canary */
        .share_weight = PRIOR,
        .delay = -1,
        .limit = STEER_BLIND,
    };
    if (steer->maximum < steer->minimum)
        steer->minimum = steer->maximum;
    steer->rate = fmin(fmax(STEER_START, steer->minimum), steer->maximum);
}

/* How many of `asked` canaries must be missing for chance not to explain it: three standard
 * deviations and one. */
static double tolerance(double share, double asked)
{
    double unsure = fmin(share, 1 - 1 / (asked + 2)); /* no loss seen is not no loss */
    return 1 + 3 * sqrt(asked * unsure * (1 - unsure));
}

static bool fell_silent(double share, double asked, double heard)
{
    return asked > 0 && share * asked - heard > tolerance(share, asked);
}

static void pool_reset(struct steer *steer)
{
    steer->asked = steer->heard = 0;
    steer->epochs = 0;
}

static void pool_add(struct steer *steer, const struct epoch *epoch)
{
    if (steer->epochs == POOLED) {
        steer->asked -= steer->asked / POOLED;
        steer->heard -= steer->heard / POOLED;
    } else {
        steer->epochs++;
    }
    steer->asked += epoch->asked;
    steer->heard += epoch->heard;
}

/* What is wrong with the epoch, or STEER_SEEKING. */
static enum steer_limit find_trouble(const struct steer *steer, const struct epoch *epoch)
{
    if (epoch->refused)
        return STEER_SENDING;
    if (epoch->missed)
        return STEER_RECEIVING;
    if (fell_silent(steer->share, epoch->asked, epoch->heard) ||
        (epoch->heard < steer->share * epoch->asked &&
         fell_silent(steer->share, steer->asked, steer->heard)))
        return STEER_LOSS;
    if (steer->delay >= 0 && epoch->delay > 2 * steer->delay + SWELL &&
        epoch->delay >= steer->delay_before) /* a queue that drains asks for nothing but time */
        return STEER_DELAY;
    return STEER_SEEKING;
}

static void learn(struct steer *steer, const struct epoch *epoch)
{
    double weight = fmin(steer->share_weight, MEMORY);
    steer->share = (steer->share * weight + epoch->heard) / (weight + epoch->asked);
    steer->share_weight = weight + epoch->asked;
    if (epoch->delay >= 0)
        steer->delay = steer->delay < 0 ? epoch->delay : fmin(steer->delay, epoch->delay);
}

static bool set_rate(struct steer *steer, double rate)
{
    double before = steer->rate;
    steer->rate = fmin(fmax(rate, steer->minimum), steer->maximum);
    return steer->rate != before;
}

/* Falls to what got through. Answers that come from a queue say that it got through, but not that
 * it would go on to: then the rate itself is the measure, less what drains the queue. */
static bool fall(struct steer *steer, const struct epoch *epoch, enum steer_limit trouble)
{
    double passed = 1;
    if (trouble == STEER_LOSS && epoch->asked)
        passed = fmin(1, fmax(0.05, epoch->heard / (epoch->asked * steer->share)));
    else if (trouble == STEER_DELAY && steer->ceiling <= 0)
        passed = (1 + 1 / RISE_SEEKING) / 2; /* half of the rate was not too much */
    double carried = epoch->rate * passed;
    if (steer->fallen_from <= 0) {
        steer->fallen_from = steer->rate;
        steer->fallen_share = epoch->asked ? (double)epoch->heard / epoch->asked : 0;
    }
    steer->limit = trouble;
    steer->good = 0;
    steer->ceiling = fmin(carried, steer->rate);
    pool_reset(steer);
    double kept = trouble == STEER_LOSS ? KEPT_LOSS : KEPT;
    if (trouble == STEER_DELAY) /* the longer the queue, the more room it needs to drain */
        kept *= DRAINED / (DRAINED + epoch->delay - steer->delay);
    return set_rate(steer, kept * steer->ceiling);
}

/* Where the rate is what loses, a quarter of it lets much more through. Falls that have brought
 * nothing show how this path is at any rate, and that is no reason to be slow. */
static bool fell_in_vain(struct steer *steer)
{
    if (steer->fallen_from <= 0 || steer->rate > DEEP * steer->fallen_from ||
        steer->asked < CERTAIN)
        return false;
    double share = steer->heard / steer->asked;
    if (share < HOPELESS || share > steer->fallen_share + (1 - steer->fallen_share) * GAIN)
        return false;
    steer->share = share;
    steer->share_weight = steer->asked;
    steer->ceiling = steer->fallen_from; /* what so few canaries cannot tell is not hurried past */
    return true;
}

static bool rise(struct steer *steer, const struct epoch *epoch)
{
    if (epoch->rate < BUSY * steer->rate) { /* a higher rate would change nothing */
        if (steer->limit == STEER_SEEKING || steer->limit == STEER_BLIND)
            steer->limit = STEER_PROCESSOR;
        return false;
    }
    if (steer->rate >= steer->maximum) {
        steer->limit = STEER_CEILING;
        return false;
    }
    if (steer->ceiling > 0 && steer->rate > FORGOTTEN * steer->ceiling)
        steer->ceiling = 0;
    if (epoch->heard < steer->share * epoch->asked / 2)
        return false; /* too few to be trouble, and no encouragement */
    if (steer->ceiling <= 0) {
        steer->limit = STEER_SEEKING;
        return set_rate(steer, steer->rate * RISE_SEEKING);
    }
    double near = NEAR * steer->ceiling;
    if (steer->rate < near)
        return set_rate(steer, fmin(near, steer->rate * RISE_FAR));
    /* Gently at first, and the more boldly the longer nothing goes wrong. */
    unsigned steps = steer->good / PATIENCE;
    double bold = fmin(RISE_SEEKING - 1, RISE_NEAR * exp2(steps < 1 ? 0 : steps - 1.0));
    return steer->good % PATIENCE == 0 && set_rate(steer, steer->rate * (1 + bold));
}

bool steer_judge(struct steer *steer, const struct epoch *epoch)
{
    pool_add(steer, epoch);
    enum steer_limit trouble = find_trouble(steer, epoch);
    if (epoch->delay >= 0)
        steer->delay_before = epoch->delay;
    if (trouble == STEER_LOSS && fell_in_vain(steer)) {
        double before = steer->fallen_from;
        steer->fallen_from = 0;
        pool_reset(steer);
        return set_rate(steer, before);
    }
    if (trouble != STEER_SEEKING) {
        bool again = steer->troubled;
        steer->troubled = !again;
        /* Once may be a hiccup of either machine, or chance. */
        return again && fall(steer, epoch, trouble);
    }
    steer->troubled = false;
    steer->fallen_from = 0;
    steer->good++;
    if (epoch->asked == 0)
        return false;
    if (steer->ceiling <= 0 || steer->rate <= steer->ceiling)
        learn(steer, epoch); /* beyond, the loss may be that of a path about to be overrun */
    return rise(steer, epoch);
}

const char *steer_limit_text(const struct steer *steer, char text[static STEER_TEXT_SIZE])
{
    const char *what = NULL;
    switch (steer->limit) {
    case STEER_LOSS:
        what = "the path, which loses packets";
        break;
    case STEER_DELAY:
        what = "the path, whose round trips swell";
        break;
    case STEER_SENDING:
        what = "this machine, whose send queue is full";
        break;
    case STEER_RECEIVING:
        what = "this machine, which misses answers";
        break;
    case STEER_PROCESSOR:
        return "this machine's processor";
    case STEER_CEILING:
        return "--rate";
    case STEER_BLIND:
        return "caution: nothing answers that could tell what the path carries";
    case STEER_SEEKING:
        return NULL;
    }
    char rate[TEXT_NUMBER_SIZE];
    snprintf(text, STEER_TEXT_SIZE, "%s above %s packets a second", what,
             text_grouped((uint64_t)(steer->ceiling > 0 ? steer->ceiling : steer->rate), rate));
    return text;
}
