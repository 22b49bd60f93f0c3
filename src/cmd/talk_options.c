/* The tables of the options of conversations. */
#include "cmd/talk_options.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct talk_options, name)
#define DRAIN_SECONDS 30

void talk_options_init(struct talk_options *options)
{
    *options = (struct talk_options){.on_eof = PAIR_SHUTDOWN,
                                     .on_peer_eof = PAIR_SHUTDOWN,
                                     .answer = "last",
                                     .drain = DRAIN_SECONDS * NANOSECONDS_PER_SECOND};
}

enum address_family talk_family(const struct talk_options *options)
{
    return options->ipv4 ? ADDRESS_IPV4 : options->ipv6 ? ADDRESS_IPV6 : ADDRESS_NONE;
}

int talk_set_on_eof(void *user, const char *name, const char *value, struct error *error)
{
    struct talk_options *options = user;
    if (strcmp(value, "keep") == 0) {
        options->on_eof = PAIR_KEEP;
    } else if (strcmp(value, "shutdown") == 0) {
        options->on_eof = PAIR_SHUTDOWN;
    } else if (strcmp(value, "close") == 0) {
        options->on_eof = PAIR_CLOSE;
        options->eof_patience = 0;
    } else if (strncmp(value, "close=", 6) == 0) {
        options->on_eof = PAIR_CLOSE;
        if (text_parse_duration(value + 6, &options->eof_patience, NULL) < 0)
            return error_set(error, EINVAL, "%s close=SECONDS needs a duration, not '%.80s'", name,
                             value + 6);
    } else {
        return error_set(error, EINVAL, "%s is keep, shutdown, close or close=SECONDS, not '%.80s'",
                         name, value);
    }
    return 0;
}

/* Pairs that exclude one another. */
struct conflict {
    bool both;
    const char *one, *other;
};

/* Standard output has what is said. */
static int check_files(const struct talk_options *options, struct error *error)
{
    const char *const files[] = {options->record, options->hex_file, options->plain_file};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i] && strcmp(files[i], "-") == 0)
            return error_set(error, EINVAL, "standard output has what is said already: %s",
                             options->netcat ? "give a file" : "give a file, --json or --hex");
    return 0;
}

int talk_options_check(const struct talk_options *options, struct error *error)
{
    bool program = options->program || options->shell, hub = options->broker || options->chat;
    const char *program_name = options->program ? "--exec" : "--shell";
    const char *hub_name = options->chat ? "--chat" : "--broker";
    bool together = !options->udp && !options->http && !program && (options->keep || hub);
    const char *together_name = hub ? hub_name : options->netcat ? "-k" : "--keep";
    const struct conflict conflicts[] = {
        {options->ipv4 && options->ipv6, "-4", "-6"},
        {options->udp && options->tls, "--udp", "--tls"},
        {options->udp && options->unix_path, "--udp", "--unix"},
        {options->tls && options->unix_path, "--tls", "--unix"},
        {options->bind && options->unix_path, "--bind", "--unix"},
        {options->all && options->unix_path, "--all", "--unix"},
        {options->allow.count && options->unix_path, "--allow", "--unix"},
        {options->deny.count && options->unix_path, "--deny", "--unix"},
        {options->udp && options->telnet, "--udp", "--telnet"},
        {options->udp && options->http, "--udp", "--http"},
        {options->udp && hub, "--udp", hub_name},
        {options->udp && options->accept_proxy, "--udp", "--accept-proxy"},
        {options->all && options->bind, "--all", "--bind"},
        {options->verbose && options->quiet, "-v", "-q"},
        {options->program && options->shell, "--exec", "--shell"},
        {program && options->http, program_name, "--http"},
        {program && hub, program_name, hub_name},
        {program && options->json, program_name, "--json"},
        {hub && options->http, hub_name, "--http"},
        {hub && options->crlf, hub_name, "--crlf"},
        {options->http && options->crlf, "--http", "--crlf"},
        {together && options->delay, together_name, options->netcat ? "-i" : "--interval"},
        {options->hex && options->json, "--hex", "--json"},
        {options->send_only && options->receive_only, "--send-only", "--recv-only"},
        {options->insecure && options->authorities, "--insecure", "--ca"},
        {options->replay && options->keep, "--replay", "--keep"},
        {options->replay && hub, "--replay", hub_name},
        {options->replay && options->http, "--replay", "--http"},
        {options->replay && program, "--replay", program_name},
        {options->replay && options->send_only, "--replay", "--send-only"},
        {options->replay && options->receive_only, "--replay", "--recv-only"},
    };
    for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++)
        if (conflicts[i].both)
            return error_set(error, EINVAL, "%s and %s exclude one another", conflicts[i].one,
                             conflicts[i].other);
    if (options->shell && !options->shell[strspn(options->shell, " \t\n")])
        return error_set(error, EINVAL, "the command for the shell is empty");
    if (options->key && !options->certificate)
        return error_set(error, EINVAL, "--key needs the certificate that it belongs to: --cert");
    return program ? 0 : check_files(options, error);
}

