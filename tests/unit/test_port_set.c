/* Port sets: parsing with exact error columns, the index, printing, --top. */
#include "net/port_set.h"
#include "net/service_file.h"
#include "net/service_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct port_set parsed(const char *text)
{
    struct port_set set = {0};
    struct error error = {0};
    if (port_set_parse(text, strlen(text), &set, &error) != 0)
        fail_msg("\"%s\": %s", text, error.message);
    return set;
}

static void expect_format(const struct port_set *set, const char *expected)
{
    struct buffer buffer = {0};
    port_set_format(set, &buffer);
    assert_false(buffer.failed);
    assert_string_equal(buffer.data ? buffer.data : "", expected);
    buffer_release(&buffer);
}

static void test_specifications_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *text, *normal;
        uint32_t size;
    } cases[] = {
        {"22", "22", 1},
        {"0", "0", 1},
        {"0080", "80", 1},
        {"0-1023", "0-1023", 1024},
        {"80,22,443", "22,80,443", 3},
        {"22,22,22", "22", 1},
        {"20-25,22-30", "20-30", 11},
        {"1-10,11,12-20", "1-20", 20},
        {"80,81", "80-81", 2},
        {"63-64", "63-64", 2},
        {"64-127", "64-127", 64},
        {"-", "1-65535", 65535},
        {"-,0", "0-65535", 65536},
        {"-1023", "1-1023", 1023},
        {"60000-", "60000-65535", 5536},
        {"65535-", "65535", 1},
        {"0-", "0-65535", 65536},
        {"T:22", "22", 1},
        {"U:53", "U:53", 1},
        {"S:9", "S:9", 1},
        {"T:22,80,U:53,67-68", "T:22,80,U:53,67-68", 5},
        {"U:53,T:22", "T:22,U:53", 2},
        {"u:53,t:22,s:1", "T:22,U:53,S:1", 3},
        {"T:-,U:-,S:-,0,U:0,T:0", "T:0-65535,U:0-65535,S:0-65535", 196608},
        {"https", "443", 1},
        {"HTTPS,ssh", "22,443", 2},
        {"U:https,S:ssh", "U:443,S:22", 2},
        {"pop?", "109-110", 2},
        {"914c/g", "211", 1},
        {"914c*", "211", 1},
        {"http-alt", "591,8008,8080", 3},
        {"rdp,postgres", "3389,5432", 2},
        {"x11", "6000-6063", 64},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct port_set set = parsed(cases[i].text);
        expect_format(&set, cases[i].normal);
        assert_int_equal(set.size, cases[i].size);
        port_set_release(&set);
    }
}

static void test_wildcards_take_every_name_that_fits(void **state)
{
    (void)state;
    struct port_set set = parsed("http*");
    uint32_t index;
    assert_true(port_set_find(&set, (struct port){PROTOCOL_TCP, 80}, &index));
    assert_true(port_set_find(&set, (struct port){PROTOCOL_TCP, 443}, &index));
    assert_true(port_set_find(&set, (struct port){PROTOCOL_TCP, 8080}, &index));
    assert_false(port_set_find(&set, (struct port){PROTOCOL_TCP, 22}, &index));
    assert_false(port_set_find(&set, (struct port){PROTOCOL_UDP, 443}, &index));
    port_set_release(&set);
}

