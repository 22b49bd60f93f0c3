/* What was said, as "data" records. Written by hand and not by the JSON library: this is done for
 * every read of a conversation, and the library takes neither a stretch of bytes nor gives one. */
#include "talk/transcript.h"

#include "base/clock.h"
#include "base/text.h"
#include "talk/transcript_text.h"

#include <inttypes.h>

/* Shown as it is in a JSON string. */
static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* How many of the bytes from `at` on are plain. */
static size_t plain_length(const unsigned char *bytes, size_t at, size_t length)
{
    size_t end = at;
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

/* Beyond 16 bits as two surrogates (RFC 8259 §7). */
static void add_escape(struct buffer *lines, uint32_t point)
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(letters); i += 2) {
        if (point == (unsigned char)letters[i]) {
            buffer_add(lines, (char[]){'\\', letters[i + 1]}, 2);
            return;
        }
    }
    if (point >= 0x10000) {
        buffer_add_format(lines, "\\u%04" PRIX32, 0xd800 + ((point - 0x10000) >> 10));
        point = 0xdc00 + (point & 0x3ff);
    }
    buffer_add_format(lines, "\\u%04" PRIX32, point);
}

void transcript_add_string(struct buffer *lines, const void *text, size_t length)
{
    const unsigned char *from = text;
    buffer_add_character(lines, '"');
    for (size_t at = 0; at < length;) {
        uint32_t point = 0;
        size_t taken = plain_length(from, at, length);
        if (taken > 0) {
            buffer_add(lines, from + at, taken);
        } else {
            taken = text_decode(from + at, length - at, &point);
            add_escape(lines, point);
        }
        at += taken ? taken : 1;
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
