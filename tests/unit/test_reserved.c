/* Reserved ranges: the table, and which words ask for what stands in it. */
#include "net/reserved.h"

#include "net/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void the_table_is_in_order(void **state)
{
    (void)state;
    for (const struct reserved_range *range = reserved_ranges; range->family; range++) {
        struct address first = reserved_first(range);
        assert_true(range->prefix <= address_bits(&first));
        assert_true(reserved_last(range) >= first.value);
        assert_true((first.value & address_maximum(range->family) >> range->prefix) == 0);
        assert_true(reserved_last(range) <= address_maximum(range->family));
        assert_true(strlen(range->name) > 0);
        assert_memory_equal(range->document, "RFC ", 4);
        if (range == reserved_ranges)
            continue;
        struct address before = reserved_first(range - 1);
        assert_true(address_compare(&before, &first) < 0);
        assert_true(before.family != first.family || reserved_last(range - 1) < first.value);
    }
}

/* The ranges as text, one after another. */
static void format(struct address_set *set, char *text, size_t size)
{
    struct buffer buffer = {0};
    address_set_seal(set); /* may overflow, and sorts all the same */
    address_set_format(set, " ", &buffer);
    buffer_add_character(&buffer, '\0');
    assert_false(buffer.failed);
    snprintf(text, size, "%s", buffer.data);
    buffer_release(&buffer);
}

static void the_table_has_the_registry(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
        "::/127",        "64:ff9b:1::/48",  "100::/64",       "2001::/23",      "2001:db8::/32",
        "3fff::/20",     "5f00::/16",       "fc00::/7",       "fe80::/10",      "ff00::/8",
    };
    for (size_t i = 0; reserved_ranges[i].family; i++) {
        struct address_set set = {0};
        struct address first = reserved_first(&reserved_ranges[i]);
        char text[128];
        assert_true(i < sizeof(texts) / sizeof(texts[0]));
        assert_int_equal(address_set_add(&set, &first, reserved_last(&reserved_ranges[i])), 0);
        format(&set, text, sizeof(text));
        assert_string_equal(text, texts[i]);
        address_set_release(&set);
    }
    assert_int_equal(reserved_ranges[sizeof(texts) / sizeof(texts[0])].family, ADDRESS_NONE);
}

static void parse(const char *word, struct address_set *set)
{
    enum target_kind kind;
    assert_int_equal(target_parse(word, strlen(word), set, &kind, NULL), 0);
    assert_int_equal(kind, TARGET_ADDRESSES);
}

static void words_that_ask_for_what_is_reserved(void **state)
{
    (void)state;
    static const char *const words[] = {
        "10.0.0.0/8",
        "10.1.2.3",
        "127.0.0.1",
        "192.168.1.0/24",
        "198.18.1.0/24",
        "0.0.0.0/8",
        "224.0.0.0/4",
        "224.0.0.251",
        "255.255.255.255",
        "240.0.0.0/5",
        "::1",
        "fe80::/64",
        "ff02::1",
        "fc00::/7",
        "2001:db8::/32",
        "100.64.0.0/11",
        "224.0.0.0/3",             /* two of them */
        "192.0.2.254-192.0.3.1",   /* begins in one */
        "203.0.112.7-203.0.113.9", /* ends in one */
        "192.0-1.2.1-2",           /* a pattern with addresses of one */
        "172.15-16.0.1",
        "1.1.1.1",
        "8.8.0.0/16",
        "2606::/32",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct address_set set = {0}, left_out = {0};
        char before[256], after[256];
        parse(words[i], &set);
        format(&set, before, sizeof(before));
        assert_int_equal(reserved_leave_out(&set, &left_out), 0);
        format(&set, after, sizeof(after));
        assert_string_equal(after, before);
        assert_int_equal(left_out.count, 0);
        address_set_release(&set);
    }
}

static void words_that_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *word, *kept, *left_out;
    } cases[] = {
        {"8.0.0.0/6", "8.0.0.0/7 11.0.0.0/8", "10.0.0.0/8"},
        {"203.0.112.0/23", "203.0.112.0/24", "203.0.113.0/24"},
        {"9.255.255.255-11.0.0.0", "9.255.255.255 11.0.0.0", "10.0.0.0/8"},
        {"192.0.0.0/16", "192.0.1.0/24 192.0.3.0-192.0.255.255", "192.0.0.0/24 192.0.2.0/24"},
        {"198.18-20.*.*", "198.20.0.0/16", "198.18.0.0/15"},
        {"223.0.0.0-255.255.255.255", "223.0.0.0/8", "224.0.0.0/3"},
        /* More than 2^20 addresses: also parts of them. */
        {"9.0.0.0-10.0.0.9", "9.0.0.0/8", "10.0.0.0-10.0.0.9"},
        {"9.0.0.0-10.1.0.255", "9.0.0.0/8", "10.0.0.0-10.1.0.255"},
        {"2001:db7::-2001:db8::5", "2001:db7::/32", "2001:db8::-2001:db8::5"},
        {"::/96", "::2-::ffff:ffff", "::/127"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address_set set = {0}, left_out = {0};
        char kept[256], gone[256];
        parse(cases[i].word, &set);
        assert_int_equal(reserved_leave_out(&set, &left_out), 0);
        format(&set, kept, sizeof(kept));
        format(&left_out, gone, sizeof(gone));
        assert_string_equal(kept, cases[i].kept);
        assert_string_equal(gone, cases[i].left_out);
        address_set_release(&set);
        address_set_release(&left_out);
    }
}

static void all_of_ipv4(void **state)
{
    (void)state;
    struct address_set set = {0}, left_out = {0};
    const struct reserved_range *first = NULL;
    parse("0.0.0.0/0", &set);
    assert_int_equal(reserved_leave_out(&set, &left_out), 0);
    assert_int_equal(address_set_seal(&set), 0);
    assert_int_equal(address_set_seal(&left_out), 0);
    assert_int_equal(set.size + left_out.size, UINT64_C(1) << 32);
    assert_int_equal(left_out.size, 592708864);
    assert_int_equal(reserved_count(&left_out, &first), 15);
    assert_ptr_equal(first, &reserved_ranges[0]);
    assert_int_equal(reserved_count(&set, &first), 0);
    assert_null(first);
    address_set_release(&set);
    address_set_release(&left_out);
}

/* What two words leave out adds up */
static void what_is_left_out_adds_up(void **state)
{
    (void)state;
    struct address_set one = {0}, other = {0}, left_out = {0};
    const struct reserved_range *first = NULL;
    char text[128];
    parse("203.0.112.0/23", &one);
    parse("8.0.0.0/6", &other);
    assert_int_equal(reserved_leave_out(&one, &left_out), 0);
    assert_int_equal(reserved_leave_out(&other, &left_out), 0);
    format(&left_out, text, sizeof(text));
    assert_string_equal(text, "10.0.0.0/8 203.0.113.0/24");
    assert_int_equal(reserved_count(&left_out, &first), 2);
    assert_string_equal(first->document, "RFC 1918");
    address_set_release(&one);
    address_set_release(&other);
    address_set_release(&left_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_in_order),
        cmocka_unit_test(the_table_has_the_registry),
        cmocka_unit_test(words_that_ask_for_what_is_reserved),
        cmocka_unit_test(words_that_do_not),
        cmocka_unit_test(all_of_ipv4),
        cmocka_unit_test(what_is_left_out_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
