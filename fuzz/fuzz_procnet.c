/* Fuzzing of procnet_read(). The input is the number of a file, and its text. */
#include "local/diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char *const files[] = {"tcp",      "tcp6", "udp",  "udp6", "udplite",
                                        "udplite6", "raw",  "raw6", "unix"};
    if (length < 1)
        return 0;
    const char *file = files[bytes[0] % (sizeof(files) / sizeof(files[0]))];
    struct socket_list list;
    struct error error = {0};
    socket_list_init(&list);
    const int code =
        procnet_read((const char *)bytes + 1, length - 1, file, NULL, 9, &list, &error);
    require(code == 0 || (code == -EBADMSG && error.code == EBADMSG));
    for (size_t i = 0; i < list.count; i++) {
        const struct socket_entry *entry = &list.entries[i];
        require(entry->kind < SOCKET_KINDS && entry->space == 9);
        require(entry->state >= SOCKET_ESTABLISHED && entry->state < SOCKET_STATES);
        require((entry->family == ADDRESS_NONE) == (strcmp(file, "unix") == 0));
        require(!entry->path || (entry->family == ADDRESS_NONE && !strchr(entry->path, '\n')));
    }
    socket_list_release(&list);
    return 0;
}
