/* What get makes of words: URLs' file names, data, formats. */
#include "talk/get.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_name(const char *word, const char *expected)
{
    char *name = NULL;
    struct error error = {0};
    int r = get_file_name(word, &name, &error);
    assert_int_equal(r, expected ? 0 : -EINVAL);
    if (expected)
        assert_string_equal(name, expected);
    else
        assert_true(error.message[0]);
    free(name);
}

static void file_names(void **state)
{
    (void)state;
    expect_name("http://host/a/b.txt?c/d#e/f", "b.txt");
    expect_name("host:80/a", "a");
    expect_name("https://host/a%2Fb", "a%2Fb");
    expect_name("http://host/..\\x", "..\\x");
    expect_name("http://host", NULL);
    expect_name("http://host/a/", NULL);
    expect_name("http://host/..", NULL);
    expect_name("http://host/.", NULL);
    expect_name("ftp://host/a", NULL);
    expect_name("http://ho st/a", NULL);
    expect_name("", NULL);
}

static void expect_data(enum get_data_kind kind, const char *const *words, const char *expected)
{
    struct buffer data = {0};
    for (; *words; words++)
        assert_int_equal(get_data_add(&data, kind, *words, NULL), 0);
    assert_int_equal(data.length, strlen(expected));
    assert_memory_equal(data.data, expected, data.length);
    buffer_release(&data);
}

static void data_is_joined(void **state)
{
    (void)state;
    expect_data(GET_DATA_TEXT, (const char *[]){"a=1", "b=2", NULL}, "a=1&b=2");
    expect_data(GET_DATA_JSON, (const char *[]){"[1,", "2]", NULL}, "[1,2]");
    expect_data(GET_DATA_RAW, (const char *[]){"@a", NULL}, "@a");
    expect_data(GET_DATA_TEXT, (const char *[]){"", NULL}, "");
    expect_data(GET_DATA_ENCODED,
                (const char *[]){"a b", "=a=b", "c=\xc3\xa4&", "d=-._~", "=", NULL},
                "a+b&a%3Db&c=%C3%A4%26&d=-._~&");
}

static void data_of_files(void **state)
{
    (void)state;
    char path[] = "/tmp/porthole-XXXXXX", word[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a\r\n\0b\n", 6), 6);
    close(fd);
    struct buffer data = {0};
    struct error error = {0};
    snprintf(word, sizeof(word), "@%s", path);
    assert_int_equal(get_data_add(&data, GET_DATA_TEXT, word, &error), 0);
    assert_int_equal(get_data_add(&data, GET_DATA_BINARY, word, &error), 0);
    snprintf(word, sizeof(word), "n@%s", path);
    assert_int_equal(get_data_add(&data, GET_DATA_ENCODED, word, &error), 0);
    static const char expected[] = "ab&a\r\n\0b\n&n=a%0D%0A%00b%0A";
    assert_int_equal(data.length, sizeof(expected) - 1);
    assert_memory_equal(data.data, expected, data.length);
    unlink(path);
    snprintf(word, sizeof(word), "@%s", path);
    assert_int_equal(get_data_add(&data, GET_DATA_TEXT, word, &error), -ENOENT);
    assert_non_null(strstr(error.message, path));
    buffer_release(&data);
}

static const struct get_header headers[] = {{"Server", "a\x1b[2J"}, {"X-Two", "2"}};
static const struct get_exchange exchange = {
    .url = "https://host/",
    .method = "GET",
    .status = 7,
    .version = "2",
    .remote_address = "::1",
    .remote_port = 443,
    .redirect = "http://\x1b/",
    .headers = headers,
    .header_count = 2,
    .body_bytes = 3000,
    .times = {.total = 2000000},
    .sums = {.times = {.total = 2000001}, .redirects = 3},
    .message = "",
};

static void expect_text(const char *format, bool escape, const char *expected, const char *aside)
{
    struct buffer text = {0}, rest = {0};
    struct get_format_facts facts = {.number = 4};
    buffer_reserve(&text, 1);
    buffer_reserve(&rest, 1);
    get_format(&text, &rest, format, &exchange, &facts, escape);
    buffer_add_text(&text, "");
    buffer_add_text(&rest, "");
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
    assert_int_equal(rest.length, strlen(aside));
    assert_memory_equal(rest.data, aside, rest.length);
    buffer_release(&text);
    buffer_release(&rest);
}

static void formats(void **state)
{
    (void)state;
    expect_text("%{http_code} %{response_code}\\n", false, "007 007\n", "");
    expect_text("%{time_total} %{num_redirects} %{urlnum}", false, "2.000001 3 4", "");
    expect_text("%{speed_download} %{scheme} %{remote_ip}", false, "1500 HTTPS ::1", "");
    expect_text("%header{x-two} %header{none} %header{X-Two", false, "2  %header{X-Two", "");
    expect_text("%{content_type}%{none}%{filename_effective}%{}", false, "", "");
    expect_text("100%% % %x %{ \\t\\r\\x\\", false, "100% % %x %{ \t\r\\x\\", "");
    expect_text("a%{stderr}b%{stdout}c%{stderr}d", false, "ac", "bd");
    expect_text("", false, "", "");
}

static void hostile_values_are_escaped_for_terminals(void **state)
{
    (void)state;
    expect_text("%{redirect_url} %header{server}", false, "http://\x1b/ a\x1b[2J", "");
    expect_text("%{redirect_url} %header{server}", true, "http://\\x1b/ a\\x1b[2J", "");
}

static void options_that_exclude_one_another(void **state)
{
    (void)state;
    const struct get_options wrong[] = {
        {.head = true, .data = "", .stop = -1},
        {.head = true, .upload = "-", .stop = -1},
        {.data = "", .upload = "-", .stop = -1},
        {.data_in_url = true, .stop = -1},
        {.data_in_url = true, .data = "\0", .data_length = 1, .stop = -1},
        {.cookie_jar = "-", .stop = -1},
    };
    const struct get_events events = {0};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct get *get = NULL;
        struct error error = {0};
        assert_int_equal(get_new(&wrong[i], &events, &get, &error), -EINVAL);
        assert_true(error.message[0]);
        assert_null(get);
    }
}

static void words_that_are_no_urls_are_told_from_faults(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        int failed, code; /* code: CURLcode */
    } cases[] = {{"http://[::1", -EINVAL, 3}, {"gopher://x/", -EINVAL, 1}, {"", -EINVAL, 3}};
    struct get_options options = {.stop = -1};
    const struct get_events events = {0};
    struct get *get;
    assert_int_equal(get_new(&options, &events, &get, NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int code = 0;
        struct error error = {0};
        assert_int_equal(get_fetch(get, cases[i].word, &code, &error), cases[i].failed);
        assert_int_equal(code, cases[i].code);
        assert_true(error.message[0]);
    }
    get_free(get);
    get_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_names),
        cmocka_unit_test(data_is_joined),
        cmocka_unit_test(data_of_files),
        cmocka_unit_test(formats),
        cmocka_unit_test(hostile_values_are_escaped_for_terminals),
        cmocka_unit_test(options_that_exclude_one_another),
        cmocka_unit_test(words_that_are_no_urls_are_told_from_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
