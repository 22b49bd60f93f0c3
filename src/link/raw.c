/* Everything that is not Ethernet, this machine itself included: sends IP packets through raw
 * sockets, raw(7), and leaves it to the kernel how they get where their route says. */
#include "link/batch.h"
#include "scan/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The control message that names the interface. */
union control {
    alignas(struct cmsghdr) char ipv4[CMSG_SPACE(sizeof(struct in_pktinfo))];
    alignas(struct cmsghdr) char ipv6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct raw_link {
    struct link link;
    int ipv4, ipv6; /* sockets; the negative errno of one that this kernel does not have */
    uint64_t sent, refused;

    /* Of the batch that is being sent. */
    struct mmsghdr messages[BATCH_SIZE];
    struct iovec vectors[BATCH_SIZE];
    struct sockaddr_storage names[BATCH_SIZE];
    union control controls[BATCH_SIZE];
};

static bool raw_link_carries(const struct route *route)
{
    (void)route;
    return true;
}

/* The packets bring their own header, and a full device is told (ENOBUFS): without IP_RECVERR raw
 * sockets keep that to themselves. ICMP errors, which that option is for, are not for a socket of
 * IPPROTO_RAW; see batch_send(). */
static int open_socket(int domain)
{
    const int on = 1;
    int fd = batch_socket(domain, IPPROTO_RAW, NULL);
    if (fd < 0)
        return fd;
    int failed = domain == AF_INET
                     ? setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)) ||
                           setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on))
                     : setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on)) ||
                           setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    if (!failed)
        return fd;
    int code = errno;
    close(fd);
    return -code;
}

static void close_socket(int fd)
{
    if (fd >= 0)
        close(fd);
}

extern const struct link_class link_raw;

static int raw_link_open(const struct link_options *options, struct link **ret_link,
                         struct error *error)
{
    (void)options;
    struct raw_link *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, ENOMEM, "no memory for sending packets");
    self->link.class = &link_raw;
    self->ipv4 = open_socket(AF_INET);
    self->ipv6 = open_socket(AF_INET6);
    if (self->ipv4 < 0 && self->ipv6 < 0) { /* a kernel without one of the two is no failure */
        int code = self->ipv4;
        free(self);
        return batch_error(-code, "sending packets", error);
    }
    *ret_link = &self->link;
    return 0;
}

static void raw_link_close(struct link *link)
{
    struct raw_link *self = (struct raw_link *)link;
    close_socket(self->ipv4);
    close_socket(self->ipv6);
    free(self);
}

/* The packet leaves by the interface of its route, which may have been chosen by hand. Packets to
 * this machine itself have no choice: asking for one would only hide their route. */
static void name_interface(const struct outgoing *packet, union control *control,
                           struct msghdr *header)
{
    *control = (union control){0};
    header->msg_control = NULL;
    header->msg_controllen = 0;
    if (packet->route->local)
        return;
    uint32_t index = packet->route->interface.index;
    bool old = packet->to.family == ADDRESS_IPV4;
    const struct in_pktinfo info = {.ipi_ifindex = (int)index};
    const struct in6_pktinfo info6 = {.ipi6_ifindex = index};
    header->msg_control = control;
    header->msg_controllen = old ? sizeof(control->ipv4) : sizeof(control->ipv6);
    struct cmsghdr *first = CMSG_FIRSTHDR(header);
    first->cmsg_level = old ? IPPROTO_IP : IPPROTO_IPV6;
    first->cmsg_type = old ? IP_PKTINFO : IPV6_PKTINFO;
    first->cmsg_len = old ? CMSG_LEN(sizeof(info)) : CMSG_LEN(sizeof(info6));
    if (old)
        memcpy(CMSG_DATA(first), &info, sizeof(info));
    else
        memcpy(CMSG_DATA(first), &info6, sizeof(info6));
}

static void address_message(struct raw_link *self, size_t i, const struct outgoing *packet)
{
    struct msghdr *header = &self->messages[i].msg_hdr;
    self->vectors[i] = (struct iovec){.iov_base = packet->bytes, .iov_len = packet->length};
    *header = (struct msghdr){
        .msg_name = &self->names[i],
        .msg_namelen = address_to_sockaddr(&packet->to, 0, &self->names[i]),
        .msg_iov = &self->vectors[i],
        .msg_iovlen = 1,
    };
    name_interface(packet, &self->controls[i], header);
}

/* Fills the batch with the first packets, as long as they are of one family: each has a socket of
 * its own, and the order of all is to be kept. Returns how many. */
static size_t fill(struct raw_link *self, const struct outgoing *packets, size_t count)
{
    size_t filled = 0;
    while (filled < count && filled < BATCH_SIZE &&
           packets[filled].to.family == packets->to.family) {
        address_message(self, filled, &packets[filled]);
        filled++;
    }
    return filled;
}

static size_t raw_link_send(struct link *link, const struct outgoing *packets, size_t count,
                            int *ret_code)
{
    struct raw_link *self = (struct raw_link *)link;
    size_t sent = 0;
    while (sent < count) {
        int fd = packets[sent].to.family == ADDRESS_IPV4 ? self->ipv4 : self->ipv6;
        size_t batch = fill(self, packets + sent, count - sent);
        size_t taken = 0;
        if (fd < 0)
            *ret_code = -fd;
        else
            taken = batch_send(fd, self->messages, batch, ret_code);
        sent += taken;
        self->sent += taken;
        if (taken < batch) {
            self->refused++;
            break;
        }
    }
    return sent;
}

static struct link_facts raw_link_facts(const struct link *link)
{
    const struct raw_link *self = (const struct raw_link *)link;
    return (struct link_facts){.sent = self->sent, .refused = self->refused};
}

const struct link_class link_raw = {
    .name = "raw",
    .summary = "IP packets through raw sockets",
    .carries = raw_link_carries,
    .open = raw_link_open,
    .close = raw_link_close,
    .send = raw_link_send,
    .facts = raw_link_facts,
};
