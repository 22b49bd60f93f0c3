/* How netstat writes addresses, ports and users: by name, or as numbers. */
#pragma once

#include "cmd/netstat.h"

#include "local/names.h"
#include "local/socket.h"

#define NETSTAT_HOST_SIZE 1024
#define NETSTAT_END_WIDTH 23 /* of an address and its port */
#define NETSTAT_END_SIZE (NETSTAT_HOST_SIZE + 80)
#define NETSTAT_USER_SIZE 64

/* Are addresses to be told by name? */
bool netstat_resolves(const struct netstat_options *options);

/* Asks for the names of addresses, which come within two seconds or not at all. Returns NULL when
 * none are wanted, or can be had. */
struct names *netstat_names_ask(const struct netstat_options *options,
                                const struct address *addresses, size_t count);

/* An address by its name, where it has one, or as a number; one that is not set is "0.0.0.0" or,
 * where names are wanted, "[::]". Without a scope. Returns `text`. */
const char *netstat_host(const struct netstat_options *options, const struct names *names,
                         const struct address *address, char text[static NETSTAT_HOST_SIZE]);

/* The addresses of a socket's ends. */
struct address netstat_end_address(const struct socket_entry *entry, bool remote);

/* One end of a socket, as "localhost:http-alt", "0.0.0.0:*", ":::22": cut to NETSTAT_END_WIDTH, of
 * the address only, unless it may be wide. Returns `text`. */
const char *netstat_end(const struct netstat_options *options, const struct names *names,
                        const struct socket_entry *entry, bool remote,
                        char text[static NETSTAT_END_SIZE]);

const char *netstat_user(const struct netstat_options *options, uint32_t uid,
                         char text[static NETSTAT_USER_SIZE]);
