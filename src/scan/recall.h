/* How many of the ports that answer has the scan heard? Estimated from its own passes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct recall {
    bool known;      /* false: nothing answered, or only one pass was made with silence left */
    double estimate; /* share of the answering ports that have answered, 0 to 1 */
    double low;      /* with 95% certainty the share is not below this */
};

/* `answers[k]` ports first answered in pass k, of `passes` passes; `silent` are left. With nothing
 * silent the recall is 1. Otherwise, with the chance q that one attempt at a port that answers is
 * lost taken from how much later passes found, the expected recall after k passes is 1 - q^k; the
 * lower bound counts both with q being other than estimated and with this scan's own luck. Where
 * later passes found more than q explains, some ports lose more than others, and those are what is
 * missing: then q is taken from the later passes. Two passes cannot show that. Pure. */
struct recall recall_estimate(const uint64_t *answers, unsigned passes, uint64_t silent);

/* Whether that is enough: the estimate reaches `wanted`, and so does its lower bound, unless what
 * lies between them is one port at most. */
bool recall_suffices(const struct recall *recall, const uint64_t *answers, unsigned passes,
                     double wanted);
