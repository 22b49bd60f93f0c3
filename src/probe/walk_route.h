/* Which of a scan's targets a link can walk by itself: those of one route, through one gateway. */
#pragma once

#include "net/route.h"
#include "scan/plan.h"

/* The route, among those that `carries` allows, by which most targets are reached through a
 * gateway, and how many are. Returns NULL, with *ret_why in a few words, when there is none or the
 * routes are so many that asking for them all takes too long. */
const struct route *walk_route_choose(struct routes *routes, const struct address_set *targets,
                                      bool (*carries)(const struct route *route),
                                      uint64_t *ret_count, const char **ret_why);

/* Calls `each` for all the other targets, by their index. */
void walk_route_others(struct routes *routes, const struct address_set *targets,
                       const struct route *route, void (*each)(void *user, uint64_t host),
                       void *user);
