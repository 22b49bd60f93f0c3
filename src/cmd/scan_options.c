/* The option table of `scan`: its own options, and nmap's flags as other names for them. */
#include "cmd/scan_options.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "cmd/scan_interface.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(struct scan_command_options, name)
#define FAST_PORTS 100
#define SHARDS_MAXIMUM 65536

/* ---- outputs ---- */

static const struct sink_class *find_sink(const char *name, size_t length)
{
    for (size_t i = 0; sink_classes[i]; i++)
        if (strlen(sink_classes[i]->name) == length &&
            memcmp(sink_classes[i]->name, name, length) == 0)
            return sink_classes[i];
    return NULL;
}

/* The format whose suffix list holds the end of `path`. */
static const struct sink_class *find_sink_by_suffix(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; sink_classes[i]; i++) {
        for (const char *suffix = sink_classes[i]->suffixes; *suffix;) {
            size_t size = strcspn(suffix, " ");
            if (size < length && memcmp(path + length - size, suffix, size) == 0)
                return sink_classes[i];
            suffix += size + strspn(suffix + size, " ");
        }
    }
    return NULL;
}

/* Takes `made`, which may be NULL, over. */
static int add_output(struct scan_command_options *options, const struct sink_class *class,
                      const char *path, char *made, struct error *error)
{
    struct scan_output *outputs =
        reallocarray(options->outputs, options->output_count + 1, sizeof(*outputs));
    if (!outputs) {
        free(made);
        return error_set(error, ENOMEM, "no memory for the options");
    }
    options->outputs = outputs;
    for (size_t i = 0; i < options->output_count; i++) {
        if (i < options->earlier_outputs && strcmp(outputs[i].path, path) == 0) {
            free(outputs[i].made);
            outputs[i] = (struct scan_output){.class = class, .path = path, .made = made};
            return 0;
        }
        if (strcmp(outputs[i].path, path) == 0) {
            bool standard = strcmp(path, "-") == 0;
            int failed = error_set(error, EINVAL, "two outputs, %s and %s, go to %s%s%s",
                                   outputs[i].class->name, class->name, standard ? "" : "'",
                                   standard ? "standard output: give one a file with -o" : path,
                                   standard ? "" : "'");
            free(made);
            return failed;
        }
    }
    outputs[options->output_count++] =
        (struct scan_output){.class = class, .path = path, .made = made};
    return 0;
}

/* "--json" and its like: this format on standard output. */
static int set_format(void *options, const char *name, const char *value, struct error *error)
{
    (void)value;
    return add_output(options, find_sink(name + 2, strlen(name + 2)), "-", NULL, error);
}

/* "-o FILE" by its suffix, "-o FORMAT:FILE" whatever it is called. */
static int set_output(void *options, const char *name, const char *value, struct error *error)
{
    const char *colon = strchr(value, ':');
    const struct sink_class *class = colon ? find_sink(value, (size_t)(colon - value)) : NULL;
    const char *path = class ? colon + 1 : value;
    if (!class)
        class = find_sink_by_suffix(value);
    if (class && *path)
        return add_output(options, class, path, NULL, error);
    return error_set(error, EINVAL,
                     "option '%s' cannot tell the format of '%s': end it with .txt, .jsonl, .xml, "
                     ".csv or .gnmap, or write FORMAT:FILE",
                     name, value);
}

/* nmap's -oN, -oX and -oG. */
static int set_nmap_output(void *options, const char *name, const char *value, struct error *error)
{
    const char *format = name[2] == 'X' ? "xml" : name[2] == 'G' ? "grep" : "text";
    return add_output(options, find_sink(format, strlen(format)), value, NULL, error);
}

/* nmap's -oA: the three of them, with its suffixes. */
static int set_nmap_outputs(void *options, const char *name, const char *value, struct error *error)
{
    static const char *const formats[][2] = {
        {"text", ".nmap"}, {"xml", ".xml"}, {"grep", ".gnmap"}};
    if (strcmp(value, "-") == 0)
        return error_set(error, EINVAL, "option '%s' writes three files: give it a name", name);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char *path;
        if (asprintf(&path, "%s%s", value, formats[i][1]) < 0)
            return error_set(error, ENOMEM, "no memory for the options");
        int failed =
            add_output(options, find_sink(formats[i][0], strlen(formats[i][0])), path, path, error);
        if (failed)
            return failed;
    }
    return 0;
}

