/* Messages of the error queue, made by hand and by the kernel. */
#include "probe/error_queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/errqueue.h>

/* ---- messages by hand ---- */

/* A message under construction, in memory that ends where it ends. */
struct message {
    struct sockaddr_storage name;
    unsigned char *control;
    size_t length;
    struct msghdr header;
};

static struct address parse(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

static struct message message_to(const char *address, uint16_t port)
{
    const struct address to = parse(address);
    struct message message = {0};
    message.header.msg_namelen = address_to_sockaddr(&to, port, &message.name);
    return message;
}

/* Appends `length` bytes as a control message. */
static void add_control(struct message *message, int level, int type, const void *data,
                        size_t length)
{
    const size_t start = CMSG_ALIGN(message->length);
    const struct cmsghdr header = {
        .cmsg_len = CMSG_LEN(length), .cmsg_level = level, .cmsg_type = type};
    message->control = realloc(message->control, start + CMSG_LEN(length));
    assert_non_null(message->control);
    memset(message->control + message->length, 0, start + CMSG_LEN(length) - message->length);
    memcpy(message->control + start, &header, sizeof(header));
    memcpy(message->control + start + CMSG_LEN(0), data, length);
    message->length = start + CMSG_LEN(length);
}

/* The kernel's struct with the address of who sent the ICMP error after it. */
struct extended {
    struct sock_extended_err error;
    struct sockaddr_storage offender;
};

static struct extended extended_error(uint8_t origin, uint8_t type, uint8_t code,
                                      const char *offender)
{
    const struct address from = parse(offender);
    struct extended extended = {
        .error = {.ee_errno = EHOSTUNREACH, .ee_origin = origin, .ee_type = type, .ee_code = code},
    };
    address_to_sockaddr(&from, 0, &extended.offender);
    return extended;
}

#define WITH_OFFENDER4 (sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))
#define WITH_OFFENDER6 (sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))

static bool read_message(struct message *message, struct icmp_error *ret_error)
{
    message->header.msg_name = &message->name;
    message->header.msg_control = message->control;
    message->header.msg_controllen = message->length;
    bool found = error_queue_read(&message->header, ret_error);
    free(message->control);
    message->control = NULL;
    return found;
}

static void assert_address(const struct address *address, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(address, text), expected);
}

static void every_icmp_error_has_its_reason(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++)
        for (unsigned code = 0; code < 256; code += type == ICMP_DEST_UNREACH ? 1 : 51) {
            const struct extended extended =
                extended_error(SO_EE_ORIGIN_ICMP, (uint8_t)type, (uint8_t)code, "198.51.100.1");
            struct message message = message_to("192.0.2.7", 443);
            struct icmp_error error;
            add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
            assert_true(read_message(&message, &error));
            assert_int_equal(error.reason, reason_from_icmp((uint8_t)type, (uint8_t)code));
            assert_address(&error.to.address, "192.0.2.7");
            assert_int_equal(error.to.port.number, 443);
            assert_int_equal(error.to.port.protocol, PROTOCOL_TCP);
            assert_address(&error.from, "198.51.100.1");
        }
}

static void every_icmp6_error_has_its_reason(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++)
        for (unsigned code = 0; code < 256; code += type == ICMP6_DST_UNREACH ? 1 : 51) {
            const struct extended extended =
                extended_error(SO_EE_ORIGIN_ICMP6, (uint8_t)type, (uint8_t)code, "2001:db8::1");
            struct message message = message_to("2001:db8::7", 22);
            struct icmp_error error;
            add_control(&message, IPPROTO_IPV6, IPV6_RECVERR, &extended, WITH_OFFENDER6);
            assert_true(read_message(&message, &error));
            assert_int_equal(error.reason, reason_from_icmp6((uint8_t)type, (uint8_t)code));
            assert_address(&error.to.address, "2001:db8::7");
            assert_int_equal(error.to.port.number, 22);
            assert_address(&error.from, "2001:db8::1");
        }
}

static void the_reasons_are_the_right_way_round(void **state)
{
    (void)state;
    const struct extended port = extended_error(SO_EE_ORIGIN_ICMP, 3, 3, "192.0.2.7");
    struct message message = message_to("192.0.2.7", 1);
    struct icmp_error error;
    add_control(&message, IPPROTO_IP, IP_RECVERR, &port, WITH_OFFENDER4);
    assert_true(read_message(&message, &error));
    assert_int_equal(error.reason, REASON_PORT_UNREACH);

    const struct extended admin = extended_error(SO_EE_ORIGIN_ICMP6, 1, 1, "2001:db8::1");
    message = message_to("2001:db8::7", 1);
    add_control(&message, IPPROTO_IPV6, IPV6_RECVERR, &admin, WITH_OFFENDER6);
    assert_true(read_message(&message, &error));
    assert_int_equal(error.reason, REASON_ADMIN_PROHIBITED);
}

