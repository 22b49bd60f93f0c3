/* Collecting targets and ports. */
#include "cmd/scan_targets.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "net/reserved.h"
#include "net/resolve.h"
#include "net/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_LIMIT ((size_t)1 << 30)
#define DEFAULT_PORTS 1000
#define WIDE (UINT64_C(1) << 20)

/* What the words of one source are added to, and how. */
struct collector {
    const struct command *command;
    const struct scan_command_options *options;
    struct address_set *set;
    struct address_set *reserved; /* takes what words do not ask for; NULL: they mean all of it */
    struct name_set *names;       /* NULL: of no interest */
    bool exclusion;               /* all addresses of a name are meant, and of both families */
    bool *standard_input_read;    /* by this or another source */
    unsigned unresolved;
    unsigned fault_line; /* of the word that was wrong */
};

static enum address_family wanted_family(const struct collector *collector)
{
    const struct scan_command_options *options = collector->options;
    if (collector->exclusion || options->ipv4 == options->ipv6)
        return ADDRESS_NONE;
    return options->ipv4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
}

static int merge(struct address_set *set, const struct address_set *more, struct error *error)
{
    for (size_t i = 0; i < more->count; i++) {
        int failed = address_set_add(set, &more->ranges[i].first, more->ranges[i].last);
        if (failed)
            return error_set(error, -failed, "no memory for the targets");
    }
    return 0;
}

/* The addresses of a name, and the name for each of them. */
static int merge_named(struct collector *collector, struct address_set *found, const char *name,
                       struct error *error)
{
    int failed = address_set_seal(found);
    for (uint64_t i = 0; !failed && collector->names && i < found->size; i++) {
        struct address address = address_set_at(found, i);
        failed = name_set_add(collector->names, &address, name);
    }
    if (failed)
        return error_set(error, -failed, "no memory for the targets");
    return merge(collector->set, found, error);
}

/* A name without an address is no reason to forget the other targets, but an exclusion that cannot
 * be honoured is. */
static int collect_name(struct collector *collector, const char *name, struct error *error)
{
    bool all = collector->exclusion || collector->options->all_addresses;
    struct address_set found = {0};
    struct error fault;
    int failed = resolve_name(name, wanted_family(collector), all ? RESOLVE_ALL : RESOLVE_FIRST,
                              &found, &fault);
    if (!failed) {
        failed = merge_named(collector, &found, name, error);
    } else if (failed == -ENOMEM || collector->exclusion) {
        if (error)
            *error = fault;
    } else {
        command_complain(collector->command, &fault);
        collector->unresolved++;
        failed = 0;
    }
    address_set_release(&found);
    return failed;
}

static int check_family(const struct collector *collector, const struct address_set *set,
                        const char *word, size_t length, struct error *error)
{
    enum address_family family = wanted_family(collector);
    for (size_t i = 0; family != ADDRESS_NONE && i < set->count; i++)
        if (set->ranges[i].first.family != family)
            return error_set_at(error, EINVAL, word, length, 0, "target '%.*s' is not IPv%d",
                                (int)(length < 64 ? length : 64), word, (int)family);
    return 0;
}

/* A target_word_fn; `line` is 0 for words of the command line. */
static int collect_word(void *user, const char *word, size_t length, unsigned line,
                        struct error *error)
{
    struct collector *collector = user;
    struct address_set parsed = {0};
    struct error fault = {0};
    enum target_kind kind = TARGET_ADDRESSES;
    char name[256];
    int failed = target_parse(word, length, &parsed, &kind, &fault);
    if (!failed && kind == TARGET_ADDRESSES)
        failed = check_family(collector, &parsed, word, length, &fault);
    if (!failed && kind == TARGET_ADDRESSES && collector->reserved) {
        failed = reserved_leave_out(&parsed, collector->reserved);
        if (failed)
            error_set(&fault, -failed, "no memory for the targets");
    }
    if (!failed && kind == TARGET_ADDRESSES) {
        failed = merge(collector->set, &parsed, &fault);
    } else if (!failed) {
        snprintf(name, sizeof(name), "%.*s", (int)length, word);
        failed = collect_name(collector, name, &fault);
    }
    address_set_release(&parsed);
    if (failed) {
        collector->fault_line = line;
        if (error)
            *error = fault;
    }
    return failed;
}

