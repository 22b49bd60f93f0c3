/* Checkpoints: what is written comes back, whatever is cut off costs a block at most, and what was
 * changed is refused. */
#include "scan/checkpoint.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[32];
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_checkpoint.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/scan.checkpoint", directory);
    return 0;
}

static int drop_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory); /* fails when anything else was left behind */
}

/* ---- a checkpoint of three blocks ---- */

static const char *const words[] = {"-p", "1-1000", "--tries", "3", "", "h\xc3\xb6st"};

static const struct checkpoint_header header = {
    .words = words,
    .word_count = sizeof(words) / sizeof(words[0]),
    .seed = UINT64_C(0xfedcba9876543210),
    .targets = "10.0.0.0/24\n2001:db8::1",
    .ports = "1-1000",
    .names = "10.0.0.7 printer.example\n",
    .technique = "tcp-syn",
};

#define RECORDS 7
#define ERRORS 3
#define BLOCKS 3

static const struct port_record records[RECORDS] = {
    {.index = 0, .state = STATE_OPEN, .reason = REASON_SYN_ACK, .tries = 1, .rtt = 1, .time = 0},
    {.index = 127,
     .state = STATE_CLOSED,
     .reason = REASON_CONN_REFUSED,
     .tries = 2,
     .rtt = 128,
     .time = UINT64_C(1795227243512000000)},
    {.index = 128,
     .state = STATE_FILTERED,
     .reason = REASON_PORT_UNREACH,
     .from = {.family = ADDRESS_IPV4, .value = 0xffffffff},
     .tries = SCAN_TRIES_MAXIMUM,
     .rtt = 1000000},
    {.index = 129,
     .state = STATE_FILTERED,
     .reason = REASON_REJECT_ROUTE,
     .from = {.family = ADDRESS_IPV6, .value = ~(uint128_t)0, .scope = UINT32_MAX},
     .tries = 1},
    {.index = INT64_MAX,
     .state = STATE_FILTERED,
     .reason = REASON_COUNT - 1,
     .from = {.family = ADDRESS_IPV6, .value = 1},
     .tries = 1,
     .rtt = UINT64_MAX,
     .time = UINT64_MAX},
    /* What a RST says is the technique's to know. */
    {.index = 5, .state = STATE_OPEN, .reason = REASON_RESET, .tries = 3, .rtt = 77},
    {.index = 6, .state = STATE_UNFILTERED, .reason = REASON_RESET, .tries = 3, .rtt = 78},
};

static const struct error_record errors[ERRORS] = {
    {.index = 9, .code = EPERM, .time = 5},
    {.index = INT64_MAX, .whole_host = true, .code = ENETUNREACH, .time = UINT64_MAX},
    {.index = 10, .code = 4095},
};

/* How many records and errors there are after so many blocks. */
static const size_t records_after[BLOCKS + 1] = {0, 5, 5, 7};
static const size_t errors_after[BLOCKS + 1] = {0, 2, 2, 3};

static const struct scan_position positions[BLOCKS + 1] = {
    {.pass = 1},
    {.pass = 1, .position = 200, .probes = 201, .elapsed = 1000000},
    {.pass = 2, .position = 0, .probes = UINT64_C(1) << 40, .elapsed = 2000000},
    {.pass = SCAN_TRIES_MAXIMUM,
     .position = INT64_MAX,
     .probes = UINT64_MAX,
     .elapsed = UINT64_MAX},
};

static void write_block(struct checkpoint *checkpoint, size_t block)
{
    for (size_t i = records_after[block - 1]; i < records_after[block]; i++)
        assert_int_equal(checkpoint_add_port(checkpoint, &records[i]), 0);
    for (size_t i = errors_after[block - 1]; i < errors_after[block]; i++)
        assert_int_equal(checkpoint_add_error(checkpoint, &errors[i]), 0);
    assert_int_equal(checkpoint_write(checkpoint, &positions[block], NULL), 0);
}

static size_t file_length(void)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

static void replace_file(const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, bytes, length), 0);
    close(fd);
}

/* Writes the file anew. Where the blocks end: ends[0] is the end of the header. */
static void write_file(const struct checkpoint_header *of, size_t ends[BLOCKS + 1])
{
    struct checkpoint checkpoint;
    replace_file("", 0);
    assert_int_equal(checkpoint_create(&checkpoint, path, of, NULL), 0);
    ends[0] = file_length();
    for (size_t block = 1; block <= BLOCKS; block++) {
        write_block(&checkpoint, block);
        ends[block] = file_length();
    }
    checkpoint_release(&checkpoint);
}

