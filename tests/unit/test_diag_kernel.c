/* What the kernel says of sockets that we made ourselves. */
#include "local/diag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const struct diag_query everything = {
    .kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1, .states = SOCKET_EVERY_STATE, .tcp_figures = true};

/* A socket of ours, as the kernel tells of it. */
struct own {
    int fd;
    uint32_t inode;
    struct sockaddr_storage name;
    socklen_t length;
};

static uint32_t inode_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return (uint32_t)status.st_ino;
}

static struct own own_bound(int type, const char *address, bool v6only)
{
    struct own own = {.length = 0};
    struct address parsed;
    assert_int_equal(address_parse(address, strlen(address), &parsed, NULL), 0);
    own.length = address_to_sockaddr(&parsed, 0, &own.name);
    own.fd = socket(own.name.ss_family, type | SOCK_CLOEXEC, 0);
    if (own.fd < 0)
        return own;
    const int only = v6only;
    if (own.name.ss_family == AF_INET6)
        setsockopt(own.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    if (bind(own.fd, (struct sockaddr *)&own.name, own.length) != 0) {
        close(own.fd);
        own.fd = -1;
        return own;
    }
    assert_int_equal(getsockname(own.fd, (struct sockaddr *)&own.name, &own.length), 0);
    own.inode = inode_of(own.fd);
    return own;
}

static uint16_t own_port(const struct own *own)
{
    struct address address;
    uint16_t port = 0;
    assert_true(address_from_sockaddr((const struct sockaddr *)&own->name, &address, &port));
    return port;
}

/* The only entry with that inode. */
static const struct socket_entry *find_inode(const struct socket_list *list, uint32_t inode)
{
    const struct socket_entry *found = NULL;
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].inode == inode) {
            assert_null(found);
            found = &list->entries[i];
        }
    return found;
}

/* sock_diag(7), or a sandbox's lack of it: then /proc/net tells, of some things less. */
static bool have_netlink(void)
{
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void list_now(const struct diag_query *query, struct diag_tape *tape,
                     struct socket_list *list)
{
    struct error error = {0};
    socket_list_init(list);
    const int code = diag_list(query, 0, tape, list, &error);
    if (code < 0)
        fail_msg("%s", error.message);
}

static void tcp_sockets_are_listed(void **state)
{
    (void)state;
    struct own listener = own_bound(SOCK_STREAM, "127.0.0.1", false);
    assert_true(listener.fd >= 0);
    assert_int_equal(listen(listener.fd, 17), 0);
    const int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(near, (struct sockaddr *)&listener.name, listener.length), 0);
    const int far = accept(listener.fd, NULL, NULL);
    const int waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(waiting, (struct sockaddr *)&listener.name, listener.length), 0);
    assert_int_equal(write(far, "hello", 5), 5);

    struct socket_list list;
    list_now(&everything, NULL, &list);
    const struct socket_entry *entry = find_inode(&list, listener.inode);
    assert_non_null(entry);
    assert_int_equal(entry->kind, SOCKET_TCP);
    assert_int_equal(entry->state, SOCKET_LISTEN);
    assert_int_equal(entry->uid, geteuid());
    assert_int_equal(entry->local_port, own_port(&listener));
    assert_int_equal(entry->receive_queue, 1);
    if (have_netlink())
        assert_int_equal(entry->send_queue, 17);

    entry = find_inode(&list, inode_of(near));
    assert_non_null(entry);
    assert_int_equal(entry->state, SOCKET_ESTABLISHED);
    assert_int_equal(entry->receive_queue, 5);
    assert_int_equal(entry->remote_port, own_port(&listener));
    char text[ADDRESS_TEXT_SIZE];
    const struct address remote = socket_remote(entry);
    assert_string_equal(address_format(&remote, text), "127.0.0.1");
    const struct socket_entry *other = find_inode(&list, inode_of(far));
    assert_non_null(other);
    assert_int_equal(other->local_port, entry->remote_port);
    assert_int_equal(other->remote_port, entry->local_port);
    if (have_netlink()) {
        assert_non_null(other->tcp);
        assert_int_equal(other->tcp->sent, 5);
        assert_true(other->tcp->congestion[0] != '\0' && other->tcp->mss > 0);
    }
    socket_list_release(&list);
    close(waiting);
    close(near);
    close(far);
    close(listener.fd);
}

