/* What -e, -o, -i, -m and -v tell of a socket besides its line. */
#include "cmd/sockets_show.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A line of words with commas between. */
struct line {
    struct buffer *buffer;
    bool begun;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (line->begun)
        buffer_add_text(line->buffer, ", ");
    buffer_add_text(line->buffer, text);
    line->begun = true;
}

static void end(struct line *line)
{
    if (line->begun)
        buffer_add_character(line->buffer, '\n');
    line->begun = false;
}

static void add_identity(struct line *line, const struct socket_entry *entry,
                         struct sockets_users *users)
{
    const char *user = entry->inode ? sockets_user(users, entry->uid) : NULL;
    char escaped[4 * 64 + 1];
    if (user) {
        text_escape(user, strlen(user), escaped, sizeof(escaped));
        add(line, "made by user %s (%" PRIu32 ")", escaped, entry->uid);
    }
    if (entry->inode)
        add(line, "inode %" PRIu32, entry->inode);
    if (entry->cookie)
        add(line, "cookie %" PRIx64, entry->cookie);
    if (entry->mark)
        add(line, "mark 0x%" PRIx32, entry->mark);
    if (entry->cgroup)
        add(line, "control group %" PRIu64, entry->cgroup);
    if (entry->family == ADDRESS_IPV6 && entry->v6only)
        add(line, "IPv6 only");
}

static void add_timer(struct line *line, const struct socket_entry *entry)
{
    static const char *const names[] = {
        [SOCKET_TIMER_RETRANSMIT] = "sends again",
        [SOCKET_TIMER_KEEPALIVE] = "asks whether the peer is there",
        [SOCKET_TIMER_TIME_WAIT] = "is forgotten",
        [SOCKET_TIMER_PROBE] = "asks whether the peer has room",
    };
    char text[TEXT_NUMBER_SIZE];
    if (entry->timer == SOCKET_TIMER_OFF || entry->timer >= sizeof(names) / sizeof(names[0]))
        return;
    if (entry->timer_ms == 0)
        add(line, "%s now", names[entry->timer]);
    else
        add(line, "%s in %s", names[entry->timer],
            text_duration(entry->timer_ms * NANOSECONDS_PER_MILLISECOND, text));
    if (entry->retransmits)
        add(line, "has done so %u times", entry->retransmits);
}

static void add_times(struct line *line, const struct socket_tcp *tcp)
{
    char one[TEXT_NUMBER_SIZE], other[TEXT_NUMBER_SIZE];
    if (tcp->rtt_us)
        add(line, "rtt %s +-%s", text_duration(tcp->rtt_us * NANOSECONDS_PER_MICROSECOND, one),
            text_duration(tcp->rtt_variance_us * NANOSECONDS_PER_MICROSECOND, other));
    if (tcp->minimum_rtt_us && tcp->minimum_rtt_us != UINT32_MAX)
        add(line, "least rtt %s",
            text_duration(tcp->minimum_rtt_us * NANOSECONDS_PER_MICROSECOND, one));
    if (tcp->rto_us)
        add(line, "rto %s", text_duration(tcp->rto_us * NANOSECONDS_PER_MICROSECOND, one));
}

static void add_count(struct line *line, const char *name, uint64_t count, const char *unit)
{
    char text[TEXT_NUMBER_SIZE];
    if (count)
        add(line, "%s %s%s", name, text_grouped(count, text), unit);
}

