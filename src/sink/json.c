/* JSON Lines: one record a line, as it is found. The records are described in docs/records.md, and
 * docs/records.schema.json holds this file to the description. */
#include "scan/sink.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/service.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Fifteen digits are what a double holds of any decimal number: 85.2 stays 85.2. ASCII, so that a
 * line can be shown on a terminal. */
#define FLAGS (JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15))

#define SHARD_SIZE 48

static int add_bytes(const char *bytes, size_t length, void *buffer)
{
    buffer_add(buffer, bytes, length);
    return 0;
}

/* Prints a record and drops it; NULL means that there was no memory to make it. */
static int put(struct sink *sink, json_t *record)
{
    struct buffer *pending = &sink->output->pending;
    int result = record ? json_dump_callback(record, add_bytes, pending, FLAGS) : -1;
    json_decref(record);
    buffer_add_character(pending, '\n');
    return result < 0 || pending->failed ? -ENOMEM : 0;
}

/* A string that need not be UTF-8: what is not is escaped. */
static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    size_t length = strlen(text), size = 4 * length + 1;
    char *escaped = malloc(size);
    if (escaped) {
        text_escape(text, length, escaped, size);
        value = json_string(escaped);
    }
    free(escaped);
    return value;
}

/* The address as text, or NULL (which leaves an optional member out) for none. */
static const char *address_text(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    return address->family == ADDRESS_NONE ? NULL : address_format(address, text);
}

static json_t *service_value(struct port port)
{
    struct service service;
    if (!service_find(port, &service))
        return NULL;
    return json_pack("{s:o,s:s}", "name", text_value(service.name), "source",
                     service.source == SERVICE_SYSTEM ? "system" : "registry");
}

/* As --shard takes it, or NULL (which leaves the member out) for a scan of everything. */
static const char *shard_text(const struct scan_start *start, char text[static SHARD_SIZE])
{
    if (start->shards <= 1)
        return NULL;
    snprintf(text, SHARD_SIZE, "%" PRIu64 "/%" PRIu64, start->shard, start->shards);
    return text;
}

static int json_start(struct sink *sink, const struct scan_start *start)
{
    char time[CLOCK_TEXT_SIZE], seed[TEXT_NUMBER_SIZE], shard[SHARD_SIZE];
    struct buffer ports = {0};
    port_set_format(start->ports, &ports);
    snprintf(seed, sizeof(seed), "%" PRIu64, start->seed);
    json_t *record =
        ports.failed
            ? NULL
            : json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:s*,s:I,s:s,s:I}", "type", "scan", "time",
                        clock_format(start->time, time), "version", PORTHOLE_VERSION, "command",
                        text_value(start->command), "prober", start->prober, "seed", seed, "shard",
                        shard_text(start, shard), "hosts", (json_int_t)start->hosts, "ports",
                        ports.data, "port_count", (json_int_t)start->ports->size);
    buffer_release(&ports);
    return put(sink, record);
}

static int json_port(struct sink *sink, const struct port_record *record)
{
    char time[CLOCK_TEXT_SIZE], address[ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE];
    json_t *rtt = record->rtt ? json_real((double)record->rtt / 1000) : NULL;
    return put(sink,
               json_pack("{s:s,s:s,s:s,s:s*,s:s,s:i,s:s,s:s,s:s*,s:i,s:o*,s:o*}", "type", "port",
                         "time", clock_format(record->time, time), "address",
                         address_format(&record->address, address), "name",
                         name_set_find(sink->start.names, &record->address), "protocol",
                         protocol_name(record->port.protocol), "port", (int)record->port.number,
                         "state", state_name(record->state), "reason", reason_name(record->reason),
                         "from", address_text(&record->from, from), "tries", (int)record->tries,
                         "rtt_us", rtt, "service", service_value(record->port)));
}

