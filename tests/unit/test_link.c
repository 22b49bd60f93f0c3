/* Links without a network: which packets the filter lets pass, run by libpcap's interpreter, which
 * routes each link carries, and capture files. What the kernel does with them is test_link.py's. */
#include "link/batch.h"
#include "link/packet_filter.h"
#include "net/packet.h"
#include "scan/link.h"

#include <errno.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include <cmocka.h>

#define FIRST 40000
#define LAST 40015
#define KEEP 1000
#define SAMPLE_MAXIMUM 256

extern const struct link_class link_pcap;

static const struct link_class *class_of(const char *name)
{
    for (size_t i = 0; link_classes[i]; i++)
        if (strcmp(link_classes[i]->name, name) == 0)
            return link_classes[i];
    fail_msg("no link %s", name);
    return NULL;
}

/* ---- packets ---- */

struct sample {
    size_t length;
    unsigned char bytes[SAMPLE_MAXIMUM];
};

/* From hexadecimal digits, between which blanks mean nothing. */
static struct sample sample_of(const char *text)
{
    struct sample sample = {0};
    for (; *text; text++) {
        if (*text == ' ')
            continue;
        const char digits[] = {text[0], text[1], '\0'};
        assert_true(sample.length < SAMPLE_MAXIMUM);
        sample.bytes[sample.length++] = (unsigned char)strtoul(digits, NULL, 16);
        text++;
    }
    return sample;
}

/* A TCP packet to `port`, of the family of `to`. */
static struct sample tcp_to(const char *to, uint16_t port)
{
    struct tcp_packet packet = {
        .source_port = 443,
        .destination_port = port,
        .flags = TCP_SYN | TCP_ACK,
        .ttl = 60,
        .identification = 7,
    };
    struct sample sample = {0};
    assert_int_equal(address_parse(to, strlen(to), &packet.destination, NULL), 0);
    packet.source = packet.destination;
    packet.source.value++;
    sample.length = tcp_packet_build(&packet, sample.bytes);
    return sample;
}

/* The first bytes of IPv4 and IPv6 packets, without what follows them. */
#define IPV4(protocol) "4500001c 00070000 39" protocol "0000 c6120002 c6120001"
#define IPV4_OPTIONS(protocol)                                                                     \
    "47000024 00070000 39" protocol "0000 c6120002 c6120001 9404000001010100"
#define IPV6(next) "60000000 0008" next "40" IPV6_ADDRESSES
#define IPV6_ADDRESSES "fd000000000000000000000000000002 fd000000000000000000000000000001"
#define TCP_TO_40000 "01bb9c40 00000000 00000000 5012faf0 00000000"

/* ---- the filter ---- */

/* Runs the filter of a block of ports. */
static unsigned interpret_block(uint16_t first, uint16_t last, const unsigned char *bytes,
                                size_t length)
{
    struct sock_filter program[PACKET_FILTER_SIZE];
    struct bpf_insn instructions[PACKET_FILTER_SIZE];
    size_t count = packet_filter_build(first, last, KEEP, program);
    for (size_t i = 0; i < count; i++)
        instructions[i] = (struct bpf_insn){
            .code = program[i].code, .jt = program[i].jt, .jf = program[i].jf, .k = program[i].k};
    assert_true(bpf_validate(instructions, (int)count));

    /* In memory of its own size, so that a sanitizer sees a look beyond the end. */
    unsigned char *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, length);
    unsigned kept = bpf_filter(instructions, exact, (unsigned)length, (unsigned)length);
    free(exact);
    return kept;
}

static unsigned interpret(const unsigned char *bytes, size_t length)
{
    return interpret_block(FIRST, LAST, bytes, length);
}

static bool passes(const struct sample *sample)
{
    unsigned kept = interpret(sample->bytes, sample->length);
    assert_true(kept == 0 || kept == KEEP);
    return kept;
}

