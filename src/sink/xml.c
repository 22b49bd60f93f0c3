/* XML that follows nmap's document type, for the programs that read nmap's output.
 *
 * What that type has no words for: ports that could not be asked and ports that an interrupted scan
 * left undecided are "unknown" (nmap's own word), and the sender of an ICMP error is told only for
 * ports that are listed singly. */
#include "scan/sink.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/service.h"
#include "sink/field.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A state with more ports than this is summed up as extraports, as nmap does it. */
#define LISTED_PORTS 25

/* Silent hosts are listed, as nmap -Pn lists them, up to this many; beyond it they are left out. */
#define LISTED_SILENT_HOSTS 256

/* Adds text that may come from anywhere to an attribute. Control characters and what is not UTF-8
 * arrive escaped as \xNN; U+FFFE and U+FFFF are characters of UTF-8 but not of XML. */
static void add_text(struct buffer *buffer, const char *text)
{
    size_t length = strlen(text), size = 4 * length + 1;
    char *escaped = malloc(size);
    if (!escaped) {
        buffer->failed = true;
        return;
    }
    text_escape(text, length, escaped, size);
    for (const char *at = escaped; *at; at++) {
        if (strncmp(at, "\xef\xbf\xbe", 3) == 0 || strncmp(at, "\xef\xbf\xbf", 3) == 0) {
            buffer_add_text(buffer, "\xef\xbf\xbd"); /* the replacement character */
            at += 2;
        } else if (*at == '&') {
            buffer_add_text(buffer, "&amp;");
        } else if (*at == '<') {
            buffer_add_text(buffer, "&lt;");
        } else if (*at == '>') {
            buffer_add_text(buffer, "&gt;");
        } else if (*at == '"') {
            buffer_add_text(buffer, "&quot;");
        } else {
            buffer_add_character(buffer, *at);
        }
    }
    free(escaped);
}

static void add_attribute(struct buffer *buffer, const char *name, const char *value)
{
    buffer_add_format(buffer, " %s=\"", name);
    add_text(buffer, value);
    buffer_add_character(buffer, '"');
}

static uint64_t seconds_of(uint64_t wall)
{
    return wall / NANOSECONDS_PER_SECOND;
}

/* nmap's list of ports, without the protocol: "22,80,8000-8100". Returns how many there are. */
static uint32_t add_port_list(struct buffer *buffer, const struct port_set *ports,
                              enum protocol protocol)
{
    uint32_t count = 0;
    for (size_t i = 0; i < ports->count; i++) {
        const struct port_range *range = &ports->ranges[i];
        if (range->protocol != protocol)
            continue;
        buffer_add_format(buffer, "%s%u", count ? "," : "", (unsigned)range->first);
        if (range->last != range->first)
            buffer_add_format(buffer, "-%u", (unsigned)range->last);
        count += (uint32_t)(range->last - range->first) + 1;
    }
    return count;
}

/* nmap's name for a way of asking: ours without the protocol. */
static const char *scan_type(const char *prober, enum protocol protocol)
{
    static const char *const types[] = {"connect", "syn",  "ack",  "window",
                                        "fin",     "null", "xmas", "maimon"};
    const char *name = strchr(prober, '-');
    if (protocol == PROTOCOL_UDP)
        return "udp";
    if (protocol == PROTOCOL_SCTP)
        return "sctpinit";
    for (size_t i = 0; name && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(name + 1, types[i]) == 0)
            return types[i];
    return types[0];
}

static void add_scaninfo(struct buffer *buffer, const struct scan_start *start)
{
    struct buffer services = {0};
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
        buffer_clear(&services);
        uint32_t count = add_port_list(&services, start->ports, protocol);
        if (count)
            buffer_add_format(buffer,
                              "<scaninfo type=\"%s\" protocol=\"%s\" numservices=\"%" PRIu32
                              "\" services=\"%s\"/>\n",
                              scan_type(start->prober, protocol), protocol_name(protocol), count,
                              services.data);
    }
    if (services.failed)
        buffer->failed = true;
    buffer_release(&services);
}

