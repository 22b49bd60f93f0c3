/* Target words and target files: what they mean, and where the complaints point. */
#include "net/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A word, the canonical text of what it names, and how many addresses these are. */
static const struct {
    const char *word;
    const char *canonical;
    uint64_t size;
} words[] = {
    {"192.0.2.1", "192.0.2.1", 1},
    {"0.0.0.0", "0.0.0.0", 1},
    {"192.0.2.0/24", "192.0.2.0/24", 256},
    {"192.0.2.77/24", "192.0.2.0/24", 256}, /* bits below the prefix are ignored */
    {"192.0.2.77/32", "192.0.2.77", 1},
    {"192.0.2.77/0", "0.0.0.0/0", UINT64_C(1) << 32},
    {"10.0.0.1-10.0.0.50", "10.0.0.1-10.0.0.50", 50},
    {"10.0.0.1-10.0.0.1", "10.0.0.1", 1},
    {"10.0.0.250-10.0.1.5", "10.0.0.250-10.0.1.5", 12},
    {"0.0.0.0-255.255.255.255", "0.0.0.0/0", UINT64_C(1) << 32},
    {"10.0.0.1-50", "10.0.0.1-10.0.0.50", 50},
    {"10.0.0.0-255", "10.0.0.0/24", 256},
    {"10.0.0.9-9", "10.0.0.9", 1},
    {"10.0.0.*", "10.0.0.0/24", 256},
    {"10.0.0.1,5,9-12", "10.0.0.1 10.0.0.5 10.0.0.9-10.0.0.12", 6},
    {"10.0.0.5,1,5", "10.0.0.1 10.0.0.5", 2},
    {"10.0.0.1,*", "10.0.0.0/24", 256},
    {"10.0.0-1.*", "10.0.0.0/23", 512},
    {"10.0.0-1.255,0", "10.0.0.0 10.0.0.255-10.0.1.0 10.0.1.255", 4},
    {"1,3.0.0.7", "1.0.0.7 3.0.0.7", 2},
    {"*.*.*.*", "0.0.0.0/0", UINT64_C(1) << 32},
    {"255.*.*.*", "255.0.0.0/8", 1 << 24},
    {"::1", "::1", 1},
    {"2001:db8::/120", "2001:db8::/120", 256},
    {"2001:db8::77/120", "2001:db8::/120", 256},
    {"2001:db8::1/128", "2001:db8::1", 1},
    {"2001:db8::/66", "2001:db8::/66", UINT64_C(1) << 62},
    {"2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff", 255},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", 2},
    {"fe80::1", "fe80::1", 1}, /* without a zone it is for the kernel to complain */
    {"fe80::1%999999", "fe80::1%999999", 1},
    {"fe80::1%999999/120", "fe80::%999999/120", 256},
    {"fe80::1%999999-fe80::9%999999", "fe80::1%999999-fe80::9%999999", 9},
    {"fe80::1%999999-fe80::9", "fe80::1%999999-fe80::9%999999", 9},
    /* What connects over IPv4 is IPv4. */
    {"::ffff:192.0.2.1", "192.0.2.1", 1},
    {"::ffff:192.0.2.0/120", "192.0.2.0/24", 256},
    {"::ffff:0:0/96", "0.0.0.0/0", UINT64_C(1) << 32},
    {"::ffff:10.0.0.1-::ffff:10.0.0.9", "10.0.0.1-10.0.0.9", 9},
    /* A range that merely reaches into those means IPv6 alone. */
    {"::fffe:ffff:fffe-::ffff:0:1", "::fffe:ffff:fffe/127", 2},
    {"::ffff:ffff:fffe-::1:0:0:1", "::1:0:0:0/127", 2},
    {"::fffe:ffff:ffff-::1:0:0:0", "::fffe:ffff:ffff ::1:0:0:0", 2},
    {"::fffe:0:0/95", "::fffe:0:0/96", UINT64_C(1) << 32},
};

static void assert_canonical(struct address_set *set, const char *expected)
{
    struct buffer buffer = {0};
    assert_int_equal(address_set_seal(set), 0);
    address_set_format(set, " ", &buffer);
    assert_string_equal(buffer.data ? buffer.data : "", expected);
    buffer_release(&buffer);
}

