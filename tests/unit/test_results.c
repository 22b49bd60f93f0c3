/* What a scan found, compared with a model that keeps everything. */
#include "base/random.h"
#include "scene.h"

#include <errno.h>
#include <stdlib.h>

static void add_answer(struct scene *scene, uint64_t index, enum reason reason, struct address from)
{
    struct port_record record = scene_answer(scene, index, reason, from);
    record.rtt = 1000 + index;
    assert_true(ledger_set(&scene->ledger, index, record.state));
    assert_int_equal(results_add_port(scene->results, &record), 0);
}

static void add_failure(struct scene *scene, uint64_t index, int code)
{
    struct error_record record = scene_failure(scene, index, code);
    assert_int_equal(results_add_error(scene->results, &record), 0);
}

static int collect_port(void *user, const struct port_record *record)
{
    struct port_record **next = user;
    *(*next)++ = *record;
    return 0;
}

/* 192.0.2.1 has one port open, one refused, one rejected by a firewall and one silent; nothing
 * comes from 192.0.2.2 and 192.0.2.3. */
static void one_host_answers(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_add_targets(&scene, 0xc0000201, 0xc0000203);
    port_set_add(&scene.ports, PROTOCOL_TCP, 20, 23);
    scene_init(&scene);
    add_answer(&scene, 1, REASON_CONN_REFUSED, (struct address){0});
    add_answer(&scene, 0, REASON_SYN_ACK, (struct address){0});
    add_answer(&scene, 3, REASON_PORT_UNREACH, ipv4(0xc0000209));
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);

    assert_int_equal(results_host_count(scene.results), 1);
    const struct host_result *host = results_host(scene.results, 0);
    assert_int_equal(host->host, 0);
    assert_true(host->answered);
    assert_int_equal(host->open_count, 1);
    assert_int_equal(host->open[0].port.number, 20);
    assert_int_equal(host->open[0].rtt, 1000);
    assert_int_equal(host->counts[STATE_CLOSED], 1);
    assert_int_equal(host->counts[STATE_FILTERED], 2);
    assert_int_equal(host->group_count, 3);

    struct port_record records[4], *next = records;
    assert_int_equal(results_each_port(scene.results, host, collect_port, &next), 0);
    assert_int_equal(next - records, 4);
    assert_int_equal(records[0].port.number, 20);
    assert_int_equal(records[0].reason, REASON_SYN_ACK);
    assert_int_equal(records[0].rtt, 1000);
    assert_int_equal(records[1].port.number, 21);
    assert_int_equal(records[1].reason, REASON_CONN_REFUSED);
    assert_int_equal(records[2].port.number, 22);
    assert_int_equal(records[2].reason, REASON_NO_RESPONSE);
    assert_int_equal(records[3].port.number, 23);
    assert_int_equal(records[3].reason, REASON_PORT_UNREACH);
    assert_int_equal(records[3].from.value, 0xc0000209);

    struct address_set silent = {0};
    assert_int_equal(results_silent_host_count(scene.results), 2);
    assert_int_equal(results_silent_hosts(scene.results, &silent), 0);
    assert_int_equal(silent.size, 2);
    assert_int_equal(silent.count, 1);
    assert_int_equal(silent.ranges[0].first.value, 0xc0000202);
    address_set_release(&silent);
    scene_release(&scene);
}

/* A router that says "host unreachable" does not make the host one that answered; a firewall on the
 * host itself does. */
static void who_answered(void **state)
{
    (void)state;
    static const struct {
        enum reason reason;
        uint32_t from;
        bool answered;
    } cases[] = {
        {REASON_SYN_ACK, 0, true},          {REASON_CONN_REFUSED, 0, true},
        {REASON_PORT_UNREACH, 0, true},     {REASON_PORT_UNREACH, 0xc0000209, false},
        {REASON_ADMIN_PROHIBITED, 0, true}, {REASON_HOST_UNREACH, 0xc0000209, false},
        {REASON_HOST_UNREACH, 0, false}, /* neighbour discovery failed on this machine's link */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene scene = {0};
        scene_add_targets(&scene, 0xc0000201, 0xc0000201);
        port_set_add(&scene.ports, PROTOCOL_TCP, 20, 23);
        scene_init(&scene);
        add_answer(&scene, 2, cases[i].reason,
                   cases[i].from ? ipv4(cases[i].from) : (struct address){0});
        assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);
        assert_int_equal(results_host(scene.results, 0)->answered, cases[i].answered);
        scene_release(&scene);
    }
}

