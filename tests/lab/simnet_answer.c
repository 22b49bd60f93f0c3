/* The packets with which the network answers, and those with which it lies. */
#include "simnet.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define ETHERNET_SIZE 14

uint64_t checksum_add(const unsigned char *bytes, size_t length, uint64_t sum)
{
    for (; length >= 4; bytes += 4, length -= 4) {
        uint32_t word;
        memcpy(&word, bytes, 4);
        sum += word;
    }
    if (length >= 2) {
        uint16_t word;
        memcpy(&word, bytes, 2);
        sum += word;
        bytes += 2;
    }
    if (length & 1) {
        uint16_t word = 0;
        memcpy(&word, bytes, 1);
        sum += word;
    }
    return sum;
}

uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint64_t checksum_pseudo(const unsigned char *ip, bool four, uint8_t protocol, size_t length)
{
    uint64_t sum = (uint64_t)htonl(protocol) + htonl((uint32_t)length);
    return four ? checksum_add(ip + 12, 8, sum) : checksum_add(ip + 8, 32, sum);
}

static void put16(unsigned char *bytes, unsigned value)
{
    uint16_t word = htons((uint16_t)value);
    memcpy(bytes, &word, 2);
}

static void put32(unsigned char *bytes, uint32_t value)
{
    value = htonl(value);
    memcpy(bytes, &value, 4);
}

static void put_host(unsigned char *bytes, struct host host, bool four)
{
    if (!four) {
        put32(bytes, (uint32_t)(host.high >> 32));
        put32(bytes + 4, (uint32_t)host.high);
        put32(bytes + 8, (uint32_t)(host.low >> 32));
        bytes += 12;
    }
    put32(bytes, (uint32_t)host.low);
}

/* Writes the Ethernet and IP headers of an answer. Returns where its payload begins. */
static unsigned char *put_headers(const struct packet *packet, struct host from, uint8_t ttl,
                                  uint8_t protocol, size_t length, unsigned char *frame)
{
    if (packet->link) {
        memcpy(frame, packet->frame + HARDWARE_SIZE, HARDWARE_SIZE);
        memcpy(frame + HARDWARE_SIZE, packet->frame, HARDWARE_SIZE);
        memcpy(frame + 12, packet->frame + 12, 2);
        frame += ETHERNET_SIZE;
    }
    if (packet->four) {
        memset(frame, 0, 12);
        frame[0] = 0x45;
        put16(frame + 2, (unsigned)length + 20);
        frame[6] = 0x40; /* do not fragment */
        frame[8] = ttl;
        frame[9] = protocol;
        put_host(frame + 12, from, true);
        memcpy(frame + 16, packet->ip + 12, 4);
        uint16_t sum = checksum_fold(checksum_add(frame, 20, 0));
        memcpy(frame + 10, &sum, 2);
        return frame + 20;
    }
    put32(frame, 0x60000000);
    put16(frame + 4, (unsigned)length);
    frame[6] = protocol;
    frame[7] = ttl;
    put_host(frame + 8, from, false);
    memcpy(frame + 24, packet->ip + 8, 16);
    return frame + 40;
}

/* Completes the checksum at `place` of an answer's payload. */
static size_t finish(const struct packet *packet, uint8_t protocol, unsigned char *payload,
                     size_t length, size_t place, unsigned char *frame)
{
    const unsigned char *ip = frame + packet->link;
    uint64_t sum =
        protocol == IPPROTO_ICMP ? 0 : checksum_pseudo(ip, packet->four, protocol, length);
    uint16_t folded = checksum_fold(checksum_add(payload, length, sum));
    memcpy(payload + place, &folded, 2);
    return (size_t)(payload - frame) + length;
}

size_t answer_tcp(const struct packet *packet, struct host from, uint8_t ttl, uint16_t mss,
                  const struct segment *segment, unsigned char *frame)
{
    size_t length = mss ? 24 : 20;
    unsigned char *tcp = put_headers(packet, from, ttl, IPPROTO_TCP, length, frame);
    put16(tcp, segment->source);
    put16(tcp + 2, segment->destination);
    put32(tcp + 4, segment->sequence);
    put32(tcp + 8, segment->acknowledgment);
    tcp[12] = (unsigned char)(length / 4 << 4);
    tcp[13] = segment->flags;
    put16(tcp + 14, segment->window);
    put32(tcp + 16, 0);
    if (mss)
        put32(tcp + 20, 0x02040000U | mss);
    return finish(packet, IPPROTO_TCP, tcp, length, 16, frame);
}

