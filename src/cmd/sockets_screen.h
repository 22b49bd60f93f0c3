/* The whole terminal as lines of text and keys, by ncurses: one at a time in a process. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sockets_style {
    SOCKETS_PLAIN,
    SOCKETS_TITLE,
    SOCKETS_HEADING,
    SOCKETS_GREEN, /* and bold */
    SOCKETS_RED,   /* and dim */
    SOCKETS_YELLOW,
};

/* What is pressed: a character, or one of these. */
enum sockets_key {
    SOCKETS_KEY_NONE = 0,
    SOCKETS_KEY_BACKSPACE = 8,
    SOCKETS_KEY_ENTER = 10,
    SOCKETS_KEY_CLEAR = 21, /* Ctrl-U */
    SOCKETS_KEY_ESCAPE = 27,
    SOCKETS_KEY_UP = 0x110000, /* above Unicode */
    SOCKETS_KEY_DOWN,
    SOCKETS_KEY_LEFT,
    SOCKETS_KEY_RIGHT,
    SOCKETS_KEY_PAGE_UP,
    SOCKETS_KEY_PAGE_DOWN,
    SOCKETS_KEY_HOME,
    SOCKETS_KEY_END,
    SOCKETS_KEY_OTHER,
};

struct sockets_screen;

/* Takes the terminal that is standard output. Keys come from standard input, or where that is none
 * from the terminal all the same. Returns 0, or -ENOTTY when it cannot show a screen, or -ENOMEM.
 */
int sockets_screen_open(struct sockets_screen **ret_screen);
/* Gives it back as it was. */
void sockets_screen_close(struct sockets_screen *screen);
/* Gives it back for a while: until the next show. */
void sockets_screen_leave(struct sockets_screen *screen);

int sockets_screen_descriptor(const struct sockets_screen *screen); /* where keys come from */
void sockets_screen_size(size_t *ret_rows, size_t *ret_columns);
void sockets_screen_resize(void); /* SIGWINCH came */

/* Draws a line of UTF-8 without its first `skip` columns, and blanks behind it. */
void sockets_screen_line(size_t row, const char *text, size_t skip, enum sockets_style style);
/* Shows what was drawn, with the cursor there; SIZE_MAX: without one. */
void sockets_screen_show(size_t row, size_t column);

/* The next key; SOCKETS_KEY_NONE when there is none. */
uint32_t sockets_screen_key(void);

/* How many columns a text takes. */
size_t sockets_screen_width(const char *text);
