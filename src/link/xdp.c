/* Ethernet at the speed of the kernel's own programs (xdp.bpf.c), on the one interface by which all
 * targets are reached through a gateway. Single probes, next hops and everything that the program
 * does not know go through a link of packet sockets in here. */
#include "base/clock.h"
#include "link/packet.h"
#include "link/xdp_shared.h"
#include "net/device.h"

#pragma GCC diagnostic push /* what bpftool writes is not ours to mend */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#include "xdp.skel.h"
#pragma GCC diagnostic pop

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

#define TAKEN 64        /* answers taken from the ring at a time, at most */
#define LOOK_FIRST 1024 /* probes after which the device is asked how many it has sent, */
#define LOOK_SENT 16384 /* and then again */
#define BATCH 64        /* frames that the kernel makes at a time */
#define RANGES 1048576u /* more are not walked; HALVINGS in xdp.bpf.c */
#define ADDRESS_WORDS 2
#define LOOPBACK 1 /* the index of that interface in every network namespace */

struct xdp {
    struct link link;
    struct link *packet;
    struct xdp_bpf *programs;
    int attachment;
    struct ring_buffer *ring;
    struct device *device;
    const struct link_plan *plan;
    uint16_t first_port;

    uint64_t *ledger, *avoided; /* mapped */
    size_t ledger_size, avoided_size;
    uint64_t hosts;

