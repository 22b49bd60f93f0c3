/* Being a port: sockets that listen, and a channel for each one who comes. */
#pragma once

#include "net/address_set.h"
#include "talk/channel.h"
#include "talk/endpoint.h"
#include "talk/tls.h"

struct listener_options {
    struct endpoint endpoint;               /* without a host: loopback, IPv4 and IPv6 */
    enum address_family family;             /* only this one */
    struct tls *tls;                        /* of ENDPOINT_TLS; borrowed */
    const struct address_set *allow, *deny; /* NULL: everybody, nobody; borrowed. `deny`
                                               wins. Unix sockets are not asked */
    uint64_t maximum;  /* clients at a time; 0: no limit. More wait in the kernel's queue */
    uint64_t timeout;  /* nanoseconds for TLS and the PROXY header; 0: 10 s */
    bool proxy_header; /* each begins with one, and is refused without */
    bool sessions;     /* UDP: a channel for each peer; else one for all of them */
    bool answer_all;   /* UDP without sessions: what is written goes to every peer heard of; else to
                          the one heard last */
    const int *inherited; /* sockets that listen already (systemd's LISTEN_FDS), taken over */
    size_t inherited_count;
};

enum listener_event {
    LISTENER_READY,   /* peer: an address on which it listens now */
    LISTENER_DENIED,  /* peer: was turned away by `allow` or `deny` */
    LISTENER_FAILED,  /* peer, error: TLS or the PROXY header failed, or accept() did; it goes on */
    LISTENER_SECURED, /* peer, channel: TLS is done */
    LISTENER_HEARD,   /* peer: sent its first datagram; UDP without sessions */
};

struct arrival {
    struct channel *channel;   /* the receiver's */
    struct peer remote, local; /* as the PROXY header says, where there is one */
    int fd; /* of the channel's plain socket, still owned by it, for a program that
               shall have it; -1: bytes must pass through the channel */
};

struct listener;

struct listener_calls {
    void (*tell)(void *user, enum listener_event event, const struct peer *peer,
                 const struct channel *channel, const struct error *error); /* may be NULL */
    /* The listener may be closed in it, but not freed. UDP's one channel for all peers arrives,
     * from PEER_NONE, before listener_new() has returned. */
    void (*arrived)(void *user, const struct arrival *arrival);
    void *user;
};

/* Binds and listens. Unix paths: a socket that nobody listens on any more is replaced; any other
 * file is an error. Returns 0, or -errno with an error that says which address, and why: for
 * EADDRINUSE and EACCES also what would help. */
int listener_new(struct loop *loop, const struct listener_options *options,
                 const struct listener_calls *calls, struct listener **ret_listener,
                 struct error *error);

/* One of its arrivals has ended: makes room under `maximum`. */
void listener_departed(struct listener *listener);

/* No longer listens; what arrived before stays. Unix paths that it made are removed. */
void listener_close(struct listener *listener);
void listener_free(struct listener *listener); /* closes, too; NULL is allowed */
