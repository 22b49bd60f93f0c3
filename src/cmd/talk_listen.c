/* Listen, and give each client to whoever shall answer it: standard input and output, a program,
 * all the other clients, a page. */
#include "cmd/talk_listen.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/talk_conversation.h"
#include "cmd/talk_inherited.h"
#include "cmd/talk_replay.h"
#include "talk/channel_http.h"
#include "talk/hub.h"
#include "talk/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HTTP_PATIENCE                                                                              \
    (2 * NANOSECONDS_PER_SECOND)                   /* for the client to end, after the last page   \
                                                    */
#define UDP_PATIENCE (60 * NANOSECONDS_PER_SECOND) /* for a silent peer's program */
#define PROGRAM_PATIENCE (5 * NANOSECONDS_PER_SECOND) /* between SIGTERM and SIGKILL */

struct listening {
    struct talk talk;
    struct talk_options options; /* as they were given, but for what a mode of answering implies */
    struct endpoint endpoint;
    struct listener *listener;
    struct hub *hub; /* NULL: each client is answered by itself */
    char **program;  /* the words of --exec */
    struct visitor *visitors;
    uint64_t number;   /* of the client that came last */
    bool single;       /* the first client is the only one */
    bool after_return; /* of --crlf: the last byte that all were told was a CR */
};

/* One client that is answered by itself. */
struct visitor {
    struct visitor *next, **link;
    struct listening *listening;
    struct conversation conversation;
    struct program program;
};

/* In records; 0: there is only this one. */
static uint64_t number_of_last(const struct listening *listening)
{
    return listening->single ? 0 : listening->number;
}

static void visitor_free(struct visitor *visitor)
{
    conversation_release(&visitor->conversation);
    program_release(&visitor->program);
    *visitor->link = visitor->next;
    if (visitor->next)
        visitor->next->link = visitor->link;
    free(visitor);
}

/* The client and what answered it are gone. */
static void visitor_departed(struct visitor *visitor, int status)
{
    struct listening *listening = visitor->listening;
    visitor_free(visitor);
    if (listening->single)
        talk_stop(&listening->talk, status);
    else
        listener_departed(listening->listener);
}

/* Without --keep the conversation's end is the end; with it, only what nobody can go on without. */
static void conversation_over(struct conversation *conversation, enum pair_outcome outcome,
                              const struct error *error)
{
    struct visitor *visitor = CONTAINER_OF(conversation, struct visitor, conversation);
    struct listening *listening = visitor->listening;
    struct talk *talk = &listening->talk;
    int status = EXIT_DONE;
    if (listening->single)
        status = conversation_status(conversation, outcome, error);
    else if (outcome == PAIR_FAILED && !talk->view.error.code)
        talk_say(talk, "client %llu: %s", (unsigned long long)conversation->number, error->message);
    talk_check_view(talk);
    if (visitor->program.pid)
        program_end(&visitor->program, PROGRAM_PATIENCE); /* the rest when it has exited */
    else
        visitor_departed(visitor, status);
}

static void program_exited(struct program *program, int status)
{
    struct visitor *visitor = CONTAINER_OF(program, struct visitor, program);
    (void)status;
    if (!visitor->conversation.pair)
        visitor_departed(visitor, EXIT_DONE);
}

/* ---- who answers ---- */

/* The request, for the person: what it holds may not reach a terminal as it came. */
static void print_request(void *user, const struct http_reader *request)
{
    struct listening *listening = user;
    const struct buffer *bytes = &request->request;
    if (listening->talk.view.has_screen)
        return;
    if (!isatty(STDOUT_FILENO)) {
        fwrite(bytes->data, 1, bytes->length, stdout);
    } else {
        const char *text = bytes->data, *end = text + bytes->length;
        while (text < end) {
            const char *line = memchr(text, '\n', (size_t)(end - text));
            size_t length = (size_t)((line ? line : end) - text);
            char escaped[4 * 1024 + 1];
            size_t shown = length < 1024 ? length : 1024;
            if (shown && shown == length && text[shown - 1] == '\r')
                shown--;
            text_escape(text, shown, escaped, sizeof(escaped));
            printf("%s%s\n", escaped, length > 1024 ? "…" : "");
            text += length + (line ? 1 : 0);
        }
    }
    if (bytes->length && bytes->data[bytes->length - 1] != '\n')
        putchar('\n');
    if (fflush(stdout) != 0)
        talk_stop(&listening->talk, command_finish(listening->talk.command, EXIT_DONE));
}

