/* What a TLS session has agreed on, and who the other side says it is. */
#include "talk/tls_session.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static void copy(char *text, size_t size, const char *source)
{
    snprintf(text, size, "%s", source ? source : "");
}

/* RFC 2253 with its escapes for control characters, and UTF-8 as it is. */
static void describe_name(const X509_NAME *name, char *text, size_t size)
{
    unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    BIO *memory = BIO_new(BIO_s_mem());
    text[0] = '\0';
    if (memory && X509_NAME_print_ex(memory, name, 0, form) >= 0) {
        int got = BIO_read(memory, text, (int)size - 1);
        text[got > 0 ? got : 0] = '\0';
    }
    BIO_free(memory);
}

static void describe_certificate(X509 *certificate, struct tls_certificate *description)
{
    describe_name(X509_get_subject_name(certificate), description->subject,
                  sizeof(description->subject));
    describe_name(X509_get_issuer_name(certificate), description->issuer,
                  sizeof(description->issuer));
    tls_certificate_names(certificate, false, description->names, sizeof(description->names));
    description->from = tls_certificate_time(X509_get0_notBefore(certificate));
    description->until = tls_certificate_time(X509_get0_notAfter(certificate));
    tls_certificate_fingerprint(certificate, description->fingerprint);
}

/* OpenSSL leaves a client's own certificate out of the chain that a server sees. */
static void describe_chain(const SSL *ssl, struct tls_description *description)
{
    const size_t room = sizeof(description->chain) / sizeof(description->chain[0]);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    X509 *first = SSL_get0_peer_certificate(ssl);
    if (!first)
        return;
    describe_certificate(first, &description->chain[description->count++]);
    for (int i = SSL_is_server(ssl) ? 0 : 1; i < sk_X509_num(chain); i++) {
        if (description->count < room)
            describe_certificate(sk_X509_value(chain, i),
                                 &description->chain[description->count++]);
    }
}

void tls_describe_session(SSL *ssl, struct tls_description *ret_description)
{
    struct tls_description *description = ret_description;
    *description = (struct tls_description){0};
    copy(description->protocol, sizeof(description->protocol), SSL_get_version(ssl));
    copy(description->cipher, sizeof(description->cipher), SSL_get_cipher_name(ssl));
    int group = (int)SSL_get_negotiated_group(ssl);
    if (group)
        copy(description->group, sizeof(description->group), SSL_group_to_name(ssl, group));
    const unsigned char *alpn = NULL;
    unsigned alpn_length = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_length);
    if (alpn_length > 0)
        snprintf(description->alpn, sizeof(description->alpn), "%.*s", (int)alpn_length, alpn);
    describe_chain(ssl, description);
    long verdict = SSL_get_verify_result(ssl);
    description->verified = description->count > 0 && verdict == X509_V_OK;
    copy(description->verdict, sizeof(description->verdict),
         description->count == 0 ? "no certificate" : X509_verify_cert_error_string(verdict));
    ERR_clear_error();
}

void channel_tls_describe(const struct channel *channel, struct tls_description *ret_description)
{
    const struct tls_session *session = CONTAINER_OF(channel, struct tls_session, channel);
    tls_describe_session(session->ssl, ret_description);
}
