/* One conversation of `connect`, `listen` or `relay`: a pair of channels, with its view, its
 * records and its exit status. */
#pragma once

#include "cmd/talk_session.h"

struct conversation {
    struct talk *talk;
    uint64_t number; /* in records, from 1; 0: there is only this one */
    bool unseen;     /* the bytes are in no view: the kernel may move them by itself */
    uint64_t idle;   /* nanoseconds; 0: what the options say */
    void (*over)(struct conversation *conversation, enum pair_outcome outcome,
                 const struct error *error); /* called last; may free it */

    struct pair *pair;               /* private from here on */
    uint64_t began;                  /* monotonic */
    uint64_t bytes[PAIR_DIRECTIONS]; /* once it is over */
    bool ours;                       /* what failed was on our side */
    bool seen;                       /* the bytes are in a view */
    bool after_return;               /* of --crlf: the last byte sent was a CR */
    uint64_t returns;                /* of --crlf: how many were put in */
};

/* --crlf: a line end is CR LF on the wire; one that is CR LF already stays as it is.
 * `*after_return` is kept from one piece to the next. */
void talk_convert_to_crlf(bool *after_return, const char *text, size_t length,
                          struct buffer *converted);

/* Joins the two, which it takes also on failure. `local` is what is on our side: standard input and
 * output, a program. over() comes once, after the pair and its channels are freed. Returns 0, or
 * -ENOMEM after a line on stderr. */
int conversation_begin(struct conversation *conversation, struct channel *local,
                       struct channel *remote);

/* Frees it, without over(). Nothing is done when none is there. */
void conversation_release(struct conversation *conversation);

/* The exit status after over(). Says on stderr what failed. */
int conversation_status(const struct conversation *conversation, enum pair_outcome outcome,
                        const struct error *error);
