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

int exposure_map_new(struct exposure_map **ret_map, struct error *error)
{
    struct ifaddrs *items = NULL;
    if (getifaddrs(&items) != 0) {
        const int code = errno;
        return error_set(error, code, "this machine's interfaces cannot be read: %s",
                         strerror(code));
    }
    size_t count = 1; /* so that none is no failure */
    for (const struct ifaddrs *item = items; item; item = item->ifa_next)
        count++;
    struct exposure_map *map = calloc(1, sizeof(*map));
    if (map) {
        map->interfaces = calloc(count, sizeof(*map->interfaces));
        map->addresses = calloc(count, sizeof(*map->addresses));
    }
    if (!map || !map->interfaces || !map->addresses) {
        exposure_map_free(map);
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
    enum exposure farthest = entry->interface != 0 ? EXPOSURE_LINK : EXPOSURE_LOOPBACK;
    uint32_t link = 0;
    bool several = false;
    for (size_t i = 0; i < map->address_count; i++) {
        const struct exposed_address *at = &map->addresses[i];
        if (!wildcard_takes(entry, &at->address) ||
            (entry->interface != 0 && at->interface != entry->interface))
            continue;
        if (!address_is_link_local(&at->address))
            return entry->interface != 0 ? EXPOSURE_ADDRESS : EXPOSURE_EVERYWHERE;
        several = several || (link != 0 && link != at->interface);
        link = at->interface;
        farthest = EXPOSURE_LINK;
    }
    if (several)
        return EXPOSURE_EVERYWHERE; /* one link each, but every interface */
    if (farthest == EXPOSURE_LINK && entry->interface == 0)
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
