/* Pairs over every kind of channel: what is said arrives, whole and in order. */
#include "own_network.h"
#include "talk_scene.h"

#include <signal.h>

#define TOTAL ((uint64_t)1200000)

/* ---- everything arrives ---- */

static void carry(enum side_kind first, enum side_kind second, uint64_t forth, uint64_t back,
                  bool small, size_t chunk, bool seen)
{
    struct scene scene;
    scene_new(&scene);
    scene.options.observe = seen ? see : NULL;
    scene.sides[0].chunk = scene.sides[1].chunk = chunk;
    scene_sides(&scene, first, forth, second, back, small);
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    assert_int_equal(scene.ends, 1);
    assert_int_equal(scene.bytes[PAIR_FORTH], scene.sides[0].says);
    assert_int_equal(scene.bytes[PAIR_BACK], scene.sides[1].says);
    for (int i = 0; i < 2; i++) /* a socket's other side hears the end */
        if (side_is_socket(scene.sides[i].kind))
            side_read_rest(&scene.sides[i]);
    scene_free(&scene, true);
}

static void every_kind_to_every_kind(void **state)
{
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++)
        for (enum side_kind second = 0; second < SIDE_KINDS; second++)
            for (int seen = 0; seen < 2; seen++)
                carry(first, second, TOTAL + first, TOTAL / 2 + second, false, 0, seen);
}

static void nothing_at_all(void **state)
{
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++)
        for (enum side_kind second = 0; second < SIDE_KINDS; second++)
            carry(first, second, 0, 0, false, 0, false);
}

/* Both say and read one byte at a time, through buffers as small as they get. */
static void slow_sides(void **state)
{
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++)
        for (enum side_kind second = 0; second < SIDE_KINDS; second++)
            carry(first, second, 5000, 1500, true, 1, (first + second) % 2);
}

/* Chunks that fill neither buffers nor pages. */
static void odd_chunks(void **state)
{
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++)
        for (enum side_kind second = 0; second < SIDE_KINDS; second++)
            carry(first, second, 300001, 299993, true, 4099, (first + second) % 2);
}

/* One says much and the other reads it byte by byte at first. */
static void one_slow_reader(void **state)
{
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++) {
        for (enum side_kind second = 0; second < SIDE_KINDS; second++) {
            struct scene scene;
            if (second == SIDE_FILES || second == SIDE_APPEND || second == SIDE_NULL)
                continue;
            scene_new(&scene);
            scene.sides[1].chunk = 1;
            scene_sides(&scene, first, 400000, second, 100, true);
            scene_pair(&scene);
            for (int i = 0; i < 20; i++)
                scene_run_for(&scene, 100000);
            scene.sides[1].chunk = 0;
            if (!scene.ends)
                scene_run(&scene);
            assert_int_equal(scene.outcome, PAIR_ENDED);
            scene_free(&scene, true);
        }
    }
}

/* Pipes of our own cannot be had: the bytes are copied. */
static void without_descriptors(void **state)
{
    struct scene scene;
    struct rlimit before, none;
    (void)state;
    scene_new(&scene);
    scene_sides(&scene, SIDE_TCP, TOTAL, SIDE_UNIX, TOTAL, false);
    scene_pair(&scene);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3; /* those that are open stay so */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    scene_run(&scene);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    scene_free(&scene, true);
}

static void many_at_once(void **state)
{
    enum { COUNT = 64 };
    static struct scene scenes[COUNT];
    struct pipes pipes;
    struct loop *loop;
    size_t left = COUNT, descriptors = open_descriptors();
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(pipes_init(&pipes), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        struct scene *scene = &scenes[i];
        *scene = (struct scene){.loop = loop};
        scene->options.ended = scene_ended;
        scene->options.user = scene;
        scene->sides[0].seed = scene->sides[1].other_seed = 1000 + i * 1000000;
        scene->sides[1].seed = scene->sides[0].other_seed = 2000000000 + i * 1000000;
        scene_sides(scene, i % SIDE_KINDS, 200000 + i, i / SIDE_KINDS % SIDE_KINDS, 100000 + i,
                    i % 3 == 0);
        assert_int_equal(pair_new(loop, &pipes, scene->sides[0].channel, scene->sides[1].channel,
                                  &scene->options, &scene->pair),
                         0);
    }
    scenes[0].limit.due = scene_limit;
    while (left) {
        scene_run(&scenes[0]);
        left = 0;
        for (unsigned i = 0; i < COUNT; i++)
            left += scenes[i].ends == 0;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(scenes[i].outcome, PAIR_ENDED);
        for (int k = 0; k < 2; k++)
            side_end(&scenes[i].sides[k], true);
    }
    pipes_release(&pipes);
    assert_int_equal(loop_run(loop), 0);
    loop_free(loop);
    assert_int_equal(open_descriptors(), descriptors);
}

