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

/* What is compared besides the entries, found once for each: by index into them. There may be very
 * many, so that what is not needed is not there. */
struct sorting {
    const struct sockets *sockets;
    const struct socket_entry *entries;
    struct sockets_order order;
    uint8_t *reach;                 /* 0: it does not listen; the higher the more exposed */
    const struct process **holders; /* NULL: not compared */
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

/* Those of whom nobody is known come last by name, and first by number. */
static int compare_names(const struct process *one, const struct process *other)
{
    if (!one || !other)
        return (other != NULL) - (one != NULL);
    return strcmp(one->name, other->name);
}

static int compare_pids(const struct process *one, const struct process *other)
{
    return compare_numbers(one ? (uint64_t)one->pid : 0, other ? (uint64_t)other->pid : 0);
}

/* Of several at one port, each of another process. They are few, so that it is looked up here. */
static int compare_holders(const struct sockets *sockets, const struct socket_entry *one,
                           const struct socket_entry *other)
{
    size_t others;
    const struct process *a = sockets_holder(sockets, one, &others);
    const struct process *b = sockets_holder(sockets, other, &others);
    const int order = compare_pids(a, b);
    return order ? order : compare_numbers(one->inode, other->inode);
}

static int compare_usual(const struct sorting *sorting, uint32_t one, uint32_t other)
{
    const struct socket_entry *a = &sorting->entries[one], *b = &sorting->entries[other];
    int order = compare_numbers(a->space, b->space);
    if (order == 0)
        order = compare_numbers(sorting->reach[other], sorting->reach[one]);
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
    return order ? order : compare_holders(sorting->sockets, a, b);
}

static int compare_by_key(const struct sorting *sorting, uint32_t one, uint32_t other)
{
    const struct socket_entry *a = &sorting->entries[one], *b = &sorting->entries[other];
    switch ((enum key)sorting->order.key) {
    case KEY_PORT:
        return compare_numbers(a->local_port, b->local_port);
    case KEY_PROCESS:
        return compare_names(sorting->holders[one], sorting->holders[other]);
    case KEY_PID:
        return compare_pids(sorting->holders[one], sorting->holders[other]);
    case KEY_STATE:
        return strcmp(socket_state_name(a->state), socket_state_name(b->state));
    case KEY_PEER:
        return compare_peers(a, b);
    case KEY_EXPOSURE:
        return compare_numbers(sorting->reach[other], sorting->reach[one]);
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
    const uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    const int order = compare_by_key(sorting, a, b);
    if (order)
        return sorting->order.reversed ? -order : order;
    return compare_usual(sorting, a, b);
}

static void look_at(struct sorting *sorting, const struct sockets *sockets, size_t index)
{
    const struct socket_entry *entry = &sockets->list.entries[index];
    char interface[16];
    size_t others;
    if (sockets_is_listening(entry))
        sorting->reach[index] = (uint8_t)(sockets_exposure(sockets, entry, interface) + 1);
    if (sorting->holders)
        sorting->holders[index] = sockets_holder(sockets, entry, &others);
}

int sockets_sort(struct sockets *sockets, const struct sockets_order *order, struct error *error)
{
    const size_t count = sockets->list.count, room = count ? count : 1;
    const bool by_holder = order->key == KEY_PROCESS || order->key == KEY_PID;
    struct sorting sorting = {
        .sockets = sockets, .entries = sockets->list.entries, .order = *order};
    uint32_t *indices = calloc(room, sizeof(*indices));
    sorting.reach = calloc(room, sizeof(*sorting.reach));
    if (by_holder)
        sorting.holders = calloc(room, sizeof(const struct process *));
    const bool complete = indices && sorting.reach && (!by_holder || sorting.holders);
    for (size_t i = 0; complete && i < count; i++) {
        look_at(&sorting, sockets, i);
        indices[i] = (uint32_t)i;
    }
    if (complete)
        qsort_r(indices, count, sizeof(*indices), compare, &sorting);
    free(sorting.reach);
    free(sorting.holders);
    if (!complete) {
        free(indices);
        return error_set(error, ENOMEM, "no memory for sorting %zu sockets", count);
    }
    free(sockets->order);
    sockets->order = indices;
    return 0;
}
