/* Kernel randomness, key derivation and SipHash-2-4. */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>

uint64_t random_u64(void)
{
    uint64_t value = 0;
    unsigned char *at = (unsigned char *)&value;
    size_t left = sizeof(value);
    while (left > 0) {
        ssize_t got = getrandom(at, left, 0);
        if (got > 0) {
            at += got;
            left -= (size_t)got;
        }
    }
    return value;
}

struct key key_from_seed(uint64_t seed)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    return (struct key){{mix64(seed + step), mix64(seed + 2 * step)}};
}

static uint64_t load_little_endian(const unsigned char *bytes, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

uint64_t siphash(const struct key *key, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    struct sip sip = sip_begin(key);
    uint64_t last = (uint64_t)length << 56;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        sip_add(&sip, le64toh(word));
    }
    return sip_end(&sip, last | load_little_endian(at, length));
}
