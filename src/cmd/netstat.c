/* netstat: the classic name, with net-tools' flags and layout, and what BSD and Windows people
 * type.
 */
#include "cmd/confine.h"
#include "cmd/netstat_sockets.h"
#include "cmd/netstat_tables.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)

/* What net-tools ends with; porthole's own statuses have other numbers. */
enum {
    STATUS_TROUBLE = 1,
    STATUS_USAGE = 3,
};

#define FIELD(name) offsetof(struct netstat_options, name)

#define ABSENT(spellings, instead)                                                                 \
    {                                                                                              \
        .names = (spellings), .help = (instead), .kind = OPTION_ABSENT                             \
    }

/* -A inet,unix and BSD's -f inet. */
static int set_families(void *user, const char *name, const char *value, struct error *error)
{
    static const struct {
        const char *name;
        size_t field;
    } families[] = {
        {"inet", FIELD(ipv4)}, {"ip", FIELD(ipv4)},           {"inet6", FIELD(ipv6)},
        {"ip6", FIELD(ipv6)},  {"unix", FIELD(unix_sockets)}, {"local", FIELD(unix_sockets)},
    };
    for (const char *word = value;; word++) {
        const size_t length = strcspn(word, ",");
        bool known = false;
        for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
            if (strlen(families[i].name) == length && memcmp(families[i].name, word, length) == 0)
                known = *(bool *)((char *)user + families[i].field) = true;
        if (!known)
            return error_set_at(error, EINVAL, value, strlen(value), (size_t)(word - value),
                                "option '%s' knows the families inet, inet6 and unix", name);
        word += length;
        if (*word == '\0')
            return 0;
    }
}

static int set_bsd_family(void *user, const char *name, const char *value, struct error *error)
{
    struct netstat_options *options = user;
    const int failed = set_families(user, name, value, error);
    options->talked = options->ipv4 || options->ipv6;
    return failed;
}

static const struct option options_table[] = {
    {.names = "-a --all",
     .help = "all sockets: servers, too, and not only connections",
     .group = "Which sockets",
     .kind = OPTION_FLAG,
     .offset = FIELD(all)},
    {.names = "-l --listening",
     .help = "servers only",
     .kind = OPTION_FLAG,
     .offset = FIELD(listening)},
    {.names = "-t --tcp", .help = "TCP", .kind = OPTION_FLAG, .offset = FIELD(tcp)},
    {.names = "-u --udp", .help = "UDP", .kind = OPTION_FLAG, .offset = FIELD(udp)},
    {.names = "-U --udplite", .help = "UDP-Lite", .kind = OPTION_FLAG, .offset = FIELD(udplite)},
    {.names = "-S --sctp", .help = "SCTP", .kind = OPTION_FLAG, .offset = FIELD(sctp)},
    {.names = "-w --raw", .help = "raw sockets", .kind = OPTION_FLAG, .offset = FIELD(raw)},
    {.names = "-x --unix",
     .help = "Unix sockets",
     .kind = OPTION_FLAG,
     .offset = FIELD(unix_sockets)},
    {.names = "-4 --inet --tcpip --ip",
     .help = "IPv4 only",
     .kind = OPTION_FLAG,
     .offset = FIELD(ipv4)},
    {.names = "-6 --inet6 --ip6", .help = "IPv6 only", .kind = OPTION_FLAG, .offset = FIELD(ipv6)},
    {.names = "-A --protocol",
     .argument = "FAMILY",
     .help = "inet, inet6 or unix, or several joined by commas",
     .kind = OPTION_CALL,
     .set = set_families},
    {.names = "-f",
     .argument = "FAMILY",
     .help =
         "inet, inet6 or unix, as BSD has it: what is talked, also by the other family's sockets",
     .kind = OPTION_CALL,
     .set = set_bsd_family},

    {.names = "-n --numeric",
     .help = "addresses, ports and users as numbers",
     .group = "What is told of them",
     .kind = OPTION_FLAG,
     .offset = FIELD(numeric)},
    {.names = "--numeric-hosts",
     .help = "addresses as numbers",
     .kind = OPTION_FLAG,
     .offset = FIELD(numeric_hosts)},
    {.names = "--numeric-ports",
     .help = "ports as numbers",
     .kind = OPTION_FLAG,
     .offset = FIELD(numeric_ports)},
    {.names = "--numeric-users",
     .help = "users as numbers",
     .kind = OPTION_FLAG,
     .offset = FIELD(numeric_users)},
    {.names = "-p --programs --program -b",
     .help = "who holds them: PID and program (-b is Windows')",
     .kind = OPTION_FLAG,
     .offset = FIELD(programs)},
    {.names = "-e --extend",
     .help = "user and inode; with -r and -i more columns",
     .kind = OPTION_COUNT,
     .offset = FIELD(extend)},
    {.names = "-o --timers",
     .help = "their timers: when it is due, what was sent again, unanswered probes; where neither "
             "-p nor a kind is asked for also the PID, last of all, as on Windows",
     .kind = OPTION_FLAG,
     .offset = FIELD(timers)},
    {.names = "-W --wide",
     .help = "addresses whole, however long",
     .kind = OPTION_FLAG,
     .offset = FIELD(wide)},
    {.names = "-c --continuous",
     .help = "again every second, or every SECONDS",
     .kind = OPTION_FLAG,
     .offset = FIELD(continuous)},
    {.names = "--json",
     .help = "print JSON Lines, as `porthole sockets` does",
     .kind = OPTION_FLAG,
     .offset = FIELD(json)},

    {.names = "-r --route",
     .help = "routes: IPv4's, or IPv6's with -6",
     .group = "Other tables",
     .kind = OPTION_FLAG,
     .offset = FIELD(routes)},
    {.names = "-i --interfaces",
     .help = "interfaces that are up, and what went through them (-a: all interfaces)",
     .kind = OPTION_FLAG,
     .offset = FIELD(interfaces)},
    {.names = "-I",
     .argument = "NAME",
     .help = "the same of one interface",
     .kind = OPTION_TEXT,
     .offset = FIELD(interface),
     .words = "@interface"},
    {.names = "-g --groups",
     .help = "multicast groups that are listened to",
     .kind = OPTION_FLAG,
     .offset = FIELD(groups)},
    {.names = "-s --statistics",
     .help = "what the protocols have counted (-t, -u, -w: theirs alone; -6: IPv6)",
     .kind = OPTION_FLAG,
     .offset = FIELD(counters)},

    {.names = "-v --verbose -F --fib -N --symbolic",
     .help = "change nothing",
     .group = "For compatibility",
     .kind = OPTION_FLAG,
     .offset = FIELD(ignored)},
    {.names = "-V",
     .help = "show the version",
     .kind = OPTION_FLAG,
     .offset = FIELD(common.version)},
    ABSENT("-C --cache", "Linux has no cache of IPv4 routes any more"),
    ABSENT("-M --masquerade", "'conntrack -L' lists translated connections"),
    ABSENT("-Z --context", "'ps -Z -p PID' has security contexts of processes"),
    ABSENT("-2 --bluetooth -X --x25 --ax25 --ipx --netrom --rose --ddp",
           "only inet, inet6 and unix are listed"),
    OPTION_END,
};

