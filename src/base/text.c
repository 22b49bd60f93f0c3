/* Words and numbers: grouping, durations, escaping of hostile bytes, and the edit distance. */
#include "base/text.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

__extension__ typedef unsigned __int128 wide_t;

const char *text_grouped(uint64_t number, char text[static TEXT_NUMBER_SIZE])
{
    char digits[TEXT_NUMBER_SIZE];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    size_t used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

struct unit {
    const char *name;
    uint64_t nanoseconds;
    uint64_t limit; /* in this unit: from here on the next one is used; 0: not used for printing */
};

static const struct unit units[] = {
    {"ns", 1, 1000},
    {"us", NANOSECONDS_PER_MICROSECOND, 1000},
    {"ms", NANOSECONDS_PER_MILLISECOND, 1000},
    {"s", NANOSECONDS_PER_SECOND, 60},
    {"m", 60 * NANOSECONDS_PER_SECOND, 0},
    {"h", 3600 * NANOSECONDS_PER_SECOND, 0},
};

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* Three significant digits in `unit`, without zeros at the end of a fraction. False when rounding
 * reaches the next unit. */
static bool print_rounded(uint64_t nanoseconds, const struct unit *unit,
                          char text[static TEXT_NUMBER_SIZE])
{
    uint64_t whole = nanoseconds / unit->nanoseconds;
    int decimals = whole >= 100 ? 0 : whole >= 10 ? 1 : 2;
    uint64_t scale = decimals == 0 ? 1 : decimals == 1 ? 10 : 100;
    if (whole >= unit->limit)
        return false;
    uint64_t rounded = (nanoseconds * scale + unit->nanoseconds / 2) / unit->nanoseconds;
    if (rounded >= unit->limit * scale)
        return false;
    unsigned digits = (unsigned)rounded;
    unsigned point = (unsigned)scale;
    while (decimals > 0 && digits % 10 == 0) {
        digits /= 10;
        point /= 10;
        decimals--;
    }
    if (decimals == 0)
        snprintf(text, TEXT_NUMBER_SIZE, "%u%s", digits, unit->name);
    else if (decimals == 1)
        snprintf(text, TEXT_NUMBER_SIZE, "%u.%u%s", digits / point, digits % point, unit->name);
    else
        snprintf(text, TEXT_NUMBER_SIZE, "%u.%02u%s", digits / point, digits % point, unit->name);
    return true;
}

/* "4m10s" and "2h05m", or "4m" and "2h" when nothing is left over. */
static void print_pair(uint64_t count, char large, char small, char text[static TEXT_NUMBER_SIZE])
{
    if (count % 60 == 0)
        snprintf(text, TEXT_NUMBER_SIZE, "%" PRIu64 "%c", count / 60, large);
    else
        snprintf(text, TEXT_NUMBER_SIZE, "%" PRIu64 "%c%02u%c", count / 60, large,
                 (unsigned)(count % 60), small);
}

static uint64_t divide_rounded(uint64_t number, uint64_t divisor)
{
    return number / divisor + (number % divisor >= divisor - divisor / 2);
}

const char *text_duration(uint64_t nanoseconds, char text[static TEXT_NUMBER_SIZE])
{
    for (size_t i = 0; i < UNIT_COUNT && units[i].limit; i++) {
        if (print_rounded(nanoseconds, &units[i], text))
            return text;
    }
    uint64_t seconds = divide_rounded(nanoseconds, NANOSECONDS_PER_SECOND);
    if (seconds < 3600)
        print_pair(seconds, 'm', 's', text);
    else
        print_pair(divide_rounded(nanoseconds, 60 * NANOSECONDS_PER_SECOND), 'h', 'm', text);
    return text;
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* Reads digits from text[*position] on, or returns -ERANGE when they do not fit. */
static int read_digits(const char *text, size_t *position, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t at = *position;
    for (; is_digit(text[at]); at++) {
        unsigned digit = (unsigned)(text[at] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        number = number * 10 + digit;
    }
    *position = at;
    *ret_number = number;
    return 0;
}

static int too_large(const char *text, struct error *error)
{
    return error_set_at(error, ERANGE, text, strlen(text), 0, "the number is too large");
}

int text_parse_number(const char *text, uint64_t *ret_number, struct error *error)
{
    static const struct {
        char letter;
        uint64_t factor;
    } suffixes[] = {{'k', 1000}, {'M', 1000000}, {'G', 1000000000}};

    size_t length = strlen(text);
    size_t at = 0;
    uint64_t number;
    if (!is_digit(text[0]))
        return error_set_at(error, EINVAL, text, length, 0, "a number starts with a digit");
    if (read_digits(text, &at, &number) < 0)
        return too_large(text, error);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (text[at] != suffixes[i].letter)
            continue;
        if (number > UINT64_MAX / suffixes[i].factor)
            return too_large(text, error);
        number *= suffixes[i].factor;
        at++;
        break;
    }
    if (text[at])
        return error_set_at(error, EINVAL, text, length, at,
                            "a number is made of digits and may end in k, M or G");
    *ret_number = number;
    return 0;
}

static const char size_letters[] = "KMGT";

int text_parse_size(const char *text, uint64_t *ret_bytes, struct error *error)
{
    size_t length = strlen(text);
    size_t at = 0;
    uint64_t number;
    unsigned shift = 0;
    if (!is_digit(text[0]))
        return error_set_at(error, EINVAL, text, length, 0, "a size starts with a digit");
    if (read_digits(text, &at, &number) < 0)
        return too_large(text, error);
    const char *letter = text[at] ? strchr(size_letters, text[at]) : NULL;
    size_t suffix = at;
    if (letter) {
        shift = 10 * (unsigned)(letter - size_letters + 1);
        suffix += strcmp(text + at + 1, "iB") == 0 ? 3 : 1;
    }
    if (text[suffix])
        return error_set_at(error, EINVAL, text, length, at,
                            "a size is a number of bytes and may end in K, M, G or T");
    if (number > UINT64_MAX >> shift)
        return too_large(text, error);
    *ret_bytes = number << shift;
    return 0;
}

const char *text_size(uint64_t bytes, char text[static TEXT_NUMBER_SIZE])
{
    size_t at = 0;
    while (bytes && bytes % 1024 == 0 && at < sizeof(size_letters) - 1) {
        bytes /= 1024;
        at++;
    }
    int length = snprintf(text, TEXT_NUMBER_SIZE, "%" PRIu64, bytes);
    if (at > 0) {
        text[length] = size_letters[at - 1];
        text[length + 1] = '\0';
    }
    return text;
}

/* A decimal number with an optional fraction, of which 15 digits count. */
struct decimal {
    uint64_t whole;
    uint64_t fraction; /* over `scale` */
    uint64_t scale;    /* a power of ten */
};

static int read_decimal(const char *text, size_t *position, struct decimal *ret_decimal,
                        struct error *error)
{
    struct decimal decimal = {.scale = 1};
    size_t at = *position;
    if (!is_digit(text[at]) && !(text[at] == '.' && is_digit(text[at + 1])))
        return error_set_at(error, EINVAL, text, strlen(text), at, "a number starts with a digit");
    if (read_digits(text, &at, &decimal.whole) < 0)
        return too_large(text, error);
    if (text[at] == '.') {
        at++;
        if (!is_digit(text[at]))
            return error_set_at(error, EINVAL, text, strlen(text), at,
                                "a digit follows the decimal point");
        for (; is_digit(text[at]); at++) {
            if (decimal.scale >= UINT64_C(1000000000000000))
                continue;
            decimal.fraction = decimal.fraction * 10 + (unsigned)(text[at] - '0');
            decimal.scale *= 10;
        }
    }
    *position = at;
    *ret_decimal = decimal;
    return 0;
}

static const struct unit *find_unit(const char *name)
{
    if (!*name)
        name = "s";
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    }
    return NULL;
}

int text_parse_duration(const char *text, uint64_t *ret_nanoseconds, struct error *error)
{
    size_t at = 0;
    struct decimal decimal;
    int result = read_decimal(text, &at, &decimal, error);
    if (result < 0)
        return result;
    const struct unit *unit = find_unit(text + at);
    if (!unit)
        return error_set_at(error, EINVAL, text, strlen(text), at,
                            "the units of a duration are ns, us, ms, s, m and h");
    wide_t nanoseconds = (wide_t)decimal.whole * unit->nanoseconds +
                         (wide_t)decimal.fraction * unit->nanoseconds / decimal.scale;
    if (nanoseconds > UINT64_MAX)
        return error_set_at(error, ERANGE, text, strlen(text), 0,
                            "the longest duration is 584 years");
    *ret_nanoseconds = (uint64_t)nanoseconds;
    return 0;
}

int text_parse_percent(const char *text, double *ret_percent, struct error *error)
{
    size_t at = 0;
    struct decimal decimal;
    int result = read_decimal(text, &at, &decimal, error);
    if (result < 0)
        return result;
    if (text[at] == '%')
        at++;
    if (text[at])
        return error_set_at(error, EINVAL, text, strlen(text), at,
                            "a percentage is a number and may end in %%");
    *ret_percent = (double)decimal.whole + (double)decimal.fraction / (double)decimal.scale;
    return 0;
}

/* How many bytes a UTF-8 character has that starts with this one; 0: none starts so. */
static size_t character_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    if (lead >= 0xf0 && lead < 0xf5)
        return 4;
    return 0;
}

