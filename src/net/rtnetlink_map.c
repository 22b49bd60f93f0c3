/* rtnetlink: the prefixes about which the kernel decides where packets go. */
#include "net/rtnetlink.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_addrlabel.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

/* Prefixes that the kernel treats in its own way, whatever its tables say. */
static const struct {
    enum address_family family;
    unsigned char first[3]; /* the address's bytes; the rest is 0 */
    unsigned length;
} special[] = {
    {ADDRESS_IPV4, {0}, 32},          /* "this host" */
    {ADDRESS_IPV4, {0}, 8},           /* "this network" */
    {ADDRESS_IPV4, {127}, 8},         /* loopback */
    {ADDRESS_IPV4, {224, 0, 0}, 24},  /* multicast that no router passes on */
    {ADDRESS_IPV4, {224}, 4},         /* multicast */
    {ADDRESS_IPV4, {240}, 4},         /* reserved */
    {ADDRESS_IPV6, {0}, 96},          /* IPv4-compatible */
    {ADDRESS_IPV6, {0}, 127},         /* unspecified and loopback */
    {ADDRESS_IPV6, {0}, 128},         /* unspecified */
    {ADDRESS_IPV6, {0xfe, 0x80}, 10}, /* link-local */
    {ADDRESS_IPV6, {0xfe, 0xc0}, 10}, /* site-local */
    {ADDRESS_IPV6, {0xff}, 8},        /* multicast */
};

static int cut_special(struct route_map *map)
{
    const uint128_t broadcast = address_maximum(ADDRESS_IPV4);
    int code = stretches_cut(&map->ipv4, broadcast, 32);
    for (size_t i = 0; code == 0 && i < sizeof(special) / sizeof(*special); i++) {
        struct stretches *stretches = special[i].family == ADDRESS_IPV4 ? &map->ipv4 : &map->ipv6;
        const unsigned bits = special[i].family == ADDRESS_IPV4 ? 32 : 128;
        uint128_t value = 0;
        for (unsigned at = 0; at < 3; at++)
            value |= (uint128_t)special[i].first[at] << (bits - 8 - 8 * at);
        code = stretches_cut(stretches, value, special[i].length);
    }
    return code;
}

/* Cuts at a destination prefix. A prefix without an address, such as a default route's, is all. */
static int cut_attribute(struct route_map *map, const struct nlattr *attribute,
                         unsigned char family, unsigned length)
{
    struct address address;
    if (!attribute || !netlink_address(attribute, family, &address))
        return 0;
    struct stretches *stretches = address.family == ADDRESS_IPV4 ? &map->ipv4 : &map->ipv6;
    const int code = stretches_cut(stretches, address.value, length);
    return code == -ENOMEM ? code : 0;
}

static int route_cut(void *user, const struct nlmsghdr *message)
{
    struct route_map *map = user;
    struct rtmsg body;
    if (message->nlmsg_type != RTM_NEWROUTE || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[RTA_DST + 1];
    netlink_attributes(message, sizeof(body), attributes, RTA_DST + 1);
    if (body.rtm_src_len != 0 && body.rtm_family == AF_INET6)
        map->ipv6_by_source = true;
    return cut_attribute(map, attributes[RTA_DST], body.rtm_family, body.rtm_dst_len);
}

static int rule_cut(void *user, const struct nlmsghdr *message)
{
    struct route_map *map = user;
    struct fib_rule_hdr body;
    if (message->nlmsg_type != RTM_NEWRULE || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[FRA_DST + 1];
    netlink_attributes(message, sizeof(body), attributes, FRA_DST + 1);
    if (body.src_len != 0 && body.family == AF_INET)
        map->ipv4_by_source = true;
    if (body.src_len != 0 && body.family == AF_INET6)
        map->ipv6_by_source = true;
    return cut_attribute(map, attributes[FRA_DST], body.family, body.dst_len);
}

/* The kernel prefers the source address that has most bits in common with the destination, counted
 * up to the length of the source's own prefix (RFC 6724 §5, rule 8). */
static int address_cut(void *user, const struct nlmsghdr *message)
{
    struct route_map *map = user;
    struct ifaddrmsg body;
    if (message->nlmsg_type != RTM_NEWADDR || !netlink_body(message, &body, sizeof(body)) ||
        body.ifa_family != AF_INET6 || body.ifa_prefixlen > 128)
        return 0;
    const struct nlattr *attributes[IFA_LOCAL + 1];
    netlink_attributes(message, sizeof(body), attributes, IFA_LOCAL + 1);
    struct address address;
    /* IFA_ADDRESS is the other end's where there is an IFA_LOCAL. */
    if (!netlink_address(attributes[IFA_LOCAL], AF_INET6, &address) &&
        !netlink_address(attributes[IFA_ADDRESS], AF_INET6, &address))
        return 0;
    return stretches_cut_all(&map->ipv6, address.value, body.ifa_prefixlen);
}

/* It also prefers a source with the destination's label (rule 6). */
static int label_cut(void *user, const struct nlmsghdr *message)
{
    struct ifaddrlblmsg body;
    if (message->nlmsg_type != RTM_NEWADDRLABEL || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[IFAL_ADDRESS + 1];
    netlink_attributes(message, sizeof(body), attributes, IFAL_ADDRESS + 1);
    return cut_attribute(user, attributes[IFAL_ADDRESS], body.ifal_family, body.ifal_prefixlen);
}

/* A dump of one kind. A kernel without a part of itself, say IPv6, refuses to tell of it. */
static int dump(struct netlink *netlink, uint16_t type, unsigned char family, netlink_fn *each,
                struct route_map *map)
{
    /* All these structures begin with the family and are no larger; nothing else is asked for. */
    const struct rtmsg body = {.rtm_family = family};
    union netlink_request request;
    netlink_request_start(&request, type, NLM_F_DUMP, &body, sizeof(body));
    int refusal = 0;
    const int code = netlink_ask(netlink, &request, each, map, &refusal);
    if (code != 0 || refusal == 0 || refusal == EOPNOTSUPP || refusal == EAFNOSUPPORT)
        return code;
    return -refusal;
}

int rtnetlink_map(struct netlink *netlink, struct route_map *map)
{
    map->ipv4.family = ADDRESS_IPV4;
    map->ipv6.family = ADDRESS_IPV6;
    int code = cut_special(map);
    if (code == 0)
        code = dump(netlink, RTM_GETROUTE, AF_INET, route_cut, map);
    if (code == 0)
        code = dump(netlink, RTM_GETROUTE, AF_INET6, route_cut, map);
    if (code == 0)
        code = dump(netlink, RTM_GETRULE, AF_INET, rule_cut, map);
    if (code == 0)
        code = dump(netlink, RTM_GETRULE, AF_INET6, rule_cut, map);
    if (code == 0)
        code = dump(netlink, RTM_GETADDR, AF_INET6, address_cut, map);
    if (code == 0)
        code = dump(netlink, RTM_GETADDRLABEL, AF_INET6, label_cut, map);
    if (code == 0)
        code = stretches_seal(&map->ipv4);
    if (code == 0)
        code = stretches_seal(&map->ipv6);
    return code;
}
