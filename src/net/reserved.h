/* Addresses that no host on the Internet has: the ranges of IANA's special-purpose registries
 * (RFC 6890) that are not reachable globally, multicast, and what is kept for later. */
#pragma once

#include "net/address_set.h"

struct reserved_range {
    enum address_family family;
    uint64_t start; /* the first address; of IPv6 its upper half */
    unsigned prefix;
    const char *name;     /* "private use" */
    const char *document; /* "RFC 1918" */
};

/* Disjoint, ascending, and ended by one without a family. */
extern const struct reserved_range reserved_ranges[];

struct address reserved_first(const struct reserved_range *range);
uint128_t reserved_last(const struct reserved_range *range);

/* Takes what a word did not ask for out of `set`, which the word alone has made, and adds it to
 * `left_out`. A word asks for what is reserved when it lies within it (10.0.0.0/8, 127.0.0.1), or
 * when it begins or ends there (192.0.2.254-192.0.3.1). It does not ask for the whole ranges that
 * it contains (8.0.0.0/6), and one of more than RESERVED_WIDE addresses for none of which it
 * contains a part. Returns 0, or -ENOMEM with `set` as it was. */
#define RESERVED_WIDE (1u << 20)
int reserved_leave_out(struct address_set *set, struct address_set *left_out);

/* How many of the ranges a set meets, and the first of them, or NULL. */
size_t reserved_count(const struct address_set *set, const struct reserved_range **ret_first);
