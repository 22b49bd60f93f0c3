/* TLS by OpenSSL: who is believed, who we say we are, and a channel over a socket. */
#pragma once

#include "base/buffer.h"
#include "talk/channel.h"

struct tls; /* what many sessions share: an SSL_CTX */

struct tls_options {
    bool server;
    bool insecure;           /* client: any certificate will do */
    const char *authorities; /* a file or directory of PEM certificates to believe; NULL: the
                                system's. Server: clients must show a certificate of one of them */
    const char *certificate; /* a PEM file, the chain included; NULL: a client has none, a server
                                makes one of its own, for this run */
    const char *key;         /* a PEM file; NULL: in the file of the certificate */
    const char *alpn;        /* "h2,http/1.1"; NULL: not spoken of */
};

/* Reads the files. Returns 0 or -errno with an error that names the file and what is wrong. */
int tls_new(const struct tls_options *options, struct tls **ret_tls, struct error *error);
void tls_free(struct tls *tls); /* NULL is allowed; sessions may still be there */

/* The SHA-256 fingerprint of the certificate that we show, "AB:CD:…"; "" when there is none. `made`
 * says whether it was made here. */
const char *tls_fingerprint(const struct tls *tls, bool *ret_made);

/* A session over a connected socket, which it takes and closes on failure too. `name`, of a client,
 * is what the certificate must be for: a host's name or an address; `sni` is what is asked for
 * (NULL: `name` where it is a name; "": nothing). Returns 0 or -errno with an error.
 *
 * Its splice descriptors are -1. read() says -ECONNABORTED with an error when TCP ended without
 * close_notify (RFC 8446 §6.1): what was said may have been cut short. */
int channel_tls_new(struct loop *loop, struct tls *tls, int fd, const char *name, const char *sni,
                    struct channel **ret_channel, struct error *error);

/* Goes on with the handshake; called again each time the channel is ready. Returns 0 when it is
 * done, -EAGAIN, or -errno with an error that says which check failed and, for a certificate that
 * is not believed, which option would help. */
int channel_tls_handshake(struct channel *channel, struct error *error);

/* What was agreed on, once the handshake is done. Texts are in the struct; those from the
 * certificate are hostile. */
struct tls_certificate {
    char subject[256], issuer[256]; /* RFC 2253 */
    char names[512];      /* subject's alternative names, joined by ", ", cut when longer */
    uint64_t from, until; /* wall clock, nanoseconds since 1970 */
    char fingerprint[96]; /* SHA-256 */
};

struct tls_description {
    char protocol[16], cipher[64], alpn[64], group[64];
    bool verified;                   /* the other side's certificate is believed */
    char verdict[160];               /* why it is not; "ok" */
    struct tls_certificate chain[8]; /* as the other side showed them, its own first */
    size_t count;                    /* of chain; at most 8 */
};
void channel_tls_describe(const struct channel *channel, struct tls_description *ret_description);
