/* sockets: what the ports of this machine are doing, and who is behind them. */
#include "base/clock.h"
#include "cmd/confine.h"
#include "cmd/sockets_order.h"
#include "cmd/sockets_port.h"
#include "cmd/sockets_scope.h"
#include "cmd/sockets_show.h"
#include "cmd/sockets_tape.h"
#include "cmd/sockets_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One run. */
struct run {
    const struct command *command;
    struct sockets_options options;
    struct sockets_order order;
    struct filter *filter;
    bool tells_port; /* a port alone was asked about */
    struct sockets_port port;
    enum sockets_port_answer answer;
    struct sockets sockets;
    struct sockets_beyond beyond;
    struct sockets_output output;
    struct sockets_table table;
    struct {
        bool cut, damaged, narrow, without_owners;
    } replayed;                 /* what there is to say of a recording */
    struct sockets_users users; /* of records */
    uint64_t wall;
};

/* ---- what is asked for ---- */

static int prepare(const struct run *run, struct sockets *sockets, struct error *error)
{
    const struct sockets_options *options = &run->options;
    sockets->options = options;
    sockets->filter = run->filter;
    if (run->tells_port) {
        sockets_port_ask(&run->port, sockets);
        return 0;
    }
    const int failed = sockets_scope_choose(sockets, error);
    if (failed)
        return failed;
    sockets->every_space = options->every_space;
    sockets->query.kinds = sockets_options_kinds(options);
    if (sockets->query.kinds == 0)
        sockets->query.kinds = run->port.kinds;
    else if (run->port.kinds)
        sockets->query.kinds &= run->port.kinds;
    if (sockets->query.kinds == 0 && run->filter)
        sockets->query.kinds = filter_kinds(run->filter);
    if (sockets->query.kinds == 0)
        sockets->query.kinds = SOCKETS_USUAL_KINDS;
    if (options->ipv4 != options->ipv6)
        sockets->query.family = options->ipv4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
    sockets->query.tcp_figures = options->verbose || options->information;
    sockets->query.memory_figures = options->verbose || options->memory;
    if (run->filter)
        filter_narrow(run->filter, &sockets->query);
    return 0;
}

/* ---- showing ---- */

/* Shows those of the list from the first on. Returns 0 or -errno. */
static int show(struct run *run, size_t count)
{
    const struct sockets *sockets = &run->sockets;
    struct buffer *pending = &run->output.pending;
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        const struct socket_entry *entry = sockets_at(sockets, i);
        if (run->options.json)
            sockets_add_json(pending, sockets, entry, run->wall, &run->users);
        else if (run->options.csv)
            sockets_add_csv(pending, sockets, entry, &run->users);
        else
            failed = sockets_table_add(&run->table, sockets, entry);
        if (!failed)
            failed = sockets_output_flush(&run->output, false);
    }
    return failed;
}

static void show_begin(struct run *run)
{
    if (run->options.csv && !run->options.no_header)
        sockets_add_csv_header(&run->output.pending);
    if (run->options.json || run->options.csv)
        return;
    sockets_table_begin(&run->table, &run->output, &run->sockets);
    run->table.users = run->users; /* those that were recorded */
    run->users = (struct sockets_users){0};
}

static int show_end(struct run *run)
{
    if (!run->options.json && !run->options.csv)
        return sockets_table_end(&run->table);
    return sockets_output_flush(&run->output, true);
}

static int show_some(void *user, struct sockets *sockets, size_t count, struct error *error)
{
    const int failed = show(user, count);
    (void)sockets;
    return failed ? error_set(error, -failed, "out of memory") : 0;
}

/* A port alone is answered in words, or by the records of its sockets. */
static int answer(struct run *run, struct error *error)
{
    struct buffer words = {0};
    const int failed = sockets_port_tell(&run->port, &run->sockets, &words, &run->answer, error);
    if (!failed && !run->options.json)
        buffer_add(&run->output.pending, words.data, words.length);
    buffer_release(&words);
    return failed;
}

