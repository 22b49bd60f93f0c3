/* Fuzzing of the words of filters: what is refused is explained at a place inside the text, and
 * what is taken does not take more than what the kernel is asked for. */
#include "local/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct owner held[] = {{7, 1, 3}, {8, 2, 4}};
static struct process holders[] = {
    {.pid = 1, .name = "init", .unit = "init.scope", .command = "/sbin/init splash"},
    {.pid = 2, .name = "abcdefghijklmno", .container_runtime = "docker", .container = "0123abcd"},
};
static const struct owners owners = {
    .items = held, .count = 2, .processes = holders, .process_count = 2};

static const struct socket_entry entries[] = {
    {.kind = SOCKET_TCP,
     .state = SOCKET_LISTEN,
     .family = ADDRESS_IPV4,
     .local_port = 22,
     .has_inode = true,
     .inode = 7},
    {.kind = SOCKET_UDP,
     .state = SOCKET_CLOSE,
     .family = ADDRESS_IPV6,
     .local = 1,
     .local_port = 53,
     .has_inode = true,
     .inode = 8},
    {.kind = SOCKET_TCP,
     .state = SOCKET_ESTABLISHED,
     .family = ADDRESS_IPV6,
     .mapped = true,
     .local = 0x0a000001,
     .remote = 0x0a000002,
     .local_port = 80,
     .remote_port = 40000},
    {.kind = SOCKET_UNIX_DATAGRAM, .state = SOCKET_CLOSE, .path = "@00001"},
    {.kind = SOCKET_RAW, .state = SOCKET_CLOSE, .family = ADDRESS_IPV4, .local_port = 1},
};

static void require_explained(const struct error *error, int code)
{
    require(code == -EINVAL && error->code == EINVAL && error->message[0] != '\0');
    require(error->column == ERROR_NO_COLUMN || error->column <= strlen(error->text));
    for (const char *at = error->message; *at; at++)
        require(*at >= ' ' && *at <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char *text = malloc(length + 1);
    require(text);
    memcpy(text, bytes, length);
    text[length] = '\0';
    const char *words = text;
    struct filter *filter = NULL;
    struct error error = {0};
    const int code = filter_parse(&words, 1, &filter, &error);
    if (code != 0) {
        require(!filter);
        require_explained(&error, code);
        free(text);
        return 0;
    }
    struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1,
                               .states = SOCKET_EVERY_STATE};
    filter_narrow(filter, &query);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        if (filter_match(filter, &entries[i], &owners, NULL))
            require(diag_query_takes(&query, &entries[i]));
        const bool alone = filter_match(filter, &entries[i], NULL, NULL);
        if (!filter_needs_owners(filter))
            require(alone == filter_match(filter, &entries[i], &owners, NULL));
    }
    filter_free(filter);
    free(text);
    return 0;
}
