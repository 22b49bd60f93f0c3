/* The kernel's messages about sockets, made by hand. */
#include "local/diag.h"

#include "diag_messages.h"
#include "guarded.h"

#include <errno.h>
#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SPACE 7

static int read_messages(const struct messages *messages, enum socket_kind kind,
                         const struct diag_query *query, struct socket_list *list,
                         struct diag_progress *progress)
{
    struct guarded guarded = guarded_open(MESSAGES_SIZE);
    assert_non_null(guarded.pages);
    *progress = (struct diag_progress){0};
    struct error error = {0};
    const int code = diag_read(guarded_copy(&guarded, messages->bytes, messages->length),
                               messages->length, kind, query, SPACE, list, progress, &error);
    assert_int_equal(code, -error.code);
    guarded_close(&guarded);
    return code;
}

static void assert_endpoint(struct address address, uint16_t port, const char *expected)
{
    char text[ENDPOINT_TEXT_SIZE];
    assert_string_equal(address_format_port(&address, port, text), expected);
}

static void assert_endpoints(const struct socket_entry *entry, const char *local,
                             const char *remote)
{
    assert_endpoint(socket_local(entry), entry->local_port, local);
    assert_endpoint(socket_remote(entry), entry->remote_port, remote);
}

static void a_message_is_a_socket(void **state)
{
    (void)state;
    struct inet_diag_msg body =
        inet_body(SOCKET_ESTABLISHED, "192.0.2.1", 443, "198.51.100.7", 50000);
    body.idiag_timer = 2;
    body.idiag_retrans = 3;
    body.idiag_expires = 7200;
    body.idiag_rqueue = 11;
    body.idiag_wqueue = 12;
    body.idiag_uid = 33;
    body.id.idiag_if = 5;
    body.id.idiag_cookie[0] = 2;
    body.id.idiag_cookie[1] = 1;
    const uint8_t shutdown = 2;
    const uint32_t mark = 99;
    const uint64_t cgroup = 12345678901;
    struct messages messages = {0};
    messages_inet(&messages, &body);
    messages_attribute(&messages, INET_DIAG_SHUTDOWN, &shutdown, sizeof(shutdown));
    messages_attribute(&messages, INET_DIAG_MARK, &mark, sizeof(mark));
    messages_attribute(&messages, INET_DIAG_CGROUP_ID, &cgroup, sizeof(cgroup));
    messages_done(&messages, 0);

    struct socket_list list;
    struct diag_progress progress;
    socket_list_init(&list);
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_true(progress.complete && !progress.interrupted && progress.refusal == 0);
    assert_int_equal(list.count, 1);
    const struct socket_entry *entry = &list.entries[0];
    assert_int_equal(entry->kind, SOCKET_TCP);
    assert_int_equal(entry->state, SOCKET_ESTABLISHED);
    assert_int_equal(entry->family, ADDRESS_IPV4);
    assert_endpoints(entry, "192.0.2.1:443", "198.51.100.7:50000");
    assert_int_equal(entry->timer, SOCKET_TIMER_KEEPALIVE);
    assert_int_equal(entry->retransmits, 3);
    assert_int_equal(entry->timer_ms, 7200);
    assert_int_equal(entry->receive_queue, 11);
    assert_int_equal(entry->send_queue, 12);
    assert_int_equal(entry->uid, 33);
    assert_int_equal(entry->interface, 5);
    assert_int_equal(entry->inode, 1443);
    assert_true(entry->has_inode);
    assert_int_equal(entry->space, SPACE);
    assert_int_equal(entry->shutdown, 2);
    assert_int_equal(entry->mark, 99);
    assert_int_equal(entry->cgroup, cgroup);
    assert_int_equal(entry->cookie, UINT64_C(0x100000002));
    assert_null(entry->tcp);
    socket_list_release(&list);
}