static int show_list(struct run *run, struct error *error)
{
    int failed = sockets_sort(&run->sockets, &run->order, error);
    if (failed)
        return failed;
    show_begin(run);
    failed = show(run, run->sockets.list.count);
    return failed ? failed : show_end(run);
}

static int show_gathered(struct run *run, struct error *error)
{
    int failed = run->tells_port ? answer(run, error) : 0;
    if (!failed && run->options.summary)
        failed =
            sockets_add_summary(&run->output.pending, &run->sockets, run->options.json, run->wall);
    else if (!failed && (!run->tells_port || run->options.json))
        failed = show_list(run, error);
    if (!failed)
        failed = sockets_output_flush(&run->output, true);
    return failed == -ENOMEM ? error_set(error, ENOMEM, "out of memory") : failed;
}

/* Without processes and without an order of its own the list can come as the kernel tells it, and
 * then any number of sockets needs but little memory. */
static bool can_flow(const struct run *run)
{
    const struct sockets_options *options = &run->options;
    return !run->tells_port && options->no_processes && !options->sort && !options->summary &&
           !options->resolve && !run->sockets.only_waiting &&
           !(run->filter && filter_needs_owners(run->filter));
}

/* ---- what is said besides ---- */

/* Of an empty list: what the filter would have taken. */
static void say_what_is_beyond(const struct run *run)
{
    const struct sockets_beyond *beyond = &run->beyond;
    if (beyond->connections)
        command_warn(run->command, "nothing listens there; %zu connection%s: --all",
                     beyond->connections, beyond->connections == 1 ? " matches" : "s match");
    if (beyond->bound)
        command_warn(run->command,
                     "nothing listens there; %zu socket%s bound without listening: -B",
                     beyond->bound, beyond->bound == 1 ? " that matches is" : "s that match are");
}

static bool recording_lacks_something(const struct run *run)
{
    return run->replayed.cut || run->replayed.damaged || run->replayed.narrow;
}

/* Returns EXIT_INCOMPLETE when something may be missing because of it. */
static int say_what_recording_lacks(const struct run *run)
{
    const char *path = run->options.replay;
    if (run->replayed.cut)
        command_warn(run->command, "'%s' is cut off: what was behind the cut is missing%s", path,
                     run->replayed.without_owners ? ", the processes, too" : "");
    else if (run->replayed.without_owners)
        command_warn(run->command, "'%s' has no processes", path);
    if (run->replayed.damaged)
        command_warn(run->command, "'%s' is damaged: what made no sense in it is missing", path);
    if (run->replayed.narrow && !run->replayed.cut)
        command_warn(run->command,
                     "'%s' has only some of the sockets that are asked for: the "
                     "others were not asked for when it was recorded",
                     path);
    return recording_lacks_something(run) ? EXIT_INCOMPLETE : EXIT_DONE;
}

static const char *remedy_of(const struct run *run, const struct sockets *sockets)
{
    return sockets->viewer == 0  ? ""
           : run->options.replay ? ": sudo records them"
                                 : ": sudo shows them";
}

static void say_whose_are_hidden(const struct run *run, const struct sockets *sockets)
{
    const char *others = sockets->viewer != 0  ? "other users'"
                         : run->options.replay ? "not recorded"
                                               : "out of our sight";
    if (sockets->hidden == 1)
        command_warn(run->command, "the owner of 1 socket is %s%s", others,
                     remedy_of(run, sockets));
    else if (sockets->hidden)
        command_warn(run->command, "the owners of %zu sockets are %s%s", sockets->hidden, others,
                     remedy_of(run, sockets));
}

