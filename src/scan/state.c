/* Names of states and reasons, and what ICMP errors mean for a port. */
#include "scan/state.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

const char *state_name(enum port_state state)
{
    switch (state) {
    case STATE_OPEN:
        return "open";
    case STATE_CLOSED:
        return "closed";
    case STATE_FILTERED:
        return "filtered";
    case STATE_UNFILTERED:
        return "unfiltered";
    case STATE_OPEN_FILTERED:
        return "open|filtered";
    case STATE_SILENT:
    case STATE_COUNT:
        break;
    }
    return "undecided";
}

bool state_is_possibly_open(enum port_state state)
{
    return state == STATE_OPEN || state == STATE_UNFILTERED || state == STATE_OPEN_FILTERED;
}

static const struct {
    const char *name;
    enum port_state state;
    const char *meaning;
} reasons[REASON_COUNT] = {
#define REASON(symbol, name, state, meaning) [REASON_##symbol] = {name, state, meaning},
#include "scan/reason.def"
#undef REASON
};

const char *reason_name(enum reason reason)
{
    return reasons[reason].name;
}

enum port_state reason_state(enum reason reason)
{
    return reasons[reason].state;
}

const char *reason_meaning(enum reason reason)
{
    return reasons[reason].meaning;
}

static enum reason reason_from_icmp_unreach(uint8_t code)
{
    switch (code) {
    case ICMP_NET_UNREACH:
        return REASON_NET_UNREACH;
    case ICMP_HOST_UNREACH:
        return REASON_HOST_UNREACH;
    case ICMP_PROT_UNREACH:
        return REASON_PROTO_UNREACH;
    case ICMP_PORT_UNREACH:
        return REASON_PORT_UNREACH;
    case ICMP_NET_ANO:
        return REASON_NET_PROHIBITED;
    case ICMP_HOST_ANO:
        return REASON_HOST_PROHIBITED;
    case ICMP_PKT_FILTERED:
        return REASON_ADMIN_PROHIBITED;
    default:
        return REASON_DEST_UNREACH;
    }
}

enum reason reason_from_icmp(uint8_t type, uint8_t code)
{
    switch (type) {
    case ICMP_DEST_UNREACH:
        return reason_from_icmp_unreach(code);
    case ICMP_TIME_EXCEEDED:
        return REASON_TIME_EXCEEDED;
    case ICMP_PARAMETERPROB:
        return REASON_PARAM_PROBLEM;
    default:
        return REASON_DEST_UNREACH;
    }
}

/* RFC 4443 §3.1; <netinet/icmp6.h> has no names for the two codes that RFC 4443 added. */
#define ICMP6_DST_UNREACH_INGRESS 5
#define ICMP6_DST_UNREACH_REJECT_ROUTE 6

static enum reason reason_from_icmp6_unreach(uint8_t code)
{
    switch (code) {
    case ICMP6_DST_UNREACH_NOROUTE:
        return REASON_NO_ROUTE;
    case ICMP6_DST_UNREACH_ADMIN:
    case ICMP6_DST_UNREACH_INGRESS: /* "more informative subsets of code 1" */
        return REASON_ADMIN_PROHIBITED;
    case ICMP6_DST_UNREACH_BEYONDSCOPE:
        return REASON_BEYOND_SCOPE;
    case ICMP6_DST_UNREACH_ADDR:
        return REASON_HOST_UNREACH;
    case ICMP6_DST_UNREACH_NOPORT:
        return REASON_PORT_UNREACH;
    case ICMP6_DST_UNREACH_REJECT_ROUTE:
        return REASON_REJECT_ROUTE;
    default:
        return REASON_DEST_UNREACH;
    }
}

enum reason reason_from_icmp6(uint8_t type, uint8_t code)
{
    switch (type) {
    case ICMP6_DST_UNREACH:
        return reason_from_icmp6_unreach(code);
    case ICMP6_TIME_EXCEEDED:
        return REASON_TIME_EXCEEDED;
    case ICMP6_PARAM_PROB:
        return REASON_PARAM_PROBLEM;
    default:
        return REASON_DEST_UNREACH;
    }
}