static void ipv6_tells_what_it_takes(void **state)
{
    (void)state;
    static const struct {
        const char *local, *remote, *shown_local, *shown_remote;
        bool mapped;
    } cases[] = {
        {"2001:db8::1", "2001:db8::2", "[2001:db8::1]:1", "[2001:db8::2]:2", false},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1:1", "192.0.2.2:2", true},
        {"::ffff:192.0.2.1", "::", "192.0.2.1:1", "0.0.0.0:2", true},
        {"::", "::ffff:192.0.2.2", "0.0.0.0:1", "192.0.2.2:2", true},
        {"::", "::", "[::]:1", "[::]:2", false},
        /* What the kernel never says stays as it is. */
        {"::ffff:192.0.2.1", "2001:db8::2", NULL, "[2001:db8::2]:2", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct inet_diag_msg body = inet_body(1, cases[i].local, 1, cases[i].remote, 2);
        const uint8_t v6only = i % 2;
        struct messages messages = {0};
        struct socket_list list;
        struct diag_progress progress;
        socket_list_init(&list);
        messages_inet(&messages, &body);
        messages_attribute(&messages, INET_DIAG_SKV6ONLY, &v6only, sizeof(v6only));
        assert_int_equal(read_messages(&messages, SOCKET_UDP, NULL, &list, &progress), 0);
        assert_false(progress.complete);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.entries[0].family, ADDRESS_IPV6);
        assert_int_equal(list.entries[0].mapped, cases[i].mapped);
        assert_int_equal(list.entries[0].v6only, i % 2);
        if (cases[i].shown_local)
            assert_endpoints(&list.entries[0], cases[i].shown_local, cases[i].shown_remote);
        socket_list_release(&list);
    }
}

/* Though its option says otherwise: it is told as that of every socket is. */
static void raw_ipv6_sockets_take_no_ipv4(void **state)
{
    (void)state;
    static const enum socket_kind kinds[] = {SOCKET_RAW, SOCKET_TCP, SOCKET_UDPLITE, SOCKET_SCTP};
    const struct inet_diag_msg body = inet_body(SOCKET_CLOSE, "::", 58, "::", 0);
    const uint8_t v6only = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct messages messages = {0};
        struct socket_list list;
        struct diag_progress progress;
        socket_list_init(&list);
        messages_inet(&messages, &body);
        messages_attribute(&messages, INET_DIAG_SKV6ONLY, &v6only, sizeof(v6only));
        assert_int_equal(read_messages(&messages, kinds[i], NULL, &list, &progress), 0);
        assert_int_equal(list.entries[0].v6only, kinds[i] == SOCKET_RAW);
        socket_list_release(&list);
    }
}

/* A link-local address belongs to the interface that the socket is bound to. */
static void link_local_addresses_have_a_scope(void **state)
{
    (void)state;
    struct inet_diag_msg body = inet_body(1, "fe80::1", 1, "2001:db8::1", 2);
    body.id.idiag_if = 1;
    struct messages messages = {0};
    struct socket_list list;
    struct diag_progress progress;
    socket_list_init(&list);
    messages_inet(&messages, &body);
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_int_equal(socket_local(&list.entries[0]).scope, 1);
    assert_int_equal(socket_remote(&list.entries[0]).scope, 0);
    socket_list_release(&list);
}

