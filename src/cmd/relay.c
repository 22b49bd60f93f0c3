/* relay: join two ports. Each client of the first gets a connection of its own to the second. */
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/text.h"
#include "cmd/talk_conversation.h"
#include "cmd/talk_inherited.h"
#include "net/resolve.h"
#include "net/resolve_aside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UDP_PATIENCE (60 * NANOSECONDS_PER_SECOND) /* for a silent peer */
#define NAME_AGE (30 * NANOSECONDS_PER_SECOND)     /* after which a name is looked up again */

/* Where the target is. Names are looked up before the first client comes, and again now and then;
 * until the answer is there the old addresses do. */
struct names {
    const char *host; /* NULL: nothing to look up */
    enum address_family family;
    struct address addresses[RESOLVE_ASIDE_MAXIMUM];
    size_t count;
    uint64_t time; /* monotonic: when they were asked for */
    struct resolve_aside *aside;
};

struct relay {
    struct talk talk;
    struct talk_options options;
    struct endpoint from, to;
    enum address_family from_family, to_family;
    struct names names;
    struct listener *listener;
    struct link *links;
    bool draining;
    struct timer drain;
    uint64_t began;
    uint64_t arrived, open, failed, bytes[PAIR_DIRECTIONS]; /* bytes: of those that are over */
};

/* One client. */
struct link {
    struct link *next, **back;
    struct relay *relay;
    struct peer remote;
    struct channel *client; /* while its target is dialled */
    struct dial *dial;
    struct conversation conversation;
};

/* ---- counters ---- */

static void print_counters(struct relay *relay)
{
    char number[6][TEXT_NUMBER_SIZE];
    uint64_t bytes[PAIR_DIRECTIONS] = {relay->bytes[PAIR_FORTH], relay->bytes[PAIR_BACK]};
    for (const struct link *link = relay->links; link; link = link->next)
        for (enum pair_direction i = 0; link->conversation.pair && i < PAIR_DIRECTIONS; i++)
            bytes[i] += pair_bytes(link->conversation.pair, i);
    fprintf(stderr, "%s connections, %s open, %s failed; %s bytes forth, %s back; %s\n",
            text_grouped(relay->arrived, number[0]), text_grouped(relay->open, number[1]),
            text_grouped(relay->failed, number[2]), text_grouped(bytes[PAIR_FORTH], number[3]),
            text_grouped(bytes[PAIR_BACK], number[4]),
            text_duration(clock_monotonic() - relay->began, number[5]));
}

/* ---- one client ---- */

static void link_free(struct link *link)
{
    dial_cancel(link->dial);
    channel_free(link->client, true);
    conversation_release(&link->conversation);
    *link->back = link->next;
    if (link->next)
        link->next->back = link->back;
    free(link);
}

static void link_departed(struct link *link)
{
    struct relay *relay = link->relay;
    link_free(link);
    relay->open--;
    if (!relay->draining)
        listener_departed(relay->listener);
    else if (!relay->open)
        talk_stop(&relay->talk, EXIT_DONE);
}

static void link_failed(struct link *link, const struct error *error)
{
    struct relay *relay = link->relay;
    char peer[PEER_TEXT_SIZE];
    relay->failed++;
    talk_say(&relay->talk, "%s: %s", peer_format(&link->remote, peer), error->message);
}

static void conversation_over(struct conversation *conversation, enum pair_outcome outcome,
                              const struct error *error)
{
    struct link *link = CONTAINER_OF(conversation, struct link, conversation);
    struct relay *relay = link->relay;
    for (enum pair_direction i = 0; i < PAIR_DIRECTIONS; i++)
        relay->bytes[i] += conversation->bytes[i];
    if (outcome == PAIR_FAILED && !relay->talk.view.error.code)
        link_failed(link, error);
    talk_check_view(&relay->talk);
    link_departed(link);
}

static void dialled(void *user, struct channel *channel, const struct peer *local,
                    const struct peer *remote, const struct error *error)
{
    struct link *link = user;
    struct relay *relay = link->relay;
    struct channel *client = link->client;
    (void)local;
    (void)remote;
    link->dial = NULL;
    link->client = NULL;
    if (!channel) {
        talk_view_end(&relay->talk.view,
                      &(struct transcript_end){.number = link->conversation.number,
                                               .outcome = PAIR_FAILED,
                                               .error = error});
        link_failed(link, error);
        channel_free(client, true);
        link_departed(link);
    } else if (conversation_begin(&link->conversation, client, channel) < 0) {
        link_departed(link);
    }
}

