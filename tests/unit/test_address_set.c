/* Address sets: held against a plain bitmap, and at the ends of the number range. */
#include "net/address_set.h"

#include "net/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A universe small enough to be listed, in ascending order: segments of addresses at places where
 * arithmetic goes wrong, namely both ends of both families and a link-local range in three zones.
 */
enum { SEGMENT_SIZE = 40, SEGMENTS = 8, UNIVERSE = SEGMENTS * SEGMENT_SIZE };

static const char *const segment_starts[SEGMENTS] = {
    "0.0.0.0",
    "255.255.255.216",
    "::",
    "fe80::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffd8",
    "fe80::ffff:ffff:ffff:fff0%2147483645", /* crosses a 64-bit border */
    "fe80::%2147483646",
    "fe80::%2147483647",
};
enum { UNSCOPED_SEGMENT = 3, SCOPED_SEGMENTS = 6 };

static struct address universe[UNIVERSE];

static int universe_setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < UNIVERSE; i++) {
        const char *start = segment_starts[i / SEGMENT_SIZE];
        if (address_parse(start, strlen(start), &universe[i], NULL) != 0)
            return -1;
        universe[i].value += i % SEGMENT_SIZE;
    }
    return 0;
}

/* xorshift64 (Marsaglia 2003), so that a failure can be repeated. */
static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static unsigned random_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 32) % limit;
}

static void add_random_ranges(struct address_set *set, bool members[static UNIVERSE],
                              unsigned ranges)
{
    for (unsigned i = 0; i < ranges; i++) {
        const unsigned first = random_below(UNIVERSE);
        const unsigned left = SEGMENT_SIZE - first % SEGMENT_SIZE;
        const unsigned count = 1 + random_below(random_below(3) == 0 ? left : left / 4 + 1);
        const uint128_t last = universe[first].value + count - 1;
        assert_int_equal(address_set_add(set, &universe[first], last), 0);
        for (unsigned j = 0; j < count; j++)
            members[first + j] = true;
    }
}

/* What the exclusions mean: an address goes when it is named, or named without its zone. */
static void subtract_members(bool members[static UNIVERSE], const bool others[static UNIVERSE])
{
    for (unsigned i = 0; i < UNIVERSE; i++) {
        const unsigned segment = i / SEGMENT_SIZE;
        const bool everywhere = segment >= SCOPED_SEGMENTS &&
                                others[UNSCOPED_SEGMENT * SEGMENT_SIZE + i % SEGMENT_SIZE];
        members[i] = members[i] && !others[i] && !everywhere;
    }
}

static void assert_normal(const struct address_set *set)
{
    assert_true(set->sealed);
    for (size_t i = 1; i < set->count; i++) {
        const struct address_range *one = &set->ranges[i - 1], *two = &set->ranges[i];
        assert_true(address_compare(&one->first, &two->first) < 0);
        if (one->first.family == two->first.family && one->first.scope == two->first.scope)
            assert_true(one->last < two->first.value - 1);
    }
}

static void assert_members(const struct address_set *set, const bool members[static UNIVERSE])
{
    uint64_t next = 0;
    assert_normal(set);
    for (unsigned i = 0; i < UNIVERSE; i++) {
        uint64_t index = UINT64_MAX;
        assert_int_equal(address_set_find(set, &universe[i], &index), members[i]);
        if (!members[i]) {
            assert_true(index == UINT64_MAX);
            continue;
        }
        assert_int_equal(index, next);
        const struct address address = address_set_at(set, next++);
        assert_true(address_equal(&address, &universe[i]));
    }
    assert_int_equal(set->size, next);
}

static int parse_word(void *user, const char *word, size_t length, unsigned line,
                      struct error *error)
{
    (void)line;
    enum target_kind kind = TARGET_NAME;
    const int code = target_parse(word, length, user, &kind, error);
    return code == 0 && kind != TARGET_ADDRESSES ? -EINVAL : code;
}

static void assert_text_parses_back(const struct address_set *set,
                                    const bool members[static UNIVERSE])
{
    struct buffer text = {0};
    struct address_set again = {0};
    struct error error = {0};
    address_set_format(set, "\n", &text);
    if (target_split(text.data, text.length, parse_word, &again, &error) != 0)
        fail_msg("%s: %s", text.data, error.message);
    assert_int_equal(address_set_seal(&again), 0);
    assert_members(&again, members);
    address_set_release(&again);
    buffer_release(&text);
}

