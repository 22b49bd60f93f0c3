/* Fields of sockets as text. Names and paths are chosen by others, and escaped here. */
#include "cmd/sockets_text.h"

#include "base/text.h"
#include "net/service.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASSIGNED_ON_DEMAND 32768 /* ports from here on get their numbers when they are used */

void sockets_add_escaped(struct buffer *buffer, const char *text)
{
    const size_t length = strlen(text);
    if (buffer_reserve(buffer, 4 * length + 1))
        buffer->length += text_escape(text, length, buffer->data + buffer->length, 4 * length + 1);
}

/* ---- users ---- */

struct sockets_user {
    uint32_t uid;
    char name[64];
};

void sockets_users_release(struct sockets_users *users)
{
    free(users->items);
    *users = (struct sockets_users){0};
}

/* NULL without memory. */
static struct sockets_user *add_user(struct sockets_users *users, uint32_t uid)
{
    if (users->count == users->capacity) {
        const size_t capacity = users->capacity ? users->capacity * 2 : 16;
        struct sockets_user *items = reallocarray(users->items, capacity, sizeof(*items));
        if (!items)
            return NULL;
        users->items = items;
        users->capacity = capacity;
    }
    struct sockets_user *user = &users->items[users->count++];
    user->uid = uid;
    return user;
}

int sockets_users_learn(struct sockets_users *users, uint32_t uid, const char *name)
{
    struct sockets_user *user = add_user(users, uid);
    if (!user)
        return -ENOMEM;
    snprintf(user->name, sizeof(user->name), "%s", name);
    return 0;
}

const char *sockets_user(struct sockets_users *users, uint32_t uid)
{
    for (size_t i = users->count; i-- > 0;)
        if (users->items[i].uid == uid)
            return users->items[i].name;
    struct sockets_user *user = add_user(users, uid);
    if (!user)
        return NULL;
    const struct passwd *entry = users->recorded ? NULL : getpwuid(uid);
    if (entry)
        snprintf(user->name, sizeof(user->name), "%s", entry->pw_name);
    else
        snprintf(user->name, sizeof(user->name), "%" PRIu32, uid);
    return user->name;
}

/* ---- addresses ---- */

static const char *end_address(const struct sockets *sockets, const struct socket_entry *entry,
                               struct address address, char text[static SOCKETS_END_SIZE])
{
    char interface[16];
    address_format(&(struct address){.family = address.family, .value = address.value}, text);
    const size_t length = strlen(text);
    /* Names of interfaces are those of the socket's namespace, which need not be ours. */
    if (*sockets_interface(sockets, entry, interface)) {
        text[length] = '%';
        text_escape(interface, strlen(interface), text + length + 1, SOCKETS_END_SIZE - length - 1);
    }
    return text;
}

static bool takes_both_families(const struct socket_entry *entry)
{
    return entry->family == ADDRESS_IPV6 && !entry->mapped && !entry->v6only && entry->local == 0;
}

const char *sockets_local_address(const struct sockets *sockets, const struct socket_entry *entry,
                                  char text[static SOCKETS_END_SIZE])
{
    if (entry->family == ADDRESS_NONE) {
        strcpy(text, "*");
        if (entry->path)
            text_escape(entry->path, strlen(entry->path), text, SOCKETS_END_SIZE);
        return text;
    }
    if (takes_both_families(entry) && entry->interface == 0)
        return strcpy(text, "*");
    return end_address(sockets, entry, socket_local(entry), text);
}

const char *sockets_remote_address(const struct sockets *sockets, const struct socket_entry *entry,
                                   char text[static SOCKETS_END_SIZE])
{
    const struct address address = socket_remote(entry);
    struct socket_entry unbound = *entry;
    if (entry->family == ADDRESS_NONE || (entry->remote == 0 && entry->remote_port == 0))
        return strcpy(text, "*");
    if (address.scope == 0) /* which interface it is said of the local address already */
        unbound.interface = 0;
    return end_address(sockets, &unbound, address, text);
}

/* ---- ports ---- */

