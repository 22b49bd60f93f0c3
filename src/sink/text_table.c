/* The table of a host: open ports first, then those that are not open, as far as they are listed.
 */
#include "base/text.h"
#include "sink/field.h"
#include "sink/table.h"
#include "sink/text_page.h"

#include <stdio.h>

struct host_table {
    struct page *page;
    struct table table;
    bool listed[STATE_COUNT][REASON_COUNT]; /* by state: which ports that are not open are in it */
    bool any_listed;
    bool reasons; /* with the column REASON */
    bool tries;   /* with the column TRIES */
};

/* Whether `count` ports that are not open and share a reason are listed singly. */
static bool is_listed(const struct page *page, enum port_state state, enum reason reason,
                      uint64_t count)
{
    const struct sink_options *options = page->options;
    if (options->open_only && !state_is_possibly_open(state))
        return false;
    if (page->plan->ports->size <= PAGE_LISTED_PORTS || options->verbose >= 2)
        return true;
    if (state_is_possibly_open(state) && count <= PAGE_LISTED_PORTS)
        return true; /* they may be what is looked for */
    return options->verbose == 1 && reason != REASON_NO_RESPONSE &&
           count <= PAGE_LISTED_PORTS_VERBOSE;
}

/* Marks the ports that are not open and are listed; false when there are none. */
static bool choose_listed(const struct page *page, const struct host_result *host,
                          bool listed[STATE_COUNT][REASON_COUNT])
{
    uint64_t counts[STATE_COUNT][REASON_COUNT] = {0};
    bool any = false;
    for (size_t i = 0; i < host->group_count; i++)
        counts[host->groups[i].state][host->groups[i].reason] += host->groups[i].count;
    for (enum port_state state = 0; state < STATE_COUNT; state++)
        for (enum reason reason = 0; reason < REASON_COUNT; reason++) {
            uint64_t count = counts[state][reason];
            listed[state][reason] = count && is_listed(page, state, reason, count);
            any |= listed[state][reason];
        }
    return any;
}

static void host_table_init(struct host_table *table, struct page *page,
                            const struct host_result *host)
{
    *table = (struct host_table){.page = page};
    table->any_listed = choose_listed(page, host, table->listed);
    /* A state that is not open says too little without its reason. */
    table->tries = page->options->reason || page->options->verbose;
    table->reasons = table->tries || table->any_listed;
    table->table.columns = 4 + (unsigned)table->reasons + (unsigned)table->tries;
}

static void add_heading(struct host_table *table)
{
    const char *bold = page_style(table->page, PAGE_BOLD);
    table_add(&table->table, "PORT", bold);
    table_add(&table->table, "STATE", bold);
    table_add(&table->table, "SERVICE", bold);
    if (table->reasons)
        table_add(&table->table, "REASON", bold);
    if (table->tries)
        table_add(&table->table, "TRIES", bold);
    table_add(&table->table, "RTT", bold);
}

static void add_reason(struct host_table *table, const struct port_record *record)
{
    char text[64 + ADDRESS_TEXT_SIZE], from[ADDRESS_TEXT_SIZE];
    if (record->from.family == ADDRESS_NONE)
        snprintf(text, sizeof(text), "%s", reason_name(record->reason));
    else
        snprintf(text, sizeof(text), "%s from %s", reason_name(record->reason),
                 address_format(&record->from, from));
    table_add(&table->table, text, "");
}

/* `tries` and `rtt` are 0 where they are not known. */
static void add_row(struct host_table *table, const struct port_record *record, unsigned tries,
                    uint64_t rtt)
{
    static const char *const colours[STATE_COUNT] = {
        [STATE_SILENT] = "",     [STATE_OPEN] = PAGE_GREEN,
        [STATE_CLOSED] = "",     [STATE_FILTERED] = PAGE_YELLOW,
        [STATE_UNFILTERED] = "", [STATE_OPEN_FILTERED] = PAGE_YELLOW,
    };
    char text[TEXT_NUMBER_SIZE], service[FIELD_SERVICE_SIZE];
    snprintf(text, sizeof(text), "%u/%s", (unsigned)record->port.number,
             protocol_name(record->port.protocol));
    table_add(&table->table, text, "");
    table_add(&table->table, state_name(record->state),
              page_style(table->page, colours[record->state]));
    if (*field_service(record->port, service))
        table->page->named = true;
    table_add(&table->table, *service ? service : "-", "");
    if (table->reasons)
        add_reason(table, record);
    if (table->tries) {
        snprintf(text, sizeof(text), "%u", tries);
        table_add(&table->table, tries ? text : "-", "");
    }
    table_add(&table->table, rtt ? text_duration(rtt, text) : "-", "");
}

