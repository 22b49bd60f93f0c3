/* A recording of what the kernel said of sockets, so that it can be listed elsewhere and later.
 *
 * A file begins with the line "porthole sockets 1", the number 0x01020304 as 32 bits and the time,
 * nanoseconds since 1970, as 64; all numbers are in the byte order of the machine that recorded it,
 * as netlink's are. Then come records: type and length, 32 bits each, and that many bytes. The last
 * one is TAPE_END, so that a file that was cut off is known for one. Types that a reader does not
 * know are passed over. Interfaces are packed by exposure.h; processes and sight by tape_owners.h.
 */
#pragma once

#include "local/diag.h"

enum tape_record {
    TAPE_END,
    TAPE_SPACE,      /* a network namespace: inode (64 bits), is it our own (32 bits), name. Their
                        order gives them numbers */
    TAPE_QUESTION,   /* struct tape_question. What follows is about it */
    TAPE_MESSAGES,   /* a datagram of netlink */
    TAPE_AGAIN,      /* what came since the question does not count: it is asked again. Who reads
                        passes it over at once, so that it need not be taken back */
    TAPE_REFUSED,    /* positive errno (32 bits) */
    TAPE_TEXT,       /* a file of /proc/net: its name, NUL, and its text */
    TAPE_INTERFACES, /* of a network namespace: its number (32 bits), and exposure_map_pack() */
    TAPE_PROCESS,    /* struct taped_process, and texts that end with NUL */
    TAPE_HOLDERS,    /* any number of struct taped_holder */
    TAPE_SIGHT,      /* struct tape_sight; after the processes, which count only with it */
    TAPE_USER,       /* uid (32 bits), and the name, which ends with NUL */
};

struct tape_question {
    uint32_t space;
    uint32_t kind;       /* enum socket_kind; SOCKET_UNIX_STREAM for all of Unix's */
    uint32_t family;     /* enum address_family */
    uint32_t states;     /* what was asked for */
    uint32_t local_port; /* 0: any */
};

/* Opens a file for writing, which is there as a whole once diag_tape_close() returned 0, or reads
 * one. Returns 0, or -errno with an error that names it. */
int diag_tape_open(const char *path, bool write, struct diag_tape **ret_tape, struct error *error);

/* Completes what was written. Returns 0, or -errno with an error; the tape is gone either way. */
int diag_tape_close(struct diag_tape *tape, struct error *error);

/* Gives up what was written. */
void diag_tape_discard(struct diag_tape *tape);

bool diag_tape_is_written(const struct diag_tape *tape); /* false of NULL and of one that is read */
bool diag_tape_is_read(const struct diag_tape *tape);
uint64_t diag_tape_time(const struct diag_tape *tape); /* when it was recorded */

/* What is wrong with one that is read. What it has all the same is listed. */
bool diag_tape_is_cut(const struct diag_tape *tape);     /* its end is missing */
bool diag_tape_is_damaged(const struct diag_tape *tape); /* something of what was listed */
/* What was listed asks for more than the recording's questions did. */
bool diag_tape_is_narrow(const struct diag_tape *tape);
void diag_tape_set_damaged(struct diag_tape *tape); /* for who reads records of other types */

/* Adds a record, when the tape is one that is written. Failures are told by diag_tape_close(). */
void diag_tape_put(struct diag_tape *tape, enum tape_record type, const void *bytes, size_t length);

/* The record at *at (0: the first), which then is where the next one begins. False at the end. */
bool diag_tape_next(const struct diag_tape *tape, size_t *at, uint32_t *ret_type,
                    const char **ret_bytes, size_t *ret_length);

/* The network namespaces, to and from a tape. The second appends to list->spaces, and returns 0 or
 * -ENOMEM. */
void diag_tape_put_space(struct diag_tape *tape, const struct socket_space *space);
int diag_tape_spaces(const struct diag_tape *tape, struct socket_list *list);
/* How many the second will append; 1 of none, which stands for our own. */
size_t diag_tape_space_count(const struct diag_tape *tape);

/* Lists what was recorded (diag_list() does so) of one network namespace, or of all that are in
 * list->spaces. Of several listings on a tape it is the first. Answers that make no sense are
 * passed over, and make the tape a damaged one. */
#define TAPE_EVERY_SPACE UINT32_MAX
int diag_tape_list(struct diag_tape *tape, const struct diag_query *query, uint32_t space,
                   struct socket_list *list, struct error *error);

/* A recording in memory, for a test or a fuzzer: opened for reading, not copied. */
int diag_tape_open_bytes(const void *bytes, size_t length, const char *name,
                         struct diag_tape **ret_tape, struct error *error);
