/* simnet: plays the network of a description behind a TUN or TAP device. */
#include "simnet.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "simnet --device NAME [OPTION…] FILE            plays the network that FILE describes\n"
    "simnet --truth|--truth-open|--truth-counts FILE -p PORTS [TARGET…]\n"
    "                                               prints ADDRESS PORT STATE REASON [ROUTER]\n"
    "simnet --networks FILE                         prints the gateways and networks\n"
    "\n"
    "  --tap, --tun       the kind of device; --tap unless said otherwise\n"
    "  --queue N          packets that wait in the device (100000)\n"
    "  --events N         answers that can be on their way (2000000)\n"
    "  --seed N           in place of the description's\n"
    "  --counters FILE    JSON, written at the end and on SIGUSR1\n"
    "  --beacon           broadcasts a frame of no protocol every quarter of a second: some "
    "scanners\n"
    "                     do not notice that they are done while nothing comes\n"
    "  --until-eof        ends when its standard input does, too\n"
    "\n"
    "FILE may be - for the standard input. `ready` is printed when packets may come; SIGTERM or\n"
    "SIGINT ends it. How to describe a network stands in description.md.\n";

struct options {
    const char *device, *counters, *ports;
    bool tun, networks, until_eof, beacon, seeded;
    enum { NO_TRUTH, PRINT_ALL, PRINT_OPEN, PRINT_COUNTS } truth;
    unsigned queue, events;
    uint64_t seed;
};

static int64_t clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NANOSECONDS + time.tv_nsec;
}

static uint64_t number(const char *text, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || value > most) {
        fprintf(stderr, "simnet: a number up to %llu is wanted, not %s\n", (unsigned long long)most,
                text);
        exit(2);
    }
    return value;
}

static struct options read_options(int count, char **words)
{
    static const struct option table[] = {
        {"device", 1, NULL, 'd'},     {"tap", 0, NULL, 'a'},
        {"tun", 0, NULL, 'u'},        {"queue", 1, NULL, 'q'},
        {"events", 1, NULL, 'e'},     {"seed", 1, NULL, 's'},
        {"counters", 1, NULL, 'c'},   {"beacon", 0, NULL, 'b'},
        {"until-eof", 0, NULL, 'E'},  {"truth", 0, NULL, 't'},
        {"truth-open", 0, NULL, 'o'}, {"truth-counts", 0, NULL, 'T'},
        {"networks", 0, NULL, 'n'},   {"ports", 1, NULL, 'p'},
        {"help", 0, NULL, 'h'},       {0},
    };
    struct options options = {.queue = 100000, .events = 2000000};
    int letter;
    while ((letter = getopt_long(count, words, "p:h", table, NULL)) != -1) {
        switch (letter) {
        case 'd':
            options.device = optarg;
            break;
        case 'a':
            options.tun = false;
            break;
        case 'u':
            options.tun = true;
            break;
        case 'q':
            options.queue = (unsigned)number(optarg, 10000000);
            break;
        case 'e':
            options.events = (unsigned)number(optarg, 100000000);
            break;
        case 's':
            options.seed = number(optarg, INT64_MAX);
            options.seeded = true;
            break;
        case 'c':
            options.counters = optarg;
            break;
        case 'b':
            options.beacon = true;
            break;
        case 'E':
            options.until_eof = true;
            break;
        case 't':
            options.truth = PRINT_ALL;
            break;
        case 'o':
            options.truth = PRINT_OPEN;
            break;
        case 'T':
            options.truth = PRINT_COUNTS;
            break;
        case 'n':
            options.networks = true;
            break;
        case 'p':
            options.ports = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    return options;
}

static bool write_counters(struct simnet *simnet, const struct options *options)
{
    struct device_drops drops = {0};
    simnet->counters.unsent = simnet->wheel->count;
    if (!options->counters)
        return true;
    return device_drops(options->device, &drops) &&
           counters_write(&simnet->counters, &drops, options->counters);
}

/* Returns false when it is to end. */
static bool serve_signals(struct simnet *simnet, const struct options *options, int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGUSR1)
            return false;
        write_counters(simnet, options);
    }
    return true;
}

static bool is_at_end(void)
{
    char bytes[256];
    return read(STDIN_FILENO, bytes, sizeof bytes) == 0;
}

/* Waits for packets, signals, or the time of the next answer. Returns false when it is to end. */
static bool wait_for(struct simnet *simnet, const struct options *options, int signals,
                     int64_t timeout)
{
    struct pollfd ends[] = {{simnet->device, POLLIN, 0},
                            {signals, POLLIN, 0},
                            {options->until_eof ? STDIN_FILENO : -1, POLLIN, 0}};
    struct timespec time = {timeout / NANOSECONDS, timeout % NANOSECONDS};
    int count = ppoll(ends, 3, timeout == INT64_MAX ? NULL : &time, NULL);
    if (count <= 0)
        return true;
    if (ends[0].revents & (POLLERR | POLLNVAL))
        return false; /* the device has been taken away */
    if (ends[2].revents && is_at_end())
        return false;
    return !ends[1].revents || serve_signals(simnet, options, signals);
}

