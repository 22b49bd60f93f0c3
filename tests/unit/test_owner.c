/* Who holds a socket: real processes that hold, share, pass on and lose them, found in /proc and by
 * the program inside the kernel alike; and two such answers put together. */
#include "base/clock.h"
#include "local/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 20000
#define NOBODY 65534
#define CHILDREN 8

/* ---- children ---- */

/* A child that does something, says that it has, and ends when it is told. */
struct child {
    pid_t pid;
    int channel; /* its standard input and output, so to speak */
};

/* In a child nothing is asserted: the parent sees its status. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static struct child start(void (*act)(int channel, void *user), void *user)
{
    int ends[2];
    char ready;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const struct child child = {fork(), ends[0]};
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        act(ends[1], user);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(child.channel, &ready, 1), 1);
    return child;
}

/* For `act`: done, and wait for the end. */
static void rest(int channel)
{
    char end;
    REQUIRE(write(channel, "!", 1) == 1);
    REQUIRE(read(channel, &end, 1) <= 0);
}

static void stop(const struct child *child)
{
    int status;
    shutdown(child->channel, SHUT_RDWR);
    close(child->channel);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_int_equal(status, 0);
}

static void hold(int channel, void *user)
{
    (void)user;
    rest(channel);
}

/* ---- sockets ---- */