static void client_waits(struct channel *channel, void *user)
{
    (void)channel; /* what it says stays in the kernel until the target is there */
    (void)user;
}

static void looked_up(void *user, const struct address *addresses, size_t count,
                      const struct error *error)
{
    struct names *names = user;
    (void)error; /* the old addresses are better than none */
    names->aside = NULL;
    if (count) {
        memcpy(names->addresses, addresses, count * sizeof(*addresses));
        names->count = count;
    }
}

static void refresh_names(struct relay *relay)
{
    struct names *names = &relay->names;
    uint64_t now = loop_now(relay->talk.loop);
    if (!names->host || names->aside || now - names->time < NAME_AGE)
        return;
    names->time = now;
    resolve_aside(relay->talk.loop, names->host, names->family, looked_up, names, &names->aside);
}

static void view_arrival(struct link *link, const struct arrival *arrival)
{
    struct talk *talk = &link->relay->talk;
    struct tls_description tls;
    bool secure = link->relay->from.kind == ENDPOINT_TLS;
    if (!talk_view_looks(&talk->view))
        return;
    if (secure)
        channel_tls_describe(arrival->channel, &tls);
    talk_view_connection(
        &talk->view, &(struct transcript_connection){.number = link->conversation.number,
                                                     .accepted = true,
                                                     .protocol = talk_protocol(&link->relay->from),
                                                     .local = arrival->local,
                                                     .remote = arrival->remote,
                                                     .tls = secure ? &tls : NULL});
}

static void arrived(void *user, const struct arrival *arrival)
{
    struct relay *relay = user;
    struct error error = {0};
    struct link *link = calloc(1, sizeof(*link));
    if (!link) {
        channel_free(arrival->channel, true);
        listener_departed(relay->listener);
        return;
    }
    relay->arrived++;
    relay->open++;
    *link = (struct link){.relay = relay,
                          .next = relay->links,
                          .back = &relay->links,
                          .remote = arrival->remote,
                          .client = arrival->channel,
                          .conversation = {.talk = &relay->talk,
                                           .number = relay->arrived,
                                           .unseen = true,
                                           .over = conversation_over}};
    if (link->next)
        link->next->back = &link->next;
    relay->links = link;
    if (relay->from.kind == ENDPOINT_UDP && !relay->options.idle_timeout)
        link->conversation.idle = UDP_PATIENCE;
    arrival->channel->ready = client_waits;
    view_arrival(link, arrival);
    talk_check_view(&relay->talk);
    refresh_names(relay);
    struct dial_options dial = talk_dial_options_of(&relay->talk, &relay->to);
    if (relay->to_family)
        dial.family = relay->to_family;
    dial.addresses = relay->names.addresses;
    dial.address_count = relay->names.count;
    dial.client = (struct proxy_header){.known = arrival->remote.kind != PEER_NONE,
                                        .source = arrival->remote,
                                        .destination = arrival->local};
    const struct dial_calls calls = {.done = dialled, .user = link};
    if (dial_start(relay->talk.loop, &dial, &calls, &link->dial, &error) < 0) {
        link_failed(link, &error);
        link_departed(link);
    }
}

static void tell(void *user, enum listener_event event, const struct peer *peer,
                 const struct channel *channel, const struct error *error)
{
    struct relay *relay = user;
    if (event != LISTENER_SECURED)
        talk_tell_listener(&relay->talk, event, peer, channel, error);
    if (event == LISTENER_READY)
        talk_view_listening(&relay->talk.view, peer, talk_protocol(&relay->from));
    talk_check_view(&relay->talk);
}

/* ---- beginning and end ---- */

static void drain_due(struct timer *timer)
{
    struct relay *relay = CONTAINER_OF(timer, struct relay, drain);
    talk_say(&relay->talk, "%llu connections are cut off", (unsigned long long)relay->open);
    talk_stop(&relay->talk, EXIT_SIGNAL + SIGTERM);
}

