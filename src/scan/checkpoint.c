/* The checkpoint file: a magic line, then blocks; the first block is the header.
 *
 *   block   = length (u32) | check of the length (u32) | payload | SipHash of the payload (u64)
 *   header  = words | seed | targets | ports | names | technique, if there is one
 *   later   = pass | position | probes | elapsed | records…
 *
 * Fixed-size numbers are little-endian; numbers inside payloads are LEB128. Each block's hashes are
 * keyed with the hash of the block before it, so that blocks can't be swapped or left out. */
#include "scan/checkpoint.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/output.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "porthole checkpoint 1\n";
static const char magic_any[] = "porthole checkpoint ";

#define MAGIC_SIZE (sizeof(magic) - 1)
#define FILE_LIMIT ((size_t)8 << 30)
#define PERIOD NANOSECONDS_PER_SECOND

enum record_tag {
    TAG_PORT = 1,
    TAG_ERROR = 2,
};

static struct key chain_key(uint64_t previous)
{
    return (struct key){{previous, UINT64_C(0x706f7274686f6c65)}};
}

/* ---- writing ---- */

static void put_number(struct buffer *buffer, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        buffer_add_character(buffer, (char)(number | 0x80));
    buffer_add_character(buffer, (char)number);
}

static void put_fixed(struct buffer *buffer, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buffer_add_character(buffer, (char)(number >> 8 * i));
}

static void put_text(struct buffer *buffer, const char *text)
{
    put_number(buffer, strlen(text));
    buffer_add_text(buffer, text);
}

static void put_address(struct buffer *buffer, const struct address *address)
{
    put_number(buffer, address->family);
    if (address->family == ADDRESS_NONE)
        return;
    put_number(buffer, address->scope);
    put_number(buffer, (uint64_t)(address->value >> 64));
    put_number(buffer, (uint64_t)address->value);
}

/* Appends `payload` as a block to `out` and moves the chain on. */
static void put_block(struct buffer *out, const struct buffer *payload, uint64_t *chain)
{
    struct key key = chain_key(*chain);
    unsigned char length[4];
    for (unsigned i = 0; i < 4; i++)
        length[i] = (unsigned char)(payload->length >> 8 * i);
    buffer_add(out, length, sizeof(length));
    put_fixed(out, siphash(&key, length, sizeof(length)), 4);
    buffer_add(out, payload->data, payload->length);
    *chain = siphash(&key, payload->data, payload->length);
    put_fixed(out, *chain, 8);
}

/* Refuses a file with anything in it: a checkpoint that is there belongs to a scan which is not
 * finished, because a finished one removes its own. Returns 0 or -errno. */
static int check_unused(const char *path, struct error *error)
{
    char start[sizeof(magic_any) - 1];
    struct stat status;
    if (strcmp(path, "-") == 0)
        return error_set(error, EINVAL, "a checkpoint is a file, not standard output");
    /* O_NONBLOCK: without waiting for a FIFO's writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return error_set(error, errno, "cannot open the checkpoint '%s': %s", path,
                         strerror(errno));
    /* A device is not replaced but written to. */
    bool regular = fstat(fd, &status) < 0 || S_ISREG(status.st_mode);
    ssize_t length = regular ? read(fd, start, sizeof(start)) : 0;
    close(fd);
    if (length == 0)
        return 0;
    if (length == (ssize_t)sizeof(start) && memcmp(start, magic_any, sizeof(start)) == 0)
        return error_set(error, EEXIST,
                         "'%s' holds a scan that is not finished: go on with --resume, or remove "
                         "the file",
                         path);
    return error_set(error, EEXIST, "'%s' exists and is no checkpoint: it is not overwritten",
                     path);
}

static int write_header(const char *path, const struct checkpoint_header *header,
                        uint64_t *ret_chain, struct error *error)
{
    struct output output;
    struct buffer payload = {0};
    uint64_t chain = 0;
    int failed = output_open(&output, path, true, error);
    if (failed)
        return failed;
    put_number(&payload, header->word_count);
    for (size_t i = 0; i < header->word_count; i++)
        put_text(&payload, header->words[i]);
    put_number(&payload, header->seed);
    put_text(&payload, header->targets);
    put_text(&payload, header->ports);
    put_text(&payload, header->names);
    if (header->technique)
        put_text(&payload, header->technique);
    buffer_add(&output.pending, magic, MAGIC_SIZE);
    put_block(&output.pending, &payload, &chain);
    if (payload.failed)
        failed = error_set(error, ENOMEM, "no memory for the checkpoint");
    else
        failed = output_finish(&output, error);
    output_release(&output);
    buffer_release(&payload);
    if (!failed)
        *ret_chain = chain;
    return failed;
}

