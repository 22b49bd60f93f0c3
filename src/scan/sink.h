/* An output format. A sink is one file in src/sink and one row in src/sink/sink.def; everything
 * about it but the line of the help stands in its class.
 *
 * All calls come from the scan's own thread, in the order start, port and error as they are found,
 * finish. Text is added to sink->output->pending and never written by the sink itself. */
#pragma once

#include "base/output.h"
#include "scan/record.h"
#include "scan/results.h"

struct sink_options {
    bool open_only;   /* --open: nothing about ports that are not possibly open */
    bool reason;      /* --reason: say why in formats that leave it out otherwise */
    bool colour;      /* ANSI colours, for a terminal */
    unsigned verbose; /* -v */
};

struct sink {
    const struct sink_class *class;
    struct output *output;
    struct sink_options options;
    struct scan_start start; /* as passed to start() */
    void *state;             /* of the class; freed by release() */
};

struct sink_class {
    const char *name;     /* "json": the long option "--json" and the word in "-o FORMAT:FILE" */
    const char *suffixes; /* of files, separated by blanks: ".jsonl .json" */
    bool whole;           /* only the finished document is valid, so files are renamed into place */

    /* Any of these may be NULL. They return 0 or -ENOMEM. */
    int (*start)(struct sink *sink, const struct scan_start *start);
    int (*port)(struct sink *sink,
                const struct port_record *record); /* every decided port, silent
                                                      ones at the end; not called
                                                      for those that are not
                                                      possibly open with --open */
    int (*error)(struct sink *sink, const struct error_record *record);
    int (*finish)(struct sink *sink, const struct results *results,
                  const struct scan_summary *summary);
    void (*release)(struct sink *sink);
};

/* Every sink of src/sink/sink.def, NULL-terminated, the default one (text) first. */
extern const struct sink_class *const sink_classes[];
