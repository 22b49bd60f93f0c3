/* struct port_block: sockets that keep ports from others. */
#include "net/port_block.h"

#include "base/random.h"
#include "net/address.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the kernel takes ports of outgoing connections from, and its default. */
#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"
#define RANGE_FIRST 32768
#define RANGE_LAST 60999

struct range {
    uint32_t first, last;
};

static struct range local_range(void)
{
    struct range range = {0};
    FILE *file = fopen(RANGE_FILE, "re");
    const bool read = file && fscanf(file, "%" SCNu32 " %" SCNu32, &range.first, &range.last) == 2;
    if (file)
        fclose(file);
    if (!read || range.first == 0 || range.last > UINT16_MAX || range.first > range.last)
        range = (struct range){.first = RANGE_FIRST, .last = RANGE_LAST};
    return range;
}

/* Takes one port for both families, or for IPv4 where there is nothing else. Returns the socket or
 * -errno. */
static int port_take(uint16_t port)
{
    struct address any = {.family = ADDRESS_IPV6};
    int descriptor = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 && errno == EAFNOSUPPORT) {
        any.family = ADDRESS_IPV4;
        descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    if (descriptor < 0)
        return -errno;
    const int both = 0;
    struct sockaddr_storage sockaddr;
    const socklen_t length = address_to_sockaddr(&any, port, &sockaddr);
    if ((any.family == ADDRESS_IPV6 &&
         setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof(both)) != 0) ||
        bind(descriptor, (struct sockaddr *)&sockaddr, length) != 0) {
        const int code = errno;
        close(descriptor);
        return -code;
    }
    return descriptor;
}

/* Takes all ports of a block or none. Returns 0 or -errno. */
static int block_take(struct port_block *block)
{
    for (uint16_t taken = 0; taken < block->count; taken++) {
        const int descriptor = port_take((uint16_t)(block->first + taken));
        if (descriptor < 0) {
            while (taken > 0)
                close(block->descriptors[--taken]);
            return descriptor;
        }
        block->descriptors[taken] = descriptor;
    }
    return 0;
}

/* Takes the first free block after a random one. */
static int block_find(struct port_block *block, const struct range *range)
{
    const uint32_t lowest = (range->first + block->count - 1) / block->count;
    const uint32_t above = (range->last + 1) / block->count;
    const uint32_t blocks = above > lowest ? above - lowest : 0;
    const uint32_t start = blocks ? (uint32_t)(random_u64() % blocks) : 0;
    int code = -EADDRINUSE;
    for (uint32_t i = 0; i < blocks && code == -EADDRINUSE; i++) {
        block->first = (uint16_t)((lowest + (start + i) % blocks) * block->count);
        code = block_take(block);
    }
    return code;
}

int port_block_open(uint16_t count, struct port_block *ret_block, struct error *error)
{
    struct port_block block = {.count = count, .descriptors = calloc(count, sizeof(int))};
    if (!block.descriptors)
        return error_set(error, ENOMEM, "out of memory");
    const struct range range = local_range();
    const int code = block_find(&block, &range);
    if (code == 0) {
        *ret_block = block;
        return 0;
    }
    free(block.descriptors);
    if (code == -EADDRINUSE)
        return error_set(error, EADDRINUSE,
                         "no %" PRIu16 " TCP ports in a row are free between %" PRIu32
                         " and %" PRIu32 " (sysctl net.ipv4.ip_local_port_range): end programs "
                         "that have many connections, or widen the range",
                         count, range.first, range.last);
    return error_set(error, -code, "cannot reserve TCP ports: %s", strerror(-code));
}

void port_block_close(struct port_block *block)
{
    for (uint16_t i = 0; i < block->count; i++)
        close(block->descriptors[i]);
    free(block->descriptors);
    *block = (struct port_block){0};
}
