/* netstat --json: the records of `sockets`, of the sockets that netstat shows. */
#include "cmd/netstat_sockets.h"

#include "base/clock.h"
#include "cmd/confine.h"
#include "cmd/sockets_show.h"

#include <errno.h>

/* Adds the records of those that are shown. Returns 0 or -errno: there is no memory, or nobody
 * reads what is written. */
static int print(const struct netstat_options *options, const struct sockets *sockets)
{
    struct sockets_output output = {0};
    struct sockets_users users = {0};
    const uint64_t wall = clock_wall();
    int failed = 0;
    for (size_t i = 0; i < sockets->list.count && !failed; i++) {
        const struct socket_entry *entry = &sockets->list.entries[i];
        if (!netstat_sockets_shown(options, entry))
            continue;
        sockets_add_json(&output.pending, sockets, entry, wall, &users);
        failed = sockets_output_flush(&output, false);
    }
    if (!failed)
        failed = sockets_output_flush(&output, true);
    sockets_users_release(&users);
    buffer_release(&output.pending);
    return failed;
}

int netstat_sockets_json(const struct netstat_options *options, struct netstat_gaps *ret_gaps,
                         struct error *error)
{
    const struct sockets_options gathering = {.no_processes = !options->programs};
    struct sockets sockets = {.options = &gathering, .scope = SOCKETS_ALL};
    if (netstat_sockets_internet(options))
        sockets.query = netstat_sockets_query(options);
    if (netstat_sockets_unix(options))
        sockets.query.kinds |= SOCKET_UNIX_KINDS;
    sockets.query.states = SOCKET_USUAL_STATES;
    int failed = sockets_gather(&sockets, error);
    *ret_gaps = (struct netstat_gaps){.incomplete = sockets.incomplete,
                                      .hidden = sockets.hidden > 0,
                                      .refused = sockets.list.refused};
    if (!failed && !options->continuous)
        confine_lightly(0, NULL);
    if (!failed)
        failed = print(options, &sockets);
    sockets_release(&sockets);
    if (failed == -ENOMEM)
        return error_set(error, ENOMEM, "out of memory");
    return failed == -EPIPE ? 0 : failed; /* command_finish() tells it */
}
