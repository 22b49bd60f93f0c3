/* Frames for the program of src/link/xdp.bpf.c, and what becomes of them. */
#pragma once

#include "xdp_scene.h"

#include "base/clock.h"
#include "probe/judge.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>

enum { PASS = 2, DROP = 1, TX = 3 }; /* enum xdp_action */

#define PORT 443 /* the target's */
#define TAG 3
#define FRAME_MOST (XDP_HEARD_MOST + 500)
#define RECORDS 8

static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
static const unsigned char us[] = {2, 0, 0, 0, 0, 0x5a}, gateway[] = {2, 0, 0, 0, 0, 0x01};

struct sample {
    uint32_t length;
    unsigned char bytes[FRAME_MOST];
};

/* ---- the program ---- */

static struct scene scene;
static struct address target, router;
static struct ring_buffer *ring;
static struct {
    unsigned count;
    uint64_t time;
    uint32_t length, protocol;
    unsigned char bytes[XDP_LONG];
} heard; /* the last record, and how many there were */

static inline int keep(void *context, void *data, size_t size)
{
    const struct xdp_record *record = data;
    (void)context;
    assert_true(size >= sizeof(*record) && record->length <= size - sizeof(*record));
    assert_true(record->length <= XDP_LONG);
    heard.count++;
    heard.time = record->time;
    heard.length = record->length;
    heard.protocol = record->protocol;
    memcpy(heard.bytes, record->bytes, record->length);
    return 0;
}

static inline bool is_ipv6(void)
{
    return scene.route.source.family == ADDRESS_IPV6;
}

/* Ports 1 to 1000 of three ranges, in the midst of the second of which the target is. */
static inline void begin(enum address_family family, const struct prober_class *class)
{
    const bool ipv6 = family == ADDRESS_IPV6;
    const struct address source = scene_address(ipv6 ? "fd00::1" : "198.18.0.1");
    target = scene_address(ipv6 ? "fd01:0:0:1::7" : "198.19.1.7");
    router = scene_address(ipv6 ? "fd00::ff" : "198.18.0.254");
    scene_add(&scene, ipv6 ? "fd01::" : "198.18.1.0", ipv6 ? "fd01::ff" : "198.18.1.255");
    scene_add(&scene, ipv6 ? "fd01::ffff:ffff:ffff:fff0" : "198.19.0.0",
              ipv6 ? "fd01:0:0:1::ff" : "198.19.1.255");
    scene_add(&scene, ipv6 ? "fd02::" : "198.19.4.0", ipv6 ? "fd02::" : "198.19.4.0");
    scene_add_ports(&scene, 1, 1000);
    scene_plan(&scene, class, &source, LOOPBACK);
    scene_open(&scene);
    ring = ring_buffer__new(scene.program.answers, keep, NULL, NULL);
    assert_non_null(ring);
}

static inline void end(void)
{
    ring_buffer__free(ring);
    scene_release(&scene);
}

/* ---- packets ---- */

static inline uint32_t cookie(void)
{
    return scene_cookie(&scene, &target, FIRST_PORT + TAG, PORT);
}

static inline void store(unsigned char *at, uint16_t number)
{
    number = htons(number);
    memcpy(at, &number, sizeof(number));
}

static inline void store_sum(unsigned char *at, uint64_t sum)
{
    const uint16_t folded = internet_fold(sum);
    memcpy(at, &folded, sizeof(folded));
}

static inline uint32_t header_length(const struct sample *packet)
{
    return is_ipv6() ? 40 : (packet->bytes[0] & 15) * 4U;
}

/* Lengths and checksums anew, after something was changed. */
static inline void mend(struct sample *packet)
{
    unsigned char *ip = packet->bytes;
    const uint32_t header = header_length(packet), length = packet->length - header;
    const uint8_t protocol = ip[is_ipv6() ? 6 : 9];
    unsigned char *sum = ip + header + (protocol == IPPROTO_TCP ? 16 : 2);
    const uint16_t rest[] = {htons(protocol), htons((uint16_t)length)};
    uint64_t pseudo = 0;
    if (is_ipv6()) {
        store(ip + 4, (uint16_t)length);
    } else {
        store(ip + 2, (uint16_t)packet->length);
        memset(ip + 10, 0, 2);
        store_sum(ip + 10, internet_sum(ip, header, 0));
    }
    if (protocol != IPPROTO_ICMP)
        pseudo = internet_sum(ip + (is_ipv6() ? 8 : 12), is_ipv6() ? 32 : 8,
                              internet_sum(rest, sizeof(rest), 0));
    memset(sum, 0, 2);
    store_sum(sum, internet_sum(ip + header, length, pseudo));
}

