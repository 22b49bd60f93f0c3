/* Who holds a socket, read from /proc: every descriptor of every process is a link that can be
 * read, which costs some microseconds each. Threads share the work by stretches of a directory, so
 * that one process with very many descriptors does not hold them up. */
#include "local/owner_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS 8
#define MANY 48          /* processes that are worth more than one thread */
#define BUFFER 32768     /* bytes of a stretch: some 1,300 descriptors */
#define LONGEST_NAME 280 /* bytes: what did not fit into a buffer was no longer than this */
#define PATH_SIZE 64     /* "PID/task/TID/fd" */
#define LINK_SIZE 64

/* The directory of descriptors of a process, or of one of its threads, from a place on. */
struct stretch {
    pid_t pid, tid; /* 0: the process's own */
    off64_t offset; /* as getdents64(2) told it; 0: the beginning */
};

struct search {
    const struct owner_question *question;
    int proc;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t changed;
    struct stretch *stretches; /* to do; the last is the next */
    size_t count, capacity;
    unsigned busy; /* threads that may still add some */
    int failed;
    unsigned started; /* threads besides the caller's */
    pthread_t threads[THREADS - 1];
    struct worker *workers[THREADS - 1];
};

struct worker {
    struct search *search;
    struct owner_list found;
    size_t unseen;
    size_t names; /* of descriptors, in the folder that is being read */
    alignas(struct dirent64) char buffer[BUFFER];
};

static void *work(void *argument);

/* ---- sharing ---- */

static unsigned count_processors(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < THREADS ? (unsigned)count : THREADS;
}

