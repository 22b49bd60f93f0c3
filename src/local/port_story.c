/* What uses a port: the facts, from the sockets that have it. */
#include "local/port_story_parts.h"

#include "net/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct telling {
    const struct port_question *question;
    const struct socket_list *list;
    const struct owners *owners;
    const struct exposure_map *map;
    struct port_story *story;
    size_t capacity;    /* of uses */
    uint32_t *plain;    /* inodes of TCP's sockets that have the port, sorted */
    size_t plain_count; /* of them */
};

const char *port_role_name(enum port_role role)
{
    static const char *const names[PORT_ROLES] = {
        [PORT_LISTENS] = "listens", [PORT_BOUND] = "bound",         [PORT_CONNECTED] = "connected",
        [PORT_ENDING] = "ending",   [PORT_TIME_WAIT] = "time-wait",
    };
    return (unsigned)role < PORT_ROLES ? names[role] : "?";
}

static bool has_port(const struct telling *telling, const struct socket_entry *entry)
{
    return entry->local_port == telling->question->port && entry->family != ADDRESS_NONE &&
           entry->kind < SOCKET_KINDS && entry->kind != SOCKET_RAW &&
           (telling->question->kinds & SOCKET_KIND_BIT(entry->kind));
}

static enum port_role role_of(const struct socket_entry *entry)
{
    const bool stream = entry->kind != SOCKET_UDP && entry->kind != SOCKET_UDPLITE;
    switch (entry->state) {
    case SOCKET_LISTEN:
        return PORT_LISTENS;
    case SOCKET_CLOSE:
        return stream ? PORT_BOUND : PORT_LISTENS;
    case SOCKET_BOUND:
        return PORT_BOUND;
    case SOCKET_TIME_WAIT:
        return PORT_TIME_WAIT;
    case SOCKET_FIN_WAIT1:
    case SOCKET_FIN_WAIT2:
    case SOCKET_LAST_ACK:
    case SOCKET_CLOSING:
        return entry->has_inode && entry->inode != 0 ? PORT_CONNECTED : PORT_ENDING;
    default:
        return PORT_CONNECTED;
    }
}

static bool holds_address(enum port_role role)
{
    return role == PORT_LISTENS || role == PORT_BOUND;
}

/* ---- uses ---- */

static struct port_use *add_use(struct telling *telling, const struct socket_entry *entry,
                                enum port_role role)
{
    struct port_story *story = telling->story;
    if (story->use_count == telling->capacity) {
        const size_t capacity = telling->capacity ? telling->capacity * 2 : 8;
        struct port_use *uses = reallocarray(story->uses, capacity, sizeof(*uses));
        if (!uses)
            return NULL;
        story->uses = uses;
        telling->capacity = capacity;
    }
    struct port_use *use = &story->uses[story->use_count++];
    *use = (struct port_use){.role = role,
                             .kind = entry->kind,
                             .space = entry->space,
                             .local = socket_local(entry),
                             .uid = entry->uid};
    if (!holds_address(role))
        return use;
    use->interface = entry->interface;
    use->dual = entry->family == ADDRESS_IPV6 && !entry->v6only && use->local.value == 0;
    if (entry->space == 0)
        use->exposure = exposure_of(telling->map, entry, use->interface_name);
    return use;
}

static bool belongs_to(const struct socket_entry *entry, enum port_role role,
                       const struct port_use *use)
{
    if (use->role != role || use->kind != entry->kind || use->space != entry->space)
        return false;
    if (!holds_address(role))
        return true;
    const struct address local = socket_local(entry);
    const bool dual = entry->family == ADDRESS_IPV6 && !entry->v6only && local.value == 0;
    return use->interface == entry->interface && use->dual == dual &&
           address_equal(&use->local, &local);
}

/* The use that the socket is one of. NULL without memory. */
static struct port_use *use_of(struct telling *telling, const struct socket_entry *entry,
                               enum port_role role)
{
    for (size_t i = 0; i < telling->story->use_count; i++) {
        struct port_use *use = &telling->story->uses[i];
        if (!belongs_to(entry, role, use))
            continue;
        const struct address local = socket_local(entry);
        use->any_local = use->any_local || !address_equal(&use->local, &local);
        return use;
    }
    return add_use(telling, entry, role);
}

