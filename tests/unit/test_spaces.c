/* Network namespaces: our own, and one that a process of ours makes. */
#include "local/spaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct diag_query listeners = {.kinds = SOCKET_KIND_BIT(SOCKET_TCP),
                                            .states = SOCKET_STATE_BIT(SOCKET_LISTEN)};

static uint64_t own_inode(void)
{
    struct stat status;
    assert_int_equal(stat("/proc/thread-self/ns/net", &status), 0);
    return status.st_ino;
}

static int bind_listener(void)
{
    const struct sockaddr_in name = {.sin_family = AF_INET};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0 || listen(fd, 1) != 0)
        return -1;
    return fd;
}

static uint32_t inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint32_t)status.st_ino : 0;
}

/* A process in a network namespace of its own, with a listener there. */
struct other {
    pid_t pid;
    uint64_t space;
    uint32_t listener;
};

static bool other_start(struct other *other)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    other->pid = fork();
    assert_true(other->pid >= 0);
    if (other->pid == 0) {
        struct stat status = {0};
        close(ends[0]);
        if (unshare(CLONE_NEWNET) == 0 && stat("/proc/self/ns/net", &status) == 0) {
            other->space = status.st_ino;
            other->listener = inode_of(bind_listener());
        }
        const ssize_t written = write(ends[1], other, sizeof(*other));
        close(ends[1]);
        if (written > 0)
            pause();
        _exit(0);
    }
    close(ends[1]);
    const pid_t pid = other->pid;
    assert_int_equal(read(ends[0], other, sizeof(*other)), sizeof(*other));
    other->pid = pid;
    close(ends[0]);
    return other->listener != 0;
}

static void other_stop(const struct other *other)
{
    kill(other->pid, SIGKILL);
    assert_int_equal(waitpid(other->pid, NULL, 0), other->pid);
}

static void our_own_is_the_first(void **state)
{
    (void)state;
    struct spaces *spaces = NULL;
    struct socket_list list;
    struct error error = {0};
    size_t closed = 99;
    const int listener = bind_listener();
    assert_true(listener >= 0);
    assert_int_equal(spaces_open(false, &spaces, &error), 0);
    assert_int_equal(spaces_count(spaces), 1);
    assert_true(spaces_item(spaces, 0)->own);
    assert_int_equal(spaces_item(spaces, 0)->inode, own_inode());
    assert_int_equal(spaces_unseen(spaces), 0);
    socket_list_init(&list);
    assert_true(spaces_list(spaces, &listeners, NULL, &list, &closed, &error) >= 0);
    assert_int_equal(closed, 0);
    assert_int_equal(list.space_count, 1);
    unsigned found = 0;
    for (size_t i = 0; i < list.count; i++)
        found += list.entries[i].inode == inode_of(listener) && list.entries[i].space == 0;
    assert_int_equal(found, 1);
    socket_list_release(&list);
    spaces_close(spaces);
    close(listener);
}

static void others_are_listed_from_inside(void **state)
{
    (void)state;
    struct other other = {0};
    struct spaces *spaces = NULL;
    struct socket_list list;
    struct error error = {0};
    size_t closed = 99;
    if (!other_start(&other)) {
        other_stop(&other);
        skip(); /* not root */
    }
    const int listener = bind_listener();
    assert_int_equal(spaces_open(true, &spaces, &error), 0);
    assert_true(spaces_item(spaces, 0)->own);
    size_t index = 0;
    for (size_t i = 0; i < spaces_count(spaces); i++) {
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(spaces_item(spaces, i)->inode, spaces_item(spaces, k)->inode);
        assert_int_equal(spaces_item(spaces, i)->own, i == 0);
        if (spaces_item(spaces, i)->inode == other.space)
            index = i;
    }
    assert_int_not_equal(index, 0);
    socket_list_init(&list);
    assert_true(spaces_list(spaces, &listeners, NULL, &list, &closed, &error) >= 0);
    assert_int_equal(list.space_count, spaces_count(spaces));
    unsigned inside = 0, outside = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct socket_entry *entry = &list.entries[i];
        assert_true(entry->space < list.space_count);
        inside += entry->inode == other.listener && entry->space == index;
        outside += entry->inode == inode_of(listener) && entry->space == 0;
    }
    assert_int_equal(inside, 1);
    assert_int_equal(outside, 1);
    assert_int_equal(own_inode(), spaces_item(spaces, 0)->inode);
    socket_list_release(&list);
    spaces_close(spaces);
    close(listener);
    other_stop(&other);
}

struct seen {
    uint64_t inode;
    size_t index;
    int code;
};

static int look(void *user, size_t index, struct error *error)
{
    struct seen *seen = user;
    seen->inode = own_inode();
    seen->index = index;
    return seen->code ? error_set(error, seen->code, "as was said") : 0;
}

static void what_is_done_inside_tells_how_it_went(void **state)
{
    (void)state;
    struct other other = {0};
    struct spaces *spaces = NULL;
    struct error error = {0};
    const bool root = other_start(&other);
    assert_int_equal(spaces_open(root, &spaces, &error), 0);
    for (size_t i = 0; i < spaces_count(spaces); i++) {
        struct seen seen = {.code = 0};
        assert_int_equal(spaces_run(spaces, i, look, &seen, &error), 0);
        assert_int_equal(seen.inode, spaces_item(spaces, i)->inode);
        assert_int_equal(seen.index, i);
        seen.code = EXDEV;
        assert_int_equal(spaces_run(spaces, i, look, &seen, &error), -EXDEV);
        assert_string_equal(error.message, "as was said");
    }
    spaces_close(spaces);
    other_stop(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_is_the_first),
        cmocka_unit_test(others_are_listed_from_inside),
        cmocka_unit_test(what_is_done_inside_tells_how_it_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
