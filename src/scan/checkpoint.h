/* What a killed scan leaves behind: a file from which it goes on.
 *
 * The file begins with a header that says what is scanned and is written in one piece (to a
 * temporary file that is renamed). Then blocks are appended, at most a second apart, each with the
 * records that came since the one before it, the position in the order, and a SipHash over all of
 * it. A last block that was cut off by a crash is left out; a damaged one anywhere else makes the
 * file refused. Reading the blocks from the start gives every record again, so that all outputs of
 * a resumed scan are those of one that was never interrupted. */
#pragma once

#include "base/buffer.h"
#include "scan/scan.h"

struct checkpoint_header {
    const char *const *words; /* the words of the command line, without the program's name */
    size_t word_count;
    uint64_t seed;
    const char *targets;   /* canonical text of the address set: names are not resolved again */
    const char *ports;     /* canonical text of the port set */
    const char *names;     /* text of the name set */
    const char *technique; /* the prober's name; NULL: it is left out */
};

/* What a checkpoint file holds, as read. */
struct checkpoint_data {
    char **words;
    size_t word_count;
    uint64_t seed;
    char *targets, *ports, *names;
    char *technique;             /* NULL in files from before there were several */
    struct port_record *records; /* index, state, reason, from, tries, rtt and time; the address and
                                    port are the plan's to tell */
    size_t record_count;
    struct error_record *errors; /* index, whole_host, code and time */
    size_t error_count;
    struct scan_position position;
    uint64_t chain;  /* hash of that block, which the next one continues */
    uint64_t length; /* bytes of the file up to the end of the last whole block */
};

/* ---- writing ---- */

struct checkpoint {
    int fd;
    char *path;
    struct buffer records; /* of the block to come */
    uint64_t chain;        /* hash of the last block */
    uint64_t written;      /* monotonic time of the last block */
};

/* Creates `path`. A file that is there and not empty is never replaced (-EEXIST): not even a
 * checkpoint, whose scan is unfinished. Returns 0 or -errno with an error. */
int checkpoint_create(struct checkpoint *checkpoint, const char *path,
                      const struct checkpoint_header *header, struct error *error);

/* Opens a file that checkpoint_load() has read, to go on after its last whole block. */
int checkpoint_append(struct checkpoint *checkpoint, const char *path,
                      const struct checkpoint_data *data, struct error *error);

/* Adds to the block to come. Return 0 or -ENOMEM. */
int checkpoint_add_port(struct checkpoint *checkpoint, const struct port_record *record);
int checkpoint_add_error(struct checkpoint *checkpoint, const struct error_record *record);

/* Whether a second has passed since the last block. */
bool checkpoint_due(const struct checkpoint *checkpoint, uint64_t now);

/* Writes the block and syncs it to the disk. Returns 0 or -errno with an error that names the file.
 */
int checkpoint_write(struct checkpoint *checkpoint, const struct scan_position *position,
                     struct error *error);

/* Removes the file, unless it is a device or the like. */
void checkpoint_remove(const struct checkpoint *checkpoint);

void checkpoint_release(struct checkpoint *checkpoint);

/* ---- reading ---- */

/* Reads the whole of a checkpoint's bytes. Pure. Returns 0, -EINVAL with an error that says whether
 * it is no checkpoint, one of another version, or a damaged one and where, or -ENOMEM. */
int checkpoint_parse(const void *bytes, size_t length, struct checkpoint_data *ret_data,
                     struct error *error);

/* The same from a file; errors name it. */
int checkpoint_load(const char *path, struct checkpoint_data *ret_data, struct error *error);

void checkpoint_data_release(struct checkpoint_data *data);
