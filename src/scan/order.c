/* The bijection: six Feistel rounds on a mixed-radix domain, walked until it stays inside. */
#include "scan/order.h"

__extension__ typedef unsigned __int128 wide;

#define ROUNDS 6

void order_init(struct order *order, uint64_t count, const struct key *key)
{
    unsigned bits = 0;
    while (bits < 63 && UINT64_C(1) << bits < count)
        bits++;
    order->count = count;
    order->right_bits = bits / 2;
    order->right = UINT64_C(1) << order->right_bits;
    order->left = (count + order->right - 1) >> order->right_bits;
    order->key = *key;
}

static inline uint64_t round_hash(const struct order *order, unsigned round, uint64_t value)
{
    return mix64(mix64(value + order->key.words[round & 1]) ^
                 (order->key.words[~round & 1] + round * UINT64_C(0x9e3779b97f4a7c15)));
}

/* A number below `left`, without a division (Lemire 2019). */
static inline uint64_t left_hash(const struct order *order, unsigned round, uint64_t right)
{
    return (uint64_t)((wide)round_hash(order, round, right) * order->left >> 64);
}

static inline uint64_t right_hash(const struct order *order, unsigned round, uint64_t left)
{
    return round_hash(order, round, left) & (order->right - 1);
}

static uint64_t forth(const struct order *order, uint64_t value)
{
    uint64_t left = value >> order->right_bits;
    uint64_t right = value & (order->right - 1);
    for (unsigned round = 0; round < ROUNDS; round += 2) {
        left += left_hash(order, round, right);
        if (left >= order->left)
            left -= order->left;
        right ^= right_hash(order, round + 1, left);
    }
    return left << order->right_bits | right;
}

static uint64_t back(const struct order *order, uint64_t value)
{
    uint64_t left = value >> order->right_bits;
    uint64_t right = value & (order->right - 1);
    for (unsigned round = ROUNDS; round > 0; round -= 2) {
        right ^= right_hash(order, round - 1, left);
        uint64_t hash = left_hash(order, round - 2, right);
        left = left >= hash ? left - hash : left + order->left - hash;
    }
    return left << order->right_bits | right;
}

/* The domain exceeds `count` by less than `right`, about its square root: a value seldom lands in
 * the excess, and walking on from there ends in [0, count) because the walk is a cycle that began
 * there. */
uint64_t order_at(const struct order *order, uint64_t position)
{
    do
        position = forth(order, position);
    while (position >= order->count);
    return position;
}

uint64_t order_position(const struct order *order, uint64_t index)
{
    do
        index = back(order, index);
    while (index >= order->count);
    return index;
}