/* A program gets the socket itself where it can have it, and the bytes do not pass through here.
 * Returns 1 then, 0 when `*ret_local` answers, or -errno with an error. */
static int start_program(struct visitor *visitor, const struct arrival *arrival,
                         struct channel **ret_local, struct error *error)
{
    struct listening *listening = visitor->listening;
    struct talk *talk = &listening->talk;
    const struct program_options program = {
        .words = (const char *const *)listening->program,
        .shell = listening->program ? NULL : talk->options->shell,
        .remote = &arrival->remote,
        .local = &arrival->local,
        .protocol = listening->endpoint.kind == ENDPOINT_UDP ? "UDP" : "TCP"};
    visitor->program.exited = program_exited;
    if (arrival->fd < 0 || talk_view_looks(&talk->view) || talk->options->crlf ||
        talk->options->idle_timeout || talk->options->delay)
        return channel_program_new(talk->loop, &visitor->program, &program, ret_local, error);
    int failed = program_start(talk->loop, &visitor->program, &program, arrival->fd, error);
    if (failed)
        return failed;
    channel_free(arrival->channel, false);
    return 1;
}

/* Returns as start_program() does. */
static int find_answerer(struct visitor *visitor, const struct arrival *arrival,
                         struct channel **ret_local, struct error *error)
{
    struct listening *listening = visitor->listening;
    struct talk *talk = &listening->talk;
    if (listening->program || talk->options->shell)
        return start_program(visitor, arrival, ret_local, error);
    int failed = talk->options->http ? channel_http_new(&arrival->remote, &arrival->local,
                                                        print_request, listening, ret_local)
                                     : talk_local(talk, arrival->channel, ret_local);
    return failed ? error_set(error, -failed, "%s", strerror(-failed)) : 0;
}

static void answer_alone(struct listening *listening, const struct arrival *arrival)
{
    struct talk *talk = &listening->talk;
    struct error error = {0};
    struct channel *local = NULL;
    struct visitor *visitor = calloc(1, sizeof(*visitor));
    if (!visitor) {
        channel_free(arrival->channel, true);
        command_warn(talk->command, "out of memory for another client");
        if (listening->single)
            talk_stop(talk, EXIT_TROUBLE);
        else
            listener_departed(listening->listener);
        return;
    }
    *visitor = (struct visitor){.listening = listening,
                                .next = listening->visitors,
                                .link = &listening->visitors,
                                .conversation = {.talk = talk,
                                                 .number = number_of_last(listening),
                                                 .over = conversation_over}};
    if (visitor->next)
        visitor->next->link = &visitor->next;
    listening->visitors = visitor;
    if (listening->endpoint.kind == ENDPOINT_UDP && !listening->single)
        visitor->conversation.idle =
            talk->options->idle_timeout ? talk->options->idle_timeout : UDP_PATIENCE;
    int r = find_answerer(visitor, arrival, &local, &error);
    if (r < 0) {
        channel_free(arrival->channel, true);
        command_complain(talk->command, &error);
        visitor_departed(visitor, EXIT_TROUBLE);
    } else if (r == 0 && conversation_begin(&visitor->conversation, local, arrival->channel) < 0) {
        visitor_departed(visitor, EXIT_TROUBLE);
    }
}

/* ---- all clients in one room ---- */

static void hub_left(void *user, const struct hub_departure *left)
{
    struct listening *listening = user;
    struct talk *talk = &listening->talk;
    char sent[TEXT_NUMBER_SIZE], received[TEXT_NUMBER_SIZE];
    talk_view_end(&talk->view,
                  &(struct transcript_end){.number = left->number,
                                           .outcome = left->error ? PAIR_FAILED : PAIR_ENDED,
                                           .error = left->error,
                                           .sent = left->sent,
                                           .received = left->received,
                                           .duration = left->duration});
    talk_say(talk, "client %llu left%s%s; sent %s bytes, received %s",
             (unsigned long long)left->number, left->error ? ": " : "",
             left->error ? left->error->message : "", text_grouped(left->sent, sent),
             text_grouped(left->received, received));
    talk_check_view(talk);
    listener_departed(listening->listener);
}

static void hub_observe(void *user, uint64_t number, bool received, const void *bytes,
                        size_t length)
{
    struct listening *listening = user;
    struct talk *talk = &listening->talk;
    talk_view_data(&talk->view, number, received ? PAIR_BACK : PAIR_FORTH, bytes, length);
    talk_check_view(talk);
}

