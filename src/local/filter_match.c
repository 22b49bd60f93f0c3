/* Whether a socket is one that a filter takes, and what the kernel need not tell of at all. */
#include "local/filter_parts.h"

#include <net/if.h>
#include <string.h>
#include <strings.h>

enum {
    AUTOBOUND_DIGITS = 5, /* the kernel's abstract names for Unix sockets: "@0001f" */
    COMM_LENGTH = 15,     /* the kernel cuts a process's name there */
};

/* What a socket is judged by. */
struct candidate {
    const struct socket_entry *entry;
    const struct owners *owners;
    const struct exposure_map *map;
};

/* ---- addresses and ports ---- */

static bool ports_have(const struct filter_ports *ports, const struct socket_entry *entry,
                       uint16_t number)
{
    static const enum protocol protocols[SOCKET_KINDS] = {
        [SOCKET_TCP] = PROTOCOL_TCP,
        [SOCKET_MPTCP] = PROTOCOL_TCP,
        [SOCKET_UDP] = PROTOCOL_UDP,
        [SOCKET_UDPLITE] = PROTOCOL_UDP,
        [SOCKET_SCTP] = PROTOCOL_SCTP,
        [SOCKET_RAW] = PROTOCOL_COUNT,
        [SOCKET_UNIX_STREAM] = PROTOCOL_COUNT,
        [SOCKET_UNIX_DATAGRAM] = PROTOCOL_COUNT,
        [SOCKET_UNIX_SEQPACKET] = PROTOCOL_COUNT,
    };
    if (!ports)
        return true;
    const enum protocol protocol =
        entry->kind < SOCKET_KINDS ? protocols[entry->kind] : PROTOCOL_COUNT;
    uint32_t index;
    return protocol != PROTOCOL_COUNT &&
           port_set_find(&ports->set, (struct port){protocol, number}, &index);
}

static bool address_within(const struct filter_node *node, const struct address *address)
{
    if (node->address.family == ADDRESS_NONE)
        return true;
    return address->family == node->address.family && address->value >= node->address.value &&
           address->value <= node->last &&
           (node->address.scope == 0 || node->address.scope == address->scope);
}

static bool host_matches(const struct filter_node *node, const struct socket_entry *entry)
{
    if (entry->family == ADDRESS_NONE)
        return false;
    const struct address local = socket_local(entry), remote = socket_remote(entry);
    return ((node->sides & FILTER_LOCAL) && address_within(node, &local) &&
            ports_have(node->ports, entry, entry->local_port)) ||
           ((node->sides & FILTER_REMOTE) && address_within(node, &remote) &&
            ports_have(node->ports, entry, entry->remote_port));
}

static bool is_waiting(const struct socket_entry *entry)
{
    if (entry->state == SOCKET_LISTEN)
        return true;
    const uint32_t datagrams =
        SOCKET_KIND_BIT(SOCKET_UDP) | SOCKET_KIND_BIT(SOCKET_UDPLITE) | SOCKET_KIND_BIT(SOCKET_RAW);
    if (entry->state != SOCKET_CLOSE)
        return false;
    if (entry->kind == SOCKET_UNIX_DATAGRAM)
        return entry->path != NULL;
    return entry->local_port != 0 && entry->kind < SOCKET_KINDS &&
           (SOCKET_KIND_BIT(entry->kind) & datagrams);
}

static bool is_autobound(const struct filter_node *node, const struct socket_entry *entry)
{
    if (entry->family != ADDRESS_NONE)
        return entry->kind != SOCKET_RAW && entry->local_port >= node->low &&
               entry->local_port <= node->high;
    return entry->path && entry->path[0] == '@' && strlen(entry->path + 1) == AUTOBOUND_DIGITS &&
           strspn(entry->path + 1, "0123456789abcdef") == AUTOBOUND_DIGITS;
}

static enum exposure exposure(const struct candidate *candidate)
{
    char interface[IF_NAMESIZE];
    return exposure_of(candidate->map, candidate->entry, interface);
}

static bool device_matches(const struct filter_node *node, const struct candidate *candidate)
{
    const uint32_t index = candidate->entry->interface;
    if (!node->pattern)
        return index == node->low;
    const char *name = index != 0 ? exposure_interface(candidate->map, index) : NULL;
    return name && text_matches(node->pattern, strlen(node->pattern), name, strlen(name));
}

/* ---- owners ---- */

static bool matches(const char *pattern, const char *name, size_t length)
{
    return text_matches(pattern, strlen(pattern), name, length);
}

