/* Threads that walk: one for each of some processors, to which it is bound, and which has given up
 * every right. One thread hands out the walks, and asks what has become of them. */
#pragma once

#include "scan/link.h"

#define WORKERS 16 /* at most */

/* Walks until the end, as worker `number` from 1 on, or 0 when it is no worker that calls. Counts
 * what it sends. Returns 0 or -errno. */
typedef int worker_fn(void *user, unsigned number, const struct walk *walk,
                      const unsigned char next_hop[static HARDWARE_SIZE], uint64_t *ret_sent);

struct workers;

/* Starts a worker for each processor that this process may run on but for `spared` of them, `most`
 * and WORKERS at most. Where there are no more, workers_give() does the work itself. `on_start`,
 * which may be NULL, is told which processor a worker has, before it walks. Returns 0 or -errno. */
int workers_open(unsigned spared, unsigned most, worker_fn *walk,
                 void (*on_start)(void *user, unsigned number, unsigned processor), void *user,
                 struct workers **ret_workers);
void workers_close(struct workers *workers); /* also of NULL; ends what they do first */

/* Hands out a walk. Returns false when all have enough to do. */
bool workers_give(struct workers *workers, const struct walk *walk,
                  const unsigned char next_hop[static HARDWARE_SIZE]);

/* What has become of them, all in all. */
struct walk_facts workers_facts(struct workers *workers);

/* Becomes readable when a walk has ended, until workers_facts() is called. */
int workers_descriptor(const struct workers *workers);
