/* Sockets in columns, each as wide as its widest cell: rows are gathered until there are many, and
 * printed then. Where a terminal is too narrow for them, sockets_fit.c makes them shorter. */
#include "cmd/sockets_fit.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MANY_BYTES ((size_t)128 << 10)
#define GAP 2 /* blanks between columns */
#define WRITE_SIZE ((size_t)64 << 10)

/* ---- output ---- */

int sockets_output_flush(struct sockets_output *output, bool all)
{
    struct buffer *pending = &output->pending;
    if (pending->failed)
        return -ENOMEM;
    if (output->kept)
        return 0;
    if (pending->length >= (all ? 1 : WRITE_SIZE)) {
        output->broken |= fwrite(pending->data, 1, pending->length, stdout) != pending->length;
        buffer_clear(pending);
    }
    return output->broken ? -EPIPE : 0;
}

/* ---- columns ---- */

struct column {
    const char *heading;
    bool right; /* numbers */
};

static const struct column columns[SOCKETS_COLUMNS] = {
    [SOCKETS_SPACE] = {.heading = "NAMESPACE"},
    [SOCKETS_KIND] = {.heading = "PROTO"},
    [SOCKETS_STATE] = {.heading = "STATE"},
    [SOCKETS_RECEIVE] = {.heading = "RECV-Q", .right = true},
    [SOCKETS_SEND] = {.heading = "SEND-Q", .right = true},
    [SOCKETS_BACKLOG] = {.heading = "BACKLOG"},
    [SOCKETS_LOCAL] = {.heading = "LOCAL"},
    [SOCKETS_REMOTE] = {.heading = "PEER"},
    [SOCKETS_REACH] = {.heading = "REACHED BY"},
    [SOCKETS_PROCESS] = {.heading = "PROCESS"},
    [SOCKETS_UNIT] = {.heading = "UNIT"},
};

/* Its queues hold connections, not bytes. */
static bool has_backlog(const struct socket_entry *entry)
{
    return entry->state == SOCKET_LISTEN;
}

/* What some row has to say. */
static void look_at_rows(struct sockets_table *table, const struct sockets *sockets)
{
    bool *shown = table->shown;
    for (size_t i = 0; i < sockets->list.count; i++) {
        const struct socket_entry *entry = &sockets->list.entries[i];
        if (has_backlog(entry)) {
            shown[SOCKETS_BACKLOG] |= entry->receive_queue != 0;
        } else {
            shown[SOCKETS_RECEIVE] |= entry->receive_queue != 0;
            shown[SOCKETS_SEND] |= entry->send_queue != 0;
        }
        size_t others;
        const struct process *process = sockets_holder(sockets, entry, &others);
        shown[SOCKETS_UNIT] |= process && (process->unit || process->container);
    }
}

/* Where it is only by the words of a filter that there may be connections, and there are none, the
 * columns are those of what listens. While one looks on they stay as they are. */
static bool shows_waiting(const struct sockets *sockets)
{
    const struct socket_list *list = &sockets->list;
    if (sockets->only_waiting)
        return true;
    if (!sockets->by_words || sockets->named || sockets->show || sockets->options->watch)
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!sockets_is_listening(&list->entries[i]))
            return false;
    return list->count > 0;
}

static void choose_columns(struct sockets_table *table, const struct sockets *sockets)
{
    const struct sockets_options *options = sockets->options;
    bool *shown = table->shown;
    shown[SOCKETS_KIND] = shown[SOCKETS_LOCAL] = true;
    shown[SOCKETS_SPACE] = sockets->every_space || sockets->list.space_count > 1;
    shown[SOCKETS_REACH] = shows_waiting(sockets);
    shown[SOCKETS_REMOTE] = !shown[SOCKETS_REACH];
    shown[SOCKETS_STATE] = shown[SOCKETS_REMOTE] || options->bound_inactive;
    shown[SOCKETS_PROCESS] = sockets->has_owners;
    if (sockets->show)
        shown[SOCKETS_RECEIVE] = shown[SOCKETS_SEND] = true;
    else
        look_at_rows(table, sockets);
    if (options->memory || options->verbose) {
        shown[SOCKETS_RECEIVE] = shown[SOCKETS_SEND] = true;
        shown[SOCKETS_BACKLOG] = true;
    }
    shown[SOCKETS_RECEIVE] |= shown[SOCKETS_SEND];
    shown[SOCKETS_SEND] |= shown[SOCKETS_RECEIVE];
    if (options->no_queues)
        shown[SOCKETS_RECEIVE] = shown[SOCKETS_SEND] = shown[SOCKETS_BACKLOG] = false;
}

static size_t terminal_width(void)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

/* Colour is for people: a terminal, and nobody who said NO_COLOR (no-color.org). */
static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
}

