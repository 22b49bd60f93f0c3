/* struct talk: setting up and taking down what conversations need. */
#include "cmd/talk_session.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/confine.h"
#include "cmd/talk_replay.h"
#include "net/service.h"
#include "net/target.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- words for the person ---- */

void talk_say(const struct talk *talk, const char *format, ...)
{
    char message[1024], escaped[4 * sizeof(message) + 1];
    va_list arguments;
    if (!talk->chatty)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    text_escape(message, strlen(message), escaped, sizeof(escaped));
    fprintf(stderr, "%s\n", escaped);
}

int talk_status_of(const struct error *error)
{
    static const int ours[] = {ENOMEM, EMFILE, ENFILE,  EADDRNOTAVAIL, EADDRINUSE,
                               EPERM,  ENOSPC, ENOBUFS, EAFNOSUPPORT};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (error->code == ours[i])
            return EXIT_TROUBLE;
    return error->code == EINVAL ? EXIT_USAGE : EXIT_INCOMPLETE;
}

void talk_check_view(struct talk *talk)
{
    if (talk->view.error.code)
        talk_stop(talk, talk->view.broken ? EXIT_SIGNAL + SIGPIPE : EXIT_TROUBLE);
}

const char *talk_protocol(const struct endpoint *endpoint)
{
    static const char *const names[] = {[ENDPOINT_TCP] = "tcp",
                                        [ENDPOINT_UDP] = "udp",
                                        [ENDPOINT_TLS] = "tls",
                                        [ENDPOINT_UNIX] = "unix"};
    return names[endpoint->kind];
}

static void say_date(uint64_t wall, char text[static 16])
{
    char whole[CLOCK_TEXT_SIZE];
    snprintf(text, 16, "%.10s", clock_format(wall, whole));
}

static void say_tls(const struct talk *talk, const struct channel *channel)
{
    struct tls_description *tls = calloc(1, sizeof(*tls));
    if (!tls || !talk->chatty) {
        free(tls);
        return;
    }
    channel_tls_describe(channel, tls);
    talk_say(talk, "%s, %s%s%s%s%s", tls->protocol, tls->cipher, tls->group[0] ? ", " : "",
             tls->group, tls->alpn[0] ? ", ALPN " : "", tls->alpn);
    for (size_t i = 0; talk->options->verbose && i < tls->count; i++) {
        const struct tls_certificate *certificate = &tls->chain[i];
        char from[16], until[16];
        say_date(certificate->from, from);
        say_date(certificate->until, until);
        talk_say(talk, "certificate %zu: %s, issued by %s, valid from %s until %s", i,
                 certificate->subject, certificate->issuer, from, until);
        if (i == 0)
            talk_say(talk, "certificate 0: for %s; SHA-256 %s",
                     certificate->names[0] ? certificate->names : "no host",
                     certificate->fingerprint);
    }
    if (tls->count)
        talk_say(talk, "the certificate is %s%s",
                 tls->verified ? "believed" : "not believed: ", tls->verified ? "" : tls->verdict);
    free(tls);
}

/* "Connection to localhost (127.0.0.1) 8080 port [tcp/http-alt] succeeded!" */
static void say_as_nc(const struct talk *talk, const struct endpoint *endpoint,
                      const struct peer *peer)
{
    char address[ADDRESS_TEXT_SIZE] = "";
    enum protocol protocol = endpoint->kind == ENDPOINT_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
    struct service service;
    bool known = service_find((struct port){protocol, endpoint->port}, &service);
    if (peer->kind == PEER_INTERNET && !talk->options->proxy)
        address_format(&peer->address, address);
    bool named = address[0] && strcmp(address, endpoint->host) != 0;
    talk_say(talk, "Connection to %s%s%s%s %u port [%s/%s] succeeded!", endpoint->host,
             named ? " (" : "", named ? address : "", named ? ")" : "", endpoint->port,
             protocol_name(protocol), known ? service.name : "*");
}

