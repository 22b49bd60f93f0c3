/* The kernel's tables of routes, interfaces and their addresses, whole: what `netstat -r` and `-i`
 * show. Of the calling thread's network namespace, over rtnetlink(7). */
#pragma once

#include "base/error.h"
#include "net/address.h"

#include <net/if.h>

#define NET_HARDWARE_SIZE 32 /* the longest that the kernel knows (MAX_ADDR_LEN) */

struct net_route {
    struct address destination; /* the value is 0 for the default route */
    struct address gateway;     /* ADDRESS_NONE: the destination is on the link itself. Of the other
                                   family, too (RFC 5549) */
    unsigned bits;              /* of the prefix */
    uint32_t interface;         /* 0: none, as of a blackhole */
    uint32_t table;             /* RT_TABLE_MAIN, RT_TABLE_LOCAL … (linux/rtnetlink.h) */
    uint32_t metric;
    uint32_t advmss, window, rtt_ms; /* 0: not set */
    uint32_t references, uses;       /* as far as the kernel tells */
    unsigned char type;              /* RTN_UNICAST, RTN_LOCAL, RTN_UNREACHABLE … */
    unsigned char protocol;          /* who made it: RTPROT_KERNEL, RTPROT_RA … */
    bool expires;
};

struct net_route_list {
    struct net_route *items;
    size_t count;
};

/* Those of all tables, in the kernel's order; one with several next hops is one for each. Returns 0
 * or -errno with an error. A kernel without IPv6 has none. */
int net_routes_list(enum address_family family, struct net_route_list *ret_list,
                    struct error *error);
void net_routes_release(struct net_route_list *list);

struct net_interface {
    uint32_t index, mtu;
    uint32_t queue;      /* packets that may wait for the device */
    unsigned flags;      /* IFF_UP, … (net/if.h) */
    unsigned short type; /* ARPHRD_ETHER, … (net/if_arp.h) */
    unsigned char hardware_length;
    unsigned char hardware[NET_HARDWARE_SIZE];
    char name[IF_NAMESIZE]; /* hostile: any bytes but blanks, "/" and ":" */

    /* What went through it since it is there, as /proc/net/dev counts. */
    struct net_interface_counters {
        uint64_t packets, bytes, errors, dropped, overruns;
        uint64_t frame;               /* received, and not as a frame has to be */
        uint64_t carrier, collisions; /* sent */
    } received, sent;
};

struct net_interface_list {
    struct net_interface *items; /* by name, numbers at its end by value: eth2 before eth10 */
    size_t count;
};

int net_interfaces_list(struct net_interface_list *ret_list, struct error *error);
void net_interfaces_release(struct net_interface_list *list);

/* An address of an interface. */
struct net_interface_address {
    uint32_t interface;
    unsigned bits;
    struct address address, peer; /* `peer`: of a link to one host only; else ADDRESS_NONE */
    struct address broadcast;     /* ADDRESS_NONE: not set */
    unsigned char scope;          /* RT_SCOPE_UNIVERSE, RT_SCOPE_LINK … */
    char label[IF_NAMESIZE];      /* of IPv4: the interface's name, or an alias, "eth0:1" */
};

struct net_address_list {
    struct net_interface_address *items; /* in the kernel's order */
    size_t count;
};

int net_addresses_list(struct net_address_list *ret_list, struct error *error);
void net_addresses_release(struct net_address_list *list);
