/* Requests however their bytes arrive, those that are refused, and the pages that answer. */
#include "base/clock.h"
#include "talk/http_page.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL (UINT64_C(1795228443) * NANOSECONDS_PER_SECOND) /* Sat, 21 Nov 2026 02:34:03 GMT */
#define HOST "Host: localhost\r\n"

/* ---- bytes behind which nothing can be read ---- */

static unsigned char *guard; /* the end of what can be read */

static int set_up(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *start =
        mmap(NULL, 17 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + 16 * page, page, PROT_NONE) != 0)
        return -1;
    guard = start + 16 * page;
    return 0;
}

/* Adds them in pieces of `step` bytes until a request is complete or refused. */
static int feed(struct http_reader *reader, const char *bytes, size_t length, size_t step,
                size_t *ret_taken, struct error *error)
{
    int result = HTTP_MORE;
    size_t at = 0;
    while (at < length && result == HTTP_MORE) {
        const size_t count = step < length - at ? step : length - at;
        size_t taken = SIZE_MAX;
        bool expects;
        memcpy(guard - count, bytes + at, count);
        result = http_reader_add(reader, guard - count, count, &taken, &expects, error);
        if (result < 0) {
            assert_true(taken == SIZE_MAX);
            break;
        }
        assert_true(taken == count || (taken < count && result == HTTP_COMPLETE));
        at += taken;
    }
    *ret_taken = at;
    return result;
}

static int feed_text(struct http_reader *reader, const char *text, struct error *error)
{
    size_t taken;
    return feed(reader, text, strlen(text), strlen(text), &taken, error);
}

/* ---- requests ---- */

static const struct {
    const char *request;
    size_t head; /* bytes of it */
    uint64_t body;
    bool keep_alive;
} requests[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", 35, 0, true},
    {"GET / HTTP/1.1\n"
     "Host: x\n\n",
     24, 0, true}, /* by hand, in nc */
    {"GET / HTTP/1.0\r\n\r\n", 18, 0, false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 42, 0, true},
    {"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", 49, 0, false},
    {"GET / HTTP/1.1\r\nConnection: te ,Close\r\n" HOST "\r\n", 58, 0, false},
    {"GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n" HOST "\r\n", 78, 0, false},
    {"GET / HTTP/1.1\r\nConnection: closed\r\n" HOST "\r\n", 55, 0, true},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 55, 5, true},
    {"POST / HTTP/1.1\r\n" HOST "content-length:0005\t \r\nContent-Length: 5\r\n\r\nhe\nlo", 78, 5,
     true},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 55, 0, true},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 64, 0, true},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n"
     "5\r\nhello\r\n00A;name=\"a value\" ; b\r\n0123456789\r\n000\r\nTrailer: x\r\nb: c\r\n\r\n",
     64, 15, true},
    {"!#$%&'*+-.^_`|~Az09 http://x/?a#b HTTP/1.1\r\nhOsT:\r\n\r\n", 53, 0, true},
    {"GET /\xc3\xbc HTTP/1.1\r\nHost: \xff\xfe\r\nA:\r\nB: \t c:\td \r\n\r\n", 46, 0, true},
};

#define REQUESTS (sizeof(requests) / sizeof(*requests))

static void assert_request(const struct http_reader *reader, size_t i)
{
    const size_t length = strlen(requests[i].request);
    assert_int_equal(reader->request.length, length);
    assert_memory_equal(reader->request.data, requests[i].request, length);
    assert_int_equal(reader->head_size, requests[i].head);
    assert_int_equal(reader->body_size, requests[i].body);
    assert_int_equal(reader->keep_alive, requests[i].keep_alive);
}

/* Whole, and in pieces of every size; what follows is left where it is. */
static void test_requests_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++) {
        const size_t length = strlen(requests[i].request);
        char text[512];
        snprintf(text, sizeof(text), "%sGET /next", requests[i].request);
        for (size_t step = 1; step <= length + 9; step++) {
            struct http_reader reader = {0};
            struct error error = {0};
            size_t taken;
            if (feed(&reader, text, length + 9, step, &taken, &error) != HTTP_COMPLETE)
                fail_msg("%s: %s", requests[i].request, error.message);
            assert_int_equal(taken, length);
            assert_request(&reader, i);
            http_reader_release(&reader);
        }
    }
}

