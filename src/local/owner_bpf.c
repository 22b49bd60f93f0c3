/* Who holds a socket, told by a program inside the kernel that goes through all descriptors: half a
 * microsecond each. It is loaded without libbpf, by another program that the kernel runs for us,
 * because libbpf would read the kernel's whole type information first: forty milliseconds. */
#include "local/owner_parts.h"

#ifdef HAVE_TASK_ITERATOR

#include "local/owner_shared.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#include "owner.skel.h"
#pragma GCC diagnostic pop

#define BUFFER 65536 /* bytes; the kernel gives half of that at once */

/* Our own number is what /proc calls us: else it is another namespace's, or none. */
static bool has_own_proc(void)
{
    char text[16];
    const ssize_t length = readlink("/proc/self", text, sizeof(text) - 1);
    if (length <= 0)
        return false;
    text[length] = '\0';
    return atoi(text) == (int)getpid();
}

static int open_iterator(const struct owner_bpf *skeleton)
{
    const int link = skel_link_create(skeleton->progs.porthole_owners.prog_fd, 0, BPF_TRACE_ITER);
    if (link < 0)
        return link;
    union bpf_attr attributes = {.iter_create = {.link_fd = (uint32_t)link}};
    const int iterator = skel_sys_bpf(BPF_ITER_CREATE, &attributes, sizeof(attributes));
    const int failed = -errno;
    close(link);
    return iterator < 0 ? failed : iterator;
}

/* Appends the whole records. Returns how many bytes they were, or -ENOMEM. */
static ssize_t take_records(const struct owner_question *question, const char *bytes, size_t length,
                            struct owner_list *list)
{
    size_t at = 0;
    for (; length - at >= sizeof(struct owner_record); at += sizeof(struct owner_record)) {
        struct owner_record record;
        memcpy(&record, bytes + at, sizeof(record));
        const struct owner owner = {record.inode, record.pid, record.fd};
        if (owner_question_has(question, owner.inode) && owner_list_add(list, &owner) != 0)
            return -ENOMEM;
    }
    return (ssize_t)at;
}

static int read_iterator(int iterator, const struct owner_question *question,
                         struct owner_list *list)
{
    char *bytes = malloc(BUFFER);
    size_t length = 0;
    ssize_t result = bytes ? 1 : -ENOMEM;
    while (result > 0) {
        result = read(iterator, bytes + length, BUFFER - length);
        if (result < 0 && (errno == EINTR || errno == EAGAIN)) {
            result = 1; /* it has gone through very many without one to tell of */
        } else if (result < 0) {
            result = -errno;
        } else if (result > 0) {
            length += (size_t)result;
            result = take_records(question, bytes, length, list);
            if (result < 0)
                break;
            length -= (size_t)result;
            memmove(bytes, bytes + result, length);
            result = 1;
        }
    }
    free(bytes);
    return (int)result;
}

int owner_bpf_find(const struct owner_question *question, struct owner_list *list,
                   struct error *error)
{
    if (!has_own_proc())
        return error_set(error, EOPNOTSUPP, "/proc is not of our own namespace of processes");
    struct owner_bpf *skeleton = owner_bpf__open();
    if (!skeleton)
        return error_set(error, ENOMEM, "no memory for the program that finds processes");
    int failed = owner_bpf__load(skeleton);
    const int iterator = failed ? failed : open_iterator(skeleton);
    owner_bpf__destroy(skeleton);
    failed = iterator < 0 ? iterator : read_iterator(iterator, question, list);
    if (iterator >= 0)
        close(iterator);
    if (failed == -EPERM || failed == -EACCES)
        return error_set(error, EPERM,
                         "finding processes in the kernel needs CAP_BPF and CAP_PERFMON");
    if (failed == -ENOMEM)
        return error_set(error, ENOMEM, "no memory for the processes of sockets");
    if (failed)
        return error_set(error, EOPNOTSUPP, "the kernel does not take the program: %s",
                         strerror(-failed));
    return 0;
}

#else

#include <errno.h>

int owner_bpf_find(const struct owner_question *question, struct owner_list *list,
                   struct error *error)
{
    (void)question;
    (void)list;
    return error_set(error, EOPNOTSUPP, "this build does not find processes in the kernel");
}

#endif
