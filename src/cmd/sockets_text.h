/* What is said of a socket, as text that is safe to print. */
#pragma once

#include "cmd/sockets_gather.h"

#include "base/buffer.h"

/* Names of users that were asked for. Zero-initialised is empty. */
struct sockets_users {
    struct sockets_user *items;
    size_t count, capacity;
    bool recorded; /* on another machine, whose users ours are not: no other names are looked up */
};

/* Tells a name that was recorded. Returns 0 or -ENOMEM. */
int sockets_users_learn(struct sockets_users *users, uint32_t uid, const char *name);
void sockets_users_release(struct sockets_users *users);
/* The name of a user, or the number; NULL without memory. */
const char *sockets_user(struct sockets_users *users, uint32_t uid);

/* "192.0.2.1", "*", "fe80::1%eth0": without its port. A Unix socket's path, or "*". */
#define SOCKETS_END_SIZE 512
const char *sockets_local_address(const struct sockets *sockets, const struct socket_entry *entry,
                                  char text[static SOCKETS_END_SIZE]);
const char *sockets_remote_address(const struct sockets *sockets, const struct socket_entry *entry,
                                   char text[static SOCKETS_END_SIZE]);

/* What the port of this end is for, or NULL: printable ASCII. */
const char *sockets_local_service(const struct socket_entry *entry);
const char *sockets_remote_service(const struct socket_entry *entry);

/* Address and port, with the service's name behind unless `numeric`. */
void sockets_add_local(struct buffer *buffer, const struct sockets *sockets,
                       const struct socket_entry *entry, bool numeric);
void sockets_add_remote(struct buffer *buffer, const struct sockets *sockets,
                        const struct socket_entry *entry, bool numeric);

/* Who could reach a Unix socket. */
#define SOCKETS_THIS_MACHINE "this machine"

/* Who could reach it; `exposed` when a wildcard lets everybody. */
void sockets_add_reach(struct buffer *buffer, const struct sockets *sockets,
                       const struct socket_entry *entry, bool *ret_exposed);

/* Who holds it, with `part` before and behind the process's number. */
void sockets_add_process(struct buffer *buffer, const struct sockets *sockets,
                         const struct socket_entry *entry, struct sockets_users *users,
                         const char *part);

/* In quotation marks when it is empty or has blanks, which could look like number and user. */
void sockets_add_process_name(struct buffer *buffer, const char *name);

/* "nginx 1234 root" */
void sockets_add_holder(struct buffer *buffer, const struct process *process);

/* Its unit or container; nothing is added when neither is known. */
void sockets_add_unit(struct buffer *buffer, const struct process *process);

/* The network namespace by its name, or by its number. */
void sockets_add_space(struct buffer *buffer, const struct sockets *sockets,
                       const struct socket_entry *entry);

/* Faster than printf(): there may be very many. */
void sockets_add_number(struct buffer *buffer, uint32_t number);
void sockets_add_escaped(struct buffer *buffer, const char *text);
