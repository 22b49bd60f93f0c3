/* For the tests of TLS: certificates of every kind in a directory that is removed afterwards, and
 * two parties in one process that talk over a pair of sockets. */
#pragma once

#include "base/loop.h"
#include "base/random.h"
#include "talk/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MEBIBYTE ((size_t)1 << 20)

/* ---- files ---- */

static char scene_directory[] = "/tmp/test_tls.XXXXXX";
static char scene_paths[64][128];
static size_t scene_path_count;

/* A path in the directory, which is removed at the end. */
static inline const char *scene_path(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", scene_directory, name);
    for (size_t i = 0; i < scene_path_count; i++) {
        if (strcmp(scene_paths[i], path) == 0)
            return scene_paths[i];
    }
    assert_true(scene_path_count < sizeof(scene_paths) / sizeof(scene_paths[0]));
    return strcpy(scene_paths[scene_path_count++], path);
}

static inline const char *scene_write(const char *name, const char *text)
{
    const char *path = scene_path(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static inline void scene_remove(void)
{
    while (scene_path_count > 0)
        remove(scene_paths[--scene_path_count]);
    rmdir(scene_directory);
}

/* ---- certificates ---- */

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct wish {
    const char *file; /* of both: the certificate, then the key */
    const char *name; /* the subject's common name */
    const char *names;
    bool authority;
    long from, until; /* seconds from now; both 0: a day to either side */
};

static inline void extend(X509 *certificate, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Signed by `signer`, or by itself. */
static inline struct identity identity_new(const struct wish *wish, const struct identity *signer)
{
    struct identity made = {X509_new(), EVP_EC_gen("P-256")};
    const struct identity *by = signer ? signer : &made;
    bool always = !wish->from && !wish->until;
    X509_NAME *subject = X509_get_subject_name(made.certificate);
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.certificate), random_u64() >> 1);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), always ? -86400 : wish->from);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), always ? 86400 : wish->until);
    X509_set_pubkey(made.certificate, made.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)wish->name, -1,
                               -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(by->certificate));
    if (wish->authority)
        extend(made.certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (wish->names)
        extend(made.certificate, NID_subject_alt_name, wish->names);
    assert_true(X509_sign(made.certificate, by->key, EVP_sha256()) > 0);
    if (wish->file) {
        FILE *file = fopen(scene_path(wish->file), "w");
        assert_non_null(file);
        PEM_write_X509(file, made.certificate);
        PEM_write_PrivateKey(file, made.key, NULL, NULL, 0, NULL, NULL);
        fclose(file);
    }
    return made;
}

static inline void identity_free(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

/* The files that the tests name: the authority's, and those that it has signed. It is the only one
 * that the system believes, as far as this process can tell. */
static inline void scene_make_certificates(void)
{
    setenv("SSL_CERT_FILE", scene_path("authority.pem"), 1);
    setenv("SSL_CERT_DIR", scene_directory, 1);
    struct identity authority = identity_new(
        &(struct wish){.file = "authority.pem", .name = "Test Authority", .authority = true}, NULL);
    struct identity other = identity_new(
        &(struct wish){.file = "other.pem", .name = "Other\033Authority", .authority = true}, NULL);
    const struct wish wishes[] = {
        {"good.pem", "good", "DNS:a.example,DNS:*.wild.example,IP:127.0.0.1,IP:::1", 0, 0, 0},
        {"expired.pem", "expired", "DNS:a.example", 0, -2 * 86400, -86400},
        {"early.pem", "early", "DNS:a.example", 0, 86400, 2 * 86400},
        {"plain.pem", "plain.example", NULL, 0, 0, 0},
        {"client.pem", "a client", NULL, 0, 0, 0},
    };
    struct wish alone = {.file = "alone.pem", .name = "alone", .names = "DNS:a.example"};
    struct wish stranger = {.file = "stranger.pem", .name = "stranger", .names = "DNS:a.example"};
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        struct identity made = identity_new(&wishes[i], &authority);
        identity_free(&made);
    }
    struct identity made = identity_new(&alone, NULL);
    identity_free(&made);
    made = identity_new(&stranger, &other);
    identity_free(&made);
    identity_free(&authority);
    identity_free(&other);
}

/* ---- two parties ---- */

/* What one of them does: it shakes hands, says what it has to say, and reads until the end. */
struct party {
    struct loop *loop;
    struct channel *channel;
    struct tls *tls;
    struct task begin;

    const unsigned char *say; /* NULL: nothing */
    size_t say_length, said;
    bool shut_at_end;      /* when all is said */
    bool listen_first;     /* says nothing before the other side has ended */
    size_t read_size;      /* of one read; 0: 64 KiB */
    bool only_handshake;   /* is over after it */
    struct party **others; /* NULL at the end: the loop stops when all are over */

    bool agreed, shut, over;
    int handshake_code, read_code, write_code; /* 0: none, so far */
    struct error error;                        /* of the first of them */
    size_t heard;
    uint64_t heard_sum;
    unsigned char head[16]; /* what was heard first */
};

