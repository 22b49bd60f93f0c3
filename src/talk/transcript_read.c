/* Records read back, by the JSON library: lines may be anything. */
#include "talk/transcript.h"

#include "base/clock.h"
#include "base/text.h"

#include <string.h>
#include <time.h>

#include <jansson.h>

struct line {
    const char *text;
    size_t length;
    json_t *record;
    struct error *error;
};

/* Where the member begins, for the caret; the line's start when it is not there. */
static size_t member_column(const struct line *line, const char *name)
{
    const size_t length = strlen(name);
    for (size_t at = 0; at + length + 2 < line->length; at++) {
        const char *here = line->text + at;
        if (here[0] == '"' && memcmp(here + 1, name, length) == 0 && here[length + 1] == '"' &&
            here[length + 2] == ':')
            return at;
    }
    return 0;
}

static int fault(const struct line *line, const char *name, const char *message)
{
    return error_set_at(line->error, EINVAL, line->text, line->length, member_column(line, name),
                        "%s", message);
}

/* Two decimal digits, or three or four; -1 when they are something else. */
static int digits_value(const char *text, size_t count)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

static bool has_form(const char *text, size_t length, const char *form)
{
    for (size_t i = 0; i < length; i++) {
        if (form[i] == '0' ? (text[i] < '0' || text[i] > '9') : text[i] != form[i])
            return false;
    }
    return true;
}

/* Of the form that clock_format() writes, and no other. False for a day that is none. */
static bool parse_time(const char *text, size_t length, uint64_t *ret_wall)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    if (length != sizeof(form) - 1 || !has_form(text, length, form))
        return false;
    struct tm parts = {.tm_year = digits_value(text, 4) - 1900,
                       .tm_mon = digits_value(text + 5, 2) - 1,
                       .tm_mday = digits_value(text + 8, 2),
                       .tm_hour = digits_value(text + 11, 2),
                       .tm_min = digits_value(text + 14, 2),
                       .tm_sec = digits_value(text + 17, 2)};
    const struct tm asked = parts;
    const time_t seconds = timegm(&parts); /* turns 31 April into 1 May */
    if (parts.tm_mon != asked.tm_mon || parts.tm_mday != asked.tm_mday ||
        parts.tm_hour != asked.tm_hour || parts.tm_min != asked.tm_min ||
        parts.tm_sec != asked.tm_sec)
        return false;
    if (seconds < 0 || (uint64_t)seconds >= UINT64_MAX / NANOSECONDS_PER_SECOND)
        return false;
    *ret_wall = (uint64_t)seconds * NANOSECONDS_PER_SECOND +
                (uint64_t)digits_value(text + 20, 3) * NANOSECONDS_PER_MILLISECOND;
    return true;
}

static int read_time(const struct line *line, uint64_t *ret_wall)
{
    const json_t *value = json_object_get(line->record, "time");
    if (value && (!json_is_string(value) ||
                  !parse_time(json_string_value(value), json_string_length(value), ret_wall)))
        return fault(line, "time", "a time looks like 2026-11-21T02:34:03.000Z");
    return 0;
}

static int read_direction(const struct line *line, enum pair_direction *ret_direction)
{
    const char *value = json_string_value(json_object_get(line->record, "direction"));
    if (value && strcmp(value, "sent") == 0)
        *ret_direction = PAIR_FORTH;
    else if (value && strcmp(value, "received") == 0)
        *ret_direction = PAIR_BACK;
    else
        return fault(line, "direction", "a data record has a direction: sent or received");
    return 0;
}

static int read_number(const struct line *line, uint64_t *ret_number)
{
    const json_t *value = json_object_get(line->record, "connection");
    if (value && json_integer_value(value) < 1) /* 0 also for what is no number */
        return fault(line, "connection", "connections are numbered from 1");
    *ret_number = (uint64_t)json_integer_value(value);
    return 0;
}

/* What the digit stands for, or 64. */
static unsigned base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return (unsigned)(digit - 'A');
    if (digit >= 'a' && digit <= 'z')
        return (unsigned)(digit - 'a') + 26;
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0') + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

/* One group of four digits into at most three bytes. Returns how many, or 0 when it is none; fewer
 * than three only where `last`. Bits that no byte needs must be zero, so that there is one way to
 * write each. */
