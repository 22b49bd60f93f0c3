/* Memory that is taken in small pieces and given back all at once. */
#pragma once

#include <stddef.h>

/* Zero-initialised is empty. */
struct arena {
    struct arena_block *blocks; /* the latest first */
    size_t left;                /* bytes of that one */
};

/* `size` bytes of zeros, aligned for anything, that hold until arena_release(). NULL without
 * memory.
 */
void *arena_take(struct arena *arena, size_t size);
void arena_release(struct arena *arena);