static int open_for_append(struct checkpoint *checkpoint, const char *path, uint64_t chain,
                           struct error *error)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, errno, "cannot open the checkpoint '%s': %s", path,
                         strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        close(fd);
        return error_set(error, EBUSY, "the checkpoint '%s' is in use by another scan", path);
    }
    char *copy = strdup(path);
    if (!copy) {
        close(fd);
        return error_set(error, ENOMEM, "no memory for the checkpoint");
    }
    *checkpoint =
        (struct checkpoint){.fd = fd, .path = copy, .chain = chain, .written = clock_monotonic()};
    return 0;
}

int checkpoint_create(struct checkpoint *checkpoint, const char *path,
                      const struct checkpoint_header *header, struct error *error)
{
    uint64_t chain;
    int failed = check_unused(path, error);
    if (!failed)
        failed = write_header(path, header, &chain, error);
    return failed ? failed : open_for_append(checkpoint, path, chain, error);
}

int checkpoint_append(struct checkpoint *checkpoint, const char *path,
                      const struct checkpoint_data *data, struct error *error)
{
    int failed = open_for_append(checkpoint, path, data->chain, error);
    if (!failed && ftruncate(checkpoint->fd, (off_t)data->length))
        failed =
            error_set(error, errno, "cannot write the checkpoint '%s': %s", path, strerror(errno));
    return failed;
}

int checkpoint_add_port(struct checkpoint *checkpoint, const struct port_record *record)
{
    struct buffer *records = &checkpoint->records;
    put_number(records, TAG_PORT);
    put_number(records, record->index);
    put_number(records, record->state);
    put_number(records, record->reason);
    put_number(records, record->tries);
    put_number(records, record->rtt);
    put_number(records, record->time);
    put_address(records, &record->from);
    return records->failed ? -ENOMEM : 0;
}

int checkpoint_add_error(struct checkpoint *checkpoint, const struct error_record *record)
{
    struct buffer *records = &checkpoint->records;
    put_number(records, TAG_ERROR);
    put_number(records, record->index);
    put_number(records, record->whole_host);
    put_number(records, (uint64_t)record->code);
    put_number(records, record->time);
    return records->failed ? -ENOMEM : 0;
}

bool checkpoint_due(const struct checkpoint *checkpoint, uint64_t now)
{
    /* Ticks are a tenth of a second apart: the one after this may be too late. */
    return now - checkpoint->written >= PERIOD - PERIOD / 8 ||
           checkpoint->records.length > (size_t)64 << 20;
}

int checkpoint_write(struct checkpoint *checkpoint, const struct scan_position *position,
                     struct error *error)
{
    struct buffer payload = {0}, block = {0};
    put_number(&payload, position->pass);
    put_number(&payload, position->position);
    put_number(&payload, position->probes);
    put_number(&payload, position->elapsed);
    buffer_add(&payload, checkpoint->records.data, checkpoint->records.length);
    put_block(&block, &payload, &checkpoint->chain);
    int failed = payload.failed || block.failed ? -ENOMEM : 0;
    if (!failed)
        failed = file_write(checkpoint->fd, block.data, block.length);
    if (!failed && fdatasync(checkpoint->fd) && errno != EINVAL && errno != EROFS)
        failed = -errno; /* EINVAL: not a file on a disk */
    buffer_release(&payload);
    buffer_release(&block);
    buffer_clear(&checkpoint->records);
    checkpoint->written = clock_monotonic();
    if (failed)
        return error_set(error, -failed, "cannot write the checkpoint '%s': %s", checkpoint->path,
                         strerror(-failed));
    return 0;
}

void checkpoint_remove(const struct checkpoint *checkpoint)
{
    struct stat status;
    if (lstat(checkpoint->path, &status) == 0 && S_ISREG(status.st_mode))
        unlink(checkpoint->path);
}

void checkpoint_release(struct checkpoint *checkpoint)
{
    if (checkpoint->path)
        close(checkpoint->fd);
    free(checkpoint->path);
    buffer_release(&checkpoint->records);
    *checkpoint = (struct checkpoint){.fd = -1};
}

/* ---- reading ---- */

/* Checked getters: past the end or out of range they give 0 and `bad` stays set. */
struct reader {
    const unsigned char *at, *end;
    bool bad;
};

