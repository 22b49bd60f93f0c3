/* The small parts of the lowest layer: buffers, errors, files and the clock's text. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- buffers ---- */

static void a_buffer_grows(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_add_text(&buffer, "por");
    buffer_add(&buffer, "th\0le", 5);
    buffer_add_character(&buffer, '!');
    assert_int_equal(buffer.length, 9);
    assert_memory_equal(buffer.data, "porth\0le!", 10); /* with the NUL at the end */

    buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_string_equal(buffer.data, "");

    buffer_add_format(&buffer, "%s:%d", "host", 80);
    assert_string_equal(buffer.data, "host:80");
    buffer_consume(&buffer, 5);
    assert_string_equal(buffer.data, "80");
    assert_int_equal(buffer.length, 2);
    buffer_consume(&buffer, 100);
    assert_int_equal(buffer.length, 0);
    buffer_release(&buffer);
    assert_null(buffer.data);
}

/* Every length around the sizes at which it grows. */
static void a_buffer_keeps_every_byte(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 140; piece++) {
        struct buffer buffer = {0};
        char bytes[140];
        for (size_t added = 0; added < 5; added++) {
            memset(bytes, 'a' + (int)added, piece);
            buffer_add(&buffer, bytes, piece);
        }
        assert_int_equal(buffer.length, 5 * piece);
        assert_int_equal(strlen(buffer.data), 5 * piece);
        for (size_t i = 0; i < buffer.length; i++)
            assert_int_equal(buffer.data[i], 'a' + (int)(i / piece));
        buffer_release(&buffer);
    }
}

static void an_empty_buffer_may_be_used(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_consume(&buffer, 3);
    buffer_clear(&buffer);
    buffer_release(&buffer);
    buffer_add(&buffer, NULL, 0);
    assert_string_equal(buffer.data, "");
    buffer_release(&buffer);
}

static void a_failed_buffer_stays_as_it_is(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_add_text(&buffer, "kept");
    assert_false(buffer_reserve(&buffer, SIZE_MAX - 2));
    assert_true(buffer.failed);
    buffer_add_text(&buffer, "lost");
    buffer_add_format(&buffer, "%d", 1);
    buffer_add_character(&buffer, 'x');
    assert_false(buffer_reserve(&buffer, 1));
    assert_string_equal(buffer.data, "kept");
    assert_int_equal(buffer.length, 4);
    buffer_release(&buffer);
    assert_false(buffer.failed);
}

/* ---- errors ---- */

static void an_error_says_what_was_wrong(void **state)
{
    (void)state;
    struct error error = {0};
    assert_int_equal(error_set(&error, ENOENT, "no such %s: %d", "thing", 7), -ENOENT);
    assert_int_equal(error.code, ENOENT);
    assert_string_equal(error.message, "no such thing: 7");
    assert_int_equal(error.column, ERROR_NO_COLUMN);
    assert_string_equal(error.text, "");
    assert_int_equal(error_set(NULL, EINVAL, "nobody reads this"), -EINVAL);
    assert_int_equal(error_set_at(NULL, EINVAL, "x", 1, 0, "nor this"), -EINVAL);
}

static void an_error_points_at_the_character(void **state)
{
    (void)state;
    struct error error = {0};
    assert_int_equal(error_set_at(&error, EINVAL, "10.0.0.x,more", 8, 7, "not a digit"), -EINVAL);
    assert_string_equal(error.text, "10.0.0.x");
    assert_int_equal(error.column, 7);
    /* A column behind the text is its end; what a terminal would obey is replaced. */
    error_set_at(&error, EINVAL, "a\033[2J\xff", 6, 9, "too short");
    assert_string_equal(error.text, "a?[2J?");
    assert_int_equal(error.column, 6);
}

/* Wherever the fault lies in a long text, the caret stands under the same character. */
static void a_long_text_is_cut_around_the_fault(void **state)
{
    (void)state;
    char text[1000];
    for (size_t column = 0; column <= sizeof(text); column++) {
        struct error error = {0};
        memset(text, '.', sizeof(text));
        if (column < sizeof(text))
            text[column] = 'X';
        error_set_at(&error, EINVAL, text, sizeof(text), column, "here");
        assert_true(error.column <= strlen(error.text));
        assert_int_equal(error.text[error.column], column < sizeof(text) ? 'X' : '\0');
    }
}

