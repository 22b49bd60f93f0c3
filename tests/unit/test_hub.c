/* Rooms full of clients: sockets, whose other ends the tests hold. */
#include "own_network.h"
#include "talk/hub.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "talk/hub_chat.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CLIENTS 100
#define ROUNDS 100000 /* after which a test has failed */

/* The test's end of a connection. */
struct end {
    int fd; /* -1: closed */
    const char *says;
    size_t length, said;
    struct buffer heard;
    bool deaf; /* does not read */
    bool ended, reset;
};

struct departure {
    unsigned times;
    int code; /* 0: it ended by itself */
    char message[384];
    uint64_t received, sent;
};

struct scene {
    struct loop *loop;
    struct hub *hub;
    struct end ends[CLIENTS + 1]; /* by number; [0] is local */
    struct departure departures[CLIENTS + 1];
    size_t count;
    unsigned local_ended, local_failed;
    int local_code;
    struct buffer observed;
    bool free_at_left;
    struct task stopper;
    unsigned turns;
};

/* ---- the hub's callbacks ---- */

static void on_left(void *user, const struct hub_departure *left)
{
    struct scene *scene = user;
    struct departure *departure = &scene->departures[left->number];
    departure->times++;
    departure->code = left->error ? left->error->code : 0;
    snprintf(departure->message, sizeof(departure->message), "%s",
             left->error ? left->error->message : "");
    departure->received = left->received;
    departure->sent = left->sent;
    if (scene->free_at_left) {
        hub_free(scene->hub);
        scene->hub = NULL;
    }
}

static void on_local_ended(void *user)
{
    ((struct scene *)user)->local_ended++;
}

static void on_local_failed(void *user, const struct error *error)
{
    ((struct scene *)user)->local_failed++;
    ((struct scene *)user)->local_code = error->code;
}

static void on_observed(void *user, uint64_t number, bool received, const void *bytes,
                        size_t length)
{
    struct scene *scene = user;
    buffer_add_format(&scene->observed, "%u%s", (unsigned)number, received ? "<" : ">");
    buffer_add(&scene->observed, bytes, length);
}

/* ---- scenes ---- */

static void stop_later(struct task *task)
{
    struct scene *scene = (struct scene *)((char *)task - offsetof(struct scene, stopper));
    if (--scene->turns == 0)
        loop_stop(scene->loop);
    else
        loop_defer(scene->loop, task);
}

/* Lets the loop look at its descriptors a few times. */
static void take_turns(struct scene *scene)
{
    scene->turns = 4;
    loop_defer(scene->loop, &scene->stopper);
    assert_int_equal(loop_run(scene->loop), 0);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    assert_int_equal(loop_new(&scene->loop), 0);
    scene->stopper.run = stop_later;
    for (size_t i = 0; i <= CLIENTS; i++)
        scene->ends[i].fd = -1;
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    hub_free(scene->hub);
    for (size_t i = 0; i <= CLIENTS; i++) {
        if (scene->ends[i].fd >= 0)
            close(scene->ends[i].fd);
        buffer_release(&scene->ends[i].heard);
    }
    buffer_release(&scene->observed);
    assert_int_equal(loop_run(scene->loop), 0); /* nothing of the hub is in the loop any more */
    loop_free(scene->loop);
    free(scene);
    return 0;
}

static struct channel *connect_end(struct scene *scene, size_t number, int type)
{
    struct channel *channel;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    scene->ends[number] = (struct end){.fd = fds[0]};
    assert_int_equal(channel_socket_new(scene->loop, fds[1], &channel), 0);
    return channel;
}

static void open_hub(struct scene *scene, bool with_local, struct hub_options options)
{
    options.left = on_left;
    options.local_ended = on_local_ended;
    options.local_failed = on_local_failed;
    options.user = scene;
    struct channel *local = with_local ? connect_end(scene, 0, SOCK_STREAM) : NULL;
    assert_int_equal(hub_new(scene->loop, local, &options, &scene->hub), 0);
}

static void add_channel(struct scene *scene, size_t number, struct channel *channel)
{
    struct peer peer = {.kind = PEER_INTERNET, .port = (uint16_t)(4000 + number)};
    assert_int_equal(address_parse("127.0.0.1", 9, &peer.address, NULL), 0);
    assert_int_equal(hub_add(scene->hub, channel, &peer, number), 0);
}

static struct end *add(struct scene *scene, size_t number)
{
    add_channel(scene, number, connect_end(scene, number, SOCK_STREAM));
    return &scene->ends[number];
}

/* ---- the other ends ---- */

static void end_close(struct end *end)
{
    close(end->fd);
    end->fd = -1;
}

static void end_write(struct end *end)
{
    while (end->said < end->length) {
        size_t part = end->length - end->said < 4096 ? end->length - end->said : 4096;
        ssize_t put = send(end->fd, end->says + end->said, part, MSG_NOSIGNAL);
        if (put < 0)
            return;
        end->said += (size_t)put;
    }
}

