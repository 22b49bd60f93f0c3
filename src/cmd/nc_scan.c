/* `nc -z`: the ports and addresses that are meant, one scan of all of them, and the report. */
#include "cmd/nc_scan.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "net/resolve.h"
#include "net/service.h"
#include "porthole.h"
#include "talk/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES 16 /* of one host; more are passed over */
#define PORTS 65536

/* One word of the command line. */
struct range {
    uint16_t first, last;
};

struct work {
    const struct nc_scan *scan;
    struct range *ranges; /* scan->count of them */
    struct address addresses[ADDRESSES];
    char texts[ADDRESSES][ADDRESS_TEXT_SIZE];
    size_t count;
    bool named; /* the host is no address: the report has both */
    /* What connecting gave, as an errno; 0: open, -1: not known. */
    int16_t outcome[ADDRESSES][PORTS];
};

/* ---- what is meant ---- */

static int parse_port(const char *word, uint16_t *ret_port, struct error *error)
{
    return endpoint_parse_port(ENDPOINT_TCP, ENDPOINT_DIAL, word, ret_port, error);
}

/* "80", "http", "20-80" or "80-20"; names of services may have dashes. */
static int parse_range(const char *word, struct range *ret_range, struct error *error)
{
    char first[8];
    const char *dash = strchr(word, '-');
    struct range range = {0};
    int failed;
    if (!dash || strspn(word, "0123456789") != (size_t)(dash - word) || dash == word) {
        failed = parse_port(word, &range.first, error);
        range.last = range.first;
    } else if ((size_t)(dash - word) >= sizeof(first)) {
        failed =
            error_set(error, EINVAL, "port range '%s' is not two numbers from 1 to 65535", word);
    } else {
        snprintf(first, sizeof(first), "%.*s", (int)(dash - word), word);
        failed = parse_port(first, &range.first, error);
        if (!failed)
            failed = parse_port(dash + 1, &range.last, error);
    }
    if (failed)
        return failed;
    *ret_range = range.first <= range.last
                     ? range
                     : (struct range){.first = range.last, .last = range.first};
    return 0;
}

static int find_addresses(struct work *work, struct error *error)
{
    const struct nc_scan *scan = work->scan;
    struct address address;
    work->named = address_parse(scan->host, strlen(scan->host), &address, NULL) < 0;
    if (work->named && scan->numeric)
        return error_set(error, EINVAL, "'%s' is no address, and -n asks nobody for names",
                         scan->host);
    int failed = work->named ? resolve_ordered(scan->host, scan->family, work->addresses, ADDRESSES,
                                               &work->count, error)
                             : 0;
    if (!work->named) {
        if (scan->family && address.family != scan->family)
            return error_set(error, EINVAL, "'%s' is no IPv%d address", scan->host,
                             (int)scan->family);
        work->addresses[0] = address;
        work->count = 1;
    }
    for (size_t i = 0; i < work->count; i++)
        address_format(&work->addresses[i], work->texts[i]);
    return failed;
}

/* ---- the scan ---- */

/* What connect() would have said. */
static int16_t outcome_of(const struct porthole_port *port)
{
    static const struct {
        const char *reason;
        int16_t code;
    } codes[] = {
        {"no-response", ETIMEDOUT},     {"port-unreach", ECONNREFUSED},
        {"net-unreach", ENETUNREACH},   {"no-route", ENETUNREACH},
        {"proto-unreach", ENOPROTOOPT}, {"net-prohibited", ENETUNREACH},
        {"admin-prohibited", EACCES},   {"reject-route", EACCES},
    };
    if (port->state != PORTHOLE_FILTERED)
        return port->state == PORTHOLE_OPEN ? 0 : ECONNREFUSED;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(port->reason, codes[i].reason) == 0)
            return codes[i].code;
    return EHOSTUNREACH;
}

static int note_port(void *user, const struct porthole_port *port)
{
    struct work *work = user;
    for (size_t i = 0; i < work->count; i++)
        if (strcmp(port->address, work->texts[i]) == 0)
            work->outcome[i][port->port] = outcome_of(port);
    return 0;
}

static int describe(const struct work *work, struct porthole_scan *scan)
{
    char word[32];
    int failed = 0;
    for (size_t i = 0; !failed && i < work->count; i++)
        failed = porthole_scan_add_targets(scan, work->texts[i]);
    for (int i = 0; !failed && i < work->scan->count; i++) {
        const struct range *range = &work->ranges[i];
        snprintf(word, sizeof(word), "%u-%u", range->first, range->last);
        failed = porthole_scan_add_ports(scan, word);
    }
    if (work->scan->timeout) {
        porthole_scan_set_timeout(
            scan, (unsigned)((work->scan->timeout + NANOSECONDS_PER_MILLISECOND - 1) /
                             NANOSECONDS_PER_MILLISECOND));
        porthole_scan_set_tries(scan, 1);
    }
    return failed;
}

