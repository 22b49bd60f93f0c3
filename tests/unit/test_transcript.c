/* What was said: the exact lines of hex views and records, and records read back. */
#include "base/clock.h"
#include "talk/transcript.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL (UINT64_C(1795228443) * NANOSECONDS_PER_SECOND) /* 2026-11-21 02:34:03 UTC */
#define TIME "\"time\":\"2026-11-21T02:34:03.000Z\""

static void expect(struct buffer *lines, const char *text)
{
    assert_false(lines->failed);
    assert_string_equal(lines->data, text);
    buffer_release(lines);
}

/* ---- hex ---- */

static void test_hex_lines(void **state)
{
    (void)state;
    struct hex_view view = {.mark = true};
    struct buffer lines = {0};
    hex_view_add(&view, PAIR_FORTH, "GET / HTTP/1.1\r\n", 16, &lines);
    expect(&lines, "> 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  "
                   "|GET / HTTP/1.1..|\n");
    hex_view_add(&view, PAIR_FORTH, "A: \x7f\xff~ !\r\n\r\n0123456789", 22, &lines);
    expect(&lines, "> 00000010  41 3a 20 7f ff 7e 20 21  0d 0a 0d 0a 30 31 32 33  "
                   "|A: ..~ !....0123|\n"
                   "> 00000020  34 35 36 37 38 39                                 |456789|\n");
}

/* Each direction counts for itself, and a line that is not full is not waited for. */
static void test_hex_directions(void **state)
{
    (void)state;
    struct hex_view view = {.mark = true};
    struct buffer lines = {0};
    hex_view_add(&view, PAIR_FORTH, "abc", 3, &lines);
    hex_view_add(&view, PAIR_BACK, "", 0, &lines);
    hex_view_add(&view, PAIR_BACK, "123456789", 9, &lines);
    hex_view_add(&view, PAIR_FORTH, "d", 1, &lines);
    expect(&lines, "> 00000000  61 62 63                                          |abc|\n"
                   "< 00000000  31 32 33 34 35 36 37 38  39                       |123456789|\n"
                   "> 00000003  64                                                |d|\n");
}

static void test_hex_without_marks_and_far_on(void **state)
{
    (void)state;
    struct hex_view view = {.offset = {[PAIR_BACK] = UINT64_C(0xffffffff)}};
    struct buffer lines = {0};
    hex_view_add(&view, PAIR_BACK, "x", 1, &lines);
    hex_view_add(&view, PAIR_BACK, "y", 1, &lines);
    expect(&lines, "ffffffff  78                                                |x|\n"
                   "100000000  79                                                |y|\n");
}

/* ---- data ---- */

static void test_data_lines(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *said; /* what stands behind the length */
    } cases[] = {
        {"", 0, "0,\"text\":\"\""},
        {"hello\r\n", 7, "7,\"text\":\"hello\\r\\n\""},
        {"\t\"\\/", 4, "4,\"text\":\"\\t\\\"\\\\/\""},
        {"gr\xc3\xbc\xc3\x9f", 6, "6,\"text\":\"gr\\u00FC\\u00DF\""},
        {"\xe2\x82\xac", 3, "3,\"text\":\"\\u20AC\""},
        {"\xf0\x9f\x90\x87", 4, "4,\"text\":\"\\uD83D\\uDC07\""},
        {"\xf4\x8f\xbf\xbf", 4, "4,\"text\":\"\\uDBFF\\uDFFF\""},
        {"\xe2\x80\xae!", 4, "4,\"text\":\"\\u202E!\""}, /* ASCII turns nothing around */
        {"\0", 1, "1,\"base64\":\"AA==\""},
        {"a\x1b[m", 4, "4,\"base64\":\"YRtbbQ==\""},
        {"\x7f\x7f", 2, "2,\"base64\":\"f38=\""},
        {"\xc2\x9b", 2, "2,\"base64\":\"wps=\""},                     /* a C1 control */
        {"\xe2\x82", 2, "2,\"base64\":\"4oI=\""},                     /* cut in two */
        {"\xed\xa0\x80", 3, "3,\"base64\":\"7aCA\""},                 /* half a pair */
        {"\xc0\xaf", 2, "2,\"base64\":\"wK8=\""},                     /* too long a form */
        {"\xff\xfe\xfd\xfb\xef\xbe", 6, "6,\"base64\":\"//79++++\""}, /* + and / */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buffer lines = {0}, line = {0};
        transcript_add_data(&lines, WALL, 0, PAIR_FORTH, cases[i].bytes, cases[i].length);
        buffer_add_format(&line,
                          "{\"type\":\"data\"," TIME ",\"direction\":\"sent\",\"length\":%s}\n",
                          cases[i].said);
        expect(&lines, line.data);
        buffer_release(&line);
    }
}

