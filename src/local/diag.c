/* Questions to the kernel for its sockets, and their answers as they come. */
#include "local/diag.h"

#include "local/diag_tape.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum {
    ANSWER_SIZE = 65536, /* the kernel puts no more than 32 KiB into one datagram of a dump */
    ATTEMPTS = 3,
    PATIENCE = 10, /* seconds; the kernel answers within the system call that asks */
};

/* Where the kernel's table is. */
struct question {
    enum socket_kind kind;
    int family, protocol;
    uint32_t states; /* that such sockets can have */
};

/* A closed one is in no table. To ask for it all the same, as one does for datagrams, would have
 * the kernel go through all connections where only those that listen are wanted. */
#define TCP_STATES (SOCKET_EVERY_STATE & ~SOCKET_STATE_BIT(SOCKET_CLOSE))
#define DATAGRAM_STATES (SOCKET_STATE_BIT(SOCKET_ESTABLISHED) | SOCKET_STATE_BIT(SOCKET_CLOSE))

static const struct question questions[] = {
    {SOCKET_TCP, AF_INET, IPPROTO_TCP, TCP_STATES},
    {SOCKET_TCP, AF_INET6, IPPROTO_TCP, TCP_STATES},
    {SOCKET_MPTCP, AF_INET, IPPROTO_MPTCP, SOCKET_EVERY_STATE},
    {SOCKET_MPTCP, AF_INET6, IPPROTO_MPTCP, SOCKET_EVERY_STATE},
    {SOCKET_UDP, AF_INET, IPPROTO_UDP, DATAGRAM_STATES},
    {SOCKET_UDP, AF_INET6, IPPROTO_UDP, DATAGRAM_STATES},
    {SOCKET_UDPLITE, AF_INET, IPPROTO_UDPLITE, DATAGRAM_STATES},
    {SOCKET_UDPLITE, AF_INET6, IPPROTO_UDPLITE, DATAGRAM_STATES},
    {SOCKET_SCTP, AF_INET, IPPROTO_SCTP, SOCKET_EVERY_STATE},
    {SOCKET_SCTP, AF_INET6, IPPROTO_SCTP, SOCKET_EVERY_STATE},
    {SOCKET_RAW, AF_INET, IPPROTO_RAW, DATAGRAM_STATES},
    {SOCKET_RAW, AF_INET6, IPPROTO_RAW, DATAGRAM_STATES},
    {SOCKET_UNIX_STREAM, AF_UNIX, 0, SOCKET_EVERY_STATE},
};

/* One listing. */
struct listing {
    const struct diag_query *query;
    uint32_t space;
    struct diag_tape *tape;
    struct socket_list *list;
    struct error *error;
    struct mnl_socket *socket;
    char *answer;
};

static enum address_family question_family(const struct question *question)
{
    return question->family == AF_INET    ? ADDRESS_IPV4
           : question->family == AF_INET6 ? ADDRESS_IPV6
                                          : ADDRESS_NONE;
}

static bool question_is_wanted(const struct question *question, const struct diag_query *query)
{
    const uint32_t kinds =
        question->family == AF_UNIX ? SOCKET_UNIX_KINDS : SOCKET_KIND_BIT(question->kind);
    const enum address_family family = question_family(question);
    return query->kinds & kinds && query->states & question->states &&
           (family == ADDRESS_NONE || query->family == ADDRESS_NONE || query->family == family) &&
           (family != ADDRESS_NONE || query->local_port == 0);
}

/* ---- asking ---- */

static void put_unix_request(struct nlmsghdr *message, const struct diag_query *query)
{
    struct unix_diag_req *request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
    request->sdiag_family = AF_UNIX;
    request->udiag_states = query->states;
    request->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID;
    if (query->memory_figures || query->record_figures)
        request->udiag_show |= UDIAG_SHOW_MEMINFO;
}

static void put_inet_request(struct nlmsghdr *message, const struct question *question,
                             const struct diag_query *query, size_t size)
{
    struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
    request->sdiag_family = (uint8_t)question->family;
    /* SCTP's associations are told by states of their own. */
    request->idiag_states =
        question->kind == SOCKET_SCTP ? UINT32_MAX : query->states & question->states;
    request->id.idiag_sport = htons(query->local_port);
    if ((query->tcp_figures || query->record_figures) && question->kind == SOCKET_TCP)
        request->idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1);
    if (query->memory_figures || query->record_figures)
        request->idiag_ext |= 1 << (INET_DIAG_SKMEMINFO - 1);
    /* A number that does not fit is an attribute; a kernel that does not know it must not take the
     * number's low bits for TCP. */
    if (question->protocol <= UINT8_MAX)
        request->sdiag_protocol = (uint8_t)question->protocol;
    else
        mnl_attr_put_u32_check(message, size, INET_DIAG_REQ_PROTOCOL, (uint32_t)question->protocol);
}

