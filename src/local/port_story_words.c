/* The story of a port in sentences. */
#include "local/port_story.h"

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
    SHORT_IDENTITY = 12,
};

struct teller {
    const struct port_story *story;
    struct buffer *buffer;
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

/* ", since 2026-11-21 02:14 (3 hours)" in this machine's time. */
static void say_since(const struct teller *teller, uint64_t started)
{
    const time_t seconds = (time_t)(started / NANOSECONDS_PER_SECOND);
    struct tm parts;
    char text[32];
    if (started == 0 || !localtime_r(&seconds, &parts) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts) == 0)
        return;
    const uint64_t now = teller->story->question.now;
    buffer_add_format(teller->buffer, " since %s (", text);
    say_age(teller->buffer, now > started ? (now - started) / NANOSECONDS_PER_SECOND : 0);
    buffer_add_character(teller->buffer, ')');
}

static const char *kind_word(enum socket_kind kind)
{
    switch (kind) {
    case SOCKET_TCP:
        return "TCP ";
    case SOCKET_MPTCP:
        return "MPTCP ";
    case SOCKET_UDP:
        return "UDP ";
    case SOCKET_UDPLITE:
        return "UDP-Lite ";
    case SOCKET_SCTP:
        return "SCTP ";
    default:
        return "";
    }
}

/* "TCP port 8080 (http-alt)" */
static void say_port(const struct teller *teller, const char *kind)
{
    const struct port_story *story = teller->story;
    buffer_add_format(teller->buffer, "%sport %u", kind, (unsigned)story->question.port);
    if (story->service)
        buffer_add_format(teller->buffer, " (%s)", story->service);
}

static void say_address(const struct teller *teller, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    buffer_add_text(teller->buffer, address_format(address, text));
}

/* ---- who ---- */

static void say_holder(const struct teller *teller, const struct port_holder *holder)
{
    const struct process *process = holder->process;
    struct buffer *buffer = teller->buffer;
    say_hostile(buffer, process->name, NAME_SHOWN);
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
    buffer_add_character(buffer, ')');
}

/* The subject of a sentence, with a capital letter unless it is a name. Returns whether it is
 * plural. */
static bool say_holders(const struct teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    if (use->holder_count == 0 && !teller->story->asked) {
        buffer_add_format(buffer, "A process (its socket is of user %" PRIu32 ")", use->uid);
        return false;
    }
    if (use->holder_count == 0 && teller->story->unseen > 0) {
        buffer_add_format(
            buffer, "A process that we have no right to see (its socket is of user %" PRIu32 ")",
            use->uid);
        return false;
    }
    if (use->holder_count == 0) {
        buffer_add_text(buffer, "Something that is no process here (the kernel itself, or a "
                                "process of another PID namespace)");
        return false;
    }
    const size_t shown = use->holder_count < HOLDERS_SHOWN ? use->holder_count : HOLDERS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const bool last = i + 1 == use->holder_count;
        buffer_add_text(buffer, i == 0 ? "" : last ? " and " : ", ");
        say_holder(teller, &use->holders[i]);
    }
    if (shown < use->holder_count) {
        buffer_add_text(buffer, " and ");
        say_count(buffer, use->holder_count - shown, "other program", "other programs");
    }
    return use->holder_count > 1;
}