static size_t decode_group(const char text[static 4], bool last, unsigned char bytes[static 3])
{
    size_t digits = 4;
    uint32_t group = 0;
    while (last && digits > 2 && text[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < 4; i++) {
        unsigned value = i < digits ? base64_value(text[i]) : 0;
        if (value > 63)
            return 0;
        group = group << 6 | value;
    }
    bytes[0] = (unsigned char)(group >> 16);
    bytes[1] = (unsigned char)(group >> 8);
    bytes[2] = (unsigned char)group;
    for (size_t i = digits - 1; i < 3; i++) {
        if (bytes[i])
            return 0;
    }
    return digits - 1;
}

/* False: it is no base64. What was added before is the caller's to take back. */
static bool add_decoded(struct buffer *bytes, const char *text, size_t length)
{
    if (length % 4 != 0)
        return false;
    for (size_t at = 0; at < length; at += 4) {
        unsigned char group[3];
        const size_t count = decode_group(text + at, at + 4 == length, group);
        if (count == 0)
            return false;
        buffer_add(bytes, group, count);
    }
    return true;
}

/* What was said, by one of the two ways to write it. */
static int read_bytes(const struct line *line, struct buffer *bytes)
{
    const json_t *text = json_object_get(line->record, "text");
    const json_t *base64 = json_object_get(line->record, "base64");
    if (!json_is_string(text) == !json_is_string(base64) || (text && base64))
        return fault(line, text ? "text" : "base64", "a data record has either text or base64");
    if (text)
        buffer_add(bytes, json_string_value(text), json_string_length(text));
    else if (!add_decoded(bytes, json_string_value(base64), json_string_length(base64)))
        return fault(line, "base64", "this is not base64 with its padding (RFC 4648)");
    return 0;
}

static int check_length(const struct line *line, size_t length)
{
    const json_t *value = json_object_get(line->record, "length");
    if (value && (!json_is_integer(value) || json_integer_value(value) < 0 ||
                  (uint64_t)json_integer_value(value) != length))
        return fault(line, "length", "the length is not that of what was said");
    return 0;
}

static int read_data(const struct line *line, struct transcript_data *ret_data,
                     struct buffer *bytes)
{
    struct transcript_data data = {0};
    const size_t before = bytes->length;
    int result = read_time(line, &data.wall);
    if (result == 0)
        result = read_number(line, &data.number);
    if (result == 0)
        result = read_direction(line, &data.direction);
    if (result == 0)
        result = read_bytes(line, bytes);
    if (result == 0 && bytes->failed)
        result = error_set(line->error, ENOMEM, "out of memory");
    if (result == 0)
        result = check_length(line, bytes->length - before);
    if (result == 0) {
        *ret_data = data;
    } else if (bytes->length > before) {
        bytes->length = before;
        bytes->data[before] = '\0';
    }
    return result;
}

/* The library's message quotes the line. */
static int not_json(const char *line, size_t length, const json_error_t *wrong, struct error *error)
{
    char message[4 * sizeof(wrong->text) + 1];
    if (json_error_code(wrong) == json_error_out_of_memory)
        return error_set(error, ENOMEM, "out of memory");
    text_escape(wrong->text, strlen(wrong->text), message, sizeof(message));
    return error_set_at(error, EINVAL, line, length, (size_t)wrong->position,
                        "this is not JSON: %s", message);
}

/* Returns 0 with a record to release and its type, -EINVAL, or -ENOMEM. */
static int open_line(struct line *line, const char **ret_type)
{
    json_error_t wrong = {0};
    line->record =
        json_loadb(line->text, line->length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
    if (!line->record)
        return not_json(line->text, line->length, &wrong, line->error);
    const char *type = json_string_value(json_object_get(line->record, "type"));
    if (!type) {
        json_decref(line->record);
        return fault(line, "type", "a record is an object with a type");
    }
    *ret_type = type;
    return 0;
}

int transcript_read(const char *line, size_t length, struct transcript_data *ret_data,
                    struct buffer *bytes, struct error *error)
{
    struct line read = {.text = line, .length = length, .error = error};
    const char *type;
    int result = open_line(&read, &type);
    if (result < 0)
        return result;
    result = strcmp(type, "data") == 0 ? read_data(&read, ret_data, bytes) : 1;
    json_decref(read.record);
    return result;
}

/* Of a "connection" record. Returns as transcript_read_role() does. */
static int read_role(const struct line *line, struct transcript_role *ret_role)
{
    struct transcript_role role = {0};
    const json_t *value = json_object_get(line->record, "role");
    const char *name = json_string_value(value);
    if (!value)
        return 1;
    if (!name || (strcmp(name, "dialled") != 0 && strcmp(name, "accepted") != 0))
        return fault(line, "role", "a connection has a role: dialled or accepted");
    int result = read_number(line, &role.number);
    if (result == 0) {
        role.accepted = strcmp(name, "accepted") == 0;
        *ret_role = role;
    }
    return result;
}

int transcript_read_role(const char *line, size_t length, struct transcript_role *ret_role,
                         struct error *error)
{
    struct line read = {.text = line, .length = length, .error = error};
    const char *type;
    int result = open_line(&read, &type);
    if (result < 0)
        return result;
    result = strcmp(type, "connection") == 0 ? read_role(&read, ret_role) : 1;
    json_decref(read.record);
    return result;
}
