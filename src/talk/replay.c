/* struct replay: one side of a conversation, taken out of its records. */
#include "talk/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A conversation that is being read. */
struct reading {
    struct replay *replay;
    uint64_t number; /* of the one that is wanted, once `found` */
    bool found;
    enum pair_direction said;
    struct buffer bytes; /* of one record */
};

static int add_step(struct replay *replay, const struct buffer *bytes)
{
    if (replay->count == replay->capacity) {
        const size_t capacity = replay->capacity ? 2 * replay->capacity : 64;
        struct replay_step *steps = reallocarray(replay->steps, capacity, sizeof(*steps));
        if (!steps)
            return -ENOMEM;
        replay->steps = steps;
        replay->capacity = capacity;
    }
    buffer_add(&replay->said, bytes->data, bytes->length);
    replay->steps[replay->count++] =
        (struct replay_step){.heard = replay->heard, .end = replay->said.length};
    return replay->said.failed ? -ENOMEM : 0;
}

static int take_line(struct reading *reading, const char *line, size_t length, struct error *error)
{
    struct transcript_data data;
    buffer_clear(&reading->bytes);
    int result = transcript_read(line, length, &data, &reading->bytes, error);
    if (result != 0)
        return result < 0 ? result : 0;
    if (!reading->found) {
        reading->number = data.number;
        reading->found = true;
    }
    if (data.number != reading->number)
        return 0;
    if (data.direction == reading->said)
        return add_step(reading->replay, &reading->bytes);
    reading->replay->heard += reading->bytes.length;
    return 0;
}

static int fault_in_line(size_t number, const struct error *fault, struct error *error)
{
    return error_set_at(error, fault->code, fault->text, strlen(fault->text), fault->column,
                        "line %zu: %s", number, fault->message);
}

static int take_lines(struct reading *reading, const char *lines, size_t length,
                      struct error *error)
{
    size_t number = 1, size;
    for (size_t at = 0; at < length; at += size + 1, number++) {
        struct error fault = {.column = ERROR_NO_COLUMN};
        const char *end = memchr(lines + at, '\n', length - at);
        size = end ? (size_t)(end - lines) - at : length - at;
        const int result = size ? take_line(reading, lines + at, size, &fault) : 0;
        if (result == -EINVAL)
            return fault_in_line(number, &fault, error);
        if (result < 0)
            return error_set(error, ENOMEM, "out of memory");
    }
    if (reading->replay->count == 0)
        return error_set(error, EINVAL, "nothing was %s in this record",
                         reading->said == PAIR_FORTH ? "sent" : "received");
    return 0;
}

int replay_read(struct replay *replay, const char *lines, size_t length, uint64_t number,
                enum pair_direction said, struct error *error)
{
    struct replay read = {0};
    struct reading reading = {
        .replay = &read, .number = number, .found = number != 0, .said = said};
    const int result = take_lines(&reading, lines, length, error);
    buffer_release(&reading.bytes);
    if (result < 0)
        replay_release(&read);
    else
        *replay = read;
    return result;
}

void replay_release(struct replay *replay)
{
    buffer_release(&replay->said);
    free(replay->steps);
    *replay = (struct replay){0};
}
