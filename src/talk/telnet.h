/* The telnet protocol (RFC 854, RFC 855, RFC 1143) by libtelnet: a channel over another one that
 * carries what is said and keeps the negotiation to itself. */
#pragma once

#include "talk/channel.h"

struct telnet_options {
    const char
        *terminal;    /* what TERMINAL-TYPE tells (RFC 1091), "xterm"; NULL: refuse the option */
    const char *user; /* what NEW-ENVIRON tells as USER (RFC 1572); NULL: refuse the option */
    unsigned columns, rows; /* what NAWS tells (RFC 1073); 0: refuse the option */
    bool initiate;          /* offer options before the server asks, as on port 23 */
};

enum telnet_event {
    TELNET_ECHO_REMOTE, /* the server echoes (ECHO): the terminal must not */
    TELNET_ECHO_LOCAL,  /* it does not: the terminal echoes */
    TELNET_CHARACTERS,  /* the server takes characters one by one (SUPPRESS-GO-AHEAD) */
    TELNET_LINES,       /* whole lines */
    TELNET_NEGOTIATED,  /* `text` says what was received or sent about an option: "RCVD DO NAWS",
                           "SENT WILL NAWS". Refusals of what we asked for are not among them */
};

/* A session over `lower`, which it takes (on failure too). `tell` may be NULL; it is called while
 * the channel is read or written, and by the calls below. Writes carry what the user means: "\n"
 * becomes CR LF, a lone CR is followed by NUL, IAC is doubled; in binary mode (RFC 856) nothing but
 * IAC changes. Reads give the reverse. What the lower channel does not take yet is held, and until
 * it has taken it write() says -EAGAIN. Compression that was not asked for is an error (-EPROTO).
 * Returns 0 or -ENOMEM. */
int channel_telnet_new(struct loop *loop, struct channel *lower,
                       const struct telnet_options *options,
                       void (*tell)(void *user, enum telnet_event event, const char *text),
                       void *user, struct channel **ret_channel);

/* A raw terminal is at our end, and the server's own terminal line is what it talks to: line feeds
 * and carriage returns are keys and movements of the cursor, and pass as they are; only the NUL
 * behind a lone CR is added and taken away. */
void channel_telnet_set_raw(struct channel *channel, bool raw);

/* The window has another size. */
void channel_telnet_resize(struct channel *channel, unsigned columns, unsigned rows);

/* Sends a command of telnet_options.h, "ayt", "brk", "do NAME" …: the words may be abbreviated as
 * long as one is meant, options may be numbers. "synch" has no urgent mark of TCP, which a channel
 * cannot give. Returns 0; -EINVAL with an error that lists what there is; -EBUSY when the other
 * side has not yet said that it ended the option; or another -errno. */
int channel_telnet_send(struct channel *channel, const char *words, struct error *error);

/* One line for "status": which options are on, on which side. Returns `text`. */
#define TELNET_STATUS_SIZE 512
const char *channel_telnet_status(const struct channel *channel,
                                  char text[static TELNET_STATUS_SIZE]);
