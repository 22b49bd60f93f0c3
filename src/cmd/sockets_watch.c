/* Looking again and again, and where there is no terminal: lines and records of what is new. */
#include "cmd/sockets_watch.h"

#include "base/clock.h"
#include "cmd/sockets_show.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- looks ---- */

void sockets_look_release(struct sockets_look *look)
{
    sockets_release(&look->sockets);
    sockets_marks_release(&look->marks);
    *look = (struct sockets_look){0};
}

int sockets_look_next(const struct sockets_watch *watch, struct sockets_look *look, uint64_t keep,
                      struct error *error)
{
    struct sockets_look next = {.there = true, .wall = clock_wall()};
    const uint64_t began = clock_monotonic();
    socket_list_init(&next.sockets.list);
    int failed = watch->prepare(watch->user, &next.sockets, error);
    if (!failed)
        failed = sockets_gather(&next.sockets, error);
    if (!failed)
        failed = sockets_changes_find(look->there ? &look->sockets : NULL, &look->marks,
                                      &next.sockets, began, keep, &next.marks, error);
    next.took = clock_monotonic() - began;
    sockets_look_release(failed ? &next : look);
    if (!failed)
        *look = next;
    return failed;
}

uint64_t sockets_look_due(const struct sockets_watch *watch, const struct sockets_look *look,
                          uint64_t began)
{
    const uint64_t wanted = began + watch->options->watch, rested = began + 2 * look->took;
    return wanted > rested ? wanted : rested;
}

const struct sockets_mark *sockets_look_mark(const struct sockets_look *look,
                                             const struct socket_entry *entry)
{
    return &look->marks.items[entry - look->sockets.list.entries];
}

const char *sockets_look_clock(const struct sockets_look *look,
                               char text[static SOCKETS_CLOCK_SIZE])
{
    const time_t seconds = (time_t)(look->wall / NANOSECONDS_PER_SECOND);
    struct tm parts;
    text[0] = '\0';
    if (localtime_r(&seconds, &parts))
        strftime(text, SOCKETS_CLOCK_SIZE, "%H:%M:%S", &parts);
    return text;
}

/* ---- lines ---- */

struct lines {
    const struct sockets_watch *watch;
    struct sockets_look look;
    struct sockets_output output;
    struct sockets_output rows; /* of the table, before they get their marks */
    struct sockets_table table;
    struct sockets_users users; /* of records */
    bool started;
};

/* The first look shows all that is there, the others what is new. */
static bool is_told(const struct lines *lines, const struct socket_entry *entry)
{
    return !lines->started || sockets_look_mark(&lines->look, entry)->fresh;
}

static void add_records(struct lines *lines)
{
    const struct sockets *sockets = &lines->look.sockets;
    for (size_t i = 0; i < sockets->list.count; i++) {
        const struct socket_entry *entry = sockets_at(sockets, i);
        if (is_told(lines, entry))
            sockets_add_json_change(&lines->output.pending, sockets, entry,
                                    sockets_look_mark(&lines->look, entry), lines->look.wall,
                                    &lines->users);
    }
}

/* Adds a row of the table with what the mark says before and behind it. Returns what follows it. */
static const char *add_row(struct lines *lines, const char *row, const struct sockets_mark *mark)
{
    static const char signs[] = {[SOCKETS_STAYED] = ' ',
                                 [SOCKETS_CAME] = '+',
                                 [SOCKETS_WENT] = '-',
                                 [SOCKETS_CHANGED] = '~'};
    struct buffer *buffer = &lines->output.pending;
    const size_t length = strcspn(row, "\n");
    char clock[SOCKETS_CLOCK_SIZE];
    buffer_add_format(buffer, "%c %-8s  ", mark ? signs[mark->change] : ' ',
                      mark ? sockets_look_clock(&lines->look, clock) : "TIME");
    buffer_add(buffer, row, length);
    if (mark && mark->change == SOCKETS_CHANGED)
        buffer_add_format(buffer, "  (was %s)", socket_state_name((enum socket_state)mark->before));
    buffer_add_character(buffer, '\n');
    return row + length + (row[length] == '\n');
}

/* The columns are those of the first look, and never become narrower. */
static void begin_table(struct lines *lines)
{
    sockets_table_begin(&lines->table, &lines->rows, &lines->look.sockets);
    lines->table.colour = false;
    lines->table.terminal = 0;
}