static void test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        struct address_set set = {0};
        struct error error = {0};
        enum target_kind kind = TARGET_NAME;
        if (target_parse(words[i].word, strlen(words[i].word), &set, &kind, &error) != 0)
            fail_msg("%s: %s", words[i].word, error.message);
        assert_int_equal(kind, TARGET_ADDRESSES);
        assert_canonical(&set, words[i].canonical);
        assert_int_equal(set.size, words[i].size);
        address_set_release(&set);
    }
}

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-123456789"

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "localhost",
        "a",
        "www.example.com",
        "www.example.com.",
        "xn--bcher-kva.example",
        "3com.com",
        "10.0.0.1a",
        "_ldap._tcp.a.b",
        "a--b",
        "10.0.0.1-web",
        "0xy.0x7g",
        LABEL_63,
        LABEL_63 ".com",
        "0x7f.com",
        LABEL_63 "." LABEL_63 "." LABEL_63 "."
                 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-1234567.",
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        struct address_set set = {0};
        struct error error = {0};
        enum target_kind kind = TARGET_ADDRESSES;
        if (target_parse(names[i], strlen(names[i]), &set, &kind, &error) != 0)
            fail_msg("%s: %s", names[i], error.message);
        assert_int_equal(kind, TARGET_NAME);
        assert_int_equal(set.count, 0);
    }
}

#define NAME_FAULT                                                                                 \
    "a host name is made of letters, digits, hyphens and dots, and an IPv4 target of digits and "  \
    "'.-,*/'"
#define FOUR_OCTETS(count) "an IPv4 address has four octets, as in 192.0.2.1, and this has " #count
#define FOUR_CHOICES(count)                                                                        \
    "an IPv4 address has four octets, as in 10.0-3.1.*, and this has " #count
#define CHOICE "an octet is a number, a range, '*' or a list such as 1,5,9-12"
#define WHOLE_ADDRESS "the end of this range must be a whole address"
#define RANGE_END "the end of the range is missing after '-'"
#define BELOW "the range ends below its start"
#define ONE_ADDRESS "what a prefix follows is one address, not a range or pattern"

