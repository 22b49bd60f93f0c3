/* rtnetlink: dumps of interfaces and neighbours, and questions for one route. */
#include "net/rtnetlink.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static unsigned char family_number(const struct address *address)
{
    return address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
}

void interface_list_release(struct interface_list *list)
{
    free(list->items);
    *list = (struct interface_list){0};
}

const struct interface *interface_list_find(const struct interface_list *list, uint32_t index)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].index == index)
            return &list->items[i];
    return NULL;
}

/* Adds an interface, or takes the place of what was known of it. */
static int interface_list_put(struct interface_list *list, const struct interface *interface)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].index == interface->index) {
            list->items[i] = *interface;
            return 0;
        }
    }
    struct interface *items = realloc(list->items, (list->count + 1) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    list->items = items;
    list->items[list->count++] = *interface;
    return 0;
}

static int interface_take(void *user, const struct nlmsghdr *message)
{
    struct ifinfomsg body;
    if (message->nlmsg_type != RTM_NEWLINK || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[IFLA_MTU + 1];
    netlink_attributes(message, sizeof(body), attributes, IFLA_MTU + 1);
    struct interface interface = {
        .index = (uint32_t)body.ifi_index, .type = body.ifi_type, .flags = body.ifi_flags};
    netlink_u32(attributes[IFLA_MTU], &interface.mtu);
    netlink_text(attributes[IFLA_IFNAME], interface.name, sizeof(interface.name));
    if (interface.type == ARPHRD_ETHER)
        netlink_bytes(attributes[IFLA_ADDRESS], interface.hardware, sizeof(interface.hardware));
    return interface_list_put(user, &interface);
}

int rtnetlink_interfaces(struct netlink *netlink, uint32_t index, struct interface_list *list)
{
    const struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};
    union netlink_request request;
    netlink_request_start(&request, RTM_GETLINK, index == 0 ? NLM_F_DUMP : 0, &body, sizeof(body));
    netlink_request_u32(&request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    int refusal = 0;
    const int code = netlink_ask(netlink, &request, interface_take, list, &refusal);
    return code != 0 || index != 0 ? code : -refusal;
}

/* What connect() of a TCP socket says of a route of this type. */
static int type_code(unsigned char type)
{
    switch (type) {
    case RTN_UNICAST:
    case RTN_LOCAL:
    case RTN_ANYCAST: /* of this machine */
        return 0;
    case RTN_BLACKHOLE:
        return EINVAL;
    case RTN_UNREACHABLE:
        return EHOSTUNREACH;
    case RTN_PROHIBIT:
        return EACCES;
    default: /* RTN_BROADCAST, RTN_MULTICAST, RTN_THROW, … */
        return ENETUNREACH;
    }
}

static int route_take(void *user, const struct nlmsghdr *message)
{
    struct rtmsg body;
    if (message->nlmsg_type != RTM_NEWROUTE || !netlink_body(message, &body, sizeof(body)))
        return -EBADMSG;
    const struct nlattr *attributes[RTA_ENCAP + 1];
    netlink_attributes(message, sizeof(body), attributes, RTA_ENCAP + 1);
    struct route_answer answer = {.code = type_code(body.rtm_type),
                                  .local =
                                      body.rtm_type == RTN_LOCAL || body.rtm_type == RTN_ANYCAST};
    if (answer.code == 0 && !netlink_u32(attributes[RTA_OIF], &answer.interface))
        return -EBADMSG;
    netlink_address(attributes[RTA_PREFSRC], body.rtm_family, &answer.source);
    if (!netlink_address(attributes[RTA_GATEWAY], body.rtm_family, &answer.gateway))
        netlink_via(attributes[RTA_VIA], &answer.gateway);
    /* MPLS, segment routing: packets that are not only IP packets. */
    if (answer.code == 0 && attributes[RTA_ENCAP])
        answer.code = EOPNOTSUPP;
    *(struct route_answer *)user = answer;
    return 0;
}

int rtnetlink_route(struct netlink *netlink, const struct route_question *question,
                    struct route_answer *ret_answer)
{
    const unsigned char bits = (unsigned char)address_bits(&question->to);
    const bool has_source = question->source.family == question->to.family;
    const struct rtmsg body = {.rtm_family = family_number(&question->to),
                               .rtm_dst_len = bits,
                               .rtm_src_len = has_source ? bits : 0};
    union netlink_request request;
    netlink_request_start(&request, RTM_GETROUTE, 0, &body, sizeof(body));
    netlink_request_address(&request, RTA_DST, &question->to);
    if (has_source)
        netlink_request_address(&request, RTA_SRC, &question->source);
    if (question->interface != 0)
        netlink_request_u32(&request, RTA_OIF, question->interface);
    netlink_request_u8(&request, RTA_IP_PROTO, IPPROTO_TCP);
    struct route_answer answer = {0};
    int refusal = 0;
    const int code = netlink_ask(netlink, &request, route_take, &answer, &refusal);
    if (code != 0)
        return code;
    /* A kernel without IPv6 knows no such question. */
    if (refusal != 0)
        answer = (struct route_answer){.code = refusal == EOPNOTSUPP ? EAFNOSUPPORT : refusal};
    *ret_answer = answer;
    return 0;
}

/* Whose hardware address is looked for, and what was found. */
struct neighbour_search {
    uint32_t interface;
    struct address address;
    bool found;
    unsigned char hardware[HARDWARE_SIZE];
};

static int neighbour_take(void *user, const struct nlmsghdr *message)
{
    /* What is stale, or being verified, may belong to somebody else by now: the kernel would find
     * that out by using it, but packets that do not go through its table don't let it. */
    const unsigned known = NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP;
    struct neighbour_search *search = user;
    struct ndmsg body;
    if (message->nlmsg_type != RTM_NEWNEIGH || !netlink_body(message, &body, sizeof(body)))
        return 0;
    const struct nlattr *attributes[NDA_LLADDR + 1];
    netlink_attributes(message, sizeof(body), attributes, NDA_LLADDR + 1);
    struct address address;
    if ((uint32_t)body.ndm_ifindex != search->interface || !(body.ndm_state & known) ||
        !netlink_address(attributes[NDA_DST], body.ndm_family, &address) ||
        address.family != search->address.family || address.value != search->address.value)
        return 0;
    if (netlink_bytes(attributes[NDA_LLADDR], search->hardware, sizeof(search->hardware)))
        search->found = true;
    return 0;
}

int rtnetlink_neighbour(struct netlink *netlink, uint32_t interface, const struct address *address,
                        unsigned char ret_hardware[HARDWARE_SIZE])
{
    struct neighbour_search search = {.interface = interface, .address = *address};
    const struct ndmsg body = {.ndm_family = family_number(address), .ndm_ifindex = (int)interface};
    union netlink_request request;
    netlink_request_start(&request, RTM_GETNEIGH, 0, &body, sizeof(body));
    netlink_request_address(&request, NDA_DST, address);
    int refusal = 0;
    int code = netlink_ask(netlink, &request, neighbour_take, &search, &refusal);
    if (code == 0 && refusal == EOPNOTSUPP) {
        /* Kernels before 5.0 tell all of them or none. */
        netlink_request_start(&request, RTM_GETNEIGH, NLM_F_DUMP, &body, sizeof(body));
        code = netlink_ask(netlink, &request, neighbour_take, &search, &refusal);
    }
    if (code != 0)
        return code;
    if (!search.found)
        return -ENOENT;
    memcpy(ret_hardware, search.hardware, HARDWARE_SIZE);
    return 0;
}
