/* Command-line options: reading argv by the tables. */
#include "base/option.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 64  /* of an option as typed, "--exclude-file" and its NUL */
#define SHOWN 80      /* characters of a value that a message repeats */
#define LARGE 1000000 /* numbers that may be so large are written with k, M or G, too */

const char *option_next_name(const char **names, size_t *ret_length)
{
    const char *name = *names + strspn(*names, " ");
    size_t length = strcspn(name, " ");
    *names = name + length;
    *ret_length = length;
    return length > 0 ? name : NULL;
}

bool option_takes_value(const struct option *option)
{
    return option->argument && !option->otherwise && option->kind != OPTION_FLAG &&
           option->kind != OPTION_COUNT;
}

/* "a|b|c" as "one of a, b or c". */
static void list_words(const char *words, char text[static OPTION_BOUNDS_SIZE])
{
    size_t used = (size_t)snprintf(text, OPTION_BOUNDS_SIZE, "one of ");
    for (const char *word = words; word && used < OPTION_BOUNDS_SIZE;) {
        const char *bar = strchr(word, '|');
        int length = (int)(bar ? (size_t)(bar - word) : strlen(word));
        const char *before = word == words ? "" : bar ? ", " : " or ";
        used += (size_t)snprintf(text + used, OPTION_BOUNDS_SIZE - used, "%s%.*s", before, length,
                                 word);
        word = bar ? bar + 1 : NULL;
    }
}

/* A round number is easier to read as the option takes it too: "1G" for 1000000000. */
static void format_number(uint64_t number, char text[static TEXT_NUMBER_SIZE])
{
    static const char suffixes[] = {'\0', 'k', 'M', 'G', '\0'};
    size_t at = 0;
    while (number >= 1000 && number % 1000 == 0 && suffixes[at + 1]) {
        number /= 1000;
        at++;
    }
    snprintf(text, TEXT_NUMBER_SIZE, "%" PRIu64 "%.1s", number, &suffixes[at]);
}

static const char *format_bound(const struct option *option, uint64_t bound,
                                char text[static TEXT_NUMBER_SIZE])
{
    if (option->kind == OPTION_DURATION)
        return text_duration(bound, text);
    if (option->kind == OPTION_SIZE)
        return text_size(bound, text);
    if (option->kind == OPTION_PERCENT)
        snprintf(text, TEXT_NUMBER_SIZE, "%" PRIu64 "%%", bound);
    else
        format_number(bound, text);
    return text;
}

const char *option_bounds(const struct option *option, char text[static OPTION_BOUNDS_SIZE])
{
    char minimum[TEXT_NUMBER_SIZE], maximum[TEXT_NUMBER_SIZE];
    bool measured = option->kind == OPTION_NUMBER || option->kind == OPTION_DURATION ||
                    option->kind == OPTION_SIZE || option->kind == OPTION_PERCENT;
    text[0] = '\0';
    if (measured && option->maximum)
        snprintf(text, OPTION_BOUNDS_SIZE, "from %s to %s",
                 format_bound(option, option->minimum, minimum),
                 format_bound(option, option->maximum, maximum));
    else if (measured && option->minimum)
        snprintf(text, OPTION_BOUNDS_SIZE, "from %s up",
                 format_bound(option, option->minimum, minimum));
    else if (option->kind == OPTION_TEXT && option->words && option->words[0] != '@')
        list_words(option->words, text);
    return text;
}

