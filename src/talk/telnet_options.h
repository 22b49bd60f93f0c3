/* The names that telnet's options and commands have, for people who read or type them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* "ECHO", "SGA" … as IANA's registry has them, in one word each; NULL where there is none. */
const char *telnet_option_name(unsigned option);

/* "ECHO", or "#200" for those without a name. Returns `text`. */
#define TELNET_OPTION_SIZE 24
const char *telnet_option_format(unsigned option, char text[static TELNET_OPTION_SIZE]);

/* What `send` knows. */
struct telnet_command {
    const char *name;
    unsigned char code;
    bool option; /* is followed by the name of one */
    const char *meaning;
};
extern const struct telnet_command telnet_commands[]; /* ends with a NULL name */

#define TELNET_WORD_UNKNOWN (-1)
#define TELNET_WORD_AMBIGUOUS (-2)

/* Finds a word, or the only one that begins like it, among rows whose first member is their name,
 * NULL after the last. Upper and lower case are the same. Returns its index, or one of these. */
int telnet_word_find(const char *word, size_t length, const void *rows, size_t row_size);

/* An option by name, the beginning of one, or number. Returns it, or one of these. */
int telnet_option_find(const char *word, size_t length);
