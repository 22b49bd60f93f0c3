/* Words for endpoints: what they mean, and where the complaints point. */
#include "talk/endpoint.h"

#include "talk/host_port.h"

#include "guarded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define LABEL_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-123456789"
#define NAME_253                                                                                   \
    LABEL_63 "." LABEL_63 "." LABEL_63 "."                                                         \
             "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-1234567"
#define PATH_107                                                                                   \
    "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"    \
    "0123456789abcdefgh"

#define LISTEN ENDPOINT_LISTEN
#define DIAL ENDPOINT_DIAL
#define NONE ADDRESS_NONE

static const struct {
    const char *word;
    enum endpoint_role role;
    const char *canonical;
    const char *host;
    unsigned port;
    enum address_family family;
} words[] = {
    {"8080", LISTEN, "tcp:8080", "", 8080, NONE},
    {"0", LISTEN, "tcp:0", "", 0, NONE},
    {"65535", LISTEN, "tcp:65535", "", 65535, NONE},
    {"08080", LISTEN, "tcp:8080", "", 8080, NONE},
    {"http", LISTEN, "tcp:80", "", 80, NONE},
    {"tcp:8080", LISTEN, "tcp:8080", "", 8080, NONE},
    {"tcp::8080", LISTEN, "tcp:8080", "", 8080, NONE},
    {":8080", LISTEN, "tcp:8080", "", 8080, NONE},
    {"tls:8443", LISTEN, "tls:8443", "", 8443, NONE},
    {"udp4:domain", LISTEN, "udp:53", "", 53, ADDRESS_IPV4},
    {"tls6:0", LISTEN, "tls:0", "", 0, ADDRESS_IPV6},
    {"*:80", LISTEN, "tcp:*:80", "*", 80, NONE},
    {"udp6:*:80", LISTEN, "udp:*:80", "*", 80, ADDRESS_IPV6},
    {"tcp:db:5432", DIAL, "tcp:db:5432", "db", 5432, NONE},
    {"db:5432", DIAL, "tcp:db:5432", "db", 5432, NONE},
    {"db:5432", LISTEN, "tcp:db:5432", "db", 5432, NONE},
    {"db:https", DIAL, "tcp:db:443", "db", 443, NONE},
    {"db:HTTPS", DIAL, "tcp:db:443", "db", 443, NONE},
    {"db:postgres", DIAL, "tcp:db:5432", "db", 5432, NONE}, /* an alias */
    {"udp:db:tftp", DIAL, "udp:db:69", "db", 69, NONE},
    {"TLS:www.example.com.:443", DIAL, "tls:www.example.com.:443", "www.example.com.", 443, NONE},
    {"tftp:80", DIAL, "tcp:tftp:80", "tftp", 80, NONE},
    {"tcp8:80", DIAL, "tcp:tcp8:80", "tcp8", 80, NONE},
    {"tcp:tcp:80", DIAL, "tcp:tcp:80", "tcp", 80, NONE},
    {"_x.under_score:1", DIAL, "tcp:_x.under_score:1", "_x.under_score", 1, NONE},
    {"3com.com:1", DIAL, "tcp:3com.com:1", "3com.com", 1, NONE},
    {NAME_253 ":1", DIAL, "tcp:" NAME_253 ":1", NAME_253, 1, NONE},
    {NAME_253 ".:1", DIAL, "tcp:" NAME_253 ".:1", NAME_253 ".", 1, NONE},
    {"127.0.0.1:80", DIAL, "tcp:127.0.0.1:80", "127.0.0.1", 80, NONE},
    {"tcp4:127.0.0.1:80", DIAL, "tcp:127.0.0.1:80", "127.0.0.1", 80, ADDRESS_IPV4},
    {"[::1]:80", DIAL, "tcp:[::1]:80", "::1", 80, NONE},
    {"udp:[::1]:53", DIAL, "udp:[::1]:53", "::1", 53, NONE},
    {"tcp6:[2001:DB8::1]:80", DIAL, "tcp:[2001:DB8::1]:80", "2001:DB8::1", 80, ADDRESS_IPV6},
    {"tcp:[fe80::1%lo]:80", DIAL, "tcp:[fe80::1%lo]:80", "fe80::1%lo", 80, NONE},
    {"[fe80::1%999999]:80", DIAL, "tcp:[fe80::1%999999]:80", "fe80::1%999999", 80, NONE},
    {"tcp4:[::ffff:192.0.2.1]:80", DIAL, "tcp:[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1", 80,
     ADDRESS_IPV4},
    {"[::]:80", LISTEN, "tcp:[::]:80", "::", 80, NONE},
};