/* Starts the other threads, under the lock. Without them all is done by the caller's. */
static void start_others(struct search *search)
{
    sigset_t all, before;
    const unsigned wanted = count_processors();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the program's, not theirs */
    while (search->started + 1 < wanted) {
        struct worker *worker = calloc(1, sizeof(*worker));
        if (!worker)
            break;
        worker->search = search;
        search->workers[search->started] = worker;
        if (pthread_create(&search->threads[search->started], NULL, work, worker) != 0) {
            free(worker);
            break;
        }
        search->started++;
        search->busy++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int add_stretch(struct search *search, const struct stretch *stretch)
{
    if (search->count == search->capacity) {
        const size_t capacity = search->capacity ? search->capacity * 2 : 512;
        struct stretch *items = reallocarray(search->stretches, capacity, sizeof(*items));
        if (!items)
            return -ENOMEM;
        search->stretches = items;
        search->capacity = capacity;
    }
    search->stretches[search->count++] = *stretch;
    return 0;
}

/* What follows in a long directory is anybody's. */
static int share(struct search *search, const struct stretch *stretch)
{
    pthread_mutex_lock(&search->lock);
    const int failed = add_stretch(search, stretch);
    if (search->started == 0)
        start_others(search);
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->lock);
    return failed;
}

/* Waits for the next stretch. Returns false at the end: there is none, and nobody to add one. */
static bool take(struct search *search, struct stretch *ret_stretch)
{
    bool taken = false;
    pthread_mutex_lock(&search->lock);
    search->busy--;
    while (search->count == 0 && search->busy > 0 && !search->failed)
        pthread_cond_wait(&search->changed, &search->lock);
    if (search->count > 0 && !search->failed) {
        *ret_stretch = search->stretches[--search->count];
        search->busy++;
        taken = true;
    } else {
        pthread_cond_broadcast(&search->changed);
    }
    pthread_mutex_unlock(&search->lock);
    return taken;
}

static void fail(struct search *search, int failed)
{
    pthread_mutex_lock(&search->lock);
    search->failed = failed;
    pthread_cond_broadcast(&search->changed);
    pthread_mutex_unlock(&search->lock);
}

/* ---- descriptors ---- */

/* The number in "socket:[4711]"; 0: it is something else. */
static uint64_t parse_link(const char *text, size_t length)
{
    static const char start[] = "socket:[";
    const size_t skip = sizeof(start) - 1;
    uint64_t inode = 0;
    if (length < skip + 2 || length > skip + 12 || text[length - 1] != ']' ||
        memcmp(text, start, skip) != 0)
        return 0;
    for (size_t i = skip; i < length - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        inode = inode * 10 + (uint64_t)(text[i] - '0');
    }
    return inode;
}

/* Reads the links that the `length` bytes of the buffer name. -EACCES: we may not. */
static int read_links(struct worker *worker, pid_t pid, int folder, size_t length)
{
    const struct owner_question *question = worker->search->question;
    for (size_t at = 0; at < length;) {
        const struct dirent64 *entry = (const void *)(worker->buffer + at);
        char text[LINK_SIZE];
        at += entry->d_reclen;
        if (entry->d_name[0] == '.')
            continue;
        worker->names++;
        const ssize_t read = readlinkat(folder, entry->d_name, text, sizeof(text));
        if (read < 0 && (errno == EACCES || errno == EPERM))
            return -EACCES;
        const uint64_t inode = read < 0 ? 0 : parse_link(text, (size_t)read);
        if (inode == 0 || !owner_question_has(question, inode))
            continue;
        const struct owner owner = {(uint32_t)inode, pid, atoi(entry->d_name)};
        if (owner_list_add(&worker->found, &owner) != 0)
            return -ENOMEM;
    }
    return 0;
}

static int read_folder(struct worker *worker, const struct stretch *stretch, int folder)
{
    struct stretch rest = *stretch;
    for (;;) {
        const ssize_t length = getdents64(folder, worker->buffer, sizeof(worker->buffer));
        if (length <= 0)
            return length < 0 ? -errno : 0;
        const bool full = (size_t)length + LONGEST_NAME > sizeof(worker->buffer);
        if (full) {
            for (size_t at = 0; at < (size_t)length;) {
                const struct dirent64 *entry = (const void *)(worker->buffer + at);
                rest.offset = entry->d_off;
                at += entry->d_reclen;
            }
            const int failed = share(worker->search, &rest);
            if (failed)
                return failed;
        }
        const int failed = read_links(worker, stretch->pid, folder, (size_t)length);
        if (failed || full)
            return failed;
    }
}

static int read_stretch(struct worker *worker, const struct stretch *stretch)
{
    char path[PATH_SIZE];
    if (stretch->tid)
        snprintf(path, sizeof(path), "%d/task/%d/fd", (int)stretch->pid, (int)stretch->tid);
    else
        snprintf(path, sizeof(path), "%d/fd", (int)stretch->pid);
    const int folder = openat(worker->search->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    worker->names = 0;
    const bool placed = !stretch->offset || lseek64(folder, stretch->offset, SEEK_SET) >= 0;
    const int failed = placed ? read_folder(worker, stretch, folder) : -errno;
    close(folder);
    return failed;
}

/* Anything else is a process that has vanished. */
static bool is_fatal(int failed)
{
    return failed == -ENOMEM || failed == -EMFILE || failed == -ENFILE;
}

static bool is_refusal(int failed)
{
    return failed == -EACCES || failed == -EPERM;
}

/* ---- threads of a process ---- */

/* Has the thread a table of descriptors for itself? Those of a process whose first thread has ended
 * do: that one has none any more. */
static bool has_own_files(pid_t pid, pid_t tid, bool empty)
{
    const long order = syscall(SYS_kcmp, pid, tid, KCMP_FILES, 0, 0);
    return order > 0 || (order < 0 && empty);
}

static int read_thread(struct worker *worker, pid_t pid, pid_t tid, bool empty)
{
    const struct stretch stretch = {pid, tid, 0};
    if (tid == pid || !has_own_files(pid, tid, empty))
        return 0;
    const int failed = read_stretch(worker, &stretch);
    return is_fatal(failed) || is_refusal(failed) ? failed : 0;
}

/* Looks at a process's other threads, which may have files of their own: unshare(CLONE_FILES). */
static int read_threads(struct worker *worker, pid_t pid, bool empty)
{
    char path[PATH_SIZE];
    struct stat about;
    snprintf(path, sizeof(path), "%d/task", (int)pid);
    if (fstatat(worker->search->proc, path, &about, 0) != 0 || about.st_nlink <= 3)
        return 0; /* a link for each thread, and two of the directory */
    const int descriptor = openat(worker->search->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (!folder) {
        if (descriptor >= 0)
            close(descriptor);
        return 0;
    }
    int failed = 0;
    const struct dirent *entry;
    while (!failed && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            failed = read_thread(worker, pid, (pid_t)atoi(entry->d_name), empty);
    closedir(folder);
    return failed;
}

static int do_stretch(struct worker *worker, const struct stretch *stretch)
{
    int failed = read_stretch(worker, stretch);
    if (stretch->offset || stretch->tid || is_fatal(failed))
        return is_fatal(failed) ? failed : 0;
    bool refused = is_refusal(failed);
    /* The files of a process whose first thread has ended are refused to all but root. */
    if (!failed || (refused && !process_holds_files(worker->search->proc, stretch->pid))) {
        failed = read_threads(worker, stretch->pid, refused || worker->names == 0);
        refused = is_refusal(failed);
    }
    worker->unseen += refused;
    return is_fatal(failed) ? failed : 0;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct stretch stretch;
    while (take(worker->search, &stretch)) {
        const int failed = do_stretch(worker, &stretch);
        if (failed)
            fail(worker->search, failed);
    }
    return NULL;
}

/* ---- the search ---- */

static int list_processes(struct search *search, DIR *folder)
{
    const struct dirent *entry;
    while ((entry = readdir(folder))) {
        const struct stretch stretch = {.pid = (pid_t)atoi(entry->d_name)};
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        const int failed = add_stretch(search, &stretch);
        if (failed)
            return failed;
    }
    return 0;
}

/* Appends what a thread has found to the list, and ends it. */
static int collect(struct worker *worker, struct owner_list *list, size_t *unseen)
{
    int failed = 0;
    if (list->count == 0) {
        free(list->items);
        *list = worker->found;
        worker->found = (struct owner_list){0};
    }
    for (size_t i = 0; i < worker->found.count && !failed; i++)
        failed = owner_list_add(list, &worker->found.items[i]);
    *unseen += worker->unseen;
    free(worker->found.items);
    free(worker);
    return failed;
}

static int run(struct search *search, struct owner_list *list, size_t *unseen)
{
    struct worker *own = calloc(1, sizeof(*own));
    if (!own)
        return -ENOMEM;
    own->search = search;
    search->busy = 1;
    pthread_mutex_lock(&search->lock);
    if (search->count >= MANY)
        start_others(search);
    pthread_mutex_unlock(&search->lock);
    work(own);
    /* Nobody starts threads any more: only who has work does, and there is none. */
    int failed = 0;
    for (unsigned i = 0; i < search->started; i++)
        pthread_join(search->threads[i], NULL);
    for (unsigned i = 0; i < search->started; i++)
        failed |= collect(search->workers[i], list, unseen);
    failed |= collect(own, list, unseen);
    return search->failed ? search->failed : failed ? -ENOMEM : 0;
}

int owner_proc_find(const struct owner_question *question, struct owner_list *list,
                    size_t *ret_unseen, struct error *error)
{
    struct search search = {
        .question = question,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    size_t unseen = 0;
    DIR *folder = opendir("/proc");
    if (!folder)
        return error_set(error, errno, "cannot read /proc: %s", strerror(errno));
    search.proc = dirfd(folder);
    int failed = list_processes(&search, folder);
    if (!failed)
        failed = run(&search, list, &unseen);
    closedir(folder);
    free(search.stretches);
    if (failed)
        return error_set(error, -failed, "cannot look for the processes of sockets: %s",
                         strerror(-failed));
    *ret_unseen = unseen;
    return 0;
}
