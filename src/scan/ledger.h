/* Two bits for each index of a plan: silent, open, closed or filtered. */
#pragma once

#include "scan/state.h"

#include <stdint.h>

struct ledger {
    uint64_t *bits; /* two an index, 32 indexes a word: silent, open, refused, filtered */
    uint64_t count;
    struct state_words words;
    uint64_t counts[STATE_COUNT]; /* how many indexes are in each state */
};

/* All silent. Returns 0 or -ENOMEM. Memory: count / 4 bytes, touched as it is used. */
int ledger_init(struct ledger *ledger, uint64_t count, const struct state_words *words);
void ledger_release(struct ledger *ledger);

enum port_state ledger_get(const struct ledger *ledger, uint64_t index);

/* Decides a silent index. Returns false, changing nothing, when it was decided before: the first
 * answer counts and a duplicate costs nothing. */
bool ledger_set(struct ledger *ledger, uint64_t index, enum port_state state);

/* The first silent index at or after `index`, or `count`: 32 at a time. */
uint64_t ledger_next_silent(const struct ledger *ledger, uint64_t index);
