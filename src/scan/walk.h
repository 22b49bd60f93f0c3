/* A stretch of a pass that something else walks than the scan loop: a link inside the kernel. What
 * is at a position both compute by the same functions, so that either can go on where the other
 * ended. Without libraries, because it is also computed there (src/bpf). */
#pragma once

#include "scan/order.h"

struct walk {
    struct order scan;      /* from places to indexes */
    struct order pass;      /* from positions to places; count 0: they are the same */
    uint64_t shard, shards; /* of the places only every shards-th is ours, from `shard` on */
    uint64_t position, end; /* to be walked */
    uint32_t packets;       /* to be sent at most */
    uint8_t tag;            /* of the probes */
};

/* The index at a position. `at` is order_at(), or what does the same elsewhere. */
__attribute__((always_inline)) static inline uint64_t
walk_index(const struct walk *walk, uint64_t position,
           uint64_t (*at)(const struct order *order, uint64_t position))
{
    if (walk->pass.count)
        position = at(&walk->pass, position);
    if (walk->shards > 1)
        position = walk->shard + position * walk->shards;
    return at(&walk->scan, position);
}
