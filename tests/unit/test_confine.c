/* What a confined process can still do and what it cannot: each test confines a child and has it
 * try. */
#include "cmd/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/bpf.h>

#include <cmocka.h>

#define NOBODY 65534
#define PATH_SIZE 128
#define STATUS_SKIPPED 77
#define STATUS_UNCONFINED 78

/* A directory with a file that waits to be renamed, and one beside it that is none of ours. */
struct place {
    char directory[64], above[64];
    char partial[PATH_SIZE], path[PATH_SIZE], other[PATH_SIZE];
    const char *paths[1];
};

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text\n", 5), 5);
    close(fd);
}

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (!place)
        return -1;
    strcpy(place->above, "/tmp/porthole-confine-XXXXXX");
    if (!mkdtemp(place->above))
        return -1;
    chmod(place->above, 0755);
    snprintf(place->directory, sizeof(place->directory), "%s/ours", place->above);
    if (mkdir(place->directory, 0755))
        return -1;
    snprintf(place->partial, PATH_SIZE, "%s/result.partial", place->directory);
    snprintf(place->path, PATH_SIZE, "%s/result", place->directory);
    snprintf(place->other, PATH_SIZE, "%s/other", place->above);
    place->paths[0] = place->path;
    write_file(place->partial);
    write_file(place->other);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->partial);
    unlink(place->path);
    unlink(place->other);
    int failed = rmdir(place->directory) || rmdir(place->above);
    free(place);
    return failed;
}

/* ---- in the child ---- */

/* A try returns 0 when everything was as expected. */
typedef int try_fn(const struct place *place);

#define TRY(condition)                                                                             \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "not true: %s (%s)\n", #condition, strerror(errno));                   \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#define REFUSED(call, code) TRY((call) < 0 && errno == (code))

/* What the kernel says of a process in /proc/PID/status. */
struct rights {
    uint64_t permitted, effective, inheritable, bounding, ambient, no_new, filtered;
};

static uint64_t read_field(FILE *file, const char *name, int base)
{
    char line[256];
    size_t length = strlen(name);
    rewind(file);
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return strtoull(line + length + 1, NULL, base);
    fail_msg("no %s in /proc/PID/status", name);
    return 0;
}

static struct rights read_rights(pid_t child)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const struct rights rights = {
        .permitted = read_field(file, "CapPrm", 16),
        .effective = read_field(file, "CapEff", 16),
        .inheritable = read_field(file, "CapInh", 16),
        .bounding = read_field(file, "CapBnd", 16),
        .ambient = read_field(file, "CapAmb", 16),
        .no_new = read_field(file, "NoNewPrivs", 10),
        .filtered = read_field(file, "Seccomp", 10),
    };
    fclose(file);
    return rights;
}

static struct rights last; /* of the child that ran last */

/* Runs a try in a confined child and returns its wait status. A test about something that this
 * kernel lacks is skipped. */
static int run(const struct confinement *wanted, int needs, uid_t user, const struct place *place,
               try_fn *try)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error error = {0};
        if (user && (setresgid(user, user, user) || setresuid(user, user, user)))
            _exit(STATUS_UNCONFINED);
        int lacks = confine(wanted, &error);
        if (lacks < 0) {
            fprintf(stderr, "%s\n", error.message);
            _exit(STATUS_UNCONFINED);
        }
        raise(SIGSTOP);
        _exit(lacks & needs ? STATUS_SKIPPED : try(place));
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
        last = read_rights(child);
        kill(child, SIGCONT);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED)
        skip();
    return status;
}

static void assert_passes(const struct confinement *wanted, int needs, const struct place *place,
                          try_fn *try)
{
    assert_int_equal(run(wanted, needs, 0, place, try), 0);
}

static const struct confinement nothing;

static struct confinement with_paths(const struct place *place)
{
    return (struct confinement){.paths = place->paths, .path_count = 1};
}

/* ---- system calls ---- */