static void test_random_sets(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        struct address_set set = {0}, other = {0};
        bool members[UNIVERSE] = {0}, others[UNIVERSE] = {0};
        add_random_ranges(&set, members, random_below(24));
        assert_int_equal(address_set_seal(&set), 0);
        assert_members(&set, members);
        assert_text_parses_back(&set, members);

        add_random_ranges(&set, members, random_below(4)); /* to a set that was sealed before */
        add_random_ranges(&other, others, random_below(16));
        assert_int_equal(address_set_subtract(&set, &other), 0);
        subtract_members(members, others);
        assert_int_equal(address_set_seal(&set), 0);
        assert_members(&set, members);
        assert_text_parses_back(&set, members);
        assert_members(&other, others);
        address_set_release(&set);
        address_set_release(&other);
    }
}

static void parse_into(struct address_set *set, const char *words)
{
    struct error error = {0};
    if (target_split(words, strlen(words), parse_word, set, &error) != 0)
        fail_msg("%s: %s", words, error.message);
}

static void assert_text(const struct address_set *set, const char *expected)
{
    struct buffer buffer = {0};
    address_set_format(set, " ", &buffer);
    assert_string_equal(buffer.data ? buffer.data : "", expected);
    buffer_release(&buffer);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"10.0.0.0 10.0.0.1", "10.0.0.0/31"},
        {"10.0.0.1 10.0.0.2", "10.0.0.1-10.0.0.2"},
        {"10.0.0.128/25 10.0.0.0/25", "10.0.0.0/24"},
        {"::1 10.0.0.1 10.0.0.1 10.0.0.0/30", "10.0.0.0/30 ::1"},
        {"255.255.255.255 ::", "255.255.255.255 ::"}, /* not adjacent */
        {"fe80::1%2147483646 fe80::2%2147483647",
         "fe80::1%2147483646 fe80::2%2147483647"}, /* neither */
        {"fe80::1%2147483646 fe80::1", "fe80::1 fe80::1%2147483646"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct address_set set = {0};
        parse_into(&set, cases[i][0]);
        assert_int_equal(address_set_seal(&set), 0);
        assert_text(&set, cases[i][1]);
        address_set_release(&set);
    }
}

/* Words, exclusions and what is left. */
static void test_exclusions(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"10.0.0.0/24", "10.0.0.0/24", ""},
        {"10.0.0.0/24", "0.0.0.0/0", ""},
        {"10.0.0.0/24", "10.0.1.0/24 ::/0", "10.0.0.0/24"},
        {"10.0.0.0/24", "10.0.0.0 10.0.0.255", "10.0.0.1-10.0.0.254"},
        {"10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25"},
        {"0.0.0.0/0", "1.0.0.0-255.255.255.255", "0.0.0.0/8"},
        {"2001:db8::/32", "2001:db8::5-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
         "2001:db8::-2001:db8::4"}, /* neither of the two has an index */
        {"fe80::/120 fe80::%2147483646/120", "fe80::/121",
         "fe80::80/121 fe80::80%2147483646/121"}, /* no zone: every zone */
        {"fe80::/120 fe80::%2147483646/120", "fe80::%2147483646/120", "fe80::/120"},
        {"fe80::1%2147483646", "fe80::1%2147483647", "fe80::1%2147483646"},
        {"fe80::%2147483646/120", "fe80::/121 fe80::80%2147483646/121", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct address_set set = {0}, other = {0};
        parse_into(&set, cases[i][0]);
        parse_into(&other, cases[i][1]);
        assert_int_equal(address_set_subtract(&set, &other), 0);
        assert_int_equal(address_set_seal(&set), 0);
        assert_text(&set, cases[i][2]);
        address_set_release(&set);
        address_set_release(&other);
    }
}

static void test_subtract_itself(void **state)
{
    (void)state;
    struct address_set set = {0};
    parse_into(&set, "10.0.0.0/24 ::1");
    assert_int_equal(address_set_subtract(&set, &set), 0);
    assert_int_equal(address_set_seal(&set), 0);
    assert_int_equal(set.size, 0);
    address_set_release(&set);
}

