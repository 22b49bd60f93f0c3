/* Proxies: what is asked of them, how their answers are read in any pieces, and their words. */
#include "talk/proxy.h"

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
#define SIXTEEN "0123456789abcdef"
#define TEXT_255                                                                                   \
    SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN        \
        SIXTEEN SIXTEEN SIXTEEN SIXTEEN "0123456789abcde"
#define HEAD_LIMIT 16384

static struct guarded guarded;

/* What was said in a negotiation, and how it ended. */
struct outcome {
    int progress;
    struct buffer sent;
    size_t taken;
    struct error error;
};

/* Answers come in pieces of `piece` bytes; what was not taken comes again, with the next piece, at
 * the end of a page. */
static struct outcome negotiate(const struct proxy_request *request, const char *answer,
                                size_t length, size_t piece)
{
    struct outcome outcome = {0};
    struct proxy_negotiation negotiation = {.request = *request};
    size_t come = 0;
    for (;;) {
        size_t taken = SIZE_MAX;
        const size_t left = come - outcome.taken;
        const char *bytes = guarded_copy(&guarded, answer + outcome.taken, left);
        outcome.progress =
            proxy_step(&negotiation, bytes, left, &taken, &outcome.sent, &outcome.error);
        if (outcome.progress < 0) {
            assert_int_equal(taken, SIZE_MAX);
            assert_int_equal(outcome.error.code, -outcome.progress);
            assert_true(outcome.error.message[0] != '\0');
            return outcome;
        }
        assert_true(taken <= left);
        outcome.taken += taken;
        if (outcome.progress == PROXY_OPEN || come == length)
            return outcome;
        come = length - come < piece ? length : come + piece;
    }
}

#define GRANTED4 "\0\x5a\0\0\0\0\0\0"
#define GRANTED5 "\5\0\0\1\0\0\0\0\0\0"
#define BASIC "Proxy-Authorization: Basic "

