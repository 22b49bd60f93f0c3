/* The words that name targets: addresses, CIDR blocks, ranges, octet patterns and host names. */
#pragma once

#include "net/address_set.h"

enum target_kind {
    TARGET_ADDRESSES, /* the word's addresses were added to the set */
    TARGET_NAME,      /* a host name (RFC 1123 syntax), to be resolved by the caller */
};

/* Reads one word of `length` bytes, without blanks: "192.0.2.1", "2001:db8::1", "fe80::1%eth0",
 * "192.0.2.0/24", "2001:db8::/120", "10.0.0.1-10.0.0.50", "10.0.0.1-50" (last octet),
 * "2001:db8::1-2001:db8::ff", "10.0-3.1.1-254" (each octet a number, a range, "*" or a list such as
 * "1,5,9-12"), or a host name. Bits of a CIDR block below its prefix are ignored, as nmap does.
 * The prefix follows the zone ("fe80::%eth0/120", RFC 4007 §11.7); the end of a range takes the
 * zone of its start. A block or range of IPv4-mapped IPv6 addresses is added as IPv4; a larger one,
 * such as "::/0", is added without them. Pure but for the interface name of a zone.
 *
 * Returns 0 with `ret_kind` set, -EINVAL with an error that has the column, -E2BIG when an octet
 * pattern falls apart into more than 65,536 ranges, or -ENOMEM. `set` is unchanged on failure. */
int target_parse(const char *text, size_t length, struct address_set *set,
                 enum target_kind *ret_kind, struct error *error);

/* Called for every word of a target file; `line` counts from 1. A non-zero return ends the reading
 * and is returned. The word is not NUL-terminated and lives as long as the text. */
typedef int target_word_fn(void *user, const char *word, size_t length, unsigned line,
                           struct error *error);

/* Splits a target or exclusion file's text into words at blanks, line ends (LF, CRLF) and, outside
 * octet lists, nowhere else; "#" starts a comment that ends with the line. A UTF-8 byte order mark
 * at the start is skipped. Pure.
 * Returns 0, what `word` returned, or -EINVAL with the line in the message for a NUL or other
 * control byte (a binary file) or a word longer than 255 bytes. */
int target_split(const char *text, size_t length, target_word_fn *word, void *user,
                 struct error *error);
