/* netstat -r and -g: routes and multicast groups. */
#include "cmd/netstat_tables.h"
#include "cmd/netstat_names.h"

#include "base/file.h"
#include "base/text.h"
#include "local/net_counters.h"
#include "local/net_tables.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)1 << 26) /* bytes of a file of groups */
#define IPV4_WIDTH 15           /* of an IPv4 address */
#define INTERFACE_WIDTH 6       /* of its name, where columns follow it */
#define NAME_SIZE (4 * IF_NAMESIZE + 1)

/* ---- routes ---- */

/* A table of routes, and the names of the interfaces in it. */
struct route_table {
    const struct netstat_options *options;
    struct net_route_list routes;
    struct net_interface_list interfaces;
    struct names *names; /* of gateways and of single hosts */
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
        printf("%-6d %-2u %7u %-8.*s %-5u %-6u %u\n", (int)route->metric, route->references,
               route->uses, table->options->wide ? NAME_SIZE : INTERFACE_WIDTH, name, mss,
               route->window, route->rtt_ms);
}

/* Names of networks are nobody's to look up: only those of hosts are asked for. */
static const char *host_text(const struct route_table *table, const struct address *address,
                             bool is_name, char text[static NETSTAT_HOST_SIZE])
{
    const struct address known = {.value = address->value,
                                  .family = address->family ? address->family : ADDRESS_IPV4};
    netstat_host(table->options, is_name ? table->names : NULL, &known, text);
    if (!table->options->wide && known.family == ADDRESS_IPV4)
        text[IPV4_WIDTH] = '\0';
    return text;
}

static bool is_host(const struct net_route *route)
{
    return route->bits == address_bits(&route->destination);
}

static void print_ipv4_route(const struct route_table *table, const struct net_route *route)
{
    char destination[NETSTAT_HOST_SIZE], gateway[NETSTAT_HOST_SIZE], mask[ADDRESS_TEXT_SIZE];
    char flags[8], name[NAME_SIZE];
    const struct address bits = {
        .family = ADDRESS_IPV4,
        .value = route->bits ? (UINT32_MAX << (32 - route->bits)) & UINT32_MAX : 0};
    ipv4_flags(route, flags);
    printf("%-15s %-15s %-15s %-5s ",
           netstat_resolves(table->options) && route->bits == 0
               ? "default"
               : host_text(table, &route->destination, is_host(route), destination),
           is_reject(route) ? "-" : host_text(table, &route->gateway, true, gateway),
           address_format(&bits, mask), flags);
    print_ipv4_figures(table, route, interface_text(table, route, name));
}

static void resolve(struct route_table *table)
{
    const struct net_route_list *routes = &table->routes;
    struct address *addresses = calloc(routes->count ? routes->count : 1, 2 * sizeof(*addresses));
    size_t count = 0;
    for (size_t i = 0; addresses && i < routes->count; i++) {
        if (routes->items[i].gateway.value != 0)
            addresses[count++] = routes->items[i].gateway;
        if (is_host(&routes->items[i]))
            addresses[count++] = routes->items[i].destination;
    }
    table->names = addresses ? netstat_names_ask(table->options, addresses, count) : NULL;
    free(addresses);
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
    char destination[NETSTAT_HOST_SIZE + 8], hop[NETSTAT_HOST_SIZE], flags[8], name[NAME_SIZE];
    host_text(table, &route->destination, is_host(route), destination);
    snprintf(destination + strlen(destination), 8, "/%u", route->bits);
    ipv6_flags(table, route, flags);
    printf("%-30s %-26s %-4s %-3d %-1u %6u %s\n", destination,
           host_text(table, route->gateway.family ? &route->gateway : &none, true, hop), flags,
           (int)route->metric, route->references, route->uses, interface_text(table, route, name));
}

static void print_ipv6_routes(const struct route_table *table)
{
    printf("Kernel IPv6 routing table\n"
           "Destination                    Next Hop                   Flag Met Ref  Use If\n");
    for (size_t i = 0; i < table->routes.count && !ferror(stdout); i++)
        print_ipv6_route(table, &table->routes.items[i]);
}

static int print_routes(struct route_table *table, enum address_family family, struct error *error)
{
    const int failed = net_routes_list(family, &table->routes, error);
    if (failed)
        return failed;
    resolve(table);
    if (family == ADDRESS_IPV4)
        print_ipv4_routes(table);
    else
        print_ipv6_routes(table);
    names_close(table->names);
    net_routes_release(&table->routes);
    return 0;
}

int netstat_routes(const struct netstat_options *options, struct error *error)
{
    struct route_table table = {.options = options};
    int failed = net_interfaces_list(&table.interfaces, error);
    if (!failed && (options->ipv4 || !options->ipv6))
        failed = print_routes(&table, ADDRESS_IPV4, error);
    if (!failed && options->ipv6)
        failed = print_routes(&table, ADDRESS_IPV6, error);
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
