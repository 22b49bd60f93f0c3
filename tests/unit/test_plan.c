/* Indexes to endpoints and back, and what a plan costs. */
#include "scan/plan.h"

#include "base/random.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct address parse(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

static void add_targets(struct address_set *targets, const char *first, const char *last)
{
    const struct address one = parse(first), other = parse(last);
    assert_int_equal(address_set_add(targets, &one, other.value), 0);
}

static void add_ports(struct port_set *ports, uint16_t first, uint16_t last)
{
    assert_int_equal(port_set_add(ports, PROTOCOL_TCP, first, last), 0);
}

static void make(struct plan *plan, struct address_set *targets, const struct port_set *ports)
{
    assert_int_equal(address_set_seal(targets), 0);
    assert_int_equal(plan_init(plan, targets, ports, NULL), 0);
}

static void assert_endpoint(const struct plan *plan, uint64_t index, const char *expected)
{
    char text[ENDPOINT_TEXT_SIZE];
    const struct endpoint endpoint = plan_endpoint(plan, index);
    assert_string_equal(address_format_port(&endpoint.address, endpoint.port.number, text),
                        expected);
    uint64_t found = UINT64_MAX;
    assert_true(plan_find(plan, &endpoint, &found));
    assert_int_equal(found, index);
}

static void the_ports_of_a_host_lie_side_by_side(void **state)
{
    (void)state;
    struct address_set targets = {0};
    struct port_set ports = {0};
    struct plan plan;
    add_targets(&targets, "2001:db8::1", "2001:db8::2");
    add_targets(&targets, "192.0.2.1", "192.0.2.1");
    add_ports(&ports, 80, 81);
    add_ports(&ports, 22, 22);
    make(&plan, &targets, &ports);

    assert_int_equal(plan.count, 9);
    assert_endpoint(&plan, 0, "192.0.2.1:22");
    assert_endpoint(&plan, 1, "192.0.2.1:80");
    assert_endpoint(&plan, 2, "192.0.2.1:81");
    assert_endpoint(&plan, 3, "[2001:db8::1]:22");
    assert_endpoint(&plan, 8, "[2001:db8::2]:81");
    assert_int_equal(plan_host(&plan, 2), 0);
    assert_int_equal(plan_host(&plan, 3), 1);
    assert_int_equal(plan_host(&plan, 8), 2);
    address_set_release(&targets);
    port_set_release(&ports);
}

/* Every index of a plan of mixed families, scopes and protocols comes back, and each endpoint is
 * another one than the one before. */
static void every_index_comes_back(void **state)
{
    (void)state;
    struct address_set targets = {0};
    struct port_set ports = {0};
    struct plan plan;
    add_targets(&targets, "10.0.0.250", "10.0.1.20");
    add_targets(&targets, "0.0.0.0", "0.0.0.3");
    add_targets(&targets, "255.255.255.250", "255.255.255.255");
    add_targets(&targets, "2001:db8::fff0", "2001:db8::1:15");
    add_targets(&targets, "fe80::1%1", "fe80::9%1");
    add_targets(&targets, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    add_ports(&ports, 0, 9);
    add_ports(&ports, 8000, 8007);
    add_ports(&ports, 65530, 65535);
    assert_int_equal(port_set_add(&ports, PROTOCOL_UDP, 53, 54), 0);
    make(&plan, &targets, &ports);
    assert_int_equal(plan.count, targets.size * 26);

    struct endpoint last = {0};
    for (uint64_t index = 0; index < plan.count; index++) {
        const struct endpoint endpoint = plan_endpoint(&plan, index);
        uint64_t found = UINT64_MAX;
        assert_true(plan_find(&plan, &endpoint, &found));
        assert_int_equal(found, index);
        assert_int_equal(plan_host(&plan, index), index / 26);
        if (index % 26)
            assert_true(address_equal(&endpoint.address, &last.address));
        else if (index)
            assert_true(address_compare(&endpoint.address, &last.address) > 0);
        last = endpoint;
    }
    address_set_release(&targets);
    port_set_release(&ports);
}

static void strangers_are_not_found(void **state)
{
    (void)state;
    struct address_set targets = {0};
    struct port_set ports = {0};
    struct plan plan;
    add_targets(&targets, "192.0.2.1", "192.0.2.9");
    add_ports(&ports, 80, 89);
    make(&plan, &targets, &ports);
    const struct endpoint strangers[] = {
        {parse("192.0.2.0"), {PROTOCOL_TCP, 80}}, {parse("192.0.2.10"), {PROTOCOL_TCP, 80}},
        {parse("192.0.2.1"), {PROTOCOL_TCP, 79}}, {parse("192.0.2.1"), {PROTOCOL_TCP, 90}},
        {parse("192.0.2.1"), {PROTOCOL_UDP, 80}}, {parse("::c000:201"), {PROTOCOL_TCP, 80}},
    };
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        uint64_t index = 12345;
        assert_false(plan_find(&plan, &strangers[i], &index));
        assert_int_equal(index, 12345);
    }
    address_set_release(&targets);
    port_set_release(&ports);
}

