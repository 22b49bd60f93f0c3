/* What all commands share: the table, their common options, and how they speak of faults. */
#include "cmd/command.h"

#include "base/buffer.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND(name) extern const struct command command_##name;
#include "cmd/cmd.def"
#undef COMMAND

const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cmd/cmd.def"
#undef COMMAND
    NULL,
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

int command_unknown(const char *name, struct error *error)
{
    struct text_nearest nearest = {.word = name};
    if (name[0] == '-')
        return error_set(
            error, EINVAL,
            "unknown option '%.80s': a command comes first; 'porthole help' lists them", name);
    for (size_t i = 0; commands[i]; i++)
        text_nearest_offer(&nearest, commands[i]->name, strlen(commands[i]->name));
    if (nearest.candidate[0])
        return error_set(error, EINVAL, "unknown command '%.80s'; did you mean '%s'?", name,
                         nearest.candidate);
    return error_set(error, EINVAL, "unknown command '%.80s'; 'porthole help' lists them", name);
}

const struct option common_options[] = {
    {.names = "-h --help",
     .help = "show this help",
     .group = "Common",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct common_options, help)},
    {.names = "--version",
     .help = "show the version",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct common_options, version)},
    OPTION_END,
};

const struct option *command_table(const struct command *command, size_t index)
{
    if (!command)
        return index == 0 ? common_options : NULL;
    if (index == 0)
        return command->options;
    size_t shared = 0;
    while (command->shared && command->shared[shared]) {
        if (++shared == index)
            return command->shared[shared - 1];
    }
    return index == shared + 1 ? common_options : NULL;
}

static void collect_tables(const struct command *command,
                           const struct option *tables[static COMMAND_TABLES])
{
    size_t count = 0;
    while (count < COMMAND_TABLES - 1 && (tables[count] = command_table(command, count)))
        count++;
    tables[count] = NULL;
}

void command_release(const struct command *command, void *options)
{
    const struct option *tables[COMMAND_TABLES];
    collect_tables(command, tables);
    options_release(tables, options);
}

int command_parse(const struct command *command, int argc, char **argv, void *options,
                  int *ret_count)
{
    const struct option *tables[COMMAND_TABLES];
    collect_tables(command, tables);
    const struct common_options *common = options;
    struct error error = {0};
    int count;
    int status;
    int result = options_parse(tables, options, argc, argv, &count, &error);
    if (common->help) { /* also before a fault: who asks for help may well have typed one */
        command_print_help(command);
        status = command_finish(command, EXIT_DONE);
    } else if (common->version) {
        puts("porthole " PORTHOLE_VERSION);
        status = command_finish(command, EXIT_DONE);
    } else if (result < 0) {
        command_complain(command, &error);
        status = result == -ENOMEM ? EXIT_TROUBLE : EXIT_USAGE;
    } else {
        *ret_count = count;
        return -1;
    }
    options_release(tables, options);
    return status;
}

void command_complain(const struct command *command, const struct error *error)
{
    char message[4 * sizeof(error->message) + 1];
    text_escape(error->message, strlen(error->message), message, sizeof(message));
    fprintf(stderr, "porthole%s%s: %s\n", command ? " " : "", command ? command->name : "",
            message);
    /* The text was made harmless by error_set_at(), one character for each byte. */
    if (error->column != ERROR_NO_COLUMN && error->text[0])
        fprintf(stderr, "  %s\n  %*s^\n", error->text, (int)error->column, "");
}

void command_warn(const struct command *command, const char *format, ...)
{
    struct error error = {.column = ERROR_NO_COLUMN};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    command_complain(command, &error);
}

/* stdio does not keep the errno of a write that failed earlier. Callers stop writing at ferror()
 * and come here, so that it is most often still in errno; what write() never says is left over from
 * elsewhere. */
static int write_fault(int code)
{
    static const int codes[] = {EPIPE, ENOSPC, EDQUOT, EFBIG, EBADF};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (code == codes[i])
            return code;
    }
    return EIO;
}

/* The pipe itself tells, whatever became of errno. */
static bool reader_is_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & POLLERR);
}

int command_finish(const struct command *command, int status)
{
    int code = errno;
    if (fflush(stdout) != 0)
        code = errno;
    else if (!ferror(stdout))
        return status;
    if (code == EPIPE || reader_is_gone())
        return EXIT_SIGNAL + SIGPIPE;
    command_warn(command, "cannot write standard output: %s", strerror(write_fault(code)));
    return EXIT_TROUBLE;
}
