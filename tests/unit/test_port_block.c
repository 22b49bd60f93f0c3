/* Reserved source ports: nobody else gets them, and what comes for them is reset. */
#include "net/port_block.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 16 };

static struct port_block reserve(uint16_t count)
{
    struct port_block block = {0};
    struct error error = {0};
    assert_int_equal(port_block_open(count, &block, &error), 0);
    return block;
}

/* Tries to bind 127.0.0.1 or, when `ipv6`, ::1. Returns 0 or the errno. */
static int try_bind(uint16_t port, int ipv6, int option)
{
    const int one = 1;
    const struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const int descriptor = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    assert_true(descriptor >= 0);
    if (option != 0)
        assert_int_equal(setsockopt(descriptor, SOL_SOCKET, option, &one, sizeof(one)), 0);
    const int result = ipv6 ? bind(descriptor, (const struct sockaddr *)&six, sizeof(six))
                            : bind(descriptor, (const struct sockaddr *)&four, sizeof(four));
    const int code = result == 0 ? 0 : errno;
    close(descriptor);
    return code;
}

static int has_ipv6(void)
{
    const int descriptor = socket(AF_INET6, SOCK_STREAM, 0);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

static void ports_are_in_the_range_of_outgoing_connections(void **state)
{
    (void)state;
    unsigned first = 0, last = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u %u", &first, &last), 2);
    fclose(file);
    struct port_block block = reserve(COUNT);
    assert_int_equal(block.count, COUNT);
    assert_int_equal(block.first % COUNT, 0);
    assert_true(block.first >= first);
    assert_true(block.first + COUNT - 1u <= last);
    port_block_close(&block);
    assert_int_equal(block.count, 0);
}

static void nobody_else_binds_them(void **state)
{
    (void)state;
    struct port_block block = reserve(COUNT);
    const int options[] = {0, SO_REUSEADDR, SO_REUSEPORT};
    for (uint16_t i = 0; i < COUNT; i++) {
        for (size_t option = 0; option < sizeof(options) / sizeof(*options); option++) {
            const uint16_t port = (uint16_t)(block.first + i);
            assert_int_equal(try_bind(port, 0, options[option]), EADDRINUSE);
            if (has_ipv6())
                assert_int_equal(try_bind(port, 1, options[option]), EADDRINUSE);
        }
    }
    port_block_close(&block);
}

static void closing_gives_them_back(void **state)
{
    (void)state;
    /* Another program may take one port meanwhile, but hardly one of every block. */
    int free_again = 0;
    for (int i = 0; i < 3; i++) {
        struct port_block block = reserve(COUNT);
        const uint16_t port = block.first;
        port_block_close(&block);
        free_again += try_bind(port, 0, 0) == 0;
    }
    assert_true(free_again > 0);
}

static void blocks_do_not_overlap(void **state)
{
    (void)state;
    struct port_block blocks[8];
    for (size_t i = 0; i < 8; i++)
        blocks[i] = reserve(COUNT);
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(blocks[i].first != blocks[j].first);
    for (size_t i = 0; i < 8; i++)
        port_block_close(&blocks[i]);
}

/* Connecting is refused at once where nobody listens: the bound sockets do not take it. */
static void what_comes_is_refused(void **state)
{
    (void)state;
    struct port_block block = reserve(1);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(block.first),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(descriptor >= 0);
    assert_int_equal(connect(descriptor, (const struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(descriptor);
    port_block_close(&block);
}

static void failure_leaves_nothing_behind(void **state)
{
    (void)state;
    struct port_block block = {.first = 7, .count = 7};
    struct error error = {0};
    /* No range has a block of this size that begins at a multiple of it. */
    assert_int_equal(port_block_open(UINT16_MAX, &block, &error), -EADDRINUSE);
    assert_int_equal(error.code, EADDRINUSE);
    assert_non_null(strstr(error.message, "65535 TCP ports in a row"));
    assert_int_equal(block.first, 7);
    assert_int_equal(block.count, 7);

    /* With too few descriptors those that were taken are closed again. */
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int next = dup(0);
    assert_true(next >= 0);
    close(next);
    const struct rlimit few = {.rlim_cur = (rlim_t)next + 5, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    const int code = port_block_open(COUNT, &block, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(code, -EMFILE);
    assert_int_equal(error.code, EMFILE);
    const int again = dup(0);
    assert_int_equal(again, next);
    close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_in_the_range_of_outgoing_connections),
        cmocka_unit_test(nobody_else_binds_them),
        cmocka_unit_test(closing_gives_them_back),
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(what_comes_is_refused),
        cmocka_unit_test(failure_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
