/* Randomness that must not be guessed, and the keyed hash that everything derived from a key uses.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct key {
    uint64_t words[2];
};

/* From the kernel; never fails on Linux 3.17 or later. */
uint64_t random_u64(void);

/* The two words of a key from one 64-bit seed, so that a seed that a user can type gives the whole
 * key (SplitMix64, Steele, Lea and Flood 2014). */
struct key key_from_seed(uint64_t seed);

/* SipHash-2-4 of `length` bytes (Aumasson and Bernstein 2012). */
uint64_t siphash(const struct key *key, const void *bytes, size_t length);

/* A cheap invertible mixing of all 64 bits (the finaliser of SplitMix64): for tables, not secrets.
 */
static inline uint64_t mix64(uint64_t value)
{
    value ^= value >> 30;
    value *= UINT64_C(0xbf58476d1ce4e5b9);
    value ^= value >> 27;
    value *= UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}
