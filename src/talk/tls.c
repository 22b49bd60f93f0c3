/* struct tls: from options to an SSL_CTX. */
#include "talk/tls.h"

#include "base/file.h"
#include "talk/tls_session.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_LIMIT ((size_t)16 << 20)
#define NAMES_LIMIT                                                                                \
    64 /* of authorities that a client is told about: they must fit its handshake                  \
        */

/* A key with a password is an error: a library does not ask at the terminal. `user` is a bool, set
 * when there is one, or NULL. */
static int no_password(char *text, int size, int writing, void *user)
{
    bool *asked = user;
    (void)text, (void)size, (void)writing;
    if (asked)
        *asked = true;
    return -1;
}

/* The whole of a file as something that OpenSSL reads from; `buffer` has the bytes. */
static int open_file(const char *path, struct buffer *buffer, BIO **ret_source, struct error *error)
{
    int failed = file_read(path, FILE_LIMIT, buffer, error);
    if (failed)
        return failed;
    BIO *source = BIO_new_mem_buf(buffer->data ? buffer->data : "", (int)buffer->length);
    if (!source)
        return error_set(error, ENOMEM, "no memory for TLS");
    *ret_source = source;
    return 0;
}

/* ---- who is believed ---- */

/* Adds the certificates in `path`. Returns how many, or -errno with an error. */
static int believe_file(X509_STORE *store, const char *path, struct error *error)
{
    struct buffer buffer = {0};
    BIO *source = NULL;
    int result = open_file(path, &buffer, &source, error);
    if (result == 0) {
        X509 *certificate = NULL;
        while ((certificate = PEM_read_bio_X509_AUX(source, NULL, no_password, NULL)) != NULL) {
            bool added = X509_STORE_add_cert(store, certificate) == 1;
            X509_free(certificate);
            if (!added)
                break;
            result++;
        }
        /* The end of the file looks like one more certificate that does not begin. */
        if (result == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
            result = tls_words_file("certificates", path, error);
    }
    ERR_clear_error();
    BIO_free(source);
    buffer_release(&buffer);
    return result;
}

/* "5ed36f99.0", as c_rehash names them: OpenSSL looks for such by itself when it needs one. */
static bool is_hashed(const char *name)
{
    for (int i = 0; i < 8; i++) {
        if (!isxdigit((unsigned char)name[i]))
            return false;
    }
    return name[8] == '.' && isdigit((unsigned char)name[9]);
}

static int believe_directory(X509_STORE *store, const char *path, struct error *error)
{
    DIR *directory = opendir(path);
    if (!directory)
        return error_set(error, errno, "cannot open '%s': %s", path, strerror(errno));
    bool hashed = false;
    int count = 0;
    for (struct dirent *entry; !hashed && (entry = readdir(directory)) != NULL;) {
        char file[4096];
        struct stat facts;
        hashed = is_hashed(entry->d_name);
        int length = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        if (hashed || length >= (int)sizeof(file) || stat(file, &facts) < 0 ||
            !S_ISREG(facts.st_mode))
            continue;
        int found = believe_file(store, file, NULL); /* other files may be there */
        count += found > 0 ? found : 0;
    }
    closedir(directory);
    if (hashed && X509_STORE_load_path(store, path) != 1)
        return tls_words_file("certificates", path, error);
    if (!hashed && count == 0)
        return error_set(error, EINVAL, "there is no PEM certificate in the directory '%s'", path);
    return 0;
}

/* Which authorities a client's certificate may be of; an empty list says "any". */
static void name_authorities(SSL_CTX *context, X509_STORE *store)
{
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    int count = sk_X509_OBJECT_num(objects);
    for (int i = 0; i < count && count <= NAMES_LIMIT; i++) {
        X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (certificate)
            SSL_CTX_add_client_CA(context, certificate);
    }
    ERR_clear_error();
}

static int believe(struct tls *tls, const char *authorities, struct error *error)
{
    X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
    struct stat facts;
    if (!authorities) {
        /* A system without any is no failure: then nobody is believed. */
        SSL_CTX_set_default_verify_paths(tls->context);
        ERR_clear_error();
        return 0;
    }
    bool directory = stat(authorities, &facts) == 0 && S_ISDIR(facts.st_mode);
    int result = directory ? believe_directory(store, authorities, error)
                           : believe_file(store, authorities, error);
    if (result < 0)
        return result;
    /* What the user names is believed whether it has signed itself or not. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (tls->server)
        name_authorities(tls->context, store);
    return 0;
}

/* The session's error says why, in better words than the number that OpenSSL keeps. */
static int verified(int believed, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = ssl ? SSL_get_app_data(ssl) : NULL;
    if (!believed && session)
        tls_words_verdict(store, session->tls->server, &session->channel.error);
    return believed;
}

static int set_belief(struct tls *tls, const char *authorities, struct error *error)
{
    int failed = tls->server && !authorities ? 0 : believe(tls, authorities, error);
    if (failed)
        return failed;
    if (tls->server && authorities)
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           verified);
    else if (!tls->server && !tls->insecure)
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, verified);
    else
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_NONE, NULL);
    return 0;
}

/* ---- who we are ---- */

