/* Fuzzing of neighbours_hear(): of whatever comes, only what a packet says of an address that was
 * asked for is learned, and once. The first byte of the input names the protocol and the
 * interface. */
#include "probe/neighbour.h"

#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL 0x03
#define OTHER_INTERFACE 0x80
#define LOOPBACK 1 /* an interface whose neighbours the kernel knows nothing of */
#define ENTRIES 4

static const uint16_t protocols[] = {ETH_P_ARP, ETH_P_IPV6, ETH_P_IP, 0};

/* fuzz/make_corpus.py knows them as well. */
static const struct address asked[ENTRIES] = {
    {.family = ADDRESS_IPV4, .value = 0xc6120707},
    {.family = ADDRESS_IPV4, .value = 0xc6120708},
    {.family = ADDRESS_IPV6, .value = (unsigned __int128)0xfd00 << 112 | 0xcc654321},
    {.family = ADDRESS_IPV6, .value = (unsigned __int128)0xfe80 << 112 | 1},
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* A table in which all four are asked for, made anew for each input. */
static void make_table(struct neighbours *table)
{
    static struct routes *routes; /* the kernel is asked once */
    static struct neighbour kept[ENTRIES];
    static struct neighbours master;
    static const struct route route = {.interface.index = LOOPBACK};
    if (!routes) {
        require(routes_open(0, &routes, NULL) == 0);
        for (size_t i = 0; i < ENTRIES; i++)
            require(neighbours_find(&master, routes, &route, &asked[i]) != NULL);
        memcpy(kept, master.items, sizeof(kept));
    }
    memcpy(master.items, kept, sizeof(kept));
    *table = master;
}

static bool contains(const uint8_t *bytes, size_t length, const void *part, size_t size)
{
    return memmem(bytes, length, part, size) != NULL;
}

static void require_said(const struct neighbour *item, const uint8_t *bytes, size_t length)
{
    unsigned char address[16];
    const size_t size = address_bits(&item->address) / 8;
    for (size_t i = 0; i < size; i++)
        address[i] = (unsigned char)(item->address.value >> 8 * (size - 1 - i));
    require(!(item->hardware[0] & 1));
    require(contains(bytes, length, address, size));
    require(contains(bytes, length, item->hardware, HARDWARE_SIZE));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct neighbours table;
    uint64_t changes = 0, waiting = 0;
    if (length < 1)
        return 0;
    const uint16_t protocol = protocols[*bytes & PROTOCOL];
    const uint32_t interface = *bytes & OTHER_INTERFACE ? LOOPBACK + 1 : LOOPBACK;
    unsigned char *packet = malloc(--length ? length : 1); /* ends where the packet ends */
    require(packet);
    memcpy(packet, bytes + 1, length);
    make_table(&table);
    const bool taken = neighbours_hear(&table, protocol, interface, packet, length, 7);
    require(taken == (protocol == ETH_P_ARP) || protocol == ETH_P_IPV6);
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct neighbour *item = &table.items[i];
        waiting += item->state == NEIGHBOUR_ASKED;
        if (item->state == NEIGHBOUR_ASKED)
            continue;
        changes++;
        require(taken && interface == LOOPBACK && item->state == NEIGHBOUR_KNOWN);
        require((protocol == ETH_P_ARP) == (item->address.family == ADDRESS_IPV4));
        require_said(item, packet, length);
    }
    require(table.waiting == waiting && table.changes == changes && changes <= 1);
    free(packet);
    return 0;
}
