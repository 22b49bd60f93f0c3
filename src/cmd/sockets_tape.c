/* What `sockets` records besides the kernel's answers, and how it comes back. */
#include "cmd/sockets_tape.h"

#include "local/tape_owners.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define SOCKETS_USERS 4096 /* of which a recording has the names */

/* ---- recording ---- */

bool sockets_tape_is_written(const struct sockets *sockets)
{
    return diag_tape_is_written(sockets->tape);
}

struct diag_query sockets_tape_query(const struct sockets *sockets)
{
    return (struct diag_query){.kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1,
                               .states = SOCKET_EVERY_STATE,
                               .tcp_figures = sockets->query.tcp_figures,
                               .memory_figures = sockets->query.memory_figures,
                               .record_figures = true};
}

void sockets_tape_put_map(const struct sockets *sockets, uint32_t space)
{
    const struct exposure_map *map = sockets->spaces[space].map;
    struct buffer record = {0};
    if (!sockets_tape_is_written(sockets) || !map)
        return;
    buffer_add(&record, &space, sizeof(space));
    exposure_map_pack(map, &record);
    if (!record.failed)
        diag_tape_put(sockets->tape, TAPE_INTERFACES, record.data, record.length);
    buffer_release(&record);
}

static int add_number(struct sockets_numbers *numbers, uint32_t number)
{
    if (numbers->count == numbers->capacity) {
        const size_t capacity = numbers->capacity ? numbers->capacity * 2 : 64;
        uint32_t *items = reallocarray(numbers->items, capacity, sizeof(*items));
        if (!items)
            return -ENOMEM;
        numbers->items = items;
        numbers->capacity = capacity;
    }
    numbers->items[numbers->count++] = number;
    return 0;
}

/* There are few, and mostly it is the last one again. */
static int add_user(struct sockets_numbers *users, uint32_t uid)
{
    for (size_t i = users->count; i-- > 0;)
        if (users->items[i] == uid)
            return 0;
    return users->count < SOCKETS_USERS ? add_number(users, uid) : 0;
}

int sockets_tape_note(struct sockets *sockets, const struct socket_entry *entry, bool holders,
                      struct error *error)
{
    struct sockets_numbers *inodes = &sockets->noted.inodes;
    int failed = entry->inode ? add_user(&sockets->noted.users, entry->uid) : 0;
    if (!failed && holders && entry->inode)
        failed = add_number(inodes, entry->inode);
    if (!failed && holders && entry->peer_inode)
        failed = add_number(inodes, entry->peer_inode);
    return failed ? error_set(error, ENOMEM, "no memory for the processes of sockets") : 0;
}

static void put_user(const struct sockets *sockets, uint32_t uid)
{
    const struct passwd *entry = getpwuid(uid);
    struct buffer record = {0};
    if (!entry)
        return;
    buffer_add(&record, &uid, sizeof(uid));
    buffer_add(&record, entry->pw_name, strlen(entry->pw_name) + 1);
    if (!record.failed)
        diag_tape_put(sockets->tape, TAPE_USER, record.data, record.length);
    buffer_release(&record);
}

void sockets_tape_put_rest(const struct sockets *sockets)
{
    const struct tape_sight sight = {.unseen = sockets->owners.unseen,
                                     .unseen_spaces =
                                         sockets->every_space ? sockets->unseen_spaces : 0,
                                     .uid = sockets->viewer,
                                     .processes = sockets->has_owners};
    for (size_t i = 0; i < sockets->noted.users.count; i++)
        put_user(sockets, sockets->noted.users.items[i]);
    if (sockets->has_owners)
        diag_tape_put_owners(sockets->tape, &sockets->owners);
    diag_tape_put_sight(sockets->tape, &sight);
}

/* ---- replaying ---- */

/* Of several maps of one namespace the first counts. */
static int take_map(struct sockets *sockets, const char *bytes, size_t length)
{
    uint32_t space;
    if (length < sizeof(space))
        return -EBADMSG;
    memcpy(&space, bytes, sizeof(space));
    if (space >= sockets->space_capacity)
        return -EBADMSG;
    if (sockets->spaces[space].map)
        return 0;
    return exposure_map_unpack(bytes + sizeof(space), length - sizeof(space),
                               &sockets->spaces[space].map);
}

static int take_maps(struct sockets *sockets)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t at = 0; diag_tape_next(sockets->tape, &at, &type, &bytes, &length);) {
        const int failed = type == TAPE_INTERFACES ? take_map(sockets, bytes, length) : 0;
        if (failed == -ENOMEM)
            return failed;
        if (failed)
            diag_tape_set_damaged(sockets->tape);
    }
    return 0;
}

int sockets_tape_begin(struct sockets *sockets, struct error *error)
{
    const size_t count = diag_tape_space_count(sockets->tape);
    struct tape_sight sight = {0};
    diag_tape_sight(sockets->tape, &sight);
    sockets->viewer = sight.uid;
    sockets->unseen_spaces = (size_t)sight.unseen_spaces;
    sockets->spaces = calloc(count, sizeof(*sockets->spaces));
    if (sockets->spaces)
        sockets->space_capacity = count;
    if (!sockets->spaces || take_maps(sockets) != 0)
        return error_set(error, ENOMEM, "no memory for network namespaces");
    return 0;
}

/* Returns 0, -EBADMSG or -ENOMEM. */
static int take_user(struct sockets_users *users, const char *bytes, size_t length)
{
    uint32_t uid;
    if (length <= sizeof(uid) + 1 || bytes[sizeof(uid)] == '\0' ||
        !memchr(bytes + sizeof(uid), '\0', length - sizeof(uid)))
        return -EBADMSG;
    memcpy(&uid, bytes, sizeof(uid));
    return users->count < SOCKETS_USERS ? sockets_users_learn(users, uid, bytes + sizeof(uid)) : 0;
}

int sockets_tape_find_users(struct diag_tape *tape, struct sockets_users *users,
                            struct error *error)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    users->recorded = true;
    for (size_t at = 0; diag_tape_next(tape, &at, &type, &bytes, &length);) {
        const int failed = type == TAPE_USER ? take_user(users, bytes, length) : 0;
        if (failed == -ENOMEM)
            return error_set(error, ENOMEM, "no memory for the names of users");
        if (failed)
            diag_tape_set_damaged(tape);
    }
    return 0;
}

bool sockets_tape_has_owners(const struct diag_tape *tape)
{
    struct tape_sight sight;
    return diag_tape_sight(tape, &sight) && sight.processes;
}

int sockets_tape_find_owners(struct sockets *sockets, struct error *error)
{
    if (!sockets_tape_has_owners(sockets->tape))
        return 0;
    const int failed = diag_tape_owners(sockets->tape, &sockets->owners, error);
    sockets->has_owners = !failed;
    return failed;
}
