/* The kernel's list of sockets from the texts of /proc/net, for where netlink does not tell it. */
#include "local/diag.h"
#include "local/diag_tape.h"

#include "base/buffer.h"
#include "base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    TICK_MS = 10,           /* timers are told in hundredths of a second on every machine */
    UNIX_ACCEPTS = 1 << 16, /* __SO_ACCEPTCON of a Unix socket's flags */
    UNIX_CONNECTING = 2,    /* SS_CONNECTING and SS_CONNECTED (linux/net.h) of its state */
    UNIX_CONNECTED = 3,
    NAME_SIZE = 96,
};

#define LIMIT ((size_t)1 << 30) /* bytes of one file; millions of sockets */

static const struct procnet {
    const char *name;
    enum socket_kind kind;
    enum address_family family;
} files[] = {
    {"tcp", SOCKET_TCP, ADDRESS_IPV4},          {"tcp6", SOCKET_TCP, ADDRESS_IPV6},
    {"udp", SOCKET_UDP, ADDRESS_IPV4},          {"udp6", SOCKET_UDP, ADDRESS_IPV6},
    {"udplite", SOCKET_UDPLITE, ADDRESS_IPV4},  {"udplite6", SOCKET_UDPLITE, ADDRESS_IPV6},
    {"raw", SOCKET_RAW, ADDRESS_IPV4},          {"raw6", SOCKET_RAW, ADDRESS_IPV6},
    {"unix", SOCKET_UNIX_STREAM, ADDRESS_NONE},
};

#define FILES (sizeof(files) / sizeof(files[0]))

/* ---- one line ---- */

/* What is left of a line. */
struct line {
    const char *at, *end;
};

static void skip_blanks(struct line *line)
{
    while (line->at < line->end && *line->at == ' ')
        line->at++;
}

static bool take_character(struct line *line, char character)
{
    if (line->at == line->end || *line->at != character)
        return false;
    line->at++;
    return true;
}

static unsigned digit_of(char character)
{
    if (character >= '0' && character <= '9')
        return (unsigned)(character - '0');
    if (character >= 'A' && character <= 'F')
        return (unsigned)(character - 'A') + 10;
    if (character >= 'a' && character <= 'f')
        return (unsigned)(character - 'a') + 10;
    return UINT32_MAX;
}

/* A number of 1 to `digits` digits, right here. */
static bool take_digits(struct line *line, unsigned base, unsigned digits, uint64_t *ret_number)
{
    const char *start = line->at;
    uint64_t number = 0;
    while (line->at < line->end && digit_of(*line->at) < base) {
        if ((size_t)(line->at - start) == digits)
            return false;
        number = number * base + digit_of(*line->at++);
    }
    *ret_number = number;
    return line->at > start;
}

/* A field of its own: blanks, a number of at most 32 bits, and a blank or the end. */
static bool take_field(struct line *line, unsigned base, uint32_t *ret_number)
{
    uint64_t number = 0;
    skip_blanks(line);
    if (!take_digits(line, base, 10, &number) || number > UINT32_MAX ||
        (line->at < line->end && *line->at != ' '))
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

/* Two hexadecimal numbers with a colon between them. */
static bool take_pair(struct line *line, uint32_t *ret_one, uint32_t *ret_other)
{
    uint64_t one = 0, other = 0;
    skip_blanks(line);
    if (!take_digits(line, 16, 8, &one) || !take_character(line, ':') ||
        !take_digits(line, 16, 8, &other))
        return false;
    *ret_one = (uint32_t)one;
    *ret_other = (uint32_t)other;
    return true;
}

/* The kernel prints the 32-bit words of an address, in network order, as if they were numbers. */
static bool take_word(struct line *line, uint128_t *address)
{
    uint32_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (line->at == line->end || digit_of(*line->at) > 15)
            return false;
        word = word << 4 | digit_of(*line->at++);
    }
    *address = *address << 32 | ntohl(word);
    return true;
}

static bool take_endpoint(struct line *line, unsigned words, uint128_t *ret_address,
                          uint16_t *ret_port)
{
    uint128_t address = 0;
    uint64_t port = 0;
    skip_blanks(line);
    for (unsigned i = 0; i < words; i++)
        if (!take_word(line, &address))
            return false;
    if (!take_character(line, ':') || !take_digits(line, 16, 4, &port))
        return false;
    *ret_address = address;
    *ret_port = (uint16_t)port;
    return true;
}

/* ---- sockets with addresses ---- */

/* "sl: local rem st tx_queue:rx_queue tr:when retrnsmt uid timeout inode", and more, which differs.
 */
