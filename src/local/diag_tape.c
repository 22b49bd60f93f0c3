/* Recordings of the kernel's answers: writing them, and listing what they hold. */
#include "local/diag_tape.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char heading[] = "porthole sockets ";
static const char first_line[] = "porthole sockets 1\n";

enum {
    LINE_SIZE = sizeof(first_line) - 1,
    ORDER_SIZE = sizeof(uint32_t),
    HEADER_SIZE = LINE_SIZE + ORDER_SIZE + sizeof(uint64_t),
    RECORD_SIZE = 2 * sizeof(uint32_t),
    PUMP_AT = 1 << 20,
    FAMILIES = ADDRESS_IPV6 + 1,
};

#define ORDER UINT32_C(0x01020304)
#define LIMIT ((size_t)1 << 30) /* bytes; two million connections with TCP's figures */

struct diag_tape {
    bool written;
    struct output output;
    struct buffer file;
    const char *bytes; /* of `file`, or the caller's */
    size_t length;
    uint64_t time;
    bool cut, damaged, narrow; /* of one that is read */
};

bool diag_tape_is_written(const struct diag_tape *tape)
{
    return tape && tape->written;
}

bool diag_tape_is_read(const struct diag_tape *tape)
{
    return tape && !tape->written;
}

uint64_t diag_tape_time(const struct diag_tape *tape)
{
    return tape->time;
}

bool diag_tape_is_cut(const struct diag_tape *tape)
{
    return tape->cut;
}

bool diag_tape_is_damaged(const struct diag_tape *tape)
{
    return tape->damaged;
}

bool diag_tape_is_narrow(const struct diag_tape *tape)
{
    return tape->narrow;
}

void diag_tape_set_damaged(struct diag_tape *tape)
{
    tape->damaged = true;
}

/* ---- records ---- */

void diag_tape_put(struct diag_tape *tape, enum tape_record type, const void *bytes, size_t length)
{
    if (!diag_tape_is_written(tape))
        return;
    const uint32_t header[2] = {type, (uint32_t)length};
    buffer_add(&tape->output.pending, header, sizeof(header));
    if (length > 0)
        buffer_add(&tape->output.pending, bytes, length);
    if (tape->output.pending.length > PUMP_AT)
        output_pump(&tape->output);
}

bool diag_tape_next(const struct diag_tape *tape, size_t *at, uint32_t *ret_type,
                    const char **ret_bytes, size_t *ret_length)
{
    uint32_t header[2];
    const size_t start = *at != 0 ? *at : HEADER_SIZE;
    if (start > tape->length || tape->length - start < RECORD_SIZE)
        return false;
    memcpy(header, tape->bytes + start, sizeof(header));
    if (header[1] > tape->length - start - RECORD_SIZE)
        return false;
    *at = start + RECORD_SIZE + header[1];
    *ret_type = header[0];
    *ret_bytes = tape->bytes + start + RECORD_SIZE;
    *ret_length = header[1];
    return true;
}

/* ---- opening and closing ---- */

/* Is it a recording, and all of it? */
static int tape_check(struct diag_tape *tape, const char *name, struct error *error)
{
    uint32_t order, type = 0;
    if (tape->length < sizeof(heading) - 1 ||
        memcmp(tape->bytes, heading, sizeof(heading) - 1) != 0)
        return error_set(error, EBADMSG, "'%s' is not a recording of sockets", name);
    if (tape->length >= LINE_SIZE && memcmp(tape->bytes, first_line, LINE_SIZE) != 0)
        return error_set(error, EBADMSG, "'%s' was recorded by another version of porthole", name);
    if (tape->length < HEADER_SIZE)
        return error_set(error, EBADMSG, "'%s' is cut off: there is no socket in it", name);
    memcpy(&order, tape->bytes + LINE_SIZE, sizeof(order));
    if (order != ORDER)
        return error_set(error, EBADMSG, "'%s' was recorded on a machine of another byte order",
                         name);
    memcpy(&tape->time, tape->bytes + LINE_SIZE + ORDER_SIZE, sizeof(tape->time));
    size_t at = 0, length = 0;
    const char *bytes = NULL;
    bool complete = false;
    while (!complete && diag_tape_next(tape, &at, &type, &bytes, &length))
        complete = type == TAPE_END;
    tape->cut = !complete;
    if (complete)
        tape->length = at; /* what comes behind the end is not ours */
    return 0;
}

static int tape_start(struct diag_tape *tape, const char *path, struct error *error)
{
    const uint32_t order = ORDER;
    tape->time = clock_wall();
    tape->written = true;
    const int code = output_open(&tape->output, path, true, error);
    buffer_add(&tape->output.pending, first_line, LINE_SIZE);
    buffer_add(&tape->output.pending, &order, sizeof(order));
    buffer_add(&tape->output.pending, &tape->time, sizeof(tape->time));
    return code;
}

static int tape_load(struct diag_tape *tape, const char *path, struct error *error)
{
    const int code = file_read(path, LIMIT, &tape->file, error);
    if (code != 0)
        return code;
    tape->bytes = tape->file.data;
    tape->length = tape->file.length;
    return tape_check(tape, path, error);
}

