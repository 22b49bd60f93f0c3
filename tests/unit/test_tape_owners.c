/* Processes on recordings: what is written comes again, and what is hostile does no harm. */
#include "local/tape_owners.h"

#include "base/buffer.h"
#include "base/file.h"

#include "guarded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A recording that is written, and then read from memory that ends where it does. */
struct place {
    char folder[64], path[96];
    struct diag_tape *tape;
    struct guarded guarded;
    size_t length;
    char *bytes;
};

static struct place place_new(void)
{
    struct place place = {.folder = "/tmp/porthole-test-XXXXXX"};
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.path, sizeof(place.path), "%s/tape", place.folder);
    assert_int_equal(diag_tape_open(place.path, true, &place.tape, NULL), 0);
    return place;
}

static void place_read(struct place *place)
{
    struct buffer file = {0};
    assert_int_equal(diag_tape_close(place->tape, NULL), 0);
    assert_int_equal(file_read(place->path, 1 << 20, &file, NULL), 0);
    place->guarded = guarded_open(file.length);
    place->bytes = guarded_copy(&place->guarded, file.data, file.length);
    place->length = file.length;
    buffer_release(&file);
    assert_int_equal(diag_tape_open_bytes(place->bytes, place->length, "tape", &place->tape, NULL),
                     0);
}

static void place_remove(struct place *place)
{
    assert_int_equal(diag_tape_close(place->tape, NULL), 0);
    guarded_close(&place->guarded);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(rmdir(place->folder), 0);
}

static const struct tape_sight sight = {
    .unseen = 3, .unseen_spaces = 2, .uid = 1000, .processes = 1};

static void what_is_written_comes_again(void **state)
{
    (void)state;
    struct owner items[] = {{10, 7, 3}, {10, 7, 4}, {10, 9, 3}, {11, 8, 5}};
    struct process processes[] = {
        {.pid = 7,
         .name = "nginx: \x1b[1m",
         .uid = 33,
         .user = "www-data",
         .command = "nginx --password secret",
         .unit = "nginx@a\\x2db.service",
         .user_unit = true,
         .started = 1795227243512000000,
         .space = 4026531840},
        {.pid = 8, .name = "", .uid = UINT32_MAX},
        {.pid = 9, .name = "sh", .container_runtime = "docker", .container = "0a1b"},
    };
    const struct owners owners = {
        .items = items, .count = 4, .processes = processes, .process_count = 3};
    struct place place = place_new();
    struct owners again;
    struct tape_sight seen;
    size_t count;
    diag_tape_put_owners(place.tape, &owners);
    diag_tape_put_sight(place.tape, &sight);
    place_read(&place);
    assert_null(memmem(place.bytes, place.length, "secret", 6));
    assert_true(diag_tape_sight(place.tape, &seen));
    assert_memory_equal(&seen, &sight, sizeof(seen));
    assert_int_equal(diag_tape_owners(place.tape, &again, NULL), 0);
    assert_false(diag_tape_is_damaged(place.tape));
    assert_int_equal(again.unseen, 3);
    assert_int_equal(again.count, 4);
    assert_memory_equal(again.items, items, sizeof(items));
    assert_int_equal(again.process_count, 3);
    const struct process *nginx = owners_process(&again, 7), *nameless = owners_process(&again, 8);
    assert_string_equal(nginx->name, "nginx: \x1b[1m");
    assert_string_equal(nginx->user, "www-data");
    assert_string_equal(nginx->unit, "nginx@a\\x2db.service");
    assert_null(nginx->command);
    assert_null(nginx->container);
    assert_true(nginx->user_unit && nginx->uid == 33);
    assert_int_equal(nginx->started, 1795227243512000000);
    assert_int_equal(nginx->space, 4026531840);
    assert_true(nameless->uid == UINT32_MAX && !nameless->user && !nameless->user_unit);
    assert_string_equal(owners_process(&again, 9)->container_runtime, "docker");
    assert_string_equal(owners_process(&again, 9)->container, "0a1b");
    assert_int_equal(owners_of(&again, 10, &count)->pid, 7);
    assert_int_equal(count, 3);
    owners_release(&again);
    place_remove(&place);
}

