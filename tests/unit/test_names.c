/* Names of addresses, from a hosts file and from a name server of our own on loopback. */
#include "local/names.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define HEADER 12
#define LONG_ENOUGH (10 * NANOSECONDS_PER_SECOND)

/* ---- a name server ---- */

static int server = -1;
static char server_word[32];
static atomic_bool ending;
static atomic_uint asked; /* how often a question came */

static size_t add_label(unsigned char *at, const char *text, size_t length)
{
    at[0] = (unsigned char)length;
    memcpy(at + 1, text, length);
    return length + 1;
}

/* The answer to the question for "7.0.0.10.in-addr.arpa" depends on its first number. Returns how
 * long it is; 0: none. */
static size_t answer(unsigned char *message, size_t length)
{
    char number[64] = {0};
    if (length < HEADER + 5 || message[HEADER] >= sizeof(number))
        return 0;
    memcpy(number, message + HEADER + 1, message[HEADER]);
    const unsigned value = (unsigned)strtoul(number, NULL, 10);
    if (value == 66)
        return 0; /* says nothing */
    message[2] = 0x85;
    message[3] = 0x80;
    memset(message + 6, 0, 6);
    if (value == 40) {
        message[3] |= 3; /* no such name */
        return length;
    }
    size_t end = HEADER;
    while (end < length && message[end] != 0)
        end += (size_t)message[end] + 1;
    end += 5; /* the root, type and class; what may follow is left out */
    if (end > length)
        return 0;
    static const unsigned char record[] = {0xc0, HEADER, 0, 12, 0, 1, 0, 0, 0, 60, 0, 0};
    memcpy(message + end, record, sizeof(record));
    unsigned char *data = message + end + sizeof(record);
    char host[32];
    size_t size = 0;
    if (value == 13)
        size = add_label(data, "e\x1b[2J\nvil", 9);
    else
        size = add_label(data, host, (size_t)snprintf(host, sizeof(host), "host-%s", number));
    size += add_label(data + size, "example", 7);
    data[size++] = 0;
    data[-1] = (unsigned char)size;
    message[7] = 1; /* answers */
    return (size_t)(data - message) + size;
}

static void *serve(void *user)
{
    (void)user;
    unsigned char message[1024];
    while (!ending) {
        struct sockaddr_in from;
        socklen_t length = sizeof(from);
        const ssize_t got = recvfrom(server, message, 512, 0, (struct sockaddr *)&from, &length);
        if (got <= 0)
            continue;
        asked++;
        const size_t size = answer(message, (size_t)got);
        if (size > 0)
            sendto(server, message, size, 0, (const struct sockaddr *)&from, length);
    }
    return NULL;
}

static pthread_t server_thread;

static int start_server(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const struct timeval patience = {.tv_usec = 50000};
    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(server, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &length) != 0 ||
        setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
        return -1;
    snprintf(server_word, sizeof(server_word), "127.0.0.1:%u", ntohs(address.sin_port));
    return pthread_create(&server_thread, NULL, serve, NULL);
}

static int stop_server(void **state)
{
    (void)state;
    ending = true;
    pthread_join(server_thread, NULL);
    return close(server);
}

/* ---- tests ---- */

static struct names *open_names(const char *hosts)
{
    struct names *names = NULL;
    struct error error = {0};
    const struct names_options options = {.hosts = hosts, .servers = server_word};
    if (names_open(&options, &names, &error) != 0)
        fail_msg("%s", error.message);
    return names;
}

static struct address ipv4(unsigned last)
{
    return (struct address){.value = 0x0a000000u | last, .family = ADDRESS_IPV4};
}

static void expect_name(const struct names *names, struct address address, const char *name)
{
    const char *found = names_find(names, &address);
    if (!name) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, name);
}

static void servers_are_asked_once_for_each(void **state)
{
    (void)state;
    struct names *names = open_names("/dev/null");
    struct address addresses[200];
    for (unsigned i = 0; i < COUNT(addresses); i++)
        addresses[i] = ipv4(100 + i % 100); /* each twice */
    asked = 0;
    assert_int_equal(names_ask(names, addresses, COUNT(addresses)), 0);
    assert_true(names_wait(names, LONG_ENOUGH));
    for (unsigned i = 100; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "host-%u.example", i);
        expect_name(names, ipv4(i), name);
    }
    const unsigned before = asked;
    assert_in_range(before, 100, 300); /* datagrams may be lost and repeated */
    assert_int_equal(names_ask(names, addresses, COUNT(addresses)), 0);
    assert_true(names_wait(names, 0));
    assert_int_equal(asked, before);
    names_close(names);
}

