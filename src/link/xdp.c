/* Ethernet at the speed of the kernel's own programs (xdp.bpf.c), on the one interface by which
 * most targets are reached through a gateway. Single probes, next hops and everything that the
 * program does not know go through a link of packet sockets in here. */
#include "base/clock.h"
#include "link/packet.h"
#include "link/workers.h"
#include "link/xdp_program.h"
#include "net/device.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TAKEN 64 /* answers taken from the ring at a time, at most */
#define CARRIER_LOOK (20 * NANOSECONDS_PER_MILLISECOND)
#define CARRIER_LOOKS 300 /* six seconds */
#define SPARED 1          /* processor, for hearing and booking */
#define LOOK_FIRST 1024   /* probes after which the device is asked how many it has sent, */
#define LOOK_SENT 16384   /* and then again; */
#define LOOK_SHARE 4      /* one in so many is too few */
#define LOOK_PERIOD (100 * NANOSECONDS_PER_MILLISECOND) /* in which what was sent has left */

struct xdp {
    struct link link;
    struct link *packet;
    struct xdp_program program;
    int attachment; /* -1: none */
    struct ring_buffer *ring;
    struct device *device;
    const struct interface *interface;
    struct workers *workers;

    uint64_t looked;      /* probes sent when the device was asked last */
    uint64_t sent_by_all; /* what it said then */
    uint64_t refused;
    struct {
        uint64_t time, sent, sent_by_all;
        bool mute; /* nothing has left since, and something should have */
    } period;
    bool useless; /* it sends nothing of ours */

    struct {
        uint64_t time;
        uint32_t length;
        uint16_t protocol;
        unsigned char bytes[XDP_LONG];
    } taken[TAKEN];
    unsigned taken_count, taken_most;
};

static bool xdp_carries(const struct route *route)
{
    return link_packet.carries(route);
}

/* ---- opening ---- */

static int attach_error(const struct interface *interface, int code, struct error *error)
{
    uint32_t id = 0;
    if (bpf_xdp_query_id((int)interface->index, 0, &id) == 0 && id != 0)
        return error_set(error, EBUSY, "%s already has an XDP program (id %u)", interface->name,
                         id);
    return error_set(error, code, "%s takes no XDP program: %s", interface->name, strerror(code));
}

/* Many a driver resets its device for a program, and is without a carrier for a second or three. */
static void await_carrier(const struct device *device)
{
    const struct timespec moment = {.tv_nsec = CARRIER_LOOK};
    for (unsigned i = 0; i < CARRIER_LOOKS && !device_is_running(device); i++)
        nanosleep(&moment, NULL);
}

/* In the driver where it can, otherwise behind it. The kernel detaches when the descriptor closes,
 * however this process ends. */
static int attach(struct xdp *self, struct error *error)
{
    static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
    int code = 0;
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = modes[i]);
        self->attachment = bpf_link_create(self->program.descriptor, (int)self->interface->index,
                                           BPF_XDP, &options);
        if (self->attachment >= 0) {
            await_carrier(self->device);
            return 0;
        }
        code = -self->attachment;
        if (code == EBUSY || code == EEXIST)
            break;
    }
    return attach_error(self->interface, code, error);
}

static int take_record(void *context, void *data, size_t size);

static void assign(void *user, unsigned number, unsigned processor)
{
    xdp_program_assign(&((struct xdp *)user)->program, number, processor);
}

static int walk_as(void *user, unsigned number, const struct walk *walk,
                   const unsigned char next_hop[static HARDWARE_SIZE], uint64_t *ret_sent)
{
    return xdp_program_walk(&((struct xdp *)user)->program, number, walk, next_hop, ret_sent);
}

static int open_all(struct xdp *self, const struct link_options *options, struct error *error)
{
    if (!options->plan)
        return error_set(error, EOPNOTSUPP, "there is nothing for it to walk");
    self->interface = &options->plan->route->interface;
    int failed = device_open(self->interface->index, &self->device, error);
    if (failed)
        return failed;
    device_sent(self->device, &self->sent_by_all);
    if (!device_sends_xdp(self->device))
        return error_set(error, EOPNOTSUPP, "%s cannot send the frames of XDP programs",
                         self->interface->name);
    failed = xdp_program_open(options, &self->program, error);
    if (!failed)
        failed = link_packet.open(options, &self->packet, error);
    if (failed)
        return failed;
    self->ring = ring_buffer__new(self->program.answers, take_record, self, NULL);
    if (!self->ring)
        return error_set(error, errno, "no ring for answers: %s", strerror(errno));
    failed = workers_open(SPARED, XDP_WALKERS - 1, walk_as, assign, self, &self->workers);
    if (failed)
        return error_set(error, -failed, "no threads to walk: %s", strerror(-failed));
    return attach(self, error);
}

