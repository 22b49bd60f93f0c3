/* talkload is load for programs that carry bytes: sources and sinks that cost little, echo servers,
 * and clients by the thousand. What each of them does stands in its usage text. */
#include "talkload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: talkload fill [--bytes N] [--copy] > PIPE-OR-FILE\n"
    "       talkload drain [--bytes N] [--verify] < PIPE-OR-FILE\n"
    "       talkload source|sink PORT [--bytes N] [--parallel N] [--copy] [--verify]\n"
    "       talkload echo PORT\n"
    "       talkload ping PORT [--count N] [--parallel N] [--seconds N]\n"
    "       talkload hold PORT [--count N]\n"
    "       talkload listen PORT [--count N]\n"
    "\n"
    "fill writes bytes, drain takes them; source and sink do the same through connections. echo "
    "says\n"
    "everything back. ping makes connections one after another, N at a time, each with 100 bytes "
    "and\n"
    "their echo. hold makes connections, has each echo once, says so, and stays until standard "
    "input ends;\n"
    "then it has each echo again. listen listens on N ports from PORT on until then.\n"
    "  --address A   on loopback, and nowhere else; 127.0.0.1 otherwise\n"
    "  --bytes N     in all connections; K, M, G are powers of 1024\n"
    "  --copy        send bytes from memory, not pages of a file by reference\n"
    "  --verify      look at every byte\n"
    "  --limit N     seconds after which it ends whatever is still going on, 120\n";

#define BYTES_MAXIMUM ((uint64_t)64 << 30)
#define PARALLEL_MAXIMUM 1024
#define COUNT_MAXIMUM 1000000
#define SECONDS_MAXIMUM 600

/* ---- saying ---- */

void load_fail(const char *what)
{
    fprintf(stderr, "talkload: %s: %s\n", what, strerror(errno));
    exit(1);
}

void load_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("talkload: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    exit(1);
}

uint64_t load_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- sockets ---- */

static int open_socket(const struct load *load)
{
    int fd = socket(load->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        load_fail("socket");
    return fd;
}

int load_listen(const struct load *load)
{
    int fd = open_socket(load), one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)&load->address, load->address_length) != 0 ||
        listen(fd, 4096) != 0)
        load_fail("listen");
    return fd;
}

int load_connect(const struct load *load)
{
    int fd = open_socket(load), one = 1;
    /* Small messages leave at once. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)&load->address, load->address_length) != 0 &&
        errno != EINPROGRESS)
        load_fail("connect");
    return fd;
}

int load_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    else if (errno != EAGAIN && errno != ECONNABORTED)
        load_fail("accept");
    return fd;
}

int load_epoll(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        load_fail("epoll_create1");
    return fd;
}

void load_watch(int epoll, int fd, uint32_t events, uint32_t number)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.u32 = number};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        load_fail("epoll_ctl");
}

/* ---- the bytes ---- */

/* splitmix64: a permutation of all numbers, so that no two words are the same. */
static uint64_t word_at(uint64_t number)
{
    uint64_t word = (number + 1) * 0x9e3779b97f4a7c15;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    return word ^ (word >> 31);
}

const unsigned char *load_pattern(void)
{
    unsigned char *pattern = aligned_alloc(4096, LOAD_PERIOD + LOAD_BLOCK);
    if (!pattern)
        load_fail("memory");
    for (size_t i = 0; i < LOAD_PERIOD; i += 8) {
        uint64_t word = word_at(i / 8);
        memcpy(pattern + i, &word, sizeof word);
    }
    memcpy(pattern + LOAD_PERIOD, pattern, LOAD_BLOCK);
    return pattern;
}

int load_pattern_file(const unsigned char *pattern)
{
    int fd = memfd_create("pattern", MFD_CLOEXEC);
    if (fd < 0 || write(fd, pattern, LOAD_PERIOD) != (ssize_t)LOAD_PERIOD)
        load_fail("memfd_create");
    return fd;
}

bool load_matches(const unsigned char *pattern, uint64_t offset, const void *bytes, size_t length)
{
    return memcmp(pattern + offset % LOAD_PERIOD, bytes, length) == 0;
}

/* ---- the command line ---- */

__attribute__((noreturn)) static void refuse(const char *what)
{
    fprintf(stderr, "talkload: %s\n%s", what, usage);
    exit(2);
}

static uint64_t number(const char *text, uint64_t maximum)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    const char *units = "KMG", *unit = *end ? strchr(units, *end) : NULL;
    if (unit && end[1] == 0 && value <= BYTES_MAXIMUM) {
        value <<= 10 * (unit - units + 1);
        end++;
    }
    if (errno != 0 || end == text || *end != 0 || value == 0 || value > maximum)
        refuse("a number is wrong or too large");
    return value;
}

