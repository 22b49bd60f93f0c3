/* What a scan found, gathered by host.
 *
 * The states of the ports stand in the ledger. What is added here is why: a "verdict" (state,
 * reason, from), of which a scan knows few and a host usually one for each state. */
#include "scan/results.h"

#include "base/arena.h"
#include "base/random.h"
#include "net/port_bits.h"
#include "scan/verdicts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_VERDICT UINT32_MAX

/* A port whose verdict is not the host's first one of its state. */
struct exception {
    uint32_t port; /* index in the plan's ports */
    uint32_t verdict;
};

/* What few hosts have. */
struct host_details {
    struct exception *exceptions; /* ascending by port once sealed */
    size_t exception_count, exception_capacity;
    uint64_t *failed; /* a bit for each port; NULL while none has failed by itself */
    int code;         /* errno for which no port without a state could be asked, or 0 */
};

struct kept_host {
    struct host_result result; /* the first member, so that one is found by the other */
    uint32_t
        first[STATE_COUNT]; /* the verdict that the ports of a state have, but for the exceptions */
    struct host_details *details; /* or NULL */
};

/* By number, so that finding and sorting need not look at the hosts themselves. */
struct host_entry {
    uint64_t host;
    struct host_result *result;
};

struct results {
    const struct plan *plan;
    const struct ledger *ledger;
    enum scan_end end;
    struct result_verdict silence;

    results_asked_fn *asked; /* NULL: everything is */
    const void *asked_user;
    uint64_t asked_hosts;

    struct arena memory;                   /* of the hosts and their groups */
    const struct result_group *last_group; /* of a host with no other */
    struct host_entry *hosts;
    size_t host_count, host_capacity;
    size_t *host_slots; /* place in `hosts` plus one, or 0; open addressing by host */
    size_t host_slot_count;

    struct verdicts verdicts;
};

static const struct kept_host *kept_of(const struct host_result *host)
{
    return (const struct kept_host *)host;
}

/* Those of a host, with nothing in them where it has none. */
static const struct host_details *details_of(const struct host_result *host)
{
    static const struct host_details none = {0};
    return kept_of(host)->details ? kept_of(host)->details : &none;
}

int results_new(const struct plan *plan, const struct ledger *ledger, struct results **ret_results)
{
    struct results *results = calloc(1, sizeof(*results));
    if (!results)
        return -ENOMEM;
    results->plan = plan;
    results->ledger = ledger;
    results->asked_hosts = plan->targets->size;
    results->verdicts.key = key_from_seed(random_u64());
    results->silence =
        (struct result_verdict){.state = ledger->words.silence, .reason = REASON_NO_RESPONSE};
    *ret_results = results;
    return 0;
}

void results_free(struct results *results)
{
    if (!results)
        return;
    for (size_t i = 0; i < results->host_count; i++) {
        const struct host_result *host = results->hosts[i].result;
        free(details_of(host)->exceptions);
        free(details_of(host)->failed);
        free(host->open);
        free(host->errors);
    }
    arena_release(&results->memory);
    free(results->hosts);
    free(results->host_slots);
    verdicts_release(&results->verdicts);
    free(results);
}

/* Makes room for one more element of `size` bytes after the first `count`. Returns the array, which
 * may have moved, or NULL with everything as it was. */
static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    size_t wanted = *capacity ? *capacity * 2 : 1;
    void *grown = reallocarray(array, wanted, size);
    if (grown)
        *capacity = wanted;
    return grown;
}

/* The slot that holds the host, or the free one where it belongs. */
static size_t *host_slot(const struct results *results, uint64_t host)
{
    size_t mask = results->host_slot_count - 1;
    size_t at = (size_t)mix64(host) & mask;
    while (results->host_slots[at] && results->hosts[results->host_slots[at] - 1].host != host)
        at = (at + 1) & mask;
    return &results->host_slots[at];
}

