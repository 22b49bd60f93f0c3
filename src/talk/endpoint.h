/* The words for ends of a conversation: "tcp:db:5432", "tls:8443", "unix:/run/x", "udp:[::1]:53".
 */
#pragma once

#include "base/error.h"
#include "talk/peer.h"

enum endpoint_kind {
    ENDPOINT_TCP,
    ENDPOINT_UDP,
    ENDPOINT_TLS, /* over TCP */
    ENDPOINT_UNIX,
};

enum endpoint_role {
    ENDPOINT_LISTEN, /* the host may be left out ("" in the struct); "*" is every address */
    ENDPOINT_DIAL,   /* a host must be there */
};

#define ENDPOINT_HOST_SIZE 256

struct endpoint {
    enum endpoint_kind kind;
    char host[ENDPOINT_HOST_SIZE]; /* an address (with its zone) or a name, without brackets; "*" */
    uint16_t port;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* ENDPOINT_UNIX; "@name": abstract */
};

/* The whole of `text`: [KIND:]WHERE. KIND is tcp (also when there is none), udp, tls, unix, and
 * with a digit behind it tcp4, tcp6, … only of that family (`ret_family`, else ADDRESS_NONE). WHERE
 * is PORT, HOST:PORT, [IPv6]:PORT, or a path; PORT a number or a service's name of that protocol.
 * Port 0 only for ENDPOINT_LISTEN: the kernel chooses one. Returns 0, or -EINVAL with an error that
 * has the column. */
int endpoint_parse(const char *text, enum endpoint_role role, struct endpoint *ret_endpoint,
                   enum address_family *ret_family, struct error *error);

/* HOST and PORT as two words, as `connect` takes them. An IPv6 address may have its brackets. A
 * Unix socket's path is the host, and `port` is NULL. An endpoint that listens may have no host
 * (NULL or
 * ""). Same errors, into the word in question. */
int endpoint_from_words(enum endpoint_kind kind, enum endpoint_role role, const char *host,
                        const char *port, struct endpoint *ret_endpoint, struct error *error);

/* One port: a number or a service's name of TCP or, for ENDPOINT_UDP, UDP. */
int endpoint_parse_port(enum endpoint_kind kind, enum endpoint_role role, const char *text,
                        uint16_t *ret_port, struct error *error);

/* Back to a word that endpoint_parse() takes. Returns `text`. */
#define ENDPOINT_WORD_SIZE (ENDPOINT_HOST_SIZE + 32)
const char *endpoint_format(const struct endpoint *endpoint, char text[static ENDPOINT_WORD_SIZE]);
