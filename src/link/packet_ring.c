/* The receive ring: TPACKET_V2 of linux/if_packet.h.
 *
 * Its frames are seen as soon as they are there: 20 µs after the kernel's stamp on an idle machine.
 * TPACKET_V3 hands over whole blocks, which makes a packet cheaper (150 ns against 400 in a flood)
 * but half a millisecond late in the mean: five round trips of a local network. */
#include "link/packet_ring.h"

#include "base/clock.h"
#include "link/batch.h"
#include "link/packet_filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME_SIZE = 1024, /* more than any TCP segment without data or ICMP error about one needs */
    BLOCK_SIZE = 256 << 10,
    FRAMES = 16 << 10, /* 16 MiB */
    FRAMES_AT_LEAST = 1 << 10,
    FRAMES_IN_BLOCK = BLOCK_SIZE / FRAME_SIZE,
    ADDRESS_AT = TPACKET_ALIGN((int)sizeof(struct tpacket2_hdr)), /* in a frame: its sockaddr_ll */
};

#define SOON (50 * NANOSECONDS_PER_MICROSECOND)
#define MOMENT (50 * NANOSECONDS_PER_MICROSECOND) /* and as much of the timer's own slack */

static int set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) ? -errno : 0;
}

static int attach_filter(int fd, uint16_t first_port, uint16_t last_port)
{
    struct sock_filter code[PACKET_FILTER_SIZE];
    const struct sock_fprog program = {
        .len = (unsigned short)packet_filter_build(first_port, last_port, FRAME_SIZE, code),
        .filter = code,
    };
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

/* Asks for a ring of `frames`, or of fewer when memory is short. Returns how many, or -errno. */
static int set_frames(int fd)
{
    for (int frames = FRAMES;; frames /= 2) {
        const struct tpacket_req request = {
            .tp_block_size = BLOCK_SIZE,
            .tp_block_nr = (unsigned)frames / FRAMES_IN_BLOCK,
            .tp_frame_size = FRAME_SIZE,
            .tp_frame_nr = (unsigned)frames,
        };
        if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) == 0)
            return frames;
        if (errno != ENOMEM || frames <= FRAMES_AT_LEAST)
            return -errno;
    }
}

/* The socket hears nothing before bind(): so nothing gets in that the filter has not seen. */
static int prepare(struct packet_ring *ring, uint16_t first_port, uint16_t last_port)
{
    const struct sockaddr_ll everywhere = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
    };
    int code = attach_filter(ring->fd, first_port, last_port);
    if (!code)
        code = set(ring->fd, PACKET_IGNORE_OUTGOING, 1);
    if (!code)
        code = set(ring->fd, PACKET_VERSION, TPACKET_V2);
    if (!code)
        code = set_frames(ring->fd);
    if (code < 0)
        return code;
    ring->frames = (uint32_t)code;
    ring->memory = mmap(NULL, (size_t)ring->frames * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                        ring->fd, 0);
    if (ring->memory == MAP_FAILED)
        return -errno;
    if (bind(ring->fd, (const struct sockaddr *)&everywhere, sizeof(everywhere)) == 0)
        return 0;
    code = -errno;
    munmap(ring->memory, (size_t)ring->frames * FRAME_SIZE);
    return code;
}