static const struct {
    const char *word;
    size_t column;
    const char *message;
} faults[] = {
    {"", 0, "a target is missing: an address, a block, a range or a host name"},
    /* Addresses */
    {"10.0.0.256", 7, "octet 256 is above 255"},
    {"010.0.0.1", 0, "octet 010 could be octal or decimal: write it without leading zeros"},
    {"1.2.3", 5, FOUR_OCTETS(3)},
    {"10.0.0.", 7, FOUR_OCTETS(3)},
    {"1.2.3.4.5", 7, "an IPv4 address has four octets, and this begins a fifth"},
    {"1.2.3.4.", 7, "an IPv4 address has four octets, and this begins a fifth"},
    {"80", 2, FOUR_OCTETS(1)},
    {".", 0, "an octet is a number from 0 to 255"},
    {"2001:db8::g", 10, "an IPv6 address is made of hexadecimal digits and colons"},
    {"fe80::1%nosuch", 8, "no interface is called 'nosuch'"},
    {"fe80::1%no-such", 8, "no interface is called 'no-such'"},
    {"2001:db8::1%lo", 11, "only a link-local address has a zone, as in fe80::1%eth0"},
    /* Blocks */
    {"10.0.0.0/33", 9, "an IPv4 prefix is 0 to 32"},
    {"10.0.0.0/4294967297", 9, "an IPv4 prefix is 0 to 32"},
    {"10.0.0.0/", 9, "the prefix is missing: an IPv4 prefix is 0 to 32"},
    {"10.0.0.0/08", 9, "write the prefix without leading zeros: 8"},
    {"10.0.0.0/00", 9, "write the prefix without leading zeros: 0"},
    {"10.0.0.0/255.0.0.0", 12, "an IPv4 prefix is a number from 0 to 32"},
    {"10.0.0.0/24/8", 11, "an IPv4 prefix is a number from 0 to 32"},
    {"10.0.0.0/-1", 9, "an IPv4 prefix is a number from 0 to 32"},
    {"10.0.0/24", 6, FOUR_OCTETS(3)},
    {"/24", 0, "an address is missing, such as 192.0.2.1 or 2001:db8::1"},
    {"10.0.0.1-9/24", 8, ONE_ADDRESS},
    {"10.0.*.1/24", 5, ONE_ADDRESS},
    {"2001:db8::/129", 11, "an IPv6 prefix is 0 to 128"},
    {"2001:db8::/", 11, "the prefix is missing: an IPv6 prefix is 0 to 128"},
    {"2001:db8::/6x", 12, "an IPv6 prefix is a number from 0 to 128"},
    {"::ffff:192.0.2.0/129", 17, "an IPv6 prefix is 0 to 128"},
    {"fe80::/120%999999", 10, "the zone stands before the prefix, as in fe80::%eth0/120"},
    {"fe80::%999999/9", 14, "with a zone, all addresses must be link-local (fe80::/10)"},
    {"fe80::%no-such/120", 7, "no interface is called 'no-such'"},
    {"2001:db8::1-2001:db8::2/64", 11, ONE_ADDRESS},
    /* Ranges */
    {"10.0.0.9-3", 9, BELOW},
    {"10.0.0.1-", 9, RANGE_END},
    {"10.0.0.1-256", 9, "octet 256 is above 255"},
    {"10.0.0.1-10.0.0.0", 9, BELOW},
    {"10.0.0.1-10.0.0", 15, FOUR_OCTETS(3)},
    {"10.0.0.1-10.0.0.256", 16, "octet 256 is above 255"},
    {"10.0.0.1-10.0.0.5-9", 17, "an IPv4 address ends after its fourth octet"},
    {"10.0.*.1-10.0.0.9", 5, "an octet is a number from 0 to 255"},
    {"10.0.0.1-2001:db8::1", 9,
     "the range begins with an IPv4 address, so its end must be one, too"},
    {"2001:db8::1-10.0.0.1", 12,
     "the range begins with an IPv6 address, so its end must be one, too"},
    {"::ffff:10.0.0.1-10.0.0.9", 16,
     "the range begins with an IPv6 address, so its end must be one, too"},
    {"2001:db8::1-", 12, RANGE_END},
    {"2001:db8::1-ff", 12, WHOLE_ADDRESS},
    {"2001:db8::2-2001:db8::1", 12, BELOW},
    {"2001:db8::1-2001:db8::g", 22, "an IPv6 address is made of hexadecimal digits and colons"},
    {"::1-::2-::3", 3, "an IPv6 address is made of hexadecimal digits and colons"},
    {"fe80::1%999998-fe80::2%999999", 15, "both ends of a range must be in the same zone"},
    {"fe80::1-fe80::2%999999", 8, "both ends of a range must be in the same zone"},
    {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff%999999-fec0::1", 47,
     "with a zone, all addresses must be link-local (fe80::/10)"},
    /* Patterns */
    {"*", 1, FOUR_CHOICES(1)},
    {"10.0.*", 6, FOUR_CHOICES(3)},
    {"10.0.*.", 7, "an octet is a number from 0 to 255"},
    {"-", 0, "an octet is a number from 0 to 255"},
    {"10.0-.1.1", 5, RANGE_END},
    {"10.9-3.1.1", 5, BELOW},
    {"10.-3.1.1", 3, "an octet is a number from 0 to 255"},
    {"10.0-3.1.1,", 11, "an octet is a number from 0 to 255"},
    {"10.0-300.1.1", 5, "octet 300 is above 255"},
    {"10.0-3.1.01", 9, "octet 01 could be octal or decimal: write it without leading zeros"},
    {"10.0-3*.1.1", 6, CHOICE},
    {"10.0.0.1*", 8, CHOICE},
    {"10.0.0.1-3-5", 10, CHOICE},
    {"10.0.0.1,10.0.0.2", 11,
     "an IPv4 address has four octets, and this begins a fifth: separate targets with blanks"},
    {"10.0.0.1,10.0.0.5-9", 11,
     "an IPv4 address has four octets, and this begins a fifth: separate targets with blanks"},
    /* Names, and what is none */
    {"www.exa mple.com", 7, NAME_FAULT},
    {"www.exam*le.com", 8, NAME_FAULT},
    {"www.example.com/24", 15, "only an address can have a prefix, not a host name"},
    {"www.example.com:80", 15, "a target has no port in it: ports are given apart"},
    {"192.0.2.1:80", 9, "a target has no port in it: ports are given apart"},
    {"http://www.example.com/", 4, "a target is a host, not a URL: give its name alone"},
    {"http://[::1]/", 4, "a target is a host, not a URL: give its name alone"},
    {"[::1]:80", 0, "an IPv6 address stands without brackets here, and without a port"},
    {"192.0.2.1%lo", 9, "only an IPv6 address has a zone"},
    {"b\xc3\xbc"
     "cher.example",
     1, "write an internationalised host name in its ASCII form (xn--...)"},
    {"-p", 0, "a label of a host name does not begin with '-'"},
    {"www.-a.com", 4, "a label of a host name does not begin with '-'"},
    {"www.a-.com", 5, "a label of a host name does not end with '-'"},
    {"www..com", 4, "a label of the host name is missing here"},
    {"www.com..", 8, "a label of the host name is missing here"},
    {".com", 0, "a label of the host name is missing here"},
    {"www." LABEL_63 "0.com", 67, "a label of a host name has at most 63 characters"},
    {"0x7f.1", 0, "an IPv4 address is four decimal octets, as in 192.0.2.1"},
    {"0X7F000001", 0, "an IPv4 address is four decimal octets, as in 192.0.2.1"},
    {"10.0.0.0x1.", 0, "an IPv4 address is four decimal octets, as in 192.0.2.1"},
};

