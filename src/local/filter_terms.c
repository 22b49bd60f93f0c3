/* What may be asked of a socket in a filter: "state listen", "port 8080", "process nginx", …. */
#include "local/filter_parts.h"

#include "base/text.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CGROUP_PATH_LIMIT = 1024,
    USER_BUFFER_LIMIT = 1 << 20,
    KERNELS_FIRST_PORT = 32768, /* where the kernel does not say which ones it gives out itself */
    KERNELS_LAST_PORT = 60999,
};

struct term;
typedef int term_fn(struct filter_parser *parser, const struct term *term,
                    struct filter_node *node);

/* A word, and how what follows it is read into a node of its subject. */
struct term {
    const char *name;
    term_fn *read; /* NULL: nothing follows */
    enum filter_subject subject;
    uint64_t value;       /* of nodes without anything behind the word; sides; a limit of numbers */
    const char *expected; /* what follows, and an example of it */
};

/* ---- what follows a word ---- */

/* An operator between a word and its value: "=" when there is none. */
static enum filter_comparison read_comparison(struct filter_parser *parser)
{
    enum filter_comparison comparison = FILTER_EQUAL;
    const struct filter_token token = parser->token;
    const bool word = token.kind == FILTER_TOKEN_WORD && !token.quoted;
    if ((word || token.kind == FILTER_TOKEN_COMPARISON) &&
        filter_comparison_find(parser->text + token.at, token.length, &comparison))
        filter_advance(parser);
    return comparison;
}

/* The same where values have no order. */
static int read_equality(struct filter_parser *parser, struct filter_node *node)
{
    const size_t column = parser->token.at;
    const enum filter_comparison comparison = read_comparison(parser);
    if (comparison != FILTER_EQUAL && comparison != FILTER_UNEQUAL)
        return FILTER_FAULT(parser, column, "only '=' and '!=' mean something here");
    node->negated = comparison == FILTER_UNEQUAL;
    return 0;
}

/* Takes the value. False, with an error that is -EINVAL, when there is none. */
static bool read_value(struct filter_parser *parser, const struct term *term,
                       struct filter_token *ret_token)
{
    const struct filter_token token = parser->token;
    if (token.kind == FILTER_TOKEN_WORD && token.length > 0) {
        *ret_token = token;
        filter_advance(parser);
        return true;
    }
    if (token.kind == FILTER_TOKEN_BROKEN)
        FILTER_FAULT(parser, token.at, "the quotation mark has no second one");
    else
        FILTER_FAULT(parser, token.at, "'%s' is followed by %s", term->name, term->expected);
    return false;
}

static int read_ports(struct filter_parser *parser, const struct term *term,
                      struct filter_node *node)
{
    const enum filter_comparison comparison = read_comparison(parser);
    struct filter_token value;
    if (!read_value(parser, term, &value))
        return -EINVAL;
    size_t at = value.at, end = value.at + value.length;
    /* ss takes an address's wildcard before the colon. */
    if (end - at > 2 && memcmp(parser->text + at, "*:", 2) == 0)
        at++;
    if (parser->text[at] == ':')
        at++;
    node->sides = (uint8_t)term->value;
    node->negated = comparison == FILTER_UNEQUAL;
    return filter_read_ports(parser, comparison, at, end, node);
}

static int read_host(struct filter_parser *parser, const struct term *term,
                     struct filter_node *node)
{
    struct filter_token value;
    const int code = read_equality(parser, node);
    if (code != 0)
        return code;
    if (!read_value(parser, term, &value))
        return -EINVAL;
    node->sides = (uint8_t)term->value;
    return filter_read_host(parser, value.at, value.at + value.length, node);
}

static char *copy_value(struct filter_parser *parser, const struct filter_token *value)
{
    char *copy = arena_take(&parser->filter->arena, value->length + 1);
    if (copy)
        memcpy(copy, parser->text + value->at, value->length);
    return copy;
}

static int read_pattern(struct filter_parser *parser, const struct term *term,
                        struct filter_node *node)
{
    struct filter_token value;
    const int code = read_equality(parser, node);
    if (code != 0)
        return code;
    if (!read_value(parser, term, &value))
        return -EINVAL;
    node->pattern = copy_value(parser, &value);
    return node->pattern ? 0 : filter_out_of_memory(parser);
}

