/* Ports and addresses in the words of filters: "22", ":ssh", "8000-8010", "10.0.0.0/8:80". */
#include "local/filter_parts.h"

#include "net/reader.h"
#include "net/service.h"

#include <errno.h>
#include <string.h>

enum {
    PORT_MAXIMUM = UINT16_MAX,
    OCTETS = 4,
};

bool filter_read_number(const char *text, size_t length, uint64_t limit, uint64_t *ret_number)
{
    const bool hexadecimal = length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const uint64_t base = hexadecimal ? 16 : 10;
    uint64_t number = 0;
    size_t at = hexadecimal ? 2 : 0;
    if (at == length)
        return false;
    for (; at < length; at++) {
        const char *digits = "0123456789abcdef";
        const char digit = text[at] >= 'A' && text[at] <= 'F' ? (char)(text[at] | 0x20) : text[at];
        const char *found = memchr(digits, digit, (size_t)base);
        if (!found || number > (limit - (uint64_t)(found - digits)) / base)
            return false;
        number = number * base + (uint64_t)(found - digits);
    }
    *ret_number = number;
    return true;
}

/* ---- ports ---- */

static int add_everywhere(struct filter_parser *parser, struct port_set *set, uint16_t first,
                          uint16_t last)
{
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        if (port_set_add(set, protocol, first, last) != 0)
            return filter_out_of_memory(parser);
    return 0;
}

struct name_search {
    struct port_set *set;
    bool failed;
};

static int take_service(void *user, const struct service *service)
{
    struct name_search *search = user;
    const struct port port = service->port;
    search->failed = port_set_add(search->set, port.protocol, port.number, port.number) != 0;
    return search->failed;
}

static int add_name(struct filter_parser *parser, size_t at, size_t end, struct port_set *set)
{
    struct name_search search = {.set = set};
    const uint32_t before = set->size;
    service_walk(parser->text + at, end - at, PROTOCOL_COUNT, take_service, &search);
    if (search.failed)
        return filter_out_of_memory(parser);
    if (set->size != before)
        return 0;
    char nearest[SERVICE_NAME_SIZE];
    if (service_nearest(parser->text + at, end - at, nearest))
        return FILTER_FAULT(parser, at, "no service has this name: did you mean '%s'?", nearest);
    return FILTER_FAULT(parser, at, "a port is a number from 0 to 65535 or the name of a service");
}

static bool read_port_number(struct filter_parser *parser, size_t at, size_t end,
                             uint16_t *ret_port)
{
    uint64_t number;
    if (filter_read_number(parser->text + at, end - at, PORT_MAXIMUM, &number)) {
        *ret_port = (uint16_t)number;
        return true;
    }
    FILTER_FAULT(parser, at, "a port is a number from 0 to 65535");
    return false;
}

/* "22", "8000-8010", "60000-". */
static int add_numbers(struct filter_parser *parser, size_t at, size_t end, struct port_set *set)
{
    const char *text = parser->text;
    const char *hyphen = memchr(text + at, '-', end - at);
    const size_t stop = hyphen ? (size_t)(hyphen - text) : end;
    uint16_t first, last;
    if (!read_port_number(parser, at, stop, &first))
        return -EINVAL;
    if (!hyphen)
        last = first;
    else if (stop + 1 == end)
        last = PORT_MAXIMUM;
    else if (!read_port_number(parser, stop + 1, end, &last))
        return -EINVAL;
    if (last < first)
        return FILTER_FAULT(parser, at, "the range of ports ends below its start");
    return add_everywhere(parser, set, first, last);
}

/* Also "ssh". */
static int add_item(struct filter_parser *parser, size_t at, size_t end, struct port_set *set)
{
    const char *text = parser->text + at;
    const size_t length = end - at;
    size_t digits = 0;
    while (digits < length && (reader_is_digit(text[digits]) || text[digits] == '-'))
        digits++;
    if (length == 0)
        return FILTER_FAULT(parser, at, "a port is missing, such as 22 or ssh");
    if (digits < length || text[0] == '-')
        return add_name(parser, at, end, set);
    return add_numbers(parser, at, end, set);
}

static int add_items(struct filter_parser *parser, size_t at, size_t end, struct port_set *set)
{
    for (;;) {
        const char *comma = memchr(parser->text + at, ',', end - at);
        const size_t stop = comma ? (size_t)(comma - parser->text) : end;
        const int code = add_item(parser, at, stop, set);
        if (code != 0 || stop == end)
            return code;
        at = stop + 1;
    }
}

