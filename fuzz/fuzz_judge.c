/* Fuzzing of judge_packet(): what is heard has a port, a tag and a state that exist, and it is only
 * heard when the cookie is right. The first byte of the input names the technique, whether the
 * checksums have been looked at already, and whether the packet is mended: it is then given the
 * cookie that makes it an answer, which no fuzzer would guess. */
#include "probe/judge.h"

#include <endian.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TECHNIQUE 0x0f
#define PLUS_ONE 0x20 /* what is acknowledged is the number after the cookie */
#define VERIFIED 0x40
#define MENDED 0x80

extern const struct prober_class prober_tcp_syn, prober_tcp_ack, prober_tcp_fin, prober_tcp_null,
    prober_tcp_xmas, prober_tcp_window, prober_tcp_maimon;
static const struct prober_class *const classes[] = {
    &prober_tcp_syn,  &prober_tcp_ack,    &prober_tcp_fin,   &prober_tcp_null,
    &prober_tcp_xmas, &prober_tcp_window, &prober_tcp_maimon};
#define CLASSES (sizeof(classes) / sizeof(*classes))

/* fuzz/make_corpus.py knows them as well. */
static const struct cookies cookies = {.key = {{1, 2}}, .first_port = 60000};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void put_u16(unsigned char *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof(value));
}

static void put_u32(unsigned char *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static uint16_t our_port(uint16_t port)
{
    return (uint16_t)(cookies.first_port + port % PROBE_TAGS);
}

static void mend_segment(unsigned char *packet, const struct ip_view *ip, unsigned more)
{
    unsigned char *segment = packet + (ip->payload - packet);
    struct tcp_view tcp;
    if (!tcp_view_parse(ip, false, &tcp))
        return;
    const uint16_t port = our_port(tcp.destination);
    const uint32_t cookie = cookie_of(&cookies, &ip->destination, &ip->source, port, tcp.source);
    put_u16(segment + 2, port);
    put_u32(segment + 4, cookie);
    put_u32(segment + 8, cookie + more);
}

static void mend_error(unsigned char *packet, const struct ip_view *ip)
{
    struct icmp_error_view error;
    if (!icmp_error_view_parse(ip, false, &error))
        return;
    unsigned char *quoted = packet + (error.quoted.payload - packet);
    const uint16_t port = our_port(error.source);
    put_u16(quoted, port);
    put_u32(quoted + 4, cookie_of(&cookies, &error.quoted.source, &error.quoted.destination, port,
                                  error.destination));
}

static void require_sense(const struct prober_class *class, const struct heard *heard)
{
    const enum port_state state = heard->verdict.state;
    require(heard->tag < PROBE_TAGS && heard->to.port.protocol == PROTOCOL_TCP);
    require(heard->to.address.family == ADDRESS_IPV4 || heard->to.address.family == ADDRESS_IPV6);
    require(heard->to.address.scope == 0 && heard->from.scope == 0);
    require(heard->verdict.reason > 0 && heard->verdict.reason < REASON_COUNT);
    require(state == STATE_OPEN || state == STATE_FILTERED || state == class->words.refused);
    if (heard->from.family != ADDRESS_NONE)
        require(state == STATE_FILTERED && heard->from.family == heard->to.address.family);
    if (state == STATE_OPEN)
        require(class == &prober_tcp_syn || class == &prober_tcp_window);
}

/* Nothing is heard any more once each of the numbers that may be the cookie is another. */
static void require_doubt(const struct technique *technique, unsigned char *packet, size_t length)
{
    struct ip_view ip;
    struct icmp_error_view error;
    struct heard heard;
    require(ip_view_parse(packet, length, false, &ip) && !ip.fragment);
    unsigned char *payload = packet + (ip.payload - packet);
    if (ip.protocol == IPPROTO_TCP) {
        payload[5] ^= 0x80;
        payload[9] ^= 0x80;
    } else {
        require(icmp_error_view_parse(&ip, false, &error));
        packet[error.quoted.payload - packet + 5] ^= 0x80;
    }
    require(!judge_packet(technique, &cookies, packet, length, true, &heard));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1)
        return 0;
    const struct prober_class *class = classes[(bytes[0] & TECHNIQUE) % CLASSES];
    const uint8_t how = *bytes++;
    unsigned char *packet = malloc(--length ? length : 1); /* ends where the packet ends */
    struct ip_view ip;
    struct heard heard = {0};
    require(packet);
    memcpy(packet, bytes, length);
    if (how & MENDED && ip_view_parse(packet, length, false, &ip)) {
        mend_segment(packet, &ip, how & PLUS_ONE ? 1 : 0);
        mend_error(packet, &ip);
    }
    if (judge_packet(class->technique, &cookies, packet, length, how & VERIFIED, &heard)) {
        require_sense(class, &heard);
        require_doubt(class->technique, packet, length);
    } else {
        require(heard.to.address.family == ADDRESS_NONE && heard.verdict.reason == 0);
    }
    free(packet);
    return 0;
}
