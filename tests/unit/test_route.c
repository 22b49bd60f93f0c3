/* Stretches of addresses, and the routes that every machine has: to itself. What other routes are
 * found is compared with ip(8) in tests/net/test_route.py. */
#include "net/route.h"

#include "base/random.h"
#include "net/stretches.h"

#include <errno.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct address parse(const char *text)
{
    struct address address;
    struct error error = {0};
    assert_int_equal(address_parse(text, strlen(text), &address, &error), 0);
    return address;
}

/* Cuts at a prefix such as 10.0.0.0/8. */
static void cut(struct stretches *stretches, const char *text, unsigned length)
{
    assert_int_equal(stretches_cut(stretches, parse(text).value, length), 0);
}

/* The stretch of an address; every one must be where it says it is. */
static size_t find(const struct stretches *stretches, const char *text)
{
    const uint128_t value = parse(text).value;
    const size_t stretch = stretches_find(stretches, value);
    assert_true(stretches_holds(stretches, stretch, value));
    for (size_t other = 0; other < stretches->count; other++)
        assert_int_equal(stretches_holds(stretches, other, value), other == stretch);
    return stretch;
}

static void without_a_prefix_there_is_one_stretch(void **state)
{
    (void)state;
    struct stretches stretches = {.family = ADDRESS_IPV4};
    assert_int_equal(stretches_seal(&stretches), 0);
    assert_int_equal(stretches.count, 1);
    assert_int_equal(find(&stretches, "0.0.0.0"), 0);
    assert_int_equal(find(&stretches, "255.255.255.255"), 0);
    stretches_release(&stretches);
}

static void a_prefix_is_cut_at_both_ends(void **state)
{
    (void)state;
    struct stretches stretches = {.family = ADDRESS_IPV4};
    cut(&stretches, "10.0.0.0", 8);
    cut(&stretches, "10.1.2.3", 16); /* bits below the prefix do not count */
    cut(&stretches, "10.1.0.0", 16);
    cut(&stretches, "0.0.0.0", 0);
    cut(&stretches, "255.255.255.255", 32);
    assert_int_equal(stretches_seal(&stretches), 0);
    assert_int_equal(stretches.count, 6);
    assert_int_equal(find(&stretches, "9.255.255.255"), 0);
    assert_int_equal(find(&stretches, "10.0.0.0"), 1);
    assert_int_equal(find(&stretches, "10.0.255.255"), 1);
    assert_int_equal(find(&stretches, "10.1.0.0"), 2);
    assert_int_equal(find(&stretches, "10.1.255.255"), 2);
    assert_int_equal(find(&stretches, "10.2.0.0"), 3);
    assert_int_equal(find(&stretches, "10.255.255.255"), 3);
    assert_int_equal(find(&stretches, "11.0.0.0"), 4);
    assert_int_equal(find(&stretches, "255.255.255.254"), 4);
    assert_int_equal(find(&stretches, "255.255.255.255"), 5);
    stretches_release(&stretches);
}

