/* The words that name targets, and the files that hold such words. */
#include "net/target.h"

#include "net/reader.h"

enum {
    OCTETS = 4,
    PATTERN_RANGE_LIMIT = 65536,
    NAME_LENGTH_LIMIT = 253, /* RFC 1123 §2.1 and RFC 1035 §2.3.4, without the root's dot */
    LABEL_LENGTH_LIMIT = 63,
    WORD_LENGTH_LIMIT = 255,
};

/* The IPv4-mapped addresses, ::ffff:0:0/96. */
#define MAPPED_FIRST ((uint128_t)0xffff << 32)
#define MAPPED_LAST (MAPPED_FIRST | UINT32_MAX)

static int out_of_memory(const struct reader *reader)
{
    return error_set(reader->error, ENOMEM, "out of memory");
}

/* Adds [first, last]. A range of IPv4-mapped addresses is added as IPv4: a connection to one of
 * them is an IPv4 connection, and one host must not be scanned under two names. From a range that
 * merely reaches into them they are left out, so that "::/0" means all of IPv6 and nothing of IPv4.
 */
static int add_range(const struct reader *reader, struct address_set *set,
                     const struct address *first, uint128_t last)
{
    if (address_set_reserve(set, 2) != 0)
        return out_of_memory(reader);
    const bool ipv6 = first->family == ADDRESS_IPV6;
    if (!ipv6 || first->value > MAPPED_LAST || last < MAPPED_FIRST) {
        address_set_add(set, first, last);
        return 0;
    }
    struct address start = *first;
    if (start.value >= MAPPED_FIRST && last <= MAPPED_LAST) {
        start = (struct address){.value = (uint32_t)start.value, .family = ADDRESS_IPV4};
        address_set_add(set, &start, (uint32_t)last);
        return 0;
    }
    if (start.value < MAPPED_FIRST)
        address_set_add(set, &start, MAPPED_FIRST - 1);
    start.value = MAPPED_LAST + 1;
    if (last > MAPPED_LAST)
        address_set_add(set, &start, last);
    return 0;
}

/* Reads an end of a range or block. One that was written as IPv6 stays IPv6, so that prefixes and
 * ranges mean what they say; add_range() takes the IPv4 out. */
static int read_end(struct reader *reader, struct address *ret_address)
{
    const bool ipv6 = reader_find(reader, ':') < reader->end;
    int code = address_read(reader, ret_address);
    if (code == 0 && ipv6 && ret_address->family == ADDRESS_IPV4)
        *ret_address =
            (struct address){.value = MAPPED_FIRST | ret_address->value, .family = ADDRESS_IPV6};
    return code;
}

/* Beyond the link-local addresses a zone means nothing, so nothing may reach out of them with one.
 */
static int check_zone(const struct reader *reader, size_t column, const struct address *first,
                      uint128_t last)
{
    if (first->scope == 0 || (address_takes_zone(first->value) && address_takes_zone(last)))
        return 0;
    return READER_FAULT(reader, column,
                        "with a zone, all addresses must be link-local (fe80::/10)");
}

static int read_prefix(struct reader *reader, const struct address *address, unsigned *ret_prefix)
{
    const unsigned bits = address_bits(address);
    const char *family = address->family == ADDRESS_IPV4 ? "IPv4" : "IPv6";
    const size_t start = reader->at;
    unsigned prefix = 0;
    if (start == reader->end)
        return READER_FAULT(reader, start, "the prefix is missing: an %s prefix is 0 to %u", family,
                            bits);
    for (; reader->at < reader->end; reader->at++) {
        const char digit = reader->text[reader->at];
        if (digit == '%')
            return READER_FAULT(reader, reader->at,
                                "the zone stands before the prefix, as in fe80::%%eth0/120");
        if (!reader_is_digit(digit))
            return READER_FAULT(reader, reader->at, "an %s prefix is a number from 0 to %u", family,
                                bits);
        if (prefix <= bits)
            prefix = prefix * 10 + (unsigned)(digit - '0');
    }
    if (prefix > bits)
        return READER_FAULT(reader, start, "an %s prefix is 0 to %u", family, bits);
    if (reader->at - start > 1 && reader->text[start] == '0')
        return READER_FAULT(reader, start, "write the prefix without leading zeros: %u", prefix);
    *ret_prefix = prefix;
    return 0;
}

