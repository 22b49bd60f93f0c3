/* What the command line asks of `sockets`. */
#pragma once

#include "cmd/command.h"
#include "local/diag.h"

struct sockets_options {
    struct common_options common;

    bool listening, established, all; /* which states; none of them is `listening` */
    struct option_list states;        /* --state: names, or several joined by commas */
    bool bound_inactive;

    bool tcp, mptcp, udp, udplite, sctp, raw, unix_sockets; /* which kinds; none is all but Unix */
    bool ipv4, ipv6;
    bool every_space; /* --all-namespaces */

    bool numeric, resolve;
    bool no_processes, processes; /* `processes` is what -p says, and the rule */
    bool extended, memory, timers, information;
    unsigned verbose;
    bool one_line, no_header, no_queues;
    const char *sort;

    bool summary, json, csv;
    uint64_t watch; /* nanoseconds between two looks; 0: one look */
    const char *record, *replay;
};

extern const struct option sockets_options_table[];

/* Returns 0, or -EINVAL with an error about options that exclude one another. */
int sockets_options_check(const struct sockets_options *options, struct error *error);

/* Those that are listed when none is named. */
#define SOCKETS_USUAL_KINDS ((SOCKET_KIND_BIT(SOCKET_KINDS) - 1) & ~SOCKET_UNIX_KINDS)

/* The kinds that are named, as bits of enum socket_kind. */
uint32_t sockets_options_kinds(const struct sockets_options *options);

/* The states that --state names, as bits of enum socket_state; 0: it was not given. Returns 0, or
 * -EINVAL with an error. */
int sockets_options_states(const struct sockets_options *options, uint32_t *ret_states,
                           struct error *error);
