/* Dialling, with servers and proxies that the test plays in the same loop. */
#include "own_network.h"
#include "talk/dial.h"

#include "talk_scene.h"

#include <signal.h>
#include <sys/un.h>

#define EVENTS 16

struct call {
    struct loop *loop;
    struct dial *dial;
    struct dial_options options;
    struct channel *channel;
    struct peer local, remote;
    struct error error;
    enum dial_event events[EVENTS];
    struct peer peers[EVENTS];
    int codes[EVENTS];
    size_t count;
    unsigned calls;
    bool over;
    size_t descriptors;
    char folder[64];
};

static void on_tell(void *user, enum dial_event event, const struct peer *peer,
                    const struct channel *channel, const struct error *error)
{
    struct call *call = user;
    assert_int_equal(event == DIAL_FAILED, error != NULL);
    assert_int_equal(event == DIAL_SECURED, channel != NULL);
    assert_true(call->count < EVENTS);
    call->codes[call->count] = error ? error->code : 0;
    call->peers[call->count] = *peer;
    call->events[call->count++] = event;
}

static void on_ready(struct channel *channel, void *user)
{
    (void)channel;
    (void)user;
}

static void on_done(void *user, struct channel *channel, const struct peer *local,
                    const struct peer *remote, const struct error *error)
{
    struct call *call = user;
    call->dial = NULL;
    call->calls++;
    call->over = true;
    call->channel = channel;
    assert_int_equal(channel == NULL, error != NULL);
    if (channel) {
        call->local = *local;
        call->remote = *remote;
        channel->ready = on_ready;
        channel->user = call;
    } else {
        call->error = *error;
    }
}

static int set_up(void **state)
{
    struct call *call = calloc(1, sizeof(*call));
    assert_non_null(call);
    call->descriptors = open_descriptors();
    assert_int_equal(loop_new(&call->loop), 0);
    strcpy(call->options.endpoint.host, "127.0.0.1");
    strcpy(call->folder, "/tmp/test_dial.XXXXXX");
    assert_non_null(mkdtemp(call->folder));
    *state = call;
    return 0;
}

static int tear_down(void **state)
{
    struct call *call = *state;
    dial_cancel(call->dial);
    channel_free(call->channel, false);
    assert_int_equal(loop_run(call->loop), 0); /* nothing is left in it */
    loop_free(call->loop);
    assert_int_equal(rmdir(call->folder), 0);
    for (unsigned i = 0; i < 5000 && open_descriptors() != call->descriptors; i++)
        poll(NULL, 0, 1); /* a thread that asks for a name */
    assert_int_equal(open_descriptors(), call->descriptors);
    free(call);
    return 0;
}

static int start(struct call *call, struct error *error)
{
    const struct dial_calls calls = {.tell = on_tell, .done = on_done, .user = call};
    call->over = false;
    call->count = 0;
    return dial_start(call->loop, &call->options, &calls, &call->dial, error);
}

static void begin(struct call *call)
{
    struct error error = {0};
    if (start(call, &error) < 0)
        fail_msg("%s", error.message);
    assert_false(call->over); /* done() comes from the loop */
}

static void finish(struct call *call)
{
    loop_run_until(call->loop, &call->over);
    assert_null(call->dial);
}

static void settle(struct call *call)
{
    loop_run_for(call->loop, 20 * NANOSECONDS_PER_MILLISECOND);
}

/* A socket of 127.0.0.0/8 that listens. */
static int listen_at(uint32_t address, uint16_t port, int backlog, uint16_t *ret_port)
{
    struct sockaddr_in sockaddr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
    socklen_t length = sizeof(sockaddr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sockaddr, length), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sockaddr, &length), 0);
    *ret_port = ntohs(sockaddr.sin_port);
    return fd;
}

