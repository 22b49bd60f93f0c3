/* porthole.h as a program uses it, on loopback: states with evidence, cancelling from anywhere, and
 * words that are wrong. */
#include "porthole.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- servers ---- */

#define SERVERS 8

static int servers[SERVERS];
static uint16_t server_ports[SERVERS]; /* ascending */

static int compare_ports(const void *one, const void *other)
{
    return *(const uint16_t *)one - *(const uint16_t *)other;
}

static int start_servers(void **state)
{
    (void)state;
    for (int i = 0; i < SERVERS; i++) {
        struct sockaddr_in name = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof(name);
        servers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (servers[i] < 0 || bind(servers[i], (struct sockaddr *)&name, sizeof(name)) ||
            listen(servers[i], 1024) || getsockname(servers[i], (struct sockaddr *)&name, &length))
            return -1;
        server_ports[i] = ntohs(name.sin_port);
    }
    qsort(server_ports, SERVERS, sizeof(server_ports[0]), compare_ports);
    return 0;
}

static int stop_servers(void **state)
{
    (void)state;
    for (int i = 0; i < SERVERS; i++)
        close(servers[i]);
    return 0;
}

static bool is_ours(uint16_t port)
{
    for (int i = 0; i < SERVERS; i++)
        if (server_ports[i] == port)
            return true;
    return false;
}

/* ---- the one-call form ---- */

/* The machine may have other servers; ours are all there, and the order ascends. */
static void open_ports_are_listed(void **state)
{
    (void)state;
    static uint16_t ports[65536];
    size_t count = 0, found = 0;
    assert_int_equal(porthole_open_ports("127.0.0.1", 1024, 65535, ports, 65536, &count), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || ports[i] > ports[i - 1]);
        assert_true(ports[i] >= 1024);
        found += is_ours(ports[i]);
    }
    assert_int_equal(found, SERVERS);
}

static void a_range_of_one_port_is_a_question(void **state)
{
    (void)state;
    uint16_t port = 0;
    size_t count = 7;
    const uint16_t first = server_ports[0];
    assert_int_equal(porthole_open_ports("127.0.0.1", first, first, &port, 1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(port, first);
    assert_int_equal(porthole_open_ports("127.0.0.1", first, first, NULL, 0, &count), 0);
    assert_int_equal(count, 1);
}

/* More than there is room for is counted, and the lowest are written. */
static void a_small_array_gets_the_lowest(void **state)
{
    (void)state;
    uint16_t all[1024], few[2] = {0};
    size_t all_count = 0, count = 0;
    const uint16_t first = server_ports[0], last = server_ports[SERVERS - 1];
    assert_int_equal(porthole_open_ports("127.0.0.1", first, last, all, 1024, &all_count), 0);
    assert_int_equal(porthole_open_ports("127.0.0.1", first, last, few, 1, &count), 0);
    assert_true(all_count >= SERVERS && count >= SERVERS);
    assert_int_equal(few[0], all[0]);
    assert_int_equal(few[1], 0);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "300.1.1.1", "127.0.0.0/8", "127.0.0.1-9", "no such"};
    uint16_t port = 1;
    size_t count = 7;
    assert_int_equal(porthole_open_ports("127.0.0.1", 81, 80, &port, 1, &count), -EINVAL);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(porthole_open_ports(wrong[i], 80, 81, &port, 1, &count), -EINVAL);
    assert_int_equal(count, 7);
}

/* ---- a scan with callbacks ---- */

struct tally {
    unsigned open, closed, filtered, ours, calls;
    unsigned stop_after;
    int stop_with;
    struct porthole_scan *cancel; /* after the first port */
};

static int count_port(void *user, const struct porthole_port *port)
{
    struct tally *tally = user;
    assert_string_equal(port->address, "127.0.0.1");
    assert_true(port->tries >= 1);
    assert_true(port->rtt >= 0 && port->rtt < 1);
    assert_null(port->from);
    tally->calls++;
    tally->open += port->state == PORTHOLE_OPEN;
    tally->closed += port->state == PORTHOLE_CLOSED;
    tally->filtered += port->state == PORTHOLE_FILTERED;
    tally->ours += is_ours(port->port);
    if (port->state == PORTHOLE_OPEN)
        assert_string_equal(port->reason, "syn-ack");
    if (port->state == PORTHOLE_CLOSED)
        assert_string_equal(port->reason, "conn-refused");
    if (is_ours(port->port))
        assert_int_equal(port->state, PORTHOLE_OPEN);
    if (tally->cancel)
        porthole_scan_cancel(tally->cancel);
    return tally->calls == tally->stop_after ? tally->stop_with : 0;
}

static struct porthole_scan *scan_of(const char *targets, const char *ports)
{
    struct porthole_scan *scan = NULL;
    assert_int_equal(porthole_scan_new(&scan), 0);
    assert_string_equal(porthole_scan_error(scan), "");
    assert_int_equal(porthole_scan_add_targets(scan, targets), 0);
    if (ports)
        assert_int_equal(porthole_scan_add_ports(scan, ports), 0);
    return scan;
}

static void every_port_is_told_once(void **state)
{
    (void)state;
    struct tally tally = {0};
    struct porthole_summary summary;
    struct porthole_scan *scan = scan_of("127.0.0.1", "0-65535");
    assert_int_equal(porthole_scan_run(scan, count_port, &tally, &summary), 0);
    assert_int_equal(tally.calls, 65536);
    assert_int_equal(tally.ours, SERVERS);
    assert_int_equal(summary.open, tally.open);
    assert_int_equal(summary.closed, tally.closed);
    assert_int_equal(summary.filtered, tally.filtered);
    assert_int_equal(summary.open + summary.closed + summary.filtered, 65536);
    assert_int_equal(summary.unfiltered + summary.open_filtered, 0);
    assert_int_equal(summary.undecided, 0);
    assert_int_equal(summary.errors, 0);
    assert_int_equal(summary.cancelled, 0);
    assert_true(summary.probes >= 65536);
    assert_true(summary.seconds > 0 && summary.seconds < 60);
    assert_true(summary.recall >= summary.recall_low && summary.recall_low > 0.99);
    assert_string_equal(porthole_scan_error(scan), "");
    porthole_scan_free(scan);
}

static int look_at_two(void *user, const struct porthole_port *port)
{
    unsigned *seen = user;
    assert_int_equal(port->state, PORTHOLE_CLOSED);
    *seen |= strcmp(port->address, "127.0.0.2") == 0 ? 1 : 2;
    return 0;
}

static void a_scan_runs_again_and_excludes(void **state)
{
    (void)state;
    struct porthole_summary summary;
    unsigned seen = 0;
    struct porthole_scan *scan = scan_of("127.0.0.2/31", "1");
    assert_int_equal(porthole_scan_run(scan, look_at_two, &seen, &summary), 0);
    assert_int_equal(seen, 3);
    assert_int_equal(summary.closed, 2);
    assert_int_equal(porthole_scan_exclude_targets(scan, "127.0.0.3"), 0);
    assert_int_equal(porthole_scan_add_targets(scan, "127.0.0.3"), 0); /* it stays excluded */
    seen = 0;
    assert_int_equal(porthole_scan_run(scan, look_at_two, &seen, &summary), 0);
    assert_int_equal(seen, 1);
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, NULL), 0);
    porthole_scan_free(scan);
}