static void end_read(struct end *end)
{
    char bytes[65536];
    while (!end->deaf && !end->ended && !end->reset) {
        ssize_t got = recv(end->fd, bytes, sizeof(bytes), 0);
        if (got > 0)
            buffer_add(&end->heard, bytes, (size_t)got);
        else if (got == 0)
            end->ended = true;
        else if (errno == EAGAIN)
            return;
        else
            end->reset = true;
    }
}

static void take_round(struct scene *scene)
{
    take_turns(scene);
    for (size_t i = 0; i <= CLIENTS; i++) {
        if (scene->ends[i].fd >= 0) {
            end_write(&scene->ends[i]);
            end_read(&scene->ends[i]);
        }
    }
}

/* Until `condition` holds. */
#define UNTIL(scene, condition)                                                                    \
    do {                                                                                           \
        unsigned rounds = 0;                                                                       \
        while (!(condition)) {                                                                     \
            assert_true(rounds++ < ROUNDS);                                                        \
            take_round(scene);                                                                     \
        }                                                                                          \
    } while (0)

/* Nothing changes any more: for what shall not happen. */
static void come_to_rest(struct scene *scene)
{
    for (unsigned i = 0; i < 50; i++)
        take_round(scene);
}

static void says(struct end *end, const char *text)
{
    end->says = text;
    end->length = strlen(text);
    end->said = 0;
    end_write(end);
    assert_int_equal(end->said, end->length);
}

static void assert_heard(struct end *end, const char *text)
{
    assert_string_equal(end->heard.length ? end->heard.data : "", text);
    buffer_clear(&end->heard);
}

/* ---- much to say ---- */

/* What is said is made of these, so that whoever hears it can tell from whom it is, whether it is
 * in order and whether it is whole. */
struct piece {
    uint32_t from, sequence;
    uint64_t check;
};

static uint64_t check_of(uint32_t from, uint32_t sequence)
{
    return ((uint64_t)from << 32 | sequence) * UINT64_C(0x9e3779b97f4a7c15) ^ sequence;
}

static char *make_pieces(uint32_t from, size_t count)
{
    char *bytes = malloc(count * sizeof(struct piece));
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) {
        struct piece piece = {.from = from, .sequence = (uint32_t)i};
        piece.check = check_of(from, piece.sequence);
        memcpy(bytes + i * sizeof(piece), &piece, sizeof(piece));
    }
    return bytes;
}

/* All pieces of each of the `speakers`, in order, and nothing else. */
static void assert_pieces(const struct buffer *heard, const size_t *counts, size_t speakers)
{
    uint32_t next[CLIENTS + 1] = {0};
    size_t total = 0;
    assert_int_equal(heard->length % sizeof(struct piece), 0);
    for (size_t at = 0; at < heard->length; at += sizeof(struct piece)) {
        struct piece piece;
        memcpy(&piece, heard->data + at, sizeof(piece));
        assert_true(piece.from < speakers);
        assert_int_equal(piece.sequence, next[piece.from]);
        assert_true(piece.check == check_of(piece.from, piece.sequence));
        next[piece.from]++;
    }
    for (size_t i = 0; i < speakers; i++) {
        assert_int_equal(next[i], counts[i]);
        total += counts[i];
    }
    assert_int_equal(heard->length, total * sizeof(struct piece));
}

static void speak(struct end *end, uint32_t from, size_t count)
{
    end->says = make_pieces(from, count);
    end->length = count * sizeof(struct piece);
    end->said = 0;
}

static void hush(struct end *end)
{
    free((char *)(uintptr_t)end->says);
    end->says = NULL;
    end->length = end->said = 0;
}

static bool all_have_heard(const struct scene *scene, size_t first, size_t last, size_t length)
{
    for (size_t i = first; i <= last; i++) {
        if (scene->ends[i].heard.length < length)
            return false;
    }
    return true;
}

/* ---- a broker ---- */

static void everybody_hears_all_others(void **state)
{
    enum { PIECES = 500 };
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    for (uint32_t i = 1; i <= CLIENTS; i++)
        speak(add(scene, i), i, PIECES + i);
    assert_int_equal(hub_count(scene->hub), CLIENTS);

    size_t counts[CLIENTS + 1] = {0}, total = 0;
    for (size_t i = 1; i <= CLIENTS; i++)
        total += counts[i] = PIECES + i;
    size_t least = (total - PIECES - CLIENTS) * sizeof(struct piece);
    UNTIL(scene, all_have_heard(scene, 1, CLIENTS, least));
    come_to_rest(scene);
    for (size_t i = 1; i <= CLIENTS; i++) {
        size_t own = counts[i];
        counts[i] = 0;
        assert_pieces(&scene->ends[i].heard, counts, CLIENTS + 1);
        counts[i] = own;
    }

    for (size_t i = 1; i <= CLIENTS; i++)
        shutdown(scene->ends[i].fd, SHUT_WR);
    UNTIL(scene, hub_count(scene->hub) == 0);
    come_to_rest(scene);
    for (size_t i = 1; i <= CLIENTS; i++) {
        assert_int_equal(scene->departures[i].times, 1);
        assert_int_equal(scene->departures[i].code, 0);
        assert_int_equal(scene->departures[i].received, counts[i] * sizeof(struct piece));
        assert_int_equal(scene->departures[i].sent, scene->ends[i].heard.length);
        assert_true(scene->ends[i].ended);
        hush(&scene->ends[i]);
    }
}

