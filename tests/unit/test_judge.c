/* What packets that come in say about probes: every technique, every answer, and everything that is
 * almost one. */
#include "probe/judge.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

extern const struct prober_class prober_tcp_syn, prober_tcp_ack, prober_tcp_fin, prober_tcp_null,
    prober_tcp_xmas, prober_tcp_window, prober_tcp_maimon;

static const struct {
    const struct prober_class *class;
    const char *name;
    uint8_t flags;
    bool option, acknowledges;
    enum port_state refused, silence;
} techniques[] = {
    {&prober_tcp_syn, "tcp-syn", 0x02, true, false, STATE_CLOSED, STATE_FILTERED},
    {&prober_tcp_ack, "tcp-ack", 0x10, false, true, STATE_UNFILTERED, STATE_FILTERED},
    {&prober_tcp_fin, "tcp-fin", 0x01, false, false, STATE_CLOSED, STATE_OPEN_FILTERED},
    {&prober_tcp_null, "tcp-null", 0x00, false, false, STATE_CLOSED, STATE_OPEN_FILTERED},
    {&prober_tcp_xmas, "tcp-xmas", 0x29, false, false, STATE_CLOSED, STATE_OPEN_FILTERED},
    {&prober_tcp_window, "tcp-window", 0x10, false, true, STATE_CLOSED, STATE_FILTERED},
    {&prober_tcp_maimon, "tcp-maimon", 0x11, false, true, STATE_CLOSED, STATE_OPEN_FILTERED},
};
#define TECHNIQUES (sizeof(techniques) / sizeof(*techniques))

static const struct cookies cookies = {.key = {{1, 2}}, .first_port = 60000};

#define TAG 3
#define OUR_PORT (60000 + TAG)
#define PORT 443
#define UNRELATED 0x5eed5eed /* a number that has nothing to do with a cookie */

/* ---- packets ---- */

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

struct ends {
    struct address us, them, router;
};

static struct ends ends_of(enum address_family family)
{
    if (family == ADDRESS_IPV4)
        return (struct ends){address_of("192.0.2.1"), address_of("198.51.100.7"),
                             address_of("203.0.113.9")};
    return (struct ends){address_of("2001:db8::1"), address_of("2001:db8:7::7"),
                         address_of("2001:db8:9::9")};
}

static uint32_t our_cookie(const struct ends *ends)
{
    return cookie_of(&cookies, &ends->us, &ends->them, OUR_PORT, PORT);
}

/* The segment that answers, but for its flags and numbers. */
static struct tcp_packet answer(const struct ends *ends)
{
    return (struct tcp_packet){
        .source = ends->them,
        .destination = ends->us,
        .source_port = PORT,
        .destination_port = OUR_PORT,
        .sequence = UNRELATED,
        .acknowledgment = UNRELATED,
        .ttl = 57,
    };
}

static struct tcp_packet syn_ack(const struct ends *ends)
{
    struct tcp_packet packet = answer(ends);
    packet.flags = TCP_SYN | TCP_ACK;
    packet.acknowledgment = our_cookie(ends) + 1;
    packet.mss = 1460;
    return packet;
}

static bool judge(const struct prober_class *class, const struct tcp_packet *packet,
                  struct heard *ret_heard)
{
    unsigned char bytes[TCP_PACKET_MAXIMUM];
    const size_t length = tcp_packet_build(packet, bytes);
    return judge_packet(class->technique, &cookies, bytes, length, false, ret_heard);
}

static bool is_heard(const struct prober_class *class, const struct tcp_packet *packet)
{
    struct heard heard;
    return judge(class, packet, &heard);
}

static void assert_about(const struct heard *heard, const struct ends *ends)
{
    assert_true(address_equal(&heard->to.address, &ends->them));
    assert_int_equal(heard->to.port.protocol, PROTOCOL_TCP);
    assert_int_equal(heard->to.port.number, PORT);
    assert_int_equal(heard->tag, TAG);
}

/* ---- techniques ---- */

