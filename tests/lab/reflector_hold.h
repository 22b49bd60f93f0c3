/* Answers that the reflector holds, and then sends at a rate of its own. */
#pragma once

#include "reflector.h"

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

struct held_answers {
    uint32_t most;    /* so many are held */
    double rate;      /* at which they are sent, a second */
    int processor;    /* that sends them, and does what comes of it; -1: any */
    uint64_t count;   /* how many there were */
    uint64_t taken;   /* packets that the other end took while they were sent, others too */
    uint64_t elapsed; /* nanoseconds in which they were sent */

    const char *device;
    int program;
    volatile struct reflector_hold *shared;
    uint64_t last_count, last_time; /* when something came to be held */
};

/* Before the program is loaded: makes room. */
int hold_prepare(const struct held_answers *held, struct bpf_object *object);

/* Afterwards; `device` is the one that the program is attached to. Returns 0 or -errno. */
int hold_open(struct held_answers *held, struct bpf_object *object, const char *device);

/* Sends the answers, once they are all there or nothing came for a while, and does not return
 * before that is done. Returns how many milliseconds later to call it again, or -1 if never. */
int hold_turn(struct held_answers *held);
