/* The PROXY protocol: what is written, what is read, and what is refused. */
#include "talk/proxy_header.h"

#include "guarded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define BYTES(text) (text), sizeof(text) - 1
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define ZERO4 "\0\0\0\0"
#define ZERO16 ZERO4 ZERO4 ZERO4 ZERO4
#define ZERO96 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16
#define DOC6 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"

static struct guarded guarded;

static struct peer internet(const char *text, uint16_t port)
{
    struct peer peer = {.kind = PEER_INTERNET, .port = port};
    assert_int_equal(address_parse(text, strlen(text), &peer.address, NULL), 0);
    return peer;
}

static struct peer at_path(const char *path)
{
    struct peer peer = {.kind = PEER_UNIX};
    strcpy(peer.path, path);
    return peer;
}

/* Peers in words: "192.0.2.1 80", "unix /run/x", "" for what is not known. */
static struct peer peer_of(const char *word)
{
    char address[64];
    unsigned port;
    if (strncmp(word, "unix ", 5) == 0)
        return at_path(word + 5);
    if (sscanf(word, "%63s %u", address, &port) != 2)
        return (struct peer){.kind = PEER_NONE};
    return internet(address, (uint16_t)port);
}

static void assert_peer(const struct peer *peer, const char *word)
{
    const struct peer expected = peer_of(word);
    assert_int_equal(peer->kind, expected.kind);
    assert_true(address_equal(&peer->address, &expected.address));
    assert_int_equal(peer->port, expected.port);
    assert_string_equal(peer->path, expected.path);
}

/* Headers as we write them, which are read back. */
static const struct {
    unsigned version;
    const char *source, *destination;
    const char *bytes;
    size_t length;
} written[] = {
    {1, "192.0.2.1 56324", "198.51.100.2 443",
     BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n")},
    {1, "2001:db8::1 1", "::1 65535", BYTES("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n")},
    {2, "192.0.2.1 56324", "198.51.100.2 443",
     BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb")},
    {2, "2001:db8::1 1", "2001:db8::2 65535",
     BYTES(SIGNATURE "\x21\x21\0\x24" DOC6 "\1" DOC6 "\2\0\1\xff\xff")},
    {2, "unix /run/x", "unix @abstract",
     BYTES(SIGNATURE "\x21\x31\0\xd8"
                     "/run/x\0\0\0\0\0\0" ZERO96 "\0"
                     "abstract\0\0\0" ZERO96)},
    {2, "unix ",
     "unix /0123456789a"
     "/23456789012345678901234567890123456789012345678901234567890"
     "123456789012345678901234567890123456",
     BYTES(SIGNATURE "\x21\x31\0\xd8" ZERO4 ZERO4 ZERO4 ZERO96 "/0123456789a"
                     "/23456789012345678901234567890123456789012345678901234567890"
                     "123456789012345678901234567890123456")},
};

static void test_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(written); i++) {
        struct buffer bytes = {0};
        struct error error = {0};
        const struct proxy_header header = {.known = true,
                                            .source = peer_of(written[i].source),
                                            .destination = peer_of(written[i].destination)};
        buffer_add_text(&bytes, "before");
        proxy_header_add(&bytes, written[i].version, &header);
        assert_int_equal(bytes.length, 6 + written[i].length);
        assert_memory_equal(bytes.data + 6, written[i].bytes, written[i].length);
        struct proxy_header again = {0};
        if (proxy_header_read(bytes.data + 6, bytes.length - 6, &again, &error) !=
            (ssize_t)written[i].length)
            fail_msg("%zu: %s", i, error.message);
        assert_true(again.known);
        assert_peer(&again.source, written[i].source);
        assert_peer(&again.destination, written[i].destination);
        buffer_release(&bytes);
    }
}

#define UNKNOWN1 "PROXY UNKNOWN\r\n"
#define UNKNOWN2 SIGNATURE "\x21\0\0\0"
#define LOCAL2 SIGNATURE "\x20\0\0\0"

/* What has no words in a version. */
static void test_written_unknown(void **state)
{
    (void)state;
    static const struct {
        bool known;
        unsigned version;
        const char *source, *destination;
        const char *bytes;
        size_t length;
    } unknown[] = {
        {false, 1, "192.0.2.1 1", "192.0.2.2 2", BYTES(UNKNOWN1)},
        {false, 2, "192.0.2.1 1", "192.0.2.2 2", BYTES(LOCAL2)},
        {true, 1, "192.0.2.1 1", "::1 2", BYTES(UNKNOWN1)},
        {true, 2, "192.0.2.1 1", "::1 2", BYTES(UNKNOWN2)},
        {true, 1, "unix /x", "unix /y", BYTES(UNKNOWN1)},
        {true, 2, "unix /x", "192.0.2.1 1", BYTES(UNKNOWN2)},
        {true, 1, "", "", BYTES(UNKNOWN1)},
        {true, 2, "", "192.0.2.1 1", BYTES(UNKNOWN2)},
    };
    for (size_t i = 0; i < COUNT(unknown); i++) {
        struct buffer bytes = {0};
        const struct proxy_header header = {.known = unknown[i].known,
                                            .source = peer_of(unknown[i].source),
                                            .destination = peer_of(unknown[i].destination)};
        proxy_header_add(&bytes, unknown[i].version, &header);
        assert_int_equal(bytes.length, unknown[i].length);
        assert_memory_equal(bytes.data, unknown[i].bytes, bytes.length);
        buffer_release(&bytes);
    }
}

