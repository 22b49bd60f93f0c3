/* An IPv4 or IPv6 address as a number with a family and, for link-local IPv6, an interface. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

__extension__ typedef unsigned __int128 uint128_t;

enum address_family {
    ADDRESS_NONE = 0,
    ADDRESS_IPV4 = 4,
    ADDRESS_IPV6 = 6,
};

struct address {
    uint128_t value; /* host order; IPv4 uses the low 32 bits */
    uint32_t scope;  /* interface index of a scoped IPv6 address, else 0 */
    enum address_family family;
};

#define ADDRESS_TEXT_SIZE 64 /* "ffff:…:255.255.255.255%interface" and its NUL */

/* The whole of the `length` bytes at `text` as one address: dotted quad, or RFC 4291 text with an
 * optional RFC 4007 zone ("fe80::1%eth0" or "fe80::1%2"). A zone's name is looked up in the kernel;
 * everything else is pure. IPv4-mapped IPv6 ("::ffff:192.0.2.1") gives the IPv4 address, because
 * that is where the kernel connects to. A link-local address may lack its zone. Returns 0 or
 * -EINVAL with an error that has the column. */
int address_parse(const char *text, size_t length, struct address *ret_address,
                  struct error *error);

/* RFC 5952 text; the zone is printed by name where the interface exists. Returns `text`. */
const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_SIZE]);

/* The same with a port: "192.0.2.1:80", "[2001:db8::1]:80". */
#define ENDPOINT_TEXT_SIZE (ADDRESS_TEXT_SIZE + 8)
const char *address_format_port(const struct address *address, uint16_t port,
                                char text[static ENDPOINT_TEXT_SIZE]);

/* Orders by family (IPv4 first), scope and value. Returns <0, 0 or >0. */
int address_compare(const struct address *one, const struct address *other);

bool address_equal(const struct address *one, const struct address *other);
bool address_is_loopback(const struct address *address);
bool address_is_link_local(const struct address *address);

unsigned address_bits(const struct address *address);  /* 32 or 128 */
uint128_t address_maximum(enum address_family family); /* the value with all bits set */

/* To and from the kernel's form. `port` is in host order. The first returns the length to pass to
 * connect(); the second returns false for a family other than AF_INET and AF_INET6, and turns
 * IPv4-mapped IPv6 into IPv4. `ret_port` may be NULL. */
socklen_t address_to_sockaddr(const struct address *address, uint16_t port,
                              struct sockaddr_storage *ret_sockaddr);
bool address_from_sockaddr(const struct sockaddr *sockaddr, struct address *ret_address,
                           uint16_t *ret_port);
