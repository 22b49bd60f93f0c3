/* The channel over a TLS session: every byte, every kind of end, and nobody waits. */
#include "own_network.h"
#include "tls_scene.h"

static const struct tls_options careless = {.insecure = true}, made = {0};

/* Of both, to a version of TLS: what its ends mean differs between them. */
static void meeting_limit(struct meeting *meeting, int version)
{
    SSL_CTX_set_max_proto_version(meeting->server.tls->context, version);
}

/* As little as the kernel allows. */
static void set_needle(int fd)
{
    int size = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* ---- every byte ---- */

static void expect_heard(const struct party *party, const unsigned char *bytes, size_t length)
{
    assert_int_equal(party->heard, length);
    assert_true(party->heard_sum == sum_of(0, bytes, length));
}

/* Both say a lot at once, and each says when it has said all. */
static void exchange(int version, const int fds[2], size_t length, size_t read_size)
{
    struct meeting meeting;
    unsigned char *forth = noise(length, 1), *back = noise(length, 2);
    meeting_set(&meeting, &careless, &made);
    meeting_limit(&meeting, version);
    meeting.client.say = forth;
    meeting.server.say = back;
    meeting.client.say_length = meeting.server.say_length = length;
    meeting.client.shut_at_end = meeting.server.shut_at_end = true;
    meeting.client.read_size = read_size;
    meeting_join(&meeting, fds, "a.example");
    assert_int_equal(loop_run(meeting.loop), 0);
    assert_int_equal(meeting.client.read_code, CHANNEL_END);
    assert_int_equal(meeting.server.read_code, CHANNEL_END);
    assert_int_equal(meeting.client.write_code, 0);
    assert_int_equal(meeting.server.write_code, 0);
    expect_heard(&meeting.server, forth, length);
    expect_heard(&meeting.client, back, length);
    meeting_end(&meeting);
    free(forth);
    free(back);
}

static void much_both_ways(void **state)
{
    (void)state;
    int fds[2];
    tcp_pair(fds);
    exchange(TLS1_3_VERSION, fds, 10 * MEBIBYTE, MEBIBYTE / 4);
    tcp_pair(fds);
    exchange(TLS1_2_VERSION, fds, 10 * MEBIBYTE, 0);
    unix_pair(fds);
    exchange(TLS1_3_VERSION, fds, 10 * MEBIBYTE + 1, MEBIBYTE);
}

/* Records that the kernel takes in pieces only, and is given again. */
static void through_a_needle(void **state)
{
    (void)state;
    int fds[2];
    tcp_pair(fds);
    set_needle(fds[0]);
    set_needle(fds[1]);
    exchange(TLS1_3_VERSION, fds, MEBIBYTE / 2, 0);
    unix_pair(fds);
    set_needle(fds[0]);
    set_needle(fds[1]);
    exchange(TLS1_2_VERSION, fds, MEBIBYTE / 2, 7);
}

/* What OpenSSL has decrypted and the reader has not yet taken is not forgotten: no event tells of
 * it any more. */
static void one_byte_at_a_time(void **state)
{
    (void)state;
    int fds[2];
    tcp_pair(fds);
    exchange(TLS1_3_VERSION, fds, 40000, 1);
}

static void nothing_at_all(void **state)
{
    (void)state;
    int fds[2];
    tcp_pair(fds);
    exchange(TLS1_3_VERSION, fds, 0, 0);
    tcp_pair(fds);
    exchange(TLS1_2_VERSION, fds, 0, 0);
}

/* ---- ends ---- */

/* One says all, and ends; then the other does: a connection that is half closed carries as much. */
static void half_closed(int version, bool server_first)
{
    struct meeting meeting;
    int fds[2];
    unsigned char *forth = noise(MEBIBYTE, 3), *back = noise(MEBIBYTE, 4);
    meeting_set(&meeting, &careless, &made);
    meeting_limit(&meeting, version);
    meeting.client.say = forth;
    meeting.server.say = back;
    meeting.client.say_length = meeting.server.say_length = MEBIBYTE;
    meeting.client.shut_at_end = meeting.server.shut_at_end = true;
    meeting.client.listen_first = server_first;
    meeting.server.listen_first = !server_first;
    tcp_pair(fds);
    meeting_join(&meeting, fds, "a.example");
    assert_int_equal(loop_run(meeting.loop), 0);
    assert_int_equal(meeting.client.read_code, CHANNEL_END);
    assert_int_equal(meeting.server.read_code, CHANNEL_END);
    expect_heard(&meeting.server, forth, MEBIBYTE);
    expect_heard(&meeting.client, back, MEBIBYTE);
    meeting_end(&meeting);
    free(forth);
    free(back);
}

static void one_direction_after_the_other(void **state)
{
    (void)state;
    half_closed(TLS1_3_VERSION, false);
    half_closed(TLS1_3_VERSION, true);
    half_closed(TLS1_2_VERSION, false);
    half_closed(TLS1_2_VERSION, true);
}

/* Two who have shaken hands; the test does the rest by hand. */
static void acquaint(struct meeting *meeting, int version, int fds[2])
{
    meeting_set(meeting, &careless, &made);
    meeting_limit(meeting, version);
    meeting->client.only_handshake = meeting->server.only_handshake = true;
    tcp_pair(fds);
    meeting_join(meeting, fds, "a.example");
    assert_int_equal(loop_run(meeting->loop), 0);
    assert_int_equal(meeting->client.handshake_code, 0);
    assert_int_equal(meeting->server.handshake_code, 0);
}

/* Reads once something is there to be read. On loopback that is soon. */
static ssize_t read_now(struct party *party, void *bytes, size_t size)
{
    ssize_t got = -EAGAIN;
    for (int i = 0; i < 5000 && got == -EAGAIN; i++) {
        got = channel_read(party->channel, bytes, size);
        if (got == -EAGAIN)
            usleep(1000);
    }
    return got;
}

static void expect_end(struct party *party, int code, const char *words)
{
    char bytes[64];
    for (int i = 0; i < 2; i++) { /* and it stays so */
        assert_int_equal(read_now(party, bytes, sizeof(bytes)), code);
        if (words) {
            assert_int_equal(party->channel->error.code, -code);
            assert_non_null(strstr(party->channel->error.message, words));
        } else {
            assert_int_equal(party->channel->error.code, 0);
        }
    }
}

static void closed_as_an_end(void **state)
{
    (void)state;
    struct meeting meeting;
    char bytes[64];
    int fds[2];
    acquaint(&meeting, TLS1_3_VERSION, fds);
    assert_int_equal(channel_write(meeting.server.channel, "goodbye", 7), 7);
    party_leave(&meeting.server, false);
    assert_int_equal(read_now(&meeting.client, bytes, sizeof(bytes)), 7);
    assert_memory_equal(bytes, "goodbye", 7);
    expect_end(&meeting.client, CHANNEL_END, NULL);
    meeting_end(&meeting);
}

/* What came is handed on first; then it is told that this may not have been all. */
static void cut_short(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct meeting meeting;
        char bytes[64];
        int fds[2];
        acquaint(&meeting, versions[i], fds);
        assert_int_equal(channel_write(meeting.server.channel, "The rest is", 11), 11);
        shutdown(fds[1], SHUT_WR);
        assert_int_equal(read_now(&meeting.client, bytes, sizeof(bytes)), 11);
        assert_memory_equal(bytes, "The rest is", 11);
        expect_end(&meeting.client, -ECONNABORTED, "close_notify");
        /* The other direction is as it was. */
        assert_int_equal(channel_write(meeting.client.channel, "what?", 5), 5);
        assert_int_equal(channel_shut(meeting.client.channel), 0);
        assert_int_equal(read_now(&meeting.server, bytes, sizeof(bytes)), 5);
        expect_end(&meeting.server, CHANNEL_END, NULL);
        meeting_end(&meeting);
    }
}

