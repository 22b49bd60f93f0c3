/* The story of a port in sentences. */
#include "local/port_story_parts.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
    PEERS_SHOWN = 5,
    HOLDERS_SHOWN = 5,
    USES_SHOWN = 20,
    COMMAND_SHOWN = 200, /* bytes of a command line */
    NAME_SHOWN = 64,
    MINUTE = 60,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    ASSIGNED_ON_DEMAND = 32768, /* such ports get their numbers when they are used */
};

/* ---- pieces ---- */

static void say_hostile(struct buffer *buffer, const char *text, size_t limit)
{
    char escaped[4 * COMMAND_SHOWN + 1];
    const size_t length = strnlen(text, limit + 1);
    text_escape(text, length > limit ? limit : length, escaped, sizeof(escaped));
    buffer_add_text(buffer, escaped);
    if (length > limit)
        buffer_add_text(buffer, "...");
}

static void say_count(struct buffer *buffer, uint64_t count, const char *one, const char *many)
{
    char number[TEXT_NUMBER_SIZE];
    buffer_add_format(buffer, "%s %s", text_grouped(count, number), count == 1 ? one : many);
}

static void say_age(struct buffer *buffer, uint64_t seconds)
{
    if (seconds < 2 * (uint64_t)MINUTE)
        say_count(buffer, seconds, "second", "seconds");
    else if (seconds < 2 * (uint64_t)HOUR)
        say_count(buffer, seconds / MINUTE, "minute", "minutes");
    else if (seconds < 2 * (uint64_t)DAY)
        say_count(buffer, seconds / HOUR, "hour", "hours");
    else
        say_count(buffer, seconds / DAY, "day", "days");
}

/* "2026-11-21 02:14" in this machine's time. False when it is not known. */
#define TIME_SIZE 32
static bool format_time(uint64_t time, char text[static TIME_SIZE])
{
    const time_t seconds = (time_t)(time / NANOSECONDS_PER_SECOND);
    struct tm parts;
    return time != 0 && localtime_r(&seconds, &parts) &&
           strftime(text, TIME_SIZE, "%Y-%m-%d %H:%M", &parts) != 0;
}

const char *port_kind_word(enum socket_kind kind)
{
    switch (kind) {
    case SOCKET_TCP:
        return "TCP";
    case SOCKET_MPTCP:
        return "MPTCP";
    case SOCKET_UDP:
        return "UDP";
    case SOCKET_UDPLITE:
        return "UDP-Lite";
    case SOCKET_SCTP:
        return "SCTP";
    default:
        return "";
    }
}

void port_say_service(const struct port_teller *teller, enum socket_kind kind)
{
    if (teller->story->services[kind])
        buffer_add_format(teller->buffer, " (%s)", teller->story->services[kind]);
}

/* "TCP port 8080 (http-alt)" */
void port_say_port(const struct port_teller *teller, enum socket_kind kind)
{
    buffer_add_format(teller->buffer, "%s port %u", port_kind_word(kind),
                      (unsigned)teller->story->question.port);
    port_say_service(teller, kind);
}

/* A connection's own end may have any number, which need not stand for anything. */
static void say_end(const struct port_teller *teller, enum socket_kind kind)
{
    const unsigned port = teller->story->question.port;
    if (port < ASSIGNED_ON_DEMAND)
        port_say_port(teller, kind);
    else
        buffer_add_format(teller->buffer, "%s port %u", port_kind_word(kind), port);
}

static void say_address(const struct port_teller *teller, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    buffer_add_text(teller->buffer, address_format(address, text));
}

/* ---- who ---- */

/* As the lists of sockets have it: one with blanks in it could look like more than a name. */
static void say_name(struct buffer *buffer, const struct process *process)
{
    const char *quote = process->name[0] == '\0' || strchr(process->name, ' ') ? "\"" : "";
    buffer_add_text(buffer, quote);
    say_hostile(buffer, process->name, NAME_SHOWN);
    buffer_add_text(buffer, quote);
}

/* "docker container 0123456789ab" or "unit nginx.service". Neither identities nor units have bytes
 * that could do harm (owner.h). */
