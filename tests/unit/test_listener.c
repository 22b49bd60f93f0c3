/* Listeners, with clients that the test plays: who is let in, who has to wait, what stays behind.
 */
#include "listener_scene.h"
#include "own_network.h"

/* ---- who comes ---- */

/* Without a host: loopback, both families, one port. */
static void both_families_have_one_port(void **state)
{
    struct hall *hall = *state;
    begin(hall);
    assert_in_range(hall->ready_count, 1, 2); /* a machine may lack IPv6 */
    for (size_t i = 0; i < hall->ready_count; i++) {
        assert_true(address_is_loopback(&hall->ready[i].address));
        assert_int_not_equal(hall->ready[i].port, 0);
        assert_int_equal(hall->ready[i].port, hall->ready[0].port);
        int fd = connect_to(&hall->ready[i], SOCK_STREAM);
        assert_true(fd >= 0);
        hall->arrived = false;
        loop_run_until(hall->loop, &hall->arrived);
        assert_true(peer_equal(&hall->arrivals[i].local, &hall->ready[i]));
        assert_true(hall->arrivals[i].fd >= 0);
        expect_hello(hall, i, fd);
        close(fd);
    }
}

/* One socket for all addresses takes both families; an IPv4 client is one. */
static void all_addresses(void **state)
{
    struct hall *hall = *state;
    struct peer peer = {.kind = PEER_INTERNET,
                        .address = {.family = ADDRESS_IPV4, .value = INADDR_LOOPBACK}};
    strcpy(hall->options.endpoint.host, "*");
    begin(hall);
    assert_int_equal(hall->ready_count, 1);
    peer.port = hall->ready[0].port;
    int fd = connect_to(&peer, SOCK_STREAM);
    assert_true(fd >= 0);
    loop_run_until(hall->loop, &hall->arrived);
    assert_int_equal(hall->arrivals[0].remote.address.family, ADDRESS_IPV4);
    expect_hello(hall, 0, fd);
    close(fd);
}

static void taken_ports_are_errors(void **state)
{
    struct hall *hall = *state, other = {.loop = hall->loop};
    struct error error = {0};
    strcpy(hall->options.endpoint.host, "127.0.0.1");
    begin(hall);
    other.options.endpoint = hall->options.endpoint;
    other.options.endpoint.port = hall->ready[0].port;
    assert_int_equal(open_hall(&other, &error), -EADDRINUSE);
    assert_non_null(strstr(error.message, "127.0.0.1"));
    assert_null(other.listener);
    assert_int_equal(other.ready_count, 0);
}

static void lists_say_who_may_come(void **state)
{
    struct hall *hall = *state;
    struct address_set allow = {0}, deny = {0};
    char byte;
    seal(&allow, "127.0.0.0", "127.255.255.255");
    seal(&deny, "127.0.0.1", "127.0.0.1");
    hall->options.allow = &allow;
    hall->options.deny = &deny;
    strcpy(hall->options.endpoint.host, "*"); /* an IPv6 socket: IPv4 is looked up as such */
    begin(hall);
    struct peer peer = {.kind = PEER_INTERNET,
                        .address = {.family = ADDRESS_IPV4, .value = INADDR_LOOPBACK},
                        .port = hall->ready[0].port};
    int fd = connect_to(&peer, SOCK_STREAM);
    settle(hall);
    assert_int_equal(hall->denied, 1);
    assert_int_equal(hall->count, 0);
    assert_true(read(fd, &byte, 1) <= 0); /* turned away */
    close(fd);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(peer.port)};
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    loop_run_until(hall->loop, &hall->arrived);
    assert_int_equal(hall->denied, 1);
    close(fd);
    address_set_release(&allow);
    address_set_release(&deny);
}

/* More than may be there wait until somebody leaves, and nobody spins meanwhile. */
static void the_maximum_waits(void **state)
{
    struct hall *hall = *state;
    int fds[5];
    hall->options.maximum = 2;
    begin(hall);
    for (size_t i = 0; i < 5; i++)
        fds[i] = visit(hall);
    settle(hall);
    assert_int_equal(hall->count, 2);
    uint64_t before = cpu_time();
    loop_run_for(hall->loop, 100 * NANOSECONDS_PER_MILLISECOND);
    assert_in_range(cpu_time() - before, 0, 50 * NANOSECONDS_PER_MILLISECOND);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hall->count, 2 + i);
        depart(hall, i);
        settle(hall);
        assert_int_equal(hall->count, 3 + i);
    }
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
}

static void many_are_taken_at_once(void **state)
{
    struct hall *hall = *state;
    enum { MANY = 300 };
    static int fds[MANY];
    hall->depart_at_once = true;
    hall->options.maximum = 1;
    begin(hall);
    for (size_t round = 0; round < MANY / ARRIVALS; round++) {
        hall->count = 0;
        for (size_t i = 0; i < ARRIVALS; i++)
            fds[i] = visit(hall);
        settle(hall);
        assert_int_equal(hall->count, ARRIVALS);
        for (size_t i = 0; i < ARRIVALS; i++)
            close(fds[i]);
    }
}

