/* What the reflector's BPF program and its loader share: how it is set up, what it counts, and
 * which port is in which state.
 *
 * It shares no code with the program that it tests. */
#pragma once

#include <linux/types.h>

enum reflector_state { REFLECTOR_OPEN, REFLECTOR_CLOSED, REFLECTOR_SILENT };

/* Shares are of 2^64: a port whose hash is below `open` is open, below `closed` closed; others are
 * silent. */
struct reflector_settings {
    __u64 seed;
    __u64 open, closed;
    __u32 loss;     /* of 2^32: SYNs that are lost, each by a throw of its own */
    __u32 verify;   /* whether SYNs with wrong checksums are dropped; looking costs time */
    __u32 distinct; /* whether to count in `answered`, which costs time */
    __u32 redirect; /* whether answers are sent by XDP_REDIRECT instead of XDP_TX */
    __u32 device;   /* index */
    __u32 held;     /* answers that are held until the loader sends them; 0: none */
    __u64 started;  /* nanoseconds of CLOCK_MONOTONIC, the beginning of the first window */
};

/* Of one processor. */
struct reflector_count {
    __u64 syns; /* all that came: syn_acks + resets_sent + silent + lost + broken */
    __u64 syn_acks, resets_sent, silent, lost, broken;
    __u64 resets, others; /* other TCP segments that came, which nobody answers */
    __u64 answered;       /* ports, each once, of addresses that differ in their last 8 bits */
    __u64 passed;         /* frames for the kernel: ARP, ICMP and the like */
    __u64 first, last;    /* SYNs, in nanoseconds of CLOCK_MONOTONIC, true to a tick */
};

#define REFLECTOR_HELD_WORDS 12 /* of 8 bytes: a SYN with all options of TCP over IPv4 */

/* An answer that waits to be sent: a frame. */
struct reflector_held {
    __u64 length; /* in bytes */
    __u64 words[REFLECTOR_HELD_WORDS];
};

/* What the loader and the program share of them. */
struct reflector_hold {
    __u64 count; /* answers that came to be held; those above `held` of the settings were not */
    __u64 next;  /* which is sent next */
    __u64 ended; /* whether answers are sent at once now */
};

/* SYNs are also counted by when they came, for the rate at which they did. A power of two, because
 * BPF divides slowly. */
#define REFLECTOR_WINDOW_BITS 23 /* of nanoseconds: 8.4 ms */
#define REFLECTOR_WINDOWS 16384  /* 137 s; later ones are in none */

#define REFLECTOR_DISTINCT_PORTS (1 << 24)

/* The hash by which a port is open, closed or silent: splitmix64's finaliser over a sum that
 * differs for all addresses (of which IPv4 ones are ::ffff:a.b.c.d) and ports that are near each
 * other. */
static inline __u64 reflector_hash(__u64 seed, __u64 high, __u64 low, __u32 port)
{
    __u64 value = seed * 0xd6e8feb86659fd93ULL + high * 0x9e3779b97f4a7c15ULL +
                  low * 0xc2b2ae3d27d4eb4fULL + port * 0x165667b19e3779f9ULL;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
    return value ^ value >> 31;
}

static inline enum reflector_state reflector_state_of(const volatile struct reflector_settings *set,
                                                      __u64 hash)
{
    return hash < set->open     ? REFLECTOR_OPEN
           : hash < set->closed ? REFLECTOR_CLOSED
                                : REFLECTOR_SILENT;
}
