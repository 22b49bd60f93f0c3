/* struct conversation: a pair and what is told of it. */
#include "cmd/talk_conversation.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

void talk_convert_to_crlf(bool *after_return, const char *text, size_t length,
                          struct buffer *converted)
{
    while (length) {
        const char *end = memchr(text, '\n', length);
        size_t line = end ? (size_t)(end - text) : length;
        if (line)
            *after_return = text[line - 1] == '\r';
        buffer_add(converted, text, line);
        if (!end)
            return;
        buffer_add_text(converted, *after_return ? "\n" : "\r\n");
        *after_return = false;
        text += line + 1;
        length -= line + 1;
    }
}

static void show(struct conversation *conversation, enum pair_direction direction,
                 const void *bytes, size_t length)
{
    struct talk *talk = conversation->talk;
    if (!talk_view_data(&talk->view, conversation->number, direction, bytes, length))
        pair_close(conversation->pair);
}

/* What is converted is shown as it goes over the wire. */
static void observe(void *user, enum pair_direction direction, const void *bytes, size_t length)
{
    struct conversation *conversation = user;
    if (direction == PAIR_BACK || !conversation->talk->options->crlf)
        show(conversation, direction, bytes, length);
}

static void convert(void *user, const void *bytes, size_t length, struct buffer *converted)
{
    struct conversation *conversation = user;
    talk_convert_to_crlf(&conversation->after_return, bytes, length, converted);
    if (converted->failed)
        return;
    conversation->returns += converted->length - length;
    if (conversation->seen)
        show(conversation, PAIR_FORTH, converted->data, converted->length);
}

static void ended(void *user, enum pair_outcome outcome, const struct error *error)
{
    struct conversation *conversation = user;
    struct talk *talk = conversation->talk;
    struct error kept = error ? *error : (struct error){0};
    for (enum pair_direction i = 0; i < PAIR_DIRECTIONS; i++)
        conversation->bytes[i] = pair_bytes(conversation->pair, i);
    conversation->bytes[PAIR_FORTH] += conversation->returns;
    conversation->ours = outcome == PAIR_FAILED && pair_guilty(conversation->pair) == PAIR_FIRST;
    /* A failure on one side is passed on as one to the other. */
    pair_free(conversation->pair, outcome == PAIR_FAILED);
    conversation->pair = NULL;
    if (talk->view.error.code) {
        kept = talk->view.error;
        outcome = PAIR_FAILED;
        conversation->ours = true;
    }
    struct transcript_end end = {.number = conversation->number,
                                 .outcome = outcome,
                                 .error = outcome == PAIR_FAILED ? &kept : NULL,
                                 .sent = conversation->bytes[PAIR_FORTH],
                                 .received = conversation->bytes[PAIR_BACK],
                                 .duration = loop_now(talk->loop) - conversation->began};
    talk_view_end(&talk->view, &end);
    conversation->over(conversation, outcome, outcome == PAIR_FAILED ? &kept : NULL);
}

int conversation_begin(struct conversation *conversation, struct channel *local,
                       struct channel *remote)
{
    struct talk *talk = conversation->talk;
    const struct talk_options *options = talk->options;
    conversation->began = loop_now(talk->loop);
    conversation->seen = talk_view_looks(&talk->view) && !conversation->unseen;
    struct pair_options pair = {
        .on_eof = {options->on_eof, options->on_peer_eof},
        .eof_patience = options->eof_patience,
        .idle = conversation->idle ? conversation->idle : options->idle_timeout,
        .delay = options->delay,
        .convert = {options->crlf ? convert : NULL, NULL},
        .observe = conversation->seen ? observe : NULL,
        .ended = ended,
        .user = conversation,
    };
    int failed = pair_new(talk->loop, &talk->pipes, local, remote, &pair, &conversation->pair);
    if (failed) {
        channel_free(local, true);
        channel_free(remote, true);
        command_warn(talk->command, "out of memory for another conversation");
    }
    return failed;
}

void conversation_release(struct conversation *conversation)
{
    pair_free(conversation->pair, false);
    conversation->pair = NULL;
}

/* Pairs know their sides by what was done with them. */
static void say_fault(const struct conversation *conversation, const struct error *error)
{
    static const char reading[] = "reading: ", writing[] = "writing: ";
    const struct talk_options *options = conversation->talk->options;
    const char *what = "", *message = error->message;
    if (conversation->ours && (options->program || options->shell)) {
        what = "the program: ";
    } else if (conversation->ours && strncmp(message, reading, strlen(reading)) == 0) {
        what = "cannot read standard input: ";
        message += strlen(reading);
    } else if (conversation->ours && strncmp(message, writing, strlen(writing)) == 0) {
        what = "cannot write standard output: ";
        message += strlen(writing);
    }
    command_warn(conversation->talk->command, "%s%s", what, message);
}

int conversation_status(const struct conversation *conversation, enum pair_outcome outcome,
                        const struct error *error)
{
    const struct talk *talk = conversation->talk;
    const struct talk_options *options = talk->options;
    char idle[TEXT_NUMBER_SIZE], sent[TEXT_NUMBER_SIZE], received[TEXT_NUMBER_SIZE];
    int status = EXIT_DONE;
    switch (outcome) {
    case PAIR_ENDED:
        talk_say(talk, "Connection closed by foreign host.");
        break;
    case PAIR_CLOSED:
        talk_say(talk, "Connection closed.");
        break;
    case PAIR_IDLE:
        if (options->idle_is_end)
            break;
        command_warn(talk->command, "nothing was said for %s",
                     text_duration(options->idle_timeout, idle));
        status = EXIT_INCOMPLETE;
        break;
    case PAIR_FAILED:
        if (conversation->ours && error->code == EPIPE)
            return EXIT_SIGNAL + SIGPIPE;
        status = conversation->ours ? EXIT_TROUBLE : EXIT_INCOMPLETE;
        if (!talk->view.error.code) /* which talk_run() tells of */
            say_fault(conversation, error);
        break;
    }
    if (options->verbose)
        talk_say(talk, "sent %s bytes, received %s",
                 text_grouped(conversation->bytes[PAIR_FORTH], sent),
                 text_grouped(conversation->bytes[PAIR_BACK], received));
    return status;
}
