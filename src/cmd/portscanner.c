/* The classic name `portscanner`: the little scanner that everybody writes once, in its two usual
 * forms. A thin layer over the public library. */
#include "base/text.h"
#include "cmd/command.h"
#include "net/target.h"
#include "porthole.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct command command_portscanner;

#define PORTS 65536

struct portscanner_options {
    struct common_options common;
    const char *host;
    uint64_t first, last, port; /* PORTS: not given */
};

#define FIELD(name) offsetof(struct portscanner_options, name)

static const struct option options_table[] = {
    {.names = "-i",
     .argument = "HOST",
     .help = "the host to scan, an address or a name",
     .kind = OPTION_TEXT,
     .offset = FIELD(host),
     .words = "@host"},
    {.names = "-s",
     .argument = "START",
     .help = "the first port (default 1)",
     .kind = OPTION_NUMBER,
     .offset = FIELD(first),
     .minimum = 0,
     .maximum = PORTS - 1},
    {.names = "-e",
     .argument = "END",
     .help = "the last port (default 65535)",
     .kind = OPTION_NUMBER,
     .offset = FIELD(last),
     .minimum = 0,
     .maximum = PORTS - 1},
    {.names = "-p",
     .argument = "PORT",
     .help = "only this port, and say also when it is closed",
     .kind = OPTION_NUMBER,
     .offset = FIELD(port),
     .minimum = 0,
     .maximum = PORTS - 1},
    OPTION_END,
};

/* One host, because ports alone would not tell which of several they belong to. */
static int check_host(const char *host, struct error *error)
{
    struct address_set addresses = {0};
    enum target_kind kind = TARGET_NAME;
    int failed = target_parse(host, strlen(host), &addresses, &kind, error);
    if (!failed)
        failed = address_set_seal(&addresses);
    if (!failed && kind == TARGET_ADDRESSES && addresses.size != 1)
        failed = error_set(error, EINVAL,
                           "'%s' is more than one host: 'porthole scan' takes networks", host);
    address_set_release(&addresses);
    return failed;
}

/* The states of one host's ports, by number. */
struct states {
    unsigned char of[PORTS];
};

static int note_state(void *user, const struct porthole_port *port)
{
    struct states *states = user;
    states->of[port->port] = (unsigned char)port->state;
    return 0;
}

/* Returns 0, or an exit status after a line on stderr. */
static int scan_host(const struct command *command, const char *host, uint64_t first, uint64_t last,
                     struct states *states)
{
    struct porthole_scan *scan;
    struct porthole_summary summary;
    char ports[32];
    if (porthole_scan_new(&scan) < 0) {
        command_warn(command, "no memory for the scan");
        return EXIT_TROUBLE;
    }
    snprintf(ports, sizeof(ports), "%u-%u", (unsigned)first, (unsigned)last);
    int status = EXIT_DONE;
    int failed = porthole_scan_add_targets(scan, host);
    if (!failed)
        failed = porthole_scan_add_ports(scan, ports);
    if (failed)
        status = EXIT_USAGE;
    else if (porthole_scan_run(scan, note_state, states, &summary) < 0)
        status = EXIT_TROUBLE;
    if (status)
        command_warn(command, "%s", porthole_scan_error(scan));
    else if (summary.errors) {
        command_warn(command, "%llu ports could not be asked: 'porthole scan %s' tells why",
                     (unsigned long long)summary.errors, host);
        status = EXIT_INCOMPLETE;
    }
    porthole_scan_free(scan);
    return status;
}

/* `sentence`: "Port N is open" instead of the bare number. `all`: also what is not open. */
static void print_states(const struct states *states, uint64_t first, uint64_t last, bool sentence,
                         bool all)
{
    static const char *const names[] = {
        [PORTHOLE_OPEN] = "open", [PORTHOLE_CLOSED] = "closed", [PORTHOLE_FILTERED] = "filtered"};
    for (uint64_t port = first; port <= last; port++) {
        unsigned char state = states->of[port];
        if (state != PORTHOLE_OPEN && (!all || state == 0))
            continue;
        if (sentence)
            printf("Port %u is %s\n", (unsigned)port, names[state]);
        else
            printf("%u\n", (unsigned)port);
    }
}

/* The first form, "ADDRESS MIN_PORT MAX_PORT", or the second one's options. */
static int read_words(struct portscanner_options *options, char **operands, int count,
                      struct error *error)
{
    uint64_t *const fields[] = {&options->first, &options->last};
    bool second = options->host || options->first != PORTS || options->last != PORTS ||
                  options->port != PORTS;
    if (second ? !options->host || count != 0 : count != 3)
        return error_set(
            error, EINVAL,
            "give ADDRESS MIN_PORT MAX_PORT, or -i HOST [-s START] [-e END] [-p PORT]");
    for (int i = 0; !second && i < 2; i++)
        if (text_parse_number(operands[i + 1], fields[i], NULL) < 0 || *fields[i] >= PORTS)
            return error_set(error, EINVAL, "port '%s' is not a number from 0 to 65535",
                             operands[i + 1]);
    if (!second)
        options->host = operands[0];
    if (options->port != PORTS && (options->first != PORTS || options->last != PORTS))
        return error_set(error, EINVAL, "-p is one port: leave out -s and -e");
    if (options->port != PORTS)
        options->first = options->last = options->port;
    if (options->first == PORTS)
        options->first = 1;
    if (options->last == PORTS)
        options->last = PORTS - 1;
    if (options->last < options->first)
        return error_set(error, EINVAL, "port range %u-%u ends below its start",
                         (unsigned)options->first, (unsigned)options->last);
    return check_host(options->host, error);
}

static int run_portscanner(const struct command *command, int argc, char **argv)
{
    static struct states states;
    struct portscanner_options options = {.first = PORTS, .last = PORTS, .port = PORTS};
    struct error error = {0};
    int count = 0;
    int status = command_parse(command, argc, argv, &options, &count);
    if (status >= 0)
        return status;
    if (read_words(&options, argv, count, &error) < 0) {
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    status = scan_host(command, options.host, options.first, options.last, &states);
    print_states(&states, options.first, options.last, count == 0, options.port != PORTS);
    return command_finish(command, status);
}

static const struct command_example examples[] = {
    {"portscanner 127.0.0.1 1 1024", "the numbers of the open ports, one a line"},
    {"portscanner -i 127.0.0.1 -p 80", "one port, in words"},
    {NULL, NULL},
};

const struct command command_portscanner = {
    .name = "portscanner",
    .summary = "the open ports of one host, nothing else",
    .usage = "ADDRESS MIN_PORT MAX_PORT\n-i HOST [-s START] [-e END] [-p PORT]",
    .description =
        "The first form prints the number of each open TCP port, one a line, ascending. The second "
        "prints \"Port N is open\" for each, and with -p also \"Port N is closed\" or \"Port N is "
        "filtered\". Nothing is sent to the ports and nothing is read from them.",
    .options = options_table,
    .examples = examples,
    .classic = true,
    .run = run_portscanner,
};
