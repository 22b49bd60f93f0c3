/* A host's addresses without waiting for them: the C library's resolver, with all that the system
 * has configured for it, in a thread of its own. */
#pragma once

#include "base/loop.h"
#include "net/address.h"

#define RESOLVE_ASIDE_MAXIMUM 32 /* addresses; further ones are left out */

struct resolve_aside; /* freed by itself after done(), or by resolve_aside_cancel() */

/* Asks for `name`, as resolve_ordered() does. done() is called once from the loop: with addresses
 * that are its own for the call, or with count 0 and an error. Returns 0 or -errno. */
int resolve_aside(struct loop *loop, const char *name, enum address_family family,
                  void (*done)(void *user, const struct address *addresses, size_t count,
                               const struct error *error),
                  void *user, struct resolve_aside **ret_aside);

/* Nobody wants to know any more. The thread goes on until the system answers, and cleans up. */
void resolve_aside_cancel(struct resolve_aside *aside); /* NULL is allowed */
