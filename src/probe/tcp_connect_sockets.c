/* The connect prober's sockets: how they are opened, kept and used again. */
#include "probe/tcp_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A tick lost to a silent port (milliseconds) weighs as much as what so many prompt answers gain.
 */
#define SKIP_AFTER_SILENCE 20000

static void stack_push(struct stack *stack, uint32_t item)
{
    stack->items[stack->count++] = item;
}

static uint32_t stack_pop(struct stack *stack)
{
    return stack->items[--stack->count];
}

int attempts_init(struct tcp_connect *self, uint32_t count)
{
    self->attempts = calloc(count, sizeof(*self->attempts));
    self->idle4.items = calloc(count, sizeof(uint32_t));
    self->idle6.items = calloc(count, sizeof(uint32_t));
    self->unborn.items = calloc(count, sizeof(uint32_t));
    for (uint32_t i = 0; i < PROMPTS; i++)
        self->prompts[i].fd = -1;
    if (!self->attempts || !self->idle4.items || !self->idle6.items || !self->unborn.items ||
        deadlines_init(&self->deadlines, count) < 0)
        return -ENOMEM;
    for (uint32_t i = count; i > 0; i--) {
        self->attempts[i - 1].fd = -1;
        stack_push(&self->unborn, i - 1);
    }
    self->capacity = count;
    return 0;
}

void attempts_release(struct tcp_connect *self)
{
    for (uint32_t i = 0; i < self->deadlines.capacity; i++)
        if (self->attempts[i].fd >= 0)
            close(self->attempts[i].fd);
    for (uint32_t i = 0; i < PROMPTS; i++)
        if (self->prompts[i].address.family != ADDRESS_NONE && self->prompts[i].fd >= 0)
            close(self->prompts[i].fd);
    deadlines_release(&self->deadlines);
    free(self->attempts);
    free(self->idle4.items);
    free(self->idle6.items);
    free(self->unborn.items);
}

uint32_t attempt_number(const struct tcp_connect *self, const struct attempt *attempt)
{
    return (uint32_t)(attempt - self->attempts);
}

/* ---- ordinary sockets ---- */

/* Returns a descriptor or -errno. */
static int socket_open(enum address_family family, int flags)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int fd = socket(family == ADDRESS_IPV4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | flags,
                    IPPROTO_TCP);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
        error_queue_enable(fd, family) < 0) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

void attempt_close(struct tcp_connect *self, struct attempt *attempt)
{
    if (self->refused_fd == attempt->fd)
        refusals_check(self);
    close(attempt->fd);
    attempt->fd = -1;
    attempt->watched = false;
    attempt->single = false;
    attempt->prompt = NULL;
}

int attempt_reopen(struct tcp_connect *self, struct attempt *attempt)
{
    attempt_close(self, attempt);
    attempt->fd = socket_open(attempt->to.address.family, SOCK_NONBLOCK);
    return attempt->fd < 0 ? -attempt->fd : 0;
}

static struct attempt *take_ordinary(struct tcp_connect *self, enum address_family family,
                                     int *ret_code)
{
    struct stack *same = family == ADDRESS_IPV4 ? &self->idle4 : &self->idle6;
    struct stack *other = family == ADDRESS_IPV4 ? &self->idle6 : &self->idle4;
    struct attempt *attempt;
    *ret_code = 0;
    if (same->count)
        return &self->attempts[stack_pop(same)];
    if (self->in_flight + other->count < self->capacity && self->unborn.count) {
        attempt = &self->attempts[stack_pop(&self->unborn)];
    } else if (other->count) {
        attempt = &self->attempts[stack_pop(other)];
        attempt_close(self, attempt);
    } else {
        return NULL;
    }
    attempt->fd = socket_open(family, SOCK_NONBLOCK);
    if (attempt->fd >= 0)
        return attempt;
    *ret_code = -attempt->fd;
    stack_push(&self->unborn, attempt_number(self, attempt));
    return NULL;
}

/* ---- prompt sockets ---- */

/* A port of `source` that is free now, or 0. */
static in_port_t free_port(const struct sockaddr_storage *source, socklen_t length)
{
    struct sockaddr_storage name = {0};
    int fd = socket(source->ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return 0;
    if (bind(fd, (const struct sockaddr *)source, length) ||
        getsockname(fd, (struct sockaddr *)&name, &length))
        name = (struct sockaddr_storage){0};
    close(fd);
    return ((struct sockaddr_in *)&name)->sin_port; /* where struct sockaddr_in6 has it too */
}

/* The kernel would choose the source address and a source port anew for each attempt, which is a
 * sixth of what an attempt costs. A port that bind() is told stays the socket's; one that it chose
 * by itself would be lost with the first refusal. */
static int prompt_bind(int fd, const struct address *address)
{
    const int on = 1;
    struct sockaddr_storage source;
    socklen_t length = address_to_sockaddr(address, 0, &source);
    in_port_t *port = &((struct sockaddr_in *)&source)->sin_port;
    *port = free_port(&source, length);
    if (*port && bind(fd, (const struct sockaddr *)&source, length) == 0)
        return 0;
    *port = 0;
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
        bind(fd, (const struct sockaddr *)&source, length))
        return -errno;
    return 0;
}