static int try_sockets(const struct place *place)
{
    (void)place;
    REFUSED(socket(AF_INET, SOCK_STREAM, 0), EPERM);
    REFUSED(socket(AF_INET6, SOCK_DGRAM, 0), EPERM);
    REFUSED(socket(AF_UNIX, SOCK_DGRAM, 0), EPERM);
    REFUSED(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
    REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
    return 0;
}

static void test_no_sockets(void **state)
{
    assert_passes(&nothing, CONFINEMENT_LACKS_CALLS, *state, try_sockets);
    assert_int_equal(last.filtered, 2);
}

static int try_internet_sockets(const struct place *place)
{
    const struct sockaddr_in loopback = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)place;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), on = 1;
    TRY(fd >= 0);
    TRY(ioctl(fd, FIONBIO, &on) == 0);
    TRY(fcntl(fd, F_GETFL) & O_NONBLOCK);
    TRY(bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0);
    TRY(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0);
    TRY(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) >= 0 || errno == EAFNOSUPPORT);
    REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), EPERM);
    REFUSED(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), EPERM);
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
    REFUSED(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
    REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
    REFUSED(listen(fd, 1), EPERM);
    return 0;
}

static void test_internet_sockets_alone(void **state)
{
    const struct confinement wanted = {.sockets = true};
    assert_passes(&wanted, CONFINEMENT_LACKS_CALLS, *state, try_internet_sockets);
}

static int try_zone(const struct place *place)
{
    char name[IF_NAMESIZE];
    (void)place;
    TRY(if_indextoname(1, name) || errno == ENXIO);
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
    return 0;
}

static void test_names_of_interfaces(void **state)
{
    const struct confinement wanted = {.zones = true};
    assert_passes(&wanted, CONFINEMENT_LACKS_CALLS, *state, try_zone);
}

static int try_writing(const struct place *place)
{
    REFUSED(open(place->other, O_WRONLY), EPERM);
    REFUSED(open(place->other, O_RDWR), EPERM);
    REFUSED(open(place->path, O_RDONLY | O_CREAT, 0644), EPERM);
    REFUSED(open(place->other, O_RDONLY | O_TRUNC), EPERM);
    REFUSED(open("/tmp", O_TMPFILE | O_WRONLY, 0600), EPERM);
    REFUSED(rename(place->partial, place->path), EPERM);
    REFUSED(unlink(place->other), EPERM);
    REFUSED(link(place->other, place->path), EPERM);
    REFUSED(symlink(place->other, place->path), EPERM);
    REFUSED(mkdir(place->path, 0755), EPERM);
    REFUSED(chmod(place->other, 0600), EPERM);
    REFUSED(truncate(place->other, 0), EPERM);
    return 0;
}

static void test_no_file_is_written(void **state)
{
    assert_passes(&nothing, CONFINEMENT_LACKS_CALLS, *state, try_writing);
}

static int try_others(const struct place *place)
{
    struct rlimit limit;
    (void)place;
    REFUSED(fork(), EPERM);
    REFUSED(kill(getppid(), 0), EPERM);
    REFUSED(syscall(SYS_tgkill, getppid(), getppid(), 0), EPERM);
    REFUSED(syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, &limit), EPERM);
    REFUSED(ioctl(STDIN_FILENO, TIOCSTI, "x"), EPERM);
    REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), EPERM);
    TRY(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
        errno == EPERM);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY(memory != MAP_FAILED);
    REFUSED(mprotect(memory, 4096, PROT_READ | PROT_EXEC), EPERM);
    TRY(kill(getpid(), 0) == 0);
    TRY(raise(SIGCHLD) == 0);
    return 0;
}

static void test_nobody_else_is_reached(void **state)
{
    assert_passes(&nothing, CONFINEMENT_LACKS_CALLS, *state, try_others);
}

static int try_execve(const struct place *place)
{
    (void)place;
    execl("/bin/true", "true", (char *)NULL);
    return 1;
}

static int try_ptrace(const struct place *place)
{
    (void)place;
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return 1;
}

static int try_reading_memory(const struct place *place)
{
    char byte;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    process_vm_readv(getppid(), &vector, 1, &vector, 1, 0);
    return place != NULL;
}

static int try_unshare(const struct place *place)
{
    (void)place;
    syscall(SYS_unshare, 0);
    return 1;
}

static int try_setns(const struct place *place)
{
    (void)place;
    syscall(SYS_setns, -1, 0);
    return 1;
}

