/* The verb `scan`: which ports are open, closed or filtered, and how that is known. */
#include "cmd/scan_interface.h"
#include "cmd/scan_options.h"
#include "cmd/scan_session.h"
#include "cmd/scan_targets.h"
#include "cmd/scan_technique.h"
#include "scan/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct command command_scan;

/* ---- --list and --list-ports ---- */

static void list_targets(const struct address_set *targets)
{
    char text[ADDRESS_TEXT_SIZE];
    for (uint64_t i = 0; i < targets->size && !ferror(stdout); i++) {
        struct address address = address_set_at(targets, i);
        puts(address_format(&address, text));
    }
}

/* Each line is something that -p reads back. */
static void list_ports(const struct port_set *ports)
{
    static const char letters[PROTOCOL_COUNT] = {'T', 'U', 'S'};
    bool only_tcp = ports->ranges[ports->count - 1].protocol == PROTOCOL_TCP;
    for (uint32_t i = 0; i < ports->size && !ferror(stdout); i++) {
        struct port port = port_set_at(ports, i);
        if (only_tcp)
            printf("%u\n", port.number);
        else
            printf("%c:%u\n", letters[port.protocol], port.number);
    }
}

/* ---- running ---- */

static int check_protocols(const struct port_set *ports, struct error *error)
{
    const struct port_range *last = &ports->ranges[ports->count - 1];
    if (last->protocol == PROTOCOL_TCP)
        return 0;
    return error_set(error, EOPNOTSUPP,
                     "only TCP ports can be scanned in this version: leave out %s port %u",
                     protocol_name(last->protocol), last->first);
}

/* What must be right, besides the subject, before anything is sent. */
static int prepare(const struct command *command, struct scan_command_options *options,
                   const struct scan_subject *subject, const struct checkpoint_data *resumed,
                   struct error *error)
{
    int failed = check_protocols(&subject->ports, error);
    if (!failed)
        failed = scan_subject_check_width(subject, options, error);
    if (!failed && options->interface)
        failed = scan_interface_find(options->interface, &options->interface_index, error);
    if (!failed)
        failed = scan_technique_choose(command, options, resumed, error);
    if (!failed)
        failed = scan_link_check(options, &subject->targets, error);
    if (!failed && options->interface)
        scan_interface_compare(command, options, &subject->targets);
    return failed;
}

