/* What is using a port, and why it cannot be had: facts, and the same in plain words. Nothing is
 * ever ended here. */
#pragma once

#include "base/buffer.h"
#include "local/diag.h"
#include "local/exposure.h"
#include "local/owner.h"
#include "local/port_limits.h"

/* How a port is used. */
enum port_role {
    PORT_LISTENS,   /* waits for whoever comes */
    PORT_BOUND,     /* has the port, but does not listen */
    PORT_CONNECTED, /* connections of which no listener is there: it is their own port */
    PORT_ENDING,    /* connections that no process has any more, and whose end is awaited */
    PORT_TIME_WAIT, /* connections that have ended; the port rests */
    PORT_ROLES,
};

/* Processes that hold the same thing and are ended together. */
struct port_holder {
    const struct process *process;  /* the one that was there first; of struct owners */
    const struct process **members; /* all of them, that one first */
    size_t processes;
    bool socket_unit; /* systemd itself: it listens in place of a service */
    bool forwards;    /* docker-proxy, to: */
    struct address forward;
    uint16_t forward_port;
};

/* How many connections there are with one address. */
struct port_peer {
    struct address address;
    uint32_t connections;
};

/* Sockets that use the port in the same way, at the same address. */
struct port_use {
    enum port_role role;
    enum socket_kind kind;
    uint32_t space; /* index into struct socket_list: 0 is our own network namespace */
    struct address local;
    bool any_local; /* of PORT_CONNECTED and below: at several addresses */
    bool dual;      /* [::] that takes IPv4, too */
    bool multipath; /* of TCP that takes MPTCP, too */
    uint32_t interface;
    enum exposure exposure;  /* in our own namespace, of those that listen or are bound */
    char interface_name[16]; /* that the exposure is about, or "" */
    uint32_t uid;            /* of who made the (first) socket; where nobody holds it, it is 0 */
    size_t sockets;
    struct port_holder *holders; /* none: nobody was seen that holds it */
    size_t holder_count;
    const char *stop;        /* a command line that ends all of them cleanly; NULL: there is none */
    struct port_peer *peers; /* most connections first */
    size_t peer_count;
    uint32_t connections; /* that are open; to it when it listens */
    uint32_t time_waits;  /* that have ended and rest */
    uint32_t rest_ms;     /* until the last of those is over */
};

struct port_question {
    uint16_t port;
    uint32_t kinds; /* bits of enum socket_kind */
    struct port_limits limits;
    struct port_trial
        trial; /* of the kind that is named first below; tells more, need not be made */
    enum socket_kind trial_kind;
    uint64_t now;    /* clock_wall(), or when it was recorded */
    bool incomplete; /* the list may lack sockets (diag.h) */
    bool recorded;   /* of another time, perhaps of another machine: nothing is known but the
                        sockets, and their owners where these are given */
};

struct port_story {
    struct port_question question;
    const char *services[SOCKET_KINDS]; /* the port's name in the registry, or NULL */
    struct port_use *uses;              /* our own namespace first, then by kind and role */
    size_t use_count;
    const struct socket_list *list; /* of the names of namespaces */
    bool asked;                     /* who holds the sockets */
    bool mapped;                    /* our interfaces are known */
    size_t unseen;                  /* processes that could not be looked into */
    struct arena arena;
};

/* Does the story tell what the trial says? Where sockets of its kind have the port, that is known
 * without one: a trial is in the way of who binds to the port at the same time. */
bool port_story_wants_trial(const struct port_question *question, const struct socket_list *list);

/* Finds out. `list` has the sockets of every state with this local port, perhaps others, too;
 * `owners` were found with details, or are NULL: not known; `map` is that of our own namespace or
 * NULL. The story is valid as long as these are. Returns 0, or -ENOMEM with an error. */
int port_story_make(const struct port_question *question, const struct socket_list *list,
                    const struct owners *owners, const struct exposure_map *map,
                    struct port_story *ret_story, struct error *error);
void port_story_release(struct port_story *story);

/* Is there anything in our own namespace that somebody would have to share the port with? */
bool port_story_is_taken(const struct port_story *story);

/* Was no such thing seen, while there may be one that could not be? */
bool port_story_is_unknown(const struct port_story *story);

/* Appends the story in sentences, with every hostile text escaped, lines ended by newlines. */
void port_story_write(const struct port_story *story, struct buffer *buffer);
