/* A channel that speaks telnet over another one. libtelnet keeps the state of the protocol; here is
 * what waits to be sent or read, and which options we agree to. */
#include "talk/telnet.h"
#include "talk/telnet_lines.h"
#include "talk/telnet_options.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <libtelnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CHUNK_SIZE                                                                                 \
    ((size_t)16 << 10)              /* taken from the lower channel, or from the user, at once     \
                                     */
#define OUT_MOST ((size_t)64 << 10) /* answers that may wait before nothing more is read */
#define LINE_END_PATIENCE (20 * NANOSECONDS_PER_MILLISECOND)
#define OPTIONS 256

/* What is so for an option on one side, as far as libtelnet tells. */
struct side {
    bool on[OPTIONS];
    bool ending[OPTIONS]; /* we have asked for its end, and there is no answer yet */
};

struct telnet_channel {
    struct channel channel;
    struct loop *loop;
    struct channel *lower;
    telnet_t *telnet;
    telnet_telopt_t agreed[7];
    char terminal[64], user_name[64];
    unsigned columns, rows;
    void (*tell)(void *user, enum telnet_event event, const char *text);
    void *user;
    struct task start;
    bool initiate, started;

    struct side us, other;
    bool asking;                     /* it is we who began the negotiation that is being sent */
    unsigned char answer, answer_to; /* sent just now, in answer to something: command, option */

    struct telnet_lines lines;
    struct buffer out; /* for the lower channel */
    size_t sent;       /* of `out` */
    int write_failed;  /* -errno of the first write to the lower channel that failed */
    struct timer line_end;

    struct buffer in; /* for our reader */
    size_t taken;     /* of `in` */
    bool receiving;   /* in telnet_recv() */
    int read_failed;  /* CHANNEL_END, or -errno: after what is in `in` */
    char chunk[CHUNK_SIZE];
};

static struct telnet_channel *telnet_of(const struct channel *channel)
{
    return (struct telnet_channel *)channel;
}

/* ---- what waits to be sent ---- */

static size_t out_waiting(const struct telnet_channel *self)
{
    return self->out.length - self->sent;
}

/* Returns 0 when nothing waits any more, -EAGAIN, or another -errno. */
static int out_flush(struct telnet_channel *self)
{
    if (self->out.failed)
        self->write_failed = -ENOMEM;
    while (!self->write_failed && out_waiting(self)) {
        if (!self->lower->writable)
            return -EAGAIN;
        ssize_t put =
            channel_write(self->lower, self->out.data + self->sent, self->out.length - self->sent);
        if (put == -EAGAIN)
            self->lower->writable = false;
        else if (put < 0) {
            self->write_failed = (int)put;
            self->channel.error = self->lower->error;
        } else
            self->sent += (size_t)put;
    }
    if (self->write_failed)
        return self->write_failed;
    buffer_clear(&self->out);
    self->sent = 0;
    return 0;
}

/* The CR that was written last stands alone. */
static void end_cr(struct telnet_channel *self)
{
    telnet_lines_end_sent(&self->lines, &self->out);
    loop_timer_clear(self->loop, &self->line_end);
}

/* A CR at the end of a write is perhaps the first half of a line's end, if the second half comes
 * soon; a Return key is followed by nothing. */
static void line_end_due(struct timer *timer)
{
    struct telnet_channel *self = CONTAINER_OF(timer, struct telnet_channel, line_end);
    end_cr(self);
    out_flush(self);
}

static void encode(struct telnet_channel *self, const char *bytes, size_t length)
{
    loop_timer_clear(self->loop, &self->line_end);
    telnet_lines_send(&self->lines, self->us.on[TELNET_TELOPT_BINARY], bytes, length, &self->out);
    if (self->lines.sent_cr &&
        loop_timer_set(self->loop, &self->line_end, clock_monotonic() + LINE_END_PATIENCE))
        end_cr(self);
}

/* ---- options ---- */

static void tell(struct telnet_channel *self, enum telnet_event event, const char *text)
{
    if (self->tell)
        self->tell(self->user, event, text);
}

static void tell_negotiation(struct telnet_channel *self, const char *way, unsigned char command,
                             unsigned char option)
{
    static const char *const names[] = {"WILL", "WONT", "DO", "DONT"}; /* 251 to 254 */
    char name[TELNET_OPTION_SIZE], text[64];
    snprintf(text, sizeof(text), "%s %s %s", way, names[command - TELNET_WILL],
             telnet_option_format(option, name));
    tell(self, TELNET_NEGOTIATED, text);
}

