/* Command lookup, by the name the program was called by or by the first word, and the end. */
#include "cmd/command.h"
#include "cmd/terminal_mode.h"

#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A closed standard descriptor would be given to the next socket or file, which would then receive
 * what is meant for a person. An unreadable or unwritable one takes its place, so that using it is
 * an error. */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int run_words(int argc, char **argv)
{
    struct error error;
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        puts("porthole " PORTHOLE_VERSION);
        return command_finish(NULL, EXIT_DONE);
    }
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        command_print_help(NULL);
        return command_finish(NULL, EXIT_DONE);
    }
    const struct command *command = command_find(word);
    if (command)
        return command->run(command, argc - 1, argv + 1);
    command_unknown(word, &error);
    command_complain(NULL, &error);
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    const struct command *command = argc > 0 ? command_find(basename(argv[0])) : NULL;
    if (command && command->classic)
        return command->run(command, argc, argv);
    if (argc > 1)
        return run_words(argc, argv);
    command_warn(NULL, "which command? 'porthole help' lists them");
    return EXIT_USAGE;
}

/* A program that a signal ended must be seen to have been: only then does a shell end its loop at
 * Ctrl-C, and systemd take SIGTERM for a proper end. A shell says 128 + N in any case. */
static void die_by_signal(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    terminal_mode_end(); /* as exit() would */
    fflush(NULL);
    signal(number, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed reader is an EPIPE, seen where the writing is done */
    occupy_standard_descriptors();
    int status = run(argc, argv), number = status - EXIT_SIGNAL;
    if (number == SIGINT || number == SIGTERM || number == SIGHUP)
        die_by_signal(number);
    return status;
}
