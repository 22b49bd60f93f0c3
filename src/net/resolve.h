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

/* Writes up to `maximum` addresses of `name` in the order in which they are to be tried (RFC 6724).
 * Returns the same. May take long: asked in a thread of its own by net/resolve_aside.h. */
int resolve_ordered(const char *name, enum address_family family, struct address *addresses,
                    size_t maximum, size_t *ret_count, struct error *error);

/* Adds every address of this machine's interfaces that are up, loopback included, link-local IPv6
 * with its zone. Returns 0 or -errno. */
int resolve_self(enum address_family family, struct address_set *set, struct error *error);