static void techniques_send_what_they_are_known_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < TECHNIQUES; i++) {
        const struct prober_class *class = techniques[i].class;
        assert_string_equal(class->name, techniques[i].name);
        assert_int_equal(class->protocol, PROTOCOL_TCP);
        assert_true(class->stateless);
        assert_int_equal(class->words.refused, techniques[i].refused);
        assert_int_equal(class->words.silence, techniques[i].silence);
        assert_int_equal(class->technique->flags, techniques[i].flags);
        assert_int_equal(class->technique->option, techniques[i].option);
        assert_int_equal(class->technique->acknowledges, techniques[i].acknowledges);
    }
}

/* Where in an answer the cookie stands. */
enum form { SEQUENCE, ACKNOWLEDGED, ACKNOWLEDGED_PLUS_ONE, PLUS_TWO, MINUS_ONE, NOWHERE, FORMS };

static struct tcp_packet answer_in_form(const struct ends *ends, enum form form, uint8_t flags)
{
    struct tcp_packet packet = answer(ends);
    const uint32_t cookie = our_cookie(ends);
    packet.flags = flags;
    switch (form) {
    case SEQUENCE:
        packet.sequence = cookie;
        break;
    case ACKNOWLEDGED:
        packet.acknowledgment = cookie;
        break;
    case ACKNOWLEDGED_PLUS_ONE:
        packet.acknowledgment = cookie + 1;
        break;
    case PLUS_TWO:
        packet.sequence = packet.acknowledgment = cookie + 2;
        break;
    case MINUS_ONE:
        packet.sequence = packet.acknowledgment = cookie - 1;
        break;
    case NOWHERE:
    case FORMS:
        break;
    }
    return packet;
}

/* What the answer says by RFC 9293, or STATE_SILENT for nothing. */
static enum port_state expected(size_t technique, enum form form, uint8_t flags)
{
    const bool reset = flags & 0x04, acknowledges = flags & 0x10, opens = flags & 0x02;
    const bool acknowledged = form == ACKNOWLEDGED || form == ACKNOWLEDGED_PLUS_ONE;
    if (techniques[technique].acknowledges)
        return reset && form == SEQUENCE ? techniques[technique].refused : STATE_SILENT;
    if (reset)
        return acknowledges && acknowledged ? STATE_CLOSED : STATE_SILENT;
    if (techniques[technique].class == &prober_tcp_syn && opens && acknowledges &&
        form == ACKNOWLEDGED_PLUS_ONE)
        return STATE_OPEN;
    return STATE_SILENT;
}

static void each_answer_to_each_technique(enum address_family family)
{
    const struct ends ends = ends_of(family);
    for (size_t i = 0; i < TECHNIQUES; i++) {
        for (enum form form = 0; form < FORMS; form++) {
            for (unsigned flags = 0; flags < 256; flags++) {
                const struct tcp_packet packet = answer_in_form(&ends, form, (uint8_t)flags);
                const enum port_state wanted = expected(i, form, (uint8_t)flags);
                struct heard heard = {0};
                const bool said = judge(techniques[i].class, &packet, &heard);
                assert_int_equal(said, wanted != STATE_SILENT);
                assert_int_equal(heard.verdict.state, wanted);
                if (!said)
                    continue;
                assert_about(&heard, &ends);
                assert_int_equal(heard.from.family, ADDRESS_NONE);
                assert_int_equal(heard.verdict.reason,
                                 wanted == STATE_OPEN ? REASON_SYN_ACK : REASON_RESET);
            }
        }
    }
}

static void each_answer_to_each_technique_over_ipv4(void **state)
{
    (void)state;
    each_answer_to_each_technique(ADDRESS_IPV4);
}

static void each_answer_to_each_technique_over_ipv6(void **state)
{
    (void)state;
    each_answer_to_each_technique(ADDRESS_IPV6);
}

static void the_window_tells_only_the_window_scan(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV4);
    for (size_t i = 0; i < TECHNIQUES; i++) {
        const enum form form = techniques[i].acknowledges ? SEQUENCE : ACKNOWLEDGED_PLUS_ONE;
        struct tcp_packet packet = answer_in_form(&ends, form, TCP_RST | TCP_ACK);
        struct heard heard;
        assert_true(judge(techniques[i].class, &packet, &heard));
        assert_int_equal(heard.verdict.state, techniques[i].refused);
        packet.window = 1;
        assert_true(judge(techniques[i].class, &packet, &heard));
        assert_int_equal(heard.verdict.state, techniques[i].class == &prober_tcp_window
                                                  ? STATE_OPEN
                                                  : techniques[i].refused);
        assert_int_equal(heard.verdict.reason, REASON_RESET);
    }
}

