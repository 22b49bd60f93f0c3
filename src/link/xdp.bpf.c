/* The program inside the kernel, which knows the plan, the order and the ledger.
 *
 * It hears what comes in on the interface and takes out what gives a probe's cookie back;
 * everything else goes on to the kernel untouched. It judges nothing: src/probe/judge.c does that
 * with the bytes that it is handed.
 *
 * And it walks, when it is not the device that runs it but we: each run writes the probe of the
 * next silent index of the pass over a frame and sends it. Both are one program because the kernel
 * stops for some 20 ms to make a program quick to call, unless it is attached to a device already.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "link/xdp_shared.h"

char xdp_license[] SEC("license") = "BSD"; /* nothing here asks the kernel for more */

#define ORDER_STEPS 64 /* from a small domain's excess; a large one is left at once */
#define LOOKS 1024     /* at positions for one that is silent, a frame */
#define HALVINGS 21
#define PORTS 65536
#define VLANS 2
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define TCP_HEADER 20
#define ICMP_HEADER 8
#define QUOTED 8 /* bytes of the TCP header that every ICMP error quotes: RFC 792 */
#define TCP 6
#define ICMP 1
#define ICMP6 58
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define IP_DF 0x4000
#define IP_FRAGMENT 0x3fff /* its offset, and that there are more */
#define TTL 64

#define always_inline __attribute__((always_inline)) static inline

const volatile struct xdp_facts facts;
struct xdp_state state;
uint16_t port_numbers[PORTS]; /* by rank */
uint32_t port_ranks[PORTS];   /* by number: the rank plus one, or 0 */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct xdp_range);
} ranges SEC(".maps");

/* Two bits for each index: scan/ledger.h. User space writes it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint64_t);
} ledger SEC(".maps");

/* A bit for each host that the passes leave out. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint64_t);
} avoided SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, XDP_RING_SIZE);
} answers SEC(".maps");

/* By way of volatile, because a compiler takes constants for what they are here: zero. */
always_inline struct key secret(void)
{
    return (struct key){{facts.key.words[0], facts.key.words[1]}};
}

/* ---- the plan ---- */

always_inline bool is_known(uint64_t index)
{
    uint32_t at = index / XDP_STATES_PER_WORD;
    uint64_t *word = bpf_map_lookup_elem(&ledger, &at);
    return !word || *word >> index % XDP_STATES_PER_WORD * 2 & 3;
}

always_inline bool is_avoided(uint64_t host)
{
    uint32_t at = host / 64;
    uint64_t *word = bpf_map_lookup_elem(&avoided, &at);
    return word && *word >> host % 64 & 1;
}

/* Functions that the kernel looks through once, and not again wherever they are called. */
#define ALONE __attribute__((noinline))

uint64_t at(const struct order *order, uint64_t position);
uint32_t find_host(uint64_t host);
uint32_t find_address(uint64_t first, uint64_t second);

/* As order_at(), but that it ends. */
ALONE uint64_t at(const struct order *order, uint64_t position)
{
    if (!order)
        return 0;
#pragma clang loop unroll(disable)
    for (int i = 0; i < ORDER_STEPS; i++) {
        position = order_step(order, position);
        if (position < order->count)
            break;
    }
    return position;
}

/* The number of the range that holds the host. */
ALONE uint32_t find_host(uint64_t host)
{
    uint32_t low = 0, high = facts.ranges;
#pragma clang loop unroll(disable)
    for (int i = 0; i < HALVINGS && high - low > 1; i++) {
        uint32_t middle = low + (high - low) / 2;
        struct xdp_range *range = bpf_map_lookup_elem(&ranges, &middle);
        if (range && host >= range->start)
            low = middle;
        else
            high = middle;
    }
    return low;
}

always_inline bool is_below(const uint64_t one[2], const uint64_t other[2])
{
    return one[0] < other[0] || (one[0] == other[0] && one[1] < other[1]);
}

/* The number of the last range that begins at the address or before it, or 0. */
ALONE uint32_t find_address(uint64_t first, uint64_t second)
{
    const uint64_t address[2] = {first, second};
    uint32_t low = 0, high = facts.ranges;
#pragma clang loop unroll(disable)
    for (int i = 0; i < HALVINGS && high - low > 1; i++) {
        uint32_t middle = low + (high - low) / 2;
        struct xdp_range *range = bpf_map_lookup_elem(&ranges, &middle);
        if (range && !is_below(address, range->first))
            low = middle;
        else
            high = middle;
    }
    return low;
}