static void the_kernel_leaves_out_what_is_not_wanted(void **state)
{
    (void)state;
    struct own listener = own_bound(SOCK_STREAM, "127.0.0.1", false);
    struct own other = own_bound(SOCK_STREAM, "127.0.0.1", false);
    assert_int_equal(listen(listener.fd, 1), 0);
    assert_int_equal(listen(other.fd, 1), 0);
    const int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(near, (struct sockaddr *)&listener.name, listener.length), 0);
    const struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_TCP),
                                     .states = SOCKET_STATE_BIT(SOCKET_LISTEN),
                                     .family = ADDRESS_IPV4,
                                     .local_port = own_port(&listener)};
    struct socket_list list;
    list_now(&query, NULL, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.entries[0].inode, listener.inode);
    assert_null(list.entries[0].tcp);
    socket_list_release(&list);
    close(near);
    close(listener.fd);
    close(other.fd);
}

static void ipv6_sockets_are_listed(void **state)
{
    (void)state;
    struct own both = own_bound(SOCK_STREAM, "::", false), one = own_bound(SOCK_DGRAM, "::1", true);
    if (both.fd < 0 || one.fd < 0)
        skip();
    assert_int_equal(listen(both.fd, 1), 0);
    const struct sockaddr_in ipv4 = {.sin_family = AF_INET,
                                     .sin_port = htons(own_port(&both)),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(near, (const struct sockaddr *)&ipv4, sizeof(ipv4)), 0);
    const int far = accept(both.fd, NULL, NULL);
    struct socket_list list;
    list_now(&everything, NULL, &list);
    const struct socket_entry *entry = find_inode(&list, both.inode);
    assert_non_null(entry);
    assert_int_equal(entry->family, ADDRESS_IPV6);
    assert_true(!entry->v6only && !entry->mapped && entry->local == 0);
    entry = find_inode(&list, one.inode);
    assert_non_null(entry);
    assert_int_equal(entry->kind, SOCKET_UDP);
    assert_int_equal(entry->state, SOCKET_CLOSE);
    assert_true(entry->local == 1);
    if (have_netlink())
        assert_true(entry->v6only);
    entry = find_inode(&list, inode_of(far));
    assert_non_null(entry);
    assert_int_equal(entry->family, ADDRESS_IPV6);
    assert_true(entry->mapped);
    assert_true(entry->local == INADDR_LOOPBACK && entry->remote == INADDR_LOOPBACK);
    socket_list_release(&list);
    close(near);
    close(far);
    close(both.fd);
    close(one.fd);
}

static void unix_sockets_are_listed(void **state)
{
    (void)state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int named = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "porthole-test-%d", (int)getpid());
    const socklen_t length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1));
    assert_int_equal(bind(named, (struct sockaddr *)&name, length), 0);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    struct socket_list list;
    list_now(&everything, NULL, &list);
    const struct socket_entry *entry = find_inode(&list, inode_of(named));
    assert_non_null(entry);
    assert_int_equal(entry->kind, SOCKET_UNIX_DATAGRAM);
    name.sun_path[0] = '@';
    assert_string_equal(entry->path, name.sun_path);
    entry = find_inode(&list, inode_of(pair[0]));
    assert_non_null(entry);
    assert_int_equal(entry->kind, SOCKET_UNIX_SEQPACKET);
    assert_int_equal(entry->state, SOCKET_ESTABLISHED);
    assert_null(entry->path);
    if (have_netlink())
        assert_int_equal(entry->peer_inode, inode_of(pair[1]));
    socket_list_release(&list);
    close(named);
    close(pair[0]);
    close(pair[1]);
}

