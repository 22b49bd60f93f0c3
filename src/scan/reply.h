/* What a prober says about an index that it was asked about. */
#pragma once

#include "net/address.h"
#include "scan/state.h"

enum reply_kind {
    REPLY_ANSWER,  /* somebody answered: `state`, `reason` and perhaps `from` hold */
    REPLY_SILENCE, /* the attempt's time is over and nothing was heard */
    REPLY_FAILURE, /* this machine could not ask: `code` holds. Never a state of the port */
};

struct reply {
    uint64_t index;
    uint64_t position; /* of the probe, as submitted; 0 of a stateless prober */
    uint64_t rtt;      /* nanoseconds, of REPLY_ANSWER; 0: the prober does not know when it asked */
    uint64_t
        time; /* monotonic: when the answer came; of REPLY_ANSWER with `rtt` 0; 0: nothing came */
    uint64_t waited; /* monotonic: the probe did not leave before, although it was taken; or 0 */
    uint8_t tag;     /* of the probe that was answered */
    enum reply_kind kind;
    enum port_state state;
    enum reason reason;
    int code;            /* positive errno */
    struct address from; /* who said so when it was not the target (ICMP); else ADDRESS_NONE */
};
