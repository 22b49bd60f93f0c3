/* The raw prober over a link that keeps what is sent and hands out what the test says: which
 * packets leave, what answers become, and what happens to probes that cannot leave yet. Routes are
 * the kernel's, to loopback addresses; the clock is the test's. */
#include "scan/prober.h"

#include "base/clock.h"
#include "net/packet.h"
#include "scan/link.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define LOOPBACK 1 /* the index of the interface */
#define FIRST_HOST 0x7f000002
#define MULTICAST 0xe0000001
#define ROUTER 0xc6336401 /* 198.51.100.1 */
#define WAITING 8192      /* probes that may wait for their next hops */
#define PACKET 128

/* ---- the clock: this program brings its own, and the library's is not linked ---- */

static uint64_t now = 1000 * NANOSECONDS_PER_SECOND;

uint64_t clock_monotonic(void)
{
    return now;
}

uint64_t clock_wall(void)
{
    return now;
}

const char *clock_format(uint64_t wall, char text[static CLOCK_TEXT_SIZE])
{
    (void)wall;
    text[0] = '\0';
    return text;
}

/* ---- the link ---- */

struct sample {
    uint16_t length;
    unsigned char bytes[PACKET];
    unsigned char next_hop[HARDWARE_SIZE];
};

static struct {
    struct sample *sent;
    size_t sent_count, sent_room;
    size_t refuse_after; /* packets of a turn; SIZE_MAX: none is refused */
    int refuse_code;     /* of those after them, */
    size_t refuse_count; /* of which there are so many */
    bool down;           /* everything is */
    size_t flood;        /* times that so many strange packets come as there is room for */
    struct sample came[64];
    uint16_t came_protocol[64];
    size_t came_count;
    const struct link_class *class; /* of the link that is opened */
} wire;

static int wire_open(const struct link_options *options, struct link **ret_link,
                     struct error *error);

static void wire_close(struct link *link)
{
    free(link);
}

static bool wire_carries(const struct route *route)
{
    (void)route;
    return true;
}

static void wire_keep(const struct outgoing *packet)
{
    if (wire.sent_count == wire.sent_room) {
        wire.sent_room = wire.sent_room ? 2 * wire.sent_room : 256;
        wire.sent = reallocarray(wire.sent, wire.sent_room, sizeof(*wire.sent));
        assert_non_null(wire.sent);
    }
    struct sample *sample = &wire.sent[wire.sent_count++];
    assert_in_range(packet->length, 1, PACKET);
    sample->length = packet->length;
    memset((unsigned char *)packet->bytes - LINK_HEADROOM, 0xee, LINK_HEADROOM);
    memcpy(sample->bytes, packet->bytes, packet->length);
    memcpy(sample->next_hop, packet->next_hop, HARDWARE_SIZE);
}

static size_t wire_send(struct link *link, const struct outgoing *packets, size_t count,
                        int *ret_code)
{
    (void)link;
    for (size_t i = 0; i < count; i++) {
        bool refused = packets[i].length != 28 && wire.refuse_count && wire.refuse_after == 0;
        if (wire.down) {
            *ret_code = wire.refuse_code;
            return i;
        }
        if (refused) {
            wire.refuse_count--;
            *ret_code = wire.refuse_code;
            return i;
        }
        if (wire.refuse_count)
            wire.refuse_after--;
        wire_keep(&packets[i]);
    }
    return count;
}

static size_t wire_receive(struct link *link, uint64_t wait, struct incoming *packets, size_t room)
{
    static const unsigned char strange[40] = {0x45};
    size_t count = wire.came_count < room ? wire.came_count : room;
    (void)link;
    for (size_t i = 0; wire.flood && i < room; i++)
        packets[i] = (struct incoming){.bytes = strange,
                                       .length = sizeof(strange),
                                       .time = now,
                                       .interface = LOOPBACK,
                                       .protocol = ETH_P_IP};
    if (wire.flood) {
        wire.flood--;
        return room;
    }
    if (!count)
        now += wait;
    for (size_t i = 0; i < count; i++)
        packets[i] = (struct incoming){
            .bytes = wire.came[i].bytes,
            .length = wire.came[i].length,
            .time = now,
            .interface = LOOPBACK,
            .protocol = wire.came_protocol[i],
        };
    return count;
}

static void wire_release(struct link *link)
{
    (void)link;
    wire.came_count = 0;
}