/* ---- cookies ---- */

static void cookies_depend_on_all_four_and_on_the_key(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        const struct cookies other = {.key = {{1, 3}}, .first_port = 60000};
        const uint32_t cookie = our_cookie(&ends);
        struct address scoped = ends.them;
        scoped.scope = 7;
        assert_int_not_equal(cookie_of(&cookies, &ends.router, &ends.them, OUR_PORT, PORT), cookie);
        assert_int_not_equal(cookie_of(&cookies, &ends.us, &ends.router, OUR_PORT, PORT), cookie);
        assert_int_not_equal(cookie_of(&cookies, &ends.us, &ends.them, OUR_PORT + 1, PORT), cookie);
        assert_int_not_equal(cookie_of(&cookies, &ends.us, &ends.them, OUR_PORT, PORT + 1), cookie);
        assert_int_not_equal(cookie_of(&cookies, &ends.them, &ends.us, PORT, OUR_PORT), cookie);
        assert_int_not_equal(cookie_of(&other, &ends.us, &ends.them, OUR_PORT, PORT), cookie);
        assert_int_equal(cookie_of(&cookies, &ends.us, &scoped, OUR_PORT, PORT), cookie);
    }
}

/* The values are those of fuzz/make_corpus.py. */
static void cookies_are_siphash(void **state)
{
    (void)state;
    const struct ends four = ends_of(ADDRESS_IPV4), six = ends_of(ADDRESS_IPV6);
    assert_int_equal(our_cookie(&four), 0xe4132b20);
    assert_int_equal(our_cookie(&six), 0x48ca3f88);
}

static void a_cookie_that_is_wrong_by_a_bit_proves_nothing(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV4);
    for (unsigned bit = 0; bit < 32; bit++) {
        struct tcp_packet packet = syn_ack(&ends);
        packet.acknowledgment ^= UINT32_C(1) << bit;
        assert_false(is_heard(&prober_tcp_syn, &packet));
    }
}

static void an_answer_from_elsewhere_proves_nothing(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        struct tcp_packet packet = syn_ack(&ends);
        assert_true(is_heard(&prober_tcp_syn, &packet));
        packet.source.value ^= 1;
        assert_false(is_heard(&prober_tcp_syn, &packet));
        packet = syn_ack(&ends);
        packet.destination.value ^= 1;
        assert_false(is_heard(&prober_tcp_syn, &packet));
        packet = syn_ack(&ends);
        packet.source_port++;
        assert_false(is_heard(&prober_tcp_syn, &packet));
        packet = syn_ack(&ends);
        packet.destination_port++; /* ours as well, but not this probe's */
        assert_false(is_heard(&prober_tcp_syn, &packet));
    }
}

static void only_our_ports_are_ours(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV4);
    static const uint16_t ports[] = {0, 1, 59999, 60016, 60017, 65535};
    struct tcp_packet packet = syn_ack(&ends);
    struct heard heard;
    for (uint16_t tag = 0; tag < PROBE_TAGS; tag++) {
        packet.destination_port = (uint16_t)(60000 + tag);
        packet.acknowledgment =
            cookie_of(&cookies, &ends.us, &ends.them, packet.destination_port, PORT) + 1;
        assert_true(judge(&prober_tcp_syn, &packet, &heard));
        assert_int_equal(heard.tag, tag);
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
        packet.destination_port = ports[i];
        packet.acknowledgment = cookie_of(&cookies, &ends.us, &ends.them, ports[i], PORT) + 1;
        assert_false(is_heard(&prober_tcp_syn, &packet));
    }
}

