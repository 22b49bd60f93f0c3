/* The verb `help`, and the help of every other verb as text. */
#include "cmd/help.h"

#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 79       /* columns, one less than a terminal's 80 */
#define HELP_COLUMN 26 /* where the sentences about options stand */
#define EXAMPLES 3     /* in the overview */

const struct option *help_next_row(const struct command *command, const struct option *row)
{
    const struct option *table;
    bool next = !row;
    for (size_t i = 0; (table = command_table(command, i)); i++) {
        for (const struct option *each = table; each->names; each++) {
            if (next)
                return each;
            next = each == row;
        }
    }
    return NULL;
}

/* A default and the bounds share the brackets: "(default 8; from 1 to 50)". */
void help_add_sentence(struct buffer *buffer, const struct option *row)
{
    char bounds[OPTION_BOUNDS_SIZE];
    size_t length = strlen(row->help);
    const char *last = strrchr(row->help, '(');
    bool joins = last && strncmp(last, "(default", 8) == 0 && row->help[length - 1] == ')';
    if (!option_bounds(row, bounds)[0])
        buffer_add_text(buffer, row->help);
    else if (joins)
        buffer_add_format(buffer, "%.*s; %s)", (int)(length - 1), row->help, bounds);
    else
        buffer_add_format(buffer, "%s (%s)", row->help, bounds);
}

size_t help_pick_examples(const struct command_example **examples, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; commands[i] && count < room; i++) {
        const struct command *command = commands[i];
        if (!command->classic && command->examples && command->examples->words)
            examples[count++] = command->examples;
    }
    return count;
}

/* Columns that `length` bytes of UTF-8 take. */
static size_t columns(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += (text[i] & 0xc0) != 0x80;
    return count;
}

static void add_blanks(struct buffer *buffer, size_t count)
{
    while (count-- > 0)
        buffer_add_character(buffer, ' ');
}

/* Adds the words of `text`, the first one at `column`, with later lines indented, and a newline. */
static void add_wrapped(struct buffer *buffer, size_t column, size_t indent, const char *text)
{
    bool first = true;
    for (const char *word = text + strspn(text, " \n"); *word; word += strspn(word, " \n")) {
        size_t length = strcspn(word, " \n");
        size_t width = columns(word, length);
        if (!first && column + 1 + width > WIDTH) {
            buffer_add_character(buffer, '\n');
            add_blanks(buffer, indent);
            column = indent;
        } else if (!first) {
            buffer_add_character(buffer, ' ');
            column++;
        }
        buffer_add(buffer, word, length);
        column += width;
        word += length;
        first = false;
    }
    buffer_add_character(buffer, '\n');
}

/* A name or some options on the left, and what they mean from `column` on. */
static void add_entry(struct buffer *buffer, const char *left, size_t column, const char *meaning)
{
    size_t width = columns(left, strlen(left));
    buffer_add_text(buffer, left);
    if (width + 2 > column) {
        buffer_add_character(buffer, '\n');
        width = 0;
    }
    add_blanks(buffer, column - width);
    add_wrapped(buffer, column, column, meaning);
}

/* "  -p, --ports PORTS"; rows without a letter are indented as far as the others' words. */
static void add_names(struct buffer *buffer, const struct option *row)
{
    const char *names = row->names;
    const char *name;
    size_t length;
    bool first = true;
    buffer_add_text(buffer, strncmp(row->names, "--", 2) == 0 ? "      " : "  ");
    while ((name = option_next_name(&names, &length))) {
        if (!first)
            buffer_add_text(buffer, ", ");
        buffer_add(buffer, name, length);
        first = false;
    }
    if (option_takes_value(row))
        buffer_add_format(buffer, " %s", row->argument);
    else if (row->otherwise)
        buffer_add_format(buffer, "[=%s]", row->argument);
}

static void add_row(struct buffer *buffer, const struct option *row)
{
    struct buffer left = {0}, meaning = {0};
    add_names(&left, row);
    help_add_sentence(&meaning, row);
    if (left.failed || meaning.failed)
        buffer->failed = true;
    else
        add_entry(buffer, left.data, HELP_COLUMN, meaning.data);
    buffer_release(&left);
    buffer_release(&meaning);
}

static void add_rows(struct buffer *buffer, const struct command *command)
{
    const char *group = "Options";
    const char *shown = NULL;
    for (const struct option *row = NULL; (row = help_next_row(command, row));) {
        if (row->group)
            group = row->group;
        if (row->kind == OPTION_ABSENT)
            continue;
        if (!shown || strcmp(shown, group) != 0)
            buffer_add_format(buffer, "\n%s:\n", group);
        shown = group;
        add_row(buffer, row);
    }
}

static void add_usage(struct buffer *buffer, const struct command *command)
{
    const char *before = "Usage:";
    for (const char *form = command->usage; form;) {
        size_t length = strcspn(form, "\n");
        buffer_add_format(buffer, "%-6s porthole %s %.*s\n", before, command->name, (int)length,
                          form);
        form = form[length] ? form + length + 1 : NULL;
        before = "";
    }
}

static void add_paragraphs(struct buffer *buffer, const char *text)
{
    while (text && *text) {
        const char *end = strstr(text, "\n\n");
        size_t length = end ? (size_t)(end - text) : strlen(text);
        char *paragraph = strndup(text, length);
        if (!paragraph) {
            buffer->failed = true;
            return;
        }
        buffer_add_character(buffer, '\n');
        add_wrapped(buffer, 0, 0, paragraph);
        free(paragraph);
        text = end ? end + 2 : NULL;
    }
}

static void add_example(struct buffer *buffer, const struct command_example *example)
{
    buffer_add_format(buffer, "  porthole %s\n      ", example->words);
    add_wrapped(buffer, 6, 6, example->meaning);
}

