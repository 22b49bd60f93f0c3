/* struct stretches: sorted, different ends. */
#include "net/stretches.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

void stretches_release(struct stretches *stretches)
{
    free(stretches->starts);
    *stretches = (struct stretches){.family = stretches->family};
}

static int compare_numbers(const void *one, const void *other)
{
    const uint128_t left = *(const uint128_t *)one, right = *(const uint128_t *)other;
    return (left > right) - (left < right);
}

/* Sorts, and keeps one of those that are equal. */
static void starts_tidy(struct stretches *stretches)
{
    if (stretches->count < 2)
        return;
    qsort(stretches->starts, stretches->count, sizeof(*stretches->starts), compare_numbers);
    size_t kept = 1;
    for (size_t i = 1; i < stretches->count; i++)
        if (stretches->starts[i] != stretches->starts[kept - 1])
            stretches->starts[kept++] = stretches->starts[i];
    stretches->count = kept;
}

/* Makes room for one more. Many prefixes share their ends, so that more memory is taken only when
 * little came free by tidying. */
static int starts_reserve(struct stretches *stretches)
{
    if (stretches->count < stretches->capacity)
        return 0;
    starts_tidy(stretches);
    if (stretches->count < stretches->capacity / 2)
        return 0;
    if (stretches->capacity > SIZE_MAX / sizeof(*stretches->starts) / 2)
        return -ENOMEM;
    const size_t capacity = stretches->capacity ? stretches->capacity * 2 : FIRST_CAPACITY;
    uint128_t *starts = realloc(stretches->starts, capacity * sizeof(*starts));
    if (!starts)
        return -ENOMEM;
    stretches->starts = starts;
    stretches->capacity = capacity;
    return 0;
}

static int start_add(struct stretches *stretches, uint128_t value)
{
    if (starts_reserve(stretches) != 0)
        return -ENOMEM;
    stretches->starts[stretches->count++] = value;
    return 0;
}

int stretches_cut(struct stretches *stretches, uint128_t value, unsigned length)
{
    const unsigned bits = address_bits(&(struct address){.family = stretches->family});
    const uint128_t maximum = address_maximum(stretches->family);
    if (length > bits || value > maximum)
        return -EINVAL;
    const uint128_t host = length == 0 ? maximum : ((uint128_t)1 << (bits - length)) - 1;
    const uint128_t first = value & ~host, last = value | host;
    if (start_add(stretches, first) != 0)
        return -ENOMEM;
    return last < maximum ? start_add(stretches, last + 1) : 0;
}

int stretches_cut_all(struct stretches *stretches, uint128_t value, unsigned length)
{
    int code = 0;
    for (unsigned bits = 1; code == 0 && bits <= length; bits++)
        code = stretches_cut(stretches, value, bits);
    return code;
}

int stretches_seal(struct stretches *stretches)
{
    if (start_add(stretches, 0) != 0)
        return -ENOMEM;
    starts_tidy(stretches);
    /* Less memory is no reason to fail. */
    uint128_t *starts = realloc(stretches->starts, stretches->count * sizeof(*starts));
    if (starts) {
        stretches->starts = starts;
        stretches->capacity = stretches->count;
    }
    return 0;
}

size_t stretches_find(const struct stretches *stretches, uint128_t value)
{
    /* The last start that is not above `value` is one of the `length` from `first` on. A choice,
     * not a branch, because nothing could guess where it goes. */
    const uint128_t *first = stretches->starts;
    for (size_t length = stretches->count; length > 1;) {
        const size_t half = length / 2;
        first += first[half] <= value ? half : 0;
        length -= half;
    }
    return (size_t)(first - stretches->starts);
}
