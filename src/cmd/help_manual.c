/* Manual pages: man(7) roff from the tables. */
#include "cmd/help.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#define MANUAL_DATE "2026-11-21" /* when the words of the manual last changed much */
#define LINE_LENGTH 78           /* of the source; man fills the lines anew */
#define EXAMPLES 3               /* on the program's page */

/* Facts that the tables of options do not have. */
struct fact {
    const char *name;
    const char *meaning;
};

static const struct fact values[] = {
    {"N", "A whole number. It may end in k, M or G: 10k is 10000."},
    {"TIME", "A number, with or without a fraction, and a unit: ns, us, ms, s, m or h, as in 250ms "
             "or 1.5m. Without a unit it is seconds."},
    {"PERCENT", "A number with or without a fraction and a percent sign, as in 99.9 or 99.9%."},
};

static const struct fact environment[] = {
    {"NO_COLOR", "When set and not empty, no colours are used, not even on a terminal."},
};

static const struct fact files[] = {
    {"/etc/services", "Names of ports, which go before those of the registry that is built in."},
};

static const struct {
    int status;
    const char *meaning;
} exit_statuses[] = {
#define EXIT_STATUS(name, value, meaning) {value, meaning},
#include "cmd/exit.def"
#undef EXIT_STATUS
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The code point at `text`, which is our own and well-formed, and how many bytes it has. */
static uint32_t decode(const char *text, size_t *ret_length)
{
    unsigned char lead = (unsigned char)text[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t point = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        point = point << 6 | ((unsigned char)text[i] & 0x3fu);
    *ret_length = length;
    return point;
}

/* Adds one character so that roff shows it as it is. `minus`: a "-" is to be typed by the reader,
 * and must not come out as a hyphen. */
static void add_character(struct buffer *buffer, uint32_t point, bool minus)
{
    static const struct {
        char character;
        const char *roff;
    } special[] = {{'\\', "\\e"},  {'\'', "\\(aq"}, {'"', "\\(dq"},
                   {'`', "\\(ga"}, {'^', "\\(ha"},  {'~', "\\(ti"}};
    for (size_t i = 0; i < COUNT(special); i++) {
        if (point == (unsigned char)special[i].character) {
            buffer_add_text(buffer, special[i].roff);
            return;
        }
    }
    if (point == '-')
        buffer_add_text(buffer, minus ? "\\-" : "-");
    else if (point < 0x80)
        buffer_add_character(buffer, (char)point);
    else
        buffer_add_format(buffer, "\\[u%04X]", (unsigned)point);
}

/* A "-" is a minus in options ("--ports"), numbers and ranges ("1-1023"), and a hyphen elsewhere.
 */
static bool has_minus(const char *word, size_t length)
{
    size_t start = 0;
    while (start < length && strchr("('\"[", word[start]))
        start++;
    if (start < length && word[start] == '-')
        return true;
    for (size_t i = 0; i < length; i++) {
        if (isdigit((unsigned char)word[i]))
            return true;
    }
    return false;
}

static void add_bytes(struct buffer *buffer, const char *text, size_t length, bool minus)
{
    if (length > 0 && text[0] == '.')
        buffer_add_text(buffer, "\\&"); /* or it would be a request at the start of a line */
    for (size_t at = 0, taken; at < length; at += taken)
        add_character(buffer, decode(text + at, &taken), minus);
}

/* Text that the reader types: every "-" is a minus. */
static void add_literal(struct buffer *buffer, const char *text)
{
    add_bytes(buffer, text, strlen(text), true);
}

/* Prose, in lines of a readable length, and a newline. Empty lines become paragraphs. */
static void add_prose(struct buffer *buffer, const char *text)
{
    size_t column = 0;
    for (const char *word = text + strspn(text, " \n"); *word;) {
        size_t length = strcspn(word, " \n");
        if (column > 0 && column + 1 + length > LINE_LENGTH) {
            buffer_add_character(buffer, '\n');
            column = 0;
        } else if (column > 0) {
            buffer_add_character(buffer, ' ');
            column++;
        }
        bool minus = has_minus(word, length);
        if (minus)
            buffer_add_text(buffer, "\\%"); /* not to be broken at the end of a line */
        add_bytes(buffer, word, length, minus);
        column += length;
        word += length;
        size_t blank = strspn(word, " \n");
        if (strncmp(word, "\n\n", 2) == 0 && word[blank]) {
            buffer_add_text(buffer, "\n.PP\n");
            column = 0;
        }
        word += blank;
    }
    buffer_add_character(buffer, '\n');
}

static void add_title(struct buffer *buffer, const struct command *command)
{
    buffer_add_text(buffer, ".\\\" Made by \"porthole help --format man\" from its own tables.\n");
    buffer_add_text(buffer, ".TH PORTHOLE");
    if (command) {
        buffer_add_text(buffer, "\\-");
        for (const char *letter = command->name; *letter; letter++)
            add_character(buffer, (uint32_t)toupper((unsigned char)*letter), true);
    }
    buffer_add_text(buffer, " 1 " MANUAL_DATE " \"porthole " PORTHOLE_VERSION
                            "\" \"porthole manual\"\n.SH NAME\n");
    buffer_add_text(buffer, "porthole");
    if (command) {
        buffer_add_text(buffer, "\\-");
        add_literal(buffer, command->name);
    }
    buffer_add_text(buffer, " \\- ");
    add_prose(buffer, command ? command->summary : PORTHOLE_SUMMARY);
}

/* One line for each form: the words in bold that are typed as they stand. */
static void add_form(struct buffer *buffer, const char *name, const char *form, size_t length)
{
    buffer_add_text(buffer, "\\fBporthole");
    if (name) {
        buffer_add_character(buffer, ' ');
        add_literal(buffer, name);
    }
    buffer_add_text(buffer, "\\fR ");
    add_bytes(buffer, form, length, true);
    buffer_add_character(buffer, '\n');
}

static void add_synopsis(struct buffer *buffer, const struct command *command)
{
    buffer_add_text(buffer, ".SH SYNOPSIS\n");
    for (const char *form = command->usage; form;) {
        size_t length = strcspn(form, "\n");
        add_form(buffer, command->name, form, length);
        form = form[length] ? form + length + 1 : NULL;
        if (form)
            buffer_add_text(buffer, ".br\n");
    }
    if (command->classic) {
        buffer_add_text(buffer, ".PP\nA symbolic link to porthole by the name of \\fB");
        add_literal(buffer, command->name);
        buffer_add_text(buffer, "\\fR does the same.\n");
    }
}

static void add_row(struct buffer *buffer, const struct option *row)
{
    const char *names = row->names;
    const char *name;
    size_t length;
    bool first = true;
    buffer_add_text(buffer, ".TP\n");
    while ((name = option_next_name(&names, &length))) {
        buffer_add_text(buffer, first ? "\\fB" : ", \\fB");
        add_bytes(buffer, name, length, true);
        buffer_add_text(buffer, "\\fR");
        first = false;
    }
    if (row->argument) {
        buffer_add_text(buffer, row->otherwise ? "[=\\fI" : " \\fI");
        add_literal(buffer, row->argument);
        buffer_add_text(buffer, row->otherwise ? "\\fR]" : "\\fR");
    }
    buffer_add_character(buffer, '\n');

    struct buffer sentence = {0};
    help_add_sentence(&sentence, row);
    if (sentence.failed)
        buffer->failed = true;
    else
        add_prose(buffer, sentence.data);
    buffer_release(&sentence);
}

static void add_options(struct buffer *buffer, const struct command *command)
{
    const char *group = NULL;
    const char *shown = NULL;
    buffer_add_text(buffer, ".SH OPTIONS\n");
    for (const struct option *row = NULL; (row = help_next_row(command, row));) {
        group = row->group ? row->group : group;
        if (row->kind == OPTION_ABSENT)
            continue;
        if (command && group && (!shown || strcmp(shown, group) != 0)) {
            buffer_add_text(buffer, ".SS ");
            add_prose(buffer, group);
        }
        shown = group;
        add_row(buffer, row);
    }
}

static void add_absent_options(struct buffer *buffer, const struct command *command)
{
    bool any = false;
    for (const struct option *row = NULL; (row = help_next_row(command, row));) {
        if (row->kind != OPTION_ABSENT)
            continue;
        if (!any)
            buffer_add_text(buffer, ".SH NOT IN THIS VERSION\n"
                                    "These options of other tools are known and refused:\n");
        any = true;
        add_row(buffer, row);
    }
}

static void add_facts(struct buffer *buffer, const char *heading, const struct fact *facts,
                      size_t count)
{
    buffer_add_format(buffer, ".SH %s\n", heading);
    for (size_t i = 0; i < count; i++) {
        buffer_add_text(buffer, ".TP\n\\fB");
        add_literal(buffer, facts[i].name);
        buffer_add_text(buffer, "\\fR\n");
        add_prose(buffer, facts[i].meaning);
    }
}

static void add_example(struct buffer *buffer, const struct command_example *example)
{
    buffer_add_text(buffer, ".TP\n\\fBporthole ");
    add_literal(buffer, example->words);
    buffer_add_text(buffer, "\\fR\n");
    add_prose(buffer, example->meaning);
}

static void add_commands(struct buffer *buffer, bool classic)
{
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->classic != classic)
            continue;
        buffer_add_text(buffer, ".TP\n\\fB");
        add_literal(buffer, commands[i]->name);
        buffer_add_text(buffer, "\\fR\n");
        add_prose(buffer, commands[i]->summary);
    }
}

