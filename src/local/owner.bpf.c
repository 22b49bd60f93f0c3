/* The program inside the kernel that is run for every descriptor of every process, and tells of
 * those that are sockets.
 *
 * Threads that share their process's descriptors are not gone through again. Only what is needed of
 * the kernel's structures is declared here; where it lies is looked up when the program is loaded.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "local/owner_shared.h"

/* bpf_seq_write() and bpf_probe_read_kernel() are for programs that may be used under the GPL. */
char owner_license[] SEC("license") = "Dual BSD/GPL";

#define OF_KERNEL __attribute__((preserve_access_index))

struct seq_file;

struct bpf_iter_meta {
    struct seq_file *seq;
} OF_KERNEL;

struct upid {
    int nr;
} OF_KERNEL;

struct pid {
    unsigned int level;
    struct upid numbers[1];
} OF_KERNEL;

struct task_struct {
    struct task_struct *group_leader;
    struct pid *thread_pid;
} OF_KERNEL;

struct inode {
    unsigned long i_ino;
} OF_KERNEL;

struct file {
    struct inode *f_inode;
} OF_KERNEL;

struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    uint32_t fd;
    struct file *file;
} OF_KERNEL;

/* The process's number as we know it: namespaces of processes lie within each other, and each has
 * numbers of its own. */
static __attribute__((always_inline)) int32_t process_number(const struct task_struct *task)
{
    const struct task_struct *own = bpf_get_current_task_btf();
    const uint32_t level = own->thread_pid->level;
    int32_t number = 0;
    const char *pid = (const char *)task->group_leader->thread_pid;
    pid += bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid) +
           bpf_core_field_offset(struct upid, nr);
    bpf_probe_read_kernel(&number, sizeof(number), pid);
    return number;
}

SEC("iter/task_file")
int porthole_owners(struct bpf_iter__task_file *context)
{
    struct file *file = context->file;
    const struct task_struct *task = context->task;
    if (!file || !task || !bpf_sock_from_file(file))
        return 0;
    struct owner_record record = {
        .inode = (uint32_t)file->f_inode->i_ino,
        .pid = process_number(task),
        .fd = (int32_t)context->fd,
    };
    if (record.pid > 0)
        bpf_seq_write(context->meta->seq, &record, sizeof(record));
    return 0;
}
