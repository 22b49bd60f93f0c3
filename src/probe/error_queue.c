/* Reading a TCP socket's error queue: struct sock_extended_err of <linux/errqueue.h>. */
#include "probe/error_queue.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

int error_queue_enable(int fd, enum address_family family)
{
    const int on = 1;
    int failed = family == ADDRESS_IPV4
                     ? setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on))
                     : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    return failed ? -errno : 0;
}

/* Copies the header of the control message at `offset`. Returns false when none lies there whole.
 * (CMSG_NXTHDR() trusts the lengths that it finds.) */
static bool read_control(const struct msghdr *message, size_t offset, struct cmsghdr *ret_control)
{
    if (offset > message->msg_controllen || message->msg_controllen - offset < sizeof(*ret_control))
        return false;
    memcpy(ret_control, (const char *)message->msg_control + offset, sizeof(*ret_control));
    return ret_control->cmsg_len >= sizeof(*ret_control) &&
           ret_control->cmsg_len <= message->msg_controllen - offset;
}

static bool is_extended_error(const struct cmsghdr *control)
{
    return ((control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR) ||
            (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR)) &&
           control->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err));
}

/* The address of who sent the error follows the struct, as far as the message reaches. */
static struct address read_offender(const char *bytes, size_t length)
{
    struct sockaddr_storage sockaddr = {0};
    struct address from = {0};
    memcpy(&sockaddr, bytes, length < sizeof(sockaddr) ? length : sizeof(sockaddr));
    size_t needed =
        sockaddr.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (length >= needed)
        address_from_sockaddr((const struct sockaddr *)&sockaddr, &from, NULL);
    return from;
}

/* Returns false for an error that did not come by ICMP. `length` bytes are at least the struct. */
static bool read_extended_error(const char *bytes, size_t length, struct icmp_error *error)
{
    struct sock_extended_err extended;
    memcpy(&extended, bytes, sizeof(extended));
    if (extended.ee_origin == SO_EE_ORIGIN_ICMP)
        error->reason = reason_from_icmp(extended.ee_type, extended.ee_code);
    else if (extended.ee_origin == SO_EE_ORIGIN_ICMP6)
        error->reason = reason_from_icmp6(extended.ee_type, extended.ee_code);
    else
        return false;
    error->from = read_offender(bytes + sizeof(extended), length - sizeof(extended));
    return true;
}

static bool read_name(const struct msghdr *message, struct endpoint *endpoint)
{
    struct sockaddr_storage name = {0};
    size_t length = message->msg_namelen;
    memcpy(&name, message->msg_name, length < sizeof(name) ? length : sizeof(name));
    size_t needed =
        name.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    return length >= needed && address_from_sockaddr((const struct sockaddr *)&name,
                                                     &endpoint->address, &endpoint->port.number);
}

bool error_queue_read(const struct msghdr *message, struct icmp_error *ret_error)
{
    struct icmp_error found = {.to.port.protocol = PROTOCOL_TCP};
    struct cmsghdr control;
    if (!read_name(message, &found.to))
        return false;
    for (size_t offset = 0; read_control(message, offset, &control);
         offset += CMSG_ALIGN(control.cmsg_len)) {
        const char *data = (const char *)message->msg_control + offset + CMSG_LEN(0);
        if (!is_extended_error(&control) ||
            !read_extended_error(data, control.cmsg_len - CMSG_LEN(0), &found))
            continue;
        *ret_error = found;
        return true;
    }
    return false;
}

bool error_queue_next(int fd, struct icmp_error *ret_error)
{
    for (;;) {
        struct sockaddr_storage name = {0};
        alignas(struct cmsghdr) char control[512];
        char payload[128]; /* the quoted packet, of which name has what matters */
        struct iovec vector = {.iov_base = payload, .iov_len = sizeof(payload)};
        struct msghdr message = {
            .msg_name = &name,
            .msg_namelen = sizeof(name),
            .msg_iov = &vector,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control),
        };
        if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return false;
        if (error_queue_read(&message, ret_error))
            return true;
    }
}
