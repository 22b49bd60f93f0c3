/* The PROXY protocol, versions 1 and 2: saying and reading who a client was. */
#include "talk/proxy_header.h"

#include "net/bytes.h"
#include "net/reader.h"

#include <errno.h>
#include <sys/types.h>

enum {
    VERSION1_LIMIT = 107, /* the longest line, with its CRLF */
    VERSION2_FIXED = 16,  /* what is before the addresses */
    VERSION2 = 2,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,
    FAMILY_UNSPECIFIED = 0,
    FAMILY_IPV4 = 1,
    FAMILY_IPV6 = 2,
    FAMILY_UNIX = 3,
    TRANSPORT_UNSPECIFIED = 0,
    TRANSPORT_STREAM = 1,
    TRANSPORT_DATAGRAM = 2,
    UNIX_SIZE = 108, /* of a path, whatever the system's size is */
    TYPE_CRC32C = 3,
    CRC_SIZE = 4,
};

static const char version1_start[] = "PROXY ";
static const char version2_start[] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                      '\n', 'Q',  'U',  'I',  'T', '\n'};

/* ADDRESS_NONE where they have none in common. */
static enum address_family common_family(const struct proxy_header *header)
{
    if (!header->known || header->source.kind != PEER_INTERNET ||
        header->destination.kind != PEER_INTERNET ||
        header->source.address.family != header->destination.address.family)
        return ADDRESS_NONE;
    return header->source.address.family;
}

static void add_version1(struct buffer *bytes, const struct proxy_header *header)
{
    const enum address_family family = common_family(header);
    if (family == ADDRESS_NONE) {
        buffer_add_text(bytes, "PROXY UNKNOWN\r\n");
        return;
    }
    char source[ADDRESS_TEXT_SIZE], destination[ADDRESS_TEXT_SIZE];
    struct address addresses[] = {header->source.address, header->destination.address};
    addresses[0].scope = addresses[1].scope = 0; /* another machine's interfaces */
    buffer_add_format(bytes, "PROXY TCP%d %s %s %u %u\r\n", (int)family,
                      address_format(&addresses[0], source),
                      address_format(&addresses[1], destination), (unsigned)header->source.port,
                      (unsigned)header->destination.port);
}

static void add_number(struct buffer *bytes, uint128_t number, unsigned size)
{
    while (size-- > 0)
        buffer_add_character(bytes, (char)(number >> 8 * size));
}

/* In the kernel's form: an abstract name is behind a NUL, and the rest are NULs. */
static void add_path(struct buffer *bytes, const struct peer *peer)
{
    char path[UNIX_SIZE] = {0};
    memcpy(path, peer->path, strnlen(peer->path, sizeof(path)));
    if (path[0] == '@' && path[1] != '\0') /* alone it is a file's name */
        path[0] = '\0';
    buffer_add(bytes, path, sizeof(path));
}

static void add_version2_start(struct buffer *bytes, unsigned command, unsigned family,
                               unsigned length)
{
    const unsigned transport = family == FAMILY_UNSPECIFIED ? 0 : TRANSPORT_STREAM;
    buffer_add(bytes, version2_start, sizeof(version2_start));
    add_number(bytes, VERSION2 << 4 | command, 1);
    add_number(bytes, family << 4 | transport, 1);
    add_number(bytes, length, 2);
}

static void add_version2(struct buffer *bytes, const struct proxy_header *header)
{
    const enum address_family common = common_family(header);
    if (!header->known) {
        add_version2_start(bytes, COMMAND_LOCAL, FAMILY_UNSPECIFIED, 0);
    } else if (common != ADDRESS_NONE) {
        const unsigned size = common == ADDRESS_IPV4 ? 4 : 16;
        add_version2_start(bytes, COMMAND_PROXY, size == 4 ? FAMILY_IPV4 : FAMILY_IPV6,
                           2 * size + 4);
        add_number(bytes, header->source.address.value, size);
        add_number(bytes, header->destination.address.value, size);
        add_number(bytes, header->source.port, 2);
        add_number(bytes, header->destination.port, 2);
    } else if (header->source.kind == PEER_UNIX && header->destination.kind == PEER_UNIX) {
        add_version2_start(bytes, COMMAND_PROXY, FAMILY_UNIX, 2 * UNIX_SIZE);
        add_path(bytes, &header->source);
        add_path(bytes, &header->destination);
    } else {
        add_version2_start(bytes, COMMAND_PROXY, FAMILY_UNSPECIFIED, 0);
    }
}

void proxy_header_add(struct buffer *bytes, unsigned version, const struct proxy_header *header)
{
    if (version == 1)
        add_version1(bytes, header);
    else
        add_version2(bytes, header);
}

/* Whether the bytes are what begins so, as far as they go. */
static bool begins_as(const char *bytes, size_t length, const char *start, size_t size)
{
    return length == 0 || memcmp(bytes, start, length < size ? length : size) == 0;
}

/* Takes a word off the front, and the one blank behind it; the last has none. False when there is
 * no word. */
