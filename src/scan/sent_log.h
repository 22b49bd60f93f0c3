/* When was a probe sent? Known from marks: now and then one of the order's positions and the time.
 * Probes leave in the order's order, so that the marks around a position tell about it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENT_LOG_MARKS 65536 /* the oldest ones make room */

struct sent_log {
    struct sent_mark {
        uint64_t position, time;
        unsigned pass;
    } * marks; /* a ring of SENT_LOG_MARKS */
    uint64_t count;
};

int sent_log_init(struct sent_log *log); /* 0 or -ENOMEM */
void sent_log_release(struct sent_log *log);

/* Position `position` of pass `pass` and perhaps some after it leave now: later than whatever was
 * added before. */
void sent_log_add(struct sent_log *log, unsigned pass, uint64_t position, uint64_t time);

/* When that position was sent in that pass, or 0 when that is not known (any more). */
uint64_t sent_log_time(const struct sent_log *log, unsigned pass, uint64_t position);

/* The first position of `pass` that may have been sent at `time` or later, or UINT64_MAX. */
uint64_t sent_log_position(const struct sent_log *log, unsigned pass, uint64_t time);