/* Returns a descriptor or -errno. */
static int prompt_open(const struct address *address)
{
    const struct timeval tick = {.tv_usec = 1}; /* the kernel rounds it up */
    int fd = socket_open(address->family, 0);
    if (fd < 0)
        return fd;
    int failed = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick)) ? -errno : 0;
    if (!failed)
        failed = prompt_bind(fd, address);
    if (failed) {
        close(fd);
        return failed;
    }
    return fd;
}

static void prompt_close(struct tcp_connect *self, struct prompt *prompt)
{
    if (prompt->fd < 0)
        return;
    if (self->refused_fd == prompt->fd)
        refusals_check(self);
    close(prompt->fd);
    prompt->fd = -1;
}

static struct prompt *find_prompt(struct tcp_connect *self, const struct address *address)
{
    for (uint32_t i = 0; i < PROMPTS; i++)
        if (address_equal(&self->prompts[i].address, address))
            return &self->prompts[i];
    struct prompt *prompt = &self->prompts[self->next_prompt++ % PROMPTS];
    prompt_close(self, prompt);
    *prompt = (struct prompt){.address = *address, .fd = -1};
    return prompt;
}

/* NULL when the ordinary way is to be gone. */
static struct attempt *take_prompt(struct tcp_connect *self, const struct address *to)
{
    struct prompt *prompt = find_prompt(self, to);
    if (prompt->skip) {
        prompt->skip--;
        return NULL;
    }
    if (self->in_flight >= self->capacity || self->unborn.count == 0)
        return NULL;
    if (prompt->fd < 0)
        prompt->fd = prompt_open(to);
    if (prompt->fd < 0)
        return NULL;
    struct attempt *attempt = &self->attempts[stack_pop(&self->unborn)];
    attempt->fd = prompt->fd;
    attempt->prompt = prompt;
    prompt->fd = -1;
    return attempt;
}

/* The attempt goes on like any other, with the socket that was the prompt one's. It is made
 * non-blocking by ioctl(): fcntl(F_SETFL) could make a checkpoint lose O_APPEND as well, so that a
 * confined scan may not use it. */
static void leave_prompt(struct attempt *attempt)
{
    int on = 1;
    attempt->prompt->skip = SKIP_AFTER_SILENCE;
    ioctl(attempt->fd, FIONBIO, &on);
    attempt->prompt = NULL;
    attempt->single = true;
}

/* ---- attempts ---- */

struct attempt *attempt_take(struct tcp_connect *self, const struct address *to, bool local,
                             int *ret_code)
{
    struct attempt *attempt = local ? take_prompt(self, to) : NULL;
    if (!attempt)
        attempt = take_ordinary(self, to->family, ret_code);
    if (attempt)
        attempt->local = local;
    return attempt;
}

void attempt_give_back(struct tcp_connect *self, struct attempt *attempt)
{
    if (attempt->fd >= 0 && attempt->prompt) {
        attempt->prompt->fd = attempt->fd;
        attempt->prompt = NULL;
        attempt->fd = -1;
    }
    /* The kernel keeps a socket that asked a link-local address bound to the interface
     * (tcp_v6_connect()). */
    if (attempt->fd >= 0 && (attempt->single || attempt->to.address.scope))
        attempt_close(self, attempt);
    struct stack *stack = attempt->fd < 0                              ? &self->unborn
                          : attempt->to.address.family == ADDRESS_IPV4 ? &self->idle4
                                                                       : &self->idle6;
    stack_push(stack, attempt_number(self, attempt));
}

int attempt_connect(const struct attempt *attempt)
{
    struct sockaddr_storage to;
    socklen_t length = address_to_sockaddr(&attempt->to.address, attempt->to.port.number, &to);
    return connect(attempt->fd, (const struct sockaddr *)&to, length) ? errno : 0;
}

void attempt_disconnect(struct tcp_connect *self, struct attempt *attempt)
{
    const struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
    if (connect(attempt->fd, &unspecified, sizeof(unspecified)))
        attempt_close(self, attempt);
}

int attempt_watch(struct tcp_connect *self, struct attempt *attempt)
{
    struct epoll_event event = {
        .events = EPOLLOUT | EPOLLET,
        .data.u32 = attempt_number(self, attempt),
    };
    if (attempt->prompt)
        leave_prompt(attempt);
    if (!attempt->watched && epoll_ctl(self->epoll, EPOLL_CTL_ADD, attempt->fd, &event))
        return errno;
    attempt->watched = true;
    return 0;
}