/* Returns EXIT_INCOMPLETE when sockets may be missing in the list of these namespaces. */
static int say_which_are_missing(const struct run *run, const struct sockets *sockets)
{
    int status = say_what_recording_lacks(run);
    if (sockets->incomplete) {
        command_warn(run->command, "sockets may be missing: the kernel's list changed while it was "
                                   "read, or has states that are not known here");
        status = EXIT_INCOMPLETE;
    }
    for (unsigned kind = 0; kind < SOCKET_KINDS; kind++)
        if (sockets->list.refused & SOCKET_KIND_BIT(kind)) {
            command_warn(run->command, "the kernel does not tell us of %s sockets%s",
                         socket_kind_name((enum socket_kind)kind), remedy_of(run, sockets));
            status = EXIT_INCOMPLETE;
        }
    return status;
}

/* Returns EXIT_INCOMPLETE when something may be missing in the list. */
static int say_what_is_missing(const struct run *run, const struct sockets *sockets)
{
    int status = say_which_are_missing(run, sockets);
    if (sockets->every_space && sockets->unseen_spaces) {
        command_warn(run->command, "the network namespace%s of %zu process%s could not be seen%s",
                     sockets->unseen_spaces == 1 ? "" : "s", sockets->unseen_spaces,
                     sockets->unseen_spaces == 1 ? "" : "es", remedy_of(run, sockets));
        status = EXIT_INCOMPLETE;
    }
    say_whose_are_hidden(run, sockets);
    return status;
}

/* Returns whether the port has somebody, EXIT_DONE, or nobody, EXIT_INCOMPLETE; EXIT_TROUBLE when
 * that could not be seen. */
static int say_what_port_lacks(const struct run *run)
{
    const struct sockets *sockets = &run->sockets;
    say_which_are_missing(run, sockets);
    if (run->options.json)
        say_whose_are_hidden(run, sockets); /* words say it themselves */
    if (run->answer == SOCKETS_PORT_TAKEN)
        return EXIT_DONE;
    /* Who is in there is in nobody's way here: it is said where more can be had by asking again. */
    if (sockets->unseen_spaces && sockets->viewer != 0)
        command_warn(run->command,
                     "other network namespaces, where the port may be in use, could not all be "
                     "seen%s",
                     remedy_of(run, sockets));
    return run->answer == SOCKETS_PORT_UNKNOWN || recording_lacks_something(run) ? EXIT_TROUBLE
                                                                                 : EXIT_INCOMPLETE;
}

/* ---- the run ---- */

static int open_tape(struct run *run, struct error *error)
{
    const char *path = run->options.record ? run->options.record : run->options.replay;
    return path ? diag_tape_open(path, run->options.record != NULL, &run->sockets.tape, error) : 0;
}

/* Without processes on the recording, words that ask for them would match anything. */
static int check_tape(const struct run *run, struct error *error)
{
    const struct diag_tape *tape = run->sockets.tape;
    if (!diag_tape_is_read(tape) || !run->filter || !filter_needs_owners(run->filter) ||
        sockets_tape_has_owners(tape))
        return 0;
    return error_set(error, EINVAL, "'%s' %s no processes: words that ask for them have no answer",
                     run->options.replay, diag_tape_is_cut(tape) ? "is cut off and has" : "has");
}

/* What was recorded is whole only when the listing was. */
static int close_tape(struct run *run, int failed, struct error *error)
{
    struct diag_tape *tape = run->sockets.tape;
    run->sockets.tape = NULL;
    if (diag_tape_is_read(tape)) {
        run->replayed.cut = diag_tape_is_cut(tape);
        run->replayed.damaged = diag_tape_is_damaged(tape);
        run->replayed.narrow = diag_tape_is_narrow(tape);
        run->replayed.without_owners = !run->options.no_processes && !sockets_tape_has_owners(tape);
    }
    if (tape && failed && diag_tape_is_written(tape))
        diag_tape_discard(tape);
    else if (tape)
        return diag_tape_close(tape, error);
    return 0;
}

