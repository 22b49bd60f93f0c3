/* struct address: its text, its kernel form and its order. */
#include "net/address.h"

#include "net/reader.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>

enum {
    GROUP_COUNT = 8,          /* 16-bit groups of an IPv6 address */
    DIGITS_SHOWN = 12,        /* of a number that is quoted in a message */
    ZONE_SHOWN = 2 * IFNAMSIZ /* characters of a zone that is quoted in a message */
};

/* IPv4-mapped addresses are ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
#define MAPPED_TOP UINT32_C(0xffff)

int address_read_octet(struct reader *reader, uint8_t *ret_octet)
{
    const size_t start = reader->at;
    const char *digits = reader->text + start;
    size_t end = start;
    unsigned value = 0;
    for (; end < reader->end && reader_is_digit(reader->text[end]); end++)
        if (value <= UINT8_MAX)
            value = value * 10 + (unsigned)(reader->text[end] - '0');
    const size_t count = end - start;
    const int shown = count > DIGITS_SHOWN ? DIGITS_SHOWN : (int)count;
    const char *rest = count > DIGITS_SHOWN ? "..." : "";
    if (count == 0)
        return READER_FAULT(reader, start, "an octet is a number from 0 to 255");
    if (count > 1 && digits[0] == '0')
        return READER_FAULT(reader, start,
                            "octet %.*s%s could be octal or decimal: write it without leading "
                            "zeros",
                            shown, digits, rest);
    if (value > UINT8_MAX)
        return READER_FAULT(reader, start, "octet %.*s%s is above 255", shown, digits, rest);
    reader->at = end;
    *ret_octet = (uint8_t)value;
    return 0;
}

static int read_dot(struct reader *reader, unsigned octets)
{
    if (reader->at < reader->end && !reader_sees(reader, '.'))
        return READER_FAULT(reader, reader->at, "an IPv4 address is made of digits and dots");
    if (reader->end - reader->at < 2)
        return READER_FAULT(reader, reader->end,
                            "an IPv4 address has four octets, as in 192.0.2.1, and this has %u",
                            octets);
    reader->at++;
    return 0;
}

static int read_ipv4(struct reader *reader, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (unsigned octets = 0; octets < 4; octets++) {
        uint8_t octet = 0;
        int code = octets > 0 ? read_dot(reader, octets) : 0;
        if (code == 0)
            code = address_read_octet(reader, &octet);
        if (code != 0)
            return code;
        value = value << 8 | octet;
    }
    if (reader_sees(reader, '.'))
        return READER_FAULT(reader, reader->at,
                            "an IPv4 address has four octets, and this begins a fifth");
    if (reader_sees(reader, '%'))
        return READER_FAULT(reader, reader->at, "only an IPv6 address has a zone");
    if (reader->at < reader->end)
        return READER_FAULT(reader, reader->at, "an IPv4 address ends after its fourth octet");
    *ret_value = value;
    return 0;
}

struct groups {
    uint16_t values[GROUP_COUNT];
    unsigned count;
    unsigned before_gap; /* how many of them stand before "::" */
    bool gap;            /* "::" was seen */
    size_t gap_column;
};

