/* netstat's lists of sockets: gathering them and who holds them. How they look is in
 * netstat_print.c. */
#include "cmd/netstat_sockets.h"
#include "cmd/netstat_names.h"

#include "base/text.h"
#include "local/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_SIZE 512 /* of a command line, as much as is looked at */

bool netstat_names_kinds(const struct netstat_options *options)
{
    return options->tcp || options->udp || options->udplite || options->sctp || options->raw;
}

/* ---- which of them ---- */

bool netstat_sockets_internet(const struct netstat_options *options)
{
    return netstat_names_kinds(options) || options->ipv4 || options->ipv6 || !options->unix_sockets;
}

bool netstat_sockets_unix(const struct netstat_options *options)
{
    return options->unix_sockets ||
           (!netstat_names_kinds(options) && !options->ipv4 && !options->ipv6);
}

bool netstat_sockets_pids(const struct netstat_options *options)
{
    return options->timers && !options->programs && !netstat_names_kinds(options);
}

struct diag_query netstat_sockets_query(const struct netstat_options *options)
{
    const bool every = !netstat_names_kinds(options);
    struct diag_query query = {
        .kinds = (every || options->tcp ? SOCKET_KIND_BIT(SOCKET_TCP) : 0) |
                 (every || options->udp ? SOCKET_KIND_BIT(SOCKET_UDP) : 0) |
                 (every || options->udplite ? SOCKET_KIND_BIT(SOCKET_UDPLITE) : 0) |
                 (every || options->sctp ? SOCKET_KIND_BIT(SOCKET_SCTP) : 0) |
                 (every || options->raw ? SOCKET_KIND_BIT(SOCKET_RAW) : 0),
        .states = SOCKET_USUAL_STATES,
    };
    if (options->ipv4 != options->ipv6 && !options->talked)
        query.family = options->ipv4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
    /* Without connections, what may have none is enough, and the other way round. */
    if (!options->all)
        query.states = options->listening
                           ? SOCKET_STATE_BIT(SOCKET_LISTEN) | SOCKET_STATE_BIT(SOCKET_CLOSE)
                           : query.states & ~SOCKET_STATE_BIT(SOCKET_LISTEN);
    return query;
}

/* A server is what has nobody at its other end, in whatever state it is. */
static bool is_server(const struct socket_entry *entry)
{
    return entry->kind == SOCKET_TCP || entry->kind == SOCKET_SCTP ? entry->remote_port == 0
                                                                   : entry->remote == 0;
}

/* IPv6 sockets may talk IPv4: those that are connected over it, and servers for both. */
static bool talks(const struct netstat_options *options, const struct socket_entry *entry)
{
    const bool both = entry->family == ADDRESS_IPV6 && !entry->v6only && entry->local == 0 &&
                      entry->remote == 0 && !entry->mapped && entry->kind != SOCKET_RAW;
    const bool ipv4 = entry->family == ADDRESS_IPV4 || entry->mapped || both;
    const bool ipv6 = entry->family == ADDRESS_IPV6 && !entry->mapped;
    return (options->ipv4 && ipv4) || (options->ipv6 && ipv6);
}

bool netstat_sockets_shown(const struct netstat_options *options, const struct socket_entry *entry)
{
    if (options->talked && entry->family != ADDRESS_NONE && !talks(options, entry))
        return false;
    if (options->all)
        return true;
    if (entry->family == ADDRESS_NONE)
        return (entry->state == SOCKET_LISTEN) == options->listening;
    return is_server(entry) == options->listening;
}

static void keep_shown(const struct netstat_options *options, struct socket_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (netstat_sockets_shown(options, &list->entries[i])) {
            if (kept != i)
                list->entries[kept] = list->entries[i];
            kept++;
        }
    list->count = kept;
}

static int gather_internet(struct netstat_sockets *sockets, struct error *error)
{
    const struct diag_query query = netstat_sockets_query(sockets->options);
    const int result = diag_list(&query, 0, NULL, &sockets->internet, error);
    if (result < 0)
        return result;
    sockets->gaps.incomplete |= result > 0;
    keep_shown(sockets->options, &sockets->internet);
    return 0;
}

/* ---- Unix sockets ---- */

static int compare_inodes(const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

/* Connections that a listener has not accepted yet are sockets without an inode, which the kernel
 * does not tell of over netlink: only how many there are. */
static int add_waiting(struct socket_list *list)
{
    const size_t count = list->count;
    for (size_t i = 0; i < count; i++) {
        const struct socket_entry listener = list->entries[i];
        for (uint32_t j = 0; listener.state == SOCKET_LISTEN && j < listener.receive_queue; j++) {
            struct socket_entry *entry = socket_list_add(list);
            if (!entry)
                return -ENOMEM;
            entry->kind = listener.kind;
            entry->state = SOCKET_ESTABLISHED;
            entry->path = listener.path;
        }
    }
    return 0;
}

static int gather_unix(struct netstat_sockets *sockets, struct error *error)
{
    const struct diag_query query = {.kinds = SOCKET_UNIX_KINDS, .states = SOCKET_EVERY_STATE};
    struct socket_list *list = &sockets->local;
    const int result = diag_list(&query, 0, NULL, list, error);
    if (result < 0)
        return result;
    sockets->gaps.incomplete |= result > 0;
    sockets->peers = calloc(list->count ? list->count : 1, sizeof(*sockets->peers));
    if (!sockets->peers || add_waiting(list) != 0)
        return error_set(error, ENOMEM, "no memory for a list of sockets");
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].peer_inode != 0)
            sockets->peers[sockets->peer_count++] = list->entries[i].peer_inode;
    qsort(sockets->peers, sockets->peer_count, sizeof(*sockets->peers), compare_inodes);
    keep_shown(sockets->options, list);
    return 0;
}

