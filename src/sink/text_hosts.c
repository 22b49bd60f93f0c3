/* Hosts without a table: a line each, or one for many hosts of which the same is to be said (all
 * their ports are refused, nothing came back, none could be asked). */
#include "base/text.h"
#include "sink/field.h"
#include "sink/text_page.h"

/* Ranges of a list of addresses before it is cut. */
#define LISTED_RANGES 16

/* Hosts that are alike in what is to be said of them. */
struct alike {
    struct result_group group; /* what all their ports are, or */
    int code;                  /* the error for which none of their ports could be asked, or 0 */
    struct address_set hosts;
};

/* Kinds that are told apart; a host of a further one gets a line of its own. */
#define KINDS_MAXIMUM 32

struct kinds {
    struct alike alike[KINDS_MAXIMUM];
    size_t count;
};

/* "all 1,000 ports ", or the port itself when there is but one: a verdict follows. Of a shard hosts
 * that are alike differ in how many these are. */
static void add_all_ports(struct page *page)
{
    const struct port_set *ports = page->plan->ports;
    struct buffer *buffer = page->buffer;
    char number[TEXT_NUMBER_SIZE];
    if (ports->size == 1) {
        struct port port = port_set_at(ports, 0);
        buffer_add_format(buffer, "%u/%s ", (unsigned)port.number, protocol_name(port.protocol));
    } else if (page->start->shards > 1) {
        buffer_add_text(buffer, "all ports of the shard ");
    } else {
        buffer_add_format(buffer, "all %s ports ", text_grouped(ports->size, number));
    }
}

static void add_one(struct page *page, const struct alike *alike, const struct address *address)
{
    struct buffer *buffer = page->buffer;
    char text[FIELD_HOST_SIZE], count[FIELD_COUNT_SIZE];
    page_begin_line(page);
    buffer_add_format(buffer, "%s: ", field_host(page->start->names, address, text));
    if (alike->code) {
        page_style_on(page, PAGE_RED);
        if (page->start->shards > 1)
            buffer_add_text(buffer, "error: no port of the shard could be asked: ");
        else
            buffer_add_format(buffer, "error: %s could not be asked: ",
                              field_count(page->plan->ports->size, "port", "ports", count));
        page_add_failure(buffer, alike->code, address);
        page_style_off(page);
    } else {
        add_all_ports(page);
        page_add_verdict(buffer, &alike->group);
        if (alike->group.reason == REASON_NO_RESPONSE)
            buffer_add_text(buffer, "; the host may be down");
    }
    buffer_add_character(buffer, '\n');
}

static void add_ranges(struct page *page, const struct address_set *hosts)
{
    struct address_set shown = *hosts; /* borrows the ranges */
    char number[TEXT_NUMBER_SIZE];
    if (hosts->count > LISTED_RANGES && !page->options->verbose)
        shown.count = LISTED_RANGES;
    address_set_format(&shown, ", ", page->buffer);
    if (shown.count < hosts->count)
        buffer_add_format(page->buffer, " and %s more ranges (-v tells them all)",
                          text_grouped(hosts->count - shown.count, number));
    buffer_add_character(page->buffer, '\n');
}

static void add_many(struct page *page, const struct alike *alike)
{
    struct buffer *buffer = page->buffer;
    char count[FIELD_COUNT_SIZE];
    page_begin_line(page);
    field_count(alike->hosts.size, "host", "hosts", count);
    if (alike->code) {
        page_style_on(page, PAGE_RED);
        buffer_add_format(buffer, "error: %s could not be asked: ", count);
        page_add_failure(buffer, alike->code, NULL);
        page_style_off(page);
    } else if (alike->group.reason == REASON_NO_RESPONSE) {
        buffer_add_format(buffer, "%s gave no answer at all and may be down", count);
    } else {
        buffer_add_format(buffer, "%s with ", count);
        add_all_ports(page);
        page_add_verdict(buffer, &alike->group);
    }
    buffer_add_text(buffer, ": ");
    add_ranges(page, &alike->hosts);
}

