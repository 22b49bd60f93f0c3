/* For the tests of listeners: a hall into which the test's own clients come. */
#pragma once

#include "talk_scene.h"

#include "net/address_set.h"
#include "talk/listener.h"
#include "talk/proxy_header.h"

#include <signal.h>
#include <sys/un.h>

#define ARRIVALS 64

struct hall {
    struct loop *loop;
    struct listener *listener;
    struct listener_options options;
    struct arrival arrivals[ARRIVALS];
    size_t count;
    struct peer ready[8]; /* where it listens */
    size_t ready_count;
    unsigned denied, failed, heard;
    struct error error; /* of the last failure */
    bool arrived;       /* since the flag was cleared */
    bool changed;       /* something was told */
    bool close_at_arrival, depart_at_once;
    size_t descriptors;
    char folder[64];
};

static inline void on_tell(void *user, enum listener_event event, const struct peer *peer,
                           const struct channel *channel, const struct error *error)
{
    struct hall *hall = user;
    (void)channel;
    hall->changed = true;
    switch (event) {
    case LISTENER_READY:
        hall->ready[hall->ready_count++] = *peer;
        break;
    case LISTENER_DENIED:
        hall->denied++;
        break;
    case LISTENER_FAILED:
        hall->failed++;
        hall->error = *error;
        break;
    case LISTENER_HEARD:
        hall->heard++;
        break;
    case LISTENER_SECURED:
        break;
    }
}

static inline void on_channel_ready(struct channel *channel, void *user)
{
    (void)channel;
    ((struct hall *)user)->changed = true;
}

static inline void on_arrived(void *user, const struct arrival *arrival)
{
    struct hall *hall = user;
    assert_true(hall->count < ARRIVALS);
    assert_non_null(arrival->channel);
    arrival->channel->ready = on_channel_ready;
    arrival->channel->user = hall;
    hall->arrivals[hall->count++] = *arrival;
    hall->arrived = true;
    if (hall->close_at_arrival)
        listener_close(hall->listener);
    if (hall->depart_at_once) {
        channel_free(arrival->channel, false);
        hall->arrivals[hall->count - 1].channel = NULL;
        listener_departed(hall->listener);
    }
}

static inline int set_up(void **state)
{
    struct hall *hall = calloc(1, sizeof(*hall));
    assert_non_null(hall);
    hall->descriptors = open_descriptors();
    assert_int_equal(loop_new(&hall->loop), 0);
    strcpy(hall->folder, "/tmp/test_listener.XXXXXX");
    assert_non_null(mkdtemp(hall->folder));
    *state = hall;
    return 0;
}

static inline int tear_down(void **state)
{
    struct hall *hall = *state;
    for (size_t i = 0; i < hall->count; i++)
        channel_free(hall->arrivals[i].channel, false);
    listener_free(hall->listener);
    assert_int_equal(loop_run(hall->loop), 0); /* nothing is left in it */
    loop_free(hall->loop);
    assert_int_equal(rmdir(hall->folder), 0);
    assert_int_equal(open_descriptors(), hall->descriptors);
    free(hall);
    return 0;
}

static inline int open_hall(struct hall *hall, struct error *error)
{
    const struct listener_calls calls = {.tell = on_tell, .arrived = on_arrived, .user = hall};
    return listener_new(hall->loop, &hall->options, &calls, &hall->listener, error);
}

static inline void begin(struct hall *hall)
{
    struct error error = {0};
    if (open_hall(hall, &error) < 0)
        fail_msg("%s", error.message);
}

static inline void settle(struct hall *hall)
{
    loop_run_for(hall->loop, 20 * NANOSECONDS_PER_MILLISECOND);
}

static inline void set_path(struct hall *hall, const char *name)
{
    hall->options.endpoint.kind = ENDPOINT_UNIX;
    snprintf(hall->options.endpoint.path, sizeof(hall->options.endpoint.path), "%s/%s",
             hall->folder, name);
}

/* A client of one of the places at which the hall listens. */
static inline int connect_to(const struct peer *peer, int type)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = peer_to_sockaddr(peer, &sockaddr);
    int fd = socket(sockaddr.ss_family, type | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sockaddr, length) < 0) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

static inline int visit(struct hall *hall)
{
    int fd = connect_to(&hall->ready[0], SOCK_STREAM);
    assert_true(fd >= 0);
    return fd;
}

static inline void depart(struct hall *hall, size_t i)
{
    channel_free(hall->arrivals[i].channel, false);
    hall->arrivals[i].channel = NULL;
    listener_departed(hall->listener);
}

static inline void expect_hello(struct hall *hall, size_t i, int fd)
{
    char bytes[16] = "";
    struct channel *channel = hall->arrivals[i].channel;
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    channel->readable = false;
    loop_run_until(hall->loop, &channel->readable);
    assert_int_equal(channel_read(channel, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(channel_write(channel, "answer", 6), 6);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 6);
}

static inline void seal(struct address_set *set, const char *text, const char *last)
{
    struct address address, end;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    assert_int_equal(address_parse(last, strlen(last), &end, NULL), 0);
    assert_int_equal(address_set_add(set, &address, end.value), 0);
    assert_int_equal(address_set_seal(set), 0);
}

#define LISTENER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