static int open_socket(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static uint32_t inode_of(int descriptor)
{
    struct stat about;
    return fstat(descriptor, &about) == 0 ? (uint32_t)about.st_ino : 0;
}

static int compare_inodes(const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

/* Does it hold `inode` as just these descriptors of just these processes? `pids` ascending. */
static bool is_held(const struct owners *owners, uint32_t inode, const struct owner *expected,
                    size_t count)
{
    size_t found;
    const struct owner *items = owners_of(owners, inode, &found);
    if (found != count || (count > 0) != (items != NULL))
        return false;
    for (size_t i = 0; i < count; i++)
        if (items[i].inode != inode || items[i].pid != expected[i].pid ||
            (expected[i].fd >= 0 && items[i].fd != expected[i].fd) ||
            !owners_process(owners, items[i].pid))
            return false;
    return true;
}

static int find_one(uint32_t inode, enum owners_way way, struct owners *ret_owners)
{
    return owners_find(&inode, 1, way, false, ret_owners, NULL);
}

static bool bpf_works(void)
{
    struct owners owners = {0};
    struct error error = {0};
    const uint32_t inode = UINT32_MAX;
    const int failed = owners_find(&inode, 1, OWNERS_BPF, false, &owners, &error);
    if (!failed) {
        owners_release(&owners);
        return true;
    }
    assert_true(failed == -EPERM || failed == -EOPNOTSUPP);
    assert_int_equal(error.code, -failed);
    assert_true(error.message[0] != '\0');
    return false;
}

#define NEED_BPF                                                                                   \
    (void)state;                                                                                   \
    if (!bpf_works()) {                                                                            \
        print_message("programs inside the kernel are not allowed here\n");                        \
        skip();                                                                                    \
    }

#define NEED_ROOT                                                                                  \
    if (geteuid() != 0) {                                                                          \
        print_message("needs root\n");                                                             \
        skip();                                                                                    \
    }

/* The ways that work here. */
static size_t list_ways(enum owners_way ways[3])
{
    ways[0] = OWNERS_BEST;
    ways[1] = OWNERS_PROC;
    ways[2] = OWNERS_BPF;
    return bpf_works() ? 3 : 2;
}

/* Every way finds just these. */
static void assert_held(uint32_t inode, const struct owner *expected, size_t count)
{
    enum owners_way ways[3];
    const size_t way_count = list_ways(ways);
    for (size_t i = 0; i < way_count; i++) {
        struct owners owners = {0};
        assert_int_equal(find_one(inode, ways[i], &owners), 0);
        assert_true(is_held(&owners, inode, expected, count));
        assert_true(is_held(&owners, inode + 1000000, NULL, 0));
        owners_release(&owners);
    }
}

/* ---- tests ---- */

static void own_sockets_are_found(void **state)
{
    const int descriptor = open_socket();
    const struct owner expected = {.pid = getpid(), .fd = descriptor};
    (void)state;
    assert_held(inode_of(descriptor), &expected, 1);
    close(descriptor);
}

static void nothing_is_asked_for(void **state)
{
    struct owners owners = {0};
    size_t count = 1;
    (void)state;
    assert_int_equal(owners_find(NULL, 0, OWNERS_BEST, true, &owners, NULL), 0);
    assert_null(owners_of(&owners, 1, &count));
    assert_int_equal(count, 0);
    assert_null(owners_process(&owners, getpid()));
    owners_release(&owners);
}

static void closed_sockets_are_nobodys(void **state)
{
    const int descriptor = open_socket();
    const uint32_t inode = inode_of(descriptor);
    (void)state;
    close(descriptor);
    assert_held(inode, NULL, 0);
}

static void files_are_no_sockets(void **state)
{
    FILE *file = tmpfile();
    (void)state;
    assert_non_null(file);
    assert_held(inode_of(fileno(file)), NULL, 0);
    fclose(file);
}

static void duplicates_are_told(void **state)
{
    const int first = open_socket(), second = dup(first), third = fcntl(first, F_DUPFD, 500);
    const pid_t pid = getpid();
    const struct owner expected[] = {{0, pid, first}, {0, pid, second}, {0, pid, third}};
    (void)state;
    assert_int_equal(third, 500);
    assert_held(inode_of(first), expected, 3);
    close(first);
    close(second);
    close(third);
}

static int compare_owners(const void *one, const void *other)
{
    const struct owner *a = one, *b = other;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static void forked_children_share(void **state)
{
    const int descriptor = open_socket();
    struct child children[CHILDREN];
    struct owner expected[CHILDREN + 1] = {{0, getpid(), descriptor}};
    (void)state;
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = start(hold, NULL);
        expected[i + 1] = (struct owner){0, children[i].pid, descriptor};
    }
    qsort(expected, CHILDREN + 1, sizeof(expected[0]), compare_owners);
    assert_held(inode_of(descriptor), expected, CHILDREN + 1);
    const uint32_t inode = inode_of(descriptor);
    close(descriptor);
    for (size_t i = 0; i < CHILDREN; i++)
        stop(&children[i]);
    assert_held(inode, NULL, 0);
}

union rights {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr header;
};

static void receive_and_hold(int channel, void *user)
{
    char byte;
    struct iovec part = {&byte, 1};
    union rights rights;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = rights.bytes,
                             .msg_controllen = sizeof(rights.bytes)};
    (void)user;
    REQUIRE(write(channel, "!", 1) == 1);
    REQUIRE(recv(channel, &byte, 1, MSG_PEEK) == 1);
    REQUIRE(recvmsg(channel, &message, 0) == 1);
    REQUIRE(message.msg_controllen >= CMSG_LEN(sizeof(int)));
    rest(channel);
}

static void send_descriptor(int channel, int descriptor)
{
    struct iovec part = {(void *)(uintptr_t) "x", 1};
    union rights rights = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = rights.bytes,
                             .msg_controllen = sizeof(rights.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(descriptor));
    assert_int_equal(sendmsg(channel, &message, 0), 1);
}

static void passed_sockets_are_with_the_receiver(void **state)
{
    const struct child child = start(receive_and_hold, NULL);
    const int descriptor = open_socket();
    const uint32_t inode = inode_of(descriptor);
    const struct owner expected = {.pid = child.pid, .fd = -1};
    char ready;
    (void)state;
    send_descriptor(child.channel, descriptor);
    close(descriptor);
    assert_int_equal(read(child.channel, &ready, 1), 1);
    assert_held(inode, &expected, 1);
    stop(&child);
}

static void sockets_on_their_way_are_nobodys(void **state)
{
    int ends[2];
    const int descriptor = open_socket();
    const uint32_t inode = inode_of(descriptor);
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    send_descriptor(ends[0], descriptor);
    close(descriptor);
    assert_held(inode, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

/* ---- threads ---- */

struct thread {
    pthread_t thread;
    pthread_barrier_t barrier;
    bool separate; /* it has descriptors of its own */
    int descriptor;
    uint32_t inode;
};

static void *hold_in_thread(void *argument)
{
    struct thread *thread = argument;
    if (thread->separate && unshare(CLONE_FILES) != 0)
        abort();
    thread->descriptor = open_socket();
    thread->inode = inode_of(thread->descriptor);
    pthread_barrier_wait(&thread->barrier);
    pthread_barrier_wait(&thread->barrier);
    close(thread->descriptor);
    return NULL;
}

static void threads_are_their_process(void **state)
{
    (void)state;
    for (int separate = 0; separate <= 1; separate++) {
        const int shared = open_socket();
        struct thread thread = {.separate = separate};
        pthread_barrier_init(&thread.barrier, NULL, 2);
        assert_int_equal(pthread_create(&thread.thread, NULL, hold_in_thread, &thread), 0);
        pthread_barrier_wait(&thread.barrier);
        const struct owner expected[] = {{0, getpid(), thread.descriptor}, {0, getpid(), shared}};
        assert_held(thread.inode, &expected[0], 1);
        assert_held(inode_of(shared), &expected[1], 1);
        pthread_barrier_wait(&thread.barrier);
        pthread_join(thread.thread, NULL);
        pthread_barrier_destroy(&thread.barrier);
        close(shared);
    }
}

static void *rest_in_thread(void *argument)
{
    rest(*(const int *)argument);
    _exit(0);
}

static void end_first_thread(int channel, void *user)
{
    static pthread_t thread;
    static int copy;
    (void)user;
    copy = channel;
    REQUIRE(pthread_create(&thread, NULL, rest_in_thread, &copy) == 0);
    pthread_exit(NULL);
}

static void processes_outlive_their_first_thread(void **state)
{
    const int descriptor = open_socket();
    const uint32_t inode = inode_of(descriptor);
    const struct child child = start(end_first_thread, NULL);
    const struct owner expected = {.pid = child.pid, .fd = descriptor};
    (void)state;
    close(descriptor);
    assert_held(inode, &expected, 1);
    stop(&child);
}

/* ---- many ---- */

struct crowd {
    int *descriptors;
    uint32_t *inodes;
    size_t count;
    struct rlimit before;
};

static struct crowd open_crowd(void)
{
    struct crowd crowd = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &crowd.before), 0);
    const struct rlimit most = {crowd.before.rlim_max, crowd.before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
    crowd.descriptors = calloc(MANY, sizeof(*crowd.descriptors));
    crowd.inodes = calloc(MANY, sizeof(*crowd.inodes));
    assert_true(crowd.descriptors && crowd.inodes);
    while (crowd.count < MANY) {
        const int descriptor = open_socket();
        if (descriptor < 0)
            break;
        crowd.descriptors[crowd.count] = descriptor;
        crowd.inodes[crowd.count++] = inode_of(descriptor);
    }
    for (int i = 0; i < 64; i++) /* for the search itself */
        close(crowd.descriptors[--crowd.count]);
    qsort(crowd.inodes, crowd.count, sizeof(*crowd.inodes), compare_inodes);
    return crowd;
}

static void close_crowd(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        close(crowd->descriptors[i]);
    free(crowd->descriptors);
    free(crowd->inodes);
    setrlimit(RLIMIT_NOFILE, &crowd->before);
}

/* Only every `step`-th is asked for. */
static void find_crowd(const struct crowd *crowd, size_t step, enum owners_way way)
{
    struct owners owners = {0};
    uint32_t *asked = calloc(crowd->count, sizeof(*asked));
    size_t count = 0;
    assert_non_null(asked);
    for (size_t i = 0; i < crowd->count; i += step)
        asked[count++] = crowd->inodes[i];
    assert_int_equal(owners_find(asked, count, way, true, &owners, NULL), 0);
    assert_int_equal(owners.count, count);
    assert_int_equal(owners.process_count, 1);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(owners.items[i].inode, asked[i]);
        assert_int_equal(owners.items[i].pid, getpid());
        assert_int_equal(inode_of(owners.items[i].fd), asked[i]);
    }
    owners_release(&owners);
    free(asked);
}

static void many_descriptors_are_found(void **state)
{
    struct crowd crowd = open_crowd();
    enum owners_way ways[3];
    const size_t count = list_ways(ways);
    (void)state;
    assert_true(crowd.count > 100);
    for (size_t i = 0; i < count; i++) {
        find_crowd(&crowd, 1, ways[i]);
        find_crowd(&crowd, 997, ways[i]);
    }
    close_crowd(&crowd);
}

/* ---- coming and going ---- */

/* Starts children that end at once, for as long as it is let. */
static void swarm(int channel, void *user)
{
    (void)user;
    REQUIRE(write(channel, "!", 1) == 1);
    for (int i = 0; i < 20000; i++) {
        char end;
        const pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (recv(channel, &end, 1, MSG_DONTWAIT) == 0)
            i = 20000;
        if (pid > 0)
            REQUIRE(waitpid(pid, NULL, 0) == pid);
    }
}

static void processes_vanish_meanwhile(void **state)
{
    const int kept = open_socket();
    const uint32_t inode = inode_of(kept);
    struct child swarms[2];
    enum owners_way ways[3];
    const size_t count = list_ways(ways);
    (void)state;
    for (int i = 0; i < 2; i++)
        swarms[i] = start(swarm, NULL);
    for (size_t i = 0; i < count * 10; i++) {
        struct owners owners = {0};
        bool own = false;
        assert_int_equal(owners_find(&inode, 1, ways[i % count], true, &owners, NULL), 0);
        assert_true(owners.count >= 1); /* the swarm's children have inherited it */
        for (size_t j = 0; j < owners.count; j++) {
            assert_int_equal(owners.items[j].inode, inode);
            assert_non_null(owners_process(&owners, owners.items[j].pid));
            own |= owners.items[j].pid == getpid() && owners.items[j].fd == kept;
        }
        assert_true(own);
        owners_release(&owners);
    }
    for (int i = 0; i < 2; i++)
        stop(&swarms[i]);
    close(kept);
}

/* ---- who they are ---- */

static const char evil[] = "\x1b[1m) Z\n\xff 7";

static void take_name(int channel, void *user)
{
    (void)user;
    REQUIRE(prctl(PR_SET_NAME, evil) == 0);
    rest(channel);
}

static void processes_are_described(void **state)
{
    const int descriptor = open_socket();
    const uint32_t inode = inode_of(descriptor);
    const uint64_t before = clock_wall();
    const struct child child = start(take_name, NULL);
    const struct passwd *user = getpwuid(geteuid());
    struct owners owners = {0};
    struct stat space;
    (void)state;
    assert_int_equal(owners_find(&inode, 1, OWNERS_PROC, true, &owners, NULL), 0);
    const struct process *process = owners_process(&owners, child.pid);
    assert_non_null(process);
    assert_string_equal(process->name, evil);
    assert_int_equal(process->uid, geteuid());
    if (user)
        assert_string_equal(process->user, user->pw_name);
    assert_non_null(strstr(process->command, program_invocation_short_name));
    assert_int_equal(stat("/proc/self/ns/net", &space), 0);
    assert_int_equal(process->space, space.st_ino);
    /* It is told in ticks. */
    assert_true(process->started + NANOSECONDS_PER_SECOND / 10 > before);
    assert_true(process->started < clock_wall() + NANOSECONDS_PER_SECOND / 10);
    assert_int_equal(owners_process(&owners, getpid())->uid, geteuid());
    owners_release(&owners);
    assert_int_equal(owners_find(&inode, 1, OWNERS_PROC, false, &owners, NULL), 0);
    process = owners_process(&owners, child.pid);
    assert_string_equal(process->name, evil);
    assert_int_equal(process->uid, geteuid());
    assert_true(!process->command && !process->user && !process->started);
    owners_release(&owners);
    stop(&child);
    close(descriptor);
}

/* ---- without rights, and elsewhere ---- */

static void search_as_nobody(int channel, void *user)
{
    const uint32_t foreign = *(const uint32_t *)user;
    struct owners owners = {0};
    struct error error = {0};
    REQUIRE(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
            setresuid(NOBODY, NOBODY, NOBODY) == 0);
    REQUIRE(prctl(PR_SET_DUMPABLE, 1) == 0);
    const int own = open_socket();
    REQUIRE(find_one(inode_of(own), OWNERS_PROC, &owners) == 0);
    REQUIRE(is_held(&owners, inode_of(own), &(struct owner){0, getpid(), own}, 1));
    REQUIRE(owners_process(&owners, getpid())->uid == NOBODY);
    owners_release(&owners);
    REQUIRE(find_one(foreign, OWNERS_BEST, &owners) == 0);
    REQUIRE(is_held(&owners, foreign, NULL, 0));
    REQUIRE(owners.unseen > 0);
    owners_release(&owners);
    const int failed = owners_find(&foreign, 1, OWNERS_BPF, false, &owners, &error);
    REQUIRE(failed == -EPERM || failed == -EOPNOTSUPP);
    REQUIRE(error.code == -failed && owners.items == NULL);
    rest(channel);
}

static void what_is_not_seen_is_counted(void **state)
{
    struct child child;
    const int descriptor = fcntl(open_socket(), F_DUPFD_CLOEXEC, 700);
    uint32_t inode = inode_of(descriptor);
    (void)state;
    NEED_ROOT;
    /* It must not have inherited what it cannot find. */
    const struct child holder = start(hold, NULL);
    close(descriptor);
    for (int i = 3; i < 700; i++)
        if (inode_of(i) == inode)
            close(i);
    child = start(search_as_nobody, &inode);
    stop(&child);
    stop(&holder);
}

static void search_inside(int channel, void *user)
{
    enum owners_way ways[3];
    const int descriptor = open_socket();
    const pid_t child = fork();
    (void)user;
    REQUIRE(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    REQUIRE(getpid() == 1);
    /* The other namespace's /proc is not what the kernel's numbers are about. */
    struct owners owners = {0};
    REQUIRE(find_one(inode_of(descriptor), OWNERS_BPF, &owners) == -EOPNOTSUPP);
    REQUIRE(mount("proc", "/proc", "proc", 0, NULL) == 0);
    const struct owner expected[] = {{0, 1, descriptor}, {0, child, descriptor}};
    const size_t count = list_ways(ways);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(find_one(inode_of(descriptor), ways[i], &owners) == 0);
        REQUIRE(is_held(&owners, inode_of(descriptor), expected, 2));
        owners_release(&owners);
    }
    rest(channel);
}

static void enter_namespace(int channel, void *user)
{
    int status;
    if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fprintf(stderr, "# no namespaces: %s\n", strerror(errno));
        rest(channel);
        return;
    }
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        search_inside(channel, user);
        _exit(0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(status == 0);
}

static void numbers_are_of_our_namespace(void **state)
{
    NEED_BPF;
    NEED_ROOT;
    const struct child child = start(enter_namespace, NULL);
    stop(&child);
}

/* ---- both ways ---- */

static void both_ways_agree(void **state)
{
    uint32_t inodes[64];
    int descriptors[64];
    struct child children[CHILDREN];
    struct owners proc = {0}, bpf = {0};
    NEED_BPF;
    for (size_t i = 0; i < 64; i++) {
        descriptors[i] = i % 3 == 2 ? dup(descriptors[i - 1]) : open_socket();
        inodes[i] = inode_of(descriptors[i]);
        if (i % 8 == 7)
            children[i / 8] = start(hold, NULL);
    }
    size_t count = 0;
    qsort(inodes, 64, sizeof(inodes[0]), compare_inodes);
    for (size_t i = 0; i < 64; i++)
        if (i == 0 || inodes[count - 1] != inodes[i])
            inodes[count++] = inodes[i];
    assert_int_equal(owners_find(inodes, count, OWNERS_PROC, true, &proc, NULL), 0);
    assert_int_equal(owners_find(inodes, count, OWNERS_BPF, true, &bpf, NULL), 0);
    assert_int_equal(bpf.unseen, 0);
    assert_true(proc.count > 64);
    assert_int_equal(proc.count, bpf.count);
    assert_memory_equal(proc.items, bpf.items, proc.count * sizeof(*proc.items));
    assert_int_equal(proc.process_count, CHILDREN + 1);
    assert_int_equal(bpf.process_count, CHILDREN + 1);
    owners_release(&proc);
    owners_release(&bpf);
    for (size_t i = 0; i < CHILDREN; i++)
        stop(&children[i]);
    for (size_t i = 0; i < 64; i++)
        close(descriptors[i]);
}

/* ---- two answers in one ---- */

static char *text_in(struct arena *arena, const char *text)
{
    char *copy = arena_take(arena, strlen(text) + 1);
    assert_non_null(copy);
    return strcpy(copy, text);
}

/* An answer with these descriptors and processes, both in order; `word` is all their texts. */
static struct owners answer(const struct owner *items, size_t count, const pid_t *pids,
                            size_t process_count, const char *word)
{
    struct owners owners = {.count = count, .process_count = process_count};
    owners.items = calloc(count, sizeof(*owners.items));
    owners.processes = calloc(process_count, sizeof(*owners.processes));
    assert_true(owners.items && owners.processes);
    memcpy(owners.items, items, count * sizeof(*items));
    for (size_t i = 0; i < process_count; i++) {
        struct process *process = &owners.processes[i];
        process->pid = pids[i];
        process->user = text_in(&owners.arena, word);
        process->command = text_in(&owners.arena, word);
        process->unit = text_in(&owners.arena, word);
        process->container_runtime = text_in(&owners.arena, word);
        process->container = text_in(&owners.arena, word);
        snprintf(process->name, sizeof(process->name), "%s", word);
    }
    return owners;
}

static struct owners answer_now(void)
{
    static const struct owner items[] = {{10, 300, 3}, {20, 100, 3}, {20, 300, 4}};
    static const pid_t pids[] = {100, 300};
    return answer(items, 3, pids, 2, "now");
}

static struct owners answer_before(void)
{
    static const struct owner items[] = {{5, 200, 3},  {5, 400, 3},  {15, 300, 9}, {20, 500, 3},
                                         {25, 200, 4}, {25, 200, 5}, {30, 600, 3}};
    static const pid_t pids[] = {200, 300, 400, 500, 600};
    return answer(items, 7, pids, 5, "before");
}

static void assert_described(const struct owners *owners, size_t index, pid_t pid, const char *word)
{
    const struct process *process = &owners->processes[index];
    assert_int_equal(process->pid, pid);
    assert_string_equal(process->name, word);
    assert_string_equal(process->user, word);
    assert_string_equal(process->command, word);
    assert_string_equal(process->unit, word);
    assert_string_equal(process->container_runtime, word);
    assert_string_equal(process->container, word);
}

static void answers_are_merged(void **state)
{
    static const uint32_t asked[] = {25, 20, 7, 5, 15, 5, 25};
    static const struct owner expected[] = {{5, 200, 3},  {5, 400, 3},  {10, 300, 3}, {15, 300, 9},
                                            {20, 100, 3}, {20, 300, 4}, {25, 200, 4}, {25, 200, 5}};
    const size_t count = sizeof(expected) / sizeof(expected[0]);
    struct owners owners = answer_now(), others = answer_before();
    (void)state;
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to add */
        assert_int_equal(owners_merge(&owners, &others, asked, 7), 0);
        assert_int_equal(owners.count, count);
        assert_memory_equal(owners.items, expected, sizeof(expected));
        assert_int_equal(owners.process_count, 4);
    }
    assert_int_equal(others.count, 7);
    assert_int_equal(others.process_count, 5);
    owners_release(&others);
    assert_described(&owners, 0, 100, "now");
    assert_described(&owners, 1, 200, "before");
    assert_described(&owners, 2, 300, "now");
    assert_described(&owners, 3, 400, "before");
    owners_release(&owners);
}

