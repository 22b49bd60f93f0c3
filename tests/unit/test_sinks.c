/* The output formats: made-up scans, and every byte that is to come of them, in documents/.
 *
 * "test_sinks FILE" prints what that document would be now, for a change that is meant. */
#include "base/clock.h"
#include "net/service_file.h"
#include "scan/sink.h"
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STARTED (UINT64_C(1795228443) * NANOSECONDS_PER_SECOND) /* 2026-11-21 02:34:03 UTC */
#define NOBODY ((struct address){0})

/* ---- A scan that writes one document ---- */

struct show {
    struct scene scene;
    struct output output;
    struct sink sink;
    struct scan_summary summary;
    const char *command;
    const char *prober;
    uint64_t shard, shards;
};

/* One of the hosts was called by its name. */
static const struct name_set names = {
    .items =
        &(struct named_address){
            .address = {.value = 0xc6120001, .family = ADDRESS_IPV4}, /* 198.18.0.1 */
            .name = (char[]){"one.example"},
        },
    .count = 1,
};

/* After the targets and ports of the scene were added. */
static void show_begin(struct show *show, const char *format, struct sink_options options)
{
    size_t i = 0;
    scene_init(&show->scene);
    while (strcmp(sink_classes[i]->name, format) != 0)
        assert_non_null(sink_classes[++i]);
    show->sink = (struct sink){
        .class = sink_classes[i],
        .output = &show->output,
        .options = options,
        .start = {.command = show->command ? show->command : "porthole scan 198.18.0.0/24",
                  .prober = show->prober ? show->prober : "tcp-connect",
                  .time = STARTED,
                  .seed = UINT64_C(18446744073709551615),
                  .hosts = show->scene.targets.size,
                  .ports = &show->scene.ports,
                  .names = &names,
                  .shard = show->shard,
                  .shards = show->shards},
    };
    if (show->sink.class->start)
        assert_int_equal(show->sink.class->start(&show->sink, &show->sink.start), 0);
    show->summary = (struct scan_summary){.started = STARTED,
                                          .finished = STARTED + 480 * NANOSECONDS_PER_MILLISECOND,
                                          .duration = 480 * NANOSECONDS_PER_MILLISECOND,
                                          .hosts = show->scene.targets.size,
                                          .ports = show->scene.plan.count,
                                          .passes = 1};
}

static void show_record(struct show *show, struct port_record record, uint64_t rtt, unsigned tries)
{
    record.rtt = rtt;
    record.tries = tries;
    record.time = STARTED + record.rtt + 7 * NANOSECONDS_PER_MILLISECOND;
    assert_int_equal(results_add_port(show->scene.results, &record), 0);
    if (show->sink.class->port &&
        (state_is_possibly_open(record.state) || !show->sink.options.open_only))
        assert_int_equal(show->sink.class->port(&show->sink, &record), 0);
    show->summary.open += record.state == STATE_OPEN;
    show->summary.closed += record.state == STATE_CLOSED;
    show->summary.filtered += record.state == STATE_FILTERED;
    show->summary.unfiltered += record.state == STATE_UNFILTERED;
    show->summary.open_filtered += record.state == STATE_OPEN_FILTERED;
    show->summary.probes += tries;
}

/* An answer that says more of the port, or less, than it would to another way of asking. */
static void show_verdict(struct show *show, uint64_t index, enum port_state state,
                         enum reason reason, struct address from, uint64_t microseconds)
{
    struct port_record record = scene_answer(&show->scene, index, reason, from);
    record.state = state;
    assert_int_equal(ledger_set(&show->scene.ledger, index, state), 1);
    show_record(show, record, microseconds * NANOSECONDS_PER_MICROSECOND, 1);
}

static void show_answer(struct show *show, uint64_t index, enum reason reason, struct address from,
                        uint64_t microseconds)
{
    show_verdict(show, index, scene_state(&show->scene, reason), reason, from, microseconds);
}

static void show_error(struct show *show, struct error_record record)
{
    record.time = STARTED + NANOSECONDS_PER_MILLISECOND;
    assert_int_equal(results_add_error(show->scene.results, &record), 0);
    if (show->sink.class->error)
        assert_int_equal(show->sink.class->error(&show->sink, &record), 0);
}