static void without_ports_it_is_the_usual_ones(void **state)
{
    (void)state;
    struct tally tally = {0};
    struct porthole_scan *scan = scan_of("127.0.0.1", NULL);
    assert_int_equal(porthole_scan_run(scan, count_port, &tally, NULL), 0);
    assert_int_equal(tally.calls, 1000);
    porthole_scan_free(scan);
}

static void the_descriptor_limit_is_put_back(void **state)
{
    (void)state;
    struct rlimit before, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct porthole_scan *scan = scan_of("127.0.0.1", "1-100");
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, NULL), 0);
    porthole_scan_free(scan);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_memory_equal(&before, &after, sizeof(before));
}

/* ---- techniques ---- */

/* The line of /proc/self/status that says which rights there are. */
static void read_rights(char line[static 256])
{
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    do
        assert_non_null(fgets(line, 256, file));
    while (strncmp(line, "CapEff:", 7) != 0);
    fclose(file);
}

static void need_root(void)
{
    if (geteuid() != 0)
        skip();
}

static int count_raw(void *user, const struct porthole_port *port)
{
    unsigned *counts = user;
    counts[port->state]++;
    if (is_ours(port->port))
        counts[0] += port->state == PORTHOLE_OPEN;
    return 0;
}

/* It keeps its rights, and its descriptors. */
static void raw_probes_say_the_same(void **state)
{
    (void)state;
    char before[256], after[256];
    unsigned counts[6] = {0};
    struct porthole_summary summary;
    need_root();
    struct porthole_scan *scan = scan_of("127.0.0.1", "1024-65535");
    int descriptor = dup(0);
    close(descriptor);
    read_rights(before);
    assert_int_equal(porthole_scan_set_technique(scan, "tcp-syn"), 0);
    for (int run = 1; run <= 2; run++) {
        assert_int_equal(porthole_scan_run(scan, count_raw, counts, &summary), 0);
        assert_string_equal(porthole_scan_error(scan), "");
        assert_int_equal(counts[0], run * SERVERS);
        assert_int_equal(summary.open + summary.closed + summary.filtered, 65536 - 1024);
        assert_int_equal(summary.errors + summary.undecided, 0);
    }
    read_rights(after);
    assert_string_equal(after, before);
    assert_int_equal(dup(0), descriptor);
    close(descriptor);
    porthole_scan_free(scan);
}

