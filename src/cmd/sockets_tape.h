/* Recordings of `sockets`: what of a listing goes there besides the kernel's answers, and comes
 * back. */
#pragma once

#include "cmd/sockets_text.h"

/* ---- recording; nothing happens unless the tape is written ---- */

bool sockets_tape_is_written(const struct sockets *sockets);

/* A recording is asked for everything, whatever is shown meanwhile. */
struct diag_query sockets_tape_query(const struct sockets *sockets);

/* The interfaces of a network namespace, by its number. */
void sockets_tape_put_map(const struct sockets *sockets, uint32_t space);

/* Keeps in mind whose holders (if they are wanted) and which users will be recorded. Returns 0, or
 * -ENOMEM with an error. */
int sockets_tape_note(struct sockets *sockets, const struct socket_entry *entry, bool holders,
                      struct error *error);

/* The users' names, the processes, if they were looked for, and what could not be seen. */
void sockets_tape_put_rest(const struct sockets *sockets);

/* ---- replaying ---- */

/* What was known before the listing: interfaces, and who looked. Returns 0, or -ENOMEM with an
 * error. */
int sockets_tape_begin(struct sockets *sockets, struct error *error);

/* The processes, if the recording has them. */
int sockets_tape_find_owners(struct sockets *sockets, struct error *error);

/* The names of users. Returns 0, or -ENOMEM with an error. */
int sockets_tape_find_users(struct diag_tape *tape, struct sockets_users *users,
                            struct error *error);

bool sockets_tape_has_owners(const struct diag_tape *tape);