int option_list_add(struct option_list *list, const char *item)
{
    /* The room is the next power of two, so that it need not be remembered. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t room = list->count ? 2 * list->count : 1;
        const char **items = realloc(list->items, room * sizeof(items[0]));
        if (!items)
            return -ENOMEM;
        list->items = items;
    }
    list->items[list->count++] = item;
    return 0;
}

static bool in_bounds(const struct option *row, double value)
{
    return value >= (double)row->minimum && (!row->maximum || value <= (double)row->maximum);
}

static bool in_whole_bounds(const struct option *row, uint64_t value)
{
    return value >= row->minimum && (!row->maximum || value <= row->maximum);
}

/* A value that is no number, or out of bounds: `fault` has the column when reading it failed. */
static int refuse_value(const struct option *row, const char *name, const char *value,
                        const struct error *fault, struct error *error)
{
    char bounds[OPTION_BOUNDS_SIZE];
    const char *noun = row->kind == OPTION_DURATION  ? "a duration"
                       : row->kind == OPTION_SIZE    ? "a size"
                       : row->kind == OPTION_PERCENT ? "a percentage"
                                                     : "a number";
    const char *hint = fault->code != EINVAL          ? ""
                       : row->kind == OPTION_DURATION ? " (units: ns, us, ms, s, m, h)"
                       : row->kind == OPTION_SIZE     ? " (in bytes, or with K, M, G or T)"
                       : row->kind == OPTION_NUMBER && row->maximum >= LARGE
                           ? " (digits, then k, M, G or nothing)"
                           : "";
    option_bounds(row, bounds);
    return error_set_at(error, EINVAL, value, strlen(value), fault->code ? fault->column : 0,
                        "option '%s' needs %s%s%s, not '%.*s'%s", name, noun, bounds[0] ? " " : "",
                        bounds, SHOWN, value, hint);
}

static int set_whole(const struct option *row, const char *name, const char *value, uint64_t *field,
                     struct error *error)
{
    struct error fault = {0};
    uint64_t number;
    int result = row->kind == OPTION_DURATION ? text_parse_duration(value, &number, &fault)
                 : row->kind == OPTION_SIZE   ? text_parse_size(value, &number, &fault)
                                              : text_parse_number(value, &number, &fault);
    if (result < 0 || !in_whole_bounds(row, number))
        return refuse_value(row, name, value, &fault, error);
    *field = number;
    return 0;
}

static int set_percent(const struct option *row, const char *name, const char *value, double *field,
                       struct error *error)
{
    struct error fault = {0};
    double percent;
    if (text_parse_percent(value, &percent, &fault) < 0 || !in_bounds(row, percent))
        return refuse_value(row, name, value, &fault, error);
    *field = percent;
    return 0;
}

static int set_text(const struct option *row, const char *name, const char *value,
                    const char **field, struct error *error)
{
    struct text_nearest nearest = {.word = value};
    bool known = !row->words || row->words[0] == '@';
    for (const char *word = row->words; word && !known;) {
        size_t length = strcspn(word, "|");
        known = length == strlen(value) && memcmp(word, value, length) == 0;
        text_nearest_offer(&nearest, word, length);
        word = word[length] ? word + length + 1 : NULL;
    }
    if (known) {
        *field = value;
        return 0;
    }
    char bounds[OPTION_BOUNDS_SIZE];
    option_bounds(row, bounds);
    if (nearest.candidate[0])
        return error_set(error, EINVAL, "option '%s' needs %s, not '%.*s'; did you mean '%s'?",
                         name, bounds, SHOWN, value, nearest.candidate);
    return error_set(error, EINVAL, "option '%s' needs %s, not '%.*s'", name, bounds, SHOWN, value);
}

/* Books one option, with its value when it has one. `name` is as typed. */
static int apply(const struct option *row, void *options, const char *name, const char *value,
                 struct error *error)
{
    void *field = (char *)options + row->offset;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_COUNT:
        if (*(unsigned *)field < UINT_MAX)
            ++*(unsigned *)field;
        return 0;
    case OPTION_NUMBER:
    case OPTION_DURATION:
    case OPTION_SIZE:
        return set_whole(row, name, value, field, error);
    case OPTION_PERCENT:
        return set_percent(row, name, value, field, error);
    case OPTION_TEXT:
        return set_text(row, name, value, field, error);
    case OPTION_LIST:
        if (option_list_add(field, value) < 0)
            return error_set(error, ENOMEM, "out of memory at option '%s'", name);
        return 0;
    case OPTION_CALL:
        return row->set(options, name, value, error);
    case OPTION_ABSENT:
        break;
    }
    return error_set(error, EINVAL, "option '%s' is refused: %s", name, row->help);
}

struct reader {
    const struct option *const *tables;
    void *options;
    int argc;
    char **argv;
    int next; /* the first word that is not read yet */
    struct error *error;
};

typedef bool name_fn(void *user, const struct option *row, const char *name, size_t length);

/* Calls `each` with every name of every row, in order, until it returns true. */
static void each_name(const struct option *const *tables, name_fn *each, void *user)
{
    for (; *tables; tables++) {
        for (const struct option *row = *tables; row->names; row++) {
            const char *names = row->names;
            const char *name;
            size_t length;
            while ((name = option_next_name(&names, &length))) {
                if (each(user, row, name, length))
                    return;
            }
        }
    }
}

struct match {
    const char *word;
    size_t length;            /* of the word; of find_prefix the length that matched */
    const struct option *row; /* NULL: none */
};

static bool match_exact(void *user, const struct option *row, const char *name, size_t length)
{
    struct match *match = user;
    if (length != match->length || memcmp(name, match->word, length) != 0)
        return false;
    match->row = row;
    return true;
}

static const struct option *find_exact(const struct reader *reader, const char *name, size_t length)
{
    struct match match = {.word = name, .length = length};
    each_name(reader->tables, match_exact, &match);
    return match.row;
}

static bool match_prefix(void *user, const struct option *row, const char *name, size_t length)
{
    struct match *match = user;
    bool is_word = length > 2 && name[1] != '-';
    if (is_word && length > match->length && row->argument &&
        strncmp(name, match->word, length) == 0) {
        match->row = row;
        match->length = length;
    }
    return false;
}

/* The longest word of several letters after one dash that takes a value and starts `word`: "-oX" of
 * "-oXscan.xml". */
static struct match find_prefix(const struct reader *reader, const char *word)
{
    struct match match = {.word = word};
    each_name(reader->tables, match_prefix, &match);
    return match;
}