static void xdp_close(struct link *link)
{
    struct xdp *self = (struct xdp *)link;
    workers_close(self->workers);
    if (self->attachment >= 0)
        close(self->attachment);
    ring_buffer__free(self->ring);
    if (self->packet)
        self->packet->class->close(self->packet);
    xdp_program_close(&self->program);
    device_close(self->device);
    free(self);
}

extern const struct link_class link_xdp;

static int xdp_open(const struct link_options *options, struct link **ret_link, struct error *error)
{
    struct xdp *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, ENOMEM, "no memory for sending packets");
    self->link.class = &link_xdp;
    self->attachment = -1;
    int failed = open_all(self, options, error);
    if (failed) {
        xdp_close(&self->link);
        return failed;
    }
    *ret_link = &self->link;
    return 0;
}

/* ---- walking ---- */

/* Asks the device how much of what we sent it has sent, which nobody else tells. Its counter counts
 * everybody's packets, so that what it refused of ours may be more than that. Returns false when it
 * has sent next to nothing: its driver does not do what it promised, or counts in another way, or
 * the device is down, and then nobody would know what becomes of the rest. */
static bool look_at_device(struct xdp *self, uint64_t sent)
{
    uint64_t sent_by_all;
    if (sent - self->looked < (self->looked ? LOOK_SENT : LOOK_FIRST) ||
        !device_sent(self->device, &sent_by_all))
        return true;
    uint64_t ours = sent - self->looked, all = sent_by_all - self->sent_by_all;
    self->looked = sent;
    self->sent_by_all = sent_by_all;
    if (all < ours)
        self->refused += ours - all;
    return all >= ours / LOOK_SHARE;
}

/* Whether nothing at all has left in two periods in which something was to: the device is down or
 * gone, of which a slow scan would learn too late. Once is not enough, because a walk is booked a
 * little after it has left. */
static bool is_mute(struct xdp *self, uint64_t sent)
{
    uint64_t now = clock_monotonic(), sent_by_all = self->period.sent_by_all;
    if (now - self->period.time < LOOK_PERIOD)
        return false;
    bool was_mute = self->period.mute, asked = sent != self->period.sent;
    device_sent(self->device, &sent_by_all);
    bool left = sent_by_all != self->period.sent_by_all;
    self->period.time = now;
    self->period.sent = sent;
    self->period.sent_by_all = sent_by_all;
    self->period.mute = !left && (asked || was_mute);
    return was_mute && asked && !left;
}

static uint64_t *xdp_ledger(struct link *link)
{
    return ((struct xdp *)link)->program.ledger;
}

static void xdp_avoid(struct link *link, uint64_t host)
{
    struct xdp *self = (struct xdp *)link;
    self->program.avoided[host / 64] |= UINT64_C(1) << host % 64;
}

static bool xdp_avoids(const struct link *link, uint64_t host)
{
    const struct xdp *self = (const struct xdp *)link;
    return self->program.avoided[host / 64] >> host % 64 & 1;
}

static bool xdp_walk(struct link *link, const struct walk *walk,
                     const unsigned char next_hop[static HARDWARE_SIZE])
{
    return workers_give(((struct xdp *)link)->workers, walk, next_hop);
}

static struct walk_facts xdp_walked(struct link *link)
{
    struct xdp *self = (struct xdp *)link;
    struct walk_facts facts = workers_facts(self->workers);
    if (!look_at_device(self, facts.sent) || is_mute(self, facts.sent))
        self->useless = true;
    if (self->useless && !facts.code)
        facts.code = ECOMM;
    return facts;
}

/* ---- sending and receiving ---- */

static size_t xdp_send(struct link *link, const struct outgoing *packets, size_t count,
                       int *ret_code)
{
    return link_packet.send(((struct xdp *)link)->packet, packets, count, ret_code);
}

