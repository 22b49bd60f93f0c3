/* Command lines and what the tables make of them. */
#include "base/clock.h"
#include "base/option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A command with an option of every kind, some of them spelled as nmap spells them. */
struct example {
    bool help;
    bool connect;
    bool numeric;
    bool json;
    unsigned verbose;
    uint64_t tries;
    uint64_t rate;
    uint64_t timeout;
    uint64_t memory;
    uint64_t watch;
    double recall;
    const char *ports;
    const char *output;
    const char *xml;
    const char *format;
    struct option_list excluded;
    int timing;
};

static int set_timing(void *options, const char *name, const char *value, struct error *error)
{
    struct example *example = options;
    if (strlen(value) != 1 || value[0] < '0' || value[0] > '5')
        return error_set(error, EINVAL, "option '%s' needs a digit, not '%s'", name, value);
    example->timing = value[0] - '0';
    return 0;
}

#define FIELD(name) .offset = offsetof(struct example, name)

static const struct option example_options[] = {
    {.names = "-p --ports", .argument = "PORTS", .kind = OPTION_TEXT, FIELD(ports)},
    {.names = "-v --verbose", .kind = OPTION_COUNT, FIELD(verbose)},
    {.names = "-n", .kind = OPTION_FLAG, FIELD(numeric)},
    {.names = "-sT", .kind = OPTION_FLAG, FIELD(connect)},
    {.names = "--json", .kind = OPTION_FLAG, FIELD(json)},
    {.names = "--tries",
     .argument = "N",
     .kind = OPTION_NUMBER,
     FIELD(tries),
     .minimum = 1,
     .maximum = 50},
    {.names = "--rate", .argument = "N", .kind = OPTION_NUMBER, FIELD(rate), .minimum = 1},
    {.names = "--timeout",
     .argument = "TIME",
     .kind = OPTION_DURATION,
     FIELD(timeout),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 60 * NANOSECONDS_PER_SECOND},
    {.names = "--memory",
     .argument = "SIZE",
     .kind = OPTION_SIZE,
     FIELD(memory),
     .minimum = 65536,
     .maximum = UINT64_C(1) << 40},
    {.names = "--watch",
     .argument = "TIME",
     .kind = OPTION_DURATION,
     FIELD(watch),
     .minimum = NANOSECONDS_PER_MILLISECOND,
     .maximum = 60 * NANOSECONDS_PER_SECOND,
     .otherwise = "1s"},
    {.names = "--recall", .argument = "%", .kind = OPTION_PERCENT, FIELD(recall), .maximum = 100},
    {.names = "-o --output",
     .argument = "FILE",
     .kind = OPTION_TEXT,
     FIELD(output),
     .words = "@file"},
    {.names = "-oX", .argument = "FILE", .kind = OPTION_TEXT, FIELD(xml), .words = "@file"},
    {.names = "--format",
     .argument = "WORD",
     .kind = OPTION_TEXT,
     FIELD(format),
     .words = "bash|zsh|fish"},
    {.names = "-x --exclude", .argument = "TARGET", .kind = OPTION_LIST, FIELD(excluded)},
    {.names = "-T", .argument = "0-5", .kind = OPTION_CALL, .set = set_timing},
    {.names = "-sS", .kind = OPTION_ABSENT, .help = "use -sT, which needs no root"},
    {.names = "-D", .argument = "DECOYS", .kind = OPTION_ABSENT, .help = "porthole uses no decoys"},
    OPTION_END,
};

static const struct option more_options[] = {
    {.names = "-h --help", .kind = OPTION_FLAG, FIELD(help)},
    OPTION_END,
};

static const struct option *const tables[] = {example_options, more_options, NULL};

#define WORDS_MAXIMUM 15

/* A command line: what it was, what came out. */
struct run {
    char words[256];
    char *argv[WORDS_MAXIMUM + 1];
    int count; /* of operands */
    int result;
    struct example options;
    struct error error;
};

