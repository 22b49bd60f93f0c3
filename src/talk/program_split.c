/* program_split(): a command line into words, by quotes and blanks alone. */
#include "talk/program.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\n' || character == '\r';
}

/* What the backslash at `*from` stands for, where it has a meaning: else itself. */
static char unescaped(const char **from, char quote)
{
    char next = (*from)[1];
    bool escapes = quote ? next == quote || next == '\\' : next != '\0';
    if (escapes)
        (*from)++;
    return **from;
}

/* Reads one word from `*from`, which is not a blank, into `*to`, and a NUL behind it. Returns 0, or
 * the place of the quote that is not closed. */
static const char *split_word(const char **from, char **to)
{
    char quote = '\0';
    const char *opened = NULL;
    for (; **from && (quote || !is_blank(**from)); (*from)++) {
        char character = **from;
        if (quote && character == quote) {
            quote = '\0';
        } else if (!quote && (character == '\'' || character == '"')) {
            quote = character;
            opened = *from;
        } else if (character == '\\' && quote != '\'') {
            *(*to)++ = unescaped(from, quote);
        } else {
            *(*to)++ = character;
        }
    }
    *(*to)++ = '\0';
    return quote ? opened : NULL;
}

int program_split(const char *text, char ***ret_words, struct error *error)
{
    /* A word has a character and a blank behind it, but for the last; a word's text is never longer
     * than what it was written as. */
    size_t length = strlen(text);
    size_t most = length / 2 + 2;
    char **words = calloc(1, most * sizeof(*words) + length + 1);
    if (!words)
        return error_set(error, ENOMEM, "no memory for the program's words");
    char *to = (char *)(words + most);
    const char *from = text;
    size_t count = 0;
    for (;;) {
        while (is_blank(*from))
            from++;
        if (!*from)
            break;
        words[count++] = to;
        const char *open = split_word(&from, &to);
        if (open) {
            free(words);
            return error_set_at(error, EINVAL, text, length, (size_t)(open - text),
                                "this quote is not closed");
        }
    }
    if (count == 0 || !*words[0]) {
        free(words);
        return error_set_at(error, EINVAL, text, length, 0, "the name of a program is missing");
    }
    *ret_words = words;
    return 0;
}
