/* The story of a port for who would like to have it: kinds that nobody uses, and what comes of it.
 */
#include "local/port_story_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static bool is_used(const struct port_story *story, enum socket_kind kind)
{
    for (size_t i = 0; i < story->use_count; i++)
        if (story->uses[i].space == 0 && port_plain_kind(story->uses[i].kind) == kind)
            return true;
    return false;
}

/* UDP-Lite and SCTP are of interest only to who asks for nothing else; that nobody has the same
 * number in UDP, too, is of none. */
uint32_t port_unused_kinds(const struct port_story *story)
{
    const uint32_t usual = SOCKET_KIND_BIT(SOCKET_TCP) | SOCKET_KIND_BIT(SOCKET_UDP);
    uint32_t kinds = 0;
    for (enum socket_kind kind = 0; kind < SOCKET_RAW; kind++)
        if (story->question.kinds & SOCKET_KIND_BIT(kind))
            kinds |= SOCKET_KIND_BIT(port_plain_kind(kind));
    if (kinds & usual)
        kinds &= usual;
    for (enum socket_kind kind = 0; kind < SOCKET_RAW; kind++)
        if (is_used(story, kind))
            kinds &= ~SOCKET_KIND_BIT(kind);
    return port_story_is_taken(story) ? kinds & SOCKET_KIND_BIT(SOCKET_TCP) : kinds;
}

bool port_story_is_unknown(const struct port_story *story)
{
    return !port_story_is_taken(story) &&
           (story->question.incomplete || (port_unused_kinds(story) & story->list->refused));
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

/* `unseen`: whether somebody has it. */
static void say_trial(const struct port_teller *teller, bool unseen)
{
    const struct port_trial *trial = &teller->story->question.trial;
    struct buffer *buffer = teller->buffer;
    char reason[128];
    switch (trial->plain) {
    case 0:
        buffer_add_format(buffer, "  %s can be had: bind() works\n", unseen ? "But it" : "It");
        break;
    case EADDRINUSE:
        buffer_add_format(
            buffer, "  %s\n",
            unseen ? "Somebody has it: bind() fails with EADDRINUSE"
                   : "But bind() fails with EADDRINUSE: a socket has it that the kernel does not "
                     "list, such as one that is bound but does not listen (told only since Linux "
                     "6.8)");
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

static enum socket_kind first_kind(uint32_t kinds)
{
    enum socket_kind first = 0;
    while (!(kinds & SOCKET_KIND_BIT(first)))
        first++;
    return first;
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

/* "port 8081, neither TCP (tproxy) nor UDP (sunproxyadmin)", or "port 80 (http), neither …", by the
 * words that join them; "TCP port 80 (http)". */
static void say_kinds(const struct port_teller *teller, uint32_t kinds, const char *before,
                      const char *between)
{
    const bool same = same_service(teller->story, kinds);
    const enum socket_kind first = first_kind(kinds);
    if (kinds == SOCKET_KIND_BIT(first))
        return port_say_port(teller, first);
    buffer_add_format(teller->buffer, "port %u", (unsigned)teller->story->question.port);
    if (same)
        port_say_service(teller, first);
    for (enum socket_kind kind = first; kind < SOCKET_RAW; kind++) {
        if (!(kinds & SOCKET_KIND_BIT(kind)))
            continue;
        buffer_add_format(teller->buffer, "%s %s", kind == first ? before : between,
                          port_kind_word(kind));
        if (!same)
            port_say_service(teller, kind);
    }
}

static bool is_tried(const struct port_question *question, uint32_t kinds)
{
    return question->trial.made && port_plain_kind(question->trial_kind) == first_kind(kinds);
}

static void say_nobody(const struct port_teller *teller, uint32_t kinds)
{
    const struct port_question *question = &teller->story->question;
    const bool refuted = is_tried(question, kinds) && question->trial.plain == EADDRINUSE;
    buffer_add_text(teller->buffer, question->recorded ? "The recording has no socket of "
                                    : refuted || question->incomplete ? "Nobody is seen that uses "
                                                                      : "Nobody uses ");
    say_kinds(teller, kinds, ", neither", " nor");
    if (question->incomplete)
        buffer_add_text(teller->buffer, ", but some of the sockets could not be seen");
    buffer_add_character(teller->buffer, '\n');
    if (is_tried(question, kinds))
        say_trial(teller, question->incomplete);
}

/* The kernel would not tell of them. */
static void say_unseen(const struct port_teller *teller, uint32_t kinds)
{
    const struct port_question *question = &teller->story->question;
    buffer_add_text(teller->buffer, "Whether anybody uses ");
    say_kinds(teller, kinds, ",", " or");
    buffer_add_format(teller->buffer, "%s could not be seen%s\n",
                      kinds == SOCKET_KIND_BIT(first_kind(kinds)) ? "" : ",",
                      question->recorded ? " when it was recorded" : "");
    if (is_tried(question, kinds))
        say_trial(teller, true);
}

void port_say_free(const struct port_teller *teller)
{
    const struct port_question *question = &teller->story->question;
    const uint32_t kinds = port_unused_kinds(teller->story);
    const uint32_t unseen = kinds & teller->story->list->refused;
    if (kinds & ~unseen)
        say_nobody(teller, kinds & ~unseen);
    if (unseen)
        say_unseen(teller, unseen);
    if (kinds && !question->recorded && !question->trial.made)
        say_privilege(teller);
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
