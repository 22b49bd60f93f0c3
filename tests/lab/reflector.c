/* The reflector: a host at the end of a veth pair that has every address, and answers SYNs by a
 * hash of address and port, in an XDP program. For scans that are faster than simnet. */
#include "reflector.h"

#include "reflector_hold.h"
#include "simnet.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "reflector --device NAME [OPTION…]    answers what comes by NAME\n"
    "reflector --pass NAME                lets everything pass there: the other end of a veth "
    "pair\n"
    "                                     takes what XDP sends only where it has a program, too,\n"
    "                                     or with --redirect where GRO is on\n"
    "reflector --truth|--truth-open|--truth-counts [OPTION…] -p PORTS TARGET…\n"
    "                                     prints ADDRESS PORT STATE REASON\n"
    "\n"
    "  --open PERCENT, --closed PERCENT   shares of the ports; others are silent (6, 69)\n"
    "  --seed N                           which ports these are (1)\n"
    "  --loss PERCENT                     of the SYNs, before anything else (0)\n"
    "  --redirect                         answers by XDP_REDIRECT instead of XDP_TX\n"
    "  --verify                           drops SYNs with wrong checksums\n"
    "  --distinct                         counts each port once that was answered, in `answered`;\n"
    "                                     addresses must differ in their last 8 bits\n"
    "  --beacon                           broadcasts a frame of no protocol every quarter of a\n"
    "                                     second: some scanners do not notice that they are done\n"
    "                                     while nothing comes\n"
    "  --hold N                           keeps the first N answers, until they are all there or\n"
    "                                     nothing came for 200 ms; then it sends them\n"
    "  --rate R                           at so many a second (1000000), from\n"
    "  --processor N                      this one, in `held_time` seconds; `taken` is how many\n"
    "                                     packets the other end took then\n"
    "\n"
    "`ready` is printed when packets may come, and a line of JSON with what was counted on "
    "SIGUSR1\n"
    "and at the end, which is that of the standard input, or SIGTERM.\n";

#define HELD_MAXIMUM (1 << 24)

enum truth { NO_TRUTH, TRUTH_STATES, TRUTH_OPENS, TRUTH_NUMBERS };

struct options {
    const char *device, *ports;
    bool pass, redirect, beacon;
    enum truth truth;
    double open, closed, loss; /* percent */
    struct reflector_settings settings;
    struct held_answers held;
};

static double percent(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    end += *end == '%';
    if (*text < '0' || *text > '9' || *end != 0 || !(value <= 100)) {
        fprintf(stderr, "reflector: a percentage is wanted, not %s\n", text);
        exit(2);
    }
    return value;
}

static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*end != 0 || !(value >= least && value <= most)) {
        fprintf(stderr, "reflector: a number from %.0f to %.0f is wanted, not %s\n", least, most,
                text);
        exit(2);
    }
    return value;
}

/* A share of 2^64, of which all is not representable, and so a 2^-64th less. */
static uint64_t share(double percentage)
{
    return percentage >= 100 ? UINT64_MAX : (uint64_t)(percentage / 100 * 0x1p64);
}

