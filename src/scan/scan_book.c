/* What came: replies become states, states become events. */
#include "scan/scan_inner.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>

struct rtt *book_rtt(struct scan *scan, uint64_t host)
{
    return &scan->rtts[host < scan->host_slots ? host : host % scan->host_slots];
}

static void note_answered(struct scan *scan, uint64_t host)
{
    uint64_t place = host % ANSWERED_BITS;
    unsigned char bit = (unsigned char)(1u << place % 8);
    if (scan->answered[place / 8] & bit)
        return;
    scan->answered[place / 8] |= bit;
    scan->hosts_answered++;
}

bool scan_asks(const struct scan *scan, uint64_t index)
{
    return scan->options.shards <= 1 ||
           order_position(&scan->order, index) % scan->options.shards == scan->options.shard;
}

static bool asks_host(const struct scan *scan, uint64_t host)
{
    uint64_t ports = scan->plan->ports->size;
    for (uint64_t index = host * ports; index < (host + 1) * ports; index++)
        if (scan_asks(scan, index))
            return true;
    return false;
}

uint64_t book_count_hosts(const struct scan *scan)
{
    uint64_t hosts = scan->plan->targets->size, count = 0;
    if (scan->options.shards <= 1)
        return hosts;
    if (scan->plan->ports->size == 1)
        return scan->positions;
    if (hosts > HOST_SLOTS) { /* as many as chance gives, which is precise for so many */
        double left_out = pow(1 - 1 / (double)scan->options.shards, scan->plan->ports->size);
        return (uint64_t)((double)hosts * (1 - left_out));
    }
    for (uint64_t host = 0; host < hosts; host++)
        count += asks_host(scan, host);
    return count;
}

bool book_has_failed(const struct scan *scan, uint64_t index)
{
    return (scan->failed_hosts.count &&
            number_set_has(&scan->failed_hosts, plan_host(scan->plan, index))) ||
           number_set_has(&scan->failed_ports, index);
}

uint64_t book_count_failed(const struct scan *scan)
{
    uint64_t ports = scan->plan->ports->size, count = 0;
    for (size_t i = 0; i < scan->failed_hosts.capacity; i++) {
        uint64_t host = scan->failed_hosts.slots[i];
        if (host == UINT64_MAX)
            continue;
        uint64_t end = (host + 1) * ports;
        uint64_t index = ledger_next_silent(&scan->ledger, host * ports);
        for (; index < end; index = ledger_next_silent(&scan->ledger, index + 1))
            count += scan_asks(scan, index);
    }
    for (size_t i = 0; i < scan->failed_ports.capacity; i++) {
        uint64_t index = scan->failed_ports.slots[i];
        if (index != UINT64_MAX && ledger_get(&scan->ledger, index) == STATE_SILENT &&
            !number_set_has(&scan->failed_hosts, plan_host(scan->plan, index)))
            count++;
    }
    return count;
}

uint64_t book_count_silent(const struct scan *scan)
{
    uint64_t others = scan->plan->count - scan->positions;
    return scan->ledger.counts[STATE_SILENT] - others - book_count_failed(scan);
}

bool book_is_complete(const struct scan *scan)
{
    uint64_t silent = scan->ledger.counts[STATE_SILENT] - (scan->plan->count - scan->positions);
    uint64_t failed; /* at most */
    if (__builtin_mul_overflow(scan->failed_hosts.count, scan->plan->ports->size, &failed) ||
        silent <= failed + scan->failed_ports.count)
        return book_count_silent(scan) == 0;
    return false;
}

static struct port_record make_record(const struct scan *scan, uint64_t index)
{
    struct endpoint to = plan_endpoint(scan->plan, index);
    return (struct port_record){
        .index = index,
        .address = to.address,
        .port = to.port,
        .tries = scan->at.pass,
        .time = scan->clock + scan->wall_offset,
    };
}

/* What an answer of the target's own shows, whether it is kept or not. */
static void note_answer(struct scan *scan, const struct port_record *record)
{
    uint64_t host = plan_host(scan->plan, record->index);
    note_answered(scan, host);
    if (record->state != STATE_FILTERED && !lanes_find(&scan->lanes, host))
        canaries_offer(&scan->canaries, record->index, host, record->rtt);
}

static void count_answer(struct scan *scan, const struct port_record *record)
{
    uint64_t host = plan_host(scan->plan, record->index);
    struct lane *lane = lanes_find(&scan->lanes, host);
    note_answer(scan, record);
    if (lane)
        lane_hear(lane, false, scan->clock);
    else if (record->tries >= 1 && record->tries <= SCAN_TRIES_MAXIMUM)
        scan->at.answers[record->tries - 1]++;
    watch_hear(&scan->watch, host, (uint32_t)(record->index % scan->plan->ports->size),
               record->tries < scan->at.pass, record->state == scan->ledger.words.refused);
}