static void show_failure(struct show *show, uint64_t index, int code)
{
    show_error(show, scene_failure(&show->scene, index, code));
    show->summary.errors++;
}

/* Nothing of the host could be asked. */
static void show_host_failure(struct show *show, uint64_t host, int code)
{
    uint32_t ports = show->scene.ports.size;
    struct error_record record = scene_failure(&show->scene, host * ports, code);
    record.whole_host = true;
    show_error(show, record);
    show->summary.errors += ports;
}

/* Ends the scan; `failed` tells which of the silent ports have failed. Returns the document. */
static const char *show_end(struct show *show, enum scan_end end, bool (*failed)(uint64_t index))
{
    struct ledger *ledger = &show->scene.ledger;
    for (uint64_t index = ledger_next_silent(ledger, 0); index < ledger->count;
         index = ledger_next_silent(ledger, index + 1)) {
        if (failed && failed(index))
            continue;
        if (end == SCAN_COMPLETE)
            show_record(show, scene_answer(&show->scene, index, REASON_NO_RESPONSE, NOBODY), 0, 3);
        else
            show->summary.undecided++;
    }
    show->summary.end = end;
    if (show->summary.duration)
        show->summary.rate = (double)show->summary.probes * (double)NANOSECONDS_PER_SECOND /
                             (double)show->summary.duration;
    assert_int_equal(results_seal(show->scene.results, end), 0);
    for (size_t i = 0; i < results_host_count(show->scene.results); i++)
        show->summary.hosts_answered += results_host(show->scene.results, i)->answered;
    if (show->sink.class->finish)
        assert_int_equal(show->sink.class->finish(&show->sink, show->scene.results, &show->summary),
                         0);
    assert_false(show->output.pending.failed);
    return show->output.pending.data ? show->output.pending.data : "";
}

static void show_release(struct show *show)
{
    if (show->sink.class->release)
        show->sink.class->release(&show->sink);
    buffer_release(&show->output.pending);
    scene_release(&show->scene);
}

/* ---- The scans ---- */

/* Every port of one host: two open, all others refused. */
static const char *all_ports(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0x7f000001, 0x7f000001);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 0, 65535);
    show_begin(show, format, options);
    show_answer(show, 6379, REASON_SYN_ACK, NOBODY, 61);
    for (uint64_t index = 0; index < 65536; index++)
        if (index != 22 && index != 6379)
            show_answer(show, index, REASON_CONN_REFUSED, NOBODY, 20);
    show_answer(show, 22, REASON_SYN_ACK, NOBODY, 85);
    show->summary.recall = (struct recall){.known = true, .estimate = 1, .low = 1};
    return show_end(show, SCAN_COMPLETE, NULL);
}

static bool few_failed(uint64_t index)
{
    return index >= 8 && index < 11;
}

/* Four ports of three hosts: one that answers, one that gives nothing, and one that cannot be asked
 * about three of the ports. */
static const char *few_ports(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120003);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 22, 22);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 80, 80);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 443, 443);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 49151, 49151);
    show_begin(show, format, options);
    show_answer(show, 2, REASON_PORT_UNREACH, ipv4(0xc6120009), 2500);
    show_answer(show, 1, REASON_CONN_REFUSED, NOBODY, 61);
    show_answer(show, 0, REASON_SYN_ACK, NOBODY, 85);
    for (uint64_t index = 8; index < 11; index++)
        show_failure(show, index, index == 10 ? EPERM : ENETUNREACH);
    show_answer(show, 11, REASON_SYN_ACK, NOBODY, 1250);
    show->summary.passes = 3;
    show->summary.limit = "file descriptors";
    show->summary.recall = (struct recall){.known = true, .estimate = 0.99979, .low = 0.999199};
    return show_end(show, SCAN_COMPLETE, few_failed);
}

static bool many_failed(uint64_t index)
{
    return index / 1000 >= 20 && index / 1000 < 30;
}

/* A thousand ports of 256 hosts: one has an open port, nine refuse everything, one is rejected in
 * two ways, ten have no route, and a router answers for one. */
