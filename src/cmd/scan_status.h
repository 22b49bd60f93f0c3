/* The status of a running scan: a line that is kept up to date on a terminal, and one more for each
 * key press or SIGUSR1. Also keeps the signals that end a scan. */
#pragma once

#include "scan/scan.h"

struct scan_status {
    bool terminal;    /* stderr is one: show the line */
    bool keys;        /* stdin is one and ours: keys are read */
    bool shown;       /* the line stands on the terminal now */
    uint64_t printed; /* monotonic time of the last update */
    uint64_t began;
};

/* Becomes true with the first signal that ends a scan: for scan_events.cancelled. */
extern const atomic_bool *const scan_status_cancelled;

/* Takes over SIGINT, SIGTERM and SIGHUP (which cancel the scan; a second one kills) and SIGUSR1. */
void scan_status_start(struct scan_status *status);

/* Call some ten times a second. */
void scan_status_tick(struct scan_status *status, const struct scan *scan);

/* Takes the line off the terminal, so that something else can be written there. */
void scan_status_clear(struct scan_status *status);

/* Gives signals and terminal back. Returns the number of the signal that came, or 0. */
int scan_status_stop(struct scan_status *status);
