/* Finding network namespaces, and doing something inside each. */
#include "local/spaces.h"

#include "local/diag_tape.h"

#include "base/descriptors.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct item {
    struct socket_space space;
    int fd;
};

struct spaces {
    struct item *items;
    size_t count, capacity;
    size_t unseen;
    bool raised; /* the limit of descriptors */
};

/* Where namespaces are kept that need no process. */
static const struct {
    const char *path;
    bool named;
} folders[] = {
    {"/run/netns", true},         /* ip netns */
    {"/run/docker/netns", false}, /* whose names say nothing to anybody */
};

/* ---- finding ---- */

static struct item *item_find(const struct spaces *spaces, uint64_t inode)
{
    for (size_t i = 0; i < spaces->count; i++)
        if (spaces->items[i].space.inode == inode)
            return &spaces->items[i];
    return NULL;
}

static void item_name(struct item *item, const char *name)
{
    struct socket_space *space = &item->space;
    /* Of several names it has the first, whatever order they are found in. */
    if (name[0] != '\0' && (space->name[0] == '\0' || strcmp(name, space->name) < 0))
        snprintf(space->name, sizeof(space->name), "%s", name);
}

/* Takes the descriptor over. Returns 0 or -ENOMEM. */
static int spaces_add(struct spaces *spaces, int fd, uint64_t inode, const char *name)
{
    if (spaces->count == spaces->capacity) {
        const size_t capacity = spaces->capacity ? spaces->capacity * 2 : 16;
        struct item *items = reallocarray(spaces->items, capacity, sizeof(*items));
        if (!items) {
            close(fd);
            return -ENOMEM;
        }
        spaces->items = items;
        spaces->capacity = capacity;
    }
    struct item *item = &spaces->items[spaces->count];
    *item = (struct item){.fd = fd, .space = {.inode = inode, .own = spaces->count == 0}};
    spaces->count++;
    item_name(item, name);
    return 0;
}

/* Keeps the namespace that `fd` is one of, or closes it: it is known already, or something else.
 * Returns 0 or -ENOMEM. */
static int spaces_take(struct spaces *spaces, int fd, const char *name)
{
    struct stat status;
    struct statfs system;
    if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0 || system.f_type != NSFS_MAGIC ||
        ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
        close(fd);
        return 0;
    }
    struct item *item = item_find(spaces, status.st_ino);
    if (!item)
        return spaces_add(spaces, fd, status.st_ino, name);
    item_name(item, name);
    close(fd);
    return 0;
}

static int open_space(int folder, const char *path)
{
    /* What is no namespace must not make us wait. */
    const int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 ? fd : -errno;
}

/* Counts what could not be opened, unless it is gone. */
static int space_failed(struct spaces *spaces, int code)
{
    if (code != -ENOENT && code != -ESRCH && code != -ENOTDIR)
        spaces->unseen++;
    return 0;
}

static int scan_folder(struct spaces *spaces, const char *path, bool named)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int code = 0;
    if (!folder)
        return space_failed(spaces, -errno);
    while (code == 0 && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        const int fd = open_space(dirfd(folder), entry->d_name);
        code = fd >= 0 ? spaces_take(spaces, fd, named ? entry->d_name : "")
                       : space_failed(spaces, fd);
    }
    closedir(folder);
    return code;
}

/* One that has ended is in no namespace, and the kernel says of it what it says to those without
 * rights. */
static bool process_has_ended(int proc, const char *pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "%.16s/stat", pid);
    const int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    const ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    /* "pid (name) state": the name may have anything in it. */
    const char *name_end = length > 0 ? strrchr(text, ')') : NULL;
    return !name_end || strncmp(name_end, ") Z", 3) == 0 || strncmp(name_end, ") X", 3) == 0;
}

static int scan_process(struct spaces *spaces, int proc, const char *pid)
{
    char path[64], link[64] = "";
    uint64_t inode = 0;
    snprintf(path, sizeof(path), "%.16s/ns/net", pid);
    /* To read the link is cheaper than to open it, and most processes share a few namespaces. */
    const ssize_t length = readlinkat(proc, path, link, sizeof(link) - 1);
    if (length < 0) {
        const int code = -errno;
        return process_has_ended(proc, pid) ? 0 : space_failed(spaces, code);
    }
    if (sscanf(link, "net:[%" SCNu64 "]", &inode) == 1 && item_find(spaces, inode))
        return 0;
    const int fd = open_space(proc, path);
    return fd >= 0 ? spaces_take(spaces, fd, "") : space_failed(spaces, fd);
}

static int scan_processes(struct spaces *spaces)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    int code = 0;
    if (!proc)
        return space_failed(spaces, -errno);
    while (code == 0 && (entry = readdir(proc)))
        if (isdigit((unsigned char)entry->d_name[0]))
            code = scan_process(spaces, dirfd(proc), entry->d_name);
    closedir(proc);
    return code;
}

static int compare_items(const void *one, const void *other)
{
    const struct socket_space *a = &((const struct item *)one)->space;
    const struct socket_space *b = &((const struct item *)other)->space;
    if ((a->name[0] == '\0') != (b->name[0] == '\0'))
        return a->name[0] == '\0' ? 1 : -1;
    const int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->inode > b->inode) - (a->inode < b->inode);
}

