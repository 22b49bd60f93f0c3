/* Wiring: scan events to results, sinks, checkpoint and status line, and how it all ends. */
#include "cmd/scan_session.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/confine.h"
#include "cmd/scan_status.h"
#include "net/service.h"
#include "scan/checkpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAMS "xdp" /* the link that has the kernel run programs */

struct session {
    const struct command *command;
    const struct scan_command_options *options;
    const struct scan_subject *subject;
    const struct prober_class *prober;
    struct plan plan;
    struct scan *scan;
    struct results *results;
    struct sink *sinks;
    struct output *outputs; /* of the sink with the same number */
    size_t sink_count;
    struct checkpoint checkpoint; /* `path` is NULL without one */
    struct scan_status status;
    bool status_started;
    const char *link_said; /* the link of which we told last */
    bool restoring;        /* records come from the checkpoint */
    bool announce;         /* say on stderr what is open, as it is found */
    struct error fault;    /* of an event; its message is better than the loop's own */
};

/* ---- events ---- */

/* Says with -v what this machine could not do to confine the scan. */
static void say_lacks(const struct session *session, int lacks)
{
    if (!session->options->verbose)
        return;
    if (lacks & CONFINEMENT_LACKS_FILES)
        command_warn(session->command, "without Landlock: this machine does not offer it");
    if (lacks & CONFINEMENT_LACKS_CALLS)
        command_warn(session->command, "without seccomp: this machine does not offer it");
}

/* Says by which link packets leave, as soon as it is known and when it changes: with -v, and where
 * it is not the one that would have been the fastest. */
static void say_link(struct session *session, const char *link, const char *reason)
{
    bool said = link && session->link_said && strcmp(link, session->link_said) == 0;
    if (!link || said || !(reason || session->options->verbose))
        return;
    scan_status_clear(&session->status);
    command_warn(session->command, "link: %s%s%s%s", link, strcmp(link, PROGRAMS) ? " sockets" : "",
                 reason ? ", because " : "", reason ? reason : "");
    session->link_said = link;
}

/* Gives up all rights but those to ask on and to write what is known. A raw prober has its sockets;
 * one that connects makes them as it goes. */
static int on_opened(void *user, struct error *error)
{
    struct session *session = user;
    const struct address_set *targets = &session->subject->targets;
    struct service service;
    const char **paths = calloc(session->sink_count + 1, sizeof(*paths));
    if (!paths)
        return error_set(error, ENOMEM, "no memory to confine the scan");
    const struct scan_progress progress = scan_progress(session->scan);
    struct confinement wanted = {
        .sockets = !session->prober->stateless,
        .programs = progress.link && strcmp(progress.link, PROGRAMS) == 0,
        .paths = paths,
    };
    for (size_t i = 0; i < session->sink_count; i++)
        if (session->outputs[i].partial_path)
            paths[wanted.path_count++] = session->outputs[i].path;
    if (session->checkpoint.path)
        paths[wanted.path_count++] = session->checkpoint.path;
    for (size_t i = 0; i < targets->count; i++)
        wanted.zones = wanted.zones || targets->ranges[i].first.family == ADDRESS_IPV6;
    service_find((struct port){.number = 0}, &service); /* the first call reads a file */
    int lacks = confine(&wanted, error);
    free(paths);
    if (lacks < 0)
        return lacks;
    say_lacks(session, lacks);
    say_link(session, progress.link, progress.link_reason);
    return 0;
}

static void announce_port(struct session *session, const struct port_record *record)
{
    char where[ENDPOINT_TEXT_SIZE];
    struct service service;
    scan_status_clear(&session->status);
    fprintf(stderr, "open: %s", address_format_port(&record->address, record->port.number, where));
    if (service_find(record->port, &service))
        fprintf(stderr, " (%s)", service.name);
    fputc('\n', stderr);
}

static int on_port(void *user, const struct port_record *record)
{
    struct session *session = user;
    bool silent = record->reason == REASON_NO_RESPONSE; /* the ledger knows these by itself */
    int failed = silent ? 0 : results_add_port(session->results, record);
    if (!failed && !silent && !session->restoring && session->checkpoint.path)
        failed = checkpoint_add_port(&session->checkpoint, record);
    if (session->options->open_only && !state_is_possibly_open(record->state))
        return failed;
    for (size_t i = 0; !failed && i < session->sink_count; i++)
        if (session->sinks[i].class->port)
            failed = session->sinks[i].class->port(&session->sinks[i], record);
    if (session->announce && record->state == STATE_OPEN)
        announce_port(session, record);
    return failed;
}

