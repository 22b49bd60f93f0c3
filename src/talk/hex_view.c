/* Lines of bytes as `hexdump -C` has them. */
#include "talk/transcript.h"

#include <inttypes.h>

#define ROW 16

static const char digits[] = "0123456789abcdef";

/* One line of at most ROW bytes. */
static void add_row(struct buffer *lines, uint64_t offset, const char *mark,
                    const unsigned char *bytes, size_t count)
{
    char row[4 * ROW + 8];
    size_t used = 0;
    for (size_t i = 0; i < ROW; i++) {
        row[used++] = ' ';
        if (i == ROW / 2)
            row[used++] = ' ';
        row[used++] = i < count ? digits[bytes[i] >> 4] : ' ';
        row[used++] = i < count ? digits[bytes[i] & 0xf] : ' ';
    }
    row[used++] = ' ';
    row[used++] = ' ';
    buffer_add_format(lines, "%s%08" PRIx64 " ", mark, offset);
    buffer_add(lines, row, used);
    used = 0;
    row[used++] = '|';
    for (size_t i = 0; i < count; i++)
        row[used++] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
    row[used++] = '|';
    row[used++] = '\n';
    buffer_add(lines, row, used);
}

void hex_view_add(struct hex_view *view, enum pair_direction direction, const void *bytes,
                  size_t length, struct buffer *lines)
{
    const char *mark = !view->mark ? "" : direction == PAIR_FORTH ? "> " : "< ";
    for (size_t at = 0; at < length; at += ROW) {
        const size_t count = length - at < ROW ? length - at : ROW;
        add_row(lines, view->offset[direction] + at, mark, (const unsigned char *)bytes + at,
                count);
    }
    view->offset[direction] += length;
}
