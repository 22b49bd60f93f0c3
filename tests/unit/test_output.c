/* Output that never waits, keeps what it was told to replace until the end, and tells of full
 * disks. */
#include "base/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_SIZE 128

/* A directory of each test's own, and in it one name. */
struct place {
    char directory[64];
    char path[PATH_SIZE];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (!place)
        return -1;
    strcpy(place->directory, "/tmp/porthole-output-XXXXXX");
    if (!mkdtemp(place->directory)) {
        free(place);
        return -1;
    }
    snprintf(place->path, sizeof(place->path), "%s/result", place->directory);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    int result = rmdir(place->directory); /* fails when a partial file was left behind */
    free(place);
    return result;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *path, const char *text)
{
    char content[256] = {0};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(content, 1, sizeof(content) - 1, file);
    fclose(file);
    assert_int_equal(length, strlen(text));
    assert_string_equal(content, text);
}

static unsigned entries(const char *directory)
{
    unsigned count = 0;
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count - 2; /* "." and ".." */
}

static void test_in_place_is_there_at_once(void **state)
{
    struct place *place = *state;
    struct output output;
    write_file(place->path, "something that was longer before");
    assert_int_equal(output_open(&output, place->path, false, NULL), 0);
    buffer_add_text(&output.pending, "one\n");
    output_pump(&output);
    assert_content(place->path, "one\n");
    assert_int_equal(output.pending.length, 0);
    buffer_add_text(&output.pending, "two\n");
    assert_int_equal(output_finish(&output, NULL), 0);
    output_release(&output);
    assert_content(place->path, "one\ntwo\n");
}

/* A reader sees the old document until the new one is complete. */
static void test_whole_is_renamed_into_place(void **state)
{
    struct place *place = *state;
    struct output output;
    write_file(place->path, "old");
    assert_int_equal(output_open(&output, place->path, true, NULL), 0);
    buffer_add_text(&output.pending, "new");
    output_pump(&output);
    assert_content(place->path, "old");
    assert_int_equal(entries(place->directory), 2);
    assert_int_equal(output_finish(&output, NULL), 0);
    assert_content(place->path, "new");
    assert_int_equal(entries(place->directory), 1);
    output_release(&output);
    assert_content(place->path, "new");
}

static void test_unfinished_whole_leaves_nothing(void **state)
{
    struct place *place = *state;
    struct output output;
    write_file(place->path, "old");
    assert_int_equal(output_open(&output, place->path, true, NULL), 0);
    buffer_add_text(&output.pending, "half");
    output_pump(&output);
    output_release(&output);
    assert_content(place->path, "old");
    assert_int_equal(entries(place->directory), 1);
}

