/* A telnet session over a socket pair: line ends, negotiation, commands, hostile and slow peers. */
#include "own_network.h"
#include "talk/telnet.h"
#include "talk/telnet_options.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/clock.h"

/* What tests know of the protocol, as octal escapes, so that a digit may follow. */
#define IAC "\377"
#define WILL "\373"
#define WONT "\374"
#define DO "\375"
#define DONT "\376"
#define SB "\372"
#define SE "\360"
#define BINARY "\000"
#define ECHO "\001"
#define SGA "\003"
#define TIMING_MARK "\006"
#define TTYPE "\030"
#define NAWS "\037"
#define TSPEED "\040"
#define LINEMODE "\042"
#define NEW_ENVIRON "\047"
#define SIZE_80_24 IAC SB NAWS "\000\120\000\030" IAC SE
#define IS_XTERM IAC SB TTYPE "\000xterm" IAC SE

struct scene {
    struct loop *loop;
    struct channel *channel;
    int peer;
    char said[4096]; /* what tell() was told, a line each */
    size_t said_length;
    bool deaf;
};

static const struct telnet_options some_options = {.terminal = "xterm", .columns = 80, .rows = 24};

static void scene_tell(void *user, enum telnet_event event, const char *text)
{
    static const char *const names[] = {"echo remote", "echo local", "characters", "lines"};
    struct scene *scene = user;
    assert_true((event == TELNET_NEGOTIATED) == (text != NULL));
    if (scene->deaf)
        return;
    scene->said_length +=
        (size_t)snprintf(scene->said + scene->said_length, sizeof(scene->said) - scene->said_length,
                         "%s\n", text ? text : names[event]);
    assert_true(scene->said_length < sizeof(scene->said));
}

/* The one test at a time that waits. */
static void scene_ready(struct channel *channel, void *user)
{
    struct scene *scene = user;
    (void)channel;
    loop_stop(scene->loop);
}

static void scene_open(struct scene *scene, const struct telnet_options *options)
{
    int ends[2];
    struct channel *lower;
    memset(scene, 0, sizeof(*scene));
    assert_int_equal(loop_new(&scene->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    scene->peer = ends[1];
    assert_int_equal(channel_socket_new(scene->loop, ends[0], &lower), 0);
    assert_int_equal(
        channel_telnet_new(scene->loop, lower, options, scene_tell, scene, &scene->channel), 0);
    scene->channel->ready = scene_ready;
    scene->channel->user = scene;
}

static void scene_close(struct scene *scene)
{
    channel_free(scene->channel, false);
    close(scene->peer);
    loop_free(scene->loop);
}

static void peer_says(const struct scene *scene, const char *bytes, size_t length)
{
    assert_int_equal(send(scene->peer, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Everything that has arrived at the peer is exactly this. */
static void peer_hears(const struct scene *scene, const char *bytes, size_t length)
{
    char heard[8192];
    ssize_t got = recv(scene->peer, heard, sizeof(heard), MSG_DONTWAIT);
    got = got < 0 ? 0 : got;
    assert_int_equal(got, (ssize_t)length);
    assert_memory_equal(heard, bytes, length);
}

/* Everything that can be read is exactly this, and then -EAGAIN. */
static void we_read(const struct scene *scene, const char *bytes, size_t length)
{
    char got[8192];
    size_t total = 0;
    ssize_t r;
    while ((r = channel_read(scene->channel, got + total, sizeof(got) - total)) > 0)
        total += (size_t)r;
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(total, length);
    assert_memory_equal(got, bytes, length);
}

static void we_write(const struct scene *scene, const char *bytes, size_t length)
{
    assert_int_equal(channel_write(scene->channel, bytes, length), (ssize_t)length);
}

static void was_told(struct scene *scene, const char *lines)
{
    assert_string_equal(scene->said, lines);
    scene->said_length = 0;
    scene->said[0] = '\0';
}

#define SAYS(scene, text) peer_says(scene, text, sizeof(text) - 1)
#define HEARS(scene, text) peer_hears(scene, text, sizeof(text) - 1)
#define READ(scene, text) we_read(scene, text, sizeof(text) - 1)
#define WRITE(scene, text) we_write(scene, text, sizeof(text) - 1)

/* ---- line ends, IAC ---- */

static void test_written_line_ends(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    WRITE(&scene, "one\ntwo\r\n\n");
    HEARS(&scene, "one\r\ntwo\r\n\r\n");
    WRITE(&scene, "a\rb\r\rc\r\r\nd");
    HEARS(&scene, "a\r\0b\r\0\r\0c\r\0\r\nd");
    WRITE(&scene, "nul\0here");
    HEARS(&scene, "nul\0here");
    scene_close(&scene);
}

static void test_a_line_end_in_two_writes(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    WRITE(&scene, "one\r");
    HEARS(&scene, "one\r");
    WRITE(&scene, "\ntwo\r");
    HEARS(&scene, "\ntwo\r");
    WRITE(&scene, "x\r");
    HEARS(&scene, "\0x\r");
    assert_int_equal(channel_shut(scene.channel), 0);
    HEARS(&scene, "\0");
    scene_close(&scene);
}

static void ready_ignored(struct channel *channel, void *user)
{
    (void)channel;
    (void)user;
}

struct pause {
    struct timer timer;
    struct loop *loop;
};

static void pause_over(struct timer *timer)
{
    loop_stop(((struct pause *)timer)->loop);
}

/* Lets the loop run for a moment. */
static void turn(const struct scene *scene)
{
    struct pause pause = {.timer.due = pause_over, .loop = scene->loop};
    loop_timer_set(scene->loop, &pause.timer, clock_monotonic() + NANOSECONDS_PER_MILLISECOND);
    assert_int_equal(loop_run(scene->loop), 0);
}

static void test_a_cr_at_the_end_is_completed_soon(void **state)
{
    (void)state;
    struct scene scene;
    char heard[2];
    scene_open(&scene, &some_options);
    scene.channel->ready = ready_ignored;
    WRITE(&scene, "\r");
    while (recv(scene.peer, heard, 2, MSG_PEEK | MSG_DONTWAIT) < 2) {
        turn(&scene);
    }
    HEARS(&scene, "\r\0");
    scene_close(&scene);
}

static void test_read_line_ends(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    SAYS(&scene, "one\r\ntwo\r\0three\rfour\n\r\r\nfive\r\r\0six");
    READ(&scene, "one\ntwo\rthree\rfour\n\r\nfive\r\rsix");
    SAYS(&scene, "a\r");
    READ(&scene, "a");
    SAYS(&scene, "\nb\r");
    READ(&scene, "\nb");
    SAYS(&scene, "\0c\r");
    READ(&scene, "\rc");
    SAYS(&scene, "d\r");
    READ(&scene, "\rd");
    scene_close(&scene);
}

static void test_a_cr_before_the_end_is_not_lost(void **state)
{
    (void)state;
    struct scene scene;
    char got[8];
    scene_open(&scene, &some_options);
    SAYS(&scene, "x\r");
    shutdown(scene.peer, SHUT_WR);
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), 1);
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), 1);
    assert_int_equal(got[0], '\r');
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), CHANNEL_END);
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), CHANNEL_END);
    scene_close(&scene);
}

