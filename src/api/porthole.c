/* The public library: porthole.h over the scan loop. */
#include "porthole.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "net/resolve.h"
#include "net/target.h"
#include "scan/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORTS 1000

struct porthole_scan {
    struct address_set targets, exclusions;
    struct port_set ports;
    struct scan_options options;
    const struct prober_class *technique;
    atomic_bool cancelled;
    struct error error;

    /* Of the run in progress. */
    porthole_port_fn *port;
    void *user;
    int returned; /* by the callback, when it ended the scan */
};

const char *porthole_version(void)
{
    return PORTHOLE_VERSION;
}

int porthole_scan_new(struct porthole_scan **ret_scan)
{
    struct porthole_scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return -ENOMEM;
    scan->options = scan_options_default;
    scan->technique = prober_classes[0];
    atomic_init(&scan->cancelled, false);
    *ret_scan = scan;
    return 0;
}

void porthole_scan_free(struct porthole_scan *scan)
{
    if (!scan)
        return;
    address_set_release(&scan->targets);
    address_set_release(&scan->exclusions);
    port_set_release(&scan->ports);
    free(scan);
}

const char *porthole_scan_error(const struct porthole_scan *scan)
{
    return scan->error.message;
}

/* ---- what to scan ---- */

static int add_resolved(struct address_set *set, const char *word, size_t length,
                        enum resolve_which which, struct error *error)
{
    char name[256];
    enum target_kind kind;
    int failed = target_parse(word, length, set, &kind, error);
    if (failed || kind == TARGET_ADDRESSES)
        return failed;
    snprintf(name, sizeof(name), "%.*s", (int)length, word);
    return resolve_name(name, ADDRESS_NONE, which, set, error);
}

/* A target_word_fn: `user` is the set. */
static int add_word(void *user, const char *word, size_t length, unsigned line, struct error *error)
{
    (void)line;
    return add_resolved(user, word, length, RESOLVE_FIRST, error);
}

/* The same for exclusions, where every address of a name is meant. */
static int exclude_word(void *user, const char *word, size_t length, unsigned line,
                        struct error *error)
{
    (void)line;
    return add_resolved(user, word, length, RESOLVE_ALL, error);
}

int porthole_scan_add_targets(struct porthole_scan *scan, const char *words)
{
    return target_split(words, strlen(words), add_word, &scan->targets, &scan->error);
}

int porthole_scan_exclude_targets(struct porthole_scan *scan, const char *words)
{
    return target_split(words, strlen(words), exclude_word, &scan->exclusions, &scan->error);
}

int porthole_scan_add_ports(struct porthole_scan *scan, const char *ports)
{
    struct port_set parsed = {0};
    int failed = port_set_parse(ports, strlen(ports), &parsed, &scan->error);
    if (!failed && parsed.ranges[parsed.count - 1].protocol != PROTOCOL_TCP)
        failed = error_set(&scan->error, EINVAL, "only TCP ports can be scanned in this version");
    for (size_t i = 0; !failed && i < parsed.count; i++)
        failed =
            port_set_add(&scan->ports, PROTOCOL_TCP, parsed.ranges[i].first, parsed.ranges[i].last);
    port_set_release(&parsed);
    return failed;
}

int porthole_scan_set_technique(struct porthole_scan *scan, const char *name)
{
    const struct prober_class *technique = prober_find(name);
    if (!technique)
        return error_set(&scan->error, EINVAL, "no technique is called '%.64s'", name);
    scan->technique = technique;
    return 0;
}

void porthole_scan_set_tries(struct porthole_scan *scan, unsigned tries)
{
    if (tries > SCAN_TRIES_MAXIMUM)
        tries = SCAN_TRIES_MAXIMUM;
    scan->options.tries = tries ? tries : scan_options_default.tries;
}

void porthole_scan_set_rate(struct porthole_scan *scan, uint64_t rate)
{
    scan->options.rate = rate;
}

void porthole_scan_set_in_flight(struct porthole_scan *scan, uint32_t in_flight)
{
    scan->options.in_flight = in_flight;
}

void porthole_scan_set_timeout(struct porthole_scan *scan, unsigned milliseconds)
{
    uint64_t initial = milliseconds * NANOSECONDS_PER_MILLISECOND;
    scan->options.timeouts = scan_options_default.timeouts;
    if (initial)
        scan->options.timeouts.initial = initial;
    if (initial > scan->options.timeouts.maximum)
        scan->options.timeouts.maximum = initial;
}

/* ---- running ---- */

static_assert((int)PORTHOLE_OPEN == STATE_OPEN && (int)PORTHOLE_CLOSED == STATE_CLOSED &&
                  (int)PORTHOLE_FILTERED == STATE_FILTERED &&
                  (int)PORTHOLE_UNFILTERED == STATE_UNFILTERED &&
                  (int)PORTHOLE_OPEN_FILTERED == STATE_OPEN_FILTERED,
              "the states of the interface are the scan's own");

static int on_port(void *user, const struct port_record *record)
{
    struct porthole_scan *scan = user;
    char address[ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE];
    const struct porthole_port port = {
        .address = address_format(&record->address, address),
        .port = record->port.number,
        .state = (enum porthole_state)record->state,
        .reason = reason_name(record->reason),
        .from = record->from.family == ADDRESS_NONE ? NULL : address_format(&record->from, from),
        .tries = record->tries,
        .rtt = (double)record->rtt / (double)NANOSECONDS_PER_SECOND,
    };
    int returned = scan->port(scan->user, &port);
    if (returned == 0)
        return 0;
    scan->returned = returned;
    return -ECANCELED;
}

