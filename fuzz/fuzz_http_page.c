/* Fuzzing of the HTTP reader and its page: how the bytes are cut changes nothing; a request ends in
 * one place only; and the answer is one well-formed message, of which the request chooses neither
 * the head nor, in HTML, any element. The first byte of the input chooses where it is cut. */
#include "base/clock.h"
#include "talk/http_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Adds them in pieces of `step` bytes, each an allocation of its own. Returns how it ended, and how
 * many were taken unless it was refused. */
static int feed(struct http_reader *reader, const uint8_t *bytes, size_t length, size_t step,
                size_t *ret_taken)
{
    int result = HTTP_MORE;
    size_t at = 0;
    while (at < length && result == HTTP_MORE) {
        const size_t count = step < length - at ? step : length - at;
        uint8_t *piece = malloc(count);
        struct error error = {0};
        size_t taken = 0;
        bool expects;
        require(piece);
        memcpy(piece, bytes + at, count);
        result = http_reader_add(reader, piece, count, &taken, &expects, &error);
        free(piece);
        require(result >= 0 || (error.code == -result && *error.message));
        require(result != HTTP_MORE || taken == count);
        at += taken;
    }
    *ret_taken = at;
    return result;
}

/* One message, and nothing behind it. Returns where its content begins. */
static const char *require_message(const struct buffer *answer, bool without_body)
{
    require(!answer->failed && strlen(answer->data) == answer->length);
    const char *content = strstr(answer->data, "\r\n\r\n");
    const char *length = strstr(answer->data, "\r\nContent-Length: ");
    require(content && length && length < content);
    content += 4;
    const size_t there = answer->length - (size_t)(content - answer->data);
    require(strtoul(length + 18, NULL, 10) == there || (without_body && there == 0));
    for (const char *at = content; *at; at++)
        require(*at == '\n' || *at == '\t' || ((unsigned char)*at >= 0x20 && *at != 0x7f));
    return content;
}

/* All elements are the page's own. */
static void require_elements(const char *html)
{
    static const char names[] = " !doctype html head meta link title style body main h1 h2 b table "
                                "tr th td pre strong footer ";
    for (const char *at = strchr(html, '<'); at; at = strchr(at + 1, '<')) {
        const char *name = at + 1 + (at[1] == '/');
        char word[16] = " ";
        const size_t length = strcspn(name, " >");
        require(length > 0 && length < sizeof(word) - 2);
        memcpy(word + 1, name, length);
        strcpy(word + 1 + length, " ");
        require(strstr(names, word) != NULL);
    }
}

static void require_page(const struct http_reader *reader)
{
    static const struct peer peer = {
        .kind = PEER_INTERNET, .address = {.family = ADDRESS_IPV4, .value = 1}, .port = 80};
    struct buffer answer = {0};
    http_page_add(&answer, reader, &peer, &peer, NANOSECONDS_PER_SECOND);
    const bool is_head = strncmp(reader->request.data, "HEAD ", 5) == 0;
    const char *content = require_message(&answer, is_head);
    if (strstr(answer.data, "Content-Type: text/html") < content &&
        strstr(answer.data, "Content-Type: text/html"))
        require_elements(content);
    buffer_release(&answer);
}

static void require_fault(int code)
{
    struct buffer answer = {0};
    struct error error = {.code = -code, .column = ERROR_NO_COLUMN, .message = "x"};
    require(code == -EPROTO || code == -E2BIG || code == -EFBIG);
    http_fault_add(&answer, code, &error);
    require_message(&answer, false);
    buffer_release(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct http_reader whole = {0}, pieces = {0};
    int result = HTTP_COMPLETE;
    if (length < 1)
        return 0;
    const size_t step = bytes[0] ? bytes[0] : 1;
    for (size_t at = 1; at < length && result == HTTP_COMPLETE;) {
        size_t taken, again;
        result = feed(&whole, bytes + at, length - at, length, &taken);
        require(feed(&pieces, bytes + at, length - at, step, &again) == result);
        if (result < 0) {
            require_fault(result);
            break;
        }
        require(taken == again && whole.body_size == pieces.body_size);
        require(whole.request.length == pieces.request.length &&
                whole.head_size == pieces.head_size && whole.head_size <= whole.request.length);
        require(whole.request.length == 0 ||
                memcmp(whole.request.data, pieces.request.data, whole.request.length) == 0);
        at += taken;
        if (result == HTTP_COMPLETE)
            require_page(&whole);
        http_reader_next(&whole);
        http_reader_next(&pieces);
    }
    http_reader_release(&whole);
    http_reader_release(&pieces);
    return 0;
}
