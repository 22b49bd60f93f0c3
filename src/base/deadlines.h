/* Which of many small numbered things is due first: a binary heap with removal from the middle. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct deadlines {
    struct deadline {
        uint64_t time;
        uint32_t item;
    } * heap;
    uint32_t *places; /* places[item]: where the item stands in the heap, or UINT32_MAX */
    uint32_t count;
    uint32_t capacity; /* items are 0 … capacity - 1 */
};

/* Returns 0 or -ENOMEM. */
int deadlines_init(struct deadlines *deadlines, uint32_t capacity);
void deadlines_release(struct deadlines *deadlines);

void deadlines_add(struct deadlines *deadlines, uint32_t item, uint64_t time); /* not yet in it */
void deadlines_remove(struct deadlines *deadlines, uint32_t item);             /* in it */

static inline bool deadlines_has(const struct deadlines *deadlines, uint32_t item)
{
    return deadlines->places[item] != UINT32_MAX;
}

/* The item that is due first; false when there is none. */
bool deadlines_first(const struct deadlines *deadlines, uint32_t *ret_item, uint64_t *ret_time);
