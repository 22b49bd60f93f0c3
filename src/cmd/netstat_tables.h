/* netstat's other tables: routes, interfaces, multicast groups, counters. Each is printed to
 * stdout; they return 0 or -errno with an error. */
#pragma once

#include "cmd/netstat.h"

int netstat_routes(const struct netstat_options *options, struct error *error);
int netstat_interfaces(const struct netstat_options *options, struct error *error);
int netstat_groups(const struct netstat_options *options, struct error *error);
int netstat_counters(const struct netstat_options *options, struct error *error);
