/* Counters and multicast groups from the texts of /proc/net: whole, broken, of another machine, and
 * of this kernel. */
#include "local/net_counters.h"

#include "base/buffer.h"
#include "base/file.h"
#include "guarded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 16384
#define TAKEN 2048

/* What a reader told. */
struct taken {
    struct net_counter counters[TAKEN];
    struct net_group groups[8];
    size_t count, stop_at;
};

static int take_counter(void *user, const struct net_counter *counter)
{
    struct taken *taken = user;
    assert_true(taken->count < TAKEN);
    taken->counters[taken->count++] = *counter;
    return taken->count == taken->stop_at ? 7 : 0;
}

static int take_group(void *user, const struct net_group *group)
{
    struct taken *taken = user;
    if (taken->count < sizeof(taken->groups) / sizeof(taken->groups[0]))
        taken->groups[taken->count] = *group;
    taken->count++;
    return 0;
}

enum kind {
    COUNTERS,
    COUNTERS6,
    GROUPS,
    GROUPS6,
};

/* Reads a text behind which no byte can be read. */
static int read_text(enum kind kind, const char *text, size_t length, struct taken *taken,
                     struct error *error)
{
    struct guarded guarded = guarded_open(ROOM);
    assert_non_null(guarded.pages);
    assert_true(length <= ROOM);
    const char *copy = guarded_copy(&guarded, text, length);
    taken->count = 0;
    const int code = kind == COUNTERS ? net_counters_read(copy, length, take_counter, taken, error)
                     : kind == COUNTERS6
                         ? net_counters_read6(copy, length, take_counter, taken, error)
                     : kind == GROUPS ? net_groups_read(copy, length, take_group, taken, error)
                                      : net_groups_read6(copy, length, take_group, taken, error);
    guarded_close(&guarded);
    return code;
}

static void counters_are_pairs_of_lines(void **state)
{
    (void)state;
    static const char text[] = "Tcp: RtoMin MaxConn InSegs\nTcp: 200 -1 18446744073709551615\n"
                               "IcmpMsg: InType3\nIcmpMsg: 0";
    struct taken taken = {0};
    assert_int_equal(read_text(COUNTERS, text, strlen(text), &taken, NULL), 0);
    assert_int_equal(taken.count, 4);
    assert_string_equal(taken.counters[0].section, "Tcp");
    assert_string_equal(taken.counters[0].name, "RtoMin");
    assert_int_equal(taken.counters[0].value, 200);
    assert_false(taken.counters[0].negative);
    assert_int_equal(taken.counters[1].value, 1);
    assert_true(taken.counters[1].negative);
    assert_true(taken.counters[2].value == UINT64_MAX);
    assert_string_equal(taken.counters[3].section, "IcmpMsg");
    assert_int_equal(taken.counters[3].value, 0);
}

static void ipv6_has_a_line_for_each(void **state)
{
    (void)state;
    static const char text[] = "Ip6InReceives  \t17\nUdpLite6InErrors 0\n";
    struct taken taken = {0};
    assert_int_equal(read_text(COUNTERS6, text, strlen(text), &taken, NULL), 0);
    assert_int_equal(taken.count, 2);
    assert_string_equal(taken.counters[0].section, "Ip6");
    assert_string_equal(taken.counters[0].name, "InReceives");
    assert_int_equal(taken.counters[0].value, 17);
    assert_string_equal(taken.counters[1].section, "UdpLite6");
}

static void groups_belong_to_interfaces(void **state)
{
    (void)state;
    static const char text[] = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
                               "1\tlo        :     1      V3\n"
                               "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
                               "4\teth0      :     2      V3\n"
                               "\t\t\t\tFB0000E0     3 0:00000000\t\t0\n"
                               "\t\t\t\t010000E0     1 0:00000000\t\t0\n";
    static const char text6[] =
        "2    eth0            ff0200000000000000000001ff000002     5 00000004 0\n";
    struct taken taken = {0};
    assert_int_equal(read_text(GROUPS, text, strlen(text), &taken, NULL), 0);
    assert_int_equal(taken.count, 3);
    assert_string_equal(taken.groups[0].interface, "lo");
    assert_string_equal(taken.groups[1].interface, "eth0");
    assert_int_equal(taken.groups[1].references, 3);
    char address[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(&taken.groups[1].group, address), "224.0.0.251");
    assert_int_equal(read_text(GROUPS6, text6, strlen(text6), &taken, NULL), 0);
    assert_int_equal(taken.count, 1);
    assert_int_equal(taken.groups[0].references, 5);
    assert_string_equal(address_format(&taken.groups[0].group, address), "ff02::1:ff00:2");
}

/* The kernel fills them up to ten characters, and a colon follows. */
static void names_of_every_length(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "ninechars", "tencharact", "elevenchars",
                                        "br-0123456789ab"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[256];
        struct taken taken = {0};
        snprintf(text, sizeof(text),
                 "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
                 "7\t%-10s: %5d %7s\n\t\t\t\t%08X %5d %d:%08X\t\t%d\n",
                 names[i], 1, "V3", 0xe0, 1, 0, 0, 0);
        assert_int_equal(read_text(GROUPS, text, strlen(text), &taken, NULL), 0);
        assert_int_equal(taken.count, 1);
        assert_string_equal(taken.groups[0].interface, names[i]);
    }
}