/* What is said of each one in a line of its own. */
static void say_circumstances(const struct teller *teller, const struct port_holder *holder)
{
    const struct process *process = holder->process;
    struct buffer *buffer = teller->buffer;
    buffer_add_text(buffer, "  ");
    say_hostile(buffer, process->name, NAME_SHOWN);
    if (holder->socket_unit) {
        buffer_add_text(buffer, " listens here in place of a service: one of its .socket units\n");
        return;
    }
    buffer_add_text(buffer, " runs");
    if (process->container) {
        /* Neither identities nor units have bytes that could do harm (owner.h). */
        const char *identity = process->container;
        const size_t length = strlen(identity);
        const bool number = identity[strspn(identity, "0123456789abcdef")] == '\0';
        buffer_add_format(buffer, " in the %s%scontainer %.*s",
                          process->container_runtime ? process->container_runtime : "",
                          process->container_runtime ? " " : "",
                          number && length > SHORT_IDENTITY ? SHORT_IDENTITY : (int)length,
                          identity);
    } else if (process->unit) {
        buffer_add_format(buffer, " in the %sunit %s", process->user_unit ? "user's " : "",
                          process->unit);
    }
    say_since(teller, process->started);
    if (process->command && process->command[0] != '\0') {
        buffer_add_text(buffer, ": ");
        say_hostile(buffer, process->command, COMMAND_SHOWN);
    }
    buffer_add_character(buffer, '\n');
    if (!holder->forwards)
        return;
    char to[ENDPOINT_TEXT_SIZE];
    buffer_add_format(buffer, "  It forwards to %s, in a container of Docker's\n",
                      address_format_port(&holder->forward, holder->forward_port, to));
}

static void say_stops(const struct teller *teller, const struct port_use *use)
{
    for (size_t i = 0; i < use->holder_count && i < HOLDERS_SHOWN; i++) {
        const struct port_holder *holder = &use->holders[i];
        buffer_add_text(teller->buffer,
                        holder->socket_unit ? "  To see which one: " : "  To end it: ");
        buffer_add_format(teller->buffer, "%s\n", holder->stop);
    }
}

/* ---- where ---- */

static const char *families_of(const struct port_use *use)
{
    return use->dual                           ? "IPv4 and IPv6"
           : use->local.family == ADDRESS_IPV4 ? "IPv4 alone"
                                               : "IPv6 alone";
}

static void say_where(const struct teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    if (use->local.value == 0)
        buffer_add_format(buffer, " of every address, %s", families_of(use));
    else
        buffer_add_text(buffer, " of ");
    if (use->local.value != 0)
        say_address(teller, &use->local);
    if (use->space != 0)
        return;
    buffer_add_format(buffer, " (%s", exposure_words(use->exposure));
    if (use->interface_name[0] && use->exposure != EXPOSURE_LOOPBACK) {
        buffer_add_text(buffer, ": ");
        say_hostile(buffer, use->interface_name, sizeof(use->interface_name));
    }
    buffer_add_character(buffer, ')');
}

/* ---- with whom ---- */

static void say_peers(const struct teller *teller, const struct port_use *use, const char *word)
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

static void say_connections(const struct teller *teller, const struct port_use *use)
{
    if (use->kind == SOCKET_UDP || use->kind == SOCKET_UDPLITE) {
        if (use->connections == 0)
            return; /* who sends to it is not known */
    } else if (use->connections == 0) {
        buffer_add_text(teller->buffer, "  Nobody is connected\n");
        return;
    }
    buffer_add_text(teller->buffer, "  ");
    say_count(teller->buffer, use->connections, "connection", "connections");
    say_peers(teller, use, "from");
    buffer_add_character(teller->buffer, '\n');
}

/* ---- uses ---- */

static void say_listener(const struct teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    const bool datagrams = use->kind == SOCKET_UDP || use->kind == SOCKET_UDPLITE;
    const bool plural = say_holders(teller, use);
    if (use->role == PORT_BOUND)
        buffer_add_text(buffer, plural ? " have bound " : " has bound ");
    else if (datagrams)
        buffer_add_text(buffer, plural ? " receive on " : " receives on ");
    else
        buffer_add_text(buffer, plural ? " listen on " : " listens on ");
    say_port(teller, kind_word(use->kind));
    say_where(teller, use);
    if (use->role == PORT_BOUND)
        buffer_add_text(buffer, ", but not to listen");
    buffer_add_character(buffer, '\n');
    for (size_t i = 0; i < use->holder_count && i < HOLDERS_SHOWN; i++)
        say_circumstances(teller, &use->holders[i]);
    if (use->role == PORT_LISTENS)
        say_connections(teller, use);
    else
        buffer_add_text(buffer, "  While it does, bind() to it fails with EADDRINUSE\n");
    say_stops(teller, use);
}

