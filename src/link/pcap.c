/* Files instead of a network: what is sent is written to one, what comes is read from another, both
 * in libpcap's format. With it tests need no rights, and a packet that made trouble can be played
 * again. For tests alone, which give a path: "OUT.pcap", or "OUT.pcap,IN.pcap". */
#include "base/clock.h"
#include "link/packet_filter.h"
#include "scan/link.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SNAP_LENGTH = 65535,
    STORE_SIZE = 256 << 10, /* bytes of packets that are given out at the same time */
};

struct pcap_link {
    struct link link;
    pcap_t *written; /* the form of what is written */
    pcap_dumper_t *dumper;
    pcap_t *read; /* NULL: nothing comes */
    int read_type;
    struct bpf_insn filter[PACKET_FILTER_SIZE];
    uint64_t sent;
    size_t stored; /* bytes in `store` */
    unsigned char store[STORE_SIZE];
};

static bool pcap_carries(const struct route *route)
{
    (void)route;
    return true;
}

/* The number of bytes before the network header, or -1 for a type that is not understood. VLAN tags
 * come on top: see skip_header(). */
static int header_size(int type)
{
    switch (type) {
    case DLT_RAW:
        return 0;
    case DLT_NULL:
        return 4;
    case DLT_EN10MB:
        return ETH_HLEN;
    case DLT_LINUX_SLL:
        return 16;
    case DLT_LINUX_SLL2:
        return 20;
    default:
        return -1;
    }
}

static int open_read(struct pcap_link *self, const char *path, struct error *error)
{
    char message[PCAP_ERRBUF_SIZE];
    self->read = pcap_open_offline(path, message);
    if (!self->read)
        return error_set(error, EINVAL, "cannot read packets: %s", message);
    self->read_type = pcap_datalink(self->read);
    if (header_size(self->read_type) >= 0)
        return 0;
    const char *name = pcap_datalink_val_to_name(self->read_type);
    return error_set(error, EINVAL, "%s: packets of type %s are not understood", path,
                     name ? name : "unknown");
}

static int open_written(struct pcap_link *self, const char *path, struct error *error)
{
    self->written = pcap_open_dead(DLT_RAW, SNAP_LENGTH);
    if (!self->written)
        return error_set(error, ENOMEM, "no memory for writing packets");
    self->dumper = pcap_dump_open(self->written, path);
    if (!self->dumper)
        return error_set(error, EINVAL, "cannot write packets: %s", pcap_geterr(self->written));
    return 0;
}

static int open_files(struct pcap_link *self, const char *path, struct error *error)
{
    const char *comma = strchr(path, ',');
    size_t length = comma ? (size_t)(comma - path) : strlen(path);
    if (length == 0 || (comma && !comma[1]))
        return error_set(error, EINVAL, "the link needs files, OUT.pcap or OUT.pcap,IN.pcap");
    /* What is to be read comes first: a mistake in its name spoils no file. */
    int code = comma ? open_read(self, comma + 1, error) : 0;
    if (code)
        return code;
    char *out = strndup(path, length);
    if (!out)
        return error_set(error, ENOMEM, "no memory for writing packets");
    code = open_written(self, out, error);
    free(out);
    return code;
}

static void build_filter(struct pcap_link *self, const struct link_options *options)
{
    struct sock_filter program[PACKET_FILTER_SIZE];
    size_t count =
        packet_filter_build(options->first_port, options->last_port, SNAP_LENGTH, program);
    for (size_t i = 0; i < count; i++)
        self->filter[i] = (struct bpf_insn){
            .code = program[i].code,
            .jt = program[i].jt,
            .jf = program[i].jf,
            .k = program[i].k,
        };
}

static void pcap_link_close(struct link *link)
{
    struct pcap_link *self = (struct pcap_link *)link;
    if (self->dumper)
        pcap_dump_close(self->dumper);
    if (self->written)
        pcap_close(self->written);
    if (self->read)
        pcap_close(self->read);
    free(self);
}

extern const struct link_class link_pcap;

