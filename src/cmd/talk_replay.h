/* What this side of a conversation says: a recorded one's words (--replay), or standard input's. */
#pragma once

#include "cmd/talk_session.h"

/* Reads the file of --replay, if there is one, into talk->replay. Returns 0, or -errno with an
 * error that names the file; -EINVAL is about what it holds. */
int talk_replay_load(struct talk *talk, enum replay_side side, struct error *error);

/* The channel to be joined with `remote`, which hands what it hears to standard output. Returns 0,
 * or -errno after a line on stderr. */
int talk_local(struct talk *talk, const struct channel *remote, struct channel **ret_channel);
