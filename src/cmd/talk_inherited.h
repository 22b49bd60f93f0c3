/* Sockets that were handed over: systemd's socket activation, sd_listen_fds(3). */
#pragma once

#include "cmd/talk_options.h"
#include "talk/endpoint.h"

struct talk_inherited {
    int descriptors[16]; /* more are left alone */
    size_t count;
};

/* Takes them; the environment no longer tells of them. */
void talk_inherited_take(struct talk_inherited *ret_inherited);

/* The end that they are, as if words had named it. `options` has its kind afterwards, as
 * talk_endpoint() has it. Returns 0, or -EINVAL with an error where they ask for another one. */
int talk_inherited_endpoint(const struct talk_inherited *inherited, struct talk_options *options,
                            struct endpoint *ret_endpoint, struct error *error);
