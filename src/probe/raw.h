/* The one prober behind all raw TCP techniques, as a class of each of them names it. */
#pragma once

#include "probe/technique.h"

int raw_permitted(void);
int raw_open(const struct prober_class *class, const struct prober_options *options,
             struct prober **ret_prober, struct error *error);
void raw_close(struct prober *prober);
size_t raw_submit(struct prober *prober, const struct probe *probes, size_t count);
size_t raw_collect(struct prober *prober, uint64_t wait, struct reply *replies, size_t room);
uint64_t raw_oldest(const struct prober *prober);
struct prober_facts raw_facts(const struct prober *prober);
uint64_t *raw_ledger(struct prober *prober);
void raw_avoid(struct prober *prober, uint64_t host);
bool raw_avoids(const struct prober *prober, uint64_t host);
bool raw_walk(struct prober *prober, const struct walk *walk);
struct walk_facts raw_walked(struct prober *prober);

#define RAW_PROBER_CALLS                                                                           \
    .permitted = raw_permitted, .open = raw_open, .close = raw_close, .submit = raw_submit,        \
    .collect = raw_collect, .oldest = raw_oldest, .facts = raw_facts, .ledger = raw_ledger,        \
    .avoid = raw_avoid, .avoids = raw_avoids, .walk = raw_walk, .walked = raw_walked
