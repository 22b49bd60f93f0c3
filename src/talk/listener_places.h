/* Where a listener listens: the sockets of its endpoint. Private to it. */
#pragma once

#include "talk/listener.h"

#define LISTENER_SOCKETS 16 /* at most */

/* Binds them, and listens where they are not of UDP. They are non-blocking, and the caller's.
 * Returns 0, or -errno with an error that says which address, and why. */
int listener_places_open(const struct listener_options *options, int fds[static LISTENER_SOCKETS],
                         size_t *ret_count, struct error *error);
