/* port_set_parse(): the words that name ports. */
#include "net/port_bits.h"
#include "net/service.h"

#include <errno.h>
#include <string.h>

struct parser {
    const char *text;
    size_t length;
    enum protocol protocol; /* of what follows */
    struct port_bits found;
    struct error *error;
};

/* Part [start, end) of the text. */
struct item {
    size_t start, end;
};

#define FAULT(parser, code, column, ...)                                                           \
    error_set_at((parser)->error, (code), (parser)->text, (parser)->length, (column), __VA_ARGS__)

/* A word of the text as the arguments of "%.*s%s": cut where it would swell the message. */
#define QUOTED_LIMIT 40
#define QUOTED(parser, item)                                                                       \
    (int)((item).end - (item).start > QUOTED_LIMIT ? QUOTED_LIMIT : (item).end - (item).start),    \
        (parser)->text + (item).start, (item).end - (item).start > QUOTED_LIMIT ? "..." : ""

/* The first `character` in the item, or its end. */
static size_t item_find(const struct parser *parser, struct item item, char character)
{
    if (item.start == item.end)
        return item.end;
    const char *found = memchr(parser->text + item.start, character, item.end - item.start);
    return found ? (size_t)(found - parser->text) : item.end;
}

static int check_bytes(const struct parser *parser)
{
    for (size_t i = 0; i < parser->length; i++) {
        unsigned char byte = (unsigned char)parser->text[i];
        if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')
            return FAULT(parser, EINVAL, i,
                         "a list of ports has no blanks: separate ports by commas alone");
        if (byte < 0x20 || byte >= 0x7f)
            return FAULT(parser, EINVAL, i, "the byte 0x%02x is no part of a port", byte);
    }
    return 0;
}

/* Takes "T:" off the front of the item. */
static int take_protocol(struct parser *parser, struct item *item)
{
    size_t colon = item_find(parser, *item, ':');
    if (colon == item->end)
        return 0;
    switch (colon - item->start == 1 ? parser->text[item->start] : '\0') {
    case 'T':
    case 't':
        parser->protocol = PROTOCOL_TCP;
        break;
    case 'U':
    case 'u':
        parser->protocol = PROTOCOL_UDP;
        break;
    case 'S':
    case 's':
        parser->protocol = PROTOCOL_SCTP;
        break;
    default:
        item->end = colon;
        return FAULT(parser, EINVAL, item->start,
                     "unknown protocol '%.*s%s': write T: for TCP, U: for UDP or S: for SCTP",
                     QUOTED(parser, *item));
    }
    char letter = parser->text[item->start];
    item->start = colon + 1;
    if (item->start == item->end)
        return FAULT(parser, EINVAL, item->start, "a port is missing after '%c:'", letter);
    if (item_find(parser, *item, ':') != item->end)
        return FAULT(parser, EINVAL, item->start, "a port is expected here, after '%c:'", letter);
    return 0;
}

static int parse_number(const struct parser *parser, struct item digits, uint16_t *ret_number)
{
    uint32_t number = 0;
    for (size_t i = digits.start; i < digits.end && number <= 65535; i++)
        number = number * 10 + (uint32_t)(parser->text[i] - '0');
    if (number > 65535)
        return FAULT(parser, ERANGE, digits.start, "port %.*s%s is above 65535",
                     QUOTED(parser, digits));
    *ret_number = (uint16_t)number;
    return 0;
}