/* Failures are never filtered ports, and an interrupted scan leaves ports undecided. */
static void failures_and_interruption(void **state)
{
    (void)state;
    for (unsigned interrupted = 0; interrupted < 2; interrupted++) {
        struct scene scene = {0};
        scene_add_targets(&scene, 0xc0000201, 0xc0000201);
        port_set_add(&scene.ports, PROTOCOL_TCP, 1, 100);
        scene_init(&scene);
        for (uint64_t index = 0; index < 10; index++)
            add_failure(&scene, index, index < 3 ? EPERM : ENETUNREACH);
        add_answer(&scene, 50, REASON_CONN_REFUSED, (struct address){0});
        assert_int_equal(
            results_seal(scene.results, interrupted ? SCAN_INTERRUPTED : SCAN_COMPLETE), 0);
        assert_int_equal(results_end(scene.results),
                         interrupted ? SCAN_INTERRUPTED : SCAN_COMPLETE);

        const struct host_result *host = results_host(scene.results, 0);
        assert_int_equal(host->failed, 10);
        assert_int_equal(host->error_count, 2);
        assert_int_equal(host->errors[0].code, ENETUNREACH);
        assert_int_equal(host->errors[0].count, 7);
        assert_int_equal(host->errors[1].code, EPERM);
        assert_int_equal(host->errors[1].count, 3);
        assert_int_equal(host->undecided, interrupted ? 89 : 0);
        assert_int_equal(host->counts[STATE_FILTERED], interrupted ? 0 : 89);

        struct port_record records[100], *next = records;
        assert_int_equal(results_each_port(scene.results, host, collect_port, &next), 0);
        assert_int_equal(next - records, interrupted ? 1 : 90);
        assert_int_equal(records[0].port.number, interrupted ? 51 : 11);
        scene_release(&scene);
    }
}

/* Whoever could not ask again has asked before: the answer to that holds when it comes. */
static void an_answer_after_a_failure_counts(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_add_targets(&scene, 0xc0000201, 0xc0000202);
    port_set_add(&scene.ports, PROTOCOL_TCP, 1, 3);
    scene_init(&scene);
    add_failure(&scene, 0, EPERM);
    add_failure(&scene, 1, EPERM);
    add_failure(&scene, 5, EPERM);
    add_answer(&scene, 1, REASON_SYN_ACK, (struct address){0});
    add_answer(&scene, 5, REASON_CONN_REFUSED, (struct address){0});
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);

    const struct host_result *host = results_host(scene.results, 0);
    assert_int_equal(host->failed, 1);
    assert_int_equal(host->error_count, 1);
    assert_int_equal(host->errors[0].count, 1);
    assert_int_equal(host->open_count, 1);
    assert_int_equal(host->counts[STATE_FILTERED], 1);
    host = results_host(scene.results, 1);
    assert_int_equal(host->failed, 0);
    assert_int_equal(host->error_count, 0);
    assert_int_equal(host->counts[STATE_CLOSED], 1);
    assert_int_equal(host->counts[STATE_FILTERED], 2);
    scene_release(&scene);
}

/* Whoever chooses the addresses that routers answer from cannot make looking for them slow: for
 * these, a hash without a key would be the same. */
