/* The program of xdp.bpf.c in the kernel, and the memory that it shares with us. */
#pragma once

#include "link/xdp_shared.h"
#include "scan/link.h"

struct xdp_program {
    struct xdp_bpf *skeleton;
    int descriptor; /* of the program */
    int answers;    /* of the ring of struct xdp_record */
    const struct link_plan *plan;
    uint16_t first_port;
    struct xdp_state *state;    /* shared */
    uint64_t *ledger, *avoided; /* as struct link_class has them; shared */
    size_t ledger_size, avoided_size;
};

/* Loads the program for a plan, which it borrows. Returns 0 or -errno with an error: -EPERM without
 * the rights. */
int xdp_program_open(const struct link_options *options, struct xdp_program *ret_program,
                     struct error *error);
void xdp_program_close(struct xdp_program *program); /* also of one that is all zero */

/* Whoever walks on a processor is this walker, below XDP_WALKERS, at first 0. */
void xdp_program_assign(struct xdp_program *program, unsigned walker, unsigned processor);

/* Sends the probes of all silent indexes from `walk->position` to its end, and counts them. Returns
 * 0 or -errno. */
int xdp_program_walk(struct xdp_program *program, unsigned walker, const struct walk *walk,
                     const unsigned char next_hop[static HARDWARE_SIZE], uint64_t *ret_sent);

/* As walker 0 for one probe, whose frame of *ret_length bytes it writes to `frame` and does not
 * send. *ret_length is 0 when nothing is to be sent. */
int xdp_program_peek(struct xdp_program *program, struct walk *walk,
                     const unsigned char next_hop[static HARDWARE_SIZE],
                     unsigned char frame[static XDP_FRAME_SIZE], uint32_t *ret_length);

/* What the program does with a frame of `length` bytes (at most XDP_HEARD_MOST, and 14 at least)
 * that comes in on the interface, as a number of enum xdp_action; the frame becomes what is sent
 * back, if it is. The interface must be one of this network namespace. Returns 0 or -errno. */
int xdp_program_hear(struct xdp_program *program, unsigned char *frame, uint32_t *length,
                     uint32_t *ret_action);
#define XDP_HEARD_MOST 1500
