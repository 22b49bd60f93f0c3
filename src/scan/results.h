/* Everything that a scan found, by host, for sinks that print at the end.
 *
 * Open ports are kept with all their evidence. Of the others only the state is known for each port
 * (the ledger has it) and a count for each distinct (state, reason, from); ports whose reason is
 * not the host's first one of their state are kept singly, in eight bytes. Of failures a bit is
 * kept for each port and a count for each errno. So a host with 65,535 refused ports costs a few
 * hundred bytes. Where the ledger is sparse, ports that are not open are left out altogether. */
#pragma once

#include "net/address_set.h"
#include "scan/ledger.h"
#include "scan/plan.h"
#include "scan/record.h"

struct result_group {
    enum port_state state; /* not open */
    enum reason reason;
    struct address from;
    uint32_t count; /* of ports */
};

struct error_group {
    int code;       /* positive errno */
    uint32_t count; /* of ports */
};

struct host_result {
    uint64_t host; /* index of the address in the plan's targets */
    struct address address;
    struct port_record *open;          /* ascending by port once sealed */
    const struct result_group *groups; /* not open; most ports first; valid once sealed */
    struct error_group *errors;        /* most ports first once sealed */
    uint32_t open_count, group_count, error_count;
    uint32_t counts[STATE_COUNT]; /* ports in each state that is not open */
    uint32_t asked;               /* ports: all of the plan, or those of our shard */
    uint32_t failed;              /* ports: the sum of `errors` */
    uint32_t undecided;           /* ports that the scan gave up on in the middle */
    bool answered; /* the host itself answered at least once (RST, SYN-ACK, its own ICMP) */
};

struct results;

/* `plan` and `ledger` are borrowed. Returns 0 or -ENOMEM. */
int results_new(const struct plan *plan, const struct ledger *ledger, struct results **ret_results);
void results_free(struct results *results);

/* An index gets one record in all, of a port or of an error; or first of an error and then of a
 * port, whose late answer is what counts. A host gets at most one error that concerns the whole of
 * it, before or after which its ports may get records. A silent port (REASON_NO_RESPONSE) is left
 * out: results_seal() counts what the ledger has left. Returns 0 or -ENOMEM. */
int results_add_port(struct results *results, const struct port_record *record);
int results_add_error(struct results *results, const struct error_record *record);

/* Says, before results_seal(), that not all of the plan is asked: only what `asked` says, which is
 * some port of so many hosts. Nothing is said of the others. */
typedef bool results_asked_fn(const void *user, uint64_t index);
void results_set_part(struct results *results, results_asked_fn *asked, const void *user,
                      uint64_t hosts);

/* Ends the adding: sorts, and books every index still silent as what silence means (no-response),
 * or as undecided when `end` is not SCAN_COMPLETE. Returns 0 or -ENOMEM. */
int results_seal(struct results *results, enum scan_end end);

/* The hosts about which there is something to say (all but those that gave nothing at all),
 * ascending; valid once sealed. */
size_t results_host_count(const struct results *results);
const struct host_result *results_host(const struct results *results, size_t at);

/* The ports of a host that --open shows. */
uint64_t host_result_possibly_open(const struct host_result *host);

/* How many hosts gave nothing at all, and the sealed set of their addresses, which the caller
 * releases: they are not among the above. None where the ledger is sparse, which does not know. The
 * second returns 0 or -ENOMEM. */
uint64_t results_silent_host_count(const struct results *results);
int results_silent_hosts(const struct results *results, struct address_set *ret_set);

/* The ports that are asked of a target, which the caller releases. Returns 0 or -ENOMEM. */
int results_asked_ports(const struct results *results, const struct address *target,
                        struct port_set *ret_ports);

/* Calls `each` for every port of the host about which something is known, ascending. The record of
 * an open port has everything, that of another one index, address, port, state, reason and from;
 * not tries, rtt and time. A non-zero return of `each` ends the walk and is returned. */
typedef int results_port_fn(void *user, const struct port_record *record);
int results_each_port(const struct results *results, const struct host_result *host,
                      results_port_fn *each, void *user);

/* What all ports of a host are that gave nothing. */
enum port_state results_silence(const struct results *results);

const struct plan *results_plan(const struct results *results);
enum scan_end results_end(const struct results *results); /* as passed to results_seal() */
