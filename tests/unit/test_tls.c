/* TLS: who is believed, who we say we are, and the channel. Both roles are played in this process,
 * over pairs of sockets. */
#include "base/clock.h"
#include "tls_scene.h"

#include <openssl/sslerr.h>

/* Shakes hands and says nothing. Each ends and hears that the other does. */
static void shake_hands(struct meeting *meeting, const struct tls_options *client,
                        const struct tls_options *server, const char *name)
{
    meeting_set(meeting, client, server);
    meeting->client.shut_at_end = meeting->server.shut_at_end = true;
    meeting_hold(meeting, name);
}

/* ---- contexts ---- */

static void expect_refusal(const struct tls_options *options, int code, const char *message)
{
    struct tls *tls = NULL;
    struct error error = {0};
    assert_int_equal(tls_new(options, &tls, &error), -code);
    assert_null(tls);
    assert_int_equal(error.code, code);
    if (!strstr(error.message, message))
        fail_msg("'%s' does not say '%s'", error.message, message);
    assert_int_equal(ERR_peek_error(), 0);
}

static void files_that_are_wrong(void **state)
{
    (void)state;
    const char *nothing = scene_write("nothing.pem", "no certificate\n");
    const char *broken = scene_write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                                   "-----END CERTIFICATE-----\n");
    const char *good = scene_path("good.pem"), *missing = scene_path("missing.pem");
    expect_refusal(&(struct tls_options){.authorities = missing}, ENOENT, "missing.pem");
    expect_refusal(&(struct tls_options){.authorities = nothing}, EINVAL, "none in PEM form");
    expect_refusal(&(struct tls_options){.authorities = broken}, EINVAL, "broken.pem");
    expect_refusal(&(struct tls_options){.certificate = missing}, ENOENT, "missing.pem");
    expect_refusal(&(struct tls_options){.certificate = nothing}, EINVAL, "none in PEM form");
    expect_refusal(&(struct tls_options){.certificate = good, .key = nothing}, EINVAL,
                   "private key in");
    expect_refusal(&(struct tls_options){.certificate = good, .key = scene_path("client.pem")},
                   EINVAL, "does not belong to the certificate");
    expect_refusal(&(struct tls_options){.key = good}, EINVAL, "--cert");
}

static void key_with_password(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    const char *path = scene_path("locked.pem");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    fclose(file);
    EVP_PKEY_free(key);
    expect_refusal(&(struct tls_options){.certificate = scene_path("good.pem"), .key = path},
                   EINVAL, "has a password");
}

static void protocols_that_are_wrong(void **state)
{
    (void)state;
    char long_one[300];
    memset(long_one, 'x', sizeof(long_one));
    long_one[sizeof(long_one) - 1] = '\0';
    expect_refusal(&(struct tls_options){.alpn = ""}, EINVAL, "1 to 255");
    expect_refusal(&(struct tls_options){.alpn = "h2,,http/1.1"}, EINVAL, "1 to 255");
    expect_refusal(&(struct tls_options){.alpn = "h2,"}, EINVAL, "1 to 255");
    expect_refusal(&(struct tls_options){.alpn = long_one}, EINVAL, "1 to 255");
}

/* ---- the certificate that is made ---- */

static void certificate_is_made(void **state)
{
    (void)state;
    struct meeting meeting;
    struct tls_description seen;
    bool made = false;
    shake_hands(&meeting, &(struct tls_options){.insecure = true}, &(struct tls_options){0},
                "localhost");
    assert_int_equal(meeting.client.handshake_code, 0);
    channel_tls_describe(meeting.client.channel, &seen);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.chain[0].fingerprint, tls_fingerprint(meeting.server.tls, &made));
    assert_true(made);
    assert_int_equal(strlen(seen.chain[0].fingerprint), 95);
    assert_non_null(strstr(seen.chain[0].names, "localhost, 127.0.0.1, ::1"));
    uint64_t month = 30 * 24 * 3600 * NANOSECONDS_PER_SECOND;
    assert_true(seen.chain[0].from < clock_wall());
    assert_true(seen.chain[0].until > clock_wall() + month - 3600 * NANOSECONDS_PER_SECOND);
    assert_true(seen.chain[0].until <= clock_wall() + month);
    assert_false(seen.verified);
    assert_string_equal(seen.verdict, "self-signed certificate");
    assert_string_equal(tls_fingerprint(meeting.client.tls, &made), "");
    assert_false(made);
    meeting_end(&meeting);
}