/* By what it calls itself, which the kernel may have cut, or by the program it was started as. */
static bool process_is_called(const struct process *process, const char *pattern)
{
    const size_t length = strnlen(process->name, sizeof(process->name));
    if (matches(pattern, process->name, length))
        return true;
    if (length == COMM_LENGTH && strlen(pattern) > length &&
        strncasecmp(process->name, pattern, length) == 0)
        return true;
    if (!process->command)
        return false;
    const char *end = process->command + strcspn(process->command, " ");
    const char *start = end;
    while (start > process->command && start[-1] != '/')
        start--;
    return end > start && matches(pattern, start, (size_t)(end - start));
}

/* "nginx" is "nginx.service", too. */
static bool unit_matches(const char *pattern, const char *unit)
{
    static const char suffix[] = ".service";
    const size_t length = strlen(unit), tail = sizeof(suffix) - 1;
    if (matches(pattern, unit, length))
        return true;
    return length > tail && strcmp(unit + length - tail, suffix) == 0 &&
           matches(pattern, unit, length - tail);
}

/* The beginning of an identity is enough, as for Docker; and the runtime stands for all of its own.
 */
static bool container_matches(const char *pattern, const struct process *process)
{
    const char *identity = process->container, *runtime = process->container_runtime;
    if (runtime && matches(pattern, runtime, strlen(runtime)))
        return true;
    return identity && (matches(pattern, identity, strlen(identity)) ||
                        strncmp(identity, pattern, strlen(pattern)) == 0);
}

static bool process_matches(const struct filter_node *node, const struct process *process)
{
    switch (node->subject) {
    case FILTER_PROCESS:
        return process_is_called(process, node->pattern);
    case FILTER_UNIT:
        return process->unit && unit_matches(node->pattern, process->unit);
    default:
        return container_matches(node->pattern, process);
    }
}

static bool owner_matches(const struct filter_node *node, const struct candidate *candidate)
{
    size_t count = 0;
    if (!candidate->owners || !candidate->entry->has_inode)
        return false;
    const struct owner *owner = owners_of(candidate->owners, candidate->entry->inode, &count);
    for (size_t i = 0; owner && i < count; i++) {
        const uint64_t pid = (uint64_t)owner[i].pid;
        if (node->subject == FILTER_PID) {
            if (pid >= node->low && pid <= node->high)
                return true;
            continue;
        }
        const struct process *process = owners_process(candidate->owners, owner[i].pid);
        if (process && process_matches(node, process))
            return true;
    }
    return false;
}

/* ---- the tree ---- */

static bool node_matches(const struct filter_node *node, const struct candidate *candidate);

static bool term_matches(const struct filter_node *node, const struct candidate *candidate)
{
    const struct socket_entry *entry = candidate->entry;
    switch (node->subject) {
    case FILTER_STATES:
        return entry->state < 32 && (node->low & SOCKET_STATE_BIT(entry->state));
    case FILTER_WAITING:
        return is_waiting(entry);
    case FILTER_KINDS:
        return entry->kind < SOCKET_KINDS && (node->low & SOCKET_KIND_BIT(entry->kind));
    case FILTER_FAMILY:
        return entry->family == node->low;
    case FILTER_HOST:
        return host_matches(node, entry);
    case FILTER_USER:
        return entry->has_inode && entry->uid >= node->low && entry->uid <= node->high;
    case FILTER_INODE:
        return entry->has_inode && entry->inode >= node->low && entry->inode <= node->high;
    case FILTER_PATH:
        return entry->path && matches(node->pattern, entry->path, strlen(entry->path));
    case FILTER_DEVICE:
        return device_matches(node, candidate);
    case FILTER_MARK:
        return (entry->mark & node->high) == (node->low & node->high);
    case FILTER_CGROUP:
        return entry->cgroup == node->low;
    case FILTER_AUTOBOUND:
        return is_autobound(node, entry);
    case FILTER_LOOPBACK:
        return exposure(candidate) == EXPOSURE_LOOPBACK;
    case FILTER_EXPOSED:
        return is_waiting(entry) && exposure(candidate) != EXPOSURE_LOOPBACK;
    case FILTER_EVERYWHERE:
        return exposure(candidate) == EXPOSURE_EVERYWHERE;
    default:
        return owner_matches(node, candidate);
    }
}

/* No deeper than FILTER_DEPTH. */
static bool node_matches(const struct filter_node *node, const struct candidate *candidate)
{
    bool result;
    if (node->subject == FILTER_AND || node->subject == FILTER_OR) {
        const bool settles = node->subject == FILTER_OR;
        result = !settles;
        for (const struct filter_node *at = node->first; at && result != settles; at = at->next)
            result = node_matches(at, candidate);
    } else {
        result = term_matches(node, candidate);
    }
    return result != node->negated;
}

bool filter_match(const struct filter *filter, const struct socket_entry *entry,
                  const struct owners *owners, const struct exposure_map *map)
{
    const struct candidate candidate = {.entry = entry, .owners = owners, .map = map};
    return !filter || node_matches(filter->root, &candidate);
}
