/* How far sockets can be reached, in a network namespace with interfaces of each kind. */
#include "local/exposure.h"

#include "guarded.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool private_network;

/* `wide` has addresses of both families, `near`, at the other end, link-local ones alone. */
static const char setting[] = "ip link add wide type veth peer name near && "
                              "ip addr add 198.18.0.1/24 label wide:one dev wide && "
                              "ip addr add fd00::1/64 nodad dev wide && "
                              "ip addr add 169.254.7.7/16 dev near && "
                              "ip addr add 198.18.9.9/32 dev lo && "
                              "ip link set lo up && ip link set near up && ip link set wide up";

static bool run(const char *command)
{
    return system(command) == 0; /* NOLINT: the text is the test's own */
}

static int enter_namespace(void **state)
{
    (void)state;
    private_network = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && run(setting);
    return 0;
}

static struct socket_entry entry_at(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return (struct socket_entry){.kind = SOCKET_TCP,
                                 .state = SOCKET_LISTEN,
                                 .family = (uint8_t)address.family,
                                 .local = address.value,
                                 .local_port = 80};
}

static struct exposure_map *read_map(void)
{
    struct exposure_map *map = NULL;
    struct error error = {0};
    if (exposure_map_new(&map, &error) != 0)
        fail_msg("%s", error.message);
    return map;
}

/* The same, as bytes and back. */
static struct exposure_map *read_packed_map(void)
{
    struct exposure_map *map = read_map(), *again = NULL;
    struct buffer bytes = {0};
    exposure_map_pack(map, &bytes);
    exposure_map_free(map);
    assert_int_equal(exposure_map_unpack(bytes.data, bytes.length, &again), 0);
    buffer_release(&bytes);
    return again;
}

struct expectation {
    const char *local;
    const char *device; /* bound to it, or "" */
    bool v6only;
    enum exposure exposure;
    const char *interface;
};

static void expect(const struct exposure_map *map, const struct expectation *expected)
{
    struct socket_entry entry = entry_at(expected->local);
    entry.v6only = expected->v6only;
    if (expected->device[0])
        entry.interface = if_nametoindex(expected->device);
    char interface[16] = "?";
    const enum exposure exposure = exposure_of(map, &entry, interface);
    if (exposure != expected->exposure || strcmp(interface, expected->interface) != 0)
        fail_msg("%s on '%s': %s by '%s'", expected->local, expected->device,
                 exposure_words(exposure), interface);
}

static void addresses_of_every_kind(void **state)
{
    (void)state;
    static const struct expectation expectations[] = {
        {"0.0.0.0", "", false, EXPOSURE_EVERYWHERE, ""},
        {"::", "", false, EXPOSURE_EVERYWHERE, ""},
        {"::", "", true, EXPOSURE_EVERYWHERE, ""},
        {"127.0.0.1", "", false, EXPOSURE_LOOPBACK, ""},
        {"127.99.0.1", "", false, EXPOSURE_LOOPBACK, ""},
        {"::1", "", false, EXPOSURE_LOOPBACK, ""},
        {"198.18.0.1", "", false, EXPOSURE_ADDRESS, "wide"},
        {"fd00::1", "", false, EXPOSURE_ADDRESS, "wide"},
        {"198.18.0.99", "", false, EXPOSURE_ADDRESS, ""},  /* of nobody, now */
        {"198.18.9.9", "", false, EXPOSURE_ADDRESS, "lo"}, /* reached through the others */
        {"169.254.7.7", "", false, EXPOSURE_LINK, "near"},
        {"fe80::7", "near", false, EXPOSURE_LINK, "near"},
        {"fe80::7", "", false, EXPOSURE_LINK, ""},
        {"224.0.0.251", "", false, EXPOSURE_LINK, ""},
        {"255.255.255.255", "", false, EXPOSURE_LINK, ""},
        {"239.1.1.1", "", false, EXPOSURE_ADDRESS, ""},
        {"ff02::fb", "", false, EXPOSURE_LINK, ""},
        {"ff0e::fb", "", false, EXPOSURE_ADDRESS, ""},
        {"0.0.0.0", "lo", false, EXPOSURE_LOOPBACK, "lo"},
        /* It has link-local ones alone, but takes what comes for another's. */
        {"0.0.0.0", "near", false, EXPOSURE_ADDRESS, "near"},
        {"::", "near", false, EXPOSURE_ADDRESS, "near"},
        {"::", "near", true, EXPOSURE_ADDRESS, "near"},
        {"0.0.0.0", "wide", false, EXPOSURE_ADDRESS, "wide"},
        {"::", "wide", true, EXPOSURE_ADDRESS, "wide"},
        {"198.18.0.1", "wide", false, EXPOSURE_ADDRESS, "wide"},
    };
    if (!private_network)
        skip();
    struct exposure_map *map = read_map();
    for (size_t i = 0; i < COUNT(expectations); i++)
        expect(map, &expectations[i]);
    assert_string_equal(exposure_interface(map, if_nametoindex("near")), "near");
    assert_null(exposure_interface(map, 9999));
    exposure_map_free(map);
    map = read_packed_map();
    for (size_t i = 0; i < COUNT(expectations); i++)
        expect(map, &expectations[i]);
    assert_null(exposure_interface(map, 9999));
    exposure_map_free(map);
}

