/* The answers of `listen --http`: the request as it came, for people with a browser or a terminal.
 */
#include "talk/http_page.h"

#include "base/clock.h"
#include "base/text.h"
#include "talk/http_head.h"
#include "talk/transcript.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HEX_SHOWN ((size_t)16 << 10)

/* One page in the making. */
struct page {
    const struct http_reader *reader;
    const struct peer *remote, *local;
    uint64_t wall;
    struct http_head head;
    const char *body; /* as much of it as was kept */
    size_t body_kept;
    struct buffer content;
};

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2430;--paper:#f6f7f9;--card:#fff;--line:#dfe3e9;"
    "--soft:#66707f;--mark:#0b6bcb;--name:#7a3e9d}"
    "@media(prefers-color-scheme:dark){:root{--ink:#dce3ec;--paper:#12161c;--card:#1a2029;"
    "--line:#2c3541;--soft:#8f9bab;--mark:#6cb6ff;--name:#d2a8ff}}"
    "*{box-sizing:border-box}"
    "body{margin:0;padding:2rem 1rem;background:var(--paper);color:var(--ink);"
    "font:1rem/1.5 system-ui,sans-serif}"
    "main{max-width:60rem;margin:auto}"
    "h1{font-size:1.3rem;font-weight:500;overflow-wrap:anywhere;margin:0 0 1rem}"
    "h1 b{color:var(--mark)}"
    "h2{font-size:.8rem;font-weight:600;letter-spacing:.05em;text-transform:uppercase;"
    "color:var(--soft);margin:1.5rem 0 .4rem}"
    "table{border-collapse:collapse}"
    "th{text-align:left;font-weight:400;color:var(--soft);padding:.1rem 1.5rem .1rem 0}"
    "td,pre{font-family:ui-monospace,monospace;font-size:.9rem;overflow-wrap:anywhere}"
    "pre{margin:0;padding:1rem;background:var(--card);border:1px solid var(--line);"
    "border-radius:.5rem;white-space:pre-wrap}"
    "pre.hex{white-space:pre;overflow-x:auto}"
    "pre b{color:var(--name);font-weight:400}pre strong{color:var(--mark);font-weight:600}"
    "footer{margin-top:1.5rem;font-size:.8rem;color:var(--soft)}";

/* ---- bytes of others ---- */

static bool is_line_character(char character)
{
    return character == '\t' || character == '\r' || character == '\n' || character == '\\';
}

/* Printable UTF-8: tabs and line ends as they are (CR LF as LF), every other byte that cannot be
 * shown as \xNN. A backslash is itself: this is to be read and not to be parsed. */
static void add_visible(struct buffer *text, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        size_t run = 0;
        while (at + run < length && !is_line_character(bytes[at + run]))
            run++;
        if (!buffer_reserve(text, 4 * run + 1))
            return;
        text->length += text_escape(bytes + at, run, text->data + text->length, 4 * run + 1);
        at += run;
        if (at == length)
            break;
        if (bytes[at] != '\r')
            buffer_add_character(text, bytes[at]);
        else if (at + 1 == length || bytes[at + 1] != '\n')
            buffer_add_text(text, "\\x0d");
    }
}

