/* When the next probes may leave: a token bucket, and a watch over this machine's own connection
 * tracking table, which a scan could otherwise fill until its probes and other people's connections
 * are dropped without a word. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint64_t rate; /* probes a second; 0: no bound */
    double tokens;
    uint64_t refilled;    /* monotonic */
    const char *tracking; /* directory with nf_conntrack_count and nf_conntrack_max */
    uint64_t tracked;     /* when the table was last looked at */
    uint64_t held_since;  /* since when it has been too full; 0: it is not */
};

#define PACE_TRACKING_DIRECTORY "/proc/sys/net/netfilter"

/* `tracking` is borrowed; a directory that is not there means no connection tracking. */
void pace_init(struct pace *pace, uint64_t rate, const char *tracking, uint64_t now);

/* Changes the rate from now on. */
void pace_set_rate(struct pace *pace, uint64_t rate);

/* How many of `wanted` probes may leave now. */
uint32_t pace_allow(struct pace *pace, uint32_t wanted, uint64_t now);

/* Books `sent` of them. */
void pace_spend(struct pace *pace, uint32_t sent);

/* Takes back what was booked and not sent, or books more when it is negative. */
void pace_correct(struct pace *pace, double unsent);

/* After how many nanoseconds to ask again, when fewer were allowed than wanted. */
uint64_t pace_wait(const struct pace *pace);

/* For how long the tracking table has been holding the scan up; 0: it does not. */
uint64_t pace_held(const struct pace *pace, uint64_t now);
