/* netstat's lists of sockets: "Active Internet connections", "Active UNIX domain sockets". */
#pragma once

#include "cmd/netstat.h"

#include "local/diag.h"
#include "local/names.h"
#include "local/owner.h"
#include "local/socket.h"

#define NETSTAT_PROGRAM_WIDTH 20 /* with its NUL */

/* What could not be seen. */
struct netstat_gaps {
    bool incomplete;  /* the kernel's table changed while it was read */
    bool hidden;      /* there are processes that could not be looked into */
    uint32_t refused; /* bits of enum socket_kind of which the kernel does not tell us */
};

/* The sockets that will be shown, and who holds them. */
struct netstat_sockets {
    const struct netstat_options *options;
    struct socket_list internet, local; /* `local`: all Unix sockets there are */
    struct owners owners;
    struct names *names;                     /* of the addresses; NULL: they are told as numbers */
    char (*programs)[NETSTAT_PROGRAM_WIDTH]; /* of each of the owners' processes, "1234/nginx" */
    size_t peer_count; /* inodes of what Unix sockets are connected to, sorted */
    uint32_t *peers;
    struct netstat_gaps gaps;
};

/* Returns 0 or -errno with an error. */
int netstat_sockets_gather(const struct netstat_options *options, struct netstat_sockets *sockets,
                           struct error *error);
/* Asks for the names of their addresses, where these are wanted. Without memory there are none. */
void netstat_sockets_resolve(struct netstat_sockets *sockets);
void netstat_sockets_release(struct netstat_sockets *sockets);

/* Are there Internet sockets among what was asked for, or Unix's? */
bool netstat_sockets_internet(const struct netstat_options *options);
bool netstat_sockets_unix(const struct netstat_options *options);

/* What to ask the kernel for, of Internet sockets, and which of what it tells is shown. */
struct diag_query netstat_sockets_query(const struct netstat_options *options);
bool netstat_sockets_shown(const struct netstat_options *options, const struct socket_entry *entry);

/* Is the PID told as Windows' netstat does, last of all? */
bool netstat_sockets_pids(const struct netstat_options *options);

/* How many refer to a Unix socket. */
size_t netstat_sockets_references(const struct netstat_sockets *sockets,
                                  const struct socket_entry *entry);

/* Who holds a socket; NULL, with "-" as the program: nobody is known. */
const struct process *netstat_sockets_holder(const struct netstat_sockets *sockets,
                                             const struct socket_entry *entry,
                                             const char **ret_program);

/* Gathers them, and prints records of them (netstat_json.c). Returns 0 or -errno with an error. */
int netstat_sockets_json(const struct netstat_options *options, struct netstat_gaps *ret_gaps,
                         struct error *error);

/* Prints them to stdout. */
void netstat_sockets_print(const struct netstat_sockets *sockets);