static void test_data_says_whose(void **state)
{
    (void)state;
    struct buffer lines = {0};
    transcript_add_data(&lines, WALL + 7 * NANOSECONDS_PER_MILLISECOND, 12, PAIR_BACK, "ok", 2);
    transcript_add_data(&lines, WALL, 1, PAIR_FORTH, "no", 2);
    expect(&lines, "{\"type\":\"data\",\"time\":\"2026-11-21T02:34:03.007Z\",\"connection\":12,"
                   "\"direction\":\"received\",\"length\":2,\"text\":\"ok\"}\n"
                   "{\"type\":\"data\"," TIME ",\"connection\":1,"
                   "\"direction\":\"sent\",\"length\":2,\"text\":\"no\"}\n");
}

/* ---- reading ---- */

static int read_line(const char *line, struct transcript_data *data, struct buffer *bytes,
                     struct error *error)
{
    /* Exactly as long as the line is, so that a sanitizer sees who reads on. */
    size_t length = strlen(line);
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, line, length);
    int result = transcript_read(copy, length, data, bytes, error);
    free(copy);
    return result;
}

/* All 256 bytes, in each length up to a few groups of base64, come back. */
static void test_data_comes_back(void **state)
{
    (void)state;
    struct buffer lines = {0}, bytes = {0};
    unsigned char said[256];
    for (unsigned i = 0; i < sizeof(said); i++)
        said[i] = (unsigned char)i;
    for (unsigned from = 0; from < sizeof(said); from++) {
        for (unsigned length = 0; length < 8 && from + length <= sizeof(said); length++) {
            struct transcript_data data;
            transcript_add_data(&lines, WALL, from, PAIR_BACK, said + from, length);
            assert_int_equal(transcript_read(lines.data, lines.length, &data, &bytes, NULL), 0);
            assert_int_equal(data.direction, PAIR_BACK);
            assert_int_equal(data.wall, WALL);
            assert_int_equal(data.number, from);
            assert_int_equal(bytes.length, length);
            if (length)
                assert_memory_equal(bytes.data, said + from, length);
            buffer_clear(&lines);
            buffer_clear(&bytes);
        }
    }
    buffer_release(&lines);
    buffer_release(&bytes);
}

/* By hand, or by other programs. */
static void test_lines_of_others(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *bytes;
        size_t length;
        uint64_t wall, number;
    } cases[] = {
        {"{\"type\":\"data\",\"direction\":\"sent\",\"text\":\"x\"}", "x", 1, 0, 0},
        {" { \"text\" : \"x\\u0000\\ud83d\\udc07\" , \"direction\" : \"sent\" , \"type\" : "
         "\"data\" } ",
         "x\0\xf0\x9f\x90\x87", 6, 0, 0},
        {"{\"type\":\"data\",\"direction\":\"sent\",\"base64\":\"\"}\r\n", "", 0, 0, 0},
        {"{\"type\":\"data\",\"direction\":\"sent\",\"text\":\"\xc3\xbc\",\"later\":[1,{}]}",
         "\xc3\xbc", 2, 0, 0},
        {"{\"type\":\"data\",\"time\":\"1970-01-01T00:00:00.001Z\",\"connection\":9007199254740993,"
         "\"direction\":\"sent\",\"text\":\"\"}",
         "", 0, 1000000, 9007199254740993},
        {"{\"type\":\"data\",\"time\":\"2554-07-21T23:34:32.999Z\",\"direction\":\"sent\",\"text\":"
         "\"\"}",
         "", 0, UINT64_C(18446744072999000000), 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct transcript_data data;
        struct error error = {0};
        struct buffer bytes = {0};
        buffer_add_text(&bytes, "before");
        if (read_line(cases[i].line, &data, &bytes, &error) != 0)
            fail_msg("%s: %s", cases[i].line, error.message);
        assert_int_equal(bytes.length, 6 + cases[i].length);
        assert_memory_equal(bytes.data + 6, cases[i].bytes, cases[i].length);
        assert_int_equal(data.direction, PAIR_FORTH);
        assert_int_equal(data.wall, cases[i].wall);
        assert_int_equal(data.number, cases[i].number);
        buffer_release(&bytes);
    }
}

static void test_other_records_are_passed_over(void **state)
{
    (void)state;
    struct transcript_data data = {.number = 7};
    struct buffer bytes = {0};
    struct error error = {0};
    assert_int_equal(read_line("{\"type\":\"end\"}", &data, &bytes, &error), 1);
    assert_int_equal(read_line("{\"type\":\"\",\"text\":1}", &data, &bytes, &error), 1);
    assert_int_equal(data.number, 7);
    assert_int_equal(error.code, 0);
    assert_null(bytes.data);
}

