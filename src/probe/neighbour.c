/* ARP and neighbour discovery: the table of next hops, its questions and their answers. */
#include "probe/neighbour.h"

#include "base/clock.h"
#include "base/random.h"
#include "net/bytes.h"
#include "net/packet.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WAIT (150 * NANOSECONDS_PER_MILLISECOND) /* doubled by each try */

/* ---- the table ---- */

void neighbours_release(struct neighbours *neighbours)
{
    free(neighbours->items);
    free(neighbours->slots);
    *neighbours = (struct neighbours){0};
}

static uint64_t hash(const struct address *address, uint32_t interface)
{
    return mix64((uint64_t)address->value ^ mix64((uint64_t)(address->value >> 64) + interface));
}

/* The slot of the entry, or the free one where it belongs. */
static uint32_t *find_slot(const struct neighbours *neighbours, const struct address *address,
                           uint32_t interface)
{
    size_t mask = neighbours->slot_count - 1;
    for (size_t at = hash(address, interface) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &neighbours->slots[at];
        const struct neighbour *item = *slot ? &neighbours->items[*slot - 1] : NULL;
        if (!item || (item->interface == interface && item->address.value == address->value &&
                      item->address.family == address->family))
            return slot;
    }
}

static int grow(struct neighbours *neighbours)
{
    size_t capacity = neighbours->capacity ? 2 * neighbours->capacity : 64;
    if (capacity > UINT32_MAX / 4)
        return -ENOMEM;
    struct neighbour *items = reallocarray(neighbours->items, capacity, sizeof(*items));
    if (!items)
        return -ENOMEM;
    neighbours->items = items;
    uint32_t *slots = calloc(2 * capacity, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(neighbours->slots);
    neighbours->slots = slots;
    neighbours->slot_count = 2 * capacity;
    neighbours->capacity = capacity;
    for (uint32_t i = 0; i < neighbours->count; i++)
        *find_slot(neighbours, &items[i].address, items[i].interface) = i + 1;
    return 0;
}

/* The route's own source, but for a next hop of the other family (RFC 5549). */
static struct address find_source(struct routes *routes, const struct route *route,
                                  const struct address *next_hop)
{
    if (route->source.family == next_hop->family)
        return route->source;
    struct address hop = *next_hop;
    hop.scope = route->interface.index;
    const struct route *to_it = routes_find(routes, &hop);
    if (to_it && !to_it->code)
        return to_it->source;
    return (struct address){.family = next_hop->family};
}

struct neighbour *neighbours_find(struct neighbours *neighbours, struct routes *routes,
                                  const struct route *route, const struct address *next_hop)
{
    uint32_t interface = route->interface.index;
    uint32_t found = neighbours->count ? *find_slot(neighbours, next_hop, interface) : 0;
    if (found)
        return &neighbours->items[found - 1];
    if (neighbours->count == neighbours->capacity && grow(neighbours) < 0)
        return NULL;
    struct neighbour *item = &neighbours->items[neighbours->count++];
    *item = (struct neighbour){
        .address = *next_hop,
        .interface = interface,
        .route = route,
        .source = find_source(routes, route, next_hop),
        .state = NEIGHBOUR_ASKED,
    };
    *find_slot(neighbours, next_hop, interface) = (uint32_t)neighbours->count;
    if (routes_neighbour(routes, interface, next_hop, item->hardware))
        item->state = NEIGHBOUR_KNOWN;
    else
        neighbours->waiting++;
    return item;
}

const struct neighbour *neighbours_get(const struct neighbours *neighbours,
                                       const struct address *address, uint32_t interface)
{
    uint32_t found = neighbours->count ? *find_slot(neighbours, address, interface) : 0;
    return found ? &neighbours->items[found - 1] : NULL;
}

static void settle(struct neighbours *neighbours, struct neighbour *item,
                   enum neighbour_state state)
{
    item->state = state;
    neighbours->waiting--;
    neighbours->changes++;
}

struct neighbour *neighbours_due(struct neighbours *neighbours, uint64_t now)
{
    while (neighbours->first < neighbours->count &&
           neighbours->items[neighbours->first].state != NEIGHBOUR_ASKED)
        neighbours->first++;
    for (size_t i = neighbours->first; neighbours->waiting && i < neighbours->count; i++) {
        struct neighbour *item = &neighbours->items[i];
        if (item->state != NEIGHBOUR_ASKED || item->due > now)
            continue;
        if (item->tries < NEIGHBOUR_TRIES) {
            item->due = now + (FIRST_WAIT << item->tries);
            item->tries++;
            return item;
        }
        settle(neighbours, item, NEIGHBOUR_MISSING);
    }
    return NULL;
}

/* ---- questions ---- */

static void store_address(const struct address *address, unsigned char *bytes)
{
    unsigned length = address_bits(address) / 8;
    for (unsigned i = 0; i < length; i++)
        bytes[i] = (unsigned char)(address->value >> 8 * (length - 1 - i));
}

static size_t arp_request(const struct neighbour *neighbour, unsigned char *bytes,
                          unsigned char *ret_hardware)
{
    static const unsigned char head[] = {
        0, ARPHRD_ETHER, ETH_P_IP >> 8, ETH_P_IP & 0xff, HARDWARE_SIZE, 4, 0, ARPOP_REQUEST};
    memcpy(bytes, head, sizeof(head));
    memcpy(bytes + 8, neighbour->route->interface.hardware, HARDWARE_SIZE);
    store_address(&neighbour->source, bytes + 14);
    memset(bytes + 18, 0, HARDWARE_SIZE);
    store_address(&neighbour->address, bytes + 24);
    memset(ret_hardware, 0xff, HARDWARE_SIZE);
    return 28;
}

/* To the solicited-node multicast address (RFC 4291 §2.7.1) and its Ethernet one (RFC 2464 §7). */
static size_t solicitation(const struct neighbour *neighbour, unsigned char *bytes,
                           unsigned char *ret_hardware)
{
    static const unsigned char head[8] = {0x60, 0, 0, 0, 0, 32, IPPROTO_ICMPV6, 255};
    static const unsigned char group[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    static const unsigned char upper[8] = {0, 0, 0, 32, 0, 0, 0, IPPROTO_ICMPV6};
    memset(bytes, 0, NEIGHBOUR_PACKET);
    memcpy(bytes, head, sizeof(head));
    store_address(&neighbour->source, bytes + 8);
    store_address(&neighbour->address, bytes + 48);
    memcpy(bytes + 24, group, sizeof(group));
    memcpy(bytes + 37, bytes + 61, 3);
    bytes[40] = ND_NEIGHBOR_SOLICIT;
    bytes[64] = ND_OPT_SOURCE_LINKADDR;
    bytes[65] = 1; /* times eight bytes */
    memcpy(bytes + 66, neighbour->route->interface.hardware, HARDWARE_SIZE);
    uint64_t sum = internet_sum(upper, sizeof(upper), 0);
    uint16_t checksum = internet_fold(internet_sum(bytes + 8, 64, sum));
    memcpy(bytes + 42, &checksum, sizeof(checksum));
    ret_hardware[0] = ret_hardware[1] = 0x33;
    memcpy(ret_hardware + 2, bytes + 36, 4);
    return 72;
}

size_t neighbour_request(const struct neighbour *neighbour, unsigned char bytes[NEIGHBOUR_PACKET],
                         unsigned char ret_hardware[HARDWARE_SIZE])
{
    return neighbour->address.family == ADDRESS_IPV4 ? arp_request(neighbour, bytes, ret_hardware)
                                                     : solicitation(neighbour, bytes, ret_hardware);
}

/* ---- answers ---- */

static void learn(struct neighbours *neighbours, const struct address *address, uint32_t interface,
                  const unsigned char *hardware, uint64_t now)
{
    uint32_t found = neighbours->count ? *find_slot(neighbours, address, interface) : 0;
    struct neighbour *item = found ? &neighbours->items[found - 1] : NULL;
    if (!item || item->state == NEIGHBOUR_KNOWN || hardware[0] & 1) /* a group is no neighbour */
        return;
    if (item->state == NEIGHBOUR_MISSING)
        neighbours->waiting++; /* it is found after all */
    memcpy(item->hardware, hardware, HARDWARE_SIZE);
    item->known = now;
    settle(neighbours, item, NEIGHBOUR_KNOWN);
}

static void hear_arp(struct neighbours *neighbours, uint32_t interface, struct bytes bytes,
                     uint64_t now)
{
    struct address address = {.family = ADDRESS_IPV4};
    bool fits = bytes_u16(&bytes) == ARPHRD_ETHER && bytes_u16(&bytes) == ETH_P_IP &&
                bytes_u8(&bytes) == HARDWARE_SIZE && bytes_u8(&bytes) == 4 &&
                bytes_u16(&bytes) == ARPOP_REPLY;
    const unsigned char *hardware = bytes.at;
    bytes_skip(&bytes, HARDWARE_SIZE);
    address.value = bytes_u32(&bytes);
    if (fits && !bytes.cut)
        learn(neighbours, &address, interface, hardware, now);
}

/* RFC 4861 §7.1.2: a hop limit of 255 says that it comes from this very link. */
static bool hear_advertisement(struct neighbours *neighbours, uint32_t interface,
                               const void *packet, size_t length, uint64_t now)
{
    struct ip_view ip;
    struct address target = {.family = ADDRESS_IPV6};
    const struct bytes whole = bytes_of(packet, length);
    /* Quick, because every IPv6 packet comes by here. */
    if (length < 64 || whole.at[6] != IPPROTO_ICMPV6 || whole.at[40] != ND_NEIGHBOR_ADVERT)
        return false;
    if (!ip_view_parse(packet, length, true, &ip) || ip.ttl != 255 || ip.length < 24)
        return true;
    struct bytes bytes = bytes_of(ip.payload, ip.length);
    bytes_skip(&bytes, 8);
    for (int i = 0; i < 4; i++)
        target.value = target.value << 32 | bytes_u32(&bytes);
    while (bytes_left(&bytes) >= 8) {
        uint8_t type = bytes_u8(&bytes);
        size_t size = (size_t)bytes_u8(&bytes) * 8;
        if (size < 8)
            break;
        if (type == ND_OPT_TARGET_LINKADDR && bytes_left(&bytes) >= HARDWARE_SIZE)
            learn(neighbours, &target, interface, bytes.at, now);
        bytes_skip(&bytes, size - 2);
    }
    return true;
}

bool neighbours_hear(struct neighbours *neighbours, uint16_t protocol, uint32_t interface,
                     const void *bytes, size_t length, uint64_t now)
{
    if (protocol == ETH_P_ARP) {
        hear_arp(neighbours, interface, bytes_of(bytes, length), now);
        return true;
    }
    return protocol == ETH_P_IPV6 && hear_advertisement(neighbours, interface, bytes, length, now);
}