static const struct {
    struct proxy_request request;
    const char *sent;
    size_t sent_length;
    const char *answer;
    size_t answer_length;
} successes[] = {
    /* SOCKS4 and 4a */
    {{PROXY_SOCKS4, "192.0.2.1", 80, NULL, NULL}, BYTES("\4\1\0\x50\xc0\0\2\1\0"), BYTES(GRANTED4)},
    {{PROXY_SOCKS4, "192.0.2.1", 80, "me", ""},
     BYTES("\4\1\0\x50\xc0\0\2\1me\0"),
     BYTES("\4\x5a\1\2\3\4\5\6")},
    {{PROXY_SOCKS4, "db", 5432, "me", NULL},
     BYTES("\4\1\x15\x38\0\0\0\1me\0db\0"),
     BYTES(GRANTED4)},
    {{PROXY_SOCKS4, "0.0.0.9", 1, "", NULL},
     BYTES("\4\1\0\1\0\0\0\1\0"
           "0.0.0.9\0"),
     BYTES(GRANTED4)},
    {{PROXY_SOCKS4, "::ffff:192.0.2.1", 80, NULL, NULL},
     BYTES("\4\1\0\x50\xc0\0\2\1\0"),
     BYTES(GRANTED4)},
    /* SOCKS5: addresses, names, bound addresses of each type */
    {{PROXY_SOCKS5, "192.0.2.1", 80, NULL, NULL},
     BYTES("\5\1\0"
           "\5\1\0\1\xc0\0\2\1\0\x50"),
     BYTES("\5\0" GRANTED5)},
    {{PROXY_SOCKS5, "2001:db8::1", 443, NULL, NULL},
     BYTES("\5\1\0"
           "\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\1\xbb"),
     BYTES("\5\0"
           "\5\0\0\4" SIXTEEN "\1\2")},
    {{PROXY_SOCKS5, "db.example", 5432, NULL, NULL},
     BYTES("\5\1\0"
           "\5\1\0\3\x0a"
           "db.example\x15\x38"),
     BYTES("\5\0"
           "\5\0\0\3\2hi\1\2")},
    {{PROXY_SOCKS5, "db", 1, NULL, NULL},
     BYTES("\5\1\0"
           "\5\1\0\3\2db\0\1"),
     BYTES("\5\0"
           "\5\0\xff\3\0\1\2")},
    {{PROXY_SOCKS5, "db", 1, NULL, ""},
     BYTES("\5\1\0"
           "\5\1\0\3\2db\0\1"),
     BYTES("\5\0"
           "\5\0\0\3\xff" TEXT_255 "\1\2")},
    {{PROXY_SOCKS5, "db", 1, "me", "secret"},
     BYTES("\5\2\0\2"
           "\1\2me\6secret"
           "\5\1\0\3\2db\0\1"),
     BYTES("\5\2"
           "\1\0" GRANTED5)},
    {{PROXY_SOCKS5, "db", 1, "me", NULL},
     BYTES("\5\2\0\2"
           "\1\2me\0"
           "\5\1\0\3\2db\0\1"),
     BYTES("\5\2"
           "\5\0" GRANTED5)},
    {{PROXY_SOCKS5, "db", 1, "me", "secret"},
     BYTES("\5\2\0\2"
           "\5\1\0\3\2db\0\1"),
     BYTES("\5\0" GRANTED5)},
    {{PROXY_SOCKS5, "db", 1, TEXT_255, TEXT_255},
     BYTES("\5\2\0\2"
           "\1\xff" TEXT_255 "\xff" TEXT_255 "\5\1\0\3\2db\0\1"),
     BYTES("\5\2"
           "\1\0" GRANTED5)},
    /* HTTP */
    {{PROXY_HTTP, "db", 5432, NULL, NULL},
     BYTES("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"),
     BYTES("HTTP/1.1 200 OK\r\n\r\n")},
    {{PROXY_HTTP, "2001:db8::1", 80, NULL, NULL},
     BYTES("CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"),
     BYTES("HTTP/1.0 200 Connection established\r\nServer: x\r\nX:\r\n\r\n")},
    {{PROXY_HTTP, "192.0.2.1", 80, "Aladdin", "open sesame"},
     BYTES("CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n" BASIC
           "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
     BYTES("HTTP/1.1 200\r\n\r\n")},
    {{PROXY_HTTP, "x", 1, "test", "123\xc2\xa3"},
     BYTES("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n" BASIC "dGVzdDoxMjPCow==\r\n\r\n"),
     BYTES("HTTP/1.1 200 \n\n")},
    {{PROXY_HTTP, "x", 1, "a", ":"},
     BYTES("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n" BASIC "YTo6\r\n\r\n"),
     BYTES("HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\n")},
    {{PROXY_HTTP, "x", 1, "", NULL},
     BYTES("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n" BASIC "Og==\r\n\r\n"),
     BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")},
};

/* Answers arrive in any pieces, and what is behind them stays. */
static void test_successes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(successes); i++)
        for (size_t piece = 1; piece < 600; piece += piece < 5 ? 1 : 80) {
            char answer[1024] = {0};
            const size_t length = successes[i].answer_length;
            memcpy(answer, successes[i].answer, length);
            memcpy(answer + length, "\r\ntarget", 8);
            struct outcome outcome = negotiate(&successes[i].request, answer, length + 8, piece);
            if (outcome.progress != PROXY_OPEN)
                fail_msg("%zu: %s", i, outcome.error.message);
            assert_int_equal(outcome.taken, length);
            assert_int_equal(outcome.sent.length, successes[i].sent_length);
            assert_memory_equal(outcome.sent.data, successes[i].sent, outcome.sent.length);
            buffer_release(&outcome.sent);
        }
}

static void test_prefixes_want_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(successes); i++)
        for (size_t length = 0; length < successes[i].answer_length; length++)
            for (size_t piece = 1; piece <= length + 1; piece += length + 1) {
                struct outcome outcome =
                    negotiate(&successes[i].request, successes[i].answer, length, piece);
                assert_int_equal(outcome.progress, PROXY_MORE);
                assert_true(outcome.taken <= length);
                buffer_release(&outcome.sent);
            }
}

