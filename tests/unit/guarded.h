/* Bytes behind which nothing can be read: they end where a page ends, and the next one is closed.
 */
#pragma once

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guarded {
    char *pages;
    size_t size; /* of what can be read */
};

/* Room for `size` bytes at least; `pages` is NULL where there is none. */
static inline struct guarded guarded_open(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded guarded = {.size = (size + page - 1) / page * page};
    char *pages =
        mmap(NULL, guarded.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED && mprotect(pages + guarded.size, page, PROT_NONE) == 0)
        guarded.pages = pages;
    return guarded;
}

/* A copy of the bytes, at most `size` of them, at the end. */
static inline void *guarded_copy(const struct guarded *guarded, const void *bytes, size_t length)
{
    char *copy = guarded->pages + guarded->size - length;
    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

static inline void guarded_close(struct guarded *guarded)
{
    munmap(guarded->pages, guarded->size + (size_t)sysconf(_SC_PAGESIZE));
}
