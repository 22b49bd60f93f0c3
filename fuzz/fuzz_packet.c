/* Fuzzing of the views of packets: whatever the bytes are, a view stays inside them, a checksum
 * only ever takes something away, and what fails leaves nothing behind. */
#include "net/packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_inside(const struct ip_view *ip, const unsigned char *bytes, size_t length)
{
    const size_t offset = (size_t)(ip->payload - bytes);
    require(ip->payload >= bytes && offset <= length && ip->length <= length - offset);
    require(ip->source.family == ip->destination.family && ip->source.scope == 0);
    require(ip->source.value <= address_maximum(ip->source.family));
    require(ip->destination.value <= address_maximum(ip->destination.family));
}

static void try_tcp(const struct ip_view *ip)
{
    struct tcp_view tcp = {0}, checked = {0};
    const bool seen = tcp_view_parse(ip, false, &tcp);
    if (tcp_view_parse(ip, true, &checked))
        require(seen && !ip->fragment && tcp.acknowledgment == checked.acknowledgment);
    else
        require(checked.source == 0 && checked.sequence == 0 && checked.flags == 0);
}

static void try_icmp(const struct ip_view *ip)
{
    struct icmp_error_view error = {0}, checked = {0};
    const bool seen = icmp_error_view_parse(ip, false, &error);
    if (seen) {
        require_inside(&error.quoted, ip->payload, ip->length);
        require(error.quoted.length >= 8 && error.quoted.source.family == ip->source.family);
    }
    if (icmp_error_view_parse(ip, true, &checked))
        require(seen && !ip->fragment && checked.sequence == error.sequence);
    else
        require(checked.type == 0 && checked.quoted.payload == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    unsigned char *memory = malloc(length ? length : 1); /* ends where the packet ends */
    struct ip_view ip = {0}, checked = {0};
    require(memory);
    memcpy(memory, bytes, length);
    const bool seen = ip_view_parse(memory, length, false, &ip);
    if (seen) {
        require_inside(&ip, memory, length);
        try_tcp(&ip);
        try_icmp(&ip);
    } else {
        require(ip.payload == NULL);
    }
    if (ip_view_parse(memory, length, true, &checked))
        require(seen && checked.payload == ip.payload && checked.length == ip.length);
    free(memory);
    return 0;
}