static void test_iac_is_doubled(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    WRITE(&scene, IAC "a" IAC IAC "\n" IAC);
    HEARS(&scene, IAC IAC "a" IAC IAC IAC IAC "\r\n" IAC IAC);
    SAYS(&scene, IAC IAC "a" IAC IAC IAC IAC "\r\n" IAC);
    READ(&scene, IAC "a" IAC IAC "\n");
    SAYS(&scene, IAC "b");
    READ(&scene, IAC "b");
    scene_close(&scene);
}

static void test_binary_leaves_line_ends_alone(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    SAYS(&scene, IAC DO BINARY IAC WILL BINARY "\r\n\r\0\r" IAC IAC);
    READ(&scene, "\r\n\r\0\r" IAC);
    HEARS(&scene, IAC WILL BINARY IAC DO BINARY);
    WRITE(&scene, "\n\r\r\n" IAC "\r");
    HEARS(&scene, "\n\r\r\n" IAC IAC "\r");
    /* Each side by itself. */
    SAYS(&scene, IAC WONT BINARY "\r\n");
    READ(&scene, "\n");
    HEARS(&scene, IAC DONT BINARY);
    WRITE(&scene, "\n");
    HEARS(&scene, "\n");
    scene_close(&scene);
}

static void test_raw_passes_keys_and_cursor_movements(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    channel_telnet_set_raw(scene.channel, true);
    WRITE(&scene, "\r");
    HEARS(&scene, "\r\0");
    WRITE(&scene, "\n\r\n");
    HEARS(&scene, "\n\r\0\n");
    SAYS(&scene, "one\r\ntwo\n\r");
    READ(&scene, "one\r\ntwo\n\r");
    SAYS(&scene, "\0three\r\0\r\r\n");
    READ(&scene, "three\r\r\r\n");
    SAYS(&scene, "x\r");
    READ(&scene, "x\r");
    channel_telnet_set_raw(scene.channel, false);
    SAYS(&scene, "\nx\r");
    READ(&scene, "\nx");
    channel_telnet_set_raw(scene.channel, true);
    SAYS(&scene, "y");
    READ(&scene, "\ry");
    scene_close(&scene);
}

