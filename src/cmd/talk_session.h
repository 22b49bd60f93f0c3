/* What `connect`, `listen` and `relay` share: the loop, signals, TLS, the view, and what is said to
 * the person on standard error. */
#pragma once

#include "cmd/talk_options.h"
#include "cmd/talk_view.h"
#include "net/address_set.h"
#include "talk/dial.h"
#include "talk/listener.h"
#include "talk/replay.h"

struct talk {
    const struct command *command;
    const struct talk_options *options;
    struct loop *loop;
    struct pipes pipes;
    struct talk_view view;
    struct tls *client, *server; /* NULL: not asked for */
    struct proxy_address proxy;
    struct address_set allow, deny;
    struct replay replay; /* of --replay */
    bool chatty;          /* says what happens: -v, or a person looks at standard error */
    bool told;            /* says where it listens in any case: nobody could know the port */
    int status;           /* what the program exits with */

    /* A signal came: SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGWINCH. Returns true when it has been
     * dealt with; else SIGINT, SIGTERM and SIGHUP end the program and the others are passed over.
     */
    bool (*signalled)(void *user, int signal);
    void *user;
};

/* Which TLS contexts are made, and which side --replay plays. */
enum talk_needs {
    TALK_TLS_CLIENT = 1,
    TALK_TLS_SERVER = 2,
    TALK_ACCEPTS = 4, /* the side that is called; else the one that calls */
};

/* Checks the options and makes what they ask for. Returns -1 when the command goes on, or an exit
 * status, with nothing left to end. */
int talk_begin(struct talk *talk, const struct command *command, const struct talk_options *options,
               unsigned needs);

/* Runs the loop until talk_stop(), if that was not called with a failure before. Returns the exit
 * status, with everything closed. What is still in the loop must have been taken out by the caller:
 * so `release` is called before the loop is freed. */
int talk_run(struct talk *talk, void (*release)(void *user), void *user);

/* Gives up all rights that are no longer needed, once listening sockets are bound. `paths`: Unix
 * sockets are still to be found or removed. Returns 0, or EXIT_TROUBLE after a line on stderr. */
int talk_confine(const struct talk *talk, bool paths);

/* Ends the loop; the first status that is not EXIT_DONE stays. */
void talk_stop(struct talk *talk, int status);

/* One line for the person, when there is one to tell; escaped. */
__attribute__((format(printf, 2, 3))) void talk_say(const struct talk *talk, const char *format,
                                                    ...);

/* The exit status for a failure on the way. */
int talk_status_of(const struct error *error);

/* Ends it all once a record or a dump can no longer be written. talk_run() says so. */
void talk_check_view(struct talk *talk);

/* What the verbs hand to dial_start() and listener_new(), without the endpoint. */
struct dial_options talk_dial_options_of(const struct talk *talk, const struct endpoint *endpoint);
struct listener_options talk_listener_options_of(const struct talk *talk,
                                                 const struct endpoint *endpoint);

/* The `tell` of struct dial_calls for a struct talk: as telnet says it. `host` is how the user
 * called the other side. */
void talk_tell_dial(const struct talk *talk, const struct endpoint *endpoint, enum dial_event event,
                    const struct peer *peer, const struct channel *channel,
                    const struct error *error);

/* The `tell` of struct listener_calls with the struct talk as its user: as nc says it. */
void talk_tell_listener(void *talk, enum listener_event event, const struct peer *peer,
                        const struct channel *channel, const struct error *error);

/* Standard input and output as the options want them. Returns 0 or -errno after a line on stderr.
 */
int talk_stdio(struct talk *talk, struct channel **ret_channel);

const char *talk_protocol(const struct endpoint *endpoint); /* "tcp", "udp", "tls", "unix" */

/* The endpoint that the operands and the kind options name: HOST PORT, PORT, or one word of
 * endpoint.h, and the only family that it shall have. However its kind was said, `options` has it
 * afterwards as if --udp, --tls or --unix had been given. Returns 0, or -EINVAL after a line on
 * stderr. */
int talk_endpoint(const struct command *command, struct talk_options *options,
                  enum endpoint_role role, char **words, int count, struct endpoint *ret_endpoint);
void talk_note_kind(struct talk_options *options, const struct endpoint *endpoint); /* the latter */
