/* A list of sockets, and the names of what they are. */
#include "local/socket.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64
#define MAPPED_TOP 0xffff /* the 96 bits above an IPv4-mapped address */

_Static_assert(sizeof(struct socket_entry) == 128, "two cache lines");

static const char *const kind_names[SOCKET_KINDS] = {
    [SOCKET_TCP] = "tcp",
    [SOCKET_MPTCP] = "mptcp",
    [SOCKET_UDP] = "udp",
    [SOCKET_UDPLITE] = "udplite",
    [SOCKET_SCTP] = "sctp",
    [SOCKET_RAW] = "raw",
    [SOCKET_UNIX_STREAM] = "u_str",
    [SOCKET_UNIX_DATAGRAM] = "u_dgr",
    [SOCKET_UNIX_SEQPACKET] = "u_seq",
};

static const char *const state_names[SOCKET_STATES] = {
    [SOCKET_ESTABLISHED] = "ESTABLISHED",
    [SOCKET_SYN_SENT] = "SYN_SENT",
    [SOCKET_SYN_RECV] = "SYN_RECV",
    [SOCKET_FIN_WAIT1] = "FIN_WAIT1",
    [SOCKET_FIN_WAIT2] = "FIN_WAIT2",
    [SOCKET_TIME_WAIT] = "TIME_WAIT",
    [SOCKET_CLOSE] = "CLOSE",
    [SOCKET_CLOSE_WAIT] = "CLOSE_WAIT",
    [SOCKET_LAST_ACK] = "LAST_ACK",
    [SOCKET_LISTEN] = "LISTEN",
    [SOCKET_CLOSING] = "CLOSING",
    [SOCKET_NEW_SYN_RECV] = "NEW_SYN_RECV",
    [SOCKET_BOUND] = "BOUND",
};

/* What else they are called, without "-" and "_". */
static const struct {
    const char *name;
    enum socket_state state;
} other_names[] = {
    {"estab", SOCKET_ESTABLISHED},    {"synrcv", SOCKET_SYN_RECV},
    {"synreceived", SOCKET_SYN_RECV}, {"closed", SOCKET_CLOSE},
    {"unconn", SOCKET_CLOSE},         {"unconnected", SOCKET_CLOSE},
    {"listening", SOCKET_LISTEN},     {"boundinactive", SOCKET_BOUND},
};

static struct address entry_address(const struct socket_entry *entry, uint128_t value)
{
    struct address address = {.value = value, .family = entry->family};
    if (entry->mapped)
        address.family = ADDRESS_IPV4;
    /* The scope of a link-local address is the interface which its socket is bound to. */
    if (address.family == ADDRESS_IPV6 && address_is_link_local(&address))
        address.scope = entry->interface;
    return address;
}

void socket_entry_unmap(struct socket_entry *entry)
{
    const bool local = entry->local >> 32 == MAPPED_TOP, remote = entry->remote >> 32 == MAPPED_TOP;
    if ((local && (remote || entry->remote == 0)) || (remote && entry->local == 0)) {
        entry->local &= UINT32_MAX;
        entry->remote &= UINT32_MAX;
        entry->mapped = true;
    }
}

struct address socket_local(const struct socket_entry *entry)
{
    return entry_address(entry, entry->local);
}

struct address socket_remote(const struct socket_entry *entry)
{
    return entry_address(entry, entry->remote);
}

const char *socket_kind_name(enum socket_kind kind)
{
    return (unsigned)kind < SOCKET_KINDS ? kind_names[kind] : "?";
}

const char *socket_state_name(enum socket_state state)
{
    return (unsigned)state < SOCKET_STATES && state_names[state] ? state_names[state] : "?";
}

/* Is it the same name, apart from case and from what joins its words? */
static bool name_matches(const char *name, size_t length, const char *known)
{
    for (size_t i = 0; i < length; i++) {
        if (name[i] == '-' || name[i] == '_')
            continue;
        while (*known == '_')
            known++;
        if (*known == '\0' || toupper((unsigned char)name[i]) != toupper((unsigned char)*known))
            return false;
        known++;
    }
    return *known == '\0';
}

int socket_state_parse(const char *name, size_t length, enum socket_state *ret_state)
{
    for (unsigned state = SOCKET_ESTABLISHED; state < SOCKET_STATES; state++)
        if (name_matches(name, length, state_names[state])) {
            *ret_state = (enum socket_state)state;
            return 0;
        }
    for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++)
        if (name_matches(name, length, other_names[i].name)) {
            *ret_state = other_names[i].state;
            return 0;
        }
    return -EINVAL;
}

void socket_list_init(struct socket_list *list)
{
    *list = (struct socket_list){0};
}

void socket_list_release(struct socket_list *list)
{
    free(list->entries);
    free(list->spaces);
    arena_release(&list->arena);
    *list = (struct socket_list){0};
}

void socket_list_clear(struct socket_list *list)
{
    list->count = list->checked = 0;
    list->clears++;
    arena_release(&list->arena);
}

void socket_list_truncate(struct socket_list *list, size_t mark)
{
    if (list->count > mark)
        list->count = mark;
    if (list->checked > list->count)
        list->checked = list->count;
}

int socket_list_grown(struct socket_list *list, struct error *error)
{
    return list->grown ? list->grown(list, list->user, error) : 0;
}

struct socket_entry *socket_list_add(struct socket_list *list)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : FIRST_CAPACITY;
        struct socket_entry *entries = reallocarray(list->entries, capacity, sizeof(*entries));
        if (!entries)
            return NULL;
        list->entries = entries;
        list->capacity = capacity;
    }
    struct socket_entry *entry = &list->entries[list->count++];
    memset(entry, 0, sizeof(*entry));
    return entry;
}