/* Whether it passes, and passes too when cut after `needed` bytes, but not when cut sooner. */
static void assert_needs(const char *text, size_t needed)
{
    const struct sample sample = sample_of(text);
    for (size_t length = 0; length <= sample.length; length++)
        if ((interpret(sample.bytes, length) != 0) != (length >= needed))
            fail_msg("%s: wrong when cut after %zu bytes", text, length);
}

static void assert_drops(const char *text)
{
    const struct sample sample = sample_of(text);
    for (size_t length = 0; length <= sample.length; length++)
        if (interpret(sample.bytes, length))
            fail_msg("%s: passes when cut after %zu bytes", text, length);
}

static void test_ports_of_the_block_pass(void **state)
{
    (void)state;
    static const struct {
        uint16_t port;
        bool expected;
    } ports[] = {
        {0, false},   {1, false},        {FIRST - 1, false}, {FIRST, true}, {FIRST + 7, true},
        {LAST, true}, {LAST + 1, false}, {65535, false},     {443, false},  {0x1f40, false},
    };
    static const char *const to[] = {"198.18.0.1", "fd00::1"};
    for (size_t family = 0; family < 2; family++)
        for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
            struct sample sample = tcp_to(to[family], ports[i].port);
            if (passes(&sample) != ports[i].expected)
                fail_msg("port %u of %s", ports[i].port, to[family]);
        }
}

static void test_a_block_may_end_at_the_last_port(void **state)
{
    (void)state;
    const struct sample in = tcp_to("198.18.0.1", 65535), out = tcp_to("198.18.0.1", 65519);
    assert_int_equal(interpret_block(65520, 65535, in.bytes, in.length), KEEP);
    assert_int_equal(interpret_block(65520, 65535, out.bytes, out.length), 0);
}

static void test_ipv4_options_are_skipped(void **state)
{
    (void)state;
    assert_needs(IPV4_OPTIONS("06") TCP_TO_40000, 28 + 4);
    assert_needs(IPV4_OPTIONS("01") "0b000000 00000000", 28 + 1);
    /* The port that would be read if they were not. */
    assert_drops("46000028 00070000 39060000 c6120002 c6120001 01bb9c40 01bb0050 00000000");
    /* The longest header there can be. */
    assert_needs("4f000050 00070000 39060000 c6120002 c6120001"
                 "0101010101010101010101010101010101010101"
                 "0101010101010101010101010101010101010101" TCP_TO_40000,
                 60 + 4);
}

static void test_later_fragments_have_no_ports(void **state)
{
    (void)state;
    assert_drops("45000028 00070001 39060000 c6120002 c6120001" TCP_TO_40000);
    assert_drops("45000028 00073fff 39060000 c6120002 c6120001" TCP_TO_40000);
    assert_drops("45000028 00070001 39010000 c6120002 c6120001 03000000");
    assert_needs("45000028 00072000 39060000 c6120002 c6120001" TCP_TO_40000, 24);
    assert_needs("45000028 00074000 39060000 c6120002 c6120001" TCP_TO_40000, 24);
}

static void test_icmp_errors_pass_and_nothing_else_of_icmp(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        char four[SAMPLE_MAXIMUM], six[SAMPLE_MAXIMUM];
        snprintf(four, sizeof(four), IPV4("01") "%02x000000 00000000", type);
        snprintf(six, sizeof(six), IPV6("3a") "%02x000000 00000000", type);
        if (type == 3 || type == 11 || type == 12)
            assert_needs(four, 20 + 1);
        else
            assert_drops(four);
        /* 136 is an advertisement of a neighbour, the answer to where it is. */
        if (type == 1 || type == 3 || type == 4 || type == 136)
            assert_needs(six, 40 + 1);
        else
            assert_drops(six);
    }
}

