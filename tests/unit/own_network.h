/* A network of its own for a test that listens: nobody who scans this machine's loopback, as other
 * tests do, calls there. */
#pragma once

#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
}

/* Only loopback is in it, up. False without the right: then the test has the machine's. */
static inline bool own_network(void)
{
    return unshare(CLONE_NEWNET) == 0 && loopback_up();
}

/* The set-up of a group of tests. */
static inline int enter_own_network(void **state)
{
    (void)state;
    own_network();
    return 0;
}
