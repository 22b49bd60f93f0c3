/* Names of ports: the registry, /etc/services before it, patterns, "did you mean". */
#include "net/service.h"
#include "net/service_file.h"
#include "net/service_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Makes a file of `text` the machine's /etc/services. */
static void use_system_file(const char *text)
{
    char path[] = "/tmp/test_service.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(service_set_file(path), 0);
    unlink(path);
}

static int without_system_file(void **state)
{
    (void)state;
    return service_set_file("/dev/null");
}

static struct service found(enum protocol protocol, uint16_t number)
{
    struct service service = {0};
    if (!service_find((struct port){protocol, number}, &service))
        fail_msg("%u/%s has no name", number, protocol_name(protocol));
    assert_int_equal(service.port.protocol, protocol);
    assert_int_equal(service.port.number, number);
    return service;
}

static void test_registry(void **state)
{
    (void)state;
    struct service https = found(PROTOCOL_TCP, 443);
    assert_string_equal(https.name, "https");
    assert_string_equal(https.description, "http protocol over TLS/SSL");
    assert_string_equal(https.aliases, "");
    assert_int_equal(https.source, SERVICE_REGISTRY);
    assert_string_equal(found(PROTOCOL_SCTP, 443).description, "HTTPS");
    assert_string_equal(found(PROTOCOL_TCP, 512).name, "exec");
    assert_string_equal(found(PROTOCOL_UDP, 512).name, "biff");
    assert_string_equal(found(PROTOCOL_TCP, 80).name, "http");
    assert_string_equal(found(PROTOCOL_TCP, 6063).name, "x11");
    assert_string_equal(found(PROTOCOL_TCP, 3389).aliases, "rdp");

    struct service untouched = {.name = "untouched"};
    assert_false(service_find((struct port){PROTOCOL_TCP, 4}, &untouched));
    assert_false(service_find((struct port){PROTOCOL_TCP, 0}, &untouched));
    assert_false(service_find((struct port){PROTOCOL_TCP, 65535}, &untouched));
    assert_false(service_find((struct port){PROTOCOL_SCTP, 23}, &untouched));
    assert_string_equal(untouched.name, "untouched");
}

/* Every row of the table is found again, which also proves that it is sorted. */
static void test_every_row_is_found(void **state)
{
    (void)state;
    assert_true(service_count > 6000);
    uint32_t ports = 0;
    for (uint32_t i = 0; i < service_count; i++) {
        const char *name = service_text + SERVICE_ROW_TEXT(service_rows[i]);
        assert_true(strlen(name) > 0);
        for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
            if (SERVICE_ROW_PROTOCOLS(service_rows[i]) & 1u << protocol) {
                assert_ptr_equal(found(protocol, service_ports[i]).name, name);
                ports++;
            }
    }
    uint32_t known = 0;
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        for (uint32_t number = 0; number <= 65535; number++) {
            struct service service;
            known += service_find((struct port){protocol, (uint16_t)number}, &service);
        }
    assert_int_equal(known, ports); /* and nothing else is */
}

/* What a walk met, "80/tcp http;443/tcp https;" */
static int note(void *user, const struct service *service)
{
    buffer_add_format(user, "%u/%s %s;", service->port.number,
                      protocol_name(service->port.protocol), service->name);
    return 0;
}

static void expect_walk(const char *pattern, enum protocol protocol, const char *expected)
{
    struct buffer met = {0};
    assert_int_equal(service_walk(pattern, strlen(pattern), protocol, note, &met), 0);
    assert_string_equal(met.data ? met.data : "", expected);
    buffer_release(&met);
}

static void test_walk_by_name(void **state)
{
    (void)state;
    expect_walk("https", PROTOCOL_TCP, "443/tcp https;");
    expect_walk("HttpS", PROTOCOL_COUNT, "443/tcp https;443/udp https;443/sctp https;");
    expect_walk("rdp", PROTOCOL_TCP, "3389/tcp ms-wbt-server;");
    expect_walk("pgsql", PROTOCOL_TCP, "5432/tcp postgresql;");
    expect_walk("biff", PROTOCOL_TCP, "");
    expect_walk("", PROTOCOL_COUNT, "");
    expect_walk("nosuchservice", PROTOCOL_COUNT, "");
}

static void test_walk_by_pattern(void **state)
{
    (void)state;
    expect_walk("pop?", PROTOCOL_TCP, "109/tcp pop2;110/tcp pop3;");
    expect_walk("*wbt*", PROTOCOL_TCP, "3389/tcp ms-wbt-server;");
    expect_walk("m*s*w*b*t*r", PROTOCOL_UDP, "3389/udp ms-wbt-server;");
    expect_walk("postgr?s", PROTOCOL_TCP, "5432/tcp postgresql;"); /* an alias */
    expect_walk("sql*net", PROTOCOL_TCP, "66/tcp sql-net;150/tcp sql-net;");
    expect_walk("**imap***s", PROTOCOL_TCP, "993/tcp imaps;");
}

static int stop_at_second(void *user, const struct service *service)
{
    unsigned *count = user;
    return ++*count == 2 ? service->port.number : 0;
}

static void test_walk_ends_when_told(void **state)
{
    (void)state;
    unsigned count = 0;
    assert_int_equal(service_walk("pop?", 4, PROTOCOL_TCP, stop_at_second, &count), 110);
    assert_int_equal(count, 2);
}

