/* Fuzzing of the words for endpoints: what is taken has a canonical word that means the same, and
 * what is refused is explained at a place inside the word. The first byte of the input says how it
 * is read; a newline divides two words. */
#include "talk/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LISTENS 0x01
#define TWO_WORDS 0x02
#define KIND_SHIFT 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_explained(const struct error *error, int code)
{
    require(code == -EINVAL && error->code == EINVAL);
    require(error->message[0] != '\0' && error->column <= strlen(error->text));
    for (const char *at = error->message; *at; at++)
        require(*at >= ' ' && *at <= '~');
}

static void require_round_trip(const struct endpoint *endpoint, enum endpoint_role role)
{
    struct endpoint again;
    enum address_family family;
    char text[ENDPOINT_WORD_SIZE];
    require(strlen(endpoint_format(endpoint, text)) < sizeof(text));
    require(endpoint_parse(text, role, &again, &family, NULL) == 0);
    require(family == ADDRESS_NONE && again.kind == endpoint->kind);
    require(strcmp(again.host, endpoint->host) == 0 && again.port == endpoint->port);
    require(strcmp(again.path, endpoint->path) == 0);
}

static void require_right(const struct endpoint *endpoint, enum endpoint_role role)
{
    const bool path = endpoint->kind == ENDPOINT_UNIX;
    require(path == (endpoint->path[0] != '\0'));
    require(!path || (endpoint->port == 0 && endpoint->host[0] == '\0'));
    if (!path && role == ENDPOINT_DIAL)
        require(endpoint->port != 0 && endpoint->host[0] != '\0' && endpoint->host[0] != '*');
    for (const char *at = endpoint->host; *at; at++)
        require(*at > ' ' && *at <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct endpoint endpoint;
    enum address_family family;
    struct error error = {0};
    if (length < 1)
        return 0;
    const enum endpoint_role role = *bytes & LISTENS ? ENDPOINT_LISTEN : ENDPOINT_DIAL;
    char *word = malloc(length); /* without the first byte, with a NUL */
    require(word);
    memcpy(word, bytes + 1, length - 1);
    word[length - 1] = '\0';
    int code;
    if (*bytes & TWO_WORDS) {
        char *port = strchr(word, '\n');
        if (port)
            *port++ = '\0';
        code = endpoint_from_words(*bytes >> KIND_SHIFT & 3, role, word, port, &endpoint, &error);
    } else {
        code = endpoint_parse(word, role, &endpoint, &family, &error);
    }
    if (code == 0) {
        require_right(&endpoint, role);
        require_round_trip(&endpoint, role);
    } else {
        require_explained(&error, code);
    }
    free(word);
    return 0;
}
