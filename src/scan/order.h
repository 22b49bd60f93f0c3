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

#define ORDER_ROUNDS 6

static inline uint64_t order_hash(const struct order *order, unsigned round, uint64_t value)
{
    return mix64(mix64(value + order->key.words[round & 1]) ^
                 (order->key.words[~round & 1] + round * UINT64_C(0x9e3779b97f4a7c15)));
}

/* A number below `left`, which is at most 2^32, without a division (Lemire 2019). */
static inline uint64_t order_left_hash(const struct order *order, unsigned round, uint64_t right)
{
    return (order_hash(order, round, right) >> 32) * order->left >> 32;
}

static inline uint64_t order_right_hash(const struct order *order, unsigned round, uint64_t left)
{
    return order_hash(order, round, left) & (order->right - 1);
}

/* One step of the walk, which may lead out of [0, count): order_at() goes on until it is back. Here
 * because it is also computed inside the kernel (src/bpf). */
static inline uint64_t order_step(const struct order *order, uint64_t value)
{
    uint64_t left = value >> order->right_bits;
    uint64_t right = value & (order->right - 1);
    for (unsigned round = 0; round < ORDER_ROUNDS; round += 2) {
        left += order_left_hash(order, round, right);
        if (left >= order->left)
            left -= order->left;
        right ^= order_right_hash(order, round + 1, left);
    }
    return left << order->right_bits | right;
}

void order_init(struct order *order, uint64_t count, const struct key *key); /* count ≥ 1 */

uint64_t order_at(const struct order *order, uint64_t position);    /* position < count → index */
uint64_t order_position(const struct order *order, uint64_t index); /* the inverse */
