/* Reading whole files, writing whole buffers. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536

/* Returns 0 or -errno. */
static int read_all(int fd, size_t limit, struct buffer *buffer)
{
    size_t start = buffer->length;
    for (;;) {
        if (!buffer_reserve(buffer, CHUNK))
            return -ENOMEM;
        ssize_t got = read(fd, buffer->data + buffer->length, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        buffer->length += (size_t)got;
        buffer->data[buffer->length] = '\0';
        if (got == 0)
            return 0;
        if (buffer->length - start > limit)
            return -EFBIG;
    }
}

int file_read(const char *path, size_t limit, struct buffer *buffer, struct error *error)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, errno, "cannot open '%s': %s", name, strerror(errno));
    int failed = read_all(fd, limit, buffer);
    if (!standard)
        close(fd);
    if (failed == -EFBIG)
        return error_set(error, EFBIG, "'%s' is larger than %zu MiB", name, limit >> 20);
    if (failed)
        return error_set(error, -failed, "cannot read '%s': %s", name, strerror(-failed));
    return 0;
}

int file_write(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        length -= (size_t)written;
    }
    return 0;
}
