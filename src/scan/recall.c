/* The recall estimate. */
#include "scan/recall.h"

#include "scan/chance.h"

#include <limits.h>
#include <math.h>

/* The logarithm of how likely it is that `missing` ports answer and were not heard, but for a term
 * that is the same for all numbers. If H ports were heard, which lost `lost` attempts in all before
 * they were, then the likelihood of M more that lost all their k attempts is
 *
 *     C(H + M, M) q^(lost + k M) (1 - q)^H
 *
 * which is averaged over the unknown q with Jeffreys' prior for a share, Beta(1/2, 1/2), and over
 * the number of ports with the prior 1 / (H + M): a Beta function remains. */
static double log_likelihood(double heard, double lost, double passes, double missing)
{
    int sign; /* lgamma() would write it to a variable that all threads share */
    double losses = lost + passes * missing + 0.5;
    return lgamma_r(heard + missing, &sign) - lgamma_r(missing + 1, &sign) +
           lgamma_r(losses, &sign) - lgamma_r(losses + heard + 0.5, &sign);
}

/* Up to so many are looked at together with `missing`: one in a hundred is precise enough, and one
 * in ten where there are none of them. */
static double block_size(double missing, double silent)
{
    return 1 + floor(missing / (missing <= silent ? 100 : 10));
}

#define NEGLIGIBLE 30 /* below the highest logarithm: one in ten million million */
#define TAIL 1e-4     /* of the whole, beyond what is silent */

/* A scan that ends when it likes its estimate is wrong more often than one whose passes are counted
 * beforehand: so much makes it right in 95 of 100 scans. */
#define CERTAINTY 0.975

#define UNLIKELY 0.01 /* that chance makes so much more be found later */

/* With 95% certainty no more ports are missing than this. How many are silent bounds it but makes
 * nothing likelier: all of them may be missing. */
static double missing_upper(double heard, double lost, double passes, double silent)
{
    double highest = -INFINITY, total = 0, sum = 0, missing = 0;
    for (double at = 0;; at += block_size(at, silent)) {
        double likelihood = log_likelihood(heard, lost, passes, at);
        double higher = fmax(highest, likelihood);
        double block = block_size(at, silent) * exp(likelihood - higher);
        total = total * exp(highest - higher) + block;
        highest = higher;
        /* There is one peak only. */
        if (likelihood < highest - NEGLIGIBLE || (at > silent && block < TAIL * total))
            break;
    }
    for (double at = 0; at <= silent && sum < CERTAINTY * total; at += block_size(at, silent)) {
        sum += block_size(at, silent) * exp(log_likelihood(heard, lost, passes, at) - highest);
        missing = at + block_size(at, silent) - 1;
    }
    return fmin(missing, silent);
}

/* Whether chance makes `late` of `count` answers, or more, come another pass later, where a share
 * of that did before, found from `samples`. */
static bool is_chance(double late, double count, double share, double samples)
{
    share = fmin(1, share + sqrt(share / samples)); /* which is not known precisely itself */
    double expected = count * share;
    if (share >= 1 || late <= expected)
        return true;
    if (expected > 100)
        return late - expected < 3 * sqrt(expected);
    if (late > 1000 || count > 1e15)
        return false;
    return chance_of_at_most((unsigned)late - 1, (unsigned)fmin(count, UINT_MAX), share) <
           1 - UNLIKELY;
}

/* Ports that lose more than others are what late passes find, and what is missing in the end: how
 * many passes from the beginning tell nothing of it. */
static unsigned find_first(const uint64_t *answers, unsigned passes)
{
    unsigned first = 0;
    for (unsigned split = 0; split + 2 < passes; split++) {
        double before = 0, found = 0, count = 0, late = 0;
        for (unsigned i = first; i <= split; i++) {
            before += (double)answers[i];
            found += (double)answers[i + 1];
        }
        for (unsigned i = split + 1; i < passes; i++) {
            count += (double)answers[i];
            late += i > split + 1 ? (double)answers[i] : 0;
        }
        if (before > 0 && !is_chance(late, count, (found + 0.5) / (before + 1), before))
            first = split + 1;
    }
    return first;
}

struct recall recall_estimate(const uint64_t *answers, unsigned passes, uint64_t silent)
{
    double all = 0, heard = 0, lost = 0;
    for (unsigned i = 0; i < passes; i++)
        all += (double)answers[i];
    if (silent == 0)
        return (struct recall){.known = all > 0, .estimate = 1, .low = 1};
    unsigned first = find_first(answers, passes);
    answers += first;
    passes -= first;
    for (unsigned i = 0; i < passes; i++) {
        heard += (double)answers[i];
        lost += (double)i * (double)answers[i];
    }
    /* If a port that answers loses an attempt with chance q, then each pass finds q times as many
     * as the one before it: pooled over the passes, q is what passes 2…k found to what passes 1…k-1
     * did. */
    double later = heard - (double)(passes ? answers[0] : 0);
    double earlier = heard - (double)(passes ? answers[passes - 1] : 0);
    if (passes < 2 || earlier <= 0)
        return (struct recall){0};
    if (later > earlier)
        later = earlier; /* the passes find more and more: nothing is known to be found */
    double mean = (later + 0.5) / (earlier + 1); /* Jeffreys prior: no loss seen is not no loss */
    double share = 1 - pow(mean, passes);
    double least = all / (all + (double)silent);
    double estimate = share > 0 ? fmax(least, all / (all + heard / share - heard)) : least;
    double missing = missing_upper(heard, lost, passes, (double)silent);
    return (struct recall){
        .known = true,
        .estimate = estimate,
        .low = fmin(estimate, all / (all + missing)),
    };
}

bool recall_suffices(const struct recall *recall, const uint64_t *answers, unsigned passes,
                     double wanted)
{
    double heard = 0;
    for (unsigned i = 0; i < passes; i++)
        heard += (double)answers[i];
    bool certain = recall->low >= wanted || heard / recall->low - heard < 1.5;
    return recall->estimate >= wanted && certain;
}
