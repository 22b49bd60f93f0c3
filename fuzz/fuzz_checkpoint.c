/* Fuzzing of checkpoint_parse(): what it takes is within bounds, means the same when it is read
 * again without the end that was cut off, and what it refuses is explained.
 *
 * An input that begins as a checkpoint does is read as it is. Of any other the bytes are payloads
 * of blocks, each after its length, and are given the hashes without which the parser would see
 * nothing of them. */
#include "scan/checkpoint.h"

#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "porthole checkpoint 1\n"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define MAGIC_RECOGNISED 8

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_within_bounds(const struct checkpoint_data *data, size_t length)
{
    require(data->length >= MAGIC_SIZE + 16 && data->length <= length);
    require(data->position.pass >= 1 && data->position.pass <= SCAN_TRIES_MAXIMUM);
    require(data->targets && data->ports && data->names);
    for (size_t i = 0; i < data->word_count; i++)
        require(data->words[i] && strlen(data->words[i]) < length);
    for (size_t i = 0; i < data->record_count; i++) {
        const struct port_record *record = &data->records[i];
        require(record->index <= INT64_MAX);
        require(record->state >= STATE_OPEN && record->state <= STATE_UNFILTERED);
        require(record->reason < REASON_COUNT);
        require(record->tries >= 1 && record->tries <= SCAN_TRIES_MAXIMUM);
        require(record->from.family == ADDRESS_NONE ||
                record->from.value <= address_maximum(record->from.family));
    }
    for (size_t i = 0; i < data->error_count; i++)
        require(data->errors[i].index <= INT64_MAX && data->errors[i].code >= 0);
}

static void require_same(const struct checkpoint_data *one, const struct checkpoint_data *other)
{
    require(one->word_count == other->word_count && one->seed == other->seed);
    require(strcmp(one->targets, other->targets) == 0 && strcmp(one->ports, other->ports) == 0);
    require(strcmp(one->names, other->names) == 0);
    require(one->record_count == other->record_count && one->error_count == other->error_count);
    require(one->chain == other->chain && one->length == other->length);
    require(memcmp(&one->position, &other->position, sizeof(one->position)) == 0);
}

static void read_file(const void *bytes, size_t length)
{
    struct checkpoint_data data = {.seed = 12345}, again;
    struct error error = {0};
    const int code = checkpoint_parse(bytes, length, &data, &error);
    if (code) {
        require(code == -EINVAL && error.code == EINVAL && error.message[0]);
        require(data.seed == 12345 && !data.words && !data.records);
        return;
    }
    require_within_bounds(&data, length);
    require(checkpoint_parse(bytes, (size_t)data.length, &again, NULL) == 0);
    require_same(&data, &again);
    checkpoint_data_release(&again);
    checkpoint_data_release(&data);
}

static void add_little_endian(struct buffer *file, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buffer_add_character(file, (char)(number >> 8 * i));
}

static void add_block(struct buffer *file, const uint8_t *payload, size_t length, uint64_t *chain)
{
    const struct key key = {{*chain, UINT64_C(0x706f7274686f6c65)}};
    const uint8_t size[4] = {(uint8_t)length, (uint8_t)(length >> 8)};
    buffer_add(file, size, sizeof(size));
    add_little_endian(file, siphash(&key, size, sizeof(size)), 4);
    buffer_add(file, payload, length);
    *chain = siphash(&key, payload, length);
    add_little_endian(file, *chain, 8);
}

static void read_payloads(const uint8_t *bytes, size_t length)
{
    struct buffer file = {0};
    uint64_t chain = 0;
    buffer_add_text(&file, MAGIC);
    while (length > 0) {
        const size_t wanted = bytes[0], left = length - 1;
        const size_t size = wanted < left ? wanted : left;
        add_block(&file, bytes + 1, size, &chain);
        bytes += 1 + size;
        length -= 1 + size;
    }
    require(!file.failed);
    read_file(file.data, file.length);
    buffer_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length >= MAGIC_RECOGNISED && memcmp(bytes, MAGIC, MAGIC_RECOGNISED) == 0)
        read_file(bytes, length);
    else
        read_payloads(bytes, length);
    return 0;
}
