/* JSON strings of the transcript's records, for the files that make them. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Is it printable UTF-8, where \t, \r and \n count as printable? */
bool transcript_is_text(const void *bytes, size_t length);

/* A JSON string in ASCII, with its quotes, of well-formed UTF-8. */
void transcript_add_string(struct buffer *lines, const void *text, size_t length);