size_t answer_icmp(const struct packet *packet, struct host from, uint8_t ttl,
                   const struct rule *rule, unsigned quote, unsigned char *frame)
{
    uint8_t protocol = packet->four ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    size_t header = (size_t)(packet->payload - packet->ip), whole = packet->ip_length;
    size_t room = FRAME_MAXIMUM - packet->link - (packet->four ? 20 : 40) - 8;
    if (whole > header + quote)
        whole = header + quote;
    if (whole > room)
        whole = room;
    unsigned char *icmp = put_headers(packet, from, ttl, protocol, 8 + whole, frame);
    memset(icmp, 0, 8);
    icmp[0] = rule->type;
    icmp[1] = rule->code;
    memcpy(icmp + 8, packet->ip, whole);
    return finish(packet, protocol, icmp, 8 + whole, 2, frame);
}

size_t answer_echo(const struct packet *packet, uint8_t ttl, unsigned char *frame)
{
    uint8_t protocol = packet->four ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    size_t length = packet->payload_length;
    if (length > FRAME_MAXIMUM - packet->link - (packet->four ? 20U : 40U))
        return 0;
    unsigned char *icmp = put_headers(packet, packet->destination, ttl, protocol, length, frame);
    memcpy(icmp, packet->payload, length);
    icmp[0] = packet->four ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
    put16(icmp + 2, 0);
    return finish(packet, protocol, icmp, length, 2, frame);
}

size_t answer_arp(const unsigned char *request, const unsigned char *hardware, unsigned char *frame)
{
    memcpy(frame, request + HARDWARE_SIZE, HARDWARE_SIZE);
    memcpy(frame + HARDWARE_SIZE, hardware, HARDWARE_SIZE);
    memcpy(frame + 12, request + 12, 8);
    put16(frame + 20, 2); /* reply */
    memcpy(frame + 22, hardware, HARDWARE_SIZE);
    memcpy(frame + 28, request + 38, 4);
    memcpy(frame + 32, request + 22, HARDWARE_SIZE + 4);
    return 42;
}

size_t answer_neighbour(const struct packet *packet, struct host target,
                        const unsigned char *hardware, unsigned char *frame)
{
    unsigned char *icmp = put_headers(packet, target, 255, IPPROTO_ICMPV6, 32, frame);
    memcpy(frame + HARDWARE_SIZE, hardware, HARDWARE_SIZE);
    memset(icmp, 0, 32);
    icmp[0] = ND_NEIGHBOR_ADVERT;
    icmp[4] = 0x60; /* solicited, override */
    put_host(icmp + 8, target, false);
    icmp[24] = ND_OPT_TARGET_LINKADDR;
    icmp[25] = 1;
    memcpy(icmp + 26, hardware, HARDWARE_SIZE);
    return finish(packet, IPPROTO_ICMPV6, icmp, 32, 2, frame);
}

/* ---- Lies ---- */

enum lie {
    LIE_SYN_ACK_NUMBER, /* acknowledges something else */
    LIE_RST_NUMBER,
    LIE_SYN_ACK_PORT, /* from a port that was not asked */
    LIE_SYN_ACK_OUR_PORT,
    LIE_RST_PORT,
    LIE_HOST,      /* from another address */
    LIE_TRUNCATED, /* the IP packet ends inside the TCP header */
    LIE_OFFSET,    /* the TCP header is longer than the packet */
    LIE_ICMP_PORT, /* quotes a segment that was not sent */
    LIE_ICMP_NUMBER,
    LIE_ICMP_SHORT, /* quotes less than the ports and the number */
    LIE_FRAGMENT,   /* a later fragment whose bytes look like a header */
    LIES
};

/* Makes the IPv4 header's checksum right again. */
static void seal_four(unsigned char *ip)
{
    put16(ip + 10, 0);
    uint16_t sum = checksum_fold(checksum_add(ip, 20, 0));
    memcpy(ip + 10, &sum, 2);
}

