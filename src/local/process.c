/* What /proc tells of a process: name, user, command line, start, unit, container, namespace. */
#include "base/clock.h"
#include "local/owner_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE 16384 /* what is read of a file at most; command lines may be longer */
#define NAMES_SIZE 65536
#define KERNEL_THREAD 0x00200000 /* PF_KTHREAD of the kernel */

struct process_user {
    uint32_t uid;
    const char *name; /* NULL: it has none */
};

/* The beginning of a file, up to `size` bytes. Returns how many, or -1. */
static ssize_t read_file(int folder, const char *name, char *bytes, size_t size)
{
    const int descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t read_now = descriptor < 0 ? -1 : 1;
    while (read_now > 0 && length < size) {
        read_now = read(descriptor, bytes + length, size - length);
        if (read_now < 0 && errno == EINTR)
            read_now = 1;
        else if (read_now > 0)
            length += (size_t)read_now;
    }
    if (descriptor >= 0)
        close(descriptor);
    return read_now < 0 ? -1 : (ssize_t)length;
}

/* ---- /proc/PID/stat ---- */

struct status {
    char state;
    unsigned long flags;
    unsigned long long started; /* ticks since the machine was started */
};

static bool read_status(int folder, struct status *ret_status)
{
    char text[1024];
    const ssize_t length = read_file(folder, "stat", text, sizeof(text) - 1);
    if (length <= 0)
        return false;
    text[length] = '\0';
    const char *rest = strrchr(text, ')'); /* the name before it may have any characters */
    struct status status;
    if (!rest || sscanf(rest,
                        ") %c %*s %*s %*s %*s %*s %lu %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%*s %*s %llu",
                        &status.state, &status.flags, &status.started) != 3)
        return false;
    *ret_status = status;
    return true;
}

static uint64_t clock_since_boot(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* The kernel counts by the clock that goes on while the machine sleeps. */
static uint64_t read_start(int folder)
{
    struct status status;
    const long rate = sysconf(_SC_CLK_TCK);
    if (rate <= 0 || !read_status(folder, &status))
        return 0;
    const uint64_t ticks = status.started, second = (uint64_t)rate;
    const uint64_t since_boot =
        ticks / second * NANOSECONDS_PER_SECOND + ticks % second * NANOSECONDS_PER_SECOND / second;
    return clock_wall() - clock_since_boot() + since_boot;
}

static int open_process(int proc, pid_t pid)
{
    char path[16];
    snprintf(path, sizeof(path), "%d", (int)pid);
    return openat(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool process_holds_files(int proc, pid_t pid)
{
    struct status status;
    const int folder = open_process(proc, pid);
    if (folder < 0)
        return false;
    const bool known = read_status(folder, &status);
    close(folder);
    return known && !(status.flags & KERNEL_THREAD) && status.state != 'Z' && status.state != 'X';
}

/* ---- users ---- */

void process_users_release(struct process_users *users)
{
    free(users->items);
    *users = (struct process_users){0};
}

static int ask_user(uint32_t uid, struct arena *arena, const char **ret_name)
{
    char *names = malloc(NAMES_SIZE), *copy = NULL;
    struct passwd entry, *found = NULL;
    if (!names)
        return -ENOMEM;
    int failed = 0;
    if (getpwuid_r(uid, &entry, names, NAMES_SIZE, &found) == 0 && found) {
        const size_t size = strlen(found->pw_name) + 1;
        copy = arena_take(arena, size);
        if (copy)
            memcpy(copy, found->pw_name, size);
        else
            failed = -ENOMEM;
    }
    free(names);
    *ret_name = copy;
    return failed;
}

static int find_user(struct process_users *users, uint32_t uid, struct arena *arena,
                     const char **ret_name)
{
    for (size_t i = users->count; i-- > 0;)
        if (users->items[i].uid == uid) {
            *ret_name = users->items[i].name;
            return 0;
        }
    if (users->count == users->capacity) {
        const size_t capacity = users->capacity ? users->capacity * 2 : 16;
        struct process_user *items = reallocarray(users->items, capacity, sizeof(*items));
        if (!items)
            return -ENOMEM;
        users->items = items;
        users->capacity = capacity;
    }
    struct process_user *user = &users->items[users->count];
    user->uid = uid;
    const int failed = ask_user(uid, arena, &user->name);
    if (failed)
        return failed;
    users->count++;
    *ret_name = user->name;
    return 0;
}

/* ---- the process ---- */

static bool read_name(int folder, char name[static 64])
{
    ssize_t length = read_file(folder, "comm", name, 63);
    if (length < 0)
        return false;
    if (length > 0 && name[length - 1] == '\n')
        length--;
    name[length] = '\0';
    return true;
}

static int read_command(int folder, char *bytes, struct arena *arena, const char **ret_command)
{
    ssize_t length = read_file(folder, "cmdline", bytes, FILE_SIZE);
    while (length > 0 && bytes[length - 1] == '\0')
        length--;
    if (length <= 0)
        return 0;
    char *command = arena_take(arena, (size_t)length + 1);
    if (!command)
        return -ENOMEM;
    for (ssize_t i = 0; i < length; i++)
        command[i] = bytes[i] ? bytes[i] : ' ';
    *ret_command = command;
    return 0;
}

static int read_details(int folder, struct process_users *users, struct arena *arena,
                        struct process *process)
{
    char *bytes = malloc(FILE_SIZE);
    struct stat space;
    if (!bytes)
        return -ENOMEM;
    int failed = read_command(folder, bytes, arena, &process->command);
    const ssize_t length = failed ? 0 : read_file(folder, "cgroup", bytes, FILE_SIZE);
    if (length > 0)
        failed = cgroup_read(bytes, (size_t)length, arena, process);
    free(bytes);
    if (!failed)
        failed = find_user(users, process->uid, arena, &process->user);
    if (fstatat(folder, "ns/net", &space, 0) == 0)
        process->space = space.st_ino;
    process->started = read_start(folder);
    return failed;
}

int process_read(int proc, pid_t pid, struct process_users *users, struct arena *arena,
                 struct process *ret_process)
{
    struct process process = {.pid = pid};
    struct stat about;
    const int folder = open_process(proc, pid);
    if (folder < 0)
        return -ESRCH;
    int failed = 0;
    /* The folder's owner is the effective user, whatever the process lets others see. */
    if (fstat(folder, &about) != 0 || !read_name(folder, process.name))
        failed = -ESRCH;
    else
        process.uid = about.st_uid;
    if (!failed && users)
        failed = read_details(folder, users, arena, &process);
    close(folder);
    if (!failed)
        *ret_process = process;
    return failed;
}