static void test_faults(void **state)
{
    (void)state;
    const struct address other = {.value = 7, .family = ADDRESS_IPV4};
    struct address_set set = {0};
    assert_int_equal(address_set_add(&set, &other, 7), 0);
    assert_int_equal(address_set_seal(&set), 0);
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct error error = {0};
        const char *word = faults[i].word;
        enum target_kind kind = (enum target_kind)9;
        assert_int_equal(target_parse(word, strlen(word), &set, &kind, &error), -EINVAL);
        assert_string_equal(error.message, faults[i].message);
        assert_int_equal(error.column, faults[i].column);
        assert_int_equal(error.code, EINVAL);
        assert_int_equal(kind, 9);
        assert_true(set.sealed && set.size == 1);
        assert_int_equal(target_parse(word, strlen(word), &set, &kind, NULL), -EINVAL);
    }
    address_set_release(&set);
}

static void test_long_name(void **state)
{
    (void)state;
    char name[512];
    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = i % 8 == 7 ? '.' : 'a';
    struct address_set set = {0};
    struct error error = {0};
    enum target_kind kind;
    assert_int_equal(target_parse(name, 253, &set, &kind, &error), 0);
    assert_int_equal(target_parse(name, 255, &set, &kind, &error), -EINVAL);
    assert_string_equal(error.message, "a host name has at most 253 characters");
    assert_int_equal(target_parse(name, sizeof(name), &set, &kind, &error), -EINVAL);
}

static void test_nul_in_name(void **state)
{
    (void)state;
    struct address_set set = {0};
    struct error error = {0};
    enum target_kind kind;
    assert_int_equal(target_parse("local\0host", 10, &set, &kind, &error), -EINVAL);
    assert_int_equal(error.column, 5);
    assert_int_equal(target_parse("10.0.0.\0", 8, &set, &kind, &error), -EINVAL);
    assert_int_equal(error.column, 7);
}

static void test_pattern_limit(void **state)
{
    (void)state;
    struct address_set set = {0};
    struct error error = {0};
    enum target_kind kind;
    const char *largest = "*.*.7.*";
    assert_int_equal(target_parse(largest, strlen(largest), &set, &kind, &error), 0);
    assert_int_equal(address_set_seal(&set), 0);
    assert_int_equal(set.count, 65536);
    assert_int_equal(set.size, 65536 * 256);
    const char *too_large = "*.*.7.1,3";
    assert_int_equal(target_parse(too_large, strlen(too_large), &set, &kind, &error), -E2BIG);
    assert_string_equal(error.message,
                        "this pattern falls apart into 131072 ranges, more than 65536: free its "
                        "last octets with '*' or write CIDR blocks");
    assert_int_equal(error.column, 0);
    assert_int_equal(set.count, 65536);
    address_set_release(&set);
}

/* Any choice of octets names exactly the addresses whose octets are chosen. */
static void test_pattern_members(void **state)
{
    (void)state;
    struct address_set set = {0};
    enum target_kind kind;
    const char *pattern = "10.0-3.1,7.1-254";
    assert_int_equal(target_parse(pattern, strlen(pattern), &set, &kind, NULL), 0);
    assert_int_equal(address_set_seal(&set), 0);
    assert_int_equal(set.size, 4 * 2 * 254);
    for (uint32_t low = 0; low < 1 << 20; low++) {
        const struct address address = {.value = UINT32_C(10) << 24 | low, .family = ADDRESS_IPV4};
        const uint32_t two = low >> 16, three = low >> 8 & 0xff, four = low & 0xff;
        uint64_t index;
        assert_int_equal(address_set_find(&set, &address, &index),
                         two <= 3 && (three == 1 || three == 7) && four >= 1 && four <= 254);
    }
    address_set_release(&set);
}

struct split {
    char text[4096]; /* "LINE:WORD " for each word */
    size_t used;
    unsigned stop_after; /* words; 0: never */
    unsigned count;
};

