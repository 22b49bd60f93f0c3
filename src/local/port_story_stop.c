/* Who holds a port, looked at closely: what he stands for, and the command that would end him. */
#include "local/port_story_parts.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DOCKER_PROXY "docker-proxy"
#define PIDS_SHOWN 100

/* Scopes are sessions, and user@.service is everything of a user. */
bool port_process_is_service(const struct process *process)
{
    static const char suffix[] = ".service";
    if (!process->unit || process->pid == 1 || strncmp(process->unit, "user@", 5) == 0)
        return false;
    const size_t length = strlen(process->unit);
    return length >= sizeof(suffix) &&
           strcmp(process->unit + length - (sizeof(suffix) - 1), suffix) == 0;
}

bool port_process_is_docker_proxy(const struct process *process)
{
    return strcmp(process->name, DOCKER_PROXY) == 0;
}

/* ---- processes ---- */

/* Starts are counted in hundredths of a second. */
#define START_ACCURACY (NANOSECONDS_PER_SECOND / 200)

static bool was_before(const struct process *one, const struct process *other)
{
    if (one->started != 0 && other->started != 0) {
        if (one->started + START_ACCURACY < other->started)
            return true;
        if (other->started + START_ACCURACY < one->started)
            return false;
    }
    return one->pid < other->pid;
}

/* Puts the one that was there first before the others. */
static void put_first(const struct process **processes, size_t count)
{
    size_t first = 0;
    for (size_t i = 1; i < count; i++)
        if (was_before(processes[i], processes[first]))
            first = i;
    const struct process *process = processes[first];
    memmove(processes + 1, processes, first * sizeof(const struct process *));
    processes[0] = process;
}

