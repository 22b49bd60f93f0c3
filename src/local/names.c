/* Names of addresses: a sorted table, questions to c-ares, and the hosts file. */
#include "local/names.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_LIMIT (64 * 1024 * 1024)
#define LIMIT_MAXIMUM (3600 * NANOSECONDS_PER_SECOND)

enum {
    IN_FLIGHT = 64,   /* questions at a time: name servers drop what comes in a burst */
    ATTEMPT_MS = 250, /* until a question is repeated; c-ares doubles it each time */
    ATTEMPTS = 3,
    NAME_LIMIT = 253, /* RFC 1035 §2.3.4, without the root's dot */
};

enum name_state {
    NAME_WANTED,
    NAME_ASKED,
    NAME_SETTLED, /* there is one, or there is none */
};

struct name_item {
    struct address address; /* without a scope */
    const char *name;       /* NULL: none */
    size_t order;           /* in which they came */
    enum name_state state;
};

struct names {
    ares_channel channel;
    struct name_item *items; /* ascending by address */
    size_t count, capacity;
    size_t added;
    size_t next; /* the first that may be wanted */
    size_t in_flight;
    bool closing;
    struct arena arena; /* of names */
};

/* ---- the table ---- */

static struct address without_scope(const struct address *address)
{
    struct address plain = *address;
    plain.scope = 0;
    return plain;
}

/* Among the first `count` items. */
static struct name_item *find_item(const struct names *names, size_t count,
                                   const struct address *address)
{
    const struct address wanted = without_scope(address);
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = address_compare(&names->items[middle].address, &wanted);
        if (order == 0)
            return &names->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int compare_items(const void *one, const void *other)
{
    const struct name_item *left = one, *right = other;
    const int order = address_compare(&left->address, &right->address);
    return order != 0 ? order : (left->order > right->order) - (left->order < right->order);
}

/* Puts what was appended into its place, each address once: the first one stays. */
static void sort_items(struct names *names)
{
    if (names->count > 0)
        qsort(names->items, names->count, sizeof(*names->items), compare_items);
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++)
        if (kept == 0 || !address_equal(&names->items[kept - 1].address, &names->items[i].address))
            names->items[kept++] = names->items[i];
    names->count = kept;
    names->next = 0;
}

static int append_item(struct names *names, const struct address *address, const char *name,
                       enum name_state state)
{
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity ? names->capacity * 2 : 64;
        struct name_item *items = reallocarray(names->items, capacity, sizeof(*items));
        if (!items)
            return -ENOMEM;
        names->items = items;
        names->capacity = capacity;
    }
    names->items[names->count++] = (struct name_item){
        .address = without_scope(address), .name = name, .order = names->added++, .state = state};
    return 0;
}

/* Servers and files are not to be trusted with a terminal. NULL: it is no name of a host. */
static const char *keep_name(struct names *names, const char *name, size_t length)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    while (length > 0 && name[length - 1] == '.')
        length--;
    if (length == 0 || length > NAME_LIMIT || name[0] == '-' || name[0] == '.')
        return NULL;
    for (size_t i = 0; i < length; i++)
        if (!memchr(allowed, name[i], sizeof(allowed) - 1))
            return NULL;
    char *kept = arena_take(&names->arena, length + 1);
    if (kept)
        memcpy(kept, name, length);
    return kept;
}

/* ---- the hosts file ---- */

/* The next word of a line; its length is 0 at the end. */
static size_t next_word(const char *line, size_t length, size_t *at)
{
    while (*at < length && (line[*at] == ' ' || line[*at] == '\t' || line[*at] == '\r'))
        ++*at;
    size_t end = *at;
    while (end < length && !memchr(" \t\r#", line[end], 4))
        end++;
    return end - *at;
}

/* "192.0.2.1 name alias": the first name counts. Lines that make no sense are left out. */
static int read_hosts_line(struct names *names, const char *line, size_t length)
{
    size_t at = 0;
    struct address address;
    const size_t first = next_word(line, length, &at);
    if (first == 0 || first >= ADDRESS_TEXT_SIZE ||
        address_parse(line + at, first, &address, NULL) != 0 || address.value == 0)
        return 0; /* also those that only block names, by 0.0.0.0 */
    at += first;
    const size_t second = next_word(line, length, &at);
    const char *name = keep_name(names, line + at, second);
    return name ? append_item(names, &address, name, NAME_SETTLED) : 0;
}

static int read_hosts(struct names *names, const char *path)
{
    struct buffer text = {0};
    int code = 0;
    if (file_read(path, HOSTS_LIMIT, &text, NULL) != 0)
        text.length = 0; /* a machine without one */
    size_t at = 0;
    while (at < text.length && code == 0) {
        const char *end = memchr(text.data + at, '\n', text.length - at);
        const size_t stop = end ? (size_t)(end - text.data) : text.length;
        code = read_hosts_line(names, text.data + at, stop - at);
        at = stop + 1;
    }
    buffer_release(&text);
    sort_items(names);
    return code;
}

/* ---- questions ---- */

/* Which address was asked for: items move, so that none is pointed to. */
struct question {
    struct names *names;
    struct address address;
};

static void take_answer(void *user, int status, int timeouts, struct hostent *host)
{
    struct question *question = user;
    struct names *names = question->names;
    (void)timeouts;
    names->in_flight--;
    struct name_item *item =
        names->closing ? NULL : find_item(names, names->count, &question->address);
    if (item) {
        item->state = NAME_SETTLED;
        if (status == ARES_SUCCESS && host && host->h_name)
            item->name = keep_name(names, host->h_name, strlen(host->h_name));
    }
    free(question);
}