static int note_word(void *user, const char *word, size_t length, unsigned line,
                     struct error *error)
{
    struct split *split = user;
    split->used += (size_t)snprintf(split->text + split->used, sizeof(split->text) - split->used,
                                    "%u:%.*s ", line, (int)length, word);
    if (++split->count == split->stop_after)
        return error_set(error, ECANCELED, "enough");
    return 0;
}

static void test_split(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"", ""},
        {"\n\n", ""},
        {"10.0.0.1", "1:10.0.0.1 "},
        {"10.0.0.1\n", "1:10.0.0.1 "},
        {"10.0.0.1 ::1\t10.0.0.1,5,9-12\n", "1:10.0.0.1 1:::1 1:10.0.0.1,5,9-12 "},
        {"# all\n\n  a # b c\r\n\r\nd#e\n", "3:a 5:d "},
        {"a\r\nb\r\n", "1:a 2:b "},
        {"\xef\xbb\xbf"
         "a\nb",
         "1:a 2:b "},
        {"# gr\xc3\xbc\xc3\x9f\nb", "2:b "},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        struct split split = {0};
        assert_int_equal(target_split(files[i][0], strlen(files[i][0]), note_word, &split, NULL),
                         0);
        assert_string_equal(split.text, files[i][1]);
    }
    struct split split = {0};
    assert_int_equal(target_split(NULL, 0, note_word, &split, NULL), 0);
}

static void test_split_stops(void **state)
{
    (void)state;
    struct split split = {.stop_after = 2};
    struct error error = {0};
    assert_int_equal(target_split("a b c", 5, note_word, &split, &error), -ECANCELED);
    assert_string_equal(split.text, "1:a 1:b ");
    assert_string_equal(error.message, "enough");
}

static void test_split_faults(void **state)
{
    (void)state;
    struct split split = {0};
    struct error error = {0};
    assert_int_equal(target_split("a\nb \0c\n", 7, note_word, &split, &error), -EINVAL);
    assert_string_equal(error.message, "line 2 holds the control byte 0x00: a target file is text");
    assert_int_equal(error.column, 2);
    assert_string_equal(split.text, "1:a ");

    assert_int_equal(target_split("# \x1b[31m", 7, note_word, &split, &error), -EINVAL);
    assert_string_equal(error.message, "line 1 holds the control byte 0x1b: a target file is text");
    assert_int_equal(target_split("a\rb", 3, note_word, &split, &error), -EINVAL);
    assert_string_equal(error.message, "line 1 holds the control byte 0x0d: a target file is text");

    char line[300];
    memset(line, 'a', sizeof(line));
    line[0] = '\n';
    line[1] = ' ';
    split = (struct split){0};
    assert_int_equal(target_split(line, 2 + 255, note_word, &split, &error), 0);
    assert_int_equal(split.count, 1);
    assert_int_equal(target_split(line, 2 + 256, note_word, &split, &error), -EINVAL);
    assert_string_equal(error.message, "line 2 has a word of 256 bytes: a target has at most 255");
    assert_int_equal(error.column, 1);
}

static int parse_word(void *user, const char *word, size_t length, unsigned line,
                      struct error *error)
{
    (void)line;
    enum target_kind kind;
    return target_parse(word, length, user, &kind, error);
}

/* Every beginning of every word, placed so that the byte after it cannot be read. */
static void test_reads_no_further(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    struct address_set set = {0};
    for (size_t i = 0; i < COUNT(words) + COUNT(faults); i++) {
        const char *word = i < COUNT(words) ? words[i].word : faults[i - COUNT(words)].word;
        for (size_t length = 0; length <= strlen(word); length++) {
            char *copy = pages + page - length;
            memcpy(copy, word, length);
            enum target_kind kind;
            struct error error = {0};
            const int code = target_parse(copy, length, &set, &kind, &error);
            assert_true(code == 0 || (error.code == -code && error.column <= length));
            assert_true(target_split(copy, length, parse_word, &set, &error) <= 0);
        }
    }
    static const char file[] = "\xef\xbb\xbf"
                               "a #b\r\n\t::1/128\r\n";
    for (size_t length = 0; length < sizeof(file); length++) {
        char *copy = pages + page - length;
        memcpy(copy, file, length);
        assert_true(target_split(copy, length, parse_word, &set, NULL) <= 0);
    }
    address_set_release(&set);
    munmap(pages, 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_nul_in_name),
        cmocka_unit_test(test_pattern_limit),
        cmocka_unit_test(test_pattern_members),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_stops),
        cmocka_unit_test(test_split_faults),
        cmocka_unit_test(test_reads_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