/* The other pages; "porthole" itself unless this is its page. */
static void add_see_also(struct buffer *buffer, const struct command *command)
{
    const char *separator = "";
    buffer_add_text(buffer, ".SH SEE ALSO\n");
    if (command) {
        buffer_add_text(buffer, "\\%\\fBporthole\\fR(1)");
        separator = ",\n";
    }
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i] == command)
            continue;
        buffer_add_format(buffer, "%s\\%%\\fBporthole\\-", separator);
        add_literal(buffer, commands[i]->name);
        buffer_add_text(buffer, "\\fR(1)");
        separator = ",\n";
    }
    buffer_add_character(buffer, '\n');
}

static void add_command_page(struct buffer *buffer, const struct command *command)
{
    add_synopsis(buffer, command);
    if (command->description) {
        buffer_add_text(buffer, ".SH DESCRIPTION\n");
        add_prose(buffer, command->description);
    }
    add_options(buffer, command);
    add_absent_options(buffer, command);
    if (command->examples && command->examples->words) {
        buffer_add_text(buffer, ".SH EXAMPLES\n");
        for (const struct command_example *example = command->examples; example->words; example++)
            add_example(buffer, example);
    }
}

static void add_exit_statuses(struct buffer *buffer)
{
    buffer_add_text(buffer, ".SH EXIT STATUS\nThe same for every command:\n");
    for (size_t i = 0; i < COUNT(exit_statuses); i++) {
        buffer_add_format(buffer, ".TP\n\\fB%d\\fR\n", exit_statuses[i].status);
        add_prose(buffer, exit_statuses[i].meaning);
    }
}

