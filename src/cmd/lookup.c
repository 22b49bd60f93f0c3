/* lookup: what a port number or a service name means. */
#include "base/file.h"
#include "base/text.h"
#include "cmd/command.h"
#include "net/service.h"
#include "net/target.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct lookup_options {
    struct common_options common;
    bool tcp, udp, sctp;
    bool json;
};

#define FIELD(name) offsetof(struct lookup_options, name)

static const struct option options[] = {
    {.names = "--tcp", .help = "look up TCP ports", .kind = OPTION_FLAG, .offset = FIELD(tcp)},
    {.names = "--udp", .help = "look up UDP ports", .kind = OPTION_FLAG, .offset = FIELD(udp)},
    {.names = "--sctp", .help = "look up SCTP ports", .kind = OPTION_FLAG, .offset = FIELD(sctp)},
    {.names = "--json",
     .help = "print JSON Lines, one record of the type \"service\" a line",
     .kind = OPTION_FLAG,
     .offset = FIELD(json)},
    OPTION_END,
};

static const struct command_example examples[] = {
    {"lookup 443", "what port 443 is for"},
    {"lookup https 'pop*' rdp", "which ports these services have"},
    {"lookup 8000-8010 53/udp", "a range, and one port of one protocol"},
    {"lookup --tcp --json -", "the words on standard input, as JSON Lines"},
    {NULL, NULL},
};

struct lookup {
    const struct command *command;
    uint32_t protocols; /* asked for: a bit for each enum protocol */
    struct service *rows;
    size_t count, capacity;
    bool listed[PROTOCOL_COUNT][65536]; /* is among the rows: each port is told once */
    bool missing;                       /* some word found nothing */
};

/* One word, and what was found for it. */
struct query {
    struct lookup *lookup;
    uint32_t protocols;
    size_t found;
};

/* Takes one service, of any protocol, in. Returns 0 or -ENOMEM. */
static int add_service(void *user, const struct service *service)
{
    struct query *query = user;
    struct lookup *lookup = query->lookup;
    struct port port = service->port;
    if (!(query->protocols & 1u << port.protocol))
        return 0;
    query->found++;
    if (lookup->listed[port.protocol][port.number])
        return 0;
    if (lookup->count == lookup->capacity) {
        size_t capacity = lookup->capacity ? lookup->capacity * 2 : 64;
        struct service *rows = reallocarray(lookup->rows, capacity, sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        lookup->rows = rows;
        lookup->capacity = capacity;
    }
    lookup->rows[lookup->count++] = *service;
    lookup->listed[port.protocol][port.number] = true;
    return 0;
}

/* Takes in what is known of the numbers in `ports`, which are TCP's, in each protocol asked for. */
static int add_numbers(struct query *query, const struct port_set *ports)
{
    for (uint32_t index = 0; index < ports->size; index++)
        for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
            struct port port = {protocol, port_set_at(ports, index).number};
            struct service service;
            int r = service_find(port, &service) ? add_service(query, &service) : 0;
            if (r < 0)
                return r;
        }
    return 0;
}

#define PROTOCOL_WORDS_SIZE 32

/* " for tcp and udp" when not every protocol was asked for, else "". */
static const char *protocol_words(uint32_t protocols, char text[static PROTOCOL_WORDS_SIZE])
{
    text[0] = '\0';
    if (protocols == (1u << PROTOCOL_COUNT) - 1)
        return text;
    int length = 0;
    for (enum protocol protocol = 0; protocol < PROTOCOL_COUNT; protocol++)
        if (protocols & 1u << protocol)
            length += snprintf(text + length, PROTOCOL_WORDS_SIZE - (size_t)length, "%s%s",
                               length ? " and " : " for ", protocol_name(protocol));
    return text;
}

static bool is_same(const char *name, const char *word, size_t length)
{
    return strlen(name) == length && strncasecmp(name, word, length) == 0;
}

static void tell_missing(struct query *query, const char *word, size_t length, bool is_name)
{
    const struct command *command = query->lookup->command;
    int shown = length < 60 ? (int)length : 60;
    char protocols[PROTOCOL_WORDS_SIZE];
    char nearest[SERVICE_NAME_SIZE];
    query->lookup->missing = true;
    protocol_words(query->protocols, protocols);
    if (!is_name)
        command_warn(command, "nothing is registered at %.*s%s", shown, word, protocols);
    else if (memchr(word, '*', length) || memchr(word, '?', length))
        command_warn(command, "no service matches '%.*s'%s", shown, word, protocols);
    else if (service_nearest(word, length, nearest) && !is_same(nearest, word, length))
        command_warn(command, "no service is called '%.*s'%s; did you mean '%s'?", shown, word,
                     protocols, nearest);
    else
        command_warn(command, "no service is called '%.*s'%s", shown, word, protocols);
}