static void send_size(struct telnet_channel *self)
{
    const char size[] = {(char)(self->columns >> 8), (char)self->columns, (char)(self->rows >> 8),
                         (char)self->rows};
    telnet_subnegotiation(self->telnet, TELNET_TELOPT_NAWS, size, sizeof(size));
}

/* libtelnet does not say what it refuses; but it answers. */
static void negotiation_sent(struct telnet_channel *self, unsigned char command,
                             unsigned char option)
{
    if (!self->asking && command == TELNET_WONT && !self->us.on[option])
        tell_negotiation(self, "RCVD", TELNET_DO, option);
    if (!self->asking && command == TELNET_DONT && !self->other.on[option])
        tell_negotiation(self, "RCVD", TELNET_WILL, option);
    if (self->asking && command == TELNET_WONT)
        self->us.ending[option] = true;
    if (self->asking && command == TELNET_DONT)
        self->other.ending[option] = true;
    if (!self->asking) {
        self->answer = command;
        self->answer_to = option;
    }
    tell_negotiation(self, "SENT", command, option);
}

static void set_us(struct telnet_channel *self, unsigned char option, bool on)
{
    self->us.on[option] = on;
    self->us.ending[option] = false;
    if (on && option == TELNET_TELOPT_NAWS)
        send_size(self);
}

static void set_other(struct telnet_channel *self, unsigned char option, bool on)
{
    self->other.on[option] = on;
    self->other.ending[option] = false;
    if (option == TELNET_TELOPT_ECHO)
        tell(self, on ? TELNET_ECHO_REMOTE : TELNET_ECHO_LOCAL, NULL);
    if (option == TELNET_TELOPT_SGA)
        tell(self, on ? TELNET_CHARACTERS : TELNET_LINES, NULL);
}

/* An option has another state now. When the other side confirms that we ended one (DONT after our
 * WONT), libtelnet 0.21 says WONT, as if it were about the other side's. */
static void negotiated(struct telnet_channel *self, unsigned char command, unsigned char option)
{
    bool answered = self->answer && self->answer_to == option;
    if (command == TELNET_WONT && !(answered && self->answer == TELNET_DONT) &&
        self->us.ending[option])
        command = TELNET_DONT;
    self->answer = 0;
    tell_negotiation(self, "RCVD", command, option);
    if (command == TELNET_DO || command == TELNET_DONT)
        set_us(self, option, command == TELNET_DO);
    else
        set_other(self, option, command == TELNET_WILL);
}

/* Only USER, and only who asks for it, or for everything, is told. */
static void send_user(struct telnet_channel *self, const struct telnet_environ_t *asked,
                      size_t count)
{
    bool wanted = count == 0;
    for (size_t i = 0; i < count; i++)
        wanted = wanted || (asked[i].type == TELNET_ENVIRON_VAR &&
                            (!asked[i].var[0] || strcmp(asked[i].var, "USER") == 0));
    /* telnet_begin_newenviron() of libtelnet 0.21 leaves the first byte out. */
    const char head[] = {TELNET_ENVIRON_IS,   TELNET_ENVIRON_VAR, 'U', 'S', 'E', 'R',
                         TELNET_ENVIRON_VALUE};
    char answer[sizeof(head) + sizeof(self->user_name)];
    size_t length = strlen(self->user_name);
    memcpy(answer, head, sizeof(head));
    memcpy(answer + sizeof(head), self->user_name, length);
    telnet_subnegotiation(self->telnet, TELNET_TELOPT_NEW_ENVIRON, answer,
                          wanted ? sizeof(head) + length : 1);
}

/* ---- libtelnet ---- */

static void take_sent(struct telnet_channel *self, const unsigned char *bytes, size_t length)
{
    bool negotiation =
        length == 3 && bytes[0] == TELNET_IAC && bytes[1] >= TELNET_WILL && bytes[1] <= TELNET_DONT;
    if (negotiation)
        end_cr(self); /* which would otherwise be torn apart */
    buffer_add(&self->out, bytes, length);
    if (negotiation)
        negotiation_sent(self, bytes[1], bytes[2]);
}

static void fail_protocol(struct telnet_channel *self, const char *message)
{
    if (!self->read_failed)
        self->read_failed = error_set(&self->channel.error, EPROTO, "telnet: %s", message);
}

