/* Port specifications: whatever is read is printed in a form that reads back as the same set, and
 * whatever is refused has its fault inside the text. */
#include "net/port_set.h"
#include "net/service_file.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return service_set_file("/dev/null"); /* the same on every machine */
}

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_index(const struct port_set *set)
{
    uint32_t step = set->size / 64 + 1;
    for (uint32_t index = 0; index < set->size; index += step) {
        uint32_t found;
        require(port_set_find(set, port_set_at(set, index), &found) && found == index);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct port_set set = {0};
    struct error error = {0};
    if (size > 512) /* nothing new happens in long lists, slowly */
        return 0;
    if (port_set_parse((const char *)data, size, &set, &error) < 0) {
        require(set.size == 0 && error.code && error.message[0] && error.column <= size);
        return 0;
    }
    require(set.size > 0);
    check_index(&set);

    struct buffer text = {0};
    port_set_format(&set, &text);
    struct port_set again = {0};
    require(port_set_parse(text.data, text.length, &again, NULL) == 0);
    require(again.size == set.size && again.count == set.count);
    require(port_set_subtract(&again, &set) == 0 && again.size == 0);
    port_set_release(&again);
    buffer_release(&text);
    port_set_release(&set);
    return 0;
}