static bool inet_line(struct line line, const struct procnet *file, struct socket_entry *entry)
{
    const unsigned words = file->family == ADDRESS_IPV6 ? 4 : 1;
    uint32_t state = 0, timer = 0, ticks = 0, retransmits = 0, unanswered = 0;
    uint64_t slot = 0;
    skip_blanks(&line);
    if (!take_digits(&line, 10, 10, &slot) || !take_character(&line, ':') ||
        !take_endpoint(&line, words, &entry->local, &entry->local_port) ||
        !take_endpoint(&line, words, &entry->remote, &entry->remote_port) ||
        !take_field(&line, 16, &state) ||
        !take_pair(&line, &entry->send_queue, &entry->receive_queue) ||
        !take_pair(&line, &timer, &ticks) || !take_field(&line, 16, &retransmits) ||
        !take_field(&line, 10, &entry->uid) || !take_field(&line, 10, &unanswered) ||
        !take_field(&line, 10, &entry->inode))
        return false;
    if (state < SOCKET_ESTABLISHED || state >= SOCKET_STATES)
        return false;
    entry->state = (uint8_t)state;
    entry->timer = (uint8_t)(timer <= SOCKET_TIMER_PROBE ? timer : SOCKET_TIMER_OFF);
    if (entry->timer != SOCKET_TIMER_OFF)
        entry->timer_ms = ticks < UINT32_MAX / TICK_MS ? ticks * TICK_MS : UINT32_MAX;
    entry->retransmits = (uint8_t)(retransmits < UINT8_MAX ? retransmits : UINT8_MAX);
    if (file->family == ADDRESS_IPV6)
        socket_entry_unmap(entry);
    /* Of others it is not told; a raw one hears of no IPv4 anyway. */
    entry->v6only = file->family == ADDRESS_IPV6 && file->kind == SOCKET_RAW;
    return true;
}

/* ---- Unix sockets ---- */

/* "Num: RefCount Protocol Flags Type St Inode Path"; kernels of long ago had no inode. */
static bool unix_line(struct line line, bool with_inode, struct socket_entry *entry,
                      struct line *ret_path)
{
    uint32_t references = 0, protocol = 0, flags = 0, type = 0, state = 0;
    uint64_t pointer = 0;
    skip_blanks(&line);
    if (!take_digits(&line, 16, 16, &pointer) || !take_character(&line, ':') ||
        !take_field(&line, 16, &references) || !take_field(&line, 16, &protocol) ||
        !take_field(&line, 16, &flags) || !take_field(&line, 16, &type) ||
        !take_field(&line, 16, &state) || (with_inode && !take_field(&line, 10, &entry->inode)))
        return false;
    static const uint8_t kinds[] = {
        0, SOCKET_UNIX_STREAM,   SOCKET_UNIX_DATAGRAM, SOCKET_UNIX_DATAGRAM,
        0, SOCKET_UNIX_SEQPACKET};
    if (type >= sizeof(kinds) || kinds[type] == 0)
        return false;
    entry->kind = kinds[type];
    entry->state = flags & UNIX_ACCEPTS                                  ? SOCKET_LISTEN
                   : state == UNIX_CONNECTING || state == UNIX_CONNECTED ? SOCKET_ESTABLISHED
                                                                         : SOCKET_CLOSE;
    take_character(&line, ' ');
    *ret_path = line;
    return true;
}

static int path_keep(struct socket_entry *entry, struct line path, struct socket_list *list)
{
    const size_t length = (size_t)(path.end - path.at);
    if (length == 0)
        return 0;
    char *copy = arena_take(&list->arena, length + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, path.at, length);
    entry->path = copy;
    return 0;
}

/* ---- a text ---- */

struct reading {
    const struct procnet *file;
    const struct diag_query *query;
    uint32_t space;
    struct socket_list *list;
    bool with_inode; /* of Unix sockets */
    bool after_path; /* the line before ended in a path, which this one may go on with */
};

static bool line_has(struct line line, const char *word)
{
    return memmem(line.at, (size_t)(line.end - line.at), word, strlen(word)) != NULL;
}

/* The first line names the columns. */
static bool heading_read(struct reading *reading, struct line line)
{
    reading->with_inode = line_has(line, "Inode");
    return line_has(line, reading->file->family == ADDRESS_NONE ? "RefCount" : "local_address");
}