static inline uint64_t sum_of(uint64_t sum, const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static inline void party_over(struct party *party)
{
    party->over = true;
    for (struct party **other = party->others; *other; other++) {
        if (!(*other)->over)
            return;
    }
    loop_stop(party->loop);
}

static inline void party_write(struct party *party)
{
    while (party->channel->writable && party->said < party->say_length && !party->write_code) {
        /* Elsewhere each time: what is offered again need not be in the same place. */
        size_t length = party->say_length - party->said;
        unsigned char *copy = malloc(length);
        assert_non_null(copy);
        memcpy(copy, party->say + party->said, length);
        ssize_t put = channel_write(party->channel, copy, length);
        memset(copy, 0xee, length);
        free(copy);
        if (put == -EAGAIN)
            party->channel->writable = false;
        else if (put < 0)
            party->write_code = (int)put;
        else
            party->said += (size_t)put;
    }
    if (party->said == party->say_length && party->shut_at_end && !party->shut &&
        party->channel->writable) {
        int code = channel_shut(party->channel);
        if (code == -EAGAIN)
            party->channel->writable = false;
        else
            party->shut = true;
        if (code < 0 && code != -EAGAIN)
            party->write_code = code;
    }
}

static inline void party_read(struct party *party)
{
    static unsigned char bytes[MEBIBYTE];
    size_t size = party->read_size ? party->read_size : 65536;
    while (party->channel->readable && !party->read_code) {
        ssize_t got = channel_read(party->channel, bytes, size);
        if (got == -EAGAIN) {
            party->channel->readable = false;
        } else if (got < 0) {
            party->read_code = (int)got;
            if (!party->error.code)
                party->error = party->channel->error;
        } else {
            assert_true(got > 0);
            if (party->heard < sizeof(party->head)) {
                size_t room = sizeof(party->head) - party->heard;
                memcpy(party->head + party->heard, bytes, (size_t)got < room ? (size_t)got : room);
            }
            party->heard += (size_t)got;
            party->heard_sum = sum_of(party->heard_sum, bytes, (size_t)got);
        }
    }
}

static inline void party_step(struct party *party)
{
    if (party->over)
        return;
    if (!party->agreed) {
        int code = channel_tls_handshake(party->channel, &party->error);
        if (code == -EAGAIN)
            return;
        party->handshake_code = code;
        party->agreed = code == 0;
        if (code || party->only_handshake) {
            party_over(party);
            return;
        }
    }
    party_read(party);
    if (!party->listen_first || party->read_code) {
        party_write(party);
        /* What TLS waits for while it writes may have been read by it, and the other way round. */
        party_read(party);
    }
    bool said = party->said == party->say_length && (party->shut || !party->shut_at_end);
    if (party->read_code && (said || party->write_code || party->read_code != CHANNEL_END))
        party_over(party);
}

static inline void party_ready(struct channel *channel, void *user)
{
    (void)channel;
    party_step(user);
}

static inline void party_begin(struct task *task)
{
    party_step((struct party *)((char *)task - offsetof(struct party, begin)));
}

/* Makes the channel over `fd`; says so when that fails. */
static inline void party_join(struct party *party, struct loop *loop, int fd, const char *name)
{
    party->loop = loop;
    party->begin = (struct task){.run = party_begin};
    struct error error = {0};
    if (channel_tls_new(loop, party->tls, fd, name, NULL, &party->channel, &error))
        fail_msg("%s", error.message);
    party->channel->ready = party_ready;
    party->channel->user = party;
    loop_defer(loop, &party->begin);
}

static inline void party_leave(struct party *party, bool abort)
{
    loop_cancel(party->loop, &party->begin);
    channel_free(party->channel, abort);
    party->channel = NULL;
}

static inline struct tls *context(const struct tls_options *options)
{
    struct tls *tls = NULL;
    struct error error = {0};
    if (tls_new(options, &tls, &error))
        fail_msg("%s", error.message);
    return tls;
}

/* A TCP connection over loopback: [0] is the one who connected. */
static inline void tcp_pair(int ret_fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(listening, (struct sockaddr *)&address, length), errno);
    assert_return_code(listen(listening, 1), errno);
    getsockname(listening, (struct sockaddr *)&address, &length);
    ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(ret_fds[0], (struct sockaddr *)&address, length), errno);
    ret_fds[1] = accept(listening, NULL, NULL);
    assert_return_code(ret_fds[1], errno);
    close(listening);
}

static inline void unix_pair(int ret_fds[2])
{
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds), errno);
}

/* Bytes that look like chance and are the same each time; to be freed. */
static inline unsigned char *noise(size_t length, uint64_t seed)
{
    unsigned char *bytes = malloc(length);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(mix64(seed + i / 8) >> 8 * (i % 8));
    return bytes;
}

/* ---- two parties meet ---- */

/* A meeting of a client and a server. What each shall do is filled in first. */
struct meeting {
    struct loop *loop;
    struct party client, server;
    struct party *both[3];
};

static inline void meeting_set(struct meeting *meeting, const struct tls_options *client,
                               const struct tls_options *server)
{
    struct tls_options as_server = *server;
    as_server.server = true;
    *meeting = (struct meeting){.both = {&meeting->client, &meeting->server, NULL}};
    meeting->client.tls = context(client);
    meeting->server.tls = context(&as_server);
    meeting->client.others = meeting->server.others = meeting->both;
    assert_int_equal(loop_new(&meeting->loop), 0);
}

static inline void meeting_join(struct meeting *meeting, const int fds[2], const char *name)
{
    party_join(&meeting->client, meeting->loop, fds[0], name);
    party_join(&meeting->server, meeting->loop, fds[1], NULL);
}

static inline void meeting_hold(struct meeting *meeting, const char *name)
{
    int fds[2];
    unix_pair(fds);
    meeting_join(meeting, fds, name);
    assert_int_equal(loop_run(meeting->loop), 0);
}

static inline void meeting_end(struct meeting *meeting)
{
    if (meeting->client.channel)
        party_leave(&meeting->client, false);
    if (meeting->server.channel)
        party_leave(&meeting->server, false);
    loop_free(meeting->loop);
    tls_free(meeting->client.tls);
    tls_free(meeting->server.tls);
}