/* An IPv6 socket that asks an IPv4 address hears of IPv4's errors. */
static void mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    const struct extended extended = extended_error(SO_EE_ORIGIN_ICMP, 3, 1, "198.51.100.1");
    struct message message = {.name.ss_family = AF_INET6};
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct icmp_error error;
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &name.sin6_addr), 1);
    memcpy(&message.name, &name, sizeof(name));
    message.header.msg_namelen = sizeof(name);
    add_control(&message, IPPROTO_IPV6, IPV6_RECVERR, &extended, WITH_OFFENDER4);
    assert_true(read_message(&message, &error));
    assert_address(&error.to.address, "192.0.2.7");
    assert_int_equal(error.reason, REASON_HOST_UNREACH);
}

/* Without the whole of its address, who sent the error is not known; the error still is. */
static void a_cut_offender_is_left_out(void **state)
{
    (void)state;
    const struct extended four = extended_error(SO_EE_ORIGIN_ICMP, 3, 13, "198.51.100.1");
    const struct extended six = extended_error(SO_EE_ORIGIN_ICMP6, 1, 1, "2001:db8::1");
    for (size_t length = sizeof(struct sock_extended_err); length <= WITH_OFFENDER6; length++) {
        struct message message = message_to("192.0.2.7", 80);
        struct icmp_error error;
        add_control(&message, IPPROTO_IP, IP_RECVERR, &four, length);
        assert_true(read_message(&message, &error));
        assert_int_equal(error.reason, REASON_ADMIN_PROHIBITED);
        assert_int_equal(error.from.family, length >= WITH_OFFENDER4 ? ADDRESS_IPV4 : ADDRESS_NONE);

        message = message_to("2001:db8::7", 80);
        add_control(&message, IPPROTO_IPV6, IPV6_RECVERR, &six, length);
        assert_true(read_message(&message, &error));
        assert_int_equal(error.from.family, length >= WITH_OFFENDER6 ? ADDRESS_IPV6 : ADDRESS_NONE);
    }
    /* So it is when the kernel does not know, and writes AF_UNSPEC. */
    struct extended unknown = four;
    struct message message = message_to("192.0.2.7", 80);
    struct icmp_error error;
    unknown.offender.ss_family = AF_UNSPEC;
    add_control(&message, IPPROTO_IP, IP_RECVERR, &unknown, sizeof(unknown));
    assert_true(read_message(&message, &error));
    assert_int_equal(error.from.family, ADDRESS_NONE);
}

static void foreign_control_messages_are_passed_over(void **state)
{
    (void)state;
    const struct extended extended = extended_error(SO_EE_ORIGIN_ICMP, 3, 10, "198.51.100.1");
    const struct extended local = extended_error(SO_EE_ORIGIN_LOCAL, 3, 3, "198.51.100.1");
    const struct timespec stamps[3] = {{.tv_sec = 1}};
    const int ttl = 64;
    struct message message = message_to("192.0.2.7", 80);
    struct icmp_error error;
    add_control(&message, SOL_SOCKET, SCM_TIMESTAMPNS, stamps, sizeof(stamps));
    add_control(&message, IPPROTO_IP, IP_TTL, &ttl, 1); /* not a multiple of the alignment */
    add_control(&message, IPPROTO_IP, IP_RECVERR, &local, WITH_OFFENDER4);
    add_control(&message, SOL_SOCKET, IP_RECVERR, &local, WITH_OFFENDER4);
    add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
    assert_true(read_message(&message, &error));
    assert_int_equal(error.reason, REASON_HOST_PROHIBITED);
}

static void what_is_no_icmp_error_is_none(void **state)
{
    (void)state;
    static const uint8_t origins[] = {SO_EE_ORIGIN_NONE, SO_EE_ORIGIN_LOCAL,
                                      SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY, 255};
    const struct icmp_error untouched = {.reason = REASON_BEYOND_SCOPE};
    struct icmp_error error = untouched;
    for (size_t i = 0; i < sizeof(origins); i++) {
        const struct extended extended = extended_error(origins[i], 3, 3, "198.51.100.1");
        struct message message = message_to("192.0.2.7", 80);
        add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
        assert_false(read_message(&message, &error));
    }
    struct message empty = message_to("192.0.2.7", 80);
    assert_false(read_message(&empty, &error));
    const struct extended extended = extended_error(SO_EE_ORIGIN_ICMP, 3, 3, "198.51.100.1");
    for (size_t length = 0; length < sizeof(struct sock_extended_err); length++) {
        struct message message = message_to("192.0.2.7", 80);
        add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, length);
        assert_false(read_message(&message, &error));
    }
    assert_int_equal(error.reason, REASON_BEYOND_SCOPE);
}