static const char *many_hosts(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120000, 0xc61200ff);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 1000);
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 1000; index++) {
        for (uint64_t host = 1; host < 10; host++)
            show_answer(show, host * 1000 + index, REASON_CONN_REFUSED, NOBODY, 100);
        show_answer(show, index, index == 442 ? REASON_SYN_ACK : REASON_CONN_REFUSED, NOBODY, 99);
        show_answer(show, 10000 + index, index % 3 ? REASON_CONN_REFUSED : REASON_ADMIN_PROHIBITED,
                    NOBODY, 500);
        show_answer(show, 11000 + index, REASON_HOST_UNREACH, ipv4(0xc6120afe), 3000);
    }
    for (uint64_t host = 20; host < 30; host++)
        show_host_failure(show, host, ENETUNREACH);
    show->summary.passes = 2;
    show->summary.recall = (struct recall){.known = true, .estimate = 0.999999, .low = 0.9998};
    return show_end(show, SCAN_COMPLETE, many_failed);
}

static bool all_failed(uint64_t index)
{
    (void)index;
    return true;
}

/* A machine without a route. */
static const char *no_route(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120001);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 1000);
    show_begin(show, format, options);
    show_host_failure(show, 0, ENETUNREACH);
    return show_end(show, SCAN_COMPLETE, all_failed);
}

/* The signal came early: a hundred ports of one of two hosts are known. */
static const char *interrupted(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120002);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 1000);
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 100; index++)
        show_answer(show, index, index == 21 ? REASON_SYN_ACK : REASON_CONN_REFUSED, NOBODY, 50);
    return show_end(show, SCAN_INTERRUPTED, NULL);
}

/* One port of one host that gives nothing. */
static const char *silence(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120007, 0xc6120007);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 443, 443);
    show_begin(show, format, options);
    show->summary.passes = 3;
    return show_end(show, SCAN_COMPLETE, NULL);
}

/* IPv6, and ports of the same numbers in two protocols. */
static const char *two_protocols(struct show *show, const char *format, struct sink_options options)
{
    struct address address = {.value = 1, .family = ADDRESS_IPV6};
    assert_int_equal(address_set_add(&show->scene.targets, &address, address.value), 0);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 60);
    port_set_add(&show->scene.ports, PROTOCOL_UDP, 50, 60);
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 71; index++)
        if (index % 10)
            show_answer(show, index, index == 52 ? REASON_SYN_ACK : REASON_CONN_REFUSED, NOBODY, 9);
    show->summary.passes = 2;
    show->summary.recall = (struct recall){.known = true, .estimate = 0.99, .low = 0.98};
    return show_end(show, SCAN_COMPLETE, NULL);
}

/* Nothing that is printed is to be trusted: neither the words typed nor a service's name. */
static const char *hostile(struct show *show, const char *format, struct sink_options options)
{
    char path[] = "/tmp/test_sinks.XXXXXX";
    static const char services[] = "=1+1\t81/tcp\n<b>\"&\t82/tcp\na,b/c\t83/tcp\n";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, services, strlen(services)), strlen(services));
    assert_int_equal(service_set_file(path), 0);
    close(fd);
    unlink(path);
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120001);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 81, 83);
    show->command = "porthole scan \"<&>'\x1b[31m\n\xff\xc2\x9b\xef\xbf\xbf\xc3\xa9 --";
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 3; index++)
        show_answer(show, index, REASON_SYN_ACK, NOBODY, 50);
    show->summary.recall = (struct recall){.known = true, .estimate = 1, .low = 1};
    return show_end(show, SCAN_COMPLETE, NULL);
}

/* What a firewall lets through to three hosts: one of them is behind one that drops, and of one
 * nothing comes back. */
static const char *ack_scan(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120003);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 40);
    show->scene.words = (struct state_words){STATE_UNFILTERED, STATE_FILTERED};
    show->prober = "tcp-ack";
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 40; index++)
        show_answer(show, index, REASON_RESET, NOBODY, 70);
    show_answer(show, 40 + 21, REASON_RESET, NOBODY, 70);
    show_answer(show, 40 + 24, REASON_ADMIN_PROHIBITED, ipv4(0xc6120009), 900);
    show->summary.passes = 2;
    show->summary.packets = show->summary.probes + 79;
    show->summary.recall = (struct recall){.known = true, .estimate = 0.998, .low = 0.97};
    return show_end(show, SCAN_COMPLETE, NULL);
}