/* More holders than go into one record. */
static void there_may_be_many(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    struct owner *items = calloc(MANY, sizeof(*items));
    struct process process = {.pid = 7, .name = "many"};
    assert_non_null(items);
    for (int i = 0; i < MANY; i++)
        items[i] = (struct owner){(uint32_t)i + 1, 7, i};
    const struct owners owners = {
        .items = items, .count = MANY, .processes = &process, .process_count = 1};
    struct place place = place_new();
    struct owners again;
    diag_tape_put_owners(place.tape, &owners);
    diag_tape_put_sight(place.tape, &sight);
    place_read(&place);
    assert_int_equal(diag_tape_owners(place.tape, &again, NULL), 0);
    assert_int_equal(again.count, MANY);
    assert_memory_equal(again.items, items, MANY * sizeof(*items));
    owners_release(&again);
    place_remove(&place);
    free(items);
}

static void without_the_sight_there_are_none(void **state)
{
    (void)state;
    struct owner item = {10, 7, 3};
    struct process process = {.pid = 7, .name = "cut"};
    const struct owners owners = {
        .items = &item, .count = 1, .processes = &process, .process_count = 1};
    for (unsigned sights = 0; sights < 2; sights++) {
        const struct tape_sight nobody = {.processes = 0};
        struct place place = place_new();
        struct tape_sight seen;
        struct owners again;
        struct error error = {0};
        diag_tape_put_owners(place.tape, &owners);
        if (sights)
            diag_tape_put_sight(place.tape, &nobody);
        place_read(&place);
        assert_int_equal(diag_tape_sight(place.tape, &seen), sights);
        assert_int_equal(diag_tape_owners(place.tape, &again, &error), -ENODATA);
        assert_string_equal(error.message, "the recording has no processes");
        place_remove(&place);
    }
}

/* ---- hostile ---- */

static void put_process(struct diag_tape *tape, uint32_t pid, const char *texts, size_t length)
{
    const struct taped_process taped = {.pid = pid};
    struct buffer record = {0};
    buffer_add(&record, &taped, sizeof(taped));
    buffer_add(&record, texts, length);
    diag_tape_put(tape, TAPE_PROCESS, record.data, record.length);
    buffer_release(&record);
}

/* Whatever order they came in. */
static void order_and_twins(void **state)
{
    (void)state;
    static const struct taped_holder holders[] = {{11, 8, 5}, {10, 9, 3}, {10, 7, 4},
                                                  {10, 7, 3}, {10, 7, 4}, {10, 6, 1}};
    static const struct owner expected[] = {{10, 7, 3}, {10, 7, 4}, {10, 9, 3}, {11, 8, 5}};
    struct place place = place_new();
    struct owners again;
    diag_tape_put(place.tape, TAPE_HOLDERS, holders, sizeof(holders)); /* nobody has the pid 6 */
    put_process(place.tape, 9, "c\0\0\0\0", 6);
    put_process(place.tape, 7, "a\0\0\0\0", 6);
    put_process(place.tape, 8, "b\0\0\0\0", 6);
    put_process(place.tape, 7, "a\0\0\0\0", 6);
    diag_tape_put_sight(place.tape, &sight);
    place_read(&place);
    assert_int_equal(diag_tape_owners(place.tape, &again, NULL), 0);
    assert_int_equal(again.process_count, 3);
    assert_int_equal(again.count, 4);
    assert_memory_equal(again.items, expected, sizeof(expected));
    assert_string_equal(owners_process(&again, 8)->name, "b");
    owners_release(&again);
    place_remove(&place);
}

#define TEXT(text) text, sizeof(text) - 1

