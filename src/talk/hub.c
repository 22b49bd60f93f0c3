/* struct hub: who is there, who is told what, and who has to wait for whom.
 *
 * Each member, `local` too, has a task: it writes what waits for it and reads once, and is put off
 * again while there is more, so that all have their turns. Nobody is freed but in say_goodbyes(),
 * where no list is being gone through. */
#include "talk/hub.h"

#include "base/clock.h"
#include "base/text.h"
#include "talk/hub_chat.h"
#include "talk/hub_queue.h"

#include <stdlib.h>
#include <string.h>

#define BACKLOG ((size_t)1 << 20)
#define PATIENCE (30 * NANOSECONDS_PER_SECOND)
#define READ_SIZE ((size_t)32 << 10)   /* of a turn; also what fits into a datagram */
#define CHAT_SIZE ((size_t)4 << 10)    /* of empty lines becomes 28 times as much */
#define BEHIND_SIZE ((size_t)64 << 10) /* with so much waiting, one no longer keeps up */

enum hold {
    HOLD_NOT,
    HOLD_NOBODY, /* there is nobody to hear it */
    HOLD_LOCAL,  /* until `local` has taken what it was told */
    HOLD_ALL,    /* until one of those who hear it keeps up */
};

struct member {
    struct hub *hub;
    struct channel *channel;
    uint64_t number; /* 0: `local` */
    struct peer peer;
    struct member *next, **link; /* among the clients, or those who are to leave */

    struct task turn;
    struct timer idle;
    uint64_t came;
    uint64_t active;   /* when it said or took something last */
    uint64_t progress; /* when it took something last, or began to have something to take */

    bool speaking; /* has not ended */
    bool hearing;  /* is told things */
    bool behind;   /* and does not keep up */
    bool shut;     /* was told that there is no more */
    bool gone;     /* waits for say_goodbyes() */
    enum hold hold;
    bool owed; /* words of `local` that it said before its end: up to `owed_until` */
    uint64_t owed_until;

    struct hub_queue queue;
    struct buffer rest; /* of a chat's line */
    uint64_t received;
    struct error error; /* code 0: ends by itself */
};

struct hub {
    struct loop *loop;
    struct hub_options options;
    struct member *local;
    struct member *clients, **clients_end;
    struct member *leaving;
    size_t count;           /* clients and those who are leaving */
    size_t hearing, behind; /* of the clients */
    size_t held, owed;
    bool shut;
    bool local_done; /* local_ended() was called */
    struct task goodbyes;
    struct timer patience;
    bool parting, freed; /* in say_goodbyes(); and hub_free() was called there */
    struct buffer said;
    size_t read_size, behind_size;
    char bytes[READ_SIZE];
};

static bool is_local(const struct member *member)
{
    return member->number == 0;
}

/* ---- waiting for one another ---- */

/* Why `member` may not speak now. */
static enum hold hold_of(const struct member *member)
{
    const struct hub *hub = member->hub;
    if (!is_local(member) && hub->local && hub->local->queue.first)
        return HOLD_LOCAL;
    if (!is_local(member) && !hub->options.exchange)
        return HOLD_NOT;
    size_t hearing = hub->hearing, behind = hub->behind;
    if (!is_local(member)) {
        hearing -= member->hearing;
        behind -= member->behind;
    }
    if (hearing == 0)
        return is_local(member) ? HOLD_NOBODY : HOLD_NOT;
    return hearing == behind ? HOLD_ALL : HOLD_NOT;
}

static void patience_begin(struct hub *hub)
{
    if (!hub->patience.place)
        loop_timer_set(hub->loop, &hub->patience, loop_now(hub->loop) + hub->options.patience);
}

static void hold(struct member *member, enum hold why)
{
    member->hold = why;
    member->hub->held++;
    if (why == HOLD_ALL)
        patience_begin(member->hub);
}

static void unhold(struct member *member)
{
    if (!member->hold)
        return;
    member->hold = HOLD_NOT;
    member->hub->held--;
    loop_defer(member->hub->loop, &member->turn);
}

/* Something has changed: whoever was held may try again. */
static void wake(struct hub *hub)
{
    if (hub->held && hub->local)
        unhold(hub->local);
    for (struct member *client = hub->clients; client && hub->held; client = client->next)
        unhold(client);
}

