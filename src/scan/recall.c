/* The recall estimate. */
#include "scan/recall.h"

#include <math.h>

#define Z95 1.959964 /* of the standard normal distribution, two-sided */

/* Upper end of the Wilson score interval for `hits` of `trials` (Wilson 1927). */
static double wilson_upper(double hits, double trials)
{
    double share = hits / trials;
    double z2 = Z95 * Z95;
    double centre = share + z2 / (2 * trials);
    double margin = Z95 * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials));
    return fmin(1, (centre + margin) / (1 + z2 / trials));
}

struct recall recall_estimate(const uint64_t *answers, unsigned passes, uint64_t silent)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < passes; i++)
        sum += answers[i];
    if (silent == 0)
        return (struct recall){.known = sum > 0, .estimate = 1, .low = 1};
    /* If a port that answers loses an attempt with chance q, then each pass finds q times as many
     * as the one before it: pooled over the passes, q is what passes 2…k found to what passes 1…k-1
     * did. */
    double later = (double)(sum - (passes ? answers[0] : 0));
    double earlier = (double)(sum - (passes ? answers[passes - 1] : 0));
    if (passes < 2 || earlier <= 0)
        return (struct recall){0};
    if (later > earlier)
        later = earlier; /* the passes find more and more: nothing is known to be found */
    double mean = (later + 0.5) / (earlier + 1); /* Jeffreys prior: no loss seen is not no loss */
    return (struct recall){
        .known = true,
        .estimate = 1 - pow(fmin(1, mean), passes),
        .low = 1 - pow(wilson_upper(later, earlier), passes),
    };
}