static void figures_come_when_they_are_asked_for(void **state)
{
    (void)state;
    struct tcp_info info = {.tcpi_rtt = 1500,
                            .tcpi_rttvar = 700,
                            .tcpi_min_rtt = 900,
                            .tcpi_rto = 204000,
                            .tcpi_snd_mss = 1448,
                            .tcpi_snd_cwnd = 10,
                            .tcpi_snd_ssthresh = 0x7fffffff,
                            .tcpi_pacing_rate = ~UINT64_C(0),
                            .tcpi_total_retrans = 4,
                            .tcpi_bytes_acked = 5000000000};
    const struct inet_diag_msg body = inet_body(1, "192.0.2.1", 1, "192.0.2.2", 2);
    struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_TCP), .states = SOCKET_EVERY_STATE};
    struct messages messages = {0};
    messages_inet(&messages, &body);
    messages_attribute(&messages, INET_DIAG_INFO, &info, sizeof(info));
    messages_attribute(&messages, INET_DIAG_CONG, "cubic", sizeof("cubic"));
    messages_inet(&messages, &body);
    /* An older kernel knows less; and a name may be longer than any. */
    messages_attribute(&messages, INET_DIAG_INFO, &info, offsetof(struct tcp_info, tcpi_rttvar));
    messages_attribute(&messages, INET_DIAG_CONG, "a name of many characters", 25);

    struct socket_list list;
    struct diag_progress progress;
    socket_list_init(&list);
    assert_int_equal(read_messages(&messages, SOCKET_TCP, &query, &list, &progress), 0);
    assert_int_equal(list.count, 2);
    assert_null(list.entries[0].tcp);
    socket_list_clear(&list);
    query.tcp_figures = true;
    assert_int_equal(read_messages(&messages, SOCKET_TCP, &query, &list, &progress), 0);
    const struct socket_tcp *tcp = list.entries[0].tcp;
    assert_non_null(tcp);
    assert_string_equal(tcp->congestion, "cubic");
    assert_int_equal(tcp->rtt_us, 1500);
    assert_int_equal(tcp->minimum_rtt_us, 900);
    assert_int_equal(tcp->rto_us, 204000);
    assert_int_equal(tcp->congestion_window, 10);
    assert_int_equal(tcp->slow_start_threshold, 0); /* there is none yet */
    assert_int_equal(tcp->pacing_rate, 0);
    assert_int_equal(tcp->retransmitted, 4);
    assert_int_equal(tcp->acknowledged, 5000000000);
    tcp = list.entries[1].tcp;
    assert_non_null(tcp);
    assert_int_equal(tcp->rtt_us, 1500);
    assert_int_equal(tcp->rtt_variance_us, 0);
    assert_string_equal(tcp->congestion, "a name of many ");
    socket_list_release(&list);
}

static void put_unix(struct messages *messages, uint8_t type, uint8_t state, uint32_t inode)
{
    const struct unix_diag_msg body = {.udiag_family = AF_UNIX,
                                       .udiag_type = type,
                                       .udiag_state = state,
                                       .udiag_ino = inode,
                                       .udiag_cookie = {inode, 0}};
    messages_start(messages, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &body, sizeof(body));
}

static void memory_comes_when_it_is_asked_for(void **state)
{
    (void)state;
    static const uint32_t values[SK_MEMINFO_VARS] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const struct inet_diag_msg body = inet_body(SOCKET_CLOSE, "192.0.2.1", 53, "0.0.0.0", 0);
    struct messages inet = {0}, local = {0};
    messages_inet(&inet, &body);
    messages_attribute(&inet, INET_DIAG_SKMEMINFO, values, sizeof(values));
    messages_inet(&inet, &body); /* an older kernel knows no drops */
    messages_attribute(&inet, INET_DIAG_SKMEMINFO, values, sizeof(values) - sizeof(values[0]));
    put_unix(&local, SOCK_DGRAM, SOCKET_CLOSE, 5);
    messages_attribute(&local, UNIX_DIAG_MEMINFO, values, sizeof(values));
    struct diag_query query = {.kinds = UINT32_MAX, .states = SOCKET_EVERY_STATE};
    struct socket_list list;
    struct diag_progress progress;
    socket_list_init(&list);
    for (unsigned asked = 0; asked < 2; asked++) {
        query.memory_figures = asked;
        socket_list_clear(&list);
        assert_int_equal(read_messages(&inet, SOCKET_UDP, &query, &list, &progress), 0);
        assert_int_equal(read_messages(&local, SOCKET_UNIX_STREAM, &query, &list, &progress), 0);
        assert_int_equal(list.count, 3);
        for (unsigned i = 0; i < 3; i++) {
            const struct socket_memory *memory = list.entries[i].memory;
            assert_null(list.entries[i].tcp);
            assert_int_equal(memory != NULL, asked);
            if (!asked)
                continue;
            assert_int_equal(memory->receive, 1);
            assert_int_equal(memory->receive_limit, 2);
            assert_int_equal(memory->send, 3);
            assert_int_equal(memory->send_limit, 4);
            assert_int_equal(memory->reserved, 5);
            assert_int_equal(memory->queued, 6);
            assert_int_equal(memory->options, 7);
            assert_int_equal(memory->unprocessed, 8);
            assert_int_equal(memory->dropped, i == 1 ? 0 : 9);
        }
    }
    socket_list_release(&list);
}