/* An interface by name, or by its index. */
static int read_device(struct filter_parser *parser, const struct term *term,
                       struct filter_node *node)
{
    const int code = read_pattern(parser, term, node);
    if (code == 0 &&
        filter_read_number(node->pattern, strlen(node->pattern), UINT32_MAX, &node->low))
        node->pattern = NULL;
    return code;
}

static void compare_numbers(enum filter_comparison comparison, uint64_t number, uint64_t limit,
                            struct filter_node *node)
{
    node->low = 0;
    node->high = limit;
    node->negated = comparison == FILTER_UNEQUAL;
    switch (comparison) {
    case FILTER_LESS:
        node->low = number == 0; /* or else none */
        node->high = number == 0 ? 0 : number - 1;
        break;
    case FILTER_LESS_EQUAL:
        node->high = number;
        break;
    case FILTER_GREATER:
        node->low = number + 1;
        break;
    case FILTER_GREATER_EQUAL:
        node->low = number;
        break;
    default:
        node->low = node->high = number;
        break;
    }
}

/* "pid 123", "pid 100-200", "inode > 5". */
static int read_numbers(struct filter_parser *parser, const struct term *term,
                        struct filter_node *node)
{
    const enum filter_comparison comparison = read_comparison(parser);
    struct filter_token value;
    if (!read_value(parser, term, &value))
        return -EINVAL;
    const char *text = parser->text + value.at;
    const char *hyphen = memchr(text, '-', value.length);
    const size_t length = hyphen ? (size_t)(hyphen - text) : value.length;
    uint64_t first;
    if (!filter_read_number(text, length, term->value, &first))
        return FILTER_FAULT(parser, value.at, "'%s' is followed by %s", term->name, term->expected);
    compare_numbers(comparison, first, term->value, node);
    if (!hyphen)
        return 0;
    if (comparison != FILTER_EQUAL && comparison != FILTER_UNEQUAL)
        return FILTER_FAULT(parser, value.at, "only one number can be compared in this way");
    if (!filter_read_number(hyphen + 1, value.length - length - 1, term->value, &node->high) ||
        node->high < first)
        return FILTER_FAULT(parser, value.at + length + 1,
                            "a range ends with a number that is not below its start");
    return 0;
}

/* Returns 0, -ENOENT or -ENOMEM. */
static int find_user(const char *name, uid_t *ret_uid)
{
    struct passwd entry, *found = NULL;
    for (size_t size = 1024; size <= USER_BUFFER_LIMIT; size *= 4) {
        char *buffer = malloc(size);
        if (!buffer)
            return -ENOMEM;
        const int code = getpwnam_r(name, &entry, buffer, size, &found);
        free(buffer);
        if (code == ERANGE)
            continue;
        if (!found)
            break;
        *ret_uid = entry.pw_uid;
        return 0;
    }
    return -ENOENT;
}

static int read_user(struct filter_parser *parser, const struct term *term,
                     struct filter_node *node)
{
    const size_t before = parser->token.at;
    int code = read_pattern(parser, term, node);
    if (code != 0)
        return code;
    if (!filter_read_number(node->pattern, strlen(node->pattern), UINT32_MAX, &node->low)) {
        uid_t uid;
        code = find_user(node->pattern, &uid);
        if (code == -ENOMEM)
            return filter_out_of_memory(parser);
        if (code != 0)
            return FILTER_FAULT(parser, before, "no user has this name");
        node->low = uid;
    }
    node->high = node->low;
    return 0;
}

/* "fwmark = 0x01/0x03": the bits behind the slash count. */
static int read_mark(struct filter_parser *parser, const struct term *term,
                     struct filter_node *node)
{
    struct filter_token value;
    const int code = read_equality(parser, node);
    if (code != 0)
        return code;
    if (!read_value(parser, term, &value))
        return -EINVAL;
    const char *text = parser->text + value.at;
    const char *slash = memchr(text, '/', value.length);
    const size_t length = slash ? (size_t)(slash - text) : value.length;
    node->high = UINT32_MAX;
    if (!filter_read_number(text, length, UINT32_MAX, &node->low) ||
        (slash &&
         !filter_read_number(slash + 1, value.length - length - 1, UINT32_MAX, &node->high)))
        return FILTER_FAULT(parser, value.at, "'%s' is followed by %s", term->name, term->expected);
    return 0;
}

