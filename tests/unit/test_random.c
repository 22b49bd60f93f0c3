/* SipHash by its published vectors, seeds and the mixing function. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The key 00 01 … 0f of the SipHash paper (Aumasson and Bernstein 2012, appendix A). */
static const struct key paper_key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

/* The message of length n is 00 01 … n-1: 15 is the paper's own example, the others are of the
 * table that its authors publish. */
static void siphash_gives_the_published_values(void **state)
{
    (void)state;
    static const struct {
        size_t length;
        uint64_t hash;
    } vectors[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
        {2, UINT64_C(0x0d6c8009d9a94f5a)},  {3, UINT64_C(0x85676696d7fb7e2d)},
        {7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
        {15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)},
    };
    unsigned char message[64];
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_int_equal(siphash(&paper_key, message, vectors[i].length), vectors[i].hash);
}

/* Checkpoints are hashed wherever they lie in memory. */
static void siphash_needs_no_alignment(void **state)
{
    (void)state;
    unsigned char message[15], moved[15 + 8];
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (unsigned char)i;
    for (size_t offset = 0; offset < 8; offset++) {
        memcpy(moved + offset, message, sizeof(message));
        assert_int_equal(siphash(&paper_key, moved + offset, sizeof(message)),
                         UINT64_C(0xa129ca6149be45e5));
    }
}

static unsigned bits_that_differ(uint64_t one, uint64_t other)
{
    return (unsigned)__builtin_popcountll(one ^ other);
}

static void siphash_depends_on_every_bit(void **state)
{
    (void)state;
    unsigned char message[24] = {0};
    const uint64_t hash = siphash(&paper_key, message, sizeof(message));
    for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_in_range(bits_that_differ(siphash(&paper_key, message, sizeof(message)), hash), 12,
                        52);
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        struct key key = paper_key;
        key.words[bit / 64] ^= UINT64_C(1) << bit % 64;
        assert_in_range(bits_that_differ(siphash(&key, message, sizeof(message)), hash), 12, 52);
    }
    /* The length counts, not only the bytes. */
    assert_int_not_equal(siphash(&paper_key, message, 23), hash);
}

/* The first two numbers of SplitMix64 that its authors' program prints for the seed 0. */
static void a_seed_gives_splitmix64(void **state)
{
    (void)state;
    const struct key key = key_from_seed(0);
    assert_int_equal(key.words[0], UINT64_C(0xe220a8397b1dcdaf));
    assert_int_equal(key.words[1], UINT64_C(0x6e789e6aa1b965f4));
}

static uint64_t unmix64(uint64_t value)
{
    value ^= value >> 31 ^ value >> 62;
    value *= UINT64_C(0x319642b2d24d8ec3); /* the multipliers' inverses modulo 2^64 */
    value ^= value >> 27 ^ value >> 54;
    value *= UINT64_C(0x96de1b173f119089);
    return value ^ value >> 30 ^ value >> 60;
}

static void mixing_can_be_undone(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        assert_int_equal(unmix64(mix64(i)), i);
        assert_int_equal(unmix64(mix64(UINT64_C(1) << i)), UINT64_C(1) << i);
        assert_int_equal(unmix64(mix64(~i)), ~i);
    }
}

/* Each bit of a thousand numbers is set in about half of them (within six standard deviations). */
static void randomness_fills_all_bits(void **state)
{
    (void)state;
    unsigned set[64] = {0};
    for (unsigned i = 0; i < 1000; i++) {
        const uint64_t number = random_u64();
        for (unsigned bit = 0; bit < 64; bit++)
            set[bit] += (unsigned)(number >> bit & 1);
    }
    for (unsigned bit = 0; bit < 64; bit++)
        assert_in_range(set[bit], 405, 595);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_gives_the_published_values),
        cmocka_unit_test(siphash_needs_no_alignment),
        cmocka_unit_test(siphash_depends_on_every_bit),
        cmocka_unit_test(a_seed_gives_splitmix64),
        cmocka_unit_test(mixing_can_be_undone),
        cmocka_unit_test(randomness_fills_all_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