#define DATA "{\"type\":\"data\",\"direction\":\"sent\","

/* The line, where the caret stands (-1: anywhere) and a part of the message. */
static const struct {
    const char *line;
    int column;
    const char *message;
} faults[] = {
    {"", -1, "not JSON"},
    {"\n", -1, "not JSON"},
    {"{\"type\":\"data\",\"direction\":\"se", -1, "not JSON"},
    {"{\"type\":\"data\"}{}", -1, "not JSON"},
    {"{\"type\":\"data\",\"type\":\"end\"}", -1, "not JSON"},
    {"[]", 0, "an object with a type"},
    {"{}", 0, "an object with a type"},
    {"{\"a\":1,\"type\":2}", 7, "an object with a type"},
    {"{\"type\":\"data\",\"text\":\"\"}", 0, "a direction"},
    {"{\"type\":\"data\",\"text\":\"\",\"direction\":\"up\"}", 25, "a direction"},
    {"{\"type\":\"data\",\"text\":\"\",\"direction\":null}", 25, "a direction"},
    {DATA "\"length\":0}", 0, "either text or base64"},
    {DATA "\"text\":1}", 34, "either text or base64"},
    {DATA "\"text\":null,\"base64\":\"\"}", 34, "either text or base64"},
    {DATA "\"text\":\"\",\"base64\":\"\"}", 34, "either text or base64"},
    {DATA "\"base64\":\"A\"}", 34, "not base64"},
    {DATA "\"base64\":\"AA\"}", 34, "not base64"},
    {DATA "\"base64\":\"AA=\"}", 34, "not base64"},
    {DATA "\"base64\":\"A===\"}", 34, "not base64"},
    {DATA "\"base64\":\"====\"}", 34, "not base64"},
    {DATA "\"base64\":\"AA==AAAA\"}", 34, "not base64"},
    {DATA "\"base64\":\"AAAAAA=A\"}", 34, "not base64"},
    {DATA "\"base64\":\"AB==\"}", 34, "not base64"}, /* bits that belong to nothing */
    {DATA "\"base64\":\"AAB=\"}", 34, "not base64"},
    {DATA "\"base64\":\"A-_A\"}", 34, "not base64"},
    {DATA "\"base64\":\"AAA\\n\"}", 34, "not base64"},
    {DATA "\"length\":2,\"text\":\"x\"}", 34, "the length"},
    {DATA "\"length\":-1,\"text\":\"x\"}", 34, "the length"},
    {DATA "\"length\":1.0,\"text\":\"x\"}", 34, "the length"},
    {DATA "\"length\":\"1\",\"text\":\"x\"}", 34, "the length"},
    {DATA "\"connection\":0,\"text\":\"\"}", 34, "from 1"},
    {DATA "\"connection\":-3,\"text\":\"\"}", 34, "from 1"},
    {DATA "\"connection\":\"1\",\"text\":\"\"}", 34, "from 1"},
    {DATA "\"connection\":99999999999999999999,\"text\":\"\"}", -1, "not JSON"},
    {DATA "\"time\":1,\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"2026-11-21\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"2026-11-21 02:34:03.000Z\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"2026-11-31T02:34:03.000Z\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"2026-00-21T02:34:03.000Z\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"2026-11-21T24:34:03.000Z\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"2026-11-21T02:34:60.000Z\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"1969-12-31T23:59:59.000Z\",\"text\":\"\"}", 34, "a time looks like"},
    {DATA "\"time\":\"9999-12-31T23:59:59.000Z\",\"text\":\"\"}", 34, "a time looks like"},
};

static void test_faults_are_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        struct transcript_data data = {.number = 7};
        struct buffer bytes = {0};
        struct error error = {0};
        buffer_add_text(&bytes, "before");
        assert_int_equal(read_line(faults[i].line, &data, &bytes, &error), -EINVAL);
        assert_int_equal(error.code, EINVAL);
        if (!strstr(error.message, faults[i].message))
            fail_msg("%s: %s", faults[i].line, error.message);
        if (faults[i].column >= 0 && error.column != (size_t)faults[i].column)
            fail_msg("%s: column %zu", faults[i].line, error.column);
        assert_true(error.column <= strlen(error.text));
        assert_int_equal(data.number, 7);
        assert_string_equal(bytes.data, "before"); /* nothing was added by half */
        assert_int_equal(bytes.length, 6);
        buffer_release(&bytes);
    }
}

