/* Reserved source ports: nobody else gets them, and what comes for them is reset. */
#include "net/packet.h"
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
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

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

/* A socket that listens on a port of 127.0.0.1, which is told. */
static int listen_somewhere(struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(descriptor >= 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(descriptor, 4), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &length), 0);
    *ret_address = address;
    return descriptor;
}

/* Connects from a port of the block, if the kernel gives any. Returns 0 or the errno. */
static int connect_from(const struct port_block *block, const struct sockaddr_in *to)
{
    const uint32_t last = block->first + block->count - 1u, range = last << 16 | block->first;
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(descriptor >= 0);
    int code = 0;
    if (setsockopt(descriptor, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) != 0 ||
        connect(descriptor, (const struct sockaddr *)to, sizeof(*to)) != 0)
        code = errno;
    close(descriptor);
    return code;
}

static void no_connection_leaves_by_them(void **state)
{
    (void)state;
    struct sockaddr_in to;
    const int listener = listen_somewhere(&to);
    struct port_block block = reserve(COUNT);
    const struct port_block was = block;
    const int reserved = connect_from(&was, &to);
    port_block_close(&block);
    const int given_back = connect_from(&was, &to);
    close(listener);
    if (reserved == ENOPROTOOPT)
        skip(); /* Linux 6.3 was the first to let a socket choose its range */
    assert_int_equal(reserved, EADDRNOTAVAIL);
    assert_int_equal(given_back, 0);
}

/* Waits for a RST from one port of 127.0.0.1 to another among all that comes there. */
static int reset_comes(int descriptor, uint16_t from, uint16_t to)
{
    unsigned char bytes[2048];
    for (int packets = 0; packets < 100000; packets++) {
        const ssize_t length = recv(descriptor, bytes, sizeof(bytes), 0);
        struct ip_view ip;
        struct tcp_view tcp;
        if (length < 0)
            return 0;
        if (ip_view_parse(bytes, (size_t)length, false, &ip) && tcp_view_parse(&ip, false, &tcp) &&
            tcp.flags & TCP_RST && tcp.source == from && tcp.destination == to)
            return 1;
    }
    return 0;
}

static void late_answers_are_reset(void **state)
{
    (void)state;
    const int one = 1;
    const struct timeval patience = {.tv_sec = 30};
    const int descriptor = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
    if (descriptor < 0)
        skip(); /* only root may send what a peer would */
    assert_int_equal(setsockopt(descriptor, IPPROTO_IP, IP_HDRINCL, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
                     0);
    struct port_block block = reserve(2);
    const struct address loopback = {.family = ADDRESS_IPV4, .value = INADDR_LOOPBACK};
    const struct tcp_packet packet = {.source = loopback,
                                      .destination = loopback,
                                      .source_port = (uint16_t)(block.first + 1),
                                      .destination_port = block.first,
                                      .sequence = 1,
                                      .acknowledgment = 2,
                                      .flags = TCP_SYN | TCP_ACK,
                                      .ttl = 64};
    unsigned char bytes[TCP_PACKET_MAXIMUM];
    const size_t length = tcp_packet_build(&packet, bytes);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sendto(descriptor, bytes, length, 0, (const struct sockaddr *)&to, sizeof(to)),
                     length);
    assert_true(reset_comes(descriptor, block.first, (uint16_t)(block.first + 1)));
    port_block_close(&block);
    close(descriptor);
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
        cmocka_unit_test(no_connection_leaves_by_them),
        cmocka_unit_test(late_answers_are_reset),
        cmocka_unit_test(failure_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
