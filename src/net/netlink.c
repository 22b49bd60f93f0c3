/* A netlink socket: requests, answers, and their attributes. */
#include "net/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum {
    ANSWER_SIZE = 32768, /* the kernel puts no more than this into one datagram of a dump */
    ATTEMPTS = 5,
    PATIENCE = 10, /* seconds; the kernel answers within the system call that asks */
};

struct netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
    union {
        struct nlmsghdr header; /* for its alignment */
        char bytes[ANSWER_SIZE];
    } answer;
};

int netlink_open(int protocol, struct netlink **ret_netlink)
{
    struct netlink *netlink = calloc(1, sizeof(*netlink));
    if (!netlink)
        return -ENOMEM;
    netlink->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
    const struct timeval patience = {.tv_sec = PATIENCE};
    if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) != 0 ||
        setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
                   sizeof(patience)) != 0) {
        const int code = errno;
        netlink_close(netlink);
        return -code;
    }
    *ret_netlink = netlink;
    return 0;
}

void netlink_close(struct netlink *netlink)
{
    if (!netlink)
        return;
    if (netlink->socket)
        mnl_socket_close(netlink->socket);
    free(netlink);
}

void netlink_request_start(union netlink_request *request, uint16_t type, uint16_t flags,
                           const void *body, size_t size)
{
    memset(request, 0, sizeof(*request));
    struct nlmsghdr *header = mnl_nlmsg_put_header(request->bytes);
    header->nlmsg_type = type;
    header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    memcpy(mnl_nlmsg_put_extra_header(header, size), body, size);
}

void netlink_request_u8(union netlink_request *request, uint16_t type, uint8_t value)
{
    mnl_attr_put_u8_check(&request->header, sizeof(*request), type, value);
}

void netlink_request_u32(union netlink_request *request, uint16_t type, uint32_t value)
{
    mnl_attr_put_u32_check(&request->header, sizeof(*request), type, value);
}

void netlink_request_text(union netlink_request *request, uint16_t type, const char *text)
{
    mnl_attr_put_strz_check(&request->header, sizeof(*request), type, text);
}

void netlink_request_address(union netlink_request *request, uint16_t type,
                             const struct address *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    const unsigned size = address_bits(address) / 8;
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (unsigned char)(address->value >> 8 * (size - 1 - i));
    mnl_attr_put_check(&request->header, sizeof(*request), type, size, bytes);
}

