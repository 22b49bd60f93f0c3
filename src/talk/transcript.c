/* What was said, as "data" records. Written by hand and not by the JSON library: this is done for
 * every read of a conversation, and the library takes neither a stretch of bytes nor gives one. */
#include "talk/transcript.h"

#include "base/clock.h"
#include "base/text.h"
#include "talk/transcript_text.h"

#include <inttypes.h>
#include <string.h>

/* Shown as it is in a JSON string. */
static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* Are these eight? Each term sets the high bit of a byte that is not. */
static bool are_plain(const unsigned char *bytes)
{
    const uint64_t ones = UINT64_MAX / 255, highs = ones << 7;
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    const uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\',
                   delete = word ^ ones * 0x7f;
    return ((word | (word - ones * 0x20) | (quote - ones) | (slash - ones) | (delete - ones)) &
            highs) == 0;
}

/* How many of the bytes from `at` on are plain. */
static size_t plain_length(const unsigned char *bytes, size_t at, size_t length)
{
    size_t end = at;
    while (length - end >= 8 && are_plain(bytes + end))
        end += 8;
    while (end < length && is_plain(bytes[end]))
        end++;
    return end - at;
}

bool transcript_is_text(const void *bytes, size_t length)
{
    const unsigned char *from = bytes;
    for (size_t at = 0; at < length;) {
        uint32_t point;
        size_t taken = plain_length(from, at, length);
        if (taken == 0) {
            taken = text_decode(from + at, length - at, &point);
            if (taken == 0 || (point >= 0x7f && point < 0xa0))
                return false;
            if (point < 0x20 && point != '\t' && point != '\r' && point != '\n')
                return false;
        }
        at += taken;
    }
    return true;
}

/* Writes "\uXXXX". Returns behind it. */
static char *put_unit(char *out, uint32_t unit)
{
    static const char digits[] = "0123456789ABCDEF";
    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *out++ = digits[unit >> shift & 0xf];
    return out;
}

/* The letter of a short escape, or 0. */
static char short_escape(uint32_t point)
{
    switch (point) {
    case '"':
    case '\\':
        return (char)point;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

/* Writes the escape of one character, at most 12 bytes; beyond 16 bits it is two surrogates
 * (RFC 8259 §7). Returns behind it. */
static char *put_escape(char *out, uint32_t point)
{
    const char letter = point < 0x80 ? short_escape(point) : 0;
    if (letter) {
        *out++ = '\\';
        *out++ = letter;
        return out;
    }
    if (point < 0x10000)
        return put_unit(out, point);
    out = put_unit(out, 0xd800 + ((point - 0x10000) >> 10));
    return put_unit(out, 0xdc00 + (point & 0x3ff));
}

void transcript_add_string(struct buffer *lines, const void *text, size_t length)
{
    const unsigned char *from = text;
    buffer_add_character(lines, '"');
    for (size_t at = 0; at < length;) {
        const size_t run = plain_length(from, at, length);
        char escapes[256]; /* runs of them in one go: text of other scripts is nothing else */
        char *end = escapes;
        buffer_add(lines, from + at, run);
        at += run;
        while (at < length && end - escapes <= (ptrdiff_t)sizeof(escapes) - 12 &&
               !is_plain(from[at])) {
            uint32_t point = 0;
            const size_t taken = text_decode(from + at, length - at, &point);
            end = put_escape(end, point);
            at += taken ? taken : 1;
        }
        buffer_add(lines, escapes, (size_t)(end - escapes));
    }
    buffer_add_character(lines, '"');
}

/* RFC 4648 §4. */
static void add_base64(struct buffer *lines, const unsigned char *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!buffer_reserve(lines, length / 3 * 4 + 4))
        return;
    char *out = lines->data + lines->length;
    for (size_t at = 0; at < length; at += 3, out += 4) {
        size_t left = length - at;
        uint32_t group = (uint32_t)bytes[at] << 16;
        group |= left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0;
        group |= left > 2 ? bytes[at + 2] : 0;
        out[0] = digits[group >> 18];
        out[1] = digits[group >> 12 & 0x3f];
        out[2] = left > 1 ? digits[group >> 6 & 0x3f] : '=';
        out[3] = left > 2 ? digits[group & 0x3f] : '=';
    }
    *out = '\0';
    lines->length = (size_t)(out - lines->data);
}

void transcript_add_data(struct buffer *lines, uint64_t wall, uint64_t number,
                         enum pair_direction direction, const void *bytes, size_t length)
{
    char time[CLOCK_TEXT_SIZE];
    buffer_add_format(lines, "{\"type\":\"data\",\"time\":\"%s\"", clock_format(wall, time));
    if (number)
        buffer_add_format(lines, ",\"connection\":%" PRIu64, number);
    buffer_add_format(lines, ",\"direction\":\"%s\",\"length\":%zu",
                      direction == PAIR_FORTH ? "sent" : "received", length);
    if (transcript_is_text(bytes, length)) {
        buffer_add_text(lines, ",\"text\":");
        transcript_add_string(lines, bytes, length);
    } else {
        buffer_add_text(lines, ",\"base64\":\"");
        add_base64(lines, bytes, length);
        buffer_add_character(lines, '"');
    }
    buffer_add_text(lines, "}\n");
}