    uint64_t looked;      /* probes sent when the device was asked last */
    uint64_t sent_by_all; /* what it said then */
    uint64_t refused;

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

/* ---- what the programs know ---- */

static void put_address(const struct address *address, uint64_t ret_words[ADDRESS_WORDS])
{
    ret_words[0] = (uint64_t)(address->value >> 64);
    ret_words[1] = (uint64_t)address->value;
}

static size_t page_ceiling(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* Maps the values of an array, or returns NULL. */
static void *map_values(const struct bpf_map *map, size_t *ret_size)
{
    *ret_size = page_ceiling((size_t)bpf_map__max_entries(map) * bpf_map__value_size(map));
    void *values = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
    return values == MAP_FAILED ? NULL : values;
}

static uint64_t word_count(uint64_t count, unsigned per_word)
{
    return count / per_word + (count % per_word != 0);
}

/* Sizes and constants, before the kernel sees the programs. */
static int prepare(struct xdp_bpf *programs, const struct link_options *options,
                   struct error *error)
{
    const struct link_plan *plan = options->plan;
    uint64_t words = word_count(plan->plan->count, XDP_STATES_PER_WORD);
    size_t ranges = plan->plan->targets->count;
    if (words > UINT32_MAX || ranges > RANGES)
        return error_set(error, EFBIG, "the scan is too large for it");
    programs->rodata->facts = (struct xdp_facts){
        .key = plan->key,
        .first_port = options->first_port,
        .tags = plan->tags,
        .pass_tags = plan->pass_tags,
        .ipv6 = plan->route->source.family == ADDRESS_IPV6,
        .acknowledges = plan->acknowledges,
        .resets = !plan->acknowledges,
        .ports = plan->plan->ports->size,
        .ranges = (uint32_t)ranges,
        .interface = plan->route->interface.index,
    };
    bpf_map__set_max_entries(programs->maps.ledger, (uint32_t)words);
    bpf_map__set_max_entries(programs->maps.avoided,
                             (uint32_t)word_count(plan->plan->targets->size, 64));
    bpf_map__set_max_entries(programs->maps.ranges, (uint32_t)ranges);
    return 0;
}

static int fill_ranges(const struct xdp_bpf *programs, const struct address_set *targets)
{
    size_t size;
    struct xdp_range *ranges = map_values(programs->maps.ranges, &size);
    if (!ranges)
        return -errno;
    for (size_t i = 0; i < targets->count; i++) {
        const struct address_range *range = &targets->ranges[i];
        ranges[i].start = targets->starts[i];
        put_address(&range->first, ranges[i].first);
        ranges[i].more = (uint64_t)(range->last - range->first.value);
    }
    munmap(ranges, size);
    return 0;
}

static void fill_ports(struct xdp_bpf *programs, const struct port_set *ports)
{
    for (uint32_t i = 0; i < ports->size; i++) {
        uint16_t number = port_set_at(ports, i).number;
        programs->bss->port_numbers[i] = number;
        programs->bss->port_ranks[number] = i + 1;
    }
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

/* In the driver where it can, otherwise behind it. The kernel detaches when the descriptor closes,
 * however this process ends. */
static int attach(struct xdp *self, struct error *error)
{
    static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
    int code = 0;
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = modes[i]);
        self->attachment =
            bpf_link_create(bpf_program__fd(self->programs->progs.porthole),
                            (int)self->plan->route->interface.index, BPF_XDP, &options);
        if (self->attachment >= 0)
            return 0;
        code = -self->attachment;
        if (code == EBUSY || code == EEXIST)
            break;
    }
    return attach_error(&self->plan->route->interface, code, error);
}

static int load(struct xdp *self, const struct link_options *options, struct error *error)
{
    self->programs = xdp_bpf__open();
    if (!self->programs)
        return error_set(error, errno, "cannot read its programs: %s", strerror(errno));
    int failed = prepare(self->programs, options, error);
    if (failed)
        return failed;
    failed = xdp_bpf__load(self->programs);
    if (failed == -EPERM || failed == -EACCES)
        return error_set(error, EPERM, "loading its programs needs CAP_BPF and CAP_NET_ADMIN");
    if (!failed)
        failed = fill_ranges(self->programs, options->plan->plan->targets);
    if (failed)
        return error_set(error, -failed, "the kernel does not take its programs: %s",
                         strerror(-failed));
    fill_ports(self->programs, options->plan->plan->ports);
    self->ledger = map_values(self->programs->maps.ledger, &self->ledger_size);
    self->avoided = map_values(self->programs->maps.avoided, &self->avoided_size);
    self->hosts = options->plan->plan->targets->size;
    return self->ledger && self->avoided ? 0 : error_set(error, ENOMEM, "no memory for its maps");
}

static int take_record(void *context, void *data, size_t size);

static int open_all(struct xdp *self, const struct link_options *options, struct error *error)
{
    if (!options->plan)
        return error_set(error, EOPNOTSUPP, "there is nothing for it to walk");
    self->plan = options->plan;
    self->first_port = options->first_port;
    const struct interface *interface = &self->plan->route->interface;
    int failed = device_open(interface->index, &self->device, error);
    if (failed)
        return failed;
    device_sent(self->device, &self->sent_by_all);
    if (!device_sends_xdp(self->device))
        return error_set(error, EOPNOTSUPP, "%s cannot send the frames of XDP programs",
                         interface->name);
    failed = load(self, options, error);
    if (!failed)
        failed = link_packet.open(options, &self->packet, error);
    if (failed)
        return failed;
    self->ring =
        ring_buffer__new(bpf_map__fd(self->programs->maps.answers), take_record, self, NULL);
    if (!self->ring)
        return error_set(error, errno, "no ring for answers: %s", strerror(errno));
    return attach(self, error);
}

static void xdp_close(struct link *link)
{
    struct xdp *self = (struct xdp *)link;
    if (self->attachment >= 0)
        close(self->attachment);
    ring_buffer__free(self->ring);
    if (self->packet)
        self->packet->class->close(self->packet);
    if (self->ledger)
        munmap(self->ledger, self->ledger_size);
    if (self->avoided)
        munmap(self->avoided, self->avoided_size);
    xdp_bpf__destroy(self->programs);
    device_close(self->device);
    free(self);
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

extern const struct link_class link_xdp;

static int xdp_open(const struct link_options *options, struct link **ret_link, struct error *error)
{
    struct xdp *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, ENOMEM, "no memory for sending packets");
    self->link.class = &link_xdp;
    self->attachment = -1;
    libbpf_print_fn_t before = libbpf_set_print(print_nothing);
    int failed = open_all(self, options, error);
    libbpf_set_print(before);
    if (failed) {
        xdp_close(&self->link);
        return failed;
    }
    *ret_link = &self->link;
    return 0;
}

/* ---- walking ---- */

static uint32_t sum_words(const unsigned char *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return sum;
}

/* The frame of all probes of a tag, without what differs, and the sums over it. */
static void make_frame(const struct link_plan *plan, const unsigned char *next_hop,
                       struct xdp_state *state)
{
    union {
        uint64_t words[XDP_FRAME_WORDS];
        unsigned char bytes[XDP_FRAME_WORDS * sizeof(uint64_t)];
    } frame = {0};
    bool ipv6 = plan->route->source.family == ADDRESS_IPV6;
    struct ethhdr header = {.h_proto = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP)};
    unsigned char *ip = frame.bytes + ETH_HLEN;
    memcpy(header.h_dest, next_hop, ETH_ALEN);
    memcpy(header.h_source, plan->route->interface.hardware, ETH_ALEN);
    memcpy(frame.bytes, &header, sizeof(header));

