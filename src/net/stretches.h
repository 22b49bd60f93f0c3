/* The addresses of one family, cut into stretches at the ends of prefixes: whatever follows from
 * the prefixes that an address is in is the same all over a stretch. Private to src/net. */
#pragma once

#include "net/address.h"

struct stretches {
    enum address_family family;
    uint128_t *starts; /* ascending once sealed; the first is 0 */
    size_t count, capacity;
};

void stretches_release(struct stretches *stretches);

/* Cuts where the prefix of `length` bits of `value` begins and where it ends. A prefix that is
 * longer than the addresses is refused. Returns 0, -EINVAL or -ENOMEM. */
int stretches_cut(struct stretches *stretches, uint128_t value, unsigned length);

/* Cuts at all prefixes of `value` of up to `length` bits, so that all addresses of a stretch have
 * as many leading bits in common with it. */
int stretches_cut_all(struct stretches *stretches, uint128_t value, unsigned length);

/* Sorts. Nothing can be found before. Returns 0 or -ENOMEM. */
int stretches_seal(struct stretches *stretches);

/* The stretch that holds an address, counted from 0. */
size_t stretches_find(const struct stretches *stretches, uint128_t value);

static inline bool stretches_holds(const struct stretches *stretches, size_t stretch,
                                   uint128_t value)
{
    return value >= stretches->starts[stretch] &&
           (stretch + 1 == stretches->count || value < stretches->starts[stretch + 1]);
}
