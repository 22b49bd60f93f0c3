/* Views of packets and the packets that are built. The samples and their checksums were made by
 * fuzz/make_corpus.py, which knows the formats from their RFCs and not from the code. */
#include "net/packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SAMPLE_MAXIMUM 256

/* From 198.51.100.7 port 443 to 192.0.2.1 port 60000, and 2001:db8:7::7 to 2001:db8::1. */
#define SYN_ACK4                                                                                   \
    "45000028000740003906558dc6336407c0000201"                                                     \
    "01bbea6000000000000000015012faf0dc880000"
#define OPTIONS4                                                                                   \
    "47000030000740003906bd7fc6336407c00002019404000001010100"                                     \
    "01bbea6000000000000000005012faf0dc890000"
#define TRAILER4                                                                                   \
    "45000028000740003906558dc6336407c0000201"                                                     \
    "01bbea6000000000000000005004faf0dc970000000000000000"
#define FIRST_FRAGMENT4                                                                            \
    "45000028000720003906758dc6336407c0000201"                                                     \
    "01bbea6000000000000000005012faf0dc890000"
#define SYN_ACK6                                                                                   \
    "600000000014063920010db800070000000000000000000720010db8000000000000000000000001"             \
    "01bbea6000000000000000015012faf06d440000"
/* hop-by-hop and destination options, a routing header, a fragment that is whole, authentication */
#define CHAIN6                                                                                     \
    "600000000054003920010db800070000000000000000000720010db8000000000000000000000001"             \
    "3c000000000000002b0100000000000000000000000000002c00000000000000330000000000000006040000"     \
    "0000000000000000000000000000000000000000"                                                     \
    "01bbea6000000000000000005012faf06d450000"
#define FIRST_FRAGMENT6                                                                            \
    "60000000001c2c3920010db800070000000000000000000720010db80000000000000000000000010600000100"   \
    "00000001bbea6000000000000000005012faf06d450000"
#define LATER_FRAGMENT6                                                                            \
    "60000000001c2c3920010db800070000000000000000000720010db80000000000000000000000010600000900"   \
    "00000001bbea6000000000000000005012faf06d450000"
#define JUMBO6                                                                                     \
    "600000000000003920010db800070000000000000000000720010db80000000000000000000000010600c20400"   \
    "01000001bbea6000000000000000005012faf06d450000"

/* The probe from 192.0.2.1 port 60000, and what says that it did not arrive. */
#define PROBE4                                                                                     \
    "4500002c0007400039065589c0000201c6336407"                                                     \
    "ea6001bb010203040000000060020400b7c80000020405b4"
#define PROBE6                                                                                     \
    "600000000018063920010db800000000000000000000000120010db8000700000000000000000007"             \
    "ea6001bb01020304000000006002040048980000020405a0"
#define UNREACHABLE4                                                                               \
    "450000380007000039019582c6336407c000020103030cdb00000000"                                     \
    "4500002c0007400039065589c0000201c6336407ea6001bb01020304"
#define EXTENSION4 /* RFC 4884 */                                                                  \
    "450000a80007000039018343cb007109c00002010b00c15a00000000" PROBE4                              \
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000"         \
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000"         \
    "200000000000000000000000"
#define SWAPPED_TOTAL4                                                                             \
    "4500004800070000390183a3cb007109c00002010301e95900000000"                                     \
    "45002c0000074000390629b5c0000201c6336407"                                                     \
    "ea6001bb010203040000000060020400b7c80000020405b4"
#define UNREACHABLE6                                                                               \
    "6000000000483a3920010db800070000000000000000000720010db8000000000000000000000001"             \
    "01043cc500000000" PROBE6
#define EXCEEDED6                                                                                  \
    "6000000000383a3920010db800090000000000000000000920010db8000000000000000000000001"             \
    "0300ef1300000000"                                                                             \
    "600000000018063920010db800000000000000000000000120010db8000700000000000000000007"             \
    "ea6001bb01020304"