static void tape_free(struct diag_tape *tape)
{
    buffer_release(&tape->file);
    free(tape);
}

int diag_tape_open(const char *path, bool write, struct diag_tape **ret_tape, struct error *error)
{
    struct diag_tape *tape = calloc(1, sizeof(*tape));
    if (!tape)
        return error_set(error, ENOMEM, "no memory for a recording");
    const int code = write ? tape_start(tape, path, error) : tape_load(tape, path, error);
    if (code != 0) {
        buffer_release(&tape->output.pending);
        tape_free(tape);
        return code;
    }
    *ret_tape = tape;
    return 0;
}

int diag_tape_open_bytes(const void *bytes, size_t length, const char *name,
                         struct diag_tape **ret_tape, struct error *error)
{
    struct diag_tape *tape = calloc(1, sizeof(*tape));
    if (!tape)
        return error_set(error, ENOMEM, "no memory for a recording");
    tape->bytes = bytes;
    tape->length = length;
    const int code = tape_check(tape, name, error);
    if (code != 0)
        tape_free(tape);
    else
        *ret_tape = tape;
    return code;
}

int diag_tape_close(struct diag_tape *tape, struct error *error)
{
    int code = 0;
    if (!tape)
        return 0;
    if (tape->written) {
        diag_tape_put(tape, TAPE_END, NULL, 0);
        code = output_finish(&tape->output, error);
        output_release(&tape->output);
    }
    tape_free(tape);
    return code;
}

void diag_tape_discard(struct diag_tape *tape)
{
    if (!tape)
        return;
    if (tape->written)
        output_release(&tape->output);
    tape_free(tape);
}

/* ---- network namespaces ---- */

struct taped_space {
    uint64_t inode;
    uint32_t own;
    char name[sizeof((struct socket_space){0}.name)];
};

enum { SPACE_SIZE = sizeof(uint64_t) + sizeof(uint32_t) };

void diag_tape_put_space(struct diag_tape *tape, const struct socket_space *space)
{
    struct taped_space taped = {.inode = space->inode, .own = space->own};
    const size_t length = strnlen(space->name, sizeof(space->name));
    memcpy(taped.name, space->name, length);
    diag_tape_put(tape, TAPE_SPACE, &taped, SPACE_SIZE + length);
}

static int space_add(struct socket_list *list, const char *bytes, size_t length)
{
    struct taped_space taped = {0};
    struct socket_space *spaces =
        reallocarray(list->spaces, list->space_count + 1, sizeof(*spaces));
    if (!spaces)
        return -ENOMEM;
    list->spaces = spaces;
    if (length > SPACE_SIZE + sizeof(taped.name) - 1)
        length = SPACE_SIZE + sizeof(taped.name) - 1;
    memcpy(&taped, bytes, length);
    struct socket_space *space = &spaces[list->space_count++];
    *space = (struct socket_space){.inode = taped.inode, .own = taped.own != 0};
    memcpy(space->name, taped.name, sizeof(space->name));
    return 0;
}

int diag_tape_spaces(const struct diag_tape *tape, struct socket_list *list)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t at = 0; diag_tape_next(tape, &at, &type, &bytes, &length);) {
        const int code =
            type == TAPE_SPACE && length >= SPACE_SIZE ? space_add(list, bytes, length) : 0;
        if (code != 0)
            return code;
    }
    return 0;
}

size_t diag_tape_space_count(const struct diag_tape *tape)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0, count = 0;
    for (size_t at = 0; diag_tape_next(tape, &at, &type, &bytes, &length);)
        count += type == TAPE_SPACE && length >= SPACE_SIZE;
    return count > 0 ? count : 1;
}

/* ---- listing ---- */

/* Where a listing of a tape is. */
struct replay {
    const struct diag_query *query;
    uint32_t space; /* or TAPE_EVERY_SPACE */
    struct socket_list *list;
    struct error *error;
    struct tape_question question;
    bool wanted;                       /* what follows the question */
    bool ended;                        /* another listing begins */
    bool seen[SOCKET_KINDS][FAMILIES]; /* questions about this namespace */
    uint32_t asked[FAMILIES];          /* kinds that were asked about at all */
    bool narrow;                       /* a question was about less than the query is */
    bool damaged;
    size_t counts_from; /* where on the tape the last try of the question begins */
    struct diag_progress progress;
    bool incomplete;
};

/* The question before is done. */
static void replay_settle(struct replay *replay)
{
    if (replay->wanted && (replay->progress.interrupted || replay->progress.unknown))
        replay->incomplete = true;
    replay->progress = (struct diag_progress){0};
    replay->wanted = false;
}

static bool replay_wants(const struct replay *replay, uint32_t space)
{
    return replay->space == TAPE_EVERY_SPACE ? space < replay->list->space_count
                                             : space == replay->space;
}

static uint32_t question_kinds(const struct tape_question *question)
{
    return SOCKET_KIND_BIT(question->kind) & SOCKET_UNIX_KINDS ? SOCKET_UNIX_KINDS
                                                               : SOCKET_KIND_BIT(question->kind);
}

