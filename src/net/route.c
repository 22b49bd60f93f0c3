/* struct routes: what the kernel said of each stretch of addresses, asked when it is first needed.
 */
#include "net/route.h"

#include "net/rtnetlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EARLY = 1 << 16, /* no more stretches are asked about before they are needed */
    SHARED = 64,     /* so many of the last answers are looked through for the same one */
    ANY_PORT = 9     /* nothing is sent there */
};

struct answer {
    struct route route;
    struct answer *next; /* an older one */
};

/* The addresses of one family as seen when packets leave by one interface. */
struct view {
    const struct stretches *stretches;
    uint32_t interface;          /* 0: any */
    const struct route **routes; /* of each stretch; NULL: not asked yet */
    size_t last;                 /* the stretch of the last address looked for */
    struct view *next;
};

struct routes {
    struct netlink *netlink;
    uint32_t interface;
    int chooser; /* while they are opened: a UDP socket, to see which source is chosen; else -1 */
    struct route_map map;
    struct interface_list interfaces;
    struct answer *answers;             /* the newest first */
    struct view *views;                 /* all of them, in the order of their making */
    struct view *last_ipv4, *last_ipv6; /* used last */
};

static bool is_unspecified(const struct address *address)
{
    return address->family == ADDRESS_NONE || address->value == 0;
}

/* The source that connect() would take to a destination, learned without a packet. */
static bool choose_source(const struct routes *routes, const struct address *to,
                          struct address *ret_source)
{
    struct sockaddr_storage sockaddr, forget = {.ss_family = AF_UNSPEC};
    struct address source;
    socklen_t length = address_to_sockaddr(to, ANY_PORT, &sockaddr);
    if (connect(routes->chooser, (struct sockaddr *)&sockaddr, length) != 0)
        return false;
    length = sizeof(sockaddr);
    const bool chosen = getsockname(routes->chooser, (struct sockaddr *)&sockaddr, &length) == 0 &&
                        address_from_sockaddr((struct sockaddr *)&sockaddr, &source, NULL) &&
                        source.family == to->family && !is_unspecified(&source);
    connect(routes->chooser, (struct sockaddr *)&forget, sizeof(forget.ss_family));
    if (chosen)
        *ret_source = (struct address){.family = source.family, .value = source.value};
    return chosen;
}

/* Asks the way connect() does: where a source decides about the route as well, the kernel's choice
 * of it is what decides. */
static int ask(struct routes *routes, struct route_question *question,
               struct route_answer *ret_answer)
{
    struct route_answer answer;
    int code = rtnetlink_route(routes->netlink, question, &answer);
    if (code != 0)
        return code;
    const bool ipv4 = question->to.family == ADDRESS_IPV4;
    bool again = false;
    if (answer.code == 0 && ipv4 && routes->map.ipv4_by_source && !is_unspecified(&answer.source)) {
        question->source = answer.source;
        again = true;
    } else if (answer.code != 0 && !ipv4 && routes->chooser >= 0) {
        /* Routes that are for some sources only (RFC 8504 §5.4) are not seen without one. */
        again = choose_source(routes, &question->to, &question->source);
    }
    if (again) {
        struct route_answer second;
        code = rtnetlink_route(routes->netlink, question, &second);
        if (code != 0)
            return code;
        second.source = question->source;
        answer = second;
    }
    *ret_answer = answer;
    return 0;
}

/* The question about `to`, or the errno of an address that is none for connect(). */
static int question_about(const struct address *to, uint32_t interface,
                          struct route_question *ret_question)
{
    *ret_question = (struct route_question){.to = {.family = to->family, .value = to->value},
                                            .interface = interface};
    if (to->family == ADDRESS_IPV6) {
        if (address_is_link_local(to) && interface == 0)
            return EINVAL; /* which link? */
        if (to->value == 0)
            ret_question->to.value = 1; /* "::" stands for this machine, as 0.0.0.0 does */
    }
    return 0;
}

