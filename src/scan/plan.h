/* The index space of a scan: index i in [0, count) stands for one (address, protocol, port). */
#pragma once

#include "net/address_set.h"
#include "net/port_set.h"

struct plan {
    const struct address_set *targets; /* sealed; borrowed */
    const struct port_set *ports;      /* borrowed */
    uint64_t count;                    /* targets->size × ports->size, below 2^63 */
};

struct endpoint {
    struct address address;
    struct port port;
};

/* Returns 0, -EINVAL when either set is empty, or -EOVERFLOW, with an error. */
int plan_init(struct plan *plan, const struct address_set *targets, const struct port_set *ports,
              struct error *error);

/* index = address index × ports + port index, so that one host's ports lie side by side. */
struct endpoint plan_endpoint(const struct plan *plan, uint64_t index);
bool plan_find(const struct plan *plan, const struct endpoint *endpoint, uint64_t *ret_index);

static inline uint64_t plan_host(const struct plan *plan, uint64_t index)
{
    return index / plan->ports->size;
}
