/* struct replay: one side of a conversation, taken out of its records. */
#include "talk/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A conversation that is being read. */
struct reading {
    struct replay *replay;
    uint64_t number; /* of the one that is wanted */
    bool begun;      /* something of it was read */
    bool over;       /* another one with its number has begun: two files in one */
    enum replay_side side;
    enum pair_direction said; /* how what that side said is recorded */
    struct buffer bytes;      /* of one record */
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

/* Whose words are "sent" depends on who wrote the record. */
static void take_role(struct reading *reading, const struct transcript_role *role)
{
    const enum replay_side recorder = role->accepted ? REPLAY_ACCEPTED : REPLAY_DIALLED;
    if (role->number != reading->number)
        return;
    if (reading->begun)
        reading->over = true;
    else
        reading->said = recorder == reading->side ? PAIR_FORTH : PAIR_BACK;
}

static int take_data(struct reading *reading, const struct transcript_data *data)
{
    if (data->number != reading->number || reading->over)
        return 0;
    reading->begun = true;
    if (data->direction == reading->said)
        return add_step(reading->replay, &reading->bytes);
    reading->replay->heard += reading->bytes.length;
    return 0;
}

static int take_line(struct reading *reading, const char *line, size_t length, struct error *error)
{
    struct transcript_data data;
    struct transcript_role role;
    buffer_clear(&reading->bytes);
    int result = transcript_read(line, length, &data, &reading->bytes, error);
    if (result == 0)
        return take_data(reading, &data);
    if (result > 0)
        result = transcript_read_role(line, length, &role, error);
    if (result == 0)
        take_role(reading, &role);
    return result < 0 ? result : 0;
}

/* The number of the first conversation in which something is said. Returns 1 when it is known. */
static int find_number(struct reading *reading, const char *line, size_t length,
                       struct error *error)
{
    struct transcript_data data;
    buffer_clear(&reading->bytes);
    const int result = transcript_read(line, length, &data, &reading->bytes, error);
    if (result == 0)
        reading->number = data.number;
    return result < 0 ? result : result == 0;
}

static int fault_in_line(size_t number, const struct error *fault, struct error *error)
{
    return error_set_at(error, fault->code, fault->text, strlen(fault->text), fault->column,
                        "line %zu: %s", number, fault->message);
}

/* Hands each line to take(), until that returns 1 or -errno. */
static int for_each_line(struct reading *reading, const char *lines, size_t length,
                         int (*take)(struct reading *reading, const char *line, size_t length,
                                     struct error *error),
                         struct error *error)
{
    size_t number = 1, size;
    int result = 0;
    for (size_t at = 0; at < length && result == 0; at += size + 1, number++) {
        struct error fault = {.column = ERROR_NO_COLUMN};
        const char *end = memchr(lines + at, '\n', length - at);
        size = end ? (size_t)(end - lines) - at : length - at;
        result = size ? take(reading, lines + at, size, &fault) : 0;
        if (result == -EINVAL)
            return fault_in_line(number, &fault, error);
        if (result < 0)
            return error_set(error, ENOMEM, "out of memory");
    }
    return result;
}

int replay_read(struct replay *replay, const char *lines, size_t length, uint64_t number,
                enum replay_side side, struct error *error)
{
    struct replay read = {0};
    struct reading reading = {.replay = &read, .number = number, .side = side, .said = PAIR_FORTH};
    int result = number ? 0 : for_each_line(&reading, lines, length, find_number, error);
    if (result >= 0)
        result = for_each_line(&reading, lines, length, take_line, error);
    if (result == 0 && read.count == 0 && read.heard == 0)
        result = error_set(error, EINVAL, "nothing was said in this record");
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
