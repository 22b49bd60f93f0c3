/* How pairs end: properly, by failures, at any moment; and what they cost until then. */
#include "own_network.h"
#include "talk_scene.h"

#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>

#define TOTAL ((uint64_t)1200000)

/* ---- ends ---- */

/* One ends first; the other hears it, and only then says what it has to say. */
static void half_close_is_carried_through(void **state)
{
    (void)state;
    for (int waiting = 0; waiting < 2; waiting++) {
        struct scene scene;
        scene_new(&scene);
        scene.sides[waiting].waits = true;
        scene_sides(&scene, SIDE_TCP, 200000, SIDE_UNIX, 300000, false);
        scene_pair(&scene);
        scene_run(&scene);
        assert_int_equal(scene.outcome, PAIR_ENDED);
        scene_free(&scene, true);
    }
}

static void keep_tells_no_end(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.options.on_eof[PAIR_FORTH] = PAIR_KEEP;
    scene.sides[1].dumb = true;
    scene_sides(&scene, SIDE_PIPES, 1000, SIDE_TCP, 2000, false);
    scene_pair(&scene);
    assert_in_range(scene_run_for(&scene, 200 * NANOSECONDS_PER_MILLISECOND), 0,
                    120 * NANOSECONDS_PER_MILLISECOND);
    assert_int_equal(scene.sides[1].heard, 1000);
    assert_false(scene.sides[1].ended);
    assert_int_equal(scene.ends, 0);
    scene.sides[1].dumb = false;
    loop_defer(scene.loop, &scene.sides[1].task);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    scene_free(&scene, true);
}

/* The other side is told the end, may go on for a while, and is cut off then. */
static void close_ends_it(void **state)
{
    (void)state;
    for (uint64_t patience = 0; patience < 2; patience++) {
        struct scene scene;
        scene_new(&scene);
        scene.options.on_eof[PAIR_FORTH] = PAIR_CLOSE;
        scene.options.eof_patience = patience * 100 * NANOSECONDS_PER_MILLISECOND;
        scene.sides[1].dumb = true;
        scene_sides(&scene, SIDE_PIPES, TOTAL, SIDE_TCP, 2000, true);
        scene_pair(&scene);
        scene_run(&scene);
        assert_int_equal(scene.outcome, PAIR_CLOSED);
        side_read_rest(&scene.sides[1]);
        assert_int_equal(scene.sides[1].heard, TOTAL);
        scene_free(&scene, patience > 0);
    }
}

/* A side that has all of it still in its kernel when the pair closes. */
static void close_waits_for_a_slow_reader(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.options.on_eof[PAIR_FORTH] = PAIR_CLOSE;
    scene.sides[1].dumb = scene.sides[1].deaf = true;
    scene_sides(&scene, SIDE_FILES, 3000000, SIDE_TCP, 100000, false);
    scene_pair(&scene);
    scene_run_for(&scene, 200 * NANOSECONDS_PER_MILLISECOND);
    assert_int_equal(scene.ends, 0);
    scene.sides[1].deaf = false;
    loop_defer(scene.loop, &scene.sides[1].task);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_CLOSED);
    side_read_rest(&scene.sides[1]);
    assert_int_equal(scene.sides[1].heard, 3000000);
    scene_free(&scene, false);
}

static void pair_close_ends_it(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.sides[0].dumb = scene.sides[1].dumb = true;
    scene_sides(&scene, SIDE_TCP, 1000, SIDE_UNIX, 1000, false);
    scene_pair(&scene);
    pair_close(scene.pair);
    pair_close(scene.pair);
    assert_int_equal(scene.ends, 0);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_CLOSED);
    assert_int_equal(scene.ends, 1);
    scene_free(&scene, false);
}

static void silence_ends_it(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.options.idle = 100 * NANOSECONDS_PER_MILLISECOND;
    scene.sides[0].dumb = scene.sides[1].dumb = true;
    scene_sides(&scene, SIDE_TCP, 1000, SIDE_UNIX, 2000, false);
    uint64_t began = clock_monotonic();
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_IDLE);
    assert_true(clock_monotonic() - began >= 100 * NANOSECONDS_PER_MILLISECOND);
    scene_free(&scene, true);
}

struct talker {
    struct scene *scene;
    struct timer timer;
    unsigned left;
};

static void say_more(struct timer *timer)
{
    struct talker *talker = MEMBER(timer, struct talker, timer);
    struct side *side = &talker->scene->sides[0];
    side->says++;
    talker->scene->sides[1].hears++;
    side->dumb = --talker->left > 0;
    loop_defer(talker->scene->loop, &side->task);
    if (talker->left)
        loop_timer_set(talker->scene->loop, timer,
                       loop_now(talker->scene->loop) + 50 * NANOSECONDS_PER_MILLISECOND);
}

