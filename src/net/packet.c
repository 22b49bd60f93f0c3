/* Views of IP packets, TCP segments and ICMP errors that came from the network. */
#include "net/packet.h"

#include "net/bytes.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

#define IPV4_HEADER 20
#define TCP_HEADER 20
#define ICMP_HEADER 8
#define EXTENSIONS 16 /* IPv6 extension headers that are walked through */

/* What an ICMP error quotes was changed on the way and is cut off, so that its lengths say nothing
 * about how many bytes are there. */
enum completeness { COMPLETE, QUOTED };

/* ---- IP ---- */

/* "Don't fragment", the only one of the two that a probe has, with its bytes the wrong way round:
 * stacks that keep the header in the order of their machine quote it like that. */
#define DONT_FRAGMENT_SWAPPED 0x0040

/* Reads the flags and the fragment's offset. Returns false for a later fragment. */
static bool read_ipv4_fragment(uint16_t field, enum completeness completeness, bool *ret_fragment)
{
    if (completeness == QUOTED && field == DONT_FRAGMENT_SWAPPED)
        field = IP_DF;
    *ret_fragment = field & IP_MF;
    return (field & IP_OFFMASK) == 0;
}

static bool ipv4_parse(struct bytes bytes, bool check, enum completeness completeness,
                       struct ip_view *ret_ip)
{
    const unsigned char *start = bytes.at;
    const size_t header = (bytes_u8(&bytes) & 0x0fU) * 4;
    bytes_skip(&bytes, 1); /* type of service */
    const size_t total = bytes_u16(&bytes);
    bytes_skip(&bytes, 2); /* identification */
    const uint16_t fragment = bytes_u16(&bytes);
    ret_ip->ttl = bytes_u8(&bytes);
    ret_ip->protocol = bytes_u8(&bytes);
    bytes_skip(&bytes, 2); /* checksum */
    ret_ip->source = (struct address){.value = bytes_u32(&bytes), .family = ADDRESS_IPV4};
    ret_ip->destination = (struct address){.value = bytes_u32(&bytes), .family = ADDRESS_IPV4};
    if (header < IPV4_HEADER)
        return false;
    bytes_skip(&bytes, header - IPV4_HEADER); /* options */
    if (completeness == COMPLETE) {
        if (total < header)
            return false;
        bytes_limit(&bytes, total - header);
    }
    ret_ip->payload = bytes.at;
    ret_ip->length = bytes_left(&bytes);
    return !bytes.cut && read_ipv4_fragment(fragment, completeness, &ret_ip->fragment) &&
           (!check || internet_fold(internet_sum(start, header, 0)) == 0);
}

static struct address read_ipv6_address(struct bytes *bytes)
{
    const uint64_t high = bytes_u64(bytes);
    return (struct address){.value = (uint128_t)high << 64 | bytes_u64(bytes),
                            .family = ADDRESS_IPV6};
}

/* The fragment header (RFC 8200 §4.5), after its first byte. Returns false for a later fragment. */
static bool read_ipv6_fragment(struct bytes *bytes, bool *ret_fragment)
{
    bytes_skip(bytes, 1);
    const uint16_t field = bytes_u16(bytes);
    bytes_skip(bytes, 4); /* identification */
    if (field & 1)
        *ret_fragment = true;
    return (field & ~7U & UINT16_MAX) == 0;
}

/* Goes through the extension headers (RFC 8200 §4.1) from one of the type `next` on. Returns false
 * for a later fragment and for more headers than anybody sends. */
static bool ipv6_skip_extensions(struct bytes *bytes, uint8_t next, struct ip_view *ret_ip)
{
    for (int i = 0; i < EXTENSIONS; i++) {
        ret_ip->protocol = next;
        switch (next) {
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_DSTOPTS: {
            next = bytes_u8(bytes);
            const size_t more = bytes_u8(bytes); /* units of 8 bytes after the first 8 */
            bytes_skip(bytes, 6 + more * 8);
            break;
        }
        case IPPROTO_AH: { /* RFC 4302 §2.2: in units of 4 bytes, minus 2 */
            next = bytes_u8(bytes);
            const size_t units = bytes_u8(bytes);
            bytes_skip(bytes, units * 4 + 6);
            break;
        }
        case IPPROTO_FRAGMENT:
            next = bytes_u8(bytes);
            if (!read_ipv6_fragment(bytes, &ret_ip->fragment))
                return false;
            break;
        default:
            return true;
        }
        if (bytes->cut)
            return false;
    }
    return false;
}

/* A jumbogram (RFC 2675), whose length stands in an option, is not an answer to any probe: its
 * payload length of 0 leaves its hop-by-hop header cut off. */