static int hexadecimal_digit(char character)
{
    if (reader_is_digit(character))
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

static int group_add(struct groups *groups, const struct reader *reader, size_t column,
                     unsigned value)
{
    if (groups->count == GROUP_COUNT)
        return READER_FAULT(reader, column,
                            "an IPv6 address has eight groups, and this is one more");
    groups->values[groups->count++] = (uint16_t)value;
    return 0;
}

/* The IPv4 address at the end of an IPv6 one, "::ffff:192.0.2.1" (RFC 4291 §2.2, form 3). */
static int read_embedded(struct reader *reader, struct groups *groups)
{
    const size_t start = reader->at;
    uint32_t value = 0;
    int code = read_ipv4(reader, &value);
    if (code == 0)
        code = group_add(groups, reader, start, value >> 16);
    if (code == 0)
        code = group_add(groups, reader, start, value & UINT16_MAX);
    return code;
}

static int read_group(struct reader *reader, struct groups *groups)
{
    const size_t start = reader->at;
    size_t end = start;
    unsigned value = 0;
    int digit;
    while (end < reader->end && (digit = hexadecimal_digit(reader->text[end])) >= 0) {
        value = (value << 4 | (unsigned)digit) & UINT16_MAX;
        end++;
    }
    if (end < reader->end && end > start && reader->text[end] == '.')
        return read_embedded(reader, groups);
    if (end == start && (start == reader->end || reader->text[start] == ':'))
        return READER_FAULT(reader, start, "one to four hexadecimal digits are missing here");
    if (end == start)
        return READER_FAULT(reader, start,
                            "an IPv6 address is made of hexadecimal digits and colons");
    if (end - start > 4)
        return READER_FAULT(reader, start,
                            "a group of an IPv6 address has at most four hexadecimal digits");
    reader->at = end;
    return group_add(groups, reader, start, value);
}

static bool sees_gap(const struct reader *reader)
{
    return reader->end - reader->at >= 2 && reader->text[reader->at] == ':' &&
           reader->text[reader->at + 1] == ':';
}

static int read_gap(struct reader *reader, struct groups *groups)
{
    if (groups->gap)
        return READER_FAULT(reader, reader->at, "'::' may stand only once in an IPv6 address");
    groups->gap = true;
    groups->gap_column = reader->at;
    groups->before_gap = groups->count;
    reader->at += 2;
    return 0;
}

/* Reads the groups and the "::" among them up to the end. */
static int read_groups(struct reader *reader, struct groups *groups)
{
    for (;;) {
        if (sees_gap(reader)) {
            int code = read_gap(reader, groups);
            if (code != 0 || reader->at == reader->end)
                return code;
        }
        int code = read_group(reader, groups);
        if (code != 0 || reader->at == reader->end)
            return code;
        if (!reader_sees(reader, ':'))
            return READER_FAULT(reader, reader->at,
                                "an IPv6 address is made of hexadecimal digits and colons");
        if (sees_gap(reader))
            continue;
        reader->at++;
        if (reader->at == reader->end)
            return READER_FAULT(reader, reader->at - 1,
                                "an IPv6 address does not end in a single colon");
    }
}

/* Fills the gap with zeros. */
static int join_groups(const struct reader *reader, const struct groups *groups,
                       uint128_t *ret_value)
{
    if (!groups->gap && groups->count < GROUP_COUNT)
        return READER_FAULT(reader, reader->end,
                            "an IPv6 address has eight groups unless '::' stands for some, and "
                            "this has %u",
                            groups->count);
    if (groups->gap && groups->count == GROUP_COUNT)
        return READER_FAULT(reader, groups->gap_column,
                            "'::' stands for missing groups, and here are all eight");
    uint128_t value = 0;
    for (unsigned i = 0; i < groups->count; i++) {
        if (groups->gap && i == groups->before_gap)
            value <<= 16 * (GROUP_COUNT - groups->count);
        value = value << 16 | groups->values[i];
    }
    if (groups->gap && groups->before_gap == groups->count && groups->count > 0)
        value <<= 16 * (GROUP_COUNT - groups->count);
    *ret_value = value;
    return 0;
}

/* Kernel: __ipv6_addr_needs_scope_id() in include/net/ipv6.h. */
bool address_takes_zone(uint128_t value)
{
    const unsigned top = (unsigned)(value >> 112);
    if ((top & 0xffc0) == 0xfe80)
        return true;
    const unsigned multicast_scope = top & 0x000f;
    return (top & 0xff00) == 0xff00 && (multicast_scope == 1 || multicast_scope == 2);
}

/* Reads digits up to the end as an interface index: false when they are none. */
static bool read_index(const struct reader *reader, uint32_t *ret_index)
{
    uint32_t index = 0;
    for (size_t at = reader->at; at < reader->end; at++) {
        if (!reader_is_digit(reader->text[at]))
            return false;
        uint32_t digit = (uint32_t)(reader->text[at] - '0');
        if (index > (INT32_MAX - digit) / 10)
            return false;
        index = index * 10 + digit;
    }
    if (index == 0)
        return false;
    *ret_index = index;
    return true;
}

/* Reads what follows "%": an interface's name, or else its index, which need not exist so that what
 * address_format() wrote about an interface that has gone can be read again. */
static int read_zone(const struct reader *reader, uint32_t *ret_scope)
{
    const size_t length = reader->end - reader->at;
    const char *zone = reader->text + reader->at;
    if (length == 0)
        return READER_FAULT(reader, reader->at,
                            "the zone is missing: the name of an interface, or its index");
    for (size_t i = 0; i < length; i++)
        if (zone[i] <= ' ' || zone[i] > '~')
            return READER_FAULT(reader, reader->at + i,
                                "an interface is named in printable ASCII characters, or by its "
                                "index");
    if (length < IFNAMSIZ) {
        char name[IFNAMSIZ] = "";
        memcpy(name, zone, length);
        unsigned index = if_nametoindex(name);
        if (index != 0) {
            *ret_scope = index;
            return 0;
        }
    }
    if (read_index(reader, ret_scope))
        return 0;
    return READER_FAULT(reader, reader->at, "no interface is called '%.*s'%s",
                        length > ZONE_SHOWN ? ZONE_SHOWN : (int)length, zone,
                        length > ZONE_SHOWN ? "..." : "");
}

/* `end` is where the zone's "%" stands, or the end. */
static int read_ipv6(struct reader *reader, size_t end, struct address *ret_address)
{
    struct reader number = reader_part(reader, reader->at, end);
    if (reader_count(&number, ':') == 1)
        return READER_FAULT(reader, reader_find(&number, ':'),
                            "an IPv6 address has two colons or more, and a port is no part of an "
                            "address");
    struct groups groups = {0};
    struct address address = {.family = ADDRESS_IPV6};
    int code = read_groups(&number, &groups);
    if (code == 0)
        code = join_groups(&number, &groups, &address.value);
    if (code == 0 && end < reader->end) {
        struct reader zone = reader_part(reader, end + 1, reader->end);
        if (!address_takes_zone(address.value))
            return READER_FAULT(reader, end,
                                "only a link-local address has a zone, as in fe80::1%%eth0");
        code = read_zone(&zone, &address.scope);
    }
    if (code != 0)
        return code;
    if (address.value >> 32 == MAPPED_TOP)
        address = (struct address){.value = (uint32_t)address.value, .family = ADDRESS_IPV4};
    reader->at = reader->end;
    *ret_address = address;
    return 0;
}

int address_read(struct reader *reader, struct address *ret_address)
{
    const size_t zone = reader_find(reader, '%');
    if (reader_find(reader, ':') < zone)
        return read_ipv6(reader, zone, ret_address);
    if (reader->at == reader->end)
        return READER_FAULT(reader, reader->at,
                            "an address is missing, such as 192.0.2.1 or 2001:db8::1");
    uint32_t value = 0;
    int code = read_ipv4(reader, &value);
    if (code != 0)
        return code;
    *ret_address = (struct address){.value = value, .family = ADDRESS_IPV4};
    return 0;
}

int address_parse(const char *text, size_t length, struct address *ret_address, struct error *error)
{
    struct reader reader = {.text = text, .length = length, .end = length, .error = error};
    return address_read(&reader, ret_address);
}

/* The longest run of zero groups, the first of equal ones, if it is longer than one group
 * (RFC 5952 §4.2). Returns its length and where it begins. */
static unsigned longest_gap(const uint16_t groups[static GROUP_COUNT], unsigned *ret_start)
{
    unsigned longest = 0, start = 0, run = 0;
    for (unsigned i = 0; i < GROUP_COUNT; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > longest) {
            longest = run;
            start = i + 1 - run;
        }
    }
    *ret_start = start;
    return longest > 1 ? longest : 0;
}