/* Does `client` keep up? */
static void settle(struct member *client)
{
    struct hub *hub = client->hub;
    bool behind = client->hearing && client->queue.cost >= hub->behind_size;
    if (is_local(client)) {
        if (!client->queue.first)
            wake(hub);
        return;
    }
    if (behind && !client->behind)
        hub->behind++;
    if (!behind && client->behind) {
        hub->behind--;
        client->behind = false;
        wake(hub);
    }
    client->behind = behind;
    if (client->owed && (client->queue.out >= client->owed_until || client->gone)) {
        client->owed = false;
        hub->owed--;
        loop_defer(hub->loop, &hub->goodbyes);
    }
}

/* ---- leaving ---- */

static void stop_hearing(struct member *member)
{
    struct hub *hub = member->hub;
    if (!member->hearing)
        return;
    member->hearing = false;
    if (!is_local(member))
        hub->hearing--;
    settle(member);
    wake(hub);
}

static void list_remove(struct hub *hub, struct member *member)
{
    *member->link = member->next;
    if (member->next)
        member->next->link = member->link;
    else
        hub->clients_end = member->link;
}

static void leave(struct member *member)
{
    struct hub *hub = member->hub;
    if (member->gone)
        return;
    hub_queue_clear(&member->queue);
    member->gone = true;
    member->speaking = false;
    stop_hearing(member);
    settle(member);
    unhold(member);
    loop_cancel(hub->loop, &member->turn);
    loop_timer_clear(hub->loop, &member->idle);
    if (!is_local(member)) {
        list_remove(hub, member);
        member->next = hub->leaving;
        hub->leaving = member;
    }
    loop_defer(hub->loop, &hub->goodbyes);
}

/* In the channel's words, where it has some. */
static void note_failure(struct member *member, int code, const char *doing)
{
    if (member->error.code)
        return;
    if (member->channel->error.code)
        member->error = member->channel->error;
    else
        error_set(&member->error, code, "%s: %s", doing, strerror(code));
}

/* It takes nothing more. What it said before is still heard: last words, and then a reset, say. */
static void writing_failed(struct member *member, int code)
{
    bool ended = !member->speaking && !is_local(member);
    hub_queue_clear(&member->queue);
    stop_hearing(member);
    if (!ended)
        note_failure(member, code, "writing");
    if (ended || is_local(member)) {
        leave(member);
        return;
    }
    member->channel->readable = true;
    loop_defer(member->hub->loop, &member->turn);
}

static void drop_slow(struct member *client)
{
    char size[TEXT_NUMBER_SIZE];
    error_set(&client->error, ENOBUFS, "it reads too slowly: over %s were waiting for it",
              text_size(client->hub->options.backlog, size));
    leave(client);
}

/* ---- telling ---- */

/* `speaker` has the others to be heard by; NULL for announcements, for which nobody waits. */
static void tell(struct member *member, struct hub_saying *saying, const struct member *speaker)
{
    struct hub *hub = member->hub;
    uint64_t out = member->queue.out;
    bool waited = member->queue.first;
    int failed = hub_queue_say(&member->queue, member->channel, saying);
    if (failed) {
        writing_failed(member, -failed);
        return;
    }
    if (!waited || member->queue.out != out)
        member->progress = member->active = loop_now(hub->loop);
    settle(member);
    if (is_local(member) || member->queue.cost <= hub->options.backlog)
        return;
    bool client = speaker && !is_local(speaker);
    size_t hearing = hub->hearing - (client && speaker->hearing);
    size_t behind = hub->behind - (client && speaker->behind);
    if (behind < hearing)
        drop_slow(member);
}

static void tell_local(struct hub *hub, struct hub_saying *saying, const struct member *speaker)
{
    struct member *local = hub->local;
    if (!local || !local->hearing)
        return;
    /* Clients wait for it before they speak, but not before they come and go. */
    if (!speaker && local->queue.cost > hub->options.backlog)
        return;
    tell(local, saying, speaker);
}

