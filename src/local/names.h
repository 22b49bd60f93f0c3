/* Names of addresses: from the hosts file, and from DNS (c-ares), asked for all at once and awaited
 * no longer than is said. */
#pragma once

#include "base/error.h"
#include "net/address.h"

struct names_options {
    const char *hosts;   /* a file; NULL: /etc/hosts */
    const char *servers; /* "127.0.0.1:5353,[::1]:53"; NULL: those of /etc/resolv.conf */
};

struct names;

/* `options` may be NULL. Returns 0, or -errno with an error. Nothing is sent yet. */
int names_open(const struct names_options *options, struct names **ret_names, struct error *error);
void names_close(struct names *names); /* whatever is still open is given up; NULL is allowed */

/* Asks for the names of those that were not asked for before. Scopes do not matter. Returns 0 or
 * -ENOMEM; nothing waits. */
int names_ask(struct names *names, const struct address *addresses, size_t count);

/* Waits for answers, for at most `limit` nanoseconds (0: takes those that have come). What is not
 * answered by then goes on and may be awaited again. Returns whether all are answered. */
bool names_wait(struct names *names, uint64_t limit);

/* The name of an address, which has letters, digits, "-", "_" and "." only; NULL: none is known. It
 * holds until names_close(). */
const char *names_find(const struct names *names, const struct address *address);
