/* A pool of threads, each with a short queue, behind one lock: a walk takes a few hundred
 * microseconds, so that nobody waits for it. */
#include "link/workers.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALL_FILES 0x1fff /* what the first version of landlock(7) knows can be done with them */
#define QUEUE 2          /* walks of a worker: the one that it does and the next */

struct job {
    struct walk walk;
    unsigned char next_hop[HARDWARE_SIZE];
};

struct worker {
    struct workers *pool;
    unsigned number, processor;
    int failed; /* -errno: it is not where it has to be */
    bool ready; /* it has given up its rights */
    pthread_t thread;
    pthread_cond_t wanted;
    struct job queue[QUEUE];
    unsigned first, count;
};

struct workers {
    worker_fn *walk;
    void (*on_start)(void *user, unsigned number, unsigned processor);
    void *user;
    int descriptor;
    pthread_mutex_t lock; /* of everything below, of the queues and of who is ready */
    pthread_cond_t started;
    struct worker items[WORKERS];
    unsigned count, next;
    struct walk_facts facts;
    bool ending;
};

/* A walk needs no capability and no file: rights are given up by the thread. What the kernel is too
 * old for is left as it is. */
static void drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    const struct landlock_ruleset_attr files = {.handled_access_fs = ALL_FILES};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long ruleset = syscall(SYS_landlock_create_ruleset, &files, sizeof(files), 0);
    if (ruleset >= 0) {
        syscall(SYS_landlock_restrict_self, ruleset, 0);
        close((int)ruleset);
    }
    syscall(SYS_capset, &header, none);
}

static void tell(const struct workers *workers)
{
    const uint64_t one = 1;
    ssize_t written = write(workers->descriptor, &one, sizeof(one));
    (void)written; /* it can only be readable already */
}

static void book(struct workers *workers, const struct walk *walk, uint64_t sent, int failed)
{
    workers->facts.granted += walk->packets;
    workers->facts.sent += sent;
    if (failed)
        workers->facts.code = -failed;
}

/* Walks without the lock and books with it. */
static void do_first(struct worker *worker)
{
    struct workers *pool = worker->pool;
    const struct job job = worker->queue[worker->first];
    uint64_t sent = 0;
    pthread_mutex_unlock(&pool->lock);
    int failed = worker->failed;
    if (!failed)
        failed = pool->walk(pool->user, worker->number, &job.walk, job.next_hop, &sent);
    pthread_mutex_lock(&pool->lock);
    book(pool, &job.walk, sent, failed);
    worker->first = (worker->first + 1) % QUEUE;
    worker->count--;
    tell(pool);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct workers *pool = worker->pool;
    cpu_set_t processor;
    CPU_ZERO(&processor);
    CPU_SET(worker->processor, &processor);
    if (sched_setaffinity(0, sizeof(processor), &processor) < 0)
        worker->failed = -errno;
    drop_rights();
    pthread_mutex_lock(&pool->lock);
    worker->ready = true;
    pthread_cond_signal(&pool->started);
    for (;;) {
        while (!worker->count && !pool->ending)
            pthread_cond_wait(&worker->wanted, &pool->lock);
        if (pool->ending)
            break;
        do_first(worker);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are for the thread that hands out the walks. */
static int start(struct workers *workers, unsigned processor)
{
    struct worker *worker = &workers->items[workers->count];
    sigset_t all, before;
    *worker =
        (struct worker){.pool = workers, .number = workers->count + 1, .processor = processor};
    pthread_cond_init(&worker->wanted, NULL);
    if (workers->on_start)
        workers->on_start(workers->user, worker->number, processor);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
        pthread_cond_destroy(&worker->wanted);
        return -code;
    }
    workers->count++;
    return 0;
}

/* Whoever opens us may confine all threads next, and one that has not begun then could not. */
static void await_all(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++)
        while (!workers->items[i].ready)
            pthread_cond_wait(&workers->started, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
}

/* Starts them on all processors that we may run on but for the first ones. */
static int start_all(struct workers *workers, unsigned spared, unsigned most)
{
    cpu_set_t allowed;
    int failed = 0;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return 0; /* more processors than fit: one thread does */
    for (unsigned i = 0; i < CPU_SETSIZE && workers->count < most && !failed; i++) {
        if (!CPU_ISSET(i, &allowed))
            continue;
        if (spared > 0)
            spared--;
        else
            failed = start(workers, i);
    }
    await_all(workers);
    return failed;
}

int workers_open(unsigned spared, unsigned most, worker_fn *walk,
                 void (*on_start)(void *user, unsigned number, unsigned processor), void *user,
                 struct workers **ret_workers)
{
    struct workers *workers = calloc(1, sizeof(*workers));
    if (!workers)
        return -ENOMEM;
    workers->walk = walk;
    workers->on_start = on_start;
    workers->user = user;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->started, NULL);
    workers->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = workers->descriptor < 0
                     ? -errno
                     : start_all(workers, spared, most < WORKERS ? most : WORKERS);
    if (failed) {
        workers_close(workers);
        return failed;
    }
    *ret_workers = workers;
    return 0;
}

