/* Addresses: text to value, value to text, the kernel's form, and where the complaints point. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct address parsed(const char *text)
{
    struct address address = {0};
    struct error error = {0};
    if (address_parse(text, strlen(text), &address, &error) != 0)
        fail_msg("%s: %s", text, error.message);
    return address;
}

/* Text, and the canonical form that it is printed in. */
static const char *const texts[][2] = {
    {"0.0.0.0", "0.0.0.0"},
    {"192.0.2.1", "192.0.2.1"},
    {"255.255.255.255", "255.255.255.255"},
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"2001:db8::1", "2001:db8::1"},
    {"2001:0DB8:0:0:0:0:0:0001", "2001:db8::1"},
    {"2001:db8::", "2001:db8::"},
    {"::1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"},
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
    {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
    {"1:0:0:2:3:0:0:4", "1::2:3:0:0:4"},    /* the first of equal runs */
    {"1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"}, /* one group is not shortened */
    {"::1.2.3.4", "::102:304"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"fe80::1", "fe80::1"},
    {"fe80::1%999999", "fe80::1%999999"}, /* an index need not exist */
    {"::ffff:192.0.2.1", "192.0.2.1"},    /* connects over IPv4, so it is IPv4 */
    {"::FFFF:c000:201", "192.0.2.1"},
    {"::fffe:192.0.2.1", "::fffe:c000:201"},
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char text[ADDRESS_TEXT_SIZE];
        const struct address address = parsed(texts[i][0]);
        assert_string_equal(address_format(&address, text), texts[i][1]);
        const struct address again = parsed(text);
        assert_true(address_equal(&address, &again));
    }
}

/* The C library agrees about every address without a zone. */
static void test_against_inet_pton(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (strchr(texts[i][0], '%'))
            continue;
        const struct address address = parsed(texts[i][1]);
        struct sockaddr_storage storage;
        address_to_sockaddr(&address, 0, &storage);
        unsigned char expected[16];
        if (address.family == ADDRESS_IPV4) {
            assert_int_equal(inet_pton(AF_INET, texts[i][1], expected), 1);
            assert_memory_equal(&((struct sockaddr_in *)&storage)->sin_addr, expected, 4);
        } else {
            assert_int_equal(inet_pton(AF_INET6, texts[i][1], expected), 1);
            assert_memory_equal(&((struct sockaddr_in6 *)&storage)->sin6_addr, expected, 16);
        }
    }
}

