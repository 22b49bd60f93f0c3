/* The kernel's tables of routes, interfaces and their addresses, over rtnetlink(7). */
#include "local/net_tables.h"

#include "net/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* ---- asking ---- */

/* A table while it grows. */
struct growing {
    void *items;
    size_t count, capacity;
};

static void *grow(struct growing *list, size_t size)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 16;
        void *items = reallocarray(list->items, capacity, size);
        if (!items)
            return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    void *item = (char *)list->items + list->count++ * size;
    memset(item, 0, size);
    return item;
}

/* A dump that changed while it was read comes again from its beginning; then the sequence number is
 * another one. */
struct dump {
    struct growing list;
    uint32_t sequence;
    netlink_fn *take;
};

static int take_message(void *user, const struct nlmsghdr *message)
{
    struct dump *dump = user;
    if (message->nlmsg_seq != dump->sequence) {
        dump->sequence = message->nlmsg_seq;
        dump->list.count = 0;
    }
    return dump->take(&dump->list, message);
}

/* Asks for a whole table. What the kernel does not know, as without IPv6, is empty. */
static int ask(uint16_t type, const void *body, size_t size, const char *what, netlink_fn *take,
               struct growing *ret_list, struct error *error)
{
    struct netlink *netlink = NULL;
    struct dump dump = {.take = take};
    union netlink_request request;
    int refusal = 0;
    int code = netlink_open(NETLINK_ROUTE, &netlink);
    if (code == 0) {
        netlink_request_start(&request, type, NLM_F_DUMP, body, size);
        code = netlink_ask(netlink, &request, take_message, &dump, &refusal);
    }
    netlink_close(netlink);
    if (code == 0 && refusal != 0 && refusal != EOPNOTSUPP && refusal != EAFNOSUPPORT)
        code = -refusal;
    if (code != 0) {
        free(dump.list.items);
        return error_set(error, -code, "cannot ask the kernel for its %s: %s", what,
                         strerror(-code));
    }
    *ret_list = dump.list;
    return 0;
}

/* Points table[type] at the attributes among the `length` bytes, which are aligned as attributes
 * are. */
static void read_attributes(const char *bytes, size_t length, const struct nlattr **table,
                            size_t count)
{
    memset(table, 0, count * sizeof(*table));
    const struct nlattr *attribute = (const void *)bytes;
    while (mnl_attr_ok(attribute, (int)(bytes + length - (const char *)attribute))) {
        const uint16_t type = mnl_attr_get_type(attribute);
        if (type < count)
            table[type] = attribute;
        attribute = mnl_attr_next(attribute);
    }
}

/* ---- routes ---- */

static uint32_t metric_of(const struct nlattr *const *metrics, size_t which)
{
    uint32_t value = 0;
    netlink_u32(metrics[which], &value);
    return value;
}

static void read_metrics(const struct nlattr *attribute, struct net_route *route)
{
    const struct nlattr *metrics[RTAX_MAX + 1];
    if (!attribute)
        return;
    read_attributes(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), metrics,
                    RTAX_MAX + 1);
    route->advmss = metric_of(metrics, RTAX_ADVMSS);
    route->window = metric_of(metrics, RTAX_WINDOW);
    route->rtt_ms = metric_of(metrics, RTAX_RTT) / 8; /* the kernel keeps eighths */
}

static bool read_gateway(const struct nlattr *const *attributes, unsigned family,
                         struct net_route *route)
{
    return netlink_address(attributes[RTA_GATEWAY], family, &route->gateway) ||
           netlink_via(attributes[RTA_VIA], &route->gateway);
}