static void what_makes_no_sense_is_no_process(void **state)
{
    (void)state;
    char name[68] = "", user[302] = "";
    memset(name, 'n', 64);
    memset(user + 1, 'u', 256);
    const struct {
        uint32_t pid;
        const char *texts;
        size_t length;
    } faults[] = {
        {0, TEXT("n\0u\0\0\0\0")},
        {UINT32_C(0x80000000), TEXT("n\0u\0\0\0\0")},
        {7, TEXT("")},
        {7, TEXT("n")},
        {7, TEXT("n\0u\0\0")},
        {7, TEXT("n\0u\0\0\0no-end")},
        {7, TEXT("n\0u\0$(reboot).service\0\0\0")},
        {7, TEXT("n\0u\0a b.service\0\0\0")},
        {7, TEXT("n\0u\0\0docker\n\0\0")},
        {7, TEXT("n\0u\0\0docker\0a'b\0")},
        {7, name, sizeof(name)},
        {7, user, sizeof(user)},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct place place = place_new();
        struct owners again;
        put_process(place.tape, faults[i].pid, faults[i].texts, faults[i].length);
        put_process(place.tape, 5, TEXT("good\0\0\0\0\0"));
        diag_tape_put_sight(place.tape, &sight);
        place_read(&place);
        assert_int_equal(diag_tape_owners(place.tape, &again, NULL), 0);
        if (again.process_count != 1 || !diag_tape_is_damaged(place.tape))
            fail_msg("case %zu: %zu processes", i, again.process_count);
        assert_string_equal(again.processes[0].name, "good");
        owners_release(&again);
        place_remove(&place);
    }
}

static void what_makes_no_sense_holds_nothing(void **state)
{
    (void)state;
    static const struct taped_holder faults[] = {
        {0, 7, 3}, {10, 0, 3}, {10, UINT32_MAX, 3}, {10, 7, UINT32_MAX}};
    static const struct taped_holder good = {10, 7, 3};
    for (size_t i = 0; i <= sizeof(faults) / sizeof(faults[0]); i++) {
        struct place place = place_new();
        struct owners again;
        put_process(place.tape, 7, TEXT("n\0\0\0\0\0"));
        if (i < sizeof(faults) / sizeof(faults[0]))
            diag_tape_put(place.tape, TAPE_HOLDERS, &faults[i], sizeof(faults[i]));
        else
            diag_tape_put(place.tape, TAPE_HOLDERS, "half", 4);
        diag_tape_put(place.tape, TAPE_HOLDERS, &good, sizeof(good));
        diag_tape_put_sight(place.tape, &sight);
        place_read(&place);
        assert_int_equal(diag_tape_owners(place.tape, &again, NULL), 0);
        assert_true(diag_tape_is_damaged(place.tape));
        assert_int_equal(again.count, 1);
        assert_int_equal(again.items[0].fd, 3);
        owners_release(&again);
        place_remove(&place);
    }
}

/* Each bit wrong in turn. */
static void damage_is_survived(void **state)
{
    (void)state;
    struct owner items[] = {{10, 7, 3}, {11, 7, 4}};
    struct process process = {
        .pid = 7, .name = "n", .user = "u", .unit = "a.service", .container = "c"};
    const struct owners owners = {
        .items = items, .count = 2, .processes = &process, .process_count = 1};
    struct place place = place_new();
    unsigned found = 0;
    diag_tape_put_owners(place.tape, &owners);
    diag_tape_put_sight(place.tape, &sight);
    place_read(&place);
    for (size_t at = 31 * 8; at < place.length * 8; at++) {
        struct diag_tape *tape = NULL;
        struct owners again;
        const char bit = (char)(1 << at % 8);
        place.bytes[at / 8] = (char)(place.bytes[at / 8] ^ bit);
        assert_int_equal(diag_tape_open_bytes(place.bytes, place.length, "tape", &tape, NULL), 0);
        if (diag_tape_owners(tape, &again, NULL) == 0) {
            found += again.count > 0;
            for (size_t i = 0; i < again.count; i++)
                assert_non_null(owners_process(&again, again.items[i].pid));
            owners_release(&again);
        }
        diag_tape_discard(tape);
        place.bytes[at / 8] = (char)(place.bytes[at / 8] ^ bit);
    }
    assert_true(found > 0);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_again),
        cmocka_unit_test(there_may_be_many),
        cmocka_unit_test(without_the_sight_there_are_none),
        cmocka_unit_test(order_and_twins),
        cmocka_unit_test(what_makes_no_sense_is_no_process),
        cmocka_unit_test(what_makes_no_sense_holds_nothing),
        cmocka_unit_test(damage_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