static bool read_word(struct reader *reader, struct reader *ret_word)
{
    *ret_word = *reader;
    ret_word->end = reader_find(reader, ' ');
    reader->at = ret_word->end + (ret_word->end < reader->end);
    return ret_word->at < ret_word->end &&
           (reader->at < reader->end || ret_word->end == reader->at);
}

/* Pure: a zone, which the kernel would be asked for, has no place in a header. */
static int read_address(struct reader *word, bool ipv6, struct peer *peer)
{
    struct reader quiet = *word; /* what is wrong with it matters to nobody here */
    quiet.error = NULL;
    const bool colon = reader_find(word, ':') < word->end;
    if (reader_find(word, '%') < word->end || colon != ipv6 ||
        address_read(&quiet, &peer->address) != 0)
        return error_set_at(word->error, EPROTO, word->text, word->length, word->at,
                            "the PROXY header has no IPv%d address here", ipv6 ? 6 : 4);
    peer->kind = PEER_INTERNET;
    return 0;
}

static int read_port(const struct reader *word, struct peer *peer)
{
    uint32_t port = 0;
    bool right = word->end - word->at <= 5;
    for (size_t at = word->at; right && at < word->end; at++) {
        right = reader_is_digit(word->text[at]);
        port = port * 10 + (uint32_t)(word->text[at] - '0');
    }
    if (!right || port > UINT16_MAX || (word->end - word->at > 1 && reader_sees(word, '0')))
        return error_set_at(word->error, EPROTO, word->text, word->length, word->at,
                            "the PROXY header has no port here");
    peer->port = (uint16_t)port;
    return 0;
}

static int read_version1_peers(struct reader *reader, bool ipv6, struct proxy_header *header)
{
    struct reader words[4];
    for (size_t i = 0; i < 4; i++)
        if (!read_word(reader, &words[i]) || (reader->at < reader->end) != (i < 3))
            return error_set_at(reader->error, EPROTO, reader->text, reader->length, words[i].at,
                                "a PROXY header has two addresses and two ports");
    int code = read_address(&words[0], ipv6, &header->source);
    if (code == 0)
        code = read_address(&words[1], ipv6, &header->destination);
    if (code == 0)
        code = read_port(&words[2], &header->source);
    if (code == 0)
        code = read_port(&words[3], &header->destination);
    header->known = code == 0;
    return code;
}

static bool word_is(const struct reader *word, const char *text)
{
    const size_t length = strlen(text);
    return word->end - word->at == length && memcmp(word->text + word->at, text, length) == 0;
}

static ssize_t read_version1(const char *bytes, size_t length, struct proxy_header *header,
                             struct error *error)
{
    const size_t limit = length < VERSION1_LIMIT ? length : VERSION1_LIMIT;
    const char *end = memchr(bytes, '\n', limit);
    if (!end && length >= VERSION1_LIMIT)
        return error_set(error, EPROTO, "the line of the PROXY header has more than %d bytes",
                         VERSION1_LIMIT);
    if (!end)
        return 0;
    const size_t line = (size_t)(end - bytes);
    if (end[-1] != '\r')
        return error_set_at(error, EPROTO, bytes, line, line,
                            "the line of the PROXY header does not end with CR and LF");
    struct reader reader = {.text = bytes,
                            .length = line - 1,
                            .at = sizeof(version1_start) - 1,
                            .end = line - 1,
                            .error = error};
    struct reader protocol;
    int code = 0;
    const bool word = read_word(&reader, &protocol);
    if (word && (word_is(&protocol, "TCP4") || word_is(&protocol, "TCP6")))
        code = read_version1_peers(&reader, word_is(&protocol, "TCP6"), header);
    else if (!word_is(&protocol, "UNKNOWN")) /* behind which anything may stand */
        code = error_set_at(error, EPROTO, bytes, line - 1, protocol.at,
                            "a PROXY header is for TCP4, TCP6 or UNKNOWN");
    return code != 0 ? code : (ssize_t)line + 1;
}

/* CRC32c (RFC 9260, appendix A) of bytes of which `zeroed` and the three behind it count as 0. Half
 * a byte at a time: headers are short and few. */
static uint32_t crc32c(const unsigned char *bytes, size_t length, size_t zeroed)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= i - zeroed < CRC_SIZE ? 0 : bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* What may be added behind the addresses: types, lengths, values. `start` is all of the header. */
static int check_additions(struct bytes additions, const unsigned char *start, struct error *error)
{
    const size_t length = (size_t)(additions.end - start);
    bool summed = false;
    while (bytes_left(&additions) > 0) {
        const unsigned type = bytes_u8(&additions);
        const size_t size = bytes_u16(&additions);
        const size_t at = (size_t)(additions.at - start);
        struct bytes value = additions;
        bytes_skip(&additions, size);
        if (additions.cut)
            return error_set(error, EPROTO,
                             "an addition to the PROXY header reaches beyond its end");
        if (type != TYPE_CRC32C)
            continue;
        if (size != CRC_SIZE || summed)
            return error_set(error, EPROTO, "the PROXY header's checksum is not one of 4 bytes");
        summed = true;
        if (bytes_u32(&value) != crc32c(start, length, at))
            return error_set(error, EPROTO, "the PROXY header's checksum is wrong");
    }
    return 0;
}