static int list(struct run *run, struct error *error)
{
    struct sockets *sockets = &run->sockets;
    const bool flows = can_flow(run);
    int failed = 0;
    run->wall = clock_wall();
    if (diag_tape_is_read(sockets->tape)) {
        run->wall = diag_tape_time(sockets->tape);
        sockets->every_space = diag_tape_space_count(sockets->tape) > 1;
        failed = sockets_tape_find_users(sockets->tape, &run->users, error);
    }
    if (flows) {
        sockets->show = show_some;
        sockets->user = run;
        show_begin(run);
    }
    if (!failed)
        failed = sockets_gather(sockets, error);
    if (!failed && flows)
        failed = show_end(run);
    else if (!failed && !run->tells_port)
        sockets_scope_look_beyond(sockets, &run->beyond);
    const int closed = close_tape(run, failed, failed ? NULL : error);
    failed = failed ? failed : closed;
    if (failed || flows)
        return failed;
    run->port.time = run->wall;
    if (run->tells_port)
        sockets_port_try(&run->port, sockets);
    /* From here on only texts are made, of what others have chosen. */
    failed = confine_lightly(0, error);
    return failed < 0 ? failed : show_gathered(run, error);
}

static int list_and_tell(struct run *run)
{
    struct error error = {.column = ERROR_NO_COLUMN};
    int failed = open_tape(run, &error), status = EXIT_TROUBLE;
    if (!failed && check_tape(run, &error) != 0) {
        command_complain(run->command, &error);
        diag_tape_discard(run->sockets.tape);
        run->sockets.tape = NULL;
        return command_finish(run->command, EXIT_USAGE);
    }
    if (!failed)
        failed = list(run, &error);
    if (run->output.broken)
        return command_finish(run->command, EXIT_TROUBLE);
    if (failed)
        command_complain(run->command, &error);
    else if (run->tells_port)
        status = say_what_port_lacks(run);
    else
        status = say_what_is_missing(run, &run->sockets);
    say_what_is_beyond(run);
    return command_finish(run->command, status);
}

static void release(struct run *run)
{
    filter_free(run->filter);
    sockets_release(&run->sockets);
    sockets_table_release(&run->table);
    sockets_users_release(&run->users);
    buffer_release(&run->output.pending);
}

/* A port alone is a question, unless an option says that a list is wanted. */
static bool lists_anyway(const struct sockets_options *options)
{
    return options->listening || options->established || options->all || options->states.count ||
           options->ipv4 || options->ipv6 || options->summary || options->csv || options->sort ||
           options->watch || options->raw || options->unix_sockets || options->record ||
           options->every_space;
}

/* Reads the operands: a filter, or a port. */
static int read_words(struct run *run, char **words, int count, struct error *error)
{
    struct error fault = {.column = ERROR_NO_COLUMN};
    const bool number = count == 1 && sockets_port_is_number(words[0]);
    int failed = -EINVAL;
    if (!number)
        failed = filter_parse((const char *const *)words, (size_t)count, &run->filter, &fault);
    if (failed != -EINVAL || (count != 1 && failed)) {
        if (failed && error)
            *error = fault;
        return failed;
    }
    failed = sockets_port_parse(words[0], &run->port, error);
    if (failed == -ENOENT) { /* then it was meant as a filter */
        *error = fault;
        return -EINVAL;
    }
    if (!failed)
        failed = sockets_port_check(&run->port, &run->options, error);
    if (failed)
        return failed;
    run->tells_port = !lists_anyway(&run->options);
    char text[16];
    const char *const filter[] = {"port", text};
    snprintf(text, sizeof(text), "%u", (unsigned)run->port.number);
    return run->tells_port ? 0 : filter_parse(filter, 2, &run->filter, error);
}

/* ---- again and again ---- */

static int prepare_look(void *user, struct sockets *sockets, struct error *error)
{
    return prepare(user, sockets, error);
}

static void complain_of_look(void *user, const struct sockets *sockets)
{
    say_what_is_missing(user, sockets);
}

