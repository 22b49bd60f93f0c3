/* For the tests of conversations: two sides, played by the test in the same loop, each with a
 * channel of any kind. What a side says is a stream of bytes that its seed determines, so that the
 * other one knows each byte that it must hear. */
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "talk/pair.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMBER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define SCENE_PATIENCE (20 * NANOSECONDS_PER_SECOND) /* after which a test has failed */
#define SCENE_ROOM ((size_t)1 << 17)

static inline size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static inline uint64_t cpu_time(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * NANOSECONDS_PER_SECOND +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
}

/* Bytes `from` … `from + length` of the stream. */
static inline void stream_bytes(uint64_t seed, uint64_t from, char *bytes, size_t length)
{
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++) {
        uint64_t at = from + i;
        if (i == 0 || at % 8 == 0)
            word = mix64(seed + at / 8);
        bytes[i] = (char)(word >> (8 * (at % 8)));
    }
}

enum side_kind {
    SIDE_UNIX, /* a Unix socket */
    SIDE_TCP,
    SIDE_PIPES,   /* standard input and output are pipes */
    SIDE_SHARED,  /* pipes that cannot be opened a second time */
    SIDE_FILES,   /* regular files */
    SIDE_APPEND,  /* regular files, the output O_APPEND */
    SIDE_SOCKET,  /* standard input and output are one socket, which blocks */
    SIDE_INETD,   /* two descriptors of one TCP socket, which blocks */
    SIDE_NULL,    /* /dev/null */
    SIDE_FILE_IN, /* a file in, a pipe out */
    SIDE_KINDS,
};

struct side {
    struct loop *loop;
    struct channel *channel;
    enum side_kind kind;
    int given[2]; /* of standard input and output; -1: the channel has them */
    int flags[2];
    struct watch read, write; /* the test's own ends; fd -1: none */
    bool read_watched, write_watched;
    struct task task;

    uint64_t seed, says, said; /* what this one says, and how far it is */
    uint64_t hears, heard;     /* how much of `other_seed` it must hear */
    uint64_t other_seed;
    size_t chunk; /* at a time; 0: much */
    bool waits;   /* ends only once it has heard the other one's end */
    bool deaf;    /* does not read */
    bool dumb;    /* does not end by itself */
    bool shut, ended;
    int failed; /* errno of its last read */
};

static inline bool side_is_socket(enum side_kind kind)
{
    return kind == SIDE_UNIX || kind == SIDE_TCP || kind == SIDE_SOCKET || kind == SIDE_INETD;
}

static inline void side_stop_writing(struct side *side)
{
    if (side->shut)
        return;
    side->shut = true;
    if (side_is_socket(side->kind)) {
        shutdown(side->write.fd, SHUT_WR);
    } else if (side->write.fd >= 0) {
        if (side->write_watched)
            loop_unwatch(side->loop, &side->write);
        side->write_watched = false;
        close(side->write.fd);
        side->write.fd = -1;
    }
}

static inline bool side_write(struct side *side)
{
    static char bytes[SCENE_ROOM];
    size_t size = side->chunk ? side->chunk : 50000;
    if (side->write.fd < 0 || side->shut)
        return false;
    if (side->said == side->says) {
        if (!side->dumb && (!side->waits || side->ended))
            side_stop_writing(side);
        return false;
    }
    if (size > side->says - side->said)
        size = (size_t)(side->says - side->said);
    stream_bytes(side->seed, side->said, bytes, size);
    ssize_t put = write(side->write.fd, bytes, size);
    if (put > 0)
        side->said += (uint64_t)put;
    else if (errno != EAGAIN)
        side->shut = true; /* there is nobody any more */
    return put > 0;
}

static inline void side_check(struct side *side, const char *bytes, size_t length)
{
    static char expected[SCENE_ROOM];
    stream_bytes(side->other_seed, side->heard, expected, length);
    assert_true(side->heard + length <= side->hears);
    assert_memory_equal(bytes, expected, length);
    side->heard += length;
}

static inline bool side_read(struct side *side)
{
    static char bytes[SCENE_ROOM];
    size_t size = side->chunk ? side->chunk : 70000;
    if (side->read.fd < 0 || side->ended || side->deaf)
        return false;
    ssize_t got = read(side->read.fd, bytes, size);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        side->ended = true;
        side->failed = got < 0 ? errno : 0;
    } else {
        side_check(side, bytes, (size_t)got);
    }
    return true;
}

