/* How this program's terminal reads keys and shows bytes, and that it is put back as it was found:
 * at the end, at exit(), when a signal ends or stops the program. One at a time in a process. */
#pragma once

#include <stdbool.h>

struct terminal_mode {
    bool characters; /* keys are read one by one, those that make signals too; else lines */
    bool echo;       /* what is typed is shown */
    bool raw;        /* with `characters`: line ends stay what they are, in both directions */
    int escape;      /* in lines: this character is read at once, as if it ended one; -1: none */
};

/* Remembers how standard input's terminal is. Returns 0, or -errno when it is none. */
int terminal_mode_begin(void);
void terminal_mode_set(const struct terminal_mode *mode);
void terminal_mode_pause(void); /* as it was found, until the next set */
void terminal_mode_end(void);   /* nothing happens when it was not begun */

/* Stops this job, as Ctrl-Z does; returns when it goes on, with the mode that was set. */
void terminal_mode_suspend(void);
