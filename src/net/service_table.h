/* The data files of data/ as tables: their shapes. tools/make_service_table.py writes the tables
 * themselves into the build directory. Private to src/net. */
#pragma once

#include <stdint.h>

/* The registry is two arrays side by side, sorted by port and then by the lowest protocol, because
 * a binary search reads only the first one. No two rows share a port and a protocol. */
extern const uint32_t service_count;
extern const uint16_t service_ports[];

/* What else is known of row i: the offset of its text in service_text, and above it a bit for each
 * enum protocol. */
extern const uint32_t service_rows[];
#define SERVICE_ROW_TEXT(row) ((row)&0xffffff)
#define SERVICE_ROW_PROTOCOLS(row) ((row) >> 24)

/* The texts, each "name\0description\0aliases\0" with the aliases separated by one blank. */
extern const char service_text[];

/* data/top-ports.txt, in its order. */
extern const uint32_t top_port_count;
extern const uint16_t top_ports[];