/* Takes "/udp" off the end of a word. What follows the slash may also be part of a name ("cl/1"),
 * but not of a number. Returns 0, or -EINVAL with an error. */
static int take_protocol(struct query *query, const char *word, size_t *length, bool is_name,
                         struct error *error)
{
    const char *slash = memrchr(word, '/', *length);
    if (!slash)
        return 0;
    size_t start = (size_t)(slash - word) + 1;
    enum protocol protocol;
    if (protocol_find(word + start, *length - start, &protocol)) {
        query->protocols = 1u << protocol;
        *length = start - 1;
    } else if (!is_name) {
        return error_set_at(error, EINVAL, word, *length, start,
                            "unknown protocol: write tcp, udp or sctp");
    }
    return 0;
}

/* Numbers, ranges and lists of them; every name has a letter in front of any slash. */
static bool word_is_name(const char *word, size_t length)
{
    for (size_t i = 0; i < length && word[i] != '/'; i++)
        if ((word[i] < '0' || word[i] > '9') && word[i] != '-' && word[i] != ',')
            return true;
    return false;
}

/* A target_word_fn. Returns 0 also when the word is unknown, which has been told then. */
static int look_up(void *user, const char *word, size_t length, unsigned line, struct error *error)
{
    (void)line;
    struct lookup *lookup = user;
    struct query query = {.lookup = lookup, .protocols = lookup->protocols};
    bool is_name = word_is_name(word, length);
    int r = take_protocol(&query, word, &length, is_name, error);
    if (r < 0)
        return r;
    if (is_name) {
        r = service_walk(word, length, PROTOCOL_COUNT, add_service, &query);
    } else {
        struct port_set ports = {0};
        r = port_set_parse(word, length, &ports, error);
        if (r < 0)
            return r;
        r = add_numbers(&query, &ports);
        port_set_release(&ports);
    }
    if (r < 0)
        return error_set(error, -r, "out of memory");
    if (!query.found)
        tell_missing(&query, word, length, is_name);
    return 0;
}

static int look_up_standard_input(struct lookup *lookup, struct error *error)
{
    struct buffer text = {0};
    int r = file_read("-", (size_t)64 << 20, &text, error);
    if (r == 0 && text.length)
        r = target_split(text.data, text.length, look_up, lookup, error);
    buffer_release(&text);
    return r;
}

static int look_up_words(struct lookup *lookup, char **words, int count, struct error *error)
{
    int r = 0;
    for (int i = 0; i < count && r == 0; i++) {
        if (strcmp(words[i], "-") == 0)
            r = look_up_standard_input(lookup, error);
        else
            r = look_up(lookup, words[i], strlen(words[i]), 1, error);
    }
    return r;
}

static int port_width(const struct service *service)
{
    return snprintf(NULL, 0, "%u/%s", service->port.number, protocol_name(service->port.protocol));
}

static void print_aliases(const char *aliases)
{
    static const char blanks[] = " \t\r";
    const char *before = "(also ";
    for (aliases += strspn(aliases, blanks); *aliases; aliases += strspn(aliases, blanks)) {
        int length = (int)strcspn(aliases, blanks);
        printf("%s%.*s", before, length, aliases); /* names are printable by contract */
        before = ", ";
        aliases += length;
    }
    putchar(')');
}

/* Description, other names and a foreign source, where there are any. */
static void print_meaning(const struct service *service)
{
    char escaped[1024];
    const char *before = "  ";
    if (text_escape(service->description, strlen(service->description), escaped, sizeof(escaped))) {
        printf("%s%s", before, escaped);
        before = " ";
    }
    if (service->aliases[0]) {
        fputs(before, stdout);
        print_aliases(service->aliases);
        before = " ";
    }
    if (service->source == SERVICE_SYSTEM)
        printf("%s[/etc/services]", before);
}