void talk_tell_dial(const struct talk *talk, const struct endpoint *endpoint, enum dial_event event,
                    const struct peer *peer, const struct channel *channel,
                    const struct error *error)
{
    enum dial_event last = talk->options->proxy ? DIAL_PROXIED : DIAL_CONNECTED;
    if (talk->options->netcat && event == last && endpoint->kind != ENDPOINT_UNIX)
        say_as_nc(talk, endpoint, peer);
    if (talk->options->netcat && event != DIAL_FAILED && event != DIAL_SECURED)
        return;
    char text[PEER_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    const char *host = endpoint->host;
    bool internet = peer->kind == PEER_INTERNET;
    if (internet)
        address_format(&peer->address, address);
    else
        peer_format(peer, text);
    switch (event) {
    case DIAL_TRYING:
        if (endpoint->kind != ENDPOINT_UDP)
            talk_say(talk, "Trying %s...", internet ? address : text);
        break;
    case DIAL_FAILED:
        talk_say(talk, "%s", error->message);
        break;
    case DIAL_CONNECTED:
        if (endpoint->kind == ENDPOINT_UDP)
            talk_say(talk, "Sending to %s.", peer_format(peer, text));
        else if (talk->options->proxy)
            talk_say(talk, "Connected to the %s proxy at %s.", proxy_kind_name(talk->proxy.kind),
                     peer_format(peer, text));
        else
            talk_say(talk, "Connected to %s.", internet ? host : text);
        break;
    case DIAL_PROXIED:
        talk_say(talk, "Connected to %s by the proxy.", host);
        break;
    case DIAL_SECURED:
        say_tls(talk, channel);
        break;
    }
}

void talk_tell_listener(void *user, enum listener_event event, const struct peer *peer,
                        const struct channel *channel, const struct error *error)
{
    struct talk *talk = user;
    char text[PEER_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    const char *where = peer ? peer_format(peer, text) : "";
    const char *separator = "";
    char port[8] = "";
    if (peer && peer->kind == PEER_INTERNET) { /* as nc has it, "127.0.0.1 8080" */
        where = address_format(&peer->address, address);
        separator = " ";
        snprintf(port, sizeof(port), "%u", peer->port);
    }
    switch (event) {
    case LISTENER_READY:
        if (talk->told)
            fprintf(stderr, "Listening on %s%s%s\n", where, separator, port);
        else
            talk_say(talk, "Listening on %s%s%s", where, separator, port);
        break;
    case LISTENER_DENIED:
        talk_say(talk, "Connection from %s%s%s denied", where, separator, port);
        talk_view_denied(&talk->view, peer, "not among those that --allow and --deny let in");
        talk_check_view(talk);
        break;
    case LISTENER_FAILED:
        if (peer)
            talk_say(talk, "Connection from %s%s%s failed: %s", where, separator, port,
                     error->message);
        else
            command_warn(talk->command, "%s", error->message);
        break;
    case LISTENER_HEARD:
        talk_say(talk, "Datagrams received from %s%s%s", where, separator, port);
        break;
    case LISTENER_SECURED:
        say_tls(talk, channel);
        break;
    }
}

/* ---- what the options name ---- */

/* "tcp:…", "tcp4:…": the word itself says TCP, which is no more than the default elsewhere. */
static bool says_tcp(const char *word)
{
    size_t digit = strncasecmp(word, "tcp4:", 5) == 0 || strncasecmp(word, "tcp6:", 5) == 0;
    return strncasecmp(word, "tcp", 3) == 0 && word[3 + digit] == ':';
}

/* One word of endpoint.h, of the kind that --udp or --tls says, where they do. */
static int parse_word(const struct talk_options *options, enum endpoint_role role, const char *word,
                      struct endpoint *ret_endpoint, enum address_family *ret_family,
                      struct error *error)
{
    const char *kind = options->udp ? "udp" : "tls";
    char longer[ENDPOINT_WORD_SIZE + 64];
    int failed = endpoint_parse(word, role, ret_endpoint, ret_family, error);
    if (!options->udp && !options->tls)
        return failed;
    if (!failed && ret_endpoint->kind == (options->udp ? ENDPOINT_UDP : ENDPOINT_TLS))
        return 0;
    if (!failed && (ret_endpoint->kind != ENDPOINT_TCP || says_tcp(word)))
        return error_set(error, EINVAL, "--%s and '%.80s' exclude one another", kind, word);
    if (snprintf(longer, sizeof(longer), "%s:%s", kind, word) >= (int)sizeof(longer))
        return failed;
    return endpoint_parse(longer, role, ret_endpoint, ret_family, failed ? NULL : error) < 0
               ? -EINVAL
               : 0;
}

static int find_endpoint(const struct talk_options *options, enum endpoint_role role, char **words,
                         int count, struct endpoint *ret_endpoint, enum address_family *ret_family,
                         struct error *error)
{
    enum endpoint_kind kind = options->udp   ? ENDPOINT_UDP
                              : options->tls ? ENDPOINT_TLS
                                             : ENDPOINT_TCP;
    char path[sizeof(ret_endpoint->path) + 64];
    const char *wish = role == ENDPOINT_DIAL ? "whom to connect to? Give HOST PORT"
                                             : "which port to be? Give PORT";
    if (options->unix_path && count)
        return error_set(error, EINVAL, "--unix names the port: '%.80s' is too much", words[0]);
    if (options->unix_path) {
        snprintf(path, sizeof(path), "unix:%s", options->unix_path);
        return endpoint_parse(path, role, ret_endpoint, ret_family, error);
    }
    if (count == 1)
        return parse_word(options, role, words[0], ret_endpoint, ret_family, error);
    if (count == 2)
        return endpoint_from_words(kind, role, words[0], words[1], ret_endpoint, error);
    return count ? error_set(error, EINVAL, "'%.80s' is too much", words[2])
                 : error_set(error, EINVAL, "%s", wish);
}

int talk_endpoint(const struct command *command, struct talk_options *options,
                  enum endpoint_role role, char **words, int count, struct endpoint *ret_endpoint)
{
    enum address_family family = ADDRESS_NONE;
    struct error error = {0};
    int failed = talk_options_check(options, &error);
    if (!failed)
        failed = find_endpoint(options, role, words, count, ret_endpoint, &family, &error);
    if (!failed && family && talk_family(options) && family != talk_family(options))
        failed = error_set(&error, EINVAL, "-%c and '%.80s' exclude one another",
                           options->ipv4 ? '4' : '6', words[0]);
    if (failed) {
        command_complain(command, &error);
        return failed;
    }
    talk_note_kind(options, ret_endpoint);
    options->ipv4 = options->ipv4 || family == ADDRESS_IPV4;
    options->ipv6 = options->ipv6 || family == ADDRESS_IPV6;
    return 0;
}

void talk_note_kind(struct talk_options *options, const struct endpoint *endpoint)
{
    options->udp = endpoint->kind == ENDPOINT_UDP;
    options->tls = endpoint->kind == ENDPOINT_TLS;
    options->unix_path = endpoint->kind == ENDPOINT_UNIX ? endpoint->path : NULL;
}

static int make_tls(struct talk *talk, unsigned which, struct error *error)
{
    const struct talk_options *options = talk->options;
    struct tls_options tls = {.insecure = options->insecure,
                              .authorities = options->authorities,
                              .certificate = options->certificate,
                              .key = options->key,
                              .alpn = options->alpn};
    struct tls_options server = tls;
    server.server = true;
    if (which & TALK_TLS_CLIENT) /* with TLS on both sides, --ca is about the target */
        server.authorities = options->client_authorities;
    if (which & TALK_TLS_SERVER) /* and what is shown is for clients */
        tls.certificate = tls.key = NULL;
    int failed = which & TALK_TLS_CLIENT ? tls_new(&tls, &talk->client, error) : 0;
    if (!failed && which & TALK_TLS_SERVER)
        failed = tls_new(&server, &talk->server, error);
    if (!failed && talk->server) {
        bool made;
        const char *fingerprint = tls_fingerprint(talk->server, &made);
        if (made)
            talk_say(talk, "Made a certificate for this run, SHA-256 %s", fingerprint);
    }
    return failed;
}

static int make_set(const struct option_list *words, struct address_set *set, struct error *error)
{
    for (size_t i = 0; i < words->count; i++) {
        enum target_kind kind = TARGET_NAME;
        int failed = target_parse(words->items[i], strlen(words->items[i]), set, &kind, error);
        if (!failed && kind != TARGET_ADDRESSES)
            failed = error_set(error, EINVAL, "'%s' is no address or network", words->items[i]);
        if (failed)
            return failed;
    }
    int failed = address_set_seal(set);
    return failed && failed != -EOVERFLOW ? error_set(error, -failed, "out of memory") : 0;
}

struct dial_options talk_dial_options_of(const struct talk *talk, const struct endpoint *endpoint)
{
    const struct talk_options *options = talk->options;
    return (struct dial_options){.endpoint = *endpoint,
                                 .family = talk_family(options),
                                 .source = options->source,
                                 .source_port = (uint16_t)options->source_port,
                                 .timeout = options->connect_timeout,
                                 .numeric = options->numeric,
                                 .tls = talk->client,
                                 .sni = options->server_name,
                                 .proxy_header = (unsigned)options->send_proxy,
                                 .proxy = options->proxy ? &talk->proxy : NULL};
}

struct listener_options talk_listener_options_of(const struct talk *talk,
                                                 const struct endpoint *endpoint)
{
    const struct talk_options *options = talk->options;
    struct listener_options listener = {.endpoint = *endpoint,
                                        .family = talk_family(options),
                                        .tls = talk->server,
                                        .allow = options->allow.count ? &talk->allow : NULL,
                                        .deny = options->deny.count ? &talk->deny : NULL,
                                        .maximum = options->max_clients,
                                        .timeout = options->connect_timeout,
                                        .proxy_header = options->accept_proxy,
                                        .answer_all = strcmp(options->answer, "all") == 0};
    if (options->all && !listener.endpoint.host[0])
        strcpy(listener.endpoint.host, "*");
    return listener;
}

int talk_stdio(struct talk *talk, struct channel **ret_channel)
{
    const struct talk_options *options = talk->options;
    int in = options->receive_only || options->replay ? -1 : STDIN_FILENO;
    int out = talk->view.has_screen || options->send_only ? -1 : STDOUT_FILENO;
    int failed = channel_stdio_new(talk->loop, in, out, ret_channel);
    if (failed == -EBADF) /* `<&-` is an input at its end */
        failed = channel_stdio_new(talk->loop, -1, out, ret_channel);
    if (failed)
        command_warn(talk->command, "cannot use standard input and output: %s", strerror(-failed));
    return failed;
}

/* ---- beginning and end ---- */

static void signal_came(void *user, const struct signalfd_siginfo *info)
{
    struct talk *talk = user;
    int number = (int)info->ssi_signo;
    if (talk->signalled && talk->signalled(talk->user, number))
        return;
    if (number == SIGINT || number == SIGTERM || number == SIGHUP)
        talk_stop(talk, EXIT_SIGNAL + number);
}

/* All but those that whoever started this program has it ignore: nohup means it. */
static int take_signals(struct talk *talk)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, numbers[i]);
    }
    return loop_signals(talk->loop, &set, signal_came, talk);
}