/* In the midst of a record, too. */
static void cut_short_within_a_record(void **state)
{
    (void)state;
    struct meeting meeting;
    int fds[2];
    acquaint(&meeting, TLS1_3_VERSION, fds);
    assert_int_equal(send(fds[1], "\x17\x03\x03\x01\x00half", 9, MSG_NOSIGNAL), 9);
    shutdown(fds[1], SHUT_WR);
    expect_end(&meeting.client, -ECONNABORTED, "close_notify");
    meeting_end(&meeting);
}

static void reset(void **state)
{
    (void)state;
    struct meeting meeting;
    int fds[2];
    acquaint(&meeting, TLS1_3_VERSION, fds);
    party_leave(&meeting.server, true);
    expect_end(&meeting.client, -ECONNRESET, NULL);
    meeting_end(&meeting);
}

/* Nobody is killed by SIGPIPE, whose default this program has left as it was. */
static void written_to_nobody(void **state)
{
    (void)state;
    struct meeting meeting;
    int fds[2];
    ssize_t put = 0;
    acquaint(&meeting, TLS1_3_VERSION, fds);
    party_leave(&meeting.server, true);
    for (int i = 0; i < 1000 && (put >= 0 || put == -EAGAIN); i++) {
        put = channel_write(meeting.client.channel, "hello", 5);
        usleep(1000);
    }
    assert_true(put == -EPIPE || put == -ECONNRESET);
    assert_true(channel_write(meeting.client.channel, "hello", 5) == put);
    meeting_end(&meeting);
}