static size_t forge_segment(const struct packet *packet, const struct segment *segment,
                            enum lie lie, uint64_t random, unsigned char *frame)
{
    bool reset = lie == LIE_RST_NUMBER || lie == LIE_RST_PORT;
    struct segment answer = {
        .source = segment->destination,
        .destination = segment->source,
        .sequence = reset ? 0 : (uint32_t)random,
        .acknowledgment = segment->sequence + 1,
        .flags = reset ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK,
        .window = reset ? 0 : 64240,
    };
    struct host from = packet->destination;
    unsigned step = 1 + (unsigned)(random >> 32 & 7);
    if (lie == LIE_SYN_ACK_NUMBER || lie == LIE_RST_NUMBER)
        answer.acknowledgment += 1 + (uint32_t)(random >> 33);
    if (lie == LIE_SYN_ACK_PORT || lie == LIE_RST_PORT)
        answer.source = (uint16_t)(answer.source ^ step);
    if (lie == LIE_SYN_ACK_OUR_PORT)
        answer.destination = (uint16_t)(answer.destination ^ step);
    if (lie == LIE_HOST)
        from.low ^= step;
    size_t length = answer_tcp(packet, from, 64, 0, &answer, frame);
    unsigned char *ip = frame + packet->link;
    unsigned header = packet->four ? 20 : 40;
    if (lie == LIE_TRUNCATED) {
        unsigned kept = 4 + 2 * step; /* 6 to 20, and 20 is whole */
        kept = kept < 20 ? kept : 14;
        put16(packet->four ? ip + 2 : ip + 4, packet->four ? header + kept : kept);
        if (packet->four)
            seal_four(ip);
        length = packet->link + header + kept;
    } else if (lie == LIE_OFFSET) {
        ip[header + 12] = 0xf0;
        put16(ip + header + 16, 0);
        finish(packet, IPPROTO_TCP, ip + header, 20, 16, frame);
    } else if (lie == LIE_FRAGMENT) {
        if (!packet->four)
            return 0;
        put16(ip + 6, step); /* the offset in eights; no more follow */
        seal_four(ip);
    }
    return length;
}

static size_t forge_error(const struct packet *packet, enum lie lie, uint64_t random,
                          unsigned char *frame)
{
    struct rule rule = {.type = packet->four ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH,
                        .code = packet->four ? ICMP_PKT_FILTERED : ICMP6_DST_UNREACH_ADMIN};
    unsigned quote = lie == LIE_ICMP_SHORT ? (unsigned)(random >> 32 & 3) * 2 : 8;
    size_t length = answer_icmp(packet, packet->destination, 64, &rule, quote, frame);
    unsigned char *icmp = frame + packet->link + (packet->four ? 20 : 40);
    unsigned char *quoted = icmp + 8 + (packet->payload - packet->ip);
    if (lie == LIE_ICMP_PORT)
        quoted[3] ^= (unsigned char)(1 + (random >> 40 & 0x7f));
    if (lie == LIE_ICMP_NUMBER)
        quoted[4 + (random >> 40 & 3)] ^= (unsigned char)(1 + (random >> 48 & 0x7f));
    put16(icmp + 2, 0);
    finish(packet, packet->four ? IPPROTO_ICMP : IPPROTO_ICMPV6, icmp,
           length - (size_t)(icmp - frame), 2, frame);
    return length;
}

size_t answer_forged(const struct packet *packet, const struct segment *segment, uint64_t random,
                     unsigned char *frame)
{
    enum lie lie = (enum lie)(random % LIES);
    if (lie == LIE_ICMP_PORT || lie == LIE_ICMP_NUMBER || lie == LIE_ICMP_SHORT)
        return forge_error(packet, lie, mix(random), frame);
    return forge_segment(packet, segment, lie, mix(random), frame);
}

void answer_corrupt(unsigned char *frame, size_t length, unsigned link, uint64_t random)
{
    size_t header = link + (frame[link] >> 4 == 4 ? 20 : 40);
    if (length <= header)
        return;
    size_t bit = random % ((length - header) * 8);
    frame[header + bit / 8] ^= (unsigned char)(1 << bit % 8);
}
