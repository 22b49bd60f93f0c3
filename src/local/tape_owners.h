/* Processes on a recording of sockets: who held them, and who looked. Command lines are not
 * recorded: a recording is given to others, and passwords stand in them. */
#pragma once

#include "local/diag_tape.h"
#include "local/owner.h"

/* The beginning of TAPE_PROCESS. Name, user, unit, container's runtime and container follow, each
 * ended by NUL, "" for what is not known. */
struct taped_process {
    uint64_t started, space; /* of struct process */
    uint32_t pid, uid;
    uint32_t user_unit; /* 0 or 1 */
    uint32_t reserved;  /* 0 */
};

struct taped_holder {
    uint32_t inode, pid, fd;
};

/* What could be seen by who recorded. */
struct tape_sight {
    uint64_t unseen;        /* processes, as in struct owners */
    uint64_t unseen_spaces; /* network namespaces */
    uint32_t uid;           /* the effective user who asked */
    uint32_t processes;     /* 1: they were looked for; 0: the recording has none */
};

void diag_tape_put_owners(struct diag_tape *tape, const struct owners *owners);
void diag_tape_put_sight(struct diag_tape *tape, const struct tape_sight *sight);

/* False when it was not recorded. */
bool diag_tape_sight(const struct diag_tape *tape, struct tape_sight *ret_sight);

/* All that were recorded, which may be more processes than hold something. `command` is not known.
 * Records that make no sense are passed over, and make the tape a damaged one. Returns 0, -ENODATA
 * with an error when the recording has no processes, or -ENOMEM with an error. */
int diag_tape_owners(struct diag_tape *tape, struct owners *ret_owners, struct error *error);
