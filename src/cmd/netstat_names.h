/* How netstat writes addresses, ports and users: by name, or as numbers. */
#pragma once

#include "cmd/netstat.h"

#include "local/socket.h"

#include <pwd.h>

#define NETSTAT_END_WIDTH 23 /* of an address and its port */
#define NETSTAT_END_SIZE 1100
#define NETSTAT_USER_SIZE 64

/* One end of a socket, as "localhost:http-alt", "0.0.0.0:*", ":::22": cut to NETSTAT_END_WIDTH, of
 * the address only, unless it may be wide. Returns `text`. */
const char *netstat_end(const struct netstat_options *options, const struct socket_entry *entry,
                        bool remote, char text[static NETSTAT_END_SIZE]);

const char *netstat_user(const struct netstat_options *options, uint32_t uid,
                         char text[static NETSTAT_USER_SIZE]);