static void test_prefixes_are_not_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++) {
        for (size_t length = 0; length < strlen(requests[i].request); length++) {
            struct http_reader reader = {0};
            size_t taken;
            assert_int_equal(feed(&reader, requests[i].request, length, 512, &taken, NULL),
                             HTTP_MORE);
            assert_int_equal(taken, length);
            http_reader_release(&reader);
        }
    }
}

/* All of them on one connection, with empty lines between. */
static void test_one_after_another(void **state)
{
    (void)state;
    struct http_reader reader = {0};
    for (size_t i = 0; i < REQUESTS; i++) {
        size_t taken;
        bool expects;
        assert_int_equal(feed_text(&reader, "\r\n\n\r\n", NULL), HTTP_MORE);
        assert_int_equal(feed_text(&reader, requests[i].request, NULL), HTTP_COMPLETE);
        assert_request(&reader, i);
        assert_int_equal(http_reader_add(&reader, "more", 4, &taken, &expects, NULL),
                         HTTP_COMPLETE);
        assert_int_equal(taken, 0);
        http_reader_next(&reader);
    }
    http_reader_release(&reader);
}

static void test_who_waits_is_asked_for_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool expects;
    } cases[] = {
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n", true},
        {"POST / HTTP/1.1\r\nExpect: 100-continue\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
         true},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nh", false},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: wonders\r\n\r\n", false},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", false},
        {"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct http_reader reader = {0};
        size_t taken;
        bool expects = !cases[i].expects;
        const char *request = cases[i].request;
        assert_true(http_reader_add(&reader, request, strlen(request), &taken, &expects, NULL) >=
                    0);
        assert_int_equal(expects, cases[i].expects);
        expects = true;
        assert_true(http_reader_add(&reader, "", 0, &taken, &expects, NULL) >= 0);
        assert_false(expects); /* once is enough */
        http_reader_release(&reader);
    }
}

/* ---- what is refused ---- */

