/* What comes from the scanner: its packets are read, counted, sent to their hosts, and answered. */
#include "simnet.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define ETHERNET_SIZE 14
#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_IPV6 0x86dd

static uint16_t get16(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const unsigned char *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, 4);
    return ntohl(word);
}

static uint64_t get64(const unsigned char *bytes)
{
    return (uint64_t)get32(bytes) << 32 | get32(bytes + 4);
}

static struct host get_host(const unsigned char *bytes, bool four)
{
    if (four)
        return (struct host){0, 0xffff00000000ULL | get32(bytes)};
    return (struct host){get64(bytes), get64(bytes + 8)};
}

/* ---- The link ---- */

static bool is_gateway(const struct simnet *simnet, struct host host)
{
    bool six = !host_is_four(host);
    return simnet->description->has_gateway[six] &&
           host_equal(host, simnet->description->gateway[six]);
}

static const unsigned char gateway_hardware[HARDWARE_SIZE] = {0x02, 'S', 'I', 'M', 0, 1};

/* The hardware address of a host on the link. */
static void put_hardware(const struct host_truth *host, unsigned char hardware[HARDWARE_SIZE])
{
    uint64_t hash = host_hash(host->hash, SALT_HARDWARE);
    memcpy(hardware, &hash, HARDWARE_SIZE);
    hardware[0] = 0x06;
}

/* Finds whose hardware address is asked for. Returns false for hosts that nobody answers for: they
 * are absent, or behind the gateway. */
static bool find_hardware(const struct simnet *simnet, struct host host,
                          unsigned char hardware[HARDWARE_SIZE])
{
    memcpy(hardware, gateway_hardware, HARDWARE_SIZE);
    if (is_gateway(simnet, host))
        return true;
    struct host_truth truth = truth_of_host(simnet->description, host);
    if (!truth.network || !truth.network->onlink || truth.absent)
        return false;
    put_hardware(&truth, hardware);
    return true;
}

/* Whether a packet was sent to the hardware address of its host, or of the gateway to it. */
static bool is_addressed(const struct simnet *simnet, const struct packet *packet,
                         const struct host_truth *host)
{
    if (packet->link == 0)
        return true;
    if (!host->network || !host->network->onlink || is_gateway(simnet, packet->destination))
        return memcmp(packet->frame, gateway_hardware, HARDWARE_SIZE) == 0;
    unsigned char hardware[HARDWARE_SIZE];
    put_hardware(host, hardware);
    return memcmp(packet->frame, hardware, HARDWARE_SIZE) == 0;
}

static void receive_arp(struct simnet *simnet, const unsigned char *frame, size_t length)
{
    static const unsigned char wanted[] = {0, 1, 8, 0, 6, 4, 0, 1}; /* Ethernet, IPv4, request */
    if (length < 42 || memcmp(frame + 14, wanted, sizeof wanted) != 0)
        return;
    simnet->counters.arp++;
    unsigned char hardware[HARDWARE_SIZE], answer[FRAME_MAXIMUM];
    struct host target = get_host(frame + 38, true);
    if (host_equal(target, get_host(frame + 28, true)) || !find_hardware(simnet, target, hardware))
        return;
    simnet->counters.arp_answers++;
    path_write(simnet, answer, answer_arp(frame, hardware, answer));
    simnet->counters.sent--;
}

static void receive_solicitation(struct simnet *simnet, const struct packet *packet)
{
    simnet->counters.arp++;
    unsigned char hardware[HARDWARE_SIZE], answer[FRAME_MAXIMUM];
    if (!simnet->tap || packet->payload_length < 24 || packet->ip[7] != 255 ||
        (packet->source.high | packet->source.low) == 0)
        return;
    struct host target = get_host(packet->payload + 8, false);
    if (!find_hardware(simnet, target, hardware))
        return;
    simnet->counters.arp_answers++;
    path_write(simnet, answer, answer_neighbour(packet, target, hardware, answer));
    simnet->counters.sent--;
}

/* ---- TCP ---- */

static void count_flags(struct counters *counters, uint8_t flags)
{
    switch (flags) {
    case TCP_SYN:
        counters->syn++;
        break;
    case TCP_ACK:
        counters->ack++;
        break;
    case TCP_FIN:
        counters->fin++;
        break;
    case 0:
        counters->null++;
        break;
    case TCP_FIN | TCP_PSH | TCP_URG:
        counters->xmas++;
        break;
    case TCP_FIN | TCP_ACK:
        counters->maimon++;
        break;
    case TCP_SYN | TCP_ACK:
        counters->syn_ack++;
        break;
    case TCP_PSH | TCP_ACK:
        counters->psh_ack++;
        break;
    default:
        counters->odd++;
        break;
    }
}

