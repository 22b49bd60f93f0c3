/* Which way the kernel would send a packet: interface, source address and next hop of a
 * destination, asked over netlink (rtnetlink(7)).
 *
 * The kernel is asked about one address of each stretch of addresses in which its answer cannot
 * change: the stretches end where a prefix of any of its routing tables, or a rule about
 * destinations, begins or ends, and for IPv6 also where the choice of the source address can
 * change. So its whole policy for TCP holds for every packet at the price of a few questions, but
 * for rules about ports and marks: it is asked without either. An answer holds until the routes are
 * closed, and of several next hops it is the one that the kernel named. */
#pragma once

#include "net/address.h"

#include <net/if.h>

#define HARDWARE_SIZE 6 /* Ethernet */

struct interface {
    uint32_t index;
    char name[IF_NAMESIZE];
    unsigned short type; /* ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE, … (net/if_arp.h) */
    unsigned flags;      /* IFF_UP, IFF_NOARP, … (net/if.h) */
    uint32_t mtu;
    unsigned char hardware[HARDWARE_SIZE]; /* of ARPHRD_ETHER */
};

struct route {
    int code; /* 0, or the positive errno with which connect() would fail: ENETUNREACH (also for
                 broadcast and multicast addresses), EACCES, EHOSTUNREACH, EINVAL (a blackhole, or a
                 link-local address without its interface), …; EADDRNOTAVAIL where the kernel has no
                 source address to give, EOPNOTSUPP of routes that wrap packets up (MPLS). Nothing
                 below holds unless it is 0 */
    struct interface interface; /* the packet leaves by it */
    struct address source;      /* that the kernel would give it; without a scope */
    struct address gateway;     /* ADDRESS_NONE: the destination is on the link itself. It may be of
                                   the other family (RFC 5549), and has no scope */
    bool local;                 /* the destination is this machine */
};

struct routes;

/* Opens the netlink socket and reads the prefixes. `interface` is 0, or the index of one that
 * packets must leave by. Returns 0 or -errno with an error. */
int routes_open(uint32_t interface, struct routes **ret_routes, struct error *error);
void routes_close(struct routes *routes);

/* The route to `to`, owned by `routes` and valid until routes_close(): cached by stretch. A scoped
 * `to` leaves by its own interface. Returns NULL only without memory, or when the netlink socket
 * fails. */
const struct route *routes_find(struct routes *routes, const struct address *to);

/* The same, with the last address value to which the same answer applies; of unscoped addresses. */
const struct route *routes_find_stretch(struct routes *routes, const struct address *to,
                                        uint128_t *ret_last);

/* What the kernel's neighbour table (ARP, RFC 826, and neighbour discovery, RFC 4861) knows of
 * `address` on an interface. Returns false when it is not sure now of a hardware address. */
bool routes_neighbour(struct routes *routes, uint32_t interface, const struct address *address,
                      unsigned char ret_hardware[HARDWARE_SIZE]);
