/* listen: be a port. */
#include "cmd/talk_listen.h"

#define FIELD(name) offsetof(struct talk_options, name)

static const struct option bind_option[] = {
    {.names = "-l --bind",
     .argument = "ADDRESS",
     .help = "listen on this address of this machine (default: loopback)",
     .group = "Who may come",
     .kind = OPTION_TEXT,
     .offset = FIELD(bind)},
    OPTION_END,
};

static const struct option options_table[] = {
    {.names = "--keep",
     .help = "serve any number of clients, one after another and at once: all that they say is "
             "printed, "
             "and what is typed goes to all of them",
     .group = "Who answers",
     .kind = OPTION_FLAG,
     .offset = FIELD(keep)},
    {.names = "-b --broker",
     .help = "what one client says all the others hear",
     .kind = OPTION_FLAG,
     .offset = FIELD(broker)},
    {.names = "--chat",
     .help = "the same line by line, with the speaker's name in front",
     .kind = OPTION_FLAG,
     .offset = FIELD(chat)},
    {.names = "--http",
     .help = "answer each HTTP request with a page that shows the request as it came, and print it",
     .kind = OPTION_FLAG,
     .offset = FIELD(http)},
    {.names = "-e --exec",
     .argument = "PROGRAM",
     .help =
         "run PROGRAM, with its arguments, for each connection: whoever connects uses it with your "
         "rights",
     .kind = OPTION_TEXT,
     .offset = FIELD(program)},
    {.names = "-c --shell",
     .argument = "COMMAND",
     .help = "the same with a line for /bin/sh",
     .kind = OPTION_TEXT,
     .offset = FIELD(shell)},
    {.names = "--answer",
     .argument = "WHOM",
     .help = "of UDP, whom to answer: the peer heard last, or all (default last)",
     .kind = OPTION_TEXT,
     .offset = FIELD(answer),
     .words = "last|all"},
    OPTION_END,
};

static const struct option *const shared[] = {
    talk_kind_options,    bind_option, talk_accept_options, talk_tls_options, talk_content_options,
    talk_general_options, NULL,
};

static const struct command_example examples[] = {
    {"listen 8080", "show what the first client says, and answer it by typing"},
    {"listen --http 8080", "a page for each request that shows it as it came"},
    {"listen --tls --all --keep 8443", "many clients, from anywhere, inside TLS"},
    {NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    struct talk_options options;
    int count;
    talk_options_init(&options);
    int status = command_parse(command, argc, argv, &options, &count);
    if (status >= 0)
        return status;
    status = talk_listen(command, &options, argv, count);
    command_release(command, &options);
    return status;
}

const struct command command_listen = {
    .name = "listen",
    .summary = "be a port: show who connects and what they say, and answer",
    .usage = "[OPTION]… PORT\n[OPTION]… [KIND:][HOST:]PORT\n[OPTION]… --unix PATH",
    .description =
        "What the client says goes to standard output, and standard input to the client, until "
        "both "
        "have ended, as with `connect`. Without --keep there is one client. PORT 0 lets the kernel "
        "choose one, which is said on standard error.\n"
        "\n"
        "Only this machine can connect, unless --all or --bind says otherwise. A UDP port has no "
        "connections: datagrams of all peers are printed. With --tls and no --cert a certificate "
        "is "
        "made for this run, and its fingerprint said.\n"
        "\n"
        "With --keep a client that does not read is dropped once 1 MiB waits for it, and the "
        "others go "
        "on. Programs of --exec and --shell find who connected in NCAT_REMOTE_ADDR and "
        "NCAT_REMOTE_PORT. A socket that systemd hands over (LISTEN_FDS) is used instead of PORT.\n"
        "\n"
        "The exit status is 0 when the conversation ended, 1 when it was cut off, 2 for a wrong "
        "command line, and 3 for trouble on this machine: a port that is in use, say.",
    .options = options_table,
    .shared = shared,
    .examples = examples,
    .run = run,
};