/* "192.0.2.0/24", "2001:db8::/120", "fe80::%eth0/120"; `slash` is where the prefix begins. */
static int read_block(struct reader *reader, size_t slash, struct address_set *set)
{
    struct reader left = reader_part(reader, reader->at, slash);
    struct reader right = reader_part(reader, slash + 1, reader->end);
    for (size_t at = left.at; at < left.end && left.text[at] != '%'; at++)
        if (memchr("-,*", left.text[at], 3))
            return READER_FAULT(reader, at,
                                "what a prefix follows is one address, not a range or pattern");
    struct address first;
    unsigned prefix = 0;
    int code = read_end(&left, &first);
    if (code == 0)
        code = read_prefix(&right, &first, &prefix);
    if (code != 0)
        return code;
    const uint128_t host =
        prefix == address_bits(&first) ? 0 : address_maximum(first.family) >> prefix;
    const uint128_t last = first.value | host;
    first.value &= ~host;
    code = check_zone(reader, slash + 1, &first, last);
    return code != 0 ? code : add_range(reader, set, &first, last);
}

/* "10.0.0.1-10.0.0.50", "fe80::1%eth0-fe80::9"; `hyphen` is where the second address begins. */
static int read_range(struct reader *reader, size_t hyphen, struct address_set *set)
{
    struct reader left = reader_part(reader, reader->at, hyphen);
    struct reader right = reader_part(reader, hyphen + 1, reader->end);
    struct address first, last;
    int code = read_end(&left, &first);
    if (code != 0)
        return code;
    if (right.at == right.end)
        return READER_FAULT(reader, right.at, "the end of the range is missing after '-'");
    if (reader_find(&right, ':') == right.end && reader_find(&right, '.') == right.end)
        return READER_FAULT(reader, right.at, "the end of this range must be a whole address");
    code = read_end(&right, &last);
    if (code != 0)
        return code;
    if (first.family != last.family)
        return READER_FAULT(reader, hyphen + 1,
                            "the range begins with an %s address, so its end must be one, too",
                            first.family == ADDRESS_IPV4 ? "IPv4" : "IPv6");
    if (last.scope != 0 && last.scope != first.scope)
        return READER_FAULT(reader, hyphen + 1, "both ends of a range must be in the same zone");
    if (last.value < first.value)
        return READER_FAULT(reader, hyphen + 1, "the range ends below its start");
    code = check_zone(reader, hyphen + 1, &first, last.value);
    return code != 0 ? code : add_range(reader, set, &first, last.value);
}

static int read_single(struct reader *reader, struct address_set *set)
{
    struct address address;
    int code = address_read(reader, &address);
    return code != 0 ? code : add_range(reader, set, &address, address.value);
}

/* Where the hyphen of an IPv6 range stands, or the end. An interface may have hyphens in its name,
 * but neither a colon nor a slash (kernel: dev_valid_name()), so the last hyphen before a colon is
 * not in a zone. Where no colon follows any, the range is wrong and its first hyphen is the one
 * meant. */
static size_t find_ipv6_hyphen(const struct reader *reader)
{
    bool colon = false;
    for (size_t at = reader->end; at > reader->at; at--) {
        if (reader->text[at - 1] == '-' && colon)
            return at - 1;
        colon = colon || reader->text[at - 1] == ':';
    }
    const size_t hyphen = reader_find(reader, '-');
    return hyphen < reader_find(reader, '%') ? hyphen : reader->end;
}

/* A word with a colon. */
static int read_ipv6_word(struct reader *reader, struct address_set *set)
{
    const size_t colon = reader_find(reader, ':');
    if (reader->end - colon >= 3 && memcmp(reader->text + colon, "://", 3) == 0)
        return READER_FAULT(reader, colon, "a target is a host, not a URL: give its name alone");
    if (reader_sees(reader, '['))
        return READER_FAULT(reader, reader->at,
                            "an IPv6 address stands without brackets here, and without a port");
    if (reader_count(reader, ':') == 1)
        return READER_FAULT(reader, colon, "a target has no port in it: ports are given apart");
    const size_t slash = reader_find(reader, '/');
    if (slash < reader->end)
        return read_block(reader, slash, set);
    const size_t hyphen = find_ipv6_hyphen(reader);
    if (hyphen < reader->end)
        return read_range(reader, hyphen, set);
    return read_single(reader, set);
}

