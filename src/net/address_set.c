/* struct address_set: sorted ranges and the index over them. */
#include "net/address_set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A sealed set holds fewer than this many addresses, so that its size also fits an int64_t. */
#define SIZE_LIMIT ((uint128_t)1 << 63)

void address_set_release(struct address_set *set)
{
    free(set->ranges);
    free(set->starts);
    *set = (struct address_set){0};
}

int address_set_reserve(struct address_set *set, size_t more)
{
    if (more <= set->capacity - set->count)
        return 0;
    const size_t limit = SIZE_MAX / sizeof(*set->ranges) / 2;
    if (more > limit || set->count > limit - more)
        return -ENOMEM;
    size_t capacity = set->capacity ? set->capacity : 4;
    while (capacity < set->count + more)
        capacity *= 2;
    struct address_range *ranges = realloc(set->ranges, capacity * sizeof(*ranges));
    if (!ranges)
        return -ENOMEM;
    set->ranges = ranges;
    set->capacity = capacity;
    return 0;
}

/* Whether two addresses differ in nothing but their values. */
static bool same_space(const struct address *one, const struct address *other)
{
    return one->family == other->family && one->scope == other->scope;
}

/* Takes [first, last] into `range` when it begins in `range` or right behind it. */
static bool range_extend(struct address_range *range, const struct address *first, uint128_t last)
{
    if (!same_space(&range->first, first) || first->value < range->first.value)
        return false;
    if (first->value > range->last && first->value - range->last != 1)
        return false;
    if (last > range->last)
        range->last = last;
    return true;
}

int address_set_add(struct address_set *set, const struct address *first, uint128_t last)
{
    if (last < first->value || last > address_maximum(first->family))
        return -EINVAL;
    /* Lists of addresses are mostly sorted already. */
    if (set->count == 0 || !range_extend(&set->ranges[set->count - 1], first, last)) {
        if (address_set_reserve(set, 1) != 0)
            return -ENOMEM;
        set->ranges[set->count++] = (struct address_range){.first = *first, .last = last};
    }
    set->sealed = false;
    return 0;
}

static int compare_ranges(const void *one, const void *other)
{
    const struct address_range *left = one, *right = other;
    return address_compare(&left->first, &right->first);
}

/* Sorts and merges. */
static void set_normalise(struct address_set *set)
{
    if (set->count < 2)
        return;
    qsort(set->ranges, set->count, sizeof(*set->ranges), compare_ranges);
    size_t kept = 1;
    for (size_t i = 1; i < set->count; i++) {
        const struct address_range range = set->ranges[i];
        if (!range_extend(&set->ranges[kept - 1], &range.first, range.last))
            set->ranges[kept++] = range;
    }
    set->count = kept;
}

int address_set_seal(struct address_set *set)
{
    if (set->sealed)
        return 0;
    set_normalise(set);
    uint64_t *starts = realloc(set->starts, (set->count ? set->count : 1) * sizeof(*starts));
    if (!starts)
        return -ENOMEM;
    set->starts = starts;
    uint128_t size = 0;
    for (size_t i = 0; i < set->count; i++) {
        /* A range may hold 2^128 addresses, which only the difference of its ends can express. */
        const uint128_t further = set->ranges[i].last - set->ranges[i].first.value;
        if (further >= SIZE_LIMIT - 1 - size)
            return -EOVERFLOW;
        starts[i] = (uint64_t)size;
        size += further + 1;
    }
    set->size = (uint64_t)size;
    set->sealed = true;
    return 0;
}

/* The first range of a normalised set that ends at or after `address` in its family and scope, or
 * belongs to a later family or scope; `count` when there is none. */