/* Parses the words of `line`, which are separated by blanks. */
static void run(struct run *run, const char *line)
{
    *run = (struct run){.count = -1};
    int argc = 0;
    run->argv[argc++] = run->words + sizeof(run->words) - 1;
    assert_true(strlen(line) < sizeof(run->words) - 1);
    strcpy(run->words, line);
    for (char *word = strtok(run->words, " "); word; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAXIMUM);
        run->argv[argc++] = word;
    }
    run->result = options_parse(tables, &run->options, argc, run->argv, &run->count, &run->error);
    if (run->result < 0)
        options_release(tables, &run->options);
}

static void assert_fault(const char *line, const char *message)
{
    struct run r;
    run(&r, line);
    assert_int_equal(r.result, -EINVAL);
    assert_string_equal(r.error.message, message);
    assert_int_equal(r.count, -1);
}

/* A fault with a caret under the character at `column` of `text`. */
static void assert_fault_at(const char *line, const char *message, const char *text, size_t column)
{
    struct run r;
    run(&r, line);
    assert_int_equal(r.result, -EINVAL);
    assert_string_equal(r.error.message, message);
    assert_string_equal(r.error.text, text);
    assert_int_equal(r.error.column, column);
}

static void assert_ports(const char *line, const char *ports)
{
    struct run r;
    run(&r, line);
    assert_int_equal(r.result, 0);
    assert_non_null(r.options.ports);
    assert_string_equal(r.options.ports, ports);
}

static void test_values_attached_and_apart(void **state)
{
    (void)state;
    assert_ports("-p22", "22");
    assert_ports("-p 22", "22");
    assert_ports("--ports=22", "22");
    assert_ports("--ports 22", "22");
    assert_ports("--ports=", "");
    assert_ports("--ports=a=b", "a=b");
    assert_ports("-p 22 --ports 80", "80"); /* the last one wins */
}

static void test_values_that_may_be_left_out(void **state)
{
    (void)state;
    struct run r;
    run(&r, "--watch 5");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.watch, NANOSECONDS_PER_SECOND);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.argv[0], "5");
    run(&r, "--watch=5 --json");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.watch, 5 * NANOSECONDS_PER_SECOND);
    assert_true(r.options.json);
    assert_int_equal(r.count, 0);
    assert_fault_at("--watch=x",
                    "option '--watch' needs a duration from 1ms to 1m, not 'x' (units: ns, us, "
                    "ms, s, m, h)",
                    "x", 0);
}

static void test_values_that_begin_with_a_dash(void **state)
{
    (void)state;
    assert_ports("-p-", "-");
    assert_ports("-p -", "-");
    assert_ports("-p -1023", "-1023");
    assert_ports("-p-1023", "-1023");
    assert_ports("--ports --", "--");
    assert_ports("--ports=--json", "--json");
    assert_fault("-p --json", "option '-p' needs a value (PORTS) but the option '--json' follows");
    assert_fault("--ports --help",
                 "option '--ports' needs a value (PORTS) but the option '--help' follows");
    assert_fault("host -p", "option '-p' needs a value (PORTS)");
}

static void test_bundles_of_letters(void **state)
{
    (void)state;
    struct run r;
    run(&r, "-vvnp22 -v");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.verbose, 3);
    assert_true(r.options.numeric);
    assert_string_equal(r.options.ports, "22");
    run(&r, "-vp 22");
    assert_string_equal(r.options.ports, "22");
    assert_fault("-vq", "unknown option '-q' in '-vq'; --help lists them");
    assert_fault("-v=3", "option '-v' takes no value");
}

/* nmap's names: a whole word goes before a bundle, and the longest word before a letter. */
static void test_words_after_one_dash(void **state)
{
    (void)state;
    struct run r;
    run(&r, "-sT -oX scan.xml");
    assert_int_equal(r.result, 0);
    assert_true(r.options.connect);
    assert_string_equal(r.options.xml, "scan.xml");
    assert_null(r.options.output);
    run(&r, "-oXscan.xml -oscan.txt");
    assert_string_equal(r.options.xml, "scan.xml");
    assert_string_equal(r.options.output, "scan.txt");
    run(&r, "-oX=a");
    assert_string_equal(r.options.xml, "=a");
    assert_fault("-sTn", "unknown option '-sTn'; did you mean '-sT'?");
}