static int take(struct call *call, int ear)
{
    int fd = -1;
    for (unsigned i = 0; i < 1000 && fd < 0; i++) {
        loop_run_for(call->loop, NANOSECONDS_PER_MILLISECOND);
        fd = accept4(ear, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    assert_true(fd >= 0);
    return fd;
}

/* What the dial says, once it has said as much as `length`. */
static void expect_bytes(struct call *call, int fd, const void *bytes, size_t length)
{
    char room[512];
    size_t count = 0;
    assert_true(length <= sizeof(room));
    for (unsigned i = 0; i < 1000 && count < length; i++) {
        loop_run_for(call->loop, NANOSECONDS_PER_MILLISECOND);
        ssize_t got = recv(fd, room + count, length - count, 0);
        count += got > 0 ? (size_t)got : 0;
    }
    assert_int_equal(count, length);
    assert_memory_equal(room, bytes, length);
}

static void expect_events(const struct call *call, const enum dial_event *events, size_t count)
{
    assert_int_equal(call->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(call->events[i], events[i]);
}

/* ---- addresses ---- */

static void somebody_listens(void **state)
{
    struct call *call = *state;
    char bytes[8];
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &call->options.endpoint.port);
    begin(call);
    int fd = take(call, ear);
    finish(call);
    expect_events(call, (enum dial_event[]){DIAL_TRYING, DIAL_CONNECTED}, 2);
    assert_int_equal(call->remote.port, call->options.endpoint.port);
    assert_int_equal(call->local.address.value, INADDR_LOOPBACK);
    assert_int_equal(channel_write(call->channel, "hello", 5), 5);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 5);
    call->channel->readable = false;
    assert_int_equal(send(fd, "you", 3, 0), 3);
    loop_run_until(call->loop, &call->channel->readable);
    assert_int_equal(channel_read(call->channel, bytes, sizeof(bytes)), 3);
    close(fd);
    close(ear);
}

static void nobody_listens(void **state)
{
    struct call *call = *state;
    int bound = listen_at(INADDR_LOOPBACK, 0, -1, &call->options.endpoint.port);
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ECONNREFUSED);
    assert_non_null(strstr(call->error.message, "127.0.0.1:"));
    expect_events(call, (enum dial_event[]){DIAL_TRYING}, 1);
    assert_int_equal(call->calls, 1);
    close(bound);
}

/* What was said before it was refused by a reset, at once, is an error of the channel, not ours. */
static void several_addresses_are_tried(void **state)
{
    struct call *call = *state;
    struct address addresses[3];
    for (uint32_t i = 0; i < 3; i++)
        addresses[i] = (struct address){.family = ADDRESS_IPV4, .value = INADDR_LOOPBACK + i};
    int ear = listen_at(INADDR_LOOPBACK + 2, 0, 5, &call->options.endpoint.port);
    strcpy(call->options.endpoint.host, "name");
    call->options.addresses = addresses;
    call->options.address_count = 3;
    begin(call);
    memset(addresses, 0, sizeof(addresses)); /* were borrowed only until then */
    int fd = take(call, ear);
    finish(call);
    assert_non_null(call->channel);
    expect_events(call,
                  (enum dial_event[]){DIAL_TRYING, DIAL_FAILED, DIAL_TRYING, DIAL_FAILED,
                                      DIAL_TRYING, DIAL_CONNECTED},
                  6);
    assert_int_equal(call->codes[1], ECONNREFUSED);
    assert_int_equal(call->peers[4].address.value, INADDR_LOOPBACK + 2);
    assert_int_equal(call->remote.address.value, INADDR_LOOPBACK + 2);
    close(fd);
    close(ear);
}

static void all_of_several_refuse(void **state)
{
    struct call *call = *state;
    struct address addresses[2];
    for (uint32_t i = 0; i < 2; i++)
        addresses[i] = (struct address){.family = ADDRESS_IPV4, .value = INADDR_LOOPBACK + i};
    int bound = listen_at(INADDR_LOOPBACK, 0, -1, &call->options.endpoint.port);
    strcpy(call->options.endpoint.host, "name");
    call->options.addresses = addresses;
    call->options.address_count = 2;
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ECONNREFUSED);
    assert_non_null(strstr(call->error.message, "name:"));
    assert_non_null(strstr(call->error.message, "127.0.0.2")); /* the last one */
    close(bound);
}

static void names_are_looked_up(void **state)
{
    struct call *call = *state;
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &call->options.endpoint.port);
    strcpy(call->options.endpoint.host, "localhost");
    call->options.family = ADDRESS_IPV4;
    begin(call);
    int fd = take(call, ear);
    finish(call);
    assert_non_null(call->channel);
    close(fd);
    close(ear);
}

