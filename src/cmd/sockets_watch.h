/* --watch: the sockets, looked at again and again. */
#pragma once

#include "cmd/sockets_changes.h"
#include "cmd/sockets_order.h"

/* What is looked at. Keys change some of the options, the order and the filter. */
struct sockets_watch {
    const struct command *command;
    struct sockets_options *options;
    struct sockets_order *order;
    struct filter **filter;
    const char *words; /* the filter's */
    /* Sets up a zeroed look by what they are now. Returns 0 or -errno with an error. */
    int (*prepare)(void *user, struct sockets *sockets, struct error *error);
    /* Says on stderr what the look may lack. */
    void (*complain)(void *user, const struct sockets *sockets);
    void *user;
};

/* Shows a live view on a terminal, until it is told to end; elsewhere, and with --json, what came,
 * went and changed, one line each. Returns an exit status. */
int sockets_watch(const struct sockets_watch *watch);

/* ---- one look, and what is new since the one before it ---- */

struct sockets_look {
    bool there;
    uint64_t wall, took; /* when it was, how many nanoseconds it took */
    struct sockets sockets;
    struct sockets_marks marks;
};

void sockets_look_release(struct sockets_look *look);

/* Replaces a look by the next one. What went is kept for `keep` nanoseconds. Returns 0, or -errno
 * with an error and the look as it was. */
int sockets_look_next(const struct sockets_watch *watch, struct sockets_look *look, uint64_t keep,
                      struct error *error);

/* When the next one is due, monotonic: what takes long is not done all the time. */
uint64_t sockets_look_due(const struct sockets_watch *watch, const struct sockets_look *look,
                          uint64_t began);

/* The mark of a socket of the look. */
const struct sockets_mark *sockets_look_mark(const struct sockets_look *look,
                                             const struct socket_entry *entry);

#define SOCKETS_CLOCK_SIZE 16
/* "14:03:07", local time. */
const char *sockets_look_clock(const struct sockets_look *look,
                               char text[static SOCKETS_CLOCK_SIZE]);

/* ---- the live view (sockets_view.c) ---- */

/* Shows `look`, and those after it. Returns an exit status; or -ENOTTY when there is no terminal
 * that could show it, and nothing has happened then. */
int sockets_view(const struct sockets_watch *watch, struct sockets_look *look);
