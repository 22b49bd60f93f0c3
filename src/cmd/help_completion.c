/* Completion scripts for bash, zsh and fish, from the tables.
 *
 * Each script is data made from the tables (which options there are, and what their values are)
 * followed or preceded by a few fixed lines that know the shell. */
#include "cmd/help.h"

#include <string.h>

/* What can be said of the value of an option, or of the operands of a command. */
enum value_kind {
    VALUE_ANY,
    VALUE_FILE,
    VALUE_DIRECTORY,
    VALUE_HOST,
    VALUE_COMMAND,
    VALUE_INTERFACE,
    VALUE_WORDS,
};

static enum value_kind value_kind(const char *words)
{
    static const struct {
        const char *words;
        enum value_kind kind;
    } kinds[] = {{"@file", VALUE_FILE},
                 {"@directory", VALUE_DIRECTORY},
                 {"@host", VALUE_HOST},
                 {"@command", VALUE_COMMAND},
                 {"@interface", VALUE_INTERFACE}};
    if (!words)
        return VALUE_ANY;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(words, kinds[i].words) == 0)
            return kinds[i].kind;
    }
    return words[0] == '@' ? VALUE_ANY : VALUE_WORDS;
}

/* "a|b|c" with blanks between. */
static void add_words(struct buffer *buffer, const char *words)
{
    for (; *words; words++)
        buffer_add_character(buffer, *words == '|' ? ' ' : *words);
}

static void add_command_names(struct buffer *buffer, bool classic_only)
{
    const char *separator = "";
    for (size_t i = 0; commands[i]; i++) {
        if (classic_only && !commands[i]->classic)
            continue;
        buffer_add_format(buffer, "%s%s", separator, commands[i]->name);
        separator = " ";
    }
}

static void add_first_line(struct buffer *buffer, const char *shell)
{
    buffer_add_format(buffer,
                      "# %s completion for porthole " PORTHOLE_VERSION
                      ", made by 'porthole help --format %s'.\n",
                      shell, shell);
}

/* Calls `add` for every row that can be typed: the command's own and the common ones. */
typedef void row_fn(struct buffer *buffer, const struct command *command, const struct option *row);

static void add_rows(struct buffer *buffer, const struct command *command, row_fn *add)
{
    for (const struct option *row = NULL; (row = help_next_row(command, row));) {
        if (row->kind != OPTION_ABSENT)
            add(buffer, command, row);
    }
}

/* ---- bash ---- */

static void add_bash_names(struct buffer *buffer, const struct command *command,
                           const struct option *row)
{
    (void)command;
    buffer_add_format(buffer, "%s\n", row->names);
}

static void add_bash_kind(struct buffer *buffer, const char *words)
{
    static const char *const names[] = {
        [VALUE_ANY] = "@any",   [VALUE_FILE] = "@file",       [VALUE_DIRECTORY] = "@directory",
        [VALUE_HOST] = "@host", [VALUE_COMMAND] = "@command", [VALUE_INTERFACE] = "@interface",
    };
    enum value_kind kind = value_kind(words);
    buffer_add_text(buffer, "echo '");
    if (kind == VALUE_WORDS)
        add_words(buffer, words);
    else
        buffer_add_text(buffer, names[kind]);
    buffer_add_text(buffer, "' ;;\n");
}

/* "    'scan -p' | 'scan --ports') echo '@any' ;;" */
static void add_bash_value(struct buffer *buffer, const struct command *command,
                           const struct option *row)
{
    const char *names = row->names;
    const char *name;
    const char *separator = "    ";
    size_t length;
    if (!option_takes_value(row))
        return;
    while ((name = option_next_name(&names, &length))) {
        buffer_add_format(buffer, "%s'%s %.*s'", separator, command->name, (int)length, name);
        separator = " | ";
    }
    buffer_add_text(buffer, ") ");
    add_bash_kind(buffer, row->words);
}

static void add_bash_tables(struct buffer *buffer)
{
    buffer_add_text(buffer, "\n# _porthole_options COMMAND: its options; without a command the "
                            "common ones.\n_porthole_options()\n{\n    case $1 in\n");
    for (size_t i = 0; commands[i]; i++) {
        buffer_add_format(buffer, "    %s) echo '", commands[i]->name);
        add_rows(buffer, commands[i], add_bash_names);
        buffer_add_text(buffer, "' ;;\n");
    }
    buffer_add_text(buffer, "    *) echo '");
    add_rows(buffer, NULL, add_bash_names);
    buffer_add_text(buffer, "' ;;\n    esac\n}\n");

    buffer_add_text(buffer,
                    "\n# _porthole_value COMMAND OPTION: words to choose from, or @ and what "
                    "kind of word the\n# option takes; nothing when it takes none.\n"
                    "_porthole_value()\n{\n    case \"$1 $2\" in\n");
    for (size_t i = 0; commands[i]; i++)
        add_rows(buffer, commands[i], add_bash_value);
    buffer_add_text(buffer, "    esac\n}\n");

    buffer_add_text(buffer, "\n# _porthole_operands COMMAND: the same for its operands.\n"
                            "_porthole_operands()\n{\n    case $1 in\n");
    for (size_t i = 0; commands[i]; i++) {
        buffer_add_format(buffer, "    %s) ", commands[i]->name);
        add_bash_kind(buffer, commands[i]->operands);
    }
    buffer_add_text(buffer, "    esac\n}\n");
}