static void add_html(struct buffer *html, const char *text, size_t length)
{
    static const struct {
        char character;
        const char *name;
    } names[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (size_t i = 0; i < length; i++) {
        const char *name = NULL;
        for (size_t j = 0; j < sizeof(names) / sizeof(*names); j++) {
            if (text[i] == names[j].character)
                name = names[j].name;
        }
        if (name)
            buffer_add_text(html, name);
        else
            buffer_add_character(html, text[i]);
    }
}

/* The visible form, inside of HTML. */
static void add_visible_html(struct buffer *html, const char *bytes, size_t length)
{
    struct buffer text = {0};
    add_visible(&text, bytes, length);
    add_html(html, text.data, text.length);
    html->failed |= text.failed;
    buffer_release(&text);
}

/* A body is shown as text where most of it can be, else as a dump. */
static void add_body(struct page *page, struct buffer *text, bool *ret_hex)
{
    add_visible(text, page->body, page->body_kept);
    *ret_hex = text->length > page->body_kept + page->body_kept / 4;
    if (*ret_hex) {
        struct hex_view view = {0};
        if (page->body_kept > HEX_SHOWN)
            page->body_kept = HEX_SHOWN;
        buffer_clear(text);
        hex_view_add(&view, PAIR_BACK, page->body, page->body_kept, text);
    }
    if (text->length && text->data[text->length - 1] != '\n')
        buffer_add_character(text, '\n');
    if (page->reader->framed > page->body_kept)
        buffer_add_format(text, "... and %llu bytes more\n",
                          (unsigned long long)(page->reader->framed - page->body_kept));
}

/* ---- the facts ---- */

/* Gives each fact that is known, in its order, to `add`. */
static void add_facts(struct page *page,
                      void (*add)(struct buffer *content, const char *name, const char *value))
{
    char peer[PEER_TEXT_SIZE], time[CLOCK_TEXT_SIZE], number[TEXT_NUMBER_SIZE];
    char size[TEXT_NUMBER_SIZE + 32];
    const uint64_t bytes = page->reader->body_size;
    snprintf(size, sizeof(size), "%s byte%s%s", text_grouped(bytes, number), bytes == 1 ? "" : "s",
             page->head.chunked ? ", in chunks" : "");
    if (page->remote->kind != PEER_NONE)
        add(&page->content, "from", peer_format(page->remote, peer));
    if (page->local->kind != PEER_NONE)
        add(&page->content, "to", peer_format(page->local, peer));
    add(&page->content, "time", clock_format(page->wall, time));
    add(&page->content, "body", bytes || page->head.chunked ? size : "none");
}

/* ---- plain text ---- */

static void add_plain_fact(struct buffer *content, const char *name, const char *value)
{
    buffer_add_format(content, "%-6s", name);
    add_visible(content, value, strlen(value));
    buffer_add_character(content, '\n');
}

static void add_plain_page(struct page *page)
{
    bool hex;
    add_facts(page, add_plain_fact);
    buffer_add_character(&page->content, '\n');
    add_visible(&page->content, page->reader->request.data, page->reader->head_size);
    if (page->body_kept) {
        struct buffer body = {0};
        add_body(page, &body, &hex);
        buffer_add(&page->content, body.data, body.length);
        page->content.failed |= body.failed;
        buffer_release(&body);
    }
}

/* ---- HTML ---- */

static void add_html_fact(struct buffer *content, const char *name, const char *value)
{
    buffer_add_format(content, "<tr><th scope=\"row\">%s</th><td>", name);
    add_visible_html(content, value, strlen(value));
    buffer_add_text(content, "</td></tr>\n");
}

/* The request line stands out, and so do the fields' names. */
static void add_html_line(struct buffer *content, const char *line, size_t length, bool first)
{
    const char *colon = first ? NULL : memchr(line, ':', length);
    const size_t marked = first ? length : colon ? (size_t)(colon - line) : 0;
    const char *element = first ? "strong" : "b";
    if (marked) {
        buffer_add_format(content, "<%s>", element);
        add_visible_html(content, line, marked);
        buffer_add_format(content, "</%s>", element);
    }
    add_visible_html(content, line + marked, length - marked);
}

static void add_html_head(struct page *page)
{
    const char *head = page->reader->request.data;
    const size_t size = page->reader->head_size;
    buffer_add_text(&page->content, "</table>\n<h2>Head</h2>\n<pre>");
    for (size_t at = 0; at < size;) {
        const char *end = memchr(head + at, '\n', size - at);
        size_t length = end ? (size_t)(end - head) - at : size - at;
        const size_t taken = length + (end != NULL);
        length -= length && head[at + length - 1] == '\r';
        add_html_line(&page->content, head + at, length, at == 0);
        if (length)
            buffer_add_character(&page->content, '\n');
        at += taken;
    }
    buffer_add_text(&page->content, "</pre>\n");
}

static void add_html_body(struct page *page)
{
    struct buffer body = {0};
    bool hex;
    add_body(page, &body, &hex);
    /* A line end behind <pre> would be dropped. */
    buffer_add_format(&page->content, "<h2>Body</h2>\n<pre%s>\n", hex ? " class=\"hex\"" : "");
    add_html(&page->content, body.data, body.length);
    buffer_add_text(&page->content, "</pre>\n");
    page->content.failed |= body.failed;
    buffer_release(&body);
}

static void add_html_page(struct page *page)
{
    struct buffer *content = &page->content;
    const struct http_head *head = &page->head;
    const size_t title = head->target_length < 100 ? head->target_length : 100;
    buffer_add_text(content,
                    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width\">\n"
                    "<link rel=\"icon\" href=\"data:,\">\n<title>");
    add_visible_html(content, head->method, head->method_length);
    buffer_add_character(content, ' ');
    add_visible_html(content, head->target, title);
    buffer_add_text(content, "</title>\n<style>");
    buffer_add_text(content, style);
    buffer_add_text(content, "</style>\n</head>\n<body>\n<main>\n<h1><b>");
    add_visible_html(content, head->method, head->method_length);
    buffer_add_text(content, "</b> ");
    add_visible_html(content, head->target, head->target_length);
    buffer_add_text(content, "</h1>\n<table>\n");
    add_facts(page, add_html_fact);
    add_html_head(page);
    if (page->body_kept)
        add_html_body(page);
    buffer_add_text(content, "<footer>This is your request as it came; porthole answers every one "
                             "with this page.</footer>\n</main>\n</body>\n</html>\n");
}

/* ---- answers ---- */

/* RFC 9110 §5.6.7; strftime() would say it in the language of the process. */
static void add_date(struct buffer *answer, uint64_t wall)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const time_t seconds = (time_t)(wall / NANOSECONDS_PER_SECOND);
    struct tm now;
    if (gmtime_r(&seconds, &now))
        buffer_add_format(answer, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                          days + 3 * now.tm_wday, now.tm_mday, months + 3 * now.tm_mon,
                          now.tm_year + 1900, now.tm_hour, now.tm_min, now.tm_sec);
}

