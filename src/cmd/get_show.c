/* What `get` shows beside the body: the conversation, redirects, times, progress, records. */
#include "base/clock.h"
#include "base/text.h"
#include "cmd/get_run.h"
#include "scan/record.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define METER_FIRST (500 * NANOSECONDS_PER_MILLISECOND) /* what is over sooner needs none */
#define METER_EVERY (200 * NANOSECONDS_PER_MILLISECOND)
#define METER_WIDTH 60

#define FLAGS (JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15))

/* ---- lines ---- */

/* Escaped; `length` bytes are hostile. */
static void print_line(const char *prefix, const char *line, size_t length)
{
    size_t size = 4 * length + 1;
    char *escaped = malloc(size);
    if (!escaped)
        return;
    text_escape(line, length, escaped, size);
    fprintf(stderr, "%s%s%s\n", prefix, *escaped ? " " : "", escaped);
    free(escaped);
}

/* What libcurl tells of its own inside, or that is told anyway. `curl` shows that too. */
static bool is_noise(const char *line, size_t length)
{
    static const char *const marks[] = {
        " (IN), TLS ",      " (OUT), TLS ",     "h2h3 [",
        "Using Stream ID",  "Found bundle for", "Can not multiplex",
        "Multiplexed conn", "left intact",      "Mark bundle as not",
    };
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (memmem(line, length, marks[i], strlen(marks[i])))
            return true;
    return false;
}

void get_show_line(struct get_show *show, enum get_line kind, const char *line, size_t length)
{
    static const char *const prefixes[] = {
        [GET_LINE_NOTE] = "*", [GET_LINE_SENT] = ">", [GET_LINE_HEARD] = "<"};
    bool plain = kind == GET_LINE_NOTE && !show->given->classic;
    if (plain && show->given->verbose < 2 && is_noise(line, length))
        return;
    get_show_clear(show);
    while (plain && length > 0 && *line == ' ') { /* its indentation is only curl's habit */
        line++;
        length--;
    }
    print_line(prefixes[kind], line, length);
}

/* "0.03 ms", "0.4 ms", "123 ms" */
static const char *milliseconds(uint64_t microseconds, char text[static TEXT_NUMBER_SIZE])
{
    double value = (double)microseconds / 1000;
    int decimals = value < 0.095 ? 2 : value < 9.95 ? 1 : 0;
    snprintf(text, TEXT_NUMBER_SIZE, "%.*f ms", decimals, value);
    return text;
}

static uint64_t since(uint64_t later, uint64_t earlier)
{
    return later > earlier ? later - earlier : 0;
}

static void print_times(const struct get_exchange *exchange)
{
    const struct get_times *times = &exchange->times;
    char text[TEXT_NUMBER_SIZE];
    if (exchange->reused)
        fprintf(stderr, "connection used again, ");
    else
        fprintf(stderr, "DNS %s, ", milliseconds(times->lookup, text));
    if (!exchange->reused && times->connect)
        fprintf(stderr, "connect %s, ", milliseconds(since(times->connect, times->lookup), text));
    if (!exchange->reused && times->tls)
        fprintf(stderr, "TLS %s, ", milliseconds(since(times->tls, times->connect), text));
    if (times->first_byte)
        fprintf(stderr, "first byte %s, ", milliseconds(times->first_byte, text));
    fprintf(stderr, "total %s\n", milliseconds(times->total, text));
}

void get_show_exchange(struct get_show *show, const struct get_exchange *exchange)
{
    const struct get_given *given = show->given;
    get_show_clear(show);
    if (given->verbose && !given->classic)
        print_times(exchange);
    if (exchange->followed && (given->verbose || show->terminal) && !given->silent) {
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "%u →", exchange->status);
        print_line(prefix, exchange->redirect, strlen(exchange->redirect));
    }
}

/* ---- progress ---- */

static const char *bytes_text(uint64_t bytes, char text[static TEXT_NUMBER_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, TEXT_NUMBER_SIZE, "%.*f %s", unit > 0 && value < 100, value, units[unit]);
    return text;
}

/* "12.3 MiB of 40.0 MiB, 31%, 5.1 MiB/s" */
static void print_meter(uint64_t done, uint64_t total, uint64_t elapsed)
{
    char part[TEXT_NUMBER_SIZE], whole[TEXT_NUMBER_SIZE], speed[TEXT_NUMBER_SIZE], line[128];
    double seconds = (double)elapsed / 1e9;
    uint64_t rate = seconds > 0 ? (uint64_t)((double)done / seconds) : 0;
    if (total)
        snprintf(line, sizeof(line), "%s of %s, %u%%, %s/s", bytes_text(done, part),
                 bytes_text(total, whole), (unsigned)((double)done * 100 / (double)total),
                 bytes_text(rate, speed));
    else
        snprintf(line, sizeof(line), "%s, %s/s", bytes_text(done, part), bytes_text(rate, speed));
    fprintf(stderr, "\r%-*s", METER_WIDTH, line);
    fflush(stderr);
}