static int run_subject(const struct command *command, struct scan_command_options *options,
                       const struct scan_subject *subject, const struct checkpoint_data *resumed,
                       const char *const *words, size_t word_count)
{
    struct error error = {0};
    if (scan_command_options_check(options, &error) < 0) {
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    if (options->list || options->list_ports) {
        if (options->output_count) {
            command_warn(command, "--list and --list-ports print plain lines: leave out %s",
                         options->outputs[0].class->name);
            return EXIT_USAGE;
        }
        if (options->list)
            list_targets(&subject->targets);
        if (options->list_ports)
            list_ports(&subject->ports);
        return command_finish(command, subject->unresolved ? EXIT_INCOMPLETE : EXIT_DONE);
    }
    if (prepare(command, options, subject, resumed, &error) == 0)
        return scan_session_run(command, options, subject, resumed, words, word_count);
    command_complain(command, &error);
    return EXIT_USAGE;
}

static int run_new(const struct command *command, struct scan_command_options *options,
                   char *const *operands, int count, const char *const *words, size_t word_count)
{
    struct scan_subject subject = {0};
    struct error error = {0};
    if (scan_subject_init(&subject, command, options, operands, count, &error) < 0) {
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    int status = run_subject(command, options, &subject, NULL, words, word_count);
    scan_subject_release(&subject);
    return status;
}

/* ---- --resume ---- */

/* What a resumed scan asks is settled: only how to show it may be said anew. */
static int check_resume(const struct scan_command_options *options, int count, struct error *error)
{
    const char *extra = count > 0                      ? "targets"
                        : options->target_files.count  ? "--target-file"
                        : options->self                ? "--self"
                        : options->include_reserved    ? "--include-reserved"
                        : options->excludes.count      ? "--exclude"
                        : options->exclude_files.count ? "--exclude-file"
                        : options->ports.count         ? "--ports"
                        : options->exclude_ports.count ? "--exclude-ports"
                        : options->top                 ? "--top"
                        : options->has_seed            ? "--seed"
                        : options->shards              ? "--shard"
                        : options->checkpoint          ? "--checkpoint"
                        : options->list                ? "--list"
                        : options->list_ports          ? "--list-ports"
                                                       : NULL;
    if (!extra)
        return 0;
    return error_set(error, EINVAL, "--resume takes what to scan from its file: leave out %s",
                     extra);
}

/* The words of the first run, then those of this one, which therefore win. Returns as
 * command_parse() does. */
static int parse_resumed(const struct command *command, const struct checkpoint_data *data,
                         int argc, char **argv, struct scan_command_options *options)
{
    int count = 0;
    char **words = calloc(data->word_count + 2, sizeof(*words));
    if (!words)
        return EXIT_TROUBLE;
    words[0] = (char *)command->name;
    memcpy(words + 1, data->words, data->word_count * sizeof(*words));
    int status = command_parse(command, (int)data->word_count + 1, words, options, &count);
    free(words);
    options->earlier_outputs = options->output_count;
    options->technique = NULL; /* the checkpoint knows it, also when the words do not */
    const char *link = options->link;
    options->link = NULL;
    if (status < 0)
        status = command_parse(command, argc, argv, options, &count);
    if (status < 0 && !options->link && scan_technique_fits(options->technique, link))
        options->link = link;
    return status;
}

static int run_resumed(const struct command *command, const struct checkpoint_data *data, int argc,
                       char **argv)
{
    struct scan_command_options options;
    struct scan_subject subject = {0};
    struct error error = {0};
    scan_command_options_init(&options);
    int status = parse_resumed(command, data, argc, argv, &options);
    if (status < 0 && scan_subject_restore(&subject, data, &error) < 0) {
        command_complain(command, &error);
        status = EXIT_USAGE;
    }
    if (status < 0)
        status = run_subject(command, &options, &subject, data, (const char *const *)data->words,
                             data->word_count);
    scan_subject_release(&subject);
    scan_command_options_release(&options);
    return status;
}

static int run_resume(const struct command *command, const struct scan_command_options *options,
                      int count, int argc, char **argv)
{
    struct checkpoint_data data = {0};
    struct error error = {0};
    if (check_resume(options, count, &error) < 0 ||
        checkpoint_load(options->resume, &data, &error) < 0) {
        command_complain(command, &error);
        return EXIT_USAGE;
    }
    int status = run_resumed(command, &data, argc, argv);
    checkpoint_data_release(&data);
    return status;
}

/* ---- the verb ---- */

static int run_scan(const struct command *command, int argc, char **argv)
{
    struct scan_command_options options;
    int count = 0;
    /* Parsing moves the operands to the front; the words as typed are needed afterwards. */
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    if (!words)
        return EXIT_TROUBLE;
    memcpy(words, argv, (size_t)argc * sizeof(*words));
    scan_command_options_init(&options);
    int status = command_parse(command, argc, argv, &options, &count);
    if (status < 0 && options.resume)
        status = run_resume(command, &options, count, argc, words);
    else if (status < 0)
        status = run_new(command, &options, argv, count, (const char *const *)words + 1,
                         (size_t)argc - 1);
    scan_command_options_release(&options);
    free(words);
    return status;
}

static const struct command_example examples[] = {
    {"scan --self", "the 1000 most often open ports of every address of this machine"},
    {"scan -p- 192.0.2.1", "all ports of one host"},
    {"scan -p 22,https,8000-8100 192.0.2.0/24 --exclude 192.0.2.9",
     "some ports of a network, without one of its hosts"},
    {"scan --json -p 443 --target-file hosts.txt | jq .", "records for another program"},
    {"scan -p- 198.51.100.0/24 --checkpoint scan.ckpt -o scan.xml",
     "a long scan that can be resumed"},
    {"scan --resume scan.ckpt", "and how it goes on"},
    {"scan -p 443 --rate 50k --seed 7 --shard 1/2 198.18.0.0/15",
     "one half of a large scan, whose other half another machine makes with --shard 2/2"},
    {NULL, NULL},
};

const struct command command_scan = {
    .name = "scan",
    .summary = "which ports are open, closed or filtered, and how that is known",
    .usage = "[OPTION]… TARGET…\n--resume FILE [OPTION]…",
    .description =
        "A TARGET is an address (192.0.2.1, 2001:db8::1, fe80::1%eth0), a network (192.0.2.0/24), "
        "a range (10.0.0.1-10.0.0.50, 10.0.0.1-50), octets with ranges (10.0-3.1.1-254), a host "
        "name, or '-' for words from standard input. Overlaps are scanned once and exclusions "
        "win.\n"
        "\n"
        "With the right to send raw packets (root, or CAP_NET_RAW) a scan sends SYN probes itself "
        "(-sS) and keeps nothing for those that are under way; without it, or with -sT, it "
        "connects through the kernel's sockets. Both tell the same: a port is open when the target "
        "accepts, closed when it refuses with a RST, and filtered when an ICMP error says so or "
        "when nothing comes back after all tries. Nothing is sent over a connection; it is reset "
        "as soon as it stands. -sA, -sF, -sN, -sX, -sW and -sM ask other questions, "
        "docs/states.md which. What this machine itself could not ask (no route, its own firewall, "
        "out of descriptors) is an error with advice, never a state. Raw probes pass that firewall "
        "by where they leave through an Ethernet device.\n"
        "\n"
        "Raw probes go as fast as the answers show that the path carries them; --rate bounds that "
        "from above and --min-rate from below. More than a million addresses need a --rate. "
        "Reserved addresses (private use, loopback, multicast, documentation and the like) are "
        "scanned when a target lies within their range and left out of a larger one, "
        "such as 0.0.0.0/0, which a line on stderr says.\n"
        "\n"
        "Silent ports are asked again in further passes, until the share of answering ports that "
        "was heard, estimated from what each pass found that the one before it missed, reaches "
        "--recall, or --tries is reached.\n"
        "\n"
        "With -o, a table, XML or greppable document is written to a file ending in .partial that "
        "takes "
        "FILE's place when it is whole; a scan that is killed leaves it behind. JSON Lines and CSV "
        "are "
        "written as they come.\n"
        "\n"
        "While a scan runs, a key press or SIGUSR1 prints the status; Ctrl-C ends it with what is "
        "known. Services are named by port number only, from IANA's registry or /etc/services: "
        "the name is a guess until somebody asks what answers.",
    .operands = "@host",
    .options = scan_options,
    .examples = examples,
    .run = run_scan,
};