#define QUOTE6_IN4 "4500005c000700003901838fcb007109c0000201030196cb00000000" PROBE6
#define PROBLEM6 /* quotes a probe with destination options */                                     \
    "6000000000503a3920010db800090000000000000000000920010db8000000000000000000000001"             \
    "0401fdb300000000"                                                                             \
    "6000000000203c3920010db800000000000000000000000120010db8000700000000000000000007"             \
    "0600000000000000ea6001bb01020304000000006002040048980000020405a0"

/* ---- bytes at the end of the readable world ---- */

struct world {
    unsigned char *start;
    size_t page;
};

static int set_up(void **state)
{
    static struct world world;
    world.page = (size_t)sysconf(_SC_PAGESIZE);
    world.start =
        mmap(NULL, 2 * world.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *state = &world;
    return world.start == MAP_FAILED ||
           mprotect(world.start + world.page, world.page, PROT_NONE) != 0;
}

static int tear_down(void **state)
{
    const struct world *world = *state;
    return munmap(world->start, 2 * world->page);
}

/* Puts bytes where the next one cannot be read. */
static unsigned char *place(const struct world *world, const void *bytes, size_t length)
{
    unsigned char *at = world->start + world->page - length;
    memmove(at, bytes, length);
    return at;
}

struct sample {
    unsigned char bytes[SAMPLE_MAXIMUM];
    size_t length;
};

static unsigned digit(char character)
{
    return (unsigned)(character <= '9' ? character - '0' : character - 'a' + 10);
}

static struct sample sample_of(const char *hexadecimal)
{
    struct sample sample = {.length = strlen(hexadecimal) / 2};
    assert_true(sample.length <= sizeof(sample.bytes));
    for (size_t i = 0; i < sample.length; i++)
        sample.bytes[i] =
            (unsigned char)(digit(hexadecimal[2 * i]) << 4 | digit(hexadecimal[2 * i + 1]));
    return sample;
}

static void assert_address(const struct address *address, const char *text)
{
    char got[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(address, got), text);
}

/* ---- views ---- */

static struct ip_view parse(const struct world *world, const char *hexadecimal)
{
    const struct sample sample = sample_of(hexadecimal);
    struct ip_view ip;
    assert_true(ip_view_parse(place(world, sample.bytes, sample.length), sample.length, true, &ip));
    return ip;
}

/* Whether the sample with some of its bytes replaced is a packet. */
static bool parses_with(const struct world *world, const char *hexadecimal, size_t at,
                        const char *replacement)
{
    struct sample sample = sample_of(hexadecimal);
    const struct sample bytes = sample_of(replacement);
    struct ip_view ip;
    memcpy(sample.bytes + at, bytes.bytes, bytes.length);
    return ip_view_parse(place(world, sample.bytes, sample.length), sample.length, false, &ip);
}

static void a_segment_is_seen_over_ipv4(void **state)
{
    const struct ip_view ip = parse(*state, SYN_ACK4);
    struct tcp_view tcp;
    assert_address(&ip.source, "198.51.100.7");
    assert_address(&ip.destination, "192.0.2.1");
    assert_int_equal(ip.protocol, IPPROTO_TCP);
    assert_int_equal(ip.ttl, 57);
    assert_false(ip.fragment);
    assert_int_equal(ip.length, 20);
    assert_true(tcp_view_parse(&ip, true, &tcp));
    assert_int_equal(tcp.source, 443);
    assert_int_equal(tcp.destination, 60000);
    assert_int_equal(tcp.sequence, 0);
    assert_int_equal(tcp.acknowledgment, 1);
    assert_int_equal(tcp.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(tcp.window, 64240);
}

static void a_segment_is_seen_over_ipv6(void **state)
{
    const struct ip_view ip = parse(*state, SYN_ACK6);
    struct tcp_view tcp;
    assert_address(&ip.source, "2001:db8:7::7");
    assert_address(&ip.destination, "2001:db8::1");
    assert_int_equal(ip.ttl, 57);
    assert_int_equal(ip.length, 20);
    assert_true(tcp_view_parse(&ip, true, &tcp));
    assert_int_equal(tcp.destination, 60000);
    assert_int_equal(tcp.acknowledgment, 1);
}

static void what_stands_before_the_segment_is_passed_over(void **state)
{
    static const char *const samples[] = {OPTIONS4, CHAIN6};
    for (size_t i = 0; i < 2; i++) {
        const struct ip_view ip = parse(*state, samples[i]);
        struct tcp_view tcp;
        assert_int_equal(ip.protocol, IPPROTO_TCP);
        assert_int_equal(ip.length, 20);
        assert_false(ip.fragment);
        assert_true(tcp_view_parse(&ip, true, &tcp));
        assert_int_equal(tcp.source, 443);
    }
}

static void what_ethernet_adds_is_left_out(void **state)
{
    const struct ip_view ip = parse(*state, TRAILER4);
    struct tcp_view tcp;
    assert_int_equal(ip.length, 20);
    assert_true(tcp_view_parse(&ip, true, &tcp));
    assert_int_equal(tcp.flags, TCP_RST);
}

static void of_fragments_the_first_is_seen(void **state)
{
    static const char *const samples[] = {FIRST_FRAGMENT4, FIRST_FRAGMENT6};
    for (size_t i = 0; i < 2; i++) {
        const struct ip_view ip = parse(*state, samples[i]);
        struct tcp_view tcp;
        assert_true(ip.fragment);
        assert_true(tcp_view_parse(&ip, false, &tcp));
        assert_int_equal(tcp.source, 443);
        assert_false(tcp_view_parse(&ip, true, &tcp)); /* nobody can tell */
    }
    assert_false(parses_with(*state, SYN_ACK4, 6, "2001"));
    for (unsigned bit = 0; bit < 13; bit++) {
        char offset[5];
        snprintf(offset, sizeof(offset), "%04x", 1U << bit);
        assert_false(parses_with(*state, SYN_ACK4, 6, offset)); /* also 0040, which is not quoted */
    }
    assert_false(parses_with(*state, LATER_FRAGMENT6, 0, ""));
    assert_false(parses_with(*state, FIRST_FRAGMENT6, 42, "0008"));
}

static void lengths_that_lie_are_refused(void **state)
{
    assert_true(parses_with(*state, SYN_ACK4, 2, "0028"));
    assert_false(parses_with(*state, SYN_ACK4, 2, "0029")); /* more than is there */
    assert_false(parses_with(*state, SYN_ACK4, 2, "ffff"));
    assert_false(parses_with(*state, SYN_ACK4, 2, "0013")); /* less than the header */
    assert_false(parses_with(*state, SYN_ACK4, 2, "0000"));
    assert_true(parses_with(*state, SYN_ACK4, 0, "4a"));
    assert_false(parses_with(*state, SYN_ACK4, 0, "4b")); /* a header longer than the packet */
    assert_false(parses_with(*state, SYN_ACK4, 0, "44")); /* shorter than any */
    assert_false(parses_with(*state, SYN_ACK4, 0, "40"));
    assert_true(parses_with(*state, SYN_ACK6, 4, "0014"));
    assert_false(parses_with(*state, SYN_ACK6, 4, "0015"));
    assert_false(parses_with(*state, SYN_ACK6, 4, "ffff"));
    assert_true(parses_with(*state, SYN_ACK6, 4, "0000")); /* without any payload */
    assert_false(parses_with(*state, JUMBO6, 0, ""));
    assert_true(parses_with(*state, CHAIN6, 40, "3b09")); /* options that leave four bytes */
    assert_false(parses_with(*state, CHAIN6, 40, "3b0a"));
    assert_false(parses_with(*state, CHAIN6, 40, "3bff"));
    assert_true(parses_with(*state, CHAIN6, 80, "3b09")); /* authentication, up to the last byte */
    assert_false(parses_with(*state, CHAIN6, 80, "3b0a"));
    assert_false(parses_with(*state, CHAIN6, 80, "3bff"));
}

static void other_versions_are_none(void **state)
{
    static const char *const versions[] = {"05", "15", "35", "55", "75", "f5"};
    struct ip_view ip;
    for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++)
        assert_false(parses_with(*state, SYN_ACK4, 0, versions[i]));
    assert_false(ip_view_parse(NULL, 0, false, &ip));
}

static void extension_headers_come_to_an_end(void **state)
{
    unsigned char packet[40 + 8 * 40] = {0x60, 0, 0, 0, 0, 0, IPPROTO_DSTOPTS};
    struct ip_view ip;
    for (size_t headers = 1; headers <= 40; headers++) {
        for (size_t i = 0; i < headers; i++)
            packet[40 + 8 * i] = i + 1 < headers ? IPPROTO_DSTOPTS : IPPROTO_NONE;
        packet[4] = (unsigned char)(8 * headers >> 8);
        packet[5] = (unsigned char)(8 * headers);
        const size_t length = 40 + 8 * headers;
        const bool seen = ip_view_parse(place(*state, packet, length), length, true, &ip);
        assert_int_equal(seen, headers < 16);
        if (seen) {
            assert_int_equal(ip.protocol, IPPROTO_NONE);
            assert_int_equal(ip.length, 0);
        }
    }
}

static void a_segment_needs_its_whole_header(void **state)
{
    struct ip_view ip = parse(*state, SYN_ACK4);
    unsigned char segment[20];
    struct tcp_view tcp = {.window = 7};
    memcpy(segment, ip.payload, sizeof(segment));
    ip.payload = segment;
    for (ip.length = 0; ip.length < sizeof(segment); ip.length++)
        assert_false(tcp_view_parse(&ip, false, &tcp));
    segment[12] = 0x40; /* 16 bytes */
    assert_false(tcp_view_parse(&ip, false, &tcp));
    segment[12] = 0x60; /* 24 bytes */
    assert_false(tcp_view_parse(&ip, false, &tcp));
    segment[12] = 0x50;
    assert_int_equal(tcp.window, 7); /* a failed call leaves it alone */
    assert_true(tcp_view_parse(&ip, false, &tcp));
    ip.protocol = IPPROTO_UDP;
    assert_false(tcp_view_parse(&ip, false, &tcp));
}

/* ---- ICMP ---- */

static struct icmp_error_view parse_error(const struct world *world, const char *hexadecimal)
{
    const struct ip_view ip = parse(world, hexadecimal);
    struct icmp_error_view error;
    assert_true(icmp_error_view_parse(&ip, true, &error));
    assert_int_equal(error.source, 60000);
    assert_int_equal(error.destination, 443);
    assert_int_equal(error.sequence, 0x01020304);
    assert_int_equal(error.quoted.protocol, IPPROTO_TCP);
    if (ip.source.family == ADDRESS_IPV4) {
        assert_address(&error.quoted.source, "192.0.2.1");
        assert_address(&error.quoted.destination, "198.51.100.7");
    } else {
        assert_address(&error.quoted.source, "2001:db8::1");
        assert_address(&error.quoted.destination, "2001:db8:7::7");
    }
    return error;
}

static void errors_are_seen_with_what_they_quote(void **state)
{
    static const struct {
        const char *sample;
        uint8_t type, code;
        size_t length; /* of the quoted payload */
    } cases[] = {
        {UNREACHABLE4, 3, 3, 8},  {SWAPPED_TOTAL4, 3, 1, 24},
        {EXTENSION4, 11, 0, 120}, /* what is added is not told apart from what is quoted */
        {UNREACHABLE6, 1, 4, 24}, {EXCEEDED6, 3, 0, 8},
        {PROBLEM6, 4, 1, 24},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct icmp_error_view error = parse_error(*state, cases[i].sample);
        assert_int_equal(error.type, cases[i].type);
        assert_int_equal(error.code, cases[i].code);
        assert_int_equal(error.quoted.length, cases[i].length);
    }
}

/* Whether the sample with some of its bytes replaced is an error, whatever its checksum. */
static bool is_error_with(const struct world *world, const char *hexadecimal, size_t at,
                          const char *replacement)
{
    struct sample sample = sample_of(hexadecimal);
    const struct sample bytes = sample_of(replacement);
    struct ip_view ip;
    struct icmp_error_view error;
    memcpy(sample.bytes + at, bytes.bytes, bytes.length);
    return ip_view_parse(place(world, sample.bytes, sample.length), sample.length, false, &ip) &&
           icmp_error_view_parse(&ip, false, &error);
}

static void only_errors_are_errors(void **state)
{
    char type[3];
    for (unsigned i = 0; i < 256; i++) {
        snprintf(type, sizeof(type), "%02x", i);
        assert_int_equal(is_error_with(*state, UNREACHABLE4, 20, type),
                         i == 3 || i == 11 || i == 12);
        assert_int_equal(is_error_with(*state, UNREACHABLE6, 40, type), i == 1 || i == 3 || i == 4);
        assert_int_equal(is_error_with(*state, UNREACHABLE4, 9, type), i == IPPROTO_ICMP);
        assert_int_equal(is_error_with(*state, UNREACHABLE4, 28 + 9, type), i == IPPROTO_TCP);
    }
    assert_false(is_error_with(*state, UNREACHABLE6, 6, "01")); /* ICMP over IPv6 */
    assert_false(is_error_with(*state, UNREACHABLE4, 9, "3a")); /* ICMPv6 over IPv4 */
    assert_false(is_error_with(*state, UNREACHABLE6, 48 + 6, "11"));
    assert_false(is_error_with(*state, QUOTE6_IN4, 0, "")); /* the other family is quoted */
}

static void quotations_may_be_changed_and_cut(void **state)
{
    assert_true(is_error_with(*state, UNREACHABLE4, 28 + 2, "0000")); /* its length */
    assert_true(is_error_with(*state, UNREACHABLE4, 28 + 2, "ffff"));
    assert_true(is_error_with(*state, UNREACHABLE4, 28 + 6, "0040")); /* swapped: do not fragment */
    assert_true(is_error_with(*state, UNREACHABLE4, 28 + 10, "abcd")); /* its checksum */
    assert_true(is_error_with(*state, UNREACHABLE6, 48 + 4, "0000"));
    assert_false(is_error_with(*state, UNREACHABLE4, 28 + 6, "0002")); /* a later fragment */
    assert_false(is_error_with(*state, UNREACHABLE4, 28, "46")); /* only four bytes are left */
    assert_false(is_error_with(*state, UNREACHABLE4, 28, "44"));
    assert_false(is_error_with(*state, UNREACHABLE4, 2, "0037")); /* seven bytes */
    assert_false(is_error_with(*state, EXCEEDED6, 4, "0037"));
}

/* ---- hostile bytes ---- */

static const char *const samples[] = {
    SYN_ACK4,     OPTIONS4,   TRAILER4,        FIRST_FRAGMENT4, SYN_ACK6, CHAIN6,
    PROBE4,       PROBE6,     FIRST_FRAGMENT6, LATER_FRAGMENT6, JUMBO6,   UNREACHABLE4,
    UNREACHABLE6, EXTENSION4, SWAPPED_TOTAL4,  EXCEEDED6,       PROBLEM6,
};

/* Every byte of a view is read, so that one outside of the readable world is noticed. Returns
 * whether a payload was understood. */
static bool look(const unsigned char *bytes, size_t length, bool check)
{
    struct ip_view ip;
    struct tcp_view tcp;
    struct icmp_error_view error;
    if (!ip_view_parse(bytes, length, check, &ip))
        return false;
    assert_true(ip.payload >= bytes && ip.payload + ip.length <= bytes + length);
    (void)internet_sum(ip.payload, ip.length, 0);
    if (tcp_view_parse(&ip, check, &tcp))
        return true;
    if (!icmp_error_view_parse(&ip, check, &error))
        return false;
    assert_true(error.quoted.payload + error.quoted.length == ip.payload + ip.length);
    (void)internet_sum(error.quoted.payload, error.quoted.length, 0);
    return true;
}

static void nothing_is_read_after_the_end(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
        const struct sample sample = sample_of(samples[i]);
        for (size_t length = 0; length <= sample.length; length++) {
            const unsigned char *at = place(*state, sample.bytes, length);
            const bool whole =
                length == sample.length || (samples[i] == samples[2] && length >= 40);
            const bool understood = look(at, length, false);
            if (!whole)
                assert_false(understood);
            look(at, length, true);
        }
    }
}