/* ---- operands ---- */

/* "-p tcp" means TCP alone on BSD and on Windows. */
static bool take_protocol(struct netstat_options *options, const char *word)
{
    static const struct {
        const char *name;
        size_t field, family; /* family: 0 where it is open */
    } protocols[] = {
        {"tcp", FIELD(tcp), 0},
        {"udp", FIELD(udp), 0},
        {"tcpv6", FIELD(tcp), FIELD(ipv6)},
        {"udpv6", FIELD(udp), FIELD(ipv6)},
        {"tcp6", FIELD(tcp), FIELD(ipv6)},
        {"udp6", FIELD(udp), FIELD(ipv6)},
        {"unix", FIELD(unix_sockets), 0},
    };
    for (size_t i = 0; options->programs && i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (strcasecmp(protocols[i].name, word) == 0) {
            *(bool *)((char *)options + protocols[i].field) = true;
            if (protocols[i].family)
                *(bool *)((char *)options + protocols[i].family) = true;
            return true;
        }
    return false;
}

static int read_operands(struct netstat_options *options, char **words, int count,
                         struct error *error)
{
    for (int i = 0; i < count; i++) {
        if (take_protocol(options, words[i]))
            continue;
        if (text_parse_duration(words[i], &options->interval, NULL) != 0 ||
            options->interval < SECOND / 100 || options->interval > 86400 * SECOND)
            return error_set(error, EINVAL,
                             "'%.60s' is neither an interval in seconds nor, with -p, a protocol",
                             words[i]);
        options->continuous = true;
    }
    if (options->continuous && options->interval == 0)
        options->interval = SECOND;
    return 0;
}

static int check_options(struct netstat_options *options, struct error *error)
{
    options->interfaces |= options->interface != NULL;
    const int tables = options->routes + options->interfaces + options->groups + options->counters;
    if (tables > 1)
        return error_set(error, EINVAL, "-r, -i, -g and -s exclude one another");
    if (tables > 0 && options->json)
        return error_set(error, EINVAL, "--json is for sockets, not for -r, -i, -g and -s");
    if (options->interface && options->interface[0] == '=')
        options->interface++; /* "-I=eth0" */
    return 0;
}

/* ---- running ---- */

/* One command line at work. */
struct run {
    const struct command *command;
    struct netstat_options options;
    bool again;      /* it has been shown before */
    bool incomplete; /* something may be missing, which was said */
};

static void say_what_is_missing(struct run *run, const struct netstat_gaps *gaps)
{
    if (!run->again && gaps->hidden)
        fputs("(Not all processes could be identified, non-owned process info\n"
              " will not be shown, you would have to be root to see it all.)\n",
              stderr);
    if (gaps->incomplete)
        command_warn(run->command,
                     "sockets may be missing: the kernel's list changed while it was read, or has "
                     "states that are not known here");
    for (unsigned kind = 0; kind < SOCKET_KINDS && !run->again; kind++)
        if (gaps->refused & SOCKET_KIND_BIT(kind))
            command_warn(run->command, "the kernel does not tell us of %s sockets",
                         socket_kind_name((enum socket_kind)kind));
    run->incomplete |= gaps->incomplete || gaps->refused != 0;
}

static int show_sockets(struct run *run, struct error *error)
{
    struct netstat_sockets sockets;
    const int failed = netstat_sockets_gather(&run->options, &sockets, error);
    if (failed)
        return failed;
    say_what_is_missing(run, &sockets.gaps);
    /* What follows is text of strangers: names of processes, paths, hosts' names. */
    if (!run->options.continuous)
        confine_lightly(0, NULL);
    netstat_sockets_resolve(&sockets);
    netstat_sockets_print(&sockets);
    netstat_sockets_release(&sockets);
    return 0;
}

static int show_records(struct run *run, struct error *error)
{
    struct netstat_gaps gaps = {0};
    const int failed = netstat_sockets_json(&run->options, &gaps, error);
    if (!failed)
        say_what_is_missing(run, &gaps);
    return failed;
}

static int show(struct run *run, struct error *error)
{
    const struct netstat_options *options = &run->options;
    if (options->routes)
        return netstat_routes(options, error);
    if (options->interfaces)
        return netstat_interfaces(options, error);
    if (options->groups)
        return netstat_groups(options, error);
    if (options->counters)
        return netstat_counters(options, error);
    if (options->json)
        return show_records(run, error);
    return show_sockets(run, error);
}

static int show_again(struct run *run, struct error *error)
{
    const struct timespec pause = {.tv_sec = (time_t)(run->options.interval / SECOND),
                                   .tv_nsec = (long)(run->options.interval % SECOND)};
    int failed = show(run, error);
    while (!failed && run->options.continuous && fflush(stdout) == 0 && !ferror(stdout)) {
        nanosleep(&pause, NULL);
        run->again = true;
        failed = show(run, error);
    }
    return failed;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct run run = {.command = command};
    struct error error = {.column = ERROR_NO_COLUMN};
    int count;
    int status = command_parse(command, argc, argv, &run.options, &count);
    if (status < 0) {
        status = EXIT_DONE;
        if (read_operands(&run.options, argv, count, &error) != 0 ||
            check_options(&run.options, &error) != 0)
            status = EXIT_USAGE;
        else if (show_again(&run, &error) != 0)
            status = EXIT_TROUBLE;
        if (status != EXIT_DONE)
            command_complain(command, &error);
        else if (run.incomplete)
            status = EXIT_TROUBLE;
        status = command_finish(command, status);
    }
    return status == EXIT_USAGE ? STATUS_USAGE : status == EXIT_TROUBLE ? STATUS_TROUBLE : status;
}

static const struct command_example examples[] = {
    {"netstat -tulpn", "TCP and UDP servers, as numbers, and who they are"},
    {"netstat -an", "all sockets, as numbers"},
    {"netstat -f inet -n", "Internet connections, as BSD has it"},
    {"netstat -ano", "the same with the PID at the end, as on Windows"},
    {"netstat -rn", "routes"},
    {NULL, NULL},
};

const struct command command_netstat = {
    .name = "netstat",
    .summary = "sockets, routes, interfaces and counters, by netstat's own flags and layout",
    .usage = "[OPTION]… [SECONDS]\n-r [OPTION]…\n-i [OPTION]…\n-g [OPTION]…\n-s [OPTION]…",
    .description =
        "Prints what net-tools' netstat prints, column by column, so that tutorials and scripts "
        "find what they look for; `porthole sockets` tells more, and in another order: what is "
        "most exposed first. Without -a and -l only connections are listed. SECONDS repeats it, "
        "as -c does.\n"
        "\n"
        "Flags of other systems mean what they mean there, as far as Linux's netstat has no other "
        "use for them: BSD's -f takes a family, and IPv6 sockets that talk IPv4 belong to inet "
        "(-A, -4 and -6 go "
        "by the sockets), \"-p tcp\" is TCP alone, and Windows' -b is -p. -o "
        "is both: it adds Linux's timers and, in a list of all kinds without -p, the PID behind "
        "them, as \"netstat -ano\" does on Windows.\n"
        "\n"
        "Names of processes and paths have control characters and invalid text as \\xNN, and "
        "paths are printed whole, also where net-tools ends at the first blank.\n"
        "\n"
        "The exit status is 0; 1 when something could not be read or written, or may be missing; "
        "or 3 for a wrong "
        "command line, as net-tools has it.",
    .options = options_table,
    .examples = examples,
    .classic = true,
    .run = run,
};
