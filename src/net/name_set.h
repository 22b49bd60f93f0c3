/* The names by which a person called some addresses, so that output can call them the same. */
#pragma once

#include "base/buffer.h"
#include "net/address.h"

/* Zero-initialised is empty. Read-only for everyone else. */
struct name_set {
    struct named_address {
        struct address address;
        char *name;
    } * items; /* ascending by address */
    size_t count;
};

void name_set_release(struct name_set *set);

/* Remembers that `address` was called `name`, which is copied; the first name of an address stays.
 * Returns 0 or -ENOMEM. */
int name_set_add(struct name_set *set, const struct address *address, const char *name);

/* The name, or NULL. `set` may be NULL. */
const char *name_set_find(const struct name_set *set, const struct address *address);

/* One "address name" a line, and back: lines that are no such pair make it return -EINVAL. */
void name_set_format(const struct name_set *set, struct buffer *buffer);
int name_set_parse(struct name_set *set, const char *text);
