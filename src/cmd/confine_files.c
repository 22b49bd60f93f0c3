/* Which files can still be reached: Landlock. */
#include "cmd/confine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

/* Everything that a kernel with this version of Landlock can deny: each version knows the first so
 * many of the LANDLOCK_ACCESS_FS bits, of which older headers do not name all. */
static uint64_t all_accesses(long version)
{
    unsigned count = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
    return (UINT64_C(1) << count) - 1;
}

/* The directory stays open to the process's end: on some file systems (/proc, 9p) it would
 * otherwise come back as an object that the rule does not know. */
static int allow_beneath(int ruleset, const char *directory, uint64_t accesses)
{
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const struct landlock_path_beneath_attr rule = {.allowed_access = accesses, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    int code = errno;
    close(fd);
    return -code;
}

/* What replaces a file has been created before; its name goes, and another comes. Then the
 * directory is synced, which takes opening it. */
static int allow_directory(int ruleset, const char *path)
{
    char *directory = confine_directory(path);
    int failed = -ENOMEM;
    if (directory)
        failed = allow_beneath(ruleset, directory,
                               LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                   LANDLOCK_ACCESS_FS_REMOVE_FILE);
    free(directory);
    return failed;
}

static bool share_directory(const char *one, const char *other)
{
    char *first = confine_directory(one), *second = confine_directory(other);
    struct stat a, b;
    bool same = first && second && stat(first, &a) == 0 && stat(second, &b) == 0 &&
                a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    free(first);
    free(second);
    return same;
}

static bool is_first_of_directory(const struct confinement *wanted, size_t number)
{
    for (size_t i = 0; i < number; i++)
        if (share_directory(wanted->paths[i], wanted->paths[number]))
            return false;
    return true;
}

int confine_files(const struct confinement *wanted)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return -ENOSYS;
    const struct landlock_ruleset_attr handled = {.handled_access_fs = all_accesses(version)};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
    if (ruleset < 0)
        return -errno;
    int failed = 0;
    for (size_t i = 0; !failed && i < wanted->path_count; i++)
        if (is_first_of_directory(wanted, i))
            failed = allow_directory(ruleset, wanted->paths[i]);
    /* Where the pace looks (scan/pace.h): in a directory that comes with a kernel module, perhaps
     * later. Without /proc there is nothing to be read. */
    if (!failed)
        allow_beneath(ruleset, "/proc/sys/net", LANDLOCK_ACCESS_FS_READ_FILE);
    if (!failed && syscall(SYS_landlock_restrict_self, ruleset, 0))
        failed = -errno;
    close(ruleset);
    return failed;
}
