/* What was said, kept for later or shown as it is said: --record, --hex and --json. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "talk/pair.h"

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

/* Adds the line of a "data" record: {"type":"data","time":…,"direction":"sent"|"received",
 * "length":…,"text":…} where the bytes are printable UTF-8 (with \t, \r and \n), else "base64" in
 * place of "text". `connection` numbers the connections of a listener from 1; 0 leaves it out. */
void transcript_add_data(struct buffer *lines, uint64_t wall, uint64_t connection,
                         enum pair_direction direction, const void *bytes, size_t length);

/* Reads one line back. Returns 0 for a "data" record (the bytes are added to `bytes`), 1 for a
 * record of another type, or -EINVAL with an error that has the column. Lines are hostile. */
struct transcript_data {
    enum pair_direction direction;
    uint64_t wall;
    uint64_t connection;
};
int transcript_read(const char *line, size_t length, struct transcript_data *ret_data,
                    struct buffer *bytes, struct error *error);
