/* Dial, then join standard input and output with what was reached. */
#include "cmd/talk_connect.h"

#include "cmd/talk_conversation.h"

struct connecting {
    struct talk talk;
    struct endpoint endpoint;
    struct dial *dial;
    struct conversation conversation;
};

static void conversation_over(struct conversation *conversation, enum pair_outcome outcome,
                              const struct error *error)
{
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
    bool secure = connecting->endpoint.kind == ENDPOINT_TLS;
    if (!talk_view_looks(&connecting->talk.view))
        return;
    if (secure)
        channel_tls_describe(channel, &tls);
    talk_view_connection(
        &connecting->talk.view,
        &(struct transcript_connection){
            .protocol = talk_protocol(&connecting->endpoint),
            .local = *local,
            .remote = *remote,
            .name = connecting->endpoint.host[0] ? connecting->endpoint.host : NULL,
            .tls = secure ? &tls : NULL});
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
        command_complain(talk->command, error);
        talk_stop(talk, talk_status_of(error));
        return;
    }
    view_connection(connecting, channel, local, remote);
    if (talk_stdio(talk, &standard)) {
        channel_free(channel, true);
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
}

int talk_connect(const struct command *command, const struct talk_options *options, char **words,
                 int count)
{
    struct connecting connecting = {.conversation.over = conversation_over};
    struct talk *talk = &connecting.talk;
    struct error error = {0};
    const struct dial_calls calls = {.tell = tell, .done = dialled, .user = &connecting};
    talk->command = command;
    talk->options = options;
    if (talk_endpoint(talk, ENDPOINT_DIAL, words, count, &connecting.endpoint))
        return EXIT_USAGE;
    int status = talk_begin(talk, command, options,
                            connecting.endpoint.kind == ENDPOINT_TLS ? TALK_TLS_CLIENT : 0);
    if (status >= 0)
        return status;
    connecting.conversation.talk = talk;
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