const struct option talk_kind_options[] = {
    {.names = "-u --udp",
     .help = "UDP instead of TCP",
     .group = "Kind of port",
     .kind = OPTION_FLAG,
     .offset = FIELD(udp)},
    {.names = "-U --unix",
     .argument = "PATH",
     .help = "a Unix socket; \"@name\" is an abstract one",
     .kind = OPTION_TEXT,
     .offset = FIELD(unix_path),
     .words = "@file"},
    {.names = "--tls", .help = "TLS over TCP", .kind = OPTION_FLAG, .offset = FIELD(tls)},
    OPTION_END,
};

const struct option talk_dial_options[] = {
    {.names = "-w --connect-timeout",
     .argument = "TIME",
     .help = "give up when no connection is made within TIME, name, proxy and TLS included "
             "(default: as long as the kernel tries)",
     .group = "Connecting",
     .kind = OPTION_DURATION,
     .offset = FIELD(connect_timeout),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 86400 * NANOSECONDS_PER_SECOND},
    {.names = "-s --source",
     .argument = "ADDRESS",
     .help = "come from this address of this machine",
     .kind = OPTION_TEXT,
     .offset = FIELD(source)},
    {.names = "--source-port",
     .argument = "PORT",
     .help = "come from this port",
     .kind = OPTION_NUMBER,
     .offset = FIELD(source_port),
     .minimum = 1,
     .maximum = 65535},
    {.names = "-x --proxy",
     .argument = "URL",
     .help =
         "connect through a proxy: http://[USER:PASSWORD@]HOST[:PORT], socks4://… or socks5://…; "
         "it looks the name up",
     .kind = OPTION_TEXT,
     .offset = FIELD(proxy)},
    {.names = "--send-proxy",
     .argument = "VERSION",
     .help = "begin with a PROXY protocol header of this version, which says who the client is",
     .kind = OPTION_NUMBER,
     .offset = FIELD(send_proxy),
     .minimum = 1,
     .maximum = 2},
    {.names = "--sni",
     .argument = "NAME",
     .help = "of TLS: ask for the certificate of NAME, and check it for that (default: the host)",
     .kind = OPTION_TEXT,
     .offset = FIELD(server_name),
     .words = "@host"},
    OPTION_END,
};

const struct option talk_accept_options[] = {
    {.names = "-a --all",
     .help =
         "listen on every address of this machine, for the whole network (default: loopback, for "
         "this machine alone)",
     .group = "Who may come",
     .kind = OPTION_FLAG,
     .offset = FIELD(all)},
    {.names = "--allow",
     .argument = "NETWORK",
     .help = "only peers from this address or network (192.0.2.0/24), and from others so named",
     .kind = OPTION_LIST,
     .offset = FIELD(allow)},
    {.names = "--deny",
     .argument = "NETWORK",
     .help = "no peers from this address or network, though --allow has them",
     .kind = OPTION_LIST,
     .offset = FIELD(deny)},
    {.names = "-m --max-clients",
     .argument = "N",
     .help = "at most N at a time; more wait until one leaves",
     .kind = OPTION_NUMBER,
     .offset = FIELD(max_clients),
     .minimum = 1,
     .maximum = 1000000},
    {.names = "--accept-proxy",
     .help =
         "each connection begins with a PROXY protocol header (version 1 or 2), which says who the "
         "client is",
     .kind = OPTION_FLAG,
     .offset = FIELD(accept_proxy)},
    OPTION_END,
};