static void take_event(telnet_t *telnet, telnet_event_t *event, void *user)
{
    struct telnet_channel *self = user;
    if (self->read_failed && (self->receiving || event->type != TELNET_EV_SEND))
        return; /* the rest of what failed */
    switch (event->type) {
    case TELNET_EV_DATA:
        telnet_lines_receive(&self->lines, self->other.on[TELNET_TELOPT_BINARY], event->data.buffer,
                             event->data.size, &self->in);
        break;
    case TELNET_EV_SEND:
        take_sent(self, (const unsigned char *)event->data.buffer, event->data.size);
        break;
    case TELNET_EV_WILL:
        negotiated(self, TELNET_WILL, event->neg.telopt);
        break;
    case TELNET_EV_WONT:
        negotiated(self, TELNET_WONT, event->neg.telopt);
        break;
    case TELNET_EV_DO:
        negotiated(self, TELNET_DO, event->neg.telopt);
        break;
    case TELNET_EV_DONT:
        negotiated(self, TELNET_DONT, event->neg.telopt);
        break;
    case TELNET_EV_TTYPE:
        if (event->ttype.cmd == TELNET_TTYPE_SEND && self->us.on[TELNET_TELOPT_TTYPE])
            telnet_ttype_is(telnet, self->terminal);
        break;
    case TELNET_EV_ENVIRON:
        if (event->environ.cmd == TELNET_ENVIRON_SEND && self->us.on[TELNET_TELOPT_NEW_ENVIRON])
            send_user(self, event->environ.values, event->environ.size);
        break;
    case TELNET_EV_COMPRESS: /* libtelnet begins with it whenever it is told to */
        fail_protocol(self, "the other side compresses what it says without having been asked to");
        break;
    case TELNET_EV_ERROR:
        fail_protocol(self, event->error.msg);
        break;
    default: /* commands and answers about options that nobody asked for */
        break;
    }
}

/* Calls telnet_negotiate(); what it sends is not an answer. */
static void ask(struct telnet_channel *self, unsigned char command, unsigned char option)
{
    self->asking = true;
    telnet_negotiate(self->telnet, command, option);
    self->asking = false;
}

static void start(struct telnet_channel *self)
{
    if (self->started)
        return;
    self->started = true;
    loop_cancel(self->loop, &self->start);
    if (!self->initiate)
        return;
    ask(self, TELNET_DO, TELNET_TELOPT_SGA);
    if (self->terminal[0])
        ask(self, TELNET_WILL, TELNET_TELOPT_TTYPE);
    if (self->columns && self->rows)
        ask(self, TELNET_WILL, TELNET_TELOPT_NAWS);
    if (self->user_name[0])
        ask(self, TELNET_WILL, TELNET_TELOPT_NEW_ENVIRON);
    out_flush(self);
}

static void start_run(struct task *task)
{
    start(CONTAINER_OF(task, struct telnet_channel, start));
}

/* ---- the channel ---- */

static ssize_t take_in(struct telnet_channel *self, void *bytes, size_t size)
{
    size_t length = self->in.length - self->taken;
    length = length < size ? length : size;
    memcpy(bytes, self->in.data + self->taken, length);
    self->taken += length;
    if (self->taken == self->in.length) {
        buffer_clear(&self->in);
        self->taken = 0;
    }
    return (ssize_t)length;
}

/* Takes one chunk from the lower channel. Returns 0 or -EAGAIN; failures are kept. */
static int receive(struct telnet_channel *self)
{
    if (out_waiting(self) > OUT_MOST) { /* it asks on and on, and does not read the answers */
        out_flush(self);
        if (out_waiting(self) > OUT_MOST)
            return -EAGAIN;
    }
    ssize_t got = channel_read(self->lower, self->chunk, sizeof(self->chunk));
    if (got == -EAGAIN) {
        self->lower->readable = false;
        return -EAGAIN;
    }
    if (got < 0) {
        telnet_lines_end_received(&self->lines, &self->in);
        self->read_failed = (int)got;
        self->channel.error = self->lower->error;
        return 0;
    }
    self->receiving = true;
    telnet_recv(self->telnet, self->chunk, (size_t)got);
    self->receiving = false;
    out_flush(self); /* the answers; when that fails, the next write says so */
    if (self->in.failed || self->out.failed)
        self->read_failed = -ENOMEM;
    return 0;
}

