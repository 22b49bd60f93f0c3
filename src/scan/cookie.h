/* The cookie of a probe: a keyed hash of its addresses and ports (RFC 6528 makes initial sequence
 * numbers like that). Without libraries, because it is also computed inside the kernel (src/bpf).
 */
#pragma once

#include "base/siphash.h"

static inline uint64_t cookie_ports(uint16_t source_port, uint16_t port)
{
    return (uint64_t)source_port << 16 | port;
}

static inline uint32_t cookie_ipv4(const struct key *key, uint32_t source, uint32_t to,
                                   uint16_t source_port, uint16_t port)
{
    struct sip sip = sip_begin(key);
    sip_add(&sip, (uint64_t)source << 32 | to);
    sip_add(&sip, cookie_ports(source_port, port));
    return (uint32_t)sip_end(&sip, UINT64_C(16) << 56);
}

/* Addresses as two words, the first of which holds the first eight bytes. */
static inline uint32_t cookie_ipv6(const struct key *key, const uint64_t source[2],
                                   const uint64_t to[2], uint16_t source_port, uint16_t port)
{
    struct sip sip = sip_begin(key);
    sip_add(&sip, source[0]);
    sip_add(&sip, source[1]);
    sip_add(&sip, to[0]);
    sip_add(&sip, to[1]);
    sip_add(&sip, cookie_ports(source_port, port));
    return (uint32_t)sip_end(&sip, UINT64_C(40) << 56);
}