#define MANY ((size_t)4 << 16) /* pieces: 4 MiB */

static void a_client_that_does_not_read_is_dropped(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true, .backlog = 512 << 10});
    struct end *speaker = add(scene, 1), *hearer = add(scene, 2), *slow = add(scene, 3);
    slow->deaf = true;
    speak(speaker, 1, MANY);
    UNTIL(scene, hearer->heard.length == MANY * sizeof(struct piece));
    assert_pieces(&hearer->heard, (size_t[]){0, MANY, 0, 0}, 4);
    assert_int_equal(scene->departures[3].times, 1);
    assert_int_equal(scene->departures[3].code, ENOBUFS);
    assert_string_equal(scene->departures[3].message,
                        "it reads too slowly: over 512K were waiting for it");
    assert_int_equal(scene->departures[1].times + scene->departures[2].times, 0);
    assert_int_equal(hub_count(scene->hub), 2);
    hush(speaker);
}

/* What it did get is the beginning, without a gap. */
static void one_that_is_dropped_was_told_nothing_wrong(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true, .backlog = 64 << 10});
    struct end *speaker = add(scene, 1), *slow = add(scene, 3);
    add(scene, 2);
    slow->deaf = true;
    speak(speaker, 1, MANY);
    UNTIL(scene, scene->departures[3].times);
    slow->deaf = false;
    UNTIL(scene, slow->ended || slow->reset);
    size_t whole = slow->heard.length / sizeof(struct piece);
    slow->heard.length = whole * sizeof(struct piece);
    assert_true(whole < MANY);
    assert_pieces(&slow->heard, (size_t[]){0, whole}, 2);
    hush(speaker);
}

static void the_only_one_who_hears_is_waited_for(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true, .backlog = 64 << 10});
    struct end *speaker = add(scene, 1), *slow = add(scene, 2);
    slow->deaf = true;
    speak(speaker, 1, MANY);
    come_to_rest(scene);
    assert_true(speaker->said < speaker->length); /* it is held up */
    assert_int_equal(hub_count(scene->hub), 2);
    slow->deaf = false;
    UNTIL(scene, slow->heard.length == speaker->length);
    assert_pieces(&slow->heard, (size_t[]){0, MANY, 0}, 3);
    hush(speaker);
}

static void but_not_for_ever(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false,
             (struct hub_options){.exchange = true, .patience = 20 * NANOSECONDS_PER_MILLISECOND});
    struct end *speaker = add(scene, 1), *slow = add(scene, 2);
    slow->deaf = true;
    speak(speaker, 1, MANY);
    UNTIL(scene, scene->departures[2].times);
    assert_int_equal(scene->departures[2].code, ETIMEDOUT);
    assert_string_equal(scene->departures[2].message, "it took nothing for 20ms, and others wait");
    UNTIL(scene, speaker->said == speaker->length); /* and goes on */
    assert_int_equal(scene->departures[1].times, 0);
    hush(speaker);
}

/* Two who only speak would wait for each other. */
static void who_only_speaks_leaves_at_last(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false,
             (struct hub_options){.exchange = true, .patience = 20 * NANOSECONDS_PER_MILLISECOND});
    for (uint32_t i = 1; i <= 2; i++) {
        speak(add(scene, i), i, MANY);
        scene->ends[i].deaf = true;
    }
    UNTIL(scene, scene->departures[1].times + scene->departures[2].times > 0);
    for (size_t i = 1; i <= 2; i++)
        hush(&scene->ends[i]);
}

static void who_has_ended_is_told_the_rest(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    struct end *speaker = add(scene, 1), *hearer = add(scene, 2);
    hearer->deaf = true;
    speak(speaker, 1, 1 << 14); /* 256 KiB: more than its socket takes at once */
    UNTIL(scene, speaker->said == speaker->length);
    come_to_rest(scene);
    assert_int_equal(shutdown(hearer->fd, SHUT_WR), 0);
    come_to_rest(scene);
    assert_int_equal(hub_count(scene->hub), 2);
    hearer->deaf = false;
    UNTIL(scene, hearer->ended);
    assert_pieces(&hearer->heard, (size_t[]){0, 1 << 14, 0}, 3);
    UNTIL(scene, hub_count(scene->hub) == 1);
    assert_int_equal(scene->departures[2].code, 0);
    hush(speaker);
}