/* To all but `from`. */
static void spread(struct hub *hub, const struct member *from, const struct member *speaker,
                   const char *bytes, size_t length)
{
    struct hub_saying saying = {.bytes = bytes, .length = length};
    bool local = from && is_local(from);
    if (!length)
        return;
    struct member *next;
    for (struct member *client = hub->clients; client; client = next) {
        next = client->next;
        if (client == from || !client->hearing || !(local || hub->options.exchange))
            continue;
        if (local && hub->options.observe)
            hub->options.observe(hub->options.user, client->number, false, bytes, length);
        tell(client, &saying, speaker);
    }
    if (!local)
        tell_local(hub, &saying, speaker);
    hub_saying_release(&saying);
}

static void announce(struct hub *hub, const struct member *about)
{
    if (!hub->said.failed)
        spread(hub, about, NULL, hub->said.data, hub->said.length);
}

/* ---- hearing ---- */

static void out_of_memory(struct member *member)
{
    hub_queue_clear(&member->queue);
    error_set(&member->error, ENOMEM, "no memory for its words");
    leave(member);
}

static void say(struct member *member, const char *bytes, size_t length)
{
    struct hub *hub = member->hub;
    bool converts = is_local(member) && hub->options.convert;
    if (!hub->options.chat && !converts) {
        spread(hub, member, member, bytes, length);
        return;
    }
    buffer_clear(&hub->said);
    if (converts)
        hub->options.convert(hub->options.user, bytes, length, &hub->said);
    else
        hub_chat_add(&member->rest, member->number, bytes, length, &hub->said);
    if (member->rest.failed || hub->said.failed) {
        buffer_release(&hub->said);
        out_of_memory(member);
        return;
    }
    spread(hub, member, member, hub->said.data, hub->said.length);
}

/* From now on it is known when all is out that `local` said. */
static void local_ended(struct hub *hub)
{
    for (struct member *client = hub->clients; client; client = client->next) {
        loop_defer(hub->loop, &client->turn); /* it may have to be told, see hub_shut() */
        if (client->queue.first) {
            client->owed = true;
            client->owed_until = client->queue.added;
            hub->owed++;
        }
    }
    loop_defer(hub->loop, &hub->goodbyes);
}

static void member_ended(struct member *member)
{
    struct hub *hub = member->hub;
    member->speaking = false;
    buffer_clear(&hub->said);
    if (hub->options.chat)
        hub_chat_end(&member->rest, member->number, &hub->said);
    if (!hub->said.failed)
        spread(hub, member, member, hub->said.data, hub->said.length);
    if (is_local(member)) {
        local_ended(hub);
    } else if (member->error.code) {
        /* Broken pipes are what connections become whose other side has ended before. */
        if (member->error.code == EPIPE)
            member->error.code = 0;
        leave(member);
    } else {
        stop_hearing(member);
        member->progress = loop_now(hub->loop);
    }
}

/* Reads once. */
static void hear(struct member *member)
{
    struct hub *hub = member->hub;
    ssize_t got = channel_read(member->channel, hub->bytes, hub->read_size);
    if (got == -EAGAIN) {
        member->channel->readable = false;
        if (member->error.code) /* writing has failed, and these were its last words */
            leave(member);
    } else if (got == CHANNEL_END) {
        member_ended(member);
    } else if (got < 0) {
        member->error.code = 0; /* it says more than that writing failed */
        note_failure(member, (int)-got, "reading");
        leave(member);
    } else if (got > 0) {
        member->active = loop_now(hub->loop);
        member->received += (uint64_t)got;
        if (!is_local(member) && hub->options.observe)
            hub->options.observe(hub->options.user, member->number, true, hub->bytes, (size_t)got);
        say(member, hub->bytes, (size_t)got);
    }
}

/* ---- turns ---- */

static void flush(struct member *member)
{
    uint64_t out = member->queue.out;
    if (!member->queue.first)
        return;
    int failed = hub_queue_flush(&member->queue, member->channel);
    if (failed) {
        writing_failed(member, -failed);
        return;
    }
    if (member->queue.out != out)
        member->progress = member->active = loop_now(member->hub->loop);
    settle(member);
}

/* Says that there is no more, when all is out. One that has ended itself leaves then. */
static void finish(struct member *client)
{
    struct hub *hub = client->hub;
    if (!client->queue.first && !client->shut && client->channel->writable) {
        int failed = channel_shut(client->channel);
        if (failed == -EAGAIN)
            client->channel->writable = false;
        else
            client->shut = true; /* one that cannot be told will be heard to fail */
    }
    if (client->speaking)
        return;
    if (client->shut)
        leave(client);
    else
        patience_begin(hub);
}

