/* Bytes in quantity: written to a descriptor or to connections, and taken from them. */
#include "talkload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* Where the bytes come from. */
struct origin {
    const unsigned char *pattern;
    int file;
    bool copy;
};

static struct origin origin_open(const struct load *load)
{
    struct origin origin = {.pattern = load_pattern(), .copy = load->copy};
    origin.file = load_pattern_file(origin.pattern);
    return origin;
}

/* One block's worth from `offset` on, and at most `left`. Returns like write(). */
static ssize_t origin_send(const struct origin *origin, int to, uint64_t offset, uint64_t left,
                           bool is_pipe)
{
    size_t place = offset % LOAD_PERIOD;
    size_t size = left < LOAD_BLOCK ? (size_t)left : LOAD_BLOCK;
    if (origin->copy)
        return write(to, origin->pattern + place, size);
    if (size > LOAD_PERIOD - place)
        size = LOAD_PERIOD - place;
    off_t from = (off_t)place;
    if (is_pipe)
        return splice(origin->file, &from, to, NULL, size, 0);
    return sendfile(to, origin->file, &from, size);
}

void load_fill(const struct load *load)
{
    struct origin origin = origin_open(load);
    bool is_pipe = lseek(STDOUT_FILENO, 0, SEEK_CUR) < 0 && errno == ESPIPE;
    for (uint64_t sent = 0; sent < load->bytes;) {
        ssize_t length = origin_send(&origin, STDOUT_FILENO, sent, load->bytes - sent, is_pipe);
        if (length < 0)
            load_fail("writing");
        sent += (uint64_t)length;
    }
}

static void tell(FILE *file, uint64_t bytes, uint64_t began, uint64_t ended)
{
    fprintf(file, "{\"bytes\":%" PRIu64 ",\"began\":%" PRIu64 ",\"ended\":%" PRIu64 "}\n", bytes,
            began, ended);
    fflush(file);
}

void load_drain(const struct load *load)
{
    const unsigned char *pattern = load->verify ? load_pattern() : NULL;
    char *buffer = malloc(LOAD_BLOCK);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!buffer || null < 0)
        load_fail("drain");
    uint64_t taken = 0, began = 0;
    for (;;) {
        ssize_t length = -1;
        if (!load->verify)
            length = splice(STDIN_FILENO, NULL, null, NULL, LOAD_BLOCK, SPLICE_F_MOVE);
        if (length < 0)
            length = read(STDIN_FILENO, buffer, LOAD_BLOCK);
        if (length < 0)
            load_fail("reading");
        if (length == 0)
            break;
        if (load->verify && !load_matches(pattern, taken, buffer, (size_t)length))
            load_wrong("wrong bytes in the %zd after %" PRIu64, length, taken);
        if (taken == 0)
            began = load_now();
        taken += (uint64_t)length;
    }
    tell(stderr, taken, began, load_now());
    if (taken != load->bytes)
        load_wrong("%" PRIu64 " bytes came, not %" PRIu64, taken, load->bytes);
}

/* ---- connections ---- */

struct stream {
    int fd;
    uint64_t offset, size;
};

/* Sends what goes. True when nothing more is to be sent. */
static bool send_on(const struct origin *origin, struct stream *stream)
{
    while (stream->offset < stream->size) {
        ssize_t length =
            origin_send(origin, stream->fd, stream->offset, stream->size - stream->offset, false);
        if (length < 0 && (errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN))
            return false;
        if (length < 0)
            load_fail("sending");
        stream->offset += (uint64_t)length;
    }
    shutdown(stream->fd, SHUT_WR);
    return true;
}

static uint64_t share_of(const struct load *load, uint32_t number)
{
    uint64_t share = load->bytes / load->parallel;
    return number == 0 ? load->bytes - share * (load->parallel - 1) : share;
}

static bool at_end(int fd)
{
    char byte;
    ssize_t length = recv(fd, &byte, 1, 0);
    return length == 0 || (length < 0 && errno != EAGAIN);
}