/* Nothing is said before the proxy has answered. */
static void test_turns(void **state)
{
    (void)state;
    struct proxy_negotiation negotiation = {.request = {PROXY_SOCKS5, "db", 1, "me", "pw"}};
    struct buffer sent = {0};
    struct error error;
    static const struct {
        const char *answer;
        size_t length, sent, taken;
    } turns[] = {
        {"", 0, 4, 0},
        {"\5", 1, 0, 0},
        {"\5\2", 2, 7, 2},
        {"\1", 1, 0, 0},
        {"\1\0", 2, 9, 2},
        {"\5\0\0\3", 4, 0, 0},
        {"\5\0\0\3\0\0", 6, 0, 0},
        {"\5\0\0\3\0\0\0", 7, 0, 7},
        {"\5\1x", 3, 0, 0},
    };
    for (size_t i = 0; i < COUNT(turns); i++) {
        size_t taken;
        const int progress =
            proxy_step(&negotiation, turns[i].answer, turns[i].length, &taken, &sent, &error);
        assert_int_equal(progress, i < 7 ? PROXY_MORE : PROXY_OPEN);
        assert_int_equal(taken, turns[i].taken);
        assert_int_equal(sent.length, turns[i].sent);
        buffer_clear(&sent);
    }
    buffer_release(&sent);
}

#define SAYS5(what) "the SOCKS5 proxy says: " what
#define NOT_SOCKS(version, what) "the proxy does not answer as SOCKS" version " does: " what
#define NOT_HTTP "the proxy does not answer as HTTP does: "
#define SAYS(what) "the HTTP proxy says \"" what "\""
#define ONE_FOR_HTTP "it seems to be one for HTTP"