/* A negative result ends the taking behind this record. */
static int take_record(void *context, void *data, size_t size)
{
    struct xdp *self = context;
    const struct xdp_record *record = data;
    if (size < sizeof(*record) || record->length > size - sizeof(*record) ||
        record->length > XDP_LONG)
        return 0;
    self->taken[self->taken_count].time = record->time;
    self->taken[self->taken_count].length = record->length;
    self->taken[self->taken_count].protocol = (uint16_t)record->protocol;
    memcpy(self->taken[self->taken_count].bytes, record->bytes, record->length);
    self->taken_count++;
    return self->taken_count == self->taken_most ? -ENOBUFS : 0;
}

/* A segment that another namespace of this machine made comes before its checksum was worked out:
 * in its place stands that of the pseudo-header. No wire has been there to damage it. */
static bool is_unfinished(const unsigned char *ip, uint32_t length, uint16_t protocol)
{
    const size_t header = protocol == ETH_P_IPV6 ? 40 : 20;
    const size_t addresses = protocol == ETH_P_IPV6 ? 8 : 12;
    if (length < header + 20 || ip[protocol == ETH_P_IPV6 ? 6 : 9] != IPPROTO_TCP ||
        (protocol == ETH_P_IP && ip[0] != 0x45))
        return false;
    uint16_t rest[] = {htons(IPPROTO_TCP), htons((uint16_t)(length - header))}, stored;
    uint64_t sum = internet_sum(ip + addresses, header - addresses, 0);
    uint16_t expected = (uint16_t)~internet_fold(internet_sum(rest, sizeof(rest), sum));
    memcpy(&stored, ip + header + 16, sizeof(stored));
    return stored == expected;
}

/* Behind those that have been taken already. */
static size_t take_answers(struct xdp *self, struct incoming *packets, size_t room)
{
    const unsigned first = self->taken_count;
    const size_t left = TAKEN - first;
    self->taken_most = first + (unsigned)(room < left ? room : left);
    if (self->taken_most > first)
        ring_buffer__consume(self->ring);
    for (unsigned i = first; i < self->taken_count; i++)
        *packets++ = (struct incoming){
            .bytes = self->taken[i].bytes,
            .length = self->taken[i].length,
            .time = self->taken[i].time,
            .interface = self->interface->index,
            .protocol = self->taken[i].protocol,
            .verified =
                is_unfinished(self->taken[i].bytes, self->taken[i].length, self->taken[i].protocol),
        };
    return self->taken_count - first;
}

/* Leaves some of the room to the packet sockets, and takes what they leave. */
static size_t take_all(struct xdp *self, struct incoming *packets, size_t room)
{
    self->taken_count = 0;
    size_t count = take_answers(self, packets, room - room / 4);
    count += link_packet.receive(self->packet, 0, packets + count, room - count);
    return count + take_answers(self, packets + count, room - count);
}

static size_t xdp_receive(struct link *link, uint64_t wait, struct incoming *packets, size_t room)
{
    struct xdp *self = (struct xdp *)link;
    size_t count = take_all(self, packets, room);
    if (count || wait == 0)
        return count;
    struct pollfd polled[] = {
        {.fd = ring_buffer__epoll_fd(self->ring), .events = POLLIN},
        {.fd = packet_descriptor(self->packet), .events = POLLIN},
        {.fd = workers_descriptor(self->workers), .events = POLLIN},
    };
    const struct timespec limit = {
        .tv_sec = (time_t)(wait / NANOSECONDS_PER_SECOND),
        .tv_nsec = (long)(wait % NANOSECONDS_PER_SECOND),
    };
    if (ppoll(polled, sizeof(polled) / sizeof(*polled), &limit, NULL) <= 0)
        return 0;
    return take_all(self, packets, room);
}

static void xdp_release(struct link *link)
{
    link_packet.release(((struct xdp *)link)->packet);
}

static struct link_facts xdp_facts_of(const struct link *link)
{
    const struct xdp *self = (const struct xdp *)link;
    struct link_facts facts = link_packet.facts(self->packet);
    const struct xdp_state *state = self->program.state;
    facts.refused += self->refused;
    facts.missed += __atomic_load_n(&state->missed, __ATOMIC_RELAXED);
    return facts;
}

const struct link_class link_xdp = {
    .name = "xdp",
    .summary = "programs inside the kernel, for large scans through a gateway",
    .carries = xdp_carries,
    .resolves = true,
    .open = xdp_open,
    .close = xdp_close,
    .send = xdp_send,
    .receive = xdp_receive,
    .release = xdp_release,
    .facts = xdp_facts_of,
    .ledger = xdp_ledger,
    .avoid = xdp_avoid,
    .avoids = xdp_avoids,
    .walk = xdp_walk,
    .walked = xdp_walked,
};