/* A dual-stack socket is as exposed as IPv4 makes it; one for IPv6 alone is not. */
static void only_one_family_reaches_out(void **state)
{
    (void)state;
    if (!private_network)
        skip();
    assert_true(run("ip addr del fd00::1/64 dev wide && ip -6 addr flush dev wide"));
    struct exposure_map *map = read_map();
    expect(map, &(struct expectation){"::", "", false, EXPOSURE_EVERYWHERE, ""});
    expect(map, &(struct expectation){"::", "", true, EXPOSURE_LINK, "near"});
    expect(map, &(struct expectation){"::", "near", true, EXPOSURE_LINK, "near"});
    expect(map, &(struct expectation){"::", "near", false, EXPOSURE_ADDRESS, "near"});
    expect(map, &(struct expectation){"0.0.0.0", "", false, EXPOSURE_EVERYWHERE, ""});
    exposure_map_free(map);
    assert_true(run("ip -6 addr flush dev near"));
    map = read_map();
    expect(map, &(struct expectation){"::", "", true, EXPOSURE_LOOPBACK, ""});
    exposure_map_free(map);
}

/* Addresses of interfaces that are down do not count, those of the loopback interface do. */
static void one_link_is_all_where_all_is_link_local(void **state)
{
    (void)state;
    if (!private_network)
        skip();
    assert_true(run("ip link add third type veth peer name fourth && ip link set third up && "
                    "ip link set wide down && ip link set near up"));
    struct exposure_map *map = read_map();
    expect(map, &(struct expectation){"0.0.0.0", "near", false, EXPOSURE_ADDRESS, "near"});
    exposure_map_free(map);
    assert_true(run("ip addr del 198.18.9.9/32 dev lo"));
    map = read_map();
    expect(map, &(struct expectation){"0.0.0.0", "near", false, EXPOSURE_LINK, "near"});
    expect(map, &(struct expectation){"0.0.0.0", "third", false, EXPOSURE_LINK, "third"});
    expect(map, &(struct expectation){"0.0.0.0", "wide", false, EXPOSURE_ADDRESS, "wide"});
    exposure_map_free(map);
    assert_true(run("ip addr add 198.18.5.1/24 dev third"));
    map = read_packed_map();
    expect(map, &(struct expectation){"0.0.0.0", "near", false, EXPOSURE_ADDRESS, "near"});
    expect(map, &(struct expectation){"::", "near", true, EXPOSURE_LINK, "near"});
    exposure_map_free(map);
    assert_true(run("ip link del third && ip addr add 198.18.9.9/32 dev lo"));
}

