/* Views of IP packets: what an untrusted frame says, read through checked getters only, and the
 * packets that probes are.
 *
 * A view points into the caller's bytes and never beyond them; parsing allocates nothing and keeps
 * nothing. Ports and numbers in views are in host order. */
#pragma once

#include "net/address.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* A whole IP packet, IPv4 (RFC 791) or IPv6 (RFC 8200), whose payload begins with the header of an
 * upper-layer protocol: fragments other than the first are not viewed. */
struct ip_view {
    struct address source, destination; /* without a scope */
    uint8_t protocol;                   /* of the payload: IPPROTO_TCP, IPPROTO_ICMP, … */
    uint8_t ttl;                        /* or the hop limit */
    bool fragment;                      /* the first of several: there is more than is seen here */
    const unsigned char *payload;       /* after options and extension headers */
    size_t length;                      /* of the payload, as far as it is there */
};

/* A TCP header (RFC 9293 §3.1). */
struct tcp_view {
    uint16_t source, destination; /* ports */
    uint32_t sequence, acknowledgment;
    uint8_t flags;
    uint16_t window; /* unscaled */
};

/* An ICMP or ICMPv6 error (RFC 792, RFC 4443) about a packet of ours that it quotes. */
struct icmp_error_view {
    uint8_t type, code;
    struct ip_view quoted;        /* its payload is cut off: 8 bytes of it may be all there is */
    uint16_t source, destination; /* the quoted ports */
    uint32_t sequence;            /* of the quoted TCP header */
};

/* Reads the `length` bytes at `bytes` as an IP packet; bytes after the packet's own length (an
 * Ethernet trailer) are left out. Returns false for what is none, is cut short, lies about a
 * length, or is a later fragment. The IPv4 header's checksum is looked at when `check`. */
bool ip_view_parse(const void *bytes, size_t length, bool check, struct ip_view *ret_ip);

/* The payload of `ip` as TCP; its checksum is looked at when `check`, which needs the whole packet.
 */
bool tcp_view_parse(const struct ip_view *ip, bool check, struct tcp_view *ret_tcp);

/* The payload of `ip` as an ICMP (over IPv4) or ICMPv6 error: destination unreachable, time
 * exceeded, parameter problem, quoting a TCP packet of the same family with at least its ports and
 * sequence number. Checksums inside the quotation are not looked at, because routers change what
 * they quote. */
bool icmp_error_view_parse(const struct ip_view *ip, bool check, struct icmp_error_view *ret_error);

/* The Internet checksum (RFC 1071) of the `length` bytes at `bytes`, continued from `sum`, which
 * is 0 at first: add up with internet_sum(), then internet_fold(), which gives the value to store
 * with a memcpy (the sum is taken in the machine's byte order, and so is the result). Only the last
 * piece that is added may have an odd length. */
uint64_t internet_sum(const void *bytes, size_t length, uint64_t sum);
uint16_t internet_fold(uint64_t sum);

/* A probe without payload: what tcp_packet_build() puts into a packet. */
struct tcp_packet {
    struct address source, destination;
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledgment;
    uint16_t window;
    uint8_t flags;
    uint8_t ttl;
    uint16_t mss;            /* option (RFC 9293 §3.7.1); 0: none */
    uint16_t identification; /* IPv4 */
};

#define TCP_PACKET_MAXIMUM 64 /* bytes: IPv6, TCP and the MSS option */

/* Writes the whole IP packet with its checksums and returns its length. Addresses are of one
 * family. */
size_t tcp_packet_build(const struct tcp_packet *packet, unsigned char bytes[TCP_PACKET_MAXIMUM]);
