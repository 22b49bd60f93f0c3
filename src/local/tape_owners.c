/* Who held sockets, to a recording and from it. All that is read was written by somebody else. */
#include "local/tape_owners.h"

#include "base/buffer.h"
#include "local/owner_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static void add_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void add_process(struct buffer *buffer, const struct process *process)
{
    const struct taped_process taped = {.started = process->started,
                                        .space = process->space,
                                        .pid = (uint32_t)process->pid,
                                        .uid = process->uid,
                                        .user_unit = process->user_unit};
    buffer_add(buffer, &taped, sizeof(taped));
    add_text(buffer, process->name);
    add_text(buffer, process->user);
    add_text(buffer, process->unit);
    add_text(buffer, process->container_runtime);
    add_text(buffer, process->container);
}

#define HOLDERS_AT_ONCE 4096

void diag_tape_put_owners(struct diag_tape *tape, const struct owners *owners)
{
    struct buffer record = {0};
    for (size_t i = 0; i < owners->process_count; i++) {
        buffer_clear(&record);
        add_process(&record, &owners->processes[i]);
        diag_tape_put(tape, TAPE_PROCESS, record.data, record.length);
    }
    buffer_clear(&record);
    for (size_t i = 0; i < owners->count; i++) {
        const struct owner *owner = &owners->items[i];
        const struct taped_holder taped = {owner->inode, (uint32_t)owner->pid, (uint32_t)owner->fd};
        buffer_add(&record, &taped, sizeof(taped));
        if ((i + 1) % HOLDERS_AT_ONCE == 0 || i + 1 == owners->count) {
            diag_tape_put(tape, TAPE_HOLDERS, record.data, record.length);
            buffer_clear(&record);
        }
    }
    buffer_release(&record);
}

void diag_tape_put_sight(struct diag_tape *tape, const struct tape_sight *sight)
{
    diag_tape_put(tape, TAPE_SIGHT, sight, sizeof(*sight));
}

/* ---- reading ---- */

bool diag_tape_sight(const struct diag_tape *tape, struct tape_sight *ret_sight)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t at = 0; diag_tape_next(tape, &at, &type, &bytes, &length);)
        if (type == TAPE_SIGHT && length >= sizeof(*ret_sight)) {
            memcpy(ret_sight, bytes, sizeof(*ret_sight));
            return true;
        }
    return false;
}

/* What is left of a record. */
struct rest {
    const char *bytes;
    size_t length;
};

/* The next text, which ends within the record; NULL: it does not. */
static const char *take_text(struct rest *rest)
{
    const char *text = rest->bytes;
    const char *end = rest->length > 0 ? memchr(text, '\0', rest->length) : NULL;
    if (!end)
        return NULL;
    rest->length -= (size_t)(end + 1 - text);
    rest->bytes = end + 1;
    return text;
}

/* Texts of which owner.h promises what they consist of, because they end up in commands that are
 * advised. */
#define UNIT_MARKS ":_.\\@-"
#define CONTAINER_MARKS "._-"
#define LONGEST 255

static bool consists_of(const char *text, const char *marks)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    while (*text && (strchr(letters, *text) || strchr(marks, *text)))
        text++;
    return *text == '\0';
}

/* Keeps a text of these characters (NULL: of any). Returns 0, -EBADMSG when it is none, or -ENOMEM.
 */
static int keep(const char *text, const char *marks, struct arena *arena, const char **ret_text)
{
    if (!text)
        return -EBADMSG;
    const size_t length = strlen(text);
    if (length > LONGEST || (marks && !consists_of(text, marks)))
        return -EBADMSG;
    if (length == 0)
        return 0;
    char *copy = arena_take(arena, length + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, length);
    *ret_text = copy;
    return 0;
}

