/* The ring of marks. */
#include "scan/sent_log.h"

#include <errno.h>
#include <stdlib.h>

int sent_log_init(struct sent_log *log)
{
    *log = (struct sent_log){.marks = calloc(SENT_LOG_MARKS, sizeof(*log->marks))};
    return log->marks ? 0 : -ENOMEM;
}

void sent_log_release(struct sent_log *log)
{
    free(log->marks);
    *log = (struct sent_log){0};
}

void sent_log_add(struct sent_log *log, unsigned pass, uint64_t position, uint64_t time)
{
    log->marks[log->count++ % SENT_LOG_MARKS] =
        (struct sent_mark){.position = position, .time = time, .pass = pass};
}

static const struct sent_mark *mark_at(const struct sent_log *log, uint64_t number)
{
    return &log->marks[number % SENT_LOG_MARKS];
}

static uint64_t oldest(const struct sent_log *log)
{
    return log->count > SENT_LOG_MARKS ? log->count - SENT_LOG_MARKS : 0;
}

uint64_t sent_log_time(const struct sent_log *log, unsigned pass, uint64_t position)
{
    uint64_t low = oldest(log),
             high = log->count; /* the last mark not after it is in [low, high) */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        const struct sent_mark *mark = mark_at(log, middle);
        if (mark->pass < pass || (mark->pass == pass && mark->position <= position))
            low = middle;
        else
            high = middle;
    }
    if (low == high)
        return 0;
    const struct sent_mark *mark = mark_at(log, low);
    return mark->pass == pass && mark->position <= position ? mark->time : 0;
}

uint64_t sent_log_position(const struct sent_log *log, unsigned pass, uint64_t time)
{
    uint64_t low = oldest(log),
             high = log->count; /* the first mark not before it is in [low, high] */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct sent_mark *mark = mark_at(log, middle);
        if (mark->pass < pass || (mark->pass == pass && mark->time < time))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == log->count || mark_at(log, low)->pass != pass)
        return UINT64_MAX;
    return mark_at(log, low)->position;
}
