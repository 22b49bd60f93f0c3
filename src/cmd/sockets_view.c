/* The live view: what is on the screen, and what keys do. */
#include "cmd/sockets_watch.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/sockets_screen.h"
#include "cmd/sockets_show.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define KEPT (5 * NANOSECONDS_PER_SECOND) /* how long marks are seen */
#define TOP 3                             /* lines above the sockets */
#define PROMPT_SIZE 160
#define SIDESTEP 8 /* columns */

/* The orders that a key goes through; the first is the usual one. */
static const char *const orders[] = {NULL,   "port",     "process", "pid", "state",
                                     "peer", "exposure", "recv",    "send"};
#define ORDERS (sizeof(orders) / sizeof(orders[0]))

struct view {
    const struct sockets_watch *watch;
    struct sockets_look *look;
    struct sockets_screen *screen;
    int signals;               /* descriptor */
    struct sigaction stopping; /* what SIGTSTP did before */
    uint64_t due;
    size_t came, went;   /* since it began */
    size_t top, left;    /* the first line and column that are seen */
    size_t page;         /* how many sockets are */
    size_t order;        /* index into `orders` */
    size_t header_width; /* widths of columns belong to a screen of this width */
    bool shown[SOCKETS_COLUMNS];
    size_t widths[SOCKETS_COLUMNS];
    bool paused, helps, over;
    int status;

    char words[PROMPT_SIZE * 4]; /* the filter's, safe to print */
    bool prompts;
    char accepted[PROMPT_SIZE], typed[PROMPT_SIZE]; /* the filter; what may become one */
    struct error fault;                             /* of what was typed, or of the latest look */
};

/* ---- looking ---- */

static uint64_t kept(const struct view *view)
{
    const uint64_t twice = 2 * view->watch->options->watch + view->look->took;
    return twice > KEPT ? twice : KEPT;
}

static void look_again(struct view *view)
{
    const uint64_t began = clock_monotonic();
    struct error fault = {.column = ERROR_NO_COLUMN};
    int failed = sockets_look_next(view->watch, view->look, kept(view), &fault);
    if (!failed)
        failed = sockets_sort(&view->look->sockets, view->watch->order, &fault);
    view->due = sockets_look_due(view->watch, view->look, began);
    if (failed && !view->prompts)
        view->fault = fault;
    else if (!view->prompts)
        view->fault = (struct error){0};
    for (size_t i = 0; !failed && i < view->look->marks.count; i++) {
        const struct sockets_mark *mark = &view->look->marks.items[i];
        view->came += mark->fresh && mark->change == SOCKETS_CAME;
        view->went += mark->fresh && mark->change == SOCKETS_WENT;
    }
}

/* Something else is looked at: nothing of it came or went. */
static void look_anew(struct view *view)
{
    view->look->there = false;
    view->top = 0;
    memset(view->widths, 0, sizeof(view->widths));
    look_again(view);
    view->came = view->went = 0;
}

static void sort_again(struct view *view)
{
    struct error fault = {.column = ERROR_NO_COLUMN};
    if (sockets_sort(&view->look->sockets, view->watch->order, &fault) != 0)
        view->fault = fault;
}

/* The usual order has no key that could be the other way round; then the list is. */
static const struct socket_entry *entry_at(const struct view *view, size_t index)
{
    const struct sockets *sockets = &view->look->sockets;
    const bool reversed = view->order == 0 && view->watch->order->reversed;
    return sockets_at(sockets, reversed ? sockets->list.count - 1 - index : index);
}

/* ---- the lines above ---- */

static void add_count(struct buffer *line, size_t count, const char *what)
{
    char number[TEXT_NUMBER_SIZE];
    if (count)
        buffer_add_format(line, "  %s %s", text_grouped(count, number), what);
}

