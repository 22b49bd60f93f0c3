/* Fuzzing of transcripts: whatever bytes are said, the record gives them back; and whatever a line
 * holds, it is a record or it is explained. The first byte of the input chooses. */
#include "base/clock.h"
#include "talk/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* One line of printable ASCII. */
static void require_line(const struct buffer *line)
{
    require(!line->failed && line->length > 0);
    for (size_t i = 0; i + 1 < line->length; i++)
        require(line->data[i] >= 0x20 && line->data[i] < 0x7f);
    require(line->data[line->length - 1] == '\n');
}

static void write_and_read(const uint8_t *bytes, size_t length, uint64_t number)
{
    const uint64_t wall = (number & 0xff) * 86399999 * NANOSECONDS_PER_MILLISECOND;
    const enum pair_direction direction = number & 1 ? PAIR_FORTH : PAIR_BACK;
    struct buffer line = {0}, back = {0};
    struct transcript_data data;
    transcript_add_data(&line, wall, number, direction, bytes, length);
    require_line(&line);
    require(transcript_read(line.data, line.length, &data, &back, NULL) == 0);
    require(data.wall == wall && data.number == number && data.direction == direction);
    require(back.length == length && (length == 0 || memcmp(back.data, bytes, length) == 0));
    buffer_release(&line);
    buffer_release(&back);
}

static void read_and_write(const uint8_t *bytes, size_t length)
{
    struct buffer said = {0};
    struct transcript_data data = {0};
    struct error error = {0};
    int result = transcript_read((const char *)bytes, length, &data, &said, &error);
    require(result == 0 || result == 1 || result == -EINVAL);
    if (result == 0 && data.number <= INT64_MAX)
        write_and_read((const uint8_t *)said.data, said.length, data.number);
    if (result != 0)
        require(said.length == 0);
    if (result < 0)
        require(error.code == EINVAL && *error.message && error.column <= strlen(error.text));
    buffer_release(&said);
}

/* The same as a file of lines. */
static void replay(const uint8_t *bytes, size_t length, enum replay_side side)
{
    struct replay replay = {0};
    struct error error = {0};
    int result = replay_read(&replay, (const char *)bytes, length, 0, side, &error);
    require(result == 0 || result == -EINVAL);
    if (result == 0) {
        require(replay.count || replay.heard);
        for (size_t i = 0; i < replay.count; i++)
            require(replay.steps[i].end <= replay.said.length &&
                    replay.steps[i].heard <= replay.heard);
    } else {
        require(error.code == EINVAL && *error.message && replay.count == 0);
    }
    replay_release(&replay);
}

/* Texts that others choose cannot break out of the record either. */
static void add_around(const uint8_t *bytes, size_t length)
{
    struct buffer line = {0}, said = {0};
    struct transcript_data data;
    struct tls_description tls = {.count = 1};
    struct error error = {.code = EPROTO};
    memcpy(tls.chain[0].subject, bytes,
           length < sizeof(tls.chain[0].subject) ? length : sizeof(tls.chain[0].subject) - 1);
    memcpy(error.message, bytes,
           length < sizeof(error.message) ? length : sizeof(error.message) - 1);
    transcript_add_connection(&line, 0,
                              &(struct transcript_connection){
                                  .protocol = "tls", .name = tls.chain[0].subject, .tls = &tls});
    require_line(&line);
    require(transcript_read(line.data, line.length, &data, &said, NULL) == 1);
    buffer_clear(&line);
    transcript_add_end(&line, 0, &(struct transcript_end){.outcome = PAIR_FAILED, .error = &error});
    require_line(&line);
    require(transcript_read(line.data, line.length, &data, &said, NULL) == 1);
    buffer_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1)
        return 0;
    const uint8_t how = bytes[0];
    char *copy = malloc(length); /* ends where the input ends */
    require(copy);
    memcpy(copy, bytes + 1, --length);
    if (how == '{') /* the line itself, so that a corpus file can be one */
    {
        read_and_write(bytes, length + 1);
        replay(bytes, length + 1, REPLAY_DIALLED);
        replay(bytes, length + 1, REPLAY_ACCEPTED);
    } else if (how == '!')
        add_around((const uint8_t *)copy, length);
    else
        write_and_read((const uint8_t *)copy, length, how);
    free(copy);
    return 0;
}
