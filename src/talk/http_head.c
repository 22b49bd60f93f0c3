/* Request lines and fields of HTTP/1, read so that no two readers differ about where a request
 * ends (RFC 9112 §11.2). */
#include "talk/http_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* A stretch of a head, and the line that it is in, which errors show. */
struct span {
    const char *text;
    size_t length;
};

struct line {
    struct span all;
    struct error *error;
};

static int fault(const struct line *line, const char *where, const char *message)
{
    return error_set_at(line->error, EPROTO, line->all.text, line->all.length,
                        (size_t)(where - line->all.text), "%s", message);
}

/* RFC 9110 §5.6.2 */
static bool is_token_character(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') ||
           (character && strchr("!#$%&'*+-.^_`|~", character));
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

static size_t token_length(struct span span)
{
    size_t length = 0;
    while (length < span.length && is_token_character(span.text[length]))
        length++;
    return length;
}

static struct span trimmed(struct span span)
{
    while (span.length && is_blank(span.text[0])) {
        span.text++;
        span.length--;
    }
    while (span.length && is_blank(span.text[span.length - 1]))
        span.length--;
    return span;
}

static bool equals(struct span span, const char *word)
{
    return span.length == strlen(word) && strncasecmp(span.text, word, span.length) == 0;
}

/* Takes what stands before the first `separator` out of the list. */
static struct span next_item(struct span *list, char separator)
{
    const char *end = memchr(list->text, separator, list->length);
    struct span item = {.text = list->text,
                        .length = end ? (size_t)(end - list->text) : list->length};
    const size_t taken = item.length + (end != NULL);
    list->text += taken;
    list->length -= taken;
    return trimmed(item);
}

/* The first control character, or NULL. */
static const char *find_control(struct span span)
{
    for (size_t i = 0; i < span.length; i++) {
        const unsigned char byte = (unsigned char)span.text[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return span.text + i;
    }
    return NULL;
}

int http_head_parse_line(const char *text, size_t length, struct http_head *ret_head,
                         struct error *error)
{
    const struct line line = {.all = {text, length}, .error = error};
    const char *const end = text + length;
    const char *const control = find_control(line.all);
    const size_t method = token_length(line.all);
    if (control)
        return fault(&line, control, "a request has no control characters");
    if (method == 0 || method == length || text[method] != ' ')
        return fault(&line, text + method, "a request begins with a method and one blank: GET /");
    const char *const target = text + method + 1;
    const char *const blank = memchr(target, ' ', (size_t)(end - target));
    if (target == end || blank == target)
        return fault(&line, target, "behind the method stands what is asked for: GET /");
    if (!blank)
        return fault(&line, end, "a request line ends in the version: GET / HTTP/1.1");
    if (end - blank != sizeof(" HTTP/1.1") - 1 || memcmp(blank, " HTTP/1.", 8) != 0 ||
        (end[-1] != '0' && end[-1] != '1'))
        return fault(&line, blank + 1, "the version must be HTTP/1.0 or HTTP/1.1");
    *ret_head = (struct http_head){.method = text,
                                   .method_length = method,
                                   .target = target,
                                   .target_length = (size_t)(blank - target),
                                   .minor = end[-1] == '1'};
    return 0;
}

static int read_content_length(struct http_head *head, const struct line *line, struct span value)
{
    uint64_t number = 0;
    if (value.length == 0)
        return fault(line, value.text, "Content-Length is a number of bytes");
    for (size_t i = 0; i < value.length; i++) {
        if (value.text[i] < '0' || value.text[i] > '9')
            return fault(line, value.text + i, "Content-Length is a number of bytes");
        const unsigned digit = (unsigned)(value.text[i] - '0');
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
    }
    if (head->has_length && number != head->content_length)
        return fault(line, value.text, "this is another Content-Length than the one before");
    head->has_length = true;
    head->content_length = number;
    return 0;
}

static int read_transfer_encoding(struct http_head *head, const struct line *line,
                                  struct span value)
{
    if (head->chunked || !equals(value, "chunked"))
        return fault(line, value.text, "the only Transfer-Encoding that is understood is chunked");
    if (head->minor == 0)
        return fault(line, line->all.text, "HTTP/1.0 has no Transfer-Encoding");
    head->chunked = true;
    return 0;
}

/* A media range counts unless its weight is zero: "text/html;q=0". */
static bool is_accepted(struct span range, const char *type)
{
    if (!equals(next_item(&range, ';'), type))
        return false;
    while (range.length) {
        struct span parameter = next_item(&range, ';');
        if (parameter.length >= 3 && strncasecmp(parameter.text, "q=0", 3) == 0) {
            while (parameter.length && strchr("q=0.Q", parameter.text[parameter.length - 1]))
                parameter.length--;
            return parameter.length > 0;
        }
    }
    return true;
}

static int read_field(struct http_head *head, const struct line *line, struct span name,
                      struct span value)
{
    if (equals(name, "Content-Length"))
        return read_content_length(head, line, value);
    if (equals(name, "Transfer-Encoding"))
        return read_transfer_encoding(head, line, value);
    if (equals(name, "Host") && ++head->hosts > 1)
        return fault(line, line->all.text, "a request has one Host");
    if (equals(name, "Expect") && equals(value, "100-continue"))
        head->expects = head->minor > 0;
    while (equals(name, "Connection") && value.length) {
        const struct span option = next_item(&value, ',');
        head->closes |= equals(option, "close");
        head->keep_alive |= equals(option, "keep-alive");
    }
    while (equals(name, "Accept") && value.length)
        head->wants_html |= is_accepted(next_item(&value, ','), "text/html");
    return 0;
}

/* A name and, at once, a colon: what has blanks there, or continues the line before, is understood
 * in different ways. */
static int read_field_line(struct http_head *head, const struct line *line)
{
    const struct span all = line->all;
    const char *const control = find_control(all);
    const size_t length = token_length(all);
    if (control)
        return fault(line, control, "a field has no control characters");
    if (is_blank(all.text[0]))
        return fault(line, all.text, "a line that continues the one before is not understood");
    if (length == 0 || length == all.length || all.text[length] != ':')
        return fault(line, all.text + length, "a field is a name, a colon and a value: Host: name");
    const struct span name = {all.text, length};
    const struct span value = {all.text + length + 1, all.length - length - 1};
    return read_field(head, line, name, trimmed(value));
}

/* What single lines cannot show. */
static int check_head(const struct http_head *head, const struct line *line)
{
    if (head->chunked && head->has_length)
        return fault(line, line->all.text,
                     "Transfer-Encoding and Content-Length together are not understood");
    if (head->minor > 0 && head->hosts == 0)
        return fault(line, line->all.text, "a request of HTTP/1.1 has a Host: Host: name");
    return 0;
}

static struct span next_line(const char *head, size_t length)
{
    const char *end = memchr(head, '\n', length);
    struct span line = {head, end ? (size_t)(end - head) : length};
    return line;
}

/* Without the CR before its LF. */
static struct span without_return(struct span line)
{
    line.length -= line.length && line.text[line.length - 1] == '\r';
    return line;
}

int http_head_parse(const char *text, size_t length, struct http_head *ret_head,
                    struct error *error)
{
    struct http_head head;
    struct span raw = next_line(text, length);
    const struct line first = {.all = without_return(raw), .error = error};
    int result = http_head_parse_line(first.all.text, first.all.length, &head, error);
    if (result == 0)
        head.keep_alive = head.minor > 0;
    for (size_t at = raw.length + 1; result == 0 && at < length; at += raw.length + 1) {
        raw = next_line(text + at, length - at);
        const struct line line = {.all = without_return(raw), .error = error};
        if (line.all.length == 0)
            break;
        result = read_field_line(&head, &line);
    }
    if (result == 0)
        result = check_head(&head, &first);
    if (result < 0)
        return result;
    head.keep_alive &= !head.closes;
    *ret_head = head;
    return 0;
}
