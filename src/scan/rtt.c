/* Round-trip smoothing and the time-outs made from it. */
#include "scan/rtt.h"

#include "base/clock.h"

void rtt_add(struct rtt *rtt, uint64_t nanoseconds, bool certain)
{
    if (nanoseconds >= NANOSECONDS_PER_SECOND && !certain)
        return;
    uint32_t sample = (uint32_t)(nanoseconds / NANOSECONDS_PER_MICROSECOND);
    if (rtt->samples == 0) {
        rtt->smoothed = sample;
        rtt->variation = sample / 2;
    } else {
        uint32_t difference =
            sample > rtt->smoothed ? sample - rtt->smoothed : rtt->smoothed - sample;
        rtt->variation = (3 * rtt->variation + difference) / 4;
        rtt->smoothed = (7 * rtt->smoothed + sample) / 8;
    }
    if (rtt->samples < UINT32_MAX)
        rtt->samples++;
}

static uint64_t retransmission_timeout(const struct rtt *rtt)
{
    return (rtt->smoothed + UINT64_C(4) * rtt->variation) * NANOSECONDS_PER_MICROSECOND;
}

uint64_t rtt_timeout(const struct rtt *host, const struct rtt *all, unsigned pass,
                     const struct rtt_limits *limits)
{
    uint64_t timeout = limits->initial;
    if (host->samples) {
        timeout = retransmission_timeout(host);
        if (timeout < limits->minimum)
            timeout = limits->minimum;
    } else if (all->samples && pass == 1) {
        timeout = 2 * retransmission_timeout(all);
        if (timeout < limits->initial / 4)
            timeout = limits->initial / 4;
        if (timeout > limits->initial)
            timeout = limits->initial;
    }
    timeout *= pass;
    return timeout < limits->maximum ? timeout : limits->maximum;
}

static unsigned step_of(uint64_t nanoseconds)
{
    uint64_t scaled = nanoseconds / (NANOSECONDS_PER_MICROSECOND / RTT_STEPS) | RTT_STEPS;
    unsigned octave = 63 - (unsigned)__builtin_clzll(scaled) - 3;
    if (octave >= RTT_OCTAVES)
        return RTT_STEPS * RTT_OCTAVES - 1;
    return octave * RTT_STEPS + (unsigned)(scaled >> octave) % RTT_STEPS;
}

void rtt_spread_add(struct rtt_spread *spread, uint64_t nanoseconds)
{
    spread->steps[step_of(nanoseconds)]++;
    spread->count++;
}

uint64_t rtt_spread_high(const struct rtt_spread *spread, double share)
{
    uint64_t above = (uint64_t)((1 - share) * (double)spread->count), sum = 0;
    for (unsigned step = RTT_STEPS * RTT_OCTAVES; step-- > 0;) {
        sum += spread->steps[step];
        if (sum > above) {
            uint64_t scaled = (uint64_t)(RTT_STEPS + step % RTT_STEPS + 1) << step / RTT_STEPS;
            return scaled * (NANOSECONDS_PER_MICROSECOND / RTT_STEPS);
        }
    }
    return 0;
}
