/* netstat -i: interfaces, and what went through them. */
#include "cmd/netstat_tables.h"

#include "base/text.h"
#include "local/net_tables.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE (4 * IF_NAMESIZE + 1)
#define FLAGS_SIZE 256

/* Interfaces and their addresses. */
struct tables {
    const struct netstat_options *options;
    struct net_interface_list interfaces;
    struct net_address_list addresses;
};

static const char *name_text(const char *name, char text[static NAME_SIZE])
{
    text_escape(name, strlen(name), text, NAME_SIZE);
    return text;
}

/* ---- the table ---- */

static const char *flag_letters(unsigned flags, char text[static FLAGS_SIZE])
{
    static const struct {
        unsigned flag;
        char letter;
    } letters[] = {
        {IFF_ALLMULTI, 'A'},  {IFF_BROADCAST, 'B'},   {IFF_DEBUG, 'D'},      {IFF_LOOPBACK, 'L'},
        {IFF_MULTICAST, 'M'}, {IFF_DYNAMIC, 'd'},     {IFF_NOTRAILERS, 'N'}, {IFF_NOARP, 'O'},
        {IFF_PROMISC, 'P'},   {IFF_POINTOPOINT, 'P'}, {IFF_SLAVE, 's'},      {IFF_MASTER, 'm'},
        {IFF_RUNNING, 'R'},   {IFF_UP, 'U'},
    };
    size_t length = 0;
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (flags & letters[i].flag)
            text[length++] = letters[i].letter;
    text[length] = '\0';
    return length ? text : "[NO FLAGS]";
}

/* An IPv4 address with a name of its own, "eth0:1", looks like an interface. */
static bool is_alias(const struct net_interface *interface,
                     const struct net_interface_address *address)
{
    return address->interface == interface->index && address->label[0] != '\0' &&
           strcmp(address->label, interface->name) != 0;
}

static void print_row(const struct tables *tables, const struct net_interface *interface)
{
    const struct net_interface_counters *in = &interface->received, *out = &interface->sent;
    char name[NAME_SIZE], flags[FLAGS_SIZE];
    flag_letters(interface->flags, flags);
    printf("%-16s%5u %8" PRIu64 " %6" PRIu64 " %6" PRIu64 " %-6" PRIu64 " %8" PRIu64 " %6" PRIu64
           " %6" PRIu64 " %6" PRIu64 " %s\n",
           name_text(interface->name, name), interface->mtu, in->packets, in->errors, in->dropped,
           in->overruns, out->packets, out->errors, out->dropped, out->overruns,
           flag_letters(interface->flags, flags));
    for (size_t i = 0; i < tables->addresses.count; i++)
        if (is_alias(interface, &tables->addresses.items[i]))
            printf("%-16s%5u      - no statistics available -                        %s\n",
                   name_text(tables->addresses.items[i].label, name), interface->mtu,
                   flag_letters(interface->flags, flags));
}

/* ---- all that is known of each: as ifconfig has it ---- */

static void print_flags(unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {
        {IFF_UP, "UP"},
        {IFF_BROADCAST, "BROADCAST"},
        {IFF_DEBUG, "DEBUG"},
        {IFF_LOOPBACK, "LOOPBACK"},
        {IFF_POINTOPOINT, "POINTOPOINT"},
        {IFF_NOTRAILERS, "NOTRAILERS"},
        {IFF_RUNNING, "RUNNING"},
        {IFF_NOARP, "NOARP"},
        {IFF_PROMISC, "PROMISC"},
        {IFF_ALLMULTI, "ALLMULTI"},
        {IFF_SLAVE, "SLAVE"},
        {IFF_MASTER, "MASTER"},
        {IFF_MULTICAST, "MULTICAST"},
        {IFF_DYNAMIC, "DYNAMIC"},
    };
    const char *before = "<";
    printf("flags=%u", flags & UINT16_MAX);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].flag) {
            printf("%s%s", before, names[i].name);
            before = ",";
        }
    fputs(before[0] == '<' ? "<>" : ">", stdout);
}

static const char *address_text(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    const struct address plain = {.value = address->value,
                                  .family = address->family ? address->family : ADDRESS_IPV4};
    return address_format(&plain, text);
}

static void print_ipv4(const struct net_interface *interface,
                       const struct net_interface_address *address)
{
    char text[ADDRESS_TEXT_SIZE], mask_text[ADDRESS_TEXT_SIZE], other[ADDRESS_TEXT_SIZE];
    const struct address mask = {
        .family = ADDRESS_IPV4,
        .value = address->bits ? (UINT32_MAX << (32 - address->bits)) & UINT32_MAX : 0};
    printf("        inet %s  netmask %s", address_text(&address->address, text),
           address_text(&mask, mask_text));
    if (interface->flags & IFF_BROADCAST)
        printf("  broadcast %s", address_text(&address->broadcast, other));
    if (interface->flags & IFF_POINTOPOINT)
        printf("  destination %s",
               address_text(address->peer.family ? &address->peer : &address->address, other));
    putchar('\n');
}

static const char *scope_text(const struct address *address)
{
    const unsigned top = (unsigned)(address->value >> 112);
    return address_is_loopback(address)                      ? "0x10<host>"
           : address_is_link_local(address)                  ? "0x20<link>"
           : (top & 0xffc0) == 0xfec0                        ? "0x40<site>"
           : address->value >> 32 == 0 && address->value > 1 ? "0x80<compat>"
                                                             : "0x0<global>";
}