static bool say_place(struct buffer *buffer, const struct process *process, const char *before)
{
    if (process->container)
        buffer_add_format(buffer, "%s%s%scontainer %.*s", before,
                          process->container_runtime ? process->container_runtime : "",
                          process->container_runtime ? " " : "",
                          (int)container_shown_length(process->container), process->container);
    else if (process->unit)
        buffer_add_format(buffer, "%s%sunit %s", before, process->user_unit ? "user's " : "",
                          process->unit);
    return process->container || process->unit;
}

static void say_holder(const struct port_holder *holder, bool placed, struct buffer *buffer)
{
    const struct process *process = holder->process;
    say_name(buffer, process);
    buffer_add_format(buffer, " (pid %d", (int)process->pid);
    if (holder->processes > 1) {
        buffer_add_text(buffer, " and ");
        say_count(buffer, holder->processes - 1, "more process", "more processes");
    }
    buffer_add_text(buffer, ", user ");
    if (process->user)
        say_hostile(buffer, process->user, NAME_SHOWN);
    else
        buffer_add_format(buffer, "%" PRIu32, process->uid);
    if (placed)
        say_place(buffer, process, ", ");
    buffer_add_character(buffer, ')');
}

/* Nobody is known who holds it. */
static void say_somebody(const struct port_teller *teller, const struct port_use *use)
{
    const struct port_story *story = teller->story;
    const bool recorded = story->question.recorded;
    if (story->asked && story->unseen == 0) {
        buffer_add_text(teller->buffer, "Something that is no process here (the kernel itself, or "
                                        "a process of another PID namespace)");
        return;
    }
    buffer_add_format(teller->buffer, "%s (its socket is of user %" PRIu32 ")",
                      recorded       ? "Something that the recording does not name"
                      : story->asked ? "A process that we have no right to see"
                                     : "A process",
                      use->uid);
}

/* The subject of a sentence, with a capital letter unless it is a name; `placed`: with its unit or
 * container. Returns whether it is plural. */
static bool say_holders(const struct port_teller *teller, const struct port_use *use, bool placed)
{
    struct buffer *buffer = teller->buffer;
    if (use->holder_count == 0) {
        say_somebody(teller, use);
        return false;
    }
    const size_t shown = use->holder_count < HOLDERS_SHOWN ? use->holder_count : HOLDERS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const bool last = i + 1 == use->holder_count;
        buffer_add_text(buffer, i == 0 ? "" : last ? " and " : ", ");
        say_holder(&use->holders[i], placed, buffer);
    }
    if (shown < use->holder_count) {
        buffer_add_text(buffer, " and ");
        say_count(buffer, use->holder_count - shown, "other program", "other programs");
    }
    return use->holder_count > 1;
}

static void say_forward(struct buffer *buffer, const struct port_holder *holder, const char *indent)
{
    char to[ENDPOINT_TEXT_SIZE];
    if (holder->forwards)
        buffer_add_format(buffer, "%sIt forwards to %s, in a container of Docker's\n", indent,
                          address_format_port(&holder->forward, holder->forward_port, to));
}

/* " has run in the unit nginx.service since 2026-11-21 02:14 (3 hours)" */
static void say_life(const struct port_teller *teller, const struct process *process)
{
    struct buffer *buffer = teller->buffer;
    const uint64_t now = teller->story->question.now, started = process->started;
    char since[TIME_SIZE];
    const bool timed = format_time(started, since);
    buffer_add_text(buffer, timed ? " has run" : " runs");
    say_place(buffer, process, " in the ");
    if (!timed)
        return;
    buffer_add_format(buffer, " since %s (", since);
    say_age(buffer, now > started ? (now - started) / NANOSECONDS_PER_SECOND : 0);
    buffer_add_character(buffer, ')');
}

/* What is said of each one in a line of its own. */
static void say_circumstances(const struct port_teller *teller, const struct port_holder *holder)
{
    const struct process *process = holder->process;
    struct buffer *buffer = teller->buffer;
    const bool commanded = process->command && process->command[0] != '\0';
    if (!holder->socket_unit && !process->container && !process->unit && process->started == 0 &&
        !commanded)
        return; /* nothing is known */
    buffer_add_text(buffer, "  ");
    say_name(buffer, process);
    if (holder->socket_unit) {
        buffer_add_text(buffer, " listens here in place of a service: one of its .socket units\n");
        return;
    }
    say_life(teller, process);
    if (commanded) {
        buffer_add_text(buffer, ": ");
        say_hostile(buffer, process->command, COMMAND_SHOWN);
    }
    buffer_add_character(buffer, '\n');
    say_forward(buffer, holder, "  ");
}

