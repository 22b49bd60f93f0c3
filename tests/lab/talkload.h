/* Load for programs that carry bytes: what feeds them, what they feed, and clients and servers by
 * the thousand. Everything is bounded in number and time, and nothing leaves loopback. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct load {
    struct sockaddr_storage address; /* to listen on or to connect to */
    socklen_t address_length;
    uint64_t bytes;    /* of all connections; for `drain` and `sink` how many must come */
    uint32_t parallel; /* connections at a time */
    uint64_t count;    /* connections in all */
    uint64_t time;     /* nanoseconds after which no further one is begun */
    bool verify;       /* look at every byte that arrives */
    bool copy;         /* send from memory, and not pages of a file by reference */
};

/* Prints why, with errno, and ends with status 1. */
__attribute__((noreturn)) void load_fail(const char *what);
/* The same without errno. */
__attribute__((noreturn, format(printf, 1, 2))) void load_wrong(const char *format, ...);

uint64_t load_now(void); /* nanoseconds, CLOCK_MONOTONIC: the same for all processes */

/* Non-blocking sockets. */
int load_listen(const struct load *load);
/* Connected, or on the way there. */
int load_connect(const struct load *load);
/* The next one who comes, or -1 for nobody yet. */
int load_accept(int listener);
/* An epoll descriptor. */
int load_epoll(void);
/* Watches `fd` edge-triggered; `number` comes back in the event's data. */
void load_watch(int epoll, int fd, uint32_t events, uint32_t number);

/* The bytes that are sent: the same sequence again and again, in which no 8 aligned bytes come
 * twice. Its length divides by no power of two above a page, so that a block that is missing,
 * doubled or in the wrong place shows. */
#define LOAD_PERIOD ((size_t)1023 * 4096)
#define LOAD_BLOCK ((size_t)256 << 10)

const unsigned char *load_pattern(void);             /* LOAD_PERIOD + LOAD_BLOCK bytes of it */
int load_pattern_file(const unsigned char *pattern); /* LOAD_PERIOD bytes in memory */
/* Are these the bytes at `offset`? At most LOAD_BLOCK. */
bool load_matches(const unsigned char *pattern, uint64_t offset, const void *bytes, size_t length);

/* Each prints what it did as one JSON object on a line, or ends the program with status 1. */
void load_fill(const struct load *load);   /* `bytes` to standard output */
void load_drain(const struct load *load);  /* from standard input until its end; told on stderr */
void load_source(const struct load *load); /* `parallel` connections that send `bytes` in all */
void load_sink(const struct load *load);   /* takes `bytes` in all from `parallel` connections */
void load_echo(const struct load *load);   /* says everything back, until it is ended by a signal */
void load_ping(
    const struct load *load); /* `count` connections, each with 100 bytes and their echo */
void load_hold(
    const struct load *load); /* `count` connections that stay, until standard input ends */
/* Listens on `count` ports from that of the address on, until standard input ends. */
void load_wait(const struct load *load);
