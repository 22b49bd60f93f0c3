/* Fuzzing of diag_read() and of recordings: whatever a tape holds, entries, processes and
 * interfaces are sound and texts end. The input is a kind, what is asked for, and a datagram; or a
 * byte of 255 and a whole recording.
 */
#include "local/exposure.h"
#include "local/spaces.h"
#include "local/tape_owners.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { TAPE = 255, HEADER = 3 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_entry(const struct socket_entry *entry, const struct diag_query *query)
{
    require(entry->kind < SOCKET_KINDS && entry->timer <= SOCKET_TIMER_PROBE);
    require(entry->state >= SOCKET_ESTABLISHED && entry->state < SOCKET_STATES);
    require(diag_query_takes(query, entry));
    require(entry->has_inode == (entry->inode != 0));
    const struct address addresses[] = {socket_local(entry), socket_remote(entry)};
    for (unsigned i = 0; i < 2; i++)
        require(addresses[i].family == ADDRESS_NONE
                    ? addresses[i].value == 0
                    : addresses[i].value <= address_maximum(addresses[i].family));
    require(!entry->mapped || entry->family == ADDRESS_IPV6);
    if (entry->path)
        require(entry->family == ADDRESS_NONE && strlen(entry->path) > 0);
    if (entry->tcp)
        require(strlen(entry->tcp->congestion) < sizeof(entry->tcp->congestion));
}

static void check_list(const struct socket_list *list, const struct diag_query *query)
{
    for (size_t i = 0; i < list->count; i++)
        check_entry(&list->entries[i], query);
}

static void check_text(const char *text, const char *characters)
{
    require(!text || (text[0] != '\0' && text[strspn(text, characters)] == '\0'));
}

#define CONTAINER "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define UNIT CONTAINER ":\\@"

/* As owner.h promises it. */
static void check_owners(const struct owners *owners)
{
    for (size_t i = 0; i < owners->process_count; i++) {
        const struct process *process = &owners->processes[i];
        require(process->pid > 0 && (i == 0 || process[-1].pid < process->pid));
        require(strnlen(process->name, sizeof(process->name)) < sizeof(process->name));
        require(!process->user || process->user[0] != '\0');
        require(!process->command);
        check_text(process->unit, UNIT);
        check_text(process->container_runtime, CONTAINER);
        check_text(process->container, CONTAINER);
    }
    for (size_t i = 0; i < owners->count; i++) {
        const struct owner *owner = &owners->items[i];
        size_t count;
        require(owner->inode != 0 && owner->fd >= 0);
        require(owners_process(owners, owner->pid) != NULL);
        require(i == 0 || owner[-1].inode <= owner->inode);
        require(owners_of(owners, owner->inode, &count) <= owner && count > 0);
    }
}

static void try_owners(struct diag_tape *tape)
{
    struct owners owners;
    if (diag_tape_owners(tape, &owners, NULL) != 0)
        return;
    check_owners(&owners);
    owners_release(&owners);
}

/* Each map of a tape is asked about each socket. */
static void try_maps(const struct diag_tape *tape, const struct socket_list *list)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t at = 0; diag_tape_next(tape, &at, &type, &bytes, &length);) {
        struct exposure_map *map = NULL;
        char interface[16];
        if (type != TAPE_INTERFACES || length < sizeof(uint32_t) ||
            exposure_map_unpack(bytes + sizeof(uint32_t), length - sizeof(uint32_t), &map) != 0)
            continue;
        for (size_t i = 0; i < list->count; i++) {
            require(exposure_of(map, &list->entries[i], interface) <= EXPOSURE_EVERYWHERE);
            require(strnlen(interface, sizeof(interface)) < sizeof(interface));
        }
        exposure_map_free(map);
    }
}

/* ---- those who take sockets as they come ---- */

/* Has seen the first `at` of those that it would have got together. */
struct taker {
    const struct socket_list *all;
    size_t at;
};

