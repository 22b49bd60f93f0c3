/* Dial, then join standard input and output with what was reached. */
#include "cmd/talk_connect.h"

#include "cmd/talk_conversation.h"
#include "cmd/talk_replay.h"
#include "cmd/telnet_terminal.h"
#include "talk/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TELNET_PORT 23 /* where servers expect us to begin with options */

struct connecting {
    struct talk talk;
    struct talk_options options; /* as they were given, and what the operands say */
    struct endpoint endpoint;
    struct dial *dial;
    struct conversation conversation;
    char **words; /* of --exec */
    struct program program;
    int escape;                       /* of telnet */
    struct telnet_terminal *terminal; /* NULL: no telnet, or no terminal */
};

static void conversation_over(struct conversation *conversation, enum pair_outcome outcome,
                              const struct error *error)
{
    struct connecting *connecting = CONTAINER_OF(conversation, struct connecting, conversation);
    connecting->terminal = NULL;
    talk_stop(conversation->talk, conversation_status(conversation, outcome, error));
}

static void tell(void *user, enum dial_event event, const struct peer *peer,
                 const struct channel *channel, const struct error *error)
{
    const struct connecting *connecting = user;
    talk_tell_dial(&connecting->talk, &connecting->endpoint, event, peer, channel, error);
}

/* Records and dumps begin with who talks to whom. */
static void view_connection(struct connecting *connecting, const struct channel *channel,
                            const struct peer *local, const struct peer *remote)
{
    struct tls_description tls;
    struct address address;
    const char *host = connecting->endpoint.host;
    bool named = host[0] && address_parse(host, strlen(host), &address, NULL) < 0;
    bool secure = connecting->endpoint.kind == ENDPOINT_TLS;
    if (!talk_view_looks(&connecting->talk.view))
        return;
    if (secure)
        channel_tls_describe(channel, &tls);
    talk_view_connection(
        &connecting->talk.view,
        &(struct transcript_connection){.protocol = talk_protocol(&connecting->endpoint),
                                        .local = *local,
                                        .remote = *remote,
                                        .name = named ? host : NULL,
                                        .tls = secure ? &tls : NULL});
}

/* ---- telnet ---- */

static bool signalled(void *user, int number)
{
    const struct connecting *connecting = user;
    if (number != SIGWINCH)
        return false;
    telnet_terminal_resized(connecting->terminal);
    return true;
}

static void quit(void *user)
{
    const struct connecting *connecting = user;
    pair_close(connecting->conversation.pair);
}

/* Puts telnet between the two. Returns 0 or -errno, with both freed. */
static int begin_telnet(struct connecting *connecting, struct channel **standard,
                        struct channel **remote)
{
    struct talk *talk = &connecting->talk;
    const struct talk_options *options = talk->options;
    const struct endpoint *endpoint = &connecting->endpoint;
    char escape[TELNET_ESCAPE_SIZE];
    const struct telnet_terminal_options telnet = {
        .host = endpoint->host[0] ? endpoint->host : endpoint->path,
        .user = options->login,
        .escape = connecting->escape,
        .initiate = endpoint->port == TELNET_PORT,
        .binary = options->binary,
        .binary_output = options->binary_output,
        .narrate = options->verbose > 0,
        .quit = quit,
        .context = connecting,
    };
    int failed =
        telnet_terminal_begin(talk->loop, &telnet, standard, remote, &connecting->terminal);
    if (failed)
        command_warn(talk->command, "cannot begin with telnet: %s", strerror(-failed));
    else if (connecting->terminal && connecting->escape >= 0)
        talk_say(talk, "Escape character is '%s'.",
                 telnet_escape_format(connecting->escape, escape));
    talk->signalled = signalled;
    talk->user = connecting;
    return failed;
}

static int parse_escape(struct connecting *connecting, const struct talk_options *options)
{
    struct error error = {0};
    connecting->escape = options->no_escape ? -1 : TELNET_ESCAPE_DEFAULT;
    if (!options->escape || telnet_escape_parse(options->escape, &connecting->escape, &error) == 0)
        return 0;
    command_complain(connecting->talk.command, &error);
    return -EINVAL;
}

/* ---- a program instead of standard input and output ---- */

