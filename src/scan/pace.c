/* The token bucket and the connection tracking watch. */
#include "scan/pace.h"

#include "base/clock.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_PERIOD (50 * NANOSECONDS_PER_MILLISECOND)
#define BURST_TIME 0.01 /* seconds' worth of probes that may leave at once */
#define WAKE_TIME 0.001 /* seconds' worth of probes that are worth waking up for */
#define BURST_MINIMUM 2 /* so that a turn that comes late does not lose what it was late by */

void pace_init(struct pace *pace, uint64_t rate, const char *tracking, uint64_t now)
{
    *pace = (struct pace){.rate = rate, .tracking = tracking, .refilled = now, .tokens = 1};
}

void pace_set_rate(struct pace *pace, uint64_t rate)
{
    pace->rate = rate;
}

static bool read_number(const char *directory, const char *name, double *ret_number)
{
    char path[256], text[32];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return false;
    text[length] = '\0';
    *ret_number = strtod(text, NULL);
    return true;
}

/* Holds above nine tenths, lets go below eight: entries of unanswered SYNs leave in their own time.
 */
static void look_at_tracking(struct pace *pace, uint64_t now)
{
    double count, maximum;
    pace->tracked = now;
    if (!read_number(pace->tracking, "nf_conntrack_count", &count) ||
        !read_number(pace->tracking, "nf_conntrack_max", &maximum) || maximum <= 0) {
        pace->held_since = 0;
        return;
    }
    double fill = count / maximum;
    if (!pace->held_since && fill > 0.9)
        pace->held_since = now;
    else if (pace->held_since && fill < 0.8)
        pace->held_since = 0;
}

uint32_t pace_allow(struct pace *pace, uint32_t wanted, uint64_t now)
{
    if (now - pace->tracked >= LOOK_PERIOD)
        look_at_tracking(pace, now);
    if (pace->held_since)
        return 0;
    if (pace->rate == 0)
        return wanted;
    double burst = fmax(BURST_MINIMUM, (double)pace->rate * BURST_TIME);
    double passed = (double)(now - pace->refilled) / (double)NANOSECONDS_PER_SECOND;
    pace->refilled = now;
    pace->tokens += passed * (double)pace->rate;
    pace->tokens = fmin(pace->tokens, burst);
    if (pace->tokens < 1) /* it may have been overdrawn by what could not wait */
        return 0;
    return pace->tokens < (double)wanted ? (uint32_t)pace->tokens : wanted;
}

void pace_spend(struct pace *pace, uint32_t sent)
{
    if (pace->rate)
        pace->tokens -= sent;
}

void pace_correct(struct pace *pace, double unsent)
{
    if (pace->rate)
        pace->tokens += unsent;
}

uint64_t pace_wait(const struct pace *pace)
{
    if (pace->held_since || pace->rate == 0)
        return LOOK_PERIOD;
    double worth = fmax(1, (double)pace->rate * WAKE_TIME);
    double missing = pace->tokens < worth ? worth - pace->tokens : 0;
    return (uint64_t)(missing * (double)NANOSECONDS_PER_SECOND / (double)pace->rate);
}

uint64_t pace_held(const struct pace *pace, uint64_t now)
{
    return pace->held_since ? now - pace->held_since : 0;
}