/* The same with a FIN: an open port is as silent as a filtered one. */
static const char *fin_scan(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120003);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 40);
    show->scene.words = (struct state_words){STATE_CLOSED, STATE_OPEN_FILTERED};
    show->prober = "tcp-fin";
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 40; index++)
        if (index != 21 && index != 24)
            show_answer(show, index, REASON_RESET, NOBODY, 70);
    show_answer(show, 40 + 24, REASON_ADMIN_PROHIBITED, ipv4(0xc6120009), 900);
    show->summary.passes = 2;
    show->summary.packets = 160;
    show->summary.refused = 2;
    show->summary.missed = 1;
    show->summary.hosts_given_up = 2;
    show->summary.given_up_rate = 12.5;
    show->summary.limit = "what the network loses";
    show->summary.link = "packet";
    show->summary.link_reason = "veth\xff already has an XDP program (id 12)";
    show->summary.recall = (struct recall){.known = true, .estimate = 0.95, .low = 0.9};
    return show_end(show, SCAN_COMPLETE, NULL);
}

/* As many ports as nobody has, all open. */
static const char *tarpit(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120001);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 60001, 60050);
    show->prober = "tcp-window";
    show_begin(show, format, options);
    for (uint64_t index = 0; index < 50; index++)
        show_verdict(show, index, STATE_OPEN, REASON_RESET, NOBODY, 70);
    show->summary.recall = (struct recall){.known = true, .estimate = 1, .low = 1};
    return show_end(show, SCAN_COMPLETE, NULL);
}

/* Three hosts with an open port each, and a ledger that has no room for anything else. */
static const char *short_of_memory(struct show *show, const char *format,
                                   struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120000, 0xc61200ff);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 1, 65535);
    show->scene.memory = 1 << 20;
    show->prober = "tcp-syn";
    show_begin(show, format, options);
    for (uint64_t host = 1; host <= 3; host++)
        show_verdict(show, host * 65535 + 21 + host, STATE_OPEN, REASON_SYN_ACK, NOBODY, 70);
    for (uint64_t index = 0; index < 65535; index++)
        assert_int_equal(ledger_set(&show->scene.ledger, index, STATE_CLOSED), 0);
    show->summary.closed = show->scene.ledger.counts[STATE_CLOSED];
    show->summary.filtered = show->scene.plan.count - show->summary.closed - 3;
    show->summary.responders_only = show->scene.ledger.sparse;
    show->summary.ledger_size = ledger_size(show->scene.plan.count);
    show->summary.probes = show->summary.packets = show->scene.plan.count * 2;
    show->summary.passes = 2;
    show->summary.recall = (struct recall){.known = true, .estimate = 0.999, .low = 0.9};
    return show_end(show, SCAN_COMPLETE, all_failed);
}

/* Of fifteen ports seven, and none of the fifth host. */
static bool is_in_part(const void *user, uint64_t index)
{
    (void)user;
    return index < 12 && (index % 2 == 0 || index == 11);
}

static bool part_failed(uint64_t index)
{
    return !is_in_part(NULL, index) || index / 3 == 2;
}

/* The second half of a scan: a host with an open port, one that gives nothing, one without a route,
 * and one whose firewall rejects. */
static const char *part(struct show *show, const char *format, struct sink_options options)
{
    scene_add_targets(&show->scene, 0xc6120001, 0xc6120005);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 80, 82);
    show->shard = show->shards = 2;
    show_begin(show, format, options);
    show_answer(show, 0, REASON_SYN_ACK, NOBODY, 85);
    show_answer(show, 2, REASON_CONN_REFUSED, NOBODY, 61);
    show_host_failure(show, 2, ENETUNREACH);
    show_answer(show, 10, REASON_PORT_UNREACH, NOBODY, 85);
    show->summary.hosts = 4;
    show->summary.ports = 7;
    show->summary.errors = 2;
    show->summary.recall = (struct recall){.known = true, .estimate = 0.99979, .low = 0.999199};
    results_set_part(show->scene.results, is_in_part, NULL, 4);
    return show_end(show, SCAN_COMPLETE, part_failed);
}

