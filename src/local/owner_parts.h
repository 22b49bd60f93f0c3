/* What the parts of the search for owners share: the question, a list that grows, and the ways. */
#pragma once

#include "local/owner.h"

/* The inodes of owners_find(). */
struct owner_question {
    const uint32_t *inodes;
    size_t count;
};

bool owner_question_has(const struct owner_question *question, uint64_t inode);

/* Zero-initialised is empty. */
struct owner_list {
    struct owner *items;
    size_t count, capacity;
};

int owner_list_add(struct owner_list *list, const struct owner *owner); /* 0 or -ENOMEM */

/* Puts processes and items that came in any order, and perhaps twice, into the order of owner.h,
 * and drops those of whose process nothing is known. */
void owners_settle(struct owners *owners);

/* Each appends whom it finds, in any order, and perhaps twice. Returns 0 or -errno with an error.
 */
int owner_proc_find(const struct owner_question *question, struct owner_list *list,
                    size_t *ret_unseen, struct error *error);
int owner_bpf_find(const struct owner_question *question, struct owner_list *list,
                   struct error *error);

/* Names of users, each asked for once. Zero-initialised is empty; the names are in an arena. */
struct process_users {
    struct process_user *items;
    size_t count, capacity;
};

void process_users_release(struct process_users *users);

/* Fills in what is known of a process; `users` is NULL where the details are not wanted. `proc` is
 * a descriptor of /proc. Returns 0, -ESRCH when it is gone, or -ENOMEM. */
int process_read(int proc, pid_t pid, struct process_users *users, struct arena *arena,
                 struct process *ret_process);

/* Threads of the kernel, and processes that have ended, hold nothing that could be found. */
bool process_holds_files(int proc, pid_t pid);