/* A byte now and then is no silence; the whole takes longer than `idle`. */
static void bytes_are_no_silence(void **state)
{
    struct scene scene;
    struct talker talker = {.scene = &scene, .timer.due = say_more, .left = 40};
    (void)state;
    scene_new(&scene);
    scene.options.idle = NANOSECONDS_PER_SECOND;
    scene.sides[0].dumb = scene.sides[1].waits = true;
    scene_sides(&scene, SIDE_TCP, 0, SIDE_UNIX, 0, false);
    scene_pair(&scene);
    loop_timer_set(scene.loop, &talker.timer, 0);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    assert_int_equal(scene.sides[1].heard, 40);
    scene_free(&scene, true);
}

static void delay_slows_reads_down(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.options.delay = 10 * NANOSECONDS_PER_MILLISECOND;
    scene_sides(&scene, SIDE_FILES, TOTAL, SIDE_TCP, 3000, false);
    uint64_t began = clock_monotonic();
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    assert_true(clock_monotonic() - began >= 40 * NANOSECONDS_PER_MILLISECOND);
    scene_free(&scene, true);
}

/* ---- failures ---- */

/* The first side says all of it and resets; the second one reads slowly, and has everything before
 * it is told the failure. */
static void all_is_delivered_before_a_reset(void **state)
{
    static const enum side_kind seconds[] = {SIDE_TCP, SIDE_PIPES, SIDE_FILES, SIDE_UNIX};
    const struct linger now = {.l_onoff = 1};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct scene scene;
        int unsent = 1;
        scene_new(&scene);
        scene.sides[0].dumb = scene.sides[1].dumb = scene.sides[1].deaf = true;
        scene_sides(&scene, SIDE_TCP, 30000, seconds[i], 0, false);
        if (seconds[i] == SIDE_TCP)
            small_buffers(scene.sides[1].read.fd, false);
        while (scene.sides[0].said < 30000)
            assert_true(side_write(&scene.sides[0]));
        loop_unwatch(scene.loop, &scene.sides[0].read);
        scene.sides[0].read_watched = false;
        assert_int_equal(ioctl(scene.sides[0].read.fd, SIOCOUTQ, &unsent), 0);
        assert_int_equal(unsent, 0); /* a reset takes with it what has not arrived */
        setsockopt(scene.sides[0].read.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(scene.sides[0].read.fd);
        scene.sides[0].read.fd = scene.sides[0].write.fd = -1;
        scene_pair(&scene);
        scene_run_for(&scene, 20 * NANOSECONDS_PER_MILLISECOND);
        scene.sides[1].deaf = false;
        scene.sides[1].chunk = 999;
        loop_defer(scene.loop, &scene.sides[1].task);
        if (!scene.ends)
            scene_run(&scene);
        assert_int_equal(scene.outcome, PAIR_FAILED);
        assert_int_equal(scene.error.code, ECONNRESET);
        assert_int_equal(scene.guilty, PAIR_FIRST);
        assert_int_equal(scene.bytes[PAIR_FORTH], 30000);
        scene_free(&scene, true);
    }
}

/* The second side answers, and closes without having read everything, which resets: the answer
 * arrives although writing to it failed. */
static void an_answer_is_read_after_a_failed_write(void **state)
{
    static const enum side_kind firsts[] = {SIDE_TCP, SIDE_PIPES, SIDE_FILE_IN, SIDE_FILES};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct scene scene;
        scene_new(&scene);
        scene.sides[1].dumb = scene.sides[1].deaf = true;
        scene.sides[0].chunk = 100;
        scene_sides(&scene, firsts[i], 4000000, SIDE_TCP, 40000, false);
        small_buffers(scene.sides[1].read.fd, false);
        scene.sides[0].deaf = true;
        scene_pair(&scene);
        for (unsigned turns = 0; turns < 500 && scene.sides[1].said < 40000; turns++)
            scene_run_for(&scene, 20 * NANOSECONDS_PER_MILLISECOND);
        assert_int_equal(scene.sides[1].said, 40000);
        loop_unwatch(scene.loop, &scene.sides[1].read);
        scene.sides[1].read_watched = false;
        close(scene.sides[1].read.fd);
        scene.sides[1].read.fd = scene.sides[1].write.fd = -1;
        scene_run_for(&scene, 20 * NANOSECONDS_PER_MILLISECOND);
        scene.sides[0].deaf = false;
        loop_defer(scene.loop, &scene.sides[0].task);
        if (!scene.ends)
            scene_run(&scene);
        assert_int_equal(scene.outcome, PAIR_FAILED);
        assert_int_equal(scene.guilty, PAIR_SECOND);
        assert_true(scene.error.code == ECONNRESET || scene.error.code == EPIPE);
        assert_int_equal(scene.bytes[PAIR_BACK], 40000);
        scene.sides[1].hears = 0;
        scene_free(&scene, true);
    }
}

