/* The options of `scan`, as the command line gives them. */
#pragma once

#include "cmd/command.h"
#include "scan/scan.h"
#include "scan/sink.h"

/* One result file or stream: a format and where it goes. */
struct scan_output {
    const struct sink_class *class;
    const char *path; /* "-" is standard output; the command line's own string, or `made` */
    char *made;       /* to be freed */
};

/* What --link calls the kernel's own sockets, which are no link. */
#define SCAN_LINK_SOCKET "socket"

struct scan_command_options {
    struct common_options common;

    struct option_list target_files, excludes, exclude_files;
    bool self, ipv4, ipv6, all_addresses, include_reserved;

    struct option_list ports, exclude_ports;
    uint64_t top; /* 0: not given */
    bool list, list_ports;

    struct scan_output *outputs;
    size_t output_count;
    size_t earlier_outputs; /* of a resumed scan's first run: the same path may be given anew */
    bool open_only, reason;
    unsigned verbose;

    const struct prober_class *technique; /* NULL: the best that there are rights for */
    bool privileged;                      /* never sockets for want of rights */
    const char *interface;                /* its name; NULL: as the kernel routes */
    uint32_t interface_index;
    const char *link; /* a name of link.def or SCAN_LINK_SOCKET; NULL: what the routes allow */

    uint64_t tries, in_flight, rate, min_rate, max_time, memory, seed;
    uint64_t shard, shards; /* from 1; 0: not given */
    bool has_seed;
    double recall; /* percent */
    uint64_t initial_timeout, minimum_timeout, maximum_timeout;

    const char *checkpoint, *resume;
};

extern const struct option scan_options[];

/* Fills in the defaults. */
void scan_command_options_init(struct scan_command_options *options);
void scan_command_options_release(struct scan_command_options *options);

/* What the table cannot check: values that contradict one another. Returns 0 or -EINVAL. */
int scan_command_options_check(const struct scan_command_options *options, struct error *error);

/* What the scan loop needs of them; `seed` is random unless one was given. */
struct scan_options scan_command_options_loop(const struct scan_command_options *options);
