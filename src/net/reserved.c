/* The ranges of addresses that no host on the Internet has, and which words ask for them. */
#include "net/reserved.h"

#include <errno.h>

#define IPV4(a, b, c) ADDRESS_IPV4, (uint64_t)(a) << 24 | (uint64_t)(b) << 16 | (uint64_t)(c) << 8
#define IPV6(a, b, c) ADDRESS_IPV6, (uint64_t)(a) << 48 | (uint64_t)(b) << 32 | (uint64_t)(c) << 16

const struct reserved_range reserved_ranges[] = {
    {IPV4(0, 0, 0), 8, "this network", "RFC 791"},
    {IPV4(10, 0, 0), 8, "private use", "RFC 1918"},
    {IPV4(100, 64, 0), 10, "shared address space of providers", "RFC 6598"},
    {IPV4(127, 0, 0), 8, "loopback", "RFC 1122"},
    {IPV4(169, 254, 0), 16, "link-local", "RFC 3927"},
    {IPV4(172, 16, 0), 12, "private use", "RFC 1918"},
    {IPV4(192, 0, 0), 24, "protocol assignments", "RFC 6890"},
    {IPV4(192, 0, 2), 24, "documentation", "RFC 5737"},
    {IPV4(192, 88, 99), 24, "the former 6to4 relays", "RFC 7526"},
    {IPV4(192, 168, 0), 16, "private use", "RFC 1918"},
    {IPV4(198, 18, 0), 15, "benchmarks", "RFC 2544"},
    {IPV4(198, 51, 100), 24, "documentation", "RFC 5737"},
    {IPV4(203, 0, 113), 24, "documentation", "RFC 5737"},
    {IPV4(224, 0, 0), 4, "multicast", "RFC 5771"},
    {IPV4(240, 0, 0), 4, "kept for later, and broadcast", "RFC 1112"},
    {IPV6(0, 0, 0), 127, "no address, and loopback", "RFC 4291"},
    {IPV6(0x64, 0xff9b, 1), 48, "translation within a network", "RFC 8215"},
    {IPV6(0x100, 0, 0), 64, "discarded", "RFC 6666"},
    {IPV6(0x2001, 0, 0), 23, "protocol assignments", "RFC 2928"},
    {IPV6(0x2001, 0xdb8, 0), 32, "documentation", "RFC 3849"},
    {IPV6(0x3fff, 0, 0), 20, "documentation", "RFC 9637"},
    {IPV6(0x5f00, 0, 0), 16, "segment identifiers", "RFC 9602"},
    {IPV6(0xfc00, 0, 0), 7, "unique local", "RFC 4193"},
    {IPV6(0xfe80, 0, 0), 10, "link-local", "RFC 4291"},
    {IPV6(0xff00, 0, 0), 8, "multicast", "RFC 4291"},
    {.family = ADDRESS_NONE},
};

struct address reserved_first(const struct reserved_range *range)
{
    unsigned shift = range->family == ADDRESS_IPV6 ? 64 : 0;
    return (struct address){.value = (uint128_t)range->start << shift, .family = range->family};
}

uint128_t reserved_last(const struct reserved_range *range)
{
    return reserved_first(range).value | address_maximum(range->family) >> range->prefix;
}

/* What a range of addresses has in common with a reserved one; false: nothing. */
static bool find_common(const struct address_range *range, const struct reserved_range *reserved,
                        struct address_range *ret_common)
{
    uint128_t first = reserved_first(reserved).value, last = reserved_last(reserved);
    if (range->first.family != reserved->family || range->first.value > last || range->last < first)
        return false;
    *ret_common = *range; /* with its zone */
    if (first > range->first.value)
        ret_common->first.value = first;
    if (last < range->last)
        ret_common->last = last;
    return true;
}

/* Whether a set has more than RESERVED_WIDE addresses. Overlaps count twice. */
static bool is_wide(const struct address_set *set)
{
    uint128_t size = 0;
    for (size_t i = 0; i < set->count && size <= RESERVED_WIDE; i++) {
        uint128_t further = set->ranges[i].last - set->ranges[i].first.value;
        size += further < RESERVED_WIDE ? further + 1 : RESERVED_WIDE + 1;
    }
    return size > RESERVED_WIDE;
}

/* Adds to `cut` what `range` does not ask for. */
static int find_cut(const struct address_range *range, bool wide, struct address_set *cut)
{
    for (const struct reserved_range *reserved = reserved_ranges; reserved->family; reserved++) {
        struct address_range common;
        if (!find_common(range, reserved, &common))
            continue;
        bool whole = common.first.value == reserved_first(reserved).value &&
                     common.last == reserved_last(reserved);
        bool more = common.first.value != range->first.value || common.last != range->last;
        if ((wide || (whole && more)) && address_set_add(cut, &common.first, common.last) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_all(struct address_set *set, const struct address_set *more)
{
    if (address_set_reserve(set, more->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < more->count; i++)
        address_set_add(set, &more->ranges[i].first, more->ranges[i].last);
    return 0;
}

int reserved_leave_out(struct address_set *set, struct address_set *left_out)
{
    struct address_set cut = {0}, kept = {0};
    bool wide = is_wide(set);
    int failed = 0;
    for (size_t i = 0; !failed && i < set->count; i++)
        failed = find_cut(&set->ranges[i], wide, &cut);
    if (!failed && cut.count) {
        failed = add_all(&kept, set);
        if (!failed)
            failed = address_set_subtract(&kept, &cut);
        /* Nothing else was asked for, so this was. */
        if (!failed && kept.count) {
            failed = add_all(left_out, &cut);
            if (!failed) {
                struct address_set whole = *set;
                *set = kept;
                kept = whole;
            }
        }
    }
    address_set_release(&cut);
    address_set_release(&kept);
    return failed;
}

size_t reserved_count(const struct address_set *set, const struct reserved_range **ret_first)
{
    size_t count = 0;
    *ret_first = NULL;
    for (const struct reserved_range *reserved = reserved_ranges; reserved->family; reserved++) {
        struct address_range common;
        bool met = false;
        for (size_t i = 0; !met && i < set->count; i++)
            met = find_common(&set->ranges[i], reserved, &common);
        if (met && count++ == 0)
            *ret_first = reserved;
    }
    return count;
}