/* ---- what is done to the bytes ---- */

/* Each byte is said twice: the other side hears twice as many, through small buffers. */
static void conversion_may_grow(void **state)
{
    struct scene scene;
    static char heard[400001];
    size_t count = 0;
    ssize_t got;
    (void)state;
    scene_new(&scene);
    scene.options.convert[PAIR_FORTH] = twice;
    scene.sides[1].deaf = true;
    scene_sides(&scene, SIDE_FILES, 200000, SIDE_TCP, 100000, true);
    scene_pair(&scene);
    while (!scene.sides[1].shut || count < 400000) {
        scene_run_for(&scene, NANOSECONDS_PER_MILLISECOND);
        while ((got = read(scene.sides[1].read.fd, heard + count, sizeof(heard) - count)) > 0)
            count += (size_t)got;
        assert_true(got < 0 || count == 400000);
    }
    for (size_t i = 0; i < 200000; i++) {
        char expected;
        if (i % 1000 && i < 190000)
            continue;
        stream_bytes(1000, i, &expected, 1);
        assert_int_equal(heard[2 * i], expected);
        assert_int_equal(heard[2 * i + 1], expected);
    }
    while (!scene.ends)
        scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    assert_int_equal(scene.bytes[PAIR_FORTH], 200000); /* as they were read */
    scene_free(&scene, false);
}

static void swallow(void *user, const void *bytes, size_t length, struct buffer *converted)
{
    (void)user;
    (void)bytes;
    (void)length;
    (void)converted;
}

static void conversion_may_swallow(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.options.convert[PAIR_FORTH] = swallow;
    scene_sides(&scene, SIDE_TCP, TOTAL, SIDE_UNIX, 1000, false);
    scene.sides[1].hears = 0;
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    scene_free(&scene, true);
}

struct witness {
    struct scene scene;
    uint64_t seen[PAIR_DIRECTIONS];
};

static void bear_witness(void *user, enum pair_direction direction, const void *bytes,
                         size_t length)
{
    struct witness *witness = user;
    static char expected[PIPES_BUFFER_SIZE];
    stream_bytes(witness->scene.sides[direction].seed, witness->seen[direction], expected, length);
    assert_memory_equal(bytes, expected, length);
    witness->seen[direction] += length;
}

static void witness_ended(void *user, enum pair_outcome outcome, const struct error *error)
{
    scene_ended(&((struct witness *)user)->scene, outcome, error);
}

static void observers_see_all(void **state)
{
    struct witness witness = {0};
    (void)state;
    scene_new(&witness.scene);
    witness.scene.options.observe = bear_witness;
    witness.scene.options.ended = witness_ended;
    witness.scene.options.user = &witness;
    scene_sides(&witness.scene, SIDE_PIPES, TOTAL, SIDE_TCP, TOTAL, true);
    scene_pair(&witness.scene);
    scene_run(&witness.scene);
    assert_int_equal(witness.seen[PAIR_FORTH], TOTAL);
    assert_int_equal(witness.seen[PAIR_BACK], TOTAL);
    scene_free(&witness.scene, true);
}

/* ---- datagrams ---- */

static void udp_pair(int fds[2])
{
    struct sockaddr_in address[2];
    const int room = 4 << 20;
    for (int i = 0; i < 2; i++) {
        socklen_t length = sizeof(address[i]);
        address[i] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
        assert_int_equal(bind(fds[i], (struct sockaddr *)&address[i], length), 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&address[i], &length), 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address[!i], sizeof(address[i])), 0);
}

