/* What a packet that comes in says about a probe of ours: a pure function of its bytes and a key.
 *
 * No probe is remembered. Its sequence number is a keyed hash, the cookie, of its addresses and
 * ports (RFC 6528 makes initial sequence numbers like that), and whoever answers has to give it
 * back: in the acknowledgment, in the sequence number of a RST, or in what an ICMP error quotes. */
#pragma once

#include "base/random.h"
#include "probe/technique.h"
#include "scan/plan.h"

struct cookies {
    struct key key;
    uint16_t first_port; /* the probes of tag t leave from first_port + t, for t < PROBE_TAGS */
};

struct heard {
    struct endpoint to;  /* the port that it is about; TCP, the address without a scope */
    struct address from; /* who said so when it was not the target (ICMP), without a scope; else
                            ADDRESS_NONE */
    uint8_t tag;         /* of the probe that it answers */
    struct verdict verdict;
};

/* Of the probe that leaves `source` port `source_port` for port `port` of `to`: its sequence number
 * and, when the technique acknowledges, its acknowledgment number. Scopes do not matter. */
uint32_t cookie_of(const struct cookies *cookies, const struct address *source,
                   const struct address *to, uint16_t source_port, uint16_t port);

/* What the IP packet of `length` bytes at `bytes` says. Its checksums are looked at unless it has
 * been `verified`. Returns false for a packet that is no answer to a probe, or proves nothing. */
bool judge_packet(const struct technique *technique, const struct cookies *cookies,
                  const void *bytes, size_t length, bool verified, struct heard *ret_heard);
