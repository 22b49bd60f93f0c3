/* The half-open scan: a SYN, to which a listener answers SYN|ACK and a closed port RST (RFC 9293
 * §3.10.7). This machine's TCP, which knows nothing of it, resets what has been opened. */
#include "probe/raw.h"

/* A SYN without an ACK, as in TCP's simultaneous open or a handshake that is split, carries nothing
 * that only a receiver of the probe can know, and on loopback our own probes come in like this. A
 * bare ACK says that a connection exists (RFC 9293 §3.10.7.4, RFC 5961 §4.2), which devices that
 * protect others from floods say of every port. Where somebody listens, SYN|ACK comes as well. */
static bool judge(const struct tcp_view *tcp, struct verdict *ret_verdict)
{
    if (tcp->flags & TCP_RST)
        *ret_verdict = (struct verdict){STATE_CLOSED, REASON_RESET};
    else if ((tcp->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
        *ret_verdict = (struct verdict){STATE_OPEN, REASON_SYN_ACK};
    else
        return false;
    return true;
}

static const struct technique technique = {.flags = TCP_SYN, .option = true, .judge = judge};

const struct prober_class prober_tcp_syn = {
    .name = "tcp-syn",
    .summary = "half-open: a SYN, answered by SYN|ACK or RST",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED},
    .stateless = true,
    .technique = &technique,
    RAW_PROBER_CALLS,
};