static void the_last_ports_are_not_followed_by_the_first(void **state)
{
    (void)state;
    const struct cookies last = {.key = {{1, 2}}, .first_port = 65535};
    const struct ends ends = ends_of(ADDRESS_IPV4);
    unsigned char bytes[TCP_PACKET_MAXIMUM];
    struct heard heard;
    for (unsigned port = 65535; port < 65538; port++) {
        struct tcp_packet packet = syn_ack(&ends);
        packet.destination_port = (uint16_t)port;
        packet.acknowledgment = cookie_of(&last, &ends.us, &ends.them, (uint16_t)port, PORT) + 1;
        const size_t length = tcp_packet_build(&packet, bytes);
        assert_int_equal(
            judge_packet(prober_tcp_syn.technique, &last, bytes, length, false, &heard),
            port == 65535);
    }
}

/* On loopback, what leaves comes in. Nor is a probe from one of our ports to another its answer,
 * and not even one from a port to itself. */
static void our_own_probes_are_no_answers(void **state)
{
    (void)state;
    const struct address loopback = address_of("127.0.0.1");
    for (size_t i = 0; i < TECHNIQUES; i++) {
        for (uint16_t port = 60000; port < 60016; port++) {
            const uint32_t cookie = cookie_of(&cookies, &loopback, &loopback, OUR_PORT, port);
            const struct tcp_packet packet = {
                .source = loopback,
                .destination = loopback,
                .source_port = OUR_PORT,
                .destination_port = port,
                .sequence = cookie,
                .acknowledgment = techniques[i].acknowledges ? cookie : 0,
                .flags = techniques[i].flags,
                .window = 1024,
                .ttl = 64,
            };
            for (size_t j = 0; j < TECHNIQUES; j++)
                assert_false(is_heard(techniques[j].class, &packet));
        }
    }
}

/* ---- packets that are not as they should be ---- */

static void a_checksum_counts_unless_somebody_has_looked(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        const struct tcp_packet packet = syn_ack(&ends);
        const struct technique *technique = prober_tcp_syn.technique;
        unsigned char bytes[TCP_PACKET_MAXIMUM];
        struct heard heard = {.tag = 99};
        const size_t length = tcp_packet_build(&packet, bytes);
        bytes[length - 1] ^= 1; /* of the MSS */
        assert_false(judge_packet(technique, &cookies, bytes, length, false, &heard));
        assert_int_equal(heard.tag, 99); /* a failed call leaves it alone */
        assert_true(judge_packet(technique, &cookies, bytes, length, true, &heard));
        assert_about(&heard, &ends);
    }
}

static void fragments_are_no_answers(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV4);
    const struct tcp_packet packet = syn_ack(&ends);
    unsigned char bytes[TCP_PACKET_MAXIMUM];
    struct heard heard;
    const size_t length = tcp_packet_build(&packet, bytes);
    bytes[6] = 0x20; /* more of them */
    assert_false(judge_packet(prober_tcp_syn.technique, &cookies, bytes, length, true, &heard));
}

static void a_packet_that_is_cut_is_no_answer(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV6);
    const struct tcp_packet packet = syn_ack(&ends);
    unsigned char bytes[TCP_PACKET_MAXIMUM];
    struct heard heard;
    const size_t length = tcp_packet_build(&packet, bytes);
    for (size_t cut = 0; cut < length; cut++)
        assert_false(judge_packet(prober_tcp_syn.technique, &cookies, bytes, cut, true, &heard));
}

/* ---- ICMP ---- */

struct icmp {
    uint8_t type, code;
    struct address sender, receiver;
    struct tcp_packet quoted;
    size_t kept; /* bytes of the quoted TCP header */
};

static struct tcp_packet probe(const struct ends *ends)
{
    return (struct tcp_packet){
        .source = ends->us,
        .destination = ends->them,
        .source_port = OUR_PORT,
        .destination_port = PORT,
        .sequence = our_cookie(ends),
        .flags = TCP_SYN,
        .ttl = 1,
        .mss = 1460,
    };
}

static void put_checksum(unsigned char *message, size_t length, uint64_t sum)
{
    const uint16_t checksum = internet_fold(internet_sum(message, length, sum));
    memcpy(message + 2, &checksum, sizeof(checksum));
}

/* Makes the packet out of a built one, whose IP header has the right addresses and a payload of the
 * wrong length and protocol. Returns its length. */