int book_port(struct scan *scan, const struct port_record *record)
{
    int decided = ledger_set(&scan->ledger, record->index, record->state);
    if (decided == 0 && scan->ledger.sparse && port_record_is_from_target(record))
        note_answer(scan, record);
    if (decided <= 0)
        return decided;
    /* What a router or this machine says of the target tells nothing of what the target's own
     * answers lose on their way. */
    if (port_record_is_from_target(record))
        count_answer(scan, record);
    return scan->events.port ? scan->events.port(scan->events.user, record) : 0;
}

/* A missing route concerns every port of a host; a firewall's refusal only this one, and so does
 * that every source port towards it is taken (EADDRNOTAVAIL). */
static bool concerns_host(int code)
{
    return code == ENETUNREACH || code == EHOSTUNREACH || code == EAFNOSUPPORT || code == EINVAL ||
           code == ENODEV || code == ENETDOWN;
}

int book_error(struct scan *scan, const struct error_record *record)
{
    /* A canary or a check that could not leave takes nothing from what is known. */
    if (!record->whole_host && ledger_get(&scan->ledger, record->index) != STATE_SILENT)
        return 0;
    int added = record->whole_host
                    ? number_set_add(&scan->failed_hosts, plan_host(scan->plan, record->index))
                    : number_set_add(&scan->failed_ports, record->index);
    if (added != 0)
        return added < 0 ? added : 0;
    return scan->events.error ? scan->events.error(scan->events.user, record) : 0;
}

/* The latest pass that has asked with this tag. */
static unsigned pass_of_tag(const struct scan *scan, uint8_t tag)
{
    unsigned back = (scan->at.pass - 1 + PASS_TAGS - tag) % PASS_TAGS;
    return back < scan->at.pass ? scan->at.pass - back : scan->at.pass;
}

/* When the probe of a pass was sent, or 0. */
static uint64_t find_sent(const struct scan *scan, const struct reply *reply, unsigned pass)
{
    uint64_t sent = sent_log_time(&scan->log, pass, pass_position(scan, pass, reply->index));
    return sent && reply->waited > sent ? reply->waited : sent;
}

/* Finds out which asking was answered, and how long that took. */
static void place_in_time(const struct scan *scan, const struct reply *reply,
                          struct port_record *record)
{
    const struct lane *lane = NULL;
    uint64_t sent;
    if (reply->tag == LANE_TAG)
        lane = lanes_find(&scan->lanes, plan_host(scan->plan, reply->index));
    if (lane) {
        record->tries = lane->earlier + lane->pass;
        if (record->tries > SCAN_TRIES_MAXIMUM)
            record->tries = SCAN_TRIES_MAXIMUM;
        sent = lane_time(lane, reply->index);
    } else {
        record->tries = pass_of_tag(scan, reply->tag % PASS_TAGS);
        sent = find_sent(scan, reply, record->tries);
    }
    if (!record->rtt && sent && reply->time)
        record->rtt = reply->time > sent ? reply->time - sent : 1;
}

/* A host has answered again what it had answered before. */
static void book_check(struct scan *scan, uint64_t host)
{
    struct lane *lane = lanes_find(&scan->lanes, host);
    if (lane)
        lane_hear(lane, true, scan->clock);
    else
        watch_check_answer(&scan->watch, host);
}

static int take_answer(struct scan *scan, const struct reply *reply)
{
    struct rtt *rtt = book_rtt(scan, plan_host(scan->plan, reply->index));
    struct port_record record = make_record(scan, reply->index);
    record.state = reply->state;
    record.reason = reply->reason;
    record.from = reply->from;
    record.rtt = reply->rtt;
    if (scan->class->stateless) {
        if (reply->tag >= CANARY_TAG) {
            canaries_hear(&scan->canaries, reply->index, reply->tag, reply->time);
            return 0;
        }
        if (reply->tag == LANE_TAG && ledger_get(&scan->ledger, reply->index) != STATE_SILENT) {
            book_check(scan, plan_host(scan->plan, reply->index));
            return 0;
        }
        place_in_time(scan, reply, &record);
        /* What comes again was sent again by the other end, and is no round trip. */
        if (record.rtt && reply->from.family == ADDRESS_NONE &&
            ledger_get(&scan->ledger, reply->index) == STATE_SILENT)
            rtt_spread_add(&scan->spread, record.rtt);
    }
    if (reply->from.family == ADDRESS_NONE && record.rtt) {
        rtt_add(rtt, record.rtt, scan->class->stateless);
        rtt_add(&scan->all, record.rtt, scan->class->stateless);
    }
    return book_port(scan, &record);
}