static void draw_title(const struct view *view)
{
    size_t states[SOCKET_STATES] = {0}, total = 0, others = 0;
    const struct socket_list *list = &view->look->sockets.list;
    char clock[SOCKETS_CLOCK_SIZE], number[TEXT_NUMBER_SIZE];
    struct buffer line = {0};
    for (size_t i = 0; i < list->count; i++)
        if (view->look->marks.items[i].change != SOCKETS_WENT) {
            total++;
            states[list->entries[i].state % SOCKET_STATES]++;
        }
    others = total - states[SOCKET_LISTEN] - states[SOCKET_ESTABLISHED];
    buffer_add_format(&line, "%s  %s socket%s", sockets_look_clock(view->look, clock),
                      text_grouped(total, number), total == 1 ? "" : "s");
    add_count(&line, states[SOCKET_LISTEN], "LISTEN");
    add_count(&line, states[SOCKET_ESTABLISHED], "ESTABLISHED");
    add_count(&line, others == total ? 0 : others, "others");
    buffer_add_format(&line, "  +%zu", view->came);
    buffer_add_format(&line, " -%zu", view->went);
    if (list->count > view->page)
        buffer_add_format(&line, "  (%zu to %zu of %zu)", view->top + 1,
                          view->top + view->page < list->count ? view->top + view->page
                                                               : list->count,
                          list->count);
    if (view->paused)
        buffer_add_text(&line, "  PAUSED");
    sockets_screen_line(0, line.failed ? "" : line.data, 0, SOCKETS_TITLE);
    buffer_release(&line);
}

static const char *scope_name(const struct view *view)
{
    const struct sockets_options *options = view->watch->options;
    if (options->states.count)
        return "--state";
    switch (view->look->sockets.scope) {
    case SOCKETS_LISTENING:
        return "listening";
    case SOCKETS_CONNECTIONS:
        return "established";
    case SOCKETS_ALL:
        break;
    }
    return "all";
}

static void draw_subject(const struct view *view)
{
    const size_t hidden = view->look->sockets.hidden;
    const char *order = orders[view->order];
    struct buffer line = {0};
    buffer_add_format(&line, "%s, by %s%s", scope_name(view), order ? order : "exposure and port",
                      view->watch->order->reversed ? ", reversed" : "");
    if (view->words[0])
        buffer_add_format(&line, ", filter: %s", view->words);
    if (hidden)
        buffer_add_format(&line, ", owners of %zu unseen%s", hidden,
                          geteuid() == 0 ? "" : " (sudo shows them)");
    if (view->look->sockets.incomplete)
        buffer_add_text(&line, ", perhaps incomplete");
    sockets_screen_line(1, line.failed ? "" : line.data, 0, SOCKETS_PLAIN);
    buffer_release(&line);
}

/* ---- the sockets ---- */

/* Columns do not become narrower while the same is looked at, so that they stay where they are. */
static void keep_widths(struct view *view, struct sockets_table *table)
{
    if (view->header_width != table->terminal ||
        memcmp(view->shown, table->shown, sizeof(view->shown)) != 0)
        memset(view->widths, 0, sizeof(view->widths));
    for (size_t i = 0; i < SOCKETS_COLUMNS; i++)
        if (table->widths[i] < view->widths[i])
            table->widths[i] = view->widths[i];
    memcpy(view->shown, table->shown, sizeof(view->shown));
    view->header_width = table->terminal;
}

/* The rows of the table, with its heading before them. Returns 0 or -ENOMEM. */
static int render(struct view *view, size_t columns, struct buffer *ret_rows)
{
    const struct sockets *sockets = &view->look->sockets;
    struct sockets_output output = {.kept = true};
    struct sockets_table table;
    sockets_table_begin(&table, &output, sockets);
    table.header = true;
    table.colour = false;
    table.terminal = columns > 2 ? columns - 2 : 1;
    keep_widths(view, &table);
    int failed = 0;
    for (size_t i = 0; i < view->page && view->top + i < sockets->list.count && !failed; i++)
        failed = sockets_table_add(&table, sockets, entry_at(view, view->top + i));
    memcpy(view->widths, table.widths, sizeof(view->widths));
    if (!failed)
        failed = sockets_table_end(&table);
    sockets_table_release(&table);
    if (failed)
        buffer_release(&output.pending);
    else
        *ret_rows = output.pending;
    return failed;
}

static void draw_row(const struct view *view, size_t row, const char *text,
                     const struct sockets_mark *mark)
{
    static const struct {
        const char *sign;
        enum sockets_style style;
    } looks[] = {
        [SOCKETS_STAYED] = {"  ", SOCKETS_PLAIN},
        [SOCKETS_CAME] = {"+ ", SOCKETS_GREEN},
        [SOCKETS_WENT] = {"- ", SOCKETS_RED},
        [SOCKETS_CHANGED] = {"~ ", SOCKETS_YELLOW},
    };
    struct buffer line = {0};
    buffer_add_text(&line, looks[mark->change].sign);
    buffer_add_text(&line, text);
    if (mark->change == SOCKETS_CHANGED)
        buffer_add_format(&line, "  (was %s)", socket_state_name((enum socket_state)mark->before));
    if (!line.failed)
        sockets_screen_line(row, line.data, view->left, looks[mark->change].style);
    buffer_release(&line);
}

