/* Messages of sock_diag(7), each about one socket, as entries of a list. */
#include "local/diag.h"

#include <endian.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

/* How the kernel's numbers for TCP say "none" and "no limit". */
#define NO_THRESHOLD UINT32_C(0x7fffffff)
#define NO_PACING UINT64_MAX

enum {
    TYPE_MASK = 0x3fff, /* of an attribute; the two bits above are flags */
    ALIGNMENT = 4,
    ABSTRACT_CHARACTER = '@',
    SCTP_RETRANSMIT = 4, /* SCTP_EVENT_TIMEOUT_T3_RTX */
};

bool diag_query_takes(const struct diag_query *query, const struct socket_entry *entry)
{
    if (!query)
        return true;
    const bool is_unix = entry->family == ADDRESS_NONE;
    return query->kinds & SOCKET_KIND_BIT(entry->kind) &&
           query->states & SOCKET_STATE_BIT(entry->state) &&
           (is_unix || query->family == ADDRESS_NONE || query->family == entry->family) &&
           (query->local_port == 0 || query->local_port == entry->local_port);
}

/* ---- attributes ---- */

struct attribute {
    unsigned type;
    const unsigned char *bytes;
    size_t length;
};

/* Takes the attribute at *at, which then is where the next one begins. False at the end, or where
 * the rest is none. */
