/* Reading and printing the clocks. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

const char *clock_format(uint64_t wall, char text[static CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall / NANOSECONDS_PER_SECOND);
    struct tm parts;
    text[0] = '\0';
    if (gmtime_r(&seconds, &parts)) {
        size_t length = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(text + length, CLOCK_TEXT_SIZE - length, ".%03uZ",
                 (unsigned)(wall % NANOSECONDS_PER_SECOND / NANOSECONDS_PER_MILLISECOND));
    }
    return text;
}
