/* A set of (protocol, port) pairs, stored as ranges. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protocol {
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    PROTOCOL_SCTP,
    PROTOCOL_COUNT,
};

const char *protocol_name(enum protocol protocol); /* "tcp", "udp", "sctp" */

/* The inverse: false when no protocol has this name. */
bool protocol_find(const char *name, size_t length, enum protocol *ret_protocol);

struct port {
    enum protocol protocol;
    uint16_t number; /* host order */
};

struct port_range {
    enum protocol protocol;
    uint16_t first, last;
};

/* Zero-initialised is empty. Read-only for everyone else. Always sorted (by protocol, then number),
 * disjoint and merged. */
struct port_set {
    struct port_range *ranges;
    uint32_t *starts; /* starts[i]: index of ranges[i].first in the set */
    size_t count, capacity;
    uint32_t size; /* ports in the set, at most PROTOCOL_COUNT × 65,536 */
};

void port_set_release(struct port_set *set);

/* Adds first..last. Returns 0, -EINVAL when last < first, or -ENOMEM. */
int port_set_add(struct port_set *set, enum protocol protocol, uint16_t first, uint16_t last);

/* Removes every port of `other`. Returns 0 or -ENOMEM. */
int port_set_subtract(struct port_set *set, const struct port_set *other);

struct port port_set_at(const struct port_set *set, uint32_t index); /* index < size */
bool port_set_find(const struct port_set *set, struct port port, uint32_t *ret_index);

/* Canonical text that port_set_parse() reads back: "22,80,8000-8100", or "T:22,U:53" when there is
 * more than TCP. */
void port_set_format(const struct port_set *set, struct buffer *buffer);

/* Reads a port specification: numbers, ranges ("1-1023", "-1023" from 1, "60000-" to 65535, "-" for
 * 1-65535), service names with "*" and "?" as wildcards ("https", "http*": every registered port of
 * such a name in the current protocol), and "T:", "U:", "S:" before an item, which switch the
 * protocol for what follows ("T:22,80,U:53"; at first it is TCP). Port 0 is taken when named ("0"
 * or "0-1023"). Adds to `set`. Pure but for the reading of /etc/services.
 *
 * Returns 0, -EINVAL or -ERANGE with an error that has the column, or -ENOMEM; `set` is unchanged
 * on failure. */
int port_set_parse(const char *text, size_t length, struct port_set *set, struct error *error);

/* Adds the `count` most often open TCP ports (1 to 65,536), by the ranking of data/top-ports.txt.
 */
int port_set_add_top(struct port_set *set, uint32_t count);