/* Hostile or merely slow networks cut anywhere. */
static void test_one_byte_segments(void **state)
{
    (void)state;
    static const char stream[] = IAC WILL ECHO IAC DO NAWS
        "a\r\nb\r\0c" IAC IAC IAC SB TTYPE "\001" IAC SE IAC DO TTYPE IAC SB TTYPE "\001" IAC SE
        "end" IAC "\361\r\n";
    struct scene scene;
    struct buffer got = {0};
    scene_open(&scene, &some_options);
    for (size_t i = 0; i < sizeof(stream) - 1; i++) {
        char byte;
        peer_says(&scene, stream + i, 1);
        while (channel_read(scene.channel, &byte, 1) == 1)
            buffer_add(&got, &byte, 1);
    }
    assert_int_equal(got.length, sizeof("a\nb\rc" IAC "end\n") - 1);
    assert_memory_equal(got.data, "a\nb\rc" IAC "end\n", got.length);
    HEARS(&scene, IAC DO ECHO IAC WILL NAWS SIZE_80_24 IAC WILL TTYPE IS_XTERM);
    buffer_release(&got);
    scene_close(&scene);
}

/* ---- negotiation ---- */

static void test_agrees_to_what_it_can(void **state)
{
    (void)state;
    struct scene scene;
    char text[TELNET_STATUS_SIZE];
    scene_open(&scene, &some_options);
    assert_string_equal(channel_telnet_status(scene.channel, text),
                        "options of this side: none; of the other: none");
    SAYS(&scene, IAC WILL ECHO IAC WILL SGA IAC DO SGA IAC DO TTYPE IAC DO NAWS);
    READ(&scene, "");
    HEARS(&scene, IAC DO ECHO IAC DO SGA IAC WILL SGA IAC WILL TTYPE IAC WILL NAWS SIZE_80_24);
    was_told(&scene, "SENT DO ECHO\nRCVD WILL ECHO\necho remote\n"
                     "SENT DO SGA\nRCVD WILL SGA\ncharacters\n"
                     "SENT WILL SGA\nRCVD DO SGA\n"
                     "SENT WILL TERMINAL-TYPE\nRCVD DO TERMINAL-TYPE\n"
                     "SENT WILL NAWS\nRCVD DO NAWS\n");
    assert_string_equal(channel_telnet_status(scene.channel, text),
                        "options of this side: SGA, TERMINAL-TYPE, NAWS; of the other: ECHO, SGA");
    SAYS(&scene, IAC WONT ECHO IAC WONT SGA IAC DONT NAWS);
    READ(&scene, "");
    HEARS(&scene, IAC DONT ECHO IAC DONT SGA IAC WONT NAWS);
    was_told(&scene, "SENT DONT ECHO\nRCVD WONT ECHO\necho local\n"
                     "SENT DONT SGA\nRCVD WONT SGA\nlines\n"
                     "SENT WONT NAWS\nRCVD DONT NAWS\n");
    scene_close(&scene);
}

static void test_refuses_the_rest(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    SAYS(&scene,
         IAC DO ECHO IAC DO LINEMODE IAC DO NEW_ENVIRON IAC DO TSPEED IAC DO TIMING_MARK IAC DO
         "\310" IAC WILL NAWS IAC WILL TTYPE IAC WILL "\377");
    READ(&scene, "");
    HEARS(&scene, IAC WONT ECHO IAC WONT LINEMODE IAC WONT NEW_ENVIRON IAC WONT TSPEED IAC WONT
                      TIMING_MARK IAC WONT "\310" IAC DONT NAWS IAC DONT TTYPE IAC DONT "\377");
    was_told(&scene, "RCVD DO ECHO\nSENT WONT ECHO\nRCVD DO LINEMODE\nSENT WONT LINEMODE\n"
                     "RCVD DO NEW-ENVIRON\nSENT WONT NEW-ENVIRON\n"
                     "RCVD DO TERMINAL-SPEED\nSENT WONT TERMINAL-SPEED\n"
                     "RCVD DO TIMING-MARK\nSENT WONT TIMING-MARK\nRCVD DO #200\nSENT WONT #200\n"
                     "RCVD WILL NAWS\nSENT DONT NAWS\nRCVD WILL TERMINAL-TYPE\n"
                     "SENT DONT TERMINAL-TYPE\n"
                     "RCVD WILL EXTENDED-OPTIONS-LIST\nSENT DONT EXTENDED-OPTIONS-LIST\n");
    scene_close(&scene);
}