/* A raw socket's port is its protocol, whether netlink or /proc/net tells of it. */
static void raw_sockets_are_listed(void **state)
{
    (void)state;
    const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 253);
    if (fd < 0)
        skip(); /* not root */
    struct socket_list list;
    const struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_RAW),
                                     .states = SOCKET_EVERY_STATE};
    list_now(&query, NULL, &list);
    const struct socket_entry *entry = find_inode(&list, inode_of(fd));
    assert_non_null(entry);
    assert_int_equal(entry->kind, SOCKET_RAW);
    assert_int_equal(entry->local_port, 253);
    socket_list_release(&list);
    close(fd);
}

static bool entry_equal(const struct socket_entry *one, const struct socket_entry *other)
{
    return one->kind == other->kind && one->state == other->state && one->family == other->family &&
           one->inode == other->inode && one->local == other->local &&
           one->remote == other->remote && one->local_port == other->local_port &&
           one->remote_port == other->remote_port && one->mapped == other->mapped &&
           one->uid == other->uid;
}

/* /proc/net says the same of our own sockets, as far as it says anything. */
static void proc_agrees_with_netlink(void **state)
{
    (void)state;
    struct own owns[] = {own_bound(SOCK_STREAM, "127.0.0.1", false),
                         own_bound(SOCK_DGRAM, "127.0.0.1", false),
                         own_bound(SOCK_STREAM, "::1", true), own_bound(SOCK_DGRAM, "::1", true)};
    struct socket_list netlink, proc;
    struct error error = {0};
    for (size_t i = 0; i < 4; i++)
        if (owns[i].fd >= 0 && i % 2 == 0)
            assert_int_equal(listen(owns[i].fd, 1), 0);
    list_now(&everything, NULL, &netlink);
    socket_list_init(&proc);
    assert_int_equal(procnet_list(&everything, 0, NULL, &proc, &error), 0);
    for (size_t i = 0; i < 4; i++) {
        if (owns[i].fd < 0)
            continue;
        const struct socket_entry *one = find_inode(&netlink, owns[i].inode);
        const struct socket_entry *other = find_inode(&proc, owns[i].inode);
        assert_true(one && other && entry_equal(one, other));
        close(owns[i].fd);
    }
    socket_list_release(&netlink);
    socket_list_release(&proc);
}

struct taken {
    size_t count, times;
    uint32_t wanted;
    bool seen;
    int refuse;
};

static int take_all(struct socket_list *list, void *user, struct error *error)
{
    struct taken *taken = user;
    if (taken->refuse)
        return error_set(error, taken->refuse, "enough");
    taken->times++;
    taken->count += list->count;
    if (find_inode(list, taken->wanted))
        taken->seen = true;
    socket_list_clear(list);
    return 0;
}

static void sockets_can_be_taken_as_they_come(void **state)
{
    (void)state;
    enum { MANY = 600 };
    int fds[MANY];
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
    }
    struct taken taken = {.wanted = inode_of(fds[0])};
    const struct diag_query query = {.kinds = SOCKET_UNIX_KINDS, .states = SOCKET_EVERY_STATE};
    struct socket_list list;
    struct error error = {0};
    socket_list_init(&list);
    list.grown = take_all;
    list.user = &taken;
    assert_int_equal(diag_list(&query, 0, NULL, &list, &error), 0);
    assert_int_equal(list.count, 0);
    assert_true(taken.seen && taken.count >= MANY);
    if (have_netlink())
        assert_true(taken.times > 1);
    taken.refuse = ECANCELED;
    assert_int_equal(diag_list(&query, 0, NULL, &list, &error), -ECANCELED);
    socket_list_release(&list);
    for (size_t i = 0; i < MANY; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_sockets_are_listed),
        cmocka_unit_test(the_kernel_leaves_out_what_is_not_wanted),
        cmocka_unit_test(ipv6_sockets_are_listed),
        cmocka_unit_test(unix_sockets_are_listed),
        cmocka_unit_test(raw_sockets_are_listed),
        cmocka_unit_test(proc_agrees_with_netlink),
        cmocka_unit_test(sockets_can_be_taken_as_they_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