static void one_that_has_ended_does_not_stay_for_ever(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false,
             (struct hub_options){.exchange = true, .patience = 20 * NANOSECONDS_PER_MILLISECOND});
    struct end *speaker = add(scene, 1), *hearer = add(scene, 2);
    hearer->deaf = true;
    speak(speaker, 1, MANY);
    for (unsigned i = 0; i < 5; i++)
        take_round(scene);
    assert_int_equal(shutdown(hearer->fd, SHUT_WR), 0);
    UNTIL(scene, scene->departures[2].times);
    assert_int_equal(scene->departures[2].code, ETIMEDOUT);
    UNTIL(scene, speaker->said == speaker->length); /* to nobody */
    hush(speaker);
}

static void datagrams_are_made_of_a_stream(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    struct end *speaker = add(scene, 1);
    add_channel(scene, 2, connect_end(scene, 2, SOCK_DGRAM));
    speak(speaker, 1, MANY);
    UNTIL(scene, scene->ends[2].heard.length == speaker->length);
    assert_pieces(&scene->ends[2].heard, (size_t[]){0, MANY, 0}, 3);
    assert_int_equal(send(scene->ends[2].fd, "", 0, 0), 0); /* an empty one is not an end */
    assert_int_equal(send(scene->ends[2].fd, "datagram", 8, 0), 8);
    UNTIL(scene, speaker->heard.length);
    assert_heard(speaker, "datagram");
    hush(speaker);
}

/* ---- failures ---- */

/* A TCP connection; its far end resets it when closed. */
static void add_tcp(struct scene *scene, size_t number)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t length = sizeof(address);
    const struct linger now = {.l_onoff = 1};
    struct channel *channel;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    close(listener);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    scene->ends[number] = (struct end){.fd = fd};
    assert_int_equal(channel_socket_new(scene->loop, accepted, &channel), 0);
    add_channel(scene, number, channel);
}

static void a_reset_is_an_error(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    add_tcp(scene, 1);
    struct end *other = add(scene, 2);
    take_round(scene);
    end_close(&scene->ends[1]);
    UNTIL(scene, scene->departures[1].times);
    assert_int_equal(scene->departures[1].code, ECONNRESET);
    assert_string_equal(scene->departures[1].message, "reading: Connection reset by peer");
    says(other, "still there");
    come_to_rest(scene);
    assert_int_equal(hub_count(scene->hub), 1);
}

static void last_words_before_a_reset_are_heard(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    struct end *one = add(scene, 1), *other = add(scene, 2);
    one->deaf = true;
    says(other, "not read");
    come_to_rest(scene);
    says(one, "last words");
    says(other, "and this cannot be written");
    end_close(one); /* with unread bytes: for a Unix socket a reset */
    UNTIL(scene, scene->departures[1].times);
    assert_int_equal(scene->departures[1].code, ECONNRESET);
    come_to_rest(scene);
    assert_heard(other, "last words");
}

static void who_is_gone_has_ended(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    struct end *one = add(scene, 1), *other = add(scene, 2);
    take_round(scene);
    says(one, "bye");
    says(other, "to nobody");
    end_close(one); /* writing to it is a broken pipe, but it has said that it ended */
    UNTIL(scene, scene->departures[1].times);
    assert_int_equal(scene->departures[1].code, 0);
    come_to_rest(scene);
    assert_heard(other, "bye");
}

static void the_silent_are_dropped(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false,
             (struct hub_options){.exchange = true, .idle = 30 * NANOSECONDS_PER_MILLISECOND});
    add(scene, 1);
    UNTIL(scene, scene->departures[1].times);
    assert_int_equal(scene->departures[1].code, ETIMEDOUT);
    assert_string_equal(scene->departures[1].message, "nothing was said for 30ms");
}

static void the_hub_may_be_freed_when_one_leaves(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){.exchange = true, .chat = true});
    add(scene, 1);
    add(scene, 2);
    add(scene, 3);
    come_to_rest(scene);
    scene->free_at_left = true;
    end_close(&scene->ends[1]);
    end_close(&scene->ends[2]);
    UNTIL(scene, !scene->hub);
    assert_int_equal(scene->departures[1].times + scene->departures[2].times, 1);
    UNTIL(scene, scene->ends[3].ended);
}

