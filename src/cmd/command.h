/* A verb or a classic name: one file in src/cmd and one row in src/cmd/cmd.def. */
#pragma once

#include "base/option.h"

struct command_example {
    const char *words;   /* what to type after "porthole " */
    const char *meaning; /* what it does, a phrase */
};

struct command {
    const char *name;
    const char *summary;                /* one phrase for the list of verbs */
    const char *usage;                  /* what follows the name, "[OPTION]… TARGET…"; several
                                           forms are separated by newlines */
    const char *description;            /* paragraphs separated by empty lines, for the manual
                                           page and the end of --help */
    const struct option *options;       /* without the common ones; never NULL */
    const struct option *const *shared; /* tables that other commands have too, NULL-terminated,
                                           told of after its own; may be NULL */
    const struct command_example *examples; /* ends with {NULL, NULL}; may be NULL */
    const char *operands; /* what to complete them with: as `words` of struct option, or "@command";
                             NULL: nothing */
    bool classic;         /* also found through a symlink of its name; listed apart */

    /* argv[0] is the name. Returns an exit status of enum exit_status. */
    int (*run)(const struct command *command, int argc, char **argv);
};

/* The same for every verb: src/cmd/exit.def has what each means, for the manual page too. */
enum exit_status {
#define EXIT_STATUS(name, value, meaning) name = value,
#include "cmd/exit.def"
#undef EXIT_STATUS
};

/* Every command of src/cmd/cmd.def, NULL-terminated. */
extern const struct command *const commands[];
const struct command *command_find(const char *name); /* NULL when there is none */

/* Fills in `error` for a name that command_find() does not know, with the nearest one that there
 * is. Returns -EINVAL. */
int command_unknown(const char *name, struct error *error);

/* -h/--help and --version, which every command has: `options_parse` gets this table too. */
struct common_options {
    bool help;
    bool version;
};
extern const struct option common_options[];

#define COMMAND_TABLES 12 /* at most, with a NULL at the end */

/* The tables of what a command takes (NULL: any), in the order in which help tells of them: the
 * table at `index`, or NULL behind the last, which are the common options. */
const struct option *command_table(const struct command *command, size_t index);

/* The struct of a command's options starts with a struct common_options. Parses argv and deals with
 * the common options and with faults. Returns -1 when the command goes on, with the operands in
 * argv[0..*ret_count), or the exit status, with nothing left in `options` to release. */
int command_parse(const struct command *command, int argc, char **argv, void *options,
                  int *ret_count);

/* Frees the lists among the options. */
void command_release(const struct command *command, void *options);

/* Says on stderr "porthole NAME: message" ("porthole: message" when `command` is NULL, here and
 * below), and below it the text with a caret where the error has a column. Escapes whatever is
 * hostile, so that callers pass words as they were typed. */
void command_complain(const struct command *command, const struct error *error);

/* The same from a format, without a column. */
__attribute__((format(printf, 2, 3))) void command_warn(const struct command *command,
                                                        const char *format, ...);

/* Writes the help of one command, or with NULL the overview, to stdout. */
void command_print_help(const struct command *command);

/* Flushes stdout; returns `status`, or EXIT_TROUBLE with a line on stderr when stdout cannot be
 * written (a full disk). A closed pipe is no trouble. */
int command_finish(const struct command *command, int status);
