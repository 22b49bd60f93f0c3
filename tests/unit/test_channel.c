/* Channels over sockets, and over standard input and output of every kind. */
#include "own_network.h"
#include "talk_scene.h"

#include "talk/channel_http.h"

#include <pty.h>
#include <signal.h>
#include <termios.h>

struct given {
    struct loop *loop;
    struct channel *channel;
    unsigned calls;
};

static void on_ready(struct channel *channel, void *user)
{
    struct given *given = user;
    assert_ptr_equal(channel, given->channel);
    given->calls++;
}

static void give(struct given *given, int in, int out)
{
    *given = (struct given){0};
    assert_int_equal(loop_new(&given->loop), 0);
    assert_int_equal(channel_stdio_new(given->loop, in, out, &given->channel), 0);
    given->channel->ready = on_ready;
    given->channel->user = given;
}

static void take_back(struct given *given)
{
    channel_free(given->channel, false);
    assert_int_equal(loop_run(given->loop), 0);
    loop_free(given->loop);
}

static void missing_ends(void **state)
{
    size_t before = open_descriptors();
    struct given given;
    char bytes[8];
    (void)state;
    give(&given, -1, -1);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), CHANNEL_END);
    assert_int_equal(channel_write(given.channel, "abc", 3), 3);
    assert_int_equal(channel_shut(given.channel), 0);
    assert_int_equal(given.channel->splice_in, -1);
    assert_int_equal(given.channel->splice_out, -1);
    take_back(&given);
    assert_int_equal(open_descriptors(), before);
}

/* One that cannot be read, or written, is none; nor is one that is not open. */
static void wrong_ends(void **state)
{
    size_t before = open_descriptors();
    struct channel *channel = NULL;
    struct loop *loop;
    int fds[2];
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(channel_stdio_new(loop, fds[1], -1, &channel), -EBADF);
    assert_int_equal(channel_stdio_new(loop, -1, fds[0], &channel), -EBADF);
    assert_int_equal(channel_stdio_new(loop, fds[0], fds[0], &channel), -EBADF);
    assert_int_equal(channel_stdio_new(loop, 4000, -1, &channel), -EBADF);
    assert_null(channel);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(loop_run(loop), 0);
    loop_free(loop);
    assert_int_equal(open_descriptors(), before);
}

/* Nothing to read, no room to write: neither waits, and the loop tells when that changes. */
static void pipes_keep_nobody_waiting(void **state)
{
    static char bytes[PIPES_BUFFER_SIZE];
    (void)state;
    for (enum side_kind kind = SIDE_PIPES; kind <= SIDE_SHARED; kind++) {
        struct side side = {.kind = kind};
        struct given given = {0};
        size_t filled = 0, emptied = 0;
        ssize_t put, got;
        size_t before = open_descriptors();
        assert_int_equal(loop_new(&given.loop), 0);
        side_begin(&side, given.loop, kind, true);
        side.dumb = side.deaf = true;
        given.channel = side.channel;
        side.channel->ready = on_ready;
        side.channel->user = &given;
        assert_int_equal(channel_read(side.channel, bytes, sizeof(bytes)), -EAGAIN);
        while ((put = channel_write(side.channel, bytes, sizeof(bytes))) > 0)
            filled += (size_t)put;
        assert_int_equal(put, -EAGAIN);
        assert_true(filled >= 4096);
        side.channel->readable = side.channel->writable = false;
        loop_run_for(given.loop, 10 * NANOSECONDS_PER_MILLISECOND);
        side.channel->readable = side.channel->writable = false;
        assert_int_equal(write(side.write.fd, "x", 1), 1);
        loop_run_until(given.loop, &side.channel->readable);
        assert_int_equal(channel_read(side.channel, bytes, sizeof(bytes)), 1);
        side.channel->writable = false;
        while ((got = read(side.read.fd, bytes, sizeof(bytes))) > 0)
            emptied += (size_t)got;
        assert_int_equal(emptied, filled);
        loop_run_until(given.loop, &side.channel->writable);
        assert_int_equal(channel_write(side.channel, "y", 1), 1);
        side_stop_writing(&side);
        side.channel->readable = false;
        loop_run_until(given.loop, &side.channel->readable);
        assert_int_equal(channel_read(side.channel, bytes, sizeof(bytes)), CHANNEL_END);
        channel_free(side.channel, false);
        side_end(&side, false);
        assert_int_equal(loop_run(given.loop), 0);
        loop_free(given.loop);
        assert_int_equal(open_descriptors(), before);
    }
}