always_inline bool find_index(const uint64_t address[2], uint16_t port, uint64_t *ret_index)
{
    uint32_t number = find_address(address[0], address[1]);
    const struct xdp_range *range = bpf_map_lookup_elem(&ranges, &number);
    if (!range || is_below(address, range->first))
        return false;
    uint64_t behind = address[1] - range->first[1];
    uint64_t carries = address[0] - range->first[0] - (address[1] < range->first[1]);
    uint32_t rank = port_ranks[port];
    if (carries || behind > range->more || !rank)
        return false;
    *ret_index = (range->start + behind) * facts.ports + rank - 1;
    return true;
}

/* ---- checksums ---- */

always_inline uint32_t sum32(uint32_t word)
{
    return (word >> 16) + (word & 0xffff);
}

always_inline uint32_t sum64(uint64_t word)
{
    return sum32(word >> 32) + sum32(word);
}

always_inline uint16_t fold(uint32_t sum)
{
    sum = sum32(sum);
    sum = sum32(sum);
    return ~sum;
}

/* ---- sending ---- */

struct found {
    uint64_t index, host;
    bool there;
};

always_inline struct xdp_walker *own_walker(void)
{
    uint32_t processor = bpf_get_smp_processor_id() & (XDP_PROCESSORS - 1);
    return &state.walkers[state.walker_of[processor] & (XDP_WALKERS - 1)];
}

static long look(uint32_t __attribute__((unused)) number, void *context)
{
    struct found *found = context;
    struct walk *walk = &own_walker()->walk;
    if (walk->position >= walk->end)
        return 1;
    uint64_t index = walk_index(walk, walk->position++, at);
    uint64_t host = facts.ports == 1 ? index : index / facts.ports;
    if (is_known(index) || is_avoided(host))
        return 0;
    found->index = index;
    found->host = host;
    found->there = true;
    return 1;
}

always_inline __be16 half(uint16_t number)
{
    return bpf_htons(number);
}

/* The last words of the headers, of which the addresses differ only. `sum`: of the destination. */
always_inline void put_tcp(const struct xdp_walker *walker, unsigned char *tcp, uint32_t sum,
                           uint16_t port, uint32_t cookie)
{
    uint32_t acknowledgment = facts.acknowledges ? cookie : 0;
    sum += walker->tcp_sum + walker->source_port + port + sum32(cookie) + sum32(acknowledgment);
    *(__be16 *)tcp = half(walker->source_port);
    *(__be16 *)(tcp + 2) = half(port);
    *(__be32 *)(tcp + 4) = bpf_htonl(cookie);
    *(__be32 *)(tcp + 8) = bpf_htonl(acknowledgment);
    *(__be16 *)(tcp + 16) = half(fold(sum));
}

static __attribute__((noinline)) int walk(struct xdp_md *context)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct found found = {0};
    struct xdp_walker *walker = own_walker();
    if (walker->walk.packets == 0)
        return XDP_DROP;
    bpf_loop(LOOKS, look, &found, 0);
    uint32_t number = found.there ? find_host(found.host) : UINT32_MAX;
    const struct xdp_range *range = bpf_map_lookup_elem(&ranges, &number);
    if (!range)
        return XDP_DROP;
    uint16_t port = port_numbers[(found.index - found.host * facts.ports) & (PORTS - 1)];
    uint64_t behind = found.host - range->start;
    uint64_t to[2] = {range->first[0], range->first[1] + behind};
    to[0] += to[1] < behind;

    /* All of it is written, because whoever had the page before us may have changed any byte. The
     * frame is longer than its packet by what makes it whole words. */
    if (frame + sizeof(walker->frame) > end)
        return XDP_DROP;
