/* Listening on UDP: one channel for everybody, or a session for each peer. */
#include "listener_scene.h"
#include "own_network.h"

/* ---- UDP ---- */

static void begin_udp(struct hall *hall)
{
    hall->options.endpoint.kind = ENDPOINT_UDP;
    strcpy(hall->options.endpoint.host, "127.0.0.1");
    begin(hall);
}

static int visit_place(const struct peer *place, const char *word)
{
    int fd = connect_to(place, SOCK_DGRAM | SOCK_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, word, strlen(word), 0), strlen(word));
    return fd;
}

static int visit_udp(struct hall *hall, const char *word)
{
    return visit_place(&hall->ready[0], word);
}

static void expect_datagram(int fd, const char *word)
{
    char bytes[32] = "";
    struct pollfd now = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&now, 1, 5000), 1);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), strlen(word));
    assert_string_equal(bytes, word);
}

static void expect_nothing(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
}

static void read_word(struct hall *hall, struct channel *channel, const char *word)
{
    char bytes[32] = "";
    ssize_t got;
    while ((got = channel_read(channel, bytes, sizeof(bytes))) == -EAGAIN) {
        channel->readable = false;
        loop_run_until(hall->loop, &channel->readable);
    }
    assert_int_equal(got, strlen(word));
    assert_string_equal(bytes, word);
}

/* One channel for everybody: answers go to the one heard last, or to all. */
static void datagrams_of_everybody(void **state)
{
    struct hall *hall = *state;
    for (int all = 0; all < 2; all++) {
        hall->options.answer_all = all;
        hall->ready_count = hall->heard = 0;
        hall->count = 0;
        begin_udp(hall);
        assert_int_equal(hall->count, 1); /* before anybody has come */
        assert_int_equal(hall->arrivals[0].remote.kind, PEER_NONE);
        struct channel *channel = hall->arrivals[0].channel;
        assert_true(channel->messages);
        assert_int_equal(channel_write(channel, "early", 5), -EAGAIN);
        int first = visit_udp(hall, "one");
        read_word(hall, channel, "one");
        int second = visit_udp(hall, "two");
        read_word(hall, channel, "two");
        assert_int_equal(channel_write(channel, "answer", 6), 6);
        expect_datagram(second, "answer");
        if (all)
            expect_datagram(first, "answer");
        else
            expect_nothing(first);
        assert_int_equal(send(first, "", 0, 0), 0);
        read_word(hall, channel, "");
        assert_int_equal(channel_write(channel, "again", 5), 5);
        expect_datagram(first, "again");
        assert_int_equal(hall->heard, 2);
        /* The listener may go before the channel. */
        listener_free(hall->listener);
        hall->listener = NULL;
        assert_int_equal(send(second, "still", 5, 0), 5);
        read_word(hall, channel, "still");
        int third = visit_udp(hall, "late");
        settle(hall);
        assert_int_equal(channel_read(channel, (char[8]){0}, 8), -EAGAIN);
        channel_free(channel, false);
        hall->count = 0;
        close(first);
        close(second);
        close(third);
    }
}

/* Loopback of IPv4 and of IPv6 are two sockets, and still one port. */
static void one_channel_for_all_addresses(void **state)
{
    struct hall *hall = *state;
    for (int all = 0; all < 2; all++) {
        hall->options.answer_all = all;
        hall->options.endpoint.kind = ENDPOINT_UDP;
        hall->ready_count = hall->count = 0;
        begin(hall);
        assert_int_equal(hall->ready_count, 2);
        assert_int_equal(hall->count, 1);
        struct channel *channel = hall->arrivals[0].channel;
        int first = visit_place(&hall->ready[0], "one");
        read_word(hall, channel, "one");
        int second = visit_place(&hall->ready[1], "two");
        read_word(hall, channel, "two");
        assert_int_equal(channel_write(channel, "answer", 6), 6);
        expect_datagram(second, "answer");
        if (all)
            expect_datagram(first, "answer");
        else
            expect_nothing(first);
        assert_int_equal(send(first, "three", 5, 0), 5);
        read_word(hall, channel, "three");
        assert_int_equal(channel_write(channel, "again", 5), 5);
        expect_datagram(first, "again");
        listener_free(hall->listener);
        hall->listener = NULL;
        channel_free(channel, false);
        hall->count = 0;
        close(first);
        close(second);
    }
}

