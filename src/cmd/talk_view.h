/* What is shown and kept of a conversation: standard output's dump or records, and --record's file.
 */
#pragma once

#include "base/loop.h"
#include "base/output.h"
#include "cmd/talk_options.h"
#include "talk/transcript.h"

struct talk_view {
    struct output screen; /* standard output, where it has a dump or records */
    struct output file;   /* of --record */
    struct output dump;   /* of ncat's --hex-dump */
    struct output plain;  /* of ncat's --output */
    bool has_screen, has_file, has_dump, has_plain, records;
    struct loop *loop;
    struct timer again; /* set while an output takes no more for now */
    struct hex_view hex, dump_hex;
    struct error error; /* the first output that failed; `code` 0: none */
    bool broken;        /* it was standard output's reader, who is gone */
};

/* Opens what the options name. What an output does not take at once goes there later, by a timer of
 * `loop`, which is stopped when that fails. Returns 0, or -errno with an error. */
int talk_view_open(struct talk_view *view, struct loop *loop, const struct talk_options *options,
                   struct error *error);

/* Does anybody look at the bytes? Else the kernel may move them by itself. */
bool talk_view_looks(const struct talk_view *view);

/* Each returns false once an output has failed: see `error` and `broken`. */
bool talk_view_data(struct talk_view *view, uint64_t number, enum pair_direction direction,
                    const void *bytes, size_t length);
bool talk_view_connection(struct talk_view *view, const struct transcript_connection *connection);
bool talk_view_end(struct talk_view *view, const struct transcript_end *end);
bool talk_view_listening(struct talk_view *view, const struct peer *local, const char *protocol);
bool talk_view_denied(struct talk_view *view, const struct peer *remote, const char *reason);

/* Writes the rest and closes. Returns 0, or -errno with an error. */
int talk_view_close(struct talk_view *view, struct error *error);
