/* Who answers what: the state of each port as a function of the description, and its print-out. */
#include "simnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host_truth truth_of_host(const struct description *description, struct host host)
{
    struct host_truth truth = {.network = description_find(description, host)};
    truth.hash = mix(mix(description->seed ^ host.high) ^ host.low);
    if (!truth.network)
        return truth;
    const struct network *network = truth.network;
    truth.absent = network->absent && host_hash(truth.hash, SALT_ABSENT) <= network->absent;
    truth.firewalled =
        network->firewalled && host_hash(truth.hash, SALT_FIREWALLED) <= network->firewalled;
    return truth;
}

/* The rule without what the host as a whole makes of it. */
static const struct rule *rule_of_port(const struct host_truth *host, uint16_t port)
{
    static const struct rule closed = {.state = STATE_CLOSED, .reason = "reset"};
    const struct network *network = host->network;
    if (network->rule_of_port && network->rule_of_port[port] != 0)
        return &network->rules[network->rule_of_port[port] - 1];
    if (network->share_count == 0)
        return &closed;
    uint64_t hash = host_hash(host->hash, port);
    for (unsigned i = 0; i < network->share_count; i++)
        if (hash <= network->shares[i].below)
            return &network->rules[network->shares[i].rule];
    return &closed;
}

const struct rule *truth_of_port(const struct host_truth *host, uint16_t port)
{
    static const struct rule proxied = {.state = STATE_OPEN, .reason = "proxy"};
    static const struct rule tarpit = {.state = STATE_OPEN, .reason = "tarpit"};
    static const struct rule firewalled = {.state = STATE_SILENT, .reason = "firewalled"};
    if (host->absent)
        return &host->network->absent_rule;
    if (host->network->proxy)
        return &proxied;
    if (host->network->tarpit)
        return &tarpit;
    const struct rule *rule = rule_of_port(host, port);
    return host->firewalled && rule->state != STATE_OPEN ? &firewalled : rule;
}

/* ---- Print-outs ---- */

struct printer {
    const struct description *description;
    enum truth_print what;
    uint16_t *ports;
    size_t port_count;
    uint64_t counts[3]; /* open, closed, filtered */
};

static void print_state(const char *address, uint16_t port, const struct rule *rule)
{
    char router[46];
    const char *state = rule->state == STATE_OPEN     ? "open"
                        : rule->state == STATE_CLOSED ? "closed"
                                                      : "filtered";
    printf("%s %u %s %s", address, port, state, rule->reason);
    if (rule->has_router)
        printf(" %s", host_print(rule->router, router));
    putchar('\n');
}

static void print_host(struct printer *printer, struct host host)
{
    static const struct rule outside = {.state = STATE_SILENT, .reason = "outside"};
    char address[46];
    host_print(host, address);
    struct host_truth truth = truth_of_host(printer->description, host);
    for (size_t i = 0; i < printer->port_count; i++) {
        uint16_t port = printer->ports[i];
        const struct rule *rule = truth.network ? truth_of_port(&truth, port) : &outside;
        if (printer->what == TRUTH_COUNTS)
            printer->counts[rule->state > STATE_SILENT ? STATE_SILENT : rule->state]++;
        else if (printer->what == TRUTH_ALL || rule->state == STATE_OPEN)
            print_state(address, port, rule);
    }
}

static void print_hosts(struct printer *printer, struct host first, struct host last)
{
    for (struct host host = first;; host.high += host.low == 0) {
        print_host(printer, host);
        if (host_equal(host, last))
            break;
        host.low++;
    }
}

static bool list_ports(struct printer *printer, const char *words)
{
    bool wanted[65536] = {false};
    while (*words != 0) {
        unsigned first, last;
        if (!ports_parse(words, &first, &last, &words)) {
            fprintf(stderr, "simnet: ports such as 22,80-88 are wanted, not %s\n", words);
            return false;
        }
        memset(wanted + first, true, last - first + 1);
    }
    printer->ports = calloc(65536, sizeof *printer->ports);
    for (unsigned port = 0; printer->ports && port < 65536; port++)
        if (wanted[port])
            printer->ports[printer->port_count++] = (uint16_t)port;
    return printer->ports != NULL;
}

/* More than can be walked through is a mistake. */
static bool is_walkable(struct host first, struct host last)
{
    return first.high == last.high && last.low >= first.low && last.low - first.low < 1ULL << 32;
}

/* All addresses of the networks; those inside another network are its. */
static bool print_networks(struct printer *printer)
{
    const struct description *description = printer->description;
    for (size_t i = 0; i < description->prefix_count; i++) {
        const struct prefix *prefix = &description->prefixes[i];
        bool inside = false;
        for (size_t j = 0; j < description->prefix_count; j++)
            inside |= description->prefixes[j].length < prefix->length &&
                      host_equal(host_mask(prefix->host, description->prefixes[j].length),
                                 description->prefixes[j].host);
        if (inside)
            continue;
        if (prefix->length < 96) {
            fprintf(stderr, "simnet: a network is too large to be listed; name targets\n");
            return false;
        }
        struct host last = prefix->host;
        last.low |= prefix->length == 128 ? 0 : ~0ULL >> (prefix->length - 64);
        print_hosts(printer, prefix->host, last);
    }
    return true;
}

static bool print_targets(struct printer *printer, char *const *targets)
{
    if (!*targets)
        return print_networks(printer);
    for (; *targets; targets++) {
        struct host first, last;
        if (!hosts_parse(*targets, &first, &last) || !is_walkable(first, last)) {
            fprintf(stderr, "simnet: a target such as 198.18.1.0/24 is wanted, not %s\n", *targets);
            return false;
        }
        print_hosts(printer, first, last);
    }
    return true;
}

int truth_print(const struct description *description, enum truth_print what, const char *ports,
                char *const *targets)
{
    struct printer printer = {.description = description, .what = what};
    bool done = list_ports(&printer, ports) && print_targets(&printer, targets);
    if (done && what == TRUTH_COUNTS)
        printf("open %llu\nclosed %llu\nfiltered %llu\n", (unsigned long long)printer.counts[0],
               (unsigned long long)printer.counts[1], (unsigned long long)printer.counts[2]);
    free(printer.ports);
    return !done ? 2 : fflush(stdout) != 0;
}

int description_print(const struct description *description)
{
    char text[46];
    for (int six = 0; six < 2; six++)
        if (description->has_gateway[six])
            printf("gateway %s\n", host_print(description->gateway[six], text));
    for (size_t i = 0; i < description->prefix_count; i++) {
        const struct prefix *prefix = &description->prefixes[i];
        bool four = host_is_four(prefix->host);
        printf("network %s/%u %s\n", host_print(prefix->host, text),
               prefix->length - (four ? 96 : 0), prefix->network->onlink ? "onlink" : "routed");
    }
    return fflush(stdout) != 0;
}