static const struct evidence *find_evidence(const struct page *page, uint64_t index)
{
    size_t low = 0, high = page->evidence_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (page->evidence[middle].index == index)
            return &page->evidence[middle];
        if (page->evidence[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int add_not_open(void *user, const struct port_record *record)
{
    struct host_table *table = user;
    if (record->state != STATE_OPEN && table->listed[record->state][record->reason]) {
        const struct evidence *evidence = find_evidence(table->page, record->index);
        add_row(table, record, evidence ? evidence->tries : 0, evidence ? evidence->rtt : 0);
    }
    return 0;
}

static int add_rows(struct host_table *table, const struct host_result *host)
{
    int result = 0;
    if (host->open_count == 0 && !table->any_listed)
        return 0;
    add_heading(table);
    for (size_t i = 0; i < host->open_count; i++)
        add_row(table, &host->open[i], host->open[i].tries, host->open[i].rtt);
    if (table->any_listed)
        result = results_each_port(table->page->results, host, add_not_open, table);
    table_print(&table->table, table->page->buffer);
    return result;
}

static bool is_in_table(const void *user, const struct result_group *group)
{
    const struct host_table *table = user;
    return table->listed[group->state][group->reason];
}

static void add_errors(struct page *page, const struct host_result *host)
{
    char count[FIELD_COUNT_SIZE];
    for (size_t i = 0; i < host->error_count; i++) {
        page_style_on(page, PAGE_RED);
        buffer_add_format(page->buffer, "error: %s could not be asked: ",
                          field_count(host->errors[i].count, "port", "ports", count));
        page_add_failure(page->buffer, host->errors[i].code, &host->address);
        page_style_off(page);
        buffer_add_character(page->buffer, '\n');
    }
}

static bool lists_possibly_open(bool listed[STATE_COUNT][REASON_COUNT])
{
    for (enum port_state state = 0; state < STATE_COUNT; state++)
        for (enum reason reason = 0; reason < REASON_COUNT && state_is_possibly_open(state);
             reason++)
            if (listed[state][reason])
                return true;
    return false;
}

/* Nobody has so many services. */
static void add_suspicion(struct page *page, const struct host_result *host)
{
    char number[TEXT_NUMBER_SIZE];
    if (host->open_count < PAGE_SUSPECT_PORTS || host->open_count + host->failed < host->asked)
        return;
    page_style_on(page, PAGE_YELLOW);
    buffer_add_format(page->buffer,
                      "all %s ports open: something in front of it (a SYN proxy, a tarpit) may "
                      "answer for it",
                      text_grouped(host->open_count, number));
    page_style_off(page);
    buffer_add_character(page->buffer, '\n');
}

bool page_has_table(const struct page *page, const struct host_result *host)
{
    bool listed[STATE_COUNT][REASON_COUNT];
    if (host->open_count)
        return true;
    if (host->failed) /* all of one kind fit on a line */
        return host->error_count > 1 || host->failed < host->asked;
    if (!choose_listed(page, host, listed))
        return false;
    if (page->plan->targets->size <= PAGE_LISTED_HOSTS || page->options->verbose)
        return true;
    /* Ports of which one cannot know without looking at them singly. */
    return host->groups[0].count < host->asked && lists_possibly_open(listed);
}

int page_add_table(struct page *page, const struct host_result *host)
{
    struct host_table table;
    char text[FIELD_HOST_SIZE];
    host_table_init(&table, page, host);
    page_begin_table(page);
    page_style_on(page, PAGE_BOLD);
    buffer_add_text(page->buffer, field_host(page->start->names, &host->address, text));
    page_style_off(page);
    buffer_add_character(page->buffer, '\n');
    int result = add_rows(&table, host);
    if (page_add_groups(page, host, "not shown: ", is_in_table, &table))
        buffer_add_character(page->buffer, '\n');
    add_suspicion(page, host);
    add_errors(page, host);
    return result;
}
