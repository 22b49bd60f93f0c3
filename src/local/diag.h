/* The kernel's list of sockets: sock_diag(7) over netlink (libmnl), with /proc/net as the fallback;
 * and what netlink said, recorded and replayed. */
#pragma once

#include "base/error.h"
#include "local/socket.h"

/* What to ask for. */
struct diag_query {
    uint32_t kinds;             /* bits of enum socket_kind */
    uint32_t states;            /* bits of enum socket_state: the kernel leaves out the others */
    enum address_family family; /* ADDRESS_NONE: both */
    uint16_t local_port;        /* only this one, told by the kernel where it can; 0: any */
    bool tcp_figures;           /* fill in `tcp` */
};

/* Bytes that netlink answered, in the order of the questions; what --record writes. Its format is
 * documented in diag_tape.c: a header with version and byte order, then for each dump what was
 * asked and the messages. */
struct diag_tape;
int diag_tape_open(const char *path, bool write, struct diag_tape **ret_tape, struct error *error);
int diag_tape_close(struct diag_tape *tape, struct error *error);

/* Appends the sockets of the network namespace that the calling thread is in, as number `space`.
 * With a tape opened for reading nothing is asked of the kernel. Kinds that the kernel lacks are
 * left out. Returns 0, 1 when the list may be incomplete (the kernel's table changed while it was
 * read: NLM_F_DUMP_INTR, after three tries), or -errno with an error. */
int diag_list(const struct diag_query *query, uint32_t space, struct diag_tape *tape,
              struct socket_list *list, struct error *error);

/* The messages of one dump's answer, which are hostile when they come from a tape. `family` and
 * `kind` are those of the question. Pure. Returns 1 at the end of the dump, 0 when more follows, or
 * -errno with an error. */
int diag_read(const void *bytes, size_t length, enum socket_kind kind, uint32_t space,
              struct socket_list *list, struct error *error);

/* The same from /proc/net: text of one of tcp, tcp6, udp, udp6, udplite, udplite6, raw, raw6, unix.
 * Lines that make no sense are an error with the line's number. */
int procnet_read(const char *text, size_t length, const char *file, uint32_t space,
                 struct socket_list *list, struct error *error);
int procnet_list(const struct diag_query *query, uint32_t space, struct socket_list *list,
                 struct error *error);