/* An interface of this machine means nothing to whoever reads the header. */
static void test_written_without_zone(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    const struct proxy_header header = {.known = true,
                                        .source = internet("fe80::1%lo", 1),
                                        .destination = internet("fe80::2%999999", 2)};
    proxy_header_add(&bytes, 1, &header);
    assert_string_equal(bytes.data, "PROXY TCP6 fe80::1 fe80::2 1 2\r\n");
    buffer_release(&bytes);
}

#define ADDRESSES4 "\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
#define SOURCE4 "192.0.2.1 56324"
#define DESTINATION4 "198.51.100.2 443"
#define F39 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

/* Headers as others write them. */
static const struct {
    const char *bytes;
    size_t length;
    const char *source, *destination; /* NULL: not known */
} headers[] = {
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255 65535",
     "255.255.255.255 65535"},
    {BYTES("PROXY TCP6 " F39 " " F39 " 65535 65535\r\n"), F39 " 65535", F39 " 65535"},
    {BYTES("PROXY TCP6 2001:DB8:0::1 ::ffff:192.0.2.1 0 1\r\n"), "2001:db8::1 0", "192.0.2.1 1"},
    {BYTES("PROXY UNKNOWN\r\n"), NULL, NULL},
    {BYTES("PROXY UNKNOWN " F39 " " F39 " 65535 65535\r\n"), NULL, NULL},
    {BYTES("PROXY UNKNOWN \x1b\0\r anything\r\n"), NULL, NULL},
    /* LOCAL: nothing behind it matters */
    {BYTES(SIGNATURE "\x20\0\0\0"), NULL, NULL},
    {BYTES(SIGNATURE "\x20\xff\0\3abc"), NULL, NULL},
    {BYTES(SIGNATURE "\x20\x11\0\x0c" ADDRESSES4), NULL, NULL},
    /* PROXY */
    {BYTES(SIGNATURE "\x21\x11\0\x0c" ADDRESSES4), SOURCE4, DESTINATION4},
    {BYTES(SIGNATURE "\x21\x12\0\x0c" ADDRESSES4), SOURCE4, DESTINATION4},
    {BYTES(SIGNATURE "\x21\0\0\0"), NULL, NULL},
    {BYTES(SIGNATURE "\x21\0\0\5hello"), NULL, NULL},
    {BYTES(SIGNATURE "\x21\1\0\1x"), NULL, NULL},
    {BYTES(SIGNATURE "\x21\x10\0\x0c" ADDRESSES4), NULL, NULL},
    {BYTES(SIGNATURE "\x21\x21\0\x24" ZERO4 ZERO4 "\0\0\xff\xff\xc0\0\2\1" DOC6 "\2\0\1\0\2"),
     "192.0.2.1 1", "2001:db8::2 2"},
    {BYTES(SIGNATURE "\x21\x32\0\xd8"
                     "/x\0\0\0\0\0\0\0\0y\0" ZERO96 "\0a\0b\0\0\0\0\0\0\0\0" ZERO96),
     "unix /x", "unix @a@b"},
    /* Additions: none of our business, of length 0, two of a type, a checksum */
    {BYTES(SIGNATURE "\x21\x11\0\x12" ADDRESSES4 "\xee\0\3"
                     "abc"),
     SOURCE4, DESTINATION4},
    {BYTES(SIGNATURE "\x21\x11\0\x12" ADDRESSES4 "\4\0\0\4\0\0"), SOURCE4, DESTINATION4},
    {BYTES(SIGNATURE "\x21\x11\0\x13" ADDRESSES4 "\3\0\4\x20\xec\x95\x49"), SOURCE4, DESTINATION4},
    {BYTES(SIGNATURE "\x21\x11\0\x1b" ADDRESSES4 "\2\0\1h"
                     "\3\0\4\x7e\x3e\x38\x73"
                     "\1\0\1x"),
     SOURCE4, DESTINATION4},
};

