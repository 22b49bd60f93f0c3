/* The states of a port and the reasons for them, in nmap's words. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum port_state {
    STATE_SILENT = 0, /* nothing heard yet; never printed: it ends as another or undecided */
    STATE_OPEN = 1,
    STATE_CLOSED = 2,
    STATE_FILTERED = 3,
    STATE_UNFILTERED = 4,    /* reachable; whether anybody listens was not asked */
    STATE_OPEN_FILTERED = 5, /* one of the two: an open port would be as silent as a filtered one */
    STATE_COUNT,
};

/* "open", "closed", "filtered", "unfiltered", "open|filtered"; "undecided" */
const char *state_name(enum port_state state);

/* What --open shows: open, or one of the states that an open port may have. */
bool state_is_possibly_open(enum port_state state);

/* What a way of asking can find out besides open and filtered. */
struct state_words {
    enum port_state refused; /* what a refusal says: STATE_CLOSED or STATE_UNFILTERED */
    enum port_state silence; /* what silence after all tries says: STATE_FILTERED or
                                STATE_OPEN_FILTERED */
};

enum reason {
#define REASON(symbol, name, state, meaning) REASON_##symbol,
#include "scan/reason.def"
#undef REASON
    REASON_COUNT,
};

const char *reason_name(enum reason reason);      /* "syn-ack" */
enum port_state reason_state(enum reason reason); /* the state that it makes */
const char *reason_meaning(enum reason reason);   /* a sentence without a full stop */

/* What an ICMP (RFC 792, RFC 1812) or ICMPv6 (RFC 4443) error says about the port that it quotes.
 * Types and codes without a word of their own are REASON_DEST_UNREACH. */
enum reason reason_from_icmp(uint8_t type, uint8_t code);
enum reason reason_from_icmp6(uint8_t type, uint8_t code);
