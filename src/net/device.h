/* One network device: what the kernel says that its driver can do, and how much it has sent. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct device;

/* Opens a socket to ask about the interface with this index. Returns 0 or -errno with an error. */
int device_open(uint32_t interface, struct device **ret_device, struct error *error);
void device_close(struct device *device);

/* Whether its driver sends the frames that XDP programs make (NETDEV_XDP_ACT_NDO_XMIT). Kernels
 * before 6.3 do not say, and then it is taken to. Needs another socket for a moment. */
bool device_sends_xdp(const struct device *device);

/* Whether it is up and has its carrier (IFF_RUNNING); true when the kernel does not answer. */
bool device_is_running(const struct device *device);

/* How many packets it has sent, of whomever. Returns false when the kernel does not answer. */
bool device_sent(const struct device *device, uint64_t *ret_packets);
