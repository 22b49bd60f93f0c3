/* netstat's lists of sockets: how they look, which scripts and people know. */
#include "cmd/netstat_names.h"
#include "cmd/netstat_sockets.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_SIZE 64
#define TIMER_WIDTH 23 /* when something follows it */

static const char *scope_words(const struct netstat_options *options)
{
    return options->all         ? "servers and established"
           : options->listening ? "only servers"
                                : "w/o servers";
}

/* ---- Internet ---- */

static const char *protocol_text(const struct socket_entry *entry)
{
    static const char *const names[SOCKET_KINDS][2] = {
        [SOCKET_TCP] = {"tcp", "tcp6"},       [SOCKET_UDP] = {"udp", "udp6"},
        [SOCKET_UDPLITE] = {"udpl", "udpl6"}, [SOCKET_SCTP] = {"sctp", "sctp6"},
        [SOCKET_RAW] = {"raw", "raw6"},
    };
    const char *name = names[entry->kind][entry->family == ADDRESS_IPV6];
    return name ? name : "?";
}

static const char *state_text(const struct socket_entry *entry, char text[static TIMER_SIZE])
{
    const bool datagram = entry->kind == SOCKET_UDP || entry->kind == SOCKET_UDPLITE;
    if (entry->kind == SOCKET_RAW) {
        snprintf(text, TIMER_SIZE, "%u", entry->state);
        return text;
    }
    return datagram && entry->state != SOCKET_ESTABLISHED
               ? ""
               : socket_state_name((enum socket_state)entry->state);
}

/* "keepalive (7198.05/0/0)": when it is due, how often something was sent again, how many probes
 * were not answered. */
static const char *timer_text(const struct socket_entry *entry, char text[static TIMER_SIZE])
{
    static const char *const names[] = {[SOCKET_TIMER_OFF] = "off",
                                        [SOCKET_TIMER_RETRANSMIT] = "on",
                                        [SOCKET_TIMER_KEEPALIVE] = "keepalive",
                                        [SOCKET_TIMER_TIME_WAIT] = "timewait",
                                        [SOCKET_TIMER_PROBE] = "probe"};
    const bool probes =
        entry->timer == SOCKET_TIMER_KEEPALIVE || entry->timer == SOCKET_TIMER_PROBE;
    const unsigned again = entry->retransmits;
    const uint32_t hundredths = entry->timer == SOCKET_TIMER_OFF ? 0 : entry->timer_ms / 10;
    snprintf(text, TIMER_SIZE, "%s (%u.%02u/%u/%u)",
             entry->timer <= SOCKET_TIMER_PROBE ? names[entry->timer] : "unkn", hundredths / 100,
             hundredths % 100, probes ? 0u : again, probes ? again : 0u);
    return text;
}

static void print_internet(const struct netstat_sockets *sockets, const struct socket_entry *entry)
{
    const struct netstat_options *options = sockets->options;
    char local[NETSTAT_END_SIZE], remote[NETSTAT_END_SIZE], state[TIMER_SIZE];
    /* A listener's send queue is how many may wait, which netstat never told. */
    const uint32_t sending = entry->state == SOCKET_LISTEN ? 0 : entry->send_queue;
    printf("%-4s  %6u %6u %-23s %-23s %-11s", protocol_text(entry), entry->receive_queue, sending,
           netstat_end(options, sockets->names, entry, false, local),
           netstat_end(options, sockets->names, entry, true, remote), state_text(entry, state));
    const char *program;
    const struct process *holder = netstat_sockets_holder(sockets, entry, &program);
    if (options->extend) {
        char user[NETSTAT_USER_SIZE];
        printf(" %-10s %-10u", netstat_user(options, entry->uid, user), entry->inode);
    }
    if (options->programs)
        printf(" %-20s", program);
    if (options->timers) {
        char timer[TIMER_SIZE];
        const bool last = !netstat_sockets_pids(options);
        printf(" %-*s", last ? 0 : TIMER_WIDTH, timer_text(entry, timer));
    }
    if (netstat_sockets_pids(options) && holder)
        printf(" %d", (int)holder->pid);
    else if (netstat_sockets_pids(options))
        printf(" -");
    putchar('\n');
}

static void print_internet_heading(const struct netstat_options *options)
{
    printf("Active Internet connections (%s)\n", scope_words(options));
    printf("Proto Recv-Q Send-Q Local Address           Foreign Address         State      ");
    if (options->extend)
        printf(" User       Inode     ");
    if (options->programs)
        printf(" %-20s", "PID/Program name");
    if (options->timers)
        printf(" %-*s", netstat_sockets_pids(options) ? TIMER_WIDTH : 0, "Timer");
    if (netstat_sockets_pids(options))
        printf(" PID");
    putchar('\n');
}

/* ---- Unix ---- */

static const char *type_text(const struct socket_entry *entry)
{
    return entry->kind == SOCKET_UNIX_STREAM     ? "STREAM"
           : entry->kind == SOCKET_UNIX_DATAGRAM ? "DGRAM"
                                                 : "SEQPACKET";
}

/* Who has no inode waits to be accepted, or is on its way out. */
static const char *unix_state_text(const struct socket_entry *entry)
{
    const bool connected = entry->state == SOCKET_ESTABLISHED;
    if (entry->state == SOCKET_LISTEN)
        return "LISTENING";
    if (entry->inode == 0)
        return connected ? "CONNECTING" : "DISCONNECTING";
    return connected ? "CONNECTED" : "";
}

static void print_path(const char *path)
{
    const size_t length = strlen(path);
    char *escaped = malloc(4 * length + 1);
    if (!escaped)
        return;
    text_escape(path, length, escaped, 4 * length + 1);
    fputs(escaped, stdout);
    free(escaped);
}

static void print_unix(const struct netstat_sockets *sockets, const struct socket_entry *entry)
{
    const char *program;
    printf("unix  %-6zu %-11s %-10s %-13s %-8u ", netstat_sockets_references(sockets, entry),
           entry->state == SOCKET_LISTEN ? "[ ACC ]" : "[ ]", type_text(entry),
           unix_state_text(entry), entry->inode);
    netstat_sockets_holder(sockets, entry, &program);
    if (sockets->options->programs)
        printf("%-20s ", program);
    if (entry->path)
        print_path(entry->path);
    putchar('\n');
}

static void print_unix_heading(const struct netstat_options *options)
{
    printf("Active UNIX domain sockets (%s)\n", scope_words(options));
    printf("Proto RefCnt Flags       Type       State         I-Node   ");
    if (options->programs)
        printf("%-20s ", "PID/Program name");
    printf("Path\n");
}

/* ---- all of it ---- */

/* Kinds follow one another as they always did. */
static void print_kinds(const struct netstat_sockets *sockets)
{
    static const enum socket_kind kinds[] = {SOCKET_TCP, SOCKET_SCTP, SOCKET_UDP, SOCKET_UDPLITE,
                                             SOCKET_RAW};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (size_t at = 0; at < sockets->internet.count && !ferror(stdout); at++)
            if (sockets->internet.entries[at].kind == kinds[i])
                print_internet(sockets, &sockets->internet.entries[at]);
}

void netstat_sockets_print(const struct netstat_sockets *sockets)
{
    if (netstat_sockets_internet(sockets->options)) {
        print_internet_heading(sockets->options);
        print_kinds(sockets);
    }
    if (netstat_sockets_unix(sockets->options)) {
        print_unix_heading(sockets->options);
        for (size_t i = 0; i < sockets->local.count && !ferror(stdout); i++)
            print_unix(sockets, &sockets->local.entries[i]);
    }
}