const struct option talk_tls_options[] = {
    {.names = "-k --insecure",
     .help = "believe any certificate",
     .group = "TLS",
     .kind = OPTION_FLAG,
     .offset = FIELD(insecure)},
    {.names = "--ca",
     .argument = "FILE",
     .help = "believe the authorities in this PEM file or directory instead of the system's; who "
             "listens asks clients for a certificate of theirs",
     .kind = OPTION_TEXT,
     .offset = FIELD(authorities),
     .words = "@file"},
    {.names = "--cert",
     .argument = "FILE",
     .help = "show this certificate, a PEM file with its chain (default, for who listens: one made "
             "for this run)",
     .kind = OPTION_TEXT,
     .offset = FIELD(certificate),
     .words = "@file"},
    {.names = "--key",
     .argument = "FILE",
     .help = "the certificate's private key (default: in the file of --cert)",
     .kind = OPTION_TEXT,
     .offset = FIELD(key),
     .words = "@file"},
    {.names = "--alpn",
     .argument = "LIST",
     .help = "protocols to offer, or to choose from, separated by commas: h2,http/1.1",
     .kind = OPTION_TEXT,
     .offset = FIELD(alpn)},
    OPTION_END,
};

const struct option talk_content_options[] = {
    {.names = "--on-eof",
     .argument = "WHAT",
     .help =
         "at the end of standard input: shutdown (tell the peer and read on until it ends too), "
         "keep (tell it nothing and read on) or close[=SECONDS] (end then, or so much later) "
         "(default shutdown)",
     .group = "What is said",
     .kind = OPTION_CALL,
     .words = NULL,
     .set = talk_set_on_eof},
    {.names = "-C --crlf",
     .help = "send each line end as CR LF",
     .kind = OPTION_FLAG,
     .offset = FIELD(crlf)},
    {.names = "-X --hex",
     .help = "print a dump of both directions instead of what is received",
     .kind = OPTION_FLAG,
     .offset = FIELD(hex)},
    {.names = "-o --record",
     .argument = "FILE",
     .help = "write what is said, with times, to FILE, as JSON Lines",
     .kind = OPTION_TEXT,
     .offset = FIELD(record),
     .words = "@file"},
    {.names = "--replay",
     .argument = "FILE",
     .help = "instead of standard input, say again what this side said in a record: who connects, "
             "the words of the one who did, who listens, those of the other; each once as much was "
             "heard as then. FILE is one of --record, '-' standard input",
     .kind = OPTION_TEXT,
     .offset = FIELD(replay),
     .words = "@file"},
    {.names = "-i --interval",
     .argument = "TIME",
     .help = "wait so long after each piece that is sent or received",
     .kind = OPTION_DURATION,
     .offset = FIELD(delay),
     .maximum = 3600 * NANOSECONDS_PER_SECOND},
    OPTION_END,
};

const struct option talk_general_options[] = {
    {.names = "-4",
     .help = "IPv4 only",
     .group = "General",
     .kind = OPTION_FLAG,
     .offset = FIELD(ipv4)},
    {.names = "-6", .help = "IPv6 only", .kind = OPTION_FLAG, .offset = FIELD(ipv6)},
    {.names = "-n --numeric",
     .help = "look no names up: hosts are addresses",
     .kind = OPTION_FLAG,
     .offset = FIELD(numeric)},
    {.names = "--idle-timeout",
     .argument = "TIME",
     .help = "end a conversation in which nothing was said for TIME",
     .kind = OPTION_DURATION,
     .offset = FIELD(idle_timeout),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 1000000 * NANOSECONDS_PER_SECOND},
    {.names = "--json",
     .help = "print records instead (JSON Lines): connections, what is said, ends",
     .kind = OPTION_FLAG,
     .offset = FIELD(json)},
    {.names = "-v --verbose",
     .help = "say on standard error what happens, also when it is no terminal",
     .kind = OPTION_COUNT,
     .offset = FIELD(verbose)},
    {.names = "-q --quiet",
     .help = "say nothing but failures",
     .kind = OPTION_FLAG,
     .offset = FIELD(quiet)},
    OPTION_END,
};
