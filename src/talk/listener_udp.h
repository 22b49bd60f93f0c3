/* The UDP half of a listener. Private to it. */
#pragma once

#include "talk/listener_places.h"

/* May this peer speak with us? Tells, when not. */
bool listener_admits(struct listener *listener, const struct peer *peer);
void listener_tell(struct listener *listener, enum listener_event event, const struct peer *peer,
                   const struct channel *channel, const struct error *error);
const struct listener_options *listener_options_of(const struct listener *listener);
bool listener_is_full(const struct listener *listener);

/* One channel for all peers of a bound UDP socket. Takes the descriptor, on failure too. The
 * channel may outlive the listener, which keeps it in `*place`: NULL once it is freed. Returns 0 or
 * -errno. */
int channel_udp_new(struct loop *loop, struct listener *listener, int fd, struct channel **place);
/* The same channel has another socket: each peer is answered from the one where it was heard. */
int channel_udp_add(struct channel *channel, int fd);

/* The listener is closed: takes no more peers than it has heard of. */
void channel_udp_leave(struct channel *channel);

/* A bound UDP socket that gives a channel to each peer. Takes the descriptor, on failure too. */
struct udp_sessions;
int udp_sessions_new(struct loop *loop, struct listener *listener, int fd,
                     void (*arrived)(struct listener *listener, struct channel *channel,
                                     const struct peer *remote, const struct peer *local),
                     struct udp_sessions **ret_sessions);

/* Takes no more peers. The socket stays while there are sessions. */
void udp_sessions_close(struct udp_sessions *sessions);
