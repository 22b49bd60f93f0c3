/* The classic name `nc`: OpenBSD's netcat and ncat, on `connect`, `listen` and the scan engine. */
#include "base/file.h"
#include "cmd/nc_options.h"
#include "cmd/nc_scan.h"
#include "cmd/talk_connect.h"
#include "cmd/talk_listen.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern const struct command command_nc;

#define FILE_LIMIT ((size_t)1 << 20) /* of --allowfile and --denyfile */

/* ---- networks ---- */

/* Adds the words between `separators` to a list. */
static int add_words(struct nc_options *options, struct option_list *list, const char *text,
                     const char *separators, struct error *error)
{
    while (*(text += strspn(text, separators))) {
        size_t length = strcspn(text, separators);
        char *word = arena_take(&options->arena, length + 1);
        if (word)
            memcpy(word, text, length);
        if (!word || option_list_add(list, word) < 0)
            return error_set(error, ENOMEM, "out of memory");
        text += length;
    }
    return 0;
}

/* Of a file of networks: what stands behind a "#" is a comment. */
static int add_file(struct nc_options *options, struct option_list *list, const char *path,
                    struct error *error)
{
    struct buffer text = {0};
    int failed = file_read(path, FILE_LIMIT, &text, error);
    if (!failed && text.length && memchr(text.data, '\0', text.length))
        failed = error_set(error, EINVAL, "'%s' is no file of networks", path);
    char *comment = failed || !text.data ? NULL : strchr(text.data, '#');
    for (; comment; comment = strchr(comment, '#'))
        memset(comment, ' ', strcspn(comment, "\n"));
    if (!failed && text.data)
        failed = add_words(options, list, text.data, ", \t\r\n", error);
    buffer_release(&text);
    return failed;
}

static int add_networks(struct nc_options *options, const struct nc_networks *networks,
                        struct option_list *list, struct error *error)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < networks->words.count; i++)
        failed = add_words(options, list, networks->words.items[i], ",", error);
    for (size_t i = 0; !failed && i < networks->files.count; i++)
        failed = add_file(options, list, networks->files.items[i], error);
    return failed;
}

/* ---- from nc's options to those of the verbs ---- */