/* "80", "1-1023", "-1023", "60000-" or "-". */
static int parse_range(struct parser *parser, struct item item)
{
    size_t dash = item_find(parser, item, '-');
    struct item before = {item.start, dash};
    struct item after = {dash == item.end ? dash : dash + 1, item.end};
    uint16_t first = 1;
    uint16_t last = 65535;
    int r = 0;
    size_t second = item_find(parser, after, '-');
    if (second != after.end)
        return FAULT(parser, EINVAL, second, "a range of ports has one '-' only");
    if (before.start != before.end)
        r = parse_number(parser, before, &first);
    if (r == 0 && after.start != after.end)
        r = parse_number(parser, after, &last);
    if (r < 0)
        return r;
    if (dash == item.end)
        last = first;
    if (last < first)
        return FAULT(parser, EINVAL, after.start, "the range runs backwards, from %u to %u", first,
                     last);
    for (uint32_t number = first; number <= last; number++)
        port_bits_put(&parser->found, (struct port){parser->protocol, (uint16_t)number});
    return 0;
}

struct finding {
    struct port_bits *bits;
    bool found;
};

static int add_service(void *user, const struct service *service)
{
    struct finding *finding = user;
    port_bits_put(finding->bits, service->port);
    finding->found = true;
    return 0;
}

static int stop_at_service(void *user, const struct service *service)
{
    enum protocol *protocol = user;
    *protocol = service->port.protocol;
    return 1;
}

/* Nothing of this name in the current protocol: says what would be right. */
static int complain_of_name(struct parser *parser, struct item item)
{
    const char *name = parser->text + item.start;
    size_t length = item.end - item.start;
    enum protocol other;
    if (service_walk(name, length, PROTOCOL_COUNT, stop_at_service, &other) != 0)
        return FAULT(parser, EINVAL, item.start, "'%.*s%s' is a service of %s and not of %s",
                     QUOTED(parser, item), protocol_name(other), protocol_name(parser->protocol));
    if (item_find(parser, item, '*') != item.end || item_find(parser, item, '?') != item.end)
        return FAULT(parser, EINVAL, item.start, "no service matches '%.*s%s'",
                     QUOTED(parser, item));
    char nearest[SERVICE_NAME_SIZE];
    if (service_nearest(name, length, nearest))
        return FAULT(parser, EINVAL, item.start,
                     "no service is called '%.*s%s'; did you mean '%s'?", QUOTED(parser, item),
                     nearest);
    if (*name >= '0' && *name <= '9') /* meant as a number */
        return FAULT(parser, EINVAL, item.start,
                     "'%.*s%s' is no port, no range and no service: write for example "
                     "22,80,8000-8100",
                     QUOTED(parser, item));
    return FAULT(parser, EINVAL, item.start, "no service is called '%.*s%s'", QUOTED(parser, item));
}

static int parse_name(struct parser *parser, struct item item)
{
    struct finding finding = {.bits = &parser->found};
    service_walk(parser->text + item.start, item.end - item.start, parser->protocol, add_service,
                 &finding);
    return finding.found ? 0 : complain_of_name(parser, item);
}

static int parse_item(struct parser *parser, struct item item)
{
    if (item.start == item.end)
        return FAULT(parser, EINVAL, item.start, "a port is missing %s",
                     item.end == parser->length ? "after the last comma" : "before this comma");
    int r = take_protocol(parser, &item);
    if (r < 0)
        return r;
    for (size_t i = item.start; i < item.end; i++)
        if ((parser->text[i] < '0' || parser->text[i] > '9') && parser->text[i] != '-')
            return parse_name(parser, item);
    return parse_range(parser, item); /* no service's name is without a letter (RFC 6335, 5.1) */
}

int port_set_parse(const char *text, size_t length, struct port_set *set, struct error *error)
{
    struct parser parser = {.text = text, .length = length, .error = error};
    if (length == 0)
        return FAULT(&parser, EINVAL, 0, "no port is named: write for example 22,80,8000-8100");
    int r = check_bytes(&parser);
    for (struct item item = {0}; r == 0 && item.start <= length; item.start = item.end + 1) {
        item.end = length;
        item.end = item_find(&parser, item, ',');
        r = parse_item(&parser, item);
    }
    if (r < 0)
        return r;
    r = port_set_add_bits(set, &parser.found);
    return r < 0 ? error_set(error, ENOMEM, "out of memory") : 0;
}
