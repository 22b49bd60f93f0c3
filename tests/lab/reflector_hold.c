/* Answers that the reflector holds, and then sends at a rate of its own: what a scanner hears when
 * it has nothing else to do. The program in the kernel keeps them, and is run here to send them. */
#include "reflector_hold.h"
#include "simnet.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SILENCE (200 * NANOSECONDS / 1000) /* after which there is nothing more to wait for */
#define LOOK 5                      /* milliseconds between two looks at how many there are */
#define SETTLE (NANOSECONDS / 1000) /* in which a frame that is under way has arrived */
#define BURST 256                   /* frames a call; a call costs as much as a hundred */
#define BATCH 64 /* after which the other end has its turn; the ring of veth holds 256 frames */

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NANOSECONDS + (uint64_t)time.tv_nsec;
}

static void pause_for(uint64_t nanoseconds)
{
    const struct timespec time = {.tv_nsec = (long)nanoseconds};
    nanosleep(&time, NULL);
}

int hold_prepare(const struct held_answers *held, struct bpf_object *object)
{
    struct bpf_map *answers = bpf_object__find_map_by_name(object, "answers");
    return held->most ? bpf_map__set_max_entries(answers, held->most) : 0;
}

/* The program's variables. */
static struct bpf_map *find_variables(const struct bpf_object *object)
{
    struct bpf_map *map;
    bpf_object__for_each_map(map, object)
    {
        const char *name = bpf_map__name(map);
        size_t size = strlen(name);
        if (size >= 4 && strcmp(name + size - 4, ".bss") == 0)
            return map;
    }
    return NULL;
}

int hold_open(struct held_answers *held, struct bpf_object *object, const char *device)
{
    const struct bpf_map *variables = find_variables(object);
    /* They are no more than this structure. */
    if (!variables || bpf_map__value_size(variables) != sizeof *held->shared)
        return -ENOENT;
    void *shared = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
                        bpf_map__fd(variables), 0);
    if (shared == MAP_FAILED)
        return -errno;
    held->shared = shared;
    held->device = device;
    held->program = bpf_program__fd(bpf_object__find_program_by_name(object, "reflect"));
    return 0;
}

/* Packets that the device has sent: of a veth pair, those that the other end has taken. The counter
 * has 32 bits. */
static uint32_t count_sent(const char *device)
{
    struct ifaddrs *all;
    uint32_t sent = 0;
    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *each = all; each; each = each->ifa_next) {
        struct rtnl_link_stats counters;
        if (each->ifa_addr && each->ifa_addr->sa_family == AF_PACKET && each->ifa_data &&
            strcmp(each->ifa_name, device) == 0) {
            memcpy(&counters, each->ifa_data, sizeof counters);
            sent = counters.tx_packets;
        }
    }
    freeifaddrs(all);
    return sent;
}

static int send_burst(const struct held_answers *held, uint64_t count)
{
    struct reflector_held frame = {0};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.words,
                .data_size_in = sizeof frame.words, .repeat = (int)count, .batch_size = BATCH,
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
    return bpf_prog_test_run_opts(held->program, &options);
}

/* Where the processor is late it makes up for it, so that the rate is held on the whole. */
static void send_all(struct held_answers *held)
{
    uint64_t began = now();
    for (uint64_t done = 0; done < held->count;) {
        uint64_t left = held->count - done, burst = left < BURST ? left : BURST;
        while ((double)(now() - began) * held->rate < (double)(done + burst) * NANOSECONDS)
            ;
        int error = send_burst(held, burst);
        if (held->shared->next == done) {
            fprintf(stderr, "reflector: answers cannot be sent: %s\n", strerror(-error));
            break;
        }
        done = held->shared->next;
    }
    held->elapsed = now() - began;
}

/* The wanted processor, before whatever else there is on it: where the kernel gives each session
 * the same share (sched(7), autogroup), a nice value alone means nothing to others. */
static void take_processor(int processor)
{
    cpu_set_t wanted;
    FILE *share = setsid() >= 0 ? fopen("/proc/self/autogroup", "w") : NULL;
    if (share) {
        fputs("-20", share);
        fclose(share);
    }
    CPU_ZERO(&wanted);
    CPU_SET((size_t)processor, &wanted);
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0 || setpriority(PRIO_PROCESS, 0, -20) != 0)
        perror("reflector: processor");
}

static void release(struct held_answers *held)
{
    held->shared->ended = true;
    pause_for(SETTLE);
    held->count = held->shared->count < held->most ? held->shared->count : held->most;
    if (held->processor >= 0)
        take_processor(held->processor);
    uint32_t sent = count_sent(held->device);
    send_all(held);
    pause_for(SETTLE);
    held->taken = count_sent(held->device) - sent;
}

int hold_turn(struct held_answers *held)
{
    if (!held->most || held->shared->ended)
        return -1;
    uint64_t count = held->shared->count, time = now();
    if (count != held->last_count) {
        held->last_count = count;
        held->last_time = time;
    }
    if (count < held->most && (count == 0 || time - held->last_time < SILENCE))
        return LOOK;
    release(held);
    return -1;
}