static void test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        struct error error = {0};
        struct endpoint endpoint, again;
        enum address_family family = (enum address_family)9;
        char text[ENDPOINT_WORD_SIZE];
        if (endpoint_parse(words[i].word, words[i].role, &endpoint, &family, &error) != 0)
            fail_msg("%s: %s", words[i].word, error.message);
        assert_string_equal(endpoint.host, words[i].host);
        assert_int_equal(endpoint.port, words[i].port);
        assert_string_equal(endpoint.path, "");
        assert_int_equal(family, words[i].family);
        assert_string_equal(endpoint_format(&endpoint, text), words[i].canonical);
        assert_int_equal(endpoint_parse(text, words[i].role, &again, &family, &error), 0);
        assert_memory_equal(&again, &endpoint, sizeof(again));
        assert_int_equal(family, NONE);
    }
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"/run/x", "x.sock", "./a:b c", "@name", PATH_107, "8080"};
    for (size_t i = 0; i < COUNT(paths); i++)
        for (unsigned role = 0; role < 2; role++) {
            struct error error = {0};
            struct endpoint endpoint, again;
            enum address_family family;
            char word[ENDPOINT_WORD_SIZE], text[ENDPOINT_WORD_SIZE];
            snprintf(word, sizeof(word), "unix:%s", paths[i]);
            assert_int_equal(endpoint_parse(word, role, &endpoint, &family, &error), 0);
            assert_int_equal(endpoint.kind, ENDPOINT_UNIX);
            assert_string_equal(endpoint.path, paths[i]);
            assert_string_equal(endpoint.host, "");
            assert_int_equal(family, NONE);
            assert_string_equal(endpoint_format(&endpoint, text), word);
            assert_int_equal(
                endpoint_from_words(ENDPOINT_UNIX, role, paths[i], NULL, &again, &error), 0);
            assert_memory_equal(&again, &endpoint, sizeof(again));
        }
}

#define UNKNOWN_KIND(kind) "unknown kind '" kind "': write tcp, udp, tls or unix"
#define NO_PORT "a port is missing after the host, as in db:5432"
#define NO_PORT6 "a port is missing after the host, as in [::1]:80"
#define EMPTY_PORT "a port is missing: a number, or a service's name"
#define NO_HOST "a host is missing before the port, as in localhost:80"
#define EMPTY_HOST "a host is missing: an address or a name"
#define BRACKETS "an IPv6 address before a port stands in brackets, as in [::1]:80"
#define FOR_UNIX "for a Unix socket write unix: before its path"
#define CHARACTERS "a host name is made of letters, digits, hyphens and dots"