static int try_mount(const struct place *place)
{
    syscall(SYS_mount, "none", place->directory, "tmpfs", 0, NULL);
    return 1;
}

static int try_bpf(const struct place *place)
{
    (void)place;
    syscall(SYS_bpf, 0, NULL, 0);
    return 1;
}

static int try_loading(const struct place *place)
{
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_XDP};
    (void)place;
    syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
    return 1;
}

static int try_attaching(const struct place *place)
{
    union bpf_attr attributes = {.link_create = {.attach_type = BPF_XDP}};
    (void)place;
    syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));
    return 1;
}

static int try_a_far_command(const struct place *place)
{
    (void)place;
    syscall(SYS_bpf, BPF_PROG_TEST_RUN | 1 << 30, NULL, 0);
    return 1;
}

static int try_module(const struct place *place)
{
    (void)place;
    syscall(SYS_init_module, NULL, 0, "");
    return 1;
}

static int try_ring(const struct place *place)
{
    (void)place;
    syscall(SYS_io_uring_setup, 1, NULL);
    return 1;
}

static void assert_ends(const struct confinement *wanted, const struct place *place, try_fn *try)
{
    int status = run(wanted, CONFINEMENT_LACKS_CALLS, 0, place, try);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_what_ends_the_process(void **state)
{
    static try_fn *const fatal[] = {
        try_execve, try_ptrace,  try_reading_memory, try_unshare,       try_setns,  try_mount,
        try_bpf,    try_loading, try_attaching,      try_a_far_command, try_module, try_ring};
    const struct confinement all = {.sockets = true, .zones = true, .programs = true};
    for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++)
        assert_ends(&all, *state, fatal[i]);
}

/* ---- programs of the kernel's ---- */

static int program_fd; /* of a program, or -1 */

/* An XDP program that drops every packet; -1 without the rights to load it. */
static int load_program(void)
{
    const struct bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attributes = {
        .prog_type = BPF_PROG_TYPE_XDP,
        .insns = (uintptr_t)instructions,
        .insn_cnt = 2,
        .license = (uintptr_t) "BSD",
    };
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static int try_running(const struct place *place)
{
    unsigned char frame[64] = {0};
    union bpf_attr attributes = {.test = {.prog_fd = (uint32_t)program_fd,
                                          .data_size_in = sizeof(frame),
                                          .data_in = (uintptr_t)frame,
                                          .repeat = 1}};
    unsigned long processors[16];
    (void)place;
    if (program_fd >= 0) {
        TRY(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) == 0);
        TRY(attributes.test.retval == XDP_DROP);
        attributes.test.retval = 0;
        attributes.test.repeat = 128;
        attributes.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        TRY(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) == 0);
    } else { /* the kernel sees the call */
        REFUSED(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)), EBADF);
    }
    TRY(syscall(SYS_sched_getaffinity, 0, sizeof(processors), processors) > 0);
    TRY(syscall(SYS_sched_setaffinity, 0, sizeof(processors), processors) == 0);
    REFUSED(syscall(SYS_sched_setaffinity, getppid(), sizeof(processors), processors), EPERM);
    return 0;
}

static int try_changing_a_map(const struct place *place)
{
    (void)place;
    syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, NULL, 0);
    return 1;
}

static int try_running_without_leave(const struct place *place)
{
    (void)place;
    syscall(SYS_bpf, BPF_PROG_TEST_RUN, NULL, 0);
    return 1;
}

static int try_choosing_a_processor(const struct place *place)
{
    unsigned long processors[16];
    (void)place;
    TRY(syscall(SYS_sched_getaffinity, 0, sizeof(processors), processors) > 0);
    REFUSED(syscall(SYS_sched_setaffinity, 0, sizeof(processors), processors), EPERM);
    return 0;
}

static void test_programs_are_run_and_nothing_else(void **state)
{
    const struct confinement wanted = {.programs = true};
    program_fd = load_program();
    assert_passes(&wanted, CONFINEMENT_LACKS_CALLS, *state, try_running);
    if (program_fd >= 0)
        close(program_fd);
    assert_int_equal(last.permitted, 0);
    assert_ends(&wanted, *state, try_changing_a_map);
    assert_ends(&nothing, *state, try_running_without_leave);
    assert_passes(&nothing, CONFINEMENT_LACKS_CALLS, *state, try_choosing_a_processor);
}