static void an_ack_does_not_tell_open_from_closed(void **state)
{
    (void)state;
    unsigned counts[6] = {0};
    struct porthole_summary summary;
    need_root();
    struct porthole_scan *scan = scan_of("127.0.0.1", "1-100");
    assert_int_equal(porthole_scan_set_technique(scan, "tcp-ack"), 0);
    assert_int_equal(porthole_scan_run(scan, count_raw, counts, &summary), 0);
    assert_int_equal(counts[PORTHOLE_UNFILTERED], 100);
    assert_int_equal(summary.unfiltered, 100);
    assert_int_equal(porthole_scan_set_technique(scan, "tcp-connect"), 0);
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, &summary), 0);
    assert_int_equal(summary.unfiltered, 0);
    porthole_scan_free(scan);
}

static void unknown_techniques_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "syn", "tcp-syn ", "TCP-SYN", "udp"};
    struct porthole_summary summary;
    struct porthole_scan *scan = scan_of("127.0.0.1", "1");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(porthole_scan_set_technique(scan, wrong[i]), -EINVAL);
        assert_non_null(strstr(porthole_scan_error(scan), wrong[i]));
    }
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, &summary), 0); /* as before */
    assert_int_equal(summary.closed, 1);
    porthole_scan_free(scan);
}

/* Returns 0 when everything was as expected. */
static int run_without_rights(struct porthole_scan *scan)
{
    if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
        return 1;
    int failed = porthole_scan_run(scan, NULL, NULL, NULL);
    if (failed != -EPERM && failed != -EACCES)
        return 2;
    return strcmp(porthole_scan_error(scan),
                  "tcp-syn needs the right to send raw packets (CAP_NET_RAW)")
               ? 3
               : 0;
}

static void without_rights_a_sentence_says_so(void **state)
{
    (void)state;
    int status;
    struct porthole_scan *scan = scan_of("127.0.0.1", "1");
    assert_int_equal(porthole_scan_set_technique(scan, "tcp-syn"), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run_without_rights(scan));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    porthole_scan_free(scan);
}

/* ---- ending ---- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* At a thousand probes a second this would take a minute. */
static struct porthole_scan *slow_scan(void)
{
    struct porthole_scan *scan = scan_of("127.0.0.1", "1-60000");
    porthole_scan_set_rate(scan, 1000);
    return scan;
}

static void *cancel_soon(void *argument)
{
    usleep(200000);
    porthole_scan_cancel(argument);
    return NULL;
}

static void another_thread_cancels(void **state)
{
    (void)state;
    pthread_t thread;
    struct tally tally = {0};
    struct porthole_summary summary;
    struct porthole_scan *scan = slow_scan();
    const double began = seconds();
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, scan), 0);
    assert_int_equal(porthole_scan_run(scan, count_port, &tally, &summary), 0);
    const double took = seconds() - began;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(took >= 0.19 && took < 1);
    assert_int_equal(summary.cancelled, 1);
    assert_true(tally.calls > 50 && tally.calls < 1000);
    assert_int_equal(summary.undecided, 60000 - tally.calls);
    porthole_scan_free(scan);
}

static void the_callback_cancels(void **state)
{
    (void)state;
    struct porthole_summary summary;
    struct porthole_scan *scan = slow_scan();
    struct tally tally = {.cancel = scan};
    assert_int_equal(porthole_scan_run(scan, count_port, &tally, &summary), 0);
    assert_int_equal(summary.cancelled, 1);
    assert_true(tally.calls < 500);
    porthole_scan_free(scan);
}

static void cancelling_ahead_ends_the_next_run_only(void **state)
{
    (void)state;
    struct tally tally = {0};
    struct porthole_summary summary;
    struct porthole_scan *scan = scan_of("127.0.0.1", "1-5000");
    porthole_scan_cancel(scan);
    assert_int_equal(porthole_scan_run(scan, count_port, &tally, &summary), 0);
    assert_int_equal(summary.cancelled, 1);
    assert_true(tally.calls < 1000);
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, &summary), 0);
    assert_int_equal(summary.cancelled, 0);
    assert_int_equal(summary.open + summary.closed, 5000);
    porthole_scan_free(scan);
}