/* The one number of which all ranges consist. */
static bool single_number(const struct port_set *set, uint16_t *ret_number)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->ranges[i].first != set->ranges[0].first ||
            set->ranges[i].last != set->ranges[0].first)
            return false;
    *ret_number = set->ranges[0].first;
    return true;
}

/* Makes the ports that lie to one side of the number in the set. */
static int compare_ports(struct filter_parser *parser, enum filter_comparison comparison,
                         size_t column, struct port_set *set)
{
    uint16_t number;
    if (!single_number(set, &number))
        return FILTER_FAULT(parser, column, "only one number can be compared in this way");
    port_set_release(set);
    switch (comparison) {
    case FILTER_LESS:
        return number > 0 ? add_everywhere(parser, set, 0, (uint16_t)(number - 1)) : 0;
    case FILTER_LESS_EQUAL:
        return add_everywhere(parser, set, 0, number);
    case FILTER_GREATER:
        return number < PORT_MAXIMUM
                   ? add_everywhere(parser, set, (uint16_t)(number + 1), PORT_MAXIMUM)
                   : 0;
    default:
        return add_everywhere(parser, set, number, PORT_MAXIMUM);
    }
}

int filter_read_ports(struct filter_parser *parser, enum filter_comparison comparison, size_t at,
                      size_t end, struct filter_node *node)
{
    if (end - at == 1 && parser->text[at] == '*')
        return 0;
    struct filter_ports *ports = arena_take(&parser->filter->arena, sizeof(*ports));
    if (!ports)
        return filter_out_of_memory(parser);
    ports->next = parser->filter->ports;
    parser->filter->ports = ports;
    node->ports = ports;
    const int code = add_items(parser, at, end, &ports->set);
    if (code != 0 || comparison == FILTER_EQUAL || comparison == FILTER_UNEQUAL)
        return code;
    return compare_ports(parser, comparison, at, &ports->set);
}

/* ---- addresses ---- */

static struct reader reader_of(const struct filter_parser *parser, size_t at, size_t end)
{
    return (struct reader){.text = parser->text,
                           .length = parser->length,
                           .at = at,
                           .end = end,
                           .error = parser->error};
}

/* Before a prefix the last octets may lack: "10/8", "193.233.7/24". */
static int read_octets(struct filter_parser *parser, size_t at, size_t end,
                       struct address *ret_address)
{
    struct reader reader = reader_of(parser, at, end);
    uint32_t value = 0;
    unsigned count = 0;
    do {
        uint8_t octet;
        const int code = address_read_octet(&reader, &octet);
        if (code != 0)
            return code;
        value |= (uint32_t)octet << (24 - 8 * count++);
        if (reader.at == end) {
            *ret_address = (struct address){.value = value, .family = ADDRESS_IPV4};
            return 0;
        }
    } while (reader_sees(&reader, '.') && count < OCTETS && ++reader.at < end);
    return FILTER_FAULT(parser, reader.at, "an IPv4 address is four numbers between dots");
}

static int read_address(struct filter_parser *parser, size_t at, size_t end, bool prefix,
                        struct address *ret_address)
{
    struct reader reader = reader_of(parser, at, end);
    const bool ipv6 = reader_find(&reader, ':') < end;
    size_t letters = at;
    while (letters < end &&
           (reader_is_digit(parser->text[letters]) || parser->text[letters] == '.'))
        letters++;
    if (!ipv6 && letters < end)
        return FILTER_FAULT(parser, at,
                            "what is wanted is an address: names of hosts are not looked up here");
    if (!ipv6 && prefix)
        return read_octets(parser, at, end, ret_address);
    return address_read(&reader, ret_address);
}

/* Widens the node's one address to all that share the prefix. `ipv6`: it was written as IPv6, so
 * that the prefix of an IPv4-mapped address has 96 bits more. */
static int read_prefix(struct filter_parser *parser, size_t at, size_t end, bool ipv6,
                       struct filter_node *node)
{
    const unsigned bits = address_bits(&node->address);
    const unsigned skipped = ipv6 ? 128 - bits : 0;
    uint64_t prefix;
    if (!filter_read_number(parser->text + at, end - at, bits + skipped, &prefix) ||
        prefix < skipped)
        return FILTER_FAULT(parser, at, "the prefix is a number from %u to %u", skipped,
                            bits + skipped);
    prefix -= skipped;
    const uint128_t host =
        prefix == bits ? 0 : address_maximum(node->address.family) >> (unsigned)prefix;
    node->last = node->address.value | host;
    node->address.value &= ~host;
    return 0;
}

