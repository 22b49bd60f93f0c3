/* Sockets that were handed over. */
#include "cmd/talk_inherited.h"

#include "base/text.h"
#include "cmd/talk_session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST 3

void talk_inherited_take(struct talk_inherited *ret_inherited)
{
    const size_t maximum = sizeof(ret_inherited->descriptors) / sizeof(int);
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    uint64_t owner = 0, count = 0;
    *ret_inherited = (struct talk_inherited){0};
    if (!pid || !fds || text_parse_number(pid, &owner, NULL) < 0 ||
        text_parse_number(fds, &count, NULL) < 0 || owner != (uint64_t)getpid())
        return;
    while (ret_inherited->count < count && ret_inherited->count < maximum) {
        int fd = FIRST + (int)ret_inherited->count;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            break;
        ret_inherited->descriptors[ret_inherited->count++] = fd;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t length = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

/* What is no socket at all is found out by the listener. */
static enum endpoint_kind kind_of(int fd)
{
    return option_of(fd, SO_TYPE) == SOCK_DGRAM  ? ENDPOINT_UDP
           : option_of(fd, SO_DOMAIN) == AF_UNIX ? ENDPOINT_UNIX
                                                 : ENDPOINT_TCP;
}

int talk_inherited_endpoint(const struct talk_inherited *inherited, struct talk_options *options,
                            struct endpoint *ret_endpoint, struct error *error)
{
    struct endpoint endpoint = {.kind = kind_of(inherited->descriptors[0])};
    bool udp = endpoint.kind == ENDPOINT_UDP;
    const char *option = options->udp && !udp  ? "--udp"
                         : options->tls && udp ? "--tls"
                         : options->unix_path  ? "--unix"
                         : options->all        ? "--all"
                         : options->bind       ? "--bind"
                                               : NULL;
    if (option)
        return error_set(error, EINVAL,
                         "%s and the %s socket that was handed over exclude one another", option,
                         talk_protocol(&endpoint));
    if (options->tls)
        endpoint.kind = ENDPOINT_TLS;
    *ret_endpoint = endpoint;
    talk_note_kind(options, ret_endpoint);
    return 0;
}