/* ---- The documents ---- */

typedef const char *scan_fn(struct show *show, const char *format, struct sink_options options);

struct document {
    const char *file; /* in documents/, with the version as @VERSION@ */
    scan_fn *scan;
    const char *format;
    struct sink_options options;
};

static const struct document documents[] = {
    {"all-ports.txt", all_ports, "text", {0}},
    {"all-ports.reason.txt", all_ports, "text", {.reason = true}},
    {"few-ports.txt", few_ports, "text", {0}},
    {"few-ports.verbose.txt", few_ports, "text", {.verbose = 1}},
    {"few-ports.open.txt", few_ports, "text", {.open_only = true}},
    {"few-ports.colour.txt", few_ports, "text", {.colour = true}},
    {"many-hosts.txt", many_hosts, "text", {0}},
    {"many-hosts.open.txt", many_hosts, "text", {.open_only = true}},
    {"interrupted.txt", interrupted, "text", {0}},
    {"silence.txt", silence, "text", {0}},
    {"two-protocols.txt", two_protocols, "text", {0}},
    {"two-protocols.xml", two_protocols, "xml", {0}},
    {"two-protocols.gnmap", two_protocols, "grep", {0}},
    {"no-route.txt", no_route, "text", {0}},
    {"no-route.jsonl", no_route, "json", {0}},
    {"no-route.csv", no_route, "csv", {0}},
    {"no-route.xml", no_route, "xml", {0}},
    {"no-route.gnmap", no_route, "grep", {0}},
    {"few-ports.jsonl", few_ports, "json", {0}},
    {"few-ports.open.jsonl", few_ports, "json", {.open_only = true}},
    {"interrupted.jsonl", interrupted, "json", {0}},
    {"silence.jsonl", silence, "json", {0}},
    {"hostile.jsonl", hostile, "json", {0}},
    {"few-ports.csv", few_ports, "csv", {0}},
    {"hostile.csv", hostile, "csv", {0}},
    {"all-ports.xml", all_ports, "xml", {0}},
    {"few-ports.xml", few_ports, "xml", {0}},
    {"few-ports.open.xml", few_ports, "xml", {.open_only = true}},
    {"interrupted.xml", interrupted, "xml", {0}},
    {"silence.xml", silence, "xml", {0}},
    {"hostile.xml", hostile, "xml", {0}},
    {"all-ports.gnmap", all_ports, "grep", {0}},
    {"few-ports.gnmap", few_ports, "grep", {0}},
    {"many-hosts.open.gnmap", many_hosts, "grep", {.open_only = true}},
    {"interrupted.gnmap", interrupted, "grep", {0}},
    {"hostile.gnmap", hostile, "grep", {0}},
    {"ack-scan.txt", ack_scan, "text", {0}},
    {"ack-scan.open.txt", ack_scan, "text", {.open_only = true}},
    {"ack-scan.jsonl", ack_scan, "json", {0}},
    {"ack-scan.open.jsonl", ack_scan, "json", {.open_only = true}},
    {"ack-scan.xml", ack_scan, "xml", {0}},
    {"ack-scan.gnmap", ack_scan, "grep", {0}},
    {"fin-scan.txt", fin_scan, "text", {0}},
    {"fin-scan.open.txt", fin_scan, "text", {.open_only = true}},
    {"fin-scan.verbose.txt", fin_scan, "text", {.verbose = 2}},
    {"fin-scan.jsonl", fin_scan, "json", {0}},
    {"fin-scan.open.jsonl", fin_scan, "json", {.open_only = true}},
    {"fin-scan.csv", fin_scan, "csv", {0}},
    {"fin-scan.xml", fin_scan, "xml", {0}},
    {"fin-scan.open.xml", fin_scan, "xml", {.open_only = true}},
    {"fin-scan.gnmap", fin_scan, "grep", {0}},
    {"fin-scan.open.gnmap", fin_scan, "grep", {.open_only = true}},
    {"tarpit.txt", tarpit, "text", {0}},
    {"tarpit.xml", tarpit, "xml", {0}},
    {"short-of-memory.txt", short_of_memory, "text", {0}},
    {"short-of-memory.jsonl", short_of_memory, "json", {0}},
    {"short-of-memory.xml", short_of_memory, "xml", {0}},
    {"short-of-memory.gnmap", short_of_memory, "grep", {0}},
    {"part.txt", part, "text", {0}},
    {"part.jsonl", part, "json", {0}},
    {"part.xml", part, "xml", {0}},
    {"part.gnmap", part, "grep", {0}},
};