static bool offer_name(void *user, const struct option *row, const char *name, size_t length)
{
    if (row->kind != OPTION_ABSENT)
        text_nearest_offer(user, name, length);
    return false;
}

static int refuse_unknown(const struct reader *reader, const char *typed, size_t length)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof(name), "%.*s", (int)(length < NAME_SIZE ? length : NAME_SIZE), typed);
    struct text_nearest nearest = {.word = name};
    if (length < NAME_SIZE)
        each_name(reader->tables, offer_name, &nearest);
    if (nearest.candidate[0])
        return error_set(reader->error, EINVAL, "unknown option '%s'; did you mean '%s'?", name,
                         nearest.candidate);
    return error_set(reader->error, EINVAL, "unknown option '%s'%s; --help lists them", name,
                     length < NAME_SIZE ? "" : " and so on");
}

/* As with getopt, a value that stands apart is the next word, whatever it looks like ("-p -1023");
 * but a long option that exists was hardly meant as one. */
static int take_next_word(struct reader *reader, const struct option *row, const char *name,
                          const char **ret_value)
{
    if (reader->next >= reader->argc)
        return error_set(reader->error, EINVAL, "option '%s' needs a value (%s)", name,
                         row->argument);
    const char *word = reader->argv[reader->next];
    if (strncmp(word, "--", 2) == 0 && word[2] && find_exact(reader, word, strlen(word)))
        return error_set(reader->error, EINVAL,
                         "option '%s' needs a value (%s) but the option '%s' follows", name,
                         row->argument, word);
    reader->next++;
    *ret_value = word;
    return 0;
}

/* `length` bytes at `typed` name an option of `row`; `attached` is its value or NULL. */
static int read_option(struct reader *reader, const struct option *row, const char *typed,
                       size_t length, const char *attached)
{
    char name[NAME_SIZE];
    const char *value = attached ? attached : row->otherwise;
    snprintf(name, sizeof(name), "%.*s", (int)length, typed);
    if (row->kind == OPTION_ABSENT)
        return apply(row, reader->options, name, NULL, reader->error);
    if (!option_takes_value(row) && attached && !row->otherwise)
        return error_set(reader->error, EINVAL, "option '%s' takes no value", name);
    if (option_takes_value(row) && !attached) {
        int result = take_next_word(reader, row, name, &value);
        if (result < 0)
            return result;
    }
    return apply(row, reader->options, name, value, reader->error);
}

static int read_long(struct reader *reader, const char *word)
{
    size_t length = strcspn(word, "=");
    const struct option *row = find_exact(reader, word, length);
    if (!row)
        return refuse_unknown(reader, word, length);
    return read_option(reader, row, word, length, word[length] ? word + length + 1 : NULL);
}

/* "-vnp22": one-letter options, of which only the last may take a value. */
static int read_bundle(struct reader *reader, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const char name[] = {'-', *letter, '\0'};
        const struct option *row = find_exact(reader, name, 2);
        if (!row && letter == word + 1)
            return refuse_unknown(reader, word, strlen(word));
        if (!row)
            return error_set(reader->error, EINVAL,
                             "unknown option '%s' in '%.*s'; --help lists them", name, SHOWN, word);
        bool takes_rest = letter[1] && (option_takes_value(row) || letter[1] == '=');
        int result = read_option(reader, row, name, 2, takes_rest ? letter + 1 : NULL);
        if (result < 0 || option_takes_value(row))
            return result;
    }
    return 0;
}

static int read_short(struct reader *reader, const char *word)
{
    const struct option *row = find_exact(reader, word, strlen(word));
    if (row)
        return read_option(reader, row, word, strlen(word), NULL);
    struct match prefix = find_prefix(reader, word);
    if (prefix.row)
        return read_option(reader, prefix.row, word, prefix.length, word + prefix.length);
    return read_bundle(reader, word);
}

int options_parse(const struct option *const *tables, void *options, int argc, char **argv,
                  int *ret_count, struct error *error)
{
    struct reader reader = {
        .tables = tables,
        .options = options,
        .argc = argc,
        .argv = argv,
        .next = 1,
        .error = error,
    };
    bool only_operands = false;
    int count = 0;
    while (reader.next < argc) {
        char *word = argv[reader.next++];
        int result = 0;
        if (only_operands || word[0] != '-' || !word[1])
            argv[count++] = word;
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else if (word[1] == '-')
            result = read_long(&reader, word);
        else
            result = read_short(&reader, word);
        if (result < 0)
            return result;
    }
    *ret_count = count;
    return 0;
}

void options_release(const struct option *const *tables, void *options)
{
    for (; *tables; tables++) {
        for (const struct option *row = *tables; row->names; row++) {
            if (row->kind != OPTION_LIST)
                continue;
            struct option_list *list = (void *)((char *)options + row->offset);
            free(list->items);
            *list = (struct option_list){0};
        }
    }
}
