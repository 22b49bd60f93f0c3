/* Words and numbers for people, and the parsing of the same. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_NUMBER_SIZE 32

/* 1234567 as "1,234,567". */
const char *text_grouped(uint64_t number, char text[static TEXT_NUMBER_SIZE]);

/* Nanoseconds with a unit and three significant digits: "85 µs" is "85us", "1.25ms", "12.3s",
 * "4m10s", "2h05m". */
const char *text_duration(uint64_t nanoseconds, char text[static TEXT_NUMBER_SIZE]);

/* The whole of `text` as a decimal number, with an optional suffix k, M or G.
 * Returns 0, or -EINVAL / -ERANGE with an error that has the column. */
int text_parse_number(const char *text, uint64_t *ret_number, struct error *error);

/* A size in bytes: "4096", "64K", "512M", "2G", "1T", each 1024 times the one before it; "GiB" is
 * the same as "G". */
int text_parse_size(const char *text, uint64_t *ret_bytes, struct error *error);

/* The same as text: "64K" when it is a whole number of them. */
const char *text_size(uint64_t bytes, char text[static TEXT_NUMBER_SIZE]);

/* "250ms", "2s", "1.5m", "1h"; a bare number is seconds. Units: ns, us, ms, s, m, h. */
int text_parse_duration(const char *text, uint64_t *ret_nanoseconds, struct error *error);

/* "99.9" or "99.9%"; no bounds are checked. */
int text_parse_percent(const char *text, double *ret_percent, struct error *error);

/* The length of the UTF-8 character at the start of `length` bytes, and its code point; 0 when
 * there is none. */
size_t text_decode(const void *text, size_t length, uint32_t *ret_point);

/* Copies `length` hostile bytes as printable UTF-8 into a NUL-terminated `escaped`: control
 * characters, DEL, C1 controls, bidirectional overrides and invalid UTF-8 become \xNN, a backslash
 * becomes "\\". At most 4 × length + 1 bytes are written; `size` bytes are available and the result
 * is cut at a character. Returns the length of the result. */
size_t text_escape(const void *bytes, size_t length, char *escaped, size_t size);

/* Is `text` all of what a pattern stands for: "*" any run, "?" any one byte? ASCII case does not
 * matter. */
bool text_matches(const char *pattern, size_t pattern_length, const char *text, size_t length);

/* How many edits lie between two words, for "did you mean": letters that are missing, too many or
 * other ones, and neighbours that have changed places. Words longer than 63 characters compare as
 * infinitely far apart. */
unsigned text_edits(const char *one, const char *other);

/* The candidate nearest to a mistyped word. Set `word` and leave the rest zero; after the offers
 * `candidate` is what to suggest, or "" when nothing offered is near enough to be meant. */
struct text_nearest {
    const char *word;
    char candidate[64];
    unsigned edits;
};

void text_nearest_offer(struct text_nearest *nearest, const char *candidate, size_t length);