static void senders_chosen_to_collide(void **state)
{
    (void)state;
    struct scene scene = {0};
    const uint32_t count = 30000;
    scene_add_targets(&scene, 0xc0000201, 0xc0000201);
    port_set_add(&scene.ports, PROTOCOL_TCP, 1, (uint16_t)count);
    scene_init(&scene);
    for (uint64_t index = 0; index < count; index++) {
        const uint64_t high = UINT64_C(0x20010db800000000) | index;
        const struct address from = {.family = ADDRESS_IPV6,
                                     .value = (uint128_t)high << 64 | mix64(high)};
        add_answer(&scene, index, REASON_ADMIN_PROHIBITED, from);
    }
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);
    const struct host_result *host = results_host(scene.results, 0);
    assert_int_equal(host->group_count, count);
    assert_int_equal(host->counts[STATE_FILTERED], count);
    scene_release(&scene);
}

/* Without a route no port of the host can be asked, but answers to what had left before count. */
static void whole_host_fails(void **state)
{
    (void)state;
    for (unsigned interrupted = 0; interrupted < 2; interrupted++) {
        struct scene scene = {0};
        scene_add_targets(&scene, 0xc0000201, 0xc0000201);
        port_set_add(&scene.ports, PROTOCOL_TCP, 1, 100);
        scene_init(&scene);
        struct error_record record = scene_failure(&scene, 7, ENETUNREACH);
        record.whole_host = true;
        add_failure(&scene, 3, EPERM);
        assert_int_equal(results_add_error(scene.results, &record), 0);
        add_answer(&scene, 50, REASON_CONN_REFUSED, (struct address){0});
        assert_int_equal(
            results_seal(scene.results, interrupted ? SCAN_INTERRUPTED : SCAN_COMPLETE), 0);

        const struct host_result *host = results_host(scene.results, 0);
        assert_int_equal(host->failed, 99);
        assert_int_equal(host->error_count, 2);
        assert_int_equal(host->errors[0].code, ENETUNREACH);
        assert_int_equal(host->errors[0].count, 98);
        assert_int_equal(host->errors[1].code, EPERM);
        assert_int_equal(host->undecided + host->counts[STATE_FILTERED], 0);

        struct port_record records[100], *next = records;
        assert_int_equal(results_each_port(scene.results, host, collect_port, &next), 0);
        assert_int_equal(next - records, 1);
        assert_int_equal(records[0].port.number, 51);
        scene_release(&scene);
    }
}

static int stop_at_third(void *user, const struct port_record *record)
{
    (void)record;
    return ++*(int *)user == 3 ? 77 : 0;
}

static void walk_ends_when_told(void **state)
{
    (void)state;
    struct scene scene = {0};
    int calls = 0;
    scene_add_targets(&scene, 0xc0000201, 0xc0000201);
    port_set_add(&scene.ports, PROTOCOL_TCP, 0, 9);
    scene_init(&scene);
    add_answer(&scene, 0, REASON_CONN_REFUSED, (struct address){0});
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);
    assert_int_equal(
        results_each_port(scene.results, results_host(scene.results, 0), stop_at_third, &calls),
        77);
    assert_int_equal(calls, 3);
    scene_release(&scene);
}

/* A /8 in which two hosts answer: the silent ones are three ranges, not sixteen million addresses.
 */
static void silence_of_many_costs_little(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct address_set silent = {0};
    scene_add_targets(&scene, 0x0a000000, 0x0affffff);
    port_set_add(&scene.ports, PROTOCOL_TCP, 22, 22);
    scene_init(&scene);
    add_answer(&scene, 0x123456, REASON_SYN_ACK, (struct address){0});
    add_answer(&scene, 0x000007, REASON_SYN_ACK, (struct address){0});
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);
    assert_int_equal(results_silent_hosts(scene.results, &silent), 0);
    assert_int_equal(silent.size, (1 << 24) - 2);
    assert_int_equal(silent.count, 3);
    assert_false(address_set_find(
        &silent, &(struct address){.value = 0x0a123456, .family = ADDRESS_IPV4}, &(uint64_t){0}));
    address_set_release(&silent);
    scene_release(&scene);
}

/* ---- Random scans against a model ---- */

