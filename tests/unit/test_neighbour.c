/* Next hops: the questions' exact bytes, which answers are believed, and the table. */
#include "probe/neighbour.h"

#include "base/clock.h"
#include "net/packet.h"

#include <linux/if_ether.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOOPBACK 1 /* an interface whose neighbours the kernel knows nothing of */
#define OTHER 999  /* one that does not exist */
#define BEGINNING (1000 * NANOSECONDS_PER_SECOND)

#define US4 "c6120001"   /* 198.18.0.1 */
#define THEM4 "c6120707" /* 198.18.7.7 */
#define US6 "fd000000000000000000000000000001"
#define THEM6 "fd0000000000000000000000cc654321"
#define OUR_HARDWARE "020000000001"
#define THEIR_HARDWARE "0200005e1007"

struct scene {
    struct routes *routes;
    struct route route4, route6;
    struct neighbours neighbours;
};

static struct scene scene;

static struct address address_of(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

static int open_scene(void **state)
{
    (void)state;
    const struct interface interface = {.index = LOOPBACK, .hardware = {2, 0, 0, 0, 0, 1}};
    scene = (struct scene){
        .route4 = {.interface = interface, .source = address_of("198.18.0.1")},
        .route6 = {.interface = interface, .source = address_of("fd00::1")},
    };
    return routes_open(0, &scene.routes, NULL);
}

static int close_scene(void **state)
{
    (void)state;
    neighbours_release(&scene.neighbours);
    routes_close(scene.routes);
    return 0;
}

static struct neighbour *ask_for(const char *text)
{
    const struct address address = address_of(text);
    const bool four = address.family == ADDRESS_IPV4;
    struct neighbour *neighbour = neighbours_find(&scene.neighbours, scene.routes,
                                                  four ? &scene.route4 : &scene.route6, &address);
    assert_non_null(neighbour);
    return neighbour;
}

static enum neighbour_state state_of(const char *text)
{
    const struct address address = address_of(text);
    const struct neighbour *neighbour = neighbours_get(&scene.neighbours, &address, LOOPBACK);
    assert_non_null(neighbour);
    return neighbour->state;
}

/* ---- packets ---- */

struct sample {
    size_t length;
    unsigned char bytes[160];
};

/* From hexadecimal digits, between which blanks mean nothing. */
static struct sample sample_of(const char *text)
{
    struct sample sample = {0};
    for (; *text; text++) {
        if (*text == ' ')
            continue;
        const char digits[] = {text[0], text[1], '\0'};
        assert_true(sample.length < sizeof(sample.bytes));
        sample.bytes[sample.length++] = (unsigned char)strtoul(digits, NULL, 16);
        text++;
    }
    return sample;
}

/* In memory of its own size, so that a sanitizer sees a look beyond the end. */
static bool hear_sample(uint16_t protocol, uint32_t interface, const struct sample *sample)
{
    unsigned char *exact = malloc(sample->length ? sample->length : 1);
    assert_non_null(exact);
    memcpy(exact, sample->bytes, sample->length);
    const bool taken =
        neighbours_hear(&scene.neighbours, protocol, interface, exact, sample->length, BEGINNING);
    free(exact);
    return taken;
}

static bool hear(uint16_t protocol, const char *text)
{
    const struct sample sample = sample_of(text);
    return hear_sample(protocol, LOOPBACK, &sample);
}

/* ---- questions ---- */

static void assert_request(const struct neighbour *neighbour, const char *bytes,
                           const char *hardware)
{
    unsigned char request[NEIGHBOUR_PACKET], to[HARDWARE_SIZE];
    const struct sample expected = sample_of(bytes), expected_to = sample_of(hardware);
    memset(request, 0xaa, sizeof(request));
    assert_int_equal(neighbour_request(neighbour, request, to), expected.length);
    assert_memory_equal(request, expected.bytes, expected.length);
    assert_memory_equal(to, expected_to.bytes, HARDWARE_SIZE);
}

/* RFC 826: Ethernet, IPv4, six and four bytes, request; to everybody. */
static void arp_asks_everybody(void **state)
{
    (void)state;
    assert_request(ask_for("198.18.7.7"),
                   "0001 0800 06 04 0001" OUR_HARDWARE US4 "000000000000" THEM4, "ffffffffffff");
}

/* RFC 4861 §4.3, to the group of those whose addresses end in the same 24 bits (RFC 4291 §2.7.1),
 * with the checksum worked out by hand:
 *
 *   fd00+1 + ff02+1+ff65+4321 + 20+3a + 8700 + fd00+cc65+4321 + 0101+0200+0000+0001 = 5d56c
 *   with its carry d571, of which the complement is 2a8e */
static void discovery_asks_the_group(void **state)
{
    (void)state;
    assert_request(ask_for("fd00::cc65:4321"),
                   "60000000 0020 3a ff" US6 "ff0200000000000000000001ff654321"
                   "87 00 2a8e 00000000" THEM6 "01 01" OUR_HARDWARE,
                   "3333ff654321");
}

/* An IPv4 route may lead to an IPv6 next hop (RFC 5549), which an IPv4 address cannot ask. */
static void a_next_hop_of_the_other_family(void **state)
{
    (void)state;
    const struct address hop = address_of("::1");
    struct address scoped = hop;
    scoped.scope = LOOPBACK;
    const struct route *route = routes_find(scene.routes, &scoped);
    assert_non_null(route);
    if (route->code)
        skip(); /* this machine has no IPv6 */
    const struct neighbour *neighbour =
        neighbours_find(&scene.neighbours, scene.routes, &scene.route4, &hop);
    assert_non_null(neighbour);
    assert_true(address_equal(&neighbour->source, &route->source));
    unsigned char request[NEIGHBOUR_PACKET], to[HARDWARE_SIZE];
    struct ip_view ip;
    const size_t length = neighbour_request(neighbour, request, to);
    assert_true(ip_view_parse(request, length, true, &ip));
    assert_true(ip.source.value == 1);
}

/* ---- answers ---- */

#define ARP(operation, hardware, address)                                                          \
    "0001 0800 06 04" operation hardware address OUR_HARDWARE US4

static void an_arp_reply_is_learned(void **state)
{
    (void)state;
    ask_for("198.18.7.7");
    ask_for("198.18.7.8");
    assert_int_equal(scene.neighbours.waiting, 2);
    assert_true(hear(ETH_P_ARP, ARP("0002", THEIR_HARDWARE, THEM4) "00000000")); /* and padding */
    const struct neighbour *neighbour = ask_for("198.18.7.7");
    assert_int_equal(neighbour->state, NEIGHBOUR_KNOWN);
    assert_int_equal(neighbour->known, BEGINNING);
    assert_memory_equal(neighbour->hardware, sample_of(THEIR_HARDWARE).bytes, HARDWARE_SIZE);
    assert_int_equal(state_of("198.18.7.8"), NEIGHBOUR_ASKED);
    assert_int_equal(scene.neighbours.waiting, 1);
    assert_int_equal(scene.neighbours.changes, 1);
    /* Whoever says something else later is not believed. */
    assert_true(hear(ETH_P_ARP, ARP("0002", "020000bad000", THEM4)));
    assert_memory_equal(ask_for("198.18.7.7")->hardware, sample_of(THEIR_HARDWARE).bytes,
                        HARDWARE_SIZE);
    assert_int_equal(scene.neighbours.changes, 1);
}

/* Taken for what they are, and not believed. */
static void other_arp_packets_are_not_believed(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "",
        ARP("0001", THEIR_HARDWARE, THEM4),                           /* asks */
        ARP("0003", THEIR_HARDWARE, THEM4),                           /* RARP */
        ARP("0002", "0300005e1007", THEM4),                           /* a group */
        ARP("0002", "ffffffffffff", THEM4),                           /* all */
        ARP("0002", THEIR_HARDWARE, "c6120708"),                      /* not asked */
        "0006 0800 06 04 0002" THEIR_HARDWARE THEM4 OUR_HARDWARE US4, /* IEEE 802 */
        "0001 86dd 06 04 0002" THEIR_HARDWARE THEM4 OUR_HARDWARE US4, /* IPv6 */
        "0001 0800 08 04 0002" THEIR_HARDWARE THEM4 OUR_HARDWARE US4, /* sizes */
        "0001 0800 06 10 0002" THEIR_HARDWARE THEM4 OUR_HARDWARE US4 US4 US4,
    };
    ask_for("198.18.7.7");
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        assert_true(hear(ETH_P_ARP, samples[i]));
        if (state_of("198.18.7.7") != NEIGHBOUR_ASKED)
            fail_msg("%s is believed", samples[i]);
    }
    struct sample right = sample_of(ARP("0002", THEIR_HARDWARE, THEM4));
    assert_true(hear_sample(ETH_P_ARP, OTHER, &right)); /* asked on another interface */
    assert_int_equal(state_of("198.18.7.7"), NEIGHBOUR_ASKED);
    for (right.length = 0; right.length < 18; right.length++) /* before the sender's address ends */
        hear_sample(ETH_P_ARP, LOOPBACK, &right);
    assert_int_equal(state_of("198.18.7.7"), NEIGHBOUR_ASKED);
    assert_int_equal(scene.neighbours.changes, 0);
    assert_int_equal(scene.neighbours.waiting, 1);
}