static size_t error_build(const struct icmp *error, unsigned char bytes[256])
{
    const bool four = error->sender.family == ADDRESS_IPV4;
    const size_t header = four ? 20 : 40;
    unsigned char *message = bytes + header;
    const struct tcp_packet carrier = {
        .source = error->sender, .destination = error->receiver, .ttl = 57};
    tcp_packet_build(&carrier, bytes);
    memset(message, 0, 8);
    message[0] = error->type;
    message[1] = error->code;
    tcp_packet_build(&error->quoted, message + 8);
    const size_t length = 8 + header + error->kept;
    if (four) {
        bytes[3] = (unsigned char)(header + length);
        bytes[9] = IPPROTO_ICMP;
        bytes[10] = bytes[11] = 0;
        const uint16_t checksum = internet_fold(internet_sum(bytes, header, 0));
        memcpy(bytes + 10, &checksum, sizeof(checksum));
        put_checksum(message, length, 0);
    } else {
        bytes[5] = (unsigned char)length;
        bytes[6] = IPPROTO_ICMPV6;
        const unsigned char rest[8] = {0, 0, 0, (unsigned char)length, 0, 0, 0, IPPROTO_ICMPV6};
        put_checksum(message, length,
                     internet_sum(rest, sizeof(rest), internet_sum(bytes + 8, 32, 0)));
    }
    return header + length;
}

static bool judge_error(const struct prober_class *class, const struct icmp *error,
                        struct heard *ret_heard)
{
    unsigned char bytes[256];
    const size_t length = error_build(error, bytes);
    return judge_packet(class->technique, &cookies, bytes, length, false, ret_heard);
}

static struct icmp error_of(const struct ends *ends)
{
    return (struct icmp){
        .type = ends->us.family == ADDRESS_IPV4 ? 3 : 1,
        .code = 1,
        .sender = ends->router,
        .receiver = ends->us,
        .quoted = probe(ends),
        .kept = 8,
    };
}

static bool is_error_heard(const struct icmp *error)
{
    struct heard heard;
    return judge_error(&prober_tcp_syn, error, &heard);
}

static void each_icmp_error_is_its_reason(enum address_family family)
{
    const struct ends ends = ends_of(family);
    const bool four = family == ADDRESS_IPV4;
    struct icmp error = error_of(&ends);
    for (unsigned type = 0; type < 256; type++) {
        const bool known =
            four ? type == 3 || type == 11 || type == 12 : type == 1 || type == 3 || type == 4;
        for (unsigned code = 0; code < 16; code++) {
            struct heard heard = {0};
            error.type = (uint8_t)type;
            error.code = (uint8_t)code;
            assert_int_equal(judge_error(&prober_tcp_syn, &error, &heard), known);
            if (!known)
                continue;
            assert_about(&heard, &ends);
            assert_true(address_equal(&heard.from, &ends.router));
            assert_int_equal(heard.verdict.state, STATE_FILTERED);
            assert_int_equal(heard.verdict.reason, four
                                                       ? reason_from_icmp(error.type, error.code)
                                                       : reason_from_icmp6(error.type, error.code));
        }
    }
}

static void each_icmp_error_is_its_reason_over_ipv4(void **state)
{
    (void)state;
    each_icmp_error_is_its_reason(ADDRESS_IPV4);
}

static void each_icmp_error_is_its_reason_over_ipv6(void **state)
{
    (void)state;
    each_icmp_error_is_its_reason(ADDRESS_IPV6);
}

static void an_icmp_error_says_the_same_to_each_technique(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV4);
    struct icmp error = error_of(&ends);
    for (size_t i = 0; i < TECHNIQUES; i++) {
        struct heard heard;
        error.quoted.flags = techniques[i].flags;
        error.quoted.acknowledgment = techniques[i].acknowledges ? error.quoted.sequence : 0;
        assert_true(judge_error(techniques[i].class, &error, &heard));
        assert_int_equal(heard.verdict.state, STATE_FILTERED);
        assert_int_equal(heard.verdict.reason, REASON_HOST_UNREACH);
    }
}

static void the_target_itself_is_not_named_as_the_sender(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        struct icmp error = error_of(&ends);
        struct heard heard;
        error.sender = ends.them;
        assert_true(judge_error(&prober_tcp_syn, &error, &heard));
        assert_about(&heard, &ends);
        assert_int_equal(heard.from.family, ADDRESS_NONE);
    }
}

