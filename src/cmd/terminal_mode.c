/* The terminal's attributes, and the signals that must not leave them behind. */
#include "cmd/terminal_mode.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* Signal handlers have no argument. */
static struct termios found, wanted;
static volatile sig_atomic_t begun;
static bool registered; /* with atexit() */

/* What ends a program by itself, with the terminal as it is then. */
static const int deadly[] = {SIGHUP, SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                             SIGILL, SIGABRT, SIGBUS,  SIGFPE,  SIGSEGV};
#define DEADLY_COUNT (sizeof(deadly) / sizeof(deadly[0]))

/* In the background, touching the terminal would stop this program (SIGTTOU). */
static void put(const struct termios *mode)
{
    if (tcgetpgrp(STDIN_FILENO) == getpgrp())
        tcsetattr(STDIN_FILENO, TCSANOW, mode);
}

static void set_handler(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void on_death(int number)
{
    put(&found);
    raise(number); /* SA_RESETHAND: now in the default way, when this handler returns */
}

static void on_stop(int number)
{
    int code = errno;
    sigset_t stop, old;
    put(&found);
    sigemptyset(&stop);
    sigaddset(&stop, number);
    set_handler(number, SIG_DFL, 0);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &stop, &old); /* stops here */
    sigprocmask(SIG_SETMASK, &old, NULL);
    set_handler(number, on_stop, SA_RESTART);
    if (begun)
        put(&wanted);
    errno = code;
}

/* Whoever had the terminal meanwhile may have changed it. */
static void on_continue(int number)
{
    int code = errno;
    (void)number;
    if (begun)
        put(&wanted);
    errno = code;
}

/* Handlers that somebody else has set, or signals that are ignored (nohup), stay so. */
static void replace_handler(int number, void (*from)(int), void (*to)(int), int flags)
{
    struct sigaction old;
    if (sigaction(number, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
        old.sa_handler == from)
        set_handler(number, to, flags);
}

int terminal_mode_begin(void)
{
    if (tcgetattr(STDIN_FILENO, &found) < 0)
        return -errno;
    wanted = found;
    begun = 1;
    for (size_t i = 0; i < DEADLY_COUNT; i++)
        replace_handler(deadly[i], SIG_DFL, on_death, (int)SA_RESETHAND);
    replace_handler(SIGTSTP, SIG_DFL, on_stop, SA_RESTART);
    replace_handler(SIGCONT, SIG_DFL, on_continue, SA_RESTART);
    if (!registered)
        registered = atexit(terminal_mode_end) == 0;
    return 0;
}

void terminal_mode_set(const struct terminal_mode *mode)
{
    struct termios next = found;
    if (!begun)
        return;
    next.c_lflag &= ~(tcflag_t)ECHO;
    if (mode->echo)
        next.c_lflag |= ECHO;
    if (mode->characters) {
        next.c_lflag &= ~(tcflag_t)(ICANON | ISIG | IEXTEN);
        next.c_iflag &= ~(tcflag_t)(IXON | IXOFF);
        next.c_cc[VMIN] = 1;
        next.c_cc[VTIME] = 0;
    } else if (mode->escape >= 0) {
        next.c_cc[VEOL] = (cc_t)mode->escape;
    }
    if (mode->characters && mode->raw) {
        next.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP);
        next.c_oflag &= ~(tcflag_t)OPOST;
    }
    wanted = next;
    put(&wanted);
}

void terminal_mode_pause(void)
{
    if (!begun)
        return;
    wanted = found;
    put(&wanted);
}

void terminal_mode_end(void)
{
    if (!begun)
        return;
    begun = 0;
    put(&found);
    for (size_t i = 0; i < DEADLY_COUNT; i++)
        replace_handler(deadly[i], on_death, SIG_DFL, 0);
    replace_handler(SIGTSTP, on_stop, SIG_DFL, 0);
    replace_handler(SIGCONT, on_continue, SIG_DFL, 0);
}

void terminal_mode_suspend(void)
{
    kill(0, SIGTSTP);
}