static void ipv6_without_its_scope(void **state)
{
    (void)state;
    struct names *names = open_names("/dev/null");
    const struct address address = {
        .value = (uint128_t)0xfe80 << 112 | 0x5, .scope = 1, .family = ADDRESS_IPV6};
    assert_int_equal(names_ask(names, &address, 1), 0);
    assert_true(names_wait(names, LONG_ENOUGH));
    expect_name(names, address, "host-5.example");
    names_close(names);
}

static void some_have_no_name(void **state)
{
    (void)state;
    struct names *names = open_names("/dev/null");
    const struct address addresses[] = {ipv4(40), ipv4(13), ipv4(7), {0}, {.family = ADDRESS_IPV6}};
    assert_int_equal(names_ask(names, addresses, COUNT(addresses)), 0);
    assert_true(names_wait(names, LONG_ENOUGH));
    expect_name(names, ipv4(40), NULL);
    expect_name(names, ipv4(13), NULL); /* is no name that could be shown */
    expect_name(names, ipv4(7), "host-7.example");
    expect_name(names, ipv4(8), NULL); /* never asked for */
    assert_null(names_find(NULL, &addresses[0]));
    names_close(names);
}

/* Who says nothing does not keep the others from their names, and is given up with the table. */
static void silence_is_not_waited_for(void **state)
{
    (void)state;
    struct names *names = open_names("/dev/null");
    const struct address addresses[] = {ipv4(66), ipv4(7)};
    assert_int_equal(names_ask(names, addresses, COUNT(addresses)), 0);
    while (!names_find(names, &addresses[1]))
        assert_false(names_wait(names, 20 * NANOSECONDS_PER_MILLISECOND));
    expect_name(names, ipv4(7), "host-7.example");
    assert_false(names_wait(names, 0));
    names_close(names);
}

static void the_hosts_file_comes_first(void **state)
{
    (void)state;
    char path[] = "/tmp/porthole-hosts-XXXXXX";
    const int fd = mkstemp(path);
    static const char text[] = "# comment\n"
                               "10.0.0.7 seven seven.alias # more\n"
                               "10.0.0.7 second\n"
                               "  10.0.0.8\tEight.Example.\r\n"
                               "0.0.0.0 blocked.example\n"
                               "10.0.0.9\n"
                               "10.0.0.300 wrong\n"
                               "10.0.0.10 -option\n"
                               "10.0.0.11 e\x1b[2J\n"
                               "::1 six\n"
                               "10.0.0.12 last";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    struct names *names = open_names(path);
    unlink(path);
    asked = 0;
    const struct address addresses[] = {ipv4(7), ipv4(8), ipv4(12)};
    assert_int_equal(names_ask(names, addresses, COUNT(addresses)), 0);
    assert_true(names_wait(names, 0));
    assert_int_equal(asked, 0);
    expect_name(names, ipv4(7), "seven");
    expect_name(names, ipv4(8), "Eight.Example");
    expect_name(names, ipv4(9), NULL);
    expect_name(names, ipv4(10), NULL);
    expect_name(names, ipv4(11), NULL);
    expect_name(names, ipv4(12), "last");
    expect_name(names, (struct address){.value = 1, .family = ADDRESS_IPV6}, "six");
    expect_name(names, (struct address){.family = ADDRESS_IPV4}, NULL);
    names_close(names);
}

static void a_machine_without_a_hosts_file(void **state)
{
    (void)state;
    struct names *names = open_names("/nonexistent/hosts");
    expect_name(names, ipv4(7), NULL);
    names_close(names);
    names_close(NULL);
}

static void wrong_servers_are_refused(void **state)
{
    (void)state;
    struct names *names = NULL;
    struct error error = {0};
    const struct names_options options = {.hosts = "/dev/null", .servers = "not a server"};
    assert_int_equal(names_open(&options, &names, &error), -EINVAL);
    assert_null(names);
    assert_non_null(strstr(error.message, "names cannot be asked for"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_are_asked_once_for_each),
        cmocka_unit_test(ipv6_without_its_scope),
        cmocka_unit_test(some_have_no_name),
        cmocka_unit_test(silence_is_not_waited_for),
        cmocka_unit_test(the_hosts_file_comes_first),
        cmocka_unit_test(a_machine_without_a_hosts_file),
        cmocka_unit_test(wrong_servers_are_refused),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