int packet_ring_open(uint16_t first_port, uint16_t last_port, struct packet_ring *ret_ring,
                     struct error *error)
{
    /* Cooked packets begin at the network header, whatever kind of link they came by. */
    struct packet_ring ring = {.fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (ring.fd < 0)
        return batch_error(errno, "receiving packets", error);
    int code = prepare(&ring, first_port, last_port);
    if (code) {
        close(ring.fd);
        return batch_error(-code, "a ring for receiving packets", error);
    }
    *ret_ring = ring;
    return 0;
}

void packet_ring_close(struct packet_ring *ring)
{
    munmap(ring->memory, (size_t)ring->frames * FRAME_SIZE);
    close(ring->fd);
}

static struct tpacket2_hdr *frame_at(const struct packet_ring *ring, uint32_t number)
{
    size_t offset = (size_t)(number & (ring->frames - 1)) * FRAME_SIZE;
    return (struct tpacket2_hdr *)(void *)(ring->memory + offset);
}

/* A packet that is on its way to another machine, or that will be seen again: on a VLAN's own
 * device, once its tag is off. */
static bool is_another_s(const struct tpacket2_hdr *header, const struct sockaddr_ll *from)
{
    return from->sll_pkttype == PACKET_OTHERHOST ||
           ((header->tp_status & TP_STATUS_VLAN_VALID) && (header->tp_vlan_tci & 0xfff) != 0);
}

static bool read_frame(const struct tpacket2_hdr *header, struct incoming *packet)
{
    const unsigned char *frame = (const unsigned char *)header;
    struct sockaddr_ll from;
    memcpy(&from, frame + ADDRESS_AT, sizeof(from));
    uint16_t protocol = ntohs(from.sll_protocol);
    if ((protocol != ETH_P_IP && protocol != ETH_P_IPV6 && protocol != ETH_P_ARP) ||
        is_another_s(header, &from))
        return false;
    *packet = (struct incoming){
        .bytes = frame + header->tp_net,
        .length = header->tp_snaplen,
        .time = header->tp_sec * NANOSECONDS_PER_SECOND + header->tp_nsec,
        .interface = (uint32_t)from.sll_ifindex,
        .protocol = protocol,
        .verified = header->tp_status & (TP_STATUS_CSUM_VALID | TP_STATUS_CSUMNOTREADY),
    };
    return true;
}

static void give_back(const struct packet_ring *ring, uint32_t number)
{
    __atomic_store_n(&frame_at(ring, number)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

void packet_ring_release(struct packet_ring *ring)
{
    while (ring->held) {
        give_back(ring, ring->next - ring->held);
        ring->held--;
    }
}

/* The kernel stamps with the wall clock. Stamps become monotonic by the distance of the clocks now;
 * where the wall clock was set meanwhile, by what is possible: not before the packet that came
 * before, and not in the future. */
static void correct_times(struct packet_ring *ring, struct incoming *packets, size_t count)
{
    uint64_t now = clock_monotonic();
    uint64_t distance = clock_wall() - now;
    for (size_t i = 0; i < count; i++) {
        uint64_t time = packets[i].time - distance;
        if (time > now)
            time = now;
        if (time < ring->time)
            time = ring->time;
        ring->time = packets[i].time = time;
    }
}

static size_t take(struct packet_ring *ring, struct incoming *packets, size_t room)
{
    size_t count = 0;
    while (count < room && ring->held < ring->frames) {
        const struct tpacket2_hdr *header = frame_at(ring, ring->next);
        if (!(__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
            break;
        bool ours = read_frame(header, &packets[count]);
        count += ours;
        if (ours || ring->held)
            ring->held++;
        else
            give_back(ring, ring->next);
        ring->next++;
    }
    if (count)
        correct_times(ring, packets, count);
    return count;
}

static struct timespec timespec_of(uint64_t nanoseconds)
{
    return (struct timespec){
        .tv_sec = (time_t)(nanoseconds / NANOSECONDS_PER_SECOND),
        .tv_nsec = (long)(nanoseconds % NANOSECONDS_PER_SECOND),
    };
}

/* In a flood each packet would wake us, which costs ten times what reading it does. Where one came
 * so soon after there was none, the next ones may gather for a moment. */
static void gather(uint64_t began, uint64_t wait)
{
    uint64_t waited = clock_monotonic() - began;
    if (waited >= SOON || waited >= wait)
        return;
    const struct timespec moment = timespec_of(wait - waited < MOMENT ? wait - waited : MOMENT);
    nanosleep(&moment, NULL);
}

size_t packet_ring_receive(struct packet_ring *ring, uint64_t wait, struct incoming *packets,
                           size_t room)
{
    size_t count = take(ring, packets, room);
    if (count || wait == 0)
        return count;
    uint64_t began = clock_monotonic();
    struct pollfd polled = {.fd = ring->fd, .events = POLLIN};
    const struct timespec limit = timespec_of(wait);
    if (ppoll(&polled, 1, &limit, NULL) <= 0)
        return 0;
    if (polled.revents & POLLERR) { /* a device went away; only reading the error ends it */
        int code;
        socklen_t size = sizeof(code);
        getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &code, &size);
    }
    gather(began, wait);
    return take(ring, packets, room);
}

uint64_t packet_ring_missed(struct packet_ring *ring)
{
    struct tpacket_stats stats = {0}; /* since they were last read */
    socklen_t size = sizeof(stats);
    if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
        ring->missed += stats.tp_drops;
    return ring->missed;
}