static int answer_send(struct netlink *netlink, union netlink_request *request)
{
    request->header.nlmsg_seq = ++netlink->sequence;
    while (mnl_socket_sendto(netlink->socket, request->bytes, request->header.nlmsg_len) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* The next datagram of the kernel, and of nobody else, who could send us some as well. */
static int answer_receive(struct netlink *netlink, int *ret_length)
{
    for (;;) {
        struct sockaddr_nl sender = {0};
        struct iovec part = {.iov_base = netlink->answer.bytes, .iov_len = ANSWER_SIZE};
        struct msghdr message = {
            .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &part, .msg_iovlen = 1};
        const ssize_t length = recvmsg(mnl_socket_get_fd(netlink->socket), &message, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (message.msg_namelen != sizeof(sender) || sender.nl_pid != 0)
            continue;
        if (message.msg_flags & MSG_TRUNC)
            return -EMSGSIZE;
        *ret_length = (int)length;
        return 0;
    }
}

/* What an answer has come to. */
struct outcome {
    bool complete;
    bool interrupted; /* the tables changed meanwhile */
    int refusal;
};

/* The errno at the beginning of NLMSG_ERROR and, where there is one, of NLMSG_DONE. */
static int message_refusal(const struct nlmsghdr *message)
{
    int code = 0;
    if (!netlink_body(message, &code, sizeof(code)))
        return message->nlmsg_type == NLMSG_DONE ? 0 : EBADMSG;
    return code < 0 ? -code : 0;
}

static int message_take(const struct nlmsghdr *message, netlink_fn *each, void *user,
                        struct outcome *outcome)
{
    if (message->nlmsg_flags & NLM_F_DUMP_INTR)
        outcome->interrupted = true;
    switch (message->nlmsg_type) {
    case NLMSG_NOOP:
        return 0;
    case NLMSG_OVERRUN:
        return -ENOBUFS;
    case NLMSG_ERROR:
    case NLMSG_DONE:
        outcome->refusal = message_refusal(message);
        outcome->complete = true;
        return 0;
    default:
        outcome->complete = !(message->nlmsg_flags & NLM_F_MULTI);
        return each(user, message);
    }
}

static int answer_read(struct netlink *netlink, netlink_fn *each, void *user,
                       struct outcome *outcome)
{
    while (!outcome->complete) {
        int left = 0;
        int code = answer_receive(netlink, &left);
        if (code != 0)
            return code;
        const struct nlmsghdr *message = &netlink->answer.header;
        for (; mnl_nlmsg_ok(message, left) && !outcome->complete;
             message = mnl_nlmsg_next(message, &left)) {
            /* The rest of an answer that was given up is not ours. */
            if (message->nlmsg_seq != netlink->sequence)
                continue;
            code = message_take(message, each, user, outcome);
            if (code != 0)
                return code;
        }
    }
    return 0;
}

int netlink_ask(struct netlink *netlink, union netlink_request *request, netlink_fn *each,
                void *user, int *ret_refusal)
{
    for (unsigned attempt = 1;; attempt++) {
        struct outcome outcome = {0};
        int code = answer_send(netlink, request);
        if (code == 0)
            code = answer_read(netlink, each, user, &outcome);
        /* ENOBUFS: the answer did not fit into the socket's buffer, which is empty now. */
        if (attempt < ATTEMPTS && (code == -ENOBUFS || (code == 0 && outcome.interrupted)))
            continue;
        if (code == 0)
            *ret_refusal = outcome.refusal;
        return code;
    }
}

bool netlink_body(const struct nlmsghdr *message, void *ret_body, size_t size)
{
    if (mnl_nlmsg_get_payload_len(message) < size)
        return false;
    memcpy(ret_body, mnl_nlmsg_get_payload(message), size);
    return true;
}

void netlink_attributes(const struct nlmsghdr *message, size_t size, const struct nlattr **table,
                        size_t count)
{
    memset(table, 0, count * sizeof(*table));
    if (mnl_nlmsg_get_payload_len(message) < size)
        return;
    const char *end = mnl_nlmsg_get_payload_tail(message);
    const struct nlattr *attribute = mnl_nlmsg_get_payload_offset(message, size);
    while (mnl_attr_ok(attribute, (int)(end - (const char *)attribute))) {
        const uint16_t type = mnl_attr_get_type(attribute);
        if (type < count)
            table[type] = attribute;
        attribute = mnl_attr_next(attribute);
    }
}

bool netlink_bytes(const struct nlattr *attribute, void *ret_bytes, size_t size)
{
    if (!attribute || mnl_attr_validate2(attribute, MNL_TYPE_BINARY, size) != 0)
        return false;
    memcpy(ret_bytes, mnl_attr_get_payload(attribute), size);
    return true;
}

bool netlink_head(const struct nlattr *attribute, void *ret_bytes, size_t size)
{
    if (!attribute || mnl_attr_get_payload_len(attribute) < size)
        return false;
    memcpy(ret_bytes, mnl_attr_get_payload(attribute), size);
    return true;
}

bool netlink_u32(const struct nlattr *attribute, uint32_t *ret_value)
{
    return netlink_bytes(attribute, ret_value, sizeof(*ret_value));
}

bool netlink_text(const struct nlattr *attribute, char *ret_text, size_t size)
{
    if (!attribute || size == 0)
        return false;
    const char *text = mnl_attr_get_payload(attribute);
    const size_t length = strnlen(text, mnl_attr_get_payload_len(attribute));
    const size_t kept = length < size ? length : size - 1;
    memcpy(ret_text, text, kept);
    ret_text[kept] = '\0';
    return true;
}

static bool read_address(const unsigned char *bytes, size_t length, unsigned family,
                         struct address *ret_address)
{
    struct address address = {.family = family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6};
    if ((family != AF_INET && family != AF_INET6) || length != address_bits(&address) / 8)
        return false;
    for (size_t i = 0; i < length; i++)
        address.value = address.value << 8 | bytes[i];
    *ret_address = address;
    return true;
}

bool netlink_address(const struct nlattr *attribute, unsigned family, struct address *ret_address)
{
    return attribute && read_address(mnl_attr_get_payload(attribute),
                                     mnl_attr_get_payload_len(attribute), family, ret_address);
}

bool netlink_via(const struct nlattr *attribute, struct address *ret_address)
{
    sa_family_t family = 0;
    const size_t length = attribute ? mnl_attr_get_payload_len(attribute) : 0;
    if (length < sizeof(family))
        return false;
    const unsigned char *bytes = mnl_attr_get_payload(attribute);
    memcpy(&family, bytes, sizeof(family));
    return read_address(bytes + sizeof(family), length - sizeof(family), family, ret_address);
}
