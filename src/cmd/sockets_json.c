/* Sockets as JSON Lines: docs/records.md describes the record, docs/records.schema.json holds this
 * file to it. Written by hand, because there may be very many. */
#include "cmd/sockets_show.h"

#include "base/clock.h"
#include "base/text.h"
#include "talk/transcript_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- members ---- */

static void add_name(struct buffer *buffer, const char *name)
{
    const char last = buffer->length ? buffer->data[buffer->length - 1] : '{';
    buffer_add_text(buffer, last == '{' ? "\"" : ",\"");
    buffer_add_text(buffer, name);
    buffer_add_text(buffer, "\":");
}

void sockets_add_json_text(struct buffer *buffer, const char *text)
{
    size_t length = strlen(text), taken;
    uint32_t point;
    for (size_t at = 0; at < length; at += taken) {
        taken = text_decode(text + at, length - at, &point);
        if (taken > 0)
            continue;
        char *escaped = malloc(4 * length + 1);
        if (!escaped) {
            buffer->failed = true;
            return;
        }
        length = text_escape(text, length, escaped, 4 * length + 1);
        transcript_add_string(buffer, escaped, length);
        free(escaped);
        return;
    }
    transcript_add_string(buffer, text, length);
}

static void add_text(struct buffer *buffer, const char *name, const char *text)
{
    add_name(buffer, name);
    sockets_add_json_text(buffer, text);
}

static void add_known_text(struct buffer *buffer, const char *name, const char *text)
{
    if (text && *text)
        add_text(buffer, name, text);
}

static void add_number(struct buffer *buffer, const char *name, uint64_t number)
{
    add_name(buffer, name);
    buffer_add_format(buffer, "%" PRIu64, number);
}

static void add_known_number(struct buffer *buffer, const char *name, uint64_t number)
{
    if (number)
        add_number(buffer, name, number);
}

static void add_truth(struct buffer *buffer, const char *name, bool truth)
{
    add_name(buffer, name);
    buffer_add_text(buffer, truth ? "true" : "false");
}

static void add_time(struct buffer *buffer, const char *name, uint64_t wall)
{
    char text[CLOCK_TEXT_SIZE];
    add_name(buffer, name);
    buffer_add_format(buffer, "\"%s\"", clock_format(wall, text));
}

/* A number of 64 bits as a string, because many readers lose digits beyond 2^53. */
static void add_long(struct buffer *buffer, const char *name, uint64_t number)
{
    if (number) {
        add_name(buffer, name);
        buffer_add_format(buffer, "\"%" PRIu64 "\"", number);
    }
}

/* ---- parts ---- */

static const char *exposure_name(enum exposure exposure)
{
    switch (exposure) {
    case EXPOSURE_LOOPBACK:
        return "loopback";
    case EXPOSURE_LINK:
        return "link";
    case EXPOSURE_ADDRESS:
        return "address";
    case EXPOSURE_EVERYWHERE:
        break;
    }
    return "everywhere";
}

static const char *family_name(const struct socket_entry *entry)
{
    switch (entry->mapped ? ADDRESS_IPV4 : entry->family) {
    case ADDRESS_IPV4:
        return "ipv4";
    case ADDRESS_IPV6:
        return "ipv6";
    default:
        return "unix";
    }
}

static const char *kind_name(const struct socket_entry *entry)
{
    switch (entry->kind) {
    case SOCKET_UNIX_STREAM:
        return "unix-stream";
    case SOCKET_UNIX_DATAGRAM:
        return "unix-datagram";
    case SOCKET_UNIX_SEQPACKET:
        return "unix-seqpacket";
    default:
        return socket_kind_name((enum socket_kind)entry->kind);
    }
}

/* An address with the zone that belongs to it. */
static void add_address(struct buffer *buffer, const char *name, const struct sockets *sockets,
                        const struct socket_entry *entry, struct address address)
{
    char text[ADDRESS_TEXT_SIZE + 32], interface[16];
    const uint32_t scope = address.scope;
    address.scope = 0;
    address_format(&address, text);
    if (scope) {
        strcat(text, "%");
        strcat(text, sockets_interface(sockets, entry, interface));
    }
    add_text(buffer, name, text);
}

static void add_ends(struct buffer *buffer, const struct sockets *sockets,
                     const struct socket_entry *entry)
{
    char interface[16];
    add_address(buffer, "local_address", sockets, entry, socket_local(entry));
    if (entry->kind == SOCKET_RAW)
        add_number(buffer, "ip_protocol", entry->local_port);
    else
        add_number(buffer, "local_port", entry->local_port);
    if (entry->family == ADDRESS_IPV6 && !entry->mapped && entry->local == 0)
        add_truth(buffer, "dual_stack", !entry->v6only);
    if (entry->remote != 0 || entry->remote_port != 0) {
        add_address(buffer, "remote_address", sockets, entry, socket_remote(entry));
        add_known_text(buffer, "remote_name", sockets_remote_name(sockets, entry));
        if (entry->kind != SOCKET_RAW)
            add_number(buffer, "remote_port", entry->remote_port);
    }
    if (entry->kind != SOCKET_RAW) {
        add_known_text(buffer, "local_service", sockets_local_service(entry));
        add_known_text(buffer, "remote_service", sockets_remote_service(entry));
    }
    add_known_text(buffer, "interface", sockets_interface(sockets, entry, interface));
}