/* ---- techniques ---- */

/* The one that is called so in a row of probe.def. */
static const struct prober_class *find_technique(const char *option)
{
    static const char *const rows[] = {
#define PROBE(name, options, summary) options,
#include "probe/probe.def"
#undef PROBE
    };
    const char *name;
    size_t length;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *names = rows[i];
        while ((name = option_next_name(&names, &length)))
            if (strlen(option) == length && memcmp(option, name, length) == 0)
                return prober_classes[i];
    }
    return NULL;
}

static int set_technique(void *options, const char *name, const char *value, struct error *error)
{
    struct scan_command_options *scan = options;
    const struct prober_class *class = find_technique(name);
    (void)value;
    if (scan->technique && scan->technique != class)
        return error_set(error, EINVAL,
                         "option '%s' asks for a second technique beside %s: a scan has one", name,
                         scan->technique->name);
    scan->technique = class;
    return 0;
}

/* ---- other options with a meaning of their own ---- */

static int set_nothing(void *options, const char *name, const char *value, struct error *error)
{
    (void)options, (void)name, (void)value, (void)error;
    return 0;
}

static int set_fast(void *options, const char *name, const char *value, struct error *error)
{
    (void)name, (void)value, (void)error;
    ((struct scan_command_options *)options)->top = FAST_PORTS;
    return 0;
}

/* "I/N" */
static int set_shard(void *options, const char *name, const char *value, struct error *error)
{
    struct scan_command_options *scan = options;
    char *slash = NULL, *end = NULL;
    bool digits = *value >= '0' && *value <= '9';
    unsigned long long shard = digits ? strtoull(value, &slash, 10) : 0;
    unsigned long long shards = 0;
    if (slash && *slash == '/' && slash[1] >= '0' && slash[1] <= '9')
        shards = strtoull(slash + 1, &end, 10);
    if (!end || *end)
        return error_set(error, EINVAL, "option '%s' needs I/N, part I of N, not '%.80s'", name,
                         value);
    if (shards < 1 || shards > SHARDS_MAXIMUM)
        return error_set(error, EINVAL, "option '%s' needs 1 to %d parts, not '%.80s'", name,
                         SHARDS_MAXIMUM, slash + 1);
    if (shard < 1 || shard > shards)
        return error_set(error, EINVAL, "option '%s' needs a part from 1 to %llu, not '%.80s'",
                         name, shards, value);
    scan->shard = shard;
    scan->shards = shards;
    return 0;
}

static int set_seed(void *options, const char *name, const char *value, struct error *error)
{
    struct scan_command_options *scan = options;
    char *end;
    errno = 0;
    scan->seed = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno)
        return error_set(error, EINVAL,
                         "option '%s' needs a number from 0 to 18446744073709551615, not '%s'",
                         name, value);
    scan->has_seed = true;
    return 0;
}

static int set_retries(void *options, const char *name, const char *value, struct error *error)
{
    uint64_t retries;
    if (text_parse_number(value, &retries, NULL) < 0 || retries >= SCAN_TRIES_MAXIMUM)
        return error_set(error, EINVAL, "option '%s' needs a number from 0 to %d, not '%s'", name,
                         SCAN_TRIES_MAXIMUM - 1, value);
    ((struct scan_command_options *)options)->tries = retries + 1;
    return 0;
}

/* What nmap's -T0 … -T5 mean here: how many attempts at a time, how fast, how patient. Only the
 * first three bound the rate: how fast the path is, the scan finds out. */
static int set_timing(void *options, const char *name, const char *value, struct error *error)
{
    static const char *const words[] = {"paranoid", "sneaky",     "polite",
                                        "normal",   "aggressive", "insane"};
    static const struct {
        uint64_t in_flight, rate, initial, tries;
    } templates[] = {
        {1, 1, 5000, 8},     {1, 10, 2000, 8},   {50, 100, 1000, 8},
        {10000, 0, 1000, 8}, {10000, 0, 500, 6}, {10000, 0, 250, 3},
    };
    struct scan_command_options *scan = options;
    size_t at = 0;
    while (at < 6 && strcmp(value, words[at]) != 0 && !(value[0] == (char)('0' + at) && !value[1]))
        at++;
    if (at == 6)
        return error_set(error, EINVAL, "option '%s' needs a number from 0 to 5, not '%s'", name,
                         value);
    scan->in_flight = templates[at].in_flight;
    scan->rate = templates[at].rate;
    scan->initial_timeout = templates[at].initial * NANOSECONDS_PER_MILLISECOND;
    scan->tries = templates[at].tries;
    return 0;
}

