/* Two bits for each index of a plan: silent, open, closed or filtered.
 *
 * Where those don't fit into the memory that it may take, a ledger is "sparse": it keeps which
 * indexes are open, so that each is told once, and of the other states counts alone. */
#pragma once

#include "base/number_set.h"
#include "scan/state.h"

#include <stdint.h>

struct ledger {
    uint64_t *bits; /* two an index, 32 indexes a word: silent, open, refused, filtered; NULL of a
                       sparse one */
    bool lent;      /* they are somebody else's memory */
    uint64_t count;
    struct state_words words;

    /* How many indexes are in each state. Of a sparse one, how many answers said so (an index that
     * is asked again counts again), and STATE_SILENT is all that is not open. */
    uint64_t counts[STATE_COUNT];

    bool sparse;
    bool full;              /* an open index found no room any more */
    struct number_set open; /* of a sparse one */
};

/* All silent. It takes count / 4 bytes, touched as it is used, or is sparse when that is more than
 * `memory` bytes (0: half of this machine's), which it then does not exceed. Returns 0 or -ENOMEM.
 */
int ledger_init(struct ledger *ledger, uint64_t count, uint64_t memory,
                const struct state_words *words);
void ledger_release(struct ledger *ledger);

/* Keeps the states of a ledger that is not sparse in `bits` from now on, all 0 before, which stay
 * the caller's and must outlive it. */
void ledger_lend(struct ledger *ledger, uint64_t *bits);

/* Bytes of a ledger that is not sparse. */
uint64_t ledger_size(uint64_t count);

/* STATE_SILENT for what a sparse one does not keep. */
enum port_state ledger_get(const struct ledger *ledger, uint64_t index);

/* Decides a silent index. Returns 1, or 0 when nothing is to be told of it: it was decided before
 * (the first answer counts and a duplicate costs nothing), or it is not open and the ledger sparse,
 * which only counts it. -ENOMEM when a sparse one is full; -EINVAL for a state that is neither
 * open, filtered nor what a refusal says. */
int ledger_set(struct ledger *ledger, uint64_t index, enum port_state state);

/* The first silent index at or after `index`, or `count`: 32 at a time. */
uint64_t ledger_next_silent(const struct ledger *ledger, uint64_t index);
