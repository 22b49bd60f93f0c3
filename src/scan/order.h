/* A keyed bijection on [0, count): the order in which a scan asks, without any state.
 *
 * A generalised Feistel network on a × b ≥ count with cycle walking (Black and Rogaway, "Ciphers
 * with Arbitrary Finite Domains", 2002). Equal keys and counts give equal orders. */
#pragma once

#include "base/random.h"

struct order {
    uint64_t count;
    uint64_t left, right; /* the domain is left × right; right is a power of two */
    unsigned right_bits;
    struct key key;
};

void order_init(struct order *order, uint64_t count, const struct key *key); /* count ≥ 1 */

uint64_t order_at(const struct order *order, uint64_t position);    /* position < count → index */
uint64_t order_position(const struct order *order, uint64_t index); /* the inverse */
