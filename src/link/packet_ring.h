/* Receiving the scan's packets, on every interface at once: an AF_PACKET ring, packet(7). */
#pragma once

#include "scan/link.h"

struct packet_ring {
    int fd;
    unsigned char *memory;
    uint32_t frames; /* a power of two */
    uint32_t next;   /* the frame that is looked at next; counts on and on */
    uint32_t held;   /* frames before it that release() gives back to the kernel */
    uint64_t time;   /* of the latest packet */
    uint64_t missed;
};

/* Opens the ring. Nothing is in it that the filter would not let pass. Returns 0 or -errno with an
 * error; packet_ring_close() only after success. */
int packet_ring_open(uint16_t first_port, uint16_t last_port, struct packet_ring *ret_ring,
                     struct error *error);
void packet_ring_close(struct packet_ring *ring);

/* As struct link_class has them. */
size_t packet_ring_receive(struct packet_ring *ring, uint64_t wait, struct incoming *packets,
                           size_t room);
void packet_ring_release(struct packet_ring *ring);
uint64_t packet_ring_missed(struct packet_ring *ring);