static void talk_release(struct talk *talk)
{
    tls_free(talk->client);
    tls_free(talk->server);
    free(talk->proxy.text);
    address_set_release(&talk->allow);
    address_set_release(&talk->deny);
    replay_release(&talk->replay);
    pipes_release(&talk->pipes);
    loop_free(talk->loop);
}

/* What belongs to TLS must not be taken for a protection that is not there. */
static int refuse_tls(const struct command *command, const struct talk_options *options,
                      struct error *error)
{
    const char *option = options->insecure      ? "--insecure"
                         : options->authorities ? "--ca"
                         : options->certificate ? "--cert"
                         : options->server_name ? "--sni"
                         : options->alpn        ? "--alpn"
                                                : NULL;
    const char *kind = strcmp(command->name, "relay") == 0 ? "" : "--tls, or ";
    return option ? error_set(error, EINVAL, "%s is of TLS, which nobody asked for: write %stls:…",
                              option, kind)
                  : 0;
}

int talk_begin(struct talk *talk, const struct command *command, const struct talk_options *options,
               unsigned needs)
{
    struct error error = {0};
    *talk = (struct talk){.command = command,
                          .options = options,
                          .chatty = !options->quiet && (options->verbose || isatty(STDERR_FILENO))};
    int failed = talk_options_check(options, &error);
    if (!failed && !(needs & (TALK_TLS_CLIENT | TALK_TLS_SERVER)) && !options->netcat)
        failed = refuse_tls(command, options, &error);
    if (!failed && options->proxy)
        failed = proxy_parse(options->proxy, PROXY_NONE, &talk->proxy, &error);
    if (!failed)
        failed = make_set(&options->allow, &talk->allow, &error);
    if (!failed)
        failed = make_set(&options->deny, &talk->deny, &error);
    if (!failed) /* before --record empties a file, which may be the same, and signals are taken */
        failed =
            talk_replay_load(talk, needs & TALK_ACCEPTS ? REPLAY_ACCEPTED : REPLAY_DIALLED, &error);
    if (!failed) {
        failed = loop_new(&talk->loop);
        if (!failed)
            failed = pipes_init(&talk->pipes);
        if (!failed)
            failed = take_signals(talk);
        if (failed)
            error_set(&error, -failed, "cannot begin: %s", strerror(-failed));
    }
    if (!failed)
        failed = make_tls(talk, needs, &error);
    if (!failed)
        failed = talk_view_open(&talk->view, talk->loop, options, &error);
    if (!failed)
        return -1;
    command_complain(command, &error);
    talk_release(talk);
    return failed == -EINVAL ? EXIT_USAGE : EXIT_TROUBLE;
}

