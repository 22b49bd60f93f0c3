/* ncurses, with whatever of it is not needed left out. */
#include "cmd/sockets_screen.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
#include <curses.h>

#define COLUMNS_MAXIMUM 1024
#define ESCAPE_WAIT 25 /* milliseconds in which what follows an escape character makes it a key */

struct sockets_screen {
    SCREEN *screen;
    FILE *keys; /* of the terminal, where standard input is none */
};

/* ---- taking and giving back ---- */

/* What is shown is UTF-8, whatever the locale says. */
static void choose_characters(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static FILE *open_keys(void)
{
    const int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    FILE *keys = fd >= 0 ? fdopen(fd, "r+") : NULL;
    if (fd >= 0 && !keys)
        close(fd);
    return keys;
}

static void begin_colours(void)
{
    const char *no_colour = getenv("NO_COLOR");
    if ((no_colour && *no_colour) || !has_colors() || start_color() == ERR)
        return;
    use_default_colors();
    init_pair(SOCKETS_GREEN, COLOR_GREEN, -1);
    init_pair(SOCKETS_RED, COLOR_RED, -1);
    init_pair(SOCKETS_YELLOW, COLOR_YELLOW, -1);
}

static bool has_screen(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

int sockets_screen_open(struct sockets_screen **ret_screen)
{
    if (!has_screen())
        return -ENOTTY;
    struct sockets_screen *screen = calloc(1, sizeof(*screen));
    if (!screen)
        return -ENOMEM;
    choose_characters();
    const bool own_keys = !isatty(STDIN_FILENO);
    if (own_keys)
        screen->keys = open_keys();
    if (!own_keys || screen->keys) /* else nobody could ever press one */
        screen->screen = newterm(NULL, stdout, own_keys ? screen->keys : stdin);
    if (!screen->screen) {
        if (screen->keys)
            fclose(screen->keys);
        free(screen);
        return -ENOTTY;
    }
    set_escdelay(ESCAPE_WAIT);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    leaveok(stdscr, FALSE);
    begin_colours();
    *ret_screen = screen;
    return 0;
}

void sockets_screen_close(struct sockets_screen *screen)
{
    endwin();
    delscreen(screen->screen);
    if (screen->keys)
        fclose(screen->keys);
    free(screen);
}

void sockets_screen_leave(struct sockets_screen *screen)
{
    (void)screen;
    endwin();
}

int sockets_screen_descriptor(const struct sockets_screen *screen)
{
    return screen->keys ? fileno(screen->keys) : STDIN_FILENO;
}

void sockets_screen_size(size_t *ret_rows, size_t *ret_columns)
{
    *ret_rows = (size_t)getmaxy(stdscr);
    *ret_columns = (size_t)getmaxx(stdscr);
}

void sockets_screen_resize(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
        resizeterm(size.ws_row, size.ws_col);
    clearok(stdscr, TRUE);
}

/* ---- drawing ---- */

/* Takes a character off the text. What has no place of its own on a screen becomes a question mark,
 * so that nothing but what is drawn reaches the terminal. */
static wchar_t take_character(const char **text, size_t *ret_width)
{
    uint32_t point;
    size_t length = text_decode(*text, strlen(*text), &point);
    int width = length ? wcwidth((wchar_t)point) : -1;
    if (length == 0)
        length = 1;
    if (width < 0) {
        point = '?';
        width = 1;
    }
    *text += length;
    *ret_width = (size_t)width;
    return (wchar_t)point;
}

size_t sockets_screen_width(const char *text)
{
    size_t total = 0;
    while (*text) {
        size_t width;
        take_character(&text, &width);
        total += width;
    }
    return total;
}

static attr_t style_attributes(enum sockets_style style)
{
    switch (style) {
    case SOCKETS_TITLE:
        return A_BOLD;
    case SOCKETS_HEADING:
        return A_REVERSE;
    case SOCKETS_GREEN:
        return A_BOLD;
    case SOCKETS_RED:
        return A_DIM;
    case SOCKETS_YELLOW:
    case SOCKETS_PLAIN:
        break;
    }
    return A_NORMAL;
}

/* What of the text is between two columns, filled up with blanks. */
static size_t cut_text(const char *text, size_t skip, size_t columns,
                       wchar_t cut[static COLUMNS_MAXIMUM])
{
    size_t count = 0, column = 0;
    while (*text && count < COLUMNS_MAXIMUM) {
        size_t width;
        const wchar_t character = take_character(&text, &width);
        if (column + width > skip + columns)
            break;
        if (column >= skip && (width > 0 || count > 0))
            cut[count++] = character;
        else if (column < skip && column + width > skip) /* half of a wide one */
            cut[count++] = L' ';
        column += width;
    }
    for (size_t used = column > skip ? column - skip : 0; used < columns && count < COLUMNS_MAXIMUM;
         used++)
        cut[count++] = L' ';
    return count;
}

void sockets_screen_line(size_t row, const char *text, size_t skip, enum sockets_style style)
{
    wchar_t cut[COLUMNS_MAXIMUM];
    size_t rows, columns;
    sockets_screen_size(&rows, &columns);
    if (row >= rows)
        return;
    const size_t count = cut_text(text, skip, columns, cut);
    const short pair = style >= SOCKETS_GREEN ? (short)style : 0;
    wmove(stdscr, (int)row, 0);
    wclrtoeol(stdscr);
    wattr_set(stdscr, style_attributes(style), pair, NULL);
    mvwaddnwstr(stdscr, (int)row, 0, cut, (int)count);
    wattr_set(stdscr, A_NORMAL, 0, NULL);
}

void sockets_screen_show(size_t row, size_t column)
{
    curs_set(row == SIZE_MAX ? 0 : 1);
    wmove(stdscr, row == SIZE_MAX ? 0 : (int)row, row == SIZE_MAX ? 0 : (int)column);
    wrefresh(stdscr);
}

/* ---- keys ---- */

static uint32_t known_key(wint_t code)
{
    static const struct {
        int code;
        enum sockets_key key;
    } keys[] = {
        {KEY_UP, SOCKETS_KEY_UP},         {KEY_DOWN, SOCKETS_KEY_DOWN},
        {KEY_LEFT, SOCKETS_KEY_LEFT},     {KEY_RIGHT, SOCKETS_KEY_RIGHT},
        {KEY_PPAGE, SOCKETS_KEY_PAGE_UP}, {KEY_NPAGE, SOCKETS_KEY_PAGE_DOWN},
        {KEY_HOME, SOCKETS_KEY_HOME},     {KEY_END, SOCKETS_KEY_END},
        {KEY_ENTER, SOCKETS_KEY_ENTER},   {KEY_BACKSPACE, SOCKETS_KEY_BACKSPACE},
        {KEY_DC, SOCKETS_KEY_BACKSPACE},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if ((wint_t)keys[i].code == code)
            return keys[i].key;
    return SOCKETS_KEY_OTHER;
}

uint32_t sockets_screen_key(void)
{
    wint_t character;
    const int kind = wget_wch(stdscr, &character);
    if (kind == KEY_CODE_YES)
        return known_key(character);
    if (kind == ERR)
        return SOCKETS_KEY_NONE;
    if (character == '\r')
        return SOCKETS_KEY_ENTER;
    if (character == 0x7f)
        return SOCKETS_KEY_BACKSPACE;
    return character ? (uint32_t)character : SOCKETS_KEY_OTHER;
}