static void nonsense_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        enum kind kind;
        const char *text, *line;
    } faults[] = {
        {COUNTERS, "Tcp: A\nTcp: 1\nUdp: A\n", "line 3"},
        {COUNTERS, "Tcp: A\nUdp: 1\n", "line 1"},
        {COUNTERS, "Tcp: A B\nTcp: 1\n", "line 1"},
        {COUNTERS, "Tcp: A\nTcp: 1 2\n", "line 1"},
        {COUNTERS, "Tcp: A\nTcp: x\n", "line 1"},
        {COUNTERS, "Tcp: A\nTcp: -\n", "line 1"},
        {COUNTERS, "Tcp: A\nTcp: 18446744073709551616\n", "line 1"},
        {COUNTERS, "Tcp: \033[31m\nTcp: 1\n", "line 1"},
        {COUNTERS, "Tcp A\nTcp 1\n", "line 1"},
        {COUNTERS, ": A\n: 1\n", "line 1"},
        {COUNTERS, "\n\n", "line 1"},
        {COUNTERS,
         "Tcp: ANameThatIsLongerThanAnyNameOfACounterThatTheKernelHas\n"
         "Tcp: 1\n",
         "line 1"},
        {COUNTERS6, "Ip6A 1\nIp6B\n", "line 2"},
        {COUNTERS6, "IpInReceives 1\n", "line 1"},
        {COUNTERS6, "Ip6 1\n", "line 1"},
        {GROUPS, "Idx\n\t010000E0 1\n", "line 2"},
        {GROUPS, "Idx\n1\tlo\n\t010000E 1\n", "line 3"},
        {GROUPS, "Idx\n1\tlo\n\t010000E0\n", "line 3"},
        {GROUPS, "Idx\n1\ta-name-too-long-for-one : 1 V3\n", "line 2"},
        {GROUPS6, "2 eth0 ff02 1\n", "line 1"},
        {GROUPS6, "2 eth0 zf0200000000000000000001ff000002 1\n", "line 1"},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct taken taken = {0};
        struct error error = {0};
        assert_int_equal(
            read_text(faults[i].kind, faults[i].text, strlen(faults[i].text), &taken, &error),
            -EBADMSG);
        assert_non_null(strstr(error.message, faults[i].line));
    }
}

static void a_name_has_no_zero_in_it(void **state)
{
    (void)state;
    static const char text[] = "1 \0lo ff020000000000000000000000000001 1 0000000C 0\n";
    struct taken taken = {0};
    assert_int_equal(read_text(GROUPS6, text, sizeof(text) - 1, &taken, NULL), -EBADMSG);
    assert_int_equal(taken.count, 0);
}

static void who_takes_them_may_end_it(void **state)
{
    (void)state;
    static const char text[] = "Tcp: A B\nTcp: 1 2\n";
    struct taken taken = {.stop_at = 1};
    assert_int_equal(read_text(COUNTERS, text, strlen(text), &taken, NULL), 7);
    assert_int_equal(taken.count, 1);
}

static void an_empty_text_has_none(void **state)
{
    (void)state;
    struct taken taken = {0};
    for (enum kind kind = COUNTERS; kind <= GROUPS6; kind++) {
        assert_int_equal(read_text(kind, "", 0, &taken, NULL), 0);
        assert_int_equal(taken.count, 0);
    }
}

/* Cut anywhere, a text is a shorter one, or no text of counters. */
static void damage_is_survived(void **state)
{
    (void)state;
    static const char text[] = "Tcp: RtoMin MaxConn\nTcp: 200 -1\nIp: A\nIp: 1\n";
    struct taken taken = {0};
    for (size_t length = 0; length < sizeof(text); length++) {
        const int code = read_text(COUNTERS, text, length, &taken, NULL);
        assert_true(code == 0 || code == -EBADMSG);
        assert_true(taken.count <= 3);
    }
}

/* This kernel's own files, and those of another machine. */
static void real_texts_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum kind kind;
    } files[] = {{"/proc/net/snmp", COUNTERS},
                 {"/proc/net/netstat", COUNTERS},
                 {"/proc/net/snmp6", COUNTERS6},
                 {"/proc/net/igmp", GROUPS},
                 {"/proc/net/igmp6", GROUPS6}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct buffer text = {0};
        struct taken taken = {0};
        if (file_read(files[i].path, ROOM, &text, NULL) == 0) {
            assert_int_equal(read_text(files[i].kind, text.data, text.length, &taken, NULL), 0);
            assert_true(taken.count > 0);
        }
        buffer_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_pairs_of_lines),
        cmocka_unit_test(ipv6_has_a_line_for_each),
        cmocka_unit_test(groups_belong_to_interfaces),
        cmocka_unit_test(names_of_every_length),
        cmocka_unit_test(nonsense_is_told_with_its_line),
        cmocka_unit_test(a_name_has_no_zero_in_it),
        cmocka_unit_test(who_takes_them_may_end_it),
        cmocka_unit_test(an_empty_text_has_none),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(real_texts_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