static struct link_facts wire_facts(const struct link *link)
{
    (void)link;
    return (struct link_facts){.sent = wire.sent_count};
}

#define WIRE                                                                                       \
    .name = "wire", .summary = "the test's", .carries = wire_carries, .open = wire_open,           \
    .close = wire_close, .send = wire_send, .receive = wire_receive, .release = wire_release,      \
    .facts = wire_facts

static const struct link_class plain = {WIRE};
static const struct link_class ethernet = {WIRE, .resolves = true};

static int wire_open(const struct link_options *options, struct link **ret_link,
                     struct error *error)
{
    (void)error;
    assert_int_equal(options->last_port - options->first_port, PROBE_TAGS - 1);
    *ret_link = calloc(1, sizeof(**ret_link));
    assert_non_null(*ret_link);
    (*ret_link)->class = wire.class;
    return 0;
}

/* ---- the prober ---- */

extern const struct prober_class prober_tcp_syn, prober_tcp_ack, prober_tcp_fin, prober_tcp_null,
    prober_tcp_xmas, prober_tcp_window, prober_tcp_maimon;

static struct address_set targets;
static struct port_set ports;
static struct plan plan;
static struct prober *prober;

static uint64_t no_timeout(void *user, uint64_t index)
{
    (void)user;
    (void)index;
    fail_msg("a prober without state asked for a time-out");
    return 0;
}

static void open_hosts(const struct prober_class *class, const struct link_class *link,
                       uint32_t first, unsigned hosts, uint16_t port_count)
{
    const struct address address = {.family = ADDRESS_IPV4, .value = first};
    wire.refuse_after = SIZE_MAX;
    wire.class = link;
    assert_int_equal(address_set_add(&targets, &address, first + hosts - 1), 0);
    assert_int_equal(address_set_seal(&targets), 0);
    assert_int_equal(port_set_add(&ports, PROTOCOL_TCP, 1, port_count), 0);
    assert_int_equal(plan_init(&plan, &targets, &ports, NULL), 0);
    const struct prober_options options = {.plan = &plan, .link = link, .timeout = no_timeout};
    struct error error = {0};
    if (class->open(class, &options, &prober, &error) != 0)
        fail_msg("%s", error.message);
}

static int close_all(void **state)
{
    (void)state;
    if (prober)
        prober->class->close(prober);
    prober = NULL;
    address_set_release(&targets);
    port_set_release(&ports);
    free(wire.sent);
    memset(&wire, 0, sizeof(wire));
    return 0;
}

static struct probe probe_of(uint64_t index, uint8_t tag)
{
    return (struct probe){
        .to = plan_endpoint(&plan, index), .index = index, .position = index + 7, .tag = tag};
}

/* Submits the probes of [first, first + count), 64 at a time, and returns how many were taken. */
static size_t submit(uint64_t first, size_t count, uint8_t tag)
{
    size_t done = 0;
    while (done < count) {
        struct probe probes[64];
        size_t part = count - done < 64 ? count - done : 64;
        for (size_t i = 0; i < part; i++)
            probes[i] = probe_of(first + done + i, tag);
        const size_t taken = prober->class->submit(prober, probes, part);
        done += taken;
        if (taken < part)
            break;
    }
    return done;
}

static size_t collect(struct reply *replies, size_t room, uint64_t wait)
{
    return prober->class->collect(prober, wait, replies, room);
}

/* ---- packets ---- */

struct seen {
    struct ip_view ip;
    struct tcp_view tcp;
};

static struct seen see(const struct sample *sample)
{
    struct seen seen;
    assert_true(ip_view_parse(sample->bytes, sample->length, true, &seen.ip));
    assert_true(tcp_view_parse(&seen.ip, true, &seen.tcp));
    return seen;
}

static void come(const struct sample *sample, uint16_t protocol)
{
    wire.came[wire.came_count] = *sample;
    wire.came_protocol[wire.came_count++] = protocol;
}

/* The target's own answer to a probe that has left. */
static struct sample answer_to(const struct sample *sent, uint8_t flags, uint32_t sequence,
                               uint32_t acknowledgment)
{
    const struct seen seen = see(sent);
    const struct tcp_packet packet = {
        .source = seen.ip.destination,
        .destination = seen.ip.source,
        .source_port = seen.tcp.destination,
        .destination_port = seen.tcp.source,
        .sequence = sequence,
        .acknowledgment = acknowledgment,
        .flags = flags,
        .window = 100,
        .ttl = 60,
    };
    struct sample sample = {0};
    sample.length = (uint16_t)tcp_packet_build(&packet, sample.bytes);
    return sample;
}