/* Returns 0, or an exit status after a line on stderr. */
static int ask(struct work *work)
{
    const struct command *command = work->scan->command;
    struct porthole_scan *scan;
    struct porthole_summary summary = {0};
    if (porthole_scan_new(&scan) < 0) {
        command_warn(command, "no memory for the scan");
        return EXIT_TROUBLE;
    }
    int failed = describe(work, scan);
    if (!failed)
        failed = porthole_scan_run(scan, note_port, work, &summary);
    if (failed)
        command_warn(command, "%s", porthole_scan_error(scan));
    else if (summary.errors)
        command_warn(command, "%llu ports could not be asked: %s",
                     (unsigned long long)summary.errors, porthole_scan_error(scan));
    porthole_scan_free(scan);
    return failed ? EXIT_TROUBLE : EXIT_DONE;
}

/* ---- the report ---- */

static void tell(const struct work *work, size_t address, uint16_t port)
{
    char host[4 * 256 + 1], numeric[ADDRESS_TEXT_SIZE + 4] = "";
    struct service service;
    int outcome = work->outcome[address][port];
    if (!work->scan->tell)
        return;
    text_escape(work->scan->host, strlen(work->scan->host), host, sizeof(host));
    if (work->named)
        snprintf(numeric, sizeof(numeric), " (%s)", work->texts[address]);
    if (outcome)
        fprintf(stderr, "nc: connect to %s%s port %u (tcp) failed: %s\n", host, numeric, port,
                strerror(outcome));
    else
        fprintf(stderr, "Connection to %s%s %u port [tcp/%s] succeeded!\n", host, numeric, port,
                service_find((struct port){.protocol = PROTOCOL_TCP, .number = port}, &service)
                    ? service.name
                    : "*");
}

/* The host's addresses one after another, up to one that answers. */
static bool tell_port(const struct work *work, uint16_t port)
{
    for (size_t i = 0; i < work->count; i++) {
        if (work->outcome[i][port] < 0)
            continue;
        tell(work, i, port);
        if (work->outcome[i][port] == 0)
            return true;
    }
    return false;
}

static void shuffle(uint16_t *ports, unsigned count)
{
    for (unsigned i = count; i > 1; i--) {
        unsigned other = (unsigned)(random_u64() % i);
        uint16_t port = ports[i - 1];
        ports[i - 1] = ports[other];
        ports[other] = port;
    }
}

/* Returns the exit status. */
static int report(const struct work *work)
{
    static uint16_t ports[PORTS];
    bool open = false;
    for (int i = 0; i < work->scan->count; i++) {
        const struct range *range = &work->ranges[i];
        unsigned count = 0;
        for (unsigned port = range->first; port <= range->last; port++)
            ports[count++] = (uint16_t)port;
        if (work->scan->random)
            shuffle(ports, count);
        for (unsigned j = 0; j < count; j++)
            open |= tell_port(work, ports[j]);
    }
    return open ? EXIT_DONE : EXIT_INCOMPLETE;
}

static int prepare(struct work *work, struct error *error)
{
    memset(work->outcome, -1, sizeof(work->outcome));
    for (int i = 0; i < work->scan->count; i++) {
        int failed = parse_range(work->scan->ports[i], &work->ranges[i], error);
        if (failed)
            return failed;
    }
    return find_addresses(work, error);
}

int nc_scan(const struct nc_scan *scan)
{
    struct error error = {0};
    struct work *work = calloc(1, sizeof(*work));
    struct range *ranges = calloc((size_t)scan->count, sizeof(*ranges));
    int status;
    if (!work || !ranges) {
        command_warn(scan->command, "out of memory");
        status = EXIT_TROUBLE;
    } else {
        work->scan = scan;
        work->ranges = ranges;
        if (prepare(work, &error)) {
            command_complain(scan->command, &error);
            status = error.code == EINVAL   ? EXIT_USAGE
                     : error.code == ENOMEM ? EXIT_TROUBLE
                                            : EXIT_INCOMPLETE;
        } else {
            status = ask(work);
            if (status == EXIT_DONE)
                status = report(work);
        }
    }
    free(ranges);
    free(work);
    return status;
}