static int xml_start(struct sink *sink, const struct scan_start *start)
{
    struct buffer *buffer = &sink->output->pending;
    char date[FIELD_DATE_SIZE];
    buffer_add_text(buffer, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                            "<!DOCTYPE nmaprun>\n"
                            "<!-- written by porthole in nmap's format -->\n"
                            "<nmaprun scanner=\"nmap\"");
    add_attribute(buffer, "args", start->command);
    buffer_add_format(buffer,
                      " start=\"%" PRIu64 "\" startstr=\"%s\" version=\"" PORTHOLE_VERSION
                      "\" xmloutputversion=\"1.05\">\n",
                      seconds_of(start->time), field_date(start->time, date));
    add_scaninfo(buffer, start);
    buffer_add_format(buffer, "<verbose level=\"%u\"/>\n<debugging level=\"0\"/>\n",
                      sink->options.verbose);
    return buffer->failed ? -ENOMEM : 0;
}

static void add_service(struct buffer *buffer, struct port port)
{
    char name[FIELD_SERVICE_SIZE];
    if (!*field_service(port, name))
        return;
    buffer_add_text(buffer, "<service");
    add_attribute(buffer, "name", name);
    buffer_add_text(buffer, " method=\"table\" conf=\"3\"/>");
}

static void add_port(struct buffer *buffer, const struct port_record *record)
{
    char from[ADDRESS_TEXT_SIZE];
    buffer_add_format(buffer,
                      "<port protocol=\"%s\" portid=\"%u\"><state state=\"%s\" reason=\"%s\""
                      " reason_ttl=\"0\"",
                      protocol_name(record->port.protocol), (unsigned)record->port.number,
                      state_name(record->state), reason_name(record->reason));
    if (record->from.family != ADDRESS_NONE)
        add_attribute(buffer, "reason_ip", address_format(&record->from, from));
    buffer_add_text(buffer, "/>");
    add_service(buffer, record->port);
    buffer_add_text(buffer, "</port>\n");
}

/* Ports that are added ascending, as text: "1-21,23". */
struct port_list {
    struct buffer text; /* without the last range */
    uint16_t first, last;
    uint32_t count; /* of ports */
};

static void port_list_flush(struct port_list *list)
{
    buffer_add_format(&list->text, "%s%u", list->text.length ? "," : "", (unsigned)list->first);
    if (list->last != list->first)
        buffer_add_format(&list->text, "-%u", (unsigned)list->last);
}

static void port_list_add(struct port_list *list, uint16_t number)
{
    if (list->count && number != list->last + 1)
        port_list_flush(list);
    if (list->count == 0 || number != list->last + 1)
        list->first = number;
    list->last = number;
    list->count++;
}

/* The ports of a host on their way into the document. */
struct host_ports {
    struct buffer *buffer;
    bool listed[STATE_COUNT]; /* by state: one by one */
    struct port_list extra[STATE_COUNT][REASON_COUNT]
                          [PROTOCOL_COUNT]; /* the others, by state and reason */
};

static void host_ports_free(struct host_ports *ports)
{
    for (unsigned state = 0; state < STATE_COUNT; state++)
        for (unsigned reason = 0; reason < REASON_COUNT; reason++)
            for (unsigned protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
                buffer_release(&ports->extra[state][reason][protocol].text);
    free(ports);
}

static int list_port(void *user, const struct port_record *record)
{
    struct host_ports *ports = user;
    if (ports->listed[record->state])
        add_port(ports->buffer, record);
    return 0;
}

static int gather_extra(void *user, const struct port_record *record)
{
    struct host_ports *ports = user;
    if (!ports->listed[record->state])
        port_list_add(&ports->extra[record->state][record->reason][record->port.protocol],
                      record->port.number);
    return 0;
}

static void add_extrareasons(struct buffer *buffer, enum reason reason, enum protocol protocol,
                             uint32_t count, const struct buffer *list)
{
    if (list->failed)
        buffer->failed = true;
    else if (count)
        buffer_add_format(buffer,
                          "<extrareasons reason=\"%s\" count=\"%" PRIu32
                          "\" proto=\"%s\" ports=\"%s\"/>\n",
                          reason_name(reason), count, protocol_name(protocol), list->data);
}

static void add_extraports(struct host_ports *ports, enum port_state state, uint64_t count)
{
    struct buffer *buffer = ports->buffer;
    if (count == 0 || ports->listed[state])
        return;
    buffer_add_format(buffer, "<extraports state=\"%s\" count=\"%" PRIu64 "\">\n",
                      state_name(state), count);
    for (enum reason reason = 0; reason < REASON_COUNT; reason++)
        for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
            struct port_list *list = &ports->extra[state][reason][protocol];
            if (list->count)
                port_list_flush(list);
            add_extrareasons(buffer, reason, protocol, list->count, &list->text);
        }
    buffer_add_text(buffer, "</extraports>\n");
}

