/* connect: talk to a port. */
#include "cmd/talk_connect.h"

static const struct option options_table[] = {
    {.names = "--telnet",
     .help = "speak the telnet protocol: options, line ends, and ^] for commands",
     .group = "Kind of port",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct talk_options, telnet)},
    {.names = "-e --escape",
     .argument = "CHAR",
     .help = "of --telnet: the character that leads to its commands: one, one with Ctrl (^]), or "
             "none (default ^])",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct talk_options, escape)},
    {.names = "--exec",
     .argument = "PROGRAM",
     .help =
         "instead of standard input and output, PROGRAM with its arguments talks: whoever is there "
         "uses it with your rights",
     .group = "Who talks",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct talk_options, program)},
    {.names = "--shell",
     .argument = "COMMAND",
     .help = "the same with a line for /bin/sh",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct talk_options, shell)},
    OPTION_END,
};

static const struct option *const shared[] = {
    talk_kind_options,    talk_dial_options,    talk_tls_options,
    talk_content_options, talk_general_options, NULL,
};

static const struct command_example examples[] = {
    {"connect localhost 8080", "type to whatever listens there, and read its answers"},
    {"connect --tls example.org 443", "the same inside TLS, the certificate checked"},
    {"connect --hex --crlf localhost 25", "a dump of both directions"},
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
    status = talk_connect(command, &options, argv, count);
    command_release(command, &options);
    return status;
}

const struct command command_connect = {
    .name = "connect",
    .summary = "talk to a port: TCP, UDP, TLS, Unix, telnet",
    .usage = "[OPTION]… HOST PORT\n[OPTION]… [KIND:]HOST:PORT\n[OPTION]… --unix PATH",
    .description =
        "Standard input goes to the port, and what it says to standard output, until both have "
        "ended. PORT is a number or a service's name; KIND is tcp, udp, tls or unix (unix:/path). "
        "An IPv6 address before a port stands in brackets: [::1]:80.\n"
        "\n"
        "The end of standard input is passed on (a TCP FIN, TLS's close_notify), and reading goes "
        "on until the peer ends as well; --on-eof says otherwise. On a terminal the peer's end is "
        "the end; from a pipe or a file what is left is still sent. Nothing is lost or cut. UDP "
        "has no "
        "end: there each read of standard input, a line on a terminal, is a datagram, and "
        "--on-eof close or --idle-timeout ends the conversation.\n"
        "\n"
        "What happens is said on standard error with -v, or when that is a terminal. The exit "
        "status "
        "is 0 when the conversation ended, 1 when the other side refused, reset or was silent, 2 "
        "for "
        "a wrong command line, and 3 for trouble on this machine.",
    .options = options_table,
    .shared = shared,
    .examples = examples,
    .operands = "@host",
    .run = run,
};