static int watch(struct run *run, char **words, int count)
{
    struct buffer text = {0};
    if (run->port.number)
        buffer_add_format(&text, "port %u", (unsigned)run->port.number);
    for (int i = 0; i < count && !run->port.number; i++)
        buffer_add_format(&text, i ? " %s" : "%s", words[i]);
    const struct sockets_watch watched = {
        .command = run->command,
        .options = &run->options,
        .order = &run->order,
        .filter = &run->filter,
        .words = text.data ? text.data : "",
        .prepare = prepare_look,
        .complain = complain_of_look,
        .user = run,
    };
    const int status = sockets_watch(&watched);
    buffer_release(&text);
    return status;
}

static int run_words(struct run *run, char **words, int count)
{
    struct error error = {.column = ERROR_NO_COLUMN};
    int failed = sockets_options_check(&run->options, &error);
    if (!failed)
        failed = sockets_order_parse(run->options.sort, &run->order, &error);
    if (!failed)
        failed = read_words(run, words, count, &error);
    if (!failed)
        failed = prepare(run, &run->sockets, &error);
    if (failed) {
        command_complain(run->command, &error);
        return failed == -ENOMEM ? EXIT_TROUBLE : EXIT_USAGE;
    }
    return run->options.watch ? watch(run, words, count) : list_and_tell(run);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct run *run = calloc(1, sizeof(*run));
    int count;
    if (!run) {
        command_warn(command, "out of memory");
        return EXIT_TROUBLE;
    }
    run->command = command;
    socket_list_init(&run->sockets.list);
    int status = command_parse(command, argc, argv, &run->options, &count);
    if (status < 0) {
        status = run_words(run, argv, count);
        release(run);
        command_release(command, &run->options);
    }
    free(run);
    return status;
}

static const struct command_example examples[] = {
    {"sockets", "what listens here, most exposed first, and who it is"},
    {"sockets 8080", "what is using port 8080, and why it cannot be bound"},
    {"sockets --established peer 10.0.0.0/8", "connections with that network"},
    {"sockets -tulpn", "as ss has it: TCP and UDP that listens, with numbers"},
    {"sockets exposed and not process sshd", "what can be reached from outside, but for sshd"},
    {"sockets --watch --established", "connections as they come and go; h tells the keys"},
    {"sockets --all-namespaces --json", "also in containers, as JSON Lines"},
    {NULL, NULL},
};

const struct command command_sockets = {
    .name = "sockets",
    .summary = "what this machine's ports are doing, and who is behind them",
    .usage = "[OPTION]… [FILTER…]\n[OPTION]… PORT[/PROTOCOL]",
    .description =
        "Lists sockets as the kernel tells of them: those that wait for somebody, and with "
        "--established or --all connections. REACHED BY says who could connect, by the address and "
        "this machine's interfaces; firewalls are not looked at. An asterisk marks what every "
        "interface lets in. \"*:80\" takes IPv4 and IPv6, \"0.0.0.0:80\" and \"[::]:80\" one of "
        "them.\n"
        "\n"
        "FILTER is words, joined by \"and\", \"or\", \"not\" and parentheses: port 8080, sport = "
        ":22, dport > 1024, src ADDRESS, peer 10.0.0.0/8, state time-wait, listening, exposed, "
        "loopback, pid 123, process 'nginx*', user www-data, unit nginx.service, container NAME, "
        "tcp, udp, ipv6, dev eth0, path '/run/*'. ss's words mean the same here. Words that ask "
        "for a state, a peer, or who holds a socket list connections as well as what listens.\n"
        "\n"
        "PORT alone, a number, \"53/udp\" or a service's name, is answered in words: who holds the "
        "port, since when, who is connected, how to stop it; or why it is not free though nobody "
        "holds it.\n"
        "\n"
        "PROCESS is the one with the lowest number, \"+3\" how many more hold the same socket. "
        "Those of other users are known to root only.\n"
        "\n"
        "The exit status is 0 when the list is complete, even if it is empty, 1 when something may "
        "be missing, 2 for words that make no sense, and 3 when this machine failed. Of a PORT it "
        "is 0 when somebody has it here, 1 when it is free, and 3 when that could not be seen.",
    .options = sockets_options_table,
    .examples = examples,
    .run = run,
};