    struct tcp_packet probe = plan->probe;
    probe.destination = (struct address){.family = probe.source.family};
    size_t length = tcp_packet_build(&probe, ip), offset = ipv6 ? 40 : 20;
    unsigned char *tcp = ip + offset;
    memset(tcp + 16, 0, 2);
    if (!ipv6)
        memset(ip + 10, 0, 2);
    state->ip_sum = ipv6 ? 0 : sum_words(ip, offset);
    state->tcp_sum = sum_words(tcp, length - offset) + IPPROTO_TCP + (uint32_t)(length - offset) +
                     (ipv6 ? sum_words(ip + 8, 16) : sum_words(ip + 12, 4));
    state->frame_length = (uint32_t)(ETH_HLEN + length);
    memcpy(state->frame, frame.words, sizeof(frame.words));
    put_address(&probe.source, state->source);
}

/* Asks the device how much of what we sent it has sent, which nobody else tells. Its counter counts
 * everybody's packets, so that what it refused of ours may be more than that. Returns false when it
 * has sent next to nothing of the first ones: its driver does not do what it promised, or counts in
 * another way, and then nobody would know what became of the rest. */
static bool look_at_device(struct xdp *self)
{
    uint64_t sent = self->programs->bss->state.sent, sent_by_all;
    if (sent - self->looked < (self->looked ? LOOK_SENT : LOOK_FIRST) ||
        !device_sent(self->device, &sent_by_all))
        return true;
    uint64_t ours = sent - self->looked, all = sent_by_all - self->sent_by_all;
    bool first = self->looked == 0;
    self->looked = sent;
    self->sent_by_all = sent_by_all;
    if (all < ours)
        self->refused += ours - all;
    return !first || all >= ours / 2;
}

static uint64_t *xdp_ledger(struct link *link)
{
    return ((struct xdp *)link)->ledger;
}

static void xdp_avoid(struct link *link, uint64_t host)
{
    struct xdp *self = (struct xdp *)link;
    if (host < self->hosts)
        self->avoided[host / 64] |= UINT64_C(1) << host % 64;
}

static int xdp_walk(struct link *link, struct walk *walk,
                    const unsigned char next_hop[static HARDWARE_SIZE], int *ret_code)
{
    struct xdp *self = (struct xdp *)link;
    struct xdp_state *state = &self->programs->bss->state;
    make_frame(self->plan, next_hop, state);
    state->source_port = (uint16_t)(self->first_port + walk->tag);
    state->walk = *walk;
    struct xdp_md context = {
        .data_end = sizeof(state->frame),
        .ingress_ifindex = LOOPBACK, /* so that the program knows that it is we who run it */
    };
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = state->frame,
                .data_size_in = sizeof(state->frame), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = (int)walk->packets, .batch_size = BATCH,
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
    int failed = bpf_prog_test_run_opts(bpf_program__fd(self->programs->progs.porthole), &options);
    walk->position = state->walk.position;
    walk->packets = state->walk.packets;
    if (!look_at_device(self))
        failed = -EOPNOTSUPP;
    if (!failed || failed == -EINTR)
        return 0;
    *ret_code = -failed;
    return -1;
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

static size_t take_answers(struct xdp *self, struct incoming *packets, size_t room)
{
    self->taken_count = 0;
    self->taken_most = room < TAKEN ? (unsigned)room : TAKEN;
    if (self->taken_most)
        ring_buffer__consume(self->ring);
    for (unsigned i = 0; i < self->taken_count; i++)
        packets[i] = (struct incoming){
            .bytes = self->taken[i].bytes,
            .length = self->taken[i].length,
            .time = self->taken[i].time,
            .interface = self->plan->route->interface.index,
            .protocol = self->taken[i].protocol,
            .verified =
                is_unfinished(self->taken[i].bytes, self->taken[i].length, self->taken[i].protocol),
        };
    return self->taken_count;
}

static size_t take_all(struct xdp *self, struct incoming *packets, size_t room)
{
    size_t count = take_answers(self, packets, room);
    return count + link_packet.receive(self->packet, 0, packets + count, room - count);
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
    const struct xdp_state *state = &self->programs->bss->state;
    facts.sent += state->sent;
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
    .walk = xdp_walk,
};
