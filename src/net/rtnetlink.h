/* What the kernel tells of interfaces, prefixes, routes and neighbours (rtnetlink(7)). Private to
 * src/net. */
#pragma once

#include "net/netlink.h"
#include "net/route.h"
#include "net/stretches.h"

/* Zero-initialised is empty. */
struct interface_list {
    struct interface *items;
    size_t count;
};

void interface_list_release(struct interface_list *list);
const struct interface *interface_list_find(const struct interface_list *list, uint32_t index);

/* Reads the interface `index`, or all of them when it is 0, into the list. Returns 0 or -errno;
 * one that is not there is no error. */
int rtnetlink_interfaces(struct netlink *netlink, uint32_t index, struct interface_list *list);

/* What decides about routes: cuts at the ends of every prefix in it. */
struct route_map {
    struct stretches ipv4, ipv6;
    bool ipv4_by_source; /* there are rules about source addresses */
    bool ipv6_by_source; /* there are rules or routes about them */
};

int rtnetlink_map(struct netlink *netlink, struct route_map *map);

struct route_question {
    struct address to;
    struct address source; /* ADDRESS_NONE: the kernel chooses */
    uint32_t interface;    /* 0: the kernel chooses */
};

struct route_answer {
    int code; /* as in struct route; the rest holds when it is 0 */
    uint32_t interface;
    struct address source, gateway; /* ADDRESS_NONE when the kernel says none */
    bool local;
};

int rtnetlink_route(struct netlink *netlink, const struct route_question *question,
                    struct route_answer *ret_answer);

/* Returns 0, -ENOENT when the kernel is sure of no hardware address, or -errno. */
int rtnetlink_neighbour(struct netlink *netlink, uint32_t interface, const struct address *address,
                        unsigned char ret_hardware[HARDWARE_SIZE]);