static void test_other_protocols_do_not_pass(void **state)
{
    (void)state;
    for (unsigned protocol = 0; protocol < 256; protocol++) {
        /* What follows is TCP to a port of ours and, taken for ICMP of either version, an error. */
#define EITHER "03bb9c40 00000000 00000000 5012faf0 00000000"
        char four[SAMPLE_MAXIMUM], six[SAMPLE_MAXIMUM];
        snprintf(four, sizeof(four), "4500001c 00070000 39%02x0000 c6120002 c6120001" EITHER,
                 protocol);
        snprintf(six, sizeof(six), "60000000 0008%02x40" IPV6_ADDRESSES EITHER, protocol);
        switch (protocol) {
        case IPPROTO_TCP:
            assert_needs(four, 20 + 4);
            assert_needs(six, 40 + 4);
            break;
        case IPPROTO_ICMP:
            assert_needs(four, 20 + 1);
            assert_drops(six);
            break;
        case IPPROTO_ICMPV6:
            assert_drops(four);
            assert_needs(six, 40 + 1);
            break;
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_FRAGMENT:
        case IPPROTO_AH:
        case IPPROTO_DSTOPTS:
            assert_drops(four);
            assert_needs(six, 7);
            break;
        default:
            assert_drops(four);
            assert_drops(six);
        }
    }
}

static void test_arp_replies_pass(void **state)
{
    (void)state;
#define ARP_ADDRESSES "020000000001 c6120002 020000000002 c6120001"
    assert_needs("0001 0800 06 04 0002" ARP_ADDRESSES, 8);
    assert_drops("0001 0800 06 04 0001" ARP_ADDRESSES); /* a request */
    assert_drops("0001 0800 06 04 0003" ARP_ADDRESSES); /* RARP */
    assert_drops("0001 86dd 06 04 0002" ARP_ADDRESSES);
    assert_drops("0006 0800 06 04 0002" ARP_ADDRESSES);
    assert_drops("0001 0800 08 04 0002" ARP_ADDRESSES);
    assert_drops("0001 0800 06 10 0002" ARP_ADDRESSES);
}

static void test_other_versions_do_not_pass(void **state)
{
    (void)state;
    for (unsigned version = 0; version < 16; version++) {
        struct sample four = tcp_to("198.18.0.1", FIRST), six = tcp_to("fd00::1", FIRST);
        four.bytes[0] = (unsigned char)(version << 4 | 5);
        six.bytes[0] = (unsigned char)(version << 4);
        assert_int_equal(passes(&four), version == 4);
        /* The zeros of an IPv6 address make no port of the block when taken for IPv4's. */
        assert_int_equal(passes(&six), version == 6);
    }
}

/* ---- batches ---- */

/* A UDP socket of this machine with a port of its own. */
static int udp_socket(struct sockaddr_in *ret_name)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    *ret_name = name;
    return fd;
}

static void test_an_error_of_before_is_not_the_packet_s_own(void **state)
{
    (void)state;
    struct sockaddr_in name, nobody;
    int fd = udp_socket(&name), other = udp_socket(&nobody);
    assert_int_equal(close(other), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody)), 0);
    assert_int_equal(send(fd, "x", 1, 0), 1); /* and an ICMP error says that nobody is there */

    struct iovec vector = {.iov_base = (char[]){'x'}, .iov_len = 1};
    struct sockaddr_in to = name;
    struct mmsghdr messages[2] = {0};
    for (size_t i = 0; i < 2; i++)
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &vector, .msg_iovlen = 1};
    int code = 0;
    assert_int_equal(batch_send(fd, messages, 2, &code), 2);
    assert_int_equal(code, 0);

    /* One that comes every time is. */
    to.sin_family = AF_INET6;
    assert_int_equal(batch_send(fd, messages, 2, &code), 0);
    assert_int_not_equal(code, 0);
    messages[1].msg_hdr.msg_name = &(struct sockaddr_in){0};
    to.sin_family = AF_INET;
    code = 0;
    assert_int_equal(batch_send(fd, messages, 2, &code), 1);
    assert_int_not_equal(code, 0);
    close(fd);
}