/* A line that ends anywhere is no record, and what a message quotes of it is harmless. */
static void test_cut_and_hostile_lines(void **state)
{
    (void)state;
    static const char line[] =
        "{\"type\":\"data\"," TIME ",\"connection\":1,\"direction\":\"sent\","
        "\"length\":4,\"base64\":\"YRtbbQ==\"}";
    char cut[sizeof(line)];
    struct transcript_data data;
    struct buffer bytes = {0};
    struct error error = {0};
    for (size_t length = 0; length < sizeof(line) - 1; length++) {
        memcpy(cut, line, length);
        cut[length] = '\0';
        assert_int_equal(read_line(cut, &data, &bytes, NULL), -EINVAL);
    }
    assert_int_equal(read_line(line, &data, &bytes, NULL), 0);
    assert_int_equal(read_line("{\"type\":\x1b[31mred", &data, &bytes, &error), -EINVAL);
    assert_null(strchr(error.message, '\x1b'));
    char *deep = malloc(100000);
    assert_non_null(deep);
    memset(deep, '[', 100000);
    assert_int_equal(transcript_read(deep, 100000, &data, &bytes, NULL), -EINVAL);
    free(deep);
    buffer_release(&bytes);
}

/* ---- the records around it ---- */

static struct peer internet(uint32_t address, uint16_t port)
{
    return (struct peer){
        .kind = PEER_INTERNET, .address = {.family = ADDRESS_IPV4, .value = address}, .port = port};
}

static void test_connections(void **state)
{
    (void)state;
    struct buffer lines = {0};
    struct transcript_connection connection = {.protocol = "tcp",
                                               .local = internet(0x7f000001, 43210),
                                               .remote = internet(0x7f000002, 8080),
                                               .name = "local\"host"};
    transcript_add_connection(&lines, WALL, &connection);
    expect(&lines, "{\"type\":\"connection\"," TIME ",\"role\":\"dialled\",\"protocol\":\"tcp\","
                   "\"local\":\"127.0.0.1:43210\",\"remote\":\"127.0.0.2:8080\","
                   "\"name\":\"local\\\"host\"}\n");
    connection =
        (struct transcript_connection){.number = 3,
                                       .accepted = true,
                                       .protocol = "unix",
                                       .local = {.kind = PEER_UNIX, .path = "/run/\xff\x1b"},
                                       .name = ""};
    transcript_add_connection(&lines, WALL, &connection);
    expect(&lines, "{\"type\":\"connection\"," TIME ",\"connection\":3,\"role\":\"accepted\","
                   "\"protocol\":\"unix\",\"local\":\"unix:/run/\\\\xff\\\\x1b\"}\n");
}

static void test_connections_with_tls(void **state)
{
    (void)state;
    static const struct tls_description tls = {
        .protocol = "TLSv1.3",
        .cipher = "TLS_AES_256_GCM_SHA384",
        .group = "X25519",
        .alpn = "h2",
        .verdict = "self-signed certificate",
        .chain = {{.subject = "CN=a\x7f\n",
                   .issuer = "CN=gr\xc3\xbc\xc3\x9f",
                   .names = "DNS:a",
                   .from = WALL,
                   .until = WALL + NANOSECONDS_PER_SECOND,
                   .fingerprint = "AB:CD"},
                  {.until = WALL}},
        .count = 2,
    };
    const struct transcript_connection connection = {.protocol = "tls", .tls = &tls};
    struct buffer lines = {0};
    transcript_add_connection(&lines, WALL, &connection);
    expect(&lines,
           "{\"type\":\"connection\"," TIME ",\"role\":\"dialled\",\"protocol\":\"tls\",\"tls\":{"
           "\"protocol\":\"TLSv1.3\",\"cipher\":\"TLS_AES_256_GCM_SHA384\",\"group\":\"X25519\","
           "\"alpn\":\"h2\",\"verified\":false,\"verdict\":\"self-signed certificate\","
           "\"certificates\":[{\"subject\":\"CN=a\\u007F\\n\",\"issuer\":\"CN=gr\\u00FC\\u00DF\","
           "\"names\":\"DNS:a\",\"not_before\":\"2026-11-21T02:34:03.000Z\","
           "\"not_after\":\"2026-11-21T02:34:04.000Z\",\"fingerprint_sha256\":\"AB:CD\"},"
           "{\"subject\":\"\",\"issuer\":\"\",\"not_before\":\"1970-01-01T00:00:00.000Z\","
           "\"not_after\":\"2026-11-21T02:34:03.000Z\",\"fingerprint_sha256\":\"\"}]}}\n");
}

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        uint64_t nanoseconds;
        const char *text;
    } durations[] = {{0, "0.0"},
                     {999, "0.0"},
                     {1000, "0.000001"},
                     {1500000000, "1.5"},
                     {UINT64_C(61000100000), "61.0001"}};
    static const char *const outcomes[] = {[PAIR_ENDED] = "ended",
                                           [PAIR_CLOSED] = "closed",
                                           [PAIR_IDLE] = "idle",
                                           [PAIR_FAILED] = "failed"};
    struct buffer lines = {0}, line = {0};
    for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        const enum pair_outcome outcome = i < PAIR_FAILED ? (enum pair_outcome)i : PAIR_ENDED;
        transcript_add_end(&lines, WALL,
                           &(struct transcript_end){.outcome = outcome,
                                                    .error = &(struct error){0},
                                                    .sent = 5,
                                                    .received = UINT64_MAX,
                                                    .duration = durations[i].nanoseconds});
        buffer_add_format(&line,
                          "{\"type\":\"end\"," TIME ",\"outcome\":\"%s\",\"sent\":5,"
                          "\"received\":18446744073709551615,\"duration_s\":%s}\n",
                          outcomes[outcome], durations[i].text);
        expect(&lines, line.data);
        buffer_clear(&line);
    }
    buffer_release(&line);
}

