/* The lines of a chat. */
#include "talk/hub_chat.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define NAMED 50 /* of those who are there already */

/* A tab moves nothing but the text behind it, and programs are full of them. */
static void add_escaped(struct buffer *said, const char *bytes, size_t length)
{
    char escaped[4 * 256 + 1];
    while (length) {
        const char *tab = memchr(bytes, '\t', length);
        size_t part = tab ? (size_t)(tab - bytes) : length;
        while (part) {
            size_t some = part;
            if (some > 256) {
                some = 256;
                while (some > 253 && ((unsigned char)bytes[some] & 0xc0) == 0x80)
                    some--; /* not within a character */
            }
            buffer_add(said, escaped, text_escape(bytes, some, escaped, sizeof(escaped)));
            bytes += some;
            length -= some;
            part -= some;
        }
        if (tab) {
            buffer_add_character(said, '\t');
            bytes++;
            length--;
        }
    }
}

static void add_line(struct buffer *said, uint64_t number, const char *bytes, size_t length)
{
    if (length && bytes[length - 1] == '\r')
        length--;
    buffer_add_format(said, "<user%" PRIu64 "> ", number);
    add_escaped(said, bytes, length);
    buffer_add_character(said, '\n');
}

/* As much of a line that is too long as makes a piece. */
static size_t piece_of(const char *bytes)
{
    size_t length = HUB_LINE_SIZE;
    while (length > HUB_LINE_SIZE - 3 && ((unsigned char)bytes[length] & 0xc0) == 0x80)
        length--;
    return length;
}

void hub_chat_add(struct buffer *rest, uint64_t number, const char *bytes, size_t length,
                  struct buffer *said)
{
    while (length) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        buffer_add(rest, bytes, part);
        while (rest->length > HUB_LINE_SIZE) {
            size_t piece = piece_of(rest->data);
            add_line(said, number, rest->data, piece);
            buffer_consume(rest, piece);
        }
        if (end) {
            add_line(said, number, rest->data, rest->length);
            buffer_clear(rest);
            part++;
        }
        bytes += part;
        length -= part;
    }
    if (!rest->length)
        buffer_release(rest); /* thousands who are silent shall cost nothing */
}

void hub_chat_end(struct buffer *rest, uint64_t number, struct buffer *said)
{
    if (rest->length)
        add_line(said, number, rest->data, rest->length);
    buffer_release(rest);
}

static void add_peer(struct buffer *said, const struct peer *peer)
{
    char text[PEER_TEXT_SIZE];
    peer_format(peer, text);
    add_escaped(said, text, strlen(text));
}

void hub_chat_came(uint64_t number, const struct peer *peer, struct buffer *said)
{
    buffer_add_text(said, "<announce> ");
    add_peer(said, peer);
    buffer_add_format(said, " is connected as <user%" PRIu64 ">.\n", number);
}

void hub_chat_went(uint64_t number, struct buffer *said)
{
    buffer_add_format(said, "<announce> <user%" PRIu64 "> is disconnected.\n", number);
}

void hub_chat_present(size_t index, size_t count, uint64_t number, const struct peer *peer,
                      struct buffer *said)
{
    if (index < NAMED) {
        buffer_add_text(said, index == 0 ? "<announce> already connected: " : ", ");
        add_peer(said, peer);
        buffer_add_format(said, " as <user%" PRIu64 ">", number);
    } else if (index == NAMED) {
        buffer_add_format(said, ", and %zu more", count - NAMED);
    }
    if (index + 1 == count)
        buffer_add_text(said, ".\n");
}

void hub_chat_nobody(struct buffer *said)
{
    buffer_add_text(said, "<announce> already connected: nobody.\n");
}