/* The kernel knows only that the connection is gone; the alert that had come before says why. */
static void alert_explains_a_failed_write(void **state)
{
    (void)state;
    struct meeting meeting;
    struct tls_options server = {.server = true, .authorities = scene_path("authority.pem")};
    int fds[2];
    ssize_t put = 0;
    meeting_set(&meeting, &careless, &server);
    meeting.client.only_handshake = true;
    tcp_pair(fds);
    meeting_join(&meeting, fds, "a.example");
    assert_int_equal(loop_run(meeting.loop), 0);
    assert_int_equal(meeting.client.handshake_code, 0);
    assert_int_equal(meeting.server.handshake_code, -EPROTO);
    party_leave(&meeting.server, false);
    for (int i = 0; i < 1000 && (put >= 0 || put == -EAGAIN); i++) {
        put = channel_write(meeting.client.channel, "hello", 5);
        usleep(1000);
    }
    assert_int_equal(put, -EPROTO);
    assert_non_null(strstr(meeting.client.channel->error.message, "demands a certificate"));
    meeting_end(&meeting);
}

/* The end itself may find no room. */
static void end_waits_for_room(void **state)
{
    (void)state;
    struct meeting meeting;
    int fds[2];
    unsigned char *bytes = noise(4 * MEBIBYTE, 5), *heard = malloc(MEBIBYTE);
    ssize_t put = 0;
    size_t said = 0, got = 0;
    uint64_t sum = 0;
    assert_non_null(heard);
    acquaint(&meeting, TLS1_3_VERSION, fds);
    while (put != -EAGAIN) {
        put = channel_write(meeting.client.channel, bytes + said, 4 * MEBIBYTE - said);
        assert_true(put == -EAGAIN || put > 0);
        said += put > 0 ? (size_t)put : 0;
    }
    /* On loopback nothing stays unacknowledged for long but what the other side has no room for. */
    assert_true(meeting.client.channel->class->unsent(meeting.client.channel) > 0);
    while (got < said) {
        ssize_t part = read_now(&meeting.server, heard, MEBIBYTE);
        assert_true(part > 0);
        sum = sum_of(sum, heard, (size_t)part);
        got += (size_t)part;
        /* The record that waited belongs to the next write: the same bytes are offered again. */
        put = channel_write(meeting.client.channel, bytes + said, 4 * MEBIBYTE - said);
        assert_true(put == -EAGAIN || put >= 0);
        said += put > 0 ? (size_t)put : 0;
    }
    assert_int_equal(said, 4 * MEBIBYTE);
    assert_true(sum == sum_of(0, bytes, 4 * MEBIBYTE));
    assert_int_equal(channel_shut(meeting.client.channel), 0);
    assert_int_equal(channel_shut(meeting.client.channel), 0);
    expect_end(&meeting.server, CHANNEL_END, NULL);
    meeting_end(&meeting);
    free(bytes);
    free(heard);
}

/* ---- those who are no TLS ---- */

