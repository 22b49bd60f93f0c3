/* Who holds a socket: the ways asked in turn, their answer in order, and who the processes are. */
#include "local/owner_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool owner_question_has(const struct owner_question *question, uint64_t inode)
{
    size_t low = 0, high = question->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (question->inodes[middle] == inode)
            return true;
        if (question->inodes[middle] < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

int owner_list_add(struct owner_list *list, const struct owner *owner)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct owner *items = reallocarray(list->items, capacity, sizeof(*items));
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *owner;
    return 0;
}

/* ---- order ---- */

static int compare_owners(const void *one, const void *other)
{
    const struct owner *a = one, *b = other;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    if (a->pid != b->pid)
        return a->pid < b->pid ? -1 : 1;
    return (a->fd > b->fd) - (a->fd < b->fd);
}

/* A table of descriptors that a thread has for itself may be a copy of its process's. */
static void sort_owners(struct owners *owners)
{
    struct owner *items = owners->items;
    size_t kept = 0;
    if (owners->count == 0)
        return;
    qsort(items, owners->count, sizeof(*items), compare_owners);
    for (size_t i = 1; i < owners->count; i++)
        if (compare_owners(&items[kept], &items[i]) != 0)
            items[++kept] = items[i];
    owners->count = kept + 1;
}

static int compare_pids(const void *one, const void *other)
{
    const pid_t a = *(const pid_t *)one, b = *(const pid_t *)other;
    return (a > b) - (a < b);
}

static int compare_with_process(const void *pid, const void *process)
{
    return compare_pids(pid, &((const struct process *)process)->pid);
}

const struct process *owners_process(const struct owners *owners, pid_t pid)
{
    if (owners->process_count == 0)
        return NULL;
    return bsearch(&pid, owners->processes, owners->process_count, sizeof(*owners->processes),
                   compare_with_process);
}

const struct owner *owners_of(const struct owners *owners, uint32_t inode, size_t *ret_count)
{
    size_t low = 0, high = owners->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (owners->items[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    size_t count = 0;
    while (low + count < owners->count && owners->items[low + count].inode == inode)
        count++;
    *ret_count = count;
    return count ? &owners->items[low] : NULL;
}

/* ---- processes ---- */

/* The processes of these owners, each once, in order; the caller frees them. NULL without memory.
 */
static pid_t *list_pids(const struct owner *items, size_t item_count, size_t *ret_count)
{
    size_t count = 0, kept = 0;
    pid_t *pids = calloc(item_count ? item_count : 1, sizeof(*pids));
    if (!pids)
        return NULL;
    for (size_t i = 0; i < item_count; i++) /* mostly one process has many in a row */
        if (i == 0 || items[i].pid != items[i - 1].pid)
            pids[count++] = items[i].pid;
    qsort(pids, count, sizeof(*pids), compare_pids);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || pids[kept - 1] != pids[i])
            pids[kept++] = pids[i];
    *ret_count = kept;
    return pids;
}

static int list_processes(struct owners *owners)
{
    size_t count = 0;
    pid_t *pids = list_pids(owners->items, owners->count, &count);
    owners->processes = pids ? calloc(count ? count : 1, sizeof(*owners->processes)) : NULL;
    for (size_t i = 0; owners->processes && i < count; i++)
        owners->processes[owners->process_count++].pid = pids[i];
    free(pids);
    return owners->processes ? 0 : -ENOMEM;
}

static void forget_vanished(struct owners *owners)
{
    size_t kept = 0;
    for (size_t i = 0; i < owners->count; i++)
        if (owners_process(owners, owners->items[i].pid))
            owners->items[kept++] = owners->items[i];
    owners->count = kept;
}

static int compare_processes(const void *one, const void *other)
{
    return compare_pids(&((const struct process *)one)->pid, &((const struct process *)other)->pid);
}

void owners_settle(struct owners *owners)
{
    struct process *processes = owners->processes;
    size_t kept = 0;
    if (owners->process_count > 0) {
        qsort(processes, owners->process_count, sizeof(*processes), compare_processes);
        for (size_t i = 1; i < owners->process_count; i++)
            if (processes[i].pid != processes[kept].pid)
                processes[++kept] = processes[i];
        owners->process_count = kept + 1;
    }
    sort_owners(owners);
    forget_vanished(owners);
}

static int read_processes(struct owners *owners, int proc, bool details)
{
    struct process_users users = {0};
    size_t kept = 0;
    int failed = 0;
    for (size_t i = 0; i < owners->process_count; i++) {
        failed = process_read(proc, owners->processes[i].pid, details ? &users : NULL,
                              &owners->arena, &owners->processes[kept]);
        if (failed == -ENOMEM)
            break;
        kept += !failed;
    }
    process_users_release(&users);
    if (failed == -ENOMEM)
        return failed;
    const bool vanished = kept < owners->process_count;
    owners->process_count = kept;
    if (vanished)
        forget_vanished(owners);
    return 0;
}

static int describe(struct owners *owners, bool details)
{
    int failed = list_processes(owners);
    if (failed || owners->process_count == 0)
        return failed;
    const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    failed = proc < 0 ? -errno : read_processes(owners, proc, details);
    if (proc >= 0)
        close(proc);
    return failed;
}

/* ---- two answers in one ---- */

/* Copies a text that may be missing. False without memory. */
static bool copy_text(struct arena *arena, const char **text)
{
    if (!*text)
        return true;
    const size_t size = strlen(*text) + 1;
    char *copy = arena_take(arena, size);
    if (!copy)
        return false;
    *text = memcpy(copy, *text, size);
    return true;
}

static bool copy_process(struct arena *arena, const struct process *process,
                         struct process *ret_process)
{
    struct process copy = *process;
    if (!copy_text(arena, &copy.user) || !copy_text(arena, &copy.command) ||
        !copy_text(arena, &copy.unit) || !copy_text(arena, &copy.container_runtime) ||
        !copy_text(arena, &copy.container))
        return false;
    *ret_process = copy;
    return true;
}

/* Puts the processes that are new behind those that are counted. */
static int append_processes(struct owners *owners, const struct owners *others, const pid_t *pids,
                            size_t count, size_t *ret_added)
{
    size_t added = 0;
    struct process *processes =
        reallocarray(owners->processes, owners->process_count + count, sizeof(*processes));
    if (!processes)
        return -ENOMEM;
    owners->processes = processes;
    for (size_t i = 0; i < count; i++) {
        const struct process *process = owners_process(others, pids[i]);
        if (!process || owners_process(owners, pids[i]))
            continue;
        if (!copy_process(&owners->arena, process, &processes[owners->process_count + added]))
            return -ENOMEM;
        added++;
    }
    *ret_added = added;
    return 0;
}

/* Nothing is counted before all of it is there. */
static int append_owners(struct owners *owners, const struct owners *others,
                         const struct owner_list *list)
{
    size_t count = 0, added = 0;
    struct owner *items = reallocarray(owners->items, owners->count + list->count, sizeof(*items));
    if (!items)
        return -ENOMEM;
    owners->items = items;
    pid_t *pids = list_pids(list->items, list->count, &count);
    const int failed = pids ? append_processes(owners, others, pids, count, &added) : -ENOMEM;
    free(pids);
    if (failed)
        return failed;
    memcpy(items + owners->count, list->items, list->count * sizeof(*items));
    owners->count += list->count;
    owners->process_count += added;
    owners_settle(owners);
    return 0;
}

int owners_merge(struct owners *owners, const struct owners *others, const uint32_t *inodes,
                 size_t count)
{
    struct owner_list list = {0};
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        size_t held, own;
        const struct owner *owner = owners_of(others, inodes[i], &held);
        if (!owner || owners_of(owners, inodes[i], &own))
            continue;
        for (size_t j = 0; j < held && !failed; j++)
            failed = owner_list_add(&list, &owner[j]);
    }
    if (!failed && list.count > 0)
        failed = append_owners(owners, others, &list);
    free(list.items);
    return failed;
}

/* ---- the search ---- */

static int find(const struct owner_question *question, enum owners_way way, struct owner_list *list,
                size_t *ret_unseen, struct error *error)
{
    if (way != OWNERS_PROC) {
        const int failed = owner_bpf_find(question, list, way == OWNERS_BPF ? error : NULL);
        if (!failed || way == OWNERS_BPF)
            return failed;
        list->count = 0;
    }
    return owner_proc_find(question, list, ret_unseen, error);
}

int owners_find(const uint32_t *inodes, size_t count, enum owners_way way, bool details,
                struct owners *ret_owners, struct error *error)
{
    const struct owner_question question = {inodes, count};
    struct owners owners = {0};
    struct owner_list list = {0};
    int failed = 0;
    if (count > 0)
        failed = find(&question, way, &list, &owners.unseen, error);
    if (!failed) {
        owners.items = list.items;
        owners.count = list.count;
        list = (struct owner_list){0};
        sort_owners(&owners);
        failed = describe(&owners, details);
        if (failed)
            error_set(error, -failed, "cannot read of processes: %s", strerror(-failed));
    }
    free(list.items);
    if (failed)
        owners_release(&owners);
    else
        *ret_owners = owners;
    return failed;
}

void owners_release(struct owners *owners)
{
    free(owners->items);
    free(owners->processes);
    arena_release(&owners->arena);
    *owners = (struct owners){0};
}
