/* cost runs a program and tells what it has cost: "cost PROGRAM [WORD…] 3> FILE". The kernel counts
 * into a process's peak of memory what its parent had when it forked, so the parent must be a small
 * one. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT 3 /* the descriptor for what it has cost */

static void fail(const char *what)
{
    fprintf(stderr, "cost: %s: %s\n", what, strerror(errno));
    exit(126);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* Becomes the program, which ends with us. */
__attribute__((noreturn)) static void become(char **words)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(REPORT);
    execvp(words[0], words);
    fail(words[0]);
    abort();
}

int main(int count, char **words)
{
    if (count < 2) {
        fputs("usage: cost PROGRAM [WORD...] 3> FILE\n", stderr);
        return 126;
    }
    const uint64_t began = now();
    const pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0)
        become(words + 1);
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) != child)
        fail("wait4");
    const uint64_t took = now() - began;
    if (dprintf(REPORT, "{\"wall_ns\":%" PRIu64 ",\"cpu_us\":%" PRIu64 ",\"memory\":%" PRIu64 "}\n",
                took, microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime),
                (uint64_t)usage.ru_maxrss * 1024) < 0)
        fail("descriptor 3");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
