/* The window scan: an ACK out of nowhere, which open and closed ports alike answer with RST (RFC
 * 9293 §3.10.7.1, §3.10.7.2). A few stacks give the listener's receive window in it and 0
 * elsewhere; with all others every port looks closed. */
#include "probe/raw.h"

static bool judge(const struct tcp_view *tcp, struct verdict *ret_verdict)
{
    if (!(tcp->flags & TCP_RST))
        return false;
    *ret_verdict = (struct verdict){tcp->window ? STATE_OPEN : STATE_CLOSED, REASON_RESET};
    return true;
}

static const struct technique technique = {.flags = TCP_ACK, .acknowledges = true, .judge = judge};

const struct prober_class prober_tcp_window = {
    .name = "tcp-window",
    .summary = "an ACK: RST with a window when open, without one when closed",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED},
    .stateless = true,
    .technique = &technique,
    RAW_PROBER_CALLS,
};
