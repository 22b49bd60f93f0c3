/* The recall estimate. */
#include "scan/recall.h"

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

struct recall recall_estimate(const uint64_t *answers, unsigned passes, uint64_t silent)
{
    uint64_t heard = 0;
    double lost = 0;
    for (unsigned i = 0; i < passes; i++) {
        heard += answers[i];
        lost += (double)i * (double)answers[i];
    }
    if (silent == 0)
        return (struct recall){.known = heard > 0, .estimate = 1, .low = 1};
    /* If a port that answers loses an attempt with chance q, then each pass finds q times as many
     * as the one before it: pooled over the passes, q is what passes 2…k found to what passes 1…k-1
     * did. */
    double later = (double)(heard - (passes ? answers[0] : 0));
    double earlier = (double)(heard - (passes ? answers[passes - 1] : 0));
    if (passes < 2 || earlier <= 0)
        return (struct recall){0};
    if (later > earlier)
        later = earlier; /* the passes find more and more: nothing is known to be found */
    double mean = (later + 0.5) / (earlier + 1); /* Jeffreys prior: no loss seen is not no loss */
    double least = (double)heard / ((double)heard + (double)silent);
    double estimate = fmax(least, 1 - pow(mean, passes));
    double missing = missing_upper((double)heard, lost, passes, (double)silent);
    return (struct recall){
        .known = true,
        .estimate = estimate,
        .low = fmin(estimate, (double)heard / ((double)heard + missing)),
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