/* Version to hop limit, without the addresses; ICMPv6 without its checksum. */
#define ADVERTISEMENT(length, limit, checksum, target, options)                                    \
    "60000000" length "3a" limit THEM6 US6 "88 00" checksum "60000000" target options

/* By hand: fd00+cc65+4321 + fd00+1 + 20+3a + 8800 + 6000 + fd00+cc65+4321 + 0201+0200+005e+1007
 * = 612cd, with its carry 12d3, of which the complement is ed2c. */
#define OPTION "02 01" THEIR_HARDWARE
#define RIGHT "ed2c"

static void an_advertisement_is_learned(void **state)
{
    (void)state;
    ask_for("fd00::cc65:4321");
    assert_true(hear(ETH_P_IPV6, ADVERTISEMENT("0020", "ff", RIGHT, THEM6, OPTION)));
    assert_int_equal(state_of("fd00::cc65:4321"), NEIGHBOUR_KNOWN);
    assert_memory_equal(ask_for("fd00::cc65:4321")->hardware, sample_of(THEIR_HARDWARE).bytes,
                        HARDWARE_SIZE);
}

/* An option of another kind may stand before it. */
static void options_are_passed_over(void **state)
{
    (void)state;
    ask_for("fd00::cc65:4321");
    assert_true(hear(ETH_P_IPV6, ADVERTISEMENT("0030", "ff", "df1a", THEM6,
                                               "0e 02 0000000000000000000000000000" OPTION)));
    assert_int_equal(state_of("fd00::cc65:4321"), NEIGHBOUR_KNOWN);
}