/* A router says that the probe may not pass. */
static struct sample rejection_of(const struct sample *sent)
{
    struct sample sample = {.length = (uint16_t)(28 + sent->length)};
    const struct seen seen = see(sent);
    const unsigned char head[] = {0x45,         0, 0, 0,   0,  0,   0, 0, 60,
                                  IPPROTO_ICMP, 0, 0, 198, 51, 100, 1};
    uint32_t us = htonl((uint32_t)seen.ip.source.value);
    uint16_t sum, length = htons(sample.length);
    memcpy(sample.bytes, head, sizeof(head));
    memcpy(sample.bytes + 2, &length, 2);
    memcpy(sample.bytes + 16, &us, 4);
    sum = internet_fold(internet_sum(sample.bytes, 20, 0));
    memcpy(sample.bytes + 10, &sum, 2);
    sample.bytes[20] = 3;
    sample.bytes[21] = 13;
    memcpy(sample.bytes + 28, sent->bytes, sent->length);
    sum = internet_fold(internet_sum(sample.bytes + 20, (size_t)sample.length - 20, 0));
    memcpy(sample.bytes + 22, &sum, 2);
    return sample;
}

/* The ARP reply to a request. */
static struct sample is_at(const struct sample *request, unsigned char last)
{
    struct sample reply = *request;
    assert_int_equal(request->length, 28);
    reply.bytes[7] = ARPOP_REPLY;
    memcpy(reply.bytes + 8, (const unsigned char[]){2, 0, 0, 0, 0, last}, HARDWARE_SIZE);
    memcpy(reply.bytes + 14, request->bytes + 24, 4);
    memcpy(reply.bytes + 18, request->bytes + 8, 10);
    return reply;
}

/* ---- what leaves ---- */

static void packets_are_what_the_technique_says(void **state)
{
    static const struct {
        const struct prober_class *class;
        uint8_t flags;
        bool acknowledges, option;
    } rows[] = {
        {&prober_tcp_syn, TCP_SYN, false, true},
        {&prober_tcp_ack, TCP_ACK, true, false},
        {&prober_tcp_window, TCP_ACK, true, false},
        {&prober_tcp_fin, TCP_FIN, false, false},
        {&prober_tcp_null, 0, false, false},
        {&prober_tcp_xmas, TCP_FIN | TCP_PSH | TCP_URG, false, false},
        {&prober_tcp_maimon, TCP_FIN | TCP_ACK, true, false},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        open_hosts(rows[row].class, &plain, FIRST_HOST, 2, 50);
        uint16_t first_port = 0;
        for (uint8_t tag = 0; tag < PROBE_TAGS; tag++)
            assert_int_equal(submit(0, 100, tag), 100);
        assert_int_equal(wire.sent_count, 100 * PROBE_TAGS);
        for (size_t i = 0; i < wire.sent_count; i++) {
            const struct seen seen = see(&wire.sent[i]);
            const struct endpoint to = plan_endpoint(&plan, i % 100);
            first_port = i ? first_port : seen.tcp.source;
            assert_int_equal(seen.tcp.source, first_port + i / 100);
            assert_true(address_equal(&seen.ip.destination, &to.address));
            assert_int_equal(seen.tcp.destination, to.port.number);
            assert_int_equal(seen.tcp.flags, rows[row].flags);
            assert_int_equal(seen.tcp.acknowledgment,
                             rows[row].acknowledges ? seen.tcp.sequence : 0);
            assert_int_equal(wire.sent[i].length, rows[row].option ? 44 : 40);
            assert_int_equal((uint32_t)seen.ip.source.value >> 24, 127);
            /* No two have the same number, but by chance. */
            if (i)
                assert_int_not_equal(seen.tcp.sequence, see(&wire.sent[i - 1]).tcp.sequence);
        }
        assert_int_equal(prober->class->facts(prober).packets, wire.sent_count);
        assert_int_equal(prober->class->facts(prober).in_flight, 0);
        close_all(state);
    }
}

/* ---- what comes ---- */