static void closed_when_one_has_come(void **state)
{
    struct hall *hall = *state;
    hall->close_at_arrival = true;
    begin(hall);
    int first = visit(hall), second = visit(hall);
    loop_run_until(hall->loop, &hall->arrived);
    settle(hall);
    assert_int_equal(hall->count, 1);
    expect_hello(hall, 0, first);
    assert_int_equal(connect_to(&hall->ready[0], SOCK_STREAM), -ECONNREFUSED);
    close(first);
    close(second);
}

/* ---- the PROXY header ---- */

static size_t make_header(unsigned version, char *bytes, size_t size)
{
    struct buffer buffer = {0};
    const struct proxy_header header = {
        .known = true,
        .source = {.kind = PEER_INTERNET,
                   .address = {.family = ADDRESS_IPV4, .value = 0xc6120001},
                   .port = 4321},
        .destination = {.kind = PEER_INTERNET,
                        .address = {.family = ADDRESS_IPV4, .value = 0xc6120002},
                        .port = 80}};
    proxy_header_add(&buffer, version, &header);
    assert_true(buffer.length < size);
    memcpy(bytes, buffer.data, buffer.length);
    size_t length = buffer.length;
    buffer_release(&buffer);
    return length;
}

/* At once with what follows, and byte by byte: the client is whom it names, and what is behind it
 * stays for the receiver. */
static void headers_name_the_client(void **state)
{
    struct hall *hall = *state;
    hall->options.proxy_header = true;
    begin(hall);
    for (unsigned way = 0; way < 4; way++) {
        char bytes[256];
        size_t length = make_header(1 + way % 2, bytes, sizeof(bytes) - 8);
        memcpy(bytes + length, "behind", 6);
        int fd = visit(hall);
        hall->arrived = false;
        for (size_t i = 0; way >= 2 && i < length - 1; i++) {
            assert_int_equal(send(fd, bytes + i, 1, 0), 1);
            loop_run_for(hall->loop, 10000);
            assert_false(hall->arrived);
        }
        size_t from = way >= 2 ? length - 1 : 0;
        assert_int_equal(send(fd, bytes + from, length + 6 - from, 0), length + 6 - from);
        loop_run_until(hall->loop, &hall->arrived);
        struct arrival *arrival = &hall->arrivals[way];
        assert_int_equal(arrival->remote.port, 4321);
        assert_int_equal(arrival->local.port, 80);
        assert_int_equal(channel_read(arrival->channel, bytes, sizeof(bytes)), 6);
        assert_memory_equal(bytes, "behind", 6);
        close(fd);
    }
    assert_int_equal(hall->failed, 0);
}

static void wrong_headers_are_refused(void **state)
{
    static const char *const wrong[] = {"GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 1.2.3.4\r\n",
                                        "PROXY TC", "", "\r\n\r\n\0\r\nQUIT\n"};
    struct hall *hall = *state;
    hall->options.proxy_header = true;
    begin(hall);
    for (unsigned i = 0; i < 5; i++) {
        char byte;
        int fd = visit(hall);
        if (wrong[i][0])
            assert_true(send(fd, wrong[i], i == 4 ? 12 : strlen(wrong[i]), 0) > 0);
        if (i >= 2) /* ends within it */
            shutdown(fd, SHUT_WR);
        settle(hall);
        assert_int_equal(hall->failed, i + 1);
        assert_true(read(fd, &byte, 1) <= 0);
        close(fd);
    }
    assert_int_equal(hall->count, 0);
}

/* Who never speaks is sent away, and makes room. */
static void who_never_speaks_is_sent_away(void **state)
{
    struct hall *hall = *state;
    char bytes[256];
    size_t length = make_header(1, bytes, sizeof(bytes));
    hall->options.proxy_header = true;
    hall->options.maximum = 1;
    hall->options.timeout = 50 * NANOSECONDS_PER_MILLISECOND;
    begin(hall);
    int silent = visit(hall), other = visit(hall);
    assert_int_equal(send(other, bytes, length, 0), length);
    loop_run_until(hall->loop, &hall->arrived);
    assert_int_equal(hall->failed, 1);
    assert_int_equal(hall->error.code, ETIMEDOUT);
    assert_true(read(silent, bytes, 1) <= 0);
    close(silent);
    close(other);
}

/* Closed, and freed, while somebody is still expected to show a header. */
static void closing_drops_who_has_not_arrived(void **state)
{
    struct hall *hall = *state;
    char byte;
    hall->options.proxy_header = true;
    begin(hall);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = visit(hall);
    settle(hall);
    listener_close(hall->listener);
    for (int i = 0; i < 3; i++) {
        assert_true(read(fds[i], &byte, 1) <= 0);
        close(fds[i]);
    }
}

/* ---- Unix sockets ---- */