static int on_error(void *user, const struct error_record *record)
{
    struct session *session = user;
    int failed = results_add_error(session->results, record);
    if (!failed && !session->restoring && session->checkpoint.path)
        failed = checkpoint_add_error(&session->checkpoint, record);
    for (size_t i = 0; !failed && i < session->sink_count; i++)
        if (session->sinks[i].class->error)
            failed = session->sinks[i].class->error(&session->sinks[i], record);
    return failed;
}

/* Returns 0 or -errno, with `fault` when an output other than a closed pipe failed. */
static int pump_outputs(struct session *session)
{
    for (size_t i = 0; i < session->sink_count; i++) {
        struct output *output = &session->outputs[i];
        if (output->pending.length && output->fd == STDOUT_FILENO && session->status_started)
            scan_status_clear(&session->status);
        output_pump(output);
        if (output->code == 0)
            continue;
        if (!output->broken)
            output_finish(output, &session->fault); /* says what is wrong, and where */
        return -output->code;
    }
    return 0;
}

static int write_checkpoint(struct session *session)
{
    struct scan_position position = scan_position(session->scan);
    return checkpoint_write(&session->checkpoint, &position, &session->fault);
}

static int on_tick(void *user)
{
    struct session *session = user;
    int failed = 0;
    if (session->checkpoint.path && checkpoint_due(&session->checkpoint, clock_monotonic()))
        failed = write_checkpoint(session);
    if (!failed)
        failed = pump_outputs(session);
    if (!failed)
        scan_status_tick(&session->status, session->scan);
    return failed;
}

/* ---- beginning ---- */

/* Colour is for people: a terminal, and nobody who said NO_COLOR (no-color.org). */
static bool wants_colour(const struct scan_output *output)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return strcmp(output->path, "-") == 0 && isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
           !(terminal && strcmp(terminal, "dumb") == 0);
}

static int open_sink(struct session *session, const struct scan_output *wanted,
                     const struct scan_start *start, struct error *error)
{
    size_t at = session->sink_count;
    int failed = output_open(&session->outputs[at], wanted->path, wanted->class->whole, error);
    if (failed)
        return failed;
    session->sinks[at] = (struct sink){
        .class = wanted->class,
        .output = &session->outputs[at],
        .options =
            {
                .open_only = session->options->open_only,
                .reason = session->options->reason,
                .verbose = session->options->verbose,
                .colour = wants_colour(wanted),
            },
        .start = *start,
    };
    session->sink_count++;
    if (wanted->class->start && wanted->class->start(&session->sinks[at], start) < 0)
        return error_set(error, ENOMEM, "no memory for the output");
    return 0;
}

/* What was asked for, and the table on standard output unless something else goes there or every
 * result goes to files… in which case a person at a terminal still wants to see it. */
static int open_sinks(struct session *session, const struct scan_start *start, struct error *error)
{
    const struct scan_command_options *options = session->options;
    const struct scan_output table = {.class = sink_classes[0], .path = "-"};
    bool standard = false;
    int failed = 0;
    session->sinks = calloc(options->output_count + 1, sizeof(*session->sinks));
    session->outputs = calloc(options->output_count + 1, sizeof(*session->outputs));
    if (!session->sinks || !session->outputs)
        return error_set(error, ENOMEM, "no memory for the outputs");
    for (size_t i = 0; !failed && i < options->output_count; i++) {
        standard = standard || strcmp(options->outputs[i].path, "-") == 0;
        failed = open_sink(session, &options->outputs[i], start, error);
    }
    if (!failed && !standard)
        failed = open_sink(session, &table, start, error);
    session->announce = options->verbose && !failed && (!standard || options->output_count == 0);
    return failed;
}

