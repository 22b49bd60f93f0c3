/* The words for states, reasons, ends and local failures, and what ICMP errors mean. */
#include "scan/record.h"
#include "scan/state.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_of_states(void **state)
{
    (void)state;
    assert_string_equal(state_name(STATE_OPEN), "open");
    assert_string_equal(state_name(STATE_CLOSED), "closed");
    assert_string_equal(state_name(STATE_FILTERED), "filtered");
    assert_string_equal(state_name(STATE_UNFILTERED), "unfiltered");
    assert_string_equal(state_name(STATE_OPEN_FILTERED), "open|filtered");
    assert_string_equal(state_name(STATE_SILENT), "undecided");
}

/* As nmap --open has it: an open port may have these states. */
static void states_of_open_ports(void **state)
{
    (void)state;
    for (enum port_state each = 0; each < STATE_COUNT; each++)
        assert_int_equal(state_is_possibly_open(each),
                         strncmp(state_name(each), "open", 4) == 0 || each == STATE_UNFILTERED);
}

/* A RST comes from the target whatever it says of the port; silence comes from nobody. */
static void who_an_answer_is_from(void **state)
{
    (void)state;
    static const struct {
        struct port_record record;
        bool expected;
    } cases[] = {
        {{.state = STATE_OPEN, .reason = REASON_SYN_ACK}, true},
        {{.state = STATE_OPEN, .reason = REASON_RESET}, true},
        {{.state = STATE_CLOSED, .reason = REASON_RESET}, true},
        {{.state = STATE_UNFILTERED, .reason = REASON_RESET}, true},
        {{.state = STATE_FILTERED, .reason = REASON_NO_RESPONSE}, false},
        {{.state = STATE_OPEN_FILTERED, .reason = REASON_NO_RESPONSE}, false},
        {{.state = STATE_FILTERED, .reason = REASON_PORT_UNREACH}, true},
        {{.state = STATE_FILTERED, .reason = REASON_HOST_UNREACH}, false},
        {{.state = STATE_FILTERED, .reason = REASON_PORT_UNREACH, .from = {.family = ADDRESS_IPV4}},
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(port_record_is_from_target(&cases[i].record), cases[i].expected);
}

static void reasons_are_complete(void **state)
{
    (void)state;
    assert_string_equal(reason_name(REASON_SYN_ACK), "syn-ack");
    assert_int_equal(reason_state(REASON_SYN_ACK), STATE_OPEN);
    assert_string_equal(reason_name(REASON_CONN_REFUSED), "conn-refused");
    assert_int_equal(reason_state(REASON_CONN_REFUSED), STATE_CLOSED);
    assert_string_equal(reason_name(REASON_NO_RESPONSE), "no-response");
    assert_int_equal(reason_state(REASON_NO_RESPONSE), STATE_FILTERED);
    for (enum reason one = 0; one < REASON_COUNT; one++) {
        /* The names go into every format unquoted. */
        assert_int_equal(strspn(reason_name(one), "abcdefghijklmnopqrstuvwxyz-"),
                         strlen(reason_name(one)));
        assert_int_not_equal(reason_state(one), STATE_SILENT);
        assert_true(strlen(reason_meaning(one)) > 10);
        assert_int_not_equal(reason_meaning(one)[strlen(reason_meaning(one)) - 1], '.');
        for (enum reason other = 0; other < one; other++)
            assert_string_not_equal(reason_name(one), reason_name(other));
    }
}

struct icmp_case {
    uint8_t type, code;
    const char *name; /* as nmap has it */
};

static void icmp_as_nmap_names_it(void **state)
{
    (void)state;
    static const struct icmp_case cases[] = {
        {3, 0, "net-unreach"},      {3, 1, "host-unreach"},      {3, 2, "proto-unreach"},
        {3, 3, "port-unreach"},     {3, 4, "dest-unreach"},      {3, 9, "net-prohibited"},
        {3, 10, "host-prohibited"}, {3, 13, "admin-prohibited"}, {3, 255, "dest-unreach"},
        {11, 0, "time-exceeded"},   {11, 1, "time-exceeded"},    {12, 0, "param-problem"},
        {200, 0, "dest-unreach"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(reason_name(reason_from_icmp(cases[i].type, cases[i].code)),
                            cases[i].name);
}

static void icmp6_as_nmap_names_it(void **state)
{
    (void)state;
    static const struct icmp_case cases[] = {
        {1, 0, "no-route"},      {1, 1, "admin-prohibited"}, {1, 2, "beyond-scope"},
        {1, 3, "host-unreach"},  {1, 4, "port-unreach"},     {1, 5, "admin-prohibited"},
        {1, 6, "reject-route"},  {1, 7, "dest-unreach"},     {3, 0, "time-exceeded"},
        {4, 1, "param-problem"}, {2, 0, "dest-unreach"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(reason_name(reason_from_icmp6(cases[i].type, cases[i].code)),
                            cases[i].name);
}

/* Whatever a network sends, an ICMP error never makes a port open or closed. */
static void icmp_only_filters(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++)
        for (unsigned code = 0; code < 256; code++) {
            enum reason four = reason_from_icmp((uint8_t)type, (uint8_t)code);
            enum reason six = reason_from_icmp6((uint8_t)type, (uint8_t)code);
            assert_int_equal(reason_state(four), STATE_FILTERED);
            assert_int_equal(reason_state(six), STATE_FILTERED);
            assert_int_not_equal(four, REASON_NO_RESPONSE);
            assert_int_not_equal(six, REASON_NO_RESPONSE);
        }
}

static void ends_of_scans(void **state)
{
    (void)state;
    assert_string_equal(scan_end_name(SCAN_COMPLETE), "complete");
    assert_string_equal(scan_end_name(SCAN_INTERRUPTED), "interrupted");
    assert_string_equal(scan_end_name(SCAN_TIMED_OUT), "timed-out");
    assert_string_equal(scan_end_name(SCAN_FAILED), "failed");
}

static void local_failures_come_with_advice(void **state)
{
    (void)state;
    assert_string_equal(error_name(ENETUNREACH), "ENETUNREACH");
    assert_string_equal(error_meaning(ENETUNREACH), "Network is unreachable");
    assert_string_equal(error_advice(ENETUNREACH),
                        "no route to it, or a broadcast address: see `ip route get ADDRESS`");
    assert_non_null(strstr(error_advice(EPERM), "nft list ruleset"));
    assert_string_equal(error_advice(EPERM), error_advice(EACCES));
    assert_non_null(strstr(error_advice(EMFILE), "ulimit -n"));
    assert_non_null(strstr(error_advice(EADDRNOTAVAIL), "ip_local_port_range"));
    assert_non_null(strstr(error_advice(EINVAL), "address%interface"));
    assert_non_null(strstr(error_advice(ENETDOWN), "ip link"));
    assert_string_equal(error_advice(EIO), "see connect(2)");
    for (int code = 1; code < 200; code++) {
        assert_true(strlen(error_name(code)) > 1);
        assert_true(strlen(error_meaning(code)) > 1);
        assert_true(strlen(error_advice(code)) > 1);
    }
    assert_string_equal(error_name(99999), "unknown");
    assert_string_equal(error_meaning(99999), "Unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_states),
        cmocka_unit_test(states_of_open_ports),
        cmocka_unit_test(who_an_answer_is_from),
        cmocka_unit_test(reasons_are_complete),
        cmocka_unit_test(icmp_as_nmap_names_it),
        cmocka_unit_test(icmp6_as_nmap_names_it),
        cmocka_unit_test(icmp_only_filters),
        cmocka_unit_test(ends_of_scans),
        cmocka_unit_test(local_failures_come_with_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
