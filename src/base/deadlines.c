/* The heap: each parent is due no later than its children. */
#include "base/deadlines.h"

#include <errno.h>
#include <stdlib.h>

int deadlines_init(struct deadlines *deadlines, uint32_t capacity)
{
    struct deadline *heap = calloc(capacity, sizeof(*heap));
    uint32_t *places = malloc(capacity * sizeof(*places));
    if (capacity && (!heap || !places)) {
        free(heap);
        free(places);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < capacity; i++)
        places[i] = UINT32_MAX;
    *deadlines = (struct deadlines){.heap = heap, .places = places, .capacity = capacity};
    return 0;
}

void deadlines_release(struct deadlines *deadlines)
{
    free(deadlines->heap);
    free(deadlines->places);
    *deadlines = (struct deadlines){0};
}

static void put(struct deadlines *deadlines, uint32_t place, struct deadline deadline)
{
    deadlines->heap[place] = deadline;
    deadlines->places[deadline.item] = place;
}

static void move_up(struct deadlines *deadlines, uint32_t place, struct deadline deadline)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (deadlines->heap[parent].time <= deadline.time)
            break;
        put(deadlines, place, deadlines->heap[parent]);
        place = parent;
    }
    put(deadlines, place, deadline);
}

static void move_down(struct deadlines *deadlines, uint32_t place, struct deadline deadline)
{
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= deadlines->count)
            break;
        if (child + 1 < deadlines->count &&
            deadlines->heap[child + 1].time < deadlines->heap[child].time)
            child++;
        if (deadline.time <= deadlines->heap[child].time)
            break;
        put(deadlines, place, deadlines->heap[child]);
        place = child;
    }
    put(deadlines, place, deadline);
}

void deadlines_add(struct deadlines *deadlines, uint32_t item, uint64_t time)
{
    move_up(deadlines, deadlines->count++, (struct deadline){.time = time, .item = item});
}

void deadlines_remove(struct deadlines *deadlines, uint32_t item)
{
    uint32_t place = deadlines->places[item];
    deadlines->places[item] = UINT32_MAX;
    struct deadline last = deadlines->heap[--deadlines->count];
    if (place == deadlines->count)
        return;
    if (place > 0 && last.time < deadlines->heap[(place - 1) / 2].time)
        move_up(deadlines, place, last);
    else
        move_down(deadlines, place, last);
}

bool deadlines_first(const struct deadlines *deadlines, uint32_t *ret_item, uint64_t *ret_time)
{
    if (deadlines->count == 0)
        return false;
    *ret_item = deadlines->heap[0].item;
    *ret_time = deadlines->heap[0].time;
    return true;
}