/* The values that one octet of a pattern may have. */
struct octet_choice {
    uint64_t bits[4];
};

static bool choice_has(const struct octet_choice *choice, unsigned value)
{
    return choice->bits[value / 64] >> value % 64 & 1;
}

static unsigned choice_count(const struct octet_choice *choice)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 4; i++)
        count += (unsigned)__builtin_popcountll(choice->bits[i]);
    return count;
}

static void choice_add(struct octet_choice *choice, unsigned first, unsigned last)
{
    for (unsigned value = first; value <= last; value++)
        choice->bits[value / 64] |= UINT64_C(1) << value % 64;
}

/* The next run of values at or after `from`: false when there is none. */
static bool choice_next_run(const struct octet_choice *choice, unsigned from, unsigned *ret_first,
                            unsigned *ret_last)
{
    while (from <= UINT8_MAX && !choice_has(choice, from))
        from++;
    if (from > UINT8_MAX)
        return false;
    *ret_first = from;
    while (from < UINT8_MAX && choice_has(choice, from + 1))
        from++;
    *ret_last = from;
    return true;
}

/* "7", "3-9" or "*". */
static int read_choice_item(struct reader *reader, struct octet_choice *choice)
{
    if (reader_sees(reader, '*')) {
        reader->at++;
        choice_add(choice, 0, UINT8_MAX);
        return 0;
    }
    uint8_t first, last;
    int code = address_read_octet(reader, &first);
    if (code != 0)
        return code;
    last = first;
    if (reader_sees(reader, '-')) {
        const size_t column = ++reader->at;
        if (column == reader->end || !reader_is_digit(reader->text[column]))
            return READER_FAULT(reader, column, "the end of the range is missing after '-'");
        code = address_read_octet(reader, &last);
        if (code != 0)
            return code;
        if (last < first)
            return READER_FAULT(reader, column, "the range ends below its start");
    }
    choice_add(choice, first, last);
    return 0;
}

/* "1,5,9-12" */
static int read_choice(struct reader *reader, struct octet_choice *choice)
{
    for (;;) {
        int code = read_choice_item(reader, choice);
        if (code != 0 || !reader_sees(reader, ','))
            return code;
        reader->at++;
    }
}

static int read_choices(struct reader *reader, struct octet_choice choices[static OCTETS])
{
    for (unsigned i = 0; i < OCTETS; i++) {
        if (reader->at == reader->end)
            return READER_FAULT(reader, reader->at,
                                "an IPv4 address has four octets, as in 10.0-3.1.*, and this has "
                                "%u",
                                i);
        if (i > 0 && !reader_sees(reader, '.'))
            return READER_FAULT(reader, reader->at,
                                "an octet is a number, a range, '*' or a list such as 1,5,9-12");
        if (i > 0)
            reader->at++;
        int code = read_choice(reader, &choices[i]);
        if (code != 0)
            return code;
    }
    if (reader_sees(reader, '.'))
        return READER_FAULT(reader, reader->at,
                            "an IPv4 address has four octets, and this begins a fifth: separate "
                            "targets with blanks");
    if (reader->at < reader->end)
        return READER_FAULT(reader, reader->at,
                            "an octet is a number, a range, '*' or a list such as 1,5,9-12");
    return 0;
}

/* Adds what choices[at..varying] make of the octets before them, which are `above`. The octets
 * behind `varying` are free, so that each run of its values is one range. */
static void add_choices(struct address_set *set, const struct octet_choice *choices, unsigned at,
                        unsigned varying, uint64_t above)
{
    const unsigned free_bits = 8 * (OCTETS - 1 - varying);
    unsigned first, last;
    for (unsigned from = 0; choice_next_run(&choices[at], from, &first, &last); from = last + 1) {
        if (at == varying) {
            const struct address start = {.value = (above << 8 | first) << free_bits,
                                          .family = ADDRESS_IPV4};
            address_set_add(set, &start, (((above << 8 | last) + 1) << free_bits) - 1);
            continue;
        }
        for (unsigned value = first; value <= last; value++)
            add_choices(set, choices, at + 1, varying, above << 8 | value);
    }
}

