/* Connections in quantity: an echo server, clients that come and go, clients that stay, and ports
 * that are waited at. */
#include "talkload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MESSAGE 100    /* bytes of `ping` */
#define IN_FLIGHT 128  /* connections of `hold` that are not open yet */
#define PATIENCE 10000 /* milliseconds in which something must happen */
#define EVENTS 256

/* ---- the server ---- */

/* True at the end. Echoes are short: what a connection does not take at once is not waited for. */
static bool echo(int fd)
{
    char buffer[16384];
    for (;;) {
        ssize_t length = recv(fd, buffer, sizeof buffer, 0);
        if (length < 0)
            return errno != EAGAIN;
        if (length == 0 || send(fd, buffer, (size_t)length, 0) != length)
            return true;
        if (length < (ssize_t)sizeof buffer)
            return false;
    }
}

void load_echo(const struct load *load)
{
    int epoll = load_epoll(), listener = load_listen(load);
    load_watch(epoll, listener, EPOLLIN, 0);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = (int)events[i].data.u32;
            if (fd == 0) {
                while ((fd = load_accept(listener)) >= 0)
                    load_watch(epoll, fd, EPOLLIN | EPOLLRDHUP, (uint32_t)fd);
            } else if (echo(fd) || (events[i].events & EPOLLRDHUP && echo(fd))) {
                close(fd);
            }
        }
    }
}

/* ---- clients that come and go ---- */

struct client {
    int fd;
    bool sent;
    size_t taken;
    uint32_t number; /* begins what it says, so that a foreign echo shows */
};

struct crowd {
    const struct load *load;
    int epoll;
    uint32_t open;
    uint64_t begun, done, failed;
};

static void fill_message(unsigned char message[static MESSAGE], uint32_t number)
{
    memset(message, 'x', MESSAGE);
    memcpy(message, &number, sizeof number);
}

static void client_begin(struct crowd *crowd, struct client *client, uint32_t slot)
{
    *client = (struct client){.fd = load_connect(crowd->load), .number = (uint32_t)crowd->begun++};
    load_watch(crowd->epoll, client->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, slot);
    crowd->open++;
}

/* Says and hears what goes. 0 as long as it isn't done, 1 when all of the echo is there, -1 when it
 * failed. */
static int client_go(struct client *client)
{
    unsigned char message[MESSAGE], heard[MESSAGE];
    fill_message(message, client->number);
    if (!client->sent) {
        ssize_t length = send(client->fd, message, MESSAGE, 0);
        if (length < 0)
            return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
        client->sent = true;
    }
    ssize_t length = recv(client->fd, heard, MESSAGE - client->taken, 0);
    if (length < 0)
        return errno == EAGAIN ? 0 : -1;
    if (length == 0 || memcmp(heard, message + client->taken, (size_t)length) != 0)
        return -1;
    client->taken += (size_t)length;
    return client->taken == MESSAGE;
}

static void client_end(struct crowd *crowd, struct client *client, int result)
{
    close(client->fd);
    client->fd = -1;
    crowd->open--;
    if (result > 0)
        crowd->done++;
    else
        crowd->failed++;
}

void load_ping(const struct load *load)
{
    struct crowd crowd = {.load = load, .epoll = load_epoll()};
    struct client *clients = calloc(load->parallel, sizeof *clients);
    if (!clients)
        load_fail("memory");
    uint64_t began = load_now();
    for (uint32_t i = 0; i < load->parallel && crowd.begun < load->count; i++)
        client_begin(&crowd, &clients[i], i);
    while (crowd.open > 0) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(crowd.epoll, events, EVENTS, PATIENCE);
        if (count == 0)
            load_wrong("nothing happens; %" PRIu64 " connections are done", crowd.done);
        bool more = load_now() - began < load->time;
        for (int i = 0; i < count; i++) {
            uint32_t slot = events[i].data.u32;
            int result = clients[slot].fd >= 0 ? client_go(&clients[slot]) : 0;
            if (result == 0)
                continue;
            client_end(&crowd, &clients[slot], result);
            if (more && crowd.begun < load->count)
                client_begin(&crowd, &clients[slot], slot);
        }
    }
    printf("{\"done\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"began\":%" PRIu64 ",\"ended\":%" PRIu64
           "}\n",
           crowd.done, crowd.failed, began, load_now());
}

/* ---- clients that stay ---- */

/* All clients say something else and hear it; those that fail are closed. At most IN_FLIGHT of them
 * are on the way at a time. */
static void hold_round(struct crowd *crowd, struct client *clients, bool opening)
{
    uint32_t next = 0, waiting = 0, all = (uint32_t)crowd->load->count;
    crowd->done = 0;
    for (;;) {
        for (; next < all && waiting < IN_FLIGHT; next++) {
            struct client *client = &clients[next];
            if (opening) {
                client_begin(crowd, client, next);
            } else if (client->fd >= 0) {
                *client = (struct client){.fd = client->fd, .number = ~client->number};
                int result = client_go(client); /* the echo may be there already */
                if (result < 0)
                    client_end(crowd, client, result);
                else
                    crowd->done += (uint64_t)result;
                if (result != 0)
                    continue;
            } else {
                continue;
            }
            waiting++;
        }
        if (waiting == 0)
            return;
        struct epoll_event events[EVENTS];
        int count = epoll_wait(crowd->epoll, events, EVENTS, PATIENCE);
        if (count == 0)
            return;
        for (int i = 0; i < count; i++) {
            struct client *client = &clients[events[i].data.u32];
            if (client->fd < 0)
                continue;
            bool was_done = client->taken == MESSAGE;
            int result = was_done ? -(events[i].events & EPOLLRDHUP ? 1 : 0) : client_go(client);
            if (result < 0)
                client_end(crowd, client, result);
            else if (result > 0)
                crowd->done++;
            if (result != 0 && !was_done)
                waiting--;
        }
    }
}

static void tell_round(const struct crowd *crowd, const char *what, uint64_t began)
{
    printf("{\"%s\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"began\":%" PRIu64 ",\"ended\":%" PRIu64
           "}\n",
           what, crowd->done, crowd->failed, began, load_now());
    fflush(stdout);
}

static void await_end(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

void load_hold(const struct load *load)
{
    struct crowd crowd = {.load = load, .epoll = load_epoll()};
    struct client *clients = calloc(load->count, sizeof *clients);
    if (!clients)
        load_fail("memory");
    uint64_t began = load_now();
    hold_round(&crowd, clients, true);
    tell_round(&crowd, "open", began);
    await_end();
    began = load_now();
    hold_round(&crowd, clients, false);
    tell_round(&crowd, "alive", began);
}

/* ---- ports that are waited at ---- */

static uint16_t *port_of(struct load *load)
{
    return load->address.ss_family == AF_INET ? &((struct sockaddr_in *)&load->address)->sin_port
                                              : &((struct sockaddr_in6 *)&load->address)->sin6_port;
}

void load_wait(const struct load *load)
{
    struct load each = *load;
    uint32_t first = ntohs(*port_of(&each));
    if (first + load->count > UINT16_MAX + UINT32_C(1))
        load_wrong("there are not as many ports");
    for (uint32_t i = 0; i < load->count; i++) {
        *port_of(&each) = htons((uint16_t)(first + i));
        load_listen(&each);
    }
    printf("{\"listening\":%" PRIu64 "}\n", load->count);
    fflush(stdout);
    await_end();
}