static const struct {
    enum proxy_kind kind;
    bool user;
    const char *answer;
    size_t length;
    int code;
    const char *message;
} failures[] = {
    {PROXY_SOCKS4, false, BYTES("\0\x5b"), ECONNREFUSED,
     "the SOCKS4 proxy says: rejected or failed"},
    {PROXY_SOCKS4, false, BYTES("\0\x5c"), EACCES,
     "the SOCKS4 proxy refuses: it cannot reach an identd on this machine"},
    {PROXY_SOCKS4, true, BYTES("\0\x5d"), EACCES,
     "the SOCKS4 proxy refuses: identd on this machine names another user"},
    {PROXY_SOCKS4, false, BYTES("\0\0"), EPROTO,
     "the SOCKS4 proxy answers with the unknown code 0"},
    {PROXY_SOCKS4, false, BYTES("\5"), EPROTO, NOT_SOCKS("4", "0x05")},
    {PROXY_SOCKS4, false, BYTES("H"), EPROTO, NOT_SOCKS("4", ONE_FOR_HTTP)},
    {PROXY_SOCKS5, false, BYTES("H"), EPROTO, NOT_SOCKS("5", ONE_FOR_HTTP)},
    {PROXY_SOCKS5, false, BYTES("\4"), EPROTO, NOT_SOCKS("5", "0x04")},
    {PROXY_SOCKS5, false, BYTES("\5\xff"), EACCES,
     "the SOCKS5 proxy wants a user and a password, or more"},
    {PROXY_SOCKS5, true, BYTES("\5\xff"), EACCES,
     "the SOCKS5 proxy takes neither a user with a password nor none"},
    {PROXY_SOCKS5, false, BYTES("\5\2"), EPROTO,
     "the SOCKS5 proxy chooses the method 2, which was not offered"},
    {PROXY_SOCKS5, true, BYTES("\5\1"), EPROTO,
     "the SOCKS5 proxy chooses the method 1, which was not offered"},
    {PROXY_SOCKS5, true, BYTES("\5\2\1\1"), EACCES,
     "the SOCKS5 proxy does not take this user and password"},
    {PROXY_SOCKS5, true, BYTES("\5\2\2"), EPROTO, NOT_SOCKS("5", "0x02")},
    {PROXY_SOCKS5, false, BYTES("\5\0\4"), EPROTO, NOT_SOCKS("5", "0x04")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\1"), EHOSTUNREACH, SAYS5("general failure")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\2"), EACCES, SAYS5("not allowed by its rules")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\3"), ENETUNREACH, SAYS5("network unreachable")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\4"), EHOSTUNREACH, SAYS5("host unreachable")},
    {PROXY_SOCKS5, true, BYTES("\5\0\5\5"), ECONNREFUSED, SAYS5("connection refused")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\6"), ETIMEDOUT, SAYS5("time to live expired")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\7"), EPROTO, SAYS5("command not supported")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\x08"), EPROTO, SAYS5("address type not supported")},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\x09"), EPROTO,
     "the SOCKS5 proxy answers with the unknown code 9"},
    {PROXY_SOCKS5, false, BYTES("\5\0\5\0\0\2"), EPROTO,
     "the SOCKS5 proxy answers with the unknown address type 2"},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 407 Proxy Authentication Required\r\n"), EACCES,
     SAYS("407 Proxy Authentication Required") ": it wants a user and a password"},
    {PROXY_HTTP, true, BYTES("HTTP/1.1 407\r\n"), EACCES,
     SAYS("407") ": it does not take this user and password"},
    {PROXY_HTTP, true, BYTES("HTTP/1.0 401 Unauthorized\r\n"), EACCES,
     SAYS("401 Unauthorized") ": it does not take this user and password"},
    {PROXY_HTTP, false, BYTES("HTTP/1.0 401 No\r\n"), EACCES, SAYS("401 No")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 403 Filtered\n"), EACCES, SAYS("403 Filtered")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 404 \r\n"), EHOSTUNREACH, SAYS("404 ")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 405 Not Allowed\r\n"), EPROTO,
     SAYS("405 Not Allowed") ": it does not know CONNECT, and may be no proxy"},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 400 Bad Request\r\n"), EPROTO, SAYS("400 Bad Request")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 500 Unable to connect\r\n"), ECONNREFUSED,
     SAYS("500 Unable to connect")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 502 Bad Gateway\r\n"), ECONNREFUSED,
     SAYS("502 Bad Gateway")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 504 Gateway Timeout\r\n"), ETIMEDOUT,
     SAYS("504 Gateway Timeout")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 301 Moved\r\n"), EPROTO, SAYS("301 Moved")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 101 Switching\r\n"), EPROTO, SAYS("101 Switching")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 999 \x1b[31m\0red\r\n"), EPROTO,
     SAYS("999 \\x1b[31m\\x00red")},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n"), ECONNREFUSED,
     SAYS("503 No")},
    {PROXY_HTTP, false, BYTES("SSH-2.0-OpenSSH\r\n"), EPROTO, NULL},
    {PROXY_HTTP, false, BYTES("\5\0"), EPROTO, NOT_HTTP "it seems to be one for SOCKS"},
    {PROXY_HTTP, false, BYTES("\n"), EPROTO, NOT_HTTP "\"\""},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 20\r\n"), EPROTO, NOT_HTTP "\"HTTP/1.1 20\""},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 2000 OK\r\n"), EPROTO, NOT_HTTP "\"HTTP/1.1 2000 OK\""},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 020 OK\r\n"), EPROTO, NOT_HTTP "\"HTTP/1.1 020 OK\""},
    {PROXY_HTTP, false, BYTES("HTTP/1.1  200 OK\r\n"), EPROTO, NOT_HTTP "\"HTTP/1.1  200 OK\""},
    {PROXY_HTTP, false, BYTES("HTTP/1.x 200 OK\r\n"), EPROTO, NOT_HTTP "\"HTTP/1.x 200 OK\""},
    {PROXY_HTTP, false, BYTES("HTTP/2 200 OK\r\n"), EPROTO, NULL},
    {PROXY_HTTP, false, BYTES("HTTP/1.1 100 Go\r\n\r\nx"), EPROTO, NOT_HTTP "\"x\""},
};

/* With the answer's last byte and not before, whatever the pieces. */
static void test_failures(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(failures); i++) {
        const struct proxy_request request = {failures[i].kind, "db", 80,
                                              failures[i].user ? "me" : NULL, NULL};
        for (size_t piece = 1; piece <= failures[i].length; piece++) {
            struct outcome outcome =
                negotiate(&request, failures[i].answer, failures[i].length, piece);
            assert_int_equal(outcome.progress, -failures[i].code);
            if (failures[i].message)
                assert_string_equal(outcome.error.message, failures[i].message);
            buffer_release(&outcome.sent);
        }
    }
}

/* A head of 16 KiB in one line or in many, with or without an answer before it; one byte more is
 * too much. */
