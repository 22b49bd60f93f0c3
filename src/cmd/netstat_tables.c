/* netstat -r and -g: routes and multicast groups. */
#include "cmd/netstat_tables.h"

#include "base/file.h"
#include "base/text.h"
#include "local/net_counters.h"
#include "local/net_tables.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define LIMIT ((size_t)1 << 26) /* bytes of a file of groups */
#define NAME_SIZE (4 * IF_NAMESIZE + 1)

/* ---- routes ---- */

/* A table of routes, and the names of the interfaces in it. */
struct route_table {
    const struct netstat_options *options;
    struct net_route_list routes;
    struct net_interface_list interfaces;
};

static const struct net_interface *route_interface(const struct route_table *table,
                                                   const struct net_route *route)
{
    for (size_t i = 0; i < table->interfaces.count; i++)
        if (table->interfaces.items[i].index == route->interface)
            return &table->interfaces.items[i];
    return NULL;
}

static const char *interface_text(const struct route_table *table, const struct net_route *route,
                                  char text[static NAME_SIZE])
{
    const struct net_interface *interface = route_interface(table, route);
    if (!interface)
        return "*";
    text_escape(interface->name, strlen(interface->name), text, NAME_SIZE);
    return text;
}

static bool is_reject(const struct net_route *route)
{
    return route->type == RTN_UNREACHABLE || route->type == RTN_PROHIBIT;
}

static void ipv4_flags(const struct net_route *route, char text[static 8])
{
    snprintf(text, 8, "%s%s%s", is_reject(route) ? "!" : "U",
             route->gateway.family != ADDRESS_NONE && !is_reject(route) ? "G" : "",
             route->bits == 32 ? "H" : "");
}

static const char *address_text(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    const struct address plain = {.value = address->value,
                                  .family = address->family ? address->family : ADDRESS_IPV4};
    return address_format(&plain, text);
}

/* The middle of a line, "MSS Window irtt" or "Metric Ref Use". */
static void print_ipv4_figures(const struct route_table *table, const struct net_route *route,
                               const char *name)
{
    const unsigned extend = table->options->extend;
    const uint32_t mss = route->advmss ? route->advmss + 40 : 0; /* as it is told: with headers */
    if (extend == 0 && is_reject(route))
        printf("%5s %-6s %5s -\n", "-", "-", "-");
    else if (extend == 0)
        printf("%5u %-6u %5u %s\n", mss, route->window, route->rtt_ms, name);
    else if (is_reject(route))
        printf("%-6d %-2s %7u %s\n", (int)route->metric, "-", route->uses,
               extend > 1 ? "-        -     -      -" : "-");
    else if (extend == 1)
        printf("%-6d %-2u %7u %s\n", (int)route->metric, route->references, route->uses, name);
    else
        printf("%-6d %-2u %7u %-8s %-5u %-6u %u\n", (int)route->metric, route->references,
               route->uses, name, mss, route->window, route->rtt_ms);
}

static void print_ipv4_route(const struct route_table *table, const struct net_route *route)
{
    char destination[ADDRESS_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE], mask[ADDRESS_TEXT_SIZE];
    char flags[8], name[NAME_SIZE];
    const struct address bits = {
        .family = ADDRESS_IPV4,
        .value = route->bits ? (UINT32_MAX << (32 - route->bits)) & UINT32_MAX : 0};
    const bool by_name = !table->options->numeric && !table->options->numeric_hosts;
    ipv4_flags(route, flags);
    printf("%-15s %-15s %-15s %-5s ",
           by_name && route->bits == 0 ? "default" : address_text(&route->destination, destination),
           is_reject(route) ? "-" : address_text(&route->gateway, gateway),
           address_text(&bits, mask), flags);
    print_ipv4_figures(table, route, interface_text(table, route, name));
}

static void print_ipv4_routes(const struct route_table *table)
{
    static const char *const figures[] = {
        "  MSS Window  irtt Iface",
        "Metric Ref    Use Iface",
        "Metric Ref    Use Iface    MSS   Window irtt",
    };
    const unsigned extend = table->options->extend;
    printf("Kernel IP routing table\n"
           "Destination     Gateway         Genmask         Flags %s\n",
           figures[extend < 2 ? extend : 2]);
    for (size_t i = 0; i < table->routes.count && !ferror(stdout); i++) {
        const struct net_route *route = &table->routes.items[i];
        if (route->table == RT_TABLE_MAIN && route->type != RTN_BROADCAST &&
            route->type != RTN_MULTICAST)
            print_ipv4_route(table, route);
    }
}

