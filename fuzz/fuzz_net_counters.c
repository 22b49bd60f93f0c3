/* Counters of protocols and multicast groups from the texts of /proc/net. The first byte says which
 * kind of text it is. */
#include "local/net_counters.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int take_counter(void *user, const struct net_counter *counter)
{
    size_t *count = user;
    if (memchr(counter->name, '\0', sizeof(counter->name)) == NULL || counter->name[0] == '\0' ||
        memchr(counter->section, '\0', sizeof(counter->section)) == NULL)
        abort();
    return ++*count > 1000; /* the reader ends when it is told to */
}

static int take_group(void *user, const struct net_group *group)
{
    size_t *count = user;
    if (memchr(group->interface, '\0', sizeof(group->interface)) == NULL ||
        group->interface[0] == '\0' || group->group.family == ADDRESS_NONE)
        abort();
    return ++*count > 1000;
}

/* The colon behind the name is no part of it. */
static int take_group4(void *user, const struct net_group *group)
{
    const size_t length = strlen(group->interface);
    if (length > 1 && group->interface[length - 1] == ':')
        abort();
    return take_group(user, group);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct error error;
    size_t count = 0;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    switch (data[0] % 4) {
    case 0:
        net_counters_read(text, size - 1, take_counter, &count, &error);
        break;
    case 1:
        net_counters_read6(text, size - 1, take_counter, &count, &error);
        break;
    case 2:
        net_groups_read(text, size - 1, take_group4, &count, &error);
        break;
    default:
        net_groups_read6(text, size - 1, take_group, &count, &error);
    }
    return 0;
}