/* "10.0-3.1.1-254": each octet a choice of its own. */
static int read_pattern(struct reader *reader, struct address_set *set)
{
    struct octet_choice choices[OCTETS] = {0};
    int code = read_choices(reader, choices);
    if (code != 0)
        return code;
    unsigned varying = OCTETS - 1;
    while (varying > 0 && choice_count(&choices[varying]) == UINT8_MAX + 1)
        varying--;
    uint64_t count = 0;
    unsigned first, last;
    for (unsigned from = 0; choice_next_run(&choices[varying], from, &first, &last);
         from = last + 1)
        count++;
    for (unsigned i = 0; i < varying; i++)
        count *= choice_count(&choices[i]);
    if (count > PATTERN_RANGE_LIMIT)
        return error_set_at(reader->error, E2BIG, reader->text, reader->length, 0,
                            "this pattern falls apart into %llu ranges, more than %d: free its "
                            "last octets with '*' or write CIDR blocks",
                            (unsigned long long)count, PATTERN_RANGE_LIMIT);
    if (address_set_reserve(set, (size_t)count) != 0)
        return out_of_memory(reader);
    add_choices(set, choices, 0, varying, 0);
    return 0;
}

/* Whether the hyphen stands between two addresses, not two octets. */
static bool is_range_hyphen(const struct reader *reader, size_t hyphen)
{
    const struct reader left = reader_part(reader, reader->at, hyphen);
    return hyphen < reader->end && reader_count(&left, '.') == OCTETS - 1 &&
           reader_count(reader, '.') > OCTETS - 1;
}

/* A word of digits, dots and the signs between them. */
static int read_ipv4_word(struct reader *reader, struct address_set *set)
{
    const size_t slash = reader_find(reader, '/');
    if (slash < reader->end)
        return read_block(reader, slash, set);
    const size_t hyphen = reader_find(reader, '-');
    if (is_range_hyphen(reader, hyphen))
        return read_range(reader, hyphen, set);
    if (hyphen < reader->end || reader_count(reader, ',') > 0 || reader_count(reader, '*') > 0)
        return read_pattern(reader, set);
    return read_single(reader, set);
}

static bool is_ipv4_word(const struct reader *reader)
{
    for (size_t at = reader->at; at < reader->end; at++)
        if (!reader_is_digit(reader->text[at]) && !memchr(".,*/-", reader->text[at], 5))
            return false;
    return true;
}