/* A control group's identity is the inode of its directory. */
static int read_cgroup(struct filter_parser *parser, const struct term *term,
                       struct filter_node *node)
{
    const size_t column = parser->token.at;
    const int code = read_pattern(parser, term, node);
    if (code != 0)
        return code;
    char path[CGROUP_PATH_LIMIT];
    struct stat status;
    static const char root[] = "/sys/fs/cgroup";
    const bool whole = strncmp(node->pattern, root, sizeof(root) - 1) == 0;
    const int length = snprintf(path, sizeof(path), "%s/%s", whole ? "" : root, node->pattern);
    if (length > 0 && (size_t)length < sizeof(path) && !strstr(node->pattern, "..") &&
        stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        node->low = status.st_ino;
        return 0;
    }
    return FILTER_FAULT(parser, column, "there is no control group with this path");
}

/* ---- states ---- */

/* "listen" or "established,syn-sent". */
static int read_states(struct filter_parser *parser, const struct term *term, uint32_t *ret_states)
{
    struct filter_token value;
    if (!read_value(parser, term, &value))
        return -EINVAL;
    uint32_t states = 0;
    size_t at = value.at;
    const size_t end = value.at + value.length;
    for (;;) {
        const char *comma = memchr(parser->text + at, ',', end - at);
        const size_t stop = comma ? (size_t)(comma - parser->text) : end;
        uint32_t found;
        if (!filter_states_find(parser->text + at, stop - at, &found)) {
            char word[64];
            snprintf(word, sizeof(word), "%.*s", (int)(stop - at), parser->text + at);
            struct text_nearest nearest = {.word = word};
            filter_states_nearest(&nearest);
            if (nearest.candidate[0])
                return FILTER_FAULT(parser, at, "no state has this name: did you mean '%s'?",
                                    nearest.candidate);
            return FILTER_FAULT(parser, at, "'%s' is followed by %s", term->name, term->expected);
        }
        states |= found;
        if (stop == end)
            break;
        at = stop + 1;
    }
    *ret_states = states;
    return 0;
}

static bool sees_word(const struct filter_parser *parser, const char *word)
{
    return parser->token.kind == FILTER_TOKEN_WORD && !parser->token.quoted &&
           filter_word_is(parser->text + parser->token.at, parser->token.length, word);
}

/* As ss has it, "state … state … exclude …" without an operator in between are one set. */
static int read_state(struct filter_parser *parser, const struct term *term,
                      struct filter_node *node)
{
    uint32_t states = 0, more = 0;
    bool excludes = strcmp(term->name, "state") != 0;
    for (bool first = true;; first = false) {
        struct filter_node equality = {0};
        int code = read_equality(parser, &equality);
        if (code == 0)
            code = read_states(parser, term, &more);
        if (code != 0)
            return code;
        if (excludes != equality.negated)
            states = (first ? SOCKET_USUAL_STATES : states) & ~more;
        else
            states |= more;
        excludes = !sees_word(parser, "state");
        if (excludes && !sees_word(parser, "exclude") && !sees_word(parser, "excl"))
            break;
        filter_advance(parser);
    }
    node->low = states;
    return 0;
}

/* ---- the words ---- */

static int read_autobound(struct filter_parser *parser, const struct term *term,
                          struct filter_node *node)
{
    (void)parser;
    (void)term;
    unsigned first, last;
    node->low = KERNELS_FIRST_PORT;
    node->high = KERNELS_LAST_PORT;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%u %u", &first, &last) == 2) {
        node->low = first;
        node->high = last;
    }
    fclose(file);
    return 0;
}