static void say_all_circumstances(const struct port_teller *teller, const struct port_use *use)
{
    for (size_t i = 0; i < use->holder_count && i < HOLDERS_SHOWN; i++)
        say_circumstances(teller, &use->holders[i]);
}

static bool ends_alike(const struct port_use *use, const struct port_use *other)
{
    return other && other->space == use->space && other->kind == use->kind && other->stop &&
           strcmp(use->stop, other->stop) == 0;
}

/* Nothing when the use that follows has the same end, and will have said it. */
static void say_stop(const struct port_teller *teller, const struct port_use *use,
                     const struct port_use *next, const char *indent)
{
    const bool recorded = teller->story->question.recorded;
    for (size_t i = 0; i < use->holder_count && !recorded; i++)
        if (use->holders[i].socket_unit)
            buffer_add_format(teller->buffer, "%sTo see which one: systemctl list-sockets --all\n",
                              indent);
    if (!use->stop || ends_alike(use, next))
        return;
    /* A unit or a container is one thing, however many processes it has. */
    const bool several = use->holder_count > 1 ||
                         (use->holders[0].processes > 1 && strncmp(use->stop, "kill ", 5) == 0);
    buffer_add_format(teller->buffer, "%sTo end %s%s: %s\n", indent, several ? "them" : "it",
                      recorded ? " there" : "", use->stop);
}

/* ---- where ---- */

static const char *families_of(const struct port_use *use)
{
    return use->dual                           ? "IPv4 and IPv6"
           : use->local.family == ADDRESS_IPV4 ? "IPv4 alone"
                                               : "IPv6 alone";
}

/* Whom an interface lets in that it is bound to is not said by an address. */
static void say_interface(const struct port_teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    buffer_add_text(buffer, ", but only for what comes by the interface ");
    if (use->interface_name[0])
        say_hostile(buffer, use->interface_name, sizeof(use->interface_name));
    else
        buffer_add_format(buffer, "number %" PRIu32, use->interface);
}

static void say_exposure(const struct port_teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    const bool wildcard = use->local.value == 0;
    if (wildcard && use->exposure == EXPOSURE_ADDRESS)
        return; /* that of the interface, which has been said */
    if (wildcard && teller->story->question.recorded && !teller->story->mapped)
        return; /* that hangs on interfaces that were not recorded */
    buffer_add_format(buffer, " (%s", exposure_words(use->exposure));
    if (use->interface_name[0] && use->interface == 0 && use->exposure != EXPOSURE_LOOPBACK) {
        buffer_add_text(buffer, ": ");
        say_hostile(buffer, use->interface_name, sizeof(use->interface_name));
    }
    buffer_add_character(buffer, ')');
}

static void say_where(const struct port_teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    if (use->local.value == 0)
        buffer_add_format(buffer, " of every address, %s", families_of(use));
    else
        buffer_add_text(buffer, " of ");
    if (use->local.value != 0)
        say_address(teller, &use->local);
    if (use->interface != 0)
        say_interface(teller, use);
    if (use->space == 0)
        say_exposure(teller, use);
}

/* ---- with whom ---- */

static void say_peers(const struct port_teller *teller, const struct port_use *use,
                      const char *word)
{
    char number[TEXT_NUMBER_SIZE];
    const size_t shown = use->peer_count < PEERS_SHOWN ? use->peer_count : PEERS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const struct port_peer *peer = &use->peers[i];
        buffer_add_text(teller->buffer, i == 0 ? ": " : ", ");
        if (use->peer_count > 1 || peer->connections != use->connections)
            buffer_add_format(teller->buffer, "%s ", text_grouped(peer->connections, number));
        buffer_add_format(teller->buffer, "%s ", word);
        say_address(teller, &peer->address);
    }
    if (shown < use->peer_count) {
        buffer_add_text(teller->buffer, " and others with ");
        say_count(teller->buffer, use->peer_count - shown, "more address", "more addresses");
    }
}

