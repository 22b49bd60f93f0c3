/* HOST, PORT and HOST:PORT inside a longer word: what endpoints and proxies have in common. A fault
 * points into the whole word. */
#pragma once

#include "net/reader.h"
#include "net/service.h"

/* Everything up to the end as one host: an address, as address_parse() has it, or a name, for which
 * the address's family is ADDRESS_NONE. A name is what RFC 1123 §2.1 allows, and underscores; it
 * never reads as a number, as "0x7f.1" would. Returns 0 or -EINVAL. */
int host_read(struct reader *reader, struct address *ret_address);

/* Everything up to the end as one port: a number, or the name of a service of this protocol. 0 is
 * taken only with `zero`. Returns 0 or -EINVAL. */
int port_read(struct reader *reader, enum protocol protocol, bool zero, uint16_t *ret_port);

/* The parts of "HOST:PORT", "[IPv6]:PORT", "HOST", "[IPv6]" and ":PORT". */
struct host_port {
    struct reader host; /* without brackets; perhaps nothing */
    struct reader port; /* what is behind the colon; perhaps nothing */
    bool colon;         /* there was one */
    bool brackets;
};

/* Divides everything up to the end; nothing of the parts is checked, but that brackets hold an IPv6
 * address. Returns 0 or -EINVAL. */
int host_port_split(const struct reader *reader, struct host_port *ret_parts);
