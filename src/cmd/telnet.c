/* telnet: the classic name. */
#include "cmd/talk_connect.h"

#define FIELD(name) offsetof(struct talk_options, name)
#define DEFAULT_PORT "23"

static const struct option options_table[] = {
    {.names = "-4",
     .help = "IPv4 only",
     .group = "Options",
     .kind = OPTION_FLAG,
     .offset = FIELD(ipv4)},
    {.names = "-6", .help = "IPv6 only", .kind = OPTION_FLAG, .offset = FIELD(ipv6)},
    {.names = "-8",
     .help = "ask for binary mode in both directions",
     .kind = OPTION_FLAG,
     .offset = FIELD(binary)},
    {.names = "-L",
     .help = "ask for binary mode for what is sent",
     .kind = OPTION_FLAG,
     .offset = FIELD(binary_output)},
    {.names = "-E",
     .help = "no character is the escape character",
     .kind = OPTION_FLAG,
     .offset = FIELD(no_escape)},
    {.names = "-e",
     .argument = "CHAR",
     .help = "the escape character: one, one with Ctrl (^]), or none (default ^])",
     .kind = OPTION_TEXT,
     .offset = FIELD(escape)},
    {.names = "-l",
     .argument = "USER",
     .help = "log in as USER, where the server asks for it (NEW-ENVIRON)",
     .kind = OPTION_TEXT,
     .offset = FIELD(login)},
    {.names = "-b",
     .argument = "ADDRESS",
     .help = "come from this address of this machine",
     .kind = OPTION_TEXT,
     .offset = FIELD(source)},
    {.names = "-w",
     .argument = "TIME",
     .help = "give up when no connection is made within TIME",
     .kind = OPTION_DURATION,
     .offset = FIELD(connect_timeout),
     .minimum = 1000000,
     .maximum = UINT64_C(86400000000000)},
    {.names = "-d",
     .help = "say which options are negotiated",
     .kind = OPTION_COUNT,
     .offset = FIELD(verbose)},
    {.names = "-a",
     .help = "-l names the user; nobody is logged in without being named",
     .kind = OPTION_ABSENT},
    {.names = "-x",
     .help = "telnet's encryption protects nothing; use `porthole connect --tls --telnet` or ssh",
     .kind = OPTION_ABSENT},
    OPTION_END,
};

static const struct command_example examples[] = {
    {"telnet localhost 8080", "type to whatever listens there; ^] and then quit ends it"},
    {"telnet -l guest 192.0.2.1", "log in on port 23"},
    {NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    static char port[] = DEFAULT_PORT;
    struct talk_options options;
    int count;
    talk_options_init(&options);
    int status = command_parse(command, argc, argv, &options, &count);
    if (status >= 0)
        return status;
    options.telnet = options.telnet_words = true;
    char *words[] = {count ? argv[0] : NULL, count > 1 ? argv[1] : port};
    if (count < 1 || count > 2) {
        command_warn(command, "give HOST, and perhaps PORT");
        status = EXIT_USAGE;
    } else {
        status = talk_connect(command, &options, words, 2);
    }
    command_release(command, &options);
    return status;
}

const struct command command_telnet = {
    .name = "telnet",
    .summary = "`connect --telnet` by telnet's own name and flags",
    .usage = "[OPTION]… HOST [PORT]",
    .description =
        "Connects to HOST, port 23 or PORT (a number or a service's name). On port 23 the options "
        "of the protocol are offered first; elsewhere the server's are only answered, so that any "
        "line-oriented service can be talked to.\n"
        "\n"
        "The escape character leads to the prompt 'telnet> ', which takes quit, close, status, "
        "send, mode, z and ?, each as short as it is clear; an empty line goes back. The terminal "
        "sends whole lines until the server asks for single characters. Then Ctrl-C and its like "
        "are the server's; while lines are sent they are this program's, except for Ctrl-D, which "
        "is sent.\n"
        "\n"
        "Terminal type, window size and, with -l, the user's name are told to servers that ask; "
        "nothing else of the environment is.",
    .options = options_table,
    .examples = examples,
    .operands = "@host",
    .classic = true,
    .run = run,
};
