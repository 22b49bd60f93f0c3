/* How long to wait for an answer: smoothed round trips (RFC 6298), per host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rtt {
    uint32_t smoothed;  /* microseconds; 0 with `samples` 0 means unknown */
    uint32_t variation; /* microseconds */
    uint32_t samples;   /* saturates */
};

/* Adds a measured round trip in nanoseconds. One of a second or more is left out unless it is
 * `certain` which asking was answered: the kernel sends a SYN again after a second (RFC 6298 §2.1),
 * and an answer cannot tell which of the two it means (Karn and Partridge 1987). */
void rtt_add(struct rtt *rtt, uint64_t nanoseconds, bool certain);

/* How round trips are spread: a histogram with eight steps an octave, from a microsecond up. */
#define RTT_STEPS 8
#define RTT_OCTAVES 25
struct rtt_spread {
    uint64_t count;
    uint64_t steps[RTT_STEPS * RTT_OCTAVES];
};

void rtt_spread_add(struct rtt_spread *spread, uint64_t nanoseconds);

/* Nanoseconds that the given share of the round trips does not exceed (to an eighth); 0 of none. */
uint64_t rtt_spread_high(const struct rtt_spread *spread, double share);

struct rtt_limits {
    uint64_t initial; /* nanoseconds: for a host that has not answered yet */
    uint64_t minimum; /* of a scan's options 0: as suits the prober */
    uint64_t maximum;
};

/* The time-out of an attempt in pass `pass` (from 1): smoothed + 4 × variation of the host's own
 * round trips; without any, twice that of all hosts but at least a quarter of `initial`, in the
 * first pass, and `initial` later. Each later pass waits longer, by its number, within the limits.
 * Pure. */
uint64_t rtt_timeout(const struct rtt *host, const struct rtt *all, unsigned pass,
                     const struct rtt_limits *limits);
