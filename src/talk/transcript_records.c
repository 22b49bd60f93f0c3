/* The records around what was said: who talked to whom, how it ended, who was turned away. */
#include "talk/transcript.h"

#include "base/clock.h"
#include "base/text.h"
#include "scan/record.h"
#include "talk/transcript_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A string that need not be UTF-8: what is not is escaped. */
static void add_value(struct buffer *lines, const char *text)
{
    char escaped[4096];
    size_t length = strlen(text);
    uint32_t point;
    size_t taken;
    for (size_t at = 0; at < length; at += taken) {
        taken = text_decode(text + at, length - at, &point);
        if (taken > 0)
            continue;
        length = text_escape(text, length, escaped, sizeof(escaped));
        text = escaped;
        break;
    }
    transcript_add_string(lines, text, length);
}

/* `,"name":"text"`; a comma goes before all but the first member. */
static void add_text(struct buffer *lines, const char *name, const char *text)
{
    const char last = lines->length ? lines->data[lines->length - 1] : '{';
    buffer_add_format(lines, "%s\"%s\":", last == '{' ? "" : ",", name);
    add_value(lines, text);
}

static void add_known_text(struct buffer *lines, const char *name, const char *text)
{
    if (text && *text)
        add_text(lines, name, text);
}

static void add_count(struct buffer *lines, const char *name, uint64_t count)
{
    buffer_add_format(lines, ",\"%s\":%" PRIu64, name, count);
}

static void add_time(struct buffer *lines, const char *name, uint64_t wall)
{
    char time[CLOCK_TEXT_SIZE];
    add_text(lines, name, clock_format(wall, time));
}

static void add_truth(struct buffer *lines, const char *name, bool truth)
{
    buffer_add_format(lines, ",\"%s\":%s", name, truth ? "true" : "false");
}

static void add_peer(struct buffer *lines, const char *name, const struct peer *peer)
{
    char text[PEER_TEXT_SIZE];
    if (peer->kind != PEER_NONE)
        add_text(lines, name, peer_format(peer, text));
}

/* Seconds to the microsecond, and at least one decimal. */
static void add_seconds(struct buffer *lines, const char *name, uint64_t nanoseconds)
{
    char decimals[8];
    uint64_t microseconds = nanoseconds / NANOSECONDS_PER_MICROSECOND;
    snprintf(decimals, sizeof(decimals), "%06u", (unsigned)(microseconds % 1000000));
    for (size_t end = 5; end > 0 && decimals[end] == '0'; end--)
        decimals[end] = '\0';
    buffer_add_format(lines, ",\"%s\":%" PRIu64 ".%s", name, microseconds / 1000000, decimals);
}

static void begin(struct buffer *lines, const char *type, uint64_t wall, uint64_t number)
{
    buffer_add_character(lines, '{');
    add_text(lines, "type", type);
    add_time(lines, "time", wall);
    if (number)
        add_count(lines, "connection", number);
}

static void add_certificate(struct buffer *lines, const struct tls_certificate *certificate)
{
    buffer_add_character(lines, '{');
    add_text(lines, "subject", certificate->subject);
    add_text(lines, "issuer", certificate->issuer);
    add_known_text(lines, "names", certificate->names);
    add_time(lines, "not_before", certificate->from);
    add_time(lines, "not_after", certificate->until);
    add_text(lines, "fingerprint_sha256", certificate->fingerprint);
    buffer_add_character(lines, '}');
}

static void add_tls(struct buffer *lines, const struct tls_description *tls)
{
    buffer_add_text(lines, ",\"tls\":{");
    add_text(lines, "protocol", tls->protocol);
    add_text(lines, "cipher", tls->cipher);
    add_known_text(lines, "group", tls->group);
    add_known_text(lines, "alpn", tls->alpn);
    add_truth(lines, "verified", tls->verified);
    add_known_text(lines, "verdict", tls->verdict);
    buffer_add_text(lines, ",\"certificates\":[");
    for (size_t i = 0; i < tls->count; i++) {
        if (i > 0)
            buffer_add_character(lines, ',');
        add_certificate(lines, &tls->chain[i]);
    }
    buffer_add_text(lines, "]}");
}

void transcript_add_connection(struct buffer *lines, uint64_t wall,
                               const struct transcript_connection *connection)
{
    begin(lines, "connection", wall, connection->number);
    add_text(lines, "role", connection->accepted ? "accepted" : "dialled");
    add_text(lines, "protocol", connection->protocol);
    add_peer(lines, "local", &connection->local);
    add_peer(lines, "remote", &connection->remote);
    add_known_text(lines, "name", connection->name);
    if (connection->tls)
        add_tls(lines, connection->tls);
    buffer_add_text(lines, "}\n");
}

static const char *outcome_name(enum pair_outcome outcome)
{
    switch (outcome) {
    case PAIR_ENDED:
        return "ended";
    case PAIR_CLOSED:
        return "closed";
    case PAIR_IDLE:
        return "idle";
    case PAIR_FAILED:
        break;
    }
    return "failed";
}

void transcript_add_end(struct buffer *lines, uint64_t wall, const struct transcript_end *end)
{
    begin(lines, "end", wall, end->number);
    add_text(lines, "outcome", outcome_name(end->outcome));
    if (end->error && end->error->code) {
        add_text(lines, "error", error_name(end->error->code));
        add_text(lines, "message",
                 *end->error->message ? end->error->message : error_meaning(end->error->code));
    }
    add_count(lines, "sent", end->sent);
    add_count(lines, "received", end->received);
    add_seconds(lines, "duration_s", end->duration);
    buffer_add_text(lines, "}\n");
}

void transcript_add_listening(struct buffer *lines, uint64_t wall, const struct peer *local,
                              const char *protocol)
{
    begin(lines, "listening", wall, 0);
    add_peer(lines, "local", local);
    add_text(lines, "protocol", protocol);
    buffer_add_text(lines, "}\n");
}

void transcript_add_denied(struct buffer *lines, uint64_t wall, const struct peer *remote,
                           const char *reason)
{
    begin(lines, "denied", wall, 0);
    add_peer(lines, "remote", remote);
    add_text(lines, "reason", reason);
    buffer_add_text(lines, "}\n");
}
