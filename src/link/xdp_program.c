/* Loading the program, and running it. */
#include "link/xdp_program.h"

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
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCH 64        /* frames that the kernel makes at a time */
#define MARGIN 16       /* frames more than are expected */
#define RANGES 1048576u /* more are not walked; HALVINGS in xdp.bpf.c */
#define ADDRESS_WORDS 2
#define LOOPBACK 1 /* the index of that interface in every network namespace */

/* ---- what it knows ---- */

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
static int prepare(struct xdp_bpf *skeleton, const struct link_options *options,
                   struct error *error)
{
    const struct link_plan *plan = options->plan;
    uint64_t words = word_count(plan->plan->count, XDP_STATES_PER_WORD);
    size_t ranges = plan->plan->targets->count;
    if (words > UINT32_MAX || ranges > RANGES)
        return error_set(error, EFBIG, "the scan is too large for it");
    skeleton->rodata->facts = (struct xdp_facts){
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
    bpf_map__set_max_entries(skeleton->maps.ledger, (uint32_t)words);
    bpf_map__set_max_entries(skeleton->maps.avoided,
                             (uint32_t)word_count(plan->plan->targets->size, 64));
    bpf_map__set_max_entries(skeleton->maps.ranges, (uint32_t)ranges);
    return 0;
}

static int fill_ranges(const struct xdp_bpf *skeleton, const struct address_set *targets)
{
    size_t size;
    struct xdp_range *ranges = map_values(skeleton->maps.ranges, &size);
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

static void fill_ports(struct xdp_bpf *skeleton, const struct port_set *ports)
{
    for (uint32_t i = 0; i < ports->size; i++) {
        uint16_t number = port_set_at(ports, i).number;
        skeleton->bss->port_numbers[i] = number;
        skeleton->bss->port_ranks[number] = i + 1;
    }
}

/* ---- loading ---- */

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

static int load(struct xdp_program *program, const struct link_options *options,
                struct error *error)
{
    struct xdp_bpf *skeleton = program->skeleton = xdp_bpf__open();
    const struct plan *plan = options->plan->plan;
    if (!skeleton)
        return error_set(error, errno, "cannot read its program: %s", strerror(errno));
    int failed = prepare(skeleton, options, error);
    if (failed)
        return failed;
    failed = xdp_bpf__load(skeleton);
    if (failed == -EPERM || failed == -EACCES)
        return error_set(error, EPERM,
                         "loading its program needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
    if (!failed)
        failed = fill_ranges(skeleton, plan->targets);
    if (failed)
        return error_set(error, -failed, "the kernel does not take its program: %s",
                         strerror(-failed));
    fill_ports(skeleton, plan->ports);
    program->descriptor = bpf_program__fd(skeleton->progs.porthole);
    program->answers = bpf_map__fd(skeleton->maps.answers);
    program->plan = options->plan;
    program->first_port = options->first_port;
    program->state = &skeleton->bss->state;
    program->ledger = map_values(skeleton->maps.ledger, &program->ledger_size);
    program->avoided = map_values(skeleton->maps.avoided, &program->avoided_size);
    return program->ledger && program->avoided
               ? 0
               : error_set(error, ENOMEM, "no memory for what its program shares");
}

int xdp_program_open(const struct link_options *options, struct xdp_program *ret_program,
                     struct error *error)
{
    struct xdp_program program = {0};
    libbpf_print_fn_t before = libbpf_set_print(print_nothing);
    int failed = load(&program, options, error);
    libbpf_set_print(before);
    if (failed) {
        xdp_program_close(&program);
        return failed;
    }
    *ret_program = program;
    return 0;
}

void xdp_program_close(struct xdp_program *program)
{
    if (program->ledger)
        munmap(program->ledger, program->ledger_size);
    if (program->avoided)
        munmap(program->avoided, program->avoided_size);
    xdp_bpf__destroy(program->skeleton);
    *program = (struct xdp_program){0};
}

/* ---- running ---- */

static uint32_t sum_words(const unsigned char *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return sum;
}

/* The frame of all probes of a tag, without what differs, and the sums over it. */
static void make_frame(const struct link_plan *plan, const unsigned char *next_hop,
                       struct xdp_walker *walker)
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
    walker->ip_sum = ipv6 ? 0 : sum_words(ip, offset);
    walker->tcp_sum = sum_words(tcp, length - offset) + IPPROTO_TCP + (uint32_t)(length - offset) +
                      (ipv6 ? sum_words(ip + 8, 16) : sum_words(ip + 12, 4));
    walker->frame_length = (uint32_t)(ETH_HLEN + length);
    memcpy(walker->frame, frame.words, sizeof(frame.words));
    put_address(&probe.source, walker->source);
}

/* A run by us, which the program tells by the interface. */
static int run(struct xdp_program *program, struct xdp_walker *walker,
               struct bpf_test_run_opts *options)
{
    struct xdp_md context = {.data_end = sizeof(walker->frame), .ingress_ifindex = LOOPBACK};
    options->data_in = walker->frame;
    options->data_size_in = sizeof(walker->frame);
    options->ctx_in = &context;
    options->ctx_size_in = sizeof(context);
    return bpf_prog_test_run_opts(program->descriptor, options);
}

static struct xdp_walker *prepare_walker(struct xdp_program *program, unsigned number,
                                         const struct walk *walk, const unsigned char *next_hop)
{
    struct xdp_walker *walker = &program->state->walkers[number];
    make_frame(program->plan, next_hop, walker);
    walker->source_port = (uint16_t)(program->first_port + walk->tag);
    walker->walk = *walk;
    return walker;
}

void xdp_program_assign(struct xdp_program *program, unsigned walker, unsigned processor)
{
    program->state->walker_of[processor % XDP_PROCESSORS] = (uint8_t)walker;
}

int xdp_program_walk(struct xdp_program *program, unsigned number, const struct walk *walk,
                     const unsigned char next_hop[static HARDWARE_SIZE], uint64_t *ret_sent)
{
    struct xdp_walker *walker = prepare_walker(program, number, walk, next_hop);
    uint32_t expected = walk->packets;
    int failed = 0;
    walker->walk.packets = UINT32_MAX;
    while (!failed && walker->walk.position < walker->walk.end) {
        uint64_t position = walker->walk.position;
        uint32_t packets = walker->walk.packets;
        LIBBPF_OPTS(bpf_test_run_opts, options, .repeat = (int)(expected + expected / 16 + MARGIN),
                    .batch_size = BATCH, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
        failed = run(program, walker, &options);
        packets -= walker->walk.packets;
        expected -= packets < expected ? packets : expected;
        if (failed == -EINTR)
            failed = 0;
        else if (!failed && walker->walk.position == position)
            failed = -EXDEV; /* it was another walker's, on another processor */
    }
    *ret_sent = UINT32_MAX - walker->walk.packets;
    return failed;
}

int xdp_program_peek(struct xdp_program *program, struct walk *walk,
                     const unsigned char next_hop[static HARDWARE_SIZE],
                     unsigned char frame[static XDP_FRAME_SIZE], uint32_t *ret_length)
{
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_out = frame, .data_size_out = XDP_FRAME_SIZE);
    struct xdp_walker *walker = prepare_walker(program, 0, walk, next_hop);
    int failed = run(program, walker, &options);
    walk->position = walker->walk.position;
    walk->packets = walker->walk.packets;
    if (!failed)
        *ret_length = options.retval == XDP_REDIRECT ? options.data_size_out : 0;
    return failed;
}

int xdp_program_hear(struct xdp_program *program, unsigned char *frame, uint32_t *length,
                     uint32_t *ret_action)
{
    struct xdp_md context = {
        .data_end = *length,
        .ingress_ifindex = program->plan->route->interface.index,
    };
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = *length,
                .data_out = frame, .data_size_out = *length, .ctx_in = &context,
                .ctx_size_in = sizeof(context));
    int failed = bpf_prog_test_run_opts(program->descriptor, &options);
    if (failed)
        return failed;
    *length = options.data_size_out;
    *ret_action = options.retval;
    return 0;
}
