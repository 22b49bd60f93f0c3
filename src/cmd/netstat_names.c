/* How netstat writes addresses, ports and users. */
#include "cmd/netstat_names.h"

#include "base/text.h"
#include "net/service.h"

#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define NAMES_PATIENCE UINT64_C(2000000000) /* nanoseconds */
#define EPHEMERAL 32768 /* from here on ports are given to clients, and a name would mislead */

static bool service_of(const struct socket_entry *entry, uint16_t number,
                       struct service *ret_service)
{
    struct port port = {.number = number};
    switch (entry->kind) {
    case SOCKET_TCP:
    case SOCKET_MPTCP:
        port.protocol = PROTOCOL_TCP;
        break;
    case SOCKET_UDP:
    case SOCKET_UDPLITE:
        port.protocol = PROTOCOL_UDP;
        break;
    case SOCKET_SCTP:
        port.protocol = PROTOCOL_SCTP;
        break;
    default:
        return false;
    }
    return service_find(port, ret_service) &&
           (number < EPHEMERAL || ret_service->source == SERVICE_SYSTEM);
}

static void port_text(const struct netstat_options *options, const struct socket_entry *entry,
                      uint16_t number, char *text, size_t size)
{
    struct service service;
    if (number == 0) {
        snprintf(text, size, "*");
        return;
    }
    if (!options->numeric && !options->numeric_ports) {
        const struct protoent *protocol =
            entry->kind == SOCKET_RAW ? getprotobynumber(number) : NULL;
        if (protocol)
            text_escape(protocol->p_name, strlen(protocol->p_name), text, size);
        else if (service_of(entry, number, &service))
            snprintf(text, size, "%s", service.name);
        else
            snprintf(text, size, "%u", number);
        return;
    }
    snprintf(text, size, "%u", number);
}

/* Of an IPv6 socket that talks IPv4 only one end may be an IPv4 address: the other one is not set.
 */
struct address netstat_end_address(const struct socket_entry *entry, bool remote)
{
    struct address address = remote ? socket_remote(entry) : socket_local(entry);
    const bool unset = address.value == 0 && (remote || entry->remote != 0);
    if (entry->mapped && unset)
        address.family = ADDRESS_IPV6;
    return address;
}

bool netstat_resolves(const struct netstat_options *options)
{
    return !options->numeric && !options->numeric_hosts;
}

struct names *netstat_names_ask(const struct netstat_options *options,
                                const struct address *addresses, size_t count)
{
    struct names *names = NULL;
    if (!netstat_resolves(options) || count == 0 || names_open(NULL, &names, NULL) != 0)
        return NULL;
    if (names_ask(names, addresses, count) == 0)
        names_wait(names, NAMES_PATIENCE);
    return names;
}

const char *netstat_host(const struct netstat_options *options, const struct names *names,
                         const struct address *address, char text[static NETSTAT_HOST_SIZE])
{
    char number[ADDRESS_TEXT_SIZE];
    struct address plain = {.value = address->value, .family = address->family};
    const char *name = names && plain.value != 0 ? names_find(names, &plain) : NULL;
    if (!name && plain.value == 0 && plain.family == ADDRESS_IPV6 && netstat_resolves(options))
        name = "[::]";
    snprintf(text, NETSTAT_HOST_SIZE, "%s", name ? name : address_format(&plain, number));
    return text;
}

const char *netstat_end(const struct netstat_options *options, const struct names *names,
                        const struct socket_entry *entry, bool remote,
                        char text[static NETSTAT_END_SIZE])
{
    char host[NETSTAT_HOST_SIZE], port[SERVICE_NAME_SIZE];
    const struct address address = netstat_end_address(entry, remote);
    netstat_host(options, names, &address, host);
    port_text(options, entry, remote ? entry->remote_port : entry->local_port, port, sizeof(port));
    const size_t port_length = strlen(port) + 1;
    size_t most = sizeof(host);
    if (!options->wide)
        most = port_length < NETSTAT_END_WIDTH ? NETSTAT_END_WIDTH - port_length : 0;
    snprintf(text, NETSTAT_END_SIZE, "%.*s:%s", (int)most, host, port);
    return text;
}

const char *netstat_user(const struct netstat_options *options, uint32_t uid,
                         char text[static NETSTAT_USER_SIZE])
{
    const struct passwd *user =
        options->numeric || options->numeric_users ? NULL : getpwuid((uid_t)uid);
    if (user)
        text_escape(user->pw_name, strlen(user->pw_name), text, NETSTAT_USER_SIZE);
    else
        snprintf(text, NETSTAT_USER_SIZE, "%u", uid);
    return text;
}
