/* Fields that more than one format prints. */
#include "sink/field.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/service.h"
#include "scan/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *field_service(struct port port, char text[static FIELD_SERVICE_SIZE])
{
    struct service service;
    text[0] = '\0';
    if (service_find(port, &service))
        text_escape(service.name, strlen(service.name), text, FIELD_SERVICE_SIZE);
    return text;
}

const char *field_host(const struct name_set *names, const struct address *address,
                       char text[static FIELD_HOST_SIZE])
{
    char numeric[ADDRESS_TEXT_SIZE];
    const char *name = name_set_find(names, address);
    address_format(address, numeric);
    if (name)
        snprintf(text, FIELD_HOST_SIZE, "%s (%s)", name, numeric);
    else
        snprintf(text, FIELD_HOST_SIZE, "%s", numeric);
    return text;
}

const char *field_date(uint64_t wall, char text[static FIELD_DATE_SIZE])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall / NANOSECONDS_PER_SECOND);
    struct tm parts;
    text[0] = '\0';
    /* Not strftime(), whose names of days and months follow the locale. */
    if (gmtime_r(&seconds, &parts))
        snprintf(text, FIELD_DATE_SIZE, "%s %s %2d %02d:%02d:%02d %d", days[parts.tm_wday],
                 months[parts.tm_mon], parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                 parts.tm_year + 1900);
    return text;
}

const char *field_count(uint64_t count, const char *one, const char *many,
                        char text[static FIELD_COUNT_SIZE])
{
    char number[TEXT_NUMBER_SIZE];
    snprintf(text, FIELD_COUNT_SIZE, "%s %s", text_grouped(count, number), count == 1 ? one : many);
    return text;
}

const char *field_responders_only(const struct scan_summary *summary,
                                  char text[static FIELD_RESPONDERS_SIZE])
{
    char number[TEXT_NUMBER_SIZE];
    uint64_t size = summary->ledger_size;
    bool large = size >= 1 << 20;
    snprintf(
        text, FIELD_RESPONDERS_SIZE,
        "only open ports were kept: a ledger of %s %s does not fit into the memory that it may "
        "take (--memory)",
        text_grouped(large ? size >> 20 : size, number), large ? "MiB" : "bytes");
    return text;
}

const char *field_shard(const struct scan_start *start, char text[static FIELD_SHARD_SIZE])
{
    text[0] = '\0';
    if (start->shards > 1)
        snprintf(text, FIELD_SHARD_SIZE, "shard %" PRIu64 " of %" PRIu64, start->shard,
                 start->shards);
    return text;
}

const char *field_seconds(uint64_t nanoseconds, char text[static FIELD_SECONDS_SIZE])
{
    uint64_t hundredths =
        (nanoseconds + NANOSECONDS_PER_SECOND / 200) / (NANOSECONDS_PER_SECOND / 100);
    snprintf(text, FIELD_SECONDS_SIZE, "%" PRIu64 ".%02u", hundredths / 100,
             (unsigned)(hundredths % 100));
    return text;
}
