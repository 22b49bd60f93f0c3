/* What the verb `get` and the classic name `curl` share: both fill in these options, each from a
 * table of its own, and the rest is the same. */
#pragma once

#include "base/output.h"
#include "cmd/command.h"
#include "talk/get.h"

#include <stdio.h>

struct get_given {
    struct common_options common;
    struct get_options get;
    struct buffer data;         /* of -d and its like */
    struct option_list outputs; /* -o FILE and -O, in order, one for each URL; NULL is -O */
    struct option_list urls;    /* --url */
    const char *format;         /* -w */
    const char *headers_file;   /* -D */
    unsigned verbose;
    bool include; /* the headers go where the body goes */
    bool silent;
    bool show_error;
    bool fail_early;
    bool records;   /* --json of get */
    bool json_data; /* --json of curl */
    bool nothing;   /* accepted: it is so anyway */
    bool classic;   /* curl's statuses and words */
};

#define GET_FIELD(name) offsetof(struct get_given, name)

/* Of OPTION_CALL rows; they go by the name that was typed. */
int get_set_data(void *options, const char *name, const char *value, struct error *error);
int get_set_output(void *options, const char *name, const char *value, struct error *error);
int get_set_version(void *options, const char *name, const char *value, struct error *error);
int get_set_auth(void *options, const char *name, const char *value, struct error *error);
int get_set_redirects(void *options, const char *name, const char *value, struct error *error);

/* Parses argv into `given`, whose defaults are set, and does it. Returns an exit status. */
int get_run(const struct command *command, struct get_given *given, int argc, char **argv);

/* ---- what is shown, in get_show.c ---- */

struct get_show {
    const struct get_given *given;
    bool terminal;       /* standard error is one */
    bool meter;          /* progress is shown */
    bool meter_shown;    /* and stands in the line */
    uint64_t began;      /* monotonic, of this URL */
    uint64_t meter_last; /* monotonic */
};

void get_show_line(struct get_show *show, enum get_line kind, const char *line, size_t length);
void get_show_progress(struct get_show *show, uint64_t received, uint64_t receive_total,
                       uint64_t sent, uint64_t send_total);
void get_show_clear(struct get_show *show); /* the line of the progress */

/* Where it leads, and how long it took, where that is wanted. */
void get_show_exchange(struct get_show *show, const struct get_exchange *exchange);

/* One record on `stream`. Returns 0 or -ENOMEM. */
int get_show_record(FILE *stream, const struct get_exchange *exchange);
