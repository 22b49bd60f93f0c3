/* Packets that probes are, and the Internet checksum. A million of them leave every second: headers
 * are put together as numbers in registers, summed up there and stored once. */
#include "net/packet.h"

#include <endian.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define TCP_HEADER 20
#define MSS_OPTION 4

/* ---- the checksum ---- */

/* Addition of ones' complements (RFC 1071 §1): the carry goes round. Whoever adds up 64-bit words
 * gets a sum whose four parts give the sum of all 16-bit words. */
static inline uint64_t sum_word(uint64_t word, uint64_t sum)
{
    sum += word;
    return sum + (sum < word);
}

uint64_t internet_sum(const void *bytes, size_t length, uint64_t sum)
{
    const unsigned char *at = bytes;
    uint64_t word;
    for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum = sum_word(word, sum);
    }
    if (length == 0)
        return sum;
    word = 0;
    memcpy(&word, at, length);
    return sum_word(word, sum);
}

uint16_t internet_fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    return (uint16_t)~sum;
}

/* ---- packets ---- */

/* Words are numbers here whose most significant byte is the first to be sent. */

static inline void put_u64(unsigned char *at, uint64_t word)
{
    word = htobe64(word);
    memcpy(at, &word, sizeof(word));
}

static inline void put_u32(unsigned char *at, uint32_t word)
{
    word = htobe32(word);
    memcpy(at, &word, sizeof(word));
}

static inline uint64_t sum_address(const struct address *address, uint64_t sum)
{
    return sum_word((uint64_t)address->value, sum_word((uint64_t)(address->value >> 64), sum));
}

/* RFC 9293 §3.1. `sum` is that of the pseudo-header's addresses. */
static inline size_t put_tcp(const struct tcp_packet *packet, uint64_t sum, unsigned char *at)
{
    const size_t length = TCP_HEADER + (packet->mss ? MSS_OPTION : 0);
    const uint64_t offset = length / 4;
    const uint64_t first = (uint64_t)packet->source_port << 48 |
                           (uint64_t)packet->destination_port << 32 | packet->sequence;
    const uint64_t second = (uint64_t)packet->acknowledgment << 32 | offset << 28 |
                            (uint64_t)packet->flags << 16 | packet->window;
    const uint32_t option = packet->mss ? UINT32_C(0x02040000) | packet->mss : 0;
    sum = sum_word(first, sum_word(second, sum_word(option + length + IPPROTO_TCP, sum)));
    put_u64(at, first);
    put_u64(at + 8, second);
    put_u32(at + 16, (uint32_t)internet_fold(sum) << 16);
    if (packet->mss)
        put_u32(at + 20, option);
    return length;
}

/* RFC 791 §3.1. A probe is smaller than any MTU, so that it may well forbid to be fragmented. */
static size_t put_ipv4(const struct tcp_packet *packet, unsigned char *bytes)
{
    const uint64_t addresses =
        (uint64_t)(uint32_t)packet->source.value << 32 | (uint32_t)packet->destination.value;
    const size_t length = IPV4_HEADER + put_tcp(packet, addresses, bytes + IPV4_HEADER);
    const uint64_t first = UINT64_C(0x4500) << 48 | (uint64_t)length << 32 |
                           (uint64_t)packet->identification << 16 | IP_DF;
    const uint32_t second = (uint32_t)packet->ttl << 24 | IPPROTO_TCP << 16;
    put_u64(bytes, first);
    put_u32(bytes + 8, second | internet_fold(sum_word(first, sum_word(second, addresses))));
    put_u64(bytes + 12, addresses);
    return length;
}

static void put_address(unsigned char *at, const struct address *address)
{
    put_u64(at, (uint64_t)(address->value >> 64));
    put_u64(at + 8, (uint64_t)address->value);
}

/* RFC 8200 §3. */
static size_t put_ipv6(const struct tcp_packet *packet, unsigned char *bytes)
{
    const uint64_t sum = sum_address(&packet->source, sum_address(&packet->destination, 0));
    const size_t length = put_tcp(packet, sum, bytes + IPV6_HEADER);
    put_u64(bytes, UINT64_C(6) << 60 | (uint64_t)length << 16 | IPPROTO_TCP << 8 | packet->ttl);
    put_address(bytes + 8, &packet->source);
    put_address(bytes + 24, &packet->destination);
    return IPV6_HEADER + length;
}

size_t tcp_packet_build(const struct tcp_packet *packet, unsigned char bytes[TCP_PACKET_MAXIMUM])
{
    return packet->source.family == ADDRESS_IPV6 ? put_ipv6(packet, bytes)
                                                 : put_ipv4(packet, bytes);
}
