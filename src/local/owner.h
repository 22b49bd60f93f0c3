/* Who holds a socket: processes by inode, and what is known of a process. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One descriptor of one process. */
struct owner {
    uint32_t inode;
    pid_t pid;
    int fd;
};

/* What is known of a process. Texts are hostile: a process chooses its name. NULL: not known. */
struct process {
    pid_t pid;
    char name[64]; /* comm */
    uint32_t uid;
    const char *user;              /* by name */
    const char *command;           /* command line, NULs as blanks */
    const char *unit;              /* systemd unit, "nginx.service": one of the machine's, not of a
                                      container's own */
    bool user_unit;                /* it is one of the user's: "systemctl --user" */
    const char *container_runtime; /* "docker", "podman", "kubernetes", "lxc" … */
    const char *container;         /* its identity, hexadecimal digits or a name */
    uint64_t started;              /* wall clock, nanoseconds since 1970; 0: not known */
    uint64_t space;                /* inode of its network namespace; 0: not known */
};

struct owners {
    struct owner *items; /* sorted by inode, then pid, then fd */
    size_t count;
    struct process *processes; /* sorted by pid: those of `items` */
    size_t process_count;
    size_t unseen; /* processes that could not be looked into, for want of rights; without those
                      that /proc's mount option hidepid hides */
    struct arena arena;
};

enum owners_way {
    OWNERS_BEST, /* the eBPF iterator where it is built in and the rights allow, else /proc */
    OWNERS_PROC,
    OWNERS_BPF,
};

/* Finds who holds the sockets with these inodes (sorted ascending, each once). Processes that
 * vanish meanwhile are left out. `details`: fill in more of struct process than pid, name and uid.
 * Returns 0, or -errno with an error (-EPERM, -EOPNOTSUPP of OWNERS_BPF alone). */
int owners_find(const uint32_t *inodes, size_t count, enum owners_way way, bool details,
                struct owners *ret_owners, struct error *error);
void owners_release(struct owners *owners);

/* Adds to `owners` who held these inodes (in any order, perhaps twice) according to `others`, where
 * nobody in `owners` holds them, with the processes that `owners` lacks: one with a pid that it
 * knows stays as it is. What is added is a copy, with its texts in the arena of `owners`, so that
 * `others` may be released. Returns 0, or -ENOMEM: nobody has been added then. */
int owners_merge(struct owners *owners, const struct owners *others, const uint32_t *inodes,
                 size_t count);

/* The first owner of an inode, and how many follow it; NULL: nobody is known. */
const struct owner *owners_of(const struct owners *owners, uint32_t inode, size_t *ret_count);
const struct process *owners_process(const struct owners *owners, pid_t pid);

/* What a process's /proc/PID/cgroup says: fills in `unit`, `user_unit`, `container_runtime` and
 * `container`, with texts in `arena`. Pure; the text is hostile, but what comes of it is not: a
 * container's identity has letters, digits and ". _ -" only, a unit's name also ": @ \". Returns 0
 * or -ENOMEM. */
int cgroup_read(const char *text, size_t length, struct arena *arena, struct process *process);

/* How many bytes of a container's identity to show: of an engine's 64 hexadecimal digits the twelve
 * that engines show themselves and take in its place, of anything else all. */
size_t container_shown_length(const char *identity);