static void unix_sockets_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t length;
        const char *shown;
    } names[] = {
        {"/run/x", 7, "/run/x"},
        {"/run/x", 6, "/run/x"},
        {"\0abstract", 9, "@abstract"},
        {"\0a\0b\0", 5, "@a@b@"},
        {"/run/\nx\x1b[2J", 12, "/run/\nx\x1b[2J"},
        {"\0", 1, "@"},
        {"", 0, NULL},
        {"/behind\0what is not ours", 24, "/behind"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const uint32_t peer = 501, uid = 1000;
        const struct unix_diag_rqlen queues = {.udiag_rqueue = 1, .udiag_wqueue = 4096};
        struct messages messages = {0};
        struct socket_list list;
        struct diag_progress progress;
        socket_list_init(&list);
        put_unix(&messages, SOCK_SEQPACKET, SOCKET_LISTEN, 500);
        messages_attribute(&messages, UNIX_DIAG_NAME, names[i].name, names[i].length);
        messages_attribute(&messages, UNIX_DIAG_PEER, &peer, sizeof(peer));
        messages_attribute(&messages, UNIX_DIAG_RQLEN, &queues, sizeof(queues));
        messages_attribute(&messages, UNIX_DIAG_UID, &uid, sizeof(uid));
        assert_int_equal(read_messages(&messages, SOCKET_UNIX_STREAM, NULL, &list, &progress), 0);
        assert_int_equal(list.count, 1);
        const struct socket_entry *entry = &list.entries[0];
        assert_int_equal(entry->kind, SOCKET_UNIX_SEQPACKET);
        assert_int_equal(entry->state, SOCKET_LISTEN);
        assert_int_equal(entry->family, ADDRESS_NONE);
        assert_int_equal(entry->inode, 500);
        assert_int_equal(entry->peer_inode, 501);
        assert_int_equal(entry->uid, 1000);
        assert_int_equal(entry->receive_queue, 1);
        assert_int_equal(entry->send_queue, 4096);
        if (names[i].shown)
            assert_string_equal(entry->path, names[i].shown);
        else
            assert_null(entry->path);
        socket_list_release(&list);
    }
}

/* Associations of SCTP have peers, and states of their own. */
static void sctp_is_told_in_the_terms_of_tcp(void **state)
{
    (void)state;
    static const uint8_t expected[] = {SOCKET_CLOSE,       SOCKET_SYN_SENT,  SOCKET_SYN_SENT,
                                       SOCKET_ESTABLISHED, SOCKET_FIN_WAIT1, SOCKET_FIN_WAIT2,
                                       SOCKET_CLOSE_WAIT,  SOCKET_LAST_ACK};
    const struct sockaddr_storage peer = {.ss_family = AF_INET};
    struct messages messages = {0};
    struct socket_list list;
    struct diag_progress progress;
    socket_list_init(&list);
    const struct inet_diag_msg listener = inet_body(SOCKET_LISTEN, "192.0.2.1", 9, "0.0.0.0", 0);
    messages_inet(&messages, &listener);
    for (uint8_t i = 0; i < sizeof(expected); i++) {
        const struct inet_diag_msg body = inet_body(i, "192.0.2.1", 9, "192.0.2.2", 10);
        messages_inet(&messages, &body);
        messages_attribute(&messages, INET_DIAG_PEERS, &peer, sizeof(peer));
    }
    assert_int_equal(read_messages(&messages, SOCKET_SCTP, NULL, &list, &progress), 0);
    assert_int_equal(list.count, 1 + sizeof(expected));
    assert_int_equal(list.entries[0].state, SOCKET_LISTEN);
    for (size_t i = 0; i < sizeof(expected); i++)
        assert_int_equal(list.entries[1 + i].state, expected[i]);
    socket_list_release(&list);
}