/* Not printf(): lists have addresses by the hundred thousand. Each of these writes without a NUL
 * and returns behind what it wrote. */
static char *put_number(char *out, unsigned number, unsigned base)
{
    char digits[8];
    size_t count = 0;
    do
        digits[count++] = "0123456789abcdef"[number % base];
    while (number /= base);
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

static char *put_ipv4(char *out, uint32_t value)
{
    for (unsigned shift = 24; shift > 0; shift -= 8) {
        out = put_number(out, value >> shift & 0xff, 10);
        *out++ = '.';
    }
    return put_number(out, value & 0xff, 10);
}

static char *put_ipv6(char *out, uint128_t value)
{
    if (value >> 32 == MAPPED_TOP)
        return put_ipv4(mempcpy(out, "::ffff:", 7), (uint32_t)value);
    uint16_t groups[GROUP_COUNT];
    for (unsigned i = 0; i < GROUP_COUNT; i++)
        groups[i] = (uint16_t)(value >> (112 - 16 * i));
    unsigned gap_start = 0;
    const unsigned gap = longest_gap(groups, &gap_start);
    for (unsigned i = 0; i < GROUP_COUNT;) {
        if (gap > 0 && i == gap_start) {
            out = mempcpy(out, "::", 2);
            i += gap;
            continue;
        }
        if (i != 0 && !(gap > 0 && i == gap_start + gap))
            *out++ = ':';
        out = put_number(out, groups[i++], 16);
    }
    return out;
}

const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    switch (address->family) {
    case ADDRESS_IPV4:
        *put_ipv4(text, (uint32_t)address->value) = '\0';
        return text;
    case ADDRESS_IPV6:
        break;
    case ADDRESS_NONE:
        return strcpy(text, "-");
    }
    char *end = put_ipv6(text, address->value);
    const size_t used = (size_t)(end - text);
    char name[IF_NAMESIZE];
    *end = '\0';
    if (address->scope != 0 && if_indextoname(address->scope, name))
        snprintf(text + used, ADDRESS_TEXT_SIZE - used, "%%%s", name);
    else if (address->scope != 0)
        snprintf(text + used, ADDRESS_TEXT_SIZE - used, "%%%u", address->scope);
    return text;
}