static void print_table(const struct lookup *lookup)
{
    int wide_port = (int)strlen("PORT");
    int wide_name = (int)strlen("NAME");
    for (size_t i = 0; i < lookup->count; i++) {
        int width = port_width(&lookup->rows[i]);
        int name = (int)strlen(lookup->rows[i].name);
        wide_port = width > wide_port ? width : wide_port;
        wide_name = name > wide_name ? name : wide_name;
    }
    if (lookup->count)
        printf("%-*s  %-*s  %s\n", wide_port, "PORT", wide_name, "NAME", "DESCRIPTION");
    for (size_t i = 0; i < lookup->count; i++) {
        const struct service *service = &lookup->rows[i];
        bool bare = !service->description[0] && !service->aliases[0] &&
                    service->source == SERVICE_REGISTRY; /* no blanks before the line's end */
        printf("%u/%s%*s  %-*s", service->port.number, protocol_name(service->port.protocol),
               wide_port - port_width(service), "", bare ? 0 : wide_name, service->name);
        print_meaning(service);
        putchar('\n');
    }
}

/* Text that is not UTF-8, which JSON can't carry, is escaped. */
static json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    char escaped[1024];
    if (string)
        return string;
    text_escape(text, strlen(text), escaped, sizeof(escaped));
    return json_string(escaped);
}

/* Returns 0 or -ENOMEM. */
static int print_json(const struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++) {
        const struct service *service = &lookup->rows[i];
        json_t *record = json_pack(
            "{s:s, s:i, s:s, s:o, s:o, s:s}", "type", "service", "port", (int)service->port.number,
            "protocol", protocol_name(service->port.protocol), "name", json_text(service->name),
            "description", json_text(service->description), "source",
            service->source == SERVICE_SYSTEM ? "system" : "registry");
        char *line = record ? json_dumps(record, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        json_decref(record);
        if (!line)
            return -ENOMEM;
        puts(line);
        free(line);
    }
    return 0;
}

/* Returns the exit status. */
static int answer(struct lookup *lookup, const struct lookup_options *given, char **words,
                  int count)
{
    struct error error = {0};
    int r = look_up_words(lookup, words, count, &error);
    if (r == 0 && given->json) {
        r = print_json(lookup);
        if (r < 0)
            error_set(&error, -r, "out of memory");
    } else if (r == 0) {
        print_table(lookup);
    }
    if (r == 0)
        return command_finish(lookup->command, lookup->missing ? EXIT_INCOMPLETE : EXIT_DONE);
    command_complain(lookup->command, &error);
    return r == -EINVAL || r == -ERANGE ? EXIT_USAGE : EXIT_TROUBLE;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct lookup_options given = {0};
    int count;
    int status = command_parse(command, argc, argv, &given, &count);
    if (status >= 0)
        return status;
    if (count == 0) {
        command_warn(command, "which port or service? For example: porthole lookup 443");
        return EXIT_USAGE;
    }
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup) {
        command_warn(command, "out of memory");
        return EXIT_TROUBLE;
    }
    lookup->command = command;
    lookup->protocols = (uint32_t)given.tcp << PROTOCOL_TCP | (uint32_t)given.udp << PROTOCOL_UDP |
                        (uint32_t)given.sctp << PROTOCOL_SCTP;
    if (!lookup->protocols)
        lookup->protocols = (1u << PROTOCOL_COUNT) - 1;
    status = answer(lookup, &given, argv, count);
    free(lookup->rows);
    free(lookup);
    return status;
}

const struct command command_lookup = {
    .name = "lookup",
    .summary = "what a port number or a service name means",
    .usage = "[OPTION]… WORD…",
    .description =
        "A WORD is a port (443), a range (8000-8010, 60000-), a list of them, or a service's name "
        "(https), in which \"*\" stands for any characters and \"?\" for any one. A protocol may "
        "follow it (53/udp). \"-\" reads words from standard input, where \"#\" begins a comment.\n"
        "\n"
        "The names are those of IANA's registry. Other names in common use find a port too (rdp), "
        "and "
        "are shown behind the description. Where /etc/services of this machine gives a port "
        "another "
        "name, that name is shown and the line marked. A name says what a port is meant for, not "
        "what "
        "listens on it.\n"
        "\n"
        "The exit status is 0 when every word was found, 1 when one was not, 2 when one makes no "
        "sense, and 3 when the answer could not be written.",
    .options = options,
    .examples = examples,
    .run = run,
};
