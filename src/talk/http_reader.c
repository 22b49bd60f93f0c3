/* Where one HTTP/1 request ends and the next one begins, however the bytes arrive. */
#include "talk/http_head.h"
#include "talk/http_page.h"

#include <errno.h>
#include <string.h>

#define HEAD_LIMIT ((size_t)64 << 10)
#define BODY_LIMIT ((uint64_t)16 << 20)
#define BODY_KEPT ((size_t)256 << 10) /* for the page */

/* After the head; each chunk is SIZE LF DATA CR DATA_LF, the last one SIZE LF TRAILER. Here lines
 * end in CR LF and nothing else: readers differ about anything else. */
enum state {
    STATE_HEAD,
    STATE_BODY, /* by Content-Length */
    STATE_CHUNK_SIZE,
    STATE_CHUNK_EXTENSION,
    STATE_CHUNK_LF,
    STATE_CHUNK_DATA,
    STATE_CHUNK_DATA_CR,
    STATE_CHUNK_DATA_LF,
    STATE_TRAILER,
    STATE_TRAILER_LF,
    STATE_COMPLETE,
    STATE_REFUSED,
};

static size_t smaller(uint64_t one, uint64_t other)
{
    return (size_t)(one < other ? one : other);
}

static int body_too_large(struct error *error)
{
    return error_set(error, EFBIG, "a body of over %u MiB is not read",
                     (unsigned)(BODY_LIMIT >> 20));
}

/* ---- the head ---- */

/* What begins like this cannot become a request; it need not be waited for. */
static int check_first(unsigned char byte, struct error *error)
{
    if (byte == 0x16)
        return error_set(error, EPROTO, "this is not HTTP but looks like TLS: try http://");
    if ((byte < 0x20 && byte != '\r' && byte != '\n') || byte >= 0x7f)
        return error_set(error, EPROTO, "this is not HTTP");
    return 0;
}

/* Of the present line, without its CR and LF. */
static size_t line_length(const struct http_reader *reader)
{
    const char *data = reader->request.data;
    size_t end = reader->request.length - 1;
    end -= end > reader->line && data[end - 1] == '\r';
    return end - reader->line;
}

static int begin_body(struct http_reader *reader, struct http_head *head, struct error *error)
{
    reader->head_size = reader->request.length;
    reader->keep_alive = head->keep_alive;
    reader->line = 0;
    reader->left = head->content_length;
    if (head->content_length > BODY_LIMIT)
        return body_too_large(error);
    if (head->chunked)
        reader->state = STATE_CHUNK_SIZE;
    else
        reader->state = head->content_length ? STATE_BODY : STATE_COMPLETE;
    return 0;
}

/* A line of the head is there. `ret_expects` as in struct http_head. */
static int end_line(struct http_reader *reader, bool *ret_expects, struct error *error)
{
    struct http_head head;
    const size_t length = line_length(reader);
    int result = 0;
    if (length > 0 && reader->line == 0) /* a wrong request line is told at once */
        result = http_head_parse_line(reader->request.data, length, &head, error);
    reader->line = reader->request.length;
    if (length > 0)
        return result;
    if (reader->request.length <= 2) { /* empty lines before it mean nothing (RFC 9112 §2.2) */
        reader->line = 0;
        buffer_clear(&reader->request);
        return 0;
    }
    result = http_head_parse(reader->request.data, reader->request.length, &head, error);
    if (result == 0)
        result = begin_body(reader, &head, error);
    if (result == 0)
        *ret_expects = head.expects;
    return result;
}

/* Takes bytes up to the end of a line. Returns how many, or an error. */
static int take_head(struct http_reader *reader, const char *bytes, size_t length,
                     size_t *ret_taken, bool *ret_expects, struct error *error)
{
    const char *end = memchr(bytes, '\n', length);
    const size_t count = end ? (size_t)(end - bytes) + 1 : length;
    int result = reader->request.length ? 0 : check_first((unsigned char)bytes[0], error);
    if (result < 0)
        return result;
    if (count > HEAD_LIMIT - reader->request.length)
        return error_set(error, E2BIG, "a head of over %zu KiB is not read", HEAD_LIMIT >> 10);
    buffer_add(&reader->request, bytes, count);
    *ret_taken = count;
    if (reader->request.failed)
        return error_set(error, ENOMEM, "out of memory");
    return end ? end_line(reader, ret_expects, error) : 0;
}

/* ---- the body ---- */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

