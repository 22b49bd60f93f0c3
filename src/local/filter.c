/* What a filter speaks of, seen from outside: what the kernel may leave out, and what else must be
 * known. */
#include "local/filter.h"

#include "local/filter_parts.h"

#define EVERY_KIND (SOCKET_KIND_BIT(SOCKET_KINDS) - 1)
#define INTERNET_KINDS (EVERY_KIND & ~SOCKET_UNIX_KINDS)
/* Nobody holds what is no more than a request, or than the memory of a connection. */
#define HELD_STATES                                                                                \
    (SOCKET_EVERY_STATE &                                                                          \
     ~(SOCKET_STATE_BIT(SOCKET_TIME_WAIT) | SOCKET_STATE_BIT(SOCKET_SYN_RECV) |                    \
       SOCKET_STATE_BIT(SOCKET_NEW_SYN_RECV)))
#define WAITING_STATES (SOCKET_STATE_BIT(SOCKET_LISTEN) | SOCKET_STATE_BIT(SOCKET_CLOSE))

enum {
    FAMILY_NONE = 1,
    FAMILY_IPV4 = 2,
    FAMILY_IPV6 = 4,
    FAMILY_EVERY = 7,
};

/* No socket outside of these can be one that is taken; not all within are. */
struct bounds {
    uint32_t kinds, states, families;
    uint16_t local_port; /* 0: any */
};

static const struct bounds everything = {
    .kinds = EVERY_KIND, .states = SOCKET_EVERY_STATE, .families = FAMILY_EVERY};
static const struct bounds nothing = {0};

static struct bounds both(struct bounds one, const struct bounds *other)
{
    one.kinds &= other->kinds;
    one.states &= other->states;
    one.families &= other->families;
    if (one.local_port != 0 && other->local_port != 0 && one.local_port != other->local_port)
        return nothing;
    if (one.local_port == 0)
        one.local_port = other->local_port;
    return one;
}

static bool is_nothing(const struct bounds *bounds)
{
    return bounds->kinds == 0 || bounds->states == 0 || bounds->families == 0;
}

static struct bounds either(struct bounds one, const struct bounds *other)
{
    if (is_nothing(&one))
        return *other;
    if (is_nothing(other))
        return one;
    one.kinds |= other->kinds;
    one.states |= other->states;
    one.families |= other->families;
    if (one.local_port != other->local_port)
        one.local_port = 0;
    return one;
}

static uint32_t family_bit(uint64_t family)
{
    return family == ADDRESS_IPV4   ? FAMILY_IPV4
           : family == ADDRESS_IPV6 ? FAMILY_IPV6
                                    : FAMILY_NONE;
}

static struct bounds host_bounds(const struct filter_node *node)
{
    struct bounds bounds = everything;
    bounds.kinds = INTERNET_KINDS;
    bounds.families = FAMILY_IPV4 | FAMILY_IPV6; /* IPv4 also over IPv6 sockets */
    if (node->address.family == ADDRESS_IPV6)
        bounds.families = FAMILY_IPV6;
    if (!node->ports)
        return bounds;
    const struct port_set *set = &node->ports->set;
    bounds.kinds &= ~SOCKET_KIND_BIT(SOCKET_RAW);
    if (set->count == 0)
        return nothing;
    bool single = node->sides == FILTER_LOCAL;
    for (size_t i = 0; i < set->count; i++)
        single = single && set->ranges[i].first == set->ranges[0].first &&
                 set->ranges[i].last == set->ranges[0].first;
    if (single)
        bounds.local_port = set->ranges[0].first;
    return bounds;
}

/* Is it about who holds a socket? */
static bool subject_is_of_holder(enum filter_subject subject)
{
    switch (subject) {
    case FILTER_PID:
    case FILTER_PROCESS:
    case FILTER_UNIT:
    case FILTER_CONTAINER:
    case FILTER_USER:
    case FILTER_INODE:
        return true;
    default:
        return false;
    }
}

/* Of a term that is not negated, or of what its negation takes. */
static struct bounds term_bounds(const struct filter_node *node, bool negated)
{
    struct bounds bounds = everything;
    switch (node->subject) {
    case FILTER_STATES:
        bounds.states &= (uint32_t)(negated ? ~node->low : node->low);
        return bounds;
    case FILTER_KINDS:
        bounds.kinds &= (uint32_t)(negated ? ~node->low : node->low);
        return bounds;
    case FILTER_FAMILY:
        bounds.families = family_bit(node->low);
        if (negated)
            bounds.families ^= FAMILY_EVERY;
        return bounds;
    default:
        break;
    }
    if (negated)
        return bounds;
    if (node->subject == FILTER_HOST)
        return host_bounds(node);
    if (node->subject == FILTER_PATH)
        bounds.kinds = SOCKET_UNIX_KINDS;
    if (node->subject == FILTER_WAITING || node->subject == FILTER_EXPOSED)
        bounds.states = WAITING_STATES;
    if (subject_is_of_holder(node->subject))
        bounds.states = HELD_STATES;
    return bounds;
}