static void test_refuses_what_it_was_not_given(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &(struct telnet_options){.terminal = NULL});
    SAYS(&scene, IAC DO TTYPE IAC DO NAWS IAC SB TTYPE "\001" IAC SE);
    READ(&scene, "");
    HEARS(&scene, IAC WONT TTYPE IAC WONT NAWS);
    channel_telnet_resize(scene.channel, 100, 50);
    HEARS(&scene, "");
    scene_close(&scene);
}

/* RFC 1143: what is so already is not answered, or two programs would go on for ever. */
static void test_no_loops(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    SAYS(&scene, IAC WILL ECHO IAC WILL ECHO IAC DO SGA IAC DO SGA IAC WONT SGA IAC DONT NAWS);
    READ(&scene, "");
    HEARS(&scene, IAC DO ECHO IAC WILL SGA);
    SAYS(&scene, IAC WONT ECHO IAC WONT ECHO IAC DONT SGA IAC DONT SGA IAC WONT NAWS);
    READ(&scene, "");
    HEARS(&scene, IAC DONT ECHO IAC WONT SGA);
    scene_close(&scene);
}

/* Two of our sessions, each of which takes the other for a server, come to rest. */
static void test_two_clients_come_to_rest(void **state)
{
    (void)state;
    const struct telnet_options options = {
        .terminal = "xterm", .columns = 80, .rows = 24, .initiate = true};
    struct scene one;
    struct channel *lower, *other;
    char bytes[64];
    scene_open(&one, &options);
    assert_int_equal(channel_socket_new(one.loop, dup(one.peer), &lower), 0);
    assert_int_equal(channel_telnet_new(one.loop, lower, &options, NULL, NULL, &other), 0);
    other->ready = scene_ready;
    other->user = &one;
    for (int i = 0; i < 16; i++) {
        assert_int_equal(channel_read(one.channel, bytes, sizeof(bytes)), -EAGAIN);
        assert_int_equal(channel_read(other, bytes, sizeof(bytes)), -EAGAIN);
    }
    assert_int_equal(recv(one.peer, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
    channel_telnet_status(one.channel, one.said);
    assert_string_equal(one.said, "options of this side: SGA; of the other: SGA");
    channel_free(other, false);
    scene_close(&one);
}

static void test_initiates(void **state)
{
    (void)state;
    struct telnet_options options = some_options;
    struct scene scene;
    options.initiate = true;
    scene_open(&scene, &options);
    READ(&scene, "");
    HEARS(&scene, IAC DO SGA IAC WILL TTYPE IAC WILL NAWS);
    SAYS(&scene, IAC WILL SGA IAC DO TTYPE IAC DO NAWS IAC SB TTYPE "\001" IAC SE);
    READ(&scene, "");
    HEARS(&scene, SIZE_80_24 IS_XTERM);
    was_told(&scene, "SENT DO SGA\nSENT WILL TERMINAL-TYPE\nSENT WILL NAWS\n"
                     "RCVD WILL SGA\ncharacters\nRCVD DO TERMINAL-TYPE\nRCVD DO NAWS\n");
    scene_close(&scene);
    /* By itself, too, when nobody reads or writes. */
    scene_open(&scene, &options);
    scene.channel->ready = ready_ignored;
    while (!scene.said_length)
        turn(&scene);
    HEARS(&scene, IAC DO SGA IAC WILL TTYPE IAC WILL NAWS);
    scene_close(&scene);
}

static void test_the_window_has_another_size(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    channel_telnet_resize(scene.channel, 90, 30); /* nobody has asked yet */
    HEARS(&scene, "");
    SAYS(&scene, IAC DO NAWS);
    READ(&scene, "");
    HEARS(&scene, IAC WILL NAWS IAC SB NAWS "\000\132\000\036" IAC SE);
    channel_telnet_resize(scene.channel, 255, 70000); /* 255 is IAC, and doubled */
    HEARS(&scene, IAC SB NAWS "\000" IAC IAC IAC IAC IAC IAC IAC SE);
    SAYS(&scene, IAC DONT NAWS);
    READ(&scene, "");
    HEARS(&scene, IAC WONT NAWS);
    channel_telnet_resize(scene.channel, 80, 24);
    HEARS(&scene, "");
    scene_close(&scene);
}

static void test_terminal_type_again_and_again(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    SAYS(&scene, IAC DO TTYPE IAC SB TTYPE "\001" IAC SE IAC SB TTYPE "\001" IAC SE);
    READ(&scene, "");
    HEARS(&scene, IAC WILL TTYPE IS_XTERM IS_XTERM);
    SAYS(&scene, IAC SB TTYPE "\000vt100" IAC SE IAC SB TTYPE IAC SE IAC SB TTYPE "\007" IAC SE);
    READ(&scene, "");
    HEARS(&scene, "");
    scene_close(&scene);
}

static void test_tells_the_user_where_one_is_given(void **state)
{
    (void)state;
    struct telnet_options options = some_options;
    struct scene scene;
    options.user = "gast";
    scene_open(&scene, &options);
    SAYS(&scene, IAC SB NEW_ENVIRON "\001" IAC SE); /* it has not been agreed on */
    READ(&scene, "");
    HEARS(&scene, "");
    SAYS(&scene, IAC DO NEW_ENVIRON IAC SB NEW_ENVIRON "\001" IAC SE);
    READ(&scene, "");
    HEARS(&scene, IAC WILL NEW_ENVIRON IAC SB NEW_ENVIRON "\000\000USER\001gast" IAC SE);
    SAYS(&scene, IAC SB NEW_ENVIRON "\001\000TERM\000USER\003" IAC SE);
    READ(&scene, "");
    HEARS(&scene, IAC SB NEW_ENVIRON "\000\000USER\001gast" IAC SE);
    SAYS(&scene, IAC SB NEW_ENVIRON "\001\000HOME\003USER" IAC SE);
    READ(&scene, "");
    HEARS(&scene, IAC SB NEW_ENVIRON "\000" IAC SE);
    SAYS(&scene, IAC SB NEW_ENVIRON "\000\000HOME" IAC SE IAC SB NEW_ENVIRON "\007" IAC SE);
    READ(&scene, "");
    HEARS(&scene, "");
    scene_close(&scene);
}

/* ---- commands ---- */

static void test_sends_commands(void **state)
{
    (void)state;
    struct scene scene;
    struct error error = {0};
    scene_open(&scene, &some_options);
    assert_int_equal(channel_telnet_send(scene.channel, "ayt", &error), 0);
    HEARS(&scene, IAC "\366");
    assert_int_equal(channel_telnet_send(scene.channel, " BR ", &error), 0);
    HEARS(&scene, IAC "\363");
    assert_int_equal(channel_telnet_send(scene.channel, "synch", &error), 0);
    HEARS(&scene, IAC "\362");
    assert_int_equal(channel_telnet_send(scene.channel, "do timing", &error), 0);
    HEARS(&scene, IAC DO TIMING_MARK);
    assert_int_equal(channel_telnet_send(scene.channel, "will 200", &error), 0);
    HEARS(&scene, IAC WILL "\310");
    WRITE(&scene, "x\r");
    assert_int_equal(channel_telnet_send(scene.channel, "ip", &error), 0);
    HEARS(&scene, "x\r\0" IAC "\364");
    scene_close(&scene);
}

static void test_every_command_is_sent(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    for (const struct telnet_command *row = telnet_commands; row->name; row++) {
        const char expected[] = {'\377', (char)row->code};
        if (row->option)
            continue;
        assert_int_equal(channel_telnet_send(scene.channel, row->name, NULL), 0);
        peer_hears(&scene, expected, 2);
    }
    scene_close(&scene);
}

static void test_explains_what_it_cannot_send(void **state)
{
    (void)state;
    static const char *const words[] = {"",         "a",      "e",       "foo",     "ayt now", "do",
                                        "do XYZZY", "do 256", "will -1", "wont 1x", "dont N"};
    struct scene scene;
    scene_open(&scene, &some_options);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        struct error error = {0};
        assert_int_equal(channel_telnet_send(scene.channel, words[i], &error), -EINVAL);
        assert_int_equal(error.code, EINVAL);
        assert_true(error.message[0] != '\0');
    }
    struct error error = {0};
    channel_telnet_send(scene.channel, "?", &error);
    assert_string_equal(error.message,
                        "there are: ao, ayt, brk, ec, el, ga, ip, nop, eor, abort, susp, eof, "
                        "synch, do OPTION, dont OPTION, will OPTION, wont OPTION");
    HEARS(&scene, "");
    scene_close(&scene);
}

static void test_options_at_the_users_wish(void **state)
{
    (void)state;
    struct scene scene;
    struct error error = {0};
    scene_open(&scene, &some_options);
    assert_int_equal(channel_telnet_send(scene.channel, "do echo", &error), 0);
    HEARS(&scene, IAC DO ECHO);
    SAYS(&scene, IAC WILL ECHO);
    READ(&scene, "");
    was_told(&scene, "SENT DO ECHO\nRCVD WILL ECHO\necho remote\n");
    assert_int_equal(channel_telnet_send(scene.channel, "dont echo", &error), 0);
    HEARS(&scene, IAC DONT ECHO);
    assert_int_equal(channel_telnet_send(scene.channel, "do echo", &error), -EBUSY);
    SAYS(&scene, IAC WONT ECHO);
    READ(&scene, "");
    was_told(&scene, "SENT DONT ECHO\nRCVD WONT ECHO\necho local\n");
    assert_int_equal(channel_telnet_send(scene.channel, "do echo", &error), 0);
    HEARS(&scene, IAC DO ECHO);
    scene_close(&scene);
}

static void test_the_end_of_our_option_is_confirmed(void **state)
{
    (void)state;
    struct scene scene;
    char text[TELNET_STATUS_SIZE];
    scene_open(&scene, &some_options);
    SAYS(&scene, IAC DO SGA IAC WILL SGA);
    READ(&scene, "");
    HEARS(&scene, IAC WILL SGA IAC DO SGA);
    assert_int_equal(channel_telnet_send(scene.channel, "wont sga", NULL), 0);
    HEARS(&scene, IAC WONT SGA);
    was_told(&scene, "SENT WILL SGA\nRCVD DO SGA\nSENT DO SGA\nRCVD WILL SGA\ncharacters\n"
                     "SENT WONT SGA\n");
    SAYS(&scene, IAC DONT SGA);
    READ(&scene, "");
    HEARS(&scene, "");
    was_told(&scene, "RCVD DONT SGA\n");
    assert_string_equal(channel_telnet_status(scene.channel, text),
                        "options of this side: none; of the other: SGA");
    /* While ours waits for its answer, the other side ends its own. */
    assert_int_equal(channel_telnet_send(scene.channel, "will sga", NULL), 0);
    SAYS(&scene, IAC DO SGA);
    READ(&scene, "");
    assert_int_equal(channel_telnet_send(scene.channel, "wont sga", NULL), 0);
    SAYS(&scene, IAC WONT SGA);
    READ(&scene, "");
    assert_string_equal(channel_telnet_status(scene.channel, text),
                        "options of this side: SGA; of the other: none");
    SAYS(&scene, IAC DONT SGA);
    READ(&scene, "");
    assert_string_equal(channel_telnet_status(scene.channel, text),
                        "options of this side: none; of the other: none");
    HEARS(&scene, IAC WILL SGA IAC WONT SGA IAC DONT SGA);
    scene_close(&scene);
}

/* ---- slow, hostile and ended peers ---- */

/* The peer does not read: writes are held, refused, and go on when it reads. */
static void test_a_slow_peer(void **state)
{
    (void)state;
    struct scene scene;
    static char block[20000], heard[20000];
    size_t wrote = 0, got = 0;
    ssize_t r;
    scene_open(&scene, &some_options);
    memset(block, 'x', sizeof(block));
    while ((r = channel_write(scene.channel, block, sizeof(block))) > 0) {
        wrote += (size_t)r;
        assert_true(wrote < 16u << 20);
    }
    assert_int_equal(r, -EAGAIN);
    scene.channel->writable = false;
    assert_int_equal(channel_shut(scene.channel), -EAGAIN);
    assert_true(scene.channel->class->unsent(scene.channel) > 0);
    while (got < wrote) {
        r = recv(scene.peer, heard, sizeof(heard), MSG_DONTWAIT);
        if (r < 0) {
            loop_run(scene.loop); /* ready() ends it */
            continue;
        }
        for (ssize_t i = 0; i < r; i++)
            assert_int_equal(heard[i], 'x');
        got += (size_t)r;
    }
    assert_int_equal(got, wrote);
    while (!scene.channel->writable)
        loop_run(scene.loop);
    assert_int_equal(channel_shut(scene.channel), 0);
    assert_int_equal(recv(scene.peer, heard, sizeof(heard), MSG_DONTWAIT), 0);
    scene_close(&scene);
}

/* It asks on and on, and reads no answer: then it is not heard either. */
static void test_a_peer_that_only_asks(void **state)
{
    (void)state;
    struct scene scene;
    char question[3 * 1000], bytes[4096];
    size_t said = 0, heard = 0;
    ssize_t r;
    scene_open(&scene, &some_options);
    scene.deaf = true;
    for (size_t i = 0; i < sizeof(question); i += 3)
        memcpy(question + i, IAC DO "\310", 3);
    for (;;) {
        assert_int_equal(channel_read(scene.channel, bytes, sizeof(bytes)), -EAGAIN);
        r = send(scene.peer, question, sizeof(question), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r < 0)
            break; /* its own socket is full by now, too */
        said += (size_t)r;
        assert_true(said < 64u << 20);
    }
    assert_true(scene.channel->class->unsent(scene.channel) > 0);
    scene.channel->readable = false;
    while (heard < said) {
        r = recv(scene.peer, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (r >= 0) {
            heard += (size_t)r;
            continue;
        }
        if (!scene.channel->readable)
            loop_run(scene.loop);
        if (scene.channel->readable && channel_read(scene.channel, bytes, sizeof(bytes)) == -EAGAIN)
            scene.channel->readable = heard + 2 >= said;
    }
    assert_int_equal(heard, said);
    scene_close(&scene);
}

static void test_compression_is_not_taken(void **state)
{
    (void)state;
    struct scene scene;
    char got[16];
    scene_open(&scene, &some_options);
    SAYS(&scene, "x" IAC WILL "\126" IAC SB "\126" IAC SE "garbage");
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), 1);
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), -EPROTO);
    assert_int_equal(scene.channel->error.code, EPROTO);
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), -EPROTO);
    HEARS(&scene, IAC DONT "\126");
    scene_close(&scene);
}

