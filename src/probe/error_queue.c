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

static bool is_extended_error(const struct cmsghdr *control)
{
    return ((control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR) ||
            (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR)) &&
           control->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err));
}

/* The offender's address follows the struct, as far as the control message reaches. */
static struct address read_offender(const struct cmsghdr *control)
{
    const size_t offset = CMSG_LEN(sizeof(struct sock_extended_err));
    struct sockaddr_storage sockaddr = {0};
    struct address from = {0};
    size_t length = control->cmsg_len - offset;
    if (length > sizeof(sockaddr))
        length = sizeof(sockaddr);
    memcpy(&sockaddr, CMSG_DATA(control) + sizeof(struct sock_extended_err), length);
    size_t needed =
        sockaddr.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (length >= needed)
        address_from_sockaddr((const struct sockaddr *)&sockaddr, &from, NULL);
    return from;
}

bool error_queue_read(struct msghdr *message, struct icmp_error *ret_error)
{
    struct icmp_error found = {.to.port.protocol = PROTOCOL_TCP};
    if (!address_from_sockaddr(message->msg_name, &found.to.address, &found.to.port.number))
        return false;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control;
         control = CMSG_NXTHDR(message, control)) {
        struct sock_extended_err extended;
        if (!is_extended_error(control))
            continue;
        memcpy(&extended, CMSG_DATA(control), sizeof(extended));
        if (extended.ee_origin == SO_EE_ORIGIN_ICMP)
            found.reason = reason_from_icmp(extended.ee_type, extended.ee_code);
        else if (extended.ee_origin == SO_EE_ORIGIN_ICMP6)
            found.reason = reason_from_icmp6(extended.ee_type, extended.ee_code);
        else
            continue;
        found.from = read_offender(control);
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
