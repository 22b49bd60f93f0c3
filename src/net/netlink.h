/* Questions to the kernel over a netlink socket (netlink(7)), each with its whole answer. Of
 * src/net and src/local alone. */
#pragma once

#include "net/address.h"

#include <linux/netlink.h>

struct netlink;

/* Opens a socket of NETLINK_ROUTE or NETLINK_GENERIC, for which nobody needs rights. Returns 0 or
 * -errno. */
int netlink_open(int protocol, struct netlink **ret_netlink);
void netlink_close(struct netlink *netlink);

/* A request: a header, the family's own structure, and attributes behind it. */
#define NETLINK_REQUEST_SIZE 256
union netlink_request {
    struct nlmsghdr header;
    char bytes[NETLINK_REQUEST_SIZE];
};

/* `flags` is 0, or NLM_F_DUMP for everything there is. */
void netlink_request_start(union netlink_request *request, uint16_t type, uint16_t flags,
                           const void *body, size_t size);
void netlink_request_u8(union netlink_request *request, uint16_t type, uint8_t value);
void netlink_request_u32(union netlink_request *request, uint16_t type, uint32_t value);
void netlink_request_text(union netlink_request *request, uint16_t type, const char *text);
void netlink_request_address(union netlink_request *request, uint16_t type,
                             const struct address *address);

/* Called for each message of an answer. A negative errno ends the answer. */
typedef int netlink_fn(void *user, const struct nlmsghdr *message);

/* Sends the request and calls `each` for what comes back. A dump that changed while it was read is
 * asked again, and then the messages come again; one that never stops changing is taken as it is.
 * Returns 0 with the positive errno with which the kernel refused, or 0, in *ret_refusal; -errno of
 * the socket; or what `each` returned. */
int netlink_ask(struct netlink *netlink, union netlink_request *request, netlink_fn *each,
                void *user, int *ret_refusal);

/* The structure at the beginning of a message, copied. Returns false when it is not all there. */
bool netlink_body(const struct nlmsghdr *message, void *ret_body, size_t size);

/* Points table[type] at the attributes behind a structure of `size` bytes, for the types below
 * `count`, and at NULL for those that are not there. */
void netlink_attributes(const struct nlmsghdr *message, size_t size, const struct nlattr **table,
                        size_t count);

/* An attribute's value. They return false, and write nothing, when it is NULL or has another size:
 * a text is cut to what fits. */
bool netlink_bytes(const struct nlattr *attribute, void *ret_bytes, size_t size);
bool netlink_head(const struct nlattr *attribute, void *ret_bytes, size_t size); /* or more */
bool netlink_u32(const struct nlattr *attribute, uint32_t *ret_value);
bool netlink_text(const struct nlattr *attribute, char *ret_text, size_t size);

/* The address in an attribute, of AF_INET or AF_INET6, without a scope. */
bool netlink_address(const struct nlattr *attribute, unsigned family, struct address *ret_address);

/* The same of RTA_VIA: one with its family before it. */
bool netlink_via(const struct nlattr *attribute, struct address *ret_address);