static void test_an_endless_subnegotiation_is_given_up(void **state)
{
    (void)state;
    struct scene scene;
    char block[1024], got[2048];
    size_t total = 0;
    scene_open(&scene, &some_options);
    memset(block, 'y', sizeof(block));
    SAYS(&scene, IAC SB TTYPE);
    for (int i = 0; i < 64; i++) {
        ssize_t r;
        peer_says(&scene, block, sizeof(block));
        while ((r = channel_read(scene.channel, got, sizeof(got))) > 0)
            total += (size_t)r;
        assert_int_equal(r, -EAGAIN);
    }
    assert_true(total > 0 && total < 64 * sizeof(block)); /* the rest of it is data again */
    scene_close(&scene);
}

static void test_unknown_commands_are_passed_over(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, &some_options);
    SAYS(&scene, "a" IAC "\361" IAC "\371" IAC "\362" IAC "\366" IAC "\001" IAC SE "b");
    READ(&scene, "ab");
    HEARS(&scene, "");
    scene_close(&scene);
}

static void test_a_reset_is_told(void **state)
{
    (void)state;
    struct scene scene;
    char got[4];
    scene_open(&scene, &some_options);
    close(scene.peer);
    scene.peer = -1;
    assert_int_equal(channel_read(scene.channel, got, sizeof(got)), CHANNEL_END);
    assert_int_equal(channel_write(scene.channel, "x", 1), -EPIPE);
    assert_int_equal(channel_write(scene.channel, "x", 1), -EPIPE);
    assert_int_equal(channel_telnet_send(scene.channel, "ayt", NULL), -EPIPE);
    scene_close(&scene);
}