/* The listening socket that the connection came in by: one at its address, or else at all of them.
 */
static struct port_use *listener_of(struct telling *telling, const struct socket_entry *entry)
{
    struct port_use *wildcard = NULL;
    const struct address local = socket_local(entry);
    for (size_t i = 0; i < telling->story->use_count; i++) {
        struct port_use *use = &telling->story->uses[i];
        if (use->role != PORT_LISTENS || use->kind != entry->kind || use->space != entry->space)
            continue;
        if (use->local.value == local.value && use->local.family == local.family)
            return use;
        if (use->local.value == 0 && (use->local.family == local.family || use->dual))
            wildcard = use;
    }
    return wildcard;
}

/* ---- who holds them ---- */

static bool same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

/* What is ended together: a container, a unit, or else processes of one name and user. */
static bool held_together(const struct process *one, const struct process *other)
{
    if (one->container || other->container)
        return same_text(one->container, other->container);
    if (port_process_is_docker_proxy(one) || port_process_is_docker_proxy(other))
        return port_process_is_docker_proxy(one) && port_process_is_docker_proxy(other) &&
               same_text(one->command, other->command);
    if (port_process_is_service(one) || port_process_is_service(other))
        return port_process_is_service(one) && port_process_is_service(other) &&
               one->user_unit == other->user_unit && same_text(one->unit, other->unit);
    return one->uid == other->uid && strcmp(one->name, other->name) == 0 &&
           (one->pid == 1) == (other->pid == 1);
}

static int add_member(struct port_holder *holder, const struct process *process)
{
    const struct process **members =
        reallocarray(holder->members, holder->processes + 1, sizeof(const struct process *));
    if (!members)
        return -ENOMEM;
    members[holder->processes++] = process;
    holder->members = members;
    return 0;
}

static int add_holder(struct port_use *use, const struct process *process)
{
    for (size_t i = 0; i < use->holder_count; i++)
        if (held_together(use->holders[i].members[0], process))
            return add_member(&use->holders[i], process);
    struct port_holder *holders =
        reallocarray(use->holders, use->holder_count + 1, sizeof(*holders));
    if (!holders)
        return -ENOMEM;
    use->holders = holders;
    holders[use->holder_count] = (struct port_holder){0};
    const int code = add_member(&holders[use->holder_count], process);
    use->holder_count += code == 0;
    return code;
}

static int compare_pids(const void *one, const void *other)
{
    const pid_t left = *(const pid_t *)one, right = *(const pid_t *)other;
    return (left > right) - (left < right);
}

/* Everybody who holds one of the use's sockets, each once. */
static int find_holders(struct telling *telling, struct port_use *use, const uint32_t *inodes,
                        size_t count)
{
    pid_t *pids = NULL;
    size_t pid_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t more = 0;
        const struct owner *owner = owners_of(telling->owners, inodes[i], &more);
        if (!owner || more == 0)
            continue;
        pid_t *grown = reallocarray(pids, pid_count + more, sizeof(*grown));
        if (!grown) {
            free(pids);
            return -ENOMEM;
        }
        pids = grown;
        for (size_t j = 0; j < more; j++)
            pids[pid_count++] = owner[j].pid;
    }
    if (pid_count > 0)
        qsort(pids, pid_count, sizeof(*pids), compare_pids);
    int code = 0;
    for (size_t i = 0; i < pid_count && code == 0; i++) {
        const struct process *process =
            i == 0 || pids[i] != pids[i - 1] ? owners_process(telling->owners, pids[i]) : NULL;
        if (process)
            code = add_holder(use, process);
    }
    free(pids);
    return code;
}

/* ---- connections ---- */

static bool is_open(const struct socket_entry *entry)
{
    return role_of(entry) == PORT_CONNECTED;
}

static void count_connection(struct port_use *use, const struct socket_entry *entry)
{
    if (entry->state == SOCKET_TIME_WAIT) {
        use->time_waits++;
        if (entry->timer_ms > use->rest_ms)
            use->rest_ms = entry->timer_ms;
    } else if (is_open(entry)) {
        use->connections++;
    }
}

static int compare_addresses(const void *one, const void *other)
{
    const struct port_peer *left = one, *right = other;
    return address_compare(&left->address, &right->address);
}

