/* Listening and answering, for `listen` and the classic names. */
#pragma once

#include "cmd/talk_session.h"

/* Does all of it. `words` are the operands. Returns the exit status. */
int talk_listen(const struct command *command, const struct talk_options *options, char **words,
                int count);
