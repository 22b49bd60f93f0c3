/* The reflector's BPF program: answers SYNs in the driver, on the very frame that brought them, and
 * counts what it saw. It keeps nothing about anybody, so that it costs little beside a scanner on
 * the same processor. */
#include "reflector.h"

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <stddef.h>

char program_license[] SEC("license") =
    "BSD-2-Clause"; /* no helper that it calls asks for the GPL */

const volatile struct reflector_settings settings;

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct reflector_count);
} counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, REFLECTOR_WINDOWS);
    __type(key, __u32);
    __type(value, __u64);
} windows SEC(".maps");

/* A bit for each port that was answered. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, REFLECTOR_DISTINCT_PORTS / 64);
    __type(key, __u32);
    __type(value, __u64);
} answered SEC(".maps");

/* Answers that are held; the loader makes it as large as it must be. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct reflector_held);
} answers SEC(".maps");

struct reflector_hold hold;

/* A TCP header (RFC 9293); the flags are in the low bits of `how`. */
struct segment {
    __be16 source, destination;
    __be32 sequence, acknowledgment;
    __be16 how, window;
    __sum16 checksum;
    __be16 urgent;
};

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, HEADER_SIZE = 0xf000 };

/* Where things are in a frame; `ethernet` and `tcp` have been checked to be inside. */
struct frame {
    struct ethhdr *ethernet;
    void *ip; /* a header of one of both families, without options */
    bool is_six;
    struct segment *tcp;
    void *end;
    __u64 high, low; /* the address that is asked */
};