static void say_connections(const struct port_teller *teller, const struct port_use *use)
{
    if (use->kind == SOCKET_UDP || use->kind == SOCKET_UDPLITE) {
        if (use->connections == 0)
            return; /* who sends to it is not known */
    } else if (use->connections == 0) {
        buffer_add_text(teller->buffer, teller->story->question.recorded
                                            ? "  No connection with it is recorded\n"
                                            : "  Nobody is connected\n");
        return;
    }
    buffer_add_text(teller->buffer, "  ");
    say_count(teller->buffer, use->connections, "connection", "connections");
    say_peers(teller, use, "from");
    buffer_add_character(teller->buffer, '\n');
}

/* ---- uses ---- */

/* What bind() would say is known of this machine, and of now. */
static void say_refusal(const struct port_teller *teller, const char *sentence)
{
    if (!teller->story->question.recorded)
        buffer_add_format(teller->buffer, "  %s\n", sentence);
}

/* "nginx (pid 812, user root) listens on TCP port 80 (http) of every address, IPv4 alone" */
static void say_listening(const struct port_teller *teller, const struct port_use *use, bool placed)
{
    struct buffer *buffer = teller->buffer;
    const bool datagrams = use->kind == SOCKET_UDP || use->kind == SOCKET_UDPLITE;
    const bool plural = say_holders(teller, use, placed);
    if (use->role == PORT_BOUND)
        buffer_add_text(buffer, plural ? " have bound " : " has bound ");
    else if (datagrams)
        buffer_add_text(buffer, plural ? " receive on " : " receives on ");
    else
        buffer_add_text(buffer, plural ? " listen on " : " listens on ");
    port_say_port(teller, use->kind);
    say_where(teller, use);
    if (use->multipath)
        buffer_add_text(buffer, ", also with MPTCP");
    if (use->role == PORT_BOUND)
        buffer_add_text(buffer, plural ? ", but do not listen" : ", but does not listen");
}

static void say_listener(const struct port_teller *teller, const struct port_use *use,
                         const struct port_use *next)
{
    say_listening(teller, use, false);
    buffer_add_character(teller->buffer, '\n');
    say_all_circumstances(teller, use);
    if (use->role == PORT_LISTENS)
        say_connections(teller, use);
    else
        say_refusal(teller, "Meanwhile bind() to it fails with EADDRINUSE");
    say_stop(teller, use, next, "  ");
}

static void say_connected(const struct port_teller *teller, const struct port_use *use,
                          const struct port_use *next)
{
    struct buffer *buffer = teller->buffer;
    const bool plural = say_holders(teller, use, false);
    buffer_add_text(buffer, plural ? " use " : " uses ");
    say_end(teller, use->kind);
    buffer_add_text(buffer, plural ? " as their own end of " : " as its own end of ");
    say_count(buffer, use->connections, "connection", "connections");
    say_peers(teller, use, "with");
    buffer_add_text(buffer, "\n");
    say_all_circumstances(teller, use);
    say_refusal(teller, "This alone makes bind() fail with EADDRINUSE, unless both that socket and "
                        "the new one set SO_REUSEADDR");
    say_stop(teller, use, next, "  ");
}

static void say_remains(const struct port_teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    say_count(buffer, use->sockets, "connection", "connections");
    buffer_add_text(buffer, " of ");
    say_end(teller, use->kind);
    if (use->role == PORT_ENDING) {
        buffer_add_format(buffer, " %s no process any more, and %s for the other side to end\n",
                          use->sockets == 1 ? "has" : "have", use->sockets == 1 ? "waits" : "wait");
        say_refusal(teller, "Until then bind() fails with EADDRINUSE, unless both who had the port "
                            "and who wants it set SO_REUSEADDR");
        return;
    }
    buffer_add_text(buffer, use->sockets == 1 ? " has ended and rests" : " have ended and rest");
    buffer_add_text(buffer, " in TIME_WAIT");
    if (use->rest_ms > 0) {
        buffer_add_text(buffer, " for up to ");
        say_count(buffer, (use->rest_ms + 999) / 1000, "more second", "more seconds");
    }
    buffer_add_character(buffer, '\n');
    say_refusal(teller, "Until then bind() fails with EADDRINUSE for a server that does not set "
                        "SO_REUSEADDR; for one that does, it works at once");
}