static void unix_sockets_come_and_go(void **state)
{
    struct hall *hall = *state;
    struct error error = {0};
    struct stat status;
    set_path(hall, "s");
    const char *path = hall->options.endpoint.path;
    for (unsigned round = 0; round < 2; round++) {
        hall->ready_count = 0;
        begin(hall);
        assert_int_equal(hall->ready[0].kind, PEER_UNIX);
        int fd = visit(hall);
        hall->arrived = false;
        loop_run_until(hall->loop, &hall->arrived);
        expect_hello(hall, round, fd);
        close(fd);
        /* While somebody listens there, nobody else can; and it is not disturbed. */
        struct hall other = {.loop = hall->loop, .options = hall->options};
        assert_int_equal(open_hall(&other, &error), -EADDRINUSE);
        settle(hall);
        assert_int_equal(hall->count, round + 1);
        assert_int_equal(stat(path, &status), 0);
        listener_free(hall->listener);
        hall->listener = NULL;
        assert_int_equal(stat(path, &status), -1); /* it was made here */
    }
}

static void stale_sockets_are_replaced(void **state)
{
    struct hall *hall = *state;
    struct error error = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    set_path(hall, "stale");
    const char *path = hall->options.endpoint.path;
    memcpy(address.sun_path, path, strlen(path));
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        close(fd);
        begin(hall);
        listener_free(hall->listener);
        hall->listener = NULL;
    }
    /* Any other file is left alone. */
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(open_hall(hall, &error), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_int_equal(open_hall(hall, &error), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
}

static void abstract_names(void **state)
{
    struct hall *hall = *state;
    hall->options.endpoint.kind = ENDPOINT_UNIX;
    snprintf(hall->options.endpoint.path, sizeof(hall->options.endpoint.path), "@porthole-test-%d",
             (int)getpid());
    begin(hall);
    assert_string_equal(hall->ready[0].path, hall->options.endpoint.path);
    int fd = visit(hall);
    loop_run_until(hall->loop, &hall->arrived);
    expect_hello(hall, 0, fd);
    close(fd);
}

/* ---- sockets that were handed over ---- */

static void inherited_sockets(void **state)
{
    struct hall *hall = *state;
    int fds[2];
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* which blocks */
        assert_int_equal(bind(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fds[i], 5), 0);
    }
    hall->options.inherited = fds;
    hall->options.inherited_count = 2;
    begin(hall);
    assert_int_equal(hall->ready_count, 2);
    for (size_t i = 0; i < 2; i++) {
        int fd = connect_to(&hall->ready[i], SOCK_STREAM);
        assert_true(fd >= 0);
        hall->arrived = false;
        loop_run_until(hall->loop, &hall->arrived);
        expect_hello(hall, i, fd);
        close(fd);
    }
}

static void inherited_things_that_do_not_listen(void **state)
{
    struct hall *hall = *state;
    struct error error = {0};
    int fds[2];
    tcp_pair(fds);
    hall->options.inherited = fds;
    hall->options.inherited_count = 1;
    assert_int_equal(open_hall(hall, &error), -ENOTCONN);
    assert_non_null(strstr(error.message, "listen"));
    close(fds[0]);
    close(fds[1]);
    fds[0] = memfd_create("x", MFD_CLOEXEC);
    assert_int_equal(open_hall(hall, &error), -ENOTSOCK);
    close(fds[0]);
    assert_int_equal(hall->ready_count, 0);
}

/* ---- want of descriptors ---- */

static void without_descriptors_it_rests(void **state)
{
    struct hall *hall = *state;
    struct rlimit before, none;
    begin(hall);
    int first = visit(hall), second = visit(hall);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3; /* those that are open stay so */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t cpu = cpu_time();
    loop_run_for(hall->loop, 350 * NANOSECONDS_PER_MILLISECOND);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(cpu_time() - cpu, 0, 150 * NANOSECONDS_PER_MILLISECOND);
    assert_int_equal(hall->failed, 1); /* said once, not with each try */
    assert_int_equal(hall->error.code, EMFILE);
    assert_int_equal(hall->count, 0);
    loop_run_until(hall->loop, &hall->arrived);
    settle(hall);
    assert_int_equal(hall->count, 2);
    expect_hello(hall, 0, first);
    expect_hello(hall, 1, second);
    close(first);
    close(second);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) /* only some of them */
        cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(both_families_have_one_port),
        LISTENER_TEST(all_addresses),
        LISTENER_TEST(taken_ports_are_errors),
        LISTENER_TEST(lists_say_who_may_come),
        LISTENER_TEST(the_maximum_waits),
        LISTENER_TEST(many_are_taken_at_once),
        LISTENER_TEST(closed_when_one_has_come),
        LISTENER_TEST(headers_name_the_client),
        LISTENER_TEST(wrong_headers_are_refused),
        LISTENER_TEST(who_never_speaks_is_sent_away),
        LISTENER_TEST(closing_drops_who_has_not_arrived),
        LISTENER_TEST(unix_sockets_come_and_go),
        LISTENER_TEST(stale_sockets_are_replaced),
        LISTENER_TEST(abstract_names),
        LISTENER_TEST(inherited_sockets),
        LISTENER_TEST(inherited_things_that_do_not_listen),
        LISTENER_TEST(without_descriptors_it_rests),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
