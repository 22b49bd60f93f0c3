/* Cells of a table that is wider than the terminal: what they do without. */
#pragma once

#include "cmd/sockets_show.h"

/* Between the parts of a cell: what is shortened, what never is, and what is left out first. A cell
 * without it has but the first. Texts of others are escaped, so that it is in none. */
#define SOCKETS_PART '\x1f'

/* The rows' layout. */
struct sockets_fit {
    bool shown[SOCKETS_COLUMNS];
    size_t widths[SOCKETS_COLUMNS];
};

/* Characters of UTF-8 in the text. */
size_t sockets_text_width(const char *text, size_t length);

/* How wide the whole cell is; `widths` become those of the widest. */
size_t sockets_cell_measure(const char *cell, enum sockets_column column,
                            struct sockets_widths *widths);

/* `full` are the widths of whole cells. */
void sockets_fit(const struct sockets_table *table, const size_t full[static SOCKETS_COLUMNS],
                 struct sockets_fit *ret_fit);

/* Adds as much of the cell as the width has room for. Returns how wide that is. */
size_t sockets_cell_add(struct buffer *buffer, const char *cell, enum sockets_column column,
                        size_t width);