/* SIGTERM takes no more clients and waits for those who are there; a second one does not wait. */
static bool signalled(void *user, int number)
{
    struct relay *relay = user;
    struct talk *talk = &relay->talk;
    if (number == SIGUSR1)
        print_counters(relay);
    if (number != SIGTERM || relay->draining)
        return false;
    relay->draining = true;
    listener_close(relay->listener);
    if (!relay->open || relay->from.kind == ENDPOINT_UDP) /* whose clients have no end */
        talk_stop(talk, EXIT_DONE);
    else
        talk_say(talk, "No more clients; waiting for %llu to end", (unsigned long long)relay->open);
    loop_timer_set(talk->loop, &relay->drain, loop_now(talk->loop) + relay->options.drain);
    return true;
}

static void release(void *user)
{
    struct relay *relay = user;
    if (relay->talk.chatty && relay->listener)
        print_counters(relay);
    while (relay->links)
        link_free(relay->links);
    resolve_aside_cancel(relay->names.aside);
    listener_free(relay->listener);
    loop_timer_clear(relay->talk.loop, &relay->drain);
    descriptors_restore();
}

/* A target that does not exist is told before anybody comes. */
static int find_target(struct relay *relay, struct error *error)
{
    const struct talk *talk = &relay->talk;
    struct names *names = &relay->names;
    struct address address;
    const char *host = talk->options->proxy ? talk->proxy.host : relay->to.host;
    if (relay->to.kind == ENDPOINT_UNIX || talk->options->numeric ||
        address_parse(host, strlen(host), &address, NULL) == 0)
        return 0;
    names->host = host;
    names->family = relay->to_family ? relay->to_family : talk_family(talk->options);
    names->time = clock_monotonic();
    return resolve_ordered(host, names->family, names->addresses, RESOLVE_ASIDE_MAXIMUM,
                           &names->count, error);
}

static int begin(struct relay *relay, const struct talk_inherited *inherited)
{
    struct talk *talk = &relay->talk;
    struct error error = {0};
    const struct listener_calls calls = {.tell = tell, .arrived = arrived, .user = relay};
    struct listener_options listener = talk_listener_options_of(talk, &relay->from);
    if (relay->from_family)
        listener.family = relay->from_family;
    listener.sessions = true;
    listener.inherited = inherited->descriptors;
    listener.inherited_count = inherited->count;
    talk->told = relay->from.kind != ENDPOINT_UNIX && !relay->from.port && !inherited->count &&
                 !talk->options->quiet && !talk->options->json;
    if (find_target(relay, &error) < 0) {
        command_complain(talk->command, &error);
        return talk_status_of(&error);
    }
    if (listener_new(talk->loop, &listener, &calls, &relay->listener, &error) < 0) {
        command_complain(talk->command, &error);
        return error.code == EINVAL ? EXIT_USAGE : EXIT_TROUBLE;
    }
    if (!inherited->count && !relay->from.host[0] && !talk->options->all &&
        relay->from.kind != ENDPOINT_UNIX)
        talk_say(talk, "Only this machine can reach it; --all opens it to the network");
    return talk_confine(talk, relay->from.kind == ENDPOINT_UNIX || relay->to.kind == ENDPOINT_UNIX);
}

/* What these kinds of ends cannot do. Returns 0, or -EINVAL with an error. */
static int check_ends(struct relay *relay, struct error *error)
{
    const struct talk_options *options = &relay->options;
    talk_note_kind(&relay->options, &relay->from);
    if (options->all && relay->from.host[0])
        return error_set(error, EINVAL, "--all and the host '%s' exclude one another",
                         relay->from.host);
    if (options->send_proxy && relay->to.kind == ENDPOINT_UDP)
        return error_set(error, EINVAL, "--send-proxy and a target of UDP exclude one another");
    if (options->proxy && (relay->to.kind == ENDPOINT_UDP || relay->to.kind == ENDPOINT_UNIX))
        return error_set(error, EINVAL, "a proxy carries TCP and TLS only");
    return 0;
}

/* Returns 0, or -EINVAL with an error. */
static int parse_words(struct relay *relay, char **words, int count,
                       const struct talk_inherited *inherited, struct error *error)
{
    if (count > 2 && !inherited->count)
        return error_set(error, EINVAL, "'%.80s' is too much", words[2]);
    if (count != (inherited->count ? 1 : 2))
        return error_set(error, EINVAL,
                         inherited->count
                             ? "a socket was handed over: give its TARGET alone"
                             : "give where to listen and where to connect: LISTEN TARGET");
    int failed =
        inherited->count
            ? talk_inherited_endpoint(inherited, &relay->options, &relay->from, error)
            : endpoint_parse(words[0], ENDPOINT_LISTEN, &relay->from, &relay->from_family, error);
    if (!failed)
        failed =
            endpoint_parse(words[count - 1], ENDPOINT_DIAL, &relay->to, &relay->to_family, error);
    return failed ? failed : check_ends(relay, error);
}