static void names_that_are_none(void **state)
{
    struct call *call = *state;
    struct error error = {0};
    strcpy(call->options.endpoint.host, "localhost");
    call->options.numeric = true;
    assert_int_equal(start(call, &error), -EINVAL);
    assert_non_null(strstr(error.message, "localhost"));
    strcpy(call->options.endpoint.host, "127.0.0.1");
    call->options.family = ADDRESS_IPV6;
    assert_int_equal(start(call, &error), -EINVAL);
    call->options.family = ADDRESS_NONE;
    call->options.source = "no address";
    assert_int_equal(start(call, &error), -EINVAL);
    assert_int_equal(call->calls, 0);
}

static void sources(void **state)
{
    struct call *call = *state;
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &call->options.endpoint.port);
    int bound = listen_at(INADDR_LOOPBACK + 2, 0, -1, &call->options.source_port);
    close(bound); /* a port that was free a moment ago */
    call->options.source = "127.0.0.3";
    begin(call);
    int fd = take(call, ear);
    finish(call);
    assert_non_null(call->channel);
    assert_int_equal(call->local.address.value, INADDR_LOOPBACK + 2);
    assert_int_equal(call->local.port, call->options.source_port);
    channel_free(call->channel, true);
    call->channel = NULL;
    close(fd);
    close(ear);
    call->options.source = "198.18.0.1"; /* none of ours: nothing is sent */
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, EADDRNOTAVAIL);
    call->options.source = "::1";
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, EAFNOSUPPORT);
}

/* ---- time ---- */

#define CROWD 8

/* Connections that fill a queue which nobody takes them from. */
static void fill_queue(const struct sockaddr *address, socklen_t length, int fds[CROWD])
{
    for (int i = 0; i < CROWD; i++) {
        fds[i] = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], address, length);
    }
}

static void close_all(const int fds[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
}

static void who_does_not_answer_in_time(void **state)
{
    struct call *call = *state;
    int crowd[CROWD];
    int ear = listen_at(INADDR_LOOPBACK, 0, 0, &call->options.endpoint.port);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(call->options.endpoint.port)};
    fill_queue((struct sockaddr *)&address, sizeof(address), crowd);
    call->options.timeout = 50 * NANOSECONDS_PER_MILLISECOND;
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ETIMEDOUT);
    assert_non_null(strstr(call->error.message, "50ms"));
    call->options.timeout = 0;
    begin(call);
    settle(call);
    assert_false(call->over);
    dial_cancel(call->dial);
    call->dial = NULL;
    close_all(crowd);
    close(ear);
    settle(call);
    assert_int_equal(call->calls, 1);
}

/* A Unix socket's full queue says EAGAIN: it is tried again until there is room. */
static void unix_queues_are_waited_for(void **state)
{
    struct call *call = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int crowd[CROWD];
    call->options.endpoint.kind = ENDPOINT_UNIX;
    snprintf(call->options.endpoint.path, sizeof(call->options.endpoint.path), "%s/s",
             call->folder);
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ENOENT);
    memcpy(address.sun_path, call->options.endpoint.path, strlen(call->options.endpoint.path));
    int ear = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(ear, (struct sockaddr *)&address, sizeof(address)), 0);
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ECONNREFUSED);
    assert_int_equal(listen(ear, 0), 0);
    fill_queue((struct sockaddr *)&address, sizeof(address), crowd);
    call->options.timeout = 50 * NANOSECONDS_PER_MILLISECOND;
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ETIMEDOUT);
    call->options.timeout = 0;
    begin(call);
    uint64_t before = cpu_time();
    loop_run_for(call->loop, 100 * NANOSECONDS_PER_MILLISECOND);
    assert_in_range(cpu_time() - before, 0, 50 * NANOSECONDS_PER_MILLISECOND);
    assert_false(call->over);
    dial_cancel(call->dial); /* while it waits for the next try */
    begin(call);
    settle(call);
    for (int i = 0; i < CROWD; i++)
        close(accept4(ear, NULL, NULL, SOCK_CLOEXEC));
    finish(call);
    assert_non_null(call->channel);
    assert_string_equal(call->remote.path, call->options.endpoint.path);
    close_all(crowd);
    close(ear);
    unlink(address.sun_path);
}