static void test_head_limit(void **state)
{
    (void)state;
    const struct proxy_request request = {PROXY_HTTP, "db", 80, NULL, NULL};
    static const char *const starts[] = {
        "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n"};
    char *head = malloc(HEAD_LIMIT + 9);
    assert_non_null(head);
    for (size_t run = 0; run < 12; run++) {
        const size_t length = HEAD_LIMIT + run % 2;
        const size_t start = strlen(starts[run / 2 % 2]), piece = run < 8 ? 1000 : HEAD_LIMIT + 9;
        memset(head, 'x', length);
        memcpy(head, starts[run / 2 % 2], start);
        for (size_t at = start + 40; run / 4 == 1 && at + 40 < length; at += 40)
            memcpy(head + at, "\r\n", 2);
        memcpy(head + length - 4, "\r\n\r\n", 4);
        memcpy(head + length, "target", 6);
        struct outcome outcome = negotiate(&request, head, length + 6, piece);
        assert_int_equal(outcome.progress, run % 2 ? -EPROTO : PROXY_OPEN);
        if (run % 2)
            assert_string_equal(outcome.error.message,
                                "the HTTP proxy answers with a head of more than 16384 bytes");
        else
            assert_int_equal(outcome.taken, length);
        buffer_release(&outcome.sent);
    }
    free(head);
}

#define CONTROLS "a user's name and a password for an HTTP proxy have no control characters"
#define CHARACTERS "a host name is made of letters, digits, hyphens and dots"
#define ZONE "a zone means something on this machine only, not to a proxy"

