/* Programs that speak for a connection: --exec and --shell. */
#pragma once

#include "talk/channel.h"
#include "talk/peer.h"

/* Starts `words` (NULL-terminated; looked up in PATH) or, where `shell` is set, /bin/sh -c `shell`,
 * with `fd` as its standard input and output (taken only as a copy), standard error ours, and the
 * signal mask `mask`. The environment tells who is there: NCAT_REMOTE_ADDR, NCAT_REMOTE_PORT,
 * NCAT_LOCAL_ADDR, NCAT_LOCAL_PORT, NCAT_PROTO. Returns the pid or -errno with an error, also for a
 * program that is not there (the failure of execve() is told). */
pid_t program_start(const char *const *words, const char *shell, int fd, const sigset_t *mask,
                    const struct peer *remote, const struct peer *local, const char *protocol,
                    struct error *error);

/* The same with a channel to it, where the connection has no plain socket: a socket pair. */
int channel_program_new(struct loop *loop, const char *const *words, const char *shell,
                        const struct peer *remote, const struct peer *local, const char *protocol,
                        pid_t *ret_pid, struct channel **ret_channel, struct error *error);

/* Splits "program 'one argument' two" by blanks and quotes, as ncat's --exec does; nothing is
 * expanded. The words are one allocation that the caller frees. Returns 0, -EINVAL, -ENOMEM. */
int program_split(const char *text, char ***ret_words, struct error *error);
