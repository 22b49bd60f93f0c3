/* What the files of the raw prober share. Private to them. */
#pragma once

#include "net/port_block.h"
#include "probe/judge.h"
#include "probe/neighbour.h"
#include "probe/raw.h"
#include "scan/link.h"

#define FRAMES 64    /* packets handed to a link at a time */
#define LINKS 4      /* open at the same time at most */
#define WAITING 8192 /* probes whose next hop is being asked for, at most */
#define REASON_SIZE 384

struct raw {
    struct prober base;
    const struct technique *technique;
    struct prober_options options;
    struct cookies cookies;
    struct port_block ports;
    struct routes *routes;
    struct link *links[LINKS]; /* in the order in which they are tried */
    unsigned link_count;
    struct link *receiver;
    struct link *sender; /* that sent the latest packets */
    struct link *walker; /* one of them that walks passes by itself, or NULL */
    struct link_plan plan;
    uint64_t left_out; /* hosts that it does not walk from the beginning */
    struct walk_facts walked;
    uint64_t walker_refused;
    bool walker_stopped;      /* it walks no more */
    char reason[REASON_SIZE]; /* why there is none; empty: nobody has to know */
    struct address_set self;

    struct outgoing frames[FRAMES];
    unsigned char memory[FRAMES][LINK_HEADROOM + TCP_PACKET_MAXIMUM];
    unsigned frame_count;
    struct link *frame_link;

    struct neighbours neighbours;
    uint64_t asked;        /* monotonic: when neighbours were asked last */
    struct probe *waiting; /* WAITING of them */
    uint32_t waiting_count;
    uint64_t changes; /* of the neighbours when the waiting ones were looked at last */

    struct reply *ready; /* WAITING + FRAMES of them, for collect() */
    uint32_t ready_head, ready_count;

    uint64_t stuck_since; /* monotonic: nothing has left since; 0: something has */
    uint64_t packets, refused, received;
    uint64_t missed, looked; /* and how many were received when that was looked up */
};

/* What all probes of a technique from this source have in common. */
struct tcp_packet raw_packet(const struct technique *technique, const struct address *source);

/* Whether this errno of a link is over soon. */
bool raw_passes(int code);

/* Opens the link that was asked for, or all that there are. Returns 0 or -errno with an error. */
int raw_links_open(struct raw *self, struct error *error);

/* By which most packets leave, or NULL while none has. */
const char *raw_link_name(const struct raw *self);

/* Whether the passes can be walked now. */
bool raw_can_walk(const struct raw *self);