static int compare_counts(const void *one, const void *other)
{
    const struct port_peer *left = one, *right = other;
    if (left->connections != right->connections)
        return left->connections > right->connections ? -1 : 1;
    return compare_addresses(one, other);
}

static void count_peers(struct port_use *use)
{
    size_t count = 0;
    if (use->peer_count == 0)
        return;
    qsort(use->peers, use->peer_count, sizeof(*use->peers), compare_addresses);
    for (size_t i = 1; i < use->peer_count; i++) {
        if (address_equal(&use->peers[count].address, &use->peers[i].address))
            use->peers[count].connections += use->peers[i].connections;
        else
            use->peers[++count] = use->peers[i];
    }
    use->peer_count = count + 1;
    qsort(use->peers, use->peer_count, sizeof(*use->peers), compare_counts);
}

/* ---- MPTCP ---- */

static int compare_inodes(const void *one, const void *other)
{
    const uint32_t left = *(const uint32_t *)one, right = *(const uint32_t *)other;
    return (left > right) - (left < right);
}

static int find_plain(struct telling *telling)
{
    const struct socket_list *list = telling->list;
    telling->plain = calloc(list->count + 1, sizeof(*telling->plain));
    if (!telling->plain)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].kind == SOCKET_TCP && list->entries[i].inode != 0 &&
            has_port(telling, &list->entries[i]))
            telling->plain[telling->plain_count++] = list->entries[i].inode;
    qsort(telling->plain, telling->plain_count, sizeof(*telling->plain), compare_inodes);
    return 0;
}

/* The kernel tells of a socket of MPTCP twice: its first way is one of TCP, with the same inode. */
static bool is_told_as_plain(const struct telling *telling, const struct socket_entry *entry)
{
    return entry->kind == SOCKET_MPTCP && entry->inode != 0 && telling->plain_count > 0 &&
           bsearch(&entry->inode, telling->plain, telling->plain_count, sizeof(*telling->plain),
                   compare_inodes);
}

static void mark_multipath(struct telling *telling)
{
    for (size_t i = 0; i < telling->list->count; i++) {
        struct socket_entry plain = telling->list->entries[i];
        if (plain.state != SOCKET_LISTEN || !has_port(telling, &plain) ||
            !is_told_as_plain(telling, &plain))
            continue;
        plain.kind = SOCKET_TCP;
        for (size_t j = 0; j < telling->story->use_count; j++)
            telling->story->uses[j].multipath |=
                belongs_to(&plain, PORT_LISTENS, &telling->story->uses[j]);
    }
}

/* ---- the whole ---- */

/* Which use each socket belongs to. */
struct assignment {
    const struct socket_entry *entry;
    size_t use;
    bool holds; /* it is one of the use's sockets, not a connection that came in by it */
};

static int assign(struct telling *telling, const struct socket_entry *entry,
                  struct assignment *ret_assignment)
{
    const enum port_role role = role_of(entry);
    struct port_use *use = holds_address(role) ? NULL : listener_of(telling, entry);
    const bool holds = !use;
    if (!use)
        use = use_of(telling, entry, role);
    if (!use)
        return -ENOMEM;
    use->sockets += holds;
    if (!holds_address(role))
        count_connection(use, entry);
    *ret_assignment = (struct assignment){
        .entry = entry, .use = (size_t)(use - telling->story->uses), .holds = holds};
    return 0;
}

/* Those that hold the port at an address come first, so that connections find them. */
static int assign_all(struct telling *telling, struct assignment *assignments, size_t *ret_count)
{
    size_t count = 0;
    for (int connections = 0; connections < 2; connections++)
        for (size_t i = 0; i < telling->list->count; i++) {
            const struct socket_entry *entry = &telling->list->entries[i];
            if (!has_port(telling, entry) || holds_address(role_of(entry)) == connections ||
                is_told_as_plain(telling, entry))
                continue;
            const int code = assign(telling, entry, &assignments[count++]);
            if (code != 0)
                return code;
        }
    *ret_count = count;
    return 0;
}

