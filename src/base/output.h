/* Where results go: a file descriptor that is never waited for while a scan runs.
 *
 * Text is gathered in memory; output_pump() writes as much of it as the descriptor takes at once,
 * and output_finish() waits for the rest. A whole document (XML, say) is written to a temporary
 * file next to its place and renamed into it by output_finish(), so that no reader ever sees half
 * of it. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

struct output {
    struct buffer pending;
    int fd;
    int code;           /* positive errno of the first write that failed; later ones are skipped */
    bool broken;        /* that failure was EPIPE: the reader is gone, which is no error of ours */
    char *path;         /* NULL: standard output */
    char *partial_path; /* where the bytes go before the rename; NULL: written in place */
    size_t written;     /* private: bytes at the start of `pending` that are out already */
    bool regular;       /* private: a regular file, which never keeps a writer waiting */
};

/* Opens `path` ("-" is standard output), `whole` as explained above. Only a regular file of that
 * very name is ever replaced: what a device, a FIFO, a symbolic link or /dev/stdout stands for is
 * written in place. A replaced file keeps its permissions. Returns 0 or -errno.
 *
 * The process must ignore SIGPIPE for `broken` to be seen. */
int output_open(struct output *output, const char *path, bool whole, struct error *error);

/* Writes what can be written without waiting. Waits, until a signal comes, only while more than 16
 * MiB are pending. */
void output_pump(struct output *output);

/* Is something left that the descriptor did not take yet? Nobody but the caller tries again. */
bool output_waits(const struct output *output);

/* Writes the rest, syncs and renames. Returns 0, also when `broken`, or -errno with an error that
 * names the path. */
int output_finish(struct output *output, struct error *error);

/* Closes; an unfinished partial file is removed. */
void output_release(struct output *output);
