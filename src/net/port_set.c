/* struct port_set: building, looking up and printing. Every change goes through a bit for each
 * port, from which the sorted, merged ranges follow; reading one port touches only the ranges. */
#include "net/port_bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void port_set_release(struct port_set *set)
{
    free(set->ranges);
    free(set->starts);
    *set = (struct port_set){0};
}

static void change_range(struct port_bits *bits, const struct port_range *range, bool present)
{
    uint64_t *words = bits->words[range->protocol];
    for (unsigned word = range->first / 64u; word <= range->last / 64u; word++) {
        uint64_t mask = UINT64_MAX;
        if (word == range->first / 64u)
            mask &= UINT64_MAX << range->first % 64;
        if (word == range->last / 64u)
            mask &= UINT64_MAX >> (63 - range->last % 64);
        words[word] = present ? words[word] | mask : words[word] & ~mask;
    }
}

static void change_set(struct port_bits *bits, const struct port_set *set, bool present)
{
    for (size_t i = 0; i < set->count; i++)
        change_range(bits, &set->ranges[i], present);
}

/* The first port from `from` on whose presence is `present`, or 65,536. */
static uint32_t seek(const struct port_bits *bits, enum protocol protocol, uint32_t from,
                     bool present)
{
    while (from < 65536) {
        uint64_t word = bits->words[protocol][from / 64];
        word = (present ? word : ~word) >> from % 64;
        if (word)
            return from + (uint32_t)__builtin_ctzll(word);
        from = (from / 64 + 1) * 64;
    }
    return 65536;
}

/* Writes the ranges, or with NULL only counts them. */
static size_t bits_to_ranges(const struct port_bits *bits, struct port_range *ranges)
{
    size_t count = 0;
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
        uint32_t first = seek(bits, protocol, 0, true);
        while (first < 65536) {
            uint32_t end = seek(bits, protocol, first, false);
            if (ranges)
                ranges[count] = (struct port_range){protocol, (uint16_t)first, (uint16_t)(end - 1)};
            count++;
            first = seek(bits, protocol, end, true);
        }
    }
    return count;
}

static uint32_t range_size(const struct port_range *range)
{
    return (uint32_t)(range->last - range->first) + 1;
}

/* Makes the set hold exactly the bits, or leaves it as it was. Returns 0 or -ENOMEM. */
static int replace(struct port_set *set, const struct port_bits *bits)
{
    size_t count = bits_to_ranges(bits, NULL);
    struct port_set fresh = {
        .ranges = calloc(count + 1, sizeof(*fresh.ranges)),
        .starts = calloc(count + 1, sizeof(*fresh.starts)),
        .count = count,
        .capacity = count + 1,
    };
    if (!fresh.ranges || !fresh.starts) {
        port_set_release(&fresh);
        return -ENOMEM;
    }
    bits_to_ranges(bits, fresh.ranges);
    for (size_t i = 0; i < count; i++) {
        fresh.starts[i] = fresh.size;
        fresh.size += range_size(&fresh.ranges[i]);
    }
    port_set_release(set);
    *set = fresh;
    return 0;
}

int port_set_add(struct port_set *set, enum protocol protocol, uint16_t first, uint16_t last)
{
    if (last < first)
        return -EINVAL;
    struct port_bits bits = {0};
    change_set(&bits, set, true);
    change_range(&bits, &(struct port_range){protocol, first, last}, true);
    return replace(set, &bits);
}

int port_set_subtract(struct port_set *set, const struct port_set *other)
{
    struct port_bits bits = {0};
    change_set(&bits, set, true);
    change_set(&bits, other, false);
    return replace(set, &bits);
}

int port_set_add_bits(struct port_set *set, const struct port_bits *bits)
{
    struct port_bits all = *bits;
    change_set(&all, set, true);
    return replace(set, &all);
}

struct port port_set_at(const struct port_set *set, uint32_t index)
{
    size_t low = 0;
    if (set->count > 1) {
        size_t high = set->count; /* starts[low] <= index < starts[high] */
        while (high - low > 1) {
            size_t middle = low + (high - low) / 2;
            if (set->starts[middle] <= index)
                low = middle;
            else
                high = middle;
        }
        index -= set->starts[low];
    }
    const struct port_range *range = &set->ranges[low];
    return (struct port){range->protocol, (uint16_t)(range->first + index)};
}

bool port_set_find(const struct port_set *set, struct port port, uint32_t *ret_index)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct port_range *range = &set->ranges[middle];
        if (range->protocol < port.protocol ||
            (range->protocol == port.protocol && range->last < port.number)) {
            low = middle + 1;
        } else if (range->protocol > port.protocol || range->first > port.number) {
            high = middle;
        } else {
            *ret_index = set->starts[middle] + (uint32_t)(port.number - range->first);
            return true;
        }
    }
    return false;
}

void port_set_format(const struct port_set *set, struct buffer *buffer)
{
    static const char letters[PROTOCOL_COUNT] = {'T', 'U', 'S'};
    enum protocol protocol = PROTOCOL_COUNT;
    if (set->count && set->ranges[set->count - 1].protocol == PROTOCOL_TCP)
        protocol = PROTOCOL_TCP; /* nothing but TCP, which needs no letter */
    for (size_t i = 0; i < set->count; i++) {
        const struct port_range *range = &set->ranges[i];
        if (i)
            buffer_add_character(buffer, ',');
        if (range->protocol != protocol) {
            protocol = range->protocol;
            buffer_add_format(buffer, "%c:", letters[protocol]);
        }
        buffer_add_format(buffer, "%u", range->first);
        if (range->last != range->first)
            buffer_add_format(buffer, "-%u", range->last);
    }
}