void sockets_table_begin(struct sockets_table *table, struct sockets_output *output,
                         const struct sockets *sockets)
{
    const struct sockets_options *options = sockets->options;
    *table = (struct sockets_table){
        .output = output,
        .header = !options->no_header,
        .colour = wants_colour(),
        .terminal = terminal_width(),
        .details = options->verbose || options->extended || options->timers ||
                   options->information || options->memory,
    };
    choose_columns(table, sockets);
    for (size_t i = 0; i < SOCKETS_COLUMNS; i++)
        table->widths[i] = table->shown[i] && table->header ? strlen(columns[i].heading) : 0;
}

void sockets_table_release(struct sockets_table *table)
{
    buffer_release(&table->cells);
    sockets_users_release(&table->users);
}

/* ---- printing ---- */

static void add_blanks(struct buffer *buffer, size_t count)
{
    static const char blanks[] = "                                ";
    for (; count > sizeof(blanks) - 1; count -= sizeof(blanks) - 1)
        buffer_add(buffer, blanks, sizeof(blanks) - 1);
    buffer_add(buffer, blanks, count);
}

/* Prints a cell into a column of this width. `owed` are blanks before the next text, so that none
 * stand at the end of a line. Where there is no terminal all cells fit, and none has parts. */
static void print_cell(const struct sockets_table *table, const char *text, const char *style,
                       enum sockets_column column, size_t width, size_t *owed)
{
    struct buffer *buffer = &table->output->pending;
    const bool right = columns[column].right;
    const size_t length = strlen(text);
    size_t printed;
    if (length == 0) {
        *owed += width + GAP;
        return;
    }
    add_blanks(buffer, *owed + (right && length < width ? width - length : 0));
    if (*style)
        buffer_add_format(buffer, "\033[%sm", style);
    if (table->terminal) {
        printed = sockets_cell_add(buffer, text, column, width);
    } else {
        buffer_add(buffer, text, length);
        printed = sockets_text_width(text, length);
    }
    if (*style)
        buffer_add_text(buffer, "\033[0m");
    *owed = GAP + (right || printed > width ? 0 : width - printed);
}

static void print_header(const struct sockets_table *table, const struct sockets_fit *fit)
{
    size_t owed = 0;
    for (size_t i = 0; i < SOCKETS_COLUMNS; i++)
        if (fit->shown[i])
            print_cell(table, columns[i].heading, table->colour ? "1" : "", (enum sockets_column)i,
                       fit->widths[i], &owed);
    buffer_add_character(&table->output->pending, '\n');
}

/* `cells` are the bytes that sockets_table_add() wrote: for each row one byte that says whether it
 * is exposed; the texts of the columns that are shown, each with a NUL; and the details, with one.
 */
static int print_rows(struct sockets_table *table)
{
    struct buffer *buffer = &table->output->pending;
    struct sockets_fit fit;
    const char *cell = table->cells.data;
    if (table->cells.failed)
        return -ENOMEM;
    sockets_fit(table, table->widths, &fit);
    if (!table->started && table->header)
        print_header(table, &fit);
    table->started = true;
    for (size_t row = 0; row < table->rows; row++) {
        const bool exposed = *cell++;
        size_t owed = 0;
        for (size_t i = 0; i < SOCKETS_COLUMNS; i++) {
            if (!table->shown[i])
                continue;
            const char *style = table->colour && exposed && i == SOCKETS_REACH ? "33" : "";
            if (fit.shown[i])
                print_cell(table, cell, style, (enum sockets_column)i, fit.widths[i], &owed);
            cell += strlen(cell) + 1;
        }
        const size_t details = strlen(cell);
        buffer_add(buffer, cell, details);
        buffer_add_character(buffer, '\n');
        cell += details + 1;
        const int failed = sockets_output_flush(table->output, false);
        if (failed)
            return failed;
    }
    buffer_clear(&table->cells);
    table->rows = 0;
    return 0;
}

int sockets_table_end(struct sockets_table *table)
{
    const int failed = print_rows(table);
    return failed ? failed : sockets_output_flush(table->output, true);
}

/* ---- rows ---- */

static void add_queues(struct buffer *cells, const struct socket_entry *entry,
                       enum sockets_column column)
{
    if (column == SOCKETS_BACKLOG) {
        if (has_backlog(entry) && entry->send_queue)
            buffer_add_format(cells, "%u of %u", entry->receive_queue, entry->send_queue);
        else if (has_backlog(entry))
            sockets_add_number(cells, entry->receive_queue);
    } else {
        sockets_add_number(cells,
                           column == SOCKETS_RECEIVE ? entry->receive_queue : entry->send_queue);
    }
}

/* Parts the cell that begins at `start` before the byte at `at`. */
static void part_cell(struct buffer *cells, size_t at)
{
    buffer_add_character(cells, SOCKETS_PART);
    if (cells->failed)
        return;
    memmove(cells->data + at + 1, cells->data + at, cells->length - 1 - at);
    cells->data[at] = SOCKETS_PART;
}