static int open_checkpoint(struct session *session, const struct checkpoint_data *resumed,
                           uint64_t seed, const char *const *words, size_t word_count,
                           struct error *error)
{
    const struct scan_command_options *options = session->options;
    struct buffer targets = {0}, ports = {0}, names = {0};
    int failed;
    if (resumed)
        return checkpoint_append(&session->checkpoint, options->resume, resumed, error);
    if (!options->checkpoint)
        return 0;
    address_set_format(&session->subject->targets, "\n", &targets);
    port_set_format(&session->subject->ports, &ports);
    name_set_format(&session->subject->names, &names);
    if (targets.failed || ports.failed || names.failed) {
        failed = error_set(error, ENOMEM, "no memory for the checkpoint");
    } else {
        const struct checkpoint_header header = {
            .words = words,
            .word_count = word_count,
            .seed = seed,
            .targets = targets.data,
            .ports = ports.data,
            .names = names.data ? names.data : "",
            .technique = session->prober->name,
        };
        failed = checkpoint_create(&session->checkpoint, options->checkpoint, &header, error);
    }
    buffer_release(&targets);
    buffer_release(&ports);
    buffer_release(&names);
    return failed;
}

/* Lets everything that was known at the last checkpoint happen again. */
static int restore(struct session *session, const struct checkpoint_data *resumed,
                   struct error *error)
{
    int failed = 0;
    session->restoring = true;
    for (size_t i = 0; !failed && i < resumed->record_count; i++)
        failed = scan_restore_port(session->scan, &resumed->records[i]);
    for (size_t i = 0; !failed && i < resumed->error_count; i++)
        failed = scan_restore_error(session->scan, &resumed->errors[i]);
    session->restoring = false;
    if (failed == -EINVAL || resumed->position.position > session->plan.count)
        return error_set(error, EINVAL, "'%s' is damaged: its records do not fit its targets",
                         session->options->resume);
    if (failed)
        return error_set(error, -failed, "cannot take up the checkpoint: %s", strerror(-failed));
    scan_restore_position(session->scan, &resumed->position);
    return 0;
}

static int join_words(const struct command *command, const char *const *words, size_t count,
                      struct buffer *joined)
{
    buffer_add_format(joined, "porthole %s", command->name);
    for (size_t i = 0; i < count; i++)
        buffer_add_format(joined, " %s", words[i]);
    return joined->failed ? -ENOMEM : 0;
}

static int begin(struct session *session, const struct checkpoint_data *resumed,
                 const char *const *words, size_t word_count, struct buffer *joined,
                 struct error *error)
{
    const struct scan_events events = {
        .user = session,
        .opened = on_opened,
        .port = on_port,
        .error = on_error,
        .tick = on_tick,
        .cancelled = scan_status_cancelled,
    };
    struct scan_options loop = scan_command_options_loop(session->options);
    if (resumed)
        loop.seed = resumed->seed;
    session->prober = session->options->technique;
    int failed =
        plan_init(&session->plan, &session->subject->targets, &session->subject->ports, error);
    if (!failed)
        failed = scan_new(&session->plan, &loop, session->prober, &events, &session->scan, error);
    if (!failed &&
        (results_new(&session->plan, scan_ledger(session->scan), &session->results) < 0 ||
         join_words(session->command, words, word_count, joined) < 0))
        failed = error_set(error, ENOMEM, "no memory for the results");
    if (failed)
        return failed;
    const struct scan_start start = {
        .command = joined->data,
        .prober = session->prober->name,
        .time = clock_wall(),
        .seed = loop.seed,
        .hosts = session->subject->targets.size,
        .ports = &session->subject->ports,
        .names = &session->subject->names,
        .shard = session->options->shard,
        .shards = session->options->shards,
    };
    failed = open_sinks(session, &start, error);
    if (!failed)
        failed = open_checkpoint(session, resumed, loop.seed, words, word_count, error);
    if (!failed && resumed)
        failed = restore(session, resumed, error);
    return failed;
}

/* ---- ending ---- */

static void say_how_to_resume(const struct session *session, enum scan_end end)
{
    const char *what = end == SCAN_TIMED_OUT ? "time is over" : "interrupted";
    char path[512];
    if (!session->checkpoint.path) {
        command_warn(session->command, "interrupted; with --checkpoint FILE a scan can be resumed");
        return;
    }
    text_escape(session->checkpoint.path, strlen(session->checkpoint.path), path, sizeof(path));
    command_warn(session->command, "%s; go on with: porthole scan --resume %s", what, path);
}

