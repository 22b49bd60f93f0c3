/* struct pipes: a buffer and a few pipes for everybody. */
#include "talk/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Larger ones save system calls; a user without privileges may have 64 MiB of them, and gets small
 * ones beyond (pipe(7), pipe-user-pages-soft). */
#define PIPE_SIZE (1 << 20)

int pipes_init(struct pipes *pipes)
{
    *pipes = (struct pipes){.buffer = malloc(PIPES_BUFFER_SIZE)};
    return pipes->buffer ? 0 : -ENOMEM;
}

static void close_pipe(struct pipe_ends *pipe)
{
    close(pipe->in);
    close(pipe->out);
}

void pipes_release(struct pipes *pipes)
{
    while (pipes->free_count)
        close_pipe(&pipes->free[--pipes->free_count]);
    free(pipes->buffer);
    pipes->buffer = NULL;
}

int pipes_take(struct pipes *pipes, struct pipe_ends *ret_pipe)
{
    int ends[2];
    if (pipes->free_count) {
        *ret_pipe = pipes->free[--pipes->free_count];
        return 0;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    *ret_pipe = (struct pipe_ends){.out = ends[0], .in = ends[1]};
    return 0;
}

void pipes_give(struct pipes *pipes, struct pipe_ends *pipe, bool empty)
{
    if (empty && pipes->free_count < sizeof(pipes->free) / sizeof(pipes->free[0]))
        pipes->free[pipes->free_count++] = *pipe;
    else
        close_pipe(pipe);
    *pipe = (struct pipe_ends){.out = -1, .in = -1};
}
