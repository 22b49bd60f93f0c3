/* The page with which `listen --http` answers: the request as it came. Pure. */
#pragma once

#include "base/buffer.h"
#include "talk/peer.h"

#include <stdbool.h>
#include <stddef.h>

/* One connection's HTTP/1 requests, read as the bytes come; zeroed at first. */
struct http_reader {
    /* The present one, as it came: its head, and of its body, chunks included, the beginning. */
    struct buffer request;
    size_t head_size;   /* of `request` */
    uint64_t body_size; /* without what chunks add; the whole of it, also where less is kept */
    bool keep_alive;    /* another request may follow */

    unsigned state;  /* private */
    size_t line;     /* private: where the present line of the head begins, or how long it is */
    uint64_t left;   /* private: bytes of the body, or of a chunk, that are still to come */
    uint64_t framed; /* private: bytes behind the head */
};

enum http_progress {
    HTTP_MORE,     /* the request is not complete */
    HTTP_COMPLETE, /* it is in `request`: answer it, then http_reader_next() */
};

/* Takes bytes up to the end of one request: head, and body by Content-Length or chunks (RFC 9112).
 * What two readers could understand in two ways (request smuggling) is refused. `*ret_taken` is how
 * many. Returns an enum http_progress, or -EPROTO (answer 400), -E2BIG (a head
 * of over 64 KiB: answer 431), -EFBIG (a body of over 16 MiB, with its chunks' sizes:
 * answer 413) or -ENOMEM, with an error; then the connection is of no more use. *ret_continue is
 * true once where an `Expect: 100-continue` waits for the caller to say "HTTP/1.1 100 Continue" and
 * an empty line. */
int http_reader_add(struct http_reader *reader, const void *bytes, size_t length, size_t *ret_taken,
                    bool *ret_continue, struct error *error);
void http_reader_next(struct http_reader *reader);
void http_reader_release(struct http_reader *reader);

/* The answer to a complete request: status line, headers, and a page that shows who asked
 * (`remote`, `local`), when, and the request as it came, escaped: HTML for who accepts text/html,
 * else plain text. Every header byte is ours: nothing of the request gets into the head. For HEAD
 * no body. */
void http_page_add(struct buffer *answer, const struct http_reader *reader,
                   const struct peer *remote, const struct peer *local, uint64_t wall);

/* The answer to what http_reader_add() refused with `code` (negative errno), closing. */
void http_fault_add(struct buffer *answer, int code, const struct error *error);