static void a_long_message_is_cut(void **state)
{
    (void)state;
    char word[1000] = {0};
    struct error error = {0};
    memset(word, 'w', sizeof(word) - 1);
    error_set(&error, EINVAL, "%s", word);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

/* ---- files ---- */

static char *make_file(const void *bytes, size_t length)
{
    char *path = strdup("/tmp/test_base.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, bytes, length), 0);
    close(fd);
    return path;
}

static void drop_file(char *path)
{
    unlink(path);
    free(path);
}

static void files_are_read_whole(void **state)
{
    (void)state;
    static unsigned char bytes[200000];
    const size_t lengths[] = {0, 1, 65535, 65536, 65537, sizeof(bytes)};
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char *path = make_file(bytes, lengths[i]);
        struct buffer buffer = {0};
        buffer_add_text(&buffer, "before");
        assert_int_equal(file_read(path, lengths[i], &buffer, NULL), 0);
        assert_int_equal(buffer.length, 6 + lengths[i]);
        assert_memory_equal(buffer.data, "before", 6);
        assert_memory_equal(buffer.data + 6, bytes, lengths[i]);
        assert_int_equal(buffer.data[buffer.length], '\0');
        buffer_release(&buffer);
        drop_file(path);
    }
}

static void unreadable_files_are_named(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    struct error error = {0};
    assert_int_equal(file_read("/nowhere/at all", 100, &buffer, &error), -ENOENT);
    assert_string_equal(error.message, "cannot open '/nowhere/at all': No such file or directory");
    assert_int_equal(file_read("/", 100, &buffer, &error), -EISDIR);
    assert_string_equal(error.message, "cannot read '/': Is a directory");
    assert_int_equal(file_read("/dev/zero", 3 << 20, &buffer, &error), -EFBIG);
    assert_string_equal(error.message, "'/dev/zero' is larger than 3 MiB");
    buffer_release(&buffer);
}

static void a_dash_is_standard_input(void **state)
{
    (void)state;
    char *path = make_file("22\n80\n", 6);
    struct buffer buffer = {0};
    int old = dup(STDIN_FILENO), fd = open(path, O_RDONLY);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    int failed = file_read("-", 100, &buffer, NULL);
    if (old >= 0)
        dup2(old, STDIN_FILENO);
    close(old);
    assert_int_equal(failed, 0);
    assert_string_equal(buffer.data, "22\n80\n");
    buffer_release(&buffer);
    drop_file(path);
}

/* A pipe takes a megabyte in many small pieces. */
static void everything_is_written(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t reader = fork();
    if (reader == 0) {
        size_t count = 0;
        ssize_t got;
        close(ends[1]);
        while ((got = read(ends[0], bytes, 5000)) > 0)
            count += (size_t)got;
        _exit(count == sizeof(bytes) ? 0 : 1);
    }
    close(ends[0]);
    assert_int_equal(file_write(ends[1], bytes, sizeof(bytes)), 0);
    close(ends[1]);
    int status = -1;
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, "x", 1), -ENOSPC);
    assert_int_equal(file_write(fd, "", 0), 0);
    close(fd);
}

/* ---- the clock ---- */

static void instants_are_printed_in_utc(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_format(UINT64_C(951782400999999999), text),
                        "2000-02-29T00:00:00.999Z");
    assert_string_equal(clock_format(UINT64_MAX, text), "2554-07-21T23:34:33.709Z");
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t last = clock_monotonic();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_monotonic();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_wall() > UINT64_C(1600000000) * NANOSECONDS_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(a_buffer_keeps_every_byte),
        cmocka_unit_test(an_empty_buffer_may_be_used),
        cmocka_unit_test(a_failed_buffer_stays_as_it_is),
        cmocka_unit_test(an_error_says_what_was_wrong),
        cmocka_unit_test(an_error_points_at_the_character),
        cmocka_unit_test(a_long_text_is_cut_around_the_fault),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(unreadable_files_are_named),
        cmocka_unit_test(a_dash_is_standard_input),
        cmocka_unit_test(everything_is_written),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(instants_are_printed_in_utc),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