static size_t first_ending_after(const struct address_set *set, const struct address *address)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        struct address last = set->ranges[middle].first;
        last.value = set->ranges[middle].last;
        if (address_compare(&last, address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Adds to `rest` what the normalised set `other` leaves of `range`, `scope` being the zone that the
 * exclusions are looked for in. */
static int range_subtract(const struct address_range *range, const struct address_set *other,
                          uint32_t scope, struct address_set *rest)
{
    struct address first = range->first; /* of what is left */
    struct address sought = range->first;
    sought.scope = scope;
    for (size_t i = first_ending_after(other, &sought); i < other->count; i++) {
        const struct address_range *cut = &other->ranges[i];
        if (!same_space(&cut->first, &sought) || cut->first.value > range->last)
            break;
        if (cut->first.value > first.value) {
            int code = address_set_add(rest, &first, cut->first.value - 1);
            if (code != 0)
                return code;
        }
        if (cut->last >= range->last)
            return 0;
        first.value = cut->last + 1;
    }
    return address_set_add(rest, &first, range->last);
}

/* Adds to `rest` what `other` leaves of `set`; when `any_zone`, with the exclusions that name no
 * zone applied in every zone. */
static int set_subtract(const struct address_set *set, const struct address_set *other,
                        bool any_zone, struct address_set *rest)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < set->count; i++) {
        const struct address_range *range = &set->ranges[i];
        code = range_subtract(range, other, any_zone ? 0 : range->first.scope, rest);
    }
    return code;
}

int address_set_subtract(struct address_set *set, struct address_set *other)
{
    /* What is excluded may well hold 2^63 addresses or more: then it has no index, and needs none.
     */
    int code = address_set_seal(other);
    if (code != 0 && code != -EOVERFLOW)
        return code;
    if (other->count == 0)
        return 0;
    if (set == other) {
        set->count = 0;
        set->sealed = false;
        return 0;
    }
    set_normalise(set);
    struct address_set same_zone = {0}, rest = {0};
    code = set_subtract(set, other, false, &same_zone);
    if (code == 0)
        code = set_subtract(&same_zone, other, true, &rest);
    address_set_release(&same_zone);
    if (code != 0) {
        address_set_release(&rest);
        return code;
    }
    address_set_release(set);
    *set = rest;
    return 0;
}

struct address address_set_at(const struct address_set *set, uint64_t index)
{
    assert(set->sealed && index < set->size);
    /* The last range that starts at or before the index. How many steps that takes depends on the
     * count alone (none for a single range), and each step is a choice that compilers can make with
     * a conditional move: indexes come in random order, so a branch would often be mispredicted. */
    size_t low = 0;
    for (size_t length = set->count; length > 1;) {
        const size_t half = length / 2;
        low = set->starts[low + half] <= index ? low + half : low;
        length -= half;
    }
    struct address address = set->ranges[low].first;
    address.value += index - set->starts[low];
    return address;
}

bool address_set_find(const struct address_set *set, const struct address *address,
                      uint64_t *ret_index)
{
    assert(set->sealed);
    const size_t at = first_ending_after(set, address);
    if (at == set->count || address_compare(&set->ranges[at].first, address) > 0)
        return false;
    *ret_index = set->starts[at] + (uint64_t)(address->value - set->ranges[at].first.value);
    return true;
}

static bool covers(const struct address_set *set, const struct address *address)
{
    const size_t at = first_ending_after(set, address);
    return at < set->count && address_compare(&set->ranges[at].first, address) <= 0;
}

bool address_set_contains(const struct address_set *set, const struct address *address)
{
    struct address anywhere = *address;
    anywhere.scope = 0;
    return covers(set, address) || (address->scope && covers(set, &anywhere));
}

/* Whether the range is one CIDR block, and the length of its prefix. */
static bool range_is_block(const struct address_range *range, unsigned *ret_prefix)
{
    const uint128_t host = range->last - range->first.value;
    if ((host & (host + 1)) != 0 || (range->first.value & host) != 0)
        return false;
    *ret_prefix = address_bits(&range->first) - (unsigned)__builtin_popcountll((uint64_t)host) -
                  (unsigned)__builtin_popcountll((uint64_t)(host >> 64));
    return true;
}

static void range_format(const struct address_range *range, struct buffer *buffer)
{
    char text[ADDRESS_TEXT_SIZE];
    buffer_add_text(buffer, address_format(&range->first, text));
    unsigned prefix = 0;
    if (range->last == range->first.value)
        return;
    if (range_is_block(range, &prefix)) {
        buffer_add_format(buffer, "/%u", prefix);
        return;
    }
    struct address last = range->first;
    last.value = range->last;
    buffer_add_character(buffer, '-');
    buffer_add_text(buffer, address_format(&last, text));
}

void address_set_format(const struct address_set *set, const char *separator, struct buffer *buffer)
{
    for (size_t i = 0; i < set->count; i++) {
        if (i > 0)
            buffer_add_text(buffer, separator);
        range_format(&set->ranges[i], buffer);
    }
}