static void nothing_and_too_much_are_refused(void **state)
{
    (void)state;
    struct address_set none = {0}, huge = {0};
    struct port_set no_ports = {0}, ports = {0};
    struct plan plan = {.count = 7};
    struct error error = {0};
    add_targets(&huge, "2001:db8::", "2001:db8::3fff:ffff:ffff:ffff"); /* 2^62 */
    assert_int_equal(address_set_seal(&huge), 0);
    assert_int_equal(address_set_seal(&none), 0);
    add_ports(&ports, 1, 2);

    assert_int_equal(plan_init(&plan, &none, &ports, &error), -EINVAL);
    assert_string_equal(error.message, "there is no target to scan");
    assert_int_equal(plan_init(&plan, &huge, &no_ports, &error), -EINVAL);
    assert_string_equal(error.message, "there is no port to scan");
    assert_int_equal(plan_init(&plan, &huge, &ports, &error), -EOVERFLOW); /* 2^63 */
    assert_int_equal(error.code, EOVERFLOW);
    assert_int_equal(plan.count, 7);

    port_set_release(&ports);
    add_ports(&ports, 1, 1);
    assert_int_equal(plan_init(&plan, &huge, &ports, NULL), 0);
    assert_int_equal(plan.count, UINT64_C(1) << 62);
    address_set_release(&none);
    address_set_release(&huge);
    port_set_release(&ports);
}

/* With AddressSanitizer the heap is its own, of which mallinfo2() knows nothing. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap_in_use(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void a_whole_network_costs_kilobytes(void **state)
{
    (void)state;
    struct address_set targets = {0};
    struct port_set ports = {0};
    struct plan plan;
    const size_t before = heap_in_use();
    add_targets(&targets, "10.0.0.0", "10.255.255.255");
    add_ports(&ports, 0, 65535);
    make(&plan, &targets, &ports);
    const size_t used = heap_in_use() - before;

    assert_int_equal(plan.count, UINT64_C(1) << 40);
    assert_in_range(used, 1, 100000);
    for (uint64_t sample = 0; sample < 10000; sample++) {
        const uint64_t index = mix64(sample) % plan.count;
        const struct endpoint endpoint = plan_endpoint(&plan, index);
        uint64_t found;
        assert_true(endpoint.address.value == (UINT64_C(10) << 24) + (index >> 16));
        assert_int_equal(endpoint.port.number, index & 65535);
        assert_true(plan_find(&plan, &endpoint, &found));
        assert_int_equal(found, index);
    }
    address_set_release(&targets);
    port_set_release(&ports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ports_of_a_host_lie_side_by_side),
        cmocka_unit_test(every_index_comes_back),
        cmocka_unit_test(strangers_are_not_found),
        cmocka_unit_test(nothing_and_too_much_are_refused),
        cmocka_unit_test(a_whole_network_costs_kilobytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
