/* What went wrong in TLS, in words for a person. */
#include "base/text.h"
#include "talk/tls_session.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <openssl/sslerr.h>
#include <openssl/x509err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- certificates that are not believed ---- */

static const char *date(const ASN1_TIME *time, char text[static 32])
{
    struct tm fields;
    if (!time || ASN1_TIME_to_tm(time, &fields) != 1 ||
        strftime(text, 32, "%Y-%m-%d", &fields) == 0)
        strcpy(text, "at no time");
    return text;
}

/* An issuer's or subject's shortest name that says something, escaped. */
static const char *name_text(const X509_NAME *name, char text[static 160])
{
    static const int kinds[] = {NID_commonName, NID_organizationName, NID_organizationalUnitName};
    for (size_t i = 0; name && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int place = X509_NAME_get_index_by_NID(name, kinds[i], -1);
        if (place < 0)
            continue;
        const ASN1_STRING *string = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, place));
        unsigned char *bytes = NULL;
        int length = ASN1_STRING_to_UTF8(&bytes, string);
        if (length > 0) {
            text_escape(bytes, (size_t)length, text, 160);
            OPENSSL_free(bytes);
            return text;
        }
        OPENSSL_free(bytes);
    }
    return strcpy(text, "nobody");
}

static void say_mismatch(X509_STORE_CTX *store, X509 *certificate, struct error *error)
{
    X509_VERIFY_PARAM *wanted = X509_STORE_CTX_get0_param(store);
    char names[160];
    char *address = X509_VERIFY_PARAM_get1_ip_asc(wanted);
    const char *host = X509_VERIFY_PARAM_get0_host(wanted, 0);
    const char *name = address ? address : host ? host : "?";
    if (certificate && tls_certificate_names(certificate, true, names, sizeof(names)))
        error_set(error, EKEYREJECTED, "the certificate is for %s, not for %s", names, name);
    else
        error_set(error, EKEYREJECTED, "the certificate is for nobody, not for %s", name);
    OPENSSL_free(address);
}

static void say_time(X509 *certificate, int code, int depth, bool server, struct error *error)
{
    char name[160], day[32];
    char whose[256] = "the certificate";
    bool expired = code == X509_V_ERR_CERT_HAS_EXPIRED;
    const char *hint = server ? "" : ": --insecure connects all the same";
    if (server)
        strcpy(whose, "the client's certificate");
    if (depth > 0)
        snprintf(whose, sizeof(whose), "the certificate of its authority '%s'",
                 name_text(X509_get_subject_name(certificate), name));
    error_set(
        error, EKEYREJECTED, "%s %s (%s)%s", whose, expired ? "has expired" : "is not yet valid",
        date(expired ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate), day),
        hint);
}

void tls_words_verdict(X509_STORE_CTX *store, bool server, struct error *error)
{
    int code = X509_STORE_CTX_get_error(store);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    const char *whose = server ? "the client's certificate" : "the certificate";
    char name[160];
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        if (certificate) {
            say_time(certificate, code, X509_STORE_CTX_get_error_depth(store), server, error);
            return;
        }
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        error_set(error, EKEYREJECTED, "%sself-signed certificate: --ca FILE would believe it",
                  server ? "the client has a " : "");
        return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        if (certificate) {
            error_set(error, EKEYREJECTED,
                      "%s is signed by '%s', which is not believed: --ca FILE would believe it",
                      whose, name_text(X509_get_issuer_name(certificate), name));
            return;
        }
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_mismatch(store, certificate, error);
        return;
    default:
        break;
    }
    error_set(error, EKEYREJECTED, "%s is not believed (%s)%s", whose,
              X509_verify_cert_error_string(code),
              server ? "" : ": --insecure connects all the same");
}

/* ---- OpenSSL's queue ---- */

struct row {
    int reason;
    const char *client, *server; /* by who we are; NULL: as the other */
};

static const struct row rows[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "the other side does not speak TLS", NULL},
    {SSL_R_BAD_RECORD_TYPE, "the other side does not speak TLS", NULL},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "the other side does not speak TLS", NULL},
    {SSL_R_HTTP_REQUEST, "the other side does not speak TLS but plain HTTP", NULL},
    {SSL_R_HTTPS_PROXY_REQUEST, "the other side does not speak TLS but plain HTTP", NULL},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the other side has no version of TLS from 1.2 on", NULL},
    {SSL_R_VERSION_TOO_LOW, "the other side has no version of TLS from 1.2 on", NULL},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the other side has no version of TLS that we have", NULL},
    {SSL_R_NO_SHARED_CIPHER, "no cipher is known to both sides", NULL},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
     "the other side refuses the handshake: no cipher is known to both, or it demands a "
     "certificate (--cert FILE)",
     "the client refuses the handshake"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "no protocol of ALPN is known to both sides", NULL},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "no protocol of ALPN is known to both sides", NULL},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the other side demands a certificate: --cert FILE",
     NULL},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client showed no certificate", NULL},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA,
     "the other side does not believe our certificate: it does not know who signed it",
     "the client does not believe our certificate: it does not know who signed it"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the other side does not believe our certificate",
     "the client does not believe our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the other side does not believe our certificate",
     "the client does not believe our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the other side says that our certificate has expired",
     "the client says that our certificate has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "the other side says that our certificate is revoked",
     "the client says that our certificate is revoked"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "the other side has no such name: --sni NAME asks for another",
     NULL},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, "the other side denies us access", NULL},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "what arrived was damaged or forged on the way",
     NULL},
};

/* The first is nearest to the cause; OpenSSL's layers add theirs behind it. */
static unsigned long take_error(void)
{
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    return code;
}

int tls_words_session(bool server, struct error *error)
{
    unsigned long code = take_error();
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return error_set(error, ENOMEM, "no memory for TLS");
    for (size_t i = 0; ERR_GET_LIB(code) == ERR_LIB_SSL && i < sizeof(rows) / sizeof(rows[0]);
         i++) {
        if (rows[i].reason == reason)
            return error_set(error, EPROTO, "%s",
                             server && rows[i].server ? rows[i].server : rows[i].client);
    }
    const char *words = code ? ERR_reason_error_string(code) : NULL;
    return error_set(error, EPROTO, "TLS failed: %s", words ? words : "no reason is known");
}

static const char *file_words(unsigned long code)
{
    int library = ERR_GET_LIB(code), reason = ERR_GET_REASON(code);
    if (library == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE)
        return "there is none in PEM form in it";
    if (library == ERR_LIB_OSSL_DECODER && reason == ERR_R_UNSUPPORTED) /* of keys */
        return "there is none in PEM form in it";
    if (library == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH)
        return "it does not belong to the certificate";
    if (library == ERR_LIB_X509 && reason == X509_R_KEY_TYPE_MISMATCH)
        return "it does not belong to the certificate";
    const char *words = code ? ERR_reason_error_string(code) : NULL;
    return words ? words : "it cannot be read";
}

int tls_words_file(const char *what, const char *path, struct error *error)
{
    unsigned long code = take_error();
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return error_set(error, ENOMEM, "no memory for TLS");
    return error_set(error, EINVAL, "%s in '%s': %s", what, path, file_words(code));
}