static void the_last_prefix_of_ipv6_has_an_end(void **state)
{
    (void)state;
    struct stretches stretches = {.family = ADDRESS_IPV6};
    cut(&stretches, "ff00::", 8);
    cut(&stretches, "::", 0);
    cut(&stretches, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128);
    assert_int_equal(stretches_seal(&stretches), 0);
    assert_int_equal(stretches.count, 3);
    assert_int_equal(find(&stretches, "feff::"), 0);
    assert_int_equal(find(&stretches, "ff00::"), 1);
    assert_int_equal(find(&stretches, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), 1);
    assert_int_equal(find(&stretches, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 2);
    stretches_release(&stretches);
}

static void common_bits_are_the_same_all_over_a_stretch(void **state)
{
    (void)state;
    struct stretches stretches = {.family = ADDRESS_IPV6};
    const struct address own = parse("fd00:1::1");
    assert_int_equal(stretches_cut_all(&stretches, own.value, 64), 0);
    assert_int_equal(stretches_seal(&stretches), 0);
    assert_int_equal(find(&stretches, "fd00:1::2"), find(&stretches, "fd00:1::ffff"));
    assert_int_not_equal(find(&stretches, "fd00:1::2"), find(&stretches, "fd00:1:0:1::2"));
    assert_int_not_equal(find(&stretches, "fd00:1:0:1::2"), find(&stretches, "fd00:1:0:2::2"));
    assert_int_not_equal(find(&stretches, "fd00::"), find(&stretches, "fe00::"));
    stretches_release(&stretches);
}

static void what_is_no_prefix_is_refused(void **state)
{
    (void)state;
    struct stretches stretches = {.family = ADDRESS_IPV4};
    assert_int_equal(stretches_cut(&stretches, 0, 33), -EINVAL);
    assert_int_equal(stretches_cut(&stretches, (uint128_t)1 << 32, 8), -EINVAL);
    assert_int_equal(stretches_seal(&stretches), 0);
    assert_int_equal(stretches.count, 1);
    stretches_release(&stretches);
}

/* Thousands of prefixes, many of them the same: what is found is what a walk over all finds. */
static void many_prefixes_are_all_found(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct stretches stretches = {.family = ADDRESS_IPV4};
    uint64_t random = 1;
    for (unsigned i = 0; i < COUNT; i++) {
        random = mix64(random + i);
        const unsigned length = 1 + (unsigned)(random >> 40) % 24;
        assert_int_equal(stretches_cut(&stretches, (uint32_t)random, length), 0);
    }
    assert_int_equal(stretches_seal(&stretches), 0);
    for (size_t i = 1; i < stretches.count; i++)
        assert_true(stretches.starts[i - 1] < stretches.starts[i]);
    for (size_t i = 0; i < stretches.count; i++) {
        assert_int_equal(stretches_find(&stretches, stretches.starts[i]), i);
        if (i > 0)
            assert_int_equal(stretches_find(&stretches, stretches.starts[i] - 1), i - 1);
    }
    stretches_release(&stretches);
}

static struct routes *open_routes(uint32_t interface)
{
    struct routes *routes = NULL;
    struct error error = {0};
    assert_int_equal(routes_open(interface, &routes, &error), 0);
    return routes;
}

static void check_local(struct routes *routes, const char *to, const char *source)
{
    const struct address address = parse(to), expected = parse(source);
    const struct route *route = routes_find(routes, &address);
    assert_non_null(route);
    assert_int_equal(route->code, 0);
    assert_true(route->local);
    assert_int_equal(route->interface.type, ARPHRD_LOOPBACK);
    assert_true(route->interface.flags & IFF_LOOPBACK);
    assert_string_equal(route->interface.name, "lo");
    assert_int_equal(route->interface.index, if_nametoindex("lo"));
    assert_true(route->interface.mtu > 0);
    assert_int_equal(route->gateway.family, ADDRESS_NONE);
    assert_true(address_equal(&route->source, &expected));
    assert_ptr_equal(routes_find(routes, &address), route);
}

static int has_ipv6(void)
{
    FILE *file = fopen("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "r");
    int disabled = 1;
    if (file) {
        if (fscanf(file, "%d", &disabled) != 1)
            disabled = 1;
        fclose(file);
    }
    return !disabled;
}

static void loopback_is_this_machine(void **state)
{
    (void)state;
    struct routes *routes = open_routes(0);
    check_local(routes, "127.0.0.1", "127.0.0.1");
    check_local(routes, "127.1.2.3", "127.0.0.1");
    check_local(routes, "0.0.0.0", "127.0.0.1"); /* connect() takes it for this machine, too */
    if (has_ipv6()) {
        check_local(routes, "::1", "::1");
        check_local(routes, "::", "::1");
    }
    routes_close(routes);
}

static void loopback_by_its_interface(void **state)
{
    (void)state;
    struct routes *routes = open_routes(if_nametoindex("lo"));
    check_local(routes, "127.0.0.1", "127.0.0.1");
    if (has_ipv6())
        check_local(routes, "::1", "::1");
    routes_close(routes);
}

static void check_refused(struct routes *routes, const char *to, int code)
{
    const struct address address = parse(to);
    const struct route *route = routes_find(routes, &address);
    assert_non_null(route);
    assert_int_equal(route->code, code);
    assert_false(route->local);
}

static void what_connect_refuses_has_its_errno(void **state)
{
    (void)state;
    struct routes *routes = open_routes(0);
    check_refused(routes, "255.255.255.255", ENETUNREACH);
    check_refused(routes, "224.0.0.1", ENETUNREACH);
    if (has_ipv6()) {
        check_refused(routes, "fe80::1", EINVAL);
        check_refused(routes, "ff0e::1", ENETUNREACH);
    }
    routes_close(routes);
}

static void a_zone_without_an_interface_is_refused(void **state)
{
    (void)state;
    struct routes *routes = open_routes(0);
    struct address address = parse("fe80::1");
    address.scope = INT32_MAX;
    const struct route *route = routes_find(routes, &address);
    assert_non_null(route);
    assert_int_not_equal(route->code, 0);
    routes_close(routes);
}

static void an_interface_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct routes *routes = NULL;
    struct error error = {0};
    assert_int_equal(routes_open(INT32_MAX, &routes, &error), -ENODEV);
    assert_int_equal(error.code, ENODEV);
    assert_null(routes);
}

static void nobody_has_a_hardware_address_on_loopback(void **state)
{
    (void)state;
    struct routes *routes = open_routes(0);
    unsigned char hardware[HARDWARE_SIZE] = {1, 2, 3, 4, 5, 6};
    const unsigned char was[HARDWARE_SIZE] = {1, 2, 3, 4, 5, 6};
    const struct address address = parse("198.18.0.1");
    assert_false(routes_neighbour(routes, if_nametoindex("lo"), &address, hardware));
    assert_false(routes_neighbour(routes, INT32_MAX, &address, hardware));
    assert_memory_equal(hardware, was, sizeof(was));
    routes_close(routes);
}

/* A process that may open no more sockets still gets its answers. */
static void nothing_is_opened_later(void **state)
{
    (void)state;
    struct routes *routes = open_routes(0);
    const int next = dup(0);
    assert_true(next >= 0);
    close(next);
    check_local(routes, "127.0.0.1", "127.0.0.1");
    check_refused(routes, "224.0.0.1", ENETUNREACH);
    const int again = dup(0);
    assert_int_equal(again, next);
    close(again);
    routes_close(routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_prefix_there_is_one_stretch),
        cmocka_unit_test(a_prefix_is_cut_at_both_ends),
        cmocka_unit_test(the_last_prefix_of_ipv6_has_an_end),
        cmocka_unit_test(common_bits_are_the_same_all_over_a_stretch),
        cmocka_unit_test(what_is_no_prefix_is_refused),
        cmocka_unit_test(many_prefixes_are_all_found),
        cmocka_unit_test(loopback_is_this_machine),
        cmocka_unit_test(loopback_by_its_interface),
        cmocka_unit_test(what_connect_refuses_has_its_errno),
        cmocka_unit_test(a_zone_without_an_interface_is_refused),
        cmocka_unit_test(an_interface_that_is_not_there_is_an_error),
        cmocka_unit_test(nobody_has_a_hardware_address_on_loopback),
        cmocka_unit_test(nothing_is_opened_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
