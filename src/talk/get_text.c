/* What became of an exchange, by a format with %{variables} as curl's -w takes it. */
#include "base/text.h"
#include "talk/get.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct writer {
    struct buffer *text; /* where the format has got to */
    struct buffer *rest; /* behind %{stderr} */
    struct buffer *out;
    const struct get_exchange *exchange;
    const struct get_format_facts *facts;
    bool escape;
};

/* What comes from the server, or was typed. */
static void add_foreign(struct writer *writer, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    char *escaped = writer->escape && length ? malloc(4 * length + 1) : NULL;
    if (escaped)
        text_escape(text, length, escaped, 4 * length + 1);
    else if (writer->escape && length)
        writer->out->failed = true;
    if (length)
        buffer_add_text(writer->out, escaped ? escaped : text);
    free(escaped);
}

static void add_seconds(struct writer *writer, uint64_t microseconds)
{
    buffer_add_format(writer->out, "%" PRIu64 ".%06u", microseconds / 1000000,
                      (unsigned)(microseconds % 1000000));
}

static void add_number(struct writer *writer, uint64_t number)
{
    buffer_add_format(writer->out, "%" PRIu64, number);
}

static void add_status(struct writer *writer, unsigned status)
{
    buffer_add_format(writer->out, "%03u", status);
}

/* Bytes a second. */
static void add_speed(struct writer *writer, uint64_t bytes)
{
    uint64_t time = writer->exchange->times.total;
    add_number(writer, time ? (uint64_t)((double)bytes * 1e6 / (double)time) : 0);
}

static const char *scheme(const struct get_exchange *exchange)
{
    return strncmp(exchange->url, "https:", 6) == 0 ? "HTTPS" : "HTTP";
}

enum variable {
    CONTENT_TYPE,
    ERROR_MESSAGE,
    EXIT_CODE,
    FILE_NAME,
    HTTP_CODE,
    HTTP_CONNECT,
    HTTP_VERSION,
    LOCAL_IP,
    LOCAL_PORT,
    METHOD,
    NUMBER_CERTIFICATES,
    NUMBER_CONNECTS,
    NUMBER_HEADERS,
    NUMBER_REDIRECTS,
    PROXY_VERIFY,
    REDIRECT_URL,
    REFERER,
    REMOTE_IP,
    REMOTE_PORT,
    SCHEME,
    SIZE_DOWNLOAD,
    SIZE_HEADER,
    SIZE_REQUEST,
    SIZE_UPLOAD,
    SPEED_DOWNLOAD,
    SPEED_UPLOAD,
    STANDARD_ERROR,
    STANDARD_OUTPUT,
    TIME_CONNECT,
    TIME_FIRST_BYTE,
    TIME_LOOKUP,
    TIME_REDIRECT,
    TIME_REQUEST,
    TIME_TLS,
    TIME_TOTAL,
    URL,
    URL_NUMBER,
    VERIFY,
};

static const struct {
    const char *name;
    enum variable variable;
} variables[] = {
    {"content_type", CONTENT_TYPE},
    {"errormsg", ERROR_MESSAGE},
    {"exitcode", EXIT_CODE},
    {"filename_effective", FILE_NAME},
    {"http_code", HTTP_CODE},
    {"http_connect", HTTP_CONNECT},
    {"http_version", HTTP_VERSION},
    {"local_ip", LOCAL_IP},
    {"local_port", LOCAL_PORT},
    {"method", METHOD},
    {"num_certs", NUMBER_CERTIFICATES},
    {"num_connects", NUMBER_CONNECTS},
    {"num_headers", NUMBER_HEADERS},
    {"num_redirects", NUMBER_REDIRECTS},
    {"proxy_ssl_verify_result", PROXY_VERIFY},
    {"redirect_url", REDIRECT_URL},
    {"referer", REFERER},
    {"remote_ip", REMOTE_IP},
    {"remote_port", REMOTE_PORT},
    {"response_code", HTTP_CODE},
    {"scheme", SCHEME},
    {"size_download", SIZE_DOWNLOAD},
    {"size_header", SIZE_HEADER},
    {"size_request", SIZE_REQUEST},
    {"size_upload", SIZE_UPLOAD},
    {"speed_download", SPEED_DOWNLOAD},
    {"speed_upload", SPEED_UPLOAD},
    {"ssl_verify_result", VERIFY},
    {"stderr", STANDARD_ERROR},
    {"stdout", STANDARD_OUTPUT},
    {"time_appconnect", TIME_TLS},
    {"time_connect", TIME_CONNECT},
    {"time_namelookup", TIME_LOOKUP},
    {"time_pretransfer", TIME_REQUEST},
    {"time_redirect", TIME_REDIRECT},
    {"time_starttransfer", TIME_FIRST_BYTE},
    {"time_total", TIME_TOTAL},
    {"url", URL},
    {"url_effective", URL},
    {"urlnum", URL_NUMBER},
};

/* Those that are counts of bytes and times; false for any other. */
static bool add_measure(struct writer *writer, enum variable variable)
{
    const struct get_exchange *exchange = writer->exchange;
    const struct get_times *sums = &exchange->sums.times;
    switch (variable) {
    case SIZE_DOWNLOAD:
        return add_number(writer, exchange->body_bytes), true;
    case SIZE_HEADER:
        return add_number(writer, exchange->sums.header_bytes), true;
    case SIZE_REQUEST:
        return add_number(writer, exchange->sums.request_bytes), true;
    case SIZE_UPLOAD:
        return add_number(writer, exchange->upload_bytes), true;
    case SPEED_DOWNLOAD:
        return add_speed(writer, exchange->body_bytes), true;
    case SPEED_UPLOAD:
        return add_speed(writer, exchange->upload_bytes), true;
    case TIME_CONNECT:
        return add_seconds(writer, sums->connect), true;
    case TIME_FIRST_BYTE:
        return add_seconds(writer, sums->first_byte), true;
    case TIME_LOOKUP:
        return add_seconds(writer, sums->lookup), true;
    case TIME_REDIRECT:
        return add_seconds(writer, exchange->sums.redirect_time), true;
    case TIME_REQUEST:
        return add_seconds(writer, sums->request), true;
    case TIME_TLS:
        return add_seconds(writer, sums->tls), true;
    case TIME_TOTAL:
        return add_seconds(writer, sums->total), true;
    default:
        return false;
    }
}

