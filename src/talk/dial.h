/* From an endpoint to a channel: names looked up, addresses tried one after another, through a
 * proxy where there is one, TLS on top. Nobody waits; one callback at the end. */
#pragma once

#include "talk/channel.h"
#include "talk/endpoint.h"
#include "talk/proxy.h"
#include "talk/proxy_header.h"
#include "talk/tls.h"

struct dial_options {
    struct endpoint endpoint;
    enum address_family family;      /* only this one; ADDRESS_NONE: any */
    const struct address *addresses; /* of the host, or of the proxy's, when they are known;
                                        borrowed until dial_start() returns */
    size_t address_count;            /* 0: looked up */
    const char *source;              /* address to come from; NULL: the kernel's choice */
    uint16_t source_port;            /* 0: the kernel's choice */
    uint64_t timeout;                /* nanoseconds for all of it; 0: as long as the kernel tries */
    bool numeric;                    /* the host must be an address: nobody is asked */
    struct tls *tls;                 /* of ENDPOINT_TLS; borrowed */
    const char *sni; /* ask for the certificate of this name, and check it for that; NULL: of the
                        host; "": ask for none, and check it for the host */
    const struct proxy_address *proxy; /* NULL: none; borrowed */
    unsigned proxy_header;             /* version of the PROXY header that is said first; 0: none */
    struct proxy_header client; /* what it says; not `known`: the connection's own addresses */
};

/* What happens on the way, for whoever tells a person. */
enum dial_event {
    DIAL_TRYING,    /* peer: the address that is tried now */
    DIAL_FAILED,    /* peer, error: that one failed, and another one is tried next */
    DIAL_CONNECTED, /* peer: whom TCP, UDP or the Unix socket is connected to; a proxy, if there is
                       one */
    DIAL_PROXIED,   /* the proxy has connected */
    DIAL_SECURED,   /* TLS is done */
};

struct dial; /* freed by itself after done(), or by dial_cancel() */

struct dial_calls {
    /* May be NULL; may not cancel the dial. `channel` is set with DIAL_SECURED, for
     * channel_tls_describe(). */
    void (*tell)(void *user, enum dial_event event, const struct peer *peer,
                 const struct channel *channel, const struct error *error);
    /* Once, last, from the loop: `channel` is the caller's, or NULL with an error (of the address
     * tried last, when several were). Its code: ECONNREFUSED, ETIMEDOUT, ENOENT (no such host) … */
    void (*done)(void *user, struct channel *channel, const struct peer *local,
                 const struct peer *remote, const struct error *error);
    void *user;
};

/* Begins; the options are copied, except for what they borrow. Returns 0, or -errno with an error
 * and no call of done(). */
int dial_start(struct loop *loop, const struct dial_options *options,
               const struct dial_calls *calls, struct dial **ret_dial, struct error *error);
void dial_cancel(struct dial *dial); /* without done() */
