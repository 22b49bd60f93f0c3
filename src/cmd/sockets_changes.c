/* Two looks at the sockets compared, by a hash table of the later one. */
#include "cmd/sockets_changes.h"

#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sockets_marks_release(struct sockets_marks *marks)
{
    free(marks->items);
    *marks = (struct sockets_marks){0};
}

const char *sockets_change_name(enum sockets_change change)
{
    static const char *const names[] = {
        [SOCKETS_STAYED] = NULL,
        [SOCKETS_CAME] = "came",
        [SOCKETS_WENT] = "went",
        [SOCKETS_CHANGED] = "changed",
    };
    return names[change];
}

/* ---- which socket it is ---- */

/* What a socket is known by. A connection of TCP is its two ends: in TIME_WAIT nobody holds it any
 * more, and the kernel has another cookie for it. Any other one is its inode. */
struct identity {
    uint128_t local, remote;
    uint64_t space, number;
    uint32_t interface;
    uint16_t local_port, remote_port;
    uint64_t kind; /* with the family */
};

_Static_assert(sizeof(struct identity) == 64, "no bytes between the fields, which are compared");

static uint64_t space_inode(const struct sockets *sockets, const struct socket_entry *entry)
{
    return entry->space < sockets->list.space_count ? sockets->list.spaces[entry->space].inode : 0;
}

static struct identity identity_of(const struct sockets *sockets, const struct socket_entry *entry)
{
    const bool tcp = entry->kind == SOCKET_TCP || entry->kind == SOCKET_MPTCP;
    struct identity identity = {
        .space = space_inode(sockets, entry),
        .kind = (uint64_t)entry->kind << 8 | entry->family,
    };
    if ((tcp && entry->remote_port) || !entry->inode) {
        identity.local = entry->local;
        identity.remote = entry->remote;
        identity.local_port = entry->local_port;
        identity.remote_port = entry->remote_port;
        identity.interface = entry->interface;
    } else {
        identity.number = entry->inode;
    }
    return identity;
}

