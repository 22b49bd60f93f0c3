/* struct output: writing without waiting, and whole documents by rename. */
#include "base/output.h"

#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PENDING_MAXIMUM ((size_t)16 << 20)
#define WRITE_MAXIMUM ((size_t)1 << 20)
#define LOOK_EVERY 100 /* milliseconds, for signals while a reader is waited for */

static int open_retrying(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_WRONLY | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* A fresh file beside `path`, named after it. Returns its descriptor or -errno. */
static int create_partial(const char *path, mode_t mode, char **ret_partial_path)
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path + 1) : 0;
    for (unsigned attempt = 0;; attempt++) {
        char *partial_path;
        /* The name is cut so that with the suffix it stays below NAME_MAX. */
        if (asprintf(&partial_path, "%.*s%.200s.%016" PRIx64 ".partial", directory, path,
                     path + directory, random_u64()) < 0)
            return -ENOMEM;
        int fd = open_retrying(partial_path, O_CREAT | O_EXCL, mode);
        if (fd >= 0) {
            *ret_partial_path = partial_path;
            return fd;
        }
        int code = errno;
        free(partial_path);
        if (code != EEXIST || attempt == 9)
            return -code;
    }
}

/* Opens a partial file that may replace `old`, the file there now (NULL: none). */
static int open_whole(const char *path, const struct stat *old, char **ret_partial_path)
{
    char *partial_path = NULL;
    if (old && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        return -errno; /* a rename would get round the file's own permissions */
    int fd = create_partial(path, old ? old->st_mode & 0777 : 0666, &partial_path);
    if (fd < 0)
        return fd;
    if (old && fchmod(fd, old->st_mode & 0777) < 0) {
        int code = errno;
        unlink(partial_path);
        close(fd);
        free(partial_path);
        return -code;
    }
    *ret_partial_path = partial_path;
    return fd;
}

/* Is `path` what standard output writes to already, as /dev/stdout is? */
static bool is_standard_output(const char *path)
{
    struct stat there, standard;
    return stat(path, &there) == 0 && fstat(STDOUT_FILENO, &standard) == 0 &&
           there.st_dev == standard.st_dev && there.st_ino == standard.st_ino;
}

/* Returns a descriptor or -errno, and in `ret_partial_path` NULL when it writes in place. */
static int open_path(const char *path, bool whole, char **ret_partial_path)
{
    /* Opening it anew would truncate or overwrite what went to standard output before. */
    if (is_standard_output(path)) {
        int copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        return copy < 0 ? -errno : copy;
    }
    size_t length = strlen(path);
    if (whole && length > 0 && path[length - 1] != '/') {
        struct stat old;
        bool exists = lstat(path, &old) == 0;
        if ((exists && S_ISREG(old.st_mode)) || (!exists && errno == ENOENT))
            return open_whole(path, exists ? &old : NULL, ret_partial_path);
    }
    int fd = open_retrying(path, O_CREAT | O_TRUNC, 0666);
    return fd < 0 ? -errno : fd;
}

static bool is_regular(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static int open_standard_output(struct output *output, struct error *error)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return error_set(error, EBADF, "standard output is closed");
    *output = (struct output){.fd = STDOUT_FILENO, .regular = is_regular(STDOUT_FILENO)};
    return 0;
}

int output_open(struct output *output, const char *path, bool whole, struct error *error)
{
    if (strcmp(path, "-") == 0)
        return open_standard_output(output, error);

    char *partial_path = NULL;
    char *copy = strdup(path);
    if (!copy)
        return error_set(error, ENOMEM, "cannot open '%s': out of memory", path);
    int fd = open_path(path, whole, &partial_path);
    if (fd < 0) {
        free(copy);
        return error_set(error, -fd, "cannot open '%s' for writing: %s", path, strerror(-fd));
    }
    *output = (struct output){
        .fd = fd, .path = copy, .partial_path = partial_path, .regular = is_regular(fd)};
    return 0;
}

/* From the first failure on, nothing more is kept or written. */
static void note_failure(struct output *output, int code)
{
    output->code = code;
    output->broken = code == EPIPE;
}

static size_t unwritten(const struct output *output)
{
    return output->pending.length - output->written;
}

enum wait {
    WAIT_NEVER,    /* write what goes at once */
    WAIT_FOR_ROOM, /* wait while too much is pending, but not past a signal */
    WAIT_FOR_ALL,  /* wait until all of it is out */
};

/* A signal that is blocked, because a signalfd takes it, interrupts no poll(). */
static bool signal_waits(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
            sigismember(&pending, SIGHUP) == 1);
}

