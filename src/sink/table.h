/* Text in columns, each as wide as its widest cell: rows are gathered first and printed then. */
#pragma once

#include "base/buffer.h"

#define TABLE_COLUMNS 8

/* Zero-initialised but for `columns` is empty. */
struct table {
    unsigned columns; /* at most TABLE_COLUMNS */
    size_t widths[TABLE_COLUMNS];
    struct buffer cells; /* style and text of each, both NUL-terminated */
    size_t count;        /* of cells */
};

void table_release(struct table *table);

/* Adds the next cell, row by row. `style` is the inside of an ANSI escape sequence ("1;32"), or ""
 * for none. The text is printable UTF-8. */
void table_add(struct table *table, const char *text, const char *style);

/* Prints the rows with two blanks between columns and none at the end of a line, and empties the
 * table. When memory ran out, in it or in `buffer`, `buffer->failed` is set. */
void table_print(struct table *table, struct buffer *buffer);
