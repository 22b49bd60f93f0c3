/* struct peer: to and from the kernel's form and as text. */
#include "talk/peer.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const char *peer_format(const struct peer *peer, char text[static PEER_TEXT_SIZE])
{
    switch (peer->kind) {
    case PEER_INTERNET:
        return address_format_port(&peer->address, peer->port, text);
    case PEER_UNIX:
        snprintf(text, PEER_TEXT_SIZE, "unix:%s", peer->path);
        return text;
    case PEER_NONE:
        break;
    }
    snprintf(text, PEER_TEXT_SIZE, "?");
    return text;
}

/* An abstract name begins with a NUL, which is shown as "@"; NULs further on end it here, though
 * not for the kernel. */
static void take_path(struct peer *peer, const struct sockaddr_un *sockaddr, socklen_t length)
{
    size_t most = sizeof(sockaddr->sun_path);
    size_t size = length > offsetof(struct sockaddr_un, sun_path)
                      ? length - offsetof(struct sockaddr_un, sun_path)
                      : 0;
    if (size > most)
        size = most;
    if (size > 0 && sockaddr->sun_path[0] == '\0') {
        peer->path[0] = '@';
        memcpy(peer->path + 1, sockaddr->sun_path + 1, size - 1);
    } else {
        memcpy(peer->path, sockaddr->sun_path, strnlen(sockaddr->sun_path, size));
    }
}

struct peer peer_from_sockaddr(const struct sockaddr_storage *sockaddr, socklen_t length)
{
    struct peer peer = {0};
    if (length >= sizeof(sa_family_t) && sockaddr->ss_family == AF_UNIX) {
        struct sockaddr_un path = {0};
        memcpy(&path, sockaddr, length < sizeof(path) ? length : sizeof(path));
        peer.kind = PEER_UNIX;
        take_path(&peer, &path, length);
    } else if (length >= sizeof(struct sockaddr_in) &&
               address_from_sockaddr((const struct sockaddr *)sockaddr, &peer.address,
                                     &peer.port)) {
        peer.kind = PEER_INTERNET;
    }
    return peer;
}

struct peer peer_of_socket(int fd)
{
    struct sockaddr_storage sockaddr = {0};
    socklen_t length = sizeof(sockaddr);
    struct peer peer = {0};
    if (getsockname(fd, (struct sockaddr *)&sockaddr, &length) == 0)
        peer = peer_from_sockaddr(&sockaddr, length);
    return peer;
}

socklen_t peer_to_sockaddr(const struct peer *peer, struct sockaddr_storage *ret_sockaddr)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    size_t length = strlen(peer->path);
    switch (peer->kind) {
    case PEER_INTERNET:
        return address_to_sockaddr(&peer->address, peer->port, ret_sockaddr);
    case PEER_UNIX:
        /* An abstract name has no NUL behind it. */
        if (length == 0 || length + (peer->path[0] != '@') > sizeof(path.sun_path))
            return 0;
        memcpy(path.sun_path, peer->path, length);
        if (peer->path[0] == '@')
            path.sun_path[0] = '\0';
        else
            length++; /* the NUL behind it */
        memcpy(ret_sockaddr, &path, sizeof(path));
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    case PEER_NONE:
        break;
    }
    return 0;
}

bool peer_equal(const struct peer *one, const struct peer *other)
{
    if (one->kind != other->kind)
        return false;
    if (one->kind == PEER_INTERNET)
        return one->port == other->port && address_equal(&one->address, &other->address);
    return strcmp(one->path, other->path) == 0;
}
