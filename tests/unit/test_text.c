/* Words and numbers for people: what is printed, what is read, and what is made harmless. */
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_grouped(void **state)
{
    (void)state;
    char text[TEXT_NUMBER_SIZE];
    assert_string_equal(text_grouped(0, text), "0");
    assert_string_equal(text_grouped(999, text), "999");
    assert_string_equal(text_grouped(1000, text), "1,000");
    assert_string_equal(text_grouped(1234567, text), "1,234,567");
    assert_string_equal(text_grouped(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

static void test_duration_has_three_digits(void **state)
{
    (void)state;
    static const struct {
        uint64_t nanoseconds;
        const char *text;
    } cases[] = {
        {0, "0ns"},
        {1, "1ns"},
        {999, "999ns"},
        {1000, "1us"},
        {85 * NANOSECONDS_PER_MICROSECOND, "85us"},
        {1250 * NANOSECONDS_PER_MICROSECOND, "1.25ms"},
        {1005 * NANOSECONDS_PER_MICROSECOND, "1.01ms"},
        {12345 * NANOSECONDS_PER_MILLISECOND, "12.3s"},
        {NANOSECONDS_PER_SECOND, "1s"},
        {250 * NANOSECONDS_PER_SECOND, "4m10s"},
        {240 * NANOSECONDS_PER_SECOND, "4m"},
        {7500 * NANOSECONDS_PER_SECOND, "2h05m"},
        {7200 * NANOSECONDS_PER_SECOND, "2h"},
        {UINT64_MAX, "5124095h35m"},
    };
    char text[TEXT_NUMBER_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(text_duration(cases[i].nanoseconds, text), cases[i].text);
}

/* Rounding must not give "1000us" or "60s". */
static void test_duration_rounds_into_the_next_unit(void **state)
{
    (void)state;
    char text[TEXT_NUMBER_SIZE];
    assert_string_equal(text_duration(999499, text), "999us");
    assert_string_equal(text_duration(999500, text), "1ms");
    assert_string_equal(text_duration(9996000, text), "10ms");
    assert_string_equal(text_duration(59940 * NANOSECONDS_PER_MILLISECOND, text), "59.9s");
    assert_string_equal(text_duration(59960 * NANOSECONDS_PER_MILLISECOND, text), "1m");
    assert_string_equal(text_duration(119600 * NANOSECONDS_PER_MILLISECOND, text), "2m");
    assert_string_equal(text_duration(3599600 * NANOSECONDS_PER_MILLISECOND, text), "1h");
}

static void test_parse_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t number;
    } cases[] = {
        {"0", 0},        {"007", 7},         {"10k", 10000},
        {"3M", 3000000}, {"2G", 2000000000}, {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t number = 1;
        assert_int_equal(text_parse_number(cases[i].text, &number, NULL), 0);
        assert_int_equal(number, cases[i].number);
    }
}

struct fault {
    const char *text;
    int result;
    size_t column;
};

static void test_parse_number_shows_the_fault(void **state)
{
    (void)state;
    static const struct fault cases[] = {
        {"", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 1},
        {"12x", -EINVAL, 2},
        {"1kk", -EINVAL, 2},
        {"0x10", -EINVAL, 1},
        {"1.5", -EINVAL, 1},
        {"18446744073709551616", -ERANGE, 0},
        {"18446744073709552k", -ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        uint64_t number = 42;
        assert_int_equal(text_parse_number(cases[i].text, &number, &error), cases[i].result);
        assert_int_equal(error.column, cases[i].column);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(number, 42);
    }
}

static void test_parse_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *canonical;
    } cases[] = {
        {"0", 0, "0"},
        {"4095", 4095, "4095"},
        {"4096", 4096, "4K"},
        {"64K", UINT64_C(1) << 16, "64K"},
        {"64KiB", UINT64_C(1) << 16, "64K"},
        {"512M", UINT64_C(1) << 29, "512M"},
        {"1536M", UINT64_C(3) << 29, "1536M"},
        {"2GiB", UINT64_C(1) << 31, "2G"},
        {"16777215T", UINT64_C(16777215) << 40, "16777215T"},
        {"18446744073709551615", UINT64_MAX, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TEXT_NUMBER_SIZE];
        uint64_t bytes = 1;
        assert_int_equal(text_parse_size(cases[i].text, &bytes, NULL), 0);
        assert_int_equal(bytes, cases[i].bytes);
        assert_string_equal(text_size(bytes, text), cases[i].canonical);
    }
}

static void test_parse_size_shows_the_fault(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        size_t column;
    } cases[] = {
        {"", -EINVAL, 0},          {"M", -EINVAL, 0},
        {"-1", -EINVAL, 0},        {"1k", -EINVAL, 1},
        {"10MB", -EINVAL, 2},      {"10Mi", -EINVAL, 2},
        {"10MiBs", -EINVAL, 2},    {"1.5G", -EINVAL, 1},
        {"16777216T", -ERANGE, 0}, {"18446744073709551616", -ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        uint64_t bytes = 1;
        assert_int_equal(text_parse_size(cases[i].text, &bytes, &error), cases[i].result);
        assert_int_equal(bytes, 1);
        if (cases[i].text[0])
            assert_int_equal(error.column, cases[i].column);
    }
}

static void test_parse_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t nanoseconds;
    } cases[] = {
        {"0", 0},
        {"2", 2 * NANOSECONDS_PER_SECOND},
        {"7ns", 7},
        {"1.5us", 1500},
        {"250ms", 250 * NANOSECONDS_PER_MILLISECOND},
        {"2s", 2 * NANOSECONDS_PER_SECOND},
        {".5s", 500 * NANOSECONDS_PER_MILLISECOND},
        {"1.5m", 90 * NANOSECONDS_PER_SECOND},
        {"1h", 3600 * NANOSECONDS_PER_SECOND},
        {"0.000000001", 1},
        {"0.99999999999999999999s", 999999999},
        {"18446744073709551615ns", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t nanoseconds = 1;
        assert_int_equal(text_parse_duration(cases[i].text, &nanoseconds, NULL), 0);
        assert_int_equal(nanoseconds, cases[i].nanoseconds);
    }
}

static void test_parse_duration_shows_the_fault(void **state)
{
    (void)state;
    static const struct fault cases[] = {
        {"", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {".", -EINVAL, 0},
        {"1.s", -EINVAL, 2},
        {"-1s", -EINVAL, 0},
        {"1e3", -EINVAL, 1},
        {"10 s", -EINVAL, 2},
        {"10sec", -EINVAL, 2},
        {"inf", -EINVAL, 0},
        {"1m30s", -EINVAL, 1},
        {"18446744073709551616ns", -ERANGE, 0},
        {"18446744073709551615h", -ERANGE, 0},
        {"5124095.6h", -ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        uint64_t nanoseconds = 42;
        assert_int_equal(text_parse_duration(cases[i].text, &nanoseconds, &error), cases[i].result);
        assert_int_equal(error.column, cases[i].column);
        assert_int_equal(nanoseconds, 42);
    }
}

static void test_parse_percent(void **state)
{
    (void)state;
    double percent = -1;
    assert_int_equal(text_parse_percent("99.9", &percent, NULL), 0);
    assert_float_equal(percent, 99.9, 1e-5);
    assert_int_equal(text_parse_percent("100%", &percent, NULL), 0);
    assert_float_equal(percent, 100, 1e-6);

    struct error error = {0};
    assert_int_equal(text_parse_percent("99,9", &percent, &error), -EINVAL);
    assert_int_equal(error.column, 2);
    assert_int_equal(text_parse_percent("nan", &percent, &error), -EINVAL);
    assert_int_equal(text_parse_percent("50%%", &percent, &error), -EINVAL);
    assert_int_equal(error.column, 3);
    assert_float_equal(percent, 100, 1e-6);
}

/* What a terminal gets to see of `bytes`. */
static const char *escaped(const char *bytes, size_t length)
{
    static char text[512];
    size_t used = text_escape(bytes, length, text, sizeof(text));
    assert_int_equal(used, strlen(text));
    return text;
}

#define ESCAPED(literal) escaped(literal, sizeof(literal) - 1)

static void test_escape_keeps_what_can_be_printed(void **state)
{
    (void)state;
    assert_string_equal(ESCAPED(""), "");
    assert_string_equal(ESCAPED("SSH-2.0-OpenSSH_9.2p1"), "SSH-2.0-OpenSSH_9.2p1");
    assert_string_equal(ESCAPED("gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0\xf0\x9f\x98\x80"),
                        "gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0\xf0\x9f\x98\x80");
    assert_string_equal(ESCAPED("\xf4\x8f\xbf\xbd"), "\xf4\x8f\xbf\xbd"); /* U+10FFFD, the last */
}

static void test_escape_disarms_terminals(void **state)
{
    (void)state;
    assert_string_equal(ESCAPED("\x1b[2J\x1b]0;title\x07"), "\\x1b[2J\\x1b]0;title\\x07");
    assert_string_equal(ESCAPED("a\r\nb\tc\0d"), "a\\x0d\\x0ab\\x09c\\x00d");
    assert_string_equal(ESCAPED("\x7f"), "\\x7f");
    assert_string_equal(ESCAPED("\xc2\x9b"
                                "2J"),
                        "\\xc2\\x9b2J"); /* C1 CSI as UTF-8 */
    assert_string_equal(ESCAPED("\x9b"
                                "2J"),
                        "\\x9b2J"); /* and as a single byte */
    assert_string_equal(ESCAPED("\xe2\x80\xae"
                                "cod.exe"),
                        "\\xe2\\x80\\xaecod.exe"); /* U+202E */
    assert_string_equal(ESCAPED("\xe2\x81\xa6\xe2\x81\xa9"), "\\xe2\\x81\\xa6\\xe2\\x81\\xa9");
    assert_string_equal(ESCAPED("\xd8\x9c"), "\\xd8\\x9c");          /* U+061C */
    assert_string_equal(ESCAPED("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"); /* U+2028 */
}

/* Nobody can forge an escape: a real backslash is always doubled. */
static void test_escape_doubles_backslashes(void **state)
{
    (void)state;
    assert_string_equal(ESCAPED("C:\\x1b"), "C:\\\\x1b");
}

static void test_escape_refuses_bad_utf8(void **state)
{
    (void)state;
    assert_string_equal(ESCAPED("\xc0\xaf"), "\\xc0\\xaf");                   /* "/" in two bytes */
    assert_string_equal(ESCAPED("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");          /* in three */
    assert_string_equal(ESCAPED("\xf0\x80\x80\xaf"), "\\xf0\\x80\\x80\\xaf"); /* in four */
    assert_string_equal(ESCAPED("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* a surrogate */
    assert_string_equal(ESCAPED("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* U+110000 */
    assert_string_equal(ESCAPED("\xe4\xbd"), "\\xe4\\xbd"); /* the end is missing */
    assert_string_equal(ESCAPED("\xe4\xbd"
                                "A"),
                        "\\xe4\\xbd"
                        "A"); /* and here in the middle */
    assert_string_equal(ESCAPED("\xff\x80"), "\\xff\\x80");
}

static void test_escape_cuts_at_a_character(void **state)
{
    (void)state;
    char text[16];
    memset(text, '#', sizeof(text));
    assert_int_equal(text_escape("ab\x1b", 3, text, 6), 2);
    assert_string_equal(text, "ab");
    assert_int_equal(text_escape("ab\x1b", 3, text, 7), 6);
    assert_string_equal(text, "ab\\x1b");
    assert_int_equal(text_escape("\xe4\xbd\xa0\xe4\xbd\xa0", 6, text, 6), 3);
    assert_string_equal(text, "\xe4\xbd\xa0");
    assert_int_equal(text_escape("a", 1, text, 1), 0);
    assert_string_equal(text, "");
    text[0] = '#';
    assert_int_equal(text_escape("a", 1, text, 0), 0);
    assert_int_equal(text[0], '#');
}

static void test_escape_fits_its_promise(void **state)
{
    (void)state;
    char bytes[256];
    char text[4 * sizeof(bytes) + 1];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    size_t whole = text_escape(bytes, sizeof(bytes), text, sizeof(text));
    assert_true(whole < sizeof(text) - 1);
    memset(bytes, 0x1b, sizeof(bytes));
    assert_int_equal(text_escape(bytes, sizeof(bytes), text, sizeof(text)), sizeof(text) - 1);
}

static void test_edits(void **state)
{
    (void)state;
    assert_int_equal(text_edits("", ""), 0);
    assert_int_equal(text_edits("", "abc"), 3);
    assert_int_equal(text_edits("ports", "prots"), 1);
    assert_int_equal(text_edits("prtos", "ports"), 2);
    assert_int_equal(text_edits("hlep", "help"), 1);
    assert_int_equal(text_edits("ab", "ba"), 1);
    assert_int_equal(text_edits("aab", "aba"), 1);
    assert_int_equal(text_edits("kitten", "sitting"), 3);
    assert_int_equal(text_edits("sitting", "kitten"), 3);

    char long_word[65] = {0};
    memset(long_word, 'a', 64);
    assert_int_equal(text_edits(long_word, "a"), UINT_MAX);
    assert_int_equal(text_edits("a", long_word), UINT_MAX);
    long_word[63] = '\0';
    assert_int_equal(text_edits(long_word, "a"), 62);
}

static const char *nearest_of_options(const char *word)
{
    static const char *const candidates[] = {"-p", "-sT", "--ports", "--top-ports", "--rate"};
    static struct text_nearest nearest;
    nearest = (struct text_nearest){.word = word};
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
        text_nearest_offer(&nearest, candidates[i], strlen(candidates[i]));
    return nearest.candidate;
}

static void test_nearest(void **state)
{
    (void)state;
    assert_string_equal(nearest_of_options("--prots"), "--ports");
    assert_string_equal(nearest_of_options("--port"), "--ports");
    assert_string_equal(nearest_of_options("--top"), "--top-ports");
    assert_string_equal(nearest_of_options("-rate"), "--rate");
    assert_string_equal(nearest_of_options("-st"), "-sT");
    assert_string_equal(nearest_of_options("-sX"), "");
    assert_string_equal(nearest_of_options("-q"), "");
    assert_string_equal(nearest_of_options("--verbose"), "");
    assert_string_equal(nearest_of_options(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_duration_has_three_digits),
        cmocka_unit_test(test_duration_rounds_into_the_next_unit),
        cmocka_unit_test(test_parse_number),
        cmocka_unit_test(test_parse_number_shows_the_fault),
        cmocka_unit_test(test_parse_size),
        cmocka_unit_test(test_parse_size_shows_the_fault),
        cmocka_unit_test(test_parse_duration),
        cmocka_unit_test(test_parse_duration_shows_the_fault),
        cmocka_unit_test(test_parse_percent),
        cmocka_unit_test(test_escape_keeps_what_can_be_printed),
        cmocka_unit_test(test_escape_disarms_terminals),
        cmocka_unit_test(test_escape_doubles_backslashes),
        cmocka_unit_test(test_escape_refuses_bad_utf8),
        cmocka_unit_test(test_escape_cuts_at_a_character),
        cmocka_unit_test(test_escape_fits_its_promise),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