static void what_is_cut_off_is_reset(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true});
    struct end *speaker = add(scene, 1);
    add_tcp(scene, 2);
    add_tcp(scene, 3);
    scene->ends[2].deaf = true;
    speak(speaker, 1, (size_t)12 << 16); /* more than the socket's buffers hold */
    come_to_rest(scene);
    come_to_rest(scene);
    hush(speaker);
    bool dropped = scene->departures[2].times > 0;
    hub_free(scene->hub);
    scene->hub = NULL;
    scene->ends[2].deaf = false;
    UNTIL(scene, scene->ends[2].reset || scene->ends[2].ended);
    assert_true(scene->ends[2].reset);
    assert_true(dropped || scene->departures[2].times == 0);
    UNTIL(scene, scene->ends[3].reset || scene->ends[3].ended);
    assert_true(scene->ends[3].ended);
}

/* ---- with standard input and output ---- */

static void clients_hear_local_and_not_each_other(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){.observe = on_observed});
    struct end *local = &scene->ends[0], *one = add(scene, 1), *two = add(scene, 2);
    says(one, "from one");
    UNTIL(scene, local->heard.length);
    says(two, "from two");
    UNTIL(scene, local->heard.length > 8);
    says(local, "to both");
    UNTIL(scene, one->heard.length && two->heard.length);
    come_to_rest(scene);
    assert_heard(local, "from onefrom two");
    assert_heard(one, "to both");
    assert_heard(two, "to both");
    assert_string_equal(scene->observed.data, "1<from one2<from two1>to both2>to both");
}

static void words_of_local_wait_for_somebody(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){0});
    struct end *local = &scene->ends[0];
    says(local, "is anybody there?");
    shutdown(local->fd, SHUT_WR);
    come_to_rest(scene);
    assert_int_equal(scene->local_ended, 0);
    struct end *one = add(scene, 1);
    UNTIL(scene, scene->local_ended);
    come_to_rest(scene);
    assert_heard(one, "is anybody there?");
    assert_false(one->ended); /* it stays, and is heard */
    says(one, "yes");
    UNTIL(scene, local->heard.length);
    assert_heard(local, "yes");
    assert_int_equal(scene->local_ended, 1);
}

static void local_has_ended_when_all_is_out(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){.backlog = 16 << 20});
    struct end *local = &scene->ends[0], *one = add(scene, 1), *two = add(scene, 2);
    speak(local, 0, MANY);
    one->deaf = two->deaf = true;
    come_to_rest(scene);
    assert_true(local->said < local->length); /* it is held up by those who do not read */
    one->deaf = false;
    UNTIL(scene, local->said == local->length);
    shutdown(local->fd, SHUT_WR);
    UNTIL(scene, one->heard.length == local->length);
    come_to_rest(scene);
    assert_int_equal(scene->local_ended, 0);
    assert_int_equal(hub_count(scene->hub), 2);
    two->deaf = false;
    UNTIL(scene, scene->local_ended);
    come_to_rest(scene);
    assert_pieces(&one->heard, (size_t[]){MANY}, 1);
    assert_pieces(&two->heard, (size_t[]){MANY}, 1);
    hush(local);
}

static void a_slow_local_holds_all_up_and_nothing_is_lost(void **state)
{
    enum {
        TEN = 10,
        PIECES = 1 << 16 /* 1 MiB */
    };
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){.backlog = 64 << 10});
    struct end *local = &scene->ends[0];
    size_t counts[TEN + 1] = {0}, said = 0;
    local->deaf = true;
    for (uint32_t i = 1; i <= TEN; i++) {
        speak(add(scene, i), i, PIECES);
        counts[i] = PIECES;
    }
    come_to_rest(scene);
    come_to_rest(scene);
    for (size_t i = 1; i <= TEN; i++)
        said += scene->ends[i].said;
    /* What is not heard stays in the sockets' buffers, which hold some 200 KiB. */
    assert_true(said < TEN * PIECES * sizeof(struct piece) / 2);
    assert_int_equal(hub_count(scene->hub), TEN);
    local->deaf = false;
    UNTIL(scene, local->heard.length == TEN * PIECES * sizeof(struct piece));
    assert_pieces(&local->heard, counts, TEN + 1);
    for (size_t i = 1; i <= TEN; i++)
        hush(&scene->ends[i]);
}

static void a_local_that_is_gone_is_told(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){.exchange = true});
    struct end *one = add(scene, 1), *two = add(scene, 2);
    shutdown(scene->ends[0].fd, SHUT_RDWR);
    end_close(&scene->ends[0]);
    UNTIL(scene, scene->local_ended);
    says(one, "goes on");
    UNTIL(scene, scene->local_failed);
    assert_int_equal(scene->local_code, EPIPE);
    UNTIL(scene, two->heard.length);
    assert_heard(two, "goes on");
    assert_int_equal(hub_count(scene->hub), 2);
    assert_int_equal(scene->local_failed, 1);
}