#define DOCUMENT_COUNT (sizeof(documents) / sizeof(documents[0]))

/* The text with every `word` replaced. */
static void replace(struct buffer *buffer, const char *text, const char *word, const char *by)
{
    for (const char *at; (at = strstr(text, word)) != NULL; text = at + strlen(word)) {
        buffer_add(buffer, text, (size_t)(at - text));
        buffer_add_text(buffer, by);
    }
    buffer_add_text(buffer, text);
}

/* What the file holds. The directory is found from where this file was when it was compiled. */
static void read_expected(const char *file, struct buffer *expected)
{
    const char here[] = __FILE__, *slash = strrchr(here, '/');
    struct buffer path = {0}, raw = {0};
    char bytes[4096];
    size_t length;
    buffer_add(&path, here, slash ? (size_t)(slash - here) + 1 : 0);
    buffer_add_format(&path, "documents/%s", file);
    FILE *stream = fopen(path.data, "re");
    if (!stream)
        fail_msg("cannot open %s", path.data);
    while ((length = fread(bytes, 1, sizeof(bytes), stream)) > 0)
        buffer_add(&raw, bytes, length);
    fclose(stream);
    replace(expected, raw.data ? raw.data : "", "@VERSION@", PORTHOLE_VERSION);
    buffer_release(&raw);
    buffer_release(&path);
}

static void equals_document(void **state)
{
    const struct document *document = *state;
    struct buffer expected = {0};
    struct show show = {0};
    read_expected(document->file, &expected);
    assert_string_equal(document->scan(&show, document->format, document->options), expected.data);
    show_release(&show);
    buffer_release(&expected);
    assert_int_equal(service_set_file("/dev/null"), 0); /* hostile() has changed it */
}

static int print_document(const char *file)
{
    for (size_t i = 0; i < DOCUMENT_COUNT; i++) {
        const struct document *document = &documents[i];
        struct buffer text = {0};
        struct show show = {0};
        if (strcmp(document->file, file) != 0)
            continue;
        replace(&text, document->scan(&show, document->format, document->options), PORTHOLE_VERSION,
                "@VERSION@");
        fputs(text.data, stdout);
        buffer_release(&text);
        show_release(&show);
        return 0;
    }
    return 2;
}

/* ---- What is not a document ---- */