static void answers_say_what_they_are_about(void **state)
{
    struct reply replies[8];
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, FIRST_HOST, 2, 50);
    assert_int_equal(submit(60, 3, 5), 3);
    const uint32_t cookies[] = {see(&wire.sent[0]).tcp.sequence, see(&wire.sent[1]).tcp.sequence};
    const struct sample open = answer_to(&wire.sent[0], TCP_SYN | TCP_ACK, 99, cookies[0] + 1);
    const struct sample closed = answer_to(&wire.sent[1], TCP_RST | TCP_ACK, 0, cookies[1] + 1);
    const struct sample filtered = rejection_of(&wire.sent[2]);
    come(&open, ETH_P_IP);
    come(&closed, ETH_P_IP);
    come(&filtered, ETH_P_IP);
    assert_int_equal(collect(replies, 8, 0), 3);
    static const enum port_state states[] = {STATE_OPEN, STATE_CLOSED, STATE_FILTERED};
    static const enum reason reasons[] = {REASON_SYN_ACK, REASON_RESET, REASON_ADMIN_PROHIBITED};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(replies[i].kind, REPLY_ANSWER);
        assert_int_equal(replies[i].index, 60 + i);
        assert_int_equal(replies[i].tag, 5);
        assert_int_equal(replies[i].state, states[i]);
        assert_int_equal(replies[i].reason, reasons[i]);
        assert_int_equal(replies[i].rtt, 0); /* the loop knows when it asked */
        assert_int_equal(replies[i].time, now);
        assert_int_equal(replies[i].from.value, i == 2 ? ROUTER : 0);
    }
}

/* Wrong numbers, wrong ports, strangers, and what was never asked. */
static void strangers_say_nothing(void **state)
{
    struct reply replies[64];
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, FIRST_HOST, 2, 50);
    assert_int_equal(submit(0, 1, 0), 1);
    const uint32_t cookie = see(&wire.sent[0]).tcp.sequence;
    static const uint32_t wrong[] = {0, 2, 3, 0x80000001};
    for (size_t i = 0; i < 4; i++) {
        const struct sample sample =
            answer_to(&wire.sent[0], TCP_SYN | TCP_ACK, 1, cookie + wrong[i]);
        come(&sample, ETH_P_IP);
    }
    const struct sample right = answer_to(&wire.sent[0], TCP_SYN | TCP_ACK, 1, cookie + 1);
    for (unsigned at = 12; at < 24;
         at++) { /* addresses and ports; the checksums are wrong as well */
        struct sample sample = right;
        sample.bytes[at] ^= 1;
        come(&sample, ETH_P_IP);
    }
    for (uint16_t length = 0; length < right.length; length += 4) {
        struct sample sample = right;
        sample.length = length;
        come(&sample, length % 8 ? ETH_P_IP : ETH_P_IPV6);
    }
    struct sample rejection = rejection_of(&wire.sent[0]);
    rejection.bytes[28 + 24 + 3] ^= 1; /* the quoted number */
    come(&rejection, ETH_P_IP);
    assert_int_equal(collect(replies, 64, 0), 0);
    come(&right, ETH_P_IP);
    assert_int_equal(collect(replies, 64, 0), 1);
}

/* An answer that is right, of a port that this scan is not about. */
static void only_the_plan_is_heard(void **state)
{
    struct reply replies[4];
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, FIRST_HOST, 1, 10);
    struct probe probe = probe_of(3, 0);
    probe.to.port.number = 999;
    assert_int_equal(prober->class->submit(prober, &probe, 1), 1);
    const uint32_t cookie = see(&wire.sent[0]).tcp.sequence;
    const struct sample answer = answer_to(&wire.sent[0], TCP_SYN | TCP_ACK, 1, cookie + 1);
    come(&answer, ETH_P_IP);
    assert_int_equal(collect(replies, 4, 0), 0);
}

/* ---- what cannot leave ---- */

static void a_refused_packet_is_a_failure_of_its_probe(void **state)
{
    struct reply replies[128];
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, FIRST_HOST, 1, 200);
    wire.refuse_after = 70;
    wire.refuse_count = 2;
    wire.refuse_code = EPERM;
    assert_int_equal(submit(0, 200, 1), 200);
    assert_int_equal(wire.sent_count, 198);
    assert_int_equal(prober->class->facts(prober).in_flight, 2);
    assert_int_equal(collect(replies, 128, 0), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(replies[i].kind, REPLY_FAILURE);
        assert_int_equal(replies[i].code, EPERM);
        assert_int_equal(replies[i].index, 70 + i);
        assert_int_equal(replies[i].position, 77 + i);
        assert_int_equal(replies[i].tag, 1);
    }
}

