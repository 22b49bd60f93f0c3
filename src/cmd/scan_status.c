/* Status line, keys and signals of a scan. */
#include "cmd/scan_status.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define FIRST_AFTER (500 * NANOSECONDS_PER_MILLISECOND)
#define PERIOD (250 * NANOSECONDS_PER_MILLISECOND)

/* Signal handlers have no argument; there is one scan in a process that uses this. */
static atomic_bool cancelled;
const atomic_bool *const scan_status_cancelled = &cancelled;
static volatile sig_atomic_t end_signal;
static volatile sig_atomic_t status_wanted, keys_taken;
static struct termios old_terminal, key_terminal;

/* In the background, touching the terminal would stop this program (SIGTTIN, SIGTTOU). */
static bool in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void on_end(int number)
{
    if (end_signal) { /* the second one ends the program at once, in the default way */
        if (keys_taken && in_foreground())
            tcsetattr(STDIN_FILENO, TCSANOW, &old_terminal);
        signal(number, SIG_DFL);
        raise(number); /* delivered when this handler returns */
        return;
    }
    end_signal = number;
    atomic_store_explicit(&cancelled, true, memory_order_relaxed);
}

static void on_status(int number)
{
    (void)number;
    status_wanted = 1;
}

/* Ctrl-Z: the terminal is as it was while this program is stopped. */
static void on_stop(int number)
{
    (void)number;
    int code = errno;
    tcsetattr(STDIN_FILENO, TCSANOW, &old_terminal);
    raise(SIGSTOP);
    if (in_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &key_terminal);
    errno = code;
}

static void set_handler(int number, void (*handler)(int), int flags)
{
    struct sigaction old, action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(number, NULL, &old);
    if (old.sa_handler != SIG_IGN) /* nohup means it */
        sigaction(number, &action, NULL);
}

/* Keys arrive one by one and unseen, so that they do not tear the line. */
static bool take_keys(void)
{
    if (!in_foreground() || tcgetattr(STDIN_FILENO, &old_terminal) != 0)
        return false;
    key_terminal = old_terminal;
    key_terminal.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &key_terminal) != 0)
        return false;
    set_handler(SIGTSTP, on_stop, SA_RESTART);
    return true;
}

void scan_status_start(struct scan_status *status)
{
    atomic_store(&cancelled, false);
    end_signal = 0;
    status_wanted = 0;
    set_handler(SIGINT, on_end, 0);
    set_handler(SIGTERM, on_end, 0);
    set_handler(SIGHUP, on_end, 0);
    set_handler(SIGQUIT, on_end, 0);
    set_handler(SIGUSR1, on_status, SA_RESTART);
    *status = (struct scan_status){
        .terminal = isatty(STDERR_FILENO),
        .keys = take_keys(),
        .began = clock_monotonic(),
    };
    keys_taken = status->keys;
}

static bool key_pressed(const struct scan_status *status)
{
    char keys[64];
    struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
    return status->keys && in_foreground() && poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) &&
           read(STDIN_FILENO, keys, sizeof(keys)) > 0;
}

static void format_status(const struct scan_progress *progress, struct buffer *line)
{
    char done[TEXT_NUMBER_SIZE], count[TEXT_NUMBER_SIZE], rate[TEXT_NUMBER_SIZE];
    char open[TEXT_NUMBER_SIZE], time[TEXT_NUMBER_SIZE];
    double share = progress->count ? 100 * (double)progress->done / (double)progress->count : 100;
    buffer_add_format(line, "pass %u: %.0f%% of %s ports, %s/s, %s open", progress->pass, share,
                      text_grouped(progress->count, count),
                      text_grouped((uint64_t)progress->rate, rate),
                      text_grouped(progress->open, open));
    if (progress->errors)
        buffer_add_format(line, ", %s %s", text_grouped(progress->errors, done),
                          progress->errors == 1 ? "error" : "errors");
    if (progress->done == progress->count)
        buffer_add_format(line, ", waiting for %s answers",
                          text_grouped(progress->in_flight, done));
    else if (progress->remaining != UINT64_MAX)
        buffer_add_format(line, ", %s left in this pass", text_duration(progress->remaining, time));
    if (progress->limit)
        buffer_add_format(line, ", limited by %s", progress->limit);
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void scan_status_clear(struct scan_status *status)
{
    if (status->shown)
        fputs("\r\033[K", stderr);
    status->shown = false;
}

/* Whether a key or a signal asked for the status. The flag is taken down before the status is told,
 * so that a signal which comes meanwhile is answered, too. */
static bool is_wanted(const struct scan_status *status)
{
    bool signalled = status_wanted;
    if (signalled)
        status_wanted = 0;
    return key_pressed(status) || signalled;
}

void scan_status_tick(struct scan_status *status, const struct scan *scan)
{
    uint64_t now = clock_monotonic();
    bool wanted = is_wanted(status);
    bool due =
        status->terminal && now - status->began >= FIRST_AFTER && now - status->printed >= PERIOD;
    if (!wanted && !due)
        return;
    struct scan_progress progress = scan_progress(scan);
    struct buffer line = {0};
    format_status(&progress, &line);
    if (!line.failed) {
        scan_status_clear(status);
        if (wanted)
            fprintf(stderr, "%s\n", line.data);
        else
            fprintf(stderr, "\r%.*s\033[K", terminal_width() - 1, line.data);
        status->shown = !wanted;
        status->printed = now;
        fflush(stderr);
    }
    buffer_release(&line);
}

int scan_status_stop(struct scan_status *status)
{
    scan_status_clear(status);
    if (status->keys && in_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &old_terminal);
    /* While the results are written out, a second signal ends the program in the default way. */
    set_handler(SIGINT, SIG_DFL, 0);
    set_handler(SIGTERM, SIG_DFL, 0);
    set_handler(SIGHUP, SIG_DFL, 0);
    set_handler(SIGQUIT, SIG_DFL, 0);
    set_handler(SIGTSTP, SIG_DFL, 0);
    return end_signal;
}