/* IPv6 counts everything that leads to the loopback device as a reject, but for its own address. */
static bool is_ipv6_reject(const struct route_table *table, const struct net_route *route)
{
    const struct net_interface *interface = route_interface(table, route);
    switch (route->type) {
    case RTN_UNICAST:
        return interface && interface->flags & IFF_LOOPBACK &&
               !address_is_loopback(&route->destination);
    case RTN_BLACKHOLE:
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT:
    case RTN_THROW:
        return true;
    default:
        return false;
    }
}

static void ipv6_flags(const struct route_table *table, const struct net_route *route,
                       char text[static 8])
{
    const bool gateway = route->gateway.family != ADDRESS_NONE;
    const bool reject = is_ipv6_reject(table, route);
    const bool own = route->type == RTN_LOCAL || route->type == RTN_ANYCAST;
    const bool told = route->protocol == RTPROT_RA; /* by a router */
    snprintf(text, 8, "%s%s%s%s%s%s", reject ? "!" : "U", gateway ? "G" : "",
             told && gateway && route->bits == 0 ? "D" : "", told ? "A" : "",
             route->expires ? "e" : "", own || reject ? "n" : "");
}

static void print_ipv6_route(const struct route_table *table, const struct net_route *route)
{
    const struct address none = {.family = ADDRESS_IPV6};
    const struct address *gateway = route->gateway.family == ADDRESS_NONE ? &none : &route->gateway;
    const bool by_name = !table->options->numeric && !table->options->numeric_hosts;
    char destination[ADDRESS_TEXT_SIZE + 8], hop[ADDRESS_TEXT_SIZE];
    char flags[8], name[NAME_SIZE];
    address_text(&route->destination, destination);
    if (by_name && route->destination.value == 0)
        snprintf(destination, sizeof(destination), "[::]");
    const size_t length = strlen(destination);
    snprintf(destination + length, sizeof(destination) - length, "/%u", route->bits);
    ipv6_flags(table, route, flags);
    printf("%-30s %-26s %-4s %-3d %-1u %6u %s\n", destination,
           by_name && gateway->value == 0 ? "[::]" : address_text(gateway, hop), flags,
           (int)route->metric, route->references, route->uses, interface_text(table, route, name));
}

static void print_ipv6_routes(const struct route_table *table)
{
    printf("Kernel IPv6 routing table\n"
           "Destination                    Next Hop                   Flag Met Ref  Use If\n");
    for (size_t i = 0; i < table->routes.count && !ferror(stdout); i++)
        print_ipv6_route(table, &table->routes.items[i]);
}

int netstat_routes(const struct netstat_options *options, struct error *error)
{
    struct route_table table = {.options = options};
    int failed = net_interfaces_list(&table.interfaces, error);
    if (!failed && (options->ipv4 || !options->ipv6)) {
        failed = net_routes_list(ADDRESS_IPV4, &table.routes, error);
        if (!failed)
            print_ipv4_routes(&table);
        net_routes_release(&table.routes);
    }
    if (!failed && options->ipv6) {
        failed = net_routes_list(ADDRESS_IPV6, &table.routes, error);
        if (!failed)
            print_ipv6_routes(&table);
        net_routes_release(&table.routes);
    }
    net_interfaces_release(&table.interfaces);
    return failed;
}

/* ---- groups ---- */

static int print_group(void *user, const struct net_group *group)
{
    (void)user;
    char interface[4 * sizeof(group->interface) + 1], address[ADDRESS_TEXT_SIZE];
    text_escape(group->interface, strlen(group->interface), interface, sizeof(interface));
    printf("%-15s %-6u %s\n", interface, group->references, address_format(&group->group, address));
    return 0;
}

typedef int read_fn(const char *text, size_t length, net_group_fn *each, void *user,
                    struct error *error);

static int print_groups(const char *path, read_fn *reader, struct error *error)
{
    struct buffer text = {0};
    struct error fault;
    int code = file_read(path, LIMIT, &text, error);
    if (code == -ENOENT) /* a kernel without it */
        return 0;
    if (code == 0) {
        code = reader(text.data, text.length, print_group, NULL, &fault);
        if (code != 0)
            error_set(error, -code, "%s, %s", path, fault.message);
    }
    buffer_release(&text);
    return code;
}

int netstat_groups(const struct netstat_options *options, struct error *error)
{
    int failed = 0;
    printf("IPv6/IPv4 Group Memberships\n"
           "Interface       RefCnt Group\n"
           "--------------- ------ ---------------------\n");
    if (options->ipv4 || !options->ipv6)
        failed = print_groups("/proc/net/igmp", net_groups_read, error);
    if (!failed && (options->ipv6 || !options->ipv4))
        failed = print_groups("/proc/net/igmp6", net_groups_read6, error);
    return failed;
}