/* Takes a line off the text, in place. */
static char *take_line(char **text)
{
    char *line = *text;
    const size_t length = strcspn(line, "\n");
    *text = line + length + (line[length] == '\n');
    line[length] = '\0';
    return line;
}

static void draw_sockets(struct view *view, size_t columns)
{
    const size_t count = view->look->sockets.list.count;
    struct buffer rows = {0}, heading = {0};
    size_t row = TOP;
    if (render(view, columns, &rows) == 0 && rows.data) {
        char *text = rows.data;
        buffer_add_text(&heading, "  ");
        buffer_add_text(&heading, take_line(&text));
        if (!heading.failed)
            sockets_screen_line(TOP - 1, heading.data, view->left, SOCKETS_HEADING);
        for (size_t i = view->top; i < count && *text && row < TOP + view->page; i++)
            draw_row(view, row++, take_line(&text),
                     sockets_look_mark(view->look, entry_at(view, i)));
    }
    while (row < TOP + view->page)
        sockets_screen_line(row++, "", 0, SOCKETS_PLAIN);
    buffer_release(&rows);
    buffer_release(&heading);
}

/* ---- the lines below ---- */

/* Before the fault in what was typed stand as many characters. */
static size_t fault_column(const struct error *fault)
{
    char before[sizeof(fault->text)];
    memcpy(before, fault->text, sizeof(before));
    before[fault->column < sizeof(before) ? fault->column : sizeof(before) - 1] = '\0';
    return sockets_screen_width(before);
}

static void draw_prompt(const struct view *view, size_t row, size_t columns)
{
    static const char label[] = "filter: ";
    char line[sizeof(label) + PROMPT_SIZE], caret[sizeof(label) + PROMPT_SIZE + 2];
    snprintf(line, sizeof(line), "%s%s", label, view->typed);
    const size_t width = sockets_screen_width(line);
    const size_t skip = width < columns ? 0 : width + 1 - columns;
    sockets_screen_line(row, line, skip, SOCKETS_TITLE);
    if (view->fault.code) {
        sockets_screen_line(row - 1, view->fault.message, 0, SOCKETS_YELLOW);
        caret[0] = '\0';
        if (view->fault.column != ERROR_NO_COLUMN)
            snprintf(caret, sizeof(caret), "%*s^",
                     (int)(strlen(label) + fault_column(&view->fault)), "");
        sockets_screen_line(row + 1, caret, skip, SOCKETS_YELLOW);
    }
    sockets_screen_show(row, width - skip);
}

static void draw_bottom(const struct view *view, size_t row)
{
    if (view->fault.code)
        sockets_screen_line(row, view->fault.message, 0, SOCKETS_YELLOW);
    else if (view->helps)
        sockets_screen_line(row,
                            "q quit  / filter  a all  l listening  e established  s sort  "
                            "r reverse  n numeric  p pause  h hide this",
                            0, SOCKETS_PLAIN);
    else
        sockets_screen_line(row, "h: what keys do", 0, SOCKETS_PLAIN);
}

/* Not beyond the end. */
static void limit_top(struct view *view)
{
    const size_t count = view->look->sockets.list.count;
    const size_t most = count > view->page ? count - view->page : 0;
    if (view->top > most)
        view->top = most;
}

static void draw(struct view *view)
{
    size_t rows, columns;
    sockets_screen_size(&rows, &columns);
    const size_t below = view->prompts && view->fault.code ? 3 : 1;
    view->page = rows > TOP + below ? rows - TOP - below : 0;
    limit_top(view);
    draw_title(view);
    draw_subject(view);
    draw_sockets(view, columns);
    if (view->prompts) {
        draw_prompt(view, rows - (below == 3 ? 2 : 1), columns);
        return;
    }
    draw_bottom(view, rows - 1);
    sockets_screen_show(SIZE_MAX, 0);
}

/* ---- the filter ---- */

static void set_words(struct view *view, const char *words)
{
    const size_t length = strlen(words);
    const size_t shown = text_escape(words, length, view->words, sizeof(view->words));
    view->accepted[0] = '\0';
    if (length < sizeof(view->accepted) && (shown == length || strchr(words, '\\')))
        memcpy(view->accepted, words, length + 1);
}

