/* The FIN scan: a closed port answers any segment with RST, a listener drops one without SYN, ACK
 * and RST (RFC 9293 §3.10.7.1, §3.10.7.2). Some stacks reset both, which makes every port closed.
 */
#include "probe/raw.h"

static bool judge(const struct tcp_view *tcp, struct verdict *ret_verdict)
{
    if (!(tcp->flags & TCP_RST))
        return false;
    *ret_verdict = (struct verdict){STATE_CLOSED, REASON_RESET};
    return true;
}

static const struct technique technique = {.flags = TCP_FIN, .judge = judge};

const struct prober_class prober_tcp_fin = {
    .name = "tcp-fin",
    .summary = "FIN alone: RST when closed, silence when open or filtered",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_CLOSED, .silence = STATE_OPEN_FILTERED},
    .stateless = true,
    .technique = &technique,
    RAW_PROBER_CALLS,
};
