/* /etc/services: any bytes become a sorted table of strings that are safe to use. */
#include "net/service_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct service_line line;
    service_line_parse((const char *)data, size, &line); /* in memory that ends with the line */

    char *text = malloc(size + 1);
    struct service_file file;
    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    require(service_file_parse(&file, text, size) == 0);
    for (size_t i = 0; i < file.count; i++) {
        const struct service_file_entry *entry = &file.entries[i];
        require(strlen(entry->name) > 0);
        require(strlen(entry->name) + strlen(entry->aliases) + strlen(entry->comment) < size);
        const struct service_file_entry *first = service_file_find(&file, entry->port);
        require(first && first <= entry && first->port.number == entry->port.number);
    }
    service_file_release(&file);
    return 0;
}
