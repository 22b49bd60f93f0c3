/* How IP packets leave this machine and come in. A link is one file in src/link and one row in
 * src/link/link.def; the raw prober (src/probe/raw.c) knows no more of it than this.
 *
 * A link's calls come from one thread. open() does everything that needs rights, so that they can
 * be dropped afterwards. */
#pragma once

#include "base/random.h"
#include "net/packet.h"
#include "net/route.h"
#include "scan/plan.h"
#include "scan/walk.h"

#define LINK_HEADROOM 16 /* bytes that a link may write in front of a packet */

/* An IP packet to be sent. The LINK_HEADROOM bytes before `bytes` belong to the packet's memory and
 * are the link's to use; so is the packet itself until send() returns. */
struct outgoing {
    unsigned char *bytes;
    uint16_t length;
    const struct route *route;
    unsigned char next_hop[HARDWARE_SIZE]; /* of a link that needs it */
    struct address to;                     /* the packet's destination, with its scope */
};

/* A packet that came. `bytes` belong to the link. */
struct incoming {
    const unsigned char *bytes; /* the IP packet, or the ARP one */
    uint32_t length;
    uint64_t time;      /* monotonic nanoseconds, of the kernel's stamp where there is one */
    uint32_t interface; /* index */
    uint16_t protocol;  /* ETH_P_IP, ETH_P_IPV6 or ETH_P_ARP, in host order */
    bool verified; /* the checksums need not be looked at: hardware has, or this machine made it */
};

/* What a link needs to know to walk passes by itself (struct walk). Everything is borrowed. */
struct link_plan {
    const struct plan *plan;
    const struct route *route; /* of the targets that are walked, through one gateway */
    struct key key;            /* of the cookies (scan/cookie.h) */
    struct tcp_packet probe;   /* but for what depends on the target and the tag */
    uint8_t tags, pass_tags;   /* those below the second are of passes */
    bool acknowledges;         /* the probes carry their cookie as acknowledgment as well */
};

struct link_options {
    uint16_t first_port,
        last_port;                /* of our own packets: what else comes is none of our business */
    const char *path;             /* of a link that is a file */
    const struct link_plan *plan; /* NULL: nothing is to be walked */
};

struct link_facts {
    uint64_t sent; /* packets handed over */
    uint64_t
        refused;     /* that the kernel or the device did not take, or dropped, as far as it told */
    uint64_t missed; /* that came and that there was no room to keep */
};

struct link; /* each class has its own; the class is its first member */

struct link_class {
    const char *name;    /* "packet" */
    const char *summary; /* one phrase */

    /* Whether packets with this route can leave by this link, and whether it needs `next_hop`.
     * NULL: a link that only receives. */
    bool (*carries)(const struct route *route);
    bool resolves; /* packets need the hardware address of the next hop */

    /* Returns 0 with a link that the caller closes, or -errno with an error: -EPERM or -EACCES
     * without the rights. */
    int (*open)(const struct link_options *options, struct link **ret_link, struct error *error);
    void (*close)(struct link *link);

    /* Hands over the first packets, in order, and returns how many; it never waits. Fewer than
     * `count`: *ret_code is the positive errno that the next one met. ENOBUFS and EAGAIN pass. */
    size_t (*send)(struct link *link, const struct outgoing *packets, size_t count, int *ret_code);

    /* NULL: a link that only sends. Waits until something came, `wait` nanoseconds have passed or a
     * signal came; writes up to `room` packets and returns how many. They hold until release() or
     * the next call. */
    size_t (*receive)(struct link *link, uint64_t wait, struct incoming *packets, size_t room);
    void (*release)(struct link *link);

    struct link_facts (*facts)(const struct link *link);

    /* Only of a link that walks; the others are NULL. */

    /* The memory of the plan's ledger, two bits an index and silent at first (scan/ledger.h), where
     * the link sees what need not be asked. It is the link's. */
    uint64_t *(*ledger)(struct link *link);

    /* Leaves the ports of a host out from now on; whether it does. */
    void (*avoid)(struct link *link, uint64_t host);
    bool (*avoids)(const struct link *link, uint64_t host);

    /* Sends the probes of all silent indexes from `walk->position` to its end, sooner or later: at
     * the latest when receive() is called often enough. Returns false when it has enough to do. */
    bool (*walk)(struct link *link, const struct walk *walk,
                 const unsigned char next_hop[static HARDWARE_SIZE]);
    struct walk_facts (*walked)(struct link *link);
};

struct link {
    const struct link_class *class;
};

/* Every link of src/link/link.def, NULL-terminated, in the order in which they are tried. */
extern const struct link_class *const link_classes[];
