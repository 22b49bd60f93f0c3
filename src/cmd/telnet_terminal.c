/* The terminal's side of a telnet session: a channel over standard input and output. */
#include "cmd/telnet_terminal.h"

#include "base/buffer.h"
#include "base/text.h"
#include "cmd/terminal_mode.h"
#include "talk/telnet.h"
#include "talk/telnet_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define TYPED_SIZE 4096 /* read from the terminal at once */

struct telnet_terminal {
    struct channel channel;
    struct loop *loop;
    struct channel *lower;  /* standard input and output */
    struct channel *telnet; /* the session, which is not ours */
    struct telnet_terminal_options options;
    char host[256];
    bool characters, echo; /* how the terminal shall be */
    bool server_echoes;
    bool prompting;
    bool escape_is_data;  /* "send escape": it is to be read next */
    struct buffer typed;  /* read from the terminal, and not yet handed on */
    struct task prompted; /* goes on with the prompt */
};

/* After a command of the prompt. */
enum next {
    NEXT_PROMPT, /* another one */
    NEXT_TALK,   /* back to the conversation */
    NEXT_QUIT,
};

static struct telnet_terminal *terminal_of(struct channel *channel)
{
    return (struct telnet_terminal *)channel;
}

/* Standard output may be a file: then the prompt does not belong there. */
static FILE *screen(void)
{
    return isatty(STDOUT_FILENO) ? stdout : stderr;
}

/* ---- how the terminal is ---- */

static void apply_mode(struct telnet_terminal *self)
{
    const struct terminal_mode mode = {.characters = self->characters,
                                       .echo = self->echo,
                                       .raw = self->characters && self->server_echoes,
                                       .escape = self->options.escape};
    channel_telnet_set_raw(self->telnet, mode.raw);
    if (!self->prompting)
        terminal_mode_set(&mode);
}

static void negotiated(void *user, enum telnet_event event, const char *text)
{
    struct telnet_terminal *self = user;
    bool echoes = event == TELNET_ECHO_REMOTE;
    switch (event) {
    case TELNET_ECHO_REMOTE:
    case TELNET_ECHO_LOCAL:
        self->server_echoes = echoes;
        self->echo = !echoes;
        break;
    case TELNET_CHARACTERS:
    case TELNET_LINES:
        self->characters = event == TELNET_CHARACTERS;
        break;
    case TELNET_NEGOTIATED:
        if (self->options.narrate)
            fprintf(stderr, "%s\r\n", text);
        return;
    }
    if (self->telnet)
        apply_mode(self);
}

static void narrate(void *user, enum telnet_event event, const char *text)
{
    (void)user;
    if (event == TELNET_NEGOTIATED)
        fprintf(stderr, "%s\n", text);
}

