/* What a scan tells the world: one struct for each kind of record in docs/records.md. */
#pragma once

#include "net/name_set.h"
#include "net/port_set.h"
#include "scan/recall.h"
#include "scan/state.h"

#include "net/address.h"

struct port_record {
    uint64_t index; /* in the plan */
    struct address address;
    struct port port;
    enum port_state state; /* open, closed or filtered */
    enum reason reason;
    struct address from; /* who said so when it was not the target; else ADDRESS_NONE */
    unsigned tries;      /* how often it was asked until this was known */
    uint64_t rtt;        /* nanoseconds; 0 when nothing came back */
    uint64_t time;       /* wall clock, nanoseconds */
};

/* Whether it shows that the target itself is there. */
bool port_record_is_from_target(const struct port_record *record);

/* This machine could not ask. */
struct error_record {
    uint64_t index;
    struct address address;
    struct port port;
    bool whole_host; /* it concerns every port of the host without a state; `port` is one of them */
    int code;        /* positive errno */
    uint64_t time;
};

/* About a local failure: "ENETUNREACH", "Network is unreachable", and what to do about it, a phrase
 * in which the word ADDRESS stands for the target's. Never NULL, always English. */
const char *error_name(int code);
const char *error_meaning(int code);
const char *error_advice(int code);

/* How a scan begins: for headers of documents. */
struct scan_start {
    const char *command; /* the words typed, joined by blanks */
    const char *prober;  /* "tcp-connect" */
    uint64_t time;       /* wall clock, nanoseconds */
    uint64_t seed;
    uint64_t hosts;
    const struct port_set *ports;
    const struct name_set *names; /* by which hosts were called, or NULL */
};

enum scan_end {
    SCAN_COMPLETE,
    SCAN_INTERRUPTED, /* by a signal or porthole_scan_cancel() */
    SCAN_TIMED_OUT,   /* --max-time was over */
    SCAN_FAILED,      /* could not go on: see the error */
};

const char *scan_end_name(enum scan_end end); /* "complete", "interrupted", "timed-out", "failed" */

struct scan_summary {
    uint64_t started, finished; /* wall clock, nanoseconds */
    uint64_t duration;          /* nanoseconds, summed over resumed parts */
    uint64_t hosts;             /* asked */
    uint64_t hosts_answered;    /* that gave at least one answer themselves */
    uint64_t open, closed, filtered, undecided, errors; /* ports; undecided: given up in mid-scan */
    uint64_t probes;                                    /* attempts made */
    unsigned passes;
    struct recall recall;
    enum scan_end end;
    const char *limit; /* what limited the speed, or NULL */
};
