/* Giving up everything that a running scan does not need, before it reads the first byte from the
 * network: capabilities, files and system calls. There is no way back.
 *
 * Only the program does this. A library must not take from its caller's process what the caller may
 * need. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* What is still needed after all. */
struct confinement {
    bool sockets; /* new TCP and UDP sockets */
    bool zones;   /* names of interfaces, which the kernel tells over a socket */
    bool
        programs; /* the kernel runs BPF programs that are open now, on a processor of our choice */

    /* Files that something is still renamed to, or that are removed. */
    const char *const *paths;
    size_t path_count;
};

/* What this kernel, or the container that it runs, does not offer. */
enum confinement_lack {
    CONFINEMENT_LACKS_FILES = 1, /* Landlock, landlock(7) */
    CONFINEMENT_LACKS_CALLS = 2, /* filters of system calls, seccomp(2) */
};

/* Returns 0, a set of enum confinement_lack when it had to do with less, or -errno with an error.
 * The process must have one thread. */
int confine(const struct confinement *wanted, struct error *error);

/* What a conversation may still do. */
enum confinement_kept {
    CONFINEMENT_KEEPS_PORTS = 1, /* bind ports below 1024 */
    CONFINEMENT_KEEPS_PATHS = 2, /* files of other users, where it had that right: root's */
};

/* The little that can be taken from a conversation (`connect`, `listen`, `relay`, `get`), which
 * goes on looking up names, reading files and opening sockets: capabilities but for those of
 * `kept`, rights that a program could bring, and the system calls that nothing here ever makes,
 * execve() among them. So not where --exec starts programs. Returns as confine() does. */
int confine_lightly(unsigned kept, struct error *error);
