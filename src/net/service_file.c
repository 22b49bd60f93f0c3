/* Reading /etc/services: services(5). */
#include "net/service_file.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r';
}

/* A part of a line that is still to be read. */
struct span {
    const char *at, *end;
};

static void skip_blanks(struct span *span)
{
    while (span->at < span->end && is_blank(*span->at))
        span->at++;
    while (span->end > span->at && is_blank(span->end[-1]))
        span->end--;
}

/* The next word, empty at the end. */
static struct span next_word(struct span *span)
{
    skip_blanks(span);
    struct span word = {span->at, span->at};
    while (word.end < span->end && !is_blank(*word.end))
        word.end++;
    span->at = word.end;
    return word;
}

static bool is_printable(struct span span)
{
    for (const char *at = span.at; at < span.end; at++)
        if (!is_blank(*at) && (*at <= ' ' || *at > '~'))
            return false;
    return true;
}

/* "80/tcp" */
static bool read_port(struct span word, struct port *ret_port)
{
    const char *at = word.at;
    uint32_t number = 0;
    while (at < word.end && *at >= '0' && *at <= '9' && number <= 65535)
        number = number * 10 + (uint32_t)(*at++ - '0');
    if (at == word.at || number > 65535 || at == word.end || *at != '/')
        return false;
    at++;
    ret_port->number = (uint16_t)number;
    return protocol_find(at, (size_t)(word.end - at), &ret_port->protocol);
}

bool service_line_parse(const char *line, size_t length, struct service_line *ret_line)
{
    if (length == 0)
        return false;
    const char *hash = memchr(line, '#', length);
    struct span content = {line, hash ? hash : line + length};
    struct span comment = {hash ? hash + 1 : line + length, line + length};
    struct span name = next_word(&content);
    struct span key = next_word(&content);
    struct port port;
    skip_blanks(&content);
    skip_blanks(&comment);
    if (!read_port(key, &port) || !is_printable(name) || !is_printable(content))
        return false;
    *ret_line = (struct service_line){
        .port = port,
        .name = name.at,
        .name_length = (size_t)(name.end - name.at),
        .aliases = content.at,
        .aliases_length = (size_t)(content.end - content.at),
        .comment = comment.at,
        .comment_length = (size_t)(comment.end - comment.at),
    };
    return true;
}

/* The part of the file's own text as a string: the byte after it, which is a blank, a '#', the
 * line's end or the text's, is none of any other part. */
static const char *terminated(const struct service_file *file, const char *part, size_t length)
{
    char *text = file->text + (part - file->text);
    text[length] = '\0';
    return text;
}

static int add_entry(struct service_file *file, size_t *capacity, const struct service_line *line)
{
    if (file->count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 256;
        struct service_file_entry *entries =
            reallocarray(file->entries, wanted, sizeof(*file->entries));
        if (!entries)
            return -ENOMEM;
        file->entries = entries;
        *capacity = wanted;
    }
    file->entries[file->count++] = (struct service_file_entry){
        .port = line->port,
        .name = terminated(file, line->name, line->name_length),
        .aliases = terminated(file, line->aliases, line->aliases_length),
        .comment = terminated(file, line->comment, line->comment_length),
    };
    return 0;
}

static int compare_ports(struct port one, struct port other)
{
    if (one.number != other.number)
        return one.number < other.number ? -1 : 1;
    return (one.protocol > other.protocol) - (one.protocol < other.protocol);
}

static int compare_entries(const void *one, const void *other)
{
    const struct service_file_entry *first = one;
    const struct service_file_entry *second = other;
    int order = compare_ports(first->port, second->port);
    return order ? order : (first->name > second->name) - (first->name < second->name);
}

int service_file_parse(struct service_file *file, char *text, size_t length)
{
    *file = (struct service_file){.text = text};
    size_t capacity = 0;
    text[length] = '\0';
    for (size_t start = 0; start < length;) {
        const char *newline = memchr(text + start, '\n', length - start);
        size_t end = newline ? (size_t)(newline - text) : length;
        struct service_line line;
        if (service_line_parse(text + start, end - start, &line) &&
            add_entry(file, &capacity, &line) < 0) {
            service_file_release(file);
            return -ENOMEM;
        }
        start = end + 1;
    }
    if (file->count)
        qsort(file->entries, file->count, sizeof(*file->entries), compare_entries);
    return 0;
}

int service_file_read(struct service_file *file, const char *path)
{
    const size_t limit = (size_t)16 << 20; /* what is longer is no services file */
    struct buffer buffer = {0};
    int r = file_read(path, limit, &buffer, NULL);
    if (r == 0 && !buffer_reserve(&buffer, 1)) /* an empty file has no memory yet */
        r = -ENOMEM;
    if (r < 0) {
        buffer_release(&buffer);
        return r;
    }
    return service_file_parse(file, buffer.data, buffer.length);
}

void service_file_release(struct service_file *file)
{
    free(file->entries);
    free(file->text);
    *file = (struct service_file){0};
}

const struct service_file_entry *service_file_find(const struct service_file *file,
                                                   struct port port)
{
    size_t low = 0;
    size_t high = file->count;
    while (low < high) { /* the first entry that is not below the port */
        size_t middle = low + (high - low) / 2;
        if (compare_ports(file->entries[middle].port, port) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == file->count || compare_ports(file->entries[low].port, port) != 0)
        return NULL;
    return &file->entries[low];
}