/* Ports without a state. */
static void add_unknown(struct buffer *buffer, uint64_t count, const char *reason)
{
    if (count)
        buffer_add_format(buffer,
                          "<extraports state=\"unknown\" count=\"%" PRIu64 "\">\n"
                          "<extrareasons reason=\"%s\" count=\"%" PRIu64 "\"/>\n</extraports>\n",
                          count, reason, count);
}

/* Hosts are not asked whether they are up before their ports are: "user-set", as with nmap -Pn. */
static void begin_host(const struct sink *sink, const struct address *address,
                       const struct scan_summary *summary)
{
    struct buffer *buffer = &sink->output->pending;
    const char *name = name_set_find(sink->start.names, address);
    char text[ADDRESS_TEXT_SIZE];
    buffer_add_format(buffer,
                      "<host starttime=\"%" PRIu64 "\" endtime=\"%" PRIu64
                      "\"><status state=\"up\" reason=\"user-set\" reason_ttl=\"0\"/>\n<address",
                      seconds_of(summary->started), seconds_of(summary->finished));
    add_attribute(buffer, "addr", address_format(address, text));
    buffer_add_format(buffer, " addrtype=\"ipv%d\"/>\n<hostnames>\n", (int)address->family);
    if (name) {
        buffer_add_text(buffer, "<hostname");
        add_attribute(buffer, "name", name);
        buffer_add_text(buffer, " type=\"user\"/>\n");
    }
    buffer_add_text(buffer, "</hostnames>\n<ports>");
}

static void end_host(struct buffer *buffer)
{
    buffer_add_text(buffer, "</ports>\n</host>\n");
}

static int add_host(struct sink *sink, const struct results *results,
                    const struct host_result *host, const struct scan_summary *summary)
{
    struct buffer *buffer = &sink->output->pending;
    struct host_ports *ports = calloc(1, sizeof(*ports));
    if (!ports)
        return -ENOMEM;
    bool all = sink->options.verbose >= 2, others = !sink->options.open_only;
    bool shown[STATE_COUNT];
    ports->buffer = buffer;
    for (enum port_state state = STATE_OPEN; state < STATE_COUNT; state++) {
        shown[state] = others || state_is_possibly_open(state);
        ports->listed[state] = shown[state] && (all || host->counts[state] <= LISTED_PORTS);
    }

    begin_host(sink, &host->address, summary);
    int result = results_each_port(results, host, gather_extra, ports);
    for (enum port_state state = STATE_CLOSED; state < STATE_COUNT; state++)
        if (shown[state])
            add_extraports(ports, state, host->counts[state]);
    if (others)
        add_unknown(buffer, host->undecided, "undecided");
    add_unknown(buffer, host->failed, "local-error");
    if (result == 0)
        result = results_each_port(results, host, list_port, ports);
    end_host(buffer);
    host_ports_free(ports);
    return result;
}

