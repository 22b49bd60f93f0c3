/* A whole IP network behind one TUN or TAP device: what its description says, who answers what,
 * what becomes of a packet on its way, and what was counted.
 *
 * It shares no code with the program that it tests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NANOSECONDS 1000000000LL /* a second */
#define HARDWARE_SIZE 6
#define FRAME_MAXIMUM 168 /* bytes of a packet of ours, Ethernet header included */

/* An address of either family as a number; IPv4 ones are ::ffff:a.b.c.d. */
struct host {
    uint64_t high, low;
};

/* ---- The description (simnet_parse.c) ---- */

enum state { STATE_OPEN, STATE_CLOSED, STATE_SILENT, STATE_REJECT };

/* What becomes of a probe of some ports, or of a share of them. */
struct rule {
    enum state state;
    const char *reason; /* the word of --truth */
    uint8_t type, code; /* of the ICMP error of STATE_REJECT */
    bool has_router;
    struct host router; /* which sends the error in place of the host */
};

/* The rule of the ports whose hash is at most `below` and above that of the share before it. */
struct share {
    uint64_t below;
    unsigned rule;
};

#define RULES_MAXIMUM 64
#define SHARES_MAXIMUM 16

enum { OUT, BACK, WAYS }; /* from the scanner to the hosts; from the hosts to the scanner */

enum stack { STACK_LINUX, STACK_BSD, STACK_WINDOWS };

/* A queue in front of a line that takes one packet each `interval`. */
struct bottleneck {
    int64_t interval; /* nanoseconds; 0: none */
    int64_t queue;    /* packets that wait; one more is dropped */
    int64_t free_at;
};

/* Errors that come in bursts: a good and a bad state, in which everything is lost (Gilbert and
 * Elliott). */
struct burst {
    uint64_t chance; /* that a packet begins a bad time */
    double mean;     /* nanoseconds of it */
    int64_t bad_until;
};

enum limited { LIMIT_RST, LIMIT_ICMP, LIMIT_SYN_ACK, LIMITS };

/* How many answers of a kind a host gives. */
struct limit {
    enum { LIMIT_NONE, LIMIT_WINDOW, LIMIT_BUCKET } kind;
    int64_t rate;  /* a second */
    int64_t burst; /* LIMIT_BUCKET: so many at once */
};

struct delay {
    uint64_t chance;
    int64_t time;
};

#define DELAYS_MAXIMUM 4

struct network {
    struct network *next; /* of all of the description */
    unsigned line;
    bool onlink; /* existing hosts answer ARP; otherwise all are behind the gateway */

    struct rule rules[RULES_MAXIMUM];
    unsigned rule_count;
    uint8_t *rule_of_port; /* 65,536 of them: 1 + index into rules; or NULL */
    struct share shares[SHARES_MAXIMUM];
    unsigned share_count;
    double left;                 /* share of the ports that no share has taken */
    uint64_t absent, firewalled; /* shares of the hosts */
    struct rule absent_rule;
    bool proxy, tarpit, stateless, rst_window, no_ping;
    enum stack stack;
    uint8_t ttl;
    uint16_t mss;
    unsigned quote; /* bytes after the IP header that ICMP errors quote */

    enum { RTT_FIXED, RTT_UNIFORM, RTT_LOGNORMAL } rtt;
    double rtt_one, rtt_two;
    int64_t jitter;
    uint64_t loss[WAYS];
    struct burst burst[WAYS];
    bool burst_shared; /* one state for both ways, that of OUT */
    struct bottleneck bottleneck[WAYS];
    struct limit limits[LIMITS];
    bool limited;
    struct delay duplicate, delays[DELAYS_MAXIMUM];
    unsigned delay_count;
    uint64_t corrupt, forge;
};

struct prefix {
    struct host host;
    unsigned length; /* of 128 bits */
    struct network *network;
};

struct description {
    uint64_t seed;
    bool has_gateway[2]; /* IPv4, IPv6 */
    struct host gateway[2];
    struct bottleneck bottleneck[WAYS];
    struct network *networks;
    struct prefix *prefixes;
    size_t prefix_count;

    /* Longest prefixes first; slots of an open-addressing table. */
    unsigned lengths[129];
    unsigned length_count;
    struct prefix *table;
    size_t table_mask;
};

/* Reads the description, or prints each fault with its line and returns false. `seed` replaces its
 * own unless it is NULL. */
