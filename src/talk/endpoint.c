/* The words for ends of a conversation. */
#include "talk/endpoint.h"

#include "base/text.h"
#include "talk/host_port.h"

#include <stdio.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define QUOTED_LIMIT 40

static const char *const kind_names[] = {
    [ENDPOINT_TCP] = "tcp",
    [ENDPOINT_UDP] = "udp",
    [ENDPOINT_TLS] = "tls",
    [ENDPOINT_UNIX] = "unix",
};

static enum protocol kind_protocol(enum endpoint_kind kind)
{
    return kind == ENDPOINT_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
}

/* "tcp", "UDP6", …: false when it is none. */
static bool find_kind(const char *word, size_t length, enum endpoint_kind *ret_kind,
                      enum address_family *ret_family)
{
    for (size_t i = 0; i < COUNT(kind_names); i++) {
        const size_t name = strlen(kind_names[i]);
        if (length < name || strncasecmp(word, kind_names[i], name) != 0)
            continue;
        const char digit = length == name + 1 ? word[name] : '\0';
        if (length > name && (i == ENDPOINT_UNIX || (digit != '4' && digit != '6')))
            continue;
        *ret_kind = (enum endpoint_kind)i;
        *ret_family = digit == '4' ? ADDRESS_IPV4 : digit == '6' ? ADDRESS_IPV6 : ADDRESS_NONE;
        return true;
    }
    return false;
}

/* The word begins with something before a colon that can't be a host: says what would be right. */
static int complain_of_kind(const struct reader *reader, size_t colon)
{
    char kind[QUOTED_LIMIT + 1];
    for (size_t at = reader->at; at < colon; at++)
        if (reader->text[at] <= 0x20 || reader->text[at] >= 0x7f)
            return READER_FAULT(reader, at, "the byte 0x%02x is no part of an endpoint's kind",
                                (unsigned)(unsigned char)reader->text[at]);
    const size_t length = colon - reader->at < QUOTED_LIMIT ? colon - reader->at : QUOTED_LIMIT;
    memcpy(kind, reader->text + reader->at, length);
    kind[length] = '\0';
    struct text_nearest nearest = {.word = kind};
    for (size_t i = 0; i < COUNT(kind_names); i++)
        text_nearest_offer(&nearest, kind_names[i], strlen(kind_names[i]));
    if (nearest.candidate[0])
        return READER_FAULT(reader, reader->at, "unknown kind '%s'; did you mean '%s'?", kind,
                            nearest.candidate);
    return READER_FAULT(reader, reader->at, "unknown kind '%s': write tcp, udp, tls or unix", kind);
}

/* Whether the word, with two colons or more, may have been meant as an IPv6 address. */
static bool is_ipv6_like(const struct reader *reader)
{
    return memmem(reader->text, reader->length, "::", 2) || reader_count(reader, ':') >= 7;
}

/* A word without a kind: whether what is before its first colon was meant as one. */
static int check_no_kind(const struct reader *reader)
{
    const size_t colon = reader_find(reader, ':');
    const char *rest = reader->text + colon;
    const size_t length = reader->end - colon;
    if (reader_sees(reader, '/') || (length == 0 && reader_find(reader, '/') < reader->end))
        return READER_FAULT(reader, reader->at, "for a Unix socket write unix: before its path");
    if (reader_sees(reader, '[') || reader_sees(reader, ':'))
        return 0;
    if (length >= 3 && memcmp(rest, "://", 3) == 0)
        return READER_FAULT(reader, colon, "an endpoint is no URL: write its host and port alone");
    if (length >= 2 && (memchr("/.@", rest[1], 3) || reader_find(reader, '/') < reader->end))
        return complain_of_kind(reader, colon);
    const struct reader behind = reader_part(reader, colon + (length > 0), reader->end);
    if (reader_find(&behind, ':') < behind.end && !is_ipv6_like(reader))
        return complain_of_kind(reader, colon);
    return 0;
}

static int read_path(const struct reader *reader, struct endpoint *endpoint)
{
    const size_t length = reader->end - reader->at;
    const size_t limit = sizeof(endpoint->path) - 1;
    if (length == 0)
        return READER_FAULT(reader, reader->at,
                            "a path is missing, or the name of an abstract socket (@name)");
    if (length == 1 && reader_sees(reader, '@'))
        return READER_FAULT(reader, reader->end, "a name is missing after '@'");
    if (length > limit)
        return READER_FAULT(reader, reader->at + limit,
                            "the path of a Unix socket has at most %zu bytes", limit);
    memcpy(endpoint->path, reader->text + reader->at, length);
    endpoint->path[length] = '\0';
    return 0;
}

/* The host of an endpoint, which may be nothing or "*" where it listens. */
static int read_host(struct reader *reader, enum endpoint_role role, enum address_family family,
                     struct endpoint *endpoint)
{
    const size_t start = reader->at;
    const size_t length = reader->end - start;
    const bool every = length == 1 && reader->text[start] == '*';
    struct address address = {.family = ADDRESS_NONE};
    if (every && role == ENDPOINT_DIAL)
        return READER_FAULT(reader, start, "'*' is for listening: one host is expected here");
    if (!every && (length > 0 || role == ENDPOINT_DIAL)) {
        int code = host_read(reader, &address);
        if (code != 0)
            return code;
    }
    if (length >= sizeof(endpoint->host))
        return READER_FAULT(reader, start + sizeof(endpoint->host) - 1,
                            "a host has at most %zu characters", sizeof(endpoint->host) - 1);
    if (family != ADDRESS_NONE && address.family != ADDRESS_NONE && address.family != family)
        return READER_FAULT(reader, start, "this is an IPv%d address, and IPv%d was asked for",
                            (int)address.family, (int)family);
    if (length > 0)
        memcpy(endpoint->host, reader->text + start, length);
    endpoint->host[length] = '\0';
    return 0;
}

