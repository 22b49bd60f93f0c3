/* The ACK scan: an ACK out of nowhere, which open and closed ports alike answer with RST (RFC 9293
 * §3.10.7.1, §3.10.7.2). It finds out what a firewall lets through, and nothing of who listens. */
#include "probe/raw.h"

static bool judge(const struct tcp_view *tcp, struct verdict *ret_verdict)
{
    if (!(tcp->flags & TCP_RST))
        return false;
    *ret_verdict = (struct verdict){STATE_UNFILTERED, REASON_RESET};
    return true;
}

static const struct technique technique = {.flags = TCP_ACK, .acknowledges = true, .judge = judge};

const struct prober_class prober_tcp_ack = {
    .name = "tcp-ack",
    .summary = "an ACK: RST when it gets through, whether or not somebody listens",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_UNFILTERED, .silence = STATE_FILTERED},
    .stateless = true,
    .technique = &technique,
    RAW_PROBER_CALLS,
};