/* Two channels of datagrams: each arrives as one, of any size. */
static void datagrams_keep_their_boundaries(void **state)
{
    static const size_t sizes[] = {1, 0, 65507, 17, 0, 0, 65507, 1472, 8192, 1};
    static char bytes[65536], expected[65536];
    struct scene scene;
    int left[2], right[2];
    (void)state;
    scene_new(&scene);
    scene.sides[0].loop = scene.sides[1].loop = scene.loop;
    scene.sides[0].read.fd = scene.sides[0].write.fd = -1;
    scene.sides[1].read.fd = scene.sides[1].write.fd = -1;
    for (int i = 0; i < 2; i++)
        scene.sides[i].given[0] = scene.sides[i].given[1] = -1;
    udp_pair(left);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, right), 0);
    assert_int_equal(channel_socket_new(scene.loop, left[0], &scene.sides[0].channel), 0);
    assert_int_equal(channel_socket_new(scene.loop, right[0], &scene.sides[1].channel), 0);
    scene_pair(&scene);
    for (int way = 0; way < 2; way++) {
        int from = way ? right[1] : left[1], to = way ? left[1] : right[1];
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            stream_bytes(i, 0, bytes, sizes[i]);
            while (send(from, bytes, sizes[i], 0) < 0) { /* a Unix socket's queue is short */
                assert_int_equal(errno, EAGAIN);
                scene_run_for(&scene, NANOSECONDS_PER_MILLISECOND);
            }
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            ssize_t got;
            for (unsigned tries = 0; (got = recv(to, bytes, sizeof(bytes), 0)) < 0; tries++) {
                assert_int_equal(errno, EAGAIN);
                assert_true(tries < 5000);
                scene_run_for(&scene, NANOSECONDS_PER_MILLISECOND);
            }
            assert_int_equal(got, sizes[i]);
            stream_bytes(i, 0, expected, sizes[i]);
            assert_memory_equal(bytes, expected, sizes[i]);
        }
    }
    assert_int_equal(pair_bytes(scene.pair, PAIR_FORTH), pair_bytes(scene.pair, PAIR_BACK));
    assert_int_equal(scene.ends, 0);
    close(left[1]);
    close(right[1]);
    scene_free(&scene, true);
}

/* A stream is cut into datagrams as large as is wished, or as fits; a converted one still fits. */
static void streams_become_datagrams(void **state)
{
    static const size_t wishes[] = {0, 100, 0};
    static char bytes[65536], expected[65536];
    (void)state;
    for (size_t wish = 0; wish < 3; wish++) {
        struct scene scene;
        int right[2];
        size_t total = 0, most = 0, wanted = wish == 2 ? 300000 : 150000;
        scene_new(&scene);
        scene.options.message_size = wishes[wish];
        scene.options.convert[PAIR_FORTH] = wish == 2 ? twice : NULL;
        scene.sides[0].says = 150000;
        side_begin(&scene.sides[0], scene.loop, SIDE_FILES, false);
        scene.sides[1] = (struct side){.loop = scene.loop, .read.fd = -1, .write.fd = -1};
        scene.sides[1].given[0] = scene.sides[1].given[1] = -1;
        udp_pair(right);
        assert_int_equal(channel_socket_new(scene.loop, right[0], &scene.sides[1].channel), 0);
        scene_pair(&scene);
        for (unsigned tries = 0; total < wanted; tries++) {
            assert_true(tries < 20000);
            scene_run_for(&scene, NANOSECONDS_PER_MILLISECOND / 10);
            for (;;) {
                ssize_t got = recv(right[1], bytes, sizeof(bytes), 0);
                if (got < 0)
                    break;
                stream_bytes(1000, total, expected, (size_t)got);
                if (wish < 2)
                    assert_memory_equal(bytes, expected, (size_t)got);
                total += (size_t)got;
                most = (size_t)got > most ? (size_t)got : most;
            }
        }
        assert_int_equal(total, wanted);
        if (wish == 1)
            assert_int_equal(most, 100);
        else
            assert_in_range(most, 60000, 65507);
        assert_int_equal(scene.ends, 0);
        close(right[1]);
        scene_free(&scene, false);
    }
}

static void unreachable_datagrams_are_a_failure(void **state)
{
    struct scene scene;
    int right[2];
    (void)state;
    scene_new(&scene);
    scene.sides[0].says = 10;
    scene.sides[0].dumb = true;
    side_begin(&scene.sides[0], scene.loop, SIDE_PIPES, false);
    scene.sides[1] = (struct side){.loop = scene.loop, .read.fd = -1, .write.fd = -1};
    scene.sides[1].given[0] = scene.sides[1].given[1] = -1;
    udp_pair(right);
    close(right[1]); /* ICMP tells */
    assert_int_equal(channel_socket_new(scene.loop, right[0], &scene.sides[1].channel), 0);
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_FAILED);
    assert_int_equal(scene.error.code, ECONNREFUSED);
    assert_int_equal(scene.guilty, PAIR_SECOND);
    scene_free(&scene, false);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) /* only some of them */
        cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_to_every_kind),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(slow_sides),
        cmocka_unit_test(odd_chunks),
        cmocka_unit_test(one_slow_reader),
        cmocka_unit_test(without_descriptors),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(conversion_may_grow),
        cmocka_unit_test(conversion_may_swallow),
        cmocka_unit_test(observers_see_all),
        cmocka_unit_test(datagrams_keep_their_boundaries),
        cmocka_unit_test(streams_become_datagrams),
        cmocka_unit_test(unreachable_datagrams_are_a_failure),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
