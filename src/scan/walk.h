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
    uint32_t packets;       /* that are expected to be sent */
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

/* What has become of walks that were handed out. */
struct walk_facts {
    uint64_t granted; /* packets that were expected of those that have ended, all together */
    uint64_t sent;    /* and were sent */
    unsigned active;  /* that have not ended */
    uint64_t oldest;  /* the first position of any of them, or UINT64_MAX */
    int code;         /* positive errno that one has met last; 0: none */
};
