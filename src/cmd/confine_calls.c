/* Which system calls a running scan, and its end, may make: seccomp. */
#include "cmd/confine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asm/termbits.h>
#include <linux/bpf.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Old and new variants side by side: which one is called is the C library's choice, and differs by
 * its version and by the machine. A name that this libseccomp does not know is left out. */
static const char *const allowed[] = {
    /* descriptors that are open: not ftruncate() or pwrite(), so that a checkpoint only grows */
    "read", "readv", "write", "writev", "lseek", "close", "fsync", "fdatasync", "fstat",
    /* waiting */
    "poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl",
    "nanosleep", "clock_nanosleep", "restart_syscall", "sched_yield", "futex",
    /* packets */
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "getsockopt", "getsockname",
    "getpeername",
    /* what can be known of files without reading them */
    "stat", "lstat", "newfstatat", "statx", "faccessat", "faccessat2",
    /* memory */
    "brk", "munmap", "mremap", "madvise",
    /* signals, and the end */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "sigaltstack", "exit",
    "exit_group",
    /* clocks and other facts */
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getrandom",
    "getpid", "gettid", "getppid", "getpgrp", "getpgid", "getuid", "geteuid", "getgid", "getegid",
    "getrlimit", "setrlimit", "sysinfo", "uname", "sched_getaffinity", "getcpu"};

/* When a document or a checkpoint is there at the end. */
static const char *const allowed_paths[] = {"rename", "renameat", "renameat2", "unlink",
                                            "unlinkat"};

static const char *const allowed_sockets[] = {"connect", "bind", "setsockopt"};

/* What nothing in this program or below it ever calls: whoever does is somebody else. */
static const char *const fatal[] = {
    /* other programs */
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
    "pidfd_getfd", "kcmp",
    /* other ways into the kernel */
    "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "add_key",
    "request_key", "keyctl",
    /* other views of the file system and of the network */
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "setns", "unshare", "open_by_handle_at",
    /* the machine itself */
    "reboot", "swapon", "swapoff", "iopl", "ioperm", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex"};

/* Of a terminal: its settings, size and foreground job. Not TIOCSTI, which types into it. The new
 * pair of TCGETS and TCSETS is that of newer C libraries. */
static const unsigned requests[] = {TCGETS,   TCSETS,     TCSETSW,   TCGETS2, TCSETS2,
                                    TCSETSW2, TIOCGWINSZ, TIOCGPGRP, FIONREAD};

static const unsigned commands[] = {F_GETFD, F_SETFD, F_GETFL};

/* ---- rules ---- */

/* The kernel looks at the lower half only of an argument that is an int. */
static struct scmp_arg_cmp has_bits(unsigned argument, unsigned mask, unsigned bits)
{
    return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, bits);
}

static struct scmp_arg_cmp is_number(unsigned argument, unsigned number)
{
    return has_bits(argument, UINT32_MAX, number);
}

/* Adds a rule about a system call, unless this machine has none of that name. */
static int add_rule(scmp_filter_ctx filter, uint32_t action, const char *name, size_t count,
                    const struct scmp_arg_cmp *conditions)
{
    int number = seccomp_syscall_resolve_name(name);
    return number < 0 ? 0
                      : seccomp_rule_add_array(filter, action, number, (unsigned)count, conditions);
}

static int add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names,
                     size_t count)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < count; i++)
        failed = add_rule(filter, action, names[i], 0, NULL);
    return failed;
}

/* Allows a call when an argument is one of these numbers. */
static int allow_numbers(scmp_filter_ctx filter, const char *name, unsigned argument,
                         const unsigned *numbers, size_t count)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < count; i++) {
        const struct scmp_arg_cmp condition = is_number(argument, numbers[i]);
        failed = add_rule(filter, SCMP_ACT_ALLOW, name, 1, &condition);
    }
    return failed;
}

/* Allows a call when none of these bits are in an argument. */
static int allow_without(scmp_filter_ctx filter, const char *name, unsigned argument, unsigned bits)
{
    const struct scmp_arg_cmp condition = has_bits(argument, bits, 0);
    return add_rule(filter, SCMP_ACT_ALLOW, name, 1, &condition);
}

/* Ends the process when an argument is another number, any of whose bits is another one. */
static int kill_other_numbers(scmp_filter_ctx filter, const char *name, unsigned argument,
                              unsigned number)
{
    int failed = 0;
    for (unsigned bit = 1; bit && !failed; bit <<= 1) {
        const struct scmp_arg_cmp condition = has_bits(argument, bit, ~number & bit);
        failed = add_rule(filter, SCMP_ACT_KILL_PROCESS, name, 1, &condition);
    }
    return failed;
}

