/* The sockets that will be shown, with what is known of each. */
#pragma once

#include "cmd/sockets_options.h"

#include "local/diag_tape.h"
#include "local/exposure.h"
#include "local/filter.h"
#include "local/names.h"
#include "local/owner.h"
#include "local/spaces.h"

/* The interfaces of a network namespace. */
struct sockets_space {
    bool known;
    struct exposure_map *map; /* NULL: not told, or not recorded */
};

struct sockets_numbers {
    uint32_t *items;
    size_t count, capacity;
};

enum sockets_scope {
    SOCKETS_LISTENING,   /* what waits for somebody */
    SOCKETS_CONNECTIONS, /* what somebody is at the other end of */
    SOCKETS_ALL,
};

struct sockets;

/* Shows the sockets [0] to [count) of the list, when they are not all gathered first. Returns 0 or
 * -errno with an error. */
typedef int sockets_show_fn(void *user, struct sockets *sockets, size_t count, struct error *error);

/* Which ones, and what has been found. */
struct sockets {
    const struct sockets_options *options;
    const struct filter *filter; /* NULL: all */
    enum sockets_scope scope;
    uint32_t named;    /* states that are wanted whatever the scope, as bits of enum socket_state */
    bool by_words;     /* the filter's words alone say that it is not SOCKETS_LISTENING */
    bool only_waiting; /* none of them can have a peer */
    struct diag_query query;
    struct diag_tape *tape; /* NULL: neither recorded nor replayed */

    bool every_space; /* all network namespaces */

    /* Not all are gathered: `show` is called with some, which are forgotten then. */
    sockets_show_fn *show;
    void *user;

    struct socket_list list; /* those that will be shown, in the order found */
    struct sockets_space *spaces;
    size_t space_capacity;
    uint32_t *order; /* indices into list.entries, in the order of showing; NULL: as they are */
    struct owners owners;
    bool has_owners;     /* they were looked for */
    uint32_t viewer;     /* the effective user who looked */
    struct names *names; /* of peers; NULL: not asked for */

    struct {
        struct sockets_numbers inodes, users;
    } noted; /* of all sockets, when they are recorded */

    bool incomplete;
    size_t hidden; /* sockets held by somebody whom we may not see */
    size_t unseen_spaces;
};

/* Is somebody waited for? */
bool sockets_is_listening(const struct socket_entry *entry);

/* Fills in `list`, `owners` and the rest. Returns 0 or -errno with an error. */
int sockets_gather(struct sockets *sockets, struct error *error);
void sockets_release(struct sockets *sockets);

const struct socket_entry *sockets_at(const struct sockets *sockets, size_t index);

/* The process to name first, and how many others hold the socket; NULL: nobody is known. */
const struct process *sockets_holder(const struct sockets *sockets,
                                     const struct socket_entry *entry, size_t *ret_others);
/* The same of the other end of a Unix socket. */
const struct process *sockets_peer_holder(const struct sockets *sockets,
                                          const struct socket_entry *entry);

/* The other end's name; NULL: it was not asked for, or has none. */
const char *sockets_remote_name(const struct sockets *sockets, const struct socket_entry *entry);

enum exposure sockets_exposure(const struct sockets *sockets, const struct socket_entry *entry,
                               char interface[static 16]);

/* Of our own network namespace; may be NULL. */
const struct exposure_map *sockets_own_map(const struct sockets *sockets);

/* The name of the interface that a socket is bound to; "" when it is to none. */
const char *sockets_interface(const struct sockets *sockets, const struct socket_entry *entry,
                              char text[static 16]);