#define BIT(kind) SOCKET_KIND_BIT(kind)
#define PORT_EXPECTED "a port, such as 22, ssh or 8000-8010"
#define HOST_EXPECTED "an address, such as 10.0.0.0/8 or [::1]:80"
#define STATE_EXPECTED "a state, such as listen or established, or a group such as connected"
#define EITHER (FILTER_LOCAL | FILTER_REMOTE)

static const struct term terms[] = {
    {"state", read_state, FILTER_STATES, 0, STATE_EXPECTED},
    {"exclude", read_state, FILTER_STATES, 0, STATE_EXPECTED},
    {"excl", read_state, FILTER_STATES, 0, STATE_EXPECTED},
    {"listening", NULL, FILTER_WAITING, 0, NULL},
    {"port", read_ports, FILTER_HOST, EITHER, PORT_EXPECTED},
    {"sport", read_ports, FILTER_HOST, FILTER_LOCAL, PORT_EXPECTED},
    {"dport", read_ports, FILTER_HOST, FILTER_REMOTE, PORT_EXPECTED},
    {"host", read_host, FILTER_HOST, EITHER, HOST_EXPECTED},
    {"address", read_host, FILTER_HOST, EITHER, HOST_EXPECTED},
    {"src", read_host, FILTER_HOST, FILTER_LOCAL, HOST_EXPECTED},
    {"local", read_host, FILTER_HOST, FILTER_LOCAL, HOST_EXPECTED},
    {"dst", read_host, FILTER_HOST, FILTER_REMOTE, HOST_EXPECTED},
    {"peer", read_host, FILTER_HOST, FILTER_REMOTE, HOST_EXPECTED},
    {"remote", read_host, FILTER_HOST, FILTER_REMOTE, HOST_EXPECTED},
    {"pid", read_numbers, FILTER_PID, INT32_MAX, "the number of a process, such as 123"},
    {"process", read_pattern, FILTER_PROCESS, 0, "the name of a process, such as nginx"},
    {"user", read_user, FILTER_USER, 0, "the name or number of a user, such as www-data"},
    {"unit", read_pattern, FILTER_UNIT, 0, "a systemd unit, such as nginx.service"},
    {"container", read_pattern, FILTER_CONTAINER, 0,
     "the identity of a container, the beginning of one, or docker, podman, kubernetes, lxc"},
    {"inode", read_numbers, FILTER_INODE, UINT32_MAX, "the number of an inode"},
    {"tcp", NULL, FILTER_KINDS, BIT(SOCKET_TCP), NULL},
    {"mptcp", NULL, FILTER_KINDS, BIT(SOCKET_MPTCP), NULL},
    {"udp", NULL, FILTER_KINDS, BIT(SOCKET_UDP), NULL},
    {"udplite", NULL, FILTER_KINDS, BIT(SOCKET_UDPLITE), NULL},
    {"sctp", NULL, FILTER_KINDS, BIT(SOCKET_SCTP), NULL},
    {"raw", NULL, FILTER_KINDS, BIT(SOCKET_RAW), NULL},
    {"unix", NULL, FILTER_KINDS, SOCKET_UNIX_KINDS, NULL},
    {"u_str", NULL, FILTER_KINDS, BIT(SOCKET_UNIX_STREAM), NULL},
    {"u_dgr", NULL, FILTER_KINDS, BIT(SOCKET_UNIX_DATAGRAM), NULL},
    {"u_seq", NULL, FILTER_KINDS, BIT(SOCKET_UNIX_SEQPACKET), NULL},
    {"ipv4", NULL, FILTER_FAMILY, ADDRESS_IPV4, NULL},
    {"inet", NULL, FILTER_FAMILY, ADDRESS_IPV4, NULL},
    {"ipv6", NULL, FILTER_FAMILY, ADDRESS_IPV6, NULL},
    {"inet6", NULL, FILTER_FAMILY, ADDRESS_IPV6, NULL},
    {"loopback", NULL, FILTER_LOOPBACK, 0, NULL},
    {"exposed", NULL, FILTER_EXPOSED, 0, NULL},
    {"everywhere", NULL, FILTER_EVERYWHERE, 0, NULL},
    {"dev", read_device, FILTER_DEVICE, 0, "an interface, such as eth0"},
    {"interface", read_device, FILTER_DEVICE, 0, "an interface, such as eth0"},
    {"path", read_pattern, FILTER_PATH, 0, "the path of a Unix socket, such as /run/*"},
    {"fwmark", read_mark, FILTER_MARK, 0, "a number, such as 0x01, or one with a mask, 0x01/0x03"},
    {"cgroup", read_cgroup, FILTER_CGROUP, 0, "the path of a control group"},
    {"autobound", read_autobound, FILTER_AUTOBOUND, 0, NULL},
};

