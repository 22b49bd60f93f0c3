/* Fuzzing of proxy_header_read(): a header that is taken is complete, ends where it ends whatever
 * is behind it, and can be written again in either version with the same meaning. */
#include "talk/proxy_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BEHIND 200

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The first `length` bytes, and nothing behind them. */
static ssize_t read_copy(const uint8_t *bytes, size_t length, struct proxy_header *header,
                         struct error *error)
{
    uint8_t *copy = malloc(length ? length : 1);
    require(copy);
    memcpy(copy, bytes, length);
    const ssize_t taken = proxy_header_read(copy, length, header, error);
    free(copy);
    return taken;
}

static bool same_peer(const struct peer *one, const struct peer *other)
{
    return one->kind == other->kind && one->port == other->port &&
           address_equal(&one->address, &other->address) && strcmp(one->path, other->path) == 0;
}

static void require_round_trip(const struct proxy_header *header)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct buffer bytes = {0};
        struct proxy_header again = {0};
        proxy_header_add(&bytes, version, header);
        require(!bytes.failed);
        require(proxy_header_read(bytes.data, bytes.length, &again, NULL) == (ssize_t)bytes.length);
        require(!again.known || (same_peer(&again.source, &header->source) &&
                                 same_peer(&again.destination, &header->destination)));
        const bool mixed = header->source.address.family != header->destination.address.family;
        const bool internet = header->source.kind == PEER_INTERNET;
        require(again.known == (header->known && !mixed && (version == 2 || internet)));
        buffer_release(&bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct proxy_header header = {0}, again = {0};
    struct error error = {0};
    const ssize_t taken = read_copy(bytes, length, &header, &error);
    if (taken < 0) {
        require(taken == -EPROTO && error.code == EPROTO && error.message[0] != '\0');
        require(error.column == ERROR_NO_COLUMN || error.column <= strlen(error.text));
        return 0;
    }
    require(taken <= PROXY_HEADER_MAXIMUM && (size_t)taken <= length);
    if (taken == 0) {
        require(length < PROXY_HEADER_MAXIMUM);
        return 0;
    }
    require(header.source.kind == header.destination.kind);
    require(header.known == (header.source.kind != PEER_NONE));
    require(read_copy(bytes, (size_t)taken, &again, NULL) == taken);
    require(same_peer(&again.source, &header.source));
    for (size_t part = (size_t)taken; part-- > 0 && part + BEHIND > (size_t)taken;)
        require(read_copy(bytes, part, &again, NULL) == 0);
    require_round_trip(&header);
    return 0;
}
