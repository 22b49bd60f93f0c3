/* Who could reach a listening socket, by its bind address and this machine's interfaces. Firewalls
 * are not looked at. */
#pragma once

#include "base/buffer.h"
#include "local/socket.h"

/* Linux takes packets to any of its addresses on any interface (the weak host model of RFC 1122),
 * and the addresses of a VRF are on other interfaces. So a wildcard that is bound to an interface
 * stays on the link only where no address is in use that is not link-local, on whatever interface.
 */
enum exposure {
    EXPOSURE_LOOPBACK,   /* this machine alone */
    EXPOSURE_LINK,       /* neighbours on one link, with link-local addresses */
    EXPOSURE_ADDRESS,    /* whoever reaches that one address, or that one interface */
    EXPOSURE_EVERYWHERE, /* a wildcard address: every interface */
};

/* The interfaces and addresses of the network namespace that the calling thread is in. */
struct exposure_map;
int exposure_map_new(struct exposure_map **ret_map, struct error *error);
void exposure_map_free(struct exposure_map *map);

/* The map as bytes, and from bytes that may be anything, in the byte order of this machine. The
 * second returns 0, -EBADMSG or -ENOMEM, without an error. */
void exposure_map_pack(const struct exposure_map *map, struct buffer *buffer);
int exposure_map_unpack(const char *bytes, size_t length, struct exposure_map **ret_map);

/* Of an interface, as long as the map is there; NULL when it was not there. */
const char *exposure_interface(const struct exposure_map *map, uint32_t index);

/* `ret_interface` names the interface, where it is one, or is "". A wildcard where only loopback is
 * up is EXPOSURE_LOOPBACK. Unix sockets are, too. Without a map (NULL) interfaces count as
 * any. */
enum exposure exposure_of(const struct exposure_map *map, const struct socket_entry *entry,
                          char ret_interface[static 16]);
const char *exposure_words(enum exposure exposure); /* "loopback only", "this link only", … */
