/* One run of `scan`: the loop, and everything that listens to it (results, sinks, checkpoint,
 * status). */
#pragma once

#include "cmd/scan_targets.h"

/* Runs the scan of `subject` as `options` say, from the checkpoint data `resumed` unless that is
 * NULL, and writes all outputs. `words` are the command line's, for headers and the checkpoint.
 * Says on stderr what went wrong; returns an exit status. */
struct checkpoint_data;
int scan_session_run(const struct command *command, const struct scan_command_options *options,
                     const struct scan_subject *subject, const struct checkpoint_data *resumed,
                     const char *const *words, size_t word_count);
