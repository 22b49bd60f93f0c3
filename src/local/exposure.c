/* How far a socket can be reached, from its address and those of the interfaces. */
#include "local/exposure.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(IF_NAMESIZE == 16, "as in exposure.h");

struct exposed_interface {
    char name[IF_NAMESIZE];
    uint32_t index;
    bool up, loopback;
};

struct exposed_address {
    struct address address; /* without a scope */
    uint32_t interface;     /* 0: not known */
};

struct exposure_map {
    struct exposed_interface *interfaces;
    size_t interface_count;
    struct exposed_address *addresses; /* without those that mean loopback everywhere */
    size_t address_count;
    bool connected; /* an interface is up that is not the loopback one */
};

/* ---- reading ---- */

static void take_interface(struct exposure_map *map, const struct ifaddrs *item)
{
    struct sockaddr_ll link;
    memcpy(&link, item->ifa_addr, sizeof(link));
    struct exposed_interface *interface = &map->interfaces[map->interface_count++];
    interface->index = (uint32_t)link.sll_ifindex;
    interface->up = item->ifa_flags & IFF_UP;
    interface->loopback = item->ifa_flags & IFF_LOOPBACK;
    strncpy(interface->name, item->ifa_name, sizeof(interface->name) - 1);
    map->connected = map->connected || (interface->up && !interface->loopback);
}

/* An IPv4 address may have a label in place of the interface's name, as "eth0:1". */
static uint32_t find_name(const struct exposure_map *map, const char *name)
{
    const size_t length = strcspn(name, ":");
    for (size_t i = 0; i < map->interface_count; i++)
        if (strncmp(map->interfaces[i].name, name, length) == 0 &&
            map->interfaces[i].name[length] == '\0')
            return map->interfaces[i].index;
    return 0;
}

static void take_address(struct exposure_map *map, const struct ifaddrs *item)
{
    struct exposed_address *address = &map->addresses[map->address_count];
    if (!address_from_sockaddr(item->ifa_addr, &address->address, NULL) ||
        address_is_loopback(&address->address))
        return;
    address->address.scope = 0;
    address->interface = find_name(map, item->ifa_name);
    map->address_count++;
}

/* Empty, with room for so many. */
static struct exposure_map *make_map(size_t interfaces, size_t addresses)
{
    struct exposure_map *map = calloc(1, sizeof(*map));
    if (!map)
        return NULL;
    map->interfaces = calloc(interfaces + 1, sizeof(*map->interfaces)); /* none is no failure */
    map->addresses = calloc(addresses + 1, sizeof(*map->addresses));
    if (map->interfaces && map->addresses)
        return map;
    exposure_map_free(map);
    return NULL;
}

int exposure_map_new(struct exposure_map **ret_map, struct error *error)
{
    struct ifaddrs *items = NULL;
    if (getifaddrs(&items) != 0) {
        const int code = errno;
        return error_set(error, code, "this machine's interfaces cannot be read: %s",
                         strerror(code));
    }
    size_t count = 0;
    for (const struct ifaddrs *item = items; item; item = item->ifa_next)
        count++;
    struct exposure_map *map = make_map(count, count);
    if (!map) {
        freeifaddrs(items);
        return error_set(error, ENOMEM, "out of memory");
    }
    for (const struct ifaddrs *item = items; item; item = item->ifa_next)
        if (item->ifa_addr && item->ifa_addr->sa_family == AF_PACKET)
            take_interface(map, item);
    for (const struct ifaddrs *item = items; item; item = item->ifa_next)
        if (item->ifa_addr && item->ifa_addr->sa_family != AF_PACKET)
            take_address(map, item);
    freeifaddrs(items);
    *ret_map = map;
    return 0;
}

void exposure_map_free(struct exposure_map *map)
{
    if (!map)
        return;
    free(map->interfaces);
    free(map->addresses);
    free(map);
}

/* ---- as bytes ---- */

/* How many interfaces (32 bits), these, and then addresses to the end. */
struct packed_interface {
    char name[IF_NAMESIZE];
    uint32_t index;
    uint32_t flags;
};

struct packed_address {
    uint32_t interface;
    uint32_t family; /* enum address_family */
    unsigned char value[sizeof(uint128_t)];
};

enum { PACKED_UP = 1, PACKED_LOOPBACK = 2 };

