/* `nc -z`: which ports can be connected to, by the scan engine, told as OpenBSD's nc tells it. */
#pragma once

#include "cmd/command.h"
#include "net/address.h"

struct nc_scan {
    const struct command *command;
    const char *host;
    char **ports; /* numbers, names of services, or ranges "20-80", in the order of the report */
    int count;
    enum address_family family; /* ADDRESS_NONE: either */
    bool numeric;               /* the host must be an address */
    bool random;                /* each range in random order */
    bool tell;                  /* what came of it, on standard error */
    uint64_t timeout;           /* nanoseconds for a silent port; 0: as `scan` has it */
};

/* Returns EXIT_DONE when a port is open, EXIT_INCOMPLETE when none is, or another exit status after
 * a line on stderr. */
int nc_scan(const struct nc_scan *scan);