bool description_read(const char *path, const uint64_t *seed, struct description *ret_description);
void description_close(struct description *description);

/* ---- Addresses (simnet_address.c) ---- */

/* "198.18.0.1", "fd00::1". */
bool host_parse(const char *text, struct host *ret_host);
const char *host_print(struct host host, char text[static 46]);

/* "198.18.0.0/24", or an address as the longest prefix. The length is of 128 bits. */
bool prefix_parse(const char *text, struct host *ret_host, unsigned *ret_length);

/* A prefix, an address, or a range "198.18.0.1-198.18.0.9", as the first and last. */
bool hosts_parse(const char *text, struct host *ret_first, struct host *ret_last);

/* The first part of "22,80-88"; `ret_rest` is where the next begins. */
bool ports_parse(const char *text, unsigned *ret_first, unsigned *ret_last, const char **ret_rest);

/* The network of an address, by the longest prefix; NULL if none has it. The index for that is made
 * once. */
struct network *description_find(const struct description *description, struct host host);
bool description_index(struct description *description);

static inline bool host_is_four(struct host host)
{
    return host.high == 0 && host.low >> 32 == 0xffff;
}

static inline bool host_equal(struct host one, struct host other)
{
    return one.high == other.high && one.low == other.low;
}

static inline struct host host_mask(struct host host, unsigned length)
{
    return (struct host){
        length == 0 ? 0 : host.high & (length >= 64 ? ~0ULL : ~0ULL << (64 - length)),
        length <= 64 ? 0 : host.low & ~0ULL << (128 - length),
    };
}

/* A finaliser of 64-bit hashes (splitmix64's). */
static inline uint64_t mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
    return value ^ value >> 31;
}

/* ---- Who answers what (simnet_truth.c) ---- */

/* A host, and everything about it that does not depend on the port. */
struct host_truth {
    struct network *network; /* NULL: outside of all networks */
    uint64_t hash;
    bool absent, firewalled;
};

/* Hashes of a host for purposes other than ports. */
enum { SALT_ABSENT = 1 << 16, SALT_FIREWALLED, SALT_RTT, SALT_RTT_TWO, SALT_HARDWARE, SALT_ISN };

static inline uint64_t host_hash(uint64_t hash, uint64_t salt)
{
    return mix(hash ^ salt * 0xd6e8feb86659fd93ULL);
}

struct host_truth truth_of_host(const struct description *description, struct host host);

/* The rule for a port of an existing or absent host in a network. */
const struct rule *truth_of_port(const struct host_truth *host, uint16_t port);

enum truth_print { TRUTH_ALL, TRUTH_OPEN, TRUTH_COUNTS };

/* Prints the states of ports of addresses, all of the networks unless targets are given. Returns an
 * exit status. */
int truth_print(const struct description *description, enum truth_print what, const char *ports,
                char *const *targets);

/* The gateway and the networks, one a line, for those who make routes. */
int description_print(const struct description *description);

/* ---- Counters (simnet_count.c) ---- */

