/* The loop: real descriptors, timers and signals; who is called, in which order, and who no more.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMBER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define MANY 5000

static struct loop *new_loop(void)
{
    struct loop *loop = NULL;
    assert_int_equal(loop_new(&loop), 0);
    return loop;
}

/* ---- times ---- */

struct alarm {
    struct timer timer;
    struct alarms *alarms;
    uint64_t time;
    bool set, rung;
};

struct alarms {
    struct loop *loop;
    struct alarm all[MANY];
    uint64_t order[MANY]; /* times, as they were called */
    size_t count;
};

static void ring(struct timer *timer)
{
    struct alarm *alarm = MEMBER(timer, struct alarm, timer);
    struct alarms *alarms = alarm->alarms;
    assert_true(alarm->set);
    assert_false(alarm->rung);
    assert_true(loop_now(alarms->loop) >= alarm->time);
    alarm->rung = true;
    alarms->order[alarms->count++] = alarm->time;
}

static int compare_times(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static void set_alarm(struct alarms *alarms, struct alarm *alarm, uint64_t time)
{
    alarm->set = true;
    alarm->time = time;
    assert_int_equal(loop_timer_set(alarms->loop, &alarm->timer, time), 0);
}

/* Set, moved and cleared at random; those that are left come in the order of their times. */
static void timers_come_in_order(void **state)
{
    struct alarms *alarms = calloc(1, sizeof(*alarms));
    static uint64_t expected[MANY];
    uint64_t seed = random_u64();
    size_t count = 0;
    (void)state;
    assert_non_null(alarms);
    alarms->loop = new_loop();
    uint64_t now = clock_monotonic();
    for (size_t i = 0; i < MANY; i++) {
        alarms->all[i].alarms = alarms;
        alarms->all[i].timer.due = ring;
        seed = mix64(seed + 1);
        set_alarm(alarms, &alarms->all[i], now + seed % (50 * NANOSECONDS_PER_MILLISECOND));
    }
    for (size_t i = 0; i < MANY; i++) {
        struct alarm *alarm = &alarms->all[i];
        seed = mix64(seed + 1);
        if (seed % 4 == 0) {
            loop_timer_clear(alarms->loop, &alarm->timer);
            loop_timer_clear(alarms->loop, &alarm->timer); /* twice does no harm */
            alarm->set = false;
        } else if (seed % 4 == 1) {
            set_alarm(alarms, alarm, now + (seed >> 8) % (50 * NANOSECONDS_PER_MILLISECOND));
        }
    }
    for (size_t i = 0; i < MANY; i++)
        if (alarms->all[i].set)
            expected[count++] = alarms->all[i].time;
    qsort(expected, count, sizeof(expected[0]), compare_times);
    assert_int_equal(loop_run(alarms->loop), 0);
    assert_int_equal(alarms->count, count);
    assert_memory_equal(alarms->order, expected, count * sizeof(expected[0]));
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(alarms->all[i].rung, alarms->all[i].set);
    loop_free(alarms->loop);
    free(alarms);
}

struct restless {
    struct loop *loop;
    struct timer timer;
    struct watch watch;
    unsigned times;
};

static void again_at_once(struct timer *timer)
{
    struct restless *restless = MEMBER(timer, struct restless, timer);
    const uint64_t one = 1;
    if (++restless->times == 10)
        assert_int_equal(write(restless->watch.fd, &one, sizeof(one)), sizeof(one));
    if (restless->times > 100000)
        fail_msg("a timer that is always due keeps descriptors from being looked at");
    assert_int_equal(loop_timer_set(restless->loop, timer, loop_now(restless->loop)), 0);
}

static void stop_at_event(struct watch *watch, uint32_t events)
{
    (void)events;
    loop_stop(MEMBER(watch, struct restless, watch)->loop);
}

static void timers_that_are_always_due_starve_nobody(void **state)
{
    struct restless restless = {.timer.due = again_at_once, .watch.ready = stop_at_event};
    (void)state;
    restless.loop = new_loop();
    restless.watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(loop_timer_set(restless.loop, &restless.timer, 0), 0);
    assert_int_equal(loop_watch(restless.loop, &restless.watch, EPOLLIN), 0);
    assert_int_equal(loop_run(restless.loop), 0);
    assert_in_range(restless.times, 10, 20);
    loop_timer_clear(restless.loop, &restless.timer);
    loop_unwatch(restless.loop, &restless.watch);
    close(restless.watch.fd);
    loop_free(restless.loop);
}

/* ---- tasks ---- */

struct chain {
    struct loop *loop;
    struct task first, second, third;
    struct watch watch;
    char calls[64];
    size_t count;
    unsigned rounds;
    char *freed;
};

static void note(struct chain *chain, char what)
{
    assert_true(chain->count + 1 < sizeof(chain->calls));
    chain->calls[chain->count++] = what;
}

static void run_first(struct task *task)
{
    struct chain *chain = MEMBER(task, struct chain, first);
    note(chain, '1');
    if (chain->rounds-- > 0)
        loop_defer(chain->loop, task);
}

static void run_second(struct task *task)
{
    note(MEMBER(task, struct chain, second), '2');
}

static void run_third(struct task *task)
{
    struct chain *chain = MEMBER(task, struct chain, third);
    note(chain, '3');
    loop_cancel(chain->loop, &chain->second);
    loop_cancel(chain->loop, &chain->second);
}

static void watch_noted(struct watch *watch, uint32_t events)
{
    struct chain *chain = MEMBER(watch, struct chain, watch);
    (void)events;
    note(chain, 'w');
    loop_unwatch(chain->loop, watch);
}

/* A task that puts itself off is called again after the descriptors were looked at, once each time.
 */
static void tasks_put_themselves_off(void **state)
{
    struct chain chain = {
        .first.run = run_first, .second.run = run_second, .watch.ready = watch_noted, .rounds = 3};
    (void)state;
    chain.loop = new_loop();
    chain.watch.fd = eventfd(1, EFD_CLOEXEC);
    loop_defer(chain.loop, &chain.first);
    loop_defer(chain.loop, &chain.first);
    loop_defer(chain.loop, &chain.second);
    assert_int_equal(loop_watch(chain.loop, &chain.watch, EPOLLIN), 0);
    assert_int_equal(loop_run(chain.loop), 0);
    assert_string_equal(chain.calls, "w12111");
    close(chain.watch.fd);
    loop_free(chain.loop);
}

/* A task takes out another one that is due in the same turn. */
static void tasks_take_out_tasks(void **state)
{
    struct chain chain = {.first.run = run_first, .second.run = run_second, .third.run = run_third};
    (void)state;
    chain.loop = new_loop();
    loop_defer(chain.loop, &chain.third);
    loop_defer(chain.loop, &chain.second); /* the last of the list: its end moves */
    assert_int_equal(loop_run(chain.loop), 0);
    assert_string_equal(chain.calls, "3");
    loop_defer(chain.loop, &chain.second);
    loop_defer(chain.loop, &chain.third);
    loop_cancel(chain.loop, &chain.third);
    loop_defer(chain.loop, &chain.first);
    assert_int_equal(loop_run(chain.loop), 0);
    assert_string_equal(chain.calls, "321");
    loop_free(chain.loop);
}

struct turner {
    struct loop *loop;
    struct task task;
    struct timer timer;
    unsigned times;
};

static void turn_and_stop(struct task *task)
{
    struct turner *turner = MEMBER(task, struct turner, task);
    turner->times++;
    loop_stop(turner->loop);
    loop_defer(turner->loop, task);
}

static void timer_stops(struct timer *timer)
{
    loop_stop(MEMBER(timer, struct turner, timer)->loop);
}

/* What waits when the loop is stopped still waits when it runs again. */
static void stopping_keeps_tasks(void **state)
{
    struct turner one = {.task.run = turn_and_stop}, other = {.task.run = turn_and_stop};
    (void)state;
    one.loop = other.loop = new_loop();
    loop_defer(one.loop, &one.task);
    loop_defer(one.loop, &other.task);
    for (unsigned i = 1; i <= 6; i++) {
        assert_int_equal(loop_run(one.loop), 0);
        assert_int_equal(one.times + other.times, i);
    }
    assert_int_equal(one.times, 3);
    loop_cancel(one.loop, &one.task);
    loop_cancel(one.loop, &other.task);
    assert_int_equal(loop_run(one.loop), 0); /* nothing is left */
    loop_free(one.loop);
}

/* ---- descriptors ---- */

#define WATCHES 300 /* more than one batch of events */

struct crowd;

struct member {
    struct crowd *crowd;
    struct watch watch;
    struct timer timer;
    struct task task;
    bool watched;
    unsigned calls;
};

struct crowd {
    struct loop *loop;
    struct member *members[WATCHES];
    size_t left;
    bool stops;
    unsigned total;
};

static void member_free(struct crowd *crowd, size_t i)
{
    struct member *member = crowd->members[i];
    crowd->members[i] = NULL;
    crowd->left--;
    loop_unwatch(crowd->loop, &member->watch);
    loop_timer_clear(crowd->loop, &member->timer);
    loop_cancel(crowd->loop, &member->task);
    close(member->watch.fd);
    free(member);
}

/* Everybody who is called frees two others, whose calls are due in the same batch. */
static void free_others(struct crowd *crowd, const struct member *self)
{
    unsigned victims = 2;
    crowd->total++;
    for (size_t i = 0; i < WATCHES && victims; i++) {
        size_t at = (i * 7 + crowd->total * 13) % WATCHES;
        if (crowd->members[at] && crowd->members[at] != self) {
            member_free(crowd, at);
            victims--;
        }
    }
}

static void free_self(struct crowd *crowd, const struct member *self)
{
    for (size_t i = 0; i < WATCHES; i++)
        if (crowd->members[i] == self)
            member_free(crowd, i);
}

static void member_ready(struct watch *watch, uint32_t events)
{
    struct member *member = MEMBER(watch, struct member, watch);
    struct crowd *crowd = member->crowd;
    assert_true(events & EPOLLIN);
    free_others(crowd, member);
    if (crowd->total % 3 == 0)
        free_self(crowd, member);
}

static void member_due(struct timer *timer)
{
    struct member *member = MEMBER(timer, struct member, timer);
    struct crowd *crowd = member->crowd;
    free_others(crowd, member);
    loop_defer(crowd->loop, &member->task);
}

static void member_run(struct task *task)
{
    struct member *member = MEMBER(task, struct member, task);
    struct crowd *crowd = member->crowd;
    free_others(crowd, member);
    free_self(crowd, member);
}

static void fill_crowd(struct crowd *crowd)
{
    for (size_t i = 0; i < WATCHES; i++) {
        struct member *member = calloc(1, sizeof(*member));
        assert_non_null(member);
        crowd->members[i] = member;
        member->crowd = crowd;
        member->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        member->watch.ready = member_ready;
        member->timer.due = member_due;
        member->task.run = member_run;
        assert_int_equal(loop_watch(crowd->loop, &member->watch, EPOLLIN), 0);
    }
    crowd->left = WATCHES;
}

static void callbacks_remove_those_of_the_same_batch(void **state)
{
    struct crowd crowd = {.loop = new_loop()};
    const uint64_t one = 1;
    (void)state;
    fill_crowd(&crowd);
    for (size_t i = 0; i < WATCHES; i++) {
        struct member *member = crowd.members[i];
        assert_int_equal(write(member->watch.fd, &one, sizeof(one)), sizeof(one));
        assert_int_equal(loop_timer_set(crowd.loop, &member->timer, loop_now(crowd.loop) + i % 3),
                         0);
        loop_defer(crowd.loop, &member->task);
    }
    assert_int_equal(loop_run(crowd.loop), 0);
    assert_int_equal(crowd.left, 0);
    assert_in_range(crowd.total, WATCHES / 4, WATCHES);
    loop_free(crowd.loop);
}

static void member_counts(struct watch *watch, uint32_t events)
{
    struct member *member = MEMBER(watch, struct member, watch);
    struct crowd *crowd = member->crowd;
    uint64_t value;
    (void)events;
    assert_int_equal(read(watch->fd, &value, sizeof(value)), sizeof(value));
    assert_int_equal(member->calls++, 0);
    if (crowd->stops)
        loop_stop(crowd->loop);
    if (++crowd->total == WATCHES)
        for (size_t i = 0; i < WATCHES; i++)
            member_free(crowd, i);
}

/* An event is said once, so those that were not called before the loop was stopped are called when
 * it goes on. */
static void stopping_loses_no_event(void **state)
{
    struct crowd crowd = {.loop = new_loop(), .stops = true};
    const uint64_t one = 1;
    (void)state;
    fill_crowd(&crowd);
    for (size_t i = 0; i < WATCHES; i++) {
        crowd.members[i]->watch.ready = member_counts;
        assert_int_equal(write(crowd.members[i]->watch.fd, &one, sizeof(one)), sizeof(one));
    }
    for (unsigned i = 1; i <= WATCHES; i++) {
        struct turner limit = {.loop = crowd.loop, .timer.due = timer_stops};
        assert_int_equal(loop_timer_set(crowd.loop, &limit.timer,
                                        clock_monotonic() + 5 * NANOSECONDS_PER_SECOND),
                         0);
        assert_int_equal(loop_run(crowd.loop), 0);
        loop_timer_clear(crowd.loop, &limit.timer);
        assert_int_equal(crowd.total, i);
    }
    assert_int_equal(crowd.left, 0);
    loop_free(crowd.loop);
}

/* A removal between two runs, of something whose event was still to be said. */
static void stopped_events_are_forgotten_with_their_watch(void **state)
{
    struct crowd crowd = {.loop = new_loop(), .stops = true};
    const uint64_t one = 1;
    (void)state;
    fill_crowd(&crowd);
    for (size_t i = 0; i < WATCHES; i++) {
        crowd.members[i]->watch.ready = member_counts;
        assert_int_equal(write(crowd.members[i]->watch.fd, &one, sizeof(one)), sizeof(one));
    }
    assert_int_equal(loop_run(crowd.loop), 0);
    for (size_t i = 0; i < WATCHES; i++)
        member_free(&crowd, i);
    assert_int_equal(loop_run(crowd.loop), 0);
    assert_int_equal(crowd.total, 1);
    loop_free(crowd.loop);
}

static void regular_files_are_not_watched(void **state)
{
    struct watch watch = {.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    struct loop *loop = new_loop();
    (void)state;
    assert_true(watch.fd >= 0);
    assert_int_equal(loop_watch(loop, &watch, EPOLLIN), -EPERM);
    close(watch.fd);
    watch.fd = -1;
    assert_int_equal(loop_watch(loop, &watch, EPOLLIN), -EBADF);
    assert_int_equal(loop_run(loop), 0); /* neither counts as something to wait for */
    loop_free(loop);
}

struct reader {
    struct loop *loop;
    struct watch watch;
    struct timer limit;
    unsigned calls, ends;
};

static void read_event(struct watch *watch, uint32_t events)
{
    struct reader *reader = MEMBER(watch, struct reader, watch);
    reader->calls++;
    if (events & EPOLLRDHUP)
        reader->ends++;
}

static void limit_stops(struct timer *timer)
{
    loop_stop(MEMBER(timer, struct reader, limit)->loop);
}

/* Nobody reads, and the other side has ended: that is told once, and then the loop sleeps. */
static void edges_are_told_once(void **state)
{
    struct reader reader = {.watch.ready = read_event, .limit.due = limit_stops};
    struct rusage before, after;
    int fds[2];
    (void)state;
    reader.loop = new_loop();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    reader.watch.fd = fds[0];
    assert_int_equal(loop_watch(reader.loop, &reader.watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    close(fds[1]);
    loop_timer_set(reader.loop, &reader.limit, clock_monotonic() + 300000000);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(loop_run(reader.loop), 0);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(reader.calls, 1, 3);
    assert_in_range(reader.ends, 1, 2);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 50); /* it woke up only a few times */
    loop_unwatch(reader.loop, &reader.watch);
    close(fds[0]);
    loop_free(reader.loop);
}

struct heir {
    struct loop *loop;
    struct watch old, new, other;
    unsigned calls;
};

static void disinherit(struct watch *watch, uint32_t events)
{
    struct heir *heir = MEMBER(watch, struct heir, other);
    (void)events;
    assert_int_equal(loop_rewatch(heir->loop, &heir->old, &heir->new, EPOLLIN), 0);
    loop_unwatch(heir->loop, watch);
}

static void inherit(struct watch *watch, uint32_t events)
{
    struct heir *heir = MEMBER(watch, struct heir, new);
    assert_true(events & EPOLLIN);
    heir->calls++;
    loop_unwatch(heir->loop, watch);
}

static void must_not_be_called(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    fail_msg("a watch that is none any more was called");
}

/* The event of the former watch is in the batch; the new one is told of it. */
static void descriptors_change_their_watch(void **state)
{
    struct heir heir = {
        .old.ready = must_not_be_called, .new.ready = inherit, .other.ready = disinherit};
    (void)state;
    heir.loop = new_loop();
    heir.other.fd = eventfd(1, EFD_CLOEXEC);
    heir.old.fd = heir.new.fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(loop_watch(heir.loop, &heir.other, EPOLLIN), 0);
    assert_int_equal(loop_watch(heir.loop, &heir.old, EPOLLIN), 0);
    assert_int_equal(loop_run(heir.loop), 0);
    assert_int_equal(heir.calls, 1);
    close(heir.other.fd);
    close(heir.old.fd);
    loop_free(heir.loop);
}

/* ---- signals ---- */

struct signals {
    struct loop *loop;
    struct timer limit;
    int numbers[8];
    size_t count, wanted;
    bool stops;
};

static void signalled(void *user, const struct signalfd_siginfo *info)
{
    struct signals *signals = user;
    assert_true(signals->count < 8);
    signals->numbers[signals->count++] = (int)info->ssi_signo;
    if (signals->stops || signals->count == signals->wanted)
        loop_stop(signals->loop);
}

static void signals_are_late(struct timer *timer)
{
    (void)timer;
    fail_msg("no signal came");
}

static void signals_are_told(void **state)
{
    struct signals signals = {.limit.due = signals_are_late, .wanted = 2};
    sigset_t before, set, now;
    (void)state;
    sigprocmask(SIG_SETMASK, NULL, &before);
    signals.loop = new_loop();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(loop_signals(signals.loop, &set, signalled, &signals), 0);
    assert_int_equal(loop_run(signals.loop), 0); /* they alone do not keep it running */
    sigaddset(&set, SIGUSR2);
    assert_int_equal(loop_signals(signals.loop, &set, signalled, &signals), 0);
    sigprocmask(SIG_SETMASK, NULL, &now);
    assert_true(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
    assert_false(sigismember(loop_child_mask(signals.loop), SIGUSR1));
    loop_timer_set(signals.loop, &signals.limit, clock_monotonic() + 5 * NANOSECONDS_PER_SECOND);
    raise(SIGUSR1);
    raise(SIGUSR2);
    assert_int_equal(loop_run(signals.loop), 0);
    assert_int_equal(signals.count, 2);
    assert_true((signals.numbers[0] == SIGUSR1 && signals.numbers[1] == SIGUSR2) ||
                (signals.numbers[0] == SIGUSR2 && signals.numbers[1] == SIGUSR1));
    /* Two at once, each of which stops the loop: the second one is told by the next run. */
    signals.stops = true;
    raise(SIGUSR1);
    raise(SIGUSR2);
    assert_int_equal(loop_run(signals.loop), 0);
    assert_int_equal(signals.count, 3);
    assert_int_equal(loop_run(signals.loop), 0);
    assert_int_equal(signals.count, 4);
    loop_timer_clear(signals.loop, &signals.limit);
    loop_free(signals.loop);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_come_in_order),
        cmocka_unit_test(timers_that_are_always_due_starve_nobody),
        cmocka_unit_test(tasks_put_themselves_off),
        cmocka_unit_test(tasks_take_out_tasks),
        cmocka_unit_test(stopping_keeps_tasks),
        cmocka_unit_test(callbacks_remove_those_of_the_same_batch),
        cmocka_unit_test(stopping_loses_no_event),
        cmocka_unit_test(stopped_events_are_forgotten_with_their_watch),
        cmocka_unit_test(regular_files_are_not_watched),
        cmocka_unit_test(edges_are_told_once),
        cmocka_unit_test(descriptors_change_their_watch),
        cmocka_unit_test(signals_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
