/* The connect prober against real sockets on loopback. Where it is allowed to, the program makes a
 * network namespace of its own, with an ephemeral range of its own choosing; what needs one is
 * skipped elsewhere. */
#include "scan/prober.h"

#include "base/clock.h"
#include "own_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MS NANOSECONDS_PER_MILLISECOND
#define TIMEOUT (150 * MS)

/* ---- a namespace of our own ---- */

static bool private_network;

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

/* Who is not root becomes it, in a user namespace that holds nothing else. */
static bool become_root(void)
{
    char map[32];
    snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_text("/proc/self/uid_map", map);
}

static int enter_namespace(void **state)
{
    (void)state;
    private_network = own_network() || (become_root() && loopback_up());
    return 0;
}

static void need_private_network(void)
{
    if (!private_network)
        skip();
}

static void set_ephemeral_range(const char *range)
{
    assert_true(write_text("/proc/sys/net/ipv4/ip_local_port_range", range));
}

/* Gives loopback one more address. A prober that was opened before takes it for another machine's.
 */
static void add_address(const char *name, const char *text)
{
    struct ifreq request = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    strcpy(request.ifr_name, name);
    memcpy(&request.ifr_addr, &address, sizeof(address));
    assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
    close(fd);
}

static void remove_address(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(request.ifr_name, name);
    ioctl(fd, SIOCSIFFLAGS, &request); /* an alias that goes down goes away */
    close(fd);
}

/* ---- servers ---- */