static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* Finds the parts of a TCP segment without IP options or extension headers. */
static __always_inline bool frame_read(struct xdp_md *context, struct frame *frame)
{
    void *begin = (void *)(long)context->data;
    frame->end = (void *)(long)context->data_end;
    frame->ethernet = begin;
    if ((void *)(frame->ethernet + 1) > frame->end)
        return false;
    frame->ip = frame->ethernet + 1;
    if (frame->ethernet->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = frame->ip;
        if ((void *)(ip + 1) > frame->end || ip->ihl != 5 || ip->protocol != IPPROTO_TCP ||
            ip->frag_off & bpf_htons(0x3fff))
            return false;
        frame->is_six = false;
        frame->high = 0;
        frame->low = 0xffff00000000ULL | bpf_ntohl(ip->daddr);
        frame->tcp = (struct segment *)(ip + 1);
    } else if (frame->ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = frame->ip;
        if ((void *)(ip + 1) > frame->end || ip->nexthdr != IPPROTO_TCP)
            return false;
        const __be32 *words = ip->daddr.in6_u.u6_addr32;
        frame->is_six = true;
        frame->high = (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
        frame->low = (__u64)bpf_ntohl(words[2]) << 32 | bpf_ntohl(words[3]);
        frame->tcp = (struct segment *)(ip + 1);
    } else {
        return false;
    }
    return (void *)(frame->tcp + 1) <= frame->end;
}

/* Whether the checksums of a frame are right and its lengths agree; a segment has no more than 60
 * bytes, which is a header with all options. */
static __always_inline bool frame_is_whole(struct xdp_md *context, const struct frame *frame)
{
    __u64 sum = 0;
    __u32 length;
    if (!frame->is_six) {
        const struct iphdr *ip = frame->ip;
        const __u16 *words = frame->ip;
        for (int i = 0; i < 10; i++)
            sum += words[i];
        if (fold(sum) != 0xffff)
            return false;
        length = bpf_ntohs(ip->tot_len) - (__u32)sizeof *ip;
        sum = (__u64)ip->saddr + ip->daddr;
    } else {
        const struct ipv6hdr *ip = frame->ip;
        const __be32 *words = ip->saddr.in6_u.u6_addr32; /* and the other address behind it */
        for (int i = 0; i < 8; i++)
            sum += words[i];
        length = bpf_ntohs(ip->payload_len);
    }
    if (length > 60 || length % 2 != 0 || length < sizeof *frame->tcp)
        return false;
    sum += bpf_htons(IPPROTO_TCP) + bpf_htons((__u16)length);
    /* A copy, because the verifier wants bounds of a frame that do not depend on what is in it. */
    __u16 copy[30] = {0};
    __u32 offset = (__u32)((void *)frame->tcp - (void *)frame->ethernet);
    if (bpf_xdp_load_bytes(context, offset, copy, length) != 0)
        return false;
    for (int i = 0; i < 30; i++)
        sum += copy[i];
    return fold(sum) == 0xffff;
}

/* Makes the answer from the question: everything but these four fields of TCP stays or changes
 * places, which no checksum sees (RFC 1624). */
static __always_inline void frame_turn(struct frame *frame, __u64 hash, bool open)
{
    struct segment *tcp = frame->tcp;
    __be16 how = bpf_htons((bpf_ntohs(tcp->how) & HEADER_SIZE) | ACK | (open ? SYN : RST));
    __be16 window = open ? bpf_htons(65535) : 0;
    __be32 sequence = open ? (__be32)hash : 0;
    __be32 acknowledgment = bpf_htonl(bpf_ntohl(tcp->sequence) + 1);
    __u64 sum = (__u16)~tcp->checksum;
    sum += (__u64)(__u32)~tcp->sequence + sequence;
    sum += (__u64)(__u32)~tcp->acknowledgment + acknowledgment;
    sum += (__u64)(__u16)~tcp->how + how + (__u16)~tcp->window + window;
    tcp->checksum = (__u16)~fold(sum);
    tcp->sequence = sequence;
    tcp->acknowledgment = acknowledgment;
    tcp->how = how;
    tcp->window = window;
    __be16 port = tcp->source;
    tcp->source = tcp->destination;
    tcp->destination = port;
    if (frame->is_six) {
        struct ipv6hdr *ip = frame->ip;
        struct in6_addr address = ip->saddr;
        ip->saddr = ip->daddr;
        ip->daddr = address;
    } else {
        struct iphdr *ip = frame->ip;
        __be32 address = ip->saddr;
        ip->saddr = ip->daddr;
        ip->daddr = address;
    }
    unsigned char hardware[ETH_ALEN];
    __builtin_memcpy(hardware, frame->ethernet->h_source, ETH_ALEN);
    __builtin_memcpy(frame->ethernet->h_source, frame->ethernet->h_dest, ETH_ALEN);
    __builtin_memcpy(frame->ethernet->h_dest, hardware, ETH_ALEN);
}

static __always_inline void count_time(struct reflector_count *count)
{
    __u64 now = bpf_ktime_get_coarse_ns();
    if (count->first == 0)
        count->first = now;
    count->last = now;
    __u32 number = (__u32)((now - settings.started) >> REFLECTOR_WINDOW_BITS);
    __u64 *window = bpf_map_lookup_elem(&windows, &number);
    if (window)
        ++*window;
}

/* Processors share the bits. */
static __always_inline void count_distinct(struct reflector_count *count, __u64 low, __u32 port)
{
    __u32 place = (__u32)(low & 255) << 16 | port;
    __u32 number = place / 64;
    __u64 *word = bpf_map_lookup_elem(&answered, &number);
    __u64 bit = 1ULL << place % 64;
    if (word && !(__sync_fetch_and_or(word, bit) & bit))
        count->answered++;
}

/* Keeps an answer for later. Returns whether it did. */
static __always_inline bool frame_hold(struct xdp_md *context)
{
    __u32 length = context->data_end - context->data;
    if (hold.ended || length == 0 || length > sizeof(__u64) * REFLECTOR_HELD_WORDS)
        return false;
    __u32 number = (__u32)__sync_fetch_and_add(&hold.count, 1);
    struct reflector_held *held = bpf_map_lookup_elem(&answers, &number);
    if (!held || bpf_xdp_load_bytes(context, 0, held->words, length) != 0)
        return false;
    held->length = length;
    return true;
}

/* Writes the next answer that was held over the frame. */
static __noinline int send_held(struct xdp_md *context)
{
    __u64 *words = (void *)(long)context->data;
    void *end = (void *)(long)context->data_end;
    __u32 number = (__u32)hold.next;
    const struct reflector_held *held = bpf_map_lookup_elem(&answers, &number);
    if (!held || (void *)(words + REFLECTOR_HELD_WORDS) > end)
        return XDP_DROP;
    hold.next++;
    for (int i = 0; i < REFLECTOR_HELD_WORDS; i++)
        words[i] = held->words[i];
    if (bpf_xdp_adjust_tail(context, (int)held->length - (int)sizeof held->words) != 0)
        return XDP_DROP;
    return (int)bpf_redirect(settings.device, 0);
}

/* It is run by the device, and by the loader for answers that were held. Both are one program
 * because the kernel stops for some 20 ms to make a program quick to call, unless it is attached to
 * a device already. */
SEC("xdp")
int reflect(struct xdp_md *context)
{
    if (settings.held && context->ingress_ifindex != settings.device)
        return send_held(context);
    __u32 zero = 0;
    struct reflector_count *count = bpf_map_lookup_elem(&counts, &zero);
    if (!count)
        return XDP_ABORTED;
    struct frame frame;
    if (!frame_read(context, &frame)) {
        count->passed++;
        return XDP_PASS;
    }
    __u16 flags = bpf_ntohs(frame.tcp->how) & (FIN | SYN | RST | ACK);
    if (flags != SYN) {
        if (flags & RST)
            count->resets++;
        else
            count->others++;
        return XDP_DROP;
    }
    count->syns++;
    count_time(count);
    if (settings.verify && !frame_is_whole(context, &frame)) {
        count->broken++;
        return XDP_DROP;
    }
    if (settings.loss && bpf_get_prandom_u32() < settings.loss) {
        count->lost++;
        return XDP_DROP;
    }
    __u32 port = bpf_ntohs(frame.tcp->destination);
    __u64 hash = reflector_hash(settings.seed, frame.high, frame.low, port);
    enum reflector_state state = reflector_state_of(&settings, hash);
    if (state == REFLECTOR_SILENT) {
        count->silent++;
        return XDP_DROP;
    }
    if (state == REFLECTOR_OPEN)
        count->syn_acks++;
    else
        count->resets_sent++;
    if (settings.distinct)
        count_distinct(count, frame.low, port);
    frame_turn(&frame, hash, state == REFLECTOR_OPEN);
    if (settings.held && frame_hold(context))
        return XDP_DROP;
    return settings.redirect ? (int)bpf_redirect(settings.device, 0) : XDP_TX;
}

/* For the other end of a veth pair, which is only told of what comes by XDP_TX where it has a
 * program itself. */
SEC("xdp")
int pass(struct xdp_md *context)
{
    (void)context;
    return XDP_PASS;
}