#pragma clang loop unroll(full)
    for (int i = 0; i < XDP_FRAME_WORDS; i++)
        *(uint64_t *)(frame + 8 * i) = walker->frame[i];

    const struct key key = secret();
    unsigned char *ip = frame + ETH_HLEN;
    if (facts.ipv6) {
        uint32_t cookie = cookie_ipv6(&key, walker->source, to, walker->source_port, port);
        *(__be64 *)(ip + 24) = bpf_cpu_to_be64(to[0]);
        *(__be64 *)(ip + 32) = bpf_cpu_to_be64(to[1]);
        put_tcp(walker, ip + IPV6_HEADER, sum64(to[0]) + sum64(to[1]), port, cookie);
    } else {
        uint32_t cookie = cookie_ipv4(&key, walker->source[1], to[1], walker->source_port, port);
        uint16_t identification = cookie ^ cookie >> 16;
        *(__be16 *)(ip + 4) = half(identification);
        *(__be16 *)(ip + 10) = half(fold(walker->ip_sum + identification + sum32(to[1])));
        *(__be32 *)(ip + 16) = bpf_htonl(to[1]);
        put_tcp(walker, ip + IPV4_HEADER, sum32(to[1]), port, cookie);
    }
    if (bpf_xdp_adjust_tail(context, (int)walker->frame_length - (int)(end - frame)))
        return XDP_DROP;
    walker->walk.packets--;
    return bpf_redirect(facts.interface, 0);
}

/* ---- hearing ---- */

struct packet {
    uint64_t source[2], destination[2]; /* of the answer, or the reverse of what an error quotes */
    uint16_t source_port, destination_port;
    uint32_t offset; /* of the IP header */
    uint32_t length; /* of the IP packet */
    uint16_t protocol;
    bool opens; /* it is a SYN|ACK */
};

always_inline uint64_t load64(const unsigned char *at)
{
    return bpf_be64_to_cpu(*(__be64 *)at);
}

always_inline uint32_t load32(const unsigned char *at)
{
    return bpf_ntohl(*(__be32 *)at);
}

always_inline uint16_t load16(const unsigned char *at)
{
    return bpf_ntohs(*(__be16 *)at);
}

always_inline bool is_ours(uint16_t port)
{
    return port >= facts.first_port && port - facts.first_port < facts.tags;
}

/* Of the probe that `packet` would be an answer to. */
always_inline uint32_t cookie_of(const struct packet *packet)
{
    const struct key key = secret();
    return facts.ipv6 ? cookie_ipv6(&key, packet->destination, packet->source,
                                    packet->destination_port, packet->source_port)
                      : cookie_ipv4(&key, packet->destination[1], packet->source[1],
                                    packet->destination_port, packet->source_port);
}

/* The rules are those of gives_cookie() in src/probe/judge.c: what this lets pass is judged there.
 */
always_inline bool hear_tcp(const unsigned char *tcp, const unsigned char *end,
                            struct packet *packet)
{
    if (tcp + TCP_HEADER > end)
        return false;
    packet->source_port = load16(tcp);
    packet->destination_port = load16(tcp + 2);
    if (!is_ours(packet->destination_port))
        return false;
    uint32_t cookie = cookie_of(packet), acknowledgment = load32(tcp + 8);
    uint8_t flags = tcp[13];
    packet->opens = (flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK);
    if (facts.acknowledges)
        return flags & TCP_RST && load32(tcp + 4) == cookie;
    return flags & TCP_ACK &&
           (acknowledgment == cookie + 1 || (flags & TCP_RST && acknowledgment == cookie));
}

/* The ports and the sequence number that an ICMP error quotes at `tcp`. */
always_inline bool hear_quoted(const unsigned char *tcp, const unsigned char *end,
                               struct packet *packet)
{
    if (tcp + QUOTED > end)
        return false;
    packet->destination_port = load16(tcp);
    packet->source_port = load16(tcp + 2);
    return is_ours(packet->destination_port) && cookie_of(packet) == load32(tcp + 4);
}

always_inline bool hear_ipv4(const unsigned char *ip, const unsigned char *end,
                             struct packet *packet)
{
    if (ip + IPV4_HEADER > end || ip[0] >> 4 != 4)
        return false;
    uint32_t header = (ip[0] & 15) * 4, needed = header + TCP_HEADER;
    if (header < IPV4_HEADER || load16(ip + 6) & IP_FRAGMENT)
        return false;
    packet->length = load16(ip + 2);
    packet->source[1] = load32(ip + 12);
    packet->destination[1] = load32(ip + 16);
    const unsigned char *payload = ip + header;
    if (ip[9] == TCP) {
        packet->opens = false;
        return packet->length >= needed && hear_tcp(payload, end, packet) &&
               (!packet->opens || header == IPV4_HEADER);
    }
    if (ip[9] != ICMP || payload + ICMP_HEADER + IPV4_HEADER > end ||
        (payload[0] != 3 && payload[0] != 11 && payload[0] != 12))
        return false;
    const unsigned char *quoted = payload + ICMP_HEADER;
    needed = header + ICMP_HEADER + QUOTED;
    header = (quoted[0] & 15) * 4;
    if (quoted[0] >> 4 != 4 || header < IPV4_HEADER || quoted[9] != TCP ||
        packet->length < needed + header || load32(quoted + 12) != packet->destination[1])
        return false;
    packet->source[1] = load32(quoted + 16);
    return hear_quoted(quoted + header, end, packet);
}

