/* struct program: starting one, and hearing of its end by a pidfd. */
#include "talk/program.h"

#include "base/buffer.h"
#include "base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- its environment ---- */

static const char *const own_names[] = {"NCAT_REMOTE_ADDR=", "NCAT_REMOTE_PORT=",
                                        "NCAT_LOCAL_ADDR=", "NCAT_LOCAL_PORT=", "NCAT_PROTO="};

#define OWN_COUNT (sizeof(own_names) / sizeof(own_names[0]))
#define OWN_SIZE 160 /* a name and an address, a path or a port */

struct environment {
    char own[OWN_COUNT][OWN_SIZE];
    char **list; /* NULL-terminated */
};

/* Those of our own environment would say something false of this connection. */
static bool is_own(const char *entry)
{
    for (size_t i = 0; i < OWN_COUNT; i++) {
        if (strncmp(entry, own_names[i], strlen(own_names[i])) == 0)
            return true;
    }
    return false;
}

static void name_peer(const struct peer *peer, char address[static OWN_SIZE],
                      char port[static OWN_SIZE], const char *const names[2])
{
    char text[ADDRESS_TEXT_SIZE];
    switch (peer ? peer->kind : PEER_NONE) {
    case PEER_INTERNET:
        snprintf(address, OWN_SIZE, "%s%s", names[0], address_format(&peer->address, text));
        snprintf(port, OWN_SIZE, "%s%u", names[1], (unsigned)peer->port);
        break;
    case PEER_UNIX:
        snprintf(address, OWN_SIZE, "%s%s", names[0], peer->path);
        snprintf(port, OWN_SIZE, "%s", names[1]);
        break;
    case PEER_NONE:
        break;
    }
}

/* Returns 0 or -ENOMEM. */
static int environment_init(struct environment *environment, const struct program_options *options)
{
    size_t count = 0, used = 0;
    while (environ && environ[count])
        count++;
    *environment = (struct environment){0};
    environment->list = calloc(count + OWN_COUNT + 1, sizeof(char *));
    if (!environment->list)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!is_own(environ[i]))
            environment->list[used++] = environ[i];
    }
    name_peer(options->remote, environment->own[0], environment->own[1], own_names);
    name_peer(options->local, environment->own[2], environment->own[3], own_names + 2);
    if (options->protocol)
        snprintf(environment->own[4], OWN_SIZE, "%s%s", own_names[4], options->protocol);
    for (size_t i = 0; i < OWN_COUNT; i++) {
        if (environment->own[i][0])
            environment->list[used++] = environment->own[i];
    }
    return 0;
}

/* ---- its start ---- */

/* posix_spawn() rather than fork(): it tells what execve() said, and costs the same however much
 * memory we have. */
static int spawn(const char *const *words, char *const *variables, int fd, const sigset_t *mask,
                 pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all;
    int failed = posix_spawn_file_actions_init(&files);
    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed) {
        posix_spawn_file_actions_destroy(&files);
        return failed;
    }
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, mask);
    failed = posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
    if (!failed)
        failed = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (!failed) /* the words are not written to: POSIX lacks the const */
        failed = posix_spawnp(ret_pid, words[0], &files, &attributes,
                              (char *const *)(uintptr_t)words, variables);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

static int start_failed(const char *name, int code, struct error *error)
{
    char shown[200];
    text_escape(name, strlen(name), shown, sizeof(shown));
    return error_set(error, code, "cannot run %s: %s", shown, strerror(code));
}

static void program_forget(struct program *program)
{
    loop_timer_clear(program->loop, &program->kill);
    loop_unwatch(program->loop, &program->watch);
    close(program->watch.fd);
    program->pid = 0;
}

static void program_ended(struct watch *watch, uint32_t events)
{
    struct program *program = CONTAINER_OF(watch, struct program, watch);
    int status = 0;
    (void)events;
    /* Where our parent has made us ignore SIGCHLD nobody can tell how it ended. */
    if (waitpid(program->pid, &status, WNOHANG) == 0)
        return;
    program_forget(program);
    if (program->exited)
        program->exited(program, status);
}

static void kill_due(struct timer *timer)
{
    struct program *program = CONTAINER_OF(timer, struct program, kill);
    pidfd_send_signal(program->watch.fd, SIGKILL, NULL, 0);
}

/* Hears of its end from now on. Returns 0 or -errno; the program is gone then. */
static int program_watch(struct loop *loop, struct program *program, pid_t pid)
{
    struct watch watch = {.fd = pidfd_open(pid, 0), .ready = program_ended};
    int failed = watch.fd < 0 ? -errno : 0;
    program->watch = watch;
    if (!failed)
        failed = loop_watch(loop, &program->watch, EPOLLIN);
    if (failed) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (watch.fd >= 0)
            close(watch.fd);
        return failed;
    }
    program->loop = loop;
    program->pid = pid;
    program->kill = (struct timer){.due = kill_due};
    return 0;
}

int program_start(struct loop *loop, struct program *program, const struct program_options *options,
                  int fd, struct error *error)
{
    const char *const shell[] = {"/bin/sh", "-c", options->shell, NULL};
    const char *const *words = options->words ? options->words : shell;
    struct environment environment;
    pid_t pid;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return start_failed(words[0], errno, error);
    int failed = -environment_init(&environment, options);
    if (failed)
        return start_failed(words[0], failed, error);
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    failed = spawn(words, environment.list, fd, loop_child_mask(loop), &pid);
    free(environment.list);
    if (!failed)
        failed = -program_watch(loop, program, pid);
    if (!failed)
        return 0;
    fcntl(fd, F_SETFL, flags);
    return start_failed(words[0], failed, error);
}

/* ---- its end ---- */

void program_end(struct program *program, uint64_t patience)
{
    if (!program->pid || program->kill.place)
        return;
    pidfd_send_signal(program->watch.fd, SIGTERM, NULL, 0);
    pidfd_send_signal(program->watch.fd, SIGCONT, NULL, 0); /* one that is stopped shall hear it */
    if (loop_timer_set(program->loop, &program->kill, loop_now(program->loop) + patience))
        pidfd_send_signal(program->watch.fd, SIGKILL, NULL, 0);
}

void program_release(struct program *program)
{
    if (!program->pid)
        return;
    waitpid(program->pid, NULL, WNOHANG); /* it may have ended, and the loop not have said so yet */
    program_forget(program);
}