/* "10.0.0.0/8" without a port. */
static int read_block(struct filter_parser *parser, size_t at, size_t end, struct filter_node *node)
{
    struct reader reader = reader_of(parser, at, end);
    const size_t slash = reader_find(&reader, '/');
    const bool ipv6 = reader_find(&reader, ':') < slash;
    const int code = read_address(parser, at, slash, slash < end, &node->address);
    if (code != 0)
        return code;
    node->last = node->address.value;
    return slash < end ? read_prefix(parser, slash + 1, end, ipv6, node) : 0;
}

/* "[::1]:80", "[fe80::/10]:80", "[fe80::]/10:80". */
static int read_bracketed(struct filter_parser *parser, size_t at, size_t end,
                          struct filter_node *node, size_t *ret_colon)
{
    const char *text = parser->text;
    const char *bracket = memchr(text + at, ']', end - at);
    if (!bracket)
        return FILTER_FAULT(parser, at, "the bracket is not closed by ']'");
    const size_t close = (size_t)(bracket - text);
    struct reader rest = reader_of(parser, close + 1, end);
    const size_t colon = reader_find(&rest, ':');
    *ret_colon = colon;
    const int code = read_block(parser, at + 1, close, node);
    if (code != 0 || colon == close + 1)
        return code;
    if (text[close + 1] != '/' || memchr(text + at, '/', close - at))
        return FILTER_FAULT(parser, close + 1,
                            "after the bracket comes ':' with a port, or the end");
    return read_prefix(parser, close + 2, colon, memchr(text + at, ':', close - at) != NULL, node);
}

/* ss's families before an address; what remains is behind them. */
static int read_family(struct filter_parser *parser, size_t *at, size_t end,
                       struct filter_node *node)
{
    static const struct {
        const char *name;
        enum filter_subject subject;
        enum address_family family;
    } families[] = {{"inet:", FILTER_HOST, ADDRESS_IPV4},
                    {"inet6:", FILTER_HOST, ADDRESS_IPV6},
                    {"unix:", FILTER_PATH, ADDRESS_NONE}};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const size_t length = strlen(families[i].name);
        if (end - *at < length || !filter_word_is(parser->text + *at, length, families[i].name))
            continue;
        *at += length;
        node->subject = families[i].subject;
        if (families[i].family != ADDRESS_NONE) {
            node->address = (struct address){.family = families[i].family};
            node->last = address_maximum(families[i].family);
        }
    }
    static const char *const others[] = {"link:", "netlink:", "vsock:", "packet:", "tipc:", "xdp:"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (end - *at >= strlen(others[i]) &&
            filter_word_is(parser->text + *at, strlen(others[i]), others[i]))
            return FILTER_FAULT(parser, *at, "sockets of this family are not listed");
    return 0;
}

static int read_path(struct filter_parser *parser, size_t at, size_t end, struct filter_node *node)
{
    if (node->sides != FILTER_LOCAL)
        return FILTER_FAULT(parser, at,
                            "the path of the other side is not known: 'src' and 'path' "
                            "look at a socket's own");
    char *pattern = arena_take(&parser->filter->arena, end - at + 1);
    if (!pattern)
        return filter_out_of_memory(parser);
    memcpy(pattern, parser->text + at, end - at);
    node->subject = FILTER_PATH;
    node->pattern = pattern;
    return 0;
}

/* "*", and ss's words for it. */
static bool is_any(const struct filter_parser *parser, size_t at, size_t end)
{
    static const char *const words[] = {"*", "any", "all", "default"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (filter_word_is(parser->text + at, end - at, words[i]))
            return true;
    return false;
}

int filter_read_host(struct filter_parser *parser, size_t at, size_t end, struct filter_node *node)
{
    int code = read_family(parser, &at, end, node);
    if (code != 0)
        return code;
    if (node->subject == FILTER_PATH || (at < end && strchr("/@", parser->text[at])))
        return read_path(parser, at, end, node);
    const enum address_family family = node->address.family;
    struct reader reader = reader_of(parser, at, end);
    size_t colon = reader_find(&reader, ':');
    if (reader_sees(&reader, '['))
        code = read_bracketed(parser, at, end, node, &colon);
    else if (reader_count(&reader, ':') > 1)
        code = read_block(parser, at, colon = end, node);
    else if (colon > at && !is_any(parser, at, colon))
        code = read_block(parser, at, colon, node);
    if (code == 0 && at == end)
        code = FILTER_FAULT(parser, at, "an address is missing, such as 10.0.0.0/8");
    if (code != 0)
        return code;
    if (family != ADDRESS_NONE && node->address.family != family)
        return FILTER_FAULT(parser, at, "the address is of another family than the word before it");
    return colon < end ? filter_read_ports(parser, FILTER_EQUAL, colon + 1, end, node) : 0;
}
