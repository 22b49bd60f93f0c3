/* Handing many packets to a socket with few calls. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <sys/socket.h>

#define BATCH_SIZE 64 /* messages a call: beyond this the call itself costs next to nothing */

/* A socket that sends and never waits, with a large buffer and without a way in: whatever the
 * kernel would queue for reading is dropped at once. Returns the descriptor, or -errno with an
 * error. */
int batch_socket(int domain, int protocol, struct error *error);

/* Sends the first of the `count` messages, in order, and returns how many. Fewer than `count`:
 * *ret_code is the positive errno that the next one met. */
size_t batch_send(int fd, struct mmsghdr *messages, size_t count, int *ret_code);

/* Fills in `error` for a raw or packet socket that could not be opened, and returns -code. */
int batch_error(int code, const char *what, struct error *error);