static void clients_are_told_that_there_is_no_more(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){0});
    struct end *local = &scene->ends[0], *one = add(scene, 1);
    speak(local, 0, 1 << 14);
    one->deaf = true;
    UNTIL(scene, local->said == local->length);
    shutdown(local->fd, SHUT_WR);
    hub_shut(scene->hub);
    come_to_rest(scene);
    one->deaf = false;
    UNTIL(scene, one->ended);
    assert_pieces(&one->heard, (size_t[]){1 << 14}, 1);
    struct end *two = add(scene, 2);
    UNTIL(scene, two->ended);
    says(one, "one");
    UNTIL(scene, local->heard.length);
    says(two, "two");
    UNTIL(scene, local->heard.length == 6);
    assert_heard(local, "onetwo");
    shutdown(one->fd, SHUT_WR);
    UNTIL(scene, scene->departures[1].times);
    assert_int_equal(scene->departures[1].code, 0);
    hush(local);
}

/* ---- a chat ---- */

static void names_stand_before_what_is_said(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true, (struct hub_options){.exchange = true, .chat = true});
    struct end *local = &scene->ends[0];
    struct end *one = add(scene, 1);
    come_to_rest(scene);
    assert_heard(one, "<announce> 127.0.0.1:4001 is connected as <user1>.\n"
                      "<announce> already connected: nobody.\n");
    struct end *two = add(scene, 2), *three = add(scene, 3);
    come_to_rest(scene);
    assert_heard(two, "<announce> 127.0.0.1:4002 is connected as <user2>.\n"
                      "<announce> already connected: 127.0.0.1:4001 as <user1>.\n"
                      "<announce> 127.0.0.1:4003 is connected as <user3>.\n");
    assert_heard(three, "<announce> 127.0.0.1:4003 is connected as <user3>.\n"
                        "<announce> already connected: 127.0.0.1:4001 as <user1>, "
                        "127.0.0.1:4002 as <user2>.\n");
    assert_heard(one, "<announce> 127.0.0.1:4002 is connected as <user2>.\n"
                      "<announce> 127.0.0.1:4003 is connected as <user3>.\n");
    buffer_clear(&local->heard);

    says(one, "hel");
    come_to_rest(scene);
    says(two, "a line\r\nand another\nand a ha");
    come_to_rest(scene);
    says(one, "lo\n");
    come_to_rest(scene);
    assert_heard(three, "<user2> a line\n<user2> and another\n<user1> hello\n");
    assert_heard(local, "<user2> a line\n<user2> and another\n<user1> hello\n");
    assert_heard(one, "<user2> a line\n<user2> and another\n");
    assert_heard(two, "<user1> hello\n");

    end_close(two); /* in the middle of a line */
    come_to_rest(scene);
    assert_heard(one, "<user2> and a ha\n<announce> <user2> is disconnected.\n");
    says(local, "from here\n");
    come_to_rest(scene);
    assert_heard(one, "<user0> from here\n");
    assert_heard(three, "<user2> and a ha\n<announce> <user2> is disconnected.\n"
                        "<user0> from here\n");
}

static void a_failure_in_the_middle_of_a_line(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, false, (struct hub_options){.exchange = true, .chat = true});
    add_tcp(scene, 1);
    struct end *other = add(scene, 2);
    come_to_rest(scene);
    buffer_clear(&other->heard);
    says(&scene->ends[1], "not fini");
    come_to_rest(scene);
    end_close(&scene->ends[1]);
    UNTIL(scene, scene->departures[1].times);
    assert_int_equal(scene->departures[1].code, ECONNRESET);
    come_to_rest(scene);
    assert_heard(other, "<user1> not fini\n<announce> <user1> is disconnected.\n");
}

/* Lines of a hundred who all type at once, a few bytes at a time. */
static void lines_of_many_are_whole(void **state)
{
    enum { LINES = 30 };
    struct scene *scene = *state;
    struct buffer texts[CLIENTS + 1] = {0};
    open_hub(scene, true, (struct hub_options){.exchange = true, .chat = true});
    for (size_t i = 1; i <= CLIENTS; i++) {
        add(scene, i);
        for (unsigned line = 0; line < LINES; line++)
            buffer_add_format(&texts[i], "line %u of %zu\n", line, i);
    }
    come_to_rest(scene);
    for (size_t i = 0; i <= CLIENTS; i++)
        buffer_clear(&scene->ends[i].heard);
    for (size_t at = 0, most = 1; most; at += 7) {
        most = 0;
        for (size_t i = 1; i <= CLIENTS; i++) {
            size_t left = texts[i].length > at ? texts[i].length - at : 0;
            size_t part = left < 7 ? left : 7;
            most += part;
            if (part)
                assert_int_equal(send(scene->ends[i].fd, texts[i].data + at, part, 0), part);
        }
        take_round(scene);
    }
    come_to_rest(scene);
    for (size_t hearer = 0; hearer <= CLIENTS; hearer++) {
        unsigned next[CLIENTS + 1] = {0};
        char *line = scene->ends[hearer].heard.data, *end;
        size_t count = 0;
        for (; *line; line = end + 1, count++) {
            unsigned from, number, again;
            int used = 0;
            end = strchr(line, '\n');
            assert_non_null(end);
            assert_int_equal(
                sscanf(line, "<user%u> line %u of %u%n", &from, &number, &again, &used), 3);
            assert_ptr_equal(line + used, end);
            assert_true(from >= 1 && from <= CLIENTS && from == again && from != hearer);
            assert_int_equal(number, next[from]++);
        }
        assert_int_equal(count, LINES * (hearer ? CLIENTS - 1 : CLIENTS));
    }
    for (size_t i = 1; i <= CLIENTS; i++)
        buffer_release(&texts[i]);
}

