/* What the command line asks of `netstat`. */
#pragma once

#include "cmd/command.h"

struct netstat_options {
    struct common_options common;

    /* What to show; none of them: sockets. */
    bool routes, interfaces, groups, counters;

    bool all, listening;                             /* which sockets; neither: connections */
    bool tcp, udp, udplite, sctp, raw, unix_sockets; /* which kinds; none is all */
    bool ipv4, ipv6;
    bool talked; /* these are what is talked, not whose socket it is: BSD's -f */

    bool numeric, numeric_hosts, numeric_ports, numeric_users;
    bool wide, programs, timers;
    unsigned extend;
    bool continuous;
    uint64_t interval; /* nanoseconds; 0: once, or every second with `continuous` */
    bool json;
    const char *interface; /* -I: only this one */
    bool ignored;          /* flags that change nothing */
};

/* Is a kind of Internet sockets named? */
bool netstat_names_kinds(const struct netstat_options *options);