static int read_texts(struct rest *rest, struct arena *arena, struct process *process)
{
    const char *name = take_text(rest);
    if (!name || strlen(name) >= sizeof(process->name))
        return -EBADMSG;
    memcpy(process->name, name, strlen(name));
    int failed = keep(take_text(rest), NULL, arena, &process->user);
    if (!failed)
        failed = keep(take_text(rest), UNIT_MARKS, arena, &process->unit);
    if (!failed)
        failed = keep(take_text(rest), CONTAINER_MARKS, arena, &process->container_runtime);
    if (!failed)
        failed = keep(take_text(rest), CONTAINER_MARKS, arena, &process->container);
    return failed;
}

/* Returns 0, -EBADMSG or -ENOMEM. */
static int read_process(const char *bytes, size_t length, struct arena *arena,
                        struct process *ret_process)
{
    struct taped_process taped;
    if (length < sizeof(taped))
        return -EBADMSG;
    memcpy(&taped, bytes, sizeof(taped));
    if (taped.pid == 0 || taped.pid > INT32_MAX)
        return -EBADMSG;
    struct rest rest = {bytes + sizeof(taped), length - sizeof(taped)};
    struct process process = {.pid = (pid_t)taped.pid,
                              .uid = taped.uid,
                              .user_unit = taped.user_unit != 0,
                              .started = taped.started,
                              .space = taped.space};
    const int failed = read_texts(&rest, arena, &process);
    if (!failed)
        *ret_process = process;
    return failed;
}

/* Returns false when something in it was no holder. */
static bool read_holders(const char *bytes, size_t length, struct owners *owners)
{
    bool sound = length % sizeof(struct taped_holder) == 0;
    for (size_t at = 0; length - at >= sizeof(struct taped_holder);
         at += sizeof(struct taped_holder)) {
        struct taped_holder taped;
        memcpy(&taped, bytes + at, sizeof(taped));
        if (taped.inode == 0 || taped.pid == 0 || taped.pid > INT32_MAX || taped.fd > INT32_MAX)
            sound = false;
        else
            owners->items[owners->count++] =
                (struct owner){taped.inode, (pid_t)taped.pid, (int)taped.fd};
    }
    return sound;
}

/* How many there are at most, so that they need not grow. */
static int make_room(const struct diag_tape *tape, struct owners *owners)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0, processes = 0, holders = 0;
    for (size_t at = 0; diag_tape_next(tape, &at, &type, &bytes, &length);) {
        processes += type == TAPE_PROCESS && length >= sizeof(struct taped_process);
        holders += type == TAPE_HOLDERS ? length / sizeof(struct taped_holder) : 0;
    }
    owners->processes = calloc(processes + 1, sizeof(*owners->processes));
    owners->items = calloc(holders + 1, sizeof(*owners->items));
    return owners->processes && owners->items ? 0 : -ENOMEM;
}

static int read_owners(struct diag_tape *tape, struct owners *owners)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    int failed = make_room(tape, owners);
    for (size_t at = 0; !failed && diag_tape_next(tape, &at, &type, &bytes, &length);) {
        if (type == TAPE_HOLDERS && !read_holders(bytes, length, owners))
            diag_tape_set_damaged(tape);
        if (type != TAPE_PROCESS)
            continue;
        failed =
            read_process(bytes, length, &owners->arena, &owners->processes[owners->process_count]);
        owners->process_count += failed == 0;
        if (failed == -EBADMSG) {
            diag_tape_set_damaged(tape);
            failed = 0;
        }
    }
    return failed;
}

int diag_tape_owners(struct diag_tape *tape, struct owners *ret_owners, struct error *error)
{
    struct owners owners = {0};
    struct tape_sight sight;
    if (!diag_tape_sight(tape, &sight) || !sight.processes)
        return error_set(error, ENODATA, "the recording has no processes");
    if (read_owners(tape, &owners) != 0) {
        owners_release(&owners);
        return error_set(error, ENOMEM, "no memory for the processes of sockets");
    }
    owners.unseen = (size_t)sight.unseen;
    owners_settle(&owners);
    *ret_owners = owners;
    return 0;
}