/* Extension headers are left to the kernel, which hands them on to the judge. */
always_inline bool hear_ipv6(const unsigned char *ip, const unsigned char *end,
                             struct packet *packet)
{
    if (ip + IPV6_HEADER > end || ip[0] >> 4 != 6)
        return false;
    packet->length = IPV6_HEADER + load16(ip + 4);
    packet->source[0] = load64(ip + 8);
    packet->source[1] = load64(ip + 16);
    packet->destination[0] = load64(ip + 24);
    packet->destination[1] = load64(ip + 32);
    const unsigned char *payload = ip + IPV6_HEADER;
    if (ip[6] == TCP)
        return packet->length >= IPV6_HEADER + TCP_HEADER && hear_tcp(payload, end, packet);
    if (ip[6] != ICMP6 || payload + ICMP_HEADER + IPV6_HEADER > end ||
        (payload[0] != 1 && payload[0] != 3 && payload[0] != 4))
        return false;
    const unsigned char *quoted = payload + ICMP_HEADER;
    if (packet->length < IPV6_HEADER + ICMP_HEADER + IPV6_HEADER + QUOTED || quoted[0] >> 4 != 6 ||
        quoted[6] != TCP || load64(quoted + 8) != packet->destination[0] ||
        load64(quoted + 16) != packet->destination[1])
        return false;
    packet->source[0] = load64(quoted + 24);
    packet->source[1] = load64(quoted + 32);
    return hear_quoted(quoted + IPV6_HEADER, end, packet);
}

/* Hands the packet over. Returns whether there was room. */
#define HAND_OVER(context, packet, room)                                                           \
    ({                                                                                             \
        struct xdp_record *record =                                                                \
            bpf_ringbuf_reserve(&answers, sizeof(struct xdp_record) + (room), 0);                  \
        if (record) {                                                                              \
            uint32_t length = (packet)->length;                                                    \
            record->time = bpf_ktime_get_ns();                                                     \
            record->length = length;                                                               \
            record->protocol = (packet)->protocol;                                                 \
            if (length > 0 && length <= (room) &&                                                  \
                !bpf_xdp_load_bytes(context, (packet)->offset, record->bytes, length))             \
                bpf_ringbuf_submit(record, 0);                                                     \
            else                                                                                   \
                bpf_ringbuf_discard(record, 0);                                                    \
        }                                                                                          \
        record != NULL;                                                                            \
    })

