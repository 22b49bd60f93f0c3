/* The classic name `curl`: `get` with curl's own flags, words and exit statuses. */
#include "cmd/get_run.h"

extern const struct command command_curl;

#define ABSENT(spellings, instead)                                                                 \
    {                                                                                              \
        .names = (spellings), .help = (instead), .kind = OPTION_ABSENT                             \
    }

#define NEEDLESS(spellings, why)                                                                   \
    {                                                                                              \
        .names = (spellings), .help = (why), .kind = OPTION_FLAG, .offset = GET_FIELD(nothing)     \
    }

static const struct option options[] = {
    {.names = "-v --verbose",
     .help = "show the conversation on standard error",
     .kind = OPTION_COUNT,
     .offset = GET_FIELD(verbose)},
    {.names = "--json",
     .argument = "DATA",
     .help = "send this JSON in a POST; @FILE is a file",
     .kind = OPTION_CALL,
     .set = get_set_data},
#include "cmd/get_options.def"
    {.names = "-V",
     .help = "show the version",
     .group = "Curl's",
     .kind = OPTION_FLAG,
     .offset = GET_FIELD(common.version)},
    NEEDLESS("-q --disable", "accepted: ~/.curlrc is never read"),
    NEEDLESS("-N --no-buffer", "accepted: nothing is held back"),
    NEEDLESS("-g --globoff", "accepted: brackets and braces mean nothing in any case"),
    NEEDLESS("-# --progress-bar --no-progress-meter",
             "accepted: progress is one line, on a terminal alone"),
    NEEDLESS("--tlsv1 --tcp-nodelay --no-keepalive --no-sessionid",
             "accepted: makes no difference here"),
    ABSENT("-F --form --form-string", "forms with files are not made here; -d sends simple ones"),
    ABSENT("-K --config", "no file of options is read: give them here"),
    ABSENT("-n --netrc --netrc-file --netrc-optional", "give -u NAME:PASSWORD"),
    ABSENT("-C --continue-at", "a file is whole or not there; -r asks for a part"),
    ABSENT("-a --append", "it is for other protocols than http and https"),
    ABSENT("-Q --quote", "it is for other protocols than http and https"),
    ABSENT("-p --proxytunnel", "https goes through a proxy by CONNECT in any case"),
    ABSENT("-z --time-cond", "give -H 'If-Modified-Since: DATE'"),
    ABSENT("-J --remote-header-name", "a server does not choose the names of files here: -o FILE"),
    ABSENT("-Z --parallel", "URLs are asked for one after another"),
    ABSENT("-: --next", "run it once for each"),
    ABSENT("--socks4 --socks4a --socks5 --socks5-hostname",
           "give -x socks4://, socks4a://, socks5:// or socks5h:// and HOST:PORT"),
    ABSENT("--retry --retry-delay --retry-max-time --retry-all-errors --retry-connrefused",
           "nothing is tried again by itself"),
    ABSENT("--trace --trace-ascii", "-v shows what is said"),
    ABSENT("--limit-rate", "nothing is held back here"),
    ABSENT("--ntlm --negotiate --aws-sigv4", "--basic and --digest are what is spoken"),
    OPTION_END,
};

static const struct command_example examples[] = {
    {"curl http://localhost:8080", "the page that a server on this machine answers with"},
    {"curl -fsS -o /dev/null -w '%{http_code}\\n' http://localhost/", "its status alone"},
    {NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    struct get_given given = {.get.redirects_maximum = 50, .classic = true};
    return get_run(command, &given, argc, argv);
}

const struct command command_curl = {
    .name = "curl",
    .summary = "what curl does with http and https",
    .usage = "[OPTION]… URL…",
    .description =
        "Takes curl's options and ends with curl's exit statuses: 6 when the host is not known, 7 "
        "when it cannot be connected to, 22 for a status of 400 or above with -f, 23 when the body "
        "cannot be written, 28 when the time was over, 35 and 60 for TLS, 47 for too many "
        "redirects, 52 for an empty answer, 130 after Ctrl-C. Wrong options are 2.\n"
        "\n"
        "It speaks http and https alone, reads no ~/.curlrc and no ~/.netrc, takes brackets and "
        "braces in URLs as they are, and writes a FILE of -o whole or not at all. It calls itself "
        "porthole. 'porthole get' is the same with porthole's exit statuses and JSON records.",
    .options = options,
    .examples = examples,
    .operands = "@host",
    .classic = true,
    .run = run,
};
