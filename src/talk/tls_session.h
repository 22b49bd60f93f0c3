/* What the files of TLS share: contexts, sessions, and OpenSSL's troubles in words. */
#pragma once

#include "talk/tls.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define TLS_FINGERPRINT_SIZE 96 /* "AB:CD:…" of 32 bytes, and its NUL */

struct tls {
    SSL_CTX *context;
    BIO_METHOD *transport; /* how sessions send and receive: channel_tls.c */
    unsigned references;   /* the owner's and one of each session */
    bool server, insecure;
    bool made;                              /* our certificate was made here */
    char fingerprint[TLS_FINGERPRINT_SIZE]; /* of our certificate; "": none */
    unsigned char *alpn;                    /* the protocols as RFC 7301 has them; NULL: none */
    unsigned alpn_length;
};

void tls_release(struct tls *tls); /* gives back one reference */

#define TLS_HEAD_SIZE 5 /* of a record: its type, version and length */

struct tls_session {
    struct channel channel;
    struct watch watch;
    struct loop *loop;
    struct tls *tls;
    SSL *ssl;

    /* Beginning of the next record, received together with the end of the one before it. */
    unsigned char head[TLS_HEAD_SIZE];
    unsigned char head_count;

    bool ended;      /* TCP ended */
    int socket_code; /* errno of the socket during the present call of OpenSSL */
    int read_code;   /* what every later read says, negative; 0: it goes on */
    int write_code;  /* the same of writes */
    bool shut;       /* close_notify is out */
};

/* The transport of channel_tls.c; NULL when memory ran out. */
BIO_METHOD *tls_transport_new(void);

/* What channel_tls_describe() says, of a session that need not be a channel's: libcurl's, say. */
void tls_describe_session(SSL *ssl, struct tls_description *ret_description);

/* A certificate for this run, and its key. Returns 0 or -errno with an error. */
int tls_certificate_make(X509 **ret_certificate, EVP_PKEY **ret_key, struct error *error);
/* "" when it fails. */
void tls_certificate_fingerprint(const X509 *certificate, char text[static TLS_FINGERPRINT_SIZE]);
/* Its alternative names without their kinds, joined by ", "; the common name where `common` and
 * there are none. As many as fit, with "..." for the others. Nothing in it is a control character.
 * Returns whether there was any. */
bool tls_certificate_names(X509 *certificate, bool common, char *text, size_t size);
/* Wall clock, nanoseconds since 1970; times that do not fit are the nearest that do. */
uint64_t tls_certificate_time(const ASN1_TIME *time);

/* Why the other side's certificate is not believed, from within OpenSSL's callback. Fills in the
 * error. */
void tls_words_verdict(X509_STORE_CTX *store, bool server, struct error *error);
/* What OpenSSL's queue says went wrong in a session, and empties it. Returns -errno. */
int tls_words_session(bool server, struct error *error);
/* The same of a file that `option` names, "the certificate" say. */
int tls_words_file(const char *what, const char *path, struct error *error);
