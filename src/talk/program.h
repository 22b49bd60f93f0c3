/* Programs that speak for a connection: --exec and --shell. */
#pragma once

#include "talk/channel.h"
#include "talk/peer.h"

struct program_options {
    const char *const *words; /* NULL-terminated; the first is looked up in PATH. Or NULL, and */
    const char *shell;        /* this is given to /bin/sh -c */

    /* For its environment, as ncat has it: NCAT_REMOTE_ADDR, NCAT_REMOTE_PORT, NCAT_LOCAL_ADDR,
     * NCAT_LOCAL_PORT, NCAT_PROTO. NULL and PEER_NONE: not set. */
    const struct peer *remote, *local;
    const char *protocol; /* "TCP" */
};

/* One that runs: embedded in what it belongs to. Only `exited` is set by its owner, before. */
struct program {
    /* It has ended and is reaped; `status` is waitpid(2)'s. Called from the loop, once; the program
     * may be started again in it. May be NULL. */
    void (*exited)(struct program *program, int status);
    pid_t pid; /* 0: none is running */

    struct loop *loop;  /* private, all three */
    struct watch watch; /* of a pidfd */
    struct timer kill;
};

/* Starts one with `fd` as its standard input and output (a copy; `fd` stays the caller's, who says
 * nothing over it any more) and our standard error. The open file of `fd` is made blocking, because
 * programs expect that, and so is the caller's. It has no other descriptor of ours, the signals'
 * default actions, and loop_child_mask(). It stays in our process group, so that Ctrl-C reaches it.
 * The loop runs on while it does. Returns 0, or -errno with an error, also of execve() for a
 * program that is not there. */
int program_start(struct loop *loop, struct program *program, const struct program_options *options,
                  int fd, struct error *error);

/* The same for a connection that is not a plain socket: with a channel to its input and output.
 * What a program that no longer reads is told is lost, and what it has said itself still comes: so
 * the connection is over when its output is (PAIR_CLOSE). */
int channel_program_new(struct loop *loop, struct program *program,
                        const struct program_options *options, struct channel **ret_channel,
                        struct error *error);

/* Its time is over: SIGTERM, and `patience` nanoseconds later SIGKILL. What it has started itself
 * is left alone. exited() follows. Nothing is done when none is running. */
void program_end(struct program *program, uint64_t patience);

/* Takes it out of the loop without exited(). One that is running goes on alone, and stays a zombie
 * until this process ends. A zeroed struct is allowed. */
void program_release(struct program *program);

/* Splits "program 'one argument' two" at blanks, as ncat's --exec does: nothing is expanded, within
 * '…' everything stands for itself, within "…" a backslash takes the meaning from a quote or a
 * backslash, elsewhere from anything. The words are one allocation that the caller frees. Returns
 * 0, -EINVAL with an error that has the column, or -ENOMEM. */
int program_split(const char *text, char ***ret_words, struct error *error);