/* Whoever has it believes it: it is for this machine's names and for TLS servers. */
static void certificate_that_was_made_is_valid(void **state)
{
    (void)state;
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    assert_int_equal(tls_certificate_make(&certificate, &key, NULL), 0);
    FILE *file = fopen(scene_path("made.pem"), "w");
    assert_non_null(file);
    PEM_write_X509(file, certificate);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
    char host[256];
    assert_return_code(gethostname(host, sizeof(host)), errno);
    const char *names[] = {"localhost", "127.0.0.1", "::1", host};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct meeting meeting;
        shake_hands(&meeting, &(struct tls_options){.authorities = scene_path("made.pem")},
                    &(struct tls_options){.certificate = scene_path("made.pem")}, names[i]);
        if (meeting.client.handshake_code)
            fail_msg("%s: %s", names[i], meeting.client.error.message);
        meeting_end(&meeting);
    }
}

/* ---- what a certificate says ---- */

/* Names that want to be more than one, or something else, are told as they are. */
static void names_are_hostile(void **state)
{
    (void)state;
    char text[64];
    struct wish wish = {.name = "x", .names = "DNS:one.example,IP:::1,URI:http://a/b,email:a@b"};
    struct identity identity = identity_new(&wish, NULL);
    assert_true(tls_certificate_names(identity.certificate, false, text, sizeof(text)));
    assert_string_equal(text, "one.example, ::1, URI:http://a/b, email:a@b");
    assert_true(tls_certificate_names(identity.certificate, false, text, 32));
    assert_string_equal(text, "one.example, ::1, ...");
    assert_true(tls_certificate_names(identity.certificate, false, text, 8));
    assert_string_equal(text, "...");
    identity_free(&identity);

    identity = identity_new(&(struct wish){.name = "a\nb, c\\d\x7f"}, NULL);
    assert_false(tls_certificate_names(identity.certificate, false, text, sizeof(text)));
    assert_string_equal(text, "");
    assert_true(tls_certificate_names(identity.certificate, true, text, sizeof(text)));
    assert_string_equal(text, "a\\0Ab\\2C\\20c\\5Cd\\7F");
    identity_free(&identity);
}

static void times_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t time;
    } rows[] = {
        {"19700101000001Z", NANOSECONDS_PER_SECOND},
        {"19691231235959Z", 0},
        {"20250101000000Z", 1735689600 * NANOSECONDS_PER_SECOND},
        {"99991231235959Z", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ASN1_TIME *time = ASN1_TIME_new();
        assert_int_equal(ASN1_TIME_set_string(time, rows[i].text), 1);
        assert_true(tls_certificate_time(time) == rows[i].time);
        ASN1_TIME_free(time);
    }
    assert_true(tls_certificate_time(NULL) == 0);
}

/* ---- who is believed ---- */

/* A client that believes `authorities` meets a server that shows `certificate`. */
static void expect_verdict(const char *authorities, const char *certificate, const char *name,
                           const char *message)
{
    struct meeting meeting;
    struct tls_options server = {.certificate = scene_path(certificate)};
    shake_hands(&meeting,
                &(struct tls_options){.authorities = authorities ? scene_path(authorities) : NULL},
                &server, name);
    if (message) {
        assert_int_equal(meeting.client.handshake_code, -EKEYREJECTED);
        assert_int_equal(meeting.client.error.code, EKEYREJECTED);
        assert_string_equal(meeting.client.error.message, message);
        assert_int_equal(meeting.server.handshake_code ? meeting.server.handshake_code
                                                       : meeting.server.read_code,
                         -EPROTO); /* it was told by an alert */
        assert_non_null(strstr(meeting.server.error.message, "the client"));
    } else {
        struct tls_description seen;
        if (meeting.client.handshake_code)
            fail_msg("%s", meeting.client.error.message);
        assert_int_equal(meeting.client.read_code, CHANNEL_END);
        channel_tls_describe(meeting.client.channel, &seen);
        assert_true(seen.verified);
        assert_string_equal(seen.verdict, "ok");
    }
    meeting_end(&meeting);
    meeting.client.handshake_code = -1;

    /* Whatever it is, someone who does not care is content. */
    shake_hands(&meeting, &(struct tls_options){.insecure = true}, &server, name);
    assert_int_equal(meeting.client.handshake_code, 0);
    assert_int_equal(meeting.client.read_code, CHANNEL_END);
    meeting_end(&meeting);
}

