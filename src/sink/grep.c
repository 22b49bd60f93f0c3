/* One line a host, in the shape of nmap's greppable output. */
#include "scan/sink.h"

#include "base/clock.h"
#include "base/text.h"
#include "sink/field.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The most frequent state that is not open is left out when it has more ports than this. */
#define LISTED_PORTS 25

/* Beyond this many, silent hosts are only counted. */
#define LISTED_SILENT_HOSTS 256

static int grep_start(struct sink *sink, const struct scan_start *start)
{
    struct buffer *buffer = &sink->output->pending;
    char date[FIELD_DATE_SIZE];
    size_t length = strlen(start->command), size = 4 * length + 1;
    char *command = malloc(size);
    if (!command)
        return -ENOMEM;
    text_escape(start->command, length, command, size);
    buffer_add_format(buffer, "# porthole " PORTHOLE_VERSION " scan initiated %s as: %s\n",
                      field_date(start->time, date), command);
    free(command);
    return buffer->failed ? -ENOMEM : 0;
}

struct port_list {
    struct buffer *buffer;
    enum port_state ignored; /* STATE_SILENT: none */
    bool open_only;
    bool begun;
};

/* port/state/protocol/owner/service/RPC/version/ as nmap has them; a slash or comma in a name would
 * break the line apart, so they become bars, as with nmap. */
static int add_port(void *user, const struct port_record *record)
{
    struct port_list *list = user;
    char service[FIELD_SERVICE_SIZE];
    if (record->state == list->ignored ||
        (list->open_only && !state_is_possibly_open(record->state)))
        return 0;
    field_service(record->port, service);
    for (char *at = service; (at = strpbrk(at, "/,")) != NULL;)
        *at = '|';
    buffer_add_format(list->buffer, "%s%u/%s/%s//%s///",
                      list->begun ? ", " : "\tPorts: ", (unsigned)record->port.number,
                      state_name(record->state), protocol_name(record->port.protocol), service);
    list->begun = true;
    return 0;
}

static void begin_line(const struct sink *sink, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    const char *name = name_set_find(sink->start.names, address);
    buffer_add_format(&sink->output->pending, "Host: %s (%s)", address_format(address, text),
                      name ? name : "");
}

static void add_status(const struct sink *sink, const struct address *address, bool answered)
{
    begin_line(sink, address);
    buffer_add_format(&sink->output->pending, "\tStatus: %s\n", answered ? "Up" : "Unknown");
}

static void add_ignored(struct buffer *buffer, enum port_state state, uint64_t count)
{
    buffer_add_format(buffer, "\tIgnored State: %s (%" PRIu64 ")", state_name(state), count);
}

static int add_host(struct sink *sink, const struct results *results,
                    const struct host_result *host)
{
    struct buffer *buffer = &sink->output->pending;
    struct port_list list = {.buffer = buffer, .open_only = sink->options.open_only};
    enum port_state most = STATE_CLOSED;
    uint64_t count = 0, told = host->open_count;
    for (enum port_state state = STATE_CLOSED; state < STATE_COUNT; state++) {
        if (list.open_only && !state_is_possibly_open(state))
            continue;
        told += host->counts[state];
        if (host->counts[state] > count) {
            most = state;
            count = host->counts[state];
        }
    }
    if (count > LISTED_PORTS && sink->options.verbose < 2)
        list.ignored = most;
    add_status(sink, &host->address, host->answered);
    if (told == 0)
        return 0;
    begin_line(sink, &host->address);
    int result = results_each_port(results, host, add_port, &list);
    if (!list.begun)
        buffer_add_text(buffer, "\tPorts: ");
    if (list.ignored != STATE_SILENT)
        add_ignored(buffer, list.ignored, count);
    buffer_add_character(buffer, '\n');
    return result;
}

static void add_silent_host(struct sink *sink, const struct address *address,
                            const struct port_set *ports, enum port_state silence)
{
    struct buffer *buffer = &sink->output->pending;
    struct port_list list = {.buffer = buffer};
    add_status(sink, address, false);
    begin_line(sink, address);
    if (ports->size > LISTED_PORTS && sink->options.verbose < 2) {
        buffer_add_text(buffer, "\tPorts: ");
        add_ignored(buffer, silence, ports->size);
    } else {
        for (uint32_t i = 0; i < ports->size; i++)
            add_port(&list, &(struct port_record){.port = port_set_at(ports, i), .state = silence});
    }
    buffer_add_character(buffer, '\n');
}

static int add_silent_hosts(struct sink *sink, const struct results *results)
{
    struct address_set silent = {0};
    uint64_t count = results_silent_host_count(results);
    enum port_state silence = results_silence(results);
    if ((sink->options.open_only && !state_is_possibly_open(silence)) ||
        results_end(results) != SCAN_COMPLETE || count == 0)
        return 0;
    if (count > LISTED_SILENT_HOSTS) {
        buffer_add_format(&sink->output->pending,
                          "# %" PRIu64 " more hosts gave no answer at all\n", count);
        return 0;
    }
    int result = results_silent_hosts(results, &silent);
    for (uint64_t i = 0; result == 0 && i < silent.size; i++) {
        struct address address = address_set_at(&silent, i);
        struct port_set ports = {0};
        result = results_asked_ports(results, &address, &ports);
        if (result == 0)
            add_silent_host(sink, &address, &ports, silence);
        port_set_release(&ports);
    }
    address_set_release(&silent);
    return result;
}

static int grep_finish(struct sink *sink, const struct results *results,
                       const struct scan_summary *summary)
{
    struct buffer *buffer = &sink->output->pending;
    char date[FIELD_DATE_SIZE], elapsed[FIELD_SECONDS_SIZE], reason[FIELD_RESPONDERS_SIZE];
    char shard[FIELD_SHARD_SIZE];
    int result = 0;
    for (size_t i = 0; i < results_host_count(results) && result == 0; i++) {
        const struct host_result *host = results_host(results, i);
        if (!sink->options.open_only || host_result_possibly_open(host))
            result = add_host(sink, results, host);
    }
    if (result == 0)
        result = add_silent_hosts(sink, results);
    if (*field_shard(&sink->start, shard))
        buffer_add_format(buffer, "# %s\n", shard);
    if (summary->errors)
        buffer_add_format(buffer, "# %" PRIu64 " ports could not be asked\n", summary->errors);
    if (summary->responders_only)
        buffer_add_format(buffer, "# %s\n", field_responders_only(summary, reason));
    if (summary->limit)
        buffer_add_format(buffer, "# speed limited by %s\n", summary->limit);
    if (summary->end != SCAN_COMPLETE)
        buffer_add_format(buffer, "# %s: %" PRIu64 " ports undecided\n",
                          scan_end_name(summary->end), summary->undecided);
    buffer_add_format(buffer,
                      "# porthole done at %s -- %" PRIu64 " IP address%s (%" PRIu64
                      " host%s up) scanned in %s seconds\n",
                      field_date(summary->finished, date), summary->hosts,
                      summary->hosts == 1 ? "" : "es", summary->hosts_answered,
                      summary->hosts_answered == 1 ? "" : "s",
                      field_seconds(summary->duration, elapsed));
    return buffer->failed ? -ENOMEM : result;
}

const struct sink_class sink_grep = {
    .name = "grep",
    .suffixes = ".gnmap .grep",
    .whole = true,
    .start = grep_start,
    .finish = grep_finish,
};
