/* The two parts of confine() that a kernel may lack. Private to it.
 *
 * Both return 0, or -errno: then nothing is confined by them. */
#pragma once

#include "cmd/confine.h"

/* Landlock: of all files only the directories of `wanted->paths` and what the scan reads again and
 * again can be opened, renamed or removed. Needs no_new_privs. */
int confine_files(const struct confinement *wanted);

/* seccomp: system calls that a running scan does not make fail with EPERM, or end the process where
 * only an attacker would make them. Needs no_new_privs. */
int confine_calls(const struct confinement *wanted);

/* seccomp: only what an attacker would call ends the process. Needs no_new_privs. */
int confine_fatal_calls(void);

/* The directory part of `path`, to be freed; NULL without memory. */
char *confine_directory(const char *path);
