/* Fields that more than one format prints, as text. */
#pragma once

#include "net/name_set.h"
#include "net/port_set.h"

#include <stdint.h>

struct scan_start;
struct scan_summary;

/* The name of a port by its number, printable whatever /etc/services holds, or "". */
#define FIELD_SERVICE_SIZE 128
const char *field_service(struct port port, char text[static FIELD_SERVICE_SIZE]);

/* A host as a person called it: "localhost (127.0.0.1)", or the bare address without a name. */
#define FIELD_HOST_SIZE (ADDRESS_TEXT_SIZE + 256)
const char *field_host(const struct name_set *names, const struct address *address,
                       char text[static FIELD_HOST_SIZE]);

/* A wall clock time as nmap prints it, but in UTC: "Sat Nov 21 02:14:03 2026". */
#define FIELD_DATE_SIZE 32
const char *field_date(uint64_t wall, char text[static FIELD_DATE_SIZE]);

/* "1 host", "65,536 ports": `one` or `many` after the grouped number. */
#define FIELD_COUNT_SIZE 96
const char *field_count(uint64_t count, const char *one, const char *many,
                        char text[static FIELD_COUNT_SIZE]);

/* Why a scan tells of open ports alone: "only open ports were kept: a ledger of 16,384 MiB does not
 * fit into the memory that it may take (--memory)". */
#define FIELD_RESPONDERS_SIZE 160
const char *field_responders_only(const struct scan_summary *summary,
                                  char text[static FIELD_RESPONDERS_SIZE]);

/* "shard 1 of 3", or "" for a scan that is none. */
#define FIELD_SHARD_SIZE 64
const char *field_shard(const struct scan_start *start, char text[static FIELD_SHARD_SIZE]);

/* Nanoseconds as seconds with two decimals, with a point in every locale: "0.48". */
#define FIELD_SECONDS_SIZE 32
const char *field_seconds(uint64_t nanoseconds, char text[static FIELD_SECONDS_SIZE]);
