/* The TUN or TAP device: refused where there is a way out, made, set up, and asked for its drops.
 */
#include "simnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool complain(const char *what)
{
    fprintf(stderr, "simnet: %s: %s\n", what, strerror(errno));
    return false;
}

/* Sends a request to rtnetlink and hands each part of the answer to `visit`. */
static bool netlink_ask(struct nlmsghdr *request,
                        void (*visit)(const struct nlmsghdr *message, void *data), void *data)
{
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (netlink < 0)
        return false;
    bool done = send(netlink, request, request->nlmsg_len, 0) == (ssize_t)request->nlmsg_len;
    bool more = done;
    while (more) {
        static _Alignas(struct nlmsghdr) char buffer[1 << 16];
        ssize_t size = recv(netlink, buffer, sizeof buffer, 0);
        if (size <= 0) {
            done = false;
            break;
        }
        unsigned left = (unsigned)size;
        const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
        for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NLMSG_ERROR)
                done = false;
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
                more = false;
                break;
            }
            visit(message, data);
            more = (message->nlmsg_flags & NLM_F_MULTI) != 0;
        }
    }
    close(netlink);
    return done;
}

static void find_default(const struct nlmsghdr *message, void *data)
{
    const struct rtmsg *route = NLMSG_DATA(message);
    if (message->nlmsg_type == RTM_NEWROUTE && route->rtm_dst_len == 0 &&
        (route->rtm_type == RTN_UNICAST || route->rtm_type == RTN_NAT))
        *(bool *)data = true;
}

static bool has_way_out(int family, bool *ret_has)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .route = {.rtm_family = (unsigned char)family},
    };
    return netlink_ask(&request.header, find_default, ret_has);
}

/* Only a namespace of its own, without a default route, is a place to play a network in. */
static bool is_isolated(void)
{
    struct stat here, first;
    if (stat("/proc/self/ns/net", &here) == 0 && stat("/proc/1/ns/net", &first) == 0 &&
        here.st_ino == first.st_ino) {
        fprintf(stderr, "simnet: this is the machine's own network namespace\n");
        return false;
    }
    bool out = false;
    if (!has_way_out(AF_INET, &out) || !has_way_out(AF_INET6, &out))
        return complain("the routes cannot be read");
    if (out)
        fprintf(stderr, "simnet: this network namespace has a default route\n");
    return !out;
}

/* The kernel's own IPv6 chatter and waiting for duplicates would only disturb. */
static void set_quiet(const char *name)
{
    static const struct {
        const char *variable, *value;
    } settings[] = {{"addr_gen_mode", "1"}, {"accept_dad", "0"}, {"router_solicitations", "0"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char path[128];
        snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/%s", name, settings[i].variable);
        int file = open(path, O_WRONLY | O_CLOEXEC);
        if (file < 0)
            continue; /* a kernel without IPv6 */
        if (write(file, settings[i].value, 1) != 1)
            complain(path);
        close(file);
    }
}

static bool set_up(const char *name, unsigned queue)
{
    int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (handle < 0)
        return complain("socket");
    struct ifreq request = {.ifr_qlen = (int)queue};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    bool done = ioctl(handle, SIOCSIFTXQLEN, &request) == 0;
    if (!done)
        complain("the device's queue");
    set_quiet(name);
    if (done && ioctl(handle, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        done = ioctl(handle, SIOCSIFFLAGS, &request) == 0;
        if (!done)
            complain("the device does not go up");
    }
    close(handle);
    return done;
}

int device_open(const char *name, bool tap, unsigned queue)
{
    if (!is_isolated())
        return -1;
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) {
        complain("/dev/net/tun");
        return -1;
    }
    struct ifreq request = {.ifr_flags = (short)((tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI)};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(device, TUNSETIFF, &request) != 0)
        complain(name);
    else if (set_up(name, queue))
        return device;
    close(device);
    return -1;
}

static void find_drops(const struct nlmsghdr *message, void *data)
{
    if (message->nlmsg_type != RTM_NEWLINK)
        return;
    struct ifinfomsg *link = NLMSG_DATA(message);
    unsigned left = (unsigned)IFLA_PAYLOAD(message);
    for (struct rtattr *part = IFLA_RTA(link); RTA_OK(part, left); part = RTA_NEXT(part, left)) {
        struct rtnl_link_stats64 stats = {0};
        size_t size = RTA_PAYLOAD(part);
        if (part->rta_type != IFLA_STATS64)
            continue;
        memcpy(&stats, RTA_DATA(part), size < sizeof stats ? size : sizeof stats);
        *(struct device_drops *)data = (struct device_drops){stats.tx_dropped, stats.rx_dropped};
    }
}

bool device_drops(const char *name, struct device_drops *ret_drops)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST},
        .link = {.ifi_index = (int)if_nametoindex(name)},
    };
    return netlink_ask(&request.header, find_drops, ret_drops) ||
           complain("the device's drops cannot be read");
}
