/* A socket of this machine, as the kernel tells of it: what `sockets` and `netstat` list. */
#pragma once

#include "base/arena.h"
#include "net/address.h"

/* Kinds of sockets, as people call them. */
enum socket_kind {
    SOCKET_TCP,
    SOCKET_MPTCP,
    SOCKET_UDP,
    SOCKET_UDPLITE,
    SOCKET_SCTP,
    SOCKET_RAW,
    SOCKET_UNIX_STREAM,
    SOCKET_UNIX_DATAGRAM,
    SOCKET_UNIX_SEQPACKET,
    SOCKET_KINDS,
};

/* The kernel's states (include/net/tcp_states.h), of which all kinds borrow: a bound UDP socket is
 * CLOSE, a connected one ESTABLISHED. */
enum socket_state {
    SOCKET_ESTABLISHED = 1,
    SOCKET_SYN_SENT,
    SOCKET_SYN_RECV,
    SOCKET_FIN_WAIT1,
    SOCKET_FIN_WAIT2,
    SOCKET_TIME_WAIT,
    SOCKET_CLOSE,
    SOCKET_CLOSE_WAIT,
    SOCKET_LAST_ACK,
    SOCKET_LISTEN,
    SOCKET_CLOSING,
    SOCKET_NEW_SYN_RECV, /* the kernel's own, for requests; it tells of them as SYN_RECV */
    SOCKET_BOUND, /* TCP that has a port, but neither listens nor is connected; since Linux 6.8 */
    SOCKET_STATES,
};

/* Sets of states. ss's `-a` is without SOCKET_BOUND. */
#define SOCKET_STATE_BIT(state) (UINT32_C(1) << (state))
#define SOCKET_EVERY_STATE (SOCKET_STATE_BIT(SOCKET_STATES) - 2)
#define SOCKET_USUAL_STATES (SOCKET_EVERY_STATE & ~SOCKET_STATE_BIT(SOCKET_BOUND))

enum socket_timer {
    SOCKET_TIMER_OFF,
    SOCKET_TIMER_RETRANSMIT, /* "on" */
    SOCKET_TIMER_KEEPALIVE,
    SOCKET_TIMER_TIME_WAIT,
    SOCKET_TIMER_PROBE, /* zero window: "persist" */
};

/* The rest of what TCP says of itself, only when it is asked for (-v). Times in microseconds, rates
 * in bytes a second, sizes in bytes. 0: the kernel did not say. */
struct socket_tcp {
    char congestion[16]; /* "cubic" */
    uint32_t rtt_us, rtt_variance_us, minimum_rtt_us, rto_us;
    uint32_t mss, congestion_window, slow_start_threshold; /* the window in segments */
    uint32_t unacked, lost, retransmitting, retransmitted; /* segments */
    uint64_t pacing_rate, delivery_rate;
    uint64_t sent, acknowledged, received;
    uint32_t receive_space;
    uint64_t last_sent_ms, last_received_ms; /* ago */
};

/* What its buffers hold of the machine's memory, only when it is asked for (-m): what the kernel
 * calls SK_MEMINFO. In bytes, with what the kernel needs for itself, unlike the queues. */
struct socket_memory {
    uint32_t receive, receive_limit, send, send_limit;
    uint32_t reserved;    /* for what is still to come */
    uint32_t queued;      /* to be sent */
    uint32_t options;     /* of the socket, such as filters */
    uint32_t unprocessed; /* came while its process was inside the kernel */
    uint32_t dropped;     /* packets, for want of room or because they were broken */
};

