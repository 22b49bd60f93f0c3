/* The parts of the text format: what they share. */
#pragma once

#include "scan/sink.h"

/* Up to this many ports a host, those that are not open are listed without being asked for; of
 * those that may be open (open|filtered, unfiltered), up to so many that share a reason. */
#define PAGE_LISTED_PORTS 25

/* With -v, ports that are not open are listed where no more than this many share a reason. */
#define PAGE_LISTED_PORTS_VERBOSE 1024

/* Up to this many hosts, each one gets lines of its own whatever there is to say. */
#define PAGE_LISTED_HOSTS 8

/* So many open ports, all that were asked, are more likely somebody else's answers. */
#define PAGE_SUSPECT_PORTS 50

/* Insides of ANSI escape sequences. */
#define PAGE_BOLD "1"
#define PAGE_DIM "2"
#define PAGE_RED "31"
#define PAGE_GREEN "32"
#define PAGE_YELLOW "33"

/* What the results don't keep of a port that is not open. */
struct evidence {
    uint64_t index;
    uint64_t rtt;
    unsigned tries;
};

/* What stands above the place where the next line goes. */
enum above { ABOVE_NOTHING, ABOVE_LINE, ABOVE_TABLE };

/* What is being written, and how far it is. */
struct page {
    const struct sink_options *options;
    const struct results *results;
    const struct plan *plan;
    const struct scan_start *start;
    const struct evidence *evidence; /* ascending by index */
    size_t evidence_count;
    struct buffer *buffer; /* where it goes */
    enum above above;
    bool named; /* a service was named */
};

/* ---- text_page.c ---- */

/* `code` with colours, "" without. */
const char *page_style(const struct page *page, const char *code);

/* Start and end a run of styled text; they do nothing without colours. */
void page_style_on(const struct page *page, const char *code);
void page_style_off(const struct page *page);

/* Begins a table's block or a single line, with an empty line above where that helps the eye. */
void page_begin_table(struct page *page);
void page_begin_line(struct page *page);

/* "filtered (port-unreach from 192.0.2.9)" */
void page_add_verdict(struct buffer *buffer, const struct result_group *group);

/* "Network is unreachable (no route to it: see `ip route get 192.0.2.1`)", without the address when
 * it is NULL. */
void page_add_failure(struct buffer *buffer, int code, const struct address *address);

/* The groups of a host that `is_shown` (which may be NULL) does not say are shown elsewhere, and
 * what is undecided, most ports first: "1,021 closed (conn-refused), 3 filtered (no-response)".
 * Returns false when that is nothing; otherwise `before` stands before it. */
typedef bool page_shown_fn(const void *user, const struct result_group *group);
bool page_add_groups(struct page *page, const struct host_result *host, const char *before,
                     page_shown_fn *is_shown, const void *user);

/* ---- text_table.c ---- */

/* Whether a host gets a table; and the table, with everything else that is said of the host.
 * The second returns 0 or -ENOMEM. */
bool page_has_table(const struct page *page, const struct host_result *host);
int page_add_table(struct page *page, const struct host_result *host);

/* ---- text_hosts.c ---- */

/* A line for each host that has no table, or for many at once. Returns 0 or -ENOMEM. */
int page_add_hosts(struct page *page);

/* ---- text_summary.c ---- */

/* The end: how to read the services, how the scan ended, and one line about all of it. */
void page_add_summary(struct page *page, const struct scan_summary *summary);