/* A peer that is gone makes an error that is not the others'. */
static void peers_that_are_gone(void **state)
{
    struct hall *hall = *state;
    begin_udp(hall);
    struct channel *channel = hall->arrivals[0].channel;
    int first = visit_udp(hall, "one");
    read_word(hall, channel, "one");
    close(first);
    for (int i = 0; i < 5; i++)
        assert_int_equal(channel_write(channel, "x", 1), 1);
    int second = visit_udp(hall, "two");
    read_word(hall, channel, "two");
    close(second);
}

static void a_session_for_each_peer(void **state)
{
    struct hall *hall = *state;
    int fds[5];
    hall->options.sessions = true;
    hall->options.maximum = 3;
    begin_udp(hall);
    for (size_t i = 0; i < 4; i++) {
        fds[i] = visit_udp(hall, "first");
        settle(hall);
        assert_int_equal(hall->count, i < 3 ? i + 1 : 3); /* the fourth finds no room */
    }
    for (size_t i = 0; i < 3; i++) {
        struct channel *channel = hall->arrivals[i].channel;
        read_word(hall, channel, "first");
        assert_int_equal(channel_read(channel, (char[8]){0}, 8), -EAGAIN);
        assert_int_equal(send(fds[i], "", 0, 0), 0);
        assert_int_equal(send(fds[i], "more", 4, 0), 4);
        read_word(hall, channel, "");
        read_word(hall, channel, "more");
        assert_int_equal(channel_write(channel, "answer", 6), 6);
        expect_datagram(fds[i], "answer");
        expect_nothing(fds[(i + 1) % 3]);
    }
    depart(hall, 1);
    assert_int_equal(send(fds[3], "again", 5, 0), 5);
    settle(hall);
    assert_int_equal(hall->count, 4);
    read_word(hall, hall->arrivals[3].channel, "again");
    /* The sessions stay when the listener is gone; new peers do not come. */
    listener_free(hall->listener);
    hall->listener = NULL;
    fds[4] = visit_udp(hall, "late");
    assert_int_equal(send(fds[0], "still", 5, 0), 5);
    read_word(hall, hall->arrivals[0].channel, "still");
    settle(hall);
    assert_int_equal(hall->count, 4);
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
}

static void a_session_keeps_only_so_much(void **state)
{
    struct hall *hall = *state;
    static char bytes[60000];
    size_t count = 0;
    ssize_t got;
    hall->options.sessions = true;
    begin_udp(hall);
    int fd = visit_udp(hall, "x");
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
        loop_run_for(hall->loop, 1000000);
    }
    while ((got = channel_read(hall->arrivals[0].channel, bytes, sizeof(bytes))) >= 0)
        count += (size_t)got;
    assert_int_equal(got, -EAGAIN);
    assert_in_range(count, 500000, 1 << 20);
    close(fd);
}

static void denied_datagrams(void **state)
{
    struct hall *hall = *state;
    struct address_set deny = {0};
    seal(&deny, "127.0.0.1", "127.0.0.1");
    hall->options.deny = &deny;
    for (int sessions = 0; sessions < 2; sessions++) {
        hall->ready_count = hall->denied = 0;
        hall->options.sessions = sessions;
        begin_udp(hall);
        int fd = visit_udp(hall, "x");
        settle(hall);
        if (!sessions)
            assert_int_equal(channel_read(hall->arrivals[0].channel, (char[8]){0}, 8), -EAGAIN);
        assert_int_equal(hall->denied, 1);
        assert_int_equal(hall->count, 1);
        close(fd);
        listener_free(hall->listener);
        hall->listener = NULL;
    }
    address_set_release(&deny);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) /* only some of them */
        cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(datagrams_of_everybody),       LISTENER_TEST(one_channel_for_all_addresses),
        LISTENER_TEST(peers_that_are_gone),          LISTENER_TEST(a_session_for_each_peer),
        LISTENER_TEST(a_session_keeps_only_so_much), LISTENER_TEST(denied_datagrams),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
