/* A set of addresses, stored as sorted, disjoint ranges: what is asked for costs the number of its
 * ranges, never the number of its addresses. */
#pragma once

#include "base/buffer.h"
#include "net/address.h"

struct address_range {
    struct address first;
    uint128_t last; /* value of the last address; family and scope are those of `first` */
};

/* Zero-initialised is empty. The members are read-only for everyone else. */
struct address_set {
    struct address_range *ranges; /* sorted and disjoint once the set is sealed */
    uint64_t *starts;             /* starts[i]: index of ranges[i].first in the set */
    size_t count, capacity;       /* of ranges */
    uint64_t size;                /* addresses in the set; valid once sealed */
    bool sealed;
};

void address_set_release(struct address_set *set);

/* Makes room so that the next `more` additions cannot run out of memory. Returns 0 or -ENOMEM. */
int address_set_reserve(struct address_set *set, size_t more);

/* Adds [first, last]. Returns 0, -ENOMEM or, when `last` is below `first`, -EINVAL. Unseals. */
int address_set_add(struct address_set *set, const struct address *first, uint128_t last);

/* Removes every address of `other`, which the call sorts (and seals, unless it holds 2^63 addresses
 * or more, which an exclusion may). A link-local address without a zone is removed in every zone.
 * Unseals `set`. Returns 0 or, with `set` as it was, -ENOMEM. */
int address_set_subtract(struct address_set *set, struct address_set *other);

/* Sorts, merges overlapping and adjacent ranges and computes the index. The calls below need a
 * sealed set. Returns 0, -ENOMEM, or -EOVERFLOW when the set holds 2^63 addresses or more. */
int address_set_seal(struct address_set *set);

/* The address with index `index` < size, in ascending order. */
struct address address_set_at(const struct address_set *set, uint64_t index);

/* The inverse: true and the index when the set holds the address. */
bool address_set_find(const struct address_set *set, const struct address *address,
                      uint64_t *ret_index);

/* Whether the set holds the address, also where address_set_seal() said -EOVERFLOW. A link-local
 * address without a zone in the set is that of every zone. */
bool address_set_contains(const struct address_set *set, const struct address *address);

/* Canonical text that target_parse() reads back, ranges separated by `separator`:
 * "192.0.2.0/24", "192.0.2.1", "192.0.2.1-192.0.2.9". */
void address_set_format(const struct address_set *set, const char *separator,
                        struct buffer *buffer);