/* Reads on until the other side's end, which may still be on its way. */
static inline void side_read_rest(struct side *side)
{
    struct pollfd now = {.fd = side->read.fd, .events = POLLIN};
    side->deaf = false;
    while (side->read.fd >= 0 && !side->ended && poll(&now, 1, 10000) > 0)
        assert_true(side_read(side));
    assert_true(side->ended);
}

static inline void side_go_on(struct task *task)
{
    struct side *side = MEMBER(task, struct side, task);
    bool read = side_read(side), wrote = side_write(side);
    if (read || wrote)
        loop_defer(side->loop, task);
}

static inline void side_read_ready(struct watch *watch, uint32_t events)
{
    struct side *side = MEMBER(watch, struct side, read);
    (void)events;
    loop_defer(side->loop, &side->task);
}

static inline void side_write_ready(struct watch *watch, uint32_t events)
{
    struct side *side = MEMBER(watch, struct side, write);
    (void)events;
    loop_defer(side->loop, &side->task);
}

/* ---- descriptors of every kind ---- */

static inline void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static inline void tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int ear = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(ear, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(ear, 1), 0);
    assert_int_equal(getsockname(ear, (struct sockaddr *)&address, &length), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, length), 0);
    fds[1] = accept4(ear, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    close(ear);
}

