/* Questions about a device: rtnetlink(7) for its counters, and the generic netlink family "netdev",
 * whose numbers stand here because the headers of older systems do not have them. */
#include "net/device.h"

#include "net/netlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

enum {
    NETDEV_CMD_DEV_GET = 1,
    NETDEV_A_DEV_IFINDEX = 1,
    NETDEV_A_DEV_XDP_FEATURES = 3,
    NETDEV_XDP_ACT_NDO_XMIT = 4,
};

struct device {
    uint32_t interface;
    struct netlink *netlink;
};

int device_open(uint32_t interface, struct device **ret_device, struct error *error)
{
    struct device *device = calloc(1, sizeof(*device));
    if (!device)
        return error_set(error, ENOMEM, "out of memory");
    device->interface = interface;
    const int code = netlink_open(NETLINK_ROUTE, &device->netlink);
    if (code < 0) {
        free(device);
        return error_set(error, -code, "cannot ask the kernel about devices: %s", strerror(-code));
    }
    *ret_device = device;
    return 0;
}

void device_close(struct device *device)
{
    if (!device)
        return;
    netlink_close(device->netlink);
    free(device);
}

/* ---- what it can do ---- */

static void start_generic(union netlink_request *request, uint16_t family, uint8_t command)
{
    const struct genlmsghdr body = {.cmd = command, .version = 1};
    netlink_request_start(request, family, 0, &body, sizeof(body));
}

static int take_family(void *user, const struct nlmsghdr *message)
{
    const struct nlattr *attributes[CTRL_ATTR_FAMILY_ID + 1];
    netlink_attributes(message, sizeof(struct genlmsghdr), attributes, CTRL_ATTR_FAMILY_ID + 1);
    netlink_bytes(attributes[CTRL_ATTR_FAMILY_ID], user, sizeof(uint16_t));
    return 0;
}

static int take_features(void *user, const struct nlmsghdr *message)
{
    const struct nlattr *attributes[NETDEV_A_DEV_XDP_FEATURES + 1];
    netlink_attributes(message, sizeof(struct genlmsghdr), attributes,
                       NETDEV_A_DEV_XDP_FEATURES + 1);
    netlink_bytes(attributes[NETDEV_A_DEV_XDP_FEATURES], user, sizeof(uint64_t));
    return 0;
}

bool device_sends_xdp(const struct device *device)
{
    union netlink_request request;
    struct netlink *netlink = NULL;
    uint16_t family = 0;
    uint64_t features = UINT64_MAX;
    int refusal;
    if (netlink_open(NETLINK_GENERIC, &netlink) < 0)
        return true;
    start_generic(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    netlink_request_text(&request, CTRL_ATTR_FAMILY_NAME, "netdev");
    if (netlink_ask(netlink, &request, take_family, &family, &refusal) == 0 && family) {
        start_generic(&request, family, NETDEV_CMD_DEV_GET);
        netlink_request_u32(&request, NETDEV_A_DEV_IFINDEX, device->interface);
        netlink_ask(netlink, &request, take_features, &features, &refusal);
    }
    netlink_close(netlink);
    return features & NETDEV_XDP_ACT_NDO_XMIT;
}

/* ---- what it does ---- */

static int take_running(void *user, const struct nlmsghdr *message)
{
    struct ifinfomsg body;
    if (message->nlmsg_type == RTM_NEWLINK && netlink_body(message, &body, sizeof(body)))
        *(bool *)user = body.ifi_flags & IFF_RUNNING;
    return 0;
}

static int ask_link(const struct device *device, netlink_fn *each, void *user)
{
    const struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = (int)device->interface};
    union netlink_request request;
    int refusal;
    netlink_request_start(&request, RTM_GETLINK, 0, &body, sizeof(body));
    return netlink_ask(device->netlink, &request, each, user, &refusal);
}

bool device_is_running(const struct device *device)
{
    bool running = true;
    return ask_link(device, take_running, &running) != 0 || running;
}

struct sent {
    uint64_t packets;
    bool known;
};

static int take_sent(void *user, const struct nlmsghdr *message)
{
    struct sent *sent = user;
    uint64_t counters[2]; /* rx_packets and tx_packets of struct rtnl_link_stats64, which grows */
    const struct nlattr *attributes[IFLA_STATS64 + 1];
    netlink_attributes(message, sizeof(struct ifinfomsg), attributes, IFLA_STATS64 + 1);
    if (netlink_head(attributes[IFLA_STATS64], counters, sizeof(counters)))
        *sent = (struct sent){.packets = counters[1], .known = true};
    return 0;
}

bool device_sent(const struct device *device, uint64_t *ret_packets)
{
    struct sent sent = {0};
    if (ask_link(device, take_sent, &sent) != 0 || !sent.known)
        return false;
    *ret_packets = sent.packets;
    return true;
}