/* The number with which a host begins the connection, by a hash: so that nothing is kept of it. */
static uint32_t isn_of(const struct host_truth *host, const struct packet *packet,
                       const struct segment *segment)
{
    uint64_t ports = (uint64_t)segment->source << 32 | (uint64_t)segment->destination << 16;
    return (uint32_t)host_hash(host->hash ^ mix(packet->source.low ^ packet->source.high),
                               SALT_ISN ^ ports);
}

/* A probe that has come to a host, and what becomes of answers. */
struct visit {
    struct simnet *simnet;
    struct network *network;
    const struct packet *packet;
    const struct segment *segment;
    struct host_truth host;
    int64_t now, out, due; /* came here; reaches the host; answers are back */
};

static void send_segment(const struct visit *visit, uint8_t flags, uint32_t sequence,
                         uint32_t acknowledgment, uint16_t window)
{
    unsigned char frame[FRAME_MAXIMUM];
    struct segment answer = {.source = visit->segment->destination,
                             .destination = visit->segment->source,
                             .sequence = sequence,
                             .acknowledgment = acknowledgment,
                             .flags = flags,
                             .window = window};
    const struct network *network = visit->network;
    uint16_t mss = flags & TCP_SYN ? network->mss : 0;
    size_t length =
        answer_tcp(visit->packet, visit->packet->destination, network->ttl, mss, &answer, frame);
    path_back(visit->simnet, visit->network, frame, length, visit->due, visit->now);
}

/* RFC 9293 §3.10.7.1: how a RST is numbered. */
static void send_reset(const struct visit *visit, bool open)
{
    const struct segment *segment = visit->segment;
    if (!path_allows(visit->simnet, visit->network, visit->packet->destination, LIMIT_RST,
                     visit->out))
        return;
    visit->simnet->counters.made_rst++;
    uint16_t window = visit->network->rst_window && open ? 1024 : 0;
    uint32_t length =
        (uint32_t)segment->length + !!(segment->flags & TCP_SYN) + !!(segment->flags & TCP_FIN);
    if (segment->flags & TCP_ACK)
        send_segment(visit, TCP_RST, segment->acknowledgment, 0, window);
    else
        send_segment(visit, TCP_RST | TCP_ACK, 0, segment->sequence + length, window);
}

static void send_error(const struct visit *visit, const struct rule *rule)
{
    const struct network *network = visit->network;
    struct host from = rule->has_router ? rule->router : visit->packet->destination;
    if (!path_allows(visit->simnet, network, from, LIMIT_ICMP, visit->out))
        return;
    visit->simnet->counters.made_icmp++;
    unsigned char frame[FRAME_MAXIMUM];
    size_t length = answer_icmp(visit->packet, from, network->ttl, rule, network->quote, frame);
    path_back(visit->simnet, visit->network, frame, length, visit->due, visit->now);
}

/* A listener (RFC 9293 §3.10.7.2), as the stack does it. */
static void meet_listener(const struct visit *visit)
{
    const struct network *network = visit->network;
    uint8_t flags = visit->segment->flags;
    if (flags & TCP_ACK) {
        bool maimon = (flags & TCP_FIN) && !(flags & TCP_SYN);
        if (!maimon || network->stack != STACK_BSD)
            send_reset(visit, true);
        return;
    }
    if (!(flags & TCP_SYN)) {
        if (network->stack == STACK_WINDOWS)
            send_reset(visit, true);
        return;
    }
    if (flags & TCP_FIN)
        return;
    if (!path_allows(visit->simnet, network, visit->packet->destination, LIMIT_SYN_ACK, visit->out))
        return;
    visit->simnet->counters.made_syn_ack++;
    send_segment(visit, TCP_SYN | TCP_ACK, isn_of(&visit->host, visit->packet, visit->segment),
                 visit->segment->sequence + 1, network->tarpit ? 0 : 64240);
}

/* A segment of a connection that our SYN-ACK opened: it is taken, and what must be is acknowledged.
 */
static void meet_connection(const struct visit *visit)
{
    const struct segment *segment = visit->segment;
    bool end = (segment->flags & TCP_FIN) != 0, tarpit = visit->network->tarpit;
    uint32_t taken = tarpit ? 0 : (uint32_t)segment->length + end;
    if (segment->length == 0 && !end)
        return;
    send_segment(visit, (uint8_t)(TCP_ACK | (end && !tarpit ? TCP_FIN : 0)),
                 segment->acknowledgment, segment->sequence + taken, tarpit ? 0 : 64240);
}