static bool is_letter(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

/* What a character that no host name has was probably meant for. */
static int name_fault(const struct reader *reader, size_t at)
{
    const unsigned char character = (unsigned char)reader->text[at];
    if (character == '/')
        return READER_FAULT(reader, at, "only an address can have a prefix, not a host name");
    if (character == '%')
        return READER_FAULT(reader, at, "only an IPv6 address has a zone");
    if (character >= 0x80)
        return READER_FAULT(reader, at,
                            "write an internationalised host name in its ASCII form (xn--...)");
    return READER_FAULT(reader, at,
                        "a host name is made of letters, digits, hyphens and dots, and an IPv4 "
                        "target of digits and '.-,*/'");
}

/* One label of a host name, [start, end), whose characters are known to be right. */
static int check_label(const struct reader *reader, size_t start, size_t end)
{
    if (start == end)
        return READER_FAULT(reader, start, "a label of the host name is missing here");
    if (reader->text[start] == '-')
        return READER_FAULT(reader, start, "a label of a host name does not begin with '-'");
    if (end - start > LABEL_LENGTH_LIMIT)
        return READER_FAULT(reader, start + LABEL_LENGTH_LIMIT,
                            "a label of a host name has at most %d characters", LABEL_LENGTH_LIMIT);
    if (reader->text[end - 1] == '-')
        return READER_FAULT(reader, end - 1, "a label of a host name does not end with '-'");
    return 0;
}

/* Whether a label is a number as inet_aton() reads it: "127", "0x7f". */
static bool is_number(const char *label, size_t length)
{
    const bool hexadecimal = length >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
    for (size_t i = hexadecimal ? 2 : 0; i < length; i++) {
        const char lower = (char)(label[i] | 0x20);
        if (!reader_is_digit(label[i]) && !(hexadecimal && lower >= 'a' && lower <= 'f'))
            return false;
    }
    return true;
}

/* RFC 1123 §2.1, and the underscores of RFC 2782 that people also give to hosts. */
static int check_name(const struct reader *reader)
{
    size_t end = reader->end;
    for (size_t at = reader->at; at < end; at++) {
        const char character = reader->text[at];
        if (!is_letter(character) && !reader_is_digit(character) && !memchr("-_.", character, 3))
            return name_fault(reader, at);
    }
    if (end - reader->at > 1 && reader->text[end - 1] == '.')
        end--; /* of the root */
    if (end - reader->at > NAME_LENGTH_LIMIT)
        return READER_FAULT(reader, reader->at + NAME_LENGTH_LIMIT,
                            "a host name has at most %d characters", NAME_LENGTH_LIMIT);
    bool numbers = true;
    for (size_t start = reader->at; start <= end;) {
        const struct reader rest = reader_part(reader, start, end);
        const size_t dot = reader_find(&rest, '.');
        int code = check_label(reader, start, dot);
        if (code != 0)
            return code;
        numbers = numbers && is_number(reader->text + start, dot - start);
        start = dot + 1;
    }
    /* System resolvers would take "0x7f.1" for 127.0.0.1, which surprises everyone. */
    if (numbers)
        return READER_FAULT(reader, reader->at,
                            "an IPv4 address is four decimal octets, as in 192.0.2.1");
    return 0;
}

int target_parse(const char *text, size_t length, struct address_set *set,
                 enum target_kind *ret_kind, struct error *error)
{
    struct reader reader = {.text = text, .length = length, .end = length, .error = error};
    enum target_kind kind = TARGET_ADDRESSES;
    int code;
    if (length == 0)
        return READER_FAULT(&reader, 0,
                            "a target is missing: an address, a block, a range or a "
                            "host name");
    if (reader_find(&reader, ':') < length) {
        code = read_ipv6_word(&reader, set);
    } else if (is_ipv4_word(&reader)) {
        code = read_ipv4_word(&reader, set);
    } else {
        kind = TARGET_NAME;
        code = check_name(&reader);
    }
    if (code == 0)
        *ret_kind = kind;
    return code;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

/* A line without its end. */
struct line {
    const char *text;
    size_t length;
    unsigned number;
};

static int check_line(const struct line *line, struct error *error)
{
    for (size_t at = 0; at < line->length; at++) {
        const unsigned char byte = (unsigned char)line->text[at];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return error_set_at(error, EINVAL, line->text, line->length, at,
                                "line %u holds the control byte 0x%02x: a target file is text",
                                line->number, (unsigned)byte);
    }
    return 0;
}

static int split_line(const struct line *line, target_word_fn *word, void *user,
                      struct error *error)
{
    int code = check_line(line, error);
    if (code != 0)
        return code;
    for (size_t at = 0; at < line->length && line->text[at] != '#';) {
        const size_t start = at;
        while (at < line->length && !is_blank(line->text[at]) && line->text[at] != '#')
            at++;
        if (at == start) {
            at++;
            continue;
        }
        if (at - start > WORD_LENGTH_LIMIT)
            return error_set_at(error, EINVAL, line->text, line->length, start,
                                "line %u has a word of %zu bytes: a target has at most %d",
                                line->number, at - start, WORD_LENGTH_LIMIT);
        code = word(user, line->text + start, at - start, line->number, error);
        if (code != 0)
            return code;
    }
    return 0;
}

int target_split(const char *text, size_t length, target_word_fn *word, void *user,
                 struct error *error)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t at = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    for (unsigned number = 1; at < length; number++) {
        const char *newline = memchr(text + at, '\n', length - at);
        const size_t end = newline ? (size_t)(newline - text) : length;
        struct line line = {.text = text + at, .length = end - at, .number = number};
        if (newline && line.length > 0 && text[end - 1] == '\r')
            line.length--;
        int code = split_line(&line, word, user, error);
        if (code != 0)
            return code;
        at = newline ? end + 1 : length;
    }
    return 0;
}