/* What is not (one and other) is (not one) or (not other). */
static struct bounds node_bounds(const struct filter_node *node, bool negated)
{
    negated = negated != node->negated;
    if (node->subject != FILTER_AND && node->subject != FILTER_OR)
        return term_bounds(node, negated);
    const bool all = (node->subject == FILTER_AND) != negated;
    struct bounds bounds = all ? everything : nothing;
    for (const struct filter_node *at = node->first; at; at = at->next) {
        const struct bounds more = node_bounds(at, negated);
        bounds = all ? both(bounds, &more) : either(bounds, &more);
    }
    return bounds;
}

void filter_narrow(const struct filter *filter, struct diag_query *query)
{
    if (!filter)
        return;
    const struct bounds bounds = node_bounds(filter->root, false);
    query->kinds &= bounds.kinds;
    query->states &= bounds.states;
    if (!(bounds.families & FAMILY_NONE))
        query->kinds &= ~SOCKET_UNIX_KINDS;
    const uint32_t families = bounds.families & ~(uint32_t)FAMILY_NONE;
    if (families == 0)
        query->kinds &= SOCKET_UNIX_KINDS;
    else if (query->family != ADDRESS_NONE && !(families & family_bit(query->family)))
        query->kinds &= SOCKET_UNIX_KINDS;
    else if (families != (FAMILY_IPV4 | FAMILY_IPV6))
        query->family = families == FAMILY_IPV4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
    if (bounds.local_port == 0)
        return;
    if (query->local_port != 0 && query->local_port != bounds.local_port)
        query->kinds = 0;
    query->local_port = bounds.local_port;
}

/* ---- what the words speak of ---- */

typedef bool node_fn(const struct filter_node *node, bool negated, uint32_t *bits);

/* Is there one for which `is` holds? */
static bool any_node(const struct filter_node *node, bool negated, node_fn *is, uint32_t *bits)
{
    negated = negated != node->negated;
    if (node->subject != FILTER_AND && node->subject != FILTER_OR)
        return is(node, negated, bits);
    bool any = false;
    for (const struct filter_node *at = node->first; at; at = at->next)
        any = any_node(at, negated, is, bits) || any;
    return any;
}

static bool is_of_owner(const struct filter_node *node, bool negated, uint32_t *bits)
{
    (void)negated;
    (void)bits;
    return node->subject == FILTER_PID || node->subject == FILTER_PROCESS ||
           node->subject == FILTER_UNIT || node->subject == FILTER_CONTAINER;
}

static bool is_of_details(const struct filter_node *node, bool negated, uint32_t *bits)
{
    return is_of_owner(node, negated, bits) && node->subject != FILTER_PID;
}

static bool is_of_kinds(const struct filter_node *node, bool negated, uint32_t *bits)
{
    if (node->subject == FILTER_KINDS && !negated)
        *bits |= (uint32_t)node->low;
    else if (node->subject == FILTER_PATH && !negated)
        *bits |= SOCKET_UNIX_KINDS;
    else
        return false;
    return true;
}

static bool is_of_states(const struct filter_node *node, bool negated, uint32_t *bits)
{
    (void)bits;
    return node->subject == FILTER_STATES || node->subject == FILTER_WAITING ||
           (node->subject == FILTER_HOST && node->sides == FILTER_REMOTE) ||
           (subject_is_of_holder(node->subject) && !negated);
}

static bool names_states(const struct filter_node *node, bool negated, uint32_t *bits)
{
    if (node->subject != FILTER_STATES || negated)
        return false;
    *bits |= (uint32_t)node->low;
    return true;
}

bool filter_needs_owners(const struct filter *filter)
{
    return filter && any_node(filter->root, false, is_of_owner, NULL);
}

bool filter_needs_details(const struct filter *filter)
{
    return filter && any_node(filter->root, false, is_of_details, NULL);
}

uint32_t filter_kinds(const struct filter *filter)
{
    uint32_t kinds = 0;
    if (filter)
        any_node(filter->root, false, is_of_kinds, &kinds);
    return kinds;
}

uint32_t filter_named_states(const struct filter *filter)
{
    uint32_t states = 0;
    if (filter)
        any_node(filter->root, false, names_states, &states);
    return states;
}

uint32_t filter_states(const struct filter *filter)
{
    if (!filter || !any_node(filter->root, false, is_of_states, NULL))
        return 0;
    return node_bounds(filter->root, false).states &
           (SOCKET_USUAL_STATES | filter_named_states(filter));
}