static void test_size_limit(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int code;
        uint64_t size;
    } cases[] = {
        {"2001:db8::/65", -EOVERFLOW, 0}, /* 2^63 */
        {"2001:db8::1-2001:db8::7fff:ffff:ffff:ffff", 0, INT64_MAX},
        {"2001:db8::1-2001:db8::7fff:ffff:ffff:ffff 10.0.0.1", -EOVERFLOW, 0},
        {"2001:db8::/66 2001:db9::/66", -EOVERFLOW, 0},
        {"2001:db8::/66 2001:db8::/66", 0, UINT64_C(1) << 62},
        {"2001:db8::/66 2001:db9::/67", 0, UINT64_C(3) << 61},
        {"::/64", -EOVERFLOW, 0}, /* 2^64: zero in 64 bits */
        {"::/0", -EOVERFLOW, 0},  /* 2^128: zero in 128 bits */
        {"1::/1 8000::/1", -EOVERFLOW, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct address_set set = {0};
        parse_into(&set, cases[i].words);
        assert_int_equal(address_set_seal(&set), cases[i].code);
        assert_int_equal(set.sealed, cases[i].code == 0);
        if (set.sealed)
            assert_int_equal(set.size, cases[i].size);
        address_set_release(&set);
    }
}

static void test_contains(void **state)
{
    (void)state;
    struct address_set set = {0};
    const struct {
        const char *text;
        uint32_t scope;
        bool expected;
    } cases[] = {
        {"10.1.2.3", 0, true},     {"11.0.0.0", 0, false}, {"fd00::1", 0, true},
        {"fdff:ffff::", 0, true},  {"fe00::", 0, false},   {"2001:db8::1", 0, true},
        {"2001:db9::1", 0, false}, {"fe80::1", 0, true},   {"fe80::1", 7, true},
        {"fe90::1", 7, false},
    };
    parse_into(&set, "10.0.0.0/8 fd00::/8 2001:db8::/32 fe80::/16");
    assert_int_equal(address_set_seal(&set), -EOVERFLOW);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct address address;
        assert_int_equal(address_parse(cases[i].text, strlen(cases[i].text), &address, NULL), 0);
        address.scope = cases[i].scope;
        assert_int_equal(address_set_contains(&set, &address), cases[i].expected);
    }
    address_set_release(&set);
}

static void test_largest_index(void **state)
{
    (void)state;
    struct address_set set = {0};
    char text[ADDRESS_TEXT_SIZE];
    uint64_t index;
    parse_into(&set, "2001:db8::1-2001:db8::7fff:ffff:ffff:ffff");
    assert_int_equal(address_set_seal(&set), 0);
    const struct address last = address_set_at(&set, set.size - 1);
    assert_string_equal(address_format(&last, text), "2001:db8::7fff:ffff:ffff:ffff");
    assert_true(address_set_find(&set, &last, &index));
    assert_int_equal(index, set.size - 1);
    address_set_release(&set);
}

static void test_add_refuses(void **state)
{
    (void)state;
    struct address_set set = {0};
    const struct address ipv4 = {.value = 9, .family = ADDRESS_IPV4};
    assert_int_equal(address_set_add(&set, &ipv4, 8), -EINVAL);
    assert_int_equal(address_set_add(&set, &ipv4, (uint128_t)1 << 32), -EINVAL);
    assert_int_equal(set.count, 0);
    assert_int_equal(address_set_reserve(&set, SIZE_MAX), -ENOMEM);
    assert_int_equal(address_set_seal(&set), 0);
    assert_int_equal(set.size, 0);
    uint64_t index;
    assert_false(address_set_find(&set, &ipv4, &index));
    address_set_release(&set);
}

/* A list that is sorted already is never more than its ranges. */
static void test_sorted_list_stays_small(void **state)
{
    (void)state;
    struct address_set set = {0};
    for (uint32_t i = 0; i < 100000; i++) {
        const struct address address = {.value = i, .family = ADDRESS_IPV4};
        assert_int_equal(address_set_add(&set, &address, i), 0);
    }
    assert_int_equal(set.count, 1);
    assert_true(set.capacity < 16);
    address_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_sets),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_exclusions),
        cmocka_unit_test(test_subtract_itself),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_largest_index),
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_add_refuses),
        cmocka_unit_test(test_sorted_list_stays_small),
    };
    return cmocka_run_group_tests(tests, universe_setup, NULL);
}