#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *request;
    const char *message;
} faults[] = {
    /* Two ways to say where it ends. */
    {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "together"},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "together"},
    {POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "another Content-Length"},
    {POST "Content-Length: 5, 5\r\n\r\n", "a number of bytes"},
    {POST "Content-Length: +5\r\n\r\n", "a number of bytes"},
    {POST "Content-Length: -5\r\n\r\n", "a number of bytes"},
    {POST "Content-Length: 0x5\r\n\r\n", "a number of bytes"},
    {POST "Content-Length: 5 5\r\n\r\n", "a number of bytes"},
    {POST "Content-Length:\r\n\r\n", "a number of bytes"},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "chunked"},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked"},
    {POST "Transfer-Encoding: chunked, identity\r\n\r\n", "chunked"},
    {POST "Transfer-Encoding: xchunked\r\n\r\n", "chunked"},
    {POST "Transfer-Encoding:\r\n\r\n", "chunked"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"},
    /* Fields that are read in different ways. */
    {POST "Content-Length : 5\r\n\r\n", "a colon"},
    {POST "A: b\r\n c\r\n\r\n", "continues"},
    {POST "A: b\r\n\tContent-Length: 5\r\n\r\n", "continues"},
    {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", "continues"},
    {POST "no colon\r\n\r\n", "a colon"},
    {POST ": x\r\n\r\n", "a colon"},
    {POST "A\xc3\xbc: x\r\n\r\n", "a colon"},
    {POST "A: b\rContent-Length: 5\r\n\r\n", "control"},
    {POST "A: b\r\r\n\r\n", "control"},
    {POST "A: \x1b[m\r\n\r\n", "control"},
    {POST "A: \x7f\r\n\r\n", "control"},
    {"GET / HTTP/1.1\r\n\r\n", "a Host"},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "one Host"},
    {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "one Host"},
    /* Request lines; each is refused when it is there, and not after the head. */
    {"hello\n", "a method and one blank"},
    {"GET\r\n", "a method and one blank"},
    {"GET\t/ HTTP/1.1\r\n", "a method and one blank"},
    {" GET / HTTP/1.1\r\n", "a method and one blank"},
    {"G@T / HTTP/1.1\r\n", "a method and one blank"},
    {"GET \r\n", "what is asked for"},
    {"GET  / HTTP/1.1\r\n", "what is asked for"},
    {"GET /\r\n", "ends in the version"},
    {"GET / HTTP/1.1 \r\n", "the version"},
    {"GET /a b HTTP/1.1\r\n", "the version"},
    {"GET / HTTP/1.2\r\n", "the version"},
    {"GET / HTTP/1.10\r\n", "the version"},
    {"GET / http/1.1\r\n", "the version"},
    {"PRI * HTTP/2.0\r\n", "the version"},
    {"GET /\x1b[m HTTP/1.1\r\n", "control"},
    {"GET / HTTP/1.1\r\r\n", "control"},
    {"\rGET / HTTP/1.1\r\n", "control"},
    /* What never was a request. */
    {"\x16\x03\x01\x02", "TLS"},
    {"\x01", "not HTTP"},
    {"\xff\xfb", "not HTTP"},
    /* Chunks. */
    {CHUNKED "\r\n", "its size"},
    {CHUNKED ";a\r\n", "its size"},
    {CHUNKED "-1\r\n", "its size"},
    {CHUNKED "0x1\r\n", "ends in CR LF"},
    {CHUNKED "5\nhello", "ends in CR LF"},
    {CHUNKED "5\rhello", "without an LF"},
    {CHUNKED "5;a\nb\r\n", "of text"},
    {CHUNKED "5;\x7f\r\n", "of text"},
    {CHUNKED "5\r\nhelloo", "longer than its size"},
    {CHUNKED "5\r\nhello\n", "longer than its size"},
    {CHUNKED "5\r\nhello\r5", "without an LF"},
    {CHUNKED "0\r\nA: b\n", "of text"},
    {CHUNKED "0\r\n\rA", "without an LF"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        const size_t length = strlen(faults[i].request);
        for (size_t step = 1; step <= length; step += length - 1 ? length - 1 : 1) {
            struct http_reader reader = {0};
            struct error error = {0};
            size_t taken;
            if (feed(&reader, faults[i].request, length, step, &taken, &error) != -EPROTO)
                fail_msg("%s: was not refused", faults[i].request);
            assert_int_equal(error.code, EPROTO);
            if (!strstr(error.message, faults[i].message))
                fail_msg("%s: %s", faults[i].request, error.message);
            /* And nothing brings it back. */
            assert_int_equal(feed_text(&reader, requests[0].request, NULL), -EPROTO);
            http_reader_release(&reader);
        }
    }
}

static void test_heads_are_limited(void **state)
{
    (void)state;
    static char text[(64 << 10) + 1];
    const size_t limit = sizeof(text) - 1;
    const int begun = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%sLong: ", HOST);
    for (size_t more = 0; more < 2; more++) {
        for (size_t step = 1000; step <= 64000; step += 63000) {
            struct http_reader reader = {0};
            struct error error = {0};
            size_t taken;
            memset(text + begun, 'x', sizeof(text) - (size_t)begun);
            memcpy(text + limit + more - 4, "\r\n\r\n", 4);
            assert_int_equal(feed(&reader, text, limit + more, step, &taken, &error),
                             more ? -E2BIG : HTTP_COMPLETE);
            assert_int_equal(error.code, more ? E2BIG : 0);
            http_reader_release(&reader);
        }
    }
}

/* Adds `count` bytes of a body. */
static int feed_body(struct http_reader *reader, uint64_t count, struct error *error)
{
    static char zeroes[60000];
    int result = HTTP_MORE;
    while (count && result == HTTP_MORE) {
        size_t taken;
        const size_t piece = count < sizeof(zeroes) ? (size_t)count : sizeof(zeroes);
        result = feed(reader, zeroes, piece, piece, &taken, error);
        count -= piece;
    }
    return result;
}