static uint64_t get_number(struct reader *reader, uint64_t maximum)
{
    uint64_t number = 0;
    for (unsigned shift = 0; !reader->bad && shift < 64; shift += 7) {
        if (reader->at == reader->end)
            break;
        unsigned char byte = *reader->at++;
        uint64_t part = byte & 0x7f;
        if (shift == 63 && part > 1)
            break;
        number |= part << shift;
        if (!(byte & 0x80)) {
            if (number <= maximum)
                return number;
            break;
        }
    }
    reader->bad = true;
    return 0;
}

static uint64_t get_fixed(struct reader *reader, unsigned bytes)
{
    uint64_t number = 0;
    if ((size_t)(reader->end - reader->at) < bytes) {
        reader->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        number |= (uint64_t)*reader->at++ << 8 * i;
    return number;
}

/* A copy, to be freed; NULL when it is bad or memory ran out. */
static char *get_text(struct reader *reader)
{
    uint64_t length = get_number(reader, (uint64_t)(reader->end - reader->at));
    if (length > (uint64_t)(reader->end - reader->at) || memchr(reader->at, '\0', (size_t)length))
        reader->bad = true;
    if (reader->bad)
        return NULL;
    char *text = strndup((const char *)reader->at, (size_t)length);
    reader->at += length;
    return text;
}

static struct address get_address(struct reader *reader)
{
    struct address address = {0};
    uint64_t family = get_number(reader, ADDRESS_IPV6);
    if (family == ADDRESS_NONE)
        return address;
    if (family != ADDRESS_IPV4 && family != ADDRESS_IPV6)
        reader->bad = true;
    address.family = (enum address_family)family;
    address.scope = (uint32_t)get_number(reader, UINT32_MAX);
    address.value = (uint128_t)get_number(reader, UINT64_MAX) << 64;
    address.value |= get_number(reader, UINT64_MAX);
    if (address.value > address_maximum(address.family))
        reader->bad = true;
    return address;
}

/* Makes room for one more element of `size` bytes; the capacity is the next power of two. */
static void *grow(void *array, size_t count, size_t size)
{
    return count & (count - 1) ? array : reallocarray(array, count ? 2 * count : 1, size);
}

/* Returns 0, -EINVAL or -ENOMEM. */
static int get_port(struct reader *reader, struct checkpoint_data *data)
{
    struct port_record record = {
        .index = get_number(reader, INT64_MAX),
        .state = (enum port_state)get_number(reader, STATE_UNFILTERED),
        .reason = (enum reason)get_number(reader, REASON_COUNT - 1),
        .tries = (unsigned)get_number(reader, SCAN_TRIES_MAXIMUM),
        .rtt = get_number(reader, UINT64_MAX),
        .time = get_number(reader, UINT64_MAX),
    };
    record.from = get_address(reader);
    if (reader->bad || record.state == STATE_SILENT || record.tries == 0)
        return -EINVAL;
    void *records = grow(data->records, data->record_count, sizeof(record));
    if (!records)
        return -ENOMEM;
    data->records = records;
    data->records[data->record_count++] = record;
    return 0;
}

static int get_error(struct reader *reader, struct checkpoint_data *data)
{
    struct error_record record = {
        .index = get_number(reader, INT64_MAX),
        .whole_host = get_number(reader, 1) != 0,
        .code = (int)get_number(reader, 4095), /* MAX_ERRNO of the kernel */
        .time = get_number(reader, UINT64_MAX),
    };
    if (reader->bad)
        return -EINVAL;
    void *errors = grow(data->errors, data->error_count, sizeof(record));
    if (!errors)
        return -ENOMEM;
    data->errors = errors;
    data->errors[data->error_count++] = record;
    return 0;
}

static int parse_records(struct reader *reader, struct checkpoint_data *data)
{
    data->position = (struct scan_position){
        .pass = (unsigned)get_number(reader, SCAN_TRIES_MAXIMUM),
        .position = get_number(reader, INT64_MAX),
        .probes = get_number(reader, UINT64_MAX),
        .elapsed = get_number(reader, UINT64_MAX),
    };
    int failed = reader->bad || data->position.pass == 0 ? -EINVAL : 0;
    while (!failed && reader->at < reader->end) {
        switch (get_number(reader, UINT64_MAX)) {
        case TAG_PORT:
            failed = get_port(reader, data);
            break;
        case TAG_ERROR:
            failed = get_error(reader, data);
            break;
        default:
            failed = -EINVAL;
        }
    }
    return failed;
}

static int parse_header(struct reader *reader, struct checkpoint_data *data)
{
    uint64_t count = get_number(reader, (uint64_t)(reader->end - reader->at));
    if (reader->bad)
        return -EINVAL;
    data->words = calloc(count ? (size_t)count : 1, sizeof(*data->words));
    if (!data->words)
        return -ENOMEM;
    for (uint64_t i = 0; i < count; i++) {
        data->words[i] = get_text(reader);
        if (!data->words[i])
            return reader->bad ? -EINVAL : -ENOMEM;
        data->word_count++;
    }
    data->seed = get_number(reader, UINT64_MAX);
    data->targets = get_text(reader);
    data->ports = get_text(reader);
    data->names = get_text(reader);
    bool named = !reader->bad && reader->at != reader->end;
    if (named)
        data->technique = get_text(reader);
    if (reader->bad || reader->at != reader->end)
        return -EINVAL;
    bool whole = data->targets && data->ports && data->names && (data->technique || !named);
    return whole ? 0 : -ENOMEM;
}

enum block {
    BLOCK_WHOLE,
    BLOCK_CUT_OFF, /* the file ends in the middle of it, or where it would begin */
    BLOCK_DAMAGED,
};

static enum block next_block(struct reader *file, uint64_t *chain, struct reader *ret_payload)
{
    struct key key = chain_key(*chain);
    struct reader ahead = *file;
    uint32_t length = (uint32_t)get_fixed(&ahead, 4);
    uint32_t check = (uint32_t)get_fixed(&ahead, 4);
    if (ahead.bad)
        return BLOCK_CUT_OFF;
    if (check != (uint32_t)siphash(&key, file->at, 4))
        return BLOCK_DAMAGED;
    if ((size_t)(ahead.end - ahead.at) < (size_t)length + 8)
        return BLOCK_CUT_OFF;
    *ret_payload = (struct reader){.at = ahead.at, .end = ahead.at + length};
    ahead.at += length;
    uint64_t hash = siphash(&key, ret_payload->at, length);
    if (get_fixed(&ahead, 8) != hash)
        return BLOCK_DAMAGED;
    *chain = hash;
    *file = ahead;
    return BLOCK_WHOLE;
}

static int check_magic(const void *bytes, size_t length, struct error *error)
{
    if (length >= MAGIC_SIZE && memcmp(bytes, magic, MAGIC_SIZE) == 0)
        return 0;
    if (length >= sizeof(magic_any) - 1 && memcmp(bytes, magic_any, sizeof(magic_any) - 1) == 0)
        return error_set(error, EINVAL, "is a checkpoint of another version of porthole");
    return error_set(error, EINVAL, "is not a checkpoint of porthole");
}

static int parse_blocks(struct reader *file, struct checkpoint_data *data, struct error *error)
{
    const unsigned char *start = file->at - MAGIC_SIZE;
    for (bool header = true;; header = false) {
        struct reader payload;
        enum block block = next_block(file, &data->chain, &payload);
        unsigned long long at = (unsigned long long)(file->at - start);
        if (block == BLOCK_DAMAGED || (block == BLOCK_CUT_OFF && header))
            return error_set(error, EINVAL, "is damaged at byte %llu", at);
        if (block == BLOCK_CUT_OFF)
            break;
        int failed = header ? parse_header(&payload, data) : parse_records(&payload, data);
        if (failed == -ENOMEM)
            return error_set(error, ENOMEM, "does not fit into memory");
        if (failed)
            return error_set(error, EINVAL, "is damaged before byte %llu", at);
    }
    data->length = (uint64_t)(file->at - start);
    return 0;
}

int checkpoint_parse(const void *bytes, size_t length, struct checkpoint_data *ret_data,
                     struct error *error)
{
    struct checkpoint_data data = {.position.pass = 1};
    int failed = check_magic(bytes, length, error);
    if (failed)
        return failed;
    struct reader file = {.at = (const unsigned char *)bytes + MAGIC_SIZE,
                          .end = (const unsigned char *)bytes + length};
    failed = parse_blocks(&file, &data, error);
    if (failed)
        checkpoint_data_release(&data);
    else
        *ret_data = data;
    return failed;
}

int checkpoint_load(const char *path, struct checkpoint_data *ret_data, struct error *error)
{
    struct buffer bytes = {0};
    struct error fault = {0};
    int failed = file_read(path, FILE_LIMIT, &bytes, error);
    if (!failed) {
        failed = checkpoint_parse(bytes.data, bytes.length, ret_data, &fault);
        if (failed)
            error_set(error, -failed, "'%s' %s", path, fault.message);
    }
    buffer_release(&bytes);
    return failed;
}

void checkpoint_data_release(struct checkpoint_data *data)
{
    for (size_t i = 0; i < data->word_count; i++)
        free(data->words[i]);
    free(data->words);
    free(data->targets);
    free(data->ports);
    free(data->names);
    free(data->technique);
    free(data->records);
    free(data->errors);
    *data = (struct checkpoint_data){0};
}