static void add_program_page(struct buffer *buffer)
{
    static const char form[] = "COMMAND [OPTION]… [OPERAND]…";
    const struct command_example *examples[EXAMPLES];
    buffer_add_text(buffer, ".SH SYNOPSIS\n");
    add_form(buffer, NULL, form, sizeof(form) - 1);
    buffer_add_text(buffer, ".SH DESCRIPTION\n");
    add_prose(buffer, PORTHOLE_DESCRIPTION);
    buffer_add_text(buffer, ".SH COMMANDS\n");
    add_commands(buffer, false);
    buffer_add_text(buffer, ".SH CLASSIC NAMES\nThese take the options of the tool that they are "
                            "named after, also as the name of a\nsymbolic link to porthole:\n");
    add_commands(buffer, true);
    add_options(buffer, NULL);
    add_facts(buffer, "VALUES", values, COUNT(values));
    add_exit_statuses(buffer);
    add_facts(buffer, "ENVIRONMENT", environment, COUNT(environment));
    add_facts(buffer, "FILES", files, COUNT(files));
    buffer_add_text(buffer, ".SH EXAMPLES\n");
    size_t count = help_pick_examples(examples, EXAMPLES);
    for (size_t i = 0; i < count; i++)
        add_example(buffer, examples[i]);
}

void help_add_manual(struct buffer *buffer, const struct command *command)
{
    add_title(buffer, command);
    if (command)
        add_command_page(buffer, command);
    else
        add_program_page(buffer);
    add_see_also(buffer, command);
}
