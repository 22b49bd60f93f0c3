/* A set of ports as one bit each: 24 KiB in which port sets are built and changed. */
#pragma once

#include "net/port_set.h"

#define PORT_BITS_WORDS (65536 / 64)

struct port_bits {
    uint64_t words[PROTOCOL_COUNT][PORT_BITS_WORDS];
};

static inline bool port_bits_has(const struct port_bits *bits, struct port port)
{
    return bits->words[port.protocol][port.number / 64] >> port.number % 64 & 1;
}

static inline void port_bits_put(struct port_bits *bits, struct port port)
{
    bits->words[port.protocol][port.number / 64] |= UINT64_C(1) << port.number % 64;
}

/* Adds every port that the bits hold. Returns 0 or -ENOMEM. */
int port_set_add_bits(struct port_set *set, const struct port_bits *bits);