static void begin_prompt(struct view *view)
{
    view->prompts = true;
    view->fault = (struct error){0};
    memcpy(view->typed, view->accepted, sizeof(view->typed));
}

static void accept_prompt(struct view *view)
{
    const char *const words[] = {view->typed};
    struct filter *filter = NULL;
    struct error fault = {.column = ERROR_NO_COLUMN};
    if (filter_parse(words, 1, &filter, &fault) != 0) {
        view->fault = fault;
        return;
    }
    filter_free(*view->watch->filter);
    *view->watch->filter = filter;
    set_words(view, view->typed);
    view->prompts = false;
    look_anew(view);
}

/* The last character goes. */
static void shorten(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && ((unsigned char)text[length - 1] & 0xc0) == 0x80)
        length--;
    text[length ? length - 1 : 0] = '\0';
}

/* Adds a character, as UTF-8, when there is room and it can be printed. */
static void lengthen(char text[static PROMPT_SIZE], uint32_t point)
{
    const size_t length = strlen(text);
    char bytes[5] = {0}, escaped[sizeof(bytes) * 4 + 1];
    size_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (count == 1)
        bytes[0] = (char)point;
    for (size_t i = count - 1; count > 1 && i > 0; i--, point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3f));
    if (count > 1)
        bytes[0] = (char)((0xf00 >> count & 0xff) | point);
    const bool printable =
        bytes[0] == '\\' || (text_escape(bytes, count, escaped, sizeof(escaped)) == count &&
                             memcmp(escaped, bytes, count) == 0);
    if (printable && length + count < PROMPT_SIZE)
        memcpy(text + length, bytes, count + 1);
}

static void press_in_prompt(struct view *view, uint32_t key)
{
    if (key == SOCKETS_KEY_ENTER) {
        accept_prompt(view);
        return;
    }
    view->fault = (struct error){0};
    if (key == SOCKETS_KEY_ESCAPE)
        view->prompts = false;
    else if (key == SOCKETS_KEY_BACKSPACE)
        shorten(view->typed);
    else if (key == SOCKETS_KEY_CLEAR)
        view->typed[0] = '\0';
    else if (key < SOCKETS_KEY_UP)
        lengthen(view->typed, key);
}

/* ---- keys ---- */

static void choose_scope(struct view *view, bool all, bool listening, bool established)
{
    struct sockets_options *options = view->watch->options;
    options->all = all;
    options->listening = listening;
    options->established = established;
    options->states.count = 0;
    look_anew(view);
}

static void choose_order(struct view *view)
{
    const bool reversed = view->watch->order->reversed;
    view->order = (view->order + 1) % ORDERS;
    sockets_order_parse(orders[view->order], view->watch->order, NULL);
    view->watch->order->reversed = reversed;
    sort_again(view);
}

static bool scroll(struct view *view, uint32_t key)
{
    const size_t page = view->page ? view->page : 1;
    switch (key) {
    case SOCKETS_KEY_UP:
        view->top -= view->top > 0;
        return true;
    case SOCKETS_KEY_DOWN:
        view->top++;
        return true;
    case SOCKETS_KEY_PAGE_UP:
        view->top -= view->top < page ? view->top : page;
        return true;
    case SOCKETS_KEY_PAGE_DOWN:
    case ' ':
        view->top += page;
        return true;
    case SOCKETS_KEY_HOME:
        view->top = 0;
        return true;
    case SOCKETS_KEY_END:
        view->top = view->look->sockets.list.count;
        return true;
    case SOCKETS_KEY_LEFT:
        view->left -= view->left < SIDESTEP ? view->left : SIDESTEP;
        return true;
    case SOCKETS_KEY_RIGHT:
        view->left += SIDESTEP;
        return true;
    default:
        return false;
    }
}