/* Well-formed: as table 3-7 of Unicode 15 has it. */
size_t text_decode(const void *text, size_t length, uint32_t *ret_point)
{
    const unsigned char *bytes = text;
    if (length == 0)
        return 0;
    size_t needed = character_length(bytes[0]);
    if (needed == 0 || needed > length)
        return 0;
    uint32_t point = needed == 1 ? bytes[0] : bytes[0] & (0xffu >> (needed + 1));
    for (size_t i = 1; i < needed; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    bool overlong = (needed == 3 && point < 0x800) || (needed == 4 && point < 0x10000);
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    if (overlong || surrogate || point > 0x10ffff)
        return 0;
    *ret_point = point;
    return needed;
}

/* Would this character change how the text around it is shown, rather than be shown itself? */
static bool is_unprintable(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0)            /* C0, DEL and C1 */
           || point == 0x61c || point == 0x200e || point == 0x200f || /* bidirectional marks, */
           (point >= 0x202a && point <= 0x202e) ||                    /* overrides */
           (point >= 0x2066 && point <= 0x2069) ||                    /* and isolates */
           point == 0x2028 || point == 0x2029;                        /* line separators */
}

size_t text_escape(const void *bytes, size_t length, char *escaped, size_t size)
{
    const unsigned char *from = bytes;
    size_t used = 0;
    if (size == 0)
        return 0;
    for (size_t at = 0; at < length;) {
        char shown[4 * 4 + 1]; /* one character, each byte of it as \xNN at worst */
        uint32_t point;
        size_t taken = text_decode(from + at, length - at, &point);
        size_t width;
        if (taken == 0 || is_unprintable(point)) {
            taken = taken ? taken : 1;
            for (size_t i = 0; i < taken; i++)
                snprintf(shown + 4 * i, 5, "\\x%02x", from[at + i]);
            width = 4 * taken;
        } else if (point == '\\') {
            memcpy(shown, "\\\\", 2);
            width = 2;
        } else {
            memcpy(shown, from + at, taken);
            width = taken;
        }
        if (width >= size - used)
            break;
        memcpy(escaped + used, shown, width);
        used += width;
        at += taken;
    }
    escaped[used] = '\0';
    return used;
}