/* ---- routes ---- */

static struct route ethernet(void)
{
    return (struct route){.interface = {.index = 2,
                                        .name = "eth0",
                                        .type = ARPHRD_ETHER,
                                        .flags = IFF_UP | IFF_BROADCAST | IFF_MULTICAST}};
}

static void test_what_each_link_carries(void **state)
{
    (void)state;
    const struct link_class *packet = class_of("packet"), *raw = class_of("raw");
    struct route route = ethernet();
    assert_true(packet->carries(&route));
    assert_true(packet->resolves);
    assert_false(raw->resolves);

    route.local = true; /* an address of our own, whatever device it is on */
    assert_false(packet->carries(&route));
    assert_true(raw->carries(&route));

    route = ethernet();
    route.interface.flags |= IFF_NOARP;
    assert_false(packet->carries(&route));
    assert_true(raw->carries(&route));

    route = ethernet();
    route.interface.flags &= ~(unsigned)IFF_UP;
    assert_false(packet->carries(&route));

    static const unsigned short others[] = {ARPHRD_LOOPBACK, ARPHRD_NONE, ARPHRD_PPP, ARPHRD_TUNNEL,
                                            ARPHRD_INFINIBAND};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        route = ethernet();
        route.interface.type = others[i];
        assert_false(packet->carries(&route));
        assert_true(raw->carries(&route));
    }
}

static void test_no_file_is_tried(void **state)
{
    (void)state;
    size_t count = 0;
    while (link_classes[count])
        count++;
    assert_true(count == 2 || (count == 3 && strcmp(link_classes[0]->name, "xdp") == 0));
    assert_string_equal(link_classes[count - 2]->name, "packet");
    assert_string_equal(link_classes[count - 1]->name, "raw");
    assert_non_null(class_of("packet")->receive);
    assert_null(class_of("raw")->receive);
}

/* ---- capture files ---- */

struct place {
    char directory[64];
    char out[96], in[96];
    char both[200]; /* "OUT,IN" */
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (!place)
        return -1;
    strcpy(place->directory, "/tmp/porthole-link-XXXXXX");
    if (!mkdtemp(place->directory)) {
        free(place);
        return -1;
    }
    snprintf(place->out, sizeof(place->out), "%s/out", place->directory);
    snprintf(place->in, sizeof(place->in), "%s/in", place->directory);
    snprintf(place->both, sizeof(place->both), "%s,%s", place->out, place->in);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->out);
    unlink(place->in);
    int result = rmdir(place->directory);
    free(place);
    return result;
}

/* Writes IN: `count` times `prefix` and `sample`. */
static void write_in(const struct place *place, int type, const char *prefix,
                     const struct sample *sample, size_t count)
{
    struct sample whole = sample_of(prefix);
    assert_true(whole.length + sample->length <= SAMPLE_MAXIMUM);
    memcpy(whole.bytes + whole.length, sample->bytes, sample->length);
    whole.length += sample->length;
    const struct pcap_pkthdr header = {.caplen = (unsigned)whole.length,
                                       .len = (unsigned)whole.length};
    pcap_t *form = pcap_open_dead(type, 65535);
    assert_non_null(form);
    pcap_dumper_t *dumper = pcap_dump_open(form, place->in);
    assert_non_null(dumper);
    for (size_t i = 0; i < count; i++)
        pcap_dump((unsigned char *)dumper, &header, whole.bytes);
    pcap_dump_close(dumper);
    pcap_close(form);
}

static int open_file(const char *path, struct link **ret_link, struct error *error)
{
    const struct link_options options = {.first_port = FIRST, .last_port = LAST, .path = path};
    return link_pcap.open(&options, ret_link, error);
}

static struct link *must_open(const char *path)
{
    struct link *link = NULL;
    struct error error = {0};
    if (open_file(path, &link, &error))
        fail_msg("%s", error.message);
    return link;
}

