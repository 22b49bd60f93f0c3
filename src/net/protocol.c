/* The names of the protocols that have ports. */
#include "net/port_set.h"

#include <string.h>

static const char *const names[PROTOCOL_COUNT] = {
    [PROTOCOL_TCP] = "tcp",
    [PROTOCOL_UDP] = "udp",
    [PROTOCOL_SCTP] = "sctp",
};

const char *protocol_name(enum protocol protocol)
{
    return names[protocol];
}

bool protocol_find(const char *name, size_t length, enum protocol *ret_protocol)
{
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        if (strlen(names[protocol]) == length && memcmp(names[protocol], name, length) == 0) {
            *ret_protocol = protocol;
            return true;
        }
    return false;
}