enum fate { FATE_SILENT, FATE_ANSWER, FATE_FAILURE, FATE_NOT_ASKED };

struct model_port {
    enum fate fate;
    enum reason reason;
    struct address from;
    int code;
};

static uint64_t dice_state;

static uint64_t dice(uint64_t sides)
{
    dice_state += UINT64_C(0x9e3779b97f4a7c15);
    return mix64(dice_state) % sides;
}

static struct model_port random_port(unsigned character)
{
    static const int codes[] = {EPERM, ENETUNREACH, EADDRNOTAVAIL};
    struct model_port port = {0};
    if (character == 0 || dice(4) == 0)
        return port; /* hosts of this character give nothing at all */
    if (dice(8) == 0) {
        port.fate = FATE_FAILURE;
        port.code = codes[dice(3)];
        return port;
    }
    port.fate = FATE_ANSWER;
    port.reason = character == 1 ? REASON_CONN_REFUSED : (enum reason)(1 + dice(REASON_COUNT - 1));
    if (reason_state(port.reason) == STATE_FILTERED && dice(2))
        port.from = ipv4(0xc6336400 + (uint32_t)dice(character == 2 ? 3 : 300));
    return port;
}

/* Adds everything that the model has, in random order. */
static void play(struct scene *scene, const struct model_port *model)
{
    uint64_t count = scene->plan.count;
    uint64_t *order = calloc(count, sizeof(*order));
    assert_non_null(order);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t other = dice(i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    for (uint64_t i = 0; i < count; i++) {
        const struct model_port *port = &model[order[i]];
        if (port->fate == FATE_ANSWER)
            add_answer(scene, order[i], port->reason, port->from);
        else if (port->fate == FATE_FAILURE)
            add_failure(scene, order[i], port->code);
    }
    free(order);
}

static bool is_said(const struct model_port *model, uint32_t ports)
{
    for (uint32_t i = 0; i < ports; i++)
        if (model[i].fate == FATE_ANSWER || model[i].fate == FATE_FAILURE)
            return true;
    return false;
}

static bool is_asked(const void *user, uint64_t index)
{
    const struct model_port *model = user;
    return model[index].fate != FATE_NOT_ASKED;
}

static uint32_t model_asked(const struct model_port *model, uint32_t ports)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ports; i++)
        count += model[i].fate != FATE_NOT_ASKED;
    return count;
}

/* Makes the model a part of a scan. */
static void take_part(struct scene *scene, struct model_port *model)
{
    uint32_t ports = scene->ports.size;
    uint64_t share = 1 + dice(40), hosts = 0;
    for (uint64_t i = 0; i < scene->plan.count; i++)
        if (dice(share))
            model[i] = (struct model_port){.fate = FATE_NOT_ASKED};
    for (uint64_t host = 0; host < scene->targets.size; host++)
        hosts += model_asked(model + host * ports, ports) != 0;
    results_set_part(scene->results, is_asked, model, hosts);
}

struct walk {
    const struct scene *scene;
    const struct model_port *model; /* of the host */
    uint64_t first;                 /* index of its first port */
    uint32_t ports, next;
    bool complete;
};

/* Moves on to the next port that the walk should tell. */
static bool walk_skip(struct walk *walk)
{
    for (; walk->next < walk->ports; walk->next++) {
        const struct model_port *port = &walk->model[walk->next];
        if (port->fate == FATE_ANSWER)
            return true;
        if (port->fate == FATE_SILENT && walk->complete)
            return true;
    }
    return false;
}

static int walk_port(void *user, const struct port_record *record)
{
    struct walk *walk = user;
    assert_true(walk_skip(walk));
    const struct model_port *port = &walk->model[walk->next];
    assert_int_equal(record->index, walk->first + walk->next);
    assert_int_equal(record->reason, port->fate == FATE_SILENT ? REASON_NO_RESPONSE : port->reason);
    assert_int_equal(record->state, scene_state(walk->scene, record->reason));
    assert_true(address_equal(&record->from, &port->from));
    walk->next++;
    return 0;
}

