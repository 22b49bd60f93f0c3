/* What happens next: descriptors that became ready, times that have come, signals, and work that
 * was put off. One thread; every callback is called from loop_run().
 *
 * Watches, timers and tasks are embedded in what they belong to, which they are taken out of the
 * loop before. Any callback may remove any of them, also those that are about to be called. */
#pragma once

#include "base/container.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>

struct loop;

/* Returns 0 or -errno. */
int loop_new(struct loop **ret_loop);
void loop_free(struct loop *loop); /* NULL is allowed; everything must have been taken out */

/* Calls back until loop_stop(), or until nothing is left that could ever call. Returns 0, or -errno
 * when waiting fails. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* after the callback that is running */

/* The monotonic time at which the present callbacks began, without a system call. */
uint64_t loop_now(const struct loop *loop);

/* ---- descriptors ---- */

struct watch {
    int fd;
    /* `events` are epoll's: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP. Edge-triggered: said
     * once each time something becomes possible; until an attempt gave EAGAIN it still is. */
    void (*ready)(struct watch *watch, uint32_t events);
};

/* Watches `watch->fd` for `events`. Returns 0, -EPERM for a regular file, which is always ready, or
 * -errno. The descriptor stays the caller's and is unwatched before it is closed. */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t events);
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Another watch for the descriptor of `from`, which no longer is one; what is possible now is said
 * again. Returns 0, or -errno with `from` as it was. */
int loop_rewatch(struct loop *loop, struct watch *from, struct watch *to, uint32_t events);

/* ---- times ---- */

struct timer {
    void (*due)(struct timer *timer);
    uint64_t time;  /* private */
    uint32_t place; /* private: where it stands in the heap, from 1; 0: not set */
};

/* Calls due() once, not before the monotonic `time`. Setting it again moves it. Returns 0 or
 * -ENOMEM; a timer that is set already is moved without needing memory. */
int loop_timer_set(struct loop *loop, struct timer *timer, uint64_t time);
void loop_timer_clear(struct loop *loop, struct timer *timer); /* also when it is not set */

/* ---- work put off ---- */

struct task {
    void (*run)(struct task *task);
    struct task *next, **link; /* private; `link` is NULL while it is not waiting */
};

/* Calls run() once, after the callbacks that are due now and before the loop waits. */
void loop_defer(struct loop *loop, struct task *task); /* once is enough */
void loop_cancel(struct loop *loop, struct task *task);

/* ---- signals ---- */

/* From now on the signals in `set` are blocked and given to `signalled` instead. They do not keep
 * loop_run() from ending. Children begin with the mask that loop_child_mask() gives. Returns 0 or
 * -errno. */
int loop_signals(struct loop *loop, const sigset_t *set,
                 void (*signalled)(void *user, const struct signalfd_siginfo *info), void *user);

/* The mask that held before loop_signals(), for a child to put back before it becomes a program. */
const sigset_t *loop_child_mask(const struct loop *loop);
