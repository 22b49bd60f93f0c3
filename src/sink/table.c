/* Text in columns. */
#include "sink/table.h"

#include <string.h>

void table_release(struct table *table)
{
    buffer_release(&table->cells);
    *table = (struct table){.columns = table->columns};
}

/* How many characters of UTF-8: bytes but for those that continue one. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void table_add(struct table *table, const char *text, const char *style)
{
    size_t *width = &table->widths[table->count % table->columns];
    size_t wanted = text_width(text);
    if (*width < wanted)
        *width = wanted;
    buffer_add(&table->cells, style, strlen(style) + 1);
    buffer_add(&table->cells, text, strlen(text) + 1);
    table->count++;
}

static void print_blanks(struct buffer *buffer, size_t count)
{
    while (count-- > 0)
        buffer_add_character(buffer, ' ');
}

void table_print(struct table *table, struct buffer *buffer)
{
    const char *cell = table->cells.data;
    size_t blanks = 0; /* owed before the next text */
    for (size_t i = 0; i < table->count && !table->cells.failed; i++) {
        const char *style = cell, *text = style + strlen(style) + 1;
        size_t column = i % table->columns;
        cell = text + strlen(text) + 1;
        if (*text) {
            print_blanks(buffer, blanks);
            blanks = 0;
            if (*style)
                buffer_add_format(buffer, "\033[%sm%s\033[0m", style, text);
            else
                buffer_add_text(buffer, text);
        }
        blanks += table->widths[column] - text_width(text) + 2;
        if (column + 1 == table->columns) {
            buffer_add_character(buffer, '\n');
            blanks = 0;
        }
    }
    if (table->cells.failed)
        buffer->failed = true;
    table_release(table);
}