static struct buffer read_file(void)
{
    struct buffer bytes = {0};
    assert_int_equal(file_read(path, 1 << 20, &bytes, NULL), 0);
    return bytes;
}

static void assert_holds(const struct checkpoint_data *data, size_t block)
{
    assert_int_equal(data->word_count, header.word_count);
    for (size_t i = 0; i < header.word_count; i++)
        assert_string_equal(data->words[i], header.words[i]);
    assert_int_equal(data->seed, header.seed);
    assert_string_equal(data->targets, header.targets);
    assert_string_equal(data->ports, header.ports);
    assert_string_equal(data->names, header.names);
    assert_string_equal(data->technique, header.technique);
    assert_int_equal(data->record_count, records_after[block]);
    for (size_t i = 0; i < data->record_count; i++) {
        const struct port_record *record = &data->records[i];
        assert_int_equal(record->index, records[i].index);
        assert_int_equal(record->state, records[i].state);
        assert_int_equal(record->reason, records[i].reason);
        assert_int_equal(record->tries, records[i].tries);
        assert_int_equal(record->rtt, records[i].rtt);
        assert_int_equal(record->time, records[i].time);
        assert_true(address_equal(&record->from, &records[i].from));
    }
    assert_int_equal(data->error_count, errors_after[block]);
    for (size_t i = 0; i < data->error_count; i++) {
        assert_int_equal(data->errors[i].index, errors[i].index);
        assert_int_equal(data->errors[i].whole_host, errors[i].whole_host);
        assert_int_equal(data->errors[i].code, errors[i].code);
        assert_int_equal(data->errors[i].time, errors[i].time);
    }
    assert_int_equal(data->position.pass, positions[block].pass);
    assert_int_equal(data->position.position, positions[block].position);
    assert_int_equal(data->position.probes, positions[block].probes);
    assert_int_equal(data->position.elapsed, positions[block].elapsed);
}

/* Parses a copy that ends where its memory ends, so that reading past it is found. */
static int parse(const void *bytes, size_t length, struct checkpoint_data *ret_data,
                 struct error *error)
{
    void *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    int failed = checkpoint_parse(copy, length, ret_data, error);
    free(copy);
    return failed;
}

static void assert_refused(const void *bytes, size_t length, const char *why)
{
    struct checkpoint_data data = {.seed = 12345};
    struct error error = {0};
    assert_int_equal(parse(bytes, length, &data, &error), -EINVAL);
    assert_int_equal(error.code, EINVAL);
    if (!strstr(error.message, why))
        fail_msg("\"%s\" does not say \"%s\"", error.message, why);
    /* A failed call leaves its output as it was. */
    assert_int_equal(data.seed, 12345);
    assert_null(data.words);
}

/* ---- writing and reading ---- */

static void what_is_written_comes_back(void **state)
{
    (void)state;
    size_t ends[BLOCKS + 1];
    struct checkpoint_data data;
    write_file(&header, ends);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_holds(&data, BLOCKS);
    assert_int_equal(data.length, ends[BLOCKS]);
    checkpoint_data_release(&data);
    assert_null(data.words);
}

static void a_header_alone_is_a_beginning(void **state)
{
    (void)state;
    const struct checkpoint_header empty = {.targets = "", .ports = "", .names = ""};
    struct checkpoint checkpoint;
    struct checkpoint_data data;
    assert_int_equal(checkpoint_create(&checkpoint, path, &empty, NULL), 0);
    checkpoint_release(&checkpoint);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_int_equal(data.word_count, 0);
    assert_string_equal(data.targets, "");
    assert_null(data.technique);
    assert_int_equal(data.record_count, 0);
    assert_int_equal(data.position.pass, 1);
    assert_int_equal(data.position.position, 0);
    checkpoint_data_release(&data);
}

static void many_records_come_back(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    struct checkpoint_data data;
    assert_int_equal(checkpoint_create(&checkpoint, path, &header, NULL), 0);
    for (uint64_t i = 0; i < 100000; i++) {
        const struct port_record record = {.index = mix64(i) >> 1,
                                           .state = (enum port_state)(1 + i % 4),
                                           .reason = (enum reason)(i % REASON_COUNT),
                                           .tries = (unsigned)(1 + i % SCAN_TRIES_MAXIMUM),
                                           .rtt = mix64(i + 1)};
        assert_int_equal(checkpoint_add_port(&checkpoint, &record), 0);
        if (i % 10000 == 9999)
            assert_int_equal(checkpoint_write(&checkpoint, &positions[1], NULL), 0);
    }
    checkpoint_release(&checkpoint);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_int_equal(data.record_count, 100000);
    for (uint64_t i = 0; i < 100000; i++)
        if (data.records[i].index != mix64(i) >> 1 || data.records[i].rtt != mix64(i + 1))
            fail_msg("record %llu", (unsigned long long)i);
    checkpoint_data_release(&data);
}

