/* Indexes to endpoints and back. */
#include "scan/plan.h"

#include <errno.h>

int plan_init(struct plan *plan, const struct address_set *targets, const struct port_set *ports,
              struct error *error)
{
    uint64_t count;
    if (targets->size == 0)
        return error_set(error, EINVAL, "there is no target to scan");
    if (ports->size == 0)
        return error_set(error, EINVAL, "there is no port to scan");
    if (__builtin_mul_overflow(targets->size, ports->size, &count) || count > INT64_MAX)
        return error_set(error, EOVERFLOW, "more than 2^63 ports in all: name fewer targets");
    *plan = (struct plan){.targets = targets, .ports = ports, .count = count};
    return 0;
}

struct endpoint plan_endpoint(const struct plan *plan, uint64_t index)
{
    uint64_t host = index / plan->ports->size;
    return (struct endpoint){
        .address = address_set_at(plan->targets, host),
        .port = port_set_at(plan->ports, (uint32_t)(index - host * plan->ports->size)),
    };
}

bool plan_find(const struct plan *plan, const struct endpoint *endpoint, uint64_t *ret_index)
{
    uint64_t host;
    uint32_t port;
    if (!address_set_find(plan->targets, &endpoint->address, &host) ||
        !port_set_find(plan->ports, endpoint->port, &port))
        return false;
    *ret_index = host * plan->ports->size + port;
    return true;
}