static void add_bash_functions(struct buffer *buffer)
{
    buffer_add_text(buffer,
                    "\n"
                    "# _porthole_reply WORD KIND-OR-WORDS: fills in COMPREPLY.\n"
                    "_porthole_reply()\n"
                    "{\n"
                    "    case $2 in\n"
                    "    @file)\n"
                    "        compopt -o filenames 2>/dev/null\n"
                    "        mapfile -t COMPREPLY < <(compgen -f -- \"$1\") ;;\n"
                    "    @directory)\n"
                    "        compopt -o filenames 2>/dev/null\n"
                    "        mapfile -t COMPREPLY < <(compgen -d -- \"$1\") ;;\n"
                    "    @host) mapfile -t COMPREPLY < <(compgen -A hostname -- \"$1\") ;;\n"
                    "    @interface)\n"
                    "        local devices=(/sys/class/net/*)\n"
                    "        _porthole_reply \"$1\" \"${devices[*]##*/}\" ;;\n"
                    "    @any) ;;\n"
                    "    @command) _porthole_reply \"$1\" '");
    add_command_names(buffer, false);
    buffer_add_text(buffer,
                    "' ;;\n"
                    "    *) mapfile -t COMPREPLY < <(compgen -W \"$2\" -- \"$1\") ;;\n"
                    "    esac\n"
                    "}\n"
                    "\n"
                    "_porthole()\n"
                    "{\n"
                    "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[0]##*/}\n"
                    "    local option value first=1 i=$((COMP_CWORD - 1))\n"
                    "    COMPREPLY=()\n"
                    "    if [[ $command != @(");
    for (size_t i = 0, found = 0; commands[i]; i++) {
        if (commands[i]->classic)
            buffer_add_format(buffer, "%s%s", found++ ? "|" : "", commands[i]->name);
    }
    buffer_add_text(
        buffer,
        ") ]]; then\n"
        "        if ((COMP_CWORD == 1)); then\n"
        "            case $word in\n"
        "            -*) _porthole_reply \"$word\" \"$(_porthole_options)\" ;;\n"
        "            *) _porthole_reply \"$word\" @command ;;\n"
        "            esac\n"
        "            return\n"
        "        fi\n"
        "        command=${COMP_WORDS[1]}\n"
        "        first=2\n"
        "    fi\n"
        "    # bash splits \"--option=format:file\" at \"=\" and \":\"; go back to the option.\n"
        "    if [[ $word == [=:] ]]; then\n"
        "        [[ $word == : ]] && ((i--))\n"
        "        word=\n"
        "    elif [[ ${COMP_WORDS[i]} == : ]]; then\n"
        "        ((i -= 2))\n"
        "    fi\n"
        "    ((i > first)) && [[ ${COMP_WORDS[i]} == = ]] && ((i--))\n"
        "    ((i >= first)) && option=${COMP_WORDS[i]}\n"
        "    for ((i = first; i < COMP_CWORD; i++)); do\n"
        "        if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
        "            _porthole_reply \"$word\" \"$(_porthole_operands \"$command\")\"\n"
        "            return\n"
        "        fi\n"
        "    done\n"
        "    value=$(_porthole_value \"$command\" \"$option\")\n"
        "    if [[ $value ]]; then\n"
        "        _porthole_reply \"$word\" \"$value\"\n"
        "    elif [[ $word == -* ]]; then\n"
        "        _porthole_reply \"$word\" \"$(_porthole_options \"$command\")\"\n"
        "    else\n"
        "        _porthole_reply \"$word\" \"$(_porthole_operands \"$command\")\"\n"
        "    fi\n"
        "}\n"
        "\n"
        "complete -F _porthole porthole ");
    add_command_names(buffer, true);
    buffer_add_character(buffer, '\n');
}

void help_add_bash(struct buffer *buffer)
{
    add_first_line(buffer, "bash");
    add_bash_tables(buffer);
    add_bash_functions(buffer);
}

/* ---- zsh ---- */

/* Text inside single quotes, with a backslash before each of `special`. */
static void add_zsh_quoted(struct buffer *buffer, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            buffer_add_text(buffer, "'\\''");
        else if (strchr(special, *text))
            buffer_add_format(buffer, "\\%c", *text);
        else
            buffer_add_character(buffer, *text);
    }
}

