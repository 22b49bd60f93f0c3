/* The raw prober: packets of our own making, over whatever link the kernel's route names.
 *
 * It remembers nothing about a probe. What an answer is about, and whether it is one, its bytes say
 * (judge.h); when a probe left, the scan loop knows from the order. Only probes whose next hop has
 * still to be found wait here, and those that this machine cannot send. */
#include "probe/raw_inner.h"

#include "base/clock.h"
#include "net/resolve.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 64 /* of taking packets, after which the scan loop has its turn */
#define ASK_PERIOD (10 * NANOSECONDS_PER_MILLISECOND)
#define ASK_BURST 64 /* neighbours asked in such a time: what a network takes without a storm */
#define MISSED_PERIOD 512 /* packets */
#define TTL 64
#define WINDOW 1024
#define MSS4 1460
#define MSS6 1440
#define LOOPBACK 1 /* the index of that interface in every network namespace */
#define STUCK_TIME (5 * NANOSECONDS_PER_SECOND)

/* ---- replies of our own ---- */

static struct reply *reply_add(struct raw *self, const struct probe *probe, enum reply_kind kind)
{
    struct reply *reply = &self->ready[self->ready_head + self->ready_count++];
    *reply = (struct reply){
        .index = probe->index, .position = probe->position, .tag = probe->tag, .kind = kind};
    return reply;
}

static void reply_failure(struct raw *self, const struct probe *probe, int code)
{
    reply_add(self, probe, REPLY_FAILURE)->code = code;
}

/* Nobody on the link has the next hop's address. If that is the target itself, this says of it what
 * the last router of a remote one would say. */
static void reply_missing(struct raw *self, const struct probe *probe, const struct route *route,
                          const struct neighbour *neighbour)
{
    if (!neighbour->left || route->gateway.family != ADDRESS_NONE) {
        reply_failure(self, probe, neighbour->left ? EHOSTUNREACH : neighbour->code);
        return;
    }
    struct reply *reply = reply_add(self, probe, REPLY_ANSWER);
    reply->state = STATE_FILTERED;
    reply->reason = REASON_HOST_UNREACH;
    reply->from = route->source;
}

/* How many more can be added before collect() takes some. */
static uint32_t ready_room(const struct raw *self)
{
    return WAITING + FRAMES - self->ready_head - self->ready_count;
}

/* ---- sending ---- */

static struct link *find_link(const struct raw *self, const struct route *route)
{
    for (unsigned i = 0; i < self->link_count; i++)
        if (self->links[i]->class->carries && self->links[i]->class->carries(route))
            return self->links[i];
    return NULL;
}

struct tcp_packet raw_packet(const struct technique *technique, const struct address *source)
{
    uint16_t mss = source->family == ADDRESS_IPV4 ? MSS4 : MSS6;
    return (struct tcp_packet){
        .source = *source,
        .window = WINDOW,
        .flags = technique->flags,
        .ttl = TTL,
        .mss = technique->option ? mss : 0,
    };
}

bool raw_passes(int code)
{
    return code == ENOBUFS || code == EAGAIN || code == ENOMEM || code == EINTR ||
           code == ENETDOWN || code == ENXIO; /* a link that flaps */
}

static void build(struct raw *self, const struct probe *probe, const struct route *route,
                  const unsigned char *hardware)
{
    uint16_t source_port = (uint16_t)(self->cookies.first_port + probe->tag);
    uint32_t cookie = cookie_of(&self->cookies, &route->source, &probe->to.address, source_port,
                                probe->to.port.number);
    struct tcp_packet packet = raw_packet(self->technique, &route->source);
    packet.destination = probe->to.address;
    packet.source_port = source_port;
    packet.destination_port = probe->to.port.number;
    packet.sequence = cookie;
    packet.acknowledgment = self->technique->acknowledges ? cookie : 0;
    packet.identification = (uint16_t)(cookie ^ cookie >> 16);
    struct outgoing *frame = &self->frames[self->frame_count];
    frame->bytes = self->memory[self->frame_count] + LINK_HEADROOM;
    frame->length = (uint16_t)tcp_packet_build(&packet, frame->bytes);
    frame->route = route;
    frame->to = probe->to.address;
    if (hardware)
        memcpy(frame->next_hop, hardware, HARDWARE_SIZE);
    self->frame_count++;
}

enum placing {
    PLACED,  /* it waits among the frames */
    SETTLED, /* it got a reply, or waits for its next hop */
    FULL,    /* the frames have to leave first, or there is no room */
};

