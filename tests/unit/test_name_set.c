/* Names of addresses: kept in order, found again, written and read. */
#include "net/name_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct address address(const char *text)
{
    struct address parsed;
    assert_int_equal(address_parse(text, strlen(text), &parsed, NULL), 0);
    return parsed;
}

static void test_a_name_is_found_by_its_address(void **state)
{
    static const char *const addresses[] = {"192.0.2.9", "::1", "192.0.2.1", "2001:db8::1"};
    static const char *const names[] = {"nine", "loopback", "one", "documentation"};
    struct name_set set = {0};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct address added = address(addresses[i]);
        assert_int_equal(name_set_add(&set, &added, names[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        struct address sought = address(addresses[i]);
        assert_string_equal(name_set_find(&set, &sought), names[i]);
    }
    struct address other = address("192.0.2.2");
    assert_null(name_set_find(&set, &other));
    assert_null(name_set_find(NULL, &other));
    name_set_release(&set);
}

static void test_the_first_name_stays(void **state)
{
    struct name_set set = {0};
    struct address one = address("192.0.2.1");
    (void)state;
    assert_int_equal(name_set_add(&set, &one, "first"), 0);
    assert_int_equal(name_set_add(&set, &one, "second"), 0);
    assert_int_equal(set.count, 1);
    assert_string_equal(name_set_find(&set, &one), "first");
    name_set_release(&set);
}

static void test_what_is_written_is_read(void **state)
{
    struct name_set set = {0}, read = {0};
    struct address one = address("192.0.2.1"), six = address("2001:db8::6");
    struct buffer text = {0};
    (void)state;
    assert_int_equal(name_set_add(&set, &six, "six.example"), 0);
    assert_int_equal(name_set_add(&set, &one, "one.example"), 0);
    name_set_format(&set, &text);
    assert_string_equal(text.data, "192.0.2.1 one.example\n2001:db8::6 six.example\n");
    assert_int_equal(name_set_parse(&read, text.data), 0);
    assert_int_equal(read.count, 2);
    assert_string_equal(name_set_find(&read, &six), "six.example");
    buffer_release(&text);
    name_set_release(&set);
    name_set_release(&read);
}

static void test_what_is_no_pair_is_refused(void **state)
{
    static const char *const wrong[] = {"192.0.2.1", "192.0.2.1 ", "name 192.0.2.1", " ", "\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct name_set set = {0};
        assert_int_equal(name_set_parse(&set, wrong[i]), -EINVAL);
        name_set_release(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_found_by_its_address),
        cmocka_unit_test(test_the_first_name_stays),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_what_is_no_pair_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