void exposure_map_pack(const struct exposure_map *map, struct buffer *buffer)
{
    const uint32_t count = (uint32_t)map->interface_count;
    buffer_add(buffer, &count, sizeof(count));
    for (size_t i = 0; i < map->interface_count; i++) {
        const struct exposed_interface *interface = &map->interfaces[i];
        struct packed_interface packed = {.index = interface->index};
        memcpy(packed.name, interface->name, sizeof(packed.name));
        packed.flags =
            (interface->up ? PACKED_UP : 0U) | (interface->loopback ? PACKED_LOOPBACK : 0U);
        buffer_add(buffer, &packed, sizeof(packed));
    }
    for (size_t i = 0; i < map->address_count; i++) {
        const struct exposed_address *address = &map->addresses[i];
        struct packed_address packed = {.interface = address->interface,
                                        .family = address->address.family};
        memcpy(packed.value, &address->address.value, sizeof(packed.value));
        buffer_add(buffer, &packed, sizeof(packed));
    }
}

static void unpack_interface(struct exposure_map *map, const char *bytes)
{
    struct packed_interface packed;
    memcpy(&packed, bytes, sizeof(packed));
    struct exposed_interface *interface = &map->interfaces[map->interface_count++];
    memcpy(interface->name, packed.name, sizeof(interface->name) - 1);
    interface->index = packed.index;
    interface->up = packed.flags & PACKED_UP;
    interface->loopback = packed.flags & PACKED_LOOPBACK;
    map->connected = map->connected || (interface->up && !interface->loopback);
}

/* Returns false when it is none. */
static bool unpack_address(struct exposure_map *map, const char *bytes)
{
    struct packed_address packed;
    struct exposed_address address = {0};
    memcpy(&packed, bytes, sizeof(packed));
    if (packed.family != ADDRESS_IPV4 && packed.family != ADDRESS_IPV6)
        return false;
    address.interface = packed.interface;
    address.address.family = (enum address_family)packed.family;
    memcpy(&address.address.value, packed.value, sizeof(packed.value));
    if (address.address.value > address_maximum(address.address.family))
        return false;
    map->addresses[map->address_count++] = address;
    return true;
}

int exposure_map_unpack(const char *bytes, size_t length, struct exposure_map **ret_map)
{
    uint32_t interfaces;
    if (length < sizeof(interfaces))
        return -EBADMSG;
    memcpy(&interfaces, bytes, sizeof(interfaces));
    bytes += sizeof(interfaces);
    length -= sizeof(interfaces);
    if (interfaces > length / sizeof(struct packed_interface))
        return -EBADMSG;
    length -= interfaces * sizeof(struct packed_interface);
    const size_t addresses = length / sizeof(struct packed_address);
    if (length % sizeof(struct packed_address) != 0)
        return -EBADMSG;
    struct exposure_map *map = make_map(interfaces, addresses);
    bool sound = true;
    if (!map)
        return -ENOMEM;
    for (size_t i = 0; i < interfaces; i++, bytes += sizeof(struct packed_interface))
        unpack_interface(map, bytes);
    for (size_t i = 0; i < addresses && sound; i++, bytes += sizeof(struct packed_address))
        sound = unpack_address(map, bytes);
    if (!sound) {
        exposure_map_free(map);
        return -EBADMSG;
    }
    *ret_map = map;
    return 0;
}

/* ---- judging ---- */

static const struct exposed_interface *find_interface(const struct exposure_map *map,
                                                      uint32_t index)
{
    for (size_t i = 0; map && i < map->interface_count; i++)
        if (map->interfaces[i].index == index)
            return &map->interfaces[i];
    return NULL;
}

const char *exposure_interface(const struct exposure_map *map, uint32_t index)
{
    const struct exposed_interface *interface = find_interface(map, index);
    return interface ? interface->name : NULL;
}

static void name_interface(const struct exposure_map *map, uint32_t index,
                           char ret_interface[static IF_NAMESIZE])
{
    const char *name = exposure_interface(map, index);
    if (name)
        memcpy(ret_interface, name, IF_NAMESIZE);
}

/* Which addresses an unspecified one stands for. */
static bool wildcard_takes(const struct socket_entry *entry, const struct address *address)
{
    return address->family == entry->family ||
           (entry->family == ADDRESS_IPV6 && !entry->v6only && address->family == ADDRESS_IPV4);
}