/* Puts the file, and the line unless the message names it itself, before the message. */
static void name_place(struct error *error, const char *path, unsigned line)
{
    struct error fault = *error;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (line)
        snprintf(error->message, sizeof(error->message), "%.120s, line %u: %.230s", name, line,
                 fault.message);
    else
        snprintf(error->message, sizeof(error->message), "%.120s: %.230s", name, fault.message);
}

static int collect_file(struct collector *collector, const char *path, struct error *error)
{
    struct buffer text = {0};
    bool standard = strcmp(path, "-") == 0;
    if (standard && *collector->standard_input_read)
        return error_set(error, EINVAL, "standard input can be read only once");
    *collector->standard_input_read |= standard;
    int failed = file_read(path, FILE_LIMIT, &text, error);
    if (!failed) {
        failed =
            target_split(text.data ? text.data : "", text.length, collect_word, collector, error);
        if (failed)
            name_place(error, path, collector->fault_line);
    }
    buffer_release(&text);
    return failed;
}

/* "--exclude a,b,c": commas separate words, except inside the octets of "10.0.0.1,5", where what
 * follows is no target by itself. */
static int collect_list(struct collector *collector, const char *list, struct error *error)
{
    while (*list) {
        size_t length = strcspn(list, ",");
        while (list[length] == ',') {
            size_t next = strcspn(list + length + 1, ",");
            if (memchr(list + length + 1, '.', next) || memchr(list + length + 1, ':', next) ||
                strspn(list + length + 1, "0123456789-*") < next || next == 0)
                break;
            length += 1 + next;
        }
        if (length == 0)
            return error_set_at(error, EINVAL, list, strlen(list), 0,
                                "a target is missing before the comma");
        int failed = collect_word(collector, list, length, 0, error);
        if (failed)
            return failed;
        if (list[length] == ',' && list[length + 1] == '\0')
            return error_set_at(error, EINVAL, list, length + 1, length + 1,
                                "a target is missing after the comma");
        list += length + (list[length] == ',');
    }
    return 0;
}

static int collect_targets(struct scan_subject *subject, struct address_set *reserved,
                           const struct command *command,
                           const struct scan_command_options *options, char *const *words,
                           int count, bool *standard_input_read, struct error *error)
{
    struct collector collector = {
        .command = command,
        .options = options,
        .set = &subject->targets,
        .reserved = options->include_reserved ? NULL : reserved,
        .names = &subject->names,
        .standard_input_read = standard_input_read,
    };
    int failed = 0;
    for (int i = 0; !failed && i < count; i++)
        failed = strcmp(words[i], "-") == 0
                     ? collect_file(&collector, "-", error)
                     : collect_word(&collector, words[i], strlen(words[i]), 0, error);
    for (size_t i = 0; !failed && i < options->target_files.count; i++)
        failed = collect_file(&collector, options->target_files.items[i], error);
    if (!failed && options->self)
        failed = resolve_self(wanted_family(&collector), &subject->targets, error);
    subject->unresolved = collector.unresolved;
    return failed;
}

static int collect_exclusions(struct address_set *set, const struct command *command,
                              const struct scan_command_options *options, bool *standard_input_read,
                              struct error *error)
{
    struct collector collector = {
        .command = command,
        .options = options,
        .set = set,
        .exclusion = true,
        .standard_input_read = standard_input_read,
    };
    int failed = 0;
    for (size_t i = 0; !failed && i < options->excludes.count; i++)
        failed = collect_list(&collector, options->excludes.items[i], error);
    for (size_t i = 0; !failed && i < options->exclude_files.count; i++)
        failed = collect_file(&collector, options->exclude_files.items[i], error);
    return failed;
}

