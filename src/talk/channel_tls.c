/* A TLS session over a socket, as a channel. */
#include "net/address.h"
#include "talk/tls_session.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct tls_session *session_of(const struct channel *channel)
{
    return CONTAINER_OF(channel, struct tls_session, channel);
}

/* ---- the transport: what OpenSSL sends and receives by ---- */

/* OpenSSL asks for the head of a record and then for the rest of it. The next head is received with
 * that rest, so that a record costs one system call. */
static ssize_t receive(struct tls_session *session, unsigned char *bytes, size_t size)
{
    if (session->head_count > 0) {
        size_t count = session->head_count < size ? session->head_count : size;
        memcpy(bytes, session->head, count);
        session->head_count = (unsigned char)(session->head_count - count);
        memmove(session->head, session->head + count, session->head_count);
        return (ssize_t)count;
    }
    struct iovec parts[2] = {{bytes, size}, {session->head, sizeof(session->head)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size > TLS_HEAD_SIZE ? 2 : 1};
    ssize_t got;
    do {
        got = recvmsg(session->watch.fd, &message, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > (ssize_t)size) {
        session->head_count = (unsigned char)((size_t)got - size);
        got = (ssize_t)size;
    }
    return got;
}

static int transport_read(BIO *bio, char *bytes, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    ssize_t got = receive(session, (unsigned char *)bytes, (size_t)size);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_read(bio);
    else if (got < 0)
        session->socket_code = errno;
    else if (got == 0)
        session->ended = true;
    return (int)got;
}

static int transport_write(BIO *bio, const char *bytes, int length)
{
    struct tls_session *session = BIO_get_data(bio);
    ssize_t put;
    BIO_clear_retry_flags(bio);
    if (length <= 0)
        return 0;
    do {
        put = send(session->watch.fd, bytes, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_write(bio);
    else if (put < 0)
        session->socket_code = errno;
    return (int)put;
}

/* The end of TCP is not told here: OpenSSL would make it a fatal error of the session, while only
 * one direction of it has ended. */
static long transport_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_transport_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "channel");
    if (method && (BIO_meth_set_read(method, transport_read) != 1 ||
                   BIO_meth_set_write(method, transport_write) != 1 ||
                   BIO_meth_set_ctrl(method, transport_control) != 1)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- what OpenSSL's answers mean ---- */

static void begin(struct tls_session *session)
{
    ERR_clear_error();
    session->socket_code = 0;
}

/* After a call gave `result`. Returns CHANNEL_END, -EAGAIN, or another -errno with channel.error
 * where there is more to say. */
static int outcome(struct tls_session *session, int result)
{
    struct error *error = &session->channel.error;
    int kind = SSL_get_error(session->ssl, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (kind == SSL_ERROR_ZERO_RETURN)
        return CHANNEL_END;
    if (kind == SSL_ERROR_SSL)
        return tls_words_session(session->tls->server, error);
    ERR_clear_error();
    if (session->socket_code) {
        error->code = 0;
        return -session->socket_code;
    }
    if (session->ended)
        return error_set(error, ECONNABORTED,
                         "the connection ended without TLS's close_notify: what was said may have "
                         "been cut short");
    return error_set(error, EPROTO, "TLS failed: no reason is known");
}

/* ---- the channel ---- */

static ssize_t tls_read(struct channel *channel, void *bytes, size_t size)
{
    struct tls_session *session = session_of(channel);
    size_t got = 0;
    int code = session->read_code;
    while (code == 0 && got < size) {
        size_t room = size - got < INT_MAX ? size - got : INT_MAX;
        begin(session);
        int result = SSL_read(session->ssl, (char *)bytes + got, (int)room);
        if (result > 0)
            got += (size_t)result;
        else
            code = outcome(session, result);
    }
    if (code != 0 && code != -EAGAIN)
        session->read_code = code; /* channel.error stays what it is until this is told */
    if (got > 0)
        return (ssize_t)got;
    return code;
}

/* The kernel says only that the connection is gone; a last alert that has arrived says why. */
static int explain(struct tls_session *session, int code)
{
    char byte;
    if (code != -EPIPE && code != -ECONNRESET)
        return code;
    begin(session);
    int result = SSL_peek(session->ssl, &byte, 1);
    if (result <= 0 && SSL_get_error(session->ssl, result) == SSL_ERROR_SSL)
        code = session->read_code =
            tls_words_session(session->tls->server, &session->channel.error);
    ERR_clear_error();
    return code;
}

static ssize_t tls_write(struct channel *channel, const void *bytes, size_t length)
{
    struct tls_session *session = session_of(channel);
    size_t put = 0;
    int code = session->write_code;
    while (code == 0 && put < length) {
        size_t rest = length - put < INT_MAX ? length - put : INT_MAX;
        begin(session);
        int result = SSL_write(session->ssl, (const char *)bytes + put, (int)rest);
        if (result > 0)
            put += (size_t)result;
        else
            code = outcome(session, result);
    }
    if (code != 0 && code != -EAGAIN)
        session->write_code = code = explain(session, code);
    if (put > 0)
        return (ssize_t)put;
    return code;
}

/* Only close_notify, not a FIN: TLS has a direction of its own to end, and there are servers that
 * give up a request at the FIN of the one who made it. */
static int tls_shut(struct channel *channel)
{
    struct tls_session *session = session_of(channel);
    if (session->write_code)
        return session->write_code;
    if (session->shut)
        return 0;
    begin(session);
    int result = SSL_shutdown(session->ssl);
    int code = result < 0 ? outcome(session, result) : 0;
    /* A peer that is gone has no use for our end; what it did is seen where it is read. */
    if (code == -EPIPE || code == -ECONNRESET)
        code = 0;
    if (code == 0)
        session->shut = true;
    else if (code != -EAGAIN)
        session->write_code = code;
    return code;
}

static size_t tls_unsent(const struct channel *channel)
{
    const struct tls_session *session = session_of(channel);
    int bytes = 0;
    return ioctl(session->watch.fd, SIOCOUTQ, &bytes) < 0 || bytes < 0 ? 0 : (size_t)bytes;
}

/* To close a socket from which something could still be read makes the kernel send a RST, which
 * takes what the other side has not yet read with it. */
static void read_away(int fd)
{
    char bytes[4096];
    for (int i = 0; i < 64; i++) {
        if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
            return;
    }
}

/* OpenSSL forbids it after an error of its own. */
static bool may_say_goodbye(const struct tls_session *session)
{
    int code = session->read_code;
    bool sound = code == 0 || code == CHANNEL_END || code == -ECONNABORTED;
    return sound && !session->write_code && !session->shut && SSL_is_init_finished(session->ssl);
}

static void tls_free_channel(struct channel *channel, bool abort)
{
    struct tls_session *session = session_of(channel);
    int fd = session->watch.fd;
    loop_unwatch(session->loop, &session->watch);
    if (abort) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    } else {
        if (may_say_goodbye(session)) {
            begin(session);
            SSL_shutdown(session->ssl);
        }
        read_away(fd);
    }
    close(fd);
    SSL_free(session->ssl);
    ERR_clear_error();
    tls_release(session->tls);
    free(session);
}

static const struct channel_class channel_tls = {
    .name = "tls",
    .read = tls_read,
    .write = tls_write,
    .shut = tls_shut,
    .unsent = tls_unsent,
    .free = tls_free_channel,
};

/* What TLS waits for has nothing to do with what its user does: to write may need a read. So both
 * may be tried whatever it was that happened. */
static void watch_ready(struct watch *watch, uint32_t events)
{
    struct tls_session *session = CONTAINER_OF(watch, struct tls_session, watch);
    struct channel *channel = &session->channel;
    (void)events;
    channel->readable = channel->writable = true;
    if (channel->ready)
        channel->ready(channel, channel->user);
}

/* ---- beginning ---- */

static int set_address(X509_VERIFY_PARAM *wanted, const struct address *address)
{
    unsigned char bytes[16];
    unsigned length = address_bits(address) / 8;
    for (unsigned i = 0; i < length; i++)
        bytes[i] = (unsigned char)(address->value >> 8 * (length - 1 - i));
    return X509_VERIFY_PARAM_set1_ip(wanted, bytes, length) == 1 ? 0 : -ENOMEM;
}

/* Who a client wants to talk to. A name's last dot says only that it is complete; certificates and
 * SNI are without (RFC 6066 §3). */
static int set_name(SSL *ssl, const char *name, const char *sni)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
    struct address address;
    size_t length = strlen(name);
    if (address_parse(name, length, &address, NULL) == 0) {
        int failed = set_address(wanted, &address);
        if (failed)
            return failed;
        name = "";
    }
    char *plain = strdup(name);
    if (!plain)
        return -ENOMEM;
    length = strlen(plain);
    if (length > 1 && plain[length - 1] == '.')
        plain[length - 1] = '\0';
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int failed = *plain && X509_VERIFY_PARAM_set1_host(wanted, plain, 0) != 1 ? -EINVAL : 0;
    if (!sni)
        sni = plain;
    if (failed == 0 && *sni && SSL_set_tlsext_host_name(ssl, sni) != 1)
        failed = -EINVAL;
    free(plain);
    return failed;
}

static int set_role(struct tls_session *session, const char *name, const char *sni,
                    struct error *error)
{
    if (session->tls->server) {
        SSL_set_accept_state(session->ssl);
        return 0;
    }
    SSL_set_connect_state(session->ssl);
    if (!name && !session->tls->insecure)
        return error_set(error, EINVAL, "TLS needs a name that the certificate must be for");
    int failed = set_name(session->ssl, name ? name : "", sni);
    ERR_clear_error();
    if (failed == -EINVAL)
        return error_set(error, EINVAL, "this name cannot be in a certificate or asked for by SNI");
    return failed ? error_set(error, -failed, "no memory for TLS") : 0;
}

/* Without a system call that could fail: what is needed for OpenSSL alone. */
static int set_up(struct tls_session *session, const char *name, const char *sni,
                  struct error *error)
{
    ERR_clear_error();
    session->ssl = SSL_new(session->tls->context);
    BIO *bio = session->ssl ? BIO_new(session->tls->transport) : NULL;
    if (!bio) {
        ERR_clear_error();
        return error_set(error, ENOMEM, "no memory for TLS");
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    return set_role(session, name, sni, error);
}

int channel_tls_new(struct loop *loop, struct tls *tls, int fd, const char *name, const char *sni,
                    struct channel **ret_channel, struct error *error)
{
    struct tls_session *session = calloc(1, sizeof(*session));
    if (!session) {
        close(fd);
        return error_set(error, ENOMEM, "no memory for TLS");
    }
    session->channel = (struct channel){.class = &channel_tls,
                                        .readable = true,
                                        .writable = true,
                                        .connected = true,
                                        .splice_in = -1,
                                        .splice_out = -1};
    session->loop = loop;
    session->tls = tls;
    session->watch = (struct watch){.fd = fd, .ready = watch_ready};
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* of TCP only: others have none */
    int failed = set_up(session, name, sni, error);
    if (failed == 0) {
        failed = loop_watch(loop, &session->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
        if (failed)
            error_set(error, -failed, "cannot watch the connection: %s", strerror(-failed));
    }
    if (failed) {
        SSL_free(session->ssl);
        close(fd);
        free(session);
        return failed;
    }
    tls->references++;
    *ret_channel = &session->channel;
    return 0;
}

/* ---- the handshake ---- */

int channel_tls_handshake(struct channel *channel, struct error *error)
{
    struct tls_session *session = session_of(channel);
    begin(session);
    channel->error.code = 0;
    int result = SSL_do_handshake(session->ssl);
    if (result == 1)
        return 0;
    struct error refusal = channel->error; /* of verified() in tls.c, within the call */
    int code = outcome(session, result);
    if (code == -EAGAIN)
        return code;
    if (refusal.code) {
        code = -refusal.code;
        channel->error = refusal;
    }
    session->read_code = session->write_code = code;
    if (code == CHANNEL_END || code == -ECONNABORTED) {
        session->read_code = session->write_code = -ECONNABORTED;
        return error_set(error, ECONNABORTED,
                         "the other side closed the connection during the TLS handshake");
    }
    if (channel->error.code == 0)
        return error_set(error, -code, "%s during the TLS handshake", strerror(-code));
    if (error)
        *error = channel->error;
    return code;
}
