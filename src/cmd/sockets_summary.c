/* How many sockets there are: by kind and state, and by process. */
#include "cmd/sockets_show.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_SHOWN 10 /* the rest is one line */

/* Processes of one name and user. */
struct holder {
    const char *name, *user;
    uint32_t uid;
    size_t sockets, processes;
};

struct counts {
    size_t total;
    size_t kinds[SOCKET_KINDS], states[SOCKET_STATES];
    size_t by_kind[SOCKET_KINDS][SOCKET_STATES];
    struct holder *holders; /* those with the most sockets first */
    size_t holder_count;
    size_t orphans; /* held by nobody, or nobody knows by whom */
};

/* ---- counting ---- */

static int compare_processes(const void *one, const void *other)
{
    const struct process *a = *(const struct process *const *)one;
    const struct process *b = *(const struct process *const *)other;
    const int order = strcmp(a->name, b->name);
    if (order)
        return order;
    if (a->uid != b->uid)
        return a->uid < b->uid ? -1 : 1;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static int compare_holders(const void *one, const void *other)
{
    const struct holder *a = one, *b = other;
    if (a->sockets != b->sockets)
        return a->sockets < b->sockets ? 1 : -1;
    const int order = strcmp(a->name, b->name);
    return order ? order : (a->uid > b->uid) - (a->uid < b->uid);
}

static void add_to_holder(struct counts *counts, const struct process *process,
                          const struct process *before)
{
    struct holder *last = counts->holder_count ? &counts->holders[counts->holder_count - 1] : NULL;
    if (!last || strcmp(last->name, process->name) != 0 || last->uid != process->uid) {
        last = &counts->holders[counts->holder_count++];
        *last = (struct holder){.name = process->name, .user = process->user, .uid = process->uid};
    }
    last->sockets++;
    last->processes += !before || before->pid != process->pid;
}

/* A socket that several processes hold counts for the first of them. */
static int count_holders(struct counts *counts, const struct sockets *sockets)
{
    const size_t count = sockets->list.count;
    const struct process **processes = calloc(count ? count : 1, sizeof(const struct process *));
    size_t known = 0;
    counts->holders = calloc(count ? count : 1, sizeof(*counts->holders));
    if (!processes || !counts->holders) {
        free(processes);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        size_t others;
        const struct process *process = sockets_holder(sockets, &sockets->list.entries[i], &others);
        if (process)
            processes[known++] = process;
    }
    counts->orphans = count - known;
    qsort(processes, known, sizeof(const struct process *), compare_processes);
    for (size_t i = 0; i < known; i++)
        add_to_holder(counts, processes[i], i ? processes[i - 1] : NULL);
    qsort(counts->holders, counts->holder_count, sizeof(*counts->holders), compare_holders);
    free(processes);
    return 0;
}

static void count_kinds(struct counts *counts, const struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->list.count; i++) {
        const struct socket_entry *entry = &sockets->list.entries[i];
        if (entry->kind >= SOCKET_KINDS || entry->state >= SOCKET_STATES)
            continue;
        counts->total++;
        counts->kinds[entry->kind]++;
        counts->states[entry->state]++;
        counts->by_kind[entry->kind][entry->state]++;
    }
}

/* ---- text ---- */

static const char *state_name(unsigned state)
{
    return socket_state_name((enum socket_state)state);
}

static void add_row(struct buffer *buffer, const char *name, size_t total,
                    const size_t by_state[static SOCKET_STATES], const struct counts *counts)
{
    char text[TEXT_NUMBER_SIZE];
    buffer_add_format(buffer, "%-7s  %10s", name, text_grouped(total, text));
    for (unsigned state = 1; state < SOCKET_STATES; state++)
        if (counts->states[state]) {
            const int width = (int)strlen(state_name(state));
            buffer_add_format(buffer, "  %*s", width < 7 ? 7 : width,
                              text_grouped(by_state[state], text));
        }
    buffer_add_character(buffer, '\n');
}

static void add_kinds(struct buffer *buffer, const struct counts *counts)
{
    buffer_add_format(buffer, "%-7s  %10s", "PROTO", "TOTAL");
    for (unsigned state = 1; state < SOCKET_STATES; state++)
        if (counts->states[state])
            buffer_add_format(buffer, "  %7s", state_name(state));
    buffer_add_character(buffer, '\n');
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        if (counts->kinds[kind])
            add_row(buffer, socket_kind_name((enum socket_kind)kind), counts->kinds[kind],
                    counts->by_kind[kind], counts);
    add_row(buffer, "all", counts->total, counts->states, counts);
}