struct status {
    const char *line;
    bool html, keep_alive, without_body;
};

static void add_answer(struct buffer *answer, const struct status *status, uint64_t wall,
                       struct buffer *content)
{
    buffer_add_format(answer, "HTTP/1.1 %s\r\n", status->line);
    add_date(answer, wall);
    buffer_add_format(answer,
                      "Content-Type: text/%s; charset=utf-8\r\nContent-Length: %zu\r\n"
                      "Cache-Control: no-store\r\nVary: Accept\r\n"
                      "X-Content-Type-Options: nosniff\r\n"
                      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                      "img-src data:\r\nConnection: %s\r\n\r\n",
                      status->html ? "html" : "plain", content->length,
                      status->keep_alive ? "keep-alive" : "close");
    if (!status->without_body)
        buffer_add(answer, content->data, content->length);
    answer->failed |= content->failed;
    buffer_release(content);
}

void http_page_add(struct buffer *answer, const struct http_reader *reader,
                   const struct peer *remote, const struct peer *local, uint64_t wall)
{
    const struct buffer *request = &reader->request;
    struct page page = {.reader = reader, .remote = remote, .local = local, .wall = wall};
    /* It was understood once; the answer to what was not is plain text. */
    if (http_head_parse(request->data, reader->head_size, &page.head, NULL) < 0)
        page.head = (struct http_head){0};
    page.body = request->data + reader->head_size;
    page.body_kept = request->length - reader->head_size;
    if (page.head.wants_html)
        add_html_page(&page);
    else
        add_plain_page(&page);
    const struct http_head *head = &page.head;
    const bool is_head = head->method_length == 4 && memcmp(head->method, "HEAD", 4) == 0;
    /* What follows a 2xx to CONNECT would not be HTTP any more (RFC 9110 §9.3.6). */
    const bool is_connect = head->method_length == 7 && memcmp(head->method, "CONNECT", 7) == 0;
    const struct status status = {.line = is_connect ? "501 Not Implemented" : "200 OK",
                                  .html = head->wants_html,
                                  .keep_alive = reader->keep_alive,
                                  .without_body = is_head};
    add_answer(answer, &status, wall, &page.content);
}

static const char *fault_line(int code)
{
    switch (code) {
    case -EPROTO:
        return "400 Bad Request";
    case -EFBIG:
        return "413 Content Too Large";
    case -E2BIG:
        return "431 Request Header Fields Too Large";
    default:
        return "503 Service Unavailable";
    }
}

void http_fault_add(struct buffer *answer, int code, const struct error *error)
{
    const struct status status = {.line = fault_line(code)};
    struct buffer content = {0};
    buffer_add_format(&content, "%s\n", status.line);
    if (error && error->code) {
        buffer_add_text(&content, "\n");
        add_visible(&content, error->message, strlen(error->message));
        buffer_add_text(&content, "\n");
        if (error->column != ERROR_NO_COLUMN)
            buffer_add_format(&content, "\n    %s\n    %*s^\n", error->text, (int)error->column,
                              "");
    }
    add_answer(answer, &status, clock_wall(), &content);
}