/* ---- what a crash leaves ---- */

/* Cut at every byte: in the header it is no beginning to go on from; later the whole blocks count.
 */
static void every_prefix_is_an_earlier_state(void **state)
{
    (void)state;
    size_t ends[BLOCKS + 1];
    write_file(&header, ends);
    struct buffer bytes = read_file();
    for (size_t length = 0; length < ends[0]; length++)
        assert_refused(bytes.data, length,
                       length < 20   ? "is not a checkpoint of porthole"
                       : length < 22 ? "is a checkpoint of another version"
                                     : "is damaged at byte 22");
    size_t block = 0;
    for (size_t length = ends[0]; length <= ends[BLOCKS]; length++) {
        struct checkpoint_data data;
        block += block < BLOCKS && length == ends[block + 1];
        assert_int_equal(parse(bytes.data, length, &data, NULL), 0);
        assert_holds(&data, block);
        assert_int_equal(data.length, ends[block]);
        checkpoint_data_release(&data);
    }
    buffer_release(&bytes);
}

/* Whatever was cut off, the next run goes on after the last whole block, and its blocks are read.
 */
static void every_prefix_can_be_gone_on_from(void **state)
{
    (void)state;
    size_t ends[BLOCKS + 1];
    write_file(&header, ends);
    struct buffer bytes = read_file();
    for (size_t length = ends[0]; length <= ends[BLOCKS]; length += 3) {
        struct checkpoint checkpoint;
        struct checkpoint_data data;
        replace_file(bytes.data, length);
        assert_int_equal(checkpoint_load(path, &data, NULL), 0);
        assert_int_equal(checkpoint_append(&checkpoint, path, &data, NULL), 0);
        size_t block = 0;
        while (block < BLOCKS && ends[block] < data.length)
            block++;
        checkpoint_data_release(&data);
        while (block < BLOCKS)
            write_block(&checkpoint, ++block);
        checkpoint_release(&checkpoint);

        struct buffer again = read_file();
        assert_int_equal(again.length, bytes.length);
        assert_memory_equal(again.data, bytes.data, bytes.length);
        buffer_release(&again);
    }
    buffer_release(&bytes);
}

/* ---- what is refused ---- */

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    size_t ends[BLOCKS + 1];
    write_file(&header, ends);
    struct buffer bytes = read_file();
    for (size_t at = 0; at < bytes.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
            assert_refused(bytes.data, bytes.length,
                           at < 20   ? "is not a checkpoint of porthole"
                           : at < 22 ? "is a checkpoint of another version of porthole"
                                     : "is damaged");
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
        }
    buffer_release(&bytes);
}

/* The bytes of the blocks `first` to `last`, counted from 0, the header, with the magic line. */
static void add_blocks(struct buffer *out, const struct buffer *bytes, const size_t *ends,
                       size_t first, size_t last)
{
    const size_t start = first ? ends[first - 1] : 0;
    buffer_add(out, bytes->data + start, ends[last] - start);
}

static void blocks_stay_in_their_order(void **state)
{
    (void)state;
    static const size_t arrangements[][4] = {
        {0, 2, 1, 3}, {0, 1, 3, 2}, {0, 2, 3, 3}, {0, 1, 1, 2}, {0, 3, 3, 3}, {0, 1, 2, 2},
    };
    size_t ends[BLOCKS + 1];
    write_file(&header, ends);
    struct buffer bytes = read_file();
    for (size_t i = 0; i < sizeof(arrangements) / sizeof(arrangements[0]); i++) {
        struct buffer swapped = {0};
        for (size_t block = 0; block < 4; block++)
            add_blocks(&swapped, &bytes, ends, arrangements[i][block], arrangements[i][block]);
        assert_refused(swapped.data, swapped.length, "is damaged at byte");
        buffer_release(&swapped);
    }
    buffer_release(&bytes);
}