static void print_hardware(const struct net_interface *interface)
{
    const unsigned char *bytes = interface->hardware;
    const char *name = "unspec", *meaning = "UNSPEC";
    switch (interface->type) {
    case ARPHRD_ETHER:
        printf("        ether %02x:%02x:%02x:%02x:%02x:%02x  txqueuelen %u  (Ethernet)\n", bytes[0],
               bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], interface->queue);
        return;
    case ARPHRD_LOOPBACK:
        name = "loop";
        meaning = "Local Loopback";
        break;
    case ARPHRD_PPP:
        name = "ppp";
        meaning = "Point-to-Point Protocol";
        break;
    case ARPHRD_SIT:
        name = "sit";
        meaning = "IPv6-in-IPv4";
        break;
    case ARPHRD_TUNNEL:
        name = "tunnel ";
        meaning = "IPIP Tunnel";
        break;
    default:
        break;
    }
    printf("        %s", name);
    for (size_t i = 0; strcmp(name, "unspec") == 0 && i < 16; i++)
        printf("%c%02X", i == 0 ? ' ' : '-', bytes[i]);
    printf("  txqueuelen %u  (%s)\n", interface->queue, meaning);
}

/* "42.7 MiB": cut, not rounded. */
static void print_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    while (unit + 1 < sizeof(units) / sizeof(units[0]) && bytes >> (10 * (unit + 1)) != 0)
        unit++;
    const uint64_t whole = bytes >> (10 * unit);
    const uint64_t rest = bytes - (whole << (10 * unit));
    const uint64_t tenth = unit == 0 ? 0 : (rest >> (10 * (unit - 1))) * 10 / 1024;
    printf("bytes %" PRIu64 " (%" PRIu64 ".%" PRIu64 " %s)\n", bytes, whole, tenth, units[unit]);
}

static void print_traffic(const struct net_interface *interface)
{
    const struct net_interface_counters *in = &interface->received, *out = &interface->sent;
    printf("        RX packets %" PRIu64 "  ", in->packets);
    print_bytes(in->bytes);
    printf("        RX errors %" PRIu64 "  dropped %" PRIu64 "  overruns %" PRIu64
           "  frame %" PRIu64 "\n",
           in->errors, in->dropped, in->overruns, in->frame);
    printf("        TX packets %" PRIu64 "  ", out->packets);
    print_bytes(out->bytes);
    printf("        TX errors %" PRIu64 "  dropped %" PRIu64 " overruns %" PRIu64
           "  carrier %" PRIu64 "  collisions %" PRIu64 "\n",
           out->errors, out->dropped, out->overruns, out->carrier, out->collisions);
}

static void print_head(const struct net_interface *interface, const char *label)
{
    char name[NAME_SIZE];
    printf("%s: ", name_text(label, name));
    print_flags(interface->flags);
    printf("  mtu %u\n", interface->mtu);
}

static void print_whole(const struct tables *tables, const struct net_interface *interface)
{
    const struct net_address_list *addresses = &tables->addresses;
    char text[ADDRESS_TEXT_SIZE];
    print_head(interface, interface->name);
    for (size_t i = 0; i < addresses->count; i++)
        if (addresses->items[i].interface == interface->index &&
            addresses->items[i].address.family == ADDRESS_IPV4 &&
            !is_alias(interface, &addresses->items[i]))
            print_ipv4(interface, &addresses->items[i]);
    for (size_t i = 0; i < addresses->count; i++) {
        const struct net_interface_address *address = &addresses->items[i];
        if (address->interface == interface->index && address->address.family == ADDRESS_IPV6)
            printf("        inet6 %s  prefixlen %u  scopeid %s\n",
                   address_text(&address->address, text), address->bits,
                   scope_text(&address->address));
    }
    print_hardware(interface);
    print_traffic(interface);
    putchar('\n');
    for (size_t i = 0; i < addresses->count; i++)
        if (is_alias(interface, &addresses->items[i])) {
            print_head(interface, addresses->items[i].label);
            print_ipv4(interface, &addresses->items[i]);
            print_hardware(interface);
            putchar('\n');
        }
}

/* ---- all of them ---- */

static bool is_wanted(const struct netstat_options *options, const struct net_interface *interface)
{
    return options->interface ? strcmp(options->interface, interface->name) == 0
                              : options->all || interface->flags & IFF_UP;
}

static int print_interfaces(const struct tables *tables, struct error *error)
{
    const struct netstat_options *options = tables->options;
    size_t count = 0;
    printf("Kernel Interface table\n");
    if (!options->extend)
        printf("Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR "
               "Flg\n");
    for (size_t i = 0; i < tables->interfaces.count && !ferror(stdout); i++) {
        const struct net_interface *interface = &tables->interfaces.items[i];
        if (!is_wanted(options, interface))
            continue;
        count++;
        if (options->extend)
            print_whole(tables, interface);
        else
            print_row(tables, interface);
    }
    if (options->interface && count == 0)
        return error_set(error, ENODEV, "there is no interface '%.40s'", options->interface);
    return 0;
}

int netstat_interfaces(const struct netstat_options *options, struct error *error)
{
    struct tables tables = {.options = options};
    int failed = net_interfaces_list(&tables.interfaces, error);
    if (!failed)
        failed = net_addresses_list(&tables.addresses, error);
    if (!failed)
        failed = print_interfaces(&tables, error);
    net_addresses_release(&tables.addresses);
    net_interfaces_release(&tables.interfaces);
    return failed;
}
