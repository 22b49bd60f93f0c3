/* The options of `sockets`: porthole's own, and those of ss by the same letters. */
#include "cmd/sockets_options.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct sockets_options, name)

#define ABSENT(spellings, instead)                                                                 \
    {                                                                                              \
        .names = (spellings), .help = (instead), .kind = OPTION_ABSENT                             \
    }

struct choice {
    const char *name;
    size_t field;
};

static int refuse_choice(const char *name, const char *value, const char *word,
                         const struct choice *choices, size_t count, struct error *error)
{
    char known[192] = "";
    for (size_t i = 0; i < count; i++) {
        strcat(known, i == 0 ? "" : i + 1 < count ? ", " : " or ");
        strcat(known, choices[i].name);
    }
    return error_set_at(error, EINVAL, value, strlen(value), (size_t)(word - value),
                        "option '%s' is about %s", name, known);
}

/* Sets what each of the words names, which are joined by commas. */
static int set_choices(void *user, const char *name, const char *value,
                       const struct choice *choices, size_t count, struct error *error)
{
    for (const char *word = value;; word++) {
        const size_t length = strcspn(word, ",");
        bool known = false;
        for (size_t i = 0; i < count; i++)
            if (strlen(choices[i].name) == length && memcmp(choices[i].name, word, length) == 0)
                known = *(bool *)((char *)user + choices[i].field) = true;
        if (!known)
            return refuse_choice(name, value, word, choices, count, error);
        word += length;
        if (*word == '\0')
            return 0;
    }
}

/* ss's names of tables. */
static int set_query(void *user, const char *name, const char *value, struct error *error)
{
    static const struct choice choices[] = {
        {"tcp", FIELD(tcp)},
        {"mptcp", FIELD(mptcp)},
        {"udp", FIELD(udp)},
        {"udplite", FIELD(udplite)},
        {"sctp", FIELD(sctp)},
        {"raw", FIELD(raw)},
        {"unix", FIELD(unix_sockets)},
        {"unix_stream", FIELD(unix_sockets)},
        {"unix_dgram", FIELD(unix_sockets)},
        {"unix_seqpacket", FIELD(unix_sockets)},
    };
    const bool all = strcmp(value, "all") == 0;
    if (all || strcmp(value, "inet") == 0) {
        struct sockets_options *options = user;
        options->unix_sockets |= all;
        options->tcp = options->mptcp = options->udp = options->udplite = true;
        options->sctp = options->raw = true;
        return 0;
    }
    return set_choices(user, name, value, choices, sizeof(choices) / sizeof(choices[0]), error);
}

static int set_family(void *user, const char *name, const char *value, struct error *error)
{
    static const struct choice choices[] = {
        {"inet", FIELD(ipv4)}, {"inet6", FIELD(ipv6)}, {"unix", FIELD(unix_sockets)}};
    return set_choices(user, name, value, choices, sizeof(choices) / sizeof(choices[0]), error);
}