static inline int file_with(uint64_t seed, uint64_t length)
{
    static char bytes[SCENE_ROOM];
    int fd = memfd_create("scene", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (uint64_t at = 0; at < length;) {
        size_t size = length - at < sizeof(bytes) ? (size_t)(length - at) : sizeof(bytes);
        stream_bytes(seed, at, bytes, size);
        assert_int_equal(write(fd, bytes, size), size);
        at += size;
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* TCP's window stays as it is: a small one makes loopback wait for delayed acknowledgements. */
static inline void small_buffers(int fd, bool tcp)
{
    const int size = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (!tcp)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static inline void side_watch(struct side *side, int read, int write)
{
    side->read = (struct watch){.fd = read, .ready = side_read_ready};
    side->write = (struct watch){.fd = write, .ready = side_write_ready};
    if (read >= 0) {
        set_nonblocking(read);
        assert_int_equal(loop_watch(side->loop, &side->read,
                                    EPOLLIN | EPOLLRDHUP | (read == write ? EPOLLOUT : 0u)),
                         0);
        side->read_watched = true;
    }
    if (write >= 0 && write != read) {
        set_nonblocking(write);
        assert_int_equal(loop_watch(side->loop, &side->write, EPOLLOUT), 0);
        side->write_watched = true;
    }
}

static inline void side_give(struct side *side, int in, int out)
{
    const bool shared = side->kind == SIDE_SHARED, root = geteuid() == 0;
    side->given[0] = in;
    side->given[1] = out;
    for (int i = 0; i < 2; i++)
        side->flags[i] = fcntl(side->given[i], F_GETFL);
    if (shared) {
        assert_int_equal(fchmod(in, 0), 0);
        assert_int_equal(fchmod(out, 0), 0);
    }
    if (shared && root)
        assert_int_equal(seteuid(65534), 0);
    int failed = channel_stdio_new(side->loop, in, out, &side->channel);
    if (shared && root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(failed, 0);
}

/* `small`: buffers as small as they get. */
static inline void side_begin(struct side *side, struct loop *loop, enum side_kind kind, bool small)
{
    int fds[2], other[2];
    side->loop = loop;
    side->kind = kind;
    side->task.run = side_go_on;
    side->given[0] = side->given[1] = -1;
    side->read.fd = side->write.fd = -1;
    switch (kind) {
    case SIDE_UNIX:
    case SIDE_TCP:
    case SIDE_SOCKET:
    case SIDE_INETD:
        if (kind == SIDE_TCP || kind == SIDE_INETD)
            tcp_pair(fds);
        else
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; small && i < 2; i++)
            small_buffers(fds[i], kind == SIDE_TCP || kind == SIDE_INETD);
        side_watch(side, fds[1], fds[1]);
        if (kind == SIDE_SOCKET)
            side_give(side, fds[0], fds[0]);
        else if (kind == SIDE_INETD)
            side_give(side, fds[0], fcntl(fds[0], F_DUPFD_CLOEXEC, 0));
        else
            assert_int_equal(channel_socket_new(loop, fds[0], &side->channel), 0);
        break;
    case SIDE_PIPES:
    case SIDE_SHARED:
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(pipe2(other, O_CLOEXEC), 0);
        side_watch(side, other[0], fds[1]);
        side_give(side, fds[0], other[1]);
        if (small) {
            fcntl(fds[1], F_SETPIPE_SZ, 4096);
            fcntl(other[1], F_SETPIPE_SZ, 4096);
        }
        break;
    case SIDE_FILE_IN:
        assert_int_equal(pipe2(other, O_CLOEXEC), 0);
        side_watch(side, other[0], -1);
        side_give(side, file_with(side->seed, side->says), other[1]);
        break;
    case SIDE_FILES:
    case SIDE_APPEND:
        other[1] = file_with(0, 0);
        if (kind == SIDE_APPEND)
            assert_int_equal(fcntl(other[1], F_SETFL, O_APPEND), 0);
        side_give(side, file_with(side->seed, side->says), other[1]);
        break;
    case SIDE_NULL:
        side_give(side, open("/dev/null", O_RDONLY | O_CLOEXEC),
                  open("/dev/null", O_WRONLY | O_CLOEXEC));
        break;
    case SIDE_KINDS:
        break;
    }
    loop_defer(loop, &side->task);
}

/* Closes what the side has, after the pair; with `complete`, what was said must have been heard. */
static inline void side_end(struct side *side, bool complete)
{
    loop_cancel(side->loop, &side->task);
    for (int i = 0; i < 2; i++) {
        if (side->given[i] >= 0)
            assert_int_equal(fcntl(side->given[i], F_GETFL), side->flags[i]);
    }
    if (side->kind == SIDE_FILES || side->kind == SIDE_APPEND) {
        char bytes[4096];
        ssize_t got;
        while ((got = pread(side->given[1], bytes, sizeof(bytes), (off_t)side->heard)) > 0)
            side_check(side, bytes, (size_t)got);
    }
    for (int i = 0; i < 2; i++)
        if (side->given[i] >= 0 && (i == 0 || side->given[1] != side->given[0]))
            close(side->given[i]);
    while (complete && side->heard < side->hears && side_read(side)) {
    }
    if (complete && side->kind != SIDE_NULL)
        assert_int_equal(side->heard, side->hears);
    if (side->read_watched)
        loop_unwatch(side->loop, &side->read);
    if (side->write_watched)
        loop_unwatch(side->loop, &side->write);
    if (side->read.fd >= 0)
        close(side->read.fd);
    if (side->write.fd >= 0 && side->write.fd != side->read.fd)
        close(side->write.fd);
}

/* ---- what a pair calls ---- */

static inline void see(void *user, enum pair_direction direction, const void *bytes, size_t length)
{
    (void)user;
    (void)direction;
    (void)bytes;
    assert_true(length > 0);
}

/* Each byte becomes two. */
static inline void twice(void *user, const void *bytes, size_t length, struct buffer *converted)
{
    const char *text = bytes;
    (void)user;
    for (size_t i = 0; i < length; i++) {
        buffer_add_character(converted, text[i]);
        buffer_add_character(converted, text[i]);
    }
}

/* ---- two sides and a pair ---- */

struct scene {
    struct loop *loop;
    struct pipes pipes;
    struct side sides[2];
    struct pair *pair;
    struct pair_options options;
    struct timer limit;
    size_t descriptors;
    unsigned ends; /* how often it was told that it is over */
    bool keep;     /* the pair is not freed when it is over */
    bool silent;   /* and the loop goes on */
    enum pair_outcome outcome;
    enum pair_side guilty;
    struct error error;
    uint64_t bytes[PAIR_DIRECTIONS];
};

static inline void scene_limit(struct timer *timer)
{
    struct scene *scene = MEMBER(timer, struct scene, limit);
    fail_msg("it did not end: %d said %llu heard %llu, %d said %llu heard %llu",
             scene->sides[0].kind, (unsigned long long)scene->sides[0].said,
             (unsigned long long)scene->sides[0].heard, scene->sides[1].kind,
             (unsigned long long)scene->sides[1].said, (unsigned long long)scene->sides[1].heard);
}

static inline void scene_ended(void *user, enum pair_outcome outcome, const struct error *error)
{
    struct scene *scene = user;
    scene->ends++;
    scene->outcome = outcome;
    assert_int_equal(outcome == PAIR_FAILED, error != NULL);
    if (error)
        scene->error = *error;
    for (enum pair_direction i = 0; i < PAIR_DIRECTIONS; i++)
        scene->bytes[i] = pair_bytes(scene->pair, i);
    scene->guilty = pair_guilty(scene->pair);
    if (!scene->keep) {
        pair_free(scene->pair, outcome == PAIR_FAILED);
        scene->pair = NULL;
    }
    if (!scene->silent)
        loop_stop(scene->loop);
}

static inline void scene_new(struct scene *scene)
{
    *scene = (struct scene){.limit.due = scene_limit};
    scene->descriptors = open_descriptors();
    assert_int_equal(loop_new(&scene->loop), 0);
    assert_int_equal(pipes_init(&scene->pipes), 0);
    scene->options.ended = scene_ended;
    scene->options.user = scene;
    scene->sides[0].seed = scene->sides[1].other_seed = 1000;
    scene->sides[1].seed = scene->sides[0].other_seed = 2000000000;
}

static inline void scene_sides(struct scene *scene, enum side_kind first, uint64_t forth,
                               enum side_kind second, uint64_t back, bool small)
{
    scene->sides[0].says = scene->sides[1].hears = first == SIDE_NULL ? 0 : forth;
    scene->sides[1].says = scene->sides[0].hears = second == SIDE_NULL ? 0 : back;
    side_begin(&scene->sides[0], scene->loop, first, small);
    side_begin(&scene->sides[1], scene->loop, second, small);
}

static inline void scene_pair(struct scene *scene)
{
    assert_int_equal(pair_new(scene->loop, &scene->pipes, scene->sides[0].channel,
                              scene->sides[1].channel, &scene->options, &scene->pair),
                     0);
}

/* Until loop_stop(), which the end of the pair calls. */
static inline void scene_run(struct scene *scene)
{
    assert_int_equal(loop_timer_set(scene->loop, &scene->limit, clock_monotonic() + SCENE_PATIENCE),
                     0);
    assert_int_equal(loop_run(scene->loop), 0);
    loop_timer_clear(scene->loop, &scene->limit);
}

struct pause {
    struct loop *loop;
    struct timer timer;
};

static inline void pause_over(struct timer *timer)
{
    loop_stop(MEMBER(timer, struct pause, timer)->loop);
}

static inline void loop_run_for(struct loop *loop, uint64_t time)
{
    struct pause pause = {.loop = loop, .timer.due = pause_over};
    assert_int_equal(loop_timer_set(loop, &pause.timer, clock_monotonic() + time), 0);
    assert_int_equal(loop_run(loop), 0);
    loop_timer_clear(loop, &pause.timer);
}

static inline void loop_run_until(struct loop *loop, const bool *flag)
{
    uint64_t limit = clock_monotonic() + SCENE_PATIENCE;
    while (!*flag) {
        assert_true(clock_monotonic() < limit);
        loop_run_for(loop, 2 * NANOSECONDS_PER_MILLISECOND);
    }
}

/* Lets the loop run for a while. Returns how much of the processor's time it took. */
static inline uint64_t scene_run_for(struct scene *scene, uint64_t time)
{
    uint64_t before = cpu_time();
    loop_run_for(scene->loop, time);
    return cpu_time() - before;
}

static inline void scene_free(struct scene *scene, bool complete)
{
    pair_free(scene->pair, false);
    scene->pair = NULL;
    for (int i = 0; i < 2; i++)
        side_end(&scene->sides[i], complete);
    loop_timer_clear(scene->loop, &scene->limit);
    assert_int_equal(loop_run(scene->loop), 0); /* nothing of it is left in the loop */
    pipes_release(&scene->pipes);
    loop_free(scene->loop);
    assert_int_equal(open_descriptors(), scene->descriptors);
}
