/* A telnet session as a person has it: the terminal follows what the server wants, and the escape
 * character leads to a prompt with a few commands. */
#pragma once

#include "talk/channel.h"

struct telnet_terminal;

struct telnet_terminal_options {
    const char *host;            /* as the user called it */
    const char *user;            /* whom to log in as; NULL: nobody is named */
    int escape;                  /* the escape character; -1: none */
    bool initiate;               /* offer options first */
    bool binary;                 /* ask for binary mode in both directions */
    bool binary_output;          /* only for what is sent */
    bool narrate;                /* say on standard error what is negotiated */
    void (*quit)(void *context); /* the person wants to end; called from the loop */
    void *context;
};

/* Puts telnet between the two channels, which are replaced by those that a pair is to join: over
 * *remote a telnet session, over *standard, where that is a terminal, one that watches for the
 * escape character. The session is freed with the latter; *ret_terminal is NULL where there is
 * none. Without a terminal what is sent and received is all the same telnet. Returns 0 or -errno,
 * and then both channels are freed and NULL. */
int telnet_terminal_begin(struct loop *loop, const struct telnet_terminal_options *options,
                          struct channel **standard, struct channel **remote,
                          struct telnet_terminal **ret_terminal);

/* SIGWINCH came. NULL is allowed. */
void telnet_terminal_resized(struct telnet_terminal *terminal);

#define TELNET_ESCAPE_DEFAULT 0x1d /* ^] */

/* "^]" (a caret and what is pressed with Ctrl), "x", or "none" and "" for none. Returns 0 or
 * -EINVAL. */
int telnet_escape_parse(const char *word, int *ret_escape, struct error *error);

/* Back to a word, "^]"; "none". Returns `text`. */
#define TELNET_ESCAPE_SIZE 8
const char *telnet_escape_format(int escape, char text[static TELNET_ESCAPE_SIZE]);