static void add_zsh_action(struct buffer *buffer, const char *words)
{
    static const char *const actions[] = {
        [VALUE_ANY] = " ",
        [VALUE_FILE] = "_files",
        [VALUE_DIRECTORY] = "_files -/",
        [VALUE_HOST] = "_hosts",
        [VALUE_COMMAND] = "_porthole_commands",
        [VALUE_INTERFACE] = "_net_interfaces",
    };
    enum value_kind kind = value_kind(words);
    if (kind != VALUE_WORDS) {
        buffer_add_text(buffer, actions[kind]);
        return;
    }
    buffer_add_character(buffer, '(');
    add_words(buffer, words);
    buffer_add_character(buffer, ')');
}

static bool is_repeatable(const struct option *row)
{
    return row->kind == OPTION_COUNT || row->kind == OPTION_LIST || row->kind == OPTION_CALL;
}

/* One specification for _arguments a name: '(-p --ports)-p+[sentence]:PORTS: ' */
static void add_zsh_row(struct buffer *buffer, const struct command *command,
                        const struct option *row)
{
    const char *names = row->names;
    const char *name;
    size_t length;
    (void)command;
    while ((name = option_next_name(&names, &length))) {
        buffer_add_text(buffer, " \\\n        '");
        if (is_repeatable(row))
            buffer_add_character(buffer, '*');
        else
            buffer_add_format(buffer, "(%s)", row->names);
        buffer_add(buffer, name, length);
        if (option_takes_value(row))
            buffer_add_character(buffer, name[1] == '-' ? '=' : '+');
        else if (row->otherwise)
            buffer_add_text(buffer, "=-");
        buffer_add_character(buffer, '[');
        add_zsh_quoted(buffer, row->help, "\\[]:");
        buffer_add_character(buffer, ']');
        if (option_takes_value(row) || row->otherwise) {
            buffer_add_text(buffer, row->otherwise ? "::" : ":");
            add_zsh_quoted(buffer, row->argument, "\\:");
            buffer_add_character(buffer, ':');
            add_zsh_action(buffer, row->words);
        }
        buffer_add_character(buffer, '\'');
    }
}

static void add_zsh_command(struct buffer *buffer, const struct command *command)
{
    buffer_add_format(buffer, "\n_porthole_%s()\n{\n    _arguments", command->name);
    add_rows(buffer, command, add_zsh_row);
    buffer_add_text(buffer, " \\\n        '*:operand:");
    add_zsh_action(buffer, command->operands);
    buffer_add_text(buffer, "'\n}\n");
}

static void add_zsh_commands(struct buffer *buffer)
{
    buffer_add_text(buffer, "\n_porthole_commands()\n{\n    local -a commands=(\n");
    for (size_t i = 0; commands[i]; i++) {
        buffer_add_format(buffer, "        '%s:", commands[i]->name);
        add_zsh_quoted(buffer, commands[i]->summary, "\\:");
        buffer_add_text(buffer, "'\n");
    }
    buffer_add_text(buffer, "    )\n    _describe command commands\n}\n");
}

void help_add_zsh(struct buffer *buffer)
{
    buffer_add_text(buffer, "#compdef porthole ");
    add_command_names(buffer, true);
    buffer_add_character(buffer, '\n');
    add_first_line(buffer, "zsh");
    add_zsh_commands(buffer);
    for (size_t i = 0; commands[i]; i++)
        add_zsh_command(buffer, commands[i]);
    buffer_add_text(buffer,
                    "\n_porthole()\n{\n"
                    "    local curcontext=$curcontext context state state_descr line\n"
                    "    typeset -A opt_args\n"
                    "    if [[ $service != porthole ]] && (( $+functions[_porthole_$service] ))"
                    "; then\n"
                    "        _porthole_$service\n"
                    "        return\n"
                    "    fi\n"
                    "    _arguments -C");
    add_rows(buffer, NULL, add_zsh_row);
    buffer_add_text(buffer,
                    " \\\n        '1:command:_porthole_commands' \\\n"
                    "        '*::operand:->rest'\n"
                    "    if [[ $state == rest ]] && (( $+functions[_porthole_$words[1]] )); "
                    "then\n"
                    "        curcontext=${curcontext%:*:*}:porthole-$words[1]:\n"
                    "        _porthole_$words[1]\n"
                    "    fi\n}\n"
                    "\n"
                    "# Loaded by compinit as a function of this name, or sourced.\n"
                    "if [[ $funcstack[1] == _porthole ]]; then\n"
                    "    _porthole \"$@\"\n"
                    "else\n"
                    "    compdef _porthole porthole ");
    add_command_names(buffer, true);
    buffer_add_text(buffer, "\nfi\n");
}