static int ask(struct names *names, struct name_item *item)
{
    struct question *question = malloc(sizeof(*question));
    if (!question)
        return -ENOMEM;
    *question = (struct question){.names = names, .address = item->address};
    item->state = NAME_ASKED;
    names->in_flight++;
    unsigned char bytes[16];
    const bool ipv4 = item->address.family == ADDRESS_IPV4;
    const int length = ipv4 ? 4 : 16;
    for (int i = 0; i < length; i++)
        bytes[length - 1 - i] = (unsigned char)(item->address.value >> (8 * i));
    /* It may call back at once. */
    ares_gethostbyaddr(names->channel, bytes, length, ipv4 ? AF_INET : AF_INET6, take_answer,
                       question);
    return 0;
}

static void ask_more(struct names *names)
{
    while (names->in_flight < IN_FLIGHT && names->next < names->count) {
        struct name_item *item = &names->items[names->next++];
        if (item->state == NAME_WANTED && ask(names, item) != 0)
            item->state = NAME_SETTLED;
    }
}

/* Waits for one of c-ares's sockets, or for its time; at most `limit` nanoseconds. */
static void wait_once(struct names *names, uint64_t limit)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd polled[ARES_GETSOCK_MAXNUM];
    const unsigned mask = (unsigned)ares_getsock(names->channel, sockets, ARES_GETSOCK_MAXNUM);
    nfds_t count = 0;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        /* c-ares's own macros shift into the sign. */
        const bool reads = mask >> i & 1, writes = mask >> (i + ARES_GETSOCK_MAXNUM) & 1;
        if (reads || writes)
            polled[count++] = (struct pollfd){
                .fd = sockets[i], .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0))};
    }
    struct timeval longest = {.tv_sec = (time_t)(limit / NANOSECONDS_PER_SECOND),
                              .tv_usec = (suseconds_t)(limit % NANOSECONDS_PER_SECOND / 1000)};
    struct timeval left;
    const struct timeval *until = ares_timeout(names->channel, &longest, &left);
    const int milliseconds = (int)(until->tv_sec * 1000 + (until->tv_usec + 999) / 1000);
    if (poll(polled, count, milliseconds) <= 0) {
        ares_process_fd(names->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* repeats */
        return;
    }
    for (nfds_t i = 0; i < count; i++) {
        const bool failed = polled[i].revents & (POLLERR | POLLHUP | POLLNVAL);
        ares_process_fd(names->channel,
                        failed || (polled[i].revents & POLLIN) ? polled[i].fd : ARES_SOCKET_BAD,
                        polled[i].revents & POLLOUT ? polled[i].fd : ARES_SOCKET_BAD);
    }
}

/* ---- the whole ---- */

static int open_channel(struct names *names, const struct names_options *options)
{
    char lookups[] = "b"; /* the hosts file is read here, once */
    struct ares_options wanted = {.timeout = ATTEMPT_MS, .tries = ATTEMPTS, .lookups = lookups};
    int status = ares_init_options(&names->channel, &wanted,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS);
    if (status != ARES_SUCCESS)
        return status;
    if (options && options->servers)
        status = ares_set_servers_ports_csv(names->channel, options->servers);
    if (status != ARES_SUCCESS)
        ares_destroy(names->channel);
    return status;
}

int names_open(const struct names_options *options, struct names **ret_names, struct error *error)
{
    struct names *names = calloc(1, sizeof(*names));
    int status = names ? ares_library_init(ARES_LIB_INIT_ALL) : ARES_ENOMEM;
    if (status == ARES_SUCCESS) {
        status = open_channel(names, options);
        if (status != ARES_SUCCESS)
            ares_library_cleanup();
    }
    if (status != ARES_SUCCESS) {
        free(names);
        return error_set(error, status == ARES_ENOMEM ? ENOMEM : EINVAL,
                         "names cannot be asked for: %s", ares_strerror(status));
    }
    const char *hosts = options && options->hosts ? options->hosts : "/etc/hosts";
    if (read_hosts(names, hosts) != 0) {
        names_close(names);
        return error_set(error, ENOMEM, "out of memory");
    }
    *ret_names = names;
    return 0;
}

void names_close(struct names *names)
{
    if (!names)
        return;
    names->closing = true;
    ares_destroy(names->channel); /* calls back for each question */
    ares_library_cleanup();
    arena_release(&names->arena);
    free(names->items);
    free(names);
}

int names_ask(struct names *names, const struct address *addresses, size_t count)
{
    const size_t before = names->count;
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++)
        if (addresses[i].family != ADDRESS_NONE && addresses[i].value != 0 &&
            !find_item(names, before, &addresses[i]))
            code = append_item(names, &addresses[i], NULL, NAME_WANTED);
    if (names->count > before)
        sort_items(names);
    if (code == 0)
        ask_more(names);
    return code;
}

bool names_wait(struct names *names, uint64_t limit)
{
    if (limit > LIMIT_MAXIMUM)
        limit = LIMIT_MAXIMUM;
    const uint64_t end = clock_monotonic() + limit;
    for (bool last = false;;) {
        ask_more(names);
        if (names->in_flight == 0 || last)
            return names->in_flight == 0;
        const uint64_t now = clock_monotonic();
        last = now >= end;
        wait_once(names, last ? 0 : end - now);
    }
}

const char *names_find(const struct names *names, const struct address *address)
{
    const struct name_item *item = names ? find_item(names, names->count, address) : NULL;
    return item ? item->name : NULL;
}