/* The largest that is read; only its beginning is kept. */
static void test_large_bodies(void **state)
{
    (void)state;
    struct http_reader reader = {0};
    assert_int_equal(feed_text(&reader, POST "Content-Length: 16777216\r\n\r\n", NULL), HTTP_MORE);
    assert_int_equal(feed_body(&reader, (16 << 20) - 1, NULL), HTTP_MORE);
    assert_int_equal(feed_body(&reader, 1, NULL), HTTP_COMPLETE);
    assert_int_equal(reader.body_size, 16 << 20);
    assert_int_equal(reader.request.length - reader.head_size, 256 << 10);
    http_reader_next(&reader);
    assert_int_equal(feed_text(&reader, CHUNKED "fFffEE\r\n", NULL),
                     HTTP_MORE); /* 18 bytes short */
    assert_int_equal(feed_body(&reader, 0xffffee, NULL), HTTP_MORE);
    assert_int_equal(feed_text(&reader, "\r\n0\r\n\r\n", NULL), HTTP_COMPLETE);
    assert_int_equal(reader.body_size, 0xffffee);
    http_reader_release(&reader);
}

static void test_bodies_are_limited(void **state)
{
    (void)state;
    static const char *const lengths[] = {
        POST "Content-Length: 16777217\r\n\r\n",
        POST "Content-Length: 18446744073709551615\r\n\r\n",
        POST "Content-Length: 18446744073709551616\r\n\r\n",
        POST "Content-Length: 99999999999999999999999999999999\r\n\r\n",
        CHUNKED "1000001",
        CHUNKED "ffffffffffffffffffff",
    };
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct http_reader reader = {0};
        struct error error = {0};
        assert_int_equal(feed_text(&reader, lengths[i], &error), -EFBIG);
        assert_int_equal(error.code, EFBIG);
        http_reader_release(&reader);
    }
    /* In many chunks, and by what is around chunks alone. */
    struct http_reader reader = {0};
    int result = feed_text(&reader, CHUNKED, NULL);
    for (unsigned i = 0; i < 16 && result == HTTP_MORE; i++) {
        result = feed_text(&reader, "100000\r\n", NULL);
        if (result == HTTP_MORE)
            result = feed_body(&reader, 1 << 20, NULL);
        if (result == HTTP_MORE)
            result = feed_text(&reader, "\r\n", NULL);
    }
    assert_int_equal(result, -EFBIG);
    http_reader_release(&reader);
    result = feed_text(&reader, CHUNKED "1", NULL);
    for (unsigned i = 0; i < 3000000 && result == HTTP_MORE; i++)
        result = feed_text(&reader, ";name=", NULL);
    assert_int_equal(result, -EFBIG);
    http_reader_release(&reader);
}

/* ---- pages ---- */

static const struct peer us = {
    .kind = PEER_INTERNET, .address = {.family = ADDRESS_IPV4, .value = 0x7f000001}, .port = 8080};
static const struct peer them = {
    .kind = PEER_INTERNET, .address = {.family = ADDRESS_IPV4, .value = 0x7f000001}, .port = 43210};

/* The answer to a request. */
static void answer_to(const char *request, size_t length, struct buffer *answer)
{
    struct http_reader reader = {0};
    struct error error = {0};
    size_t taken;
    if (feed(&reader, request, length, length, &taken, &error) != HTTP_COMPLETE)
        fail_msg("%s", error.message);
    buffer_clear(answer);
    http_page_add(answer, &reader, &them, &us, WALL);
    assert_false(answer->failed);
    http_reader_release(&reader);
}

static void answer_to_text(const char *request, struct buffer *answer)
{
    answer_to(request, strlen(request), answer);
}

/* Behind the head, whose Content-Length must be right. */
static const char *content_of(const struct buffer *answer)
{
    const char *length = strstr(answer->data, "\r\nContent-Length: ");
    const char *content = strstr(answer->data, "\r\n\r\n");
    assert_non_null(length);
    assert_non_null(content);
    assert_true(length < content);
    content += 4;
    assert_int_equal(strtoul(length + 18, NULL, 10), answer->data + answer->length - content);
    return content;
}

static void assert_contains(const struct buffer *answer, const char *text)
{
    if (!strstr(answer->data, text))
        fail_msg("%s\n… has no\n%s", answer->data, text);
}

