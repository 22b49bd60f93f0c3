/* What is using a port: the word for it, what to ask for, and the answer in words. */
#include "cmd/sockets_port.h"

#include "base/text.h"
#include "local/port_story.h"
#include "net/service.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* MPTCP's ports are TCP's. */
#define TCP_KINDS (SOCKET_KIND_BIT(SOCKET_TCP) | SOCKET_KIND_BIT(SOCKET_MPTCP))
#define PORT_KINDS                                                                                 \
    (TCP_KINDS | SOCKET_KIND_BIT(SOCKET_UDP) | SOCKET_KIND_BIT(SOCKET_UDPLITE) |                   \
     SOCKET_KIND_BIT(SOCKET_SCTP))

/* ---- the word ---- */

/* How many bytes before the protocol. */
static size_t number_length(const char *word)
{
    return strcspn(word, "/");
}

bool sockets_port_is_number(const char *word)
{
    word += *word == ':';
    const size_t length = strspn(word, "0123456789");
    return length > 0 && (word[length] == '\0' || word[length] == '/');
}

static int read_protocol(const char *word, size_t at, uint32_t *ret_kinds, struct error *error)
{
    static const struct {
        const char *name;
        uint32_t kinds;
    } protocols[] = {
        {"tcp", TCP_KINDS},
        {"mptcp", TCP_KINDS},
        {"udp", SOCKET_KIND_BIT(SOCKET_UDP)},
        {"udplite", SOCKET_KIND_BIT(SOCKET_UDPLITE)},
        {"sctp", SOCKET_KIND_BIT(SOCKET_SCTP)},
    };
    if (word[at] == '\0')
        return 0;
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (strcasecmp(word + at + 1, protocols[i].name) == 0) {
            *ret_kinds = protocols[i].kinds;
            return 0;
        }
    return error_set_at(error, EINVAL, word, strlen(word), at + 1,
                        "behind a port and a slash stands tcp, mptcp, udp, udplite or sctp");
}

/* The ports that a service's name stands for. */
struct naming {
    uint16_t number;
    bool found, ambiguous;
};

static int name_found(void *user, const struct service *service)
{
    struct naming *naming = user;
    naming->ambiguous |= naming->found && naming->number != service->port.number;
    naming->number = service->port.number;
    naming->found = true;
    return 0;
}

static int read_name(const char *word, size_t length, struct sockets_port *port,
                     struct error *error)
{
    struct naming naming = {0};
    if (length == 0 || memchr(word, '*', length) || memchr(word, '?', length))
        return -ENOENT;
    service_walk(word, length, PROTOCOL_COUNT, name_found, &naming);
    if (!naming.found)
        return -ENOENT;
    if (naming.ambiguous)
        return error_set(error, EINVAL,
                         "'%.*s' stands for several ports: 'porthole lookup %.*s' shows them",
                         (int)length, word, (int)length, word);
    port->number = naming.number;
    return 0;
}

static int read_number(const char *word, size_t at, size_t end, struct sockets_port *port,
                       struct error *error)
{
    uint32_t number = 0;
    for (size_t i = at; i < end && number <= UINT16_MAX; i++)
        number = number * 10 + (uint32_t)(word[i] - '0');
    if (number == 0 || number > UINT16_MAX)
        return error_set_at(error, EINVAL, word, strlen(word), at, "ports go from 1 to 65535");
    port->number = (uint16_t)number;
    return 0;
}

int sockets_port_parse(const char *word, struct sockets_port *ret_port, struct error *error)
{
    struct sockets_port port = {0};
    const size_t end = number_length(word);
    int failed;
    if (sockets_port_is_number(word))
        failed = read_number(word, *word == ':', end, &port, error);
    else
        failed = read_name(word, end, &port, error);
    if (!failed)
        failed = read_protocol(word, end, &port.kinds, error);
    port.protocol = word + end;
    if (!failed)
        *ret_port = port;
    return failed;
}

int sockets_port_check(const struct sockets_port *port, const struct sockets_options *options,
                       struct error *error)
{
    static const char *const names[SOCKET_KINDS] = {
        [SOCKET_TCP] = "-t",         [SOCKET_MPTCP] = "-M",         [SOCKET_UDP] = "-u",
        [SOCKET_UDPLITE] = "-U",     [SOCKET_SCTP] = "-S",          [SOCKET_RAW] = "-w",
        [SOCKET_UNIX_STREAM] = "-x", [SOCKET_UNIX_DATAGRAM] = "-x", [SOCKET_UNIX_SEQPACKET] = "-x",
    };
    const uint32_t kinds = sockets_options_kinds(options);
    unsigned first = 0;
    if (kinds == 0 || port->kinds == 0 || (kinds & port->kinds))
        return 0;
    while (!(kinds & SOCKET_KIND_BIT(first)))
        first++;
    return error_set(error, EINVAL, "%s and %s exclude one another", names[first], port->protocol);
}

/* ---- the answer ---- */

void sockets_port_ask(const struct sockets_port *port, struct sockets *sockets)
{
    uint32_t kinds = port->kinds ? port->kinds : PORT_KINDS;
    const uint32_t wanted = sockets_options_kinds(sockets->options) & PORT_KINDS;
    if (wanted && !port->kinds) /* else the word says it more closely */
        kinds = wanted;
    if (kinds & TCP_KINDS)
        kinds |= TCP_KINDS;
    sockets->scope = SOCKETS_ALL;
    sockets->every_space = !sockets->options->replay;
    sockets->query = (struct diag_query){
        .kinds = kinds, .states = SOCKET_EVERY_STATE, .local_port = port->number};
}

/* The kind that is tried: one that can be used by anybody who asks. */
static enum socket_kind trial_kind(uint32_t kinds)
{
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        if (kinds & SOCKET_KIND_BIT(kind))
            return (enum socket_kind)kind;
    return SOCKET_TCP;
}

static struct port_question question_of(const struct sockets_port *port,
                                        const struct sockets *sockets)
{
    return (struct port_question){.port = port->number,
                                  .kinds = sockets->query.kinds,
                                  .limits = port->limits,
                                  .trial = port->trial,
                                  .trial_kind = port->trial_kind,
                                  .now = port->time,
                                  .incomplete = sockets->incomplete,
                                  .recorded = sockets->options->replay != NULL};
}

void sockets_port_try(struct sockets_port *port, const struct sockets *sockets)
{
    port->trial_kind = trial_kind(sockets->query.kinds);
    const struct port_question question = question_of(port, sockets);
    if (sockets->options->replay || sockets->options->json)
        return;
    port_limits_read(port->number, &port->limits);
    if (port_story_wants_trial(&question, &sockets->list))
        port_trial_make(port->trial_kind, port->number, &port->trial);
}

int sockets_port_tell(const struct sockets_port *port, const struct sockets *sockets,
                      struct buffer *buffer, enum sockets_port_answer *ret_answer,
                      struct error *error)
{
    const struct port_question question = question_of(port, sockets);
    struct port_story story;
    const int failed =
        port_story_make(&question, &sockets->list, sockets->has_owners ? &sockets->owners : NULL,
                        sockets_own_map(sockets), &story, error);
    if (failed)
        return failed;
    *ret_answer = port_story_is_taken(&story)     ? SOCKETS_PORT_TAKEN
                  : port_story_is_unknown(&story) ? SOCKETS_PORT_UNKNOWN
                                                  : SOCKETS_PORT_FREE;
    port_story_write(&story, buffer);
    port_story_release(&story);
    return buffer->failed ? error_set(error, ENOMEM, "out of memory") : 0;
}