/* Writes what sinks say at the end and waits for all of it. Returns 0 or -errno with `fault`, which
 * stays empty for a reader that went away. */
static int finish_sinks(struct session *session, const struct scan_summary *summary)
{
    int result = 0;
    for (size_t i = 0; i < session->sink_count; i++) {
        struct sink *sink = &session->sinks[i];
        struct error error = {0};
        int failed = sink->class->finish ? sink->class->finish(sink, session->results, summary) : 0;
        if (failed)
            error_set(&error, -failed, "cannot finish the output: %s", strerror(-failed));
        else
            failed = output_finish(sink->output, &error);
        if (failed) {
            result = failed;
            session->fault = error;
        } else if (sink->output->broken && !result) {
            result = -EPIPE;
        }
    }
    return result;
}

static bool is_asked(const void *user, uint64_t index)
{
    return scan_asks(user, index);
}

static int seal(struct session *session, const struct scan_summary *summary)
{
    if (session->options->shards > 1)
        results_set_part(session->results, is_asked, session->scan, summary->hosts);
    return results_seal(session->results, summary->end);
}

static int conclude(struct session *session, const struct scan_summary *summary, int number)
{
    int failed = 0;
    say_link(session, summary->link, summary->link_reason);
    if (session->checkpoint.path)
        failed = write_checkpoint(session);
    if (seal(session, summary) < 0)
        failed = error_set(&session->fault, ENOMEM, "no memory for the results");
    if (!failed)
        failed = finish_sinks(session, summary);
    if (!failed && session->checkpoint.path && summary->end == SCAN_COMPLETE)
        checkpoint_remove(&session->checkpoint);
    /* Who bounds the time has chosen this end and needs no advice but where to go on. */
    if (number || (summary->end == SCAN_TIMED_OUT && session->checkpoint.path))
        say_how_to_resume(session, summary->end);
    if (failed == -EPIPE)
        return EXIT_SIGNAL + SIGPIPE;
    if (failed) {
        command_complain(session->command, &session->fault);
        return EXIT_TROUBLE;
    }
    if (number)
        return EXIT_SIGNAL + number;
    bool whole = !summary->errors && !summary->undecided && !session->subject->unresolved;
    return whole ? EXIT_DONE : EXIT_INCOMPLETE;
}

static int run(struct session *session)
{
    struct scan_summary summary;
    struct error error = {0};
    scan_status_start(&session->status);
    session->status_started = true;
    int failed = scan_run(session->scan, &summary, &error);
    int number = scan_status_stop(&session->status);
    session->status_started = false;
    if (!failed)
        return conclude(session, &summary, number);
    if (session->checkpoint.path && session->fault.code == 0)
        write_checkpoint(session);
    if (failed == -EPIPE)
        return EXIT_SIGNAL + SIGPIPE;
    command_complain(session->command, session->fault.code ? &session->fault : &error);
    if (seal(session, &summary) == 0)
        finish_sinks(session, &summary); /* what is known, to the outputs that still work */
    return EXIT_TROUBLE;
}

static void release(struct session *session)
{
    for (size_t i = 0; i < session->sink_count; i++) {
        if (session->sinks[i].class->release)
            session->sinks[i].class->release(&session->sinks[i]);
        output_release(&session->outputs[i]);
    }
    free(session->sinks);
    free(session->outputs);
    checkpoint_release(&session->checkpoint);
    results_free(session->results);
    scan_free(session->scan);
}

int scan_session_run(const struct command *command, const struct scan_command_options *options,
                     const struct scan_subject *subject, const struct checkpoint_data *resumed,
                     const char *const *words, size_t word_count)
{
    struct session session = {.command = command, .options = options, .subject = subject};
    struct buffer joined = {0};
    struct error error = {0};
    int status;
    int failed = begin(&session, resumed, words, word_count, &joined, &error);
    if (!failed) {
        status = run(&session);
    } else {
        command_complain(command, &error);
        status =
            failed == -ENOMEM || failed == -EIO || failed == -ENOSPC ? EXIT_TROUBLE : EXIT_USAGE;
    }
    release(&session);
    buffer_release(&joined);
    return status;
}
