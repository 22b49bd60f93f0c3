/* What the XDP link, which has a link of packet sockets in it, needs to know of that. */
#pragma once

#include "scan/link.h"

extern const struct link_class link_packet;

/* The descriptor that becomes readable when something came. */
int packet_descriptor(const struct link *link);
