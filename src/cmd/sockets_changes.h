/* What came, what went and what changed between two looks at the sockets. */
#pragma once

#include "cmd/sockets_gather.h"

enum sockets_change {
    SOCKETS_STAYED,
    SOCKETS_CAME,
    SOCKETS_WENT,
    SOCKETS_CHANGED, /* its state */
};

struct sockets_mark {
    uint64_t when;  /* monotonic, of the look that noticed it */
    uint8_t change; /* enum sockets_change */
    uint8_t before; /* of SOCKETS_CHANGED: enum socket_state */
    bool fresh;     /* the latest look did */
    bool lent;      /* its processes are those of the look before: the latest found none */
};

/* One for each socket of a list. Zero-initialised is none. */
struct sockets_marks {
    struct sockets_mark *items;
    size_t count;
};

void sockets_marks_release(struct sockets_marks *marks);

/* Compares a look with the one before it (NULL: there was none, and everything has stayed).
 * What went is appended to the list of `now`, with its processes, and stays there for `keep`
 * nanoseconds; as long its other marks hold, too. A connection is the same through all of its
 * states. A socket that lost all of its processes keeps them for one look more: perhaps it went
 * while they were looked for. Returns 0, or -ENOMEM with an error. */
int sockets_changes_find(const struct sockets *before, const struct sockets_marks *before_marks,
                         struct sockets *now, uint64_t time, uint64_t keep,
                         struct sockets_marks *ret_marks, struct error *error);

/* "came", "went", "changed"; NULL for what stayed. */
const char *sockets_change_name(enum sockets_change change);
