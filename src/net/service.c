/* Names of ports: the compiled-in registry, and /etc/services before it. */
#include "net/service.h"

#include "base/text.h"
#include "net/port_bits.h"
#include "net/service_file.h"
#include "net/service_table.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

static struct service_file system_file;
static pthread_once_t system_file_once = PTHREAD_ONCE_INIT;

/* A machine without the file, or one that can't be read, has the registry alone. */
static void read_system_file(void)
{
    service_file_read(&system_file, "/etc/services");
}

static void read_nothing(void)
{
}

int service_set_file(const char *path)
{
    struct service_file file;
    int r = service_file_read(&file, path);
    if (r < 0)
        return r;
    pthread_once(&system_file_once, read_nothing);
    service_file_release(&system_file);
    system_file = file;
    return 0;
}

static struct service registry_service(uint32_t row, struct port port)
{
    const char *name = service_text + SERVICE_ROW_TEXT(service_rows[row]);
    const char *description = name + strlen(name) + 1;
    return (struct service){
        .port = port,
        .name = name,
        .description = description,
        .aliases = description + strlen(description) + 1,
        .source = SERVICE_REGISTRY,
    };
}

static bool registry_find(struct port port, struct service *ret_service)
{
    uint32_t low = 0;
    uint32_t high = service_count;
    while (low < high) { /* the first row that is not below the port */
        uint32_t middle = low + (high - low) / 2;
        if (service_ports[middle] < port.number)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < service_count && service_ports[low] == port.number; low++)
        if (SERVICE_ROW_PROTOCOLS(service_rows[low]) & 1u << port.protocol) {
            *ret_service = registry_service(low, port);
            return true;
        }
    return false;
}

bool service_find(struct port port, struct service *ret_service)
{
    pthread_once(&system_file_once, read_system_file);
    struct service service;
    bool registered = registry_find(port, &service);
    const struct service_file_entry *entry = service_file_find(&system_file, port);
    if (entry && !(registered && strcasecmp(entry->name, service.name) == 0))
        service = (struct service){
            .port = port,
            .name = entry->name,
            .description = entry->comment,
            .aliases = entry->aliases,
            .source = SERVICE_SYSTEM,
        };
    else if (!registered)
        return false;
    *ret_service = service;
    return true;
}

/* Called for each name of a port in `protocols`, a bit for each; `name` is not NUL-terminated. */
typedef void name_fn(void *user, const char *name, size_t length, uint16_t port,
                     uint32_t protocols);

static void each_word(const char *words, uint16_t port, uint32_t protocols, name_fn *each,
                      void *user)
{
    static const char blanks[] = " \t\r";
    for (words += strspn(words, blanks); *words; words += strspn(words, blanks)) {
        size_t length = strcspn(words, blanks);
        each(user, words, length, port, protocols);
        words += length;
    }
}

/* Every name and alias that either source knows, by port, the registry's first. */
static void each_name(name_fn *each, void *user)
{
    pthread_once(&system_file_once, read_system_file);
    for (uint32_t i = 0; i < service_count; i++) {
        uint32_t protocols = SERVICE_ROW_PROTOCOLS(service_rows[i]);
        struct service service = registry_service(i, (struct port){0});
        each(user, service.name, strlen(service.name), service_ports[i], protocols);
        each_word(service.aliases, service_ports[i], protocols, each, user);
    }
    for (size_t i = 0; i < system_file.count; i++) {
        const struct service_file_entry *entry = &system_file.entries[i];
        uint32_t protocols = 1u << entry->port.protocol;
        each(user, entry->name, strlen(entry->name), entry->port.number, protocols);
        each_word(entry->aliases, entry->port.number, protocols, each, user);
    }
}

static char lower(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character | 0x20) : character;
}

struct search {
    const char *pattern;
    size_t length;
    uint32_t protocols;
    struct port_bits found;
};

static void match_name(void *user, const char *name, size_t length, uint16_t port,
                       uint32_t protocols)
{
    struct search *search = user;
    protocols &= search->protocols;
    if (!protocols || !text_matches(search->pattern, search->length, name, length))
        return;
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        if (protocols & 1u << protocol)
            port_bits_put(&search->found, (struct port){protocol, port});
}

static bool nothing_found(const struct search *search, uint32_t word)
{
    uint64_t bits = 0;
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        bits |= search->found.words[protocol][word];
    return bits == 0;
}

int service_walk(const char *pattern, size_t length, enum protocol protocol, service_fn *each,
                 void *user)
{
    struct search search = {
        .pattern = pattern,
        .length = length,
        .protocols = protocol == PROTOCOL_COUNT ? UINT32_MAX : 1u << protocol,
    };
    each_name(match_name, &search);
    int r = 0;
    for (uint32_t number = 0; number <= 65535; number++) {
        if (number % 64 == 0 && nothing_found(&search, number / 64)) {
            number += 63;
            continue;
        }
        for (enum protocol p = 0; p < PROTOCOL_COUNT; p++) {
            struct port port = {p, (uint16_t)number};
            struct service service;
            if (!port_bits_has(&search.found, port) || !service_find(port, &service))
                continue;
            r = each(user, &service);
            if (r != 0)
                return r;
        }
    }
    return r;
}

/* The name that looks most like a word so far. */
struct likeness {
    char word[SERVICE_NAME_SIZE]; /* in lower case */
    size_t length;
    unsigned rank; /* lower is nearer */
    char *name;    /* SERVICE_NAME_SIZE bytes */
};

/* Twice the edits, and one more when the first letters differ, for few people mistype those; a name
 * that the word begins ("postg") stands between one edit and two. */
static unsigned likeness_rank(const struct likeness *likeness, const char *name, size_t length)
{
    if (likeness->length >= 3 && length > likeness->length &&
        strncasecmp(name, likeness->word, likeness->length) == 0)
        return 3;
    size_t apart =
        length > likeness->length ? length - likeness->length : likeness->length - length;
    if (2 * apart >= likeness->rank)
        return (unsigned)-1; /* as many insertions are too many already */
    return 2 * text_edits(likeness->word, name) + (lower(name[0]) != likeness->word[0]);
}

static void compare_name(void *user, const char *name, size_t length, uint16_t port,
                         uint32_t protocols)
{
    struct likeness *likeness = user;
    (void)port;
    (void)protocols;
    if (length >= SERVICE_NAME_SIZE)
        return;
    char candidate[SERVICE_NAME_SIZE];
    memcpy(candidate, name, length);
    candidate[length] = '\0';
    unsigned rank = likeness_rank(likeness, candidate, length);
    if (rank >= likeness->rank)
        return; /* of equals the lowest port is meant, which is the better known */
    likeness->rank = rank;
    memcpy(likeness->name, candidate, length + 1);
}

const char *service_nearest(const char *word, size_t length, char name[static SERVICE_NAME_SIZE])
{
    if (length < 2 || length >= SERVICE_NAME_SIZE)
        return NULL;
    char found[SERVICE_NAME_SIZE] = "";
    unsigned edits = length <= 3 ? 1 : length <= 7 ? 2 : 3;
    struct likeness likeness = {.length = length, .rank = 2 * edits + 2, .name = found};
    for (size_t i = 0; i < length; i++)
        likeness.word[i] = lower(word[i]);
    each_name(compare_name, &likeness);
    return found[0] ? memcpy(name, found, sizeof(found)) : NULL;
}
