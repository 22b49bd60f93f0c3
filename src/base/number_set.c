/* struct number_set: linear probing, at most half full. */
#include "base/number_set.h"

#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void number_set_release(struct number_set *set)
{
    free(set->slots);
    *set = (struct number_set){0};
}

/* The slot that holds `number`, or the free one where it belongs. */
static uint64_t *find_slot(uint64_t *slots, size_t capacity, uint64_t number)
{
    size_t at = mix64(number) & (capacity - 1);
    while (slots[at] != UINT64_MAX && slots[at] != number)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static int grow(struct number_set *set)
{
    size_t capacity = set->capacity ? 2 * set->capacity : 16;
    if (set->limit && capacity + set->capacity > set->limit / sizeof(*set->slots))
        return -ENOMEM;
    uint64_t *slots = malloc(capacity * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    memset(slots, 0xff, capacity * sizeof(*slots));
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i] != UINT64_MAX)
            *find_slot(slots, capacity, set->slots[i]) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return 0;
}

int number_set_add(struct number_set *set, uint64_t number)
{
    if (2 * (set->count + 1) > set->capacity) {
        if (number_set_has(set, number))
            return 1;
        if (grow(set) < 0)
            return -ENOMEM;
    }
    uint64_t *slot = find_slot(set->slots, set->capacity, number);
    if (*slot == number)
        return 1;
    *slot = number;
    set->count++;
    return 0;
}

bool number_set_has(const struct number_set *set, uint64_t number)
{
    return set->count && *find_slot(set->slots, set->capacity, number) == number;
}
