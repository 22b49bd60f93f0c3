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
    enum port_state state; /* never STATE_SILENT */
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
    uint64_t shard, shards;       /* which part of it is asked, from 1; 0 of 0: all */
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
    uint64_t hosts, ports;      /* asked: those of our shard */
    uint64_t hosts_answered;    /* that gave at least one answer themselves */
    uint64_t open, closed, filtered, unfiltered, open_filtered; /* ports */
    uint64_t undecided;                                         /* ports given up in mid-scan */
    uint64_t errors;                                            /* ports that were not asked */
    uint64_t hosts_given_up; /* before all of their ports had been asked often enough, because they
                                fell silent or answer too seldom */
    double given_up_rate;    /* answers a second that the latter give at most; 0: none are such */
    bool responders_only;    /* of the ports only the open ones were kept, the other counts are of
                                answers: the ledger did not fit into the memory that it may take */
    uint64_t ledger_size;    /* bytes that a ledger of all ports takes */
    uint64_t probes;         /* attempts made */
    uint64_t packets;        /* probes that left */
    uint64_t refused;        /* packets that this machine did not let leave */
    uint64_t missed;         /* answers that this machine had no room for */
    double rate;             /* probes a second, over the whole duration */
    unsigned passes;
    struct recall recall;
    enum scan_end end;
    const char *limit;       /* what limited the speed, or NULL */
    const char *link;        /* by which most packets left: a name of link.def; NULL: sockets */
    const char *link_reason; /* why by that one and not by a faster one, or NULL; holds, like what
                                stands above, until scan_free() */
};
