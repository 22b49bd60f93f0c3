/* What the parts of the story share: the facts, how holders are ended, the words. */
#pragma once

#include "local/port_story.h"

/* MPTCP's ports are TCP's. */
enum socket_kind port_plain_kind(enum socket_kind kind);

/* Can its unit be stopped without ending more than what holds the port? */
bool port_process_is_service(const struct process *process);
bool port_process_is_docker_proxy(const struct process *process);

/* Fills in what is known of the holders besides their processes, and what ends them. Returns 0 or
 * -ENOMEM. */
int port_use_describe(struct port_story *story, struct port_use *use);

/* ---- words ---- */

struct port_teller {
    const struct port_story *story;
    struct buffer *buffer;
};

const char *port_kind_word(enum socket_kind kind); /* "TCP", "UDP-Lite" … */
void port_say_port(const struct port_teller *teller, enum socket_kind kind);
void port_say_service(const struct port_teller *teller,
                      enum socket_kind kind); /* " (http)", or "" */

/* Kinds that were asked for and have no socket here, of those that are of interest. */
uint32_t port_unused_kinds(const struct port_story *story);

/* Which kinds nobody uses, and whether they can be had. */
void port_say_free(const struct port_teller *teller);

/* What else may happen to a port that nobody listens on. */
void port_say_range(const struct port_teller *teller);