/* Can it have answers that the query takes? */
static bool query_reaches(const struct diag_query *query, const struct tape_question *question)
{
    return query->kinds & question_kinds(question) &&
           (question->family == ADDRESS_NONE || query->family == ADDRESS_NONE ||
            query->family == (enum address_family)question->family);
}

/* Kinds that every recording has been asked about, unless less was wanted of it. */
#define CERTAIN_KINDS                                                                              \
    (SOCKET_KIND_BIT(SOCKET_TCP) | SOCKET_KIND_BIT(SOCKET_UDP) | SOCKET_KIND_BIT(SOCKET_RAW) |     \
     SOCKET_UNIX_KINDS)

static bool replay_is_narrow(const struct replay *replay)
{
    const struct diag_query *query = replay->query;
    const uint32_t kinds = query->kinds & CERTAIN_KINDS & ~SOCKET_UNIX_KINDS;
    const bool unix_sockets = query->kinds & SOCKET_UNIX_KINDS && query->local_port == 0;
    bool narrow = replay->narrow || (unix_sockets && !replay->asked[ADDRESS_NONE]);
    for (unsigned family = ADDRESS_IPV4; family <= ADDRESS_IPV6; family += 2)
        if (query->family == ADDRESS_NONE || query->family == (enum address_family)family)
            narrow = narrow || (kinds & ~replay->asked[family]);
    return narrow;
}

/* A listing goes through the namespaces in their order and asks each question once. */
static void replay_question(struct replay *replay, const char *bytes, size_t length)
{
    struct tape_question question;
    replay_settle(replay);
    if (length < sizeof(question))
        return;
    memcpy(&question, bytes, sizeof(question));
    if (question.kind >= SOCKET_KINDS || question.family >= FAMILIES)
        return;
    if (question.space > replay->question.space)
        memset(replay->seen, 0, sizeof(replay->seen));
    bool *seen = &replay->seen[question.kind][question.family];
    replay->ended = *seen || question.space < replay->question.space;
    replay->wanted = !replay->ended && replay_wants(replay, question.space) &&
                     query_reaches(replay->query, &question);
    replay->question = question;
    *seen = true;
    if (replay->ended)
        return;
    replay->asked[question.family] |= question_kinds(&question);
    if (replay->wanted)
        replay->narrow |=
            replay->query->states & ~question.states ||
            (question.local_port != 0 && question.local_port != replay->query->local_port);
}

static int replay_text(const struct replay *replay, const char *bytes, size_t length)
{
    const size_t name = strnlen(bytes, length);
    if (name == length)
        return error_set(replay->error, EBADMSG, "a recorded file of /proc/net has no name");
    return procnet_read(bytes + name + 1, length - name - 1, bytes, replay->query,
                        replay->question.space, replay->list, replay->error);
}

static int replay_answer(struct replay *replay, uint32_t type, const char *bytes, size_t length)
{
    switch (type) {
    case TAPE_MESSAGES:
        return diag_read(bytes, length, (enum socket_kind)replay->question.kind, replay->query,
                         replay->question.space, replay->list, &replay->progress, replay->error);
    case TAPE_REFUSED:
        replay->list->refused |= SOCKET_KIND_BIT(replay->question.kind);
        return 0;
    case TAPE_TEXT:
        return replay_text(replay, bytes, length);
    default:
        return 0;
    }
}

/* Where the answer that counts begins, of a question that ends at `at`. */
static size_t answer_start(const struct diag_tape *tape, size_t at)
{
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0, start = at;
    while (diag_tape_next(tape, &at, &type, &bytes, &length) && type != TAPE_QUESTION)
        if (type == TAPE_AGAIN)
            start = at;
    return start;
}

/* The record ends at `end`. */
static int replay_record(struct replay *replay, const struct diag_tape *tape, size_t end,
                         uint32_t type, const char *bytes, size_t length)
{
    if (type == TAPE_QUESTION) {
        replay_question(replay, bytes, length);
        if (replay->wanted)
            replay->counts_from = answer_start(tape, end);
    }
    if (!replay->wanted || end <= replay->counts_from)
        return 0;
    const int code = replay_answer(replay, type, bytes, length);
    if (code == -ENOMEM)
        return code;
    replay->damaged |= code != 0; /* what was read before the fault is there */
    return socket_list_grown(replay->list, replay->error);
}

int diag_tape_list(struct diag_tape *tape, const struct diag_query *query, uint32_t space,
                   struct socket_list *list, struct error *error)
{
    struct replay replay = {.query = query, .space = space, .list = list, .error = error};
    uint32_t type = 0;
    const char *bytes = NULL;
    size_t length = 0;
    for (size_t at = 0; !replay.ended && diag_tape_next(tape, &at, &type, &bytes, &length);) {
        const int code = replay_record(&replay, tape, at, type, bytes, length);
        if (code != 0)
            return code;
    }
    replay_settle(&replay);
    tape->damaged |= replay.damaged;
    tape->narrow |= replay_is_narrow(&replay);
    return replay.incomplete;
}
