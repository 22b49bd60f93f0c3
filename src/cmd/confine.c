/* The order in which rights are given up, and the capabilities. */
#include "cmd/confine.h"

#include "cmd/confine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The sanitizers' runtimes do at the end what the filters are there to prevent: LeakSanitizer makes
 * a thread that traces this process and reads /proc, and a report starts a symbolizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

char *confine_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path + 1)) : strdup(".");
}

/* ---- capabilities ---- */

struct kept {
    cap_value_t values[2];
    int count;
};

/* What execve() could give back, which no_new_privs and the filter prevent, too. Needs CAP_SETPCAP;
 * without it there is nothing to be done. */
static void drop_bounds(void)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
         capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* Keeps of the permitted capabilities those in `kept`, if any, and of the others nothing. */
static int set_capabilities(const struct kept *kept)
{
    int failed = 0;
    cap_t now = cap_get_proc(), next = cap_init();
    if (!now || !next)
        failed = -errno;
    for (int i = 0; !failed && i < kept->count; i++) {
        cap_flag_value_t has = CAP_CLEAR;
        cap_get_flag(now, kept->values[i], CAP_PERMITTED, &has);
        if (has == CAP_SET && (cap_set_flag(next, CAP_PERMITTED, 1, &kept->values[i], CAP_SET) ||
                               cap_set_flag(next, CAP_EFFECTIVE, 1, &kept->values[i], CAP_SET)))
            failed = -errno;
    }
    if (!failed && cap_set_proc(next))
        failed = -errno;
    cap_free(now);
    cap_free(next);
    return failed;
}

static int clear_effective(void)
{
    cap_t now = cap_get_proc();
    int failed = !now || cap_clear_flag(now, CAP_EFFECTIVE) || cap_set_proc(now) ? -errno : 0;
    cap_free(now);
    return failed;
}

/* Whether files of `directory` can be renamed and removed without any capability. The C library's
 * faccessat() asks for the real user where the kernel has no faccessat2(). */
static bool is_closed(const char *directory, const char *path)
{
    (void)path;
    return syscall(SYS_faccessat2, AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) != 0;
}

/* Whether the file's owner and the directory's are the only ones who may rename or remove it, and
 * we are neither: inode(7), S_ISVTX. */
static bool is_anothers(const char *directory, const char *path)
{
    struct stat above, file;
    return stat(directory, &above) == 0 && (above.st_mode & S_ISVTX) && above.st_uid != geteuid() &&
           lstat(path, &file) == 0 && file.st_uid != geteuid();
}

typedef bool path_test(const char *directory, const char *path);

/* Returns 1 when the test is true of any path, 0 when of none, or -ENOMEM. */
static int any_path(const struct confinement *wanted, path_test *test)
{
    int found = 0;
    for (size_t i = 0; !found && i < wanted->path_count; i++) {
        char *directory = confine_directory(wanted->paths[i]);
        found = directory ? test(directory, wanted->paths[i]) : -ENOMEM;
        free(directory);
    }
    return found;
}

/* root in a directory of somebody else's (sudo, in a user's home) is a stranger there once its
 * capabilities are gone, and could not give a document its name at the end. */
static int confine_capabilities(const struct confinement *wanted)
{
    struct kept kept = {.count = 0};
    bool root = getuid() == 0;
    drop_bounds();
    int owner = root ? any_path(wanted, is_anothers) : 0;
    int failed = owner < 0 ? owner : clear_effective();
    int override = root && !failed ? any_path(wanted, is_closed) : 0;
    if (failed || override < 0)
        return failed ? failed : override;
    if (owner)
        kept.values[kept.count++] = CAP_FOWNER;
    if (override)
        kept.values[kept.count++] = CAP_DAC_OVERRIDE;
    return set_capabilities(&kept);
}

/* ---- the whole ---- */

int confine(const struct confinement *wanted, struct error *error)
{
    int lacks = 0;
    tzset(); /* which reads a file */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return error_set(error, errno, "cannot give up new rights: %s", strerror(errno));
    /* While all directories can still be opened. */
    if (!SANITIZED && confine_files(wanted) < 0)
        lacks |= CONFINEMENT_LACKS_FILES;
    int failed = confine_capabilities(wanted);
    if (failed)
        return error_set(error, -failed, "cannot give up capabilities: %s", strerror(-failed));
    /* Sockets that took rights to open are not for the same user's other programs to take over. */
    if (!SANITIZED && !wanted->sockets)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!SANITIZED && confine_calls(wanted) < 0)
        lacks |= CONFINEMENT_LACKS_CALLS;
    return lacks;
}

int confine_lightly(unsigned rights, struct error *error)
{
    struct kept kept = {.count = 0};
    if (rights & CONFINEMENT_KEEPS_PORTS)
        kept.values[kept.count++] = CAP_NET_BIND_SERVICE;
    if (rights & CONFINEMENT_KEEPS_PATHS)
        kept.values[kept.count++] = CAP_DAC_OVERRIDE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return error_set(error, errno, "cannot give up new rights: %s", strerror(errno));
    drop_bounds();
    int failed = set_capabilities(&kept);
    if (failed)
        return error_set(error, -failed, "cannot give up capabilities: %s", strerror(-failed));
    return SANITIZED || confine_fatal_calls() == 0 ? 0 : CONFINEMENT_LACKS_CALLS;
}