static void names_are_checked(void **state)
{
    (void)state;
    expect_verdict("authority.pem", "good.pem", "a.example", NULL);
    expect_verdict("authority.pem", "good.pem", "A.Example.", NULL);
    expect_verdict("authority.pem", "good.pem", "one.wild.example", NULL);
    expect_verdict("authority.pem", "good.pem", "127.0.0.1", NULL);
    expect_verdict("authority.pem", "good.pem", "::1", NULL);
    expect_verdict("authority.pem", "plain.pem", "plain.example", NULL);
    expect_verdict("authority.pem", "good.pem", "b.example",
                   "the certificate is for a.example, *.wild.example, 127.0.0.1, ::1, not for "
                   "b.example");
    expect_verdict("authority.pem", "expired.pem", "127.0.0.2",
                   "the certificate is for a.example, not for 127.0.0.2");
    expect_verdict("authority.pem", "plain.pem", "b.example",
                   "the certificate is for plain.example, not for b.example");
}

static void times_are_checked(void **state)
{
    (void)state;
    char day[32], message[256];
    time_t then = time(NULL) - 86400;
    strftime(day, sizeof(day), "%Y-%m-%d", gmtime(&then));
    snprintf(message, sizeof(message),
             "the certificate has expired (%s): --insecure connects all the same", day);
    expect_verdict("authority.pem", "expired.pem", "a.example", message);
    then = time(NULL) + 86400;
    strftime(day, sizeof(day), "%Y-%m-%d", gmtime(&then));
    snprintf(message, sizeof(message),
             "the certificate is not yet valid (%s): --insecure connects all the same", day);
    expect_verdict("authority.pem", "early.pem", "a.example", message);
}

static void signatures_are_checked(void **state)
{
    (void)state;
    expect_verdict("authority.pem", "alone.pem", "a.example",
                   "self-signed certificate: --ca FILE would believe it");
    expect_verdict(NULL, "good.pem", "a.example", NULL);
    expect_verdict(NULL, "alone.pem", "a.example",
                   "self-signed certificate: --ca FILE would believe it");
    expect_verdict("alone.pem", "alone.pem", "a.example", NULL);
    expect_verdict("good.pem", "good.pem", "a.example", NULL); /* the very one, not its signer */
    expect_verdict("authority.pem", "stranger.pem", "a.example",
                   "the certificate is signed by 'Other\\x1bAuthority', which is not believed: "
                   "--ca FILE would believe it");
    expect_verdict("other.pem", "stranger.pem", "a.example", NULL);
}

/* With names that OpenSSL's tools give, and with any. */
static void directories_of_authorities(void **state)
{
    (void)state;
    char name[64], target[128];
    FILE *file = fopen(scene_path("authority.pem"), "r");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(certificate);
    snprintf(target, sizeof(target), "%s", scene_path("authority.pem"));

    const char *plain = scene_path("plain");
    assert_return_code(mkdir(plain, 0700), errno);
    expect_refusal(&(struct tls_options){.authorities = plain}, EINVAL, "no PEM certificate");
    assert_return_code(symlink(target, scene_path("plain/mine.pem")), errno);
    scene_write("plain/README", "not a certificate\n");
    expect_verdict("plain", "good.pem", "a.example", NULL);

    assert_return_code(mkdir(scene_path("hashed"), 0700), errno);
    snprintf(name, sizeof(name), "hashed/%08lx.0", X509_subject_name_hash(certificate));
    assert_return_code(symlink(target, scene_path(name)), errno);
    expect_verdict("hashed", "good.pem", "a.example", NULL);
    X509_free(certificate);
}

static void client_needs_a_name(void **state)
{
    (void)state;
    struct loop *loop = NULL;
    struct channel *channel = NULL;
    struct error error = {0};
    struct tls *tls = context(&(struct tls_options){0});
    int fds[2];
    unix_pair(fds);
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(channel_tls_new(loop, tls, fds[0], NULL, NULL, &channel, &error), -EINVAL);
    assert_null(channel);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* closed */
    close(fds[1]);
    loop_free(loop);
    tls_free(tls);
}