static void no_bit_leads_outside(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
        struct sample sample = sample_of(samples[i]);
        for (size_t bit = 0; bit < sample.length * 8; bit++) {
            sample.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            look(place(*state, sample.bytes, sample.length), sample.length, false);
            sample.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    }
}

/* Of IPv6, the traffic class, the flow label and the hop limit are not covered. */
static bool is_covered(const struct sample *sample, size_t at, size_t bit)
{
    if (sample->bytes[0] >> 4 == 4)
        return true;
    return at > 7 || (at == 0 && bit >= 4) || (at >= 4 && at <= 6);
}

static void checksums_find_every_changed_bit(void **state)
{
    static const char *const whole[] = {SYN_ACK4, OPTIONS4,     SYN_ACK6,     PROBE4,
                                        PROBE6,   UNREACHABLE4, UNREACHABLE6, EXTENSION4};
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++) {
        struct sample sample = sample_of(whole[i]);
        assert_true(look(place(*state, sample.bytes, sample.length), sample.length, true));
        for (size_t bit = 0; bit < sample.length * 8; bit++) {
            sample.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_int_equal(look(place(*state, sample.bytes, sample.length), sample.length, true),
                             !is_covered(&sample, bit / 8, bit % 8));
            sample.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    }
}

/* ---- checksums ---- */