static void add_holders(struct buffer *buffer, const struct counts *counts)
{
    char text[TEXT_NUMBER_SIZE];
    size_t rest = 0;
    buffer_add_format(buffer, "\n%10s  %s\n", "SOCKETS", "PROCESS");
    for (size_t i = 0; i < counts->holder_count; i++) {
        const struct holder *holder = &counts->holders[i];
        if (i >= PROCESSES_SHOWN) {
            rest += holder->sockets;
            continue;
        }
        buffer_add_format(buffer, "%10s  ", text_grouped(holder->sockets, text));
        sockets_add_process_name(buffer, holder->name);
        buffer_add_character(buffer, ' ');
        if (holder->user)
            sockets_add_escaped(buffer, holder->user);
        else
            buffer_add_format(buffer, "%" PRIu32, holder->uid);
        if (holder->processes > 1)
            buffer_add_format(buffer, ", %zu processes", holder->processes);
        buffer_add_character(buffer, '\n');
    }
    if (rest)
        buffer_add_format(buffer, "%10s  %zu others\n", text_grouped(rest, text),
                          counts->holder_count - PROCESSES_SHOWN);
    if (counts->orphans)
        buffer_add_format(buffer, "%10s  nobody, or nobody known\n",
                          text_grouped(counts->orphans, text));
}

/* ---- JSON ---- */

static void add_json_states(struct buffer *buffer, const size_t by_state[static SOCKET_STATES])
{
    char before = '{';
    for (unsigned state = 1; state < SOCKET_STATES; state++)
        if (by_state[state]) {
            buffer_add_format(buffer, "%c\"%s\":%zu", before, state_name(state), by_state[state]);
            before = ',';
        }
    buffer_add_text(buffer, before == '{' ? "{}" : "}");
}

static void add_json_kinds(struct buffer *buffer, const struct counts *counts)
{
    static const char *const names[SOCKET_KINDS] = {
        [SOCKET_UNIX_STREAM] = "unix-stream",
        [SOCKET_UNIX_DATAGRAM] = "unix-datagram",
        [SOCKET_UNIX_SEQPACKET] = "unix-seqpacket",
    };
    bool any = false;
    buffer_add_text(buffer, ",\"kinds\":{");
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++) {
        if (!counts->kinds[kind])
            continue;
        buffer_add_format(buffer, "%s\"%s\":", any ? "," : "",
                          names[kind] ? names[kind] : socket_kind_name((enum socket_kind)kind));
        add_json_states(buffer, counts->by_kind[kind]);
        any = true;
    }
    buffer_add_character(buffer, '}');
}

static void add_json_holders(struct buffer *buffer, const struct counts *counts)
{
    buffer_add_text(buffer, ",\"processes\":[");
    for (size_t i = 0; i < counts->holder_count; i++) {
        const struct holder *holder = &counts->holders[i];
        buffer_add_text(buffer, i ? ",{\"name\":" : "{\"name\":");
        sockets_add_json_text(buffer, holder->name);
        buffer_add_format(buffer, ",\"uid\":%" PRIu32, holder->uid);
        if (holder->user) {
            buffer_add_text(buffer, ",\"user\":");
            sockets_add_json_text(buffer, holder->user);
        }
        buffer_add_format(buffer, ",\"processes\":%zu,\"sockets\":%zu}", holder->processes,
                          holder->sockets);
    }
    buffer_add_format(buffer, "],\"unknown\":%zu", counts->orphans);
}

static void add_json(struct buffer *buffer, const struct counts *counts, bool holders,
                     uint64_t wall)
{
    char time[CLOCK_TEXT_SIZE];
    buffer_add_format(buffer, "{\"type\":\"sockets\",\"time\":\"%s\",\"total\":%zu",
                      clock_format(wall, time), counts->total);
    buffer_add_text(buffer, ",\"states\":");
    add_json_states(buffer, counts->states);
    add_json_kinds(buffer, counts);
    if (holders)
        add_json_holders(buffer, counts);
    buffer_add_text(buffer, "}\n");
}

int sockets_add_summary(struct buffer *buffer, const struct sockets *sockets, bool json,
                        uint64_t wall)
{
    struct counts counts = {0};
    const int failed = count_holders(&counts, sockets);
    count_kinds(&counts, sockets);
    if (!failed && json) {
        add_json(buffer, &counts, sockets->has_owners, wall);
    } else if (!failed) {
        add_kinds(buffer, &counts);
        if (sockets->has_owners && counts.total)
            add_holders(buffer, &counts);
    }
    free(counts.holders);
    return failed || buffer->failed ? -ENOMEM : 0;
}