static void expect_nearest(const char *word, const char *expected)
{
    char name[SERVICE_NAME_SIZE] = "untouched";
    const char *nearest = service_nearest(word, strlen(word), name);
    if (expected) {
        assert_ptr_equal(nearest, name);
        assert_string_equal(nearest, expected);
    } else {
        assert_null(nearest);
        assert_string_equal(name, "untouched");
    }
}

static void test_nearest(void **state)
{
    (void)state;
    expect_nearest("htps", "https");
    expect_nearest("htp", "http");
    expect_nearest("HTTPSS", "https");
    expect_nearest("shh", "ssh");
    expect_nearest("posgres", "postgres");
    expect_nearest("elastic", "elasticsearch");
    expect_nearest("zqzqzqzq", NULL);
    expect_nearest("", NULL);
    expect_nearest("x", NULL);
    expect_nearest("0123456789012345678901234567890123456789012345678901234567890123456789", NULL);
}

static void test_system_file_comes_first(void **state)
{
    (void)state;
    use_system_file("# our own\n"
                    "backdoor  4/tcp   hatch trapdoor\t# Never open this\n"
                    "https     443/tcp www-tls        # the registry says the same\n"
                    "intranet  8080/tcp\n"
                    "second    8080/tcp another\n"
                    "shout     9999/udp");
    struct service own = found(PROTOCOL_TCP, 4);
    assert_string_equal(own.name, "backdoor");
    assert_string_equal(own.description, "Never open this");
    assert_string_equal(own.aliases, "hatch trapdoor");
    assert_int_equal(own.source, SERVICE_SYSTEM);
    assert_false(service_find((struct port){PROTOCOL_UDP, 4}, &own));

    struct service same = found(PROTOCOL_TCP, 443);
    assert_int_equal(same.source, SERVICE_REGISTRY);
    assert_string_equal(same.description, "http protocol over TLS/SSL");

    assert_string_equal(found(PROTOCOL_TCP, 8080).name, "intranet"); /* the first line of a port */
    assert_int_equal(found(PROTOCOL_TCP, 8080).source, SERVICE_SYSTEM);
    assert_string_equal(found(PROTOCOL_UDP, 8080).name, "http-alt");
    assert_string_equal(found(PROTOCOL_UDP, 9999).name, "shout");

    expect_walk("trapdoor", PROTOCOL_COUNT, "4/tcp backdoor;");
    expect_walk("www-tls", PROTOCOL_COUNT, "443/tcp https;");
    expect_walk("another", PROTOCOL_COUNT, "8080/tcp intranet;");
    expect_walk("http-proxy", PROTOCOL_TCP, "8080/tcp intranet;"); /* the registry's names too */
    expect_nearest("trapdor", "trapdoor");
    expect_nearest("shoutt", "shout");
}

static void test_unreadable_file_changes_nothing(void **state)
{
    (void)state;
    use_system_file("backdoor 4/tcp\n");
    assert_int_equal(service_set_file("/nonexistent/services"), -ENOENT);
    assert_int_equal(service_set_file("/"), -EISDIR);
    assert_string_equal(found(PROTOCOL_TCP, 4).name, "backdoor");
}

static void expect_line(const char *text, const char *expected)
{
    struct service_line line;
    char read[128] = "none";
    if (service_line_parse(text, strlen(text), &line))
        snprintf(read, sizeof(read), "%u/%s [%.*s] [%.*s] [%.*s]", line.port.number,
                 protocol_name(line.port.protocol), (int)line.name_length, line.name,
                 (int)line.aliases_length, line.aliases, (int)line.comment_length, line.comment);
    assert_string_equal(read, expected);
}

static void test_lines_of_the_system_file(void **state)
{
    (void)state;
    expect_line("http 80/tcp", "80/tcp [http] [] []");
    expect_line("http\t\t80/tcp\twww web\t# WorldWideWeb # HTTP ",
                "80/tcp [http] [www web] [WorldWideWeb # HTTP]");
    expect_line("  syslog 514/udp\r", "514/udp [syslog] [] []");
    expect_line("m3ua 2905/sctp#x", "2905/sctp [m3ua] [] [x]");
    expect_line("zero 0/tcp #", "0/tcp [zero] [] []");
    expect_line("caf\xe9 1/tcp", "none");
    expect_line("x 1/tcp caf\xe9", "none");
    expect_line("x 1/tcp # caf\xe9", "1/tcp [x] [] [caf\xe9]");
    expect_line("", "none");
    expect_line("   ", "none");
    expect_line("# http 80/tcp", "none");
    expect_line("http", "none");
    expect_line("http 80", "none");
    expect_line("http 80/", "none");
    expect_line("http /tcp", "none");
    expect_line("http 80/ddp", "none");
    expect_line("http 80/TCP", "none");
    expect_line("http -80/tcp", "none");
    expect_line("http 65536/tcp", "none");
    expect_line("http 4294967376/tcp", "none");
    expect_line("http 80 /tcp", "none");
    expect_line("80/tcp http", "none");
    expect_line("a\x1b[2J 80/tcp", "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registry, without_system_file),
        cmocka_unit_test_setup(test_every_row_is_found, without_system_file),
        cmocka_unit_test_setup(test_walk_by_name, without_system_file),
        cmocka_unit_test_setup(test_walk_by_pattern, without_system_file),
        cmocka_unit_test_setup(test_walk_ends_when_told, without_system_file),
        cmocka_unit_test_setup(test_nearest, without_system_file),
        cmocka_unit_test(test_system_file_comes_first),
        cmocka_unit_test(test_unreadable_file_changes_nothing),
        cmocka_unit_test(test_lines_of_the_system_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
