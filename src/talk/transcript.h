/* What was said, kept for later or shown as it is said: --record, --hex and --json. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "talk/pair.h"
#include "talk/peer.h"
#include "talk/tls.h"

/* ---- hex ---- */

/* Lines of a dump, as `hexdump -C` has them, with an arrow for the direction in front:
 * "> 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|". Bytes that do
 * not fill a line wait for the next ones only within one call. `offset` counts each direction by
 * itself. */
struct hex_view {
    uint64_t offset[PAIR_DIRECTIONS];
    bool mark; /* with an arrow: ">" is PAIR_FORTH, what we said, "<" what the other side said */
};
void hex_view_add(struct hex_view *view, enum pair_direction direction, const void *bytes,
                  size_t length, struct buffer *lines);

/* ---- records: JSON Lines, docs/records.md ---- */

/* Each adds one line, or marks the buffer as failed. `wall` is clock_wall(); `number` that of a
 * listener's connection, from 1, 0 leaves it out. */

/* {"type":"data","time":…,"direction":"sent"|"received","length":…,"text":…} where the bytes are
 * printable UTF-8 (with \t, \r and \n), else "base64" in place of "text". Each call is judged by
 * itself: a character that was cut in two makes base64 of these two reads. */
void transcript_add_data(struct buffer *lines, uint64_t wall, uint64_t number,
                         enum pair_direction direction, const void *bytes, size_t length);

/* Who talks to whom, from when both are there: TLS and proxies are done. */
struct transcript_connection {
    uint64_t number;
    bool accepted;                     /* they came to us; else we dialled */
    const char *protocol;              /* "tcp", "udp", "tls", "unix" */
    struct peer local;                 /* PEER_NONE leaves it out */
    struct peer remote;                /* the same */
    const char *name;                  /* by which the other side was called; NULL: by none */
    const struct tls_description *tls; /* NULL: none */
};
void transcript_add_connection(struct buffer *lines, uint64_t wall,
                               const struct transcript_connection *connection);

/* How it ended; or that it could not begin, which is PAIR_FAILED without a connection before. */
struct transcript_end {
    uint64_t number;
    enum pair_outcome outcome;
    const struct error *error; /* of PAIR_FAILED; NULL or `code` 0 leaves it out */
    uint64_t sent, received;   /* bytes */
    uint64_t duration;         /* nanoseconds */
};
void transcript_add_end(struct buffer *lines, uint64_t wall, const struct transcript_end *end);

/* An address on which somebody listens now; one who came and was turned away, and why. */
void transcript_add_listening(struct buffer *lines, uint64_t wall, const struct peer *local,
                              const char *protocol);
void transcript_add_denied(struct buffer *lines, uint64_t wall, const struct peer *remote,
                           const char *reason);

/* Reads one line back, with or without its line end. Returns 0 for a "data" record (the bytes are
 * added to `bytes`), 1 for a record of another type, -EINVAL with an error that has the column, or
 * -ENOMEM. Lines are hostile; a `time` and a `length` may be left out by those who write by hand.
 */
struct transcript_data {
    enum pair_direction direction;
    uint64_t wall;   /* 0: not said */
    uint64_t number; /* 0: not said */
};
int transcript_read(const char *line, size_t length, struct transcript_data *ret_data,
                    struct buffer *bytes, struct error *error);

/* What a line of another type says about which side the recorder was. Returns 0 for a "connection"
 * that has a role, 1 for one that does not say, -EINVAL or -ENOMEM. */
struct transcript_role {
    uint64_t number; /* 0: not said */
    bool accepted;   /* they came to us; else we dialled */
};
int transcript_read_role(const char *line, size_t length, struct transcript_role *ret_role,
                         struct error *error);
