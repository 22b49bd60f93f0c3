/* Cells of a table that is wider than the terminal. Names of services go first. Then addresses are
 * shortened in their middle, other texts at their ends; but never a port, a process's number, or
 * the mark of what everybody reaches. */
#include "cmd/sockets_fit.h"

#include <string.h>

#define GAP 2        /* blanks between columns */
#define LEAST_TAIL 4 /* of a user's name, lest it looks as if the number before it were cut */
#define ELLIPSIS "…"

enum parts { HEAD, CORE, TAIL, PARTS };

struct part {
    const char *text;
    size_t length, width; /* bytes and characters */
};

/* How a column's cells become shorter. */
struct rule {
    bool cut;          /* they do */
    bool middle;       /* their first part in its middle */
    bool tail_is_cut;  /* the last part, which else goes as a whole */
    size_t least_head; /* of the first part */
};

static const struct rule rules[SOCKETS_COLUMNS] = {
    [SOCKETS_SPACE] = {.cut = true, .least_head = 8},
    [SOCKETS_LOCAL] = {.cut = true, .middle = true, .least_head = 5},
    [SOCKETS_REMOTE] = {.cut = true, .middle = true, .least_head = 5},
    [SOCKETS_REACH] = {.cut = true, .least_head = 8},
    [SOCKETS_PROCESS] = {.cut = true, .tail_is_cut = true, .least_head = 6},
    [SOCKETS_UNIT] = {.cut = true, .least_head = 8},
};

/* Bytes but for those that continue a character. */
size_t sockets_text_width(const char *text, size_t length)
{
    size_t width = 0;
    for (size_t i = 0; i < length; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

/* The bytes of the first `width` characters. */
static size_t prefix_of(const struct part *part, size_t width)
{
    size_t at = 0;
    for (; at < part->length; at++)
        if (((unsigned char)part->text[at] & 0xc0) != 0x80 && width-- == 0)
            break;
    return at;
}

static void split(const char *cell, struct part parts[static PARTS])
{
    static const char mark[] = {SOCKETS_PART, '\0'};
    for (unsigned i = 0; i < PARTS; i++) {
        const size_t length = strcspn(cell, mark);
        parts[i] = (struct part){cell, length, sockets_text_width(cell, length)};
        cell += length + (cell[length] == SOCKETS_PART);
    }
}

static size_t smaller(size_t one, size_t other)
{
    return one < other ? one : other;
}

size_t sockets_cell_measure(const char *cell, enum sockets_column column,
                            struct sockets_widths *widths)
{
    const struct rule *rule = &rules[column];
    struct part parts[PARTS];
    split(cell, parts);
    const size_t shorter = parts[HEAD].width + parts[CORE].width;
    const size_t full = shorter + parts[TAIL].width;
    const size_t bare = rule->tail_is_cut ? full : shorter;
    size_t least = full;
    if (rule->cut)
        least = smaller(parts[HEAD].width, rule->least_head) + parts[CORE].width;
    if (widths->bare < bare)
        widths->bare = bare;
    if (widths->least < least)
        widths->least = least;
    return full;
}

/* ---- columns ---- */

static size_t total_width(const struct sockets_fit *fit)
{
    size_t total = 0;
    for (size_t i = 0; i < SOCKETS_COLUMNS; i++)
        total += fit->shown[i] ? fit->widths[i] + GAP : 0;
    return total ? total - GAP : 0;
}

/* Takes from the widest columns what the terminal has no room for. Returns whether that is enough.
 */
static bool shrink(const struct sockets_table *table, struct sockets_fit *fit)
{
    for (size_t total = total_width(fit); total > table->terminal; total--) {
        size_t widest = SOCKETS_COLUMNS;
        for (size_t i = 0; i < SOCKETS_COLUMNS; i++)
            if (fit->shown[i] && rules[i].cut && fit->widths[i] > table->measured[i].least &&
                (widest == SOCKETS_COLUMNS || fit->widths[i] >= fit->widths[widest]))
                widest = i;
        if (widest == SOCKETS_COLUMNS)
            return false;
        fit->widths[widest]--;
    }
    return true;
}

/* The widths without what goes first. */
static void bare_widths(const struct sockets_table *table, struct sockets_fit *fit)
{
    for (size_t i = 0; i < SOCKETS_COLUMNS; i++)
        if (rules[i].cut && !rules[i].tail_is_cut && fit->widths[i] > table->measured[i].bare)
            fit->widths[i] = table->measured[i].bare;
}

void sockets_fit(const struct sockets_table *table, const size_t full[static SOCKETS_COLUMNS],
                 struct sockets_fit *ret_fit)
{
    memcpy(ret_fit->widths, full, sizeof(ret_fit->widths));
    memcpy(ret_fit->shown, table->shown, sizeof(ret_fit->shown));
    if (table->terminal == 0 || total_width(ret_fit) <= table->terminal)
        return;
    bare_widths(table, ret_fit);
    if (shrink(table, ret_fit))
        return;
    memcpy(ret_fit->widths, full, sizeof(ret_fit->widths));
    bare_widths(table, ret_fit);
    ret_fit->shown[SOCKETS_UNIT] = false;
    shrink(table, ret_fit); /* what is still too wide goes onto a second line */
}

/* ---- cells ---- */

static void add_part(struct buffer *buffer, const struct part *part, size_t width, bool middle)
{
    if (part->width <= width) {
        buffer_add(buffer, part->text, part->length);
        return;
    }
    if (width == 0)
        return;
    const size_t front = middle ? width / 2 : width - 1;
    buffer_add(buffer, part->text, prefix_of(part, front));
    buffer_add_text(buffer, ELLIPSIS);
    const size_t back = prefix_of(part, part->width - (width - 1 - front));
    buffer_add(buffer, part->text + back, part->length - back);
}

size_t sockets_cell_add(struct buffer *buffer, const char *cell, enum sockets_column column,
                        size_t width)
{
    const struct rule *rule = &rules[column];
    struct part parts[PARTS];
    split(cell, parts);
    const size_t core = parts[CORE].width;
    size_t head = parts[HEAD].width, tail = parts[TAIL].width;
    if (head + core + tail > width) {
        const size_t left = width > head + core ? width - head - core : 0;
        tail = rule->tail_is_cut && left >= LEAST_TAIL ? smaller(tail, left) : 0;
    }
    if (head + core > width)
        head = width > core ? width - core : 0;
    add_part(buffer, &parts[HEAD], head, rule->middle);
    buffer_add(buffer, parts[CORE].text, parts[CORE].length);
    add_part(buffer, &parts[TAIL], tail, false);
    return head + core + tail;
}
