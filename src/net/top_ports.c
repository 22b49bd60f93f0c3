/* port_set_add_top(): all ports in the order of how often they are open. What data/top-ports.txt
 * ranks comes first; the rules here, explained in docs/ports.md, order the rest. */
#include "net/port_bits.h"
#include "net/service_table.h"

#include <errno.h>

struct ranking {
    struct port_bits taken;
    uint32_t left; /* to be taken still */
};

/* The next port of the ranking, unless it was ranked already. */
static void take(struct ranking *ranking, uint32_t number)
{
    struct port port = {PROTOCOL_TCP, (uint16_t)number};
    if (ranking->left && !port_bits_has(&ranking->taken, port)) {
        port_bits_put(&ranking->taken, port);
        ranking->left--;
    }
}

static void take_range(struct ranking *ranking, uint32_t first, uint32_t last)
{
    for (uint32_t number = first; number <= last; number++)
        take(ranking, number);
}

/* What IANA has registered for TCP. This machine's /etc/services has no say: --top 1000 means the
 * same ports everywhere. */
static void take_registered(struct ranking *ranking, uint32_t first, uint32_t last)
{
    for (uint32_t i = 0; i < service_count; i++)
        if (service_ports[i] >= first && service_ports[i] <= last &&
            SERVICE_ROW_PROTOCOLS(service_rows[i]) & 1u << PROTOCOL_TCP)
            take(ranking, service_ports[i]);
}

/* Where people put a second or third server of a kind. */
static void take_alternates(struct ranking *ranking)
{
    take_range(ranking, 8000, 8099);
    take_range(ranking, 9000, 9099);
    take_range(ranking, 8440, 8449);
    take_range(ranking, 3000, 3010);
    take_range(ranking, 5000, 5010);
    take_range(ranking, 10000, 10010);
    static const uint16_t endings[] = {0, 22, 80, 443}; /* 2022, 7080, 12443 … */
    for (uint32_t thousand = 1000; thousand <= 65000; thousand += 1000)
        for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
            take(ranking, thousand + endings[i]);
    for (uint32_t digit = 1; digit <= 9; digit++) /* 1111 … 9999 */
        take(ranking, digit * 1111);
    for (uint32_t digit = 1; digit <= 5; digit++) /* 11111 … 55555 */
        take(ranking, digit * 11111);
}

int port_set_add_top(struct port_set *set, uint32_t count)
{
    if (count < 1 || count > 65536)
        return -EINVAL;
    struct ranking ranking = {.left = count};
    for (uint32_t i = 0; i < top_port_count; i++)
        take(&ranking, top_ports[i]);
    take_alternates(&ranking);
    take_registered(&ranking, 1, 1023);
    take_registered(&ranking, 1024, 49151);
    take_range(&ranking, 1, 65535);
    take(&ranking, 0);
    return port_set_add_bits(set, &ranking.taken);
}