static void read_address(struct load *load, const char *text, uint16_t port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1 && ntohl(four.sin_addr.s_addr) >> 24 == 127) {
        load->address_length = sizeof four;
        memcpy(&load->address, &four, sizeof four);
    } else if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1 &&
               IN6_IS_ADDR_LOOPBACK(&six.sin6_addr)) {
        load->address_length = sizeof six;
        memcpy(&load->address, &six, sizeof six);
    } else {
        refuse("the address is none of loopback's");
    }
}

struct words {
    const char *address;
    unsigned limit; /* seconds */
};

static struct load read_options(int count, char **words, struct words *ret_words)
{
    static const struct option table[] = {
        {"address", 1, NULL, 'a'}, {"bytes", 1, NULL, 'b'},
        {"copy", 0, NULL, 'c'},    {"count", 1, NULL, 'n'},
        {"limit", 1, NULL, 'l'},   {"parallel", 1, NULL, 'p'},
        {"seconds", 1, NULL, 's'}, {"verify", 0, NULL, 'v'},
        {"help", 0, NULL, 'h'},    {0},
    };
    struct load load = {.bytes = (uint64_t)1 << 30, .parallel = 1, .count = 1000};
    load.time = (uint64_t)10 * 1000000000;
    *ret_words = (struct words){.address = "127.0.0.1", .limit = 120};
    int letter;
    while ((letter = getopt_long(count, words, "h", table, NULL)) != -1) {
        switch (letter) {
        case 'a':
            ret_words->address = optarg;
            break;
        case 'b':
            load.bytes = number(optarg, BYTES_MAXIMUM);
            break;
        case 'c':
            load.copy = true;
            break;
        case 'n':
            load.count = number(optarg, COUNT_MAXIMUM);
            break;
        case 'l':
            ret_words->limit = (unsigned)number(optarg, SECONDS_MAXIMUM);
            break;
        case 'p':
            load.parallel = (uint32_t)number(optarg, PARALLEL_MAXIMUM);
            break;
        case 's':
            load.time = number(optarg, SECONDS_MAXIMUM) * 1000000000;
            break;
        case 'v':
            load.verify = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            refuse("unknown option");
        }
    }
    return load;
}

/* Ends with the program that started it, and after `limit` seconds in any case. */
static void bound(unsigned limit)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    alarm(limit);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int count, char **words)
{
    static const struct {
        const char *name;
        bool connects;
        void (*run)(const struct load *load);
    } modes[] = {
        {"fill", false, load_fill}, {"drain", false, load_drain}, {"source", true, load_source},
        {"sink", true, load_sink},  {"echo", true, load_echo},    {"ping", true, load_ping},
        {"hold", true, load_hold},  {"listen", true, load_wait},
    };
    struct words given;
    struct load load = read_options(count, words, &given);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (optind >= count || strcmp(words[optind], modes[i].name) != 0)
            continue;
        if (count - optind != 1 + modes[i].connects)
            break;
        if (modes[i].connects)
            read_address(&load, given.address, (uint16_t)number(words[optind + 1], UINT16_MAX));
        bound(given.limit);
        modes[i].run(&load);
        return 0;
    }
    refuse("fill, drain, or source, sink, echo, ping, hold or listen and a port are wanted");
}