static void a_pipe_without_a_reader_is_broken(void **state)
{
    struct given given;
    int fds[2];
    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    give(&given, -1, fds[1]);
    assert_int_equal(channel_write(given.channel, "x", 1), -EPIPE);
    take_back(&given);
    close(fds[1]);
}

/* A terminal: is one, its flags stay, and when it hangs up it is at its end. */
static void terminals(void **state)
{
    size_t before = open_descriptors();
    struct given given;
    struct termios raw = {0};
    char bytes[64];
    int master, slave;
    (void)state;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    int flags = fcntl(slave, F_GETFL);
    give(&given, slave, slave);
    assert_true(given.channel->terminal);
    assert_int_equal(given.channel->splice_in, -1);
    assert_int_equal(given.channel->splice_out, -1);
    assert_int_equal(fcntl(slave, F_GETFL), flags);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), -EAGAIN);
    given.channel->readable = false;
    assert_int_equal(write(master, "hello", 5), 5);
    loop_run_until(given.loop, &given.channel->readable);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(channel_write(given.channel, "answer", 6), 6);
    assert_int_equal(read(master, bytes, sizeof(bytes)), 6);
    given.channel->readable = false;
    close(master);
    loop_run_until(given.loop, &given.channel->readable);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), CHANNEL_END);
    take_back(&given);
    close(slave);
    assert_int_equal(open_descriptors(), before);
}

static void devices_and_folders(void **state)
{
    struct given given;
    char bytes[64];
    (void)state;
    int in = open("/dev/zero", O_RDONLY | O_CLOEXEC), out = open("/dev/full", O_WRONLY | O_CLOEXEC);
    give(&given, in, out);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(channel_write(given.channel, "x", 1), -ENOSPC);
    assert_false(given.channel->terminal);
    take_back(&given);
    close(in);
    close(out);
    in = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    give(&given, in, -1);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), -EISDIR);
    take_back(&given);
    close(in);
}

/* Written where the file's own position is, which the shell goes on from. */
static void files_keep_their_position(void **state)
{
    struct given given;
    char bytes[16] = {0};
    int fd = memfd_create("out", MFD_CLOEXEC);
    (void)state;
    assert_int_equal(write(fd, "head ", 5), 5);
    give(&given, -1, fd);
    assert_int_equal(channel_write(given.channel, "body", 4), 4);
    take_back(&given);
    assert_int_equal(write(fd, " tail", 5), 5);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), 14);
    assert_string_equal(bytes, "head body tail");
    close(fd);
}

/* A socket is shut where a pipe is not, and stays open. */
static void one_socket_for_both(void **state)
{
    struct given given;
    char bytes[16];
    int fds[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    int flags = fcntl(fds[0], F_GETFL);
    give(&given, fds[0], fds[0]);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), -EAGAIN);
    assert_int_equal(channel_write(given.channel, "abc", 3), 3);
    assert_int_equal(channel_shut(given.channel), 0);
    assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 3);
    assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 0);
    given.channel->readable = false;
    assert_int_equal(write(fds[1], "z", 1), 1);
    loop_run_until(given.loop, &given.channel->readable);
    assert_int_equal(channel_read(given.channel, bytes, sizeof(bytes)), 1);
    take_back(&given);
    assert_int_equal(fcntl(fds[0], F_GETFL), flags);
    close(fds[0]);
    close(fds[1]);
}

/* ---- sockets ---- */

static void sockets_end_and_reset(void **state)
{
    size_t before = open_descriptors();
    (void)state;
    for (int abort = 0; abort < 2; abort++) {
        struct channel *channel;
        struct loop *loop;
        char bytes[16];
        int fds[2];
        assert_int_equal(loop_new(&loop), 0);
        tcp_pair(fds);
        assert_int_equal(channel_socket_new(loop, fds[0], &channel), 0);
        assert_true(channel->connected && !channel->messages);
        assert_int_equal(channel_write(channel, "bye", 3), 3);
        channel_free(channel, abort);
        if (abort) {
            while (read(fds[1], bytes, sizeof(bytes)) > 0) {
            }
            assert_int_equal(errno, ECONNRESET);
        } else {
            assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 3);
            assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 0);
        }
        close(fds[1]);
        loop_free(loop);
    }
    assert_int_equal(open_descriptors(), before);
}