static uint16_t checksum(const void *bytes, size_t length)
{
    return ntohs(internet_fold(internet_sum(bytes, length, 0)));
}

static void known_checksums_are_met(void **state)
{
    (void)state;
    static const unsigned char rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    static const unsigned char ones[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const unsigned char odd[] = {0x01, 0x02, 0x03};
    assert_int_equal(checksum(rfc1071, sizeof(rfc1071)), 0x220d); /* RFC 1071 §3: sum ddf2 */
    assert_int_equal(checksum(NULL, 0), 0xffff);
    assert_int_equal(checksum(ones, sizeof(ones)), 0);
    assert_int_equal(checksum(odd, sizeof(odd)), 0xfbfd); /* 0102 + 0300 */
    assert_int_equal(checksum(odd, 1), 0xfeff);
}

static uint16_t plain_checksum(const unsigned char *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void every_length_and_alignment_sums_up(void **state)
{
    unsigned char bytes[200];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        random = random * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(i % 3 ? random >> 24 : 0xff);
    }
    for (size_t length = 0; length <= 128; length++) {
        unsigned char *at = place(*state, bytes, length);
        assert_int_equal(checksum(at, length), plain_checksum(at, length));
        for (size_t start = 0; start < 16; start++)
            assert_int_equal(checksum(bytes + start, length),
                             plain_checksum(bytes + start, length));
        for (size_t cut = 0; cut <= length; cut += 2) {
            uint64_t sum = internet_sum(bytes, cut, 0);
            sum = internet_sum(bytes + cut, length - cut, sum);
            assert_int_equal(ntohs(internet_fold(sum)), plain_checksum(bytes, length));
        }
    }
}

/* ---- packets that are built ---- */

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

static struct tcp_packet probe(const char *source, const char *destination, uint16_t mss)
{
    return (struct tcp_packet){
        .source = address_of(source),
        .destination = address_of(destination),
        .source_port = 60000,
        .destination_port = 443,
        .sequence = 0x01020304,
        .window = 1024,
        .flags = TCP_SYN,
        .ttl = 57,
        .mss = mss,
        .identification = 7,
    };
}

static void assert_built(const struct tcp_packet *packet, const char *hexadecimal)
{
    const struct sample sample = sample_of(hexadecimal);
    unsigned char bytes[TCP_PACKET_MAXIMUM];
    memset(bytes, 0xee, sizeof(bytes)); /* what was there before does not matter */
    assert_int_equal(tcp_packet_build(packet, bytes), sample.length);
    assert_memory_equal(bytes, sample.bytes, sample.length);
}

static void probes_are_built_to_the_byte(void **state)
{
    (void)state;
    struct tcp_packet packet = probe("192.0.2.1", "198.51.100.7", 1460);
    assert_built(&packet, PROBE4);
    packet = probe("2001:db8::1", "2001:db8:7::7", 1440);
    assert_built(&packet, PROBE6);
}

static void a_zone_does_not_leave(void **state)
{
    (void)state;
    struct tcp_packet packet = probe("2001:db8::1", "2001:db8:7::7", 1440);
    packet.destination.scope = 3;
    assert_built(&packet, PROBE6);
}

static void what_is_built_is_seen_again(void **state)
{
    static const char *const ends[][2] = {
        {"192.0.2.1", "198.51.100.7"}, {"255.255.255.255", "255.255.255.255"},
        {"0.0.0.0", "0.0.0.1"},        {"2001:db8::1", "2001:db8:7::7"},
        {"fe80::1", "fe80::ffff"},     {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "::1"},
    };
    const uint32_t numbers[] = {0, 1, 0x7fffffff, 0x80000000, 0xffff0000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        for (unsigned variant = 0; variant < 256 * 6; variant++) {
            struct tcp_packet packet =
                probe(ends[i][0], ends[i][1], variant & 1 ? (uint16_t)(variant * 41) : 0);
            unsigned char bytes[TCP_PACKET_MAXIMUM];
            struct ip_view ip;
            struct tcp_view tcp;
            packet.flags = (uint8_t)variant;
            packet.acknowledgment = numbers[variant % 6];
            packet.sequence = numbers[variant / 256];
            packet.destination_port = (uint16_t)(variant * 997);
            packet.window = (uint16_t)~variant;
            const size_t length = tcp_packet_build(&packet, bytes);
            const size_t headers = packet.source.family == ADDRESS_IPV4 ? 40 : 60;
            assert_int_equal(length, headers + (packet.mss ? 4 : 0));
            assert_true(ip_view_parse(place(*state, bytes, length), length, true, &ip));
            assert_true(tcp_view_parse(&ip, true, &tcp));
            assert_true(address_equal(&ip.source, &packet.source));
            assert_true(address_equal(&ip.destination, &packet.destination));
            assert_int_equal(ip.ttl, 57);
            assert_int_equal(tcp.source, packet.source_port);
            assert_int_equal(tcp.destination, packet.destination_port);
            assert_int_equal(tcp.flags, packet.flags);
            assert_int_equal(tcp.sequence, packet.sequence);
            assert_int_equal(tcp.acknowledgment, packet.acknowledgment);
            assert_int_equal(tcp.window, packet.window);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_seen_over_ipv4),
        cmocka_unit_test(a_segment_is_seen_over_ipv6),
        cmocka_unit_test(what_stands_before_the_segment_is_passed_over),
        cmocka_unit_test(what_ethernet_adds_is_left_out),
        cmocka_unit_test(of_fragments_the_first_is_seen),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(other_versions_are_none),
        cmocka_unit_test(extension_headers_come_to_an_end),
        cmocka_unit_test(a_segment_needs_its_whole_header),
        cmocka_unit_test(errors_are_seen_with_what_they_quote),
        cmocka_unit_test(only_errors_are_errors),
        cmocka_unit_test(quotations_may_be_changed_and_cut),
        cmocka_unit_test(nothing_is_read_after_the_end),
        cmocka_unit_test(no_bit_leads_outside),
        cmocka_unit_test(checksums_find_every_changed_bit),
        cmocka_unit_test(known_checksums_are_met),
        cmocka_unit_test(every_length_and_alignment_sums_up),
        cmocka_unit_test(probes_are_built_to_the_byte),
        cmocka_unit_test(a_zone_does_not_leave),
        cmocka_unit_test(what_is_built_is_seen_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
