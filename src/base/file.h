/* Whole files into memory, and bytes to a descriptor whatever the interruptions. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

/* Appends the whole of `path` ("-" is standard input) to `buffer`, up to `limit` bytes. Returns 0,
 * or -errno (-EFBIG above the limit) with an error that names the file. */
int file_read(const char *path, size_t limit, struct buffer *buffer, struct error *error);

/* Writes all of it. Returns 0 or -errno. */
int file_write(int fd, const void *bytes, size_t length);