/* ---- fish ---- */

static void add_fish_quoted(struct buffer *buffer, const char *text)
{
    buffer_add_character(buffer, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buffer_add_character(buffer, '\\');
        buffer_add_character(buffer, *text);
    }
    buffer_add_character(buffer, '\'');
}

static void add_fish_value(struct buffer *buffer, const char *words)
{
    enum value_kind kind = value_kind(words);
    buffer_add_text(buffer, kind == VALUE_FILE ? " -r -F" : " -x");
    if (kind == VALUE_DIRECTORY)
        buffer_add_text(buffer, " -a '(__fish_complete_directories)'");
    if (kind == VALUE_HOST)
        buffer_add_text(buffer, " -a '(__fish_print_hostnames)'");
    if (kind == VALUE_INTERFACE)
        buffer_add_text(buffer, " -a '(__fish_print_interfaces)'");
    if (kind == VALUE_WORDS) {
        buffer_add_text(buffer, " -a '");
        add_words(buffer, words);
        buffer_add_character(buffer, '\'');
    }
}

/* "-s p -l ports": fish tells letters, old-style words and long names apart. */
static void add_fish_names(struct buffer *buffer, const struct option *row)
{
    const char *names = row->names;
    const char *name;
    size_t length;
    while ((name = option_next_name(&names, &length))) {
        bool is_long = name[1] == '-';
        const char *flag = is_long ? "-l" : length == 2 ? "-s" : "-o";
        size_t dashes = is_long ? 2 : 1;
        buffer_add_format(buffer, " %s %.*s", flag, (int)(length - dashes), name + dashes);
    }
}

static void add_fish_option(struct buffer *buffer, const struct option *row)
{
    add_fish_names(buffer, row);
    if (option_takes_value(row))
        add_fish_value(buffer, row->words);
    buffer_add_text(buffer, " -d ");
    add_fish_quoted(buffer, row->help);
    buffer_add_character(buffer, '\n');
}

static void add_fish_condition(struct buffer *buffer, const struct command *command)
{
    if (command)
        buffer_add_format(buffer, "complete -c porthole -n '__porthole_command_is %s'",
                          command->name);
    else
        buffer_add_text(buffer, "complete -c porthole -n 'not __porthole_command_is'");
}

static void add_fish_row(struct buffer *buffer, const struct command *command,
                         const struct option *row)
{
    add_fish_condition(buffer, command);
    add_fish_option(buffer, row);
}

static void add_fish_classic_row(struct buffer *buffer, const struct command *command,
                                 const struct option *row)
{
    buffer_add_format(buffer, "complete -c %s", command->name);
    add_fish_option(buffer, row);
}

/* "-a NAME -d SUMMARY" for each command, on a line that starts with the condition of `command`. */
static void add_fish_commands(struct buffer *buffer, const struct command *command)
{
    for (size_t i = 0; commands[i]; i++) {
        add_fish_condition(buffer, command);
        buffer_add_format(buffer, " -a %s -d ", commands[i]->name);
        add_fish_quoted(buffer, commands[i]->summary);
        buffer_add_character(buffer, '\n');
    }
}

static void add_fish_operands(struct buffer *buffer, const struct command *command)
{
    switch (value_kind(command->operands)) {
    case VALUE_COMMAND:
        add_fish_commands(buffer, command);
        return;
    case VALUE_FILE:
        add_fish_condition(buffer, command);
        buffer_add_text(buffer, " -F\n");
        return;
    case VALUE_ANY:
        return;
    default:
        add_fish_condition(buffer, command);
        add_fish_value(buffer, command->operands);
        buffer_add_character(buffer, '\n');
    }
}

void help_add_fish(struct buffer *buffer)
{
    add_first_line(buffer, "fish");
    buffer_add_text(buffer,
                    "\n"
                    "# True when the command is the one named; without a name, when there is "
                    "one.\n"
                    "function __porthole_command_is\n"
                    "    set -l words (commandline -opc)\n"
                    "    set -q words[2]; or return 1\n"
                    "    test (count $argv) -eq 0 -o \"$words[2]\" = \"$argv[1]\"\n"
                    "end\n"
                    "\n"
                    "complete -c porthole -f\n");
    add_fish_commands(buffer, NULL);
    add_rows(buffer, NULL, add_fish_row);
    for (size_t i = 0; commands[i]; i++) {
        buffer_add_character(buffer, '\n');
        add_fish_operands(buffer, commands[i]);
        add_rows(buffer, commands[i], add_fish_row);
        if (!commands[i]->classic)
            continue;
        buffer_add_format(buffer, "\ncomplete -c %s -f\n", commands[i]->name);
        add_rows(buffer, commands[i], add_fish_classic_row);
    }
}