int talk_confine(const struct talk *talk, bool paths)
{
    const struct talk_options *options = talk->options;
    struct error error;
    uint64_t port = options->source_port;
    if (options->program || options->shell)
        return 0;
    unsigned kept = (port > 0 && port < 1024 ? CONFINEMENT_KEEPS_PORTS : 0u) |
                    (paths ? CONFINEMENT_KEEPS_PATHS : 0u);
    if (confine_lightly(kept, &error) >= 0)
        return 0;
    command_complain(talk->command, &error);
    return EXIT_TROUBLE;
}

void talk_stop(struct talk *talk, int status)
{
    if (talk->status == EXIT_DONE)
        talk->status = status;
    loop_stop(talk->loop);
}

/* The loop no longer takes them. While records are written out to a reader who takes his time, a
 * signal ends the program in the default way. */
static void give_up_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int talk_run(struct talk *talk, void (*release)(void *user), void *user)
{
    struct error error = {0};
    int failed = talk->status == EXIT_DONE ? loop_run(talk->loop) : 0;
    if (failed) {
        command_warn(talk->command, "cannot wait: %s", strerror(-failed));
        talk_stop(talk, EXIT_TROUBLE);
    }
    release(user);
    give_up_signals();
    bool broken = talk->view.broken;
    if (broken || (talk->view.has_screen && talk->view.screen.broken)) {
        if (talk->status == EXIT_DONE)
            talk->status = EXIT_SIGNAL + SIGPIPE;
    }
    if (talk_view_close(&talk->view, &error)) {
        command_complain(talk->command, &error);
        if (talk->status == EXIT_DONE)
            talk->status = EXIT_TROUBLE;
    }
    talk_release(talk);
    return talk->status;
}
