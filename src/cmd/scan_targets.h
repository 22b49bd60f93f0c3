/* What `scan` is to scan: from the words, files and flags of the command line to sets. */
#pragma once

#include "cmd/scan_options.h"
#include "scan/checkpoint.h"

struct scan_subject {
    struct address_set targets; /* sealed */
    struct port_set ports;
    struct name_set names; /* as typed, of the addresses found for them */
    unsigned unresolved;   /* names that had no address; a line about each went to stderr */
};

/* Returns 0, or -errno with an error that says which word of which file was wrong. A line on stderr
 * says how many addresses were left out because they are reserved. */
int scan_subject_init(struct scan_subject *subject, const struct command *command,
                      const struct scan_command_options *options, char *const *words, int count,
                      struct error *error);

/* A subject from a checkpoint, as it was. */
int scan_subject_restore(struct scan_subject *subject, const struct checkpoint_data *data,
                         struct error *error);

/* A scan of more than a million addresses begins only when it has been said how fast. Returns 0, or
 * -EINVAL with an error that says how long it takes. */
int scan_subject_check_width(const struct scan_subject *subject,
                             const struct scan_command_options *options, struct error *error);

void scan_subject_release(struct scan_subject *subject);
