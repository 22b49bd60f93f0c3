/* Consecutive TCP source ports that are ours alone, for packets that the kernel does not make.
 *
 * Sockets hold them that are bound and never listen or connect: the kernel gives such a port to
 * nobody else, and resets what comes for it, so that no half-open connection is left behind at the
 * other end. */
#pragma once

#include "base/error.h"

#include <stdint.h>

/* Zero-initialised holds none. The members are read-only for everyone else. */
struct port_block {
    uint16_t first, count;
    int *descriptors; /* `count` of them */
};

/* Reserves `count` > 0 ports of all addresses of this machine, IPv4 and IPv6, at a random place in
 * net.ipv4.ip_local_port_range. The first is a multiple of `count`. Nobody needs rights for this.
 * Returns 0 or -errno with an error: -EADDRINUSE when no such block is free. */
int port_block_open(uint16_t count, struct port_block *ret_block, struct error *error);

/* Gives them back. */
void port_block_close(struct port_block *block);