static struct options read_options(int count, char **words)
{
    static const struct option table[] = {
        {"device", 1, NULL, 'd'},
        {"pass", 1, NULL, 'P'},
        {"open", 1, NULL, 'o'},
        {"closed", 1, NULL, 'c'},
        {"seed", 1, NULL, 's'},
        {"loss", 1, NULL, 'l'},
        {"redirect", 0, NULL, 'r'},
        {"verify", 0, NULL, 'v'},
        {"distinct", 0, NULL, 'D'},
        {"beacon", 0, NULL, 'b'},
        {"truth", 0, NULL, 't'},
        {"truth-open", 0, NULL, 'O'},
        {"truth-counts", 0, NULL, 'T'},
        {"ports", 1, NULL, 'p'},
        {"hold", 1, NULL, 'H'},
        {"rate", 1, NULL, 'R'},
        {"processor", 1, NULL, 'C'},
        {"help", 0, NULL, 'h'},
        {0},
    };
    struct options options = {
        .open = 6, .closed = 69, .settings.seed = 1, .held = {.rate = 1e6, .processor = -1}};
    int letter;
    while ((letter = getopt_long(count, words, "p:h", table, NULL)) != -1) {
        switch (letter) {
        case 'd':
            options.device = optarg;
            break;
        case 'P':
            options.device = optarg;
            options.pass = true;
            break;
        case 'o':
            options.open = percent(optarg);
            break;
        case 'c':
            options.closed = percent(optarg);
            break;
        case 's':
            options.settings.seed = strtoull(optarg, NULL, 10);
            break;
        case 'l':
            options.loss = percent(optarg);
            break;
        case 'r':
            options.redirect = true;
            break;
        case 'v':
            options.settings.verify = true;
            break;
        case 'D':
            options.settings.distinct = true;
            break;
        case 'b':
            options.beacon = true;
            break;
        case 't':
            options.truth = TRUTH_STATES;
            break;
        case 'O':
            options.truth = TRUTH_OPENS;
            break;
        case 'T':
            options.truth = TRUTH_NUMBERS;
            break;
        case 'p':
            options.ports = optarg;
            break;
        case 'H':
            options.held.most = (uint32_t)number(optarg, 0, HELD_MAXIMUM);
            break;
        case 'R':
            options.held.rate = number(optarg, 1000, 1e9);
            break;
        case 'C':
            options.held.processor = (int)number(optarg, 0, CPU_SETSIZE - 1);
            break;
        default:
            fputs(usage, letter == 'h' ? stdout : stderr);
            exit(letter == 'h' ? 0 : 2);
        }
    }
    options.settings.open = share(options.open);
    options.settings.closed = share(options.open + options.closed);
    options.settings.held = options.held.most;
    options.settings.loss = (uint32_t)(share(options.loss) >> 32);
    return options;
}

/* ---- What is true ---- */

struct printer {
    const struct options *options;
    uint16_t ports[65536]; /* those that are wanted */
    size_t port_count;
    uint64_t counts[3];
};

static void print_host(struct printer *printer, struct host host)
{
    static const char *const words[] = {
        [REFLECTOR_OPEN] = "open syn-ack",
        [REFLECTOR_CLOSED] = "closed reset",
        [REFLECTOR_SILENT] = "filtered silent",
    };
    const struct reflector_settings *settings = &printer->options->settings;
    enum truth truth = printer->options->truth;
    char address[46] = "";
    if (truth != TRUTH_NUMBERS)
        host_print(host, address);
    for (size_t i = 0; i < printer->port_count; i++) {
        unsigned port = printer->ports[i];
        uint64_t hash = reflector_hash(settings->seed, host.high, host.low, port);
        enum reflector_state state = reflector_state_of(settings, hash);
        printer->counts[state]++;
        if (truth == TRUTH_STATES || (truth == TRUTH_OPENS && state == REFLECTOR_OPEN))
            printf("%s %u %s\n", address, port, words[state]);
    }
}

static bool list_ports(struct printer *printer, const char *words)
{
    bool wanted[65536] = {false};
    while (words && *words != 0) {
        unsigned first, last;
        if (!ports_parse(words, &first, &last, &words))
            return false;
        memset(wanted + first, true, last - first + 1);
    }
    for (unsigned port = 0; port < 65536; port++)
        if (wanted[port])
            printer->ports[printer->port_count++] = (uint16_t)port;
    return printer->port_count > 0;
}

static int print_truth(const struct options *options, char *const *targets)
{
    static struct printer printer;
    printer.options = options;
    if (!list_ports(&printer, options->ports)) {
        fprintf(stderr, "reflector: ports such as 22,80-88 are wanted\n");
        return 2;
    }
    for (; *targets; targets++) {
        struct host first, last;
        if (!hosts_parse(*targets, &first, &last) || first.high != last.high ||
            last.low < first.low || last.low - first.low > UINT32_MAX) {
            fprintf(stderr, "reflector: a target such as 198.18.1.0/24 is wanted, not %s\n",
                    *targets);
            return 2;
        }
        for (struct host host = first;; host.low++) {
            print_host(&printer, host);
            if (host_equal(host, last))
                break;
        }
    }
    if (options->truth == TRUTH_NUMBERS)
        printf("open %" PRIu64 "\nclosed %" PRIu64 "\nfiltered %" PRIu64 "\n", printer.counts[0],
               printer.counts[1], printer.counts[2]);
    return fflush(stdout) != 0;
}