static void assert_said(const char *bytes, size_t length, const char *expected)
{
    struct buffer rest = {0}, said = {0};
    hub_chat_add(&rest, 7, bytes, length, &said);
    assert_string_equal(said.data, expected);
    assert_null(rest.data);
    buffer_release(&said);
}

static void nobody_plays_with_terminals(void **state)
{
    (void)state;
    assert_said("\033[2J\a\n", 6, "<user7> \\x1b[2J\\x07\n");
    assert_said("a\rb\0c\n", 6, "<user7> a\\x0db\\x00c\n");
    assert_said("\xc2\x9b"
                "31m\n",
                6, "<user7> \\xc2\\x9b31m\n"); /* CSI in UTF-8 */
    assert_said("\xff\xfe\n", 3, "<user7> \\xff\\xfe\n");
    assert_said("\xe2\x80\xae"
                "evil\n",
                8, "<user7> \\xe2\\x80\\xaeevil\n");
    assert_said("gr\xc3\xbc\xc3\x9f\t\xe2\x82\xac\n", 11,
                "<user7> gr\xc3\xbc\xc3\x9f\t\xe2\x82\xac\n");
    assert_said("<announce> x\n<user1> y\n", 23, "<user7> <announce> x\n<user7> <user1> y\n");
    assert_said("\n\r\n", 3, "<user7> \n<user7> \n");
}

static void a_path_of_a_client_is_escaped(void **state)
{
    (void)state;
    struct buffer said = {0};
    const struct peer peer = {.kind = PEER_UNIX, .path = "/run/\033x\n<user1> y"};
    hub_chat_came(3, &peer, &said);
    assert_string_equal(said.data,
                        "<announce> unix:/run/\\x1bx\\x0a<user1> y is connected as <user3>.\n");
    buffer_release(&said);
}

static void long_lines_come_in_pieces(void **state)
{
    (void)state;
    struct buffer rest = {0}, said = {0}, line = {0}, heard = {0};
    for (size_t i = 0; i < 100000; i++)
        buffer_add_text(&line, i % 3 ? "\xe2\x82\xac" : "xy");
    for (size_t at = 0; at < line.length;) {
        size_t part = line.length - at < 1000 ? line.length - at : 1000;
        hub_chat_add(&rest, 7, line.data + at, part, &said);
        assert_true(rest.length <= HUB_LINE_SIZE);
        at += part;
    }
    hub_chat_end(&rest, 7, &said);
    assert_null(rest.data);
    size_t pieces = 0;
    for (char *piece = said.data, *end; *piece; piece = end + 1, pieces++) {
        end = strchr(piece, '\n');
        assert_memory_equal(piece, "<user7> ", 8);
        assert_true((size_t)(end - piece) <= 8 + HUB_LINE_SIZE);
        buffer_add(&heard, piece + 8, (size_t)(end - piece) - 8);
    }
    assert_int_equal(pieces, line.length / (HUB_LINE_SIZE - 3) + 1);
    assert_int_equal(heard.length, line.length); /* no character was cut and escaped */
    assert_memory_equal(heard.data, line.data, line.length);
    buffer_release(&heard);
    buffer_release(&line);
    buffer_release(&said);
}

static void only_some_of_many_are_named(void **state)
{
    (void)state;
    struct buffer said = {0};
    const struct peer peer = {.kind = PEER_NONE};
    for (size_t i = 0; i < 60; i++)
        hub_chat_present(i, 60, i + 1, &peer, &said);
    assert_non_null(strstr(said.data, ", ? as <user50>, and 10 more.\n"));
    assert_null(strstr(said.data, "<user51>"));
    buffer_release(&said);
}

/* Who comes and goes while one does not look is not kept for it without end. */
static void comings_and_goings_do_not_pile_up(void **state)
{
    struct scene *scene = *state;
    open_hub(scene, true,
             (struct hub_options){.exchange = true, .chat = true, .backlog = 16 << 10});
    scene->ends[0].deaf = true;
    add(scene, 1);
    scene->ends[1].deaf = true;
    unsigned rounds = 0;
    while (!scene->departures[1].times) {
        assert_true(rounds++ < 20000);
        add(scene, 2);
        take_round(scene);
        end_close(&scene->ends[2]);
        take_round(scene);
        buffer_release(&scene->ends[2].heard);
    }
    assert_int_equal(scene->departures[1].code, ENOBUFS);
    assert_int_equal(scene->local_failed, 0);
}

