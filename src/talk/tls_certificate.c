/* Certificates: one that a server makes for itself, and what one says. */
#include "base/clock.h"
#include "base/error.h"
#include "talk/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HOUR 3600L
#define LIFETIME_DAYS 30

/* ---- making ---- */

/* This machine's name where it can be in a certificate, or "localhost". */
static const char *host_name(char text[static 256])
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    if (gethostname(text, 255) < 0)
        return "localhost";
    text[255] = '\0';
    size_t length = strlen(text);
    bool fits = length > 0 && length < 64; /* a common name's limit (RFC 5280) */
    return fits && strspn(text, allowed) == length ? text : "localhost";
}

static bool add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *certificate, const char *name)
{
    char names[512];
    snprintf(
        names, sizeof(names), "DNS:localhost,IP:127.0.0.1,IP:::1%s%s",
        strcmp(name, "localhost") == 0 ? "" : ",DNS:", strcmp(name, "localhost") == 0 ? "" : name);
    return add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_alt_name, names) &&
           add_extension(certificate, NID_subject_key_identifier, "hash");
}

static bool set_serial(X509 *certificate)
{
    unsigned char bytes[16];
    BIGNUM *number = NULL;
    bool set = false;
    if (RAND_bytes(bytes, sizeof(bytes)) == 1) {
        bytes[0] &= 0x7f; /* it must be positive, and not zero */
        bytes[0] |= 0x40;
        number = BN_bin2bn(bytes, sizeof(bytes), NULL);
        set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    }
    BN_free(number);
    return set;
}

/* It begins an hour ago, for clients whose clocks are late. */
static bool fill_in(X509 *certificate, EVP_PKEY *key)
{
    char text[256];
    const char *name = host_name(text);
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -HOUR) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), LIFETIME_DAYS * 24 * HOUR) &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 && add_extensions(certificate, name) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

int tls_certificate_make(X509 **ret_certificate, EVP_PKEY **ret_key, struct error *error)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? X509_new() : NULL;
    if (!certificate || !fill_in(certificate, key)) {
        X509_free(certificate);
        EVP_PKEY_free(key);
        unsigned long code = ERR_peek_error();
        const char *reason = code ? ERR_reason_error_string(code) : NULL;
        error_set(error, ENOMEM, "cannot make a certificate: %s", reason ? reason : "no memory");
        ERR_clear_error();
        return -ENOMEM;
    }
    *ret_certificate = certificate;
    *ret_key = key;
    return 0;
}

/* ---- reading ---- */

void tls_certificate_fingerprint(const X509 *certificate, char text[static TLS_FINGERPRINT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    text[0] = '\0';
    if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1)
        return;
    for (unsigned i = 0; i < length && 3 * (i + 1) <= TLS_FINGERPRINT_SIZE; i++)
        snprintf(text + 3 * i, TLS_FINGERPRINT_SIZE - 3 * i, "%02X%s", digest[i],
                 i + 1 < length ? ":" : "");
}

uint64_t tls_certificate_time(const ASN1_TIME *time)
{
    struct tm fields;
    if (!time || ASN1_TIME_to_tm(time, &fields) != 1)
        return 0;
    time_t seconds = timegm(&fields);
    if (seconds <= 0)
        return 0;
    if ((uint64_t)seconds > UINT64_MAX / NANOSECONDS_PER_SECOND)
        return UINT64_MAX;
    return (uint64_t)seconds * NANOSECONDS_PER_SECOND;
}

/* A text that grows to its size by whole names. */
struct list {
    char *text;
    size_t size, length;
    bool full;
};

static const char list_more[] = "...";

static void list_add(struct list *list, const char *name, size_t length)
{
    size_t comma = list->length > 0 ? 2 : 0;
    if (list->full)
        return;
    /* So that what says that there are more always fits. */
    if (list->length + comma + length + 2 + sizeof(list_more) > list->size) {
        list->full = true;
        name = list_more;
        length = sizeof(list_more) - 1;
        if (list->length + comma + length >= list->size)
            return;
    }
    memcpy(list->text + list->length, ", ", comma);
    memcpy(list->text + list->length + comma, name, length);
    list->length += comma + length;
    list->text[list->length] = '\0';
}

/* Whatever is not an ordinary character of a name becomes \XX, as in RFC 4514. */
static void list_add_string(struct list *list, const char *kind, const ASN1_STRING *string)
{
    char name[512];
    const unsigned char *bytes = ASN1_STRING_get0_data(string);
    int length = ASN1_STRING_length(string);
    size_t used = (size_t)snprintf(name, sizeof(name), "%s", kind);
    for (int i = 0; i < length && used + 4 <= sizeof(name); i++) {
        bool plain = bytes[i] > 0x20 && bytes[i] < 0x7f && bytes[i] != ',' && bytes[i] != '\\';
        if (plain)
            name[used++] = (char)bytes[i];
        else
            used += (size_t)snprintf(name + used, sizeof(name) - used, "\\%02X", bytes[i]);
    }
    list_add(list, name, used);
}

static void list_add_address(struct list *list, const ASN1_OCTET_STRING *string)
{
    char text[INET6_ADDRSTRLEN];
    int length = ASN1_STRING_length(string);
    int family = length == 4 ? AF_INET : AF_INET6;
    if ((length == 4 || length == 16) &&
        inet_ntop(family, ASN1_STRING_get0_data(string), text, sizeof(text)))
        list_add(list, text, strlen(text));
}

static void list_add_name(struct list *list, const GENERAL_NAME *name)
{
    if (name->type == GEN_DNS)
        list_add_string(list, "", name->d.dNSName);
    else if (name->type == GEN_IPADD)
        list_add_address(list, name->d.iPAddress);
    else if (name->type == GEN_EMAIL)
        list_add_string(list, "email:", name->d.rfc822Name);
    else if (name->type == GEN_URI)
        list_add_string(list, "URI:", name->d.uniformResourceIdentifier);
}

bool tls_certificate_names(X509 *certificate, bool common, char *text, size_t size)
{
    struct list list = {.text = text, .size = size};
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        list_add_name(&list, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    if (list.length == 0 && common) {
        const X509_NAME *subject = X509_get_subject_name(certificate);
        int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (place >= 0)
            list_add_string(&list, "",
                            X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
    }
    ERR_clear_error();
    return list.length > 0;
}