/* Rates are bits a second where people talk of networks. */
static void add_rate(struct line *line, const char *name, uint64_t bytes)
{
    static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
    double rate = (double)bytes * 8;
    size_t unit = 0;
    if (bytes == 0 || bytes == UINT64_MAX) /* all ones: it is not paced */
        return;
    for (; rate >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        rate /= 1000;
    add(line, "%s %.4g %s", name, rate, units[unit]);
}

static void add_tcp(struct line *line, const struct socket_tcp *tcp)
{
    char escaped[4 * sizeof(tcp->congestion) + 1];
    text_escape(tcp->congestion, strnlen(tcp->congestion, sizeof(tcp->congestion)), escaped,
                sizeof(escaped));
    if (escaped[0])
        add(line, "%s", escaped);
    add_times(line, tcp);
    add_count(line, "mss", tcp->mss, "");
    add_count(line, "cwnd", tcp->congestion_window, "");
    if (tcp->slow_start_threshold < INT32_MAX)
        add_count(line, "ssthresh", tcp->slow_start_threshold, "");
    add_count(line, "unacknowledged", tcp->unacked, "");
    add_count(line, "lost", tcp->lost, "");
    add_count(line, "retransmitted", tcp->retransmitted, "");
    end(line);
    add_count(line, "sent", tcp->sent, " bytes");
    add_count(line, "acknowledged", tcp->acknowledged, " bytes");
    add_count(line, "received", tcp->received, " bytes");
    add_rate(line, "pacing", tcp->pacing_rate);
    add_rate(line, "delivery", tcp->delivery_rate);
    add_count(line, "room to receive", tcp->receive_space, " bytes");
    end(line);
}

/* Drops are told even when there are none: they are what one asks for. */
static void add_memory(struct line *line, const struct socket_memory *memory)
{
    char used[TEXT_NUMBER_SIZE], limit[TEXT_NUMBER_SIZE];
    add(line, "receive buffer %s of %s bytes", text_grouped(memory->receive, used),
        text_grouped(memory->receive_limit, limit));
    add(line, "send buffer %s of %s bytes", text_grouped(memory->send, used),
        text_grouped(memory->send_limit, limit));
    add_count(line, "queued to be sent", memory->queued, " bytes");
    add_count(line, "reserved", memory->reserved, " bytes");
    add_count(line, "options", memory->options, " bytes");
    add_count(line, "not processed yet", memory->unprocessed, " bytes");
    add(line, "dropped %s", text_grouped(memory->dropped, used));
    end(line);
}

/* By the clock on the wall here. */
static void add_start(struct buffer *buffer, uint64_t wall)
{
    const time_t seconds = (time_t)(wall / NANOSECONDS_PER_SECOND);
    struct tm parts;
    char text[64];
    if (wall && localtime_r(&seconds, &parts) &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts))
        buffer_add_format(buffer, ", since %s", text);
}

static void add_process(struct buffer *buffer, const struct process *process, int fd)
{
    sockets_add_holder(buffer, process);
    buffer_add_format(buffer, ", descriptor %d", fd);
    add_start(buffer, process->started);
    if (process->unit || process->container) {
        buffer_add_text(buffer, ", ");
        sockets_add_unit(buffer, process);
    }
    if (process->command && *process->command) {
        buffer_add_text(buffer, ": ");
        sockets_add_escaped(buffer, process->command);
    }
    buffer_add_character(buffer, '\n');
}

static void add_processes(struct buffer *buffer, const struct sockets *sockets,
                          const struct socket_entry *entry)
{
    size_t count;
    const struct owner *owner = NULL;
    if (sockets->has_owners && entry->inode)
        owner = owners_of(&sockets->owners, entry->inode, &count);
    for (size_t i = 0; owner && i < count; i++) {
        const struct process *process = owners_process(&sockets->owners, owner[i].pid);
        if (process)
            add_process(buffer, process, owner[i].fd);
    }
}

void sockets_add_details(struct buffer *buffer, const struct sockets *sockets,
                         const struct socket_entry *entry, struct sockets_users *users)
{
    const struct sockets_options *options = sockets->options;
    struct line line = {.buffer = buffer};
    if (options->verbose || options->extended)
        add_identity(&line, entry, users);
    if (options->verbose || options->timers)
        add_timer(&line, entry);
    end(&line);
    if ((options->verbose || options->information) && entry->tcp && entry->state != SOCKET_LISTEN)
        add_tcp(&line, entry->tcp);
    if ((options->verbose || options->memory) && entry->memory)
        add_memory(&line, entry->memory);
    if (options->verbose)
        add_processes(buffer, sockets, entry);
}