static int fill_use(struct telling *telling, size_t index, const struct assignment *assignments,
                    size_t count)
{
    struct port_use *use = &telling->story->uses[index];
    uint32_t *inodes = calloc(use->sockets + 1, sizeof(*inodes));
    use->peers = calloc((size_t)use->connections + 1, sizeof(*use->peers));
    if (!inodes || !use->peers) {
        free(inodes);
        return -ENOMEM;
    }
    size_t inode_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct socket_entry *entry = assignments[i].entry;
        if (assignments[i].use != index)
            continue;
        if (assignments[i].holds && entry->has_inode && entry->inode != 0)
            inodes[inode_count++] = entry->inode;
        if (is_open(entry))
            use->peers[use->peer_count++] =
                (struct port_peer){.address = socket_remote(entry), .connections = 1};
    }
    count_peers(use);
    const int code = telling->owners ? find_holders(telling, use, inodes, inode_count) : 0;
    free(inodes);
    return code != 0 ? code : port_use_describe(telling->story, use);
}

static int compare_uses(const void *one, const void *other)
{
    const struct port_use *left = one, *right = other;
    if (left->space != right->space)
        return left->space < right->space ? -1 : 1;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (left->role != right->role)
        return left->role < right->role ? -1 : 1;
    return address_compare(&left->local, &right->local);
}

/* Sorts the assignments by their uses, so that each use looks only at its own. */
static int compare_assignments(const void *one, const void *other)
{
    const struct assignment *left = one, *right = other;
    return (left->use > right->use) - (left->use < right->use);
}

static int tell(struct telling *telling)
{
    struct port_story *story = telling->story;
    size_t count = 0;
    struct assignment *assignments = calloc(telling->list->count + 1, sizeof(*assignments));
    if (!assignments)
        return -ENOMEM;
    int code = find_plain(telling);
    if (code == 0)
        code = assign_all(telling, assignments, &count);
    if (code == 0)
        qsort(assignments, count, sizeof(*assignments), compare_assignments);
    size_t at = 0;
    for (size_t i = 0; i < story->use_count && code == 0; i++) {
        const size_t start = at;
        while (at < count && assignments[at].use == i)
            at++;
        code = fill_use(telling, i, assignments + start, at - start);
    }
    free(assignments);
    if (code == 0)
        mark_multipath(telling);
    free(telling->plain);
    if (code == 0 && story->use_count > 0)
        qsort(story->uses, story->use_count, sizeof(*story->uses), compare_uses);
    return code;
}

/* The name that the lists of sockets have for it, too. */
static const char *name_service(enum socket_kind kind, uint16_t number)
{
    static const enum protocol protocols[SOCKET_KINDS] = {
        [SOCKET_TCP] = PROTOCOL_TCP,   [SOCKET_MPTCP] = PROTOCOL_TCP,   [SOCKET_UDP] = PROTOCOL_UDP,
        [SOCKET_SCTP] = PROTOCOL_SCTP, [SOCKET_UDPLITE] = PROTOCOL_UDP,
    };
    struct service service;
    const struct port port = {protocols[kind], number};
    return service_find(port, &service) ? service.name : NULL;
}

int port_story_make(const struct port_question *question, const struct socket_list *list,
                    const struct owners *owners, const struct exposure_map *map,
                    struct port_story *ret_story, struct error *error)
{
    struct port_story story = {.question = *question,
                               .list = list,
                               .asked = owners != NULL,
                               .mapped = map != NULL,
                               .unseen = owners ? owners->unseen : 0};
    for (enum socket_kind kind = 0; kind < SOCKET_RAW; kind++)
        story.services[kind] = name_service(kind, question->port);
    struct telling telling = {
        .question = question, .list = list, .owners = owners, .map = map, .story = &story};
    const int code = tell(&telling);
    if (code != 0) {
        port_story_release(&story);
        return error_set(error, -code, "out of memory");
    }
    *ret_story = story;
    return 0;
}

void port_story_release(struct port_story *story)
{
    for (size_t i = 0; i < story->use_count; i++) {
        for (size_t j = 0; j < story->uses[i].holder_count; j++)
            free(story->uses[i].holders[j].members);
        free(story->uses[i].holders);
        free(story->uses[i].peers);
    }
    free(story->uses);
    arena_release(&story->arena);
    *story = (struct port_story){0};
}

bool port_story_is_taken(const struct port_story *story)
{
    for (size_t i = 0; i < story->use_count; i++)
        if (story->uses[i].space == 0)
            return true;
    return false;
}