/* ---- The program in the kernel ---- */

#define PROCESSORS_MAXIMUM 1024
#define BEACON 250 /* milliseconds */

struct reflector {
    struct bpf_object *object;
    int link; /* is gone when this process is, however that ends */
    int counts, windows;
    int processors; /* of which maps keep a value each */
    int beacon;     /* a packet socket, or -1 */
    unsigned device;
};

static int fail(const char *what, int error)
{
    fprintf(stderr, "reflector: %s: %s\n", what, strerror(error < 0 ? -error : error));
    return 1;
}

__attribute__((format(printf, 2, 0))) static int
print_warning(enum libbpf_print_level level, const char *format, va_list arguments)
{
    return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

/* The object file lies beside this program. */
static struct bpf_object *open_object(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 8);
    if (length <= 0)
        return NULL;
    memcpy(path + length, ".bpf.o", 7);
    return bpf_object__open_file(path, NULL);
}

static int load_settings(struct reflector *reflector, const struct reflector_settings *settings)
{
    struct bpf_map *map;
    bpf_object__for_each_map(map, reflector->object)
    {
        const char *name = bpf_map__name(map);
        size_t size = strlen(name);
        if (size >= 7 && strcmp(name + size - 7, ".rodata") == 0)
            return bpf_map__set_initial_value(map, settings, sizeof *settings);
    }
    return -ENOENT;
}

static int attach(struct reflector *reflector, struct options *options)
{
    reflector->object = open_object();
    if (!reflector->object)
        return fail("reflector.bpf.o", errno);
    int error = load_settings(reflector, &options->settings);
    if (error == 0)
        error = hold_prepare(&options->held, reflector->object);
    if (error == 0)
        error = bpf_object__load(reflector->object);
    if (error == 0)
        error = hold_open(&options->held, reflector->object, options->device);
    if (error != 0)
        return fail("the BPF program does not load", error);
    const char *name = options->pass ? "pass" : "reflect";
    const struct bpf_program *program = bpf_object__find_program_by_name(reflector->object, name);
    LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
    reflector->link =
        bpf_link_create(bpf_program__fd(program), (int)reflector->device, BPF_XDP, &opts);
    if (reflector->link < 0)
        return fail(options->device, reflector->link);
    reflector->counts = bpf_object__find_map_fd_by_name(reflector->object, "counts");
    reflector->windows = bpf_object__find_map_fd_by_name(reflector->object, "windows");
    reflector->processors = libbpf_num_possible_cpus();
    return reflector->processors > PROCESSORS_MAXIMUM ? fail("processors", E2BIG) : 0;
}

/* ---- What was counted ---- */

static struct reflector_count read_counts(const struct reflector *reflector)
{
    struct reflector_count all = {0};
    struct reflector_count each[PROCESSORS_MAXIMUM];
    uint32_t zero = 0;
    if (bpf_map_lookup_elem(reflector->counts, &zero, each) != 0)
        return all;
    for (int i = 0; i < reflector->processors; i++) {
        all.syns += each[i].syns;
        all.syn_acks += each[i].syn_acks;
        all.resets_sent += each[i].resets_sent;
        all.silent += each[i].silent;
        all.lost += each[i].lost;
        all.broken += each[i].broken;
        all.resets += each[i].resets;
        all.others += each[i].others;
        all.answered += each[i].answered;
        all.passed += each[i].passed;
        if (each[i].first != 0 && (all.first == 0 || each[i].first < all.first))
            all.first = each[i].first;
        if (each[i].last > all.last)
            all.last = each[i].last;
    }
    return all;
}

static uint64_t read_window(const struct reflector *reflector, uint32_t number)
{
    uint64_t each[PROCESSORS_MAXIMUM], sum = 0;
    if (bpf_map_lookup_elem(reflector->windows, &number, each) != 0)
        return 0;
    for (int i = 0; i < reflector->processors; i++)
        sum += each[i];
    return sum;
}

