/* HOST, PORT and HOST:PORT inside a longer word. */
#include "talk/host_port.h"

#include <strings.h>

enum {
    NAME_LENGTH_LIMIT = 253, /* RFC 1123 §2.1 and RFC 1035 §2.3.4, without the root's dot */
    LABEL_LENGTH_LIMIT = 63,
    QUOTED_LIMIT = 40, /* of a word that is shown in a message */
};

/* What is still to be read, as the arguments of "%.*s%s": cut where it would swell the message. */
#define QUOTED(reader)                                                                             \
    (int)((reader)->end - (reader)->at > QUOTED_LIMIT ? QUOTED_LIMIT                               \
                                                      : (reader)->end - (reader)->at),             \
        (reader)->text + (reader)->at, (reader)->end - (reader)->at > QUOTED_LIMIT ? "..." : ""

static bool is_letter(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

/* What a character that no host name has was probably meant for. */
static int complain_of_character(const struct reader *reader, size_t at)
{
    const unsigned char character = (unsigned char)reader->text[at];
    if (character == '%')
        return READER_FAULT(reader, at, "only an IPv6 address has a zone");
    if (character >= 0x80)
        return READER_FAULT(reader, at,
                            "write an internationalised host name in its ASCII form (xn--...)");
    if (character < 0x20 || character == 0x7f)
        return READER_FAULT(reader, at, "the byte 0x%02x is no part of a host name",
                            (unsigned)character);
    return READER_FAULT(reader, at, "a host name is made of letters, digits, hyphens and dots");
}

static int check_characters(const struct reader *reader)
{
    for (size_t at = reader->at; at < reader->end; at++) {
        const char character = reader->text[at];
        if (!is_letter(character) && !reader_is_digit(character) && !memchr("-_.", character, 3))
            return complain_of_character(reader, at);
    }
    return 0;
}

/* One label, whose characters are known to be right. */
static int check_label(const struct reader *label)
{
    if (label->at == label->end)
        return READER_FAULT(label, label->at, "a label of the host name is missing here");
    if (reader_sees(label, '-'))
        return READER_FAULT(label, label->at, "a label of a host name does not begin with '-'");
    if (label->end - label->at > LABEL_LENGTH_LIMIT)
        return READER_FAULT(label, label->at + LABEL_LENGTH_LIMIT,
                            "a label of a host name has at most %d characters", LABEL_LENGTH_LIMIT);
    if (label->text[label->end - 1] == '-')
        return READER_FAULT(label, label->end - 1, "a label of a host name does not end with '-'");
    return 0;
}

/* Whether a label is a number as inet_aton() reads it: "127", "0x7f". */
static bool is_number(const struct reader *label)
{
    const char *text = label->text + label->at;
    const size_t length = label->end - label->at;
    const bool hexadecimal = length >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    for (size_t i = hexadecimal ? 2 : 0; i < length; i++) {
        const char lower = (char)(text[i] | 0x20);
        if (!reader_is_digit(text[i]) && !(hexadecimal && lower >= 'a' && lower <= 'f'))
            return false;
    }
    return true;
}

static int check_name(const struct reader *reader)
{
    int code = check_characters(reader);
    if (code != 0)
        return code;
    size_t end = reader->end;
    if (end - reader->at > 1 && reader->text[end - 1] == '.')
        end--; /* of the root */
    if (end - reader->at > NAME_LENGTH_LIMIT)
        return READER_FAULT(reader, reader->at + NAME_LENGTH_LIMIT,
                            "a host name has at most %d characters", NAME_LENGTH_LIMIT);
    bool numbers = true;
    for (size_t start = reader->at; start <= end;) {
        struct reader label = reader_part(reader, start, end);
        label.end = reader_find(&label, '.');
        code = check_label(&label);
        if (code != 0)
            return code;
        numbers = numbers && is_number(&label);
        start = label.end + 1;
    }
    if (numbers)
        return READER_FAULT(reader, reader->at,
                            "an IPv4 address is four decimal octets, as in 192.0.2.1");
    return 0;
}

static bool is_address(const struct reader *reader)
{
    if (reader_find(reader, ':') < reader->end)
        return true;
    for (size_t at = reader->at; at < reader->end; at++)
        if (!reader_is_digit(reader->text[at]) && reader->text[at] != '.')
            return false;
    return true;
}

int host_read(struct reader *reader, struct address *ret_address)
{
    if (reader->at == reader->end)
        return READER_FAULT(reader, reader->at, "a host is missing: an address or a name");
    if (is_address(reader))
        return address_read(reader, ret_address);
    int code = check_name(reader);
    if (code != 0)
        return code;
    reader->at = reader->end;
    *ret_address = (struct address){.family = ADDRESS_NONE};
    return 0;
}

static int read_number(struct reader *reader, bool zero, uint16_t *ret_port)
{
    uint32_t number = 0;
    for (size_t at = reader->at; at < reader->end && number <= UINT16_MAX; at++)
        number = number * 10 + (uint32_t)(reader->text[at] - '0');
    if (number > UINT16_MAX)
        return READER_FAULT(reader, reader->at, "port %.*s%s is above 65535", QUOTED(reader));
    if (number == 0 && !zero)
        return READER_FAULT(reader, reader->at, "nobody can be reached at port 0");
    *ret_port = (uint16_t)number;
    return 0;
}

struct finding {
    const struct reader *name;
    struct port port;
    bool found;
};

/* The service that is called so counts before one that merely is so, too; the walk is by port. */
static int find_service(void *user, const struct service *service)
{
    struct finding *finding = user;
    const size_t length = finding->name->end - finding->name->at;
    const bool itself =
        strlen(service->name) == length &&
        strncasecmp(service->name, finding->name->text + finding->name->at, length) == 0;
    if (!finding->found || itself)
        finding->port = service->port;
    finding->found = true;
    return itself;
}

/* Nothing of this name in the protocol: says what would be right. */
static int complain_of_service(const struct reader *reader, enum protocol protocol)
{
    const char *name = reader->text + reader->at;
    const size_t length = reader->end - reader->at;
    struct finding other = {.name = reader};
    char nearest[SERVICE_NAME_SIZE];
    service_walk(name, length, PROTOCOL_COUNT, find_service, &other);
    if (other.found)
        return READER_FAULT(reader, reader->at, "'%.*s%s' is a service of %s and not of %s",
                            QUOTED(reader), protocol_name(other.port.protocol),
                            protocol_name(protocol));
    if (reader_is_digit(*name)) /* meant as a number */
        return READER_FAULT(reader, reader->at,
                            "'%.*s%s' is no port: write one number, or a service's name",
                            QUOTED(reader));
    if (service_nearest(name, length, nearest))
        return READER_FAULT(reader, reader->at, "no service is called '%.*s%s'; did you mean '%s'?",
                            QUOTED(reader), nearest);
    return READER_FAULT(reader, reader->at, "no service is called '%.*s%s'", QUOTED(reader));
}

int port_read(struct reader *reader, enum protocol protocol, bool zero, uint16_t *ret_port)
{
    bool digits = true;
    if (reader->at == reader->end)
        return READER_FAULT(reader, reader->at, "a port is missing: a number, or a service's name");
    for (size_t at = reader->at; at < reader->end; at++) {
        const unsigned char byte = (unsigned char)reader->text[at];
        if (byte <= 0x20 || byte >= 0x7f)
            return READER_FAULT(reader, at, "the byte 0x%02x is no part of a port", (unsigned)byte);
        if (byte == '*' || byte == '?') /* service_walk() has them for many services */
            return READER_FAULT(reader, at, "one port is expected here, without '%c'", byte);
        digits = digits && reader_is_digit((char)byte);
    }
    int code = 0;
    struct finding finding = {.name = reader};
    if (digits) {
        code = read_number(reader, zero, ret_port);
    } else {
        service_walk(reader->text + reader->at, reader->end - reader->at, protocol, find_service,
                     &finding);
        if (!finding.found)
            return complain_of_service(reader, protocol);
        *ret_port = finding.port.number;
    }
    if (code == 0)
        reader->at = reader->end;
    return code;
}

/* The last `character`, or the end. An interface, and so a zone, may have brackets in its name. */
static size_t find_last(const struct reader *reader, char character)
{
    for (size_t at = reader->end; at > reader->at; at--)
        if (reader->text[at - 1] == character)
            return at - 1;
    return reader->end;
}

static int split_brackets(const struct reader *reader, struct host_port *ret_parts)
{
    const size_t close = find_last(reader, ']');
    if (close == reader->end)
        return READER_FAULT(reader, reader->end, "a ']' is missing after the IPv6 address");
    const struct reader host = reader_part(reader, reader->at + 1, close);
    if (reader_find(&host, ':') == host.end)
        return READER_FAULT(reader, host.at, "only an IPv6 address stands in brackets");
    const bool colon = close + 1 < reader->end;
    if (colon && reader->text[close + 1] != ':')
        return READER_FAULT(reader, close + 1, "after ']' comes ':' and a port");
    *ret_parts = (struct host_port){
        .host = host,
        .port = reader_part(reader, colon ? close + 2 : reader->end, reader->end),
        .colon = colon,
        .brackets = true,
    };
    return 0;
}

int host_port_split(const struct reader *reader, struct host_port *ret_parts)
{
    if (reader_sees(reader, '['))
        return split_brackets(reader, ret_parts);
    const size_t colon = reader_find(reader, ':');
    if (reader_count(reader, ':') > 1)
        return READER_FAULT(reader, reader->at,
                            "an IPv6 address before a port stands in brackets, as in [::1]:80");
    *ret_parts = (struct host_port){
        .host = reader_part(reader, reader->at, colon),
        .port = reader_part(reader, colon < reader->end ? colon + 1 : colon, reader->end),
        .colon = colon < reader->end,
    };
    return 0;
}