/* An error that concerns the whole host names no port. */
static int json_error(struct sink *sink, const struct error_record *record)
{
    char time[CLOCK_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    const char *protocol = record->whole_host ? NULL : protocol_name(record->port.protocol);
    json_t *port = record->whole_host ? NULL : json_integer(record->port.number);
    return put(sink, json_pack("{s:s,s:s,s:s,s:s*,s:s*,s:o*,s:s,s:s,s:s}", "type", "error", "time",
                               clock_format(record->time, time), "address",
                               address_format(&record->address, address), "name",
                               name_set_find(sink->start.names, &record->address), "protocol",
                               protocol, "port", port, "error", error_name(record->code), "message",
                               error_meaning(record->code), "advice", error_advice(record->code)));
}

static json_t *reason_value(enum port_state state, enum reason reason, const struct address *from,
                            uint64_t count)
{
    char text[ADDRESS_TEXT_SIZE];
    return json_pack("{s:s,s:s,s:s*,s:I}", "state", state_name(state), "reason",
                     reason_name(reason), "from", address_text(from, text), "count",
                     (json_int_t)count);
}

/* How many ports of the host there are for each state and reason, open ones first. */
static json_t *reasons_value(const struct host_result *host, bool open_only)
{
    uint64_t open[REASON_COUNT] = {0};
    json_t *reasons = json_array();
    int failed = reasons == NULL;
    for (size_t i = 0; i < host->open_count; i++)
        open[host->open[i].reason]++;
    for (enum reason reason = 0; reason < REASON_COUNT; reason++)
        if (open[reason])
            failed |= json_array_append_new(
                reasons, reason_value(STATE_OPEN, reason, &(struct address){0}, open[reason]));
    for (size_t i = 0; i < host->group_count; i++) {
        const struct result_group *group = &host->groups[i];
        if (open_only && !state_is_possibly_open(group->state))
            continue;
        failed |= json_array_append_new(
            reasons, reason_value(group->state, group->reason, &group->from, group->count));
    }
    if (!failed)
        return reasons;
    json_decref(reasons);
    return NULL;
}

/* Adds the members of `part`, which it drops, to a record. Returns the record, or NULL. */
static json_t *join(json_t *record, json_t *part)
{
    bool failed = json_object_update(record, part) < 0;
    json_decref(part);
    if (!failed)
        return record;
    json_decref(record);
    return NULL;
}

/* The counts of ports that are not open, as far as they are wanted and known. */
static json_t *counts_value(const struct host_result *host, bool open_only, bool responders_only)
{
    const uint32_t *counts = host->counts;
    if (responders_only)
        return json_object();
    json_t *others = json_pack("{s:I,s:I,s:I}", "unfiltered", (json_int_t)counts[STATE_UNFILTERED],
                               "open_filtered", (json_int_t)counts[STATE_OPEN_FILTERED],
                               "undecided", (json_int_t)host->undecided);
    if (open_only)
        return others;
    return join(json_pack("{s:I,s:I}", "closed", (json_int_t)counts[STATE_CLOSED], "filtered",
                          (json_int_t)counts[STATE_FILTERED]),
                others);
}

static int put_host(struct sink *sink, const struct host_result *host, bool responders_only)
{
    bool open_only = sink->options.open_only;
    char address[ADDRESS_TEXT_SIZE];
    json_t *record = json_pack("{s:s,s:s,s:s*,s:b,s:I}", "type", "host", "address",
                               address_format(&host->address, address), "name",
                               name_set_find(sink->start.names, &host->address), "answered",
                               (int)host->answered, "open", (json_int_t)host->open_count);
    json_t *rest = json_pack("{s:I,s:o}", "errors", (json_int_t)host->failed, "reasons",
                             reasons_value(host, open_only));
    return put(sink, join(join(record, counts_value(host, open_only, responders_only)), rest));
}

/* The addresses that gave nothing, as target words. */
static json_t *silent_value(const struct results *results)
{
    struct address_set silent = {0};
    struct buffer words = {0};
    json_t *array = NULL;
    if (results_silent_hosts(results, &silent) < 0)
        return NULL;
    address_set_format(&silent, " ", &words);
    if (!words.failed)
        array = json_array();
    for (const char *word = words.data; array && word && *word;) {
        size_t length = strcspn(word, " ");
        if (json_array_append_new(array, json_stringn(word, length)) < 0) {
            json_decref(array);
            array = NULL;
        }
        word += length + (word[length] == ' ');
    }
    buffer_release(&words);
    address_set_release(&silent);
    return array;
}

static json_t *recall_value(const struct recall *recall)
{
    if (!recall->known)
        return json_null();
    return json_pack("{s:f,s:f}", "estimate", recall->estimate, "low", recall->low);
}

/* How many hosts gave nothing, and which unless only open ports are wanted; nothing where the scan
 * does not know. */
static json_t *silence_value(const struct sink *sink, const struct results *results,
                             const struct scan_summary *summary)
{
    if (summary->responders_only)
        return json_pack("{s:b}", "responders_only", 1);
    json_int_t count = (json_int_t)results_silent_host_count(results);
    if (sink->options.open_only)
        return json_pack("{s:I}", "hosts_silent", count);
    return json_pack("{s:I,s:o}", "hosts_silent", count, "silent_addresses", silent_value(results));
}

/* What is only known of a prober that sends its packets itself. */
static json_t *packets_value(const struct scan_summary *summary)
{
    if (summary->packets == 0 && summary->refused == 0)
        return json_object();
    return json_pack("{s:I,s:I,s:I}", "packets", (json_int_t)summary->packets, "refused",
                     (json_int_t)summary->refused, "missed", (json_int_t)summary->missed);
}

/* By which link packets left; the reason may hold the name of an interface, which is any bytes. */
static json_t *link_value(const struct scan_summary *summary)
{
    if (!summary->link)
        return json_object();
    if (!summary->link_reason)
        return json_pack("{s:s}", "link", summary->link);
    return json_pack("{s:s,s:o}", "link", summary->link, "link_reason",
                     text_value(summary->link_reason));
}

static int put_summary(struct sink *sink, const struct results *results,
                       const struct scan_summary *summary)
{
    char started[CLOCK_TEXT_SIZE], finished[CLOCK_TEXT_SIZE], shard[SHARD_SIZE];
    json_t *record =
        json_pack("{s:s,s:s,s:s,s:f,s:s,s:s*,s:I,s:I,s:I}", "type", "summary", "time",
                  clock_format(summary->finished, finished), "started",
                  clock_format(summary->started, started), "duration_s",
                  (double)summary->duration / (double)NANOSECONDS_PER_SECOND, "end",
                  scan_end_name(summary->end), "shard", shard_text(&sink->start, shard), "hosts",
                  (json_int_t)summary->hosts, "hosts_answered", (json_int_t)summary->hosts_answered,
                  "ports", (json_int_t)summary->ports);
    record = join(
        record,
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "open", (json_int_t)summary->open, "closed",
                  (json_int_t)summary->closed, "filtered", (json_int_t)summary->filtered,
                  "unfiltered", (json_int_t)summary->unfiltered, "open_filtered",
                  (json_int_t)summary->open_filtered, "undecided", (json_int_t)summary->undecided,
                  "errors", (json_int_t)summary->errors, "probes", (json_int_t)summary->probes));
    if (summary->hosts_given_up)
        record =
            join(record, json_pack("{s:I}", "hosts_given_up", (json_int_t)summary->hosts_given_up));
    record = join(record, packets_value(summary));
    record =
        join(record, json_pack("{s:f,s:i,s:o,s:s*}", "probes_per_s", round(summary->rate * 10) / 10,
                               "passes", (int)summary->passes, "recall",
                               recall_value(&summary->recall), "limit", summary->limit));
    record = join(record, link_value(summary));
    return put(sink, join(record, silence_value(sink, results, summary)));
}

static int json_finish(struct sink *sink, const struct results *results,
                       const struct scan_summary *summary)
{
    for (size_t i = 0; i < results_host_count(results); i++) {
        const struct host_result *host = results_host(results, i);
        if (sink->options.open_only && host_result_possibly_open(host) == 0)
            continue;
        int result = put_host(sink, host, summary->responders_only);
        if (result < 0)
            return result;
    }
    return put_summary(sink, results, summary);
}

const struct sink_class sink_json = {
    .name = "json",
    .suffixes = ".jsonl .json",
    .start = json_start,
    .port = json_port,
    .error = json_error,
    .finish = json_finish,
};
