/* Messages of sock_diag(7), made by hand. */
#pragma once

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdint.h>
#include <string.h>

#define MESSAGES_SIZE 4096

struct messages {
    char bytes[MESSAGES_SIZE];
    size_t length;
    size_t last; /* where the last message begins */
};

static inline void messages_put(struct messages *messages, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(messages->bytes + messages->length, bytes, length);
    messages->length += length;
    while (messages->length % NLMSG_ALIGNTO != 0)
        messages->bytes[messages->length++] = 0;
    if (messages->length > messages->last) {
        const uint32_t whole = (uint32_t)(messages->length - messages->last);
        memcpy(messages->bytes + messages->last, &whole, sizeof(whole));
    }
}

static inline void messages_start(struct messages *messages, uint16_t type, uint16_t flags,
                                  const void *body, size_t length)
{
    const struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = flags};
    messages->last = messages->length;
    messages_put(messages, &header, sizeof(header));
    messages_put(messages, body, length);
}

static inline void messages_attribute(struct messages *messages, uint16_t type, const void *value,
                                      size_t length)
{
    const struct nlattr header = {.nla_type = type, .nla_len = (uint16_t)(sizeof(header) + length)};
    messages_put(messages, &header, sizeof(header));
    messages_put(messages, value, length);
}

static inline void messages_done(struct messages *messages, int32_t code)
{
    messages_start(messages, NLMSG_DONE, NLM_F_MULTI, &code, sizeof(code));
}

/* A socket with what tells it from others. */
static inline struct inet_diag_msg inet_body(uint8_t state, const char *local, uint16_t local_port,
                                             const char *remote, uint16_t remote_port)
{
    struct inet_diag_msg body = {
        .idiag_family = strchr(local, ':') ? AF_INET6 : AF_INET,
        .idiag_state = state,
        .id = {.idiag_sport = htons(local_port),
               .idiag_dport = htons(remote_port),
               .idiag_cookie = {local_port, remote_port}},
        .idiag_inode = 1000u + local_port,
    };
    inet_pton(body.idiag_family, local, body.id.idiag_src);
    inet_pton(body.idiag_family, remote, body.id.idiag_dst);
    return body;
}

static inline void messages_inet(struct messages *messages, const struct inet_diag_msg *body)
{
    messages_start(messages, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, body, sizeof(*body));
}