static int add_alike(struct page *page, struct alike *alike)
{
    int result = address_set_seal(&alike->hosts);
    if (result < 0)
        return result;
    if (alike->hosts.size > PAGE_LISTED_HOSTS) {
        add_many(page, alike);
        return 0;
    }
    for (uint64_t i = 0; i < alike->hosts.size; i++) {
        struct address address = address_set_at(&alike->hosts, i);
        add_one(page, alike, &address);
    }
    return 0;
}

/* Whether one thing is to be said of all ports of the host. */
static bool is_plain(const struct host_result *host, struct alike *ret_alike)
{
    if (host->failed == host->asked)
        *ret_alike = (struct alike){.code = host->errors[0].code};
    else if (host->group_count && host->groups[0].count == host->asked)
        *ret_alike = (struct alike){.group = host->groups[0]};
    else
        return false;
    return true;
}

static struct alike *find_kind(struct kinds *kinds, const struct alike *like)
{
    for (size_t i = 0; i < kinds->count; i++) {
        struct alike *alike = &kinds->alike[i];
        if (alike->code == like->code && alike->group.state == like->group.state &&
            alike->group.reason == like->group.reason &&
            address_equal(&alike->group.from, &like->group.from))
            return alike;
    }
    if (kinds->count == KINDS_MAXIMUM)
        return NULL;
    kinds->alike[kinds->count] = *like;
    return &kinds->alike[kinds->count++];
}

/* Says what there is to say of a host at once, unless it may share a line with others. */
static int add_host(struct page *page, const struct host_result *host, struct kinds *kinds)
{
    char text[FIELD_HOST_SIZE];
    struct alike like;
    if (is_plain(host, &like)) {
        struct alike *alike = find_kind(kinds, &like);
        if (alike)
            return address_set_add(&alike->hosts, &host->address, host->address.value);
        add_one(page, &like, &host->address);
        return 0;
    }
    page_begin_line(page);
    buffer_add_format(page->buffer, "%s: ", field_host(page->start->names, &host->address, text));
    const char *none = host->undecided                   ? "no open port found: "
                       : host_result_possibly_open(host) ? "no port known to be open: "
                                                         : "no open port: ";
    page_add_groups(page, host, none, NULL, NULL);
    buffer_add_character(page->buffer, '\n');
    return 0;
}

static int add_silent(struct page *page)
{
    const enum port_state silence = results_silence(page->results);
    struct alike silent = {.group = {.state = silence, .reason = REASON_NO_RESPONSE}};
    char count[FIELD_COUNT_SIZE];
    if ((page->options->open_only && !state_is_possibly_open(silence)) ||
        results_silent_host_count(page->results) == 0)
        return 0;
    int result = results_silent_hosts(page->results, &silent.hosts);
    if (result < 0)
        return result;
    if (results_end(page->results) == SCAN_COMPLETE) {
        result = add_alike(page, &silent);
    } else {
        page_begin_line(page);
        buffer_add_format(page->buffer, "%s had not answered when the scan ended: ",
                          field_count(silent.hosts.size, "host", "hosts", count));
        add_ranges(page, &silent.hosts);
    }
    address_set_release(&silent.hosts);
    return result;
}

int page_add_hosts(struct page *page)
{
    struct kinds kinds = {0};
    int result = 0;
    for (size_t i = 0; i < results_host_count(page->results) && result == 0; i++) {
        const struct host_result *host = results_host(page->results, i);
        if (!page_has_table(page, host) &&
            (host->failed || !page->options->open_only || host_result_possibly_open(host)))
            result = add_host(page, host, &kinds);
    }
    for (size_t i = 0; i < kinds.count; i++) {
        if (result == 0)
            result = add_alike(page, &kinds.alike[i]);
        address_set_release(&kinds.alike[i].hosts);
    }
    return result ? result : add_silent(page);
}