/* ---- names ---- */

static void test_names(void **state)
{
    (void)state;
    char text[TELNET_OPTION_SIZE];
    assert_string_equal(telnet_option_name(1), "ECHO");
    assert_null(telnet_option_name(200));
    assert_string_equal(telnet_option_format(255, text), "EXTENDED-OPTIONS-LIST");
    assert_string_equal(telnet_option_format(200, text), "#200");
    assert_int_equal(telnet_option_find("naws", 4), 31);
    assert_int_equal(telnet_option_find("term", 4), TELNET_WORD_AMBIGUOUS);
    assert_int_equal(telnet_option_find("terminal-t", 10), 24);
    assert_int_equal(telnet_option_find("environ", 7), 36);
    assert_int_equal(telnet_option_find("255", 3), 255);
    assert_int_equal(telnet_option_find("256", 3), TELNET_WORD_UNKNOWN);
    assert_int_equal(telnet_option_find("0255", 4), TELNET_WORD_UNKNOWN);
    assert_int_equal(telnet_option_find("3270", 4), 29); /* its name begins like that */
    assert_int_equal(telnet_option_find("", 0), TELNET_WORD_UNKNOWN);
}

/* ---- streams that others have written ---- */

/* libtelnet's own test streams: lines of percent-encoded bytes, with comments. Its generator knows
 * another set of options, and prints events; compared are the data, and our answers. */