static struct address parse(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

/* Binds to `port`, or to any free one. Returns the socket, or -1 when the address is not there. */
static int bind_to(const char *text, uint16_t port, uint16_t *ret_port)
{
    const struct address address = parse(text);
    const int on = 1;
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&address, port, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    struct address bound;
    if (bind(fd, (struct sockaddr *)&name, length) ||
        getsockname(fd, (struct sockaddr *)&name, &length) ||
        !address_from_sockaddr((struct sockaddr *)&name, &bound, ret_port)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_on(const char *text, uint16_t port, uint16_t *ret_port)
{
    int fd = bind_to(text, port, ret_port);
    if (fd >= 0)
        assert_int_equal(listen(fd, 4096), 0); /* nobody accepts */
    return fd;
}

/* A port that answers nothing: its queue is full, and the kernel drops further SYNs. */
struct mute {
    int listener, guests[2];
    uint16_t port;
};

static struct mute mute_make(const char *text)
{
    struct mute mute;
    const struct address address = parse(text);
    struct sockaddr_storage name;
    mute.listener = bind_to(text, 0, &mute.port);
    assert_true(mute.listener >= 0);
    assert_int_equal(listen(mute.listener, 0), 0);
    const socklen_t length = address_to_sockaddr(&address, mute.port, &name);
    for (int i = 0; i < 2; i++) {
        mute.guests[i] = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(mute.guests[i], (struct sockaddr *)&name, length);
    }
    return mute;
}

static void mute_release(struct mute *mute)
{
    for (int i = 0; i < 2; i++)
        close(mute->guests[i]);
    close(mute->listener);
}

/* ---- asking ---- */

static uint64_t fixed_timeout(void *user, uint64_t index)
{
    (void)user;
    (void)index;
    return TIMEOUT;
}

static struct prober *prober_open(uint32_t in_flight)
{
    const struct prober_options options = {.in_flight = in_flight, .timeout = fixed_timeout};
    struct prober *prober = NULL;
    assert_int_equal(prober_classes[0]->open(prober_classes[0], &options, &prober, NULL), 0);
    assert_string_equal(prober->class->name, "tcp-connect");
    return prober;
}

static void prober_close(struct prober *prober)
{
    prober->class->close(prober);
}

#define PROBES_MAXIMUM 65536

/* Asks all of them, taking up to `room` replies at a time, and gives the reply to each. Exits on a
 * reply too many or one that never comes, because it also runs in children. */
static void ask(struct prober *prober, const struct probe *probes, size_t count, size_t room,
                struct reply *answers)
{
    static bool replied[PROBES_MAXIMUM];
    struct reply replies[256];
    size_t submitted = 0, finished = 0;
    const uint64_t began = clock_monotonic();
    memset(replied, 0, sizeof(replied));
    while (finished < count) {
        size_t batch = count - submitted < 64 ? count - submitted : 64;
        if (batch)
            submitted += prober->class->submit(prober, &probes[submitted], batch);
        size_t got = prober->class->collect(prober, submitted < count ? 0 : 10 * MS, replies, room);
        for (size_t i = 0; i < got; i++) {
            if (replies[i].index >= count || replied[replies[i].index] ||
                replies[i].position != probes[replies[i].index].position)
                abort();
            replied[replies[i].index] = true;
            answers[replies[i].index] = replies[i];
            finished++;
        }
        if (clock_monotonic() - began > 30 * NANOSECONDS_PER_SECOND)
            abort();
    }
    if (prober->class->facts(prober).in_flight != 0 || prober->class->oldest(prober) != UINT64_MAX)
        abort();
}

static struct probe probe_of(size_t index, const struct address *address, uint16_t port)
{
    return (struct probe){.to = {.address = *address, .port = {PROTOCOL_TCP, port}},
                          .index = index,
                          .position = 1000 + index};
}

/* Asks the ports first…last of an address: answers[0] is of the first. */
static void ask_range(struct prober *prober, const char *text, uint16_t first, uint16_t last,
                      struct reply *answers)
{
    static struct probe probes[PROBES_MAXIMUM];
    const struct address address = parse(text);
    const size_t count = (size_t)last - first + 1;
    for (size_t i = 0; i < count; i++)
        probes[i] = probe_of(i, &address, (uint16_t)(first + i));
    ask(prober, probes, count, 256, answers);
}

static struct reply ask_one(struct prober *prober, const char *text, uint16_t port)
{
    struct reply answer;
    ask_range(prober, text, port, port, &answer);
    return answer;
}

static void assert_answer(const struct reply *reply, enum port_state state)
{
    assert_int_equal(reply->kind, REPLY_ANSWER);
    assert_int_equal(reply->state, state);
    assert_int_equal(reply->reason, state == STATE_OPEN ? REASON_SYN_ACK : REASON_CONN_REFUSED);
    assert_int_equal(reply->from.family, ADDRESS_NONE);
    assert_true(reply->rtt < NANOSECONDS_PER_SECOND);
}

static struct reply answers[PROBES_MAXIMUM];

/* ---- states ---- */

static void test_open_and_closed(const char *address)
{
    uint16_t open, closed;
    int listener = listen_on(address, 0, &open);
    if (listener < 0)
        skip();
    close(bind_to(address, 0, &closed));
    struct prober *prober = prober_open(10);
    for (int i = 0; i < 3; i++) {
        const struct reply one = ask_one(prober, address, open);
        assert_answer(&one, STATE_OPEN);
        assert_true(one.rtt > 0);
        const struct reply other = ask_one(prober, address, closed);
        assert_answer(&other, STATE_CLOSED);
    }
    assert_int_equal(prober->class->facts(prober).packets, 6);
    prober_close(prober);
    close(listener);
}

static void ipv4_is_asked(void **state)
{
    (void)state;
    test_open_and_closed("127.0.0.1");
    test_open_and_closed("127.99.98.97");
}

static void ipv6_is_asked(void **state)
{
    (void)state;
    test_open_and_closed("::1");
}

/* One prober for both families at once, whose sockets are not interchangeable. */
static void families_can_be_mixed(void **state)
{
    (void)state;
    uint16_t open4, open6;
    int listener4 = listen_on("127.0.0.1", 0, &open4), listener6 = listen_on("::1", 0, &open6);
    if (listener6 < 0)
        skip();
    const struct address four = parse("127.0.0.1"), six = parse("::1");
    static struct probe probes[400];
    for (size_t i = 0; i < 400; i += 4) {
        probes[i] = probe_of(i, &four, open4);
        probes[i + 1] = probe_of(i + 1, &six, open6);
        probes[i + 2] = probe_of(i + 2, &six, 1);
        probes[i + 3] = probe_of(i + 3, &four, 1);
    }
    struct prober *prober = prober_open(3);
    ask(prober, probes, 400, 256, answers);
    for (size_t i = 0; i < 400; i++)
        assert_answer(&answers[i], i % 4 < 2 ? STATE_OPEN : STATE_CLOSED);
    prober_close(prober);
    close(listener4);
    close(listener6);
}

static void thousands_of_closed_ports(void **state)
{
    (void)state;
    need_private_network();
    set_ephemeral_range("60000 60999");
    struct prober *prober = prober_open(10000);
    ask_range(prober, "127.0.0.1", 1, 50000, answers);
    for (size_t i = 0; i < 50000; i++)
        assert_answer(&answers[i], STATE_CLOSED);
    assert_int_equal(prober->class->facts(prober).packets, 50000);
    prober_close(prober);
}

#define LISTENERS 300

static void hundreds_of_open_ports(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "::1"};
    need_private_network();
    set_ephemeral_range("60000 60999");
    for (size_t a = 0; a < 2; a++) {
        int listeners[LISTENERS];
        uint16_t port;
        for (uint16_t i = 0; i < LISTENERS; i++)
            listeners[i] = listen_on(addresses[a], (uint16_t)(20000 + 3 * i), &port);
        if (listeners[0] < 0)
            skip();
        struct prober *prober = prober_open(1000);
        ask_range(prober, addresses[a], 20000, 20000 + 3 * LISTENERS - 1, answers);
        for (size_t i = 0; i < 3 * LISTENERS; i++)
            assert_answer(&answers[i], i % 3 ? STATE_CLOSED : STATE_OPEN);
        prober_close(prober);
        for (size_t i = 0; i < LISTENERS; i++)
            close(listeners[i]);
    }
}

/* An address of this machine that the prober takes for another's, so that it waits with epoll. */
static void another_machine_is_asked(void **state)
{
    (void)state;
    uint16_t open;
    need_private_network();
    set_ephemeral_range("60000 60999");
    struct prober *prober = prober_open(700);
    add_address("lo:1", "10.9.8.7");
    int listener = listen_on("10.9.8.7", 4567, &open);
    assert_true(listener >= 0);
    ask_range(prober, "10.9.8.7", 1, 20000, answers);
    for (size_t i = 0; i < 20000; i++)
        assert_answer(&answers[i], i + 1 == open ? STATE_OPEN : STATE_CLOSED);
    prober_close(prober);
    close(listener);
    remove_address("lo:1");
}

/* ---- silence ---- */

static void silence_takes_its_time_and_no_more(void **state)
{
    (void)state;
    struct mute mute = mute_make("127.0.0.1");
    struct prober *prober = prober_open(10);
    for (int i = 0; i < 2; i++) { /* at first in the prompt way, then in the ordinary one */
        const uint64_t began = clock_monotonic();
        const struct reply reply = ask_one(prober, "127.0.0.1", mute.port);
        const uint64_t took = clock_monotonic() - began;
        assert_int_equal(reply.kind, REPLY_SILENCE);
        assert_in_range(took, TIMEOUT, TIMEOUT + 200 * MS);
    }
    prober_close(prober);
    mute_release(&mute);
}

/* While silent ports are waited for, others answer; and the position says what is not settled. */
static void answers_overtake_silence(void **state)
{
    (void)state;
    struct mute mute = mute_make("127.0.0.1");
    struct prober *prober = prober_open(100);
    const struct address address = parse("127.0.0.1");
    struct reply replies[64];
    struct probe probes[64];
    for (size_t i = 0; i < 64; i++)
        probes[i] = probe_of(i, &address, i % 8 == 2 ? mute.port : 1);
    assert_int_equal(prober->class->submit(prober, probes, 64), 64);
    assert_int_equal(prober->class->oldest(prober), 1000);
    size_t got = 0;
    const uint64_t began = clock_monotonic();
    while (got < 56)
        got += prober->class->collect(prober, MS, &replies[got], 64 - got);
    assert_true(clock_monotonic() - began < TIMEOUT);
    for (size_t i = 0; i < got; i++)
        assert_answer(&replies[i], STATE_CLOSED);
    assert_int_equal(prober->class->oldest(prober), 1002);
    assert_int_equal(prober->class->facts(prober).in_flight, 8);
    while (got < 64)
        got += prober->class->collect(prober, 10 * MS, &replies[got], 64 - got);
    for (size_t i = 56; i < got; i++)
        assert_int_equal(replies[i].kind, REPLY_SILENCE);
    assert_int_equal(prober->class->oldest(prober), UINT64_MAX);
    prober_close(prober);
    mute_release(&mute);
}

/* A prober that is closed in the middle leaves no descriptor behind. */
static void closing_early_leaks_nothing(void **state)
{
    (void)state;
    struct mute mute = mute_make("127.0.0.1");
    const struct address address = parse("127.0.0.1");
    int before = dup(0);
    close(before);
    struct prober *prober = prober_open(100);
    struct probe probes[50];
    for (size_t i = 0; i < 50; i++)
        probes[i] = probe_of(i, &address, i % 2 ? mute.port : 1);
    assert_int_equal(prober->class->submit(prober, probes, 50), 50);
    prober_close(prober);
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
    mute_release(&mute);
}

/* However few replies are taken at a time, none is lost and none comes twice. */
static void replies_may_be_taken_one_by_one(void **state)
{
    (void)state;
    static struct probe probes[9000];
    static bool replied[9000];
    need_private_network();
    struct prober *prober = prober_open(10000);
    add_address("lo:1", "10.9.8.7");
    const struct address address = parse("10.9.8.7");
    for (size_t i = 0; i < 9000; i++)
        probes[i] = probe_of(i, &address, (uint16_t)(1 + i));
    assert_int_equal(prober->class->submit(prober, probes, 9000), 9000);
    for (size_t taken = 0; taken < 9000;) {
        struct reply reply;
        if (prober->class->collect(prober, 10 * MS, &reply, 1) == 0)
            continue;
        assert_answer(&reply, STATE_CLOSED);
        assert_in_range(reply.index, 0, 8999);
        assert_false(replied[reply.index]);
        replied[reply.index] = true;
        taken++;
    }
    assert_int_equal(prober->class->facts(prober).in_flight, 0);
    prober_close(prober);
    remove_address("lo:1");
}

/* ---- connections that end as soon as they begin ---- */

struct resetter {
    int listener;
    atomic_bool stop;
};

static void *reset_everyone(void *argument)
{
    const struct linger reset = {.l_onoff = 1};
    struct resetter *resetter = argument;
    while (!atomic_load(&resetter->stop)) {
        int fd = accept(resetter->listener, NULL, NULL);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    return NULL;
}

/* A server that accepts and resets at once is open, however late we look. */
static void a_reset_connection_was_open(void **state)
{
    (void)state;
    static struct probe probes[3000];
    struct resetter resetter = {0};
    uint16_t port;
    pthread_t thread;
    need_private_network();
    set_ephemeral_range("20000 60999");
    struct prober *prober = prober_open(100);
    add_address("lo:1", "10.9.8.7");
    resetter.listener = listen_on("0.0.0.0", 0, &port);
    assert_int_equal(pthread_create(&thread, NULL, reset_everyone, &resetter), 0);
    const struct address addresses[] = {parse("10.9.8.7"), parse("127.0.0.1")};
    for (size_t a = 0; a < 2; a++) {
        for (size_t i = 0; i < 3000; i++)
            probes[i] = probe_of(i, &addresses[a], port);
        ask(prober, probes, 3000, 256, answers);
        for (size_t i = 0; i < 3000; i++)
            assert_answer(&answers[i], STATE_OPEN);
    }
    /* The same when the server had a second to reset before we look. */
    assert_int_equal(prober->class->submit(prober, probes, 1), 1);
    const struct probe remote = probe_of(0, &addresses[0], port);
    struct reply reply;
    while (prober->class->collect(prober, MS, &reply, 1) == 0)
        ;
    assert_int_equal(prober->class->submit(prober, &remote, 1), 1);
    usleep(50000);
    while (prober->class->collect(prober, MS, &reply, 1) == 0)
        ;
    assert_answer(&reply, STATE_OPEN);
    prober_close(prober);
    atomic_store(&resetter.stop, true);
    shutdown(resetter.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(resetter.listener);
    remove_address("lo:1");
}

/* ---- ourselves ---- */

/* With a thousand ephemeral ports, each attempt at one of them is made from that very port once in
 * a thousand times: in twenty rounds it happens many times over, in both ways of connecting. */
static void nobody_meets_himself(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "10.9.8.7", "::1"};
    uint16_t port;
    need_private_network();
    struct prober *prober = prober_open(1000);
    add_address("lo:1", "10.9.8.7");
    for (size_t a = 0; a < 3; a++) {
        set_ephemeral_range("50000 50999");
        struct mute mute = mute_make(addresses[a]);
        set_ephemeral_range("40000 40999");
        int listener = listen_on(addresses[a], 40500, &port);
        assert_true(listener >= 0);
        for (int round = 0; round < 20; round++) {
            if (round == 10) /* from here on the ordinary way */
                assert_int_equal(ask_one(prober, addresses[a], mute.port).kind, REPLY_SILENCE);
            ask_range(prober, addresses[a], 40000, 40999, answers);
            for (size_t i = 0; i < 1000; i++)
                assert_answer(&answers[i], i == 500 ? STATE_OPEN : STATE_CLOSED);
        }
        close(listener);
        mute_release(&mute);
    }
    prober_close(prober);
    remove_address("lo:1");
}

/* How many connections of the namespace are in a state of /proc/net/tcp. */
static unsigned count_in_state(const char *path, unsigned wanted)
{
    char line[512];
    unsigned count = 0, state;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        count +=
            sscanf(line, " %*u: %*[0-9A-F]:%*x %*[0-9A-F]:%*x %x", &state) == 1 && state == wanted;
    if (file)
        fclose(file);
    return count;
}

#define TIME_WAIT 6

static void no_connection_stays_behind(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "10.9.8.7", "::1"};
    need_private_network();
    set_ephemeral_range("20000 60999");
    struct prober *prober = prober_open(1000);
    add_address("lo:1", "10.9.8.7");
    for (size_t a = 0; a < 3; a++) {
        static struct probe probes[500];
        const struct address address = parse(addresses[a]);
        uint16_t port;
        int listener = listen_on(addresses[a], 0, &port);
        assert_true(listener >= 0);
        for (size_t i = 0; i < 500; i++)
            probes[i] = probe_of(i, &address, i % 2 ? port : 1);
        ask(prober, probes, 500, 256, answers);
        for (size_t i = 0; i < 500; i++)
            assert_answer(&answers[i], i % 2 ? STATE_OPEN : STATE_CLOSED);
        close(listener);
    }
    prober_close(prober);
    assert_int_equal(count_in_state("/proc/net/tcp", TIME_WAIT), 0);
    assert_int_equal(count_in_state("/proc/net/tcp6", TIME_WAIT), 0);
    remove_address("lo:1");
}

/* ---- a machine that is out of something ---- */

/* Scans with so few descriptors that a dozen fit; a third of the ports is silent. */
static int scan_with_few_descriptors(uint16_t open, uint16_t silent)
{
    static struct probe probes[120];
    const struct rlimit limit = {20, 20};
    const struct address address = parse("127.0.0.1");
    struct prober *prober = NULL;
    const struct prober_options options = {.in_flight = 10000, .timeout = fixed_timeout};
    if (close_range(3, ~0u, 0) || setrlimit(RLIMIT_NOFILE, &limit))
        return 2;
    if (prober_classes[0]->open(prober_classes[0], &options, &prober, NULL))
        return 3;
    const struct prober_facts facts = prober->class->facts(prober);
    if (facts.capacity == 0 || facts.capacity > 17 || !facts.limit ||
        strcmp(facts.limit, "file descriptors") != 0)
        return 4;
    for (size_t i = 0; i < 120; i++)
        probes[i] = probe_of(i, &address, i % 3 == 0 ? silent : i % 3 == 1 ? open : 1);
    ask(prober, probes, 120, 256, answers);
    for (size_t i = 0; i < 120; i++)
        if (i % 3 == 0 ? answers[i].kind != REPLY_SILENCE
                       : answers[i].kind != REPLY_ANSWER ||
                             answers[i].state != (i % 3 == 1 ? STATE_OPEN : STATE_CLOSED))
            return 5;
    prober->class->close(prober);
    return 0;
}

static void twenty_descriptors_are_enough(void **state)
{
    (void)state;
    uint16_t open;
    struct mute mute = mute_make("127.0.0.1");
    int listener = listen_on("127.0.0.1", 0, &open), status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(scan_with_few_descriptors(open, mute.port));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(listener);
    mute_release(&mute);
}

/* The descriptors go away under its hands: all of them are taken by somebody else in mid-scan. */
static int scan_while_descriptors_vanish(uint16_t silent)
{
    static struct probe probes[100];
    const struct address address = parse("127.0.0.1");
    struct prober *prober = NULL;
    const struct prober_options options = {.in_flight = 100, .timeout = fixed_timeout};
    if (prober_classes[0]->open(prober_classes[0], &options, &prober, NULL))
        return 1;
    for (size_t i = 0; i < 100; i++)
        probes[i] = probe_of(i, &address, i % 2 ? silent : 1);
    size_t taken = prober->class->submit(prober, probes, 20);
    if (taken != 20)
        return 2;
    int last = -1, fd;
    while ((fd = dup(0)) >= 0)
        last = fd;
    if (last < 0 || errno != EMFILE)
        return 3;
    struct reply reply;
    size_t silences = 0, closed = 0;
    while (silences + closed < 100) {
        if (taken < 100)
            taken += prober->class->submit(prober, &probes[taken], 100 - taken);
        while (prober->class->collect(prober, MS, &reply, 1)) {
            silences += reply.kind == REPLY_SILENCE;
            closed += reply.kind == REPLY_ANSWER && reply.state == STATE_CLOSED;
            if (reply.kind == REPLY_FAILURE)
                return 4;
        }
    }
    const struct prober_facts facts = prober->class->facts(prober);
    if (silences != 50 || closed != 50 || !facts.limit ||
        strcmp(facts.limit, "file descriptors") != 0)
        return 5;
    prober_close(prober);
    return 0;
}

static void vanishing_descriptors_slow_it_down(void **state)
{
    (void)state;
    struct mute mute = mute_make("127.0.0.1");
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {200, 200};
        setrlimit(RLIMIT_NOFILE, &limit);
        _exit(scan_while_descriptors_vanish(mute.port));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    mute_release(&mute);
}

static void the_limit_is_put_back(void **state)
{
    (void)state;
    struct rlimit old, during, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const struct rlimit low = {100, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct prober *prober = prober_open(10000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &during), 0);
    prober_close(prober);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(during.rlim_cur, old.rlim_max);
    assert_int_equal(after.rlim_cur, 100);
}

/* Ten ephemeral ports for forty attempts at the same silent port: it goes on when the first ones'
 * time is over. */
static void ephemeral_ports_run_out(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "10.9.8.7"};
    need_private_network();
    struct prober *prober = prober_open(1000);
    add_address("lo:1", "10.9.8.7");
    for (size_t a = 0; a < 2; a++) {
        static struct probe probes[40];
        const struct address address = parse(addresses[a]);
        struct mute mute = mute_make(addresses[a]);
        set_ephemeral_range("50000 50009");
        for (size_t i = 0; i < 40; i++)
            probes[i] = probe_of(i, &address, mute.port);
        ask(prober, probes, 40, 256, answers);
        for (size_t i = 0; i < 40; i++)
            assert_int_equal(answers[i].kind, REPLY_SILENCE);
        assert_string_equal(prober->class->facts(prober).limit, "ephemeral ports");
        mute_release(&mute);
        set_ephemeral_range("20000 60999");
    }
    prober_close(prober);
    remove_address("lo:1");
}

/* ---- what this machine cannot ask ---- */

static void without_a_route_there_is_no_state(void **state)
{
    (void)state;
    need_private_network();
    struct prober *prober = prober_open(10);
    static const char *const addresses[] = {"192.0.2.1", "2001:db8::1"};
    for (size_t i = 0; i < 2; i++) {
        const struct reply reply = ask_one(prober, addresses[i], 80);
        assert_int_equal(reply.kind, REPLY_FAILURE);
        assert_int_equal(reply.code, ENETUNREACH);
    }
    prober_close(prober);
}

/* ---- ICMP ---- */

/* Neighbours in the order are under different rules, and the first ones are closed. */
static size_t rule_port(size_t i)
{
    return (i * 107 + 407) % 500;
}

/* Rejected ports among closed ones, on this machine and on what looks like another: the reason of
 * each is the rule's, and none is lost because its neighbour was refused. */
static void rejections_are_told_from_refusals(void **state)
{
    (void)state;
    static const char rules[] = "nft 'table inet t { chain c { type filter hook input priority 0; "
                                "tcp dport 3000-3099 reject with icmpx port-unreachable; "
                                "tcp dport 3100-3199 reject with icmpx admin-prohibited; "
                                "tcp dport 3200-3299 reject with icmpx host-unreachable; "
                                "tcp dport 3300-3399 reject with tcp reset; "
                                "tcp dport 3400-3403 drop; }; }'";
    static const struct {
        const char *address;
        enum reason reasons[3];
    } cases[] = {
        {"127.0.0.1", {REASON_PORT_UNREACH, REASON_ADMIN_PROHIBITED, REASON_HOST_UNREACH}},
        {"::1", {REASON_PORT_UNREACH, REASON_ADMIN_PROHIBITED, REASON_HOST_UNREACH}},
    };
    need_private_network();
    set_ephemeral_range("20000 60999");
    if (system("nft list tables >/dev/null 2>&1") != 0)
        skip();
    assert_int_equal(system(rules), 0);
    for (size_t c = 0; c < 2; c++) {
        static struct probe probes[1000];
        const struct address address = parse(cases[c].address);
        struct prober *prober = prober_open(1000);
        for (size_t i = 0; i < 1000; i++)
            probes[i] = probe_of(i, &address, (uint16_t)(3000 + rule_port(i)));
        ask(prober, probes, 1000, 256, answers);
        for (size_t i = 0; i < 1000; i++) {
            const size_t port = rule_port(i);
            if (port >= 400 && port < 404) {
                assert_int_equal(answers[i].kind, REPLY_SILENCE);
            } else if (port >= 300) {
                assert_answer(&answers[i], STATE_CLOSED);
            } else {
                assert_int_equal(answers[i].kind, REPLY_ANSWER);
                assert_int_equal(answers[i].state, STATE_FILTERED);
                assert_int_equal(answers[i].reason, cases[c].reasons[port / 100]);
                assert_int_equal(answers[i].from.family, ADDRESS_NONE);
            }
        }
        prober_close(prober);
    }
    assert_int_equal(system("nft delete table inet t"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_asked),
        cmocka_unit_test(ipv6_is_asked),
        cmocka_unit_test(families_can_be_mixed),
        cmocka_unit_test(thousands_of_closed_ports),
        cmocka_unit_test(hundreds_of_open_ports),
        cmocka_unit_test(another_machine_is_asked),
        cmocka_unit_test(silence_takes_its_time_and_no_more),
        cmocka_unit_test(answers_overtake_silence),
        cmocka_unit_test(closing_early_leaks_nothing),
        cmocka_unit_test(replies_may_be_taken_one_by_one),
        cmocka_unit_test(a_reset_connection_was_open),
        cmocka_unit_test(nobody_meets_himself),
        cmocka_unit_test(no_connection_stays_behind),
        cmocka_unit_test(twenty_descriptors_are_enough),
        cmocka_unit_test(vanishing_descriptors_slow_it_down),
        cmocka_unit_test(the_limit_is_put_back),
        cmocka_unit_test(ephemeral_ports_run_out),
        cmocka_unit_test(without_a_route_there_is_no_state),
        cmocka_unit_test(rejections_are_told_from_refusals),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
