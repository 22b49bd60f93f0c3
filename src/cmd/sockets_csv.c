/* Sockets as comma-separated values (RFC 4180). */
#include "cmd/sockets_show.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

/* The texts here are escaped already. Spreadsheets take a field that begins with = + - or @ for a
 * formula, also in quotes: an apostrophe before it makes it text. */
static void add_field(struct buffer *buffer, const char *text)
{
    const bool quoted = text[strcspn(text, ",\"\r\n")] != '\0';
    if (quoted)
        buffer_add_character(buffer, '"');
    if (*text && strchr("=+-@", *text))
        buffer_add_character(buffer, '\'');
    for (; *text; text++) {
        if (*text == '"')
            buffer_add_character(buffer, '"');
        buffer_add_character(buffer, *text);
    }
    buffer_add_text(buffer, quoted ? "\"," : ",");
}

static void add_hostile(struct buffer *buffer, struct buffer *scratch, const char *text)
{
    buffer_clear(scratch);
    if (text && *text)
        sockets_add_escaped(scratch, text);
    buffer->failed |= scratch->failed;
    add_field(buffer, scratch->length ? scratch->data : "");
}

void sockets_add_csv_header(struct buffer *buffer)
{
    buffer_add_text(buffer,
                    "kind,state,local_address,local_port,remote_address,remote_port,reached_by,"
                    "receive_queue,send_queue,backlog,backlog_maximum,pid,process,user,others,unit,"
                    "container,namespace,inode,command\r\n");
}

static void add_ends(struct buffer *buffer, const struct sockets *sockets,
                     const struct socket_entry *entry)
{
    char text[SOCKETS_END_SIZE];
    const bool is_unix = entry->family == ADDRESS_NONE;
    const bool connected = !is_unix && (entry->remote != 0 || entry->remote_port != 0);
    if (is_unix && !entry->path)
        add_field(buffer, "");
    else
        add_field(buffer, sockets_local_address(sockets, entry, text));
    if (!is_unix)
        buffer_add_format(buffer, "%u", (unsigned)entry->local_port);
    buffer_add_character(buffer, ',');
    if (connected) {
        add_field(buffer, sockets_remote_address(sockets, entry, text));
        buffer_add_format(buffer, "%u,", (unsigned)entry->remote_port);
    } else {
        buffer_add_text(buffer, ",,");
    }
}

static void add_reach(struct buffer *buffer, const struct sockets *sockets,
                      const struct socket_entry *entry)
{
    char interface[16];
    if (!sockets_is_listening(entry))
        add_field(buffer, "");
    else if (entry->family == ADDRESS_NONE)
        add_field(buffer, SOCKETS_THIS_MACHINE);
    else
        add_field(buffer, exposure_words(sockets_exposure(sockets, entry, interface)));
}

/* Of one that listens the kernel tells connections in the place of bytes. */
static void add_queues(struct buffer *buffer, const struct socket_entry *entry)
{
    const bool listens = entry->state == SOCKET_LISTEN;
    buffer_add_text(buffer, listens ? ",," : "");
    buffer_add_format(buffer, "%" PRIu32 ",", entry->receive_queue);
    if (!listens || entry->send_queue)
        buffer_add_format(buffer, "%" PRIu32, entry->send_queue);
    buffer_add_text(buffer, listens ? "," : ",,,");
}

static void add_process(struct buffer *buffer, struct buffer *scratch,
                        const struct sockets *sockets, const struct socket_entry *entry,
                        struct sockets_users *users)
{
    size_t others = 0;
    const struct process *process = sockets_holder(sockets, entry, &others);
    if (!process) {
        buffer_add_text(buffer, ",,");
        add_hostile(buffer, scratch, entry->inode ? sockets_user(users, entry->uid) : NULL);
        buffer_add_text(buffer, ",,,");
        return;
    }
    buffer_add_format(buffer, "%d,", (int)process->pid);
    add_hostile(buffer, scratch, process->name);
    add_hostile(buffer, scratch, process->user ? process->user : sockets_user(users, process->uid));
    buffer_add_format(buffer, "%zu,", others);
    add_hostile(buffer, scratch, process->unit);
    add_hostile(buffer, scratch, process->container);
}

void sockets_add_csv(struct buffer *buffer, const struct sockets *sockets,
                     const struct socket_entry *entry, struct sockets_users *users)
{
    struct buffer scratch = {0};
    size_t others;
    const struct process *process = sockets_holder(sockets, entry, &others);
    add_field(buffer, socket_kind_name((enum socket_kind)entry->kind));
    add_field(buffer, socket_state_name((enum socket_state)entry->state));
    add_ends(buffer, sockets, entry);
    add_reach(buffer, sockets, entry);
    add_queues(buffer, entry);
    add_process(buffer, &scratch, sockets, entry, users);
    buffer_clear(&scratch);
    sockets_add_space(&scratch, sockets, entry);
    add_field(buffer, scratch.length ? scratch.data : "");
    if (entry->inode)
        buffer_add_format(buffer, "%" PRIu32, entry->inode);
    buffer_add_character(buffer, ',');
    add_hostile(buffer, &scratch, process ? process->command : NULL);
    buffer->failed |= scratch.failed;
    buffer_release(&scratch);
    if (!buffer->failed)
        buffer->length--; /* the comma behind the last field */
    buffer_add_text(buffer, "\r\n");
}
