/* Counters of protocols, and multicast groups, from the texts of /proc/net, which are the only
 * place where the kernel tells them. The readers are pure. */
#pragma once

#include "base/error.h"
#include "net/address.h"

#define NET_COUNTER_SIZE 48

struct net_counter {
    char section[NET_COUNTER_SIZE]; /* "Tcp", "TcpExt", "Ip6" */
    char name[NET_COUNTER_SIZE];    /* "InSegs"; printable ASCII, without blanks */
    uint64_t value;
    bool negative; /* the value is its magnitude */
};

/* A non-zero return ends the reading. */
typedef int net_counter_fn(void *user, const struct net_counter *counter);

/* /proc/net/snmp and netstat: a line of names, and a line of their values. Returns 0, -EBADMSG with
 * an error that has the line's number, or what `each` returned. */
int net_counters_read(const char *text, size_t length, net_counter_fn *each, void *user,
                      struct error *error);

/* /proc/net/snmp6: a line for each, "Ip6InReceives 17". The section is the name's beginning, up to
 * the "6", and the name is what follows. */
int net_counters_read6(const char *text, size_t length, net_counter_fn *each, void *user,
                       struct error *error);

/* A group that an interface listens to. */
struct net_group {
    char interface[16]; /* hostile */
    struct address group;
    uint32_t references;
};

typedef int net_group_fn(void *user, const struct net_group *group);

/* /proc/net/igmp and igmp6. Return as above. */
int net_groups_read(const char *text, size_t length, net_group_fn *each, void *user,
                    struct error *error);
int net_groups_read6(const char *text, size_t length, net_group_fn *each, void *user,
                     struct error *error);