static int seal(struct address_set *set, struct error *error)
{
    int failed = address_set_seal(set);
    if (failed == -EOVERFLOW)
        return error_set(error, EOVERFLOW, "more than 2^63 addresses: name fewer targets");
    return failed ? error_set(error, -failed, "no memory for the targets") : 0;
}

/* Says what was left out of the targets, unless another word asked for it or it is excluded. */
static int tell_reserved(const struct command *command, struct address_set *reserved,
                         struct address_set *targets, struct address_set *exclusions)
{
    const struct reserved_range *range;
    char size[TEXT_NUMBER_SIZE], first[ADDRESS_TEXT_SIZE];
    int failed = address_set_subtract(reserved, targets);
    if (!failed)
        failed = address_set_subtract(reserved, exclusions);
    if (!failed)
        failed = address_set_seal(reserved);
    if (failed == -EOVERFLOW) /* too many to be counted */
        snprintf(size, sizeof(size), "more than 2^63");
    else if (failed)
        return failed;
    else
        text_grouped(reserved->size, size);
    size_t count = reserved_count(reserved, &range);
    if (count == 0)
        return 0;
    struct address start = reserved_first(range);
    if (count == 1)
        command_warn(command,
                     "%s reserved addresses are left out (%s/%u, %s, %s): --include-reserved keeps "
                     "them",
                     size, address_format(&start, first), range->prefix, range->name,
                     range->document);
    else
        command_warn(command,
                     "%s addresses of %zu reserved ranges are left out: --include-reserved keeps "
                     "them",
                     size, count);
    return 0;
}

static int check_targets(const struct scan_subject *subject, bool any_word, struct error *error)
{
    if (subject->targets.count)
        return 0;
    if (subject->unresolved)
        return error_set(error, EINVAL, "no target is left: no name had an address");
    if (any_word)
        return error_set(error, EINVAL, "no target: what was read names none");
    return error_set(error, EINVAL,
                     "no target: name an address, a network or a host, or use --target-file or "
                     "--self");
}

static int init_targets(struct scan_subject *subject, const struct command *command,
                        const struct scan_command_options *options, char *const *words, int count,
                        struct error *error)
{
    struct address_set exclusions = {0}, reserved = {0};
    bool standard_input_read = false;
    int failed = collect_targets(subject, &reserved, command, options, words, count,
                                 &standard_input_read, error);
    if (!failed)
        failed = collect_exclusions(&exclusions, command, options, &standard_input_read, error);
    if (!failed)
        failed = check_targets(subject, count || options->target_files.count, error);
    if (!failed && exclusions.count) {
        failed = address_set_subtract(&subject->targets, &exclusions);
        if (failed)
            error_set(error, -failed, "no memory for the targets");
    }
    if (!failed)
        failed = seal(&subject->targets, error);
    if (!failed && subject->targets.size == 0)
        failed = error_set(error, EINVAL, "no target is left: all of them are excluded");
    if (!failed && reserved.count) {
        failed = tell_reserved(command, &reserved, &subject->targets, &exclusions);
        if (failed)
            error_set(error, -failed, "no memory for the targets");
    }
    address_set_release(&exclusions);
    address_set_release(&reserved);
    return failed;
}

static int parse_ports(struct port_set *ports, const struct option_list *list, struct error *error)
{
    for (size_t i = 0; i < list->count; i++) {
        int failed = port_set_parse(list->items[i], strlen(list->items[i]), ports, error);
        if (failed)
            return failed;
    }
    return 0;
}

