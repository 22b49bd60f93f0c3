/* Which of all the packets that come to this machine are the scan's: a classic BPF program. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_FILTER_SIZE 40 /* instructions, at most */

/* Writes the program for packets that begin at their network header, as SOCK_DGRAM packet sockets
 * give them, and returns its length. It lets pass, at most the first `keep` bytes of each:
 *   - TCP to a port from `first` to `last`, unless it is a later fragment;
 *   - ICMP destination unreachable, time exceeded and parameter problem, of both versions;
 *   - ICMPv6 neighbour advertisements, and ARP replies about IPv4 over Ethernet;
 *   - IPv6 with an extension header that TCP or ICMPv6 may follow, to be judged elsewhere. */
size_t packet_filter_build(uint16_t first, uint16_t last, uint32_t keep,
                           struct sock_filter program[static PACKET_FILTER_SIZE]);
