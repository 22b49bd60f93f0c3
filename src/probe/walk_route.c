/* The routes of all targets, by stretches. */
#include "probe/walk_route.h"

#include <stddef.h>

#define ROUTES 32       /* different ones that are told apart; a machine has few gateways */
#define STRETCHES 65536 /* that the kernel is asked about, at some 10 µs each */

typedef void stretch_fn(void *user, const struct route *route, uint64_t first, uint64_t count);

/* Returns false when there are too many, or an answer was not to be had. */
static bool each_stretch(struct routes *routes, const struct address_set *targets, stretch_fn *each,
                         void *user)
{
    unsigned asked = 0;
    for (size_t i = 0; i < targets->count; i++) {
        const struct address_range *range = &targets->ranges[i];
        struct address at = range->first;
        for (bool more = true; more; asked++) {
            uint128_t last;
            const struct route *route =
                asked < STRETCHES ? routes_find_stretch(routes, &at, &last) : NULL;
            if (!route)
                return false;
            more = last < range->last;
            last = more ? last : range->last;
            each(user, route, targets->starts[i] + (uint64_t)(at.value - range->first.value),
                 (uint64_t)(last - at.value) + 1);
            at.value = last + 1;
        }
    }
    return true;
}

/* ---- choosing ---- */

struct choice {
    bool (*carries)(const struct route *route);
    bool direct; /* there are targets on a link itself */
    const struct route *routes[ROUTES];
    uint64_t counts[ROUTES];
    unsigned count;
};

static void count_stretch(void *user, const struct route *route, uint64_t first, uint64_t count)
{
    struct choice *choice = user;
    (void)first;
    if (route->code || !choice->carries(route))
        return;
    if (route->gateway.family == ADDRESS_NONE) {
        choice->direct = true;
        return;
    }
    unsigned i = 0;
    while (i < choice->count && choice->routes[i] != route)
        i++;
    if (i == ROUTES)
        return;
    if (i == choice->count) {
        choice->routes[i] = route;
        choice->counts[i] = 0;
        choice->count++;
    }
    choice->counts[i] += count;
}

const struct route *walk_route_choose(struct routes *routes, const struct address_set *targets,
                                      bool (*carries)(const struct route *route),
                                      uint64_t *ret_count, const char **ret_why)
{
    struct choice choice = {.carries = carries};
    unsigned best = 0;
    if (!each_stretch(routes, targets, count_stretch, &choice)) {
        *ret_why = "the targets have too many routes";
        return NULL;
    }
    if (!choice.count) {
        *ret_why = choice.direct ? "the targets are on the link itself"
                                 : "no target is behind a gateway of an Ethernet";
        return NULL;
    }
    for (unsigned i = 1; i < choice.count; i++)
        best = choice.counts[i] > choice.counts[best] ? i : best;
    *ret_count = choice.counts[best];
    return choice.routes[best];
}

/* ---- the others ---- */

struct others {
    const struct route *route;
    void (*each)(void *user, uint64_t host);
    void *user;
};

static void name_others(void *user, const struct route *route, uint64_t first, uint64_t count)
{
    const struct others *others = user;
    for (uint64_t host = first; route != others->route && host < first + count; host++)
        others->each(others->user, host);
}

void walk_route_others(struct routes *routes, const struct address_set *targets,
                       const struct route *route, void (*each)(void *user, uint64_t host),
                       void *user)
{
    struct others others = {.route = route, .each = each, .user = user};
    each_stretch(routes, targets, name_others, &others);
}
