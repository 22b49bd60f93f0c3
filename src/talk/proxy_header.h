/* The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt): a header in front of a
 * connection that says who the client was. Pure functions. */
#pragma once

#include "base/buffer.h"
#include "talk/peer.h"

#include <sys/types.h>

/* What the header says. With `known` false (version 1's UNKNOWN, version 2's LOCAL, or a family
 * that is not the internet's) the addresses of the connection itself hold. */
struct proxy_header {
    bool known;
    struct peer source, destination;
};

/* Adds the header to `bytes`. `version` is 1 or 2. Peers that are not both of one internet family
 * are written as UNKNOWN; version 2 has Unix sockets too. */
void proxy_header_add(struct buffer *bytes, unsigned version, const struct proxy_header *header);

/* Reads a header of either version at the beginning of `bytes`, which are hostile. Returns its
 * length, 0 when more bytes are needed to tell, or -EPROTO with an error. Never needs more than
 * PROXY_HEADER_MAXIMUM bytes. Additions of version 2 (TLVs) are passed over; a CRC32c among them is
 * checked. */
#define PROXY_HEADER_MAXIMUM (16 + 65535)
ssize_t proxy_header_read(const void *bytes, size_t length, struct proxy_header *ret_header,
                          struct error *error);
