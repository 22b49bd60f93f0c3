/* Packets on their way: loss, bottlenecks, limits, delays, and the timing wheel that they wait in.
 */
#include "simnet.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- The wheel ---- */

#define TICK_BITS 14

static uint64_t tick_of(int64_t time)
{
    return ((uint64_t)time + (1U << TICK_BITS) - 1) >> TICK_BITS;
}

bool path_open(struct simnet *simnet, uint32_t events, int64_t now)
{
    void *memory = mmap(NULL, events * sizeof(struct event), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    simnet->memory_mask = (1U << 12) - 1;
    simnet->memories = calloc(simnet->memory_mask + 1, sizeof *simnet->memories);
    if (memory == MAP_FAILED || !simnet->memories)
        return false;
    struct wheel *wheel = simnet->wheel = calloc(1, sizeof *wheel);
    if (!wheel)
        return false;
    wheel->events = memory;
    wheel->capacity = events;
    wheel->free = NO_EVENT;
    wheel->current = tick_of(now);
    for (size_t i = 0; i < NEAR_SLOTS; i++)
        wheel->near[i] = (struct slot){NO_EVENT, NO_EVENT};
    for (size_t i = 0; i < FAR_SLOTS; i++)
        wheel->far[i] = (struct slot){NO_EVENT, NO_EVENT};
    return true;
}

void path_close(struct simnet *simnet)
{
    if (simnet->wheel)
        munmap(simnet->wheel->events, simnet->wheel->capacity * sizeof(struct event));
    free(simnet->wheel);
    free(simnet->memories);
}

static void slot_append(struct wheel *wheel, struct slot *slot, uint32_t index)
{
    wheel->events[index].next = NO_EVENT;
    if (slot->head == NO_EVENT)
        slot->head = index;
    else
        wheel->events[slot->tail].next = index;
    slot->tail = index;
}

static void wheel_insert(struct wheel *wheel, uint32_t index)
{
    uint64_t tick = tick_of(wheel->events[index].due);
    if (tick < wheel->current)
        tick = wheel->current;
    if (tick - wheel->current < NEAR_SLOTS) {
        size_t place = tick % NEAR_SLOTS;
        wheel->near_bits[place / 64] |= 1ULL << place % 64;
        wheel->near_words[place / 4096] |= 1ULL << place / 64 % 64;
        slot_append(wheel, &wheel->near[place], index);
        return;
    }
    /* What is beyond the last far slot waits there for another round. */
    uint64_t round = tick >> NEAR_BITS, here = wheel->current >> NEAR_BITS;
    if (round - here >= FAR_SLOTS)
        round = here + FAR_SLOTS - 1;
    slot_append(wheel, &wheel->far[round % FAR_SLOTS], index);
    wheel->far_count++;
}

/* The place of the first bit set from `place` on, or NEAR_SLOTS. */
static size_t near_from(const struct wheel *wheel, size_t place)
{
    uint64_t bits = wheel->near_bits[place / 64] >> place % 64;
    if (bits)
        return place + (size_t)__builtin_ctzll(bits);
    size_t word = place / 64 + 1;
    while (word < NEAR_SLOTS / 64) {
        uint64_t words = wheel->near_words[word / 64] >> word % 64;
        if (words) {
            word += (size_t)__builtin_ctzll(words);
            return word * 64 + (size_t)__builtin_ctzll(wheel->near_bits[word]);
        }
        word = (word / 64 + 1) * 64;
    }
    return NEAR_SLOTS;
}

/* The next tick at which there is something to do: to fire, or to bring far ones near. */
static uint64_t wheel_next(const struct wheel *wheel)
{
    if (wheel->count == 0)
        return UINT64_MAX;
    size_t here = wheel->current % NEAR_SLOTS, place = near_from(wheel, here);
    uint64_t next = UINT64_MAX;
    if (place < NEAR_SLOTS)
        next = wheel->current + place - here;
    else if ((place = near_from(wheel, 0)) < NEAR_SLOTS)
        next = wheel->current + NEAR_SLOTS + place - here;
    uint64_t turn = ((wheel->current >> NEAR_BITS) + 1) << NEAR_BITS;
    return wheel->far_count > 0 && turn < next ? turn : next;
}

/* Moves on to a tick that is not after wheel_next(). */
static void wheel_turn(struct wheel *wheel, uint64_t tick)
{
    bool turned = tick >> NEAR_BITS != wheel->current >> NEAR_BITS;
    wheel->current = tick;
    if (!turned || wheel->far_count == 0)
        return;
    struct slot *slot = &wheel->far[(tick >> NEAR_BITS) % FAR_SLOTS];
    uint32_t index = slot->head;
    *slot = (struct slot){NO_EVENT, NO_EVENT};
    while (index != NO_EVENT) {
        uint32_t next = wheel->events[index].next;
        wheel->far_count--;
        wheel_insert(wheel, index);
        index = next;
    }
}

int64_t path_next(const struct simnet *simnet)
{
    uint64_t next = wheel_next(simnet->wheel);
    return next == UINT64_MAX ? INT64_MAX : (int64_t)(next << TICK_BITS);
}

/* ---- Out ---- */

/* Adds a packet to a queue at a time; returns when it has left it, or -1 if it is full. */
static int64_t bottleneck_pass(struct bottleneck *bottleneck, int64_t time)
{
    if (bottleneck->interval == 0)
        return time;
    int64_t free_at = bottleneck->free_at > time ? bottleneck->free_at : time;
    if ((free_at - time) / bottleneck->interval > bottleneck->queue)
        return -1;
    bottleneck->free_at = free_at + bottleneck->interval;
    return bottleneck->free_at;
}

/* Whether a packet falls into a burst of errors, or begins one. */
static bool burst_takes(struct simnet *simnet, struct burst *burst, int64_t now)
{
    if (burst->chance == 0)
        return false;
    if (now < burst->bad_until)
        return true;
    if (!path_chance(simnet, burst->chance))
        return false;
    double uniform = ((double)(path_random(simnet) >> 11) + 1) * 0x1p-53;
    burst->bad_until = now + (int64_t)(-log(uniform) * burst->mean);
    return true;
}

int64_t path_out(struct simnet *simnet, struct network *network, bool probe, int64_t now)
{
    struct counters *counters = &simnet->counters;
    int64_t time = bottleneck_pass(&simnet->description->bottleneck[OUT], now);
    if (time >= 0 && network)
        time = bottleneck_pass(&network->bottleneck[OUT], time);
    if (time < 0) {
        if (probe)
            counters->queue_dropped_out++;
        else
            counters->queue_dropped_rst++;
        return -1;
    }
    if (!network)
        return time;
    if (path_chance(simnet, network->loss[OUT])) {
        counters->lost_out += probe;
        return -1;
    }
    if (burst_takes(simnet, &network->burst[OUT], now)) {
        counters->burst_out += probe;
        return -1;
    }
    return time;
}

int64_t path_rtt(const struct host_truth *host)
{
    const struct network *network = host->network;
    if (network->rtt == RTT_FIXED)
        return (int64_t)network->rtt_one;
    double one = ((double)(host_hash(host->hash, SALT_RTT) >> 11) + 1) * 0x1p-53;
    if (network->rtt == RTT_UNIFORM)
        return (int64_t)(network->rtt_one + one * (network->rtt_two - network->rtt_one));
    double two = (double)(host_hash(host->hash, SALT_RTT_TWO) >> 11) * 0x1p-53;
    double normal = sqrt(-2 * log(one)) * cos(2 * M_PI * two);
    return (int64_t)(network->rtt_one * exp(network->rtt_two * normal));
}

/* ---- Limits ---- */

static bool memories_grow(struct simnet *simnet)
{
    size_t mask = simnet->memory_mask * 2 + 1;
    struct memory *more = calloc(mask + 1, sizeof *more);
    if (!more)
        return false;
    for (size_t i = 0; i <= simnet->memory_mask; i++) {
        if (simnet->memories[i].key == 0)
            continue;
        size_t slot = simnet->memories[i].key & mask;
        while (more[slot].key != 0)
            slot = (slot + 1) & mask;
        more[slot] = simnet->memories[i];
    }
    free(simnet->memories);
    simnet->memories = more;
    simnet->memory_mask = mask;
    return true;
}

/* What a host remembers, by a hash of its address and network that is never 0. */
static struct memory *memory_find(struct simnet *simnet, uint64_t key)
{
    if (2 * simnet->memory_count > simnet->memory_mask && !memories_grow(simnet))
        return NULL;
    size_t slot = key & simnet->memory_mask;
    for (; simnet->memories[slot].key != 0; slot = (slot + 1) & simnet->memory_mask)
        if (simnet->memories[slot].key == key)
            return &simnet->memories[slot];
    simnet->memories[slot].key = key;
    simnet->memory_count++;
    return &simnet->memories[slot];
}

bool path_allows(struct simnet *simnet, const struct network *network, struct host sender,
                 enum limited kind, int64_t now)
{
    const struct limit *limit = &network->limits[kind];
    if (limit->kind == LIMIT_NONE)
        return true;
    struct memory *memory = memory_find(simnet, mix(mix(sender.high) ^ sender.low) | 1);
    if (!memory)
        return false;
    int64_t *time = &memory->limits[kind].time, *count = &memory->limits[kind].count;
    bool allowed;
    if (limit->kind == LIMIT_WINDOW) {
        /* A second begins with the first answer after the last one was over. */
        if (*count == 0 || now - *time >= NANOSECONDS) {
            *time = now;
            *count = 0;
        }
        allowed = ++*count <= limit->rate;
    } else {
        /* `time` is when the bucket will be full again. */
        int64_t interval = NANOSECONDS / limit->rate;
        int64_t full = *time > now ? *time : now;
        allowed = full - now <= (limit->burst - 1) * interval;
        if (allowed)
            *time = full + interval;
    }
    uint64_t *const forbidden[LIMITS] = {[LIMIT_RST] = &simnet->counters.limited_rst,
                                         [LIMIT_ICMP] = &simnet->counters.limited_icmp,
                                         [LIMIT_SYN_ACK] = &simnet->counters.limited_syn_ack};
    *forbidden[kind] += !allowed;
    return allowed;
}

/* ---- Back ---- */

/* Where an answer that waits goes on when its time has come. */
enum stage { STAGE_BOTTLENECKS, STAGE_WRITE };

void path_write(struct simnet *simnet, const unsigned char *frame, size_t length)
{
    ssize_t done;
    do
        done = write(simnet->device, frame, length);
    while (done < 0 && errno == EINTR);
    if (done == (ssize_t)length)
        simnet->counters.sent++;
    else
        simnet->counters.write_failed++;
}

static bool has_bottleneck(const struct simnet *simnet, const struct network *network)
{
    return simnet->description->bottleneck[BACK].interval || network->bottleneck[BACK].interval;
}

static void path_queue(struct simnet *simnet, struct network *network, const unsigned char *frame,
                       size_t length, int64_t due)
{
    struct wheel *wheel = simnet->wheel;
    uint32_t index = wheel->free;
    if (index != NO_EVENT) {
        wheel->free = wheel->events[index].next;
    } else if (wheel->fresh < wheel->capacity) {
        index = wheel->fresh++;
    } else {
        simnet->counters.events_exhausted++;
        return;
    }
    struct event *event = &wheel->events[index];
    event->due = due;
    event->length = (uint16_t)length;
    event->network = network;
    event->stage = has_bottleneck(simnet, network) ? STAGE_BOTTLENECKS : STAGE_WRITE;
    memcpy(event->frame, frame, length);
    wheel_insert(wheel, index);
    wheel->count++;
}

void path_back(struct simnet *simnet, struct network *network, const unsigned char *frame,
               size_t length, int64_t due, int64_t now)
{
    struct counters *counters = &simnet->counters;
    if (path_chance(simnet, network->loss[BACK])) {
        counters->lost_back++;
        return;
    }
    struct burst *burst = &network->burst[network->burst_shared ? OUT : BACK];
    if (network->burst_shared ? now < burst->bad_until : burst_takes(simnet, burst, now)) {
        counters->burst_back++;
        return;
    }
    unsigned char changed[FRAME_MAXIMUM];
    if (path_chance(simnet, network->corrupt)) {
        memcpy(changed, frame, length);
        answer_corrupt(changed, length, simnet->tap ? 14 : 0, path_random(simnet));
        frame = changed;
        counters->corrupted++;
    }
    if (network->jitter)
        due += (int64_t)(path_random(simnet) % ((uint64_t)network->jitter + 1));
    for (unsigned i = 0; i < network->delay_count; i++) {
        if (path_chance(simnet, network->delays[i].chance)) {
            due += network->delays[i].time;
            counters->delayed++;
        }
    }
    if (due <= now && !has_bottleneck(simnet, network))
        path_write(simnet, frame, length);
    else
        path_queue(simnet, network, frame, length, due);
    if (path_chance(simnet, network->duplicate.chance)) {
        counters->duplicated++;
        path_queue(simnet, network, frame, length, due + network->duplicate.time);
    }
}

/* One whose time has come goes through the bottlenecks and then waits again, or is written. Returns
 * whether it still waits. */
static bool fire_one(struct simnet *simnet, uint32_t index, int64_t now)
{
    struct event *event = &simnet->wheel->events[index];
    if (event->stage == STAGE_BOTTLENECKS) {
        int64_t time = bottleneck_pass(&event->network->bottleneck[BACK], event->due);
        if (time >= 0)
            time = bottleneck_pass(&simnet->description->bottleneck[BACK], time);
        if (time < 0) {
            simnet->counters.queue_dropped_back++;
            return false;
        }
        event->stage = STAGE_WRITE;
        event->due = time;
        if (time > now) {
            wheel_insert(simnet->wheel, index);
            return true;
        }
    }
    if (now - event->due > simnet->counters.late)
        simnet->counters.late = now - event->due;
    path_write(simnet, event->frame, event->length);
    return false;
}

size_t path_fire(struct simnet *simnet, int64_t now, size_t most)
{
    struct wheel *wheel = simnet->wheel;
    uint64_t until = (uint64_t)now >> TICK_BITS;
    size_t fired = 0;
    while (wheel->current <= until) {
        uint64_t next = wheel_next(wheel);
        if (next > until) {
            wheel_turn(wheel, until);
            break;
        }
        wheel_turn(wheel, next);
        size_t place = next % NEAR_SLOTS;
        struct slot *slot = &wheel->near[place];
        while (slot->head != NO_EVENT) {
            if (fired == most)
                return fired;
            fired++;
            uint32_t index = slot->head;
            slot->head = wheel->events[index].next;
            if (fire_one(simnet, index, now))
                continue;
            wheel->events[index].next = wheel->free;
            wheel->free = index;
            wheel->count--;
        }
        wheel->near_bits[place / 64] &= ~(1ULL << place % 64);
        if (wheel->near_bits[place / 64] == 0)
            wheel->near_words[place / 4096] &= ~(1ULL << place / 64 % 64);
    }
    return fired;
}