static const struct {
    const char *text;
    size_t column;
    const char *message;
} faults[] = {
    {"", 0, "an address is missing, such as 192.0.2.1 or 2001:db8::1"},
    {"localhost", 0, "an octet is a number from 0 to 255"},
    {"10.0.0.256", 7, "octet 256 is above 255"},
    {"10.0.0.4294967297", 7, "octet 4294967297 is above 255"},
    {"10.0.0.99999999999999999", 7, "octet 999999999999... is above 255"},
    {"010.0.0.1", 0, "octet 010 could be octal or decimal: write it without leading zeros"},
    {"10.0.0.00", 7, "octet 00 could be octal or decimal: write it without leading zeros"},
    {"80", 2, "an IPv4 address has four octets, as in 192.0.2.1, and this has 1"},
    {"1.2.3", 5, "an IPv4 address has four octets, as in 192.0.2.1, and this has 3"},
    {"1.2.3.", 6, "an IPv4 address has four octets, as in 192.0.2.1, and this has 3"},
    {"1.2.3.4.5", 7, "an IPv4 address has four octets, and this begins a fifth"},
    {"1..3.4", 2, "an octet is a number from 0 to 255"},
    {"1.2,3.4", 3, "an IPv4 address is made of digits and dots"},
    {"1.2.3.4x", 7, "an IPv4 address ends after its fourth octet"},
    {"1.2.3.4%lo", 7, "only an IPv6 address has a zone"},
    {"192.0.2.1:80", 9,
     "an IPv6 address has two colons or more, and a port is no part of an address"},
    {"2001:db8::g", 10, "an IPv6 address is made of hexadecimal digits and colons"},
    {"2001:db8:x::", 9, "an IPv6 address is made of hexadecimal digits and colons"},
    {"2001:db8::1g", 11, "an IPv6 address is made of hexadecimal digits and colons"},
    {"2001:00db8::1", 5, "a group of an IPv6 address has at most four hexadecimal digits"},
    {"1::2::3", 4, "'::' may stand only once in an IPv6 address"},
    {":::", 2, "one to four hexadecimal digits are missing here"},
    {":1:2:3:4:5:6:7", 0, "one to four hexadecimal digits are missing here"},
    {"1:2:3:4:5:6:7:", 13, "an IPv6 address does not end in a single colon"},
    {"1:2:3", 5, "an IPv6 address has eight groups unless '::' stands for some, and this has 3"},
    {"1:2:3:4:5:6:7:8:9", 16, "an IPv6 address has eight groups, and this is one more"},
    {"1:2:3:4::5:6:7:8", 7, "'::' stands for missing groups, and here are all eight"},
    {"1:2:3:4:5:6:7:1.2.3.4", 14, "an IPv6 address has eight groups, and this is one more"},
    {"::1.2.3", 7, "an IPv4 address has four octets, as in 192.0.2.1, and this has 3"},
    {"::1.2.3.4:5", 9, "an IPv4 address ends after its fourth octet"},
    {"::1.2.3.400", 8, "octet 400 is above 255"},
    {"fe80::1%", 8, "the zone is missing: the name of an interface, or its index"},
    {"fe80::1%nosuch", 8, "no interface is called 'nosuch'"},
    {"fe80::1%0", 8, "no interface is called '0'"},
    {"fe80::1%2147483648", 8, "no interface is called '2147483648'"},
    {"fe80::1%a-name-that-no-interface-can-have", 8,
     "no interface is called 'a-name-that-no-interface-can-hav'..."},
    {"fe80::1%l o", 9, "an interface is named in printable ASCII characters, or by its index"},
    {"2001:db8::1%lo", 11, "only a link-local address has a zone, as in fe80::1%eth0"},
    {"::ffff:1.2.3.4%lo", 14, "only a link-local address has a zone, as in fe80::1%eth0"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        struct address address = {.value = 7};
        struct error error = {0};
        const char *text = faults[i].text;
        assert_int_equal(address_parse(text, strlen(text), &address, &error), -EINVAL);
        assert_string_equal(error.message, faults[i].message);
        assert_int_equal(error.column, faults[i].column);
        assert_string_equal(error.text, text);
        assert_true(address.value == 7 && address.family == ADDRESS_NONE);
        assert_int_equal(address_parse(text, strlen(text), &address, NULL), -EINVAL);
    }
}

/* A NUL must not shorten an interface's name to one that exists. */
static void test_nul_in_zone(void **state)
{
    (void)state;
    struct address address;
    struct error error = {0};
    assert_int_equal(address_parse("fe80::1%lo\0x", 12, &address, &error), -EINVAL);
    assert_int_equal(error.column, 10);
}

static void test_zone_by_name(void **state)
{
    (void)state;
    char name[IF_NAMESIZE];
    unsigned index = 1;
    while (index < 64 && !if_indextoname(index, name))
        index++;
    if (index == 64)
        skip();
    char text[ADDRESS_TEXT_SIZE], expected[ADDRESS_TEXT_SIZE];
    snprintf(expected, sizeof(expected), "fe80::1%%%s", name);
    const struct address by_name = parsed(expected);
    assert_int_equal(by_name.scope, index);
    assert_string_equal(address_format(&by_name, text), expected);
    snprintf(text, sizeof(text), "fe80::1%%%u", index);
    const struct address by_index = parsed(text);
    assert_true(address_equal(&by_name, &by_index));
}

static void test_format_port(void **state)
{
    (void)state;
    char text[ENDPOINT_TEXT_SIZE];
    struct address address = parsed("192.0.2.1");
    assert_string_equal(address_format_port(&address, 80, text), "192.0.2.1:80");
    address = parsed("2001:db8::1");
    assert_string_equal(address_format_port(&address, 65535, text), "[2001:db8::1]:65535");
    address = parsed("fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff%2147483647");
    assert_string_equal(address_format_port(&address, 65535, text),
                        "[fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff%2147483647]:65535");
    assert_string_equal(address_format(&(struct address){0}, text), "-");
    /* Whoever builds a mapped address by hand sees it as such (RFC 5952 §5). */
    address = (struct address){.value = (uint128_t)0xffffc0000201, .family = ADDRESS_IPV6};
    assert_string_equal(address_format(&address, text), "::ffff:192.0.2.1");
}

