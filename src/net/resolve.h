/* Host names to addresses, and the addresses of this machine. */
#pragma once

#include "net/address_set.h"

enum resolve_which {
    RESOLVE_FIRST, /* the address that the system prefers (getaddrinfo order, RFC 6724) */
    RESOLVE_ALL,   /* every address */
};

/* Adds the addresses of `name` in `family` (ADDRESS_NONE: either) to the set.
 * Returns 0, or -ENOENT, -EAGAIN (temporary failure), -ENOMEM … with an error. */
int resolve_name(const char *name, enum address_family family, enum resolve_which which,
                 struct address_set *set, struct error *error);

/* Adds every address of this machine's interfaces that are up, loopback included, link-local IPv6
 * with its zone. Returns 0 or -errno. */
int resolve_self(enum address_family family, struct address_set *set, struct error *error);