static int pcap_link_open(const struct link_options *options, struct link **ret_link,
                          struct error *error)
{
    if (!options->path)
        return error_set(error, EINVAL, "the link needs files, OUT.pcap or OUT.pcap,IN.pcap");
    struct pcap_link *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, ENOMEM, "no memory for packets");
    self->link.class = &link_pcap;
    build_filter(self, options);
    int code = open_files(self, options->path, error);
    if (code) {
        pcap_link_close(&self->link);
        return code;
    }
    *ret_link = &self->link;
    return 0;
}

static size_t pcap_link_send(struct link *link, const struct outgoing *packets, size_t count,
                             int *ret_code)
{
    struct pcap_link *self = (struct pcap_link *)link;
    uint64_t now = clock_wall();
    struct pcap_pkthdr header = {
        .ts.tv_sec = (time_t)(now / NANOSECONDS_PER_SECOND),
        .ts.tv_usec = (suseconds_t)(now % NANOSECONDS_PER_SECOND / NANOSECONDS_PER_MICROSECOND),
    };
    for (size_t i = 0; i < count; i++) {
        header.caplen = header.len = packets[i].length;
        pcap_dump((unsigned char *)self->dumper, &header, packets[i].bytes);
    }
    /* Whoever looks at the file meanwhile sees whole packets. */
    if (pcap_dump_flush(self->dumper)) {
        *ret_code = EIO;
        return 0;
    }
    self->sent += count;
    return count;
}

/* Where the network header begins in the `length` bytes at `bytes`; `length` when nowhere. */
static size_t skip_header(int type, const unsigned char *bytes, size_t length)
{
    size_t at = (size_t)header_size(type);
    if (at > length)
        return length;
    if (type != DLT_EN10MB)
        return at;
    for (; length - at >= 4; at += 4) {
        unsigned ethertype = (unsigned)bytes[at - 2] << 8 | bytes[at - 1];
        if (ethertype != ETH_P_8021Q && ethertype != ETH_P_8021AD)
            break;
    }
    return at;
}

static uint16_t protocol_of(unsigned char first)
{
    return first >> 4 == 4 ? ETH_P_IP : first >> 4 == 6 ? ETH_P_IPV6 : ETH_P_ARP;
}

/* Copies one packet, for which there is room, if the filter lets it pass. */
static bool store(struct pcap_link *self, const struct pcap_pkthdr *header,
                  const unsigned char *bytes, struct incoming *packet)
{
    size_t at = skip_header(self->read_type, bytes, header->caplen);
    uint32_t length = (uint32_t)(header->caplen - at);
    if (!bpf_filter(self->filter, bytes + at, length, length))
        return false;
    unsigned char *kept = memcpy(self->store + self->stored, bytes + at, length);
    self->stored += length;
    *packet = (struct incoming){
        .bytes = kept,
        .length = length,
        .time = clock_monotonic(),
        .protocol = protocol_of(*kept),
    };
    return true;
}

static size_t pcap_link_receive(struct link *link, uint64_t wait, struct incoming *packets,
                                size_t room)
{
    struct pcap_link *self = (struct pcap_link *)link;
    struct pcap_pkthdr *header;
    const unsigned char *bytes;
    size_t count = 0;
    /* Longer packets than the link itself would have are left out. */
    while (self->read && count < room && STORE_SIZE - self->stored >= SNAP_LENGTH &&
           pcap_next_ex(self->read, &header, &bytes) == 1)
        count += header->caplen <= SNAP_LENGTH && store(self, header, bytes, &packets[count]);
    if (count || wait == 0)
        return count;
    const struct timespec limit = {
        .tv_sec = (time_t)(wait / NANOSECONDS_PER_SECOND),
        .tv_nsec = (long)(wait % NANOSECONDS_PER_SECOND),
    };
    ppoll(NULL, 0, &limit, NULL);
    return 0;
}

static void pcap_link_release(struct link *link)
{
    ((struct pcap_link *)link)->stored = 0;
}

static struct link_facts pcap_link_facts(const struct link *link)
{
    return (struct link_facts){.sent = ((const struct pcap_link *)link)->sent};
}

const struct link_class link_pcap = {
    .name = "pcap",
    .summary = "files in libpcap's format, for tests",
    .carries = pcap_carries,
    .open = pcap_link_open,
    .close = pcap_link_close,
    .send = pcap_link_send,
    .receive = pcap_link_receive,
    .release = pcap_link_release,
    .facts = pcap_link_facts,
};