static enum placing place_waiting(struct raw *self, const struct probe *probe)
{
    if (self->waiting_count == WAITING)
        return FULL;
    self->waiting[self->waiting_count++] = *probe;
    return SETTLED;
}

/* Finds out how a probe is to leave and gathers its packet. */
static enum placing place(struct raw *self, const struct probe *probe)
{
    const struct route *route = routes_find(self->routes, &probe->to.address);
    struct link *link = route && !route->code ? find_link(self, route) : NULL;
    const unsigned char *hardware = NULL;
    if (!link) {
        reply_failure(self, probe, !route ? ENOMEM : route->code ? route->code : ENETUNREACH);
        return SETTLED;
    }
    if (self->frame_count && (link != self->frame_link || self->frame_count == FRAMES))
        return FULL;
    if (link->class->resolves) {
        bool direct = route->gateway.family == ADDRESS_NONE;
        const struct neighbour *neighbour = neighbours_find(
            &self->neighbours, self->routes, route, direct ? &probe->to.address : &route->gateway);
        if (neighbour && neighbour->state == NEIGHBOUR_ASKED)
            return place_waiting(self, probe);
        if (!neighbour || neighbour->state == NEIGHBOUR_MISSING) {
            if (neighbour)
                reply_missing(self, probe, route, neighbour);
            else
                reply_failure(self, probe, ENOMEM);
            return SETTLED;
        }
        hardware = neighbour->hardware;
    }
    self->frame_link = link;
    build(self, probe, route, hardware);
    return PLACED;
}

/* Those of the probes in [first, end) that have gone to wait, last of all, do not wait any more. */
static void take_back(struct raw *self, const struct probe *probes, size_t first, size_t end)
{
    for (; end > first && self->waiting_count; end--) {
        const struct probe *last = &self->waiting[self->waiting_count - 1];
        if (last->index == probes[end - 1].index && last->tag == probes[end - 1].tag)
            self->waiting_count--;
    }
}

/* Whether this machine has let nothing leave for so long that waiting is over. */
static bool is_stuck(struct raw *self)
{
    uint64_t now = clock_monotonic();
    if (!self->stuck_since)
        self->stuck_since = now;
    return now - self->stuck_since >= STUCK_TIME;
}

/* Sends what has been gathered of the probes before `end`. One that this machine does not let leave
 * gets a failure. Returns the first that is to be offered again; those after it which got a failure
 * already then get it twice, which costs nothing. */
static size_t send_gathered(struct raw *self, const struct probe *probes, const size_t *places,
                            size_t end)
{
    unsigned done = 0;
    while (done < self->frame_count) {
        int code = 0;
        struct link *link = self->frame_link;
        size_t sent = link->class->send(link, self->frames + done, self->frame_count - done, &code);
        self->packets += sent;
        self->sender = link;
        done += (unsigned)sent;
        if (sent)
            self->stuck_since = 0;
        if (done == self->frame_count)
            break;
        if (raw_passes(code) && !is_stuck(self)) {
            size_t first = places[done];
            self->refused++;
            self->frame_count = 0;
            take_back(self, probes, first, end);
            return first;
        }
        reply_failure(self, &probes[places[done]], code ? code : EIO);
        done++;
    }
    self->frame_count = 0;
    return end;
}

size_t raw_submit(struct prober *base, const struct probe *probes, size_t count)
{
    struct raw *self = (struct raw *)base;
    size_t places[FRAMES]; /* which probe each frame is of */
    size_t at = 0;
    while (at < count && ready_room(self) > FRAMES) {
        enum placing placing = place(self, &probes[at]);
        if (placing == PLACED)
            places[self->frame_count - 1] = at;
        if (placing != FULL) {
            at++;
            continue;
        }
        if (!self->frame_count)
            return at;
        size_t next = send_gathered(self, probes, places, at);
        if (next < at)
            return next;
    }
    return send_gathered(self, probes, places, at);
}

/* ---- next hops ---- */

static void ask(struct raw *self, struct neighbour *neighbour)
{
    unsigned char memory[LINK_HEADROOM + NEIGHBOUR_PACKET];
    struct outgoing frame = {
        .bytes = memory + LINK_HEADROOM, .route = neighbour->route, .to = neighbour->address};
    struct link *link = find_link(self, neighbour->route);
    int code = 0;
    frame.length = (uint16_t)neighbour_request(neighbour, frame.bytes, frame.next_hop);
    if (link->class->send(link, &frame, 1, &code))
        neighbour->left = true; /* one that is lost is sent again */
    else
        neighbour->code = code ? code : EIO;
}