/* Part of a word that has no colon: a port, but perhaps a host was meant. */
static bool is_host_alone(const struct reader *part, enum endpoint_role role)
{
    static const char here[] = "localhost";
    const size_t length = part->end - part->at;
    if (role == ENDPOINT_DIAL)
        return length > 0;
    return reader_find(part, '.') < part->end ||
           (length == sizeof(here) - 1 && memcmp(part->text + part->at, here, length) == 0);
}

static int complain_of_one_part(const struct reader *part)
{
    for (size_t at = part->at; at < part->end; at++)
        if (!reader_is_digit(part->text[at]))
            return READER_FAULT(part, part->end, "a port is missing after the host, as in db:5432");
    return READER_FAULT(part, part->at, "a host is missing before the port, as in localhost:80");
}

/* "8080", "host:8080", "[::1]:8080" */
static int read_place(const struct reader *reader, enum endpoint_role role,
                      enum address_family family, struct endpoint *endpoint)
{
    struct host_port parts;
    int code = host_port_split(reader, &parts);
    if (code != 0)
        return code;
    if (!parts.colon && parts.brackets)
        return READER_FAULT(reader, reader->end,
                            "a port is missing after the host, as in [::1]:80");
    if (!parts.colon && is_host_alone(&parts.host, role))
        return complain_of_one_part(&parts.host);
    if (!parts.colon) {
        parts.port = parts.host;
        parts.host.end = parts.host.at;
    }
    if (parts.colon || role == ENDPOINT_DIAL)
        code = read_host(&parts.host, role, family, endpoint);
    if (code == 0)
        code = port_read(&parts.port, kind_protocol(endpoint->kind), role == ENDPOINT_LISTEN,
                         &endpoint->port);
    return code;
}

int endpoint_parse(const char *text, enum endpoint_role role, struct endpoint *ret_endpoint,
                   enum address_family *ret_family, struct error *error)
{
    const size_t length = strlen(text);
    struct reader reader = {.text = text, .length = length, .end = length, .error = error};
    struct endpoint endpoint = {.kind = ENDPOINT_TCP};
    enum address_family family = ADDRESS_NONE;
    int code = 0;
    const size_t colon = reader_find(&reader, ':');
    if (length == 0)
        return READER_FAULT(&reader, 0, "an endpoint is missing, such as %s",
                            role == ENDPOINT_LISTEN ? "8080" : "localhost:8080");
    if (colon < length && find_kind(text, colon, &endpoint.kind, &family))
        reader.at = colon + 1;
    else
        code = check_no_kind(&reader);
    if (code == 0)
        code = endpoint.kind == ENDPOINT_UNIX ? read_path(&reader, &endpoint)
                                              : read_place(&reader, role, family, &endpoint);
    if (code != 0)
        return code;
    *ret_endpoint = endpoint;
    *ret_family = family;
    return 0;
}

static struct reader reader_of(const char *text, struct error *error)
{
    const size_t length = text ? strlen(text) : 0;
    return (struct reader){
        .text = text ? text : "", .length = length, .end = length, .error = error};
}

int endpoint_from_words(enum endpoint_kind kind, enum endpoint_role role, const char *host,
                        const char *port, struct endpoint *ret_endpoint, struct error *error)
{
    struct reader where = reader_of(host, error);
    struct endpoint endpoint = {.kind = kind};
    int code;
    if (kind == ENDPOINT_UNIX) {
        const struct reader behind = reader_of(port, error);
        code = port ? READER_FAULT(&behind, 0, "a Unix socket has a path and no port")
                    : read_path(&where, &endpoint);
    } else {
        if (reader_sees(&where, '[') && where.text[where.end - 1] == ']') {
            struct host_port parts;
            code = host_port_split(&where, &parts);
            if (code != 0)
                return code;
            where = parts.host;
        }
        code = read_host(&where, role, ADDRESS_NONE, &endpoint);
        if (code == 0)
            code = endpoint_parse_port(kind, role, port, &endpoint.port, error);
    }
    if (code == 0)
        *ret_endpoint = endpoint;
    return code;
}

int endpoint_parse_port(enum endpoint_kind kind, enum endpoint_role role, const char *text,
                        uint16_t *ret_port, struct error *error)
{
    struct reader reader = reader_of(text, error);
    return port_read(&reader, kind_protocol(kind), role == ENDPOINT_LISTEN, ret_port);
}

const char *endpoint_format(const struct endpoint *endpoint, char text[static ENDPOINT_WORD_SIZE])
{
    const char *kind = kind_names[endpoint->kind];
    const unsigned port = endpoint->port;
    if (endpoint->kind == ENDPOINT_UNIX)
        snprintf(text, ENDPOINT_WORD_SIZE, "%s:%s", kind, endpoint->path);
    else if (!endpoint->host[0])
        snprintf(text, ENDPOINT_WORD_SIZE, "%s:%u", kind, port);
    else
        snprintf(text, ENDPOINT_WORD_SIZE, strchr(endpoint->host, ':') ? "%s:[%s]:%u" : "%s:%s:%u",
                 kind, endpoint->host, port);
    return text;
}
