/* From an endpoint to the sockets that listen on it. */
#include "talk/listener_places.h"

#include "net/resolve.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT_TRIES 16 /* for a port that the kernel chose for IPv4 and somebody has with IPv6 */

/* Abstract names are those of sockets. */
static bool is_socket(const char *path)
{
    struct stat status;
    return path[0] == '@' || (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode));
}

static const char *bind_advice(int code, const struct peer *peer)
{
    if (code == EADDRINUSE)
        return peer->kind != PEER_UNIX ? ": another program has this port, or chose 'all addresses'"
               : is_socket(peer->path) ? ": a program listens there"
                                       : ": a file that is no socket is there";
    if (code == EACCES && peer->kind == PEER_INTERNET)
        return ": ports below 1024 need root or CAP_NET_BIND_SERVICE";
    if (code == EADDRNOTAVAIL)
        return ": it is none of this machine's addresses";
    return "";
}

static int bind_failed(const struct peer *peer, int code, struct error *error)
{
    char text[PEER_TEXT_SIZE];
    return error_set(error, code, "cannot listen on %s: %s%s", peer_format(peer, text),
                     strerror(code), bind_advice(code, peer));
}

/* A socket's file that nobody listens at any more is in the way of the next one. Whoever does
 * listen is not disturbed: connecting to it with another type of socket fails, connect(2). */
static void remove_stale(const struct peer *peer, const struct sockaddr_storage *sockaddr,
                         socklen_t length)
{
    if (peer->path[0] == '@' || !is_socket(peer->path))
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)sockaddr, length) < 0 && errno == ECONNREFUSED)
        unlink(peer->path);
    close(fd);
}

/* Binds and listens. `both`: an IPv6 socket that takes IPv4 too. Returns a descriptor or -errno. */
static int open_socket(const struct peer *peer, bool datagrams, bool both)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = peer_to_sockaddr(peer, &sockaddr);
    const int yes = 1, only = !both;
    if (!length)
        return -EINVAL;
    int fd = socket(sockaddr.ss_family,
                    (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (sockaddr.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    if (peer->kind == PEER_UNIX)
        remove_stale(peer, &sockaddr, length);
    else if (!datagrams)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&sockaddr, length) < 0 ||
        (!datagrams && listen(fd, SOMAXCONN) < 0)) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

/* Where to listen. */
struct places {
    struct peer peers[LISTENER_SOCKETS];
    size_t count;
    bool both;    /* one socket for IPv4 and IPv6 */
    bool lenient; /* those whose address this machine lacks are left out */
};

static void places_add(struct places *places, const char *text, enum address_family family,
                       uint16_t port)
{
    struct peer *peer = &places->peers[places->count];
    struct address address;
    if (address_parse(text, strlen(text), &address, NULL) < 0 ||
        (family && address.family != family))
        return;
    *peer = (struct peer){.kind = PEER_INTERNET, .address = address, .port = port};
    places->count++;
}

static int places_find(const struct listener_options *options, struct places *places,
                       struct error *error)
{
    const struct endpoint *endpoint = &options->endpoint;
    struct address addresses[LISTENER_SOCKETS];
    *places = (struct places){0};
    if (endpoint->kind == ENDPOINT_UNIX) {
        places->peers[0].kind = PEER_UNIX;
        strcpy(places->peers[0].path, endpoint->path);
        places->count = 1;
    } else if (!endpoint->host[0]) {
        places->lenient = true;
        places_add(places, "127.0.0.1", options->family, endpoint->port);
        places_add(places, "::1", options->family, endpoint->port);
    } else if (strcmp(endpoint->host, "*") == 0) {
        places->both = !options->family;
        places->lenient = !options->family;
        if (options->family != ADDRESS_IPV4)
            places_add(places, "::", options->family, endpoint->port);
        if (options->family == ADDRESS_IPV4)
            places_add(places, "0.0.0.0", options->family, endpoint->port);
    } else {
        int failed = resolve_ordered(endpoint->host, options->family, addresses, LISTENER_SOCKETS,
                                     &places->count, error);
        if (failed)
            return failed;
        for (size_t i = 0; i < places->count; i++)
            places->peers[i] = (struct peer){
                .kind = PEER_INTERNET, .address = addresses[i], .port = endpoint->port};
    }
    return 0;
}

/* Opens all of them. Returns 0 or -errno, with the peer that failed. */
static int open_sockets(struct places *places, bool datagrams, int *fds, size_t *ret_count,
                        struct peer *ret_peer)
{
    size_t count = 0;
    int failed = 0;
    struct peer peer = {0};
    for (size_t i = 0; i < places->count && !failed; i++) {
        peer = places->peers[i];
        if (count && peer.port == 0) /* the port that the kernel gave to the first, for all */
            peer.port = peer_of_socket(fds[0]).port;
        int fd = open_socket(&peer, datagrams, places->both);
        if (fd >= 0)
            fds[count++] = fd;
        else if (!places->lenient || (fd != -EADDRNOTAVAIL && fd != -EAFNOSUPPORT))
            failed = fd;
    }
    if (!failed && !count && places->both) { /* a kernel without IPv6 */
        places_add(places, "0.0.0.0", ADDRESS_IPV4, places->peers[0].port);
        peer = places->peers[places->count - 1];
        failed = open_socket(&peer, datagrams, false);
        if (failed >= 0)
            fds[count++] = failed;
        failed = failed < 0 ? failed : 0;
    }
    if (!failed && !count)
        failed = -EADDRNOTAVAIL;
    while (failed && count)
        close(fds[--count]);
    *ret_count = count;
    *ret_peer = peer;
    return failed;
}

int listener_places_open(const struct listener_options *options, int fds[static LISTENER_SOCKETS],
                         size_t *ret_count, struct error *error)
{
    bool datagrams = options->endpoint.kind == ENDPOINT_UDP;
    unsigned tries = PORT_TRIES;
    struct places places;
    struct peer peer;
    int failed = places_find(options, &places, error);
    if (failed)
        return failed;
    do
        failed = open_sockets(&places, datagrams, fds, ret_count, &peer);
    while (failed == -EADDRINUSE && options->endpoint.port == 0 && --tries);
    return failed ? bind_failed(&peer, -failed, error) : 0;
}