static int allow_socket(scmp_filter_ctx filter, int family, int type, int protocol)
{
    const struct scmp_arg_cmp conditions[] = {
        is_number(0, (unsigned)family),
        has_bits(1, ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK), (unsigned)type),
        is_number(2, (unsigned)protocol),
    };
    return add_rule(filter, SCMP_ACT_ALLOW, "socket", COUNT(conditions), conditions);
}

/* ---- the filter ---- */

static int allow_files(scmp_filter_ctx filter, const struct confinement *wanted)
{
    const unsigned writing = O_ACCMODE | O_CREAT | O_TRUNC;
    int failed = allow_without(filter, "open", 1, writing);
    if (!failed)
        failed = allow_without(filter, "openat", 2, writing);
    if (!failed && wanted->path_count)
        failed = add_names(filter, SCMP_ACT_ALLOW, allowed_paths, COUNT(allowed_paths));
    return failed;
}

static int allow_sockets(scmp_filter_ctx filter, const struct confinement *wanted)
{
    static const int families[] = {AF_INET, AF_INET6};
    const unsigned setting[] = {FIONBIO}, zone[] = {SIOCGIFNAME};
    int failed = 0;
    for (size_t i = 0; wanted->sockets && !failed && i < COUNT(families); i++) {
        failed = allow_socket(filter, families[i], SOCK_STREAM, 0);
        if (!failed)
            failed = allow_socket(filter, families[i], SOCK_STREAM, IPPROTO_TCP);
        if (!failed)
            failed = allow_socket(filter, families[i], SOCK_DGRAM, 0);
        if (!failed)
            failed = allow_socket(filter, families[i], SOCK_DGRAM, IPPROTO_UDP);
    }
    if (!failed && wanted->sockets)
        failed = add_names(filter, SCMP_ACT_ALLOW, allowed_sockets, COUNT(allowed_sockets));
    if (!failed && wanted->sockets)
        failed = allow_numbers(filter, "ioctl", 1, setting, COUNT(setting));
    /* if_indextoname() asks over such a socket. */
    if (!failed && wanted->zones)
        failed = allow_socket(filter, AF_UNIX, SOCK_DGRAM, 0);
    if (!failed && wanted->zones)
        failed = allow_numbers(filter, "ioctl", 1, zone, COUNT(zone));
    return failed;
}

/* To run a program that is open takes no right. Neither would attaching it to any interface, taking
 * away what is attached, or writing into its maps, which are other commands of bpf(2). */
static int allow_programs(scmp_filter_ctx filter, const struct confinement *wanted)
{
    const unsigned run[] = {BPF_PROG_TEST_RUN}, caller[] = {0};
    if (!wanted->programs)
        return add_rule(filter, SCMP_ACT_KILL_PROCESS, "bpf", 0, NULL);
    int failed = allow_numbers(filter, "bpf", 0, run, COUNT(run));
    if (!failed)
        failed = kill_other_numbers(filter, "bpf", 0, run[0]);
    if (!failed)
        failed = allow_numbers(filter, "sched_setaffinity", 0, caller, COUNT(caller));
    return failed;
}

/* Signals to this process alone, memory that is never run, limits of its own. */
static int allow_narrowly(scmp_filter_ctx filter)
{
    const unsigned self[] = {(unsigned)getpid()}, caller[] = {0};
    int failed = allow_numbers(filter, "kill", 0, self, COUNT(self));
    if (!failed)
        failed = allow_numbers(filter, "tgkill", 0, self, COUNT(self));
    if (!failed)
        failed = allow_numbers(filter, "prlimit64", 0, caller, COUNT(caller));
    if (!failed)
        failed = allow_without(filter, "mmap", 2, PROT_EXEC);
    if (!failed)
        failed = allow_without(filter, "mprotect", 2, PROT_EXEC);
    if (!failed)
        failed = allow_numbers(filter, "fcntl", 1, commands, COUNT(commands));
    if (!failed)
        failed = allow_numbers(filter, "ioctl", 1, requests, COUNT(requests));
    return failed;
}

/* How the filter is made, where the kernel and libseccomp can; nothing depends on it. */
static void set_attributes(scmp_filter_ctx filter)
{
    seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);    /* for all threads */
    /* Kernels before 5.16 would slow down every memory access against speculation between programs
     * in one process, of which this one has no other. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
}

int confine_calls(const struct confinement *wanted)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;
    set_attributes(filter);
    int failed = add_names(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    if (!failed)
        failed = add_names(filter, SCMP_ACT_KILL_PROCESS, fatal, COUNT(fatal));
    if (!failed)
        failed = allow_files(filter, wanted);
    if (!failed)
        failed = allow_sockets(filter, wanted);
    if (!failed)
        failed = allow_programs(filter, wanted);
    if (!failed)
        failed = allow_narrowly(filter);
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed;
}

int confine_fatal_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    set_attributes(filter);
    int failed = add_names(filter, SCMP_ACT_KILL_PROCESS, fatal, COUNT(fatal));
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed;
}
