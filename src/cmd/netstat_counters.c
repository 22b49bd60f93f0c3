/* netstat -s: what the protocols have counted. */
#include "cmd/netstat_tables.h"

#include "base/file.h"
#include "local/net_counters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT ((size_t)1 << 20) /* bytes of a file of counters */

enum counter_when {
    ALWAYS,
    SOME,
    NEVER,
    IN,
    OUT,
};

struct counter_words {
    const char *section, *name;
    enum counter_when when;
    const char *before, *behind;
};

static const struct counter_words words[] = {
#define COUNTER(section, name, when, before, behind) {#section, #name, when, before, behind},
#include "cmd/netstat_counters.def"
#undef COUNTER
};

/* What has been printed so far. */
struct printing {
    const struct netstat_options *options;
    bool ipv6;
    char section[NET_COUNTER_SIZE];
    enum counter_when histogram; /* IN or OUT while one of these is being printed */
};

static const struct counter_words *find_words(const struct net_counter *counter)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].section, counter->section) == 0 &&
            strcmp(words[i].name, counter->name) == 0)
            return &words[i];
    return NULL;
}

/* -t, -u and -w are about the sections of these protocols. Others are told always. */
static bool is_wanted(const struct netstat_options *options, const char *section)
{
    const struct {
        const char *section;
        bool wanted;
    } sections[] = {
        {"Tcp", options->tcp},  {"TcpExt", options->tcp}, {"Tcp6", options->tcp},
        {"Udp", options->udp},  {"Udp6", options->udp},   {"Ip", options->raw},
        {"Icmp", options->raw}, {"Ip6", options->raw},    {"Icmp6", options->raw},
    };
    if (!options->tcp && !options->udp && !options->raw)
        return true;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        if (strcmp(sections[i].section, section) == 0)
            return sections[i].wanted;
    return true;
}

static void indent(const struct printing *printing)
{
    printf("    %s", printing->histogram == IN || printing->histogram == OUT ? "    " : "");
}

/* Those of the histograms stand below a line of their own, and what is not known below them. */
static void change_histogram(struct printing *printing, enum counter_when when)
{
    if ((when == IN || when == OUT) && when != printing->histogram) {
        indent(printing);
        printf("ICMP %s histogram:\n", when == IN ? "input" : "output");
    }
    printing->histogram = when;
}

static void print_counter(struct printing *printing, const struct net_counter *counter)
{
    const struct counter_words *known = find_words(counter);
    const char *sign = counter->negative ? "-" : "";
    if (known)
        change_histogram(printing, known->when);
    if (known ? known->when == NEVER || (known->when != ALWAYS && counter->value == 0)
              : counter->value == 0)
        return;
    if (known) {
        indent(printing);
        printf("%s%s%" PRIu64 "%s\n", known->before, sign, counter->value, known->behind);
        return;
    }
    indent(printing);
    printf("%s%s: %s%" PRIu64 "\n", printing->ipv6 ? counter->section : "", counter->name, sign,
           counter->value);
}

static int take_counter(void *user, const struct net_counter *counter)
{
    struct printing *printing = user;
    if (!is_wanted(printing->options, counter->section))
        return 0;
    if (strcmp(printing->section, counter->section) != 0) {
        memcpy(printing->section, counter->section, sizeof(printing->section));
        printf("%s:\n", counter->section);
    }
    print_counter(printing, counter);
    return 0;
}

/* IPv6 shares TCP's counters, which are in the file of IPv4. */
static int take_tcp(void *user, const struct net_counter *counter)
{
    return strcmp(counter->section, "Tcp") == 0 ? take_counter(user, counter) : 0;
}

typedef int read_fn(const char *text, size_t length, net_counter_fn *each, void *user,
                    struct error *error);

static int print_file(const struct netstat_options *options, const char *path, read_fn *reader,
                      net_counter_fn *each, struct error *error)
{
    struct buffer text = {0};
    struct error fault;
    struct printing printing = {
        .options = options, .ipv6 = reader == net_counters_read6, .histogram = SOME};
    int code = file_read(path, LIMIT, &text, error);
    if (code == -ENOENT) /* a kernel without it */
        return 0;
    if (code == 0) {
        code = reader(text.data, text.length, each, &printing, &fault);
        if (code != 0)
            error_set(error, -code, "%s, %s", path, fault.message);
    }
    buffer_release(&text);
    return code;
}

int netstat_counters(const struct netstat_options *options, struct error *error)
{
    int code = 0;
    if (options->ipv4 || !options->ipv6) {
        code = print_file(options, "/proc/net/snmp", net_counters_read, take_counter, error);
        if (code == 0)
            code = print_file(options, "/proc/net/netstat", net_counters_read, take_counter, error);
        return code;
    }
    code = print_file(options, "/proc/net/snmp6", net_counters_read6, take_counter, error);
    if (code == 0)
        code = print_file(options, "/proc/net/snmp", net_counters_read, take_tcp, error);
    return code;
}
