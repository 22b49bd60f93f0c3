/* The hardware addresses of next hops on Ethernet: asked for by ARP (RFC 826) and neighbour
 * solicitations (RFC 4861 §7.2) of our own, so that a scan of many neighbours does not depend on
 * the room in the kernel's table. Pure but for the kernel's table, which is asked first: packets go
 * in and out as bytes. */
#pragma once

#include "net/route.h"

enum neighbour_state {
    NEIGHBOUR_ASKED,   /* waits for an answer */
    NEIGHBOUR_KNOWN,   /* `hardware` holds */
    NEIGHBOUR_MISSING, /* nobody answered */
};

struct neighbour {
    struct address address;
    uint32_t interface;
    enum neighbour_state state;
    unsigned char hardware[HARDWARE_SIZE];
    uint8_t tries;
    uint64_t due;   /* monotonic: when it is asked again, or given up */
    uint64_t known; /* monotonic: when the answer came; 0: it was known before */
    const struct route *route;
    struct address source; /* that asks; of the address's family */

    /* For whoever sends the requests: whether one has left, and the positive errno with which
     * another could not. That nobody answers says something only when somebody was asked. */
    bool left;
    int code;
};

struct neighbours {
    struct neighbour *items; /* in the order in which they were asked for; none ever leaves */
    size_t count;
    size_t waiting;   /* of them are in the state NEIGHBOUR_ASKED, */
    size_t first;     /* and none before this one */
    uint64_t changes; /* how often a state has changed */
    /* Private. */
    size_t capacity;
    uint32_t *slots; /* open addressing: item + 1, or 0 */
    size_t slot_count;
};

#define NEIGHBOUR_TRIES 3
#define NEIGHBOUR_PACKET 72 /* bytes: the longest request */

/* Zero-initialised is empty. */
void neighbours_release(struct neighbours *neighbours);

/* The entry of a next hop, made when it is new, and then known already if the kernel knows it.
 * Returns NULL without memory. Valid until the next call. */
struct neighbour *neighbours_find(struct neighbours *neighbours, struct routes *routes,
                                  const struct route *route, const struct address *next_hop);

/* The entry of an address that is there already, or NULL. */
const struct neighbour *neighbours_get(const struct neighbours *neighbours,
                                       const struct address *address, uint32_t interface);

/* Writes the request that asks for the entry and the hardware address that it goes to. Returns its
 * length. */
size_t neighbour_request(const struct neighbour *neighbour, unsigned char bytes[NEIGHBOUR_PACKET],
                         unsigned char ret_hardware[HARDWARE_SIZE]);

/* The next entry that is to be asked (again) now, or NULL; those that have been asked often enough
 * become missing instead. */
struct neighbour *neighbours_due(struct neighbours *neighbours, uint64_t now);

/* Takes an ARP packet, or an IPv6 one that may be a neighbour advertisement, from an interface.
 * Returns whether it was one. */
bool neighbours_hear(struct neighbours *neighbours, uint16_t protocol, uint32_t interface,
                     const void *bytes, size_t length, uint64_t now);