struct stream {
    struct buffer input, data;
    size_t terminal_questions;
};

static void read_stream(const char *folder, const char *name, struct stream *stream)
{
    char path[1024], line[1024];
    FILE *file;
    *stream = (struct stream){0};
    snprintf(path, sizeof(path), "%s/%s.input", folder, name);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        size_t length = strcspn(line, "\r\n");
        for (size_t i = 0; line[0] != '#' && i < length; i++) {
            unsigned byte = (unsigned char)line[i];
            if (line[i] == '%') {
                assert_int_equal(sscanf(line + i + 1, "%2x", &byte), 1);
                i += 2;
            }
            buffer_add_character(&stream->input, (char)byte);
        }
    }
    fclose(file);
    snprintf(path, sizeof(path), "%s/%s.txt", folder, name);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        const char *text = strstr(line, "==> ");
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, "DATA ", 5) == 0 && text)
            buffer_add_text(&stream->data, text + 4);
        stream->terminal_questions += strncmp(line, "TTYPE SEND", 10) == 0;
    }
    fclose(file);
}

static void expect_stream(const char *folder, const char *name, size_t segment)
{
    struct scene scene;
    struct stream stream;
    struct buffer answers = {0}, got = {0};
    char bytes[256];
    ssize_t r;
    read_stream(folder, name, &stream);
    assert_true(stream.input.length > 0);
    scene_open(&scene, &some_options);
    SAYS(&scene, IAC DO TTYPE); /* else its questions would not be answered at all */
    buffer_add(&answers, IAC WILL TTYPE, 3);
    for (size_t i = 0; i < stream.input.length; i += segment) {
        size_t left = stream.input.length - i;
        peer_says(&scene, stream.input.data + i, left < segment ? left : segment);
        while ((r = channel_read(scene.channel, bytes, sizeof(bytes))) > 0)
            buffer_add(&got, bytes, (size_t)r);
        assert_int_equal(r, -EAGAIN);
    }
    assert_int_equal(got.length, stream.data.length);
    if (got.length)
        assert_memory_equal(got.data, stream.data.data, got.length);
    for (size_t i = 0; i < stream.terminal_questions; i++)
        buffer_add(&answers, IS_XTERM, sizeof(IS_XTERM) - 1);
    /* The generator has ZMP (93) and no NAWS; with us it is the other way round. */
    if (strcmp(name, "rfc1143") == 0)
        buffer_add(&answers, IAC WONT "\135" IAC WONT "\135" IAC WILL NAWS SIZE_80_24,
                   9 + sizeof(SIZE_80_24) - 1);
    peer_hears(&scene, answers.data, answers.length);
    scene_close(&scene);
    buffer_release(&stream.input);
    buffer_release(&stream.data);
    buffer_release(&answers);
    buffer_release(&got);
}