static void test_checks(void **state)
{
    (void)state;
    static const struct {
        struct proxy_request request;
        const char *message;
    } requests[] = {
        {{PROXY_NONE, "db", 80, NULL, NULL}, "a proxy is of a kind: http, socks4 or socks5"},
        {{PROXY_HTTP, "db", 0, NULL, NULL}, "nobody can be reached at port 0"},
        {{PROXY_HTTP, "", 80, NULL, NULL}, "a host is missing: an address or a name"},
        {{PROXY_HTTP, "x\r\nEvil", 80, NULL, NULL}, "the byte 0x0d is no part of a host name"},
        {{PROXY_HTTP, "x y", 80, NULL, NULL}, CHARACTERS},
        {{PROXY_HTTP, "x/y", 80, NULL, NULL}, CHARACTERS},
        {{PROXY_HTTP, "[::1]", 80, NULL, NULL},
         "an IPv6 address is made of hexadecimal digits and colons"},
        {{PROXY_SOCKS5, TEXT_255 "0", 80, NULL, NULL}, "a host name has at most 253 characters"},
        {{PROXY_HTTP, "fe80::1%lo", 80, NULL, NULL}, ZONE},
        {{PROXY_SOCKS5, "fe80::1%lo", 80, NULL, NULL}, ZONE},
        {{PROXY_SOCKS4, "::1", 80, NULL, NULL}, "SOCKS4 has no IPv6 addresses: SOCKS5 has"},
        {{PROXY_SOCKS4, "db", 80, "me", "pw"}, "SOCKS4 has no passwords: SOCKS5 has"},
        {{PROXY_HTTP, "db", 80, NULL, "pw"},
         "a password for a proxy needs a user's name before it"},
        {{PROXY_HTTP, "db", 80, "m:e", "pw"}, "a user of an HTTP proxy has no ':' in the name"},
        {{PROXY_HTTP, "db", 80, "me\r\nX", "pw"}, CONTROLS},
        {{PROXY_HTTP, "db", 80, "me", "p\x7f"}, CONTROLS},
        {{PROXY_SOCKS5, "db", 80, "", "pw"}, "a user of a SOCKS5 proxy has a name"},
        {{PROXY_SOCKS5, "db", 80, TEXT_255 "0", "pw"},
         "a user's name for a SOCKS5 proxy has at most 255 bytes"},
        {{PROXY_SOCKS5, "db", 80, "me", TEXT_255 "0"},
         "a password for a SOCKS5 proxy has at most 255 bytes"},
    };
    for (size_t i = 0; i < COUNT(requests); i++) {
        struct error error = {0};
        assert_int_equal(proxy_check(&requests[i].request, &error), -EINVAL);
        assert_string_equal(error.message, requests[i].message);
        /* Nothing is sent for it, either. */
        struct outcome outcome = negotiate(&requests[i].request, "", 0, 1);
        assert_int_equal(outcome.progress, -EINVAL);
        assert_int_equal(outcome.sent.length, 0);
    }
    for (size_t i = 0; i < COUNT(successes); i++)
        assert_int_equal(proxy_check(&successes[i].request, NULL), 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (enum proxy_kind kind = PROXY_HTTP; kind <= PROXY_SOCKS5; kind++) {
        struct proxy_negotiation negotiation = {.request = {kind, "db", 80, "me", NULL}};
        struct buffer sent = {.failed = true};
        struct error error = {0};
        size_t taken = 7;
        assert_int_equal(proxy_step(&negotiation, NULL, 0, &taken, &sent, &error), -ENOMEM);
        assert_int_equal(error.code, ENOMEM);
        assert_int_equal(taken, 7);
    }
}

static const struct {
    const char *word;
    enum proxy_kind given;
    struct proxy_address proxy;
} words[] = {
    {"http://me:pw@proxy:8080", PROXY_NONE, {PROXY_HTTP, "proxy", 8080, "me", "pw", NULL}},
    {"http://proxy", PROXY_NONE, {PROXY_HTTP, "proxy", 3128, NULL, NULL, NULL}},
    {"HTTP://proxy/", PROXY_NONE, {PROXY_HTTP, "proxy", 3128, NULL, NULL, NULL}},
    {"socks5://proxy", PROXY_NONE, {PROXY_SOCKS5, "proxy", 1080, NULL, NULL, NULL}},
    {"socks5h://proxy:9", PROXY_NONE, {PROXY_SOCKS5, "proxy", 9, NULL, NULL, NULL}},
    {"socks4://me@proxy", PROXY_NONE, {PROXY_SOCKS4, "proxy", 1080, "me", NULL, NULL}},
    {"socks4a://proxy", PROXY_HTTP, {PROXY_SOCKS4, "proxy", 1080, NULL, NULL, NULL}},
    {"proxy", PROXY_NONE, {PROXY_HTTP, "proxy", 3128, NULL, NULL, NULL}},
    {"proxy:81", PROXY_NONE, {PROXY_HTTP, "proxy", 81, NULL, NULL, NULL}},
    {"proxy:socks", PROXY_SOCKS5, {PROXY_SOCKS5, "proxy", 1080, NULL, NULL, NULL}},
    {"127.0.0.1", PROXY_SOCKS4, {PROXY_SOCKS4, "127.0.0.1", 1080, NULL, NULL, NULL}},
    {"[::1]", PROXY_SOCKS5, {PROXY_SOCKS5, "::1", 1080, NULL, NULL, NULL}},
    {"me@[::1]:9", PROXY_SOCKS5, {PROXY_SOCKS5, "::1", 9, "me", NULL, NULL}},
    {"http://[fe80::1%lo]:9", PROXY_NONE, {PROXY_HTTP, "fe80::1%lo", 9, NULL, NULL, NULL}},
    {"socks5://m%65%3a:p%40%2Fw:%25@x",
     PROXY_NONE,
     {PROXY_SOCKS5, "x", 1080, "me:", "p@/w:%", NULL}},
    {"socks5://me:p@w@x", PROXY_NONE, {PROXY_SOCKS5, "x", 1080, "me", "p@w", NULL}},
    {"socks5://me:@x", PROXY_NONE, {PROXY_SOCKS5, "x", 1080, "me", "", NULL}},
    {"http://:pw@x", PROXY_NONE, {PROXY_HTTP, "x", 3128, "", "pw", NULL}},
    {"http://@x", PROXY_NONE, {PROXY_HTTP, "x", 3128, "", NULL, NULL}},
};

static void assert_text(const char *text, const char *expected)
{
    assert_int_equal(text != NULL, expected != NULL);
    if (expected)
        assert_string_equal(text, expected);
}

static void test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        struct error error = {0};
        struct proxy_address proxy;
        const char *word = guarded_copy(&guarded, words[i].word, strlen(words[i].word) + 1);
        if (proxy_parse(word, words[i].given, &proxy, &error) != 0)
            fail_msg("%s: %s", words[i].word, error.message);
        assert_int_equal(proxy.kind, words[i].proxy.kind);
        assert_string_equal(proxy.host, words[i].proxy.host);
        assert_int_equal(proxy.port, words[i].proxy.port);
        assert_text(proxy.user, words[i].proxy.user);
        assert_text(proxy.password, words[i].proxy.password);
        free(proxy.text);
    }
}