/* Bytes behind a header are not looked at, and none of it can be left out. */
static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        const size_t length = headers[i].length;
        struct error error = {0};
        struct proxy_header header = {0};
        char longer[512];
        for (size_t behind = 0; behind <= 80; behind += 40) {
            memcpy(longer, headers[i].bytes, length);
            memset(longer + length, '\n', behind);
            const char *copy = guarded_copy(&guarded, longer, length + behind);
            if (proxy_header_read(copy, length + behind, &header, &error) != (ssize_t)length)
                fail_msg("%zu: %s", i, error.message);
            assert_int_equal(header.known, headers[i].source != NULL);
            assert_peer(&header.source, headers[i].source ? headers[i].source : "");
            assert_peer(&header.destination, headers[i].source ? headers[i].destination : "");
        }
        header.source.port = 77;
        for (size_t part = 0; part < length; part++) {
            const char *copy = guarded_copy(&guarded, headers[i].bytes, part);
            assert_int_equal(proxy_header_read(copy, part, &header, &error), 0);
        }
        assert_int_equal(header.source.port, 77);
    }
    assert_int_equal(proxy_header_read(NULL, 0, &(struct proxy_header){0}, NULL), 0);
}

#define NO_HEADER "it does not begin with a PROXY header"
#define FOUR_WORDS "a PROXY header has two addresses and two ports"
#define NO_ADDRESS(version) "the PROXY header has no IPv" #version " address here"
#define NO_PORT "the PROXY header has no port here"
#define PROTOCOLS "a PROXY header is for TCP4, TCP6 or UNKNOWN"
#define TOO_SHORT "the PROXY header is too short for its addresses"
#define BEYOND "an addition to the PROXY header reaches beyond its end"
#define BAD_FAMILY(byte) "the PROXY header has the unknown family or protocol " byte
#define PLACES " 192.0.2.1 192.0.2.2 "

static const struct {
    const char *bytes;
    size_t length;
    const char *message;
} faults[] = {
    {BYTES("G"), NO_HEADER},
    {BYTES("GET / HTTP/1.1\r\n"), NO_HEADER},
    {BYTES("proxy TCP4"), NO_HEADER},
    {BYTES("PROXYTCP4"), NO_HEADER},
    {BYTES("PROX\n"), NO_HEADER},
    {BYTES("\r\n\r\n\r"), NO_HEADER},
    {BYTES("\x16\3\1"), NO_HEADER},
    {BYTES("PROXY \n"), "the line of the PROXY header does not end with CR and LF"},
    {BYTES("PROXY TCP4" PLACES "1 2\n"),
     "the line of the PROXY header does not end with CR and LF"},
    {BYTES("PROXY \r\n"), PROTOCOLS},
    {BYTES("PROXY TCP5" PLACES "1 2\r\n"), PROTOCOLS},
    {BYTES("PROXY  TCP4" PLACES "1 2\r\n"), PROTOCOLS},
    {BYTES("PROXY UNKNOWNS\r\n"), PROTOCOLS},
    {BYTES("PROXY TCP4\r\n"), FOUR_WORDS},
    {BYTES("PROXY TCP4" PLACES "1\r\n"), FOUR_WORDS},
    {BYTES("PROXY TCP4" PLACES "1 \r\n"), FOUR_WORDS},
    {BYTES("PROXY TCP4" PLACES "1 2 \r\n"), FOUR_WORDS},
    {BYTES("PROXY TCP4" PLACES "1 2 3\r\n"), FOUR_WORDS},
    {BYTES("PROXY TCP4" PLACES " 1 2\r\n"), FOUR_WORDS},
    {BYTES("PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n"), PROTOCOLS},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n"), NO_ADDRESS(4)},
    {BYTES("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n"), NO_ADDRESS(4)},
    {BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), NO_ADDRESS(4)},
    {BYTES("PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 2\r\n"), NO_ADDRESS(4)},
    {BYTES("PROXY TCP6" PLACES "1 2\r\n"), NO_ADDRESS(6)},
    {BYTES("PROXY TCP6 ::1 fe80::1%lo 1 2\r\n"), NO_ADDRESS(6)},
    {BYTES("PROXY TCP6 ::1 [::1] 1 2\r\n"), NO_ADDRESS(6)},
    {BYTES("PROXY TCP4" PLACES "65536 2\r\n"), NO_PORT},
    {BYTES("PROXY TCP4" PLACES "1 02\r\n"), NO_PORT},
    {BYTES("PROXY TCP4" PLACES "1 +2\r\n"), NO_PORT},
    {BYTES("PROXY TCP4" PLACES "4294967297 2\r\n"), NO_PORT},
    {BYTES("PROXY TCP4" PLACES "1 2\0\r\n"), NO_PORT},
    {BYTES("PROXY TCP4" PLACES "1 2\r\r\n"), NO_PORT},
    {BYTES("PROXY UNKNOWN " F39 F39 "0123456789012345"),
     "the line of the PROXY header has more than 107 bytes"},
    {BYTES("PROXY UNKNOWN " F39 F39 "01234567890123\r\n"),
     "the line of the PROXY header has more than 107 bytes"},
    {BYTES(SIGNATURE "\x11"), "the PROXY header is of the unknown version 1"},
    {BYTES(SIGNATURE "\x31\x11\0\x0c" ADDRESSES4), "the PROXY header is of the unknown version 3"},
    {BYTES(SIGNATURE "\x22\x11\0\x0c" ADDRESSES4), "the PROXY header has the unknown command 2"},
    {BYTES(SIGNATURE "\x21\x41\0\x0c" ADDRESSES4), BAD_FAMILY("0x41")},
    {BYTES(SIGNATURE "\x21\x13\0\x0c" ADDRESSES4), BAD_FAMILY("0x13")},
    {BYTES(SIGNATURE "\x21\x11\0\0"), TOO_SHORT},
    {BYTES(SIGNATURE "\x21\x11\0\x0b" ADDRESSES4), TOO_SHORT},
    {BYTES(SIGNATURE "\x21\x21\0\x0c" ADDRESSES4), TOO_SHORT},
    {BYTES(SIGNATURE "\x21\x31\0\x0c" ADDRESSES4), TOO_SHORT},
    {BYTES(SIGNATURE "\x21\x11\0\x0d" ADDRESSES4 "\4"), BEYOND},
    {BYTES(SIGNATURE "\x21\x11\0\x0f" ADDRESSES4 "\4\0\1"), BEYOND},
    {BYTES(SIGNATURE "\x21\x11\0\x10" ADDRESSES4 "\4\xff\xff"
                     "a"),
     BEYOND},
    {BYTES(SIGNATURE "\x21\x11\0\x13" ADDRESSES4 "\3\0\4\x20\xec\x95\x48"),
     "the PROXY header's checksum is wrong"},
    {BYTES(SIGNATURE "\x21\x11\0\x12" ADDRESSES4 "\3\0\3\x20\xec\x95"),
     "the PROXY header's checksum is not one of 4 bytes"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct error error = {0};
        struct proxy_header header = {.source.port = 77};
        const size_t length = faults[i].length;
        const char *copy = guarded_copy(&guarded, faults[i].bytes, length);
        if (proxy_header_read(copy, length, &header, &error) != -EPROTO)
            fail_msg("%zu (%s) is taken", i, faults[i].message);
        assert_string_equal(error.message, faults[i].message);
        assert_int_equal(error.code, EPROTO);
        assert_int_equal(header.source.port, 77);
        for (size_t part = 0; part < length; part++) {
            copy = guarded_copy(&guarded, faults[i].bytes, part);
            assert_true(proxy_header_read(copy, part, &header, NULL) <= 0);
        }
    }
}

