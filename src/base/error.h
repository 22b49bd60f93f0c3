/* What went wrong, in words for a person: the one error type of the library.
 *
 * Functions that can fail for a reason worth explaining take a `struct error *` as their last
 * argument and return 0 or a negative errno. Only a function that fails touches the error, and a
 * function that fails leaves its `ret_` outputs as they were. */
#pragma once

#include <stddef.h>

#define ERROR_NO_COLUMN ((size_t)-1)

struct error {
    int code;          /* positive errno, e.g. EINVAL; 0 while nothing has failed */
    size_t column;     /* byte offset into `text` of the offending character, or ERROR_NO_COLUMN */
    char text[192];    /* the input that `column` points into (cut when long), or "" */
    char message[384]; /* what was wrong and what would be right, without a full stop or newline */
};

/* Fills in `error` (which may be NULL) with a formatted message and no position.
 * Returns -code, so that a caller can write `return error_set(error, EINVAL, "…")`. */
__attribute__((format(printf, 3, 4))) int error_set(struct error *error, int code,
                                                    const char *format, ...);

/* The same for a fault at byte `column` of the `length` bytes at `text`. Long texts are cut around
 * the column and control characters are replaced, so that a caret under the column always fits. */
__attribute__((format(printf, 6, 7))) int error_set_at(struct error *error, int code,
                                                       const char *text, size_t length,
                                                       size_t column, const char *format, ...);
