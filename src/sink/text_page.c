/* Pieces that several parts of the text format are made of. */
#include "sink/text_page.h"
#include "base/text.h"

#include <string.h>

/* Groups that are told before the rest of them is summed up. */
#define LISTED_GROUPS 8

const char *page_style(const struct page *page, const char *code)
{
    return page->options->colour ? code : "";
}

void page_style_on(const struct page *page, const char *code)
{
    if (page->options->colour)
        buffer_add_format(page->buffer, "\033[%sm", code);
}

void page_style_off(const struct page *page)
{
    if (page->options->colour)
        buffer_add_text(page->buffer, "\033[0m");
}

void page_begin_table(struct page *page)
{
    if (page->above != ABOVE_NOTHING)
        buffer_add_character(page->buffer, '\n');
    page->above = ABOVE_TABLE;
}

void page_begin_line(struct page *page)
{
    if (page->above == ABOVE_TABLE)
        buffer_add_character(page->buffer, '\n');
    page->above = ABOVE_LINE;
}

void page_add_verdict(struct buffer *buffer, const struct result_group *group)
{
    char from[ADDRESS_TEXT_SIZE];
    buffer_add_format(buffer, "%s (%s", state_name(group->state), reason_name(group->reason));
    if (group->from.family != ADDRESS_NONE)
        buffer_add_format(buffer, " from %s", address_format(&group->from, from));
    buffer_add_character(buffer, ')');
}

void page_add_failure(struct buffer *buffer, int code, const struct address *address)
{
    static const char placeholder[] = "ADDRESS";
    char text[ADDRESS_TEXT_SIZE];
    const char *advice = error_advice(code), *place = strstr(advice, placeholder);
    buffer_add_format(buffer, "%s (", error_meaning(code));
    if (address && place) {
        buffer_add(buffer, advice, (size_t)(place - advice));
        buffer_add_text(buffer, address_format(address, text));
        buffer_add_text(buffer, place + strlen(placeholder));
    } else {
        buffer_add_text(buffer, advice);
    }
    buffer_add_character(buffer, ')');
}

bool page_add_groups(struct page *page, const struct host_result *host, const char *before,
                     page_shown_fn *is_shown, const void *user)
{
    struct buffer *buffer = page->buffer;
    char number[TEXT_NUMBER_SIZE];
    size_t told = 0;
    uint64_t left = 0;
    for (size_t i = 0; i < host->group_count; i++) {
        const struct result_group *group = &host->groups[i];
        if ((page->options->open_only && !state_is_possibly_open(group->state)) ||
            (is_shown && is_shown(user, group)))
            continue;
        if (told == LISTED_GROUPS && !page->options->verbose) {
            left += group->count;
            continue;
        }
        buffer_add_format(buffer, "%s%s ", told++ ? ", " : before,
                          text_grouped(group->count, number));
        page_add_verdict(buffer, group);
    }
    if (left)
        buffer_add_format(buffer, ", %s for other reasons (-v tells them all)",
                          text_grouped(left, number));
    if (host->undecided)
        buffer_add_format(buffer, "%s%s undecided", told++ ? ", " : before,
                          text_grouped(host->undecided, number));
    return told > 0;
}