static void member_turn(struct task *task)
{
    struct member *member = CONTAINER_OF(task, struct member, turn);
    flush(member);
    if (!member->gone && member->speaking && member->channel->readable && !member->hold) {
        enum hold why = hold_of(member);
        if (why)
            hold(member, why);
        else
            hear(member);
    }
    bool shut = member->hub->shut && !(member->hub->local && member->hub->local->speaking);
    if (!member->gone && !is_local(member) && (!member->speaking || shut))
        finish(member);
    if (!member->gone && member->speaking && member->channel->readable && !member->hold)
        loop_defer(member->hub->loop, &member->turn);
}

static void member_ready(struct channel *channel, void *user)
{
    struct member *member = user;
    (void)channel;
    if (!member->gone)
        loop_defer(member->hub->loop, &member->turn);
}

static void idle_due(struct timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct member, idle);
    uint64_t idle = member->hub->options.idle;
    char text[TEXT_NUMBER_SIZE];
    if (member->active + idle > loop_now(member->hub->loop)) {
        loop_timer_set(member->hub->loop, timer, member->active + idle);
        return;
    }
    error_set(&member->error, ETIMEDOUT, "nothing was said for %s", text_duration(idle, text));
    leave(member);
}

/* Those who take nothing although somebody has to wait for them, or although they have ended. */
static void patience_due(struct timer *timer)
{
    struct hub *hub = CONTAINER_OF(timer, struct hub, patience);
    uint64_t now = loop_now(hub->loop), patience = hub->options.patience;
    char text[TEXT_NUMBER_SIZE];
    bool waited = hub->local && hub->local->hold == HOLD_ALL;
    for (const struct member *client = hub->clients; client && !waited; client = client->next)
        waited = client->hold == HOLD_ALL;
    uint64_t next_time = UINT64_MAX;
    struct member *next;
    for (struct member *client = hub->clients; client; client = next) {
        next = client->next;
        if (client->speaking && !(client->behind && waited))
            continue;
        uint64_t time = client->progress + patience;
        if (time <= now) {
            error_set(&client->error, ETIMEDOUT, "it took nothing for %s, and others wait",
                      text_duration(patience, text));
            leave(client);
        } else if (time < next_time) {
            next_time = time;
        }
    }
    if (next_time != UINT64_MAX)
        loop_timer_set(hub->loop, timer, next_time);
}

/* ---- goodbyes ---- */

static void member_free(struct member *member, bool abort)
{
    struct loop *loop = member->hub->loop;
    loop_cancel(loop, &member->turn);
    loop_timer_clear(loop, &member->idle);
    channel_free(member->channel, abort);
    hub_queue_clear(&member->queue);
    buffer_release(&member->rest);
    free(member);
}

/* The hub may be freed in it. */
static void say_goodbye(struct hub *hub, struct member *client)
{
    struct error error = client->error;
    const struct hub_departure departure = {.number = client->number,
                                            .error = error.code ? &error : NULL,
                                            .received = client->received,
                                            .sent = client->queue.out,
                                            .duration = loop_now(hub->loop) - client->came};
    buffer_clear(&hub->said);
    if (hub->options.chat) {
        hub_chat_end(&client->rest, departure.number, &hub->said);
        hub_chat_went(departure.number, &hub->said);
        announce(hub, NULL);
    }
    hub->count--;
    member_free(client, error.code != 0);
    if (hub->options.left)
        hub->options.left(hub->options.user, &departure);
}

static void local_goodbye(struct hub *hub)
{
    struct error error = hub->local->error;
    member_free(hub->local, false);
    hub->local = NULL;
    wake(hub);
    if (hub->options.local_failed)
        hub->options.local_failed(hub->options.user, &error);
}

static void say_goodbyes(struct task *task)
{
    struct hub *hub = CONTAINER_OF(task, struct hub, goodbyes);
    hub->parting = true;
    while (hub->leaving) {
        struct member *client = hub->leaving;
        hub->leaving = client->next;
        say_goodbye(hub, client);
    }
    if (hub->local && hub->local->gone)
        local_goodbye(hub);
    if (hub->local && !hub->local->speaking && !hub->owed && !hub->local_done) {
        hub->local_done = true;
        if (hub->options.local_ended)
            hub->options.local_ended(hub->options.user);
    }
    hub->parting = false;
    if (hub->freed)
        free(hub);
}