static uint64_t model_count(const struct model_port *model, uint32_t ports, enum reason reason,
                            const struct address *from)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < ports; i++) {
        bool silent = model[i].fate == FATE_SILENT && reason == REASON_NO_RESPONSE;
        bool same = model[i].fate == FATE_ANSWER && model[i].reason == reason &&
                    address_equal(&model[i].from, from);
        count += silent || same;
    }
    return count;
}

static void check_host(const struct scene *scene, const struct host_result *host,
                       const struct model_port *model, bool complete)
{
    uint32_t ports = scene->ports.size;
    struct walk walk = {.scene = scene,
                        .model = model,
                        .first = host->host * ports,
                        .ports = ports,
                        .complete = complete};
    assert_int_equal(results_each_port(scene->results, host, walk_port, &walk), 0);
    assert_false(walk_skip(&walk));

    uint64_t open = 0, silent = 0, grouped = 0, failed = 0;
    for (uint32_t i = 0; i < ports; i++) {
        silent += model[i].fate == FATE_SILENT;
        if (model[i].fate != FATE_ANSWER || model[i].reason != REASON_SYN_ACK)
            continue;
        assert_true(open < host->open_count);
        assert_int_equal(host->open[open++].index, walk.first + i);
    }
    assert_int_equal(open, host->open_count);
    for (size_t i = 0; i < host->group_count; i++) {
        const struct result_group *group = &host->groups[i];
        assert_int_equal(group->state, scene_state(scene, group->reason));
        assert_int_equal(group->count, model_count(model, ports, group->reason, &group->from));
        assert_true(i == 0 || group->count <= host->groups[i - 1].count);
        grouped += group->count;
    }
    for (size_t i = 0; i < host->error_count; i++)
        failed += host->errors[i].count;
    assert_int_equal(failed, host->failed);
    assert_int_equal(host->undecided, complete ? 0 : silent);
    uint64_t counted = 0, possibly_open = open;
    for (enum port_state each = 0; each < STATE_COUNT; each++)
        counted += host->counts[each];
    assert_int_equal(grouped, counted);
    possibly_open += host->counts[STATE_UNFILTERED] + host->counts[STATE_OPEN_FILTERED];
    assert_int_equal(host_result_possibly_open(host), possibly_open);
    assert_int_equal(host->asked, model_asked(model, ports));
    assert_int_equal(open + grouped + failed + host->undecided, host->asked);
}

static void check_asked_ports(const struct scene *scene, const struct address *address,
                              const struct model_port *model)
{
    struct port_set asked = {0};
    assert_int_equal(results_asked_ports(scene->results, address, &asked), 0);
    assert_int_equal(asked.size, model_asked(model, scene->ports.size));
    for (uint32_t i = 0; i < scene->ports.size; i++)
        assert_int_equal(port_set_find(&asked, port_set_at(&scene->ports, i), &(uint32_t){0}),
                         model[i].fate != FATE_NOT_ASKED);
    port_set_release(&asked);
}

static void check_all(const struct scene *scene, const struct model_port *model, bool complete)
{
    uint32_t ports = scene->ports.size;
    struct address_set silent = {0};
    size_t at = 0;
    assert_int_equal(results_silent_hosts(scene->results, &silent), 0);
    assert_int_equal(silent.size, results_silent_host_count(scene->results));
    for (uint64_t host = 0; host < scene->targets.size; host++) {
        struct address address = address_set_at(&scene->targets, host);
        bool said = is_said(model + host * ports, ports);
        bool asked = model_asked(model + host * ports, ports) != 0;
        assert_int_equal(address_set_find(&silent, &address, &(uint64_t){0}), asked && !said);
        check_asked_ports(scene, &address, model + host * ports);
        if (!said)
            continue;
        assert_true(at < results_host_count(scene->results));
        const struct host_result *result = results_host(scene->results, at++);
        assert_int_equal(result->host, host);
        assert_true(address_equal(&result->address, &address));
        check_host(scene, result, model + host * ports, complete);
    }
    assert_int_equal(at, results_host_count(scene->results));
    address_set_release(&silent);
}

