/* /etc/services as the machine has it. Private to src/net and its tests. */
#pragma once

#include "net/port_set.h"

/* One line, "http  80/tcp  www  # WorldWideWeb HTTP", as parts of it, none of them NUL-terminated.
 */
struct service_line {
    struct port port;
    const char *name, *aliases, *comment; /* aliases as they stand, with the blanks between them */
    size_t name_length, aliases_length, comment_length;
};

/* Reads one line without its end. False when there is nothing on it, when it is broken
 * (services(5)) or when the protocol is none of ours. Names are printable ASCII; a comment may hold
 * any bytes. Pure. */
bool service_line_parse(const char *line, size_t length, struct service_line *ret_line);

struct service_file_entry {
    struct port port;
    const char *name, *aliases, *comment; /* never NULL */
};

/* Zero-initialised is empty. */
struct service_file {
    char *text; /* owned; the entries' strings are parts of it */
    struct service_file_entry
        *entries; /* by port and protocol; the first line of each comes first */
    size_t count;
};

/* Reads `text`, which has room for a NUL at text[length] and comes from malloc(): it is the file's
 * from then on, in failure too. Lines that can't be read are left out. Returns 0 or -ENOMEM. */
int service_file_parse(struct service_file *file, char *text, size_t length);

/* Reads the file at `path`. Returns 0 or -errno. */
int service_file_read(struct service_file *file, const char *path);

void service_file_release(struct service_file *file);

/* The entry of a port, or NULL. */
const struct service_file_entry *service_file_find(const struct service_file *file,
                                                   struct port port);

/* What service_find() and its like read in place of /etc/services, from now on: for tests, while no
 * other thread runs and none of the earlier strings is in use. Returns 0 or -errno. */
int service_set_file(const char *path);