/* Protocols over IP that have raw sockets: IANA's numbers. */
static const struct {
    uint16_t number;
    const char *name;
} protocols[] = {
    {1, "icmp"},  {2, "igmp"},   {6, "tcp"},    {17, "udp"},      {41, "ipv6"},
    {47, "gre"},  {50, "esp"},   {51, "ah"},    {58, "icmp6"},    {89, "ospf"},
    {103, "pim"}, {112, "vrrp"}, {132, "sctp"}, {136, "udplite"}, {255, "raw"},
};

static const char *protocol_of_raw(uint16_t number)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (protocols[i].number == number)
            return protocols[i].name;
    return NULL;
}

static const char *service_of(uint8_t kind, uint16_t number)
{
    static const enum protocol names[SOCKET_KINDS] = {
        [SOCKET_TCP] = PROTOCOL_TCP,   [SOCKET_MPTCP] = PROTOCOL_TCP,   [SOCKET_UDP] = PROTOCOL_UDP,
        [SOCKET_SCTP] = PROTOCOL_SCTP, [SOCKET_UDPLITE] = PROTOCOL_UDP,
    };
    struct service service;
    const struct port port = {names[kind], number};
    return number && service_find(port, &service) ? service.name : NULL;
}

/* Of a connection the end with the lower number is the one that the number stands for. */
static bool is_named_end(uint16_t port, uint16_t other)
{
    return other == 0 || (port <= other && port < ASSIGNED_ON_DEMAND);
}

const char *sockets_local_service(const struct socket_entry *entry)
{
    if (entry->family == ADDRESS_NONE)
        return NULL;
    if (entry->kind == SOCKET_RAW)
        return protocol_of_raw(entry->local_port);
    return is_named_end(entry->local_port, entry->remote_port)
               ? service_of(entry->kind, entry->local_port)
               : NULL;
}

const char *sockets_remote_service(const struct socket_entry *entry)
{
    if (entry->family == ADDRESS_NONE || entry->kind == SOCKET_RAW)
        return NULL;
    return entry->remote_port && is_named_end(entry->remote_port, entry->local_port)
               ? service_of(entry->kind, entry->remote_port)
               : NULL;
}

void sockets_add_process_name(struct buffer *buffer, const char *name)
{
    const bool quoted = strchr(name, ' ') != NULL || name[0] == '\0';
    if (quoted)
        buffer_add_character(buffer, '"');
    sockets_add_escaped(buffer, name);
    if (quoted)
        buffer_add_character(buffer, '"');
}

static void add_holder(struct buffer *buffer, const struct process *process, const char *part)
{
    sockets_add_process_name(buffer, process->name);
    buffer_add_text(buffer, part);
    buffer_add_character(buffer, ' ');
    sockets_add_number(buffer, (uint32_t)process->pid);
    buffer_add_text(buffer, part);
    buffer_add_character(buffer, ' ');
    if (process->user)
        sockets_add_escaped(buffer, process->user);
    else
        sockets_add_number(buffer, process->uid);
}

void sockets_add_holder(struct buffer *buffer, const struct process *process)
{
    add_holder(buffer, process, "");
}

void sockets_add_number(struct buffer *buffer, uint32_t number)
{
    char digits[16];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    buffer_add(buffer, digits + at, sizeof(digits) - at);
}

static void add_end(struct buffer *buffer, const char *address, uint16_t port, const char *service)
{
    const bool brackets = strchr(address, ':') != NULL;
    if (brackets)
        buffer_add_character(buffer, '[');
    buffer_add_text(buffer, address);
    buffer_add_text(buffer, brackets ? "]:" : ":");
    sockets_add_number(buffer, port);
    if (service) {
        buffer_add_text(buffer, " (");
        sockets_add_escaped(buffer, service);
        buffer_add_character(buffer, ')');
    }
}

void sockets_add_local(struct buffer *buffer, const struct sockets *sockets,
                       const struct socket_entry *entry, bool numeric)
{
    char address[SOCKETS_END_SIZE];
    sockets_local_address(sockets, entry, address);
    if (entry->family != ADDRESS_NONE)
        add_end(buffer, address, entry->local_port, numeric ? NULL : sockets_local_service(entry));
    else if (entry->path)
        buffer_add_text(buffer, address);
    else /* it has but a number */
        buffer_add_format(buffer, "* %" PRIu32, entry->inode);
}