#define BATCH 64
#define SPIN 50000              /* nanoseconds before an answer that are not slept */
#define LOOK (NANOSECONDS / 20) /* at signals, when there is always something to do */

#define BEACON_TIME (NANOSECONDS / 4)

/* Sends the beacon, an ARP probe (RFC 5227) for 0.0.0.0, when it is due; returns when the next one
 * is. */
static int64_t send_beacon(const struct simnet *simnet, int64_t due, int64_t now)
{
    if (now < due)
        return due;
    unsigned char frame[60] = {255, 255, 255, 255, 255, 255, 2, 'S', 'I', 'M', 0,   1,   8, 6,
                               0,   1,   8,   0,   6,   4,   0, 1,   2,   'S', 'I', 'M', 0, 1};
    if (write(simnet->device, frame, sizeof frame) < 0 && errno != EAGAIN)
        return INT64_MAX;
    return now + BEACON_TIME;
}

static void play(struct simnet *simnet, const struct options *options, int signals)
{
    int64_t looked = 0, beacon = options->beacon && simnet->tap ? 0 : INT64_MAX;
    uint64_t backlog = 0;
    for (;;) {
        unsigned char frame[2048];
        int64_t now = clock_now();
        unsigned count = 0;
        ssize_t length = 0;
        while (count < BATCH && (length = read(simnet->device, frame, sizeof frame)) > 0) {
            now = clock_now();
            packet_receive(simnet, frame, (size_t)length, now);
            count++;
        }
        backlog = count == BATCH ? backlog + count : 0;
        if (backlog > simnet->counters.backlog)
            simnet->counters.backlog = backlog;
        now = clock_now();
        size_t fired = path_fire(simnet, now, 2 * BATCH);
        if (now - looked > LOOK) {
            looked = now;
            if (!wait_for(simnet, options, signals, 0))
                return;
        }
        beacon = send_beacon(simnet, beacon, now);
        int64_t next = path_next(simnet);
        if (next > beacon)
            next = beacon;
        if (count == 0 && fired == 0 && next > now + SPIN &&
            !wait_for(simnet, options, signals, next == INT64_MAX ? next : next - now - SPIN / 2))
            return;
    }
}

/* Every network needs a way to it. */
static bool is_reachable(const struct description *description)
{
    for (size_t i = 0; i < description->prefix_count; i++) {
        const struct prefix *prefix = &description->prefixes[i];
        if (!prefix->network->onlink && !description->has_gateway[!host_is_four(prefix->host)]) {
            fprintf(stderr,
                    "simnet: line %u: this network is neither onlink nor behind a gateway\n",
                    prefix->network->line);
            return false;
        }
    }
    return true;
}

/* Blocks the signals that are asked for, and returns where they are read. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int run(struct description *description, const struct options *options)
{
    struct simnet simnet = {.description = description,
                            .device = -1,
                            .tap = !options->tun,
                            .random = mix(description->seed)};
    if (simnet.tap && !is_reachable(description))
        return 2;
    int status = 1, signals = open_signals();
    prctl(PR_SET_TIMERSLACK, 1);
    if (signals < 0 || !counters_open(&simnet.counters) ||
        !path_open(&simnet, options->events, clock_now()))
        fprintf(stderr, "simnet: %s\n", strerror(errno));
    else
        simnet.device = device_open(options->device, simnet.tap, options->queue);
    if (simnet.device >= 0) {
        puts("ready");
        fflush(stdout);
        play(&simnet, options, signals);
        status = !write_counters(&simnet, options);
        close(simnet.device);
    }
    path_close(&simnet);
    free(simnet.counters.windows);
    close(signals);
    return status;
}

static int serve(struct description *description, const struct options *options,
                 char *const *targets)
{
    static const enum truth_print what[] = {
        [PRINT_ALL] = TRUTH_ALL, [PRINT_OPEN] = TRUTH_OPEN, [PRINT_COUNTS] = TRUTH_COUNTS};
    if (options->truth)
        return truth_print(description, what[options->truth], options->ports, targets);
    if (options->networks)
        return description_print(description);
    return run(description, options);
}

int main(int count, char **words)
{
    struct options options = read_options(count, words);
    bool prints = options.truth != NO_TRUTH || options.networks;
    char *const *rest = words + optind;
    if (!*rest || prints == (options.device != NULL) || (options.truth && !options.ports) ||
        (!options.truth && rest[1])) {
        fputs(usage, stderr);
        return 2;
    }
    struct description description;
    if (!description_read(*rest, options.seeded ? &options.seed : NULL, &description))
        return 2;
    int status = serve(&description, &options, rest + 1);
    description_close(&description);
    return status;
}