static inline struct sample built(const struct tcp_packet *packet)
{
    struct sample sample = {0};
    sample.length = (uint32_t)tcp_packet_build(packet, sample.bytes);
    return sample;
}

static inline struct tcp_packet segment(uint8_t flags, uint32_t sequence, uint32_t acknowledgment)
{
    return (struct tcp_packet){
        .source = target,
        .destination = scene.route.source,
        .source_port = PORT,
        .destination_port = FIRST_PORT + TAG,
        .sequence = sequence,
        .acknowledgment = acknowledgment,
        .window = 29200,
        .flags = flags,
        .ttl = 57,
        .identification = 0x1234,
    };
}

static inline struct sample syn_ack(void)
{
    struct tcp_packet packet = segment(TCP_SYN | TCP_ACK, 0x87654321, cookie() + 1);
    packet.mss = 1460;
    return built(&packet);
}

static inline struct sample answer(uint8_t flags, uint32_t sequence, uint32_t acknowledgment)
{
    const struct tcp_packet packet = segment(flags, sequence, acknowledgment);
    return built(&packet);
}

/* What the technique's probe was, as an error quotes it. */
static inline struct sample probe(void)
{
    struct tcp_packet packet = scene.link.probe;
    packet.destination = target;
    packet.source_port = FIRST_PORT + TAG;
    packet.destination_port = PORT;
    packet.sequence = cookie();
    return built(&packet);
}

static inline void insert(struct sample *packet, uint32_t at, const void *bytes, uint32_t count)
{
    memmove(packet->bytes + at + count, packet->bytes + at, packet->length - at);
    memcpy(packet->bytes + at, bytes, count);
    packet->length += count;
}

/* IPv4 options, so many bytes of "no operation". */
static inline void add_options(struct sample *packet, uint32_t count)
{
    unsigned char options[40];
    memset(options, 1, sizeof(options));
    insert(packet, 20, options, count);
    packet->bytes[0] = (unsigned char)(packet->bytes[0] + count / 4);
}

/* An ICMP or ICMPv6 error of `from` about a packet, of which it quotes so many bytes. */
static inline struct sample make_error(const struct address *from, uint8_t type, uint8_t code,
                                       const struct sample *about, uint32_t quoted)
{
    struct tcp_packet packet = segment(0, 0, 0);
    packet.source = *from;
    struct sample sample = built(&packet);
    sample.length -= 20;
    unsigned char *icmp = sample.bytes + sample.length;
    memset(icmp, 0, 8);
    icmp[0] = type;
    icmp[1] = code;
    memcpy(icmp + 8, about->bytes, quoted);
    sample.length += 8 + quoted;
    sample.bytes[is_ipv6() ? 6 : 9] = is_ipv6() ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    mend(&sample);
    return sample;
}

static inline struct sample error_about(const struct sample *about)
{
    return make_error(&router, is_ipv6() ? 1 : 3, 1, about, about->length);
}

/* As a frame, with so many VLAN tags, and bytes of padding behind it. */
static inline struct sample framed(const struct sample *packet, unsigned tags, uint32_t padding)
{
    struct sample frame = {.length = 12};
    const uint16_t type = is_ipv6() ? ETH_P_IPV6 : ETH_P_IP;
    memcpy(frame.bytes, us, 6);
    memcpy(frame.bytes + 6, gateway, 6);
    for (unsigned i = 0; i < tags; i++, frame.length += 4) {
        store(frame.bytes + frame.length, i + 1 < tags ? ETH_P_8021AD : ETH_P_8021Q);
        store(frame.bytes + frame.length + 2, (uint16_t)(100 + i));
    }
    store(frame.bytes + frame.length, type);
    memcpy(frame.bytes + frame.length + 2, packet->bytes, packet->length);
    frame.length += 2 + packet->length;
    memset(frame.bytes + frame.length, 0xee, padding);
    frame.length += padding;
    return frame;
}

