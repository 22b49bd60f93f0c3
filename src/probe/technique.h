/* A raw TCP technique: which flags a probe carries and what the answer means. One file in src/probe
 * and one row in src/probe/probe.def; all of it is a constant and a pure function. */
#pragma once

#include "net/packet.h"
#include "scan/prober.h"

struct verdict {
    enum port_state state;
    enum reason reason;
};

struct technique {
    uint8_t flags;     /* of the probe */
    bool option;       /* it carries an MSS option */
    bool acknowledges; /* the cookie stands in its acknowledgment number too */

    /* What `tcp`, whose cookie has been checked, says of the port. Returns false for a segment that
     * says nothing. */
    bool (*judge)(const struct tcp_view *tcp, struct verdict *ret_verdict);
};
