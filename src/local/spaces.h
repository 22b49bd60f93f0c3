/* Network namespaces: our own and, where the rights allow, every other one of this machine. */
#pragma once

#include "local/diag.h"

struct spaces;

/* Finds our own and, with `all`, those that have a name in /run/netns, that Docker keeps, or that a
 * process is in. Each is held until spaces_close(), so that none of them can go meanwhile. Returns
 * 0, or -errno with an error. */
int spaces_open(bool all, struct spaces **ret_spaces, struct error *error);
void spaces_close(struct spaces *spaces);

/* [0] is our own; then those with a name, by it, and the others by inode. */
size_t spaces_count(const struct spaces *spaces);
const struct socket_space *spaces_item(const struct spaces *spaces, size_t index);

/* How many processes and names there are whose namespace could not be seen for want of rights. */
size_t spaces_unseen(const struct spaces *spaces);

/* Runs `call` inside a namespace: in the calling thread where it is our own, else in a thread made
 * for it, so that nothing of this process changes. What it opens stays in there. Returns what
 * `call` returned, or -errno with an error (-EPERM: the namespace may be seen but not entered). */
typedef int space_fn(void *user, size_t index, struct error *error);
int spaces_run(const struct spaces *spaces, size_t index, space_fn *call, void *user,
               struct error *error);

/* Lists the sockets of all of them, which get the same numbers in list->spaces. Those that may not
 * be entered have none there, and are counted in *ret_closed. Returns as diag_list() does, and
 * records as it does; with a tape that is read, `spaces` is not looked at and may be NULL. */
int spaces_list(const struct spaces *spaces, const struct diag_query *query, struct diag_tape *tape,
                struct socket_list *list, size_t *ret_closed, struct error *error);
