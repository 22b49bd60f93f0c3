/* struct name_set: a sorted array. */
#include "net/name_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void name_set_release(struct name_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->items[i].name);
    free(set->items);
    *set = (struct name_set){0};
}

/* Where the address is, or where it belongs. */
static size_t find_place(const struct name_set *set, const struct address *address)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (address_compare(&set->items[middle].address, address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct name_set *set, size_t place, const struct address *address)
{
    return place < set->count && address_equal(&set->items[place].address, address);
}

int name_set_add(struct name_set *set, const struct address *address, const char *name)
{
    size_t place = find_place(set, address);
    if (is_at(set, place, address))
        return 0;
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    struct named_address *items = reallocarray(set->items, set->count + 1, sizeof(*items));
    if (!items) {
        free(copy);
        return -ENOMEM;
    }
    memmove(&items[place + 1], &items[place], (set->count - place) * sizeof(*items));
    items[place] = (struct named_address){.address = *address, .name = copy};
    set->items = items;
    set->count++;
    return 0;
}

const char *name_set_find(const struct name_set *set, const struct address *address)
{
    if (!set)
        return NULL;
    size_t place = find_place(set, address);
    return is_at(set, place, address) ? set->items[place].name : NULL;
}

void name_set_format(const struct name_set *set, struct buffer *buffer)
{
    char text[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < set->count; i++)
        buffer_add_format(buffer, "%s %s\n", address_format(&set->items[i].address, text),
                          set->items[i].name);
}

int name_set_parse(struct name_set *set, const char *text)
{
    while (*text) {
        char name[256];
        struct address address;
        size_t line = strcspn(text, "\n"), blank = strcspn(text, " \n");
        size_t length = line - blank;
        if (length < 2 || length > sizeof(name) || address_parse(text, blank, &address, NULL) < 0)
            return -EINVAL;
        memcpy(name, text + blank + 1, length - 1);
        name[length - 1] = '\0';
        int failed = name_set_add(set, &address, name);
        if (failed)
            return failed;
        text += line + (text[line] == '\n');
    }
    return 0;
}
