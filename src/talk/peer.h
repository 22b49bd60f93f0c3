/* Who is at the other end of a socket, or at this one. */
#pragma once

#include "net/address.h"

#include <sys/un.h>

enum peer_kind {
    PEER_NONE, /* not known */
    PEER_INTERNET,
    PEER_UNIX,
};

struct peer {
    enum peer_kind kind;
    struct address address; /* PEER_INTERNET */
    uint16_t port;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1]; /* PEER_UNIX: "@name" is an abstract
                                                                   one, "" has none */
};

/* "127.0.0.1:8080", "[::1]:8080", "unix:/run/x", "unix:" for the nameless, "?" for PEER_NONE. Not
 * escaped: a path may hold anything. Returns `text`. */
#define PEER_TEXT_SIZE 160
const char *peer_format(const struct peer *peer, char text[static PEER_TEXT_SIZE]);

/* Of the kernel's form. PEER_NONE for a family that is none of these. */
struct peer peer_from_sockaddr(const struct sockaddr_storage *sockaddr, socklen_t length);

/* Where a socket is bound; PEER_NONE when the kernel does not say. */
struct peer peer_of_socket(int fd);

/* To it; the length, or 0 for PEER_NONE and for a path that does not fit. */
socklen_t peer_to_sockaddr(const struct peer *peer, struct sockaddr_storage *ret_sockaddr);

bool peer_equal(const struct peer *one, const struct peer *other);