static void random_scan(uint64_t seed)
{
    struct scene scene = {0};
    dice_state = seed;
    scene.words.refused = dice(2) ? STATE_CLOSED : STATE_UNFILTERED;
    scene.words.silence = dice(2) ? STATE_FILTERED : STATE_OPEN_FILTERED;
    for (uint64_t i = 0, count = 1 + dice(5); i < count; i++) {
        uint32_t first = 0xc6330000 + (uint32_t)dice(200);
        scene_add_targets(&scene, first, first + (uint32_t)dice(12));
    }
    for (uint64_t i = 0, count = 1 + dice(4); i < count; i++) {
        uint16_t first = (uint16_t)dice(65000);
        enum protocol protocol = dice(5) ? PROTOCOL_TCP : PROTOCOL_UDP;
        port_set_add(&scene.ports, protocol, first, (uint16_t)(first + dice(150)));
    }
    scene_init(&scene);
    struct model_port *model = calloc(scene.plan.count, sizeof(*model));
    assert_non_null(model);
    for (uint64_t host = 0; host < scene.targets.size; host++)
        for (uint64_t i = 0, character = dice(4); i < scene.ports.size; i++)
            model[host * scene.ports.size + i] = random_port((unsigned)character);
    if (dice(2))
        take_part(&scene, model);
    play(&scene, model);
    bool complete = dice(3) != 0;
    assert_int_equal(results_seal(scene.results, complete ? SCAN_COMPLETE : SCAN_TIMED_OUT), 0);
    check_all(&scene, model, complete);
    free(model);
    scene_release(&scene);
}

static void random_scans_equal_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++)
        random_scan(seed);
}

/* Of a host that cannot be reached, only the ports of the part have failed. */
static void part_of_a_failed_host(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct model_port model[200] = {0};
    scene_add_targets(&scene, 0xc0000201, 0xc0000202);
    port_set_add(&scene.ports, PROTOCOL_TCP, 1, 100);
    scene_init(&scene);
    for (size_t i = 0; i < 200; i++)
        model[i].fate = i < 100 && i % 4 == 0 ? FATE_SILENT : FATE_NOT_ASKED;
    results_set_part(scene.results, is_asked, model, 1);
    struct error_record record = scene_failure(&scene, 8, ENETUNREACH);
    record.whole_host = true;
    assert_int_equal(results_add_error(scene.results, &record), 0);
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);

    const struct host_result *host = results_host(scene.results, 0);
    assert_int_equal(host->asked, 25);
    assert_int_equal(host->failed, 25);
    assert_int_equal(host->errors[0].count, 25);
    assert_int_equal(host->group_count, 0);
    assert_int_equal(results_host_count(scene.results), 1);
    assert_int_equal(results_silent_host_count(scene.results), 0);
    scene_release(&scene);
}

/* What silence is called depends on how it was asked for. */
static void silence_means_what_the_words_say(void **state)
{
    (void)state;
    struct scene scene = {.words = {STATE_UNFILTERED, STATE_OPEN_FILTERED}};
    scene_add_targets(&scene, 0xc0000201, 0xc0000202);
    port_set_add(&scene.ports, PROTOCOL_TCP, 1, 10);
    scene_init(&scene);
    add_answer(&scene, 4, REASON_RESET, (struct address){0});
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);
    assert_int_equal(results_silence(scene.results), STATE_OPEN_FILTERED);
    assert_int_equal(results_silent_host_count(scene.results), 1);

    const struct host_result *host = results_host(scene.results, 0);
    assert_true(host->answered);
    assert_int_equal(host->counts[STATE_UNFILTERED], 1);
    assert_int_equal(host->counts[STATE_OPEN_FILTERED], 9);
    assert_int_equal(host->counts[STATE_CLOSED] + host->counts[STATE_FILTERED], 0);
    assert_int_equal(host->group_count, 2);
    assert_int_equal(host->groups[0].state, STATE_OPEN_FILTERED);
    assert_int_equal(host->groups[0].reason, REASON_NO_RESPONSE);
    assert_int_equal(host->groups[1].state, STATE_UNFILTERED);
    scene_release(&scene);
}