static void hub_convert(void *user, const void *bytes, size_t length, struct buffer *converted)
{
    struct listening *listening = user;
    talk_convert_to_crlf(&listening->after_return, bytes, length, converted);
}

static void hub_local_ended(void *user)
{
    struct listening *listening = user;
    if (!listening->options.chat && listening->options.on_eof != PAIR_KEEP)
        hub_shut(listening->hub);
}

static void hub_local_failed(void *user, const struct error *error)
{
    struct listening *listening = user;
    struct talk *talk = &listening->talk;
    if (error->code != EPIPE)
        command_complain(talk->command, error);
    talk_stop(talk, error->code == EPIPE ? EXIT_SIGNAL + SIGPIPE : EXIT_TROUBLE);
}

/* Returns 0 or an exit status. */
static int make_hub(struct listening *listening)
{
    struct talk *talk = &listening->talk;
    const struct talk_options *options = talk->options;
    bool exchange = options->broker || options->chat;
    const struct hub_options hub = {.chat = options->chat,
                                    .exchange = exchange,
                                    .idle = options->idle_timeout,
                                    .left = hub_left,
                                    .convert = options->crlf ? hub_convert : NULL,
                                    .observe = talk_view_looks(&talk->view) ? hub_observe : NULL,
                                    .local_ended = hub_local_ended,
                                    .local_failed = hub_local_failed,
                                    .user = listening};
    struct channel *local = NULL;
    bool attends = !exchange || (options->chat && isatty(STDIN_FILENO));
    if (attends && talk_stdio(talk, &local))
        return EXIT_TROUBLE;
    if (hub_new(talk->loop, local, &hub, &listening->hub) < 0) {
        command_warn(talk->command, "out of memory");
        return EXIT_TROUBLE;
    }
    return EXIT_DONE;
}

/* ---- clients ---- */

static void view_arrival(struct listening *listening, const struct arrival *arrival)
{
    struct talk *talk = &listening->talk;
    struct tls_description tls;
    bool secure = listening->endpoint.kind == ENDPOINT_TLS;
    if (!talk_view_looks(&talk->view))
        return;
    if (secure)
        channel_tls_describe(arrival->channel, &tls);
    talk_view_connection(&talk->view, &(struct transcript_connection){
                                          .number = number_of_last(listening),
                                          .accepted = true,
                                          .protocol = talk_protocol(&listening->endpoint),
                                          .local = arrival->local,
                                          .remote = arrival->remote,
                                          .tls = secure ? &tls : NULL});
}

static void say_arrival(struct listening *listening, const struct arrival *arrival)
{
    char text[PEER_TEXT_SIZE];
    const struct peer *remote = &arrival->remote;
    if (remote->kind == PEER_INTERNET)
        talk_say(&listening->talk, "Connection received on %s %u",
                 address_format(&remote->address, text), remote->port);
    else if (remote->kind == PEER_UNIX)
        talk_say(&listening->talk, "Connection received on %s",
                 listening->endpoint.path[0] ? listening->endpoint.path : "a Unix socket");
}

static void arrived(void *user, const struct arrival *arrival)
{
    struct listening *listening = user;
    bool everybody = arrival->remote.kind == PEER_NONE; /* UDP's one channel for all peers */
    listening->number++;
    if (!everybody)
        say_arrival(listening, arrival);
    view_arrival(listening, arrival);
    talk_check_view(&listening->talk);
    if (listening->single && !everybody)
        listener_close(listening->listener);
    if (!listening->hub)
        answer_alone(listening, arrival);
    else if (hub_add(listening->hub, arrival->channel, &arrival->remote, listening->number) < 0)
        listener_departed(listening->listener);
}

static void tell(void *user, enum listener_event event, const struct peer *peer,
                 const struct channel *channel, const struct error *error)
{
    struct listening *listening = user;
    struct talk *talk = &listening->talk;
    talk_tell_listener(talk, event, peer, channel, error);
    if (event == LISTENER_READY)
        talk_view_listening(&talk->view, peer, talk_protocol(&listening->endpoint));
    talk_check_view(talk);
}

/* ---- beginning and end ---- */