static void nobody_comes_in_where_only_loopback_is_up(void **state)
{
    (void)state;
    if (!private_network)
        skip();
    assert_true(run("ip link set near down && ip link set wide down"));
    struct exposure_map *map = read_map();
    expect(map, &(struct expectation){"0.0.0.0", "", false, EXPOSURE_LOOPBACK, ""});
    expect(map, &(struct expectation){"::", "", false, EXPOSURE_LOOPBACK, ""});
    expect(map, &(struct expectation){"198.18.9.9", "", false, EXPOSURE_LOOPBACK, "lo"});
    exposure_map_free(map);
    map = read_packed_map();
    expect(map, &(struct expectation){"0.0.0.0", "", false, EXPOSURE_LOOPBACK, ""});
    exposure_map_free(map);
}

/* Cut anywhere, it is a smaller map or none; wrong bits change what it says, and no more. */
static void what_makes_no_sense_is_no_map(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct exposure_map *map = read_map(), *again = NULL;
    exposure_map_pack(map, &bytes);
    exposure_map_free(map);
    struct guarded guarded = guarded_open(bytes.length);
    struct socket_entry entry = entry_at("0.0.0.0");
    char interface[16];
    size_t refused = 0;
    entry.interface = 1;
    for (size_t length = 0; length < bytes.length; length++) {
        const char *copy = guarded_copy(&guarded, bytes.data, length);
        const int failed = exposure_map_unpack(copy, length, &again);
        assert_true(failed == 0 || failed == -EBADMSG);
        refused += failed != 0;
        if (!failed)
            exposure_map_free(again);
    }
    assert_true(refused > 0);
    for (size_t at = 0; at < bytes.length * 8; at++) {
        char *copy = guarded_copy(&guarded, bytes.data, bytes.length);
        copy[at / 8] = (char)(copy[at / 8] ^ (1 << at % 8));
        if (exposure_map_unpack(copy, bytes.length, &again) != 0)
            continue;
        exposure_of(again, &entry, interface);
        assert_true(memchr(interface, '\0', sizeof(interface)) != NULL);
        exposure_map_free(again);
    }
    guarded_close(&guarded);
    buffer_release(&bytes);
}

/* An IPv6 socket that talks IPv4 is judged by the IPv4 address. */
static void mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    struct socket_entry entry = entry_at("127.0.0.1");
    entry.family = ADDRESS_IPV6;
    entry.mapped = true;
    char interface[16];
    assert_int_equal(exposure_of(NULL, &entry, interface), EXPOSURE_LOOPBACK);
}

static void a_map_is_not_needed(void **state)
{
    (void)state;
    static const struct expectation expectations[] = {
        {"0.0.0.0", "", false, EXPOSURE_EVERYWHERE, ""},
        {"::", "lo", false, EXPOSURE_ADDRESS, ""},
        {"::1", "", false, EXPOSURE_LOOPBACK, ""},
        {"198.18.0.1", "", false, EXPOSURE_ADDRESS, ""},
        {"169.254.7.7", "", false, EXPOSURE_LINK, ""},
    };
    for (size_t i = 0; i < COUNT(expectations); i++)
        expect(NULL, &expectations[i]);
    const struct socket_entry local = {.kind = SOCKET_UNIX_STREAM, .path = "/run/x"};
    char interface[16];
    assert_int_equal(exposure_of(NULL, &local, interface), EXPOSURE_LOOPBACK);
    assert_null(exposure_interface(NULL, 1));
    exposure_map_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_every_kind),
        cmocka_unit_test(only_one_family_reaches_out),
        cmocka_unit_test(one_link_is_all_where_all_is_link_local),
        cmocka_unit_test(nobody_comes_in_where_only_loopback_is_up),
        cmocka_unit_test(what_makes_no_sense_is_no_map),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(a_map_is_not_needed),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