/* Offers the probes that have waited for their next hops anew. */
static void resume_waiting(struct raw *self)
{
    uint32_t count = self->waiting_count, at = 0, kept = 0;
    self->changes = self->neighbours.changes;
    self->waiting_count = 0; /* place() puts those that go on waiting back, behind us */
    while (at < count) {
        uint32_t part = count - at < FRAMES ? count - at : FRAMES;
        struct probe probes[FRAMES];
        memcpy(probes, self->waiting + at, part * sizeof(*probes));
        uint32_t taken = (uint32_t)raw_submit(&self->base, probes, part);
        kept = self->waiting_count;
        at += taken;
        if (taken < part) { /* the others may have been written over */
            memcpy(self->waiting + at, probes + taken, (part - taken) * sizeof(*probes));
            break;
        }
    }
    memmove(self->waiting + kept, self->waiting + at, (count - at) * sizeof(*self->waiting));
    self->waiting_count = kept + count - at;
    if (at < count)
        self->changes--; /* and look again soon */
}

static void look_after_neighbours(struct raw *self, uint64_t now)
{
    if (self->neighbours.waiting && now - self->asked >= ASK_PERIOD) {
        self->asked = now;
        for (int i = 0; i < ASK_BURST; i++) {
            struct neighbour *neighbour = neighbours_due(&self->neighbours, now);
            if (!neighbour)
                break;
            ask(self, neighbour);
        }
    }
    if (self->waiting_count && self->changes != self->neighbours.changes)
        resume_waiting(self);
}

/* ---- receiving ---- */

/* Until when a probe to `address` may have waited for its next hop. */
static uint64_t waited_until(struct raw *self, const struct address *address)
{
    const struct route *route = self->neighbours.count ? routes_find(self->routes, address) : NULL;
    if (!route || route->code)
        return 0;
    const struct neighbour *neighbour = neighbours_get(
        &self->neighbours, route->gateway.family == ADDRESS_NONE ? address : &route->gateway,
        route->interface.index);
    return neighbour ? neighbour->known : 0;
}

/* That this machine cannot deliver is no state of another one's port: it has been, or will be, told
 * as a failure. */
static bool is_own_word(const struct raw *self, const struct heard *heard)
{
    uint64_t index;
    return heard->from.family != ADDRESS_NONE &&
           address_set_find(&self->self, &heard->from, &index) &&
           !address_set_find(&self->self, &heard->to.address, &index);
}

/* A RST in another one's name that came through loopback: this machine's own firewall made it,
 * about a probe that never left. */
static bool is_own_forgery(const struct raw *self, const struct incoming *packet,
                           const struct heard *heard)
{
    const struct route *route =
        packet->interface == LOOPBACK ? routes_find(self->routes, &heard->to.address) : NULL;
    return route && !route->local;
}

/* The interface that a link-local address is on. A packet from one of this machine's own comes
 * through loopback, which does not say: the scan asks for one of those. */
static uint32_t find_scope(const struct raw *self, const struct incoming *packet,
                           const struct endpoint *to)
{
    struct endpoint own = *to;
    uint64_t index;
    for (size_t i = 0; packet->interface == LOOPBACK && i < self->self.count; i++) {
        own.address.scope = self->self.ranges[i].first.scope;
        if (address_set_find(&self->self, &own.address, &index) &&
            plan_find(self->options.plan, &own, &index))
            return own.address.scope;
    }
    return packet->interface;
}

static bool take_packet(struct raw *self, const struct incoming *packet, struct reply *reply)
{
    struct heard heard;
    uint64_t index;
    if (neighbours_hear(&self->neighbours, packet->protocol, packet->interface, packet->bytes,
                        packet->length, packet->time))
        return false;
    if (!judge_packet(self->technique, &self->cookies, packet->bytes, packet->length,
                      packet->verified, &heard))
        return false;
    if (address_is_link_local(&heard.to.address) && heard.to.address.family == ADDRESS_IPV6)
        heard.to.address.scope = find_scope(self, packet, &heard.to);
    if (is_own_word(self, &heard) || is_own_forgery(self, packet, &heard))
        return false;
    if (!plan_find(self->options.plan, &heard.to, &index))
        return false;
    *reply = (struct reply){
        .index = index,
        .tag = heard.tag,
        .kind = REPLY_ANSWER,
        .state = heard.verdict.state,
        .reason = heard.verdict.reason,
        .from = heard.from,
        .time = packet->time,
        .waited = waited_until(self, &heard.to.address),
    };
    return true;
}

