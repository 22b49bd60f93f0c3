/* get: what a URL answers, and how. */
#include "cmd/get_run.h"

extern const struct command command_get;

static const struct option options[] = {
    {.names = "-v --verbose",
     .help = "show the conversation on standard error: what is connected to, '>' what is sent, '<' "
             "the headers that come back, and how long each part took; twice: what libcurl does "
             "besides",
     .kind = OPTION_COUNT,
     .offset = GET_FIELD(verbose)},
    {.names = "--json",
     .help = "print JSON Lines, one record of the type \"exchange\" for each request; bodies are "
             "left out, or go where -o says",
     .kind = OPTION_FLAG,
     .offset = GET_FIELD(records)},
#include "cmd/get_options.def"
    OPTION_END,
};

static const struct command_example examples[] = {
    {"get localhost:8080", "the page that a server on this machine answers with"},
    {"get -v https://localhost:8443/", "and all that was said for it, with its times"},
    {"get -IL http://localhost/", "the headers alone, along all redirects"},
    {"get -d name=value -o answer.html http://localhost/form", "a form is sent, a file comes back"},
    {NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    struct get_given given = {.get.redirects_maximum = 50};
    return get_run(command, &given, argc, argv);
}

const struct command command_get = {
    .name = "get",
    .summary = "ask an HTTP or HTTPS server for a page, and see what is said",
    .usage = "[OPTION]… URL…",
    .description =
        "Prints the body that each URL answers with. A URL without a scheme is http, and https at "
        "the ports 443 and 8443. Nothing but http and https is spoken.\n"
        "\n"
        "A FILE of -o is there when all of the body has come, and else it is as it was before. A "
        "body "
        "that is not text is not shown on a terminal. What a server says outside the body is shown "
        "with its control characters escaped.\n"
        "\n"
        "Another host than the first one is told neither user and password nor cookies that were "
        "given as text, and no header Authorization, Cookie or Host.\n"
        "\n"
        "The environment variables http_proxy, https_proxy, all_proxy and no_proxy name proxies, "
        "SSL_CERT_FILE a file of authorities. ~/.netrc and ~/.curlrc are not read.\n"
        "\n"
        "The exit status is 0 when every URL was answered, whatever the answer was (-f: with a "
        "status below 400), 1 when a server could not be reached, broke off or was not believed, 2 "
        "for a URL that is none, and 3 when this machine failed.",
    .options = options,
    .examples = examples,
    .operands = "@host",
    .run = run,
};