static bool attribute_next(const unsigned char *bytes, size_t length, size_t *at,
                           struct attribute *ret_attribute)
{
    struct nlattr header;
    if (*at > length || length - *at < sizeof(header))
        return false;
    memcpy(&header, bytes + *at, sizeof(header));
    if (header.nla_len < sizeof(header) || header.nla_len > length - *at)
        return false;
    *ret_attribute = (struct attribute){.type = header.nla_type & TYPE_MASK,
                                        .bytes = bytes + *at + sizeof(header),
                                        .length = header.nla_len - sizeof(header)};
    *at += ((size_t)header.nla_len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return true;
}

static uint32_t attribute_u32(const struct attribute *attribute)
{
    uint32_t value = 0;
    if (attribute->length >= sizeof(value))
        memcpy(&value, attribute->bytes, sizeof(value));
    return value;
}

static uint64_t attribute_u64(const struct attribute *attribute)
{
    uint64_t value = 0;
    if (attribute->length >= sizeof(value))
        memcpy(&value, attribute->bytes, sizeof(value));
    return value;
}

static uint8_t attribute_u8(const struct attribute *attribute)
{
    return attribute->length > 0 ? attribute->bytes[0] : 0;
}

/* ---- sockets with addresses ---- */

static uint128_t read_address(const __be32 words[4], bool ipv6)
{
    if (!ipv6)
        return be32toh(words[0]);
    uint64_t halves[2];
    memcpy(halves, words, sizeof(halves));
    return (uint128_t)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

static void figures_read(struct socket_tcp *tcp, const struct attribute *attribute)
{
    /* A kernel that is older or newer than our headers has less or more to say. */
    struct tcp_info info = {0};
    const size_t known = attribute->length < sizeof(info) ? attribute->length : sizeof(info);
    memcpy(&info, attribute->bytes, known);
    tcp->rtt_us = info.tcpi_rtt;
    tcp->rtt_variance_us = info.tcpi_rttvar;
    tcp->minimum_rtt_us = info.tcpi_min_rtt != UINT32_MAX ? info.tcpi_min_rtt : 0;
    tcp->rto_us = info.tcpi_rto;
    tcp->mss = info.tcpi_snd_mss;
    tcp->congestion_window = info.tcpi_snd_cwnd;
    tcp->slow_start_threshold = info.tcpi_snd_ssthresh < NO_THRESHOLD ? info.tcpi_snd_ssthresh : 0;
    tcp->unacked = info.tcpi_unacked;
    tcp->lost = info.tcpi_lost;
    tcp->retransmitting = info.tcpi_retrans;
    tcp->retransmitted = info.tcpi_total_retrans;
    tcp->pacing_rate = info.tcpi_pacing_rate != NO_PACING ? info.tcpi_pacing_rate : 0;
    tcp->delivery_rate = info.tcpi_delivery_rate;
    tcp->sent = info.tcpi_bytes_sent;
    tcp->acknowledged = info.tcpi_bytes_acked;
    tcp->received = info.tcpi_bytes_received;
    tcp->receive_space = info.tcpi_rcv_space;
    tcp->last_sent_ms = info.tcpi_last_data_sent;
    tcp->last_received_ms = info.tcpi_last_data_recv;
}

/* The entry's figures, which are there once any were told. NULL without memory. */
static struct socket_tcp *entry_figures(struct socket_entry *entry, struct socket_list *list,
                                        struct socket_tcp **figures)
{
    if (!*figures)
        entry->tcp = *figures = arena_take(&list->arena, sizeof(**figures));
    return *figures;
}

static int inet_figure(struct socket_entry *entry, struct socket_list *list,
                       struct socket_tcp **figures, const struct attribute *attribute)
{
    struct socket_tcp *tcp = entry_figures(entry, list, figures);
    if (!tcp)
        return -ENOMEM;
    if (attribute->type == INET_DIAG_INFO) {
        figures_read(tcp, attribute);
        return 0;
    }
    const size_t room = sizeof(tcp->congestion) - 1;
    const size_t length = attribute->length < room ? attribute->length : room;
    memcpy(tcp->congestion, attribute->bytes, strnlen((const char *)attribute->bytes, length));
    return 0;
}

/* Older kernels tell fewer of them. */
static int memory_read(struct socket_entry *entry, struct socket_list *list,
                       const struct attribute *attribute)
{
    uint32_t values[SK_MEMINFO_VARS] = {0};
    struct socket_memory *memory = arena_take(&list->arena, sizeof(*memory));
    if (!memory)
        return -ENOMEM;
    memcpy(values, attribute->bytes,
           attribute->length < sizeof(values) ? attribute->length : sizeof(values));
    *memory = (struct socket_memory){
        .receive = values[SK_MEMINFO_RMEM_ALLOC],
        .receive_limit = values[SK_MEMINFO_RCVBUF],
        .send = values[SK_MEMINFO_WMEM_ALLOC],
        .send_limit = values[SK_MEMINFO_SNDBUF],
        .reserved = values[SK_MEMINFO_FWD_ALLOC],
        .queued = values[SK_MEMINFO_WMEM_QUEUED],
        .options = values[SK_MEMINFO_OPTMEM],
        .unprocessed = values[SK_MEMINFO_BACKLOG],
        .dropped = values[SK_MEMINFO_DROPS],
    };
    entry->memory = memory;
    return 0;
}

/* An association of SCTP has states of its own (RFC 9260 section 4), which are told in the terms of
 * TCP's that come nearest. */
static uint8_t association_state(uint8_t state)
{
    static const uint8_t states[] = {
        SOCKET_CLOSE,     SOCKET_SYN_SENT,  SOCKET_SYN_SENT,   SOCKET_ESTABLISHED,
        SOCKET_FIN_WAIT1, SOCKET_FIN_WAIT2, SOCKET_CLOSE_WAIT, SOCKET_LAST_ACK,
    };
    return state < sizeof(states) ? states[state] : 0;
}

static uint8_t timer_of(enum socket_kind kind, uint8_t timer)
{
    if (kind == SOCKET_SCTP)
        return timer == SCTP_RETRANSMIT ? SOCKET_TIMER_RETRANSMIT : SOCKET_TIMER_OFF;
    return timer <= SOCKET_TIMER_PROBE ? timer : SOCKET_TIMER_OFF;
}

static void inet_fill(struct socket_entry *entry, enum socket_kind kind,
                      const struct inet_diag_msg *body)
{
    const bool ipv6 = body->idiag_family == AF_INET6;
    entry->kind = (uint8_t)kind;
    entry->state = body->idiag_state;
    entry->family = ipv6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    entry->timer = timer_of(kind, body->idiag_timer);
    entry->retransmits = body->idiag_retrans;
    entry->timer_ms = entry->timer != SOCKET_TIMER_OFF ? body->idiag_expires : 0;
    entry->local_port = be16toh(body->id.idiag_sport);
    entry->remote_port = be16toh(body->id.idiag_dport);
    entry->local = read_address(body->id.idiag_src, ipv6);
    entry->remote = read_address(body->id.idiag_dst, ipv6);
    if (ipv6)
        socket_entry_unmap(entry);
    entry->v6only =
        ipv6 && kind == SOCKET_RAW; /* whatever it says of itself: it hears of no IPv4 */
    entry->interface = body->id.idiag_if;
    entry->uid = body->idiag_uid;
    entry->receive_queue = body->idiag_rqueue;
    entry->send_queue = body->idiag_wqueue;
    entry->inode = body->idiag_inode;
    entry->has_inode = body->idiag_inode != 0;
    entry->cookie = (uint64_t)body->id.idiag_cookie[1] << 32 | body->id.idiag_cookie[0];
}

static int inet_attributes(struct socket_entry *entry, const unsigned char *bytes, size_t length,
                           const struct diag_query *query, struct socket_list *list)
{
    const bool with_figures = !query || query->tcp_figures;
    const bool with_memory = !query || query->memory_figures;
    struct socket_tcp *figures = NULL;
    struct attribute attribute;
    bool association = false;
    for (size_t at = 0; attribute_next(bytes, length, &at, &attribute);) {
        int code = 0;
        switch (attribute.type) {
        case INET_DIAG_SHUTDOWN:
            entry->shutdown = attribute_u8(&attribute);
            break;
        case INET_DIAG_SKV6ONLY:
            entry->v6only |= attribute_u8(&attribute) != 0;
            break;
        case INET_DIAG_MARK:
            entry->mark = attribute_u32(&attribute);
            break;
        case INET_DIAG_CGROUP_ID:
            entry->cgroup = attribute_u64(&attribute);
            break;
        case INET_DIAG_PEERS: /* a socket of SCTP that is none has no peers */
            association = entry->kind == SOCKET_SCTP;
            break;
        case INET_DIAG_INFO:
        case INET_DIAG_CONG:
            if (with_figures && (entry->kind == SOCKET_TCP))
                code = inet_figure(entry, list, &figures, &attribute);
            break;
        case INET_DIAG_SKMEMINFO:
            if (with_memory && !entry->memory)
                code = memory_read(entry, list, &attribute);
            break;
        default:
            break;
        }
        if (code != 0)
            return code;
    }
    if (association)
        entry->state = association_state(entry->state);
    return 0;
}

/* Returns 1 when the entry is one, 0 when it is of no use, or -errno. */
static int inet_read(struct socket_entry *entry, const unsigned char *bytes, size_t length,
                     enum socket_kind kind, const struct diag_query *query,
                     struct socket_list *list)
{
    struct inet_diag_msg body;
    if (length < sizeof(body))
        return -EBADMSG;
    memcpy(&body, bytes, sizeof(body));
    if (body.idiag_family != AF_INET && body.idiag_family != AF_INET6)
        return -EBADMSG;
    inet_fill(entry, kind, &body);
    const size_t start = NLMSG_ALIGN(sizeof(body));
    int code = 0;
    if (length > start)
        code = inet_attributes(entry, bytes + start, length - start, query, list);
    /* TCP that is neither connected nor listening is told of as this, when SOCKET_BOUND is asked
     * for. */
    if (kind == SOCKET_TCP && entry->state == SOCKET_CLOSE)
        entry->state = SOCKET_BOUND;
    return code != 0 ? code : 1;
}

/* ---- Unix sockets ---- */

/* The kernel's name: a path with a NUL behind it, or one that begins with NUL and ends where the
 * bytes end, and is abstract. */
static int unix_path(struct socket_entry *entry, const struct attribute *attribute,
                     struct socket_list *list)
{
    const char *name = (const char *)attribute->bytes;
    size_t length = attribute->length;
    if (length > 0 && name[0] != '\0')
        length = strnlen(name, length);
    if (length == 0)
        return 0;
    char *path = arena_take(&list->arena, length + 1);
    if (!path)
        return -ENOMEM;
    for (size_t i = 0; i < length; i++)
        path[i] = name[i] != '\0' ? name[i] : ABSTRACT_CHARACTER;
    entry->path = path;
    return 0;
}

/* What takes room in the list's arena, if the socket is one that is wanted. */
struct unix_more {
    struct attribute name, memory;
};

static int unix_attributes(struct socket_entry *entry, const unsigned char *bytes, size_t length,
                           struct unix_more *ret_more)
{
    struct unix_diag_rqlen queues;
    struct attribute attribute;
    for (size_t at = 0; attribute_next(bytes, length, &at, &attribute);)
        switch (attribute.type) {
        case UNIX_DIAG_NAME:
            ret_more->name = attribute;
            break;
        case UNIX_DIAG_MEMINFO:
            ret_more->memory = attribute;
            break;
        case UNIX_DIAG_PEER:
            entry->peer_inode = attribute_u32(&attribute);
            break;
        case UNIX_DIAG_RQLEN:
            if (attribute.length < sizeof(queues))
                return -EBADMSG;
            memcpy(&queues, attribute.bytes, sizeof(queues));
            entry->receive_queue = queues.udiag_rqueue;
            entry->send_queue = queues.udiag_wqueue;
            break;
        case UNIX_DIAG_SHUTDOWN:
            entry->shutdown = attribute_u8(&attribute);
            break;
        case UNIX_DIAG_UID:
            entry->uid = attribute_u32(&attribute);
            break;
        default:
            break;
        }
    return 0;
}

/* As inet_read(). */
static int unix_read(struct socket_entry *entry, const unsigned char *bytes, size_t length,
                     struct unix_more *ret_more)
{
    struct unix_diag_msg body;
    if (length < sizeof(body))
        return -EBADMSG;
    memcpy(&body, bytes, sizeof(body));
    if (body.udiag_family != AF_UNIX)
        return -EBADMSG;
    switch (body.udiag_type) {
    case SOCK_STREAM:
        entry->kind = SOCKET_UNIX_STREAM;
        break;
    case SOCK_DGRAM:
    case SOCK_RAW: /* which the kernel makes a datagram socket of */
        entry->kind = SOCKET_UNIX_DATAGRAM;
        break;
    case SOCK_SEQPACKET:
        entry->kind = SOCKET_UNIX_SEQPACKET;
        break;
    default:
        return 0;
    }
    entry->state = body.udiag_state;
    entry->inode = body.udiag_ino;
    entry->has_inode = body.udiag_ino != 0;
    entry->cookie = (uint64_t)body.udiag_cookie[1] << 32 | body.udiag_cookie[0];
    const size_t start = NLMSG_ALIGN(sizeof(body));
    const int code =
        length > start ? unix_attributes(entry, bytes + start, length - start, ret_more) : 0;
    return code != 0 ? code : 1;
}

/* ---- messages ---- */

static bool state_is_known(const struct socket_entry *entry)
{
    return entry->state >= SOCKET_ESTABLISHED && entry->state < SOCKET_STATES;
}

/* Could it be one that is asked for, whatever its state means? */
static bool query_may_take(const struct diag_query *query, const struct socket_entry *entry)
{
    if (!query)
        return true;
    struct diag_query any = *query;
    struct socket_entry open = *entry;
    any.states = UINT32_MAX;
    open.state = 0;
    return diag_query_takes(&any, &open);
}

/* Appends what one message about a socket tells. Later kernels may have states and types that we do
 * not know: the others are no worse for that. Returns 0 or -errno. */
static int socket_read(const unsigned char *bytes, size_t length, enum socket_kind kind,
                       const struct diag_query *query, uint32_t space, struct socket_list *list,
                       struct diag_progress *progress)
{
    const bool is_unix = SOCKET_UNIX_KINDS & SOCKET_KIND_BIT(kind);
    struct unix_more more = {0};
    struct socket_entry *entry = socket_list_add(list);
    if (!entry)
        return -ENOMEM;
    entry->kind = (uint8_t)kind;
    entry->space = space;
    int code = is_unix ? unix_read(entry, bytes, length, &more)
                       : inet_read(entry, bytes, length, kind, query, list);
    const bool known = code == 1 && state_is_known(entry);
    if (code >= 0 && !known && query_may_take(query, entry))
        progress->unknown = true;
    const bool taken = known && diag_query_takes(query, entry);
    code = code < 0 ? code : 0;
    if (taken && more.name.length > 0)
        code = unix_path(entry, &more.name, list);
    if (taken && code == 0 && more.memory.bytes && (!query || query->memory_figures))
        code = memory_read(entry, list, &more.memory);
    if (!taken || code != 0)
        list->count--;
    return code;
}

/* The errno at the beginning of NLMSG_ERROR and, where there is one, of NLMSG_DONE. */
static int message_refusal(const unsigned char *bytes, size_t length, bool is_error)
{
    int32_t code = 0;
    if (length < sizeof(code))
        return is_error ? EBADMSG : 0;
    memcpy(&code, bytes, sizeof(code));
    return code < 0 && code > INT32_MIN ? -code : 0;
}

static int message_read(const struct nlmsghdr *header, const unsigned char *bytes,
                        enum socket_kind kind, const struct diag_query *query, uint32_t space,
                        struct socket_list *list, struct diag_progress *progress)
{
    const size_t length = header->nlmsg_len - sizeof(*header);
    if (header->nlmsg_flags & NLM_F_DUMP_INTR)
        progress->interrupted = true;
    switch (header->nlmsg_type) {
    case NLMSG_NOOP:
        return 0;
    case NLMSG_OVERRUN:
        return -ENOBUFS;
    case NLMSG_ERROR:
    case NLMSG_DONE:
        progress->refusal = message_refusal(bytes, length, header->nlmsg_type == NLMSG_ERROR);
        progress->complete = true;
        return 0;
    case SOCK_DIAG_BY_FAMILY:
        return socket_read(bytes, length, kind, query, space, list, progress);
    default:
        return 0;
    }
}

/* ---- repeats ---- */

static bool is_recent(const struct diag_progress *progress, uint64_t cookie)
{
    for (size_t i = 0; i < progress->recent_count; i++)
        if (progress->recent[i] == cookie && cookie != 0)
            return true;
    return false;
}

/* Between two datagrams a hash bucket may have got another socket at its front, and then the
 * kernel, which counts, tells of its last one again. So the first of a datagram, from `start` on,
 * are looked for among the last of the one before. */
static void drop_repeats(struct socket_list *list, size_t start, struct diag_progress *progress)
{
    size_t kept = start;
    for (size_t i = start; i < list->count; i++) {
        const struct socket_entry *entry = &list->entries[i];
        if (i < start + DIAG_RECENT && is_recent(progress, entry->cookie))
            continue;
        if (kept != i)
            list->entries[kept] = *entry;
        kept++;
    }
    list->count = kept;
    progress->recent_count = 0;
    for (size_t i = kept; i > start && progress->recent_count < DIAG_RECENT; i--)
        progress->recent[progress->recent_count++] = list->entries[i - 1].cookie;
}

int diag_read(const void *bytes, size_t length, enum socket_kind kind,
              const struct diag_query *query, uint32_t space, struct socket_list *list,
              struct diag_progress *progress, struct error *error)
{
    const unsigned char *start = bytes;
    const size_t before = list->count;
    for (size_t at = 0; at < length && !progress->complete;) {
        struct nlmsghdr header = {0};
        const size_t left = length - at;
        if (left >= sizeof(header))
            memcpy(&header, start + at, sizeof(header));
        int code = -EBADMSG;
        if (header.nlmsg_len >= sizeof(header) && header.nlmsg_len <= left)
            code = message_read(&header, start + at + sizeof(header), kind, query, space, list,
                                progress);
        if (code != 0)
            return error_set(error, -code, "netlink's message at byte %zu about %s sockets: %s", at,
                             socket_kind_name(kind), strerror(-code));
        const size_t whole = NLMSG_ALIGN((size_t)header.nlmsg_len);
        at += whole < left ? whole : left;
    }
    drop_repeats(list, before, progress);
    return 0;
}