static void test_streams_of_others(void **state)
{
    (void)state;
    const char *shared = getenv("PORTHOLE_SHARED");
    const char *source = getenv("PORTHOLE_SOURCE");
    char folder[512];
    snprintf(folder, sizeof(folder), "%s%s/data/telnet",
             shared   ? shared
             : source ? source
                      : "",
             shared ? "" : "/../shared");
    DIR *directory = opendir(folder);
    if (!directory) {
        print_message("skipped: there are no telnet streams at %s\n", folder);
        skip();
    }
    const struct dirent *entry;
    size_t count = 0;
    while ((entry = readdir(directory))) {
        char name[256];
        const char *dot = strstr(entry->d_name, ".input");
        if (!dot)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(dot - entry->d_name), entry->d_name);
        expect_stream(folder, name, 1);
        expect_stream(folder, name, 4096);
        count++;
    }
    closedir(directory);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_line_ends),
        cmocka_unit_test(test_a_line_end_in_two_writes),
        cmocka_unit_test(test_a_cr_at_the_end_is_completed_soon),
        cmocka_unit_test(test_read_line_ends),
        cmocka_unit_test(test_a_cr_before_the_end_is_not_lost),
        cmocka_unit_test(test_iac_is_doubled),
        cmocka_unit_test(test_binary_leaves_line_ends_alone),
        cmocka_unit_test(test_raw_passes_keys_and_cursor_movements),
        cmocka_unit_test(test_one_byte_segments),
        cmocka_unit_test(test_agrees_to_what_it_can),
        cmocka_unit_test(test_refuses_the_rest),
        cmocka_unit_test(test_refuses_what_it_was_not_given),
        cmocka_unit_test(test_no_loops),
        cmocka_unit_test(test_two_clients_come_to_rest),
        cmocka_unit_test(test_initiates),
        cmocka_unit_test(test_the_window_has_another_size),
        cmocka_unit_test(test_terminal_type_again_and_again),
        cmocka_unit_test(test_tells_the_user_where_one_is_given),
        cmocka_unit_test(test_sends_commands),
        cmocka_unit_test(test_every_command_is_sent),
        cmocka_unit_test(test_explains_what_it_cannot_send),
        cmocka_unit_test(test_options_at_the_users_wish),
        cmocka_unit_test(test_the_end_of_our_option_is_confirmed),
        cmocka_unit_test(test_a_slow_peer),
        cmocka_unit_test(test_a_peer_that_only_asks),
        cmocka_unit_test(test_compression_is_not_taken),
        cmocka_unit_test(test_an_endless_subnegotiation_is_given_up),
        cmocka_unit_test(test_unknown_commands_are_passed_over),
        cmocka_unit_test(test_a_reset_is_told),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_streams_of_others),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