static void a_full_queue_is_tried_again(void **state)
{
    struct reply replies[8];
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, FIRST_HOST, 1, 200);
    wire.refuse_after = 70;
    wire.refuse_count = 1;
    wire.refuse_code = ENOBUFS;
    assert_int_equal(submit(0, 200, 1), 70);
    assert_int_equal(wire.sent_count, 70);
    assert_int_equal(prober->class->facts(prober).refused, 1);
    assert_int_equal(submit(70, 130, 1), 130);
    assert_int_equal(wire.sent_count, 200);
    assert_int_equal(prober->class->facts(prober).packets, 200);
    assert_int_equal(collect(replies, 8, 0), 0);
}

/* As many failures as come, in portions, without any being lost. */
static void no_route_is_a_failure(void **state)
{
    struct reply replies[100];
    uint64_t failures = 0, offered = 0;
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, MULTICAST, 1, 20000);
    while (failures < 20000) {
        offered += submit(offered, 20000 - offered, 0);
        const size_t count = collect(replies, 100, 0);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(replies[i].kind, REPLY_FAILURE);
            assert_int_equal(replies[i].code, ENETUNREACH);
            assert_int_equal(replies[i].index, failures++);
        }
    }
    assert_int_equal(wire.sent_count, 0);
}

/* ---- next hops ---- */

static void a_probe_waits_for_its_next_hop(void **state)
{
    struct reply replies[8];
    (void)state;
    open_hosts(&prober_tcp_syn, &ethernet, FIRST_HOST, 2, 50);
    assert_int_equal(submit(0, 100, 0), 100);
    assert_int_equal(wire.sent_count, 0);
    assert_int_equal(prober->class->facts(prober).in_flight, 100);
    assert_int_equal(collect(replies, 8, MS), 0);
    assert_int_equal(wire.sent_count, 2); /* one question for each of the two */
    assert_int_equal(prober->class->facts(prober).packets, 0);
    now += 30 * MS;
    const uint64_t told = now;
    struct sample reply = is_at(&wire.sent[1], 7);
    come(&reply, ETH_P_ARP);
    assert_int_equal(collect(replies, 8, 0), 0);
    now += MS;
    assert_int_equal(collect(replies, 8, 0), 0);
    assert_int_equal(wire.sent_count, 52);
    assert_int_equal(prober->class->facts(prober).in_flight, 50);
    for (size_t i = 2; i < 52; i++) {
        assert_int_equal(wire.sent[i].next_hop[5], 7);
        assert_int_equal(see(&wire.sent[i]).tcp.destination, i - 1);
        assert_true(see(&wire.sent[i]).ip.destination.value == FIRST_HOST + 1);
    }
    reply = answer_to(&wire.sent[2], TCP_SYN | TCP_ACK, 1, see(&wire.sent[2]).tcp.sequence + 1);
    come(&reply, ETH_P_IP);
    assert_int_equal(collect(replies, 8, 0), 1);
    assert_int_equal(replies[0].waited, told);
    assert_int_equal(replies[0].index, 50);
}

static void a_next_hop_that_nobody_has_is_unreachable(void **state)
{
    struct reply replies[64];
    (void)state;
    open_hosts(&prober_tcp_syn, &ethernet, FIRST_HOST, 1, 50);
    const uint64_t began = now;
    size_t count = 0;
    assert_int_equal(submit(0, 50, 3), 50);
    while (count < 50 && now < began + 10 * NANOSECONDS_PER_SECOND) {
        const size_t more = collect(replies + count, 64 - count, MS);
        count += more;
        now += more ? 0 : MS;
    }
    assert_int_equal(count, 50);
    assert_int_equal(wire.sent_count, 3);
    assert_true(now - began > NANOSECONDS_PER_SECOND);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(replies[i].kind, REPLY_ANSWER);
        assert_int_equal(replies[i].state, STATE_FILTERED);
        assert_int_equal(replies[i].reason, REASON_HOST_UNREACH);
        assert_int_not_equal(replies[i].from.family, ADDRESS_NONE);
        assert_int_equal(replies[i].index, i);
        assert_int_equal(replies[i].tag, 3);
    }
    assert_int_equal(prober->class->facts(prober).in_flight, 0);
}