/* Waits as told until the descriptor takes bytes. A pipe that polls as writable takes PIPE_BUF
 * bytes without blocking (pipe(7)), which is why no more is written at a time: O_NONBLOCK is out of
 * the question, since it would hold for every process that shares the descriptor. */
static bool wait_writable(const struct output *output, enum wait wait)
{
    for (;;) {
        struct pollfd ready = {.fd = output->fd, .events = POLLOUT};
        bool all = wait == WAIT_FOR_ALL;
        bool room = wait == WAIT_FOR_ROOM && unwritten(output) > PENDING_MAXIMUM && !signal_waits();
        int count = poll(&ready, 1, all ? -1 : room ? LOOK_EVERY : 0);
        if (count > 0)
            return true; /* also for POLLERR and POLLHUP: write() says what is wrong */
        if (count == 0 ? !room : errno != EINTR || !all)
            return false;
    }
}

static void write_pending(struct output *output, enum wait wait)
{
    while (!output->code && unwritten(output) > 0) {
        size_t most = output->regular ? WRITE_MAXIMUM : PIPE_BUF;
        if (!output->regular && !wait_writable(output, wait))
            break;
        size_t count = unwritten(output) < most ? unwritten(output) : most;
        ssize_t written = write(output->fd, output->pending.data + output->written, count);
        if (written >= 0)
            output->written += (size_t)written;
        else if (errno != EINTR && errno != EAGAIN)
            note_failure(output, errno);
        else if (wait != WAIT_FOR_ALL)
            break;
    }
}

/* Moving what is left to the front costs time, so that it is done only when half is out. */
static void forget_written(struct output *output)
{
    if (output->code || unwritten(output) == 0) {
        buffer_clear(&output->pending);
        output->written = 0;
    } else if (output->written >= output->pending.length / 2) {
        buffer_consume(&output->pending, output->written);
        output->written = 0;
    }
}

static void pump(struct output *output, enum wait wait)
{
    if (output->pending.failed && !output->code)
        note_failure(output, ENOMEM);
    write_pending(output, wait);
    forget_written(output);
}

void output_pump(struct output *output)
{
    pump(output, WAIT_FOR_ROOM);
}

bool output_waits(const struct output *output)
{
    return !output->code && unwritten(output) > 0;
}

/* Makes the rename last through a crash, where the file system can. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, (size_t)(slash - path + 1)) : strdup(".");
    int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(directory);
}

static void publish(struct output *output)
{
    if (output->path && output->regular && fsync(output->fd) < 0 && errno != EINVAL) {
        note_failure(output, errno);
        return;
    }
    if (!output->partial_path)
        return;
    if (rename(output->partial_path, output->path) < 0) {
        note_failure(output, errno);
        return;
    }
    free(output->partial_path);
    output->partial_path = NULL;
    sync_directory(output->path);
}

int output_finish(struct output *output, struct error *error)
{
    pump(output, WAIT_FOR_ALL);
    if (!output->code)
        publish(output);
    if (!output->code || output->broken)
        return 0;
    if (output->path)
        return error_set(error, output->code, "cannot write '%s': %s", output->path,
                         strerror(output->code));
    return error_set(error, output->code, "cannot write standard output: %s",
                     strerror(output->code));
}

void output_release(struct output *output)
{
    if (output->partial_path)
        unlink(output->partial_path);
    if (output->path)
        close(output->fd);
    buffer_release(&output->pending);
    free(output->partial_path);
    free(output->path);
    *output = (struct output){.fd = -1};
}