static int compare_pids(const void *one, const void *other)
{
    const struct process *left = *(const struct process *const *)one,
                         *right = *(const struct process *const *)other;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

/* The word behind an option of a command line. */
static const char *find_argument(const char *command, const char *option, size_t *ret_length)
{
    const char *at = strstr(command, option);
    if (!at)
        return NULL;
    at += strlen(option);
    if (*at != ' ' && *at != '=')
        return NULL;
    *ret_length = strcspn(++at, " ");
    return at;
}

/* What docker-proxy was told to forward to. Anybody may call himself so: nothing else hangs on it.
 */
static void find_forward(struct port_holder *holder)
{
    const struct process *process = holder->process;
    if (!port_process_is_docker_proxy(process) || !process->command)
        return;
    size_t address_length = 0, port_length = 0;
    const char *address = find_argument(process->command, "-container-ip", &address_length);
    const char *port = find_argument(process->command, "-container-port", &port_length);
    unsigned number = 0;
    struct address to;
    if (!address || !port || port_length == 0 || port_length > 5 ||
        address_parse(address, address_length, &to, NULL) != 0)
        return;
    for (size_t i = 0; i < port_length; i++) {
        if (port[i] < '0' || port[i] > '9')
            return;
        number = number * 10 + (unsigned)(port[i] - '0');
    }
    if (number > UINT16_MAX)
        return;
    holder->forwards = true;
    holder->forward = to;
    holder->forward_port = (uint16_t)number;
}

/* ---- how they are ended ---- */

/* A command that ends what is named behind it. */
struct way {
    const char *runtime; /* of containers */
    const char *command;
    bool several; /* it may have more than one name */
};

/* NULL: there is none but kill. */
static const struct way *way_of(const struct port_holder *holder)
{
    static const struct way containers[] = {
        {"docker", "docker stop", true},
        {"podman", "podman stop", true},
        {"kubernetes", "crictl stop", true},
        {"cri-o", "crictl stop", true},
        {"containerd", "ctr task kill", false},
        {"lxc", "lxc-stop -n", false},
        {"systemd-nspawn", "machinectl poweroff", true},
    };
    static const struct way system_units = {NULL, "systemctl stop", true};
    static const struct way user_units = {NULL, "systemctl --user stop", true};
    const struct process *process = holder->process;
    if (process->container) {
        for (size_t i = 0; i < sizeof(containers) / sizeof(containers[0]); i++)
            if (process->container_runtime &&
                strcmp(process->container_runtime, containers[i].runtime) == 0)
                return &containers[i];
        return NULL;
    }
    if (port_process_is_docker_proxy(process))
        return &containers[0];
    if (port_process_is_service(process))
        return process->user_unit ? &user_units : &system_units;
    return NULL;
}

/* Names of units may have backslashes, which a shell would take away. */
static bool needs_quotes(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@:-";
    return text[0] == '-' || text[strspn(text, plain)] != '\0';
}

/* Neither identities nor units have bytes that could do harm (owner.h). */
static void add_name(struct buffer *buffer, const struct port_story *story,
                     const struct port_holder *holder, const struct way *way)
{
    const struct process *process = holder->process;
    if (process->container) {
        const bool shortened = strcmp(way->runtime, "containerd") != 0;
        buffer_add_format(buffer, " %.*s",
                          (int)(shortened ? container_shown_length(process->container)
                                          : strlen(process->container)),
                          process->container);
    } else if (port_process_is_docker_proxy(process)) {
        buffer_add_format(buffer, " $(docker ps -q --filter publish=%u)",
                          (unsigned)story->question.port);
    } else {
        const char *quote = needs_quotes(process->unit) ? "'" : "";
        buffer_add_format(buffer, " %s%s%s", quote, process->unit, quote);
    }
}

static bool is_ended_by(const struct port_holder *holder, const struct way *way)
{
    const struct way *other = holder->socket_unit ? NULL : way_of(holder);
    return way && other && strcmp(way->command, other->command) == 0;
}

/* Those that one command ends are named behind it once. */
static void add_ways(struct buffer *buffer, const struct port_story *story,
                     const struct port_use *use)
{
    for (size_t i = 0; i < use->holder_count; i++) {
        const struct way *way = use->holders[i].socket_unit ? NULL : way_of(&use->holders[i]);
        bool said = false;
        for (size_t j = 0; j < i && way && way->several && !said; j++)
            said = is_ended_by(&use->holders[j], way);
        if (!way || said)
            continue;
        buffer_add_format(buffer, "%s%s", buffer->length > 0 ? "; " : "", way->command);
        add_name(buffer, story, &use->holders[i], way);
        for (size_t j = i + 1; j < use->holder_count && way->several; j++)
            if (is_ended_by(&use->holders[j], way))
                add_name(buffer, story, &use->holders[j], way);
    }
}

/* The processes that only kill ends, the first of them first: where it made the others, it must not
 * make more of them. Returns 0 or -ENOMEM. */
static int add_kill(struct buffer *buffer, const struct port_use *use)
{
    size_t capacity = 0, count = 0;
    for (size_t i = 0; i < use->holder_count; i++)
        capacity += use->holders[i].processes;
    const struct process **processes = calloc(capacity + 1, sizeof(const struct process *));
    if (!processes)
        return -ENOMEM;
    for (size_t i = 0; i < use->holder_count; i++) {
        const struct port_holder *holder = &use->holders[i];
        if (holder->socket_unit || way_of(holder))
            continue;
        memcpy(processes + count, holder->members,
               holder->processes * sizeof(const struct process *));
        count += holder->processes;
    }
    if (count > 0) {
        qsort(processes, count, sizeof(const struct process *), compare_pids);
        put_first(processes, count);
        buffer_add_format(buffer, "%skill", buffer->length > 0 ? "; " : "");
    }
    for (size_t i = 0; i < count && i < PIDS_SHOWN; i++)
        buffer_add_format(buffer, " %d", (int)processes[i]->pid);
    if (count > PIDS_SHOWN) /* a comment, so that the line may be used as it is */
        buffer_add_format(buffer, " # and %zu more", count - PIDS_SHOWN);
    free(processes);
    return 0;
}

static int find_stop(struct port_story *story, struct port_use *use)
{
    struct buffer text = {0};
    add_ways(&text, story, use);
    /* Numbers of processes are given again to others. */
    int code = story->question.recorded ? 0 : add_kill(&text, use);
    if (code == 0 && text.failed)
        code = -ENOMEM;
    if (code == 0 && text.length > 0) {
        char *kept = arena_take(&story->arena, text.length + 1);
        if (kept)
            memcpy(kept, text.data, text.length);
        use->stop = kept;
        code = kept ? 0 : -ENOMEM;
    }
    buffer_release(&text);
    return code;
}

int port_use_describe(struct port_story *story, struct port_use *use)
{
    for (size_t i = 0; i < use->holder_count; i++) {
        struct port_holder *holder = &use->holders[i];
        put_first(holder->members, holder->processes);
        holder->process = holder->members[0];
        holder->socket_unit =
            holder->process->pid == 1 && strcmp(holder->process->name, "systemd") == 0;
        find_forward(holder);
    }
    return find_stop(story, use);
}