/* That nobody answers says nothing where nobody could be asked. */
static void a_question_that_cannot_leave_is_a_failure(void **state)
{
    struct reply replies[64];
    (void)state;
    open_hosts(&prober_tcp_syn, &ethernet, FIRST_HOST, 1, 50);
    const uint64_t began = now;
    size_t count = 0;
    wire.down = true;
    wire.refuse_code = ENOBUFS; /* as without a carrier */
    assert_int_equal(submit(0, 50, 3), 50);
    while (count < 50 && now < began + 10 * NANOSECONDS_PER_SECOND) {
        const size_t more = collect(replies + count, 64 - count, MS);
        count += more;
        now += more ? 0 : MS;
    }
    assert_int_equal(count, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(replies[i].kind, REPLY_FAILURE);
        assert_int_equal(replies[i].code, ENOBUFS);
    }
}

/* Other packets may come faster than they can be looked at. */
static void a_flood_does_not_hold_up_the_scan(void **state)
{
    struct reply replies[256];
    (void)state;
    open_hosts(&prober_tcp_syn, &plain, FIRST_HOST, 1, 50);
    wire.flood = 1000000;
    assert_int_equal(collect(replies, 256, MS), 0);
    assert_true(wire.flood > 0);
    wire.flood = 0;
}

/* With all the room taken and a queue that fills up in the midst of it, none is lost and each
 * leaves once. */
static void none_that_waits_is_lost(void **state)
{
    static unsigned left[WAITING];
    struct reply replies[64];
    struct sample questions[2];
    (void)state;
    memset(left, 0, sizeof(left));
    open_hosts(&prober_tcp_syn, &ethernet, FIRST_HOST, 2, WAITING / 2);
    /* In turn, so that next to one that may leave there is always one that goes on waiting. */
    for (uint64_t i = 0; i < WAITING; i++)
        assert_int_equal(submit(i / 2 + i % 2 * (WAITING / 2), 1, 0), 1);
    assert_int_equal(submit(0, 1, 1), 0);
    assert_int_equal(collect(replies, 64, MS), 0);
    assert_int_equal(wire.sent_count, 2);
    memcpy(questions, wire.sent, sizeof(questions));
    for (unsigned round = 0; round < 2; round++) {
        const struct sample reply = is_at(&questions[round], 1);
        come(&reply, ETH_P_ARP);
        assert_int_equal(collect(replies, 64, 0), 0);
        for (unsigned turn = 0; turn < 1000; turn++) {
            wire.refuse_after = turn % 3 * 5;
            wire.refuse_count = 1;
            wire.refuse_code = turn % 2 ? EAGAIN : ENOBUFS;
            now += MS / 10;
            assert_int_equal(collect(replies, 64, 0), 0);
            assert_true(prober->class->facts(prober).in_flight <= WAITING);
        }
        wire.refuse_count = 0;
        for (unsigned turn = 0; turn < 10; turn++)
            assert_int_equal(collect(replies, 64, 0), 0);
        assert_int_equal(prober->class->facts(prober).in_flight, round ? 0 : WAITING / 2);
    }
    for (size_t i = 0; i < wire.sent_count; i++) {
        uint64_t index;
        if (wire.sent[i].length == 28)
            continue; /* a question */
        const struct seen seen = see(&wire.sent[i]);
        const struct endpoint to = {
            .address = seen.ip.destination,
            .port = {.protocol = PROTOCOL_TCP, .number = seen.tcp.destination}};
        assert_true(plan_find(&plan, &to, &index));
        left[index]++;
    }
    for (size_t i = 0; i < WAITING; i++)
        assert_int_equal(left[i], 1);
}

int main(void)
{
#define OPENED(test) cmocka_unit_test_teardown(test, close_all)
    const struct CMUnitTest tests[] = {
        OPENED(packets_are_what_the_technique_says),
        OPENED(answers_say_what_they_are_about),
        OPENED(strangers_say_nothing),
        OPENED(only_the_plan_is_heard),
        OPENED(a_refused_packet_is_a_failure_of_its_probe),
        OPENED(a_full_queue_is_tried_again),
        OPENED(no_route_is_a_failure),
        OPENED(a_probe_waits_for_its_next_hop),
        OPENED(a_next_hop_that_nobody_has_is_unreachable),
        OPENED(a_question_that_cannot_leave_is_a_failure),
        OPENED(a_flood_does_not_hold_up_the_scan),
        OPENED(none_that_waits_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
