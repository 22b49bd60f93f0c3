/* A byte string that grows. Once an allocation has failed, the buffer stays as it is, `failed` is
 * true and every later addition is ignored, so that a caller checks once, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t length;
    size_t capacity;
    bool failed;
};

void buffer_release(struct buffer *buffer); /* frees the bytes; the buffer is empty and usable */
void buffer_clear(struct buffer *buffer);   /* forgets the bytes and keeps the memory */
bool buffer_reserve(struct buffer *buffer, size_t more); /* false when memory ran out */

void buffer_add(struct buffer *buffer, const void *bytes, size_t length);
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_character(struct buffer *buffer, char character);
__attribute__((format(printf, 2, 3))) void buffer_add_format(struct buffer *buffer,
                                                             const char *format, ...);

/* Drops the first `length` bytes. */
void buffer_consume(struct buffer *buffer, size_t length);