static void say_connected(const struct teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    const bool plural = say_holders(teller, use);
    buffer_add_text(buffer, plural ? " use " : " uses ");
    say_port(teller, kind_word(use->kind));
    buffer_add_text(buffer, plural ? " as their own end of " : " as its own end of ");
    say_count(buffer, use->connections, "connection", "connections");
    say_peers(teller, use, "with");
    buffer_add_text(buffer, "\n");
    for (size_t i = 0; i < use->holder_count && i < HOLDERS_SHOWN; i++)
        say_circumstances(teller, &use->holders[i]);
    buffer_add_text(buffer, "  Nobody listens, but bind() fails with EADDRINUSE, unless both that "
                            "socket and the new one set SO_REUSEADDR\n");
    say_stops(teller, use);
}

static void say_remains(const struct teller *teller, const struct port_use *use)
{
    struct buffer *buffer = teller->buffer;
    say_count(buffer, use->sockets, "connection", "connections");
    buffer_add_text(buffer, " of ");
    say_port(teller, kind_word(use->kind));
    if (use->role == PORT_ENDING) {
        buffer_add_format(buffer,
                          " %s no process any more, and %s for the other side to end\n"
                          "  Until then bind() fails with EADDRINUSE, unless both who had the port "
                          "and who wants it set SO_REUSEADDR\n",
                          use->sockets == 1 ? "has" : "have", use->sockets == 1 ? "waits" : "wait");
        return;
    }
    buffer_add_text(buffer, use->sockets == 1 ? " has ended and rests" : " have ended and rest");
    buffer_add_text(buffer, " in TIME_WAIT");
    if (use->rest_ms > 0) {
        buffer_add_text(buffer, " for up to ");
        say_count(buffer, (use->rest_ms + 999) / 1000, "more second", "more seconds");
    }
    buffer_add_text(buffer,
                    "\n  Until then bind() fails with EADDRINUSE for a server that does not "
                    "set SO_REUSEADDR; for one that does, it works at once\n");
}

static void say_use(const struct teller *teller, const struct port_use *use)
{
    if (use->space != 0 && teller->story->list && use->space < teller->story->list->space_count) {
        const struct socket_space *space = &teller->story->list->spaces[use->space];
        buffer_add_text(teller->buffer, "In the network namespace ");
        if (space->name[0])
            say_hostile(teller->buffer, space->name, sizeof(space->name));
        else
            buffer_add_format(teller->buffer, "net:[%" PRIu64 "]", space->inode);
        buffer_add_text(teller->buffer, ", where it is in nobody's way here: ");
    } else if (use->space != 0) {
        buffer_add_text(teller->buffer, "In another network namespace: ");
    }
    if (use->role == PORT_LISTENS || use->role == PORT_BOUND)
        say_listener(teller, use);
    else if (use->role == PORT_CONNECTED)
        say_connected(teller, use);
    else
        say_remains(teller, use);
}

/* ---- who would like to have it ---- */

static bool is_used(const struct port_story *story, enum socket_kind kind)
{
    for (size_t i = 0; i < story->use_count; i++)
        if (story->uses[i].space == 0 && story->uses[i].kind == kind)
            return true;
    return false;
}

static bool is_asked(const struct port_story *story, enum socket_kind kind)
{
    return story->question.kinds & SOCKET_KIND_BIT(kind);
}

static void say_privilege(const struct teller *teller)
{
    const uint32_t unprivileged = teller->story->question.limits.unprivileged;
    if (teller->story->question.port < unprivileged)
        buffer_add_format(teller->buffer,
                          "  Ports below %" PRIu32 " are for root and for programs with "
                          "CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start)\n",
                          unprivileged);
}