static void test_operands_keep_their_order(void **state)
{
    (void)state;
    struct run r;
    run(&r, "one -v two - --json -- -p --json --");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.count, 6);
    static const char *const expected[] = {"one", "two", "-", "-p", "--json", "--"};
    for (int i = 0; i < r.count; i++)
        assert_string_equal(r.argv[i], expected[i]);
    assert_true(r.options.json);
    assert_null(r.options.ports);
    run(&r, "");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.count, 0);
}

static void test_measures(void **state)
{
    (void)state;
    struct run r;
    run(&r, "--tries 50 --rate=10k --timeout 1.5s --recall 99.9%");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.tries, 50);
    assert_int_equal(r.options.rate, 10000);
    assert_int_equal(r.options.timeout, 1500 * NANOSECONDS_PER_MILLISECOND);
    assert_float_equal(r.options.recall, 99.9, 1e-5);
}

static void test_sizes(void **state)
{
    (void)state;
    struct run r;
    run(&r, "--memory 512M");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.memory, UINT64_C(512) << 20);
    run(&r, "--memory=65536");
    assert_int_equal(r.options.memory, 65536);
}

static void test_bad_measures(void **state)
{
    (void)state;
    assert_fault_at("--tries 0", "option '--tries' needs a number from 1 to 50, not '0'", "0", 0);
    assert_fault_at("--tries=51", "option '--tries' needs a number from 1 to 50, not '51'", "51",
                    0);
    assert_fault_at("--tries 5x", "option '--tries' needs a number from 1 to 50, not '5x'", "5x",
                    1);
    assert_fault_at("--tries=", "option '--tries' needs a number from 1 to 50, not ''", "", 0);
    assert_fault_at("--rate 0", "option '--rate' needs a number from 1 up, not '0'", "0", 0);
    assert_fault_at("--rate 99999999999999999999",
                    "option '--rate' needs a number from 1 up, not '99999999999999999999'",
                    "99999999999999999999", 0);
    assert_fault_at("--timeout 2m", "option '--timeout' needs a duration from 1ms to 1m, not '2m'",
                    "2m", 0);
    assert_fault_at("--timeout 10sec",
                    "option '--timeout' needs a duration from 1ms to 1m, not '10sec' "
                    "(units: ns, us, ms, s, m, h)",
                    "10sec", 2);
    assert_fault_at("--memory 1K", "option '--memory' needs a size from 64K to 1T, not '1K'", "1K",
                    0);
    assert_fault_at("--memory 512MB",
                    "option '--memory' needs a size from 64K to 1T, not '512MB' "
                    "(in bytes, or with K, M, G or T)",
                    "512MB", 3);
    assert_fault_at("--recall 100.1",
                    "option '--recall' needs a percentage from 0% to 100%, not '100.1'", "100.1",
                    0);
    assert_fault_at("--recall 9O%",
                    "option '--recall' needs a percentage from 0% to 100%, not '9O%'", "9O%", 1);
}

static void test_words_are_checked(void **state)
{
    (void)state;
    struct run r;
    run(&r, "--format zsh");
    assert_string_equal(r.options.format, "zsh");
    assert_fault("--format csh", "option '--format' needs one of bash, zsh or fish, not 'csh'; "
                                 "did you mean 'zsh'?");
    assert_fault("--format powershell",
                 "option '--format' needs one of bash, zsh or fish, not 'powershell'");
    assert_fault("--format=bash|zsh",
                 "option '--format' needs one of bash, zsh or fish, not 'bash|zsh'");
    assert_fault("--format=", "option '--format' needs one of bash, zsh or fish, not ''");
}

static void test_lists_keep_everything(void **state)
{
    (void)state;
    struct run r;
    run(&r, "-x a --exclude=b -xc --exclude d -x e");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.excluded.count, 5);
    for (size_t i = 0; i < 5; i++) {
        const char letter[] = {(char)('a' + (int)i), '\0'};
        assert_string_equal(r.options.excluded.items[i], letter);
    }
    options_release(tables, &r.options);
    assert_null(r.options.excluded.items);
    assert_int_equal(r.options.excluded.count, 0);
}