static void only_what_is_asked_for_is_taken(void **state)
{
    (void)state;
    struct messages messages = {0};
    const struct inet_diag_msg bodies[] = {
        inet_body(SOCKET_LISTEN, "192.0.2.1", 22, "0.0.0.0", 0),
        inet_body(SOCKET_ESTABLISHED, "192.0.2.1", 22, "192.0.2.9", 4000),
        inet_body(SOCKET_ESTABLISHED, "2001:db8::1", 22, "2001:db8::9", 4000),
        inet_body(SOCKET_ESTABLISHED, "192.0.2.1", 4000, "192.0.2.9", 22),
    };
    for (size_t i = 0; i < 4; i++)
        messages_inet(&messages, &bodies[i]);
    const uint32_t tcp = SOCKET_KIND_BIT(SOCKET_TCP), all = SOCKET_EVERY_STATE;
    const struct {
        struct diag_query query;
        unsigned count;
    } cases[] = {
        {{.kinds = tcp, .states = all}, 4},
        {{.kinds = SOCKET_KIND_BIT(SOCKET_UDP), .states = all}, 0},
        {{.kinds = tcp, .states = SOCKET_STATE_BIT(SOCKET_LISTEN)}, 1},
        {{.kinds = tcp, .states = all, .local_port = 22}, 3},
        {{.kinds = tcp, .states = all, .local_port = 22, .family = ADDRESS_IPV6}, 1},
        {{.kinds = tcp, .states = all, .family = ADDRESS_IPV4}, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct socket_list list;
        struct diag_progress progress;
        socket_list_init(&list);
        assert_int_equal(read_messages(&messages, SOCKET_TCP, &cases[i].query, &list, &progress),
                         0);
        assert_int_equal(list.count, cases[i].count);
        socket_list_release(&list);
    }
}

static void ends_are_seen(void **state)
{
    (void)state;
    const struct inet_diag_msg body = inet_body(SOCKET_LISTEN, "192.0.2.1", 22, "0.0.0.0", 0);
    struct socket_list list;
    struct diag_progress progress;
    struct messages messages = {0};
    socket_list_init(&list);
    messages_done(&messages, 0);
    messages_inet(&messages, &body); /* nobody asked for what comes after the end */
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_true(progress.complete && progress.refusal == 0 && list.count == 0);

    messages = (struct messages){0};
    messages_done(&messages, -ENOENT);
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_true(progress.complete && progress.refusal == ENOENT);

    const int32_t code = -EPERM, least = INT32_MIN;
    messages = (struct messages){0};
    messages_start(&messages, NLMSG_ERROR, 0, &code, sizeof(code));
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_true(progress.complete && progress.refusal == EPERM);
    messages = (struct messages){0};
    messages_start(&messages, NLMSG_ERROR, 0, &least, sizeof(least));
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_true(progress.complete);

    messages = (struct messages){0};
    messages_start(&messages, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI | NLM_F_DUMP_INTR, &body,
                   sizeof(body));
    messages_start(&messages, NLMSG_NOOP, 0, NULL, 0);
    messages_start(&messages, 4711, 0, "what is this?", 13);
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), 0);
    assert_true(!progress.complete && progress.interrupted && list.count == 1);

    messages = (struct messages){0};
    messages_start(&messages, NLMSG_OVERRUN, 0, NULL, 0);
    assert_int_equal(read_messages(&messages, SOCKET_TCP, NULL, &list, &progress), -ENOBUFS);
    socket_list_release(&list);
}

/* What the kernel tells of again at the beginning of a datagram was at the end of the one before.
 */
