/* Time: nanoseconds as uint64_t everywhere, durations and instants alike. */
#pragma once

#include <stdint.h>

#define NANOSECONDS_PER_MICROSECOND UINT64_C(1000)
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)
#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)

uint64_t clock_monotonic(void); /* never goes back; the zero point means nothing */
uint64_t clock_wall(void);      /* since 1970-01-01 UTC */

/* RFC 3339 in UTC with milliseconds, "2026-11-21T02:14:03.512Z". */
#define CLOCK_TEXT_SIZE 32
const char *clock_format(uint64_t wall, char text[static CLOCK_TEXT_SIZE]);