static ssize_t telnet_read(struct channel *channel, void *bytes, size_t size)
{
    struct telnet_channel *self = telnet_of(channel);
    start(self);
    for (;;) {
        if (self->in.length > self->taken)
            return take_in(self, bytes, size);
        if (self->read_failed)
            return self->read_failed;
        if (receive(self) == -EAGAIN)
            return -EAGAIN;
    }
}

static ssize_t telnet_write(struct channel *channel, const void *bytes, size_t length)
{
    struct telnet_channel *self = telnet_of(channel);
    start(self);
    int failed = out_flush(self);
    if (failed)
        return failed;
    length = length < CHUNK_SIZE ? length : CHUNK_SIZE;
    encode(self, bytes, length);
    failed = out_flush(self);
    return failed && failed != -EAGAIN ? failed : (ssize_t)length;
}

static int telnet_shut(struct channel *channel)
{
    struct telnet_channel *self = telnet_of(channel);
    end_cr(self);
    int failed = out_flush(self);
    if (failed)
        return failed;
    failed = channel_shut(self->lower);
    if (failed == -EAGAIN)
        self->lower->writable = false;
    else if (failed)
        channel->error = self->lower->error;
    return failed;
}

static size_t telnet_unsent(const struct channel *channel)
{
    const struct telnet_channel *self = telnet_of(channel);
    const struct channel *lower = self->lower;
    return out_waiting(self) + (lower->class->unsent ? lower->class->unsent(lower) : 0);
}

static void telnet_channel_free(struct channel *channel, bool abort)
{
    struct telnet_channel *self = telnet_of(channel);
    loop_cancel(self->loop, &self->start);
    loop_timer_clear(self->loop, &self->line_end);
    if (self->telnet)
        telnet_free(self->telnet);
    channel_free(self->lower, abort);
    buffer_release(&self->out);
    buffer_release(&self->in);
    free(self);
}

static const struct channel_class telnet_class = {
    .name = "telnet",
    .read = telnet_read,
    .write = telnet_write,
    .shut = telnet_shut,
    .unsent = telnet_unsent,
    .free = telnet_channel_free,
};

static void lower_ready(struct channel *lower, void *user)
{
    struct telnet_channel *self = user;
    if (lower->writable && out_flush(self) != -EAGAIN)
        self->channel.writable = true;
    if (lower->readable && out_waiting(self) <= OUT_MOST)
        self->channel.readable = true;
    self->channel.ready(&self->channel, self->channel.user);
}

static unsigned sixteen_bits(unsigned number)
{
    return number < 65536 ? number : 65535;
}

static void agree(struct telnet_channel *self, size_t i, unsigned char option, bool us, bool other)
{
    self->agreed[i] = (telnet_telopt_t){.telopt = option,
                                        .us = us ? TELNET_WILL : TELNET_WONT,
                                        .him = other ? TELNET_DO : TELNET_DONT};
}

int channel_telnet_new(struct loop *loop, struct channel *lower,
                       const struct telnet_options *options,
                       void (*tell_user)(void *user, enum telnet_event event, const char *text),
                       void *user, struct channel **ret_channel)
{
    struct telnet_channel *self = calloc(1, sizeof(*self));
    if (!self) {
        channel_free(lower, false);
        return -ENOMEM;
    }
    self->channel = (struct channel){.class = &telnet_class,
                                     .readable = true,
                                     .writable = true,
                                     .connected = lower->connected,
                                     .terminal = lower->terminal,
                                     .splice_in = -1,
                                     .splice_out = -1};
    self->loop = loop;
    self->lower = lower;
    self->tell = tell_user;
    self->user = user;
    self->initiate = options->initiate;
    self->start.run = start_run;
    self->line_end.due = line_end_due;
    snprintf(self->terminal, sizeof(self->terminal), "%s",
             options->terminal ? options->terminal : "");
    snprintf(self->user_name, sizeof(self->user_name), "%s", options->user ? options->user : "");
    self->columns = sixteen_bits(options->columns);
    self->rows = sixteen_bits(options->rows);
    agree(self, 0, TELNET_TELOPT_ECHO, false, true);
    agree(self, 1, TELNET_TELOPT_SGA, true, true);
    agree(self, 2, TELNET_TELOPT_BINARY, true, true);
    agree(self, 3, TELNET_TELOPT_TTYPE, self->terminal[0] != '\0', false);
    agree(self, 4, TELNET_TELOPT_NAWS, self->columns && self->rows, false);
    agree(self, 5, TELNET_TELOPT_NEW_ENVIRON, self->user_name[0] != '\0', false);
    self->agreed[6].telopt = -1;
    self->telnet = telnet_init(self->agreed, take_event, 0, self);
    if (!self->telnet) {
        telnet_channel_free(&self->channel, false);
        return -ENOMEM;
    }
    lower->ready = lower_ready;
    lower->user = self;
    /* The mark of a synch (RFC 854) is TCP's urgent byte, which would not be in the stream. */
    const int yes = 1;
    if (lower->splice_in >= 0)
        setsockopt(lower->splice_in, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof(yes));
    loop_defer(loop, &self->start);
    *ret_channel = &self->channel;
    return 0;
}

