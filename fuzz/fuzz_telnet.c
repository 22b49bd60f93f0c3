/* Fuzzing of telnet sessions: a hostile server says the input in segments, whose lengths come from
 * it too. The first byte says how the session is begun. Whatever comes, what is read is not more
 * than what was said, and reading it whole gives what reading it in pieces gives. */
#include "base/buffer.h"
#include "talk/telnet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The server: a channel that says `bytes`, `segment` at a time, and hears everything. */
struct server {
    struct channel channel;
    const uint8_t *bytes;
    size_t length, said, segment;
    struct buffer heard;
    bool shut;
};

static ssize_t server_read(struct channel *channel, void *bytes, size_t size)
{
    struct server *self = (struct server *)channel;
    size_t length = self->length - self->said;
    if (!length)
        return CHANNEL_END;
    length = length < size ? length : size;
    length = self->segment && self->segment < length ? self->segment : length;
    memcpy(bytes, self->bytes + self->said, length);
    self->said += length;
    return (ssize_t)length;
}

static ssize_t server_write(struct channel *channel, const void *bytes, size_t length)
{
    struct server *self = (struct server *)channel;
    require(!self->shut && length > 0);
    buffer_add(&self->heard, bytes, length);
    return (ssize_t)length;
}

static int server_shut(struct channel *channel)
{
    ((struct server *)channel)->shut = true;
    return 0;
}

static void server_free(struct channel *channel, bool abort)
{
    (void)channel; /* is on the stack */
    (void)abort;
}

static const struct channel_class server_class = {
    .name = "server",
    .read = server_read,
    .write = server_write,
    .shut = server_shut,
    .free = server_free,
};

/* Says something back at each event, as a terminal does. */
static void tell(void *user, enum telnet_event event, const char *text)
{
    struct channel *const *channel = user;
    char status[TELNET_STATUS_SIZE];
    require((event == TELNET_NEGOTIATED) == (text != NULL));
    require(!text || (strlen(text) > 9 && strlen(text) < 64));
    if (*channel) {
        channel_telnet_status(*channel, status);
        if (event != TELNET_NEGOTIATED)
            channel_telnet_set_raw(*channel, event == TELNET_ECHO_REMOTE);
    }
}

/* One session. What was read is added to `got`, what the server heard to `heard`; returns how it
 * ended. */
static ssize_t talk(struct loop *loop, uint8_t how, const uint8_t *bytes, size_t length,
                    size_t segment, struct buffer *got, struct buffer *heard)
{
    struct server server = {.channel = {.class = &server_class, .readable = true, .writable = true},
                            .bytes = bytes,
                            .length = length,
                            .segment = segment};
    const struct telnet_options options = {.terminal = how & 1 ? "xterm" : NULL,
                                           .user = how & 2 ? "user" : NULL,
                                           .columns = how & 4 ? 80 : 0,
                                           .rows = 24,
                                           .initiate = how & 8};
    struct channel *channel = NULL;
    char block[97];
    ssize_t r;
    require(channel_telnet_new(loop, &server.channel, &options, tell, &channel, &channel) == 0);
    if (how & 16) {
        channel_telnet_send(channel, "do echo", NULL);
        channel_telnet_send(channel, "will sga", NULL);
        channel_telnet_send(channel, "wont sga", NULL);
    }
    while ((r = channel_read(channel, block, sizeof(block))) > 0)
        buffer_add(got, block, (size_t)r);
    require(r == CHANNEL_END || r == -EPROTO);
    require(channel_write(channel, "a\n\xff\r", 4) == 4);
    channel_telnet_resize(channel, 100, 255);
    require(channel_shut(channel) == 0 && server.shut);
    channel_free(channel, false);
    *heard = server.heard;
    require(!got->failed && !heard->failed && got->length <= length);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct buffer whole = {0}, pieces = {0}, heard_whole = {0}, heard_pieces = {0};
    struct loop *loop;
    if (length < 2)
        return 0;
    require(loop_new(&loop) == 0);
    ssize_t one = talk(loop, bytes[0], bytes + 2, length - 2, 0, &whole, &heard_whole);
    ssize_t two =
        talk(loop, bytes[0], bytes + 2, length - 2, (size_t)bytes[1] + 1, &pieces, &heard_pieces);
    require(one == two && whole.length == pieces.length &&
            heard_whole.length == heard_pieces.length);
    require(!whole.length || memcmp(whole.data, pieces.data, whole.length) == 0);
    require(memcmp(heard_whole.data, heard_pieces.data, heard_whole.length) == 0);
    buffer_release(&whole);
    buffer_release(&pieces);
    buffer_release(&heard_whole);
    buffer_release(&heard_pieces);
    loop_free(loop);
    return 0;
}
