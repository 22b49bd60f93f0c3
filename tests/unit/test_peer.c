/* Peers: to the kernel's form and back, and as text. */
#include "own_network.h"
#include "talk/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct peer there_and_back(const struct peer *peer)
{
    struct sockaddr_storage sockaddr;
    memset(&sockaddr, 0xff, sizeof(sockaddr)); /* what the call does not write */
    socklen_t length = peer_to_sockaddr(peer, &sockaddr);
    assert_true(length > 0);
    return peer_from_sockaddr(&sockaddr, length);
}

static void internet_peers(void **state)
{
    static const struct {
        const char *address, *text;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}, {"::ffff:1.2.3.4", "1.2.3.4:80"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct peer peer = {.kind = PEER_INTERNET, .port = 80};
        char text[PEER_TEXT_SIZE];
        assert_int_equal(
            address_parse(cases[i].address, strlen(cases[i].address), &peer.address, NULL), 0);
        struct peer back = there_and_back(&peer);
        assert_true(peer_equal(&peer, &back));
        assert_string_equal(peer_format(&back, text), cases[i].text);
        back.port++;
        assert_false(peer_equal(&peer, &back));
    }
}

/* Every length, with what the kernel makes of it: a path has a NUL behind it, an abstract name has
 * none. */
static void unix_peers(void **state)
{
    const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    (void)state;
    for (int abstract = 0; abstract < 2; abstract++) {
        for (size_t length = 1; length <= room; length++) {
            struct peer peer = {.kind = PEER_UNIX};
            struct sockaddr_storage sockaddr;
            memset(peer.path, 'x', length);
            peer.path[0] = abstract ? '@' : '/';
            socklen_t size = peer_to_sockaddr(&peer, &sockaddr);
            if (length + !abstract > room) {
                assert_int_equal(size, 0);
                continue;
            }
            assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + length + !abstract);
            struct peer back = there_and_back(&peer);
            assert_int_equal(back.kind, PEER_UNIX);
            assert_string_equal(back.path, peer.path);
            assert_true(peer_equal(&peer, &back));
        }
    }
}

/* A path that fills its room has no NUL in it. */
static void paths_as_long_as_they_get(void **state)
{
    struct sockaddr_un full = {.sun_family = AF_UNIX};
    struct sockaddr_storage sockaddr = {0};
    (void)state;
    memset(full.sun_path, 'p', sizeof(full.sun_path));
    memcpy(&sockaddr, &full, sizeof(full));
    struct peer peer = peer_from_sockaddr(&sockaddr, sizeof(full));
    assert_int_equal(strlen(peer.path), sizeof(full.sun_path));
    assert_int_equal(peer_to_sockaddr(&peer, &sockaddr), 0);
}

static void the_nameless_and_the_unknown(void **state)
{
    struct sockaddr_storage sockaddr = {.ss_family = AF_UNIX};
    char text[PEER_TEXT_SIZE];
    (void)state;
    struct peer peer = peer_from_sockaddr(&sockaddr, sizeof(sa_family_t));
    assert_int_equal(peer.kind, PEER_UNIX);
    assert_string_equal(peer_format(&peer, text), "unix:");
    assert_int_equal(peer_to_sockaddr(&peer, &sockaddr), 0);
    sockaddr.ss_family = AF_NETLINK;
    peer = peer_from_sockaddr(&sockaddr, sizeof(sockaddr));
    assert_int_equal(peer.kind, PEER_NONE);
    assert_string_equal(peer_format(&peer, text), "?");
    assert_int_equal(peer_to_sockaddr(&peer, &sockaddr), 0);
    peer = peer_from_sockaddr(&sockaddr, 0);
    assert_int_equal(peer.kind, PEER_NONE);
}

/* What the kernel itself says of sockets of every name. */
static void names_of_real_sockets(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        struct peer wanted = {.kind = PEER_UNIX};
        struct sockaddr_storage sockaddr = {0};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (named) {
            snprintf(wanted.path, sizeof(wanted.path), "@porthole-peer-%d", (int)getpid());
            socklen_t length = peer_to_sockaddr(&wanted, &sockaddr);
            assert_int_equal(bind(fd, (struct sockaddr *)&sockaddr, length), 0);
        }
        socklen_t size = sizeof(sockaddr);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sockaddr, &size), 0);
        struct peer peer = peer_from_sockaddr(&sockaddr, size);
        assert_true(peer_equal(&peer, &wanted));
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(internet_peers),
        cmocka_unit_test(unix_peers),
        cmocka_unit_test(paths_as_long_as_they_get),
        cmocka_unit_test(the_nameless_and_the_unknown),
        cmocka_unit_test(names_of_real_sockets),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
