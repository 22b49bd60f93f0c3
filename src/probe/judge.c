/* The judgement of packets that come in: which probe they answer, and what they say about it. */
#include "probe/judge.h"

#include "scan/cookie.h"

#include <netinet/in.h>

uint32_t cookie_of(const struct cookies *cookies, const struct address *source,
                   const struct address *to, uint16_t source_port, uint16_t port)
{
    if (source->family != ADDRESS_IPV6)
        return cookie_ipv4(&cookies->key, (uint32_t)source->value, (uint32_t)to->value, source_port,
                           port);
    const uint64_t words[] = {(uint64_t)(source->value >> 64), (uint64_t)source->value};
    const uint64_t to_words[] = {(uint64_t)(to->value >> 64), (uint64_t)to->value};
    return cookie_ipv6(&cookies->key, words, to_words, source_port, port);
}

static bool is_ours(const struct cookies *cookies, uint16_t port, uint8_t *ret_tag)
{
    if (port < cookies->first_port || port - cookies->first_port >= PROBE_TAGS)
        return false;
    *ret_tag = (uint8_t)(port - cookies->first_port);
    return true;
}

static struct endpoint endpoint_of(const struct address *address, uint16_t port)
{
    return (struct endpoint){.address = *address,
                             .port = {.protocol = PROTOCOL_TCP, .number = port}};
}

/* Whether a segment gives back the cookie of the probe that it answers.
 *
 * A RST that answers an ACK takes its sequence number from there, and its own acknowledgment number
 * then means nothing (RFC 9293 §3.10.7.1). Everything else acknowledges: a SYN|ACK the one number
 * of the SYN, a RST what the probe took, which is one number for SYN and for FIN and none without
 * either. Which of the two is not held against a RST, because there are stacks that forget to
 * count. Without the ACK flag the number is no acknowledgment, and the kernel ignores such a RST as
 * well (§3.10.7.3). */
static bool gives_cookie(const struct technique *technique, const struct tcp_view *tcp,
                         uint32_t cookie)
{
    const bool resets = tcp->flags & TCP_RST;
    if (technique->acknowledges)
        return resets && tcp->sequence == cookie;
    if (!(tcp->flags & TCP_ACK))
        return false;
    return tcp->acknowledgment == cookie + 1 || (resets && tcp->acknowledgment == cookie);
}

static bool judge_segment(const struct technique *technique, const struct cookies *cookies,
                          const struct ip_view *ip, bool check, struct heard *ret_heard)
{
    struct tcp_view tcp;
    struct heard heard = {0};
    if (!tcp_view_parse(ip, false, &tcp) || !is_ours(cookies, tcp.destination, &heard.tag))
        return false;
    const uint32_t cookie =
        cookie_of(cookies, &ip->destination, &ip->source, tcp.destination, tcp.source);
    if (!gives_cookie(technique, &tcp, cookie) || (check && !tcp_view_parse(ip, true, &tcp)) ||
        !technique->judge(&tcp, &heard.verdict))
        return false;
    heard.to = endpoint_of(&ip->source, tcp.source);
    *ret_heard = heard;
    return true;
}

/* An ICMP error comes to whom the quoted packet came from, and about whom it went to. */
static bool judge_icmp(const struct cookies *cookies, const struct ip_view *ip, bool check,
                       struct heard *ret_heard)
{
    struct icmp_error_view error;
    struct heard heard = {.verdict = {.state = STATE_FILTERED}};
    if (!icmp_error_view_parse(ip, check, &error) || !is_ours(cookies, error.source, &heard.tag))
        return false;
    const struct address *source = &error.quoted.source, *to = &error.quoted.destination;
    if (source->value != ip->destination.value ||
        error.sequence != cookie_of(cookies, source, to, error.source, error.destination))
        return false;
    heard.to = endpoint_of(to, error.destination);
    if (ip->source.value != to->value)
        heard.from = ip->source;
    heard.verdict.reason = to->family == ADDRESS_IPV4 ? reason_from_icmp(error.type, error.code)
                                                      : reason_from_icmp6(error.type, error.code);
    *ret_heard = heard;
    return true;
}

/* No answer is so long that it would come in fragments: those are somebody's play. */
bool judge_packet(const struct technique *technique, const struct cookies *cookies,
                  const void *bytes, size_t length, bool verified, struct heard *ret_heard)
{
    struct ip_view ip;
    if (!ip_view_parse(bytes, length, !verified, &ip) || ip.fragment)
        return false;
    if (ip.protocol == IPPROTO_TCP)
        return judge_segment(technique, cookies, &ip, !verified, ret_heard);
    return judge_icmp(cookies, &ip, !verified, ret_heard);
}