static void add_escaped(struct buffer *url, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text))
            buffer_add_character(url, *text);
        else
            buffer_add_format(url, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

/* One URL of what -x, -X, --proxy, --proxy-type and the login say. */
static int make_proxy(struct nc_options *given, struct error *error)
{
    const char *host = given->x_host ? given->x_host : given->proxy_host;
    const char *login = given->proxy_login ? given->proxy_login : getenv("NCAT_PROXY_AUTH");
    const char *scheme = given->proxy_type ? given->proxy_type : "http";
    struct buffer url = {0}, user = {0};
    if (!host)
        return 0;
    if (given->x_host)
        scheme = !given->x_version || given->x_version[0] == '5' ? "socks5"
                 : given->x_version[0] == '4'                    ? "socks4"
                                                                 : "http";
    buffer_add_format(&url, "%s://", scheme);
    if (login) {
        const char *password = strchr(login, ':');
        buffer_add(&user, login, password ? (size_t)(password - login) : strlen(login));
        if (user.data)
            add_escaped(&url, user.data);
        if (password) {
            buffer_add_character(&url, ':');
            add_escaped(&url, password + 1);
        }
        buffer_add_character(&url, '@');
    }
    buffer_add_text(&url, host);
    char *word = url.failed || user.failed ? NULL : arena_take(&given->arena, url.length + 1);
    if (word)
        memcpy(word, url.data, url.length);
    given->talk.proxy = word;
    buffer_release(&url);
    buffer_release(&user);
    return word ? 0 : error_set(error, ENOMEM, "out of memory");
}

/* The end of input, and the other side's: docs/nc.md has the table of what each netcat does. */
static void set_ends(struct nc_options *given)
{
    struct talk_options *talk = &given->talk;
    talk->on_eof = given->shutdown ? PAIR_SHUTDOWN : PAIR_KEEP;
    if (given->quits || talk->send_only) {
        talk->on_eof = PAIR_CLOSE;
        talk->eof_patience = given->quits ? given->quit_after : 0;
    }
    if (given->listen && !talk->keep && !talk->send_only)
        talk->on_peer_eof = PAIR_CLOSE;
    if (given->wait) {
        talk->connect_timeout = talk->connect_timeout ? talk->connect_timeout : given->wait;
        talk->idle_is_end = talk->idle_timeout == 0;
        talk->idle_timeout = talk->idle_timeout ? talk->idle_timeout : given->wait;
    }
}

static int translate(const struct command *command, struct nc_options *given, struct error *error)
{
    struct talk_options *talk = &given->talk;
    uint16_t port = 0;
    int failed = make_proxy(given, error);
    if (!failed)
        failed = add_networks(given, &given->allow, &talk->allow, error);
    if (!failed)
        failed = add_networks(given, &given->deny, &talk->deny, error);
    if (!failed && given->port && !given->listen)
        failed = endpoint_parse_port(talk->udp ? ENDPOINT_UDP : ENDPOINT_TCP, ENDPOINT_DIAL,
                                     given->port, &port, error);
    if (failed)
        return failed;
    set_ends(given);
    talk->source_port = port;
    talk->netcat = true;
    talk->quiet = talk->verbose == 0;
    talk->tls = given->tls || given->any_tls || given->verify_tls;
    talk->insecure = talk->tls && !given->tls && !given->verify_tls && !given->listen;
    if (given->certificate_name)
        talk->server_name = given->certificate_name;
    if (talk->insecure)
        command_warn(command, "--ssl believes any certificate; --ssl-verify checks it");
    return 0;
}

/* ---- operands ---- */

/* [ADDRESS] PORT, either of which -s and -p may have named; all addresses when nobody has. Without
 * a port there is one less than two words. */
static int listening_words(const struct nc_options *given, char **words, int count,
                           const char *ret_words[static 2], struct error *error)
{
    static const char everywhere[] = "*";
    const char *host = given->talk.source, *port = given->port;
    int left = 0;
    if (!host && count - left == (port ? 1 : 2))
        host = words[left++];
    if (!port && count - left == 1)
        port = words[left++];
    if (!port || left != count)
        return error_set(error, EINVAL,
                         port ? "'%s' is too much: -l takes [ADDRESS] PORT"
                              : "which port to be? Give -l [ADDRESS] PORT",
                         left < count ? words[left] : "");
    ret_words[0] = host ? host : everywhere;
    ret_words[1] = port;
    return 0;
}

static int start_listening(const struct command *command, struct nc_options *given, char **words,
                           int count)
{
    struct error error = {0};
    const char *place[2];
    char *copies[2];
    if (given->talk.unix_path)
        return talk_listen(command, &given->talk, NULL, 0);
    int failed = listening_words(given, words, count, place, &error);
    given->talk.source = NULL;
    for (int i = 0; !failed && i < 2; i++) {
        copies[i] = arena_take(&given->arena, strlen(place[i]) + 1);
        if (copies[i])
            strcpy(copies[i], place[i]);
        else
            failed = error_set(&error, ENOMEM, "out of memory");
    }
    if (!failed)
        return talk_listen(command, &given->talk, copies, 2);
    command_complain(command, &error);
    return failed == -EINVAL ? EXIT_USAGE : EXIT_TROUBLE;
}

static int start_connecting(const struct command *command, const struct nc_options *given,
                            char **words, int count)
{
    if (given->talk.unix_path)
        return talk_connect(command, &given->talk, NULL, 0);
    if (count == 2)
        return talk_connect(command, &given->talk, words, 2);
    if (count < 2)
        command_warn(command,
                     count ? "which port? Give HOST PORT" : "whom to connect to? Give HOST PORT");
    else
        command_warn(command, "'%s' is too much: several ports are for -z", words[2]);
    return EXIT_USAGE;
}

static int start_scanning(const struct command *command, const struct nc_options *given,
                          char **words, int count)
{
    if (count < 2) {
        command_warn(command, "which ports? Give -z HOST PORT…");
        return EXIT_USAGE;
    }
    return nc_scan(
        &(struct nc_scan){.command = command,
                          .host = words[0],
                          .ports = words + 1,
                          .count = count - 1,
                          .family = talk_family(&given->talk),
                          .numeric = given->talk.numeric,
                          .random = given->random,
                          .tell = given->talk.verbose != 0,
                          .timeout = given->wait ? given->wait : given->talk.connect_timeout});
}

static int start(const struct command *command, struct nc_options *given, char **words, int count)
{
    struct error error = {0};
    int failed = nc_options_check(given, &error);
    if (!failed)
        failed = translate(command, given, &error);
    if (!failed && given->unix_socket) {
        if (count != 1)
            failed = error_set(&error, EINVAL, "-U takes one operand, the socket's path");
        else
            given->talk.unix_path = words[0];
    }
    if (failed) {
        command_complain(command, &error);
        return failed == -EINVAL ? EXIT_USAGE : EXIT_TROUBLE;
    }
    if (given->scan)
        return start_scanning(command, given, words, count);
    return given->listen ? start_listening(command, given, words, count)
                         : start_connecting(command, given, words, count);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct nc_options given = {0};
    int count;
    talk_options_init(&given.talk);
    int status = command_parse(command, argc, argv, &given, &count);
    if (status < 0) {
        status = start(command, &given, argv, count);
        command_release(command, &given);
        free(given.talk.allow.items);
        free(given.talk.deny.items);
    }
    arena_release(&given.arena);
    /* ncat's 2 is for everything that is not the network. */
    return status == EXIT_TROUBLE ? EXIT_USAGE : status;
}

static const struct command_example examples[] = {
    {"nc -l 8080", "be port 8080 for one client"},
    {"nc localhost 8080", "type to whatever listens there"},
    {"nc -zv localhost 20-25 80", "which of these ports are open"},
    {"nc -N host 9000 < file", "send a file, and its end"},
    {NULL, NULL},
};

const struct command command_nc = {
    .name = "nc",
    .summary = "what OpenBSD's netcat and ncat do, by their flags",
    .usage = "[OPTION]… HOST PORT\n-l [OPTION]… [ADDRESS] PORT\n-z [OPTION]… HOST PORT…\n"
             "-U [OPTION]… PATH",
    .description =
        "A letter means what it means to OpenBSD's nc; ncat's options have their long names. "
        "Ports are numbers, names of services or, with -z, ranges. Without an address -l listens "
        "on all of them, which `porthole listen` does not.\n"
        "\n"
        "At the end of standard input the other side is told nothing and reading goes on, unless "
        "-N, -q or --send-only says otherwise; -l ends with the client. On a terminal the other "
        "side's end is the end.\n"
        "\n"
        "The exit status is 0 when the conversation ended or, with -z, a port is open; 1 when the "
        "other side refused, reset, was silent or could not be found; and 2 for a wrong command "
        "line and all other trouble.",
    .options = nc_options_table,
    .examples = examples,
    .operands = "@host",
    .classic = true,
    .run = run,
};