void workers_close(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    for (unsigned i = 0; i < workers->count; i++)
        pthread_cond_signal(&workers->items[i].wanted);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++) {
        pthread_join(workers->items[i].thread, NULL);
        pthread_cond_destroy(&workers->items[i].wanted);
    }
    pthread_cond_destroy(&workers->started);
    pthread_mutex_destroy(&workers->lock);
    if (workers->descriptor >= 0)
        close(workers->descriptor);
    free(workers);
}

/* Here and now, where there is nobody to do it. */
static void walk_here(struct workers *workers, const struct walk *walk,
                      const unsigned char *next_hop)
{
    uint64_t sent = 0;
    int failed = workers->walk(workers->user, 0, walk, next_hop, &sent);
    book(workers, walk, sent, failed);
}

bool workers_give(struct workers *workers, const struct walk *walk,
                  const unsigned char next_hop[static HARDWARE_SIZE])
{
    if (!workers->count) {
        walk_here(workers, walk, next_hop);
        return true;
    }
    bool given = false;
    pthread_mutex_lock(&workers->lock);
    /* Whoever has nothing to do before whoever has something. */
    for (unsigned most = 0; most < QUEUE && !given; most++)
        for (unsigned i = 0; i < workers->count && !given; i++) {
            struct worker *worker = &workers->items[(workers->next + i) % workers->count];
            if (worker->count > most)
                continue;
            struct job *job = &worker->queue[(worker->first + worker->count++) % QUEUE];
            job->walk = *walk;
            memcpy(job->next_hop, next_hop, HARDWARE_SIZE);
            workers->next = worker->number % workers->count;
            pthread_cond_signal(&worker->wanted);
            given = true;
        }
    pthread_mutex_unlock(&workers->lock);
    return given;
}

struct walk_facts workers_facts(struct workers *workers)
{
    uint64_t told;
    ssize_t ignored = workers->count ? read(workers->descriptor, &told, sizeof(told)) : 0;
    (void)ignored; /* there may be nothing to read */
    pthread_mutex_lock(&workers->lock);
    struct walk_facts facts = workers->facts;
    facts.oldest = UINT64_MAX;
    for (unsigned i = 0; i < workers->count; i++) {
        const struct worker *worker = &workers->items[i];
        facts.active += worker->count;
        for (unsigned j = 0; j < worker->count; j++) {
            uint64_t position = worker->queue[(worker->first + j) % QUEUE].walk.position;
            facts.oldest = position < facts.oldest ? position : facts.oldest;
        }
    }
    pthread_mutex_unlock(&workers->lock);
    return facts;
}

int workers_descriptor(const struct workers *workers)
{
    return workers->descriptor;
}