static void what_comes_twice_counts_once(void **state)
{
    (void)state;
    struct socket_list list;
    struct diag_progress progress = {0};
    socket_list_init(&list);
    static const uint16_t ports[3][4] = {{1, 2, 3, 4}, {4, 3, 5, 6}, {6, 1, 7, 7}};
    for (size_t i = 0; i < 3; i++) {
        struct messages messages = {0};
        for (size_t k = 0; k < 4; k++) {
            struct inet_diag_msg body = inet_body(SOCKET_LISTEN, "::", ports[i][k], "::", 0);
            if (ports[i][k] == 7) /* without a cookie nobody knows */
                body.id.idiag_cookie[0] = 0;
            messages_inet(&messages, &body);
        }
        assert_int_equal(diag_read(messages.bytes, messages.length, SOCKET_TCP, NULL, SPACE, &list,
                                   &progress, NULL),
                         0);
    }
    static const uint16_t expected[] = {1, 2, 3, 4, 5, 6, 1, 7, 7};
    assert_int_equal(list.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(list.entries[i].local_port, expected[i]);
    socket_list_release(&list);
}

static void nonsense_is_an_error(void **state)
{
    (void)state;
    const struct inet_diag_msg sound = inet_body(SOCKET_LISTEN, "192.0.2.1", 22, "0.0.0.0", 0);
    for (unsigned fault = 0; fault < 3; fault++) {
        struct inet_diag_msg body = sound;
        struct messages messages = {0};
        struct socket_list list;
        struct diag_progress progress;
        enum socket_kind kind = SOCKET_TCP;
        socket_list_init(&list);
        messages_inet(&messages, &sound);
        if (fault == 0) {
            body.idiag_family = AF_UNIX;
            messages_inet(&messages, &body);
        }
        if (fault == 1)
            messages_start(&messages, SOCK_DIAG_BY_FAMILY, 0, &body, sizeof(body) - 4);
        if (fault == 2) {
            kind = SOCKET_UNIX_STREAM;
            messages = (struct messages){0};
            put_unix(&messages, SOCK_STREAM, SOCKET_LISTEN, 5);
            messages_start(&messages, SOCK_DIAG_BY_FAMILY, 0, "\1\1\1\0", 4);
        }
        assert_int_equal(read_messages(&messages, kind, NULL, &list, &progress), -EBADMSG);
        assert_int_equal(list.count, 1);
        assert_false(progress.unknown);
        socket_list_release(&list);
    }
}

struct unknown {
    enum socket_kind kind;
    uint8_t type, state;
};

static void put_unknown(struct messages *messages, const struct unknown *unknown)
{
    const struct sockaddr_storage peer = {.ss_family = AF_INET};
    const struct inet_diag_msg body =
        inet_body(unknown->state, "192.0.2.1", 80, "192.0.2.2", 50000);
    if (unknown->kind == SOCKET_UNIX_STREAM) {
        put_unix(messages, unknown->type, unknown->state, 7);
        return;
    }
    messages_inet(messages, &body);
    if (unknown->kind == SOCKET_SCTP)
        messages_attribute(messages, INET_DIAG_PEERS, &peer, sizeof(peer));
}

/* A kernel that has more states or types than we know does not keep the other sockets from us. */
static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    static const struct unknown unknowns[] = {
        {SOCKET_TCP, 0, 0},
        {SOCKET_TCP, 0, SOCKET_STATES},
        {SOCKET_TCP, 0, 32},
        {SOCKET_UDP, 0, 255},
        {SOCKET_SCTP, 0, 8}, /* of associations, which have eight */
        {SOCKET_UNIX_STREAM, 77, SOCKET_LISTEN},
        {SOCKET_UNIX_STREAM, SOCK_STREAM, SOCKET_STATES},
        {SOCKET_UNIX_STREAM, SOCK_DGRAM, 255},
    };
    const struct diag_query ssh = {
        .kinds = UINT32_MAX, .states = SOCKET_EVERY_STATE, .local_port = 22};
    const struct inet_diag_msg sound = inet_body(SOCKET_LISTEN, "192.0.2.1", 22, "0.0.0.0", 0);
    for (size_t i = 0; i < sizeof(unknowns) / sizeof(unknowns[0]); i++) {
        const enum socket_kind kind = unknowns[i].kind;
        struct messages messages = {0};
        struct socket_list list;
        struct diag_progress progress;
        socket_list_init(&list);
        put_unknown(&messages, &unknowns[i]);
        if (kind == SOCKET_UNIX_STREAM)
            put_unix(&messages, SOCK_STREAM, SOCKET_LISTEN, 5);
        else
            messages_inet(&messages, &sound);
        messages_done(&messages, 0);
        assert_int_equal(read_messages(&messages, kind, NULL, &list, &progress), 0);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.entries[0].state, SOCKET_LISTEN);
        assert_true(progress.complete && progress.unknown && !progress.interrupted);
        /* Nobody misses what was not asked for. */
        assert_int_equal(read_messages(&messages, kind, &ssh, &list, &progress), 0);
        assert_false(progress.unknown);
        socket_list_release(&list);
    }
}