static void cancelled_while_a_name_is_looked_up(void **state)
{
    struct call *call = *state;
    strcpy(call->options.endpoint.host, "localhost");
    call->options.family = ADDRESS_IPV4;
    call->options.endpoint.port = 1;
    begin(call);
    dial_cancel(call->dial);
    begin(call);
    poll(NULL, 0, 20); /* the answer is there, and not yet told */
    dial_cancel(call->dial);
    call->dial = NULL;
    settle(call);
    assert_int_equal(call->calls, 0);
    assert_int_equal(call->count, 0);
    dial_cancel(NULL);
}

static void cancelled_after_any_number_of_turns(void **state)
{
    struct call *call = *state;
    int ear = listen_at(INADDR_LOOPBACK, 0, 50, &call->options.endpoint.port);
    for (unsigned turns = 0; turns < 30; turns++) {
        call->options.proxy_header = turns % 3;
        call->options.timeout = NANOSECONDS_PER_SECOND;
        begin(call);
        for (unsigned i = 0; i < turns / 3 && call->dial; i++)
            loop_run_for(call->loop, 1);
        dial_cancel(call->dial);
        channel_free(call->channel, true);
        call->dial = NULL;
        call->channel = NULL;
    }
    close(ear);
}

static void datagrams_connect_at_once(void **state)
{
    struct call *call = *state;
    call->options.endpoint.kind = ENDPOINT_UDP;
    call->options.endpoint.port = 9;
    begin(call);
    finish(call);
    assert_non_null(call->channel);
    assert_true(call->channel->messages);
}

/* ---- what is said first ---- */

static void proxy_header_is_said(void **state)
{
    struct call *call = *state;
    char expected[128];
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &call->options.endpoint.port);
    call->options.proxy_header = 1;
    begin(call);
    int fd = take(call, ear);
    finish(call);
    int length = snprintf(expected, sizeof(expected), "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n",
                          call->local.port, call->remote.port);
    expect_bytes(call, fd, expected, (size_t)length);
    close(fd);
    close(ear);
}

/* A SOCKS5 proxy that answers in pieces of any size; what is behind its answer is the target's. */
static void through_a_proxy(void **state)
{
    static const char hello[] = "\5\0", opened[] = "\5\0\0\1\177\0\0\1\0\120behind";
    static const char asked[] = "\5\1\0\3\4host\0\120";
    struct call *call = *state;
    struct proxy_address proxy = {.kind = PROXY_SOCKS5, .host = "127.0.0.1"};
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &proxy.port);
    strcpy(call->options.endpoint.host, "host"); /* which the proxy looks up */
    call->options.endpoint.port = 80;
    call->options.proxy = &proxy;
    for (size_t chunk = 1; chunk < 20; chunk += 6) {
        char bytes[16];
        begin(call);
        int fd = take(call, ear);
        expect_bytes(call, fd, "\5\1\0", 3);
        for (size_t at = 0; at < 2; at += chunk) {
            send(fd, hello + at, at + chunk < 2 ? chunk : 2 - at, 0);
            settle(call);
        }
        expect_bytes(call, fd, asked, sizeof(asked) - 1);
        for (size_t at = 0; at < sizeof(opened) - 1; at += chunk) {
            size_t left = sizeof(opened) - 1 - at;
            send(fd, opened + at, chunk < left ? chunk : left, 0);
            loop_run_for(call->loop, NANOSECONDS_PER_MILLISECOND);
        }
        finish(call);
        expect_events(call, (enum dial_event[]){DIAL_TRYING, DIAL_CONNECTED, DIAL_PROXIED}, 3);
        size_t count = 0;
        for (unsigned i = 0; i < 1000 && count < 6; i++) {
            ssize_t got = channel_read(call->channel, bytes + count, sizeof(bytes) - count);
            assert_true(got > 0 || got == -EAGAIN);
            count += got > 0 ? (size_t)got : 0;
            loop_run_for(call->loop, NANOSECONDS_PER_MILLISECOND);
        }
        assert_int_equal(count, 6);
        assert_memory_equal(bytes, "behind", 6);
        channel_free(call->channel, true);
        call->channel = NULL;
        close(fd);
    }
    close(ear);
}