/* What each way of answering implies. Returns 0, or an exit status after a line on stderr. */
static int prepare(struct listening *listening, struct error *error)
{
    struct talk_options *options = &listening->options;
    bool program = options->program || options->shell;
    bool udp = listening->endpoint.kind == ENDPOINT_UDP;
    listening->single =
        udp ? !program : !(options->keep || options->broker || options->chat || options->http);
    if (options->http || program) {
        options->on_eof = PAIR_CLOSE;
        options->eof_patience = options->http ? HTTP_PATIENCE : 0;
    }
    if (options->all && listening->endpoint.host[0])
        return error_set(error, EINVAL, "--all and the host '%s' exclude one another",
                         listening->endpoint.host);
    if (options->bind) {
        if (listening->endpoint.host[0])
            return error_set(error, EINVAL, "--bind %s and the host '%s' say the same thing twice",
                             options->bind, listening->endpoint.host);
        snprintf(listening->endpoint.host, sizeof(listening->endpoint.host), "%s", options->bind);
    }
    if (!udp && strcmp(options->answer, "all") == 0)
        return error_set(error, EINVAL, "--answer is of UDP: --keep answers all clients of others");
    return options->program ? program_split(options->program, &listening->program, error) : 0;
}

static void say_who_may_come(const struct listening *listening)
{
    const struct talk *talk = &listening->talk;
    const struct talk_options *options = talk->options;
    if (!options->all && !listening->endpoint.host[0] && listening->endpoint.kind != ENDPOINT_UNIX)
        talk_say(talk, "Only this machine can reach it; --all opens it to the network");
    if ((options->program || options->shell) && !options->quiet)
        command_warn(talk->command, "whoever connects runs '%s' with the rights of user %u",
                     options->program ? options->program : options->shell, geteuid());
}

static void release(void *user)
{
    struct listening *listening = user;
    while (listening->visitors) {
        if (listening->visitors->program.pid)
            program_end(&listening->visitors->program, 0);
        visitor_free(listening->visitors);
    }
    hub_free(listening->hub);
    listener_free(listening->listener);
    free(listening->program);
}

static int begin(struct listening *listening, const struct talk_inherited *inherited)
{
    struct talk *talk = &listening->talk;
    const struct talk_options *options = talk->options;
    struct error error = {0};
    const struct listener_calls calls = {.tell = tell, .arrived = arrived, .user = listening};
    bool program = options->program || options->shell;
    bool together = !listening->single && !program && !options->http;
    if (together && make_hub(listening) != EXIT_DONE)
        return EXIT_TROUBLE;
    struct listener_options listener = talk_listener_options_of(talk, &listening->endpoint);
    listener.sessions = program;
    listener.inherited = inherited->descriptors;
    listener.inherited_count = inherited->count;
    talk->told = listening->endpoint.kind != ENDPOINT_UNIX && !listening->endpoint.port &&
                 !inherited->count && !options->netcat && !options->quiet && !options->json;
    if (listener_new(talk->loop, &listener, &calls, &listening->listener, &error) < 0) {
        command_complain(talk->command, &error);
        return error.code == EINVAL ? EXIT_USAGE : EXIT_TROUBLE;
    }
    if (!inherited->count)
        say_who_may_come(listening);
    return talk_confine(talk, listening->endpoint.kind == ENDPOINT_UNIX);
}

int talk_listen(const struct command *command, const struct talk_options *options, char **words,
                int count)
{
    struct listening listening = {.options = *options};
    struct talk *talk = &listening.talk;
    struct error error = {0};
    struct talk_inherited inherited;
    talk_inherited_take(&inherited);
    talk->command = command;
    if (inherited.count && count) {
        command_warn(command, "a socket was handed over: '%s' is too much", words[0]);
        return EXIT_USAGE;
    }
    if (!inherited.count && talk_endpoint(command, &listening.options, ENDPOINT_LISTEN, words,
                                          count, &listening.endpoint))
        return EXIT_USAGE;
    if ((inherited.count &&
         talk_inherited_endpoint(&inherited, &listening.options, &listening.endpoint, &error)) ||
        prepare(&listening, &error)) {
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    int status =
        talk_begin(talk, command, &listening.options,
                   TALK_ACCEPTS | (listening.endpoint.kind == ENDPOINT_TLS ? TALK_TLS_SERVER : 0u));
    if (status >= 0) {
        free(listening.program);
        return status;
    }
    status = begin(&listening, &inherited);
    if (status != EXIT_DONE)
        talk_stop(talk, status);
    return talk_run(talk, release, &listening);
}