/* ---- what becomes of them ---- */

static inline uint32_t hear(struct sample *frame)
{
    uint32_t action = UINT32_MAX;
    heard.count = 0;
    assert_int_equal(xdp_program_hear(&scene.program, frame->bytes, &frame->length, &action), 0);
    assert_true(ring_buffer__consume(ring) >= 0);
    return action;
}

static inline bool is_judged(bool verified, struct heard *ret_heard)
{
    const struct cookies cookies = {.key = scene.link.key, .first_port = FIRST_PORT};
    for (size_t i = 0; i < TECHNIQUES; i++)
        if (techniques[i]->technique->flags == scene.link.probe.flags &&
            judge_packet(techniques[i]->technique, &cookies, heard.bytes, heard.length, verified,
                         ret_heard))
            return true;
    return false;
}

/* It comes to us as it is, and the judge takes it for an answer from the target. */
static inline void assert_told(const struct sample *packet)
{
    struct heard answer = {0};
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.length, packet->length);
    assert_memory_equal(heard.bytes, packet->bytes, packet->length);
    assert_int_equal(heard.protocol, is_ipv6() ? ETH_P_IPV6 : ETH_P_IP);
    assert_in_range(clock_monotonic() - heard.time, 0, NANOSECONDS_PER_SECOND * 10);
    assert_true(is_judged(false, &answer));
    assert_true(address_equal(&answer.to.address, &target));
    assert_int_equal(answer.to.port.number, PORT);
    assert_int_equal(answer.tag, TAG);
}

static inline void assert_taken(const struct sample *packet)
{
    for (unsigned tags = 0; tags <= 2; tags++)
        for (uint32_t padding = 0; padding <= 40; padding += 5) {
            struct sample frame = framed(packet, tags, padding);
            assert_int_equal(hear(&frame), DROP);
            assert_told(packet);
        }
}

/* The same with a RST, which goes the way that the frame came. */
static inline void assert_taken_and_reset(const struct sample *packet)
{
    const uint32_t tcp = header_length(packet);
    uint32_t acknowledgment;
    memcpy(&acknowledgment, packet->bytes + tcp + 8, sizeof(acknowledgment));
    struct tcp_packet reset = segment(TCP_RST, ntohl(acknowledgment), 0);
    reset.source = reset.destination;
    reset.destination = target;
    reset.source_port = FIRST_PORT + TAG;
    reset.destination_port = PORT;
    reset.ttl = 64;
    reset.window = reset.identification = 0;
    const struct sample expected = built(&reset);
    for (unsigned tags = 0; tags <= 2; tags++)
        for (uint32_t padding = 0; padding <= 40; padding += 5) {
            struct sample frame = framed(packet, tags, padding), back = framed(&expected, tags, 0);
            memcpy(back.bytes, gateway, 6);
            memcpy(back.bytes + 6, us, 6);
            assert_int_equal(hear(&frame), TX);
            assert_told(packet);
            assert_int_equal(frame.length, back.length);
            assert_memory_equal(frame.bytes, back.bytes, back.length);
        }
}

static inline void assert_frame_passes(const struct sample *frame)
{
    struct sample after = *frame;
    if (hear(&after) != PASS)
        fail_msg("a frame of %u bytes did not pass", frame->length);
    assert_int_equal(heard.count, 0);
    assert_int_equal(after.length, frame->length);
    assert_memory_equal(after.bytes, frame->bytes, frame->length);
}

static inline void assert_passes(const struct sample *packet)
{
    for (unsigned tags = 0; tags <= 3; tags++)
        for (uint32_t padding = 0; padding <= 40; padding += 20) {
            const struct sample frame = framed(packet, tags, padding);
            assert_frame_passes(&frame);
        }
}

/* Calls `test` with a program for each family and technique. */
static inline void with_each(void (*test)(void))
{
    for (size_t family = 0; family < 2; family++)
        for (size_t i = 0; i < TECHNIQUES; i++) {
            begin(families[family], techniques[i]);
            test();
            end();
        }
}

static inline void with_syn(void (*test)(void))
{
    for (size_t family = 0; family < 2; family++) {
        begin(families[family], &prober_tcp_syn);
        test();
        end();
    }
}