/* Whose attempt it was must be known. */
static void a_message_about_nobody_is_none(void **state)
{
    (void)state;
    const struct extended extended = extended_error(SO_EE_ORIGIN_ICMP, 3, 3, "198.51.100.1");
    struct icmp_error error;
    for (socklen_t length = 0; length < sizeof(struct sockaddr_in); length++) {
        struct message message = message_to("192.0.2.7", 80);
        message.header.msg_namelen = length;
        add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
        assert_false(read_message(&message, &error));
    }
    struct message local = message_to("192.0.2.7", 80);
    local.name.ss_family = AF_UNIX;
    add_control(&local, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
    assert_false(read_message(&local, &error));
}

/* Lengths that reach past the end, also the first message's and those that overflow. */
static void lengths_are_not_believed(void **state)
{
    (void)state;
    static const size_t lengths[] = {
        0, 1, 15, WITH_OFFENDER4 + 100, INT32_MAX, SIZE_MAX - 15, SIZE_MAX, SIZE_MAX / 2,
    };
    const struct extended extended = extended_error(SO_EE_ORIGIN_ICMP, 3, 3, "198.51.100.1");
    const int ttl = 64;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (unsigned second = 0; second < 2; second++) {
            struct message message = message_to("192.0.2.7", 80);
            struct icmp_error error;
            if (second)
                add_control(&message, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
            const size_t start = CMSG_ALIGN(message.length);
            add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
            memcpy(message.control + start, &lengths[i], sizeof(lengths[i]));
            assert_false(read_message(&message, &error));
        }
    /* Cut off anywhere, it is either the error or nothing. */
    for (size_t length = 0; length <= CMSG_LEN(WITH_OFFENDER4); length++) {
        struct message message = message_to("192.0.2.7", 80);
        struct icmp_error error;
        add_control(&message, IPPROTO_IP, IP_RECVERR, &extended, WITH_OFFENDER4);
        message.control = realloc(message.control, length ? length : 1);
        message.length = length;
        assert_int_equal(read_message(&message, &error), length == CMSG_LEN(WITH_OFFENDER4));
    }
}

/* ---- the kernel's own ---- */

/* A UDP port of loopback without a socket: the kernel itself sends the ICMP error. (It quotes UDP;
 * what is queued has the same form for TCP.) */
static void ask_closed_udp_port(const char *address, enum address_family family,
                                struct icmp_error *ret_error, uint16_t *ret_port)
{
    const struct address target = parse(address);
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(&target, 0, &name);
    struct address bound;
    int closed = socket(name.ss_family, SOCK_DGRAM, 0),
        asking = socket(name.ss_family, SOCK_DGRAM, 0);
    assert_true(closed >= 0 && asking >= 0);
    assert_int_equal(bind(closed, (struct sockaddr *)&name, length), 0);
    assert_int_equal(getsockname(closed, (struct sockaddr *)&name, &length), 0);
    assert_true(address_from_sockaddr((struct sockaddr *)&name, &bound, ret_port));
    close(closed);

    assert_int_equal(error_queue_enable(asking, family), 0);
    assert_false(error_queue_next(asking, ret_error));
    assert_int_equal(sendto(asking, "?", 1, 0, (struct sockaddr *)&name, length), 1);
    struct pollfd ready = {.fd = asking};
    assert_int_equal(poll(&ready, 1, 2000), 1);
    assert_true(error_queue_next(asking, ret_error));
    struct icmp_error none;
    assert_false(error_queue_next(asking, &none));
    close(asking);
}

static void the_kernel_tells_of_ipv4(void **state)
{
    (void)state;
    struct icmp_error error;
    uint16_t port;
    ask_closed_udp_port("127.0.0.1", ADDRESS_IPV4, &error, &port);
    assert_int_equal(error.reason, REASON_PORT_UNREACH);
    assert_int_equal(error.to.port.number, port);
    assert_address(&error.to.address, "127.0.0.1");
    assert_address(&error.from, "127.0.0.1");
}

static void the_kernel_tells_of_ipv6(void **state)
{
    (void)state;
    struct icmp_error error;
    uint16_t port;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool there = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof(loopback)) == 0;
    if (fd >= 0)
        close(fd);
    if (!there)
        skip();
    ask_closed_udp_port("::1", ADDRESS_IPV6, &error, &port);
    assert_int_equal(error.reason, REASON_PORT_UNREACH);
    assert_int_equal(error.to.port.number, port);
    assert_address(&error.to.address, "::1");
    assert_address(&error.from, "::1");
}

static void what_is_no_socket_has_no_queue(void **state)
{
    (void)state;
    struct icmp_error error;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(error_queue_enable(ends[0], ADDRESS_IPV4), -ENOTSOCK);
    assert_false(error_queue_next(ends[0], &error));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_icmp_error_has_its_reason),
        cmocka_unit_test(every_icmp6_error_has_its_reason),
        cmocka_unit_test(the_reasons_are_the_right_way_round),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(a_cut_offender_is_left_out),
        cmocka_unit_test(foreign_control_messages_are_passed_over),
        cmocka_unit_test(what_is_no_icmp_error_is_none),
        cmocka_unit_test(a_message_about_nobody_is_none),
        cmocka_unit_test(lengths_are_not_believed),
        cmocka_unit_test(the_kernel_tells_of_ipv4),
        cmocka_unit_test(the_kernel_tells_of_ipv6),
        cmocka_unit_test(what_is_no_socket_has_no_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
