/* The pool of threads that walk: everything that is handed out is done once, and told. */
#include "link/workers.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define POSITIONS 4096
#define STEP 16
#define PATIENCE 10000 /* milliseconds */

static const unsigned char next_hop[HARDWARE_SIZE] = {1, 2, 3, 4, 5, 6};

struct scene {
    atomic_uint walked[POSITIONS];
    atomic_uint wrong; /* on another processor than it was told, or with another next hop */
    atomic_bool held;  /* nobody goes on */
    int fails;         /* -errno of the walk with position 0 */
    unsigned processors[WORKERS + 1];
    unsigned started;
};

static void on_start(void *user, unsigned number, unsigned processor)
{
    struct scene *scene = user;
    assert_int_equal(number, ++scene->started);
    scene->processors[number] = processor;
}

static int walk(void *user, unsigned number, const struct walk *walk,
                const unsigned char hop[static HARDWARE_SIZE], uint64_t *ret_sent)
{
    struct scene *scene = user;
    const struct timespec moment = {.tv_nsec = 100000};
    while (atomic_load(&scene->held))
        nanosleep(&moment, NULL);
    if (memcmp(hop, next_hop, HARDWARE_SIZE) != 0 ||
        (number > 0 && sched_getcpu() != (int)scene->processors[number]))
        atomic_fetch_add(&scene->wrong, 1);
    for (uint64_t i = walk->position; i < walk->end; i++)
        atomic_fetch_add(&scene->walked[i], 1);
    *ret_sent = (walk->end - walk->position) / 2;
    return walk->position == 0 ? scene->fails : 0;
}

static bool give(struct workers *workers, uint64_t position)
{
    const struct walk stretch = {.position = position, .end = position + STEP, .packets = STEP};
    return workers_give(workers, &stretch, next_hop);
}

/* Until something has been told, which workers_facts() takes back. */
static void wait_for(struct workers *workers)
{
    struct pollfd polled = {.fd = workers_descriptor(workers), .events = POLLIN};
    assert_int_equal(poll(&polled, 1, PATIENCE), 1);
}

static struct walk_facts finish(struct workers *workers)
{
    struct walk_facts facts = workers_facts(workers);
    while (facts.active) {
        wait_for(workers);
        facts = workers_facts(workers);
    }
    assert_true(facts.oldest == UINT64_MAX);
    return facts;
}

static void assert_all_done(unsigned most)
{
    struct scene scene = {0};
    struct workers *workers;
    assert_int_equal(workers_open(1, most, walk, on_start, &scene, &workers), 0);
    assert_true(scene.started <= most);
    for (uint64_t position = 0; position < POSITIONS; position += STEP)
        while (!give(workers, position)) {
            wait_for(workers);
            (void)workers_facts(workers);
        }
    const struct walk_facts facts = finish(workers);
    assert_int_equal(facts.granted, POSITIONS);
    assert_int_equal(facts.sent, POSITIONS / 2);
    assert_int_equal(facts.code, 0);
    assert_int_equal(scene.wrong, 0);
    for (unsigned i = 0; i < POSITIONS; i++)
        assert_int_equal(scene.walked[i], 1);
    workers_close(workers);
}

static void every_stretch_is_walked_once(void **state)
{
    (void)state;
    for (unsigned most = 0; most <= 4; most++)
        assert_all_done(most);
}

static void they_take_no_more_than_they_can_do(void **state)
{
    struct scene scene = {.held = true};
    struct workers *workers;
    (void)state;
    assert_int_equal(workers_open(1, 1, walk, on_start, &scene, &workers), 0);
    if (scene.started == 0) {
        workers_close(workers);
        skip(); /* a single processor: nothing is ever waited for */
    }
    assert_true(give(workers, 64));
    assert_true(give(workers, 32));
    assert_false(give(workers, 0));
    assert_int_equal(workers_facts(workers).active, 2);
    assert_int_equal(workers_facts(workers).oldest, 32);
    atomic_store(&scene.held, false);
    assert_int_equal(finish(workers).granted, 2 * STEP);
    workers_close(workers);
}

static void a_failure_is_told(void **state)
{
    struct scene scene = {.fails = -EPERM};
    struct workers *workers;
    (void)state;
    assert_int_equal(workers_open(1, 2, walk, on_start, &scene, &workers), 0);
    assert_true(give(workers, STEP));
    assert_int_equal(finish(workers).code, 0);
    assert_true(give(workers, 0));
    assert_int_equal(finish(workers).code, EPERM);
    workers_close(workers);
}

/* What waits is left, what is being done is ended. */
static void they_end_in_the_midst_of_it(void **state)
{
    struct scene scene = {0};
    struct workers *workers;
    (void)state;
    assert_int_equal(workers_open(1, 3, walk, on_start, &scene, &workers), 0);
    for (uint64_t position = 0; position < POSITIONS && give(workers, position);)
        position += STEP;
    workers_close(workers);
    for (unsigned i = 0; i < POSITIONS; i++)
        assert_in_range(scene.walked[i], 0, 1);
    workers_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stretch_is_walked_once),
        cmocka_unit_test(they_take_no_more_than_they_can_do),
        cmocka_unit_test(a_failure_is_told),
        cmocka_unit_test(they_end_in_the_midst_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
