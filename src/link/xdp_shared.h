/* What the programs of xdp.bpf.c and xdp.c share. Numbers are in host order unless said otherwise.
 */
#pragma once

#include "scan/cookie.h"
#include "scan/walk.h"

#include <stdbool.h>

#define XDP_FRAME_WORDS 10 /* Ethernet, IPv6, TCP and its MSS option take 78 bytes */
#define XDP_FRAME_SIZE (8 * XDP_FRAME_WORDS)
#define XDP_SHORT 64             /* bytes of an answer that most have room in */
#define XDP_LONG 256             /* and of an ICMP error; longer ones are left to the kernel */
#define XDP_RING_SIZE (32 << 20) /* bytes of answers that wait for us */
#define XDP_STATES_PER_WORD 32   /* as in scan/ledger.h */

/* Addresses are two words, the first of which holds the first eight bytes; those of IPv4 are in the
 * second. */

struct xdp_range {
    uint64_t start;    /* index of its first address */
    uint64_t first[2]; /* that address */
    uint64_t more;     /* addresses behind it */
};

/* What never changes: the kernel takes it for constants. */
struct xdp_facts {
    struct key key;      /* of cookies */
    uint16_t first_port; /* the probes of tag t leave from first_port + t, for t < tags */
    uint8_t tags;
    uint8_t pass_tags; /* below it are those of passes, which ask a port once */
    bool ipv6;
    bool acknowledges;  /* probes carry their cookie as acknowledgment, and RSTs give it back */
    bool resets;        /* a SYN|ACK is answered by a RST, as the kernel would have done */
    uint32_t ports;     /* of a host */
    uint32_t ranges;    /* of addresses */
    uint32_t interface; /* index */
};

#define XDP_WALKERS 16      /* that run at the same time; a power of two */
#define XDP_PROCESSORS 1024 /* the same */

/* What one walker has, of several that run on processors of their own. */
struct xdp_walker {
    struct walk walk; /* user space sets it; the program takes positions and packets from it */
    uint64_t frame[XDP_FRAME_WORDS]; /* the Ethernet frame of a probe, as bytes: no destination, no
                                        ports, no cookie and no checksums */
    uint64_t source[2];
    uint32_t frame_length;
    uint32_t ip_sum, tcp_sum; /* of the frame's 16-bit words, for both checksums */
    uint16_t source_port;     /* of the tag */
} __attribute__((aligned(64)));

/* What changes while the program runs. */
struct xdp_state {
    struct xdp_walker walkers[XDP_WALKERS];
    uint8_t walker_of[XDP_PROCESSORS]; /* by the number of the processor */

    uint64_t missed;     /* answers that found no room */
    uint64_t duplicates; /* answers about ports that the ledger knew already */
    uint64_t resets;     /* RSTs that were sent */
};

/* An answer, as it came. */
struct xdp_record {
    uint64_t time;     /* monotonic nanoseconds */
    uint32_t length;   /* of the IP packet */
    uint32_t protocol; /* ETH_P_IP or ETH_P_IPV6 */
    unsigned char bytes[];
};