/* ---- for the one who sits at the terminal ---- */

void channel_telnet_set_raw(struct channel *channel, bool raw)
{
    struct telnet_channel *self = telnet_of(channel);
    if (self->lines.raw == raw)
        return;
    end_cr(self);
    telnet_lines_end_received(&self->lines, &self->in);
    self->lines.raw = raw;
}

void channel_telnet_resize(struct channel *channel, unsigned columns, unsigned rows)
{
    struct telnet_channel *self = telnet_of(channel);
    self->columns = sixteen_bits(columns);
    self->rows = sixteen_bits(rows);
    if (self->us.on[TELNET_TELOPT_NAWS]) {
        end_cr(self);
        send_size(self);
        out_flush(self);
    }
}

static int say_commands(struct error *error)
{
    char list[256];
    size_t length = 0;
    for (const struct telnet_command *row = telnet_commands; row->name; row++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s%s",
                                   length ? ", " : "", row->name, row->option ? " OPTION" : "");
    return error_set(error, EINVAL, "there are: %s", list);
}

static int send_negotiation(struct telnet_channel *self, unsigned char command, const char *word,
                            struct error *error)
{
    char name[TELNET_OPTION_SIZE];
    size_t length = strcspn(word, " \t");
    int option = telnet_option_find(word, length);
    if (option == TELNET_WORD_AMBIGUOUS)
        return error_set(error, EINVAL, "several options begin with that");
    if (option < 0)
        return error_set(error, EINVAL,
                         "an option is its name (BINARY, ECHO, SGA, TERMINAL-TYPE, NAWS, …) "
                         "or a number from 0 to 255");
    /* libtelnet 0.21 forgets to send what is asked for while an end is not confirmed. */
    if ((command == TELNET_DO && self->other.ending[option]) ||
        (command == TELNET_WILL && self->us.ending[option]))
        return error_set(error, EBUSY, "the other side has not yet confirmed the end of %s",
                         telnet_option_format((unsigned)option, name));
    ask(self, command, (unsigned char)option);
    return 0;
}

int channel_telnet_send(struct channel *channel, const char *words, struct error *error)
{
    struct telnet_channel *self = telnet_of(channel);
    words += strspn(words, " \t");
    size_t length = strcspn(words, " \t");
    int found = telnet_word_find(words, length, telnet_commands, sizeof(telnet_commands[0]));
    if (found < 0)
        return say_commands(error);
    const struct telnet_command *command = &telnet_commands[found];
    words += length;
    words += strspn(words, " \t");
    if (!command->option && *words)
        return error_set(error, EINVAL, "nothing follows %s", command->name);
    end_cr(self);
    if (command->option) {
        int failed = send_negotiation(self, command->code, words, error);
        if (failed)
            return failed;
    } else {
        telnet_iac(self->telnet, command->code);
    }
    int failed = out_flush(self);
    if (!failed || failed == -EAGAIN)
        return 0;
    return error_set(error, -failed, "%s", strerror(-failed));
}

static size_t list_options(const struct side *side, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < OPTIONS; i++) {
        char name[TELNET_OPTION_SIZE];
        if (side->on[i] && length < size)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length ? ", " : "",
                                       telnet_option_format(i, name));
    }
    return length;
}

const char *channel_telnet_status(const struct channel *channel,
                                  char text[static TELNET_STATUS_SIZE])
{
    const struct telnet_channel *self = telnet_of(channel);
    char us[TELNET_STATUS_SIZE / 2 - 32], other[TELNET_STATUS_SIZE / 2 - 32];
    list_options(&self->us, us, sizeof(us));
    list_options(&self->other, other, sizeof(other));
    snprintf(text, TELNET_STATUS_SIZE, "options of this side: %s; of the other: %s",
             us[0] ? us : "none", other[0] ? other : "none");
    return text;
}
