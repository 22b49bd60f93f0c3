/* The options -e and --link of `scan`: the interface and the link that packets must leave by. */
#pragma once

#include "cmd/scan_options.h"
#include "net/address_set.h"

/* The index of an interface. Returns 0, or -ENODEV with an error that lists those that there are.
 */
int scan_interface_find(const char *name, uint32_t *ret_index, struct error *error);

/* Says on stderr, in one line, when the kernel itself would send to some of the targets by another
 * interface than the one asked for. Looks at the first addresses of the first ranges only. */
void scan_interface_compare(const struct command *command,
                            const struct scan_command_options *options,
                            const struct address_set *targets);

/* The link of this name; NULL for NULL and for SCAN_LINK_SOCKET. */
const struct link_class *scan_link_find(const char *name);

/* Whether packets to the targets can leave by the link that was asked for, if any. Looks at the
 * first addresses of the first ranges only. Returns 0, or -EINVAL with an error that says which
 * link can. */
int scan_link_check(const struct scan_command_options *options, const struct address_set *targets,
                    struct error *error);
