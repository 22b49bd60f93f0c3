/* Programs for a connection: real ones, over sockets and through channels. */
#include "own_network.h"
#include "talk/program.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE (20 * NANOSECONDS_PER_SECOND) /* after which a test has failed */

/* ---- what must be as before ---- */

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

struct scene {
    struct loop *loop;
    struct program program;
    struct timer limit;
    size_t descriptors;
    unsigned exits;
    int status;
};

static void on_exit_of_program(struct program *program, int status)
{
    struct scene *scene = (struct scene *)((char *)program - offsetof(struct scene, program));
    assert_int_equal(program->pid, 0);
    scene->exits++;
    scene->status = status;
    loop_timer_clear(scene->loop, &scene->limit);
}

static void on_limit(struct timer *timer)
{
    (void)timer;
    fail_msg("the program did not end");
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    scene->descriptors = open_descriptors();
    assert_int_equal(loop_new(&scene->loop), 0);
    scene->program.exited = on_exit_of_program;
    scene->limit.due = on_limit;
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    loop_free(scene->loop);
    assert_int_equal(open_descriptors(), scene->descriptors);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, not even a dead one */
    assert_int_equal(errno, ECHILD);
    free(scene);
    return 0;
}

static void run(struct scene *scene)
{
    assert_int_equal(loop_timer_set(scene->loop, &scene->limit, clock_monotonic() + PATIENCE), 0);
    assert_int_equal(loop_run(scene->loop), 0);
}

static void make_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static size_t read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    return length;
}

/* Runs `shell` over a socket, with `input`, until it has ended; its output, which must be short. */
static void run_shell(struct scene *scene, const struct program_options *options, const char *input,
                      char *output, size_t size)
{
    struct error error;
    int ends[2];
    make_pair(ends);
    assert_int_equal(write(ends[0], input, strlen(input)), strlen(input));
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    scene->exits = 0;
    assert_int_equal(program_start(scene->loop, &scene->program, options, ends[1], &error), 0);
    assert_true(scene->program.pid > 0);
    close(ends[1]);
    run(scene);
    assert_int_equal(scene->exits, 1);
    read_all(ends[0], output, size);
    close(ends[0]);
}

/* ---- over a socket ---- */

static void a_program_has_the_socket_as_input_and_output(void **state)
{
    struct scene *scene = *state;
    static const char *const words[] = {"tr", "a-z", "A-Z", NULL};
    const struct program_options options = {.words = words};
    char output[64];
    run_shell(scene, &options, "hello\n", output, sizeof(output));
    assert_string_equal(output, "HELLO\n");
    assert_true(WIFEXITED(scene->status));
    assert_int_equal(WEXITSTATUS(scene->status), 0);
}

static void how_it_ended_is_told(void **state)
{
    struct scene *scene = *state;
    const struct program_options seven = {.shell = "exit 7"}, killed = {.shell = "kill -9 $$"};
    char output[64];
    run_shell(scene, &seven, "", output, sizeof(output));
    assert_true(WIFEXITED(scene->status));
    assert_int_equal(WEXITSTATUS(scene->status), 7);
    run_shell(scene, &killed, "", output, sizeof(output));
    assert_true(WIFSIGNALED(scene->status));
    assert_int_equal(WTERMSIG(scene->status), SIGKILL);
}

static void what_cannot_be_run_is_told(void **state)
{
    struct scene *scene = *state;
    static const char *const absent[] = {"no-such-program-\033[31m", NULL};
    static const char *const folder[] = {"/etc", NULL};
    static const char *const text[] = {"/etc/passwd", NULL};
    const struct program_options cases[] = {{.words = absent}, {.words = folder}, {.words = text}};
    const int codes[] = {ENOENT, EACCES, EACCES};
    int ends[2];
    make_pair(ends);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_RDWR | O_NONBLOCK), 0);
    for (size_t i = 0; i < 3; i++) {
        struct error error = {0};
        struct channel *channel = NULL;
        assert_int_equal(program_start(scene->loop, &scene->program, &cases[i], ends[0], &error),
                         -codes[i]);
        assert_int_equal(error.code, codes[i]);
        assert_non_null(strstr(error.message, strerror(codes[i])));
        assert_null(strchr(error.message, '\033'));
        assert_int_equal(
            channel_program_new(scene->loop, &scene->program, &cases[i], &channel, &error),
            -codes[i]);
        assert_null(channel);
        assert_int_equal(scene->program.pid, 0);
    }
    assert_true(fcntl(ends[0], F_GETFL) & O_NONBLOCK); /* is as it was */
    assert_int_equal(loop_run(scene->loop), 0);
    assert_int_equal(scene->exits, 0);
    close(ends[0]);
    close(ends[1]);
}

