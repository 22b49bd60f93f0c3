/* The telnet protocol (RFC 854, RFC 855, RFC 1143) by libtelnet: a channel over another one that
 * carries what is said and keeps the negotiation to itself. */
#pragma once

#include "talk/channel.h"

struct telnet_options {
    const char
        *terminal; /* what TERMINAL-TYPE tells (RFC 1091), "xterm"; NULL: refuse the option */
    unsigned columns, rows; /* what NAWS tells (RFC 1073); 0: refuse the option */
    bool initiate;          /* offer options before the server asks, as on port 23 */
};

enum telnet_event {
    TELNET_ECHO_REMOTE, /* the server echoes: the terminal must not (character at a time) */
    TELNET_ECHO_LOCAL,  /* the terminal echoes (line by line) */
    TELNET_NEGOTIATED,  /* an option was agreed on or refused: `text` says it, "RCVD DO NAWS" */
};

/* A session over `lower`, which it takes (on failure too). `tell` may be NULL; it is called while
 * the channel is read or written. Writes carry what the user means: "\n" becomes CR LF, a lone CR
 * is followed by NUL, IAC is doubled; in binary mode (RFC 856) nothing but IAC changes. Reads give
 * the reverse. Returns 0 or -ENOMEM. */
int channel_telnet_new(struct loop *loop, struct channel *lower,
                       const struct telnet_options *options,
                       void (*tell)(void *user, enum telnet_event event, const char *text),
                       void *user, struct channel **ret_channel);

/* The window has another size. */
void channel_telnet_resize(struct channel *channel, unsigned columns, unsigned rows);

/* Sends a command: "ao", "ayt", "brk", "ec", "el", "ga", "ip", "nop", "synch", "eof", "abort",
 * "susp", "eor", "do NAME", "dont NAME", "will NAME", "wont NAME" (names or numbers of options),
 * "escape" is the caller's. Returns 0, -EINVAL with an error that lists what there is, or another
 * -errno. */
int channel_telnet_send(struct channel *channel, const char *words, struct error *error);

/* One line for "status": which options are on, on which side. Returns `text`. */
#define TELNET_STATUS_SIZE 512
const char *channel_telnet_status(const struct channel *channel,
                                  char text[static TELNET_STATUS_SIZE]);
