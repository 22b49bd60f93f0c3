/* Handing many packets to a socket with few calls: sendmmsg(2). */
#include "link/batch.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { SEND_BUFFER = 4 << 20 }; /* bytes: some thousand packets between us and a slow device */

int batch_error(int code, const char *what, struct error *error)
{
    if (code == EPERM || code == EACCES)
        return error_set(error, code,
                         "%s needs the right to open raw sockets, CAP_NET_RAW, which root has",
                         what);
    return error_set(error, code, "%s: %s", what, strerror(code));
}

/* Nothing is read from a socket that sends, so nothing may pile up in it either. */
static int refuse_all(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {.len = 1, .filter = &nothing};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

int batch_socket(int domain, int protocol, struct error *error)
{
    int fd = socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd < 0)
        return batch_error(errno, "sending packets", error);
    int code = refuse_all(fd);
    if (code) {
        close(fd);
        return batch_error(-code, "a socket's filter", error);
    }
    /* Beyond the system's limit only with CAP_NET_ADMIN; less is no failure, but EAGAIN sooner. */
    const int size = SEND_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return fd;
}

/* Whether a failed call is worth repeating at once. A stranger's ICMP error can make a raw socket's
 * next call fail, though not the one after it (only recent kernels keep such errors from
 * IPPROTO_RAW): so a failure has to come twice to be the packet's own. */
static bool is_passing(int code, size_t at, size_t *failed_at)
{
    if (code == EINTR)
        return true;
    if (code == ENOBUFS || code == EAGAIN || *failed_at == at)
        return false;
    *failed_at = at;
    return true;
}

size_t batch_send(int fd, struct mmsghdr *messages, size_t count, int *ret_code)
{
    size_t sent = 0, failed_at = SIZE_MAX;
    while (sent < count) {
        /* A call that took some says nothing of why it stopped; the next one does. */
        int taken = sendmmsg(fd, messages + sent, (unsigned)(count - sent), MSG_DONTWAIT);
        if (taken > 0) {
            sent += (size_t)taken;
        } else if (!is_passing(errno, sent, &failed_at)) {
            *ret_code = errno;
            break;
        }
    }
    return sent;
}