/* Keeps at least half of the slots free. */
static int host_slots_grow(struct results *results)
{
    if ((results->host_count + 1) * 2 <= results->host_slot_count)
        return 0;
    size_t count = results->host_slot_count ? results->host_slot_count * 2 : 16;
    size_t *slots = calloc(count, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(results->host_slots);
    results->host_slots = slots;
    results->host_slot_count = count;
    for (size_t i = 0; i < results->host_count; i++)
        *host_slot(results, results->hosts[i].host) = i + 1;
    return 0;
}

static struct host_result *host_new(struct results *results, uint64_t host)
{
    struct kept_host *kept = arena_take(&results->memory, sizeof(*kept));
    if (!kept)
        return NULL;
    for (unsigned i = 0; i < STATE_COUNT; i++)
        kept->first[i] = NO_VERDICT;
    kept->result.host = host;
    kept->result.address = address_set_at(results->plan->targets, host);
    return &kept->result;
}

/* The host of an index, made when it is not there yet. NULL when memory ran out. */
static struct host_result *host_of(struct results *results, uint64_t index)
{
    uint64_t host = plan_host(results->plan, index);
    if (host_slots_grow(results) < 0)
        return NULL;
    size_t *slot = host_slot(results, host);
    if (*slot)
        return results->hosts[*slot - 1].result;
    struct host_entry *hosts =
        grow(results->hosts, results->host_count, &results->host_capacity, sizeof(*hosts));
    if (!hosts)
        return NULL;
    results->hosts = hosts;
    struct host_result *result = host_new(results, host);
    if (!result)
        return NULL;
    hosts[results->host_count++] = (struct host_entry){.host = host, .result = result};
    *slot = results->host_count;
    return result;
}

static uint32_t port_of(const struct results *results, uint64_t index)
{
    return (uint32_t)(index % results->plan->ports->size);
}

/* The details of a host, made when it has none yet. NULL when memory ran out. */
static struct host_details *take_details(struct results *results, struct host_result *host)
{
    struct kept_host *kept = (struct kept_host *)host;
    if (!kept->details)
        kept->details = arena_take(&results->memory, sizeof(*kept->details));
    return kept->details;
}

static int add_open(struct host_result *host, const struct port_record *record)
{
    /* The room is a power of two, which need not be kept. */
    size_t capacity = host->open_count & (host->open_count - 1) ? SIZE_MAX : host->open_count;
    struct port_record *open = grow(host->open, host->open_count, &capacity, sizeof(*open));
    if (!open)
        return -ENOMEM;
    host->open = open;
    open[host->open_count++] = *record;
    return 0;
}

static int add_not_open(struct results *results, struct host_result *host,
                        const struct port_record *record)
{
    struct kept_host *kept = (struct kept_host *)host;
    struct result_verdict verdict = {record->state, record->reason, record->from};
    uint32_t number;
    if (verdicts_number(&results->verdicts, &verdict, &number) < 0)
        return -ENOMEM;
    if (kept->first[record->state] == NO_VERDICT)
        kept->first[record->state] = number;
    if (kept->first[record->state] != number) {
        struct host_details *details = take_details(results, host);
        if (!details)
            return -ENOMEM;
        struct exception *exceptions = grow(details->exceptions, details->exception_count,
                                            &details->exception_capacity, sizeof(*exceptions));
        if (!exceptions)
            return -ENOMEM;
        details->exceptions = exceptions;
        exceptions[details->exception_count++] =
            (struct exception){port_of(results, record->index), number};
    }
    host->counts[record->state]++;
    return 0;
}

/* An attempt failed, and the answer to an earlier one came after all. Which errno it was is not
 * kept by port, so that among several it counts as one of the last kind. */
static void forget_failure(struct host_result *host, uint32_t port)
{
    const struct host_details *details = details_of(host);
    uint64_t *failed = details->failed;
    const uint64_t bit = UINT64_C(1) << port % 64;
    if (!failed || !(failed[port / 64] & bit))
        return;
    failed[port / 64] &= ~bit;
    host->failed--;
    if (--host->errors[host->error_count - 1].count == 0)
        host->error_count--;
}

int results_add_port(struct results *results, const struct port_record *record)
{
    if (record->reason == REASON_NO_RESPONSE ||
        (results->ledger->sparse && record->state != STATE_OPEN))
        return 0;
    struct host_result *host = host_of(results, record->index);
    if (!host)
        return -ENOMEM;
    forget_failure(host, port_of(results, record->index));
    int result =
        record->state == STATE_OPEN ? add_open(host, record) : add_not_open(results, host, record);
    if (result == 0 && port_record_is_from_target(record))
        host->answered = true;
    return result;
}

static bool has_failed(const struct host_result *host, uint32_t port)
{
    const uint64_t *failed = details_of(host)->failed;
    return details_of(host)->code || (failed && failed[port / 64] >> port % 64 & 1);
}

/* Counts `count` more ports that failed for the reason `code`. */
static int add_failed(struct host_result *host, int code, uint32_t count)
{
    uint32_t at = 0;
    while (at < host->error_count && host->errors[at].code != code)
        at++;
    if (at == host->error_count) {
        struct error_group *errors = reallocarray(host->errors, at + 1u, sizeof(*errors));
        if (!errors)
            return -ENOMEM;
        errors[at] = (struct error_group){.code = code};
        host->errors = errors;
        host->error_count++;
    }
    host->errors[at].count += count;
    host->failed += count;
    return 0;
}

int results_add_error(struct results *results, const struct error_record *record)
{
    struct host_result *host = host_of(results, record->index);
    if (!host)
        return -ENOMEM;
    struct host_details *details = take_details(results, host);
    if (!details)
        return -ENOMEM;
    if (record->whole_host) {
        details->code = record->code; /* which ports that concerns is known in the end */
        return 0;
    }
    if (!details->failed) {
        details->failed = calloc(results->plan->ports->size / 64 + 1, sizeof(uint64_t));
        if (!details->failed)
            return -ENOMEM;
    }
    uint32_t port = port_of(results, record->index);
    details->failed[port / 64] |= UINT64_C(1) << port % 64;
    return add_failed(host, record->code, 1);
}

/* ---- our part of the plan ---- */

void results_set_part(struct results *results, results_asked_fn *asked, const void *user,
                      uint64_t hosts)
{
    results->asked = asked;
    results->asked_user = user;
    results->asked_hosts = hosts;
}

static bool is_asked(const struct results *results, uint64_t host, uint32_t port)
{
    uint64_t index = host * results->plan->ports->size + port;
    return !results->asked || results->asked(results->asked_user, index);
}

static bool is_host_asked(const struct results *results, uint64_t host)
{
    for (uint32_t port = 0; port < results->plan->ports->size; port++)
        if (is_asked(results, host, port))
            return true;
    return false;
}

static uint32_t count_asked(const struct results *results, uint64_t host)
{
    uint32_t ports = results->plan->ports->size, count = 0;
    if (!results->asked)
        return ports;
    for (uint32_t port = 0; port < ports; port++)
        count += is_asked(results, host, port);
    return count;
}

int results_asked_ports(const struct results *results, const struct address *target,
                        struct port_set *ret_ports)
{
    const struct port_set *ports = results->plan->ports;
    struct port_bits bits = {0};
    struct port_set set = {0};
    uint64_t host;
    if (!address_set_find(results->plan->targets, target, &host)) {
        *ret_ports = set;
        return 0;
    }
    for (uint32_t i = 0; i < ports->size; i++) {
        struct port port = port_set_at(ports, i);
        if (is_asked(results, host, i))
            port_bits_put(&bits, port);
    }
    int failed = port_set_add_bits(&set, &bits);
    if (!failed)
        *ret_ports = set;
    return failed;
}

/* ---- sealing ---- */

static int compare_numbers(uint64_t one, uint64_t other)
{
    return (one > other) - (one < other);
}

static int compare_hosts(const void *one, const void *other)
{
    return compare_numbers(((const struct host_entry *)one)->host,
                           ((const struct host_entry *)other)->host);
}

static int compare_open(const void *one, const void *other)
{
    return compare_numbers(((const struct port_record *)one)->index,
                           ((const struct port_record *)other)->index);
}

static int compare_exception_ports(const void *one, const void *other)
{
    return compare_numbers(((const struct exception *)one)->port,
                           ((const struct exception *)other)->port);
}

static int compare_exception_verdicts(const void *one, const void *other)
{
    return compare_numbers(((const struct exception *)one)->verdict,
                           ((const struct exception *)other)->verdict);
}

static int compare_errors(const void *one, const void *other)
{
    const struct error_group *left = one, *right = other;
    int order = compare_numbers(right->count, left->count);
    return order ? order : left->code - right->code;
}

/* Most ports first; the rest only makes the order the same in every run. */
static int compare_groups(const void *one, const void *other)
{
    const struct result_group *left = one, *right = other;
    int order = compare_numbers(right->count, left->count);
    if (!order)
        order = (int)left->state - (int)right->state;
    if (!order)
        order = (int)left->reason - (int)right->reason;
    return order ? order : address_compare(&left->from, &right->from);
}

static struct result_group group_of(const struct result_verdict *verdict, uint64_t count)
{
    return (struct result_group){verdict->state, verdict->reason, verdict->from, (uint32_t)count};
}

/* A lasting copy of a host's only group: often the host before has the same. */
static const struct result_group *keep_group(struct results *results,
                                             const struct result_group *group)
{
    if (!results->last_group || compare_groups(results->last_group, group) != 0) {
        struct result_group *kept = arena_take(&results->memory, sizeof(*kept));
        if (kept)
            *kept = *group;
        results->last_group = kept;
    }
    return results->last_group;
}

/* Counts the ports of each verdict. The exceptions end up ascending by port. */
static int seal_groups(struct results *results, struct host_result *host, uint32_t silent)
{
    const uint32_t *first = kept_of(host)->first;
    struct exception *exceptions = details_of(host)->exceptions;
    size_t count = details_of(host)->exception_count, distinct = 0;
    if (count)
        qsort(exceptions, count, sizeof(*exceptions), compare_exception_verdicts);
    for (size_t i = 0; i < count; i++)
        distinct += i == 0 || exceptions[i].verdict != exceptions[i - 1].verdict;
    for (unsigned state = 0; state < STATE_COUNT; state++)
        distinct += first[state] != NO_VERDICT;
    distinct += silent != 0;
    struct result_group only, *groups = &only;
    if (distinct != 1)
        groups = arena_take(&results->memory, distinct * sizeof(*groups));
    if (!groups)
        return -ENOMEM;

    uint32_t left[STATE_COUNT], at = 0;
    memcpy(left, host->counts, sizeof(left));
    for (size_t i = 0, next; i < count; i = next) {
        const struct result_verdict *verdict = &results->verdicts.items[exceptions[i].verdict];
        for (next = i; next < count && exceptions[next].verdict == exceptions[i].verdict;)
            next++;
        groups[at++] = group_of(verdict, next - i);
        left[verdict->state] -= (uint32_t)(next - i);
    }
    for (unsigned state = 0; state < STATE_COUNT; state++)
        if (first[state] != NO_VERDICT)
            groups[at++] = group_of(&results->verdicts.items[first[state]], left[state]);
    if (silent)
        groups[at++] = group_of(&results->silence, silent);
    qsort(groups, at, sizeof(*groups), compare_groups);
    if (count)
        qsort(exceptions, count, sizeof(*exceptions), compare_exception_ports);
    host->groups = distinct == 1 ? keep_group(results, &only) : groups;
    host->group_count = at;
    return host->groups ? 0 : -ENOMEM;
}

static int seal_host(struct results *results, struct host_result *host)
{
    host->asked = count_asked(results, host->host);
    uint32_t silent = host->asked - host->open_count - host->failed;
    for (unsigned state = 0; state < STATE_COUNT; state++)
        silent -= host->counts[state];
    if (details_of(host)->code && silent) {
        if (add_failed(host, details_of(host)->code, silent) < 0)
            return -ENOMEM;
        silent = 0;
    }
    if (results->ledger->sparse)
        silent = 0; /* it is not known which ports answered that they are not open */
    if (results->end != SCAN_COMPLETE) {
        host->undecided = silent;
        silent = 0;
    }
    if (host->open_count > 1)
        qsort(host->open, host->open_count, sizeof(*host->open), compare_open);
    if (host->error_count)
        qsort(host->errors, host->error_count, sizeof(*host->errors), compare_errors);
    int result = seal_groups(results, host, silent);
    host->counts[results->silence.state] += silent;
    return result;
}

int results_seal(struct results *results, enum scan_end end)
{
    results->end = end;
    if (results->host_count)
        qsort(results->hosts, results->host_count, sizeof(*results->hosts), compare_hosts);
    /* The slots point to where the hosts were; nothing is looked up from now on. */
    free(results->host_slots);
    results->host_slots = NULL;
    results->host_slot_count = 0;
    for (size_t i = 0; i < results->host_count; i++) {
        int result = seal_host(results, results->hosts[i].result);
        if (result < 0)
            return result;
    }
    return 0;
}

size_t results_host_count(const struct results *results)
{
    return results->host_count;
}

const struct host_result *results_host(const struct results *results, size_t at)
{
    return results->hosts[at].result;
}

uint64_t host_result_possibly_open(const struct host_result *host)
{
    uint64_t count = host->open_count;
    for (enum port_state state = 0; state < STATE_COUNT; state++)
        if (state_is_possibly_open(state))
            count += host->counts[state];
    return count;
}

uint64_t results_silent_host_count(const struct results *results)
{
    return results->ledger->sparse ? 0 : results->asked_hosts - results->host_count;
}

/* Adds the addresses first … end - 1 of a range of the targets. */
static int add_run(struct address_set *set, const struct address_range *range, uint64_t first,
                   uint64_t end)
{
    if (first == end)
        return 0;
    struct address address = range->first;
    address.value += first;
    return address_set_add(set, &address, range->first.value + (end - 1));
}

/* The same for those of them that are asked; `start` is the host that the range begins with. */
static int add_gap(const struct results *results, struct address_set *set,
                   const struct address_range *range, uint64_t start, uint64_t first, uint64_t end)
{
    int result = 0;
    if (!results->asked)
        return add_run(set, range, first, end);
    for (uint64_t at = first, from; at < end && result == 0; at++) {
        while (at < end && !is_host_asked(results, start + at))
            at++;
        from = at;
        while (at < end && is_host_asked(results, start + at))
            at++;
        result = add_run(set, range, from, at);
    }
    return result;
}

int results_silent_hosts(const struct results *results, struct address_set *ret_set)
{
    const struct address_set *targets = results->plan->targets;
    struct address_set set = {0};
    int result = 0;
    size_t host = 0;
    if (results->ledger->sparse) {
        *ret_set = set;
        return 0;
    }
    for (size_t i = 0; i < targets->count && result == 0; i++) {
        const struct address_range *range = &targets->ranges[i];
        uint64_t size = (uint64_t)(range->last - range->first.value) + 1;
        uint64_t from = 0; /* everything in the range before it is dealt with */
        while (result == 0 && host < results->host_count &&
               results->hosts[host].host - targets->starts[i] < size) {
            uint64_t at = results->hosts[host++].host - targets->starts[i];
            result = add_gap(results, &set, range, targets->starts[i], from, at);
            from = at + 1;
        }
        if (result == 0)
            result = add_gap(results, &set, range, targets->starts[i], from, size);
    }
    if (result == 0)
        result = address_set_seal(&set);
    if (result < 0)
        address_set_release(&set);
    else
        *ret_set = set;
    return result;
}

/* Whether the port, silent in the ledger, is known to be silent. */
static bool is_silent(const struct results *results, const struct host_result *host, uint32_t port)
{
    return results->end == SCAN_COMPLETE && !results->ledger->sparse && !has_failed(host, port) &&
           is_asked(results, host->host, port);
}

/* The verdict of a port that is not open, or NULL when it has none. `exception` is the first one at
 * or after the port. */
static const struct result_verdict *verdict_of(const struct results *results,
                                               const struct host_result *host, uint32_t port,
                                               enum port_state state, size_t exception)
{
    const struct host_details *details = details_of(host);
    uint32_t first = kept_of(host)->first[state];
    if (state == STATE_SILENT)
        return is_silent(results, host, port) ? &results->silence : NULL;
    if (exception < details->exception_count && details->exceptions[exception].port == port)
        return &results->verdicts.items[details->exceptions[exception].verdict];
    return first == NO_VERDICT ? NULL : &results->verdicts.items[first];
}

int results_each_port(const struct results *results, const struct host_result *host,
                      results_port_fn *each, void *user)
{
    const struct port_set *ports = results->plan->ports;
    const struct host_details *details = details_of(host);
    size_t exception = 0, open = 0;
    for (uint32_t port = 0; port < ports->size; port++) {
        uint64_t index = host->host * ports->size + port;
        int result = 0;
        if (open < host->open_count && host->open[open].index == index) {
            result = each(user, &host->open[open++]);
        } else {
            enum port_state state = ledger_get(results->ledger, index);
            const struct result_verdict *verdict =
                verdict_of(results, host, port, state, exception);
            if (exception < details->exception_count && details->exceptions[exception].port == port)
                exception++;
            if (verdict)
                result = each(user, &(struct port_record){.index = index,
                                                          .address = host->address,
                                                          .port = port_set_at(ports, port),
                                                          .state = verdict->state,
                                                          .reason = verdict->reason,
                                                          .from = verdict->from});
        }
        if (result)
            return result;
    }
    return 0;
}

enum port_state results_silence(const struct results *results)
{
    return results->silence.state;
}

const struct plan *results_plan(const struct results *results)
{
    return results->plan;
}

enum scan_end results_end(const struct results *results)
{
    return results->end;
}
