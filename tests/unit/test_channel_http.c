/* A channel that answers requests, as a pair uses it. */
#include "own_network.h"
#include "talk/channel_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define REQUESTS 10000

static size_t told;

static void tell(void *user, const struct http_reader *request)
{
    (void)user;
    assert_int_equal(request->head_size, sizeof(REQUEST) - 1);
    told++;
}

static struct channel *make(void)
{
    const struct peer nobody = {0};
    struct channel *channel;
    told = 0;
    assert_int_equal(channel_http_new(&nobody, &nobody, tell, NULL, &channel), 0);
    return channel;
}

/* So many answers are there; nothing of them stays. */
static size_t read_all(struct channel *channel)
{
    static char bytes[1 << 16];
    size_t length = 0;
    ssize_t got;
    while ((got = channel_read(channel, bytes, sizeof(bytes))) > 0)
        length += (size_t)got;
    assert_true(got == -EAGAIN || got == CHANNEL_END);
    return length;
}

/* Who asks on and on and does not read the answers is not read either. */
static void answers_are_limited(void **state)
{
    (void)state;
    struct channel *channel = make();
    char *requests = malloc(REQUESTS * (sizeof(REQUEST) - 1));
    assert_non_null(requests);
    for (size_t i = 0; i < REQUESTS; i++)
        memcpy(requests + i * (sizeof(REQUEST) - 1), REQUEST, sizeof(REQUEST) - 1);
    size_t length = REQUESTS * (sizeof(REQUEST) - 1), at = 0;
    while (at < length) {
        ssize_t put = channel_write(channel, requests + at, length - at);
        assert_true(put > 0);
        at += (size_t)put;
        if (at < length)
            assert_int_equal(channel_write(channel, requests + at, length - at), -EAGAIN);
        channel->writable = false;
        size_t answers = read_all(channel);
        assert_true(answers > 0);
        assert_true(answers < (size_t)2 << 20);
        assert_true(channel->writable);
    }
    assert_int_equal(told, REQUESTS);
    free(requests);
    channel_free(channel, false);
}

/* What follows a fault is passed over. */
static void the_last_answer(void **state)
{
    (void)state;
    struct channel *channel = make();
    const char words[] = REQUEST "nonsense\r\n" REQUEST;
    assert_int_equal(channel_write(channel, words, sizeof(words) - 1), sizeof(words) - 1);
    assert_true(read_all(channel) > 0);
    assert_int_equal(told, 1);
    assert_int_equal(channel_write(channel, REQUEST, sizeof(REQUEST) - 1), sizeof(REQUEST) - 1);
    assert_int_equal(channel_read(channel, (char[1]){0}, 1), CHANNEL_END);
    channel_free(channel, false);
}

/* The client's end: what was asked before is answered. */
static void an_end(void **state)
{
    (void)state;
    struct channel *channel = make();
    assert_int_equal(channel_read(channel, (char[1]){0}, 1), -EAGAIN);
    assert_int_equal(channel_write(channel, REQUEST "GET", sizeof(REQUEST) + 2),
                     sizeof(REQUEST) + 2);
    assert_int_equal(channel_shut(channel), 0);
    assert_true(read_all(channel) > 0);
    assert_int_equal(told, 1);
    assert_int_equal(channel_read(channel, (char[1]){0}, 1), CHANNEL_END);
    channel_free(channel, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_limited),
        cmocka_unit_test(the_last_answer),
        cmocka_unit_test(an_end),
    };
    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
