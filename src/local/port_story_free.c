/* The story of a port for who would like to have it: kinds that nobody uses, and what comes of it.
 */
#include "local/port_story_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* MPTCP's ports are TCP's. */
static enum socket_kind plain_kind(enum socket_kind kind)
{
    return kind == SOCKET_MPTCP ? SOCKET_TCP : kind;
}

static bool is_used(const struct port_story *story, enum socket_kind kind)
{
    for (size_t i = 0; i < story->use_count; i++)
        if (story->uses[i].space == 0 && plain_kind(story->uses[i].kind) == kind)
            return true;
    return false;
}

/* Kinds that were asked for and have no socket. UDP-Lite and SCTP are of interest only to who asks
 * for nothing else; that nobody has the same number in UDP, too, is of none. */
static uint32_t free_kinds(const struct port_story *story)
{
    const uint32_t usual = SOCKET_KIND_BIT(SOCKET_TCP) | SOCKET_KIND_BIT(SOCKET_UDP);
    uint32_t kinds = 0;
    for (enum socket_kind kind = 0; kind < SOCKET_RAW; kind++)
        if (story->question.kinds & SOCKET_KIND_BIT(kind))
            kinds |= SOCKET_KIND_BIT(plain_kind(kind));
    if (kinds & usual)
        kinds &= usual;
    for (enum socket_kind kind = 0; kind < SOCKET_RAW; kind++)
        if (is_used(story, kind))
            kinds &= ~SOCKET_KIND_BIT(kind);
    return port_story_is_taken(story) ? kinds & SOCKET_KIND_BIT(SOCKET_TCP) : kinds;
}

static void say_privilege(const struct port_teller *teller)
{
    const uint32_t unprivileged = teller->story->question.limits.unprivileged;
    if (teller->story->question.port < unprivileged)
        buffer_add_format(teller->buffer,
                          "  Ports below %" PRIu32 " are for root and for programs with "
                          "CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start)\n",
                          unprivileged);
}

static void say_trial(const struct port_teller *teller)
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

static bool same_service(const struct port_story *story, uint32_t kinds)
{
    const char *name = NULL;
    bool first = true;
    for (enum socket_kind kind = 0; kind < SOCKET_RAW; kind++) {
        if (!(kinds & SOCKET_KIND_BIT(kind)))
            continue;
        const char *other = story->services[kind];
        if (!first && other != name && (!other || !name || strcmp(other, name) != 0))
            return false;
        name = other;
        first = false;
    }
    return true;
}

/* "port 8081, neither TCP (tproxy) nor UDP (sunproxyadmin)", or "port 80 (http), neither …" */
static void say_free_kinds(const struct port_teller *teller, enum socket_kind first, uint32_t kinds)
{
    const bool same = same_service(teller->story, kinds);
    buffer_add_format(teller->buffer, "port %u", (unsigned)teller->story->question.port);
    if (same)
        port_say_service(teller, first);
    for (enum socket_kind kind = first; kind < SOCKET_RAW; kind++) {
        if (!(kinds & SOCKET_KIND_BIT(kind)))
            continue;
        buffer_add_format(teller->buffer, "%s %s", kind == first ? ", neither" : " nor",
                          port_kind_word(kind));
        if (!same)
            port_say_service(teller, kind);
    }
}

void port_say_free(const struct port_teller *teller)
{
    const struct port_question *question = &teller->story->question;
    const struct port_trial *trial = &question->trial;
    const uint32_t kinds = free_kinds(teller->story);
    enum socket_kind first = 0;
    if (kinds == 0)
        return;
    while (!(kinds & SOCKET_KIND_BIT(first)))
        first++;
    const bool tried = trial->made && plain_kind(question->trial_kind) == first;
    buffer_add_text(teller->buffer, question->recorded ? "The recording has no socket of "
                                    : tried && trial->plain == EADDRINUSE
                                        ? "Nobody is seen that uses "
                                        : "Nobody uses ");
    if (kinds == SOCKET_KIND_BIT(first))
        port_say_port(teller, first);
    else
        say_free_kinds(teller, first, kinds);
    buffer_add_character(teller->buffer, '\n');
    if (!question->recorded && (tried || !trial->made))
        say_trial(teller);
}

void port_say_range(const struct port_teller *teller)
{
    const struct port_question *question = &teller->story->question;
    const struct port_limits *limits = &question->limits;
    for (size_t i = 0; i < teller->story->use_count; i++)
        if (teller->story->uses[i].space == 0 && teller->story->uses[i].role == PORT_LISTENS)
            return;
    if (question->recorded)
        return; /* these are settings of another machine, or of another time */
    const char *subject = port_story_is_taken(teller->story) ? "The port" : "  It";
    if (limits->reserved)
        buffer_add_format(teller->buffer,
                          "%s is reserved (net.ipv4.ip_local_reserved_ports): only who asks for "
                          "this very port gets it\n",
                          subject);
    else if (limits->ephemeral_first > 0 && question->port >= limits->ephemeral_first &&
             question->port <= limits->ephemeral_last)
        buffer_add_format(teller->buffer,
                          "%s is one of those that the kernel gives to outgoing connections (%u "
                          "to %u, net.ipv4.ip_local_port_range): any of them may take it, unless "
                          "it is put into net.ipv4.ip_local_reserved_ports\n",
                          subject, limits->ephemeral_first, limits->ephemeral_last);
}
