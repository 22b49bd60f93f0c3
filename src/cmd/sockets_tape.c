/* What `sockets` records besides the kernel's answers, and how it comes back. */
#include "cmd/sockets_tape.h"

#include "local/tape_owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int sockets_tape_note(struct sockets *sockets, const struct socket_entry *entry,
                      struct error *error)
{
    struct sockets_inodes *noted = &sockets->noted;
    if (noted->capacity - noted->count < 2) {
        const size_t capacity = noted->capacity ? noted->capacity * 2 : 1024;
        uint32_t *items = reallocarray(noted->items, capacity, sizeof(*items));
        if (!items)
            return error_set(error, ENOMEM, "no memory for the processes of sockets");
        noted->items = items;
        noted->capacity = capacity;
    }
    if (entry->inode)
        noted->items[noted->count++] = entry->inode;
    if (entry->peer_inode)
        noted->items[noted->count++] = entry->peer_inode;
    return 0;
}

void sockets_tape_put_rest(const struct sockets *sockets)
{
    const struct tape_sight sight = {.unseen = sockets->owners.unseen,
                                     .unseen_spaces =
                                         sockets->every_space ? sockets->unseen_spaces : 0,
                                     .uid = sockets->viewer,
                                     .processes = sockets->has_owners};
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
