/* TLS by OpenSSL: who is believed, who we say we are, and a channel over a socket. */
#pragma once

#include "base/buffer.h"
#include "talk/channel.h"

struct tls; /* what many sessions share: an SSL_CTX */

struct tls_options {
    bool server;
    bool insecure;           /* client: any certificate will do */
    const char *authorities; /* a file or directory of PEM certificates to believe, those of hosts
                                too; NULL: the system's. Server: clients must show a certificate of
                                one of them; NULL: they need none */
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
 * is what the certificate must be for: a host's name or an address (NULL only when `insecure`);
 * `sni` is what is asked for (NULL: `name` where it is a name; "": nothing). Returns 0 or -errno
 * with an error.
 *
 * Its splice descriptors are -1. shut() sends close_notify and no FIN; each direction ends by
 * itself, in TLS 1.2 too, where some peers take the first end for both. read() says -ECONNABORTED
 * with an error when TCP ended without close_notify (RFC 8446 §6.1): what was said may have been
 * cut short. Writing goes on after that. A server refuses a client's certificate after the client's
 * handshake (TLS 1.3): then read() or write() says why. */
int channel_tls_new(struct loop *loop, struct tls *tls, int fd, const char *name, const char *sni,
                    struct channel **ret_channel, struct error *error);

/* Goes on with the handshake; called again each time the channel is ready. Returns 0 when it is
 * done, -EAGAIN, or -errno with an error: -EKEYREJECTED when the certificate is not believed (which
 * check failed, and which option would help), -EPROTO when the other side does not agree or is no
 * TLS, -ECONNABORTED when it closed, or what the socket said. */
int channel_tls_handshake(struct channel *channel, struct error *error);

/* What was agreed on, once the handshake is done. Texts are in the struct; those from the
 * certificate are hostile. */
struct tls_certificate {
    char subject[256], issuer[256]; /* RFC 2253 */
    char names[512]; /* subject's alternative names, joined by ", "; "..." for those that do not fit
                      */
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
