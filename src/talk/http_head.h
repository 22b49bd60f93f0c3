/* The head of an HTTP/1 request, taken apart (RFC 9112). Pure; nothing is copied. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_head {
    const char *method, *target; /* not NUL-terminated, without control characters */
    size_t method_length, target_length;
    unsigned minor; /* of HTTP/1.x */
    bool chunked;
    bool has_length; /* `content_length` was said */
    uint64_t content_length;
    bool keep_alive; /* another request may follow */
    bool closes;     /* `Connection: close` was said, which wins */
    bool expects;    /* 100 Continue */
    bool wants_html;
    unsigned hosts; /* how many Host fields there were */
};

/* The request line, without its line end: the first three members and `minor`. Returns 0, or
 * -EPROTO with an error that has the column. */
int http_head_parse_line(const char *line, size_t length, struct http_head *ret_head,
                         struct error *error);

/* A whole head, with the empty line at its end. Lines may end in LF alone. Whatever two readers
 * could understand in two ways is refused. The same errors; a Content-Length beyond all numbers is
 * UINT64_MAX. */
int http_head_parse(const char *head, size_t length, struct http_head *ret_head,
                    struct error *error);
