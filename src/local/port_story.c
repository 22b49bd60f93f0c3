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
    size_t holding;     /* of uses: so many, the first ones, hold an address, by their places */
    uint32_t *plain;    /* inodes of TCP's sockets that have the port, sorted */
    size_t plain_count; /* of them */
};

static bool is_asked_for(const struct port_question *question, const struct socket_entry *entry)
{
    return entry->local_port == question->port && entry->family != ADDRESS_NONE &&
           entry->kind < SOCKET_KINDS && entry->kind != SOCKET_RAW &&
           (question->kinds & SOCKET_KIND_BIT(entry->kind));
}

static bool has_port(const struct telling *telling, const struct socket_entry *entry)
{
    return is_asked_for(telling->question, entry);
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

/* What the sockets of one use have in common, in the order of the uses. Those that hold an address
 * differ by it, and by what else lets them hold the same port at once. */
struct place {
    uint32_t space;
    enum socket_kind kind;
    enum port_role role;
    enum address_family family;
    uint128_t local;
    bool dual;
    uint32_t interface; /* last, so that those at one address stand side by side */
};

static int compare_numbers(uint128_t one, uint128_t other)
{
    return (one > other) - (one < other);
}

static int compare_places(const struct place *one, const struct place *other)
{
    int order = compare_numbers(one->space, other->space);
    if (order == 0)
        order = compare_numbers(one->kind, other->kind);
    if (order == 0)
        order = compare_numbers(one->role, other->role);
    if (order == 0)
        order = compare_numbers(one->family, other->family);
    if (order == 0)
        order = compare_numbers(one->local, other->local);
    if (order == 0)
        order = compare_numbers(one->dual, other->dual);
    return order != 0 ? order : compare_numbers(one->interface, other->interface);
}

static bool is_dual(const struct socket_entry *entry)
{
    return entry->family == ADDRESS_IPV6 && !entry->v6only && entry->local == 0;
}

static struct place place_of(const struct socket_entry *entry, enum port_role role)
{
    struct place place = {.space = entry->space, .kind = entry->kind, .role = role};
    if (holds_address(role)) {
        const struct address local = socket_local(entry);
        place.family = local.family;
        place.local = local.value;
        place.dual = is_dual(entry);
        place.interface = entry->interface;
    }
    return place;
}

static struct place place_of_use(const struct port_use *use)
{
    const bool holds = holds_address(use->role);
    return (struct place){.space = use->space,
                          .kind = use->kind,
                          .role = use->role,
                          .family = holds ? use->local.family : ADDRESS_NONE,
                          .local = holds ? use->local.value : 0,
                          .dual = use->dual,
                          .interface = use->interface};
}

/* NULL without memory. */
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
    use->dual = is_dual(entry);
    if (entry->space == 0)
        use->exposure = exposure_of(telling->map, entry, use->interface_name);
    return use;
}

/* The first of the uses that hold an address which does not come before the place. */
static size_t find_place(const struct telling *telling, const struct place *place)
{
    size_t first = 0, end = telling->holding;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        const struct place found = place_of_use(&telling->story->uses[middle]);
        if (compare_places(&found, place) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* A use that is there, by whichever interface, the lowest first. NULL: none. */
static struct port_use *use_at(const struct telling *telling, struct place place, bool any)
{
    const size_t at = find_place(telling, &place);
    if (at == telling->holding)
        return NULL;
    struct port_use *use = &telling->story->uses[at];
    const struct place found = place_of_use(use);
    if (any)
        place.interface = found.interface;
    return compare_places(&found, &place) == 0 ? use : NULL;
}

/* The listening socket that the connection came in by, as the kernel would choose it: one at its
 * address, or else at all of them. Where no interface fits, what was bound has changed since. */
static struct port_use *listener_of(const struct telling *telling, const struct socket_entry *entry)
{
    const struct address local = socket_local(entry);
    const struct {
        enum address_family family;
        uint128_t value;
        bool dual;
    } ways[] = {
        {local.family, local.value, false}, {local.family, 0, false}, {ADDRESS_IPV6, 0, true}};
    for (int any = 0; any < 2; any++)
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
            struct place place = {.space = entry->space,
                                  .kind = entry->kind,
                                  .role = PORT_LISTENS,
                                  .family = ways[i].family,
                                  .local = ways[i].value,
                                  .dual = ways[i].dual,
                                  .interface = any ? 0 : entry->interface};
            struct port_use *use = use_at(telling, place, any);
            place.interface = 0;
            if (!use && !any)
                use = use_at(telling, place, false);
            if (use)
                return use;
        }
    return NULL;
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
        struct port_use *use = use_at(telling, place_of(&plain, PORT_LISTENS), false);
        if (use)
            use->multipath = true;
    }
}