static bool is_connection(const struct visit *visit)
{
    const struct segment *segment = visit->segment;
    if ((segment->flags & (TCP_ACK | TCP_SYN)) != TCP_ACK || visit->host.absent)
        return false;
    uint32_t ahead = segment->acknowledgment - isn_of(&visit->host, visit->packet, segment);
    return (ahead == 1 || ahead == 2) &&
           truth_of_port(&visit->host, segment->destination)->state == STATE_OPEN;
}

static void meet_host(const struct visit *visit)
{
    static const struct rule passed = {.state = STATE_CLOSED};
    struct counters *counters = &visit->simnet->counters;
    const struct segment *segment = visit->segment;
    const struct rule *rule = truth_of_port(&visit->host, segment->destination);
    bool first = (segment->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    if (visit->host.absent)
        counters->met_absent++;
    else if (visit->network->stateless && !first && rule->state > STATE_CLOSED)
        rule = &passed;
    switch (rule->state) {
    case STATE_OPEN:
        counters->met_open++;
        meet_listener(visit);
        break;
    case STATE_CLOSED:
        counters->met_closed++;
        send_reset(visit, false);
        break;
    case STATE_SILENT:
        counters->met_silent += !visit->host.absent;
        break;
    case STATE_REJECT:
        counters->met_reject += !visit->host.absent;
        send_error(visit, rule);
        break;
    }
    if (path_chance(visit->simnet, visit->network->forge)) {
        unsigned char frame[FRAME_MAXIMUM];
        size_t length = answer_forged(visit->packet, segment, path_random(visit->simnet), frame);
        if (length > 0) {
            counters->forged++;
            path_back(visit->simnet, visit->network, frame, length, visit->due, visit->now);
        }
    }
}

static bool tcp_parse(const struct packet *packet, struct segment *ret_segment)
{
    const unsigned char *tcp = packet->payload;
    if (packet->payload_length < 20)
        return false;
    size_t header = (size_t)(tcp[12] >> 4) * 4;
    if (header < 20 || header > packet->payload_length)
        return false;
    *ret_segment = (struct segment){
        .source = get16(tcp),
        .destination = get16(tcp + 2),
        .sequence = get32(tcp + 4),
        .acknowledgment = get32(tcp + 8),
        .flags = tcp[13] & 0x3f,
        .window = get16(tcp + 14),
        .length = packet->payload_length - header,
    };
    return true;
}

static void receive_tcp(struct simnet *simnet, const struct packet *packet,
                        const struct host_truth *host, int64_t now)
{
    struct counters *counters = &simnet->counters;
    struct segment segment;
    if (!tcp_parse(packet, &segment)) {
        counters->malformed++;
        return;
    }
    if (checksum_fold(checksum_add(
            packet->payload, packet->payload_length,
            checksum_pseudo(packet->ip, packet->four, IPPROTO_TCP, packet->payload_length))) != 0) {
        counters->bad_checksum++;
        return;
    }
    if (is_gateway(simnet, packet->destination)) {
        counters->to_gateway++;
        return;
    }
    struct visit visit = {.simnet = simnet,
                          .network = host->network,
                          .packet = packet,
                          .segment = &segment,
                          .host = *host,
                          .now = now};
    bool connection = visit.network && is_connection(&visit);
    bool probe = !connection && !(segment.flags & TCP_RST);
    if (probe) {
        counters->probes++;
        count_flags(counters, segment.flags);
        counters_probe(counters, now);
    } else if (connection) {
        counters->handshake++;
    } else {
        counters->rst++;
    }
    visit.out = path_out(simnet, visit.network, probe, now);
    if (visit.out < 0 || segment.flags & TCP_RST)
        return;
    if (!visit.network) {
        counters->outside++;
        return;
    }
    int64_t rtt = path_rtt(&visit.host);
    visit.due = visit.out + rtt;
    visit.out += rtt / 2;
    if (connection) {
        meet_connection(&visit);
    } else {
        counters->arrived++;
        meet_host(&visit);
    }
}

/* ---- ICMP and IP ---- */

static void receive_echo(struct simnet *simnet, const struct packet *packet,
                         const struct host_truth *host, int64_t now)
{
    if (packet->payload_length < 8)
        return;
    uint8_t type = packet->payload[0];
    if (type != (packet->four ? ICMP_ECHO : ICMP6_ECHO_REQUEST))
        return;
    uint64_t sum = packet->four
                       ? 0
                       : checksum_pseudo(packet->ip, false, IPPROTO_ICMPV6, packet->payload_length);
    if (checksum_fold(checksum_add(packet->payload, packet->payload_length, sum)) != 0) {
        simnet->counters.bad_checksum++;
        return;
    }
    simnet->counters.echo++;
    unsigned char frame[FRAME_MAXIMUM];
    if (is_gateway(simnet, packet->destination)) {
        size_t length = answer_echo(packet, 64, frame);
        if (length > 0)
            path_write(simnet, frame, length);
        return;
    }
    struct network *network = host->network;
    int64_t time = path_out(simnet, network, false, now);
    if (time < 0 || !network || host->absent || network->no_ping)
        return;
    size_t length = answer_echo(packet, network->ttl, frame);
    if (length == 0)
        return;
    simnet->counters.made_echo++;
    path_back(simnet, network, frame, length, time + path_rtt(host), now);
}

/* Fills in the packet from its IP header. Returns false for what is malformed or a fragment. */
static bool ip_parse(struct packet *packet, size_t length)
{
    const unsigned char *ip = packet->ip;
    size_t header = 40;
    if (packet->four) {
        if (length < 20 || ip[0] >> 4 != 4)
            return false;
        header = (size_t)(ip[0] & 15) * 4;
        packet->ip_length = get16(ip + 2);
        if (header < 20 || (get16(ip + 6) & 0x3fff) != 0)
            return false;
        packet->protocol = ip[9];
    } else {
        if (length < 40 || ip[0] >> 4 != 6)
            return false;
        packet->ip_length = 40U + get16(ip + 4);
        packet->protocol = ip[6];
    }
    if (packet->ip_length > length || packet->ip_length < header)
        return false;
    packet->source = get_host(ip + (packet->four ? 12 : 8), packet->four);
    packet->destination = get_host(ip + (packet->four ? 16 : 24), packet->four);
    packet->payload = ip + header;
    packet->payload_length = packet->ip_length - header;
    return true;
}

static bool is_multicast(const struct packet *packet)
{
    return packet->four ? packet->ip[16] >= 224 : packet->ip[24] == 0xff;
}

static void receive_ip(struct simnet *simnet, struct packet *packet, size_t length, int64_t now)
{
    struct counters *counters = &simnet->counters;
    if (!ip_parse(packet, length)) {
        counters->malformed++;
        return;
    }
    bool icmp = packet->protocol == (packet->four ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    if (icmp && !packet->four && packet->payload_length > 0 &&
        packet->payload[0] == ND_NEIGHBOR_SOLICIT) {
        receive_solicitation(simnet, packet);
        return;
    }
    if (is_multicast(packet)) {
        counters->other++;
        return;
    }
    size_t header = (size_t)(packet->payload - packet->ip);
    if (packet->four && checksum_fold(checksum_add(packet->ip, header, 0)) != 0) {
        counters->bad_checksum++;
        return;
    }
    struct host_truth host = truth_of_host(simnet->description, packet->destination);
    if (!is_addressed(simnet, packet, &host)) {
        counters->wrong_hardware++;
        return;
    }
    if (packet->protocol == IPPROTO_TCP)
        receive_tcp(simnet, packet, &host, now);
    else if (icmp)
        receive_echo(simnet, packet, &host, now);
    else if (packet->protocol == IPPROTO_UDP)
        counters->udp++;
    else
        counters->other++;
}

void packet_receive(struct simnet *simnet, const unsigned char *frame, size_t length, int64_t now)
{
    simnet->counters.frames++;
    struct packet packet = {.frame = frame, .ip = frame};
    unsigned type = 0;
    if (simnet->tap) {
        if (length < ETHERNET_SIZE) {
            simnet->counters.malformed++;
            return;
        }
        type = get16(frame + 12);
        packet.link = ETHERNET_SIZE;
        packet.ip += ETHERNET_SIZE;
        length -= ETHERNET_SIZE;
    } else if (length > 0) {
        type = frame[0] >> 4 == 4 ? TYPE_IPV4 : frame[0] >> 4 == 6 ? TYPE_IPV6 : 0;
    }
    packet.four = type == TYPE_IPV4;
    if (type == TYPE_ARP)
        receive_arp(simnet, frame, length + ETHERNET_SIZE);
    else if (type == TYPE_IPV4 || type == TYPE_IPV6)
        receive_ip(simnet, &packet, length, now);
    else
        simnet->counters.other++;
}