static void assert_lacks(const struct buffer *answer, const char *text)
{
    if (memmem(answer->data, answer->length, text, strlen(text)))
        fail_msg("%s\n… has\n%s", answer->data, text);
}

static void test_a_page_for_terminals(void **state)
{
    (void)state;
    struct buffer answer = {0};
    answer_to_text("POST /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n"
                   "Accept: */*\r\nContent-Length: 12\r\n\r\nb\\c\t\x1b[31m<b>",
                   &answer);
    content_of(&answer);
    assert_string_equal(answer.data, "HTTP/1.1 200 OK\r\n"
                                     "Date: Sat, 21 Nov 2026 02:34:03 GMT\r\n"
                                     "Content-Type: text/plain; charset=utf-8\r\n"
                                     "Content-Length: 204\r\n"
                                     "Cache-Control: no-store\r\n"
                                     "Vary: Accept\r\n"
                                     "X-Content-Type-Options: nosniff\r\n"
                                     "Content-Security-Policy: default-src 'none'; "
                                     "style-src 'unsafe-inline'; img-src data:\r\n"
                                     "Connection: keep-alive\r\n"
                                     "\r\n"
                                     "from  127.0.0.1:43210\n"
                                     "to    127.0.0.1:8080\n"
                                     "time  2026-11-21T02:34:03.000Z\n"
                                     "body  12 bytes\n"
                                     "\n"
                                     "POST /a?b=c HTTP/1.1\n"
                                     "Host: localhost:8080\n"
                                     "User-Agent: curl/7.88.1\n"
                                     "Accept: */*\n"
                                     "Content-Length: 12\n"
                                     "\n"
                                     "b\\c\t\\x1b[31m<b>\n");
    buffer_release(&answer);
}

static void test_a_page_for_browsers(void **state)
{
    (void)state;
    struct buffer answer = {0};
    answer_to_text("POST /<script>?a='\"& HTTP/1.0\r\nAccept: text/html,*/*;q=0.8\r\n"
                   "X-A: <b>\xff\xc3\xbc</b>\r\nContent-Length: 7\r\n\r\n</pre>\n",
                   &answer);
    const char *content = content_of(&answer);
    assert_memory_equal(content, "<!doctype html>\n", 16);
    assert_contains(&answer, "\r\nContent-Type: text/html; charset=utf-8\r\n");
    assert_contains(&answer, "\r\nConnection: close\r\n");
    assert_contains(&answer, "<title>POST /&lt;script&gt;?a=&#39;&quot;&amp;</title>");
    assert_contains(&answer, "<h1><b>POST</b> /&lt;script&gt;?a=&#39;&quot;&amp;</h1>");
    assert_contains(&answer, "<tr><th scope=\"row\">from</th><td>127.0.0.1:43210</td></tr>\n"
                             "<tr><th scope=\"row\">to</th><td>127.0.0.1:8080</td></tr>\n"
                             "<tr><th scope=\"row\">time</th><td>2026-11-21T02:34:03.000Z</td>"
                             "</tr>\n<tr><th scope=\"row\">body</th><td>7 bytes</td></tr>\n");
    assert_contains(&answer, "<pre><strong>POST /&lt;script&gt;?a=&#39;&quot;&amp; "
                             "HTTP/1.0</strong>\n"
                             "<b>Accept</b>: text/html,*/*;q=0.8\n"
                             "<b>X-A</b>: &lt;b&gt;\\xff\xc3\xbc&lt;/b&gt;\n"
                             "<b>Content-Length</b>: 7\n</pre>");
    assert_contains(&answer, "<h2>Body</h2>\n<pre>\n&lt;/pre&gt;\n</pre>");
    assert_lacks(&answer, "<script");
    buffer_release(&answer);
}