static void say_trial(const struct teller *teller)
{
    const struct port_trial *trial = &teller->story->question.trial;
    struct buffer *buffer = teller->buffer;
    char reason[128];
    if (!trial->made)
        return say_privilege(teller);
    switch (trial->plain) {
    case 0:
        buffer_add_text(buffer, "  It can be had: bind() works\n");
        break;
    case EADDRINUSE:
        buffer_add_text(buffer,
                        "  But bind() fails with EADDRINUSE: a socket has it that the kernel does "
                        "not list, such as one that is bound but does not listen (told only since "
                        "Linux 6.8)\n");
        if (trial->reusing == 0)
            buffer_add_text(buffer, "  With SO_REUSEADDR bind() works\n");
        break;
    case EACCES:
        buffer_add_text(buffer, "  But we may not have it: bind() fails with EACCES\n");
        say_privilege(teller);
        break;
    default:
        buffer_add_format(buffer, "  But bind() fails: %s\n",
                          strerror_r(trial->plain, reason, sizeof(reason)));
        break;
    }
}

static void say_nobody(const struct teller *teller)
{
    const struct port_story *story = teller->story;
    const bool tcp = is_asked(story, SOCKET_TCP) && !is_used(story, SOCKET_TCP);
    const bool udp = is_asked(story, SOCKET_UDP) && !is_used(story, SOCKET_UDP);
    if ((!tcp && !udp) || (!tcp && port_story_is_taken(story)))
        return; /* that nobody has the same number in UDP, too, is of no interest */
    const bool neither = tcp && udp && !port_story_is_taken(story);
    buffer_add_text(teller->buffer, "Nobody uses ");
    say_port(teller, neither ? "" : tcp ? "TCP " : "UDP ");
    buffer_add_text(teller->buffer, neither ? ", neither TCP nor UDP\n" : "\n");
    const enum socket_kind kind = tcp ? SOCKET_TCP : SOCKET_UDP;
    if (story->question.trial.made && story->question.trial_kind != kind)
        return;
    say_trial(teller);
}

/* What else may happen to a port that nobody listens on. */
static void say_range(const struct teller *teller)
{
    const struct port_question *question = &teller->story->question;
    const struct port_limits *limits = &question->limits;
    for (size_t i = 0; i < teller->story->use_count; i++)
        if (teller->story->uses[i].space == 0 && teller->story->uses[i].role == PORT_LISTENS)
            return;
    if (limits->reserved)
        buffer_add_text(teller->buffer,
                        "  It is reserved (net.ipv4.ip_local_reserved_ports): only who asks for "
                        "this very port gets it\n");
    else if (limits->ephemeral_first > 0 && question->port >= limits->ephemeral_first &&
             question->port <= limits->ephemeral_last)
        buffer_add_format(teller->buffer,
                          "  It is one of those that the kernel gives to outgoing connections (%u "
                          "to %u, net.ipv4.ip_local_port_range): any of them may take it, unless "
                          "it is put into net.ipv4.ip_local_reserved_ports\n",
                          limits->ephemeral_first, limits->ephemeral_last);
}

void port_story_write(const struct port_story *story, struct buffer *buffer)
{
    const struct teller teller = {.story = story, .buffer = buffer};
    size_t at = 0, shown = 0;
    for (; at < story->use_count && story->uses[at].space == 0 && shown < USES_SHOWN; at++, shown++)
        say_use(&teller, &story->uses[at]);
    say_nobody(&teller);
    say_range(&teller);
    while (at < story->use_count && story->uses[at].space == 0)
        at++;
    for (; at < story->use_count && shown < USES_SHOWN; at++, shown++)
        say_use(&teller, &story->uses[at]);
    if (shown < story->use_count)
        buffer_add_format(buffer, "And %zu more uses of it\n", story->use_count - shown);
}
