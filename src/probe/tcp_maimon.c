/* The Maimon scan: FIN|ACK. RFC 9293 has closed and listening ports alike answer an ACK out of
 * nowhere with RST (§3.10.7.1, §3.10.7.2), but stacks of BSD descent drop this one when they
 * listen. */
#include "probe/raw.h"

static bool judge(const struct tcp_view *tcp, struct verdict *ret_verdict)
{
    if (!(tcp->flags & TCP_RST))
        return false;
    *ret_verdict = (struct verdict){STATE_CLOSED, REASON_RESET};
    return true;
}

static const struct technique technique = {
    .flags = TCP_FIN | TCP_ACK, .acknowledges = true, .judge = judge};

const struct prober_class prober_tcp_maimon = {
    .name = "tcp-maimon",
    .summary = "FIN and ACK: RST when closed, silence when open or filtered",
    .protocol = PROTOCOL_TCP,
    .words = {.refused = STATE_CLOSED, .silence = STATE_OPEN_FILTERED},
    .stateless = true,
    .technique = &technique,
    RAW_PROBER_CALLS,
};