#define NO_PATH "a proxy ends with its port: it has no path"
#define ESCAPE "two hexadecimal digits follow '%', which itself is %25"

static void test_word_faults(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        size_t column;
        const char *message;
    } faults[] = {
        {"", 0, "a proxy is missing, such as socks5://localhost:1080"},
        {"socks6://x", 0, "no proxy is of this kind; did you mean 'socks4'?"},
        {"socks://x", 0, "no proxy is of this kind; did you mean 'socks4'?"},
        {"htp://x", 0, "no proxy is of this kind; did you mean 'http'?"},
        {"ftp-of-all-things://x", 0, "a proxy is of a kind: http, socks4 or socks5"},
        {"\x1b://x", 0, "a proxy is of a kind: http, socks4 or socks5"},
        {"://x", 0, "a proxy is of a kind: http, socks4 or socks5"},
        {"https://x", 0,
         "a proxy that is itself spoken to over TLS is not supported: http, socks4 and socks5 "
         "are"},
        {"http://", 7, "a host is missing: an address or a name"},
        {"http:///", 7, "a host is missing: an address or a name"},
        {"http://me@", 10, "a host is missing: an address or a name"},
        {"http://x/y", 8, NO_PATH},
        {"http://x?y", 8, NO_PATH},
        {"x#", 1, NO_PATH},
        {"http://x:", 9, "a port is missing: a number, or a service's name"},
        {"http://x:0", 9, "nobody can be reached at port 0"},
        {"http://x:65536", 9, "port 65536 is above 65535"},
        {"http://me:pw@x:99999", 15, "port 99999 is above 65535"},
        {"http://::1", 7, "an IPv6 address before a port stands in brackets, as in [::1]:80"},
        {"http://[::1", 11, "a ']' is missing after the IPv6 address"},
        {"http://x\r\ny", 8, "the byte 0x0d is no part of a host name"},
        {"http://*", 7, CHARACTERS},
        {"http://m%6@x", 8, ESCAPE},
        {"http://me:p%zz@x", 11, ESCAPE},
        {"http://me:%@x", 10, ESCAPE},
        {"http://me:%0%@x", 10, ESCAPE},
        {"http://m%00e@x", 8, "no user and no password has a NUL byte in it"},
    };
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct error error = {0};
        struct proxy_address proxy = {.port = 7};
        const char *word = guarded_copy(&guarded, faults[i].word, strlen(faults[i].word) + 1);
        if (proxy_parse(word, PROXY_NONE, &proxy, &error) != -EINVAL)
            fail_msg("%s is taken", faults[i].word);
        assert_string_equal(error.message, faults[i].message);
        assert_int_equal(error.column, faults[i].column);
        assert_int_equal(proxy.port, 7);
        assert_null(proxy.text);
    }
}

static void test_kind_names(void **state)
{
    (void)state;
    assert_string_equal(proxy_kind_name(PROXY_HTTP), "http");
    assert_string_equal(proxy_kind_name(PROXY_SOCKS4), "socks4");
    assert_string_equal(proxy_kind_name(PROXY_SOCKS5), "socks5");
}

static int open_guarded(void **state)
{
    (void)state;
    guarded = guarded_open(HEAD_LIMIT + 4096);
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
        cmocka_unit_test(test_successes),     cmocka_unit_test(test_prefixes_want_more),
        cmocka_unit_test(test_turns),         cmocka_unit_test(test_failures),
        cmocka_unit_test(test_head_limit),    cmocka_unit_test(test_checks),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_words),
        cmocka_unit_test(test_word_faults),   cmocka_unit_test(test_kind_names),
    };
    return cmocka_run_group_tests(tests, open_guarded, close_guarded);
}
