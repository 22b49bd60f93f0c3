/* Many clients in one room: what one says the others hear (--broker), with names (--chat), or what
 * all say goes to one side and what it says goes to all (--keep with standard input and output). */
#pragma once

#include "talk/channel.h"
#include "talk/peer.h"

struct hub;

struct hub_options {
    bool chat;      /* each is told who speaks: "<user3> hello", line by line, escaped */
    bool exchange;  /* clients hear one another; false: only `local` and they */
    size_t backlog; /* bytes that may wait for a slow client before it is dropped; 0: 1 MiB */
    /* A client has left; `error` is NULL when it ended by itself. */
    void (*left)(void *user, uint64_t number, const struct error *error, uint64_t received,
                 uint64_t sent);
    /* Sees what clients say and are told by `local`. May be NULL. */
    void (*observe)(void *user, uint64_t number, bool received, const void *bytes, size_t length);
    /* `local` has ended, and all it said is out. May be NULL. */
    void (*local_ended)(void *user);
    void *user;
};

/* `local` is standard input and output, or NULL; taken. A slow `local` holds all clients up
 * (nothing is lost); a slow client holds up nobody and is dropped when `backlog` is full. */
int hub_new(struct loop *loop, struct channel *local, const struct hub_options *options,
            struct hub **ret_hub);
void hub_free(struct hub *hub);

/* Takes the channel. `number` is the caller's, from 1. Returns 0 or -ENOMEM. */
int hub_add(struct hub *hub, struct channel *channel, const struct peer *remote, uint64_t number);
size_t hub_count(const struct hub *hub);
