/* struct loop: epoll, a heap of timers, a list of tasks, a signalfd. */
#include "base/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 256 /* events taken at once */

struct loop {
    int epoll;
    uint64_t now;
    bool stopped;

    uint32_t watches; /* without the one of the signals */
    struct epoll_event batch[BATCH];
    int batch_next, batch_count; /* the part of the batch that is still to be called */

    struct timer **timers; /* a binary heap; [0] is not used */
    uint32_t timer_count, timer_capacity;

    struct task *tasks, **tasks_end;
    struct task mark; /* behind those that run in this turn */

    struct watch signals; /* fd -1: none */
    void (*signalled)(void *user, const struct signalfd_siginfo *info);
    void *signals_user;
    sigset_t child_mask;
};

int loop_new(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        int code = errno;
        free(loop);
        return -code;
    }
    loop->now = clock_monotonic();
    loop->tasks_end = &loop->tasks;
    loop->signals.fd = -1;
    sigprocmask(SIG_SETMASK, NULL, &loop->child_mask);
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->signals.fd >= 0)
        close(loop->signals.fd);
    close(loop->epoll);
    free(loop->timers);
    free(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

/* ---- descriptors ---- */

int loop_watch(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0)
        return -errno;
    loop->watches++;
    return 0;
}

/* What the loop was about to tell it is not told. */
static void forget_events(struct loop *loop, const struct watch *watch)
{
    for (int i = loop->batch_next; i < loop->batch_count; i++) {
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
    }
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    loop->watches--;
    forget_events(loop, watch);
}

int loop_rewatch(struct loop *loop, struct watch *from, struct watch *to, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = to};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, from->fd, &event) < 0)
        return -errno;
    forget_events(loop, from);
    return 0;
}

/* ---- times ---- */

static void timer_put(struct loop *loop, struct timer *timer, uint32_t place)
{
    loop->timers[place] = timer;
    timer->place = place;
}

/* Moves the timer towards the root or away from it, from `place` to where it belongs. */
static void timer_settle(struct loop *loop, struct timer *timer, uint32_t place)
{
    while (place > 1 && loop->timers[place / 2]->time > timer->time) {
        timer_put(loop, loop->timers[place / 2], place);
        place /= 2;
    }
    for (;;) {
        uint32_t child = 2 * place;
        if (child < loop->timer_count && loop->timers[child + 1]->time < loop->timers[child]->time)
            child++;
        if (child > loop->timer_count || loop->timers[child]->time >= timer->time)
            break;
        timer_put(loop, loop->timers[child], place);
        place = child;
    }
    timer_put(loop, timer, place);
}

int loop_timer_set(struct loop *loop, struct timer *timer, uint64_t time)
{
    timer->time = time;
    if (!timer->place) {
        if (loop->timer_count + 1 >= loop->timer_capacity) {
            uint32_t capacity = loop->timer_capacity ? 2 * loop->timer_capacity : 16;
            struct timer **timers = reallocarray(loop->timers, capacity, sizeof(struct timer *));
            if (!timers)
                return -ENOMEM;
            loop->timers = timers;
            loop->timer_capacity = capacity;
        }
        timer->place = ++loop->timer_count;
    }
    timer_settle(loop, timer, timer->place);
    return 0;
}

void loop_timer_clear(struct loop *loop, struct timer *timer)
{
    uint32_t place = timer->place;
    if (!place)
        return;
    timer->place = 0;
    struct timer *last = loop->timers[loop->timer_count--];
    if (last != timer)
        timer_settle(loop, last, place);
}

/* No more than were set at first: one that sets itself to a time that has come already waits until
 * the descriptors have been looked at again. */
static void call_timers(struct loop *loop)
{
    for (uint32_t most = loop->timer_count; !loop->stopped && most && loop->timer_count; most--) {
        struct timer *timer = loop->timers[1];
        if (timer->time > loop->now)
            return;
        loop_timer_clear(loop, timer);
        timer->due(timer);
    }
}

/* ---- work put off ---- */

void loop_defer(struct loop *loop, struct task *task)
{
    if (task->link)
        return;
    task->next = NULL;
    task->link = loop->tasks_end;
    *loop->tasks_end = task;
    loop->tasks_end = &task->next;
}

void loop_cancel(struct loop *loop, struct task *task)
{
    if (!task->link)
        return;
    *task->link = task->next;
    if (task->next)
        task->next->link = task->link;
    else
        loop->tasks_end = task->link;
    task->link = NULL;
}

/* Those that are put off meanwhile wait until the descriptors have been looked at again. A mark at
 * the end of the list, a task that does nothing, tells where they begin. */
static void run_nothing(struct task *task)
{
    (void)task;
}

static void call_tasks(struct loop *loop)
{
    if (!loop->tasks)
        return;
    loop->mark.run = run_nothing;
    loop_defer(loop, &loop->mark);
    while (!loop->stopped && loop->tasks != &loop->mark) {
        struct task *task = loop->tasks;
        loop_cancel(loop, task);
        task->run(task);
    }
    loop_cancel(loop, &loop->mark);
}

/* ---- signals ---- */

static void take_signals(struct watch *watch, uint32_t events)
{
    struct loop *loop = CONTAINER_OF(watch, struct loop, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (!loop->stopped && read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        loop->signalled(loop->signals_user, &info);
}

int loop_signals(struct loop *loop, const sigset_t *set,
                 void (*signalled)(void *user, const struct signalfd_siginfo *info), void *user)
{
    int fd = signalfd(loop->signals.fd, set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (loop->signals.fd < 0) {
        /* Not edge-triggered: signals that are left when the loop is stopped are told later. */
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->signals};
        if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
            int code = errno;
            close(fd);
            return -code;
        }
        loop->signals = (struct watch){.fd = fd, .ready = take_signals};
    }
    loop->signalled = signalled;
    loop->signals_user = user;
    return sigprocmask(SIG_BLOCK, set, NULL) < 0 ? -errno : 0;
}

const sigset_t *loop_child_mask(const struct loop *loop)
{
    return &loop->child_mask;
}

/* ---- the loop ---- */

/* An event is said once: those that are left when the loop is stopped are kept for its next run. */
static void call_watches(struct loop *loop)
{
    while (!loop->stopped && loop->batch_next < loop->batch_count) {
        const struct epoll_event *event = &loop->batch[loop->batch_next++];
        struct watch *watch = event->data.ptr;
        if (watch)
            watch->ready(watch, event->events);
    }
}

/* How long to wait, in milliseconds: rounded up, so that a timer is due when it is over. */
static int wait_time(const struct loop *loop)
{
    if (loop->tasks)
        return 0;
    if (!loop->timer_count)
        return -1;
    uint64_t time = loop->timers[1]->time;
    if (time <= loop->now)
        return 0;
    uint64_t wait = (time - loop->now - 1) / NANOSECONDS_PER_MILLISECOND + 1;
    return wait < 3600000 ? (int)wait : 3600000;
}

int loop_run(struct loop *loop)
{
    loop->stopped = false;
    loop->now = clock_monotonic();
    call_watches(loop);
    while (!loop->stopped && (loop->watches || loop->timer_count || loop->tasks)) {
        int count = epoll_wait(loop->epoll, loop->batch, BATCH, wait_time(loop));
        if (count < 0 && errno != EINTR)
            return -errno;
        loop->now = clock_monotonic();
        loop->batch_next = 0;
        loop->batch_count = count > 0 ? count : 0;
        call_watches(loop);
        call_timers(loop);
        call_tasks(loop);
    }
    return 0;
}
