/* Recorded conversations that are said again: what is taken out of the records, and when it is
 * said. */
#include "talk/replay.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SENT "{\"type\":\"data\",\"direction\":\"sent\","
#define RECEIVED "{\"type\":\"data\",\"direction\":\"received\","

static struct replay read_record(const char *lines, uint64_t number, enum replay_side side)
{
    struct replay replay = {0};
    struct error error = {0};
    if (replay_read(&replay, lines, strlen(lines), number, side, &error) < 0)
        fail_msg("%s", error.message);
    return replay;
}

/* ---- the record ---- */

static void test_steps(void **state)
{
    (void)state;
    struct replay replay =
        read_record("{\"type\":\"connection\"}\r\n" SENT "\"text\":\"one\"}\n"
                    "\n" SENT "\"text\":\"\"}\n" RECEIVED "\"text\":\"12345\"}\n" SENT
                    "\"base64\":\"AAE=\"}\n" RECEIVED "\"text\":\"6\"}",
                    0, REPLAY_DIALLED);
    assert_int_equal(replay.count, 3);
    assert_int_equal(replay.said.length, 5);
    assert_memory_equal(replay.said.data, "one\0\1", 5);
    assert_int_equal(replay.steps[0].heard, 0);
    assert_int_equal(replay.steps[0].end, 3);
    assert_int_equal(replay.steps[1].heard, 0);
    assert_int_equal(replay.steps[1].end, 3);
    assert_int_equal(replay.steps[2].heard, 5);
    assert_int_equal(replay.steps[2].end, 5);
    assert_int_equal(replay.heard, 6);
    replay_release(&replay);
}

static const char several[] =
    "{\"type\":\"listening\"}\n" RECEIVED "\"connection\":2,\"text\":\"a\"}\n" RECEIVED
    "\"connection\":1,\"text\":\"bb\"}\n" SENT "\"connection\":2,\"text\":\"ccc\"}\n" SENT
    "\"connection\":1,\"text\":\"dddd\"}\n";

static void test_one_of_several(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        enum replay_side side;
        const char *text;
        uint64_t heard;
    } cases[] = {{0, REPLAY_DIALLED, "ccc", 1}, /* the first that says anything */
                 {2, REPLAY_ACCEPTED, "ccc", 1},
                 {1, REPLAY_ACCEPTED, "dddd", 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct replay replay = read_record(several, cases[i].number, cases[i].side);
        assert_string_equal(replay.said.data, cases[i].text);
        assert_int_equal(replay.heard, cases[i].heard);
        replay_release(&replay);
    }
}

#define CONNECTION(number, role)                                                                   \
    "{\"type\":\"connection\",\"connection\":" number ",\"role\":\"" role "\"}\n"
#define ROLE(role) "{\"type\":\"connection\",\"role\":\"" role "\"}\n"
#define SAID SENT "\"text\":\"sent\"}\n" RECEIVED "\"text\":\"received\"}\n"
#define SAID_IN(number)                                                                            \
    SENT "\"connection\":" number ",\"text\":\"sent\"}\n" RECEIVED "\"connection\":" number        \
         ",\"text\":\"received\"}\n"

