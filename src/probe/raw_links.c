/* The links of the raw prober: which there are, and the passes that one of them may walk by itself.
 */
#include "probe/raw_inner.h"

#include "probe/walk_route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WALK_LEAST 65536 /* probes: below, opening takes longer than walking saves */

/* ---- opening ---- */

static int open_link(struct raw *self, const struct link_class *class,
                     const struct link_options *options, struct error *error)
{
    struct link *link = NULL;
    int failed = class->open(options, &link, error);
    if (failed)
        return failed;
    self->links[self->link_count++] = link;
    if (class->receive && !self->receiver)
        self->receiver = link;
    return 0;
}

/* What a link needs to walk this scan, for the targets of `route`. */
static struct link_plan plan_walk(const struct raw *self, const struct route *route)
{
    return (struct link_plan){
        .plan = self->options.plan,
        .route = route,
        .key = self->cookies.key,
        .probe = raw_packet(self->technique, &route->source),
        .tags = PROBE_TAGS,
        .pass_tags = PASS_TAGS,
        .acknowledges = self->technique->acknowledges,
    };
}

static void leave_out(void *user, uint64_t host)
{
    struct raw *self = user;
    self->left_out++;
    self->walker->class->avoid(self->walker, host);
}

/* One that walks is worth having and nothing more, unless it was asked for. */
static int open_walker(struct raw *self, const struct link_class *class,
                       const struct link_options *options, struct error *error)
{
    const struct address_set *targets = self->options.plan->targets;
    struct link_options walking = *options;
    struct error refusal = {0};
    const char *why = "the scan is too small or too large for it";
    uint64_t count = 0;
    bool named = class == self->options.link;
    const struct route *route = NULL;
    if (self->options.walks && (named || self->options.plan->count >= WALK_LEAST))
        route = walk_route_choose(self->routes, targets, class->carries, &count, &why);
    else if (!named)
        return 0;
    if (route && !named && count * self->options.plan->ports->size < WALK_LEAST)
        return 0;
    if (route) {
        self->plan = plan_walk(self, route);
        walking.plan = &self->plan;
        why = refusal.message;
    }
    if (route && open_link(self, class, &walking, &refusal) == 0) {
        self->walker = self->links[self->link_count - 1];
        walk_route_others(self->routes, targets, route, leave_out, self);
        return 0;
    }
    snprintf(self->reason, sizeof(self->reason), "%s", why);
    return named ? error_set(error, EOPNOTSUPP, "the link %s cannot be used: %s", class->name, why)
                 : 0;
}

/* The first link that can do without any other. */
static const struct link_class *plain_link(void)
{
    size_t i = 0;
    while (link_classes[i] && (!link_classes[i]->receive || link_classes[i]->walk))
        i++;
    return link_classes[i];
}

const char *raw_link_name(const struct raw *self)
{
    if (self->walker && self->walker_stopped)
        return plain_link()->name; /* one of which the walker has in itself */
    const struct link *link = self->walker ? self->walker : self->sender;
    return link ? link->class->name : NULL;
}

int raw_links_open(struct raw *self, struct error *error)
{
    const struct link_options options = {
        .first_port = self->ports.first,
        .last_port = (uint16_t)(self->ports.first + self->ports.count - 1),
        .path = self->options.link_path,
    };
    const struct link_class *const named[] = {self->options.link, NULL};
    const struct link_class *const *classes = self->options.link ? named : link_classes;
    int failed = 0;
    for (size_t i = 0; !failed && classes[i] && self->link_count < LINKS; i++) {
        const struct link_class *class = classes[i];
        if (class->walk)
            failed = open_walker(self, class, &options, error);
        else if (!self->walker || !class->receive) /* it would receive the same twice */
            failed = open_link(self, class, &options, error);
    }
    if (!failed && !self->receiver)
        failed = open_link(self, plain_link(), &options, error);
    return failed;
}

/* ---- walking ---- */

/* The gateway of all targets, which is asked for when it is not known. */
static const struct neighbour *find_gateway(struct raw *self)
{
    return neighbours_find(&self->neighbours, self->routes, self->plan.route,
                           &self->plan.route->gateway);
}

bool raw_can_walk(const struct raw *self)
{
    const struct neighbour *gateway =
        self->walker && !self->walker_stopped
            ? neighbours_get(&self->neighbours, &self->plan.route->gateway,
                             self->plan.route->interface.index)
            : NULL;
    return gateway && gateway->state == NEIGHBOUR_KNOWN;
}

bool raw_walk(struct prober *base, const struct walk *walk)
{
    struct raw *self = (struct raw *)base;
    const struct neighbour *gateway =
        self->walker && !self->walker_stopped ? find_gateway(self) : NULL;
    return gateway && gateway->state == NEIGHBOUR_KNOWN &&
           self->walker->class->walk(self->walker, walk, gateway->hardware);
}

/* A walker that fails is not asked again; what it has left out is asked as ever. */
struct walk_facts raw_walked(struct prober *base)
{
    struct raw *self = (struct raw *)base;
    if (!self->walker)
        return self->walked;
    struct walk_facts facts = self->walker->class->walked(self->walker);
    uint64_t refused = self->walker->class->facts(self->walker).refused;
    self->packets += facts.sent - self->walked.sent;
    self->refused += refused - self->walker_refused;
    self->walker_refused = refused;
    self->walked = facts;
    if (facts.code && !raw_passes(facts.code) && !self->walker_stopped) {
        snprintf(self->reason, sizeof(self->reason), "%s stopped: %s", self->walker->class->name,
                 strerror(facts.code));
        self->walker_stopped = true;
    }
    return facts;
}

uint64_t *raw_ledger(struct prober *base)
{
    struct raw *self = (struct raw *)base;
    return self->walker ? self->walker->class->ledger(self->walker) : NULL;
}

void raw_avoid(struct prober *base, uint64_t host)
{
    struct raw *self = (struct raw *)base;
    if (self->walker)
        self->walker->class->avoid(self->walker, host);
}

bool raw_avoids(const struct prober *base, uint64_t host)
{
    const struct raw *self = (const struct raw *)base;
    return self->walker && self->walker->class->avoids(self->walker, host);
}