/* ---- anything, in any order ---- */

static size_t pick(uint64_t *seed, size_t count)
{
    return mix64(++*seed) % count;
}

static void shuffle(struct scene *scene, uint64_t *seed)
{
    size_t number = 1 + pick(seed, 20);
    struct end *end = &scene->ends[number];
    if (end->fd < 0) {
        buffer_release(&end->heard);
        hush(end);
        if (pick(seed, 4) == 0)
            add_tcp(scene, number);
        else
            add(scene, number);
        speak(end, (uint32_t)number, pick(seed, 8000));
        end->deaf = pick(seed, 3) == 0;
        return;
    }
    switch (pick(seed, 8)) {
    case 0:
        end_close(end);
        break;
    case 1:
        shutdown(end->fd, SHUT_WR);
        break;
    case 2:
        shutdown(end->fd, SHUT_RD);
        break;
    case 3:
        end->deaf = !end->deaf;
        break;
    case 4:
        scene->ends[0].deaf = !scene->ends[0].deaf;
        break;
    default:
        buffer_clear(&end->heard);
        buffer_clear(&scene->ends[0].heard);
        break;
    }
}

static void whatever_happens_the_books_are_right(void **state)
{
    struct scene *scene = *state;
    uint64_t seed = 5;
    for (unsigned kind = 0; kind < 8; kind++) {
        size_t came = 0, left = 0;
        memset(scene->departures, 0, sizeof(scene->departures));
        open_hub(scene, kind & 4,
                 (struct hub_options){.exchange = kind & 1,
                                      .chat = kind & 2,
                                      .backlog = 100000,
                                      .patience = 3 * NANOSECONDS_PER_MILLISECOND});
        for (unsigned step = 0; step < 250; step++) {
            bool open[21];
            for (size_t i = 1; i <= 20; i++)
                open[i] = scene->ends[i].fd >= 0;
            shuffle(scene, &seed);
            for (size_t i = 1; i <= 20; i++)
                came += !open[i] && scene->ends[i].fd >= 0;
            take_round(scene);
        }
        for (size_t i = 1; i <= 20; i++) {
            if (scene->ends[i].fd >= 0)
                end_close(&scene->ends[i]);
        }
        scene->ends[0].deaf = false;
        UNTIL(scene, hub_count(scene->hub) == 0);
        for (size_t i = 1; i <= 20; i++) {
            left += scene->departures[i].times;
            hush(&scene->ends[i]);
        }
        assert_int_equal(came, left);
        hub_free(scene->hub);
        scene->hub = NULL;
        if (scene->ends[0].fd >= 0)
            end_close(&scene->ends[0]);
        buffer_release(&scene->ends[0].heard);
    }
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(everybody_hears_all_others),
        WITH_SCENE(a_client_that_does_not_read_is_dropped),
        WITH_SCENE(one_that_is_dropped_was_told_nothing_wrong),
        WITH_SCENE(the_only_one_who_hears_is_waited_for),
        WITH_SCENE(but_not_for_ever),
        WITH_SCENE(who_only_speaks_leaves_at_last),
        WITH_SCENE(who_has_ended_is_told_the_rest),
        WITH_SCENE(one_that_has_ended_does_not_stay_for_ever),
        WITH_SCENE(datagrams_are_made_of_a_stream),
        WITH_SCENE(a_reset_is_an_error),
        WITH_SCENE(last_words_before_a_reset_are_heard),
        WITH_SCENE(who_is_gone_has_ended),
        WITH_SCENE(the_silent_are_dropped),
        WITH_SCENE(the_hub_may_be_freed_when_one_leaves),
        WITH_SCENE(what_is_cut_off_is_reset),
        WITH_SCENE(clients_hear_local_and_not_each_other),
        WITH_SCENE(words_of_local_wait_for_somebody),
        WITH_SCENE(local_has_ended_when_all_is_out),
        WITH_SCENE(a_slow_local_holds_all_up_and_nothing_is_lost),
        WITH_SCENE(a_local_that_is_gone_is_told),
        WITH_SCENE(clients_are_told_that_there_is_no_more),
        WITH_SCENE(names_stand_before_what_is_said),
        WITH_SCENE(a_failure_in_the_middle_of_a_line),
        WITH_SCENE(lines_of_many_are_whole),
        cmocka_unit_test(nobody_plays_with_terminals),
        cmocka_unit_test(a_path_of_a_client_is_escaped),
        cmocka_unit_test(long_lines_come_in_pieces),
        cmocka_unit_test(only_some_of_many_are_named),
        WITH_SCENE(comings_and_goings_do_not_pile_up),
        WITH_SCENE(whatever_happens_the_books_are_right),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