/* What the server was asked for, "" for nothing. */
static void expect_sni(const char *name, const char *sni, const char *expected)
{
    struct meeting meeting;
    int fds[2];
    meeting_set(&meeting, &(struct tls_options){.insecure = true}, &(struct tls_options){0});
    meeting.client.only_handshake = meeting.server.only_handshake = true;
    unix_pair(fds);
    party_join(&meeting.server, meeting.loop, fds[1], NULL);
    struct party *client = &meeting.client;
    client->loop = meeting.loop;
    client->begin = (struct task){.run = party_begin};
    assert_int_equal(
        channel_tls_new(meeting.loop, client->tls, fds[0], name, sni, &client->channel, NULL), 0);
    client->channel->ready = party_ready;
    client->channel->user = client;
    loop_defer(meeting.loop, &client->begin);
    assert_int_equal(loop_run(meeting.loop), 0);
    assert_int_equal(meeting.server.handshake_code, 0);
    const struct tls_session *session = (struct tls_session *)meeting.server.channel;
    const char *asked = SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);
    assert_string_equal(asked ? asked : "", expected);
    meeting_end(&meeting);
}

static void name_is_asked_for(void **state)
{
    (void)state;
    expect_sni("a.example", NULL, "a.example");
    expect_sni("a.example.", NULL, "a.example");
    expect_sni("a.example", "b.example", "b.example");
    expect_sni("a.example", "", "");
    expect_sni("127.0.0.1", NULL, "");
    expect_sni("::1", "b.example", "b.example");
    expect_sni(NULL, NULL, "");
}

/* ---- certificates of clients ---- */

static void client_shows_its_certificate(void **state)
{
    (void)state;
    struct meeting meeting;
    struct tls_description seen;
    shake_hands(&meeting,
                &(struct tls_options){.authorities = scene_path("authority.pem"),
                                      .certificate = scene_path("client.pem")},
                &(struct tls_options){.authorities = scene_path("authority.pem"),
                                      .certificate = scene_path("good.pem")},
                "a.example");
    assert_int_equal(meeting.client.handshake_code, 0);
    assert_int_equal(meeting.client.read_code, CHANNEL_END);
    assert_int_equal(meeting.server.read_code, CHANNEL_END);
    channel_tls_describe(meeting.server.channel, &seen);
    assert_true(seen.verified);
    assert_string_equal(seen.chain[0].subject, "CN=a client");
    assert_string_equal(seen.chain[0].issuer, "CN=Test Authority");
    bool made = true;
    assert_string_equal(seen.chain[0].fingerprint, tls_fingerprint(meeting.client.tls, &made));
    assert_false(made);
    meeting_end(&meeting);
}

/* In TLS 1.3 the client hears of it only when its handshake is over. */
static void expect_client_refused(const char *certificate, int version, const char *client_words,
                                  const char *server_words)
{
    struct meeting meeting;
    struct tls_options client = {.insecure = true};
    if (certificate)
        client.certificate = scene_path(certificate);
    meeting_set(&meeting, &client,
                &(struct tls_options){.authorities = scene_path("authority.pem")});
    SSL_CTX_set_max_proto_version(meeting.server.tls->context, version);
    meeting.client.say = (const unsigned char *)"hello";
    meeting.client.say_length = 5;
    meeting_hold(&meeting, "a.example");
    assert_true(meeting.server.handshake_code == -EPROTO ||
                meeting.server.handshake_code == -EKEYREJECTED);
    if (!strstr(meeting.server.error.message, server_words))
        fail_msg("'%s' does not say '%s'", meeting.server.error.message, server_words);
    assert_int_equal(version == TLS1_3_VERSION ? meeting.client.read_code
                                               : meeting.client.handshake_code,
                     -EPROTO);
    if (!strstr(meeting.client.error.message, client_words))
        fail_msg("'%s' does not say '%s'", meeting.client.error.message, client_words);
    meeting_end(&meeting);
}

static void clients_are_refused(void **state)
{
    (void)state;
    expect_client_refused(NULL, TLS1_3_VERSION, "demands a certificate: --cert FILE",
                          "the client showed no certificate");
    expect_client_refused(NULL, TLS1_2_VERSION, "demands a certificate (--cert FILE)",
                          "the client showed no certificate");
    expect_client_refused("stranger.pem", TLS1_3_VERSION, "does not believe our certificate",
                          "the client's certificate is signed by");
    expect_client_refused("expired.pem", TLS1_2_VERSION, "our certificate has expired",
                          "the client's certificate has expired");
}