/* With -v the crowd is listed up to a point, and silence only with -vv. */
static void verbosity_lists_more(void **state)
{
    (void)state;
    static const struct {
        scan_fn *scan;
        unsigned verbose;
        const char *there, *missing;
    } cases[] = {
        {all_ports, 1, "not shown: 65,534 closed (conn-refused)", "23/tcp"},
        {all_ports, 2, "\n23/tcp     closed  telnet           conn-refused  1      20us\n",
         "not shown"},
        {many_hosts, 0, "198.18.0.1-198.18.0.9", "\n23/tcp"},
        {many_hosts, 1, "\n23/tcp    closed  telnet           conn-refused  1      100us\n",
         "198.18.0.1-198.18.0.9"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct show show = {0};
        const char *text =
            cases[i].scan(&show, "text", (struct sink_options){.verbose = cases[i].verbose});
        assert_non_null(strstr(text, cases[i].there));
        assert_null(strstr(text, cases[i].missing));
        show_release(&show);
    }
}

/* Two thousand silent hosts are not two thousand lines. */
static const char *sweep(struct show *show, const char *format)
{
    scene_add_targets(&show->scene, 0xc6120000, 0xc61207ff);
    port_set_add(&show->scene.ports, PROTOCOL_TCP, 22, 22);
    show_begin(show, format, (struct sink_options){0});
    for (uint64_t index = 0; index < 2048; index += 64)
        show_answer(show, index, REASON_SYN_ACK, NOBODY, 80);
    return show_end(show, SCAN_COMPLETE, NULL);
}

static void silence_of_many_is_summed_up(void **state)
{
    (void)state;
    struct show text = {0}, xml = {0}, grep = {0};
    assert_non_null(strstr(sweep(&text, "text"), "\n2,016 hosts gave no answer at all and may be "
                                                 "down: 198.18.0.1-198.18.0.63, "));
    assert_non_null(strstr(text.output.pending.data, " and 16 more ranges (-v tells them all)\n"));
    assert_null(strstr(sweep(&xml, "xml"), "no-response"));
    assert_non_null(
        strstr(xml.output.pending.data, "<hosts up=\"32\" down=\"0\" total=\"2048\"/>"));
    assert_null(strstr(sweep(&grep, "grep"), "filtered"));
    assert_non_null(
        strstr(grep.output.pending.data, "\n# 2016 more hosts gave no answer at all\n"));
    show_release(&text);
    show_release(&xml);
    show_release(&grep);
}

/* A rate and a recall in words. */
static void summaries(void **state)
{
    (void)state;
    static const struct {
        uint64_t probes, duration;
        struct recall recall;
        const char *expected;
    } cases[] = {
        {1, NANOSECONDS_PER_SECOND, {true, 1, 1}, "1 probe, 1/s, 2 passes, recall 100%\n"},
        {999, NANOSECONDS_PER_SECOND, {true, 1, 1}, "999 probes, 999/s, 2 passes, recall 100%\n"},
        {1000, NANOSECONDS_PER_SECOND, {true, 1, 1}, "1,000 probes, 1.00k/s, "},
        {12500, NANOSECONDS_PER_SECOND, {true, 1, 1}, "12,500 probes, 12.5k/s, "},
        {999600, NANOSECONDS_PER_SECOND, {true, 1, 1}, "999,600 probes, 1.00M/s, "},
        {5, 0, {true, 1, 1}, "in 0ns; 5 probes, 2 passes, "},
        {5, 0, {true, 0.999999, 0.99999}, "recall 99.99% (95% interval from 99.99%)\n"},
        {5, 0, {true, 0.5, 0.25}, "estimated recall 50.00% (95% interval from 25.00%)\n"},
        {5, 0, {false, 0, 0}, "recall unknown: silent ports were not asked again\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct show show = {0};
        scene_add_targets(&show.scene, 0xc6120001, 0xc6120001);
        port_set_add(&show.scene.ports, PROTOCOL_TCP, 22, 22);
        show_begin(&show, "text", (struct sink_options){0});
        show_answer(&show, 0, REASON_SYN_ACK, NOBODY, 80);
        show.summary.probes = cases[i].probes;
        show.summary.duration = cases[i].duration;
        show.summary.passes = 2;
        show.summary.recall = cases[i].recall;
        assert_non_null(strstr(show_end(&show, SCAN_COMPLETE, NULL), cases[i].expected));
        show_release(&show);
    }
}

/* A class is found by its name and by the suffix of a file. */
static void classes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *suffixes;
        bool whole; /* a stream is useful while it grows, the others only once they are whole */
    } expected[] = {
        {"text", ".txt", true}, {"json", ".jsonl .json", false}, {"xml", ".xml", true},
        {"csv", ".csv", false}, {"grep", ".gnmap .grep", true},
    };
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(sink_classes[i]->name, expected[i].name);
        assert_string_equal(sink_classes[i]->suffixes, expected[i].suffixes);
        assert_int_equal(sink_classes[i]->whole, expected[i].whole);
    }
    assert_null(sink_classes[5]);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[DOCUMENT_COUNT + 4] = {
        cmocka_unit_test(verbosity_lists_more),
        cmocka_unit_test(silence_of_many_is_summed_up),
        cmocka_unit_test(summaries),
        cmocka_unit_test(classes),
    };
    for (size_t i = 0; i < DOCUMENT_COUNT; i++)
        tests[4 + i] = (struct CMUnitTest){documents[i].file, equals_document, NULL, NULL,
                                           (void *)(uintptr_t)&documents[i]};
    /* The names are the registry's, whatever this machine's own file says. */
    if (service_set_file("/dev/null") < 0)
        return 1;
    if (argc == 2)
        return print_document(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