static void nobody_is_merged(void **state)
{
    static const uint32_t asked[] = {5, 20, 21};
    struct owners owners = answer_now(), none = {0};
    (void)state;
    assert_int_equal(owners_merge(&none, &none, asked, 3), 0);
    assert_int_equal(owners_merge(&none, &owners, NULL, 0), 0);
    assert_true(none.count == 0 && none.process_count == 0);
    assert_int_equal(owners_merge(&owners, &none, asked, 3), 0);
    assert_int_equal(owners.count, 3);
    assert_int_equal(owners.process_count, 2);
    assert_int_equal(owners_merge(&none, &owners, asked, 3), 0);
    owners_release(&owners);
    assert_int_equal(none.count, 2);
    assert_int_equal(none.process_count, 2);
    assert_described(&none, 0, 100, "now");
    assert_described(&none, 1, 300, "now");
    owners_release(&none);
}

/* What is not known is not made up. */
static void texts_may_be_missing(void **state)
{
    static const uint32_t asked = 5;
    struct owners owners = answer_now(), others = answer_before();
    (void)state;
    others.processes[0].user = others.processes[0].container = NULL;
    assert_int_equal(owners_merge(&owners, &others, &asked, 1), 0);
    owners_release(&others);
    const struct process *process = owners_process(&owners, 200);
    assert_non_null(process);
    assert_true(!process->user && !process->container);
    assert_string_equal(process->command, "before");
    owners_release(&owners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_sockets_are_found),
        cmocka_unit_test(nothing_is_asked_for),
        cmocka_unit_test(closed_sockets_are_nobodys),
        cmocka_unit_test(files_are_no_sockets),
        cmocka_unit_test(duplicates_are_told),
        cmocka_unit_test(forked_children_share),
        cmocka_unit_test(passed_sockets_are_with_the_receiver),
        cmocka_unit_test(sockets_on_their_way_are_nobodys),
        cmocka_unit_test(threads_are_their_process),
        cmocka_unit_test(processes_outlive_their_first_thread),
        cmocka_unit_test(many_descriptors_are_found),
        cmocka_unit_test(processes_vanish_meanwhile),
        cmocka_unit_test(processes_are_described),
        cmocka_unit_test(what_is_not_seen_is_counted),
        cmocka_unit_test(numbers_are_of_our_namespace),
        cmocka_unit_test(both_ways_agree),
        cmocka_unit_test(answers_are_merged),
        cmocka_unit_test(nobody_is_merged),
        cmocka_unit_test(texts_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