static void a_program_may_wait_for_its_input(void **state)
{
    struct scene *scene = *state;
    static const char *const words[] = {"head", "-n", "1", NULL};
    const struct program_options options = {.words = words};
    struct error error;
    char output[64];
    int ends[2];
    make_pair(ends);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_RDWR | O_NONBLOCK), 0);
    assert_int_equal(program_start(scene->loop, &scene->program, &options, ends[1], &error), 0);
    close(ends[1]);
    /* It reads before there is anything: in vain, were its input not blocking. */
    const struct timespec moment = {.tv_nsec = 20000000};
    nanosleep(&moment, NULL);
    assert_int_equal(write(ends[0], "late\n", 5), 5);
    run(scene);
    assert_int_equal(WEXITSTATUS(scene->status), 0);
    read_all(ends[0], output, sizeof(output));
    assert_string_equal(output, "late\n");
    close(ends[0]);
}

static void it_knows_who_is_there(void **state)
{
    struct scene *scene = *state;
    struct peer remote = {.kind = PEER_INTERNET, .port = 4711};
    struct peer local = {.kind = PEER_INTERNET, .port = 80};
    struct peer hostile = {.kind = PEER_UNIX, .path = "/run/$(id) \n'\"x"};
    struct program_options options = {
        .shell = "env | grep ^NCAT_ | sort", .remote = &remote, .local = &local, .protocol = "TCP"};
    char output[512];
    assert_int_equal(address_parse("::1", 3, &remote.address, NULL), 0);
    assert_int_equal(address_parse("127.0.0.1", 9, &local.address, NULL), 0);
    run_shell(scene, &options, "", output, sizeof(output));
    assert_string_equal(output, "NCAT_LOCAL_ADDR=127.0.0.1\nNCAT_LOCAL_PORT=80\nNCAT_PROTO=TCP\n"
                                "NCAT_REMOTE_ADDR=::1\nNCAT_REMOTE_PORT=4711\n");

    options = (struct program_options){.shell = "printf %s. \"$NCAT_REMOTE_ADDR\" "
                                                "\"$NCAT_REMOTE_PORT\" \"${NCAT_LOCAL_ADDR-none}\"",
                                       .remote = &hostile};
    assert_int_equal(setenv("NCAT_LOCAL_ADDR", "of somebody else", 1), 0);
    run_shell(scene, &options, "", output, sizeof(output));
    assert_int_equal(unsetenv("NCAT_LOCAL_ADDR"), 0);
    assert_string_equal(output, "/run/$(id) \n'\"x..none.");
}

static void it_keeps_the_rest_of_our_environment(void **state)
{
    struct scene *scene = *state;
    const struct program_options options = {.shell = "printf %s \"$OF_THIS_TEST\""};
    char output[64];
    assert_int_equal(setenv("OF_THIS_TEST", "there", 1), 0);
    run_shell(scene, &options, "", output, sizeof(output));
    assert_int_equal(unsetenv("OF_THIS_TEST"), 0);
    assert_string_equal(output, "there");
}

static void it_has_no_descriptor_of_ours(void **state)
{
    struct scene *scene = *state;
    /* The shell itself, so that no descriptor of an `ls` is among them. */
    const struct program_options options = {
        .shell = "for i in 0 1 2 3 4 5 6 7 8 9 50; do [ -e /proc/$$/fd/$i ] && echo $i; done; :"};
    int leaky = open("/dev/null", O_RDONLY), far = dup2(leaky, 50); /* without O_CLOEXEC */
    char output[64];
    assert_int_equal(far, 50);
    run_shell(scene, &options, "", output, sizeof(output));
    close(leaky);
    close(far);
    assert_string_equal(output, "0\n1\n2\n");
}

static void nothing(void *user, const struct signalfd_siginfo *info)
{
    (void)user;
    (void)info;
}