/* Turns the SYN|ACK into the RST that answers it (RFC 9293 §3.10.7.3), and the packet round. */
always_inline int reset(struct xdp_md *context, const struct packet *packet)
{
    unsigned char *frame = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    unsigned char *ip = frame + (packet->offset & 63);
    const uint32_t header = facts.ipv6 ? IPV6_HEADER : IPV4_HEADER;
    unsigned char *tcp = ip + header;
    if (frame + ETH_HLEN > end || tcp + TCP_HEADER > end)
        return XDP_PASS;
    unsigned char hardware[ETH_ALEN];
    __builtin_memcpy(hardware, frame, ETH_ALEN);
    __builtin_memcpy(frame, frame + ETH_ALEN, ETH_ALEN);
    __builtin_memcpy(frame + ETH_ALEN, hardware, ETH_ALEN);

    uint32_t sequence = load32(tcp + 8), sum = TCP + TCP_HEADER;
    if (facts.ipv6) {
        *(__be32 *)ip = bpf_htonl(UINT32_C(6) << 28);
        *(__be32 *)(ip + 4) = bpf_htonl(TCP_HEADER << 16 | TCP << 8 | TTL);
        *(__be64 *)(ip + 8) = bpf_cpu_to_be64(packet->destination[0]);
        *(__be64 *)(ip + 16) = bpf_cpu_to_be64(packet->destination[1]);
        *(__be64 *)(ip + 24) = bpf_cpu_to_be64(packet->source[0]);
        *(__be64 *)(ip + 32) = bpf_cpu_to_be64(packet->source[1]);
        sum += sum64(packet->source[0]) + sum64(packet->destination[0]) + sum64(packet->source[1]) +
               sum64(packet->destination[1]);
    } else {
        uint32_t addresses = sum32(packet->source[1]) + sum32(packet->destination[1]);
        uint32_t first = UINT32_C(0x45000000) | (IPV4_HEADER + TCP_HEADER),
                 third = TTL << 24 | TCP << 16;
        *(__be32 *)ip = bpf_htonl(first);
        *(__be32 *)(ip + 4) = bpf_htonl(IP_DF);
        *(__be32 *)(ip + 8) =
            bpf_htonl(third | fold(sum32(first) + IP_DF + sum32(third) + addresses));
        *(__be32 *)(ip + 12) = bpf_htonl(packet->destination[1]);
        *(__be32 *)(ip + 16) = bpf_htonl(packet->source[1]);
        sum += addresses;
    }
    uint32_t ports = (uint32_t)packet->destination_port << 16 | packet->source_port;
    uint32_t flags = UINT32_C(5) << 28 | TCP_RST << 16;
    *(__be32 *)tcp = bpf_htonl(ports);
    *(__be32 *)(tcp + 4) = bpf_htonl(sequence);
    *(__be32 *)(tcp + 8) = 0;
    *(__be32 *)(tcp + 12) = bpf_htonl(flags);
    *(__be32 *)(tcp + 16) =
        bpf_htonl((uint32_t)fold(sum + sum32(ports) + sum32(sequence) + sum32(flags)) << 16);
    int surplus = (int)(end - frame) - (int)(packet->offset + header + TCP_HEADER);
    if (surplus > 0 && bpf_xdp_adjust_tail(context, -surplus))
        return XDP_DROP;
    __sync_fetch_and_add(&state.resets, 1);
    return XDP_TX;
}

/* Behind the tags that switches put there. Returns the type of what follows, or 0. */
always_inline uint16_t find_ip(const unsigned char *frame, const unsigned char *end,
                               uint32_t *ret_offset)
{
    uint32_t offset = ETH_HLEN;
    if (frame + ETH_HLEN > end)
        return 0;
    uint16_t type = load16(frame + 12);
#pragma clang loop unroll(full)
    for (int i = 0; i < VLANS; i++) {
        if (type != ETH_P_8021Q && type != ETH_P_8021AD)
            break;
        if (frame + offset + 4 > end)
            return 0;
        type = load16(frame + offset + 2);
        offset += 4;
    }
    *ret_offset = offset;
    return type;
}

static __attribute__((noinline)) int hear(struct xdp_md *context)
{
    const unsigned char *frame = (void *)(long)context->data;
    const unsigned char *end = (void *)(long)context->data_end;
    struct packet packet = {0};
    packet.protocol = find_ip(frame, end, &packet.offset);
    const unsigned char *ip = frame + packet.offset;
    if (facts.ipv6) {
        if (packet.protocol != ETH_P_IPV6 || !hear_ipv6(ip, end, &packet))
            return XDP_PASS;
    } else if (packet.protocol != ETH_P_IP || !hear_ipv4(ip, end, &packet)) {
        return XDP_PASS;
    }
    uint64_t index;
    if (packet.length > XDP_LONG || packet.length > end - ip ||
        !find_index(packet.source, packet.source_port, &index))
        return XDP_PASS;
    if (packet.destination_port - facts.first_port < facts.pass_tags && is_known(index))
        __sync_fetch_and_add(&state.duplicates, 1);
    else if (!(packet.length <= XDP_SHORT ? HAND_OVER(context, &packet, XDP_SHORT)
                                          : HAND_OVER(context, &packet, XDP_LONG)))
        __sync_fetch_and_add(&state.missed, 1);
    if (!packet.opens || !facts.resets)
        return packet.opens ? XDP_PASS : XDP_DROP;
    return reset(context, &packet);
}

SEC("xdp")
int porthole(struct xdp_md *context)
{
    return context->ingress_ifindex == facts.interface ? hear(context) : walk(context);
}
