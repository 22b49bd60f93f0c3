/* struct talk_view: what goes to standard output and files besides the conversation itself. */
#include "cmd/talk_view.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define AGAIN_AFTER (5 * NANOSECONDS_PER_MILLISECOND)

static void again_due(struct timer *timer);

int talk_view_open(struct talk_view *view, struct loop *loop, const struct talk_options *options,
                   struct error *error)
{
    *view = (struct talk_view){
        .loop = loop, .again.due = again_due, .hex.mark = true, .dump_hex.mark = true};
    view->records = options->json;
    int failed = 0;
    if (options->json || options->hex) {
        failed = output_open(&view->screen, "-", false, error);
        view->has_screen = !failed;
    }
    if (!failed && options->record) {
        failed = output_open(&view->file, options->record, false, error);
        view->has_file = !failed;
    }
    if (!failed && options->hex_file) {
        failed = output_open(&view->dump, options->hex_file, false, error);
        view->has_dump = !failed;
    }
    if (!failed && options->plain_file) {
        failed = output_open(&view->plain, options->plain_file, false, error);
        view->has_plain = !failed;
    }
    if (failed)
        talk_view_close(view, NULL);
    return failed;
}

bool talk_view_looks(const struct talk_view *view)
{
    return view->has_screen || view->has_file || view->has_dump || view->has_plain;
}

/* Writes what was added to an output, as far as it goes without waiting; the rest is tried again
 * soon, and with what comes next. */
static void push(struct talk_view *view, struct output *output)
{
    output_pump(output);
    if (output_waits(output) &&
        loop_timer_set(view->loop, &view->again, loop_now(view->loop) + AGAIN_AFTER))
        output->code = ENOMEM;
    if (output->code && !view->error.code) {
        error_set(&view->error, output->code, "cannot write %s: %s",
                  output->path ? output->path : "standard output", strerror(output->code));
        view->broken = output->broken;
    }
}

static bool push_all(struct talk_view *view)
{
    if (view->has_screen)
        push(view, &view->screen);
    if (view->has_file)
        push(view, &view->file);
    if (view->has_dump)
        push(view, &view->dump);
    if (view->has_plain)
        push(view, &view->plain);
    return !view->error.code;
}

static void again_due(struct timer *timer)
{
    struct talk_view *view = CONTAINER_OF(timer, struct talk_view, again);
    if (!push_all(view))
        loop_stop(view->loop);
}

bool talk_view_data(struct talk_view *view, uint64_t number, enum pair_direction direction,
                    const void *bytes, size_t length)
{
    uint64_t now = clock_wall();
    if (view->has_screen && view->records)
        transcript_add_data(&view->screen.pending, now, number, direction, bytes, length);
    else if (view->has_screen)
        hex_view_add(&view->hex, direction, bytes, length, &view->screen.pending);
    if (view->has_file)
        transcript_add_data(&view->file.pending, now, number, direction, bytes, length);
    if (view->has_dump)
        hex_view_add(&view->dump_hex, direction, bytes, length, &view->dump.pending);
    if (view->has_plain)
        buffer_add(&view->plain.pending, bytes, length);
    return push_all(view);
}

/* The outputs that have records of connections too. */
static size_t record_outputs(struct talk_view *view, struct output *outputs[static 2])
{
    size_t count = 0;
    if (view->has_screen && view->records)
        outputs[count++] = &view->screen;
    if (view->has_file)
        outputs[count++] = &view->file;
    return count;
}

bool talk_view_connection(struct talk_view *view, const struct transcript_connection *connection)
{
    struct output *outputs[2];
    for (size_t i = record_outputs(view, outputs); i-- > 0;)
        transcript_add_connection(&outputs[i]->pending, clock_wall(), connection);
    return push_all(view);
}

bool talk_view_end(struct talk_view *view, const struct transcript_end *end)
{
    struct output *outputs[2];
    for (size_t i = record_outputs(view, outputs); i-- > 0;)
        transcript_add_end(&outputs[i]->pending, clock_wall(), end);
    return push_all(view);
}

bool talk_view_listening(struct talk_view *view, const struct peer *local, const char *protocol)
{
    struct output *outputs[2];
    for (size_t i = record_outputs(view, outputs); i-- > 0;)
        transcript_add_listening(&outputs[i]->pending, clock_wall(), local, protocol);
    return push_all(view);
}

bool talk_view_denied(struct talk_view *view, const struct peer *remote, const char *reason)
{
    struct output *outputs[2];
    for (size_t i = record_outputs(view, outputs); i-- > 0;)
        transcript_add_denied(&outputs[i]->pending, clock_wall(), remote, reason);
    return push_all(view);
}

static void close_output(struct output *output, bool *has, int *failed, struct error *error)
{
    if (!*has)
        return;
    *has = false;
    int result = output_finish(output, *failed ? NULL : error);
    if (result && !*failed)
        *failed = result;
    output_release(output);
}

int talk_view_close(struct talk_view *view, struct error *error)
{
    int failed = 0;
    if (view->loop)
        loop_timer_clear(view->loop, &view->again);
    close_output(&view->screen, &view->has_screen, &failed, error);
    close_output(&view->file, &view->has_file, &failed, error);
    close_output(&view->dump, &view->has_dump, &failed, error);
    close_output(&view->plain, &view->has_plain, &failed, error);
    return failed;
}