static int relay_run(const struct command *command, struct relay *relay, char **words, int count)
{
    struct talk *talk = &relay->talk;
    struct error error = {0};
    struct talk_inherited inherited;
    talk_inherited_take(&inherited);
    if (parse_words(relay, words, count, &inherited, &error)) {
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    if (relay->options.client_authorities &&
        (relay->from.kind != ENDPOINT_TLS || relay->to.kind != ENDPOINT_TLS)) {
        command_warn(command, "--client-ca is for TLS on both sides: --ca does it here");
        return EXIT_USAGE;
    }
    int status = talk_begin(talk, command, &relay->options,
                            (relay->from.kind == ENDPOINT_TLS ? TALK_TLS_SERVER : 0u) |
                                (relay->to.kind == ENDPOINT_TLS ? TALK_TLS_CLIENT : 0u));
    if (status >= 0)
        return status;
    talk->signalled = signalled;
    talk->user = relay;
    relay->drain.due = drain_due;
    relay->began = clock_monotonic();
    descriptors_raise();
    status = begin(relay, &inherited);
    if (status != EXIT_DONE)
        talk_stop(talk, status);
    return talk_run(talk, release, relay);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    int count;
    if (!relay) {
        command_warn(command, "out of memory");
        return EXIT_TROUBLE;
    }
    talk_options_init(&relay->options);
    int status = command_parse(command, argc, argv, &relay->options, &count);
    if (status < 0) {
        status = relay_run(command, relay, argv, count);
        command_release(command, &relay->options);
    }
    free(relay);
    return status;
}

static const struct option options_table[] = {
    {.names = "--drain",
     .argument = "TIME",
     .help = "after SIGTERM, wait so long for clients to end by themselves (default 30s)",
     .group = "Relaying",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct talk_options, drain),
     .maximum = 86400 * NANOSECONDS_PER_SECOND},
    {.names = "--client-ca",
     .argument = "FILE",
     .help =
         "with TLS on both sides: ask clients for a certificate of an authority in this PEM file; "
         "--ca is for the target then, --cert for clients",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct talk_options, client_authorities),
     .words = "@file"},
    OPTION_END,
};

static const struct option *const shared[] = {
    talk_accept_options, talk_dial_options, talk_tls_options, talk_general_options, NULL,
};

static const struct command_example examples[] = {
    {"relay 8080 db:5432", "whoever connects to port 8080 here reaches port 5432 of db"},
    {"relay --all tls:8443 localhost:80", "put TLS in front of a plain server"},
    {"relay unix:/run/x.sock tcp:[::1]:6379", "a Unix socket that leads to a port"},
    {NULL, NULL},
};

const struct command command_relay = {
    .name = "relay",
    .summary = "join two ports: TCP, UDP, TLS and Unix sockets in any pair",
    .usage = "[OPTION]… LISTEN TARGET",
    .description =
        "LISTEN is [KIND:][HOST:]PORT or unix:PATH, TARGET is [KIND:]HOST:PORT or unix:PATH; KIND "
        "is "
        "tcp, udp or tls (tcp where there is none), and with a digit (tcp4, udp6) one family only. "
        "Each client of LISTEN gets a connection of its own to TARGET. An end that one side says "
        "is "
        "passed on to the other, which may go on (half-close); so is a reset. A UDP client is "
        "forgotten after 60 silent seconds, or --idle-timeout.\n"
        "\n"
        "Only this machine can connect, unless --all is given or LISTEN has a HOST (\"*\" is every "
        "address). Plain bytes are moved by the kernel and never seen here.\n"
        "\n"
        "SIGUSR1 prints counters to standard error. SIGTERM takes no more clients, waits for those "
        "who are there, up to --drain, and exits with 0 when all of them ended; a second SIGTERM, "
        "or "
        "SIGINT, ends at once. -v tells of the clients that failed, --json of all.",
    .options = options_table,
    .shared = shared,
    .examples = examples,
    .run = run,
};