/* A ledger of 20 ports needs five bytes. Of what is not open nothing is said then, not even that it
 * was silent. */
static void only_open_ports_are_kept(void **state)
{
    (void)state;
    struct scene scene = {.memory = 4};
    scene_add_targets(&scene, 0xc0000201, 0xc0000202);
    port_set_add(&scene.ports, PROTOCOL_TCP, 1, 10);
    scene_init(&scene);
    assert_true(scene.ledger.sparse);
    scene.ledger.open.limit = 0; /* four bytes have no room for an open one either */
    struct port_record closed = scene_answer(&scene, 15, REASON_RESET, (struct address){0});
    assert_int_equal(results_add_port(scene.results, &closed), 0);
    add_answer(&scene, 4, REASON_SYN_ACK, (struct address){0});
    add_failure(&scene, 5, EPERM);
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);

    struct address_set silent = {0};
    assert_int_equal(results_silent_host_count(scene.results), 0);
    assert_int_equal(results_silent_hosts(scene.results, &silent), 0);
    assert_int_equal(silent.size, 0);
    assert_int_equal(results_host_count(scene.results), 1);
    const struct host_result *host = results_host(scene.results, 0);
    assert_int_equal(host->open_count, 1);
    assert_int_equal(host->failed, 1);
    assert_int_equal(host->group_count, 0);
    assert_int_equal(host->undecided, 0);
    struct port_record records[10], *next = records;
    assert_int_equal(results_each_port(scene.results, host, collect_port, &next), 0);
    assert_int_equal(next - records, 1);
    assert_int_equal(records[0].port.number, 5);
    scene_release(&scene);
}

/* Hosts may share what is the same of them, and nothing else. */
static void hosts_have_groups_of_their_own(void **state)
{
    (void)state;
    static const enum reason reasons[] = {REASON_CONN_REFUSED, REASON_ADMIN_PROHIBITED};
    struct scene scene = {0};
    scene_add_targets(&scene, 0xc6120000, 0xc61200ff);
    port_set_add(&scene.ports, PROTOCOL_TCP, 80, 80);
    scene_init(&scene);
    for (uint64_t host = 0; host < 256; host++) {
        const enum reason reason = reasons[mix64(host) % 2];
        add_answer(&scene, host, reason, host % 3 ? (struct address){0} : ipv4(0xc6130001));
    }
    assert_int_equal(results_seal(scene.results, SCAN_COMPLETE), 0);
    for (uint64_t at = 0; at < 256; at++) {
        const struct host_result *host = results_host(scene.results, at);
        assert_int_equal(host->host, at);
        assert_int_equal(host->group_count, 1);
        assert_int_equal(host->groups->count, 1);
        assert_int_equal(host->groups->reason, reasons[mix64(at) % 2]);
        assert_int_equal(host->groups->from.family, at % 3 ? ADDRESS_NONE : ADDRESS_IPV4);
    }
    scene_release(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_host_answers),
        cmocka_unit_test(who_answered),
        cmocka_unit_test(hosts_have_groups_of_their_own),
        cmocka_unit_test(failures_and_interruption),
        cmocka_unit_test(an_answer_after_a_failure_counts),
        cmocka_unit_test(senders_chosen_to_collide),
        cmocka_unit_test(whole_host_fails),
        cmocka_unit_test(walk_ends_when_told),
        cmocka_unit_test(silence_of_many_costs_little),
        cmocka_unit_test(silence_means_what_the_words_say),
        cmocka_unit_test(part_of_a_failed_host),
        cmocka_unit_test(only_open_ports_are_kept),
        cmocka_unit_test(random_scans_equal_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
