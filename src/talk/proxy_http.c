/* HTTP CONNECT (RFC 9110 §9.3.6, RFC 9112 §3.2.3) with Basic authentication (RFC 7617), from the
 * asking side. */
#include "talk/proxy_kinds.h"

#include "base/text.h"

#include <errno.h>
#include <sys/types.h>

enum {
    HEAD_LIMIT = 16384,
    REASON_SHOWN = 100, /* bytes of the proxy's words that are shown */
    SWITCHING_PROTOCOLS = 101,
};

enum step {
    STEP_BEGIN,   /* as proxy_negotiation is before its first step */
    STEP_STATUS,  /* a status line is next */
    STEP_INTERIM, /* in the fields behind a 1xx status, which another answer follows */
    STEP_FINAL,   /* in the fields behind a 2xx status */
    STEP_OPEN,
};

/* A line without its end. */
struct line {
    const char *text;
    size_t length;
};

static void add_base64(struct buffer *send, const char *text, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < length; at += 3) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (at + i < length ? (unsigned char)text[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            buffer_add_character(send, at + i > length ? '=' : digits[bits >> (18 - 6 * i) & 63]);
    }
}

static void add_authorization(const struct proxy_request *request, struct buffer *send)
{
    struct buffer pair = {0};
    buffer_add_text(&pair, request->user);
    buffer_add_character(&pair, ':');
    buffer_add_text(&pair, request->password ? request->password : "");
    buffer_add_text(send, "Proxy-Authorization: Basic ");
    if (pair.failed)
        send->failed = true;
    else
        add_base64(send, pair.data, pair.length);
    buffer_add_text(send, "\r\n");
    buffer_release(&pair);
}

static void add_request(const struct proxy_request *request, struct buffer *send)
{
    const bool ipv6 = strchr(request->host, ':') != NULL;
    const char *open = ipv6 ? "[" : "", *close = ipv6 ? "]" : "";
    const unsigned port = request->port;
    buffer_add_format(send, "CONNECT %s%s%s:%u HTTP/1.1\r\n", open, request->host, close, port);
    buffer_add_format(send, "Host: %s%s%s:%u\r\n", open, request->host, close, port);
    if (request->user)
        add_authorization(request, send);
    buffer_add_text(send, "\r\n");
}

/* Whether the bytes are what a status line begins with, as far as they go. */
static bool begins_as_status(const char *text, size_t length)
{
    static const char start[] = "HTTP/1.";
    return memcmp(text, start, length < sizeof(start) - 1 ? length : sizeof(start) - 1) == 0;
}

static int complain_of_answer(const char *text, size_t length, struct error *error)
{
    char shown[REASON_SHOWN + 1];
    if (length >= 1 && (*text == 0 || *text == 4 || *text == 5))
        return error_set(error, EPROTO,
                         "the proxy does not answer as HTTP does: it seems to be one for SOCKS");
    text_escape(text, length, shown, sizeof(shown));
    return error_set(error, EPROTO, "the proxy does not answer as HTTP does: \"%s\"", shown);
}

/* "HTTP/1.1 200 Connection established" (RFC 9112 §4); the reason may be missing with its blank. */
static int read_status(const struct line *line, unsigned *ret_status, struct line *ret_reason)
{
    const size_t at = sizeof("HTTP/1.1 ") - 1, end = at + 3;
    const char *text = line->text;
    if (line->length < end || !begins_as_status(text, line->length) || text[at - 2] < '0' ||
        text[at - 2] > '9' || text[at - 1] != ' ')
        return -EPROTO;
    unsigned status = 0;
    for (size_t i = at; i < end; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EPROTO;
        status = status * 10 + (unsigned)(text[i] - '0');
    }
    if (status < 100 || (line->length > end && text[end] != ' '))
        return -EPROTO;
    *ret_status = status;
    *ret_reason = (struct line){.text = text + end, .length = line->length - end};
    return 0;
}

/* What a status says of the target or of us. Proxies do not agree on how they say that they could
 * not connect, beyond that it is a server's error. */
static int status_errno(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
    case 451:
        return EACCES;
    case 404:
        return EHOSTUNREACH;
    case 408:
    case 504:
        return ETIMEDOUT;
    case 501:
    case 505:
        return EPROTO;
    default:
        return status >= 500 && status < 600 ? ECONNREFUSED : EPROTO;
    }
}

static int complain_of_status(const struct proxy_request *request, unsigned status,
                              const struct line *reason, struct error *error)
{
    char shown[REASON_SHOWN + 1];
    text_escape(reason->text, reason->length, shown, sizeof(shown));
    const char *advice = "";
    if (status == 407 || (status == 401 && request->user)) /* which some say instead */
        advice = request->user ? ": it does not take this user and password"
                               : ": it wants a user and a password";
    else if (status == 405 || status == 501)
        advice = ": it does not know CONNECT, and may be no proxy";
    return error_set(error, status_errno(status), "the HTTP proxy says \"%u%s\"%s", status, shown,
                     advice);
}

static int take_status(struct proxy_negotiation *negotiation, const struct line *line,
                       struct error *error)
{
    unsigned status;
    struct line reason;
    if (read_status(line, &status, &reason) != 0)
        return complain_of_answer(line->text, line->length, error);
    if (status < 200 && status != SWITCHING_PROTOCOLS)
        negotiation->step = STEP_INTERIM;
    else if (status >= 200 && status < 300)
        negotiation->step = STEP_FINAL;
    else
        return complain_of_status(&negotiation->request, status, &reason, error);
    return 0;
}

/* Takes a line off the bytes, which ends with LF, as RFC 9112 §2.2 allows, or CRLF. Returns its
 * length with its end, 0 when all of it is not there yet, or -EPROTO. */
static ssize_t read_line(const struct proxy_negotiation *negotiation, const struct bytes *bytes,
                         struct line *ret_line, struct error *error)
{
    const char *text = (const char *)bytes->at;
    const size_t left = bytes_left(bytes);
    const size_t room = HEAD_LIMIT - negotiation->head;
    const size_t length = left < room ? left : room;
    const char *end = length ? memchr(text, '\n', length) : NULL;
    if (!end && left >= room)
        return error_set(error, EPROTO, "the HTTP proxy answers with a head of more than %d bytes",
                         HEAD_LIMIT);
    if (!end && length && negotiation->step == STEP_STATUS && !begins_as_status(text, length))
        return complain_of_answer(text, length, error);
    if (!end)
        return 0;
    *ret_line = (struct line){.text = text, .length = (size_t)(end - text)};
    if (ret_line->length > 0 && end[-1] == '\r')
        ret_line->length--;
    return end - text + 1;
}

int proxy_http_step(struct proxy_negotiation *negotiation, struct bytes *bytes, struct buffer *send,
                    struct error *error)
{
    if (negotiation->step == STEP_BEGIN) {
        add_request(&negotiation->request, send);
        negotiation->step = STEP_STATUS;
    }
    while (negotiation->step != STEP_OPEN) {
        struct line line = {0};
        const ssize_t taken = read_line(negotiation, bytes, &line, error);
        if (taken == 0)
            return PROXY_MORE;
        int code = taken < 0 ? (int)taken : 0;
        if (code == 0 && negotiation->step == STEP_STATUS)
            code = take_status(negotiation, &line, error);
        else if (code == 0 && line.length == 0)
            negotiation->step = negotiation->step == STEP_FINAL ? STEP_OPEN : STEP_STATUS;
        if (code != 0)
            return code;
        negotiation->head += (size_t)taken;
        bytes_skip(bytes, (size_t)taken);
    }
    return PROXY_OPEN;
}