/* The next hops of a route that has several: each is a route of its own. */
static int add_hops(struct growing *list, const struct nlattr *attribute, unsigned family,
                    const struct net_route *common)
{
    const char *bytes = mnl_attr_get_payload(attribute);
    size_t left = mnl_attr_get_payload_len(attribute);
    struct rtnexthop hop;
    while (left >= sizeof(hop)) {
        const struct nlattr *attributes[RTA_VIA + 1];
        memcpy(&hop, bytes, sizeof(hop));
        if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
            return -EBADMSG;
        struct net_route *route = grow(list, sizeof(*route));
        if (!route)
            return -ENOMEM;
        *route = *common;
        route->interface = (uint32_t)hop.rtnh_ifindex;
        read_attributes(bytes + sizeof(hop), hop.rtnh_len - sizeof(hop), attributes, RTA_VIA + 1);
        read_gateway(attributes, family, route);
        const size_t length = MNL_ALIGN(hop.rtnh_len);
        if (length >= left)
            break;
        bytes += length;
        left -= length;
    }
    return 0;
}

static int take_route(void *user, const struct nlmsghdr *message)
{
    struct rtmsg body;
    if (message->nlmsg_type != RTM_NEWROUTE || !netlink_body(message, &body, sizeof(body)))
        return 0;
    if (body.rtm_flags & RTM_F_CLONED)
        return 0; /* what was learnt of one destination, as its MTU */
    const struct nlattr *attributes[RTA_EXPIRES + 1];
    netlink_attributes(message, sizeof(body), attributes, RTA_EXPIRES + 1);
    struct net_route route = {
        .destination.family = body.rtm_family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6,
        .bits = body.rtm_dst_len,
        .table = body.rtm_table,
        .type = body.rtm_type,
        .protocol = body.rtm_protocol,
    };
    struct rta_cacheinfo cache = {0};
    netlink_address(attributes[RTA_DST], body.rtm_family, &route.destination);
    netlink_u32(attributes[RTA_TABLE], &route.table);
    netlink_u32(attributes[RTA_OIF], &route.interface);
    netlink_u32(attributes[RTA_PRIORITY], &route.metric);
    read_gateway(attributes, body.rtm_family, &route);
    read_metrics(attributes[RTA_METRICS], &route);
    if (netlink_head(attributes[RTA_CACHEINFO], &cache, sizeof(cache))) {
        route.references = cache.rta_clntref;
        route.uses = cache.rta_used;
        route.expires = cache.rta_expires != 0;
    }
    if (attributes[RTA_MULTIPATH])
        return add_hops(user, attributes[RTA_MULTIPATH], body.rtm_family, &route);
    struct net_route *kept = grow(user, sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    *kept = route;
    return 0;
}

int net_routes_list(enum address_family family, struct net_route_list *ret_list,
                    struct error *error)
{
    const struct rtmsg body = {.rtm_family = family == ADDRESS_IPV6 ? AF_INET6 : AF_INET};
    struct growing list = {0};
    const int failed = ask(RTM_GETROUTE, &body, sizeof(body), "routes", take_route, &list, error);
    if (!failed)
        *ret_list = (struct net_route_list){list.items, list.count};
    return failed;
}

void net_routes_release(struct net_route_list *list)
{
    free(list->items);
    *list = (struct net_route_list){0};
}

/* ---- interfaces ---- */

static void read_counters(const struct nlattr *attribute, struct net_interface *interface)
{
    struct rtnl_link_stats64 stats = {0};
    /* Later kernels add fields at its end, earlier ones lack some. */
    const size_t size = offsetof(struct rtnl_link_stats64, rx_compressed);
    netlink_head(attribute, &stats, size);
    interface->received = (struct net_interface_counters){
        .packets = stats.rx_packets,
        .bytes = stats.rx_bytes,
        .errors = stats.rx_errors,
        .dropped = stats.rx_dropped + stats.rx_missed_errors,
        .overruns = stats.rx_fifo_errors,
        .frame = stats.rx_length_errors + stats.rx_over_errors + stats.rx_crc_errors +
                 stats.rx_frame_errors,
    };
    interface->sent = (struct net_interface_counters){
        .packets = stats.tx_packets,
        .bytes = stats.tx_bytes,
        .errors = stats.tx_errors,
        .dropped = stats.tx_dropped,
        .overruns = stats.tx_fifo_errors,
        .carrier = stats.tx_carrier_errors + stats.tx_aborted_errors + stats.tx_window_errors +
                   stats.tx_heartbeat_errors,
        .collisions = stats.collisions,
    };
}

static int take_interface(void *user, const struct nlmsghdr *message)
{
    struct ifinfomsg body;
    if (message->nlmsg_type != RTM_NEWLINK || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[IFLA_STATS64 + 1];
    netlink_attributes(message, sizeof(body), attributes, IFLA_STATS64 + 1);
    struct net_interface *interface = grow(user, sizeof(*interface));
    if (!interface)
        return -ENOMEM;
    interface->index = (uint32_t)body.ifi_index;
    interface->flags = body.ifi_flags;
    interface->type = body.ifi_type;
    netlink_u32(attributes[IFLA_MTU], &interface->mtu);
    netlink_u32(attributes[IFLA_TXQLEN], &interface->queue);
    netlink_text(attributes[IFLA_IFNAME], interface->name, sizeof(interface->name));
    for (unsigned char length = NET_HARDWARE_SIZE; length > 0; length--)
        if (netlink_bytes(attributes[IFLA_ADDRESS], interface->hardware, length)) {
            interface->hardware_length = length;
            break;
        }
    read_counters(attributes[IFLA_STATS64], interface);
    return 0;
}

/* eth2 before eth10. */
static int compare_names(const void *one, const void *other)
{
    const struct net_interface *a = one, *b = other;
    return strverscmp(a->name, b->name);
}

int net_interfaces_list(struct net_interface_list *ret_list, struct error *error)
{
    const struct ifinfomsg body = {.ifi_family = AF_UNSPEC};
    struct growing list = {0};
    const int failed =
        ask(RTM_GETLINK, &body, sizeof(body), "interfaces", take_interface, &list, error);
    if (failed)
        return failed;
    if (list.count > 0)
        qsort(list.items, list.count, sizeof(struct net_interface), compare_names);
    *ret_list = (struct net_interface_list){list.items, list.count};
    return 0;
}

void net_interfaces_release(struct net_interface_list *list)
{
    free(list->items);
    *list = (struct net_interface_list){0};
}

/* ---- addresses ---- */

static int take_address(void *user, const struct nlmsghdr *message)
{
    struct ifaddrmsg body;
    if (message->nlmsg_type != RTM_NEWADDR || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[IFA_BROADCAST + 1];
    struct address peer = {0};
    netlink_attributes(message, sizeof(body), attributes, IFA_BROADCAST + 1);
    struct net_interface_address *address = grow(user, sizeof(*address));
    if (!address)
        return -ENOMEM;
    address->interface = body.ifa_index;
    address->bits = body.ifa_prefixlen;
    address->scope = body.ifa_scope;
    netlink_address(attributes[IFA_ADDRESS], body.ifa_family, &peer);
    if (!netlink_address(attributes[IFA_LOCAL], body.ifa_family, &address->address))
        address->address = peer;
    else if (peer.value != address->address.value)
        address->peer = peer;
    netlink_address(attributes[IFA_BROADCAST], body.ifa_family, &address->broadcast);
    netlink_text(attributes[IFA_LABEL], address->label, sizeof(address->label));
    return 0;
}

int net_addresses_list(struct net_address_list *ret_list, struct error *error)
{
    const struct ifaddrmsg body = {.ifa_family = AF_UNSPEC};
    struct growing list = {0};
    const int failed =
        ask(RTM_GETADDR, &body, sizeof(body), "addresses", take_address, &list, error);
    if (!failed)
        *ret_list = (struct net_address_list){list.items, list.count};
    return failed;
}

void net_addresses_release(struct net_address_list *list)
{
    free(list->items);
    *list = (struct net_address_list){0};
}