static bool is_kept(const struct socket_entry *entry)
{
    return (entry->local_port + entry->inode) % 2 == 0;
}

static void require_same(const struct socket_entry *one, const struct socket_entry *other)
{
    require(one->kind == other->kind && one->state == other->state);
    require(one->local == other->local && one->local_port == other->local_port);
    require(one->remote == other->remote && one->remote_port == other->remote_port);
    require(one->space == other->space && one->inode == other->inode);
    require(!one->path == !other->path && (!one->path || strcmp(one->path, other->path) == 0));
}

/* Keeps some, and looks at each once. */
static int take_some(struct socket_list *list, void *user, struct error *error)
{
    (void)user, (void)error;
    size_t kept = list->checked;
    for (size_t i = list->checked; i < list->count; i++)
        if (is_kept(&list->entries[i]))
            list->entries[kept++] = list->entries[i];
    list->count = list->checked = kept;
    return 0;
}

static int take_all(struct socket_list *list, void *user, struct error *error)
{
    struct taker *taker = user;
    (void)error;
    for (size_t i = 0; i < list->count; i++) {
        require(taker->at < taker->all->count);
        require_same(&list->entries[i], &taker->all->entries[taker->at++]);
    }
    socket_list_clear(list);
    return 0;
}

/* The same sockets come, whoever takes them. */
static void try_takers(struct diag_tape *tape, const struct diag_query *query,
                       const struct socket_list *all, int expected)
{
    struct taker taker = {.all = all};
    struct socket_list list;
    size_t closed = 0, at = 0;
    socket_list_init(&list);
    list.grown = take_some;
    require(spaces_list(NULL, query, tape, &list, &closed, NULL) == expected);
    for (size_t i = 0; i < all->count; i++)
        if (is_kept(&all->entries[i])) {
            require(at < list.count);
            require_same(&list.entries[at++], &all->entries[i]);
        }
    require(at == list.count && list.refused == all->refused);
    socket_list_release(&list);
    list.grown = take_all;
    list.user = &taker;
    require(spaces_list(NULL, query, tape, &list, &closed, NULL) == expected);
    require(taker.at == all->count && list.count == 0 && list.refused == all->refused);
    socket_list_release(&list);
}

static void try_tape(const uint8_t *bytes, size_t length, struct socket_list *list)
{
    const struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1,
                                     .states = SOCKET_EVERY_STATE,
                                     .tcp_figures = true};
    struct diag_tape *tape = NULL;
    size_t closed = 0;
    if (diag_tape_open_bytes(bytes, length, "fuzz", &tape, NULL) != 0)
        return;
    const int code = spaces_list(NULL, &query, tape, list, &closed, NULL);
    require(code >= 0 && code <= 1 && closed == 0);
    require(diag_tape_space_count(tape) == list->space_count);
    check_list(list, &query);
    for (size_t i = 0; i < list->count; i++)
        require(list->entries[i].space < list->space_count);
    for (size_t i = 0; i < list->space_count; i++)
        require(strnlen(list->spaces[i].name, sizeof(list->spaces[i].name)) <
                sizeof(list->spaces[i].name));
    try_takers(tape, &query, list, code);
    try_maps(tape, list);
    try_owners(tape);
    require(diag_tape_close(tape, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct socket_list list;
    struct diag_progress progress = {0};
    socket_list_init(&list);
    if (length > 0 && bytes[0] == TAPE) {
        try_tape(bytes + 1, length - 1, &list);
    } else if (length >= HEADER) {
        const struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1,
                                         .states = SOCKET_EVERY_STATE & ~(uint32_t)bytes[1],
                                         .local_port = bytes[2],
                                         .tcp_figures = true};
        diag_read(bytes + HEADER, length - HEADER, (enum socket_kind)(bytes[0] % SOCKET_KINDS),
                  &query, 0, &list, &progress, NULL);
        check_list(&list, &query);
    }
    socket_list_release(&list);
    return 0;
}