/* COUNTER(name, what it counts) */
#define COUNTERS                                                                                   \
    COUNTER(frames, "everything that came")                                                        \
    COUNTER(arp, "ARP requests and IPv6 neighbour solicitations")                                  \
    COUNTER(arp_answers, "answers to those")                                                       \
    COUNTER(other, "frames of no interest: multicast, other protocols")                            \
    COUNTER(malformed, "cut short, fragments, lengths that lie")                                   \
    COUNTER(bad_checksum, "of IPv4, TCP or ICMP")                                                  \
    COUNTER(wrong_hardware, "sent to a hardware address that is not the host's way")               \
    COUNTER(to_gateway, "TCP to the gateway itself")                                               \
    COUNTER(probes, "TCP segments but for RST and those of handshakes; the sum of the next nine")  \
    COUNTER(syn, "SYN")                                                                            \
    COUNTER(ack, "ACK")                                                                            \
    COUNTER(fin, "FIN")                                                                            \
    COUNTER(null, "no flag")                                                                       \
    COUNTER(xmas, "FIN, PSH, URG")                                                                 \
    COUNTER(maimon, "FIN, ACK")                                                                    \
    COUNTER(syn_ack, "SYN, ACK")                                                                   \
    COUNTER(psh_ack, "PSH, ACK")                                                                   \
    COUNTER(odd, "other flags")                                                                    \
    COUNTER(handshake, "segments of connections that were opened with our SYN-ACK")                \
    COUNTER(rst, "RST, mostly of the scanner's kernel")                                            \
    COUNTER(udp, "UDP")                                                                            \
    COUNTER(echo, "ICMP echo requests")                                                            \
    COUNTER(outside, "to no network")                                                              \
    COUNTER(queue_dropped_out, "probes dropped by a full bottleneck on the way out")               \
    COUNTER(queue_dropped_rst, "other packets dropped there")                                      \
    COUNTER(lost_out, "probes lost at random on the way out")                                      \
    COUNTER(burst_out, "probes lost in bursts on the way out")                                     \
    COUNTER(arrived, "probes that got as far as their network")                                    \
    COUNTER(met_open, "of these: on an open port")                                                 \
    COUNTER(met_closed, "on a closed one")                                                         \
    COUNTER(met_silent, "on a silent one, or a firewalled host's")                                 \
    COUNTER(met_reject, "on a rejecting one")                                                      \
    COUNTER(met_absent, "on an absent host")                                                       \
    COUNTER(limited_rst, "RSTs that a limit forbade")                                              \
    COUNTER(limited_icmp, "ICMP errors that a limit forbade")                                      \
    COUNTER(limited_syn_ack, "SYN-ACKs that a limit forbade")                                      \
    COUNTER(lost_back, "answers lost at random on the way back")                                   \
    COUNTER(burst_back, "answers lost in bursts on the way back")                                  \
    COUNTER(queue_dropped_back, "answers dropped by a full bottleneck on the way back")            \
    COUNTER(corrupted, "answers with a bit flipped")                                               \
    COUNTER(duplicated, "answers sent twice")                                                      \
    COUNTER(delayed, "answers that were reordered or late")                                        \
    COUNTER(forged, "packets that lie, in addition to the answers")                                \
    COUNTER(made_syn_ack, "answers made, before losses and duplicates: SYN-ACK")                   \
    COUNTER(made_rst, "RST")                                                                       \
    COUNTER(made_icmp, "ICMP errors")                                                              \
    COUNTER(made_echo, "ICMP echo replies")                                                        \
    COUNTER(sent, "packets given to the scanner's kernel, without arp_answers")                    \
    COUNTER(unsent, "that are still on their way")                                                 \
    COUNTER(write_failed, "that the kernel did not take: our own drop")                            \
    COUNTER(events_exhausted, "for which there was no memory: our own drop")

struct counters {
#define COUNTER(name, what) uint64_t name;
    COUNTERS
#undef COUNTER
    int64_t first, last; /* probe, on the monotonic clock */
    int64_t late;        /* by which an answer was written after its time, at most */
    uint64_t backlog;    /* packets read without finding the device empty, at most */
    uint32_t *windows;   /* probes in each hundred milliseconds since the first */
    size_t window_count;
};

#define WINDOW_TIME (NANOSECONDS / 10)
#define WINDOWS_MAXIMUM (24 * 36000) /* a day */

bool counters_open(struct counters *ret_counters);

static inline void counters_probe(struct counters *counters, int64_t now)
{
    if (counters->first == 0)
        counters->first = now;
    counters->last = now;
    size_t window = (size_t)((now - counters->first) / WINDOW_TIME);
    if (window < WINDOWS_MAXIMUM) {
        counters->windows[window]++;
        counters->window_count = window + 1;
    }
}

struct device_drops {
    uint64_t transmit, receive; /* as the kernel sees it: transmitted to us */
};

/* Writes them as one JSON object, whole or not at all. */
bool counters_write(const struct counters *counters, const struct device_drops *drops,
                    const char *path);

/* ---- The device (simnet_device.c) ---- */

/* Opens /dev/net/tun, makes the device and sets it up, or prints why not and returns -1. Refuses in
 * a namespace with a way out. */
int device_open(const char *name, bool tap, unsigned queue);
bool device_drops(const char *name, struct device_drops *ret_drops);

/* ---- Packets on their way (simnet_path.c) ---- */

struct event {
    int64_t due;
    uint32_t next;
    uint16_t length;
    uint8_t stage;
    struct network *network;
    unsigned char frame[FRAME_MAXIMUM];
};

#define NEAR_BITS 16
#define NEAR_SLOTS (1U << NEAR_BITS)
#define FAR_SLOTS 256U
#define NO_EVENT UINT32_MAX

struct slot {
    uint32_t head, tail;
};