void sockets_add_remote(struct buffer *buffer, const struct sockets *sockets,
                        const struct socket_entry *entry, bool numeric)
{
    char address[SOCKETS_END_SIZE];
    if (entry->family == ADDRESS_NONE) {
        const struct process *process = sockets_peer_holder(sockets, entry);
        buffer_add_character(buffer, '*');
        if (entry->peer_inode)
            buffer_add_format(buffer, " %" PRIu32, entry->peer_inode);
        if (process) {
            buffer_add_text(buffer, " (");
            sockets_add_process_name(buffer, process->name);
            buffer_add_format(buffer, " %d)", (int)process->pid);
        }
        return;
    }
    const char *name = sockets_remote_name(sockets, entry);
    if (name)
        snprintf(address, sizeof(address), "%s", name);
    else
        sockets_remote_address(sockets, entry, address);
    if (entry->remote == 0 && entry->remote_port == 0)
        buffer_add_text(buffer, "*");
    else if (entry->kind == SOCKET_RAW)
        buffer_add_text(buffer, address);
    else
        add_end(buffer, address, entry->remote_port,
                numeric ? NULL : sockets_remote_service(entry));
}

/* ---- who ---- */

void sockets_add_reach(struct buffer *buffer, const struct sockets *sockets,
                       const struct socket_entry *entry, bool *ret_exposed)
{
    char interface[16], address[SOCKETS_END_SIZE];
    *ret_exposed = false;
    if (entry->family == ADDRESS_NONE) {
        buffer_add_text(buffer, SOCKETS_THIS_MACHINE);
        return;
    }
    if (entry->state == SOCKET_BOUND) {
        buffer_add_text(buffer, "nobody");
        return;
    }
    const enum exposure exposure = sockets_exposure(sockets, entry, interface);
    if (exposure == EXPOSURE_EVERYWHERE) {
        *ret_exposed = true;
        buffer_add_format(buffer, "%s *", exposure_words(exposure));
        return;
    }
    if (exposure != EXPOSURE_ADDRESS)
        buffer_add_text(buffer, exposure_words(exposure));
    else if (entry->local == 0)
        buffer_add_text(buffer, "one interface");
    else {
        struct socket_entry unbound = *entry;
        unbound.interface = 0;
        buffer_add_text(buffer, sockets_local_address(sockets, &unbound, address));
    }
    if (interface[0] && exposure != EXPOSURE_LOOPBACK) {
        buffer_add_text(buffer, " (");
        sockets_add_escaped(buffer, interface);
        buffer_add_character(buffer, ')');
    }
}

void sockets_add_process(struct buffer *buffer, const struct sockets *sockets,
                         const struct socket_entry *entry, struct sockets_users *users,
                         const char *part)
{
    size_t others = 0;
    const struct process *process = sockets_holder(sockets, entry, &others);
    if (!process) {
        /* Whose it is, is known of those that somebody holds, at least. */
        const char *user = entry->inode != 0 ? sockets_user(users, entry->uid) : NULL;
        buffer_add_text(buffer, "-");
        if (user && sockets->has_owners) {
            buffer_add_text(buffer, " (");
            sockets_add_escaped(buffer, user);
            buffer_add_character(buffer, ')');
        }
        return;
    }
    add_holder(buffer, process, part);
    if (others)
        buffer_add_format(buffer, " +%zu", others);
}

void sockets_add_unit(struct buffer *buffer, const struct process *process)
{
    if (process->container) {
        buffer_add_format(buffer, "%s ",
                          process->container_runtime ? process->container_runtime : "container");
        buffer_add_format(buffer, "%.*s", (int)container_shown_length(process->container),
                          process->container); /* which has no bytes that could do harm */
    } else if (process->unit) {
        sockets_add_escaped(buffer, process->unit);
        if (process->user_unit)
            buffer_add_text(buffer, " (user)");
    }
}

void sockets_add_space(struct buffer *buffer, const struct sockets *sockets,
                       const struct socket_entry *entry)
{
    if (entry->space >= sockets->list.space_count)
        return;
    const struct socket_space *space = &sockets->list.spaces[entry->space];
    if (space->name[0])
        sockets_add_escaped(buffer, space->name);
    else if (space->own)
        buffer_add_text(buffer, "own");
    else
        buffer_add_format(buffer, "%" PRIu64, space->inode);
}