/* ---- files ---- */

static int try_files(const struct place *place)
{
    char name[PATH_SIZE];
    REFUSED(open("/etc/passwd", O_RDONLY), EACCES);
    REFUSED(open(place->other, O_RDONLY), EACCES);
    REFUSED(open(place->partial, O_RDONLY), EACCES);
    REFUSED(open(place->above, O_RDONLY | O_DIRECTORY), EACCES);
    REFUSED(open("/proc/self/maps", O_RDONLY), EACCES);
    REFUSED(unlink(place->other), EACCES);
    TRY(rename(place->other, place->path) < 0 && (errno == EACCES || errno == EXDEV));
    snprintf(name, sizeof(name), "%s/stolen", place->above);
    TRY(rename(place->partial, name) < 0 && (errno == EACCES || errno == EXDEV));
    int fd = open("/proc/sys/net/core/somaxconn", O_RDONLY | O_CLOEXEC);
    TRY(fd >= 0);
    TRY(read(fd, name, sizeof(name)) > 0);
    close(fd);

    TRY(rename(place->partial, place->path) == 0);
    fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    TRY(fd >= 0);
    TRY(fsync(fd) == 0);
    close(fd);
    struct stat status;
    TRY(lstat(place->path, &status) == 0);
    TRY(unlink(place->path) == 0);
    return 0;
}

static void test_files_of_one_directory(void **state)
{
    const struct confinement wanted = with_paths(*state);
    assert_passes(&wanted, CONFINEMENT_LACKS_FILES, *state, try_files);
}

static int try_nothing(const struct place *place)
{
    return place == NULL;
}

static int try_renaming(const struct place *place)
{
    TRY(rename(place->partial, place->path) == 0);
    TRY(unlink(place->path) == 0);
    return 0;
}

/* What was opened before stays usable, whatever its rights were. */
static int kept_fd;

static int try_open_descriptors(const struct place *place)
{
    struct pollfd polled = {.fd = kept_fd, .events = POLLOUT};
    TRY(poll(&polled, 1, 0) == 1);
    TRY(write(kept_fd, "more\n", 5) == 5);
    TRY(fdatasync(kept_fd) == 0);
    TRY(fcntl(kept_fd, F_GETFL) & O_APPEND);
    return place == NULL;
}

/* What has been written cannot be changed: a checkpoint says what is done when it is resumed. */
static int try_overwriting(const struct place *place)
{
    REFUSED(ftruncate(kept_fd, 0), EPERM);
    REFUSED(fcntl(kept_fd, F_SETFL, 0), EPERM);
    REFUSED(pwrite(kept_fd, "more\n", 5, 0), EPERM);
    TRY(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, kept_fd, 0) == MAP_FAILED);
    return place == NULL;
}

static void test_open_descriptors_stay(void **state)
{
    const struct confinement all = {.sockets = true, .zones = true};
    const struct place *place = *state;
    kept_fd = open(place->partial, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(kept_fd >= 0);
    assert_passes(&nothing, 0, place, try_open_descriptors);
    assert_passes(&nothing, CONFINEMENT_LACKS_CALLS, place, try_overwriting);
    assert_passes(&all, CONFINEMENT_LACKS_CALLS, place, try_overwriting);
    close(kept_fd);
}

/* ---- a machine that offers less ---- */

/* In a container these system calls may be missing, and the program goes on. */
static void forbid_filters(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const uint32_t missing = SCMP_ACT_ERRNO(ENOSYS);
    if (!filter || seccomp_rule_add(filter, missing, SCMP_SYS(landlock_create_ruleset), 0) ||
        seccomp_rule_add(filter, missing, SCMP_SYS(seccomp), 0) ||
        seccomp_rule_add(filter, missing, SCMP_SYS(prctl), 1,
                         SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)) ||
        seccomp_load(filter))
        _exit(STATUS_UNCONFINED);
    seccomp_release(filter);
}