static char lower(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character | 0x20) : character;
}

/* Without recursion: when what follows a "*" doesn't fit, that "*" takes one byte more. Only the
 * last one can ever have to, so the time is at most the product of the lengths. */
bool text_matches(const char *pattern, size_t pattern_length, const char *text, size_t length)
{
    size_t at = 0, in_text = 0;
    size_t star = SIZE_MAX;
    size_t star_end = 0; /* where in the text what follows the "*" is tried */
    while (in_text < length) {
        if (at < pattern_length && pattern[at] == '*') {
            star = at++;
            star_end = in_text;
        } else if (at < pattern_length &&
                   (pattern[at] == '?' || lower(pattern[at]) == lower(text[in_text]))) {
            at++;
            in_text++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            in_text = ++star_end;
        } else {
            return false;
        }
    }
    while (at < pattern_length && pattern[at] == '*')
        at++;
    return at == pattern_length;
}

#define LONGEST_WORD 63

unsigned text_edits(const char *one, const char *other)
{
    size_t length = strlen(one);
    size_t other_length = strlen(other);
    if (length > LONGEST_WORD || other_length > LONGEST_WORD)
        return UINT_MAX;

    /* rows[i % 3][j]: edits between the first i letters of `one` and the first j of `other`. */
    unsigned rows[3][LONGEST_WORD + 1];
    for (unsigned j = 0; j <= other_length; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= length; i++) {
        const unsigned *before = rows[(i + 1) % 3], *last = rows[(i - 1) % 3];
        unsigned *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= other_length; j++) {
            unsigned replaced = last[j - 1] + (one[i - 1] != other[j - 1]);
            unsigned edited = (last[j] < row[j - 1] ? last[j] : row[j - 1]) + 1;
            row[j] = replaced < edited ? replaced : edited;
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return rows[length % 3][other_length];
}

/* A third of the letters may be wrong. Of one or two letters only the case may be: any other
 * suggestion would be a guess. The start of a longer word counts as one edit. */
static bool is_near(const char *word, const char *candidate, unsigned *ret_edits)
{
    size_t letters = strlen(word + strspn(word, "-"));
    unsigned edits = text_edits(word, candidate);
    if (letters < 3) {
        *ret_edits = edits;
        return letters > 0 && strcasecmp(word, candidate) == 0;
    }
    if (edits > 1 && strncmp(word, candidate, strlen(word)) == 0)
        edits = 1;
    *ret_edits = edits;
    return edits <= (letters + 2) / 3;
}

void text_nearest_offer(struct text_nearest *nearest, const char *candidate, size_t length)
{
    char name[sizeof(nearest->candidate)];
    unsigned edits;
    if (length >= sizeof(name))
        return;
    memcpy(name, candidate, length);
    name[length] = '\0';
    if (!is_near(nearest->word, name, &edits))
        return;
    if (nearest->candidate[0] && nearest->edits <= edits)
        return;
    memcpy(nearest->candidate, name, length + 1);
    nearest->edits = edits;
}
