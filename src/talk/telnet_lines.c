/* Line ends to telnet's form and back. */
#include "talk/telnet_lines.h"

#include <string.h>

#define IAC '\xff'

/* ---- what is sent ---- */

void telnet_lines_end_sent(struct telnet_lines *lines, struct buffer *out)
{
    if (lines->sent_cr)
        buffer_add_character(out, '\0');
    lines->sent_cr = false;
}

static bool is_plain(const struct telnet_lines *lines, bool binary, char byte)
{
    return byte != IAC && (binary || (byte != '\r' && (lines->raw || byte != '\n')));
}

/* One byte that is not itself on the wire. */
static void send_special(struct telnet_lines *lines, char byte, struct buffer *out)
{
    if (byte == IAC) {
        buffer_add(out, "\xff\xff", 2);
        return;
    }
    buffer_add_character(out, '\r');
    if (byte == '\n')
        buffer_add_character(out, '\n');
    lines->sent_cr = byte == '\r';
    if (lines->raw) /* a key: nothing belongs to it */
        telnet_lines_end_sent(lines, out);
}

void telnet_lines_send(struct telnet_lines *lines, bool binary, const char *bytes, size_t length,
                       struct buffer *out)
{
    const char *end = bytes + length;
    while (bytes < end) {
        if (lines->sent_cr && *bytes == '\n') {
            buffer_add_character(out, *bytes++);
            lines->sent_cr = false;
            continue;
        }
        telnet_lines_end_sent(lines, out);
        const char *run = bytes;
        while (bytes < end && is_plain(lines, binary, *bytes))
            bytes++;
        buffer_add(out, run, (size_t)(bytes - run));
        if (bytes < end)
            send_special(lines, *bytes++, out);
    }
}

/* ---- what is received ---- */

void telnet_lines_end_received(struct telnet_lines *lines, struct buffer *in)
{
    if (lines->received_cr && !lines->raw)
        buffer_add_character(in, '\r');
    lines->received_cr = false;
}

/* What the byte behind a CR says of it. Returns whether it has no meaning of its own. */
static bool receive_after_cr(struct telnet_lines *lines, char byte, struct buffer *in)
{
    lines->received_cr = false;
    if (lines->raw)
        return byte == '\0';
    buffer_add_character(in, byte == '\n' ? '\n' : '\r');
    return byte == '\n' || byte == '\0';
}

void telnet_lines_receive(struct telnet_lines *lines, bool binary, const char *bytes, size_t length,
                          struct buffer *in)
{
    if (binary) {
        telnet_lines_end_received(lines, in);
        buffer_add(in, bytes, length);
        return;
    }
    const char *end = bytes + length;
    while (bytes < end) {
        if (lines->received_cr) {
            bytes += receive_after_cr(lines, *bytes, in);
            continue;
        }
        const char *cr = memchr(bytes, '\r', (size_t)(end - bytes));
        lines->received_cr = cr != NULL;
        const char *run_end = !cr ? end : lines->raw ? cr + 1 : cr;
        buffer_add(in, bytes, (size_t)(run_end - bytes));
        bytes = cr ? cr + 1 : end;
    }
}