/* All ports of a host that gave nothing. */
static void add_silent_host(struct sink *sink, const struct address *address,
                            const struct port_set *ports, enum port_state silence,
                            const struct scan_summary *summary)
{
    struct buffer *buffer = &sink->output->pending;
    begin_host(sink, address, summary);
    if (ports->size <= LISTED_PORTS || sink->options.verbose >= 2) {
        for (uint32_t i = 0; i < ports->size; i++)
            add_port(buffer, &(struct port_record){.port = port_set_at(ports, i),
                                                   .state = silence,
                                                   .reason = REASON_NO_RESPONSE});
    } else {
        buffer_add_format(buffer, "<extraports state=\"%s\" count=\"%" PRIu32 "\">\n",
                          state_name(silence), ports->size);
        for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
            struct buffer list = {0};
            uint32_t count = add_port_list(&list, ports, protocol);
            add_extrareasons(buffer, REASON_NO_RESPONSE, protocol, count, &list);
            buffer_release(&list);
        }
        buffer_add_text(buffer, "</extraports>\n");
    }
    end_host(buffer);
}

static int add_silent_hosts(struct sink *sink, const struct results *results,
                            const struct scan_summary *summary)
{
    struct address_set silent = {0};
    if ((sink->options.open_only && !state_is_possibly_open(results_silence(results))) ||
        results_end(results) != SCAN_COMPLETE ||
        results_silent_host_count(results) > LISTED_SILENT_HOSTS)
        return 0;
    int result = results_silent_hosts(results, &silent);
    for (uint64_t i = 0; result == 0 && i < silent.size; i++) {
        struct address address = address_set_at(&silent, i);
        struct port_set ports = {0};
        result = results_asked_ports(results, &address, &ports);
        if (result == 0)
            add_silent_host(sink, &address, &ports, results_silence(results), summary);
        port_set_release(&ports);
    }
    address_set_release(&silent);
    return result;
}

static void add_runstats(struct sink *sink, const struct scan_summary *summary)
{
    struct buffer *buffer = &sink->output->pending;
    char shard[FIELD_SHARD_SIZE];
    char date[FIELD_DATE_SIZE], elapsed[FIELD_SECONDS_SIZE], reason[FIELD_RESPONDERS_SIZE];
    field_date(summary->finished, date);
    field_seconds(summary->duration, elapsed);
    buffer_add_format(buffer,
                      "<runstats><finished time=\"%" PRIu64 "\" timestr=\"%s\" elapsed=\"%s\""
                      " summary=\"porthole done at %s; %" PRIu64 " IP address%s (%" PRIu64
                      " host%s up) scanned in %s seconds",
                      seconds_of(summary->finished), date, elapsed, date, summary->hosts,
                      summary->hosts == 1 ? "" : "es", summary->hosts_answered,
                      summary->hosts_answered == 1 ? "" : "s", elapsed);
    if (*field_shard(&sink->start, shard))
        buffer_add_format(buffer, "; %s", shard);
    if (summary->limit)
        buffer_add_text(buffer, "; speed limited by ");
    add_text(buffer, summary->limit ? summary->limit : "");
    if (summary->link)
        buffer_add_format(buffer, "; link %s", summary->link);
    if (summary->responders_only)
        buffer_add_format(buffer, "; %s", field_responders_only(summary, reason));
    buffer_add_character(buffer, '"');
    if (summary->end == SCAN_COMPLETE)
        buffer_add_text(buffer, " exit=\"success\"/>");
    else
        buffer_add_format(buffer, " exit=\"error\" errormsg=\"%s, %" PRIu64 " ports undecided\"/>",
                          scan_end_name(summary->end), summary->undecided);
    buffer_add_format(buffer,
                      "<hosts up=\"%" PRIu64 "\" down=\"0\" total=\"%" PRIu64 "\"/>\n"
                      "</runstats>\n</nmaprun>\n",
                      summary->hosts_answered, summary->hosts);
}

static int xml_finish(struct sink *sink, const struct results *results,
                      const struct scan_summary *summary)
{
    int result = 0;
    for (size_t i = 0; i < results_host_count(results) && result == 0; i++) {
        const struct host_result *host = results_host(results, i);
        if (!sink->options.open_only || host_result_possibly_open(host))
            result = add_host(sink, results, host, summary);
    }
    if (result == 0)
        result = add_silent_hosts(sink, results, summary);
    add_runstats(sink, summary);
    return sink->output->pending.failed ? -ENOMEM : result;
}

const struct sink_class sink_xml = {
    .name = "xml",
    .suffixes = ".xml",
    .whole = true,
    .start = xml_start,
    .finish = xml_finish,
};
