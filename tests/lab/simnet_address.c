/* Addresses and ports in words, and the network that an address belongs to. */
#include "simnet.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

bool host_parse(const char *text, struct host *ret_host)
{
    unsigned char bytes[16] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, text, bytes + 12) != 1 && inet_pton(AF_INET6, text, bytes) != 1)
        return false;
    struct host host = {0};
    for (int i = 0; i < 8; i++) {
        host.high = host.high << 8 | bytes[i];
        host.low = host.low << 8 | bytes[8 + i];
    }
    *ret_host = host;
    return true;
}

const char *host_print(struct host host, char text[static 46])
{
    unsigned char bytes[16];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(host.high >> (56 - 8 * i));
        bytes[8 + i] = (unsigned char)(host.low >> (56 - 8 * i));
    }
    if (host_is_four(host))
        return inet_ntop(AF_INET, bytes + 12, text, 46);
    return inet_ntop(AF_INET6, bytes, text, 46);
}

bool prefix_parse(const char *text, struct host *ret_host, unsigned *ret_length)
{
    char copy[64];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    if (!host_parse(copy, ret_host))
        return false;
    unsigned most = host_is_four(*ret_host) ? 32 : 128, bits = most;
    if (slash) {
        char *end;
        unsigned long number = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end != 0 || number > most)
            return false;
        bits = (unsigned)number;
    }
    *ret_length = bits + 128 - most;
    return true;
}

bool hosts_parse(const char *text, struct host *ret_first, struct host *ret_last)
{
    const char *dash = strchr(text, '-');
    if (dash) {
        char copy[64];
        size_t length = (size_t)(dash - text);
        if (length >= sizeof copy)
            return false;
        memcpy(copy, text, length);
        copy[length] = 0;
        return host_parse(copy, ret_first) && host_parse(dash + 1, ret_last);
    }
    unsigned length;
    struct host host;
    if (!prefix_parse(text, &host, &length))
        return false;
    *ret_first = host_mask(host, length);
    *ret_last = (struct host){
        ret_first->high | (length >= 64 ? 0 : ~0ULL >> length),
        ret_first->low | (length == 128  ? 0
                          : length <= 64 ? ~0ULL
                                         : ~0ULL >> (length - 64)),
    };
    return true;
}

bool ports_parse(const char *text, unsigned *ret_first, unsigned *ret_last, const char **ret_rest)
{
    unsigned long numbers[2];
    char *end = (char *)text;
    for (int i = 0; i < 2; i++) {
        if (*end < '0' || *end > '9')
            return false;
        numbers[i] = strtoul(end, &end, 10);
        if (numbers[i] > 65535)
            return false;
        if (i == 0 && *end != '-') {
            numbers[1] = numbers[0];
            break;
        }
        end += i == 0;
    }
    if ((*end != 0 && *end != ',') || numbers[0] > numbers[1])
        return false;
    *ret_first = (unsigned)numbers[0];
    *ret_last = (unsigned)numbers[1];
    *ret_rest = *end == ',' ? end + 1 : end;
    return true;
}

static size_t prefix_slot(const struct description *description, struct host host, unsigned length)
{
    return (size_t)mix(mix(host.high + length) ^ host.low) & description->table_mask;
}

struct network *description_find(const struct description *description, struct host host)
{
    for (unsigned i = 0; i < description->length_count; i++) {
        unsigned length = description->lengths[i];
        struct host masked = host_mask(host, length);
        size_t slot = prefix_slot(description, masked, length);
        for (; description->table[slot].network; slot = (slot + 1) & description->table_mask)
            if (description->table[slot].length == length &&
                host_equal(description->table[slot].host, masked))
                return description->table[slot].network;
    }
    return NULL;
}

bool description_index(struct description *description)
{
    size_t size = 16;
    while (size < 4 * description->prefix_count)
        size *= 2;
    description->table = calloc(size, sizeof *description->table);
    if (!description->table)
        return false;
    description->table_mask = size - 1;
    bool used[129] = {false};
    for (size_t i = 0; i < description->prefix_count; i++) {
        const struct prefix *prefix = &description->prefixes[i];
        used[prefix->length] = true;
        size_t slot = prefix_slot(description, prefix->host, prefix->length);
        while (description->table[slot].network)
            slot = (slot + 1) & description->table_mask;
        description->table[slot] = *prefix;
    }
    for (unsigned length = 129; length-- > 0;)
        if (used[length])
            description->lengths[description->length_count++] = length;
    return true;
}
