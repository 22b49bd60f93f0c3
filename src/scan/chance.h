/* What chance explains: the lower tail of the binomial distribution. */
#pragma once

#include <math.h>

/* The probability that at most `heard` of `asked` answer, each of which does with `share` (above 0,
 * below 1). */
static inline double chance_of_at_most(unsigned heard, unsigned asked, double share)
{
    double term = pow(1 - share, asked), sum = term; /* that none does */
    for (unsigned k = 0; k < heard && k < asked; k++) {
        term *= (double)(asked - k) / (k + 1.0) * share / (1 - share);
        sum += term;
    }
    return fmin(sum, 1);
}
