/* Many clients in one room: what one says the others hear (--broker), with names (--chat), or what
 * all say goes to one side and what it says goes to all (--keep with standard input and output). */
#pragma once

#include "base/buffer.h"
#include "talk/channel.h"
#include "talk/peer.h"

struct hub;

/* Who has left, and what there was of it. */
struct hub_departure {
    uint64_t number;
    const struct error *error; /* NULL: it ended by itself */
    uint64_t received, sent;   /* bytes that it said and was told */
    uint64_t duration;         /* nanoseconds */
};

struct hub_options {
    bool chat;      /* each is told who speaks: "<user3> hello", line by line, escaped; `local` is
                       user0. Who comes and goes is announced to those who would hear it speak */
    bool exchange;  /* clients hear one another; false: only `local` and they */
    size_t backlog; /* bytes that may wait for a slow client before it is dropped; 0: 1 MiB */
    uint64_t patience; /* nanoseconds for a client that takes nothing while somebody has to wait for
                          it; 0: 30 s */
    uint64_t idle;     /* nanoseconds in which a client neither says nor is told anything; 0: no
                          limit */

    /* A client has left. */
    void (*left)(void *user, const struct hub_departure *departure);
    /* Passes on what `local` says in another form: adds it to `converted`. NULL: as it is. Not with
     * `chat`. */
    void (*convert)(void *user, const void *bytes, size_t length, struct buffer *converted);
    /* Sees what clients say and are told by `local`. May be NULL. */
    void (*observe)(void *user, uint64_t number, bool received, const void *bytes, size_t length);
    /* `local` has ended, and all it said is out. It is still told things. May be NULL. */
    void (*local_ended)(void *user);
    /* Reading from `local` or writing to it failed: it is gone. May be NULL. */
    void (*local_failed)(void *user, const struct error *error);
    void *user;
};

/* `local` is standard input and output, or NULL; taken, also on failure. Its words wait until there
 * is a client to hear them. A slow `local` holds all clients up: nothing is lost.
 *
 * Whoever speaks is held up by the fastest of those who hear it, not by the others: a client that
 * falls behind them by more than `backlog` is dropped, with an error that says so. So a single
 * client that is slow is waited for, as in a pair. A client that has ended is told what it was to
 * be told before, and leaves.
 *
 * The callbacks left(), local_ended() and local_failed() come from a place where the hub may be
 * freed. Returns 0 or -ENOMEM. */
int hub_new(struct loop *loop, struct channel *local, const struct hub_options *options,
            struct hub **ret_hub);

/* Without left() for those who are there. Where something was still to be told, the client sees a
 * failure (a RST). NULL is allowed. */
void hub_free(struct hub *hub);

/* Takes the channel, also on failure. `number` is the caller's, from 1. Returns 0 or -ENOMEM. */
int hub_add(struct hub *hub, struct channel *channel, const struct peer *remote, uint64_t number);

/* Once `local` has ended there is nothing more to tell the clients: each one, also those who come
 * later, is told so (a half-close) behind what waits for it, and is still heard. Not with
 * `exchange`. */
void hub_shut(struct hub *hub);

/* Those of which left() has not been told. */
size_t hub_count(const struct hub *hub);