/* The scan goes on; what failed first is what porthole_scan_error() will say. */
static int on_error(void *user, const struct error_record *record)
{
    struct porthole_scan *scan = user;
    char address[ADDRESS_TEXT_SIZE];
    if (scan->error.code == 0)
        error_set(&scan->error, record->code, "%s could not be asked: %s (%s)",
                  address_format(&record->address, address), error_meaning(record->code),
                  error_advice(record->code));
    return 0;
}

static int prepare(struct porthole_scan *scan, struct plan *plan)
{
    int failed = 0;
    if (scan->ports.size == 0 && port_set_add_top(&scan->ports, DEFAULT_PORTS) < 0)
        failed = -ENOMEM;
    if (!failed)
        failed = address_set_subtract(&scan->targets, &scan->exclusions);
    if (!failed)
        failed = address_set_seal(&scan->targets);
    if (failed)
        return error_set(&scan->error, -failed, "cannot prepare the targets: %s",
                         strerror(-failed));
    return plan_init(plan, &scan->targets, &scan->ports, &scan->error);
}

static int check_rights(struct porthole_scan *scan)
{
    const struct prober_class *technique = scan->technique;
    int code = technique->permitted ? technique->permitted() : 0;
    if (code == EPERM || code == EACCES)
        return error_set(&scan->error, code, "%s needs the right to send raw packets (CAP_NET_RAW)",
                         technique->name);
    if (code)
        return error_set(&scan->error, code, "%s cannot be used here: %s", technique->name,
                         strerror(code));
    return 0;
}

static void tell_summary(const struct scan_summary *from, struct porthole_summary *to)
{
    *to = (struct porthole_summary){
        .open = from->open,
        .closed = from->closed,
        .filtered = from->filtered,
        .unfiltered = from->unfiltered,
        .open_filtered = from->open_filtered,
        .undecided = from->undecided,
        .errors = from->errors,
        .probes = from->probes,
        .seconds = (double)from->duration / (double)NANOSECONDS_PER_SECOND,
        .recall = from->recall.known ? from->recall.estimate : -1,
        .recall_low = from->recall.known ? from->recall.low : 0,
        .cancelled = from->end != SCAN_COMPLETE,
    };
}

int porthole_scan_run(struct porthole_scan *scan, porthole_port_fn *port, void *user,
                      struct porthole_summary *ret_summary)
{
    struct plan plan;
    struct scan *loop;
    struct scan_summary summary;
    const struct scan_events events = {.error = on_error,

                                       .user = scan,
                                       .port = port ? on_port : NULL,
                                       .cancelled = &scan->cancelled};
    scan->error = (struct error){0};
    scan->port = port;
    scan->user = user;
    scan->returned = 0;
    scan->options.seed = random_u64();
    int failed = check_rights(scan);
    if (!failed)
        failed = prepare(scan, &plan);
    if (failed)
        return failed;
    failed = scan_new(&plan, &scan->options, scan->technique, &events, &loop, &scan->error);
    if (failed)
        return failed;
    struct error error = {0};
    failed = scan_run(loop, &summary, &error);
    if (failed)
        scan->error = error;
    atomic_store(&scan->cancelled, false);
    scan_free(loop);
    if (failed == -ECANCELED && scan->returned) {
        failed = scan->returned < 0 ? scan->returned : 0;
        scan->error = (struct error){0};
    }
    if (!failed && ret_summary)
        tell_summary(&summary, ret_summary);
    return failed;
}

void porthole_scan_cancel(struct porthole_scan *scan)
{
    atomic_store(&scan->cancelled, true);
}

/* ---- the one-call form ---- */

static int note_open(void *user, const struct porthole_port *port)
{
    unsigned char *open = user;
    if (port->state == PORTHOLE_OPEN)
        open[port->port / 8] |= (unsigned char)(1u << port->port % 8);
    return 0;
}

/* And not a network or a range, of which one could not tell whose ports are open. */
static bool is_one_address(const struct address_set *set)
{
    return set->count == 1 && set->ranges[0].last == set->ranges[0].first.value;
}

int porthole_open_ports(const char *address, uint16_t first, uint16_t last, uint16_t *ports,
                        size_t capacity, size_t *ret_count)
{
    unsigned char open[65536 / 8] = {0};
    struct porthole_scan *scan;
    struct porthole_summary summary;
    if (last < first)
        return -EINVAL;
    int failed = porthole_scan_new(&scan);
    if (failed)
        return failed;
    failed = add_word(&scan->targets, address, strlen(address), 0, NULL);
    if (!failed && !is_one_address(&scan->targets))
        failed = -EINVAL;
    if (!failed)
        failed = port_set_add(&scan->ports, PROTOCOL_TCP, first, last);
    if (!failed)
        failed = porthole_scan_run(scan, note_open, open, &summary);
    if (!failed && summary.errors)
        failed = -scan->error.code;
    porthole_scan_free(scan);
    if (failed)
        return failed;
    size_t count = 0;
    for (uint32_t port = first; port <= last; port++) {
        if (!(open[port / 8] >> port % 8 & 1))
            continue;
        if (count < capacity)
            ports[count] = (uint16_t)port;
        count++;
    }
    *ret_count = count;
    return 0;
}
