/* systemd's socket activation, sd_listen_fds(3). */
#include "base/text.h"
#include "cmd/talk_listen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST 3

size_t talk_inherited(int *descriptors, size_t maximum)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    uint64_t owner = 0, count = 0, usable = 0;
    if (!pid || !fds || text_parse_number(pid, &owner, NULL) < 0 ||
        text_parse_number(fds, &count, NULL) < 0 || owner != (uint64_t)getpid())
        return 0;
    while (usable < count && usable < maximum) {
        int fd = FIRST + (int)usable;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            break;
        descriptors[usable++] = fd;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return (size_t)usable;
}