static void standard_output_may_break(void **state)
{
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        for (enum side_kind first = SIDE_PIPES; first <= SIDE_SHARED; first++) {
            struct scene scene;
            scene_new(&scene);
            scene.options.observe = seen ? see : NULL;
            scene.sides[0].dumb = true;
            scene_sides(&scene, first, 1000, SIDE_TCP, TOTAL, false);
            loop_unwatch(scene.loop, &scene.sides[0].read);
            scene.sides[0].read_watched = false;
            close(scene.sides[0].read.fd);
            scene.sides[0].read.fd = -1;
            scene_pair(&scene);
            scene_run(&scene);
            assert_int_equal(scene.outcome, PAIR_FAILED);
            assert_int_equal(scene.error.code, EPIPE);
            assert_int_equal(scene.guilty, PAIR_FIRST);
            scene_free(&scene, false);
        }
    }
}

/* ---- nobody spins, nobody starves ---- */

static void waiting_costs_nothing(void **state)
{
    const uint64_t pause = 50 * NANOSECONDS_PER_MILLISECOND;
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++) {
        for (enum side_kind second = 0; second < SIDE_FILES; second++) {
            struct scene scene;
            scene_new(&scene);
            /* Much is said to who does not listen, and who says it ends. */
            scene.sides[0].dumb = second % 2;
            scene.sides[1].dumb = scene.sides[1].deaf = true;
            scene_sides(&scene, first, 20 * TOTAL, second, 100, first % 2);
            scene_pair(&scene);
            scene_run_for(&scene, 30 * NANOSECONDS_PER_MILLISECOND);
            uint64_t used = scene_run_for(&scene, pause);
            if (used > pause / 2)
                fail_msg("%d to %d spins: %llu ns", first, second, (unsigned long long)used);
            scene_free(&scene, false);
        }
    }
}

/* Both have ended in one direction, one is at its end altogether. */
static void half_closed_costs_nothing(void **state)
{
    const uint64_t pause = 50 * NANOSECONDS_PER_MILLISECOND;
    (void)state;
    for (enum side_kind first = 0; first < SIDE_KINDS; first++) {
        for (enum side_kind second = 0; second < SIDE_FILES; second++) {
            struct scene scene;
            scene_new(&scene);
            scene.sides[1].dumb = true;
            scene_sides(&scene, first, 1000, second, 100, false);
            scene_pair(&scene);
            scene_run_for(&scene, 20 * NANOSECONDS_PER_MILLISECOND);
            assert_int_equal(scene.ends, 0);
            uint64_t used = scene_run_for(&scene, pause);
            if (used > pause / 2)
                fail_msg("%d to %d spins: %llu ns", first, second, (unsigned long long)used);
            scene_free(&scene, false);
        }
    }
}

static void flood(struct scene *fast, int in, int out, struct loop *loop, struct pipes *pipes)
{
    *fast = (struct scene){.loop = loop};
    assert_int_equal(channel_stdio_new(loop, in, -1, &fast->sides[0].channel), 0);
    assert_int_equal(channel_stdio_new(loop, -1, out, &fast->sides[1].channel), 0);
    fast->options.on_eof[PAIR_BACK] = PAIR_KEEP;
    assert_int_equal(pair_new(loop, pipes, fast->sides[0].channel, fast->sides[1].channel,
                              &fast->options, &fast->pair),
                     0);
}

/* A pair that never comes to a pause leaves others their turns. */
static void the_fast_do_not_starve_the_slow(void **state)
{
    struct scene scene, fast;
    (void)state;
    scene_new(&scene);
    int in = open("/dev/zero", O_RDONLY | O_CLOEXEC), out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    flood(&fast, in, out, scene.loop, &scene.pipes);
    scene.sides[0].chunk = scene.sides[1].chunk = 10;
    scene_sides(&scene, SIDE_TCP, 2000, SIDE_PIPES, 2000, true);
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    assert_int_equal(fast.ends, 0);
    assert_true(pair_bytes(fast.pair, PAIR_FORTH) > 0);
    pair_free(fast.pair, false);
    close(in);
    close(out);
    scene_free(&scene, true);
}

/* A channel that always has another empty datagram. */
static ssize_t endless_read(struct channel *channel, void *bytes, size_t size)
{
    (void)channel;
    (void)bytes;
    (void)size;
    return 0;
}

static ssize_t endless_write(struct channel *channel, const void *bytes, size_t length)
{
    (void)channel;
    (void)bytes;
    return (ssize_t)length;
}

static int endless_shut(struct channel *channel)
{
    (void)channel;
    return 0;
}