/* A proxy that refuses, that ends within its answer, that resets, that says nothing in time. */
static void proxies_that_fail(void **state)
{
    static const struct {
        const char *answer;
        size_t length;
        bool ends, resets;
        int code;
    } ways[] = {
        {"HTTP/1.1 403 Forbidden\r\n\r\n", 26, false, false, EACCES},
        {"HTTP/1.1 200 Conn", 17, true, false, ECONNRESET},
        {"HTTP/1.1 200 OK\r\nX: y\r\n", 23, true, false, ECONNRESET},
        {"", 0, true, false, ECONNRESET},
        {"HTTP/1.1 200 Conn", 17, false, true, ECONNRESET},
        {"", 0, false, false, ETIMEDOUT},
        {"HTTP/1.1 200 Conn", 17, false, false, ETIMEDOUT},
    };
    const struct linger now = {.l_onoff = 1};
    struct call *call = *state;
    struct proxy_address proxy = {.kind = PROXY_HTTP, .host = "127.0.0.1"};
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &proxy.port);
    strcpy(call->options.endpoint.host, "host");
    call->options.endpoint.port = 80;
    call->options.proxy = &proxy;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        call->options.timeout = ways[i].code == ETIMEDOUT ? 50 * NANOSECONDS_PER_MILLISECOND : 0;
        begin(call);
        int fd = take(call, ear);
        expect_bytes(call, fd, "CONNECT host:80 ", 16);
        if (ways[i].length)
            assert_int_equal(send(fd, ways[i].answer, ways[i].length, 0), ways[i].length);
        if (i % 2)
            settle(call); /* the end comes with the answer, or after it */
        if (ways[i].ends)
            shutdown(fd, SHUT_WR);
        if (ways[i].resets)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        if (ways[i].resets)
            close(fd);
        finish(call);
        assert_null(call->channel);
        assert_int_equal(call->error.code, ways[i].code);
        if (!ways[i].resets)
            close(fd);
    }
    close(ear);
    begin(call);
    finish(call);
    assert_int_equal(call->error.code, ECONNREFUSED);
    assert_non_null(strstr(call->error.message, "proxy"));
}

static void cancelled_at_each_step(void **state)
{
    struct call *call = *state;
    struct proxy_address proxy = {.kind = PROXY_HTTP, .host = "127.0.0.1"};
    struct tls *tls = NULL;
    struct error error;
    int ear = listen_at(INADDR_LOOPBACK, 0, 5, &proxy.port);
    assert_int_equal(tls_new(&(struct tls_options){.insecure = true}, &tls, &error), 0);
    call->options.endpoint.kind = ENDPOINT_TLS;
    call->options.endpoint.port = 443;
    call->options.tls = tls;
    call->options.proxy = &proxy;
    call->options.timeout = 10 * NANOSECONDS_PER_SECOND;
    begin(call);
    int fd = take(call, ear);
    settle(call);
    assert_int_equal(call->count, 2); /* the proxy is asked */
    dial_cancel(call->dial);
    close(fd);
    begin(call);
    fd = take(call, ear);
    settle(call);
    assert_int_equal(send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    settle(call);
    assert_int_equal(call->count, 3); /* the handshake has begun */
    dial_cancel(call->dial);
    close(fd);
    call->dial = NULL;
    call->options.timeout = 100 * NANOSECONDS_PER_MILLISECOND;
    begin(call);
    fd = take(call, ear);
    assert_int_equal(send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    finish(call);
    assert_int_equal(call->error.code, ETIMEDOUT);
    assert_non_null(strstr(call->error.message, "TLS"));
    assert_int_equal(call->calls, 1);
    close(fd);
    close(ear);
    tls_free(tls);
}

#define DIAL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) /* only some of them */
        cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        DIAL_TEST(somebody_listens),
        DIAL_TEST(nobody_listens),
        DIAL_TEST(several_addresses_are_tried),
        DIAL_TEST(all_of_several_refuse),
        DIAL_TEST(names_are_looked_up),
        DIAL_TEST(names_that_are_none),
        DIAL_TEST(sources),
        DIAL_TEST(who_does_not_answer_in_time),
        DIAL_TEST(unix_queues_are_waited_for),
        DIAL_TEST(cancelled_while_a_name_is_looked_up),
        DIAL_TEST(cancelled_after_any_number_of_turns),
        DIAL_TEST(datagrams_connect_at_once),
        DIAL_TEST(proxy_header_is_said),
        DIAL_TEST(through_a_proxy),
        DIAL_TEST(proxies_that_fail),
        DIAL_TEST(cancelled_at_each_step),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