/* Only to who says so. */
static void test_who_is_a_browser(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool html;
    } cases[] = {
        {"Accept: text/html\r\n", true},
        {"accept:application/xml , Text/HTML ;q=0.9, */*\r\n", true},
        {"Accept: text/html;level=1;q=0.001\r\n", true},
        {"Accept: a/b\r\nAccept: text/html\r\n", true},
        {"Accept: text/html; q=0\r\n", false},
        {"Accept: text/html;Q=0.00\r\n", false},
        {"Accept: */*\r\n", false},
        {"Accept: text/htmlx, xtext/html, text/plain\r\n", false},
        {"Accept: ,;,\r\n", false},
        {"Accept-Language: text/html\r\n", false},
        {"", false},
    };
    struct buffer answer = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char request[256];
        snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n" HOST "%s\r\n", cases[i].accept);
        answer_to_text(request, &answer);
        if (!strstr(answer.data, "\r\nContent-Type: text/html;") == cases[i].html)
            fail_msg("%s", cases[i].accept);
        assert_int_equal(strncmp(content_of(&answer), "<!doctype", 9) == 0, cases[i].html);
    }
    buffer_release(&answer);
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    struct buffer head = {0}, get = {0};
    answer_to_text("HEAD / HTTP/1.1\r\n" HOST "\r\n", &head);
    answer_to_text("GET0 / HTTP/1.1\r\n" HOST "\r\n", &get);
    const size_t length = (size_t)(content_of(&get) - get.data);
    assert_int_equal(head.length, length);
    assert_memory_equal(head.data, get.data, length); /* the same Content-Length */
    assert_contains(&get, "\nbody  none\n");
    buffer_release(&head);
    buffer_release(&get);
}

