/* Which states are listed, and what else there would be. */
#pragma once

#include "cmd/sockets_gather.h"

/* Sets the scope and query.states by the options and the filter. Returns 0, or -EINVAL with an
 * error. */
int sockets_scope_choose(struct sockets *sockets, struct error *error);

/* Sockets that the filter takes, but which are not listed because of their states. */
struct sockets_beyond {
    size_t connections;
    size_t bound; /* neither listening nor connected */
};

/* Looks for them when nothing was found and no option said which states are wanted: with another
 * question to the kernel, which is all that an empty list costs. Zeroes when that fails. */
void sockets_scope_look_beyond(const struct sockets *sockets, struct sockets_beyond *ret_beyond);