/* Where it can be reached, of those that wait for somebody. */
static void add_exposure(struct buffer *buffer, const struct sockets *sockets,
                         const struct socket_entry *entry)
{
    char interface[16];
    if (entry->family == ADDRESS_NONE || !sockets_is_listening(entry))
        return;
    add_text(buffer, "exposure", exposure_name(sockets_exposure(sockets, entry, interface)));
    add_known_text(buffer, "exposure_interface", interface);
}

static void add_queues(struct buffer *buffer, const struct socket_entry *entry)
{
    if (entry->state != SOCKET_LISTEN) {
        add_number(buffer, "receive_queue", entry->receive_queue);
        add_number(buffer, "send_queue", entry->send_queue);
        return;
    }
    add_number(buffer, "backlog", entry->receive_queue);
    add_known_number(buffer, "backlog_maximum", entry->send_queue);
}

static void add_timer(struct buffer *buffer, const struct socket_entry *entry)
{
    static const char *const names[] = {
        [SOCKET_TIMER_RETRANSMIT] = "retransmit",
        [SOCKET_TIMER_KEEPALIVE] = "keepalive",
        [SOCKET_TIMER_TIME_WAIT] = "time-wait",
        [SOCKET_TIMER_PROBE] = "probe",
    };
    if (entry->timer == SOCKET_TIMER_OFF || entry->timer >= sizeof(names) / sizeof(names[0]))
        return;
    add_name(buffer, "timer");
    buffer_add_character(buffer, '{');
    add_text(buffer, "kind", names[entry->timer]);
    add_number(buffer, "due_ms", entry->timer_ms);
    add_number(buffer, "retransmits", entry->retransmits);
    buffer_add_character(buffer, '}');
}

static void add_tcp(struct buffer *buffer, const struct socket_tcp *tcp)
{
    add_name(buffer, "tcp");
    buffer_add_character(buffer, '{');
    add_known_text(buffer, "congestion", tcp->congestion);
    add_known_number(buffer, "rtt_us", tcp->rtt_us);
    add_known_number(buffer, "rtt_variance_us", tcp->rtt_variance_us);
    if (tcp->minimum_rtt_us != UINT32_MAX)
        add_known_number(buffer, "minimum_rtt_us", tcp->minimum_rtt_us);
    add_known_number(buffer, "rto_us", tcp->rto_us);
    add_known_number(buffer, "mss_bytes", tcp->mss);
    add_known_number(buffer, "congestion_window", tcp->congestion_window);
    if (tcp->slow_start_threshold < INT32_MAX)
        add_known_number(buffer, "slow_start_threshold", tcp->slow_start_threshold);
    add_number(buffer, "unacknowledged", tcp->unacked);
    add_number(buffer, "lost", tcp->lost);
    add_number(buffer, "retransmitting", tcp->retransmitting);
    add_number(buffer, "retransmitted", tcp->retransmitted);
    if (tcp->pacing_rate != UINT64_MAX)
        add_known_number(buffer, "pacing_rate_bytes_s", tcp->pacing_rate);
    add_known_number(buffer, "delivery_rate_bytes_s", tcp->delivery_rate);
    add_number(buffer, "sent_bytes", tcp->sent);
    add_number(buffer, "acknowledged_bytes", tcp->acknowledged);
    add_number(buffer, "received_bytes", tcp->received);
    add_known_number(buffer, "receive_space_bytes", tcp->receive_space);
    add_number(buffer, "last_sent_ms", tcp->last_sent_ms);
    add_number(buffer, "last_received_ms", tcp->last_received_ms);
    buffer_add_character(buffer, '}');
}

static void add_memory(struct buffer *buffer, const struct socket_memory *memory)
{
    add_name(buffer, "memory");
    buffer_add_character(buffer, '{');
    add_number(buffer, "receive_bytes", memory->receive);
    add_number(buffer, "receive_limit_bytes", memory->receive_limit);
    add_number(buffer, "send_bytes", memory->send);
    add_number(buffer, "send_limit_bytes", memory->send_limit);
    add_number(buffer, "queued_bytes", memory->queued);
    add_number(buffer, "reserved_bytes", memory->reserved);
    add_number(buffer, "options_bytes", memory->options);
    add_number(buffer, "unprocessed_bytes", memory->unprocessed);
    add_number(buffer, "dropped", memory->dropped);
    buffer_add_character(buffer, '}');
}

