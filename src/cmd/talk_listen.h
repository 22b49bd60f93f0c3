/* Listening and answering, for `listen` and the classic names. */
#pragma once

#include "cmd/talk_session.h"

/* Does all of it. `words` are the operands. Returns the exit status. */
int talk_listen(const struct command *command, const struct talk_options *options, char **words,
                int count);

/* Sockets that were handed over (sd_listen_fds(3)): writes up to `maximum` descriptors and returns
 * how many there are. The environment no longer tells of them. */
size_t talk_inherited(int *descriptors, size_t maximum);