static int step_size(struct http_reader *reader, char byte, struct error *error)
{
    const int value = hex_value(byte);
    if (value >= 0) {
        reader->left = reader->left * 16 + (unsigned)value;
        reader->line++;
        return reader->left > BODY_LIMIT ? body_too_large(error) : 0;
    }
    if (reader->line == 0)
        return error_set(error, EPROTO, "a chunk begins with its size, in hexadecimal digits");
    if (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t')
        return error_set(error, EPROTO, "a chunk's size ends in CR LF");
    reader->state = byte == '\r' ? STATE_CHUNK_LF : STATE_CHUNK_EXTENSION;
    return 0;
}

/* Passes a line over, up to its CR. */
static int step_line(struct http_reader *reader, char byte, enum state next, struct error *error)
{
    const unsigned char value = (unsigned char)byte;
    if (byte == '\r')
        reader->state = next;
    else if ((value < 0x20 && byte != '\t') || value == 0x7f)
        return error_set(error, EPROTO, "among chunks, lines are of text and end in CR LF");
    else
        reader->line++;
    return 0;
}

/* Behind the size of a chunk: its bytes, or, when it is the last one, the trailer. */
static void begin_chunk(struct http_reader *reader)
{
    reader->line = 0;
    reader->state = reader->left ? STATE_CHUNK_DATA : STATE_TRAILER;
}

static void begin_size(struct http_reader *reader)
{
    reader->line = 0;
    reader->left = 0;
    reader->state = STATE_CHUNK_SIZE;
}

static void end_trailer_line(struct http_reader *reader)
{
    reader->state = reader->line ? STATE_TRAILER : STATE_COMPLETE;
    reader->line = 0;
}

/* One byte of what is around the chunks. */
static int step(struct http_reader *reader, char byte, struct error *error)
{
    const bool feeds = byte == '\n';
    switch ((enum state)reader->state) {
    case STATE_CHUNK_SIZE:
        return step_size(reader, byte, error);
    case STATE_CHUNK_EXTENSION:
        return step_line(reader, byte, STATE_CHUNK_LF, error);
    case STATE_TRAILER:
        return step_line(reader, byte, STATE_TRAILER_LF, error);
    case STATE_CHUNK_DATA_CR:
        if (byte != '\r')
            return error_set(error, EPROTO, "a chunk is longer than its size says");
        reader->state = STATE_CHUNK_DATA_LF;
        return 0;
    case STATE_CHUNK_LF:
        if (feeds)
            begin_chunk(reader);
        break;
    case STATE_CHUNK_DATA_LF:
        if (feeds)
            begin_size(reader);
        break;
    case STATE_TRAILER_LF:
        if (feeds)
            end_trailer_line(reader);
        break;
    default:
        return error_set(error, EPROTO, "nothing more is read after a fault");
    }
    return feeds ? 0 : error_set(error, EPROTO, "a CR without an LF");
}

static void take_content(struct http_reader *reader, size_t count)
{
    reader->left -= count;
    reader->body_size += count;
    if (reader->left == 0)
        reader->state = reader->state == STATE_BODY ? STATE_COMPLETE : STATE_CHUNK_DATA_CR;
}

/* What is beyond the kept beginning is only counted. */
static int keep(struct http_reader *reader, const char *bytes, size_t count, struct error *error)
{
    const size_t kept = reader->request.length - reader->head_size;
    reader->framed += count;
    if (reader->framed > BODY_LIMIT)
        return body_too_large(error);
    buffer_add(&reader->request, bytes, smaller(count, BODY_KEPT - kept));
    return reader->request.failed ? error_set(error, ENOMEM, "out of memory") : 0;
}

static int take_body(struct http_reader *reader, const char *bytes, size_t length,
                     size_t *ret_taken, struct error *error)
{
    const bool content = reader->state == STATE_BODY || reader->state == STATE_CHUNK_DATA;
    const size_t count = content ? smaller(length, reader->left) : 1;
    int result = 0;
    if (content)
        take_content(reader, count);
    else
        result = step(reader, bytes[0], error);
    *ret_taken = count;
    return result == 0 ? keep(reader, bytes, count, error) : result;
}

int http_reader_add(struct http_reader *reader, const void *bytes, size_t length, size_t *ret_taken,
                    bool *ret_continue, struct error *error)
{
    const char *from = bytes;
    size_t at = 0;
    bool expects = false;
    while (at < length && reader->state != STATE_COMPLETE) {
        size_t taken = 0;
        int result = reader->state == STATE_HEAD
                         ? take_head(reader, from + at, length - at, &taken, &expects, error)
                         : take_body(reader, from + at, length - at, &taken, error);
        if (result < 0) {
            reader->state = STATE_REFUSED;
            return result;
        }
        at += taken;
    }
    *ret_taken = at;
    /* Who has sent some of the body does not wait to be asked for it (RFC 9110 §10.1.1). */
    *ret_continue = expects && reader->state != STATE_COMPLETE && reader->framed == 0;
    return reader->state == STATE_COMPLETE ? HTTP_COMPLETE : HTTP_MORE;
}

void http_reader_next(struct http_reader *reader)
{
    struct buffer request = reader->request;
    buffer_clear(&request);
    *reader = (struct http_reader){.request = request};
}

void http_reader_release(struct http_reader *reader)
{
    buffer_release(&reader->request);
    *reader = (struct http_reader){0};
}