static void test_faults_have_their_column_and_a_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t column;
        const char *message;
    } cases[] = {
        {"", 0, "no port is named: write for example 22,80,8000-8100"},
        {"22,70000", 3, "port 70000 is above 65535"},
        {"22,1-70000", 5, "port 70000 is above 65535"},
        {"70000-80000", 0, "port 70000 is above 65535"},
        {"18446744073709551617", 0, "port 18446744073709551617 is above 65535"},
        {"80-22", 3, "the range runs backwards, from 80 to 22"},
        {"-0", 1, "the range runs backwards, from 1 to 0"},
        {"1-2-3", 3, "a range of ports has one '-' only"},
        {"--", 1, "a range of ports has one '-' only"},
        {"22,,80", 3, "a port is missing before this comma"},
        {",22", 0, "a port is missing before this comma"},
        {"22,", 3, "a port is missing after the last comma"},
        {"T:", 2, "a port is missing after 'T:'"},
        {"22,U:,53", 5, "a port is missing after 'U:'"},
        {"T:U:53", 2, "a port is expected here, after 'T:'"},
        {"X:22", 0, "unknown protocol 'X': write T: for TCP, U: for UDP or S: for SCTP"},
        {"1,tcp:22", 2, "unknown protocol 'tcp': write T: for TCP, U: for UDP or S: for SCTP"},
        {":22", 0, "unknown protocol '': write T: for TCP, U: for UDP or S: for SCTP"},
        {"22, 80", 3, "a list of ports has no blanks: separate ports by commas alone"},
        {"22\n", 2, "a list of ports has no blanks: separate ports by commas alone"},
        {"22,\x1b[2J", 3, "the byte 0x1b is no part of a port"},
        {"22,h\xc3\xa4", 4, "the byte 0xc3 is no part of a port"},
        {"22,htps", 3, "no service is called 'htps'; did you mean 'https'?"},
        {"zqzqzqzq", 0, "no service is called 'zqzqzqzq'"},
        {"qzq*", 0, "no service matches 'qzq*'"},
        {"80,biff", 3, "'biff' is a service of udp and not of tcp"},
        {"U:53,biff,pop3x", 10, "no service is called 'pop3x'; did you mean 'pop3'?"},
        {"22-80x", 0,
         "'22-80x' is no port, no range and no service: write for example 22,80,8000-8100"},
        {"verylongnamesareshortenedinthemessagebutnotbefore", 0,
         "no service is called 'verylongnamesareshortenedinthemessagebut...'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct port_set set = parsed("7");
        struct error error = {0};
        int r = port_set_parse(cases[i].text, strlen(cases[i].text), &set, &error);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.column, cases[i].column);
        assert_int_equal(r, -error.code);
        assert_int_equal(r, strstr(cases[i].message, "above") ? -ERANGE : -EINVAL);
        expect_format(&set, "7"); /* unchanged */
        port_set_release(&set);
    }
    struct port_set set = {0};
    assert_int_equal(port_set_parse("22,x y", 6, &set, NULL), -EINVAL); /* an error is optional */
}

static void test_text_needs_no_end(void **state)
{
    (void)state;
    char *text = malloc(5);
    assert_non_null(text);
    memcpy(text, "22,80", 5); /* the address sanitiser guards the byte after it */
    struct port_set set = {0};
    assert_int_equal(port_set_parse(text, 5, &set, NULL), 0);
    expect_format(&set, "22,80");
    port_set_release(&set);
    assert_int_equal(port_set_parse(text, 4, &set, NULL), 0);
    expect_format(&set, "8,22");
    port_set_release(&set);
    free(text);
}

static void test_parse_adds(void **state)
{
    (void)state;
    struct port_set set = parsed("22,U:53");
    assert_int_equal(port_set_parse("80", 2, &set, NULL), 0); /* TCP again */
    expect_format(&set, "T:22,80,U:53");
    port_set_release(&set);
}

/* Index and port are each other's inverse, ascending. */
static void expect_index(const struct port_set *set)
{
    uint32_t key = 0;
    for (uint32_t index = 0; index < set->size; index++) {
        struct port port = port_set_at(set, index);
        uint32_t found = UINT32_MAX;
        assert_true(port_set_find(set, port, &found));
        assert_int_equal(found, index);
        uint32_t next = (uint32_t)port.protocol * 65536 + port.number + 1;
        assert_true(next > key);
        key = next;
    }
}

static void test_index_is_a_bijection(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "22", "0-65535", "1,3,5,7-9,65535", "T:-,U:53,S:-100", "S:0,65535", "http*,U:n*"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct port_set set = parsed(texts[i]);
        expect_index(&set);
        port_set_release(&set);
    }
    struct port_set set = parsed("10-20,U:10-20");
    uint32_t index = 7;
    assert_false(port_set_find(&set, (struct port){PROTOCOL_TCP, 9}, &index));
    assert_false(port_set_find(&set, (struct port){PROTOCOL_TCP, 21}, &index));
    assert_false(port_set_find(&set, (struct port){PROTOCOL_SCTP, 15}, &index));
    assert_int_equal(index, 7); /* untouched */
    port_set_release(&set);
    assert_false(port_set_find(&set, (struct port){PROTOCOL_TCP, 0}, &index));
}

static void test_add_and_subtract(void **state)
{
    (void)state;
    struct port_set set = {0};
    assert_int_equal(port_set_add(&set, PROTOCOL_TCP, 10, 9), -EINVAL);
    assert_int_equal(set.size, 0);
    assert_int_equal(port_set_add(&set, PROTOCOL_TCP, 10, 20), 0);
    assert_int_equal(port_set_add(&set, PROTOCOL_TCP, 21, 21), 0);
    assert_int_equal(port_set_add(&set, PROTOCOL_UDP, 0, 65535), 0);
    expect_format(&set, "T:10-21,U:0-65535");
    struct port_set other = parsed("12-13,21-,U:1-65534,S:5");
    assert_int_equal(port_set_subtract(&set, &other), 0);
    expect_format(&set, "T:10-11,14-20,U:0,65535");
    expect_index(&set);
    assert_int_equal(port_set_subtract(&set, &set), 0);
    expect_format(&set, "");
    assert_int_equal(set.count, 0);
    port_set_release(&other);
    port_set_release(&set);
}