static void window_size(unsigned *columns, unsigned *rows)
{
    struct winsize size = {0};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

void telnet_terminal_resized(struct telnet_terminal *terminal)
{
    unsigned columns = 0, rows = 0;
    if (!terminal)
        return;
    window_size(&columns, &rows);
    if (columns && rows)
        channel_telnet_resize(terminal->telnet, columns, rows);
}

/* ---- commands of the prompt ---- */

static enum next do_quit(struct telnet_terminal *self, const char *words)
{
    (void)self;
    (void)words;
    return NEXT_QUIT;
}

static enum next do_status(struct telnet_terminal *self, const char *words)
{
    char options[TELNET_STATUS_SIZE], escape[TELNET_ESCAPE_SIZE], host[4 * sizeof(self->host) + 1];
    (void)words;
    text_escape(self->host, strlen(self->host), host, sizeof(host));
    fprintf(screen(),
            "Connected to %s.\nOperating in %s mode\n%s character echo\nTelnet %s\n"
            "Escape character is '%s'.\n",
            host, self->characters ? "single character" : "line", self->echo ? "Local" : "Remote",
            channel_telnet_status(self->telnet, options),
            telnet_escape_format(self->options.escape, escape));
    return NEXT_TALK;
}

static enum next do_send(struct telnet_terminal *self, const char *words)
{
    struct error error = {0};
    size_t length = strcspn(words, " ");
    if (!length) {
        fputs("need at least one argument for 'send' command\n'send ?' for help\n", screen());
        return NEXT_PROMPT;
    }
    if (strcmp(words, "?") == 0) {
        for (const struct telnet_command *row = telnet_commands; row->name; row++)
            fprintf(screen(), "%-5s%-11s%s\n", row->name, row->option ? "OPTION" : "",
                    row->meaning);
        fputs("escape          the escape character itself\n", screen());
        return NEXT_PROMPT;
    }
    if (length >= 2 && length <= 6 && strncmp(words, "escape", length) == 0) {
        self->escape_is_data = true;
        return NEXT_TALK;
    }
    if (channel_telnet_send(self->telnet, words, &error) == 0)
        return NEXT_TALK;
    fprintf(screen(), "?%s\n", error.message);
    return NEXT_PROMPT;
}

/* As telnet did before LINEMODE (RFC 858): the server echoes, and no go-aheads are awaited. */
static enum next do_mode(struct telnet_terminal *self, const char *words)
{
    static const struct {
        const char *name;
        const char *negotiations[2];
        bool characters;
    } modes[] = {{"character", {"do sga", "do echo"}, true},
                 {"line", {"dont echo", "dont sga"}, false},
                 {NULL, {NULL, NULL}, false}};
    struct error error = {0};
    int found = telnet_word_find(words, strlen(words), modes, sizeof(modes[0]));
    if (found < 0) {
        fputs("format is:  'mode Mode', where 'Mode' is one of:\n"
              "character       send each key at once, and let the server echo\n"
              "line            send whole lines, and echo here\n",
              screen());
        return NEXT_PROMPT;
    }
    for (size_t i = 0; i < 2; i++) {
        if (channel_telnet_send(self->telnet, modes[found].negotiations[i], &error)) {
            fprintf(screen(), "?%s\n", error.message);
            return NEXT_PROMPT;
        }
    }
    self->characters = modes[found].characters;
    self->echo = !self->characters;
    apply_mode(self);
    return NEXT_TALK;
}

static enum next do_suspend(struct telnet_terminal *self, const char *words)
{
    (void)self;
    (void)words;
    terminal_mode_suspend();
    telnet_terminal_resized(self);
    return NEXT_TALK;
}

static enum next do_help(struct telnet_terminal *self, const char *words);

static const struct {
    const char *name;
    enum next (*run)(struct telnet_terminal *self, const char *words);
    const char *meaning;
} commands[] = {
    {"close", do_quit, "close the connection"},
    {"mode", do_mode, "send lines or single characters ('mode ?' for more)"},
    {"quit", do_quit, "close the connection and exit"},
    {"send", do_send, "send a command of the telnet protocol ('send ?' for more)"},
    {"status", do_status, "say what the connection is like"},
    {"z", do_suspend, "suspend this program"},
    {"help", do_help, "print this"},
    {"?", do_help, "print this"},
    {NULL, NULL, NULL},
};

static enum next do_help(struct telnet_terminal *self, const char *words)
{
    (void)self;
    (void)words;
    fputs("Commands may be abbreviated.  Commands are:\n", screen());
    for (size_t i = 0; commands[i].name; i++)
        fprintf(screen(), "%-16s%s\n", commands[i].name, commands[i].meaning);
    return NEXT_PROMPT;
}

static enum next run_command(struct telnet_terminal *self, char *line)
{
    char *end = line + strlen(line);
    while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    line += strspn(line, " \t");
    if (!*line)
        return NEXT_TALK;
    size_t length = strcspn(line, " \t");
    int found = telnet_word_find(line, length, commands, sizeof(commands[0]));
    if (found >= 0)
        return commands[found].run(self, line + length + strspn(line + length, " \t"));
    fputs(found == TELNET_WORD_AMBIGUOUS ? "?Ambiguous command\n" : "?Invalid command\n", screen());
    return NEXT_PROMPT;
}

/* ---- the prompt ---- */

static void show_prompt(void)
{
    fputs("telnet> ", screen());
    fflush(screen());
}

static void prompt_begin(struct telnet_terminal *self)
{
    self->prompting = true;
    terminal_mode_pause();
    fputc('\n', screen());
    show_prompt();
    if (!self->echo && self->typed.length) { /* typed ahead, which nobody has shown */
        char shown[256];
        text_escape(self->typed.data, strcspn(self->typed.data, "\r\n"), shown, sizeof(shown));
        fprintf(screen(), "%s%s", shown, strpbrk(self->typed.data, "\r\n") ? "\n" : "");
        fflush(screen());
    }
    loop_defer(self->loop, &self->prompted);
}

static void prompt_end(struct telnet_terminal *self)
{
    self->prompting = false;
    apply_mode(self);
    self->channel.readable = self->channel.writable = true;
    self->channel.ready(&self->channel, self->channel.user);
}

/* Reads on from the terminal. Returns as a channel's read does. */
static ssize_t read_typed(struct telnet_terminal *self)
{
    char bytes[TYPED_SIZE];
    ssize_t got = channel_read(self->lower, bytes, sizeof(bytes));
    if (got == -EAGAIN)
        self->lower->readable = false;
    if (got > 0)
        buffer_add(&self->typed, bytes, (size_t)got);
    return self->typed.failed ? -ENOMEM : got;
}

/* The line that has been typed. Returns false when it is not complete. */
static bool take_line(struct telnet_terminal *self, char *line, size_t size)
{
    if (!self->typed.length)
        return false;
    size_t length = 0;
    while (length < self->typed.length && !strchr("\r\n", self->typed.data[length]))
        length++;
    if (length == self->typed.length)
        return false;
    snprintf(line, size, "%.*s", (int)length, self->typed.data);
    buffer_consume(&self->typed, length + 1);
    return true;
}

static void prompt_go_on(struct task *task)
{
    struct telnet_terminal *self = CONTAINER_OF(task, struct telnet_terminal, prompted);
    char line[TYPED_SIZE];
    for (;;) {
        if (!take_line(self, line, sizeof(line))) {
            ssize_t got = read_typed(self);
            if (got == -EAGAIN)
                return;
            if (got < 0) { /* Ctrl-D, or the terminal is gone */
                fputc('\n', screen());
                self->options.quit(self->options.context);
                return;
            }
            continue;
        }
        enum next next = run_command(self, line);
        if (next == NEXT_QUIT)
            self->options.quit(self->options.context);
        else if (next == NEXT_TALK)
            prompt_end(self);
        else
            show_prompt();
        if (next != NEXT_PROMPT)
            return;
    }
}

/* ---- the channel ---- */

/* At the beginning of a line Ctrl-D is a key like others, which the server may want; without a
 * terminal any more it is the end. */
static ssize_t end_of_file(struct telnet_terminal *self)
{
    struct termios now;
    if (tcgetattr(STDIN_FILENO, &now) < 0 || !(now.c_lflag & ICANON))
        return CHANNEL_END;
    buffer_add_character(&self->typed, (char)now.c_cc[VEOF]);
    return self->typed.failed ? -ENOMEM : 1;
}

static ssize_t terminal_read(struct channel *channel, void *bytes, size_t size)
{
    struct telnet_terminal *self = terminal_of(channel);
    if (self->prompting)
        return -EAGAIN;
    if (self->escape_is_data) {
        self->escape_is_data = false;
        *(char *)bytes = (char)self->options.escape;
        return 1;
    }
    if (!self->typed.length) {
        ssize_t got = read_typed(self);
        if (got == CHANNEL_END)
            got = end_of_file(self);
        if (got < 0)
            return got;
    }
    size_t length = self->typed.length < size ? self->typed.length : size;
    const char *escape =
        self->options.escape < 0 ? NULL : memchr(self->typed.data, self->options.escape, length);
    if (escape == self->typed.data) {
        buffer_consume(&self->typed, 1);
        prompt_begin(self);
        return -EAGAIN;
    }
    if (escape)
        length = (size_t)(escape - self->typed.data);
    memcpy(bytes, self->typed.data, length);
    buffer_consume(&self->typed, length);
    return (ssize_t)length;
}

static ssize_t terminal_write(struct channel *channel, const void *bytes, size_t length)
{
    struct telnet_terminal *self = terminal_of(channel);
    if (self->prompting)
        return -EAGAIN;
    ssize_t put = channel_write(self->lower, bytes, length);
    if (put == -EAGAIN)
        self->lower->writable = false;
    return put;
}

static int terminal_shut(struct channel *channel)
{
    return channel_shut(terminal_of(channel)->lower);
}

static void terminal_free(struct channel *channel, bool abort)
{
    struct telnet_terminal *self = terminal_of(channel);
    terminal_mode_end();
    loop_cancel(self->loop, &self->prompted);
    channel_free(self->lower, abort);
    buffer_release(&self->typed);
    free(self);
}

static const struct channel_class terminal_class = {
    .name = "telnet terminal",
    .read = terminal_read,
    .write = terminal_write,
    .shut = terminal_shut,
    .free = terminal_free,
};

static void lower_ready(struct channel *lower, void *user)
{
    struct telnet_terminal *self = user;
    if (self->prompting) {
        if (lower->readable)
            loop_defer(self->loop, &self->prompted);
        return;
    }
    self->channel.readable = self->channel.readable || lower->readable;
    self->channel.writable = self->channel.writable || lower->writable;
    self->channel.ready(&self->channel, self->channel.user);
}

/* ---- beginning ---- */

static int terminal_new(struct loop *loop, const struct telnet_terminal_options *options,
                        struct channel **standard, struct telnet_terminal **ret_terminal)
{
    struct telnet_terminal *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    self->channel = (struct channel){.class = &terminal_class,
                                     .readable = true,
                                     .writable = true,
                                     .terminal = true,
                                     .splice_in = -1,
                                     .splice_out = -1};
    self->loop = loop;
    self->lower = *standard;
    self->options = *options;
    snprintf(self->host, sizeof(self->host), "%s", options->host);
    self->echo = true;
    self->prompted.run = prompt_go_on;
    self->lower->ready = lower_ready;
    self->lower->user = self;
    *standard = &self->channel;
    *ret_terminal = self;
    return 0;
}

/* Only what RFC 1091 allows in a name. */
static const char *terminal_type(void)
{
    const char *type = getenv("TERM");
    if (!type || !*type || strlen(type) > 40)
        return NULL;
    for (const char *c = type; *c; c++) {
        if (*c <= ' ' || *c >= 127)
            return NULL;
    }
    return type;
}

int telnet_terminal_begin(struct loop *loop, const struct telnet_terminal_options *options,
                          struct channel **standard, struct channel **remote,
                          struct telnet_terminal **ret_terminal)
{
    struct telnet_terminal *self = NULL;
    struct telnet_options telnet = {.user = options->user, .initiate = options->initiate};
    struct channel *channel = NULL;
    int failed = 0;
    if ((*standard)->terminal) {
        telnet.terminal = terminal_type();
        window_size(&telnet.columns, &telnet.rows);
        failed = terminal_new(loop, options, standard, &self);
    }
    if (!failed) {
        failed = channel_telnet_new(loop, *remote, &telnet,
                                    self               ? negotiated
                                    : options->narrate ? narrate
                                                       : NULL,
                                    self, &channel);
        *remote = channel;
    }
    if (failed) {
        channel_free(*standard, true);
        channel_free(*remote, true);
        *standard = *remote = NULL;
        return failed;
    }
    if (self) {
        self->telnet = channel;
        terminal_mode_begin();
        apply_mode(self);
    }
    if (options->binary)
        channel_telnet_send(channel, "do binary", NULL);
    if (options->binary || options->binary_output)
        channel_telnet_send(channel, "will binary", NULL);
    *ret_terminal = self;
    return 0;
}

/* ---- the escape character ---- */

int telnet_escape_parse(const char *word, int *ret_escape, struct error *error)
{
    const unsigned char *text = (const unsigned char *)word;
    if (!*word || strcmp(word, "none") == 0)
        *ret_escape = -1;
    else if (text[0] == '^' && text[1] == '?' && !text[2])
        *ret_escape = 0x7f;
    else if (text[0] == '^' && text[1] >= '@' && text[1] <= 'z' && !text[2])
        *ret_escape = text[1] & 0x1f;
    else if (text[0] < 0x80 && !text[1])
        *ret_escape = text[0];
    else
        return error_set(error, EINVAL,
                         "an escape character is one character, one with Ctrl (^]), or none");
    return 0;
}

const char *telnet_escape_format(int escape, char text[static TELNET_ESCAPE_SIZE])
{
    if (escape < 0)
        snprintf(text, TELNET_ESCAPE_SIZE, "none");
    else if (escape < 0x20 || escape == 0x7f)
        snprintf(text, TELNET_ESCAPE_SIZE, "^%c", escape ^ 0x40);
    else
        snprintf(text, TELNET_ESCAPE_SIZE, "%c", escape);
    return text;
}