/* A flipped bit of a header with a checksum is always seen. */
static void test_checksum_covers_all(void **state)
{
    (void)state;
    const char *right = SIGNATURE "\x21\x11\0\x13" ADDRESSES4 "\3\0\4\x20\xec\x95\x49";
    for (size_t bit = 8 * 16; bit < 8 * 35; bit++) {
        char bytes[35];
        struct proxy_header header;
        memcpy(bytes, right, sizeof(bytes));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        const ssize_t taken = proxy_header_read(bytes, sizeof(bytes), &header, NULL);
        /* With another type it is no checksum any more. */
        assert_true(taken == -EPROTO || bit / 8 == 28);
    }
}

/* The longest of all, whose additions fill it to the last byte. */
static void test_longest(void **state)
{
    (void)state;
    char *bytes = calloc(1, PROXY_HEADER_MAXIMUM);
    assert_non_null(bytes);
    memcpy(bytes, SIGNATURE "\x21\x11\xff\xff" ADDRESSES4 "\xe0\xff\xf0", 31);
    struct proxy_header header = {0};
    const char *copy = guarded_copy(&guarded, bytes, PROXY_HEADER_MAXIMUM);
    assert_int_equal(proxy_header_read(copy, PROXY_HEADER_MAXIMUM, &header, NULL),
                     PROXY_HEADER_MAXIMUM);
    assert_peer(&header.source, SOURCE4);
    assert_int_equal(proxy_header_read(copy, PROXY_HEADER_MAXIMUM - 1, &header, NULL), 0);
    free(bytes);
}

static int open_guarded(void **state)
{
    (void)state;
    guarded = guarded_open(PROXY_HEADER_MAXIMUM);
    return guarded.pages ? 0 : -1;
}

static int close_guarded(void **state)
{
    (void)state;
    guarded_close(&guarded);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_written_unknown),
        cmocka_unit_test(test_written_without_zone),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_checksum_covers_all),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, open_guarded, close_guarded);
}