static int take_failure(struct scan *scan, const struct reply *reply)
{
    struct endpoint to = plan_endpoint(scan->plan, reply->index);
    const struct error_record record = {
        .index = reply->index,
        .address = to.address,
        .port = to.port,
        .whole_host = concerns_host(reply->code),
        .code = reply->code,
        .time = scan->clock + scan->wall_offset,
    };
    return book_error(scan, &record);
}

int book_reply(struct scan *scan, const struct reply *reply)
{
    if (scan->window < scan->window_maximum)
        scan->window++;
    switch (reply->kind) {
    case REPLY_ANSWER: /* which somebody may have forged about a port that was not asked */
        return scan_asks(scan, reply->index) ? take_answer(scan, reply) : 0;
    case REPLY_FAILURE:
        return take_failure(scan, reply);
    case REPLY_SILENCE:
        break;
    }
    return 0;
}

int book_silence(struct scan *scan)
{
    uint64_t index = ledger_next_silent(&scan->ledger, 0);
    if (!scan->events.port || scan->ledger.sparse)
        return 0;
    for (; index < scan->plan->count; index = ledger_next_silent(&scan->ledger, index + 1)) {
        if (book_has_failed(scan, index) || !scan_asks(scan, index))
            continue;
        struct port_record record = make_record(scan, index);
        record.state = scan->ledger.words.silence;
        record.reason = REASON_NO_RESPONSE;
        int failed = scan->events.port(scan->events.user, &record);
        if (failed)
            return failed;
    }
    return 0;
}

/* A lane asks for what the passes would ask for. */
static bool is_asked(const void *user, uint64_t index)
{
    const struct scan *scan = user;
    return scan_asks(scan, index) && !book_has_failed(scan, index);
}

int book_lanes(struct scan *scan)
{
    /* Whoever counts by the second has not shown in less what it does in one. */
    uint64_t elapsed = scan->elapsed_before + scan->clock - scan->began;
    double seconds = fmax(1, (double)elapsed / (double)NANOSECONDS_PER_SECOND);
    uint64_t ports = scan->plan->ports->size, *answers = scan->at.answers;
    unsigned last = scan->at.pass - 1;
    scan->lanes.includes = is_asked;
    scan->lanes.user = scan;
    watch_measure(&scan->watch, scan->steer.share);
    for (uint64_t host = 0; host < scan->watch.count && !scan->ledger.sparse; host++) {
        uint32_t heard, late;
        if (!watch_is_limited(&scan->watch, host, &heard, &late) || scan->at.pass < 2 ||
            lanes_find(&scan->lanes, host))
            continue;
        uint32_t refused = scan->watch.hosts[host].refused;
        uint64_t check = refused ? host * ports + refused - 1 : LANE_NO_CHECK;
        if (lanes_add(&scan->lanes, scan->plan, host, scan->at.pass, heard / seconds, check,
                      scan->clock) < 0)
            return -ENOMEM;
        if (scan->walks)
            scan->class->avoid(scan->prober, host);
        canaries_forget(&scan->canaries, host * ports, (host + 1) * ports);
        /* What it kept back tells nothing of the path. */
        answers[last] -= late < answers[last] ? late : answers[last];
        answers[0] -= heard - late < answers[0] ? heard - late : answers[0];
        scan->lanes.earlier_answers += heard;
    }
    return 0;
}

/* A router that looks for a host in vain says so as late as three time-outs of a second are over.
 */
#define GRACE_MARGIN (250 * NANOSECONDS_PER_MILLISECOND)

uint64_t book_grace(struct scan *scan)
{
    const struct rtt_limits *limits = &scan->options.timeouts;
    uint64_t ports = scan->plan->ports->size, grace = 0;
    if (!scan->watch.count || scan->ledger.sparse)
        return limits->initial;
    for (uint64_t host = 0; host < scan->watch.count; host++) {
        uint64_t index = ledger_next_silent(&scan->ledger, host * ports);
        if (index >= (host + 1) * ports || !scan_asks(scan, index) || book_has_failed(scan, index))
            continue;
        uint64_t timeout = rtt_timeout(book_rtt(scan, host), &scan->all, 2, limits) / 2;
        timeout += GRACE_MARGIN;
        grace = timeout > grace ? timeout : grace;
    }
    return grace;
}