/* Who recorded it does not matter for what is played. */
static void test_roles(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        uint64_t number;
        const char *text[2];
    } cases[] = {
        {SAID, 0, {"sent", "sent"}},
        {ROLE("dialled") SAID, 0, {"sent", "received"}},
        {ROLE("accepted") SAID, 0, {"received", "sent"}},
        {CONNECTION("1", "dialled") CONNECTION("2", "accepted") SAID_IN("2"),
         0,
         {"received", "sent"}},
        {CONNECTION("2", "accepted") CONNECTION("1", "dialled") SAID_IN("2") SAID_IN("1"),
         1,
         {"sent", "received"}},
        /* one record after another: the first of them */
        {ROLE("accepted") SAID ROLE("dialled") SAID, 0, {"received", "sent"}},
        {ROLE("dialled") ROLE("accepted") SAID, 0, {"received", "sent"}},
        /* who says nothing listens */
        {ROLE("dialled") SENT "\"text\":\"sent\"}\n", 0, {"sent", ""}},
        {ROLE("accepted") RECEIVED "\"text\":\"received\"}\n", 0, {"received", ""}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (enum replay_side side = REPLAY_DIALLED; side <= REPLAY_ACCEPTED; side++) {
            struct replay replay = read_record(cases[i].lines, cases[i].number, side);
            const char *text = cases[i].text[side];
            assert_int_equal(replay.said.length, strlen(text));
            if (*text)
                assert_string_equal(replay.said.data, text);
            replay_release(&replay);
        }
    }
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        uint64_t number;
        const char *message;
    } cases[] = {
        {"", 0, "nothing was said"},
        {"\n{\"type\":\"end\"}\n", 0, "nothing was said"},
        {several, 3, "nothing was said"},
        {RECEIVED "\"text\":\"\"}\n", 0, "nothing was said"},
        {SENT "\"text\":\"\"}\n\nnonsense\n", 0, "line 3: this is not JSON"},
        {SENT "\"text\":\"\"}\n" SENT "\"text\":1}", 0, "line 2: a data record has either"},
        {"\n{\"type\":\"connection\",\"role\":\"both\"}", 0, "line 2: a connection has a role"},
        {"{\"type\":\"connection\",\"role\":\"dialled\",\"connection\":0}", 0,
         "line 1: connections"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct replay replay = {.heard = 7};
        struct error error = {0};
        assert_int_equal(replay_read(&replay, cases[i].lines, strlen(cases[i].lines),
                                     cases[i].number, REPLAY_DIALLED, &error),
                         -EINVAL);
        if (strncmp(error.message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s", error.message);
        assert_int_equal(replay.heard, 7);
    }
}

/* ---- the channel ---- */

struct scene {
    struct loop *loop;
    struct channel *channel;
    unsigned woken;
};

static void count_ready(struct channel *channel, void *user)
{
    struct scene *scene = user;
    assert_ptr_equal(channel, scene->channel);
    scene->woken++;
}

static void scene_init(struct scene *scene, const struct replay *replay, bool messages,
                       struct channel *inner)
{
    *scene = (struct scene){0};
    assert_int_equal(loop_new(&scene->loop), 0);
    assert_int_equal(channel_replay_new(scene->loop, replay, messages, inner, &scene->channel), 0);
    scene->channel->ready = count_ready;
    scene->channel->user = scene;
}

static void scene_release(struct scene *scene)
{
    channel_free(scene->channel, false);
    loop_free(scene->loop);
}

static void assert_says(struct scene *scene, const char *text, size_t length)
{
    char bytes[64] = {0};
    assert_int_equal(channel_read(scene->channel, bytes, sizeof(bytes)), length);
    assert_memory_equal(bytes, text, length);
}

static void assert_waits(struct scene *scene, ssize_t code)
{
    char bytes[64];
    assert_int_equal(channel_read(scene->channel, bytes, sizeof(bytes)), code);
}

static void hear(struct scene *scene, size_t length)
{
    char bytes[64] = {0};
    assert_int_equal(channel_write(scene->channel, bytes, length), length);
}

static const char dialogue[] =
    SENT "\"text\":\"hello\"}\n" SENT "\"text\":\"you\"}\n" RECEIVED "\"text\":\"hi\"}\n" SENT
         "\"text\":\"\"}\n" RECEIVED "\"text\":\"?\"}\n" SENT "\"text\":\"bye\"}\n" RECEIVED
         "\"text\":\"!\"}\n";

static void test_a_stream_waits_for_what_was_heard(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct scene scene;
    scene_init(&scene, &replay, false, NULL);
    assert_false(scene.channel->messages);
    assert_says(&scene, "helloyou", 8); /* a stream has no boundaries */
    assert_waits(&scene, -EAGAIN);
    scene.channel->readable = false; /* as its owner does */
    hear(&scene, 1);
    assert_false(scene.channel->readable);
    hear(&scene, 1);
    assert_true(scene.channel->readable); /* for the empty step */
    assert_waits(&scene, -EAGAIN);
    scene.channel->readable = false;
    assert_int_equal(loop_run(scene.loop), 0);
    assert_int_equal(scene.woken, 1);
    hear(&scene, 2); /* more than one step needs */
    assert_true(scene.channel->readable);
    assert_int_equal(loop_run(scene.loop), 0);
    assert_int_equal(scene.woken, 2);
    assert_says(&scene, "bye", 3);
    assert_waits(&scene, CHANNEL_END);
    assert_int_equal(channel_shut(scene.channel), 0);
    scene_release(&scene);
    replay_release(&replay);
}

/* All is said, but the other side's last word is waited for. */
static void test_the_end_is_the_records(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct scene scene;
    scene_init(&scene, &replay, false, NULL);
    assert_says(&scene, "helloyou", 8);
    hear(&scene, 3);
    assert_says(&scene, "bye", 3);
    assert_waits(&scene, -EAGAIN);
    hear(&scene, 1);
    assert_waits(&scene, CHANNEL_END);
    scene_release(&scene); /* although it wanted to wake us */
    replay_release(&replay);
}

/* Nothing more will be heard: what is left is said all the same. */
static void test_the_other_side_ends_early(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct scene scene;
    scene_init(&scene, &replay, false, NULL);
    assert_says(&scene, "helloyou", 8);
    assert_waits(&scene, -EAGAIN);
    scene.channel->readable = false;
    hear(&scene, 1);
    assert_int_equal(channel_shut(scene.channel), 0);
    assert_true(scene.channel->readable);
    assert_int_equal(loop_run(scene.loop), 0);
    assert_int_equal(scene.woken, 1);
    assert_says(&scene, "bye", 3);
    assert_waits(&scene, CHANNEL_END);
    scene_release(&scene);
    replay_release(&replay);
}

static void test_small_reads(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct scene scene;
    char bytes[16] = {0};
    size_t used = 0;
    scene_init(&scene, &replay, false, NULL);
    hear(&scene, 4);
    while (channel_read(scene.channel, bytes + used, 1) == 1)
        used++;
    assert_string_equal(bytes, "helloyoubye");
    assert_waits(&scene, CHANNEL_END);
    scene_release(&scene);
    replay_release(&replay);
}

static void test_datagrams(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct scene scene;
    char bytes[4];
    scene_init(&scene, &replay, true, NULL);
    assert_true(scene.channel->messages);
    assert_int_equal(channel_read(scene.channel, bytes, 4), 4); /* the rest of it is lost */
    assert_memory_equal(bytes, "hell", 4);
    assert_says(&scene, "you", 3);
    assert_waits(&scene, -EAGAIN);
    hear(&scene, 2);
    assert_says(&scene, "", 0);
    assert_waits(&scene, -EAGAIN);
    hear(&scene, 0);
    assert_waits(&scene, -EAGAIN);
    hear(&scene, 2);
    assert_says(&scene, "bye", 3);
    assert_waits(&scene, CHANNEL_END);
    scene_release(&scene);
    replay_release(&replay);
}

/* ---- what is heard is handed on ---- */

struct inner {
    struct channel channel;
    char bytes[64];
    size_t used, room; /* how many it has taken, and would take now */
    int fault;
    bool shut, freed;
};

static ssize_t inner_read(struct channel *channel, void *bytes, size_t size)
{
    (void)channel, (void)bytes, (void)size;
    fail_msg("it is never read");
    return CHANNEL_END;
}

static ssize_t inner_write(struct channel *channel, const void *bytes, size_t length)
{
    struct inner *self = (struct inner *)channel;
    if (self->fault) {
        error_set(&channel->error, self->fault, "no");
        return -self->fault;
    }
    if (self->room == 0 && length)
        return -EAGAIN;
    if (length > self->room)
        length = self->room;
    assert_true(length <= sizeof(self->bytes) - self->used);
    memcpy(self->bytes + self->used, bytes, length);
    self->used += length;
    self->room -= length;
    return (ssize_t)length;
}

static int inner_shut(struct channel *channel)
{
    ((struct inner *)channel)->shut = true;
    return 0;
}

static void inner_free(struct channel *channel, bool abort)
{
    ((struct inner *)channel)->freed = true;
    assert_true(abort);
}

static const struct channel_class inner_class = {
    .name = "inner",
    .read = inner_read,
    .write = inner_write,
    .shut = inner_shut,
    .free = inner_free,
};

static void test_a_stream_is_handed_on(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct inner inner = {.channel = {.class = &inner_class, .writable = true}, .room = 3};
    struct scene scene;
    scene_init(&scene, &replay, false, &inner.channel);
    assert_int_equal(channel_write(scene.channel, "abcde", 5), 3);
    assert_int_equal(channel_write(scene.channel, "de", 2), -EAGAIN);
    scene.channel->writable = false;
    inner.room = 9;
    inner.channel.ready(&inner.channel, inner.channel.user);
    assert_true(scene.channel->writable);
    assert_int_equal(scene.woken, 1);
    assert_int_equal(channel_write(scene.channel, "de", 2), 2);
    assert_memory_equal(inner.bytes, "abcde", 5);
    assert_says(&scene, "helloyoubye", 11);
    inner.fault = EPIPE;
    assert_int_equal(channel_write(scene.channel, "f", 1), -EPIPE);
    assert_string_equal(scene.channel->error.message, "no");
    assert_int_equal(channel_shut(scene.channel), 0);
    assert_true(inner.shut);
    channel_free(scene.channel, true);
    assert_true(inner.freed);
    loop_free(scene.loop);
    replay_release(&replay);
}

/* Nothing of a datagram is lost where the inner channel takes a part of it. */
static void test_datagrams_are_handed_on(void **state)
{
    (void)state;
    struct replay replay = read_record(dialogue, 0, REPLAY_DIALLED);
    struct inner inner = {.channel = {.class = &inner_class, .writable = true}, .room = 2};
    struct scene scene;
    scene_init(&scene, &replay, true, &inner.channel);
    assert_int_equal(channel_write(scene.channel, "abcde", 5), 5);
    assert_int_equal(inner.used, 2);
    assert_int_equal(channel_write(scene.channel, "fg", 2), -EAGAIN);
    assert_int_equal(channel_shut(scene.channel), -EAGAIN);
    assert_int_equal(scene.channel->class->unsent(scene.channel), 3);
    assert_false(inner.shut);
    inner.room = 1;
    inner.channel.ready(&inner.channel, inner.channel.user);
    assert_int_equal(scene.woken, 0); /* it can still not be written */
    inner.room = 3;
    inner.channel.ready(&inner.channel, inner.channel.user);
    assert_int_equal(scene.woken, 1);
    assert_int_equal(channel_write(scene.channel, "fg", 2), 2);
    assert_int_equal(inner.used, 6);
    assert_int_equal(channel_shut(scene.channel), -EAGAIN);
    inner.room = 1;
    assert_int_equal(channel_shut(scene.channel), 0);
    assert_true(inner.shut);
    assert_memory_equal(inner.bytes, "abcdefg", 7);
    channel_free(scene.channel, true);
    loop_free(scene.loop);
    replay_release(&replay);
}

/* ---- both sides, joined ---- */

struct meeting {
    struct pair *pair;
    struct buffer record;
    bool ended;
};

static void keep_record(void *user, enum pair_direction direction, const void *bytes, size_t length)
{
    struct meeting *meeting = user;
    transcript_add_data(&meeting->record, 0, 0, direction, bytes, length);
}

static void meeting_ended(void *user, enum pair_outcome outcome, const struct error *error)
{
    struct meeting *meeting = user;
    (void)error;
    assert_int_equal(outcome, PAIR_ENDED);
    meeting->ended = true;
}

/* The two sides of a record say it to each other, and what is recorded of that is the same again.
 */
static void test_two_sides_meet(void **state)
{
    (void)state;
    static const char lines[] = ROLE("dialled") SENT
        "\"text\":\"hello\"}\n" RECEIVED "\"text\":\"hi\"}\n" SENT "\"text\":\"bye\"}\n" RECEIVED
        "\"base64\":\"AAH/\"}\n" RECEIVED "\"text\":\"!\"}\n" SENT "\"text\":\"end\"}\n";
    struct replay sides[PAIR_DIRECTIONS] = {read_record(lines, 0, REPLAY_DIALLED),
                                            read_record(lines, 0, REPLAY_ACCEPTED)};
    struct meeting meeting = {0};
    buffer_add_text(&meeting.record, ROLE("dialled"));
    struct loop *loop;
    struct pipes pipes;
    struct channel *channels[PAIR_DIRECTIONS];
    const struct pair_options options = {
        .observe = keep_record, .ended = meeting_ended, .user = &meeting};
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(pipes_init(&pipes), 0);
    for (size_t i = 0; i < PAIR_DIRECTIONS; i++)
        assert_int_equal(channel_replay_new(loop, &sides[i], false, NULL, &channels[i]), 0);
    assert_int_equal(pair_new(loop, &pipes, channels[0], channels[1], &options, &meeting.pair), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_true(meeting.ended);
    for (enum replay_side side = REPLAY_DIALLED; side <= REPLAY_ACCEPTED; side++) {
        struct replay again = read_record(meeting.record.data, 0, side);
        assert_int_equal(again.said.length, sides[side].said.length);
        assert_memory_equal(again.said.data, sides[side].said.data, again.said.length);
        assert_int_equal(again.heard, sides[side].heard);
        replay_release(&again);
        replay_release(&sides[side]);
    }
    pair_free(meeting.pair, false);
    buffer_release(&meeting.record);
    pipes_release(&pipes);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_one_of_several),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_stream_waits_for_what_was_heard),
        cmocka_unit_test(test_the_end_is_the_records),
        cmocka_unit_test(test_the_other_side_ends_early),
        cmocka_unit_test(test_small_reads),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_a_stream_is_handed_on),
        cmocka_unit_test(test_datagrams_are_handed_on),
        cmocka_unit_test(test_two_sides_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