static void test_order(void **state)
{
    (void)state;
    static const char *const ascending[] = {
        "0.0.0.0", "192.0.2.1", "192.0.2.2",          "::1",
        "fe80::1", "ffff::",    "fe80::1%2147483646", "fe80::%2147483647",
    };
    const size_t count = sizeof(ascending) / sizeof(*ascending);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            const struct address one = parsed(ascending[i]), other = parsed(ascending[j]);
            const int order = address_compare(&one, &other);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(address_equal(&one, &other), i == j);
        }
    }
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, link_local;
    } cases[] = {
        {"127.0.0.1", true, false},     {"127.255.255.255", true, false},
        {"128.0.0.1", false, false},    {"::1", true, false},
        {"::2", false, false},          {"169.254.0.1", false, true},
        {"169.255.0.1", false, false},  {"fe80::1", false, true},
        {"febf:ffff::1", false, true},  {"fec0::1", false, false},
        {"fe7f:ffff::1", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct address address = parsed(cases[i].text);
        assert_int_equal(address_is_loopback(&address), cases[i].loopback);
        assert_int_equal(address_is_link_local(&address), cases[i].link_local);
    }
    const struct address none = {0};
    assert_false(address_is_loopback(&none) || address_is_link_local(&none));
    assert_int_equal(address_bits(&(struct address){.family = ADDRESS_IPV4}), 32);
    assert_int_equal(address_bits(&(struct address){.family = ADDRESS_IPV6}), 128);
    assert_true(address_maximum(ADDRESS_IPV4) == UINT32_MAX);
    assert_true(address_maximum(ADDRESS_IPV6) + 1 == 0);
}

static void test_sockaddr(void **state)
{
    (void)state;
    static const char *const addresses[] = {"192.0.2.1", "2001:db8::1", "fe80::1%7"};
    for (size_t i = 0; i < 3; i++) {
        const struct address address = parsed(addresses[i]);
        struct sockaddr_storage storage;
        const socklen_t length = address_to_sockaddr(&address, 0x1234, &storage);
        assert_int_equal(length, i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_int_equal(storage.ss_family, i == 0 ? AF_INET : AF_INET6);
        struct address back;
        uint16_t port = 0;
        assert_true(address_from_sockaddr((struct sockaddr *)&storage, &back, &port));
        assert_true(address_equal(&address, &back));
        assert_int_equal(port, 0x1234);
        assert_true(address_from_sockaddr((struct sockaddr *)&storage, &back, NULL));
    }
    struct sockaddr_storage storage;
    assert_int_equal(address_to_sockaddr(&(struct address){0}, 80, &storage), 0);
}

static void test_sockaddr_oddities(void **state)
{
    (void)state;
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &ipv6.sin6_addr);
    assert_true(address_from_sockaddr((struct sockaddr *)&ipv6, &address, NULL));
    assert_string_equal(address_format(&address, text), "192.0.2.1");
    inet_pton(AF_INET6, "2001:db8::1", &ipv6.sin6_addr);
    ipv6.sin6_scope_id = 3; /* says where a packet came in; not part of a global address */
    assert_true(address_from_sockaddr((struct sockaddr *)&ipv6, &address, NULL));
    assert_string_equal(address_format(&address, text), "2001:db8::1");
    const struct sockaddr unix_socket = {.sa_family = AF_UNIX};
    uint16_t port = 9;
    assert_false(address_from_sockaddr(&unix_socket, &address, &port));
    assert_int_equal(port, 9);
}

/* Every beginning of every text above, placed so that the byte after it cannot be read. */
static void test_reads_no_further(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    const size_t good = sizeof(texts) / sizeof(*texts), bad = sizeof(faults) / sizeof(*faults);
    for (size_t i = 0; i < good + bad; i++) {
        const char *text = i < good ? texts[i][0] : faults[i - good].text;
        for (size_t length = 0; length <= strlen(text); length++) {
            char *copy = pages + page - length;
            memcpy(copy, text, length);
            struct address address;
            struct error error = {0};
            const int code = address_parse(copy, length, &address, &error);
            assert_true(code == 0 || (code == -EINVAL && error.column <= length));
        }
    }
    munmap(pages, 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_against_inet_pton),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_nul_in_zone),
        cmocka_unit_test(test_zone_by_name),
        cmocka_unit_test(test_format_port),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_sockaddr),
        cmocka_unit_test(test_sockaddr_oddities),
        cmocka_unit_test(test_reads_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
