/* A hash table from verdicts to their numbers. */
#include "scan/verdicts.h"

#include <errno.h>
#include <stdlib.h>

void verdicts_release(struct verdicts *verdicts)
{
    free(verdicts->items);
    free(verdicts->slots);
    *verdicts = (struct verdicts){0};
}

static uint32_t *find_slot(const struct verdicts *verdicts, const struct result_verdict *verdict)
{
    const struct address *from = &verdict->from;
    const uint64_t content[] = {(uint64_t)from->value, (uint64_t)(from->value >> 64),
                                (uint64_t)verdict->state << 8 | (uint64_t)verdict->reason};
    uint64_t hash = siphash(&verdicts->key, content, sizeof(content));
    uint32_t mask = verdicts->slot_count - 1;
    uint32_t at = (uint32_t)hash & mask;
    while (verdicts->slots[at]) {
        const struct result_verdict *other = &verdicts->items[verdicts->slots[at] - 1];
        if (other->state == verdict->state && other->reason == verdict->reason &&
            address_equal(&other->from, from))
            break;
        at = (at + 1) & mask;
    }
    return &verdicts->slots[at];
}

static int slots_grow(struct verdicts *verdicts)
{
    if (verdicts->count < verdicts->slot_count / 2)
        return 0;
    if (verdicts->slot_count > UINT32_MAX / 2)
        return -ENOMEM;
    uint32_t count = verdicts->slot_count ? verdicts->slot_count * 2 : 16;
    uint32_t *slots = calloc(count, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(verdicts->slots);
    verdicts->slots = slots;
    verdicts->slot_count = count;
    for (uint32_t i = 0; i < verdicts->count; i++)
        *find_slot(verdicts, &verdicts->items[i]) = i + 1;
    return 0;
}

int verdicts_number(struct verdicts *verdicts, const struct result_verdict *verdict,
                    uint32_t *ret_number)
{
    if (slots_grow(verdicts) < 0)
        return -ENOMEM;
    uint32_t *slot = find_slot(verdicts, verdict);
    if (!*slot) {
        if (verdicts->count == verdicts->capacity) {
            uint32_t capacity = verdicts->capacity ? verdicts->capacity * 2 : 4;
            struct result_verdict *items = reallocarray(verdicts->items, capacity, sizeof(*items));
            if (!items)
                return -ENOMEM;
            verdicts->items = items;
            verdicts->capacity = capacity;
        }
        verdicts->items[verdicts->count++] = *verdict;
        *slot = verdicts->count;
    }
    *ret_number = *slot - 1;
    return 0;
}