static void eight_bytes_of_the_probe_are_enough(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        struct icmp error = error_of(&ends);
        for (error.kept = 0; error.kept <= 24; error.kept++)
            assert_int_equal(is_error_heard(&error), error.kept >= 8);
    }
}

static void an_icmp_error_about_something_else_proves_nothing(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        const struct icmp right = error_of(&ends);
        struct icmp error = right;
        assert_true(is_error_heard(&error));
        error.quoted.sequence++;
        assert_false(is_error_heard(&error));
        error.quoted.sequence -= 2;
        assert_false(is_error_heard(&error));
        error = right;
        error.quoted.source_port++;
        assert_false(is_error_heard(&error));
        error = right;
        error.quoted.destination_port++;
        assert_false(is_error_heard(&error));
        error = right;
        error.quoted.destination.value ^= 1;
        assert_false(is_error_heard(&error));
        error = right;
        error.quoted.source.value ^= 1;
        assert_false(is_error_heard(&error));
        error = right;
        error.receiver.value ^= 1; /* it is not to us what we are quoted to have sent */
        assert_false(is_error_heard(&error));
    }
}

static void an_icmp_error_about_a_port_that_is_not_ours_proves_nothing(void **state)
{
    (void)state;
    const struct ends ends = ends_of(ADDRESS_IPV4);
    struct icmp error = error_of(&ends);
    error.quoted.source_port = 60016;
    error.quoted.sequence = cookie_of(&cookies, &ends.us, &ends.them, 60016, PORT);
    assert_false(is_error_heard(&error));
    error.quoted.source_port = 60015;
    error.quoted.sequence = cookie_of(&cookies, &ends.us, &ends.them, 60015, PORT);
    assert_true(is_error_heard(&error));
}

static void an_icmp_error_with_a_wrong_checksum_proves_nothing(void **state)
{
    (void)state;
    static const enum address_family families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    for (size_t i = 0; i < 2; i++) {
        const struct ends ends = ends_of(families[i]);
        const struct icmp error = error_of(&ends);
        const struct technique *technique = prober_tcp_syn.technique;
        unsigned char bytes[256];
        struct heard heard;
        const size_t length = error_build(&error, bytes);
        bytes[(families[i] == ADDRESS_IPV4 ? 20 : 40) + 7] ^= 1; /* unused */
        assert_false(judge_packet(technique, &cookies, bytes, length, false, &heard));
        assert_true(judge_packet(technique, &cookies, bytes, length, true, &heard));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(techniques_send_what_they_are_known_for),
        cmocka_unit_test(each_answer_to_each_technique_over_ipv4),
        cmocka_unit_test(each_answer_to_each_technique_over_ipv6),
        cmocka_unit_test(the_window_tells_only_the_window_scan),
        cmocka_unit_test(cookies_depend_on_all_four_and_on_the_key),
        cmocka_unit_test(cookies_are_siphash),
        cmocka_unit_test(a_cookie_that_is_wrong_by_a_bit_proves_nothing),
        cmocka_unit_test(an_answer_from_elsewhere_proves_nothing),
        cmocka_unit_test(only_our_ports_are_ours),
        cmocka_unit_test(the_last_ports_are_not_followed_by_the_first),
        cmocka_unit_test(our_own_probes_are_no_answers),
        cmocka_unit_test(a_checksum_counts_unless_somebody_has_looked),
        cmocka_unit_test(fragments_are_no_answers),
        cmocka_unit_test(a_packet_that_is_cut_is_no_answer),
        cmocka_unit_test(each_icmp_error_is_its_reason_over_ipv4),
        cmocka_unit_test(each_icmp_error_is_its_reason_over_ipv6),
        cmocka_unit_test(an_icmp_error_says_the_same_to_each_technique),
        cmocka_unit_test(the_target_itself_is_not_named_as_the_sender),
        cmocka_unit_test(eight_bytes_of_the_probe_are_enough),
        cmocka_unit_test(an_icmp_error_about_something_else_proves_nothing),
        cmocka_unit_test(an_icmp_error_about_a_port_that_is_not_ours_proves_nothing),
        cmocka_unit_test(an_icmp_error_with_a_wrong_checksum_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