/* Does anybody get an answer from it? What is on an interface that is down is not in use, but the
 * socket's own interface may come up. */
static bool address_counts(const struct exposure_map *map, const struct socket_entry *entry,
                           const struct exposed_address *address)
{
    if (address->interface == entry->interface)
        return true;
    const struct exposed_interface *interface = find_interface(map, address->interface);
    return !interface || interface->up;
}

/* A wildcard that is bound to an interface is reached through that alone, but by any address. */
static enum exposure bound_exposure(const struct exposure_map *map,
                                    const struct socket_entry *entry)
{
    for (size_t i = 0; i < map->address_count; i++) {
        const struct exposed_address *at = &map->addresses[i];
        if (wildcard_takes(entry, &at->address) && !address_is_link_local(&at->address) &&
            address_counts(map, entry, at))
            return EXPOSURE_ADDRESS;
    }
    return EXPOSURE_LINK;
}

/* As far as the farthest of the addresses that it stands for. An address of the loopback interface
 * is reached through the others, too. */
static enum exposure wildcard_exposure(const struct exposure_map *map,
                                       const struct socket_entry *entry,
                                       char ret_interface[static IF_NAMESIZE])
{
    if (!map)
        return entry->interface != 0 ? EXPOSURE_ADDRESS : EXPOSURE_EVERYWHERE;
    if (!map->connected)
        return EXPOSURE_LOOPBACK;
    if (entry->interface != 0)
        return bound_exposure(map, entry);
    enum exposure farthest = EXPOSURE_LOOPBACK;
    uint32_t link = 0;
    bool several = false;
    for (size_t i = 0; i < map->address_count; i++) {
        const struct exposed_address *at = &map->addresses[i];
        if (!wildcard_takes(entry, &at->address))
            continue;
        if (!address_is_link_local(&at->address))
            return EXPOSURE_EVERYWHERE;
        several = several || (link != 0 && link != at->interface);
        link = at->interface;
        farthest = EXPOSURE_LINK;
    }
    if (several)
        return EXPOSURE_EVERYWHERE; /* one link each, but every interface */
    if (farthest == EXPOSURE_LINK)
        name_interface(map, link, ret_interface);
    return farthest;
}

/* Multicast and broadcast that no router forwards: 224.0.0.0/24, ff01:: and ff02:: (RFC 5771,
 * RFC 4291), 255.255.255.255. */
static bool stays_on_link(const struct address *address)
{
    if (address->family == ADDRESS_IPV4)
        return address->value == UINT32_MAX || address->value >> 8 == 0xe00000;
    const unsigned top = (unsigned)(address->value >> 112);
    return (top & 0xff00) == 0xff00 && (top & 0xf) <= 2;
}

enum exposure exposure_of(const struct exposure_map *map, const struct socket_entry *entry,
                          char ret_interface[static 16])
{
    memset(ret_interface, 0, IF_NAMESIZE);
    if (entry->family == ADDRESS_NONE)
        return EXPOSURE_LOOPBACK;
    const struct exposed_interface *bound =
        entry->interface != 0 ? find_interface(map, entry->interface) : NULL;
    name_interface(map, entry->interface, ret_interface);
    struct address local = socket_local(entry);
    local.scope = 0;
    if ((bound && bound->loopback) || address_is_loopback(&local))
        return EXPOSURE_LOOPBACK;
    if (local.value == 0)
        return wildcard_exposure(map, entry, ret_interface);
    for (size_t i = 0; map && !bound && i < map->address_count; i++)
        if (address_equal(&map->addresses[i].address, &local)) {
            name_interface(map, map->addresses[i].interface, ret_interface);
            break;
        }
    if (map && !map->connected)
        return EXPOSURE_LOOPBACK;
    return address_is_link_local(&local) || stays_on_link(&local) ? EXPOSURE_LINK
                                                                  : EXPOSURE_ADDRESS;
}

const char *exposure_words(enum exposure exposure)
{
    switch (exposure) {
    case EXPOSURE_LOOPBACK:
        return "loopback only";
    case EXPOSURE_LINK:
        return "this link only";
    case EXPOSURE_ADDRESS:
        return "one address";
    case EXPOSURE_EVERYWHERE:
        return "every interface";
    }
    return "?";
}