const struct option sockets_options_table[] = {
    {.names = "-l --listening",
     .help =
         "sockets that wait for somebody: TCP that listens, UDP that is bound and not connected "
         "(default)",
     .group = "Which sockets",
     .kind = OPTION_FLAG,
     .offset = FIELD(listening)},
    {.names = "--established",
     .help = "connections: all states but LISTEN, CLOSE, TIME_WAIT and SYN_RECV",
     .kind = OPTION_FLAG,
     .offset = FIELD(established)},
    {.names = "-a --all",
     .help = "those that listen, connections, and what is left of connections",
     .kind = OPTION_FLAG,
     .offset = FIELD(all)},
    {.names = "--state",
     .argument = "NAME",
     .help = "those in this state, or in one of several: ESTABLISHED, TIME_WAIT, close-wait,listen",
     .kind = OPTION_LIST,
     .offset = FIELD(states)},
    {.names = "-B --bound-inactive",
     .help = "TCP sockets, too, that have a port and neither listen nor are connected (Linux 6.8)",
     .kind = OPTION_FLAG,
     .offset = FIELD(bound_inactive)},
    {.names = "-t --tcp", .help = "TCP", .kind = OPTION_FLAG, .offset = FIELD(tcp)},
    {.names = "-u --udp", .help = "UDP", .kind = OPTION_FLAG, .offset = FIELD(udp)},
    {.names = "-U --udplite", .help = "UDP-Lite", .kind = OPTION_FLAG, .offset = FIELD(udplite)},
    {.names = "-M --mptcp",
     .help = "Multipath TCP, of which each path is a TCP socket besides",
     .kind = OPTION_FLAG,
     .offset = FIELD(mptcp)},
    {.names = "-S --sctp", .help = "SCTP", .kind = OPTION_FLAG, .offset = FIELD(sctp)},
    {.names = "-w --raw", .help = "raw sockets", .kind = OPTION_FLAG, .offset = FIELD(raw)},
    {.names = "-x --unix",
     .help = "Unix sockets, which are left out when no kind is named",
     .kind = OPTION_FLAG,
     .offset = FIELD(unix_sockets)},
    {.names = "-A --query --socket",
     .argument = "LIST",
     .help = "kinds by name, joined by commas: tcp,udp,unix; inet is all but unix, all is all",
     .kind = OPTION_CALL,
     .set = set_query},
    {.names = "-4 --ipv4", .help = "IPv4 only", .kind = OPTION_FLAG, .offset = FIELD(ipv4)},
    {.names = "-6 --ipv6", .help = "IPv6 only", .kind = OPTION_FLAG, .offset = FIELD(ipv6)},
    {.names = "-f --family",
     .argument = "FAMILY",
     .help = "inet (as -4), inet6 (as -6) or unix (as -x)",
     .kind = OPTION_CALL,
     .set = set_family},
    {.names = "--all-namespaces",
     .help = "in every network namespace, containers' included (needs root)",
     .kind = OPTION_FLAG,
     .offset = FIELD(every_space)},

    {.names = "-n --numeric",
     .help = "ports and protocols as numbers",
     .group = "What is told of them",
     .kind = OPTION_FLAG,
     .offset = FIELD(numeric)},
    {.names = "-r --resolve",
     .help = "peers by name, as far as names are found within two seconds",
     .kind = OPTION_FLAG,
     .offset = FIELD(resolve)},
    {.names = "-p --processes",
     .help = "who holds them, which is told anyway",
     .kind = OPTION_FLAG,
     .offset = FIELD(processes)},
    {.names = "-P --no-processes",
     .help = "not who holds them, which takes the longest to find; without --sort they are in the "
             "kernel's order then",
     .kind = OPTION_FLAG,
     .offset = FIELD(no_processes)},
    {.names = "-o --options --timers",
     .help = "their timers: which, when it is due, and how often something was sent again",
     .kind = OPTION_FLAG,
     .offset = FIELD(timers)},
    {.names = "-e --extended",
     .help = "user, inode, cookie, mark and control group",
     .kind = OPTION_FLAG,
     .offset = FIELD(extended)},
    {.names = "-m --memory",
     .help = "what waits in their queues, also where nothing does; how full their buffers are, and "
             "how many packets were dropped",
     .kind = OPTION_FLAG,
     .offset = FIELD(memory)},
    {.names = "-i --info",
     .help = "TCP's figures: round trips, windows, what was sent again, rates",
     .kind = OPTION_FLAG,
     .offset = FIELD(information)},
    {.names = "-v --verbose",
     .help = "all of these, and of each process the command line, since when it runs, and which "
             "descriptor it is",
     .kind = OPTION_COUNT,
     .offset = FIELD(verbose)},
    {.names = "-O --oneline",
     .help = "what is told besides stands on the socket's own line",
     .kind = OPTION_FLAG,
     .offset = FIELD(one_line)},
    {.names = "-Q --no-queues",
     .help = "without the columns RECV-Q and SEND-Q",
     .kind = OPTION_FLAG,
     .offset = FIELD(no_queues)},

    {.names = "-s --summary",
     .help = "only how many there are, of each kind, state and process",
     .group = "How it is told",
     .kind = OPTION_FLAG,
     .offset = FIELD(summary)},
    {.names = "--sort",
     .argument = "KEY",
     .help = "by port, process, pid, state, peer, exposure, recv or send; \"-recv\" is the other "
             "way round (default: those that listen first, most exposed first, then by port)",
     .kind = OPTION_TEXT,
     .offset = FIELD(sort)},
    {.names = "--watch",
     .argument = "SECONDS",
     .help = "look again each second, or as often as is said: on a terminal a live view, whose "
             "keys it tells; elsewhere, and with --json, a line for whatever came (+), went (-) or "
             "changed its state (~)",
     .kind = OPTION_DURATION,
     .offset = FIELD(watch),
     .minimum = 100 * NANOSECONDS_PER_MILLISECOND,
     .maximum = 86400 * NANOSECONDS_PER_SECOND,
     .otherwise = "1s"},
    {.names = "-H --no-header",
     .help = "without the line of headings",
     .kind = OPTION_FLAG,
     .offset = FIELD(no_header)},
    {.names = "--json",
     .help = "print JSON Lines, one record of the type \"socket\" for each",
     .kind = OPTION_FLAG,
     .offset = FIELD(json)},
    {.names = "--csv",
     .help = "print comma-separated values (RFC 4180)",
     .kind = OPTION_FLAG,
     .offset = FIELD(csv)},
    {.names = "--record",
     .argument = "FILE",
     .help = "also write all that the kernel said to FILE, shown or not, for --replay here or "
             "elsewhere; command lines are left out",
     .kind = OPTION_TEXT,
     .offset = FIELD(record),
     .words = "@file"},
    {.names = "--replay",
     .argument = "FILE",
     .help = "list what --record wrote, instead of this machine's sockets",
     .kind = OPTION_TEXT,
     .offset = FIELD(replay),
     .words = "@file"},
    ABSENT("-K --kill", "sockets are closed by those who hold them, whom a bare port tells: "
                        "'porthole sockets 8080'"),
    ABSENT("-N --net", "'ip netns exec NAME porthole sockets' looks into one namespace, "
                       "--all-namespaces into all"),
    ABSENT("-E --events", "--watch shows what comes and goes"),
    ABSENT("-D --diag", "--record FILE writes what the kernel said"),
    ABSENT("-F --filter", "give the words of the file on the command line: $(cat FILE)"),
    ABSENT("-Z --context -z --contexts", "'ps -Z -p PID' has security contexts of processes"),
    ABSENT("-b --bpf", "'ss -b' has socket filters"),
    ABSENT("-0 --packet -d --dccp --vsock --xdp --tipc", "'ss' lists these kinds"),
    OPTION_END,
};