/* An interface by its index, also when it is newer than `routes`. Returns 0, -ENODEV or -errno. */
static int find_interface(struct routes *routes, uint32_t index, struct interface *ret_interface)
{
    const struct interface *interface = interface_list_find(&routes->interfaces, index);
    if (!interface) {
        const int code = rtnetlink_interfaces(routes->netlink, index, &routes->interfaces);
        if (code != 0)
            return code;
        interface = interface_list_find(&routes->interfaces, index);
    }
    if (!interface)
        return -ENODEV;
    *ret_interface = *interface;
    return 0;
}

/* An interface that lacks an address gets none, or ::1, and nobody could answer either. */
static bool can_be_source(const struct address *source, const struct interface *interface)
{
    return !is_unspecified(source) &&
           (interface->flags & IFF_LOOPBACK || !address_is_loopback(source));
}

static int make_route(struct routes *routes, const struct address *to, uint32_t interface,
                      struct route *ret_route)
{
    struct route_question question;
    struct route_answer answer = {0};
    struct route route = {.code = question_about(to, interface, &question)};
    if (route.code == 0) {
        const int code = ask(routes, &question, &answer);
        if (code != 0)
            return code;
        route.code = answer.code;
    }
    if (route.code == 0) {
        const int code = find_interface(routes, answer.interface, &route.interface);
        if (code != 0 && code != -ENODEV)
            return code;
        route.code = -code;
    }
    if (route.code == 0 && !can_be_source(&answer.source, &route.interface))
        route.code = EADDRNOTAVAIL;
    if (route.code == 0) {
        route.source = answer.source;
        route.gateway = answer.gateway;
        route.local = answer.local;
    }
    *ret_route = route;
    return 0;
}

static bool route_equal(const struct route *one, const struct route *other)
{
    return one->code == other->code && one->local == other->local &&
           one->interface.index == other->interface.index &&
           address_equal(&one->source, &other->source) &&
           address_equal(&one->gateway, &other->gateway);
}

/* Keeps an answer: stretches mostly share theirs with others. */
static const struct route *keep(struct routes *routes, const struct route *route)
{
    unsigned seen = 0;
    for (const struct answer *answer = routes->answers; answer && seen < SHARED;
         answer = answer->next, seen++)
        if (route_equal(&answer->route, route))
            return &answer->route;
    struct answer *answer = malloc(sizeof(*answer));
    if (!answer)
        return NULL;
    *answer = (struct answer){.route = *route, .next = routes->answers};
    routes->answers = answer;
    return &answer->route;
}

/* The view of a family through an interface, made when there is none. NULL without memory. */
static struct view *view_find(struct routes *routes, enum address_family family, uint32_t interface)
{
    const struct stretches *stretches =
        family == ADDRESS_IPV4 ? &routes->map.ipv4 : &routes->map.ipv6;
    struct view **place = &routes->views;
    for (; *place; place = &(*place)->next)
        if ((*place)->stretches == stretches && (*place)->interface == interface)
            return *place;
    struct view *view = malloc(sizeof(*view));
    if (!view)
        return NULL;
    *view = (struct view){.stretches = stretches,
                          .interface = interface,
                          .routes = calloc(stretches->count, sizeof(*view->routes))};
    if (!view->routes) {
        free(view);
        return NULL;
    }
    *place = view;
    return view;
}

/* Asks about an address of a stretch. Returns 0 or -errno. */
static int learn(struct routes *routes, struct view *view, size_t stretch, uint128_t value)
{
    const struct address to = {.family = view->stretches->family, .value = value};
    struct route route;
    const int code = make_route(routes, &to, view->interface, &route);
    if (code != 0)
        return code;
    view->routes[stretch] = keep(routes, &route);
    return view->routes[stretch] ? 0 : -ENOMEM;
}

const struct route *routes_find(struct routes *routes, const struct address *to)
{
    const bool ipv4 = to->family == ADDRESS_IPV4;
    const uint32_t interface = !ipv4 && to->scope != 0 ? to->scope : routes->interface;
    struct view **last = ipv4 ? &routes->last_ipv4 : &routes->last_ipv6;
    struct view *view = *last;
    if (!view || view->interface != interface) {
        view = view_find(routes, to->family, interface);
        if (!view)
            return NULL;
        *last = view;
    }
    if (!stretches_holds(view->stretches, view->last, to->value))
        view->last = stretches_find(view->stretches, to->value);
    if (!view->routes[view->last] && learn(routes, view, view->last, to->value) != 0)
        return NULL;
    return view->routes[view->last];
}