/* A timing wheel: slots of 2^14 ns for the next second, and of a second for what is later. */
struct wheel {
    struct event *events;
    uint32_t capacity, fresh, free; /* never used ones begin at fresh */
    uint64_t current;               /* the first tick that has not been fired */
    uint64_t far_count, count;
    uint64_t near_bits[NEAR_SLOTS / 64], near_words[NEAR_SLOTS / 64 / 64];
    struct slot near[NEAR_SLOTS], far[FAR_SLOTS];
};

/* What a host remembers: when its limits let through the next. */
struct memory {
    uint64_t key;
    struct {
        int64_t time, count;
    } limits[LIMITS];
};

struct simnet {
    struct description *description;
    int device;
    bool tap;
    struct counters counters;
    struct wheel *wheel;
    struct memory *memories;
    size_t memory_mask, memory_count;
    uint64_t random;
};

bool path_open(struct simnet *simnet, uint32_t events, int64_t now);
void path_close(struct simnet *simnet);

static inline uint64_t path_random(struct simnet *simnet)
{
    simnet->random += 0x9e3779b97f4a7c15ULL;
    return mix(simnet->random);
}

static inline bool path_chance(struct simnet *simnet, uint64_t chance)
{
    return chance != 0 && path_random(simnet) <= chance;
}

/* When a packet that is now on its way out is there, or -1 if it does not arrive. `probe`: it
 * counts among the lost; otherwise it only takes its place in the queues. `network` may be NULL. */
int64_t path_out(struct simnet *simnet, struct network *network, bool probe, int64_t now);

/* The round-trip time of a host without jitter. */
int64_t path_rtt(const struct host_truth *host);

/* Whether a host may send another answer of this kind now. */
bool path_allows(struct simnet *simnet, const struct network *network, struct host sender,
                 enum limited kind, int64_t now);

/* Sends an answer that is ready at `due`, which is not before `now`, on its way back. */
void path_back(struct simnet *simnet, struct network *network, const unsigned char *frame,
               size_t length, int64_t due, int64_t now);

/* Writes what is due, at most `most`. Returns how many were due. */
size_t path_fire(struct simnet *simnet, int64_t now, size_t most);

/* When the next is due; INT64_MAX if nothing is on its way. */
int64_t path_next(const struct simnet *simnet);

/* Gives a frame to the scanner's kernel. */
void path_write(struct simnet *simnet, const unsigned char *frame, size_t length);

/* ---- Packets (simnet_packet.c, simnet_answer.c) ---- */

struct packet {
    const unsigned char *frame; /* with its Ethernet header, if the device has them */
    unsigned link;              /* bytes of that header */
    const unsigned char *ip, *payload;
    size_t ip_length, payload_length;
    bool four;
    uint8_t protocol;
    struct host source, destination;
};

struct segment {
    uint16_t source, destination, window;
    uint32_t sequence, acknowledgment;
    uint8_t flags;
    size_t length; /* of its data */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* Takes one frame from the device and lets the network answer. */
void packet_receive(struct simnet *simnet, const unsigned char *frame, size_t length, int64_t now);

/* The Internet checksum of bytes, to be folded at the end. */
uint64_t checksum_add(const unsigned char *bytes, size_t length, uint64_t sum);
uint16_t checksum_fold(uint64_t sum);
uint64_t checksum_pseudo(const unsigned char *ip, bool four, uint8_t protocol, size_t length);

/* Answers to a packet: each writes a whole frame of at most FRAME_MAXIMUM bytes and returns its
 * length. `from` is who answers. */
size_t answer_tcp(const struct packet *packet, struct host from, uint8_t ttl, uint16_t mss,
                  const struct segment *segment, unsigned char *frame);
size_t answer_icmp(const struct packet *packet, struct host from, uint8_t ttl,
                   const struct rule *rule, unsigned quote, unsigned char *frame);
size_t answer_echo(const struct packet *packet, uint8_t ttl, unsigned char *frame);
size_t answer_arp(const unsigned char *request, const unsigned char *hardware,
                  unsigned char *frame);
size_t answer_neighbour(const struct packet *packet, struct host target,
                        const unsigned char *hardware, unsigned char *frame);

/* One of several packets that a careless scanner takes for an answer to this segment; 0 if there
 * is none. */
size_t answer_forged(const struct packet *packet, const struct segment *segment, uint64_t random,
                     unsigned char *frame);

/* Flips one bit of what the transport's checksum covers. */
void answer_corrupt(unsigned char *frame, size_t length, unsigned link, uint64_t random);