const char *address_format_port(const struct address *address, uint16_t port,
                                char text[static ENDPOINT_TEXT_SIZE])
{
    char plain[ADDRESS_TEXT_SIZE];
    address_format(address, plain);
    snprintf(text, ENDPOINT_TEXT_SIZE, address->family == ADDRESS_IPV6 ? "[%s]:%u" : "%s:%u", plain,
             (unsigned)port);
    return text;
}

int address_compare(const struct address *one, const struct address *other)
{
    if (one->family != other->family)
        return one->family < other->family ? -1 : 1;
    if (one->scope != other->scope)
        return one->scope < other->scope ? -1 : 1;
    if (one->value != other->value)
        return one->value < other->value ? -1 : 1;
    return 0;
}

bool address_equal(const struct address *one, const struct address *other)
{
    return address_compare(one, other) == 0;
}

bool address_is_loopback(const struct address *address)
{
    switch (address->family) {
    case ADDRESS_IPV4:
        return address->value >> 24 == 127; /* RFC 1122 §3.2.1.3 */
    case ADDRESS_IPV6:
        return address->value == 1; /* RFC 4291 §2.5.3 */
    case ADDRESS_NONE:
        break;
    }
    return false;
}

bool address_is_link_local(const struct address *address)
{
    switch (address->family) {
    case ADDRESS_IPV4:
        return address->value >> 16 == 0xa9fe; /* 169.254.0.0/16, RFC 3927 */
    case ADDRESS_IPV6:
        return address->value >> 118 == 0xfe80 >> 6; /* fe80::/10, RFC 4291 §2.5.6 */
    case ADDRESS_NONE:
        break;
    }
    return false;
}

unsigned address_bits(const struct address *address)
{
    return address->family == ADDRESS_IPV4 ? 32 : 128;
}

uint128_t address_maximum(enum address_family family)
{
    return family == ADDRESS_IPV4 ? UINT32_MAX : ~(uint128_t)0;
}

socklen_t address_to_sockaddr(const struct address *address, uint16_t port,
                              struct sockaddr_storage *ret_sockaddr)
{
    memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
    if (address->family == ADDRESS_IPV4) {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        ipv4.sin_addr.s_addr = htonl((uint32_t)address->value);
        memcpy(ret_sockaddr, &ipv4, sizeof(ipv4));
        return sizeof(ipv4);
    }
    if (address->family == ADDRESS_IPV6) {
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        for (unsigned i = 0; i < 16; i++)
            ipv6.sin6_addr.s6_addr[i] = (uint8_t)(address->value >> (120 - 8 * i));
        ipv6.sin6_scope_id = address->scope;
        memcpy(ret_sockaddr, &ipv6, sizeof(ipv6));
        return sizeof(ipv6);
    }
    return 0;
}

static struct address address_from_ipv6(const struct sockaddr_in6 *ipv6)
{
    struct address address = {.family = ADDRESS_IPV6};
    for (unsigned i = 0; i < 16; i++)
        address.value = address.value << 8 | ipv6->sin6_addr.s6_addr[i];
    if (address.value >> 32 == MAPPED_TOP)
        return (struct address){.value = (uint32_t)address.value, .family = ADDRESS_IPV4};
    /* Elsewhere the kernel may say through which interface a packet came, but the address is the
     * same on all of them. */
    if (address_takes_zone(address.value))
        address.scope = ipv6->sin6_scope_id;
    return address;
}

bool address_from_sockaddr(const struct sockaddr *sockaddr, struct address *ret_address,
                           uint16_t *ret_port)
{
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    switch (sockaddr->sa_family) {
    case AF_INET:
        memcpy(&ipv4, sockaddr, sizeof(ipv4));
        *ret_address =
            (struct address){.value = ntohl(ipv4.sin_addr.s_addr), .family = ADDRESS_IPV4};
        if (ret_port)
            *ret_port = ntohs(ipv4.sin_port);
        return true;
    case AF_INET6:
        memcpy(&ipv6, sockaddr, sizeof(ipv6));
        *ret_address = address_from_ipv6(&ipv6);
        if (ret_port)
            *ret_port = ntohs(ipv6.sin6_port);
        return true;
    default:
        return false;
    }
}