static void press(struct view *view, uint32_t key)
{
    if (view->prompts) {
        press_in_prompt(view, key);
        return;
    }
    if (scroll(view, key)) {
        limit_top(view); /* here, since keys may come faster than they are drawn */
        return;
    }
    switch (key) {
    case 'q':
        view->over = true;
        break;
    case '/':
        begin_prompt(view);
        break;
    case 'a':
        choose_scope(view, true, false, false);
        break;
    case 'l':
        choose_scope(view, false, true, false);
        break;
    case 'e':
        choose_scope(view, false, false, true);
        break;
    case 's':
        choose_order(view);
        break;
    case 'r':
        view->watch->order->reversed = !view->watch->order->reversed;
        sort_again(view);
        break;
    case 'n':
        view->watch->options->numeric = !view->watch->options->numeric;
        memset(view->widths, 0, sizeof(view->widths));
        break;
    case 'p':
        view->paused = !view->paused;
        break;
    case 'h':
    case '?':
        view->helps = !view->helps;
        break;
    default:
        break;
    }
}

/* ---- signals ---- */

/* Ctrl-Z: the terminal is the shell's while this program is stopped. */
static void stop(struct view *view)
{
    sigset_t set, old;
    struct sigaction ours;
    sockets_screen_leave(view->screen);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaction(SIGTSTP, &view->stopping, &ours);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &set, &old); /* stops here */
    sigprocmask(SIG_SETMASK, &old, NULL);
    sigaction(SIGTSTP, &ours, NULL);
    sockets_screen_resize();
}

static void take_signals(struct view *view)
{
    struct signalfd_siginfo info;
    while (read(view->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGWINCH) {
            sockets_screen_resize();
        } else if (info.ssi_signo == SIGTSTP) {
            stop(view);
        } else {
            view->over = true;
            view->status = EXIT_SIGNAL + (int)info.ssi_signo;
        }
    }
}

/* Is never called: the signal is blocked, and read from a descriptor. */
static void ignore_signal(int number)
{
    (void)number;
}

/* While it draws, ncurses ignores a SIGTSTP that does what is usual, and the kernel forgets one
 * that waits when it becomes ignored: a Ctrl-Z would be lost now and then. One that has a handler
 * is left alone. */
static int open_signals(sigset_t *ret_before, struct sigaction *ret_stopping, int *ret_fd)
{
    const struct sigaction action = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART};
    sigset_t set;
    sigemptyset(&set);
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    sigprocmask(SIG_BLOCK, &set, ret_before);
    sigaction(SIGTSTP, &action, ret_stopping);
    *ret_fd = fd;
    return 0;
}

/* ---- the run ---- */

/* Waits for a key, a signal or the next look. */
static void wait_for_something(struct view *view)
{
    struct pollfd polled[] = {{.fd = sockets_screen_descriptor(view->screen), .events = POLLIN},
                              {.fd = view->signals, .events = POLLIN}};
    const uint64_t now = clock_monotonic();
    const uint64_t left = view->due > now ? (view->due - now) / NANOSECONDS_PER_MILLISECOND + 1 : 0;
    const int most = left < 60000 ? (int)left : 60000;
    if (poll(polled, 2, view->paused ? -1 : most) < 0)
        return;
    if (polled[1].revents)
        take_signals(view);
    if (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
        view->over = true; /* the terminal is gone */
        view->status = EXIT_SIGNAL + SIGHUP;
    }
    for (uint32_t key; !view->over && (key = sockets_screen_key()) != SOCKETS_KEY_NONE;)
        press(view, key);
}

static void watch_screen(struct view *view)
{
    view->due = clock_monotonic() + view->watch->options->watch;
    sort_again(view);
    while (!view->over) {
        draw(view);
        wait_for_something(view);
        if (!view->over && !view->paused && clock_monotonic() >= view->due)
            look_again(view);
    }
}

static void choose_first_order(struct view *view)
{
    const char *asked = view->watch->options->sort;
    for (size_t i = 1; asked && i < ORDERS; i++)
        if (strcmp(orders[i], asked + (asked[0] == '-')) == 0)
            view->order = i;
}

int sockets_view(const struct sockets_watch *watch, struct sockets_look *look)
{
    struct view view = {.watch = watch, .look = look, .helps = true};
    sigset_t before;
    int failed = open_signals(&before, &view.stopping, &view.signals);
    if (failed)
        return -ENOTTY; /* lines will do */
    failed = sockets_screen_open(&view.screen);
    if (!failed) {
        watch->options->one_line = true;
        set_words(&view, watch->words);
        choose_first_order(&view);
        watch_screen(&view);
        sockets_screen_close(view.screen);
    }
    close(view.signals);
    sigaction(SIGTSTP, &view.stopping, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return failed ? -ENOTTY : command_finish(watch->command, view.status);
}