static void blocks_stay_with_their_header(void **state)
{
    (void)state;
    size_t ends[BLOCKS + 1];
    struct checkpoint_header other = header;
    struct buffer mixed = {0};
    write_file(&header, ends);
    struct buffer bytes = read_file();
    other.seed ^= 1;
    assert_int_equal(unlink(path), 0);
    write_file(&other, ends);
    struct buffer others = read_file();
    assert_int_equal(others.length, bytes.length);
    add_blocks(&mixed, &bytes, ends, 0, 0);
    add_blocks(&mixed, &others, ends, 1, BLOCKS);
    assert_refused(mixed.data, mixed.length, "is damaged at byte");
    buffer_release(&mixed);
    buffer_release(&bytes);
    buffer_release(&others);
}

static void foreign_files_are_refused(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "", "p", "10.0.0.1\n10.0.0.2\n", "\177ELF", "porthole scan", "Porthole checkpoint 1\n",
    };
    struct checkpoint_data data;
    struct error error = {0};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_refused(foreign[i], strlen(foreign[i]), "is not a checkpoint of porthole");
    assert_refused("porthole checkpoint 2\n", 22, "is a checkpoint of another version");
    assert_refused("porthole checkpoint 10\n", 23, "is a checkpoint of another version");

    replace_file("#!/bin/sh\n", 10);
    assert_int_equal(checkpoint_load(path, &data, &error), -EINVAL);
    char expected[128];
    snprintf(expected, sizeof(expected), "'%s' is not a checkpoint of porthole", path);
    assert_string_equal(error.message, expected);
    assert_int_equal(checkpoint_load("/nowhere/at all", &data, &error), -ENOENT);
    assert_string_equal(error.message, "cannot open '/nowhere/at all': No such file or directory");
}

/* Silence is nothing that came; no file tells of it. */
static void states_that_nothing_makes_are_refused(void **state)
{
    (void)state;
    static const enum port_state foreign[] = {STATE_SILENT, STATE_OPEN_FILTERED, STATE_COUNT, 255};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        const struct port_record record = {.index = 1, .state = foreign[i], .tries = 1};
        struct checkpoint checkpoint;
        assert_int_equal(checkpoint_create(&checkpoint, path, &header, NULL), 0);
        assert_int_equal(checkpoint_add_port(&checkpoint, &record), 0);
        assert_int_equal(checkpoint_write(&checkpoint, &positions[1], NULL), 0);
        checkpoint_release(&checkpoint);
        struct buffer bytes = read_file();
        assert_refused(bytes.data, bytes.length, "is damaged before byte");
        buffer_release(&bytes);
        unlink(path);
    }
}

/* ---- files that are there already ---- */

static void nothing_is_replaced(void **state)
{
    (void)state;
    static const char *const foreign[] = {"x", "porthole", "a thesis, half a year of work\n"};
    struct checkpoint checkpoint;
    struct error error = {0};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        replace_file(foreign[i], strlen(foreign[i]));
        assert_int_equal(checkpoint_create(&checkpoint, path, &header, &error), -EEXIST);
        assert_non_null(strstr(error.message, "exists and is no checkpoint"));
        struct buffer bytes = read_file();
        assert_string_equal(bytes.data, foreign[i]);
        buffer_release(&bytes);
    }
    struct checkpoint_data data;
    replace_file("", 0);
    assert_int_equal(checkpoint_create(&checkpoint, path, &header, NULL), 0);
    checkpoint_release(&checkpoint);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_holds(&data, 0);
    checkpoint_data_release(&data);
    /* Now it is one, of a scan that is not finished. */
    assert_int_equal(checkpoint_create(&checkpoint, path, &header, &error), -EEXIST);
    assert_non_null(strstr(error.message, "go on with --resume"));
}

/* Two scans that went on from the same file would destroy it. */
static void a_file_belongs_to_one_scan_at_a_time(void **state)
{
    (void)state;
    struct checkpoint one, other;
    struct checkpoint_data data;
    struct error error = {0};
    assert_int_equal(checkpoint_create(&one, path, &header, NULL), 0);
    write_block(&one, 1);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_int_equal(checkpoint_append(&other, path, &data, &error), -EBUSY);
    assert_non_null(strstr(error.message, "in use by another scan"));
    checkpoint_release(&one);
    assert_int_equal(checkpoint_append(&other, path, &data, NULL), 0);
    write_block(&other, 2);
    checkpoint_release(&other);
    checkpoint_data_release(&data);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_holds(&data, 2);
    checkpoint_data_release(&data);
}

