/* In which order sockets are shown. */
#pragma once

#include "cmd/sockets_gather.h"

/* Reads the value of --sort (NULL: none). Returns 0, or -EINVAL with an error. */
struct sockets_order {
    int key;
    bool reversed;
};
int sockets_order_parse(const char *text, struct sockets_order *ret_order, struct error *error);

/* Fills in sockets->order. Returns 0, or -ENOMEM with an error. */
int sockets_sort(struct sockets *sockets, const struct sockets_order *order, struct error *error);
