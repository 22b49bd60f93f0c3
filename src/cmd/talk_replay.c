/* --replay: what this side says comes out of a file. */
#include "cmd/talk_replay.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_LIMIT ((size_t)1 << 30)

static void name_file(struct error *error, const char *path)
{
    const struct error fault = *error;
    snprintf(error->message, sizeof(error->message), "%.120s: %.250s",
             strcmp(path, "-") == 0 ? "standard input" : path, fault.message);
}

int talk_replay_load(struct talk *talk, enum replay_side side, struct error *error)
{
    const char *path = talk->options->replay;
    struct buffer text = {0};
    if (!path)
        return 0;
    int failed = file_read(path, FILE_LIMIT, &text, error);
    if (!failed) {
        failed = replay_read(&talk->replay, text.data, text.length, 0, side, error);
        if (failed)
            name_file(error, path);
    }
    buffer_release(&text);
    return failed;
}

int talk_local(struct talk *talk, const struct channel *remote, struct channel **ret_channel)
{
    struct channel *standard;
    int failed = talk_stdio(talk, &standard);
    if (failed || !talk->options->replay) {
        if (!failed)
            *ret_channel = standard;
        return failed;
    }
    failed = channel_replay_new(talk->loop, &talk->replay, remote->messages, standard, ret_channel);
    if (failed) {
        channel_free(standard, true);
        command_warn(talk->command, "out of memory");
    }
    return failed;
}
