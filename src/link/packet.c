/* Ethernet: sends frames through a packet socket, packet(7), and receives what comes to any
 * interface, of whatever kind, through a ring. */
#include "link/packet.h"

#include "link/batch.h"
#include "link/packet_ring.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static_assert(LINK_HEADROOM >= ETH_HLEN, "the header goes in front of the packet");

struct packet_link {
    struct link link;
    int fd;
    struct packet_ring *ring; /* apart, because looking at its facts changes it */
    uint64_t sent, refused;

    /* Of the batch that is being sent. */
    struct mmsghdr messages[BATCH_SIZE];
    struct iovec vectors[BATCH_SIZE];
    struct sockaddr_ll names[BATCH_SIZE];
};

static bool packet_carries(const struct route *route)
{
    return route->interface.type == ARPHRD_ETHER && (route->interface.flags & IFF_UP) &&
           !(route->interface.flags & IFF_NOARP) && !route->local;
}

/* Without the queueing discipline a full device is told at once (ENOBUFS); with it, a device may
 * drop a tenth of a burst behind our back. It is only a wish: the rest works without. */
static void bypass_queue(int fd)
{
    const int on = 1;
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
}

static struct packet_link *packet_link_new(void)
{
    struct packet_link *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->ring = calloc(1, sizeof(*self->ring));
    if (!self->ring) {
        free(self);
        return NULL;
    }
    for (size_t i = 0; i < BATCH_SIZE; i++) {
        self->names[i] = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_halen = ETH_ALEN};
        self->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &self->names[i],
            .msg_namelen = sizeof(self->names[i]),
            .msg_iov = &self->vectors[i],
            .msg_iovlen = 1,
        };
    }
    return self;
}

static void packet_link_free(struct packet_link *self)
{
    free(self->ring);
    free(self);
}

static int packet_open(const struct link_options *options, struct link **ret_link,
                       struct error *error)
{
    struct packet_link *self = packet_link_new();
    if (!self)
        return error_set(error, ENOMEM, "no memory for sending packets");
    self->link.class = &link_packet;
    self->fd = batch_socket(AF_PACKET, 0, error); /* protocol 0: it hears nothing */
    int code = self->fd < 0
                   ? self->fd
                   : packet_ring_open(options->first_port, options->last_port, self->ring, error);
    if (code) {
        if (self->fd >= 0)
            close(self->fd);
        packet_link_free(self);
        return code;
    }
    bypass_queue(self->fd);
    *ret_link = &self->link;
    return 0;
}

static void packet_close(struct link *link)
{
    struct packet_link *self = (struct packet_link *)link;
    packet_ring_close(self->ring);
    close(self->fd);
    packet_link_free(self);
}

/* By the first byte: the version of IP, or the zero with which ARP over Ethernet begins. */
static uint16_t ethertype(unsigned char first)
{
    switch (first >> 4) {
    case 4:
        return htons(ETH_P_IP);
    case 6:
        return htons(ETH_P_IPV6);
    default:
        return htons(ETH_P_ARP);
    }
}

/* Writes the Ethernet header into the headroom and the rest into message `i` of the batch. */
static void frame(struct packet_link *self, size_t i, const struct outgoing *packet)
{
    const struct interface *interface = &packet->route->interface;
    struct ethhdr header = {.h_proto = ethertype(packet->bytes[0])};
    memcpy(header.h_dest, packet->next_hop, ETH_ALEN);
    memcpy(header.h_source, interface->hardware, ETH_ALEN);

    self->vectors[i].iov_base = memcpy(packet->bytes - ETH_HLEN, &header, ETH_HLEN);
    self->vectors[i].iov_len = (size_t)packet->length + ETH_HLEN;
    self->names[i].sll_protocol = header.h_proto;
    self->names[i].sll_ifindex = (int)interface->index;
}

static size_t packet_send(struct link *link, const struct outgoing *packets, size_t count,
                          int *ret_code)
{
    struct packet_link *self = (struct packet_link *)link;
    size_t sent = 0;
    while (sent < count) {
        size_t batch = count - sent < BATCH_SIZE ? count - sent : BATCH_SIZE;
        for (size_t i = 0; i < batch; i++)
            frame(self, i, &packets[sent + i]);
        size_t taken = batch_send(self->fd, self->messages, batch, ret_code);
        sent += taken;
        self->sent += taken;
        if (taken < batch) {
            self->refused++;
            break;
        }
    }
    return sent;
}

static size_t packet_receive(struct link *link, uint64_t wait, struct incoming *packets,
                             size_t room)
{
    return packet_ring_receive(((struct packet_link *)link)->ring, wait, packets, room);
}

static void packet_release(struct link *link)
{
    packet_ring_release(((struct packet_link *)link)->ring);
}

int packet_descriptor(const struct link *link)
{
    return ((const struct packet_link *)link)->ring->fd;
}

static struct link_facts packet_facts(const struct link *link)
{
    const struct packet_link *self = (const struct packet_link *)link;
    return (struct link_facts){
        .sent = self->sent,
        .refused = self->refused,
        .missed = packet_ring_missed(self->ring),
    };
}

const struct link_class link_packet = {
    .name = "packet",
    .summary = "Ethernet frames through packet sockets",
    .carries = packet_carries,
    .resolves = true,
    .open = packet_open,
    .close = packet_close,
    .send = packet_send,
    .receive = packet_receive,
    .release = packet_release,
    .facts = packet_facts,
};
