/* What a line's end is on a telnet connection (RFC 854, RFC 1123 §3.3.1). Pure functions: CR LF is
 * "\n", CR NUL a lone CR, and an IAC among what is sent is doubled. In binary mode (RFC 856)
 * nothing else changes. */
#pragma once

#include "base/buffer.h"

struct telnet_lines {
    bool raw;         /* as channel_telnet_set_raw() has it */
    bool sent_cr;     /* the last byte given was a CR: what follows decides what it meant */
    bool received_cr; /* the last byte that came was a CR, and is not (or, raw: is) handed on */
};

/* Adds what the bytes are on the wire to `out`. */
void telnet_lines_send(struct telnet_lines *lines, bool binary, const char *bytes, size_t length,
                       struct buffer *out);
/* Nothing follows: the CR that was given last stands alone. */
void telnet_lines_end_sent(struct telnet_lines *lines, struct buffer *out);

/* Adds what bytes of the wire mean to `in`; IACs are taken out already. */
void telnet_lines_receive(struct telnet_lines *lines, bool binary, const char *bytes, size_t length,
                          struct buffer *in);
void telnet_lines_end_received(struct telnet_lines *lines, struct buffer *in);
