/* A word that is being read, shared by the parsers of addresses and of targets: an address inside a
 * longer word is read in place, so that every complaint points into the word that the user typed.
 */
#pragma once

#include "net/address.h"

#include <errno.h>
#include <string.h>

struct reader {
    const char *text;    /* the whole word; not NUL-terminated */
    size_t length;       /* of the whole word */
    size_t at;           /* the next byte to read */
    size_t end;          /* where this reading ends, at most `length` */
    struct error *error; /* may be NULL */
};

/* Complains about byte `column` of the word. The value is -EINVAL. */
#define READER_FAULT(reader, column, ...)                                                          \
    error_set_at((reader)->error, EINVAL, (reader)->text, (reader)->length, (column), __VA_ARGS__)

static inline bool reader_is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* Whether `character` comes next. */
static inline bool reader_sees(const struct reader *reader, char character)
{
    return reader->at < reader->end && reader->text[reader->at] == character;
}

/* A reader of the part [at, end) of the same word. */
static inline struct reader reader_part(const struct reader *reader, size_t at, size_t end)
{
    struct reader part = *reader;
    part.at = at;
    part.end = end;
    return part;
}

/* The first `character` that is still to be read, or `end`. */
static inline size_t reader_find(const struct reader *reader, char character)
{
    if (reader->at >= reader->end)
        return reader->end;
    const char *found = memchr(reader->text + reader->at, character, reader->end - reader->at);
    return found ? (size_t)(found - reader->text) : reader->end;
}

/* How often `character` is still to be read. */
static inline size_t reader_count(const struct reader *reader, char character)
{
    size_t count = 0;
    for (size_t at = reader->at; at < reader->end; at++)
        count += reader->text[at] == character;
    return count;
}

/* Reads one decimal octet. Returns 0 or -EINVAL. */
int address_read_octet(struct reader *reader, uint8_t *ret_octet);

/* Reads everything up to the end as one address, as address_parse() does. Returns 0 or -EINVAL. */
int address_read(struct reader *reader, struct address *ret_address);

/* Whether an IPv6 address with this value means something only together with an interface. */
bool address_takes_zone(uint128_t value);