struct conflict {
    bool both;
    const char *one, *other;
};

int sockets_options_check(const struct sockets_options *options, struct error *error)
{
    const struct conflict conflicts[] = {
        {options->json && options->csv, "--json", "--csv"},
        {options->summary && options->csv, "--summary", "--csv"},
        {options->summary && options->sort, "--summary", "--sort"},
        {options->processes && options->no_processes, "-p", "-P"},
        {options->record && options->replay, "--record", "--replay"},
        {options->every_space && options->replay, "--all-namespaces", "--replay"},
        {options->watch && options->csv, "--watch", "--csv"},
        {options->watch && options->summary, "--watch", "--summary"},
        {options->watch && options->record, "--watch", "--record"},
        {options->watch && options->replay, "--watch", "--replay"},
        {options->watch && options->resolve, "--watch", "-r"},
        {options->states.count && options->listening, "--state", "-l"},
        {options->states.count && options->established, "--state", "--established"},
    };
    for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++)
        if (conflicts[i].both)
            return error_set(error, EINVAL, "%s and %s exclude one another", conflicts[i].one,
                             conflicts[i].other);
    return 0;
}

uint32_t sockets_options_kinds(const struct sockets_options *options)
{
    return (options->tcp ? SOCKET_KIND_BIT(SOCKET_TCP) : 0) |
           (options->mptcp ? SOCKET_KIND_BIT(SOCKET_MPTCP) : 0) |
           (options->udp ? SOCKET_KIND_BIT(SOCKET_UDP) : 0) |
           (options->udplite ? SOCKET_KIND_BIT(SOCKET_UDPLITE) : 0) |
           (options->sctp ? SOCKET_KIND_BIT(SOCKET_SCTP) : 0) |
           (options->raw ? SOCKET_KIND_BIT(SOCKET_RAW) : 0) |
           (options->unix_sockets ? SOCKET_UNIX_KINDS : 0);
}

int sockets_options_states(const struct sockets_options *options, uint32_t *ret_states,
                           struct error *error)
{
    uint32_t states = 0;
    for (size_t i = 0; i < options->states.count; i++) {
        const char *value = options->states.items[i];
        for (const char *word = value;; word++) {
            const size_t length = strcspn(word, ",");
            enum socket_state state;
            if (socket_state_parse(word, length, &state) != 0)
                return error_set_at(error, EINVAL, value, strlen(value), (size_t)(word - value),
                                    "no state is called '%.*s'; states are ESTABLISHED, SYN_SENT, "
                                    "SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, "
                                    "LAST_ACK, LISTEN, CLOSING and BOUND",
                                    length < 40 ? (int)length : 40, word);
            states |= SOCKET_STATE_BIT(state);
            word += length;
            if (*word == '\0')
                break;
        }
    }
    *ret_states = states;
    return 0;
}
