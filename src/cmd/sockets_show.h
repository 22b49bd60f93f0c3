/* The forms in which sockets are shown. */
#pragma once

#include "cmd/sockets_changes.h"
#include "cmd/sockets_text.h"

/* Standard output: what is added goes out by and by. */
struct sockets_output {
    struct buffer pending;
    bool kept;   /* nothing goes out: the caller takes it from `pending` */
    bool broken; /* stdout cannot be written any more; command_finish() says why */
};

/* Writes what is pending when it is much, or all of it. Returns 0, or -ENOMEM or -EPIPE: there is
 * nobody to go on for. */
int sockets_output_flush(struct sockets_output *output, bool all);

/* ---- lines in columns (sockets_table.c) ---- */

enum sockets_column {
    SOCKETS_SPACE,
    SOCKETS_KIND,
    SOCKETS_STATE,
    SOCKETS_RECEIVE,
    SOCKETS_SEND,
    SOCKETS_BACKLOG,
    SOCKETS_LOCAL,
    SOCKETS_REMOTE,
    SOCKETS_REACH,
    SOCKETS_PROCESS,
    SOCKETS_UNIT,
    SOCKETS_COLUMNS,
};

/* How wide the cells of a column are at most: without what is left out first where the terminal is
 * too narrow, and shortened as far as can be. */
struct sockets_widths {
    size_t bare, least;
};

struct sockets_table {
    struct sockets_output *output;
    bool header, colour, details, started;
    size_t terminal; /* its width in characters; 0: there is none */
    bool shown[SOCKETS_COLUMNS];
    size_t widths[SOCKETS_COLUMNS];
    struct sockets_widths measured[SOCKETS_COLUMNS];
    struct buffer cells; /* of rows that are not printed yet: see sockets_table.c */
    size_t rows;
    struct sockets_users users;
};

/* Chooses the columns, by what is gathered when `sockets` has no `show`. */
void sockets_table_begin(struct sockets_table *table, struct sockets_output *output,
                         const struct sockets *sockets);
int sockets_table_add(struct sockets_table *table, const struct sockets *sockets,
                      const struct socket_entry *entry);
int sockets_table_end(struct sockets_table *table);
void sockets_table_release(struct sockets_table *table);

/* What is known besides, a line each that ends with a newline (sockets_details.c). */
void sockets_add_details(struct buffer *buffer, const struct sockets *sockets,
                         const struct socket_entry *entry, struct sockets_users *users);

/* ---- records (sockets_json.c, sockets_csv.c) ---- */

void sockets_add_json(struct buffer *buffer, const struct sockets *sockets,
                      const struct socket_entry *entry, uint64_t wall, struct sockets_users *users);
/* The same with what has happened to the socket. */
void sockets_add_json_change(struct buffer *buffer, const struct sockets *sockets,
                             const struct socket_entry *entry, const struct sockets_mark *mark,
                             uint64_t wall, struct sockets_users *users);
/* A string that need not be UTF-8: of one that is not, all is escaped. */
void sockets_add_json_text(struct buffer *buffer, const char *text);

void sockets_add_csv_header(struct buffer *buffer);
void sockets_add_csv(struct buffer *buffer, const struct sockets *sockets,
                     const struct socket_entry *entry, struct sockets_users *users);

/* ---- counts (sockets_summary.c) ---- */

/* Returns 0 or -ENOMEM. */
int sockets_add_summary(struct buffer *buffer, const struct sockets *sockets, bool json,
                        uint64_t wall);