/* A 200 would make a tunnel of the connection. */
static void test_connect_is_not_agreed_to(void **state)
{
    (void)state;
    struct buffer answer = {0};
    answer_to_text("CONNECT db:5432 HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_memory_equal(answer.data, "HTTP/1.1 501 Not Implemented\r\n", 30);
    assert_non_null(strstr(content_of(&answer), "CONNECT db:5432 HTTP/1.1\nHost: localhost\n"));
    buffer_release(&answer);
}

/* What is no text is dumped, with its chunks. */
static void test_binary_bodies(void **state)
{
    (void)state;
    struct buffer answer = {0};
    static const char request[] = CHUNKED "4\r\n\0\1\xff\x1b\r\n0\r\n\r\n";
    answer_to(request, sizeof(request) - 1, &answer);
    assert_non_null(strstr(content_of(&answer),
                           "\nbody  4 bytes, in chunks\n\nPOST / HTTP/1.1\nHost: localhost\n"
                           "Transfer-Encoding: chunked\n\n"
                           "00000000  34 0d 0a 00 01 ff 1b 0d  0a 30 0d 0a 0d 0a        "
                           "|4........0....|\n"));
    buffer_release(&answer);
}

static void test_bodies_of_which_a_part_is_shown(void **state)
{
    (void)state;
    struct http_reader reader = {0};
    struct buffer answer = {0};
    assert_int_equal(feed_text(&reader, POST "Content-Length: 1000000\r\n\r\n", NULL), HTTP_MORE);
    assert_int_equal(feed_body(&reader, 1000000, NULL), HTTP_COMPLETE); /* zeroes: a dump */
    http_page_add(&answer, &reader, &them, &us, WALL);
    assert_contains(&answer, "\nbody  1,000,000 bytes\n");
    assert_contains(&answer, "\n00003ff0  00 ");
    assert_lacks(&answer, "\n00004000  00 ");
    assert_contains(&answer, "|\n... and 983616 bytes more\n");
    content_of(&answer);
    memset(reader.request.data + reader.head_size, 'x', reader.request.length - reader.head_size);
    buffer_clear(&answer);
    http_page_add(&answer, &reader, &them, &us, WALL);
    assert_contains(&answer, "xxx\n... and 737856 bytes more\n");
    buffer_release(&answer);
    http_reader_release(&reader);
}

/* Whatever the bytes, nothing of them gets into the head or controls a terminal. */
static void test_pages_are_harmless(void **state)
{
    (void)state;
    struct buffer answer = {0};
    for (unsigned byte = 1; byte < 256; byte++) {
        char request[256];
        const int head = snprintf(request, sizeof(request),
                                  "POST /%c HTTP/1.1\r\n" HOST "A: %c%s"
                                  "\r\nContent-Length: 2\r\n\r\n",
                                  byte > ' ' && byte != 0x7f ? (int)byte : '-',
                                  byte > ' ' && byte != 0x7f ? (int)byte : '-',
                                  byte & 1 ? "\r\nAccept: text/html" : "");
        request[head] = (char)byte;
        request[head + 1] = '<';
        answer_to(request, (size_t)head + 2, &answer);
        const char *content = content_of(&answer);
        char before[1024];
        snprintf(before, sizeof(before), "%.*s", (int)(content - answer.data), answer.data);
        assert_null(strstr(before, "POST"));
        for (const char *at = content; *at; at++)
            assert_true(*at == '\n' || *at == '\t' || (unsigned char)*at >= 0x20);
        assert_null(strchr(content, 0x7f));
    }
    buffer_release(&answer);
}

static void test_peers_of_other_kinds(void **state)
{
    (void)state;
    struct http_reader reader = {0};
    struct buffer answer = {0};
    const struct peer nobody = {0}, path = {.kind = PEER_UNIX, .path = "/run/\x1b<x>"};
    assert_int_equal(feed_text(&reader, "GET / HTTP/1.1\r\n" HOST "\r\n", NULL), HTTP_COMPLETE);
    http_page_add(&answer, &reader, &nobody, &path, WALL);
    const char *expected = "to    unix:/run/\\x1b<x>\ntime  ";
    assert_memory_equal(content_of(&answer), expected, strlen(expected));
    buffer_release(&answer);
    http_reader_release(&reader);
}

static void test_answers_to_faults(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *line;
    } cases[] = {{-EPROTO, "HTTP/1.1 400 Bad Request\r\n"},
                 {-E2BIG, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
                 {-EFBIG, "HTTP/1.1 413 Content Too Large\r\n"},
                 {-ENOMEM, "HTTP/1.1 503 Service Unavailable\r\n"}};
    struct buffer answer = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct error error = {0};
        error_set(&error, -cases[i].code, "be%ccause", 0x1b);
        http_fault_add(&answer, cases[i].code, &error);
        assert_memory_equal(answer.data, cases[i].line, strlen(cases[i].line));
        assert_contains(&answer, "\r\nDate: ");
        assert_contains(&answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
        assert_contains(&answer, "\r\nConnection: close\r\n\r\n");
        assert_non_null(strstr(content_of(&answer), "\n\nbe\\x1bcause\n"));
        buffer_clear(&answer);
    }
    http_fault_add(&answer, -EPROTO, NULL);
    assert_string_equal(content_of(&answer), "400 Bad Request\n");
    buffer_release(&answer);
}

/* The line and the place in it, as it would be shown on the command line. */
static void test_faults_are_shown(void **state)
{
    (void)state;
    struct http_reader reader = {0};
    struct error error = {0};
    struct buffer answer = {0};
    assert_int_equal(feed_text(&reader, "GET /\x1b HTTP/1.1\r\n", &error), -EPROTO);
    http_fault_add(&answer, -EPROTO, &error);
    assert_string_equal(content_of(&answer), "400 Bad Request\n\n"
                                             "a request has no control characters\n\n"
                                             "    GET /? HTTP/1.1\n"
                                             "         ^\n");
    buffer_release(&answer);
    http_reader_release(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_in_any_pieces),
        cmocka_unit_test(test_prefixes_are_not_complete),
        cmocka_unit_test(test_one_after_another),
        cmocka_unit_test(test_who_waits_is_asked_for_the_body),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_heads_are_limited),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_bodies_are_limited),
        cmocka_unit_test(test_a_page_for_terminals),
        cmocka_unit_test(test_a_page_for_browsers),
        cmocka_unit_test(test_who_is_a_browser),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_connect_is_not_agreed_to),
        cmocka_unit_test(test_binary_bodies),
        cmocka_unit_test(test_bodies_of_which_a_part_is_shown),
        cmocka_unit_test(test_pages_are_harmless),
        cmocka_unit_test(test_peers_of_other_kinds),
        cmocka_unit_test(test_answers_to_faults),
        cmocka_unit_test(test_faults_are_shown),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