static const struct {
    const char *word;
    enum endpoint_role role;
    size_t column;
    const char *message;
} faults[] = {
    {"", LISTEN, 0, "an endpoint is missing, such as 8080"},
    {"", DIAL, 0, "an endpoint is missing, such as localhost:8080"},
    /* Ports */
    {"65536", LISTEN, 0, "port 65536 is above 65535"},
    {"tcp:x:4294967376", DIAL, 6, "port 4294967376 is above 65535"},
    {"x:0", DIAL, 2, "nobody can be reached at port 0"},
    {"x:", DIAL, 2, EMPTY_PORT},
    {"x:", LISTEN, 2, EMPTY_PORT},
    {"tcp:", LISTEN, 4, EMPTY_PORT},
    {"tcp::", LISTEN, 5, EMPTY_PORT},
    {"x:80-90", DIAL, 2, "'80-90' is no port: write one number, or a service's name"},
    {"x:+80", DIAL, 2, "no service is called '+80'"},
    {"x:h*", DIAL, 3, "one port is expected here, without '*'"},
    {"x:8?", DIAL, 3, "one port is expected here, without '?'"},
    {"x: 80", DIAL, 2, "the byte 0x20 is no part of a port"},
    {"x:80\n", DIAL, 4, "the byte 0x0a is no part of a port"},
    {"x:htps", DIAL, 2, "no service is called 'htps'; did you mean 'https'?"},
    {"x:biff", DIAL, 2, "'biff' is a service of udp and not of tcp"},
    {"x:no-such-service-at-all-and-this-is-far-too-long", DIAL, 2,
     "no service is called 'no-such-service-at-all-and-this-is-far-t...'"},
    /* Hosts */
    {":80", DIAL, 0, EMPTY_HOST},
    {"tcp::80", DIAL, 4, EMPTY_HOST},
    {"tcp:", DIAL, 4, EMPTY_HOST},
    {":", DIAL, 0, EMPTY_HOST},
    {"80", DIAL, 0, NO_HOST},
    {"tcp:80", DIAL, 4, NO_HOST},
    {"db", DIAL, 2, NO_PORT},
    {"tls:db", DIAL, 6, NO_PORT},
    {"localhost", LISTEN, 9, NO_PORT},
    {"tcp:127.0.0.1", LISTEN, 13, NO_PORT},
    {"*:80", DIAL, 0, "'*' is for listening: one host is expected here"},
    {"**:80", LISTEN, 0, CHARACTERS},
    {"a b:80", DIAL, 1, CHARACTERS},
    {"user@x:80", DIAL, 4, CHARACTERS},
    {"x\r\nHost;y:80", DIAL, 1, "the byte 0x0d is no part of a host name"},
    {"b\xc3\xbc"
     "cher:80",
     DIAL, 1, "write an internationalised host name in its ASCII form (xn--...)"},
    {"a..b:80", DIAL, 2, "a label of the host name is missing here"},
    {"-a:80", DIAL, 0, "a label of a host name does not begin with '-'"},
    {"tcp:b.a-:80", DIAL, 7, "a label of a host name does not end with '-'"},
    {LABEL_63 "0:80", DIAL, 63, "a label of a host name has at most 63 characters"},
    {"0x7f.1:80", DIAL, 0, "an IPv4 address is four decimal octets, as in 192.0.2.1"},
    {"tcp:1.2.3:80", DIAL, 9, "an IPv4 address has four octets, as in 192.0.2.1, and this has 3"},
    {"192.0.2.256:80", DIAL, 8, "octet 256 is above 255"},
    {"192.0.2.1%lo:80", DIAL, 9, "only an IPv6 address has a zone"},
    {"[::1:80", DIAL, 7, "a ']' is missing after the IPv6 address"},
    {"[::g]:80", DIAL, 3, "an IPv6 address is made of hexadecimal digits and colons"},
    {"tcp:[fe80::1%no-such]:80", DIAL, 13, "no interface is called 'no-such'"},
    {"[192.0.2.1]:80", DIAL, 1, "only an IPv6 address stands in brackets"},
    {"[*]:80", LISTEN, 1, "only an IPv6 address stands in brackets"},
    {"[]:80", LISTEN, 1, "only an IPv6 address stands in brackets"},
    {"[::1]80", DIAL, 5, "after ']' comes ':' and a port"},
    {"[::1]", DIAL, 5, NO_PORT6},
    {"tls:[::1]", LISTEN, 9, NO_PORT6},
    {"[::1]:", DIAL, 6, EMPTY_PORT},
    {"::1:80", DIAL, 0, BRACKETS},
    {"2001:db8::1:80", DIAL, 0, BRACKETS},
    {"1:2:3:4:5:6:7:8:80", DIAL, 0, BRACKETS},
    {"tcp:::1:80", DIAL, 4, BRACKETS},
    {"tcp4:[::1]:80", DIAL, 6, "this is an IPv6 address, and IPv4 was asked for"},
    {"udp6:127.0.0.1:80", LISTEN, 5, "this is an IPv4 address, and IPv6 was asked for"},
    /* Kinds */
    {"ssl:x:443", DIAL, 0, UNKNOWN_KIND("ssl")},
    {"tpc:db:80", DIAL, 0, "unknown kind 'tpc'; did you mean 'tcp'?"},
    {"db:5432:7", DIAL, 0, UNKNOWN_KIND("db")},
    {"tcpp:db:80", DIAL, 0, "unknown kind 'tcpp'; did you mean 'tcp'?"},
    {"t\x1b[:db:80", DIAL, 1, "the byte 0x1b is no part of an endpoint's kind"},
    {"unx:/run/x", DIAL, 0, "unknown kind 'unx'; did you mean 'unix'?"},
    {"unix4:/run/x", DIAL, 0, "unknown kind 'unix4'; did you mean 'unix'?"},
    {"http://x/", DIAL, 4, "an endpoint is no URL: write its host and port alone"},
    {"/run/x", DIAL, 0, FOR_UNIX},
    {"/run/x:1", DIAL, 0, FOR_UNIX},
    {"./x", LISTEN, 0, FOR_UNIX},
    /* Paths */
    {"unix:", DIAL, 5, "a path is missing, or the name of an abstract socket (@name)"},
    {"unix:@", DIAL, 6, "a name is missing after '@'"},
    {"unix:" PATH_107 "x", DIAL, 112, "the path of a Unix socket has at most 107 bytes"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct error error = {0};
        struct endpoint endpoint = {.port = 7};
        enum address_family family = (enum address_family)9;
        const char *word = faults[i].word;
        const enum endpoint_role role = faults[i].role;
        if (endpoint_parse(word, role, &endpoint, &family, &error) != -EINVAL)
            fail_msg("%s is taken", word);
        assert_string_equal(error.message, faults[i].message);
        assert_int_equal(error.column, faults[i].column);
        assert_int_equal(error.code, EINVAL);
        assert_int_equal(endpoint.port, 7);
        assert_int_equal(family, 9);
        assert_int_equal(endpoint_parse(word, role, &endpoint, &family, NULL), -EINVAL);
    }
}

