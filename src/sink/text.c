/* The default format, for people: a table for each host, open ports first, and at the end one line
 * about the whole scan. */
#include "sink/text_page.h"

#include <errno.h>
#include <stdlib.h>

/* Round trips of ports that are not open are kept for so many ports: six megabytes. */
#define EVIDENCE_MAXIMUM ((size_t)1 << 18)

struct text_state {
    bool wants_evidence;
    struct evidence *evidence;
    size_t count, capacity;
};

static int text_start(struct sink *sink, const struct scan_start *start)
{
    struct text_state *state = calloc(1, sizeof(*state));
    if (!state)
        return -ENOMEM;
    state->wants_evidence = start->ports->size <= PAGE_LISTED_PORTS || sink->options.verbose;
    sink->state = state;
    return 0;
}

/* The results keep no round trips of ports that are not open; the few that are listed have them. */
static int text_port(struct sink *sink, const struct port_record *record)
{
    struct text_state *state = sink->state;
    bool wanted = state->wants_evidence || record->state == STATE_UNFILTERED;
    if (!wanted || record->state == STATE_OPEN || state->count == EVIDENCE_MAXIMUM)
        return 0;
    if (state->count == state->capacity) {
        size_t capacity = state->capacity ? state->capacity * 2 : 64;
        struct evidence *evidence = reallocarray(state->evidence, capacity, sizeof(*evidence));
        if (!evidence)
            return -ENOMEM;
        state->evidence = evidence;
        state->capacity = capacity;
    }
    state->evidence[state->count++] = (struct evidence){record->index, record->rtt, record->tries};
    return 0;
}

static int compare_evidence(const void *one, const void *other)
{
    const struct evidence *left = one, *right = other;
    return (left->index > right->index) - (left->index < right->index);
}

static int text_finish(struct sink *sink, const struct results *results,
                       const struct scan_summary *summary)
{
    struct text_state *state = sink->state;
    struct page page = {
        .options = &sink->options,
        .results = results,
        .plan = results_plan(results),
        .start = &sink->start,
        .evidence = state->evidence,
        .evidence_count = state->count,
        .buffer = &sink->output->pending,
    };
    int result = 0;
    if (state->count)
        qsort(state->evidence, state->count, sizeof(*state->evidence), compare_evidence);
    for (size_t i = 0; i < results_host_count(results) && result == 0; i++) {
        const struct host_result *host = results_host(results, i);
        if (page_has_table(&page, host))
            result = page_add_table(&page, host);
    }
    if (result == 0)
        result = page_add_hosts(&page);
    page_add_summary(&page, summary);
    return page.buffer->failed ? -ENOMEM : result;
}

static void text_release(struct sink *sink)
{
    struct text_state *state = sink->state;
    if (state)
        free(state->evidence);
    free(state);
    sink->state = NULL;
}

const struct sink_class sink_text = {
    .name = "text",
    .suffixes = ".txt",
    .whole = true,
    .start = text_start,
    .port = text_port,
    .finish = text_finish,
    .release = text_release,
};
