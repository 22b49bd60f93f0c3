/* Asking for the sockets, taking those that are wanted, and finding who holds these. */
#include "cmd/sockets_gather.h"

#include "cmd/sockets_tape.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool sockets_is_listening(const struct socket_entry *entry)
{
    switch (entry->kind) {
    case SOCKET_UDP:
    case SOCKET_UDPLITE:
        return entry->state == SOCKET_CLOSE && entry->local_port != 0;
    case SOCKET_RAW:
        return entry->state == SOCKET_CLOSE;
    case SOCKET_UNIX_DATAGRAM:
        return entry->state == SOCKET_CLOSE && entry->path;
    default:
        return entry->state == SOCKET_LISTEN;
    }
}

/* ---- network namespaces ---- */

/* What a thread inside the namespace sees of it. */
static int look_at_space(struct sockets *sockets, uint32_t index, struct error *error)
{
    if (index >= sockets->space_capacity) {
        size_t capacity = sockets->space_capacity ? sockets->space_capacity * 2 : 4;
        capacity = capacity > index ? capacity : (size_t)index + 1;
        struct sockets_space *spaces =
            reallocarray(sockets->spaces, capacity, sizeof(*sockets->spaces));
        if (!spaces)
            return error_set(error, ENOMEM, "no memory for network namespaces");
        memset(spaces + sockets->space_capacity, 0,
               (capacity - sockets->space_capacity) * sizeof(*spaces));
        sockets->spaces = spaces;
        sockets->space_capacity = capacity;
    }
    struct sockets_space *space = &sockets->spaces[index];
    if (space->known)
        return 0;
    space->known = true;
    if (diag_tape_is_read(sockets->tape))
        return 0; /* what is known of it was recorded */
    /* A machine that does not tell its interfaces still has sockets to show. */
    if (exposure_map_new(&space->map, NULL) != 0)
        space->map = NULL;
    sockets_tape_put_map(sockets, index);
    return 0;
}

static const struct sockets_space *space_of(const struct sockets *sockets,
                                            const struct socket_entry *entry)
{
    return entry->space < sockets->space_capacity ? &sockets->spaces[entry->space] : NULL;
}

const char *sockets_interface(const struct sockets *sockets, const struct socket_entry *entry,
                              char text[static 16])
{
    const struct sockets_space *space = space_of(sockets, entry);
    text[0] = '\0';
    if (entry->interface == 0)
        return text;
    const char *name = space ? exposure_interface(space->map, entry->interface) : NULL;
    if (name)
        snprintf(text, 16, "%s", name);
    else
        snprintf(text, 16, "%u", entry->interface);
    return text;
}

const struct exposure_map *sockets_own_map(const struct sockets *sockets)
{
    return sockets->space_capacity ? sockets->spaces[0].map : NULL;
}

enum exposure sockets_exposure(const struct sockets *sockets, const struct socket_entry *entry,
                               char interface[static 16])
{
    const struct sockets_space *space = space_of(sockets, entry);
    interface[0] = '\0';
    return exposure_of(space ? space->map : NULL, entry, interface);
}

/* ---- which of them ---- */

static bool is_wanted(const struct sockets *sockets, const struct socket_entry *entry)
{
    if (entry->state < SOCKET_STATES && sockets->named & SOCKET_STATE_BIT(entry->state))
        return true;
    switch (sockets->scope) {
    case SOCKETS_LISTENING:
        return sockets_is_listening(entry);
    case SOCKETS_CONNECTIONS:
        return !sockets_is_listening(entry);
    case SOCKETS_ALL:
        break;
    }
    return true;
}

static bool needs_owners(const struct sockets *sockets)
{
    return sockets->filter && filter_needs_owners(sockets->filter);
}

static bool matches(const struct sockets *sockets, const struct socket_entry *entry,
                    const struct owners *owners)
{
    const struct sockets_space *space = space_of(sockets, entry);
    return filter_match(sockets->filter, entry, owners, space ? space->map : NULL);
}

static bool wants_owners(const struct sockets *sockets)
{
    return !sockets->options->no_processes || needs_owners(sockets);
}

/* A recording has more than what will be shown. */
static int record(struct sockets *sockets, const struct socket_entry *entry, bool *ret_asked,
                  struct error *error)
{
    *ret_asked = diag_query_takes(&sockets->query, entry);
    return sockets_tape_note(sockets, entry, wants_owners(sockets), error);
}