/* What the link had no room for: looked up now and then, because the kernel has to be asked. */
static void look_up_missed(struct raw *self)
{
    if (self->received - self->looked < MISSED_PERIOD)
        return;
    self->looked = self->received;
    self->missed = self->receiver->class->facts(self->receiver).missed;
}

size_t raw_collect(struct prober *base, uint64_t wait, struct reply *replies, size_t room)
{
    struct raw *self = (struct raw *)base;
    struct incoming packets[FRAMES];
    size_t given = 0;
    uint64_t now = 0;
    if (self->neighbours.waiting || self->waiting_count) {
        now = clock_monotonic();
        look_after_neighbours(self, now);
        wait = wait < ASK_PERIOD ? wait : ASK_PERIOD;
    }
    for (; given < room && self->ready_count; given++, self->ready_count--)
        replies[given] = self->ready[self->ready_head++];
    if (!self->ready_count)
        self->ready_head = 0;
    /* Whoever floods us with what is no answer keeps nothing else from being done. */
    for (unsigned round = 0; given < room && round < ROUNDS; round++) {
        size_t left = room - given;
        size_t count = self->receiver->class->receive(self->receiver, given ? 0 : wait, packets,
                                                      left < FRAMES ? left : FRAMES);
        for (size_t i = 0; i < count; i++)
            given += take_packet(self, &packets[i], &replies[given]);
        self->receiver->class->release(self->receiver);
        self->received += count;
        if (count < FRAMES)
            break;
        wait = 0;
    }
    look_up_missed(self);
    return given;
}

uint64_t raw_oldest(const struct prober *base)
{
    const struct raw *self = (const struct raw *)base;
    uint64_t oldest = self->walked.active ? self->walked.oldest : UINT64_MAX;
    for (uint32_t i = 0; i < self->waiting_count; i++)
        if (self->waiting[i].position < oldest)
            oldest = self->waiting[i].position;
    return oldest;
}

struct prober_facts raw_facts(const struct prober *base)
{
    const struct raw *self = (const struct raw *)base;
    return (struct prober_facts){
        .capacity = UINT32_MAX,
        .in_flight = self->waiting_count + self->ready_count + self->walked.active,
        .packets = self->packets,
        .refused = self->refused,
        .missed = self->missed,
        .walks = raw_can_walk(self),
        .left_out = self->left_out,
        .link = raw_link_name(self),
        .link_reason = self->reason[0] ? self->reason : NULL,
    };
}

/* ---- opening ---- */

int raw_permitted(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

void raw_close(struct prober *base)
{
    struct raw *self = (struct raw *)base;
    if (!self)
        return;
    for (unsigned i = 0; i < self->link_count; i++)
        self->links[i]->class->close(self->links[i]);
    routes_close(self->routes);
    port_block_close(&self->ports);
    neighbours_release(&self->neighbours);
    address_set_release(&self->self);
    free(self->waiting);
    free(self->ready);
    free(self);
}

static int open_all(struct raw *self, struct error *error)
{
    int failed = port_block_open(PROBE_TAGS, &self->ports, error);
    self->cookies = (struct cookies){
        .key = {{random_u64(), random_u64()}},
        .first_port = self->ports.first,
    };
    if (!failed)
        failed = routes_open(self->options.interface, &self->routes, error);
    if (!failed)
        failed = raw_links_open(self, error);
    if (!failed)
        failed = resolve_self(ADDRESS_NONE, &self->self, error);
    if (!failed)
        failed = address_set_seal(&self->self);
    return failed;
}

int raw_open(const struct prober_class *class, const struct prober_options *options,
             struct prober **ret_prober, struct error *error)
{
    struct raw *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, ENOMEM, "no memory for the prober");
    self->base.class = class;
    self->technique = class->technique;
    self->options = *options;
    self->waiting = calloc(WAITING, sizeof(*self->waiting));
    self->ready = calloc(WAITING + FRAMES, sizeof(*self->ready));
    int failed = self->waiting && self->ready
                     ? open_all(self, error)
                     : error_set(error, ENOMEM, "no memory for the prober");
    if (failed) {
        raw_close(&self->base);
        return failed;
    }
    *ret_prober = &self->base;
    return 0;
}
