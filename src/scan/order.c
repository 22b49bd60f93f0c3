/* The bijection: six Feistel rounds on a mixed-radix domain, walked until it stays inside. */
#include "scan/order.h"

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

static uint64_t back(const struct order *order, uint64_t value)
{
    uint64_t left = value >> order->right_bits;
    uint64_t right = value & (order->right - 1);
    for (unsigned round = ORDER_ROUNDS; round > 0; round -= 2) {
        right ^= order_right_hash(order, round - 1, left);
        uint64_t hash = order_left_hash(order, round - 2, right);
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
        position = order_step(order, position);
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