/* ---- the whole ---- */

/* Which use each socket belongs to. */
struct assignment {
    const struct socket_entry *entry;
    enum port_role role;
    bool holds; /* it is one of the use's sockets, not a connection that came in by it */
    size_t use;
};

static int compare_assignments(const void *one, const void *other)
{
    const struct assignment *left = one, *right = other;
    const struct place place = place_of(left->entry, left->role),
                       next = place_of(right->entry, right->role);
    const int order = compare_places(&place, &next);
    return order != 0 ? order : (left->entry > right->entry) - (left->entry < right->entry);
}

/* Sorted by their uses, so that each use looks only at its own. */
static int compare_assigned(const void *one, const void *other)
{
    const struct assignment *left = one, *right = other;
    if (left->use != right->use)
        return left->use < right->use ? -1 : 1;
    return (left->entry > right->entry) - (left->entry < right->entry);
}

/* Makes uses of these, each of the sockets at one place. */
static int group(struct telling *telling, struct assignment *assignments, size_t count)
{
    struct port_use *use = NULL;
    if (count > 0)
        qsort(assignments, count, sizeof(*assignments), compare_assignments);
    for (size_t i = 0; i < count; i++) {
        struct assignment *assignment = &assignments[i];
        const struct place place = place_of(assignment->entry, assignment->role);
        const struct place last = use ? place_of_use(use) : (struct place){0};
        if (!use || compare_places(&last, &place) != 0)
            use = add_use(telling, assignment->entry, assignment->role);
        if (!use)
            return -ENOMEM;
        const struct address local = socket_local(assignment->entry);
        use->any_local = use->any_local || !address_equal(&use->local, &local);
        use->sockets++;
        if (!holds_address(assignment->role))
            count_connection(use, assignment->entry);
        assignment->holds = true;
        assignment->use = (size_t)(use - telling->story->uses);
    }
    return 0;
}

/* Those of the sockets that hold the port at an address, or the others. Returns how many. */
static size_t collect(const struct telling *telling, bool holding, struct assignment *assignments)
{
    size_t count = 0;
    for (size_t i = 0; i < telling->list->count; i++) {
        const struct socket_entry *entry = &telling->list->entries[i];
        const enum port_role role = role_of(entry);
        if (has_port(telling, entry) && holds_address(role) == holding &&
            !is_told_as_plain(telling, entry))
            assignments[count++] = (struct assignment){.entry = entry, .role = role};
    }
    return count;
}

/* Those that hold the port at an address come first, so that connections find them. */
static int assign_all(struct telling *telling, struct assignment *assignments, size_t *ret_count)
{
    const size_t holding = collect(telling, true, assignments);
    int code = group(telling, assignments, holding);
    if (code != 0)
        return code;
    telling->holding = telling->story->use_count;
    struct assignment *connections = assignments + holding;
    const size_t count = collect(telling, false, connections);
    size_t alone = 0; /* these come to stand before the others */
    for (size_t i = 0; i < count; i++) {
        struct assignment connection = connections[i];
        struct port_use *use = listener_of(telling, connection.entry);
        if (use) {
            count_connection(use, connection.entry);
            connections[i].use = (size_t)(use - telling->story->uses);
            continue;
        }
        connections[i] = connections[alone];
        connections[alone++] = connection;
    }
    code = group(telling, connections, alone);
    *ret_count = holding + count;
    return code;
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
    const int order = address_compare(&left->local, &right->local);
    if (order != 0)
        return order;
    return left->dual != right->dual ? left->dual - right->dual
                                     : compare_numbers(left->interface, right->interface);
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
        qsort(assignments, count, sizeof(*assignments), compare_assigned);
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

enum socket_kind port_plain_kind(enum socket_kind kind)
{
    return kind == SOCKET_MPTCP ? SOCKET_TCP : kind;
}

bool port_story_wants_trial(const struct port_question *question, const struct socket_list *list)
{
    if (question->recorded)
        return false; /* it is about another machine, or another time */
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].space == 0 && is_asked_for(question, &list->entries[i]) &&
            port_plain_kind(list->entries[i].kind) == port_plain_kind(question->trial_kind))
            return false;
    return true;
}

bool port_story_is_taken(const struct port_story *story)
{
    for (size_t i = 0; i < story->use_count; i++)
        if (story->uses[i].space == 0)
            return true;
    return false;
}