/* Those that are other numbers; false for any other. */
static bool add_count(struct writer *writer, enum variable variable)
{
    const struct get_exchange *exchange = writer->exchange;
    switch (variable) {
    case EXIT_CODE:
        return add_number(writer, (uint64_t)exchange->code), true;
    case HTTP_CODE:
        return add_status(writer, exchange->status), true;
    case HTTP_CONNECT:
        return add_status(writer, exchange->proxy_status), true;
    case LOCAL_PORT:
        return add_number(writer, exchange->local_port), true;
    case NUMBER_CERTIFICATES:
        return add_number(writer, exchange->tls ? exchange->tls->count : 0), true;
    case NUMBER_CONNECTS:
        return add_number(writer, exchange->sums.connections), true;
    case NUMBER_HEADERS:
        return add_number(writer, exchange->header_count), true;
    case NUMBER_REDIRECTS:
        return add_number(writer, exchange->sums.redirects), true;
    case PROXY_VERIFY:
        return add_number(writer, 0), true;
    case REMOTE_PORT:
        return add_number(writer, exchange->remote_port), true;
    case URL_NUMBER:
        return add_number(writer, writer->facts->number), true;
    case VERIFY:
        return add_number(writer, (uint64_t)exchange->verify_result), true;
    default:
        return false;
    }
}

static void add_words(struct writer *writer, enum variable variable)
{
    const struct get_exchange *exchange = writer->exchange;
    const char *text = variable == CONTENT_TYPE    ? exchange->content_type
                       : variable == ERROR_MESSAGE ? exchange->message
                       : variable == FILE_NAME     ? writer->facts->file
                       : variable == HTTP_VERSION  ? exchange->version
                       : variable == LOCAL_IP      ? exchange->local_address
                       : variable == METHOD        ? exchange->method
                       : variable == REDIRECT_URL  ? exchange->redirect
                       : variable == REFERER       ? writer->facts->referer
                       : variable == REMOTE_IP     ? exchange->remote_address
                       : variable == SCHEME        ? scheme(exchange)
                       : variable == URL           ? exchange->url
                                                   : NULL;
    if (variable == STANDARD_ERROR)
        writer->out = writer->rest;
    else if (variable == STANDARD_OUTPUT)
        writer->out = writer->text;
    else if (variable == HTTP_VERSION && !exchange->version[0])
        buffer_add_character(writer->out, '0');
    else
        add_foreign(writer, text);
}

/* `name` between the braces. An unknown one adds nothing. */
static void add_variable(struct writer *writer, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        if (strlen(variables[i].name) != length || memcmp(variables[i].name, name, length) != 0)
            continue;
        enum variable variable = variables[i].variable;
        if (!add_measure(writer, variable) && !add_count(writer, variable))
            add_words(writer, variable);
        return;
    }
}

/* "%header{NAME}" */
static void add_header(struct writer *writer, const char *name, size_t length)
{
    for (size_t i = 0; i < writer->exchange->header_count; i++) {
        const struct get_header *header = &writer->exchange->headers[i];
        if (strlen(header->name) == length && strncasecmp(header->name, name, length) == 0) {
            add_foreign(writer, header->value);
            return;
        }
    }
}

/* At a "%". Returns what follows it. */
static const char *add_percent(struct writer *writer, const char *at)
{
    static const char header[] = "%header{";
    if (at[1] == '%') {
        buffer_add_character(writer->out, '%');
        return at + 2;
    }
    bool is_header = strncmp(at, header, sizeof(header) - 1) == 0;
    const char *name = is_header ? at + sizeof(header) - 1 : at[1] == '{' ? at + 2 : NULL;
    const char *end = name ? strchr(name, '}') : NULL;
    if (!end) {
        buffer_add_character(writer->out, '%');
        return at + 1;
    }
    if (is_header)
        add_header(writer, name, (size_t)(end - name));
    else
        add_variable(writer, name, (size_t)(end - name));
    return end + 1;
}

/* At a backslash. Returns what follows it. */
static const char *add_escaped(struct writer *writer, const char *at)
{
    static const char letters[] = "ntr", meanings[] = "\n\t\r";
    const char *letter = at[1] ? strchr(letters, at[1]) : NULL;
    if (letter) {
        buffer_add_character(writer->out, meanings[letter - letters]);
        return at + 2;
    }
    buffer_add_character(writer->out, '\\');
    return at + 1;
}

void get_format(struct buffer *text, struct buffer *rest, const char *format,
                const struct get_exchange *exchange, const struct get_format_facts *facts,
                bool escape)
{
    struct writer writer = {
        .text = text,
        .rest = rest,
        .out = text,
        .exchange = exchange,
        .facts = facts,
        .escape = escape,
    };
    while (*format) {
        if (*format == '%') {
            format = add_percent(&writer, format);
        } else if (*format == '\\') {
            format = add_escaped(&writer, format);
        } else {
            size_t length = strcspn(format, "%\\");
            buffer_add(writer.out, format, length);
            format += length;
        }
    }
}
