/* Which states are listed: by options, by what the filter's words ask for, or else what waits for
 * somebody. */
#include "cmd/sockets_scope.h"

#define BOUND SOCKET_STATE_BIT(SOCKET_BOUND)
#define WAITING_STATES (SOCKET_STATE_BIT(SOCKET_LISTEN) | SOCKET_STATE_BIT(SOCKET_CLOSE))
#define CONNECTION_STATES                                                                          \
    (SOCKET_USUAL_STATES &                                                                         \
     ~(WAITING_STATES | SOCKET_STATE_BIT(SOCKET_TIME_WAIT) | SOCKET_STATE_BIT(SOCKET_SYN_RECV)))

static void choose_usual(struct sockets *sockets)
{
    const struct sockets_options *options = sockets->options;
    const uint32_t words = filter_states(sockets->filter);
    sockets->scope = SOCKETS_ALL;
    sockets->by_words = false;
    if (options->all || (options->listening && options->established)) {
        sockets->query.states = SOCKET_USUAL_STATES;
    } else if (options->established) {
        sockets->scope = SOCKETS_CONNECTIONS;
        sockets->query.states = CONNECTION_STATES;
    } else if (!options->listening && words) {
        sockets->query.states = words;
        sockets->by_words = true;
    } else if (!options->listening && options->summary) {
        sockets->query.states = SOCKET_USUAL_STATES;
    } else {
        sockets->scope = SOCKETS_LISTENING;
        sockets->query.states = WAITING_STATES;
    }
    /* ss's words, too, count for more than its options. */
    sockets->named = filter_named_states(sockets->filter);
    sockets->query.states |= sockets->named;
}

int sockets_scope_choose(struct sockets *sockets, struct error *error)
{
    uint32_t states = 0;
    const int failed = sockets_options_states(sockets->options, &states, error);
    if (failed)
        return failed;
    if (states) {
        sockets->scope = SOCKETS_ALL;
        sockets->by_words = false;
        sockets->named = 0;
        sockets->query.states = states;
    } else {
        choose_usual(sockets);
    }
    sockets->only_waiting = (sockets->query.states & ~WAITING_STATES) == 0;
    if (sockets->options->bound_inactive) {
        sockets->named |= BOUND;
        sockets->query.states |= BOUND;
    }
    return 0;
}

/* ---- an empty list ---- */

static bool may_have_missed(const struct sockets *sockets)
{
    const struct sockets_options *options = sockets->options;
    return sockets->filter && sockets->list.count == 0 && !sockets->show &&
           filter_named_states(sockets->filter) == 0 && options->states.count == 0 &&
           !options->listening && !options->established && !options->summary &&
           (!sockets->tape || diag_tape_is_read(sockets->tape));
}

void sockets_scope_look_beyond(const struct sockets *sockets, struct sockets_beyond *ret_beyond)
{
    struct sockets beyond = {.options = sockets->options,
                             .filter = sockets->filter,
                             .scope = SOCKETS_ALL,
                             .query = sockets->query,
                             .tape = sockets->tape,
                             .every_space = sockets->every_space};
    *ret_beyond = (struct sockets_beyond){0};
    if (!may_have_missed(sockets))
        return;
    beyond.query.states = SOCKET_EVERY_STATE & ~sockets->query.states;
    filter_narrow(sockets->filter, &beyond.query);
    socket_list_init(&beyond.list);
    if (beyond.query.kinds && beyond.query.states && sockets_gather(&beyond, NULL) == 0)
        for (size_t i = 0; i < beyond.list.count; i++) {
            const bool bound = beyond.list.entries[i].state == SOCKET_BOUND;
            ret_beyond->bound += bound;
            ret_beyond->connections += !bound;
        }
    sockets_release(&beyond);
}
