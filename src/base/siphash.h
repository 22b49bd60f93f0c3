/* SipHash-2-4 (Aumasson and Bernstein 2012) of whole words: without libraries, because programs
 * inside the kernel (src/bpf) compute it as well. */
#pragma once

#include "base/random.h"

struct sip {
    uint64_t v[4];
};

static inline uint64_t sip_rotate(uint64_t value, unsigned by)
{
    return value << by | value >> (64 - by);
}

static inline void sip_round(struct sip *sip)
{
    uint64_t *v = sip->v;
    v[0] += v[1];
    v[1] = sip_rotate(v[1], 13) ^ v[0];
    v[0] = sip_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = sip_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = sip_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = sip_rotate(v[1], 17) ^ v[2];
    v[2] = sip_rotate(v[2], 32);
}

static inline struct sip sip_begin(const struct key *key)
{
    return (struct sip){{
        key->words[0] ^ UINT64_C(0x736f6d6570736575),
        key->words[1] ^ UINT64_C(0x646f72616e646f6d),
        key->words[0] ^ UINT64_C(0x6c7967656e657261),
        key->words[1] ^ UINT64_C(0x7465646279746573),
    }};
}

static inline void sip_add(struct sip *sip, uint64_t word)
{
    sip->v[3] ^= word;
    sip_round(sip);
    sip_round(sip);
    sip->v[0] ^= word;
}

/* `last`: the bytes behind the last whole word, below the length modulo 256 in the uppermost byte.
 */
static inline uint64_t sip_end(struct sip *sip, uint64_t last)
{
    sip_add(sip, last);
    sip->v[2] ^= 0xff;
    sip_round(sip);
    sip_round(sip);
    sip_round(sip);
    sip_round(sip);
    return sip->v[0] ^ sip->v[1] ^ sip->v[2] ^ sip->v[3];
}
