/* Finding an interface and a link by their names, and whether the kernel's routes agree with the
 * choice. */
#include "cmd/scan_interface.h"

#include "base/buffer.h"
#include "net/route.h"
#include "scan/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RANGES 64

int scan_interface_find(const char *name, uint32_t *ret_index, struct error *error)
{
    unsigned index = if_nametoindex(name);
    if (index) {
        *ret_index = index;
        return 0;
    }
    struct buffer names = {0};
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *one = all; one && one->if_index; one++)
        buffer_add_format(&names, "%s%s", one == all ? "" : ", ", one->if_name);
    if_freenameindex(all);
    bool known = names.data && !names.failed;
    int failed = error_set(error, ENODEV, "no interface is called '%.32s'%s%.200s", name,
                           known ? ": there are " : "", known ? names.data : "");
    buffer_release(&names);
    return failed;
}

void scan_interface_compare(const struct command *command,
                            const struct scan_command_options *options,
                            const struct address_set *targets)
{
    struct routes *routes;
    struct address first = {0};
    char around[IF_NAMESIZE] = "";
    size_t others = 0;
    if (routes_open(0, &routes, NULL) < 0)
        return; /* the prober will say what is wrong */
    for (size_t i = 0; i < targets->count && i < RANGES; i++) {
        const struct route *route = routes_find(routes, &targets->ranges[i].first);
        if (!route || route->code || route->interface.index == options->interface_index)
            continue;
        if (others++ == 0) {
            first = targets->ranges[i].first;
            memcpy(around, route->interface.name, sizeof(around));
        }
    }
    routes_close(routes);
    char text[ADDRESS_TEXT_SIZE], more[64] = "";
    if (others > 1)
        snprintf(more, sizeof(more), " (and to %zu other target%s by others)", others - 1,
                 others > 2 ? "s" : "");
    if (others)
        command_warn(command,
                     "the kernel's route to %s leaves by %.15s%s: going by %s as told, "
                     "around it",
                     address_format(&first, text), around, more, options->interface);
}

/* ---- links ---- */

const struct link_class *scan_link_find(const char *name)
{
    for (size_t i = 0; name && link_classes[i]; i++)
        if (strcmp(link_classes[i]->name, name) == 0)
            return link_classes[i];
    return NULL;
}

static bool can_carry(const struct link_class *link, const struct route *route)
{
    return link->carries && link->carries(route);
}

static int refuse_route(const char *name, const struct address *to, const struct route *route,
                        struct error *error)
{
    char text[ADDRESS_TEXT_SIZE], advice[64] = "";
    for (size_t i = 0; !*advice && link_classes[i]; i++)
        if (can_carry(link_classes[i], route))
            snprintf(advice, sizeof(advice), ": use --link %.16s, or leave it out",
                     link_classes[i]->name);
    return error_set(error, EINVAL,
                     "packets to %s leave by %.15s, where --link %.16s cannot send%s",
                     address_format(to, text), route->interface.name, name, advice);
}

int scan_link_check(const struct scan_command_options *options, const struct address_set *targets,
                    struct error *error)
{
    const struct link_class *link = scan_link_find(options->link);
    struct routes *routes;
    int failed = 0;
    if (!link)
        return 0;
    failed = routes_open(options->interface_index, &routes, error);
    if (failed)
        return failed;
    for (size_t i = 0; !failed && i < targets->count && i < RANGES; i++) {
        const struct address *to = &targets->ranges[i].first;
        const struct route *route = routes_find(routes, to);
        if (route && !route->code && !can_carry(link, route))
            failed = refuse_route(link->name, to, route, error);
    }
    routes_close(routes);
    return failed;
}