const struct route *routes_find_stretch(struct routes *routes, const struct address *to,
                                        uint128_t *ret_last)
{
    const struct route *route = routes_find(routes, to);
    if (!route)
        return NULL;
    const struct view *view = to->family == ADDRESS_IPV4 ? routes->last_ipv4 : routes->last_ipv6;
    const struct stretches *stretches = view->stretches;
    bool is_last = view->last + 1 == stretches->count;
    *ret_last = is_last ? address_maximum(to->family) : stretches->starts[view->last + 1] - 1;
    return route;
}

/* Returns a socket, or -1 without IPv6. */
static int chooser_open(uint32_t interface)
{
    const int index = (int)interface;
    const int chooser = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (chooser < 0 || index == 0 ||
        setsockopt(chooser, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index)) == 0)
        return chooser;
    close(chooser);
    return -1;
}

/* Which source connect() would take is asked with a connect(), and a process that guards itself may
 * not be allowed one later: where sources decide about routes, all is learned at once. */
static int learn_early(struct routes *routes)
{
    struct view *view = view_find(routes, ADDRESS_IPV6, routes->interface);
    if (!view)
        return -ENOMEM;
    routes->chooser = view->stretches->count <= EARLY ? chooser_open(routes->interface) : -1;
    if (routes->chooser < 0)
        return 0; /* what is for some sources only is not seen */
    int code = 0;
    for (size_t i = 0; code == 0 && i < view->stretches->count; i++)
        code = learn(routes, view, i, view->stretches->starts[i]);
    close(routes->chooser);
    routes->chooser = -1;
    return code;
}

static int open_parts(struct routes *routes, struct error *error)
{
    int code = netlink_open(NETLINK_ROUTE, &routes->netlink);
    if (code == 0)
        code = rtnetlink_interfaces(routes->netlink, 0, &routes->interfaces);
    if (code == 0)
        code = rtnetlink_map(routes->netlink, &routes->map);
    if (code != 0)
        return error_set(error, -code, "cannot read the kernel's routes: %s", strerror(-code));
    if (routes->interface != 0 && !interface_list_find(&routes->interfaces, routes->interface))
        return error_set(error, ENODEV, "there is no interface with the index %u",
                         routes->interface);
    code = routes->map.ipv6_by_source ? learn_early(routes) : 0;
    return code == 0 ? 0 : error_set(error, -code, "cannot ask for routes: %s", strerror(-code));
}

int routes_open(uint32_t interface, struct routes **ret_routes, struct error *error)
{
    struct routes *routes = calloc(1, sizeof(*routes));
    if (!routes)
        return error_set(error, ENOMEM, "out of memory");
    routes->interface = interface;
    routes->chooser = -1;
    const int code = open_parts(routes, error);
    if (code != 0) {
        routes_close(routes);
        return code;
    }
    *ret_routes = routes;
    return 0;
}

void routes_close(struct routes *routes)
{
    if (!routes)
        return;
    while (routes->views) {
        struct view *view = routes->views;
        routes->views = view->next;
        free(view->routes);
        free(view);
    }
    while (routes->answers) {
        struct answer *answer = routes->answers;
        routes->answers = answer->next;
        free(answer);
    }
    stretches_release(&routes->map.ipv4);
    stretches_release(&routes->map.ipv6);
    interface_list_release(&routes->interfaces);
    netlink_close(routes->netlink);
    if (routes->chooser >= 0)
        close(routes->chooser);
    free(routes);
}

bool routes_neighbour(struct routes *routes, uint32_t interface, const struct address *address,
                      unsigned char ret_hardware[HARDWARE_SIZE])
{
    return rtnetlink_neighbour(routes->netlink, interface, address, ret_hardware) == 0;
}
