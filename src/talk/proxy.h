/* Asking a proxy to connect for us, and saying to whom one is connected: what is sent and how the
 * answers are read. Pure functions, without a socket: SOCKS4a, SOCKS5 (RFC 1928, RFC 1929), HTTP
 * CONNECT (RFC 9110 §9.3.6). The host's name goes to the proxy, which looks it up. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

enum proxy_kind {
    PROXY_NONE,
    PROXY_HTTP,
    PROXY_SOCKS4, /* 4a where the host is a name */
    PROXY_SOCKS5,
};

struct proxy_request {
    enum proxy_kind kind;
    const char *host; /* an address without brackets, or a name */
    uint16_t port;
    const char *user, *password; /* NULL: none. SOCKS4 has no password. */
};

/* How far a negotiation is; zeroed at first, but for `request`. */
struct proxy_negotiation {
    struct proxy_request request;
    unsigned step; /* private, as is this: */
    size_t head;   /* how many bytes of an HTTP answer's head were taken */
};

enum proxy_progress {
    PROXY_MORE, /* send what was added, then read more */
    PROXY_OPEN, /* the proxy has connected: what is behind `*ret_taken` is the target's */
};

/* Checks that the request can be made at all (lengths, a password for SOCKS4, an address with a
 * zone, which would mean nothing to the proxy), before anybody connects. Returns 0, or -EINVAL with
 * an error. */
int proxy_check(const struct proxy_request *request, struct error *error);

/* Goes on as far as the `length` bytes that have come and are not yet taken allow: adds to `send`
 * what has to be sent, and sets how many of the bytes it has taken. Called first with no bytes.
 * Returns an enum proxy_progress, or -errno with an error in the proxy's words where it gave some:
 * -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT for what the proxy says of the target,
 * -EACCES for refused rights or a wrong password, -EPROTO for an answer that makes no sense,
 * -EINVAL as proxy_check() has it, -ENOMEM. An HTTP answer's head may be 16 KiB long, with all 1xx
 * ones before it; at most as much is left untaken. The bytes are hostile. */
int proxy_step(struct proxy_negotiation *negotiation, const void *bytes, size_t length,
               size_t *ret_taken, struct buffer *send, struct error *error);

/* "http://user:password@host:port", "socks5://host", "socks4://…", "socks5h://…" and "socks4a://…"
 * (the same), or "host:port" with `kind` (PROXY_NONE: HTTP). Default ports: 3128 for HTTP and 1080
 * for SOCKS. Percent-escapes in user and password are decoded. The texts are in `text`, which the
 * caller frees with free(). A kind in the word counts before `kind`. Returns 0 or -EINVAL with an
 * error that has the column, or -ENOMEM. */
struct proxy_address {
    enum proxy_kind kind;
    const char *host;
    uint16_t port;
    const char *user, *password; /* NULL: none */
    char *text;                  /* holds all of them */
};
int proxy_parse(const char *word, enum proxy_kind kind, struct proxy_address *ret_proxy,
                struct error *error);

const char *proxy_kind_name(enum proxy_kind kind); /* "http", "socks4", "socks5" */