static mode_t permissions(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void write_whole(const char *path)
{
    struct output output;
    assert_int_equal(output_open(&output, path, true, NULL), 0);
    assert_true(fcntl(output.fd, F_GETFD) & FD_CLOEXEC);
    buffer_add_text(&output.pending, "x");
    assert_int_equal(output_finish(&output, NULL), 0);
    output_release(&output);
}

static void test_permissions(void **state)
{
    struct place *place = *state;
    mode_t mask = umask(027);
    write_whole(place->path);
    assert_int_equal(permissions(place->path), 0640); /* a new file follows the umask */
    assert_int_equal(chmod(place->path, 0606), 0);
    write_whole(place->path);
    assert_int_equal(permissions(place->path), 0606); /* a replaced one stays as it was */
    umask(mask);
}

static void test_long_names_fit(void **state)
{
    struct place *place = *state;
    char path[PATH_SIZE + NAME_MAX];
    int length = snprintf(path, sizeof(path), "%s/", place->directory);
    memset(path + length, 'n', NAME_MAX);
    path[length + NAME_MAX] = '\0';
    write_whole(path);
    assert_content(path, "x");
    assert_int_equal(unlink(path), 0);
}

static void test_symbolic_link_is_followed(void **state)
{
    struct place *place = *state;
    char link_path[PATH_SIZE];
    snprintf(link_path, sizeof(link_path), "%s/link", place->directory);
    write_file(place->path, "old");
    assert_int_equal(symlink("result", link_path), 0);
    write_whole(link_path);
    assert_content(place->path, "x");
    struct stat status;
    assert_int_equal(lstat(link_path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(unlink(link_path), 0);
}

static void test_fifo_is_written_in_place(void **state)
{
    struct place *place = *state;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    int reader = open(place->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    write_whole(place->path);
    char byte = 0;
    assert_int_equal(read(reader, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    struct stat status;
    assert_int_equal(lstat(place->path, &status), 0);
    assert_true(S_ISFIFO(status.st_mode));
    close(reader);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct output output;
    struct error error = {0};
    assert_int_equal(output_open(&output, "/dev/full", true, NULL), 0);
    buffer_add_text(&output.pending, "x");
    output_pump(&output);
    assert_int_equal(output.code, ENOSPC);
    assert_false(output.broken);
    assert_int_equal(output.pending.length, 0);
    buffer_add_text(&output.pending, "skipped");
    assert_int_equal(output_finish(&output, &error), -ENOSPC);
    assert_string_equal(error.message, "cannot write '/dev/full': No space left on device");
    output_release(&output);
    struct stat status;
    assert_int_equal(stat("/dev/full", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

static void test_out_of_memory(void **state)
{
    struct place *place = *state;
    struct output output;
    write_file(place->path, "old");
    assert_int_equal(output_open(&output, place->path, true, NULL), 0);
    buffer_add_text(&output.pending, "x");
    output.pending.failed = true; /* as after an allocation that failed: the text has a hole */
    assert_int_equal(output_finish(&output, NULL), -ENOMEM);
    output_release(&output);
    assert_content(place->path, "old");
}

/* Standard output replaced by `fd` for the time of a test. */
static int replace_standard_output(int fd)
{
    fflush(stdout);
    int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    assert_true(saved >= 0);
    assert_true(dup2(fd, STDOUT_FILENO) >= 0);
    return saved;
}

static void restore_standard_output(int saved)
{
    dup2(saved, STDOUT_FILENO);
    close(saved);
}

static void test_closed_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    int saved = replace_standard_output(ends[1]);
    struct output output;
    int opened = output_open(&output, "-", false, NULL);
    buffer_add_text(&output.pending, "x");
    output_pump(&output);
    bool broken = output.broken;
    int finished = output_finish(&output, NULL);
    output_release(&output);
    restore_standard_output(saved);
    close(ends[1]);
    assert_int_equal(opened, 0);
    assert_true(broken);
    assert_int_equal(finished, 0);
}

static void test_closed_standard_output(void **state)
{
    (void)state;
    struct output output;
    struct error error = {0};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int saved = replace_standard_output(null);
    int read_only = output_open(&output, "-", false, &error);
    close(STDOUT_FILENO);
    int closed = output_open(&output, "-", false, &error);
    restore_standard_output(saved);
    close(null);
    assert_int_equal(read_only, -EBADF);
    assert_int_equal(closed, -EBADF);
    assert_string_equal(error.message, "standard output is closed");
}

/* "-o json:/dev/stdout" under "> file" continues the file rather than starting it anew. */
static void test_dev_stdout_shares_the_file(void **state)
{
    struct place *place = *state;
    int file = open(place->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(file, "before ", 7), 7);
    int saved = replace_standard_output(file);
    struct output output;
    int opened = output_open(&output, "/dev/stdout", true, NULL);
    buffer_add_text(&output.pending, "after");
    int finished = output_finish(&output, NULL);
    output_release(&output);
    restore_standard_output(saved);
    close(file);
    assert_int_equal(opened, 0);
    assert_int_equal(finished, 0);
    assert_content(place->path, "before after");
}

/* A reader that does not read holds nobody up; what it takes later is complete and in order. */
static void test_pump_never_waits_for_a_reader(void **state)
{
    (void)state;
    enum { NUMBERS = 100000 };
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct output output = {.fd = ends[1]};
    for (int i = 0; i < NUMBERS; i++)
        buffer_add(&output.pending, &i, sizeof(i));
    output_pump(&output); /* with a blocking write this would never return */
    assert_true(output.pending.length > output.written);

    static int numbers[NUMBERS];
    size_t got = 0;
    while (got < sizeof(numbers)) {
        ssize_t count = read(ends[0], (char *)numbers + got,
                             sizeof(numbers) - got < 5000 ? sizeof(numbers) - got : 5000);
        assert_true(count > 0);
        got += (size_t)count;
        output_pump(&output);
    }
    for (int i = 0; i < NUMBERS; i++)
        assert_int_equal(numbers[i], i);
    assert_int_equal(output.pending.length, 0);
    output_release(&output);
    close(ends[0]);
    close(ends[1]);
}

static void ignore_alarm(int number)
{
    (void)number;
}

/* With too much pending, pump() waits for the reader, but a signal such as Ctrl-C still gets
 * through. */
static void test_pump_waits_with_much_pending_until_a_signal(void **state)
{
    (void)state;
    const size_t length = (size_t)17 << 20;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct output output = {.fd = ends[1]};
    assert_true(buffer_reserve(&output.pending, length));
    memset(output.pending.data, 'x', length);
    output.pending.length = length;

    const struct sigaction action = {.sa_handler = ignore_alarm};
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    struct itimerval left;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    output_pump(&output);
    assert_int_equal(getitimer(ITIMER_REAL, &left), 0);
    assert_int_equal(left.it_value.tv_usec, 0); /* it did wait */
    assert_int_equal(output.code, 0);
    assert_true(output.pending.length - output.written > (size_t)16 << 20);
    output_release(&output);
    close(ends[0]);
    close(ends[1]);
}

/* Who takes signals by a signalfd is not interrupted by them, and must be let go all the same. */
static void test_pump_waits_until_a_blocked_signal(void **state)
{
    (void)state;
    const size_t length = (size_t)17 << 20;
    int ends[2];
    sigset_t set, old;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct output output = {.fd = ends[1]};
    assert_true(buffer_reserve(&output.pending, length));
    memset(output.pending.data, 'x', length);
    output.pending.length = length;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, &old), 0);
    assert_int_equal(raise(SIGTERM), 0);
    output_pump(&output);
    assert_int_equal(output.code, 0);
    assert_true(output.pending.length - output.written > (size_t)16 << 20);
    assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGTERM);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    output_release(&output);
    close(ends[0]);
    close(ends[1]);
}

/* finish() waits for a slow reader instead of dropping what it has not taken yet. */
static void test_finish_waits_for_the_reader(void **state)
{
    (void)state;
    const size_t length = (size_t)1 << 20;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t reader = fork();
    assert_true(reader >= 0);
    if (reader == 0) {
        char bytes[65536];
        size_t got = 0;
        ssize_t count;
        close(ends[1]);
        usleep(20000);
        while ((count = read(ends[0], bytes, sizeof(bytes))) > 0)
            got += (size_t)count;
        _exit(got == length ? 0 : 1);
    }
    close(ends[0]);
    struct output output = {.fd = ends[1]};
    assert_true(buffer_reserve(&output.pending, length));
    memset(output.pending.data, 'x', length);
    output.pending.length = length;
    assert_int_equal(output_finish(&output, NULL), 0);
    output_release(&output);
    close(ends[1]);
    int status;
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
}

static void test_paths_that_cannot_be_opened(void **state)
{
    struct place *place = *state;
    struct output output = {.fd = -7};
    struct error error = {0};
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/none/file", place->directory);
    assert_int_equal(output_open(&output, path, true, &error), -ENOENT);
    assert_int_equal(output_open(&output, path, false, &error), -ENOENT);
    assert_int_equal(output_open(&output, place->directory, true, &error), -EISDIR);
    assert_int_equal(output_open(&output, "", true, &error), -ENOENT);
    assert_string_equal(error.message, "cannot open '' for writing: No such file or directory");
    assert_int_equal(output.fd, -7);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        PLACED(test_in_place_is_there_at_once),
        PLACED(test_whole_is_renamed_into_place),
        PLACED(test_unfinished_whole_leaves_nothing),
        PLACED(test_permissions),
        PLACED(test_long_names_fit),
        PLACED(test_symbolic_link_is_followed),
        PLACED(test_fifo_is_written_in_place),
        cmocka_unit_test(test_full_disk),
        PLACED(test_out_of_memory),
        cmocka_unit_test(test_closed_pipe),
        cmocka_unit_test(test_closed_standard_output),
        PLACED(test_dev_stdout_shares_the_file),
        cmocka_unit_test(test_pump_never_waits_for_a_reader),
        cmocka_unit_test(test_pump_waits_with_much_pending_until_a_signal),
        cmocka_unit_test(test_pump_waits_until_a_blocked_signal),
        cmocka_unit_test(test_finish_waits_for_the_reader),
        PLACED(test_paths_that_cannot_be_opened),
    };
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