static void test_what_is_sent_is_written(void **state)
{
    const struct place *place = *state;
    struct link *link = must_open(place->out);
    const struct sample samples[] = {tcp_to("198.18.0.1", 80), tcp_to("fd00::1", 443)};
    unsigned char memory[2][LINK_HEADROOM + TCP_PACKET_MAXIMUM];
    struct outgoing packets[2];
    const struct route route = ethernet();
    for (size_t i = 0; i < 2; i++) {
        unsigned char *bytes = memory[i] + LINK_HEADROOM;
        memcpy(bytes, samples[i].bytes, samples[i].length);
        packets[i] = (struct outgoing){
            .bytes = bytes, .length = (uint16_t)samples[i].length, .route = &route};
    }
    int code = 0;
    assert_true(link->class->carries(&route));
    assert_int_equal(link->class->send(link, packets, 2, &code), 2);
    assert_int_equal(link->class->facts(link).sent, 2);

    /* It is all there while the link is still open. */
    char message[PCAP_ERRBUF_SIZE];
    pcap_t *file = pcap_open_offline(place->out, message);
    assert_non_null(file);
    assert_int_equal(pcap_datalink(file), DLT_RAW);
    struct pcap_pkthdr *header;
    const unsigned char *bytes;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pcap_next_ex(file, &header, &bytes), 1);
        assert_int_equal(header->caplen, samples[i].length);
        assert_memory_equal(bytes, samples[i].bytes, samples[i].length);
    }
    assert_int_equal(pcap_next_ex(file, &header, &bytes), PCAP_ERROR_BREAK);
    pcap_close(file);

    struct incoming incoming;
    assert_int_equal(link->class->receive(link, 1, &incoming, 1), 0); /* nothing is to be read */
    link->class->close(link);
}

static void test_packets_of_every_kind_of_file_are_read(void **state)
{
    const struct place *place = *state;
    static const struct {
        int type;
        const char *prefix4, *prefix6;
    } kinds[] = {
        {DLT_RAW, "", ""},
        {DLT_NULL, "02000000", "1c000000"},
        {DLT_EN10MB, "020000000001 020000000002 0800", "020000000001 020000000002 86dd"},
        {DLT_EN10MB, "020000000001 020000000002 8100 0005 0800",
         "020000000001 020000000002 88a8 0005 8100 0006 86dd"},
        {DLT_LINUX_SLL, "0000 0001 0006 0200000000010000 0800",
         "0000 0001 0006 0200000000010000 86dd"},
        {DLT_LINUX_SLL2, "0800 0000 00000002 0001 00 06 0200000000010000",
         "86dd 0000 00000002 0001 00 06 0200000000010000"},
    };
    const struct sample samples[] = {tcp_to("198.18.0.1", FIRST), tcp_to("fd00::1", LAST)};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        for (size_t family = 0; family < 2; family++) {
            const struct sample *sample = &samples[family];
            write_in(place, kinds[i].type, family ? kinds[i].prefix6 : kinds[i].prefix4, sample, 1);
            struct link *link = must_open(place->both);
            struct incoming packet;
            assert_int_equal(link->class->receive(link, 0, &packet, 1), 1);
            assert_int_equal(packet.protocol, family ? ETH_P_IPV6 : ETH_P_IP);
            assert_int_equal(packet.length, sample->length);
            assert_memory_equal(packet.bytes, sample->bytes, sample->length);
            assert_false(packet.verified);
            link->class->release(link);
            assert_int_equal(link->class->receive(link, 0, &packet, 1), 0);
            link->class->close(link);
        }
}