#define TERM_COUNT (sizeof(terms) / sizeof(terms[0]))

/* "8000-8010", "80,443": what follows the word "port". */
static bool is_ports(const char *text, size_t length)
{
    size_t digits = 0, others = 0;
    for (size_t i = 0; i < length; i++) {
        digits += text[i] >= '0' && text[i] <= '9';
        others += text[i] == '-' || text[i] == ',';
    }
    return digits > 0 && digits + others == length && text[0] != '-' && text[0] != ',';
}

/* The word that it resembles. */
static int complain_of_word(struct filter_parser *parser, const struct filter_token *token)
{
    static const char *const operators[] = {"and", "or", "not"};
    char word[64];
    snprintf(word, sizeof(word), "%.*s", (int)(token->length < 64 ? token->length : 63),
             parser->text + token->at);
    struct text_nearest nearest = {.word = word};
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        text_nearest_offer(&nearest, operators[i], strlen(operators[i]));
    for (size_t i = 0; i < TERM_COUNT; i++)
        text_nearest_offer(&nearest, terms[i].name, strlen(terms[i].name));
    filter_states_nearest(&nearest);
    if (nearest.candidate[0])
        return FILTER_FAULT(parser, token->at, "this is no word of filters: did you mean '%s'?",
                            nearest.candidate);
    return FILTER_FAULT(parser, token->at,
                        "this is no word of filters: a name is written 'process nginx', 'unit "
                        "nginx' or 'user www-data'");
}

/* What somebody may have meant who wrote only the value. */
static int complain(struct filter_parser *parser, const struct filter_token *token)
{
    const char *text = parser->text + token->at;
    const int shown = (int)(token->length < 64 ? token->length : 63);
    uint64_t number;
    struct address address;
    if (filter_read_number(text, token->length, UINT64_MAX, &number))
        return FILTER_FAULT(parser, token->at,
                            "what is this number of? Write 'port %.*s' or 'pid %.*s'", shown, text,
                            shown, text);
    if (text[0] == ':')
        return FILTER_FAULT(parser, token->at,
                            "which port is meant? Write 'port 22', 'sport = :22' or 'dport = :22'");
    if (is_ports(text, token->length))
        return FILTER_FAULT(parser, token->at, "what are these numbers of? Write 'port %.*s'",
                            shown, text);
    const char *slash = memchr(text, '/', token->length);
    const size_t length = slash ? (size_t)(slash - text) : token->length;
    if (address_parse(text, length, &address, NULL) == 0 || text[0] == '[')
        return FILTER_FAULT(parser, token->at,
                            "whose address is this? Write 'peer 10.0.0.1' or 'local 10.0.0.1'");
    return complain_of_word(parser, token);
}

int filter_read_term(struct filter_parser *parser, struct filter_node **ret_node)
{
    const struct filter_token token = parser->token;
    const char *word = parser->text + token.at;
    const struct term *term = NULL;
    for (size_t i = 0; i < TERM_COUNT && !term; i++)
        if (!token.quoted && filter_word_is(word, token.length, terms[i].name))
            term = &terms[i];
    uint32_t states = 0;
    if (!term && (token.quoted || !filter_states_find(word, token.length, &states)))
        return complain(parser, &token);
    struct filter_node *node = filter_node_new(parser, term ? term->subject : FILTER_STATES);
    if (!node)
        return filter_out_of_memory(parser);
    filter_advance(parser);
    node->low = term ? term->value : states;
    const int code = term && term->read ? term->read(parser, term, node) : 0;
    if (code == 0)
        *ret_node = node;
    return code;
}
