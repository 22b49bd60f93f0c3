/* Two bits an index, 32 to a word. */
#include "scan/ledger.h"

#include <errno.h>
#include <stdlib.h>

#define STATES_PER_WORD 32
#define LOW_BITS UINT64_C(0x5555555555555555)

int ledger_init(struct ledger *ledger, uint64_t count, const struct state_words *words)
{
    uint64_t size = (count + STATES_PER_WORD - 1) / STATES_PER_WORD;
    if (size > SIZE_MAX / sizeof(uint64_t))
        return -ENOMEM;
    /* calloc maps large blocks lazily, so that memory is used only where states are written. */
    uint64_t *zeroed = calloc(size ? (size_t)size : 1, sizeof(uint64_t));
    if (!zeroed)
        return -ENOMEM;
    *ledger = (struct ledger){.bits = zeroed, .count = count, .words = *words, .counts = {count}};
    return 0;
}

void ledger_release(struct ledger *ledger)
{
    free(ledger->bits);
    *ledger = (struct ledger){0};
}

enum port_state ledger_get(const struct ledger *ledger, uint64_t index)
{
    unsigned shift = (unsigned)(index % STATES_PER_WORD) * 2;
    enum port_state state = (enum port_state)(ledger->bits[index / STATES_PER_WORD] >> shift & 3);
    return state == STATE_CLOSED ? ledger->words.refused : state;
}

bool ledger_set(struct ledger *ledger, uint64_t index, enum port_state state)
{
    unsigned shift = (unsigned)(index % STATES_PER_WORD) * 2;
    uint64_t *word = &ledger->bits[index / STATES_PER_WORD];
    if (*word >> shift & 3)
        return false;
    *word |= (uint64_t)(state == ledger->words.refused ? STATE_CLOSED : state) << shift;
    ledger->counts[STATE_SILENT]--;
    ledger->counts[state]++;
    return true;
}

uint64_t ledger_next_silent(const struct ledger *ledger, uint64_t index)
{
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