/* ---- what is agreed on ---- */

static void expect_alpn(const char *client, const char *server, const char *expected)
{
    struct meeting meeting;
    struct tls_description seen;
    shake_hands(&meeting, &(struct tls_options){.insecure = true, .alpn = client},
                &(struct tls_options){.alpn = server}, "a.example");
    if (expected) {
        assert_int_equal(meeting.client.handshake_code, 0);
        channel_tls_describe(meeting.client.channel, &seen);
        assert_string_equal(seen.alpn, expected);
        channel_tls_describe(meeting.server.channel, &seen);
        assert_string_equal(seen.alpn, expected);
    } else {
        assert_int_equal(meeting.client.handshake_code, -EPROTO);
        assert_int_equal(meeting.server.handshake_code, -EPROTO);
        assert_non_null(strstr(meeting.client.error.message, "no protocol of ALPN"));
        assert_non_null(strstr(meeting.server.error.message, "no protocol of ALPN"));
    }
    meeting_end(&meeting);
}

static void protocols_are_chosen(void **state)
{
    (void)state;
    expect_alpn("h2,http/1.1", "http/1.1", "http/1.1");
    expect_alpn("http/1.1,h2", "h2,http/1.1", "h2"); /* as the server prefers it */
    expect_alpn("h2", NULL, "");
    expect_alpn(NULL, "h2", "");
    expect_alpn("imap", "h2,http/1.1", NULL);
}

static void versions_are_agreed_on(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *protocol;
    } rows[] = {{TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct meeting meeting;
        struct tls_description seen;
        meeting_set(&meeting, &(struct tls_options){.insecure = true}, &(struct tls_options){0});
        SSL_CTX_set_max_proto_version(meeting.client.tls->context, rows[i].version);
        meeting.client.only_handshake = meeting.server.only_handshake = true;
        meeting_hold(&meeting, "a.example");
        channel_tls_describe(meeting.client.channel, &seen);
        assert_string_equal(seen.protocol, rows[i].protocol);
        assert_non_null(strstr(seen.cipher, "AES"));
        assert_true(strlen(seen.group) > 0);
        assert_int_equal(seen.count, 1);
        channel_tls_describe(meeting.server.channel, &seen);
        assert_int_equal(seen.count, 0);
        assert_false(seen.verified);
        assert_string_equal(seen.verdict, "no certificate");
        meeting_end(&meeting);
    }
}

/* What is too old is refused, and the words say so. */
static void old_versions_are_refused(void **state)
{
    (void)state;
    struct meeting meeting;
    meeting_set(&meeting, &(struct tls_options){.insecure = true}, &(struct tls_options){0});
    SSL_CTX_set_min_proto_version(meeting.client.tls->context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(meeting.client.tls->context, TLS1_1_VERSION);
    SSL_CTX_set_security_level(meeting.client.tls->context, 0);
    meeting.client.only_handshake = meeting.server.only_handshake = true;
    meeting_hold(&meeting, "a.example");
    assert_int_equal(meeting.server.handshake_code, -EPROTO);
    assert_non_null(strstr(meeting.server.error.message, "no version of TLS from 1.2 on"));
    assert_int_equal(meeting.client.handshake_code, -EPROTO);
    meeting_end(&meeting);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_wrong),
        cmocka_unit_test(key_with_password),
        cmocka_unit_test(protocols_that_are_wrong),
        cmocka_unit_test(certificate_is_made),
        cmocka_unit_test(certificate_that_was_made_is_valid),
        cmocka_unit_test(names_are_hostile),
        cmocka_unit_test(times_have_bounds),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(times_are_checked),
        cmocka_unit_test(signatures_are_checked),
        cmocka_unit_test(directories_of_authorities),
        cmocka_unit_test(client_needs_a_name),
        cmocka_unit_test(name_is_asked_for),
        cmocka_unit_test(client_shows_its_certificate),
        cmocka_unit_test(clients_are_refused),
        cmocka_unit_test(protocols_are_chosen),
        cmocka_unit_test(versions_are_agreed_on),
        cmocka_unit_test(old_versions_are_refused),
    };
    if (!mkdtemp(scene_directory))
        return 1;
    scene_make_certificates();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    scene_remove();
    return failed;
}
