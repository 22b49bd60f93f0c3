/* A port alone: what is using it? */
#pragma once

#include "cmd/sockets_gather.h"

#include "base/buffer.h"
#include "local/port_limits.h"

struct sockets_port {
    uint16_t number;
    uint32_t kinds;       /* that the word names, as bits of enum socket_kind; 0: it names none */
    const char *protocol; /* as the word has it, "/tcp", or "" */

    uint64_t time; /* of the sockets: wall clock */

    /* What this machine's settings are, and what bind() says, where words are wanted. */
    struct port_limits limits;
    struct port_trial trial;
    enum socket_kind trial_kind;
};

/* Is the word a number, perhaps with a protocol? "8080", ":8080", "53/udp". */
bool sockets_port_is_number(const char *word);

/* Reads such a word, or the name of a service. Returns 0; -ENOENT, without an error, for a word
 * that is no service's name; or -EINVAL with an error. */
int sockets_port_parse(const char *word, struct sockets_port *ret_port, struct error *error);

/* Returns 0, or -EINVAL with an error: the options name kinds, and none of those that the word
 * names. */
int sockets_port_check(const struct sockets_port *port, const struct sockets_options *options,
                       struct error *error);

/* What to ask for. */
void sockets_port_ask(const struct sockets_port *port, struct sockets *sockets);

enum sockets_port_answer {
    SOCKETS_PORT_TAKEN, /* somebody who wants it cannot have it alone */
    SOCKETS_PORT_FREE,
    SOCKETS_PORT_UNKNOWN, /* nobody was seen, but not everything could be */
};

/* Asks for the rest, once the sockets were gathered. */
void sockets_port_try(struct sockets_port *port, const struct sockets *sockets);

/* Adds the answer, of what was gathered for it, to the buffer. Returns 0, or -ENOMEM with an error.
 */
int sockets_port_tell(const struct sockets_port *port, const struct sockets *sockets,
                      struct buffer *buffer, enum sockets_port_answer *ret_answer,
                      struct error *error);
