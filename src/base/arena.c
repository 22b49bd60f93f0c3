/* Blocks of memory in a list. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK 65536 /* bytes, and more for a piece that is larger */
#define ALIGNMENT alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    alignas(ALIGNMENT) unsigned char bytes[];
};

void *arena_take(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - BLOCK)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size > arena->left || !arena->blocks) {
        size_t wanted = size > BLOCK ? size : BLOCK;
        struct arena_block *block = calloc(1, sizeof(*block) + wanted);
        if (!block)
            return NULL;
        block->next = arena->blocks;
        arena->blocks = block;
        arena->left = wanted;
    }
    arena->left -= size;
    return arena->blocks->bytes + arena->left;
}

void arena_release(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    *arena = (struct arena){0};
}