/* Cut off anywhere, there is the first socket or an error, and nothing is read beyond the end. */
static void lengths_are_not_believed(void **state)
{
    (void)state;
    const struct inet_diag_msg body = inet_body(SOCKET_LISTEN, "192.0.2.1", 22, "0.0.0.0", 0);
    const struct tcp_info info = {.tcpi_rtt = 1};
    const struct unix_diag_rqlen queues = {0};
    struct messages inet = {0}, local = {0};
    messages_inet(&inet, &body);
    messages_attribute(&inet, INET_DIAG_INFO, &info, sizeof(info));
    messages_attribute(&inet, INET_DIAG_CONG, "cubic", 6);
    messages_attribute(&inet, INET_DIAG_CGROUP_ID, "12345678", 8);
    put_unix(&local, SOCK_STREAM, SOCKET_LISTEN, 5);
    messages_attribute(&local, UNIX_DIAG_NAME, "/run/some/socket", 17);
    messages_attribute(&local, UNIX_DIAG_RQLEN, &queues, sizeof(queues));
    for (unsigned which = 0; which < 2; which++) {
        const struct messages *whole = which ? &local : &inet;
        const enum socket_kind kind = which ? SOCKET_UNIX_STREAM : SOCKET_TCP;
        struct socket_list list;
        struct diag_progress progress;
        socket_list_init(&list);
        for (size_t length = 0; length < whole->length; length++) {
            struct messages cut = *whole;
            cut.length = length;
            assert_int_equal(read_messages(&cut, kind, NULL, &list, &progress),
                             length == 0 ? 0 : -EBADMSG);
            /* The same, with a length of the message that agrees. */
            const uint32_t agreed = (uint32_t)length;
            memcpy(cut.bytes, &agreed, length < sizeof(agreed) ? length : sizeof(agreed));
            const int code = read_messages(&cut, kind, NULL, &list, &progress);
            assert_true(code == 0 || code == -EBADMSG);
        }
        /* Each byte wrong in turn. */
        for (size_t at = 0; at < whole->length; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                struct messages damaged = *whole;
                damaged.bytes[at] = (char)(damaged.bytes[at] ^ (1 << bit));
                const int code = read_messages(&damaged, kind, NULL, &list, &progress);
                assert_true(code == 0 || code == -EBADMSG || code == -ENOBUFS);
            }
        socket_list_release(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_a_socket),
        cmocka_unit_test(ipv6_tells_what_it_takes),
        cmocka_unit_test(raw_ipv6_sockets_take_no_ipv4),
        cmocka_unit_test(link_local_addresses_have_a_scope),
        cmocka_unit_test(figures_come_when_they_are_asked_for),
        cmocka_unit_test(memory_comes_when_it_is_asked_for),
        cmocka_unit_test(unix_sockets_have_names),
        cmocka_unit_test(sctp_is_told_in_the_terms_of_tcp),
        cmocka_unit_test(only_what_is_asked_for_is_taken),
        cmocka_unit_test(ends_are_seen),
        cmocka_unit_test(what_comes_twice_counts_once),
        cmocka_unit_test(nonsense_is_an_error),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(lengths_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