/* run() releases after the failure: the address sanitizer would tell of a leak. */
static void test_lists_survive_a_failure(void **state)
{
    (void)state;
    assert_fault("-x a -x b --tries", "option '--tries' needs a value (N)");
}

static void test_calls(void **state)
{
    (void)state;
    struct run r;
    run(&r, "-T4");
    assert_int_equal(r.result, 0);
    assert_int_equal(r.options.timing, 4);
    assert_fault("-T 9", "option '-T' needs a digit, not '9'");
}

static void test_absent_options_say_what_to_do(void **state)
{
    (void)state;
    assert_fault("-sS", "option '-sS' is refused: use -sT, which needs no root");
    assert_fault("-D 1,2", "option '-D' is refused: porthole uses no decoys");
    assert_fault("-D1,2", "option '-D' is refused: porthole uses no decoys");
}

static void test_unknown_options(void **state)
{
    (void)state;
    assert_fault("--prots 22", "unknown option '--prots'; did you mean '--ports'?");
    assert_fault("--prots=22", "unknown option '--prots'; did you mean '--ports'?");
    assert_fault("--hlep", "unknown option '--hlep'; did you mean '--help'?");
    assert_fault("--quantum", "unknown option '--quantum'; --help lists them");
    assert_fault("-q", "unknown option '-q'; --help lists them");
    assert_fault("--json=yes", "option '--json' takes no value");
    assert_fault("--=", "unknown option '--'; --help lists them");
    assert_fault("--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 "unknown option '--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
                 " and so on; --help lists them");
}

static void test_names_of_a_row(void **state)
{
    (void)state;
    const char *names = "-p --ports";
    size_t length;
    const char *name = option_next_name(&names, &length);
    assert_memory_equal(name, "-p", 2);
    assert_int_equal(length, 2);
    name = option_next_name(&names, &length);
    assert_string_equal(name, "--ports");
    assert_int_equal(length, 7);
    assert_null(option_next_name(&names, &length));
}

static void test_bounds_in_words(void **state)
{
    (void)state;
    char text[OPTION_BOUNDS_SIZE];
    struct option row = {.kind = OPTION_DURATION, .maximum = 3600 * NANOSECONDS_PER_SECOND};
    assert_string_equal(option_bounds(&row, text), "from 0ns to 1h");
    row = (struct option){.kind = OPTION_TEXT, .words = "a|b"};
    assert_string_equal(option_bounds(&row, text), "one of a or b");
    row = (struct option){.kind = OPTION_TEXT, .words = "@file"};
    assert_string_equal(option_bounds(&row, text), "");
    row = (struct option){.kind = OPTION_NUMBER, .minimum = 1500, .maximum = 1000000000};
    assert_string_equal(option_bounds(&row, text), "from 1500 to 1G");
    row = (struct option){.kind = OPTION_SIZE, .minimum = 65536};
    assert_string_equal(option_bounds(&row, text), "from 64K up");
    row = (struct option){.kind = OPTION_NUMBER};
    assert_string_equal(option_bounds(&row, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_attached_and_apart),
        cmocka_unit_test(test_values_that_may_be_left_out),
        cmocka_unit_test(test_values_that_begin_with_a_dash),
        cmocka_unit_test(test_bundles_of_letters),
        cmocka_unit_test(test_words_after_one_dash),
        cmocka_unit_test(test_operands_keep_their_order),
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bad_measures),
        cmocka_unit_test(test_words_are_checked),
        cmocka_unit_test(test_lists_keep_everything),
        cmocka_unit_test(test_lists_survive_a_failure),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_absent_options_say_what_to_do),
        cmocka_unit_test(test_unknown_options),
        cmocka_unit_test(test_names_of_a_row),
        cmocka_unit_test(test_bounds_in_words),
    };
    return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