/* ---- the hub ---- */

/* Takes the channel, on failure too. Returns NULL when memory runs out. */
static struct member *member_new(struct hub *hub, struct channel *channel, uint64_t number)
{
    struct member *member = calloc(1, sizeof(*member));
    uint64_t now = loop_now(hub->loop), idle = number ? hub->options.idle : 0;
    if (member) {
        *member = (struct member){.hub = hub,
                                  .channel = channel,
                                  .number = number,
                                  .turn.run = member_turn,
                                  .idle.due = idle_due,
                                  .came = now,
                                  .active = now,
                                  .progress = now,
                                  .speaking = true,
                                  .hearing = true};
    }
    if (!member || (idle && loop_timer_set(hub->loop, &member->idle, now + idle))) {
        channel_free(channel, true);
        free(member);
        return NULL;
    }
    channel->ready = member_ready;
    channel->user = member;
    loop_defer(hub->loop, &member->turn);
    return member;
}

int hub_new(struct loop *loop, struct channel *local, const struct hub_options *options,
            struct hub **ret_hub)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub) {
        channel_free(local, true);
        return -ENOMEM;
    }
    hub->loop = loop;
    hub->options = *options;
    if (!options->backlog)
        hub->options.backlog = BACKLOG;
    if (!options->patience)
        hub->options.patience = PATIENCE;
    size_t part = hub->options.backlog / 4, most = options->chat ? CHAT_SIZE : READ_SIZE;
    hub->read_size = part == 0 ? 1 : part < most ? part : most;
    hub->behind_size = part == 0 ? 1 : part < BEHIND_SIZE ? part : BEHIND_SIZE;
    hub->clients_end = &hub->clients;
    hub->goodbyes.run = say_goodbyes;
    hub->patience.due = patience_due;
    if (local) {
        hub->local = member_new(hub, local, 0);
        if (!hub->local) {
            free(hub);
            return -ENOMEM;
        }
    }
    *ret_hub = hub;
    return 0;
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    loop_cancel(hub->loop, &hub->goodbyes);
    loop_timer_clear(hub->loop, &hub->patience);
    struct member *lists[] = {hub->clients, hub->leaving}, *next;
    for (size_t i = 0; i < 2; i++) {
        for (struct member *member = lists[i]; member; member = next) {
            next = member->next;
            member_free(member, member->queue.first || member->error.code);
        }
    }
    if (hub->local)
        member_free(hub->local, false);
    buffer_release(&hub->said);
    hub->clients = hub->leaving = hub->local = NULL;
    hub->freed = true;
    if (!hub->parting)
        free(hub);
}

/* Tells the others who has come, and the one who has come who is there. */
static void welcome(struct hub *hub, struct member *newcomer)
{
    buffer_clear(&hub->said);
    hub_chat_came(newcomer->number, &newcomer->peer, &hub->said);
    announce(hub, newcomer);
    if (!hub->options.exchange)
        return;
    size_t index = 0, count = hub->hearing - 1;
    for (const struct member *client = hub->clients; client && index < count;
         client = client->next) {
        if (client != newcomer && client->hearing)
            hub_chat_present(index++, count, client->number, &client->peer, &hub->said);
    }
    if (count == 0)
        hub_chat_nobody(&hub->said);
    struct hub_saying saying = {.bytes = hub->said.data, .length = hub->said.length};
    if (!hub->said.failed)
        tell(newcomer, &saying, NULL);
    hub_saying_release(&saying);
}

int hub_add(struct hub *hub, struct channel *channel, const struct peer *remote, uint64_t number)
{
    struct member *member = member_new(hub, channel, number);
    if (!member)
        return -ENOMEM;
    member->peer = *remote;
    member->link = hub->clients_end;
    *hub->clients_end = member;
    hub->clients_end = &member->next;
    hub->count++;
    hub->hearing++;
    wake(hub);
    if (hub->options.chat)
        welcome(hub, member);
    return 0;
}

void hub_shut(struct hub *hub)
{
    hub->shut = true;
    for (struct member *client = hub->clients; client; client = client->next)
        loop_defer(hub->loop, &client->turn);
}

size_t hub_count(const struct hub *hub)
{
    return hub->count;
}
