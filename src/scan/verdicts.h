/* Verdicts (state, reason, from), numbered as they come: a scan knows few, and its ports keep
 * numbers instead. */
#pragma once

#include "base/random.h"
#include "net/address.h"
#include "scan/state.h"

struct result_verdict {
    enum port_state state;
    enum reason reason;
    struct address from;
};

/* Zero-initialised, but for `key`, is empty. */
struct verdicts {
    struct result_verdict *items; /* by number */
    uint32_t count, capacity;
    uint32_t *slots; /* number plus one, or 0; open addressing by content */
    uint32_t slot_count;
    struct key key; /* of that: the network chooses the content */
};

void verdicts_release(struct verdicts *verdicts);

/* The number of a verdict, which is given on its first use. Returns 0 or -ENOMEM. */
int verdicts_number(struct verdicts *verdicts, const struct result_verdict *verdict,
                    uint32_t *ret_number);