/* The last one of these characters in the cell; its end when there is none. */
static size_t find_last(const struct buffer *cells, size_t start, char character)
{
    for (size_t at = cells->length; at-- > start;)
        if (cells->data[at] == character)
            return at;
    return cells->length;
}

/* An end of the socket, with its port and its service as parts of their own. */
static void add_end(struct sockets_table *table, const struct sockets *sockets,
                    const struct socket_entry *entry, enum sockets_column column)
{
    struct buffer *cells = &table->cells;
    const bool local = column == SOCKETS_LOCAL, is_unix = entry->family == ADDRESS_NONE;
    const bool parts = table->terminal != 0, numeric = parts || sockets->options->numeric;
    const size_t start = cells->length;
    (local ? sockets_add_local : sockets_add_remote)(cells, sockets, entry, numeric);
    if (!parts || cells->failed || (is_unix && local))
        return;
    size_t core = find_last(cells, start, is_unix ? ' ' : ':');
    if (core > start && cells->data[core - 1] == ']')
        core--;
    part_cell(cells, core);
    const char *service = local ? sockets_local_service(entry) : sockets_remote_service(entry);
    if (!is_unix && service && !sockets->options->numeric)
        buffer_add_format(cells, "%c (%s)", SOCKETS_PART, service);
}

static void add_cell(struct sockets_table *table, const struct sockets *sockets,
                     const struct socket_entry *entry, enum sockets_column column, bool *exposed)
{
    struct buffer *cells = &table->cells;
    const size_t start = cells->length;
    const char part[] = {table->terminal ? SOCKETS_PART : '\0', '\0'};
    size_t others;
    const struct process *process;
    switch (column) {
    case SOCKETS_SPACE:
        sockets_add_space(cells, sockets, entry);
        break;
    case SOCKETS_KIND:
        buffer_add_text(cells, socket_kind_name((enum socket_kind)entry->kind));
        break;
    case SOCKETS_STATE:
        buffer_add_text(cells, socket_state_name((enum socket_state)entry->state));
        break;
    case SOCKETS_RECEIVE:
    case SOCKETS_SEND:
        if (has_backlog(entry) && !sockets->show)
            break;
        /* fall through */
    case SOCKETS_BACKLOG:
        add_queues(cells, entry, column);
        break;
    case SOCKETS_LOCAL:
    case SOCKETS_REMOTE:
        add_end(table, sockets, entry, column);
        break;
    case SOCKETS_REACH:
        sockets_add_reach(cells, sockets, entry, exposed);
        if (*exposed && table->terminal)
            part_cell(cells, start); /* the mark, and what it means, stay whole */
        break;
    case SOCKETS_PROCESS:
        sockets_add_process(cells, sockets, entry, &table->users, part);
        break;
    case SOCKETS_UNIT:
        process = sockets_holder(sockets, entry, &others);
        if (process)
            sockets_add_unit(cells, process);
        break;
    case SOCKETS_COLUMNS:
        break;
    }
}

/* On one line they are behind one another; else each has a line below. */
static void add_details(struct sockets_table *table, const struct sockets *sockets,
                        const struct socket_entry *entry)
{
    const char *before = sockets->options->one_line ? "  " : "\n    ";
    struct buffer lines = {0};
    if (table->details)
        sockets_add_details(&lines, sockets, entry, &table->users);
    for (const char *line = lines.data; line && *line;) {
        const size_t length = strcspn(line, "\n");
        buffer_add_text(&table->cells, before);
        buffer_add(&table->cells, line, length);
        line += length + (line[length] == '\n');
    }
    table->cells.failed |= lines.failed;
    buffer_release(&lines);
}

int sockets_table_add(struct sockets_table *table, const struct sockets *sockets,
                      const struct socket_entry *entry)
{
    struct buffer *cells = &table->cells;
    const size_t start = cells->length;
    bool exposed = false;
    buffer_add_character(cells, 0);
    for (size_t i = 0; i < SOCKETS_COLUMNS; i++) {
        if (!table->shown[i])
            continue;
        const size_t at = cells->length;
        add_cell(table, sockets, entry, (enum sockets_column)i, &exposed);
        buffer_add_character(cells, '\0');
        if (cells->failed)
            return -ENOMEM;
        const char *cell = cells->data + at;
        const size_t wide = table->terminal ? sockets_cell_measure(cell, (enum sockets_column)i,
                                                                   &table->measured[i])
                                            : sockets_text_width(cell, cells->length - 1 - at);
        if (table->widths[i] < wide)
            table->widths[i] = wide;
    }
    add_details(table, sockets, entry);
    buffer_add_character(cells, '\0');
    if (cells->failed)
        return -ENOMEM;
    cells->data[start] = exposed;
    table->rows++;
    return cells->length >= MANY_BYTES ? print_rows(table) : 0;
}