static int init_ports(struct port_set *ports, const struct scan_command_options *options,
                      struct error *error)
{
    struct port_set exclusions = {0};
    uint32_t top = (uint32_t)options->top;
    int failed = parse_ports(ports, &options->ports, error);
    if (!failed && options->ports.count == 0 && top == 0)
        top = DEFAULT_PORTS;
    if (!failed && top && port_set_add_top(ports, top) < 0)
        failed = error_set(error, ENOMEM, "no memory for the ports");
    if (!failed)
        failed = parse_ports(&exclusions, &options->exclude_ports, error);
    if (!failed && port_set_subtract(ports, &exclusions) < 0)
        failed = error_set(error, ENOMEM, "no memory for the ports");
    port_set_release(&exclusions);
    if (!failed && ports->size == 0)
        failed = error_set(error, EINVAL, "no port is left: all of them are excluded");
    return failed;
}

int scan_subject_init(struct scan_subject *subject, const struct command *command,
                      const struct scan_command_options *options, char *const *words, int count,
                      struct error *error)
{
    struct scan_subject made = {0};
    int failed = 0;
    if (options->ipv4 && options->ipv6)
        failed = error_set(error, EINVAL, "-4 and -6 exclude each other: both is the default");
    /* Ports first: names of hosts can take long to resolve, and nothing should before a fault. */
    if (!failed)
        failed = init_ports(&made.ports, options, error);
    bool only_ports = options->list_ports && !options->list && count == 0 &&
                      options->target_files.count == 0 && !options->self;
    if (!failed && !only_ports)
        failed = init_targets(&made, command, options, words, count, error);
    if (failed)
        scan_subject_release(&made);
    else
        *subject = made;
    return failed;
}

/* "19 days"; less than two of them as durations are written. */
static const char *format_long(uint128_t seconds, char text[static TEXT_NUMBER_SIZE])
{
    const unsigned day = 86400, year = 365 * day;
    char number[TEXT_NUMBER_SIZE];
    if (seconds < 2 * day)
        return text_duration((uint64_t)seconds * NANOSECONDS_PER_SECOND, text);
    bool years = seconds >= 2 * (uint128_t)year;
    text_grouped((uint64_t)(seconds / (years ? year : day)), number);
    snprintf(text, TEXT_NUMBER_SIZE, "%.20s %s", number, years ? "years" : "days");
    return text;
}

int scan_subject_check_width(const struct scan_subject *subject,
                             const struct scan_command_options *options, struct error *error)
{
    const unsigned example = 10000; /* packets a second */
    char addresses[TEXT_NUMBER_SIZE], time[TEXT_NUMBER_SIZE];
    if (subject->targets.size <= WIDE || options->rate)
        return 0;
    uint128_t ports = (uint128_t)subject->targets.size * subject->ports.size;
    if (options->shards)
        ports /= options->shards;
    return error_set(error, EINVAL,
                     "%s addresses: say how fast with --rate N, in packets a second (one pass at "
                     "10,000 takes %s)",
                     text_grouped(subject->targets.size, addresses),
                     format_long(ports / example, time));
}

int scan_subject_restore(struct scan_subject *subject, const struct checkpoint_data *data,
                         struct error *error)
{
    const struct scan_command_options options = {0};
    struct scan_subject made = {0};
    struct collector collector = {.options = &options, .set = &made.targets};
    int failed =
        target_split(data->targets, strlen(data->targets), collect_word, &collector, error);
    if (!failed)
        failed = port_set_parse(data->ports, strlen(data->ports), &made.ports, error);
    if (!failed && name_set_parse(&made.names, data->names) < 0)
        failed = error_set(error, EINVAL, "the checkpoint's names are damaged");
    if (!failed)
        failed = seal(&made.targets, error);
    if (failed)
        scan_subject_release(&made);
    else
        *subject = made;
    return failed;
}

void scan_subject_release(struct scan_subject *subject)
{
    address_set_release(&subject->targets);
    port_set_release(&subject->ports);
    name_set_release(&subject->names);
}