static void say_use(const struct port_teller *teller, const struct port_use *use,
                    const struct port_use *next)
{
    if (use->role == PORT_LISTENS || use->role == PORT_BOUND)
        say_listener(teller, use, next);
    else if (use->role == PORT_CONNECTED)
        say_connected(teller, use, next);
    else
        say_remains(teller, use);
}

/* ---- elsewhere ---- */

static void say_space(const struct port_teller *teller, const struct port_use *use)
{
    const struct socket_list *list = teller->story->list;
    const struct socket_space *space =
        list && use->space < list->space_count ? &list->spaces[use->space] : NULL;
    if (!space)
        buffer_add_text(teller->buffer, "another one");
    else if (space->name[0])
        say_hostile(teller->buffer, space->name, sizeof(space->name));
    else
        buffer_add_format(teller->buffer, "net:[%" PRIu64 "]", space->inode);
}

/* One that waits for somebody in another network namespace. */
static void say_elsewhere(const struct port_teller *teller, const struct port_use *use,
                          const struct port_use *next)
{
    struct buffer *buffer = teller->buffer;
    buffer_add_text(buffer, "  ");
    say_space(teller, use);
    buffer_add_text(buffer, ": ");
    say_listening(teller, use, true);
    if (use->connections > 0) {
        buffer_add_text(buffer, ", with ");
        say_count(buffer, use->connections, "connection", "connections");
    }
    buffer_add_character(buffer, '\n');
    for (size_t i = 0; i < use->holder_count && i < HOLDERS_SHOWN; i++)
        say_forward(buffer, &use->holders[i], "    ");
    say_stop(teller, use, next, "    ");
}

/* Of other network namespaces those are named that wait for somebody: ends of connections there are
 * of no interest to who wants the port here, and what rests is not even that. */
static void say_other_spaces(const struct port_teller *teller, const struct port_use *uses,
                             size_t count)
{
    struct buffer *buffer = teller->buffer;
    const char *aside = teller->story->question.recorded ? "" : ", in nobody's way here";
    size_t waiting = 0, shown = 0;
    uint64_t ends = 0;
    for (size_t i = 0; i < count; i++) {
        waiting += uses[i].role == PORT_LISTENS;
        ends += uses[i].role == PORT_CONNECTED ? uses[i].connections : 0;
    }
    if (waiting > 0)
        buffer_add_format(buffer, "In other network namespaces%s:\n", aside);
    for (size_t i = 0; i < count && shown < USES_SHOWN; i++) {
        if (uses[i].role != PORT_LISTENS)
            continue;
        const bool followed =
            ++shown < USES_SHOWN && i + 1 < count && uses[i + 1].role == PORT_LISTENS;
        say_elsewhere(teller, &uses[i], followed ? &uses[i + 1] : NULL);
    }
    if (shown < waiting)
        buffer_add_format(buffer, "  And %zu more\n", waiting - shown);
    if (ends == 0)
        return;
    buffer_add_format(buffer, "In other network namespaces%s, it is the own end of ", aside);
    say_count(buffer, ends, "connection", "connections");
    buffer_add_character(buffer, '\n');
}

/* ---- the whole ---- */

static void say_recorded(const struct port_teller *teller)
{
    const struct port_question *question = &teller->story->question;
    char time[TIME_SIZE];
    if (!question->recorded)
        return;
    const bool timed = format_time(question->now, time);
    buffer_add_format(teller->buffer,
                      "From a recording%s%s, which does not tell whether the port can be had:\n",
                      timed ? " of " : "", timed ? time : "");
}

void port_story_write(const struct port_story *story, struct buffer *buffer)
{
    const struct port_teller teller = {.story = story, .buffer = buffer};
    size_t own = 0;
    while (own < story->use_count && story->uses[own].space == 0)
        own++;
    const size_t shown = own < USES_SHOWN ? own : USES_SHOWN;
    say_recorded(&teller);
    for (size_t i = 0; i < shown; i++)
        say_use(&teller, &story->uses[i], i + 1 < shown ? &story->uses[i + 1] : NULL);
    if (shown < own)
        buffer_add_format(buffer, "And %zu more uses of it\n", own - shown);
    port_say_free(&teller);
    port_say_range(&teller);
    if (own < story->use_count)
        say_other_spaces(&teller, story->uses + own, story->use_count - own);
}
