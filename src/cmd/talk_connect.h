/* Connecting and talking, for `connect` and the classic names. */
#pragma once

#include "cmd/talk_session.h"

/* Does all of it. `words` are the operands. Returns the exit status. */
int talk_connect(const struct command *command, const struct talk_options *options, char **words,
                 int count);
