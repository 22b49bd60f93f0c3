/* Command-line options from one table.
 *
 * The table of a command is the single source of everything said about its options: the parser
 * here,
 * `--help`, the manual page and the shells' completions (src/cmd/help.c) are all made from it. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,     /* bool: true when given */
    OPTION_COUNT,    /* unsigned: how often it was given (-vv is 2) */
    OPTION_NUMBER,   /* uint64_t in [minimum, maximum]; suffixes k, M and G multiply by 1000^n */
    OPTION_DURATION, /* uint64_t nanoseconds in [minimum, maximum]; "250ms", "2s", "1.5m", "1h"; a
                        bare number is seconds */
    OPTION_SIZE,     /* uint64_t bytes in [minimum, maximum]; suffixes K, M, G and T multiply by
                        1024^n */
    OPTION_PERCENT,  /* double in [minimum, maximum], "99.9" or "99.9%" */
    OPTION_TEXT,     /* const char *: the last one wins */
    OPTION_LIST,     /* struct option_list: all of them, in order */
    OPTION_CALL,     /* set() is called: for aliases that fill in other fields */
    OPTION_ABSENT,   /* a flag of another tool which this version does not have: refused, and `help`
                        is the sentence that says what to do instead */
};

struct option_list {
    const char **items; /* the command line's own strings */
    size_t count;
};

struct option {
    const char *names;    /* every spelling, separated by blanks: "-p --ports". One letter after one
                             dash bundles (-vn) and takes its value attached or apart; several
                             letters after one dash ("-iL") are a word of their own, as nmap has
                             them, whose value may also be attached */
    const char *argument; /* what the value is called in the help, "PORTS"; NULL: takes no value */
    const char *help;     /* one sentence without a full stop, for --help and the manual page */
    const char *group; /* heading under which the help lists it; NULL: the same as the row above */
    enum option_kind kind;
    size_t offset;             /* of the field in the options struct */
    uint64_t minimum, maximum; /* both 0: no bounds */
    const char *words;         /* for completion and checking of OPTION_TEXT: "a|b|c"
                                  are the only values; "@file", "@host", "@directory", "@interface"
                                  say what kind of word it is; NULL: anything */
    const char *otherwise;     /* the value may be left out, and is this one then; it is only taken
                                  attached, "--watch=2". NULL: it may not */
    int (*set)(void *options, const char *name, const char *value,
               struct error *error); /* of OPTION_CALL: 0 or -errno */
};

/* A table ends with a row whose `names` is NULL. */
#define OPTION_END                                                                                 \
    {                                                                                              \
        .names = NULL                                                                              \
    }

/* Parses argv[1..argc) against `tables`, a NULL-terminated array of tables that are searched in
 * order, writing into `options`, a struct that holds the fields at the rows' offsets. Options may
 * stand anywhere before "--"; a lone "-" is an operand. The operands are moved to the front of
 * `argv` (argv[0..*ret_count)) in their order.
 *
 * Returns 0, or -EINVAL with an error that names the option, what was wrong with it and what would
 * be right (for an unknown option the nearest known one), or -ENOMEM. */
int options_parse(const struct option *const *tables, void *options, int argc, char **argv,
                  int *ret_count, struct error *error);

/* Frees the lists among the fields. */
void options_release(const struct option *const *tables, void *options);

/* Appends to a list. Returns 0 or -ENOMEM. */
int option_list_add(struct option_list *list, const char *item);

/* Walks over the names of a row, starting with `*names` as row->names: the next name, which is not
 * NUL-terminated, or NULL. */
const char *option_next_name(const char **names, size_t *ret_length);

/* Does an option of this row need a value? */
bool option_takes_value(const struct option *option);

/* What the values are bound to, in words: "from 1 to 50", "from 1 up", "one of bash, zsh or fish",
 * or
 * "" when they are not. Cut when longer than the room. Returns `text`. */
#define OPTION_BOUNDS_SIZE 256
const char *option_bounds(const struct option *option, char text[static OPTION_BOUNDS_SIZE]);