/* Keeps of those that came since the last call the ones that will be shown. */
static int take(struct sockets *sockets, struct error *error)
{
    struct socket_list *list = &sockets->list;
    const bool judges = sockets->filter && !needs_owners(sockets);
    const bool records = sockets_tape_is_written(sockets);
    size_t kept = list->checked;
    for (size_t i = list->checked; i < list->count; i++) {
        const struct socket_entry *entry = &list->entries[i];
        bool asked = true;
        int failed = look_at_space(sockets, entry->space, error);
        if (!failed && records)
            failed = record(sockets, entry, &asked, error);
        if (failed)
            return failed;
        if (!asked || !is_wanted(sockets, entry) || (judges && !matches(sockets, entry, NULL)))
            continue;
        if (kept != i)
            list->entries[kept] = *entry;
        kept++;
    }
    list->count = list->checked = kept;
    return 0;
}

static int grown(struct socket_list *list, void *user, struct error *error)
{
    struct sockets *sockets = user;
    int failed = take(sockets, error);
    if (!failed && sockets->show && list->count > 0) {
        failed = sockets->show(sockets->user, sockets, list->count, error);
        socket_list_clear(list);
    }
    return failed;
}

/* ---- owners ---- */

static int compare_inodes(const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

/* Sorted, each once. Returns how many are left. */
static size_t sort_inodes(uint32_t *inodes, size_t count)
{
    size_t kept = 0;
    if (count > 0)
        qsort(inodes, count, sizeof(*inodes), compare_inodes);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || inodes[kept - 1] != inodes[i])
            inodes[kept++] = inodes[i];
    return kept;
}

/* The inodes whose holders are wanted. */
static uint32_t *list_inodes(const struct socket_list *list, size_t *ret_count)
{
    uint32_t *inodes = calloc(list->count ? list->count : 1, 2 * sizeof(*inodes));
    size_t count = 0;
    for (size_t i = 0; inodes && i < list->count; i++) {
        if (list->entries[i].inode)
            inodes[count++] = list->entries[i].inode;
        if (list->entries[i].peer_inode)
            inodes[count++] = list->entries[i].peer_inode;
    }
    *ret_count = count;
    return inodes;
}

/* Inodes are the machine's, whatever namespace a socket is in. */
static int find_owners(struct sockets *sockets, struct error *error)
{
    const struct sockets_numbers noted = sockets->noted.inodes;
    sockets->noted.inodes = (struct sockets_numbers){0};
    uint32_t *inodes = noted.items;
    size_t count = noted.count;
    if (!inodes)
        inodes = list_inodes(&sockets->list, &count);
    if (!inodes)
        return error_set(error, ENOMEM, "no memory for the processes of sockets");
    count = sort_inodes(inodes, count);
    const int failed = owners_find(inodes, count, OWNERS_BEST, true, &sockets->owners, error);
    sockets->has_owners = !failed;
    free(inodes);
    return failed;
}

static void judge_with_owners(struct sockets *sockets)
{
    struct socket_list *list = &sockets->list;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (matches(sockets, &list->entries[i], &sockets->owners)) {
            if (kept != i)
                list->entries[kept] = list->entries[i];
            kept++;
        }
    list->count = list->checked = kept;
}

/* Somebody has it, and it is none of those whom we may look at. */
static bool is_hidden(const struct sockets *sockets, const struct socket_entry *entry)
{
    size_t others;
    return entry->inode != 0 && !sockets_holder(sockets, entry, &others) &&
           (sockets->owners.unseen > 0 || (sockets->viewer != 0 && entry->uid != sockets->viewer));
}

const struct process *sockets_holder(const struct sockets *sockets,
                                     const struct socket_entry *entry, size_t *ret_others)
{
    size_t count = 0, others = 0;
    const struct owner *owner = NULL;
    if (sockets->has_owners && entry->inode != 0)
        owner = owners_of(&sockets->owners, entry->inode, &count);
    if (!owner)
        return NULL;
    for (size_t i = 1; i < count; i++)
        others += owner[i].pid != owner[i - 1].pid;
    *ret_others = others;
    return owners_process(&sockets->owners, owner->pid);
}

const struct process *sockets_peer_holder(const struct sockets *sockets,
                                          const struct socket_entry *entry)
{
    const struct socket_entry peer = {.inode = entry->peer_inode};
    size_t others;
    return sockets_holder(sockets, &peer, &others);
}