static void endless_free(struct channel *channel, bool abort)
{
    (void)channel;
    (void)abort;
}

static void the_empty_do_not_starve_the_slow(void **state)
{
    static const struct channel_class class = {.name = "endless",
                                               .read = endless_read,
                                               .write = endless_write,
                                               .shut = endless_shut,
                                               .free = endless_free};
    struct channel ends[2];
    struct pair_options options = {.user = NULL};
    struct pair *pair;
    struct scene scene;
    (void)state;
    scene_new(&scene);
    for (int i = 0; i < 2; i++)
        ends[i] = (struct channel){.class = &class,
                                   .readable = true,
                                   .writable = true,
                                   .messages = true,
                                   .splice_in = -1,
                                   .splice_out = -1};
    assert_int_equal(pair_new(scene.loop, &scene.pipes, &ends[0], &ends[1], &options, &pair), 0);
    scene_sides(&scene, SIDE_TCP, 2000, SIDE_PIPES, 2000, true);
    scene_pair(&scene);
    alarm(60); /* the loop's own limit would starve, too */
    scene_run(&scene);
    alarm(0);
    assert_int_equal(scene.outcome, PAIR_ENDED);
    pair_free(pair, false);
    scene_free(&scene, true);
}

/* ---- freed at any moment ---- */

struct stopper {
    struct loop *loop;
    struct task task;
    unsigned turns;
};

static void stop_after(struct task *task)
{
    struct stopper *stopper = MEMBER(task, struct stopper, task);
    if (stopper->turns-- == 0)
        loop_stop(stopper->loop);
    else
        loop_defer(stopper->loop, task);
}

static void freed_after_any_number_of_turns(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 120; turns++) {
        struct scene scene;
        struct stopper stopper = {.task.run = stop_after, .turns = turns / 3};
        scene_new(&scene);
        if (turns % 2)
            scene.options.delay = 1000;
        scene.options.idle = NANOSECONDS_PER_SECOND;
        scene.options.on_eof[PAIR_FORTH] = turns % 3;
        scene.options.convert[PAIR_BACK] = turns % 5 ? NULL : twice;
        scene_sides(&scene, turns % SIDE_KINDS, TOTAL, (turns / 3) % SIDE_KINDS, TOTAL, turns & 8);
        scene.sides[0].hears *= 2;
        scene.sides[0].deaf = true;
        scene_pair(&scene);
        stopper.loop = scene.loop;
        loop_defer(scene.loop, &stopper.task);
        assert_int_equal(loop_run(scene.loop), 0);
        loop_cancel(scene.loop, &stopper.task);
        pair_free(scene.pair, turns & 1);
        scene.pair = NULL;
        scene.sides[0].hears = 0;
        if (scene.sides[0].kind == SIDE_FILES || scene.sides[0].kind == SIDE_APPEND)
            assert_int_equal(ftruncate(scene.sides[0].given[1], 0), 0);
        scene_free(&scene, false);
    }
}

/* The owner keeps the pair when it is over: nothing happens any more. */
static void over_is_over(void **state)
{
    struct scene scene;
    (void)state;
    scene_new(&scene);
    scene.keep = true;
    scene.options.idle = 30 * NANOSECONDS_PER_MILLISECOND;
    scene.sides[0].dumb = true;
    scene_sides(&scene, SIDE_TCP, 1000, SIDE_UNIX, 1000, false);
    scene_pair(&scene);
    scene_run(&scene);
    assert_int_equal(scene.outcome, PAIR_IDLE);
    scene.sides[0].dumb = false;
    loop_defer(scene.loop, &scene.sides[0].task);
    scene_run_for(&scene, 30 * NANOSECONDS_PER_MILLISECOND);
    assert_int_equal(scene.ends, 1);
    scene_free(&scene, true);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) /* only some of them */
        cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_close_is_carried_through),
        cmocka_unit_test(keep_tells_no_end),
        cmocka_unit_test(close_ends_it),
        cmocka_unit_test(close_waits_for_a_slow_reader),
        cmocka_unit_test(pair_close_ends_it),
        cmocka_unit_test(silence_ends_it),
        cmocka_unit_test(bytes_are_no_silence),
        cmocka_unit_test(delay_slows_reads_down),
        cmocka_unit_test(all_is_delivered_before_a_reset),
        cmocka_unit_test(an_answer_is_read_after_a_failed_write),
        cmocka_unit_test(standard_output_may_break),
        cmocka_unit_test(waiting_costs_nothing),
        cmocka_unit_test(half_closed_costs_nothing),
        cmocka_unit_test(the_fast_do_not_starve_the_slow),
        cmocka_unit_test(the_empty_do_not_starve_the_slow),
        cmocka_unit_test(freed_after_any_number_of_turns),
        cmocka_unit_test(over_is_over),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