static void test_ends_that_failed(void **state)
{
    (void)state;
    struct buffer lines = {0};
    struct error error = {.code = ECONNRESET};
    struct transcript_end end = {.number = 2, .outcome = PAIR_FAILED, .error = &error};
    transcript_add_end(&lines, WALL, &end);
    strcpy(error.message, "it hung up");
    transcript_add_end(&lines, WALL, &end);
    error.code = 99999;
    end.error = NULL;
    transcript_add_end(&lines, WALL, &end);
#define FAILED "{\"type\":\"end\"," TIME ",\"connection\":2,\"outcome\":\"failed\","
#define ZEROES "\"sent\":0,\"received\":0,\"duration_s\":0.0}\n"
    expect(&lines,
           FAILED "\"error\":\"ECONNRESET\",\"message\":\"Connection reset by peer\"," ZEROES FAILED
                  "\"error\":\"ECONNRESET\",\"message\":\"it hung up\"," ZEROES FAILED ZEROES);
}

static void test_listening_and_denied(void **state)
{
    (void)state;
    struct buffer lines = {0};
    const struct peer peer = internet(0x7f000001, 80);
    transcript_add_listening(&lines, WALL, &peer, "udp");
    transcript_add_denied(&lines, WALL, &peer, "by --deny");
    transcript_add_denied(&lines, WALL, &(struct peer){0}, "no PROXY header");
    expect(&lines,
           "{\"type\":\"listening\"," TIME ",\"local\":\"127.0.0.1:80\",\"protocol\":\"udp\"}\n"
           "{\"type\":\"denied\"," TIME ",\"remote\":\"127.0.0.1:80\",\"reason\":\"by --deny\"}\n"
           "{\"type\":\"denied\"," TIME ",\"reason\":\"no PROXY header\"}\n");
}

/* They are of the types that are passed over. */
static void test_records_are_json(void **state)
{
    (void)state;
    struct buffer line = {0}, bytes = {0};
    struct transcript_data data;
    struct tls_description tls = {.count = 1};
    memset(tls.chain[0].subject, '\xff', sizeof(tls.chain[0].subject) - 1);
    memset(tls.chain[0].names, '\\', sizeof(tls.chain[0].names) - 1);
    for (int byte = 1; byte < 256; byte++) {
        tls.verdict[0] = (char)byte;
        transcript_add_connection(&line, WALL,
                                  &(struct transcript_connection){.protocol = "tls", .tls = &tls});
        assert_int_equal(transcript_read(line.data, line.length, &data, &bytes, NULL), 1);
        buffer_clear(&line);
    }
    buffer_release(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex_lines),
        cmocka_unit_test(test_hex_directions),
        cmocka_unit_test(test_hex_without_marks_and_far_on),
        cmocka_unit_test(test_data_lines),
        cmocka_unit_test(test_data_says_whose),
        cmocka_unit_test(test_data_comes_back),
        cmocka_unit_test(test_lines_of_others),
        cmocka_unit_test(test_other_records_are_passed_over),
        cmocka_unit_test(test_faults_are_explained),
        cmocka_unit_test(test_cut_and_hostile_lines),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_connections_with_tls),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_ends_that_failed),
        cmocka_unit_test(test_listening_and_denied),
        cmocka_unit_test(test_records_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