static int question_send(const struct listing *listing, const struct question *question)
{
    union {
        struct nlmsghdr header; /* for its alignment */
        char bytes[256];
    } request = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(request.bytes);
    message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    if (question->family == AF_UNIX)
        put_unix_request(message, listing->query);
    else
        put_inet_request(message, question, listing->query, sizeof(request));
    while (mnl_socket_sendto(listing->socket, message, message->nlmsg_len) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* ---- hearing ---- */

/* The next datagram of the kernel, and of nobody else, who could send us some as well. */
static int answer_receive(const struct listing *listing, size_t *ret_length)
{
    for (;;) {
        struct sockaddr_nl sender = {0};
        struct iovec part = {.iov_base = listing->answer, .iov_len = ANSWER_SIZE};
        struct msghdr message = {
            .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &part, .msg_iovlen = 1};
        const ssize_t length = recvmsg(mnl_socket_get_fd(listing->socket), &message, MSG_TRUNC);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (message.msg_namelen != sizeof(sender) || sender.nl_pid != 0)
            continue;
        if (length > ANSWER_SIZE)
            return -EMSGSIZE;
        *ret_length = (size_t)length;
        return 0;
    }
}

/* Sends a question and takes the whole answer. Returns 0 or -errno. */
static int question_try(const struct listing *listing, const struct question *question,
                        struct diag_progress *progress)
{
    struct socket_list *list = listing->list;
    int code = question_send(listing, question);
    if (code != 0)
        return error_set(listing->error, -code, "cannot ask the kernel for its %s sockets: %s",
                         socket_kind_name(question->kind), strerror(-code));
    while (!progress->complete) {
        size_t length = 0;
        code = answer_receive(listing, &length);
        if (code != 0)
            return error_set(listing->error, -code,
                             "the kernel's answer about its %s sockets did not come whole: %s",
                             socket_kind_name(question->kind), strerror(-code));
        diag_tape_put(listing->tape, TAPE_MESSAGES, listing->answer, length);
        code = diag_read(listing->answer, length, question->kind, listing->query, listing->space,
                         list, progress, listing->error);
        if (code != 0)
            return code;
        code = socket_list_grown(list, listing->error);
        if (code != 0)
            return code;
    }
    return 0;
}

/* ---- the rest from /proc ---- */

/* Does it mean that the kernel was built, or runs, without this table? */
static bool refusal_is_absence(int refusal)
{
    switch (refusal) {
    case ENOENT:
    case EINVAL:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
        return true;
    default:
        return false;
    }
}

static int question_refused(const struct listing *listing, const struct question *question,
                            int refusal)
{
    const bool forbidden = refusal == EPERM || refusal == EACCES;
    if (!forbidden && !refusal_is_absence(refusal))
        return error_set(listing->error, refusal, "the kernel does not tell its %s sockets: %s",
                         socket_kind_name(question->kind), strerror(refusal));
    int code = procnet_ask(question->kind, question_family(question), listing->query,
                           listing->space, listing->tape, listing->list, listing->error);
    if (code == 1 && forbidden) {
        const uint32_t told = (uint32_t)refusal;
        listing->list->refused |= SOCKET_KIND_BIT(question->kind);
        diag_tape_put(listing->tape, TAPE_REFUSED, &told, sizeof(told));
    }
    return code < 0 ? code : 0;
}

/* Returns 0, 1 when the answer may be incomplete, or -errno. */
static int question_ask(const struct listing *listing, const struct question *question)
{
    const struct tape_question taped = {.space = listing->space,
                                        .kind = question->kind,
                                        .family = question_family(question),
                                        .states = listing->query->states,
                                        .local_port = listing->query->local_port};
    diag_tape_put(listing->tape, TAPE_QUESTION, &taped, sizeof(taped));
    const size_t mark = listing->list->count;
    const uint64_t clears = listing->list->clears;
    struct diag_progress progress = {0};
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (attempt > 0)
            diag_tape_put(listing->tape, TAPE_AGAIN, NULL, 0);
        socket_list_truncate(listing->list, mark);
        progress = (struct diag_progress){0};
        int code = question_try(listing, question, &progress);
        if (code != 0)
            return code;
        /* Whoever clears the list has made something of its sockets, and would get them twice. */
        if (!progress.interrupted || listing->list->clears != clears)
            break;
    }
    if (progress.refusal != 0)
        return question_refused(listing, question, progress.refusal);
    return progress.interrupted || progress.unknown;
}

/* ---- a whole listing ---- */

static int listing_open(struct listing *listing)
{
    const struct timeval patience = {.tv_sec = PATIENCE};
    listing->answer = malloc(ANSWER_SIZE);
    if (!listing->answer)
        return -ENOMEM;
    listing->socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!listing->socket || mnl_socket_bind(listing->socket, 0, MNL_SOCKET_AUTOPID) != 0 ||
        setsockopt(mnl_socket_get_fd(listing->socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
                   sizeof(patience)) != 0)
        return -errno;
    return 0;
}

static void listing_close(struct listing *listing)
{
    if (listing->socket)
        mnl_socket_close(listing->socket);
    free(listing->answer);
}

static int listing_ask(const struct listing *listing)
{
    int incomplete = 0;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        if (!question_is_wanted(&questions[i], listing->query))
            continue;
        const int code = question_ask(listing, &questions[i]);
        if (code < 0)
            return code;
        incomplete |= code;
    }
    return incomplete;
}

int diag_list(const struct diag_query *query, uint32_t space, struct diag_tape *tape,
              struct socket_list *list, struct error *error)
{
    if (diag_tape_is_read(tape))
        return diag_tape_list(tape, query, space, list, error);
    struct listing listing = {
        .query = query, .space = space, .tape = tape, .list = list, .error = error};
    int code = listing_open(&listing);
    if (code == 0)
        code = listing_ask(&listing);
    else if (code == -ENOMEM)
        code = error_set(error, ENOMEM, "no memory for a list of sockets");
    else /* a kernel without sock_diag(7), or a sandbox that forbids it */
        code = procnet_list(query, space, tape, list, error);
    listing_close(&listing);
    return code;
}