/* Returns 0 or -errno, -EBADMSG when the line makes no sense. */
static int line_read(struct reading *reading, struct line line)
{
    const bool is_unix = reading->file->family == ADDRESS_NONE;
    struct line path = {0};
    struct socket_entry *entry = socket_list_add(reading->list);
    if (!entry)
        return -ENOMEM;
    entry->kind = (uint8_t)reading->file->kind;
    entry->family = (uint8_t)reading->file->family;
    entry->space = reading->space;
    const bool sound = is_unix ? unix_line(line, reading->with_inode, entry, &path)
                               : inet_line(line, reading->file, entry);
    entry->has_inode = entry->inode != 0;
    const bool taken = sound && diag_query_takes(reading->query, entry);
    int code = sound ? 0 : -EBADMSG;
    if (taken && is_unix)
        code = path_keep(entry, path, reading->list);
    if (!taken || code != 0)
        reading->list->count--;
    /* A path may have a line feed in it. What comes behind it is not told. */
    if (!sound && reading->after_path)
        return 0;
    reading->after_path = sound && path.at < path.end;
    return code;
}

static const struct procnet *file_find(const char *name)
{
    for (size_t i = 0; i < FILES; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

int procnet_read(const char *text, size_t length, const char *file, const struct diag_query *query,
                 uint32_t space, struct socket_list *list, struct error *error)
{
    struct reading reading = {
        .file = file_find(file), .query = query, .space = space, .list = list};
    if (!reading.file)
        return error_set(error, EINVAL,
                         "there is no file of /proc/net of that name that tells of "
                         "sockets");
    size_t number = 0;
    for (size_t at = 0; at < length;) {
        const char *start = text + at, *end = memchr(start, '\n', length - at);
        struct line line = {.at = start, .end = end ? end : text + length};
        at += (size_t)(line.end - start) + 1;
        const int code = number++ > 0                   ? line_read(&reading, line)
                         : heading_read(&reading, line) ? 0
                                                        : -EBADMSG;
        if (code == -EBADMSG)
            return error_set(error, EBADMSG, "/proc/net/%s, line %zu: this is not a socket", file,
                             number);
        if (code != 0)
            return error_set(error, -code, "no memory for a list of sockets");
    }
    return 0;
}

/* ---- the files ---- */

const char *procnet_file(enum socket_kind kind, enum address_family family)
{
    for (size_t i = 0; i < FILES; i++)
        if (files[i].family == family &&
            (files[i].kind == kind ||
             (family == ADDRESS_NONE && SOCKET_UNIX_KINDS & SOCKET_KIND_BIT(kind))))
            return files[i].name;
    return NULL;
}

static void record_text(struct diag_tape *tape, const char *name, struct buffer *text)
{
    struct buffer record = {0};
    if (!diag_tape_is_written(tape))
        return;
    buffer_add(&record, name, strlen(name) + 1);
    buffer_add(&record, text->data, text->length);
    diag_tape_put(tape, TAPE_TEXT, record.data, record.length);
    buffer_release(&record);
}

int procnet_ask(enum socket_kind kind, enum address_family family, const struct diag_query *query,
                uint32_t space, struct diag_tape *tape, struct socket_list *list,
                struct error *error)
{
    const char *name = procnet_file(kind, family);
    struct buffer text = {0};
    struct error failure = {0};
    char path[NAME_SIZE];
    if (!name)
        return 1;
    /* Of this thread: it may be in another network namespace than the process. */
    snprintf(path, sizeof(path), "/proc/thread-self/net/%s", name);
    int code = file_read(path, LIMIT, &text, &failure);
    if (code == 0) {
        record_text(tape, name, &text);
        code = procnet_read(text.data, text.length, name, query, space, list, error);
        if (code == 0)
            code = socket_list_grown(list, error);
    } else if (code == -ENOENT) {
        code = 1;
    } else if (code == -EACCES || code == -EPERM) {
        list->refused |= SOCKET_KIND_BIT(kind);
        const uint32_t refusal = (uint32_t)-code;
        diag_tape_put(tape, TAPE_REFUSED, &refusal, sizeof(refusal));
        code = 1;
    } else if (error) {
        *error = failure;
    }
    buffer_release(&text);
    return code;
}

int procnet_list(const struct diag_query *query, uint32_t space, struct diag_tape *tape,
                 struct socket_list *list, struct error *error)
{
    for (size_t i = 0; i < FILES; i++) {
        const struct procnet *file = &files[i];
        const bool is_unix = file->family == ADDRESS_NONE;
        const uint32_t kinds = is_unix ? SOCKET_UNIX_KINDS : SOCKET_KIND_BIT(file->kind);
        if (!(query->kinds & kinds) ||
            (!is_unix && query->family != ADDRESS_NONE && query->family != file->family))
            continue;
        const struct tape_question question = {.space = space,
                                               .kind = file->kind,
                                               .family = file->family,
                                               .states = query->states,
                                               .local_port = query->local_port};
        diag_tape_put(tape, TAPE_QUESTION, &question, sizeof(question));
        const int code = procnet_ask(file->kind, file->family, query, space, tape, list, error);
        if (code < 0)
            return code;
    }
    return 0;
}
