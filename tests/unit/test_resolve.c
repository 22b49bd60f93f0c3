/* Names and this machine's addresses: with the C library's real answers for "localhost", and with
 * made-up answers for everything that would need a network. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What the made-up C library says; `active` false asks the real one. */
static struct {
    bool active;
    int failure; /* of getaddrinfo() */
    int code;    /* errno that it leaves; of getifaddrs(), which fails when it is not 0 */
    struct addrinfo *answers;
    struct ifaddrs *interfaces;
    struct addrinfo hints; /* asked with */
} library;

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    assert_non_null(function);
    return function;
}

/* These four take the place of the C library's functions in this program. */
int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret_list)
{
    if (!library.active) {
        int (*function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
        *(void **)&function = real("getaddrinfo");
        return function(name, service, hints, ret_list);
    }
    library.hints = *hints;
    errno = library.code;
    if (library.failure == 0)
        *ret_list = library.answers;
    return library.failure;
}

void freeaddrinfo(struct addrinfo *list)
{
    if (library.active)
        return;
    void (*function)(struct addrinfo *);
    *(void **)&function = real("freeaddrinfo");
    function(list);
}

int getifaddrs(struct ifaddrs **ret_list)
{
    if (!library.active) {
        int (*function)(struct ifaddrs **);
        *(void **)&function = real("getifaddrs");
        return function(ret_list);
    }
    errno = library.code;
    *ret_list = library.interfaces;
    return library.code != 0 ? -1 : 0;
}

void freeifaddrs(struct ifaddrs *list)
{
    if (library.active)
        return;
    void (*function)(struct ifaddrs *);
    *(void **)&function = real("freeifaddrs");
    function(list);
}

static int forget_library(void **state)
{
    (void)state;
    memset(&library, 0, sizeof(library));
    return 0;
}

static void assert_set(struct address_set *set, const char *expected)
{
    struct buffer text = {0};
    assert_int_equal(address_set_seal(set), 0);
    address_set_format(set, " ", &text);
    assert_string_equal(text.data ? text.data : "", expected);
    buffer_release(&text);
}

static void test_localhost(void **state)
{
    (void)state;
    struct address_set set = {0};
    struct error error = {0};
    if (resolve_name("localhost", ADDRESS_IPV4, RESOLVE_FIRST, &set, &error) != 0)
        fail_msg("%s", error.message);
    assert_set(&set, "127.0.0.1");
    assert_int_equal(resolve_name("localhost", ADDRESS_NONE, RESOLVE_ALL, &set, &error), 0);
    assert_int_equal(address_set_seal(&set), 0);
    for (uint64_t i = 0; i < set.size; i++) {
        const struct address address = address_set_at(&set, i);
        assert_true(address_is_loopback(&address));
    }
    address_set_release(&set);
}

/* A label of 64 letters fits no DNS message, so that this asks nobody. */
static void test_impossible_name(void **state)
{
    (void)state;
    const char *name = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.invalid";
    struct address_set set = {0};
    struct error error = {0};
    assert_int_equal(resolve_name(name, ADDRESS_NONE, RESOLVE_ALL, &set, &error), -ENOENT);
    assert_string_equal(
        error.message,
        "no such host: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.invalid");
    assert_int_equal(set.count, 0);
}

static void test_failures(void **state)
{
    (void)state;
    static const struct {
        int failure, errno_left;
        enum address_family family;
        int code;
        const char *message;
    } cases[] = {
        {EAI_NONAME, 0, ADDRESS_NONE, -ENOENT, "no such host: h.test"},
        {EAI_NONAME, 0, ADDRESS_IPV6, -ENOENT,
         "no such host, or one without an IPv6 address: h.test"},
        {EAI_NODATA, 0, ADDRESS_NONE, -ENOENT, "the host has no address: h.test"},
        {EAI_ADDRFAMILY, 0, ADDRESS_IPV4, -ENOENT, "the host has no IPv4 address: h.test"},
        {EAI_AGAIN, 0, ADDRESS_NONE, -EAGAIN,
         "temporary failure: no name server answered; try again later, or give an address: h.test"},
        {EAI_FAIL, 0, ADDRESS_NONE, -EIO,
         "the name server failed, and trying again will not help: h.test"},
        {EAI_MEMORY, 0, ADDRESS_NONE, -ENOMEM, "out of memory"},
        {EAI_SYSTEM, EMFILE, ADDRESS_NONE, -EMFILE, "cannot look up h.test: Too many open files"},
        {EAI_SYSTEM, 0, ADDRESS_NONE, -EIO, "cannot look up h.test: Input/output error"},
        {EAI_SERVICE, 0, ADDRESS_NONE, -EINVAL,
         "cannot look up h.test: Servname not supported for ai_socktype"},
        {0, 0, ADDRESS_NONE, -ENOENT, "no such host: h.test"}, /* an answer without addresses */
    };
    library.active = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct address_set set = {0};
        struct error error = {0};
        library.failure = cases[i].failure;
        library.code = cases[i].errno_left;
        assert_int_equal(resolve_name("h.test", cases[i].family, RESOLVE_FIRST, &set, &error),
                         cases[i].code);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.code, -cases[i].code);
        assert_int_equal(resolve_name("h.test", cases[i].family, RESOLVE_FIRST, &set, NULL),
                         cases[i].code);
        assert_int_equal(set.count, 0);
        address_set_release(&set);
    }
}