static int try_without_filters(const struct place *place)
{
    const struct confinement wanted = {.sockets = true};
    forbid_filters();
    TRY(confine(&wanted, NULL) == (CONFINEMENT_LACKS_FILES | CONFINEMENT_LACKS_CALLS));
    int fd = open(place->other, O_RDONLY | O_CLOEXEC);
    TRY(fd >= 0);
    TRY(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    return 0;
}

static void test_a_machine_without_filters(void **state)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_without_filters(*state));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- capabilities ---- */

#define BIT(capability) (UINT64_C(1) << (capability))

/* Confines, does what is done at the end, and checks that just these capabilities were kept. */
static void assert_keeps(uint64_t kept, uid_t user, const struct confinement *wanted,
                         const struct place *place)
{
    assert_int_equal(run(wanted, 0, user, place, wanted->path_count ? try_renaming : try_nothing),
                     0);
    assert_int_equal(last.permitted, kept);
    assert_int_equal(last.effective, kept);
    assert_int_equal(last.inheritable, 0);
    assert_int_equal(last.ambient, 0);
    assert_int_equal(last.no_new, 1);
}

static void need_root(void)
{
    if (getuid() != 0)
        skip();
}

static void test_no_capabilities(void **state)
{
    assert_keeps(0, 0, &nothing, *state);
    if (getuid() == 0)
        assert_int_equal(last.bounding, 0);
}

static void test_own_directory_needs_none(void **state)
{
    const struct confinement wanted = with_paths(*state);
    assert_keeps(0, 0, &wanted, *state);
}

static void test_anothers_directory(void **state)
{
    const struct place *place = *state;
    const struct confinement wanted = with_paths(place);
    need_root();
    assert_int_equal(chown(place->directory, NOBODY, NOBODY), 0);
    assert_keeps(BIT(CAP_DAC_OVERRIDE), 0, &wanted, place);
}

static void test_directory_that_is_closed_to_others(void **state)
{
    const struct place *place = *state;
    const struct confinement wanted = with_paths(place);
    need_root();
    assert_int_equal(chmod(place->directory, 0700), 0);
    assert_int_equal(chown(place->directory, NOBODY, NOBODY), 0);
    assert_keeps(BIT(CAP_DAC_OVERRIDE), 0, &wanted, place);
}

static void test_anothers_directory_open_to_all(void **state)
{
    const struct place *place = *state;
    const struct confinement wanted = with_paths(place);
    need_root();
    assert_int_equal(chmod(place->directory, 0777), 0);
    assert_int_equal(chown(place->directory, NOBODY, NOBODY), 0);
    assert_keeps(0, 0, &wanted, place);
}

static void test_anothers_file_in_a_sticky_directory(void **state)
{
    const struct place *place = *state;
    const struct confinement wanted = with_paths(place);
    need_root();
    write_file(place->path);
    assert_int_equal(chown(place->path, NOBODY, NOBODY), 0);
    assert_int_equal(chmod(place->directory, 01777), 0);
    assert_int_equal(chown(place->directory, NOBODY, NOBODY), 0);
    assert_keeps(BIT(CAP_FOWNER), 0, &wanted, place);
}

static void test_an_ordinary_user(void **state)
{
    const struct place *place = *state;
    const struct confinement wanted = with_paths(place);
    need_root();
    assert_int_equal(chown(place->directory, NOBODY, NOBODY), 0);
    assert_keeps(0, NOBODY, &wanted, place);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_sockets),
        TEST(test_internet_sockets_alone),
        TEST(test_names_of_interfaces),
        TEST(test_no_file_is_written),
        TEST(test_nobody_else_is_reached),
        TEST(test_what_ends_the_process),
        TEST(test_programs_are_run_and_nothing_else),
        TEST(test_files_of_one_directory),
        TEST(test_open_descriptors_stay),
        TEST(test_a_machine_without_filters),
        TEST(test_no_capabilities),
        TEST(test_own_directory_needs_none),
        TEST(test_anothers_directory),
        TEST(test_directory_that_is_closed_to_others),
        TEST(test_anothers_directory_open_to_all),
        TEST(test_anothers_file_in_a_sticky_directory),
        TEST(test_an_ordinary_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
