/* The null scan: a segment without any flag, which a closed port answers with RST and a listener
 * drops (RFC 9293 §3.10.7.1, §3.10.7.2). Some stacks reset both, which makes every port closed. */
#include "probe/raw.h"

static bool judge(const struct tcp_view *tcp, struct verdict *ret_verdict)
{
    if (!(tcp->flags & TCP_RST))
        return false;
    *ret_verdict = (struct verdict){STATE_CLOSED, REASON_RESET};
    return true;
}

static const struct technique technique = {.flags = 0, .judge = judge};

const struct prober_class prober_tcp_null = {
    .name = "tcp-null",
    .summary = "no flags: RST when closed, silence when open or filtered",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_CLOSED, .silence = STATE_OPEN_FILTERED},
    .stateless = true,
    .technique = &technique,
    RAW_PROBER_CALLS,
};