/* ---- names ---- */

#define NAMES_PATIENCE (2 * NANOSECONDS_PER_SECOND)
#define NAMES_AT_ONCE 256

static bool has_peer(const struct socket_entry *entry)
{
    return entry->family != ADDRESS_NONE && entry->remote != 0;
}

/* Each address is asked for once, however many sockets have it. */
static int ask_names(struct sockets *sockets)
{
    struct address addresses[NAMES_AT_ONCE];
    size_t count = 0;
    int failed = 0;
    for (size_t i = 0; i < sockets->list.count && !failed; i++) {
        if (has_peer(&sockets->list.entries[i]))
            addresses[count++] = socket_remote(&sockets->list.entries[i]);
        if (count == NAMES_AT_ONCE || i + 1 == sockets->list.count) {
            failed = names_ask(sockets->names, addresses, count);
            count = 0;
        }
    }
    return failed;
}

static int find_names(struct sockets *sockets, struct error *error)
{
    const int failed = names_open(NULL, &sockets->names, error);
    if (failed)
        return failed;
    if (ask_names(sockets) != 0)
        return error_set(error, ENOMEM, "no memory for names");
    names_wait(sockets->names, NAMES_PATIENCE);
    return 0;
}

const char *sockets_remote_name(const struct sockets *sockets, const struct socket_entry *entry)
{
    const struct address address = socket_remote(entry);
    return sockets->names && has_peer(entry) ? names_find(sockets->names, &address) : NULL;
}

/* ---- all of it ---- */

static int list_sockets(struct sockets *sockets, struct error *error)
{
    struct spaces *spaces = NULL;
    const bool replayed = diag_tape_is_read(sockets->tape);
    const struct diag_query query =
        sockets_tape_is_written(sockets) ? sockets_tape_query(sockets) : sockets->query;
    size_t closed = 0;
    sockets->viewer = geteuid();
    int failed = replayed ? sockets_tape_begin(sockets, error) : look_at_space(sockets, 0, error);
    if (!failed && !replayed)
        failed = spaces_open(sockets->every_space, &spaces, error);
    if (failed)
        return failed;
    if (!replayed)
        sockets->unseen_spaces = spaces_unseen(spaces);
    sockets->list.grown = grown;
    sockets->list.user = sockets;
    const int result = spaces_list(spaces, &query, sockets->tape, &sockets->list, &closed, error);
    spaces_close(spaces);
    if (result < 0)
        return result;
    sockets->incomplete = result > 0;
    sockets->unseen_spaces += closed;
    return grown(&sockets->list, sockets, error); /* what may have come at the end */
}

static int gather_owners(struct sockets *sockets, struct error *error)
{
    if (!wants_owners(sockets))
        return 0;
    const int failed = diag_tape_is_read(sockets->tape) ? sockets_tape_find_owners(sockets, error)
                                                        : find_owners(sockets, error);
    if (failed || !sockets->has_owners)
        return failed;
    /* Also those that a filter leaves out because nobody knows whose they are. */
    for (size_t i = 0; i < sockets->list.count; i++)
        sockets->hidden += is_hidden(sockets, &sockets->list.entries[i]);
    if (needs_owners(sockets))
        judge_with_owners(sockets);
    return 0;
}

int sockets_gather(struct sockets *sockets, struct error *error)
{
    int failed = list_sockets(sockets, error);
    if (!failed && !sockets->show)
        failed = gather_owners(sockets, error);
    if (!failed && sockets_tape_is_written(sockets))
        sockets_tape_put_rest(sockets);
    if (failed || sockets->show)
        return failed;
    if (sockets->options->resolve)
        failed = find_names(sockets, error);
    return failed;
}

void sockets_release(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->space_capacity; i++)
        exposure_map_free(sockets->spaces[i].map);
    names_close(sockets->names);
    free(sockets->spaces);
    free(sockets->order);
    free(sockets->noted.inodes.items);
    free(sockets->noted.users.items);
    if (sockets->has_owners)
        owners_release(&sockets->owners);
    socket_list_release(&sockets->list);
}

const struct socket_entry *sockets_at(const struct sockets *sockets, size_t index)
{
    return &sockets->list.entries[sockets->order ? sockets->order[index] : index];
}