static void add_command_help(struct buffer *buffer, const struct command *command)
{
    add_usage(buffer, command);
    buffer_add_character(buffer, '\n');
    add_wrapped(buffer, 0, 0, command->summary);
    add_rows(buffer, command);
    add_paragraphs(buffer, command->description);
    if (command->examples && command->examples->words) {
        buffer_add_text(buffer, "\nExamples:\n");
        for (const struct command_example *example = command->examples; example->words; example++)
            add_example(buffer, example);
    }
}

static void add_commands(struct buffer *buffer, const char *heading, bool classic)
{
    size_t column = 0;
    for (size_t i = 0; commands[i]; i++) {
        size_t length = strlen(commands[i]->name) + 4;
        column = length > column ? length : column;
    }
    bool any = false;
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->classic != classic)
            continue;
        if (!any)
            buffer_add_format(buffer, "\n%s:\n", heading);
        any = true;
        char left[64];
        snprintf(left, sizeof(left), "  %s", commands[i]->name);
        add_entry(buffer, left, column, commands[i]->summary);
    }
}

static void add_overview(struct buffer *buffer)
{
    const struct command_example *examples[EXAMPLES];
    buffer_add_text(buffer, "Usage: porthole COMMAND [OPTION]… [OPERAND]…\n\n");
    add_wrapped(buffer, 0, 0, PORTHOLE_DESCRIPTION);
    add_commands(buffer, "Commands", false);
    add_commands(buffer, "Classic names, which a symbolic link to porthole may also have", true);
    add_rows(buffer, NULL);
    buffer_add_text(buffer, "\nExamples:\n");
    size_t count = help_pick_examples(examples, EXAMPLES);
    for (size_t i = 0; i < count; i++)
        add_example(buffer, examples[i]);
    buffer_add_text(buffer, "\n'porthole help COMMAND' or 'porthole COMMAND --help' says more.\n");
}

static void add_text(struct buffer *buffer, const struct command *command)
{
    if (command)
        add_command_help(buffer, command);
    else
        add_overview(buffer);
}

/* Writes the text and releases it. Returns false when memory had run out. */
static bool print_buffer(const struct command *command, struct buffer *buffer)
{
    bool complete = !buffer->failed;
    if (complete)
        fwrite(buffer->data, 1, buffer->length, stdout);
    else
        command_warn(command, "out of memory");
    buffer_release(buffer);
    return complete;
}

void command_print_help(const struct command *command)
{
    struct buffer buffer = {0};
    add_text(&buffer, command);
    print_buffer(command, &buffer);
}

struct help_options {
    struct common_options common;
    const char *format; /* NULL: text */
};

/* The formats: FORMAT(word, what adds it to a buffer). A script is always for all commands. */
#define DOCUMENTS(FORMAT) FORMAT("man", help_add_manual)
#define SCRIPTS(FORMAT)                                                                            \
    FORMAT("bash", help_add_bash)                                                                  \
    FORMAT("zsh", help_add_zsh)                                                                    \
    FORMAT("fish", help_add_fish)

#define WORD(word, add) "|" word
#define ROW(word, add) {word, add},

static const struct {
    const char *word;
    void (*add)(struct buffer *buffer, const struct command *command);
} documents[] = {ROW("text", add_text) DOCUMENTS(ROW)};

static const struct {
    const char *word;
    void (*add)(struct buffer *buffer);
} scripts[] = {SCRIPTS(ROW)};

static const struct option help_options[] = {
    {.names = "--format",
     .argument = "FORMAT",
     .help = "print a manual page or a shell's completion script instead of text",
     .group = "Options",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct help_options, format),
     .words = "text" DOCUMENTS(WORD) SCRIPTS(WORD)},
    OPTION_END,
};

/* Adds what was asked for; false when a script was asked for one command. */
static bool add_format(struct buffer *buffer, const char *format, const struct command *subject)
{
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        if (strcmp(documents[i].word, format) == 0)
            documents[i].add(buffer, subject);
    }
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (strcmp(scripts[i].word, format) != 0)
            continue;
        if (subject)
            return false;
        scripts[i].add(buffer);
    }
    return true;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct help_options options = {0};
    const struct command *subject = NULL;
    struct buffer buffer = {0};
    struct error error = {0};
    int count;
    int status = command_parse(command, argc, argv, &options, &count);
    if (status >= 0)
        return status;
    if (count > 1) {
        command_warn(command, "one command at a time: '%.80s' is one too many", argv[1]);
        return EXIT_USAGE;
    }
    if (count == 1 && !(subject = command_find(argv[0]))) {
        command_unknown(argv[0], &error);
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    if (!add_format(&buffer, options.format ? options.format : "text", subject)) {
        command_warn(command, "a completion script is for all commands: leave out '%s'", argv[0]);
        return EXIT_USAGE;
    }
    return command_finish(command, print_buffer(command, &buffer) ? EXIT_DONE : EXIT_TROUBLE);
}

static const struct command_example examples[] = {
    {"help scan", "all about scanning"},
    {"help --format bash > porthole.bash", "completion, once bash has sourced the file"},
    {"help --format man scan | man -l -", "the manual page, also without an installation"},
    {NULL, NULL},
};

const struct command command_help = {
    .name = "help",
    .summary = "what porthole can do, as text, manual page or completion script",
    .usage = "[COMMAND]\n--format FORMAT [COMMAND]",
    .description =
        "Without a command: what there is, and the common options. All forms are made from "
        "the tables that the commands themselves are run by.",
    .options = help_options,
    .examples = examples,
    .operands = "@command",
    .run = run,
};