/* Only what is a file goes away when the scan is done. */
static void a_finished_scan_needs_no_file(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    assert_int_equal(checkpoint_create(&checkpoint, path, &header, NULL), 0);
    checkpoint_remove(&checkpoint);
    checkpoint_release(&checkpoint);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(checkpoint_create(&checkpoint, "/dev/null", &header, NULL), 0);
    checkpoint_remove(&checkpoint);
    checkpoint_release(&checkpoint);
    assert_int_equal(access("/dev/null", F_OK), 0);
}

/* Who may not read a file cannot tell whether it is a checkpoint. */
static void unreadable_files_are_not_replaced(void **state)
{
    (void)state;
    const uid_t root = geteuid();
    struct checkpoint checkpoint;
    struct error error = {0};
    replace_file("secret", 6);
    assert_int_equal(chmod(path, 0222), 0);
    assert_int_equal(chmod(directory, 0777), 0);
    if (root == 0)
        assert_int_equal(seteuid(65534), 0);
    int failed = checkpoint_create(&checkpoint, path, &header, &error);
    if (root == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(failed, -EACCES);
    assert_non_null(strstr(error.message, "Permission denied"));
    assert_int_equal(chmod(path, 0600), 0);
    struct buffer bytes = read_file();
    assert_string_equal(bytes.data, "secret");
    buffer_release(&bytes);
}

static void places_that_cannot_be_written_are_named(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    struct error error = {0};
    assert_int_equal(checkpoint_create(&checkpoint, "/nowhere/file", &header, &error), -ENOENT);
    assert_non_null(strstr(error.message, "'/nowhere/file'"));
    assert_int_equal(checkpoint_create(&checkpoint, directory, &header, &error), -EISDIR);
    assert_int_equal(checkpoint_create(&checkpoint, "/dev/full", &header, &error), -ENOSPC);
    assert_non_null(strstr(error.message, "'/dev/full'"));
    const struct checkpoint_data data = {.length = 5};
    assert_int_equal(checkpoint_append(&checkpoint, "/nowhere/file", &data, &error), -ENOENT);
    assert_non_null(strstr(error.message, "'/nowhere/file'"));
}

/* A disk that fills up half-way costs that block and no more. */
static void a_full_disk_costs_one_block(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    struct checkpoint_data data;
    struct error error = {0};
    assert_int_equal(checkpoint_create(&checkpoint, path, &header, NULL), 0);
    write_block(&checkpoint, 1);
    int full = open("/dev/full", O_WRONLY), kept = dup(checkpoint.fd);
    assert_true(full >= 0 && kept >= 0);
    assert_int_equal(dup2(full, checkpoint.fd), checkpoint.fd);
    assert_int_equal(checkpoint_add_port(&checkpoint, &records[6]), 0);
    assert_int_equal(checkpoint_write(&checkpoint, &positions[2], &error), -ENOSPC);
    assert_non_null(strstr(error.message, path));
    /* Half of the block had fitted. */
    assert_int_equal(file_write(kept, "\x20\0\0\0\x01", 5), 0);
    close(full);
    close(kept);
    checkpoint_release(&checkpoint);
    assert_int_equal(checkpoint_load(path, &data, NULL), 0);
    assert_holds(&data, 1);
    checkpoint_data_release(&data);
}

/* ---- when to write ---- */

static void a_block_is_due_after_a_second(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    assert_int_equal(checkpoint_create(&checkpoint, path, &header, NULL), 0);
    const uint64_t written = checkpoint.written;
    assert_false(checkpoint_due(&checkpoint, written));
    assert_false(checkpoint_due(&checkpoint, written + NANOSECONDS_PER_SECOND / 2));
    /* With ticks a tenth of a second apart, none of them lets more than a second pass. */
    assert_true(checkpoint_due(&checkpoint, written + NANOSECONDS_PER_SECOND * 9 / 10));
    checkpoint_release(&checkpoint);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, drop_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_comes_back),
        TEST(a_header_alone_is_a_beginning),
        TEST(many_records_come_back),
        TEST(every_prefix_is_an_earlier_state),
        TEST(every_prefix_can_be_gone_on_from),
        TEST(every_flipped_bit_is_noticed),
        TEST(blocks_stay_in_their_order),
        TEST(blocks_stay_with_their_header),
        TEST(foreign_files_are_refused),
        TEST(states_that_nothing_makes_are_refused),
        TEST(nothing_is_replaced),
        TEST(a_file_belongs_to_one_scan_at_a_time),
        TEST(a_finished_scan_needs_no_file),
        TEST(unreadable_files_are_not_replaced),
        TEST(places_that_cannot_be_written_are_named),
        TEST(a_full_disk_costs_one_block),
        TEST(a_block_is_due_after_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