static struct peer internet_peer(struct bytes *bytes, unsigned size)
{
    struct peer peer = {.kind = PEER_INTERNET};
    peer.address.family = size == 4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
    for (unsigned i = 0; i < size; i++)
        peer.address.value = peer.address.value << 8 | bytes_u8(bytes);
    if (size == 16 && peer.address.value >> 32 == 0xffff) /* as everywhere: IPv4-mapped is IPv4 */
        peer.address =
            (struct address){.value = (uint32_t)peer.address.value, .family = ADDRESS_IPV4};
    return peer;
}

/* An abstract name ends with its last byte that is not NUL; a NUL before that can't be shown in a
 * peer, and is '@' there, too. */
static struct peer unix_peer(struct bytes *bytes)
{
    struct peer peer = {.kind = PEER_UNIX};
    _Static_assert(sizeof(peer.path) > UNIX_SIZE, "a path that came must fit");
    if (!bytes_have(bytes, UNIX_SIZE))
        return peer;
    memcpy(peer.path, bytes->at, UNIX_SIZE);
    bytes_skip(bytes, UNIX_SIZE);
    size_t length = UNIX_SIZE;
    while (length > 0 && peer.path[length - 1] == '\0')
        length--;
    const bool abstract = peer.path[0] == '\0';
    for (size_t i = 0; abstract && i < length; i++)
        peer.path[i] = peer.path[i] == '\0' ? '@' : peer.path[i];
    length = strlen(peer.path);
    memset(peer.path + length, 0, sizeof(peer.path) - length);
    return peer;
}

static int read_version2_peers(struct bytes *bytes, unsigned family, struct proxy_header *header,
                               struct error *error)
{
    if (family == FAMILY_UNIX) {
        header->source = unix_peer(bytes);
        header->destination = unix_peer(bytes);
    } else {
        const unsigned size = family == FAMILY_IPV4 ? 4 : 16;
        header->source = internet_peer(bytes, size);
        header->destination = internet_peer(bytes, size);
        header->source.port = bytes_u16(bytes);
        header->destination.port = bytes_u16(bytes);
    }
    if (bytes->cut)
        return error_set(error, EPROTO, "the PROXY header is too short for its addresses");
    header->known = true;
    return 0;
}

static int complain_of_version2(unsigned command, unsigned family, unsigned transport,
                                struct error *error)
{
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return error_set(error, EPROTO, "the PROXY header has the unknown command %u", command);
    if (command == COMMAND_PROXY && (family > FAMILY_UNIX || transport > TRANSPORT_DATAGRAM))
        return error_set(error, EPROTO,
                         "the PROXY header has the unknown family or protocol 0x%02x",
                         family << 4 | transport);
    return 0;
}

static ssize_t read_version2(const unsigned char *start, size_t length, struct proxy_header *header,
                             struct error *error)
{
    struct bytes bytes = bytes_of(start, length);
    bytes_skip(&bytes, sizeof(version2_start));
    const unsigned command = bytes_u8(&bytes);
    if (!bytes.cut && command >> 4 != VERSION2)
        return error_set(error, EPROTO, "the PROXY header is of the unknown version %u",
                         command >> 4);
    const unsigned family = bytes_u8(&bytes);
    const size_t rest = bytes_u16(&bytes);
    bytes_limit(&bytes, rest);
    if (bytes.cut)
        return 0;
    int code = complain_of_version2(command & 15, family >> 4, family & 15, error);
    /* Of LOCAL nothing else is looked at, and without a family nobody knows where additions are. */
    if (code == 0 && (command & 15) == COMMAND_PROXY && family >> 4 != FAMILY_UNSPECIFIED &&
        (family & 15) != TRANSPORT_UNSPECIFIED) {
        code = read_version2_peers(&bytes, family >> 4, header, error);
        if (code == 0)
            code = check_additions(bytes, start, error);
    }
    return code != 0 ? code : (ssize_t)(VERSION2_FIXED + rest);
}

ssize_t proxy_header_read(const void *bytes, size_t length, struct proxy_header *ret_header,
                          struct error *error)
{
    const char *text = bytes;
    struct proxy_header header = {.known = false};
    ssize_t taken;
    if (begins_as(text, length, version1_start, sizeof(version1_start) - 1))
        taken = length < sizeof(version1_start) ? 0 : read_version1(text, length, &header, error);
    else if (begins_as(text, length, version2_start, sizeof(version2_start)))
        taken = length < sizeof(version2_start) ? 0 : read_version2(bytes, length, &header, error);
    else
        return error_set(error, EPROTO, "it does not begin with a PROXY header");
    if (taken > 0)
        *ret_header = header;
    return taken;
}
