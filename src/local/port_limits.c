/* The kernel's settings for ports, and a try at having one. */
#include "local/port_limits.h"

#include "base/buffer.h"
#include "base/file.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SETTING(name) "/proc/sys/net/ipv4/" name
#define SETTING_LIMIT 1048576 /* a bitmap of all ports as text has up to 327,680 bytes */

/* The next decimal number from *at, no larger than a port. Returns false when there is none. */
static bool read_number(const char *text, size_t length, size_t *at, uint32_t *ret_number)
{
    uint32_t number = 0;
    const size_t start = *at;
    for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; ++*at)
        if (number <= UINT16_MAX)
            number = number * 10 + (uint32_t)(text[*at] - '0');
    *ret_number = number;
    return *at > start;
}

bool port_list_has(const char *text, size_t length, uint16_t port)
{
    size_t at = 0;
    while (at < length) {
        uint32_t first, last;
        if (!read_number(text, length, &at, &first)) {
            at++;
            continue;
        }
        last = first;
        if (at < length && text[at] == '-') {
            at++;
            if (!read_number(text, length, &at, &last))
                continue;
        }
        if (port >= first && port <= last)
            return true;
    }
    return false;
}

/* Up to two numbers of a setting, which are left alone where it has none. */
static void read_setting(const char *path, uint32_t *first, uint32_t *second)
{
    struct buffer text = {0};
    uint32_t number;
    size_t at = 0;
    if (file_read(path, SETTING_LIMIT, &text, NULL) == 0 &&
        read_number(text.data, text.length, &at, &number)) {
        *first = number;
        while (at < text.length && (text.data[at] == ' ' || text.data[at] == '\t'))
            at++;
        if (second && read_number(text.data, text.length, &at, &number))
            *second = number;
    }
    buffer_release(&text);
}

void port_limits_read(uint16_t port, struct port_limits *ret_limits)
{
    uint32_t first = 0, last = 0, unprivileged = 0;
    read_setting(SETTING("ip_local_port_range"), &first, &last);
    read_setting(SETTING("ip_unprivileged_port_start"), &unprivileged, NULL);
    struct buffer reserved = {0};
    if (file_read(SETTING("ip_local_reserved_ports"), SETTING_LIMIT, &reserved, NULL) != 0)
        buffer_clear(&reserved);
    *ret_limits = (struct port_limits){
        .ephemeral_first = (uint16_t)first,
        .ephemeral_last = (uint16_t)last,
        .unprivileged = unprivileged,
        .reserved = port_list_has(reserved.data, reserved.length, port),
    };
    buffer_release(&reserved);
}

/* ---- trying ---- */

static int type_of(enum socket_kind kind, int *ret_protocol)
{
    switch (kind) {
    case SOCKET_TCP:
    case SOCKET_MPTCP:
        *ret_protocol = IPPROTO_TCP;
        return SOCK_STREAM;
    case SOCKET_UDP:
        *ret_protocol = IPPROTO_UDP;
        return SOCK_DGRAM;
    case SOCKET_UDPLITE:
        *ret_protocol = IPPROTO_UDPLITE;
        return SOCK_DGRAM;
    case SOCKET_SCTP:
        *ret_protocol = IPPROTO_SCTP;
        return SOCK_STREAM;
    default:
        return -1;
    }
}

/* Returns the socket, for both families where the machine has IPv6; -1 without one. */
static int open_for(enum socket_kind kind, struct sockaddr_storage *ret_address,
                    socklen_t *ret_length, uint16_t port)
{
    int protocol = 0;
    const int type = type_of(kind, &protocol), off = 0;
    if (type < 0)
        return -1;
    memset(ret_address, 0, sizeof(*ret_address));
    int fd = socket(AF_INET6, type | SOCK_CLOEXEC, protocol);
    if (fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0) {
        const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(ret_address, &any, sizeof(any));
        *ret_length = sizeof(any);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(ret_address, &any, sizeof(any));
    *ret_length = sizeof(any);
    return fd;
}

/* Returns what bind() said, or -1 when it could not be asked. */
static int try_once(enum socket_kind kind, uint16_t port, bool reusing)
{
    struct sockaddr_storage address;
    socklen_t length;
    const int on = 1, fd = open_for(kind, &address, &length, port);
    if (fd < 0)
        return -1;
    int answer = -1;
    if (!reusing || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0)
        answer = bind(fd, (const struct sockaddr *)&address, length) == 0 ? 0 : errno;
    close(fd);
    return answer;
}

void port_trial_make(enum socket_kind kind, uint16_t port, struct port_trial *ret_trial)
{
    const int plain = try_once(kind, port, false);
    const int reusing = plain > 0 ? try_once(kind, port, true) : plain;
    if (plain >= 0 && reusing >= 0)
        *ret_trial = (struct port_trial){.made = true, .plain = plain, .reusing = reusing};
}