static bool ipv6_parse(struct bytes bytes, enum completeness completeness, struct ip_view *ret_ip)
{
    bytes_skip(&bytes, 4); /* version, traffic class, flow label */
    const size_t length = bytes_u16(&bytes);
    const uint8_t next = bytes_u8(&bytes);
    ret_ip->ttl = bytes_u8(&bytes);
    ret_ip->source = read_ipv6_address(&bytes);
    ret_ip->destination = read_ipv6_address(&bytes);
    if (completeness == COMPLETE)
        bytes_limit(&bytes, length);
    if (bytes.cut || !ipv6_skip_extensions(&bytes, next, ret_ip))
        return false;
    ret_ip->payload = bytes.at;
    ret_ip->length = bytes_left(&bytes);
    return !bytes.cut;
}

static bool ip_parse(struct bytes bytes, bool check, enum completeness completeness,
                     struct ip_view *ret_ip)
{
    struct ip_view ip = {.protocol = 0};
    bool good = false;
    if (bytes_left(&bytes) == 0)
        return false;
    const unsigned version = *bytes.at >> 4;
    if (version == 4)
        good = ipv4_parse(bytes, check, completeness, &ip);
    else if (version == 6)
        good = ipv6_parse(bytes, completeness, &ip);
    if (good)
        *ret_ip = ip;
    return good;
}

bool ip_view_parse(const void *bytes, size_t length, bool check, struct ip_view *ret_ip)
{
    return ip_parse(bytes_of(bytes, length), check, COMPLETE, ret_ip);
}

/* ---- the payload ---- */

static uint64_t sum_word(uint64_t word, uint64_t sum)
{
    sum += word;
    return sum + (sum < word); /* the carry goes round (RFC 1071 §1) */
}

static uint64_t sum_address(const struct address *address, uint64_t sum)
{
    sum = sum_word(htobe64((uint64_t)(address->value >> 64)), sum);
    return sum_word(htobe64((uint64_t)address->value), sum);
}

/* Whether the payload's checksum holds, which covers a pseudo-header (RFC 9293 §3.1, RFC 8200
 * §8.1), too. Nobody can tell of a packet of which only the first fragment is here. */
static bool is_intact(const struct ip_view *ip)
{
    uint64_t sum = sum_address(&ip->source, htobe64(ip->length + ip->protocol));
    sum = sum_address(&ip->destination, sum);
    return !ip->fragment && internet_fold(internet_sum(ip->payload, ip->length, sum)) == 0;
}

bool tcp_view_parse(const struct ip_view *ip, bool check, struct tcp_view *ret_tcp)
{
    struct bytes bytes = bytes_of(ip->payload, ip->length);
    struct tcp_view tcp;
    if (ip->protocol != IPPROTO_TCP)
        return false;
    tcp.source = bytes_u16(&bytes);
    tcp.destination = bytes_u16(&bytes);
    tcp.sequence = bytes_u32(&bytes);
    tcp.acknowledgment = bytes_u32(&bytes);
    const size_t header = (bytes_u8(&bytes) >> 4) * 4U;
    tcp.flags = bytes_u8(&bytes);
    tcp.window = bytes_u16(&bytes);
    if (bytes.cut || header < TCP_HEADER || header > ip->length || (check && !is_intact(ip)))
        return false;
    *ret_tcp = tcp;
    return true;
}

static bool is_icmp_error(const struct ip_view *ip, uint8_t type)
{
    if (ip->source.family == ADDRESS_IPV4)
        return ip->protocol == IPPROTO_ICMP &&
               (type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
                type == ICMP_PARAMETERPROB);
    return ip->protocol == IPPROTO_ICMPV6 &&
           (type == ICMP6_DST_UNREACH || type == ICMP6_TIME_EXCEEDED || type == ICMP6_PARAM_PROB);
}

/* ICMP's checksum has no pseudo-header (RFC 792), ICMPv6's has (RFC 4443 §2.3). */
static bool is_icmp_intact(const struct ip_view *ip)
{
    if (ip->source.family == ADDRESS_IPV6)
        return is_intact(ip);
    return !ip->fragment && internet_fold(internet_sum(ip->payload, ip->length, 0)) == 0;
}

bool icmp_error_view_parse(const struct ip_view *ip, bool check, struct icmp_error_view *ret_error)
{
    struct bytes bytes = bytes_of(ip->payload, ip->length);
    struct icmp_error_view error;
    error.type = bytes_u8(&bytes);
    error.code = bytes_u8(&bytes);
    bytes_skip(&bytes, ICMP_HEADER - 2);
    if (bytes.cut || !is_icmp_error(ip, error.type) || (check && !is_icmp_intact(ip)) ||
        !ip_parse(bytes, false, QUOTED, &error.quoted) ||
        error.quoted.source.family != ip->source.family || error.quoted.protocol != IPPROTO_TCP)
        return false;
    struct bytes quoted = bytes_of(error.quoted.payload, error.quoted.length);
    error.source = bytes_u16(&quoted);
    error.destination = bytes_u16(&quoted);
    error.sequence = bytes_u32(&quoted);
    if (quoted.cut)
        return false;
    *ret_error = error;
    return true;
}
