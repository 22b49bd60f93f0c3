/* The kernel's list of sockets: sock_diag(7) over netlink (libmnl), with /proc/net as the fallback;
 * and what they said, recorded and replayed. */
#pragma once

#include "base/error.h"
#include "local/socket.h"

/* What to ask for. */
struct diag_query {
    uint32_t kinds;             /* bits of enum socket_kind */
    uint32_t states;            /* bits of enum socket_state: the kernel leaves out the others */
    enum address_family family; /* ADDRESS_NONE: both. Unix sockets have none, and come anyway */
    uint16_t local_port;        /* only this one, told by the kernel where it can; 0: any */
    bool tcp_figures;           /* fill in `tcp` */
    bool memory_figures;        /* fill in `memory` */
    bool record_figures;        /* ask for both, for the tape alone */
};

#define SOCKET_KIND_BIT(kind) (UINT32_C(1) << (kind))
#define SOCKET_UNIX_KINDS                                                                          \
    (SOCKET_KIND_BIT(SOCKET_UNIX_STREAM) | SOCKET_KIND_BIT(SOCKET_UNIX_DATAGRAM) |                 \
     SOCKET_KIND_BIT(SOCKET_UNIX_SEQPACKET))

/* Is the socket one that was asked for? NULL asks for all. */
bool diag_query_takes(const struct diag_query *query, const struct socket_entry *entry);

/* What the kernel answered, in the order of the questions; what --record writes (diag_tape.h). */
struct diag_tape;

/* Appends the sockets of the network namespace that the calling thread is in, as number `space`.
 * What the kernel cannot tell over netlink is read from /proc/net; kinds of which neither knows are
 * left out, and those that we have no right to hear of are in `list->refused`. With a tape that was
 * opened for writing, all answers are recorded. With one opened for reading nothing is asked of the
 * kernel: the sockets of that space which were recorded, as far as the query takes them, come
 * again. When the kernel's table changes while it is read (NLM_F_DUMP_INTR), the kernel is asked
 * again, three times at most, unless the list was cleared meanwhile: what was taken out of it
 * cannot be taken back. Returns 0, 1 when the list may be incomplete, because even the last answer
 * was interrupted, or a kernel later than we are has sockets whose state or type we do not know; or
 * -errno with an error. */
int diag_list(const struct diag_query *query, uint32_t space, struct diag_tape *tape,
              struct socket_list *list, struct error *error);

#define DIAG_RECENT 32

/* How far the answer to a dump has come; zero before its first message. */
struct diag_progress {
    bool complete;
    bool interrupted; /* the kernel's table changed meanwhile */
    bool unknown;     /* of a socket we do not know the state or type: it was left out */
    int refusal;      /* positive errno with which the kernel would not answer */
    uint64_t recent[DIAG_RECENT]; /* cookies of the last sockets of the datagram before */
    size_t recent_count;
};

/* Appends what one datagram of a dump's answer tells, as far as `query` takes it (NULL: all). It
 * is hostile when it comes from a tape. `kind` is that of the question, any of Unix's for all
 * three. Pure. Returns 0, or -errno with an error: the messages before the one at fault have been
 * appended. */
int diag_read(const void *bytes, size_t length, enum socket_kind kind,
              const struct diag_query *query, uint32_t space, struct socket_list *list,
              struct diag_progress *progress, struct error *error);

/* The same from /proc/net: text of one of tcp, tcp6, udp, udp6, udplite, udplite6, raw, raw6, unix.
 * Lines that make no sense are an error with the line's number. */
int procnet_read(const char *text, size_t length, const char *file, const struct diag_query *query,
                 uint32_t space, struct socket_list *list, struct error *error);

/* The file that tells of a kind, any of Unix's for all three; the family is ADDRESS_NONE for those.
 * NULL: there is none. */
const char *procnet_file(enum socket_kind kind, enum address_family family);

/* The sockets of one kind and family, in the calling thread's network namespace. Returns 0; 1 when
 * there is no such file, or none that we may read, which then is in `list->refused`; or -errno with
 * an error. */
int procnet_ask(enum socket_kind kind, enum address_family family, const struct diag_query *query,
                uint32_t space, struct diag_tape *tape, struct socket_list *list,
                struct error *error);

/* All of them, as diag_list() without netlink. */
int procnet_list(const struct diag_query *query, uint32_t space, struct diag_tape *tape,
                 struct socket_list *list, struct error *error);