/* ---- processes ---- */

static void add_process(struct buffer *buffer, const struct process *process,
                        const struct owner *owner, size_t count)
{
    buffer_add_character(buffer, '{');
    add_number(buffer, "pid", (uint64_t)process->pid);
    add_text(buffer, "name", process->name);
    add_number(buffer, "uid", process->uid);
    add_known_text(buffer, "user", process->user);
    add_name(buffer, "descriptors");
    for (size_t i = 0; i < count; i++)
        buffer_add_format(buffer, "%c%d", i ? ',' : '[', owner[i].fd);
    buffer_add_character(buffer, ']');
    add_known_text(buffer, "command", process->command);
    add_known_text(buffer, "unit", process->unit);
    if (process->unit)
        add_truth(buffer, "user_unit", process->user_unit);
    add_known_text(buffer, "container_runtime", process->container_runtime);
    add_known_text(buffer, "container", process->container);
    if (process->started)
        add_time(buffer, "started", process->started);
    buffer_add_character(buffer, '}');
}

static void add_processes(struct buffer *buffer, const struct sockets *sockets, uint32_t inode,
                          const char *name)
{
    size_t count = 0;
    bool any = false;
    const struct owner *owner =
        sockets->has_owners && inode ? owners_of(&sockets->owners, inode, &count) : NULL;
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && owner[next].pid == owner[i].pid; next++)
            ;
        const struct process *process = owners_process(&sockets->owners, owner[i].pid);
        if (!process)
            continue;
        if (any)
            buffer_add_character(buffer, ',');
        else
            add_name(buffer, name);
        if (!any)
            buffer_add_character(buffer, '[');
        add_process(buffer, process, owner + i, next - i);
        any = true;
    }
    if (any)
        buffer_add_character(buffer, ']');
}

static void add_space(struct buffer *buffer, const struct sockets *sockets,
                      const struct socket_entry *entry)
{
    if (entry->space >= sockets->list.space_count)
        return;
    const struct socket_space *space = &sockets->list.spaces[entry->space];
    if (space->inode == 0)
        return;
    add_name(buffer, "namespace");
    buffer_add_character(buffer, '{');
    add_number(buffer, "inode", space->inode);
    add_known_text(buffer, "name", space->name);
    add_truth(buffer, "own", space->own);
    buffer_add_character(buffer, '}');
}

static void add_unix(struct buffer *buffer, const struct socket_entry *entry)
{
    add_known_text(buffer, "path", entry->path);
    add_known_number(buffer, "peer_inode", entry->peer_inode);
}

void sockets_add_json(struct buffer *buffer, const struct sockets *sockets,
                      const struct socket_entry *entry, uint64_t wall, struct sockets_users *users)
{
    static const struct sockets_mark none = {.change = SOCKETS_STAYED};
    sockets_add_json_change(buffer, sockets, entry, &none, wall, users);
}

void sockets_add_json_change(struct buffer *buffer, const struct sockets *sockets,
                             const struct socket_entry *entry, const struct sockets_mark *mark,
                             uint64_t wall, struct sockets_users *users)
{
    const char *user = entry->inode ? sockets_user(users, entry->uid) : NULL;
    buffer_add_character(buffer, '{');
    add_text(buffer, "type", "socket");
    add_time(buffer, "time", wall);
    add_known_text(buffer, "change", sockets_change_name((enum sockets_change)mark->change));
    add_text(buffer, "kind", kind_name(entry));
    add_text(buffer, "family", family_name(entry));
    add_text(buffer, "state", socket_state_name((enum socket_state)entry->state));
    if (mark->change == SOCKETS_CHANGED)
        add_text(buffer, "state_before", socket_state_name((enum socket_state)mark->before));
    if (entry->family == ADDRESS_NONE)
        add_unix(buffer, entry);
    else
        add_ends(buffer, sockets, entry);
    add_exposure(buffer, sockets, entry);
    add_queues(buffer, entry);
    if (entry->inode) {
        add_number(buffer, "uid", entry->uid);
        add_known_text(buffer, "user", user);
        add_number(buffer, "inode", entry->inode);
    }
    add_long(buffer, "cookie", entry->cookie);
    add_known_number(buffer, "mark", entry->mark);
    add_long(buffer, "cgroup", entry->cgroup);
    add_timer(buffer, entry);
    if (entry->tcp && entry->state != SOCKET_LISTEN)
        add_tcp(buffer, entry->tcp);
    if (entry->memory)
        add_memory(buffer, entry->memory);
    add_space(buffer, sockets, entry);
    add_processes(buffer, sockets, entry->inode, "processes");
    add_processes(buffer, sockets, entry->peer_inode, "peer_processes");
    buffer_add_text(buffer, "}\n");
}
