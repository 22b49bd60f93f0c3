/* Comma-separated values (RFC 4180): one row a port, as it is found. */
#include "scan/sink.h"

#include "base/clock.h"
#include "sink/field.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int csv_start(struct sink *sink, const struct scan_start *start)
{
    (void)start;
    buffer_add_text(
        &sink->output->pending,
        "address,name,protocol,port,state,reason,from,tries,rtt_us,service,error,time\r\n");
    return sink->output->pending.failed ? -ENOMEM : 0;
}

/* Adds a field and the comma after it. Words and numbers of our own are safe as they are; a service
 * of /etc/services or the zone of an address may hold anything. Spreadsheets take a field that
 * begins with = + - or @ for a formula, also in quotes: an apostrophe before it makes it text. */
static void add_field(struct buffer *buffer, const char *text)
{
    bool quoted = text[strcspn(text, ",\"\r\n")] != '\0';
    if (quoted)
        buffer_add_character(buffer, '"');
    if (*text && strchr("=+-@", *text))
        buffer_add_character(buffer, '\'');
    for (; *text; text++) {
        if (*text == '"')
            buffer_add_character(buffer, '"');
        buffer_add_character(buffer, *text);
    }
    buffer_add_text(buffer, quoted ? "\"," : ",");
}

static void add_address(struct buffer *buffer, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    add_field(buffer, address->family == ADDRESS_NONE ? "" : address_format(address, text));
}

/* Which host a row is about. */
static void add_host(const struct sink *sink, const struct address *address)
{
    const char *name = name_set_find(sink->start.names, address);
    add_address(&sink->output->pending, address);
    add_field(&sink->output->pending, name ? name : "");
}

static void add_port(struct buffer *buffer, struct port port)
{
    buffer_add_format(buffer, "%s,%u,", protocol_name(port.protocol), (unsigned)port.number);
}

/* The last field of every row. */
static int end_row(struct buffer *buffer, uint64_t time)
{
    char text[CLOCK_TEXT_SIZE];
    buffer_add_format(buffer, "%s\r\n", clock_format(time, text));
    return buffer->failed ? -ENOMEM : 0;
}

static int csv_port(struct sink *sink, const struct port_record *record)
{
    struct buffer *buffer = &sink->output->pending;
    char service[FIELD_SERVICE_SIZE];
    add_host(sink, &record->address);
    add_port(buffer, record->port);
    buffer_add_format(buffer, "%s,%s,", state_name(record->state), reason_name(record->reason));
    add_address(buffer, &record->from);
    buffer_add_format(buffer, "%u,", record->tries);
    if (record->rtt)
        buffer_add_format(buffer, "%" PRIu64 ".%03u", record->rtt / NANOSECONDS_PER_MICROSECOND,
                          (unsigned)(record->rtt % NANOSECONDS_PER_MICROSECOND));
    buffer_add_character(buffer, ',');
    add_field(buffer, field_service(record->port, service));
    buffer_add_character(buffer, ','); /* no error */
    return end_row(buffer, record->time);
}

/* A port that this machine could not ask has no state, only the error; without a port, that is true
 * of every port of the host that has no row of its own. */
static int csv_error(struct sink *sink, const struct error_record *record)
{
    struct buffer *buffer = &sink->output->pending;
    char service[FIELD_SERVICE_SIZE] = "";
    add_host(sink, &record->address);
    if (record->whole_host) {
        buffer_add_text(buffer, ",,");
    } else {
        add_port(buffer, record->port);
        field_service(record->port, service);
    }
    buffer_add_text(buffer, ",,,,,"); /* state to rtt_us */
    add_field(buffer, service);
    add_field(buffer, error_name(record->code));
    return end_row(buffer, record->time);
}

const struct sink_class sink_csv = {
    .name = "csv",
    .suffixes = ".csv",
    .start = csv_start,
    .port = csv_port,
    .error = csv_error,
};
