/* What the kernel keeps of an ICMP error about a connection attempt (IP_RECVERR, ip(7)):
 * connect()'s errno alone cannot tell a RST from an ICMP port unreachable. */
#pragma once

#include "scan/plan.h"
#include "scan/state.h"

struct icmp_error {
    struct endpoint to; /* of the attempt that the error quotes; the protocol is TCP */
    enum reason reason;
    struct address from; /* who sent it */
};

/* Asks the kernel to queue ICMP errors for a socket of this family. Returns 0 or -errno. */
int error_queue_enable(int fd, enum address_family family);

/* Takes the next queued ICMP error. Returns false when there is none (left). */
bool error_queue_next(int fd, struct icmp_error *ret_error);

/* The pure part: reads one message as recvmsg(MSG_ERRQUEUE) returned it, believing no length in it.
 * Returns false for anything but an ICMP or ICMPv6 error. */
struct msghdr;
bool error_queue_read(const struct msghdr *message, struct icmp_error *ret_error);