static int use_certificate(struct tls *tls, const char *path, struct error *error)
{
    struct buffer buffer = {0};
    BIO *source = NULL;
    int failed = open_file(path, &buffer, &source, error);
    if (failed) {
        buffer_release(&buffer);
        return failed;
    }
    X509 *certificate = PEM_read_bio_X509_AUX(source, NULL, no_password, NULL);
    bool used = certificate && SSL_CTX_use_certificate(tls->context, certificate) == 1;
    if (used)
        tls_certificate_fingerprint(certificate, tls->fingerprint);
    X509_free(certificate);
    while (used && (certificate = PEM_read_bio_X509(source, NULL, no_password, NULL)) != NULL) {
        used = SSL_CTX_add0_chain_cert(tls->context, certificate) == 1;
        if (!used)
            X509_free(certificate);
    }
    if (!used || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        failed = tls_words_file("certificate", path, error);
    ERR_clear_error();
    BIO_free(source);
    buffer_release(&buffer);
    return failed;
}

static int use_key(struct tls *tls, const char *path, struct error *error)
{
    struct buffer buffer = {0};
    BIO *source = NULL;
    int failed = open_file(path, &buffer, &source, error);
    if (failed == 0) {
        bool asked = false;
        EVP_PKEY *key = PEM_read_bio_PrivateKey(source, NULL, no_password, &asked);
        if (asked)
            failed = error_set(error, EINVAL,
                               "the private key in '%s' has a password: 'openssl pkey' writes it "
                               "without",
                               path);
        else if (!key || SSL_CTX_use_PrivateKey(tls->context, key) != 1 ||
                 SSL_CTX_check_private_key(tls->context) != 1)
            failed = tls_words_file("private key", path, error);
        EVP_PKEY_free(key);
    }
    ERR_clear_error();
    BIO_free(source);
    if (buffer.data)
        OPENSSL_cleanse(buffer.data, buffer.length);
    buffer_release(&buffer);
    return failed;
}

static int make_certificate(struct tls *tls, struct error *error)
{
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    int failed = tls_certificate_make(&certificate, &key, error);
    if (failed)
        return failed;
    if (SSL_CTX_use_certificate(tls->context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(tls->context, key) != 1)
        failed = tls_words_session(tls->server, error);
    tls_certificate_fingerprint(certificate, tls->fingerprint);
    tls->made = true;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return failed;
}

static int set_identity(struct tls *tls, const struct tls_options *options, struct error *error)
{
    if (!options->certificate && options->key)
        return error_set(error, EINVAL, "a key without a certificate: --cert FILE is missing");
    if (!options->certificate)
        return tls->server ? make_certificate(tls, error) : 0;
    int failed = use_certificate(tls, options->certificate, error);
    if (failed)
        return failed;
    return use_key(tls, options->key ? options->key : options->certificate, error);
}

/* ---- ALPN ---- */

/* "h2,http/1.1" as RFC 7301 has it: each behind a byte that says how long it is. */
static int parse_alpn(struct tls *tls, const char *text, struct error *error)
{
    size_t length = strlen(text);
    if (length >= 65535)
        return error_set(error, EINVAL, "too many protocols for ALPN");
    unsigned char *list = malloc(length + 2);
    if (!list)
        return error_set(error, ENOMEM, "no memory for TLS");
    for (size_t start = 0; start <= length;) {
        size_t size = strcspn(text + start, ",");
        if (size == 0 || size > 255) {
            free(list);
            return error_set_at(error, EINVAL, text, length, start,
                                "a protocol of ALPN has 1 to 255 characters");
        }
        list[start] = (unsigned char)size;
        memcpy(list + start + 1, text + start, size);
        start += size + 1;
    }
    tls->alpn = list;
    tls->alpn_length = (unsigned)length + 1;
    return 0;
}

/* Ours come in the order of preference. Without a common one the handshake fails (RFC 7301 §3.2).
 */
static int choose_alpn(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_length,
                       const unsigned char *offered, unsigned offered_length, void *user)
{
    const struct tls *tls = user;
    unsigned char *chosen = NULL;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, ret_length, tls->alpn, tls->alpn_length, offered,
                              offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_chosen = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(struct tls *tls, const char *alpn, struct error *error)
{
    if (!alpn)
        return 0;
    int failed = parse_alpn(tls, alpn, error);
    if (failed)
        return failed;
    if (tls->server)
        SSL_CTX_set_alpn_select_cb(tls->context, choose_alpn, tls);
    else if (SSL_CTX_set_alpn_protos(tls->context, tls->alpn, tls->alpn_length) != 0)
        return error_set(error, ENOMEM, "no memory for TLS");
    return 0;
}

/* ---- the context ---- */

/* Sessions are not resumed. Tickets of TLS 1.3 would be sent to clients which write, close, and
 * never read: the kernel answers those with a RST, which destroys what the client had said. */
static void set_manners(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
}

int tls_new(const struct tls_options *options, struct tls **ret_tls, struct error *error)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return error_set(error, ENOMEM, "no memory for TLS");
    ERR_clear_error();
    tls->references = 1;
    tls->server = options->server;
    tls->insecure = options->insecure && !options->server;
    tls->context = SSL_CTX_new(tls->server ? TLS_server_method() : TLS_client_method());
    tls->transport = tls_transport_new();
    int failed = tls->context && tls->transport ? 0 : tls_words_session(tls->server, error);
    if (failed == 0) {
        set_manners(tls->context);
        failed = set_belief(tls, options->authorities, error);
    }
    if (failed == 0)
        failed = set_identity(tls, options, error);
    if (failed == 0)
        failed = set_alpn(tls, options->alpn, error);
    if (failed) {
        tls_release(tls);
        return failed;
    }
    *ret_tls = tls;
    return 0;
}

void tls_release(struct tls *tls)
{
    if (--tls->references > 0)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->transport);
    free(tls->alpn);
    free(tls);
}

void tls_free(struct tls *tls)
{
    if (tls)
        tls_release(tls);
}

const char *tls_fingerprint(const struct tls *tls, bool *ret_made)
{
    if (ret_made)
        *ret_made = tls->made;
    return tls->fingerprint;
}
