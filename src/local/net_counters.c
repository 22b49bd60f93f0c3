/* Counters of protocols, and multicast groups, read from the texts of /proc/net. */
#include "local/net_counters.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- lines and words ---- */

struct span {
    const char *at, *end;
};

static size_t span_length(const struct span *span)
{
    return (size_t)(span->end - span->at);
}

/* Takes the next line off the text. Returns false at its end. */
static bool take_line(struct span *text, struct span *ret_line)
{
    if (text->at == text->end)
        return false;
    const char *feed = memchr(text->at, '\n', span_length(text));
    *ret_line = (struct span){text->at, feed ? feed : text->end};
    text->at = feed ? feed + 1 : text->end;
    return true;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

static bool take_word(struct span *line, struct span *ret_word)
{
    while (line->at < line->end && is_blank(*line->at))
        line->at++;
    const char *start = line->at;
    while (line->at < line->end && !is_blank(*line->at))
        line->at++;
    *ret_word = (struct span){start, line->at};
    return line->at > start;
}

/* A name of letters, digits and "_"; nothing else is any. */
static bool copy_name(const struct span *word, char name[static NET_COUNTER_SIZE])
{
    const size_t length = span_length(word);
    if (length == 0 || length >= NET_COUNTER_SIZE)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char character = word->at[i];
        if (!((character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
              (character >= '0' && character <= '9') || character == '_'))
            return false;
    }
    memcpy(name, word->at, length);
    name[length] = '\0';
    return true;
}

static bool read_digits(const struct span *word, unsigned base, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (const char *at = word->at; at < word->end; at++) {
        const unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
                               : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a') + 10
                               : *at >= 'A' && *at <= 'F' ? (unsigned)(*at - 'A') + 10
                                                          : base;
        if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *ret_number = number;
    return word->at < word->end;
}

static bool read_value(struct span word, struct net_counter *counter)
{
    counter->negative = word.at < word.end && *word.at == '-';
    word.at += counter->negative;
    return read_digits(&word, 10, &counter->value);
}

static int fault(const char *what, size_t number, struct error *error)
{
    return error_set(error, EBADMSG, "line %zu: this is not %s", number, what);
}

/* ---- counters ---- */

/* Takes "Tcp:" off a line. */
static bool take_section(struct span *line, char section[static NET_COUNTER_SIZE])
{
    struct span word;
    if (!take_word(line, &word) || word.end[-1] != ':')
        return false;
    word.end--;
    return copy_name(&word, section);
}

/* Returns 0, what `each` returned, or -EBADMSG without an error. */
static int read_pair(struct span names, struct span values, net_counter_fn *each, void *user)
{
    struct net_counter counter;
    char section[NET_COUNTER_SIZE];
    if (!take_section(&names, counter.section) || !take_section(&values, section) ||
        strcmp(counter.section, section) != 0)
        return -EBADMSG;
    struct span name, value;
    while (take_word(&names, &name)) {
        if (!take_word(&values, &value) || !copy_name(&name, counter.name) ||
            !read_value(value, &counter))
            return -EBADMSG;
        const int result = each(user, &counter);
        if (result != 0)
            return result;
    }
    return take_word(&values, &value) ? -EBADMSG : 0;
}

int net_counters_read(const char *text, size_t length, net_counter_fn *each, void *user,
                      struct error *error)
{
    struct span rest = {text, text + length}, names, values;
    for (size_t number = 1; take_line(&rest, &names); number += 2) {
        const int result =
            take_line(&rest, &values) ? read_pair(names, values, each, user) : -EBADMSG;
        if (result == -EBADMSG)
            return fault("a pair of lines with counters and their values", number, error);
        if (result != 0)
            return result;
    }
    return 0;
}

static bool split_name6(const struct span *word, struct net_counter *counter)
{
    const char *six = memchr(word->at, '6', span_length(word));
    if (!six)
        return false;
    const struct span section = {word->at, six + 1}, name = {six + 1, word->end};
    return copy_name(&section, counter->section) && copy_name(&name, counter->name);
}

int net_counters_read6(const char *text, size_t length, net_counter_fn *each, void *user,
                       struct error *error)
{
    struct span rest = {text, text + length}, line, name, value;
    for (size_t number = 1; take_line(&rest, &line); number++) {
        struct net_counter counter;
        if (!take_word(&line, &name) || !take_word(&line, &value) ||
            !split_name6(&name, &counter) || !read_value(value, &counter))
            return fault("a counter of IPv6", number, error);
        const int result = each(user, &counter);
        if (result != 0)
            return result;
    }
    return 0;
}

/* ---- groups ---- */

/* `colon`: one follows the name, with or without a blank between, and is in no name. */
static bool take_interface(struct span *line, struct net_group *group, bool colon)
{
    struct span index, name;
    uint64_t number;
    if (!take_word(line, &index) || !read_digits(&index, 10, &number) || !take_word(line, &name))
        return false;
    while (colon && span_length(&name) > 1 && name.end[-1] == ':')
        name.end--;
    if (span_length(&name) >= sizeof(group->interface) || memchr(name.at, '\0', span_length(&name)))
        return false;
    memcpy(group->interface, name.at, span_length(&name));
    group->interface[span_length(&name)] = '\0';
    return true;
}

static bool take_references(struct span *line, struct net_group *group)
{
    struct span word;
    uint64_t number;
    if (!take_word(line, &word) || !read_digits(&word, 10, &number) || number > UINT32_MAX)
        return false;
    group->references = (uint32_t)number;
    return true;
}

/* A line of an interface, or, indented, of a group of that interface. */
static bool read_group(struct span line, struct net_group *group, bool *ret_complete)
{
    struct span word;
    uint64_t number;
    *ret_complete = line.at < line.end && is_blank(*line.at);
    if (!*ret_complete)
        return take_interface(&line, group, true);
    /* The kernel prints the address, in network order, as if it were a number. */
    if (!take_word(&line, &word) || span_length(&word) != 8 || !read_digits(&word, 16, &number))
        return false;
    group->group = (struct address){.family = ADDRESS_IPV4, .value = ntohl((uint32_t)number)};
    return take_references(&line, group) && group->interface[0] != '\0';
}

int net_groups_read(const char *text, size_t length, net_group_fn *each, void *user,
                    struct error *error)
{
    struct span rest = {text, text + length}, line;
    struct net_group group = {0};
    take_line(&rest, &line); /* the names of the columns */
    for (size_t number = 2; take_line(&rest, &line); number++) {
        bool complete;
        if (!read_group(line, &group, &complete))
            return fault("a multicast group", number, error);
        const int result = complete ? each(user, &group) : 0;
        if (result != 0)
            return result;
    }
    return 0;
}

static bool read_group6(struct span line, struct net_group *group)
{
    struct span word;
    if (!take_interface(&line, group, false) || !take_word(&line, &word) ||
        span_length(&word) != 32)
        return false;
    group->group = (struct address){.family = ADDRESS_IPV6};
    for (const char *at = word.at; at < word.end; at += 8) {
        const struct span part = {at, at + 8};
        uint64_t number;
        if (!read_digits(&part, 16, &number))
            return false;
        group->group.value = group->group.value << 32 | number;
    }
    return take_references(&line, group);
}

int net_groups_read6(const char *text, size_t length, net_group_fn *each, void *user,
                     struct error *error)
{
    struct span rest = {text, text + length}, line;
    for (size_t number = 1; take_line(&rest, &line); number++) {
        struct net_group group = {0};
        if (!read_group6(line, &group))
            return fault("a multicast group", number, error);
        const int result = each(user, &group);
        if (result != 0)
            return result;
    }
    return 0;
}