static int begin_program(struct connecting *connecting, const struct peer *local,
                         const struct peer *remote, struct channel **ret_channel)
{
    struct talk *talk = &connecting->talk;
    const struct talk_options *options = talk->options;
    const struct program_options program = {
        .words = (const char *const *)connecting->words,
        .shell = connecting->words ? NULL : options->shell,
        .remote = remote,
        .local = local,
        .protocol = connecting->endpoint.kind == ENDPOINT_UDP ? "UDP" : "TCP"};
    struct error error = {0};
    if (!options->quiet)
        command_warn(talk->command, "whoever is there uses '%s' with the rights of user %u",
                     options->program ? options->program : options->shell, geteuid());
    int failed =
        channel_program_new(talk->loop, &connecting->program, &program, ret_channel, &error);
    if (failed)
        command_complain(talk->command, &error);
    return failed;
}

/* ---- dialling ---- */

static void complain_of_dial(const struct talk *talk, const struct error *error)
{
    bool refused = error->code == ECONNREFUSED || error->code == ETIMEDOUT ||
                   error->code == EHOSTUNREACH || error->code == ENETUNREACH;
    if (talk->options->telnet_words && refused)
        command_warn(talk->command, "Unable to connect to remote host: %s", strerror(error->code));
    else
        command_complain(talk->command, error);
}

static void dialled(void *user, struct channel *channel, const struct peer *local,
                    const struct peer *remote, const struct error *error)
{
    struct connecting *connecting = user;
    struct talk *talk = &connecting->talk;
    struct channel *standard;
    connecting->dial = NULL;
    if (!channel) {
        talk_view_end(&talk->view,
                      &(struct transcript_end){.outcome = PAIR_FAILED, .error = error});
        complain_of_dial(talk, error);
        talk_stop(talk, talk_status_of(error));
        return;
    }
    view_connection(connecting, channel, local, remote);
    talk_check_view(talk);
    bool program = talk->options->program || talk->options->shell;
    if (program ? begin_program(connecting, local, remote, &standard)
                : talk_local(talk, channel, &standard)) {
        channel_free(channel, true);
        talk_stop(talk, EXIT_TROUBLE);
    } else if (talk->options->telnet && begin_telnet(connecting, &standard, &channel)) {
        talk_stop(talk, EXIT_TROUBLE);
    } else if (conversation_begin(&connecting->conversation, standard, channel)) {
        talk_stop(talk, EXIT_TROUBLE);
    }
}

static void release(void *user)
{
    struct connecting *connecting = user;
    dial_cancel(connecting->dial);
    conversation_release(&connecting->conversation);
    program_end(&connecting->program, 0);
    program_release(&connecting->program);
    free(connecting->words);
}

/* A program's end is the end: nobody else would go on. */
static int prepare_program(struct connecting *connecting)
{
    struct talk_options *options = &connecting->options;
    struct error error = {0};
    if (!options->program && !options->shell)
        return 0;
    options->on_eof = PAIR_CLOSE;
    options->eof_patience = 0;
    if (!options->program || program_split(options->program, &connecting->words, &error) == 0)
        return 0;
    command_complain(connecting->talk.command, &error);
    return -EINVAL;
}

int talk_connect(const struct command *command, const struct talk_options *options, char **words,
                 int count)
{
    struct connecting connecting = {.options = *options, .conversation.over = conversation_over};
    struct talk *talk = &connecting.talk;
    struct error error = {0};
    options = &connecting.options;
    const struct dial_calls calls = {.tell = tell, .done = dialled, .user = &connecting};
    if (talk_endpoint(command, &connecting.options, ENDPOINT_DIAL, words, count,
                      &connecting.endpoint))
        return EXIT_USAGE;
    if (options->send_proxy && options->udp) {
        command_warn(command, "--send-proxy and --udp exclude one another");
        return EXIT_USAGE;
    }
    talk->command = command;
    if (parse_escape(&connecting, options) || prepare_program(&connecting))
        return EXIT_USAGE;
    int status = talk_begin(talk, command, options,
                            connecting.endpoint.kind == ENDPOINT_TLS ? TALK_TLS_CLIENT : 0);
    if (status >= 0) {
        free(connecting.words);
        return status;
    }
    connecting.conversation.talk = talk;
    talk->chatty = talk->chatty || (options->telnet_words && !options->quiet);
    const struct dial_options dial = talk_dial_options_of(talk, &connecting.endpoint);
    status = talk_confine(talk, connecting.endpoint.kind == ENDPOINT_UNIX);
    if (status) {
        talk_stop(talk, status);
    } else if (dial_start(talk->loop, &dial, &calls, &connecting.dial, &error) < 0) {
        command_complain(command, &error);
        talk_stop(talk, talk_status_of(&error));
    }
    return talk_run(talk, release, &connecting);
}
