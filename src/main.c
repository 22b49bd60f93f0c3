/* Command lookup, and nothing else: by the name the program was called by, or by the first word. */
#include "base/text.h"
#include "cmd/command.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct command *nearest_command(const char *name)
{
    const struct command *nearest = NULL;
    unsigned least = 3; /* edits; more than two are another word */
    for (size_t i = 0; commands[i]; i++) {
        unsigned edits = text_edits(name, commands[i]->name);
        if (edits < least) {
            least = edits;
            nearest = commands[i];
        }
    }
    return nearest;
}

static int unknown_command(const char *name)
{
    char escaped[128];
    const struct command *nearest = nearest_command(name);
    text_escape(name, strlen(name), escaped, sizeof(escaped));
    if (nearest)
        command_warn(NULL, "unknown command '%s'; did you mean '%s'?", escaped, nearest->name);
    else
        command_warn(NULL, "unknown command '%s'; 'porthole help' lists them", escaped);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed reader is an EPIPE, seen where the writing is done */
    const struct command *command = argc > 0 ? command_find(basename(argv[0])) : NULL;
    if (command && command->classic)
        return command->run(command, argc, argv);
    if (argc < 2) {
        command_warn(NULL, "which command? 'porthole help' lists them");
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        puts("porthole " PORTHOLE_VERSION);
        return command_finish(NULL, EXIT_DONE);
    }
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        command_print_help(NULL);
        return command_finish(NULL, EXIT_DONE);
    }
    command = command_find(word);
    return command ? command->run(command, argc - 1, argv + 1) : unknown_command(word);
}
