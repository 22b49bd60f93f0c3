/* The packet filter: a table with labels, of which jumps are made. */
#include "link/packet_filter.h"

#include <assert.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>

/* Where jumps go. NEXT is the following instruction. */
enum label { NEXT, IPV4, IPV4_TCP, IPV4_ICMP, IPV6, IPV6_TCP, IPV6_ICMP, PASS, DROP };

struct instruction {
    enum label here; /* the label that it bears, or NEXT */
    uint16_t code;
    uint32_t operand;
    enum label yes, no; /* of jumps */
};

/* Loads go into A. One from beyond the packet's end drops the packet. */
#define LOAD_BYTE(at) BPF_LD | BPF_B | BPF_ABS, (at), NEXT, NEXT
#define LOAD_HALF(at) BPF_LD | BPF_H | BPF_ABS, (at), NEXT, NEXT
#define LOAD_WORD(at) BPF_LD | BPF_W | BPF_ABS, (at), NEXT, NEXT
#define LOAD_BYTE_BEHIND_X(at) BPF_LD | BPF_B | BPF_IND, (at), NEXT, NEXT
#define LOAD_HALF_BEHIND_X(at) BPF_LD | BPF_H | BPF_IND, (at), NEXT, NEXT
#define IPV4_HEADER_LENGTH_TO_X BPF_LDX | BPF_B | BPF_MSH, 0, NEXT, NEXT
#define SHIFT_RIGHT(bits) BPF_ALU | BPF_RSH | BPF_K, (bits), NEXT, NEXT
#define IF_EQUAL(value, yes, no) BPF_JMP | BPF_JEQ | BPF_K, (value), yes, no
#define IF_ANY_BIT(mask, yes, no) BPF_JMP | BPF_JSET | BPF_K, (mask), yes, no
#define IF_AT_LEAST(value, yes, no) BPF_JMP | BPF_JGE | BPF_K, (value), yes, no
#define IF_ABOVE(value, yes, no) BPF_JMP | BPF_JGT | BPF_K, (value), yes, no
#define RETURN(length) BPF_RET | BPF_K, (length), NEXT, NEXT

/* Operands that the caller knows, as values that no other instruction has. */
#define FIRST_PORT UINT32_C(0xfffffff1)
#define LAST_PORT UINT32_C(0xfffffff2)
#define KEEP UINT32_C(0xfffffff3)

enum {
    FRAGMENT_OFFSET = 0x1fff,
    ARP_OF_IPV4_OVER_ETHERNET = 0x00010800, /* types of hardware and of protocol */
    ARP_REPLY = 0x06040002,                 /* their address lengths, and the operation */
};

static const struct instruction table[] = {
    {NEXT, LOAD_BYTE(0)},
    {NEXT, SHIFT_RIGHT(4)}, /* the version */
    {NEXT, IF_EQUAL(4, IPV4, NEXT)},
    {NEXT, IF_EQUAL(6, IPV6, NEXT)},

    {NEXT, LOAD_WORD(0)},
    {NEXT, IF_EQUAL(ARP_OF_IPV4_OVER_ETHERNET, NEXT, DROP)},
    {NEXT, LOAD_WORD(4)},
    {NEXT, IF_EQUAL(ARP_REPLY, PASS, DROP)},

    {IPV4, LOAD_HALF(6)},
    {NEXT, IF_ANY_BIT(FRAGMENT_OFFSET, DROP, NEXT)},
    {NEXT, IPV4_HEADER_LENGTH_TO_X},
    {NEXT, LOAD_BYTE(9)},
    {NEXT, IF_EQUAL(IPPROTO_TCP, IPV4_TCP, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_ICMP, IPV4_ICMP, DROP)},

    {IPV4_ICMP, LOAD_BYTE_BEHIND_X(0)},
    {NEXT, IF_EQUAL(ICMP_DEST_UNREACH, PASS, NEXT)},
    {NEXT, IF_EQUAL(ICMP_TIME_EXCEEDED, PASS, NEXT)},
    {NEXT, IF_EQUAL(ICMP_PARAMETERPROB, PASS, DROP)},

    {IPV6, LOAD_BYTE(6)}, /* the next header */
    {NEXT, IF_EQUAL(IPPROTO_TCP, IPV6_TCP, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_ICMPV6, IPV6_ICMP, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_HOPOPTS, PASS, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_ROUTING, PASS, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_FRAGMENT, PASS, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_AH, PASS, NEXT)},
    {NEXT, IF_EQUAL(IPPROTO_DSTOPTS, PASS, DROP)},

    {IPV6_ICMP, LOAD_BYTE(40)},
    {NEXT, IF_EQUAL(ICMP6_DST_UNREACH, PASS, NEXT)},
    {NEXT, IF_EQUAL(ICMP6_TIME_EXCEEDED, PASS, NEXT)},
    {NEXT, IF_EQUAL(ICMP6_PARAM_PROB, PASS, NEXT)},
    {NEXT, IF_EQUAL(ND_NEIGHBOR_ADVERT, PASS, DROP)},

    {IPV4_TCP, LOAD_HALF_BEHIND_X(2)},
    {NEXT, IF_AT_LEAST(FIRST_PORT, NEXT, DROP)},
    {NEXT, IF_ABOVE(LAST_PORT, DROP, PASS)},

    {IPV6_TCP, LOAD_HALF(42)},
    {NEXT, IF_AT_LEAST(FIRST_PORT, NEXT, DROP)},
    {NEXT, IF_ABOVE(LAST_PORT, DROP, PASS)},

    {PASS, RETURN(KEEP)},
    {DROP, RETURN(0)},
};
enum { LENGTH = sizeof(table) / sizeof(*table) };
static_assert(LENGTH <= PACKET_FILTER_SIZE, "the program has room");

/* How far a jump from `from` to `label` goes. The program is so short that a byte holds it. */
static uint8_t distance(size_t from, enum label label)
{
    size_t to = from + 1;
    while (label != NEXT && table[to].here != label)
        to++;
    return (uint8_t)(to - from - 1);
}

size_t packet_filter_build(uint16_t first, uint16_t last, uint32_t keep,
                           struct sock_filter program[static PACKET_FILTER_SIZE])
{
    for (size_t i = 0; i < LENGTH; i++) {
        const struct instruction *from = &table[i];
        bool jumps = BPF_CLASS(from->code) == BPF_JMP;
        program[i] = (struct sock_filter){
            .code = from->code,
            .k = from->operand == FIRST_PORT  ? first
                 : from->operand == LAST_PORT ? last
                 : from->operand == KEEP      ? keep
                                              : from->operand,
            .jt = jumps ? distance(i, from->yes) : 0,
            .jf = jumps ? distance(i, from->no) : 0,
        };
    }
    return LENGTH;
}