static void expect_handshake(const char *said, size_t length, bool server, int code,
                             const char *words)
{
    int fds[2];
    struct party party = {0};
    struct party *all[] = {&party, NULL};
    struct loop *loop = NULL;
    party.tls = context(&(struct tls_options){.server = server, .insecure = true});
    party.others = all;
    assert_int_equal(loop_new(&loop), 0);
    tcp_pair(fds);
    assert_int_equal(send(fds[0], said, length, MSG_NOSIGNAL), length);
    shutdown(fds[0], SHUT_WR);
    party_join(&party, loop, fds[1], server ? NULL : "a.example");
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(party.handshake_code, code);
    assert_int_equal(party.error.code, -code);
    if (!strstr(party.error.message, words))
        fail_msg("'%s' does not say '%s'", party.error.message, words);
    party_leave(&party, false);
    close(fds[0]);
    loop_free(loop);
    tls_free(party.tls);
}

static void others_than_tls(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    static const char banner[] = "220 mail.example ESMTP\r\n";
    expect_handshake(request, sizeof(request) - 1, true, -EPROTO, "plain HTTP");
    expect_handshake(banner, sizeof(banner) - 1, false, -EPROTO, "does not speak TLS");
    expect_handshake("", 0, false, -ECONNABORTED, "closed the connection during");
    expect_handshake("", 0, true, -ECONNABORTED, "closed the connection during");
    expect_handshake("\x16\x03\x01", 3, true, -ECONNABORTED, "closed the connection during");
    expect_handshake("\0\0\0\0\0\0\0\0", 8, true, -EPROTO, "");
}

/* Bytes that nobody has signed end the session, and are told as what they are. */
static void forged(void **state)
{
    (void)state;
    struct meeting meeting;
    char record[5 + 64] = {0x17, 0x03, 0x03, 0, 64};
    int fds[2];
    acquaint(&meeting, TLS1_3_VERSION, fds);
    assert_int_equal(send(fds[1], record, sizeof(record), MSG_NOSIGNAL), sizeof(record));
    expect_end(&meeting.client, -EPROTO, "damaged or forged");
    meeting_end(&meeting);
}

/* ---- whose what is ---- */

static void context_may_go_first(void **state)
{
    (void)state;
    struct meeting meeting;
    char bytes[64];
    int fds[2];
    acquaint(&meeting, TLS1_3_VERSION, fds);
    tls_free(meeting.client.tls);
    meeting.client.tls = NULL;
    assert_int_equal(channel_write(meeting.client.channel, "still here", 10), 10);
    assert_int_equal(read_now(&meeting.server, bytes, sizeof(bytes)), 10);
    assert_int_equal(meeting.client.channel->splice_in, -1);
    assert_int_equal(meeting.client.channel->splice_out, -1);
    meeting_end(&meeting);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

/* A regular file cannot be watched. The descriptor is closed all the same. */
static void no_socket(void **state)
{
    (void)state;
    struct loop *loop = NULL;
    struct channel *channel = NULL;
    struct error error = {0};
    struct tls *tls = context(&careless);
    int fd = open(scene_path("good.pem"), O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(channel_tls_new(loop, tls, fd, "a.example", NULL, &channel, &error), -EPERM);
    assert_int_equal(error.code, EPERM);
    assert_null(channel);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    loop_free(loop);
    tls_free(tls);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_both_ways),
        cmocka_unit_test(through_a_needle),
        cmocka_unit_test(one_byte_at_a_time),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(one_direction_after_the_other),
        cmocka_unit_test(closed_as_an_end),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(cut_short_within_a_record),
        cmocka_unit_test(reset),
        cmocka_unit_test(written_to_nobody),
        cmocka_unit_test(alert_explains_a_failed_write),
        cmocka_unit_test(end_waits_for_room),
        cmocka_unit_test(others_than_tls),
        cmocka_unit_test(forged),
        cmocka_unit_test(context_may_go_first),
        cmocka_unit_test(no_socket),
    };
    if (!mkdtemp(scene_directory))
        return 1;
    scene_make_certificates();
    int failed = cmocka_run_group_tests(tests, enter_own_network, NULL);
    scene_remove();
    return failed;
}
