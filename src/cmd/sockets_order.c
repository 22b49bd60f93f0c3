/* Sorting: by the key that was asked for, and where that is the same by the usual order. */
#include "cmd/sockets_order.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum key {
    KEY_USUAL,
    KEY_PORT,
    KEY_PROCESS,
    KEY_PID,
    KEY_STATE,
    KEY_PEER,
    KEY_EXPOSURE,
    KEY_RECEIVE,
    KEY_SEND,
    KEYS,
};

static const char *const key_names[KEYS] = {
    [KEY_USUAL] = "usual",       [KEY_PORT] = "port",    [KEY_PROCESS] = "process",
    [KEY_PID] = "pid",           [KEY_STATE] = "state",  [KEY_PEER] = "peer",
    [KEY_EXPOSURE] = "exposure", [KEY_RECEIVE] = "recv", [KEY_SEND] = "send",
};

int sockets_order_parse(const char *text, struct sockets_order *ret_order, struct error *error)
{
    struct sockets_order order = {.key = KEY_USUAL};
    struct text_nearest nearest = {.word = text};
    if (!text) {
        *ret_order = order;
        return 0;
    }
    order.reversed = text[0] == '-';
    nearest.word = text + order.reversed;
    for (int key = KEY_PORT; key < KEYS; key++) {
        if (strcmp(nearest.word, key_names[key]) == 0) {
            order.key = key;
            *ret_order = order;
            return 0;
        }
        text_nearest_offer(&nearest, key_names[key], strlen(key_names[key]));
    }
    if (nearest.candidate[0])
        return error_set_at(error, EINVAL, text, strlen(text), order.reversed,
                            "--sort does not know '%.40s'; did you mean '%s'?", nearest.word,
                            nearest.candidate);
    return error_set_at(error, EINVAL, text, strlen(text), order.reversed,
                        "--sort is by port, process, pid, state, peer, exposure, recv or send, not "
                        "by '%.40s'",
                        nearest.word);
}

/* What is compared of a socket, found once for each. */
struct item {
    uint32_t index;
    uint8_t listening, exposure;
    pid_t pid; /* 0: nobody is known */
    const char *name;
};

struct sorting {
    const struct sockets *sockets;
    struct sockets_order order;
};

static int compare_numbers(uint64_t one, uint64_t other)
{
    return (one > other) - (one < other);
}

static int compare_addresses(enum address_family one_family, uint128_t one,
                             enum address_family other_family, uint128_t other)
{
    if (one_family != other_family)
        return one_family < other_family ? -1 : 1;
    return (one > other) - (one < other);
}

static int compare_peers(const struct socket_entry *one, const struct socket_entry *other)
{
    const struct address a = socket_remote(one), b = socket_remote(other);
    const int order = compare_addresses(a.family, a.value, b.family, b.value);
    return order ? order : compare_numbers(one->remote_port, other->remote_port);
}

static int compare_paths(const char *one, const char *other)
{
    if (!one || !other)
        return (other != NULL) - (one != NULL); /* those with one come first */
    return strcmp(one, other);
}

/* The most exposed first; of those that do not listen no one is. */
static int compare_exposures(const struct item *one, const struct item *other)
{
    if (one->listening != other->listening)
        return one->listening ? -1 : 1;
    return compare_numbers(other->exposure, one->exposure);
}

static int compare_usual(const struct item *one, const struct socket_entry *a,
                         const struct item *other, const struct socket_entry *b)
{
    int order = compare_numbers(a->space, b->space);
    if (order == 0)
        order = compare_exposures(one, other);
    if (order == 0)
        order = compare_numbers(a->family == ADDRESS_NONE, b->family == ADDRESS_NONE);
    if (order == 0)
        order = compare_numbers(a->local_port, b->local_port);
    if (order == 0)
        order = compare_numbers(a->kind, b->kind);
    if (order == 0)
        order = compare_addresses(a->family, a->local, b->family, b->local);
    if (order == 0)
        order = compare_peers(a, b);
    if (order == 0)
        order = compare_paths(a->path, b->path);
    return order ? order : compare_numbers(a->inode, b->inode);
}

static int compare_names(const struct item *one, const struct item *other)
{
    if (!one->name || !other->name)
        return (other->name != NULL) - (one->name != NULL);
    return strcmp(one->name, other->name);
}

static int compare_by_key(enum key key, const struct item *one, const struct socket_entry *a,
                          const struct item *other, const struct socket_entry *b)
{
    switch (key) {
    case KEY_PORT:
        return compare_numbers(a->local_port, b->local_port);
    case KEY_PROCESS:
        return compare_names(one, other);
    case KEY_PID:
        return compare_numbers((uint64_t)one->pid, (uint64_t)other->pid);
    case KEY_STATE:
        return strcmp(socket_state_name(a->state), socket_state_name(b->state));
    case KEY_PEER:
        return compare_peers(a, b);
    case KEY_EXPOSURE:
        return compare_exposures(one, other);
    case KEY_RECEIVE:
        return compare_numbers(a->receive_queue, b->receive_queue);
    case KEY_SEND:
        return compare_numbers(a->send_queue, b->send_queue);
    case KEY_USUAL:
    case KEYS:
        break;
    }
    return 0;
}

static int compare(const void *one, const void *other, void *user)
{
    const struct sorting *sorting = user;
    const struct item *a = one, *b = other;
    const struct socket_entry *entries = sorting->sockets->list.entries;
    const int order =
        compare_by_key((enum key)sorting->order.key, a, &entries[a->index], b, &entries[b->index]);
    if (order)
        return sorting->order.reversed ? -order : order;
    return compare_usual(a, &entries[a->index], b, &entries[b->index]);
}

static struct item item_of(const struct sockets *sockets, size_t index)
{
    const struct socket_entry *entry = &sockets->list.entries[index];
    struct item item = {.index = (uint32_t)index, .listening = sockets_is_listening(entry)};
    char interface[16];
    size_t others;
    if (item.listening)
        item.exposure = (uint8_t)sockets_exposure(sockets, entry, interface);
    const struct process *process = sockets_holder(sockets, entry, &others);
    if (process) {
        item.pid = process->pid;
        item.name = process->name;
    }
    return item;
}

int sockets_sort(struct sockets *sockets, const struct sockets_order *order, struct error *error)
{
    const size_t count = sockets->list.count;
    struct sorting sorting = {sockets, *order};
    struct item *items = calloc(count ? count : 1, sizeof(*items));
    uint32_t *indices = calloc(count ? count : 1, sizeof(*indices));
    if (!items || !indices) {
        free(items);
        free(indices);
        return error_set(error, ENOMEM, "no memory for sorting %zu sockets", count);
    }
    for (size_t i = 0; i < count; i++)
        items[i] = item_of(sockets, i);
    qsort_r(items, count, sizeof(*items), compare, &sorting);
    for (size_t i = 0; i < count; i++)
        indices[i] = items[i].index;
    free(items);
    free(sockets->order);
    sockets->order = indices;
    return 0;
}
