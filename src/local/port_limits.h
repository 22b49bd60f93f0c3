/* What the kernel's settings say of a port, and what it says to one who wants it. */
#pragma once

#include "local/socket.h"

/* Of the network namespace that the calling thread is in. What could not be read is 0. */
struct port_limits {
    uint16_t ephemeral_first, ephemeral_last; /* net.ipv4.ip_local_port_range */
    uint32_t unprivileged;                    /* net.ipv4.ip_unprivileged_port_start */
    bool reserved;                            /* the port is in net.ipv4.ip_local_reserved_ports */
};

void port_limits_read(uint16_t port, struct port_limits *ret_limits);

/* Is the port in a list such as "8080,9148-9150"? Pure. */
bool port_list_has(const char *text, size_t length, uint16_t port);

/* What bind() answers: positive errnos, 0 when it succeeds. */
struct port_trial {
    bool made;
    int plain;   /* to one who sets nothing */
    int reusing; /* with SO_REUSEADDR */
};

/* Binds to the port of every address for a moment, and does not listen: the only way to see what
 * the kernel does not list. Kinds without ports, and a machine without descriptors, leave
 * `ret_trial` as it was. */
void port_trial_make(enum socket_kind kind, uint16_t port, struct port_trial *ret_trial);