static int add_lines(struct lines *lines)
{
    const struct sockets *sockets = &lines->look.sockets;
    struct sockets_table *table = &lines->table;
    int failed = 0;
    if (!lines->started)
        begin_table(lines);
    const bool header = !table->started && table->header;
    for (size_t i = 0; i < sockets->list.count && !failed; i++)
        if (is_told(lines, sockets_at(sockets, i)))
            failed = sockets_table_add(table, sockets, sockets_at(sockets, i));
    if (!failed)
        failed = sockets_table_end(table);
    const char *row = lines->rows.pending.data;
    if (failed || !row)
        return failed;
    if (header && *row)
        row = add_row(lines, row, NULL);
    for (size_t i = 0; i < sockets->list.count && *row; i++)
        if (is_told(lines, sockets_at(sockets, i)))
            row = add_row(lines, row, sockets_look_mark(&lines->look, sockets_at(sockets, i)));
    buffer_clear(&lines->rows.pending);
    lines->rows.pending.data[0] = '\0';
    return 0;
}

static bool has_news(const struct lines *lines)
{
    bool news = !lines->started;
    for (size_t i = 0; i < lines->look.marks.count && !news; i++)
        news = lines->look.marks.items[i].fresh;
    return news;
}

static int tell(struct lines *lines, struct error *error)
{
    int failed = 0;
    if (has_news(lines))
        failed = sockets_sort(&lines->look.sockets, lines->watch->order, error);
    if (failed)
        return failed;
    if (!has_news(lines))
        return 0;
    if (lines->watch->options->json)
        add_records(lines);
    else
        failed = add_lines(lines);
    if (!failed)
        failed = sockets_output_flush(&lines->output, true);
    lines->output.broken |= fflush(stdout) != 0;
    lines->started = true;
    return failed == -ENOMEM ? error_set(error, ENOMEM, "out of memory") : failed;
}

/* Waits until it is due, or until nobody reads any more. */
static void wait_until(struct lines *lines, uint64_t due)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    for (uint64_t now; !lines->output.broken && (now = clock_monotonic()) < due;) {
        const uint64_t left = (due - now) / NANOSECONDS_PER_MILLISECOND + 1;
        const int ready = poll(&reader, 1, left < 60000 ? (int)left : 60000);
        lines->output.broken = ready > 0 && reader.revents & (POLLERR | POLLNVAL);
    }
}

/* Until the reader or a signal ends it. */
static int tell_all(struct lines *lines, struct error *error)
{
    for (;;) {
        const uint64_t began = clock_monotonic();
        int failed = 0;
        if (lines->started)
            failed = sockets_look_next(lines->watch, &lines->look, 0, error);
        if (!failed)
            failed = tell(lines, error);
        if (!failed)
            wait_until(lines, sockets_look_due(lines->watch, &lines->look, began));
        if (failed || lines->output.broken)
            return failed;
    }
}

static int watch_lines(const struct sockets_watch *watch, struct sockets_look *first)
{
    struct lines lines = {.watch = watch, .look = *first, .rows.kept = true};
    struct error error = {.column = ERROR_NO_COLUMN};
    *first = (struct sockets_look){0};
    watch->complain(watch->user, &lines.look.sockets);
    watch->options->one_line = true;
    const int failed = tell_all(&lines, &error);
    if (failed && !lines.output.broken)
        command_complain(watch->command, &error);
    sockets_look_release(&lines.look);
    buffer_release(&lines.output.pending);
    buffer_release(&lines.rows.pending);
    sockets_table_release(&lines.table);
    sockets_users_release(&lines.users);
    return command_finish(watch->command,
                          lines.output.broken ? EXIT_SIGNAL + SIGPIPE : EXIT_TROUBLE);
}

int sockets_watch(const struct sockets_watch *watch)
{
    struct sockets_look look = {0};
    struct error error = {.column = ERROR_NO_COLUMN};
    const int failed = sockets_look_next(watch, &look, 0, &error);
    if (failed) {
        command_complain(watch->command, &error);
        return EXIT_TROUBLE;
    }
    int status = -ENOTTY;
    if (!watch->options->json && isatty(STDOUT_FILENO))
        status = sockets_view(watch, &look);
    if (status < 0)
        status = watch_lines(watch, &look);
    sockets_look_release(&look);
    return status;
}
