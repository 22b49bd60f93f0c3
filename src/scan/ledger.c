/* Two bits an index, 32 to a word; or the open indexes alone. */
#include "scan/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define STATES_PER_WORD 32
#define LOW_BITS UINT64_C(0x5555555555555555)

static uint64_t half_of_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_MAX;
}

uint64_t ledger_size(uint64_t count)
{
    return count / 4 + (count % 4 != 0);
}

int ledger_init(struct ledger *ledger, uint64_t count, uint64_t memory,
                const struct state_words *words)
{
    uint64_t size = count / STATES_PER_WORD + (count % STATES_PER_WORD != 0);
    struct ledger made = {.count = count, .words = *words, .counts = {count}};
    if (memory == 0)
        memory = half_of_memory();
    if (ledger_size(count) > memory || size > SIZE_MAX / sizeof(uint64_t)) {
        made.sparse = true;
        made.open.limit = memory;
    } else {
        /* calloc maps large blocks lazily, so that memory is used only where states are written. */
        made.bits = calloc(size ? (size_t)size : 1, sizeof(uint64_t));
        if (!made.bits)
            return -ENOMEM;
    }
    *ledger = made;
    return 0;
}

void ledger_release(struct ledger *ledger)
{
    if (!ledger->lent)
        free(ledger->bits);
    number_set_release(&ledger->open);
    *ledger = (struct ledger){0};
}

void ledger_lend(struct ledger *ledger, uint64_t *bits)
{
    uint64_t words = ledger->count / STATES_PER_WORD + (ledger->count % STATES_PER_WORD != 0);
    for (uint64_t i = 0; i < words; i++) /* pages without a state are not touched */
        if (ledger->bits[i])
            bits[i] = ledger->bits[i];
    if (!ledger->lent)
        free(ledger->bits);
    ledger->bits = bits;
    ledger->lent = true;
}

enum port_state ledger_get(const struct ledger *ledger, uint64_t index)
{
    if (ledger->sparse)
        return number_set_has(&ledger->open, index) ? STATE_OPEN : STATE_SILENT;
    unsigned shift = (unsigned)(index % STATES_PER_WORD) * 2;
    enum port_state state = (enum port_state)(ledger->bits[index / STATES_PER_WORD] >> shift & 3);
    return state == STATE_CLOSED ? ledger->words.refused : state;
}

static int set_sparse(struct ledger *ledger, uint64_t index, enum port_state state)
{
    if (state != STATE_OPEN) {
        ledger->counts[state] += !number_set_has(&ledger->open, index);
        return 0;
    }
    int added = number_set_add(&ledger->open, index);
    if (added < 0)
        ledger->full = true;
    if (added != 0)
        return added < 0 ? added : 0;
    ledger->counts[STATE_SILENT]--;
    ledger->counts[STATE_OPEN]++;
    return 1;
}

int ledger_set(struct ledger *ledger, uint64_t index, enum port_state state)
{
    if (state != STATE_OPEN && state != STATE_FILTERED && state != ledger->words.refused)
        return -EINVAL;
    if (ledger->sparse)
        return set_sparse(ledger, index, state);
    unsigned shift = (unsigned)(index % STATES_PER_WORD) * 2;
    uint64_t *word = &ledger->bits[index / STATES_PER_WORD];
    if (*word >> shift & 3)
        return 0;
    *word |= (uint64_t)(state == ledger->words.refused ? STATE_CLOSED : state) << shift;
    ledger->counts[STATE_SILENT]--;
    ledger->counts[state]++;
    return 1;
}

static uint64_t next_not_open(const struct ledger *ledger, uint64_t index)
{
    while (index < ledger->count && number_set_has(&ledger->open, index))
        index++;
    return index < ledger->count ? index : ledger->count;
}

uint64_t ledger_next_silent(const struct ledger *ledger, uint64_t index)
{
    if (ledger->sparse)
        return next_not_open(ledger, index);
    while (index < ledger->count) {
        uint64_t word = ledger->bits[index / STATES_PER_WORD];
        uint64_t silent = ~(word | word >> 1) & LOW_BITS;
        silent >>= index % STATES_PER_WORD * 2;
        if (silent) {
            index += (uint64_t)__builtin_ctzll(silent) / 2;
            return index < ledger->count ? index : ledger->count;
        }
        index += STATES_PER_WORD - index % STATES_PER_WORD;
    }
    return ledger->count;
}
