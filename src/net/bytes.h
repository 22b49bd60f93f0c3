/* A cursor over bytes that somebody else wrote: it never reads past their end. A read that would do
 * so gives 0, takes nothing and is remembered, so that a row of reads needs only one check. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const unsigned char *at, *end;
    bool cut; /* something was asked for that is not there */
};

static inline struct bytes bytes_of(const void *start, size_t length)
{
    const unsigned char *at = start;
    return (struct bytes){.at = at, .end = length ? at + length : at};
}

static inline size_t bytes_left(const struct bytes *bytes)
{
    return (size_t)(bytes->end - bytes->at);
}

/* Whether `count` more bytes are there; from then on nothing is when they are not. */
static inline bool bytes_have(struct bytes *bytes, size_t count)
{
    if (bytes_left(bytes) >= count)
        return true;
    bytes->at = bytes->end;
    bytes->cut = true;
    return false;
}

static inline void bytes_skip(struct bytes *bytes, size_t count)
{
    if (bytes_have(bytes, count))
        bytes->at += count;
}

/* Leaves out what is after the next `count` bytes. */
static inline void bytes_limit(struct bytes *bytes, size_t count)
{
    if (bytes_have(bytes, count))
        bytes->end = bytes->at + count;
}

/* Numbers in network order. */

static inline uint8_t bytes_u8(struct bytes *bytes)
{
    return bytes_have(bytes, 1) ? *bytes->at++ : 0;
}

static inline uint16_t bytes_u16(struct bytes *bytes)
{
    uint16_t value = 0;
    if (bytes_have(bytes, sizeof(value))) {
        memcpy(&value, bytes->at, sizeof(value));
        bytes->at += sizeof(value);
    }
    return be16toh(value);
}

static inline uint32_t bytes_u32(struct bytes *bytes)
{
    uint32_t value = 0;
    if (bytes_have(bytes, sizeof(value))) {
        memcpy(&value, bytes->at, sizeof(value));
        bytes->at += sizeof(value);
    }
    return be32toh(value);
}

static inline uint64_t bytes_u64(struct bytes *bytes)
{
    uint64_t value = 0;
    if (bytes_have(bytes, sizeof(value))) {
        memcpy(&value, bytes->at, sizeof(value));
        bytes->at += sizeof(value);
    }
    return be64toh(value);
}