/* Windows from that of the first SYN to that of the last one. */
static void print_windows(const struct reflector *reflector, const struct reflector_count *all,
                          uint64_t started)
{
    printf("\"window\":%.9f,\"windows\":[", (double)(1U << REFLECTOR_WINDOW_BITS) / 1e9);
    if (all->syns != 0) {
        uint64_t first = (all->first - started) >> REFLECTOR_WINDOW_BITS;
        uint64_t last = (all->last - started) >> REFLECTOR_WINDOW_BITS;
        for (uint64_t i = first; i <= last && i < REFLECTOR_WINDOWS; i++)
            printf("%s%" PRIu64, i == first ? "" : ",", read_window(reflector, (uint32_t)i));
    }
    printf("]");
}

static void print_counts(const struct reflector *reflector, const struct options *options)
{
    struct reflector_count all = read_counts(reflector);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"probes", all.syns},
        {"syn_acks", all.syn_acks},
        {"resets_sent", all.resets_sent},
        {"silent", all.silent},
        {"lost", all.lost},
        {"broken", all.broken},
        {"resets", all.resets},
        {"others", all.others},
        {"passed", all.passed},
        {"answered", all.answered},
        {"held", options->held.count},
        {"taken", options->held.taken},
    };
    printf("{");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        printf("\"%s\":%" PRIu64 ",", fields[i].name, fields[i].value);
    printf("\"held_time\":%.6f,", (double)options->held.elapsed / 1e9);
    printf("\"duration\":%.3f,", (double)(all.last - all.first) / 1e9);
    print_windows(reflector, &all, options->settings.started);
    printf("}\n");
    fflush(stdout);
}

/* ---- Running ---- */

static int open_beacon(void)
{
    return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

/* A frame of the protocol that is set aside for experiments (RFC 9542). Nobody minds one that is
 * lost. */
static void send_beacon(const struct reflector *reflector)
{
    unsigned char frame[60];
    memset(frame, 0xff, ETH_ALEN);
    memset(frame + ETH_ALEN, 0, sizeof frame - ETH_ALEN);
    frame[ETH_ALEN] = 2;
    frame[12] = 0x88;
    frame[13] = 0xb5;
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_ifindex = (int)reflector->device, .sll_halen = ETH_ALEN};
    (void)!sendto(reflector->beacon, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&to,
                  sizeof to);
}

static void serve(const struct reflector *reflector, struct options *options, int signals)
{
    struct pollfd ends[] = {{.fd = signals, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (;;) {
        int later = hold_turn(&options->held), beacon = options->beacon ? BEACON : -1;
        int ready = poll(ends, 2, later < 0 ? beacon : later);
        if (ready < 0 && errno != EINTR)
            return;
        if (ready == 0 && later < 0)
            send_beacon(reflector);
        if (ready > 0 && ends[1].revents != 0) {
            char bytes[64];
            if (read(0, bytes, sizeof bytes) <= 0)
                return;
        }
        if (ready > 0 && ends[0].revents != 0) {
            struct signalfd_siginfo signal;
            if (read(signals, &signal, sizeof signal) != sizeof signal ||
                signal.ssi_signo != SIGUSR1)
                return;
            print_counts(reflector, options);
        }
    }
}

static int run(struct options *options)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    options->settings.started = (uint64_t)(now.tv_sec * NANOSECONDS + now.tv_nsec);
    struct reflector reflector = {.link = -1, .beacon = -1};
    reflector.device = if_nametoindex(options->device);
    options->settings.redirect = options->redirect;
    options->settings.device = reflector.device;
    if (signals < 0 || reflector.device == 0)
        return fail(options->device, errno);
    libbpf_set_print(print_warning);
    int status = attach(&reflector, options);
    if (status == 0 && options->beacon) {
        reflector.beacon = open_beacon();
        status = reflector.beacon < 0 ? fail("packet socket", errno) : 0;
    }
    if (status == 0) {
        printf("ready\n");
        fflush(stdout);
        serve(&reflector, options, signals);
        if (!options->pass)
            print_counts(&reflector, options);
    }
    if (reflector.link >= 0)
        close(reflector.link);
    if (reflector.beacon >= 0)
        close(reflector.beacon);
    bpf_object__close(reflector.object);
    return status;
}

int main(int count, char **words)
{
    struct options options = read_options(count, words);
    if (options.truth != NO_TRUTH)
        return print_truth(&options, words + optind);
    if (!options.device || optind != count) {
        fputs(usage, stderr);
        return 2;
    }
    return run(&options);
}