static size_t count_peers(const struct netstat_sockets *sockets, uint32_t inode)
{
    const uint32_t *found =
        sockets->peer_count == 0
            ? NULL
            : bsearch(&inode, sockets->peers, sockets->peer_count, sizeof(inode), compare_inodes);
    size_t count = 0;
    if (!found)
        return 0;
    while (found > sockets->peers && found[-1] == inode)
        found--;
    for (; found < sockets->peers + sockets->peer_count && *found == inode; found++)
        count++;
    return count;
}

/* The kernel does not tell over netlink how many refer to a socket. Its table and who holds it do,
 * and everyone who is connected to it. */
size_t netstat_sockets_references(const struct netstat_sockets *sockets,
                                  const struct socket_entry *entry)
{
    const size_t peers = entry->inode ? count_peers(sockets, entry->inode) : 0;
    const bool over = entry->shutdown == 3; /* also when the peer has gone */
    /* The peer waits to be accepted, and has no inode yet. */
    const bool nameless = entry->kind != SOCKET_UNIX_DATAGRAM &&
                          entry->state == SOCKET_ESTABLISHED && peers == 0 && !over;
    return 2 + peers + nameless;
}

/* ---- who holds them ---- */

static void add_inodes(const struct socket_list *list, uint32_t *inodes, size_t *count)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].inode != 0)
            inodes[(*count)++] = list->entries[i].inode;
}

/* The program by the first word of its command line, which is without its folder when it is an
 * absolute path. */
static void describe_program(const struct process *process, char *text, size_t size)
{
    char path[32], line[COMMAND_SIZE];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)process->pid);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, line, sizeof(line) - 1);
    if (file >= 0)
        close(file);
    line[length > 0 ? length : 0] = '\0';
    const char *name = line;
    if (name[0] == '/')
        name = strrchr(name, '/') + 1;
    if (name[0] == '\0')
        name = process->name;
    const int used = snprintf(text, size, "%d/", (int)process->pid);
    text_escape(name, strlen(name), text + used, size - (size_t)used);
}

static int describe_programs(struct netstat_sockets *sockets)
{
    const struct owners *owners = &sockets->owners;
    sockets->programs =
        calloc(owners->process_count ? owners->process_count : 1, sizeof(*sockets->programs));
    if (!sockets->programs)
        return -ENOMEM;
    for (size_t i = 0; i < owners->process_count; i++)
        describe_program(&owners->processes[i], sockets->programs[i], NETSTAT_PROGRAM_WIDTH);
    return 0;
}

static int gather_owners(struct netstat_sockets *sockets, struct error *error)
{
    const size_t most = sockets->internet.count + sockets->local.count;
    uint32_t *inodes = calloc(most ? most : 1, sizeof(*inodes));
    size_t count = 0, kept = 0;
    if (!inodes)
        return error_set(error, ENOMEM, "no memory for the processes of sockets");
    add_inodes(&sockets->internet, inodes, &count);
    add_inodes(&sockets->local, inodes, &count);
    qsort(inodes, count, sizeof(*inodes), compare_inodes);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || inodes[kept - 1] != inodes[i])
            inodes[kept++] = inodes[i];
    int failed = owners_find(inodes, kept, OWNERS_BEST, false, &sockets->owners, error);
    free(inodes);
    if (failed)
        return failed;
    sockets->gaps.hidden = sockets->owners.unseen > 0;
    if (describe_programs(sockets) != 0)
        return error_set(error, ENOMEM, "no memory for the processes of sockets");
    return 0;
}

const struct process *netstat_sockets_holder(const struct netstat_sockets *sockets,
                                             const struct socket_entry *entry,
                                             const char **ret_program)
{
    size_t count;
    const struct owner *owner = sockets->programs && entry->inode
                                    ? owners_of(&sockets->owners, entry->inode, &count)
                                    : NULL;
    const struct process *process = owner ? owners_process(&sockets->owners, owner->pid) : NULL;
    *ret_program = process ? sockets->programs[process - sockets->owners.processes] : "-";
    return process;
}

/* ---- all of it ---- */

int netstat_sockets_gather(const struct netstat_options *options, struct netstat_sockets *sockets,
                           struct error *error)
{
    *sockets = (struct netstat_sockets){.options = options};
    socket_list_init(&sockets->internet);
    socket_list_init(&sockets->local);
    int failed = 0;
    if (netstat_sockets_internet(options))
        failed = gather_internet(sockets, error);
    if (!failed && netstat_sockets_unix(options))
        failed = gather_unix(sockets, error);
    if (!failed && (options->programs || netstat_sockets_pids(options)))
        failed = gather_owners(sockets, error);
    sockets->gaps.refused = sockets->internet.refused | sockets->local.refused;
    if (failed)
        netstat_sockets_release(sockets);
    return failed;
}

void netstat_sockets_resolve(struct netstat_sockets *sockets)
{
    const struct socket_list *list = &sockets->internet;
    if (!netstat_resolves(sockets->options) || list->count == 0)
        return;
    struct address *addresses = calloc(list->count, 2 * sizeof(*addresses));
    size_t count = 0;
    for (size_t i = 0; addresses && i < 2 * list->count; i++) {
        const struct address address = netstat_end_address(&list->entries[i / 2], i % 2 == 1);
        if (address.value != 0)
            addresses[count++] = address;
    }
    if (addresses)
        sockets->names = netstat_names_ask(sockets->options, addresses, count);
    free(addresses);
}

void netstat_sockets_release(struct netstat_sockets *sockets)
{
    names_close(sockets->names);
    owners_release(&sockets->owners);
    free(sockets->programs);
    free(sockets->peers);
    socket_list_release(&sockets->internet);
    socket_list_release(&sockets->local);
}
