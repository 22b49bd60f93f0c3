/* Which technique a scan uses: the one that was asked for, by its name or by a link, the one that a
 * resumed scan was begun with, or the best that this process has the rights for. */
#pragma once

#include "cmd/scan_options.h"
#include "scan/checkpoint.h"

/* Puts the technique into `options`, where there is one only when it was asked for. Without the
 * right to send raw packets a scan that asked for none goes through sockets, after a line on
 * stderr. `resumed` is NULL for a new scan. Returns 0, or -errno with an error that says what to
 * do. */
int scan_technique_choose(const struct command *command, struct scan_command_options *options,
                          const struct checkpoint_data *resumed, struct error *error);

/* Whether a scan with this technique can use this link, a word of --link; either may be NULL. */
bool scan_technique_fits(const struct prober_class *technique, const char *link);
