/* The last lines of a scan's text. */
#include "base/clock.h"
#include "base/text.h"
#include "sink/field.h"
#include "sink/text_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ", 12 errors", or nothing for none. */
static void add_count(struct buffer *buffer, uint64_t count, const char *one, const char *many)
{
    char text[FIELD_COUNT_SIZE];
    if (count)
        buffer_add_format(buffer, ", %s", field_count(count, one, many, text));
}

/* Three significant digits: "850/s", "12.5k/s", "136k/s", "1.36M/s". */
static void add_rate(struct buffer *buffer, double rate)
{
    static const char *const units[] = {"", "k", "M", "G"};
    unsigned unit = 0;
    for (; rate >= 999.5 && unit < 3; unit++)
        rate /= 1000;
    int decimals = unit == 0 || rate >= 99.95 ? 0 : rate >= 9.995 ? 1 : 2;
    buffer_add_format(buffer, ", %.*f%s/s", decimals, rate, units[unit]);
}

/* Rounded down: never 100% of what is not all. */
static double percent(double share)
{
    return floor(share * 10000) / 100;
}

static void add_recall(struct buffer *buffer, const struct scan_summary *summary)
{
    const struct recall *recall = &summary->recall;
    if (recall->known && recall->low >= 1)
        buffer_add_text(buffer, ", recall 100%");
    else if (recall->known)
        buffer_add_format(buffer, ", estimated recall %.2f%% (95%% interval from %.2f%%)",
                          percent(recall->estimate), percent(recall->low));
    else if (summary->hosts_answered == 0 &&
             summary->open + summary->closed + summary->unfiltered == 0)
        buffer_add_text(buffer, ", recall unknown: nothing answered");
    else if (summary->responders_only && summary->open == 0)
        buffer_add_text(buffer, ", recall unknown: no open port was found");
    else
        buffer_add_text(buffer, ", recall unknown: silent ports were not asked again");
}

static void add_end(struct page *page, const struct scan_summary *summary)
{
    static const char *const words[] = {
        [SCAN_INTERRUPTED] = "interrupted",
        [SCAN_TIMED_OUT] = "out of time",
        [SCAN_FAILED] = "the scan could not go on",
    };
    char undecided[TEXT_NUMBER_SIZE], count[FIELD_COUNT_SIZE];
    if (summary->end == SCAN_COMPLETE)
        return;
    page_style_on(page, PAGE_YELLOW);
    buffer_add_format(page->buffer, "%s: %s of %s undecided", words[summary->end],
                      text_grouped(summary->undecided, undecided),
                      field_count(summary->ports, "port", "ports", count));
    page_style_off(page);
    buffer_add_character(page->buffer, '\n');
}

/* What takes away from the results. */
__attribute__((format(printf, 2, 3))) static void add_warning(struct page *page, const char *format,
                                                              ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    page_style_on(page, PAGE_YELLOW);
    buffer_add_text(page->buffer, text);
    page_style_off(page);
    buffer_add_character(page->buffer, '\n');
}

static void add_given_up(struct page *page, const struct scan_summary *summary)
{
    char hosts[FIELD_COUNT_SIZE], rate[TEXT_NUMBER_SIZE];
    bool one = summary->hosts_given_up == 1;
    field_count(summary->hosts_given_up, "host was", "hosts were", hosts);
    if (summary->given_up_rate > 0)
        add_warning(
            page, "%s given up, which answer%s %s times a second at most: ports may be missing",
            hosts, one ? "s" : "", text_grouped((uint64_t)ceil(summary->given_up_rate), rate));
    else
        add_warning(page, "%s given up, which fell silent: ports may be missing", hosts);
}

static void add_notes(struct page *page, const struct scan_summary *summary)
{
    char text[FIELD_RESPONDERS_SIZE];
    if (page->named) {
        page_style_on(page, PAGE_DIM);
        buffer_add_text(page->buffer, "services are named by port number, not by what answers");
        page_style_off(page);
        buffer_add_character(page->buffer, '\n');
    }
    if (summary->responders_only)
        add_warning(page,
                    "%s; the other counts are of answers, and a port that was asked again "
                    "may count again",
                    field_responders_only(summary, text));
    if (summary->refused)
        add_warning(page, "this machine did not let %s leave",
                    field_count(summary->refused, "packet", "packets", text));
    if (summary->missed)
        add_warning(page, "this machine had no room for %s: ports may be missing",
                    field_count(summary->missed, "answer", "answers", text));
    if (summary->hosts_given_up)
        add_given_up(page, summary);
    if (summary->limit)
        buffer_add_format(page->buffer, "speed limited by %s\n", summary->limit);
}

void page_add_summary(struct page *page, const struct scan_summary *summary)
{
    struct buffer *buffer = page->buffer;
    char hosts[FIELD_COUNT_SIZE], ports[FIELD_COUNT_SIZE], number[TEXT_NUMBER_SIZE];
    char shard[FIELD_SHARD_SIZE];
    if (page->above != ABOVE_NOTHING)
        buffer_add_character(buffer, '\n');
    add_notes(page, summary);
    add_end(page, summary);
    page_style_on(page, PAGE_BOLD);
    if (*field_shard(page->start, shard))
        buffer_add_format(buffer, "%s: ", shard);
    buffer_add_format(buffer, "%s, %s: ", field_count(summary->hosts, "host", "hosts", hosts),
                      field_count(summary->ports, "port", "ports", ports));
    buffer_add_format(buffer, "%s open", text_grouped(summary->open, number));
    page_style_off(page);
    bool answers = summary->responders_only; /* are what was counted */
    add_count(buffer, summary->closed, answers ? "closed answer" : "closed",
              answers ? "closed answers" : "closed");
    add_count(buffer, summary->filtered, "filtered", "filtered");
    add_count(buffer, summary->unfiltered, answers ? "unfiltered answer" : "unfiltered",
              answers ? "unfiltered answers" : "unfiltered");
    add_count(buffer, summary->open_filtered, "open|filtered", "open|filtered");
    add_count(buffer, summary->undecided, "undecided", "undecided");
    add_count(buffer, summary->errors, "error", "errors");
    buffer_add_format(buffer, " in %s; ", text_duration(summary->duration, number));
    buffer_add_text(buffer, field_count(summary->probes, "probe", "probes", ports));
    if (summary->rate > 0)
        add_rate(buffer, summary->rate);
    add_count(buffer, summary->passes, "pass", "passes");
    add_recall(buffer, summary);
    buffer_add_character(buffer, '\n');
}