static void other_advertisements_are_not_believed(void **state)
{
    (void)state;
    static const char *const samples[] = {
        ADVERTISEMENT("0020", "fe", RIGHT, THEM6, OPTION),                 /* through a router */
        ADVERTISEMENT("0018", "ff", RIGHT, THEM6, ""),                     /* without an option */
        ADVERTISEMENT("0020", "ff", RIGHT, THEM6, "01 01" THEIR_HARDWARE), /* the source's own */
        ADVERTISEMENT("0020", "ff", RIGHT, THEM6, "02 00" THEIR_HARDWARE), /* of no length */
        ADVERTISEMENT("0020", "ff", RIGHT, THEM6, "02 01 0300005e1007"),   /* a group */
        ADVERTISEMENT("0020", "ff", RIGHT, US6, OPTION),                   /* not asked */
        ADVERTISEMENT("0030", "ff", RIGHT, THEM6, OPTION),                 /* cut short */
    };
    ask_for("fd00::cc65:4321");
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        hear(ETH_P_IPV6, samples[i]);
        if (state_of("fd00::cc65:4321") != NEIGHBOUR_ASKED)
            fail_msg("%s is believed", samples[i]);
    }
    struct sample right = sample_of(ADVERTISEMENT("0020", "ff", RIGHT, THEM6, OPTION));
    hear_sample(ETH_P_IPV6, OTHER, &right);
    for (size_t length = right.length - 1; length > 0; length--) {
        right.length = length;
        hear_sample(ETH_P_IPV6, LOOPBACK, &right);
    }
    assert_int_equal(state_of("fd00::cc65:4321"), NEIGHBOUR_ASKED);
}

/* What is for others to judge. */
static void other_packets_are_left_alone(void **state)
{
    (void)state;
    ask_for("fd00::cc65:4321");
    assert_false(hear(ETH_P_IP, ARP("0002", THEIR_HARDWARE, THEM4)));
    assert_false(hear(ETH_P_IPV6, ""));
    /* TCP, and an ICMPv6 error. */
    assert_false(hear(ETH_P_IPV6, "60000000 0018 06 40" THEM6 US6
                                  "01bb9c40 00000000 00000000 5012faf0 00000000 00000000"));
    assert_false(hear(ETH_P_IPV6, "60000000 0018 3a ff" THEM6 US6
                                  "01 04 0000 00000000 00000000000000000000000000000000"));
}