/* The same random additions and removals on a set and on a plain array of flags. */
static void test_changes_agree_with_an_array_of_flags(void **state)
{
    (void)state;
    static bool model[PROTOCOL_COUNT][65536];
    struct port_set set = {0};
    uint64_t random = 1;
    for (unsigned round = 0; round < 500; round++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        enum protocol protocol = (enum protocol)((random >> 33) % PROTOCOL_COUNT);
        uint16_t first = (uint16_t)(random >> 40);
        uint16_t length = (uint16_t)((random >> 20) % (round % 2 ? 5000 : 5));
        uint16_t last = (uint16_t)(first > 65535 - length ? 65535 : first + length);
        bool add = round % 3 != 0;
        struct port_set change = {0};
        assert_int_equal(port_set_add(&change, protocol, first, last), 0);
        if (add)
            assert_int_equal(port_set_add(&set, protocol, first, last), 0);
        else
            assert_int_equal(port_set_subtract(&set, &change), 0);
        port_set_release(&change);
        memset(&model[protocol][first], add, (size_t)(last - first) + 1);
    }
    uint32_t size = 0;
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        for (uint32_t number = 0; number <= 65535; number++) {
            uint32_t index;
            struct port port = {protocol, (uint16_t)number};
            assert_int_equal(port_set_find(&set, port, &index), model[protocol][number]);
            size += model[protocol][number];
        }
    assert_int_equal(set.size, size);
    expect_index(&set);
    port_set_release(&set);
}

static struct port_set top(uint32_t count)
{
    struct port_set set = {0};
    assert_int_equal(port_set_add_top(&set, count), 0);
    assert_int_equal(set.size, count);
    return set;
}

static void test_top_is_a_ranking_of_every_port(void **state)
{
    (void)state;
    struct port_set all = top(65536);
    expect_format(&all, "0-65535");
    port_set_release(&all);
    struct port_set but_zero = top(65535);
    expect_format(&but_zero, "1-65535");
    port_set_release(&but_zero);

    struct port_set before = {0};
    for (uint32_t count = 1; count <= 2000; count++) { /* each adds one port to the ones before */
        struct port_set set = top(count);
        assert_int_equal(port_set_subtract(&before, &set), 0);
        assert_int_equal(before.size, 0);
        port_set_release(&before);
        before = set;
    }
    port_set_release(&before);

    struct port_set none = {0};
    assert_int_equal(port_set_add_top(&none, 0), -EINVAL);
    assert_int_equal(port_set_add_top(&none, 65537), -EINVAL);
    assert_int_equal(none.size, 0);
}

static void test_top_begins_with_what_is_everywhere(void **state)
{
    (void)state;
    struct port_set ten = top(10);
    static const uint16_t expected[] = {22, 25, 53, 80, 443, 445};
    uint32_t index;
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
        assert_true(port_set_find(&ten, (struct port){PROTOCOL_TCP, expected[i]}, &index));
    assert_int_equal(port_set_add_top(&ten, 20), 0); /* to what is there already */
    assert_int_equal(ten.size, 20);
    port_set_release(&ten);
}

static void test_each_hand_ranked_port_stands_once(void **state)
{
    (void)state;
    assert_true(top_port_count >= 150);
    struct port_set set = {0};
    for (uint32_t i = 0; i < top_port_count; i++) {
        assert_int_equal(port_set_add(&set, PROTOCOL_TCP, top_ports[i], top_ports[i]), 0);
        assert_int_equal(set.size, i + 1);
    }
    struct port_set same = top(top_port_count);
    assert_int_equal(port_set_subtract(&same, &set), 0);
    assert_int_equal(same.size, 0);
    port_set_release(&same);
    port_set_release(&set);
}

static int without_system_file(void **state)
{
    (void)state;
    return service_set_file("/dev/null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specifications_are_normalised),
        cmocka_unit_test(test_wildcards_take_every_name_that_fits),
        cmocka_unit_test(test_faults_have_their_column_and_a_remedy),
        cmocka_unit_test(test_text_needs_no_end),
        cmocka_unit_test(test_parse_adds),
        cmocka_unit_test(test_index_is_a_bijection),
        cmocka_unit_test(test_add_and_subtract),
        cmocka_unit_test(test_changes_agree_with_an_array_of_flags),
        cmocka_unit_test(test_top_is_a_ranking_of_every_port),
        cmocka_unit_test(test_top_begins_with_what_is_everywhere),
        cmocka_unit_test(test_each_hand_ranked_port_stands_once),
    };
    return cmocka_run_group_tests(tests, without_system_file, NULL);
}
