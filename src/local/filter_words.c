/* The words of filters: tokens, comparisons, patterns and the names of states. */
#include "local/filter_parts.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char character)
{
    return character == ' ' || (character >= '\t' && character <= '\r');
}

/* Does a word end before this character? An exclamation mark may be part of a name, but not before
 * an equals sign. */
static bool ends_word(const char *text, size_t length, size_t at)
{
    if (text[at] == '!')
        return at + 1 < length && text[at + 1] == '=';
    return is_blank(text[at]) || memchr("()=<>&|", text[at], 7);
}

static struct filter_token token_of(enum filter_token_kind kind, size_t at, size_t length)
{
    return (struct filter_token){.kind = kind, .at = at, .length = length, .end = at + length};
}

static struct filter_token read_quoted(const char *text, size_t length, size_t at)
{
    const char *end = memchr(text + at + 1, text[at], length - at - 1);
    if (!end)
        return token_of(FILTER_TOKEN_BROKEN, at, length - at);
    struct filter_token token = token_of(FILTER_TOKEN_WORD, at + 1, (size_t)(end - text) - at - 1);
    token.end++;
    token.quoted = true;
    return token;
}

static struct filter_token read_word(const char *text, size_t length, size_t at)
{
    size_t end = at + 1;
    while (end < length && !ends_word(text, length, end))
        end++;
    static const struct {
        const char *name;
        enum filter_token_kind kind;
    } operators[] = {{"and", FILTER_TOKEN_AND}, {"or", FILTER_TOKEN_OR}, {"not", FILTER_TOKEN_NOT}};
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (filter_word_is(text + at, end - at, operators[i].name))
            return token_of(operators[i].kind, at, end - at);
    return token_of(FILTER_TOKEN_WORD, at, end - at);
}

struct filter_token filter_token_read(const char *text, size_t length, size_t at)
{
    while (at < length && is_blank(text[at]))
        at++;
    if (at == length)
        return token_of(FILTER_TOKEN_END, at, 0);
    const bool twice = at + 1 < length && text[at + 1] == text[at];
    const bool equals = at + 1 < length && text[at + 1] == '=';
    switch (text[at]) {
    case '(':
        return token_of(FILTER_TOKEN_OPEN, at, 1);
    case ')':
        return token_of(FILTER_TOKEN_CLOSE, at, 1);
    case '&':
        return token_of(FILTER_TOKEN_AND, at, twice ? 2 : 1);
    case '|':
        return token_of(FILTER_TOKEN_OR, at, twice ? 2 : 1);
    case '!':
        return token_of(equals ? FILTER_TOKEN_COMPARISON : FILTER_TOKEN_NOT, at, equals ? 2 : 1);
    case '=':
    case '<':
    case '>':
        return token_of(FILTER_TOKEN_COMPARISON, at, equals ? 2 : 1);
    case '"':
    case '\'':
        return read_quoted(text, length, at);
    default:
        return read_word(text, length, at);
    }
}

bool filter_word_is(const char *word, size_t length, const char *known)
{
    return strlen(known) == length && strncasecmp(word, known, length) == 0;
}

bool filter_comparison_find(const char *word, size_t length, enum filter_comparison *ret)
{
    static const struct {
        const char *name;
        enum filter_comparison comparison;
    } known[] = {
        {"=", FILTER_EQUAL},          {"==", FILTER_EQUAL},
        {"eq", FILTER_EQUAL},         {"!=", FILTER_UNEQUAL},
        {"ne", FILTER_UNEQUAL},       {"neq", FILTER_UNEQUAL},
        {"<", FILTER_LESS},           {"lt", FILTER_LESS},
        {">", FILTER_GREATER},        {"gt", FILTER_GREATER},
        {"<=", FILTER_LESS_EQUAL},    {"le", FILTER_LESS_EQUAL},
        {"leq", FILTER_LESS_EQUAL},   {">=", FILTER_GREATER_EQUAL},
        {"ge", FILTER_GREATER_EQUAL}, {"geq", FILTER_GREATER_EQUAL},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (filter_word_is(word, length, known[i].name)) {
            *ret = known[i].comparison;
            return true;
        }
    return false;
}

#define CONNECTED                                                                                  \
    (SOCKET_USUAL_STATES & ~(SOCKET_STATE_BIT(SOCKET_LISTEN) | SOCKET_STATE_BIT(SOCKET_CLOSE)))
#define REQUESTS (SOCKET_STATE_BIT(SOCKET_SYN_RECV) | SOCKET_STATE_BIT(SOCKET_NEW_SYN_RECV))
#define BUCKET (REQUESTS | SOCKET_STATE_BIT(SOCKET_TIME_WAIT))

static const struct {
    const char *name;
    uint32_t states;
} groups[] = {
    {"all", SOCKET_USUAL_STATES},
    {"connected", CONNECTED},
    {"synchronized", CONNECTED & ~SOCKET_STATE_BIT(SOCKET_SYN_SENT)},
    {"bucket", BUCKET},
    {"big", SOCKET_USUAL_STATES & ~BUCKET},
};

bool filter_states_find(const char *word, size_t length, uint32_t *ret_states)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (filter_word_is(word, length, groups[i].name)) {
            *ret_states = groups[i].states;
            return true;
        }
    enum socket_state state;
    if (socket_state_parse(word, length, &state) != 0)
        return false;
    *ret_states = state == SOCKET_SYN_RECV ? REQUESTS : SOCKET_STATE_BIT(state);
    return true;
}

void filter_states_nearest(struct text_nearest *nearest)
{
    static const char *const names[] = {"established", "syn-sent",  "syn-recv",    "fin-wait-1",
                                        "fin-wait-2",  "time-wait", "closed",      "close-wait",
                                        "last-ack",    "listen",    "listening",   "closing",
                                        "bound",       "all",       "connected",   "unconnected",
                                        "bucket",      "big",       "synchronized"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        text_nearest_offer(nearest, names[i], strlen(names[i]));
}