/* ---- trying and giving up ---- */

static void nobody_is_asked_for_ever(void **state)
{
    (void)state;
    uint64_t now = BEGINNING, last = 0;
    unsigned asked = 0;
    ask_for("198.18.7.7");
    while (scene.neighbours.waiting && now < BEGINNING + 60 * NANOSECONDS_PER_SECOND) {
        const struct neighbour *due = neighbours_due(&scene.neighbours, now);
        if (due) {
            assert_null(neighbours_due(&scene.neighbours, now)); /* not twice at once */
            assert_true(asked == 0 || now > last);
            last = now;
            asked++;
        }
        now += NANOSECONDS_PER_MILLISECOND;
    }
    assert_int_equal(asked, NEIGHBOUR_TRIES);
    assert_int_equal(state_of("198.18.7.7"), NEIGHBOUR_MISSING);
    assert_int_equal(scene.neighbours.changes, 1);
    assert_null(neighbours_due(&scene.neighbours, now + NANOSECONDS_PER_SECOND));
    /* It answers after all. */
    assert_true(hear(ETH_P_ARP, ARP("0002", THEIR_HARDWARE, THEM4)));
    assert_int_equal(state_of("198.18.7.7"), NEIGHBOUR_KNOWN);
    assert_int_equal(scene.neighbours.changes, 2);
    assert_int_equal(scene.neighbours.waiting, 0);
}

/* Each is asked once in a round, whoever has answered meanwhile. */
static void all_take_their_turn(void **state)
{
    (void)state;
    char text[32];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "198.18.1.%u", i);
        ask_for(text);
    }
    for (unsigned i = 0; i < 20; i++) {
        struct sample reply = sample_of(ARP("0002", THEIR_HARDWARE, "c6120100"));
        const struct neighbour *due = neighbours_due(&scene.neighbours, BEGINNING);
        assert_non_null(due);
        assert_int_equal(due->address.value, 0xc6120100 + i);
        reply.bytes[17] = (unsigned char)i;
        if (i % 3)
            hear_sample(ETH_P_ARP, LOOPBACK, &reply);
    }
    assert_null(neighbours_due(&scene.neighbours, BEGINNING));
    assert_int_equal(scene.neighbours.waiting, 7);
}

/* ---- the table ---- */

#define MANY 3000

static void the_table_grows(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        const struct address four = {.family = ADDRESS_IPV4, .value = 0xc6120000 + i};
        const struct address six = {.family = ADDRESS_IPV6, .value = four.value};
        assert_non_null(neighbours_find(&scene.neighbours, scene.routes, &scene.route4, &four));
        assert_non_null(neighbours_find(&scene.neighbours, scene.routes, &scene.route6, &six));
    }
    assert_int_equal(scene.neighbours.count, 2 * MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        const struct address four = {.family = ADDRESS_IPV4, .value = 0xc6120000 + i};
        const struct neighbour *found = neighbours_get(&scene.neighbours, &four, LOOPBACK);
        assert_ptr_equal(found, &scene.neighbours.items[2 * i]);
        assert_ptr_equal(found,
                         neighbours_find(&scene.neighbours, scene.routes, &scene.route4, &four));
        assert_null(neighbours_get(&scene.neighbours, &four, OTHER));
    }
    assert_int_equal(scene.neighbours.count, 2 * MANY);
    assert_int_equal(scene.neighbours.waiting, 2 * MANY);
}

static void an_empty_table_knows_nobody(void **state)
{
    (void)state;
    const struct address address = address_of("198.18.7.7");
    assert_null(neighbours_get(&scene.neighbours, &address, LOOPBACK));
    assert_null(neighbours_due(&scene.neighbours, BEGINNING));
    assert_true(hear(ETH_P_ARP, ARP("0002", THEIR_HARDWARE, THEM4)));
    assert_int_equal(scene.neighbours.count, 0);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE(arp_asks_everybody),
        SCENE(discovery_asks_the_group),
        SCENE(a_next_hop_of_the_other_family),
        SCENE(an_arp_reply_is_learned),
        SCENE(other_arp_packets_are_not_believed),
        SCENE(an_advertisement_is_learned),
        SCENE(options_are_passed_over),
        SCENE(other_advertisements_are_not_believed),
        SCENE(other_packets_are_left_alone),
        SCENE(nobody_is_asked_for_ever),
        SCENE(all_take_their_turn),
        SCENE(the_table_grows),
        SCENE(an_empty_table_knows_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