/* Two cache lines of 64 bytes: a machine may have hundreds of thousands. */
struct socket_entry {
    uint128_t local, remote; /* addresses' values (net/address.h) */
    uint8_t kind;            /* enum socket_kind */
    uint8_t state;           /* enum socket_state */
    uint8_t family;          /* enum address_family; ADDRESS_NONE for Unix sockets */
    uint8_t timer;           /* enum socket_timer */
    uint8_t retransmits;     /* of the timer's cause */
    uint8_t shutdown;        /* bits of RCV_SHUTDOWN (1) and SEND_SHUTDOWN (2), where known */
    bool v6only;             /* an IPv6 socket that does not take IPv4, where known */
    bool has_inode;          /* false in TIME_WAIT and SYN_RECV: nobody holds it */
    bool mapped;             /* an IPv6 socket that talks IPv4: the addresses are IPv4's values */
    uint16_t local_port, remote_port;   /* RAW: `local_port` is the protocol's number */
    uint32_t interface;                 /* bound to it; 0: none */
    uint32_t uid;                       /* of who made it */
    uint32_t timer_ms;                  /* until the timer is due */
    uint32_t receive_queue, send_queue; /* bytes; LISTEN: connections that wait, and the most that
                                           may (0: not known) */
    uint32_t mark;                      /* 0 also without CAP_NET_ADMIN */
    uint32_t space;                     /* which network namespace: index into struct socket_list */
    uint32_t inode;                     /* 0: none */
    uint32_t peer_inode;                /* of a connected Unix socket; 0: none */
    uint64_t cookie;  /* identifies it as long as the machine runs; 0: not known */
    uint64_t cgroup;  /* identity of its control group; 0: not known */
    const char *path; /* of a Unix socket, in the list's arena; "@name" is abstract; NULL: none.
                         Any bytes but NUL, in whose place "@" stands: escape it */
    const struct socket_tcp *tcp;       /* in the list's arena; NULL: not asked for, or none */
    const struct socket_memory *memory; /* the same */
};

/* The addresses with their family and scope. */
struct address socket_local(const struct socket_entry *entry);
struct address socket_remote(const struct socket_entry *entry);

/* Sees whether an IPv6 socket talks IPv4: one of its addresses is IPv4's, and the other one is,
 * too, or is not set. Then it becomes `mapped`. */
void socket_entry_unmap(struct socket_entry *entry);

const char *socket_kind_name(enum socket_kind kind); /* "tcp", "u_str" … as ss has them */
const char *
socket_state_name(enum socket_state state); /* "LISTEN", "TIME_WAIT" … as RFC 9293 and netstat */

/* By name, any case, with "-" or "_" or neither, also ss's ("estab", "listening", "unconn") and the
 * RFC's ("SYN-RECEIVED", "FIN-WAIT-1").
 * Returns 0 or -EINVAL. */
int socket_state_parse(const char *name, size_t length, enum socket_state *ret_state);

/* A network namespace. */
struct socket_space {
    uint64_t inode; /* of its file in /proc/PID/ns: what "net:[4026531840]" shows */
    char name[64];  /* of `ip netns`, else ""; hostile */
    bool own;       /* it is ours */
};

/* Sockets as they are listed. Where a hundred thousand shall not be in memory at once, `grown` is
 * called whenever some more have come, a few hundred at a time: those from `checked` on. It may
 * take out any of these, and sets `checked` to what is left; or all there are, by
 * socket_list_clear(). When it returns -errno, the listing ends with that. */
struct socket_list {
    struct socket_entry *entries;
    size_t count, capacity;
    size_t checked;              /* those before it `grown` has seen already */
    uint64_t clears;             /* how often all were taken out, and cannot be taken back */
    struct socket_space *spaces; /* [0] is our own */
    size_t space_count;
    uint32_t refused; /* bits of enum socket_kind of which we had no right to hear */
    struct arena arena;
    int (*grown)(struct socket_list *list, void *user, struct error *error);
    void *user;
};

void socket_list_init(struct socket_list *list);
void socket_list_release(struct socket_list *list);
void socket_list_clear(struct socket_list *list); /* forgets the sockets, and their arena */
/* Forgets those from `mark` on, which came last: they will come again. */
void socket_list_truncate(struct socket_list *list, size_t mark);
/* A zeroed entry at the end, valid until the next call; NULL without memory. */
struct socket_entry *socket_list_add(struct socket_list *list);

/* Calls `grown`, for those who list. Returns 0 or what it returned. */
int socket_list_grown(struct socket_list *list, struct error *error);
