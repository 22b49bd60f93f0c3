/* RLIMIT_NOFILE belongs to the whole process, so its users are counted. */
#include "base/descriptors.h"

#include <pthread.h>
#include <sys/resource.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct rlimit before;

uint64_t descriptors_raise(void)
{
    struct rlimit limit = {0};
    pthread_mutex_lock(&mutex);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (users++ == 0)
        before = limit;
    const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    pthread_mutex_unlock(&mutex);
    return limit.rlim_cur;
}

void descriptors_restore(void)
{
    pthread_mutex_lock(&mutex);
    if (--users == 0)
        setrlimit(RLIMIT_NOFILE, &before);
    pthread_mutex_unlock(&mutex);
}