/* Peers choose their ports; the seed keeps them from choosing where they stand in the table. */
static uint64_t hash_of(const struct identity *identity, uint64_t seed)
{
    uint64_t words[sizeof(*identity) / sizeof(uint64_t)];
    memcpy(words, identity, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        seed = mix64(seed ^ words[i]);
    return seed;
}

/* ---- the table ---- */

#define EMPTY UINT32_MAX

struct table {
    const struct sockets *sockets;
    uint32_t *slots; /* indices into its list */
    size_t mask;
    uint64_t seed;
};

static int table_new(const struct sockets *sockets, struct table *ret_table)
{
    const size_t count = sockets->list.count;
    size_t size = 16;
    while (size < 2 * count)
        size *= 2;
    uint32_t *slots = malloc(size * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    const uint64_t seed = random_u64();
    memset(slots, 0xff, size * sizeof(*slots));
    for (size_t i = 0; i < count; i++) {
        const struct identity identity = identity_of(sockets, &sockets->list.entries[i]);
        size_t at = hash_of(&identity, seed) & (size - 1);
        while (slots[at] != EMPTY)
            at = (at + 1) & (size - 1);
        slots[at] = (uint32_t)i;
    }
    *ret_table = (struct table){sockets, slots, size - 1, seed};
    return 0;
}

/* A connection whose ends were taken by another one is not the same. */
static bool is_same(const struct socket_entry *before, const struct socket_entry *now)
{
    return !before->inode || !now->inode || before->inode == now->inode;
}

/* The socket of the table that an earlier one has become, and that none has become yet; EMPTY:
 * there is none. */
static uint32_t table_find(const struct table *table, const bool *met, const struct sockets *before,
                           const struct socket_entry *entry)
{
    const struct identity wanted = identity_of(before, entry);
    for (size_t at = hash_of(&wanted, table->seed) & table->mask;; at = (at + 1) & table->mask) {
        const uint32_t index = table->slots[at];
        if (index == EMPTY)
            return EMPTY;
        const struct socket_entry *now = &table->sockets->list.entries[index];
        const struct identity identity = identity_of(table->sockets, now);
        if (!met[index] && memcmp(&identity, &wanted, sizeof(wanted)) == 0 && is_same(entry, now))
            return index;
    }
}

/* ---- what went ---- */

static char *copy_text(struct arena *arena, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = arena_take(arena, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

/* The kernel soon gives the inode of one that is gone to a new one. */
static bool is_same_space(const struct socket_space *one, const struct socket_space *other)
{
    return one->inode == other->inode && strcmp(one->name, other->name) == 0;
}

/* The number of the namespace in the later look; those that are gone are added. */
static int keep_space(const struct sockets *before, const struct socket_entry *entry,
                      struct socket_list *list, uint32_t *ret_space)
{
    if (entry->space >= before->list.space_count)
        return 0;
    const struct socket_space *space = &before->list.spaces[entry->space];
    for (size_t i = 0; i < list->space_count; i++)
        if (is_same_space(&list->spaces[i], space)) {
            *ret_space = (uint32_t)i;
            return 0;
        }
    struct socket_space *spaces =
        reallocarray(list->spaces, list->space_count + 1, sizeof(*spaces));
    if (!spaces)
        return -ENOMEM;
    list->spaces = spaces;
    *ret_space = (uint32_t)list->space_count;
    spaces[list->space_count++] = *space;
    return 0;
}

/* What the kernel told besides. */
static int keep_figures(struct arena *arena, struct socket_entry *entry)
{
    struct socket_tcp *tcp = entry->tcp ? arena_take(arena, sizeof(*tcp)) : NULL;
    struct socket_memory *memory = entry->memory ? arena_take(arena, sizeof(*memory)) : NULL;
    if ((entry->tcp && !tcp) || (entry->memory && !memory))
        return -ENOMEM;
    if (tcp)
        *tcp = *entry->tcp;
    if (memory)
        *memory = *entry->memory;
    entry->tcp = tcp;
    entry->memory = memory;
    return 0;
}

static int keep_socket(const struct sockets *before, const struct socket_entry *entry,
                       struct socket_list *list)
{
    struct socket_entry copy = *entry;
    if (keep_space(before, entry, list, &copy.space) != 0)
        return -ENOMEM;
    if (entry->path)
        copy.path = copy_text(&list->arena, entry->path);
    if (entry->path && !copy.path)
        return -ENOMEM;
    if (keep_figures(&list->arena, &copy) != 0)
        return -ENOMEM;
    struct socket_entry *added = socket_list_add(list);
    if (!added)
        return -ENOMEM;
    *added = copy;
    return 0;
}

/* ---- who held it ---- */

/* Of the sockets that went, and of those to which they are lent. */
static int keep_owners(const struct sockets *before, struct sockets *now,
                       const struct sockets_mark *marks)
{
    const struct socket_list *list = &now->list;
    size_t count = 0;
    if (!before->has_owners || !now->has_owners)
        return 0;
    uint32_t *inodes = calloc(list->count + 1, sizeof(*inodes));
    if (!inodes)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].inode && (marks[i].change == SOCKETS_WENT || marks[i].lent))
            inodes[count++] = list->entries[i].inode;
    const int failed = owners_merge(&now->owners, &before->owners, inodes, count);
    free(inodes);
    return failed;
}

/* ---- all of it ---- */

struct comparison {
    const struct sockets *before;
    const struct sockets_marks *before_marks;
    struct sockets *now;
    uint64_t time, keep;
    struct table table;
    bool *met; /* of the later look: it was there before */
    struct sockets_mark *marks;
};

/* Sockets are listed first, and their processes looked for then: who closes one in between is not
 * found any more. */
static bool has_lost_owners(const struct comparison *comparison, const struct socket_entry *now)
{
    size_t count;
    return comparison->before->has_owners && comparison->now->has_owners && now->inode &&
           !owners_of(&comparison->now->owners, now->inode, &count) &&
           owners_of(&comparison->before->owners, now->inode, &count);
}

/* A socket of the earlier look, and the one that it has become. */
static void compare_socket(struct comparison *comparison, size_t index, uint32_t found)
{
    const struct socket_entry *before = &comparison->before->list.entries[index];
    const struct socket_entry *now = &comparison->now->list.entries[found];
    const struct sockets_mark *old = &comparison->before_marks->items[index];
    struct sockets_mark mark = *old;
    comparison->met[found] = true;
    mark.fresh = false;
    if (before->state != now->state)
        mark = (struct sockets_mark){.when = comparison->time,
                                     .change = SOCKETS_CHANGED,
                                     .before = before->state,
                                     .fresh = true};
    else if (comparison->time - mark.when >= comparison->keep)
        mark = (struct sockets_mark){0};
    mark.lent = !old->lent && has_lost_owners(comparison, now);
    comparison->marks[found] = mark;
}

static int compare_all(struct comparison *comparison)
{
    const size_t count = comparison->now->list.count;
    const struct sockets *before = comparison->before;
    for (size_t i = 0; i < before->list.count; i++) {
        const struct socket_entry *entry = &before->list.entries[i];
        const struct sockets_mark *old = &comparison->before_marks->items[i];
        struct sockets_mark mark = *old;
        if (old->change == SOCKETS_WENT) {
            if (comparison->time - old->when >= comparison->keep)
                continue;
            mark.fresh = false;
        } else {
            const uint32_t found = table_find(&comparison->table, comparison->met, before, entry);
            if (found != EMPTY) {
                compare_socket(comparison, i, found);
                continue;
            }
            mark = (struct sockets_mark){
                .when = comparison->time, .change = SOCKETS_WENT, .fresh = true};
        }
        if (keep_socket(before, entry, &comparison->now->list) != 0)
            return -ENOMEM;
        comparison->marks[comparison->now->list.count - 1] = mark;
    }
    for (size_t i = 0; i < count; i++)
        if (!comparison->met[i])
            comparison->marks[i] = (struct sockets_mark){
                .when = comparison->time, .change = SOCKETS_CAME, .fresh = true};
    return keep_owners(before, comparison->now, comparison->marks);
}

int sockets_changes_find(const struct sockets *before, const struct sockets_marks *before_marks,
                         struct sockets *now, uint64_t time, uint64_t keep,
                         struct sockets_marks *ret_marks, struct error *error)
{
    const size_t count = now->list.count, most = count + (before ? before->list.count : 0);
    struct comparison comparison = {
        .before = before,
        .before_marks = before_marks,
        .now = now,
        .time = time,
        .keep = keep,
        .met = calloc(count + 1, sizeof(*comparison.met)),
        .marks = calloc(most + 1, sizeof(*comparison.marks)),
    };
    int failed = comparison.met && comparison.marks ? 0 : -ENOMEM;
    if (!failed && before)
        failed = table_new(now, &comparison.table);
    if (!failed && before)
        failed = compare_all(&comparison);
    free(comparison.met);
    free(comparison.table.slots);
    if (failed) {
        free(comparison.marks);
        return error_set(error, ENOMEM, "no memory for what has changed");
    }
    *ret_marks = (struct sockets_marks){comparison.marks, now->list.count};
    return 0;
}