static void what_is_not_acknowledged_is_known(void **state)
{
    static char bytes[1 << 16];
    struct channel *channel;
    struct loop *loop;
    int fds[2];
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    tcp_pair(fds);
    assert_int_equal(channel_socket_new(loop, fds[0], &channel), 0);
    while (channel_write(channel, bytes, sizeof(bytes)) > 0) {
    }
    assert_true(channel->class->unsent(channel) > 0);
    set_nonblocking(fds[1]);
    for (unsigned i = 0; i < 100000 && channel->class->unsent(channel) > 0; i++)
        if (read(fds[1], bytes, sizeof(bytes)) < 0)
            poll(NULL, 0, 1);
    assert_int_equal(channel->class->unsent(channel), 0);
    channel_free(channel, false);
    close(fds[1]);
    loop_free(loop);
}

/* A descriptor that is no socket is closed, and said. */
static void what_is_no_socket(void **state)
{
    struct channel *channel = NULL;
    struct loop *loop;
    size_t before = open_descriptors();
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(channel_socket_new(loop, memfd_create("x", MFD_CLOEXEC), &channel), -EPERM);
    assert_null(channel);
    loop_free(loop);
    assert_int_equal(open_descriptors(), before);
}

/* ---- pages ---- */

static unsigned requests;

static void count_request(void *user, const struct http_reader *request)
{
    (void)user;
    assert_true(request->head_size > 0);
    requests++;
}

static size_t read_all(struct channel *channel, char *bytes, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while ((got = channel_read(channel, bytes + length, size - length)) > 0)
        length += (size_t)got;
    bytes[length] = '\0';
    assert_true(got == -EAGAIN || got == CHANNEL_END);
    return length;
}

/* Byte by byte, several in a row, and what follows the last one is passed over. */
static void requests_are_answered(void **state)
{
    static char answer[1 << 16];
    static const char request[] = "GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                                  "GET /three HTTP/1.1\r\nHost: x\r\n\r\n";
    struct peer peer = {0};
    struct channel *channel;
    (void)state;
    for (size_t chunk = 1; chunk < sizeof(request); chunk *= 3) {
        requests = 0;
        assert_int_equal(channel_http_new(&peer, &peer, count_request, NULL, &channel), 0);
        assert_int_equal(channel_read(channel, answer, sizeof(answer)), -EAGAIN);
        for (size_t at = 0; at < sizeof(request) - 1; at += chunk) {
            size_t length = sizeof(request) - 1 - at < chunk ? sizeof(request) - 1 - at : chunk;
            assert_int_equal(channel_write(channel, request + at, length), length);
        }
        read_all(channel, answer, sizeof(answer) - 1);
        assert_int_equal(requests, 2);
        assert_non_null(strstr(answer, "GET /one"));
        assert_non_null(strstr(answer, "GET /two"));
        assert_null(strstr(answer, "GET /three"));
        assert_int_equal(channel_read(channel, answer, 1), CHANNEL_END);
        channel_free(channel, false);
    }
}

/* Who asks and does not read the answers is not answered for ever. */
static void answers_do_not_pile_up(void **state)
{
    static char answer[1 << 16];
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct peer peer = {0};
    struct channel *channel;
    unsigned count = 0;
    (void)state;
    assert_int_equal(channel_http_new(&peer, &peer, NULL, NULL, &channel), 0);
    while (channel_write(channel, request, sizeof(request) - 1) > 0)
        assert_true(++count < 100000);
    channel->writable = false;
    while (channel_read(channel, answer, sizeof(answer)) > 0) {
    }
    assert_true(channel->writable);
    assert_true(channel_write(channel, request, sizeof(request) - 1) > 0);
    assert_int_equal(channel_shut(channel), 0);
    while (channel_read(channel, answer, sizeof(answer)) > 0) {
    }
    assert_int_equal(channel_read(channel, answer, sizeof(answer)), CHANNEL_END);
    channel_free(channel, false);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) /* only some of them */
        cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_ends),
        cmocka_unit_test(wrong_ends),
        cmocka_unit_test(pipes_keep_nobody_waiting),
        cmocka_unit_test(a_pipe_without_a_reader_is_broken),
        cmocka_unit_test(terminals),
        cmocka_unit_test(devices_and_folders),
        cmocka_unit_test(files_keep_their_position),
        cmocka_unit_test(one_socket_for_both),
        cmocka_unit_test(sockets_end_and_reset),
        cmocka_unit_test(what_is_not_acknowledged_is_known),
        cmocka_unit_test(what_is_no_socket),
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(answers_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