/* An address in the kernel's form, for the made-up answers. */
static struct sockaddr *kernel_form(const char *text, struct sockaddr_storage *storage)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    address_to_sockaddr(&address, 0, storage);
    return (struct sockaddr *)storage;
}

static void test_first_and_all(void **state)
{
    (void)state;
    static const char *const texts[] = {"2001:db8::1", "192.0.2.9", "192.0.2.7", "192.0.2.9"};
    struct sockaddr_storage storage[4];
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct addrinfo answers[5] = {{.ai_addr = &other, .ai_next = &answers[1]}};
    for (size_t i = 0; i < 4; i++) {
        answers[i + 1].ai_addr = kernel_form(texts[i], &storage[i]);
        answers[i + 1].ai_next = i < 3 ? &answers[i + 2] : NULL;
    }
    library.active = true;
    library.answers = answers;
    struct address_set set = {0};
    assert_int_equal(resolve_name("h.test", ADDRESS_NONE, RESOLVE_FIRST, &set, NULL), 0);
    assert_set(&set, "2001:db8::1");
    assert_int_equal(library.hints.ai_family, AF_UNSPEC);
    assert_int_equal(library.hints.ai_socktype, SOCK_STREAM);
    assert_int_equal(library.hints.ai_flags, 0); /* not AI_ADDRCONFIG */
    assert_int_equal(resolve_name("h.test", ADDRESS_IPV4, RESOLVE_ALL, &set, NULL), 0);
    assert_set(&set, "192.0.2.7 192.0.2.9 2001:db8::1");
    assert_int_equal(library.hints.ai_family, AF_INET);
    assert_int_equal(resolve_name("h.test", ADDRESS_IPV6, RESOLVE_FIRST, &set, NULL), 0);
    assert_int_equal(library.hints.ai_family, AF_INET6);
    address_set_release(&set);
}

static void test_self(void **state)
{
    (void)state;
    struct address_set set = {0};
    struct address loopback;
    struct error error = {0};
    uint64_t index;
    if (resolve_self(ADDRESS_IPV4, &set, &error) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(address_set_seal(&set), 0);
    if (set.size == 0)
        skip(); /* a network namespace in which nothing is up */
    assert_int_equal(address_parse("127.0.0.1", 9, &loopback, NULL), 0);
    assert_true(address_set_find(&set, &loopback, &index));
    for (uint64_t i = 0; i < set.size; i++)
        assert_int_equal(address_set_at(&set, i).family, ADDRESS_IPV4);
    address_set_release(&set);
}

static void test_self_made_up(void **state)
{
    (void)state;
    static const struct {
        const char *text; /* NULL: an entry without an address */
        unsigned flags;
    } entries[] = {
        {"127.0.0.1", IFF_UP | IFF_LOOPBACK},
        {"::1", IFF_UP | IFF_LOOPBACK},
        {"192.0.2.4", IFF_UP},
        {"fe80::4%2147483647", IFF_UP},
        {"198.51.100.1", 0},
        {NULL, IFF_UP},
    };
    enum { ENTRIES = sizeof(entries) / sizeof(*entries) };
    struct sockaddr_storage storage[ENTRIES];
    struct ifaddrs interfaces[ENTRIES] = {0};
    for (size_t i = 0; i < ENTRIES; i++) {
        interfaces[i].ifa_flags = entries[i].flags;
        interfaces[i].ifa_next = i + 1 < ENTRIES ? &interfaces[i + 1] : NULL;
        if (entries[i].text)
            interfaces[i].ifa_addr = kernel_form(entries[i].text, &storage[i]);
    }
    library.active = true;
    library.interfaces = interfaces;
    static const struct {
        enum address_family family;
        const char *expected;
    } cases[] = {
        {ADDRESS_NONE, "127.0.0.1 192.0.2.4 ::1 fe80::4%2147483647"},
        {ADDRESS_IPV4, "127.0.0.1 192.0.2.4"},
        {ADDRESS_IPV6, "::1 fe80::4%2147483647"},
    };
    for (size_t i = 0; i < 3; i++) {
        struct address_set set = {0};
        assert_int_equal(resolve_self(cases[i].family, &set, NULL), 0);
        assert_set(&set, cases[i].expected);
        address_set_release(&set);
    }
}

static void test_self_fails(void **state)
{
    (void)state;
    struct address_set set = {0};
    struct error error = {0};
    library.active = true;
    library.code = EMFILE;
    assert_int_equal(resolve_self(ADDRESS_NONE, &set, &error), -EMFILE);
    assert_string_equal(error.message, "cannot list this machine's addresses: Too many open files");
    assert_int_equal(set.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_localhost, forget_library),
        cmocka_unit_test_teardown(test_impossible_name, forget_library),
        cmocka_unit_test_teardown(test_failures, forget_library),
        cmocka_unit_test_teardown(test_first_and_all, forget_library),
        cmocka_unit_test_teardown(test_self, forget_library),
        cmocka_unit_test_teardown(test_self_made_up, forget_library),
        cmocka_unit_test_teardown(test_self_fails, forget_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