void get_show_progress(struct get_show *show, uint64_t received, uint64_t receive_total,
                       uint64_t sent, uint64_t send_total)
{
    uint64_t now = clock_monotonic();
    bool uploads = sent > received;
    if (!show->meter || now - show->began < METER_FIRST || now - show->meter_last < METER_EVERY)
        return;
    show->meter_last = now;
    show->meter_shown = true;
    print_meter(uploads ? sent : received, uploads ? send_total : receive_total, now - show->began);
}

void get_show_clear(struct get_show *show)
{
    if (show->meter_shown)
        fprintf(stderr, "\r%*s\r", METER_WIDTH, "");
    show->meter_shown = false;
}

/* ---- records ---- */

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

/* NULL, which leaves the member out, for "" and NULL. */
static json_t *optional_text(const char *text)
{
    return text && *text ? text_value(text) : NULL;
}

/* As other records have it: "127.0.0.1:80", "[::1]:80". */
static json_t *peer_value(const char *address, unsigned port)
{
    if (!address[0] || !port)
        return NULL;
    return json_sprintf(strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
}

static json_t *remote_value(const struct get_exchange *exchange)
{
    const char *path = exchange->unix_socket;
    char *text = NULL;
    if (!path)
        return peer_value(exchange->remote_address, exchange->remote_port);
    if (asprintf(&text, "unix:%s", path) < 0)
        return NULL;
    json_t *value = text_value(text);
    free(text);
    return value;
}

static json_t *headers_value(const struct get_exchange *exchange)
{
    json_t *list = exchange->status ? json_array() : NULL;
    for (size_t i = 0; list && i < exchange->header_count; i++) {
        const struct get_header *header = &exchange->headers[i];
        if (json_array_append_new(list, json_pack("[o,o]", text_value(header->name),
                                                  text_value(header->value))) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *certificate_value(const struct tls_certificate *certificate)
{
    char from[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
    return json_pack(
        "{s:o,s:o,s:o*,s:s,s:s,s:s}", "subject", text_value(certificate->subject), "issuer",
        text_value(certificate->issuer), "names", optional_text(certificate->names), "not_before",
        clock_format(certificate->from, from), "not_after", clock_format(certificate->until, until),
        "fingerprint_sha256", certificate->fingerprint);
}

/* The same members as in a "connection" record. */
static json_t *tls_value(const struct tls_description *tls)
{
    if (!tls)
        return NULL;
    json_t *certificates = json_array();
    for (size_t i = 0; i < tls->count; i++)
        json_array_append_new(certificates, certificate_value(&tls->chain[i]));
    return json_pack("{s:s,s:s,s:o*,s:o*,s:b,s:s,s:o}", "protocol", tls->protocol, "cipher",
                     tls->cipher, "group", optional_text(tls->group), "alpn",
                     optional_text(tls->alpn), "verified", (int)tls->verified, "verdict",
                     tls->verdict, "certificates", certificates);
}

/* Microseconds as milliseconds; what did not happen is left out. */
static json_t *time_value(uint64_t microseconds, bool happened)
{
    return happened ? json_real((double)microseconds / 1000) : NULL;
}

static json_t *times_value(const struct get_exchange *exchange)
{
    const struct get_times *times = &exchange->times;
    bool fresh = !exchange->reused;
    return json_pack(
        "{s:o*,s:o*,s:o*,s:o*,s:o}", "dns", time_value(times->lookup, fresh && times->lookup),
        "connect", time_value(since(times->connect, times->lookup), fresh && times->connect), "tls",
        time_value(since(times->tls, times->connect), fresh && times->tls), "first_byte",
        time_value(times->first_byte, times->first_byte), "total", time_value(times->total, true));
}

int get_show_record(FILE *stream, const struct get_exchange *exchange)
{
    char time[CLOCK_TEXT_SIZE];
    json_t *status = exchange->status ? json_integer(exchange->status) : NULL;
    json_t *record = json_pack(
        "{s:s,s:s,s:o,s:o*,s:o*,s:o*,s:o*,s:o*,s:o*,s:b,s:o*,s:I,s:o*,s:o,s:s*,s:o*}", "type",
        "exchange", "time", clock_format(exchange->began, time), "url", text_value(exchange->url),
        "method", optional_text(exchange->method), "status", status, "http_version",
        optional_text(exchange->version), "local",
        peer_value(exchange->local_address, exchange->local_port), "remote", remote_value(exchange),
        "redirect", optional_text(exchange->redirect), "followed", (int)exchange->followed,
        "headers", headers_value(exchange), "body_bytes", (json_int_t)exchange->body_bytes, "tls",
        tls_value(exchange->tls), "timing_ms", times_value(exchange), "error",
        exchange->failed ? error_name(-exchange->failed) : NULL, "message",
        optional_text(exchange->message));
    char *line = record ? json_dumps(record, FLAGS) : NULL;
    json_decref(record);
    if (!line)
        return -ENOMEM;
    fputs(line, stream);
    fputc('\n', stream);
    fflush(stream);
    free(line);
    return 0;
}
