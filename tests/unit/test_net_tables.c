/* The kernel's tables of routes, interfaces and addresses, as they are wherever this runs: what
 * must hold of them. What they say of a network that is known is in tests/cli/test_netstat.py. */
#include "local/net_tables.h"

#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct net_interface *find(const struct net_interface_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static void loopback_is_among_the_interfaces(void **state)
{
    (void)state;
    struct net_interface_list list = {0};
    struct error error = {0};
    assert_int_equal(net_interfaces_list(&list, &error), 0);
    const struct net_interface *loopback = find(&list, "lo");
    assert_non_null(loopback);
    assert_int_equal(loopback->index, if_nametoindex("lo"));
    assert_true(loopback->flags & IFF_LOOPBACK);
    assert_int_equal(loopback->type, ARPHRD_LOOPBACK);
    assert_true(loopback->mtu > 0);
    /* What is sent there is received there. */
    assert_true(loopback->sent.bytes == loopback->received.bytes);
    net_interfaces_release(&list);
    assert_int_equal(list.count, 0);
}

static void every_interface_has_a_name_of_its_own(void **state)
{
    (void)state;
    struct net_interface_list list = {0};
    assert_int_equal(net_interfaces_list(&list, NULL), 0);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.items[i].index, if_nametoindex(list.items[i].name));
        assert_ptr_equal(find(&list, list.items[i].name), &list.items[i]);
    }
    net_interfaces_release(&list);
}

static void addresses_belong_to_interfaces(void **state)
{
    (void)state;
    struct net_address_list list = {0};
    char name[IF_NAMESIZE];
    assert_int_equal(net_addresses_list(&list, NULL), 0);
    for (size_t i = 0; i < list.count; i++) {
        const struct net_interface_address *address = &list.items[i];
        assert_non_null(if_indextoname(address->interface, name));
        assert_true(address->bits <= address_bits(&address->address));
        if (address->address.family == ADDRESS_IPV4) /* an alias begins with its interface's name */
            assert_memory_equal(address->label, name, strlen(name));
        if (address_is_loopback(&address->address))
            assert_string_equal(name, "lo");
    }
    net_addresses_release(&list);
}

static void routes_are_of_the_family_asked_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const enum address_family family = i == 0 ? ADDRESS_IPV4 : ADDRESS_IPV6;
        struct net_route_list list = {0};
        char name[IF_NAMESIZE];
        assert_int_equal(net_routes_list(family, &list, NULL), 0);
        for (size_t at = 0; at < list.count; at++) {
            const struct net_route *route = &list.items[at];
            assert_int_equal(route->destination.family, family);
            assert_true(route->bits <= address_bits(&route->destination));
            assert_true(route->interface == 0 || if_indextoname(route->interface, name));
            assert_true(route->table != 0);
        }
        net_routes_release(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_among_the_interfaces),
        cmocka_unit_test(every_interface_has_a_name_of_its_own),
        cmocka_unit_test(addresses_belong_to_interfaces),
        cmocka_unit_test(routes_are_of_the_family_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