static void test_packets_come_in_order_and_hold(void **state)
{
    const struct place *place = *state;
    const struct sample sample = tcp_to("198.18.0.1", FIRST);
    write_in(place, DLT_RAW, "", &sample, 100);
    struct link *link = must_open(place->both);
    struct incoming packets[64];
    assert_int_equal(link->class->receive(link, 0, packets, 10), 10);
    assert_int_equal(link->class->receive(link, 0, packets + 10, 54), 54);
    for (size_t i = 0; i < 64; i++) {
        assert_memory_equal(packets[i].bytes, sample.bytes, sample.length);
        assert_true(i == 0 || packets[i].time >= packets[i - 1].time);
    }
    link->class->release(link);
    assert_int_equal(link->class->receive(link, 0, packets, 64), 36);
    link->class->release(link);
    assert_int_equal(link->class->receive(link, 1, packets, 64), 0);
    link->class->close(link);
}

static void test_what_is_none_of_our_business_is_left_out(void **state)
{
    const struct place *place = *state;
    const struct sample sample = tcp_to("198.18.0.1", LAST + 1);
    write_in(place, DLT_RAW, "", &sample, 5);
    struct link *link = must_open(place->both);
    struct incoming packet;
    assert_int_equal(link->class->receive(link, 0, &packet, 1), 0);
    link->class->close(link);
}

static void test_cut_packets_are_left_out(void **state)
{
    const struct place *place = *state;
    const struct sample nothing = {0};
    write_in(place, DLT_EN10MB, "020000000001 0200", &nothing, 2);
    struct link *link = must_open(place->both);
    struct incoming packet;
    assert_int_equal(link->class->receive(link, 0, &packet, 1), 0);
    link->class->close(link);

    write_in(place, DLT_EN10MB, "020000000001 020000000002 8100 00", &nothing, 2);
    link = must_open(place->both);
    assert_int_equal(link->class->receive(link, 0, &packet, 1), 0);
    link->class->close(link);
}

static void assert_refused(const char *path, const char *words)
{
    struct link *link = NULL;
    struct error error = {0};
    assert_int_equal(open_file(path, &link, &error), -EINVAL);
    assert_null(link);
    assert_non_null(strstr(error.message, words));
}

static void test_wrong_paths_are_refused(void **state)
{
    const struct place *place = *state;
    const struct sample sample = tcp_to("198.18.0.1", FIRST);
    assert_refused(NULL, "OUT.pcap");
    assert_refused("", "OUT.pcap");
    assert_refused(",in", "OUT.pcap");
    assert_refused("out,", "OUT.pcap");
    assert_refused("/nonexistent/directory/out", "/nonexistent/directory/out");

    /* Whatever is wrong with IN, OUT is not touched. */
    assert_refused(place->both, "in: No such file");
    write_in(place, DLT_IEEE802_11, "", &sample, 1);
    assert_refused(place->both, "IEEE802_11");
    FILE *file = fopen(place->in, "w");
    assert_non_null(file);
    fputs("no packets", file);
    fclose(file);
    assert_refused(place->both, "cannot read packets");
    assert_int_equal(access(place->out, F_OK), -1);
}

int main(void)
{
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports_of_the_block_pass),
        cmocka_unit_test(test_a_block_may_end_at_the_last_port),
        cmocka_unit_test(test_ipv4_options_are_skipped),
        cmocka_unit_test(test_later_fragments_have_no_ports),
        cmocka_unit_test(test_icmp_errors_pass_and_nothing_else_of_icmp),
        cmocka_unit_test(test_other_protocols_do_not_pass),
        cmocka_unit_test(test_arp_replies_pass),
        cmocka_unit_test(test_other_versions_do_not_pass),
        cmocka_unit_test(test_an_error_of_before_is_not_the_packet_s_own),
        cmocka_unit_test(test_what_each_link_carries),
        cmocka_unit_test(test_no_file_is_tried),
        FILE_TEST(test_what_is_sent_is_written),
        FILE_TEST(test_packets_of_every_kind_of_file_are_read),
        FILE_TEST(test_packets_come_in_order_and_hold),
        FILE_TEST(test_what_is_none_of_our_business_is_left_out),
        FILE_TEST(test_cut_packets_are_left_out),
        FILE_TEST(test_wrong_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