static void its_signals_are_as_in_a_shell(void **state)
{
    struct scene *scene = *state;
    static const char *const words[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
    const struct program_options options = {.words = words};
    sigset_t set, before;
    char output[128];
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &before), 0);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_signals(scene->loop, &set, nothing, NULL), 0);
    run_shell(scene, &options, "", output, sizeof(output));
    signal(SIGPIPE, handler);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    unsigned long blocked, ignored;
    assert_int_equal(sscanf(output, "SigBlk: %lx SigIgn: %lx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    /* 32 and 33 are the C library's own, which it has ignored in each child. */
    assert_int_equal(ignored & ~0x180000000ul, 0);
}

static void two_standard_descriptors_as_its_own(void **state)
{
    struct scene *scene = *state;
    const struct program_options options = {.shell = "cat; echo end"};
    /* Of a listener whose own input was closed: the socket is descriptor 0, and shall stay open. */
    int kept = fcntl(0, F_DUPFD_CLOEXEC, 3), ends[2];
    struct error error;
    char output[64];
    make_pair(ends);
    assert_int_equal(dup3(ends[1], 0, O_CLOEXEC), 0);
    close(ends[1]);
    assert_int_equal(write(ends[0], "in\n", 3), 3);
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    assert_int_equal(program_start(scene->loop, &scene->program, &options, 0, &error), 0);
    close(0);
    run(scene);
    read_all(ends[0], output, sizeof(output));
    close(ends[0]);
    if (kept >= 0) {
        assert_int_equal(dup2(kept, 0), 0);
        close(kept);
    }
    assert_string_equal(output, "in\nend\n");
}

/* ---- its end ---- */

static void it_ends_when_its_time_is_over(void **state)
{
    struct scene *scene = *state;
    static const char *const polite[] = {"sleep", "1000", NULL};
    const struct program_options options = {.words = polite};
    struct error error;
    int ends[2];
    make_pair(ends);
    assert_int_equal(program_start(scene->loop, &scene->program, &options, ends[1], &error), 0);
    assert_int_equal(kill(scene->program.pid, SIGSTOP), 0);
    program_end(&scene->program, 1000 * NANOSECONDS_PER_SECOND);
    program_end(&scene->program, 0); /* once is enough */
    run(scene);
    assert_int_equal(scene->exits, 1);
    assert_true(WIFSIGNALED(scene->status));
    assert_int_equal(WTERMSIG(scene->status), SIGTERM);
    program_end(&scene->program, 0); /* nothing is running */
    close(ends[0]);
    close(ends[1]);
}

static void it_ends_even_against_its_will(void **state)
{
    struct scene *scene = *state;
    const struct program_options options = {
        .shell = "trap '' TERM; echo ready; while :; do read -r line || sleep 0.01; done"};
    struct error error;
    char line[8];
    int ends[2];
    make_pair(ends);
    assert_int_equal(program_start(scene->loop, &scene->program, &options, ends[1], &error), 0);
    assert_int_equal(read(ends[0], line, sizeof(line)), 6); /* the trap is set */
    program_end(&scene->program, NANOSECONDS_PER_MILLISECOND);
    run(scene);
    assert_int_equal(WTERMSIG(scene->status), SIGKILL);
    close(ends[0]);
    close(ends[1]);
}

static void released_it_goes_on_alone(void **state)
{
    struct scene *scene = *state;
    static const char *const words[] = {"cat", NULL};
    const struct program_options options = {.words = words};
    struct error error;
    char output[64];
    int ends[2], status;
    make_pair(ends);
    assert_int_equal(program_start(scene->loop, &scene->program, &options, ends[1], &error), 0);
    close(ends[1]);
    pid_t pid = scene->program.pid;
    program_release(&scene->program);
    program_release(&scene->program);
    assert_int_equal(loop_run(scene->loop), 0); /* there is nothing to wait for */
    assert_int_equal(write(ends[0], "still", 5), 5);
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    read_all(ends[0], output, sizeof(output));
    assert_string_equal(output, "still");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(scene->exits, 0);
    close(ends[0]);
}

/* ---- through a channel ---- */

/* Says `length` bytes to a channel, ends, and hears until the other side has ended. */
struct talk {
    struct channel *channel;
    const char *said;
    size_t length, written;
    char *heard;
    size_t got, size;
    bool shut, ended;
    int failed;
};

static bool talk_write(struct talk *talk)
{
    if (!talk->channel->writable || talk->shut)
        return false;
    if (talk->written == talk->length) {
        talk->failed = channel_shut(talk->channel);
        talk->shut = true;
        return true;
    }
    ssize_t put =
        channel_write(talk->channel, talk->said + talk->written, talk->length - talk->written);
    if (put == -EAGAIN)
        talk->channel->writable = false;
    else if (put < 0)
        talk->failed = (int)put;
    else
        talk->written += (size_t)put;
    return put > 0;
}

static bool talk_read(struct talk *talk)
{
    if (!talk->channel->readable || talk->ended)
        return false;
    ssize_t got = channel_read(talk->channel, talk->heard + talk->got, talk->size - talk->got);
    if (got == -EAGAIN)
        talk->channel->readable = false;
    else if (got == CHANNEL_END)
        talk->ended = true;
    else if (got < 0)
        talk->failed = (int)got;
    else
        talk->got += (size_t)got;
    assert_true(talk->got < talk->size);
    return got > 0;
}

static void talk_step(struct channel *channel, void *user)
{
    struct talk *talk = user;
    bool wrote = true, read = true;
    assert_ptr_equal(channel, talk->channel);
    while ((wrote || read) && !talk->failed) {
        wrote = talk_write(talk);
        read = talk_read(talk);
    }
    if (talk->failed || (talk->shut && talk->ended)) {
        channel_free(talk->channel, talk->failed != 0);
        talk->channel = NULL;
    }
}

static void talk_to(struct scene *scene, const struct program_options *options, struct talk *talk)
{
    struct error error;
    assert_int_equal(
        channel_program_new(scene->loop, &scene->program, options, &talk->channel, &error), 0);
    talk->channel->ready = talk_step;
    talk->channel->user = talk;
    run(scene);
    assert_int_equal(scene->exits, 1);
    assert_null(talk->channel);
    assert_int_equal(talk->failed, 0);
    assert_true(talk->ended);
}

#define MANY ((size_t)8 << 20)

static char *make_bytes(void)
{
    char *bytes = malloc(MANY);
    uint32_t number = 1;
    assert_non_null(bytes);
    for (size_t i = 0; i < MANY; i++) {
        number = number * 1664525 + 1013904223;
        bytes[i] = (char)(number >> 24);
    }
    return bytes;
}

static void everything_comes_back_after_the_half_close(void **state)
{
    struct scene *scene = *state;
    static const char *const words[] = {"cat", NULL};
    const struct program_options options = {.words = words};
    char *bytes = make_bytes(), *heard = malloc(MANY + 1);
    assert_non_null(heard);
    struct talk talk = {.said = bytes, .length = MANY, .heard = heard, .size = MANY + 1};
    talk_to(scene, &options, &talk);
    assert_int_equal(talk.got, MANY);
    assert_memory_equal(heard, bytes, MANY);
    free(bytes);
    free(heard);
}

static void a_program_that_leaves_early_is_heard_to_its_end(void **state)
{
    struct scene *scene = *state;
    const struct program_options options = {.shell = "head -c 5; echo; echo last words"};
    char *bytes = make_bytes();
    char heard[64];
    memcpy(bytes, "first", 5);
    struct talk talk = {.said = bytes, .length = MANY, .heard = heard, .size = sizeof(heard)};
    talk_to(scene, &options, &talk);
    assert_int_equal(talk.got, strlen("first\nlast words\n"));
    assert_memory_equal(heard, "first\nlast words\n", talk.got);
    free(bytes);
}

static void a_program_that_closes_its_input_is_heard(void **state)
{
    struct scene *scene = *state;
    const struct program_options options = {.shell = "exec <&-; seq 100000"};
    char *bytes = make_bytes(), *heard = malloc(MANY);
    assert_non_null(heard);
    struct talk talk = {.said = bytes, .length = MANY, .heard = heard, .size = MANY};
    talk_to(scene, &options, &talk);
    assert_int_equal(talk.got, 588895);
    assert_memory_equal(heard + talk.got - 7, "100000\n", 7);
    free(bytes);
    free(heard);
}

static void its_errors_are_ours(void **state)
{
    struct scene *scene = *state;
    const struct program_options options = {.shell = "seq 1 100000 >&2; echo done"};
    FILE *file = tmpfile();
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    char heard[64];
    assert_non_null(file);
    assert_true(kept >= 0);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    struct talk talk = {.said = "", .heard = heard, .size = sizeof(heard)};
    talk_to(scene, &options, &talk);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    close(kept);
    assert_int_equal(talk.got, 5);
    assert_memory_equal(heard, "done\n", 5);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    assert_int_equal(ftell(file), 588895);
    fclose(file);
}

/* ---- the words ---- */

static void assert_split(const char *text, size_t count, const char *const *expected)
{
    char **words = NULL;
    assert_int_equal(program_split(text, &words, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(words[i], expected[i]);
    assert_null(words[count]);
    free(words);
}

static void words_are_split_by_blanks_and_quotes(void **state)
{
    (void)state;
    assert_split("cat", 1, (const char *const[]){"cat"});
    assert_split(" a  b\tc\n", 3, (const char *const[]){"a", "b", "c"});
    assert_split("p 'one argument' two", 3, (const char *const[]){"p", "one argument", "two"});
    assert_split("p \"it's\" 'say \"x\"'", 3, (const char *const[]){"p", "it's", "say \"x\""});
    assert_split("p a'b c'd\"e f\"g", 2, (const char *const[]){"p", "ab cde fg"});
    assert_split("p '' \"\"", 3, (const char *const[]){"p", "", ""});
    assert_split("p a\\ b \\' \\\" \\\\", 5, (const char *const[]){"p", "a b", "'", "\"", "\\"});
    assert_split("p '\\n\\' \"\\n\\\\\\\"\"", 3, (const char *const[]){"p", "\\n\\", "\\n\\\""});
    assert_split("p $HOME * ; `id` | x &", 8,
                 (const char *const[]){"p", "$HOME", "*", ";", "`id`", "|", "x", "&"});
    assert_split("p \\", 2, (const char *const[]){"p", "\\"});
    assert_split("a b c d e f", 6, (const char *const[]){"a", "b", "c", "d", "e", "f"});
}

static void what_cannot_be_split_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t column;
    } cases[] = {{"", 0},          {" \t ", 0},     {"p 'open", 2}, {"p \"a'b'", 2},
                 {"p \"x\\\"", 2}, {"p 'a' 'b", 6}, {"'' x", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        char **words = NULL;
        assert_int_equal(program_split(cases[i].text, &words, &error), -EINVAL);
        assert_null(words);
        assert_int_equal(error.column, cases[i].column);
    }
}

/* Whatever is written, nothing is read or written outside. */
static void hostile_words_are_split_safely(void **state)
{
    (void)state;
    static const char letters[] = " '\"\\ab\t\n";
    uint32_t number = 7;
    for (unsigned round = 0; round < 20000; round++) {
        char *text = malloc(24);
        size_t length = 0;
        assert_non_null(text);
        for (; length < round % 23; length++) {
            number = number * 1664525 + 1013904223;
            text[length] = letters[(number >> 20) % (sizeof(letters) - 1)];
        }
        text[length] = '\0';
        text = realloc(text, length + 1);
        char **words = NULL;
        size_t total = 0;
        if (program_split(text, &words, NULL) == 0) {
            assert_non_null(words[0]);
            for (size_t i = 0; words[i]; i++)
                total += strlen(words[i]);
            assert_true(total <= length);
        }
        free(words);
        free(text);
    }
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(a_program_has_the_socket_as_input_and_output),
        WITH_SCENE(how_it_ended_is_told),
        WITH_SCENE(what_cannot_be_run_is_told),
        WITH_SCENE(a_program_may_wait_for_its_input),
        WITH_SCENE(it_knows_who_is_there),
        WITH_SCENE(it_keeps_the_rest_of_our_environment),
        WITH_SCENE(it_has_no_descriptor_of_ours),
        WITH_SCENE(its_signals_are_as_in_a_shell),
        WITH_SCENE(two_standard_descriptors_as_its_own),
        WITH_SCENE(it_ends_when_its_time_is_over),
        WITH_SCENE(it_ends_even_against_its_will),
        WITH_SCENE(released_it_goes_on_alone),
        WITH_SCENE(everything_comes_back_after_the_half_close),
        WITH_SCENE(a_program_that_leaves_early_is_heard_to_its_end),
        WITH_SCENE(a_program_that_closes_its_input_is_heard),
        WITH_SCENE(its_errors_are_ours),
        cmocka_unit_test(words_are_split_by_blanks_and_quotes),
        cmocka_unit_test(what_cannot_be_split_is_told),
        cmocka_unit_test(hostile_words_are_split_safely),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