static void what_the_callback_returns_ends_the_scan(void **state)
{
    (void)state;
    struct porthole_scan *scan = scan_of("127.0.0.1", "1-5000");
    struct tally first = {.stop_after = 3, .stop_with = 1};
    struct porthole_summary summary = {0};
    assert_int_equal(porthole_scan_run(scan, count_port, &first, &summary), 0);
    assert_int_equal(first.calls, 3);
    assert_int_equal(summary.cancelled, 1);
    struct tally second = {.stop_after = 1, .stop_with = -EDQUOT};
    assert_int_equal(porthole_scan_run(scan, count_port, &second, NULL), -EDQUOT);
    assert_int_equal(second.calls, 1);
    porthole_scan_free(scan);
}

/* Each with a scan of its own. Failing assertions would jump out of the thread. */
static int count_only(void *user, const struct porthole_port *port)
{
    (void)port;
    ++*(unsigned *)user;
    return 0;
}

static void *scan_some(void *argument)
{
    struct porthole_scan *scan;
    if (porthole_scan_new(&scan))
        return NULL;
    if (porthole_scan_add_targets(scan, "127.0.0.1") == 0 &&
        porthole_scan_add_ports(scan, "1-3000") == 0)
        porthole_scan_run(scan, count_only, argument, NULL);
    porthole_scan_free(scan);
    return NULL;
}

static void several_scans_run_at_once(void **state)
{
    (void)state;
    pthread_t threads[3];
    unsigned counts[3] = {0};
    struct rlimit before, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit low = {before.rlim_max < 200 ? before.rlim_max : 200, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, scan_some, &counts[i]), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(counts[i], 3000);
    }
    /* Whichever ended last, the limit is what it was before the first began. */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_memory_equal(&low, &after, sizeof(low));
    setrlimit(RLIMIT_NOFILE, &before);
}

/* ---- words ---- */

static void wrong_words_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const targets[] = {"300.0.0.1", "10.0.0.0/33", "127.0.0.1 bad..name",
                                          "10.0.0.9-10.0.0.1"};
    static const struct {
        const char *words;
        int code;
    } ports[] = {
        {"70000", -ERANGE}, {"9-1", -EINVAL}, {"x!", -EINVAL}, {"U:53", -EINVAL}, {"", -EINVAL}};
    struct porthole_scan *scan = NULL;
    assert_int_equal(porthole_scan_new(&scan), 0);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        assert_int_equal(porthole_scan_add_targets(scan, targets[i]), -EINVAL);
        assert_true(strlen(porthole_scan_error(scan)) > 5);
        assert_int_equal(porthole_scan_exclude_targets(scan, targets[i]), -EINVAL);
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        assert_int_equal(porthole_scan_add_ports(scan, ports[i].words), ports[i].code);
        assert_true(strlen(porthole_scan_error(scan)) > 5);
    }
    porthole_scan_free(scan);
    porthole_scan_free(NULL);
}

static void a_scan_of_nothing_cannot_run(void **state)
{
    (void)state;
    struct porthole_scan *scan = NULL;
    assert_int_equal(porthole_scan_new(&scan), 0);
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, NULL), -EINVAL);
    assert_string_equal(porthole_scan_error(scan), "there is no target to scan");
    assert_int_equal(porthole_scan_add_targets(scan, "127.0.0.1"), 0);
    assert_int_equal(porthole_scan_exclude_targets(scan, "127.0.0.0/8"), 0);
    assert_int_equal(porthole_scan_run(scan, NULL, NULL, NULL), -EINVAL);
    porthole_scan_free(scan);
}

static void the_version_is_a_version(void **state)
{
    (void)state;
    unsigned major, minor, patch;
    assert_int_equal(sscanf(porthole_version(), "%u.%u.%u", &major, &minor, &patch), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_ports_are_listed),
        cmocka_unit_test(a_range_of_one_port_is_a_question),
        cmocka_unit_test(a_small_array_gets_the_lowest),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(every_port_is_told_once),
        cmocka_unit_test(a_scan_runs_again_and_excludes),
        cmocka_unit_test(without_ports_it_is_the_usual_ones),
        cmocka_unit_test(the_descriptor_limit_is_put_back),
        cmocka_unit_test(raw_probes_say_the_same),
        cmocka_unit_test(an_ack_does_not_tell_open_from_closed),
        cmocka_unit_test(unknown_techniques_are_refused),
        cmocka_unit_test(without_rights_a_sentence_says_so),
        cmocka_unit_test(another_thread_cancels),
        cmocka_unit_test(the_callback_cancels),
        cmocka_unit_test(cancelling_ahead_ends_the_next_run_only),
        cmocka_unit_test(what_the_callback_returns_ends_the_scan),
        cmocka_unit_test(several_scans_run_at_once),
        cmocka_unit_test(wrong_words_are_refused_with_a_sentence),
        cmocka_unit_test(a_scan_of_nothing_cannot_run),
        cmocka_unit_test(the_version_is_a_version),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
