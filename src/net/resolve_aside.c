/* struct resolve_aside: one thread a question, and an eventfd that tells of its answer. */
#include "net/resolve_aside.h"

#include "net/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Both the asker and the thread hold it; whoever lets go last frees it. */
struct question {
    atomic_int holders;
    int event; /* written by the thread when the rest may be read */
    char *name;
    enum address_family family;
    struct address addresses[RESOLVE_ASIDE_MAXIMUM];
    size_t count;
    struct error error;
};

struct resolve_aside {
    struct loop *loop;
    struct watch watch;
    struct question *question;
    void (*done)(void *user, const struct address *addresses, size_t count,
                 const struct error *error);
    void *user;
};

static void question_release(struct question *question)
{
    if (atomic_fetch_sub(&question->holders, 1) > 1)
        return;
    if (question->event >= 0)
        close(question->event);
    free(question->name);
    free(question);
}

static void *answer(void *argument)
{
    struct question *question = argument;
    const uint64_t one = 1;
    if (resolve_ordered(question->name, question->family, question->addresses,
                        RESOLVE_ASIDE_MAXIMUM, &question->count, &question->error) < 0)
        question->count = 0;
    (void)!write(question->event, &one, sizeof(one));
    question_release(question);
    return NULL;
}

void resolve_aside_cancel(struct resolve_aside *aside)
{
    if (!aside)
        return;
    loop_unwatch(aside->loop, &aside->watch);
    question_release(aside->question);
    free(aside);
}

static void answered(struct watch *watch, uint32_t events)
{
    struct resolve_aside *aside = CONTAINER_OF(watch, struct resolve_aside, watch);
    struct question *question = aside->question;
    uint64_t count;
    (void)events;
    if (read(watch->fd, &count, sizeof(count)) < 0)
        return;
    /* The caller may cancel others, and free what this belongs to, in its callback. */
    atomic_fetch_add(&question->holders, 1);
    void (*done)(void *, const struct address *, size_t, const struct error *) = aside->done;
    void *user = aside->user;
    resolve_aside_cancel(aside);
    done(user, question->addresses, question->count, question->count ? NULL : &question->error);
    question_release(question);
}

/* A thread that takes no signals: they are the loop's. */
static int start(struct question *question)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, &attributes, answer, question);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -code;
}

int resolve_aside(struct loop *loop, const char *name, enum address_family family,
                  void (*done)(void *user, const struct address *addresses, size_t count,
                               const struct error *error),
                  void *user, struct resolve_aside **ret_aside)
{
    struct resolve_aside *aside = calloc(1, sizeof(*aside));
    struct question *question = calloc(1, sizeof(*question));
    int failed = aside && question ? 0 : -ENOMEM;
    if (question) {
        question->family = family;
        question->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        question->name = strdup(name);
        atomic_init(&question->holders, 2);
        if (!question->name)
            failed = -ENOMEM;
        else if (question->event < 0)
            failed = -errno;
    }
    if (!failed) {
        *aside = (struct resolve_aside){.loop = loop,
                                        .watch = {.fd = question->event, .ready = answered},
                                        .question = question,
                                        .done = done,
                                        .user = user};
        failed = loop_watch(loop, &aside->watch, EPOLLIN);
    }
    if (!failed) {
        failed = start(question);
        if (failed)
            loop_unwatch(loop, &aside->watch);
    }
    if (failed) {
        if (question) {
            atomic_store(&question->holders, 1);
            question_release(question);
        }
        free(aside);
        return failed;
    }
    *ret_aside = aside;
    return 0;
}