/* A column in a word that is too long to be shown is that of the part that is shown. */
static void test_long_word(void **state)
{
    (void)state;
    char word[600];
    struct error error;
    struct endpoint endpoint;
    enum address_family family;
    memset(word, 'a', sizeof(word));
    for (size_t i = 63; i < sizeof(word); i += 64)
        word[i] = '.';
    strcpy(word + sizeof(word) - 4, ":80");
    assert_int_equal(endpoint_parse(word, DIAL, &endpoint, &family, &error), -EINVAL);
    assert_string_equal(error.message, "a host name has at most 253 characters");
    assert_true(error.column <= strlen(error.text));
}

static void test_two_words(void **state)
{
    (void)state;
    struct error error;
    struct endpoint endpoint;
    char text[ENDPOINT_WORD_SIZE];
    static const struct {
        enum endpoint_kind kind;
        enum endpoint_role role;
        const char *host, *port, *canonical;
    } pairs[] = {
        {ENDPOINT_TCP, DIAL, "localhost", "80", "tcp:localhost:80"},
        {ENDPOINT_TCP, DIAL, "::1", "80", "tcp:[::1]:80"},
        {ENDPOINT_TLS, DIAL, "[::1]", "https", "tls:[::1]:443"},
        {ENDPOINT_UDP, DIAL, "fe80::1%lo", "tftp", "udp:[fe80::1%lo]:69"},
        {ENDPOINT_TCP, LISTEN, NULL, "0", "tcp:0"},
        {ENDPOINT_TCP, LISTEN, "", "80", "tcp:80"},
        {ENDPOINT_UDP, LISTEN, "*", "80", "udp:*:80"},
        {ENDPOINT_UNIX, DIAL, "/run/x", NULL, "unix:/run/x"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        assert_int_equal(endpoint_from_words(pairs[i].kind, pairs[i].role, pairs[i].host,
                                             pairs[i].port, &endpoint, &error),
                         0);
        assert_string_equal(endpoint_format(&endpoint, text), pairs[i].canonical);
    }
}

static void test_two_words_faults(void **state)
{
    (void)state;
    static const struct {
        enum endpoint_kind kind;
        const char *host, *port, *text, *message;
        size_t column;
    } pairs[] = {
        {ENDPOINT_TCP, "local host", "80", "local host", CHARACTERS, 5},
        {ENDPOINT_TCP, "localhost", "80x", "80x",
         "'80x' is no port: write one number, or a service's name", 0},
        {ENDPOINT_TCP, "localhost", "0", "0", "nobody can be reached at port 0", 0},
        {ENDPOINT_TCP, "localhost", NULL, "", EMPTY_PORT, 0},
        {ENDPOINT_TCP, "localhost", "", "", EMPTY_PORT, 0},
        {ENDPOINT_TCP, NULL, "80", "", EMPTY_HOST, 0},
        {ENDPOINT_TCP, "", "80", "", EMPTY_HOST, 0},
        {ENDPOINT_TCP, "*", "80", "*", "'*' is for listening: one host is expected here", 0},
        {ENDPOINT_TCP, "[", "80", "[", CHARACTERS, 0},
        {ENDPOINT_TCP, "[x]", "80", "[x]", "only an IPv6 address stands in brackets", 1},
        {ENDPOINT_TCP, "[::1%9]", "80", "[::1%9]",
         "only a link-local address has a zone, as in fe80::1%eth0", 4},
        {ENDPOINT_TCP, "x:80", "80", "x:80",
         "an IPv6 address has two colons or more, and a port is no part of an address", 1},
        {ENDPOINT_UNIX, "/run/x", "80", "80", "a Unix socket has a path and no port", 0},
        {ENDPOINT_UNIX, "", NULL, "",
         "a path is missing, or the name of an abstract socket (@name)", 0},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct error error = {0};
        struct endpoint endpoint = {.port = 7};
        assert_int_equal(endpoint_from_words(pairs[i].kind, DIAL, pairs[i].host, pairs[i].port,
                                             &endpoint, &error),
                         -EINVAL);
        assert_string_equal(error.message, pairs[i].message);
        assert_string_equal(error.text, pairs[i].text);
        assert_int_equal(error.column, pairs[i].column);
        assert_int_equal(endpoint.port, 7);
    }
}

static void test_ports(void **state)
{
    (void)state;
    uint16_t port = 7;
    struct error error;
    assert_int_equal(endpoint_parse_port(ENDPOINT_TCP, DIAL, "telnet", &port, &error), 0);
    assert_int_equal(port, 23);
    assert_int_equal(endpoint_parse_port(ENDPOINT_UDP, DIAL, "ntp", &port, &error), 0);
    assert_int_equal(port, 123);
    assert_int_equal(endpoint_parse_port(ENDPOINT_UDP, LISTEN, "0", &port, &error), 0);
    assert_int_equal(port, 0);
    assert_int_equal(endpoint_parse_port(ENDPOINT_UDP, DIAL, "0", &port, &error), -EINVAL);
    assert_int_equal(endpoint_parse_port(ENDPOINT_TLS, DIAL, "99999999999999999999", &port, &error),
                     -EINVAL);
    assert_int_equal(port, 0);
}

/* The parts of words are read in place: every beginning of every word, at the end of a page. */
static void test_reads_no_further(void **state)
{
    (void)state;
    struct guarded guarded = guarded_open(1024);
    assert_non_null(guarded.pages);
    for (size_t i = 0; i < COUNT(words) + COUNT(faults); i++) {
        const char *word = i < COUNT(words) ? words[i].word : faults[i - COUNT(words)].word;
        for (size_t length = 0; length <= strlen(word); length++) {
            struct error error = {0};
            struct host_port parts;
            struct address address;
            uint16_t port;
            struct reader reader = {.text = guarded_copy(&guarded, word, length),
                                    .length = length,
                                    .end = length,
                                    .error = &error};
            struct reader whole = reader;
            assert_true(host_read(&whole, &address) == 0 || error.column <= length);
            whole = reader;
            assert_true(port_read(&whole, PROTOCOL_UDP, true, &port) == 0 ||
                        error.column <= length);
            if (host_port_split(&reader, &parts) != 0)
                continue;
            assert_true(parts.host.end <= length && parts.port.end <= length);
            assert_true(host_read(&parts.host, &address) == 0 || error.column <= length);
        }
        char *copy = guarded_copy(&guarded, word, strlen(word) + 1);
        struct endpoint endpoint;
        enum address_family family;
        assert_true(endpoint_parse(copy, DIAL, &endpoint, &family, NULL) <= 0);
        assert_true(endpoint_parse(copy, LISTEN, &endpoint, &family, NULL) <= 0);
    }
    guarded_close(&guarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),     cmocka_unit_test(test_paths),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_long_word),
        cmocka_unit_test(test_two_words), cmocka_unit_test(test_two_words_faults),
        cmocka_unit_test(test_ports),     cmocka_unit_test(test_reads_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