static int scan_all(struct spaces *spaces)
{
    int code = 0;
    descriptors_raise();
    spaces->raised = true;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && code == 0; i++)
        code = scan_folder(spaces, folders[i].path, folders[i].named);
    if (code == 0)
        code = scan_processes(spaces);
    qsort(spaces->items + 1, spaces->count - 1, sizeof(*spaces->items), compare_items);
    return code;
}

/* ---- opening and closing ---- */

int spaces_open(bool all, struct spaces **ret_spaces, struct error *error)
{
    struct spaces *spaces = calloc(1, sizeof(*spaces));
    if (!spaces)
        return error_set(error, ENOMEM, "no memory for network namespaces");
    const int own = open_space(AT_FDCWD, "/proc/thread-self/ns/net");
    int code = own >= 0 ? spaces_take(spaces, own, "") : 0;
    if (code == 0 && spaces->count == 0) /* without /proc it is nameless, but there */
        code = spaces_add(spaces, -1, 0, "");
    if (code == 0 && all)
        code = scan_all(spaces);
    if (code != 0) {
        spaces_close(spaces);
        return error_set(error, -code, "cannot see this machine's network namespaces: %s",
                         strerror(-code));
    }
    *ret_spaces = spaces;
    return 0;
}

void spaces_close(struct spaces *spaces)
{
    if (!spaces)
        return;
    for (size_t i = 0; i < spaces->count; i++)
        if (spaces->items[i].fd >= 0)
            close(spaces->items[i].fd);
    if (spaces->raised)
        descriptors_restore();
    free(spaces->items);
    free(spaces);
}

size_t spaces_count(const struct spaces *spaces)
{
    return spaces->count;
}

const struct socket_space *spaces_item(const struct spaces *spaces, size_t index)
{
    return &spaces->items[index].space;
}

size_t spaces_unseen(const struct spaces *spaces)
{
    return spaces->unseen;
}

/* ---- inside ---- */

struct visit {
    int fd;
    size_t index;
    space_fn *call;
    void *user;
    struct error *error;
    int code;
};

/* The thread ends in there: no other one ever finds itself in a foreign namespace. */
static void *visit_run(void *user)
{
    struct visit *visit = user;
    if (setns(visit->fd, CLONE_NEWNET) != 0)
        visit->code =
            error_set(visit->error, errno, "cannot enter a network namespace: %s", strerror(errno));
    else
        visit->code = visit->call(visit->user, visit->index, visit->error);
    return NULL;
}

int spaces_run(const struct spaces *spaces, size_t index, space_fn *call, void *user,
               struct error *error)
{
    struct visit visit = {
        .fd = spaces->items[index].fd, .index = index, .call = call, .user = user, .error = error};
    sigset_t every, before;
    pthread_t thread;
    if (spaces->items[index].space.own)
        return call(user, index, error);
    /* Signals are for the threads that know of them. */
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    const int code = pthread_create(&thread, NULL, visit_run, &visit);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return error_set(error, code, "cannot start a thread: %s", strerror(code));
    pthread_join(thread, NULL);
    return visit.code;
}

/* ---- listing ---- */

struct listing {
    const struct diag_query *query;
    struct diag_tape *tape;
    struct socket_list *list;
    bool entered;
};

static int list_space(void *user, size_t index, struct error *error)
{
    struct listing *listing = user;
    listing->entered = true;
    return diag_list(listing->query, (uint32_t)index, listing->tape, listing->list, error);
}

static int list_add_spaces(struct socket_list *list, const struct spaces *spaces,
                           struct diag_tape *tape)
{
    struct socket_space *copies =
        reallocarray(list->spaces, list->space_count + spaces->count, sizeof(*copies));
    if (!copies)
        return -ENOMEM;
    list->spaces = copies;
    for (size_t i = 0; i < spaces->count; i++) {
        copies[list->space_count++] = spaces->items[i].space;
        diag_tape_put_space(tape, &spaces->items[i].space);
    }
    return 0;
}

static int list_tape(const struct diag_query *query, struct diag_tape *tape,
                     struct socket_list *list, struct error *error)
{
    int code = diag_tape_spaces(tape, list);
    if (code == 0 && list->space_count == 0) { /* recorded by diag_list() alone */
        list->spaces = calloc(1, sizeof(*list->spaces));
        list->space_count = list->spaces != NULL;
        code = list->spaces ? 0 : -ENOMEM;
    }
    if (code != 0)
        return error_set(error, -code, "no memory for network namespaces");
    return diag_tape_list(tape, query, TAPE_EVERY_SPACE, list, error);
}

int spaces_list(const struct spaces *spaces, const struct diag_query *query, struct diag_tape *tape,
                struct socket_list *list, size_t *ret_closed, struct error *error)
{
    int incomplete = 0;
    size_t closed = 0;
    if (diag_tape_is_read(tape)) {
        incomplete = list_tape(query, tape, list, error);
    } else if (list_add_spaces(list, spaces, tape) != 0) {
        incomplete = error_set(error, ENOMEM, "no memory for network namespaces");
    } else {
        for (size_t i = 0; i < spaces->count && incomplete >= 0; i++) {
            struct error failure = {0};
            struct listing listing = {.query = query, .tape = tape, .list = list};
            const int code = spaces_run(spaces, i, list_space, &listing, &failure);
            if (!listing.entered && (code == -EPERM || code == -EACCES)) {
                closed++;
                continue;
            }
            if (code < 0 && error)
                *error = failure;
            incomplete = code < 0 ? code : incomplete | code;
        }
    }
    if (incomplete >= 0)
        *ret_closed = closed;
    return incomplete;
}