/* Ends when the other side has closed all connections. */
void load_source(const struct load *load)
{
    struct origin origin = origin_open(load);
    int epoll = load_epoll();
    struct stream *streams = calloc(load->parallel, sizeof *streams);
    if (!streams)
        load_fail("memory");
    uint64_t began = load_now();
    for (uint32_t i = 0; i < load->parallel; i++) {
        streams[i] = (struct stream){load_connect(load), 0, share_of(load, i)};
        load_watch(epoll, streams[i].fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, i);
    }
    uint64_t sent_at = 0;
    for (uint32_t sending = load->parallel, open = load->parallel; open > 0;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct stream *stream = &streams[events[i].data.u32];
            if (stream->fd < 0)
                continue;
            bool was_sending = stream->offset < stream->size;
            if (was_sending && send_on(&origin, stream) && --sending == 0)
                sent_at = load_now();
            if (stream->offset == stream->size && at_end(stream->fd)) {
                close(stream->fd);
                stream->fd = -1;
                open--;
            }
        }
    }
    tell(stdout, load->bytes, began, sent_at);
}

struct sink {
    const struct load *load;
    int epoll, listener;
    const unsigned char *pattern;
    char *buffer;
    struct stream *streams;
    uint32_t came, ended;
    uint64_t began, taken, last; /* `last` is when the last byte came */
};

static void sink_accept(struct sink *sink)
{
    int block = LOAD_BLOCK;
    for (int fd; sink->came < sink->load->parallel && (fd = load_accept(sink->listener)) >= 0;) {
        /* It is not woken for less, but for the end: waking costs more than taking. */
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &block, sizeof block);
        sink->streams[sink->came].fd = fd;
        load_watch(sink->epoll, fd, EPOLLIN | EPOLLRDHUP, sink->came++);
        sink->began = sink->began ? sink->began : load_now();
    }
}

/* Takes what is there. MSG_TRUNC has the kernel drop the bytes uncopied. */
static void sink_take(struct sink *sink, struct stream *stream)
{
    bool verify = sink->load->verify;
    for (;;) {
        ssize_t length = verify ? recv(stream->fd, sink->buffer, LOAD_BLOCK, 0)
                                : recv(stream->fd, NULL, LOAD_BLOCK, MSG_TRUNC);
        if (length < 0 && errno == EAGAIN)
            return;
        if (length < 0)
            load_fail("receiving");
        if (length == 0)
            break;
        if (verify && !load_matches(sink->pattern, stream->offset, sink->buffer, (size_t)length))
            load_wrong("wrong bytes in the %zd after %" PRIu64, length, stream->offset);
        stream->offset += (uint64_t)length;
        sink->taken += (uint64_t)length;
        if (sink->taken == sink->load->bytes)
            sink->last = load_now();
    }
    close(stream->fd);
    stream->fd = -1;
    sink->ended++;
}

/* Ends when all bytes have come; in order to verify, when all connections have ended, too. */
void load_sink(const struct load *load)
{
    struct sink sink = {.load = load, .epoll = load_epoll(), .listener = load_listen(load)};
    sink.pattern = load->verify ? load_pattern() : NULL;
    sink.buffer = malloc(LOAD_BLOCK);
    sink.streams = calloc(load->parallel, sizeof *sink.streams);
    if (!sink.buffer || !sink.streams)
        load_fail("memory");
    load_watch(sink.epoll, sink.listener, EPOLLIN, UINT32_MAX);
    while (sink.ended < load->parallel && (load->verify || sink.taken < load->bytes)) {
        struct epoll_event events[64];
        int count = epoll_wait(sink.epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            uint32_t number = events[i].data.u32;
            if (number == UINT32_MAX)
                sink_accept(&sink);
            else if (sink.streams[number].fd >= 0)
                sink_take(&sink, &sink.streams[number]);
        }
    }
    tell(stdout, sink.taken, sink.began, sink.last);
    if (sink.taken != load->bytes)
        load_wrong("%" PRIu64 " bytes came, not %" PRIu64, sink.taken, load->bytes);
}