/* ---- the table ---- */

/* "packet|raw|": the links that this build has. */
#define TEST_LINK(name)
#define LINK(name) #name "|"
#ifdef HAVE_XDP
#define XDP_LINK(name) LINK(name)
#else
#define XDP_LINK(name)
#endif

#define SOON "is not in this version; "
#define USE_TCP "leave it out for a scan of TCP ports"

const struct option scan_options[] = {
    {.names = "--target-file -iL",
     .argument = "FILE",
     .group = "Targets",
     .help = "read targets from FILE, or from standard input with '-': one or more words a line, "
             "'#' starts a comment",
     .kind = OPTION_LIST,
     .offset = FIELD(target_files),
     .words = "@file"},
    {.names = "--exclude",
     .argument = "TARGETS",
     .help = "leave these targets out, separated by commas; may be repeated",
     .kind = OPTION_LIST,
     .offset = FIELD(excludes),
     .words = "@host"},
    {.names = "--exclude-file --excludefile",
     .argument = "FILE",
     .help = "leave out the targets in FILE",
     .kind = OPTION_LIST,
     .offset = FIELD(exclude_files),
     .words = "@file"},
    {.names = "--self",
     .help = "scan every address of this machine",
     .kind = OPTION_FLAG,
     .offset = FIELD(self)},
    {.names = "-4 --ipv4",
     .help = "only IPv4: names are resolved to it and IPv6 targets are refused",
     .kind = OPTION_FLAG,
     .offset = FIELD(ipv4)},
    {.names = "-6 --ipv6", .help = "only IPv6", .kind = OPTION_FLAG, .offset = FIELD(ipv6)},
    {.names = "--all-addresses --resolve-all",
     .help = "scan every address of a name, not only the one that the system prefers",
     .kind = OPTION_FLAG,
     .offset = FIELD(all_addresses)},
    {.names = "--include-reserved",
     .help = "keep private, multicast and other reserved ranges in targets that merely contain "
             "them; a target within one asks for it anyway",
     .kind = OPTION_FLAG,
     .offset = FIELD(include_reserved)},
    {.names = "--list -sL",
     .help = "print the targets, one a line, and scan nothing",
     .kind = OPTION_FLAG,
     .offset = FIELD(list)},

    {.names = "-p --ports",
     .argument = "PORTS",
     .group = "Ports",
     .help = "numbers, ranges and service names, '22,80,8000-8100,http*'; '-' is 1-65535; 'T:' and "
             "'U:' switch the protocol; --top and -F add to it; without any, the 1000 most often "
             "open ports",
     .kind = OPTION_LIST,
     .offset = FIELD(ports)},
    {.names = "--exclude-ports",
     .argument = "PORTS",
     .help = "leave these ports out",
     .kind = OPTION_LIST,
     .offset = FIELD(exclude_ports)},
    {.names = "--top --top-ports",
     .argument = "N",
     .help = "the N most often open TCP ports (docs/ports.md tells how they are ranked)",
     .kind = OPTION_NUMBER,
     .offset = FIELD(top),
     .minimum = 1,
     .maximum = 65536},
    {.names = "-F --fast", .help = "the same as --top 100", .kind = OPTION_CALL, .set = set_fast},
    {.names = "--list-ports",
     .help = "print the ports, one a line, and scan nothing",
     .kind = OPTION_FLAG,
     .offset = FIELD(list_ports)},

#define PROBE(name, options, summary)                                                              \
    {.names = options,                                                                             \
     .group = "Technique",                                                                         \
     .help = summary,                                                                              \
     .kind = OPTION_CALL,                                                                          \
     .set = set_technique},
#include "probe/probe.def"
#undef PROBE
    {.names = "--privileged",
     .group = "Technique",
     .help = "without the right to send raw packets end with an error, never scan through sockets "
             "instead",
     .kind = OPTION_FLAG,
     .offset = FIELD(privileged)},
    {.names = "-e --interface",
     .argument = "IFACE",
     .help = "send by this interface, also around the kernel's routes; not with -sT",
     .kind = OPTION_TEXT,
     .offset = FIELD(interface),
     .words = "@interface"},
    {.names = "--link",
     .argument = "LINK",
     .help = "send by this link alone, or end with an error: socket is the same as -sT, "
             "docs/links.md tells of the others (default: the fastest that can be had)",
     .kind = OPTION_TEXT,
     .offset = FIELD(link),
     .words =
#include "link/link.def"
         SCAN_LINK_SOCKET},

    {.names = "-o --output",
     .argument = "FILE",
     .group = "Output",
     .help = "write to FILE in the format of its suffix (.txt .jsonl .xml .csv .gnmap) or as "
             "FORMAT:FILE; may be repeated",
     .kind = OPTION_CALL,
     .words = "@file",
     .set = set_output},
#define SINK(name, summary)                                                                        \
    {.names = "--" #name, .help = summary, .kind = OPTION_CALL, .set = set_format},
#include "sink/sink.def"
#undef SINK
    {.names = "--open",
     .help = "only what is open, or may be",
     .kind = OPTION_FLAG,
     .offset = FIELD(open_only)},
    {.names = "--reason",
     .help = "say for each port how its state is known",
     .kind = OPTION_FLAG,
     .offset = FIELD(reason)},
    {.names = "-v --verbose",
     .help = "say more: ports that are not open, and open ones as they are found; -vv even more",
     .kind = OPTION_COUNT,
     .offset = FIELD(verbose)},
    {.names = "-oN -oX -oG",
     .argument = "FILE",
     .help = "nmap's names for -o text:FILE, -o xml:FILE and -o grep:FILE",
     .kind = OPTION_CALL,
     .words = "@file",
     .set = set_nmap_output},
    {.names = "-oS -oM -oJ",
     .help = "this format is not written: use -oN, -oX, -oG or --json",
     .kind = OPTION_ABSENT},
    {.names = "-oA",
     .argument = "NAME",
     .help = "nmap's name for all three, to NAME.nmap, NAME.xml and NAME.gnmap",
     .kind = OPTION_CALL,
     .words = "@file",
     .set = set_nmap_outputs},

    {.names = "--tries",
     .argument = "N",
     .group = "Truth and speed",
     .help = "ask a silent port at most N times (default 8)",
     .kind = OPTION_NUMBER,
     .offset = FIELD(tries),
     .minimum = 1,
     .maximum = SCAN_TRIES_MAXIMUM},
    {.names = "--max-retries",
     .argument = "N",
     .help = "nmap's name for --tries N+1",
     .kind = OPTION_CALL,
     .set = set_retries},
    {.names = "--recall",
     .argument = "PERCENT",
     .help = "stop asking when so much of what answers has been heard, as far as the scan can "
             "estimate (default 99.9)",
     .kind = OPTION_PERCENT,
     .offset = FIELD(recall),
     .minimum = 0,
     .maximum = 100},
    {.names = "--rate --max-rate",
     .argument = "N",
     .help = "send at most N packets a second (default: what the path carries); with -sT begin at "
             "most N connections, whose SYNs the kernel sends again when nothing has come for a "
             "second",
     .kind = OPTION_NUMBER,
     .offset = FIELD(rate),
     .minimum = 1,
     .maximum = 1000000000},
    {.names = "--min-rate",
     .argument = "N",
     .help = "never send fewer than N packets a second, even when the path loses them",
     .kind = OPTION_NUMBER,
     .offset = FIELD(min_rate),
     .minimum = 1,
     .maximum = 1000000000},
    {.names = "--in-flight --max-parallelism",
     .argument = "N",
     .help =
         "with -sT, wait for at most N answers at the same time (default 10000); raw probes are "
         "bounded by --rate alone",
     .kind = OPTION_NUMBER,
     .offset = FIELD(in_flight),
     .minimum = 1,
     .maximum = 1000000},
    {.names = "--max-time --host-timeout",
     .argument = "TIME",
     .help = "stop asking after TIME, counted anew when resumed; what is undecided then is "
             "reported as such (hosts are "
             "scanned side by side, so that this bounds each of them)",
     .kind = OPTION_DURATION,
     .offset = FIELD(max_time),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = UINT64_C(365) * 86400 * NANOSECONDS_PER_SECOND},
    {.names = "--timeout --initial-rtt-timeout",
     .argument = "TIME",
     .help = "wait so long for a host that has not answered yet (default 1s); for others the "
             "measured round trip decides",
     .kind = OPTION_DURATION,
     .offset = FIELD(initial_timeout),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 60 * NANOSECONDS_PER_SECOND},
    {.names = "--min-timeout --min-rtt-timeout",
     .argument = "TIME",
     .help = "never wait less (default 100ms, with raw probes 25ms)",
     .kind = OPTION_DURATION,
     .offset = FIELD(minimum_timeout),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 60 * NANOSECONDS_PER_SECOND},
    {.names = "--max-timeout --max-rtt-timeout",
     .argument = "TIME",
     .help = "never wait longer (default 10s)",
     .kind = OPTION_DURATION,
     .offset = FIELD(maximum_timeout),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 60 * NANOSECONDS_PER_SECOND},
    {.names = "-T",
     .argument = "0-5",
     .help = "nmap's timing templates: 0 one probe a second, 1 ten, 2 a hundred, 3 the default, 4 "
             "and 5 less patient",
     .kind = OPTION_CALL,
     .set = set_timing},
    {.names = "--seed",
     .argument = "N",
     .help = "ask in the order that belongs to N (default: a random one)",
     .kind = OPTION_CALL,
     .set = set_seed},
    {.names = "--shard",
     .argument = "I/N",
     .help = "ask only part I of N, for machines that share a scan: all with the same --seed, "
             "targets and ports",
     .kind = OPTION_CALL,
     .set = set_shard},
    {.names = "--memory",
     .argument = "SIZE",
     .help = "the states of the ports may take SIZE (default: half of this machine's memory); a "
             "scan that needs more keeps the open ones alone",
     .kind = OPTION_SIZE,
     .offset = FIELD(memory),
     .minimum = 1 << 16,
     .maximum = UINT64_C(1) << 50},
    {.names = "-Pn -n",
     .help = "nmap's flags for what porthole does anyway: asking no questions first, no reverse "
             "names",
     .kind = OPTION_CALL,
     .set = set_nothing},

    {.names = "--checkpoint",
     .argument = "FILE",
     .group = "Going on after an interruption",
     .help = "write to FILE, every second, what is needed to go on; it is removed when the scan is "
             "complete",
     .kind = OPTION_TEXT,
     .offset = FIELD(checkpoint),
     .words = "@file"},
    {.names = "--resume",
     .argument = "FILE",
     .help = "go on with the scan whose checkpoint is FILE, with its targets, ports and options; "
             "outputs may be given anew",
     .kind = OPTION_TEXT,
     .offset = FIELD(resume),
     .words = "@file"},

    {.names = "-sU -sY -sZ -sO",
     .help = "only TCP is in this version; " USE_TCP,
     .kind = OPTION_ABSENT},
    {.names = "-sn -sP -PE -PP -PM -PR -PO -PS -PA -PU -PY",
     .help = "host discovery " SOON "a scan of a few ports (-F) tells which hosts answer",
     .kind = OPTION_ABSENT},
    {.names = "-sV -sC -A -O --script --script-args --version-intensity --version-all "
              "--osscan-guess",
     .help = "asking what answers " SOON "services are named by port number",
     .kind = OPTION_ABSENT},
    {.names = "--min-parallelism --min-hostgroup --max-hostgroup",
     .help = "hosts are scanned side by side, as many as the rate allows; leave it out",
     .kind = OPTION_ABSENT},
    {.names = "--defeat-rst-ratelimit",
     .help = "ports that stay silent are asked again until --recall is reached; leave it out",
     .kind = OPTION_ABSENT},
    {.names = "--scan-delay --max-scan-delay",
     .help = "a pause between probes " SOON "use --rate N",
     .kind = OPTION_ABSENT},
    {.names = "-r",
     .help = "a sequential order " SOON "--seed N makes the order repeatable",
     .kind = OPTION_ABSENT},
    {.names = "-iR",
     .help = "random targets are not scanned: porthole asks only what it was told to",
     .kind = OPTION_ABSENT},
    {.names = "-D -S --spoof-mac --data-length -f --mtu --badsum --ip-options --ttl "
              "--scanflags",
     .help = "decoys, forged addresses and odd packets are not for porthole; leave it out",
     .kind = OPTION_ABSENT},
    {.names = "-g --source-port",
     .help = "answers are told apart by their source ports, which porthole chooses; leave it out",
     .kind = OPTION_ABSENT},
    {.names = "--proxies -sI -b",
     .help = "a scan through others " SOON "leave it out",
     .kind = OPTION_ABSENT},
    {.names = "-R --system-dns --dns-servers",
     .help = "reverse names are not looked up; leave it out",
     .kind = OPTION_ABSENT},
    {.names = "--traceroute", .help = "tracing " SOON "leave it out", .kind = OPTION_ABSENT},
    {.names = "-d --packet-trace --stats-every",
     .help = "this kind of log " SOON "use -v, or send SIGUSR1 for the status",
     .kind = OPTION_ABSENT},
    {.names = "--append-output",
     .help = "files are written anew; give another name to -o",
     .kind = OPTION_ABSENT},
    {.names = "--iflist",
     .help = "interfaces are not listed; 'ip address' and 'ip route' do that",
     .kind = OPTION_ABSENT},
    {.names = "--randomize-hosts",
     .help = "hosts and ports are always asked in a random order; leave it out",
     .kind = OPTION_ABSENT},
    {.names = "--send-eth --send-ip",
     .help = "the kernel's route tells how packets leave; leave it out, or use --link packet or "
             "--link raw",
     .kind = OPTION_ABSENT},
    OPTION_END,
};

void scan_command_options_init(struct scan_command_options *options)
{
    const struct scan_options *defaults = &scan_options_default;
    *options = (struct scan_command_options){
        .tries = defaults->tries,
        .in_flight = defaults->in_flight,
        .recall = 100 * defaults->recall,
        .initial_timeout = defaults->timeouts.initial,
        .minimum_timeout = defaults->timeouts.minimum,
        .maximum_timeout = defaults->timeouts.maximum,
    };
}

void scan_command_options_release(struct scan_command_options *options)
{
    const struct option *const tables[] = {common_options, scan_options, NULL};
    options_release(tables, options);
    for (size_t i = 0; i < options->output_count; i++)
        free(options->outputs[i].made);
    free(options->outputs);
    options->outputs = NULL;
    options->output_count = 0;
}

int scan_command_options_check(const struct scan_command_options *options, struct error *error)
{
    char minimum[TEXT_NUMBER_SIZE], maximum[TEXT_NUMBER_SIZE];
    if (options->minimum_timeout > options->maximum_timeout)
        return error_set(error, EINVAL, "--min-timeout %s is above --max-timeout %s",
                         text_duration(options->minimum_timeout, minimum),
                         text_duration(options->maximum_timeout, maximum));
    if (options->rate && options->min_rate > options->rate)
        return error_set(error, EINVAL, "--min-rate %s is above --rate %s",
                         text_grouped(options->min_rate, minimum),
                         text_grouped(options->rate, maximum));
    if (options->shards && !options->has_seed)
        return error_set(error, EINVAL,
                         "--shard needs --seed N, the same one for every part: the parts are those "
                         "of one order");
    if (options->recall > 0 && options->recall < 1)
        return error_set(error, EINVAL, "--recall is a percentage: write %g for a share of %g",
                         100 * options->recall, options->recall);
    return 0;
}

struct scan_options scan_command_options_loop(const struct scan_command_options *options)
{
    uint64_t least = options->initial_timeout > options->minimum_timeout ? options->initial_timeout
                                                                         : options->minimum_timeout;
    return (struct scan_options){
        .seed = options->has_seed ? options->seed : random_u64(),
        .tries = (unsigned)options->tries,
        .recall = options->recall / 100,
        .in_flight = (uint32_t)options->in_flight,
        .rate = options->rate,
        .min_rate = options->min_rate,
        .shard = options->shards ? options->shard - 1 : 0,
        .shards = options->shards,
        .memory = options->memory,
        .interface = options->interface_index,
        .link = scan_link_find(options->link),
        .max_time = options->max_time,
        .timeouts =
            {
                .initial = options->initial_timeout,
                .minimum = options->minimum_timeout,
                .maximum = options->maximum_timeout > least ? options->maximum_timeout : least,
            },
    };
}
